"""Large batches in small memory: streamed NT-Xent beside the plain form, and a training step by GradCache beside the full batch's.

    python benchmarks/large_batches.py
    python benchmarks/large_batches.py record      the peaks alone, as record `large_batches`

Extra memory is the rise of a process's peak over what it held just before, each in a process of its own; time is the
median of turns taken in one process. The gradients are compared in float64 and float32, without BatchNorm's batch statistics
(eval mode) and with them.
"""

import copy
import resource
import statistics
import subprocess
import sys
import time

import torch
from torch import Tensor

from cl_course.large_batches import accumulate, grad_cache, streamed_nt_xent
from cl_course.losses import nt_xent
from cl_course.methods import SimCLR
from cl_course.models import projector, small_resnet
from cl_course.running import records

N, DIM, TEMPERATURE = 4096, 128, 0.2
MEMORY_BAR, TIME_BAR, EXACT_BAR = 0.1, 1.5, 1e-6
REPEATS, BATCH, CHUNK = 7, 512, 64
FORMS = {"plain": nt_xent, "streamed": streamed_nt_xent}
STEPS = ("full", "cached", "accumulated")


def embeddings() -> tuple[Tensor, Tensor]:
    z1, z2 = torch.randn(2, N, DIM, generator=torch.Generator().manual_seed(0))
    return z1.requires_grad_(), z2.requires_grad_()


def loss_pass(form: str, z1: Tensor, z2: Tensor) -> tuple[Tensor, Tensor]:
    z1.grad = z2.grad = None
    loss = FORMS[form](z1, z2, TEMPERATURE)
    loss.backward()
    return loss.detach(), torch.cat([z1.grad, z2.grad])


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


def child(what: str) -> None:
    if what in FORMS:
        job, inputs = loss_pass, embeddings()
        loss_pass(
            what, *(torch.randn(8, DIM, requires_grad=True) for _ in range(2))
        )  # libraries take their own room first
    else:
        method, *inputs = simclr_and_views()
        job, inputs = step, (method, *inputs)
        step(what, method, *(view[:8] for view in inputs[1:]))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    job(what, *inputs)
    print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)


def record() -> None:
    start, peaks = (
        time.process_time(),
        {what: [peak_megabytes(what) for _ in range(3)] for what in (*FORMS, *STEPS)},
    )  # first, as in main
    runs = [
        {"what": what, "megabytes": round(megabytes, 1)} for what, measured in peaks.items() for megabytes in measured
    ]
    records.write(
        "large_batches",
        room="lessons/pitfalls_and_clinic",
        script="benchmarks/large_batches.py",
        about="Peak memory above what the process held before, in MB: of NT-Xent alone, plain and streamed, and of a SimCLR step on shapes' small encoder.",
        config={"loss": {"n": N, "d": DIM}, "step": {"images": BATCH, "chunk": CHUNK}},
        runs=runs,
        minutes=(time.process_time() - start) / 60,
    )


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
    memory = {
        what: peak_megabytes(what) for what in (*FORMS, *STEPS)
    }  # first: a child's peak starts from what its parent holds
    z = embeddings()
    results, seconds = {form: loss_pass(form, *z) for form in FORMS}, {form: [] for form in FORMS}
    for _ in range(REPEATS):
        for form in FORMS:
            start = time.perf_counter()
            loss_pass(form, *z)
            seconds[form].append(time.perf_counter() - start)
    median = {form: statistics.median(times) for form, times in seconds.items()}
    memory_ratio, time_ratio = (measured["streamed"] / measured["plain"] for measured in (memory, median))
    print(f"NT-Xent, n = {N}, d = {DIM}, forward and backward, {torch.get_num_threads()} threads, median of {REPEATS}")
    for form in FORMS:
        print(f"  {form:9} {median[form]:6.2f} s   {memory[form]:7.1f} MB more")
    print(f"  streamed / plain: time {time_ratio:.2f} (bar: {TIME_BAR}), memory {memory_ratio:.3f} (bar: {MEMORY_BAR})")
    (plain, plain_gradient), (streamed, streamed_gradient) = results.values()
    print(
        f"  loss {plain:.6f} and {streamed:.6f}; gradients differ by {difference(streamed_gradient, plain_gradient):.1e} of their length"
    )

    print(
        f"\nA step of SimCLR on {BATCH} images, peak memory: "
        + ", ".join(f"{kind} {memory[kind]:.0f} MB more" for kind in STEPS)
        + f" (chunks of {CHUNK})"
    )
    print("The gradient against the full batch's, 256 images, as a share of its length:")
    exact = compare_gradients()
    return int(memory_ratio > MEMORY_BAR or time_ratio > TIME_BAR or exact > EXACT_BAR)


if __name__ == "__main__":
    if sys.argv[1:] == ["record"]:
        record()
    elif len(sys.argv) > 1:
        child(sys.argv[1])
    else:
        sys.exit(main())
