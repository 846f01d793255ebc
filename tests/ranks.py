"""What each process of test_distributed.py does; started once for each rank, with torchrun's variables set.

python tests/ranks.py FOLDER
"""

import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import torch

from cl_course import distributed
from cl_course.data import ImageSet, load
from cl_course.methods import Method, build
from cl_course.models import small_resnet
from cl_course.train import TrainConfig, pretrain

CONFIG = TrainConfig(epochs=1, batch_size=16, optimizer="sgd", learning_rate=0.05)  # five steps of 80 images
HEAD = {"hidden_dim": 16, "out_dim": 16}
SHUFFLED = {"queue_size": 40, "momentum": 0.9, "key_norm": "shuffled", "norm_groups": 4}
CASES = {
    "simclr": ("simclr", {}),
    "moco": ("moco", {"queue_size": 40, "momentum": 0.9}),  # its queue goes round more than once
    "moco, shuffled": ("moco", SHUFFLED),
    "moco, shuffled and symmetric": ("moco", SHUFFLED | {"symmetric": True}),
    "byol": ("byol", {"momentum": 0.9, "total_steps": 5, "predictor_rate": 2.0}),
}


class Killed(Exception):
    pass


def images() -> ImageSet:
    return load("shapes", "train", limit=80)


def method(case: str, seed: int = 0) -> Method:
    torch.manual_seed(seed)
    name, settings = CASES[case]
    return build(name, small_resnet(4), HEAD, **settings)


def trained(case: str, config: TrainConfig = CONFIG, seed: int = 0, **how) -> dict:
    one = method(case, seed)
    losses = pretrain(one, images(), config, **how).column("loss")
    return {"losses": losses, "weights": one.state_dict()}


def resumed(folder: Path, config: TrainConfig) -> dict:
    """A run that all processes break off in its second epoch, and begin again from other weights."""

    def dies(row, _):
        if row["epoch"] == 2:
            raise Killed

    with suppress(Killed):
        trained("moco", config, resume=folder / "run.pt", on_epoch=dies)
    return trained("moco", config, seed=5, resume=folder / "run.pt")


def refused(call) -> str:
    try:
        call()
    except ValueError as error:
        return str(error)
    return ""


def main(folder: Path) -> None:
    distributed.join(torch.device("cpu"))
    rank = distributed.rank()
    results = {case: trained(case, seed=rank) for case in CASES}  # process 0's weights are those that count
    long = replace(CONFIG, epochs=3)
    results |= {"unbroken": trained("moco", long), "resumed": resumed(folder, long)}

    other = ImageSet(images().images ^ rank)
    first = method("simclr")
    results["refused"] = {
        "torch": refused(lambda: distributed.agree({"torch": f"2.{6 + rank}.0"})),
        "batches": refused(lambda: pretrain(first, images(), replace(CONFIG, batch_size=16 * (1 + rank)))),
        "images": refused(lambda: pretrain(first, other, CONFIG)),
        "no equal shares": refused(lambda: pretrain(first, images(), replace(CONFIG, batch_size=15))),
        "chunks": refused(lambda: pretrain(first, images(), replace(CONFIG, chunk_size=4))),
        "groups": refused(lambda: pretrain(build("moco", small_resnet(4), norm_groups=3), images(), CONFIG)),
    }
    results["first to fail"] = distributed.first_to_fail()
    torch.save(results, folder / f"{rank}.pt")
    distributed.leave()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
