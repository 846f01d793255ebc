"""Lesson 06: the learner's `my_votes(h, y, k, temperature)`, a weighted vote among the k nearest of the *other* images.

Votes are compared as shares of all that an image receives, so that sums and softmax weights are both right.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from cl_course.lessons.shared.exercise import Exercise, Fault, call, kind_of, same
from cl_course.lessons.shared.ladder import written
from cl_course.lessons.what_did_it_learn.mistakes_knn import MISTAKES, make, right

NAME = "my_votes"


# Inputs: loose groups of several lengths, so that distance, product and cosine rank them differently.
def _images(n: int, classes: int, k: int, temperature: float) -> tuple[Tensor, Tensor, int, float]:
    generator = Generator().manual_seed(n)
    y = (torch.arange(n) % classes)[torch.randperm(n, generator=generator)]
    h = torch.randn(classes, 5, generator=generator)[y] + torch.randn(n, 5, generator=generator)
    return F.normalize(h, dim=1) * (0.5 + 1.5 * torch.rand(n, 1, generator=generator)), y, k, temperature


ORDINARY = (_images(9, 3, 4, 0.1), _images(12, 4, 5, 0.3), _images(14, 3, 11, 2.0))


def votes_of(attempt: Callable, h: Tensor, y: Tensor, k: int, temperature: float) -> object:
    """The attempt's table as a tensor of doubles; what is no table stays as it is."""
    given = h.clone(), y.clone()
    answer = call(lambda: attempt(*given, k, temperature))
    if not (torch.equal(given[0], h) and torch.equal(given[1], y)):
        raise Fault("you changed h or y in place, and the caller's tensor is altered: make new tensors.")
    if isinstance(answer, list | tuple) and answer and all(isinstance(row, Tensor) for row in answer):
        answer = torch.stack(list(answer))
    try:
        return torch.as_tensor(answer).detach().double()
    except (TypeError, ValueError, RuntimeError):
        raise Fault(f"{kind_of(answer)} came back: return a tensor, a row an image, a column a class.") from None


def shares(attempt: Callable, *given: object) -> object:
    """Of what each image receives, each class's part: a factor that all classes of an image have in common is free."""
    votes = votes_of(attempt, *given)
    if votes.ndim != 2 or not votes.isfinite().all():
        return votes
    total = votes.sum(dim=1, keepdim=True)
    return torch.where(total.abs() > 1e-12, votes / total.abs(), votes)  # not the sign: it says who wins


def observe(attempt: Callable) -> list:
    return [shares(attempt, *given) for given in ORDINARY]


# What a right answer must also do.
def twins_vote(attempt: Callable) -> str | None:
    """Two images of one class with the very same features: each has the other for its nearest neighbour."""
    h = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.6, 0.8], [0.0, 1.0], [-0.6, 0.8]])
    y = torch.tensor([0, 0, 1, 1, 0])
    mine, expected = shares(attempt, h, y, 2, 0.5)[:2], shares(right, h, y, 2, 0.5)[:2]  # others have ties
    if same(mine, expected):
        return None
    return (
        "right, until two images have the very same features: images 0 and 1 are both [1, 0] here, and each is the "
        f"other's nearest neighbour. Of the votes for image 0 the classes get {_parts(mine[0])}, expected "
        f"{_parts(expected[0])}. Leave out the image itself by its place, the diagonal, and not by its similarity."
    )


def holds_in_a_small_set(attempt: Callable) -> str | None:
    """One image alone in its class: no neighbour votes for it, and the table has its column nevertheless."""
    h, y = torch.tensor([[1.0, 0.1], [0.9, 0.3], [0.5, 0.5], [0.0, 1.0]]), torch.tensor([0, 0, 0, 1])
    mine, expected = shares(attempt, h, y, 2, 0.5), shares(right, h, y, 2, 0.5)
    return None if same(mine, expected) else _shape_or_numbers(mine, expected, "with y = [0, 0, 0, 1] and k = 2")


# Wrong, and no known mistake: one property after the other. Image 0 looks at four others, all of length 1.
PLANE = torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.6, 0.8], [0.28, 0.96], [-0.6, 0.8]])
OWN = torch.arange(5)  # every image a class of its own: the table says who votes for whom
_POINTS = "h = [[1, 0], [0.8, 0.6], [0.6, 0.8], [0.28, 0.96], [-0.6, 0.8]]"
_PLANE = f"{_POINTS}, where images 1 to 4 have the similarities 0.8, 0.6, 0.28 and -0.6 to image 0"
_OWN = f"take {_PLANE}, and give each image a class of its own"


def _parts(row: Tensor) -> str:
    return written([round(float(part), 3) + 0.0 for part in row])


def has_a_shape(attempt: Callable) -> str | None:
    for h, y, k, temperature in ORDINARY:
        votes = votes_of(attempt, h, y, k, temperature)
        expected = len(y), int(y.max()) + 1
        given = f"for {expected[0]} images of {expected[1]} classes"
        if tuple(votes.shape) != expected:
            return (
                f"{given} your answer has the shape {tuple(votes.shape)}, expected {expected}: a row for each image "
                "and a column for each class."
            )
        if not votes.isfinite().all():
            strange = float(votes[~votes.isfinite()][0])
            return (
                f"{given} at T = {temperature} your votes contain {strange}, and a vote is finite: see where -inf, a "
                "division by 0 or the logarithm of 0 may enter."
            )
    return None


def is_repeatable(attempt: Callable) -> str | None:
    if same(*(votes_of(attempt, PLANE, OWN, 2, 0.5) for _ in range(2))):
        return None
    return "called twice with the same arguments, your function gives two answers: there is nothing random in the vote."


def who_votes(attempt: Callable) -> str | None:
    """With a class for each image, column j of row i is the vote of image j for image i."""
    votes = votes_of(attempt, PLANE, OWN, 2, 0.5)
    if float(votes[0, 0]):
        return (
            f"{_OWN}: with k = 2 the classes of images 0 to 4 have these votes in image 0's row: {_parts(votes[0])}. "
            "The first is its own class, which no other image has: there should be 0."
        )
    to_zero, to_four = "0.8, 0.6, 0.28 and -0.6 to images 1 to 4", "-0.6, 0, 0.28 and 0.6 to images 0 to 3"
    for image, k, expected, which in ((0, 2, [1, 2], to_zero), (0, 3, [1, 2, 3], to_zero), (4, 2, [2, 3], to_four)):
        voted = votes_of(attempt, PLANE, OWN, k, 0.5)[image].nonzero().flatten().tolist()
        if voted != expected:
            return (
                f"take {_POINTS}, and give each image a class of its own. Image {image} has the similarities {which}. "
                f"With k = {k} its row has votes for the class of {_images_named(voted)}, expected for those of "
                f"{_images_named(expected)}."
            )
    return None


def _images_named(which: list[int]) -> str:
    if len(which) < 2:
        return f"image {which[0]}" if which else "nobody"
    return f"images {', '.join(map(str, which[:-1]))} and {which[-1]}"


def whether_length_counts(attempt: Callable) -> str | None:
    for place in (1, 3, 0):
        longer = PLANE.clone()
        longer[place] *= 3
        before, after = (shares(attempt, h, OWN, 2, 0.5)[0] for h in (PLANE, longer))
        if not same(before, after):
            return (
                f"{_OWN}. With k = 2 images 0 to 4 have these parts of image 0's votes: {_parts(before)}. With the "
                f"features of image {place} three times as long they are {_parts(after)}. In the cosine no length "
                "counts."
            )
    return None


def how_votes_weigh(attempt: Callable) -> str | None:
    """The ratio of two votes is exp of the difference of their similarities, divided by T."""
    temperatures = (0.2, 0.5, 2.0)
    rows = [votes_of(attempt, PLANE, OWN, 2, t)[0] for t in temperatures]
    ratios, expected = (
        [float(row[1] / row[2]) for row in rows],
        [float(torch.tensor(0.2 / t).exp()) for t in temperatures],
    )
    if same(ratios, expected):
        return None
    seen, wanted = (", ".join(f"{ratio:.3f}" for ratio in which) for which in (ratios, expected))
    if same(ratios, [ratios[0]] * 3):
        return (
            f"the temperature has no effect on how votes weigh. For {_PLANE}, the vote of image 1 is {ratios[0]:.3f} "
            f"times that of image 2 at T = 0.2, 0.5 and 2 alike, expected exp(0.2 / T): {wanted}."
        )
    return (
        f"how votes weigh: for {_PLANE}, the vote of image 1 is {seen} times that of image 2 at T = 0.2, 0.5 and 2, "
        f"expected exp(0.2 / T): {wanted}."
    )


def two_of_one_class(attempt: Callable) -> str | None:
    """The votes of images 1 and 2 as two classes, then as one."""
    y = torch.tensor([0, 1, 1, 2, 3])
    apart, together = shares(attempt, PLANE, OWN, 3, 1.0)[0], shares(attempt, PLANE, y, 3, 1.0)[0]
    summed = torch.zeros(4, dtype=torch.double).scatter_add_(0, y, apart)
    if same(together, summed):
        return None
    return (
        f"{_PLANE}. With k = 3 and a class for each image the five classes have these parts of image 0's votes: "
        f"{_parts(apart)}. With images 1 and 2 in one class, y = [0, 1, 1, 2, 3], the four classes have "
        f"{_parts(together)}, expected {_parts(summed)}: votes for the same class are added."
    )


def own_label_is_not_asked(attempt: Callable) -> str | None:
    before, after = (
        shares(attempt, PLANE, torch.tensor(labels), 3, 1.0)[0] for labels in ([0, 1, 1, 0, 2], [2, 1, 1, 0, 2])
    )
    if same(before, after):
        return None
    return (
        f"{_PLANE}. With k = 3 and y = [0, 1, 1, 0, 2] the three classes have these parts of image 0's votes: "
        f"{_parts(before)}. With another label for image 0 itself, y = [2, 1, 1, 0, 2], they are {_parts(after)}, and "
        "nothing should change: its own label does not vote."
    )


def small_example(attempt: Callable) -> str | None:
    y = torch.tensor([0, 1, 1, 0, 2])
    mine, expected = shares(attempt, PLANE, y, 3, 1.0), shares(right, PLANE, y, 3, 1.0)
    if same(mine, expected):
        return None
    return _shape_or_numbers(mine, expected, f"for {_PLANE}, y = [0, 1, 1, 0, 2], k = 3 and T = 1")


def _shape_or_numbers(mine: Tensor, expected: Tensor, given: str) -> str:
    if mine.shape != expected.shape:
        return f"{given} your answer has the shape {tuple(mine.shape)}, expected {tuple(expected.shape)}."
    row = next(i for i in range(len(expected)) if not same(mine[i], expected[i]))
    return (
        f"{given} the classes get these parts of the votes for image {row}: {_parts(mine[row])}, expected "
        f"{_parts(expected[row])}."
    )


# Remarks on a right answer.
def holds_when_cold(attempt: Callable) -> str | None:
    if votes_of(attempt, PLANE, OWN, 2, 0.008).isfinite().all():
        return None
    return (
        "at T = 0.008 your votes are not finite: exp(0.96 / T) is more than float32 holds. softmax(dim=1) of the k "
        "similarities / T gives the same shares and stays finite."
    )


def twins_of_two_classes(attempt: Callable) -> str | None:
    h, y = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.3, 1.0]]), torch.tensor([0, 1, 2, 2])
    if same(shares(attempt, h, y, 1, 0.5), shares(right, h, y, 1, 0.5)):
        return None
    return (
        "where two images have the very same features, the first of the k + 1 nearest may be the other one, and then "
        "the image itself votes. -inf on the diagonal is safe."
    )


knn = Exercise(
    name=NAME,
    observe=observe,
    make=make,
    mistakes=MISTAKES,
    praise="the course's votes for every image, number of neighbours and temperature tried.",
    demands=(twins_vote, holds_in_a_small_set),
    ladder=(
        has_a_shape,
        is_repeatable,
        who_votes,
        whether_length_counts,
        how_votes_weigh,
        two_of_one_class,
        own_label_is_not_asked,
        small_example,
    ),
    notes=(holds_when_cold, twins_of_two_classes),
)
