"""Lesson 11: the learner's `my_simsiam_loss(z1, z2, predictor)`: the stop-gradient on the right side."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from cl_course.lessons.family import probes
from cl_course.lessons.shared.answers import answer_of
from cl_course.lessons.shared.exercise import Exercise, Fault, Mistake, call, kind_of, same
from cl_course.lessons.shared.ladder import constant_relation, number, written

NAME = "my_simsiam_loss"
Predict = Callable[[Tensor], Tensor]


# The right way, in parts that can each be done in a wrong way.
def crossed(z1: Tensor, z2: Tensor, predict: Predict) -> list[tuple[Tensor, Tensor]]:
    return [(predict(z1), z2.detach()), (predict(z2), z1.detach())]


def minus_cosine(p: Tensor, z: Tensor) -> Tensor:
    return -F.cosine_similarity(p, z, dim=1)


def half_the_sum(terms: list[Tensor]) -> Tensor:
    return sum(terms) / 2


def make(
    pairs: Callable = crossed,
    distance: Callable = minus_cosine,
    images: Callable = torch.mean,
    directions: Callable = half_the_sum,
) -> Callable[[Tensor, Tensor, Predict], Tensor]:
    def attempt(z1: Tensor, z2: Tensor, predictor: Predict) -> Tensor:
        return directions([images(distance(p, z)) for p, z in pairs(z1, z2, predictor)])

    return attempt


right = make()

_STOP = "the stop-gradient belongs on z, which is the target: p1 = predictor(z1) with z2.detach(). "

MISTAKES = (
    Mistake(
        "there is no stop-gradient: gradients reach the targets too, and all embeddings may run to one point. " + _STOP,
        {"pairs": lambda z1, z2, f: [(f(z1), z2), (f(z2), z1)]},
    ),
    Mistake(
        _STOP + "Yours is on the prediction, so that the predictor never learns and the targets are pulled instead.",
        {"pairs": lambda z1, z2, f: [(f(z1).detach(), z2), (f(z2).detach(), z1)]},
    ),
    Mistake(
        _STOP + "Yours is on what goes into the predictor: the predictor learns, and the encoder does by the targets "
        "alone.",
        {"pairs": lambda z1, z2, f: [(f(z1.detach()), z2), (f(z2.detach()), z1)]},
    ),
    Mistake(
        _STOP + "Yours is on both sides: the encoder gets no gradient at all.",
        {"pairs": lambda z1, z2, f: [(f(z1.detach()), z2.detach()), (f(z2.detach()), z1.detach())]},
    ),
    Mistake(
        "the target of the second direction has no stop-gradient. " + _STOP + "And p2 with z1.detach().",
        {"pairs": lambda z1, z2, f: [(f(z1), z2.detach()), (f(z2), z1)]},
    ),
    Mistake(
        "the target of the first direction has no stop-gradient. " + _STOP,
        {"pairs": lambda z1, z2, f: [(f(z1), z2), (f(z2), z1.detach())]},
    ),
    Mistake(
        "the targets go through the predictor too: the predictor is on one side only.",
        {"pairs": lambda z1, z2, f: [(f(z1), f(z2).detach()), (f(z2), f(z1).detach())]},
    ),
    Mistake(
        "the predictor is not used: without it the run collapses although the gradient is stopped.",
        {"pairs": lambda z1, z2, f: [(z1, z2.detach()), (z2, z1.detach())]},
    ),
    Mistake(
        "each prediction is compared with its own view: p1 belongs with z2, and p2 with z1.",
        {"pairs": lambda z1, z2, f: [(f(z1), z1.detach()), (f(z2), z2.detach())]},
    ),
    Mistake(
        "one direction only, p1 with z2: add p2 with z1, and take half of the sum.",
        {"pairs": lambda z1, z2, f: [(f(z1), z2.detach())], "directions": lambda terms: terms[0]},
    ),
    Mistake(
        "one direction only, p2 with z1: add p1 with z2, and take half of the sum.",
        {"pairs": lambda z1, z2, f: [(f(z2), z1.detach())], "directions": lambda terms: terms[0]},
    ),
    Mistake("the two directions are added: take half of their sum.", {"directions": sum}),
    Mistake("two values came back, one for each direction: take half of their sum.", {"directions": torch.stack}),
    Mistake(
        "this is the cosine similarity itself: training makes a loss small and would drive the two apart. Put a minus "
        "in front.",
        {"distance": lambda p, z: -minus_cosine(p, z)},
    ),
    Mistake(
        "your loss is 1 - s: here it is minus the cosine similarity, -1 at best. The gradients are the same.",
        {"distance": lambda p, z: 1 + minus_cosine(p, z)},
    ),
    Mistake(
        "this is BYOL's loss, 2 - 2 s: SimSiam's is minus s.",
        {"distance": lambda p, z: 2 + 2 * minus_cosine(p, z)},
    ),
    Mistake(
        "the vectors are not normalised: lengths must not count. F.cosine_similarity(p, z, dim=1) divides by both.",
        {"distance": lambda p, z: -(p * z).sum(dim=1)},
    ),
    Mistake(
        "only the predictions are normalised: the length of the targets must not count either.",
        {"distance": lambda p, z: -(probes.unit(p) * z).sum(dim=1)},
    ),
    Mistake(
        "only the targets are normalised: the length of the predictions must not count either.",
        {"distance": lambda p, z: -(p * probes.unit(z)).sum(dim=1)},
    ),
    Mistake(
        "the cosine similarity is taken down the columns: each row is one vector, so dim=1.",
        {"distance": lambda p, z: -F.cosine_similarity(p, z, dim=0)},
    ),
    Mistake("the losses of the images are added: take their mean.", {"images": torch.sum}),
    Mistake("one value for each image came back: take their mean.", {"images": lambda losses: losses}),
)


# Inputs: two views and the weights of a linear predictor.
def batch(n: int, d: int = 4) -> tuple[Tensor, Tensor, Tensor]:
    return *probes.views(n, d), torch.eye(d) + torch.randn(d, d, generator=Generator().manual_seed(n)) / 2


BATCHES = (batch(4, 3), batch(5), batch(7, 5))
REACHED = ("z1", "z2", "the predictor")


def linear(weights: Tensor) -> nn.Linear:
    """A predictor. It is a module, so that gradients reach its weights from a process of its own as well (marking)."""
    layer = nn.Linear(*weights.shape, bias=False)
    layer.weight = nn.Parameter(weights.T.clone())
    return layer


def value(attempt: Callable, z1: Tensor, z2: Tensor, weights: Tensor) -> Tensor:
    return answer_of(lambda a, b: attempt(a, b, linear(weights).requires_grad_(False)), z1, z2)


def gradients(attempt: Callable, *given: Tensor) -> list[Tensor]:
    """Of the loss, with respect to z1, z2 and the predictor's weights; zeros where none arrives."""
    z1, z2 = (part.clone().requires_grad_() for part in given[:2])
    predictor = linear(given[2])
    learns = (z1, z2, predictor.weight)
    answer = call(lambda: attempt(z1 * 1, z2 * 1, predictor))
    if isinstance(answer, tuple | list) and len(answer) == 1:
        raise Fault(f"the loss came back in {kind_of(answer)}: return the loss itself, without a comma behind it.")
    if not isinstance(answer, Tensor) or not answer.requires_grad:
        raise Fault(
            "no gradient leads back from your loss: keep every step in torch, without .item() or float(), and stop "
            "the gradient of the targets alone."
        )
    found = torch.autograd.grad(answer.sum(), learns, allow_unused=True)
    return [torch.zeros_like(part) if g is None else g for g, part in zip(found, learns)]


def observe(attempt: Callable) -> list:
    return [[value(attempt, *given), *gradients(attempt, *given)] for given in BATCHES]


# Wrong, and no known mistake.
def is_one_number(attempt: Callable) -> str | None:
    shape = tuple(value(attempt, *BATCHES[0]).shape)
    return f"your answer has the shape {shape}: a loss is one number." if shape else None


def how_far_off(attempt: Callable) -> str | None:
    mine = [number(value(attempt, *given)) for given in BATCHES]
    return None if None in mine else constant_relation(mine, [float(value(right, *b)) for b in BATCHES], "loss")


def whom_gradients_reach(attempt: Callable) -> str | None:
    """Where the value is right: which of the three has another gradient."""
    if not all(same(value(attempt, *given), value(right, *given)) for given in BATCHES):
        return None
    found = zip(REACHED, gradients(attempt, *BATCHES[0]), gradients(right, *BATCHES[0]))
    wrong = [name for name, mine, expected in found if not same(mine, expected)]
    return f"the value is right, and the gradient of {' and of '.join(wrong)} is not. {_STOP}" if wrong else None


def small_example(attempt: Callable) -> str | None:
    """A predictor that does nothing, one image: the cosine can be seen."""
    z1, z2 = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.6, 0.8]])
    mine = number(value(attempt, z1, z2, torch.eye(2)))
    if mine is not None and abs(mine + 0.6) < 1e-4:
        return None
    seen = "no single finite number" if mine is None else f"{mine:.4f}"
    return (
        f"for z1 = {written(z1)}, z2 = {written(z2)} and a predictor that changes nothing your loss is {seen}, "
        "expected -0.6, minus the cosine similarity."
    )


simsiam_loss = Exercise(
    name=NAME,
    observe=observe,
    make=make,
    mistakes=MISTAKES,
    praise="the value is right, and gradients reach the predictions and not the targets.",
    ladder=(is_one_number, whom_gradients_reach, how_far_off, small_example),
)
