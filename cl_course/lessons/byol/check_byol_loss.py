"""Lesson 05: the learner's `my_byol_loss(p1, p2, target1, target2)`."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from cl_course.lessons.byol import probes_byol_loss as probes
from cl_course.lessons.shared.exercise import Exercise, Mistake

NAME = "my_byol_loss"


# The right way, in parts that can each be done in a wrong way.
def crossed(p1: Tensor, p2: Tensor, target1: Tensor, target2: Tensor) -> list[tuple[Tensor, Tensor]]:
    return [(p1, target2.detach()), (p2, target1.detach())]


def cosine(p: Tensor, target: Tensor) -> Tensor:
    return F.cosine_similarity(p, target, dim=1)


def squared_distance(p: Tensor, target: Tensor) -> Tensor:
    return 2 - 2 * cosine(p, target)  # (n,), on the unit sphere


def make(
    pairs: Callable = crossed,
    distance: Callable = squared_distance,
    images: Callable = torch.mean,
    directions: Callable = sum,
) -> Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]:
    def attempt(p1: Tensor, p2: Tensor, target1: Tensor, target2: Tensor) -> Tensor:
        return directions([images(distance(p, target)) for p, target in pairs(p1, p2, target1, target2)])

    return attempt


# The parts done in wrong ways.
def _squares(p: Tensor, target: Tensor) -> Tensor:
    return (p - target).square().sum(dim=1)


def _unit(x: Tensor, dim: int = 1) -> Tensor:
    return F.normalize(x, dim=dim)


_HALF = (
    "there is a factor 1/2 too much. In each direction the term is 2 - 2 s, and the two terms are added. "
    "(1 - s in each direction, or the mean of the two directions, gives half.)"
)
_OWN_VIEW = (
    "the predictions are paired with the wrong views: p1 is compared with target1, which comes from the very same "
    "view, so a network need not find what two views share. Cross over: p1 with target2, p2 with target1."
)
_ONE_DIRECTION = "one direction only: {there} is compared, {missing} is not. Add the term of {missing}."
_TWICE = "one direction is counted twice: {there}. The second term has the views exchanged: {missing}."
_NORMALISE = "Make each row's length 1 with F.normalize(x, dim=1), or use F.cosine_similarity."
_NOT_NORMALISED = f"the vectors are not normalised: lengths must not count, only directions. {_NORMALISE}"
_ONE_NORMALISED = f"only the {{one}} are normalised, and the length of the {{other}} counts. {_NORMALISE}"
_COLUMNS = "normalised along the wrong dimension, down the columns: each row is one vector, so dim=1."
_SHOWN = "the term of a direction is 2 - 2 s(p, target)."

MISTAKES = (
    Mistake(_OWN_VIEW, {"pairs": lambda p1, p2, t1, t2: [(p1, t1), (p2, t2)]}),
    Mistake(
        _ONE_DIRECTION.format(there="p1 with target2", missing="p2 with target1"),
        {"pairs": lambda p1, p2, t1, t2: [(p1, t2)]},
    ),
    Mistake(
        _ONE_DIRECTION.format(there="p2 with target1", missing="p1 with target2"),
        {"pairs": lambda p1, p2, t1, t2: [(p2, t1)]},
    ),
    Mistake(
        _TWICE.format(there="p1 with target2", missing="p2 with target1"),
        {"pairs": lambda p1, p2, t1, t2: [(p1, t2), (p1, t2)]},
    ),
    Mistake(
        _TWICE.format(there="p2 with target1", missing="p1 with target2"),
        {"pairs": lambda p1, p2, t1, t2: [(p2, t1), (p2, t1)]},
    ),
    Mistake(
        "both predictions are compared with target1: p1 belongs with target2.",
        {"pairs": lambda p1, p2, t1, t2: [(p1, t1), (p2, t1)]},
    ),
    Mistake(
        "both predictions are compared with target2: p2 belongs with target1.",
        {"pairs": lambda p1, p2, t1, t2: [(p1, t2), (p2, t2)]},
    ),
    Mistake(
        "p1 is compared with both targets, and p2 with none: p1 belongs with target2, p2 with target1.",
        {"pairs": lambda p1, p2, t1, t2: [(p1, t1), (p1, t2)]},
    ),
    Mistake(
        "each prediction is compared with both targets: leave out the pairs of the same view, p1 with target1 and "
        "p2 with target2.",
        {"pairs": lambda p1, p2, t1, t2: [(p1, t1), (p1, t2), (p2, t1), (p2, t2)]},
    ),
    *(
        Mistake(
            "the predictor is on both sides: the predictions are compared with each other, and the targets are not "
            "used. Compare p1 with target2 and p2 with target1.",
            {"pairs": wrong},
        )
        for wrong in (lambda p1, p2, t1, t2: [(p1, p2)], lambda p1, p2, t1, t2: [(p1, p2), (p2, p1)])
    ),
    *(
        Mistake(
            "the predictions are not used: the targets are compared with each other, and nothing that learns is in "
            "the loss.",
            {"pairs": wrong},
        )
        for wrong in (lambda p1, p2, t1, t2: [(t1, t2)], lambda p1, p2, t1, t2: [(t1, t2), (t2, t1)])
    ),
    Mistake(_HALF, {"directions": lambda terms: sum(terms) / len(terms)}),
    Mistake(
        "there is a factor 1/4 too much: 2 - 2 s in each direction, and the two added. (The mean of two directions "
        "with 1 - s in each gives a quarter.)",
        {"directions": lambda terms: sum(terms) / 4},
    ),
    Mistake(
        "there is a factor 2 too much: 2 - 2 s in each direction, and each direction once.",
        {"directions": lambda terms: 2 * sum(terms)},
    ),
    Mistake(
        "the two directions are subtracted: add them, both should become small.",
        {"directions": lambda terms: terms[0] - terms[-1]},
    ),
    Mistake(
        "the two directions are multiplied: add them. A product is 0 as soon as one of them is.",
        {"directions": lambda terms: terms[0] * terms[-1]},
    ),
    Mistake("two values came back, one for each direction: add them.", {"directions": list}),
    Mistake(
        f"minus the cosine similarity, added over both directions: {_SHOWN} Its gradient points the same way, but here "
        "the loss is the squared distance, 0 at best.",
        {"distance": lambda p, t: -cosine(p, t)},
    ),
    Mistake(
        "this is SimSiam's loss: minus the cosine similarity, averaged over both directions. Its gradient points the "
        f"same way, but here the loss is the squared distance: {_SHOWN} The two are added.",
        {"distance": lambda p, t: -cosine(p, t) / 2},
    ),
    Mistake(
        "the sign in front of s is turned round: agreement must lower the loss, so it is 2 - 2 s in each direction.",
        {"distance": lambda p, t: 2 + 2 * cosine(p, t)},
    ),
    Mistake(
        "the sign of the whole loss is turned round: agreement must lower it.",
        {"distance": lambda p, t: 2 * cosine(p, t) - 2},
    ),
    Mistake(
        f"this is the cosine similarity itself: training makes a loss small, and would drive the two apart. {_SHOWN}",
        {"distance": cosine},
    ),
    Mistake(
        f"2 s is missing its other part: your term is -2 s, {_SHOWN}", {"distance": lambda p, t: -2 * cosine(p, t)}
    ),
    Mistake(
        "the constant is half of what it should be, as in 1 - 2 s for each direction or in 2 - 2 s - 2 s for both: "
        f"{_SHOWN}",
        {"distance": lambda p, t: 1 - 2 * cosine(p, t)},
    ),
    Mistake(f"your term is 2 - s: {_SHOWN}", {"distance": lambda p, t: 2 - cosine(p, t)}),
    Mistake(
        f"the absolute value of s counts: at -1 the two point in opposite directions, the worst case. {_SHOWN}",
        {"distance": lambda p, t: 2 - 2 * cosine(p, t).abs()},
    ),
    Mistake(
        "the square of s counts: at -1 the two point in opposite directions, the worst case, and s squared is "
        f"1 there. {_SHOWN}",
        {"distance": lambda p, t: 2 - 2 * cosine(p, t).square()},
    ),
    Mistake(
        "the distance is not squared: (p - target) of length 1 each, its squares summed over the dimensions, without "
        "the root.",
        {"distance": lambda p, t: (_unit(p) - _unit(t)).norm(dim=1)},
    ),
    Mistake(
        "absolute differences are summed: BYOL sums their squares.",
        {"distance": lambda p, t: (_unit(p) - _unit(t)).abs().sum(dim=1)},
    ),
    Mistake(_NOT_NORMALISED, {"distance": _squares}),
    Mistake(
        _NOT_NORMALISED + " And F.mse_loss takes the mean over the dimensions: sum over them.",
        {"distance": lambda p, t: (p - t).square().mean(dim=1)},
    ),
    Mistake(_NOT_NORMALISED, {"distance": lambda p, t: 2 - 2 * (p * t).sum(dim=1)}),
    *(
        Mistake(_ONE_NORMALISED.format(one=one, other=other), {"distance": wrong})
        for one, other, wrong in (
            ("predictions", "targets", lambda p, t: _squares(_unit(p), t)),
            ("predictions", "targets", lambda p, t: 2 - 2 * (_unit(p) * t).sum(dim=1)),
            ("targets", "predictions", lambda p, t: _squares(p, _unit(t))),
            ("targets", "predictions", lambda p, t: 2 - 2 * (p * _unit(t)).sum(dim=1)),
        )
    ),
    *(
        Mistake(_COLUMNS, {"distance": wrong})
        for wrong in (
            lambda p, t: _squares(_unit(p, 0), _unit(t, 0)),
            lambda p, t: 2 - 2 * (_unit(p, 0) * _unit(t, 0)).sum(dim=1),
            lambda p, t: 2 - 2 * F.cosine_similarity(p, t, dim=0),
        )
    ),
    Mistake(
        "there is a factor 1 / d too much: a mean over the d dimensions, as F.mse_loss takes it. Sum over the "
        "dimensions, then take the mean over the images.",
        {"distance": lambda p, t: squared_distance(p, t) / p.shape[1]},
    ),
    Mistake(
        "there is a factor n too much: a sum over the n images where the mean belongs. It would grow with the batch.",
        {"images": torch.sum},
    ),
    Mistake(
        "there is a factor 1 / n too much, n the number of images: the mean over the images is taken once.",
        {"images": lambda terms: terms.mean() / len(terms)},
    ),
    Mistake("one value for each image came back: take their mean.", {"images": lambda terms: terms}),
    Mistake("the largest of the images' losses came back: take their mean.", {"images": torch.max}),
)


byol_loss = Exercise(
    name=NAME,
    observe=probes.observe,
    make=make,
    mistakes=MISTAKES,
    praise="equal to the course's loss on every batch tried, and no gradient reaches the targets.",
    demands=(probes.gradients_flow_as_they_should,),
    ladder=(
        probes.one_number_comes_back,
        probes.who_counts,
        probes.images_are_kept_apart,
        probes.who_is_compared_with_whom,
        probes.lengths_count,
        probes.how_images_and_dimensions_count,
        probes.how_far_off,
        probes.how_similarity_counts,
        probes.small_example,
    ),
    notes=(probes.is_a_number,),
)
