"""Lesson 04: the learner's `my_queue_step(q, k, queue, oldest, temperature)`.

Judged by what it leaves: after several batches that do not divide the queue's length, losses, queue
and the place of its oldest key must be those of the course's own step. Where they are not, the known
mistakes are tried, alone and in pairs, for one that leaves the same.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from cl_course.lessons.shared.old_exercise import NOT_ATTEMPTED, failed, one_or_two, passed, same, stopped
from cl_course.losses import info_nce

EXERCISE = "my_queue_step"
LENGTH, BATCH, DIM, STEPS = 7, 3, 5, 5  # keys in the queue, keys a step; 3 does not divide 7
START, TEMPERATURE = 2, 0.3  # the second batch is the first to run over the queue's end

NO_PAIR = "two things are to be returned: the loss, and the place where the oldest key lies now."
OVER_THE_END = (
    "your code stops where a batch runs over the queue's end: {error}. The places go on at 0: count them modulo the queue's length, "
    "(oldest + torch.arange(n)) % len(queue), and any batch size fits."
)
QUEUE_CHANGED = (
    "backward() needs the queue as it was when the loss was computed, and you have written into it since. `info_nce` takes a copy; "
    "a product of your own needs queue.clone()."
)
KEEPS_GRADIENT = (
    "the queue keeps gradients: every key that you put in drags along the graph of the step that made it, for as long as it lies there, "
    "and memory grows with each step. Put in k.detach()."
)
INTO_KEYS = "a gradient flows into the keys: only the queries learn, and the key network follows them slowly. Detach the keys before the loss."
NO_GRADIENT = "the values are right, but no gradient reaches the queries, so nothing would learn: detach the keys, not the queries, and leave out .item() and float()."


def queue_step(attempt: Callable) -> None:
    """Check MoCo's loss and enqueueing by several batches; name the mistake, or two of them, if there are any."""
    try:
        run = _run(attempt)
    except NotImplementedError:
        return failed(EXERCISE, NOT_ATTEMPTED)
    except _Stopped as stopped:
        return failed(EXERCISE, str(stopped))
    sentence = _whats_wrong(run)
    return (
        failed(EXERCISE, sentence)
        if sentence
        else passed(
            EXERCISE, "loss, queue and oldest place are the course's, also where a batch runs over the queue's end."
        )
    )


class _Stopped(Exception):
    """The attempt raised; what to say of it."""


@dataclass
class _Run:
    """What the steps did: losses, places of the oldest key and queues after each, and where gradients went."""

    losses: list[Tensor] = field(default_factory=list)
    oldest: list[int] = field(default_factory=list)
    queues: list[Tensor] = field(default_factory=list)
    no_pair: bool = False
    nothing: bool = False  # not even a None that had done something
    queue_keeps: bool = False
    into_queries: bool = True
    into_keys: bool = False

    @property
    def left(self) -> tuple:
        return self.losses, self.oldest, self.queues


def _whats_wrong(run: _Run) -> str | None:
    if run.nothing:
        return NOT_ATTEMPTED
    if run.no_pair:
        return NO_PAIR
    if not same(run.left, _run(_step()).left):
        for sentence, parts in one_or_two(MISTAKES):
            if same(run.left, _run(_step(**parts)).left):
                return sentence
        return "loss, queue or oldest place are not those of the course's step; it is none of the mistakes known here, so compare yours with the list, point by point."
    if run.queue_keeps:
        return KEEPS_GRADIENT
    if not run.into_queries:
        return NO_GRADIENT
    return INTO_KEYS if run.into_keys else None


def _run(step: Callable) -> _Run:
    """Some batches of queries near their keys, always the same; each step gets the place that the one before returned."""
    generator, run, oldest = Generator().manual_seed(0), _Run(), START
    queue = F.normalize(torch.randn(LENGTH, DIM, generator=generator), dim=1)
    for number in range(STEPS):
        k = torch.randn(BATCH, DIM, generator=generator)
        q = (k + 0.5 * torch.randn(BATCH, DIM, generator=generator)).requires_grad_()
        k.requires_grad_()
        before = queue.clone()
        try:
            answer = step(
                q * 1, k * 1, queue, oldest, TEMPERATURE
            )  # * 1: an attempt may detach_ what it is given, a leaf it may not
        except NotImplementedError:
            raise
        except Exception as error:  # the learner's code may raise anything; the check must go on
            over = number > 0 and isinstance(error, IndexError | RuntimeError)
            raise _Stopped(OVER_THE_END.format(error=error) if over else stopped(error)) from error
        run.nothing = (answer is None or answer is ...) and torch.equal(before, queue)
        if not isinstance(answer, tuple | list) or len(answer) != 2 or not _is_place(answer[1]):
            run.no_pair = True
            return run
        loss, oldest = answer[0], int(answer[1])
        run.queue_keeps |= queue.requires_grad
        _backward(loss, q, k, run)
        run.losses.append(loss.detach() if isinstance(loss, Tensor) else loss)
        run.oldest.append(oldest)
        queue = queue.detach().clone()
        run.queues.append(queue.clone())
    return run


def _is_place(value: object) -> bool:
    return isinstance(value, int) or isinstance(value, Tensor) and value.numel() == 1 and not value.is_floating_point()


def _backward(loss: object, q: Tensor, k: Tensor, run: _Run) -> None:
    try:
        loss.backward()
    except Exception as error:  # a number, or hanging on nothing
        if "modified by an inplace operation" in str(error):
            raise _Stopped(QUEUE_CHANGED) from error
    run.into_queries &= q.grad is not None and bool(q.grad.any())
    run.into_keys |= k.grad is not None


# The step, in parts that can each be done wrongly.
def _unit(k: Tensor) -> Tensor:
    return F.normalize(k.detach(), dim=1)


def _ask(q: Tensor, k: Tensor, queue: Tensor, temperature: float) -> Tensor:
    return info_nce(q, k, queue, temperature)


def _write(queue: Tensor, oldest: int, k: Tensor, q: Tensor) -> None:
    queue[(oldest + torch.arange(len(k))) % len(queue)] = k


def _advance(oldest: int, n: int, length: int) -> int:
    return (oldest + n) % length


def _step(keys=_unit, loss=_ask, write=_write, advance=_advance, write_first=False) -> Callable:
    def step(q, k, queue, oldest, temperature):
        k = keys(k)
        if write_first:
            write(queue, oldest, k, q.detach())
        value = loss(q, k, queue, temperature)
        if not write_first:
            write(queue, oldest, k, q.detach())
        return value, advance(oldest, len(k), len(queue))

    return step


def _write_newest(queue, oldest, k, q):
    queue[(oldest - len(k) + torch.arange(len(k))) % len(queue)] = k


def _write_last(queue, oldest, k, q):
    queue[-len(k) :] = k


def _write_first_rows(queue, oldest, k, q):
    queue[: len(k)] = k


def _drop_the_rest(queue, oldest, k, q):
    room = len(queue[oldest:])
    queue[oldest : oldest + len(k)] = k[:room]


def _start_again(queue, oldest, k, q):
    """Back to row 0 when the batch does not fit."""
    start = oldest if oldest + len(k) <= len(queue) else 0
    queue[start : start + len(k)] = k


def _shift(queue, oldest, k, q):
    queue.copy_(torch.cat([queue[len(k) :], k]))


def _write_queries(queue, oldest, k, q):
    _write(queue, oldest, F.normalize(q, dim=1), q)


_OLDEST_KEPT = "the newest keys are overwritten, those of the step before, and the oldest stay for ever: `oldest` is where the first new key goes, and the others after it."
_FIXED_ROWS = "`oldest` is not used: every batch goes to the same rows and overwrites the newest keys, while all others stay for ever. The first new key goes to place `oldest`."
_REST = "a batch that does not divide the queue's length loses keys at its end: those that do not fit there go on at place 0, modulo the queue's length."
_POINTER = "`oldest` is wrong after the step: n keys further on lies the oldest now, so (oldest + n) % len(queue)."
_LENGTHS = (
    "the keys go into the queue at the length they came with; it holds directions. Make each row's length 1 first, F.normalize(k, dim=1): "
    "`info_nce` would do it again, a plain product with the queue, as in the paper, would not."
)
MISTAKES: tuple[tuple[str, dict], ...] = (
    (
        "the keys are enqueued before the loss: each query then meets its own key among the negatives, and is pushed away from what it should find. First the loss, then the queue.",
        {"write_first": True},
    ),
    (_OLDEST_KEPT, {"write": _write_newest}),
    (_FIXED_ROWS, {"write": _write_last}),
    (_FIXED_ROWS, {"write": _write_first_rows}),
    (_REST, {"write": _drop_the_rest}),
    (_REST, {"write": _drop_the_rest, "advance": lambda oldest, n, length: 0 if oldest + n >= length else oldest + n}),
    (
        "when a batch does not fit before the queue's end you start again at place 0: the last places are passed over, and what lies there grows old. Let the batch run over the end, modulo the length.",
        {"write": _start_again, "advance": lambda oldest, n, length: (oldest if oldest + n <= length else 0) + n},
    ),
    (
        "you shift the whole queue and drop its first rows, but the oldest key lies at place `oldest`: leave all others where they are and write over the n oldest alone.",
        {"write": _shift},
    ),
    (
        "no key has gone into the queue: `queue = ...` gives the name to another tensor, and the caller's stays as it was. Write into it: queue[places] = k.",
        {"write": lambda queue, oldest, k, q: None},
    ),
    (
        "the queries have gone into the queue, not their keys: only what the slow key network makes is fit to be kept.",
        {"write": _write_queries},
    ),
    (_LENGTHS, {"keys": lambda k: k.detach()}),
    (
        "the keys ask and the queries answer: `info_nce` takes the queries first, and the gradient belongs to them.",
        {"loss": lambda q, k, queue, t: info_nce(k, q, queue, t)},
    ),
    (
        "the temperature is not handed on: give it to `info_nce` as the last argument.",
        {"loss": lambda q, k, queue, t: info_nce(q, k, queue)},
    ),
    (
        "there are no negatives from the queue in your loss: hand `queue` to `info_nce`. The other keys of the batch are no candidates here.",
        {"loss": lambda q, k, queue, t: F.cross_entropy(F.normalize(q, dim=1) @ k.T / t, torch.arange(len(q)))},
    ),
    (f"{_POINTER} You return it unchanged.", {"advance": lambda oldest, n, length: oldest}),
    (f"{_POINTER} You go on by one place.", {"advance": lambda oldest, n, length: (oldest + 1) % length}),
    (
        f"{_POINTER} You leave out the modulo, so it runs beyond the queue.",
        {"advance": lambda oldest, n, length: oldest + n},
    ),
    (
        f"{_POINTER} You start again at 0 when the end is passed, whatever lies there.",
        {"advance": lambda oldest, n, length: oldest + n if oldest + n < length else 0},
    ),
)  # sentence, the parts of the step that are done wrongly
