"""NT-Xent forward and backward: ours beside lightly's, in one process, on one thread.

    python benchmarks/nt_xent.py

The two take turns on the same embeddings, so that whatever else the machine does slows both.
Prints the median of the repeats and the largest difference: of the loss in nats, and of the
gradient as a share of its largest entry. Exits 1 if ours is slower anywhere or differs by more
than 1e-5.
"""

import statistics
import sys
import time

import torch
from lightly.loss import NTXentLoss
from torch import Tensor

from cl_course.losses import nt_xent

SIZES, DIM, TEMPERATURE = (256, 1024, 2048), 128, 0.2
REPEATS = {256: 41, 1024: 15, 2048: 9}
LARGEST_DIFFERENCE = 1e-5


def step(loss_function, z1: Tensor, z2: Tensor) -> tuple[float, Tensor, Tensor]:
    """Seconds for one forward and backward pass, the loss, and the gradient of both views, (2n, d)."""
    z1.grad = z2.grad = None
    start = time.perf_counter()
    loss = loss_function(z1, z2)
    loss.backward()
    return time.perf_counter() - start, loss.detach(), torch.cat([z1.grad, z2.grad])


def compare(n: int, seed: int = 0) -> tuple[float, float, float]:
    """Median seconds of ours and of lightly's, and the larger of the two differences."""
    generator = torch.Generator().manual_seed(seed)
    z1, z2 = (torch.randn(n, DIM, generator=generator, requires_grad=True) for _ in range(2))
    contestants = (lambda a, b: nt_xent(a, b, TEMPERATURE), NTXentLoss(temperature=TEMPERATURE))
    seconds = ([], [])
    for repeat in range(REPEATS[n] + 1):
        (our_time, our_loss, our_gradient), (their_time, their_loss, their_gradient) = (
            step(c, z1, z2) for c in contestants
        )
        if repeat > 0:  # the first is warm-up
            seconds[0].append(our_time)
            seconds[1].append(their_time)
    difference = (our_loss - their_loss).abs()
    gradient_difference = (our_gradient - their_gradient).abs().max() / their_gradient.abs().max()
    return (
        statistics.median(seconds[0]),
        statistics.median(seconds[1]),
        float(torch.maximum(difference, gradient_difference)),
    )


def main() -> int:
    torch.set_num_threads(1)
    print(f"NT-Xent, forward + backward, d = {DIM}, T = {TEMPERATURE}, one thread, torch {torch.__version__}")
    print(f"{'n':>6} {'ours (ms)':>10} {'lightly (ms)':>13} {'ours / lightly':>15} {'max difference':>15}")
    good = True
    for n in SIZES:
        ours, theirs, difference = compare(n)
        print(f"{n:>6} {1e3 * ours:>10.2f} {1e3 * theirs:>13.2f} {ours / theirs:>15.2f} {difference:>15.1e}")
        good &= ours <= theirs and difference <= LARGEST_DIFFERENCE
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
