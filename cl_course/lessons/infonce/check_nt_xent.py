"""Lesson 02: the learner's `my_nt_xent(z1, z2, temperature)`."""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from cl_course.lessons.shared.exercise import Exercise, Fault, Mistake, call, same
from cl_course.lessons.shared.ladder import by_hand, close, constant_relation, number

NAME = "my_nt_xent"
COLD = 0.01


# The right way, in parts that can each be done in a wrong way.
def unit(z: Tensor) -> Tensor:
    return F.normalize(z, dim=1)


def cosine(z: Tensor) -> Tensor:
    return z @ z.T


def divide(similarity: Tensor, temperature: float) -> Tensor:
    return similarity / temperature


def without_itself(logits: Tensor) -> Tensor:
    return logits.masked_fill(torch.eye(len(logits), dtype=torch.bool), -torch.inf)


def n_places_on(n: int) -> Tensor:
    return torch.arange(2 * n).roll(n)


def minus_log_p(logits: Tensor, partner: Tensor) -> Tensor:
    return F.cross_entropy(logits, partner, reduction="none")


def mean_of_views(losses: Tensor) -> Tensor:
    return losses.mean()


def make(
    lengths: Callable = unit,
    similarity: Callable = cosine,
    scale: Callable = divide,
    candidates: Callable = without_itself,
    partner: Callable = n_places_on,
    view_loss: Callable = minus_log_p,
    average: Callable = mean_of_views,
) -> Callable[[Tensor, Tensor, float], Tensor]:
    def attempt(z1: Tensor, z2: Tensor, temperature: float) -> Tensor:
        logits = candidates(scale(similarity(lengths(torch.cat([z1, z2]))), temperature))
        return average(view_loss(logits, partner(len(z1))))

    return attempt


right = make()


# The parts done in wrong ways.
def _own_side_hidden(logits: Tensor) -> Tensor:
    n = len(logits) // 2
    side = torch.arange(2 * n) < n
    return logits.masked_fill(side[:, None] == side, -torch.inf)


def _hide(mask: Callable[[int], Tensor], value: float = -torch.inf) -> Callable[[Tensor], Tensor]:
    return lambda logits: logits.masked_fill(mask(len(logits)), value)


def _itself(views: int) -> Tensor:
    return torch.eye(views, dtype=torch.bool)


def _partners(views: int) -> Tensor:
    return _itself(views).roll(views // 2, dims=1)


def _later_half(views: int) -> Tensor:
    return torch.ones(views, views, dtype=torch.bool).triu()


def _without_the_partner(logits: Tensor, partner: Tensor) -> Tensor:
    rows = torch.arange(len(logits))
    others = logits.clone()
    others[rows, partner] = -torch.inf
    return others.logsumexp(dim=1) - logits[rows, partner]


def _softmax_twice(logits: Tensor, partner: Tensor) -> Tensor:
    return F.cross_entropy(logits.softmax(dim=1), partner, reduction="none")


def _hardest_alone(logits: Tensor, partner: Tensor) -> Tensor:
    rows = torch.arange(len(logits))
    positive, others = logits[rows, partner], logits.clone()
    others[rows, partner] = -torch.inf
    return F.softplus(others.amax(dim=1) - positive)


def _yes_or_no(logits: Tensor, partner: Tensor) -> Tensor:
    hot = F.one_hot(partner, len(logits)).float()
    return F.binary_cross_entropy_with_logits(logits.clamp(min=-1e4), hot, reduction="none").sum(dim=1)


def _with(transform: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    return lambda z: transform(z @ z.T)


def _distances(z: Tensor) -> Tensor:
    return (z[:, None] - z[None]).norm(dim=2)


_OFFSET = "the partner is at the wrong offset: view i of 2n has its partner n places on, at (i + n) modulo 2n. "
_NO_EFFECT = (
    "the temperature has no effect: the answer is that of T = 1, whatever T is. Either it is never used, or the "
    "embeddings are divided by it before they are normalised, which undoes the division. Divide the similarities."
)
_ONE_DIRECTION = (
    "one direction only: the views in {side} look for their partner, those in the other half do not. "
    "Average over all 2n views."
)
_ACROSS = (
    "half of the candidates are missing: you compare z1 with z2 alone. The other views on a view's own side are "
    "negatives too, 2n - 1 candidates in all."
)
_NOT_FINITE = (
    "your answer is not finite at any temperature tried. The target of view i is i itself, or the partner's logit is "
    "masked: both make -log 0. The partner of view i is at (i + n) modulo 2n, and only the view itself is masked."
)
_LENGTHS = "the embeddings are not normalised: their lengths must not count. "

MISTAKES = (
    Mistake(
        "your diagonal is not masked: each view is its own easiest match. "
        "Set the diagonal of the logits to -inf before the softmax.",
        {"candidates": lambda logits: logits},
    ),
    Mistake(
        "your diagonal is masked with 0, and exp(0) = 1 still counts as a candidate. Set it to -inf.",
        {"candidates": _hide(_itself, 0.0)},
    ),
    Mistake(
        "your diagonal is masked with -1, and exp(-1) still counts as a candidate. Set it to -inf.",
        {"candidates": _hide(_itself, -1.0)},
    ),
    Mistake(_NO_EFFECT, {"scale": lambda s, t: s}),
    Mistake(
        "you multiply by the temperature: divide, so that a small one makes the softmax sharper.",
        {"scale": lambda s, t: s * t},
    ),
    Mistake(
        "the temperature counts twice, as T times T: dividing both embeddings by it divides their product by its "
        "square. Divide the similarities, once.",
        {"scale": lambda s, t: s / t**2},
    ),
    Mistake(
        "the similarities are divided by the root of the temperature, not by the temperature.",
        {"scale": lambda s, t: s / t**0.5},
    ),
    *(
        Mistake(_OFFSET + told, {"partner": wrong})
        for told, wrong in (
            ("Yours is the next row.", lambda n: torch.arange(2 * n).roll(-1)),
            ("Yours is the row before.", lambda n: torch.arange(2 * n).roll(1)),
            ("Yours is n - 1 places away.", lambda n: torch.arange(2 * n).roll(n - 1)),
            ("Yours is n - 1 places away.", lambda n: torch.arange(2 * n).roll(1 - n)),
            ("Yours is right for views in the order a a b b; here they come as a b ... a b ...",
             lambda n: torch.arange(2 * n) ^ 1),
        )
    ),
    Mistake(
        "each view is its own target: the partner of view i is n places on, at (i + n) modulo 2n, and the view itself "
        "is masked with -inf.",
        {"partner": lambda n: torch.arange(2 * n), "candidates": lambda logits: logits},
    ),
    Mistake(_ONE_DIRECTION.format(side="z1"), {"average": lambda losses: losses[: len(losses) // 2].mean()}),
    Mistake(_ONE_DIRECTION.format(side="z2"), {"average": lambda losses: losses[len(losses) // 2 :].mean()}),
    Mistake(_ACROSS, {"candidates": _own_side_hidden}),
    Mistake(
        "only half of the similarities count: a triangle of the matrix is masked, so most views miss candidates. "
        "Mask the diagonal alone.",
        {"candidates": lambda logits: _hide(_later_half)(logits).where(~_partners(len(logits)), logits)},
    ),
    Mistake(
        "your logarithm is outside the mean: it is -log of the mean probability. Each view has its own -log p, and "
        "the mean of those is the loss.",
        {"average": lambda losses: -(-losses).exp().mean().log()},
    ),
    Mistake(
        "the softmax is taken twice: F.cross_entropy takes logits and makes the softmax itself.",
        {"view_loss": _softmax_twice},
    ),
    Mistake(
        "your sum leaves the partner out: it runs over all k except i, the partner among them.",
        {"view_loss": _without_the_partner},
    ),
    Mistake(
        "only the hardest negative counts: the sum runs over all 2n - 1 candidates, not over the largest alone.",
        {"view_loss": _hardest_alone},
    ),
    Mistake(
        "each pair is judged by itself, yes or no (a sigmoid). Here all candidates of a view compete in one softmax.",
        {"view_loss": _yes_or_no},
    ),
    Mistake(
        "the logarithm is missing: you average 1 - p. The loss of a view is -log p.",
        {"view_loss": lambda logits, partner: 1 - (-minus_log_p(logits, partner)).exp()},
    ),
    Mistake(
        "the logarithm and the turn from large to small are missing: you average -p. The loss of a view is -log p.",
        {"view_loss": lambda logits, partner: -(-minus_log_p(logits, partner)).exp()},
    ),
    Mistake(
        "a sum where the mean belongs: divide by the number of views, 2n.",
        {"average": lambda losses: losses.sum()},
    ),
    Mistake(
        "twice too large: the loss is the mean over 2n views. Divide by 2n, not by n.",
        {"average": lambda losses: 2 * losses.mean()},
    ),
    Mistake(
        "twice too small: average over the 2n views once, or over the two directions, but not both.",
        {"average": lambda losses: losses.mean() / 2},
    ),
    Mistake(
        "divided by 2n twice: the mean has done it already.",
        {"average": lambda losses: losses.mean() / len(losses)},
    ),
    Mistake(
        "divided by n twice: the mean has done it already.",
        {"average": lambda losses: 2 * losses.mean() / len(losses)},
    ),
    Mistake("one value for each view came back: average them into one number.", {"average": lambda losses: losses}),
    Mistake(
        "the largest of the views' losses came back: take their mean.", {"average": lambda losses: losses.max()}
    ),
    Mistake("the median of the views' losses came back: take their mean.", {"average": torch.median}),
    Mistake(
        "the sign is turned round: the loss is minus the logarithm of the partner's probability.",
        {"average": lambda losses: -losses.mean()},
    ),
    Mistake(_LENGTHS + "Make each row's length 1 with F.normalize(z, dim=1).", {"lengths": lambda z: z}),
    Mistake(
        "normalised along the wrong dimension: each row is an embedding, so dim=1.",
        {"lengths": lambda z: F.normalize(z, dim=0)},
    ),
    Mistake(
        _LENGTHS + "Yours are divided by the sum of absolute values; the length is the root of the sum of squares.",
        {"lengths": lambda z: F.normalize(z, p=1, dim=1)},
    ),
    Mistake(
        _LENGTHS + "Yours are divided by the squared length, without the root.",
        {"lengths": lambda z: z / z.square().sum(dim=1, keepdim=True)},
    ),
    Mistake(
        _LENGTHS + "Yours are all divided by one common length; each row needs its own, F.normalize(z, dim=1).",
        {"lengths": lambda z: z / z.norm()},
    ),
    Mistake("the absolute value of the similarity is compared: -1 is as far from 1 as can be.",
            {"similarity": _with(torch.abs)}),
    Mistake("the square of the similarity is compared: -1 would count as near as 1.",
            {"similarity": _with(torch.square)}),
    Mistake("the sign of the similarity is turned round: near views must get large logits.",
            {"similarity": _with(torch.neg)}),
    Mistake("1 - similarity is compared, a distance: near views must get large logits.",
            {"similarity": _with(lambda s: 1 - s)}),
    Mistake("distances are compared: near views must get large logits. Use the cosine similarity, z @ z.T.",
            {"similarity": _distances}),
    Mistake("minus the distance is compared, not the cosine similarity z @ z.T.",
            {"similarity": lambda z: -_distances(z)}),
    Mistake("minus the squared distance is compared. On the sphere it is 2 s - 2, so T has half its effect; "
            "compare the cosine similarities s = z @ z.T.",
            {"similarity": lambda z: -_distances(z).square()}),
    Mistake(_NOT_FINITE, {"partner": lambda n: torch.arange(2 * n)}),
)


# Inputs: batches of several sizes, whose embeddings differ in length (not so much that a missing division overflows).
def views(n: int, temperature: float, noise: float = 0.7) -> tuple[Tensor, Tensor, float]:
    generator = Generator().manual_seed(n)
    z1 = torch.randn(n, 5, generator=generator)
    z2 = z1 + noise * torch.randn(n, 5, generator=generator)
    lengths = 0.6 + torch.rand(2, n, 1, generator=generator)
    return F.normalize(z1, dim=1) * lengths[0], F.normalize(z2, dim=1) * lengths[1], temperature


ORDINARY = (views(3, 0.5), views(4, 0.2), views(6, 2.0))
IN_PLACE = (
    "you changed z1 or z2 in place: the caller's embeddings are altered, and autograd refuses it. "
    "Make new tensors, z = F.normalize(...) instead of z /= ..."
)


def value(attempt: Callable, z1: Tensor, z2: Tensor, temperature: float) -> Tensor | object:
    """The attempt's answer; of shape () where it is one number, and nan where it is not finite (inf and nan are one mistake)."""
    given = z1.clone(), z2.clone()
    answer = call(lambda: attempt(*given, temperature))
    if not (torch.equal(given[0], z1) and torch.equal(given[1], z2)):
        raise Fault(IN_PLACE)
    if isinstance(answer, list | tuple):  # a list of the views' losses
        answer = torch.stack([torch.as_tensor(part).squeeze() for part in answer])
    answer = torch.as_tensor(answer).detach().double()
    if answer.numel() == 1:
        answer = answer.reshape(())
    return answer if answer.isfinite().all() else torch.full_like(answer, torch.nan)


def observe(attempt: Callable) -> list[Tensor]:
    return [value(attempt, *batch) for batch in ORDINARY]


# What a right answer must also do.
def is_finite_when_cold(attempt: Callable) -> str | None:
    cold = views(4, COLD, noise=0.1)  # partners so near that exp(s / T) is more than float32 holds
    mine, expected = value(attempt, *cold), right(*cold)
    if same(mine, expected):
        return None
    if not mine.isfinite().all():
        return (
            f"right at ordinary temperatures, but at T = {COLD} your answer is not finite: there exp(1 / T) is larger "
            "than a float32 can hold. Let F.cross_entropy or torch.logsumexp take the exponentials: they subtract the "
            "largest logit first."
        )
    return (
        f"right at ordinary temperatures, but at T = {COLD} your answer is {float(mine):.4f}, expected "
        f"{float(expected):.4f}: a number added for safety, a clamp or a weak mask counts there. Leave it out, mask "
        "with -torch.inf and let F.cross_entropy take the exponentials."
    )


def is_right_in_the_corners(attempt: Callable) -> str | None:
    """All candidates far from the view, where a weak mask wins; a partner farther than the rest, where p is 0 in float32."""
    corners = torch.tensor([[1.0, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]])
    far, opposite = (corners[:2], corners[2:], COLD), (torch.ones(3, 3), -torch.ones(3, 3), COLD)
    if not same(mine := value(attempt, *far), expected := right(*far)):
        weak = any(same(mine, make(candidates=_hide(_itself, m))(*far)) for m in (-5.0, -10.0, -20.0, -30.0))
        cause = "your diagonal is masked with a number that is not small enough: at" if weak else "at"
        return (
            f"right, until at T = {COLD} all candidates are far from the view: {cause} T = {COLD} logits reach -100. "
            f"Yours is {float(mine):.4f}, expected {float(expected):.4f}. Mask with -torch.inf."
        )
    if not same(value(attempt, *opposite), right(*opposite)):
        return (
            f"right, until at T = {COLD} a partner is farther than a negative: its probability is too small for "
            "float32 and becomes 0, and log(0) is not finite. Give the logits to F.cross_entropy, F.log_softmax or "
            "torch.logsumexp; never log(softmax)."
        )
    return None


def carries_its_gradient(attempt: Callable) -> str | None:
    z1, z2, temperature = ORDINARY[0]

    def gradient(loss: Callable) -> Tensor | None:
        z = torch.cat([z1, z2]).requires_grad_()
        try:
            return torch.autograd.grad(loss(*z.clone().chunk(2), temperature).reshape(()), z)[0]
        except (RuntimeError, AttributeError):  # the loss is a number, or nothing leads back from it
            return None

    mine = gradient(attempt)
    if mine is not None and same(mine, gradient(right)):
        return None
    seen = "no gradient reaches them" if mine is None else "what reaches them is not the gradient of the whole loss"
    return (
        f"the value is right, but training needs its gradient with respect to z1 and z2, and {seen}. Keep every step "
        "in torch, without .item(), float(), .detach() or a new torch.tensor(...)."
    )


def is_a_number(attempt: Callable) -> str | None:
    answer = attempt(*ORDINARY[0])
    if isinstance(answer, Tensor) and answer.ndim:
        return f"your answer has the shape {tuple(answer.shape)}; a loss is usually a tensor of shape (), a single number."
    return None


# Wrong, and no known mistake: one property after the other.
def lengths_count(attempt: Callable) -> str | None:
    z1, z2, temperature = ORDINARY[0]
    longer = torch.cat([2 * z1[:1], z1[1:]])
    before, after = (number(attempt(z, z2.clone(), temperature)) for z in (z1.clone(), longer))
    if before is None or after is None or close(before, after):
        return None
    return (
        f"lengths count in your loss: with the first embedding twice as long it is {after:.4f} instead of "
        f"{before:.4f}. The cosine similarity looks at directions alone: make each row's length 1 first."
    )


def how_temperature_counts(attempt: Callable) -> str | None:
    z1, z2, _ = ORDINARY[0]
    temperatures = (0.25, 0.5, 2.0)
    mine = [number(attempt(z1.clone(), z2.clone(), t)) for t in temperatures]
    if any(m is None for m in mine):
        return None
    if all(close(m, mine[0]) for m in mine):
        return f"the temperature has no effect on your loss: it is {mine[0]:.4f} at T = 0.25, 0.5 and 2 alike."
    readings = {"1 / T": lambda t: 1 / t, "T squared": lambda t: t * t, "the root of T": lambda t: t**0.5, "2 T": lambda t: 2 * t, "T / 2": lambda t: t / 2}
    for name, reading in readings.items():
        if all(close(m, float(right(z1, z2, reading(t)))) for m, t in zip(mine, temperatures)):
            return f"your loss at T is the right loss at {name}, for T = 0.25, 0.5 and 2."
    in_front = [m / float(right(z1, z2, t)) for m, t in zip(mine, temperatures)]
    for name, factor in {"T": lambda t: t, "1 / T": lambda t: 1 / t, "T squared": lambda t: t * t}.items():
        if all(close(f / factor(t), in_front[0] / factor(temperatures[0])) for f, t in zip(in_front, temperatures)):
            return f"your loss is the right one with a factor in front that goes as {name}: T belongs inside the exponential only."
    return None


def how_far_off(attempt: Callable) -> str | None:
    batches = [views(n, t) for n in (2, 3, 5) for t in (0.2, 0.5, 1.0)]
    mine = [number(value(attempt, *batch)) for batch in batches]
    return None if None in mine else constant_relation(mine, [float(right(*batch)) for batch in batches], "loss")


def the_only_candidate(attempt: Callable) -> str | None:
    mine = number(attempt(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.6, 0.8]]), 0.5))
    if mine is None or close(mine, 0):
        return None
    return (
        f"with a single image a view's only candidate is its partner, so the loss is ln 1 = 0; yours is {mine:.4f} "
        "for z1 = [[1, 0]], z2 = [[0.6, 0.8]], T = 0.5."
    )


def how_many_candidates(attempt: Callable) -> str | None:
    mine = number(attempt(torch.ones(3, 2), torch.ones(3, 2), 0.5))
    if mine is None or close(mine, math.log(5)):
        return None
    seen = math.exp(min(mine, 20.0))
    as_if = f" = ln {round(seen)}, as for {round(seen)} candidates" if close(seen, round(seen), 1e-3) and seen > 0.5 else ""
    return (
        f"when all embeddings of 3 images are alike, a view has 2n - 1 = 5 equal candidates and the loss is "
        f"ln 5 = {math.log(5):.4f}; yours is {mine:.4f}{as_if}."
    )


def _with_similarities(changed: dict[tuple[int, int], float]) -> tuple[Tensor, Tensor]:
    """Views a1 a2 b1 b2 of two images, with the cosine similarities asked for; all others are 0.2."""
    gram = torch.full((4, 4), 0.2, dtype=torch.double).fill_diagonal_(1.0)
    for (i, j), s in changed.items():
        gram[i, j] = gram[j, i] = s
    return tuple(torch.linalg.cholesky(gram).float().chunk(2))


PAIRS = {
    "of the two views of image 1 (partners)": ((0, 2), "fall"),
    "of two views on the same side, both in z1": ((0, 1), "grow"),
    "of two views on the same side, both in z2": ((2, 3), "grow"),
    "of view 1 of image 1 and view 2 of image 2": ((0, 3), "grow"),
}


def which_pairs_count(attempt: Callable) -> str | None:
    base = number(attempt(*_with_similarities({}), 0.5))
    if base is None:
        return None
    for whose, (pair, expected) in PAIRS.items():
        after = number(attempt(*_with_similarities({pair: 0.4}), 0.5))
        if after is None:
            continue
        change = "stays" if close(after, base, 1e-5) else "grows" if after > base else "falls"
        if not change.startswith(expected):
            return (
                f"when the similarity {whose} rises from 0.2 to 0.4 your loss {change} ({base:.4f} to {after:.4f}); "
                f"it must {expected}."
            )
    return None


def order_of_images_counts(attempt: Callable) -> str | None:
    z1, z2, temperature = ORDINARY[1]
    order = torch.tensor([2, 0, 3, 1])
    before, after = number(attempt(z1, z2, temperature)), number(attempt(z1[order], z2[order], temperature))
    swapped = number(attempt(z2, z1, temperature))
    if before is None or after is None or swapped is None:
        return None
    if not close(before, after):
        return f"the order of the images counts in your loss: the same four images in another order give {after:.4f} instead of {before:.4f}."
    if not close(before, swapped):
        return f"z1 and z2 play different roles in your loss: exchanged, they give {swapped:.4f} instead of {before:.4f}. Every view of both looks for its partner."
    return None


def small_example(attempt: Callable) -> str | None:
    apart = torch.eye(2)
    turned = torch.tensor([[0.8, 0.6], [-0.6, 0.8]])
    why = "each of the 4 views has -log of its partner's share of exp(s / T) among 3 candidates, and the mean of the four is the loss"
    return by_hand(attempt, right, {"z1": apart, "z2": turned, "temperature": 0.5}, why)


nt_xent = Exercise(
    name=NAME,
    observe=observe,
    make=make,
    mistakes=MISTAKES,
    praise="equal to the course's nt_xent at every batch size and temperature tried, and finite at T = 0.01.",
    demands=(is_finite_when_cold, is_right_in_the_corners, carries_its_gradient),
    ladder=(
        how_far_off,
        lengths_count,
        how_temperature_counts,
        the_only_candidate,
        how_many_candidates,
        which_pairs_count,
        order_of_images_counts,
        small_example,
    ),
    notes=(is_a_number,),
)
