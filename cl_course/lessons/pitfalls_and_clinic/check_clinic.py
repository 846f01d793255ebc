"""Lesson 07's clinic: name the fault by the health panel, then mend the line. Every fault has been reported from real code."""

from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from cl_course.lessons.shared.old_exercise import (
    NOT_ATTEMPTED,
    Mistake,
    NotAttempted,
    call,
    compare,
    failed,
    passed,
    stopped,
)
from cl_course.losses import byol_loss
from cl_course.methods import MoCo
from cl_course.momentum import ema_update

# What a patient may have. Two are nobody's here.
FAULTS = {
    "rate": "the learning rate is that of another optimiser",
    "views": "view2 is the same picture as view1",
    "diagonal": "each view's similarity with itself is left among the candidates",
    "partners": "the partner is looked for in the wrong row",
    "drift": "the key encoder is never updated",
    "own view": "each prediction is held against the target of its own view",
    "queue": "the queue is longer than the data set",
    "norm": "all embeddings are divided by one common length, not each by its own",
}
PATIENTS = {"A": "partners", "B": "views", "C": "norm", "D": "drift", "E": "own view", "F": "rate"}
REPORTS = {
    "partners": "open-mmlab/mmselfsup#159",
    "views": "catalyst-team/catalyst#1278",
    "norm": "tensorflow/similarity#237",
    "drift": "ligerfotis/mvitac#2",
    "own view": "The-AI-Summer/byol-cifar10#1",
    "rate": "lucidrains/byol-pytorch#44",
}
CLUES = {
    "partners": "the loss never leaves chance, and partners are no more alike than strangers: what is the network rewarded for finding?",
    "views": "the loss is lower than a healthy run's, yet on two honest views partners are not found: when is the task easier than it should be?",
    "norm": "the loss hardly leaves chance, and yet partners have become more alike than strangers: the gradient points the right way, only the loss cannot fall. What makes all logits small?",
    "drift": "compare with the healthy MoCo: what is a query to find there, if the keys never get any better?",
    "own view": "the loss is all but 0 and nothing has collapsed: what can be predicted so well without seeing through any disguise?",
    "rate": "the heaps lie on each other near 1 and the rank has fallen to a few directions: all cards are nearly one point. Which of the faults is so violent?",
}


def diagnosis(attempt: Callable[[], Mapping[str, int]]) -> None:
    """Check which fault, by its number in the list, each patient is said to have; say what speaks against a wrong one."""
    exercise, numbers = "my_diagnosis", dict(enumerate(FAULTS, start=1))
    try:
        answer = call(attempt)
    except NotAttempted:
        return failed(exercise, NOT_ATTEMPTED)
    except Exception as error:  # the learner's code may raise anything; the check must go on
        return failed(exercise, stopped(error))
    if (
        not isinstance(answer, Mapping)
        or set(answer) != set(PATIENTS)
        or not all(isinstance(fault, int) and fault in numbers for fault in answer.values())
    ):
        return failed(
            exercise, f"return a dict with a number from 1 to {len(FAULTS)} for each of {', '.join(PATIENTS)}."
        )
    wrong = [letter for letter, fault in PATIENTS.items() if numbers[answer[letter]] != fault]
    if not wrong:
        return passed(exercise, "all six are named.")
    hints = "\n  ".join(f"{letter} has not got fault {answer[letter]}: {CLUES[PATIENTS[letter]]}" for letter in wrong)
    return failed(exercise, f"{len(PATIENTS) - len(wrong)} of {len(PATIENTS)} are right.\n  {hints}")


def simclr_ward(my_partner: Callable, my_unit: Callable, my_views: Callable) -> None:
    """Check three mended lines of SimCLR; name the mistake that is left in each."""
    compare(
        "my_partner",
        my_partner,
        lambda n: torch.arange(2 * n).roll(n),
        [(3,), (5,)],
        _PARTNER_MISTAKES,
        "view1 of an image finds its view2, and the other way round.",
    )
    z = torch.randn(6, 4, generator=Generator().manual_seed(0))
    compare(
        "my_unit",
        my_unit,
        lambda z: F.normalize(z, dim=1),
        [(z,), (7 * z[:3],)],
        _UNIT_MISTAKES,
        "every row has length 1.",
    )
    seeds = [(0,), (1,)]
    compare(
        "my_views",
        _with_camera(my_views),
        _with_camera(_two),
        seeds,
        _VIEW_MISTAKES,
        "two views, each drawn for itself.",
    )


def copies_ward(my_after_step: Callable, my_byol_loss: Callable, my_optimizer: Callable) -> None:
    """Check three mended lines of MoCo and BYOL; name the mistake that is left in each."""
    compare(
        "my_after_step",
        _on_moco(my_after_step),
        _on_moco(_after_step),
        [(0,), (1,)],
        _DRIFT_MISTAKES,
        "the key encoder follows, and the queue has the new keys.",
    )
    predictions = tuple(torch.randn(4, 5, 3, generator=Generator().manual_seed(0)))
    compare(
        "my_byol_loss",
        my_byol_loss,
        _crossed,
        [predictions],
        _BYOL_MISTAKES,
        "each prediction has to see through the other view's disguise.",
    )
    _check_optimizer(my_optimizer)


# SimCLR's three lines.
_OFFSET = "so most views are told to find a stranger, and the best the network can do is to make all alike."
_PARTNER_MISTAKES = (
    Mistake(
        f"your partners are neighbours, 1 0 3 2 ...: right where the views lie as a a b b, but here they lie as a b ... a b ..., {_OFFSET}",
        lambda n: torch.arange(2 * n) ^ 1,
    ),
    Mistake(
        "each view is its own partner: that place is masked, so the loss is infinite. The partner lies n rows further on.",
        lambda n: torch.arange(2 * n),
    ),
    Mistake(
        f"your partner is the next row: that is another image's view, {_OFFSET}", lambda n: torch.arange(2 * n).roll(-1)
    ),
    Mistake(
        f"your partner is the row before: that is another image's view, {_OFFSET}",
        lambda n: torch.arange(2 * n).roll(1),
    ),
    Mistake(
        "view2's partners are missing: there are 2n rows, and row n + i looks for row i.", lambda n: torch.arange(n) + n
    ),
    Mistake(
        "view1 is right, but view2 has itself as partner: row n + i looks for row i.",
        lambda n: (torch.arange(n) + n).repeat(2),
    ),
    Mistake(
        "view2 is right, but view1 has itself as partner: row i looks for row n + i.",
        lambda n: torch.arange(n).repeat(2),
    ),
)
_UNIT_MISTAKES = (
    Mistake(
        "one length for the whole batch: all similarities become tiny, as if the temperature were hundreds of times higher. Take each row's own length: dim=1.",
        lambda z: z / z.norm(),
    ),
    Mistake(
        "you scale each column, over the images, instead of each row: dim=1 goes along an embedding.",
        lambda z: F.normalize(z, dim=0),
    ),
    Mistake("nothing is scaled: long embeddings then win by their length.", lambda z: z),
    Mistake("divide by the length, not by its square.", lambda z: z / z.square().sum(dim=1, keepdim=True)),
    Mistake(
        "divide by the length, the root of the sum of squares, not by the sum.",
        lambda z: z / z.sum(dim=1, keepdim=True),
    ),
)


class _Camera:
    """`make_view`: the images with noise, new at every call."""

    def __init__(self, seed: int):
        self.generator = Generator().manual_seed(seed)

    def __call__(self, images: Tensor) -> Tensor:
        return images + torch.rand(images.shape, generator=self.generator)


def _with_camera(views: Callable) -> Callable:
    def run(seed: int) -> Tensor | None:
        taken = views(torch.rand(4, 3, 2, 2, generator=Generator().manual_seed(9)), _Camera(seed))
        return None if taken is None else torch.stack(tuple(taken))

    return run


def _two(images: Tensor, make_view: Callable) -> tuple[Tensor, Tensor]:
    return make_view(images), make_view(images)


def _one_twice(images: Tensor, make_view: Callable) -> tuple[Tensor, Tensor]:
    view = make_view(images)
    return view, view


def _view_of_a_view(images: Tensor, make_view: Callable) -> tuple[Tensor, Tensor]:
    view1 = make_view(images)
    return view1, make_view(view1)


_VIEW_MISTAKES = (
    Mistake(
        "view2 is still view1: whatever tells two pictures apart, down to a single pixel, solves the task. Call make_view a second time.",
        _with_camera(_one_twice),
    ),
    Mistake(
        "view2 is the image itself: one disguise is seen through, not two. Call make_view for both.",
        _with_camera(lambda images, make_view: (make_view(images), images)),
    ),
    Mistake(
        "view2 is a view of view1: it bears view1's disguise under its own, so this need not be seen through. Make both from images.",
        _with_camera(_view_of_a_view),
    ),
    Mistake("neither is disguised: call make_view for both.", _with_camera(lambda images, make_view: (images, images))),
)


# Three lines of the methods with a slow copy.
def _on_moco(after_step: Callable) -> Callable:
    """What a step's end leaves of a tiny MoCo: all its weights and its queue; None where nothing has moved."""

    def run(seed: int) -> Tensor | None:
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            method = MoCo(nn.Linear(3, 4), nn.Linear(4, 4), queue_size=6, momentum=0.7, dim=4)
            with torch.no_grad():
                for weight in method.encoder.parameters():
                    weight.add_(torch.randn(weight.shape))
                for weight in method.projector.parameters():
                    weight.add_(torch.randn(weight.shape))
            method.new_keys = F.normalize(torch.randn(2, 4), dim=1)
        before = _state(method)
        after_step(method)
        after = _state(method)
        return None if torch.equal(before, after) else after

    return run


def _state(method: MoCo) -> Tensor:
    return torch.cat([value.detach().flatten().double() for value in method.state_dict().values()])


def _after_step(
    method: MoCo, momentum: float | None = None, encoder: bool = True, projector: bool = True, enqueues: int = 1
) -> None:
    momentum = method.momentum if momentum is None else momentum
    if encoder:
        ema_update(method.key_encoder, method.encoder, momentum)
    if projector:
        ema_update(method.key_projector, method.projector, momentum)
    for _ in range(enqueues):
        method.enqueue(method.new_keys)


def _roles_swapped(method: MoCo) -> None:
    ema_update(method.encoder, method.key_encoder, method.momentum)
    ema_update(method.projector, method.key_projector, method.momentum)
    method.enqueue(method.new_keys)


_DRIFT_MISTAKES = tuple(
    Mistake(sentence, _on_moco(code))
    for sentence, code in (
        (
            "the key encoder still stands where chance put it, and the queries learn to agree with a random network. Let it drift: ema_update.",
            lambda m: _after_step(m, encoder=False, projector=False),
        ),
        (
            "the encoder drifts, but its projector does not: the keys are made by both.",
            lambda m: _after_step(m, projector=False),
        ),
        (
            "the projector drifts, but its encoder does not: the keys are made by both.",
            lambda m: _after_step(m, encoder=False),
        ),
        (
            "the roles are swapped: what the query network has just learned is lost. ema_update(key network, query network, momentum).",
            _roles_swapped,
        ),
        (
            "the drift is mended, but the new keys are no longer put into the queue: keep method.enqueue(method.new_keys).",
            lambda m: _after_step(m, enqueues=0),
        ),
        (
            "the keys go into the queue twice, so that it is half as long as it seems.",
            lambda m: _after_step(m, enqueues=2),
        ),
        (
            "the key network is overwritten, not drawn along: it is to keep the share method.momentum of itself.",
            lambda m: _after_step(m, momentum=0.0),
        ),
        (
            "momentum and its rest are exchanged: the key network keeps the share method.momentum of itself.",
            lambda m: _after_step(m, momentum=1 - m.momentum),
        ),
    )
)


def _crossed(p1: Tensor, p2: Tensor, target1: Tensor, target2: Tensor) -> Tensor:
    return byol_loss(p1, target2) + byol_loss(p2, target1)


_BYOL_MISTAKES = (
    Mistake(
        "still its own view: online network and target see the very same picture, so there is nothing to see through. Cross over.",
        lambda p1, p2, t1, t2: byol_loss(p1, t1) + byol_loss(p2, t2),
    ),
    Mistake("one direction only: add p2 against target1.", lambda p1, p2, t1, t2: byol_loss(p1, t2)),
    Mistake("one direction only: add p1 against target2.", lambda p1, p2, t1, t2: byol_loss(p2, t1)),
    Mistake("the two directions are added, not averaged.", lambda *batch: _crossed(*batch) / 2),
    Mistake(
        "predictions are held against predictions: p1 against target2, p2 against target1.",
        lambda p1, p2, t1, t2: byol_loss(p1, p2) + byol_loss(p2, p1),
    ),
)

LARGEST, SMALLEST = 0.25, 1e-6  # of a weight matrix's own length, that a first step may change


def _check_optimizer(attempt: Callable) -> None:
    """By its first step, at a small gradient, on weights as they are drawn."""
    exercise = "my_optimizer"
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        net = nn.Sequential(nn.Linear(64, 64), nn.Linear(64, 64))
    for weight in net.parameters():
        weight.grad = 1e-3 * torch.randn(weight.shape, generator=Generator().manual_seed(1))
    before = torch.cat([weight.detach().flatten() for weight in net.parameters()])
    try:
        optimizer = attempt(list(net.parameters()))
        if optimizer is None or optimizer is ...:
            raise NotImplementedError
        optimizer.step()
    except NotImplementedError:
        return failed(exercise, NOT_ATTEMPTED)
    except Exception as error:  # the learner's code may raise anything; the check must go on
        return failed(exercise, stopped(error))
    after = torch.cat([weight.detach().flatten() for weight in net.parameters()])
    change = float((after - before).norm() / before.norm())
    if change > LARGEST:
        return failed(
            exercise,
            f"the first step changes the weights by {change:.0%} of their own length: Adam moves every weight by about its rate, however small the gradient. Take a rate well below a weight's size.",
        )
    if change < SMALLEST:
        return failed(
            exercise,
            f"the first step changes the weights by {change:.0e} of their own length: at this rate nothing is ever learned.",
        )
    return passed(exercise, f"the first step changes the weights by {change:.1%} of their own length.")
