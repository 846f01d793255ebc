# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # 04 MoCo
#
# **What you will be able to do**
#
# - keep thousands of negatives without a large batch: a queue of earlier keys, and a key network that drifts slowly;
# - write both: a queue that wraps around for any batch size, and the moving average with its buffers;
# - say what goes wrong when keys are stale, and measure it without a label;
# - foretell what momentum, queue length and batch size do to a run, and check it against recorded ones;
# - explain how BatchNorm can give the answer away, what cures it, and find the bug in a cure.
#
# **Time**: 60 minutes. **Needs**: InfoNCE (lesson 02), SimCLR and the health panel (lesson 03). It computes for less than two
# minutes on two cores, most of it the training.

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
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Generator, nn

from cl_course import checks
from cl_course.augment import AugmentConfig, two_views
from cl_course.data import load, to_float
from cl_course.evaluate import embed, knn_accuracy, linear_probe
from cl_course.lessons.moco.figures import ages_figure, epochs_figure, moco_figure
from cl_course.lessons.moco.lab_queue import Belt, queue_figure, queue_lab
from cl_course.lessons.shared.ablation_figure import ablation_figure
from cl_course.lessons.shared.health_panel import HealthPanel
from cl_course.lessons.shared.results import results_figure
from cl_course.lessons.shared.show import show
from cl_course.losses import info_nce, nt_xent
from cl_course.methods import MoCo
from cl_course.models import projector, small_resnet
from cl_course.momentum import ema_update
from cl_course.optimizers import make_optimizer
from cl_course.running import records
from cl_course.running.checkpoints import shipped
from cl_course.running.plans import plan
from cl_course.running.recipes import recipe
from cl_course.running.reuse import load_or_train
from cl_course.running.settings import settings
from cl_course.train import TrainConfig, learning_rate_at, pretrain, train_step

lesson = settings(globals())

# %% [markdown]
# ## Predict first: what does a negative cost?
#
# In SimCLR the negatives of a view are the other views of its batch, so 4,096 of them take a batch of 2,049 images. Every one
# of these goes through the encoder, and all that the encoder computes on the way must be kept until the gradient has come back.
#
# What the loss needs of a negative is far less: its embedding, 128 numbers.
#
# **Predict.** How many images fit into the memory that 4,096 embeddings take? Half of one, some five, some fifty?


# %%
def kept_for_backward(n):
    """Bytes that one SimCLR loss of n images keeps for its gradient."""
    storages = {}

    def note(x):
        storages[x.untyped_storage().data_ptr()] = x.untyped_storage().nbytes()
        return x

    with torch.autograd.graph.saved_tensors_hooks(note, lambda x: x):
        loss = nt_xent(*head(encoder(torch.rand(2 * n, 3, 32, 32))).chunk(2))
    kept = sum(storages.values())
    loss.backward()  # until here all of it was needed
    return kept


encoder = small_resnet()
head = projector(encoder.dim)
an_image = (kept_for_backward(32) - kept_for_backward(16)) / 16  # the weights are in both
a_key = 128 * 4  # 128 numbers of 4 bytes
print(f"one image, two views: {an_image / 1e3:6,.0f} kB kept for the gradient")
print(f"4,096 embeddings:     {4096 * a_key / 1e3:6,.0f} kB, as much as {4096 * a_key / an_image:.1f} images")
print(f"SimCLR with 4,096 negatives, 2,049 images:        {2049 * an_image / 1e6:6,.0f} MB")
print(f"32 images and 4,096 embeddings from elsewhere:    {(32 * an_image + 4096 * a_key) / 1e6:6,.0f} MB")

# %% [markdown]
# A negative that comes without its way back through the encoder is nearly free. At full size it decides what one can train at
# all: MoCo v2 with a ResNet-50 took 5.0 GB a GPU at batch 256, and the authors put the end-to-end method at batch 4,096 at 93.0
# GB (tab. 3).
#
# But from where does one take 4,096 embeddings? From the batches of *before*: their embeddings have been computed already.
#
# ## The idea

# %%
few = None if lesson.full else 8000  # of a larger set, quick takes as many as shapes has
train = load(lesson.dataset, "train", limit=few)
val, test = load(lesson.dataset, "val"), load(lesson.dataset, "test")
if train.labels is None:
    raise ValueError(f"{lesson.dataset} has no labels, and this lesson judges by them: sort it into one folder a class")
cards = to_float(train.images[1:8])
view1, view2 = two_views(cards, AugmentConfig(), Generator().manual_seed(lesson.seed))
pictures = [views.permute(0, 2, 3, 1).numpy() for views in (cards, view1, view2)]
show(
    moco_figure(pictures[0][0], pictures[1][0], pictures[2][0], pictures[2][1:]),
    alt="View 1 goes through the query network to q, view 2 through the key network to k. q is pulled to its own key k and pushed away from all keys of "
    "the queue, a conveyor belt of views of earlier images. After the step the new key gets on the belt and the oldest falls off; the key network, "
    "which has no gradient, drifts slowly after the query network.",
)

# %% [markdown]
# MoCo ("momentum contrast", He et al. 2020; version 2, Chen et al. 2020, with SimCLR's augmentation and projector) thinks of it
# as looking up a word in a dictionary: a **query** $q$, the embedding of view 1, must find its **key** $k$, that of view 2,
# among many.
#
# | part | what it does | SimCLR has |
# |---|---|---|
# | **query network**: encoder $f_q$, projector | view 1 -> $q$; learns by gradient; its encoder is kept | the only network, for both views |
# | **key network** | view 2 -> $k$; a slow copy of the query network, no gradient | - |
# | **queue** | the keys of the last batches, $K$ of them; first in, first out: the newest replace the oldest | the batch |
# | **momentum** $m$ | after each step: $\mathrm{key} \leftarrow m \cdot \mathrm{key} + (1 - m) \cdot \mathrm{query}$, weight by weight | - |
#
# With $s$ the cosine similarity, the loss of a query is that of lesson 02, its own key against all keys of the queue:
#
# $$\ell = -\log \frac{\exp(s(q, k) / T)}{\exp(s(q, k) / T) + \sum_{k' \in \text{queue}} \exp(s(q, k') / T)}.$$
#
# Whoever guesses among a key and $K$ others has the loss $\ln(1 + K)$; the batch size is not in it any more.
#
# **Why two networks?** The keys in the queue are old: other weights made them. If the weights change fast, an old key is no
# longer what the network would say today. So MoCo lets a *slow* network make the keys, and then neighbours in the queue agree,
# even if they were made many steps apart.
#
# **Quiz.** Why is there no gradient into the keys? It would be the same loss with more to learn from.
#
# <details><summary>Answer</summary>
#
# There is nothing left for it to flow through. A key of the queue is a row of numbers; what computed it has been thrown away,
# and it is just that which makes it cheap. Only the newest keys could have a gradient, and if they did, the key network would
# be moved by it and would not be slow.
#
# </details>
#
# ## Belt lab
#
# A belt of keys and who made them. On top the queue as it lies in memory, dark what is new, light what is old; `oldest` is the
# place where the next keys go. Below at the left: an average with momentum $m$ consists of *all* past query networks; that of
# $j$ steps ago has the share $(1 - m) m^j$. Below at the right: how far two networks are from each other if the query network
# *wanders*, each step in a direction of its own.
#
# **Predict**, then move the sliders:
#
# 1. 4,096 keys, 128 a step. How old does a key get before it falls off? And with 32 a step?
# 2. Momentum 0, 0.9, 0.99, 0.999: how many steps is the key network behind on average?
# 3. From 0 to 0.999, which distance grows and which shrinks: query to key network, or key network now to the one that made the oldest key?

# %%
queue_lab()
belt = Belt(queue_size=4096, batch_size=128, momentum=0.99, step=40)
show(queue_figure(belt), alt=f"The lab at step 40. {belt.sentence}")

# %% [markdown]
# Everything in the lab can be computed by hand, and it shows the bargain. A queue of $K$ keys at $n$ a step holds the work of
# $K / n$ steps. The mean age of the weights in the average is $m / (1 - m)$ steps. More momentum brings the keys of the queue
# closer *together*, and takes them all further *away* from the query network. At momentum 1 they agree perfectly: on what a
# random network says.
#
# How far a *real* network moves in a step is not in the lab. Below it is measured.
#
# ## Exercise: the queue
#
# The loss and the queue's turn, for one batch. Given are the queries `q` and keys `k`, $(n, d)$ and of any length, the queue,
# $(K, d)$ with rows of length 1, and `oldest`, the place in it where the oldest key lies. Then
#
# - compute the loss; `info_nce(q, k, negatives, temperature)` is the one of lesson 02, from the package;
# - write the new keys over the $n$ oldest, **in place**. The queue is a ring: after the last place comes place 0, and $n$ need
#   not divide $K$;
# - return the loss and the place of what is the oldest key now.


# %% tags=["exercise"]
def my_queue_step(q, k, queue, oldest, temperature):
    """MoCo's loss, then the keys' way into the queue, in place. Returns (loss, oldest)."""
    ### BEGIN SOLUTION
    k = F.normalize(k.detach(), dim=1)
    loss = info_nce(q, k, queue, temperature)
    places = (oldest + torch.arange(len(k), device=k.device)) % len(queue)
    queue[places] = k
    return loss, (oldest + len(k)) % len(queue)
    ### END SOLUTION


# %%
checks.queue_step(my_queue_step)

# %% [markdown] tags=["hints"]
# <details><summary>Hint 1</summary>
#
# Three things in this order: keys without gradient, loss, queue. What would happen if the queue came before the loss?
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# `k.detach()` cuts off what made the keys; `F.normalize(k, dim=1)` gives each row the length 1. `torch.arange(n)` counts 0, 1,
# ..., n - 1, and `% len(queue)` lets the counting go on at 0.
#
# </details>
#
# <details><summary>Hint 3</summary>
#
# `places = (oldest + torch.arange(len(k))) % len(queue)`, then `queue[places] = k`; the oldest is now at `(oldest + len(k)) %
# len(queue)`.
#
# </details>

# %% [markdown]
# ## Exercise: the drift
#
# The key network drifts after the query network: each of its weights keeps the share `momentum` of itself and takes the rest
# from its counterpart. A network has **buffers** too, numbers that no gradient moves: BatchNorm's running mean and variance.
# They are averages already and are copied. Change the key network in place; return nothing.


# %% tags=["exercise"]
def my_ema_update(key_network, query_network, momentum):
    """key <- momentum * key + (1 - momentum) * query for all weights; buffers are copied. In place."""
    ### BEGIN SOLUTION
    with torch.no_grad():
        for slow, fast in zip(key_network.parameters(), query_network.parameters()):
            slow.copy_(momentum * slow + (1 - momentum) * fast)
        for slow, fast in zip(key_network.buffers(), query_network.buffers()):
            slow.copy_(fast)
    ### END SOLUTION


# %%
checks.ema_update(my_ema_update)

# %% [markdown] tags=["hints"]
# <details><summary>Hint 1</summary>
#
# `network.parameters()` and `network.buffers()` go through their tensors in the same order for both networks; `zip` takes them
# in pairs.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# `slow = ...` only gives the name to something new. `slow.copy_(...)` writes into the tensor that is there, under
# `torch.no_grad()`.
#
# </details>
#
# <details><summary>Hint 3</summary>
#
# `slow.copy_(momentum * slow + (1 - momentum) * fast)` for the parameters, `slow.copy_(fast)` for the buffers.
#
# </details>

# %% [markdown]
# ## MoCo in twenty lines
#
# Algorithm 1 of the paper as a class with the two verbs of all methods here: `loss`, which never writes the queue, and
# `after_step`, which does.


# %%
class MyMoCo(nn.Module):
    def __init__(self, encoder, projector, queue_size, momentum, temperature):
        super().__init__()
        self.query = nn.Sequential(encoder, projector)
        self.key = copy.deepcopy(self.query).requires_grad_(False)  # starts as a copy; no optimiser moves it
        self.register_buffer("queue", F.normalize(torch.randn(queue_size, 128), dim=1))  # random to begin with
        self.oldest, self.momentum, self.temperature = 0, momentum, temperature

    def loss(self, view1, view2):
        with torch.no_grad():
            self.new_keys = F.normalize(self.key(view2), dim=1)
        return info_nce(self.query(view1), self.new_keys, self.queue, self.temperature)

    def after_step(self):
        ema_update(self.key, self.query, self.momentum)
        self.queue[(self.oldest + torch.arange(len(self.new_keys))) % len(self.queue)] = self.new_keys
        self.oldest = (self.oldest + len(self.new_keys)) % len(self.queue)


# %%
both, losses = [], []
for make in (MyMoCo, MoCo):
    torch.manual_seed(lesson.seed)
    encoder = small_resnet()
    both.append(make(encoder, projector(encoder.dim), queue_size=500, momentum=0.9, temperature=0.2))  # 128 does not divide 500
    losses.append(pretrain(both[-1], train.subset(torch.arange(640)), TrainConfig(epochs=2, seed=lesson.seed)).column("loss"))
mine, packages = both
torch.testing.assert_close(*losses)
torch.testing.assert_close(mine.queue, packages.queue)
for a, b in zip(mine.key.parameters(), [*packages.key_encoder.parameters(), *packages.key_projector.parameters()], strict=True):
    torch.testing.assert_close(a, b)
print("loss by epoch, twenty lines:", [round(x, 4) for x in losses[0]])
print("loss by epoch, package:     ", [round(x, 4) for x in losses[1]])
print("and the same queue and key network")

# %% [markdown]
# Lay it beside `cl_course/methods/moco.py`. The package adds a cure for BatchNorm (below), checks of bad input, and a setting
# `symmetric`: each view asks once and answers once, as in the authors' CIFAR demo. That is twice the work a step and twice the
# keys. We train so: then MoCo has seen as many queries as SimCLR.
#
# ## The first steps
#
# **Predict.** At the start the queue holds random directions and both networks are random as well. Where does the loss begin:
# above the chance line $\ln(1 + K)$, on it, or below? And where does it go in the next ten steps?

# %%
chosen = recipe("moco", lesson.profile, lesson.dataset, lesson.seed, side=train.images.shape[-1])
whole = chosen.config.epochs
if not lesson.full:  # what fits into a minute on two cores; the course brings the whole of it as a checkpoint
    chosen = replace(chosen, config=replace(chosen.config, epochs=12), expected=f"after the recipe's {whole} epochs, not these 12: {chosen.expected}")
config = chosen.config
trial = chosen.build(train, lesson.device)
optimizer, generator = make_optimizer(trial, config.optimizer, config.weight_decay), Generator().manual_seed(0)
total = config.epochs * (len(train) // config.batch_size)
K, n = len(trial.queue), config.batch_size
print(f"chance {trial.chance(n):.2f}, with {K:,} keys in the queue")
for step in range(10):
    rate = learning_rate_at(step, total, config)
    random_keys = max(0, 1 - step * 2 * n / K)
    loss = train_step(trial, train.images[step * n : (step + 1) * n].to(lesson.device), optimizer, rate, config, generator)
    print(f"step {step + 1:2}: loss {loss:.2f}   random start in the queue {random_keys:4.0%}")

# %% [markdown]
# It starts well *below* chance, and rises to it. A random network says nearly the same of every view, so a query is close to its key;
# the random directions in the queue are close to nothing. When real keys have replaced them, all candidates look alike, and the
# loss is what it should be in one who knows nothing. A falling loss is no proof that something is learned, and a rising one no
# proof that it is not.
#
# ## Train

# %%
checkpoint = lesson.checkpoint("04_moco")  # None in the quick profile
print(plan(chosen, train, lesson.device, resume=checkpoint))

# %% [markdown]
# **Predict** the loss after the last epoch: is it nearer to chance, or nearer to 0? (The temperature is 0.2. The least that it
# can sensibly be is that of a key at similarity 1 and a whole queue at right angles; the cell after the run prints it.)

# %%
some = torch.randperm(len(train), generator=Generator().manual_seed(0))[:4000]
gallery = train.subset(some)  # the images whose names may vote
method = chosen.build(train, lesson.device)
before = copy.deepcopy(method.encoder)
panel = HealthPanel(gallery, val, config)
key = {"lesson": "04", "settings": lesson, "recipe": chosen}
rows = load_or_train(key, lambda: pretrain(method, train, config, on_epoch=panel, resume=checkpoint).rows, method)
if panel.rows != rows:  # the run, or the first part of it, was made before and only read
    panel.replay(rows, method)


# %%
def vote(encoder, queries=val):
    """kNN accuracy of an encoder's features, named by the gallery."""
    return knn_accuracy(embed(encoder, gallery), gallery.labels, embed(encoder, queries), queries.labels)


T = method.temperature
for name, row in (("first", rows[0]), ("half-way", rows[len(rows) // 2 - 1]), ("last", rows[-1])):
    print(f"{name:10} loss {row['loss']:.2f}   kNN {row['knn']:.3f}   effective rank of h {row['effective_rank']:.0f}")
same = K / len(train.class_names)  # keys in the queue that show the query's own kind of thing
print(f"loss of guessing {method.chance(n):.2f}; of a key alike and a queue at right angles {math.log(1 + K * math.exp(-1 / T)):.2f}")
print(f"loss if the {same:.0f} keys of the query's own class were as alike as its key, all others opposite: {math.log(1 + same):.2f}\n")
print(f"{sum(row['seconds'] for row in rows):.0f} s of training for {len(rows)} epochs")
print(f"kNN on validation: random {vote(before):.3f}, query encoder {vote(method.encoder):.3f}, key encoder {vote(method.key_encoder):.3f}")
if lesson.dataset == "shapes" and not lesson.full:
    longer, longer_card = shipped("moco_shapes")
    print(f"the whole recipe, {longer_card['config']['epochs']} epochs, as it comes with the course: {vote(longer):.3f}")

# %% [markdown]
# The loss cannot come near 0, nor near the floor. One key in ten of the queue shows the query's own kind of object. A network
# that sees kinds finds them all alike, and then the loss is about the last of the three numbers. What the loss calls failure is
# what we want (lesson 03).
#
# The key encoder is nearly as good as the query encoder by now: the learning rate has gone to 0, and the slow copy has caught
# up. In the midst of a run it has not; so keep and judge the query encoder.
#
# ## What age does to a key
#
# Now the experiment behind the idea. Recorded runs of six epochs, three seeds each, one thing changed at a time around the
# recipe (momentum 0.95, 1,024 keys, 128 images and so 256 keys a step). Short runs: they are to show who gets going and who
# does not.
#
# **Predict, then look.** (a) Momentum 0, so that the key network *is* the query network of a step ago; 0.999, so that it is a
# thousand steps behind, in a run of 372. (b) A queue of 256 keys, of 4,096. More negatives are better, are they not?

# %%
moco = records.read("moco")
RECIPE = {"method": "moco", "batch_size": 128, "queue_size": 1024, "momentum": 0.95, "norm_groups": 1, "key_norm": "batch"}


def recorded(**changed):
    """The recorded runs with the recipe's settings but for those given, a dict a seed."""
    wanted = RECIPE | changed
    return [run for run in moco["runs"] if all(run.get(name, RECIPE[name]) == value for name, value in wanted.items())]


def mean_and_spread(values):
    values = torch.tensor(values, dtype=torch.float64)
    return f"{values.mean():.2f} ± {values.std():.2f}"


def at_end(runs, measure):
    """What the last epoch showed, on validation where images are needed."""
    return mean_and_spread([run["curves"][measure][-1] for run in runs])


def on_test(runs, measure):
    return mean_and_spread([run[measure] for run in runs])


around = [run for m in (0, 0.9, 0.95, 0.99, 0.999) for run in recorded(momentum=m)]
around = recorded(queue_size=256) + around + recorded(queue_size=4096)
show(
    ablation_figure(around, {"momentum": 0.95, "queue_size": 1024}, title=f"MoCo around its recipe, {moco['config']['epochs']} epochs"),
    alt="kNN accuracy against momentum: near chance at 0, above it for some seeds from 0.9 to 0.999, with wide spreads. "
    "Against the number of keys: best at 256, lower at 1,024, near chance at 4,096.",
)
print(f"{'momentum':>10}{'keys':>8}{'below chance':>16}{'kNN on test':>15}   seed by seed")
for momentum, keys in [(m, 1024) for m in (0, 0.9, 0.95, 0.99, 0.999)] + [(0.95, 256), (0.95, 4096)]:
    runs = recorded(momentum=momentum, queue_size=keys)
    below = mean_and_spread([math.log(1 + keys) - run["curves"]["loss"][-1] for run in runs])
    print(f"{momentum:>10}{keys:>8,}{below:>16}{on_test(runs, 'knn'):>15}  ", *(f"{run['knn']:.2f}" for run in runs))

# %% [markdown]
# - **Without momentum nothing is learned**, in any seed: the loss is at chance, and the vote worse than with a random encoder
#   (0.236 in the results table). Momentum 0.9 fails in two seeds of three. In the paper momentum 0 failed as well, 0.9 cost
#   four points, and 0.999 was the best (sec. 4.1).
# - **Between 0.95 and 0.999 six epochs decide nothing**: the seeds lie further apart than the momenta. One seed is well under
#   way, two have only just begun. All get there: after its 20 epochs the recipe has 0.94 (the results table). Whoever had run
#   seed 0 alone could have told a fine story.
# - **The shortest queue is the best, in every seed, and the longest learns nothing.** In the paper more keys are better, up to
#   65,536 (fig. 3). We did not expect the opposite, and the next figure is our search for the reason.
#
# How alike are the key that the key network makes of a view now and the one it made some steps ago? And what does an old key do
# in the loss? Both were recorded. The second is the term of a negative in the sum, $\exp(s / T)$, on average over its batch:
# its **cost**. If the cost of old keys is lower, then no query is near them any more.
#
# **Predict**: which of these five have keys that last?

# %%
shown = {
    "momentum 0": recorded(momentum=0),
    "momentum 0.95 (recipe)": recorded(),
    "momentum 0.999": recorded(momentum=0.999),
    "momentum 0.95, 4,096 keys": recorded(queue_size=4096),
    "momentum 0.99, 4,096 keys": recorded(queue_size=4096, momentum=0.99),
}
first = {name: [{measure: run["curves"][measure][0] for measure in ("drift", "cost")} for run in runs] for name, runs in shown.items()}
show(
    ages_figure(first, moco["config"]["ages"]),
    alt="Left: the similarity of two keys of one view falls with the steps between them, fastest without momentum, hardly at 0.999. "
    "Right: what a key costs as a negative falls with its age; in the queues of 4,096 keys by one to several nats.",
)
print(f"{'':<28}{'oldest key counts':>18}{'loss, last epoch':>18}{'chance':>8}{'kNN on test':>15}")
for name, runs in shown.items():
    counts = mean_and_spread([math.exp(run["cost"][-1] - run["cost"][0]) for run in first[name]])
    print(f"{name:<28}{counts:>18}{at_end(runs, 'loss'):>18}{math.log(1 + runs[0]['queue_size']):>8.2f}{on_test(runs, 'knn'):>15}")

# %% [markdown]
# - **At the left: the network turns everything round.** Small and fast as it is, after the first epoch two keys of one view
#   that lie 32 steps apart have little in common, unless the momentum is 0.99 or more. It is this that the belt
#   lab could not tell.
# - **At the right: an old key is a cheap negative.** Within four steps, the recipe's queue, little is lost. Of 16 steps' keys,
#   the queue of 4,096, the oldest count for a fraction of the newest (first column).
# - **So there is a shortcut.** A query's own key has been made now; all others are older. The network need not know what is on
#   the card, it need only make keys that change from step to step: the own key is the one that looks *new*. A query then knows
#   its key by its age, as in lesson 01 by its colour. The more there is of age in the queue, the better it pays.
# - What the figure does not explain: why momentum 0 and 0.9 fail with the recipe's queue, whose keys still count two thirds
#   and more. In the end these networks say nearly the same of everything, and their loss is at chance.
#
# "More negatives" was never free: with the batch fixed, a longer queue is an *older* queue. In the paper's setting, 65,536 keys
# at 256 a step, a key also lives for 256 steps, but a run has about a million of them (200 epochs of 1.28 M images), a momentum
# of 0.999 and a network that moves accordingly little in each.
#
# **Quiz.** Which of these lets you have a longer queue: a larger momentum, a lower learning rate, a larger batch?
#
# <details><summary>Answer</summary>
#
# Each of them: the first two let keys last longer, the third fills the queue in fewer steps. None is free: with more momentum
# keys lag further behind, a lower rate learns more slowly, and the larger batch is what one wanted to avoid.
#
# </details>
#
# ## Batch 32 and a queue, against SimCLR
#
# What the queue is for: a small batch. Here are 32 images a step with 4,096 keys, against SimCLR with 32 and with 512 images,
# the same images, views and epochs. Other batch sizes have learning rates that go with the square root.
#
# One has to fit the momentum to it: at 64 keys a step, those 4,096 keys are 64 steps old at most. Two momenta were tried, and
# both are shown.
#
# **Predict** the order of the four, and where the recipe comes in.

# %%
small = {
    "SimCLR, batch 32": recorded(method="simclr", batch_size=32),
    "SimCLR, batch 512": recorded(method="simclr", batch_size=512),
    "MoCo, batch 32 + 4,096 keys, momentum 0.99": recorded(batch_size=32, queue_size=4096, momentum=0.99),
    "MoCo, batch 32 + 4,096 keys, momentum 0.999": recorded(batch_size=32, queue_size=4096, momentum=0.999),
    "MoCo, the recipe": recorded(),
}
print(f"{'':<46}{'negatives':>10}{'kNN on test':>15}{'linear on test':>16}")
below = {}
for name, runs in small.items():
    negatives = runs[0]["queue_size"] if runs[0]["method"] == "moco" else 2 * runs[0]["batch_size"] - 2
    below[name] = [{"knn": run["curves"]["knn"], "below": [math.log(1 + negatives) - loss for loss in run["curves"]["loss"]]} for run in runs]
    print(f"{name:<46}{negatives:>10,}{on_test(runs, 'knn'):>15}{on_test(runs, 'linear'):>16}")
show(
    epochs_figure(below, {"below": "How far the loss is below chance", "knn": "kNN (validation)"}),
    alt="Left: how far the loss is below chance; MoCo with batch 32 at momentum 0.99 and SimCLR with batch 32 are furthest below. "
    "Right: kNN on validation; SimCLR with batch 32 is best by far, MoCo with batch 32 at momentum 0.99 stays near chance.",
)

# %% [markdown]
# - **SimCLR with 32 images wins, with 62 negatives.** Ten kinds of object do not need thousands, and at equal epochs a batch of
#   32 takes 16 times as many steps as one of 512. The ablation of lesson 03 hinted at it.
# - **Batch 32 with a queue at momentum 0.99 fails, and its loss is far below chance** (at the left), further than that of any
#   other MoCo. This is the shortcut in its pure form. From the loss alone one would call it the best of them; kNN or the cost
#   of old keys gives it away. (The next section finds a second part of it.)
# - **At 0.999 it begins to learn**: there the keys last. It does not catch up with SimCLR here.
#
# Does MoCo do nothing, then? It does what the first cell of this lesson said: 4,096 negatives in the memory of 32 images. Where
# many negatives are worth having, as on ImageNet, that decides: at batch 256 and 200 epochs MoCo v2 has 67.5 % and SimCLR 61.9,
# and SimCLR needs batch 8,192 for 66.6 (MoCo v2, tab. 2). These cards are not such a place, and we have found no setting on
# them in which the queue beats SimCLR at equal views.
#
# ## BatchNorm gives the answer away
#
# In training mode BatchNorm normalises an image by the mean and variance of its batch, in every layer. So an embedding depends
# on the company that its image is in. How much? The cell takes one validation image and exchanges the others of its batch.

# %%
trial = copy.deepcopy(method)
others = two_views(to_float(val.images[-n:]), config.augment, Generator().manual_seed(1))[1].to(lesson.device)
view2 = panel.views[1].to(lesson.device)
with torch.no_grad():
    for mode in (True, False):
        trial.train(mode)
        here = trial.embeddings(view2, view2)[1][0]
        elsewhere = trial.embeddings(view2, torch.cat([view2[:1], others[1:]]))[1][0]
        name = "in training mode" if mode else "in eval mode"
        print(f"{name:<18} key of one view in two batches: similarity {here @ elsewhere:.4f}")

# %% [markdown]
# It is little, but it is the same trace for *all* images of a batch, and query and key of an image come from the same one. The
# keys of the queue come from others. So there is a way to find one's key that has nothing to do with the image: take the
# candidate that bears the trace of this batch. The paper saw networks take it: the loss falls fast, and the features are poor
# (sec. 3.3, app. A.9). SimCLR does not know the problem as long as all candidates of a view are normalised together.
#
# **The cure**, "shuffling BN". On eight GPUs BatchNorm sees eight groups, one on each. Shuffle the keys' images before they are
# handed out, and shuffle the keys back afterwards: then a query and its key have been normalised in different company. On one
# device one can do the same by hand, cutting the batch into groups: `MoCo(..., key_norm="shuffled", norm_groups=8)`. Queries
# are cut in stretches, keys are dealt out like cards; the batch comes in a random order anyway.

# %%
# NBVAL_CHECK_OUTPUT
place = torch.arange(16)  # in a batch of 16
dealt = (place + place // 4) % 4  # each stretch begins one group further on
print("queries:    ", *(group.tolist() for group in place.tensor_split(4)))
print("keys, dealt:", *(place[dealt == group].tolist() for group in range(4)))

# %% [markdown]
# **Predict.** The *leak* was recorded: after each epoch, in training mode, how much larger the loss becomes when seven eighths
# of the company of each key are exchanged for other images. Nothing else changes, so what the loss then lacks had been read off
# the company. Four settings of the recipe: the whole batch (256 views) as one group; 4 and 16 groups, with keys in the same
# groups as their queries, as on GPUs without shuffling; 4 groups with dealt keys. And two of the small batch with the long
# queue from above. Where is the leak largest, and whose kNN suffers?

# %%
small_batch = {"batch_size": 32, "queue_size": 4096, "momentum": 0.99}
norms = {
    "one group (recipe)": recorded(),
    "4 groups, the same for keys": recorded(norm_groups=4),
    "16 groups, the same for keys": recorded(norm_groups=16),
    "4 groups, dealt keys": recorded(norm_groups=4, key_norm="shuffled"),
    "batch 32 + 4,096 keys, one group": recorded(**small_batch),
    "batch 32 + 4,096 keys, 2 groups, dealt": recorded(**small_batch, norm_groups=2, key_norm="shuffled"),
}
curves = {name: [run["curves"] for run in runs] for name, runs in norms.items()}
show(
    epochs_figure(dict(list(curves.items())[:4]), {"leak": "Leak: what the loss owes to the company", "knn": "kNN (validation)"}),
    alt="Left: the leak by epoch, within about 0.15 nats: highest for 16 groups with the same keys, near 0 for one group, 4 groups and dealt keys. "
    "Right: kNN on validation, with seeds far apart; the four settings are alike, 16 groups somewhat higher.",
)
print(f"{'':<40}{'leak, mean':>14}{'loss, last':>14}{'kNN on test':>14}   seed by seed")
for name, runs in norms.items():
    leak = mean_and_spread([sum(curve["leak"]) / len(curve["leak"]) for curve in curves[name]])
    print(f"{name:<40}{leak:>14}{at_end(runs, 'loss'):>14}{on_test(runs, 'knn'):>14}  ", *(f"{run['knn']:.2f}" for run in runs))

# %% [markdown]
# - **With 16 groups there is a leak, in every seed**, of some hundredths of a nat where the loss is above 5: the trace of 16
#   views is more their own than that of 256. With one group or 4 it is about a hundredth, with dealt keys or without; there is
#   hardly anything to cure.
# - **The cure costs nothing**: with dealt keys the runs go as the recipe's do, seed by seed. Whether it would close the leak of
#   16 groups we have not recorded.
# - **Here the leak does no harm.** The setting that has it has the best kNN, in every seed. Whether the leak helps the runs off
#   the ground, or the noise of small groups does, this table cannot say.
# - **With the small batch and the long queue company matters far more**, and wildly: whole nats in some epochs. It is one more
#   thing that tells new keys from old ones. With dealt keys one seed of three learns, where none did; in 2 groups key and query
#   still share half of their company, and age is left as it was.
#
# So on these cards, in six epochs, the leak is a curiosity and not what the paper saw. Do not conclude that it is harmless: the
# authors' CIFAR demo loses 4 points without the cure after 800 epochs, and warns in the same breath of drawing conclusions from
# small data. In the `full` profile of this lesson the keys are dealt.
#
# ## Debug this: a cure that kills
#
# A learner has one GPU and builds the cure by hand: shuffle the views, cut them into groups, make the keys of each group by
# itself. The run goes through without an error, and its loss stays at chance for ever. Below, these keys are put to *your*
# network, which can tell images apart. Run it and find the line.


# %%
def as_written(key_network, view2, generator):
    order = torch.randperm(len(view2), generator=generator)
    groups = view2[order].chunk(4)  # each normalised by itself
    return torch.cat([key_network(group) for group in groups])


@torch.no_grad()
def ask(make_keys):
    """Loss and all similarities, queries down and keys across, of the panel's views in training mode."""
    trial = copy.deepcopy(method).train()
    view1, view2 = (view.to(lesson.device) for view in panel.views)
    q = F.normalize(trial.projector(trial.encoder(view1)), dim=1)
    k = F.normalize(make_keys(nn.Sequential(trial.key_encoder, trial.key_projector), view2, Generator().manual_seed(0)), dim=1)
    return info_nce(q, k, trial.queue, trial.temperature).item(), q @ k.T


loss, similarity = ask(as_written)
print(f"loss {loss:.2f}, chance {method.chance(n):.2f}")

# %% [markdown]
# A clue: the diagonal of the table of similarities, query $i$ and key $i$, should be the partners.


# %%
def partners_and_strangers(similarity):
    on, off = similarity.diag(), similarity[~torch.eye(len(similarity), dtype=torch.bool, device=similarity.device)]
    return f"similarity of query i and key i {on.mean():.2f}, of query i and other keys {off.mean():.2f}"


print(partners_and_strangers(similarity))

# %% [markdown]
# <details><summary>The line, and why</summary>
#
# The keys come back in the shuffled order: key $i$ is that of another image, and the loss pulls each query towards a stranger,
# another one at every step. There is nothing to learn in that. `order.argsort()` undoes a permutation:
# `torch.cat(...)[order.argsort()]`.
#
# </details>


# %%
def mended(key_network, view2, generator):
    order = torch.randperm(len(view2), generator=generator)
    groups = view2[order].chunk(4)
    return torch.cat([key_network(group) for group in groups])[order.argsort()]


loss, similarity = ask(mended)
print(f"loss {loss:.2f}; {partners_and_strangers(similarity)}")

# %% [markdown]
# It is a real bug (CoinCheung/DenseCL, issue 1): there the keys of one of two losses were not shuffled back, until a user asked
# whether they should be. A test finds it in a second: with the key network equal to the query network and the same view for
# both, partners must have similarity 1 in eval mode.
#
# ## Quiz
#
# **1.** "The accuracy is 100 % in the first ten batches, then it falls to nearly 0, and the loss rises all the time."
# (facebookresearch/moco, issue 43, in short.) What has happened?
#
# <details><summary>Answer</summary>
#
# You have seen it above: at first the queue holds random directions, and a key among them is found at once. When real keys have
# replaced them, the task begins. Whether anything is learned afterwards the first epoch cannot say; watch the loss against
# $\ln(1 + K)$ later, and kNN. "It overfits the first batches" is the tempting answer.
#
# </details>
#
# **2.** "My loss is stuck at about 6.90. Is this normal?" The queue has 65,536 keys; ImageNet has 1,000 classes.
# (facebookresearch/moco, issue 12.) Is it chance?
#
# <details><summary>Answer</summary>
#
# No. ln(1000) is 6.91, but no class is in this loss: one guesses among 65,537 candidates, and chance is ln(65,537) = 11.09. At
# 6.9 the network has learned a lot; K. He's answer there says the same. Know your chance line.
#
# </details>
#
# **3.** MoCo with its default queue of 65,536 keys ends at about 73 % on CIFAR-10, whose 50,000 images SimCLR turns into 90 %.
# (AidenDurrant/MoCo-Pytorch, issue 1.) Give two reasons why the queue may be to blame.
#
# <details><summary>Answer</summary>
#
# It holds 1.3 epochs: each image meets its *own* earlier keys as negatives and is pushed away from itself (the package warns of
# a queue longer than the data). And its oldest keys are 1.3 epochs old, which on ImageNet would be a twentieth of one. Nobody
# has shown there which of the two it was; the MoCo authors' CIFAR demo takes 4,096. "More negatives are always better" is the
# tempting mistake.
#
# </details>
#
# **4.** One BatchNorm over all GPUs, SyncBN, instead of shuffling: then no query is normalised apart from its key's company. Is
# the leak cured?
#
# <details><summary>Answer</summary>
#
# No: that is the one large group of the figure above. Now all keys of the batch have the same trace, but the keys of the queue,
# with which one's own key competes, come from other batches with other traces. So K. He answers in facebookresearch/moco, issue
# 46.
#
# </details>
#
# ## The running results table
#
# Now the test images, once. Your live run is the star; it has had fewer epochs than the recorded ones.

# %%
train_h, val_h, test_h = (embed(method.encoder, images) for images in (train, val, test))
probe = linear_probe(train_h, train.labels, val_h, val.labels, test_h, test.labels, seed=lesson.seed)
live = {"row": "MoCo", "knn": knn_accuracy(train_h, train.labels, test_h, test.labels), "linear": probe.accuracy}
print(f"your run, {len(rows)} epochs: kNN {live['knn']:.3f}; {probe}")
as_recorded = lesson.dataset == "shapes" and not lesson.full
so_far = [run for run in records.read("results")["runs"] if run["row"] != "BYOL"]  # its row is the next lesson's
show(
    results_figure(so_far, live=live if as_recorded else None),
    alt="Accuracy on test by method, every seed as a dot: pixels and a random encoder at the bottom, MoCo a little below SimCLR, the supervised network at the top; your shorter run is a star.",
)

# %% [markdown]
# After 20 epochs MoCo is close to SimCLR, and not better: somewhat lower, with a larger spread over its three seeds, for
# somewhat more computing (the key network).
#
# ## The same thing in other letters
#
# | here | MoCo | SimCLR | BYOL | lightly, solo-learn |
# |---|---|---|---|---|
# | query network | $f_q$, query encoder (head included) | $g(f(\cdot))$ | online network | backbone, projection head |
# | key network | $f_k$, momentum encoder | - | target network | momentum backbone |
# | $q$, $k$ | $q$, $k_+$ | $z_i$, $z_j$ | | query, key |
# | queue, $K$ keys | dictionary, queue, $K$ | the $2N - 2$ others of the batch | none | memory bank |
# | momentum $m$ | $m$ | - | $\tau$ | m, tau |
# | `key_norm="shuffled"` | shuffling BN | global BN | | batch shuffle |
#
# Mind the word *memory bank*: in the MoCo paper it is the method before, one stored embedding for each image of the data set
# (Wu et al. 2018); in lightly it is the queue.
#
# ## Recap
#
# - A negative needs no way back: keys of earlier batches are nearly free, and the batch may be small.
# - The queue holds the last $K / n$ steps; momentum decides how well they agree, and how far they lag.
# - Chance is $\ln(1 + K)$. At first the loss is below it for no merit.
# - Where keys drift, a query knows its own by its age: the loss falls, and nothing is learned. Measure the cost of old keys, or
#   look at kNN.
# - A queue's age, a momentum and a run's length are all in *steps*: fit them to each other.
# - First the loss, then the queue; weights are averaged, buffers copied; keys shuffled are to be shuffled back.
# - Keep and judge the query encoder.
#
# Next: lesson 05, BYOL. The slow copy stays, and the negatives go altogether.
#
# ## References
#
# - K. He, H. Fan, Y. Wu, S. Xie, R. Girshick. *Momentum contrast for unsupervised visual representation learning* (MoCo). 2020, [arXiv:1911.05722](https://arxiv.org/abs/1911.05722). Algorithm 1; momentum, sec. 3.2 and the ablation in sec. 4.1; shuffling BN, sec. 3.3.
# - X. Chen, H. Fan, R. Girshick, K. He. *Improved baselines with momentum contrastive learning* (MoCo v2). 2020, [arXiv:2003.04297](https://arxiv.org/abs/2003.04297). Memory and time, tab. 3.
# - X. Chen, S. Xie, K. He. *An empirical study of training self-supervised vision transformers* (MoCo v3). 2021, [arXiv:2104.02057](https://arxiv.org/abs/2104.02057). Drops the queue where batches are large.
# - Z. Wu, Y. Xiong, S. Yu, D. Lin. *Unsupervised feature learning via non-parametric instance discrimination*. 2018, [arXiv:1805.01978](https://arxiv.org/abs/1805.01978). The memory bank.
# - A. van den Oord, Y. Li, O. Vinyals. *Representation learning with contrastive predictive coding* (CPC). 2018, [arXiv:1807.03748](https://arxiv.org/abs/1807.03748). InfoNCE.
# - Z. Cai, A. Ravichandran, S. Maji, C. Fowlkes, Z. Tu, S. Soatto. *Exponential moving average normalization for self-supervised and semi-supervised learning* (EMAN). 2021, [arXiv:2101.08482](https://arxiv.org/abs/2101.08482). Averages the buffers too.
