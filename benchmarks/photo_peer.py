"""lightly's SimCLR on CIFAR-10, in lightly's own loop: the peer of `record_photos.py`.

Its transform, loss and head, and the settings of its CIFAR-10 benchmark
(docs/source/getting_started/benchmarks/cifar10_benchmark.py): SGD at 0.06 for batches of 128, momentum
0.9, decay 5e-4, temperature 0.5, a cosine without warm-up, float32. Only the encoder is ours.
"""

import copy
import math
import time
from collections.abc import Callable
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from cl_course.files import write_atomically

BATCH_SIZE, TEMPERATURE, RATE, DECAY = 128, 0.5, 0.06, 5e-4
TIMED = 20  # steps, from which the number of epochs follows
CONFIG = {
    "batch_size": BATCH_SIZE,
    "optimizer": "sgd",
    "learning_rate": RATE,
    "momentum": 0.9,
    "weight_decay": DECAY,
    "temperature": TEMPERATURE,
    "precision": "float32",
    "augment": "lightly.transforms.SimCLRTransform",
}


class Pictures(Dataset):
    """What lightly's transform takes: PIL images, one at a time."""

    def __init__(self, images: Tensor, transform: Callable):
        self.images, self.transform = images.permute(0, 2, 3, 1).numpy(), transform

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, i: int) -> tuple[Tensor, Tensor]:
        view1, view2 = self.transform(Image.fromarray(self.images[i]))
        return view1, view2


def lightly_run(
    encoder: nn.Module, images: Tensor, minutes: float, seed: int, file: Path, watch: Callable
) -> tuple[nn.Module, list[dict], dict]:
    """Train `encoder` on uint8 images (n, 3, 32, 32) for about `minutes`: encoder, one row an epoch, settings.

    Args:
        minutes: of one core; the number of whole epochs that fit follows from a few timed steps.
        file: keeps the run after every epoch; a stopped one goes on from there.
        watch: makes of the number of epochs what is called with each epoch's row and the encoder.
    """
    from lightly.loss import NTXentLoss
    from lightly.models.modules import SimCLRProjectionHead
    from lightly.transforms import SimCLRTransform

    torch.manual_seed(seed)
    # Without normalisation, since the encoder is judged on pixels from 0 to 1, as ours is.
    transform = SimCLRTransform(input_size=32, cj_strength=0.5, gaussian_blur=0.0, normalize=None)
    batches = DataLoader(Pictures(images, transform), BATCH_SIZE, shuffle=True, drop_last=True)
    model, criterion = nn.Sequential(encoder, SimCLRProjectionHead(encoder.dim, 512, 128)), NTXentLoss(TEMPERATURE)
    optimizer = torch.optim.SGD(model.parameters(), RATE, momentum=0.9, weight_decay=DECAY)

    def step(view1: Tensor, view2: Tensor) -> Tensor:
        loss = criterion(model(view1), model(view2))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach()

    kept = torch.load(file, weights_only=True) if file.exists() else None
    if kept is None:
        an_epoch = _seconds_a_step(step, batches, model) * len(batches)
        kept = {"epochs": max(1, round(60 * minutes / an_epoch)), "rows": []}
        optimizer.state.clear()  # of the timed steps
        torch.manual_seed(seed)
    else:
        model.load_state_dict(kept["model"])
        optimizer.load_state_dict(kept["optimizer"])
        torch.manual_seed(seed + 1000 * len(kept["rows"]))  # other views than those of the epochs before
    rows, epochs = kept["rows"], kept["epochs"]
    seen = watch(epochs)
    for epoch in range(len(rows), epochs):
        start, losses = time.perf_counter(), []
        for done, (view1, view2) in enumerate(batches):
            progress = (epoch * len(batches) + done) / (epochs * len(batches))
            for group in optimizer.param_groups:
                group["lr"] = RATE * (1 + math.cos(math.pi * progress)) / 2
            losses.append(step(view1, view2))
        row = {"epoch": epoch + 1, "loss": float(torch.stack(losses).mean()), "seconds": time.perf_counter() - start}
        rows.append(row | seen(row, encoder))
        model.train()
        state = {"epochs": epochs, "rows": rows, "model": model.state_dict(), "optimizer": optimizer.state_dict()}
        write_atomically(file, lambda temporary, state=state: torch.save(state, temporary))
    return encoder, rows, CONFIG


def _seconds_a_step(step: Callable, batches: DataLoader, model: nn.Module) -> float:
    """Processor seconds of a step with its views; the model is put back."""
    before = copy.deepcopy(model.state_dict())
    for done, views in zip(range(TIMED + 1), batches, strict=False):
        step(*views)
        if done == 0:  # the first, cold one does not count
            start = time.process_time()
    seconds = (time.process_time() - start) / TIMED
    model.load_state_dict(before)
    return seconds
