"""`checks.nt_xent` passes every right way to write the exercise, and names every known wrong one."""

from functools import partial

import pytest
import torch
import torch.nn.functional as F

from cl_course import checks
from cl_course.lessons.infonce.check_nt_xent import nt_xent
from cl_course.lessons.shared.exercise import ExerciseError
from cl_course.losses import nt_xent as course_nt_xent


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
    z = F.normalize(torch.stack([z1, z2], dim=1).flatten(0, 1), dim=1)  # A1 A2 B1 B2 ...
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


def by_einsum(left, right, tau):
    z = torch.cat([left, right])
    z = z / torch.einsum("id,id->i", z, z).sqrt()[:, None]
    s = torch.einsum("id,jd->ij", z, z).div(tau)
    s.diagonal().fill_(-torch.inf)
    return -s.log_softmax(dim=1)[torch.arange(len(z)), (torch.arange(len(z)) + len(left)) % len(z)].mean()


def by_loops(z1, z2, temperature):
    views, n, losses = [*z1, *z2], len(z1), []
    for i, view in enumerate(views):
        s = [F.cosine_similarity(view, other, dim=0) / temperature for other in views]
        losses.append(torch.stack([s[k] for k in range(2 * n) if k != i]).logsumexp(dim=0) - s[(i + n) % (2 * n)])
    return sum(losses) / len(losses)


def by_cosine_similarity_of_all_pairs(z1, z2, temperature=0.5):
    z = torch.vstack((z1, z2))
    s = F.cosine_similarity(z.unsqueeze(1), z.unsqueeze(0), dim=-1) / temperature
    s = s.where(~torch.eye(len(z), dtype=torch.bool), torch.tensor(float("-inf")))
    return F.nll_loss(F.log_softmax(s, dim=-1), torch.tensor([(i + len(z1)) % len(z) for i in range(len(z))]))


def with_the_view_itself_cut_out(z1, z2, temperature):
    z = F.normalize(torch.cat([z1, z2]), dim=1)
    views, n = len(z), len(z1)
    logits = (z @ z.T / temperature)[~torch.eye(views, dtype=torch.bool)].view(views, views - 1)
    return F.cross_entropy(logits, torch.cat([torch.arange(n) + n - 1, torch.arange(n)]))  # one column fewer


class AsAnObject:
    def __init__(self, mask):
        self.mask = mask

    def __call__(self, z1, z2, temperature):
        z = F.normalize(torch.cat([z1, z2]), dim=1) / temperature**0.5
        return F.cross_entropy((z @ z.T).fill_diagonal_(self.mask), torch.arange(len(z)).roll(len(z1)))


def through_both_directions(z1, z2, temperature, average=torch.mean):
    a, b = F.normalize(z1, dim=1), F.normalize(z2, dim=1)
    own = torch.eye(len(a), dtype=torch.bool)
    first = torch.cat([a @ b.T, (a @ a.T).masked_fill(own, -torch.inf)], dim=1) / temperature
    second = torch.cat([b @ a.T, (b @ b.T).masked_fill(own, -torch.inf)], dim=1) / temperature
    target = torch.arange(len(a))
    return average(torch.stack([F.cross_entropy(first, target), F.cross_entropy(second, target)]))


RIGHT = [
    by_cross_entropy,
    by_logsumexp,
    by_gathered_positives,
    by_interleaving,
    by_shifting_first,
    in_double,
    by_einsum,
    by_loops,
    by_cosine_similarity_of_all_pairs,
    with_the_view_itself_cut_out,
    AsAnObject(-1e9),
    partial(through_both_directions, average=torch.mean),
    lambda a, b, t: by_cross_entropy(a, b, t).reshape(1),
    course_nt_xent,
]


@pytest.mark.parametrize("solution", RIGHT)
def test_passes_every_right_form(solution, capsys, monkeypatch):
    monkeypatch.setenv("CL_COURSE_STRICT", "1")
    checks.nt_xent(solution)
    assert capsys.readouterr().out.startswith("✔ my_nt_xent")


def test_remarks_on_right_answers():
    assert "shape (1,)" in nt_xent.judge(lambda a, b, t: by_cross_entropy(a, b, t).reshape(1)).notes[0]
    assert "float64" in nt_xent.judge(in_double).notes[0]
    assert nt_xent.judge(by_cross_entropy).notes == ()


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
        (temperature_forgotten, "the temperature has no effect"),
        (temperature_before_normalising, "the temperature has no effect"),
        (temperature_before_normalising_by_norm, "the temperature has no effect"),
        (temperature_multiplied, "you multiply by the temperature"),
        (temperature_twice, "T squared"),
        (partner_one_too_far, "wrong offset"),
        (partner_is_next, "wrong offset"),
        (partner_as_if_interleaved, "A1 A2 B1 B2"),
        (partner_is_itself, "its own target"),
        (masked_itself_as_partner, "your loss is inf"),
        (first_views_only, "one direction only"),
        (across_one_way, "one direction only"),
        (across_both_ways, "half of the candidates are missing"),
        (summed, "a sum where the mean belongs"),
        (divided_by_n, "Divide by 2n, not by n"),
        (halved, "twice too small"),
        (mean_then_divided, "divided by 2n twice"),
        (one_for_each_view, "one value for each view"),
        (not_normalised, "not normalised"),
        (normalised_down_the_columns, "wrong dimension"),
        (textbook, "at T = 0.01 your answer is not finite"),
        (textbook_in_two_logarithms, "at T = 0.01 your answer is not finite"),
        (textbook_by_subtraction, "at T = 0.01 your answer is not finite"),
        (sign_turned, "the sign is wrong"),
        (partner_not_in_the_sum, "leaves the partner out"),
        (as_a_number, "no gradient reaches them"),
        (half_detached, "not the gradient of the whole loss"),
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


def test_a_stub_is_not_an_error(capsys, monkeypatch):
    def stub(z1, z2, temperature): ...

    monkeypatch.delenv("CL_COURSE_STRICT", raising=False)
    checks.nt_xent(stub)
    assert "not attempted" in capsys.readouterr().out
    monkeypatch.setenv("CL_COURSE_STRICT", "1")
    with pytest.raises(ExerciseError, match="not attempted"):
        checks.nt_xent(stub)


def test_code_that_stops_or_is_something_else_entirely():
    assert "your code stopped with RuntimeError" in nt_xent.judge(lambda z1, z2, t: z1 @ z2).sentence
    assert "a str came back" in nt_xent.judge(lambda z1, z2, t: "3.2").sentence
    assert "a tuple of 2 came back" in nt_xent.judge(lambda z1, z2, t: (by_cross_entropy(z1, z2, t), 1)).sentence
