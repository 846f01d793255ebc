"""The command line: look at the machine, pre-train, evaluate, run lessons headless.

Everything heavy is imported inside the command that needs it, so that `--help` answers at once.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
EXIT_CODES = """\
exit codes: 0 done, 1 it could not be done (one line on stderr says why), 2 wrong usage,
            130 stopped with Ctrl-C, 143 stopped with SIGTERM (kill)"""

EXAMPLES = {
    "": """\
examples:
  cl-course doctor
  cl-course pretrain shapes --epochs 20 --out simclr.safetensors
  cl-course evaluate simclr.safetensors shapes
  cl-course run 03 -p seed 1""",
    "doctor": """\
example:
  cl-course doctor""",
    "pretrain": """\
examples:
  cl-course pretrain shapes                                the embedded set, a minute on two cores
  cl-course pretrain cifar10 --profile full --method byol  ResNet-18 by the published recipe, for a GPU
  cl-course pretrain photos.zip --out photos.safetensors
  cl-course pretrain cifar10 --resume                      go on with a run that was cut off""",
    "evaluate": """\
examples:
  cl-course evaluate build/pretrained/simclr-shapes.safetensors shapes
  cl-course evaluate encoder.safetensors photos.zip --limit 2000""",
    "run": """\
examples:
  cl-course run 03                                     as a learner opens it, into build/course/
  cl-course run 03 -p profile full -p dataset cifar10  with other parameters
  cl-course run all --solved --strict                  every lesson with its exercises done, graded""",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code. User errors are one line on stderr, never a traceback."""
    chosen = _parser().parse_args(arguments)
    before = signal.signal(signal.SIGTERM, _stop)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = lambda message, *where: _say(message)
            return chosen.command(chosen)
    except KeyboardInterrupt as stop:
        _say("".join(["stopped", *getattr(stop, "__notes__", [])]))
        return 128 + (stop.args[0] if stop.args else signal.SIGINT)
    except (ValueError, OSError, FloatingPointError) as error:
        _say(error)
        return 1
    except RuntimeError as error:
        if type(error).__name__ != "OutOfMemoryError":
            raise
        _say("the GPU has not enough memory for this; take a smaller --batch-size, --chunk-size for simclr, "
             "or --device cpu")
        return 1
    finally:
        signal.signal(signal.SIGTERM, before)


def _stop(number: int, _: Any) -> None:
    """SIGTERM ends a command as Ctrl-C does."""
    raise KeyboardInterrupt(number)


def _say(message: Any) -> None:
    print(f"cl-course: {' '.join(str(message).split())}", file=sys.stderr)


def doctor(chosen: argparse.Namespace) -> int:
    from cl_course.running.doctor import report

    print(report())
    return 0


def pretrain(chosen: argparse.Namespace) -> int:
    """Train without labels; keep the encoder and its card, and after every epoch all that a cut run needs."""
    from dataclasses import asdict

    import torch
    from tqdm import tqdm

    from cl_course import data, train
    from cl_course.files import alone
    from cl_course.running import checkpoints
    from cl_course.running.machine import pick_device
    from cl_course.running.plans import duration, plan

    out = chosen.out or Path("build/pretrained") / f"{chosen.method}-{Path(chosen.source).stem}.safetensors"
    cut = out.with_suffix(".run")  # the state of an unfinished run
    _check_output(out, cut)
    device = pick_device(chosen.device)
    # What is wrong with the options is found before any data is fetched, on pictures that take no memory.
    recipe = _recipe(chosen, (32, 32), device.type)
    many = 10**6 if chosen.limit is None or chosen.limit < 1 else chosen.limit
    stand_in = data.ImageSet(torch.zeros(1, 3, 32, 32, dtype=torch.uint8).expand(many, -1, -1, -1))
    train.check_run(recipe.build(stand_in, device), stand_in, recipe.config)
    with alone(cut):
        _check_cut(out, cut, chosen.resume)
        if chosen.split is None:
            images = data.pretraining_images(chosen.source, limit=chosen.limit, seed=chosen.seed)
        else:
            images = data.load(chosen.source, chosen.split, limit=chosen.limit, seed=chosen.seed)
        recipe = _recipe(chosen, tuple(images.images.shape[-2:]), device.type)
        method = recipe.build(images, device)
        print(plan(recipe, images, device))
        print(f"{'into':<10} {out}", flush=True)

        def tell(row: dict, _: Any) -> None:
            epoch = f"epoch {row['epoch']:>4} of {recipe.config.epochs}"
            tqdm.write(f"{epoch}   loss {row['loss']:.4f}   {row['seconds']:.1f} s")

        try:
            history = train.pretrain(method, images, recipe.config, on_epoch=tell, resume=cut)
        except KeyboardInterrupt as stop:
            goes_on = f"; the same command with --resume goes on after the last whole epoch ({cut})"
            stop.add_note(goes_on if cut.exists() else " before the first epoch was done, so nothing is kept")
            raise
        split = f" of split {chosen.split}" if chosen.split else ""
        card = {
            "method": recipe.method,
            "data": f"{chosen.source}, {len(images):,} images{split}, without their labels",
            "images": len(images),
            "encoder": recipe.encoder,
            "head": recipe.head,
            **recipe.settings,
            "config": asdict(recipe.config),
            "minutes": round(history.seconds / 60, 2),
            "loss": history.column("loss"),
            "torch": torch.__version__,
        }
        checkpoints.save(out, method.encoder, card)
        cut.unlink(missing_ok=True)
    print(f"done in {duration(history.seconds)}: cl-course evaluate {out} {chosen.source}")
    return 0


def evaluate(chosen: argparse.Namespace) -> int:
    """Nearest neighbours and a linear probe on frozen features, beside a random encoder and the raw pixels."""
    from functools import partial

    import torch
    import torch.nn.functional as F

    from cl_course import data
    from cl_course.evaluate import embed, knn_accuracy, linear_probe
    from cl_course.running import checkpoints
    from cl_course.running.machine import pick_device

    device = pick_device(chosen.device)
    encoder, card = _encoder(chosen.checkpoint)
    parts = [data.load(chosen.source, part, limit=chosen.limit, seed=chosen.seed) for part in ("train", "val", "test")]
    train_y, val_y, test_y = (part.labels for part in parts)
    if any(part.labels is None for part in parts):
        raise ValueError(f"{chosen.source} has no labels to judge by; lay its images out as class/image.png, "
                         "or evaluate on another source")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(chosen.seed)
        untrained = checkpoints.build_encoder(card)

    def pixels(images: data.ImageSet) -> torch.Tensor:  # large ones shrunk: a probe on all pixels would take hours
        scale = min(1.0, 32 / max(images.images.shape[-2:]))
        shrunk = [F.interpolate(data.to_float(x), scale_factor=scale, mode="area") for x in images.images.split(500)]
        return torch.cat(shrunk).flatten(1)

    k = min(20, len(train_y))
    print(f"{chosen.checkpoint}: {card.get('method', 'an encoder')} of {card.get('data', 'unknown data')}")
    print(f"{'accuracy on test':<34}{f'{k}-NN':>6}{'linear probe':>15}", flush=True)
    features = {
        "this encoder": partial(embed, encoder.to(device)),
        "random encoder, same architecture": partial(embed, untrained.to(device)),
        "raw pixels": pixels,
    }
    for name, of in features.items():
        train_h, val_h, test_h = map(of, parts)
        knn = knn_accuracy(train_h, train_y, test_h, test_y, k=k)
        linear = linear_probe(train_h, train_y, val_h, val_y, test_h, test_y, seed=chosen.seed).accuracy
        print(f"{name:<34}{knn:>6.3f}{linear:>15.3f}", flush=True)
    print(f"labels: {len(train_y):,} of train, {len(val_y):,} of val to choose the probe's strength, "
          f"{len(test_y):,} of test; seed {chosen.seed}")
    return 0


def run(chosen: argparse.Namespace) -> int:
    """Lessons from top to bottom without a browser; wrong parameters are refused before anything starts."""
    try:
        import papermill
        from nbclient.exceptions import DeadKernelError  # papermill runs notebooks by nbclient
    except ModuleNotFoundError:
        raise ValueError("to run lessons headless, install papermill: pip install -e '.[dev]'") from None
    from cl_course.running.settings import DATASETS, PARAMETERS, check_names, resolve

    parameters = {name: _value(text) for name, text in chosen.parameter}
    if "dataset" in parameters:  # a path is one from here, and the lesson runs in notebooks/
        text = dict(chosen.parameter)["dataset"]  # a folder may be called 2024
        path = Path(text).expanduser()
        parameters["dataset"] = str(path.resolve()) if text not in ("auto", *DATASETS) and path.exists() else text
    if chosen.strict:
        os.environ["CL_COURSE_STRICT"] = "1"
    lessons = [(path, chosen.out / path.name) for path in _lessons(chosen.lesson, chosen.solved)]
    for path, out in lessons:
        if out.resolve() == path.resolve():
            raise ValueError(f"{path} would be written over; name another folder with --out")
        check_names(parameters, papermill.inspect_notebook(str(path)))
    resolve(**{name: value for name, value in parameters.items() if name in PARAMETERS})
    _check_folder(chosen.out)
    chosen.out.mkdir(parents=True, exist_ok=True)
    quiet = ["--log-level=ERROR"]  # for the kernel: no remarks on how it is connected
    how = {"kernel_name": "python3", "cwd": str(ROOT / "notebooks"), "extra_arguments": quiet}
    failed = []
    for path, out in lessons:
        start = time.monotonic()
        try:
            papermill.execute_notebook(str(path), str(out), parameters, progress_bar=sys.stderr.isatty(), **how)
        except papermill.exceptions.PapermillExecutionError as error:
            _say(f"{path.stem}, code cell {error.exec_count}: {error.ename}: {error.evalue}; see {out}")
            failed.append(path)
        except DeadKernelError:
            _say(f"{path.stem}: its kernel died, as it does when memory runs out; close other programs, "
                 f"or run it with -p profile quick; see {out}")
            failed.append(path)
        ended = "failed" if path in failed else "done"
        print(f"{path.stem}: {ended} in {time.monotonic() - start:.0f} s, {out}", flush=True)
    return 1 if failed else 0


def _parser() -> argparse.ArgumentParser:
    def described(make, name: str, about: str) -> argparse.ArgumentParser:
        end = f"{EXAMPLES[name]}\n\n{EXIT_CODES}"
        return make(description=about, epilog=end, formatter_class=argparse.RawDescriptionHelpFormatter)

    about = "An interactive notebook course on contrastive learning."
    parser = described(lambda **text: argparse.ArgumentParser("cl-course", **text), "", about)
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def command(name: str, function, about: str) -> argparse.ArgumentParser:
        sentence = about[0].upper() + about[1:] + "."
        added = described(lambda **text: commands.add_parser(name, help=about, **text), name, sentence)
        added.set_defaults(command=function)
        return added

    device = {"default": "auto", "help": "auto, cpu, cuda, cuda:1 or mps (default: %(default)s)"}
    command("doctor", doctor, "what this machine has, and how long each lesson takes on it")

    one = command("pretrain", pretrain, "train an encoder without labels")
    one.add_argument("source", help="shapes, cifar10, stl10, or a folder or .zip of images")
    one.add_argument("--method", default="simclr", help="simclr, moco or byol (default: %(default)s)")
    one.add_argument("--profile", default="auto",
                     help="the recipe: quick, full (as published), or auto: full on a GPU, else quick (default: auto)")
    one.add_argument("--seed", type=int, default=0, metavar="N")
    one.add_argument("--split", help="train, unlabeled, ... (default: train, and the unlabeled images of stl10 too)")
    one.add_argument("--limit", type=int, metavar="N", help="take at most so many images")
    one.add_argument("--out", type=Path, metavar="FILE",
                     help="a .safetensors file (default: build/pretrained/METHOD-SOURCE.safetensors)")
    one.add_argument("--resume", action="store_true", help="go on with a run that was stopped")
    one.add_argument("--device", **device)
    own = one.add_argument_group("in place of the recipe's own")
    own.add_argument("--encoder", help="small or resnet18")
    own.add_argument("--epochs", type=int, metavar="N")
    own.add_argument("--batch-size", type=int, metavar="N", help="images in a step; each gives two views")
    own.add_argument("--chunk-size", type=int, metavar="N",
                     help="of simclr: images in the network at a time, where memory does not hold the batch")
    own.add_argument("--learning-rate", type=float, metavar="X", help="the optimiser's peak rate")
    own.add_argument("--temperature", type=float, metavar="T", help="of simclr and moco, above 0")
    own.add_argument("--momentum", type=float, metavar="M", help="of moco's key encoder or byol's target, from 0 to 1")
    own.add_argument("--queue-size", type=int, metavar="N", help="of moco: how many earlier keys serve as negatives")
    own.add_argument("--precision", help="float32, or bfloat16: faster on a GPU")
    own.add_argument("--compile", action="store_true", default=None,
                     help="torch.compile the encoder: a minute at the start, faster steps from then on")

    one = command("evaluate", evaluate, "judge an encoder by nearest neighbours and a linear probe, beside raw pixels")
    one.add_argument("checkpoint", type=Path,
                     help="a .safetensors file with its .json card beside it, or a name that comes with the course")
    one.add_argument("source", help="labelled images: shapes, cifar10, stl10, or a folder or .zip")
    one.add_argument("--limit", type=int, metavar="N", help="take at most so many images of each split")
    one.add_argument("--seed", type=int, default=0, metavar="N")
    one.add_argument("--device", **device)

    one = command("run", run, "run a lesson, or all, without a browser")
    one.add_argument("lesson", help="03, 03_simclr, all, or the path of a notebook")
    one.add_argument("-p", "--parameter", nargs=2, action="append", default=[], metavar=("NAME", "VALUE"),
                     help="profile, dataset, seed or device; may be repeated")
    one.add_argument("--solved", action="store_true", help="with the exercises done")
    one.add_argument("--strict", action="store_true", help="a failed or missing exercise stops the lesson")
    one.add_argument("--out", type=Path, default=Path("build/course"), metavar="FOLDER",
                     help="where the run notebooks go (default: %(default)s)")
    return parser


def _check_output(out: Path, cut: Path) -> None:
    """Find out before hours of training, not after."""
    if out.suffix != ".safetensors":
        raise ValueError(f"--out must end in .safetensors, got {out}")
    for path in (out, out.with_suffix(".json"), cut):
        if path.is_dir():
            raise ValueError(f"{path} is a folder, and a file of this name has to be written; choose another --out")
    _check_folder(out.parent)


def _check_cut(out: Path, cut: Path, resume: bool) -> None:
    """Neither a finished run nor an unfinished one is written over."""
    if cut.exists() and not resume:
        raise ValueError(f"{cut} is a run that was cut off; add --resume to go on with it, or delete it")
    if out.exists() and not cut.exists():
        raise ValueError(f"{out} is there already; delete it, or name another file with --out")
    if resume and not cut.exists():
        _say(f"there is no {cut} to go on with, so this run starts at the first epoch")


def _check_folder(folder: Path) -> None:
    """Something can be written in `folder`, or in the one in which it will be made."""
    there = next(above for above in (folder.absolute(), *folder.absolute().parents) if above.exists())
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        raise ValueError(f"nothing can be written to {folder} ({there}: {error.strerror}); "
                         "name another place with --out") from error


def _recipe(chosen: argparse.Namespace, sides: tuple[int, int], device: str):
    """The recipe of the profile, changed by the options of the command line."""
    from dataclasses import replace

    from cl_course.models import ENCODERS
    from cl_course.running.recipes import SMALL, UNMEASURED, recipe
    from cl_course.running.settings import resolve
    from cl_course.values import one_of

    profile = resolve(profile=chosen.profile, seed=chosen.seed, device=device).profile
    base = recipe(chosen.method, profile, chosen.source, chosen.seed, side=sides)
    encoder = base.encoder
    if chosen.encoder is not None and one_of("encoder", chosen.encoder, tuple(ENCODERS)) != encoder["name"]:
        full = recipe(chosen.method, "full", chosen.source, side=sides)
        encoder = SMALL if chosen.encoder == "small" else full.encoder
    given = {name: value for name, value in vars(chosen).items() if value is not None}
    of_config = ("epochs", "batch_size", "chunk_size", "learning_rate", "precision", "compile")
    config = replace(base.config, **{name: given[name] for name in of_config if name in given})
    of_method = ("temperature", "momentum", "queue_size")
    settings = base.settings | {name: given[name] for name in of_method if name in given}
    changed = replace(base, encoder=encoder, settings=settings, config=config)
    return changed if changed == base else replace(changed, expected=UNMEASURED)


def _encoder(checkpoint: Path) -> tuple:
    """The encoder of a file, or the one that comes with the course under that name, and its card."""
    from cl_course.running import checkpoints

    if checkpoint.is_dir():
        raise ValueError(f"{checkpoint} is a folder; give the .safetensors file of a checkpoint")
    if checkpoint.suffix == ".safetensors":
        return checkpoints.restore(checkpoint)
    beside = checkpoint.with_suffix(".safetensors") if checkpoint.suffix else checkpoint
    if not checkpoint.exists() and not checkpoint.suffix and len(checkpoint.parts) == 1:
        return checkpoints.shipped(str(checkpoint))
    names = ", ".join(sorted(path.stem for path in checkpoints.SHIPPED.glob("*.safetensors")))
    instead = beside if beside.is_file() and beside != checkpoint else f"such a file, or one of {names}"
    raise ValueError(f"{checkpoint} is not the .safetensors file of a checkpoint; give {instead}")


def _lessons(name: str, solved: bool) -> list[Path]:
    """The notebooks to run; solved ones are made from their sources first."""
    if name.endswith(".ipynb"):
        return [_notebook(Path(name))]
    if not (ROOT / "notebooks" / "build.py").exists():
        raise FileNotFoundError("the lessons are not here: run this from a checkout of the course "
                                "installed with pip install -e .")
    stems = sorted(path.stem for path in (ROOT / "notebooks" / "src").glob("[0-9][0-9]_*.py"))
    chosen = stems if name == "all" else [stem for stem in stems if stem == name or stem.startswith(f"{name:0>2}_")]
    if not chosen:
        raise ValueError(f"there is no lesson {name!r}; take {', '.join([*stems, 'all'])}, or the path of an .ipynb")
    if solved:
        build = [sys.executable, ROOT / "notebooks" / "build.py", "--solved-only", *chosen]
        made = subprocess.run(build, capture_output=True, text=True, check=False)
        if made.returncode:
            silent = f"building the solved lessons ended with {made.returncode} and said nothing"
            raise ValueError((made.stderr.strip().splitlines() or [silent])[-1])
    folder = ROOT / "build" / "solved" if solved else ROOT / "notebooks"
    paths = [folder / f"{stem}.ipynb" for stem in chosen]
    if missing := [path.name for path in paths if not path.exists()]:
        raise FileNotFoundError(f"{', '.join(missing)} not built yet; run make notebooks")
    return paths


def _notebook(path: Path) -> Path:
    """`path`, if it is a notebook that can be run."""
    import nbformat

    if not path.is_file():
        raise FileNotFoundError(f"there is no notebook {path}")
    try:
        cells = nbformat.read(path, as_version=4).get("cells")
    except Exception as error:  # nbformat raises several kinds, depending on what the file holds instead
        raise ValueError(f"{path} is not a notebook; open it in JupyterLab, or give the path of another") from error
    if not any(cell.cell_type == "code" for cell in cells or []):
        raise ValueError(f"{path} has no code cells, so there is nothing to run; give the path of another notebook")
    return path


def _value(text: str) -> str | int | float | bool | None:
    """What a parameter's text means: a number, true, false, none, or itself."""
    words = {"true": True, "false": False, "none": None}
    if text.lower() in words:
        return words[text.lower()]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
