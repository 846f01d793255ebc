"""Lesson 08: the learner's `my_gather_backward(gradients, rank)`: what a process hands back to its own embeddings."""

from collections.abc import Callable

import torch
from torch import Generator, Tensor

from cl_course.lessons.shared.answers import answer_of, is_no_tensor
from cl_course.lessons.shared.exercise import Exercise, Mistake
from cl_course.lessons.shared.ladder import by_hand, constant_relation

NAME = "my_gather_backward"


def gradients_of(processes: int, share: int, d: int = 3) -> Tensor:
    """Of each process's loss with respect to all gathered rows, (processes, processes * share, d)."""
    generator = Generator().manual_seed(10 * processes + share)
    return torch.randn(processes, processes * share, d, generator=generator)


CASES = ((gradients_of(2, 3), 1), (gradients_of(3, 2), 0), (gradients_of(4, 3), 2))


# The right way, in parts that can each be done in a wrong way.
def add(gradients: Tensor, rank: int) -> Tensor:
    return gradients.sum(dim=0)


def own_rows(rows: Tensor, rank: int, processes: int) -> Tensor:
    return rows[rank::processes]


def make(over: Callable = add, own: Callable = own_rows) -> Callable[[Tensor, int], Tensor]:
    return lambda gradients, rank: own(over(gradients, rank), rank, len(gradients))


right = make()


def _without_own(gradients: Tensor, rank: int) -> Tensor:
    return gradients.sum(dim=0) - gradients[rank]


def _in_a_row(rows: Tensor, rank: int, processes: int) -> Tensor:
    n = len(rows) // processes
    return rows[rank * n : (rank + 1) * n]


MISTAKES = (
    Mistake(
        "only this process's own loss counts: what the others' losses say of these rows is lost, as with torch's plain "
        "all_gather. Where all have the same loss the gradient is 1/k of the right one. Add over all processes.",
        {"over": lambda g, rank: g[rank]},
    ),
    Mistake(
        "the mean over the processes is taken: DistributedDataParallel takes the mean of the weights' gradients later, "
        "so the division would be made twice. Add.",
        {"over": lambda g, rank: g.mean(dim=0)},
    ),
    Mistake("this process's own loss is left out: add over all processes, its own too.", {"over": _without_own}),
    Mistake("the gradient of process 0 goes to all: add over all processes.", {"over": lambda g, rank: g[0]}),
    Mistake("the largest is taken over the processes: add.", {"over": lambda g, rank: g.amax(dim=0)}),
    Mistake("the rows are added and the processes kept: add over dim=0.", {"over": lambda g, rank: g.sum(dim=1)}),
    Mistake(
        "the numbers of an embedding are added: add over the processes, dim=0.", {"over": lambda g, rank: g.sum(dim=2)}
    ),
    Mistake(
        "the sum is multiplied by the number of processes: DistributedDataParallel divides once, and once it must be "
        "divided.",
        {"over": lambda g, rank: g.sum(dim=0) * len(g)},
    ),
    Mistake(
        "you take neighbouring rows, rank * n to (rank + 1) * n. Row i belongs to process i modulo their number: "
        "[rank::processes].",
        {"own": _in_a_row},
    ),
    Mistake(
        "all rows come back: the network of this process made only its own, [rank::processes].",
        {"own": lambda rows, rank, k: rows},
    ),
    Mistake("the rows of process 0 go to every process: begin at rank.", {"own": lambda rows, rank, k: rows[::k]}),
    Mistake(
        "every rank-th row is taken: begin at rank, and step by the number of processes.",
        {"own": lambda rows, rank, k: rows[:: max(rank, 1)]},
    ),
    Mistake(
        "all rows from `rank` on are taken: step by the number of processes.",
        {"own": lambda rows, rank, k: rows[rank:]},
    ),
    Mistake("one row comes back: a process has several.", {"own": lambda rows, rank, k: rows[rank]}),
)


def observe(attempt: Callable) -> list[Tensor]:
    return [answer_of(attempt, *case) for case in CASES]


def its_shape(attempt: Callable) -> str | None:
    gradients, rank = CASES[0]
    k, n, d = gradients.shape
    shape = tuple(answer_of(attempt, gradients, rank).shape)
    if shape == (n // k, d):
        return None
    return (
        f"for gradients of shape ({k}, {n}, {d}) your answer has the shape {shape}; process {rank} made {n // k} of "
        f"the {n} rows, so ({n // k}, {d}) is expected."
    )


def as_a_multiple(attempt: Callable) -> str | None:
    pairs = [(answer_of(attempt, *case).flatten().tolist(), right(*case).flatten().tolist()) for case in CASES]
    mine, expected = ([x for pair in pairs for x in pair[side]] for side in (0, 1))
    return constant_relation(mine, expected, "gradient")


def small_example(attempt: Callable) -> str | None:
    arguments = {"gradients": torch.tensor([[[1.0], [2.0]], [[10.0], [20.0]]]), "rank": 1}
    return by_hand(attempt, right, arguments, "process 1 made the second row, and both losses have a gradient for it")


gather_backward = Exercise(
    name=NAME,
    observe=observe,
    make=make,
    mistakes=MISTAKES,
    praise="the sum over all losses, for the rows that this process made.",
    ladder=(its_shape, as_a_multiple, small_example),
    notes=(lambda attempt: is_no_tensor(attempt, *CASES[0]),),
)
