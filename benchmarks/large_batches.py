"""Large batches in small memory: a SimCLR step by GradCache and by accumulation beside the full batch's.

    python benchmarks/large_batches.py

Extra memory is the rise of a process's peak over what it held just before, each in a process of its own. The gradients
are compared in float64 and float32, without BatchNorm's batch statistics (eval mode) and with them.
"""

import copy
import resource
import subprocess
import sys

import torch
from torch import Tensor

from cl_course.large_batches import accumulate, grad_cache
from cl_course.losses import nt_xent
from cl_course.methods import SimCLR
from cl_course.models import projector, small_resnet

EXACT_BAR = 1e-6
BATCH, CHUNK = 512, 64
STEPS = ("full", "cached", "accumulated")


def step(kind: str, method: SimCLR, view1: Tensor, view2: Tensor) -> Tensor:
    """One backward pass in its kind; returns the gradient of all weights."""
    method.zero_grad(set_to_none=True)
    if kind == "full":
        method.loss(view1, view2).backward()
    else:
        job = grad_cache if kind == "cached" else accumulate
        job(method.embeddings, lambda z1, z2: nt_xent(z1, z2, method.temperature), view1, view2, CHUNK)
    return torch.cat([p.grad.flatten() for p in method.parameters()])


def simclr_and_views() -> tuple[SimCLR, Tensor, Tensor]:
    torch.manual_seed(0)
    encoder = small_resnet()
    return SimCLR(encoder, projector(encoder.dim)), *torch.rand(2, BATCH, 3, 32, 32)


def peak_megabytes(what: str) -> float:
    """The rise of the peak while a fresh process does `what` once."""
    found = subprocess.run([sys.executable, __file__, what], capture_output=True, text=True, check=True)
    return float(found.stdout)


def child(kind: str) -> None:
    method, view1, view2 = simclr_and_views()
    step(kind, method, view1[:8], view2[:8])  # libraries take their own room first
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    step(kind, method, view1, view2)
    print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)


def difference(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).norm() / expected.norm())


def compare_gradients() -> float:
    """Prints each step's gradient against the full batch's; returns GradCache's difference in float64, eval mode."""
    method, view1, view2 = simclr_and_views()
    exact = 0.0
    for dtype in (torch.float64, torch.float32):
        for training in (False, True):
            apart = {}
            for kind in STEPS:
                trial = copy.deepcopy(method).to(dtype).train(training)
                apart[kind] = step(kind, trial, view1[:256].to(dtype), view2[:256].to(dtype))
            cached, accumulated = (difference(apart[kind], apart["full"]) for kind in STEPS[1:])
            norm = "batch statistics" if training else "running statistics"
            print(
                f"  {str(dtype)[6:]:8} BatchNorm by {norm:18}  GradCache {cached:.1e}   accumulation {accumulated:.1e}"
            )
            exact = cached if dtype == torch.float64 and not training else exact
    return exact


def main() -> int:
    memory = {kind: peak_megabytes(kind) for kind in STEPS}  # first: a child's peak starts from what its parent holds
    peaks = ", ".join(f"{kind} {memory[kind]:.0f} MB more" for kind in STEPS)
    print(f"A step of SimCLR on {BATCH} images, peak memory: {peaks} (chunks of {CHUNK})")
    print("The gradient against the full batch's, 256 images, as a share of its length:")
    return int(compare_gradients() > EXACT_BAR)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        child(sys.argv[1])
    else:
        sys.exit(main())
