"""The checks of lesson 05: every right form passes; wrong ones are named, or shown with what was observed."""

import copy
import functools
import math
from importlib import import_module
from pathlib import Path

import jupytext
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from cl_course import checks
from cl_course.lessons.shared.exercise import ExerciseError
from cl_course.losses import byol_loss
from cl_course.momentum import ema_update

SOURCE = Path(checks.__file__).parents[1] / "notebooks" / "src" / "05_byol.py"
NAMES = ("byol_loss", "byol_gradients", "byol_step", "effective_rank", "rising_momentum")


def check_right(name, attempt):
    verdict = getattr(checks, name).judge(attempt)
    assert verdict.passed, verdict.sentence


def check_wrong(name, attempt, phrase):
    verdict = getattr(checks, name).judge(attempt)
    assert not verdict.passed
    assert phrase in verdict.sentence, verdict.sentence


def each(cases):
    return pytest.mark.parametrize("attempt", cases.values(), ids=cases.keys())


def each_wrong(cases):
    return pytest.mark.parametrize(("attempt", "phrase"), cases.values(), ids=cases.keys())


# The loss.
unit = F.normalize


def sim(a, b):
    return F.cosine_similarity(a, b, dim=1)


def both(term, detach=True):
    """A loss from the term of one direction, added over both."""

    def attempt(p1, p2, t1, t2):
        t1, t2 = (t1.detach(), t2.detach()) if detach else (t1, t2)
        return term(p1, t2) + term(p2, t1)

    return attempt


def by_einsum(p1, p2, target1, target2):
    p, z = (unit(torch.stack(pair), dim=-1) for pair in ((p1, p2), (target2.detach(), target1.detach())))
    return 4 - 2 * torch.einsum("vnd,vnd->vn", p, z).sum(dim=0).mean()


def by_loops(p1, p2, target1, target2):
    total = 0.0
    for a, b, c, d in zip(p1, p2, target1.detach(), target2.detach()):
        total = total + 4 - 2 * (a @ d) / (a.norm() * d.norm()) - 2 * (b @ c) / (b.norm() * c.norm())
    return total / len(p1)


def by_no_grad(p1, p2, target1, target2):
    with torch.no_grad():
        z = unit(torch.cat([target2, target1]), dim=-1)
    return 2 * (unit(torch.cat([p1, p2])) - z).square().sum(dim=1).mean()


def detaching_in_place(p1, p2, target1, target2):
    target1.detach_(), target2.detach_()
    return 4 - 2 * (sim(p1, target2) + sim(p2, target1)).mean()


class AsObject:
    def __call__(self, pred_a, pred_b, aim_a, aim_b):
        return byol_loss(pred_a, aim_b.detach()) + byol_loss(pred_b, aim_a.detach())


RIGHT_LOSSES = {
    "einsum, stacked": by_einsum,
    "loops": by_loops,
    "under no_grad": by_no_grad,
    "detach in place": detaching_in_place,
    "an object": AsObject(),
    "partial": functools.partial(lambda scale, *batch: scale * by_loops(*batch), 1),
    "double": lambda *batch: by_loops(*(x.double() for x in batch)),
    "shape (1,)": lambda *batch: by_loops(*batch).reshape(1),
    "mse times d": both(lambda p, t: p.shape[1] * F.mse_loss(unit(p), unit(t))),
    "trace": both(lambda p, t: 2 - 2 * (unit(p) @ unit(t).T).trace() / len(p)),
    "embedding loss": both(lambda p, t: 2 * F.cosine_embedding_loss(p, t, torch.ones(len(p)))),
}


@each(RIGHT_LOSSES)
def test_right_losses(attempt):
    check_right("byol_loss", attempt)


def with_lengths_of_all(p, t):
    return (p / p.norm() - t / t.norm()).square().sum(dim=1).mean()


def in_place(p1, p2, t1, t2):
    p1 /= p1.norm(dim=1, keepdim=True)
    return by_loops(p1, p2, t1, t2)


def own_view(p1, p2, t1, t2):
    return byol_loss(p1, t1.detach()) + byol_loss(p2, t2.detach())


def one(p1, p2, t1, t2):
    return byol_loss(p1, t2.detach())


INTO_TARGETS, NOT_INTO = "a gradient flows into target1", "no gradient reaches p1 and p2"
WRONG_LOSSES = {  # known ones
    "1 - s": (both(lambda p, t: (1 - sim(p, t)).mean()), "a factor 1/2 too much"),
    "averaged": (lambda *b: by_loops(*b) / 2, "a factor 1/2 too much"),
    "constant 2 for both": (lambda *b: by_loops(*b) - 2, "the constant is half of what it should be"),
    "mean of one term only": (
        lambda p1, p2, t1, t2: 4 - 2 * sim(p1, t2.detach()).mean() - 2 * sim(p2, t1.detach()),
        "your answer has the shape (3,)",
    ),
    "own view": (own_view, "paired with the wrong views"),
    "own view, averaged": (lambda *b: own_view(*b) / 2, "two things at once. First: the predictions are paired"),
    "one direction": (one, "p2 with target1 is not"),
    "one twice": (lambda *b: 2 * one(*b), "counted twice"),
    "no detach": (both(byol_loss, detach=False), f"{INTO_TARGETS} and target2"),
    "one detached": (lambda p1, p2, t1, t2: byol_loss(p1, t2.detach()) + byol_loss(p2, t1), INTO_TARGETS),
    "p detached": (lambda p1, p2, t1, t2: by_einsum(t2, t1, p2, p1), f"{NOT_INTO}, so"),
    "all detached": (lambda *b: by_loops(*(x.detach() for x in b)), NOT_INTO),
    "a float": (lambda *b: by_loops(*b).item(), NOT_INTO),
    "both predicted": (lambda p1, p2, t1, t2: 2 * byol_loss(p1, p2.detach()), "the predictor is on both sides"),
    "SimSiam's": (both(lambda p, t: -sim(p, t).mean() / 2), "SimSiam's loss"),
    "sign": (both(lambda p, t: 2 + 2 * sim(p, t).mean()), "the sign in front of s"),
    "similarity": (both(lambda p, t: sim(p, t).mean()), "the cosine similarity itself"),
    "mse": (both(F.mse_loss), "not normalised"),
    "mse of units": (both(lambda p, t: F.mse_loss(unit(p), unit(t))), "a factor 1 / d too much"),
    "target not normalised": (both(lambda p, t: 2 - 2 * (unit(p) * t).sum(dim=1).mean()), "only the predictions"),
    "prediction not": (both(lambda p, t: (p - unit(t)).square().sum(dim=1).mean()), "only the targets"),
    "columns": (both(lambda p, t: 2 - 2 * F.cosine_similarity(p, t, dim=0).mean()), "down the columns"),
    "summed": (both(lambda p, t: (2 - 2 * sim(p, t)).sum()), "a factor n too much"),
    "each image": (both(lambda p, t: 2 - 2 * sim(p, t)), "one value for each image"),
    "a pair": (lambda p1, p2, t1, t2: (byol_loss(p1, t2), byol_loss(p2, t1)), "two values came back"),
    "distance": (both(lambda p, t: (unit(p) - unit(t)).norm(dim=1).mean()), "not squared"),
    "stops": (lambda p1, p2, t1, t2: p1 @ t2, "your code stopped with RuntimeError"),
    # not in the list of mistakes
    "angle": (both(lambda p, t: sim(p, t).acos().mean()), "0.000, 2.094, 3.142, 6.283; expected 0, 2, 4, 8"),
    "(1 - s) squared": (both(lambda p, t: (1 - sim(p, t)).square().mean()), "0.000, 0.500, 2.000, 8.000"),
    "clamped": (both(lambda p, t: 2 - 2 * sim(p, t).clamp(0, 1).mean()), "0.000, 2.000, 4.000, 4.000"),
    "all pairs of a batch": (both(lambda p, t: 2 - 2 * (unit(p) @ unit(t).T).mean()), "images are not kept apart"),
    "InfoNCE": (both(lambda p, t: F.cross_entropy(unit(p) @ unit(t).T, torch.arange(len(p)))), "not kept apart"),
    "next image": (both(lambda p, t: byol_loss(p, t.roll(1, dims=0))), "not kept apart"),
    "centred": (both(lambda p, t: byol_loss(p - p.mean(dim=0), t - t.mean(dim=0))), "not kept apart"),
    "flattened": (both(lambda p, t: 2 - 2 * F.cosine_similarity(p.flatten(), t.flatten(), dim=0)), "lengths count"),
    "softmax": (both(lambda p, t: -(t.softmax(dim=1) * p.log_softmax(dim=1)).sum(dim=1).mean()), "lengths count"),
    "one length for all": (both(with_lengths_of_all), "lengths count"),
    "3 typed in": (lambda *b: by_loops(*b) * len(b[0]) / 3, "with each image twice in the batch"),
    "5 typed in": (both(lambda p, t: 5 * F.mse_loss(unit(p), unit(t))), "three dimensions more"),
    "larger direction": (lambda p1, p2, t1, t2: 2 * max(byol_loss(p1, t2), byol_loss(p2, t1)), "these pairs: none"),
    "means of both": (lambda p1, p2, t1, t2: 2 * byol_loss(p1 + p2, t1 + t2), "p1 with target1, p1 with target2"),
    "plus 1": (lambda *b: by_loops(*b) + 1, "plus 1.0000"),
    "times 3": (lambda *b: by_loops(*b) * 3, "times 3"),
    "in place": (in_place, "you changed p1 in place"),
}


@each_wrong(WRONG_LOSSES)
def test_wrong_losses(attempt, phrase):
    check_wrong("byol_loss", attempt, phrase)


def test_a_loss_of_shape_1_gets_a_friendly_note():
    assert "shape (1,)" in str(checks.byol_loss.judge(RIGHT_LOSSES["shape (1,)"]))


# The gradients.
def by_formula(p, target, stop_gradient):
    u, v = unit(p, dim=0), unit(target, dim=0)
    to_target = torch.zeros_like(target) if stop_gradient else -2 * (u - (u @ v) * v) / target.norm()
    return -2 * (v - (u @ v) * u) / p.norm(), to_target


def term(p, target):
    return 2 - 2 * F.cosine_similarity(p, target, dim=0)


def by_backward(p, target, stop_gradient):
    p, target = p.requires_grad_(), target.requires_grad_()
    term(p, target.detach() if stop_gradient else target).backward()
    return p.grad, target.grad  # None where nothing flows


def by_projection(p, target, stop_gradient):
    u, v, one = unit(p, dim=0), unit(target, dim=0), torch.eye(len(p))
    to_p = -2 / p.norm() * (one - torch.outer(u, u)) @ v
    return to_p, (not stop_gradient) * (-2 / target.norm()) * (one - torch.outer(v, v)) @ u


def by_differences(p, target, stop_gradient):
    p, target, small = p.double(), target.double(), 1e-5 * torch.eye(len(p)).double()
    to_p = torch.stack([(term(p + e, target) - term(p - e, target)) / 2e-5 for e in small])
    to_target = torch.stack([(term(p, target + e) - term(p, target - e)) / 2e-5 for e in small])
    return torch.stack([to_p, 0 * to_target if stop_gradient else to_target])


RIGHT_GRADIENTS = {
    "formula": by_formula,
    "backward, None for nothing": by_backward,
    "projection": by_projection,
    "differences, double, stacked": by_differences,
    "0 for nothing": lambda p, t, stop: [by_formula(p, t, stop)[0], 0 if stop else by_formula(p, t, stop)[1]],
    "numpy": lambda p, t, stop: tuple(g.numpy() for g in by_formula(p, t, stop)),
    "lists": lambda p, t, stop: tuple(g.tolist() for g in by_formula(p, t, stop)),
    "partial": functools.partial(lambda f, *given: f(*given), by_formula),
}


@each(RIGHT_GRADIENTS)
def test_right_gradients(attempt):
    check_right("byol_gradients", attempt)


def gradients(to_p, to_target, stopped="0 * t"):
    """From what p's and the target's gradient are: u, v of length 1, s their product."""
    scope = {"torch": torch, "unit": unit}
    lines = "u, v = unit(p, dim=0), unit(t, dim=0); s = u @ v"
    exec(f"def attempt(p, t, stop):\n {lines}\n return {to_p}, ({stopped} if stop else {to_target})", scope)  # noqa: S102
    return scope["attempt"]


P, T = "-2 * (v - s * u) / p.norm()", "-2 * (u - s * v) / t.norm()"
WRONG_GRADIENTS = {
    "sign": (gradients("2 * (v - s * u) / p.norm()", "2 * (u - s * v) / t.norm()"), "sign is turned round"),
    "no length": (gradients("-2 * (v - s * u)", "-2 * (u - s * v)"), "division by the length is missing"),
    "not across": (gradients("-2 * v / p.norm()", "-2 * u / t.norm()"), "part along p itself is not taken away"),
    "of s": (gradients("(v - s * u) / p.norm()", "(u - s * v) / t.norm()"), "gradient of s itself"),
    "always flows": (gradients(P, T, stopped=T), "stop_gradient makes no difference"),
    "never flows": (gradients(P, "0 * t"), "the target never gets a gradient"),
    "turned round": (gradients(P, "0 * t", stopped=T), "stop_gradient is turned round"),
    "exchanged": (lambda *given: by_formula(*given)[::-1], "exchanged"),
    "minus p's": (gradients(P, f"-({P})"), "minus that of p"),
    # not in the list of mistakes
    "target's sign": (gradients(P, f"-({T})"), "your gradient of target is [1.28, -0.96], expected [-1.28, 0.96]"),
    "target's length": (gradients(P, "-2 * (u - s * v)"), "with target twice as long its gradient should be half"),
    "target not across": (gradients(P, "-2 * u / t.norm()"), "all gradients are 0 there"),
    "of the squared distance": (gradients("2 * (p - t)", "2 * (t - p)"), "all gradients are 0 there"),
    "p @ t for s": (gradients("-2 * (v - p @ t * u) / p.norm()", "-2 * (u - p @ t * v) / t.norm()"), "point the same"),
    "s squared": (gradients("-2 * (v - s * s * u) / p.norm()", T), "and its part along p is -0.240"),
    "ones": (gradients(P, T, stopped="0 * t + 1"), "the target's gradient is [1, 1]; it should be zeros"),
    "half stopped": (gradients(P, T, stopped=f"{T} * 0.5"), "it should be zeros"),
    "length 1": (gradients("-2 * unit(v - s * u, dim=0)", T), "with p twice as long its gradient should be half"),
    "safe": (gradients("-2 * (v - s * u) / (p.norm() + 0.1)", T), "with p twice as long"),
    "twice when stopped": (gradients(f"(1 + stop) * {P}", T), "changes nothing for p"),
    "matrices": (gradients("-2 * torch.outer(u, v)", "-2 * torch.outer(v, u)"), "has the shape (3, 3), expected (3,)"),
    "numbers": (gradients("-2 * s", "-2 * s"), "has the shape (), expected (3,)"),
    "three": (lambda *given: (*by_formula(*given), 0), "3 values came back"),
    "a step": (gradients(f"p - ({P})", f"t - ({T})"), "all gradients are 0 there"),
    "in place": (lambda p, t, stop: by_formula(p.div_(p.norm()), t, stop), "you changed p or target in place"),
}


@each_wrong(WRONG_GRADIENTS)
def test_wrong_gradients(attempt, phrase):
    check_wrong("byol_gradients", attempt, phrase)


# The step, written out by hand: no code shared with the check's own mistakes. A case says which lines differ.
TEMPLATE = """
def attempt(view1, view2, online, predictor, target, optimizer, momentum):
    {predict}
    {aim}
    {loss}
    {update}
    {drift}
    return {answer}
"""
LINES = {
    "predict": "p1, p2 = predictor(online(view1)), predictor(online(view2))",
    "aim": "target1, target2 = target(view1).detach(), target(view2).detach()",
    "loss": "loss = byol_loss(p1, target2) + byol_loss(p2, target1)",
    "update": "optimizer.zero_grad(); loss.backward(); optimizer.step()",
    "drift": "ema_update(target, online, momentum)",
    "answer": "loss, online[0]",
}


def step(**lines):
    scope = {"byol_loss": byol_loss, "ema_update": ema_update, "torch": torch, "F": F, "copy": copy, "nn": nn}
    exec(TEMPLATE.format(**LINES | lines), scope)  # noqa: S102 - lines of this file
    return scope["attempt"]


BOTH = "views = torch.cat([view1, view2]); p1, p2 = predictor(online(views)).chunk(2)"
WEIGHTS = "for a, b in zip(target.state_dict().values(), online.state_dict().values()): "
TWO_BACKWARD = "byol_loss(p1, target2).backward(retain_graph=True); byol_loss(p2, target1).backward()"
RIGHT_STEPS = {
    "two passes": step(answer="[loss.item(), online[0]]"),
    "one pass": step(predict=BOTH, aim="target1, target2 = target(views).detach().chunk(2)"),
    "zero_grad last": step(update="loss.backward(); optimizer.step(); optimizer.zero_grad()"),
    "average by hand": step(drift=WEIGHTS + "a.mul_(momentum).add_(b, alpha=1 - momentum)"),
    "frozen instead of no_grad": step(
        aim="target.requires_grad_(False); target1, target2 = target(view1), target(view2)"
    ),
    "part by part": step(predict="p1, p2 = (predictor(online[1](online[0](v))) for v in (view1, view2))"),
    "cosine": step(
        loss="loss = (4 - 2 * F.cosine_similarity(p1, target2) - 2 * F.cosine_similarity(p2, target1)).mean()"
    ),
    "two backwards": step(update=f"optimizer.zero_grad(); {TWO_BACKWARD}; optimizer.step()"),
    "a copy is kept": step(answer="loss.double().reshape(1), copy.deepcopy(online[0])"),
}


@each(RIGHT_STEPS)
def test_right_steps(attempt):
    check_right("byol_step", attempt)


def targets(expression):
    return step(aim=f"target1, target2 = ({expression} for view in (view1, view2))")


WRONG_STEPS = {
    "gradient": (targets("target(view)"), "a gradient flows into the target network"),
    "predicted": (targets("predictor(target(view)).detach()"), "the predictor is on both sides"),
    "from online": (targets("online(view).detach()"), "the targets come from the online network"),
    "no predictor": (step(predict="p1, p2 = online(view1), online(view2)"), "the predictor is not used"),
    "own views": (step(loss="loss = byol_loss(p1, target1) + byol_loss(p2, target2)"), "own views' targets"),
    "one direction": (step(loss="loss = byol_loss(p1, target2)"), "one direction only: byol_loss(p1, target2)"),
    "halved": (step(loss=LINES["loss"] + "; loss = loss / 2"), "a factor 1/2 too much"),
    "no drift": (step(drift="pass"), "the target never moves"),
    "roles": (step(drift="ema_update(online, target, momentum)"), "roles are swapped"),
    "exchanged": (step(drift="ema_update(target, online, 1 - momentum)"), "are exchanged"),
    "copied": (step(drift="target.load_state_dict(online.state_dict())"), "becomes a copy of the online network"),
    "encoder alone": (step(drift="ema_update(target[0], online[0], momentum)"), "only the encoder drifts"),
    "drift first": (step(update=f"{LINES['drift']}; {LINES['update']}", drift="pass"), "before the optimiser's step"),
    "accumulated": (step(update="loss.backward(); optimizer.step()"), "gradients accumulate"),
    "step first": (step(update="optimizer.step(); optimizer.zero_grad(); loss.backward()"), "autograd refuses"),
    "nothing moves": (step(update="loss.backward(); optimizer.zero_grad(); optimizer.step()"), "do not move"),
    "no way back": (step(predict="p1, p2 = predictor(online(view1)).detach(), online(view2).detach()"), "no gradient"),
    "target kept": (step(answer="loss, target[0]"), "you return the target's encoder"),
    "loss alone": (step(answer="loss"), "the loss alone came back"),
    "order of answers": (step(answer="online[0], loss"), "exchanged"),
    "views for z": (step(predict="p1, p2 = predictor(view1), predictor(view2)"), "the predictor is called on a view"),
    "backward twice": (step(update="loss.backward(); loss.backward(); optimizer.step()"), "twice on one loss"),
    "two things": (
        step(loss="loss = byol_loss(p1, target1) + byol_loss(p2, target2)", drift="pass"),
        "two things at once. First: the predictions are paired",
    ),
    # not in the list of mistakes
    "0.99 typed in": (step(drift="ema_update(target, online, 0.99)"), "becomes 0.99 times itself plus 0.01 times"),
    "added": (step(drift=WEIGHTS + "a.add_(b, alpha=momentum)"), "becomes 1.00 times itself plus 0.70 times"),
    "not times 1 - m": (step(drift=WEIGHTS + "a.mul_(momentum).add_(b)"), "becomes 0.70 times itself plus 1.00"),
    "both ways": (step(drift="ema_update(target, online, 0.7); ema_update(online, target, 0.7)"), "becomes 0.62 times"),
    "one target predicted": (
        step(aim="target1, target2 = predictor(target(view1)).detach(), target(view2).detach()"),
        "the predictor is called on 6 rows (3 times)",
    ),
    "another view": (step(predict="p1, p2 = (predictor(online(v)) for v in (view1.flip(3), view2))"), "6 other images"),
    "one prediction detached": (
        step(predict="p1, p2 = predictor(online(view1)), predictor(online(view2)).detach()"),
        "moves as if byol_loss(p1, target2) alone were in the loss",
    ),
    "z detached": (
        step(predict="p1, p2 = predictor(online(view1).detach()), predictor(online(view2).detach())"),
        "where they were: online encoder, online projector",
    ),
    "predictor left out": (
        step(update="optimizer.zero_grad(); loss.backward(); predictor.zero_grad(); optimizer.step()"),
        "where they were: predictor",
    ),
    "clipped": (
        step(update="optimizer.zero_grad(); (loss / 3).backward(); optimizer.step()"),
        "move 0.333 times as far as they should",
    ),
    "online alone reset": (step(update="loss.backward(); optimizer.step(); online.zero_grad()"), "after step 2 these"),
    "loss of the end": (
        step(answer="byol_loss(predictor(online(view1)), target2) + byol_loss(p2, target1), online[0]"),
        "called on view1 (2 times), view2",
    ),
    "one term returned": (step(answer="byol_loss(p1, target2), online[0]"), "the loss that you return for the first"),
    "predictor kept": (step(answer="loss, predictor"), "as encoder predictor, expected the online encoder"),
    "three returned": (step(answer="loss, online[0], target[0]"), "3 values came back"),
    "n times": (step(loss=LINES["loss"] + "; loss = loss * len(view1)"), "the loss that you return for the first"),
}


@each_wrong(WRONG_STEPS)
def test_wrong_steps(attempt, phrase):
    check_wrong("byol_step", attempt, phrase)


def test_the_step_leaves_random_numbers_and_threads_alone():
    torch.manual_seed(3)
    expected, threads = torch.rand(4), torch.get_num_threads()
    torch.manual_seed(3)
    for name, attempt in (("byol_step", RIGHT_STEPS["one pass"]), ("byol_loss", by_loops), ("effective_rank", rank)):
        check_right(name, attempt)
    assert torch.equal(torch.rand(4), expected) and torch.get_num_threads() == threads


# The effective rank.
def shares(z):
    values = torch.linalg.svdvals(z)
    return values / values.sum()


def rank(z):
    return torch.special.entr(shares(z)).sum().exp()


def rank_in_numpy(z):
    share = np.linalg.svd(z.numpy(), compute_uv=False)
    share = share[share > 0] / share.sum()
    return 2 ** -(share * np.log2(share)).sum()


def rank_by_loop(z):
    values = torch.linalg.svdvals(z).tolist()
    return math.exp(-sum(v / sum(values) * math.log(v / sum(values)) for v in values if v > 0))


RIGHT_RANKS = {
    "entr": rank,
    "numpy, base 2": rank_in_numpy,
    "loop": rank_by_loop,
    "transposed": lambda z: rank(z.T),
    "eigenvalues": lambda z: (
        torch.special.entr((e := torch.linalg.eigvalsh(z.T @ z).clamp(min=0).sqrt()) / e.sum()).sum().exp()
    ),
    "Categorical, shape (1,)": lambda z: torch.distributions.Categorical(torch.linalg.svdvals(z)).entropy().exp()[None],
    "a tiny number added": lambda z: torch.exp(-(shares(z) * (shares(z) + 1e-12).log()).sum()),
    "xlogy, double": lambda z: torch.exp(-torch.xlogy(shares(z.double()), shares(z.double())).sum()),
}


@each(RIGHT_RANKS)
def test_right_ranks(attempt):
    check_right("effective_rank", attempt)


def exp_entropy(share):
    return torch.special.entr(share).sum().exp()


WRONG_RANKS = {
    "no exp": (lambda z: torch.special.entr(shares(z)).sum(), "the exponential is missing"),
    "0 log 0": (lambda z: torch.exp(-(shares(z) * shares(z).log()).sum()), "not a finite number, expected 1"),
    "squared": (lambda z: exp_entropy(torch.linalg.svdvals(z) ** 2 / z.square().sum()), "squared singular values"),
    "centred": (lambda z: rank(z - z.mean(dim=0)), "the mean is taken away first"),
    "rows normalised": (lambda z: rank(unit(z)), "each row is made length 1"),
    "log2": (lambda z: torch.exp(-(shares(z) * shares(z).log2()).sum()), "the logarithm has base 2"),
    "rank": (torch.linalg.matrix_rank, "your answer is the rank of z"),
    "softmax": (lambda z: exp_entropy(torch.linalg.svdvals(z).softmax(dim=0)), "a softmax makes the shares"),
    # not in the list of mistakes
    "log10": (lambda z: torch.exp(-(shares(z) * shares(z).log10()).sum()), "[1.351, 1.611, 1.826], expected 2, 3, 4"),
    "correlation": (lambda z: rank(torch.corrcoef(z.T)), "[1, 2, 3], expected 2, 3, 4"),
    "rows centred": (lambda z: rank(z - z.mean(dim=1, keepdim=True)), "[1, 2, 3], expected 2, 3, 4"),
    "by n": (lambda z: rank(z) / len(z), "[1, 1, 1], expected 2, 3, 4"),
    "condition": (lambda z: 1 / (shares(z).min() / shares(z).max()), "[1, 1, 1], expected 2, 3, 4"),
    "three only": (lambda z: exp_entropy(unit(torch.linalg.svdvals(z)[:3], p=1, dim=0)), "[2, 3, 3], expected 2, 3, 4"),
    "number above a tenth": (lambda z: (shares(z) > shares(z).max() / 10).sum(), "expected 1.7548"),
    "softmax of squares": (lambda z: exp_entropy((torch.linalg.svdvals(z) ** 2).softmax(dim=0)), "with z ten times"),
    "sums of columns": (lambda z: exp_entropy(z.abs().sum(dim=0) / z.abs().sum()), "turned by the same angle"),
    "singular vectors": (lambda z: exp_entropy((u := torch.linalg.svd(z)[0].abs().flatten()) / u.sum()), "expected 1."),
    "plus 1": (lambda z: rank(z) + 1, "plus 1.0000"),
    "0.001 for safety": (lambda z: exp_entropy((v := torch.linalg.svdvals(z)) / (v.sum() + 1e-3)), "added for safety"),
    "stable rank": (lambda z: z.norm() ** 2 / torch.linalg.svdvals(z).max() ** 2, "your answer is 1.1111, expected"),
    "in place": (lambda z: rank(z.sub_(z.mean(dim=0))), "you changed z in place"),
    "stops": (torch.linalg.eigvals, "your code stopped with RuntimeError"),
    "each": (lambda z: torch.special.entr(shares(z)).exp(), "no single finite number"),
}


@each_wrong(WRONG_RANKS)
def test_wrong_ranks(attempt, phrase):
    check_wrong("effective_rank", attempt, phrase)


# The schedule.
def momentum(k, total, start):
    return 1 - (1 - start) * (1 + math.cos(math.pi * k / total)) / 2


RIGHT_MOMENTA = {
    "formula": momentum,
    "from start": lambda k, total, m: m + (1 - m) * (1 - math.cos(math.pi * k / total)) / 2,
    "sine squared": lambda k, total, m: m + (1 - m) * math.sin(math.pi * k / total / 2) ** 2,
    "tensor": lambda k, total, m: 1 - (1 - m) * (1 + torch.cos(torch.tensor(math.pi * k / total))) / 2,
    "numpy, shape (1,)": lambda *given: np.array([momentum(*given)]),
    "degrees made radians": lambda k, total, m: 1 - (1 - m) * (1 + math.cos(math.radians(180 * k / total))) / 2,
    "cut at the end": lambda step, total_steps, start: momentum(min(step, total_steps), total_steps, start),
}


@each(RIGHT_MOMENTA)
def test_right_momenta(attempt):
    check_right("rising_momentum", attempt)


def rises(shape):
    """From a curve of k / total that goes from 0 to 1."""
    return lambda k, total, m: m + (1 - m) * shape(k / total)


WRONG_MOMENTA = {
    "line": (rises(lambda x: x), "in a straight line"),
    "constant": (lambda k, total, m: m, "stays at its start"),
    "not halved": (lambda k, total, m: 1 - (1 - m) * (1 + math.cos(math.pi * k / total)), "the cosine is not halved"),
    "whole": (lambda k, total, m: momentum(2 * k, total, m), "a whole cosine"),
    "falls": (lambda k, total, m: m * (1 + math.cos(math.pi * k / total)) / 2, "falls from `start` to 0"),
    "total - 1": (lambda k, total, m: momentum(k, total - 1, m), "divide by total_steps - 1"),
    "1 - m": (lambda *given: 1 - momentum(*given), "this is 1 - m"),
    "//": (lambda k, total, m: momentum(k // total, 1, m), "// cuts off"),
    # not in the list of mistakes
    "both one more": (lambda k, total, m: momentum(k + 1, total + 1, m), "should begin at 0.8"),
    "sine": (rises(lambda x: math.sin(math.pi * x / 2)), "yours is 0.941421"),
    "sine and back": (rises(lambda x: math.sin(math.pi * x)), "should end at 1"),
    "square": (rises(lambda x: 1 - (1 - x) ** 2), "yours is 0.95"),
    "exponential": (rises(lambda x: 1 - math.exp(-x)), "should end at 1"),
    "smoothstep": (rises(lambda x: 3 * x**2 - 2 * x**3), "0.8313, 0.9000, 0.9688, 1.0000; expected"),
    "rounded": (lambda *given: round(momentum(*given), 3), "0.8290, 0.9000, 0.9710"),
    "20 typed in": (lambda k, total, m: momentum(k, 20, m), "right for total_steps 20 and start 0.8, but"),
    "0.8 typed in": (lambda k, total, m: momentum(k, total, 0.8), "right for total_steps 20 and start 0.8, but"),
    "3.14": (lambda k, total, m: 1 - (1 - m) * (1 + math.cos(3.14 * k / total)) / 2, "yours is 0.89992"),
    "brackets": (lambda k, total, m: 1 - (1 - m) + math.cos(math.pi * k / total) / 2, "should begin at 0.8"),
    "a jump": (lambda k, total, m: m if 2 * k < total else 1.0, "yours is 1"),
    "never 1": (lambda *given: min(momentum(*given), 0.999), "should end at 1"),
    "all of them": (lambda k, total, m: [momentum(i, total, m) for i in range(total)], "no single finite number"),
}


@each_wrong(WRONG_MOMENTA)
def test_wrong_momenta(attempt, phrase):
    check_wrong("rising_momentum", attempt, phrase)


# All five.
@pytest.mark.parametrize("name", NAMES)
def test_no_two_sentences_share_an_observation(name):
    """Otherwise one mistake would be named as another."""
    exercise = getattr(checks, name)
    module = import_module(type(exercise).__module__)
    seen = [
        (mistake.sentence, module.observed(exercise.observe, exercise.make(**mistake.parts)))
        for mistake in exercise.mistakes
    ]
    right = exercise.observe(exercise.make())
    for place, (sentence, observation) in enumerate(seen):
        assert not module.same(observation, right), sentence
        for other, earlier in seen[:place]:
            assert sentence == other or not module.same(observation, earlier), (sentence, other)


@pytest.mark.parametrize("name", NAMES)
def test_stubs_are_not_attempted(name, capsys, monkeypatch):
    def stub(*arguments): ...

    def refuses(*arguments):
        raise NotImplementedError

    check = getattr(checks, name)
    for attempt in (stub, refuses):
        monkeypatch.delenv("CL_COURSE_STRICT", raising=False)
        check(attempt)
        assert "not attempted yet" in capsys.readouterr().out
        monkeypatch.setenv("CL_COURSE_STRICT", "1")
        with pytest.raises(ExerciseError, match="not attempted"):
            check(attempt)


@pytest.mark.parametrize("name", NAMES)
def test_the_lessons_solutions_pass_and_wrong_ones_raise(name, capsys, monkeypatch):
    mine = f"my_{name.removeprefix('rising_')}" if name != "byol_gradients" else "my_gradients"
    cell = next(c for c in jupytext.read(SOURCE, fmt="py:percent").cells if f"def {mine}(" in c.source)
    scope = {"byol_loss": byol_loss, "ema_update": ema_update, "torch": torch, "F": F, "math": math}
    exec(cell.source, scope)  # noqa: S102 - the course's own cell
    monkeypatch.setenv("CL_COURSE_STRICT", "1")
    getattr(checks, name)(scope[mine])
    assert capsys.readouterr().out.startswith(f"✔ {mine}")
    with pytest.raises(ExerciseError, match=mine):
        getattr(checks, name)(lambda *arguments: 7.0)
