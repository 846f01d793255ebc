"""The losses against plain loops, values known on paper, invariances, autograd, and planted bugs."""

import math

import pytest
import torch
import torch.nn.functional as F

from cl_course.losses import (
    alignment,
    byol_loss,
    chance_loss,
    clip_loss,
    cross_correlation,
    info_nce,
    nt_xent,
    siglip_loss,
    uniformity,
)


def views(n=5, d=7, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    z1 = torch.randn(n, d, generator=generator, dtype=dtype)
    z2 = z1 + 0.5 * torch.randn(n, d, generator=generator, dtype=dtype)
    return z1, z2


def nt_xent_by_hand(z1, z2, temperature):
    """SimCLR's eq. 1, one view at a time: loops and floats, no code shared with `nt_xent`."""
    views = [v / v.norm() for v in [*z1, *z2]]
    n, total = len(z1), 0.0
    for i, view in enumerate(views):
        score = [math.exp(float(view @ other) / temperature) for other in views]
        total -= math.log(score[(i + n) % (2 * n)] / (sum(score) - score[i]))
    return total / (2 * n)


def info_nce_by_hand(q, k, negatives, temperature):
    """MoCo's eq. 1, one query at a time."""

    def score(a, b):
        return math.exp(float(a @ b) / float(a.norm() * b.norm()) / temperature)

    losses = [-math.log(score(a, b) / (score(a, b) + sum(score(a, c) for c in negatives))) for a, b in zip(q, k)]
    return sum(losses) / len(losses)


class TestNTXent:
    @pytest.mark.parametrize("temperature", [0.05, 0.5, 1, 2.0])
    @pytest.mark.parametrize("n", [1, 2, 5])
    def test_is_the_loop_transcription(self, n, temperature):
        z1, z2 = views(n)
        assert nt_xent(z1, z2, temperature).item() == pytest.approx(nt_xent_by_hand(z1, z2, temperature), abs=1e-12)

    def test_values_known_on_paper(self):
        apart, collapsed = torch.eye(2), torch.ones(4, 3)
        assert nt_xent(apart, apart, 0.5).item() == pytest.approx(math.log(1 + 2 * math.exp(-2)))
        assert nt_xent(collapsed, collapsed).item() == pytest.approx(math.log(7))  # 2n - 1 candidates alike
        assert nt_xent(collapsed, collapsed).item() == pytest.approx(chance_loss(4))
        assert nt_xent(torch.randn(1, 3), torch.randn(1, 3)).item() == 0  # a single candidate, the right one
        # Partners opposite, all else orthogonal: exp(-1 / T) against 2n - 2 ones.
        assert nt_xent(torch.eye(3), -torch.eye(3), 1.0).item() == pytest.approx(math.log(1 + 4 * math.e))

    def test_lengths_do_not_count(self):
        z1, z2 = views()
        lengths = torch.rand(2, len(z1), 1, dtype=torch.float64) * 10 + 0.01
        assert torch.allclose(nt_xent(z1 * lengths[0], z2 * lengths[1], 0.2), nt_xent(z1, z2, 0.2))

    def test_order_of_the_batch_does_not_count(self):
        z1, z2 = views()
        order = torch.randperm(len(z1))
        assert torch.allclose(nt_xent(z1[order], z2[order], 0.2), nt_xent(z1, z2, 0.2))
        assert not torch.allclose(
            nt_xent(z1[order.roll(1)], z2[order], 0.2), nt_xent(z1, z2, 0.2)
        )  # but who belongs to whom does

    def test_views_may_be_swapped(self):
        z1, z2 = views()
        assert torch.allclose(nt_xent(z2, z1, 0.2), nt_xent(z1, z2, 0.2))

    def test_turning_the_sphere_does_not_count(self):
        z1, z2 = views()
        turn = torch.linalg.qr(torch.randn(7, 7, dtype=torch.float64))[0]
        assert torch.allclose(nt_xent(z1 @ turn, z2 @ turn, 0.2), nt_xent(z1, z2, 0.2))

    @pytest.mark.parametrize("temperature", [0.1, 1.0])
    def test_gradient_is_that_of_finite_differences(self, temperature):
        z1, z2 = (z.requires_grad_() for z in views(n=3, d=4))
        assert torch.autograd.gradcheck(lambda a, b: nt_xent(a, b, temperature), (z1, z2))

    def test_gradient_is_that_derived_by_hand(self):
        """Per query, p_ij / T for a negative and (p_ij - 1) / T for the partner; then the chain rule by hand."""
        z1, z2 = views()
        n, temperature = len(z1), 0.2
        z = torch.cat([z1, z2]).requires_grad_()
        nt_xent(z[:n], z[n:], temperature).backward()

        length = z.detach().norm(dim=1, keepdim=True)
        unit = z.detach() / length
        score = (unit @ unit.T / temperature).exp()
        score.fill_diagonal_(0)
        pull = score / score.sum(dim=1, keepdim=True)  # p_ij
        pull -= torch.eye(2 * n, dtype=torch.float64).roll(n, dims=1)
        pull /= temperature * 2 * n  # of the mean over 2n queries, towards each similarity
        towards = (pull + pull.T) @ unit  # a similarity belongs to both its ends
        tangent = towards - (towards * unit).sum(dim=1, keepdim=True) * unit  # moving along itself changes no direction
        assert torch.allclose(z.grad, tangent / length)

    def test_equals_lightly(self):
        lightly = pytest.importorskip("lightly.loss")
        for n, d, temperature in [(2, 3, 0.5), (33, 16, 0.1), (64, 128, 1.0)]:
            ours, theirs = ([z.clone().requires_grad_() for z in views(n, d, dtype=torch.float32)] for _ in range(2))
            our_loss, their_loss = nt_xent(*ours, temperature), lightly.NTXentLoss(temperature)(*theirs)
            our_loss.backward()
            their_loss.backward()
            assert our_loss.item() == pytest.approx(their_loss.item(), abs=1e-5)
            assert all(torch.allclose(a.grad, b.grad, atol=1e-6) for a, b in zip(ours, theirs))

    def test_is_the_mean_of_every_views_info_nce(self):
        z1, z2 = views()
        z, n = torch.cat([z1, z2]), len(z1)
        losses = []
        for i in range(2 * n):
            partner = (i + n) % (2 * n)
            others = [k for k in range(2 * n) if k not in (i, partner)]
            losses.append(info_nce(z[i : i + 1], z[partner : partner + 1], z[others], 0.3))
        assert torch.allclose(torch.stack(losses).mean(), nt_xent(z1, z2, 0.3))

    @pytest.mark.parametrize("temperature", [1e-4, 0.01, 0.5, 100.0])
    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
    def test_finite_at_every_temperature_and_precision(self, dtype, temperature):
        z1, z2 = (z.requires_grad_() for z in views(n=300, d=16, dtype=torch.float32))
        exact = nt_xent(z1.double(), z2.double(), temperature).item()
        loss = nt_xent(z1.to(dtype), z2.to(dtype), temperature)
        loss.backward()
        assert z1.grad.isfinite().all() and z2.grad.isfinite().all()
        assert loss.item() == pytest.approx(
            exact, rel={torch.float16: 0.02, torch.bfloat16: 0.1, torch.float32: 1e-4}[dtype]
        )

    def test_zero_embeddings_do_not_break_it(self):
        dead = torch.zeros(4, 3, requires_grad=True)
        loss = nt_xent(dead, dead, 0.1)
        loss.backward()
        assert loss.item() == pytest.approx(math.log(7)) and dead.grad.isfinite().all()

    def test_leaves_its_inputs_alone(self):
        z1, z2 = views()
        kept = z1.clone(), z2.clone()
        nt_xent(z1, z2, 0.1)
        assert torch.equal(z1, kept[0]) and torch.equal(z2, kept[1])

    @pytest.mark.parametrize("temperature", [0, -0.5, math.nan, math.inf])
    def test_refuses_a_temperature_that_is_not_positive(self, temperature):
        with pytest.raises(ValueError, match=f"must be a finite number above 0, got {temperature}; 0.05 to 1"):
            nt_xent(*views(), temperature)

    def test_names_the_view_that_does_not_fit(self):
        z1, z2 = views()
        with pytest.raises(TypeError, match="z2"):
            nt_xent(z1, z2[:4])
        with pytest.raises(TypeError, match="z2"):
            nt_xent(z1, z2[:, :4])
        with pytest.raises(TypeError, match="z1"):
            nt_xent(z1.long(), z2.long())


def wrong_nt_xent(z1, z2, temperature, bug):
    """NT-Xent with one bug planted."""
    n = len(z1)
    z = torch.cat([z1, z2])
    z = z if bug == "not normalised" else F.normalize(z, dim=0 if bug == "normalised along the batch" else 1)
    scale = {
        "temperature forgotten": 1,
        "temperature multiplied": 1 / temperature,
        "temperature squared": temperature**2,
    }.get(bug, temperature)
    logits = z @ z.T / scale
    if bug != "diagonal not masked":
        logits.fill_diagonal_(0 if bug == "diagonal masked with 0" else -torch.inf)
    partner = torch.arange(2 * n).roll({"partner off by one": n + 1, "neighbour as partner": 1}.get(bug, n))
    rows = slice(n) if bug == "one direction" else slice(2 * n)
    if bug == "partner left out of the sum":
        chosen = logits[torch.arange(2 * n), partner]
        return (logits.scatter(1, partner[:, None], -torch.inf).logsumexp(dim=1) - chosen).mean()
    return F.cross_entropy(logits[rows], partner[rows], reduction="sum" if bug == "sum for mean" else "mean")


BUGS = [
    "diagonal not masked",
    "diagonal masked with 0",
    "temperature forgotten",
    "temperature multiplied",
    "temperature squared",
    "partner off by one",
    "neighbour as partner",
    "one direction",
    "sum for mean",
    "not normalised",
    "normalised along the batch",
    "partner left out of the sum",
]


@pytest.mark.parametrize("bug", BUGS)
def test_the_loop_transcription_catches_a_planted_bug(bug):
    z1, z2 = views(n=4)
    expected = nt_xent_by_hand(z1, z2, 0.3)
    assert wrong_nt_xent(z1, z2, 0.3, bug=None).item() == pytest.approx(expected)  # only the bug makes it wrong
    assert abs(wrong_nt_xent(z1, z2, 0.3, bug).item() - expected) > 1e-3


class TestInfoNCE:
    @pytest.mark.parametrize("temperature", [0.07, 0.5, 1])
    @pytest.mark.parametrize("m", [0, 1, 9])
    def test_is_the_loop_transcription(self, m, temperature):
        q, k = views()
        negatives = torch.randn(m, 7, dtype=torch.float64)
        assert info_nce(q, k, negatives, temperature).item() == pytest.approx(
            info_nce_by_hand(q, k, negatives, temperature), abs=1e-12
        )

    def test_values_known_on_paper(self):
        one = torch.ones(3, 2)
        assert info_nce(one, one, torch.ones(9, 2)).item() == pytest.approx(math.log(10))  # 1 + m candidates alike
        q = torch.tensor([[1.0, 0.0]])
        assert info_nce(q, q, torch.tensor([[0.0, 1.0], [0.0, -1.0]]), 0.5).item() == pytest.approx(
            math.log(1 + 2 * math.exp(-2))
        )

    def test_lengths_and_order_do_not_count(self):
        q, k = views()
        negatives = torch.randn(9, 7, dtype=torch.float64)
        expected = info_nce(q, k, negatives)
        assert torch.allclose(info_nce(3 * q, 0.1 * k, 7 * negatives), expected)
        assert torch.allclose(info_nce(q.flip(0), k.flip(0), negatives[torch.randperm(9)]), expected)

    def test_gradients_and_extremes(self):
        q, k = (z.requires_grad_() for z in views(n=3, d=4))
        negatives = torch.randn(5, 4, dtype=torch.float64, requires_grad=True)
        assert torch.autograd.gradcheck(info_nce, (q, k, negatives))
        for temperature in (1e-4, 100.0):
            assert info_nce(q.float(), k.float(), negatives.float(), temperature).isfinite()

    def test_refuses_what_does_not_fit(self):
        q, k = views()
        with pytest.raises(ValueError, match="temperature must be a finite number above 0, got 0"):
            info_nce(q, k, q, 0)
        with pytest.raises(TypeError, match="negatives"):
            info_nce(q, k, torch.randn(9, 6))
        with pytest.raises(TypeError, match="info_nce: k must be"):
            info_nce(q, k[:2], q)


class TestAlignmentAndUniformity:
    def test_against_loops(self):
        z1, z2 = views()
        unit1, unit2 = ([v / v.norm() for v in z] for z in (z1, z2))
        by_hand = sum(float((a - b).norm()) ** 2 for a, b in zip(unit1, unit2)) / len(z1)
        assert alignment(z1, z2).item() == pytest.approx(by_hand)
        pairs = [math.exp(-2 * float((unit1[i] - unit1[j]).norm()) ** 2) for i in range(5) for j in range(i)]
        assert uniformity(z1).item() == pytest.approx(math.log(sum(pairs) / len(pairs)))

    def test_values_known_on_paper(self):
        z = torch.eye(3)
        assert alignment(z, z).item() == 0
        assert alignment(z, -z).item() == pytest.approx(4)
        assert uniformity(torch.ones(5, 3)).item() == 0
        assert uniformity(z).item() == pytest.approx(-4)  # every pair at squared distance 2
        # Many points evenly round the circle: the mean of exp(-4 + 4 cos) is exp(-4) I0(4).
        angle = torch.arange(4000, dtype=torch.float64) / 4000 * 2 * math.pi
        circle = uniformity(torch.stack([angle.cos(), angle.sin()], dim=1)).item()
        assert circle == pytest.approx(-4 + math.log(torch.special.i0(torch.tensor(4.0)).item()), abs=5e-3)

    def test_lengths_do_not_count_and_gradients_are_right(self):
        z1, z2 = (z.requires_grad_() for z in views(n=4, d=3))
        assert torch.allclose(alignment(9 * z1, 0.1 * z2), alignment(z1, z2))
        assert torch.allclose(uniformity(9 * z1), uniformity(z1))
        assert torch.autograd.gradcheck(alignment, (z1, z2))
        assert torch.autograd.gradcheck(uniformity, (z1,))

    def test_collapsed_embeddings_have_finite_gradients(self):
        z = torch.ones(4, 3, requires_grad=True)
        (uniformity(z) + alignment(z, z)).backward()
        assert z.grad.isfinite().all()

    def test_one_point_has_no_pairs(self):
        with pytest.raises(ValueError, match="got 1 embedding"):
            uniformity(torch.ones(1, 3))


def test_autocast_leaves_every_loss_in_float32():
    z1, z2 = views(dtype=torch.float32)
    losses = [
        lambda a, b: nt_xent(a, b, 0.1),
        lambda a, b: info_nce(a, b, a.flip(0), 0.1),
        byol_loss,
        alignment,
        lambda a, b: uniformity(a),
    ]
    for loss in losses:
        expected = loss(z1, z2)
        with torch.autocast("cpu", torch.bfloat16):
            assert torch.equal(loss(z1, z2), expected)
            rounded = loss(z1.bfloat16(), z2.bfloat16())  # as a network under autocast gives them
        assert rounded.dtype == torch.float32 and torch.allclose(rounded, expected, rtol=0.05)


@pytest.mark.parametrize("loss", [nt_xent, alignment, byol_loss, clip_loss, siglip_loss, cross_correlation])
def test_no_images_have_no_loss(loss):
    with pytest.raises(ValueError, match=r"z?\w+ is empty, of shape \(0, 4\); give it at least one row"):
        loss(torch.zeros(0, 4), torch.zeros(0, 4))
