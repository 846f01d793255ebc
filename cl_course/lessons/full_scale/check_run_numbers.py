"""Lesson 08: the learner's `my_run_numbers(...)`: steps, shares and negatives of a run of several processes."""

import math
from collections.abc import Callable

from torch import Tensor

from cl_course.lessons.shared.answers import answer_of
from cl_course.lessons.shared.exercise import Exercise, Fault, Mistake
from cl_course.lessons.shared.ladder import by_hand

NAME = "my_run_numbers"
CASES = ((1000, 96, 5, 3, False), (777, 64, 3, 8, True), (500, 42, 4, 2, True), (690, 88, 7, 4, False))


# The right way, in parts that can each be done in a wrong way.
def steps_of(images: int, batch: int, epochs: int, processes: int) -> float:
    return epochs * (images // batch)


def share_of(images: int, batch: int, processes: int) -> float:
    return batch // processes


def seen(share: int, batch: int, gathered: bool) -> int:
    """Images whose views a view is compared with, its own among them."""
    return batch if gathered else share


def others(n: int) -> float:
    return 2 * n - 2


def make(
    steps: Callable = steps_of, share: Callable = share_of, images_seen: Callable = seen, count: Callable = others
) -> Callable[[int, int, int, int, bool], tuple[float, float, float]]:
    def run_numbers(images, batch, epochs, processes, gathered):
        n = images_seen(batch // processes, batch, gathered)
        return steps(images, batch, epochs, processes), share(images, batch, processes), count(n)

    return run_numbers


right = make()

MISTAKES = (
    Mistake(
        "the steps: what is left over in an epoch does not go into the next one. Each epoch has images // batch whole "
        "batches; multiply that by the epochs.",
        {"steps": lambda n, b, e, k: e * n // b},
    ),
    Mistake(
        "the steps: the last, shorter batch of an epoch is left out, since it would have fewer negatives: round down.",
        {"steps": lambda n, b, e, k: e * math.ceil(n / b)},
    ),
    Mistake("the steps are a fraction: count whole batches, images // batch.", {"steps": lambda n, b, e, k: e * n / b}),
    Mistake("the steps are those of one epoch: multiply by the epochs.", {"steps": lambda n, b, e, k: n // b}),
    Mistake(
        "the steps are divided by the processes: `batch` counts the images of all of them, so their number changes no "
        "step.",
        {"steps": lambda n, b, e, k: e * (n // (b * k))},
    ),
    Mistake(
        "the steps are those of a batch as small as one share: the processes work on the same step, side by side.",
        {"steps": lambda n, b, e, k: e * (n // (b // k))},
    ),
    Mistake("the share is the whole batch: divide it among the processes.", {"share": lambda n, b, k: b}),
    Mistake("the share is multiplied: `batch` is that of all processes together.", {"share": lambda n, b, k: b * k}),
    Mistake("the share counts views: count images, of two views each.", {"share": lambda n, b, k: 2 * (b // k)}),
    Mistake(
        "the share is that of the data set: the exercise asks for the share of one step.",
        {"share": lambda n, b, k: n // k},
    ),
    Mistake(
        "the negatives are those of the whole batch also where embeddings are not gathered: there a process sees its "
        "own share alone.",
        {"images_seen": lambda share, b, gathered: b},
    ),
    Mistake(
        "the negatives are those of a share also where embeddings are gathered: then each view meets the views of all "
        "processes.",
        {"images_seen": lambda share, b, gathered: share},
    ),
    Mistake(
        "`gathered` is taken the wrong way round: True means that a view meets the views of all processes.",
        {"images_seen": lambda share, b, gathered: share if gathered else b},
    ),
    Mistake(
        "the negatives: the partner is counted as one. Of the 2n views take away the view itself and its partner.",
        {"count": lambda n: 2 * n - 1},
    ),
    Mistake(
        "the negatives: of the 2n views take away the view itself and its partner: 2n - 2.", {"count": lambda n: 2 * n}
    ),
    Mistake("the negatives: every other image gives two of them, one for each view.", {"count": lambda n: n - 1}),
    Mistake("the negatives are images: every image gives two views; 2n - 2.", {"count": lambda n: n}),
)


def observe(attempt: Callable) -> list[Tensor]:
    """The three numbers of each case.

    Raises:
        Fault: other than three numbers came back.
    """
    answers = [answer_of(attempt, *case) for case in CASES]
    for answer in answers:
        if answer.shape != (3,):
            what = "one number" if answer.ndim == 0 else f"the shape {tuple(answer.shape)}"
            raise Fault(f"your answer is {what}: return three numbers, (steps, share, negatives).")
    return answers


def which_number(attempt: Callable) -> str | None:
    for case in CASES:
        for name, mine, expected in zip(("steps", "images of a share", "negatives"), attempt(*case), right(*case)):
            if float(mine) != expected:
                images, batch, epochs, processes, gathered = case
                return (
                    f"for {images} images, batch {batch}, {epochs} epochs, {processes} processes and gathered = "
                    f"{gathered} your number of {name} is {float(mine):g}, expected {expected:g}."
                )
    return None


def small_run(attempt: Callable) -> str | None:
    arguments = {"images": 10, "batch": 4, "epochs": 2, "processes": 2, "gathered": True}
    why = "2 whole batches in each of 2 epochs; 4 images shared by 2; 8 views less the view and its partner"
    return by_hand(attempt, right, arguments, why)


run_numbers = Exercise(
    name=NAME,
    observe=observe,
    make=make,
    mistakes=MISTAKES,
    praise="steps, shares and negatives, with and without gathering.",
    ladder=(small_run, which_number),
)
