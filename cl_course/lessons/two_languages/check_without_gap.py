"""Lesson 10: the learner's `my_without_gap(z_image, z_text)`: each side centred by its own mean, rows of length 1."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from cl_course.lessons.shared.exercise import Exercise, Fault, Mistake, call, kind_of, same
from cl_course.lessons.shared.ladder import written

NAME = "my_without_gap"
SIDES = ("z_image", "z_text")


def clouds(n: int, m: int) -> tuple[Tensor, Tensor]:
    """Images (n, 4) and texts (m, 4) around two places, in lengths that differ."""
    generator = Generator().manual_seed(n)
    z_image = torch.randn(n, 4, generator=generator) + torch.tensor([1.0, 0.0, 0.5, 0.0])
    z_text = torch.randn(m, 4, generator=generator) + torch.tensor([0.0, 0.8, 0.0, -0.4])
    return z_image, z_text


BATCHES = (clouds(6, 6), clouds(9, 7), clouds(12, 15))


# The right way, in parts that can each be done in a wrong way.
def unit(z: Tensor) -> Tensor:
    return F.normalize(z, dim=1)


def own_means(z_image: Tensor, z_text: Tensor) -> tuple[Tensor, Tensor]:
    return z_image.mean(dim=0), z_text.mean(dim=0)


def minus(z: Tensor, mean: Tensor) -> Tensor:
    return z - mean


def both(z_image: Tensor, z_text: Tensor) -> tuple[Tensor, Tensor]:
    return z_image, z_text


def make(
    lengths: Callable = unit,
    means: Callable = own_means,
    shift: Callable = minus,
    again: Callable = unit,
    answer: Callable = both,
) -> Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]:
    def attempt(z_image: Tensor, z_text: Tensor) -> tuple[Tensor, Tensor]:
        sides = lengths(z_image), lengths(z_text)
        return answer(*(again(shift(z, mean)) for z, mean in zip(sides, means(*sides))))

    return attempt


right = make()


def as_it_is(z: Tensor) -> Tensor:
    return z


def _common(z_image: Tensor, z_text: Tensor) -> tuple[Tensor, Tensor]:
    return (torch.cat([z_image, z_text]).mean(dim=0),) * 2


_OWN = "Each side loses its own mean: images that of the images, texts that of the texts."
MISTAKES = (
    Mistake(
        f"the mean of images and texts together is subtracted from both: this shifts all alike, and the gap stays. "
        f"{_OWN}",
        {"means": _common},
    ),
    Mistake(f"each side loses the other's mean. {_OWN}", {"means": lambda a, b: tuple(reversed(own_means(a, b)))}),
    Mistake(f"both sides lose the mean of the images. {_OWN}", {"means": lambda a, b: (a.mean(dim=0), a.mean(dim=0))}),
    Mistake(f"both sides lose the mean of the texts. {_OWN}", {"means": lambda a, b: (b.mean(dim=0), b.mean(dim=0))}),
    Mistake(
        f"the images stay where they are. {_OWN}",
        {"means": lambda a, b: (torch.zeros(a.shape[1]), b.mean(dim=0))},
    ),
    Mistake(
        f"the texts stay where they are. {_OWN}",
        {"means": lambda a, b: (a.mean(dim=0), torch.zeros(b.shape[1]))},
    ),
    Mistake(
        f"the texts are shifted by the vector of the gap, onto the mean of the images. {_OWN}",
        {"means": lambda a, b: (torch.zeros(a.shape[1]), b.mean(dim=0) - a.mean(dim=0))},
    ),
    Mistake(
        "no mean is subtracted: bring the rows to length 1, subtract each side's mean, bring them to length 1 again.",
        {"shift": lambda z, mean: z},
    ),
    Mistake("the mean is added: subtract it.", {"shift": lambda z, mean: z + mean}),
    Mistake("the sign is wrong: z - mean, and not mean - z.", {"shift": lambda z, mean: mean - z}),
    Mistake(
        "each row loses the mean of its own numbers: the mean of a side runs over its rows, dim=0.",
        {"shift": lambda z, mean: z - z.mean(dim=1, keepdim=True)},
    ),
    Mistake(
        "one number is subtracted, the mean of a whole table: the mean of a side is a vector, .mean(dim=0).",
        {"means": lambda a, b: (a.mean(), b.mean())},
    ),
    Mistake(
        "the median is subtracted in place of the mean.",
        {"means": lambda a, b: (a.median(dim=0).values, b.median(dim=0).values)},
    ),
    Mistake("the sum is subtracted in place of the mean.", {"means": lambda a, b: (a.sum(dim=0), b.sum(dim=0))}),
    Mistake(
        "the mean is brought to length 1 before it is subtracted: a wide cloud has a short mean, and a longer one "
        "shifts it too far.",
        {"means": lambda a, b: tuple(F.normalize(mean, dim=0) for mean in own_means(a, b))},
    ),
    Mistake(
        "each column is divided by its deviation as well: only the mean goes.",
        {"shift": lambda z, mean: (z - mean) / z.std(dim=0)},
    ),
    Mistake(
        "the mean is taken of rows of any length, so that long ones count more: bring each row to length 1 first.",
        {"lengths": as_it_is},
    ),
    Mistake(
        "centred rows are shorter or longer than 1, and cosine similarity needs their directions: bring each to length "
        "1 again.",
        {"again": as_it_is},
    ),
    Mistake(
        "normalised along the wrong dimension at first: each row is an embedding, dim=1.",
        {"lengths": lambda z: F.normalize(z, dim=0)},
    ),
    Mistake(
        "normalised along the wrong dimension at the end: each row is an embedding, dim=1.",
        {"again": lambda z: F.normalize(z, dim=0)},
    ),
    Mistake("only the images came back: return both, z_image and z_text.", {"answer": lambda a, b: a}),
    Mistake("only the texts came back: return both, z_image and z_text.", {"answer": lambda a, b: b}),
    Mistake(
        "images and texts came back in one table: return two tensors, z_image and z_text.",
        {"answer": lambda a, b: torch.cat([a, b])},
    ),
    Mistake("the sides are exchanged: return z_image first, then z_text.", {"answer": lambda a, b: (b, a)}),
    Mistake(
        "the gap of the centred sides came back, which is small: return both sides, z_image and z_text.",
        {"answer": lambda a, b: (a.mean(dim=0) - b.mean(dim=0)).norm()},
    ),
)


def sides(attempt: Callable, z_image: Tensor, z_text: Tensor) -> list[Tensor] | Tensor:
    """The two tables that came back, in double precision; one tensor where that is all."""
    given = z_image.clone(), z_text.clone()
    answer = call(lambda: attempt(*given))
    if not (torch.equal(given[0], z_image) and torch.equal(given[1], z_text)):
        raise Fault("you changed an argument in place, and the caller's tensor is altered: make new tensors.")
    if isinstance(answer, Tensor) and answer.ndim < 3:
        return answer.detach().double()
    try:
        tables = [torch.as_tensor(part).detach().double() for part in answer]
    except (TypeError, ValueError, RuntimeError):
        raise Fault(f"{kind_of(answer)} came back: return two tensors, z_image and z_text.") from None
    if any(not table.isfinite().all() for table in tables):
        raise Fault("your answer has a number that is not finite; a row of length 1 holds numbers from -1 to 1.")
    return tables


def observe(attempt: Callable) -> list:
    return [sides(attempt, *inputs) for inputs in BATCHES]


# Wrong, and no known mistake.
def two_come_back(attempt: Callable) -> str | None:
    answer = sides(attempt, *BATCHES[1])
    if isinstance(answer, Tensor):
        return f"one tensor of shape {tuple(answer.shape)} came back: return two, z_image and z_text."
    if len(answer) != 2:
        return f"{len(answer)} values came back: return two tensors, z_image and z_text."
    for name, mine, given in zip(SIDES, answer, BATCHES[1]):
        if mine.shape != given.shape:
            return f"{name} has the shape {tuple(given.shape)}, and what you return for it {tuple(mine.shape)}."
    return None


def have_length_one(attempt: Callable) -> str | None:
    for name, mine in zip(SIDES, sides(attempt, *BATCHES[0])):
        lengths = mine.norm(dim=1)
        if not same(lengths, torch.ones(len(mine))):
            return f"the rows that you return for {name} have the lengths {written(lengths)}; each must be 1."
    return None


def sides_are_alone(attempt: Callable) -> str | None:
    """Other texts must change nothing for the images, and other images nothing for the texts."""
    z_image, z_text = BATCHES[1]
    before = sides(attempt, z_image, z_text)
    for side, other, inputs in ((0, "texts", (z_image, z_text + 1)), (1, "images", (z_image + 1, z_text))):
        if not same(before[side], sides(attempt, *inputs)[side]):
            return f"with other {other} what you return for {SIDES[side]} changes: each side is centred by itself."
    return None


def lengths_count(attempt: Callable) -> str | None:
    z_image, z_text = BATCHES[0]
    longer = z_image.clone()
    longer[0] *= 5
    if same(sides(attempt, z_image, z_text), sides(attempt, longer, z_text)):
        return None
    return "with the first image five times as long your answer changes: bring each row to length 1 first."


def small_example(attempt: Callable) -> str | None:
    z_image, z_text = torch.tensor([[2.0, 0.0], [0.0, 1.0]]), torch.tensor([[0.0, 3.0], [0.0, -1.0], [1.0, 0.0]])
    mine, expected = sides(attempt, z_image, z_text), right(z_image, z_text)
    for name, given, found, should in zip(SIDES, (z_image, z_text), mine, expected):
        if not same(found, should):
            return (
                f"for {name} = {written(given)} you return {written(found)}, expected {written(should)}: the rows of "
                f"length 1 have the mean {written(unit(given).mean(dim=0))}."
            )
    return None


without_gap = Exercise(
    name=NAME,
    observe=observe,
    make=make,
    mistakes=MISTAKES,
    praise="each side is centred by its own mean, and its rows have length 1 again.",
    ladder=(two_come_back, have_length_one, sides_are_alone, lengths_count, small_example),
)
