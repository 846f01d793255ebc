"""Circle lab: points that pull and push. Every view of every image is free to move on a circle.

The lab itself is `lab_circle.js`, which computes the same in the page; here are its start, and the same numbers for the
lessons' tables and for the tests.

There is no network: the embeddings themselves follow the gradient of NT-Xent, or of one of its
two parts. With p(i) the partner of view i, its loss is (Wang & Isola 2020, arXiv:2005.10242, sec. 4)

    -s(i, p(i)) / T                    alignment: pulls partners together
    + ln sum over k != i exp(s(i, k) / T)    uniformity: pushes all views apart
"""

import math
from dataclasses import dataclass

import torch
from IPython.display import display
from torch import Generator, Tensor

from cl_course import losses
from cl_course.lessons.shared.lab_page import page_lab
from cl_course.values import one_of, real, whole

WANTS = ("both", "alignment", "uniformity")
LARGEST = 12  # images: each has a letter
RATE, MOMENTUM, STEPS = 0.05, 0.9, 200


@dataclass(frozen=True, eq=False)
class CirclePath:
    """Where the points went.

    Attributes:
        angles: of view 1 and view 2 of n images, radians, (steps + 1, 2, n).
        push: minus the gradient, in the units of `simulate`, (steps + 1, 2, n).
        loss: NT-Xent in nats; alignment, uniformity: Wang & Isola's measures; each (steps + 1,).
    """

    angles: Tensor
    push: Tensor
    loss: Tensor
    alignment: Tensor
    uniformity: Tensor


def start(n: int = 6, seed: int = 0) -> Tensor:
    """Angles (2, n) of n images: view 1 anywhere, view 2 up to a third of the circle from it."""
    u = torch.rand(2, n, generator=Generator().manual_seed(seed), dtype=torch.float64)
    first = 2 * math.pi * u[0]
    return torch.stack([first, first + (2 * u[1] - 1) * 2 * math.pi / 3])


def on_circle(angles: Tensor) -> Tensor:
    """Angles (..., n) -> unit vectors (..., n, 2)."""
    return torch.stack([angles.cos(), angles.sin()], dim=-1)


def objective(angles: Tensor, temperature: float, want: str = "both") -> Tensor:
    """NT-Xent of points on the circle, or its pulling or its pushing part.

    Raises:
        ValueError: `want` is none of WANTS, or the temperature is not positive.
    """
    if want not in WANTS:
        raise ValueError(f"want must be one of {', '.join(WANTS)}, got {want!r}")
    z1, z2 = on_circle(angles)
    whole = losses.nt_xent(z1, z2, temperature)
    pulling = -(z1 * z2).sum(dim=1).mean() / temperature
    return {"both": whole, "alignment": pulling, "uniformity": whole - pulling}[want]


def simulate(
    angles: Tensor, temperature: float, want: str = "both", steps: int = STEPS, rate: float = RATE
) -> CirclePath:
    """Gradient descent with momentum on the angles.

    The gradient is taken times 2n T, so that a step is as long at every batch size and the two
    parts are weighed by the temperature alone. Momentum makes STEPS enough for an even end: without it, two points
    that start side by side are still side by side then.

    Args:
        angles: start, (2, n), in radians, n at least 2.
        rate: radians moved for a push of 1; the default is small enough for T from 0.05 to 2.

    Raises:
        ValueError: as in `objective`.
    """
    velocity, places, pushes, measured = torch.zeros_like(angles), [], [], []
    objective(angles, temperature, want)  # refuses what it does not know
    for _ in range(steps + 1):
        push = _push(angles, temperature, want)
        z1, z2 = on_circle(angles)
        measured.append(
            [losses.nt_xent(z1, z2, temperature), losses.alignment(z1, z2), losses.uniformity(torch.cat([z1, z2]))]
        )
        places.append(angles)
        pushes.append(push)
        velocity = MOMENTUM * velocity + push
        angles = angles + rate * velocity
    loss, alignment, uniformity = torch.tensor(measured, dtype=torch.float64).T
    return CirclePath(torch.stack(places), torch.stack(pushes), loss, alignment, uniformity)


def _push(angles: Tensor, temperature: float, want: str) -> Tensor:
    """Minus the gradient of `objective`, times 2n T; written out, since under a slider it is needed some hundred times.

    The loss of view i pulls it to its partner with weight 1 and pushes it from every other view j with weight p(i, j),
    the softmax; the derivative of a cosine is minus the sine, and every pair counts from both sides.
    """
    flat = angles.flatten()  # (2n,)
    difference = flat[:, None] - flat[None]
    itself = torch.eye(len(flat), dtype=torch.bool)
    pushing = (difference.cos() / temperature).masked_fill(itself, -torch.inf).softmax(dim=1)
    pulling = torch.eye(len(flat), dtype=flat.dtype).roll(len(flat) // 2, dims=1)
    weight = {"both": pushing - pulling, "alignment": -pulling, "uniformity": pushing}[want]
    return ((weight + weight.T) * difference.sin()).sum(dim=1).view_as(angles)


def even_uniformity(n: int) -> float:
    """Uniformity of 2n points spread evenly round the circle: the least there is for them."""
    return float(losses.uniformity(on_circle(2 * math.pi * torch.arange(2 * n, dtype=torch.float64) / (2 * n))))


def circle_lab(n: int = 6, temperature: float = 0.5, want: str = "both", seed: int = 0) -> None:
    """Drag any point, set the temperature, choose a loss, and let the points go; all of it happens in the page.

    Args:
        n: images, 2 to 12; each has two views.

    Raises:
        ValueError: n, the temperature or `want` is out of range.
    """
    whole("n", n, 2, LARGEST, advice="each image is a letter")
    real("temperature", temperature, least=0.05, most=2)
    one_of("want", want, WANTS)
    angles = start(n, seed).flatten().tolist()
    display(page_lab(__file__, "lab_circle", n=n, temperature=temperature, want=want, seed=seed, angles=angles))
