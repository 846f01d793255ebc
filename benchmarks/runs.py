"""What the recording scripts share.

A run and its measurements are done once and kept in build/runs; encoders are kept in build/encoders.
"""

import hashlib
import inspect
import json
import os
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import torch
from torch import nn

from cl_course.data import ImageSet, load
from cl_course.evaluate import factor_probe, knn_accuracy, linear_probe
from cl_course.files import write_atomically
from cl_course.finetune import FineTuneConfig
from cl_course.methods import SimCLR
from cl_course.models import projector, small_resnet
from cl_course.running import checkpoints, recipes
from cl_course.running.machine import describe_machine
from cl_course.train import TrainConfig, pretrain

KEPT = Path(__file__).parent.parent / "build" / "runs"
ENCODERS = Path(__file__).parent.parent / "build" / "encoders"
FACTORS = ("object_hue", "background_hue", "position", "scale", "angle")


def shapes() -> list[ImageSet]:
    """The embedded set: training, validation and test images."""
    return [load("shapes", split) for split in ("train", "val", "test")]


def judge(train, val, test, features: Callable[[object], torch.Tensor], *, probes: bool = False) -> dict:
    """On test: kNN accuracy, and that of the linear probe which validation chose.

    With `probes`, also what the features tell of each factor.
    """
    train_h, val_h, test_h = (features(images) for images in (train, val, test))
    linear = linear_probe(train_h, train.labels, val_h, val.labels, test_h, test.labels)
    measured = {
        "knn": round(knn_accuracy(train_h, train.labels, test_h, test.labels), 4),
        "linear": round(linear.accuracy, 4),
    }
    if probes:
        of_train, of_test = ({name: images.factors[name] for name in FACTORS} for images in (train, test))
        scores = factor_probe(train_h, of_train, test_h, of_test)
        measured["probes"] = {"class": measured["linear"]} | {name: round(score, 4) for name, score in scores.items()}
    return measured


def simclr(seed: int, config: TrainConfig, temperature: float = 0.3) -> SimCLR:
    """The course's quick SimCLR, trained on shapes."""
    torch.manual_seed(seed)
    encoder = small_resnet()
    method = SimCLR(encoder, projector(encoder.dim), temperature)
    pretrain(method, load("shapes", "train"), replace(config, seed=seed))
    return method


def keep_encoder(encoder: nn.Module, row: str, dataset: str, seed: int, card: dict) -> str:
    """Keep the encoder of a row of the results table, for the recordings that go on from it.

    The card says how to rebuild it.

    Returns:
        The file's name, for the run's "keeps": `once` runs again where such a file is gone.
    """
    path = _of_row(row, dataset, seed)
    checkpoints.save(path, encoder, {"method": row, "data": dataset, "seed": seed} | card)
    return path.name


def kept_encoder(row: str, dataset: str, seed: int) -> nn.Module:
    """The encoder that `record_results.py` kept.

    Raises:
        FileNotFoundError: it has not been run for that data set, or the settings have changed since.
    """
    path = _of_row(row, dataset, seed)
    if not path.exists():
        raise FileNotFoundError(
            f"{path.name} is not in build/encoders; run benchmarks/record_results.py {dataset} first"
        )
    return checkpoints.restore(path)[0]


def _of_row(row: str, dataset: str, seed: int) -> Path:
    return ENCODERS / f"{row.lower().removesuffix(' encoder')}_{dataset}_{seed}_{_digest()}.safetensors"


def _digest(*more: str) -> str:
    """A hash of the settings that all runs share, and of `more`.

    It does not know the package's code: empty build/ after changing that.
    """
    files = (
        Path(__file__),
        Path(inspect.getfile(recipes)),
        Path(__file__).with_name("record_results.py"),
    )  # that has the comparison's epochs and images
    settings = [torch.__version__, repr(TrainConfig()), repr(FineTuneConfig())]
    return hashlib.sha256(json.dumps([*(file.read_text() for file in files), *settings, *more]).encode()).hexdigest()[
        :12
    ]


def once(name: str, job: Callable[..., dict], arguments: dict) -> dict:
    """`job(**arguments)`, unless a run with the same arguments is kept: a stopped recording goes on where it was."""
    key = _digest(name, json.dumps(arguments, sort_keys=True), Path(inspect.getfile(job)).read_text())
    path = KEPT / f"{name}-{key}.json"
    if path.exists():
        run = json.loads(path.read_text())
        if all((ENCODERS / file).exists() for file in run.get("keeps", [])):
            return run
    torch.set_num_threads(1)
    start = time.process_time()
    run = job(**arguments)
    run["cpu_seconds"] = round(time.process_time() - start, 1)
    write_atomically(path, lambda temporary: temporary.write_text(json.dumps(run)))
    print(f"{name} {arguments} -> { ({k: v for k, v in run.items() if isinstance(v, float)}) }", flush=True)
    return run


def record_all(name: str, job: Callable[..., dict], settings: list[dict]) -> tuple[list[dict], float]:
    """Run every setting, one process a core with one thread each: (runs in the settings' order, processor minutes)."""
    os.environ["OMP_NUM_THREADS"] = "1"  # for the processes: each sets its own number only once it runs
    with ProcessPoolExecutor(describe_machine()["cores"], mp_context=get_context("spawn")) as pool:
        runs = [future.result() for future in [pool.submit(once, name, job, setting) for setting in settings]]
    for run in runs:
        run.pop("keeps", None)  # of this machine alone
    return runs, sum(run.pop("cpu_seconds") for run in runs) / 60
