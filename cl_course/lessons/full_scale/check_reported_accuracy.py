"""Lesson 08: the learner's `my_reported_accuracy(val, test)`: the epoch is chosen by validation, test is read once."""

from collections.abc import Callable

import torch
from torch import Generator, Tensor

from cl_course.lessons.shared.answers import answer_of
from cl_course.lessons.shared.exercise import Exercise, Mistake
from cl_course.lessons.shared.ladder import by_hand, close, number

NAME = "my_reported_accuracy"


def curves(seeds: int, epochs: int) -> tuple[Tensor, Tensor]:
    """Accuracies by seed and epoch on validation and test: rising, with noise of their own."""
    generator = Generator().manual_seed(100 * seeds + epochs)
    rise = 0.8 - 0.5 * torch.linspace(0, 3, epochs).neg().exp()
    noise = torch.randn(2, seeds, epochs, generator=generator) * 0.08
    offset = torch.randn(seeds, 1, generator=generator) * 0.03
    val, test = (rise + offset + noise).clamp(0, 1)
    return val, test


CASES = (curves(3, 8), curves(4, 12), curves(5, 20))


# The right way, in parts that can each be done in a wrong way.
def best_on_val(val: Tensor, test: Tensor) -> Tensor:
    return val.argmax(dim=1)


def on_test(val: Tensor, test: Tensor) -> Tensor:
    return test


def mean(values: Tensor) -> Tensor:
    return values.mean()


def make(
    epoch: Callable = best_on_val, read: Callable = on_test, over_seeds: Callable = mean
) -> Callable[[Tensor, Tensor], Tensor]:
    def reported(val, test):
        chosen = epoch(val, test)  # (seeds,)
        return over_seeds(read(val, test)[torch.arange(len(val)), chosen])

    return reported


right = make()


def _every(choose: Callable[[Tensor, Tensor], int]) -> Callable[[Tensor, Tensor], Tensor]:
    return lambda val, test: torch.full((len(val),), int(choose(val, test)))


MISTAKES = (
    Mistake(
        "the epoch is chosen on test, as in lightly's tables: the maximum over epochs also picks the luckiest noise. "
        "Choose by val, and read test there.",
        {"epoch": lambda val, test: test.argmax(dim=1)},
    ),
    Mistake(
        "one epoch for all seeds: where the mean of the test curves is largest. Choose by val, for each seed.",
        {"epoch": _every(lambda val, test: test.mean(dim=0).argmax())},
    ),
    Mistake(
        "one epoch is chosen for all seeds together. Each seed is a run of its own and chooses for itself: "
        "val.argmax(dim=1).",
        {"epoch": _every(lambda val, test: val.mean(dim=0).argmax())},
    ),
    Mistake(
        "the epoch that suits the first seed is taken for all: val.argmax(dim=1) gives one for each.",
        {"epoch": _every(lambda val, test: val[0].argmax())},
    ),
    Mistake(
        "the last epoch is read. That is a fair rule, too; the exercise asks for the best epoch on val.",
        {"epoch": _every(lambda val, test: -1)},
    ),
    Mistake("the first epoch is read.", {"epoch": _every(lambda val, test: 0)}),
    Mistake("the worst epoch on val is chosen: argmax.", {"epoch": lambda val, test: val.argmin(dim=1)}),
    Mistake(
        "the accuracy on val is reported: what chose the epoch is too good there. Read test at that epoch.",
        {"read": lambda val, test: val},
    ),
    Mistake("val and test are averaged: report test alone.", {"read": lambda val, test: (val + test) / 2}),
    Mistake("the best seed is reported: take the mean over seeds.", {"over_seeds": lambda values: values.max()}),
    Mistake("the worst seed is reported: take the mean over seeds.", {"over_seeds": lambda values: values.min()}),
    Mistake("the sum over seeds comes back: take the mean.", {"over_seeds": lambda values: values.sum()}),
    Mistake("one number for each seed comes back: take their mean.", {"over_seeds": lambda values: values}),
    Mistake(
        "the spread over seeds comes back: the exercise asks for the mean.", {"over_seeds": lambda values: values.std()}
    ),
)


def observe(attempt: Callable) -> list[Tensor]:
    return [answer_of(attempt, *case) for case in CASES]


def is_one_number(attempt: Callable) -> str | None:
    shape = tuple(answer_of(attempt, *CASES[0]).shape)
    if not shape:
        return None
    return f"for 3 seeds and 8 epochs your answer has the shape {shape}; the mean over seeds is one number."


def test_may_not_choose(attempt: Callable) -> str | None:
    """Whether the answer moves where test rises at an epoch that val does not choose."""
    val = torch.tensor([[0.5, 0.9, 0.6], [0.4, 0.5, 0.8]])
    test = torch.tensor([[0.5, 0.7, 0.6], [0.4, 0.5, 0.75]])
    lucky = test.clone()
    lucky[0, 2] = 0.99
    before, after = (number(attempt(val.clone(), each)) for each in (test, lucky))
    if before is None or after is None or close(before, after):
        return None
    return (
        f"your answer goes from {before:.4g} to {after:.4g} when test rises in the third epoch of a seed whose best "
        "epoch on val is the second: what test says there must not count."
    )


def small_example(attempt: Callable) -> str | None:
    arguments = {
        "val": torch.tensor([[0.5, 0.75], [0.75, 0.5]]),
        "test": torch.tensor([[1.0, 0.5], [0.25, 1.0]]),
    }
    return by_hand(attempt, right, arguments, "val chooses the second epoch and the first; test there is 0.5 and 0.25")


reported_accuracy = Exercise(
    name=NAME,
    observe=observe,
    make=make,
    mistakes=MISTAKES,
    praise="each run chooses its epoch by validation, and test is read once.",
    ladder=(is_one_number, test_may_not_choose, small_example),
)
