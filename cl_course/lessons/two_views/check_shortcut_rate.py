"""Lesson 01: the learner's `my_shortcut_rate(feature1, feature2)`: how often the nearest row is the partner."""

from collections.abc import Callable

import torch
from torch import Generator, Tensor

from cl_course.lessons.shared.exercise import Exercise, Fault, Mistake, call, kind_of
from cl_course.lessons.shared.ladder import by_hand, close, number


def euclidean(a: Tensor, b: Tensor) -> Tensor:
    return torch.cdist(a, b)


def make(
    distance: Callable = euclidean,
    choose: Callable = lambda d: d.argmin(dim=1),
    partner: Callable = lambda n: torch.arange(n),
    count: Callable = lambda hits: hits.float().mean(),
) -> Callable:
    def my_shortcut_rate(feature1: Tensor, feature2: Tensor) -> Tensor:
        return count(choose(distance(feature1, feature2)) == partner(len(feature1)))

    return my_shortcut_rate


right = make()


def cases() -> list[tuple[Tensor, Tensor]]:
    """Features (n, d) of two views, of unequal lengths; then small unrelated ones, where wrong answers are hits too."""
    generator = Generator().manual_seed(1)
    made = []
    for n, d, noise in ((7, 2, 0.5), (12, 3, 0.6), (40, 4, 0.7), (25, 24, 1.5)):
        feature1 = torch.randn(n, d, generator=generator) * (0.5 + torch.rand(n, 1, generator=generator)) + 0.5
        made.append((feature1, feature1 + noise * torch.randn(n, d, generator=generator)))
    return made + [tuple(torch.rand(2, n, 3, generator=generator)) for n in (4, 5, 6, 7, 8, 9)]


def observe(attempt: Callable) -> list[float]:
    answers = []
    for arguments in cases():
        given = [a.clone() for a in arguments]
        answer = call(lambda given=given: attempt(*given))
        if not all(torch.equal(a, b) for a, b in zip(given, arguments)):
            raise Fault("the features that you are given come back changed: write into new tensors.")
        try:
            value = torch.as_tensor(answer).detach()
        except (TypeError, ValueError, RuntimeError):
            raise Fault(f"{kind_of(answer)} came back; one number is expected, a share from 0 to 1.") from None
        if value.numel() != 1:
            raise Fault(
                f"the answer has the shape {tuple(value.shape)}; one number is expected, the share of all n images."
            )
        answers.append(float(value))
    return answers


def is_a_share(attempt: Callable) -> str | None:
    for feature1, feature2 in cases():
        mine = number(attempt(feature1, feature2))
        if mine is not None and not -1e-6 <= mine <= 1 + 1e-6:
            return f"for {len(feature1)} images your answer is {mine:.4g}; a share lies from 0 to 1."
    return None


def is_constant(attempt: Callable) -> str | None:
    answers = observe(attempt)
    if not all(close(answer, answers[0]) for answer in answers):
        return None
    why = " View 1 compared with itself gives 1: each row is nearest to itself." if close(answers[0], 1) else ""
    return (
        f"your answer is {answers[0]:.4g} on every input tried, whatever the features are.{why} Compare each row of "
        "feature1 with all rows of feature2, and take the mean of the hits."
    )


def identical_views(attempt: Callable) -> str | None:
    same = cases()[0][0]
    mine = number(attempt(same, same.clone()))
    if mine is not None and not close(mine, 1.0):
        return (
            f"for two identical views your answer is {mine:.4g}, and 1 is expected: each row's nearest is its partner, "
            "at distance 0."
        )
    return None


def follows_its_arguments(attempt: Callable) -> str | None:
    feature1, feature2 = cases()[2]
    shifted = feature2.roll(1, dims=0)
    if not close(number(attempt(feature1, feature2)), number(attempt(feature1, shifted))):
        return None
    return (
        "your answer stays the same when all rows of feature2 move down by one, so that every partner is in the wrong "
        "row. Compare the nearest row's number with the image's own."
    )


def apart_from_the_origin(attempt: Callable) -> str | None:
    feature1, feature2 = cases()[2]
    before, after = (number(attempt(feature1 + by, feature2 + by)) for by in (0, 20.0))
    if close(before, after):
        return None
    return (
        f"with 20 added to all features of both views your answer changes from {before:.4g} to {after:.4g}. Distances "
        "between rows stay as they are, so the nearest rows and the share must stay too."
    )


def follows_no_scale(attempt: Callable) -> str | None:
    feature1, feature2 = cases()[2]
    before, after = (number(attempt(feature1 * by, feature2 * by)) for by in (1, 0.01))
    if close(before, after):
        return None
    return (
        f"with all features divided by 100 your answer changes from {before:.4g} to {after:.4g}. What is nearest stays "
        "nearest, so the share must stay too."
    )


def column(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float32)[:, None]


EXAMPLES = (  # feature1, feature2, how the right answer comes about
    (column(0, 4, 10), column(1, 9, 5), "nearest to 0 is 1 (its partner), to 4 it is 5, to 10 it is 9: 1 of 3"),
    (column(0, 1, 6), column(0.6, 5, 5.5), "nearest to 0 is 0.6 (its partner), to 1 0.6, to 6 5.5 (partner): 2 of 3"),
    (column(0, 0.5, 6), column(1, 9, 5), "nearest to 0 is 1 (its partner), to 0.5 it is 1, to 6 5 (partner): 2 of 3"),
    (column(0, 3, 10), column(2.9, 2, 10), "nearest to 0 is 2, to 3 it is 2.9, to 10 it is 10 (its partner): 1 of 3"),
    (
        torch.tensor([[0.0, 0.0], [5.0, 5.0]]),
        torch.tensor([[2.0, 2.0], [0.0, 3.0]]),
        "(0, 0) is 2.83 from (2, 2), its partner, and 3 from (0, 3); (5, 5) is nearest to (2, 2): 1 of 2",
    ),
    (
        torch.tensor([[0.0, 0.0], [5.0, 5.0]]),
        torch.tensor([[0.0, 3.0], [2.5, 2.5]]),
        "(0, 0) is 3 from (0, 3), its partner, and 3.54 from (2.5, 2.5); (5, 5) is nearest to (2.5, 2.5): 2 of 2",
    ),
)


def small_examples(attempt: Callable) -> str | None:
    said = (by_hand(attempt, right, {"feature1": a, "feature2": b}, why) for a, b, why in EXAMPLES)
    return next((sentence for sentence in said if sentence), None)


def has_a_shape(attempt: Callable) -> str | None:
    answer = attempt(*cases()[0])
    if isinstance(answer, Tensor) and answer.ndim:
        return f"your answer has the shape {tuple(answer.shape)}; one number usually has the shape ()."
    return None


shortcut_rate = Exercise(
    name="my_shortcut_rate",
    observe=observe,
    make=make,
    mistakes=(
        Mistake("you take the farthest row, not the nearest: argmin.", {"choose": lambda d: d.argmax(dim=1)}),
        Mistake(
            "argmin along dimension 0 asks for each row of view 2 which row of view 1 is nearest. Here each row of "
            "view 1 "
            "looks for its partner in view 2: dimension 1.",
            {"choose": lambda d: d.argmin(dim=0)},
        ),
        Mistake(
            "this is the share of images that do not find their partner.", {"count": lambda h: 1 - h.float().mean()}
        ),
        Mistake("this is how many images find their partner; divide it by n.", {"count": lambda h: h.float().sum()}),
        Mistake("this is in percent; a share lies from 0 to 1.", {"count": lambda h: 100 * h.float().mean()}),
        Mistake(
            "you compare dot products: a long row is then near to everything. Take the distances, torch.cdist.",
            {"distance": lambda a, b: -(a @ b.T)},
        ),
        Mistake(
            "you compare directions (cosines); two rows of different length count as equal then. Take the distances, "
            "torch.cdist.",
            {"distance": lambda a, b: -torch.nn.functional.cosine_similarity(a[:, None], b[None], dim=2)},
        ),
        Mistake(
            "you add up absolute differences (p = 1); the Euclidean distance is torch.cdist(feature1, feature2).",
            {"distance": lambda a, b: torch.cdist(a, b, p=1)},
        ),
        Mistake(
            "your numbers of the partners start at 1; rows are counted from 0, as torch.arange(n) does.",
            {"partner": lambda n: torch.arange(1, n + 1)},
        ),
    ),
    praise="the share of images whose nearest row in the other view is their own partner.",
    ladder=(
        is_constant,
        is_a_share,
        identical_views,
        small_examples,
        follows_its_arguments,
        apart_from_the_origin,
        follows_no_scale,
    ),
    notes=(has_a_shape,),
)
