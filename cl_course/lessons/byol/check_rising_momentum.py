"""Lesson 05: the learner's `my_momentum(step, total_steps, start)`: rising from `start` to 1 on half a cosine."""

import math
from collections.abc import Callable

from cl_course.lessons.shared.exercise import Exercise, Mistake, call
from cl_course.lessons.shared.ladder import close, number

NAME = "my_momentum"


# The right way, in parts that can each be done in a wrong way.
def share(step: int, total_steps: int) -> float:
    return step / total_steps


def half_cosine(done: float) -> float:
    """1 at the start, 0 at the end."""
    return (1 + math.cos(math.pi * done)) / 2


def rest(left: float, start: float) -> float:
    return 1 - (1 - start) * left


def make(progress: Callable = share, shape: Callable = half_cosine, rise: Callable = rest) -> Callable:
    return lambda step, total_steps, start: rise(shape(progress(step, total_steps)), start)


right = make()
_REST = "1 - m is what falls, along half a cosine: it is 1 - start at first, and 0 at the end."

MISTAKES = (
    Mistake(
        "the momentum stays at its start: multiply 1 - start by half a cosine, which falls from 1 to 0.",
        {"shape": lambda done: 1.0},
    ),
    Mistake("the momentum is 1 from the first step on: it begins at `start`.", {"shape": lambda done: 0.0}),
    Mistake("the momentum rises in a straight line: take half a cosine.", {"shape": lambda done: 1 - done}),
    Mistake(
        "the cosine is not halved: (1 + cos) goes from 2 to 0, and (1 + cos) / 2 from 1 to 0.",
        {"shape": lambda done: 1 + math.cos(math.pi * done)},
    ),
    Mistake(
        "the cosine itself is taken, from 1 to -1, and the momentum ends above 1: (1 + cos) / 2 goes from 1 to 0.",
        {"shape": lambda done: math.cos(math.pi * done)},
    ),
    Mistake(
        "the way is turned round: it begins at 1 and ends at `start`.",
        {"shape": lambda done: 1 - half_cosine(done)},
    ),
    Mistake(
        "a whole cosine is taken, and the momentum is back at `start` at the end: the angle goes from 0 to pi.",
        {"shape": lambda done: half_cosine(2 * done)},
    ),
    Mistake(
        "a quarter of a cosine is taken, cos from 0 to pi / 2: half a cosine goes from 0 to pi, (1 + cos) / 2.",
        {"shape": lambda done: math.cos(math.pi * done / 2)},
    ),
    Mistake(
        "only half of the way is gone: the angle ends at pi / 2. It goes from 0 to pi.",
        {"shape": lambda done: half_cosine(done / 2)},
    ),
    Mistake("pi is missing in the angle: it goes from 0 to pi.", {"shape": lambda done: (1 + math.cos(done)) / 2}),
    Mistake(
        "a sine is taken where the cosine belongs: (1 + cos) / 2.",
        {"shape": lambda done: (1 + math.sin(math.pi * done)) / 2},
    ),
    Mistake(
        "the angle is in degrees, and math.cos takes radians: pi times the share of the run.",
        {"shape": lambda done: (1 + math.cos(180 * done)) / 2},
    ),
    Mistake("the rise is squared: half a cosine alone.", {"shape": lambda done: half_cosine(done) ** 2}),
    Mistake("the rise is exponential: half a cosine is asked for.", {"rise": lambda left, start: start**left}),
    Mistake(
        f"the momentum falls from `start` to 0, as a learning rate does. {_REST}",
        {"rise": lambda left, start: start * left},
    ),
    Mistake(
        f"this is 1 - m, what the target takes of the online network. {_REST}",
        {"rise": lambda left, start: (1 - start) * left},
    ),
    Mistake(f"`start` is not used, and the momentum rises from 0. {_REST}", {"rise": lambda left, start: 1 - left}),
    Mistake(f"the momentum rises from 1 - start. {_REST}", {"rise": lambda left, start: 1 - start * left}),
    Mistake(
        f"start is added to the whole rise from 0 to 1, and the momentum ends above 1. {_REST}",
        {"rise": lambda left, start: start + (1 - left)},
    ),
    Mistake(
        f"the rise is multiplied by start: the momentum goes from 0 to `start`. {_REST}",
        {"rise": lambda left, start: start * (1 - left)},
    ),
    Mistake(
        "you divide by total_steps - 1: at step total_steps the run is over and the momentum is 1.",
        {"progress": lambda step, total: step / (total - 1)},
    ),
    Mistake(
        "you count one step too many, (step + 1) / total_steps: at step 0 the momentum is `start`.",
        {"progress": lambda step, total: (step + 1) / total},
    ),
    Mistake("// cuts off the fraction: step / total_steps.", {"progress": lambda step, total: step // total}),
    Mistake(
        "step and total_steps are exchanged: the share of the run is step / total_steps.",
        {"progress": lambda step, total: total / max(step, 1e-9)},
    ),
    Mistake("the share of the run is step / total_steps; yours is step.", {"progress": lambda step, total: step}),
)

ASKED = tuple(
    (step, total, start) for total, start in ((20, 0.8), (7, 0.99), (50, 0.0)) for step in (0, 1, 3, total // 2, total)
)
EXACT = 1e-6


def observe(attempt: Callable) -> list:
    """1 - m, times a thousand: momenta near 1 differ in late digits."""
    found = [call(attempt, *given) for given in ASKED]
    return [f if number(f) is None else 1000 * (1 - number(f)) for f in found]


def _shown(given: tuple[int, int, float]) -> str:
    return "step {}, total_steps {}, start {}".format(*given)


# Wrong, and no known mistake: one property after the other.
def is_a_number(attempt: Callable) -> str | None:
    answer = call(attempt, *ASKED[1])
    if number(answer) is None:
        return f"for {_shown(ASKED[1])} no single finite number came back, but {str(answer)[:60]}."
    return None


def where_it_begins_and_ends(attempt: Callable) -> str | None:
    for when, given, expected in (("begin", (0, 20, 0.8), 0.8), ("end", (20, 20, 0.8), 1.0)):
        found = number(call(attempt, *given))
        if not close(found, expected, EXACT):
            return (
                f"for start 0.8 the momentum should {when} at {expected:g}; for {_shown(given)} yours is {found:.6g}."
            )
    return None


def half_way(attempt: Callable) -> str | None:
    found = number(call(attempt, 10, 20, 0.8))
    if close(found, 0.9, EXACT):
        return None
    return f"in the middle of the run the momentum should be half-way, 0.9 for start 0.8; yours is {found:.6g}."


def how_it_rises(attempt: Callable) -> str | None:
    steps = (0, 5, 10, 15, 20)
    found = [number(call(attempt, step, 20, 0.8)) for step in steps]
    expected = [right(step, 20, 0.8) for step in steps]
    if all(close(f, e, EXACT) for f, e in zip(found, expected)):
        return None
    return (
        f"for start 0.8 and steps {', '.join(map(str, steps))} of 20 your momenta are "
        f"{', '.join(f'{f:.4f}' for f in found)}; expected {', '.join(f'{e:.4f}' for e in expected)}."
    )


def other_runs(attempt: Callable) -> str | None:
    for given in ASKED:
        found = number(call(attempt, *given))
        if found is None or not close(found, right(*given), EXACT):
            seen = "no single finite number" if found is None else f"{found:.6g}"
            return (
                f"right for total_steps 20 and start 0.8, but for {_shown(given)} yours is {seen}, expected "
                f"{right(*given):.6g}."
            )
    return None


rising_momentum = Exercise(
    name=NAME,
    observe=observe,
    make=make,
    mistakes=MISTAKES,
    praise="from start to 1 on half a cosine, for runs of any length.",
    ladder=(is_a_number, where_it_begins_and_ends, half_way, how_it_rises, other_runs),
)
