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
# - build the usual augmentations as batched tensor operations, with different random numbers for every image;
# - make two views of every image, and know the four ways in which that goes wrong;
# - measure, before any training, which *shortcut* an augmentation leaves open;
# - say which invariance an augmentation teaches, and choose augmentations for a task of your own.
#
# **Time** 45 minutes, of which the computer needs about one. **Needs** PyTorch basics (tensors, broadcasting, a network's
# forward pass), and from lesson 00 the words anchor, positive and negative, explained again where they come up.

# %% tags=["setup"]
# set-up cell: inserted by the build

# %% tags=["parameters"]
profile = "auto"  # "quick", "full", or "auto": full where there is a GPU
dataset = "auto"  # what the meter is read on: "auto" is the embedded cards; or "cifar10", "stl10", a folder or .zip of images
seed = 0  # 0, 1, 2, ...: all random numbers of the lesson
device = "auto"  # "cpu", "cuda", "mps", or "auto"

# %%
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
from cl_course.evaluate import embed, factor_probe, knn_accuracy, linear_probe
from cl_course.lessons.shared.pictures import operations_figure
from cl_course.lessons.shared.show import show
from cl_course.lessons.two_views import figures as plots
from cl_course.lessons.two_views.lab_augmentation import PRESETS, augmentation_lab, credit, draw_views, photos
from cl_course.methods import SimCLR
from cl_course.models import projector, small_resnet
from cl_course.running import records
from cl_course.running.settings import settings
from cl_course.train import TrainConfig, pretrain

lesson = settings(globals())

# %% [markdown]
# ## What a view is
#
# A **view** of a picture is the picture after random changes: cut, mirrored, recoloured, blurred. Such changes are called **augmentations**. In
# contrastive learning a network sees two views of each picture and must find, for one view (the *anchor*), the other view of the
# same picture (its *positive*, or *partner*) among views of other pictures (the *negatives*). The network is called an **encoder**: it turns a picture into a list of numbers, the picture's **features** `h`. (Embeddings `z`, made of `h`, come in lesson 03.)
#
# Here is a photo with eight views of it, under the augmentations that this course uses for small images.

# %%
flower = photos()["flower"]
show(
    draw_views(flower, AugmentConfig(), lesson.seed, "a photo, and eight views of it"),
    alt="A photo of an orange dahlia, and eight views: cropped, mirrored, in green, blue, pink and grey, some much darker. The flower can be told in each.",
    photo=True,
)
print(credit())

# %% [markdown]
# Two of these views are given as partners. What do they have in common? Petals, round outline. What do they *not* have in common?
# Position, colour, brightness. Whatever two views share may be used to find the partner; whatever an augmentation changes at random
# is no use any more. So the augmentations are where you tell the network what does **not** matter.
#
# **Predict first.** Suppose a player looks at nothing but the **colour histogram**: how many pixels are how red, how green, how blue.
# It gets one view and must find the partner among views of 256 pictures. How often does it succeed, when views differ by
# nothing; by crops; by crops and flips; then also by brightness, contrast and saturation; then hue; and sometimes grey? Put six numbers between 0 and 1 here; later they are plotted
# beside the truth.

# %%
my_guess = [None, None, None, None, None, None]  # such as [1.0, 0.6, ...]

# %% [markdown]
# ## Lab: eight views
#
# Move the sliders; the views and the line below them follow. Probabilities (flip, jitter, grey, blur, solarize) say how often an operation happens,
# the others how strong it is. *Reroll* takes new random numbers. Things to find out:
#
# 1. Which single slider changes the eight views of the flower most? And of the card?
# 2. At which smallest crop do you yourself no longer know that all eight show the same thing?
#
# The line under the views is the **shortcut meter**: the share of 256 partners that colour alone (and, last, raw pixels) finds. We build it below; write down your guess before you read it.

# %%
dataset_name = "shapes" if dataset == "auto" else lesson.dataset
cards = load("shapes", "val", limit=256)
images = to_float(load(dataset_name, "val", limit=256).images)
shelf = photos() | {f"card: {cards.class_names[cards.labels[i]]}": to_float(cards.images[i]) for i in (4, 8, 18)}
if dataset_name != "shapes":
    shelf |= {f"of your data, {i}": images[i] for i in range(3)}
lab = augmentation_lab(shelf, images, seed=lesson.seed)

# %%
card = to_float(cards.images[4])
show(
    draw_views(card, AugmentConfig(), lesson.seed, "one of the embedded cards, and eight views of it"),
    alt="A card with a striped heart on a coloured background, and eight views of it in other crops, colours and shades of grey.",
)

# %% [markdown]
# ## Building the operations
#
# A batch of images is a tensor of shape `(n, 3, h, w)`: n images; red, green and blue; height; width; values from 0 to 1. Each operation takes the batch and **one parameter for
# every image**, a tensor of shape `(n,)`, and changes all images in a few tensor operations, without a loop. First the picture: each row is one operation
# on the same photo, under parameters from left to right.


# %%
def sweep(operation, *values):
    """The flower under each value, as matplotlib wants pictures: (k, h, w, 3)."""
    batch = flower.expand(len(values), 3, 96, 96)
    return operation(batch, torch.tensor(values)).movedim(1, -1).numpy()


whole, part, corner, small = [0, 0, 96, 96], [10, 10, 76, 76], [0, 48, 48, 48], [30, 34, 24, 24]
factors, turns, sigmas, thresholds = (0.3, 0.7, 1.0, 1.6), (-0.3, 0.0, 0.1, 0.5), (0.0, 0.5, 1.0, 2.0), (2.0, 0.8, 0.5, 0.2)
rows = [
    ("crop", sweep(ops.resized_crop, whole, part, corner, small), ["whole", "63 %", "25 %", "6 % of the area"]),
    ("flip", sweep(ops.horizontal_flip, False, True, False, True), ["False", "True", "False", "True"]),
    ("brightness", sweep(ops.adjust_brightness, *factors), factors),
    ("contrast", sweep(ops.adjust_contrast, *factors), factors),
    ("saturation", sweep(ops.adjust_saturation, *factors), factors),
    ("hue", sweep(ops.adjust_hue, *turns), [f"{t:+.1f} turns" for t in turns]),
    ("grey", sweep(ops.greyscale, False, True, False, True), ["False", "True", "False", "True"]),
    ("blur", sweep(ops.gaussian_blur, *sigmas), [f"{s:g} px" for s in sigmas]),
    ("solarize", sweep(ops.solarize, *thresholds), [f"above {t:g}" if t <= 1 else "never" for t in thresholds]),
]
show(
    operations_figure(rows, width=6.0),
    alt="Nine rows of the same flower: crops from the whole to 6 percent of the area, mirrored, from dark to "
    "bright, from flat to strong contrast, from pale to vivid, "
    "in purple, orange, yellow and blue, in grey, from sharp to blurred, and with bright values inverted.",
    photo=True,
)

# %% [markdown]
# ### Exercise: flip, with one coin for each image
#
# Mirror each image left to right with the given probability, each by its **own** coin. Draw the coins from `generator` (an object that hands out random numbers from a seed, so that a run
# can be repeated), and leave the caller's tensor as it is. The width is the last dimension; a mask of shape `(n, 1, 1, 1)` is stretched over an image's channels and pixels by broadcasting.


# %% tags=["exercise"]
def my_random_flip(images, probability, generator):
    """Mirror each image with this probability. images: (n, 3, h, w). Returns a new tensor of the same shape."""
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
# `torch.where(mask, images.flip(-1), images)` with a mask of shape `(n, 1, 1, 1)`: index the coins with `[:, None, None, None]`.
#
# </details>

# %% [markdown]
# ### Colour jitter: three of its parts are one idea
#
# Brightness, contrast and saturation all move a picture along a line through a *neutral* picture: black; the picture's mean grey everywhere; or each pixel's own grey. A factor of 0
# gives the neutral picture, 1 leaves the image as it is, more than 1 goes beyond. Then values are cut off at 0 and 1. The grey of a pixel is a weighted mean in which green, which the eye sees best,
# counts most. **Grey** takes that grey itself, by a coin for each image; **solarize** inverts every value at or above a threshold.


# %%
def my_grey(images):
    weights = torch.tensor([0.2989, 0.587, 0.114])  # of red, green, blue
    return (images * weights[:, None, None]).sum(dim=1, keepdim=True)  # (n, 1, h, w)


def my_blend(images, neutral, factor):
    factor = factor[:, None, None, None]  # one for each image
    return (neutral + factor * (images - neutral)).clamp(0, 1)


factor = 2 * torch.rand(len(images))
assert_close(my_blend(images, 0.0, factor), ops.adjust_brightness(images, factor))
assert_close(my_blend(images, my_grey(images).mean(dim=(2, 3), keepdim=True), factor), ops.adjust_contrast(images, factor))
assert_close(my_blend(images, my_grey(images), factor), ops.adjust_saturation(images, factor))
coins, threshold = torch.rand(len(images)) < 0.3, torch.rand(len(images))
assert_close(torch.where(coins[:, None, None, None], my_grey(images), images), ops.greyscale(images, coins))
assert_close(torch.where(images >= threshold[:, None, None, None], 1 - images, images), ops.solarize(images, threshold))

# %% [markdown]
# **Hue** is the fourth part: which colour, as an angle on a circle from red over green and blue back to red. In the HSV description of a colour, the *value* is the largest channel and the
# *chroma* is the largest minus the smallest. Turning the hue keeps both. Which channel is the largest tells the third of the circle, the other two say where in it; then the formula is run backwards for each
# channel.


# %%
def my_hue(images, shift):
    red, green, blue = images.unbind(dim=1)  # (n, h, w) each
    value = images.amax(dim=1)
    chroma = value - images.amin(dim=1)
    in_sixths = torch.where(value == red, green - blue, torch.where(value == green, blue - red + 2 * chroma, red - green + 4 * chroma))
    hue = in_sixths / (6 * chroma).clamp(min=1e-7) + shift[:, None, None]  # in turns

    def channel(offset):  # how far from its own colour: 0 keeps the value, 1 takes the chroma away
        k = 6 * ((hue + offset) % 1)
        return value - chroma * torch.minimum(k, 4 - k).clamp(0, 1)

    return torch.stack([channel(5 / 6), channel(3 / 6), channel(1 / 6)], dim=1)


shift = torch.rand(len(images)) - 0.5
assert_close(my_hue(images, shift), ops.adjust_hue(images, shift), atol=1e-5, rtol=0)

# %% [markdown]
# ### Crop: look up the pixels
#
# A crop is cut out and enlarged to the old size, so that all views fit into one tensor. Turn it round: for every pixel of the *view*, where in the image does it look? The view's columns look at w evenly spread places of the box,
# the rows at h. Between pixel centres `grid_sample` mixes the four neighbours (bilinear interpolation). Each image has its own box, and still there is no loop.


# %%
def my_places(start, length, size):
    """Where `size` even steps through [start, start + length) look, in pixels; never outside the box. (n, size)"""
    steps = (torch.arange(size) + 0.5) / size
    inside = (steps * length[:, None] - 0.5).clamp(min=0).minimum(length[:, None] - 1)
    return start[:, None] + inside


def my_crop(images, box):
    h, w = images.shape[-2:]
    top, left, height, width = box.T.float()  # (n,) each
    y, x = my_places(top, height, h)[:, :, None], my_places(left, width, w)[:, None, :]
    grid = torch.stack(torch.broadcast_tensors((2 * x + 1) / w - 1, (2 * y + 1) / h - 1), dim=-1)  # in [-1, 1], as grid_sample counts
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)


box = ops.draw_parameters(len(images), images.shape[-2:], AugmentConfig(crop=(0.1, 1)))["box"]
assert_close(my_crop(images, box), ops.resized_crop(images, box), atol=1e-5, rtol=0)

# %% [markdown]
# ### Blur: a weighted mean of neighbours
#
# A Gaussian blur gives each pixel the mean of its neighbours, with weights that fall with the distance; `sigma` says how fast. Along rows first and then along columns is the same as both at once, and cheaper. With a sigma for each image the weights have the shape
# `(n, taps)`. At the border the picture is reflected.


# %%
def my_blur(images, sigma, radius):
    h, w = images.shape[-2:]
    taps = torch.arange(-radius, radius + 1)
    weights = torch.exp(-(taps**2) / (2 * sigma[:, None] ** 2))
    weights = (weights / weights.sum(dim=1, keepdim=True))[:, :, None, None, None]  # (n, taps, 1, 1, 1)
    padded = F.pad(images, (radius,) * 4, mode="reflect")
    rows = sum(weights[:, t] * padded[:, :, t : t + h] for t in range(len(taps)))
    return sum(weights[:, t] * rows[:, :, :, t : t + w] for t in range(len(taps)))


sigma = 0.1 + 1.9 * torch.rand(len(images))
radius = max(1, images.shape[-2] // 20)  # SimCLR's kernel spans a tenth of the picture
assert_close(my_blur(images, sigma, radius), ops.gaussian_blur(images, sigma), atol=1e-5, rtol=0)

# %% [markdown]
# From here on we use the package's versions, which are the same up to rounding and faster. `AugmentConfig` holds all probabilities and strengths, `augment` draws parameters for every image and applies the
# operations in the order above. Why in batches? Because most of the time of a single small image goes into calling functions:

# %%
config = AugmentConfig()
print(config)
batch = images.repeat(2, 1, 1, 1)
seconds = {}
for way, run in {"one image at a time": lambda: [augment(x[None], config) for x in batch], "all together": lambda: augment(batch, config)}.items():
    times = []
    for _ in range(3):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    seconds[way] = min(times)  # of three, so that a cold start does not count
    print(f"{way:20} {len(batch) / seconds[way]:8,.0f} views a second")

# %% [markdown]
# ### Exercise: two views
#
# Now the heart of the lesson. Given images and a ready-made `disguise(images, amount)`, which changes each image according to **one number from 0 to 1 for each image**, return two views of every image. The numbers must be drawn
# from `generator`, anew for each image *and* for each view. Row i of both views must come from image i, because later "my partner has my row number" is all that the loss knows.
#
# Four things go wrong in practice, and the check knows them: one random number for the whole batch; the same view twice; the input changed in place; rows in another order.


# %%
def disguise(images, amount):
    """Turn the hue of each image by its amount (0 to 1 is once round the circle), and crop it there too."""
    amount = amount.expand(len(images))
    side = torch.full_like(amount, 0.75 * images.shape[-1]).round()
    left = (amount * (images.shape[-1] - side)).floor()
    return ops.adjust_hue(ops.resized_crop(images, torch.stack([left, left, side, side], dim=1).long()), amount - 0.5)


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

# %%
pair = my_two_views(images[:8], disguise, Generator().manual_seed(lesson.seed + 5))
made_by = "your two views"
if pair is None:  # not attempted yet: the course's own
    pair, made_by = two_views(images[:8], config, Generator().manual_seed(lesson.seed + 5)), "the course's two views, until yours are there"
show(
    plots.pairs_figure(*(view.movedim(1, -1).numpy() for view in pair), made_by),
    alt="Eight pairs of views, one above the other: the same object in each column, in other colours and crops.",
)

# %% [markdown]
# ## The shortcut meter
#
# Look at two crops of one card, another card, and their colour histograms: of each channel, the share of pixels in each of eight bins from dark to bright.

# %%
view1, view2 = two_views(images, PRESETS["crop and flip"], Generator().manual_seed(lesson.seed))
three = torch.stack([view1[0], view2[0], view1[1]])
show(
    plots.histograms_figure(three.movedim(1, -1).numpy(), shortcut.colour_histogram(three).square().numpy(), ["view1", "view2", "another picture"]),
    alt="Two crops of the same card with nearly the same histograms of red, green and blue, and another card with clearly different ones.",
)

# %% [markdown]
# The crops moved the object, the histograms hardly noticed. A network that is asked to find partners among such views can do so by colour alone and never look at a shape. A cheap feature that solves the task is called a **shortcut**, and
# how well it does can be measured before any training: describe every view by the feature, take the nearest description, count how often it is the partner's. That is the **shortcut meter**. With n pictures, chance is 1 / n.


# %%
def my_histogram(images, bins=8):
    bin_of = (images * bins).long().clamp(max=bins - 1)  # a value of exactly 1 belongs to the last bin
    shares = F.one_hot(bin_of, bins).float().mean(dim=(2, 3))  # (n, 3, bins)
    return shares.flatten(1).sqrt()  # the root keeps the largest bins from deciding alone


def my_shortcut_rate(view1, view2, feature):
    nearest = torch.cdist(feature(view1), feature(view2)).argmin(dim=1)
    return (nearest == torch.arange(len(view1))).float().mean().item()


assert_close(my_histogram(view1), shortcut.colour_histogram(view1))
assert my_shortcut_rate(view1, view2, my_histogram) == shortcut.shortcut_rate(view1, view2, shortcut.colour_histogram)
print(f"with crops and flips alone the histogram finds {my_shortcut_rate(view1, view2, my_histogram):.0%} of the partners; chance is {1 / len(images):.1%}")

# %% [markdown]
# Now recipe by recipe, with three features and three seeds each. (Mean colour: three numbers for a picture. Raw pixels: every value in its place.) In the figure the error bars reach from the lowest to the highest of the three seeds; the ± in print is their standard deviation.

# %%
crop_flip = PRESETS["crop and flip"]
recipes = {
    "nothing": PRESETS["nothing"],
    "crop": replace(crop_flip, flip=0),
    "+ flip": crop_flip,
    "+ brightness,\ncontrast,\nsaturation": AugmentConfig(hue=0, grey=0),
    "+ hue": AugmentConfig(grey=0),
    "+ grey": AugmentConfig(),
}
seeds = [lesson.seed, lesson.seed + 1, lesson.seed + 2]
rates = {name: np.zeros((len(recipes), len(seeds))) for name in shortcut.FEATURES}
for r, recipe in enumerate(recipes.values()):
    for s, number in enumerate(seeds):
        views = two_views(images, recipe, Generator().manual_seed(number))
        for name, feature in shortcut.FEATURES.items():
            rates[name][r, s] = shortcut.shortcut_rate(*views, feature)

show(
    plots.meter_figure(list(recipes), rates, len(images), my_guess),
    alt="Share of partners found among 256 by mean colour, colour histogram and raw pixels, recipe by recipe. "
    "The histogram stays near its top for crops and flips, "
    "falls steeply when brightness, contrast and saturation are jittered, and approaches chance with hue and grey.",
)
for name, found in rates.items():
    print(f"{name:17}", "  ".join(f"{recipe.split(',')[0]}: {row.mean():.2f} ± {row.std(ddof=1):.2f}" for recipe, row in zip(recipes, found)))

# %% [markdown]
# Crops alone leave the histogram almost untouched: this is figure 6 of the SimCLR paper as a number, and its figure 5 shows the price, encoders that stay poor until crops and colour changes come together. Raw pixels fall earlier, since a shift moves every pixel. The mean colour falls at the crop as well, though it too is only colour: a crop changes how much of the view is object and how much background, and the mean moves with it, while the *same bins* of the histogram stay filled. Jitter closes most of the colour shortcut, hue and grey most of the rest. What
# the cheap features can no longer do, the network must do by something better.
#
# The meter is one-sided. A *high* rate proves that a shortcut is open. A *low* rate shows only that *these* three features fail; a network may find a cleverer shortcut that nobody measured.
#
# ## Debug this: the views that were too easy
#
# A colleague wants runs to be repeatable and writes the function below. Training looks wonderful: the loss drops at once to the least it can sensibly be (lesson 02 says what that is). The encoder turns out to be useless. The meter knows why. Find the line before you open the answer.


# %%
# NBVAL_CHECK_OUTPUT
def repeatable_views(images, config, seed):
    view1 = augment(images, config, Generator().manual_seed(seed))
    view2 = augment(images, config, Generator().manual_seed(seed))
    return view1, view2


suspicious = repeatable_views(images, AugmentConfig(), seed=lesson.seed)
for name, feature in shortcut.FEATURES.items():
    print(f"{name:17} finds {100 * shortcut.shortcut_rate(*suspicious, feature):5.1f} % of the partners")

# %% [markdown]
# <details><summary>Answer</summary>
#
# Both generators start from the same seed, so both views get the same random numbers: they are the same view twice, and raw pixels find every partner. The mend is *one* generator that goes on:
# `generator = Generator().manual_seed(seed)` once, then `two_views(images, config, generator)`; that is repeatable too. It is tempting to suspect the augmentations of being too weak, but they are the course's recipe, on which the meter read nearly zero above.
#
# The real-world relative: random numbers seeded alike in every data loader worker and in every epoch, so that each picture has the same two views for the whole training (facebookresearch/DepthContrast, issue 14). The check of `my_two_views` calls it "seeded again inside". And two loaders that are shuffled
# apart, one for each view, give rows in different orders (sayakpaul/SimSiam-TF, issue 1).
#
# </details>

# %% [markdown]
# ## Too weak, right, too strong
#
# What does an encoder learn under each? Three recipes were recorded, three trainings each, with the same network, images and number of steps: **weak** (crop and flip only), **right** (the course's recipe) and **strong** (tiny crops; more brightness, contrast, saturation and grey; blur and solarize). This is what their views look like.

# %%
record = records.read("augmentation_strength")
strengths = {name: AugmentConfig(**fields) for name, fields in record["config"]["augment"].items()}
sheet = []
for name, strength in strengths.items():
    views = augment(card.expand(7, -1, -1, -1), strength, Generator().manual_seed(lesson.seed))
    sheet.append((name, torch.cat([card[None], views]).movedim(1, -1).numpy(), ["the card", *[""] * 7]))
    jitter = f"jitter {strength.jitter:g}" + (f" (hue {strength.hue:g}, brightness {strength.brightness:g})" if strength.jitter > 0 else "")
    print(
        f"{name:7} crop {strength.crop[0]:g} to {strength.crop[1]:g} of the area, {jitter}, grey {strength.grey:g}, blur {strength.blur:g}, solarize {strength.solarize:g}"
    )
show(
    operations_figure(sheet),
    alt="Three rows of seven views of one card. Weak: the same colours throughout. Right: other colours, the "
    "shape always visible. Strong: tiny enlarged patches in which the shape can hardly be told.",
)

# %% [markdown]
# How can one see what an encoder learned to ignore? The cards were drawn by a program, so everything about them is known. The words for what follows:
#
# - **Factors**: class, hue of the object and of the background, position, size (scale), angle.
# - **Factor probe**: can a factor be computed from the features `h` by a linear formula? The answer is **R²**: 1 is exactly, 0 is no better than always saying the mean.
# - **Class**: it is no number, so the accuracy of a linear classifier on `h` (the **linear probe**) stands for R²; guessing gives 0.10.
# - **kNN**: the 20 training cards with the most similar `h` vote for the class.
# - **Invariance**: the factor does not change `h`. A factor that can no longer be read *linearly* may have become an invariance, or may only be folded up in `h` in a way that no linear formula opens.
# - **Untrained**: for comparison, networks that were never trained. Even random filters keep a good deal of the picture, so "it can be read off" is not yet "it was learned".
#
# What tells is a factor that is readable *before* training and gone *after* it. The angle, which cannot be read even from the untrained networks, tells nothing here when it is missing.
#
# **Predict.** Three encoders; for each, will the *class* be read well, and will the *object's hue*? And which of them is better than no training at all?

# %%
train, test = load("shapes", "train"), load("shapes", "test")
FACTORS = ("object_hue", "background_hue", "position", "scale", "angle")
known = [{name: images_.factors[name] for name in FACTORS} for images_ in (train, test)]


def factor_scores(encoder):
    return factor_probe(embed(encoder, train), known[0], embed(encoder, test), known[1])


untrained = []
for row in (r for r in records.read("results")["runs"] if r["row"] == "random encoder"):
    torch.manual_seed(row["seed"])
    probes = {"class": row["linear"]} | factor_scores(small_resnet())
    untrained.append({"setting": "untrained", "seed": row["seed"], "knn": row["knn"], "linear": row["linear"], "probes": probes})

# %%
runs = untrained + record["runs"]
show(
    plots.invariance_figure(runs),
    alt="Bars with three dots each. The class is read far better from the right recipe's encoders than from all "
    "others. The hues are read well from untrained, weak and strong encoders and not at all from the right "
    "ones. "
    "Position and scale are read best from the right recipe's encoders; the position worst from the weak ones, the scale worst from the untrained.",
)
measures = {"kNN": lambda r: r["knn"], **{name: lambda r, name=name: r["probes"][name] for name in plots.FACTORS}}
print(f"{'':11}" + "".join(f"{name:>16}" for name in measures))
for setting in ("untrained", *strengths):
    values = [[measure(r) for r in runs if r["setting"] == setting] for measure in measures.values()]
    print(f"{setting:11}" + "".join(f"{np.mean(v):9.2f} ± {np.std(v, ddof=1):.2f}" for v in values))

# %% [markdown]
# - **Weak.** Colours solve the game, so the encoder keeps the hues and loses the class and the position: kNN reads the class only half as well as without any training and hardly better than guessing, and the position, readable before, is gone. The shortcut did not merely fail to teach shapes; it suppressed them.
# - **Right.** The hues are gone, because they were no use, and the class is there, although nobody ever told it. This is what the recipe is for.
# - **Strong.** The hues are still there, although the hue was turned as far as in the right recipe and greyed more often. Almost nothing was learned: by the linear probes this encoder is close to the untrained one, and the vote of its neighbours (kNN) is even worse. Probably the partners, tiny crops, had too little in common to be found.
#
# So information shared by the views should be *enough but no more*. Tian et al. (2020) show the same hill on photographs and call the best point the sweet spot: strong enough to remove shortcuts, weak enough to keep what the task needs.
#
# Two cautions. `h` need not ignore all that the views change: position and size, which crops change, are read well from the right recipe's `h` (lesson 03 explains why). And each setting is one point: between
# them lie many recipes that were not recorded.
#
# ## When the usual recipe is wrong
#
# Suppose the task is to sort the cards **by the colour of the object**: ripe from unripe, red pills from blue. **Predict:** what will the encoder of the *right* recipe be worth? Look at its object hue in the figure above. Augmentations are a statement about the task, and this statement was
# "colour does not matter".
#
# ### Exercise: choose augmentations
#
# Return an `AugmentConfig` for this task. Its fields, and what you get if you leave one out:
#
# | field | what it is | default |
# |---|---|---|
# | `crop` | smallest and largest share of the area that is kept | `(0.35, 1.0)` |
# | `flip`, `jitter`, `grey`, `blur`, `solarize` | *probabilities*: how often it happens to a view | 0.5, 0.8, 0.3, 0, 0 |
# | `brightness`, `contrast`, `saturation` | *strengths* s of the jitter: a factor from 1 - s to 1 + s | 0.5 each |
# | `hue` | *strength*, of the jitter too: a turn of at most this share of the circle | 0.5 |
#
# The check measures two things on the cards. Each operation alone must leave the object's colour (red, yellow, green, cyan, blue or magenta) right in at least 95 % of the views; and neither raw pixels nor a histogram of light and dark, shortcuts *other than the colour*, may find more than 25 % of the partners. It names the operation that destroys the label, and the shortcut that is open.


# %% tags=["exercise"]
def my_choice():
    """Augmentations that keep the colour of the object, and still leave no other shortcut open."""
    ### BEGIN SOLUTION
    return AugmentConfig(hue=0, grey=0)
    ### END SOLUTION


# %%
checks.choose_augmentation(my_choice)

# %% [markdown] tags=["hints"]
# <details><summary>Hint 1</summary>
#
# Hand the check the usual recipe, `AugmentConfig()`, and `PRESETS["crop and flip"]`. One destroys the label, the other leaves shortcuts open. What lies between?
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
# Start from `AugmentConfig()` and switch off two fields: the one that turns colours into others, and the one that takes all colour away.
#
# </details>

# %% [markdown]
# Does the choice help a real encoder? We train one for two passes over the cards with your choice (or the course's, until yours is there), without any label, and ask it for the colour. The method is SimCLR, which lesson 03 builds; it takes about ten seconds. The recorded encoders had ten times as many passes,
# time in which the usual recipe goes on forgetting the hue. So the figure shows the *direction*, not a fair size of the gap, and yours is one run. (For a fair gap, run the next two cells once more with `choice = AugmentConfig()`: the usual recipe after two passes.)

# %%
choice = my_choice() or AugmentConfig(hue=0.0, grey=0.0)
torch.manual_seed(lesson.seed)
encoder = small_resnet()
history = pretrain(SimCLR(encoder, projector(encoder.dim)).to(lesson.device), train, TrainConfig(epochs=2, augment=choice, seed=lesson.seed))
print(f"trained for {history.seconds:.0f} s, without labels")

# %%
train_h, test_h = embed(encoder, train), embed(encoder, test)
yours = {
    "setting": "yours",
    "seed": lesson.seed,
    "knn": knn_accuracy(train_h, train.labels, test_h, test.labels),
    "probes": factor_probe(train_h, known[0], test_h, known[1]),
}
yours["linear"] = linear_probe(train_h[:3000], train.labels[:3000], train_h[-1000:], train.labels[-1000:], test_h, test.labels).accuracy
yours["probes"]["class"] = yours["linear"]
show(
    plots.invariance_figure([r for r in runs if r["setting"] != "strong"] + [yours]),
    alt="The same bars, without the strong recipe and with your encoder as stars: the object's hue is read "
    "nearly perfectly from it, as from the weak recipe's, while the right recipe's is at zero; its class is "
    "read badly.",
)
for setting in ("untrained", "weak", "right", "yours"):
    probes = [r["probes"] for r in [*runs, yours] if r["setting"] == setting]
    means = "  ".join(f"{name} {np.mean([p[name] for p in probes]):5.2f}" for name in ("object_hue", "position", "scale", "class"))
    print(f"{setting:10} {means}  ({len(probes)} run{'s' if len(probes) > 1 else ''})")

# %% [markdown]
# For sorting by colour the usual recipe is *worse than no training*: it was trained to forget the label. The other choice keeps it, and after two passes has learned next to nothing of the class. Crop and flip alone (weak) do as well on the hue; what differs is the rest, position and scale, as printed above, and that is one run with fewer passes. There is no best augmentation, only one that fits what you want to know later. If you do not know yet what that will be,
# Xiao et al. (2021) keep several embedding spaces, each of which is told to ignore something else.
#
# ## Debug this: half of the picture is black
#
# Another colleague brings images to mean 0 and standard deviation 1 (*normalises* them, as most networks like it), and then jitters the brightness. Training runs without an error and ends several points worse. What happens to the pixels?

# %%
normalised = (images - images.mean()) / images.std()
jittered = ops.adjust_brightness(normalised, torch.full((len(images),), 1.1))
show(
    plots.values_figure({"pixels": images.numpy(), "after normalising": normalised.numpy(), "then brightness x 1.1": jittered.numpy()}),
    alt="Three histograms of pixel values. The pixels lie between 0 and 1; after normalising they lie from about "
    "minus 2 to 2; after the brightness change all negative values sit in one tall bar at 0 and many others "
    "at 1.",
)
print(f"values at exactly 0 or 1: {((jittered == 0) | (jittered == 1)).float().mean():.0%}, before: {((images == 0) | (images == 1)).float().mean():.0%}")
try:
    augment(normalised, AugmentConfig())
except ValueError as error:
    print("augment refuses:", error)

# %% [markdown]
# <details><summary>Answer</summary>
#
# Colour operations work on colours, from 0 to 1, and cut off what leaves that range. After normalising about half of the values are negative, and all of those become 0. **Augment first, normalise last.** It is tempting to blame the strength of the jitter, but a factor of exactly 1 would do the same damage.
# torchvision's colour functions cut floats off at 0 and 1 in the same way. The mistake is common enough to have been found in well-known code (mlfoundations/open_flamingo, pull request 156, removes a jitter that came after the normalisation). `augment` therefore refuses values outside [0, 1].
#
# </details>
#
# ## Quiz
#
# **1.** One random number is drawn for each batch and used for all its images, so that in one batch all are mirrored, in the next none. Over a long training each image is mirrored half the time. Is that not the same?
#
# <details><summary>Answer</summary>
#
# No. Within a batch all views then share a change, so it does not help to tell anything apart; and if the number differs between view1 and view2, *every* partner differs in the same way, which a network may learn to undo. What counts is the
# comparison *within* the batch. "It averages out" is tempting because it is true for supervised learning on single images.
#
# </details>
#
# **2.** On a new data set the meter reads 0.01 for all three features with n = 256. May you conclude that there is no shortcut?
#
# <details><summary>Answer</summary>
#
# No. It says that these three features fail. Others may work: a camera's noise pattern, a caption in the corner, the texture of the background. It is tempting because chance is 0.004 and 0.01 is close to it; but the meter can only accuse, never acquit.
#
# </details>
#
# **3.** A radiologist wants to tell left from right lungs. Which operation of the recipe has to go?
#
# <details><summary>Answer</summary>
#
# The flip: it turns a left lung into a right one, and the encoder would be told to ignore just that. Small crops are dangerous as well, for they may hide which side one is looking at. The tempting answer "colour jitter, because X-rays are grey" is wrong: on grey
# images hue and saturation do nothing, and brightness and contrast are useful.
#
# </details>
#
# **4.** Would it help to train with the *strong* recipe for ten times as long?
#
# <details><summary>Answer</summary>
#
# The measurement above cannot say, since it fixes the number of steps, and a longer training might learn something. What it cannot bring back is what two views do not share: if both tiny crops show background, no amount of training finds the object in them. It is tempting to read every
# failure as "not enough training"; compare first what partners have in common.
#
# </details>

# %% [markdown]
# ## Recap: the running results table
#
# Rows so far, all with the same encoder, images and number of passes over them; kNN accuracy on test, no label used in learning. The row for the right recipe is that of SimCLR, which lesson 03 trains before your eyes.

# %%
pixels = [r["knn"] for r in records.read("results")["runs"] if r["row"] == "pixels"]
table = {"guessing": [1 / len(cards.class_names)], "raw pixels": pixels, "random encoder": [r["knn"] for r in untrained]}
table |= {f"SimCLR, {name} augmentation": [r["knn"] for r in record["runs"] if r["setting"] == name] for name in strengths}
print("| description | kNN accuracy | runs |\n|---|---|---|")
for name, found in table.items():
    spread = f" ± {np.std(found, ddof=1):.3f}" if len(found) > 1 else ""
    print(f"| {name} | {np.mean(found):.3f}{spread} | {'' if name == 'guessing' else len(found)} |")

# %% [markdown]
# Why do raw pixels beat the random encoder? They keep every value in its place, so cards of like outline lie close, while a random encoder averages its filters over the picture and mixes the outline away; and the weak recipe nearly guesses because its `h` holds mostly colour, which says nothing about the class.
#
# **In one sentence:** augmentations say what does not matter; too little leaves a shortcut, too much leaves nothing, and what is right depends on what you want to know later.
#
# Next: **02 InfoNCE and temperature**, where "which of these is my partner?" becomes a loss.
#
# ## References
#
# - T. Chen et al., *A simple framework for contrastive learning of visual representations* (SimCLR), 2020, arXiv:2002.05709: section 3.1 with figures 5 and 6, on crops, colour histograms and jitter; appendix A for the operations.
# - J.-B. Grill et al., *Bootstrap your own latent* (BYOL), 2020, arXiv:2006.07733: appendix B, solarize.
# - Y. Tian et al., *What makes for good views for contrastive learning?* (InfoMin), 2020, arXiv:2005.10243.
# - T. Xiao et al., *What should not be contrastive in contrastive learning*, 2021, arXiv:2008.05659.
# - T. Chen, C. Luo, L. Li, *Intriguing properties of contrastive losses*, 2021, arXiv:2011.02803: easy features can keep others from being learned.
# - J. Robinson et al., *Can contrastive learning avoid shortcut solutions?*, 2021, arXiv:2106.11230.
