"""The check of lesson 03: it passes every right step, and names every planted mistake."""

from importlib import import_module

import jupytext
import pytest
import torch

from cl_course.checks import training_step
from cl_course.lessons.shared.exercise import ExerciseError
from cl_course.losses import nt_xent

module = import_module("cl_course.lessons.simclr.check_training_step")  # `checks.training_step` itself is the function


# Right, in the ways that people write it.
def in_two_passes(images, make_view, encoder, projector, optimizer, temperature):
    encoder.train()
    projector.train()
    z1, z2 = projector(encoder(make_view(images))), projector(encoder(make_view(images)))
    loss = nt_xent(z1, z2, temperature)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss


def in_one_pass(images, make_view, encoder, projector, optimizer, temperature):
    for network in (encoder, projector):
        network.train()
        network.zero_grad()
    z = projector(encoder(torch.cat([make_view(images), make_view(images)])))
    loss = nt_xent(*z.chunk(2), temperature)
    loss.backward()
    optimizer.step()
    return loss.item()


def with_one_large_view(images, make_view, encoder, projector, optimizer, temperature):
    encoder.train(), projector.train()
    view1, view2 = make_view(torch.cat([images, images])).chunk(2)
    z1, z2 = projector(encoder(view1)), projector(encoder(view2))
    loss = (nt_xent(z1, z2, temperature) + nt_xent(z2, z1, temperature)) / 2
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()  # after the step is as good as before backward
    return loss.detach()


@pytest.mark.parametrize("attempt", [in_two_passes, in_one_pass, with_one_large_view])
def test_right_steps_pass(attempt, capsys, monkeypatch):
    monkeypatch.setenv("CL_COURSE_STRICT", "1")
    training_step(attempt)
    assert "✔ my_training_step" in capsys.readouterr().out


# Wrong, written out by hand: no code shared with the check's own mistakes. `line` is what a learner changes.
TEMPLATE = """
def attempt(images, make_view, encoder, projector, optimizer, temperature):
    {mode}
    {views}
    {embed}
    {loss}
    {update}
    return loss
"""
RIGHT = {
    "mode": "encoder.train(), projector.train()",
    "views": "view1, view2 = make_view(images), make_view(images)",
    "embed": "z1, z2 = projector(encoder(view1)), projector(encoder(view2))",
    "loss": "loss = nt_xent(z1, z2, temperature)",
    "update": "optimizer.zero_grad(); loss.backward(); optimizer.step()",
}


def write(**lines):
    scope = {"nt_xent": nt_xent, "torch": torch}
    exec(TEMPLATE.format(**RIGHT | lines), scope)  # noqa: S102 - lines of this file
    return scope["attempt"]


PLANTED = [
    ({"update": "loss.backward(); optimizer.step()"}, "gradients accumulate"),
    ({"update": "optimizer.zero_grad(); loss.backward()"}, "never call optimizer.step()"),
    ({"update": "loss.backward()"}, "never call optimizer.step()"),
    ({"update": "optimizer.zero_grad(); optimizer.step()"}, "never call loss.backward()"),
    ({"update": "pass"}, "never call loss.backward()"),
    ({"update": "optimizer.zero_grad(); optimizer.step(); loss.backward()"}, "before loss.backward()"),
    ({"update": "optimizer.step(); optimizer.zero_grad(); loss.backward()"}, "before loss.backward()"),
    ({"update": "optimizer.step(); loss.backward()"}, "before loss.backward()"),
    ({"update": "loss.backward(); optimizer.zero_grad(); optimizer.step()"}, "between backward() and step()"),
    ({"mode": "pass"}, "eval mode"),
    ({"mode": "encoder.train()"}, "eval mode"),
    ({"mode": "projector.train()"}, "eval mode"),
    ({"mode": "encoder.eval(), projector.eval()"}, "eval mode"),
    ({"views": "view1 = view2 = make_view(images)"}, "both views are the same one"),
    ({"views": "view1 = make_view(images); view2 = view1.clone()"}, "both views are the same one"),
    ({"views": "view1 = view2 = images"}, "as they are"),
    ({"views": "view1, view2 = images, make_view(images)"}, "as they are"),
    ({"views": "view1, view2 = make_view(images), images"}, "as they are"),
    ({"views": "view1 = make_view(images); view2 = make_view(view1)"}, "made from the first"),
    ({"embed": "z1, z2 = encoder(view1), encoder(view2)"}, "computed on h"),
    ({"embed": "z1, z2 = encoder(torch.cat([view1, view2])).chunk(2)"}, "computed on h"),
    ({"embed": "z = projector(encoder(torch.cat([view1, view2]))); z1, z2 = z[::2], z[1::2]"}, "partners are mixed up"),
    ({"embed": "z1, z2 = projector(encoder(view1).detach()), projector(encoder(view2).detach())"}, "encoder is frozen"),
    (
        {"embed": "z1, z2 = projector(encoder(view1)), projector(encoder(view2)).detach()"},
        "one view carries no gradient",
    ),
    (
        {"embed": "z1, z2 = projector(encoder(view1)).detach(), projector(encoder(view2))"},
        "one view carries no gradient",
    ),
    (
        {"embed": "z1, z2 = projector(encoder(view1)).detach(), projector(encoder(view2)).detach()"},
        "no gradient reaches your loss",
    ),
    ({"loss": "loss = nt_xent(z1, z2)"}, "temperature is not handed on"),
    ({"loss": "loss = nt_xent(z1, z2, temperature) + nt_xent(z2, z1, temperature)"}, "twice too large"),
    ({"update": RIGHT["update"] + "; loss = None"}, "returns nothing"),
    ({"update": RIGHT["update"] + "; loss = loss / len(images)"}, "not the loss of this step"),
    ({"update": RIGHT["update"] + "; loss = z1"}, "not the loss of this step"),
    ({"embed": "z1, z2 = encoder(projector(view1)), view2"}, "your code stopped with RuntimeError"),
    ({"loss": "loss = nt_xent(z1, z2.T, temperature)"}, "your code stopped with Type"),
    ({"loss": "loss = -nt_xent(z1, z2, temperature)"}, "none of the mistakes known"),
]


@pytest.mark.parametrize("lines, named", PLANTED, ids=lambda x: x if isinstance(x, str) else " ".join(x.values())[:60])
def test_planted_mistakes_are_named(lines, named, capsys, monkeypatch):
    training_step(write(**lines))
    said = capsys.readouterr().out
    assert said.startswith("✘ my_training_step: ") and "two things" not in said
    assert named in said
    monkeypatch.setenv("CL_COURSE_STRICT", "1")
    with pytest.raises(ExerciseError):
        training_step(write(**lines))


def test_two_mistakes_at_once_are_both_named(capsys):
    training_step(write(mode="pass", update="loss.backward(); optimizer.step()"))
    said = capsys.readouterr().out
    assert "two things" in said and "eval mode" in said and "gradients accumulate" in said


def test_every_mistake_leaves_weights_of_its_own():
    """Otherwise one would be named as another."""
    runs = [module._run(module._step(**parts)) for _, parts in module.MISTAKES]
    right = module._run(module._step())
    for (sentence, _), run in zip(module.MISTAKES, runs):
        assert not module.same(run.weights, right.weights), sentence
        assert all(
            other == sentence for (other, _), r in zip(module.MISTAKES, runs) if module.same(run.weights, r.weights)
        )


def test_the_stub_is_not_attempted(capsys, monkeypatch):
    def stub(*arguments): ...

    def refuses(*arguments):
        raise NotImplementedError

    for attempt in (stub, refuses):
        monkeypatch.delenv("CL_COURSE_STRICT", raising=False)
        training_step(attempt)
        assert "not attempted yet" in capsys.readouterr().out
        monkeypatch.setenv("CL_COURSE_STRICT", "1")
        with pytest.raises(ExerciseError, match="not attempted"):
            training_step(attempt)


def test_the_check_leaves_torchs_own_random_numbers_alone():
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    training_step(in_two_passes)
    assert torch.equal(torch.rand(4), expected)


def test_the_lessons_solution_passes(capsys, monkeypatch):
    source = module.__file__.replace("cl_course/lessons/simclr/check_training_step.py", "notebooks/src/03_simclr.py")
    cell = next(cell for cell in jupytext.read(source, fmt="py:percent").cells if "def my_training_step" in cell.source)
    scope = {"nt_xent": nt_xent, "torch": torch}
    exec(cell.source, scope)  # noqa: S102 - the course's own cell
    monkeypatch.setenv("CL_COURSE_STRICT", "1")
    training_step(scope["my_training_step"])
    assert "✔" in capsys.readouterr().out
