"""Lesson 02: the learner's `my_similarities(z1, z2)`: all cosine similarities of the 2n views of a batch."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from cl_course.lessons.infonce.nt_xent_parts import alternating, cosine, distances, each_side, joined, unit
from cl_course.lessons.shared.answers import answer_of, is_no_tensor
from cl_course.lessons.shared.exercise import Exercise, Mistake, same
from cl_course.lessons.shared.ladder import written

NAME = "my_similarities"


# The right way, in parts that can each be done in a wrong way.
def as_it_is(table: Tensor) -> Tensor:
    return table


def make(
    views: Callable = joined, lengths: Callable = unit, product: Callable = cosine, result: Callable = as_it_is
) -> Callable[[Tensor, Tensor], Tensor]:
    return lambda z1, z2: result(product(lengths(views(z1, z2))))


right = make()


def _embeddings(n: int, d: int) -> tuple[Tensor, Tensor]:
    generator = Generator().manual_seed(n)
    return tuple((0.5 + torch.rand(2, n, 1, generator=generator)) * torch.randn(2, n, d, generator=generator))


BATCHES = (_embeddings(3, 5), _embeddings(2, 4), _embeddings(4, 2))


def _side_by_side(z: Tensor) -> Tensor:
    z1, z2 = z.chunk(2)
    return z1 @ z2.T


def _masked(value: float) -> Callable[[Tensor], Tensor]:
    return lambda table: table.masked_fill(torch.eye(len(table), dtype=torch.bool), value)


_LENGTHS = "the embeddings' lengths count: divide each row by its length, F.normalize(z, dim=1). "
_TWO_SHAPES = (  # both causes give one and the same error
    "two shapes do not fit together: a division by lengths needs them as a column, z.norm(dim=1, keepdim=True), and "
    "the products of all rows with all need a matrix product, z @ z.T."
)
_EARLY = "the diagonal is masked already. In this table it stays: each view has similarity 1 with itself."

MISTAKES = (
    Mistake(_LENGTHS + "Yours are products of vectors of any length.", {"lengths": lambda z: z}),
    Mistake(
        "normalised along the wrong dimension: each row is an embedding, dim=1.",
        {"lengths": lambda z: F.normalize(z, dim=0)},
    ),
    Mistake(
        "normalised along the wrong dimension: each row is an embedding, dim=1.",
        {"lengths": each_side(lambda z: F.normalize(z, dim=0))},
    ),
    *(
        Mistake(_TWO_SHAPES, {"lengths": wrong})
        for wrong in (lambda z: z / z.norm(dim=1), each_side(lambda z: z / z.norm(dim=1)))
    ),
    Mistake(_LENGTHS + "Yours are all divided by one common length.", {"lengths": lambda z: z / z.norm()}),
    Mistake(_LENGTHS + "Yours are all divided by one common length.", {"lengths": each_side(lambda z: z / z.norm())}),
    Mistake(
        _LENGTHS + "Yours are divided by the sum of absolute values; the length is the root of the sum of squares.",
        {"lengths": lambda z: F.normalize(z, p=1, dim=1)},
    ),
    Mistake(
        _LENGTHS + "Yours are divided by the squared length, without the root.",
        {"lengths": lambda z: z / z.square().sum(dim=1, keepdim=True)},
    ),
    Mistake(
        "z1 is normalised and z2 is not: make the length of every row of both 1.",
        {"views": lambda z1, z2: torch.cat([unit(z1), z2]), "lengths": lambda z: z},
    ),
    Mistake(
        "z2 is normalised and z1 is not: make the length of every row of both 1.",
        {"views": lambda z1, z2: torch.cat([z1, unit(z2)]), "lengths": lambda z: z},
    ),
    Mistake(
        "each embedding's mean is subtracted first: that is a correlation. The cosine takes z as it is.",
        {"lengths": lambda z: unit(z - z.mean(dim=1, keepdim=True))},
    ),
    Mistake(
        "the views come in the order A1 A2 B1 B2 ...; first come all of view 1, then all of view 2: torch.cat.",
        {"views": alternating},
    ),
    Mistake("view 2 comes first: join z1 and z2 in this order.", {"views": lambda z1, z2: torch.cat([z2, z1])}),
    Mistake("z2 is missing, and z1 stands in its place.", {"views": lambda z1, z2: torch.cat([z1, z1])}),
    Mistake("z1 is missing, and z2 stands in its place.", {"views": lambda z1, z2: torch.cat([z2, z2])}),
    Mistake(
        "z1 and z2 are joined along dim=1, so that both views of an image became one long row: join along dim=0.",
        {"views": lambda z1, z2: torch.cat([z1, z2], dim=1)},
    ),
    Mistake(
        "z1 is compared with z2 alone, (n, n). All 2n views are compared with all, also with those of their own side: "
        "join z1 and z2 first.",
        {"product": _side_by_side},
    ),
    Mistake("only z1 is compared with z1, (n, n): join z1 and z2 first.", {"views": lambda z1, z2: z1}),
    Mistake(
        "only partners are compared, (n,). All 2n views are compared with all: z @ z.T.",
        {"product": lambda z: (z.chunk(2)[0] * z.chunk(2)[1]).sum(dim=1)},
    ),
    Mistake("z.T @ z compares the d columns; z @ z.T compares the views, the rows.", {"product": lambda z: z.T @ z}),
    Mistake(
        "(n, d) @ (n, d): the inner sizes must be equal. Join z1 and z2 first, and transpose the second: z @ z.T.",
        {"views": lambda z1, z2: z1 @ z2},
    ),
    Mistake("torch.cat takes a list: torch.cat([z1, z2]).", {"views": lambda z1, z2: torch.cat(z1, z2)}),
    Mistake(
        "z @ z: the inner sizes must be equal. (2n, d) @ (d, 2n) is z @ z.T, with the second one transposed.",
        {"product": lambda z: z @ z},
    ),
    Mistake(
        "z * z multiplies number by number. The product of each row with each row is z @ z.T.",
        {"product": lambda z: z * z},
    ),
    Mistake(
        "these are distances. The cosine similarity of rows of length 1 is their product, z @ z.T.",
        {"product": distances},
    ),
    Mistake(
        "these are squared distances, 2 - 2 s. Asked is the cosine similarity s, z @ z.T.",
        {"product": lambda z: distances(z).square()},
    ),
    Mistake("this is 1 - s, the cosine distance. Asked is the similarity s.", {"result": lambda s: 1 - s}),
    Mistake("the sign is wrong: the similarity of a view with itself is 1.", {"result": torch.neg}),
    Mistake("the absolute value is taken: opposite views have the similarity -1.", {"result": torch.abs}),
    Mistake("the square is taken. Asked is the cosine itself.", {"result": torch.square}),
    Mistake("this is the angle. Asked is its cosine.", {"result": lambda s: s.clamp(-1, 1).acos()}),
    Mistake(
        "the similarities are moved to 0 ... 1. A cosine lies between -1 and 1.", {"result": lambda s: (1 + s) / 2}
    ),
    Mistake("negative similarities became 0. A cosine lies between -1 and 1.", {"result": torch.relu}),
    Mistake(
        "a softmax is taken over each row. That comes later; return the similarities.",
        {"result": lambda s: s.softmax(dim=1)},
    ),
    Mistake(_EARLY, {"result": _masked(0.0)}),
    Mistake(_EARLY, {"result": _masked(-1.0)}),
    Mistake(_EARLY, {"result": _masked(-torch.inf)}),
)


def observe(attempt: Callable) -> list[Tensor]:
    return [answer_of(attempt, *batch) for batch in BATCHES]


# Wrong, and no known mistake.
SMALL = (torch.tensor([[3.0, 4.0], [1.0, 0.0]]), torch.tensor([[0.0, 2.0], [-1.0, 2.0]]))
NAMES = ("A1", "B1", "A2", "B2")


def shape(attempt: Callable) -> str | None:
    mine = answer_of(attempt, *SMALL)
    if mine.shape == (4, 4):
        return None
    return f"for 2 images your answer has the shape {tuple(mine.shape)}, expected (4, 4): all 4 views against all."


def diagonal(attempt: Callable) -> str | None:
    mine = answer_of(attempt, *SMALL).diagonal()
    if same(mine, torch.ones(4)):
        return None
    return (
        f"for z1 = {written(SMALL[0])} and z2 = {written(SMALL[1])} the similarities of the views with themselves, "
        f"your diagonal, are {written(mine)}. Each must be 1."
    )


def lengths_count(attempt: Callable) -> str | None:
    z1, z2 = SMALL
    before, after = answer_of(attempt, z1, z2), answer_of(attempt, z1 * torch.tensor([[2.0], [1.0]]), z2)
    changed = (before - after).abs()
    if before.shape != (4, 4) or float(changed.max()) < 1e-4:
        return None
    i, j = divmod(int(changed.argmax()), 4)
    return (
        f"lengths count in your table: with the first row of z1 twice as long, the similarity of {NAMES[i]} and "
        f"{NAMES[j]} goes from {before[i, j]:.3f} to {after[i, j]:.3f}. A cosine looks at directions alone."
    )


def first_wrong_cell(attempt: Callable) -> str | None:
    mine, expected = answer_of(attempt, *SMALL), right(*SMALL)
    for i, j in (mine - expected).abs().gt(1e-4).nonzero().tolist():
        z = torch.cat(SMALL)
        return (
            f"for z1 = {written(SMALL[0])} and z2 = {written(SMALL[1])}, row {NAMES[i]}, column {NAMES[j]} of your "
            f"table is {mine[i, j]:.4f}. The cosine of {written(z[i])} and {written(z[j])} is {expected[i, j]:.4f}."
        )
    return None


similarities = Exercise(
    name=NAME,
    observe=observe,
    make=make,
    mistakes=MISTAKES,
    praise="all 2n views against all, lengths left aside; the diagonal is 1, as it must be.",
    ladder=(shape, diagonal, lengths_count, first_wrong_cell),
    notes=(lambda attempt: is_no_tensor(attempt, *BATCHES[0]),),
)
