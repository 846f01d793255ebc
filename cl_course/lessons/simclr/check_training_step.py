"""Lesson 03: the learner's `my_training_step(images, make_view, encoder, projector, optimizer, temperature)`.

Judged by what it does: three steps of tiny networks must leave the weights that the course's own step leaves.
"""

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from cl_course.lessons.shared.exercise import Exercise, Mistake
from cl_course.lessons.simclr import probes_training_step as probes
from cl_course.losses import nt_xent


# The right way, in parts that can each be done in a wrong way.
def train_mode(encoder: nn.Module, projector: nn.Module) -> None:
    encoder.train(), projector.train()


def two_draws(images: Tensor, make_view: Callable) -> tuple[Tensor, Tensor]:
    return make_view(images), make_view(images)


def project(view1: Tensor, view2: Tensor, encoder: nn.Module, projector: nn.Module) -> tuple[Tensor, Tensor]:
    return projector(encoder(view1)), projector(encoder(view2))


def in_order(*verbs: str) -> Callable:
    """An update that does these in this order: zero, back, step."""

    def update(loss, optimizer):
        for verb in verbs:
            {"zero": optimizer.zero_grad, "back": loss.backward, "step": optimizer.step}[verb]()

    return update


learn = in_order("zero", "back", "step")


def make(
    begin: Callable = lambda optimizer: None,
    mode: Callable = train_mode,
    views: Callable = two_draws,
    embeddings: Callable = project,
    loss: Callable = nt_xent,
    update: Callable = learn,
    answer: Callable = lambda loss, z1: loss,
) -> Callable:
    def step(images, make_view, encoder, projector, optimizer, temperature):
        begin(optimizer)
        mode(encoder, projector)
        z1, z2 = embeddings(*views(images, make_view), encoder, projector)
        value = loss(z1, z2, temperature)
        update(value, optimizer)
        return answer(value, z1)

    return step


def alone(**parts: Any) -> dict[str, Any]:
    """A rarer mistake, tried by itself and not in twos: it names all parts, and leaves none free for another."""
    return {name: part.default for name, part in inspect.signature(make).parameters.items()} | parts


# The parts done in wrong ways.
def _interleaved(view1, view2, encoder, projector):
    z = projector(encoder(torch.cat([view1, view2])))
    return z[::2], z[1::2]


def _frozen(view1, view2, encoder, projector):
    with torch.no_grad():
        h1, h2 = encoder(view1), encoder(view2)
    return projector(h1), projector(h2)


def _no_gradient(view1, view2, encoder, projector):
    with torch.no_grad():
        return project(view1, view2, encoder, projector)


def _stopped(first: bool) -> Callable:
    def embeddings(view1, view2, encoder, projector):
        z1, z2 = project(view1, view2, encoder, projector)
        return (z1.detach(), z2) if first else (z1, z2.detach())

    return embeddings


def _view_of_a_view(images, make_view):
    view1 = make_view(images)
    return view1, make_view(view1)


def _unpacked(images, make_view):
    view1, view2 = make_view(images)
    return view1, view2


def _unpacked_both(images, make_view):
    view1, view2 = make_view(torch.cat([images, images]))
    return view1, view2


def _chunked(images, make_view):
    return make_view(images).chunk(2)


def _descend(factor: float) -> Callable:
    def update(loss, optimizer):
        optimizer.zero_grad()
        (factor * loss).backward()
        optimizer.step()

    return update


def _step_first(optimizer):
    optimizer.step()
    optimizer.zero_grad()


_SAME_VIEW = "both embeddings come from one view. Call make_view twice; z1 comes from view1, z2 from view2."
_NOT_AUGMENTED = (
    "the images themselves go into the network: {which}. What the two views do not differ in, the network need not "
    "learn to ignore."
)
_EVAL = (
    "{which} in eval mode, where BatchNorm uses old statistics instead of the batch's. A kNN check leaves it so: call "
    "encoder.train() and projector.train() first."
)
_ONE_SIDE = (
    "no gradient passes through {which}. Stop-gradient belongs to BYOL (lesson 05); in SimCLR both views learn, so "
    "leave .detach() and torch.no_grad() out."
)
_TWICE = (
    "the weights move twice as far as they should, as with backward() on twice the loss or two optimizer.step() after "
    "one backward()."
)
_UNPACK = (
    "one call of make_view gives one tensor, a view of every image; `view1, view2 = ...` tries to unpack it image by "
    "image. Call it twice: view1, view2 = make_view(images), make_view(images)."
)

MISTAKES = (
    Mistake(
        "gradients accumulate: without optimizer.zero_grad() each step adds its gradient to those of all steps before. "
        "Clear them before backward().",
        {"update": in_order("back", "step")},
    ),
    Mistake(_EVAL.format(which="both networks learn"), {"mode": lambda encoder, projector: None}),
    Mistake(_EVAL.format(which="the projector learns"), {"mode": lambda encoder, projector: encoder.train()}),
    Mistake(_EVAL.format(which="the encoder learns"), {"mode": lambda encoder, projector: projector.train()}),
    Mistake(_SAME_VIEW, {"views": lambda images, make_view: (make_view(images),) * 2}),
    Mistake(
        _NOT_AUGMENTED.format(which="make_view is used for neither view"),
        {"views": lambda images, make_view: (images, images)},
    ),
    Mistake(
        _NOT_AUGMENTED.format(which="one view is made by make_view, the other is the image as it came"),
        {"views": lambda images, make_view: (images, make_view(images))},
    ),
    Mistake(
        "the second view is made from the first, so it is changed twice: make both from the image.",
        {"views": _view_of_a_view},
    ),
    Mistake(_UNPACK, alone(views=_unpacked)),
    Mistake(_UNPACK, alone(views=_unpacked_both)),
    Mistake(
        "one view of every image is cut into two halves, so that the two rows of a pair are two different images. "
        "Call make_view twice.",
        alone(views=_chunked),
    ),
    Mistake(
        "the loss is computed on h, and the projector never learns. Compare z = projector(encoder(view)): the "
        "projector is there to keep the loss away from h.",
        {"embeddings": lambda view1, view2, encoder, projector: (encoder(view1), encoder(view2))},
    ),
    Mistake(
        "the projector is applied twice: z = projector(encoder(view)).",
        alone(embeddings=lambda v1, v2, f, g: (g(g(f(v1)))[:, :], g(g(f(v2))))),
    ),
    Mistake(
        "the projector is called on the view: it takes h, projector(encoder(view)).",
        alone(embeddings=lambda v1, v2, f, g: (g(v1), g(v2))),
    ),
    Mistake(
        "rows are paired wrongly: after torch.cat([view1, view2]) the first n rows belong to view1 and the last n to "
        "view2, so cut with .chunk(2), not with [::2].",
        {"embeddings": _interleaved},
    ),
    Mistake(
        "the encoder is frozen: no gradient passes through it, so only the projector learns. Compute h without "
        "torch.no_grad() and .detach().",
        {"embeddings": _frozen},
    ),
    Mistake(_ONE_SIDE.format(which="z2"), {"embeddings": _stopped(first=False)}),
    Mistake(_ONE_SIDE.format(which="z1"), {"embeddings": _stopped(first=True)}),
    Mistake(
        "no gradient reaches your loss, as when z1 and z2 are computed under torch.no_grad() or detached. Keep the way "
        "from the weights to the loss in torch.",
        {"embeddings": _no_gradient},
    ),
    Mistake(
        "backward() is called on a plain number, as .item() and float() make it: they cut the way back to the weights. "
        "Keep the tensor until after the update.",
        alone(loss=lambda z1, z2, t: nt_xent(z1, z2, t).item()),
    ),
    Mistake(
        "the temperature is turned over: nt_xent divides by it itself. Pass `temperature` as it is.",
        {"loss": lambda z1, z2, temperature: nt_xent(z1, z2, 1 / temperature)},
    ),
    Mistake(
        "the temperature is not passed on, and nt_xent takes its default of 0.5. It is the third argument.",
        {"loss": lambda z1, z2, temperature: nt_xent(z1, z2)},
    ),
    Mistake(
        "the loss is twice too large: nt_xent already lets both views look for their partner, so nt_xent(z1, z2) + "
        "nt_xent(z2, z1) counts everything twice.",
        {"loss": lambda z1, z2, temperature: 2 * nt_xent(z1, z2, temperature)},
    ),
    Mistake(
        "the sign of the loss is turned round: each step makes the right loss larger.",
        {"loss": lambda z1, z2, temperature: -nt_xent(z1, z2, temperature)},
    ),
    Mistake(
        "the loss is a sum over the 2n views: nt_xent returns their mean, which is what is asked for.",
        alone(loss=lambda z1, z2, t: 2 * len(z1) * nt_xent(z1, z2, t)),
    ),
    Mistake(
        "the loss is divided by n: nt_xent is a mean already.", alone(loss=lambda a, b, t: nt_xent(a, b, t) / len(a))
    ),
    Mistake("the weights move uphill: backward() is called on minus the loss.", alone(update=_descend(-1))),
    Mistake(_TWICE, alone(update=_descend(2))),
    Mistake(
        "optimizer.step() comes before loss.backward(): it steps along the gradient of the batch before. First "
        "backward(), then step().",
        alone(begin=_step_first, update=in_order("back")),
    ),
    Mistake(
        f"{probes.CHANGED_BETWEEN}, as when optimizer.step() comes before loss.backward(). First "
        "backward(), then step().",
        alone(update=in_order("step", "zero", "back")),
    ),
    Mistake(
        f"{probes.BACKWARD_TWICE}, and autograd allows it once. Add up what you want in one loss, and call backward() "
        "on that.",
        alone(update=in_order("zero", "back", "back", "step")),
    ),
    Mistake(
        "the step trains, but returns nothing: return the loss, so that whoever calls it can watch it.",
        {"answer": lambda loss, z1: None},
    ),
    Mistake(
        "the weights are right, but the embeddings come back: return the loss, on which you called backward().",
        alone(answer=lambda loss, z1: z1),
    ),
)


def _answer(attempt: Callable) -> object:
    kept: list[object] = []
    probes.run(lambda *arguments: kept.append(attempt(*arguments)), temperatures=(0.2,))
    return kept[0]


def keeps_the_graph(attempt: Callable) -> str | None:
    answer = _answer(attempt)
    if isinstance(answer, Tensor) and answer.requires_grad:
        return "the loss that you return still has its graph: return loss.detach() if you keep the losses of a run."
    return None


def of_one_element(attempt: Callable) -> str | None:
    answer = _answer(attempt)
    shape = tuple(answer.shape) if isinstance(answer, Tensor) else ()
    return f"your loss has the shape {shape}; a loss is usually a tensor without dimensions, ()." if shape else None


training_step = Exercise(
    name="my_training_step",
    observe=probes.observe,
    make=make,
    mistakes=MISTAKES,
    praise="three steps leave the same weights as the course's own.",
    ladder=probes.ladder(make()),
    notes=(keeps_the_graph, of_one_element),
)
