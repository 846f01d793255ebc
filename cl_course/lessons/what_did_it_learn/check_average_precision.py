"""Lesson 06: the learner's `my_average_precision(right)`, how near the top of one ranked list the right cards stand."""

from collections.abc import Callable

import torch
from torch import Generator, Tensor

from cl_course.lessons.shared.exercise import Exercise, Fault, Mistake, call, kind_of, same
from cl_course.lessons.shared.ladder import written

NAME = "my_average_precision"


# The right way, in parts that can each be done in a wrong way.
def from_the_top(right: Tensor) -> Tensor:
    return right


def precision(right: Tensor) -> Tensor:
    """At each rank, of the cards so far, the share of right ones."""
    return right.cumsum(dim=0) / torch.arange(1, len(right) + 1)


def at_right_cards(values: Tensor, right: Tensor) -> Tensor:
    return values[right.bool()].mean()


def make(
    order: Callable = from_the_top, each: Callable = precision, average: Callable = at_right_cards
) -> Callable[[Tensor], Tensor]:
    def attempt(right: Tensor) -> Tensor:
        right = order(right).double()
        return average(each(right), right)

    return attempt


right_answer = make()
_WHERE = "Average precision is the mean of the precision at those ranks alone that hold a right card."

MISTAKES = (
    Mistake(
        f"the mean is over all ranks, those of wrong cards as well. {_WHERE}",
        {"average": lambda values, right: values.mean()},
    ),
    Mistake(
        "the precision at the ranks of right cards is added up and divided by the length of the list: divide by the "
        "number of right cards, so that a perfect list gets 1.",
        {"average": lambda values, right: (values * right).mean()},
    ),
    Mistake(
        "the precision at the ranks of right cards is added up: divide by the number of right cards.",
        {"average": lambda values, right: (values * right).sum()},
    ),
    Mistake(
        f"the share of right cards in the whole list came back; the order does not count in it. {_WHERE}",
        {"average": lambda values, right: values[-1]},
    ),
    Mistake(
        "the precision at the first right card came back, 1 / its rank: take the mean over *all* right cards.",
        {"average": lambda values, right: values[right.bool()][0]},
    ),
    Mistake(
        "the precision at the last right card came back: take the mean over *all* right cards.",
        {"average": lambda values, right: values[right.bool()][-1]},
    ),
    Mistake(
        "the precision at the first rank came back, 1 or 0: take the mean over the ranks of all right cards.",
        {"average": lambda values, right: values[0]},
    ),
    Mistake(
        "the largest precision came back: take the mean over the ranks of all right cards.",
        {"average": lambda values, right: values.max()},
    ),
    Mistake(
        f"the mean is over the ranks of *wrong* cards. {_WHERE}",
        {"average": lambda values, right: values[~right.bool()].mean()},
    ),
    Mistake(
        "all right cards are moved to the front, and then the answer is 1 for every list: the order is what counts.",
        {"order": lambda right: right.sort(descending=True).values},
    ),
    Mistake("the list is read from its end: the nearest card comes first.", {"order": lambda right: right.flip(0)}),
    Mistake(
        "the ranks start at 0: the first place divides by 0. torch.arange(1, n + 1) counts from 1.",
        {"each": lambda right: right.cumsum(dim=0) / torch.arange(len(right))},
    ),
    Mistake(
        "the ranks start at 2: the precision at the first place divides by 1.",
        {"each": lambda right: right.cumsum(dim=0) / torch.arange(2, len(right) + 2)},
    ),
    Mistake(
        "you take the share of right cards *before* each rank: the card at the rank counts as well.",
        {"each": lambda right: (right.cumsum(dim=0) - right) / torch.arange(1, len(right) + 1)},
    ),
    Mistake(
        "1 / rank of every right card: that forgets the right cards above it. At rank r the precision is the number of "
        "right cards among the first r, divided by r.",
        {"each": lambda right: right / torch.arange(1, len(right) + 1)},
    ),
    Mistake(
        "the precision is divided by the length of the list at every rank: among the first r cards divide by r.",
        {"each": lambda right: right.cumsum(dim=0) / len(right)},
    ),
    Mistake(
        "at each rank you take the *recall*, the share of all right cards found so far: precision divides by the rank.",
        {"each": lambda right: right.cumsum(dim=0) / right.sum()},
    ),
    Mistake(
        "at each rank the number of right cards so far is taken: precision divides it by the rank.",
        {"each": lambda right: right.cumsum(dim=0)},
    ),
    Mistake(
        "wrong cards are counted in place of right ones: at each rank take the share of right cards.",
        {"each": lambda right: (1 - right).cumsum(dim=0) / torch.arange(1, len(right) + 1)},
    ),
    Mistake(
        "the precision at every rank came back: return one number, the mean over the ranks of right cards.",
        {"average": lambda values, right: values},
    ),
    Mistake(
        "the precision at each right card came back: return their mean, one number.",
        {"average": lambda values, right: values[right.bool()]},
    ),
)


def _list(n: int, share: float) -> Tensor:
    return torch.rand(n, generator=Generator().manual_seed(n)) < share


ORDINARY = (
    torch.tensor([False, True, False, True, True, False]),
    torch.tensor([True, False, False, True, False, True, False]),
    _list(23, 0.3),
    _list(60, 0.5),
)


def value(attempt: Callable, right: Tensor) -> object:
    """The attempt's number; a single number in any wrapping, other shapes as they are."""
    given = right.clone()
    answer = call(lambda: attempt(given))
    if not torch.equal(given, right):
        raise Fault("you changed `right` in place, and the caller's tensor is altered: make a new tensor.")
    try:
        answer = torch.as_tensor(answer).detach().double()
    except (TypeError, ValueError, RuntimeError):
        raise Fault(f"{kind_of(answer)} came back: return one number.") from None
    return answer.reshape(()) if answer.numel() == 1 else answer


def observe(attempt: Callable) -> list:
    return [value(attempt, right) for right in ORDINARY]


def is_right_at_the_ends(attempt: Callable) -> str | None:
    for cards in ([1], [1, 1, 1], [0, 0, 1], [1, 0, 0]):
        if said := _example(attempt, cards, "right on longer lists, but "):
            return said
    return None


# Wrong, and no known mistake.
def _example(attempt: Callable, cards: list[int], before: str = "", why: str = "") -> str | None:
    right = torch.tensor(cards, dtype=torch.bool)
    mine, expected = value(attempt, right), right_answer(right)
    if same(mine, expected):
        return None
    got = f"{float(mine):.4f}" if mine.numel() == 1 else f"of shape {tuple(mine.shape)}"
    behind = f": {why}" if why else ""
    given = f"{before}for right = {written(cards)} (1 is True)"
    return f"{given} your answer is {got}, expected {float(expected):.4f}{behind}."


def is_one_number(attempt: Callable) -> str | None:
    answer = value(attempt, ORDINARY[0])
    if answer.numel() != 1:
        given = f"for a list of {len(ORDINARY[0])} cards"
        return f"{given} your answer has the shape {tuple(answer.shape)}: return one number."
    return None


def is_finite(attempt: Callable) -> str | None:
    for right in (ORDINARY[0], ORDINARY[1]):
        if not value(attempt, right).isfinite():
            return (
                f"for right = {written(right.int())} (1 is True) your answer is {float(value(attempt, right))}: "
                "see where something is divided by 0."
            )
    return None


def perfect(attempt: Callable) -> str | None:
    return _example(attempt, [1, 1, 0, 0], why="all right cards come first, and the precision at both is 1")


def one_right_card(attempt: Callable) -> str | None:
    return _example(attempt, [0, 1, 0, 0], why="the only right card stands at rank 2, where the precision is 1/2")


def what_follows_does_not_count(attempt: Callable) -> str | None:
    short, long = torch.tensor([True, False, True]), torch.tensor([True, False, True, False, False, False])
    a, b = float(value(attempt, short)), float(value(attempt, long))
    if same(a, b):
        return None
    return (
        f"for right = [1, 0, 1] (1 is True) your answer is {a:.4f}, and with three wrong cards behind it is {b:.4f}. "
        "Wrong cards after the last right one change nothing: both should be (1/1 + 2/3) / 2 = 0.8333."
    )


def two_right_cards(attempt: Callable) -> str | None:
    return _example(attempt, [1, 0, 1], why="(1/1 + 2/3) / 2") or _example(attempt, [0, 1, 1], why="(1/2 + 2/3) / 2")


def three_right_cards(attempt: Callable) -> str | None:
    return _example(attempt, [0, 1, 0, 1, 1, 0], why="(1/2 + 2/4 + 3/5) / 3") or _example(
        attempt, [1, 1, 0, 1], why="(1/1 + 2/2 + 3/4) / 3"
    )


def longer_lists(attempt: Callable) -> str | None:
    return _example(attempt, [1, 0, 1, 0, 1, 0, 1, 0], why="(1/1 + 2/3 + 3/5 + 4/7) / 4") or _example(
        attempt, [1] + 10 * [0] + [1], why="(1/1 + 2/12) / 2"
    )


def has_a_shape(attempt: Callable) -> str | None:
    answer = attempt(ORDINARY[0].clone())
    if isinstance(answer, Tensor) and answer.ndim:
        return f"your answer has the shape {tuple(answer.shape)}; one number is usually of shape ()."
    return None


average_precision = Exercise(
    name=NAME,
    observe=observe,
    make=make,
    mistakes=MISTAKES,
    praise="the average precision of every list tried, long and short.",
    demands=(is_right_at_the_ends,),
    ladder=(
        is_one_number,
        is_finite,
        perfect,
        one_right_card,
        what_follows_does_not_count,
        two_right_cards,
        three_right_cards,
        longer_lists,
    ),
    notes=(has_a_shape,),
)
