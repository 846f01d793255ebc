"""Lesson 07, patient C: the learner's `my_unit(z)`, each embedding divided by its own length."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from cl_course.lessons.shared.exercise import Exercise, Fault, Mistake, call, kind_of, same
from cl_course.lessons.shared.ladder import constant_relation, written

NAME = "my_unit"
SMALL = torch.tensor([[3.0, 4.0], [0.0, 2.0], [-1.0, 0.0]])  # of lengths 5, 2 and 1


def _batches() -> list[Tensor]:
    generator = Generator().manual_seed(0)
    z = torch.randn(6, 4, generator=generator)
    return [z, 7 * z[:3], 0.01 * torch.randn(5, 8, generator=generator)]


BATCHES = _batches()


# The right way, in parts that can each be done in a wrong way.
def own_length(z: Tensor) -> Tensor:
    return z.norm(dim=1, keepdim=True)


def make(
    before: Callable = lambda z: z, length: Callable = own_length, join: Callable = torch.div
) -> Callable[[Tensor], Tensor]:
    def attempt(z: Tensor) -> Tensor:
        z = before(z)
        return join(z, length(z))

    return attempt


_ONE_LENGTH = (
    "one length for the whole batch: all similarities become tiny, as if the temperature were far higher. Take each "
    "row's own length, dim=1."
)
_COLUMNS = "you scale each column, over the images, instead of each row: dim=1 goes along an embedding."
_OTHER = "{what} of a row is not its length. The length is the root of the sum of the squares."

MISTAKES = (
    Mistake(_ONE_LENGTH, {"length": lambda z: z.norm()}),
    Mistake(_COLUMNS, {"length": lambda z: z.norm(dim=0)}),
    Mistake(
        "nothing is scaled: long embeddings then win by their length.", {"length": lambda z: torch.ones(len(z), 1)}
    ),
    Mistake("divide by the length, not by its square.", {"length": lambda z: own_length(z).square()}),
    Mistake("divide by the length, not by its root.", {"length": lambda z: own_length(z).sqrt()}),
    Mistake("you multiply by the length. Divide by it.", {"join": torch.mul}),
    Mistake(_OTHER.format(what="the sum"), {"length": lambda z: z.sum(dim=1, keepdim=True)}),
    Mistake(_OTHER.format(what="the sum of the absolute values"), {"length": lambda z: z.norm(1, 1, keepdim=True)}),
    Mistake(_OTHER.format(what="the largest absolute value"), {"length": lambda z: z.norm(torch.inf, 1, keepdim=True)}),
    Mistake(_OTHER.format(what="the largest entry"), {"length": lambda z: z.amax(dim=1, keepdim=True)}),
    Mistake(_OTHER.format(what="the mean"), {"length": lambda z: z.mean(dim=1, keepdim=True)}),
    Mistake(_OTHER.format(what="the standard deviation"), {"length": lambda z: z.std(dim=1, keepdim=True)}),
    Mistake(
        "the mean of the squares is taken; a length has their sum. Your rows have the length sqrt(d).",
        {"length": lambda z: z.square().mean(dim=1, keepdim=True).sqrt()},
    ),
    Mistake(
        "all rows are divided by the mean of their lengths: one number for the whole batch. Divide each by its own.",
        {"length": lambda z: own_length(z).mean()},
    ),
    Mistake(
        "all rows are divided by the largest length of the batch: one number for all. Divide each by its own.",
        {"length": lambda z: own_length(z).max()},
    ),
    Mistake(
        "the lengths have the shape (2n,), and z / lengths would need (2n, 1): keepdim=True, or lengths[:, None].",
        {"length": lambda z: z.norm(dim=1)},
    ),
    Mistake(
        "each row's mean is subtracted first, which turns the embedding into another direction. Only divide.",
        {"before": lambda z: z - z.mean(dim=1, keepdim=True)},
    ),
    Mistake(
        "the mean of all rows is subtracted first, which turns the embeddings into other directions. Only divide.",
        {"before": lambda z: z - z.mean(dim=0)},
    ),
    Mistake("the lengths came back. Divide z by them.", {"join": lambda z, length: length}),
    Mistake(
        "these are the similarities of all rows. Asked are the rows themselves, of length 1.",
        {"join": lambda z, length: (z / length) @ (z / length).T},
    ),
    Mistake("a softmax makes each row's sum 1. Its length must be 1.", {"join": lambda z, length: z.softmax(dim=1)}),
    Mistake("the sign of every embedding is turned round.", {"join": lambda z, length: -z / length}),
)


def scaled(attempt: Callable, z: Tensor) -> Tensor:
    """The attempt's answer in double precision; lists, arrays and tensors of any precision are taken.

    Raises:
        NotAttempted: it returned None or ..., as the stub does.
        Fault: the attempt changed z, or its answer holds no numbers.
    """
    given = z.clone()
    answer = call(lambda: attempt(given))
    if not torch.equal(given, z):
        raise Fault("you changed z in place: the caller's tensor is altered. Make a new one, z = z / 2, not z /= 2.")
    try:
        if isinstance(answer, list | tuple) and any(isinstance(row, Tensor) for row in answer):
            answer = torch.stack(list(answer))
        return torch.as_tensor(answer).detach().double()
    except (TypeError, ValueError, RuntimeError):
        raise Fault(f"{kind_of(answer)} came back: return the scaled embeddings alone, (2n, d).") from None


def observe(attempt: Callable) -> list[Tensor]:
    return [scaled(attempt, z) for z in BATCHES]


# What a right answer must also do.
def carries_its_gradient(attempt: Callable) -> str | None:
    direction = torch.linspace(-1, 2, BATCHES[0].numel()).view_as(BATCHES[0])

    def gradient(unit: Callable) -> Tensor | None:
        z = BATCHES[0].clone().requires_grad_()
        try:
            rows = unit(z.clone())
            rows = rows if isinstance(rows, Tensor) else torch.stack(list(rows))
            return torch.autograd.grad((rows * direction).sum(), z)[0]
        except (RuntimeError, AttributeError, TypeError) as error:
            if "inplace operation" in str(error):
                raise Fault(
                    "the values are right, but autograd refuses: a tensor is changed in place, as by /=, and the "
                    "gradient needs what was in it before. Make a new one, z = z / lengths."
                ) from None
            return None

    mine = gradient(attempt)
    if mine is not None and same(mine, gradient(make())):
        return None
    seen = "no gradient reaches z" if mine is None else "its gradient with respect to z is another one"
    return (
        f"the values are right, but training needs their gradient, and {seen}. Keep every step in torch, without "
        ".detach(), .data, .item() or a new torch.tensor(...)."
    )


# Wrong, and no known mistake.
def shape(attempt: Callable) -> str | None:
    mine = scaled(attempt, SMALL)
    if mine.shape == SMALL.shape:
        return None
    return f"for z of shape {tuple(SMALL.shape)} your answer has the shape {tuple(mine.shape)}; it must be the same."


def multiple(attempt: Callable) -> str | None:
    mine, right = scaled(attempt, SMALL), F.normalize(SMALL, dim=1)
    kept = right != 0
    relation = constant_relation(mine[kept].tolist(), right[kept].tolist())
    return f"for z = {written(SMALL)}: {relation}" if relation else None


def lengths(attempt: Callable) -> str | None:
    mine = scaled(attempt, SMALL).norm(dim=1)
    if same(mine, torch.ones(3)):
        return None
    return f"for z = {written(SMALL)} the rows of your answer have the lengths {written(mine)}. Each must be 1."


def directions(attempt: Callable) -> str | None:
    cosines = F.cosine_similarity(scaled(attempt, SMALL), SMALL.double(), dim=1)
    for row, cosine in zip(SMALL, cosines.tolist()):
        if cosine < 0.9999:
            return (
                f"for z = {written(SMALL)} the row of {written(row)} points another way than before: the cosine of "
                f"both is {cosine:.3f}. Scaling keeps every direction, so it must be 1."
            )
    return None


unit_length = Exercise(
    name=NAME,
    observe=observe,
    make=make,
    mistakes=MISTAKES,
    praise="every row has length 1 and points where it did.",
    demands=(carries_its_gradient,),
    ladder=(shape, multiple, lengths, directions),
)
