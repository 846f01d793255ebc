"""Lesson 00: the learner's `my_pick(anchor_h, candidates_h)` and `my_counts(n)`."""

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from cl_course.lessons.shared.exercise import Exercise, Fault, Mistake, call, kind_of
from cl_course.lessons.shared.ladder import number, written

CANDIDATES, DIMENSIONS, ROUNDS = 6, 5, 40


# Picking a card: the right way, in parts that can each be done in a wrong way.
def direction(h: Tensor) -> Tensor:
    return F.normalize(h, dim=-1)


def cosine(anchor: Tensor, candidates: Tensor) -> Tensor:
    return candidates @ anchor


def make_pick(lengths: Callable = direction, score: Callable = cosine, choose: Callable = torch.argmax) -> Callable:
    def attempt(anchor_h: Tensor, candidates_h: Tensor) -> Tensor:
        return choose(score(lengths(anchor_h), lengths(candidates_h)))

    return attempt


def rounds() -> list[tuple[Tensor, Tensor]]:
    """Embeddings of an anchor and its candidates, whose lengths differ much and whose place in the row says nothing."""
    generator = Generator().manual_seed(0)
    anchors = torch.randn(ROUNDS, DIMENSIONS, generator=generator)
    candidates = torch.randn(ROUNDS, CANDIDATES, DIMENSIONS, generator=generator)
    lengths = 0.2 + 4 * torch.rand(ROUNDS, CANDIDATES, 1, generator=generator)
    return [(a, c) for a, c in zip(anchors, candidates * lengths)]


def picked(attempt: Callable, anchor: Tensor, candidates: Tensor) -> object:
    given = anchor.clone(), candidates.clone()
    answer = call(lambda: attempt(*given))
    if not (torch.equal(given[0], anchor) and torch.equal(given[1], candidates)):
        raise Fault(
            "you changed the embeddings in place: the caller's tensors are altered. "
            "Make new ones, h = h / 2 instead of h /= 2."
        )
    try:
        answer = torch.as_tensor(answer).detach()
    except (TypeError, ValueError, RuntimeError):
        lost = " Are the brackets () of a function missing?" if callable(answer) else ""
        raise Fault(f"{kind_of(answer)} came back; one number is expected, the row of the card.{lost}") from None
    if answer.dtype == torch.bool:
        answer = answer.long()
    return answer.reshape(()) if answer.numel() == 1 else answer


def observe_pick(attempt: Callable) -> list:
    return [picked(attempt, *one) for one in rounds()]


def right_pick(anchor: Tensor, candidates: Tensor) -> int:
    return int(make_pick()(anchor, candidates))


def how_often_right(attempt: Callable) -> str | None:
    answers = [number(picked(attempt, *one)) for one in rounds()]
    if None in answers or any(a != round(a) or not 0 <= a < CANDIDATES for a in answers):
        return None
    if len(set(answers)) == 1:
        return f"you pick card {answers[0]:.0f} in every round, whatever the cards are; the pick must follow from them."
    right = sum(a == right_pick(*one) for a, one in zip(answers, rounds()))
    return f"you pick the right card in {right} of {ROUNDS} test rounds. {_small_round(attempt)}"


def _small_round(attempt: Callable) -> str:
    """A round of two numbers a card: the first card has the anchor's direction, the second is long, the third near."""
    anchor, candidates = torch.tensor([1.0, 0.0]), torch.tensor([[0.0, 1.0], [0.1, 0.0], [3.0, 3.0], [0.9, 0.5]])
    given = f"anchor_h = {written(anchor)} and candidates_h = {written(candidates)}"
    answer = number(picked(attempt, anchor, candidates))
    if answer == 1:
        return (
            f"For {given} your pick, 1, is right: it has the anchor's direction. Compare on rounds with more numbers."
        )
    return f"For {given} you pick {answer:.0f}; the right row is 1: it is short, with the anchor's direction."


def is_a_row_number(attempt: Callable) -> str | None:
    for one in rounds():
        answer = picked(attempt, *one)
        if answer.numel() > 1:
            return f"{answer.numel()} numbers came back; return one, the row of the card that you pick."
        if number(answer) not in range(CANDIDATES):
            return (
                f"in one of the test rounds your answer is {float(answer):.4g}; expected: the row of the card you "
                f"pick, a whole number from 0 to {CANDIDATES - 1}."
            )
    return None


_LENGTHS = (
    "the lengths of the embeddings count in your pick: a card with a long embedding wins though its direction is "
)

PICK_MISTAKES = (
    Mistake(
        "you pick the card that is *least* like the anchor: take the largest similarity, or the smallest distance.",
        {"choose": torch.argmin},
    ),
    Mistake(
        _LENGTHS + "another. Divide each embedding by its length first, F.normalize(h, dim=-1).",
        {"lengths": lambda h: h},
    ),
    Mistake(
        "normalised along the wrong dimension: each row of candidates_h is one card, so dim=-1 (or 1), not 0.",
        {"lengths": lambda h: F.normalize(h, dim=0)},
    ),
    Mistake(
        "F.cosine_similarity compares columns with dim=0: each row of candidates_h is one card, so dim=-1 (or 1).",
        {"lengths": lambda h: h, "score": lambda a, c: F.cosine_similarity(a, c, dim=0)},
    ),
    Mistake(
        "dim=1 of a tensor with one dimension: anchor_h, (d,), and the similarities, (6,), have dim=0 only. "
        "dim=-1 fits all.",
        {"lengths": lambda h: F.normalize(h, dim=1), "score": lambda a, c: c @ a},
    ),
    Mistake(
        "the products are not summed, one sum a card: candidates_h @ anchor_h multiplies and sums.",
        {"score": lambda a, c: c * a},
    ),
    Mistake(
        "the similarity itself came back: return the row in which it is largest, .argmax().",
        {"choose": torch.amax},
    ),
    Mistake("all similarities came back: return the row of the largest, .argmax().", {"choose": lambda s: s}),
    Mistake(
        "a pair came back, the largest similarity and its row, as .max(dim=0) gives it: return the row alone.",
        {"choose": lambda s: s.max(dim=0)},
    ),
    Mistake(
        "rows in order of similarity came back: return the first of them alone.",
        {"choose": lambda s: s.argsort(descending=True)},
    ),
    Mistake("the second best card is picked, not the best.", {"choose": lambda s: s.argsort(descending=True)[1]}),
    Mistake(
        "the sign is lost: a card of the opposite direction counts as near as one of the same. "
        "Leave out the absolute value or the square.",
        {"score": lambda a, c: (c @ a).abs()},
    ),
    Mistake(
        "you pick by distance, and of *unnormalised* embeddings: lengths count. Normalise first, or use the cosine.",
        {"lengths": lambda h: h, "score": lambda a, c: -(c - a).norm(dim=1)},
    ),
    Mistake("your count starts at 1: rows count from 0.", {"choose": lambda s: s.argmax() + 1}),
    Mistake(
        "the card is picked that is longest; the anchor plays no part.",
        {"lengths": lambda h: h, "score": lambda a, c: c.norm(dim=1)},
    ),
)

pick = Exercise(
    name="my_pick",
    observe=observe_pick,
    make=make_pick,
    mistakes=PICK_MISTAKES,
    praise="the card whose embedding has the direction most like the anchor's, in every test round.",
    ladder=(is_a_row_number, how_often_right),
)


# Counting positives and negatives in a batch.
BATCHES = (2, 3, 8, 128)


def make_counts(
    views: Callable = lambda n: 2 * n, positives: Callable = lambda n: 1, negatives: Callable = lambda n: 2 * n - 2
) -> Callable:
    return lambda n: (views(n), positives(n), negatives(n))


def observe_counts(attempt: Callable) -> list:
    seen = []
    for n in BATCHES:
        answer = call(attempt, n)
        if isinstance(answer, Tensor | np.ndarray):
            answer = answer.tolist()
        if not isinstance(answer, tuple | list) or len(answer) != 3:
            raise Fault("three numbers are expected: return views, positives, negatives.")
        try:
            if any(isinstance(value, str) for value in answer):
                raise TypeError
            seen.append([float(value) for value in answer])
        except (TypeError, ValueError, RuntimeError):
            kind = next(type(value).__name__ for value in answer if not isinstance(value, int | float))
            raise Fault(f"a {kind} came back among the three numbers: compute each of them from n.") from None
    return seen


def counts_of_two_images(attempt: Callable) -> str | None:
    names = ("views", "positives of each view", "negatives of each view")
    for n in (2, 3):
        for name, mine, right in zip(names, call(attempt, n), make_counts()(n)):
            if float(mine) != right:
                return (
                    f"for n = {n} images you count {float(mine):g} {name}, expected {right}. Write the views down: "
                    f"{', '.join(f'{letter}{v}' for letter in 'ABC'[:n] for v in (1, 2))}."
                )
    return "right for 2 and 3 images, but not for every n: let the numbers follow from n."


_WHOLE_BATCH = (
    "negatives are counted for the whole batch: *each* view has 2n - 2, two of each of the n - 1 other images."
)
COUNT_MISTAKES = (
    Mistake("each image gives two views, so there are 2n of them, not n.", {"views": lambda n: n}),
    Mistake(
        "a view has one positive, the other view of its own image; the view itself is not counted.",
        {"positives": lambda n: 2},
    ),
    Mistake(
        "positives are counted for the whole batch: *each* view has one, the other view of its image.",
        {"positives": lambda n: n},
    ),
    Mistake(
        "positives are counted for the whole batch: *each* view has one, the other view of its image.",
        {"positives": lambda n: 2 * n},
    ),
    Mistake(
        "a view is no negative of itself either: without it and without the partner, 2n - 2 of the 2n views are left.",
        {"negatives": lambda n: 2 * n - 1},
    ),
    Mistake(
        "neither the view itself nor its partner is a negative: 2n - 2 of the 2n views are left.",
        {"negatives": lambda n: 2 * n},
    ),
    Mistake(
        "both views of each of the n - 1 other images are negatives: 2n - 2, not n - 1.", {"negatives": lambda n: n - 1}
    ),
    Mistake("both views of each of the n - 1 other images are negatives: 2n - 2, not n.", {"negatives": lambda n: n}),
    Mistake(
        "positives and negatives are exchanged: return views, positives, negatives, in this order.",
        {"positives": lambda n: 2 * n - 2, "negatives": lambda n: 1},
    ),
    Mistake(_WHOLE_BATCH, {"negatives": lambda n: n * (2 * n - 2)}),
    Mistake(_WHOLE_BATCH, {"negatives": lambda n: 2 * n * (2 * n - 2)}),
)

counts = Exercise(
    name="my_counts",
    observe=observe_counts,
    make=make_counts,
    mistakes=COUNT_MISTAKES,
    praise="2n views; each has one positive, and both views of the n - 1 other images as negatives.",
    ladder=(counts_of_two_images,),
)
