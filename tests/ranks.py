"""What each process of test_distributed.py does: torchrun ... tests/ranks.py FOLDER writes FOLDER/RANK.pt."""

import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import torch
from torch import Tensor

from cl_course import distributed, train
from cl_course.data import ImageSet, load
from cl_course.methods import Method, build
from cl_course.models import small_resnet
from cl_course.train import TrainConfig, pretrain

CONFIG = TrainConfig(epochs=1, batch_size=16, optimizer="sgd", learning_rate=0.05)  # five steps of 80 images
LONG = replace(CONFIG, epochs=3)
HEAD = {"hidden_dim": 16, "out_dim": 16, "norm_output": True}
SHUFFLED = {"queue_size": 40, "momentum": 0.9, "key_norm": "shuffled", "norm_groups": 4}
CASES = {
    "simclr": ("simclr", {}),
    "moco": ("moco", {"queue_size": 40, "momentum": 0.9}),  # its queue goes round twice
    "moco, shuffled": ("moco", SHUFFLED),
    "moco, shuffled and symmetric": ("moco", SHUFFLED | {"symmetric": True}),
    "byol": ("byol", {"momentum": 0.9, "total_steps": 5, "predictor_rate": 2.0}),
    "supcon": ("supcon", {}),
    "simsiam": ("simsiam", {}),
    "barlow_twins": ("barlow_twins", {"redundancy_weight": 0.1}),
    "vicreg": ("vicreg", {}),
    "dino": ("dino", {"momentum": 0.9, "total_steps": 5}),
}
RESUMED = ("simclr", "moco", "moco, shuffled", "byol", "dino")


class Stopped(Exception):
    pass


def images() -> ImageSet:
    loaded = load("shapes", "train", limit=80)
    return ImageSet(loaded.images[:, :, ::2, ::2], loaded.labels, loaded.class_names)  # of 16 x 16 pixels


def method(case: str, seed: int = 0) -> Method:
    torch.manual_seed(seed)
    name, settings = CASES[case]
    return build(name, small_resnet(4), HEAD, **settings)


def exact(case: str, seed: int = 0, config: TrainConfig = CONFIG) -> dict:
    """Five steps in float64, where no rounding hides a wrong gradient: each loss, and all weights and buffers."""
    one, losses, step = method(case, seed).double(), [], train.train_step

    def noted(*arguments) -> Tensor:
        losses.append(step(*arguments))
        return losses[-1]

    in_float64 = {"to_float": lambda batch: batch.double() / 255, "check_run": lambda *run: None, "train_step": noted}
    with patch.multiple(train, **in_float64):
        pretrain(one, images(), config)
    return {"losses": distributed.average(torch.stack(losses)), "weights": one.state_dict()}


def trained(case: str, seed: int = 0, **how) -> dict:
    one = method(case, seed)
    return {"losses": pretrain(one, images(), LONG, **how).column("loss"), "weights": one.state_dict()}


def resumed(case: str, file: Path) -> dict:
    """A run that all processes break off in its second epoch, and begin again from other weights."""

    def breaks_off(row: dict, _: Method) -> None:
        if row["epoch"] == 2:
            raise Stopped

    with suppress(Stopped):
        trained(case, resume=file, on_epoch=breaks_off)
    return trained(case, seed=5, resume=file)


def said(call, *arguments, **how) -> str:
    try:
        call(*arguments, **how)
    except ValueError as error:
        return str(error)
    return "nothing"


def refused(folder: Path) -> dict[str, str]:
    """What is said where this process, or all of them, are given something that does not fit."""
    rank, one = distributed.rank(), method("simclr")
    three_groups = build("moco", small_resnet(4), norm_groups=3, queue_size=40)
    return {
        "torch": said(distributed.agree, {"torch": f"2.{6 + rank}.0"}),
        "batch sizes": said(pretrain, one, images(), replace(CONFIG, batch_size=16 * (1 + rank))),
        "checkpointing": said(pretrain, one, images(), replace(CONFIG, checkpointing=rank == 1)),
        "images": said(pretrain, one, ImageSet(images().images ^ rank), CONFIG),
        "images of an estimate": said(train.estimate, one, ImageSet(images().images ^ rank), CONFIG),
        "a checkpoint": said(trained, "moco", resume=folder / f"{'moco' if rank == 0 else 'none'}.run"),
        "no equal shares": said(pretrain, one, images(), replace(CONFIG, batch_size=15)),
        "chunks": said(pretrain, one, images(), replace(CONFIG, chunk_size=4)),
        "groups": said(pretrain, three_groups, images(), CONFIG),
        "networks": said(pretrain, wider(4 + rank), images(), CONFIG),
        "networks of an estimate": said(train.estimate, wider(4 + rank), images(), CONFIG),
        "what is trained": said(pretrain, frozen(rank == 1), images(), CONFIG),
    }


def wider(width: int) -> Method:
    return build("simclr", small_resnet(width), HEAD)


def frozen(stem: bool) -> Method:
    one = method("simclr")
    one.encoder.stem.requires_grad_(not stem)
    return one


def written(folder: Path) -> int:
    """How many checkpoints this process writes in a run of three epochs."""
    with patch("cl_course.resume.write_state") as write:
        trained("simclr", resume=folder / "written.run")
    return write.call_count


def main(folder: Path) -> None:
    distributed.join(torch.device("cpu"))
    rank = distributed.rank()
    results = {case: exact(case, seed=rank) for case in CASES}  # it is the weights of process 0 that count
    results["checkpointed"] = exact("simclr", rank, replace(CONFIG, checkpointing=True))
    results["unbroken"] = {case: trained(case) for case in RESUMED}
    results["resumed"] = {case: resumed(case, folder / f"{case}.run") for case in RESUMED}
    results["refused"] = refused(folder)
    results["written"] = written(folder)
    results["gathered"] = distributed.gather(distributed.share(torch.arange(12.0)))
    results["seconds"] = train.estimate(method("simclr"), images(), CONFIG)
    results["first to fail"] = distributed.first_to_fail()
    torch.save(results, folder / f"{rank}.pt")
    distributed.leave()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
