# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # 07 Four pitfalls, and a clinic
#
# **What you will be able to do**
#
# - say what a temperature does to a run when it is too low and when it is too high;
# - see before training that an augmentation is too weak or too strong;
# - name a judge under which the ranking of two encoders changes;
# - show with numbers what gradient accumulation adds, what it does not, and two other ways;
# - read the health panel of a sick run, name the fault, and mend the line.
#
# **Time**: {minutes} minutes, and {deeper_minutes} more for the sections *Going deeper*. **Needs**: SimCLR (lesson 03), and
# the ideas of MoCo and BYOL (04, 05). It computes for about a minute on two cores: the long runs are recorded, three seeds each.

# %% tags=["setup"]
# set-up cell: inserted by the build

# %% tags=["parameters"]
profile = "auto"  # "quick" or "full"; this lesson is the same in both, for its runs are recorded
dataset = "auto"  # "auto" is the embedded set; the records are of it, and only the live measurements follow another
seed = 0  # any whole number from 0
device = "auto"  # "cpu", "cuda" or "mps"

# %% tags=["folded"]
# Imports
import copy

import numpy as np
import torch
import torch.nn.functional as F
from torch import Generator

from cl_course import checks
from cl_course.augment import AugmentConfig, augment, two_views
from cl_course.data import load, to_float
from cl_course.evaluate import embed, knn_accuracy, linear_probe
from cl_course.large_batches import accumulate, grad_cache
from cl_course.lessons.pitfalls_and_clinic.figures import (
    judges_figure,
    memory_figure,
    strengths_figure,
    trained_temperatures_figure,
)
from cl_course.lessons.pitfalls_and_clinic.lab_clinic import clinic_lab
from cl_course.lessons.pitfalls_and_clinic.order_test import TESTS, order_test
from cl_course.lessons.pitfalls_and_clinic.patients import (
    FAULTS,
    PATIENTS,
    REPORTS,
    health_of,
    sheet,
)
from cl_course.lessons.shared.pictures import channels_last, operations_figure
from cl_course.lessons.shared.show import show
from cl_course.lessons.shared.tables import mean_and_spread, show_table
from cl_course.losses import byol_loss, chance_loss, nt_xent
from cl_course.methods import SimCLR
from cl_course.models import projector, small_resnet
from cl_course.momentum import ema_update
from cl_course.running import records
from cl_course.running.checkpoints import shipped
from cl_course.running.settings import settings
from cl_course.shortcut import colour_histogram, mean_colour, shortcut_rate
from cl_course.train import TrainConfig, pretrain

lesson = settings(globals())

# %% [markdown]
# ## Pitfall 1: a temperature too low, and too high
#
# The temperature $T$ divides the similarities before the softmax (lesson 02). At a low $T$ only the most similar negatives
# are pushed away; at a high one all are pushed alike. Five temperatures were recorded. The rest is the recipe of lesson 03,
# for eight epochs.
#
# **Predict**: where is more lost, at 0.01 or at 3? Can the losses at the end tell?
#
# <details><summary>Answer</summary>
#
# Both ends lose about the same, as the next cell shows. The losses cannot tell: those of 0.01 and 3 are as far apart as those
# of 0.3 and 0.01, and the accuracies are not.
#
# </details>

# %% tags=["folded"]
# Recorded runs at five temperatures
judged, ablation = records.read("judges"), records.read("ablation")
recipe = [  # lesson 03's, of the same length
    run
    for run in ablation["runs"]
    if run["augment"] == "+ jitter + grey" and run["batch_size"] == 128
]
by_temperature = judged["runs"] + [
    run | {"encoder": str(run["temperature"])} for run in recipe if run["temperature"] != 0.3
]
sweeps = [run["sweep"] for run in records.read("similarity_rows")["runs"] if "sweep" in run]
show(
    trained_temperatures_figure(by_temperature, sweeps, negatives=254),
    alt="Left: accuracy by temperature, low at 0.01 and at 3. Right: with falling temperature "
    "fewer of the 254 negatives count, and more of the push falls on cards of the same class.",
)


def scores_of(runs, measure):
    return [run[measure] for run in runs if run.get(measure) is not None]


table = []
for temperature in ("0.01", "0.05", "0.3", "1.0", "3.0"):
    of_it = [run for run in by_temperature if run["encoder"] == temperature]
    table.append(
        [temperature, *(mean_and_spread(scores_of(of_it, m)) for m in ("knn", "linear", "loss"))]
    )
show_table(
    table,
    ["T", "kNN", "linear", "loss at the end"],
    caption="On test, three seeds; loss where it was recorded",
)

# %% [markdown]
# - **Too high**: from 0.3 to 1 to 3 each step costs accuracy, more than the seeds differ. All negatives are pushed nearly
#   alike, those that are easily confused hardly more than the others.
# - **Too low**: at 0.01 the recipe is a lottery. One seed is far above the other two, and all three are well below the runs
#   at $T = 0.3$. In the right panel (from lesson 02: networks trained at 0.3, read with another $T$) fewer than two of the 254
#   negatives count at 0.01, and about three quarters of the push falls on the anchor's own class. So cards that are alike are
#   pushed apart (Wang and Liu 2021: too little *tolerance*). That alone does not explain the low accuracy: at 0.05 the share
#   is nearly as high, and 0.05 does well.
# - **Between**, at 0.05 and 0.3, these runs do not decide. On your own data try a few values, each three times the one
#   before, in two short runs each, and judge by kNN on validation.
#
# **Quiz.** A colleague shows two runs, $T = 0.05$ with loss 0.5 and $T = 1$ with loss 4.5, and keeps the first "because its
# loss is lower". What do you say?
#
# <details><summary>Answer</summary>
#
# The two numbers are not on one scale. $T$ is part of the loss: the same similarities give another loss at another $T$. At
# $T = 3$ the loss *must* stay within 2/3 of chance, since similarities divided by 3 differ by at most 2/3; at 0.01 one wrong
# neighbour costs a hundred times its margin. Compare losses within one temperature, one batch size and one augmentation.
# Compare *runs* by what they are for. "But the loss is what we minimise" is true, and we minimise it only to get features.
#
# </details>
#
# ## Pitfall 2: an augmentation too weak, and too strong
#
# Lesson 01 trained encoders under three augmentations: *weak* is crop and flip alone, *right* the recipe, *strong* has tiny
# crops and the strongest colours, blur and solarize. Is the task too easy, right, or hopeless? Two measurements answer before
# you pay for the training:
#
# - **Can colours alone find the partner?** A histogram of colours looks for view2 of each of 256 cards (the shortcut meter of
#   lesson 01). Near 1: too easy.
# - **Can somebody who knows the objects still recognise them?** As a trained eye we take the supervised encoder that comes
#   with the course: 20 cards vote on the class of a *view*. For your own data it would be you, looking at fifty views. Low:
#   the object is gone.

# %% tags=["folded"]
# Seven views of one card under each augmentation
strength_record = records.read("augmentation_strength")
strengths = {
    name: AugmentConfig(**fields) for name, fields in strength_record["config"]["augment"].items()
}
train, val, test = (load("shapes", split) for split in ("train", "val", "test"))
card = to_float(val.images[2:3])
pictures = []
for name, strength in strengths.items():
    views = augment(card.expand(7, -1, -1, -1), strength, Generator().manual_seed(lesson.seed))
    pictures.append((name, channels_last(torch.cat([card, views])), ["the card", *[""] * 7]))
show(
    operations_figure(pictures),
    alt="Three rows of seven views of one card. Weak: the same colours in all. Right: other "
    "colours, the shape visible. Strong: enlarged patches in which no shape can be told.",
    photo=True,
)

# %% [markdown]
# **Predict** for each row, high or low: colours find the partner; the trained eye knows the class.
#
# <details><summary>Answer</summary>
#
# Weak: high, high. Right: low, high. Strong: low, low. The next cell measures it.
#
# </details>

# %%
eye = shipped("supervised_shapes")[0].float()
gallery = train.subset(torch.arange(2000))
gallery_h = embed(eye, gallery)
rates, recognised = {name: [] for name in strengths}, {name: [] for name in strengths}
for name, strength in strengths.items():
    for part in range(3):
        cards = val.subset(torch.arange(256) + 256 * part)
        generator = Generator().manual_seed(lesson.seed)
        view1, view2 = two_views(to_float(cards.images), strength, generator)
        rates[name].append(shortcut_rate(view1, view2, colour_histogram))
        with torch.no_grad():
            known = knn_accuracy(gallery_h, gallery.labels, eye(view1), cards.labels)
        recognised[name].append(known)

# %% tags=["folded"]
# Both measurements beside what came of the training
show(
    strengths_figure(rates, recognised, strength_record["runs"]),
    alt="Three panels for weak, right and strong. Colours find the partner nearly always under "
    "weak. The trained eye knows the class under weak and right, hardly under strong. kNN after "
    "training is high only for right.",
)
show_table(
    [
        [
            name,
            mean_and_spread(rates[name], 2),
            mean_and_spread(recognised[name], 2),
            mean_and_spread(
                [run["knn"] for run in strength_record["runs"] if run["setting"] == name]
            ),
        ]
        for name in strengths
    ],
    ["", "colours", "trained eye", "kNN after training"],
    caption="Mean ± standard deviation: of three batches of cards, and of three seeds of training",
)

# %% [markdown]
# - **Weak**: colours alone find nearly every partner. Nothing else had to be learned, and kNN ends near chance (0.1).
# - **Strong**: colours are of little use, but a trained eye no longer tells what most views show. What two such views share
#   is hardly the object, and kNN ends near chance as well. Both are worse than a network that was never trained (0.24, table
#   of lesson 03).
# - **Right**: the first measurement is low and the second high.
#
# If the first one is high, change colours more; if the second one is low, take larger crops and milder changes. (Tian et al.
# 2020 say it in terms of information: the views should share what the task needs, and nothing more.) The two cannot promise
# that a run goes well: a shortcut that no histogram sees, such as the *difference* of two hues, passes both. In lesson 03
# jitter without grey was a lottery at batch 128.
#
# **Quiz.** SimCLR's crops for ImageNet keep 8 to 100 % of the picture. Would your own pictures still be recognised?
#
# <details><summary>Answer</summary>
#
# On ImageNet one large object fills most pictures, so 8 % of a picture may still be fur or feathers. Where the
# object is small (our cards, cells under a microscope, ships seen from above), most small crops show only background.
#
# </details>
#
# ## Pitfall 3: judged by the linear probe alone
#
# Papers often rank encoders by one number, the accuracy of a linear probe: can a trained linear formula tell the classes?
# Your task may ask something else. Below are a random encoder, a supervised one and SimCLR at three temperatures, all with
# the same network; those that were trained had eight epochs and the same augmentation.
#
# The judges: the linear probe and the kNN vote; a linear probe with 1 % of the labels (80 cards); **retrieval**, how high the
# cards of the query's class stand when the others are sorted by similarity (mean average precision, 1 is best); and four
# regressions ($R^2$, 1 is best) for something that is not the class.
#
# **Predict**: is the order the same under every judge?
#
# <details><summary>Answer</summary>
#
# No. For the class the supervised encoder is first under all four judges. For position and scale SimCLR at 0.3 passes it,
# and for the hues the random encoder is first.
#
# </details>

# %% tags=["folded"]
# Five encoders under eight judges
JUDGES = {
    "linear probe": "linear",
    "kNN": "knn",
    "1 % of\nthe labels": "1 % of the labels",
    "retrieval": "retrieval",
}
FACTORS = {
    "position": "position",
    "scale": "scale",
    "background's\nhue": "background_hue",
    "object's\nhue": "object_hue",
}
NAMES = {
    "supervised": "supervised",
    "SimCLR, T = 0.01": "0.01",
    "SimCLR, T = 0.3": "0.3",
    "SimCLR, T = 3": "3.0",
    "random": "random",
}
scores = {}
for name, encoder in NAMES.items():
    of_it = [run for run in judged["runs"] if run["encoder"] == encoder]
    scores[name] = {judge: [run[key] for run in of_it] for judge, key in JUDGES.items()}
    scores[name] |= {
        factor: [run["probes"][key] for run in of_it] for factor, key in FACTORS.items()
    }
show(
    judges_figure(scores),
    alt="Five encoders as lines across eight judges. The lines cross between the judges of the "
    "class and those of position, scale and hues.",
)
show_table(
    [
        [name, *(mean_and_spread(values, 2) for values in of_judge.values())]
        for name, of_judge in scores.items()
    ],
    ["", *(judge.replace("\n", " ") for judge in (*JUDGES, *FACTORS))],
    caption="On test, mean ± standard deviation of three seeds",
)

# %% [markdown]
# - **The class**: the supervised encoder is first and SimCLR at $T = 0.3$ second. *How far* apart is another matter: a few
#   points under the probe with all labels, about twenty with 1 % of them, and about forty in retrieval.
# - **Position and scale**: SimCLR at 0.3 is better than the supervised encoder, in each of the three seeds. A likely reason:
#   two crops of one card share some of *where* and *how large*, a label says nothing of it.
# - **The hues**: the better one of these five is at the class, the less it knows of the background's hue. Who needs the
#   colour should not take the winner of the linear probe.
#
# So choose the judge by the task, and show more than one:
#
# | your task | ask it with |
# |---|---|
# | search, duplicates, clusters | kNN, retrieval: nothing is trained, distances must be right as they are |
# | classes, with few labels | a probe at *that* number of labels, and fine-tuning (lesson 06) |
# | classes, with many labels | fine-tuning (lesson 06) |
# | where, how large, which colour | a regression or a segmentation head for just that |
#
# **Quiz.** A shop searches for shirts of the same colour, with the encoder whose linear probe of the *kind* is best. What do
# you say?
#
# <details><summary>Answer</summary>
#
# Ask for the colour with a judge of its own. The recipe with the best classes changes the hues, so little of the hue is left
# (lesson 01). A stronger network is no sure way out: the loss still *rewards* forgetting.
#
# </details>

# %% [markdown]
# ## Going deeper: a difference that the probe does not see
#
# One judge can be blind to a difference that another sees at once. Take the encoders that come with the course and *add*
# three numbers to their 128 features: the card's mean red, green and blue, times 100. Nothing is taken away. **Predict** what
# this does to the probe, which weighs the features, and to kNN, which takes them as they are.

# %%
labelled, table = train.subset(torch.arange(2000)), []
for name in ("simclr", "moco", "byol"):
    encoder = shipped(f"{name}_shapes")[0].float()
    parts = [(embed(encoder, s), mean_colour(to_float(s.images))) for s in (labelled, val, test)]
    for title, weight in (("as it is", 0), ("colours beside it", 100)):
        of_train, of_val, of_test = (torch.cat([h, weight * rgb], dim=1) for h, rgb in parts)
        data = (of_train, labelled.labels, of_val, val.labels, of_test, test.labels)
        probe = linear_probe(*data, seed=lesson.seed)
        table.append([name, title, probe.accuracy, knn_accuracy(*data[:2], *data[4:])])
show_table(table, ["encoder", "features", "linear", "kNN"], caption="On test, one encoder each")

# %% [markdown]
# The probe can give the colours a small weight and hardly notices. The vote cannot, and loses far more. So "equal under the
# linear probe" does not mean "equal": a search built on the second features would often bring cards of the same colour
# instead of the same kind.

# %% [markdown]
# ## Pitfall 4: a large batch in small memory
#
# The memory holds 32 cards, the paper says 256. The usual trick is **gradient accumulation**: take 8 batches of 32, one after
# the other, add up an eighth of each gradient, and only then let the optimiser take a step. For a classifier without BatchNorm
# that is the gradient of batch 256, since its loss is a mean over cards. (With BatchNorm only nearly: each chunk is normalised
# by its own statistics.) **Predict**: is it for NT-Xent?
#
# <details><summary>Answer</summary>
#
# No. A card's loss depends on the *other* cards of its batch. Chunk by chunk each view meets only the negatives of its own
# chunk: 62 instead of 510.
#
# </details>
#
# **GradCache** (Gao et al. 2021) goes another way: (1) embed everything, chunk by chunk, and keep only the $z$; (2) compute the
# loss on all of them, and its gradient with respect to each $z$; (3) go through the chunks again, now with a graph, and give
# each its part of that gradient. Here it is in full; the package's must give the same.


# %%
def my_grad_cache(embed_views, loss, view1, view2, chunk):
    chunks = list(zip(view1.split(chunk), view2.split(chunk)))
    with torch.no_grad():
        z1, z2 = (torch.cat(parts) for parts in zip(*(embed_views(a, b) for a, b in chunks)))
    z1.requires_grad_(), z2.requires_grad_()
    value = loss(z1, z2)
    of_z1, of_z2 = torch.autograd.grad(value, (z1, z2))
    for (a, b), g1, g2 in zip(chunks, of_z1.split(chunk), of_z2.split(chunk)):
        torch.autograd.backward(embed_views(a, b), (g1, g2))
    return value.detach()


# %% tags=["folded"]
# `gradient(way, ...)`: loss and gradient of a batch; a network to try the ways on
def gradient(way, method, view1, view2, chunk=32):
    """The loss and the gradient of all weights, (number of weights,)."""
    trial = copy.deepcopy(method)
    if way == "whole":
        loss = trial.loss(view1, view2)
        loss.backward()
    else:
        loss = way(
            trial.embeddings, lambda z1, z2: nt_xent(z1, z2, trial.temperature), view1, view2, chunk
        )
    return loss.detach(), torch.cat([p.grad.flatten() for p in trial.parameters()])


torch.manual_seed(lesson.seed)
fresh = small_resnet()
method = SimCLR(fresh, projector(fresh.dim)).double().eval()
pair = two_views(to_float(train.images[:64]), AugmentConfig(), Generator().manual_seed(0))
view1, view2 = (view.double() for view in pair)
torch.testing.assert_close(
    gradient(my_grad_cache, method, view1, view2), gradient(grad_cache, method, view1, view2)
)
print("the ten lines and the package agree")

# In an untrained network all negatives look alike, and more of them change little. So this takes
# a trained one: the shipped encoder, and a projector trained on it for two epochs.
method = SimCLR(shipped("simclr_shapes")[0].float(), projector(fresh.dim))
pretrain(method, train, TrainConfig(epochs=2, learning_rate=3e-3, seed=lesson.seed))
method = method.double()  # so that what differs is not rounding

# %% [markdown]
# Now the comparison, with a trained network, on three batches of 256: chunks of 32, and of 8. BatchNorm uses its *running*
# statistics here, as in eval mode, so that each card is treated by itself.

# %%
WAYS = {
    "accumulated": (accumulate, 32),
    "accumulated by 8": (accumulate, 8),
    "GradCache": (grad_cache, 32),
}


def compare(training, batch):
    """Way -> loss, gradient's distance from the whole batch's (a share of its length), cosine."""
    images = to_float(train.images[256 * batch : 256 * (batch + 1)])
    pair = two_views(images, AugmentConfig(), Generator().manual_seed(lesson.seed))
    views = [view.double() for view in pair]
    loss, whole = gradient("whole", method.train(training), *views)
    compared = {"whole": (float(loss), 0.0, 1.0)}
    for name, (way, chunk) in WAYS.items():
        value, g = gradient(way, method, *views, chunk)
        distance, cosine = (g - whole).norm() / whole.norm(), F.cosine_similarity(g, whole, dim=0)
        compared[name] = (float(value), float(distance), float(cosine))
    return compared


batches = [compare(training=False, batch=batch) for batch in range(3)]

# %% tags=["folded"]
# The table of this comparison
apart = {name: [of_batch[name][1] for of_batch in batches] for name in WAYS}
images_met = {"whole": 256, "accumulated": 32, "accumulated by 8": 8, "GradCache": 256}
table = []
for name, n in images_met.items():
    loss, distance, cosine = np.mean([of_batch[name] for of_batch in batches], axis=0)
    table.append(
        [
            name,
            2 * n - 2,
            f"{loss:.2f}",
            f"{chance_loss(n):.2f}",
            f"{distance:.1e}",
            f"{cosine:.3f}",
        ]
    )
show_table(
    table,
    ["", "negatives", "loss", "chance", "gradient off by", "cosine"],
    caption="Against the whole batch's gradient, mean of three batches of 256",
)

# %% [markdown]
# Accumulation gives the gradient of *another task*: to find the partner among 63 or 15 views instead of 511. It is easier, so
# its loss is lower, and most of the hardest negatives are missing. GradCache gives the whole batch's gradient, up to rounding.
#
# What does it save, what does it cost, and what comes of it? Memory and time are of one gradient of 256 cards in chunks of 32,
# recorded on one core. The accuracies are of six epochs, three seeds each, all with the same number of views: batch 256
# *whole*; the same in chunks of 32 by *GradCache* and *accumulated*; accumulated in chunks of 8; a *small batch* of 32, which
# takes eight times the steps; and MoCo with a *queue* of 1,024 keys at batch 32 (lesson 04). The learning rate follows the
# root of the batch size.
#
# **Predict**: which of the six ends highest?
#
# <details><summary>Answer</summary>
#
# The small batch, in every seed. The next cell shows it, and the text below says why.
#
# </details>

# %% tags=["folded"]
# Memory, time and accuracy, recorded
hardware, ways = records.read("hardware"), records.read("small_memory")
costs = {
    run["way"]: run for run in hardware["runs"] if "megabytes" in run and run["way"] in images_met
}
ends = {way: [] for way in dict.fromkeys(run["way"] for run in ways["runs"])}
for run in ways["runs"]:
    ends[run["way"]].append(run["knn"])
show(
    memory_figure(apart, {way: cost["megabytes"] for way, cost in costs.items()}, ends),
    alt="Left: the accumulated gradient is far from the whole batch's, GradCache's equal to "
    "rounding. Middle: both need a fraction of the whole batch's memory. Right: kNN of six ways; "
    "the small batch is highest, the queue lowest.",
)
show_table(
    [
        [
            way,
            f"{np.mean(costs[way]['megabytes']):.0f}" if way in costs else None,
            f"{costs[way]['seconds'] / costs['whole']['seconds']:.2f}" if way in costs else None,
            mean_and_spread(ends[way]),
            mean_and_spread([run["linear"] for run in ways["runs"] if run["way"] == way]),
        ]
        for way in ends
    ],
    ["", "MB", "time of a gradient", "kNN", "linear"],
    caption="Time: a multiple of the whole batch's. Accuracy: on test, six epochs, three seeds",
)

# %% [markdown]
# - **Memory and time**: GradCache needs hardly more memory than accumulation, since all it keeps are the $z$. Its price is one
#   more forward pass; the table shows what that costs in time. (Lesson 04 has one table of five ways, with activation
#   checkpointing and the queue.)
# - **Accuracy, first four**: after the same 186 updates the means differ by less than the seeds of one way. The missing negatives
#   **do not show in the accuracy here**, not even when only 14 are left. (*GradCache* and *accumulated* by 32 differ in the
#   negatives alone. By 8, BatchNorm sees other batches too.)
# - **The small batch** is best in every seed: for the same memory it takes eight updates where accumulation takes one. Here
#   accumulation is time lost.
# - **The queue** is the other way: 1,024 negatives at batch 32, from earlier batches. Six epochs are too few for it: it starts
#   slowly, at a different speed for each seed (lesson 04 gives it more time).
#
# When do negatives matter? In figure 9 of the SimCLR paper batches of 256 stay behind larger ones on ImageNet, at 100 epochs
# more than at 1,000. If yours is such a case, use GradCache or a queue; else take the batch that fits, and its updates.
#
# **Quiz.** You accumulate 8 batches of 32. Somebody proposes to accumulate 80 instead, "then the gradient converges to the
# large batch's".
#
# <details><summary>Answer</summary>
#
# It converges to something else: to the gradient of the *batch-32 loss*, averaged over more cards. It becomes less noisy, and
# stays the gradient of a task with 62 negatives. More chunks never let two cards of different chunks meet.
#
# </details>

# %% [markdown]
# ## Going deeper: chunks and BatchNorm
#
# That was the mathematics of the loss. In *training* mode BatchNorm adds a difference of its own, since a chunk is normalised
# by the chunk's statistics. **Predict**: is it larger or smaller than what the missing negatives do?

# %%
in_training = compare(training=True, batch=0)
show_table(
    [[way, f"{in_training[way][1]:.1e}", f"{in_training[way][2]:.3f}"] for way in WAYS],
    ["", "gradient off by", "cosine"],
    caption="BatchNorm by the chunk's statistics, against the whole batch's gradient; one batch",
)

# %% [markdown]
# It is the larger one in this batch, and GradCache has it too: the statistics of 64 views are not those of 512. "Equal to the
# whole batch" holds for a network that treats each card by itself. (Frozen statistics, or GroupNorm, which looks at one card
# at a time, are cures where it matters. Dropout needs the same random numbers in both passes.)

# %% [markdown]
# ## The clinic
#
# Six patients: real runs of deliberately broken code, five epochs each, three seeds. Every fault was once reported from
# somebody's repository or in its review, and none raises an error. You have the **health panel** of lesson 03, and in it,
# dashed, a healthy run of the same method. Read it in this order:
#
# 1. **Loss against chance** (the dotted line). At chance: by the loss, no partner is found. Below a healthy run's: the task is
#    too easy, or (without negatives) most embeddings are alike.
# 2. **The two histograms**: similarities of positive pairs (partners) and of negative pairs (strangers), on two *honest* views
#    that the panel makes itself. The **gap** is how much more alike partners are than strangers, on average.
# 3. **Spread of z**: near 0, all cards are one point. **Effective rank of h**, here as a share of its $d$ dimensions: how many
#    directions the features use.
# 4. **kNN**, the only one that needs labels.
#
# Two of the faults in the list belong to no patient.

# %% tags=["folded"]
# The list of faults
clinic = records.read("clinic")
show_table(
    [[str(number), fault] for number, fault in enumerate(FAULTS.values(), start=1)], ["", "fault"]
)

# %% [markdown]
# **Lab.** Compare the six, then go through them: choose a diagnosis, press *Is that it?*. A wrong one is answered with what
# speaks against it in the panel. Point at a panel, or use the arrow keys in it, to read its values at any epoch.

# %%
clinic_lab(clinic["runs"])

# %% tags=["folded"]
# All six in numbers
table = []
for letter in PATIENTS:
    patient, healthy = sheet(clinic["runs"], letter)
    last, well = patient["rows"][-1], healthy["rows"][-1]
    numbers = [
        f"{value:.2f}" for value in (last["loss"], well["loss"], patient["chance"], last["spread"])
    ]
    rank = f"{last['effective_rank']:.0f} of {patient['dim']}"
    table.append([f"{letter} {patient['method']}", *numbers, rank, health_of(patient).sentence])
show_table(
    table,
    ["", "loss", "healthy", "chance", "spread", "rank", "the panel's own sentence"],
    caption="After five epochs, seed 0",
)

# %% [markdown]
# A panel does not show everything. Before you decide, **order a test**: the patient's code runs again for eight steps, and one
# more quantity is measured, beside the same of a healthy run. Order as few as you can.

# %%
show_table([[name, what] for name, what in TESTS.items()], ["test", "what it measures"])
order_test("D", "one row")  # try others: order_test("A", "weight norm")

# %% [markdown]
# ### Exercise 1: the diagnosis (9 min, medium)
#
# Return for each patient the number of its fault. You may leave some out until later: right ones stay. A wrong one is
# answered with what that fault would have shown.


# %% tags=["exercise"]
def my_diagnosis():
    """Patient -> number of its fault: {"A": ..., "B": ..., "C": ..., and so on to "F"}."""
    ### BEGIN SOLUTION
    return {"A": 4, "B": 2, "C": 8, "D": 5, "E": 6, "F": 1}
    ### END SOLUTION


# %%
checks.diagnosis(my_diagnosis)

# %% [markdown] tags=["hints"]
# <details><summary>Hint 1</summary>
#
# D is a MoCo, E and F are BYOL: that leaves few faults for each. E and F both have a low loss, but look at the histograms: in one
# of them most embeddings are alike, in the other nearly all are at right angles.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# A, B and C are SimCLR. Two have a loss near chance; in only one of these are partners more alike than strangers. The third has a
# loss *lower* than the healthy run's.
#
# </details>
#
# <details><summary>Hint 3</summary>
#
# Order "one row" for A and C, "two views" for B and E, "key drift" for D, "weight norm" for F, and compare with the healthy run.
#
# </details>

# %% [markdown]
# ### What was wrong
#
# Now all seeds.

# %% tags=["folded"]
# Gap and kNN of each patient and of its healthy neighbour
table = []
for letter, fault in PATIENTS.items():
    kind, row = sheet(clinic["runs"], letter)[0]["method"], []
    for run_name in (fault, kind):
        of_it = [run for run in clinic["runs"] if run["run"] == run_name]
        row.append(
            mean_and_spread(
                [np.mean(run["positive"]) - np.mean(run["negative"]) for run in of_it], 2
            )
        )
        row.append(mean_and_spread([run["rows"][-1]["knn"] for run in of_it], 2))
    table.append([f"{letter} {kind}", *row, REPORTS[fault]])
show_table(
    table,
    ["", "gap", "kNN", "healthy gap", "healthy kNN", "report"],
    caption="After five epochs, mean ± standard deviation of three seeds, on validation",
)

# %% [markdown]
# - **A** sits on the chance line with both histograms near 1. Its loss asks it to find a stranger, and making
#   all alike costs least.
# - **B** has the lowest loss of the SimCLRs, and on honest views almost no gap. Two equal pictures have equal embeddings in any
#   network, so all it could learn was to push different pictures apart.
# - **C** is called "guessing" by the panel's own sentence, and it is not: partners are more alike than strangers. The loss
#   *cannot* fall, since 256 embeddings that share one length have similarities of about 1/256. That is a temperature some 256
#   times higher: all negatives are pushed alike (pitfall 1), and for that it is enough to gather at two opposite poles,
#   partners mostly at the same one. The spread does not see it; the histograms do.
# - **D**'s queries must agree with a network that stays random: the loss hardly leaves chance. But a healthy MoCo is not far
#   below chance after five epochs either; without the dashed curve its owner would wait.
# - **E** has a loss of almost 0 and *no* collapse: its spread is near 1, but there is no gap. The target of the very same
#   picture is easily predicted.
# - **F**'s two histograms lie on each other: most pairs, of partners and of strangers, are nearly alike, some are opposite, and
#   the features use few directions. It is no collapse to one point: the spread is well above 0 in all three seeds.
#
# kNN would have misled us: BYOL starts slowly (lesson 05), so after five epochs the healthy one is no better than E. The gap
# is smaller than the healthy run's in all six, and it needs no label.
#
# ## Mend the lines
#
# Each patient's line, as it was run. Write it as it should be.
#
# ### Exercise 2: patient A's partners (2 min, easy)
#
# The rows of `z` are the embeddings of all $2n$ views, view1 of all cards first, then view2 of all cards in the same order.
# (For this order the check writes A1 B1 ... A2 B2 ...; A and B are cards.)
#
# ```python
# partner = torch.arange(2 * n) ^ 1               # A: 1 0 3 2 5 4 ...
# ```


# %% tags=["exercise"]
def my_partners(n):
    """In which row each of the 2n views has its partner: whole numbers, (2n,)."""
    ### BEGIN SOLUTION
    return torch.arange(2 * n).roll(n)
    ### END SOLUTION


# %%
checks.partners(my_partners)

# %% [markdown] tags=["hints"]
# <details><summary>Hint 1</summary>
#
# Write the rows down for three cards a, b, c: a b c a b c. Where is the partner of row 0? Of row 3?
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# The partner of row $i$ is row $i + n$, modulo $2n$.
#
# </details>
#
# <details><summary>Hint 3</summary>
#
# `tensor.roll(k)` moves the entries of a tensor k places on; those that fall out come in at the front.
#
# </details>

# %% [markdown]
# ### Exercise 3: patient B's views (3 min, easy)
#
# `make_view(images)` draws one random view of every image, anew at each call.
#
# ```python
# view1 = view2 = make_view(images)               # B
# ```


# %% tags=["exercise"]
def my_views(images, make_view):
    """view1, view2 of every image, both like images (n, 3, h, w)."""
    ### BEGIN SOLUTION
    return make_view(images), make_view(images)
    ### END SOLUTION


# %%
checks.fresh_views(my_views)

# %% [markdown] tags=["hints"]
# <details><summary>Hint 1</summary>
#
# How many times is a view drawn in B's line?
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# Two views are two calls, and each starts from the images.
#
# </details>
#
# <details><summary>Hint 3</summary>
#
# `view1 = make_view(images)`, then once more for view2; return both.
#
# </details>

# %% [markdown]
# ### Exercise 4: patient C's lengths (3 min, easy)
#
# The rows of `z` are embeddings; return them, each of length 1.
#
# ```python
# z = z / z.norm()                                # C
# ```


# %% tags=["exercise"]
def my_unit(z):
    """Embeddings (2n, d), each scaled to length 1."""
    ### BEGIN SOLUTION
    return F.normalize(z, dim=1)
    ### END SOLUTION


# %%
checks.unit_length(my_unit)

# %% [markdown] tags=["hints"]
# <details><summary>Hint 1</summary>
#
# What is the shape of `z.norm()`? How many lengths do 2n embeddings have?
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# An embedding is a row, so its numbers lie along `dim=1`.
#
# </details>
#
# <details><summary>Hint 3</summary>
#
# `F.normalize(z, dim=...)`, or divide by `z.norm(dim=..., keepdim=True)`.
#
# </details>

# %% [markdown]
# ### Exercise 5: patient D's end of a step (4 min, medium)
#
# ```python
# def after_step(method):                         # D, MoCo
#     method.enqueue(method.new_keys)
# ```
#
# `method` has `encoder`, `projector`, their slow copies `key_encoder`, `key_projector`, and `momentum`;
# `ema_update(slow, fast, momentum)` moves the slow one towards the fast one, in place (lesson 04).


# %% tags=["exercise"]
def my_after_step(method):
    """What MoCo does after the optimiser's step, in place."""
    ### BEGIN SOLUTION
    ema_update(method.key_encoder, method.encoder, method.momentum)
    ema_update(method.key_projector, method.projector, method.momentum)
    method.enqueue(method.new_keys)
    ### END SOLUTION


# %%
checks.after_step(my_after_step)

# %% [markdown] tags=["hints"]
# <details><summary>Hint 1</summary>
#
# What makes the keys is *two* networks, and both have a slow copy.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# Two calls of `ema_update`, and the line that D already has.
#
# </details>
#
# <details><summary>Hint 3</summary>
#
# `ema_update(method.key_encoder, method.encoder, method.momentum)`, and the same for the projectors.
#
# </details>

# %% [markdown]
# ### Exercise 6: patient E's pairs (2 min, easy)
#
# ```python
# loss = byol_loss(p1, target1) + byol_loss(p2, target2)     # E, BYOL
# ```
#
# `byol_loss(p, target)` is the distance of predictions from targets (lesson 05). Gradients pass through both of its arguments;
# a target must not get one: `.detach()`.


# %% tags=["exercise"]
def my_byol_loss(p1, p2, target1, target2):
    """BYOL's loss; p1 is the prediction from view1, target1 the target network's z of view1."""
    ### BEGIN SOLUTION
    return byol_loss(p1, target2.detach()) + byol_loss(p2, target1.detach())
    ### END SOLUTION


# %%
checks.byol_loss(my_byol_loss)

# %% [markdown] tags=["hints"]
# <details><summary>Hint 1</summary>
#
# What must the online network see through, if the target looked at the same picture?
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# Exchange the targets.
#
# </details>
#
# <details><summary>Hint 3</summary>
#
# `byol_loss(p1, target2.detach())`, and the same with 1 and 2 exchanged; add both.
#
# </details>

# %% [markdown]
# ### Exercise 7: patient F's optimiser (4 min, medium)
#
# ```python
# optimizer = torch.optim.AdamW(weights, lr=0.2)  # F, BYOL: the paper's base rate (sec. 3.3), there for LARS
# ```
#
# Any kind of optimiser will do. It is judged by what it does on a small test problem of 300 steps, a network that learns to
# predict another one's directions by BYOL's loss. Two things are asked: no step changes the weights by more than 15 % of
# their own length, and the loss falls to half. (The small problem can recover from larger steps. F did not.)


# %% tags=["exercise"]
def my_optimizer(weights):
    """An optimiser over a list of weights, at a rate that suits it."""
    ### BEGIN SOLUTION
    return torch.optim.AdamW(weights, lr=3e-3)
    ### END SOLUTION


# %%
checks.optimizer(my_optimizer)

# %% [markdown] tags=["hints"]
# <details><summary>Hint 1</summary>
#
# How far does Adam move a weight in its first step, if the gradient is tiny?
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# Adam divides each gradient by its own size, so its first step moves every weight by about the rate itself. Weights here are of
# size 0.08. SGD's step is the rate times the gradient.
#
# </details>
#
# <details><summary>Hint 3</summary>
#
# `torch.optim.AdamW(weights, lr=...)` with a rate of some thousandths, or `torch.optim.SGD(weights, lr=...)` with some hundredths.
#
# </details>

# %% [markdown]
# With its line mended, each patient is the healthy run. (F's healthy neighbour differs in one thing more: its predictor learns
# faster than the rest.)
#
# ## Quiz
#
# **1.** A loss falls nicely on one machine. On two, with 64 cards on each, it stays around 5.545. Which patient's disease is it?
#
# <details><summary>Answer</summary>
#
# A's. There are 128 cards in all, and ln(2 · 128 - 1) = 5.541 is the loss of guessing: no partner is found where it is looked
# for. The views of two machines were gathered as *z1 z2* of the first, then *z1 z2* of the second, and the loss expected all *z1*
# before all *z2*. (Spijkervet/SimCLR, [issue 30](https://github.com/Spijkervet/SimCLR/issues/30), mended by pull request 46.)
#
# </details>
#
# **2.** A loss of BYOL falls to 0.01 within a few epochs. Collapse?
#
# <details><summary>Answer</summary>
#
# Not necessarily: E's loss is as low, and its spread is nearly as large as can be. A low loss says that the targets are easily
# predicted. *Collapse* is one way to make that easy, seeing the same picture is another. Look at the spread.
#
# </details>
#
# **3.** Which of the six would you have found by the loss alone, without a healthy run's curve beside it?
#
# <details><summary>Answer</summary>
#
# A and C, whose loss stays on the chance line, if you know to draw it; it says that something is wrong, not what. D only
# perhaps: its loss is near chance, but so is a healthy MoCo's after five epochs. B, E and F show a curve that falls. That is why
# the panel has four parts, and why a new project begins with somebody else's curve for a known recipe.
#
# </details>

# %% [markdown]
# ## Going deeper: where the six come from
#
# | | what happened | report |
# |---|---|---|
# | A | a toolbox concatenates the views as *a b ... a b ...*, its loss looks for partners as in *a a b b*; the maintainer noticed it by the logs | [open-mmlab/mmselfsup, issue 159](https://github.com/open-mmlab/mmselfsup/issues/159) |
# | B | an example embeds `aug1` twice; a reviewer asks for `aug2` | [catalyst-team/catalyst, pull request 1278](https://github.com/catalyst-team/catalyst/pull/1278) |
# | C | `l2_normalize` without its axis: the whole batch gets length 1. The loss had been "stuck" for 728 epochs (issue 233) | [tensorflow/similarity, issue 237](https://github.com/tensorflow/similarity/issues/237) |
# | D | the update of the key encoder was commented out by accident | [ligerfotis/mvitac, issue 2](https://github.com/ligerfotis/mvitac/issues/2) |
# | E | predictions against their own view's targets: 32 to 36 % on CIFAR-10; mended, "it worked" | [The-AI-Summer/byol-cifar10, issues 1](https://github.com/The-AI-Summer/byol-cifar10/issues/1) and [2](https://github.com/The-AI-Summer/byol-cifar10/issues/2) |
# | F | Adam at 0.2, "as mentioned in the paper": 80 % of the features are 0 after three epochs | [lucidrains/byol-pytorch, issue 44](https://github.com/lucidrains/byol-pytorch/issues/44) |
#
# Our runs rebuild the fault, not the repository: other data, network and length.

# %% [markdown]
# ## The running results table
#
# This lesson adds no method, so no row. It adds what the pitfalls cost.

# %% tags=["folded"]
# What the pitfalls cost, from the records
at_8 = {run["encoder"]: [] for run in judged["runs"]}
for run in judged["runs"]:
    at_8[run["encoder"]].append(run["knn"])
at_20 = {run["setting"]: [] for run in strength_record["runs"]}
for run in strength_record["runs"]:
    at_20[run["setting"]].append(run["knn"])
pitfalls = {
    "SimCLR, the recipe at 8 epochs": at_8["0.3"],
    "temperature 0.01": at_8["0.01"],
    "temperature 3": at_8["3.0"],
    "6 epochs at batch 256, whole": ends["whole"],
    "batch 256, accumulated by 32": ends["accumulated"],
    "batch 256, accumulated by 8": ends["accumulated by 8"],
    "SimCLR, the recipe at 20 epochs": at_20["right"],
    "augmentation too weak": at_20["weak"],
    "augmentation too strong": at_20["strong"],
}
show_table(
    [[name, mean_and_spread(values)] for name, values in pitfalls.items()],
    ["", "kNN"],
    caption="On test, mean ± standard deviation of three seeds",
)

# %% [markdown]
# ## Recap
#
# - The temperature decides which negatives count; losses at different temperatures are on different scales.
# - Two measurements before training: can colours alone find the partner, and can you still recognise the object?
# - A ranking belongs to a judge. Choose the judge by the task, and show more than one.
# - Accumulation adds gradient, not negatives. GradCache gives the whole batch's gradient (but for BatchNorm) for one more
#   forward pass, a queue gives other negatives.
# - Read a panel from the left: chance line, histograms, spread and rank, kNN; with a healthy run beside it.
#
# Next: lesson 08, full scale.
#
# ## References
#
# - T. Chen, S. Kornblith, M. Norouzi, G. Hinton. *A simple framework for contrastive learning of visual representations* (SimCLR). 2020, [arXiv:2002.05709](https://arxiv.org/abs/2002.05709).
# - F. Wang, H. Liu. *Understanding the behaviour of contrastive loss*. 2021, [arXiv:2012.09740](https://arxiv.org/abs/2012.09740). What the temperature does to hard negatives, and to samples that are alike.
# - Y. Tian, C. Sun, B. Poole, D. Krishnan, C. Schmid, P. Isola. *What makes for good views for contrastive learning?* 2020, [arXiv:2005.10243](https://arxiv.org/abs/2005.10243). Too much shared between the views, and too little.
# - L. Gao, Y. Zhang, J. Han, J. Callan. *Scaling deep contrastive learning batch size under memory limited setup* (GradCache). 2021, [arXiv:2101.06983](https://arxiv.org/abs/2101.06983).
# - K. He, H. Fan, Y. Wu, S. Xie, R. Girshick. *Momentum contrast for unsupervised visual representation learning* (MoCo). 2020, [arXiv:1911.05722](https://arxiv.org/abs/1911.05722).
# - J.-B. Grill et al. *Bootstrap your own latent* (BYOL). 2020, [arXiv:2006.07733](https://arxiv.org/abs/2006.07733). Sec. 3.3: LARS at 0.2 times the batch size over 256.
