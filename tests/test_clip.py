"""Two encoders, their training, and what is measured of them: against loops and values known on paper."""

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from cl_course.augment import AugmentConfig
from cl_course.captions import LONGEST, captions, tokens
from cl_course.clip import (
    CLIP,
    SHARPEST,
    SigLIP,
    TextEncoder,
    modality_gap,
    recall_at_k,
    train_pairs,
    without_gap,
    zero_shot,
)
from cl_course.data import load
from cl_course.losses import clip_loss, siglip_loss
from cl_course.models import small_resnet
from cl_course.train import NonFiniteLoss, TrainConfig

STILL = AugmentConfig(crop=(1, 1), flip=0, jitter=0, grey=0)
CONFIG = TrainConfig(epochs=3, batch_size=32, learning_rate=3e-3, augment=STILL)


def built(kind=CLIP, seed=0, **settings):
    torch.manual_seed(seed)
    return kind(small_resnet(width=4), TextEncoder(dim=16, heads=2), dim=8, **settings)


@pytest.fixture(scope="module")
def cards():
    return load("shapes", "val", limit=96)


def text_by_hand(encoder, words):
    """One text, one word, one head at a time."""
    norm = lambda layer, x: (x - x.mean()) / (x.var(unbiased=False) + layer.eps).sqrt() * layer.weight + layer.bias
    x = [encoder.word.weight[w] + encoder.place[i] for i, w in enumerate(words)]
    y = [norm(encoder.norm1, v) for v in x]
    weights, biases = encoder.attention.in_proj_weight.chunk(3), encoder.attention.in_proj_bias.chunk(3)
    q, k, v = ([w @ one + b for one in y] for w, b in zip(weights, biases))
    size, out = encoder.dim // encoder.heads, []
    for i in range(len(words)):
        parts = []
        for head in range(encoder.heads):
            here = slice(head * size, (head + 1) * size)
            score = torch.stack([q[i][here] @ k[j][here] / math.sqrt(size) for j in range(len(words))]).softmax(dim=0)
            parts.append(sum(s * v[j][here] for j, s in enumerate(score)))
        out.append(encoder.attention.out_proj.weight @ torch.cat(parts) + encoder.attention.out_proj.bias)
    x = [a + b for a, b in zip(x, out)]
    first, _, second = encoder.mlp
    x = [v + second(F.relu(first(norm(encoder.norm2, v)))) for v in x]
    return torch.stack([norm(encoder.norm3, v) for v in x]).mean(dim=0)


class TestTextEncoder:
    def test_is_the_loop_transcription(self):
        encoder = built().text_encoder.double()
        words = tokens(["a heart", "a small green heart at the top left on a blue background"])
        with torch.no_grad():
            for row, feature in zip(words.tolist(), encoder(words)):
                assert torch.allclose(text_by_hand(encoder, [w for w in row if w]), feature, atol=1e-10)

    def test_padding_does_not_count_and_order_does(self):
        encoder = built().text_encoder
        short, long = tokens(["a red disc"]), tokens(["a red disc", "a red disc at the top left on a blue background"])
        assert torch.allclose(encoder(short)[0], encoder(long)[0], atol=1e-6)
        exchanged = encoder(tokens(["a red disc on a blue background", "a blue disc on a red background"]))
        assert not torch.allclose(*exchanged, atol=1e-3)

    def test_a_text_of_the_longest_kind_fits(self):
        assert built().text_encoder(tokens(["a " * LONGEST])).shape == (1, 16)


class TestMethods:
    def test_clip_s_loss_is_that_of_its_embeddings(self, cards):
        method, words = built(temperature=0.2), tokens(captions(cards))
        images = torch.rand(8, 3, 32, 32)
        z = method.embeddings(images, words[:8])
        assert torch.equal(method.loss(images, words[:8]), clip_loss(*z, method.temperature))
        assert method.temperature.item() == pytest.approx(0.2)

    def test_siglip_s_loss_has_a_bias(self, cards):
        method, words = built(SigLIP), tokens(captions(cards))
        images = torch.rand(8, 3, 32, 32)
        z = method.embeddings(images, words[:8])
        assert torch.equal(method.loss(images, words[:8]), siglip_loss(*z, method.temperature, method.bias))
        assert (method.temperature.item(), method.bias.item()) == pytest.approx((0.1, -10.0))

    @pytest.mark.parametrize("kind", [CLIP, SigLIP])
    def test_every_weight_learns(self, kind, cards):
        method, before = built(kind), [p.clone() for p in built(kind).parameters()]
        train_pairs(method, cards, captions(cards), replace(CONFIG, epochs=1))
        changed = {name: not torch.equal(p, b) for (name, p), b in zip(method.named_parameters(), before)}
        assert all(changed.values()), [name for name, value in changed.items() if not value]

    def test_the_temperature_is_clamped(self):
        method = built(temperature=1e-4)
        method.after_step()
        assert method.temperature.item() == pytest.approx(1 / SHARPEST)

    def test_embeddings_for_use_have_length_one(self, cards):
        method = built()
        for z in (method.embed_images(cards), method.embed_texts(captions(cards))):
            assert z.shape == (96, 8) and torch.allclose(z.norm(dim=1), torch.ones(96))


class TestTraining:
    def test_it_learns_and_repeats(self, cards):
        runs = []
        for _ in range(2):
            rows, seen = [], built()
            rows = train_pairs(seen, cards, captions(cards), replace(CONFIG, epochs=6))
            runs.append(rows)
        assert runs[0] == runs[1]
        assert runs[0][-1]["loss"] < runs[0][0]["loss"] and [row["epoch"] for row in runs[0]] == [1, 2, 3, 4, 5, 6]

    def test_pairs_stay_together(self, cards):
        """The images and words of every batch belong to the same cards."""
        method, met = built(), []
        method.loss = lambda images, words: met.append((images, words)) or CLIP.loss(method, images, words)
        train_pairs(method, cards, captions(cards), replace(CONFIG, epochs=1))
        of_image = {image.numpy().tobytes(): text for image, text in zip(cards.images.float() / 255, captions(cards))}
        for images, words in met:
            for image, row in zip(images, words):
                text = of_image[image.contiguous().numpy().tobytes()]
                assert [n for n in row.tolist() if n] == tokens([text])[0].tolist()

    def test_what_does_not_fit_is_said(self, cards):
        with pytest.raises(ValueError, match="96 images came with 1 captions; give one caption for each image"):
            train_pairs(built(), cards, ["a heart"], CONFIG)

    def test_a_loss_that_is_no_number_stops_the_run(self, cards):
        method = built()
        method.loss = lambda images, words: method.log_scale * torch.nan
        with pytest.raises(NonFiniteLoss, match="the loss became nan in epoch 1, at the learning rate 0.003"):
            train_pairs(method, cards, captions(cards), CONFIG)


class TestMeasures:
    def test_zero_shot_against_loops(self):
        generator = torch.Generator().manual_seed(0)
        z_image = torch.randn(40, 5, generator=generator)
        z_prompts = torch.randn(4, 3, 5, generator=generator) * torch.rand(4, 3, 1, generator=generator).exp()
        centres = [sum(p / p.norm() for p in prompts) / 3 for prompts in z_prompts]
        for image, label in zip(z_image, zero_shot(z_image, z_prompts)):
            cosines = [float(image @ centre / image.norm() / centre.norm()) for centre in centres]
            assert max(range(4), key=cosines.__getitem__) == label

    def test_recall_against_loops_and_on_paper(self):
        generator = torch.Generator().manual_seed(0)
        query, gallery = torch.randn(2, 30, 4, generator=generator)
        gallery = gallery + query
        for k in (1, 3, 30):
            hits = 0
            for i, q in enumerate(query):
                cosines = [float(q @ g / q.norm() / g.norm()) for g in gallery]
                hits += sum(c > cosines[i] for c in cosines) < k
            assert recall_at_k(query, gallery, k) == pytest.approx(hits / 30)
        assert recall_at_k(query, 2 * query) == 1 and recall_at_k(query, gallery, 30) == 1
        with pytest.raises(ValueError, match="k must be a whole number from 1 to 30"):
            recall_at_k(query, gallery, 31)

    def test_recall_takes_any_row_with_the_same_caption(self):
        query = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
        gallery = torch.tensor([[0.6, 0.8], [0.8, 0.6], [-1.0, 0.0]])  # the first two find each other's row
        twins = torch.tensor([[True, True, False], [True, True, False], [False, False, True]])
        assert recall_at_k(query, gallery) == pytest.approx(1 / 3)
        assert recall_at_k(query, gallery, 1, torch.eye(3, dtype=torch.bool)) == pytest.approx(1 / 3)
        assert recall_at_k(query, gallery, 1, twins) == 1
        with pytest.raises(ValueError, match=r"same must have the shape \(3, 3\), got \(2, 3\)"):
            recall_at_k(query, gallery, 1, twins[:2])

    def test_without_gap_against_loops(self):
        generator = torch.Generator().manual_seed(0)
        z_image, z_text = torch.randn(9, 4, generator=generator) + 1, torch.randn(6, 4, generator=generator) - 1
        assert modality_gap(z_image, z_text) > 0.8
        for side, centred in zip((z_image, z_text), without_gap(z_image, z_text)):
            rows = [row / row.norm() for row in side]
            mean = sum(rows) / len(rows)
            for row, mine in zip(rows, centred):
                assert torch.allclose((row - mean) / (row - mean).norm(), mine, atol=1e-6)
        assert modality_gap(*without_gap(z_image, z_text)) < 0.3

    def test_the_gap_on_paper(self):
        right, up = torch.tensor([[2.0, 0.0], [5.0, 0.0]]), torch.tensor([[0.0, 1.0], [0.0, 3.0], [0.0, 1.0]])
        assert modality_gap(right, up) == pytest.approx(math.sqrt(2))
        assert modality_gap(right, -right) == pytest.approx(2) and modality_gap(up, up.flip(0)) == pytest.approx(0)


@pytest.mark.parametrize("temperature", [0, -1, math.nan, "0.1"])
@pytest.mark.parametrize("kind", [CLIP, SigLIP])
def test_a_temperature_that_cannot_be(kind, temperature):
    with pytest.raises(ValueError, match="temperature must be a finite number above 0, got"):
        built(kind, temperature=temperature)


@pytest.mark.parametrize("shape", [(3, 0, 8), (0, 2, 8)])
def test_zero_shot_needs_classes_and_prompts(shape):
    with pytest.raises(ValueError, match="needs a class and for each a prompt"):
        zero_shot(torch.ones(4, 8), torch.ones(shape))


@pytest.mark.parametrize("setting", [{"precision": "bfloat16"}, {"compile": True}, {"checkpointing": True}])
def test_what_training_on_pairs_does_not_do_is_refused(setting):
    with pytest.raises(ValueError, match=f"train_pairs does not use {next(iter(setting))}; leave out"):
        train_pairs(built(CLIP), load("shapes", "val", limit=4), ["a disc"] * 4, TrainConfig(batch_size=2, **setting))


def test_a_method_or_config_of_another_kind_is_refused():
    with pytest.raises(TypeError, match="method must be of class CLIP, got one of class Identity"):
        train_pairs(nn.Identity(), None, [], TrainConfig())


def test_embeddings_that_are_nan_are_no_measurement():
    nan = torch.full((4, 2), math.nan)
    for measure in (lambda: recall_at_k(nan, torch.ones(4, 2)), lambda: zero_shot(nan, torch.ones(3, 1, 2))):
        with pytest.raises(ValueError, match="embeddings must be finite"):
            measure()
