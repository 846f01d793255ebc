# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # 03 SimCLR
#
# **What you will be able to do**
#
# - write the training step of SimCLR, and all of SimCLR in thirty lines;
# - train it on a laptop in about a minute and say, without a label, whether the run is healthy;
# - say which part of the network is kept, and what the part that is thrown away has forgotten;
# - predict what temperature, augmentation and batch size do to a run, and compare with recorded runs;
# - find a bug that makes a good network look like a bad one.
#
# **Time**: {minutes} minutes, and {deeper_minutes} more for the sections *Going deeper*.
# **Needs**: two views (lesson 01) and NT-Xent (lesson 02). It computes for about two minutes on two cores.

# %% tags=["setup"]
# set-up cell: inserted by the build

# %% tags=["parameters"]
profile = "auto"  # "quick" (CPU) or "full" (GPU); "auto" looks what is there
dataset = "auto"  # "shapes", "cifar10", "stl10" or the path of a folder of images
seed = 0  # any whole number from 0
device = "auto"  # "cpu", "cuda" or "mps"

# %% tags=["folded"]
# Imports
import copy
import math

import torch
import torch.nn.functional as F
from scipy.stats import spearmanr
from torch import Generator, nn

from cl_course import checks
from cl_course.augment import two_views
from cl_course.data import load, shuffled_batches, to_float
from cl_course.diagnose import effective_rank, spread
from cl_course.evaluate import embed, factor_probe, knn_accuracy
from cl_course.lessons.shared.health_panel import HealthPanel
from cl_course.lessons.shared.neighbours import embedding_map
from cl_course.lessons.shared.pictures import channels_last
from cl_course.lessons.shared.results import judged, results_section
from cl_course.lessons.shared.show import show
from cl_course.lessons.shared.tables import mean_and_spread, show_runs, show_table
from cl_course.lessons.simclr.figures import pipeline_figure
from cl_course.lessons.simclr.head_figures import heads_figure, probes_figure
from cl_course.lessons.simclr.lab_ablation import ablation_lab
from cl_course.lessons.simclr.lab_neighbours import neighbours_lab
from cl_course.lessons.simclr.lab_your_loss import your_loss_training
from cl_course.losses import chance_loss, nt_xent
from cl_course.methods import SimCLR
from cl_course.models import projector, small_resnet
from cl_course.running import records
from cl_course.running.plans import plan
from cl_course.running.recipes import recipe
from cl_course.running.reuse import load_or_train
from cl_course.running.settings import settings
from cl_course.train import TrainConfig, learning_rate_at, pretrain

lesson = settings(globals())

# %% [markdown]
# ## Predict first
#
# Here is the shop of flashcards again: 8,000 cards with ten kinds of object, and no names. In this lesson a network
# learns to tell the kinds apart without being told that there are kinds.
#
# We judge it by **nearest neighbours** (kNN): describe every card by a vector; take a card that was not used for
# training; find the 20 training cards whose vectors have the most similar directions; let *their* names vote, nearer
# cards with more weight (Wu et al. 2018). Names are used only to judge. Guessing gets 0.1. Write down what you expect if
# the vector is
#
# 1. the raw pixels,
# 2. the output of a network with random weights,
# 3. the output of the same network after a minute of SimCLR on two cores.

# %% tags=["folded"]
# Load the images: train, validation and test
few = None if lesson.full else 8000  # of a larger set, quick takes as many as shapes has
train = load(lesson.dataset, "train", limit=few)
val, test = load(lesson.dataset, "val"), load(lesson.dataset, "test")
if train.labels is None:
    raise ValueError(
        f"{lesson.dataset} has no labels, and this lesson judges by them: "
        "sort it into one folder a class"
    )
some = torch.randperm(len(train), generator=Generator().manual_seed(0))[:4000]
gallery = train.subset(some)  # the images whose names may vote
print(f"{len(train):,} images to train on, {len(val):,} to watch, {len(test):,} for the very end")
print(f"classes: {', '.join(train.class_names)}")

# %% [markdown]
# ## The idea
#
# SimCLR (Chen et al. 2020) has four parts. You have built two of them.

# %% tags=["folded"]
# The parts of SimCLR as a picture
side = tuple(train.images.shape[-2:])
chosen = recipe("simclr", lesson.profile, lesson.dataset, lesson.seed, side=side)
config = chosen.config
card = to_float(train.images[1:2])
views = two_views(card, config.augment, Generator().manual_seed(lesson.seed))
show(
    pipeline_figure(*(channels_last(picture)[0] for picture in (card, *views)), dims=(128, 128)),
    alt="One image becomes two views; the same encoder turns each into h, the same "
    "projector turns h into z; z1 and z2 are pulled together, the views of other "
    "images pushed away. After training the encoder is kept, the projector is not.",
)

# %% [markdown]
# | part | what it does | here |
# |---|---|---|
# | **augmentation** | makes two views of each image (lesson 01) | crop, flip, colour jitter, grey |
# | **encoder** $f$ | turns a view into **features** $h = f(\text{view})$: what we want in the end | a small ResNet |
# | **projector** $g$, or projection head | turns features into **embeddings** $z = g(h)$: what the loss compares | two linear layers, BatchNorm and ReLU between them |
# | **loss** | pulls positive pairs together, pushes negative pairs apart (lesson 02) | NT-Xent |
#
# A **positive pair** is two views of one image; a **negative pair** is two views of different images. All views go
# through the *same* encoder and the *same* projector. After training the projector is thrown away. Why train a part
# that is not kept? A section below measures the answer.
#
# ### Exercise 1: the training step (8 min, medium)
#
# You get a batch of images. Make two views, embed both, compute the loss, and let the optimizer take one step. This is
# Algorithm 1 of the paper, in about eight lines. Return the loss, a tensor or a number. You are given:
#
# - `make_view(images)`: one random view of every image, drawn anew at each call;
# - `encoder` and `projector`: two modules. They may be in *eval mode*, as the last accuracy check left them;
# - `optimizer`: it holds the weights of both;
# - `nt_xent(z1, z2, temperature)`: the loss of lesson 02.


# %% tags=["exercise"]
def my_training_step(images, make_view, encoder, projector, optimizer, temperature):
    """One step of SimCLR on images (n, 3, h, w): views, embeddings, update. Returns the loss."""
    ### BEGIN SOLUTION
    encoder.train()
    projector.train()
    view1, view2 = make_view(images), make_view(images)
    z1, z2 = projector(encoder(view1)), projector(encoder(view2))
    loss = nt_xent(z1, z2, temperature)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.detach()
    ### END SOLUTION


# %%
checks.training_step(my_training_step)

# %% [markdown] tags=["hints"]
# <details><summary>Hint 1</summary>
#
# Five things happen, in this order: training mode, views, embeddings, loss, update. The update takes three calls, as in
# any PyTorch loop.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# One call of `make_view` makes *one* view. And the loss takes `z`, not `h`: each view goes through two networks.
#
# </details>
#
# <details><summary>Hint 3</summary>
#
# `encoder.train()`, `projector.train()`; `z1 = projector(encoder(make_view(images)))`, and `z2` in the same way;
# `loss = nt_xent(...)` with all three arguments; then `optimizer.zero_grad()`, `loss.backward()`,
# `optimizer.step()`; return the loss.
#
# </details>

# %% [markdown]
# ## SimCLR in thirty lines
#
# The method is a class with two networks. Both views go through as *one* batch of $2n$: this is faster, and BatchNorm
# then uses the same statistics for both. Around it is the loop: shuffle, cut into batches, take a training step. The
# optimizer is AdamW. Its learning rate first rises (*warm-up*), then follows a cosine down to 0; you write it below.


# %%
class MySimCLR(nn.Module):
    def __init__(self, encoder, projector, temperature):
        super().__init__()
        self.encoder, self.projector, self.temperature = encoder, projector, temperature

    def loss(self, view1, view2):
        h = self.encoder(torch.cat([view1, view2]))  # (2n, 128)
        z1, z2 = self.projector(h).chunk(2)  # (n, 128) each
        return nt_xent(z1, z2, self.temperature)


def my_pretrain(method, images, config):
    optimizer = torch.optim.AdamW(method.parameters(), weight_decay=config.weight_decay, fused=True)
    generator = Generator().manual_seed(config.seed)
    total, losses = config.epochs * (len(images) // config.batch_size), []
    method.train()
    for _ in range(config.epochs):
        for batch in shuffled_batches(len(images), config.batch_size, generator):
            view1, view2 = two_views(to_float(images.images[batch]), config.augment, generator)
            loss = method.loss(view1, view2)
            optimizer.zero_grad()
            loss.backward()
            optimizer.param_groups[0]["lr"] = learning_rate_at(len(losses), total, config)
            optimizer.step()
            losses.append(loss.item())
    return losses


# %% [markdown]
# ### Exercise 2: the learning rate (5 min, medium)
#
# `learning_rate_at` above gives each step its rate. Write it. Steps count from 0 to `total - 1`:
#
# - the first `warmup` steps rise evenly: 1, 2, 3, ... times `peak / (warmup + 1)`, so that no step is without effect;
# - from step `warmup` on, half a cosine falls from `peak` in this step to 0 at step `total`, which is no longer taken.


# %% tags=["exercise"]
def my_learning_rate(step, total, warmup, peak):
    """The learning rate of one step, a number."""
    ### BEGIN SOLUTION
    if step < warmup:
        return peak * (step + 1) / (warmup + 1)
    progress = (step - warmup) / (total - warmup)  # 0 to 1
    return peak * (1 + math.cos(math.pi * progress)) / 2
    ### END SOLUTION


# %%
checks.learning_rate(my_learning_rate)

# %% [markdown] tags=["hints"]
# <details><summary>Hint 1</summary>
#
# Two cases, `step < warmup` or not. In the second, which share of the way down is done at step `warmup`, and which at `total`?
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# The progress goes from 0 to 1: `(step - warmup) / (total - warmup)`. The cosine of 0 is 1, that of $\pi$ is -1.
#
# </details>
#
# <details><summary>Hint 3</summary>
#
# Half a cosine from 1 down to 0 is `(1 + math.cos(math.pi * progress)) / 2`.
#
# </details>

# %% [markdown]
# Is that really all? The package's `SimCLR` and `pretrain` add checkpoints, a progress bar and more, but they compute
# the same: from the same seed and on the same 640 images, both must reach the same weights.

# %% tags=["folded"]
# The thirty lines and the package, trained from the same seed and compared
short, first = TrainConfig(epochs=2, seed=lesson.seed), train.subset(torch.arange(640))
both = []
for make in (MySimCLR, SimCLR):
    torch.manual_seed(lesson.seed)
    encoder = small_resnet()
    both.append(make(encoder, projector(encoder.dim), 0.3))
mine, packages = both
losses = torch.tensor(my_pretrain(mine, first, short)).view(2, 5)  # 2 epochs of 5 steps
history = pretrain(packages, first, short)
torch.testing.assert_close(losses.mean(dim=1), torch.tensor(history.column("loss")))
for a, b in zip(mine.parameters(), packages.parameters()):
    torch.testing.assert_close(a, b)
print("loss by epoch, thirty lines:", [round(x, 4) for x in losses.mean(dim=1).tolist()])
print("loss by epoch, package:     ", [round(x, 4) for x in history.column("loss")])
print("and the same weights, all of them")

# %% [markdown]
# ## Before training
#
# Now the first two of your predictions. Until the last section we judge the network on *validation* images. We look at
# them often, and what we look at often is no longer a fair test. The test images are used once, at the end.

# %%
method = chosen.build(train, lesson.device)
before = copy.deepcopy(method.encoder)


def vote(describe, gallery=gallery, queries=val):
    """kNN accuracy of a description, ImageSet -> (n, d)."""
    return knn_accuracy(describe(gallery), gallery.labels, describe(queries), queries.labels)


print(f"kNN, raw pixels:     {vote(lambda images: to_float(images.images).flatten(1)):.3f}")
print(f"kNN, random encoder: {vote(lambda images: embed(before, images)):.3f}")
checkpoint = lesson.checkpoint("03_simclr")  # None in the quick profile
planned = plan(chosen, train, lesson.device, resume=checkpoint)  # from a few timed steps of a copy
print(f"\n{planned}")

# %% [markdown]
# Keep the second number: it is what this network reaches without learning. On our cards it is even below the pixels'.
# The line *expect* comes from recorded runs on test images, where all 8,000 training cards may vote. Below only 4,000 vote,
# on validation images, so expect a little less.
#
# ### Exercise 3: the spread (5 min, medium)
#
# How do we see, without labels, that a network has **collapsed**, that is, gives the same embedding for every image?
# We measure how far the embeddings are spread over the sphere of all directions:
#
# 1. give each row of `z`, $(m, d)$, the length 1: the loss compares directions only;
# 2. take the standard deviation of each of the $d$ dimensions over the $m$ rows;
# 3. average these, and multiply by $\sqrt d$. This makes 1 the value of an even spread, for any $d$.


# %% tags=["exercise"]
def my_spread(z):
    """Embeddings (m, d), of any length -> one number: 0 for one point, 1 for an even spread."""
    ### BEGIN SOLUTION
    z = F.normalize(z, dim=1)
    deviations = z.std(dim=0)  # (d,)
    return deviations.mean() * z.shape[1] ** 0.5
    ### END SOLUTION


# %%
checks.spread(my_spread)

# %% [markdown] tags=["hints"]
# <details><summary>Hint 1</summary>
#
# Three lines, one for each point above. Watch which dimension each one works along.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# Rows are images: lengths are taken along `dim=1`, deviations over the images, along `dim=0`.
#
# </details>
#
# <details><summary>Hint 3</summary>
#
# `F.normalize(z, dim=1)`, then `.std(dim=0)`, then `.mean()` times `z.shape[1] ** 0.5`.
#
# </details>

# %% [markdown]
# **Predict** the spread of three batches of 256 embeddings in 128 dimensions: random directions; all at one point;
# half at one point, the other half at the opposite point.

# %%
point = torch.randn(1, 128, generator=Generator().manual_seed(0))
batches = {
    "random directions": torch.randn(256, 128, generator=Generator().manual_seed(1)),
    "one point": point.repeat(256, 1),
    "two opposite points": torch.cat([point.repeat(128, 1), -point.repeat(128, 1)]),
}
for name, z in batches.items():
    print(f"{name:20} spread {spread(z):.2f}   effective rank {effective_rank(z):5.1f}")

# %% [markdown]
# <details><summary>Answer</summary>
#
# The third one is the surprise: the spread is far from 0, although these embeddings hold one bit. So we also look at the
# **effective rank**: how many dimensions are really used. Divide the singular values of the table of embeddings by their
# sum, and take the exponential of the entropy of these shares (RankMe, Garrido et al. 2023, eq. 1). Here it is 1. (The
# spread is from SimSiam, Chen & He 2021, sec. 4.1, there without the factor $\sqrt d$.)
#
# </details>
#
# ## Train
#
# During training, watch the **health panel**. Only kNN needs labels; the rest also works on your own data.
#
# - **Loss**, against the chance line $\ln(2n - 1)$ of lesson 02. On the line the network guesses.
# - **Similarities** of embeddings, of positive and of negative pairs. When the network learns, they move apart. (Wang &
#   Isola 2020 measure the same two aims by *alignment* and *uniformity*.)
# - **kNN** on validation images.
# - **Collapse?** The spread of $z$, and the effective rank of $h$ as a share of its 128 dimensions. (RankMe uses $z$; we
#   apply its formula to $h$, since $h$ is kept.) A spread near 0 or a rank near 1 means a dead network, whatever the loss.
#
# **Predict**: where will the loss end, near 0? And in the second half, when the loss falls slowly, will kNN still gain?

# %%
panel = HealthPanel(gallery, val, config)
key = {"lesson": "03", "settings": lesson, "recipe": chosen}
rows = load_or_train(
    key, lambda: pretrain(method, train, config, on_epoch=panel, resume=checkpoint).rows, method
)
if panel.rows != rows:  # the run, or the first part of it, was made before and only read
    panel.replay(rows, method)
kept = copy.deepcopy(method.encoder)  # as one would save it now; "Debug this" takes it up

# %% tags=["folded"]
# The run in numbers
n, T = config.batch_size, method.temperature
floor = math.log(
    1 + (2 * n - 2) * math.exp(-1 / T)
)  # positive pairs at similarity 1, negative ones at 0
stages = {"first": rows[0], "half-way": rows[len(rows) // 2 - 1], "last": rows[-1]}
show_table(
    [[name, f"{row['loss']:.2f}", f"{row['knn']:.3f}"] for name, row in stages.items()],
    ["epoch", "loss", "kNN"],
)
print(f"loss of guessing: {chance_loss(n):.2f}")
print(f"loss if all positive pairs had similarity 1 and all negative pairs 0: {floor:.2f}")
print(f"{sum(row['seconds'] for row in rows):.0f} s of training; planned {planned.seconds:.0f} s")

# %% [markdown]
# <details><summary>What to see in it</summary>
#
# The loss does not end near 0, and it cannot: even with positive pairs at similarity 1 and negative ones at 0 it would
# still be the number in the line *loss if all positive pairs had similarity 1*, since $2n - 2$ negatives weigh something at
# this temperature. And in our run kNN still rises in the second half. If you judged by the loss alone, you might stop too
# early. The kNN of the last epoch is the answer to the third of your first predictions.
#
# </details>
#
# Look at the similarities again: some negative pairs are as similar as positive ones, although in every step the loss
# pushes negative pairs apart. **Predict**: which images are these? For the answer we need the labels.

# %% tags=["folded"]
# Similarities of positive pairs, and of negative pairs with the same and with another class
method.eval()
with torch.no_grad():
    z1, z2 = method.embeddings(*(view.to(lesson.device) for view in panel.views))
similarity = F.cosine_similarity(z1[:, None], z2, dim=2).cpu()  # (n, n)
y = val.labels[: len(z1)]
alike, itself = y[:, None] == y, torch.eye(len(y), dtype=torch.bool)
groups = {
    "positive": itself,
    "negative, same class": alike & ~itself,
    "negative, other class": ~alike,
}
show_table(
    [
        [
            name,
            f"{len(similarity[which]):,}",
            f"{similarity[which].mean():.2f} ± {similarity[which].std():.2f}",
        ]
        for name, which in groups.items()
    ],
    ["pairs", "how many", "similarity"],
    "Cosine similarity of embeddings, mean ± standard deviation over pairs",
)

# %% [markdown]
# Two stars are a negative pair for the loss. Yet their embeddings are much closer than those of a star and a heart. For
# the loss this is an error that remains; for us it is the aim.
#
# **Quiz.** Why can the loss not push two stars apart, although it tries whenever they meet in a batch?
#
# <details><summary>Answer</summary>
#
# It would need something by which to tell them apart that survives the augmentation. Colour is drawn anew in each view;
# position and size survive only roughly. What the views of a card share best is its shape and its stripes, and two stars
# have both in common (each kind of object has its own stripes). The tempting answer, "the network is too small", does not
# explain it: with weaker augmentations the same network separates cards by their colours (lesson 01, "too weak").
#
# </details>
#
# ## Neighbours, before and after
#
# Choose a query on the sheet, by a click or by the arrow keys. For each encoder the lab shows the six nearest cards,
# and under each its cosine similarity to the query. A solid green frame (✓) means the query's class, a dashed red one
# (✗) another class. A click on a neighbour makes it the query, so you can walk from card to card. The lab searches a
# part of the gallery, as much as fits into the page; its text says how many cards.
#
# **Predict**: by what will the *random* encoder choose its neighbours?

# %%
encoders = {"random encoder": before, "after training": method.encoder}
features = {name: (embed(f, gallery), embed(f, val)) for name, f in encoders.items()}
neighbours_lab(gallery, val, features)

# %% [markdown]
# <details><summary>Answer</summary>
#
# By colours: for a red thing on green it finds red things on green. After training most neighbours show the query's
# *kind* of object, in any colour.
#
# </details>
#
# ### Exercise 4: do neighbours agree? (5 min, medium)
#
# Turn this look into a number. You get features `h` and the class of each image. For each image take the *one* other image
# that is nearest by cosine similarity. Return the share of images whose nearest image has the same class, 0 to 1. (kNN
# above asks 20, with weights.)


# %% tags=["exercise"]
def my_neighbours_agree(h, labels):
    """Features (n, d), of any length; classes (n,) -> share of images that agree."""
    ### BEGIN SOLUTION
    h = F.normalize(h, dim=1)
    similarity = h @ h.T  # (n, n)
    similarity.fill_diagonal_(-torch.inf)  # an image is not its own neighbour
    nearest = similarity.argmax(dim=1)
    return (labels[nearest] == labels).float().mean()
    ### END SOLUTION


# %%
checks.neighbours_agree(my_neighbours_agree)

# %% [markdown] tags=["hints"]
# <details><summary>Hint 1</summary>
#
# You need a table of all similarities, $(n, n)$, and from each row the place of the largest. Which entry is always the
# largest, and must not count?
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# Normalise the rows, multiply `h @ h.T`, set the diagonal to `-torch.inf`, take `argmax(dim=1)`.
#
# </details>
#
# <details><summary>Hint 3</summary>
#
# `labels[nearest] == labels` is True or False for each image; `.float().mean()` is the share.
#
# </details>

# %% [markdown]
# ## The projector: why train what is thrown away?
#
# Nine recorded runs answer it: three with no projector (the loss compares $h$ itself), three with a linear one, three
# with the MLP (multi-layer perceptron, the two layers above). They are shorter than yours, and were judged on test. The
# **linear probe** is a logistic regression on the frozen features. **Predict**: which is better, $h$ or $z$?

# %% tags=["folded"]
# Recorded runs with three kinds of projection head
record = records.read("projection_head")
show(
    heads_figure(record["runs"]),
    alt="Accuracy for three kinds of head, read from h and from z. Without a head both "
    "are lowest; with a linear or an MLP head h is better, and a little better than "
    "z.",
)

# %% [markdown]
# - **A head helps.** Without one, the loss works on $h$ itself, and $h$ ends up worse than behind either head.
# - **Linear or MLP?** Three seeds cannot tell these two apart here. On ImageNet the paper finds the MLP 3 points better
#   than the linear one, and more than 10 better than none (sec. 4.2).
# - **Read from $h$**: with a head, $h$ is better than $z$ in every recorded run, though not by much.
#
# What does $z$ lose? The cards were drawn from known factors: hues, position, scale, angle. A **factor probe** tries to
# predict each one from $h$, from the hidden layer of the head (after its ReLU) and from $z$ by linear regression.
# $R^2 = 1$ is exact; 0 is no better than always answering the mean. **Predict**: what happens to the position, which every
# crop changes?

# %% tags=["folded"]
# What can be read from h, from the hidden layer and from z
mlp = [run for run in record["runs"] if run["head"] == "mlp"]
layers = ("h", "hidden", "z")
scores = {
    f: [[run[layer]["probes"][f] for run in mlp] for layer in layers] for f in mlp[0]["h"]["probes"]
}
show(
    probes_figure(layers, scores, "MLP head, three seeds: what z forgets"),
    alt="From h over the hidden layer to z: position falls most, background hue fades to "
    "nothing, class accuracy and scale fall slightly, angle rises a little.",
)
show_table(
    [
        [name, *(mean_and_spread(values, 2) for values in by_layer)]
        for name, by_layer in scores.items()
    ],
    ["read", *layers],
    "Class: accuracy on test; factors: R²; mean ± standard deviation of three seeds",
)

# %% [markdown]
# <details><summary>Answer</summary>
#
# Position falls most, and the rest of the background's hue goes: crops and colour jitter change both, so the loss rewards
# $z$ for not knowing them. The usual explanation of why a head helps is that the head does this forgetting, so that $h$
# need not. The paper sees the same in runs whose augmentations also rotated the images: the rotation can be told from $h$
# in 68 % of cases, from $z$ in 26 %, with 25 % being chance (tab. 3).
#
# Not everything gets lost: the angle is read a little *better* from the hidden layer and from $z$ than from $h$. We do not
# know why. And our probe shows what can be read *linearly*: "forgotten" may also mean "there, but not linearly". (The
# probes of the paper are MLPs.)
#
# </details>
#
# **Quiz.** Your task is to say *where* on the card the object is. Which output do you take?
#
# <details><summary>Answer</summary>
#
# $h$, or a layer before it. "$z$, since it was trained" is the tempting answer, and in the figure the worst: the training
# rewards $z$ for ignoring the position. (The first section *Going deeper* follows the position through the whole network.)
#
# </details>

# %% [markdown]
# ## Debug this: a good network, and a folder
#
# A learner trained this network, saw the panel that you saw, and saved the encoder (`kept` above). The next day the test
# pictures came in one folder for each class, and were read folder by folder. The learner judged the encoder with the
# lines below. Run them. Which line is missing?


# %%
def describe(images):
    with torch.no_grad():
        parts = images.images.split(200)
        return torch.cat([kept(to_float(part).to(lesson.device)).cpu() for part in parts])


folder = val.subset(val.labels.argsort(stable=True))  # class by class, as folders are read
order = torch.randperm(len(folder), generator=Generator().manual_seed(0))
print(f"in the panel:              {rows[-1]['knn']:.3f}")
print(f"from the folder:           {vote(describe, queries=folder):.3f}")
print(f"from the folder, shuffled: {vote(describe, queries=folder.subset(order)):.3f}")

# %% [markdown]
# <details><summary>A clue</summary>
#
# The same network, the same pictures, another order. So the features of an image depend on the *other* images in its
# batch of 200. Which layer mixes the images of a batch?
#
# </details>
#
# <details><summary>The line, and why</summary>
#
# `kept.eval()` is missing. In training mode BatchNorm subtracts the mean of the current batch. In a batch of stars only,
# the mean holds what stars have in common, and this is what would tell them from discs. Shuffled batches are alike, so
# the damage is small there, and the bug can stay hidden. Also, each pass in training mode moves BatchNorm's running
# statistics: *judging* the network has changed it. A test: embed one image alone and among others; the features must
# be equal.
#
# This happened: Spijkervet/SimCLR, issue 19, features taken without `eval()`, a much lower accuracy on test, and a
# network that changes although nothing is trained. The maintainer tried it and saw no such drop. You now know one thing on
# which it can depend: the order of the images.
#
# </details>
#
# ### Exercise 5: features you can trust (5 min, medium)
#
# Write the function that the learner needed. You get a trained encoder and projector, in training *or* in eval mode, and a
# batch of images. Return the output that is kept after training, one row for each image, such that
#
# - each image's features depend on this image alone;
# - no gradient graph is kept;
# - the encoder is left as it came: the same running statistics, the same mode.


# %% tags=["exercise"]
def my_features(encoder, projector, images):
    """Trained encoder and projector, images (n, 3, h, w) -> what is kept of each image, (n, d)."""
    ### BEGIN SOLUTION
    was_training = encoder.training
    encoder.eval()
    with torch.no_grad():
        h = encoder(images)
    encoder.train(was_training)
    return h
    ### END SOLUTION


# %%
checks.features(my_features)

# %% [markdown] tags=["hints"]
# <details><summary>Hint 1</summary>
#
# Which output is kept, $h$ or $z$? And which mode makes BatchNorm use its running statistics?
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# `encoder.training` is True or False: keep it in a name before you change the mode. `with torch.no_grad():` keeps no graph.
#
# </details>
#
# <details><summary>Hint 3</summary>
#
# `encoder.eval()`; `h = encoder(images)` under `torch.no_grad()`; then `encoder.train(was_training)`; return `h`.
#
# </details>

# %% tags=["folded"]
# The folder again, now in eval mode
kept.eval()
print(f"in eval mode, after those passes in training mode: {vote(describe, queries=folder):.3f}")
untouched = vote(lambda images: embed(method.encoder, images))
print(f"{'a copy without such passes:':50} {untouched:.3f}")

# %% [markdown]
# ## Your loss, your training
#
# What happens if the loss has a mistake? Train with yours and see.
#
# ### Exercise 6: your own loss (2 min, easy)
#
# Put your `my_nt_xent` of lesson 02 below (or write it again). It may be wrong: the check tells you, and the next cell
# trains with it all the same. **Predict** first what a forgotten mask (each view stays a candidate of itself) does.


# %% tags=["exercise"]
def my_nt_xent(z1, z2, temperature):
    """z1, z2: (n, d), row i of both is image i -> NT-Xent, a scalar."""
    ### BEGIN SOLUTION
    n = len(z1)
    z = F.normalize(torch.cat([z1, z2]), dim=1)  # (2n, d)
    logits = z @ z.T / temperature  # (2n, 2n)
    logits = logits.masked_fill(torch.eye(2 * n, dtype=torch.bool, device=z.device), -torch.inf)
    return F.cross_entropy(logits, torch.arange(2 * n, device=z.device).roll(n))
    ### END SOLUTION


# %%
checks.nt_xent(my_nt_xent)

# %% [markdown] tags=["hints"]
# <details><summary>Hint 1</summary>
#
# Lesson 02, exercise 4. Its solution is folded there.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# All $2n$ views against all; no view is its own candidate; cross-entropy with the partner's index.
#
# </details>
#
# <details><summary>Hint 3</summary>
#
# For the forgotten mask leave out the line with `masked_fill`.
#
# </details>

# %% [markdown]
# Two small SimCLRs start from the same weights and see the same views. One is trained with your loss, one with the
# course's.

# %%
your_loss_training(my_nt_xent)

# %% [markdown]
# <details><summary>What a forgotten mask does</summary>
#
# Each view competes with itself, at similarity 1, and no step can change that. So the loss is clearly higher before the
# first step: the first thing to look at. What the network learns suffers less than one expects. We tried three seeds at
# the temperature 0.1 of this cell. kNN ended lower each time, but in two of the three by no more than two *right* losses
# that round differently can differ; at temperature 0.2 the better one changed with the seed. So the sentence under the
# figure calls a small difference in kNN "about as well": one run cannot decide it, and such a bug can stay hidden. (A right
# loss of your own may also end some hundredths above or below the course's: training makes differences in the last digit
# grow.)
#
# </details>
#
# ## Ablation: what matters?
#
# An **ablation** changes one thing at a time and looks at what gets worse. Here are 18 settings with three seeds each: 3
# temperatures, 3 augmentations, 2 batch sizes. The runs are short, and all see each image equally often: batch 32 takes
# four times the steps of batch 128, at half the learning rate (the square-root rule of Malladi et al. 2022 for Adam,
# without its changes of betas and epsilon). They were judged on test, so use them to understand the settings, not to
# choose one.
#
# **Predict, then reveal.** Choose a setting, set your guess (with the slider, or by dragging the ring in the chart) and press
# Reveal. Each panel changes one thing and holds the others at your choice. Start with these three, with a reason for each:
#
# 1. no change of colour: *crop + flip*;
# 2. temperature 1.0 instead of 0.3;
# 3. batch 32 instead of 128: a quarter of the negatives.

# %%
ablation = records.read("ablation")
held = {"temperature": 0.3, "augment": "+ jitter + grey", "batch_size": 128}
ablation_lab(ablation["runs"], start=held, revealed=[tuple(held.values())])

# %% [markdown]
# Now the same with every setting revealed, and all of it as a table. Do not scroll on before you have guessed.

# %% tags=["folded"]
# Every setting: around the recipe or any other, and as a table
every_setting = [tuple(run[factor] for factor in held) for run in ablation["runs"]]
ablation_lab(ablation["runs"], start=held, revealed=every_setting)
show_runs(ablation["runs"], rows=("augment", "batch_size"), column="temperature")
full = [run for run in ablation["runs"] if run["augment"] == "+ jitter + grey"]
knn = {(run["temperature"], run["batch_size"], run["seed"]): run["knn"] for run in full}
pairs = [knn[t, 32, s] > knn[t, 128, s] for t, batch, s in knn if batch == 32]
print(
    f"full recipe: batch 32 beats batch 128 in {sum(pairs)} of {len(pairs)} "
    "pairs of one temperature and seed"
)

# %% [markdown]
# - **Augmentation decides.** Without a change of colour kNN is near chance (0.1), at every temperature and batch size: colours
#   are enough to find the positive (lesson 01), so little else is learned.
# - **Jitter without grey is a lottery** in most settings: one setting ends anywhere from poor to good, by the seed alone. A
#   likely reason: jitter turns *all* hues of a picture by the same angle, so the difference between object and background
#   survives, and some runs use it. With batch 32 and temperatures 0.3 and 1.0 the seeds agree all the same.
# - **Temperature**: with the full recipe 1.0 is worse; it pushes all negatives nearly alike (lesson 02). Between 0.05 and 0.3
#   these runs cannot decide. The paper's best is 0.1 on ImageNet and 0.5 on CIFAR-10 (tab. 5, app. B.9).
# - **Batch size**: a quarter of the negatives, *with four times as many steps*, did no visible harm here. The paper finds
#   larger batches better on ImageNet at equal epochs, and less so in longer training (fig. 9). Lesson 04 continues from here.
#
# **Quiz.** Somebody shows you one run with grey and one without, far apart, and concludes that grey is worth the difference.
# What do you ask for?
#
# <details><summary>Answer</summary>
#
# More seeds of each. Look at the three dots of *+ jitter* in the chart: the seed alone moves them further apart than the
# means with and without grey lie. A difference of two runs is a result only if it is larger than the spread of the
# seeds within each setting.
#
# </details>
#
# ## Quiz
#
# **1.** A team builds an image search for satellite pictures of 21 kinds: nearest neighbours in the output $z$ of a SimCLR
# network. The untrained network finds the right kind in 25 % of cases, five times chance; with training the rate goes
# *down*. (Lightning-Universe/lightning-bolts, issue 356.) Explain both.
#
# <details><summary>Answer</summary>
#
# An untrained network above chance is no bug: random weights pass on colours and textures, and in satellite pictures
# these go with the kind. A likely reason for the drop: they search in $z$, which is trained to ignore what the
# augmentation changes: with colour jitter, the colours that helped so far. They should search in $h$, and ask which
# augmentations destroy what they look for.
#
# </details>
#
# **2.** You change the batch size from 128 to 512 and keep the number of epochs. What have you changed?
#
# <details><summary>Answer</summary>
#
# At least four things: four times the negatives, a quarter of the steps, a learning rate that may no longer fit, and the
# chance line (up by about ln 4), so that the losses cannot be compared.
#
# </details>
#
# **3.** "SimCLR used no label at all." Is that true of the network you have just trained?
#
# <details><summary>Answer</summary>
#
# No label went into its weights. But somebody chose augmentations, temperature and epochs by looking at accuracies, that
# is, at labels. For your own data without labels you have to know what may change between two views (lesson 01), or look
# at the health panel.
#
# </details>
#
# **4.** Two runs end at the same loss. The effective rank of $h$ is 60 of 128 in one, 6 in the other. Which do you trust?
#
# <details><summary>Answer</summary>
#
# The first, as long as nothing else is known. The loss sees only angles between embeddings $z$, and few dimensions can be
# enough to keep a batch apart. Jing et al. (2022) describe embeddings $z$ that use only part of their dimensions, and call
# it *dimensional collapse*. A high rank is a hint and no proof: noise has full rank.
#
# </details>
#
# ## The running results table
#
# Now the test images, once. The record has three seeds of each row (the pixels have none), with the same encoder, images,
# epochs and augmentations. kNN asks all 8,000 training images; the probe's strength is chosen on validation.

# %%
live = judged("SimCLR", method.encoder, train, val, test, seed=lesson.seed)
as_recorded = lesson.dataset == "shapes" and not lesson.full
results_section(leave_out=["MoCo", "BYOL"], live=live if as_recorded else None)

# %% [markdown]
# From *random encoder* to *SimCLR*: what was learned from cards without names. From *SimCLR* to *supervised*: what 8,000
# names add, with the same network and epochs. In the pixels' row the two judges disagree: which one you choose is part of
# the result (lesson 06).
#
# ## Recap
#
# - SimCLR is two views, one network, one loss: thirty lines.
# - Loss against the chance line, similarities of pairs, spread, effective rank: four looks that need no label.
# - Use $h$: $z$ has forgotten more of what the augmentation changes.
# - Of the settings tried here the augmentation matters most; it decides what "the same" means.
# - Judge in eval mode, on validation, against a random encoder; use the test images once.
#
# Next: lesson 04, MoCo. Negatives need not come from the batch.

# %% [markdown]
# ## Going deeper: one image through all layers
#
# Follow your own network from its first block to $z$, and ask at each depth what can be read there: the class by kNN, the
# factors by linear regression. **Predict**: where does kNN peak, and where the position?


# %% tags=["folded"]
# Features at every depth, and what can be read from them
@torch.no_grad()
def every_depth(images):
    """Features after each block of the encoder, averaged over the map; then of the projector."""
    depths = {}
    for part in images.images.split(500):
        x, found = method.encoder.stem(to_float(part).to(lesson.device)), {}
        for number, block in enumerate(method.encoder.stages, start=1):
            x = block(x)
            found[f"block {number}"] = x.mean(dim=(2, 3))
        found["h"] = found.pop(f"block {number}")  # the last block, averaged, is h
        found |= {"hidden": method.projector[:3](found["h"]), "z": method.projector(found["h"])}
        for depth, features_there in found.items():
            depths.setdefault(depth, []).append(features_there.cpu())
    return {depth: torch.cat(parts) for depth, parts in depths.items()}


factors = [
    f for f in ("object_hue", "background_hue", "position", "scale", "angle") if f in train.factors
]
of_gallery, of_val = every_depth(gallery), every_depth(val)
known = [{name: images.factors[name] for name in factors} for images in (gallery, val)]
read = {name: [] for name in ("class", *factors)}
for depth, h in of_val.items():
    read["class"].append([knn_accuracy(of_gallery[depth], gallery.labels, h, val.labels)])
    for name, score in factor_probe(of_gallery[depth], known[0], h, known[1]).items():
        read[name].append([score])
show(
    probes_figure(list(of_val), read, "your run: what can be read at each depth"),
    alt="From the first block over h to z: kNN accuracy of the class, and the R² of each "
    "factor. The numbers are in the table below.",
)
show_table(
    [[name, *(f"{value:.2f}" for (value,) in values)] for name, values in read.items()],
    ["read", *of_val],
    "Your run, one seed, validation. Class: kNN accuracy; factors: R²",
)
print(
    "effective rank: "
    + ", ".join(f"{d} {effective_rank(of_val[d]):.0f}" for d in ("h", "hidden", "z"))
)

# %% [markdown]
# <details><summary>What to see in it</summary>
#
# In our run the class rises with depth up to $h$ and stays about level after it. The hues fade from block to block, mostly
# before the projector. The position is read best from $h$, and less from the layers after it. This is one run. In the
# three recorded runs with an MLP head the position falls after $h$ as well, and the class falls slightly.
#
# </details>
#
# Cutting a network before its last layers helps beyond SimCLR, where the training task and the later task differ; Bordes
# et al. (2022) call it guillotine regularization. SimCLR v2 makes the head deeper and cuts inside it.

# %% [markdown]
# ## Going deeper: a map, and how far to trust it
#
# UMAP (McInnes et al. 2018) places points of 128 dimensions on a plane so that near neighbours stay near. Below are 1,000
# validation cards before and after training. UMAP has not seen the labels; colours and markers show them to us. The
# middle panel is the first one again, with each card's point in the card's own mean colour.

# %% tags=["folded"]
# Maps of the features before and after training
from umap import UMAP  # slow to import, so only here


def draw_map(h, neighbours=15):
    umap = UMAP(n_neighbors=neighbours, metric="cosine", random_state=lesson.seed, n_jobs=1)
    return umap.fit_transform(h[:1000].numpy())


names = val.labels[:1000]
before_h, after_h = (h for _, h in features.values())
random_map, trained_map = draw_map(before_h), draw_map(after_h)
painted = "random, cards' colours"
show(
    embedding_map(
        {"random encoder": random_map, painted: random_map, "after training": trained_map},
        names.numpy(),
        val.class_names,
        painted={painted: to_float(val.images[:1000]).mean(dim=(2, 3)).numpy()},
    ),
    alt="Three maps of the same 1,000 cards: random encoder by class, random encoder in "
    "the cards' own colours, and after training by class.",
)

# %% [markdown]
# The middle panel suggests what the random encoder sees: colour. The right panel looks convincing; be careful. The next
# cell draws **the same trained features** twice more. Only UMAP's setting `n_neighbors` differs. **Predict**: which of the
# three maps is the true one?

# %% tags=["folded"]
# The same features with three settings of UMAP
again = {"15 neighbours": trained_map} | {f"{k} neighbours": draw_map(after_h, k) for k in (3, 100)}
show(
    embedding_map(again, names.numpy(), val.class_names),
    alt="The same trained features mapped with 15, 3 and 100 neighbours.",
)


def apart(points):
    """How far the centres of each two classes lie apart."""
    return torch.pdist(
        torch.stack([torch.as_tensor(points)[names == c].mean(dim=0) for c in names.unique()])
    )


true = apart(F.normalize(after_h[:1000], dim=1))
show_table(
    [[title, f"{spearmanr(true, apart(points)).statistic:.2f}"] for title, points in again.items()],
    ["map", "agreement"],
    "Distances between classes on the map and among the features: "
    "Spearman's rank correlation (1: same order, 0: none)",
)
by_class = []
for c, name in enumerate(val.class_names):
    h, y = after_h[val.labels == c], val.labels[val.labels == c]
    by_class.append(
        f"{name} {knn_accuracy(features['after training'][0], gallery.labels, h, y):.2f}"
    )
print("kNN by class:", ", ".join(by_class))

# %% [markdown]
# <details><summary>Answer</summary>
#
# None. Each is one picture of 128 dimensions in two.
#
# </details>
#
# What a UMAP tells, and what it does not:
#
# - **Points that lie together are often near in the features too.** Near neighbours are what UMAP tries to keep, but two
#   dimensions cannot keep all of them (Chari & Pachter 2023).
# - **The number of islands, their size and density are partly the choice of `n_neighbors`.**
# - **Distances between islands are rough at best**, and change with `n_neighbors` (the table).
# - **Classes that share an island need not be mixed up**: compare the islands with kNN by class, printed last.
# - **A map alone does not show that features are good.** Give a number too, on held-out images: kNN, a probe.
#
# (Coenen & Pearce have a page of such maps to play with; Chari & Pachter measure how much is lost.)

# %% [markdown]
# ## Going deeper: the same thing in other letters
#
# | here | SimCLR | SimCLR v2 | MoCo | BYOL, SimSiam | lightly, solo-learn |
# |---|---|---|---|---|---|
# | encoder | $f(\cdot)$, base encoder | $f$ | $f_q$ | $f_\theta$, backbone | backbone |
# | $h$, features | $h$, representation | $h$ | features | $y$, representation | features |
# | projector | $g(\cdot)$, projection head | $g$, 3 layers | fc, mlp | $g_\theta$, projector | projection head, projector |
# | $z$, embedding | $z$ | $z$ | $q$, $k$ | $z$ | embedding, z |
# | `view1`, `view2` | $\tilde x_i$, $\tilde x_j$ | $x_{2k-1}$, $x_{2k}$ | $x_q$, $x_k$ | $v$, $v'$ | views, x0 and x1 |
# | $n$ images | $N$ | $N$ | $N$ | $N$ | batch size |
# | `temperature` | $\tau$ | $\tau$ | $\tau$ | none | temperature |

# %% [markdown]
# ## References
#
# - T. Chen, S. Kornblith, M. Norouzi, G. Hinton. *A simple framework for contrastive learning of visual representations* (SimCLR). 2020, [arXiv:2002.05709](https://arxiv.org/abs/2002.05709). Algorithm 1; augmentations, fig. 5; the projection head, sec. 4.2; batch size, fig. 9.
# - T. Chen, S. Kornblith, K. Swersky, M. Norouzi, G. Hinton. *Big self-supervised models are strong semi-supervised learners* (SimCLR v2). 2020, [arXiv:2006.10029](https://arxiv.org/abs/2006.10029). A deeper head, cut inside it.
# - L. Jing, P. Vincent, Y. LeCun, Y. Tian. *Understanding dimensional collapse in contrastive self-supervised learning*. 2022, [arXiv:2110.09348](https://arxiv.org/abs/2110.09348).
# - F. Bordes, R. Balestriero, Q. Garrido, A. Bardes, P. Vincent. *Guillotine regularization*. 2022, [arXiv:2206.13378](https://arxiv.org/abs/2206.13378). Why cutting layers off helps, and not only here.
# - Q. Garrido, R. Balestriero, L. Najman, Y. LeCun. *RankMe*. 2023, [arXiv:2210.02885](https://arxiv.org/abs/2210.02885). Effective rank without labels.
# - T. Wang, P. Isola. *Understanding contrastive representation learning through alignment and uniformity on the hypersphere*. 2020, [arXiv:2005.10242](https://arxiv.org/abs/2005.10242).
# - X. Chen, K. He. *Exploring simple Siamese representation learning* (SimSiam). 2021, [arXiv:2011.10566](https://arxiv.org/abs/2011.10566). The spread, sec. 4.1.
# - Z. Wu, Y. Xiong, S. Yu, D. Lin. *Unsupervised feature learning via non-parametric instance discrimination*. 2018, [arXiv:1805.01978](https://arxiv.org/abs/1805.01978). The weighted kNN vote.
# - S. Malladi, K. Lyu, A. Panigrahi, S. Arora. *On the SDEs and scaling rules for adaptive gradient algorithms*. 2022, [arXiv:2205.10287](https://arxiv.org/abs/2205.10287).
# - L. McInnes, J. Healy, J. Melville. *UMAP*. 2018, [arXiv:1802.03426](https://arxiv.org/abs/1802.03426). A. Coenen, A. Pearce. [*Understanding UMAP*](https://pair-code.github.io/understanding-umap/). T. Chari, L. Pachter. *The specious art of single-cell genomics*. PLOS Computational Biology 2023.
