"""Lesson 06: the learner's `my_standardised(train_h, val_h, test_h)`: every feature with mean 0 and deviation 1.

Mean and deviation come from the training images alone. The divisor of the deviation, n or n - 1, is free.
"""

from collections.abc import Callable

import torch
from torch import Generator, Tensor

from cl_course.lessons.shared.exercise import Exercise, Fault, Mistake, call, kind_of, same
from cl_course.lessons.shared.ladder import written

NAME = "my_standardised"
Sets = tuple[Tensor, Tensor, Tensor]


# The right way, in parts that can each be done in a wrong way.
def training(sets: Sets) -> Sets:
    """The set that tells mean and deviation, for each of the three."""
    return (sets[0],) * 3


def down(h: Tensor) -> Tensor:
    return h.mean(dim=0)


def deviation(h: Tensor) -> Tensor:
    return h.std(dim=0)


def scaled(h: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    return (h - mean) / torch.where(std > 1e-6, std, 1.0)


def all_three(sets: Sets) -> Sets:
    return sets


def make(
    source: Callable = training,
    mean: Callable = down,
    spread: Callable = deviation,
    scale: Callable = scaled,
    answer: Callable = all_three,
) -> Callable[[Tensor, Tensor, Tensor], Sets]:
    def attempt(train_h: Tensor, val_h: Tensor, test_h: Tensor) -> Sets:
        sets = train_h, val_h, test_h
        return answer(tuple(scale(h, mean(from_), spread(from_)) for h, from_ in zip(sets, source(sets))))

    return attempt


right = make()


_ALONE = "Take mean and deviation from train_h alone, and use them for all three."

MISTAKES = (
    Mistake(
        "each set has its own mean and deviation: then one and the same card gets other features in another set, and a "
        f"single new card none at all. {_ALONE}",
        {"source": lambda sets: sets},
    ),
    Mistake(
        f"mean and deviation come from all three sets together: the test cards have a say in what is trained. {_ALONE}",
        {"source": lambda sets: (torch.cat(sets),) * 3},
    ),
    Mistake(
        f"mean and deviation come from training and validation together. {_ALONE}",
        {"source": lambda sets: (torch.cat(sets[:2]),) * 3},
    ),
    Mistake(f"mean and deviation come from the validation cards. {_ALONE}", {"source": lambda sets: (sets[1],) * 3}),
    Mistake(f"mean and deviation come from the test cards. {_ALONE}", {"source": lambda sets: (sets[2],) * 3}),
    Mistake(
        f"the test cards have their own mean and deviation. {_ALONE}",
        {"source": lambda sets: (sets[0], sets[0], sets[2])},
    ),
    Mistake(
        f"the validation cards have their own mean and deviation. {_ALONE}",
        {"source": lambda sets: (sets[0], sets[1], sets[0])},
    ),
    Mistake(
        "one mean and one deviation for the whole table: each feature, a column, has its own, h.mean(dim=0).",
        {"mean": lambda h: h.mean(), "spread": lambda h: h.std()},
    ),
    Mistake(
        "one mean for the whole table: each feature, a column, has its own, h.mean(dim=0).",
        {"mean": lambda h: h.mean()},
    ),
    Mistake(
        "one deviation for the whole table: each feature, a column, has its own, h.std(dim=0).",
        {"spread": lambda h: h.std()},
    ),
    Mistake(
        "each card is standardised by itself, along its row: a feature is a column, so take mean and deviation down "
        "the cards, dim=0.",
        {"scale": lambda h, mean, std: (h - h.mean(dim=1, keepdim=True)) / h.std(dim=1, keepdim=True)},
    ),
    Mistake(
        "the mean is taken along each row, one number a card: a feature is a column, so take mean and deviation down "
        "the cards, dim=0.",
        {"mean": lambda h: h.mean(dim=1)},
    ),
    Mistake("the mean is not subtracted: (h - mean) / deviation.", {"scale": lambda h, mean, std: h / std}),
    Mistake("you do not divide by the deviation: (h - mean) / deviation.", {"scale": lambda h, mean, std: h - mean}),
    Mistake("you divide by the variance: take its root, or h.std(dim=0).", {"spread": lambda h: h.var(dim=0)}),
    Mistake("you multiply by the deviation: divide by it.", {"scale": lambda h, mean, std: (h - mean) * std}),
    Mistake("the mean is added: subtract it.", {"scale": lambda h, mean, std: (h + mean) / std}),
    Mistake(
        "the mean is subtracted after the division: (h - mean) / deviation needs its brackets.",
        {"scale": lambda h, mean, std: h / std - mean},
    ),
    Mistake("the sign is turned round: h - mean, and not mean - h.", {"scale": lambda h, mean, std: (mean - h) / std}),
    Mistake(
        "the features are scaled to lie between 0 and 1 in training: standardised means mean 0 and deviation 1.",
        {"mean": lambda h: h.amin(dim=0), "spread": lambda h: h.amax(dim=0) - h.amin(dim=0)},
    ),
    Mistake("the median is subtracted: take the mean.", {"mean": lambda h: h.median(dim=0).values}),
    Mistake(
        "each feature is divided by its length over the cards, the root of the sum of squares: use the deviation.",
        {"spread": lambda h: (h - h.mean(dim=0)).norm(dim=0)},
    ),
    Mistake(
        "each card's features are made length 1, as for kNN: standardise each *feature*, (h - mean) / deviation.",
        {"scale": lambda h, mean, std: h / h.norm(dim=1, keepdim=True)},
    ),
    Mistake("the training cards are left as they were: all three sets are scaled.", {"answer": lambda sets: sets[1:]}),
    Mistake("only the training cards came back: return all three sets.", {"answer": lambda sets: sets[0]}),
    Mistake(
        "the three sets come back in one tensor: return them one by one, in the order of the arguments.",
        {"answer": lambda sets: torch.cat(sets)},
    ),
    Mistake(
        "validation and test are exchanged: return the sets in the order of the arguments.",
        {"answer": lambda sets: (sets[0], sets[2], sets[1])},
    ),
)


def _features(seed: int, sizes: tuple[int, int, int], d: int) -> Sets:
    """Three sets whose means and deviations differ, and features on scales from 0.2 to 5."""
    generator = Generator().manual_seed(seed)
    scale = torch.logspace(-0.7, 0.7, d)
    return tuple(
        (torch.randn(n, d, generator=generator) * (1 + 0.3 * place) + 1 + 0.5 * place) * scale
        for place, n in enumerate(sizes)
    )


ORDINARY = (_features(0, (12, 7, 9), 3), _features(1, (20, 5, 5), 6), _features(2, (6, 8, 11), 4))


def three_sets(attempt: Callable, sets: Sets) -> object:
    """The attempt's three tables; with the divisor n in the deviation they are turned into those with n - 1."""
    given = [h.clone() for h in sets]
    answer = call(lambda: attempt(*given))
    if not all(torch.equal(a, b) for a, b in zip(given, sets)):
        raise Fault("you changed a set in place, and the caller's tensor is altered: make new tensors.")
    if isinstance(answer, dict):
        answer = list(answer.values())
    if isinstance(answer, Tensor) and answer.ndim < 3:
        return answer.detach()
    try:
        tables = [torch.as_tensor(part).detach() for part in answer]
    except (TypeError, ValueError, RuntimeError):
        raise Fault(f"{kind_of(answer)} came back: return three tensors, for train, val and test.") from None
    n = len(sets[0])
    other_divisor = [h * (1 - 1 / n) ** 0.5 for h in tables] if n > 1 else tables
    return other_divisor if same(other_divisor, list(right(*sets))) else tables


def observe(attempt: Callable) -> list:
    return [three_sets(attempt, sets) for sets in ORDINARY]


def stands_a_dead_feature(attempt: Callable) -> str | None:
    """A feature that is 0 on all training cards, as after a ReLU, and a constant that rounding makes almost so."""
    train, val, test = ORDINARY[0]
    for constant in (0.0, 0.1):
        dead = train.clone()
        dead[:, 1] = constant
        answer = three_sets(attempt, (dead, val, test))
        if not all(part.isfinite().all() for part in answer):
            return (
                f"right, until a feature is {constant:g} on all training cards, as happens behind a ReLU: its "
                "deviation is 0, and dividing by it gives inf or nan. Put 1 where the deviation is 0, "
                "torch.where(std > 1e-6, std, 1.0)."
            )
        if any(part.shape != h.shape for part, h in zip(answer, (dead, val, test))):
            return (
                f"right, until a feature is {constant:g} on all training cards: then you leave it out. Keep it, so "
                "that each set keeps its shape, and put 1 where the deviation is 0."
            )
    return None


def one_card(attempt: Callable) -> str | None:
    """One card more or less in validation or test changes nothing for the others."""
    train, val, test = ORDINARY[0]
    few = three_sets(attempt, (train, val[:1], test[:1]))
    if same(few, [part[: len(h)] for part, h in zip(right(train, val, test), (train, val[:1], test[:1]))]):
        return None
    return (
        "right, until there is one card in val_h and one in test_h: they are scaled by training's mean and deviation."
    )


# Wrong, and no known mistake: two features of four cards.
TRAIN, VAL, TEST = (
    torch.tensor([[0.0, 10.0], [2.0, 30.0], [4.0, 50.0]]),
    torch.tensor([[6.0, 30.0]]),
    torch.tensor([[2.0, 0.0]]),
)
_GIVEN = "for train_h = [[0, 10], [2, 30], [4, 50]] (means 2 and 30, deviations 2 and 20)"


def three_come_back(attempt: Callable) -> str | None:
    for sets in ORDINARY:
        answer = three_sets(attempt, sets)
        if not isinstance(answer, list):
            return f"one tensor of shape {tuple(answer.shape)} came back: return three, for train, val and test."
        if len(answer) != 3:
            return f"{len(answer)} values came back: return three tensors, for train, val and test."
        for name, part, h in zip(("train_h", "val_h", "test_h"), answer, sets):
            if part.shape != h.shape:
                return f"{name} has the shape {tuple(h.shape)}, and what you return for it {tuple(part.shape)}."
            if not part.isfinite().all():
                return f"what you return for {name} contains {float(part[~part.isfinite()][0])}."
    return None


def is_repeatable(attempt: Callable) -> str | None:
    if same(*(three_sets(attempt, ORDINARY[0]) for _ in range(2))):
        return None
    return "called twice with the same arguments, your function gives two answers: nothing here is random."


def training_by_hand(attempt: Callable) -> str | None:
    mine, expected = three_sets(attempt, (TRAIN, VAL, TEST))[0], right(TRAIN, VAL, TEST)[0]
    if same(mine, expected):
        return None
    return f"{_GIVEN} the training cards become {written(_round(mine))}, expected {written(_round(expected))}."


def others_by_hand(attempt: Callable) -> str | None:
    answer, expected = three_sets(attempt, (TRAIN, VAL, TEST)), right(TRAIN, VAL, TEST)
    for name, given, mine, e in zip(("val_h", "test_h"), (VAL, TEST), answer[1:], expected[1:]):
        if not same(mine, e):
            return (
                f"{_GIVEN} the one card of {name} = {written(_round(given))} becomes {written(_round(mine))}, expected "
                f"{written(_round(e))}: training's mean is subtracted, and training's deviation divides."
            )
    return None


def what_test_changes(attempt: Callable) -> str | None:
    """Other test cards must change neither training nor validation."""
    train, val, test = ORDINARY[0]
    before, after = three_sets(attempt, (train, val, test)), three_sets(attempt, (train, val, test + 3))
    for name, a, b in zip(("training", "validation"), before, after):
        if not same(a, b):
            return (
                f"with 3 added to all test features, what you return for the {name} cards changes by up to "
                f"{float((a - b).abs().max()):.3f}: the test cards may tell nothing before the end."
            )
    before, after = three_sets(attempt, (train, val, test)), three_sets(attempt, (train, val + 3, test))
    for name, a, b in zip(("training", "test"), before[::2], after[::2]):
        if not same(a, b):
            return (
                f"with 3 added to all validation features, what you return for the {name} cards changes by up to "
                f"{float((a - b).abs().max()):.3f}: only the training cards tell mean and deviation."
            )
    return None


def _round(h: Tensor) -> list:
    return [[round(float(value), 3) for value in row] for row in h]


def stays_small(attempt: Callable) -> str | None:
    train, val, test = (h.clone() for h in ORDINARY[0])
    train[:, 1] = 0.0
    largest = max(float(part.abs().max()) for part in three_sets(attempt, (train, val, test)))
    if largest < 1e4:
        return None
    return (
        f"where a feature is 0 on all training cards, and not on others, your values reach {largest:.0e} there. Put "
        "1 in place of such a deviation."
    )


standardised = Exercise(
    name=NAME,
    observe=observe,
    make=make,
    mistakes=MISTAKES,
    praise="all three sets by the training cards' mean and deviation, also where a feature is constant.",
    demands=(stands_a_dead_feature, one_card),
    ladder=(three_come_back, is_repeatable, what_test_changes, training_by_hand, others_by_hand),
    notes=(stays_small,),
)
