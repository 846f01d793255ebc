"""The commands, their exit codes, and one line for every mistake."""

import json
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import papermill
import pytest
import torch
from nbclient.exceptions import DeadKernelError
from PIL import Image
from tqdm import tqdm

import build
from cl_course import data, train
from cl_course.methods import METHODS
from cl_course.running import cli, doctor, headless, records
from cl_course.running.recipes import QUICK, UNMEASURED

SAMPLE = Path(__file__).parents[1] / "lessons" / "00_sample.py"
SMALL = ["--limit", "256", "--epochs", "2", "--device", "cpu"]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Commands write beneath the working folder."""
    monkeypatch.chdir(tmp_path)


def call(capsys, *arguments) -> tuple[int, str, str]:
    code = cli.main([str(argument) for argument in arguments])
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def fails(capsys, *arguments) -> str:
    """The one line that a failing command prints."""
    code, _, error = call(capsys, *arguments)
    assert code == 1 and error.startswith("cl-course: ") and error.count("\n") == 1
    return error


COMMANDS = ["doctor", "pretrain", "evaluate", "report", "embed", "search", "export-encoder", "run"]


@pytest.mark.parametrize("command", [[], *([name] for name in COMMANDS)])
def test_help_has_examples_and_exit_codes(capsys, command):
    with pytest.raises(SystemExit) as stop:
        cli.main([*command, "--help"])
    text = capsys.readouterr().out
    assert (
        stop.value.code == 0
        and "example" in text
        and f"cl-course {' '.join(command)}" in text
        and "exit codes: 0 done" in text
    )


@pytest.mark.parametrize(
    "arguments", [[], ["fly"], ["pretrain"], ["pretrain", "shapes", "--epochs", "many"], ["run", "03", "-p", "seed"]]
)
def test_wrong_usage_is_2(capsys, arguments):
    with pytest.raises(SystemExit) as stop:
        cli.main(arguments)
    assert stop.value.code == 2 and "usage: cl-course" in capsys.readouterr().err


def test_doctor(capsys, monkeypatch):
    record = {"config": {"step_seconds": 0.5}, "runs": [{"lesson": "03_simclr", "minutes": 1.5}]}
    monkeypatch.setattr(records, "read", {"lessons": record}.__getitem__)
    monkeypatch.setattr(doctor, "_timed", lambda: (1.0, 1.2))
    code, out, _ = call(capsys, "doctor")
    facts = {line[:24].strip(): line[24:].strip() for line in out.splitlines()}
    assert code == 0 and torch.__version__ in facts["system"] and "cores" in facts["device"]
    assert facts["data shapes"] == "drawn here in seconds" and {"data cifar10", "data stl10"} <= facts.keys()
    assert facts["03_simclr"] == "about 3.0 minutes of computing"
    assert "an estimate" in facts[""] and "2.0 times as long" in facts[""] and "busy" not in out
    monkeypatch.setattr(doctor, "_timed", lambda: (1.0, 9.0))
    code, out, _ = call(capsys, "doctor")
    assert "about 3.0 minutes of computing" in out, "the minutes are those of a machine at rest"
    assert "the machine is busy now: a step takes 9.0 times as long as at rest" in out


def test_doctor_without_a_record(monkeypatch):
    def none(name):
        raise ValueError

    monkeypatch.setattr(records, "read", none)
    assert doctor.lesson_minutes() is None and "minutes" not in doctor.report()


def test_data_in_reach(tmp_path, monkeypatch):
    monkeypatch.setenv("CL_COURSE_DATA", str(tmp_path))
    monkeypatch.setenv("CL_COURSE_CACHE", str(tmp_path / "cache"))
    (tmp_path / "cifar10-jpeg.zip").touch()
    assert doctor.data_in_reach() == {
        "shapes": "drawn here in seconds",
        "cifar10": "here: cifar10-jpeg.zip in CL_COURSE_DATA",
        "stl10": "not here; the first use downloads 2.6 GB",
    }


def test_a_timed_step():
    assert 0.001 < doctor.step_seconds(steps=2) < 60


@pytest.mark.parametrize(
    "times, at_rest, now",
    [
        ([(0.05, 0.09), (0.05, 0.1), (0.06, 0.1)], 0.05, 0.05),
        ([(0.05, 0.1), (2.0, 0.2), (1.0, 0.1)], 0.05, 1.0),  # other programs take turns: one step ran through
        ([(1.0, 0.1), (2.0, 0.1), (1.5, 0.12)], 0.1, 1.5),  # none did, and the processor time tells
    ],
)
def test_a_busy_machine_is_told_from_a_slow_one(monkeypatch, times, at_rest, now):
    monkeypatch.setattr(doctor, "step_times", lambda *arguments: times)
    assert doctor._timed() == (at_rest, now)


@pytest.mark.parametrize("method", METHODS)
def test_pretrain_then_evaluate(capsys, method):
    code, out, _ = call(capsys, "pretrain", "shapes", *SMALL, "--method", method)
    path = Path(f"build/pretrained/{method}-shapes.safetensors")
    batch = QUICK[method].config.batch_size
    assert (
        code == 0
        and f"training   2 epochs of {256 // batch} steps of {batch} images" in out
        and "epoch    2 of 2" in out
    )
    assert "takes      about" in out and f"into       {path}" in out
    card = json.loads(path.with_suffix(".json").read_text())
    assert (
        card["method"] == method and card["images"] == 256 and len(card["loss"]) == 2 and card["config"]["epochs"] == 2
    )
    assert not path.with_suffix(".run").exists()
    code, out, _ = call(capsys, "evaluate", path, "shapes", "--limit", 256, "--device", "cpu")
    lines = out.splitlines()
    assert code == 0 and lines[0].startswith(f"{path}: {method} of shapes, 256 images")
    assert lines[1].split() == ["accuracy", "on", "test", "20-NN", "linear", "probe"]
    rows = {line[:34].strip(): [float(score) for score in line[34:].split()] for line in lines[2:5]}
    assert list(rows) == ["this encoder", "random encoder, same architecture", "raw pixels"]
    assert all(0 <= score <= 1 for row in rows.values() for score in row) and len({tuple(r) for r in rows.values()}) > 1
    assert {len(line) for line in lines[1:5]} == {55}, "aligned"
    assert lines[5].startswith("labels: 256 of train, 256 of val") and lines[5].endswith("seed 0")
    assert "is there already; delete it" in fails(capsys, "pretrain", "shapes", *SMALL, "--method", method)


def test_pretrain_takes_the_profiles_recipe_and_then_what_is_given(capsys):
    arguments = [
        "--profile",
        "full",
        "--encoder",
        "small",
        "--batch-size",
        64,
        "--momentum",
        0.5,
        "--precision",
        "float32",
        "--seed",
        3,
    ]
    code, out, _ = call(
        capsys, "pretrain", "shapes", *SMALL, "--method", "byol", *arguments, "--out", "byol.safetensors"
    )
    assert code == 0 and "sgd at 0.06" in out and "encoder small width 16" in out and "float32, on cpu" in out
    card = json.loads(Path("byol.json").read_text())
    assert card["encoder"] == {"name": "small", "width": 16} and card["head"] == {"hidden_dim": 1024, "out_dim": 256}
    assert card["momentum"] == 0.5 and card["total_steps"] == "all"
    expected = {"epochs": 2, "batch_size": 64, "seed": 3, "optimizer": "sgd", "precision": "float32", "compile": False}
    assert {name: card["config"][name] for name in expected} == expected


def test_on_a_gpu_the_recipe_is_the_full_one(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    chosen = cli._parser().parse_args(["pretrain", "cifar10", "--compile"])
    checkpointed = cli._parser().parse_args(["pretrain", "cifar10", "--checkpointing"])
    assert cli._recipe(checkpointed, (32, 32), "cpu").config.checkpointing
    assert cli._recipe(chosen, (32, 32), "cpu").encoder["name"] == "small"
    full = cli._recipe(chosen, (96, 96), "cuda")
    assert full.encoder == {"name": "resnet18", "stem": "stl"} and full.config.epochs == 200 and full.config.compile


SIDES = [((32, 32), "cifar"), ((48, 160), "stl"), ((160, 48), "stl"), ((64, 64), "cifar")]


@pytest.mark.parametrize("sides, stem", SIDES)
@pytest.mark.parametrize("options", [["--encoder", "resnet18"], ["--profile", "full"]])
def test_the_stem_suits_both_sides_of_the_images(sides, stem, options):
    chosen = cli._parser().parse_args(["pretrain", "photos", *options])
    assert cli._recipe(chosen, sides, "cpu").encoder == {"name": "resnet18", "stem": stem}


def test_a_cut_run_goes_on_to_the_same_weights(capsys, monkeypatch):
    call(capsys, "pretrain", "shapes", *SMALL, "--out", "unbroken.safetensors")

    def stop(line):
        if line.startswith("epoch    2"):
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(tqdm, "write", stop)
        code, _, error = call(capsys, "pretrain", "shapes", *SMALL, "--out", "cut.safetensors")
    assert code == 130 and "the same command with --resume goes on" in error
    assert Path("cut.run").exists() and not Path("cut.safetensors").exists()
    assert "cut.run is a run that was cut off; add --resume" in fails(
        capsys, "pretrain", "shapes", *SMALL, "--out", "cut.safetensors"
    )
    code, out, _ = call(capsys, "pretrain", "shapes", *SMALL, "--out", "cut.safetensors", "--resume")
    assert code == 0 and "epoch    1" not in out and "epoch    2" in out and not Path("cut.run").exists()
    assert Path("cut.safetensors").read_bytes() == Path("unbroken.safetensors").read_bytes()


def test_what_was_not_begun_is_not_gone_on_with(capsys, monkeypatch):
    code, _, error = call(capsys, "pretrain", "shapes", *SMALL, "--out", "new.safetensors", "--resume")
    assert code == 0 and error.startswith(
        "cl-course: there is no new.run to go on with, so this run starts at the first epoch\n"
    )

    def stop(*given, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(train, "pretrain", stop)
    code, _, error = call(capsys, "pretrain", "shapes", *SMALL, "--out", "cut.safetensors")
    assert code == 130 and "nothing is kept" in error and not Path("cut.run").exists()


def test_a_wrong_option_makes_no_folder(capsys):
    assert "method must be" in fails(
        capsys, "pretrain", "shapes", *SMALL, "--method", "simclear", "--out", "new/x.safetensors"
    )
    assert not Path("new").exists()


def test_warnings_are_one_line_as_well(capsys):
    code, _, error = call(
        capsys, "pretrain", "shapes", *SMALL, "--method", "moco", "--queue-size", 512, "--out", "moco.safetensors"
    )
    assert code == 0 and error.startswith("cl-course: the queue holds 512 keys") and error.count("\n") == 1


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        (["shapes", "--method", "simclear"], "or 'dino', got 'simclear'; did you mean 'simclr'?"),
        (["shapes", "--encoder", "vit"], "encoder must be 'small' or 'resnet18', got 'vit'"),
        (["shapes", "--profile", "fast"], "profile must be 'auto', 'quick' or 'full', got 'fast'"),
        (["shapes", "--precision", "float16"], "precision must be 'float32' or 'bfloat16', got 'float16'"),
        (["shapes", "--seed", "-1"], "seed must be a whole number from 0"),
        (["shapes", "--method", "moco", "--momentum", "1.5"], "momentum must be"),
        (["shapes", "--method", "moco", "--queue-size", "64"], "a batch of 256 keys does not fit into a queue of 64"),
        (["shapes", "--temperature", "0"], "temperature must be"),
        (["shapes", "--queue-size", "64"], "simclr has no setting 'queue_size'; it has temperature"),
        (["shapes", "--epochs", "0"], "epochs must be a whole number of at least 1, got 0"),
        (["shapes", "--batch-size", "512"], "256 images are fewer than batch_size 512: pass batch_size=256 or less"),
        (["shapes", "--chunk-size", "1"], "chunk_size must be a whole number from 2 to 128, got 1"),
        (["shapes", "--temperature", "nan"], "temperature must be"),
        (["shapes", "--temperature", "inf"], "temperature must be"),
        (["shapes", "--learning-rate", "inf"], "learning_rate must be a finite number above 0, got inf"),
        (["shapes", "--limit", "0"], "limit must be a whole number of at least 1"),
        (["shapes", "--limit", "-3"], "limit must be a whole number of at least 1"),
        (["shapes", "--limit", "60"], "60 images are fewer than batch_size 128: pass batch_size=60 or less"),
        (["shapes", "--out", "folder.safetensors"], "folder.safetensors is a folder, and a file of this name"),
        (["shapes", "--out", "card.safetensors"], "card.json is a folder, and a file of this name"),
        (["shapes", "--out", "state.safetensors"], "state.run is a folder, and a file of this name"),
        (["shapes", "--out", "/proc/new/x.safetensors"], "nothing can be written to /proc/new"),
        (
            ["shapes", "--method", "byol", "--chunk-size", "32"],
            "chunk_size is for SimCLR and others whose loss takes embeddings alone, and this is BYOL",
        ),
        (["shapes", "--device", "tpu"], "device must be 'auto', 'cpu'"),
        (["shapes", "--split", "unlabeled"], "split"),
        (["nowhere"], "there is no data set and no file 'nowhere'"),
        (["shapes", "--out", "x.pt"], "--out must end in .safetensors, got x.pt"),
        (["shapes", "--out", "file/x.safetensors"], "nothing can be written to file"),
    ],
)
def test_pretrain_names_each_mistake(capsys, monkeypatch, arguments, sentence):
    Path("file").touch()
    for folder in ("folder.safetensors", "card.json", "state.run"):
        Path(folder).mkdir()
    monkeypatch.setattr(train, "train_step", lambda *step: pytest.fail("a step was made"))
    assert sentence in fails(capsys, "pretrain", *SMALL, *arguments)
    assert not [path for path in Path().rglob("*.safetensors") if path.is_file()]
    assert not [path for path in Path().rglob("*.lock")]


@pytest.mark.parametrize("arguments", [["--encoder", "vit"], ["--temperature", "0"], ["--limit", "60"]])
def test_wrong_options_are_found_before_any_data_is_read(capsys, monkeypatch, arguments):
    monkeypatch.setattr(data, "pretraining_images", lambda *source, **how: pytest.fail("data was read"))
    fails(capsys, "pretrain", "shapes", *arguments)


def test_too_few_images_of_a_folder_are_refused_before_a_plan_is_printed_and_the_remedy_works(capsys):
    for number in range(60):
        path = Path("photos", "train", "ab"[number % 2], f"{number}.png")
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (32, 24), (4 * number, 0, 0)).save(path)
    arguments = ("pretrain", "photos", "--epochs", 1, "--device", "cpu")
    code, out, error = call(capsys, *arguments)
    assert code == 1 and out == ""
    assert error.startswith("cl-course: 54 images are fewer than batch_size 128:") and "--batch-size 54" in error
    code, out, _ = call(capsys, *arguments, "--batch-size", 54)
    assert code == 0 and "54 images of 24 x 32 pixels (h x w)" in out


def test_evaluate_names_each_mistake(capsys):
    assert "nothing.safetensors" in fails(capsys, "evaluate", "nothing.safetensors", "shapes")
    assert "no shipped checkpoint 'nothing'" in fails(capsys, "evaluate", "nothing", "shapes")
    call(capsys, "pretrain", "shapes", *SMALL, "--out", "x.safetensors")
    assert "limit must be a whole number of at least 1" in fails(
        capsys, "evaluate", "x.safetensors", "shapes", "--limit", 0
    )
    photos = Path("photos")
    photos.mkdir()
    for number in range(40):
        Image.new("RGB", (32, 32), (number, 0, 0)).save(photos / f"{number}.png")
    assert "photos has no labels to judge by" in fails(capsys, "evaluate", "x.safetensors", photos)
    Path("x.safetensors").write_bytes(Path("x.safetensors").read_bytes()[:1000])
    assert "x.safetensors is damaged" in fails(capsys, "evaluate", "x.safetensors", "shapes")
    assert "x.json is not the .safetensors file of a checkpoint; give x.safetensors" in fails(
        capsys, "evaluate", "x.json", "shapes"
    )
    Path("notes.txt").touch()
    for given, sentence in {
        "/": "/ is a folder; give the .safetensors file",
        "photos": "photos is a folder; give the .safetensors file",
        "notes.txt": "notes.txt is not the .safetensors file of a checkpoint; give such a file, or one of byol_",
        "no/such": "no/such is not the .safetensors file of a checkpoint; give such a file, or one of byol_",
    }.items():
        assert sentence in fails(capsys, "evaluate", given, "shapes")


def test_a_full_gpu_is_told_in_one_line(capsys, monkeypatch):
    def full(chosen):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(cli, "pretrain", full)
    assert "a step needs more memory than there is; take checkpointing=True (--check" in fails(
        capsys, "pretrain", "shapes"
    )


@pytest.fixture
def lesson(tmp_path) -> Path:
    path = tmp_path / "lesson.ipynb"
    build.write(path, nbformat.writes(build.solved(SAMPLE)))
    return path


def test_run_a_lesson_with_parameters(capsys, lesson):
    code, out, _ = call(capsys, "run", lesson, "-p", "seed", "3", "-p", "device", "cpu", "--strict", "--out", "runs")
    assert code == 0 and "lesson: done in" in out
    cells = nbformat.read("runs/lesson.ipynb", as_version=4).cells
    (printed,) = [
        output.text for cell in cells for output in cell.get("outputs", []) if "seed" in output.get("text", "")
    ]
    assert printed == "quick profile: shapes on cpu, seed 3\n"


@pytest.mark.parametrize(
    "name, value, sentence",
    [
        (
            "profle",
            "full",
            "unknown parameter 'profle': this lesson has profile, dataset, seed, device; did you mean 'profile'?",
        ),
        ("profile", "fast", "profile must be 'auto', 'quick' or 'full', got 'fast'"),
        ("seed", "first", "seed must be a whole number"),
        ("device", "1", "device must be"),
    ],
)
def test_run_refuses_a_wrong_parameter_before_it_starts(capsys, monkeypatch, lesson, name, value, sentence):
    monkeypatch.setattr(papermill, "execute_notebook", lambda *arguments, **options: pytest.fail("it started"))
    assert sentence in fails(capsys, "run", lesson, "-p", name, value)


def test_run_tells_which_cell_failed(capsys, monkeypatch, lesson):
    monkeypatch.setenv("CL_COURSE_STRICT", "0")  # put back after --strict
    build.write(lesson, nbformat.writes(build.learner(SAMPLE)))
    assert call(capsys, "run", lesson)[0] == 0
    assert "lesson, code cell 7: ExerciseError: double: not attempted yet" in fails(capsys, "run", lesson, "--strict")


def test_run_finds_lessons_by_number_and_name(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(headless, "ROOT", tmp_path)
    assert "from a checkout" in fails(capsys, "run", "03")
    sources = tmp_path / "notebooks" / "src"
    sources.mkdir(parents=True)
    (tmp_path / "notebooks" / "build.py").touch()
    for stem in ("03_simclr", "04_moco"):
        (sources / f"{stem}.py").touch()
    assert "03_simclr.ipynb not built yet; run make notebooks" in fails(capsys, "run", "3")
    for stem in ("03_simclr", "04_moco"):
        (tmp_path / "notebooks" / f"{stem}.ipynb").touch()
    assert (
        [path.stem for path in headless.find_lessons("3", solved=False)]
        == [path.stem for path in headless.find_lessons("03_simclr", solved=False)]
        == ["03_simclr"]
    )
    assert [path.stem for path in headless.find_lessons("all", solved=False)] == ["03_simclr", "04_moco"]
    assert "there is no lesson 'moco'; there are 03_simclr, 04_moco; or take 'all'" in fails(capsys, "run", "moco")
    assert "there is no notebook x.ipynb" in fails(capsys, "run", "x.ipynb")


@pytest.mark.parametrize(
    "text, value",
    [
        ("3", 3),
        ("0.5", 0.5),
        ("1e-3", 1e-3),
        ("true", True),
        ("False", False),
        ("none", None),
        ("cifar10", "cifar10"),
        ("1.2.3", "1.2.3"),
    ],
)
def test_what_a_parameters_text_means(text, value):
    assert headless.value_of(text) == value and type(headless.value_of(text)) is type(value)


def test_run_takes_a_data_set_s_path_from_here(capsys, monkeypatch, lesson):
    Path("2024").mkdir()
    given = []
    monkeypatch.setattr(
        papermill, "execute_notebook", lambda path, out, parameters, **options: given.append(parameters["dataset"])
    )
    for text in ("2024", "./2024", "shapes"):
        assert call(capsys, "run", lesson, "-p", "dataset", text)[0] == 0
    assert given == [str(Path("2024").resolve())] * 2 + ["shapes"]


CODE = {"cell_type": "code", "source": "1", "metadata": {}, "outputs": [], "execution_count": None}
NOTEBOOK = {"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 4}


@pytest.mark.parametrize(
    "content",
    ["", "a letter", "[]", "{}", '{"nbformat": 4}', json.dumps(NOTEBOOK | {"cells": [3]}), b"\xff\xfe", None],
)
def test_what_is_not_a_notebook_is_one_sentence(capsys, content):
    if content is None:
        Path("x.ipynb").mkdir()
    else:
        Path("x.ipynb").write_bytes(content if isinstance(content, bytes) else content.encode())
    sentence = "there is no notebook x.ipynb" if content is None else "x.ipynb is not a notebook"
    assert sentence in fails(capsys, "run", "x.ipynb")


@pytest.mark.parametrize("cells", [[], [{"cell_type": "markdown", "source": "# Title", "metadata": {}}]])
def test_a_notebook_without_code_is_one_sentence(capsys, cells):
    Path("x.ipynb").write_text(json.dumps(NOTEBOOK | {"cells": cells}))
    assert "x.ipynb has no code cells, so there is nothing to run" in fails(capsys, "run", "x.ipynb")


@pytest.mark.parametrize("out", ["file", "/proc/new"])
def test_run_finds_out_first_where_it_cannot_write(capsys, out):
    Path("file").touch()
    Path("x.ipynb").write_text(json.dumps(NOTEBOOK | {"cells": [CODE]}))
    assert f"nothing can be written to {out}" in fails(capsys, "run", "x.ipynb", "--out", out)


def test_run_goes_on_after_a_dead_kernel(capsys, monkeypatch, lesson):
    def dies(*arguments, **options):
        raise DeadKernelError("Kernel died")

    monkeypatch.setattr(papermill, "execute_notebook", dies)
    code, out, error = call(capsys, "run", lesson)
    assert code == 1 and "lesson: its kernel died" in error and "lesson: failed in" in out


def test_run_does_not_write_over_the_lesson(capsys, lesson):
    before = lesson.read_bytes()
    assert "would be written over; name another folder with --out" in fails(
        capsys, "run", lesson, "--out", lesson.parent
    )
    assert lesson.read_bytes() == before


def test_sigterm_ends_like_ctrl_c_and_a_second_run_is_refused_meanwhile(capsys):
    many = ["--epochs", "10000"]
    arguments = ["pretrain", "shapes", "--limit", "128", *many, "--device", "cpu", "--out", "x.safetensors"]
    environment = os.environ | {"PYTHONPATH": str(Path(cli.__file__).parents[2]), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        [sys.executable, "-m", "cl_course", *arguments], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as first:
        next(line for line in first.stdout if line.startswith(b"epoch    2"))
        for more in ([], ["--resume"]):
            refused = fails(capsys, *arguments, *more)
            assert "another run is writing" in refused and "x.run now; wait for its end" in refused
        first.terminate()
        _, error = first.communicate()
    assert first.returncode == 143
    assert error.decode() == (
        "cl-course: stopped; the same command with --resume goes on after the last whole epoch (x.run)\n"
    )
    assert [path.name for path in Path().iterdir()] == ["x.run"], "no lock and no temporary file is left"
    Path(".x.run.lock").touch()  # as kill -9 leaves it: it blocks nobody
    arguments[5] = "10"
    assert "x.run belongs to a run with {'epochs': 10000}, this one has {'epochs': 10}" in fails(
        capsys, *arguments, "--resume"
    )


@pytest.mark.parametrize("number, fits", [(3000, "take 3000, or"), (100, "take 100 or 200, or")])
def test_processes_that_cannot_share_a_batch_are_refused_before_they_start(monkeypatch, capsys, number, fits):
    monkeypatch.setattr("torch.distributed.run.main", lambda *_: pytest.fail("started"))
    assert cli.main(["pretrain", "shapes", "--device", "cpu", "--processes", str(number)]) == 1
    assert f"{number} processes cannot share batch_size 128 equally; {fits} another number" in capsys.readouterr().err


def test_a_limit_far_above_the_number_of_pictures_is_like_none(monkeypatch, tmp_path, capsys):
    def stop(method, images, config):
        raise ValueError(f"{len(images):,} stand-ins")

    monkeypatch.setattr(train, "check_run", stop)
    arguments = ("pretrain", "shapes", "--device", "cpu", "--out", str(tmp_path / "x.safetensors"))
    assert cli.main([*arguments, "--limit", str(10**15)]) == 1
    assert "1,000,000 stand-ins" in capsys.readouterr().err


def test_a_name_that_is_no_utf8_does_not_fail_a_command(tmp_path):
    out = os.fsdecode(os.fsencode(tmp_path) + b"/M\xfcller.npz")
    command = [sys.executable, "-m", "cl_course", "embed", "simclr_shapes", "shapes", "--limit", "5", "-o", out]
    strict = os.environ | {"PYTHONIOENCODING": "ascii:strict"}
    done = subprocess.run(command, capture_output=True, text=True, env=strict, check=False)
    assert done.returncode == 0 and "ller.npz: 128 features" in done.stdout and os.path.exists(out), done.stderr


def test_strips_are_judged_by_their_pixels(tmp_path, capsys):
    for kind, value in (("a", 0), ("b", 255)):
        (tmp_path / kind).mkdir()
        for i in range(20):
            Image.new("RGB", (256, 7), (value, i, i)).save(tmp_path / kind / f"{i}.png")
    assert cli.main(["evaluate", "simclr_shapes", str(tmp_path)]) == 0
    assert float(capsys.readouterr().out.split("raw pixels")[1].split()[0]) == 1.0


def test_an_option_knows_the_home_folder(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HOME", str(tmp_path))  # bash leaves --out=~/x as it is
    assert cli.main(["embed", "simclr_shapes", "shapes", "--limit", "5", "--out=~/features.npz"]) == 0
    assert (tmp_path / "features.npz").exists()


def test_pretrain_does_not_write_its_card_over_another_file(tmp_path, capsys):
    (tmp_path / "photos.json").write_text("annotations")
    assert cli.main(["pretrain", "shapes", "--out", str(tmp_path / "photos.safetensors")]) == 1
    assert "photos.json is not the card of an encoder" in capsys.readouterr().err
    assert (tmp_path / "photos.json").read_text() == "annotations"


@pytest.mark.parametrize("more", [["--limit", "600"], ["--split", "unlabeled"], ["--size", "64"]])
def test_nothing_is_expected_of_a_run_on_other_images(more):
    def expected(*options) -> str:
        return cli._recipe(cli._parser().parse_args(["pretrain", "stl10", *options]), (96, 96), "cpu").expected

    assert expected("--profile", "full", *more) == UNMEASURED != expected("--profile", "full")


def test_pretrain_has_the_option_that_its_refusal_names(tmp_path, monkeypatch, capsys):
    for i in range(20):
        Image.new("RGB", (64, 64), (i, 0, 0)).save(tmp_path / f"{i}.png")
    command = ["pretrain", str(tmp_path), "--batch-size", "4", "--device", "cpu", "--epochs", "1"]
    command += ["--out", str(tmp_path / "x.safetensors")]
    with monkeypatch.context() as patch:
        patch.setattr("cl_course.images.pictures.machine_memory", lambda: 10_000)
        assert "--size" in fails(capsys, *command)
    assert cli.main([*command, "--size", "16"]) == 0
    assert "images of 16 x 16 pixels" in capsys.readouterr().out
