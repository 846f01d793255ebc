"""Lesson 04: the learner's `my_places(oldest, n, length)`: where the next n keys go in a queue that is a ring."""

from collections.abc import Callable

import torch
from torch import Tensor

from cl_course.lessons.shared.exercise import Exercise, Fault, Mistake, call, kind_of, same
from cl_course.lessons.shared.ladder import written

NAME = "my_places"
# (oldest, n, length): the first runs over the end, the others do not, fill the queue exactly, or all of it.
CASES = ((5, 4, 7), (2, 3, 7), (4, 3, 7), (0, 6, 6), (3, 6, 6), (8, 1, 9))


# The right way, in parts that can each be done in a wrong way.
def all_of_them(n: int) -> Tensor:
    return torch.arange(n)


def from_the_oldest(steps: Tensor, oldest: int, n: int, length: int) -> Tensor:
    return oldest + steps


def around(places: Tensor, oldest: int, length: int) -> Tensor:
    return places % length


def in_order(places: Tensor) -> Tensor:
    return places


def make(
    steps: Callable = all_of_them,
    start: Callable = from_the_oldest,
    wrap: Callable = around,
    order: Callable = in_order,
) -> Callable[[int, int, int], Tensor]:
    def attempt(oldest: int, n: int, length: int) -> Tensor:
        return order(wrap(start(steps(n), oldest, n, length), oldest, length))

    return attempt


right = make()

_MODULO = "the places run beyond the queue's end: after its last place, length - 1, comes place 0. "
_RING = "The queue is a ring: count modulo its length, % length."

MISTAKES = (
    Mistake(
        _MODULO + "Count modulo the length.",
        {"wrap": lambda places, oldest, length: places},
    ),
    Mistake(
        "keys that do not fit before the end all go to the last place, one over the other. " + _RING,
        {"wrap": lambda places, oldest, length: places.clamp(max=length - 1)},
    ),
    Mistake(
        "the keys that do not fit before the end are left out: n keys need n places. " + _RING,
        {"wrap": lambda places, oldest, length: places[places < length]},
    ),
    Mistake(
        "the first new key goes to place `oldest` itself, not to the one after it: the oldest key must go.",
        {"start": lambda steps, oldest, n, length: oldest + 1 + steps},
    ),
    Mistake(
        "your places begin one before `oldest`: there lies the newest key.",
        {"start": lambda steps, oldest, n, length: oldest - 1 + steps},
    ),
    Mistake(
        "your places end at `oldest`, and those before it hold the newest keys. Begin at `oldest` and go on.",
        {"start": lambda steps, oldest, n, length: oldest - n + 1 + steps},
    ),
    Mistake(
        "your places lie just before `oldest`: these hold the newest keys. Begin at `oldest` and go on from there.",
        {"start": lambda steps, oldest, n, length: oldest - n + steps},
    ),
    Mistake(
        "you count backwards from `oldest`, where the newest keys lie. Count forwards.",
        {"start": lambda steps, oldest, n, length: oldest - steps},
    ),
    Mistake(
        "`oldest` is not used: your places begin at 0 each time.",
        {"start": lambda steps, oldest, n, length: steps},
    ),
    Mistake(
        "`oldest` is not used: your places are the last n of the queue each time.",
        {"start": lambda steps, oldest, n, length: length - n + steps},
    ),
    Mistake(
        "modulo length - 1 the last place is never used: the places are 0 to length - 1, so count modulo length.",
        {"wrap": lambda places, oldest, length: places % (length - 1)},
    ),
    Mistake(
        "modulo length + 1 there would be one place more than the queue has: count modulo length.",
        {"wrap": lambda places, oldest, length: places % (length + 1)},
    ),
    Mistake(
        "when a batch does not fit before the end you begin again at 0 with all of it: the last places are passed "
        "over. Only the keys that do not fit go to 0 and on.",
        {"start": lambda steps, oldest, n, length: steps + (oldest if oldest + n <= length else 0)},
    ),
    Mistake(
        "one place too many: n keys go to n places, oldest to oldest + n - 1.",
        {"steps": lambda n: torch.arange(n + 1)},
    ),
    Mistake("one place too few: n keys go to n places.", {"steps": lambda n: torch.arange(n - 1)}),
    Mistake(
        "the places are right but sorted: row i of the keys goes to the i-th place, so keep their order.",
        {"order": lambda places: places.sort().values},
    ),
    Mistake(
        "the places are right but in reverse order: row 0 of the keys goes to place `oldest`.",
        {"order": lambda places: places.flip(0)},
    ),
    Mistake(
        "only the first of the places came back: there is one for each of the n keys.",
        {"order": lambda places: places[0]},
    ),
)
PAIR = (
    "more than the places came back: return the n places alone. (Where the oldest key lies afterwards belongs to the "
    "next exercise.)"
)


def places(attempt: Callable, oldest: int, n: int, length: int) -> Tensor:
    answer = call(attempt, oldest, n, length)
    if isinstance(answer, tuple) and len(answer) == 2 and isinstance(answer[0], list | tuple | Tensor | range):
        raise Fault(PAIR)
    kind = type(answer).__name__
    try:
        if isinstance(answer, range | list | tuple) or hasattr(answer, "__next__"):
            answer = torch.tensor([int(place) if float(place).is_integer() else float(place) for place in answer])
        answer = torch.as_tensor(answer)
    except (TypeError, ValueError, RuntimeError):
        raise Fault(f"a {kind} came back: return the n places, such as {written(right(5, 4, 7))}.") from None
    if answer.dtype == torch.bool:
        raise Fault(
            "a mask of True and False came back: it says which places, but not which key goes to which. "
            f"Return the places as whole numbers, such as {written(right(5, 4, 7))}."
        )
    if answer.ndim == 2 and 1 in answer.shape:
        answer = answer.flatten()
    return answer.reshape(n) if answer.ndim == 0 and n == 1 else answer


def observe(attempt: Callable) -> list[Tensor]:
    return [places(attempt, *case) for case in CASES]


def can_index(attempt: Callable) -> str | None:
    answer = attempt(*CASES[0])
    if isinstance(answer, Tensor) and answer.is_floating_point():
        return "the places are right, but they are floats, and a tensor cannot be indexed by those: use whole numbers."
    return None


def has_one_dimension(attempt: Callable) -> str | None:
    answer = attempt(*CASES[0])
    if isinstance(answer, Tensor) and answer.ndim > 1:
        return f"your answer has the shape {tuple(answer.shape)}; as places one expects the shape (n,)."
    if not isinstance(answer, Tensor):
        return f"{kind_of(answer)} came back: right, and in the next exercise a tensor is handier."
    return None


# Wrong, and no known mistake: the first case, by hand, in which it differs.
def one_case_by_hand(attempt: Callable) -> str | None:
    told = {
        (2, 3, 7): "the places from 2 on",
        (5, 4, 7): "5 and 6 are the last places, and after them comes 0",
        (4, 3, 7): "4, 5 and 6 just fit",
    }
    for case, why in told.items():
        mine = places(attempt, *case)
        if not same(mine, right(*case)):
            oldest, n, length = case
            return (
                f"for oldest = {oldest}, n = {n}, length = {length} your places are {written(mine)}, expected "
                f"{written(right(*case))}: {why}."
            )
    return None


def another_case(attempt: Callable) -> str | None:
    for case in CASES:
        mine = places(attempt, *case)
        if not same(mine, right(*case)):
            oldest, n, length = case
            return (
                f"for oldest = {oldest}, n = {n}, length = {length} your places are {written(mine)}, expected "
                f"{written(right(*case))}."
            )
    return None


queue_places = Exercise(
    name=NAME,
    observe=observe,
    make=make,
    mistakes=MISTAKES,
    praise="the n oldest places in their order, also where a batch runs over the queue's end or fills all of it.",
    demands=(can_index,),
    ladder=(one_case_by_hand, another_case),
    notes=(has_one_dimension,),
)
