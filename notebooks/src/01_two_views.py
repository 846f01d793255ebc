# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # 01 Two views of one picture
#
# **What you will be able to do**
#
# - build augmentations as batched tensor operations, with different random numbers for every image;
# - make two views of every image, and know the four ways in which that goes wrong;
# - measure, before any training, which *shortcut* an augmentation leaves open;
# - say what an encoder learned to ignore, and choose augmentations for a task of your own.
#
# **Time**: {minutes} minutes, and {deeper_minutes} more for the section *Going deeper*. **Needs**: PyTorch basics
# (tensors, broadcasting, a network's forward pass). It computes for about a minute on two cores.

# %% tags=["setup"]
# set-up cell: inserted by the build

# %% tags=["parameters"]
profile = "auto"  # "quick", "full", or "auto": full where there is a GPU
dataset = "auto"  # of the meter: "auto" (the embedded cards), "cifar10", "stl10", a folder or .zip
seed = 0  # 0, 1, 2, ...: all random numbers of the lesson
device = "auto"  # "cpu", "cuda", "mps", or "auto"

# %% tags=["folded"]
# Imports
import time
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Generator
from torch.testing import assert_close

from cl_course import augment as ops
from cl_course import checks, shortcut
from cl_course.augment import AugmentConfig, augment, two_views
from cl_course.data import load, to_float
from cl_course.evaluate import embed, factor_probe, knn_accuracy
from cl_course.lessons.shared.pictures import channels_last, operations_figure
from cl_course.lessons.shared.show import show
from cl_course.lessons.shared.tables import mean_and_spread, show_table
from cl_course.lessons.two_views import figures as plots
from cl_course.lessons.two_views.lab_augmentation import (
    NOTHING,
    PRESETS,
    augmentation_lab,
    credit,
    draw_views,
    photos,
)
from cl_course.methods import SimCLR
from cl_course.models import projector, small_resnet
from cl_course.running import records
from cl_course.running.settings import settings
from cl_course.train import TrainConfig, pretrain

lesson = settings(globals())

# %% [markdown]
# ## What a view is
#
# A **view** of a picture is the picture after random changes: cut, mirrored, recoloured. Such changes are called
# **augmentations**. In contrastive learning a network sees two views of each picture. For one view (the *anchor*)
# it must find the other view of the same picture (its *positive*, or *partner*) among views of other pictures (the
# *negatives*). The network is called an **encoder**: it turns a picture into a list of numbers, its **features** `h`.
#
# Here is a photo with eight views of it, under the augmentations that this course uses for small images.

# %% tags=["folded"]
# A photo, and eight views of it
flower = photos()["flower"]
show(
    draw_views(flower, AugmentConfig(), lesson.seed, "a photo, and eight views of it"),
    alt="A photo of an orange dahlia, and eight views of it: cropped, some mirrored, most in other "
    "colours or "
    "in grey, some darker or brighter.",
    photo=True,
)
print(credit())

# %% [markdown]
# Take two of these views as partners. They share petals and a round outline. Position, colour and brightness mostly
# differ. To find the partner, the network may use all that two views share; what an augmentation changes at random
# is of little use. So with the augmentations you tell the network what does **not** matter.
#
# **Predict first.** A player looks at nothing but the **colour histogram**: how many pixels are how red, how green,
# how blue. It gets one view and must find the partner among views of 256 pictures. How often does it succeed? Write
# a number from 0 to 1 for each of six cases; later they are drawn beside the truth. In the first case nothing is
# changed. Each further case adds a change: crops; flips; brightness, contrast and saturation; hue; some views grey.

# %%
my_guess = [None, None, None, None, None, None]  # such as [1.0, 0.6, ...]

# %% tags=["folded"]
# The pictures of the lab, and the 256 images of the meter (the lab takes the first 64)
dataset_name = "shapes" if dataset == "auto" else lesson.dataset
cards = load("shapes", "val", limit=256)
card = to_float(cards.images[4])
images = to_float(load(dataset_name, "val", limit=256).images)
chosen = {
    f"card: {cards.class_names[cards.labels[i]]}": to_float(cards.images[i]) for i in (4, 8, 18)
}
shelf = photos(side=224) | chosen
if dataset_name != "shapes":
    shelf |= {f"of your data, {i}": images[i] for i in range(3)}

# %% [markdown]
# ## Lab: eight views
#
# Besides two photos there are *cards*, the course's small drawn pictures (32 by 32 pixels): one object on a
# background. Move the sliders; the views follow. Flip, jitter, grey, blur and solarize are probabilities: *in 30%*
# means in 30 % of the views. The others are strengths. *New draws* takes new random numbers. Press a view to go on
# with its parameters by hand: then you see the eight steps that make it, and can drag the crop box. Find out with the
# *random draws*, each time starting from *set to: nothing*:
#
# 1. Which single slider changes the eight views of the flower most? And those of a card? The text below the sliders
#    says how far a value moves. (Brightness, contrast, saturation and hue need jitter at 100 %.)
# 2. At which smallest crop do you yourself no longer see that all eight views show the same thing?
#
# The bars are the **shortcut meter**: which share of 64 partners is found by colour alone, or by raw pixels.

# %%
augmentation_lab(shelf, images, seed=lesson.seed)

# %% [markdown]
# <details><summary>Answers</summary>
#
# 1. The table below counts it, one slider alone at its far end: how far a pixel value moves in the mean. By this
#    count the flower's views change most by the smallest crop and the hue, which lie close together; those of the
#    heart card by solarize, then by the hue. The eye may judge otherwise: a flip moves many pixels, and one hardly
#    sees it.
# 2. There is no single number: a crop must still hold an edge of the object. At 0.03 of the area the sides are
#    about a sixth of the picture's, five or six pixels of a card, and many such crops show background alone.
#
# </details>

# %% tags=["folded"]
# One slider alone at its far end: how far a pixel value moves
still = {"brightness": 0, "contrast": 0, "saturation": 0, "hue": 0}
alone = {"smallest crop": replace(NOTHING, crop=(0.03, 1))}
alone |= {name: replace(NOTHING, **{name: 1}) for name in ("flip", "grey", "blur", "solarize")}
for name in still:
    alone[name] = replace(NOTHING, jitter=1, **still | {name: 0.5 if name == "hue" else 1})


def moved(picture, config):
    """Mean change of a value in eight views, for each of five seeds."""
    eight = picture.expand(8, -1, -1, -1)
    generators = [Generator().manual_seed(number) for number in range(5)]
    return [float((augment(eight, config, g) - eight).abs().mean()) for g in generators]


show_table(
    [
        [name, *(mean_and_spread(moved(x, config), 2) for x in (flower, card))]
        for name, config in alone.items()
    ],
    ["slider, alone", "flower", "card: heart"],
    "Mean change of a pixel value (0 to 1) in eight views, five seeds",
)

# %% [markdown]
# ## Building the operations
#
# A batch of images is a tensor of shape `(n, 3, h, w)`: n images; red, green and blue; height; width; values from 0 to
# 1. Each operation takes the batch and **one parameter for every image**, a tensor of shape `(n,)`, and changes all
# images without a loop. In the figure each row is one operation on the same photo, under four parameters.


# %% tags=["folded"]
# Nine operations, each under four parameters
def sweep(operation, *values):
    batch = flower.expand(len(values), 3, 96, 96)
    return channels_last(operation(batch, torch.tensor(values)))


boxes = [0, 0, 96, 96], [10, 10, 76, 76], [0, 48, 48, 48], [30, 34, 24, 24]
coins = (False, True, False, True)
factors, turns, sigmas = (0.3, 0.7, 1.0, 1.6), (-0.3, 0.0, 0.1, 0.5), (0.0, 0.5, 1.0, 2.0)
above = (2.0, 0.8, 0.5, 0.2)
rows = [
    ("crop", sweep(ops.resized_crop, *boxes), ["whole", "63 %", "25 %", "6 % of the area"]),
    ("flip", sweep(ops.horizontal_flip, *coins), coins),
    ("brightness", sweep(ops.adjust_brightness, *factors), factors),
    ("contrast", sweep(ops.adjust_contrast, *factors), factors),
    ("saturation", sweep(ops.adjust_saturation, *factors), factors),
    ("hue", sweep(ops.adjust_hue, *turns), [f"{t:+.1f} turns" for t in turns]),
    ("grey", sweep(ops.greyscale, *coins), coins),
    ("blur", sweep(ops.gaussian_blur, *sigmas), [f"{s:g} px" for s in sigmas]),
    ("solarize", sweep(ops.solarize, *above), ["never", *(f"above {t:g}" for t in above[1:])]),
]
show(
    operations_figure(rows, width=6.0),
    alt="Nine rows of the same flower: crops from the whole to 6 percent of the area, mirrored, "
    "from dark to "
    "bright, from flat to strong contrast, from pale to vivid, in purple, orange, yellow and blue, "
    "in grey, "
    "from sharp to blurred, and with bright values inverted.",
    photo=True,
)

# %% [markdown]
# ### Exercise 1: flip, with one coin for each image (6 min, easy)
#
# Return the images, each mirrored left to right with the given `probability` (from 0 to 1), by its **own** coin.
# Draw the coins from `generator` (an object that gives random numbers from a seed, so that a run can be repeated).
# Do not change the caller's tensor. The width is the last dimension. A mask of shape `(n, 1, 1, 1)` is stretched
# over an image by broadcasting.


# %% tags=["exercise"]
def my_random_flip(images, probability, generator):
    """Mirror each image with this probability. images: (n, 3, h, w). Returns a new tensor."""
    ### BEGIN SOLUTION
    coins = torch.rand(len(images), generator=generator) < probability
    return torch.where(coins[:, None, None, None], images.flip(-1), images)
    ### END SOLUTION


# %%
checks.random_flip(my_random_flip)

# %% [markdown] tags=["hints"]
# <details><summary>Hint 1</summary>
#
# Two pictures are needed for every row, the image and its mirror image, and a choice between them.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# `torch.rand(n, generator=generator) < probability` is True with that probability, n times independently.
#
# </details>
#
# <details><summary>Hint 3</summary>
#
# `torch.where(mask, images.flip(-1), images)` with a mask of shape `(n, 1, 1, 1)`: index the coins with
# `[:, None, None, None]`.
#
# </details>

# %% [markdown]
# ### Colour jitter: three of its parts are one idea
#
# Brightness, contrast and saturation move a picture along a line through a *neutral* picture. A factor of 0 gives the
# neutral picture, 1 leaves the image as it is, and more than 1 goes beyond it.
#
# | operation | neutral picture |
# |---|---|
# | brightness | black |
# | contrast | the image's mean grey, everywhere |
# | saturation | each pixel's own grey |
#
# The grey of a pixel is a weighted mean of red, green and blue, in which green counts most, as it does for the eye.


# %%
def my_grey(images):
    weights = torch.tensor([0.2989, 0.587, 0.114])  # of red, green, blue
    return (images * weights[:, None, None]).sum(dim=1, keepdim=True)  # (n, 1, h, w)


# %% [markdown]
# ### Exercise 2: the one idea, as one line (5 min, easy)
#
# Given `images` `(n, 3, h, w)`, the `neutral` picture of each, `(n, 1, 1, 1)` or `(n, 1, h, w)`, and one `factor` for
# each image, `(n,)`: return the blend. Cut values off at 0 and 1, and leave the input as it is.


# %% tags=["exercise"]
def my_blend(images, neutral, factor):
    """Images moved along the line through `neutral`: 0 is neutral, 1 the image. (n, 3, h, w)"""
    ### BEGIN SOLUTION
    factor = factor[:, None, None, None]
    return (neutral + factor * (images - neutral)).clamp(0, 1)
    ### END SOLUTION


# %%
checks.blend(my_blend)

# %% [markdown] tags=["hints"]
# <details><summary>Hint 1</summary>
#
# Start at the neutral picture. `images - neutral` is the way from there to the image.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# Go `factor` times that way. The factor needs the shape `(n, 1, 1, 1)`, so that each image has its own.
#
# </details>
#
# <details><summary>Hint 3</summary>
#
# `neutral + factor * (images - neutral)`, and `.clamp(0, 1)` around all of it.
#
# </details>

# %% [markdown]
# The next cell compares your one line with three operations of the package. **Grey** takes the grey itself, by a
# coin for each image; **solarize** inverts every value at or above a threshold: each is one `torch.where`.

# %%
grey = my_grey(images)
neutral = {
    "brightness": torch.zeros_like(grey),
    "contrast": grey.mean(dim=(2, 3), keepdim=True),
    "saturation": grey,
}
factor = 2 * torch.rand(len(images))
for name, picture in neutral.items():
    blended, right = (
        my_blend(images, picture, factor),
        getattr(ops, f"adjust_{name}")(images, factor),
    )
    equal = "not attempted" if blended is None else torch.allclose(blended, right, atol=1e-5)
    print(f"{name}: my_blend gives what the package gives: {equal}")

coins = (torch.rand(len(images)) < 0.3)[:, None, None, None]
assert_close(torch.where(coins, grey, images), ops.greyscale(images, coins.flatten()))
threshold = torch.rand(len(images))
bright = images >= threshold[:, None, None, None]
assert_close(torch.where(bright, 1 - images, images), ops.solarize(images, threshold))

# %% [markdown]
# Hue, crop and blur are built in *Going deeper*, just below. From here on we use the package: `AugmentConfig` holds
# all probabilities and strengths; `augment` draws parameters for every image and applies the operations in the
# order of the figure. Why in batches? For one small image, starting an operation takes longer than the operation
# itself:

# %% tags=["folded"]
# Views a second, one image at a time and all together
config = AugmentConfig()
print(config)
batch = images.repeat(2, 1, 1, 1)
ways = {
    "one image at a time": lambda: [augment(x[None], config) for x in batch],
    "all together": lambda: augment(batch, config),
}
for way, run in ways.items():
    times = []
    for _ in range(3):  # the fastest of three, so that a cold start does not count
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    print(f"{way:20} {len(batch) / min(times):8,.0f} views a second")

# %% [markdown]
# ## Going deeper: hue, crop and blur by hand
#
# **Hue** is the fourth part of the jitter: which colour, as an angle on a circle from red over green and blue back to
# red. In the HSV description of a colour, the *value* is the largest channel and the *chroma* is the largest minus the
# smallest. Turning the hue keeps both. Which channel is the largest tells the third of the circle, the other two say
# where in it; then the formula is run backwards for each channel.


# %%
def my_hue(images, shift):
    red, green, blue = images.unbind(dim=1)  # (n, h, w) each
    value = images.amax(dim=1)
    chroma = value - images.amin(dim=1)
    green_largest = torch.where(value == green, blue - red + 2 * chroma, red - green + 4 * chroma)
    in_sixths = torch.where(value == red, green - blue, green_largest)
    hue = in_sixths / (6 * chroma).clamp(min=1e-7) + shift[:, None, None]  # in turns

    def channel(offset):  # how far from its own colour: 0 keeps the value, 1 takes the chroma away
        k = 6 * ((hue + offset) % 1)
        return value - chroma * torch.minimum(k, 4 - k).clamp(0, 1)

    return torch.stack([channel(5 / 6), channel(3 / 6), channel(1 / 6)], dim=1)


shift = torch.rand(len(images)) - 0.5
assert_close(my_hue(images, shift), ops.adjust_hue(images, shift), atol=1e-5, rtol=0)

# %% [markdown]
# **Crop: look up the pixels.** A crop is cut out and enlarged to the old size, so that all views fit into one tensor.
# For every pixel of the *view*: where in the image does it look? The view's columns look at w evenly spread places of
# the box, the rows at h. Between pixel centres `grid_sample` mixes the four neighbours (bilinear interpolation).


# %%
def my_places(start, length, size):
    """Where `size` even steps through [start, start + length) look, in pixels. (n, size)"""
    steps = (torch.arange(size) + 0.5) / size
    inside = (steps * length[:, None] - 0.5).clamp(min=0).minimum(length[:, None] - 1)
    return start[:, None] + inside  # never outside the box


def my_crop(images, box):
    h, w = images.shape[-2:]
    top, left, height, width = box.T.float()  # (n,) each
    y, x = my_places(top, height, h)[:, :, None], my_places(left, width, w)[:, None, :]
    x, y = (2 * x + 1) / w - 1, (2 * y + 1) / h - 1  # in [-1, 1], as grid_sample counts
    grid = torch.stack(torch.broadcast_tensors(x, y), dim=-1)
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)


box = ops.draw_parameters(len(images), images.shape[-2:], AugmentConfig(crop=(0.1, 1)))["box"]
assert_close(my_crop(images, box), ops.resized_crop(images, box), atol=1e-5, rtol=0)

# %% [markdown]
# **Blur: a weighted mean of neighbours.** In a Gaussian blur the weights fall with the distance, more slowly for a
# larger `sigma`. Along rows first and then along columns is the same as both at once, and cheaper. With a sigma for
# each image the weights have the shape `(n, taps)`; a *tap* is one neighbour. At the border the picture is reflected.


# %%
def my_blur(images, sigma, radius):
    h, w = images.shape[-2:]
    taps = torch.arange(-radius, radius + 1)
    weights = torch.exp(-(taps**2) / (2 * sigma[:, None] ** 2))
    weights = (weights / weights.sum(dim=1, keepdim=True))[:, :, None, None, None]
    padded = F.pad(images, (radius,) * 4, mode="reflect")
    rows = sum(weights[:, t] * padded[:, :, t : t + h] for t in range(len(taps)))
    return sum(weights[:, t] * rows[:, :, :, t : t + w] for t in range(len(taps)))


sigma = 0.1 + 1.9 * torch.rand(len(images))
radius = max(1, images.shape[-2] // 20)  # SimCLR's kernel spans a tenth of the picture
assert_close(my_blur(images, sigma, radius), ops.gaussian_blur(images, sigma), atol=1e-5, rtol=0)

# %% [markdown]
# ## Two views of every image
#
# ### Exercise 3: two views (8 min, medium)
#
# You are given images and a ready-made `disguise(images, amount)`, which changes each image according to **one number
# from 0 to 1 for each image**, shape `(n,)`. Return two views of every image. Every number from 0 to 1 is equally
# likely. Draw from `generator`, anew for each image *and* for each view. Row i of both views must come from image
# i: later the loss knows only that "my partner has my row number".
#
# Four things often go wrong, and the check looks for them: one random number for the whole batch; the same view twice;
# the input changed in place; rows in another order.


# %%
def disguise(images, amount):
    """Turn the hue of each image by its amount (1 is once round the circle), and crop it there."""
    amount = amount.expand(len(images))
    side = torch.full_like(amount, 0.75 * images.shape[-1]).round()
    left = (amount * (images.shape[-1] - side)).floor()
    box = torch.stack([left, left, side, side], dim=1).long()
    return ops.adjust_hue(ops.resized_crop(images, box), amount - 0.5)


# %% tags=["exercise"]
def my_two_views(images, disguise, generator):
    """Two independently disguised views of every image: (view1, view2), each (n, 3, h, w)."""
    ### BEGIN SOLUTION
    n = len(images)
    view1 = disguise(images, torch.rand(n, generator=generator))
    view2 = disguise(images, torch.rand(n, generator=generator))
    return view1, view2
    ### END SOLUTION


# %%
checks.two_views(my_two_views)

# %% [markdown] tags=["hints"]
# <details><summary>Hint 1</summary>
#
# Call `disguise` twice on the same `images`. What must differ between the two calls?
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# `torch.rand(len(images), generator=generator)` draws one number for each image, and each further call draws new ones.
#
# </details>
#
# <details><summary>Hint 3</summary>
#
# `view1 = disguise(images, torch.rand(n, generator=generator))`, the same line again for `view2`, then return both.
#
# </details>

# %% tags=["folded"]
# Your two views of eight images
pair = my_two_views(images[:8], disguise, Generator().manual_seed(lesson.seed + 5))
made_by = "your two views"
if pair is None:  # not attempted yet: the course's own
    pair = two_views(images[:8], config, Generator().manual_seed(lesson.seed + 5))
    made_by = "the course's two views, until yours are there"
show(
    plots.pairs_figure(*map(channels_last, pair), made_by),
    alt="Eight pairs of views, one above the other: the same object in each column, in other "
    "colours and crops.",
)

# %% [markdown]
# ## The shortcut meter
#
# Look at two crops of one card, another card, and their colour histograms: for each channel, the share of pixels in
# each of eight bins from dark to bright.

# %% tags=["folded"]
# Two crops of one card, another card, and their histograms
view1, view2 = two_views(images, PRESETS["crop and flip"], Generator().manual_seed(lesson.seed))
three = torch.stack([view1[0], view2[0], view1[1]])
show(
    plots.histograms_figure(
        channels_last(three),
        shortcut.colour_histogram(three).square().numpy(),
        ["view1", "view2", "another picture"],
    ),
    alt="Two crops of the same card with nearly the same histograms of red, green and blue, and "
    "another card "
    "with clearly different ones.",
)

# %% [markdown]
# The crops moved the object; the histograms hardly changed. A network that must find partners among such views can do
# so by colour alone and never look at a shape. A cheap feature that solves the task is called a **shortcut**. How well
# it works can be measured before any training: describe every view by the feature, take the nearest description in the
# other view, count how often it is the partner's. That is the **shortcut meter**. With n pictures, chance is 1 / n.


# %%
def my_histogram(images, bins=8):
    bin_of = (images * bins).long().clamp(max=bins - 1)  # a value of exactly 1: the last bin
    shares = F.one_hot(bin_of, bins).float().mean(dim=(2, 3))  # (n, 3, bins)
    return shares.flatten(1).sqrt()  # the root keeps the largest bins from deciding alone


assert_close(my_histogram(view1), shortcut.colour_histogram(view1))

# %% [markdown]
# ### Exercise 4: the shortcut meter (6 min, medium)
#
# You get one description of each view, `feature1` and `feature2`, both `(n, d)`; row i of both belongs to image i. For
# each row of `feature1`, find the nearest row of `feature2` by Euclidean distance. Return the share of images, from 0
# to 1, whose nearest row is their own partner's.


# %% tags=["exercise"]
def my_shortcut_rate(feature1, feature2):
    """The share of images whose nearest row in the other view is their own."""
    ### BEGIN SOLUTION
    nearest = torch.cdist(feature1, feature2).argmin(dim=1)
    return (nearest == torch.arange(len(feature1))).float().mean()
    ### END SOLUTION


# %%
checks.shortcut_rate(my_shortcut_rate)

# %% [markdown] tags=["hints"]
# <details><summary>Hint 1</summary>
#
# First all distances, an (n, n) table: row i is image i in view 1, column j is image j in view 2.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# `torch.cdist(feature1, feature2)` is that table, and `.argmin(dim=1)` is the nearest column of each row. Which column
# is the partner's?
#
# </details>
#
# <details><summary>Hint 3</summary>
#
# Compare the nearest columns with `torch.arange(n)`; the mean of the hits, `.float().mean()`, is the share.
#
# </details>

# %%
rate = shortcut.shortcut_rate(view1, view2, my_histogram)  # the package's; yours gives the same
mine = my_shortcut_rate(my_histogram(view1), my_histogram(view2))
yours = "not attempted" if mine is None else f"{float(mine):.0%}"
print(f"crops and flips alone: the histogram finds {rate:.0%} of the partners (yours: {yours})")
print(f"chance is {1 / len(images):.1%}")

# %% [markdown]
# A set of augmentations, with their probabilities and strengths, is called a *recipe*. Now recipe by recipe, with
# three features and three seeds each. (Mean colour: three numbers for a picture. Raw pixels:
# every value in its place.) The error bars reach from the lowest to the highest of the three seeds.

# %% tags=["folded"]
# The shortcut meter, recipe by recipe
crop_flip = PRESETS["crop and flip"]
recipes = {
    "nothing": PRESETS["nothing"],
    "crop": replace(crop_flip, flip=0),
    "+ flip": crop_flip,
    "+ brightness,\ncontrast,\nsaturation": AugmentConfig(hue=0, grey=0),
    "+ hue": AugmentConfig(grey=0),
    "+ grey": AugmentConfig(),
}
rates = {name: np.zeros((len(recipes), 3)) for name in shortcut.FEATURES}
for r, recipe in enumerate(recipes.values()):
    for s in range(3):
        views = two_views(images, recipe, Generator().manual_seed(lesson.seed + s))
        for name, feature in shortcut.FEATURES.items():
            rates[name][r, s] = shortcut.shortcut_rate(*views, feature)
show(
    plots.meter_figure(list(recipes), rates, len(images), my_guess),
    alt="Share of partners found among 256 by mean colour, colour histogram and raw pixels, recipe "
    "by recipe; "
    "the numbers are in the table below.",
)
show_table(
    [
        [recipe.replace("\n", " "), *(mean_and_spread(f[r], 2) for f in rates.values())]
        for r, recipe in enumerate(recipes)
    ],
    ["recipe", *rates],
    "Share of partners found, mean ± standard deviation of three seeds",
)

# %% [markdown]
# On the cards, crops hardly lower the histogram's rate: figure 6 of the SimCLR paper shows the same for
# crops of two photos. In its figure 5 no single operation gives a good encoder, and of all pairs, crops with colour changes are
# best. Raw pixels lose more by a crop, since a shift moves every pixel. The mean colour does too, probably because
# a crop changes how much of the view is object and how much is background. Brightness, contrast and saturation
# close most of the colour shortcut, hue and grey most of the rest.
#
# The meter is one-sided. A *high* rate proves that a shortcut is open. A *low* rate shows only that *these* three
# features fail; a network may find another shortcut that nobody measured.
#
# ## Debug this: the views that were too easy
#
# A colleague wants runs to be repeatable and writes the function below. In training the loss drops at once to nearly
# its lowest possible value, and the encoder ends no better than an untrained one. Find the line before you open the answer.


# %%
# NBVAL_CHECK_OUTPUT
def repeatable_views(images, config, seed):
    view1 = augment(images, config, Generator().manual_seed(seed))
    view2 = augment(images, config, Generator().manual_seed(seed))
    return view1, view2


suspicious = repeatable_views(images, AugmentConfig(), seed=lesson.seed)
for name, feature in shortcut.FEATURES.items():
    found = shortcut.shortcut_rate(*suspicious, feature)
    print(f"{name:17} finds {100 * found:5.1f} % of the partners")

# %% [markdown]
# <details><summary>Answer</summary>
#
# Both generators start from the same seed, so both views get the same random numbers: they are the same view twice,
# and every feature finds every partner. The repair is *one* generator that goes on:
# `generator = Generator().manual_seed(seed)` once, then `two_views(images, config, generator)`; that can be repeated
# too. It is tempting to call the augmentations too weak, but they are the course's recipe, on which the meter was near
# zero above.
#
# Two related mistakes have been found in released code: random numbers seeded alike in every epoch, so that each
# sample has the same two views for the whole training (facebookresearch/DepthContrast, issue 14); and one loader
# for each view, each shuffled by itself, so that row i shows two different pictures (sayakpaul/SimSiam-TF, issue 1).
#
# </details>

# %% [markdown]
# ## Too weak, right, too strong
#
# What does an encoder learn if augmentations are too weak, right or too strong for telling the *class* of a card? For
# each recipe, three trainings with the same network, images and number of steps were recorded. The right recipe is the
# default, `AugmentConfig()`; below it is also called the usual one. This is what their views look like.

# %% tags=["folded"]
# Views of one card under the three recorded recipes
record = records.read("augmentation_strength")
strengths = {name: AugmentConfig(**fields) for name, fields in record["config"]["augment"].items()}
sheet, rows = [], []
for name, strength in strengths.items():
    views = augment(card.expand(7, -1, -1, -1), strength, Generator().manual_seed(lesson.seed))
    sheet.append((name, channels_last(torch.cat([card[None], views])), ["the card", *[""] * 7]))
    jitter = [
        f"{getattr(strength, f):g}" if strength.jitter else None for f in ("brightness", "hue")
    ]
    others = [f"{getattr(strength, f):g}" for f in ("jitter", "grey", "blur", "solarize")]
    rows.append([name, f"{strength.crop[0]:g} to {strength.crop[1]:g}", *others, *jitter])
show(
    operations_figure(sheet),
    alt="Three rows of seven views of one card. Weak: the same colours throughout. Right: other "
    "colours, the "
    "shape mostly visible. Strong: tiny enlarged patches in which the shape can hardly be told.",
)
show_table(
    rows,
    ["recipe", "crop, of the area", "jitter", "grey", "blur", "solarize", "brightness", "hue"],
    "jitter to solarize: how often; brightness and hue: how strong, where jittered",
)

# %% [markdown]
# How can one see what an encoder learned to ignore? The cards were drawn by a program, so everything about them is
# known. The words for what follows:
#
# - **Factors**: class, hue of the object and of the background, position, size (scale), angle.
# - **Factor probe**: can a factor be computed from the features `h` by a linear formula? **R²** says how well: 1 is
#   exactly, 0 is no better than always saying the mean, and below 0 is worse. For the class, which is no number,
#   the accuracy of a linear classifier (the **linear probe**) stands for R²; guessing gives 0.10.
# - **kNN**: the 20 training cards with the most similar `h` vote for the class.
# - **Invariance**: the factor does not change `h`. A factor that can no longer be read *linearly* may have become an
#   invariance, or may be in `h` in a way that no linear formula reads.
# - **Untrained**: networks with random weights. Even random filters keep a good deal of the picture, so "it can be
#   read" does not mean "it was learned". Look for what can be read *before* training and not *after* it.
#
# **Predict.** For each of the three encoders: will the *class* be read well? And the *object's hue*? Which encoder
# knows the class better than an untrained one?

# %% tags=["folded"]
# What can be read from the three recorded encoders, and from untrained ones
train, test = load("shapes", "train"), load("shapes", "test")
FACTORS = ("object_hue", "background_hue", "position", "scale", "angle")
known = [{name: split.factors[name] for name in FACTORS} for split in (train, test)]


def factor_scores(encoder):
    return factor_probe(embed(encoder, train), known[0], embed(encoder, test), known[1])


untrained = []
for row in (r for r in records.read("results")["runs"] if r["row"] == "random encoder"):
    torch.manual_seed(row["seed"])
    probes = {"class": row["linear"]} | factor_scores(small_resnet())
    measured = {name: row[name] for name in ("seed", "knn", "linear")}
    untrained.append({"setting": "untrained", **measured, "probes": probes})
runs = untrained + record["runs"]
show(
    plots.invariance_figure(runs),
    alt="Bars with three dots each: kNN and linear probe of the class, and R² of each factor, for "
    "untrained, "
    "weak, right and strong encoders; the numbers are in the table below.",
)
measures = {"kNN": lambda r: r["knn"]}
measures |= {
    name.replace("_", " "): lambda r, name=name: r["probes"][name] for name in plots.FACTORS
}


def measured_rows(names, runs):
    return [
        [
            name,
            *(
                mean_and_spread([m(r) for r in runs if r["setting"] == name], 2)
                for m in measures.values()
            ),
        ]
        for name in names
    ]


show_table(
    measured_rows(("untrained", *strengths), runs),
    ["encoder", *measures],
    "Accuracy (kNN, class) and R² (others) on test, mean ± standard deviation of three seeds",
)

# %% [markdown]
# <details><summary>Answer</summary>
#
# - **Weak.** Colours solve the task, and the encoder keeps the hues. It gives up what it did not need: the position,
#   which the untrained network held in part, cannot be read any more, and kNN finds the class only half as often as
#   without any training. So the shortcut did more than fail to teach shapes: it cost some of what was there before.
# - **Right.** The hues, which two views do not share, can no longer be read. The class can, although the encoder never
#   saw a label. Only this encoder knows the class better than an untrained one.
# - **Strong.** The hues can still be read, although they were turned as far as in the right recipe. Little was
#   learned: by the linear probes this encoder is close to an untrained one, and its kNN is worse. Probably the
#   partners, tiny crops, had too little in common to be found.
#
# The angle cannot be read before training either. So a value near 0 does not show that the weak or the strong encoder
# lost it.
#
# </details>
#
# So views should share *enough* for the task, *but no more*. Tian et al. (2020) call this the InfoMin principle. On
# photographs, too, they find accuracy best at such a *sweet spot*, between sharing too much and sharing too little.
#
# Two cautions. `h` need not ignore all that the views change: position and size, which crops change, are read well
# from the right recipe's `h` (lesson 03 gives the usual explanation). And three recipes are three points; others
# were not recorded.
#
# ## When the usual recipe is wrong
#
# Suppose the task is to sort the cards **by the colour of the object**: ripe from unripe, red pills from blue. What is
# the encoder of the *right* recipe worth then? See its object hue in the table. Augmentations are a statement about
# the task, and this statement was "colour does not matter".
#
# ### Exercise 5: choose augmentations (8 min, medium)
#
# Return an `AugmentConfig` for this task. Its fields, and what you get if you leave one out:
#
# | field | what it is | default |
# |---|---|---|
# | `crop` | smallest and largest share of the area that is kept | `(0.35, 1.0)` |
# | `flip`, `jitter`, `grey`, `blur`, `solarize` | *probabilities*: how often | 0.5, 0.8, 0.3, 0, 0 |
# | `brightness`, `contrast`, `saturation` | *strengths* s of the jitter: a factor from 1 - s to 1 + s | 0.5 each |
# | `hue` | *strength*, of the jitter too: a turn of at most this share of the circle | 0.5 |
#
# The check measures two things on the cards. Each operation alone must leave the object's colour (red, yellow, green,
# cyan, blue or magenta) right in at least 95 % of the views. And neither raw pixels nor a histogram of light and dark,
# shortcuts *other than the colour*, may find more than 25 % of the partners.


# %% tags=["exercise"]
def my_choice():
    """Augmentations that keep the object's colour, and leave no other shortcut open."""
    ### BEGIN SOLUTION
    return AugmentConfig(hue=0, grey=0)
    ### END SOLUTION


# %%
checks.choose_augmentation(my_choice)

# %% [markdown] tags=["hints"]
# <details><summary>Hint 1</summary>
#
# Return the usual recipe, `AugmentConfig()`, and run the check; then return `PRESETS["crop and flip"]`. One
# destroys the label, the other leaves a shortcut open. What lies between?
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# Which operations change the *name* of a colour, and which only how light or strong it is? Keep the second kind.
#
# </details>
#
# <details><summary>Hint 3</summary>
#
# Start from `AugmentConfig()` and switch off two fields: the one that turns colours into others, and the one that
# takes all colour away.
#
# </details>

# %% [markdown]
# Does the choice help a real encoder? We train three with your choice (or the course's, until yours is there) and
# three with the usual recipe, two passes over the cards each, without labels. The method is SimCLR, which lesson 03
# builds.

# %% tags=["folded"]
# Three encoders with your choice and three with the usual recipe, two passes over the cards
choice = my_choice() or AugmentConfig(hue=0.0, grey=0.0)
short = []
for name, recipe in {"your choice": choice, "usual recipe": AugmentConfig()}.items():
    for number in range(lesson.seed, lesson.seed + 3):
        torch.manual_seed(number)
        encoder = small_resnet()
        method = SimCLR(encoder, projector(encoder.dim)).to(lesson.device)
        pretrain(method, train, TrainConfig(epochs=2, augment=recipe, seed=number))
        train_h, test_h = embed(encoder, train), embed(encoder, test)
        knn = knn_accuracy(train_h, train.labels, test_h, test.labels)
        probes = factor_probe(train_h, known[0], test_h, known[1])
        short.append({"setting": name, "knn": knn, "probes": probes})

# %% tags=["folded"]
# What can be read from them
del measures["class"]  # kNN stands for it here
show_table(
    [
        *measured_rows(["untrained"], runs),
        *(
            [f"{row[0]}, 2 passes", *row[1:]]
            for row in measured_rows(["your choice", "usual recipe"], short)
        ),
        *(
            [f"usual recipe, {record['config']['epochs']} passes", *row[1:]]
            for row in measured_rows(["right"], runs)
        ),
    ],
    ["encoder", *measures],
    "kNN: accuracy of the class; others: R²; on test, mean ± standard deviation of three seeds",
)

# %% [markdown]
# Compare the column of the object's hue. After its full training the usual recipe is *worse than no training* for
# sorting by colour: it was trained to forget the label. With the course's choice the hue can be read, and after two
# passes the kNN of the class is lower than without training. There is no best augmentation, only one that fits what
# you want to know later. If you do not know that yet: Xiao et al. (2021) keep several embedding spaces, one that
# ignores every change, and one for each augmentation that keeps what this augmentation changes.
#
# ## Debug this: half of the picture is black
#
# Another colleague brings images to mean 0 and standard deviation 1 (*normalises* them, as is usual for networks), and
# then jitters the brightness. Training runs without an error and ends worse. What happens to the pixels?

# %%
normalised = (images - images.mean()) / images.std()
jittered = ops.adjust_brightness(normalised, torch.full((len(images),), 1.1))

# %% tags=["folded"]
# The pixel values before and after
values = {"pixels": images, "after normalising": normalised, "then brightness x 1.1": jittered}
show(
    plots.values_figure({name: pixels.numpy() for name, pixels in values.items()}),
    alt="Three histograms of pixel values. The pixels lie between 0 and 1; after normalising they "
    "lie from about "
    "minus 2 to 2; after the brightness change all negative values sit in one tall bar at 0 and "
    "many others at 1.",
)
for name, pixels in values.items():
    ends = ((pixels == 0) | (pixels == 1)).float().mean()
    print(f"{name}: {(pixels < 0).float().mean():.0%} below 0, {ends:.0%} exactly 0 or 1")
try:
    augment(normalised, AugmentConfig())
except ValueError as error:
    print("augment refuses:", error)

# %% [markdown]
# <details><summary>Answer</summary>
#
# Colour operations work on values from 0 to 1 and cut off what leaves that range. After normalising about half of the
# values are negative, and all of those become 0. **Augment first, normalise last.** It is tempting to blame the
# strength of the jitter, but a factor of exactly 1 would do nearly the same damage. torchvision's colour functions cut
# floats off at 0 and 1 in the same way. The mistake has been found in well-known code (mlfoundations/open_flamingo,
# pull request 156, removes a jitter that came after the normalisation). `augment` refuses values outside [0, 1].
#
# </details>
#
# ## Quiz
#
# **1.** One random number is drawn for each batch and used for all its images: in one batch all are mirrored, in the
# next none. Over a long training each image is mirrored half the time. Is that not the same?
#
# <details><summary>Answer</summary>
#
# No. If all hues of a batch are turned by the same angle, pictures of different colours still differ in colour, and
# the shortcut stays open. And if the number differs between view1 and view2, *every* partner differs in the same
# way, which a network may learn to undo. What counts is
# the comparison *within* the batch. "It averages out" is tempting: a supervised loss compares no images.
#
# </details>
#
# **2.** On a new data set the meter reads 0.01 for all three features with n = 256. Is there no shortcut?
#
# <details><summary>Answer</summary>
#
# It says only that these three features fail. Others may work: a camera's noise pattern, a caption in the corner, the
# texture of the background. It is tempting because chance is 0.004, and 0.01 is close to it.
#
# </details>
#
# **3.** A radiologist wants to tell left from right lungs. Which operation of the recipe has to go?
#
# <details><summary>Answer</summary>
#
# The flip: it makes a left lung look like a right one. Small crops are dangerous as well, for they may hide which side
# one sees. The tempting answer "colour jitter, because X-rays are grey" is wrong: on grey images hue and saturation do
# nothing, and brightness and contrast are useful.
#
# </details>
#
# **4.** Would it help to train with the *strong* recipe for ten times as long?
#
# <details><summary>Answer</summary>
#
# The measurement above cannot say, since the number of steps was the same for all; a longer training might learn
# something. It cannot bring back what two views do not share: if both tiny crops show background, no training finds
# the object in them. Compare first what partners have in common.
#
# </details>

# %% [markdown]
# ## Recap: the running results table
#
# Rows so far: kNN accuracy on test, no label used in learning. The trained rows have the same encoder, images and
# number of passes. Lesson 03 trains SimCLR with the right recipe before your eyes; its table shows other runs of
# the same settings, so the number there differs a little.

# %% tags=["folded"]
# The running results table
pixels = [r["knn"] for r in records.read("results")["runs"] if r["row"] == "pixels"]
found = {"raw pixels": pixels, "random encoder": [r["knn"] for r in untrained]}
for name in strengths:
    found[f"SimCLR, {name} augmentation"] = [
        r["knn"] for r in record["runs"] if r["setting"] == name
    ]
show_table(
    [
        ["guessing", f"{1 / len(cards.class_names):.3f}", None],
        *([name, mean_and_spread(values), len(values)] for name, values in found.items()),
    ],
    ["description", "kNN accuracy", "runs"],
    "The cards: kNN accuracy on test, mean ± standard deviation over seeds",
)

# %% [markdown]
# Why do raw pixels beat the random encoder? Probably because they keep every value in its place, so that cards of
# similar outline are near each other, while an encoder averages over all places at its end.
#
# **In one sentence:** augmentations say what does not matter; too little leaves a shortcut, too much leaves nothing to
# learn from, and what is right depends on what you want to know later.
#
# Next: **02 InfoNCE and temperature**, where "which of these is my partner?" becomes a loss.
#
# ## References
#
# - T. Chen et al., *A simple framework for contrastive learning of visual representations* (SimCLR), 2020,
#   arXiv:2002.05709: section 3.1 with figures 5 and 6, on pairs of operations and on colour histograms; appendix A
#   for the operations.
# - J.-B. Grill et al., *Bootstrap your own latent* (BYOL), 2020, arXiv:2006.07733: appendix B, solarize.
# - Y. Tian et al., *What makes for good views for contrastive learning?* (InfoMin), 2020, arXiv:2005.10243.
# - T. Xiao et al., *What should not be contrastive in contrastive learning*, 2021, arXiv:2008.05659.
# - T. Chen, C. Luo, L. Li, *Intriguing properties of contrastive losses*, 2021, arXiv:2011.02803: easy features can
#   keep others from being learned.
# - J. Robinson et al., *Can contrastive learning avoid shortcut solutions?*, 2021, arXiv:2106.11230: which features
#   are learned depends on how hard the negatives are, too.
