"""What passes a check by a hair, and what must not."""

import math
import statistics
from dataclasses import replace

import numpy as np
import pytest
import test_checks_nt_xent as of_nt_xent
import torch
import torch.nn.functional as F
from test_checks_choose import SAFE
from test_checks_flip import coins, flip_where, strict, verdict  # noqa: F401  (strict: a fixture)
from test_checks_training_step import in_two_passes, write
from test_checks_two_views import views_plain

from cl_course import checks
from cl_course.lessons.shared import exercise as core
from cl_course.lessons.shared.exercise import same


def printed(check, attempt, capsys, monkeypatch):
    monkeypatch.delenv("CL_COURSE_STRICT", raising=False)
    check(attempt)
    return capsys.readouterr().out


def test_second_views_only(capsys, monkeypatch):
    def second(z1, z2, t):
        z = of_nt_xent.joined(z1, z2)
        return F.cross_entropy(of_nt_xent.masked(z @ z.T / t)[len(z1) :], of_nt_xent.targets(z1)[len(z1) :])

    assert "one direction only" in printed(checks.nt_xent, second, capsys, monkeypatch)
    assert "one direction only" in printed(
        checks.nt_xent, lambda a, b, t: of_nt_xent.across_one_way(b, a, t), capsys, monkeypatch
    )


def test_partner_is_the_one_before(capsys, monkeypatch):
    def before(z1, z2, t):
        z = of_nt_xent.joined(z1, z2)
        return F.cross_entropy(of_nt_xent.masked(z @ z.T / t), torch.arange(len(z)).roll(1))

    assert "wrong offset" in printed(checks.nt_xent, before, capsys, monkeypatch)


def test_right_for_one_batch_size_or_temperature_alone_fails(capsys, monkeypatch):
    three = lambda a, b, t: (
        of_nt_xent.by_cross_entropy(a, b, t) if len(a) == 3 else of_nt_xent.by_cross_entropy(a, b, t) + 1
    )
    assert printed(checks.nt_xent, three, capsys, monkeypatch).startswith("✘")
    cool = lambda a, b, t: of_nt_xent.by_cross_entropy(a, b, min(t, 1.0))
    assert printed(checks.nt_xent, cool, capsys, monkeypatch).startswith("✘")


def test_one_wrong_return_among_three(capsys, monkeypatch):
    first = []
    step = in_two_passes

    def attempt(*a):
        loss = step(*a).item()
        first.append(loss)
        return loss if len(first) % 3 == 0 else 2 * loss

    assert "your loss is 4.1107; that of nt_xent on these views is 2.0553" in printed(
        checks.training_step, attempt, capsys, monkeypatch
    )


def test_images_written_to_do_not_change_the_verdict(capsys, monkeypatch):
    attempt = write(update="optimizer.zero_grad(); loss.backward(); optimizer.step(); images.zero_()")
    assert printed(checks.training_step, attempt, capsys, monkeypatch)


def test_same():
    a = torch.ones(3)
    assert not same(a, torch.ones(1)) and not same(a, torch.ones(1, 3)) and not same((a, a), (a,)) and not same([], [a])
    assert same(a, a.double()) and not same(a, "x") and same(torch.nan, torch.nan) and not same(torch.inf, 1.0)


def test_two_mistakes_lie_in_different_parts():
    mistakes = [core.Mistake("a", {"x": 1}), core.Mistake("b", {"x": 2}), core.Mistake("c", {"y": 3})]
    pairs = list(core.one_or_two(mistakes))
    assert [parts for _, parts in pairs[3:]] == [{"x": 1, "y": 3}, {"x": 2, "y": 3}]


def test_an_attempt_gets_copies():
    z = torch.ones(3)
    core.call(lambda x: x.zero_() + 1, z)
    assert z.sum() == 3


def test_how_often_at_a_half():
    assert "too often or too seldom" in verdict(
        checks.random_flip, lambda x, p, g: flip_where(x, p if p < 0.4 else 0.8, g)
    )
    assert "either all images are mirrored or none" in verdict(
        checks.random_flip, lambda x, p, g: x.flip(-1) if p < 0.4 or torch.rand(1, generator=g) < p else x
    )


def test_one_row_that_is_no_disguise():
    def spoilt(x, d, g):
        a, b = views_plain(x, d, g)
        a = a.clone()
        a[3] = torch.rand(a[3].shape, generator=g)
        return a, b

    assert "view1 is not `disguise" in verdict(checks.two_views, spoilt)


def test_nearly_the_picture_itself():
    assert "view1 is the picture itself" in verdict(
        checks.two_views, lambda x, d, g: (x * (1 + 1e-7), d(x, coins(len(x), g)))
    )


def test_where_a_shortcut_counts_as_open():
    assert "raw pixels find the partner of 26 %" in verdict(
        checks.choose_augmentation, lambda: replace(SAFE, crop=(0.9, 1))
    )
    checks.choose_augmentation(lambda: replace(SAFE, jitter=0.5))  # raw pixels: 23 %


@pytest.mark.parametrize(
    "flip, sentence",
    [
        (lambda x, p, g: torch.where(coins(len(x), g) < p, x.flip(-1), x), "needs the shape (n, 1, 1, 1)"),
        (lambda x, p, g: x.flip(-1) if coins(len(x), g) < p else x, "torch.where takes them all."),
        (
            lambda x, p, g: torch.cat([x[: int(p * len(x))].flip(-1), x[int(p * len(x)) :]]),
            "as if no number were drawn",
        ),
        (
            lambda x, p, g: torch.where(
                (torch.randperm(len(x), generator=g) < p * len(x))[:, None, None, None], x.flip(-1), x
            ),
            "exactly 24 of 48 images are mirrored in each of 24 batches",
        ),
    ],
)
def test_wrong_flips_that_look_right(flip, sentence):
    assert sentence in verdict(checks.random_flip, flip)


def test_amounts_that_are_numbers_of_python():
    def views(x, d, g):
        return tuple(torch.cat([d(i[None], float(torch.rand(1, generator=g))) for i in x]) for _ in range(2))

    assert "got a float" in verdict(checks.two_views, views)


def test_views_in_double_precision_are_right():
    checks.two_views(lambda x, d, g: tuple(d(x.double(), coins(len(x), g)) for _ in range(2)))


def by_probabilities(z1, z2, t, safe=lambda p: p):
    p = of_nt_xent.masked(of_nt_xent.joined(z1, z2) @ of_nt_xent.joined(z1, z2).T / t).softmax(dim=1)
    return -safe(p[torch.arange(len(p)), of_nt_xent.targets(z1)]).log().mean()


def masked_with_minus_ten(z1, z2, t):
    z = of_nt_xent.joined(z1, z2)
    return F.cross_entropy((z @ z.T / t).fill_diagonal_(-10), of_nt_xent.targets(z1))


def normalised_in_place(z1, z2, t):
    z1 /= z1.norm(dim=1, keepdim=True)
    return of_nt_xent.by_cross_entropy(z1, z2, t)


@pytest.mark.parametrize(
    "loss, sentence",
    [
        (by_probabilities, "never log(softmax)"),
        (lambda a, b, t: by_probabilities(a, b, t, lambda p: p + 1e-8), "✘"),
        (masked_with_minus_ten, "Mask with -torch.inf"),
        (normalised_in_place, "you changed z1 or z2 in place"),
    ],
)
def test_wrong_losses_that_look_right(loss, sentence, capsys, monkeypatch):
    assert sentence in printed(checks.nt_xent, loss, capsys, monkeypatch)


@pytest.mark.parametrize(
    "parts, sentence",
    [
        ({"loss": "loss = nt_xent(z1, z2, 0.2)"}, "✘"),
        ({"loss": "loss = nt_xent(z1, z2, 1 / temperature)"}, "turned over"),
        ({"loss": "loss = nt_xent(z1, z1, temperature)"}, "both embeddings come from one view"),
        ({"loss": "loss = nt_xent(z1, z2, temperature).item()"}, "as .item() and float() make it"),
        ({"loss": "loss = nt_xent(z1[:3], z2, temperature)"}, "print z1.shape and z2.shape"),
        (
            {"update": "optimizer.zero_grad(); loss.backward(); optimizer.step(); optimizer.step()"},
            "the weights move twice as far as they should",
        ),
        (
            {"update": "optimizer.zero_grad(); loss.backward(retain_graph=True); loss.backward(); optimizer.step()"},
            "the weights move twice as far as they should",
        ),
    ],
)
def test_wrong_steps_that_look_right(parts, sentence, capsys, monkeypatch):
    said = printed(checks.training_step, write(**parts), capsys, monkeypatch)
    assert sentence in said and said.count("\n") == 1


@pytest.mark.parametrize("library", ["/usr/local/lib/python3.12/dist-packages/torch/x.py", statistics.__file__])
def test_the_line_that_is_shown_is_the_learners_own(library):
    theirs = {}
    exec(compile("def stop(x):\n    raise TypeError('no')", library, "exec"), theirs)  # noqa: S102

    def attempt(similarities, partner, temperature):
        return theirs["stop"](similarities)

    said = checks.row_loss.judge(attempt).sentence
    assert 'at `return theirs["stop"](similarities)`' in said and "raise TypeError" not in said


def features(freeze):
    def attempt(encoder, projector, images):
        was_training = encoder.training
        encoder.eval()
        freeze(encoder)
        h = encoder(images)
        encoder.train(was_training)
        return h.detach()

    return attempt


def test_features_may_not_freeze_the_encoder():
    verdict = checks.features.judge(features(lambda encoder: encoder.requires_grad_(False)))
    assert not verdict.passed and "no longer require a gradient" in verdict.sentence
    assert checks.features.judge(features(lambda encoder: None)).passed


def test_gradients_are_switched_back_on():
    try:
        verdict = checks.features.judge(features(lambda encoder: torch.set_grad_enabled(False)))
        assert torch.is_grad_enabled()
    finally:
        torch.set_grad_enabled(True)
    assert not verdict.passed and "for the whole program" in verdict.sentence


def test_a_loss_in_numpy_carries_no_gradient():
    def attempt(q, k, queue, temperature):
        q, k = (F.normalize(x.detach(), dim=1).numpy() for x in (q, k))
        logits = np.concatenate([(q * k).sum(1, keepdims=True), q @ queue.numpy().T], 1) / temperature
        return (np.logaddexp.reduce(logits, axis=1) - logits[:, 0]).mean()

    said = checks.moco_loss.judge(attempt).sentence
    assert "no gradient reaches" in said and "stopped" not in said


def test_what_is_said_is_not_the_solution():
    said = checks.queue_places.judge(lambda oldest, n, length: oldest + torch.arange(n)).sentence
    assert "modulo the length" in said and "torch.arange" not in said
    falls = checks.rising_momentum.judge(lambda step, total, start: start * (1 + math.cos(math.pi * step / total)) / 2)
    assert "what falls" in falls.sentence and "(1 - start) * (1 + cos)" not in falls.sentence


def test_a_comma_behind_the_rate_is_named():
    said = checks.learning_rate.judge(lambda step, total, warmup, peak: (peak / (warmup + 1),)).sentence
    assert "a tuple comes back" in said and "comma" in said
