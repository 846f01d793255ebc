"""The segmentation head: overlaps counted by eye, a map that knows the answer, and that validation alone chooses."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from cl_course import segment
from cl_course.augment import AugmentConfig
from cl_course.data import ImageSet, load
from cl_course.finetune import DENSE
from cl_course.models import resnet18, small_resnet
from cl_course.segment import (
    RATES,
    feature_maps,
    fine_tune_segmenter,
    iou,
    segmentation_head,
    train_head,
    train_segmenter,
)


def pixels(*rows: str) -> torch.Tensor:
    return torch.tensor([[[pixel == "#" for pixel in row] for row in rows]])


def test_overlap_by_eye():
    mask = pixels("##..", "##..")
    assert iou(mask, mask) == 1
    assert iou(pixels("..##", "..##"), mask) == 0
    assert iou(pixels(".##.", ".##."), mask) == pytest.approx(2 / 6)
    assert iou(pixels("####", "####"), mask) == 0.5, "all object: the object's share"
    assert iou(pixels("....", "...."), mask) == 0


def test_overlap_is_added_up_over_images():
    """1 of 1 pixel and 0 of 3: 1 / 4, not the mean of 1 and 0."""
    assert iou(torch.cat([pixels("#..."), pixels("....")]), torch.cat([pixels("#..."), pixels("###.")])) == 0.25


def test_overlap_of_nothing_is_refused():
    with pytest.raises(ValueError, match="found none"):
        iou(pixels(".."), pixels(".."))
    with pytest.raises(TypeError, match="masks"):
        iou(pixels(".."), pixels("..."))


def test_a_coarse_map_is_enlarged_between_the_centres_of_its_places():
    """Logits -1 and 3 stand at the centres of two pixels each: between them lie 3/4 and 1/4 of the way."""
    logits = torch.tensor([-1.0, 3.0]).view(1, 1, 1, 2)
    assert segment.enlarge(logits, (1, 4)).flatten().tolist() == [-1, 0, 2, 3]
    assert torch.equal(segment.predicted_masks(nn.Identity(), logits, (1, 4)), pixels("..##"))
    assert torch.equal(segment.predicted_masks(nn.Identity(), logits - 1.5, (2, 4)), pixels("..##", "..##"))
    assert torch.equal(segment.predicted_masks(nn.Identity(), logits + 0.5, (1, 4)), pixels(".###"))


class Colours(nn.Module):
    """An encoder whose every map is the image itself."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Identity()
        self.unused = nn.Parameter(torch.zeros(1))

    def by_stage(self):
        return [nn.Sequential(nn.Identity())] * 4

    def stage_maps(self, images, last=None):
        return [images] * (last or 4)


def red_on_blue(n: int, seed: int = 0) -> ImageSet:
    """Noisy red objects on a blue ground, anywhere."""
    generator = torch.Generator().manual_seed(seed)
    masks = torch.rand(n, 8, 8, generator=generator) < 0.3
    images = torch.randint(100, (n, 3, 8, 8), generator=generator)
    images[:, 0] += 150 * masks
    images[:, 2] += 150 * ~masks
    return ImageSet(images.to(torch.uint8), masks=masks)


def test_a_map_that_shows_the_object_is_read_off(monkeypatch):
    monkeypatch.setattr(segment, "STEPS", 60)
    result = segmentation_head(Colours(), red_on_blue(16), red_on_blue(8, 1), red_on_blue(8, 2), seed=4)
    assert result.score == result.validation == 1
    assert (result.measure, result.split, result.seed, result.labels) == ("IoU", "test", 4, 16)
    assert "IoU 1.000 on test" in str(result) and "a 1x1 convolution on the 8 x 8 maps of stage 4, rate" in result.row()


def test_it_takes_the_rate_that_is_best_on_validation_and_asks_test_once(monkeypatch):
    """Validation is labelled by one of the heads itself, so that this one must win."""
    monkeypatch.setattr(segment, "STEPS", 2)
    train, val, test = (red_on_blue(16, seed) for seed in range(3))
    heads = [train_head(feature_maps(Colours(), train), train.masks, rate) for rate in RATES]
    answers = [segment.predicted_masks(head, feature_maps(Colours(), val), (8, 8)) for head in heads]
    assert len({tuple(answer.flatten().tolist()) for answer in answers}) == len(RATES), "a case that tells something"
    asked = []
    monkeypatch.setattr(segment, "iou", lambda predicted, masks: asked.append(masks) or iou(predicted, masks))
    for rate, head, its_own in zip(RATES, heads, answers):
        asked.clear()
        result = segmentation_head(Colours(), train, replace(val, masks=its_own), test)
        assert f"rate {rate:g} chosen on validation" in result.trained and result.validation == 1
        assert result.score == iou(segment.predicted_masks(head, feature_maps(Colours(), test), (8, 8)), test.masks)
        assert [masks is test.masks for masks in asked] == [False] * len(RATES) + [True]


def test_the_head_standardises_what_it_reads(monkeypatch):
    monkeypatch.setattr(segment, "STEPS", 5)
    images = red_on_blue(16)
    maps = feature_maps(Colours(), images)
    stretched = maps * torch.tensor([100.0, 1.0, 0.5])[:, None, None] + 3
    one, same = train_head(maps, images.masks, 0.1), train_head(stretched, images.masks, 0.1)
    torch.testing.assert_close(one(maps), same(stretched), atol=2e-3, rtol=1e-3)


def test_the_seed_decides_and_torchs_random_numbers_stay(monkeypatch):
    monkeypatch.setattr(segment, "STEPS", 2)
    images, random = red_on_blue(16), torch.get_rng_state()
    maps = feature_maps(Colours(), images)
    one, same, other = (train_head(maps, images.masks, 0.1, seed)[1].weight for seed in (0, 0, 1))
    assert torch.equal(one, same) and not torch.equal(one, other)
    assert torch.equal(torch.get_rng_state(), random)


@pytest.mark.parametrize(
    "encoder, shapes",
    [(small_resnet(4), [(4, 16), (8, 8), (16, 4), (32, 2)]), (resnet18(), [(64, 32), (128, 16), (256, 8), (512, 4)])],
)
def test_every_stage_has_a_map_and_the_encoder_stays_as_it_is(encoder, shapes):
    images = ImageSet(torch.randint(256, (2, 3, 32, 32), generator=torch.Generator().manual_seed(0)).to(torch.uint8))
    before = {name: tensor.clone() for name, tensor in encoder.train().state_dict().items()}
    for stage, (channels, side) in enumerate(shapes, start=1):
        maps = feature_maps(encoder, images, stage)
        assert maps.shape == (2, channels, side, side) and not maps.requires_grad
    assert encoder.training and all(torch.equal(before[name], tensor) for name, tensor in encoder.state_dict().items())
    with torch.no_grad():
        torch.testing.assert_close(maps, encoder.eval().feature_map(images.images / 255))


def test_maps_and_masks_of_wide_pictures(monkeypatch):
    monkeypatch.setattr(segment, "STEPS", 2)
    images = ImageSet(torch.zeros(3, 3, 48, 160, dtype=torch.uint8), masks=torch.rand(3, 48, 160) < 0.5)
    shapes = [feature_maps(small_resnet(4), images, stage).shape[2:] for stage in (1, 2, 3, 4)]
    assert [tuple(shape) for shape in shapes] == [(24, 80), (12, 40), (6, 20), (3, 10)]
    result = segmentation_head(small_resnet(4), images, images, images, stage=np.int64(3))
    assert "6 x 20 maps of stage 3" in result.trained


SHORT = replace(DENSE, steps=3, batch_size=4, learning_rates=(1e-2,))


def test_a_fine_tuned_segmenter_learns_to_find_red():
    config = replace(DENSE, steps=40, batch_size=8, augment=AugmentConfig(crop=(1, 1), jitter=0, grey=0))
    train, val, test = (red_on_blue(16, seed) for seed in range(3))
    torch.manual_seed(0)
    result = fine_tune_segmenter(resnet18(), train, val, test, layers="scratch", stage=1, config=config, seed=4)
    assert result.score > 0.9 and result.validation > 0.9
    assert (result.measure, result.split, result.seed, result.labels) == ("IoU", "test", 4, 16)
    assert "all layers from scratch up to stage 1, rate" in result.trained


@pytest.mark.parametrize("layers", ["head", "all"])
def test_what_learns_in_a_segmenter_and_what_stays(layers):
    torch.manual_seed(0)
    encoder = small_resnet(4).train()
    before = {name: tensor.clone() for name, tensor in encoder.state_dict().items()}
    segmenter = train_segmenter(encoder, red_on_blue(8), 1e-2, layers=layers, stage=2, config=SHORT)
    assert all(torch.equal(before[name], tensor) for name, tensor in encoder.state_dict().items()) and encoder.training
    used = ("stem.", "stages.0.", "stages.1.")
    for name, tensor in segmenter.encoder.state_dict().items():
        assert torch.equal(tensor, before[name]) != (layers == "all" and name.startswith(used)), name
    assert segmenter(torch.rand(2, 3, 8, 8)).shape == (2, 8, 8) and not segmenter.training


def test_masks_are_mirrored_with_their_images(monkeypatch):
    """Objects at the left alone: were the images mirrored and the masks not, both sides would look alike."""
    images = red_on_blue(8)
    left = ImageSet(images.images, masks=images.masks & (torch.arange(8) < 4))
    seen = []

    def loss(logits, masks):
        seen.append(masks)
        return logits.mean()

    monkeypatch.setattr(segment.F, "binary_cross_entropy_with_logits", loss)
    always = replace(SHORT, augment=AugmentConfig(crop=(1, 1), flip=1.0))
    train_segmenter(small_resnet(4), left, 1e-2, config=always)
    assert not torch.cat(seen)[:, :, :4].any() and torch.cat(seen)[:, :, 4:].any()


def test_validation_chooses_a_segmenters_rate_and_test_is_asked_once(monkeypatch):
    asked = []
    monkeypatch.setattr(segment, "mask_iou", lambda trained, images: asked.append(images) or 0.5 + len(asked) / 10)
    train, val, test = (red_on_blue(8, seed) for seed in range(3))
    config = replace(SHORT, learning_rates=(1e-3, 1e-2))
    result = fine_tune_segmenter(small_resnet(4), train, val, test, config=config)
    assert [images is val for images in asked] == [True, True, False] and asked[-1] is test
    assert "rate 0.01 chosen on validation" in result.trained and result.validation == 0.7


def test_masks_of_another_size_are_refused_and_the_remedy_works():
    images = red_on_blue(4)
    small = replace(images, masks=images.masks[:, :4, :6])
    with pytest.raises(
        ValueError, match="masks of train have 4 x 6 pixels for images of 8 x 8; .*resize.masks, .8, 8."
    ):
        train_segmenter(small_resnet(4), small, 1e-2, config=SHORT)
    from torchvision.transforms.v2.functional import resize

    train_segmenter(small_resnet(4), replace(images, masks=resize(small.masks, (8, 8))), 1e-2, config=SHORT)


def test_what_cannot_be_segmented_is_refused():
    images = red_on_blue(4)
    with pytest.raises(ValueError, match="needs the objects' masks and test has none"):
        segmentation_head(Colours(), images, images, replace(images, masks=None))
    with pytest.raises(ValueError, match="needs the objects' masks and train has none"):
        train_segmenter(small_resnet(4), replace(images, masks=None), 1e-2)
    with pytest.raises(ValueError, match="crop moves what the boxes and masks say"):
        train_segmenter(small_resnet(4), images, 1e-2, config=replace(SHORT, augment=AugmentConfig()))
    for stage in (0, 5, 2.0):
        with pytest.raises(ValueError, match=f"stage must be a whole number from 1 to 4, got {stage}"):
            feature_maps(Colours(), images, stage)


def test_an_encoder_that_diverged_is_told():
    broken = small_resnet(4)
    with torch.no_grad():
        broken.stem[0].weight.fill_(torch.nan)
    with pytest.raises(ValueError, match="maps must be finite.*train it again at a lower learning rate"):
        segmentation_head(broken, *(load("shapes", split, limit=8) for split in ("train", "val", "test")))


def test_the_mode_of_every_part_is_put_back():
    encoder = small_resnet(4).train()
    encoder.stem.eval()
    feature_maps(encoder, ImageSet(torch.zeros(2, 3, 32, 32, dtype=torch.uint8)))
    assert encoder.training and not encoder.stem.training and not encoder.stem[1].training


def test_sets_without_an_objects_pixel_are_refused_before_training():
    images = load("shapes", "train", limit=8)
    empty = replace(images, masks=torch.zeros_like(images.masks))
    with pytest.raises(ValueError, match="an object in at least one image and val has none; add images with objects"):
        fine_tune_segmenter(small_resnet(4), images, empty, images)
    with pytest.raises(TypeError, match="train must be of class ImageSet, got one of class Tensor"):
        fine_tune_segmenter(small_resnet(4), images.images, images, images)
