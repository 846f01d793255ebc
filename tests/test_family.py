"""SupCon, SimSiam, Barlow Twins, VICReg and DINO as methods: who learns, what drifts, labels, and bad settings."""

import math
from dataclasses import replace

import pytest
import torch
from test_moco import Flat, views
from torch import nn

from cl_course.data import ImageSet, load
from cl_course.losses import nt_xent
from cl_course.methods import DINO, METHODS, BarlowTwins, SimSiam, SupCon, VICReg, build
from cl_course.models import Prototypes, small_resnet
from cl_course.train import TrainConfig, estimate, pretrain

FAMILY = ("supcon", "simsiam", "barlow_twins", "vicreg", "dino")
CONFIG = TrainConfig(epochs=2, batch_size=16, learning_rate=1e-3)


@pytest.fixture(scope="module")
def images() -> ImageSet:
    return load("shapes", "train", limit=48)


def made(name: str, seed: int = 0, **settings):
    torch.manual_seed(seed)
    return build(name, small_resnet(4), {"hidden_dim": 16, "out_dim": 8}, **settings)


def labels_for(method, n: int) -> list:
    return [torch.arange(n) % 3] if method.uses_labels else []


def dino(**settings) -> DINO:
    torch.manual_seed(0)
    return DINO(Flat(), nn.Linear(6, 4), Prototypes(4, 5), **settings)


@pytest.mark.parametrize("name", FAMILY)
def test_training_moves_the_encoder(name, images):
    method = made(name)
    before = [p.clone() for p in method.encoder.parameters()]
    assert all(map(math.isfinite, pretrain(method, images, CONFIG).column("loss")))
    assert any(not torch.equal(a, b) for a, b in zip(before, method.encoder.parameters()))
    assert method.rate_factors.keys() <= {"predictor"}


@pytest.mark.parametrize("name", ["supcon", "barlow_twins", "vicreg", "dino"])
def test_who_knows_nothing_is_at_the_chance_line(name):
    class Point(nn.Module):
        dim = 6

        def forward(self, x):
            return torch.ones(len(x), 6)

    torch.manual_seed(0)
    heads = [nn.Linear(6, 4)]
    method = METHODS[name](Point(), *heads, *([Prototypes(4, 5)] if name == "dino" else []))
    if name == "dino":  # all scores alike, of the student and, behind its centre, of the teacher
        method.prototypes.directions.data[:] = 1
        method.teacher_prototypes.directions.data[:] = 1
    loss = method.loss(*torch.zeros(2, 8, 3, 2, 2), *labels_for(method, 8))
    assert loss.item() == pytest.approx(method.chance(8), rel=1e-4)


def test_width_that_is_not_known_gives_no_chance():
    assert math.isnan(BarlowTwins(Flat(), nn.Identity()).chance(4))


class TestSupCon:
    def test_one_image_a_class_is_simclr(self):
        method, (view1, view2) = SupCon(Flat(), nn.Linear(6, 4), temperature=0.3), views(5)
        expected = nt_xent(*method.embeddings(view1, view2), 0.3)
        torch.testing.assert_close(method.loss(view1, view2, torch.arange(5)), expected)

    def test_labels_reach_the_loss_in_the_order_of_the_images(self, images):
        seen = []

        class Watching(SupCon):
            def loss(self, view1, view2, labels):
                seen.append((view1, labels))
                return super().loss(view1, view2, labels)

        plain = replace(CONFIG.augment, crop=(1, 1), flip=0, jitter=0, grey=0)
        torch.manual_seed(0)
        encoder = small_resnet(4)
        pretrain(Watching(encoder, nn.Linear(encoder.dim, 4)), images, replace(CONFIG, augment=plain, epochs=1))
        for batch, labels in seen:
            for view, label in zip(batch, labels):
                same = (images.images.float() / 255 - view).abs().amax(dim=(1, 2, 3)) < 0.02
                assert images.labels[same].tolist() == [int(label)]

    def test_only_a_method_that_says_so_gets_labels(self):
        assert [name for name, method in METHODS.items() if method.uses_labels] == ["supcon"]

    @pytest.mark.parametrize("run", [pretrain, estimate])
    def test_without_labels_or_with_one_class_it_is_refused_before_training(self, images, run):
        with pytest.raises(ValueError, match="SupCon learns from labels and these images have none; load a split"):
            run(made("supcon"), ImageSet(images.images), CONFIG)
        one = ImageSet(images.images, torch.ones(len(images), dtype=torch.long), ("a", "b"))
        with pytest.raises(ValueError, match="all these images are of class 1; give it images of at least 2 classes"):
            run(made("supcon"), one, CONFIG)
        pretrain(made("simsiam"), ImageSet(images.images), replace(CONFIG, epochs=1))  # which needs none

    def test_a_checkpoint_of_other_labels_is_refused(self, images, tmp_path):
        pretrain(made("supcon"), images, replace(CONFIG, epochs=1), resume=tmp_path / "run.pt")
        turned = ImageSet(images.images, (images.labels + 1) % 10, images.class_names)
        with pytest.raises(ValueError, match="belongs to a run with {'labels'"):
            pretrain(made("supcon"), turned, replace(CONFIG, epochs=1), resume=tmp_path / "run.pt")


class TestSimSiam:
    def test_gradients_stop_at_the_targets(self):
        torch.manual_seed(0)
        method, (view1, view2) = SimSiam(Flat(), nn.Linear(6, 4), nn.Linear(4, 4)), views(5)
        z1, z2 = method.embeddings(view1, view2)
        p1, p2 = method.predictor(z1), method.predictor(z2)
        cosines = [nn.functional.cosine_similarity(p, z.detach()).mean() for p, z in ((p1, z2), (p2, z1))]
        weights = list(method.parameters())
        expected = torch.autograd.grad(4 - 2 * sum(cosines), weights)
        loss = method.loss(view1, view2)
        assert loss.item() == pytest.approx(4 - 2 * float(sum(cosines).detach()))
        torch.testing.assert_close(torch.autograd.grad(loss, weights), expected)

    def test_its_predictor_is_a_bottleneck(self):
        widths = [layer.out_features for layer in made("simsiam").predictor if isinstance(layer, nn.Linear)]
        assert widths == [2, 8]

    def test_refuses_what_does_not_fit(self):
        with pytest.raises(ValueError, match="the predictor maps vectors of 5 to vectors of 5, but z has 4"):
            SimSiam(Flat(), nn.Linear(6, 4), nn.Linear(5, 5))
        with pytest.raises(ValueError, match="predictor_rate must be a finite number above 0, got 0"):
            made("simsiam", predictor_rate=0)


class TestDINO:
    def test_teacher_drifts_and_centre_follows_the_teachers_mean_after_the_step(self):
        method, (view1, view2) = dino(momentum=0.75, center_momentum=0.9), views(5)
        before = [p.clone() for p in method.teacher_encoder.parameters()]
        with torch.no_grad():
            for p in method.encoder.parameters():
                p += 1
        scores = method.teach(view1, view2)
        method.loss(view1, view2)
        assert not method.center.any()
        method.after_step()
        torch.testing.assert_close(method.center, 0.1 * scores.mean(dim=0))
        for old, slow, fast in zip(before, method.teacher_encoder.parameters(), method.encoder.parameters()):
            torch.testing.assert_close(slow, 0.75 * old + 0.25 * fast)

    def test_the_teachers_way_carries_no_gradient(self):
        method, (view1, view2) = dino(), views(5)
        method.loss(view1, view2).backward()
        assert all(p.grad is None for name, p in method.named_parameters() if name.startswith("teacher"))
        assert all(p.grad is not None for name, p in method.named_parameters() if not name.startswith("teacher"))

    def test_a_centre_that_never_moves_is_no_centring(self):
        method = dino(center_momentum=1)
        method.loss(*views(5))
        method.after_step()
        assert not method.center.any()

    def test_the_momentum_rises_and_is_resumed(self):
        method = dino(momentum=0.5, total_steps=4)
        assert method.momentum == 0.5
        for _ in range(2):
            method.loss(*views(5))
            method.after_step()
        assert method.momentum == pytest.approx(0.75)
        other = dino(momentum=0.5, total_steps=4)
        other.load_state_dict(method.state_dict())
        assert other.momentum == method.momentum and torch.equal(other.center, method.center)

    @pytest.mark.parametrize("name", ["momentum", "center_momentum"])
    @pytest.mark.parametrize("value", [-0.1, 1.1, math.nan])
    def test_refuses_momenta_outside_0_and_1(self, name, value):
        with pytest.raises(ValueError, match=f"^{name} must be a finite number at least 0 and at most 1, got"):
            dino(**{name: value})

    @pytest.mark.parametrize("name", ["student_temperature", "teacher_temperature"])
    def test_refuses_temperatures(self, name):
        for value in (0, -1, math.inf):
            with pytest.raises(ValueError, match=f"{name} must be a finite number above 0, got"):
                dino(**{name: value})

    def test_one_prototype_is_refused(self):
        with pytest.raises(ValueError, match="count must be a whole number of at least 2, got 1; one direction"):
            Prototypes(4, 1)

    def test_scores_are_cosines(self):
        head, z = Prototypes(4, 7), torch.randn(3, 4)
        expected = nn.functional.cosine_similarity(z[:, None], head.directions[None], dim=2)
        torch.testing.assert_close(head(5 * z), expected)


@pytest.mark.parametrize("name", ["barlow_twins", "vicreg"])
def test_a_large_batch_may_go_through_in_chunks(name, images):
    """Their loss is of the embeddings alone, so the chunked step is the whole one: without BatchNorm exactly."""
    grads = []
    for chunk in (None, 4):
        torch.manual_seed(0)
        method = METHODS[name](Flat(), nn.Linear(6, 4))
        config = replace(CONFIG, epochs=1, batch_size=8, optimizer="sgd", learning_rate=1e-3, chunk_size=chunk)
        pretrain(method, ImageSet(images.images[:8, :, :2, :2]), config)
        grads.append(method.projector.weight.detach())
    torch.testing.assert_close(*grads)


@pytest.mark.parametrize("name", FAMILY[1:])
def test_one_image_alone_is_refused_before_training(name):
    with pytest.raises(ValueError, match=f"a batch of 1 image is too small for {METHODS[name].__name__}"):
        made(name).check_data(images=100, batch_size=1)
    made(name).check_data(images=100, batch_size=2)


@pytest.mark.parametrize(
    "make, sentence",
    [
        (lambda: BarlowTwins(Flat(), nn.Linear(6, 4), -1), "redundancy_weight must be a finite number at least 0"),
        (lambda: VICReg(Flat(), nn.Linear(6, 4), variance_weight=-1), "variance_weight must be .* collapse"),
        (lambda: SupCon(Flat(), nn.Linear(6, 4), 0), "temperature must be a finite number above 0, got 0"),
    ],
)
def test_bad_settings_are_named(make, sentence):
    with pytest.raises(ValueError, match=sentence):
        make()
