"""Lesson 04: the learner's `my_queue_step(q, k, queue, oldest, temperature)`.

Judged by what it leaves: after several batches that do not divide the queue's length, losses, queue and the place of
its oldest key must be those of the course's own step.
"""

from collections.abc import Callable, Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from cl_course.lessons.moco.mistakes_queue_step import MISTAKES, make, unit
from cl_course.lessons.shared.exercise import Exercise, Fault, NotAttempted, Raised, observed, same
from cl_course.lessons.shared.ladder import close, constant_relation, number, temperature_relation, written

LENGTH, BATCH, DIM, STEPS = 8, 3, 5, 5  # keys in the queue, keys a step; 3 does not divide 8
START, TEMPERATURE = 4, 0.3  # the second batch is the first to run over the queue's end
right = make()

NO_PAIR = "two things are to be returned: the loss, and the place where the oldest key lies now."
NO_PLACE = (
    "two things came back, but the second is no whole number: return the loss, then the place where the oldest key "
    "lies now."
)
OTHER_SHAPE = "the queue has another shape after the step: it keeps its K rows, and n of them get new values."


# Inputs.
def batches(steps: int = STEPS, n: int = BATCH, length: int = LENGTH) -> tuple[Tensor, list[tuple[Tensor, Tensor]]]:
    """A queue, and batches of queries near their keys, always the same."""
    generator = Generator().manual_seed(0)
    queue = F.normalize(torch.randn(length, DIM, generator=generator), dim=1)
    made = []
    for _ in range(steps):
        k = torch.randn(n, DIM, generator=generator)
        made.append((k + 0.5 * torch.randn(n, DIM, generator=generator), k))
    return queue, made


def taken(step: Callable, q: Tensor, k: Tensor, queue: Tensor, oldest: int, t: float = TEMPERATURE) -> tuple:
    """One step on this queue, in place: (loss, place). q and k have gradients, as those of a network have.

    Raises:
        NotAttempted: None came back, and the queue is as it was.
        Fault: what came back is no loss and place, or the queue has another shape.
    """
    before = queue.detach().clone()
    answer = step(q * 1, k * 1, queue, oldest, t)  # * 1: an attempt may detach_ what it gets, a leaf it may not
    if (answer is None or answer is ...) and torch.equal(before, queue):
        raise NotAttempted
    if queue.shape != before.shape:
        raise Fault(OTHER_SHAPE)
    if not isinstance(answer, tuple | list) or len(answer) != 2:
        raise Fault(NO_PAIR)
    loss, place = answer
    at = number(place)
    if at is None or not at.is_integer() or isinstance(place, Tensor) and place.requires_grad:
        raise Fault(NO_PLACE)
    return loss, int(at)


def run(step: Callable, steps: int = STEPS) -> tuple[list, list[int], list[Tensor]]:
    """Losses, places of the oldest key, and queues after each of several steps."""
    queue, made = batches(steps)
    losses, places, queues, oldest = [], [], [], START
    for q, k in made:
        loss, oldest = taken(step, q.requires_grad_(), k.requires_grad_(), queue, oldest)
        queue = queue.detach().clone()
        losses.append(_one_number(loss))
        places.append(oldest)
        queues.append(queue.clone())
    return losses, places, queues


def _one_number(loss: object) -> object:
    """A loss of one element as a tensor of shape (); anything else as it came."""
    value = number(loss)
    return loss if value is None else torch.tensor(value)


def observe(attempt: Callable) -> tuple:
    return run(attempt)


# What a right answer must also do.
def keeps_no_graph(attempt: Callable) -> str | None:
    queue, [(q, k)] = batches(1)
    taken(attempt, q.requires_grad_(), k.requires_grad_(), queue, START)
    if not queue.requires_grad:
        return None
    return (
        "loss, queue and place are right, but the queue keeps gradients: every key that you put in takes along the "
        "graph of the step that made it, for as long as it lies there, and memory grows with each step. Put in "
        "k.detach()."
    )


def gradient_goes_to_the_queries_alone(attempt: Callable) -> str | None:
    found = {}
    for name, step in {"mine": attempt, "right": right}.items():
        queue, [(q, k)] = batches(1)
        q, k = q.requires_grad_(), k.requires_grad_()
        loss, _ = taken(step, q, k, queue, START)
        try:
            loss.reshape(()).backward()
        except Exception as error:  # a number, or one that no gradient leads back from
            if "modified by an inplace operation" in str(error):
                return (
                    "backward() needs the queue as it was when the loss was computed, and you have written into it "
                    "since. `info_nce` takes a copy; a product of your own needs queue.clone()."
                )
        found[name] = q.grad, k.grad
    (to_q, to_k), (expected, _) = found["mine"], found["right"]
    if to_q is None or not to_q.any():
        return (
            "the values are right, but no gradient reaches the queries, so nothing would learn. Keep every step from q "
            "to the loss in torch: no q.detach(), no torch.no_grad() around the loss, no .item() or float()."
        )
    if not same(to_q, expected):
        return "the values are right, but the gradient that reaches the queries is not that of the loss."
    if to_k is not None and to_k.any():
        return (
            "a gradient flows into the keys: only the queries learn, and the key network follows them slowly. Detach "
            "the keys before the loss."
        )
    return None


def copes_with_other_sizes(attempt: Callable) -> str | None:
    """A batch that fills the queue, and one of a single image."""
    for n, length, oldest in ((4, 4, 1), (1, 5, 4), (2, 6, 4)):
        queue, [(q, k)] = batches(1, n, length)
        expected = queue.clone()
        theirs = taken(right, q, k, expected, oldest)
        mine = observed(partial(taken, q=q, k=k, queue=queue, oldest=oldest), attempt)
        if isinstance(mine, Raised):
            return f"right with {BATCH} keys a step and {LENGTH} places, but with {n} and {length} {mine}"
        if not (same(queue, expected) and mine[1] == theirs[1] and same(_one_number(mine[0]), _one_number(theirs[0]))):
            return (
                f"right with {BATCH} keys a step and {LENGTH} places, but not with {n} a step and {length} places, "
                f"from oldest = {oldest} on: {_first_difference(mine, queue, theirs, expected, oldest)}"
            )
    return None


def _first_difference(mine: tuple, queue: Tensor, theirs: tuple, expected: Tensor, oldest: int) -> str:
    if not same(queue, expected):
        return "the queue afterwards is not the right one."
    return (
        f"your place is {mine[1]}, expected {theirs[1]}." if mine[1] != theirs[1] else "the loss is not the right one."
    )


# Wrong, and no known mistake: one property after the other.
OLDEST, ROWS = 6, [6, 7, 0]  # in the example; 3 keys run over the end
GIVEN = "with 3 keys, 8 places and oldest = 6"


def _example(step: Callable) -> tuple[object, int, Tensor, Tensor, Tensor]:
    """(loss, place, queue before, queue after, unit keys) of one step that runs over the end."""
    queue, [(q, k)] = batches(1)
    before = queue.clone()
    loss, place = taken(step, q.requires_grad_(), k.requires_grad_(), queue, OLDEST)
    return loss, place, before, queue.detach(), unit(k)


def which_rows_change(attempt: Callable) -> str | None:
    _, _, before, after, _ = _example(attempt)
    changed = (before - after).abs().amax(dim=1).gt(1e-6).nonzero().flatten().tolist()
    if changed == sorted(ROWS):
        return None
    return (
        f"{GIVEN} the rows that change are {written(changed) if changed else 'none'}; those to change are 6, 7 and 0."
    )


def what_is_written(attempt: Callable) -> str | None:
    _, _, _, after, k = _example(attempt)
    rows = after[ROWS]
    lengths = rows.norm(dim=1)
    if same(rows, k):
        return None
    which = (F.normalize(rows, dim=1) @ k.T).max(dim=1)
    if bool((which.values > 0.9999).all()):
        places = which.indices.tolist()
        if places != [0, 1, 2]:
            return f"{GIVEN} rows 6, 7 and 0 get the keys of images {written(places)}, expected [0, 1, 2]."
        return f"{GIVEN} the new rows have the lengths {written(lengths)}; in the queue each row has length 1."
    mixed = which.values.tolist()
    return (
        f"{GIVEN} what you write into rows 6, 7 and 0 are not the keys: the cosine similarities of the new rows with "
        f"the keys nearest to them are {written([round(s, 3) for s in mixed])}, expected 1, 1 and 1."
    )


def which_place_comes_back(attempt: Callable) -> str | None:
    mine = {}
    for oldest in (0, 3, 5, 6, 7):
        queue, [(q, k)] = batches(1)
        mine[oldest] = taken(attempt, q, k, queue, oldest)[1]
    wrong = {oldest: place for oldest, place in mine.items() if place != (oldest + 3) % 8}
    if not wrong:
        return None
    oldest, place = next(iter(wrong.items()))
    return (
        f"with 3 keys, 8 places and oldest = {oldest} the place that you return is {place}; after the step the oldest "
        f"key lies at {(oldest + 3) % 8}."
    )


def how_the_loss_is_off(attempt: Callable) -> str | None:
    def at(step: Callable, temperature: float) -> float | None:
        queue, [(q, k)] = batches(1)
        return number(taken(step, q, k, queue, START, temperature)[0])

    temperatures = (0.2, 0.5, 1.0)
    mine, expected = ([at(step, t) for t in temperatures] for step in (attempt, right))
    if None in mine or all(close(m, e) for m, e in zip(mine, expected)):
        return None
    return (
        constant_relation(mine, expected, "loss")
        or temperature_relation(mine, lambda t: at(right, t), temperatures)
        or _against_the_batch(attempt)
    )


def _against_the_batch(attempt: Callable) -> str | None:
    """Whether the loss follows the other images of the batch, or the queue."""
    values = {}
    for name in ("as it is", "with the third image exchanged", "with the queue exchanged"):
        queue, [(q, k)] = batches(1)
        if name.startswith("with the third"):
            q, k = torch.cat([q[:2], q[:1]]), torch.cat([k[:2], k[:1]])
        if name.startswith("with the queue"):
            queue = queue.roll(1, dims=1)
        values[name] = [number(taken(step, q, k, queue.clone(), START)[0]) for step in (attempt, right)]
    (mine, expected), *others = values.values()
    if mine is None:
        return None
    if close(mine, others[1][0]):
        return f"your loss is the same, {mine:.4f}, when all rows of the queue are exchanged: it must depend on them."
    return (
        f"on one of the test inputs your loss is {mine:.4f}, expected {expected:.4f}; queue and place are right there."
    )


def does_it_hold(attempt: Callable) -> str | None:
    """The first step at which loss, place or queue is wrong; all before are right."""
    (losses, places, queues), (right_losses, right_places, right_queues) = run(attempt), run(right)
    for step, parts in enumerate(zip(losses, right_losses, places, right_places, queues, right_queues), 1):
        loss, right_loss, place, right_place, queue, right_queue = parts
        told = _wrong_parts(
            {
                "the loss": same(loss, right_loss),
                "the place": place == right_place,
                "the queue": same(queue, right_queue),
            }
        )
        if told:
            before = f"the first {step - 1} of {STEPS} steps are right; " if step > 1 else ""
            return f"{before}in step {step}, of {BATCH} keys into {LENGTH} places, {told} wrong."
    return None


def _wrong_parts(right_there: dict[str, bool]) -> str:
    wrong: Sequence[str] = [name for name, is_right in right_there.items() if not is_right]
    return f"{' and '.join(wrong)} {'is' if len(wrong) == 1 else 'are'}" if wrong else ""


queue_step = Exercise(
    name="my_queue_step",
    observe=observe,
    make=make,
    mistakes=MISTAKES,
    praise="loss, queue and oldest place are the course's, also where a batch runs over the queue's end.",
    demands=(keeps_no_graph, gradient_goes_to_the_queries_alone, copes_with_other_sizes),
    ladder=(
        which_rows_change,
        what_is_written,
        which_place_comes_back,
        how_the_loss_is_off,
        does_it_hold,
    ),
)
