"""Which objects are where? FCOS, a detector without anchors, in small (Tian et al. 2019, arXiv:1904.01355).

Every place of a feature map says for each class whether an object of it is there, how far the four sides of its box
are away, and how central the place is in that box (sec. 3.1 and 3.3). One map serves objects of all sizes: ours differ
by a factor of two. It is as fine as the maps of the encoder's second stage, and also sees the coarser ones, enlarged
and added, as in a feature pyramid (Lin et al. 2016, arXiv:1612.03144).
"""

import copy
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn
from torchvision.ops import batched_nms, clip_boxes_to_image, generalized_box_iou_loss, sigmoid_focal_loss

from cl_course.average_precision import Found, average_precision
from cl_course.data import ImageSet, to_float
from cl_course.distributed import on_device
from cl_course.evaluate import Result, in_eval_mode
from cl_course.finetune import DENSE, LAYERS, FineTuneConfig, check_classes, dense_views, train_layers
from cl_course.images.objects import Objects
from cl_course.models import ResNet, stages_of
from cl_course.values import instance, real, whole

FINEST = 2  # the stage whose maps have as many places as the answer
CHANNELS = 32  # of the head
PRIOR = 0.01  # a place's probability of a class before training, so that the many empty places cost little (RetinaNet)
LEAST_SCORE, MOST_FOUND = 0.05, 20  # what is kept of an image: boxes of at least this score, and so many


class Answers(NamedTuple):
    """What the network says at each place of its map, of n images.

    Attributes:
        classes: logits (n, c, h, w), each class on its own.
        distances: pixels from the place to the left, top, right and bottom side of the box, (n, 4, h, w), above 0.
        centreness: logits (n, h, w).
    """

    classes: Tensor
    distances: Tensor
    centreness: Tensor


class Targets(NamedTuple):
    """What it should say: labels int64 (n, h, w), -1 for no object; distances (n, 4, h, w); centreness (n, h, w)."""

    labels: Tensor
    distances: Tensor
    centreness: Tensor


class Head(nn.Module):
    """Maps of the encoder's stages -> logits of classes, of distances, of centre-ness, (n, classes + 5, h, w)."""

    def __init__(self, channels: Sequence[int], classes: int):
        super().__init__()
        self.lateral = nn.ModuleList(
            nn.Sequential(nn.Conv2d(of_stage, CHANNELS, 1, bias=False), nn.BatchNorm2d(CHANNELS))
            for of_stage in channels
        )
        convolution = nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1, bias=False)
        self.tower = nn.Sequential(convolution, nn.BatchNorm2d(CHANNELS), nn.ReLU(inplace=True))
        self.answer = nn.Conv2d(CHANNELS, classes + 5, 1)
        nn.init.constant_(self.answer.bias[:classes], math.log(PRIOR / (1 - PRIOR)))

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        size = maps[0].shape[2:]
        x = sum(F.interpolate(lateral(x), size=size, mode="nearest") for lateral, x in zip(self.lateral, maps))
        return self.answer(self.tower(F.relu(x)))


class Detector(nn.Module):
    """An encoder and a head: images (n, 3, h, w) -> `Answers`."""

    def __init__(self, encoder: ResNet, classes: int):
        super().__init__()
        self.encoder = encoder
        stages = len(stages_of(encoder))
        self.head = Head([encoder.dim // 2 ** (stages - stage) for stage in range(FINEST, stages + 1)], classes)

    def forward(self, images: Tensor) -> Answers:
        logits = self.head(self.encoder.stage_maps(images)[FINEST - 1 :])
        stride = images.shape[-1] / logits.shape[-1]
        classes, distances, centreness = logits.split([logits.shape[1] - 5, 4, 1], dim=1)
        return Answers(classes, stride * distances.clamp(max=5).exp(), centreness[:, 0])  # clamp: e^5 strides suffice


def places(size: tuple[int, int], map_size: tuple[int, int]) -> Tensor:
    """Where the places of a map lie in an image of `size` (h, w), in pixels: (h', w', 2), each (x, y)."""
    y, x = ((torch.arange(n) + 0.5) * (pixels / n) for n, pixels in zip(map_size, size))
    return torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=2)


def targets(objects: Sequence[Objects], size: tuple[int, int], map_size: tuple[int, int]) -> Targets:
    """The right answers for images of `size`: a place belongs to the smallest box around it.

    Centre-ness is sqrt(min(l, r) / max(l, r) * min(t, b) / max(t, b)): 1 in the middle of a box, towards 0 at its sides
    (eq. 3).
    """
    x, y = places(size, map_size).unbind(dim=2)
    each = []
    for one in objects:
        x1, y1, x2, y2 = one.boxes.T[:, :, None, None]  # (k, 1, 1) each
        distances = torch.stack([x - x1, y - y1, x2 - x, y2 - y], dim=1)  # (k, 4, h', w')
        area = ((x2 - x1) * (y2 - y1)).where(distances.amin(dim=1) > 0, torch.inf)  # (k, h', w')
        # A last row that stands for "no object" wins where no box is around the place.
        area = torch.cat([area, torch.full_like(x, torch.finfo(x.dtype).max)[None]])
        owner = area.argmin(dim=0)  # (h', w')
        labels = torch.cat([one.labels, torch.tensor([-1])])[owner]
        distances = torch.cat([distances, x.new_ones(1, 4, *x.shape)])  # of no object: any that divide
        each.append((labels, distances.gather(0, owner.expand(1, 4, *x.shape))[0]))
    labels, distances = (torch.stack(part) for part in zip(*each))
    across, down = distances[:, 0::2], distances[:, 1::2]
    ratio = (across.amin(dim=1) / across.amax(dim=1)) * (down.amin(dim=1) / down.amax(dim=1))
    return Targets(labels, distances, ratio.sqrt())


def mirrored(wanted: Targets, which: Tensor) -> Targets:
    """The targets of the mirrored images where `which`, bool (n,), is True."""
    def swap(x: Tensor, y: Tensor) -> Tensor:
        return torch.where(which.view(-1, *[1] * (x.ndim - 1)), y.flip(-1), x)

    labels, distances, centreness = wanted
    return Targets(swap(labels, labels), swap(distances, distances[:, [2, 1, 0, 3]]), swap(centreness, centreness))


def detection_loss(answers: Answers, wanted: Targets) -> Tensor:
    """FCOS's loss, a scalar: focal loss of the classes at all places, and at those of objects GIoU and centre-ness.

    Each sum is divided by the number of places that belong to an object, at least 1 (eq. 2; GIoU in place of IoU, as
    the authors' later code has it).
    """
    inside = wanted.labels >= 0  # (n, h, w)
    hot = F.one_hot(wanted.labels.clamp(min=0), answers.classes.shape[1]).movedim(3, 1) * inside[:, None]
    classes = sigmoid_focal_loss(answers.classes, hot.to(answers.classes.dtype), reduction="sum")
    far, right = (boxes_at(x).movedim(1, 3)[inside] for x in (answers.distances, wanted.distances))
    boxes = generalized_box_iou_loss(far, right, reduction="sum")
    central = F.binary_cross_entropy_with_logits(
        answers.centreness[inside], wanted.centreness[inside], reduction="sum"
    )
    return (classes + boxes + central) / inside.sum().clamp(min=1)


def boxes_at(distances: Tensor, points: Tensor | None = None) -> Tensor:
    """Distances (n, 4, h, w) -> boxes (x1, y1, x2, y2), (n, 4, h, w), seen from `points` (h, w, 2), or each its own."""
    x, y = (0, 0) if points is None else points.unbind(dim=2)
    left, top, right, bottom = distances.unbind(dim=1)
    return torch.stack([x - left, y - top, x + right, y + bottom], dim=1)


def decode(answers: Answers, size: tuple[int, int], overlap: float = 0.5) -> list[Found]:
    """The boxes that the answers stand for, one `Found` an image of `size` (h, w), the highest scores first.

    A place's score for a class is its probability times the centre-ness; below LEAST_SCORE it gives no box. Of boxes of
    one class whose IoU is above `overlap`, only the one of the highest score stays (non-maximum suppression), and of
    all classes together the first MOST_FOUND.
    """
    overlap = real("overlap", overlap, least=0, most=1)
    probabilities = answers.classes.sigmoid() * answers.centreness.sigmoid()[:, None]
    boxes = boxes_at(answers.distances, places(size, answers.classes.shape[2:]).to(answers.distances.device))
    found = []
    for scores, each in zip(probabilities, boxes):
        label, row, column = (scores >= LEAST_SCORE).nonzero(as_tuple=True)
        scores, each = scores[label, row, column], clip_boxes_to_image(each[:, row, column].T, size)
        kept = batched_nms(each, scores, label, overlap)[:MOST_FOUND]
        found.append(Found(each[kept].cpu(), scores[kept].cpu(), label[kept].cpu()))
    return found


@torch.no_grad()
def find(detector: Detector, images: ImageSet) -> list[Found]:
    """What the detector finds in each image."""
    device, size = next(detector.parameters()).device, tuple(images.images.shape[2:])
    with in_eval_mode(detector):
        return [
            found
            for part in images.images.split(250)
            for found in decode(detector(to_float(part.to(device))), size)
        ]


def train_detector(
    encoder: ResNet, images: ImageSet, rate: float, *, layers: str = "all", seed: int = 0,
    config: FineTuneConfig = DENSE,
) -> Detector:
    """A copy of the encoder with a new head, trained at one rate, in eval mode.

    Args:
        images: with objects; at least one must have a box. An image without any is an example of background.
        rate, layers, seed, config: as of `finetune.train_classifier`; augment may mirror and recolour, not crop.
    """
    check_objects(train=images)
    advice = f"a detector reads the maps from stage {FINEST} on"
    whole("the encoder's stages", len(stages_of(encoder)), FINEST, advice=advice)
    device, size = next(encoder.parameters()).device, tuple(images.images.shape[2:])
    with torch.no_grad():
        one = copy.deepcopy(encoder).eval()  # a copy: the caller's encoder keeps its mode
        map_size = one.stage_maps(to_float(images.images[:1].to(device)))[FINEST - 1].shape[2:]
    wanted = Targets(*(part.to(device) for part in targets(images.objects, size, tuple(map_size))))
    pixels = on_device(images.images, device)

    def loss(detector: Detector, batch: Tensor, generator: Generator) -> Tensor:
        views, flipped = dense_views(to_float(pixels[batch]), config.augment, generator)
        right = mirrored(Targets(*(part[batch] for part in wanted)), flipped.to(device))
        return detection_loss(detector(views), right)

    def with_head(tuned: ResNet) -> Detector:
        return Detector(tuned, len(images.class_names))

    return train_layers(encoder, with_head, loss, len(images), rate, layers=layers, seed=seed, config=config)


@dataclass(frozen=True)
class Chosen:
    """The detector that validation chose, the rate it was trained at, and its average precision there."""

    detector: Detector
    rate: float
    validation: float


def choose_detector(
    encoder: ResNet, train: ImageSet, val: ImageSet, *, layers: str = "all", seed: int = 0,
    config: FineTuneConfig = DENSE,
) -> Chosen:
    """`train_detector` once for each of the config's learning rates; validation chooses."""
    check_objects(train=train, val=val)
    tried = []
    for rate in config.learning_rates:
        detector = train_detector(encoder, train, rate, layers=layers, seed=seed, config=config)
        tried.append(Chosen(detector, rate, average_precision(find(detector, val), val)["AP"]))
    return max(tried, key=lambda one: one.validation)


def fine_tune_detector(
    encoder: ResNet, train: ImageSet, val: ImageSet, test: ImageSet, *, layers: str = "all", seed: int = 0,
    config: FineTuneConfig = DENSE,
) -> Result:
    """Average precision on test, once, of the detector that validation chose.

    Args:
        encoder: stays as it is; its device is where the copies are trained.
        train, val, test: images with objects, or a ValueError.
        layers: "head" freezes the encoder, "all" fine-tunes it, "scratch" forgets its weights first.
        seed: of the head, the order of the images, the augmentations and, from scratch, of all weights.
    """
    check_objects(train=train, val=val, test=test)
    start = time.perf_counter()
    chosen = choose_detector(encoder, train, val, layers=layers, seed=whole("seed", seed, 0), config=config)
    return Result(
        score=average_precision(find(chosen.detector, test), test)["AP"], method="detection", split="test", seed=seed,
        labels=len(train), trained=f"{LAYERS[layers]}, rate {chosen.rate:g} chosen on validation",
        seconds=time.perf_counter() - start, validation=chosen.validation, measure="AP",
    )


def check_objects(**sets: ImageSet) -> None:
    """Raise a ValueError unless each set has objects, and a box in at least one image."""
    for name, images in sets.items():
        if not instance(name, images, ImageSet, "load it with cl_course.data.load").objects:
            raise ValueError(f"detection needs the objects of each image and {name} has none; 'scenes' has them")
        if not any(map(len, images.objects)):
            raise ValueError(f"detection needs a box in at least one image and {name} has none; add images with them")
    check_classes(**sets)
