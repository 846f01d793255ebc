"""Lesson 04: the learner's `my_moco_loss(q, k, queue, temperature)`."""

import math
from collections.abc import Callable

import torch
from torch import Generator, Tensor

from cl_course.lessons.moco.mistakes_moco_loss import MISTAKES, make, unit
from cl_course.lessons.shared.exercise import Exercise, Fault, call, kind_of, same
from cl_course.lessons.shared.ladder import by_hand, close, constant_relation, number, temperature_relation

COLD = 0.01
right = make()


# Inputs: batches and queues of several sizes; queries and keys differ in length, the queue's rows have length 1.
def batch(n: int, length: int, temperature: float, noise: float = 0.7) -> tuple[Tensor, Tensor, Tensor, float]:
    generator = Generator().manual_seed(n)
    q = torch.randn(n, 5, generator=generator)
    k = q + noise * torch.randn(n, 5, generator=generator)
    sizes = 0.6 + torch.rand(2, n, 1, generator=generator)
    queue = torch.randn(length, 5, generator=generator)
    return unit(q) * sizes[0], unit(k) * sizes[1], unit(queue), temperature


ORDINARY = (batch(3, 7, 0.5), batch(4, 6, 0.2), batch(6, 9, 2.0))
CHANGED = (
    "you changed {name} in place: it belongs to the caller, who still needs it. Make new tensors, "
    "q = F.normalize(q, dim=1) instead of q /= ..., and leave the queue as it is: the loss only reads it."
)


def value(attempt: Callable, q: Tensor, k: Tensor, queue: Tensor, temperature: float) -> Tensor:
    """The attempt's answer; of shape () where it is one number, and nan where it is not finite."""
    given = {"q": q.clone(), "k": k.clone(), "queue": queue.clone()}
    answer = call(lambda: attempt(*given.values(), temperature))
    for (name, after), before in zip(given.items(), (q, k, queue)):
        if not torch.equal(after, before):
            raise Fault(CHANGED.format(name=name))
    try:
        answer = torch.as_tensor(answer).detach().double()
    except (TypeError, ValueError, RuntimeError):
        several = f" of {len(answer)} values" if isinstance(answer, list | tuple) else ""
        raise Fault(f"{kind_of(answer)}{several} came back: the loss is one number, a tensor.") from None
    if answer.numel() == 1:
        answer = answer.reshape(())
    return answer if answer.isfinite().all() else torch.full_like(answer, torch.nan)


def observe(attempt: Callable) -> list[Tensor]:
    answers = [value(attempt, *inputs) for inputs in ORDINARY]
    if any(not answer.isfinite().all() for answer in answers):  # many causes, of which none can be told by the answer
        raise Fault(
            "your loss is not a finite number on an ordinary batch, at T = 0.5, 0.2 or 2. Look for a logarithm of 0 or "
            "a division by 0: the own key must be among the candidates, and none of them is masked."
        )
    return answers


# What a right answer must also do.
def is_finite_when_cold(attempt: Callable) -> str | None:
    inputs = batch(4, 6, COLD, noise=0.1)
    mine, expected = value(attempt, *inputs), right(*inputs)
    if same(mine, expected):
        return None
    if not mine.isfinite().all():
        return (
            f"right at ordinary temperatures, but at T = {COLD} your answer is not finite: there exp(1 / T) is larger "
            "than a float32 can hold. Let F.cross_entropy or torch.logsumexp take the exponentials."
        )
    return (
        f"right at ordinary temperatures, but at T = {COLD} your answer is {float(mine):.4f}, expected "
        f"{float(expected):.4f}. Let F.cross_entropy or torch.logsumexp take the exponentials, without numbers added "
        "for safety."
    )


def is_finite_when_the_key_is_far(attempt: Callable) -> str | None:
    q = torch.eye(3)
    inputs = (q, -q, q.roll(1, 0), COLD)
    if same(value(attempt, *inputs), right(*inputs)):
        return None
    return (
        f"right, until at T = {COLD} the own key is farther than a key of the queue: its probability is too small for "
        "float32 and becomes 0. Give the logits to F.cross_entropy, F.log_softmax or torch.logsumexp; never "
        "log(softmax)."
    )


def carries_its_gradient(attempt: Callable) -> str | None:
    q, k, queue, temperature = ORDINARY[0]

    def gradient(loss: Callable) -> Tensor | None:
        x = q.clone().requires_grad_()
        try:
            return torch.autograd.grad(loss(x * 1, k.clone(), queue.clone(), temperature).reshape(()), x)[0]
        except (RuntimeError, AttributeError, TypeError):  # a number, an array, or nothing leads back from it
            return None

    mine = gradient(attempt)
    if mine is not None and same(mine, gradient(right)):
        return None
    seen = "no gradient reaches them" if mine is None else "what reaches them is not the gradient of the whole loss"
    return (
        f"the value is right, but the queries must learn from it, and {seen}. Keep every step from q to the loss in "
        "torch, without .item(), float(), .detach() or a new torch.tensor(...)."
    )


def is_a_number(attempt: Callable) -> str | None:
    answer = attempt(*(x.clone() if isinstance(x, Tensor) else x for x in ORDINARY[0]))
    if isinstance(answer, Tensor) and answer.ndim:
        return f"your answer has the shape {tuple(answer.shape)}; a loss is usually a tensor of shape (), one number."
    return None


# Wrong, and no known mistake: one property after the other.
def how_far_off(attempt: Callable) -> str | None:
    inputs = [batch(n, length, t) for n, length in ((2, 3), (3, 5), (5, 4)) for t in (0.2, 0.5, 1.0)]
    mine = [number(value(attempt, *one)) for one in inputs]
    return None if None in mine else constant_relation(mine, [float(right(*one)) for one in inputs], "loss")


def lengths_count(attempt: Callable) -> str | None:
    q, k, queue, temperature = ORDINARY[0]
    before = number(attempt(q.clone(), k.clone(), queue.clone(), temperature))
    for name, inputs in {
        "the first query": (torch.cat([2 * q[:1], q[1:]]), k, queue),
        "the first key": (q, torch.cat([2 * k[:1], k[1:]]), queue),
    }.items():
        after = number(attempt(*(x.clone() for x in inputs), temperature))
        if before is not None and after is not None and not close(before, after):
            return (
                f"lengths count in your loss: with {name} twice as long it is {after:.4f} instead of {before:.4f}. "
                "The cosine similarity looks at directions alone: make each row's length 1 first."
            )
    return None


def how_temperature_counts(attempt: Callable) -> str | None:
    q, k, queue, _ = ORDINARY[0]
    temperatures = (0.25, 0.5, 2.0)
    mine = [number(attempt(q.clone(), k.clone(), queue.clone(), t)) for t in temperatures]
    return None if None in mine else temperature_relation(mine, lambda t: float(right(q, k, queue, t)), temperatures)


def without_a_queue(attempt: Callable) -> str | None:
    q, k, queue, temperature = ORDINARY[0]
    mine = number(attempt(q.clone(), k.clone(), queue[:0].clone(), temperature))
    if mine is None or close(mine, 0):
        return None
    return (
        "with an empty queue a query's only candidate is its own key, so the loss is ln 1 = 0, whatever else is in the "
        f"batch; yours is {mine:.4f} for a batch of 3."
    )


def how_many_candidates(attempt: Callable) -> str | None:
    for n, length in ((3, 4), (2, 6)):
        mine = number(attempt(torch.ones(n, 2), torch.ones(n, 2), unit(torch.ones(length, 2)), 0.5))
        if mine is None or close(mine, math.log(1 + length)):
            continue
        seen = math.exp(min(mine, 20.0))
        near = close(seen, round(seen), 1e-3) and seen > 0.5
        as_if = f" = ln {round(seen)}, as for {round(seen)} candidates" if near else ""
        return (
            f"when all embeddings of {n} images and of a queue of {length} keys are alike, a query has 1 + {length} "
            f"equal candidates and the loss is ln {1 + length} = {math.log(1 + length):.4f}; yours is "
            f"{mine:.4f}{as_if}."
        )
    return None


# Rows of the Gram matrix: q1 q2 k1 k2 and two keys of the queue.
PAIRS = {
    "of query 1 and its own key": ((0, 2), "fall"),
    "of query 2 and its own key": ((1, 3), "fall"),
    "of query 1 and a key of the queue": ((0, 4), "grow"),
    "of query 2 and the last key of the queue": ((1, 5), "grow"),
    "of query 1 and the key of image 2": ((0, 3), "stay"),
    "of the key of image 1 and a key of the queue": ((2, 4), "stay"),
    "of the two queries": ((0, 1), "stay"),
}


def _with_similarities(changed: dict[tuple[int, int], float]) -> tuple[Tensor, Tensor, Tensor]:
    """Two queries, two keys and a queue of two, with the cosine similarities asked for; all others are 0.2."""
    gram = torch.full((6, 6), 0.2, dtype=torch.double).fill_diagonal_(1.0)
    for (i, j), s in changed.items():
        gram[i, j] = gram[j, i] = s
    return tuple(torch.linalg.cholesky(gram).float().chunk(3))


def which_pairs_count(attempt: Callable) -> str | None:
    for low, high in ((0.2, 0.4), (-0.4, -0.2)):
        for whose, (pair, expected) in PAIRS.items():
            before, after = (number(attempt(*_with_similarities({pair: s}), 0.5)) for s in (low, high))
            if before is None or after is None:
                continue
            change = "stays" if close(after, before, 1e-5) else "grows" if after > before else "falls"
            if not change.startswith(expected):
                return (
                    f"when the similarity {whose} rises from {low} to {high} your loss {change} ({before:.4f} to "
                    f"{after:.4f}); it must {expected}."
                )
    return None


def small_example(attempt: Callable) -> str | None:
    given = {
        "q": torch.tensor([[1.0, 0.0]]),
        "k": torch.tensor([[0.6, 0.8]]),
        "queue": torch.tensor([[0.0, 1.0], [0.8, 0.6]]),
        "temperature": 0.5,
    }
    why = (
        "the similarities are 0.6 (own key), 0 and 0.8, divided by T they are 1.2, 0 and 1.6, and the loss is "
        "-log( exp(1.2) / (exp(1.2) + exp(0) + exp(1.6)) )"
    )
    return by_hand(attempt, right, given, why)


moco_loss = Exercise(
    name="my_moco_loss",
    observe=observe,
    make=make,
    mistakes=MISTAKES,
    praise="equal to the course's info_nce for every batch, queue and temperature tried, and finite at T = 0.01.",
    demands=(is_finite_when_cold, is_finite_when_the_key_is_far, carries_its_gradient),
    ladder=(
        how_far_off,
        lengths_count,
        how_temperature_counts,
        without_a_queue,
        how_many_candidates,
        which_pairs_count,
        small_example,
    ),
    notes=(is_a_number,),
)
