"""Lesson 05: the learner's `my_byol_step(view1, view2, online, predictor, target, optimizer, momentum)`.

As the step of lesson 03, judged by what it does: after three steps of tiny networks the weights of
all of them must be those that the course's own step leaves. Where they are not, the known mistakes are
tried, alone and in pairs, for one that leaves the same weights.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Generator, Tensor, nn

from cl_course.lessons.shared.old_exercise import NOT_ATTEMPTED, failed, one_or_two, passed, same, stopped
from cl_course.losses import byol_loss as distance
from cl_course.momentum import ema_update

EXERCISE = "my_byol_step"
STEPS, IMAGES, MOMENTUM = 3, 6, 0.7

NO_PAIR = (
    "the weights are right, but two things are to be returned: the loss, and the encoder that you would keep and judge."
)
WRONG_LOSS = "the weights are right, but the first thing you return is not the loss of this step: return the value you called backward() on."
TARGET_KEPT = (
    "you keep and judge the target's encoder: it is a slow copy that lags behind, and early in training it is hardly trained at all. "
    "What learns, and what is kept, is online[0]."
)
WRONG_KEPT = "the weights are right, but the second thing you return is not the encoder to keep: that is online[0], without projector and predictor."
NO_GRADIENT = "no gradient reaches your loss: only the targets belong under torch.no_grad(); the predictions need their way back to the weights."
STEP_FIRST = (
    "a weight is changed between the loss and its backward(): is optimizer.step() before loss.backward(), or the target's drift before both? "
    "First zero_grad(), backward(), step(), then the drift."
)
AUTOGRAD_SAYS = {"does not require grad": NO_GRADIENT, "modified by an inplace operation": STEP_FIRST}


def byol_step(attempt: Callable) -> None:
    """Check a step of BYOL by three of them on tiny networks; name the mistake, or two of them, if there are any."""
    try:
        run = _run(attempt)
    except NotImplementedError:
        return failed(EXERCISE, NOT_ATTEMPTED)
    except Exception as error:  # the learner's code may raise anything; the check must go on
        known = [sentence for words, sentence in AUTOGRAD_SAYS.items() if words in str(error)]
        return failed(EXERCISE, known[0] if known else stopped(error))
    if run.untouched and all(answer is None or answer is ... for answer in run.answers):
        return failed(EXERCISE, NOT_ATTEMPTED)
    sentence = _whats_wrong(run)
    return (
        failed(EXERCISE, sentence)
        if sentence
        else passed(
            EXERCISE,
            "three steps leave the same weights in all networks as the course's own, and you keep the right one.",
        )
    )


@dataclass
class _Run:
    """What three steps did: what each gave back, and the weights of all networks after each."""

    answers: list = field(default_factory=list)
    weights: list[Tensor] = field(default_factory=list)
    untouched: bool = True  # no weight has moved


def _whats_wrong(run: _Run) -> str | None:
    right = _run(_step())
    if not same(run.weights, right.weights):
        for sentence, parts in one_or_two(MISTAKES):
            try:
                if same(run.weights, _run(_step(**parts)).weights):
                    return sentence
            except RuntimeError:  # two mistakes that autograd refuses together
                continue
        return "the weights after three steps are not those of the course's step; it is none of the mistakes known here, so compare yours with the five lines of the list, one by one."
    if not all(isinstance(answer, tuple | list) and len(answer) == 2 for answer in run.answers):
        return NO_PAIR
    (losses, kept), (right_losses, _) = zip(*run.answers), zip(*right.answers)
    if not same(list(losses), list(right_losses)):
        return WRONG_LOSS
    if all(name == "target[0]" for name in kept):
        return TARGET_KEPT
    return None if all(name == "online[0]" for name in kept) else WRONG_KEPT


def _run(step: Callable) -> _Run:
    """Three steps, always from the same weights and on the same views; the target starts elsewhere than the online network."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        online = nn.Sequential(nn.Sequential(nn.Flatten(), nn.Linear(48, 6), nn.Tanh()), nn.Linear(6, 4))
        predictor = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 4))
        target = copy.deepcopy(online)
        with torch.no_grad():
            for weight in target.parameters():
                weight.add_(0.2 * torch.randn(weight.shape))
    weights = [p for network in (online, predictor, target) for p in network.parameters()]
    # Of all networks, target included: a gradient that reaches it is then seen in what it does.
    optimizer = torch.optim.SGD(weights, lr=0.3)
    run, before = _Run(), _flat(weights)
    names = {id(network): name for name, network in {"online[0]": online[0], "target[0]": target[0]}.items()}
    for view1, view2 in torch.rand(STEPS, 2, IMAGES, 3, 4, 4, generator=Generator().manual_seed(0)):
        answer = step(view1.clone(), view2.clone(), online, predictor, target, optimizer, MOMENTUM)
        if isinstance(answer, tuple | list) and len(answer) == 2:
            loss, kept = answer
            answer = (loss.detach() if isinstance(loss, Tensor) else loss, names.get(id(kept)))
        run.answers.append(answer)
        run.weights.append(_flat(weights))
    run.untouched = all(torch.equal(before, after) for after in run.weights)
    return run


def _flat(weights: list[Tensor]) -> Tensor:
    return torch.cat([w.detach().flatten() for w in weights]).clone()


# The step, in parts that can each be done wrongly.
def _predict(view1, view2, online, predictor):
    return predictor(online(view1)), predictor(online(view2))


def _aim(view1, view2, online, predictor, target):
    with torch.no_grad():
        return target(view1), target(view2)


def _cross(p1, p2, target1, target2):
    return distance(p1, target2) + distance(p2, target1)


def _learn(loss, optimizer):
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


def _drift(target, online, momentum):
    ema_update(target, online, momentum)


def _step(predictions=_predict, targets=_aim, loss=_cross, update=_learn, drift=_drift, drift_first=False) -> Callable:
    def step(view1, view2, online, predictor, target, optimizer, momentum):
        value = loss(*predictions(view1, view2, online, predictor), *targets(view1, view2, online, predictor, target))
        if drift_first:
            drift(target, online, momentum)
        update(value, optimizer)
        if not drift_first:
            drift(target, online, momentum)
        return value, online[0]

    return step


def _targets_with_gradient(view1, view2, online, predictor, target):
    return target(view1), target(view2)


def _targets_predicted(view1, view2, online, predictor, target):
    with torch.no_grad():
        return predictor(target(view1)), predictor(target(view2))


def _targets_predicted_with_gradient(view1, view2, online, predictor, target):
    return predictor(target(view1)), predictor(target(view2))


def _targets_online(view1, view2, online, predictor, target):
    with torch.no_grad():
        return online(view1), online(view2)


def _targets_online_with_gradient(view1, view2, online, predictor, target):
    return online(view1), online(view2)


def _accumulate(loss, optimizer):
    loss.backward()
    optimizer.step()


def _idle(loss, optimizer):
    """Nothing moves: step left out, backward left out, or the gradient wiped between them."""


_GRADIENT = (
    "a gradient flows into the target network, and the optimiser moves it: it comes to meet the predictions, instead of giving them something to aim at. "
    "Compute the targets under torch.no_grad()."
)
_PREDICTED = "the predictor is on both sides: the target has none. Its job is to guess target(view), so it belongs to the online network alone."
_OWN_VIEW = "the predictions are paired with their own views' targets: nothing has to be seen through, so nothing is learned. Cross over: p1 with target2, p2 with target1."
_ONE_DIRECTION = "one direction only: add the same term with the views exchanged, distance of p2 from target1."
_FROM_ONLINE = "the targets come from the online network; its slow copy `target` is never asked. (With a stopped gradient that is SimSiam; here BYOL is wanted.)"
_ROLES = "the roles are swapped: the online network is overwritten with the target, and what it has just learned is lost. ema_update(target, online, momentum)."
MISTAKES: tuple[tuple[str, dict], ...] = (
    (_GRADIENT, {"targets": _targets_with_gradient}),
    (_PREDICTED, {"targets": _targets_predicted}),
    (f"{_PREDICTED} And {_GRADIENT}", {"targets": _targets_predicted_with_gradient}),
    (_FROM_ONLINE, {"targets": _targets_online}),
    (f"{_FROM_ONLINE} And {_GRADIENT}", {"targets": _targets_online_with_gradient}),
    (
        "the predictor is not used: without it nothing sets the two networks apart, and they agree on one point for all.",
        {"predictions": lambda v1, v2, online, q: (online(v1), online(v2))},
    ),
    (_OWN_VIEW, {"loss": lambda p1, p2, t1, t2: distance(p1, t1) + distance(p2, t2)}),
    (_ONE_DIRECTION, {"loss": lambda p1, p2, t1, t2: distance(p1, t2)}),
    (_ONE_DIRECTION, {"loss": lambda p1, p2, t1, t2: distance(p2, t1)}),
    ("twice too small: the two directions are added, not averaged.", {"loss": lambda *batch: _cross(*batch) / 2}),
    (
        "the target never moves: after the optimiser's step call ema_update(target, online, momentum).",
        {"drift": lambda target, online, momentum: None},
    ),
    (_ROLES, {"drift": lambda target, online, momentum: ema_update(online, target, momentum)}),
    (
        "momentum and its rest are exchanged: the target keeps the share `momentum` of itself and takes 1 - momentum of the online network.",
        {"drift": lambda target, online, momentum: ema_update(target, online, 1 - momentum)},
    ),
    (
        "the target is a copy of the online network, not a slow one: its momentum is 0. Hand on `momentum`.",
        {"drift": lambda target, online, momentum: ema_update(target, online, 0)},
    ),
    (
        "only the encoder drifts; the target's projector stays where it was. Update all of the target.",
        {"drift": lambda target, online, momentum: ema_update(target[0], online[0], momentum)},
    ),
    (
        "the target drifts before the optimiser's step, towards weights that are about to change; the online network learns first.",
        {"drift_first": True},
    ),
    (
        "gradients accumulate: without optimizer.zero_grad() each step adds its gradient to those of all steps before.",
        {"update": _accumulate},
    ),
    (
        "the online weights do not move: optimizer.zero_grad(), loss.backward(), optimizer.step(), all three and in this order.",
        {"update": _idle},
    ),
)  # sentence, the parts of the step that are done wrongly
