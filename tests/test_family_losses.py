"""SupCon, Barlow Twins, VICReg and DINO: loops, values known on paper, invariances, lightly, and planted bugs."""

import math

import pytest
import torch
import torch.nn.functional as F

from cl_course.losses import (
    barlow_twins_loss,
    cross_correlation,
    dino_loss,
    nt_xent,
    supcon_loss,
    vicreg_loss,
    vicreg_terms,
)


def views(n=6, d=5, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    z1 = torch.randn(n, d, generator=generator, dtype=dtype)
    return z1, z1 + 0.5 * torch.randn(n, d, generator=generator, dtype=dtype)


LABELS = torch.tensor([0, 1, 0, 2, 1, 0])


def supcon_by_hand(z1, z2, labels, temperature):
    """Eq. 2, one view at a time, in floats."""
    unit = [v / v.norm() for v in [*z1, *z2]]
    classes, total = [*labels.tolist(), *labels.tolist()], 0.0
    for i, view in enumerate(unit):
        score = [math.exp(float(view @ other) / temperature) for other in unit]
        others = [k for k in range(len(unit)) if k != i]
        positives = [p for p in others if classes[p] == classes[i]]
        total -= sum(math.log(score[p] / sum(score[k] for k in others)) for p in positives) / len(positives)
    return total / len(unit)


class TestSupCon:
    @pytest.mark.parametrize("temperature", [0.07, 0.5, 1])
    @pytest.mark.parametrize("labels", [LABELS, torch.arange(6), torch.zeros(6, dtype=torch.long)])
    def test_is_the_loop_transcription(self, labels, temperature):
        z1, z2 = views()
        expected = supcon_by_hand(z1, z2, labels, temperature)
        assert supcon_loss(z1, z2, labels, temperature).item() == pytest.approx(expected, abs=1e-12)

    def test_one_image_a_class_is_nt_xent(self):
        z1, z2 = (z.requires_grad_() for z in views())
        ours, theirs = supcon_loss(z1, z2, torch.arange(6) * 7, 0.2), nt_xent(z1, z2, 0.2)
        torch.testing.assert_close(ours, theirs)
        torch.testing.assert_close(torch.autograd.grad(ours, z1), torch.autograd.grad(theirs, z1))

    def test_values_known_on_paper(self):
        alike = torch.ones(4, 3)
        for labels in (torch.arange(4), torch.zeros(4, dtype=torch.long)):
            assert supcon_loss(alike, alike, labels).item() == pytest.approx(math.log(7))
        # Two classes of two images, each class at one point, the classes opposite: 3 candidates of 7 are positives.
        z = torch.tensor([[1.0, 0], [1, 0], [-1, 0], [-1, 0]])
        two = torch.tensor([0, 0, 1, 1])
        assert supcon_loss(z, z, two, 0.5).item() == pytest.approx(math.log(3 + 4 * math.exp(-4)))
        assert supcon_loss(z, z, two, 0.01).item() == pytest.approx(math.log(3))  # the least there is

    def test_names_lengths_and_order_do_not_count(self):
        z1, z2 = views()
        expected, order = supcon_loss(z1, z2, LABELS, 0.2), torch.randperm(6)
        assert torch.allclose(supcon_loss(3 * z1, 0.2 * z2, 9 - LABELS, 0.2), expected)
        assert torch.allclose(supcon_loss(z2[order], z1[order], LABELS[order], 0.2), expected)
        assert not torch.allclose(supcon_loss(z1, z2, LABELS.roll(1), 0.2), expected)

    @pytest.mark.parametrize("temperature", [1e-4, 100.0])
    def test_gradients_are_right_and_extremes_finite(self, temperature):
        z1, z2 = (z.requires_grad_() for z in views())
        assert torch.autograd.gradcheck(lambda a, b: supcon_loss(a, b, LABELS, 0.3), (z1, z2))
        loss = supcon_loss(z1, z2, LABELS, temperature)
        loss.backward()
        assert loss.isfinite() and z1.grad.isfinite().all()

    @pytest.mark.parametrize("temperature", [0, -1, math.nan])
    def test_refuses_bad_temperatures_and_labels(self, temperature):
        z = views()
        with pytest.raises(ValueError, match="temperature must be a finite number above 0"):
            supcon_loss(*z, LABELS, temperature)
        with pytest.raises(TypeError, match="labels must be an int64 tensor of shape"):
            supcon_loss(*z, LABELS[:4])
        with pytest.raises(TypeError, match="labels must be an int64 tensor"):
            supcon_loss(*z, None)


def test_the_mean_inside_the_logarithm_is_another_loss():
    """L_in of eq. 3, which the paper shows to be worse."""
    z1, z2 = views()
    z, classes = F.normalize(torch.cat([z1, z2]), dim=1), LABELS.repeat(2)
    logits = (z @ z.T / 0.3).fill_diagonal_(-torch.inf)
    positive = (classes[:, None] == classes).fill_diagonal_(False)
    inside = -((logits.softmax(1) * positive).sum(1) / positive.sum(1)).log().mean()
    assert inside < supcon_loss(z1, z2, LABELS, 0.3) - 1e-2


def correlation_by_hand(z1, z2):
    n, d = z1.shape
    c = torch.zeros(d, d, dtype=torch.float64)
    for i in range(d):
        for j in range(d):
            a, b = z1[:, i].tolist(), z2[:, j].tolist()
            ma, mb = sum(a) / n, sum(b) / n
            top = sum((x - ma) * (y - mb) for x, y in zip(a, b))
            c[i, j] = top / math.sqrt(sum((x - ma) ** 2 for x in a) * sum((y - mb) ** 2 for y in b))
    return c


class TestBarlowTwins:
    @pytest.mark.parametrize("weight", [0, 5e-3, 1])
    @pytest.mark.parametrize("d", [1, 2, 5])
    def test_is_the_loop_transcription(self, d, weight):
        z1, z2 = views(d=d)
        c = correlation_by_hand(z1, z2)
        torch.testing.assert_close(cross_correlation(z1, z2), c)
        expected = sum((1 - float(c[i, i])) ** 2 for i in range(d))
        expected += weight * sum(float(c[i, j]) ** 2 for i in range(d) for j in range(d) if i != j)
        assert barlow_twins_loss(z1, z2, weight).item() == pytest.approx(expected, abs=1e-12)

    def test_values_known_on_paper(self):
        z = torch.tensor([[1.0, 1], [1, -1], [-1, 1], [-1, -1]])
        assert barlow_twins_loss(z, z).item() == pytest.approx(0, abs=1e-6)  # C is the identity
        assert barlow_twins_loss(z, -z).item() == pytest.approx(8)  # and here minus it: (1 + 1)^2 twice
        assert barlow_twins_loss(z, z.flip(1), 0.5).item() == pytest.approx(2 + 0.5 * 2)
        assert barlow_twins_loss(torch.ones(4, 3), torch.ones(4, 3)).item() == 3  # collapsed: no correlation
        same = z[:, :1].expand(4, 3)
        assert barlow_twins_loss(same, same, 0.1).item() == pytest.approx(0.6)  # three dimensions say one thing

    def test_means_scales_order_and_sides_do_not_count(self):
        z1, z2 = views()
        expected, order = barlow_twins_loss(z1, z2), torch.randperm(6)
        assert torch.allclose(barlow_twins_loss(3 * z1 + 7, z2 * torch.rand(5).double() - 2), expected)
        assert torch.allclose(barlow_twins_loss(z2[order], z1[order]), expected)
        assert torch.allclose(barlow_twins_loss(z1.flip(1), z2.flip(1)), expected)
        assert not torch.allclose(barlow_twins_loss(z1.roll(1, 0), z2), expected)

    def test_gradients_are_right_and_a_dead_dimension_is_harmless(self):
        z1, z2 = (z.requires_grad_() for z in views())
        assert torch.autograd.gradcheck(lambda a, b: barlow_twins_loss(a, b, 0.1), (z1, z2))
        dead = torch.ones(6, 5, dtype=torch.float64, requires_grad=True)
        barlow_twins_loss(dead, dead * 1).backward()
        assert dead.grad.isfinite().all() and not dead.grad.any()

    def test_equals_lightly(self):
        lightly = pytest.importorskip("lightly.loss")
        for n, d, weight in [(8, 3, 5e-3), (64, 32, 0.1)]:
            ours, theirs = ([z.clone().requires_grad_() for z in views(n, d, dtype=torch.float32)] for _ in range(2))
            our_loss = barlow_twins_loss(*ours, weight)
            their_loss = lightly.BarlowTwinsLoss(weight)(*theirs)
            our_loss.backward(), their_loss.backward()
            assert our_loss.item() == pytest.approx(their_loss.item(), rel=1e-3)  # its BatchNorm adds 1e-5
            assert all(torch.allclose(a.grad, b.grad, atol=1e-4) for a, b in zip(ours, theirs))

    def test_refuses_what_does_not_fit(self):
        z1, z2 = views()
        for weight in (-1, math.nan, math.inf):
            with pytest.raises(ValueError, match="redundancy_weight must be a finite number at least 0, got"):
                barlow_twins_loss(z1, z2, weight)
        with pytest.raises(ValueError, match="compares the images of a batch and got 1; give it at least 2"):
            barlow_twins_loss(z1[:1], z2[:1])
        with pytest.raises(TypeError, match="z2"):
            barlow_twins_loss(z1, z2[:, :3])


def vicreg_by_hand(z1, z2):
    """Eq. 1 to 5 in floats; the invariance divided by d."""
    n, d = z1.shape
    invariance = sum(float(a - b) ** 2 for a, b in zip(z1.flatten(), z2.flatten())) / (n * d)
    variance, covariance = 0.0, 0.0
    for z in (z1, z2):
        means = [sum(z[:, j].tolist()) / n for j in range(d)]
        cov = [
            [sum((float(r[i]) - means[i]) * (float(r[j]) - means[j]) for r in z) / (n - 1) for j in range(d)]
            for i in range(d)
        ]
        variance += sum(max(0.0, 1 - math.sqrt(cov[j][j] + 1e-4)) for j in range(d)) / d
        covariance += sum(cov[i][j] ** 2 for i in range(d) for j in range(d) if i != j) / d
    return invariance, variance, covariance


class TestVICReg:
    @pytest.mark.parametrize("scale", [0.3, 1.0, 3.0])
    @pytest.mark.parametrize("d", [1, 2, 5])
    def test_is_the_loop_transcription(self, d, scale):
        z1, z2 = (scale * z for z in views(d=d))
        terms = vicreg_by_hand(z1, z2)
        assert [t.item() for t in vicreg_terms(z1, z2)] == pytest.approx(terms, abs=1e-12)
        expected = 25 * terms[0] + 25 * terms[1] + terms[2]
        assert vicreg_loss(z1, z2).item() == pytest.approx(expected)

    def test_values_known_on_paper(self):
        alike = torch.ones(4, 3)
        assert [t.item() for t in vicreg_terms(alike, alike)] == pytest.approx([0, 2 * 0.99, 0])
        assert vicreg_loss(alike, alike).item() == pytest.approx(49.5)
        z = torch.tensor([[1.0, 1], [1, -1], [-1, 1], [-1, -1]]) * 2  # variance 16 / 3, uncorrelated
        assert vicreg_loss(z, z).item() == pytest.approx(0, abs=1e-6)
        assert [t.item() for t in vicreg_terms(z, -z)] == pytest.approx([16, 0, 0], abs=1e-6)
        same = z[:, :1].expand(4, 2)  # one number said twice: Cov_12 = 16 / 3, in both views
        assert vicreg_terms(same, same)[2].item() == pytest.approx(2 * (16 / 3) ** 2)

    def test_means_and_order_do_not_count_but_lengths_do(self):
        z1, z2 = views()
        expected, order = vicreg_loss(z1, z2), torch.randperm(6)
        assert torch.allclose(vicreg_loss(z1 + 7, z2 + 7), expected)
        assert torch.allclose(vicreg_loss(z2[order], z1[order]), expected)
        assert not torch.allclose(vicreg_loss(2 * z1, 2 * z2), expected)

    def test_gradients_are_right_and_collapse_has_a_finite_one(self):
        z1, z2 = (0.5 * z.requires_grad_() for z in views())
        assert torch.autograd.gradcheck(vicreg_loss, (z1.detach().requires_grad_(), z2.detach().requires_grad_()))
        dead = torch.ones(6, 5, dtype=torch.float64, requires_grad=True)
        vicreg_loss(dead, dead * 1).backward()
        assert dead.grad.isfinite().all()

    def test_equals_lightly_whose_variance_is_halved(self):
        lightly = pytest.importorskip("lightly.loss")
        for n, d, scale in [(8, 3, 1.0), (64, 32, 0.4)]:
            drawn = [scale * z for z in views(n, d, dtype=torch.float32)]
            ours, theirs = ([z.clone().requires_grad_() for z in drawn] for _ in range(2))
            our_loss, their_loss = vicreg_loss(*ours, 25.0, 12.5, 1.0), lightly.VICRegLoss()(*theirs)
            our_loss.backward(), their_loss.backward()
            assert our_loss.item() == pytest.approx(their_loss.item(), rel=1e-5)
            assert all(torch.allclose(a.grad, b.grad, atol=1e-6) for a, b in zip(ours, theirs))

    @pytest.mark.parametrize("name", ["invariance", "variance", "covariance"])
    def test_refuses_what_does_not_fit(self, name):
        z1, z2 = views()
        for weight in (-0.1, math.nan):
            with pytest.raises(ValueError, match=f"{name}_weight must be a finite number at least 0, got"):
                vicreg_loss(z1, z2, **{f"{name}_weight": weight})
        with pytest.raises(ValueError, match="compares the images of a batch and got 1"):
            vicreg_loss(z1[:1], z2[:1])
        with pytest.raises(TypeError, match="z2"):
            vicreg_loss(z1, z2[:4])


def dino_by_hand(student, teacher, center, student_temperature, teacher_temperature):
    total = 0.0
    for s, t in zip(student.tolist(), teacher.tolist()):
        targets = [math.exp((x - float(c)) / teacher_temperature) for x, c in zip(t, center)]
        guesses = [math.exp(x / student_temperature) for x in s]
        total -= sum(a / sum(targets) * math.log(b / sum(guesses)) for a, b in zip(targets, guesses))
    return total / len(student)


class TestDINO:
    @pytest.mark.parametrize("temperatures", [(0.1, 0.04), (0.5, 1), (1, 0.2)])
    def test_is_the_loop_transcription(self, temperatures):
        student, teacher = (F.normalize(z, dim=1) for z in views())
        center = torch.linspace(-0.3, 0.2, 5).double()
        expected = dino_by_hand(student, teacher, center, *temperatures)
        assert dino_loss(student, teacher, center, *temperatures).item() == pytest.approx(expected)

    def test_values_known_on_paper(self):
        flat, center = torch.zeros(3, 4), torch.zeros(4)
        assert dino_loss(flat, flat, center).item() == pytest.approx(math.log(4))
        scores = torch.tensor([[1.0, 0.0]])
        assert dino_loss(scores, scores, torch.zeros(2), 1, 1e-3).item() == pytest.approx(math.log(1 + math.exp(-1)))
        # The centre takes away what all images share: targets are uniform, and the student's two logs are averaged.
        expected = math.log(1 + math.e) - 0.5
        assert dino_loss(scores, scores, scores[0], 1, 0.04).item() == pytest.approx(expected)

    def test_what_is_added_to_all_scores_does_not_count(self):
        (student, teacher), center = views(), torch.rand(5).double()
        expected = dino_loss(student, teacher, center)
        assert torch.allclose(dino_loss(student + 3, teacher - 2, center + 1), expected)
        assert torch.allclose(dino_loss(student, teacher + 1, center + torch.ones(5)), expected)
        assert not torch.allclose(dino_loss(teacher, student, center), expected)

    def test_gradient_of_the_student_is_its_distribution_minus_the_targets(self):
        (student, teacher), center = views(), torch.zeros(5).double()
        student.requires_grad_()
        dino_loss(student, teacher, center, 0.2, 0.1).backward()
        expected = ((student / 0.2).softmax(1) - (teacher / 0.1).softmax(1)) / (0.2 * len(student))
        torch.testing.assert_close(student.grad, expected.detach())

    def test_equals_lightly(self):
        lightly = pytest.importorskip("lightly.loss")
        student, teacher = (views(8, 16, seed, torch.float32) for seed in (1, 2))
        theirs = lightly.DINOLoss(16, teacher_temp=0.05, student_temp=0.2)
        theirs.center += torch.linspace(-0.2, 0.2, 16)
        center, grads = theirs.center.flatten().clone(), []
        for loss in (
            lambda s: theirs(list(teacher), s),
            lambda s: sum(dino_loss(s[i], teacher[1 - i], center, 0.2, 0.05) for i in (0, 1)) / 2,
        ):
            given = [s.clone().requires_grad_() for s in student]
            value = loss(given)
            grads.append((value, *torch.autograd.grad(value, given)))
        torch.testing.assert_close(*grads)

    def test_refuses_what_does_not_fit(self):
        (student, teacher), center = views(), torch.zeros(5).double()
        for wrong in ((0, 0.04), (0.1, -1), (math.nan, 0.04), (0.1, math.inf)):
            with pytest.raises(ValueError, match="_temperature must be a finite number above 0, got"):
                dino_loss(student, teacher, center, *wrong)
        with pytest.raises(ValueError, match="got 1 score; give it at least 2"):
            dino_loss(student[:, :1], teacher[:, :1], center[:1])
        with pytest.raises(TypeError, match="center"):
            dino_loss(student, teacher, center[:4])


FAMILY = {
    "supcon": lambda a, b: supcon_loss(a, b, LABELS, 0.1),
    "barlow_twins": barlow_twins_loss,
    "vicreg": vicreg_loss,
    "dino": lambda a, b: dino_loss(a, b, a.new_zeros(a.shape[1])),
}


@pytest.mark.parametrize("name", FAMILY)
def test_autocast_leaves_every_loss_in_float32(name):
    z1, z2 = views(dtype=torch.float32)
    expected = FAMILY[name](z1, z2)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(FAMILY[name](z1, z2), expected)
    assert expected.dtype == torch.float32


@pytest.mark.parametrize("name", FAMILY)
def test_nan_is_never_hidden(name):
    z1, z2 = views()
    z1[0, 0] = math.nan
    assert FAMILY[name](z1, z2).isnan()


@pytest.mark.parametrize("name", FAMILY)
def test_inputs_are_left_alone(name):
    z1, z2 = views()
    kept = z1.clone(), z2.clone()
    FAMILY[name](z1, z2)
    assert torch.equal(z1, kept[0]) and torch.equal(z2, kept[1])


BUGS = {  # a wrong way -> the loss with it, beside the right value by loops
    "supcon: itself is a positive": lambda a, b: supcon_with(a, b, own=True),
    "supcon: itself is a candidate": lambda a, b: supcon_with(a, b, candidate=True),
    "supcon: sum over positives": lambda a, b: supcon_with(a, b, mean=False),
    "barlow: not centred": lambda a, b: barlow_of(F.normalize(a, dim=0).T @ F.normalize(b, dim=0)),
    "barlow: standardised over dimensions": lambda a, b: barlow_of(cross_correlation_rows(a, b)),
    "barlow: off-diagonal not squared": lambda a, b: barlow_of(cross_correlation(a, b), power=1),
    "vicreg: hinge on the variance": lambda a, b: sum((1 - z.var(0)).relu().mean() for z in (a, b)),
    "vicreg: biased variance": lambda a, b: sum((1 - z.std(0, correction=0)).relu().mean() for z in (a, b)),
    "dino: temperatures exchanged": lambda a, b: dino_loss(a, b, CENTER, 0.3, 0.5),
    "dino: centre added": lambda a, b: dino_loss(a, b, -CENTER, 0.5, 0.3),
    "dino: centre of the student": lambda a, b: dino_loss(a - CENTER, b, 0 * CENTER, 0.5, 0.3),
}
CENTER = torch.linspace(-1, 1, 5).double()


def supcon_with(z1, z2, own=False, candidate=False, mean=True):
    z, classes = F.normalize(torch.cat([z1, z2]), dim=1), LABELS.repeat(2)
    logits = z @ z.T / 0.3
    itself = torch.eye(len(z), dtype=torch.bool)
    shares = logits.masked_fill(itself & torch.tensor(not (candidate or own)), -torch.inf).log_softmax(1)
    positive = (classes[:, None] == classes) & (~itself | torch.tensor(own))
    terms = torch.where(positive, shares, 0).sum(1)
    return -(terms / positive.sum(1) if mean else terms).mean()


def barlow_of(c, power=2):
    off = c - c.diagonal().diag()
    return (1 - c.diagonal()).square().sum() + 0.1 * off.pow(power).sum()


def cross_correlation_rows(z1, z2):
    a, b = (F.normalize(z - z.mean(1, keepdim=True), dim=1) for z in (z1, z2))
    return a.T @ b


@pytest.mark.parametrize("bug", BUGS)
def test_the_loop_transcriptions_catch_a_planted_bug(bug):
    z1, z2 = (0.4 * z + 0.2 for z in views())
    c = correlation_by_hand(z1, z2)
    right = {
        "supcon": supcon_by_hand(z1, z2, LABELS, 0.3),
        "barlow": float(barlow_of(c)),
        "vicreg": vicreg_by_hand(z1, z2)[1],
        "dino": dino_by_hand(z1, z2, CENTER, 0.5, 0.3),
    }[bug.partition(":")[0]]
    assert abs(BUGS[bug](z1, z2).item() - right) > 1e-3
