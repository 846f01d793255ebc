"""What is said of a wrong `my_nt_xent` that is no known mistake: one property after the other, with numbers."""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from cl_course.lessons.infonce.nt_xent_parts import make
from cl_course.lessons.shared.exercise import Fault, call, kind_of, same
from cl_course.lessons.shared.ladder import by_hand, close, constant_relation, number, temperature_relation

right = make()


# Inputs: batches of several sizes, whose embeddings differ in length (not so much that a missing division overflows).
def views(n: int, temperature: float, noise: float = 0.7) -> tuple[Tensor, Tensor, float]:
    generator = Generator().manual_seed(n)
    z1 = torch.randn(n, 5, generator=generator)
    z2 = z1 + noise * torch.randn(n, 5, generator=generator)
    lengths = 0.6 + torch.rand(2, n, 1, generator=generator)
    return F.normalize(z1, dim=1) * lengths[0], F.normalize(z2, dim=1) * lengths[1], temperature


ORDINARY = (views(3, 0.5), views(4, 0.2), views(6, 2.0))
IN_PLACE = (
    "you changed z1 or z2 in place: the caller's embeddings are altered, and backward may fail. "
    "Make new tensors, z = F.normalize(...) instead of z /= ..."
)


def value(attempt: Callable, z1: Tensor, z2: Tensor, temperature: float) -> Tensor:
    """The attempt's answer, in double precision; of shape () where it is one number."""
    given = z1.clone(), z2.clone()
    answer = call(lambda: attempt(*given, temperature))
    if not (torch.equal(given[0], z1) and torch.equal(given[1], z2)):
        raise Fault(IN_PLACE)
    if isinstance(answer, list | tuple):
        if len(answer) != 2 * len(z1):
            raise Fault(f"{kind_of(answer)} of {len(answer)} came back: return the loss alone, one number.")
        answer = torch.stack([torch.as_tensor(part).squeeze() for part in answer])  # the views' losses
    try:
        answer = torch.as_tensor(answer).detach().double()
    except (TypeError, ValueError, RuntimeError):
        raise Fault(f"{kind_of(answer)} came back, where one number, the loss, is expected.") from None
    return answer.reshape(()) if answer.numel() == 1 else answer


def answers_at_random(attempt: Callable) -> str | None:
    first, *others = (number(value(attempt, *ORDINARY[2])) for _ in range(5))
    second = next((other for other in others if other != first), first)
    if first is None or second is None or close(first, second, 1e-6):
        return None
    return f"the same embeddings give {first:.4f} once and {second:.4f} another time: a loss draws nothing at random."


def how_far_off(attempt: Callable) -> str | None:
    batches = [views(n, t) for n in (2, 3, 5) for t in (0.2, 0.5, 1.0)]
    mine = [number(value(attempt, *batch)) for batch in batches]
    if None in mine:
        return None
    expected = [float(right(*batch)) for batch in batches]
    if abs(mine[0]) > 100:
        return (
            f"for 2 images at T = 0.2 your loss is {mine[0]:.4g}, where {expected[0]:.4f} is expected. Look for a "
            "partner, or for a whole row, that is masked."
        )
    return constant_relation(mine, expected, "loss") or _function_of_it(mine, expected) or _nearly(mine, expected)


def _function_of_it(mine: list[float], expected: list[float]) -> str | None:
    functions = {"root": math.sqrt, "square": lambda x: x * x, "exponential": math.exp, "logarithm": math.log}
    for name, function in functions.items():
        if all(close(m, function(e)) for m, e in zip(mine, expected)):
            return f"on every input tried your loss is the {name} of the right one."
    return None


def _nearly(mine: list[float], expected: list[float]) -> str | None:
    pairs = list(zip(mine, expected))
    if all(close(*pair) for pair in pairs) or not all(close(*pair, 0.02) for pair in pairs):
        return None
    m, e = max(pairs, key=lambda pair: abs(pair[0] - pair[1]))
    return (
        f"on every input tried your loss is near the right one, and not equal to it: {m:.5f} instead of {e:.5f}. "
        "Half precision, rounding or a small number added somewhere can do that."
    )


def how_temperature_counts(attempt: Callable) -> str | None:
    z1, z2, _ = ORDINARY[0]
    temperatures = (0.25, 0.5, 2.0)
    mine = [number(value(attempt, z1, z2, t)) for t in temperatures]
    return None if None in mine else temperature_relation(mine, lambda t: float(right(z1, z2, t)), temperatures)


def right_somewhere(attempt: Callable) -> str | None:
    """Right for some batch sizes, or for some temperatures, and wrong for others."""
    sizes, temperatures = (1, 2, 3, 4, 6), (0.1, 0.2, 0.5, 1.0, 2.0)
    agree = {(n, t): same(value(attempt, *views(n, t)), right(*views(n, t))) for n in sizes for t in temperatures}
    by_size = {f"for {n} images": all(agree[n, t] for t in temperatures) for n in sizes[1:]}
    by_temperature = {f"at T = {t:g}": all(agree[n, t] for n in sizes[1:]) for t in temperatures}
    for verdicts in (by_size, by_temperature):
        if any(verdicts.values()) and not all(verdicts.values()):
            good, bad = ([where for where in verdicts if verdicts[where] == wanted] for wanted in (True, False))
            return (
                f"your loss is right {', '.join(good)}, and wrong {', '.join(bad)}: does your code hold a fixed number?"
            )
    return None


def the_only_candidate(attempt: Callable) -> str | None:
    mine = number(value(attempt, torch.tensor([[1.0, 0.0]]), torch.tensor([[0.6, 0.8]]), 0.5))
    if mine is None or close(mine, 0):
        return None
    return (
        f"with a single image a view's only candidate is its partner, so the loss is ln 1 = 0; yours is {mine:.4f} "
        "for z1 = [[1, 0]], z2 = [[0.6, 0.8]], T = 0.5."
    )


def how_many_candidates(attempt: Callable) -> str | None:
    mine = number(value(attempt, torch.ones(3, 2), torch.ones(3, 2), 0.5))
    if mine is None or close(mine, math.log(5)):
        return None
    count = next((k for k in (2, 3, 4, 6, 7) if close(mine, math.log(k))), None)
    return (
        f"when all embeddings of 3 images are alike, a view has 2n - 1 = 5 equal candidates and the loss is "
        f"ln 5 = {math.log(5):.4f}; yours is {mine:.4f}{f' = ln {count}, as for {count} candidates' if count else ''}."
    )


def lengths_count(attempt: Callable) -> str | None:
    z1, z2, temperature = ORDINARY[0]
    before = number(value(attempt, z1, z2, temperature))
    for factor, words in ((4, "four times as long"), (0.25, "a quarter as long")):
        after = number(value(attempt, torch.cat([factor * z1[:1], z1[1:]]), z2, temperature))
        if before is not None and after is not None and not close(before, after):
            return (
                f"lengths count in your loss: with the first embedding {words} it is {after:.4f} instead of "
                f"{before:.4f}. The cosine similarity looks at directions alone: make each row's length 1 first."
            )
    return None


def with_similarities(changed: dict[tuple[int, int], float], other: float = 0.2) -> tuple[Tensor, Tensor]:
    """Views A1 B1 A2 B2 of two images, A and B, with the cosine similarities asked for; all others are `other`."""
    gram = torch.full((4, 4), other, dtype=torch.double).fill_diagonal_(1.0)
    for (i, j), s in changed.items():
        gram[i, j] = gram[j, i] = s
    return tuple(torch.linalg.cholesky(gram).float().chunk(2))


PAIRS = {
    "of the two views of image 1 (partners)": ((0, 2), "fall"),
    "of two views on the same side, both in z1,": ((0, 1), "grow"),
    "of two views on the same side, both in z2,": ((2, 3), "grow"),
    "of view 1 of image 1 and view 2 of image 2": ((0, 3), "grow"),
}


def which_pairs_count(attempt: Callable) -> str | None:
    base = number(value(attempt, *with_similarities({}), 0.5))
    for whose, (pair, expected) in PAIRS.items():
        after = number(value(attempt, *with_similarities({pair: 0.4}), 0.5))
        if base is None or after is None:
            return None
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
    given = (z1, z2), (z1[order], z2[order]), (z2, z1)
    before, after, swapped = (number(value(attempt, *pair, temperature)) for pair in given)
    if before is None or after is None or swapped is None:
        return None
    if not close(before, after):
        return (
            f"the order of the images counts in your loss: the same four images in another order give {after:.4f} "
            f"instead of {before:.4f}."
        )
    if not close(before, swapped):
        return (
            f"z1 and z2 play different roles in your loss: exchanged, they give {swapped:.4f} instead of {before:.4f}. "
            "Every view of both looks for its partner."
        )
    return None


def what_is_compared(attempt: Callable) -> str | None:
    """Two images; one similarity for both pairs of partners, one for all other pairs: the loss is ln(1 + 2 exp(-x))."""
    for partner, rest in ((0.8, 0.4), (0.5, 0.3), (0.8, -0.2), (0.5, -0.6)):
        pairs = with_similarities({(0, 2): partner, (1, 3): partner}, rest)
        mine, logit = number(value(attempt, *pairs, 0.5)), (partner - rest) / 0.5
        if mine is None or mine <= 0 or close(mine, math.log(1 + 2 * math.exp(-logit))):
            continue
        counted = -math.log((math.exp(mine) - 1) / 2)
        return (
            f"let partners have the similarity {partner}, and all other views {rest}. At T = 0.5 the partner's logit "
            f"is then {logit:.2f} above the others'. Your loss is {mine:.4f}, which belongs to a difference of "
            f"{counted:.2f}."
        )
    return None


def small_example(attempt: Callable) -> str | None:
    z1, z2 = torch.eye(2), torch.tensor([[0.8, 0.6], [0.0, 1.0]])
    own = ", ".join(f"{float(loss):.4f}" for loss in make(average=lambda losses: losses)(z1, z2, 0.5))
    why = f"the four views' own losses are {own}, and their mean is the loss"
    return by_hand(attempt, right, {"z1": z1, "z2": z2, "temperature": 0.5}, why)


LADDER = (
    answers_at_random,
    how_far_off,
    how_temperature_counts,
    right_somewhere,
    the_only_candidate,
    how_many_candidates,
    lengths_count,
    which_pairs_count,
    order_of_images_counts,
    what_is_compared,
    small_example,
)
