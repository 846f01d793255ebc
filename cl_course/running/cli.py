"""The command line: look at the machine, pre-train, judge and use encoders, run lessons, hand out and mark coursework.

Everything heavy is imported inside the command that needs it, so that `--help` answers at once.
"""

import argparse
import io
import os
import signal
import sys
import warnings
from collections.abc import Sequence
from contextlib import nullcontext, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

from cl_course.coursework import commands as coursework
from cl_course.running import encoder_commands
from cl_course.running.outputs import check_file, check_folder
from cl_course.values import path_of

EXIT_CODES = """\
exit codes: 0 done, 1 not done (one line on stderr says why), 2 wrong usage, 130 Ctrl-C, 143 SIGTERM (kill)"""

EXAMPLES = {
    "": """examples:
  cl-course doctor
  cl-course pretrain shapes --epochs 20 --out simclr.safetensors
  cl-course evaluate simclr.safetensors shapes
  cl-course report simclr.safetensors shapes -o report.html
  cl-course run 03 -p seed 1""",
    "doctor": "example:\n  cl-course doctor",
    "pretrain": """examples:
  cl-course pretrain shapes                                the drawn set of the course, a minute on two cores
  cl-course pretrain cifar10 --profile full --method byol  ResNet-18 by the published recipe, for a GPU
  cl-course pretrain photos.zip --out photos.safetensors
  cl-course pretrain cifar10 --resume                      go on with a run that was stopped
  cl-course pretrain cifar10 --profile full --processes 4  on 4 GPUs, which share each batch
  torchrun --nproc-per-node=4 -m cl_course pretrain cifar10 --profile full     the same, also on several machines""",
    "run": """examples:
  cl-course run 03                                     as a learner opens it, into build/course/
  cl-course run 03 -p profile full -p dataset cifar10  with other parameters
  cl-course run all --solved --strict                  every lesson with its exercises done; one that fails stops it""",
    **encoder_commands.EXAMPLES,
    **coursework.EXAMPLES,
}
IN_PLACE = {  # of the recipe's own: option -> type, what it stands for, help
    "encoder": (str, "NAME", "small or resnet18"),
    "epochs": (int, "N", None),
    "batch_size": (int, "N", "images in a step; each gives two views"),
    "chunk_size": (int, "N", "of simclr, barlow_twins, vicreg: images in the network at a time, for little memory"),
    "learning_rate": (float, "X", "the optimiser's peak rate"),
    "temperature": (float, "T", "of simclr and moco, above 0"),
    "momentum": (float, "M", "of moco's key encoder or byol's target, from 0 to 1"),
    "queue_size": (int, "N", "of moco: how many earlier keys serve as negatives"),
    "precision": (str, "NAME", "float32, or bfloat16: faster on a GPU"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code. User errors are one line on stderr, never a traceback."""
    before = signal.getsignal(signal.SIGTERM)
    given = argparse.Namespace(arguments=sys.argv[1:] if arguments is None else arguments)
    speaks = os.environ.get("RANK", "0") == "0"  # of the processes that torchrun starts, the others are silent
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a file's name may have letters that the terminal lacks
    try:
        with open(os.devnull, "w") as nowhere:
            out, error = (sys.stdout, sys.stderr) if speaks else (nowhere, nowhere)
            with redirect_stdout(out), redirect_stderr(error):
                code, problem = _run(_parser().parse_args(given.arguments, given))
        if problem is not None:
            from cl_course.distributed import first_to_fail

            if first_to_fail():
                _say(problem)
        return code
    finally:
        signal.signal(signal.SIGTERM, before)


def _run(chosen: argparse.Namespace) -> tuple[int, Any]:
    """The exit code of a command, and what to say of a failure; from then on SIGTERM is ignored, so that it is said."""
    signal.signal(signal.SIGTERM, _stop)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = lambda message, *where: _say(message)
            return chosen.command(chosen), None
    except KeyboardInterrupt as stop:
        code = 128 + (stop.args[0] if stop.args else signal.SIGINT)
        return code, "".join(["stopped", *getattr(stop, "__notes__", [])])
    except (ValueError, OSError, FloatingPointError) as error:
        return 1, error
    except MemoryError as error:
        return 1, f"this machine's memory is too small for that: {str(error) or 'it gives no more'}"
    except RuntimeError as error:
        from cl_course.distributed import lost

        on_pictures = "take --device cpu, or a smaller --limit or --size"  # what other commands do not have
        advice = {"smaller": on_pictures if hasattr(chosen, "size") else "free some memory", "again": "start again"}
        if (what := lost(error, **({} if chosen.command is pretrain else advice))) is None:
            raise
        return 1, what
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)


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

    from cl_course import data, distributed, train
    from cl_course.files import alone
    from cl_course.running import checkpoints
    from cl_course.running.machine import pick_device
    from cl_course.running.plans import duration, plan

    if chosen.processes is not None and "TORCHELASTIC_RUN_ID" not in os.environ:  # which torchrun sets
        batch = _recipe(chosen, (32, 32), pick_device(chosen.device).type).config.batch_size
        return distributed.launch(chosen.processes, chosen.arguments, batch)
    out = chosen.out or Path("build/pretrained") / f"{chosen.method}-{Path(chosen.source).stem}.safetensors"
    cut = out.with_suffix(".run")  # the state of an unfinished run
    _check_output(out, cut)
    device = distributed.join(pick_device(chosen.device), chosen.processes)
    writes = distributed.rank() == 0
    # What is wrong with the options is found before any data is fetched, on pictures that take no memory.
    recipe = _recipe(chosen, (32, 32), device.type)
    many = 10**6 if chosen.limit is None or chosen.limit < 1 else min(chosen.limit, 10**6)
    stand_in = data.ImageSet(torch.zeros(1, 3, 32, 32, dtype=torch.uint8).expand(many, -1, -1, -1),
                             torch.arange(many) % 2, ("a class", "another"))
    method = recipe.build(stand_in, device)
    train.check_run(method, stand_in, recipe.config)
    split = "train" if method.uses_labels and chosen.split is None else chosen.split
    with alone(cut) if writes else nullcontext():
        if writes:
            _check_cut(out, cut, chosen.resume)
        wanted = {"limit": chosen.limit, "seed": chosen.seed, "size": chosen.size}
        images = (data.load(chosen.source, split, **wanted) if split
                  else data.pretraining_images(chosen.source, **wanted))
        recipe = _recipe(chosen, tuple(images.images.shape[-2:]), device.type)
        method = recipe.build(images, device)
        print(plan(recipe, images, device))
        print(f"{'into':<10} {out}", flush=True)

        def tell(row: dict, _: Any) -> None:
            tqdm.write(f"epoch {row['epoch']:>4} of {recipe.config.epochs}   loss {row['loss']:.4f}   "
                       f"{row['seconds']:.1f} s")

        try:
            history = train.pretrain(method, images, recipe.config, on_epoch=tell, resume=cut)
        except KeyboardInterrupt as stop:
            goes_on = f"; the same command with --resume goes on after the last whole epoch ({cut})"
            stop.add_note(goes_on if cut.exists() else " before the first epoch was done, so nothing is kept")
            raise
        of_split = f" of split {split}" if split else ""
        labels = "with" if method.uses_labels else "without"
        described = f"{chosen.source}, {len(images):,} images{of_split}, {labels} their labels"
        how = {"encoder": recipe.encoder, "head": recipe.head, **recipe.settings, "config": asdict(recipe.config)}
        became = {"minutes": round(history.seconds / 60, 2), "loss": history.column("loss"), "torch": torch.__version__}
        card = {"method": recipe.method, "data": described, "images": len(images)} | how | became
        if writes:
            checkpoints.save(out, method.encoder, card)
            cut.unlink(missing_ok=True)
    distributed.leave()
    print(f"done in {duration(history.seconds)}: cl-course evaluate {out} {chosen.source}")
    return 0


def run(chosen: argparse.Namespace) -> int:
    """Lessons from top to bottom without a browser; wrong parameters are refused before anything starts."""
    from cl_course.running.headless import run_lessons

    check_folder(chosen.out)
    if chosen.strict:
        os.environ["CL_COURSE_STRICT"] = "1"
    return 1 if run_lessons(chosen.lesson, dict(chosen.parameter), chosen.out, chosen.solved, _say) else 0


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

    profiles = "the recipe: quick, full (as published), or auto: full on a GPU, else quick (default: auto)"
    device = {"default": "auto", "help": "auto, cpu, cuda, cuda:1 or mps (default: %(default)s)"}
    command("doctor", doctor, "what this machine has, and how long each lesson takes on it")

    one = command("pretrain", pretrain, "train an encoder without labels")
    one.add_argument("source", help="shapes, cifar10, stl10, or a folder or .zip of images")
    one.add_argument("--method", default="simclr", help="simclr, moco, byol, supcon, simsiam, barlow_twins, vicreg or "
                     "dino (default: %(default)s)")
    one.add_argument("--profile", default="auto", help=profiles)
    one.add_argument("--seed", type=int, default=0, metavar="N")
    one.add_argument("--split", help="train, unlabeled, ... (default: train, and the unlabeled images of stl10 too)")
    one.add_argument("--limit", type=int, metavar="N", help="take at most so many images")
    one.add_argument("--size", type=int, metavar="N", help="pixels a side, of images of a folder or .zip")
    one.add_argument("--out", type=path_of, help="a .safetensors file (default: in build/pretrained/, METHOD-SOURCE)")
    one.add_argument("--resume", action="store_true", help="go on with a run that was stopped")
    one.add_argument("--device", **device)
    one.add_argument("--processes", type=int, metavar="N", help="that share each batch, each with a GPU of its own")
    own = one.add_argument_group("in place of the recipe's own")
    for name, (kind, letter, about) in IN_PLACE.items():
        own.add_argument(f"--{name.replace('_', '-')}", type=kind, metavar=letter, help=about)
    own.add_argument("--compile", action="store_true", default=None, help="a slow start, then faster steps on a GPU")
    own.add_argument("--checkpointing", action="store_true", default=None,
                     help="less memory and slower steps: activations are computed again; the numbers are the same")

    encoder_commands.add_to(command, device)

    one = command("run", run, "run a lesson, or all, without a browser")
    one.add_argument("lesson", help="03, 03_simclr, all, or the path of a notebook")
    one.add_argument("-p", "--parameter", nargs=2, action="append", default=[], metavar=("NAME", "VALUE"),
                     help="profile, dataset, seed or device; may be repeated")
    one.add_argument("--solved", action="store_true", help="with the exercises done")
    one.add_argument("--strict", action="store_true", help="a failed or missing exercise stops the lesson")
    one.add_argument("--out", type=path_of, default=Path("build/course"), help="a folder (default: %(default)s)")
    coursework.add(command)
    return parser


def _check_output(out: Path, cut: Path) -> None:
    """Find out before hours of training, not after."""
    from cl_course.running import checkpoints

    if out.suffix != ".safetensors":
        raise ValueError(f"--out must end in .safetensors, got {out}")
    for path in (out, out.with_suffix(".json"), cut):
        check_file(path)
    checkpoints.check_card_file(out)


def _check_cut(out: Path, cut: Path, resume: bool) -> None:
    """Neither a finished run nor an unfinished one is written over."""
    if cut.exists() and not resume:
        raise ValueError(f"{cut} is a run that was cut off; add --resume to go on with it, or delete it")
    if out.exists() and not cut.exists():
        raise ValueError(f"{out} is there already; delete it, or name another file with --out")
    if resume and not cut.exists():
        _say(f"there is no {cut} to go on with, so this run starts at the first epoch")


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
    names = [*IN_PLACE, "compile", "checkpointing"]
    given = {name: getattr(chosen, name) for name in names if getattr(chosen, name) is not None and name != "encoder"}
    of_config = {name: given.pop(name) for name in list(given) if hasattr(base.config, name)}
    config, settings = replace(base.config, **of_config), base.settings | given
    changed = replace(base, encoder=encoder, settings=settings, config=config)
    as_measured = changed == base and chosen.limit is chosen.split is chosen.size is None
    return changed if as_measured else replace(changed, expected=UNMEASURED)
