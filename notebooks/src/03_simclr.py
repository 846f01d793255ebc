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
# - say why the network is cut in two after training, and what the part that is thrown away has forgotten;
# - foretell what temperature, augmentation and batch size do to a run, and check it against recorded ones;
# - find a bug that makes a good network look like a bad one.
#
# **Time**: 60 minutes. **Needs**: two views (lesson 01) and NT-Xent (lesson 02). It computes for less than two
# minutes on two cores, one of them the training.

# %% tags=["setup"]
# set-up cell: inserted by the build

# %% tags=["parameters"]
profile = "auto"  # "quick" (CPU, about a minute of training) or "full" (GPU, hours); "auto" looks what is there
dataset = "auto"  # "shapes", "cifar10", "stl10" or the path of a folder of images, one folder a class
seed = 0  # any whole number from 0
device = "auto"  # "cpu", "cuda" or "mps"

# %%
import copy
import math

import torch
import torch.nn.functional as F
from scipy.stats import spearmanr
from torch import Generator, nn

from cl_course import checks
from cl_course.augment import two_views
from cl_course.data import load, shuffled_batches, to_float
from cl_course.diagnose import effective_rank
from cl_course.evaluate import embed, factor_probe, knn_accuracy, linear_probe
from cl_course.lessons.shared.ablation_figure import ablation_figure
from cl_course.lessons.shared.health_panel import HealthPanel
from cl_course.lessons.shared.neighbours import embedding_map
from cl_course.lessons.shared.results import results_figure
from cl_course.lessons.shared.show import show
from cl_course.lessons.shared.tables import show_runs
from cl_course.lessons.simclr.figures import pipeline_figure
from cl_course.lessons.simclr.head_figures import heads_figure, probes_figure
from cl_course.lessons.simclr.lab_ablation import ablation_lab
from cl_course.lessons.simclr.lab_neighbours import neighbours, neighbours_lab
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
# The shop of flashcards again: 8,000 cards, ten kinds of object, no names. In this lesson a network learns to
# tell the kinds apart, and nobody ever tells it that there are kinds.
#
# The judge is a **nearest-neighbour vote** (kNN): describe every card by a vector, take an unseen card, look up the
# 20 cards whose vectors point most nearly the same way, and let *their* names vote, the nearer the louder. Names are
# needed for judging only; nothing is trained on them. Guessing gets 0.1. Write down what you expect of
#
# 1. the raw pixels as the vector,
# 2. the output of a network with random weights,
# 3. the same network after a minute of SimCLR on two cores.

# %%
few = None if lesson.full else 8000  # of a larger set, quick takes as many as shapes has
train = load(lesson.dataset, "train", limit=few)
val, test = load(lesson.dataset, "val"), load(lesson.dataset, "test")
if train.labels is None:
    raise ValueError(f"{lesson.dataset} has no labels, and this lesson judges by them: sort it into one folder a class")
some = torch.randperm(len(train), generator=Generator().manual_seed(0))[:4000]
gallery = train.subset(some)  # the images whose names may vote
print(f"{len(train):,} images to learn from; {len(val):,} to watch by; {len(test):,} for the very end")
print(f"classes: {', '.join(train.class_names)}")

# %% [markdown]
# ## The idea
#
# SimCLR (Chen et al. 2020) has four parts, and you have built two of them.

# %%
chosen = recipe("simclr", lesson.profile, lesson.dataset, lesson.seed, side=train.images.shape[-1])
config = chosen.config
card = to_float(train.images[1:2])
disguised = two_views(card, config.augment, Generator().manual_seed(lesson.seed))
pictures = [views[0].permute(1, 2, 0).numpy() for views in (card, *disguised)]
show(
    pipeline_figure(*pictures, dims=(128, 128)),
    alt="One image becomes two views; the same encoder turns each into h, the same projector turns h into z; z1 and z2 "
    "are pulled together, the views of other images pushed away. After training the encoder is kept, the projector not.",
)

# %% [markdown]
# | part | what it does | here |
# |---|---|---|
# | **augmentation** | makes two views of each image (lesson 01) | crop, flip, colour jitter, grey |
# | **encoder** $f$ | turns a view into **features** $h = f(\text{view})$: what we want to have in the end | a small ResNet |
# | **projector** $g$, or projection head | turns features into **embeddings** $z = g(h)$: what the loss compares | two linear layers, BatchNorm and ReLU between them |
# | **loss** | pulls partners together, pushes the other images' views away (lesson 02) | NT-Xent |
#
# Both views go through the *same* encoder and the *same* projector. Afterwards the projector is thrown away. Why
# train a part only to discard it? Keep the question; a section below measures the answer.

# %%
# NBVAL_CHECK_OUTPUT
encoder = small_resnet()
head = projector(encoder.dim)
view1 = torch.rand(4, 3, 32, 32)
h1 = encoder(view1)
z1 = head(h1)
weights = [sum(p.numel() for p in part.parameters()) for part in (encoder, head)]
print(f"view1 {tuple(view1.shape)} -> h1 {tuple(h1.shape)} -> z1 {tuple(z1.shape)}")
print(f"encoder {weights[0]:,} weights, projector {weights[1]:,}")

# %% [markdown]
# ## Exercise: the training step
#
# A batch of images comes in. Make two views, embed both, compute the loss, and let the optimiser take one step
# downhill. In words, this is Algorithm 1 of the paper; in code, about eight lines. Everything you need is handed in:
#
# - `make_view(images)` gives one random view of every image, drawn anew at each call;
# - `encoder` and `projector` are modules. They may arrive in *eval mode*, as the last accuracy check has left them;
# - `optimizer` holds the weights of both;
# - `nt_xent(z1, z2, temperature)` is the loss of lesson 02.


# %% tags=["exercise"]
def my_training_step(images, make_view, encoder, projector, optimizer, temperature):
    """One step of SimCLR on images (n, 3, h, w): two views, embeddings, loss, gradient, update. Returns the loss."""
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
# Five things happen, in this order: training mode, views, embeddings, loss, update. The update itself is three calls,
# the same three as in any PyTorch loop.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# One call of `make_view` makes *one* view. And the loss wants `z`, not `h`: each view goes through two networks.
#
# </details>
#
# <details><summary>Hint 3</summary>
#
# `encoder.train()`, `projector.train()`; `z1 = projector(encoder(make_view(images)))` and `z2` likewise;
# `loss = nt_xent(...)` with all three arguments; then `optimizer.zero_grad()`, `loss.backward()`,
# `optimizer.step()`; return the loss.
#
# </details>

# %% [markdown]
# ## SimCLR in thirty lines
#
# The method is a class with two networks and one line of mathematics. Both views go through as *one* batch of $2n$:
# that is faster, and BatchNorm then normalises them by common statistics, so that the two views cannot be told apart
# by theirs. Around it goes the loop: shuffle, cut into batches, take your training step. The optimiser is AdamW; its
# learning rate first climbs, while the gradients are still wild, and then follows a cosine down to 0. Labels appear
# nowhere.


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
# Is that really all? The package's `SimCLR` and `pretrain` add checkpoints, a progress bar and other devices, but
# no other mathematics. From the same seed, on the same 640 images, both must arrive at the same weights.

# %%
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
# From here on the lesson uses the package's.
#
# ## Before training
#
# Now the first two of your predictions. Until the last section your network is judged on *validation* images: we shall
# look at them often, and what one looks at often is no longer a fair judge. Its test images stay closed until the end.

# %%
method = chosen.build(train, lesson.device)
before = copy.deepcopy(method.encoder)


def vote(describe, gallery=gallery, queries=val):
    """kNN accuracy of a description, ImageSet -> (n, d)."""
    return knn_accuracy(describe(gallery), gallery.labels, describe(queries), queries.labels)


print(f"kNN, raw pixels:     {vote(lambda images: to_float(images.images).flatten(1)):.3f}")
print(f"kNN, random encoder: {vote(lambda images: embed(before, images)):.3f}")
checkpoint = lesson.checkpoint("03_simclr")  # None in the quick profile
foretold = plan(chosen, train, lesson.device, resume=checkpoint)  # from a few timed steps of a copy
print(f"\n{foretold}")

# %% [markdown]
# The random network does *worse* than the pixels it looks at: it mixes them without knowing what matters. Keep that
# number: whatever comes out above it, learning has put in.
#
# ## Train
#
# While it runs, watch the **health panel**. All of it but kNN needs no label, so it works on your own data too.
#
# - **Loss**, against the chance line ln(2n - 1) of lesson 02. On the line the network guesses.
# - **Similarities** of embeddings: of *partners*, two views of one image, and of *strangers*, views of different
#   images. Learning means that the two heaps part.
# - **kNN** on validation, with borrowed names.
# - **Collapse?** The *spread* of $z$ is 1 when the embeddings fill their sphere evenly and 0 when all are the same
#   point. The *effective rank* of $h$ counts the dimensions that the features really use: the exponential of the entropy
#   of their singular values (Garrido et al. 2023). A spread near 0 or a rank near 1
#   means a dead network, whatever the loss says. (RankMe measures $z$; we take the same formula on $h$, which is what is kept.)
#
# **Predict**: where will the loss end, near 0? And in the second half of the epochs, when the loss hardly moves any more,
# will kNN still gain?

# %%
panel = HealthPanel(gallery, val, config)
key = {"lesson": "03", "settings": lesson, "recipe": chosen}
rows = load_or_train(key, lambda: pretrain(method, train, config, on_epoch=panel, resume=checkpoint).rows, method)
if panel.rows != rows:  # the run, or the first part of it, was made before and only read
    panel.replay(rows, method)
kept = copy.deepcopy(method.encoder)  # as one would save it now; "Debug this" takes it up

# %% [markdown]
# <details><summary>What to see in it</summary>
#
# At first the loss falls and kNN rises together. In the second half the loss only creeps, and kNN still gains: judging
# by the loss alone, one would stop too early. And the loss does not end near 0. It cannot: the next cell computes the
# least that it can sensibly be at this temperature.
#
# </details>
#
# Then look at the strangers' heap once more: its right end reaches far into the partners'. Who are these strangers that
# the network finds as alike as partners, though the loss pushes them apart at every step? Here we peek at the names.

# %%
n, T = config.batch_size, method.temperature
floor = math.log(1 + (2 * n - 2) * math.exp(-1 / T))  # partners at similarity 1, strangers at 0
for name, row in (("first", rows[0]), ("half-way", rows[len(rows) // 2 - 1]), ("last", rows[-1])):
    print(f"{name:10} loss {row['loss']:.2f}   kNN {row['knn']:.3f}")
print(f"loss of guessing {chance_loss(n):.2f}; of partners alike and strangers at right angles {floor:.2f}")
print(f"{sum(row['seconds'] for row in rows):.0f} s of training, {foretold.seconds:.0f} s foretold\n")

method.eval()
with torch.no_grad():
    z1, z2 = method.embeddings(*(view.to(lesson.device) for view in panel.views))
similarity = F.cosine_similarity(z1[:, None], z2, dim=2).cpu()  # (n, n)
y = val.labels[: len(z1)]
alike, partner = y[:, None] == y, torch.eye(len(y), dtype=torch.bool)
groups = {"partners": partner, "strangers, same class": alike & ~partner, "strangers, other class": ~alike}
for name, which in groups.items():
    values = similarity[which]
    print(f"{name:24} {len(values):6,} pairs, similarity {values.mean():5.2f} ± {values.std():.2f}")

# %% [markdown]
# Two stars are two strangers to the loss: nobody told it otherwise. Yet their embeddings have come close, far closer than
# those of a star and a heart. To the loss this is an error it fails to remove; to us it is the whole point.
#
# **Quiz.** Why can the loss not push two stars apart, when it tries in every batch in which they meet?
#
# <details><summary>Answer</summary>
#
# Because it would have to do so by something that survives the augmentation. Colour is drawn anew in each view, and
# position and size survive only roughly (the next sections find them in $z$ still, so two stars need not fall on one
# point). The surest thing that all views of a card share is its shape and its stripes, and these the two stars have in
# common. The tempting answer, "the network is too small to separate them", has it the wrong way round: with weaker
# augmentations the same network separates cards by their colours, and its neighbours are worthless (lesson 01, "too weak").
#
# </details>
#
# ## Neighbours, before and after
#
# **Predict**: by what will the *random* encoder choose its neighbours? Move the slider through the queries and look for
# what its choices have in common. A green frame means the same class, a dashed red one another.

# %%
encoders = {"random encoder": before, "after training": method.encoder}
features = {name: (embed(f, gallery), embed(f, val)) for name, f in encoders.items()}
neighbours_lab(gallery, val, features)

# %%
classes = range(len(val.class_names))
which = torch.tensor([int((val.labels == c).nonzero()[0]) for c in classes[::3]])  # a card of every third class
show(
    neighbours(gallery, val, features, which, k=5),
    alt="Queries with the five nearest cards before and after training: the random encoder picks cards of similar "
    "colours and mostly other shapes, the trained one mostly the same shape in any colour.",
    photo=True,
)

# %% [markdown]
# The random encoder goes by colours: a red thing on green has red things on green for neighbours. After training the
# neighbours have the query's *shape*, in any colour.
#
# ## A map, and how far to trust it
#
# UMAP (McInnes et al. 2018) puts each point of 128 dimensions on a sheet of paper, such that points that are
# neighbours there become neighbours here. Below are 1,000 validation cards before and after training. UMAP has not
# seen the names; colours and markers show them to us. The panel in the middle is the first one again, with each card's
# point in the card's own mean colour.

# %%
from umap import UMAP  # slow to import, so only here


def draw_map(h, neighbours=15):
    umap = UMAP(n_neighbors=neighbours, metric="cosine", random_state=lesson.seed, n_jobs=1)
    return umap.fit_transform(h[:1000].numpy())


names = val.labels[:1000]
before_h, after_h = (h for _, h in features.values())
random_map, trained_map = draw_map(before_h), draw_map(after_h)
painted = "random encoder, cards' own colours"
show(
    embedding_map(
        {"random encoder": random_map, painted: random_map, "after training": trained_map},
        names.numpy(),
        val.class_names,
        painted={painted: to_float(val.images[:1000]).mean(dim=(2, 3)).numpy()},
    ),
    alt="Three maps of the same 1,000 cards. Random encoder: all ten classes mixed; painted in the cards' own "
    "colours, the same map is sorted by colour. After training: classes lie together, some on islands of their "
    "own, some side by side on a common land.",
)

# %% [markdown]
# The middle panel says what the random encoder sees: colour. The right one is convincing, and to be distrusted. The next
# cell draws **the same trained features** twice more; only UMAP's own setting `n_neighbors` differs. **Predict**: which of the
# three maps is the true one?

# %%
again = {"15 neighbours": trained_map} | {f"{k} neighbours": draw_map(after_h, k) for k in (3, 100)}
show(
    embedding_map(again, names.numpy(), val.class_names),
    alt="The same trained features mapped with 15, 3 and 100 neighbours: the number of islands, their shapes and "
    "which lie side by side all differ.",
)


def apart(points):
    """How far the centres of each two classes lie apart."""
    return torch.pdist(torch.stack([torch.as_tensor(points)[names == c].mean(dim=0) for c in classes]))


true = apart(F.normalize(after_h[:1000], dim=1))
for title, points in again.items():
    agreement = spearmanr(true, apart(points)).statistic
    print(f"which classes lie far apart: a map with {title:14} and the features agree to {agreement:.2f}")
print("kNN by class:", end=" ")
for c, name in enumerate(val.class_names):
    h, y = after_h[val.labels == c], val.labels[val.labels == c]
    print(name, f"{knn_accuracy(features['after training'][0], gallery.labels, h, y):.2f}", end="  ")

# %% [markdown]
# What to take from a UMAP, and what not:
#
# - **What lies together**: mostly real. Near neighbours are what UMAP is made to keep.
# - **How many** islands there are, how large and how dense: partly the choice of `n_neighbors`. None of the maps is the true one.
# - **How far** islands lie from one another: roughly at best, and it changes with `n_neighbors`. The cell above compares the distances between classes on paper with
#   those among the features by Spearman's rank correlation: 1 is agreement, 0 none.
# - **What shares an island is mixed up**: only in part. The vote (last line) tells most cards apart that lie side by side.
# - **Whether the features are good**: never from a map. Put a number beside it, on held-out images: kNN, a probe.
#
# (Coenen & Pearce have a page of such maps to play with; Chari & Pachter 2023 measure how much is lost.)

# %% [markdown]
# ## The projector: why train what is thrown away?
#
# Follow one image through the trained network and ask at each depth: what can be read here? "Read" means by the kNN vote
# for the class, and by a linear regression for what the card was drawn from: the hues of object and background,
# the position, the scale, the angle (its $R^2$: 1 is exact, 0 is nothing). **Predict**: where along the way does the vote
# peak, and what happens between $h$ and $z$ to the position, which every crop changes?


# %%
@torch.no_grad()
def every_depth(images):
    """Features after each block of the encoder, averaged over the map; then inside and after the projector."""
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


# %%
factors = [f for f in ("object_hue", "background_hue", "position", "scale", "angle") if f in train.factors]
of_gallery, of_val = every_depth(gallery), every_depth(val)
known = [{name: images.factors[name] for name in factors} for images in (gallery, val)]
read = {name: [] for name in ("class", *factors)}
for depth, h in of_val.items():
    read["class"].append([knn_accuracy(of_gallery[depth], gallery.labels, h, val.labels)])
    for name, score in factor_probe(of_gallery[depth], known[0], h, known[1]).items():
        read[name].append([score])
show(
    probes_figure(list(of_val), read, "your run: what can be read at each depth"),
    alt="What can be read from the first block to z: the class rises with depth up to h and stays about level after "
    "it; hues fade from block to block; position peaks at h and falls after it.",
)
for name, values in read.items():
    print(f"{name:15}" + "   ".join(f"{depth} {value:5.2f}" for depth, (value,) in zip(of_val, values)))
print("effective rank: " + ", ".join(f"{d} {effective_rank(of_val[d]):.0f}" for d in ("h", "hidden", "z")))

# %% [markdown]
# One run is an anecdote, so here are nine recorded ones: no projector at all (the loss compares $h$ itself), a linear
# one, and the MLP (a multi-layer perceptron, here the two layers above), three seeds each. They are shorter than yours,
# and judged on test.

# %%
record = records.read("projection_head")
show(
    heads_figure(record["runs"]),
    alt="Accuracy for three kinds of head, read from h and from z. Without a head both are lowest; with a linear or "
    "an MLP head h is better, and a little better than z.",
)
mlp = [run for run in record["runs"] if run["head"] == "mlp"]
layers = ("h", "hidden", "z")
scores = {f: [[run[layer]["probes"][f] for run in mlp] for layer in layers] for f in mlp[0]["h"]["probes"]}
show(
    probes_figure(layers, scores, "MLP head, three seeds: what z forgets"),
    alt="From h over the hidden layer to z: position falls most, background hue fades to nothing, class accuracy and "
    "scale fall slightly, angle rises a little.",
)
for name, by_layer in scores.items():
    values = torch.tensor(by_layer)
    columns = zip(layers, values.mean(dim=1), values.std(dim=1))
    print(f"{name:15}" + "   ".join(f"{layer} {mean:5.2f} ± {spread:.2f}" for layer, mean, spread in columns))

# %% [markdown]
# - **A head helps.** Without one, the loss works on $h$ itself, and $h$ ends up worse than behind either head.
# - **Linear or MLP?** Three seeds cannot tell these two apart here. On ImageNet the paper finds the MLP 3 points better
#   than the linear one, and more than 10 better than none (sec. 4.2).
# - **Read from $h$**: with a head, $h$ is better than $z$ in every recorded run, if by little.
# - **What $z$ forgets** is what crops and jitter change: position most of all, and the last of the background's hue. The
#   loss rewards $z$ for not knowing them. The projector takes that upon itself, so $h$ need not forget as much. The paper
#   sees the same, in a run whose augmentations also turned the images: a classifier tells from $h$ how an image was
#   turned in 68 % of cases, from $z$ in 26 %, with 25 % being chance (tab. 3).
# - **What it does not forget**: the angle is even read a little *better* from $z$. No augmentation here *turns* images, though
#   a flip reverses the angle's sign; why $z$ shows more of it than $h$ we do not know. And the object's hue is gone before $h$ already. A probe tells what can be read
#   *linearly*, so "forgotten" also covers "folded up".
#
# Cutting a network before its last layers helps far beyond SimCLR, whenever what it was trained for and what it is used
# for differ; Bordes et al. (2022) call it guillotine regularization. SimCLR v2 makes the head deeper and cuts inside it.
#
# **Quiz.** Your task is to say *where* on the card the object lies. Which layer do you take?
#
# <details><summary>Answer</summary>
#
# $h$, or one before it: look in the two figures where the line of the position peaks. "z, it is what was trained" is the tempting answer and
# the worst: it was trained to ignore just this. Better still, keep the map before averaging, which lesson 06 does.
#
# </details>
#
# ## Ablation: what matters?
#
# An **ablation** changes one thing at a time and looks what breaks. Here are 18 settings, three seeds each: 3
# temperatures, 3 augmentations, 2 batch sizes. The runs are short, and all see each image equally often; so a batch of
# 32 takes four times the steps of a batch of 128 (with half the learning rate, the first part of the square-root rule
# for Adam of Malladi et al. 2022; its betas were left alone). These recorded runs were judged on test, so use them to
# understand the knobs, not to choose a recipe.
#
# **Predict, then reveal.** One setting is open. Set the sliders to another, put your guess, press Reveal. Start with
# these three, and have a reason ready for each:
#
# 1. the recipe without any change of colour: *crop + flip*;
# 2. temperature 1.0 instead of 0.3;
# 3. batch 32 instead of 128: a quarter of the negatives.

# %%
ablation = records.read("ablation")
held = {"temperature": 0.3, "augment": "+ jitter + grey", "batch_size": 128}
ablation_lab(ablation["runs"], start=held, revealed=[tuple(held.values())])

# %% [markdown]
# All of it at once, around the recipe (the band marks what is held while something else varies), then every setting as a
# table. Do not scroll on before you have guessed.

# %%
show(
    ablation_figure(ablation["runs"], held, title=f"Around the recipe, {ablation['config']['epochs']} epochs"),
    alt="kNN accuracy against temperature, augmentation and batch size; the augmentation matters most by far.",
)
show_runs(ablation["runs"], rows=("augment", "batch_size"), column="temperature")
knn = {(r["temperature"], r["batch_size"], r["seed"]): r["knn"] for r in ablation["runs"] if r["augment"] == "+ jitter + grey"}
pairs = [knn[t, 32, s] > knn[t, 128, s] for t, batch, s in knn if batch == 32]
print(f"\nfull recipe: batch 32 beats batch 128 in {sum(pairs)} of {len(pairs)} pairs of one temperature and seed")

# %% [markdown]
# - **Augmentation decides.** Without any change of colour the vote is near chance, at every temperature and batch size: the
#   colours find the partner (lesson 01), so nothing else is learned.
# - **Jitter without grey is a lottery** in most settings, above all at batch 128. Look at its dots: the same setting ends
#   anywhere from poor to good, by the seed alone. A likely reason: a jitter turns *all* hues of a picture by the same angle,
#   so their difference between object and background survives it, a shortcut that some runs take; grey narrows it. With
#   batch 32 at the temperatures 0.3 and 1.0 the seeds agree all the same. One seed would have told you either story.
# - **Temperature**: 1.0 is clearly worse, as lesson 02 foretold: it pushes all strangers alike and hardly cares for
#   the near ones. Between 0.05 and 0.3 these runs cannot decide. The paper's best is 0.1 on ImageNet and 0.5 on CIFAR-10
#   (tab. 5, app. B.9): a knob to tune, not a constant.
# - **Batch size**: here a quarter of the negatives, *with four times as many steps*, did no visible harm; the count under
#   the table is a hint that it even helped, and no more than a hint. The paper finds larger batches better at equal epochs on
#   ImageNet, the less so the longer one trains (fig. 9), and the same on CIFAR-10 except for the very largest (app. B.9).
#   Lesson 04 goes on from here.
#
# **Quiz.** Somebody shows you one run with grey and one without, far apart, and concludes that grey is worth the difference.
# What do you ask for?
#
# <details><summary>Answer</summary>
#
# More seeds of each. Look at the dots without grey: a *single* setting can give most of that range by itself. The
# difference of two runs is a result only when it is larger than the spread within each. "But it is so large" is the tempting
# answer; a lottery has large prizes.
#
# </details>
#
# ## Debug this: the best network of the year, and a folder
#
# A learner trained just this network, saw in the panel what you saw, and saved the encoder (`kept` above). Next day the
# test pictures came in a folder for each class, and were read in the order of the folders. The learner judged the encoder
# by the lines below. Run them, and find the line that is missing.


# %%
def describe(images):
    with torch.no_grad():
        return torch.cat([kept(to_float(part).to(lesson.device)).cpu() for part in images.images.split(200)])


folder = val.subset(val.labels.argsort(stable=True))  # class by class, as folders are read
print(f"in the panel:    {rows[-1]['knn']:.3f}")
print(f"from the folder: {vote(describe, queries=folder):.3f}")

# %% [markdown]
# The same network and the same pictures. A clue: shuffle the folder first.

# %%
shuffled = folder.subset(torch.randperm(len(folder), generator=Generator().manual_seed(0)))
print(f"from the folder, shuffled: {vote(describe, queries=shuffled):.3f}")

# %% [markdown]
# <details><summary>What the clue tells</summary>
#
# An image's features should depend on the image. Here they depend on which *other* images are in its batch of 200. One
# kind of layer mixes the images of a batch: BatchNorm, in training mode.
#
# </details>
#
# <details><summary>The line, and why</summary>
#
# `encoder.eval()` is missing. In training mode BatchNorm subtracts the mean of the batch at hand. In a batch of nothing
# but stars, the mean is what stars have in common: precisely what would tell them from discs is subtracted. Shuffled
# batches are all alike, so the damage is small and the bug stays unseen for months. Test: embed one image alone and in
# company; the features must be equal. (`evaluate.embed` switches to eval mode and puts the mode back.)
#
# </details>

# %%
kept.eval()
print(f"mended:                          {vote(describe, queries=folder):.3f}")
print(f"a copy never run in that manner: {vote(lambda images: embed(method.encoder, images)):.3f}")

# %% [markdown]
# Where the last two numbers differ, there is a second trace of the same bug: each pass in training mode also moved
# BatchNorm's running statistics. Merely *judging* the network has changed it, and by the very images it was judged on.
#
# This is a real report, Spijkervet/SimCLR issue 19: features taken without `eval()`, accuracy on test much lower, and
# a network that changes although nothing is trained. The maintainer tried it and saw no drop. You know on what it depends.
#
# ## Quiz
#
# **1.** A team builds an image search over satellite pictures of 21 kinds: nearest neighbours in the output $z$ of a SimCLR
# network. The untrained network finds the right kind in 25 % of cases, five times chance; with training the rate goes
# *down*. (Lightning-Universe/lightning-bolts, issue 356.) Two things puzzle them. Explain both.
#
# <details><summary>Answer</summary>
#
# That an untrained network is above chance is no bug: random weights pass on colours and textures, and in satellite
# pictures these go with the kind. And they search in $z$, which is trained to forget whatever the augmentation changes:
# with colour jitter, the colours that served them so well. They should search in $h$, and ask which of their
# augmentations destroy what they search for. The tempting "train longer" makes $z$ forget more thoroughly.
#
# </details>
#
# **2.** You change the batch size from 128 to 512 and keep the number of epochs. What have you changed?
#
# <details><summary>Answer</summary>
#
# At least four things: four times the negatives, a quarter of the steps, a learning rate that no longer fits, and the chance line
# (up by ln 4), so that the losses cannot be compared. "Only the number of negatives" is the tempting answer, and it turns
# an ablation into a riddle.
#
# </details>
#
# **3.** "SimCLR used no label at all." Is that true of the network you have just trained?
#
# <details><summary>Answer</summary>
#
# No label went into its weights. But somebody chose the augmentations, the temperature and the epochs, and chose them by
# looking at accuracies, that is at labels. The augmentations in particular say what counts as *the same thing*, which is
# what labels say. For your own data, without labels, you have to know it (lesson 01), or to look at the health panel.
#
# </details>
#
# **4.** Two runs, same loss at the end; in one the effective rank of $h$ is 60 of 128, in the other 6. Which do you trust, and why
# is the loss blind to it?
#
# <details><summary>Answer</summary>
#
# The first, as long as nothing else is known. The loss sees only angles between embeddings $z$: six dimensions can be
# enough to keep a batch apart, so the rest may lie idle. Jing et al. (2022) describe it for $z$ and call it *dimensional
# collapse*; in $h$ it costs what we keep. RankMe (Garrido et al. 2023) uses the rank of $z$ to choose among runs without labels. It is a hint and no proof: noise has full rank.
#
# </details>
#
# ## The running results table
#
# Now the test images, once. The record holds three seeds of each row (the pixels have no seed), under the same encoder, images,
# epochs and augmentations; the vote is among all 8,000 training images. The **linear probe** is a logistic
# regression on the frozen features, whose strength is chosen on validation. Your run is the star.

# %%
train_h, val_h, test_h = (embed(method.encoder, images) for images in (train, val, test))
probe = linear_probe(train_h, train.labels, val_h, val.labels, test_h, test.labels, seed=lesson.seed)
live = {"row": "SimCLR", "knn": knn_accuracy(train_h, train.labels, test_h, test.labels), "linear": probe.accuracy}
print(f"your run: kNN {live['knn']:.3f}; {probe}")
as_recorded = lesson.dataset == "shapes" and not lesson.full
so_far = [run for run in records.read("results")["runs"] if run["row"] not in ("MoCo", "BYOL")]  # theirs are the next lessons
show(
    results_figure(so_far, live=live if as_recorded else None),
    alt="Accuracy on test: raw pixels and a random encoder below one half, SimCLR without labels not far below the "
    "supervised network; your run lies near the SimCLR seeds.",
)

# %% [markdown]
# Read it in three steps. From *random encoder* to *SimCLR*: what was learned from cards without names. From *SimCLR* to
# *supervised*: what 8,000 names would have added, to the same network in the same time. And within the pixels' row: a linear
# probe cannot undo a colour that changes from card to card, a vote among 8,000 cards can at least find one that happens to
# look alike; which judge one chooses is part of the result (lesson 06).
#
# ## The same thing in other letters
#
# | here | SimCLR | SimCLR v2 | MoCo | BYOL, SimSiam | lightly, solo-learn |
# |---|---|---|---|---|---|
# | encoder | $f(\cdot)$, base encoder | $f$ | $f_q$ | $f_\theta$, backbone | backbone |
# | $h$, features | $h$, representation | $h$ | features | $y$, representation | features |
# | projector | $g(\cdot)$, projection head | $g$, 3 layers | fc, mlp | $g_\theta$, projector | projection head, projector |
# | $z$, embedding | $z$ | $z$ | $q$, $k$ | $z$ | embedding, z |
# | `view1`, `view2` | $\tilde x_i$, $\tilde x_j$ | | $x_q$, $x_k$ | $v$, $v'$ | views, x0 and x1 |
# | $n$ images | $N$ | $N$ | $N$ | $N$ | batch size |
# | `temperature` | $\tau$ | $\tau$ | $\tau$ | none | temperature |
#
# ## Recap
#
# - SimCLR is two views, one network, one loss: thirty lines.
# - Loss against the chance line, two heaps of similarities, spread, effective rank: four looks that need no label.
# - The projector takes the invariance upon itself, so that $h$ can keep what $z$ must forget. Use $h$.
# - The augmentation is the strongest knob; it decides what "the same" means.
# - Judge in eval mode, on validation, against a random encoder; open the test images of a run once.
#
# Next: lesson 04, MoCo. Negatives need not come from the batch.
#
# ## References
#
# - T. Chen, S. Kornblith, M. Norouzi, G. Hinton. *A simple framework for contrastive learning of visual representations* (SimCLR). 2020, [arXiv:2002.05709](https://arxiv.org/abs/2002.05709). Algorithm 1; augmentations, fig. 5; the projection head, sec. 4.2; batch size, fig. 9.
# - T. Chen, S. Kornblith, K. Swersky, M. Norouzi, G. Hinton. *Big self-supervised models are strong semi-supervised learners* (SimCLR v2). 2020, [arXiv:2006.10029](https://arxiv.org/abs/2006.10029). A deeper head, cut inside it.
# - L. Jing, P. Vincent, Y. LeCun, Y. Tian. *Understanding dimensional collapse in contrastive self-supervised learning*. 2022, [arXiv:2110.09348](https://arxiv.org/abs/2110.09348).
# - F. Bordes, R. Balestriero, Q. Garrido, A. Bardes, P. Vincent. *Guillotine regularization*. 2022, [arXiv:2206.13378](https://arxiv.org/abs/2206.13378). Why cutting layers off helps, and not only here.
# - Q. Garrido, R. Balestriero, L. Najman, Y. LeCun. *RankMe*. 2023, [arXiv:2210.02885](https://arxiv.org/abs/2210.02885). Effective rank without labels.
# - T. Wang, P. Isola. *Understanding contrastive representation learning through alignment and uniformity on the hypersphere*. 2020, [arXiv:2005.10242](https://arxiv.org/abs/2005.10242).
# - Z. Wu, Y. Xiong, S. Yu, D. Lin. *Unsupervised feature learning via non-parametric instance discrimination*. 2018, [arXiv:1805.01978](https://arxiv.org/abs/1805.01978). The weighted kNN vote.
# - S. Malladi, K. Lyu, A. Panigrahi, S. Arora. *On the SDEs and scaling rules for adaptive gradient algorithms*. 2022, [arXiv:2205.10287](https://arxiv.org/abs/2205.10287).
# - L. McInnes, J. Healy, J. Melville. *UMAP*. 2018, [arXiv:1802.03426](https://arxiv.org/abs/1802.03426). A. Coenen, A. Pearce. [*Understanding UMAP*](https://pair-code.github.io/understanding-umap/). T. Chari, L. Pachter. *The specious art of single-cell genomics*. PLOS Computational Biology 2023.
