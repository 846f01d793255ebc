"""Lesson 09: the learner's `my_copies(h, threshold)`: which pictures have been there before."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from cl_course.lessons.shared.answers import answer_of
from cl_course.lessons.shared.exercise import Exercise, Fault, Mistake
from cl_course.lessons.shared.ladder import by_hand

NAME = "my_copies"


def batch(n: int, threshold: float = 0.95) -> tuple[Tensor, float]:
    """n features (n, 4), about a third of them copies of one before, in lengths that differ."""
    generator = Generator().manual_seed(n)
    h = torch.randn(n, 4, generator=generator)
    for i in range(2, n, 3):
        earlier = int(torch.randint(i, (), generator=generator))
        h[i] = h[earlier] + 0.02 * torch.randn(4, generator=generator)
    return h * torch.exp(torch.randn(n, 1, generator=generator)), threshold


PAIR = torch.tensor([[2.0, 0.0], [0.7, 0.714]]), 0.8  # both similarity and distance lie below the threshold
BATCHES = (batch(13), batch(20, 0.8), batch(11, 0.3), PAIR)


# The right way, in parts that can each be done in a wrong way.
def unit(h: Tensor) -> Tensor:
    return F.normalize(h, dim=1)


def product(h: Tensor) -> Tensor:
    return h @ h.T


def before(alike: Tensor) -> Tensor:
    """Of a table (n, n), what lies left of the diagonal: row i is compared with the pictures before i."""
    return alike.tril(diagonal=-1)


def over_rows(alike: Tensor) -> Tensor:
    return alike.any(dim=1)


def at_least(similarity: Tensor, threshold: float) -> Tensor:
    return similarity >= threshold


def as_it_is(found: Tensor) -> Tensor:
    return found


def make(
    lengths: Callable = unit, table: Callable = product, alike: Callable = at_least, counted: Callable = before,
    over: Callable = over_rows, result: Callable = as_it_is,
) -> Callable[[Tensor, float], Tensor]:  # fmt: skip
    return lambda h, threshold: result(over(counted(alike(table(lengths(h)), threshold))))


right = make()


def without_itself(alike: Tensor) -> Tensor:
    return alike & ~torch.eye(len(alike), dtype=torch.bool)


def only_the_one_before(alike: Tensor) -> Tensor:
    return alike.tril(diagonal=-1) & ~alike.new_ones(alike.shape).tril(diagonal=-2)


MISTAKES = (
    Mistake(
        "False came back for every picture: the later one of a pair is a copy. (.any(dim=1) asks whether one earlier "
        "picture is alike, .all(dim=1) whether all are.)",
        {"result": torch.zeros_like},
    ),
    Mistake(
        "every picture is a copy of itself: leave the diagonal out, .tril(diagonal=-1).",
        {"counted": lambda alike: alike},
    ),
    Mistake(
        "both pictures of a pair are marked. The first one stays: compare row i with the pictures before i alone.",
        {"counted": without_itself},
    ),
    Mistake(
        "the earlier picture of a pair is marked: it stays, and the later one is the copy. (Compare row i "
        "with the pictures before i: .tril, and .any(dim=1).)",
        {"counted": lambda alike: alike.triu(diagonal=1)},
    ),
    Mistake("only the picture just before is looked at: all earlier ones count.", {"counted": only_the_one_before}),
    Mistake("the lengths count: bring every row to length 1 first, F.normalize(h, dim=1).", {"lengths": as_it_is}),
    Mistake(
        "normalised along the wrong dimension: each row is a picture, dim=1.",
        {"lengths": lambda h: F.normalize(h, dim=0)},
    ),
    Mistake(
        "pictures *below* the threshold are marked: a copy is at least as similar.",
        {"alike": lambda similarity, threshold: similarity < threshold},
    ),
    Mistake(
        "a *distance* is compared with the threshold. Asked is the cosine similarity, which is large for copies.",
        {"table": lambda h: torch.cdist(h, h)},
    ),
    Mistake(
        "the sign of the similarity is lost: opposite features are no copies.", {"table": lambda h: (h @ h.T).abs()}
    ),
    Mistake("the similarity is squared: compare it as it is.", {"table": lambda h: (h @ h.T).square()}),
    Mistake("h @ h: transpose the second, h @ h.T.", {"table": lambda h: h @ h}),
    Mistake("h.T @ h compares the d columns: h @ h.T compares the pictures.", {"table": lambda h: h.T @ h}),
    Mistake("the number of copies came back: one True or False for each picture is asked.", {"result": torch.sum}),
    Mistake(
        "the whole table came back: a picture is a copy if any of its row is True, .any(dim=1).", {"over": as_it_is}
    ),
    Mistake(
        "the positions came back: return True or False for each picture.",
        {"result": lambda found: torch.nonzero(found).flatten()},
    ),
    Mistake("the pictures that are *no* copies are marked.", {"result": lambda found: ~found}),
    Mistake("how many earlier pictures are alike came back: .any(dim=1).", {"over": lambda alike: alike.sum(dim=1)}),
)


def observe(attempt: Callable) -> list[Tensor]:
    answers = [answer_of(attempt, *inputs) for inputs in BATCHES]
    if any(not answer.isfinite().all() for answer in answers):
        raise Fault("your answer is not finite; True or False for each picture is asked.")
    return answers


def a_single_picture_is_no_copy(attempt: Callable) -> str | None:
    mine = answer_of(attempt, torch.tensor([[2.0, 1.0]]), 0.9)
    return "right, but a single picture has no copy before it." if bool(mine.any()) else None


def chains_and_equality_count(attempt: Callable) -> str | None:
    for h, threshold, why in (
        (
            [[1.0, 0.0], [0.8, 0.6], [0.28, 0.96]],
            0.75,
            "picture 2 is like picture 1; that picture 1 is a copy itself changes nothing",
        ),
        (
            [[1.0, 1.0, 1.0, 1.0], [1.0, 0.0, 0.0, 0.0]],
            0.5,
            "the similarity is exactly the threshold, and a copy has at least that much",
        ),
    ):
        if said := by_hand(attempt, right, {"h": torch.tensor(h), "threshold": threshold}, why):
            return said
    return None


# Wrong, and no known mistake.
def one_for_each(attempt: Callable) -> str | None:
    h, mine = BATCHES[0][0], answer_of(attempt, *BATCHES[0])
    if mine.shape == (len(h),):
        return None
    return f"for {len(h)} pictures your answer has the shape {tuple(mine.shape)}; one True or False each is asked."


def lengths_count(attempt: Callable) -> str | None:
    h, threshold = BATCHES[0]
    before_, after = answer_of(attempt, h, threshold), answer_of(attempt, 5 * h, threshold)
    changed = int((before_ != after).sum())
    return (
        f"with all features five times as long, {changed} answers change: lengths must not count." if changed else None
    )


def small_examples(attempt: Callable) -> str | None:
    for h, threshold, why in (
        ([[1.0, 0.0], [0.0, 1.0], [2.0, 0.0]], 0.9, "picture 2 has the direction of picture 0"),
        ([[1.0, 0.0], [3.0, 0.0], [0.0, 1.0]], 0.9, "picture 1 has the direction of picture 0"),
        ([[1.0, 0.0], [-1.0, 0.0], [0.6, 0.8]], 0.9, "no two have nearly one direction"),
        ([[1.0, 0.0], [0.8, 0.6], [0.28, 0.96]], 0.75, "0.8 to the one before, twice"),
        ([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0]], 0.9, "the first stays"),
    ):
        said = by_hand(attempt, right, {"h": torch.tensor(h), "threshold": threshold}, why)
        if said:
            return said
    return None


copies = Exercise(
    name=NAME,
    observe=observe,
    make=make,
    mistakes=MISTAKES,
    praise="True for each picture that is like one before it; the first of them stays.",
    demands=(a_single_picture_is_no_copy, chains_and_equality_count),
    ladder=(one_for_each, lengths_count, small_examples),
)
