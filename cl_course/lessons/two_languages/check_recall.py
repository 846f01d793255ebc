"""Lesson 10: the learner's `my_recall(z_query, z_gallery, k)`: how often a query finds its own row."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from cl_course.lessons.shared.answers import answer_of
from cl_course.lessons.shared.exercise import Exercise, Fault, Mistake
from cl_course.lessons.shared.ladder import by_hand, close, constant_relation, number

NAME = "my_recall"


def batch(n: int, k: int) -> tuple[Tensor, Tensor, int]:
    """n queries and the gallery's n rows, (n, 3), in lengths that differ; about half of the queries find their own."""
    generator = Generator().manual_seed(n)
    z_query = torch.randn(n, 3, generator=generator)
    z_gallery = z_query + 0.9 * torch.randn(n, 3, generator=generator)
    lengths = torch.exp(torch.randn(2, n, 1, generator=generator))
    return F.normalize(z_query, dim=1) * lengths[0], F.normalize(z_gallery, dim=1) * lengths[1], k


def at_extremes(n: int) -> tuple[tuple[Tensor, Tensor, int], ...]:
    """All queries find their own row; then none does; then one lies opposite to it."""
    z, z_gallery, k = batch(n, 1)
    opposite = z_gallery.clone()
    opposite[0] = -z[0]
    return (z, 2 * z, k), (z, z.roll(1, dims=0), k), (z, opposite, k)


BATCHES = (batch(23, 1), batch(31, 3), batch(17, 5), *at_extremes(13))


# The right way, in parts that can each be done in a wrong way.
def unit_rows(z_query: Tensor, z_gallery: Tensor) -> tuple[Tensor, Tensor]:
    return F.normalize(z_query, dim=1), F.normalize(z_gallery, dim=1)


def across(z_query: Tensor, z_gallery: Tensor) -> Tensor:
    return z_query @ z_gallery.T


def first(k: int) -> int:
    return k


def own_is_there(similarity: Tensor, k: int) -> Tensor:
    own = torch.arange(len(similarity))[:, None]
    return (similarity.topk(min(k, len(similarity)), dim=1).indices == own).any(dim=1)


def share(found: Tensor) -> Tensor:
    return found.double().mean()


def make(
    lengths: Callable = unit_rows,
    product: Callable = across,
    taken: Callable = first,
    found: Callable = own_is_there,
    result: Callable = share,
) -> Callable[[Tensor, Tensor, int], Tensor]:
    return lambda z_query, z_gallery, k: result(found(product(*lengths(z_query, z_gallery)), taken(k)))


right = make()


def _without_own(similarity: Tensor, k: int) -> Tensor:
    masked = similarity.clone().fill_diagonal_(-torch.inf)
    return (masked.topk(k, dim=1).indices == torch.arange(len(masked))[:, None]).any(dim=1)


def _last_taken(similarity: Tensor, k: int) -> Tensor:
    return similarity.topk(k, dim=1).indices[:, k - 1] == torch.arange(len(similarity))


def _all_in_order(similarity: Tensor, k: int) -> Tensor:
    return torch.tensor([i < k for i in range(len(similarity))])


MISTAKES = (
    Mistake("k has no effect: only the nearest row counts. Take the k most similar.", {"taken": lambda k: 1}),
    Mistake("k + 1 rows are taken: the own row has to be among k.", {"taken": lambda k: k + 1}),
    Mistake(
        "the other direction: each row of the gallery looks for its query. The similarities of a query are a *row* of "
        "z_query @ z_gallery.T, so topk runs along dim=1.",
        {"product": lambda q, g: g @ q.T},
    ),
    Mistake(
        "one side is compared with itself, so that each row finds itself: z_query @ z_gallery.T compares the two.",
        {"product": lambda q, g: q @ q.T},
    ),
    Mistake(
        "the k *least* similar are taken: the sign is wrong, or distances are ordered from the largest down.",
        {"product": lambda q, g: -(q @ g.T)},
    ),
    Mistake("(n, d) @ (n, d): transpose the second, z_query @ z_gallery.T.", {"product": lambda q, g: q @ g}),
    Mistake(
        "z_query.T @ z_gallery compares the d columns: z_query @ z_gallery.T compares the rows.",
        {"product": lambda q, g: q.T @ g},
    ),
    Mistake(
        "the gallery's rows keep their lengths, and long ones are near to everything. Bring every row to length 1. "
        "(The queries' lengths change no order.)",
        {"lengths": lambda q, g: (q, g)},
    ),
    Mistake(
        "normalised along the wrong dimension: each row is an embedding, dim=1.",
        {"lengths": lambda q, g: (F.normalize(q, dim=0), F.normalize(g, dim=0))},
    ),
    Mistake(
        "the diagonal is masked, as a view beside itself is. Here it holds each query's own row of the *other* side: "
        "what is looked for.",
        {"found": _without_own},
    ),
    Mistake(
        "only the k-th most similar row is looked at: the own row may be any of the first k.", {"found": _last_taken}
    ),
    Mistake(
        "the own row is looked for at the place 0: query i's own row is row i.",
        {"found": lambda s, k: (s.topk(k, dim=1).indices == 0).any(dim=1)},
    ),
    Mistake("the number of queries came back: divide it by n.", {"result": lambda found: found.sum()}),
    Mistake(
        "True or False for each query came back: take the share, .float().mean().", {"result": lambda found: found}
    ),
    Mistake("in percent: asked is a share, from 0 to 1.", {"result": lambda found: 100 * share(found)}),
    Mistake("the share of queries that do *not* find their own row.", {"result": lambda found: 1 - share(found)}),
    Mistake("True or False came back, whether any query finds its own: take the share.", {"result": torch.any}),
    Mistake("True or False came back, whether all queries find their own: take the share.", {"result": torch.all}),
    Mistake(
        "the hits are divided by n k, as in precision: for recall with one right row divide by n.",
        {"found": lambda s, k: own_is_there(s, k).double() / k},
    ),
    Mistake("The mean of True and False needs numbers: .float().mean().", {"result": lambda found: found.mean()}),
)


def observe(attempt: Callable) -> list[Tensor]:
    answers = [answer_of(attempt, *inputs) for inputs in BATCHES]
    if any(not answer.isfinite().all() for answer in answers):
        raise Fault("your answer is not a finite number; a share lies between 0 and 1.")
    return answers


def takes_all_of_a_small_gallery(attempt: Callable) -> str | None:
    z_query, z_gallery, _ = batch(5, 1)
    mine = number(answer_of(attempt, z_query, z_gallery, 5))
    return None if mine is not None and close(mine, 1) else f"with k = n every query finds its own row: 1, not {mine}."


# Wrong, and no known mistake.
def is_one_number(attempt: Callable) -> str | None:
    mine = answer_of(attempt, *BATCHES[0])
    return None if mine.ndim == 0 else f"your answer has the shape {tuple(mine.shape)}; a share is one number."


def own_rows_equal(attempt: Callable) -> str | None:
    z = F.normalize(BATCHES[0][0], dim=1)
    mine = number(answer_of(attempt, z, z.clone(), 1))
    if mine is None or close(mine, 1):
        return None
    return (
        f"where each query equals its own row of the gallery, and no other, the recall at 1 is 1; yours is {mine:.4f}."
    )


def grows_with_k(attempt: Callable) -> str | None:
    z_query, z_gallery, _ = BATCHES[0]
    counts = [number(answer_of(attempt, z_query, z_gallery, k)) for k in (1, 5, 20)]
    if None in counts or counts[0] <= counts[1] + 1e-6 and counts[1] <= counts[2] + 1e-6:
        return None
    return f"your recall falls as k grows: {counts[0]:.3f}, {counts[1]:.3f}, {counts[2]:.3f} at k = 1, 5 and 20."


def lengths_count(attempt: Callable) -> str | None:
    z_query, z_gallery, k = BATCHES[1]
    before, longer = number(answer_of(attempt, z_query, z_gallery, k)), z_gallery.clone()
    longer[0] *= 50
    after = number(answer_of(attempt, z_query, longer, k))
    if before is None or after is None or close(before, after):
        return None
    return f"with one row of the gallery 50 times as long your recall goes from {before:.4f} to {after:.4f}."


def how_far_off(attempt: Callable) -> str | None:
    inputs = [batch(n, k) for n in (19, 23, 29) for k in (1, 2, 4)]
    mine = [number(answer_of(attempt, *one)) for one in inputs]
    return None if None in mine else constant_relation(mine, [float(right(*one)) for one in inputs], "recall")


def small_examples(attempt: Callable) -> str | None:
    z_query = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
    for z_gallery, k, why in (
        ([[0.8, 0.6], [0.6, 0.8], [-1.0, 0.0]], 1, "all three find their own row first"),
        ([[0.6, 0.8], [0.8, 0.6], [-1.0, 0.0]], 1, "only the last finds its own row first"),
        ([[0.6, 0.8], [0.8, 0.6], [-1.0, 0.0]], 2, "the own row is first or second for all three"),
        ([[0.6, 0.8], [0.28, 0.96], [-1.0, 0.0]], 1, "all three find their own row first"),
        ([[0.0, 5.0], [-0.6, 0.8], [-0.8, 0.6]], 1, "only the last finds its own row first"),
    ):
        given = {"z_query": z_query, "z_gallery": torch.tensor(z_gallery), "k": k}
        if said := by_hand(attempt, right, given, why):
            return said
    return None


recall = Exercise(
    name=NAME,
    observe=observe,
    make=make,
    mistakes=MISTAKES,
    praise="the share of queries whose own row is among the k most similar.",
    demands=(takes_all_of_a_small_gallery,),
    ladder=(is_one_number, own_rows_equal, grows_with_k, lengths_count, how_far_off, small_examples),
)
