"""Lesson 04's `my_queue_step`: the right way in parts, and the known ways to do a part wrong."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from cl_course.lessons.shared.exercise import Mistake
from cl_course.losses import info_nce


# The step, in parts that can each be done in a wrong way.
def unit(k: Tensor) -> Tensor:
    return F.normalize(k.detach(), dim=1)


def ask(q: Tensor, k: Tensor, queue: Tensor, temperature: float) -> Tensor:
    return info_nce(q, k, queue, temperature)


def over_the_oldest(queue: Tensor, oldest: int, k: Tensor, q: Tensor) -> None:
    queue[(oldest + torch.arange(len(k))) % len(queue)] = k


def n_places_on(oldest: int, n: int, length: int) -> int:
    return (oldest + n) % length


def make(
    keys: Callable = unit,
    loss: Callable = ask,
    write: Callable = over_the_oldest,
    advance: Callable = n_places_on,
    write_first: bool = False,
) -> Callable[[Tensor, Tensor, Tensor, int, float], tuple[Tensor, int]]:
    def step(q: Tensor, k: Tensor, queue: Tensor, oldest: int, temperature: float) -> tuple[Tensor, int]:
        k = keys(k)
        if write_first:
            write(queue, oldest, k, q.detach())
        value = loss(q, k, queue, temperature)
        if not write_first:
            write(queue, oldest, k, q.detach())
        return value, advance(oldest, len(k), len(queue))

    return step


# The parts done in wrong ways.
def _at(start: Callable[[int, int, int], int], backwards: bool = False) -> Callable:
    """Write the keys from another place on, around the ring."""

    def write(queue: Tensor, oldest: int, k: Tensor, q: Tensor) -> None:
        steps = -torch.arange(len(k)) if backwards else torch.arange(len(k))
        queue[(start(oldest, len(k), len(queue)) + steps) % len(queue)] = k

    return write


def _what(rows: Callable[[Tensor, Tensor], Tensor]) -> Callable:
    """Write something else than the keys into the right places."""
    return lambda queue, oldest, k, q: over_the_oldest(queue, oldest, rows(k, q), q)


def _drop_the_rest(queue: Tensor, oldest: int, k: Tensor, q: Tensor) -> None:
    queue[oldest : oldest + len(k)] = k[: len(queue) - oldest]


def _all_on_the_last(queue: Tensor, oldest: int, k: Tensor, q: Tensor) -> None:
    for place, key in enumerate(k, oldest):
        queue[min(place, len(queue) - 1)] = key


def _start_again(queue: Tensor, oldest: int, k: Tensor, q: Tensor) -> None:
    """Back to row 0 when the batch does not fit."""
    start = oldest if oldest + len(k) <= len(queue) else 0
    queue[start : start + len(k)] = k


def _shift(queue: Tensor, oldest: int, k: Tensor, q: Tensor) -> None:
    queue.copy_(torch.cat([queue[len(k) :], k]))


def _shift_in_front(queue: Tensor, oldest: int, k: Tensor, q: Tensor) -> None:
    queue.copy_(torch.cat([k, queue[: -len(k)]]))


def _slice(queue: Tensor, oldest: int, k: Tensor, q: Tensor) -> None:
    queue[oldest : oldest + len(k)] = k


def _without_modulo(queue: Tensor, oldest: int, k: Tensor, q: Tensor) -> None:
    queue[oldest + torch.arange(len(k))] = k


def _average_with_the_oldest(k: Tensor, old: Tensor) -> Tensor:
    return (k + old) / 2


def _batch_alone(q: Tensor, k: Tensor, queue: Tensor, t: float) -> Tensor:
    return F.cross_entropy(F.normalize(q, dim=1) @ F.normalize(k, dim=1).T / t, torch.arange(len(q)))


def _batch_and_queue(q: Tensor, k: Tensor, queue: Tensor, t: float) -> Tensor:
    candidates = torch.cat([F.normalize(k, dim=1), queue.clone()])
    return F.cross_entropy(F.normalize(q, dim=1) @ candidates.T / t, torch.arange(len(q)))


_OLDEST_KEPT = (
    "the newest keys are overwritten, those of the step before, and the oldest stay for ever: `oldest` is where the "
    "first new key goes, and the others after it."
)
_FIXED_ROWS = (
    "`oldest` is not used: every batch goes to the same rows and overwrites the newest keys, while all others stay for "
    "ever. The first new key goes to place `oldest`."
)
_REST = (
    "a batch that does not divide the queue's length loses keys at its end: those that do not fit there go on at "
    "place 0, modulo the queue's length."
)
_OVER = (
    "your code stops where a batch runs over the queue's end. The places go on at 0: count them modulo the queue's "
    "length, (oldest + torch.arange(n)) % len(queue), and any batch size fits."
)
_POINTER = "`oldest` is wrong after the step: n keys further on lies the oldest now, so (oldest + n) % len(queue)."
_SHIFTED = (
    "you move all rows of the queue and drop some at its end, but the oldest key lies at place `oldest`: leave all "
    "others where they are and write over the n oldest alone."
)
MISTAKES = (
    Mistake(
        "the keys are enqueued before the loss: each query then meets its own key among the negatives, and is pushed "
        "away from what it should find. First the loss, then the queue.",
        {"write_first": True},
    ),
    Mistake(_OLDEST_KEPT, {"write": _at(lambda oldest, n, length: oldest - n)}),
    Mistake(_OLDEST_KEPT, {"write": _at(lambda oldest, n, length: oldest - 1, backwards=True)}),
    Mistake(
        "the keys go to the places from oldest + 1 on: the first new key belongs in place `oldest` itself.",
        {"write": _at(lambda oldest, n, length: oldest + 1)},
    ),
    Mistake(
        "you write backwards from `oldest`: the places before it hold the newest keys. Count forwards.",
        {"write": _at(lambda oldest, n, length: oldest, backwards=True)},
    ),
    Mistake(_FIXED_ROWS, {"write": _at(lambda oldest, n, length: length - n)}),
    Mistake(_FIXED_ROWS, {"write": _at(lambda oldest, n, length: 0)}),
    Mistake(_REST, {"write": _drop_the_rest}),
    Mistake(
        _REST + " And you return 0 there, where an older key lies.",
        {"write": _drop_the_rest, "advance": lambda oldest, n, length: 0 if oldest + n >= length else oldest + n},
    ),
    Mistake(
        "keys that do not fit before the queue's end all go to its last place. They go on at place 0.",
        {"write": _all_on_the_last},
    ),
    Mistake(
        "when a batch does not fit before the queue's end you start again at place 0: the last places are passed over, "
        "and what lies there grows old. Let the batch run over the end, modulo the length.",
        {
            "write": _start_again,
            "advance": lambda oldest, n, length: (oldest if oldest + n <= length else 0) + n,
        },
    ),
    Mistake(_OVER, {"write": _slice}),
    Mistake(_OVER, {"write": _without_modulo}),
    Mistake(_SHIFTED, {"write": _shift}),
    Mistake(_SHIFTED, {"write": _shift_in_front}),
    Mistake(_SHIFTED, {"write": _shift, "advance": lambda oldest, n, length: 0}),
    Mistake(_SHIFTED, {"write": _shift, "advance": lambda oldest, n, length: oldest}),
    Mistake(
        "no key has gone into the caller's queue. If you wrote `queue = ...`: that gives the name to another tensor, "
        "and the caller's stays as it was. Write into it: queue[places] = k.",
        {"write": lambda queue, oldest, k, q: None},
    ),
    Mistake(
        "the queries have gone into the queue, not their keys: only what the slow key network makes may be kept.",
        {"write": _what(lambda k, q: F.normalize(q, dim=1))},
    ),
    Mistake(
        "the queries have gone into the queue, and not even at length 1: normalised keys belong there.",
        {"write": _what(lambda k, q: q)},
    ),
    Mistake(
        "the keys go into the right places in reverse order: the first key belongs in place `oldest`.",
        {"write": _what(lambda k, q: k.flip(0))},
    ),
    Mistake(
        "one key has gone into all n places: row i of k belongs in the i-th of them.",
        {"write": _what(lambda k, q: k[:1].expand_as(k))},
    ),
    Mistake(
        "the mean of the batch's keys has gone into all n places: row i of k belongs in the i-th of them.",
        {"write": _what(lambda k, q: k.mean(dim=0, keepdim=True).expand_as(k))},
    ),
    Mistake(
        "the keys go into the queue at the length that they came with; it holds directions. Make each row's length 1 "
        "first, F.normalize(k, dim=1): `info_nce` would do it again, a plain product with the queue, as in the paper, "
        "would not.",
        {"keys": lambda k: k.detach()},
    ),
    Mistake(
        "the keys are normalised along the wrong dimension: each row is an embedding, so dim=1.",
        {"keys": lambda k: F.normalize(k.detach(), dim=0)},
    ),
    Mistake(
        "the keys ask and the queries answer: `info_nce` takes the queries first, and the gradient belongs to them.",
        {"loss": lambda q, k, queue, t: info_nce(k, q, queue, t)},
    ),
    Mistake(
        "the temperature is not handed on: give it to `info_nce` as the last argument.",
        {"loss": lambda q, k, queue, t: info_nce(q, k, queue)},
    ),
    Mistake(
        "your negatives are the other keys of the batch, not the queue: give `queue` to `info_nce`.",
        {"loss": _batch_alone},
    ),
    Mistake(
        "the other keys of the batch are negatives too: a query's candidates are its own key and the queue.",
        {"loss": _batch_and_queue},
    ),
    Mistake("the sign of the loss is turned round.", {"loss": lambda q, k, queue, t: -info_nce(q, k, queue, t)}),
    Mistake(
        "the loss is a sum over the queries: `info_nce` returns their mean, which is what is asked for.",
        {"loss": lambda q, k, queue, t: len(q) * info_nce(q, k, queue, t)},
    ),
    Mistake(
        "the loss is divided by n once more: `info_nce` is a mean already.",
        {"loss": lambda q, k, queue, t: info_nce(q, k, queue, t) / len(q)},
    ),
    Mistake(
        "the queue is asked in both directions, queries and keys. Here the queries ask alone.",
        {"loss": lambda q, k, queue, t: (info_nce(q, k, queue, t) + info_nce(k, q, queue, t)) / 2},
    ),
    Mistake(f"{_POINTER} You return it unchanged.", {"advance": lambda oldest, n, length: oldest}),
    Mistake(f"{_POINTER} You go on by one place.", {"advance": lambda oldest, n, length: (oldest + 1) % length}),
    Mistake(f"{_POINTER} You go back by n.", {"advance": lambda oldest, n, length: (oldest - n) % length}),
    Mistake(
        f"{_POINTER} Yours is the place of the last key that you wrote.",
        {"advance": lambda oldest, n, length: (oldest + n - 1) % length},
    ),
    Mistake(
        f"{_POINTER} Yours is one place too far.", {"advance": lambda oldest, n, length: (oldest + n + 1) % length}
    ),
    Mistake(f"{_POINTER} You return n.", {"advance": lambda oldest, n, length: n}),
    Mistake(f"{_POINTER} You return 0 each time.", {"advance": lambda oldest, n, length: 0}),
    Mistake(
        f"{_POINTER} You leave out the modulo, so it runs beyond the queue.",
        {"advance": lambda oldest, n, length: oldest + n},
    ),
    Mistake(
        f"{_POINTER} You start again at 0 when the end is passed, whatever lies there.",
        {"advance": lambda oldest, n, length: oldest + n if oldest + n < length else 0},
    ),
    Mistake(f"{_POINTER} You count modulo the batch's size.", {"advance": lambda oldest, n, length: (oldest + n) % n}),
)
