"""Lesson 02: the learner's `my_partners(n)`: the index of each view's partner."""

from collections.abc import Callable

import torch
from torch import Tensor

from cl_course.lessons.infonce.nt_xent_parts import n_places_on
from cl_course.lessons.shared.answers import answer_of
from cl_course.lessons.shared.exercise import Exercise, Fault, Mistake, kind_of, same
from cl_course.lessons.shared.ladder import written

NAME = "my_partners"
SIZES = (3, 4, 8)


def make(indices: Callable = n_places_on) -> Callable[[int], Tensor]:
    return indices


def _every(n: int) -> Tensor:
    return torch.arange(2 * n)


_ORDER = "In the order A1 B1 ... A2 B2 ... the partner of view i is n places on, at (i + n) modulo 2n. "

MISTAKES = tuple(
    Mistake(sentence.rstrip(), {"indices": indices})
    for sentence, indices in (
        ("these are the views' own indices. " + _ORDER, _every),
        ("the later half runs past the last row, 2n - 1: wrap around, modulo 2n.", lambda n: _every(n) + n),
        (_ORDER + "Yours is the next row.", lambda n: _every(n).roll(-1)),
        (_ORDER + "Yours is the row before.", lambda n: _every(n).roll(1)),
        (_ORDER + "Yours is n + 1 places on.", lambda n: _every(n).roll(n - 1)),
        (_ORDER + "Yours is n - 1 places on.", lambda n: _every(n).roll(1 - n)),
        (_ORDER + "Yours are right in the order A1 A2 B1 B2 ....", lambda n: _every(n) ^ 1),
        (_ORDER + "Yours counts from the end.", lambda n: _every(n).flip(0)),
        (_ORDER + "Yours counts each half from its end.", lambda n: _every(n).view(2, n).flip(1).flatten()),
        ("one index for each image, 0 ... n - 1: all 2n views need one. " + _ORDER, torch.arange),
        (
            "only the views of the first half have an index: those of the second half need theirs, 0 ... n - 1.",
            lambda n: torch.arange(n) + n,
        ),
        (
            "both halves point to the second: the partners of the second half are in the first, 0 ... n - 1.",
            lambda n: (torch.arange(n) + n).repeat(2),
        ),
        (
            "both halves point to the first: the partners of the first half are in the second, n ... 2n - 1.",
            lambda n: torch.arange(n).repeat(2),
        ),
        ("you count from 1; rows and columns count from 0.", lambda n: n_places_on(n) + 1),
        ("counted modulo 2n - 1; the rows are 2n.", lambda n: (_every(n) + n) % (2 * n - 1)),
        ("counted modulo 2n + 1; the rows are 2n.", lambda n: (_every(n) + n) % (2 * n + 1)),
        (
            "these are right where a view's own column is cut out of its row. Here all 2n columns stay.",
            lambda n: torch.cat([torch.arange(n) + n - 1, torch.arange(n)]),
        ),
        (
            "a table with a 1 at each partner. Asked is the partner's index, one whole number for each row.",
            lambda n: torch.eye(2 * n).roll(n, dims=1),
        ),
        (
            "the indices stand in a column, (2n, 1); F.cross_entropy takes them in a row of numbers, (2n,).",
            lambda n: n_places_on(n)[:, None],
        ),
        ("the two halves are stacked, (2, n); join them to (2n,).", lambda n: n_places_on(n).view(2, n)),
        (
            "pairs (row, partner): the exercise asks for the partner's index alone.",
            lambda n: torch.stack([_every(n), n_places_on(n)], dim=1),
        ),
    )
)


def observe(attempt: Callable) -> list[Tensor]:
    return [answer_of(attempt, n) for n in SIZES]


def are_whole_numbers(attempt: Callable) -> str | None:
    answer = attempt(3)
    if isinstance(answer, Tensor) and answer.is_floating_point():
        return (
            f"the right numbers, but of the type {str(answer.dtype).removeprefix('torch.')}: an index is a whole "
            "number, and F.cross_entropy refuses others. torch.arange(2 * n) gives whole numbers."
        )
    return None


def type_of_index(attempt: Callable) -> str | None:
    answer = attempt(3)
    if isinstance(answer, Tensor):
        if answer.dtype == torch.int64:
            return None
        return f"your indices are {str(answer.dtype).removeprefix('torch.')}; F.cross_entropy takes int64, .long()."
    return f"your answer is {kind_of(answer)}: put it into torch.tensor(...) before F.cross_entropy takes it."


# Wrong, and no known mistake.
def shape(attempt: Callable) -> str | None:
    mine = answer_of(attempt, 3)
    if mine.shape == (6,):
        return None
    return (
        f"for n = 3 your answer has the shape {tuple(mine.shape)}, expected (6,): one index for each of the 2n views."
    )


def right_for_some(attempt: Callable) -> str | None:
    agree = {}
    for n in (2, 3, 4, 5, 8, 16):
        try:
            agree[n] = same(answer_of(attempt, n), n_places_on(n))
        except (Fault, RuntimeError, IndexError):
            agree[n] = False
    good, bad = ([f"n = {n}" for n in agree if agree[n] == wanted] for wanted in (True, False))
    if not good or not bad:
        return None
    return f"right for {', '.join(good)}, and wrong for {', '.join(bad)}: does your code hold a fixed number?"


def three_images(attempt: Callable) -> str | None:
    mine = answer_of(attempt, 3)
    if mine.shape != (6,) or same(mine, n_places_on(3)):
        return None
    i = int((mine != n_places_on(3)).nonzero()[0])
    names = ("A1", "B1", "C1", "A2", "B2", "C2")
    said = names[int(mine[i])] if 0 <= mine[i] < 6 and mine[i] == mine[i].round() else "no row"
    return (
        f"for n = 3 the rows are A1 B1 C1 A2 B2 C2, and your answer is {written(mine)}. It gives {names[i]} the "
        f"partner {mine[i]:g}, which is {said}; it must be {(i + 3) % 6}, {names[(i + 3) % 6]}."
    )


partners = Exercise(
    name=NAME,
    observe=observe,
    make=make,
    mistakes=MISTAKES,
    praise="each view finds the other view of its image, n places on.",
    demands=(are_whole_numbers,),
    ladder=(shape, right_for_some, three_images),
    notes=(type_of_index,),
)
