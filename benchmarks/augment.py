"""Views per second on one core: ours, lightly, torchvision v2 and kornia, the same recipe at 32x32.

    python benchmarks/augment.py [--rounds 7]

The recipe is SimCLR's (crop 0.08-1, flip, jitter 0.8 / 0.8 / 0.8 / 0.2 at 0.8, grey 0.2), once
without and once with its blur at 0.5. One process, one thread; the four take turns, so that a
slower minute of the machine slows them alike; the median of the rounds is reported, with the
smallest and the largest, in processor time, so that other work on the machine counts little.
Each starts from what it expects: ours and kornia from a batch of floats, torchvision from one
uint8 tensor at a time, lightly from PIL images.
"""

import argparse
import statistics
import sys
import time
import warnings
from collections.abc import Callable

import torch

BATCH, PER_IMAGE_BATCH = 512, 64  # views a call; the two that go image by image get fewer
ROUND = (
    0.2  # seconds of calls, one after the other, for each in a round: the first finds cold memory, as in no steady work
)
BARS = {"lightly": 15, "kornia": 5}  # how many times faster ours has to be


def ours(blur: float) -> Callable[[], int]:
    from cl_course.augment import AugmentConfig, augment

    config = AugmentConfig(crop=(0.08, 1), brightness=0.8, contrast=0.8, saturation=0.8, hue=0.2, grey=0.2, blur=blur)
    images = torch.rand(BATCH, 3, 32, 32)
    return lambda: len(augment(images, config))


def lightly(blur: float) -> Callable[[], int]:
    from lightly.transforms import SimCLRTransform
    from torchvision.transforms.functional import to_pil_image

    transform = SimCLRTransform(input_size=32, gaussian_blur=blur, normalize=None)  # its other defaults are the recipe
    images = [to_pil_image(image) for image in torch.rand(PER_IMAGE_BATCH // 2, 3, 32, 32)]
    return lambda: sum(len(transform(image)) for image in images)


def torchvision(blur: float) -> Callable[[], int]:
    from torchvision.transforms import v2

    steps = [
        v2.RandomResizedCrop(32, scale=(0.08, 1), antialias=True),
        v2.RandomHorizontalFlip(0.5),
        v2.RandomApply([v2.ColorJitter(0.8, 0.8, 0.8, 0.2)], p=0.8),
        v2.RandomGrayscale(0.2),
        *([v2.RandomApply([v2.GaussianBlur(3, (0.1, 2.0))], p=blur)] if blur else []),
        v2.ToDtype(torch.float32, scale=True),
    ]
    transform = v2.Compose(steps)
    images = torch.randint(0, 256, (PER_IMAGE_BATCH, 3, 32, 32), dtype=torch.uint8)
    return lambda: len(torch.stack([transform(image) for image in images]))


def kornia(blur: float) -> Callable[[], int]:
    import kornia.augmentation as K

    steps = [
        K.RandomResizedCrop((32, 32), scale=(0.08, 1)),
        K.RandomHorizontalFlip(p=0.5),
        K.ColorJitter(0.8, 0.8, 0.8, 0.2, p=0.8),
        K.RandomGrayscale(p=0.2),
        *([K.RandomGaussianBlur((3, 3), (0.1, 2.0), p=blur)] if blur else []),
    ]
    transform = K.AugmentationSequential(*steps, data_keys=["input"])
    images = torch.rand(BATCH, 3, 32, 32)
    return lambda: len(transform(images))


def measure(rounds: int, blur: float) -> dict[str, list[float]]:
    """Views per second of each round."""
    contestants = {make.__name__: make(blur) for make in (ours, lightly, torchvision, kornia)}
    for run in contestants.values():
        run()  # warm-up
    speeds = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, run in contestants.items():
            start, views = time.process_time(), 0
            while (spent := time.process_time() - start) < ROUND:
                views += run()
            speeds[name].append(views / spent)
    return speeds


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7, help="at least 5")
    rounds = max(5, parser.parse_args().rounds)
    torch.set_num_threads(1)
    torch.manual_seed(0)
    warnings.filterwarnings("ignore")  # the peers' deprecation notes
    missed = []
    print(f"views per second, one thread, 32x32, median of {rounds} interleaved rounds (smallest - largest)")
    for blur in (0.0, 0.5):
        print(f"\nblur at {blur}")
        speeds = measure(rounds, blur)
        median = {name: statistics.median(values) for name, values in speeds.items()}
        for name, values in speeds.items():
            times = "" if name == "ours" else f"   ours is {median['ours'] / median[name]:5.1f} times as fast"
            print(f"  {name:12} {median[name]:9,.0f}  ({min(values):,.0f} - {max(values):,.0f}){times}")
        missed += [f"{peer} with blur {blur}" for peer, bar in BARS.items() if median["ours"] < bar * median[peer]]
    print(
        "\nevery bar is met: " + ", ".join(f"{bar} times {peer}" for peer, bar in BARS.items())
        if not missed
        else f"\nbar missed: {', '.join(missed)}"
    )
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
