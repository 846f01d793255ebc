"""Lesson 03: the learner's `my_neighbours_agree(h, labels)`: how often the nearest other image has the same class."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from cl_course.lessons.shared.exercise import Exercise, Fault, Mistake, call, kind_of
from cl_course.lessons.shared.ladder import close, number, written

NAME = "my_neighbours_agree"


# The right way, in parts that can each be done in a wrong way.
def cosine(h: Tensor) -> Tensor:
    h = F.normalize(h, dim=1)
    return h @ h.T


def without_itself(similarity: Tensor) -> Tensor:
    return similarity.masked_fill(torch.eye(len(similarity), dtype=torch.bool), -torch.inf)


def nearest(similarity: Tensor) -> Tensor:
    return similarity.argmax(dim=1)


def share(same_class: Tensor) -> Tensor:
    return same_class.float().mean()


def make(
    table: Callable = cosine, mask: Callable = without_itself, choose: Callable = nearest, result: Callable = share
) -> Callable[[Tensor, Tensor], Tensor]:
    return lambda h, labels: result(labels[choose(mask(table(h)))] == labels)


right = make()
ALONE = {"table": cosine, "mask": without_itself, "choose": nearest, "result": share}  # not in twos


def alone(**parts: Callable) -> dict[str, Callable]:
    return ALONE | parts


def _batch(n: int, d: int, classes: int, seed: int) -> tuple[Tensor, Tensor]:
    """Features of several lengths, nearer within a class than between classes, but not always."""
    generator = Generator().manual_seed(seed)
    labels = torch.randint(classes, (n,), generator=generator)
    centres = torch.randn(classes, d, generator=generator) + 0.7
    h = centres[labels] + 1.1 * torch.randn(n, d, generator=generator)
    return (0.3 + 3 * torch.rand(n, 1, generator=generator)) * h, labels


# Three directions far apart: all similarities with others are negative.
APART = torch.tensor([[2.0, 0.0], [-0.5, 0.9], [-0.6, -0.8]]), torch.tensor([0, 1, 1])
BATCHES = (APART, _batch(40, 4, 3, 0), _batch(25, 3, 4, 1), _batch(60, 8, 5, 2), _batch(33, 2, 2, 3))


def observe(attempt: Callable) -> list[object]:
    """A share a batch.

    Raises:
        Fault: an argument is changed, or what comes back holds no numbers.
    """
    found = []
    for h, labels in BATCHES:
        given = h.clone(), labels.clone()
        answer = call(lambda given=given: attempt(*given))
        if not (torch.equal(given[0], h) and torch.equal(given[1], labels)):
            raise Fault("you changed h or labels in place: the caller's tensor is altered. Make a new one.")
        try:
            answer = torch.as_tensor(answer).detach().double()
        except (TypeError, ValueError, RuntimeError):
            raise Fault(f"{kind_of(answer)} came back, where one number is expected.") from None
        found.append(answer.reshape(()) if answer.numel() == 1 else answer)
    return found


def _masked(value: float) -> Callable[[Tensor], Tensor]:
    return lambda s: s.masked_fill(torch.eye(len(s), dtype=torch.bool), value)


def _as_it_is(s: Tensor) -> Tensor:
    return s


_ITSELF = (
    "the share is 1 on every test input, as when each image finds itself: its similarity with itself is the largest of "
    "all. Leave it out: set the diagonal to -inf, then take argmax (argmin would take the -inf)."
)
_LENGTHS = "the lengths of the features count. Make each row's length 1 first, F.normalize(h, dim=1). "

MISTAKES = (
    Mistake(_ITSELF, alone(mask=_as_it_is)),
    Mistake(
        "the diagonal is set to 0, and a similarity can be negative: an image whose others are all below 0 still finds "
        "itself. Set it to -inf.",
        {"mask": _masked(0.0)},
    ),
    Mistake(
        _LENGTHS
        + "Yours are products of vectors of any length, and an image may find itself: set the diagonal to -inf.",
        {"table": lambda h: h @ h.T, "mask": _as_it_is},
    ),
    Mistake(
        _LENGTHS + "Yours are divided by the sum of absolute values.",
        {"table": lambda h: F.normalize(h, p=1, dim=1) @ F.normalize(h, p=1, dim=1).T},
    ),
    Mistake(
        "the features' mean is subtracted first. Take the cosine of the features as they are.",
        {"table": lambda h: cosine(h - h.mean(dim=0))},
    ),
    Mistake(_LENGTHS + "Yours are products of vectors of any length.", {"table": lambda h: h @ h.T}),
    Mistake(
        "normalised along the wrong dimension: each row is an image, dim=1.",
        {"table": lambda h: F.normalize(h, dim=0) @ F.normalize(h, dim=0).T},
    ),
    Mistake(
        _LENGTHS + "Yours are nearest by distance between vectors of any length.",
        {"table": lambda h: -torch.cdist(h, h)},
    ),
    Mistake(
        "the least similar image is chosen, not the most similar: argmax takes the largest, and a distance is smallest "
        "for the nearest.",
        {"mask": _masked(torch.inf), "choose": lambda s: s.argmin(dim=1)},
    ),
    Mistake(
        "the absolute value is taken: an image in the opposite direction counts as near.",
        {"table": lambda h: cosine(h).abs()},
    ),
    Mistake(
        "the second nearest other image is chosen: where the diagonal is masked, the nearest stands first.",
        {"choose": lambda s: s.topk(2, dim=1).indices[:, 1]},
    ),
    Mistake("this is the share of wrong neighbours: 1 minus what is asked.", {"result": lambda a: 1 - share(a)}),
    Mistake("a number of images came back: divide by n, .float().mean().", {"result": torch.sum}),
    Mistake("in percent: the share lies between 0 and 1.", {"result": lambda a: 100 * share(a)}),
    Mistake(
        "one answer for each image came back: average over the images, .float().mean().",
        {"result": lambda a: a.float()},
    ),
    Mistake(
        "torch has no mean of True and False: turn them into numbers first, .float().mean().",
        {"result": lambda a: a.mean()},
    ),
)

# Wrong, and no known mistake: five images that can be followed by hand.
SMALL = torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.0, 3.0], [0.3, 1.0], [-1.0, -0.1]])
CLASSES = torch.tensor([0, 0, 1, 0, 1])


def one_number(attempt: Callable) -> str | None:
    answer = torch.as_tensor(attempt(SMALL.clone(), CLASSES.clone()))
    return None if answer.numel() == 1 else f"your answer has the shape {tuple(answer.shape)}; expected one number."


def in_range(attempt: Callable) -> str | None:
    for h, labels in BATCHES:
        mine = number(attempt(h.clone(), labels.clone()))
        if mine is None:
            return "on one of the test inputs your answer is not finite."
        if not -1e-6 <= mine <= 1 + 1e-6:
            return f"on one of the test inputs your answer is {mine:.4g}; a share lies between 0 and 1."
    return None


def all_one_class(attempt: Callable) -> str | None:
    mine = number(attempt(SMALL.clone(), torch.zeros(5, dtype=torch.long)))
    if mine is None or close(mine, 1):
        return None
    return f"where all images have one class every neighbour is right, so the share is 1; your answer is {mine:.4f}."


def all_classes_differ(attempt: Callable) -> str | None:
    mine = number(attempt(SMALL.clone(), torch.arange(5)))
    if mine is None or close(mine, 0):
        return None
    return (
        f"where every image has a class of its own, no other image has it: the share is 0. Your answer is {mine:.4f}. "
        "An image does not count as its own neighbour."
    )


def lengths_count(attempt: Callable) -> str | None:
    h, labels = BATCHES[1]
    stretched = h * torch.linspace(0.1, 5, len(h))[:, None]
    before, after = number(attempt(h.clone(), labels.clone())), number(attempt(stretched, labels.clone()))
    if before is None or after is None or close(before, after):
        return None
    return (
        f"with other lengths of the features, in the same directions, your share goes from {before:.3f} to "
        f"{after:.3f}. Cosine similarity looks at directions alone."
    )


def other_names(attempt: Callable) -> str | None:
    h, labels = BATCHES[1]
    before, after = number(attempt(h.clone(), labels.clone())), number(attempt(h.clone(), 10 - 3 * labels))
    if before is None or after is None or close(before, after):
        return None
    return f"with other numbers for the same classes your share goes from {before:.3f} to {after:.3f}; it must stay."


def by_hand(attempt: Callable) -> str | None:
    for h, labels in ((SMALL, CLASSES), APART, (SMALL.flip(0)[:4], torch.tensor([0, 1, 1, 0]))):
        mine, expected = number(attempt(h.clone(), labels.clone())), float(right(h, labels))
        if mine is None or close(mine, expected):
            continue
        chosen = nearest(without_itself(cosine(h)))
        return (
            f"for h = {written(h)} and labels = {written(labels)} your share is {mine:.3f}. The nearest other images "
            f"are {written(chosen)}, of the classes {written(labels[chosen])}: {expected:.3f}."
        )
    return None


neighbours_agree = Exercise(
    name=NAME,
    observe=observe,
    make=make,
    mistakes=MISTAKES,
    praise="each image asks its nearest other image, by direction, and the share that agrees is right.",
    ladder=(one_number, in_range, all_one_class, all_classes_differ, lengths_count, other_names, by_hand),
)
