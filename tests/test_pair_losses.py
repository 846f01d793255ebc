"""The losses between images and texts against plain loops, values known on paper, other formulas, and planted bugs."""

import math

import pytest
import torch
import torch.nn.functional as F

from cl_course.losses import clip_loss, info_nce, nt_xent, siglip_loss


def pairs(n=5, d=7, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    z_image = torch.randn(n, d, generator=generator, dtype=dtype)
    return z_image, z_image + 0.5 * torch.randn(n, d, generator=generator, dtype=dtype)


def cosine(a, b):
    return float(a @ b) / float(a.norm() * b.norm())


def clip_by_hand(z_image, z_text, temperature):
    """Fig. 3 of the paper, one image and one text at a time: loops and floats, no code shared with `clip_loss`."""
    n, total = len(z_image), 0.0
    for i in range(n):
        score = [math.exp(cosine(z_image[i], text) / temperature) for text in z_text]
        total -= math.log(score[i] / sum(score)) / (2 * n)
        score = [math.exp(cosine(image, z_text[i]) / temperature) for image in z_image]
        total -= math.log(score[i] / sum(score)) / (2 * n)
    return total


def siglip_by_hand(z_image, z_text, temperature, bias):
    """Eq. 1 of the paper, one pair at a time."""
    total = 0.0
    for i, image in enumerate(z_image):
        for j, text in enumerate(z_text):
            y = 1 if i == j else -1
            total += math.log(1 + math.exp(-y * (cosine(image, text) / temperature + bias)))
    return total / len(z_image)


class TestCLIP:
    @pytest.mark.parametrize("temperature", [0.05, 0.5, 1, 2.0])
    @pytest.mark.parametrize("n", [1, 2, 5])
    def test_is_the_loop_transcription(self, n, temperature):
        z = pairs(n)
        assert clip_loss(*z, temperature).item() == pytest.approx(clip_by_hand(*z, temperature), abs=1e-12)

    def test_values_known_on_paper(self):
        one, apart = torch.ones(4, 3), torch.eye(4)
        assert clip_loss(one, one).item() == pytest.approx(math.log(4))  # n candidates alike
        assert clip_loss(apart, apart, 0.5).item() == pytest.approx(math.log(1 + 3 * math.exp(-2)))
        assert clip_loss(torch.randn(1, 3), torch.randn(1, 3)).item() == 0  # a single candidate, the right one

    def test_is_open_clip_s_formula(self):
        """As its ClipLoss computes it: features of length 1, a scale, and the mean of two cross-entropies."""
        z_image, z_text = (F.normalize(z, dim=-1) for z in pairs(6))
        logits_per_image = (1 / 0.07) * z_image @ z_text.T
        labels = torch.arange(6)
        theirs = (F.cross_entropy(logits_per_image, labels) + F.cross_entropy(logits_per_image.T, labels)) / 2
        assert torch.allclose(clip_loss(z_image, z_text, 0.07), theirs)

    def test_is_two_times_info_nce(self):
        """A query's negatives are the other side's rows; NT-Xent adds those of its own side and is larger."""
        a, b = pairs()
        one_way = [
            info_nce(x[i : i + 1], y[i : i + 1], torch.cat([y[:i], y[i + 1 :]]), 0.3)
            for x, y in ((a, b), (b, a))
            for i in range(len(a))
        ]
        assert torch.allclose(torch.stack(one_way).mean(), clip_loss(a, b, 0.3))
        assert nt_xent(a, b, 0.3) > clip_loss(a, b, 0.3)


class TestSigLIP:
    @pytest.mark.parametrize("temperature, bias", [(0.1, -10.0), (0.5, 0.0), (1, 2)])
    @pytest.mark.parametrize("n", [1, 2, 5])
    def test_is_the_loop_transcription(self, n, temperature, bias):
        z = pairs(n)
        expected = siglip_by_hand(*z, temperature, bias)
        assert siglip_loss(*z, temperature, bias).item() == pytest.approx(expected, rel=1e-12)

    def test_values_known_on_paper(self):
        right_angles = torch.eye(6)[:3], torch.eye(6)[3:]
        assert siglip_loss(*right_angles, 0.5, 0.0).item() == pytest.approx(3 * math.log(2))  # 9 pairs at ln 2, by 3
        apart = torch.eye(3)
        expected = math.log(1 + math.exp(-(10 - 5))) + 2 * math.log(1 + math.exp(-5))
        assert siglip_loss(apart, apart, 0.1, -5.0).item() == pytest.approx(expected)

    def test_is_open_clip_s_formula(self):
        """As its SigLipLoss has it: labels of -1 but for the diagonal, the sum of logsigmoid over pairs, by images."""
        z_image, z_text = (F.normalize(z, dim=-1) for z in pairs(6))
        logits = 10 * z_image @ z_text.T - 10
        labels = -torch.ones(6, 6) + 2 * torch.eye(6)
        assert torch.allclose(siglip_loss(z_image, z_text), -F.logsigmoid(labels * logits).sum() / 6)

    def test_the_bias_of_the_start_makes_the_many_wrong_pairs_cheap(self):
        z = pairs(128, 64)
        assert siglip_loss(*z, 0.1, -10.0) < 11 and siglip_loss(*z, 0.1, 0.0) > 80


LOSSES = [lambda a, b, t=0.2: clip_loss(a, b, t), lambda a, b, t=0.2: siglip_loss(a, b, t, -3.0)]
both = pytest.mark.parametrize("loss", LOSSES, ids=["clip", "siglip"])


@both
def test_what_does_not_count_and_what_does(loss):
    a, b = pairs()
    same, order = loss(a, b), torch.randperm(5, generator=torch.Generator().manual_seed(1))
    assert torch.allclose(loss(9 * a, 0.1 * b), same), "lengths"
    assert torch.allclose(loss(a[order], b[order]), same), "the order of the batch"
    assert torch.allclose(loss(b, a), same), "which side is the image"
    turn = torch.linalg.qr(torch.randn(7, 7, dtype=torch.float64))[0]
    assert torch.allclose(loss(a @ turn, b @ turn), same), "turning the sphere"
    assert not torch.allclose(loss(a, b[order]), same), "who belongs to whom does count"


@both
def test_gradients_are_those_of_finite_differences(loss):
    a, b = (z.requires_grad_() for z in pairs(n=3, d=4))
    assert torch.autograd.gradcheck(loss, (a, b))


def test_temperature_and_bias_can_be_learned():
    a, b = pairs(n=3, d=4)
    temperature, bias = (torch.tensor(x, dtype=torch.float64, requires_grad=True) for x in (0.3, -2.0))
    assert torch.autograd.gradcheck(lambda t: clip_loss(a, b, t), (temperature,))
    assert torch.autograd.gradcheck(lambda t, x: siglip_loss(a, b, t, x), (temperature, bias))
    assert torch.allclose(siglip_loss(a, b, temperature, bias), siglip_loss(a, b, 0.3, -2.0))


@both
@pytest.mark.parametrize("temperature", [1e-4, 0.01, 0.5, 100.0])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_finite_at_every_temperature_and_precision(loss, dtype, temperature):
    a, b = (z.requires_grad_() for z in pairs(n=200, d=16, dtype=torch.float32))
    exact = loss(a.double(), b.double(), temperature).item()
    found = loss(a.to(dtype), b.to(dtype), temperature)
    found.backward()
    assert found.dtype == torch.float32
    assert a.grad.isfinite().all() and b.grad.isfinite().all()
    assert found.item() == pytest.approx(exact, rel={torch.float16: 0.02, torch.bfloat16: 0.1}.get(dtype, 1e-4))


@both
def test_autocast_leaves_it_in_float32(loss):
    a, b = pairs(dtype=torch.float32)
    expected = loss(a, b)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(loss(a, b), expected)


@both
def test_zero_embeddings_do_not_break_it_and_inputs_stay(loss):
    dead = torch.zeros(4, 3, requires_grad=True)
    loss(dead, dead).backward()
    assert dead.grad.isfinite().all()
    a, b = pairs()
    kept = a.clone(), b.clone()
    loss(a, b)
    assert torch.equal(a, kept[0]) and torch.equal(b, kept[1])


@both
@pytest.mark.parametrize("temperature", [0, -0.5, math.nan, math.inf])
def test_refuses_a_temperature_that_is_not_positive(loss, temperature):
    with pytest.raises(ValueError, match="temperature must be a finite number above 0"):
        loss(*pairs(), temperature)


@both
def test_names_what_does_not_fit(loss):
    a, b = pairs()
    with pytest.raises(TypeError, match="z_text"):
        loss(a, b[:4])
    with pytest.raises(TypeError, match="z_text"):
        loss(a, b[:, :4])
    with pytest.raises(TypeError, match="z_image"):
        loss(a.long(), b)
    with pytest.raises(TypeError, match=r"temperature must be a number or a float tensor of shape \(\), got .*\(2,\)"):
        loss(a, b, torch.ones(2))
    with pytest.raises(TypeError, match="got torch.int64"):
        loss(a, b, torch.tensor(1))


def test_refuses_a_bias_that_is_not_finite():
    with pytest.raises(ValueError, match="bias must be a finite number"):
        siglip_loss(*pairs(), 0.1, math.nan)


def wrong_clip(a, b, temperature, bug):
    """The loss with one bug planted."""
    if bug != "not normalised":
        a, b = F.normalize(a, dim=1), F.normalize(b, dim=1)
    logits = a @ b.T / {"temperature forgotten": 1, "temperature multiplied": 1 / temperature}.get(bug, temperature)
    if bug == "diagonal masked":
        logits = logits.masked_fill(torch.eye(len(a), dtype=torch.bool), -1e4)
    own = torch.arange(len(a)).roll(1 if bug == "targets beside" else 0)
    rows, columns = F.cross_entropy(logits, own), F.cross_entropy(logits.T, own)
    return {"one direction": rows, "sum of directions": rows + columns}.get(bug, (rows + columns) / 2)


@pytest.mark.parametrize(
    "bug",
    [
        "not normalised",
        "temperature forgotten",
        "temperature multiplied",
        "diagonal masked",
        "targets beside",
        "one direction",
        "sum of directions",
    ],
)
def test_the_loop_transcription_catches_a_planted_bug(bug):
    z = pairs(n=4)
    expected = clip_by_hand(*z, 0.3)
    assert wrong_clip(*z, 0.3, None).item() == pytest.approx(expected)
    assert abs(wrong_clip(*z, 0.3, bug).item() - expected) > 1e-3
