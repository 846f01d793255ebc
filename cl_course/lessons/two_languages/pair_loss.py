"""What the checks of the two losses between images and texts share: their inputs, probes and demands."""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from cl_course.lessons.shared.answers import answer_of
from cl_course.lessons.shared.exercise import Fault, same
from cl_course.lessons.shared.ladder import by_hand, close, constant_relation, number, temperature_relation, written

Loss = Callable[..., Tensor]
Probe = Callable[[Callable], str | None]


# The parts that both losses have, done right.
def unit_rows(z_image: Tensor, z_text: Tensor) -> tuple[Tensor, Tensor]:
    return F.normalize(z_image, dim=1), F.normalize(z_text, dim=1)


def across(z_image: Tensor, z_text: Tensor) -> Tensor:
    return z_image @ z_text.T


def divide(similarity: Tensor, temperature: float) -> Tensor:
    return similarity / temperature


# Inputs: batches of several sizes, whose embeddings differ in length.
def pairs(n: int, *settings: float, noise: float = 0.7) -> tuple:
    """z_image and z_text of n pairs, (n, 4), and the settings behind them."""
    generator = Generator().manual_seed(n)
    z_image = torch.randn(n, 4, generator=generator)
    z_text = z_image + noise * torch.randn(n, 4, generator=generator)
    lengths = 0.6 + torch.rand(2, n, 1, generator=generator)
    return F.normalize(z_image, dim=1) * lengths[0], F.normalize(z_text, dim=1) * lengths[1], *settings


def exchanged(n: int, *settings: float) -> tuple:
    """The same with the sides exchanged, so that neither side is the easier one in all batches."""
    z_image, z_text, *rest = pairs(n, *settings)
    return z_text, z_image, *rest


def finite(attempt: Callable, batches: Sequence[tuple], why: str) -> list[Tensor]:
    """The attempt's answers; a `Fault` that ends with `why` where one is not finite, whatever the cause."""
    answers = [answer_of(attempt, *batch) for batch in batches]
    for answer, batch in zip(answers, batches):
        strange = answer[~answer.isfinite()]
        if len(strange):
            raise Fault(f"for {len(batch[0])} pairs at T = {batch[2]} your loss is {float(strange[0])}. {why}")
    return answers


# What a right answer must also do.
def right_when_cold(right: Loss, *more: float) -> Probe:
    """At T = 0.01, for pairs that are near and for pairs farther apart than all others."""
    far = torch.eye(3)
    cold = {"are near": pairs(4, 0.01, *more, noise=0.1), "are farther apart than others": (far, -far, 0.01, *more)}

    def demand(attempt: Callable) -> str | None:
        for which, batch in cold.items():
            mine, expected = answer_of(attempt, *batch), right(*batch).double()
            if not same(mine, expected):
                return (
                    f"right at ordinary temperatures, but at T = 0.01, where the pairs {which}, your answer is "
                    f"{written(float(mine)) if mine.numel() == 1 else 'no single number'}, expected "
                    f"{float(expected):.4f}. Let F.cross_entropy or F.logsigmoid take the exponentials: exp(1 / T) is "
                    "larger than a float32 can hold, and log(0) is not finite."
                )
        return None

    return demand


def carries_its_gradient(right: Loss, batch: tuple, learned: Sequence[str]) -> Probe:
    """Gradients with respect to both embeddings and to the `learned` settings behind them."""

    def gradients(loss: Loss) -> list[Tensor] | None:
        given = [torch.as_tensor(part).clone().requires_grad_() for part in batch]
        try:
            answer = loss(*(part * 1 for part in given))
            if isinstance(answer, tuple | list) and len(answer) == 1:  # a comma too many; the note says so
                answer = answer[0]
            return list(torch.autograd.grad(answer.reshape(()), given))
        except (RuntimeError, AttributeError, TypeError):  # the loss is a number, or nothing leads back from it
            return None

    def demand(attempt: Callable) -> str | None:
        mine = gradients(attempt)
        if mine is not None and same(mine, gradients(right)):
            return None
        seen = "no gradient reaches all of them" if mine is None else "what reaches them is another gradient"
        return (
            f"the value is right, but training needs its gradient with respect to z_image, z_text and the learned "
            f"{' and '.join(learned)}, and {seen}. Keep every step in torch, without .item(), float(), .detach() or a "
            "new torch.tensor(...)."
        )

    return demand


# Wrong, and no known mistake: one property after the other.
def is_one_number(batch: tuple) -> Probe:
    def probe(attempt: Callable) -> str | None:
        mine = answer_of(attempt, *batch)
        if mine.ndim == 0:
            return None
        return f"for {len(batch[0])} pairs your answer has the shape {tuple(mine.shape)}; a loss is one number."

    return probe


def how_far_off(right: Loss, *more: float) -> Probe:
    def probe(attempt: Callable) -> str | None:
        batches = [pairs(n, t, *more) for n in (2, 3, 5) for t in (0.2, 0.5, 1.0)]
        mine = [number(answer_of(attempt, *batch)) for batch in batches]
        return None if None in mine else constant_relation(mine, [float(right(*batch)) for batch in batches], "loss")

    return probe


def how_temperature_counts(right: Loss, *more: float) -> Probe:
    def probe(attempt: Callable) -> str | None:
        z, temperatures = pairs(4), (0.25, 0.5, 2.0)
        mine = [number(answer_of(attempt, *z, t, *more)) for t in temperatures]
        return None if None in mine else temperature_relation(mine, lambda t: float(right(*z, t, *more)), temperatures)

    return probe


def lengths_count(*settings: float) -> Probe:
    def probe(attempt: Callable) -> str | None:
        z_image, z_text, *rest = pairs(3, *settings)
        before = number(answer_of(attempt, z_image, z_text, *rest))
        for whose, longer in (("image", (z_image * 4, z_text)), ("text", (z_image, z_text * 4))):
            after = number(answer_of(attempt, *longer, *rest))
            if before is not None and after is not None and not close(before, after):
                return (
                    f"lengths count in your loss: with all {whose} embeddings four times as long it is {after:.4f} "
                    f"instead of {before:.4f}. The cosine similarity looks at directions alone."
                )
        return None

    return probe


def sides_count(*settings: float) -> Probe:
    def probe(attempt: Callable) -> str | None:
        z_image, z_text, *rest = pairs(4, *settings)
        mine, exchanged = (number(answer_of(attempt, *z, *rest)) for z in ((z_image, z_text), (z_text, z_image)))
        if mine is None or exchanged is None or close(mine, exchanged):
            return None
        return (
            f"your loss depends on which side is called the image: {mine:.4f}, and {exchanged:.4f} with z_image and "
            "z_text exchanged. Both directions must count alike."
        )

    return probe


def small_examples(right: Loss, *settings: float) -> Probe:
    """By hand: one pair alone, then two whose texts are a little, and then much, confused."""
    examples = (
        ([[1.0, 0.0]], [[0.6, 0.8]]),
        ([[1.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [0.6, 0.8]]),
        ([[1.0, 0.0], [0.0, 1.0]], [[-0.6, 0.8], [1.0, 0.0]]),
    )
    names = ("z_image", "z_text", "temperature", "bias")

    def probe(attempt: Callable) -> str | None:
        for z_image, z_text in examples:
            given = dict(zip(names, (torch.tensor(z_image), torch.tensor(z_text), *settings)))
            cosines = written(across(*unit_rows(given["z_image"], given["z_text"])))
            if said := by_hand(attempt, right, given, f"the cosine similarities, a row for each image, are {cosines}"):
                return said
        return None

    return probe
