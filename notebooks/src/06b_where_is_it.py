# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # 06b Where is it? Dense tasks
#
# **What you will be able to do**
#
# - say what a detector without anchors answers at each place of a feature map, and turn its answers into boxes;
# - build four of its tools yourself: IoU of boxes, centre-ness, non-maximum suppression, average precision;
# - read a curve of precision against recall, and say what each of two thresholds does to it;
# - say which map of a network can answer *where*, and why the last one alone cannot;
# - say where pre-training helped here, for boxes and for masks, and where it did not.
#
# **Time**: {minutes} minutes, and {deeper_minutes} more for the section *Going deeper*. **Needs**: fine-tuning and
# IoU of masks (lesson 06). It computes for about a minute on two cores.

# %% tags=["setup"]
# set-up cell: inserted by the build

# %% tags=["parameters"]
profile = "auto"  # "quick" (CPU) or "full" (GPU); "auto" looks what is there
dataset = "auto"  # this lesson takes the drawn scenes whatever it says: others have no boxes
seed = 0  # any whole number from 0
device = "auto"  # "cpu", "cuda" or "mps"

# %% tags=["folded"]
# Imports
import copy

import numpy as np
import torch
from torch import Generator, nn
from torchvision import ops

from cl_course import checks
from cl_course.augment import AugmentConfig, draw_parameters
from cl_course.average_precision import average_precision, evaluated
from cl_course.data import load, to_float
from cl_course.detect import Answers, Detector, decode, find, places, targets, train_detector
from cl_course.finetune import DENSE
from cl_course.images.objects import Objects
from cl_course.lessons.shared.pictures import channels_last
from cl_course.lessons.shared.show import show
from cl_course.lessons.shared.tables import mean_and_spread, show_table
from cl_course.lessons.where_is_it import figures as plots
from cl_course.lessons.where_is_it.check_receptive_field import right as receptive_field
from cl_course.lessons.where_is_it.lab_boxes import box_lab
from cl_course.running import records
from cl_course.running.checkpoints import shipped
from cl_course.running.reuse import load_or_train
from cl_course.running.settings import settings

lesson = settings(globals())

# %% [markdown]
# ## Predict first
#
# So far each card had one object, and one question: what is it? Now the shop has photographed its shelf. A **scene**
# has 64 x 64 pixels and one to four objects of the same ten kinds, drawn by the same code. The question is: *which*
# objects are *where*? The answer is a list of **boxes**, each with a class and a score. Somebody has drawn boxes around
# the objects of a few scenes, and that takes far longer than to write down one name.

# %% tags=["folded"]
# Figure: eight scenes with their boxes
val = load("scenes", "val")
shown = val.subset(torch.arange(8))


def labelled(one):
    """An image's boxes with the names of their classes."""
    return [(b, val.class_names[c]) for b, c in zip(one.boxes.tolist(), one.labels.tolist())]


show(
    plots.boxes_figure(
        channels_last(to_float(shown.images)), [labelled(one) for one in shown.objects]
    ),
    alt="Eight scenes with a box around each object: "
    + "; ".join(", ".join(name for _, name in labelled(one)) for one in shown.objects)
    + ".",
)

# %% [markdown]
# Two hundred scenes have boxes. One detector is trained on them from scratch. A second one starts from the SimCLR
# encoder of lesson 03, which has seen *cards*: 32 x 32 pixels, one object in each, never two, and no box. Write down:
#
# 1. Does the second one find more? SimCLR learned to say the same of two crops of a card, wherever they were cut. Is
#    such a network good at *where*?
# 2. If the encoder stays frozen and only the small head on top learns: better or worse than from scratch?
# 3. With 1,000 scenes in place of 200: does the lead of the second one grow or shrink?
# 4. A simpler question for each pixel: object or background? Does pre-training help more here, or less?
#
# ## Two thresholds
#
# Below are 24 scenes and what two detectors found in them, both trained on 200 scenes. A box is **right** if it has the
# class of a true box and overlaps it enough. "Enough" is your first threshold, the second is the least score that is
# shown. Try to answer by moving them:
#
# - Raise the least score. What happens to precision (the share of shown boxes that are right), what to recall (the
#   share of objects that are found)? Does the AP change?
# - Raise the IoU from 0.50 to 0.90. Which detector loses more?

# %% tags=["folded"]
# The box lab
recorded = records.read("found_boxes")["runs"]
box_lab(load("scenes", "val", limit=len(recorded[0]["scenes"])), recorded)

# %% [markdown]
# <details><summary>What to see in it</summary>
#
# With a higher least score fewer boxes are left: precision mostly rises, recall can only fall, and the orange point
# moves along the grey curve to the left. The AP does not change, since it is the area under the *whole* curve: it
# judges the order of the boxes, not the one score at which somebody cuts. A higher IoU turns right boxes into wrong
# ones. The AP falls for both, to nearly 0 at 0.90. The fine-tuned detector loses more, since it had far more to lose:
# it finds and names many objects, but with loose boxes. A box that is about right counts at 0.50 and is worth nothing
# at 0.90.
#
# (The lab puts all classes into one list. COCO's measure, below, makes a list for each class and takes the mean.)
#
# </details>
#
# ## When is a box right?
#
# A box is four numbers, $(x_1, y_1, x_2, y_2)$: its left and upper side, its right and lower side, in pixels from the
# upper left corner of the image. The measure is the one of masks in lesson 06, for rectangles: the area that both boxes
# cover, divided by the area that at least one covers.
#
# ### Exercise 1: IoU of boxes (6 min, medium)
#
# `a` is $(n, 4)$, `b` is $(m, 4)$. Return the table $(n, m)$ of the IoU of every box of `a` with every box of `b`.


# %% tags=["exercise"]
def my_box_iou(a, b):
    """Boxes (n, 4) and (m, 4), each (x1, y1, x2, y2) -> IoU of all pairs, (n, m)."""
    ### BEGIN SOLUTION
    low = torch.maximum(a[:, None, :2], b[:, :2])  # upper left corner of what both cover
    high = torch.minimum(a[:, None, 2:], b[:, 2:])
    both = (high - low).clamp(min=0).prod(dim=2)  # (n, m)
    area_a, area_b = ((c[:, 2:] - c[:, :2]).prod(dim=1) for c in (a, b))
    return both / (area_a[:, None] + area_b - both)
    ### END SOLUTION


# %%
checks.box_iou(my_box_iou)

# %% [markdown] tags=["hints"]
# <details><summary>Hint 1</summary>
#
# What both boxes cover is a box again, or nothing. Where does it begin, and where does it end, along x?
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# It begins at the larger of the two left sides and ends at the smaller of the two right ones. If that is negative, the
# boxes do not meet: `.clamp(min=0)`. `a[:, None, :2]` against `b[:, :2]` makes all pairs, $(n, m, 2)$.
#
# </details>
#
# <details><summary>Hint 3</summary>
#
# `both = (high - low).clamp(min=0).prod(dim=2)`, and the union is area + area - both.
#
# </details>

# %%
# NBVAL_CHECK_OUTPUT
a, b = torch.tensor([[0.0, 0, 20, 20]]), torch.tensor([[2.0, 2, 22, 22], [6.0, 6, 26, 26]])
print(
    "20 x 20 pixels, moved by 2 and by 6 in both directions:", ops.box_iou(a, b).round(decimals=2)
)

# %% [markdown]
# Two pixels off in each direction, and a third of the overlap is gone. IoU is strict with small objects.
#
# **Quiz.** Your boxes come from a file with the columns x, y, width, height. You give them to the package as they are.
# What should it do?

# %%
# NBVAL_CHECK_OUTPUT
try:
    Objects(torch.tensor([[30.0, 40, 12, 15]]), torch.tensor([3]))
except ValueError as error:
    print(error)

# %% [markdown]
# <details><summary>Answer</summary>
#
# Refuse them, if it can see it: a box whose right side lies left of its left side is none. But (5, 5, 12, 15) could be
# either. No program can tell, and training would go on with wrong boxes. Look at some pictures with their boxes before
# you train.
#
# </details>
#
# ## What each place must say
#
# How can a network answer with a *list*? The encoder gives a map: 16 x 16 places, each for 4 x 4 pixels. FCOS (Tian et
# al. 2019) lets each place speak for itself. It says
#
# 1. for each class, whether the place lies in an object of it (a probability for each class, on its own);
# 2. how far the four sides of that object's box are away: left, top, right, bottom;
# 3. how **central** the place is in the box.
#
# If a place lies in several boxes, the smallest owns it. There are no anchors (boxes of given sizes that are moved and
# stretched, as in earlier detectors), just places.

# %% tags=["folded"]
# Figure: one place's distances, and the centre-ness of all
of_first = targets(shown.objects, (64, 64), (16, 16))
where = places((64, 64), (16, 16))
first = shown.objects[0].boxes[0]
x, y = (first[:2] + 0.3 * (first[2:] - first[:2])).tolist()
spot = where[int(y / 4), int(x / 4)]
show(
    plots.targets_figure(
        channels_last(to_float(shown.images))[0],
        first.tolist(),
        spot.tolist(),
        torch.where(of_first.labels[0] >= 0, of_first.centreness[0], 0.0).numpy(),
    ),
    alt="Left: a scene with a box, and four arrows from one place to its four sides. Right: the "
    "map of centre-ness, 1 in the middle of each object and falling to 0 at the sides of its box.",
)

# %% [markdown]
# Why the third answer? A place near a side of the object sees little of the opposite one, and its box is worse. So its
# score is multiplied by its centre-ness, and the boxes of central places win. With the distances $l, t, r, b$
#
# $$\text{centre-ness} = \sqrt{\frac{\min(l, r)}{\max(l, r)} \cdot \frac{\min(t, b)}{\max(t, b)}}$$
#
# ### Exercise 2: centre-ness (5 min, easy)
#
# `points` is $(n, 2)$, each $(x, y)$; row $i$ of `boxes`, $(n, 4)$, is the box of point $i$. Return $(n,)$, and 0 where
# the point lies outside of its box.


# %% tags=["exercise"]
def my_centreness(points, boxes):
    """points (n, 2) and a box for each, (n, 4) -> centre-ness (n,), 0 outside."""
    ### BEGIN SOLUTION
    near, far = points - boxes[:, :2], boxes[:, 2:] - points  # left and top; right and bottom
    ratio = torch.minimum(near, far) / torch.maximum(near, far)  # (n, 2)
    inside = (torch.minimum(near, far) > 0).all(dim=1)
    return torch.where(inside, ratio.prod(dim=1).clamp(min=0).sqrt(), 0.0)
    ### END SOLUTION


# %%
checks.centreness(my_centreness)

# %% [markdown] tags=["hints"]
# <details><summary>Hint 1</summary>
#
# Left is $x - x_1$ and right is $x_2 - x$. What sign does one of the four have outside of the box?
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# `near = points - boxes[:, :2]` holds left and top, `far = boxes[:, 2:] - points` right and bottom, both $(n, 2)$.
#
# </details>
#
# <details><summary>Hint 3</summary>
#
# The root of a negative number is NaN, also where `torch.where` does not take it: cut the product at 0 before the root.
#
# </details>

# %%
# NBVAL_CHECK_OUTPUT
wanted = targets(val.objects, (64, 64), (16, 16))
classes = torch.full((len(val), 10, 16, 16), -20.0)  # logits of an oracle that knows the targets
n, i, j = (wanted.labels >= 0).nonzero(as_tuple=True)
classes[n, wanted.labels[n, i, j], i, j] = 20.0
oracle = Answers(classes, wanted.distances, wanted.centreness.logit(1e-6))
perfect = average_precision(decode(oracle, (64, 64)), val)
print(f"AP of the targets themselves: {perfect['AP']:.3f}")

# %% [markdown]
# That line is worth having in every detector. If the *right answers*, sent through the same code as the network's
# answers, do not give back all boxes, then no training can. (Objects could be too small for the map, or hidden under
# the smallest box of another.)
#
# ## Which map?
#
# The encoder ends in a mean over all places. For boxes we take the maps before it. **Predict**: from which of the four
# stages? The last one has 4 x 4 places for 64 x 64 pixels, and most objects are 12 to 22 pixels wide. The first has 32
# x 32 places, but does each of them see enough?
#
# ### Exercise 3: the receptive field (5 min, medium)
#
# The **receptive field** of a place is the part of the image that its value depends on. Start with 1 pixel. A layer with
# kernel $k$ adds $(k - 1) \cdot j$ pixels, where $j$ is the distance in pixels of two neighbouring places of the map
# that it *reads*. In the image $j$ is 1, and behind a layer of stride $s$ it is $s$ times as large. Return one side of
# the receptive field behind all layers, in pixels.


# %% tags=["exercise"]
def my_receptive_field(kernels, strides):
    """Kernel sizes and strides of the layers, from the image on -> pixels, one whole number."""
    ### BEGIN SOLUTION
    seen, jump = 1, 1
    for kernel, stride in zip(kernels, strides):
        seen += (kernel - 1) * jump
        jump *= stride
    return seen
    ### END SOLUTION


# %%
checks.receptive_field(my_receptive_field)

# %% [markdown] tags=["hints"]
# <details><summary>Hint 1</summary>
#
# Two numbers change from layer to layer: how much is seen, and how far apart neighbours are.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# Two layers with kernel 3 and stride 1 see 3, then 5 pixels. If the first has stride 2, its places lie 2 pixels apart,
# and the second sees 3 + 2 * 2 = 7.
#
# </details>
#
# <details><summary>Hint 3</summary>
#
# In the loop: first `seen += (kernel - 1) * jump`, then `jump *= stride`.
#
# </details>

# %%
stem, block, halving = ((3,), (2,)), ((3, 3), (1, 1)), ((3, 3), (2, 1))
layers, rows = (stem, block, halving, halving, halving), []
for stage in (1, 2, 3, 4):
    kernels, strides = (sum(part, ()) for part in zip(*layers[: stage + 1]))
    field = receptive_field(kernels, strides)  # the tested one
    rows.append([f"stage {stage}", f"{64 // 2**stage} x {64 // 2**stage}", field])
show_table(
    rows, ["map", "places", "receptive field, pixels"], "The quick encoder on 64 x 64 pixels"
)

# %% [markdown]
# Fine maps see little, and maps that see much are coarse. So a detector takes several. Ours enlarges the maps of stages
# 3 and 4 to the size of stage 2 and adds all three, as a **feature pyramid** does (Lin et al. 2016). One 3x3
# convolution and a 1x1 convolution then give the answers: 10 classes, 4 distances, 1 centre-ness.

# %%
encoder = shipped("simclr_shapes")[0].to(lesson.device)  # lesson 03's, trained on cards
untrained = Detector(encoder, classes=10)
with torch.no_grad():
    said = untrained.eval()(to_float(val.images[:1]).to(lesson.device))
for name, part in zip(said._fields, said):
    print(f"{name:10} {tuple(part.shape)}")
weights = {
    part: sum(w.numel() for w in getattr(untrained, part).parameters())
    for part in ("encoder", "head")
}
print(", ".join(f"{count:,} weights in the {part}" for part, count in weights.items()))

# %% [markdown]
# The loss has a part for each answer. At all places **focal loss** for the classes: a cross-entropy that counts easy
# places little, because most places are background (Lin et al. 2017). At the places of objects, one minus
# a generalised IoU of the box, and a cross-entropy for the centre-ness. Anything that changes the image's geometry must
# change the targets as well: we mirror both, and do not crop. Colours are changed as in pre-training.
#
# ## One object, many boxes
#
# About 16 places lie in the box of one object, and all of them draw it. **Non-maximum suppression** keeps one: take the
# box of the highest score, throw out all that overlap it too much, go on with the best that is left.
#
# ### Exercise 4: non-maximum suppression (7 min, medium)
#
# `boxes` is $(n, 4)$, `scores` is $(n,)$, all of one class. Return the numbers of the boxes that stay, the highest score
# first. A box goes if its IoU with a box *that stays* is above `threshold`. You may use `ops.box_iou(boxes, boxes)`.


# %% tags=["exercise"]
def my_nms(boxes, scores, threshold):
    """boxes (n, 4), scores (n,) -> numbers of the boxes that stay, the highest score first."""
    ### BEGIN SOLUTION
    iou, kept = ops.box_iou(boxes, boxes), []
    for i in scores.argsort(descending=True).tolist():
        if all(iou[i, j] <= threshold for j in kept):
            kept.append(i)
    return kept
    ### END SOLUTION


# %%
checks.nms(my_nms)

# %% [markdown] tags=["hints"]
# <details><summary>Hint 1</summary>
#
# Walk through the boxes in the order of their scores, and keep a list of those that stay.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# `scores.argsort(descending=True)` gives the numbers of the boxes, the best first. Compare each box with those in the
# list alone, not with those that were thrown out.
#
# </details>
#
# <details><summary>Hint 3</summary>
#
# `if all(iou[i, j] <= threshold for j in kept): kept.append(i)`.
#
# </details>

# %% [markdown]
# **Quiz.** Two stars stand so close that their boxes overlap with an IoU of 0.6. What does suppression at 0.5 do?
#
# <details><summary>Answer</summary>
#
# It throws one of them out, however sure the network is. A higher threshold would keep both, and keep duplicates of other
# objects as well. It is a rule made by hand; DETR (Carion et al. 2020) learns to answer without it.
#
# </details>
#
# ## How good is a list of boxes?
#
# Lesson 06 had an average precision for a ranked list of cards. For boxes there are two differences. Boxes of *all*
# images go into one list, ordered by score. And objects that were never found must count: recall is divided by the
# number of true objects. Walk down the list; at each rank there is a precision and a recall. Precision jumps up and
# down, so it is replaced by the largest precision *from that rank on* (the blue curve of the lab). The area under that
# curve is the average precision.
#
# ### Exercise 5: average precision (7 min, medium)
#
# `right` is a bool tensor $(k,)$, which boxes of one class are right, in the order of their scores. `objects` is the
# number of true objects. Return the area: each right box adds a step of 1 / `objects` to the recall.


# %% tags=["exercise"]
def my_detection_ap(right, objects):
    """right: bool (k,), the highest score first; objects: their number -> one number, 0 to 1."""
    ### BEGIN SOLUTION
    precision = right.cumsum(dim=0) / torch.arange(1, len(right) + 1)
    best = precision.flip(0).cummax(dim=0).values.flip(0)  # from each rank to the end
    return best[right].sum() / objects
    ### END SOLUTION


# %%
checks.detection_ap(my_detection_ap)

# %% [markdown] tags=["hints"]
# <details><summary>Hint 1</summary>
#
# The precision at rank $r$ is the number of right boxes among the first $r$, divided by $r$: a `cumsum`.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# The largest *from a rank on* is a running maximum of the list read backwards: `.flip(0).cummax(dim=0).values.flip(0)`.
#
# </details>
#
# <details><summary>Hint 3</summary>
#
# Recall makes its steps at right boxes alone: add up `best[right]`, and divide by `objects`.
#
# </details>

# %% [markdown]
# **COCO**'s measure does this for each class and takes the mean: **AP50**, if a box is right from an IoU of 0.50. The
# number called plain **AP** is the mean over ten thresholds, 0.50, 0.55, ... to 0.95: it asks for exact boxes. We use
# COCO's own code (`pycocotools`). It reads the curve at 101 recalls, where yours has the exact area.
#
# ## Two detectors, live
#
# Each gets 300 steps of 16 scenes out of the same 200. **Predict** both AP50.


# %%
few = load("scenes", "train", limit=200)
both = nn.ModuleDict({way: Detector(copy.deepcopy(encoder), 10) for way in ("all", "scratch")})
names = {"all": "SimCLR on cards, fine-tuned", "scratch": "from scratch"}


def train_both():
    for way, detector in both.items():
        trained = train_detector(encoder, few, rate=1e-2, layers=way, seed=lesson.seed)
        detector.load_state_dict(trained.state_dict())
    return len(few)


key = {"lesson": "06b", "seed": lesson.seed, "device": lesson.device, "config": DENSE}
load_or_train(key, train_both, both)
found = {way: find(detector, val) for way, detector in both.items()}
judged = {way: average_precision(each, val) for way, each in found.items()}
show_table(
    [[names[way], *measured.values()] for way, measured in judged.items()],
    ["200 labelled scenes", *judged["all"]],
    f"Average precision on {len(val)} validation scenes",
)

# %% tags=["folded"]
# Figure: the mean curve of ten classes at IoU 0.5, and what the fine-tuned detector found
recalls, curves = np.linspace(0, 1, 101), {}
for way, each in found.items():
    precision = evaluated(each, val).eval["precision"][0, :, :, 0, -1].mean(axis=1)
    curves[f"{names[way]}: AP50 {judged[way]['AP50']:.2f}"] = recalls, precision
show(
    plots.curves_figure(curves),
    alt="Precision against recall at an IoU of 0.5, the mean over ten classes: "
    + "; ".join(curves)
    + ".",
)
sure = [
    [
        (box, f"{val.class_names[label]} {score:.2f}")
        for box, label, score in zip(one.boxes.tolist(), one.labels.tolist(), one.scores.tolist())
        if score > 0.3
    ]
    for one in found["all"][:8]
]
show(
    plots.boxes_figure(channels_last(to_float(shown.images)), sure),
    alt="The eight scenes with the boxes that the fine-tuned detector found, scores above 0.3: "
    + "; ".join(", ".join(text for _, text in each) or "nothing" for each in sure)
    + ".",
)

# %% [markdown]
# ## Debug this: no box suppressed, and a worse AP
#
# A colleague looks at the boxes and finds that "suppression throws away good ones". They decode with `overlap=1.0`, so
# that nothing is suppressed, and expect a recall at least as high. `decode` keeps, as before, the 20 boxes of the
# highest scores in each scene. Look:

# %%
with torch.no_grad():
    answers = both["all"](to_float(val.images).to(lesson.device))
for overlap in (0.5, 1.0):
    boxes = decode(answers, (64, 64), overlap)
    count = sum(len(one.boxes) for one in boxes) / sum(map(len, val.objects))
    measured = average_precision(boxes, val)["AP50"]
    print(f"overlap {overlap}: {count:.1f} boxes for each object, AP50 {measured:.3f}")

# %% [markdown]
# <details><summary>A clue</summary>
#
# Read again when a box is right. How many boxes may take the same object?
#
# </details>
#
# <details><summary>Answer</summary>
#
# One. The first box takes the object; every further box on it is wrong, however well it fits. Without suppression the
# list is full of duplicates with high scores, and they push the precision down. They also fill the 20 boxes of a scene,
# so that objects with lower scores can drop out and the recall can fall. It is the task that says so: "where is the
# cat" should not be answered ten times.
#
# </details>
#
# ## What is pre-training worth?
#
# The recorded runs: 50, 200 and 1,000 labelled scenes, a box for each object or a mask of all objects, judged on the
# first 500 test scenes. All runs share one rate, 0.01. It was the better of two on validation, for boxes with 200
# scenes, both fine-tuned from cards and from scratch; no higher one was tried, and none for masks or frozen encoders. A
# seed is another draw of the labelled scenes, another head and another order; there is *one* pre-trained encoder of
# each kind. All ways take equally many steps, with the same augmentation, colours included. For **segmentation** the
# head is a 1x1 convolution on the maps of stage 2, as in lesson 06, but now the encoder may learn as well. Its rates
# still count from stage 4, so that stage 2 learns at about 1/18 of the head's rate; from scratch all layers learn at
# the full rate.

# %% tags=["folded"]
# Figure and tables: average precision and IoU by labelled scenes
dense = records.read("dense")
tasks = {
    "detection": ("AP50", "boxes: average precision at IoU 0.5"),
    "segmentation": ("IoU", "masks: object or background"),
}
of_task = {
    title: (measure, [run for run in dense["runs"] if run["task"] == task])
    for task, (measure, title) in tasks.items()
}
counts = (50, 200, 1000)


def scores(task, way, count, measure):
    """The measure of each recorded seed."""
    return [
        run[measure]
        for run in dense["runs"]
        if (run["task"], run["start"], run["layers"], run["count"]) == (task, *way, count)
    ]


recorded_ways = {
    way: look[0] for way, look in plots.WAYS.items() if scores("detection", way, 200, "AP50")
}
spread = f"mean ± standard deviation of {len(dense['seeds'])} seeds"
show(
    plots.dense_figure(of_task),
    alt="Average precision of boxes and IoU of masks on test by the number of labelled scenes: "
    + "; ".join(
        f"{name}: AP50 "
        + ", ".join(mean_and_spread(scores("detection", way, count, "AP50"), 2) for count in counts)
        + " and IoU "
        + ", ".join(
            mean_and_spread(scores("segmentation", way, count, "IoU"), 2) for count in counts
        )
        for way, name in recorded_ways.items()
    )
    + " at 50, 200 and 1,000 scenes.",
)
for task, (_, title) in tasks.items():
    for measure in ("AP50", "AP75") if task == "detection" else ("IoU",):
        show_table(
            [
                [name, *(mean_and_spread(scores(task, way, count, measure)) for count in counts)]
                for way, name in recorded_ways.items()
            ],
            [f"{measure} on test", *(f"{count:,} scenes" for count in counts)],
            f"{title}; {spread if len(dense['seeds']) > 1 else 'one seed'}",
        )

# %% [markdown]
# After these 300 steps:
#
# - **Boxes: the start from cards is far ahead.** With 50 scenes it finds most objects, and from scratch few. (A head on
#   a frozen network with random weights finds next to nothing.) SimCLR has never seen a box, or two objects in one
#   picture. But its maps tell the kinds apart, and a list of boxes with classes asks for the kinds before all else.
# - **Frozen is far ahead of from scratch, and nearly enough with few labels.** With 50 scenes a head of 17,000 weights
#   on frozen maps is close to fine-tuning. With 1,000 it falls behind, and further at AP75 than at AP50: what it lacks
#   is exact sides. Two crops of a card were asked to look alike wherever they were cut, so nothing asked for exact
#   places. But a larger head or a finer map might also help (quiz, question 3).
# - **The scenes themselves teach little for boxes.** Fine-tuned, SimCLR on 4,000 scenes without labels is at best a few
#   hundredths ahead of no pre-training, though these are the very pictures of the task. Frozen, it is better than
#   random weights, and far behind the cards. We come back to that below.
# - **Masks: no gain over training from scratch.** From scratch is near fine-tuning, and both are ahead of the frozen
#   maps. Those are far better than frozen random weights, so they do hold something of *where*, as in lesson 06. But
#   "object or background" needs no kinds, and a few hundred steps seem to be enough to learn it.
#
# And with more labels the lead does not shrink. **Stop here**, and remember lesson 06: give the baseline its time before
# you claim more. 300 steps of 16 scenes see each of 1,000 scenes about five times. **Predict**: what do four times the
# steps give?

# %% tags=["folded"]
# Table: 300 and 1,200 steps
longer = records.read("dense_longer")["runs"]
rows = []
for count in sorted({run["count"] for run in longer}):
    for way in (("cards", "all"), ("no pre-training", "scratch")):
        later = [r for r in longer if (r["start"], r["layers"], r["count"]) == (*way, count)]
        rows.append([f"{count:,} scenes, {plots.WAYS[way][0]}"])
        for name in ("AP50", "AP75"):
            rows[-1].append(mean_and_spread(scores("detection", way, count, name)))
            rows[-1].append(mean_and_spread([run[name] for run in later]))
columns = [f"{name}, {steps} steps" for name in ("AP50", "AP75") for steps in ("300", "1,200")]
show_table(rows, ["on test", *columns])

# %% [markdown]
# The 1,200 steps are one seed. With 1,000 scenes and time, training from scratch catches up: it is close at AP50, and
# *ahead* at AP75. One possible reason, not tested here: the early stages of the fine-tuned network learn at small rates
# (lesson 06), and they were made for other questions. So with enough labels pre-training was a faster start and not a
# better end. With 50 scenes it is another matter: four times the steps do not bring training from scratch near the
# other. He et al. (2018) found the same on COCO, with *supervised* pre-training on ImageNet: from scratch caught up
# with 10,000 labelled images and more, and not with 1,000. Where did it help a dense task here, then? Where steps or
# labels were few, and where the answer needed *what* as well as *where*.
#
# ## Whole scenes without labels
#
# Why pre-train on cards, if 4,000 *scenes* without labels are there? SimCLR takes two crops of an image for two views of
# the same thing. On a card that holds. On a scene? **Predict**: in what share of the pairs do both crops show the same
# objects?

# %%
# NBVAL_CHECK_OUTPUT
crops = draw_parameters(2 * len(val), (64, 64), AugmentConfig(), Generator().manual_seed(0))["box"]
agree = {n: [] for n in (1, 2, 3, 4)}
for one, *views in zip(val.objects, crops[: len(val)].float(), crops[len(val) :].float()):
    seen = []
    for top, left, height, width in views:
        cut = ops.clip_boxes_to_image(one.boxes - torch.stack([left, top] * 2), (height, width))
        seen.append(
            ops.box_area(cut) >= 0.5 * ops.box_area(one.boxes)
        )  # half of its box is in the crop
    agree[len(one)].append(torch.equal(*seen))
for n, each in agree.items():
    print(
        f"{n} objects: both crops show the same ones in {np.mean(each):.0%} of {len(each)} scenes"
    )

# %% [markdown]
# With more objects, the loss more and more often asks the network to say the same of *different* contents. (Two crops
# that both show no object count as the same.) What two such views share are things like the background, and the network
# may keep that instead of the objects. That would fit the rows of SimCLR on scenes in the tables above; those runs do
# not prove it. This encoder also had less training: 10 epochs of 4,000 scenes, a quarter of the images and of the steps
# of the 20 epochs of 8,000 cards. On photos with one thing in the middle (ImageNet) the guess is right more often.
# Methods for scenes take views place by place: DenseCL (Wang et al. 2020) compares places of two maps that match, and
# others compare regions or boxes.
#
# ## Quiz
#
# **1.** AP50 is 0.85 and AP75 is 0.40. What does this detector do well, and what not?
#
# <details><summary>Answer</summary>
#
# It finds objects and names them; its boxes are loose. Look at the regression: the map may be too coarse, the network may
# not see the whole object, or the boxes in the training set may be loose themselves.
#
# </details>
#
# **2.** Your network gives one score of 0.9 and a hundred of 0.06 in every image. Does it help the AP to drop all boxes
# below 0.1?
#
# <details><summary>Answer</summary>
#
# No. They stand at the end of the list, where they can only add recall: AP never gains when the list is cut. For a user
# who must look at each box it is another matter. Choose that threshold on validation, for a wanted precision.
#
# </details>
#
# **3.** A frozen encoder loses to a fine-tuned one by 0.10 AP, and both were pre-trained on whole images. Does the frozen one
# "not know where"?
#
# <details><summary>Answer</summary>
#
# You cannot say so. The head may be too small to read it, the map too coarse, or the features may be of another scale of
# objects. Lesson 06 read the place linearly from features of cards. A probe answers for itself, not for the network.
#
# </details>
#
# ## What papers call it
#
# | here | elsewhere |
# |---|---|
# | scene, labelled scene | image with box annotations |
# | place of the map | location, grid cell, point |
# | maps of several stages, added | feature pyramid network (FPN), neck |
# | AP | mAP, COCO AP, AP@[.5:.95]; PASCAL VOC's mAP is also at IoU 0.5, its area computed otherwise |
# | frozen, head alone | frozen backbone |
# | from scratch | random initialisation |
#
# ## Recap
#
# | | classification | detection | segmentation |
# |---|---|---|---|
# | answer | one class an image | a list of boxes with scores | a class for each pixel |
# | read from | the mean over places | maps of several stages | a map, enlarged |
# | judged by | accuracy | average precision | IoU of pixels |
# | what is easy to get wrong | the split | boxes of another format, duplicates, missed objects | the mean over images or pixels |
#
# - A detector without anchors answers at every place: class, four distances, centre-ness.
# - Send the right answers through your own decoder first. What they miss, no training can find.
# - The score at which somebody cuts is not part of AP; the IoU from which a box is right is.
# - Fine maps see little, coarse maps see much: take several.
# - How much pre-training helps depends on the task, the labels, the steps, and what its two views had in common.
#
# Next: lesson 07, four pitfalls, and a clinic.

# %% [markdown]
# ## Going deeper: the boxes of a batch at once
#
# `torchvision.ops.batched_nms` suppresses within classes in one call: it moves the boxes of each class far away from all
# others, so that boxes of two classes never meet. A trick of one line, and the same answer:

# %%
# NBVAL_CHECK_OUTPUT
generator = Generator().manual_seed(0)
corner = 40 * torch.rand(60, 2, generator=generator)
crowd = torch.cat([corner, corner + 12], dim=1)
chances, kinds = torch.rand(60, generator=generator), torch.randint(3, (60,), generator=generator)
together = set(ops.batched_nms(crowd, chances, kinds, 0.5).tolist())
moved = crowd + 1000 * kinds[:, None]
one_by_one = my_nms(moved, chances, 0.5)
if one_by_one is not None and one_by_one is not ...:
    assert set(torch.as_tensor(one_by_one).tolist()) == together
print(f"{len(together)} of {len(crowd)} boxes stay")

# %% [markdown]
# ## References
#
# - Z. Tian, C. Shen, H. Chen, T. He. *FCOS: fully convolutional one-stage object detection*. 2019, [arXiv:1904.01355](https://arxiv.org/abs/1904.01355). Classes and distances, sec. 3.1; centre-ness, sec. 3.3, eq. 3.
# - T.-Y. Lin, P. Goyal, R. Girshick, K. He, P. Dollár. *Focal loss for dense object detection* (RetinaNet). 2017, [arXiv:1708.02002](https://arxiv.org/abs/1708.02002).
# - T.-Y. Lin, P. Dollár, R. Girshick, K. He, B. Hariharan, S. Belongie. *Feature pyramid networks for object detection*. 2016, [arXiv:1612.03144](https://arxiv.org/abs/1612.03144).
# - H. Rezatofighi, N. Tsoi, J. Gwak, A. Sadeghian, I. Reid, S. Savarese. *Generalized intersection over union*. 2019, [arXiv:1902.09630](https://arxiv.org/abs/1902.09630).
# - T.-Y. Lin et al. *Microsoft COCO: common objects in context*. 2014, [arXiv:1405.0312](https://arxiv.org/abs/1405.0312). Its code measures AP.
# - N. Carion, F. Massa, G. Synnaeve, N. Usunier, A. Kirillov, S. Zagoruyko. *End-to-end object detection with transformers* (DETR). 2020, [arXiv:2005.12872](https://arxiv.org/abs/2005.12872).
# - X. Wang, R. Zhang, C. Shen, T. Kong, L. Li. *Dense contrastive learning for self-supervised visual pre-training* (DenseCL). 2020, [arXiv:2011.09157](https://arxiv.org/abs/2011.09157).
# - K. He, R. Girshick, P. Dollár. *Rethinking ImageNet pre-training*. 2018, [arXiv:1811.08883](https://arxiv.org/abs/1811.08883). From scratch catches up with enough labels and steps.
