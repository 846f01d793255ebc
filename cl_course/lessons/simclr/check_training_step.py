"""Lesson 03: the learner's `my_training_step(images, make_view, encoder, projector, optimizer, temperature)`.

A step is judged by what it does: three of them on a tiny network must leave the weights that the
course's own step leaves. Where they do not, the order of backward and step is looked at first;
then the known mistakes, alone and in pairs, are tried for one that leaves the same weights.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Generator, Tensor, nn

from cl_course.lessons.shared.old_exercise import NOT_ATTEMPTED, failed, one_or_two, passed, same, stopped
from cl_course.losses import nt_xent

EXERCISE = "my_training_step"
IMAGES, TEMPERATURES = 6, (0.2, 0.35, 0.15)  # one temperature a step: a number typed in is no answer

NO_RETURN = "the step trains, but returns nothing: return the loss, so that whoever calls it can watch it."
WRONG_RETURN = "the weights are right, but what you return is not the loss of this step: return the value you called backward() on."
NO_GRADIENT = "no gradient reaches your loss: it was computed under torch.no_grad(), or from .item(), .detach() or .data. Keep the way from the weights to the loss in torch."
NO_BACKWARD = "you never call loss.backward(): nothing computes a gradient, so there is nothing to step along."
NO_STEP = "you never call optimizer.step(): the gradient is computed and then not used, so no weight moves."
STEP_FIRST = "you call optimizer.step() before loss.backward(): it steps along no gradient, or along that of the batch before. First backward(), then step()."
AUTOGRAD_SAYS = {
    "'float' object has no attribute 'backward'": NO_GRADIENT,
    "does not require grad": NO_GRADIENT,
    "modified by an inplace operation": STEP_FIRST,
}
STEP_TWICE = "you call optimizer.step() more than once in a step: the weights move twice along one gradient. Once is the learning rate that was asked for."
BACKWARD_TWICE = "you call backward() more than once in a step: the second gradient is added to the first. Add up what you want in one loss, and call backward() on that."
WIPED = "you call zero_grad() between backward() and step(): it wipes the gradient just computed, so no weight moves. Clear before backward()."


def training_step(attempt: Callable) -> None:
    """Check a step of SimCLR by three of them on a tiny network; name the mistake, or two of them, if there are any."""
    try:
        run = _run(attempt)
    except NotImplementedError:
        return failed(EXERCISE, NOT_ATTEMPTED)
    except Exception as error:  # the learner's code may raise anything; the check must go on
        known = [sentence for words, sentence in AUTOGRAD_SAYS.items() if words in str(error)]
        return failed(EXERCISE, known[0] if known else stopped(error))
    if not run.calls and all(loss is None or loss is ... for loss in run.losses):
        return failed(EXERCISE, NOT_ATTEMPTED)
    sentence = _whats_wrong(run)
    return (
        failed(EXERCISE, sentence)
        if sentence
        else passed(EXERCISE, "three steps leave the same weights as the course's own.")
    )


@dataclass
class _Run:
    """What a step did when it was called three times: the losses it gave back, the weights after each, the calls of the last."""

    losses: list = field(default_factory=list)
    weights: list[Tensor] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)


def _whats_wrong(run: _Run) -> str | None:
    right = _run(_step())
    if same(run.weights, right.weights):
        if all(loss is None for loss in run.losses):
            return NO_RETURN
        return None if same(run.losses, right.losses) else WRONG_RETURN
    if sentence := _wrong_order(run.calls):
        return sentence
    for sentence, parts in one_or_two(MISTAKES):
        if same(run.weights, _run(_step(**parts)).weights):
            return sentence
    return "the weights after three steps are not those of the course's step; it is none of the mistakes known here, so compare yours with Algorithm 1 line by line."


def _wrong_order(calls: list[str]) -> str | None:
    """What the order of backward, zero_grad and step tells by itself."""
    if "backward" not in calls:
        return NO_BACKWARD
    if "step" not in calls:
        return NO_STEP
    backward, step = calls.index("backward"), calls.index("step")
    if step < backward:
        return STEP_FIRST
    if calls.count("step") > 1:
        return STEP_TWICE
    if calls.count("backward") > 2:  # one for each network
        return BACKWARD_TWICE
    return WIPED if "zero_grad" in calls[backward:step] else None


class _TwoModes(nn.Module):
    """Stands for BatchNorm, which answers otherwise in eval mode; but row by row, so that it makes no difference
    whether an attempt sends both views through in one pass or in two."""

    def __init__(self, dim: int):
        super().__init__()
        self.register_buffer("other", torch.linspace(0.2, 1.8, dim))

    def forward(self, x: Tensor) -> Tensor:
        return x if self.training else x * self.other


class _LoggedSGD(torch.optim.SGD):
    """Plain gradient descent that writes down when it is called."""

    def __init__(self, parameters, calls: list[str]):
        super().__init__(parameters, lr=0.3)
        self.calls = calls

    def zero_grad(self, set_to_none: bool = True) -> None:
        self.calls.append("zero_grad")
        super().zero_grad(set_to_none)

    def step(self, closure=None):
        self.calls.append("step")
        return super().step(closure)


def _run(step: Callable) -> _Run:
    """Three steps, always from the same weights, on the same images and views."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        encoder = nn.Sequential(nn.Flatten(), nn.Linear(48, 6), nn.Tanh(), _TwoModes(6))
        projector = nn.Sequential(nn.Linear(6, 6), _TwoModes(6), nn.ReLU(), nn.Linear(6, 4))
    weights = [*encoder.parameters(), *projector.parameters()]
    run, generator = _Run(), Generator().manual_seed(0)
    optimizer = _LoggedSGD(weights, run.calls)
    # In both networks, since a wrong loss may reach only one of them.
    for weight in (encoder[1].weight, projector[3].weight):
        weight.register_hook(lambda gradient: run.calls.append("backward"))
    images = torch.rand(len(TEMPERATURES), IMAGES, 3, 4, 4, generator=generator)

    def make_view(batch: Tensor) -> Tensor:
        return (batch + 0.5 * torch.rand(batch.shape, generator=generator)) / 1.5

    for batch, temperature in zip(images, TEMPERATURES):
        encoder.eval(), projector.eval()  # as a kNN check leaves them
        run.calls.clear()
        loss = step(batch.clone(), make_view, encoder, projector, optimizer, temperature)
        run.losses.append(loss.detach() if isinstance(loss, Tensor) else loss)
        run.weights.append(torch.cat([w.detach().flatten() for w in weights]).clone())
    return run


# The step, in parts that can each be done wrongly.
def _train(encoder, projector):
    encoder.train(), projector.train()


def _fresh_views(images, make_view):
    return make_view(images), make_view(images)


def _project(view1, view2, encoder, projector):
    return projector(encoder(view1)), projector(encoder(view2))


def _step(mode=_train, views=_fresh_views, embeddings=_project, loss=nt_xent, clear=True) -> Callable:
    def step(images, make_view, encoder, projector, optimizer, temperature):
        mode(encoder, projector)
        view1, view2 = views(images, make_view)
        value = loss(*embeddings(view1, view2, encoder, projector), temperature)
        if clear:
            optimizer.zero_grad()
        value.backward()
        optimizer.step()
        return value

    return step


def _interleaved(view1, view2, encoder, projector):
    z = projector(encoder(torch.cat([view1, view2])))
    return z[::2], z[1::2]


def _frozen(view1, view2, encoder, projector):
    with torch.no_grad():
        h1, h2 = encoder(view1), encoder(view2)
    return projector(h1), projector(h2)


def _second_stopped(view1, view2, encoder, projector):
    z1, z2 = _project(view1, view2, encoder, projector)
    return z1, z2.detach()


def _first_stopped(view1, view2, encoder, projector):
    z1, z2 = _project(view1, view2, encoder, projector)
    return z1.detach(), z2


def _view_of_a_view(images, make_view):
    view1 = make_view(images)
    return view1, make_view(view1)


_SAME_VIEW = "both views are the same one: make_view was called once. With nothing to see through, the task is trivial; call it twice, every call draws anew."
_ONE_TWICE = (
    "view1 is compared with itself: both embeddings come from it, and view2 is never embedded. Make z2 from view2."
)
_NOT_AUGMENTED = "the images go into the network as they are: make_view is not used for both views. What the two do not differ in, the network need not learn to ignore."
_EVAL_MODE = (
    "the network learns in eval mode, where BatchNorm uses old statistics instead of the batch's. A kNN check leaves it so: "
    "call encoder.train() and projector.train() first."
)
_ONE_VIEW = "one view carries no gradient. Stop-gradient belongs to BYOL (lesson 05); in SimCLR both views learn, so leave .detach() and torch.no_grad() out."
MISTAKES: tuple[tuple[str, dict], ...] = (
    (
        "gradients accumulate: without optimizer.zero_grad() each step adds its gradient to those of all steps before. Clear them before backward().",
        {"clear": False},
    ),
    (_EVAL_MODE, {"mode": lambda encoder, projector: None}),
    (_EVAL_MODE, {"mode": lambda encoder, projector: encoder.train()}),
    (_EVAL_MODE, {"mode": lambda encoder, projector: projector.train()}),
    (_SAME_VIEW, {"views": lambda images, make_view: (make_view(images),) * 2}),
    (_NOT_AUGMENTED, {"views": lambda images, make_view: (images, images)}),
    (_NOT_AUGMENTED, {"views": lambda images, make_view: (images, make_view(images))}),
    (_NOT_AUGMENTED, {"views": lambda images, make_view: (make_view(images), images)}),
    (
        "the second view is made from the first, so it is disguised twice: make both from the image.",
        {"views": _view_of_a_view},
    ),
    (_ONE_TWICE, {"embeddings": lambda view1, view2, encoder, projector: (projector(encoder(view1)),) * 2}),
    (
        "the loss is computed on h, and the projector never learns. Compare z = projector(encoder(view)): the projector is there to keep the loss away from h.",
        {"embeddings": lambda view1, view2, encoder, projector: (encoder(view1), encoder(view2))},
    ),
    (
        "partners are mixed up: after torch.cat([view1, view2]) the first n rows belong to view1 and the last n to view2, so cut with .chunk(2), not with [::2].",
        {"embeddings": _interleaved},
    ),
    (
        "the encoder is frozen: no gradient passes through it, so only the projector learns. Compute h without torch.no_grad().",
        {"embeddings": _frozen},
    ),
    (_ONE_VIEW, {"embeddings": _second_stopped}),
    (_ONE_VIEW, {"embeddings": _first_stopped}),
    (
        "the temperature is turned over: nt_xent divides by it itself. Hand on `temperature` as it is.",
        {"loss": lambda z1, z2, temperature: nt_xent(z1, z2, 1 / temperature)},
    ),
    (
        "the temperature is not handed on: nt_xent(z1, z2) takes its default of 0.5. Pass it as the third argument.",
        {"loss": lambda z1, z2, temperature: nt_xent(z1, z2)},
    ),
    (
        "twice too large: nt_xent already lets both views look for their partner, so nt_xent(z1, z2) + nt_xent(z2, z1) counts everything twice.",
        {"loss": lambda z1, z2, temperature: 2 * nt_xent(z1, z2, temperature)},
    ),
)  # sentence, the parts of the step that are done wrongly
