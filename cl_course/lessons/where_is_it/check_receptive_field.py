"""Lesson 06b: the learner's `my_receptive_field(kernels, strides)`: how many pixels one place of a map sees."""

import math
from collections.abc import Callable, Sequence

from torch import Tensor

from cl_course.lessons.shared.answers import answer_of
from cl_course.lessons.shared.exercise import Exercise, Mistake
from cl_course.lessons.shared.ladder import by_hand, constant_relation

NAME = "my_receptive_field"
NETWORKS = (
    ((3, 3, 5, 3), (2, 1, 2, 1)),
    ((7, 3, 3, 1, 5), (2, 2, 1, 2, 1)),
    ((5, 3, 2, 3, 3, 3), (1, 2, 2, 1, 2, 3)),
)


# The right way, in parts that can each be done in a wrong way.
def grows(kernel: int, jump: int) -> int:
    return (kernel - 1) * jump


def before(jump: int, stride: int) -> tuple[int, int]:
    """The distance of two neighbouring places in pixels, as this layer reads them, and as the next one does."""
    return jump, jump * stride


def in_order(kernels: Sequence[int], strides: Sequence[int]) -> list[tuple[int, int]]:
    return list(zip(kernels, strides))


def make(
    start: int = 1,
    more: Callable = grows,
    steps: Callable = before,
    layers: Callable = in_order,
    result: Callable = lambda seen, jump: seen,
) -> Callable[[Sequence[int], Sequence[int]], int]:
    def attempt(kernels: Sequence[int], strides: Sequence[int]) -> int:
        seen, jump = start, 1
        for kernel, stride in layers(kernels, strides):
            here, jump = steps(jump, stride)
            seen += more(kernel, here)
        return result(seen, jump)

    return attempt


right = make()

MISTAKES = (
    Mistake(
        "the strides have no effect: after a stride of 2 two neighbouring places lie 2 pixels apart, so that a kernel "
        "of 3 reaches 2 * 2 pixels further.",
        {"steps": lambda jump, stride: (1, 1)},
    ),
    Mistake(
        "a layer's own stride counts already for its own kernel: it moves the places of the *next* map apart. First "
        "add (kernel - 1) * jump, then multiply jump by the stride.",
        {"steps": lambda jump, stride: (jump * stride, jump * stride)},
    ),
    Mistake("only the stride of the layer before counts: jump is the product of all strides so far.",
            {"steps": lambda jump, stride: (jump, stride)}),
    Mistake("the strides are added up: jump is their product.", {"steps": lambda jump, stride: (jump, jump + stride)}),
    Mistake("each layer adds kernel * jump: the middle one is there already, (kernel - 1) * jump.",
            {"more": lambda kernel, jump: kernel * jump}),
    Mistake("each layer adds (kernel + 1) * jump: it reaches kernel - 1 places further.",
            {"more": lambda kernel, jump: (kernel + 1) * jump}),
    Mistake("only one side of the kernel counts: it reaches (kernel - 1) / 2 places to *each* side.",
            {"more": lambda kernel, jump: (kernel - 1) * jump // 2}),
    Mistake("you start at 0: before the first layer a place sees its own pixel, 1.", {"start": 0}),
    Mistake("the first layer is left out.", {"layers": lambda k, s: list(zip(k, s))[1:]}),
    Mistake("the last layer is left out.", {"layers": lambda k, s: list(zip(k, s))[:-1]}),
    Mistake("the layers are walked from the last to the first in this sum: start at the image.",
            {"layers": lambda k, s: list(zip(k, s))[::-1]}),
    Mistake("the map's stride came back, how far apart its places lie: the exercise asks how far one of them sees.",
            {"result": lambda seen, jump: jump}),
    Mistake("the area came back: the exercise asks for one side, in pixels.", {"result": lambda seen, jump: seen**2}),
    Mistake("the sizes of the kernels are multiplied: each layer *adds* (kernel - 1) * jump.",
            {"layers": lambda k, s: [(math.prod(k), 1)], "more": lambda kernel, jump: kernel - 1}),
    Mistake("kernels and strides are exchanged.", {"layers": lambda k, s: list(zip(s, k))}),
)  # fmt: skip


def observe(attempt: Callable) -> list[Tensor]:
    return [answer_of(attempt, *network) for network in NETWORKS]


# Wrong, and no known mistake.
def is_one_number(attempt: Callable) -> str | None:
    mine = answer_of(attempt, *NETWORKS[0])
    return None if mine.numel() == 1 else f"your answer has the shape {tuple(mine.shape)}: return one number."


def small_examples(attempt: Callable) -> str | None:
    for kernels, strides, why in (
        ((1,), (1,), "a kernel of 1 sees its own pixel"),
        ((3,), (1,), "three pixels"),
        ((3,), (2,), "three pixels: the stride moves the next kernel"),
        ((3, 3), (1, 1), "3, and one pixel more on each side"),
        ((3, 3), (2, 1), "3, and 2 pixels more on each side"),
        ((3, 3, 3), (2, 2, 1), "3 + 2 * 2 + 2 * 4"),
    ):
        if said := by_hand(attempt, right, {"kernels": kernels, "strides": strides}, why):
            return said
    return None


def is_a_multiple(attempt: Callable) -> str | None:
    mine = [float(answer_of(attempt, *network)) for network in NETWORKS]
    return constant_relation(mine, [float(right(*network)) for network in NETWORKS], "receptive field")


receptive_field = Exercise(
    name=NAME,
    observe=observe,
    make=make,
    mistakes=MISTAKES,
    praise="the receptive field of every network tried.",
    ladder=(is_one_number, is_a_multiple, small_examples),
)
