"""Where is the object? A 1x1 convolution on feature maps, frozen or fine-tuned, judged by the masks of drawn images.

The quick encoder's last map is coarse, 2 x 2 places for 32 x 32 pixels: the maps of earlier stages can be used as well.
"""

import time

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Generator, Tensor, nn

from cl_course.data import ImageSet, shuffled_steps, to_float
from cl_course.distributed import on_device
from cl_course.evaluate import Result, embed, in_eval_mode
from cl_course.finetune import DENSE, LAYERS, FineTuneConfig, check_some, dense_views, train_layers
from cl_course.models import ResNet, stages_of
from cl_course.tensor_types import check_finite, checked
from cl_course.values import instance, real, whole

RATES = (0.003, 0.01, 0.03, 0.1)  # learning rates, from which validation chooses
STEPS = 300
BATCH_SIZE = 128


@checked
def iou(predicted: Bool[Tensor, "n h w"], masks: Bool[Tensor, "n h w"]) -> float:
    """Intersection over union of the object's pixels, in [0, 1], added up over all images as PASCAL VOC does.

    1 when every pixel is right, 0 when no object pixel was found. To call every pixel object scores the object's share
    of all pixels: the number to beat. A ValueError where neither has an object's pixel.
    """
    union = int((predicted | masks).sum())
    if not union:
        raise ValueError("iou needs an object's pixel in predictions or masks, found none; take images with objects")
    return int((predicted & masks).sum()) / union


def segmentation_head(
    encoder: ResNet, train: ImageSet, val: ImageSet, test: ImageSet, *, stage: int = 4, seed: int = 0
) -> Result:
    """IoU on test of a head on the frozen maps, trained once for each of `RATES`; validation chooses.

    Args:
        encoder: stays as it is.
        train, val, test: images with masks, or a ValueError.
        stage: as in `feature_maps`.
        seed: of the head and the order of the images.
    """
    _check_masks(train=train, val=val, test=test)
    start = time.perf_counter()
    train_maps, val_maps, test_maps = (feature_maps(encoder, images, stage) for images in (train, val, test))
    tried = []
    for rate in RATES:
        head = train_head(train_maps, train.masks, rate, seed)
        tried.append((iou(predicted_masks(head, val_maps, val.masks.shape[1:]), val.masks), rate, head))
    on_validation, rate, chosen = max(tried, key=lambda one: one[0])
    h, w = train_maps.shape[2:]
    return Result(
        score=iou(predicted_masks(chosen, test_maps, test.masks.shape[1:]), test.masks), method="segmentation head",
        split="test", seed=seed, labels=len(train),
        trained=f"a 1x1 convolution on the {h} x {w} maps of stage {stage}, rate {rate:g} chosen on validation",
        seconds=time.perf_counter() - start, validation=on_validation, measure="IoU",
    )


class Segmenter(nn.Module):
    """An encoder and a 1x1 head on the maps of one stage: images (n, 3, h, w) -> logits of "object", (n, h, w)."""

    def __init__(self, encoder: ResNet, stage: int):
        super().__init__()
        stages = len(stages_of(encoder))
        self.encoder, self.stage = encoder, whole("stage", stage, 1, stages)
        channels = encoder.dim // 2 ** (stages - stage)
        self.head = nn.Sequential(nn.BatchNorm2d(channels, affine=False), nn.Conv2d(channels, 1, kernel_size=1))

    def forward(self, images: Tensor) -> Tensor:
        return enlarge(self.head(self.encoder.stage_maps(images, self.stage)[-1]), images.shape[2:])[:, 0]


def train_segmenter(
    encoder: ResNet, images: ImageSet, rate: float, *, layers: str = "all", stage: int = 2, seed: int = 0,
    config: FineTuneConfig = DENSE,
) -> Segmenter:
    """A copy of the encoder with a new head, trained with masks at one rate, in eval mode.

    Args:
        images: with masks.
        rate, layers, seed, config: as of `finetune.train_classifier`; augment may mirror and recolour, not crop.
        stage: as in `feature_maps`; later stages are left out.
    """
    _check_masks(train=images)
    device = next(encoder.parameters()).device
    pixels, masks = on_device(images.images, device), on_device(images.masks, device)

    def loss(segmenter: nn.Module, batch: Tensor, generator: Generator) -> Tensor:
        views, mirrored = dense_views(to_float(pixels[batch]), config.augment, generator)
        right = torch.where(mirrored.to(device)[:, None, None], masks[batch].flip(2), masks[batch])
        return F.binary_cross_entropy_with_logits(segmenter(views), right.float())

    def with_head(tuned: ResNet) -> Segmenter:
        return Segmenter(tuned, stage)

    return train_layers(encoder, with_head, loss, len(images), rate, layers=layers, seed=seed, config=config)


def fine_tune_segmenter(
    encoder: ResNet, train: ImageSet, val: ImageSet, test: ImageSet, *, layers: str = "all", stage: int = 2,
    seed: int = 0, config: FineTuneConfig = DENSE,
) -> Result:
    """IoU on test of a segmenter, trained once for each of the config's rates; validation chooses.

    Arguments as of `train_segmenter`; the encoder stays as it is.
    """
    _check_masks(train=train, val=val, test=test)
    start = time.perf_counter()
    tried = []
    for rate in config.learning_rates:
        segmenter = train_segmenter(encoder, train, rate, layers=layers, stage=stage, seed=seed, config=config)
        tried.append((mask_iou(segmenter, val), rate, segmenter))
    on_validation, rate, chosen = max(tried, key=lambda one: one[0])
    return Result(
        score=mask_iou(chosen, test), method="segmentation", split="test", seed=seed, labels=len(train),
        trained=f"{LAYERS[layers]} up to stage {stage}, rate {rate:g} chosen on validation",
        seconds=time.perf_counter() - start, validation=on_validation, measure="IoU",
    )


def mask_iou(segmenter: Segmenter, images: ImageSet) -> float:
    """`iou` of what a segmenter calls object."""
    return iou(embed(segmenter, images) > 0, images.masks)


def _check_masks(**sets: ImageSet) -> None:
    for name, images in sets.items():
        if instance(name, images, ImageSet, "load it with cl_course.data.load").masks is None:
            raise ValueError(f"segmentation needs the objects' masks and {name} has none; 'shapes' has them")
        check_some(name, images)
        if images.masks.shape[1:] != images.images.shape[2:]:
            sizes = [" x ".join(map(str, x.shape[-2:])) for x in (images.masks, images.images)]
            size = tuple(images.images.shape[2:])
            remedy = f"torchvision.transforms.v2.functional.resize(masks, {size}) makes them fit"
            raise ValueError(f"masks of {name} have {sizes[0]} pixels for images of {sizes[1]}; {remedy}")
        if not images.masks.any():
            raise ValueError(f"segmentation needs an object in at least one image and {name} has none; add images with "
                             "objects")


@torch.no_grad()
def feature_maps(encoder: ResNet, images: ImageSet, stage: int = 4) -> Tensor:
    """Frozen features before pooling, (n, c, h', w'), on the CPU; the encoder's train / eval mode is put back.

    `stage`: take the maps after this one, from 1, the finest and least abstract, to the encoder's last, its
    `feature_map`.
    """
    stage = whole("stage", stage, 1, len(stages_of(encoder)))
    device = next(encoder.parameters()).device
    with in_eval_mode(encoder):
        parts = (to_float(part.to(device)) for part in images.images.split(500))
        return torch.cat([encoder.stage_maps(x, stage)[-1].float().cpu() for x in parts])


@checked
def train_head(
    maps: Float[Tensor, "n c h w"], masks: Bool[Tensor, "n y x"], rate: float, seed: int = 0
) -> nn.Sequential:
    """Logistic regression of "object" at every place of the standardised maps: a head (n, c, h, w) -> (n, 1, h, w).

    The loss is taken at the masks' size, on bilinearly enlarged logits, so that a coarse place answers for all its
    pixels. AdamW, its rate falling to 0 along a cosine.
    """
    rate, seed = real("rate", rate, above=0), whole("seed", seed, 0)
    check_finite("maps", maps)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        standardise = nn.BatchNorm2d(maps.shape[1], affine=False, momentum=None)
        head = nn.Sequential(standardise, nn.Conv2d(maps.shape[1], 1, kernel_size=1))
    standardise(maps)  # with momentum None, one pass sets the mean and variance of all places
    head.eval()
    optimizer = torch.optim.AdamW(head.parameters(), lr=rate, fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=STEPS)
    generator = Generator().manual_seed(seed)
    for batch in shuffled_steps(len(maps), BATCH_SIZE, STEPS, generator):
        logits = enlarge(head(maps[batch]), masks.shape[1:])[:, 0]
        loss = F.binary_cross_entropy_with_logits(logits, masks[batch].float())
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        schedule.step()
    return head


@torch.no_grad()
@checked
def predicted_masks(head: nn.Module, maps: Float[Tensor, "n c h w"], size: tuple[int, int]) -> Bool[Tensor, "n y x"]:
    """The pixels of images of `size` (h, w) that the head calls object."""
    return enlarge(head(maps), size)[:, 0] > 0


def enlarge(logits: Tensor, size: tuple[int, int]) -> Tensor:
    """(n, 1, h', w') -> (n, 1, h, w), bilinear: a place of the map stands at the centre of the pixels it covers."""
    return F.interpolate(logits, size=size, mode="bilinear", align_corners=False)
