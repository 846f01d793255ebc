"""The checks of lesson 05: they pass every right form, and name every planted mistake."""

from importlib import import_module
from pathlib import Path

import jupytext
import pytest
import torch
import torch.nn.functional as F

from cl_course import checks
from cl_course.lessons.shared.exercise import ExerciseError
from cl_course.losses import byol_loss
from cl_course.momentum import ema_update

loss_module, step_module = (
    import_module(f"cl_course.lessons.byol.check_{name}") for name in ("byol_loss", "byol_step")
)  # as attributes they are the functions
SOURCE = loss_module.__file__.replace("cl_course/lessons/byol/check_byol_loss.py", "notebooks/src/05_byol.py")


# The loss: right, in different ways.
def by_distance(p1, p2, target1, target2):
    p1, p2, z1, z2 = (x / x.norm(dim=1, keepdim=True) for x in (p1, p2, target1.detach(), target2.detach()))
    return ((p1 - z2) ** 2).sum(dim=1).mean() + ((p2 - z1) ** 2).sum(dim=1).mean()


def by_cosine(p1, p2, target1, target2):
    with torch.no_grad():
        z = F.normalize(torch.cat([target2, target1]), dim=-1)
    return 4 - 4 * (F.normalize(torch.cat([p1, p2]), dim=-1) * z).sum(dim=1).mean()


def detaching_in_place(p1, p2, target1, target2):
    target1.detach_(), target2.detach_()
    return 2 - 2 * F.cosine_similarity(p1, target2).mean() + 2 - 2 * F.cosine_similarity(p2, target1).mean()


@pytest.mark.parametrize("solution", [by_distance, by_cosine, detaching_in_place])
def test_right_losses_pass(solution, capsys, monkeypatch):
    monkeypatch.setenv("CL_COURSE_STRICT", "1")
    checks.byol_loss(solution)
    assert capsys.readouterr().out.startswith("✔ my_byol_loss")


# Wrong, as learners write it.
def sim(a, b):
    return F.cosine_similarity(a, b, dim=1)


WRONG_LOSSES = [
    (
        "own views",
        lambda p1, p2, t1, t2: 4 - 2 * sim(p1, t1.detach()).mean() - 2 * sim(p2, t2.detach()).mean(),
        "wrong views",
    ),
    ("one direction", lambda p1, p2, t1, t2: 2 - 2 * sim(p1, t2.detach()).mean(), "one direction only"),
    ("the other direction", lambda p1, p2, t1, t2: 2 - 2 * sim(p2, t1.detach()).mean(), "one direction only"),
    ("twice the same", lambda p1, p2, t1, t2: 4 - 4 * sim(p1, t2.detach()).mean(), "counted twice"),
    (
        "gradient into targets",
        lambda p1, p2, t1, t2: byol_loss(p1, t2) + byol_loss(p2, t1),
        "gradient flows into the targets",
    ),
    (
        "one target detached",
        lambda p1, p2, t1, t2: 4 - 2 * sim(p1, t2.detach()).mean() - 2 * sim(p2, t1).mean(),
        "gradient flows into the targets",
    ),
    (
        "predictions detached",
        lambda p1, p2, t1, t2: 4 - 2 * sim(p1.detach(), t2).mean() - 2 * sim(p2.detach(), t1).mean(),
        "no gradient reaches the predictions",
    ),
    (
        "all detached",
        lambda p1, p2, t1, t2: by_distance(p1.detach(), p2.detach(), t1, t2),
        "no gradient reaches the predictions",
    ),
    ("a number", lambda p1, p2, t1, t2: by_distance(p1, p2, t1, t2).item(), "no gradient reaches the predictions"),
    (
        "predictor on both sides",
        lambda p1, p2, t1, t2: 4 - 4 * sim(p1, p2.detach()).mean(),
        "predictor is on both sides",
    ),
    ("predictor unused", lambda p1, p2, t1, t2: 4 - 4 * sim(t1, t2).mean(), "predictions are not used"),
    (
        "averaged",
        lambda p1, p2, t1, t2: 2 - sim(p1, t2.detach()).mean() - sim(p2, t1.detach()).mean(),
        "added, not averaged",
    ),
    (
        "lengths count",
        lambda p1, p2, t1, t2: F.mse_loss(p1, t2.detach()) + F.mse_loss(p2, t1.detach()),
        "not normalised",
    ),
    (
        "mean over d",
        lambda p1, p2, t1, t2: (
            F.mse_loss(F.normalize(p1), F.normalize(t2)) + F.mse_loss(F.normalize(p2), F.normalize(t1))
        ),
        "also taken over the dimensions",
    ),
    (
        "columns",
        lambda p1, p2, t1, t2: (
            (
                (F.normalize(p1, dim=0) - F.normalize(t2, dim=0)) ** 2
                + (F.normalize(p2, dim=0) - F.normalize(t1, dim=0)) ** 2
            )
            .sum(1)
            .mean()
        ),
        "wrong dimension",
    ),
    (
        "summed",
        lambda p1, p2, t1, t2: (4 - 2 * sim(p1, t2.detach()) - 2 * sim(p2, t1.detach())).sum(),
        "a sum over the images",
    ),
    (
        "one for each image",
        lambda p1, p2, t1, t2: 4 - 2 * sim(p1, t2.detach()) - 2 * sim(p2, t1.detach()),
        "one value for each image",
    ),
    (
        "SimSiam's",
        lambda p1, p2, t1, t2: -(sim(p1, t2.detach()).mean() + sim(p2, t1.detach()).mean()) / 2,
        "as in SimSiam",
    ),
    (
        "sign turned",
        lambda p1, p2, t1, t2: 4 + 2 * sim(p1, t2.detach()).mean() + 2 * sim(p2, t1.detach()).mean(),
        "sign is turned",
    ),
    (
        "similarity",
        lambda p1, p2, t1, t2: sim(p1, t2.detach()).mean() + sim(p2, t1.detach()).mean(),
        "cosine similarity itself",
    ),
    ("stops", lambda p1, p2, t1, t2: p1 @ t2, "your code stopped with RuntimeError"),
]


@pytest.mark.parametrize("wrong, phrase", [row[1:] for row in WRONG_LOSSES], ids=[row[0] for row in WRONG_LOSSES])
def test_planted_losses_are_named(wrong, phrase, capsys, monkeypatch):
    monkeypatch.delenv("CL_COURSE_STRICT", raising=False)
    checks.byol_loss(wrong)
    said = capsys.readouterr().out
    assert said.startswith("✘ my_byol_loss: ") and said.count("\n") == 1
    assert phrase in said
    monkeypatch.setenv("CL_COURSE_STRICT", "1")
    with pytest.raises(ExerciseError, match="my_byol_loss"):
        checks.byol_loss(wrong)


def test_no_two_losses_look_alike_on_the_hidden_inputs():
    inputs = [loss_module._batch(n) for n in (3, 4, 6)]
    answers = [(mistake.sentence, [mistake.code(*batch) for batch in inputs]) for mistake in loss_module.MISTAKES]
    answers.append(("right", [loss_module._reference(*batch) for batch in inputs]))
    for i, (sentence, wrong) in enumerate(answers):
        for other, right in answers[:i]:
            assert sentence == other or any(
                a.shape != b.shape or not torch.allclose(a, b, rtol=1e-3, atol=1e-3) for a, b in zip(wrong, right)
            ), (sentence, other)


# The step: right, in the ways that people write it.
def step_in_two_passes(view1, view2, online, predictor, target, optimizer, momentum):
    p1, p2 = predictor(online(view1)), predictor(online(view2))
    with torch.no_grad():
        target1, target2 = target(view1), target(view2)
    loss = byol_loss(p1, target2) + byol_loss(p2, target1)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    ema_update(target, online, momentum)
    return loss, online[0]


def step_in_one_pass(view1, view2, online, predictor, target, optimizer, momentum):
    optimizer.zero_grad()
    views = torch.cat([view1, view2])
    p = predictor(online(views))
    z1, z2 = target(views).detach().chunk(2)
    loss = 2 * byol_loss(p, torch.cat([z2, z1]))
    loss.backward()
    optimizer.step()
    with torch.no_grad():
        for slow, fast in zip(target.parameters(), online.parameters()):
            slow.mul_(momentum).add_(fast, alpha=1 - momentum)
    return [loss.item(), online[0]]


@pytest.mark.parametrize("attempt", [step_in_two_passes, step_in_one_pass])
def test_right_steps_pass(attempt, capsys, monkeypatch):
    monkeypatch.setenv("CL_COURSE_STRICT", "1")
    checks.byol_step(attempt)
    assert "✔ my_byol_step" in capsys.readouterr().out


# Wrong, written out by hand: no code shared with the check's own mistakes. `line` is what a learner changes.
TEMPLATE = """
def attempt(view1, view2, online, predictor, target, optimizer, momentum):
    {predict}
    {aim}
    {loss}
    {update}
    {drift}
    return {answer}
"""
RIGHT = {
    "predict": "p1, p2 = predictor(online(view1)), predictor(online(view2))",
    "aim": "target1, target2 = target(view1).detach(), target(view2).detach()",
    "loss": "loss = byol_loss(p1, target2) + byol_loss(p2, target1)",
    "update": "optimizer.zero_grad(); loss.backward(); optimizer.step()",
    "drift": "ema_update(target, online, momentum)",
    "answer": "loss, online[0]",
}


def write(**lines):
    scope = {"byol_loss": byol_loss, "ema_update": ema_update, "torch": torch}
    exec(TEMPLATE.format(**RIGHT | lines), scope)  # noqa: S102 - lines of this file
    return scope["attempt"]


PLANTED = [
    ({"aim": "target1, target2 = target(view1), target(view2)"}, "gradient flows into the target network"),
    (
        {"aim": "target1, target2 = predictor(target(view1)).detach(), predictor(target(view2)).detach()"},
        "predictor is on both sides",
    ),
    ({"aim": "target1, target2 = predictor(target(view1)), predictor(target(view2))"}, "predictor is on both sides"),
    (
        {"aim": "target1, target2 = online(view1).detach(), online(view2).detach()"},
        "targets come from the online network",
    ),
    ({"aim": "target1, target2 = online(view1), online(view2)"}, "targets come from the online network"),
    ({"predict": "p1, p2 = online(view1), online(view2)"}, "predictor is not used"),
    ({"loss": "loss = byol_loss(p1, target1) + byol_loss(p2, target2)"}, "own views"),
    ({"aim": "target1, target2 = target(torch.cat([view2, view1])).detach().chunk(2)"}, "own views"),
    ({"loss": "loss = byol_loss(p1, target2)"}, "one direction only"),
    ({"loss": "loss = byol_loss(p2, target1)"}, "one direction only"),
    ({"loss": "loss = (byol_loss(p1, target2) + byol_loss(p2, target1)) / 2"}, "twice too small"),
    ({"drift": "pass"}, "target never moves"),
    ({"drift": "ema_update(online, target, momentum)"}, "roles are swapped"),
    ({"drift": "ema_update(target, online, 1 - momentum)"}, "momentum and its rest are exchanged"),
    ({"drift": "ema_update(target, online, 0.0)"}, "a copy of the online network"),
    ({"drift": "ema_update(target[0], online[0], momentum)"}, "only the encoder drifts"),
    (
        {"update": "ema_update(target, online, momentum); " + RIGHT["update"], "drift": "pass"},
        "before the optimiser's step",
    ),
    ({"update": "loss.backward(); optimizer.step()"}, "gradients accumulate"),
    ({"update": "optimizer.step(); optimizer.zero_grad(); loss.backward()"}, "between the loss and its backward()"),
    ({"update": "optimizer.zero_grad(); optimizer.step(); loss.backward()"}, "online weights do not move"),
    ({"update": "optimizer.zero_grad(); loss.backward()"}, "online weights do not move"),
    ({"update": "loss.backward(); optimizer.zero_grad(); optimizer.step()"}, "online weights do not move"),
    ({"update": "pass"}, "online weights do not move"),
    ({"answer": "loss, target[0]"}, "you keep and judge the target's encoder"),
    ({"answer": "loss, online"}, "not the encoder to keep"),
    ({"answer": "loss, predictor"}, "not the encoder to keep"),
    ({"answer": "online[0], loss"}, "not the loss of this step"),
    ({"answer": "loss"}, "two things are to be returned"),
    ({"answer": "None"}, "two things are to be returned"),
    ({"answer": "loss / 2, online[0]"}, "not the loss of this step"),
    (
        {"predict": "p1, p2 = predictor(online(view1)).detach(), predictor(online(view2)).detach()"},
        "no gradient reaches your loss",
    ),
    ({"predict": "p1, p2 = online(predictor(view1)), view2"}, "your code stopped with"),
    ({"loss": "loss = -byol_loss(p1, target2) - byol_loss(p2, target1)"}, "none of the mistakes known"),
]


@pytest.mark.parametrize("lines, named", PLANTED, ids=lambda x: x if isinstance(x, str) else " ".join(x.values())[:60])
def test_planted_steps_are_named(lines, named, capsys, monkeypatch):
    monkeypatch.delenv("CL_COURSE_STRICT", raising=False)
    checks.byol_step(write(**lines))
    said = capsys.readouterr().out
    assert said.startswith("✘ my_byol_step: ") and "two things at once" not in said
    assert named in said
    monkeypatch.setenv("CL_COURSE_STRICT", "1")
    with pytest.raises(ExerciseError):
        checks.byol_step(write(**lines))


def test_two_mistakes_at_once_are_both_named(capsys, monkeypatch):
    monkeypatch.delenv("CL_COURSE_STRICT", raising=False)
    checks.byol_step(write(loss="loss = byol_loss(p1, target1) + byol_loss(p2, target2)", drift="pass"))
    said = capsys.readouterr().out
    assert "two things at once" in said and "own views" in said and "target never moves" in said


def test_every_mistake_leaves_weights_of_its_own():
    """Otherwise one would be named as another."""
    runs = [step_module._run(step_module._step(**parts)) for _, parts in step_module.MISTAKES]
    right = step_module._run(step_module._step())
    for (sentence, _), run in zip(step_module.MISTAKES, runs):
        assert not step_module.same(run.weights, right.weights), sentence
        assert all(
            other == sentence
            for (other, _), r in zip(step_module.MISTAKES, runs)
            if step_module.same(run.weights, r.weights)
        ), sentence


def test_stubs_are_not_attempted(capsys, monkeypatch):
    def stub(*arguments): ...

    def refuses(*arguments):
        raise NotImplementedError

    for check in (checks.byol_loss, checks.byol_step):
        for attempt in (stub, refuses):
            monkeypatch.delenv("CL_COURSE_STRICT", raising=False)
            check(attempt)
            assert "not attempted yet" in capsys.readouterr().out
            monkeypatch.setenv("CL_COURSE_STRICT", "1")
            with pytest.raises(ExerciseError, match="not attempted"):
                check(attempt)


def test_the_checks_leave_torchs_own_random_numbers_alone():
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    checks.byol_step(step_in_two_passes)
    checks.byol_loss(by_distance)
    assert torch.equal(torch.rand(4), expected)


@pytest.mark.skipif(not Path(SOURCE).exists(), reason="lesson 05 is not written yet")
@pytest.mark.parametrize("name", ["byol_loss", "byol_step"])
def test_the_lessons_solutions_pass(name, capsys, monkeypatch):
    cell = next(cell for cell in jupytext.read(SOURCE, fmt="py:percent").cells if f"def my_{name}" in cell.source)
    scope = {"byol_loss": byol_loss, "ema_update": ema_update, "torch": torch, "F": F}
    exec(cell.source, scope)  # noqa: S102 - the course's own cell
    monkeypatch.setenv("CL_COURSE_STRICT", "1")
    getattr(checks, name)(scope[f"my_{name}"])
    assert "✔" in capsys.readouterr().out
