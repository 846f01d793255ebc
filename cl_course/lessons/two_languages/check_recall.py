"""Lesson 10: the learner's `my_recall(z_query, z_gallery, k, same)`: how often a query finds a row with its caption."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from cl_course.lessons.shared.answers import answer_of
from cl_course.lessons.shared.exercise import Exercise, Fault, Mistake
from cl_course.lessons.shared.ladder import by_hand, close, constant_relation, number
from cl_course.lessons.two_languages.pair_loss import across, unit_rows

NAME = "my_recall"


def batch(n: int, k: int) -> tuple[Tensor, Tensor, int, Tensor]:
    """n queries and the gallery's n rows, (n, 3), in lengths that differ; k; and `same`, (n, n): who shares a caption.

    About half of the queries find their own row, and most captions belong to more than one card.
    """
    generator = Generator().manual_seed(n)
    z_query = torch.randn(n, 3, generator=generator)
    z_gallery = z_query + 0.9 * torch.randn(n, 3, generator=generator)
    lengths = torch.exp(torch.randn(2, n, 1, generator=generator))
    caption = torch.randint(n // 2, (n,), generator=generator)
    same = caption[:, None] == caption
    return F.normalize(z_query, dim=1) * lengths[0], F.normalize(z_gallery, dim=1) * lengths[1], k, same


def at_extremes(n: int) -> tuple[tuple[Tensor, Tensor, int, Tensor], ...]:
    """All captions differ. All queries find their own row; then none does; then one lies opposite to it."""
    z, z_gallery, k, _ = batch(n, 1)
    opposite, alone = z_gallery.clone(), torch.eye(n, dtype=torch.bool)
    opposite[0] = -z[0]
    return (z, 2 * z, k, alone), (z, z.roll(1, dims=0), k, alone), (z, opposite, k, alone)


BATCHES = (batch(23, 1), batch(31, 3), batch(17, 5), *at_extremes(13))


# The right way, in parts that can each be done in a wrong way; the lengths and the product are those of the losses.
def first(k: int) -> int:
    return k


def taken_rows(similarity: Tensor, k: int) -> Tensor:
    """True at the k most similar of each row, (n, n)."""
    k = min(k, len(similarity))
    return torch.zeros_like(similarity, dtype=torch.bool).scatter(1, similarity.topk(k, dim=1).indices, True)


def any_is_there(similarity: Tensor, k: int, same: Tensor) -> Tensor:
    return (taken_rows(similarity, k) & same).any(dim=1)


def share(found: Tensor) -> Tensor:
    return found.double().mean()


def make(
    lengths: Callable = unit_rows,
    product: Callable = across,
    taken: Callable = first,
    found: Callable = any_is_there,
    result: Callable = share,
) -> Callable[[Tensor, Tensor, int, Tensor], Tensor]:
    return lambda z_query, z_gallery, k, same: result(found(product(*lengths(z_query, z_gallery)), taken(k), same))


right = make()


def _own_alone(similarity: Tensor, k: int, same: Tensor) -> Tensor:
    return taken_rows(similarity, k).diagonal()


def _without_own(similarity: Tensor, k: int, same: Tensor) -> Tensor:
    return any_is_there(similarity.clone().fill_diagonal_(-torch.inf), k, same)


def _last_taken(similarity: Tensor, k: int, same: Tensor) -> Tensor:
    return same.gather(1, similarity.topk(k, dim=1).indices[:, -1:]).squeeze(1)


def _all_are_right(similarity: Tensor, k: int, same: Tensor) -> Tensor:
    return same.gather(1, similarity.topk(k, dim=1).indices).all(dim=1)


def _every_copy(similarity: Tensor, k: int, same: Tensor) -> Tensor:
    return (taken_rows(similarity, k) | ~same).all(dim=1)


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
        "only the own row counts as right, and `same` has no effect: a card with the same caption, word for word, is "
        "as good an answer.",
        {"found": _own_alone},
    ),
    Mistake(
        "only *other* cards with the same caption count: the own row is a right answer as well.",
        {"found": lambda s, k, same: any_is_there(s, k, same & ~torch.eye(len(s), dtype=torch.bool))},
    ),
    Mistake(
        "the diagonal is masked, as a view beside itself is. Here it holds each query's own row of the *other* side: "
        "a right answer.",
        {"found": _without_own},
    ),
    Mistake(
        "only the k-th most similar row is looked at: a right one may be any of the first k.", {"found": _last_taken}
    ),
    Mistake("all of the first k must be right: one right row among them is enough.", {"found": _all_are_right}),
    Mistake("all rows with the same caption must be among the first k: one of them is enough.", {"found": _every_copy}),
    Mistake(
        "the places in the order are used as if they were the rows of the gallery: topk(k, dim=1).indices says which "
        "rows are taken, and same[i, j] whether row j is right for query i.",
        {"found": lambda s, k, same: same[:, :k].any(dim=1)},
    ),
    Mistake("the number of queries came back: divide it by n.", {"result": lambda found: found.sum()}),
    Mistake(
        "True or False for each query came back: take the share, .float().mean().", {"result": lambda found: found}
    ),
    Mistake("in percent: the exercise asks for a share, from 0 to 1.", {"result": lambda found: 100 * share(found)}),
    Mistake("the share of queries that do *not* find a right row.", {"result": lambda found: 1 - share(found)}),
    Mistake("True or False came back, whether any query finds a right row: take the share.", {"result": torch.any}),
    Mistake("True or False came back, whether all queries find a right row: take the share.", {"result": torch.all}),
    Mistake(
        "this is precision, the share of right rows among the first k: of recall at k a query has all, or nothing.",
        {"found": lambda s, k, same: (taken_rows(s, k) & same).double().sum(dim=1) / k},
    ),
    Mistake(
        "the right rows among the first k are counted: a query that finds two has found what it asked for once.",
        {"found": lambda s, k, same: (taken_rows(s, k) & same).double().sum(dim=1)},
    ),
    Mistake(
        "of each query the share of its right rows came in: one of them among the first k is enough.",
        {"found": lambda s, k, same: (taken_rows(s, k) & same).double().sum(dim=1) / same.sum(dim=1)},
    ),
    Mistake("The mean of True and False needs numbers: .float().mean().", {"result": lambda found: found.mean()}),
)


def observe(attempt: Callable) -> list[Tensor]:
    answers = [answer_of(attempt, *inputs) for inputs in BATCHES]
    if any(not answer.isfinite().all() for answer in answers):
        raise Fault("your answer is not a finite number; a share lies between 0 and 1.")
    return answers


def takes_all_of_a_small_gallery(attempt: Callable) -> str | None:
    z_query, z_gallery, _, same = batch(5, 1)
    mine = number(answer_of(attempt, z_query, z_gallery, 5, same))
    return None if mine is not None and close(mine, 1) else f"with k = n every query finds its own row: 1, not {mine}."


# Wrong, and no known mistake.
def is_one_number(attempt: Callable) -> str | None:
    mine = answer_of(attempt, *BATCHES[0])
    return None if mine.ndim == 0 else f"your answer has the shape {tuple(mine.shape)}; a share is one number."


def own_rows_equal(attempt: Callable) -> str | None:
    z = F.normalize(BATCHES[0][0], dim=1)
    mine = number(answer_of(attempt, z, z.clone(), 1, BATCHES[0][3]))
    if mine is None or close(mine, 1):
        return None
    return (
        f"where each query equals its own row of the gallery, and no other, the recall at 1 is 1; yours is {mine:.4f}."
    )


def grows_with_k(attempt: Callable) -> str | None:
    z_query, z_gallery, _, same = BATCHES[0]
    counts = [number(answer_of(attempt, z_query, z_gallery, k, same)) for k in (1, 5, 20)]
    if None in counts or counts[0] <= counts[1] + 1e-6 and counts[1] <= counts[2] + 1e-6:
        return None
    return f"your recall falls as k grows: {counts[0]:.3f}, {counts[1]:.3f}, {counts[2]:.3f} at k = 1, 5 and 20."


def lengths_count(attempt: Callable) -> str | None:
    z_query, z_gallery, k, same = BATCHES[1]
    before, longer = number(answer_of(attempt, z_query, z_gallery, k, same)), z_gallery.clone()
    longer[0] *= 50
    after = number(answer_of(attempt, z_query, longer, k, same))
    if before is None or after is None or close(before, after):
        return None
    return f"with one row of the gallery 50 times as long your recall goes from {before:.4f} to {after:.4f}."


def how_far_off(attempt: Callable) -> str | None:
    inputs = [batch(n, k) for n in (19, 23, 29) for k in (1, 2, 4)]
    mine = [number(answer_of(attempt, *one)) for one in inputs]
    return None if None in mine else constant_relation(mine, [float(right(*one)) for one in inputs], "recall")


def small_examples(attempt: Callable) -> str | None:
    """Three captions that differ; then the first two cards have the same one."""
    z_query, alone = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]]), torch.eye(3, dtype=torch.bool)
    twins = torch.tensor([[True, True, False], [True, True, False], [False, False, True]])
    for z_gallery, k, same, why in (
        ([[0.8, 0.6], [0.6, 0.8], [-1.0, 0.0]], 1, alone, "all three find their own row first"),
        ([[0.6, 0.8], [0.8, 0.6], [-1.0, 0.0]], 1, alone, "only the last finds its own row first"),
        ([[0.6, 0.8], [0.8, 0.6], [-1.0, 0.0]], 2, alone, "the own row is first or second for all three"),
        ([[0.6, 0.8], [0.8, 0.6], [-1.0, 0.0]], 1, twins, "the first two find a row with the same caption"),
        ([[0.6, 0.8], [0.28, 0.96], [-1.0, 0.0]], 1, alone, "all three find their own row first"),
        ([[0.0, 5.0], [-0.6, 0.8], [-0.8, 0.6]], 1, alone, "the first and the last find their own row first"),
        ([[0.0, 5.0], [-0.6, 0.8], [-0.8, 0.6]], 1, twins, "all three find a row with their caption first"),
    ):
        given = {"z_query": z_query, "z_gallery": torch.tensor(z_gallery), "k": k, "same": same}
        if said := by_hand(attempt, right, given, why):
            return said
    return None


recall = Exercise(
    name=NAME,
    observe=observe,
    make=make,
    mistakes=MISTAKES,
    praise="the share of queries with a right row among the k most similar.",
    demands=(takes_all_of_a_small_gallery,),
    ladder=(is_one_number, own_rows_equal, grows_with_k, lengths_count, how_far_off, small_examples),
)
