"""Lesson 05: the learner's `my_byol_step(view1, view2, online, predictor, target, optimizer, momentum)`.

Judged by what it does: after three steps of tiny networks the weights of all of them must be those that the course's
own step leaves, and what is returned must be that step's.
"""

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from cl_course.lessons.byol import probes_byol_step as probes
from cl_course.lessons.shared.exercise import Exercise, Mistake
from cl_course.losses import byol_loss as distance
from cl_course.momentum import ema_update

NAME = "my_byol_step"


# The right way, in parts that can each be done in a wrong way.
def predict(view1: Tensor, view2: Tensor, online: nn.Module, predictor: nn.Module) -> tuple[Tensor, Tensor]:
    return predictor(online(view1)), predictor(online(view2))


def aim(
    view1: Tensor, view2: Tensor, online: nn.Module, predictor: nn.Module, target: nn.Module
) -> tuple[Tensor, Tensor]:
    with torch.no_grad():
        return target(view1), target(view2)


def cross(p1: Tensor, p2: Tensor, target1: Tensor, target2: Tensor) -> Tensor:
    return distance(p1, target2) + distance(p2, target1)


def learn(loss: Tensor, optimizer: torch.optim.Optimizer) -> None:
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


def cosine(p: Tensor, target: Tensor) -> Tensor:
    return nn.functional.cosine_similarity(p, target, dim=1).mean()


def nothing(target: nn.Module, online: nn.Module, momentum: float) -> None:
    pass


def make(
    predictions: Callable = predict,
    targets: Callable = aim,
    loss: Callable = cross,
    update: Callable = learn,
    drift: Callable = ema_update,
    drift_when: str = "after the update",
    answer: Callable = lambda loss, online, target: (loss, online[0]),
) -> Callable:
    def step(view1, view2, online, predictor, target, optimizer, momentum):
        if drift_when == "first":
            drift(target, online, momentum)
        value = loss(*predictions(view1, view2, online, predictor), *targets(view1, view2, online, predictor, target))
        if drift_when == "before the update":
            drift(target, online, momentum)
        update(value, optimizer)
        if drift_when == "after the update":
            drift(target, online, momentum)
        return answer(value, online, target)

    return step


def alone(**parts: Any) -> dict[str, Any]:
    """A rarer mistake, tried by itself and not in twos: it names all parts, and leaves none free for another."""
    return {name: part.default for name, part in inspect.signature(make).parameters.items()} | parts


# The parts done in wrong ways.
def _aim_with(network: Callable, no_grad: bool) -> Callable:
    """Targets by another network, `network(view, online, predictor, target)`, with or without a gradient."""

    def targets(view1, view2, online, predictor, target):
        with torch.set_grad_enabled(not no_grad):
            return tuple(network(view, online, predictor, target) for view in (view1, view2))

    return targets


def _no_gradient(view1, view2, online, predictor):
    with torch.no_grad():
        return predict(view1, view2, online, predictor)


def _in_order(*verbs: str) -> Callable:
    """An update that does these in this order: zero, back, step."""

    def update(loss, optimizer):
        for verb in verbs:
            {"zero": optimizer.zero_grad, "back": loss.backward, "step": optimizer.step}[verb]()

    return update


def _ascend(loss, optimizer):
    optimizer.zero_grad()
    (-loss).backward()
    optimizer.step()


def _twice_as_much(loss, optimizer):
    optimizer.zero_grad()
    (2 * loss).backward()
    optimizer.step()


def _both_parts(target, online, momentum):
    ema_update(target, online, momentum)
    ema_update(target, online, momentum)


_GRADIENT = (
    "a gradient flows into the target network, and the optimiser moves it: it comes to meet the predictions. Compute "
    "the targets under torch.no_grad()."
)
_PREDICTED = (
    "the predictor is on both sides: the target has none. It is there to predict target(view), so it belongs to the "
    "online network alone."
)
_FROM_ONLINE = (
    "the targets come from the online network, and the target network is not used for them. (Behind a stop-gradient "
    "that is SimSiam; here BYOL is asked for.)"
)
_OWN_VIEW = (
    "the predictions are paired with their own views' targets, so a network need not find what two views share. Cross "
    "over: p1 with target2, p2 with target1."
)
_ONE_DIRECTION = "one direction only: {there} is in the loss, {missing} is not. Add it."
_HALF = (
    "there is a factor 1/2 too much in the loss: it is byol_loss(p1, target2) + byol_loss(p2, target1), without a "
    "mean of the two."
)
_COSINE = "{this}, and byol_loss is 2 - 2 s in each direction: use it."
_IDLE = (
    "the online weights do not move: optimizer.zero_grad(), loss.backward(), optimizer.step() are needed, all three "
    "and in this order."
)
_BETWEEN = (
    "a weight is changed between the loss and its backward(), so autograd refuses: first optimizer.zero_grad(), "
    "loss.backward(), optimizer.step(), then the drift of the target."
)
_RETURNED = "Return the loss of this step and the online encoder, online[0]."

MISTAKES = (
    Mistake(_GRADIENT, {"targets": _aim_with(lambda view, o, q, t: t(view), no_grad=False)}),
    Mistake(_PREDICTED, {"targets": _aim_with(lambda view, o, q, t: q(t(view)), no_grad=True)}),
    Mistake(f"{_PREDICTED} Also, {_GRADIENT}", {"targets": _aim_with(lambda view, o, q, t: q(t(view)), no_grad=False)}),
    Mistake(_FROM_ONLINE, {"targets": _aim_with(lambda view, o, q, t: o(view), no_grad=True)}),
    Mistake(
        f"{_FROM_ONLINE} Also, a gradient flows into these targets: compute targets under torch.no_grad().",
        {"targets": _aim_with(lambda view, o, q, t: o(view), no_grad=False)},
    ),
    Mistake(
        "the targets come from the online network and its predictor: they are target(view1) and target(view2).",
        alone(targets=_aim_with(lambda view, o, q, t: q(o(view)), no_grad=True)),
    ),
    *(
        Mistake(
            f"both targets come from {name}: target1 = target(view1), target2 = target(view2).",
            alone(targets=lambda v1, v2, o, q, t, place=place: [t((v1, v2)[place]).detach()] * 2),
        )
        for place, name in enumerate(("view1", "view2"))
    ),
    Mistake(
        "the predictor is not used: a prediction is predictor(online(view)).",
        {"predictions": lambda v1, v2, online, q: (online(v1), online(v2))},
    ),
    *(
        Mistake(
            f"both predictions come from {name}: p1 = predictor(online(view1)), p2 = predictor(online(view2)).",
            alone(predictions=lambda v1, v2, online, q, place=place: [q(online((v1, v2)[place]))] * 2),
        )
        for place, name in enumerate(("view1", "view2"))
    ),
    Mistake(
        "the predictor is called on a view: it takes z, predictor(online(view)).",
        alone(predictions=lambda v1, v2, online, q: (q(v1), q(v2))),
    ),
    Mistake(
        "the predictor is applied twice: a prediction is predictor(online(view)).",
        alone(predictions=lambda v1, v2, online, q: (q(q(online(v1))), q(q(online(v2))))),
    ),
    Mistake(
        "no gradient reaches the loss: only the targets belong under torch.no_grad(); the predictions must keep their "
        "way back to the weights.",
        {"predictions": _no_gradient},
    ),
    Mistake(_OWN_VIEW, {"loss": lambda p1, p2, t1, t2: distance(p1, t1) + distance(p2, t2)}),
    Mistake(
        _ONE_DIRECTION.format(there="byol_loss(p1, target2)", missing="byol_loss(p2, target1)"),
        {"loss": lambda p1, p2, t1, t2: distance(p1, t2)},
    ),
    Mistake(
        _ONE_DIRECTION.format(there="byol_loss(p2, target1)", missing="byol_loss(p1, target2)"),
        {"loss": lambda p1, p2, t1, t2: distance(p2, t1)},
    ),
    Mistake(_HALF, {"loss": lambda *batch: cross(*batch) / 2}),
    Mistake(
        "there is a factor 2 too much in the loss: each direction counts once.",
        alone(loss=lambda *batch: 2 * cross(*batch)),
    ),
    Mistake("the sign of the loss is turned round: training would make it larger.", alone(loss=lambda *b: -cross(*b))),
    Mistake(
        "the two directions are subtracted: add them.",
        alone(loss=lambda p1, p2, t1, t2: distance(p1, t2) - distance(p2, t1)),
    ),
    *(
        Mistake(
            _COSINE.format(this=this), alone(loss=lambda p1, p2, t1, t2, f=f: f * (cosine(p1, t2) + cosine(p2, t1)))
        )
        for this, f in (
            ("minus the cosine similarity is the loss, added over both directions", -1),
            ("minus the cosine similarity is the loss, averaged over both directions", -0.5),
            ("the cosine similarity is the loss", 1),
        )
    ),
    Mistake(
        "the predictions are compared with each other: compare p1 with target2, and p2 with target1.",
        alone(loss=lambda p1, p2, t1, t2: distance(p1, p2)),
    ),
    Mistake(
        "all four pairs are in the loss: leave out those of the same view.",
        alone(loss=lambda p1, p2, t1, t2: sum(distance(p, t) for p in (p1, p2) for t in (t1, t2))),
    ),
    Mistake(
        "the lengths count in your loss, as in F.mse_loss: use byol_loss, which compares directions.",
        alone(loss=lambda p1, p2, t1, t2: nn.functional.mse_loss(p1, t2) + nn.functional.mse_loss(p2, t1)),
    ),
    Mistake(
        "the target never moves: after the optimiser's step call ema_update(target, online, momentum).",
        {"drift": nothing},
    ),
    Mistake(
        "the roles are swapped: the online network moves towards the target, and loses most of what it has just "
        "learned. ema_update(target, online, momentum).",
        {"drift": lambda target, online, momentum: ema_update(online, target, momentum)},
    ),
    Mistake(
        "momentum and 1 - momentum are exchanged: the target keeps the share `momentum` of itself.",
        {"drift": lambda target, online, momentum: ema_update(target, online, 1 - momentum)},
    ),
    Mistake(
        "the target becomes a copy of the online network, as with momentum 0: pass `momentum` on.",
        {"drift": lambda target, online, momentum: ema_update(target, online, 0)},
    ),
    Mistake(
        "only the encoder drifts, the target's projector does not: update all of the target.",
        {"drift": lambda target, online, momentum: ema_update(target[0], online[0], momentum)},
    ),
    Mistake(
        "only the projector drifts, the target's encoder does not: update all of the target.",
        alone(drift=lambda target, online, momentum: ema_update(target[1], online[1], momentum)),
    ),
    Mistake(
        "the target keeps the share momentum squared of itself, as after two drifts: one drift in a step is enough.",
        alone(drift=_both_parts),
    ),
    Mistake(
        "the target drifts before the optimiser's step, towards weights that are about to change: the online network "
        "learns first.",
        {"drift_when": "before the update"},
    ),
    Mistake(
        "the target drifts at the beginning of the step, before the targets are made: it drifts last, after the "
        "optimiser's step.",
        alone(drift_when="first"),
    ),
    Mistake(
        "gradients accumulate: without optimizer.zero_grad() each step adds its gradient to those of the steps before.",
        {"update": _in_order("back", "step")},
    ),
    Mistake(_IDLE, alone(update=_in_order())),
    Mistake(_IDLE, alone(update=_in_order("zero", "back"))),
    Mistake(
        "the optimiser climbs: backward() is called on minus the loss.",
        alone(update=_ascend),
    ),
    Mistake(
        "the online weights move twice as far as they should, as with backward() on twice the loss or with two "
        "optimizer.step() after one backward().",
        alone(update=_twice_as_much),
    ),
    Mistake(_BETWEEN, alone(update=_in_order("step", "zero", "back"))),
    Mistake(
        "backward() is called twice on one loss, and autograd allows it once.",
        alone(update=_in_order("zero", "back", "back", "step")),
    ),
    Mistake(f"the loss alone came back. {_RETURNED}", {"answer": lambda loss, online, target: loss}),
    Mistake(f"nothing came back. {_RETURNED}", alone(answer=lambda loss, online, target: None)),
    Mistake(f"the encoder alone came back. {_RETURNED}", alone(answer=lambda loss, online, target: online[0])),
    Mistake(
        f"the two things that you return are exchanged. {_RETURNED}",
        {"answer": lambda loss, online, target: (online[0], loss)},
    ),
    Mistake(
        f"you return the target's encoder. BYOL keeps the online network's. {_RETURNED}",
        {"answer": lambda loss, online, target: (loss, target[0])},
    ),
    Mistake(
        f"you return encoder and projector together. The projector is thrown away. {_RETURNED}",
        alone(answer=lambda loss, online, target: (loss, online)),
    ),
    Mistake(
        f"you return encoder and projector of the target. {_RETURNED}",
        alone(answer=lambda loss, online, target: (loss, target)),
    ),
    Mistake(
        f"half of the loss is returned. {_RETURNED}", alone(answer=lambda loss, online, target: (loss / 2, online[0]))
    ),
)

byol_step = Exercise(
    name=NAME,
    observe=probes.observe,
    make=make,
    mistakes=MISTAKES,
    praise="three steps leave the same weights in all networks as the course's own, and you return the right encoder.",
    ladder=probes.ladder(
        make(),
        {
            "byol_loss(p1, target2)": make(loss=lambda p1, p2, t1, t2: distance(p1, t2)),
            "byol_loss(p2, target1)": make(loss=lambda p1, p2, t1, t2: distance(p2, t1)),
        },
    ),
)
