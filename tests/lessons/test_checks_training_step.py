"""The check of lesson 03's step: it passes every right one, and says of every wrong one what it does."""

from importlib import import_module

import jupytext
import pytest
import torch
import torch.nn.functional as F

from cl_course.checks import training_step
from cl_course.lessons.shared.exercise import ExerciseError
from cl_course.losses import nt_xent

module = import_module("cl_course.lessons.simclr.check_training_step")  # `checks.training_step` itself is the exercise


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


def image_by_image(pictures, view_of, f, g, opt, t):
    f.train(), g.train()
    pairs = [(view_of(picture[None]), view_of(picture[None])) for picture in pictures]
    z = [g(f(torch.cat(views))) for views in zip(*pairs)]
    loss = nt_xent(*z, t)[None]
    opt.zero_grad()
    loss.backward()
    opt.step()
    return loss


def by_autograd_grad(images, make_view, encoder, projector, optimizer, temperature):
    encoder.train(), projector.train()
    weights = [*encoder.parameters(), *projector.parameters()]
    z2, z1 = projector(encoder(make_view(images))), projector(encoder(make_view(images)))
    loss = nt_xent(F.normalize(z1, dim=1), F.normalize(z2, dim=1), temperature)
    for weight, gradient in zip(weights, torch.autograd.grad(loss, weights)):
        weight.grad = gradient
    optimizer.step()
    return loss.detach().numpy()


def with_a_loss_by_hand(images, make_view, encoder, projector, optimizer, temperature):
    encoder.train(), projector.train()
    optimizer.zero_grad()
    z = F.normalize(projector(encoder(torch.stack([make_view(images), make_view(images)]).flatten(0, 1))), dim=1)
    n = len(images)
    logits = (z @ z.T / temperature).fill_diagonal_(-torch.inf)
    loss = F.cross_entropy(logits.double(), torch.arange(2 * n).roll(n))
    loss.backward()
    optimizer.step()
    encoder.eval(), projector.eval()
    return loss.item()


class WithAClosure:
    def __call__(self, images, make_view, encoder, projector, optimizer, temperature):
        encoder.train(), projector.train()
        views = make_view(images), make_view(images)

        def closure():
            optimizer.zero_grad()
            loss = nt_xent(*(projector(encoder(view)) for view in views), temperature)
            loss.backward()
            return loss

        return optimizer.step(closure)


RIGHT_STEPS = [
    in_two_passes,
    in_one_pass,
    with_one_large_view,
    image_by_image,
    by_autograd_grad,
    with_a_loss_by_hand,
    WithAClosure(),
]


@pytest.mark.parametrize("attempt", RIGHT_STEPS)
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
    scope = {"nt_xent": nt_xent, "torch": torch, "F": F}
    exec(TEMPLATE.format(**RIGHT | lines), scope)  # noqa: S102 - lines of this file
    return scope["attempt"]


PLANTED = [
    ({"update": "loss.backward(); optimizer.step()"}, "gradients accumulate"),
    ({"update": "optimizer.zero_grad(); loss.backward()"}, "step() is never called"),
    ({"update": "loss.backward()"}, "step() is never called"),
    ({"update": "optimizer.zero_grad(); optimizer.step()"}, "never computes a gradient"),
    ({"update": "pass"}, "never computes a gradient"),
    ({"update": "optimizer.zero_grad(); optimizer.step(); loss.backward()"}, "comes before loss.backward()"),
    ({"update": "optimizer.step(); optimizer.zero_grad(); loss.backward()"}, "comes before loss.backward()"),
    ({"update": "optimizer.step(); loss.backward()"}, "comes before loss.backward()"),
    ({"update": "loss.backward(); optimizer.zero_grad(); optimizer.step()"}, "between backward() and step()"),
    ({"mode": "pass"}, "eval mode"),
    ({"mode": "encoder.train()"}, "eval mode"),
    ({"mode": "projector.train()"}, "eval mode"),
    ({"mode": "encoder.eval(), projector.eval()"}, "eval mode"),
    ({"views": "view1 = view2 = make_view(images)"}, "come from one view"),
    ({"views": "view1 = make_view(images); view2 = view1.clone()"}, "come from one view"),
    ({"views": "view1 = view2 = images"}, "the images themselves"),
    ({"views": "view1, view2 = images, make_view(images)"}, "the images themselves"),
    ({"views": "view1, view2 = make_view(images), images"}, "the images themselves"),
    ({"views": "view1 = make_view(images); view2 = make_view(view1)"}, "made from the first"),
    ({"embed": "z1, z2 = encoder(view1), encoder(view2)"}, "computed on h"),
    ({"embed": "z1, z2 = encoder(torch.cat([view1, view2])).chunk(2)"}, "computed on h"),
    (
        {"embed": "z = projector(encoder(torch.cat([view1, view2]))); z1, z2 = z[::2], z[1::2]"},
        "rows are paired wrongly",
    ),
    ({"embed": "z1, z2 = projector(encoder(view1).detach()), projector(encoder(view2).detach())"}, "encoder is frozen"),
    (
        {"embed": "z1, z2 = projector(encoder(view1)), projector(encoder(view2)).detach()"},
        "no gradient passes through z",
    ),
    (
        {"embed": "z1, z2 = projector(encoder(view1)).detach(), projector(encoder(view2))"},
        "no gradient passes through z",
    ),
    (
        {"embed": "z1, z2 = projector(encoder(view1)).detach(), projector(encoder(view2)).detach()"},
        "no gradient reaches your loss",
    ),
    ({"loss": "loss = nt_xent(z1, z2)"}, "temperature is not passed on"),
    ({"loss": "loss = nt_xent(z1, z2, temperature) + nt_xent(z2, z1, temperature)"}, "twice too large"),
    ({"update": RIGHT["update"] + "; loss = None"}, "returns nothing"),
    ({"update": RIGHT["update"] + "; loss = loss / len(images)"}, "times 0.1667"),
    ({"update": RIGHT["update"] + "; loss = z1"}, "the embeddings come back"),
    ({"embed": "z1, z2 = encoder(projector(view1)), view2"}, "the projector is called on the view"),
    ({"loss": "loss = nt_xent(z1, z2.T, temperature)"}, "your code stopped with Type"),
    ({"loss": "loss = -nt_xent(z1, z2, temperature)"}, "the sign of the loss"),
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


# Wrong, and in no list of mistakes.
UNLISTED = [
    ({"views": "view1, view2 = make_view(images)"}, "one call of make_view gives one tensor"),
    ({"views": "view1, view2 = make_view(images[:3]), make_view(images[:3])"}, "draws 6 views in 2 calls"),
    (
        {
            "views": "view1, view2, view3 = (make_view(images) for _ in range(3))",
            "embed": "z1, z2 = projector(encoder(view1)), projector(encoder(view3))",
        },
        "draws 18 views in 3 calls",
    ),
    ({"views": "view1, view2 = make_view(images).chunk(2)"}, "cut into two halves"),
    ({"views": "view1, view2 = make_view(images - 0.5), make_view(images - 0.5)"}, "something else than the images"),
    ({"views": "view1, view2 = make_view(images), make_view(images).flip(0)"}, "before any weight has moved"),
    ({"views": "view1, view2 = make_view(images) * 2, make_view(images) * 2"}, "before any weight has moved"),
    ({"embed": "z1, z2 = projector(encoder(view1)), encoder(view2)"}, "your code stopped with Type"),
    (
        {"embed": "z1, z2 = projector(encoder(view1)).roll(1, 0), projector(encoder(view2))"},
        "before any weight has moved",
    ),
    ({"embed": "z1, z2 = projector(encoder(view1)), projector(encoder(view2.detach()).detach())"}, "in the first step"),
    ({"embed": "z1 = projector(encoder(view1)); z2 = z1 + 0.1 * torch.ones_like(z1)"}, "gets 6 rows in 1 call"),
    ({"embed": "z = projector(encoder((view1 + view2) / 2)); z1 = z2 = z"}, "gets 6 rows in 1 call"),
    ({"loss": "loss = nt_xent(z1, z2, 0.2)"}, "the temperature has no effect"),
    ({"loss": "loss = nt_xent(z1, z2, temperature ** 2)"}, "at T squared"),
    ({"loss": "loss = nt_xent(z1, z2, temperature) / 2"}, "times 0.5"),
    ({"loss": "loss = nt_xent(z1, z2, temperature) * temperature"}, "factor in front"),
    ({"loss": "loss = F.mse_loss(z1, z2)"}, "the temperature has no effect"),
    ({"loss": "loss = -F.cosine_similarity(z1, z2).mean()"}, "the temperature has no effect"),
    ({"loss": "loss = nt_xent(z1, z2, temperature) + 0.1 * z1.square().mean()"}, "before any weight has moved"),
    ({"loss": "loss = nt_xent(z1, z1, temperature)"}, "come from one view"),
    (
        {"update": "encoder.zero_grad(); loss.backward(); optimizer.step()"},
        "after 1 of 3 steps the weights are right, after 2 they are not",
    ),
    ({"update": "optimizer.zero_grad(); loss.backward(); optimizer.step(); optimizer.step()"}, "twice as far"),
    ({"update": "loss.backward(); encoder.zero_grad(); projector.zero_grad(); optimizer.step()"}, "step() finds none"),
    (
        {
            "update": "optimizer.zero_grad(); loss.backward(); [p.grad.mul_(0.1) for p in encoder.parameters()]; "
            "optimizer.step()"
        },
        "the encoder's weights move in the right direction, 0.1 times",
    ),
    (
        {
            "update": "optimizer.zero_grad(); loss.backward(); [p.grad.sign_() for p in projector.parameters()]; "
            "optimizer.step()"
        },
        "the projector's weights move in another direction",
    ),
    ({"update": RIGHT["update"] + "; loss = 'done'"}, "a str comes back"),
    ({"update": RIGHT["update"] + "; loss = (loss, z1)"}, "a tuple comes back"),
    (
        {"update": "optimizer.zero_grad(); loss.backward(); loss.backward(); optimizer.step()"},
        "called twice on one loss",
    ),
    ({"loss": "loss = nt_xent(z1, z2, temperature).item()"}, "a plain number"),
    ({"views": "images.mul_(2); view1, view2 = make_view(images), make_view(images)"}, "changed the images in place"),
    (
        {"embed": "z1, z2 = projector(projector(encoder(view1))), projector(projector(encoder(view2)))"},
        "applied twice",
    ),
]


@pytest.mark.parametrize("lines, said", UNLISTED, ids=lambda x: x if isinstance(x, str) else " ".join(x.values())[:60])
def test_what_no_list_has_is_shown_by_what_was_observed(lines, said):
    verdict = training_step.judge(write(**lines))
    assert not verdict.passed and said in verdict.sentence, verdict.sentence


def test_a_loss_with_its_graph_passes_with_a_remark():
    assert "detach()" in training_step.judge(in_two_passes).notes[0]
    assert training_step.judge(in_one_pass).notes == ()


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
