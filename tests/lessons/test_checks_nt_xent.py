"""`checks.nt_xent` passes every right way to write the exercise, and names every known wrong one."""

import math

import pytest
import torch
import torch.nn.functional as F

from cl_course import checks
from cl_course.lessons.shared.exercise import ExerciseError


# Right, in different ways.
def by_cross_entropy(z1, z2, temperature):
    z = F.normalize(torch.cat([z1, z2]), dim=1)
    logits = z @ z.T / temperature
    logits = logits.masked_fill(torch.eye(len(z), dtype=torch.bool), -torch.inf)
    return F.cross_entropy(logits, torch.arange(len(z)).roll(len(z1)))


def by_logsumexp(z1, z2, temperature):
    z = torch.cat([z1, z2])
    z = z / z.norm(dim=1, keepdim=True)
    logits = z @ z.T / temperature - torch.diag(torch.full((len(z),), torch.inf))
    partner = torch.cat([torch.arange(len(z1)) + len(z1), torch.arange(len(z1))])
    return (torch.logsumexp(logits, dim=1) - logits[torch.arange(len(z)), partner]).mean()


def by_gathered_positives(z1, z2, temperature):
    z1, z2 = F.normalize(z1, dim=-1), F.normalize(z2, dim=-1)
    positive = (z1 * z2).sum(dim=1) / temperature
    n = len(z1)
    others = ~torch.eye(n, dtype=torch.bool)
    losses = []
    for own, other in ((z1, z2), (z2, z1)):
        across = (own @ other.T / temperature)[others].view(n, n - 1)
        along = (own @ own.T / temperature)[others].view(n, n - 1)
        logits = torch.cat([positive[:, None], across, along], dim=1)
        losses.append(F.cross_entropy(logits, torch.zeros(n, dtype=torch.long)))
    return sum(losses) / 2


def by_interleaving(z1, z2, temperature):
    z = F.normalize(torch.stack([z1, z2], dim=1).flatten(0, 1), dim=1)  # a1 b1 a2 b2 ...
    logits = (z @ z.T / temperature).fill_diagonal_(-9e15)
    return F.cross_entropy(logits, torch.arange(len(z)) ^ 1)


def by_shifting_first(z1, z2, temperature):
    z = F.normalize(torch.cat([z1, z2]), dim=1)
    logits = (z @ z.T / temperature).fill_diagonal_(-torch.inf)
    logits = logits - logits.amax(dim=1, keepdim=True).detach()
    positive = torch.cat([logits.diagonal(len(z1)), logits.diagonal(-len(z1))])
    return (logits.exp().sum(dim=1).log() - positive).mean()


def in_double(z1, z2, temperature):
    return by_cross_entropy(z1.double(), z2.double(), temperature)


@pytest.mark.parametrize(
    "solution", [by_cross_entropy, by_logsumexp, by_gathered_positives, by_interleaving, by_shifting_first, in_double]
)
def test_passes_every_right_form(solution, capsys, monkeypatch):
    monkeypatch.setenv("CL_COURSE_STRICT", "1")
    checks.nt_xent(solution)
    assert capsys.readouterr().out.startswith("✔ my_nt_xent")


# Wrong, as learners write it.
def masked(logits):
    return logits.fill_diagonal_(-torch.inf)


def joined(z1, z2):
    return F.normalize(torch.cat([z1, z2]), dim=1)


def targets(z1):
    return torch.arange(2 * len(z1)).roll(len(z1))


def diagonal_kept(z1, z2, t):
    z = joined(z1, z2)
    return F.cross_entropy(z @ z.T / t, targets(z1))


def diagonal_kept_by_hand(z1, z2, t):
    z = joined(z1, z2)
    score = (z @ z.T / t).exp()
    return -(score[torch.arange(len(z)), targets(z1)] / score.sum(dim=1)).log().mean()


def diagonal_times_zero(z1, z2, t):
    z = joined(z1, z2)
    return F.cross_entropy(z @ z.T * (1 - torch.eye(len(z))) / t, targets(z1))


def temperature_forgotten(z1, z2, t):
    z = joined(z1, z2)
    return F.cross_entropy(masked(z @ z.T), targets(z1))


def temperature_before_normalising(z1, z2, t):
    z = F.normalize(torch.cat([z1, z2]) / t, dim=1)
    return F.cross_entropy(masked(z @ z.T), targets(z1))


def temperature_before_normalising_by_norm(z1, z2, t):
    z = torch.cat([z1 / t, z2 / t])
    z = z / z.norm(dim=1, keepdim=True)
    return F.cross_entropy(masked(z @ z.T), targets(z1))


def temperature_multiplied(z1, z2, t):
    z = joined(z1, z2)
    return F.cross_entropy(masked(z @ z.T * t), targets(z1))


def temperature_twice(z1, z2, t):
    z = joined(z1, z2) / t
    return F.cross_entropy(masked(z @ z.T), targets(z1))


def partner_one_too_far(z1, z2, t):
    z = joined(z1, z2)
    return F.cross_entropy(masked(z @ z.T / t), targets(z1).roll(1))


def partner_is_next(z1, z2, t):
    z = joined(z1, z2)
    return F.cross_entropy(masked(z @ z.T / t), (torch.arange(len(z)) + 1) % len(z))


def partner_as_if_interleaved(z1, z2, t):
    z = joined(z1, z2)
    return F.cross_entropy(masked(z @ z.T / t), torch.arange(len(z)) + 1 - 2 * (torch.arange(len(z)) % 2))


def partner_is_itself(z1, z2, t):
    z = joined(z1, z2)
    return F.cross_entropy(z @ z.T / t, torch.arange(len(z)))


def masked_itself_as_partner(z1, z2, t):
    z = joined(z1, z2)
    return F.cross_entropy(masked(z @ z.T / t), torch.arange(len(z)))


def first_views_only(z1, z2, t):
    z = joined(z1, z2)
    return F.cross_entropy(masked(z @ z.T / t)[: len(z1)], targets(z1)[: len(z1)])


def across_one_way(z1, z2, t):
    return F.cross_entropy(F.normalize(z1, dim=1) @ F.normalize(z2, dim=1).T / t, torch.arange(len(z1)))


def across_both_ways(z1, z2, t):
    return (across_one_way(z1, z2, t) + across_one_way(z2, z1, t)) / 2


def summed(z1, z2, t):
    z = joined(z1, z2)
    return F.cross_entropy(masked(z @ z.T / t), targets(z1), reduction="sum")


def divided_by_n(z1, z2, t):
    return summed(z1, z2, t) / len(z1)


def halved(z1, z2, t):
    return by_cross_entropy(z1, z2, t) / 2


def mean_then_divided(z1, z2, t):
    return by_cross_entropy(z1, z2, t) / (2 * len(z1))


def one_for_each_view(z1, z2, t):
    z = joined(z1, z2)
    return F.cross_entropy(masked(z @ z.T / t), targets(z1), reduction="none")


def not_normalised(z1, z2, t):
    z = torch.cat([z1, z2])
    return F.cross_entropy(masked(z @ z.T / t), targets(z1))


def normalised_down_the_columns(z1, z2, t):
    z = F.normalize(torch.cat([z1, z2]), dim=0)
    return F.cross_entropy(masked(z @ z.T / t), targets(z1))


def textbook(z1, z2, t):
    z = joined(z1, z2)
    score = (z @ z.T / t).exp() * (1 - torch.eye(len(z)))
    return -(score[torch.arange(len(z)), targets(z1)] / score.sum(dim=1)).log().mean()


def textbook_in_two_logarithms(z1, z2, t):
    z = joined(z1, z2)
    logits = masked(z @ z.T / t)
    return (logits.exp().sum(dim=1).log() - logits[torch.arange(len(z)), targets(z1)]).mean()


def textbook_by_subtraction(z1, z2, t):
    z = joined(z1, z2)
    score = (z @ z.T / t).exp()
    return -(score[torch.arange(len(z)), targets(z1)] / (score.sum(dim=1) - score.diagonal())).log().mean()


def sign_turned(z1, z2, t):
    return -by_cross_entropy(z1, z2, t)


def partner_not_in_the_sum(z1, z2, t):
    z = joined(z1, z2)
    score = (z @ z.T / t).exp().fill_diagonal_(0)
    positive = score[torch.arange(len(z)), targets(z1)]
    return -(positive / (score.sum(dim=1) - positive)).log().mean()


def as_a_number(z1, z2, t):
    return by_cross_entropy(z1, z2, t).item()


def half_detached(z1, z2, t):
    return by_cross_entropy(z1, z2.detach(), t)


@pytest.mark.parametrize(
    ("wrong", "phrase"),
    [
        (diagonal_kept, "diagonal is not masked"),
        (diagonal_kept_by_hand, "diagonal is not masked"),
        (diagonal_times_zero, "masked with 0"),
        (temperature_forgotten, "It is forgotten"),
        (temperature_before_normalising, "before normalising"),
        (temperature_before_normalising_by_norm, "before normalising"),
        (temperature_multiplied, "you multiply by the temperature"),
        (temperature_twice, "counts twice"),
        (partner_one_too_far, "wrong offset"),
        (partner_is_next, "wrong offset"),
        (partner_as_if_interleaved, "wrong offset"),
        (partner_is_itself, "wrong offset"),
        (masked_itself_as_partner, "not finite at any temperature"),
        (first_views_only, "one direction only"),
        (across_one_way, "one direction only"),
        (across_both_ways, "half of the candidates are missing"),
        (summed, "a sum where the mean belongs"),
        (divided_by_n, "natural scale"),
        (halved, "twice too small"),
        (mean_then_divided, "divided by 2n twice"),
        (one_for_each_view, "one value for each view"),
        (not_normalised, "not normalised"),
        (normalised_down_the_columns, "wrong dimension"),
        (textbook, "at T = 0.01 it is not finite"),
        (textbook_in_two_logarithms, "at T = 0.01 it is not finite"),
        (textbook_by_subtraction, "at T = 0.01 it is not finite"),
        (sign_turned, "sign is turned"),
        (partner_not_in_the_sum, "leaves the partner out"),
        (as_a_number, "gradient does not reach"),
        (half_detached, "gradient does not reach"),
    ],
)
def test_names_the_mistake(wrong, phrase, capsys, monkeypatch):
    monkeypatch.delenv("CL_COURSE_STRICT", raising=False)
    checks.nt_xent(wrong)
    printed = capsys.readouterr().out
    assert printed.startswith("✘ my_nt_xent") and printed.count("\n") == 1
    assert phrase in printed
    monkeypatch.setenv("CL_COURSE_STRICT", "1")
    with pytest.raises(ExerciseError, match="my_nt_xent"):
        checks.nt_xent(wrong)


def test_no_two_mistakes_look_alike_on_the_hidden_inputs():
    """Sentences differ, so must the answers that lead to them (nothing told by the temperature's effect alone)."""
    from cl_course.lessons.infonce.check_nt_xent import _mistakes, _views

    inputs = [_views(3, 0.5), _views(4, 0.2), _views(6, 2.0)]
    answers = [(m.sentence, [m.code(*arguments) for arguments in inputs]) for m in _mistakes(by_cross_entropy)]
    for i, (sentence, wrong) in enumerate(answers):
        for other, right in answers[:i]:
            if sentence != other:
                assert any(
                    a.shape != b.shape or not torch.allclose(a, b, rtol=1e-3, atol=1e-3) for a, b in zip(wrong, right)
                ), (sentence, other)


def test_a_stub_is_not_an_error(capsys, monkeypatch):
    def stub(z1, z2, temperature): ...

    monkeypatch.delenv("CL_COURSE_STRICT", raising=False)
    checks.nt_xent(stub)
    assert "not attempted" in capsys.readouterr().out
    monkeypatch.setenv("CL_COURSE_STRICT", "1")
    with pytest.raises(ExerciseError, match="not attempted"):
        checks.nt_xent(stub)


def test_code_that_stops_or_is_something_else_entirely(capsys, monkeypatch):
    monkeypatch.delenv("CL_COURSE_STRICT", raising=False)
    checks.nt_xent(lambda z1, z2, t: z1 @ z2)
    assert "your code stopped with RuntimeError" in capsys.readouterr().out
    checks.nt_xent(lambda z1, z2, t: (z1 - z2).square().mean() + math.pi)
    assert "none of the mistakes known" in capsys.readouterr().out
    checks.nt_xent(lambda z1, z2, t: "3.2")
    assert "a str came back" in capsys.readouterr().out
