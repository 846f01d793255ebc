# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # 08 Full scale
#
# **What you will be able to do**
#
# - say before a run how long it takes, how much memory it needs, and what accuracy to expect;
# - choose among four ways to make a step cheaper, and find the one that can spoil your evaluation;
# - change the batch size without changing the rest: learning rate, warm-up, several GPUs;
# - cut a run in the middle, go on, and get the very same numbers;
# - read a table of published results, and say what each number measured.
#
# **Time**: {minutes} minutes, {deeper_minutes} more for the section *Going deeper*, and hours of a GPU if you start a full
# run. **Needs**: lessons 03 to 05. It computes for about a minute on two cores.
#
# **What this lesson does not have**: full runs on a GPU, since none was at hand. Where their numbers would stand, it
# says so, and shows published numbers, and runs of our own on two cores.

# %% tags=["setup"]
# set-up cell: inserted by the build

# %% tags=["parameters"]
profile = "auto"  # "quick" (CPU) or "full" (GPU); "auto" looks what is there
dataset = "auto"  # CIFAR-10 where it is at hand, else the drawn cards
seed = 0  # any whole number from 0
device = "auto"  # "cpu", "cuda" or "mps"

# %% tags=["folded"]
# Imports
import copy
import sys
import tempfile
from contextlib import redirect_stderr
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Generator
from torch.utils.checkpoint import checkpoint

from cl_course import checks
from cl_course.data import find, load, pretraining_images
from cl_course.evaluate import embed, knn_accuracy
from cl_course.large_batches import checkpointed
from cl_course.lessons.full_scale.figures import (
    NAMES,
    ablation_figure,
    cost_figure,
    curves_figure,
    luck_figure,
)
from cl_course.lessons.full_scale.lab_plan import machine_of, plan_lab
from cl_course.lessons.full_scale.planner import OPTIONS, costs
from cl_course.lessons.full_scale.published import PROTOCOLS
from cl_course.lessons.full_scale.recorded_runs import by_name, recorded_runs, shipped_encoders
from cl_course.lessons.shared.show import show
from cl_course.lessons.shared.tables import mean_and_spread, show_table
from cl_course.losses import nt_xent
from cl_course.models import small_resnet
from cl_course.running import checkpoints, records
from cl_course.running.plans import plan
from cl_course.running.recipes import recipe
from cl_course.running.settings import settings
from cl_course.train import pretrain

lesson = settings(globals())
record = records.read("full_scale")
table = costs(record["runs"])

# %% [markdown]
# ## Predict first
#
# You know what a step of SimCLR does. Now make it larger. Write down a factor for each cell:
#
# | | time of a step | memory of a step |
# |---|---|---|
# | the batch doubles, 128 to 256 images | ? | ? |
# | the side of the images doubles, 32 to 64 pixels | ? | ? |
# | the small ResNet becomes ResNet-18 | ? | ? |
#
# One more question. Each view has $2n - 2$ negatives in SimCLR. You start the same command on four GPUs, which share
# each batch. Does a view get more negatives, fewer, or as many as before?
#
# ## What a step costs
#
# We timed whole steps: two views, network, loss, gradient, optimiser. Each setting had a process of its own, so that
# its peak of memory is its own, too. The same script measures a GPU's memory where there is one:
# `python benchmarks/record_full_scale.py`.

# %% tags=["folded"]
# Time and memory of a step, recorded
show(
    cost_figure(table),
    alt="Seconds and megabytes of a step by batch size, both axes in logarithms: straight lines "
    "that rise in proportion, the small ResNet far below ResNet-18. The table has the factors.",
)
cost = {
    (encoder, side): {row[0]: row[1:] for row in rows}
    for encoder in table
    for side, rows in table[encoder]["steps"].items()
}
small, large = cost["small", "32"], cost["resnet18", "32"]
changes = {
    "batch 128 to 256, small ResNet": (small[256], small[128]),
    "batch 32 to 64, ResNet-18": (large[64], large[32]),
    "side 32 to 64 pixels, small ResNet": (cost["small", "64"][128], small[128]),
    "small ResNet to ResNet-18, batch 32": (large[32], small[32]),
}
show_table(
    [[name, *(f"× {a / b:.1f}" for a, b in zip(*pair))] for name, pair in changes.items()],
    ["change", "time of a step", "memory of a step"],
    f"Recorded on {machine_of(record['config'])}; load of the machine at the start: "
    f"{record['config']['load_at_start']}",
)

# %% [markdown]
# <details><summary>What to see in it</summary>
#
# Time and memory follow the number of *pixels* that go through the network. Twice the batch is twice of both. Twice
# the side is four times as many pixels, and about four times of both. What does not grow with the pixels (weights,
# gradients, the optimiser's memory) counts only for small batches.
#
# So a larger batch makes no epoch faster on a machine that is busy already: half as many steps, each twice as long.
# Memory is the limit: the backward pass needs all that the forward pass computed.
#
# (ResNet-18 at 96 pixels is no typing error: it is *cheaper* than at 64. From 65 pixels on, its *stem*, the first
# layers, has a stride and pooling, which leave a sixteenth of the pixels to the rest of the network.)
#
# </details>
#
# ## A plan in the page
#
# The lab below computes with these steps. It says what is measured and what is extrapolated. The dots are published
# runs on a large GPU, an A6000, and the triangle is your plan. It starts with the published recipe: ResNet-18, batch
# 512, 200 epochs of 50,000 photos. *Four ways to a cheaper step*, below, explains its switches.
#
# 1. How long would that take on this machine? Find a plan that ends in one night, by changing *one* slider.
# 2. Change the batch from 64 to 1,024. What happens to the time, the memory, and the negatives?
# 3. Take the small ResNet and 10,000 images. What can be done in ten minutes?
# 4. Which batch would no longer fit into the memory, and which switches bring it back?

# %%
plan_lab(record)

# %% [markdown]
# <details><summary>What to expect</summary>
#
# 1. On a few cores the published run takes days; the lab says how many. Twenty epochs end in a night on the recorded
#    machine. Fewer epochs shorten it in proportion, and so do fewer images. A
#    smaller batch does not.
# 2. The time hardly moves, the memory grows with the batch, and so do the negatives.
# 3. About a hundred epochs and more on the recorded machine. Our own short runs below, with 10,000 photos, are of that
#    kind.
# 4. It depends on the machine. Activation checkpointing and bfloat16 both lower the memory. The lab multiplies their
#    factors, each timed alone; both together were not timed. (`pretrain` refuses compiled with checkpointing.)
#
# </details>
#
# ## Steps, shares, negatives
#
# On several GPUs each **process** holds a copy of the network and takes its share of every batch. `torchrun` starts
# them, or the course does it for you:
#
# ```
# cl-course pretrain cifar10 --profile full --processes 4
# torchrun --nproc-per-node=4 -m cl_course pretrain cifar10 --profile full
# ```
#
# Here `batch_size` counts the images of all processes together, so that the same settings mean the same run on one GPU
# and on four. Other programs count per GPU: read which before you compare. A last, shorter batch of an epoch is left
# out, because fewer negatives would be another task.
#
# ### Exercise 1: a run in numbers (4 min, easy)
#
# Return three numbers: the steps of the whole run; the images of one process in a step; and the negatives of one view
# in SimCLR. With `gathered` every process gets the embeddings of all; without it, a process sees its own share only.


# %% tags=["exercise"]
def my_run_numbers(images, batch, epochs, processes, gathered):
    """-> (steps of the run, images of one process in a step, negatives of one view)"""
    ### BEGIN SOLUTION
    steps = epochs * (images // batch)
    share = batch // processes
    seen = batch if gathered else share  # images whose views a view is compared with
    return steps, share, 2 * seen - 2
    ### END SOLUTION


# %%
checks.run_numbers(my_run_numbers)

# %% [markdown] tags=["hints"]
# <details><summary>Hint 1</summary>
#
# Every epoch is cut into whole batches by itself. The number of processes does not change how many there are.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# A view is compared with the $2n$ views of $n$ images, minus itself, minus its partner. Which $n$ counts?
#
# </details>
#
# <details><summary>Hint 3</summary>
#
# `epochs * (images // batch)`, `batch // processes`, and `2 * n - 2` with $n$ the batch or the share.
#
# </details>
#
# ## What changes with photos
#
# The cards were drawn so that two cores can learn them. Photos need other settings. Here are three recipes of the course
# side by side, printed from the code that runs them:

# %% tags=["folded"]
# SimCLR's recipes: cards on two cores, CIFAR-10 and STL-10 on a GPU
recipes = {
    "cards, quick": recipe("simclr", "quick", "shapes"),
    "CIFAR-10, full": recipe("simclr", "full", "cifar10"),
    "STL-10, full": recipe("simclr", "full", "stl10"),
}
rows = {
    "encoder": lambda r: " ".join(str(value) for value in r.encoder.values()),
    "epochs": lambda r: r.config.epochs,
    "batch": lambda r: r.config.batch_size,
    "optimiser": lambda r: f"{r.config.optimizer} at {r.config.learning_rate:g}",
    "precision": lambda r: r.config.precision,
    "temperature": lambda r: f"{r.settings['temperature']:g}",
    "crop, share of the area": lambda r: "{:g} to {:g}".format(*r.config.augment.crop),
    "hue, turned by up to": lambda r: f"{r.config.augment.hue:g} of the circle",
    "blur, probability": lambda r: f"{r.config.augment.blur:g}",
}
show_table(
    [[name, *(read(one) for one in recipes.values())] for name, read in rows.items()],
    ["setting", *recipes],
    "Three recipes for SimCLR",
)

# %% [markdown]
# - **Hue**: on a card any colour is as good as any other. On a photo the colour tells something: the sky is blue. So
#   it turns a little only.
# - **Crop**: a photo shows the same thing on a small part as well, and the crop makes the task hard. (On a card a small
#   crop may show no object at all.)
# - **Stem**: 32 pixels are few. The usual ResNet-18 would throw away most of them in its first two layers, so for
#   CIFAR-10 it starts with a 3 × 3 convolution without stride, and has no max-pooling after it (SimCLR, App. B.9).
# - **Length**: with photos a run learns slowly and for long. The published runs of ResNet-18 on CIFAR-10
#   below take 200 epochs and more.
#
# ## The plan before the run
#
# `plan` builds the method, times a few steps of a copy, and says what to expect. Look at it before every long run. The
# command line prints it as well. Below is the full recipe, cut down to a few steps unless you have a GPU.

# %%
source = lesson.dataset
if source == "shapes" and find("cifar10") is not None:
    source = "cifar10"  # at hand, without a download
with redirect_stderr(sys.stdout):  # what is said of the data is no error
    images = pretraining_images(source, limit=None if lesson.full else 32, seed=lesson.seed)
chosen = recipe("simclr", "full", source, lesson.seed, side=tuple(images.images.shape[-2:]))
if not lesson.full:  # the same recipe, four steps of it
    short = replace(chosen.config, epochs=2, batch_size=16, precision="float32")
    chosen = replace(chosen, config=short)
print(plan(chosen, images, lesson.device))

# %% [markdown]
# **Quiz.** With CIFAR-10, the line *expect* names what others measured with ResNet-18 in 200 epochs. (Its range begins
# two points below their lower number, since they took the best epoch on test, and all 50,000 images. With the cards it
# says "not measured".) Does it hold for what is printed above it?
#
# <details><summary>Answer</summary>
#
# Only if that is what runs. It is the expectation of the whole recipe. With a few steps you learn whether the run
# starts, how long it takes and what it needs, not how good it gets. (The command line knows better: as soon as you
# change a setting, it says "not measured".)
#
# </details>
#
# ## Four ways to a cheaper step
#
# | | what it does | what it may cost |
# |---|---|---|
# | `precision="bfloat16"` | the network computes with numbers of 8 binary digits in place of 24; weights and loss stay in float32 | slower where the processor has no unit for it |
# | channels last | the channels of a pixel lie beside each other in memory; the course's encoders do it always | hardly anything |
# | `compile=True` | `torch.compile` joins small operations into large ones | a minute or more at the start |
# | `checkpointing=True` | keeps only the inputs of the encoder's parts, and computes the rest again | one more forward pass |
#
# **Predict**: which of these help on the processor that the record was made on?

# %% tags=["folded"]
# What each option does, as a factor on the same step without it
base = record["config"]["base"]
lines = []
for encoder in table:
    for option, factors in table[encoder]["factors"].items():
        step = f"{NAMES[encoder]}, batch {base[encoder]}"
        written = ["–" if factor is None else f"{factor:.2f}" for factor in factors]
        lines.append([OPTIONS[option][1], step, *written])
show_table(
    sorted(lines),
    ["option", "step", "time, factor", "memory, factor"],
    f"Below 1 is better; 32 pixels, recorded on {machine_of(record['config'])}",
)

# %% [markdown]
# <details><summary>What to see in it</summary>
#
# The numbers belong to one machine, and that is why you measure before you choose. With units for bfloat16, in a GPU or
# in a processor such as this one, bfloat16 is the first thing to switch on; on a processor without them it makes a step
# slower. Compiling changes the time by about a percent here: it is made above all for GPUs. Channels last saves
# time, most of it with the small ResNet. Activation checkpointing does what it promises everywhere: less memory for
# more time, and the same numbers. So a run that was cut may go on with it, on a
# GPU with less memory.
#
# </details>
#
# ### Debug this: the same loss, another accuracy
#
# A learner does not use `checkpointing=True`, but wraps each part of the encoder by torch's own function. The loss of
# every step is the same to the last digit. But the encoder is judged in eval mode, and there its features differ. What
# happened?

# %%
torch.manual_seed(0)
plain = small_resnet()
by_torch, by_course = copy.deepcopy(plain), copy.deepcopy(plain)
for part in (by_torch.stem, *by_torch.stages):
    part.forward = partial(checkpoint, part.forward, use_reentrant=False)

views = torch.rand(16, 3, 32, 32, generator=Generator().manual_seed(1))
plain(views).sum().backward()
by_torch(views).sum().backward()
with checkpointed(by_course):
    by_course(views).sum().backward()
for name, encoder in (("plain", plain), ("by torch", by_torch), ("by course", by_course)):
    norm = encoder.stages[0].norm1
    print(f"{name:<10} {int(norm.num_batches_tracked)} update(s), mean {norm.running_mean[0]:+.4f}")

# %% [markdown]
# <details><summary>Answer</summary>
#
# BatchNorm keeps a running mean for eval mode, and updates it in each forward pass. The second pass, which only
# computes activations again, updated it once more. In training mode nobody reads the running mean, so the loss is
# right. The course runs the second pass on a copy of these statistics.
#
# </details>
#
# ## Another batch size
#
# A batch that is $k$ times as large makes $k$ times fewer steps in an epoch, and its gradient is less noisy. The usual
# rule for SGD (Goyal et al. 2017): multiply the learning rate by $k$ as well. In the first epochs such a large rate
# would do harm, so the rate rises slowly there. This warm-up keeps its number of *epochs*.
#
# ### Exercise 2: scale the learning rate (4 min, easy)
#
# A recipe has the peak rate `base_rate` at batches of `base_batch`. Return the peak rate and the number of warm-up
# *steps* for batches of `batch` from a data set of `images`. The warm-up lasts `warmup_epochs` epochs.


# %% tags=["exercise"]
def my_scaled_rate(batch, images, base_batch, base_rate, warmup_epochs):
    """-> (peak learning rate, steps of warm-up)"""
    ### BEGIN SOLUTION
    rate = base_rate * batch / base_batch
    return rate, warmup_epochs * (images // batch)
    ### END SOLUTION


# %%
checks.scaled_rate(my_scaled_rate)

# %% [markdown] tags=["hints"]
# <details><summary>Hint 1</summary>
#
# By how many times is the batch as large as the base? The rate is as many times as large.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# An epoch has `images // batch` steps; the warm-up has as many for each of its epochs.
#
# </details>

# %% [markdown]
# The full recipe was made so: lightly's 0.06 for 128 images is 0.24 for 512. The rule has limits. At very large
# batches SGD by this rule can become unstable. SimCLR's authors therefore take LARS, at all batch sizes (sec. 2.2), and
# keep the linear rule. For Adam many scale by the square root (Malladi et al. 2022).
#
# ## What goes wrong between GPUs
#
# Every process computes NT-Xent of *all* embeddings, so its loss is that of one process on the whole batch. So on four
# GPUs, which share each batch, a view has as many negatives as on one (the last question of "Predict first").
# Each process gets the
# embeddings of the others by `all_gather`. But torch's plain `all_gather` passes no gradient back. Then each process
# learns from its own rows alone, and what the other processes' losses say about these rows is lost. No error, no wrong
# loss.
#
# ### Exercise 3: the way back (6 min, hard)
#
# There are $k$ processes. Row $i$ of the gathered embeddings was made by process $i \bmod k$. You get `gradients`, $(k,
# n, d)$: for each process the gradient of *its* loss with respect to all $n$ rows. Return what process `rank` must hand
# back to its own network, $(n / k, d)$. It minimises the *sum* of all losses. (DistributedDataParallel takes the mean of
# the weights' gradients later, so that in the end the mean of the losses is minimised.)


# %% tags=["exercise"]
def my_gather_backward(gradients, rank):
    """(k, n, d): gradient of each process's loss -> (n / k, d) for the rows of process `rank`"""
    ### BEGIN SOLUTION
    of_all_losses = gradients.sum(dim=0)  # (n, d)
    return of_all_losses[rank :: len(gradients)]
    ### END SOLUTION


# %%
checks.gather_backward(my_gather_backward)

# %% [markdown] tags=["hints"]
# <details><summary>Hint 1</summary>
#
# Two questions: which losses depend on a row, and which rows did this process make?
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# All $k$ losses depend on every row, so add over dimension 0. The mean is taken later, by others.
#
# </details>
#
# <details><summary>Hint 3</summary>
#
# The rows of a process are `rank`, `rank + k`, `rank + 2k`, ...: a slice with a step.
#
# </details>
#
# What does the plain version cost? Four processes in one, with a network of one matrix. The weights' gradient is
# compared with that of one process on the whole batch.

# %% tags=["folded"]
# Four processes in one, with and without the way back
x1, x2 = torch.randn(2, 32, 8, generator=Generator().manual_seed(0))
weights, k = torch.randn(8, 4, generator=Generator().manual_seed(1)).requires_grad_(), 4


def weights_gradient(plain_gather):
    parts = []
    for rank in range(k):
        z1, z2 = x1 @ weights, x2 @ weights
        if plain_gather:  # the rows of the others come without gradient
            own = (torch.arange(32) % k == rank)[:, None]
            z1, z2 = torch.where(own, z1, z1.detach()), torch.where(own, z2, z2.detach())
        parts.append(torch.autograd.grad(nt_xent(z1, z2, 0.5), weights)[0])
    return torch.stack(parts).mean(dim=0)  # as DistributedDataParallel does


(whole,) = torch.autograd.grad(nt_xent(x1 @ weights, x2 @ weights, 0.5), weights)
for name, plain_gather in (("with gradient", False), ("plain all_gather", True)):
    share = float(weights_gradient(plain_gather).norm() / whole.norm())
    print(f"{name}: {share:.3f} of the right length")

# %% [markdown]
# <details><summary>What to see in it</summary>
#
# The plain one has the right direction, and 1/k of the length: with four GPUs as if the learning rate were a quarter.
# (Adam hides it nearly, since it divides by the size of the gradient. SGD does not.) Many programs count only the rows
# of their own share as queries. There the direction is wrong as well: what a row does *as a negative* of others is
# lost.
#
# </details>
#
# The course tests this: two processes end with the weights of one process on the whole batch. They must also fit
# together. Another version of torch on one machine, a batch that cannot be shared equally, or another data set on one
# of them is refused in one sentence before the first step.
#
# ## Cut and go on
#
# A long run will be cut. The colab ends, the power fails, somebody needs the GPU. `pretrain(..., resume=FILE)` and
# `cl-course pretrain --resume` keep all that a run needs after every epoch, and the file is written whole or not at all.
#
# ### Exercise 4: what must be kept? (4 min, medium)
#
# A run of MoCo has the parts below. Return the names of those that a checkpoint must hold, so that the run goes on
# **to the very same losses**. Leave out what follows from the rest. The check cuts a small run in half, goes on with
# what you kept, and compares.
#
# `"weights"`, `"key weights"`, `"queue"`, `"optimizer"`, `"generator"` (of random numbers), `"epoch"`, `"gradients"`,
# `"learning rate"`, `"loss"`, `"images"`


# %% tags=["exercise"]
def my_kept():
    """-> the names of all that a checkpoint must hold, a set"""
    ### BEGIN SOLUTION
    return {"weights", "key weights", "queue", "optimizer", "generator", "epoch"}
    ### END SOLUTION


# %%
checks.kept(my_kept)

# %% [markdown] tags=["hints"]
# <details><summary>Hint 1</summary>
#
# Go through one step of MoCo and ask of each thing it uses: is it made anew in this step, or does it come from the last
# one?
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# SGD with momentum remembers old gradients. The order of the images and the augmentations come from a generator of
# random numbers, which has a state.
#
# </details>
#
# <details><summary>Hint 3</summary>
#
# Six parts are needed. The learning rate follows from the epoch, and gradients are made anew in each step.
#
# </details>
#
# Now the real thing: the recipe above, once in one piece, and once cut after its first epoch.


# %%
class PowerCut(Exception):
    pass


def in_epoch_2(row, method):
    if row["epoch"] == 2:
        raise PowerCut  # before the checkpoint of this epoch


def losses(**how):
    history = pretrain(chosen.build(images, lesson.device), images, chosen.config, **how)
    return history.column("loss")


file = lesson.checkpoint("08_full_scale")  # None in the quick profile
if file is None:
    in_one_piece = losses()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "run.pt"
        try:
            losses(on_epoch=in_epoch_2, resume=file)
        except PowerCut:
            size = file.stat().st_size / 1e6
            print(f"cut in epoch 2; {file.name} holds epoch 1, {size:.0f} MB")
        resumed = losses(resume=file)
    print("in one piece:", in_one_piece)
    print("cut:         ", resumed)
else:  # the whole recipe, on your GPU; run this cell again after a stop
    print("loss by epoch:", losses(resume=file))

# %% [markdown]
# On a CPU the numbers are the same. On a GPU some sums are added in another order each time, so the last digits may
# differ.
#
# Other failures are reported in one sentence too. Images that do not fit on the device are refused before the first
# step. For a step that needs more memory than there is, a GPU or another process that fails, or a loss that is not
# finite, the sentence also names the last good checkpoint. With `--resume` you may start again, take another device, or
# add `--checkpointing`. A smaller batch, chunks, another learning rate or temperature make another run: start it with a
# new checkpoint file.
#
# ## What published numbers measured
#
# Now to accuracy. Here is what others report. All of them look like "accuracy on CIFAR-10". **Before** you read the
# last column: which two would you compare?

# %% tags=["folded"]
# Published results, each with its protocol
show_table(
    PROTOCOLS,
    ["source", "trained", "accuracy, %", "accuracy of what"],
    "None of them gives seeds or error bars",
)

# %% [markdown]
# Compare numbers of one protocol, such as the three methods in one row of lightly's benchmark. Rows of different
# sources differ in more than the method:
#
# - **The best epoch on test** is no accuracy on unseen data: test has chosen it.
# - **kNN and a linear probe** ask different things (lesson 06). kNN also depends on $k$: lightly takes 200, the course
#   20.
# - **A symmetric loss** uses each image twice in an epoch. It is fair to compare it with an asymmetric one at twice the
#   epochs.
# - **An online probe** is a linear layer that is trained beside the encoder, on the same augmented views.
# - **The number of images**: many take all 50,000 training images. The course keeps 5,000 of them for validation.
#
# How much does choosing on test give, if all epochs are equally good? Below, every epoch has a true accuracy of 85 %,
# and each of 10,000 test images is right or wrong by chance alone.

# %%
rng = np.random.default_rng(lesson.seed)
gains = {}
for epochs in (1, 10, 50, 200):
    measured = rng.binomial(10_000, 0.85, size=(500, epochs)) / 10_000
    gains[epochs] = measured.max(axis=1) - 0.85

# %% tags=["folded"]
# How much too good the best of many epochs is
show(
    luck_figure(gains),
    alt="How much too good the best of several epochs is, in points of accuracy: "
    + ", ".join(f"{100 * values.mean():.1f} of {n}" for n, values in gains.items() if n > 1)
    + " epochs; bars hold nine of ten repetitions.",
)

# %% [markdown]
# That is the most that luck gives here: neighbouring epochs of a real run make mostly the same errors. But a curve that
# goes up and down gives more, since the maximum picks its highest point.
#
# ### Exercise 5: a fair number (5 min, medium)
#
# `val` and `test` are accuracies by seed and epoch, (seeds, epochs) each. Let validation choose the epoch, for each
# seed by itself; read test there; return the mean over seeds.


# %% tags=["exercise"]
def my_reported_accuracy(val, test):
    """(seeds, epochs) each -> the mean over seeds of test accuracy at the epoch that val chose"""
    ### BEGIN SOLUTION
    chosen_epoch = val.argmax(dim=1)  # (seeds,)
    return test[torch.arange(len(test)), chosen_epoch].mean()
    ### END SOLUTION


# %%
checks.reported_accuracy(my_reported_accuracy)

# %% [markdown] tags=["hints"]
# <details><summary>Hint 1</summary>
#
# Each row is a run of its own. Which of its epochs has the largest value in `val`?
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# `val.argmax(dim=1)` gives one epoch for each seed, (seeds,).
#
# </details>
#
# <details><summary>Hint 3</summary>
#
# Two index tensors pick one number from each row: `test[torch.arange(len(test)), epochs]`.
#
# </details>
#
# ## Our own runs on photos
#
# Full runs on a GPU would stand here, with ResNet-18 and 200 epochs. **They have not been made**: no GPU was at hand.
# The first table has long runs on one core each: a small encoder (1.2 million weights), all 50,000 photos that are not
# test, without labels. SimCLR has three seeds. MoCo and BYOL have **one each**: which method is ahead, they tell only
# where the difference is many times that between SimCLR's seeds. Their steps take longer, since their slow network
# embeds both views, too. *lightly's SimCLR* is the same encoder in that library's own loop and by its recipe, for the
# minutes of our SimCLR's first seed. (Other programs ran beside them: the minutes are a little high.)
#
# The second table compares the methods with three seeds each, in short runs of a smaller encoder on 10,000 photos.
# Both tables have raw pixels and the encoder before training. All are judged as always: kNN with $k = 20$ and a linear
# probe, after the last epoch, test read once. All choices were made by kNN on validation.

# %% tags=["folded"]
# The recorded runs on photos, and their curves
photos = recorded_runs("photos")
if photos:
    show_table(
        [
            [
                name,
                mean_and_spread([run["knn"] for run in of_it]),
                mean_and_spread([run["linear"] for run in of_it]),
                len(of_it),
                of_it[0].get("epochs") or None,
                mean_and_spread([run["core_minutes"] for run in of_it], 0),
            ]
            for name, of_it in by_name(photos).items()
        ],
        ["run", "kNN", "linear probe", "seeds", "epochs", "core minutes"],
        "CIFAR-10, all 50,000 photos, accuracy on test",
    )
    short = records.read("results_cifar10")
    show_table(
        [
            [
                name,
                mean_and_spread([run["knn"] for run in of_it]),
                mean_and_spread([run["linear"] for run in of_it]),
                len(of_it),
            ]
            for name, of_it in by_name(short["runs"], "row").items()
        ],
        ["run", "kNN", "linear probe", "seeds"],
        f"CIFAR-10, {short['config']['images']:,} photos, {short['config']['epochs']} epochs, "
        "accuracy on test",
    )
    curved = [run for run in photos if run.get("curve")]
    ends = {name: of_it[0]["curve"][-1] for name, of_it in by_name(curved).items()}
    show(
        curves_figure(curved),
        alt="Loss and kNN accuracy on validation by epoch, a line for each seed. At the end of "
        "the first seed of "
        + "; ".join(f"{name}: loss {row['loss']:.2f}" for name, row in ends.items())
        + ".",
    )

# %% [markdown]
# The losses are on different scales: SimCLR's candidates are the batch, MoCo's the queue, BYOL's loss is a distance,
# and lightly's temperature is 0.5. The kNN curves are flat at the end while the losses still fall a little: with a
# rate that falls to 0 there, one cannot say what a longer run would bring. A ranking of small networks after a short
# run is not that of ResNet-18 after 800 epochs.
#
# lightly's run ends behind at equal minutes, and the curves show it behind at equal epochs. Its recipe was made for
# GPUs and many epochs: in float32 (ours has bfloat16), one takes more than twice as long on a core.
#
# In the table all 45,000 training photos vote on test; in the figure, 10,000 of them vote on validation. So the curves
# end lower. The encoders of the long runs come with the course. Where CIFAR-10 is at hand, 2,000 labelled photos now
# vote on 1,000 of validation, so the numbers are lower again. (The encoders have seen these 1,000 without their
# labels.)

# %% tags=["folded"]
# The shipped encoders of photos, judged on few of them
names = shipped_encoders("cifar10") if find("cifar10") is not None else []
if names:
    voters = load("cifar10", "train", limit=2000)
    asked = load("cifar10", "val", limit=1000)
    lines = []
    for name in names:
        encoder, card = checkpoints.shipped(name)
        h, asked_h = (embed(encoder.to(lesson.device), each) for each in (voters, asked))
        lines.append([name, card["method"], knn_accuracy(h, voters.labels, asked_h, asked.labels)])
    show_table(lines, ["encoder", "method", "kNN"], "2,000 photos vote on 1,000 of validation")
else:
    print("no CIFAR-10 at hand, or no encoder of photos in this version")

# %% [markdown]
# ## Going deeper: one change at a time, on photos
#
# Lessons 02 to 04 varied parts of the recipe on the cards. Here the same is done on photos: the small encoder of the
# short runs above, 10,000 photos, ten epochs. The unchanged recipe is SimCLR with temperature 0.2, the views for photos
# (crop, flip, jitter, grey), batches of 128 and an MLP head. It stands in all four panels:
#
# - *temperature*: from 0.05 to 1;
# - *augmentation*: crop and flip alone, then with jitter, then with grey too (the recipe); *no crop* keeps flip, jitter
#   and grey; *the cards' recipe* crops less, and changes colours more, than the recipe for photos;
# - *batch and queue*: SimCLR with 32, 128 and 512 images in a batch, and MoCo with 32 images and a queue of 1,024 keys.
#   The learning rate follows the batch by the square-root rule;
# - *head*: none, a linear one, or the MLP.
#
# Each dot is a seed, the bar is their mean. **Predict** first: which panel has the largest differences? Which value is
# the best in each? How many points of accuracy do the views of the cards' recipe cost on photos?

# %% tags=["folded"]
# Ablations on photos
ablations = recorded_runs("photo_ablations")
if ablations:
    means = {
        (axis, value): np.mean([run["knn"] for run in runs])
        for (axis, value), runs in by_name(ablations, "axis", "value").items()
    }
    show(
        ablation_figure(ablations),
        alt="kNN accuracy on test by one change at a time: "
        + "; ".join(f"{axis} {value}: {mean:.3f}" for (axis, value), mean in means.items())
        + ".",
    )

# %% [markdown]
# <details><summary>What to see in it</summary>
#
# - **Augmentation** has the largest differences. Without the crop (0.30) the network learns little that it did not have
#   before training (0.27, the random encoder of the short runs above). Crop and flip alone (0.35) gain a little more:
#   probably colour gives the partner away, as in lesson 01. On the cards such runs ended near chance (lesson 03).
#   The cards' views cost three to four points against those for photos.
# - **Temperature**: in these ten epochs 1 is too high, 0.5 as well. 0.05 and 0.1 are level, a point above the recipe's
#   0.2. That does not refute the 0.5 of the full recipe above: with ResNet-50 and longer runs, 0.5 was the best of
#   0.1, 0.5 and 1 on CIFAR-10 (SimCLR, App. B.9).
# - **Batch and queue**: from 32 to 512 images little changes, and not upwards. A larger batch has more negatives, but
#   makes fewer steps in ten epochs. Neither does a queue help here: MoCo with batches of 32 stays behind SimCLR with
#   the same batch. But only one setting of MoCo was run: queue and momentum of its recipe for batches of 128, and
#   SimCLR's learning rate.
# - **Head**: a linear one is a point ahead of the MLP, and none a point behind. In SimCLR's paper the MLP leads by three
#   points and none is more than ten behind (sec. 4.2, ResNet-50 on ImageNet). A run of ten epochs of a small network
#   does not show that.
#
# These are accuracies on test, so they may not choose the recipe: it stays as validation has chosen it.
#
# </details>

# %% [markdown]
# ## Quiz
#
# **1.** A paper reports 91.0 after 800 epochs, the best epoch on test. You get 89.6 at the end of yours, on 45,000
# images. Is your code wrong?
#
# <details><summary>Answer</summary>
#
# Nothing says so. You chose no epoch, and you used a tenth fewer images. Compute your number by their protocol first:
# the best epoch on test, with their $k$. (And keep it out of your own table.)
#
# </details>
#
# **2.** Your GPU holds a batch of 256, and you want 1,024 negatives or more. Name three ways, and their price.
#
# <details><summary>Answer</summary>
#
# Activation checkpointing (time); GradCache in chunks (time, and BatchNorm sees chunks, lesson 07); more GPUs (money,
# and gathering with gradient). MoCo's queue is a fourth: other negatives, of a slow network. Accumulation is none.
#
# </details>
#
# **3.** A run on four GPUs stops with "the processes of a run differ in pixels". What is wrong?
#
# <details><summary>Answer</summary>
#
# One process has read other images than the rest: another file on one machine, or another seed with a limit. Without
# this comparison they would have trained together without an error.
#
# </details>
#
# ## Recap
#
# | question | answer |
# |---|---|
# | twice the batch | twice the memory, the same time for an epoch, twice the negatives |
# | twice the side | four times of both |
# | $k$ GPUs | $1/k$ of the batch each; gather with gradient, or the gradient is $1/k$ |
# | another batch size | the rate in proportion (SGD), the warm-up in epochs |
# | short of memory | checkpointing: the same numbers, but mind the running statistics |
# | a cut run | weights, slow copy, queue, optimiser, generator, epoch |
# | a published number | which epoch, who chose it, which judge, how many images |
#
# This lesson adds no row to the running results, which are of the cards: the runs on photos stand in their own tables
# above.
#
# Next: lesson 09, your own pictures.
#
# ## References
#
# - T. Chen, S. Kornblith, M. Norouzi, G. Hinton. *A simple framework for contrastive learning of visual representations* (SimCLR). 2020, [arXiv:2002.05709](https://arxiv.org/abs/2002.05709). CIFAR-10, App. B.9.
# - P. Goyal et al. *Accurate, large minibatch SGD: training ImageNet in 1 hour*. 2017, [arXiv:1706.02677](https://arxiv.org/abs/1706.02677). The linear rule and the warm-up.
# - Y. You, I. Gitman, B. Ginsburg. *Large batch training of convolutional networks* (LARS). 2017, [arXiv:1708.03888](https://arxiv.org/abs/1708.03888).
# - S. Malladi, K. Lyu, A. Panigrahi, S. Arora. *On the SDEs and scaling rules for adaptive gradient algorithms*. 2022, [arXiv:2205.10287](https://arxiv.org/abs/2205.10287). The square-root rule.
# - T. Chen, B. Xu, C. Zhang, C. Guestrin. *Training deep nets with sublinear memory cost*. 2016, [arXiv:1604.06174](https://arxiv.org/abs/1604.06174). Activation checkpointing.
# - K. He et al. *Momentum contrast for unsupervised visual representation learning* (MoCo). 2020, [arXiv:1911.05722](https://arxiv.org/abs/1911.05722). The authors' CIFAR demo: [colab.research.google.com/github/facebookresearch/moco](https://colab.research.google.com/github/facebookresearch/moco/blob/colab-notebook/colab/moco_cifar10_demo.ipynb).
# - I. Susmelj et al. *lightly*, benchmarks: [docs.lightly.ai](https://docs.lightly.ai/self-supervised-learning/getting_started/benchmarks.html).
# - V. Turrisi da Costa et al. *solo-learn: a library of self-supervised methods for visual representation learning*. 2022, [arXiv:2108.01775](https://arxiv.org/abs/2108.01775).
# - A. Coates, H. Lee, A. Ng. *An analysis of single-layer networks in unsupervised feature learning*. 2011. STL-10: [cs.stanford.edu/~acoates/stl10](https://cs.stanford.edu/~acoates/stl10/).
# - P. Lippe. *UvA deep learning tutorial 17*. [uvadlc-notebooks.readthedocs.io](https://uvadlc-notebooks.readthedocs.io/en/latest/tutorial_notebooks/tutorial17/SimCLR.html).
# - T. Silva. *sthalles/SimCLR*. [github.com/sthalles/SimCLR](https://github.com/sthalles/SimCLR). J. Spijkervet. *Spijkervet/SimCLR*. [github.com/Spijkervet/SimCLR](https://github.com/Spijkervet/SimCLR).
