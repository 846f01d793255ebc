"""Lesson 11: the learner's `my_dino_step(student, teacher, center, ...)`: the loss, and the centre that comes next."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from cl_course.lessons.shared.answers import answer_of
from cl_course.lessons.shared.exercise import Exercise, Fault, Mistake, call, kind_of, same
from cl_course.lessons.shared.ladder import written

NAME = "my_dino_step"


# The right way, in parts that can each be done in a wrong way.
def centred(student: Tensor, teacher: Tensor, center: Tensor) -> tuple[Tensor, Tensor]:
    return student, teacher - center


def sharpened(student: Tensor, teacher: Tensor, warm: float, cold: float) -> tuple[Tensor, Tensor]:
    return student / warm, teacher / cold


def targets_of(teacher: Tensor) -> Tensor:
    return teacher.softmax(dim=1).detach()


def cross_entropy(student: Tensor, targets: Tensor) -> Tensor:
    return -(targets * student.log_softmax(dim=1)).sum(dim=1)


def drift(center: Tensor, now: Tensor, momentum: float) -> Tensor:
    return momentum * center + (1 - momentum) * now


def make(
    lower: Callable = centred,
    scale: Callable = sharpened,
    target: Callable = targets_of,
    compare: Callable = cross_entropy,
    average: Callable = torch.mean,
    seen: Callable = lambda student, teacher, center: teacher.mean(dim=0),
    move: Callable = drift,
    late: bool = True,
    order: tuple[int, int] = (0, 1),
) -> Callable[..., tuple[Tensor, Tensor]]:
    def attempt(
        student: Tensor, teacher: Tensor, center: Tensor, student_temperature: float, teacher_temperature: float,
        momentum: float,
    ) -> tuple[Tensor, Tensor]:  # fmt: skip
        new = move(center, seen(student, teacher, center).detach(), momentum)
        low = lower(student, teacher, center if late else new)
        warm, cold = scale(*low, student_temperature, teacher_temperature)
        both = average(compare(warm, target(cold))), new
        return tuple(both[place] for place in order)

    return attempt


right = make()


def _exchanged(student: Tensor, targets: Tensor) -> Tensor:
    return -(student.softmax(dim=1) * (targets + 1e-12).log()).sum(dim=1)


_SIDES = "the teacher alone is centred, and the teacher has the low temperature: its targets are to be sharp. "
_CENTER = "the new centre is momentum * center + (1 - momentum) * the mean of the teacher's scores over the batch. "

MISTAKES = (
    Mistake(
        _SIDES + "Yours has the two temperatures exchanged, so that the student is sharper than its targets.",
        {"scale": lambda s, t, warm, cold: (s / cold, t / warm)},
    ),
    Mistake(_SIDES + "Yours has the low one on both sides.", {"scale": lambda s, t, warm, cold: (s / cold, t / cold)}),
    Mistake(
        _SIDES + "Yours has the student's on both sides: the targets are not sharpened.",
        {"scale": lambda s, t, warm, cold: (s / warm, t / warm)},
    ),
    Mistake(
        "the scores are multiplied by the temperatures: divide by them.",
        {"scale": lambda s, t, warm, cold: (s * warm, t * cold)},
    ),
    Mistake(_SIDES + "Yours lowers the student's scores in their place.", {"lower": lambda s, t, c: (s - c, t)}),
    Mistake(_SIDES + "Yours lowers both.", {"lower": lambda s, t, c: (s - c, t - c)}),
    Mistake("the centre is added to the teacher's scores: take it away.", {"lower": lambda s, t, c: (s, t + c)}),
    Mistake("the centre is not used in the loss: lower the teacher's scores by it.", {"lower": lambda s, t, c: (s, t)}),
    Mistake(
        "the batch's own mean is taken away, in the place of the centre: the centre remembers many batches.",
        {"lower": lambda s, t, c: (s, t - t.mean(dim=0))},
    ),
    Mistake(
        "the centre is moved before the loss uses it: the targets have the centre of the batches before.",
        {"late": False},
    ),
    Mistake(
        "gradients reach the teacher: its distribution is the target, .detach() it.",
        {"target": lambda t: t.softmax(dim=1)},
    ),
    Mistake(
        "the softmax runs down the columns: each row is an image, whose scores are shared out, dim=1.",
        {"target": lambda t: t.softmax(dim=0).detach()},
    ),
    Mistake(
        "the targets are one-hot, the teacher's best score alone: they are its softmax.",
        {"target": lambda t: F.one_hot(t.argmax(dim=1), t.shape[1]).to(t.dtype)},
    ),
    Mistake("the targets are the scores themselves: take their softmax.", {"target": lambda t: t.detach()}),
    Mistake(
        "the logarithm is on the wrong side: the targets weigh the logarithm of the student's distribution.",
        {"compare": _exchanged},
    ),
    Mistake(
        "this is the KL divergence, the cross-entropy less the entropy of the targets. Its gradient is the same; here "
        "the loss is the cross-entropy.",
        {"compare": lambda s, p: F.kl_div(s.log_softmax(1), p, reduction="none").sum(dim=1)},
    ),
    Mistake(
        "the logarithm is missing: it is - sum of targets * log of the student's distribution.",
        {"compare": lambda s, p: -(p * s.softmax(dim=1)).sum(dim=1)},
    ),
    Mistake(
        "the sum over the prototypes is a mean: the targets are shares already.",
        {"compare": lambda s, p: cross_entropy(s, p) / s.shape[1]},
    ),
    Mistake("the sign is wrong: the cross-entropy is minus the sum.", {"compare": lambda s, p: -cross_entropy(s, p)}),
    Mistake("the losses of the images are added: take their mean.", {"average": torch.sum}),
    Mistake("one value for each image came back: take their mean.", {"average": lambda losses: losses}),
    Mistake(
        _CENTER + "Yours has momentum on the wrong part, and so follows each batch.",
        {"move": lambda c, now, m: m * now + (1 - m) * c},
    ),
    Mistake(_CENTER + "Yours is the mean of this batch.", {"move": lambda c, now, m: now}),
    Mistake(_CENTER + "Yours does not move.", {"move": lambda c, now, m: c}),
    Mistake(_CENTER + "Yours is a sum that grows with every step.", {"move": lambda c, now, m: c + (1 - m) * now}),
    Mistake(_CENTER + "Yours follows the student.", {"seen": lambda s, t, c: s.mean(dim=0)}),
    Mistake(
        _CENTER + "Yours takes the mean of scores that are centred already.",
        {"seen": lambda s, t, c: (t - c).mean(dim=0)},
    ),
    Mistake(_CENTER + "Yours is one mean for all prototypes: dim=0.", {"seen": lambda s, t, c: t.mean()}),
    Mistake(_CENTER + "Yours adds the batch up.", {"seen": lambda s, t, c: t.sum(dim=0)}),
    Mistake(
        _CENTER + "Yours takes the teacher's distributions: the centre is made of scores.",
        {"seen": lambda s, t, c: t.softmax(dim=1).mean(dim=0)},
    ),
    Mistake("the two answers are exchanged: first the loss, then the centre.", {"order": (1, 0)}),
)


def batch(n: int, k: int, *settings: float) -> tuple:
    """Scores of n images on k prototypes by both networks, a centre, two temperatures and a momentum."""
    generator = Generator().manual_seed(10 * n + k)
    scores = torch.randn(2, n, k, generator=generator) + torch.linspace(-0.5, 0.7, k)
    return *scores, torch.randn(k, generator=generator) / 2, *settings


BATCHES = (batch(4, 3, 0.5, 0.3, 0.9), batch(5, 4, 0.8, 0.4, 0.6), batch(3, 6, 1.0, 0.7, 0.75))


def both(attempt: Callable, *given: object) -> list[Tensor]:
    copies = [part.clone() if isinstance(part, Tensor) else part for part in given]
    answer = call(lambda: attempt(*copies))
    if any(not torch.equal(a, b) for a, b in zip(copies, given) if isinstance(a, Tensor)):
        raise Fault("you changed an argument in place: make a new tensor, center = m * center + ..., not center *= m.")
    if not isinstance(answer, tuple | list) or len(answer) != 2:
        found = f"{len(answer)} things" if isinstance(answer, tuple | list) else kind_of(answer)
        raise Fault(f"{found} came back: return two, the loss and the new centre.")
    if isinstance(answer[0], tuple | list):
        raise Fault(f"the loss came back in {kind_of(answer[0])}: return the loss itself, without a comma behind it.")
    return [answer_of(lambda part=part: part) for part in answer]


def reached(attempt: Callable, student: Tensor, teacher: Tensor, *rest: object) -> list[Tensor]:
    """Gradients of the loss with respect to both scores; zeros where none arrives."""
    given = [part.clone().requires_grad_() for part in (student, teacher)]
    answers = attempt(*(part * 1 for part in given), *rest)
    leads = [part for part in answers if isinstance(part, Tensor) and part.requires_grad and part.numel() == 1]
    if not leads:
        return [torch.zeros_like(part) for part in given]
    found = torch.autograd.grad(leads[0].sum(), given, allow_unused=True)
    return [torch.zeros_like(part) if g is None else g for g, part in zip(found, given)]


def observe(attempt: Callable) -> list:
    seen = [both(attempt, *given) for given in BATCHES]
    teachers = [bool(reached(attempt, *given)[1].any()) for given in BATCHES]
    return [seen, torch.tensor(teachers).double()]


def student_learns(attempt: Callable) -> str | None:
    if same(reached(attempt, *BATCHES[0])[0], reached(right, *BATCHES[0])[0]):
        return None
    return (
        "both answers are right, but the loss does not carry its gradient to the student: keep every step in torch, "
        "without .item() or float(), and .detach() the teacher alone."
    )


def centre_is_a_constant(attempt: Callable) -> str | None:
    student, teacher, center, *rest = BATCHES[0]
    new = attempt(student, teacher.clone().requires_grad_(), center, *rest)[1]
    if not getattr(new, "requires_grad", False):
        return None
    return "right, but the new centre drags the teacher's graph along, step after step: .detach() the mean."


# Wrong, and no known mistake.
def which_answer(attempt: Callable) -> str | None:
    """The centre by itself, then the loss in cases that can be followed by hand."""
    flat, scores = torch.zeros(1, 2), torch.tensor([[1.0, 0.0]])
    for student, teacher, center, why in (
        (flat, scores, flat[0], "a student that knows nothing pays ln 2"),
        (scores, scores, flat[0], "no centre yet"),
        (scores, scores, scores[0], "the centre takes away what all share, and the targets are uniform"),
        BATCHES[1][:3] + ("",),
    ):
        given = student, teacher, center, 1.0, 0.5, 0.9
        mine, expected = both(attempt, *given), [part.double() for part in right(*given)]
        shown = f"student = {written(student)}, teacher = {written(teacher)}, center = {written(center)}, temperatures "
        for name, found, wanted in zip(("loss", "new centre"), mine, expected):
            if not same(found, wanted):
                end = f": {why}" if why and name == "loss" else ""
                return (
                    f"the {name} is not right: for {shown}1 and 0.5, momentum 0.9 it is {written(found)}, "
                    f"expected {written(wanted)}{end}."
                )
    return None


dino_step = Exercise(
    name=NAME,
    observe=observe,
    make=make,
    mistakes=MISTAKES,
    praise="centred and sharpened targets, and a centre that follows the teacher.",
    demands=(student_learns, centre_is_a_constant),
    ladder=(which_answer,),
)
