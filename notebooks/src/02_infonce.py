# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # 02 InfoNCE and temperature
#
# **What you will be able to do**
#
# - build a contrastive loss, NT-Xent, step by step: similarities, partners, one view's loss, the whole batch;
# - say which loss to expect of a network that knows nothing, and read a stuck run from that number;
# - derive the loss's gradient by hand, and say from it what a temperature does: who is pushed, and how hard;
# - keep the loss finite where exponentials overflow.
#
# **Time**: {minutes} minutes, and {deeper_minutes} more for the sections *Going deeper*. **Needs**: the flashcards
# of lesson 00 and the two views of lesson 01; PyTorch tensors, softmax and cross-entropy as you know them from
# classification. It computes for less than a minute on two cores.

# %% tags=["setup"]
# set-up cell: inserted by the build

# %% tags=["parameters"]
profile = "auto"  # "quick" (CPU) or "full" (GPU); "auto" looks what is there
dataset = "auto"  # "shapes", "cifar10", "stl10" or the path of a folder of images
seed = 0  # any whole number from 0
device = "auto"  # "cpu", "cuda" or "mps"

# %% tags=["folded"]
# Imports
import math

import torch
import torch.nn.functional as F
from torch import Generator

from cl_course import checks
from cl_course.augment import AugmentConfig, augment, two_views
from cl_course.data import load, shuffled_batches, to_float
from cl_course.diagnose import spread
from cl_course.lessons.infonce.figures import (
    chance_line,
    information_bound,
    lineup,
    loss_curves,
    similarity_matrix,
)
from cl_course.lessons.infonce.lab_temperature import (
    recorded_rows,
    shares,
    temperature_lab,
)
from cl_course.lessons.infonce.temperature_figure import temperature_sweep, trained_at
from cl_course.lessons.shared.lab_circle import circle_lab, simulate, start
from cl_course.lessons.shared.pictures import channels_last
from cl_course.lessons.shared.show import show
from cl_course.lessons.shared.tables import mean_and_spread, show_table
from cl_course.losses import chance_loss, nt_xent
from cl_course.methods import SimCLR
from cl_course.models import projector, small_resnet
from cl_course.running import records
from cl_course.running.settings import settings

lesson = settings(globals())

# %% [markdown]
# ## Predict first: which one is my partner?
#
# Below are two views each of eight cards, made by the augmentations of lesson 01. One view is the **anchor**.
# The 15 other views are its **candidates**. Exactly one of them was made from the same card: the anchor's
# **partner**, also called the **positive**. The other 14 are the **negatives**.
#
# Which is the partner? Distribute 100 points over the candidates: many where you are sure, few where you are
# not. Write your points down, then run the cell after the picture.

# %% tags=["folded"]
# Two views of eight cards
cards = load(lesson.dataset, "val", limit=8)
view1, view2 = two_views(
    to_float(cards.images), AugmentConfig(), Generator().manual_seed(lesson.seed)
)
places = torch.randperm(15, generator=Generator().manual_seed(lesson.seed))
candidates = torch.cat([view2, view1[1:]])[places]  # every view but the anchor, view1[0]
show(
    lineup(channels_last(view1[0]), channels_last(candidates)),
    alt="One anchor view at the left and 15 numbered candidate views; "
    "one of them shows the same card as the anchor.",
)

# %%
print(f"The partner is candidate {int((places == 0).nonzero())}.")
for points in (100, 60, 20, 100 / 15, 1):
    share = points / 100
    print(f"{points:5.1f} points on the partner: loss -ln {share:.3f} = {math.log(1 / share):.2f}")

# %% [markdown]
# You have just done the task that the loss of this lesson gives to a network. It is scored like this: **only the
# share of points on the partner counts, and the loss is minus its natural logarithm** (its unit is the *nat*). All 100
# on the partner: loss 0. The same share for each of the 15: $\ln 15$. None on the partner: infinite.
#
# Perhaps you gave points to another card that shows the same kind of object. Remember it: it comes back as the
# *false negative*.
#
# ## From the question to a loss
#
# A network turns each view into an **embedding** $z$, a vector of $d$ numbers. Two embeddings are compared by
# their **cosine similarity**. It looks at directions alone: 1 for the same direction, 0 at a right angle, -1 for
# opposite directions.
#
# $$s(a, b) = \frac{a \cdot b}{|a|\,|b|}$$
#
# A batch of $n$ images has $2n$ views, so all similarities form a table of $2n \times 2n$. The figure shows it
# for made-up embeddings of $n = 8$ images, A to H, where view 2 is view 1 with some noise. Its rows are in the
# order A1 B1 ... H1 A2 B2 ... H2.

# %% tags=["folded"]
# Made-up embeddings of eight images, and their table of similarities
generator = Generator().manual_seed(0)
z1 = torch.randn(8, 16, generator=generator)  # (n, d)
z2 = z1 + 0.8 * torch.randn(8, 16, generator=generator)
z = F.normalize(torch.cat([z1, z2]), dim=1)
similarity = z @ z.T
show(
    similarity_matrix(similarity.numpy()),
    alt="Table of 16 by 16 similarities. The diagonal is crossed out; each row's partner, 8 places "
    "from the diagonal, is framed.",
)

# %% [markdown]
# Read one row: an anchor and all that it can be compared with. The crossed-out cell is the anchor itself. It is no
# candidate, since it would always win. The framed cell is its partner.
#
# ### Exercise 1: the table of similarities (4 min, easy)
#
# Compute this table. `z1` and `z2` are $(n, d)$, row $i$ of both is image $i$, and rows may have any length.
# Return the cosine similarities of all $2n$ views with all, $(2n, 2n)$: first the $n$ rows of view 1, then
# those of view 2.


# %% tags=["exercise"]
def my_similarities(z1, z2):
    """(n, d) and (n, d) -> cosine similarities of all views, (2n, 2n)."""
    ### BEGIN SOLUTION
    z = torch.cat([z1, z2])  # (2n, d)
    z = z / z.norm(dim=1, keepdim=True)  # length 1, as F.normalize(z, dim=1) gives it
    return z @ z.T
    ### END SOLUTION


# %%
checks.similarities(my_similarities)

# %% [markdown] tags=["hints"]
# <details><summary>Hint 1</summary>
#
# If all rows have length 1, a cosine is a plain product $a \cdot b$.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# `torch.cat([z1, z2])` puts the rows of `z2` under those of `z1`. `z.norm(dim=1, keepdim=True)` is the length of
# each row, $(2n, 1)$.
#
# </details>
#
# <details><summary>Hint 3</summary>
#
# All products of rows with rows at once are one matrix product, $(2n, d) \cdot (d, 2n)$: `z @ z.T`.
#
# </details>

# %% [markdown]
# ### Exercise 2: the partner's index (3 min, easy)
#
# In which column is the partner of row $i$? Return the index of each row's partner, $2n$ whole numbers. Look at the
# framed cells: for $n = 8$ the answer begins with 8, 9, 10.


# %% tags=["exercise"]
def my_partners(n):
    """Number of images -> index of each view's partner, (2n,)."""
    ### BEGIN SOLUTION
    return (torch.arange(2 * n) + n) % (2 * n)
    ### END SOLUTION


# %%
checks.partners(my_partners)

# %% [markdown] tags=["hints"]
# <details><summary>Hint 1</summary>
#
# For $n = 3$ the rows are A1 B1 C1 A2 B2 C2. Write the six answers down by hand.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# Each partner is $n$ places further on. What does the second half do at the end of the table?
#
# </details>
#
# <details><summary>Hint 3</summary>
#
# Count modulo $2n$: `%`. Or shift `torch.arange(2 * n)` by `n` places: `.roll(n)`.
#
# </details>

# %% [markdown]
# ### Exercise 3: one row's loss (5 min, easy)
#
# Now the points. Divide the similarities of a row by a positive number $T$, the **temperature**: these are the
# **logits**. Their softmax gives the candidates probabilities that add up to 1. The loss of this anchor is minus the
# logarithm of its partner's probability. It is the cross-entropy of a classifier with $2n - 1$ classes, and the classes are the
# other views of this batch.
#
# $$p_j = \frac{\exp(s_j / T)}{\sum_k \exp(s_k / T)}, \qquad \ell = -\ln p_\text{partner}$$
#
# Return $\ell$, one number. `similarities`, $(m,)$, holds those of one anchor's candidates, without the anchor itself;
# `partner` is the partner's index among them.


# %% tags=["exercise"]
def my_row_loss(similarities, partner, temperature):
    """Similarities of one anchor's candidates, (m,), the partner's index, T -> its loss."""
    ### BEGIN SOLUTION
    log_p = (similarities / temperature).log_softmax(dim=0)
    return -log_p[partner]
    ### END SOLUTION


# %%
checks.row_loss(my_row_loss)

# %% [markdown] tags=["hints"]
# <details><summary>Hint 1</summary>
#
# Follow the formula from the inside: divide, softmax over the row, take the partner's, logarithm, minus.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# `x.softmax(dim=0)` gives the probabilities of a row `x`, `p[partner]` is one of them.
#
# </details>
#
# <details><summary>Hint 3</summary>
#
# `x.log_softmax(dim=0)` is the logarithm of the softmax, and safer than `.softmax(dim=0).log()`: the section
# *Keeping it finite* says why.
#
# </details>

# %%
# NBVAL_CHECK_OUTPUT
is_candidate = torch.arange(16) != 0  # the anchor is A1, row 0
p = (similarity[0, is_candidate] / 0.5).softmax(dim=0)  # T = 0.5
print("B1 ... H1, A2 ... H2:", [round(float(x), 2) for x in p])
print(f"the partner, A2: {p[7]:.2f}, loss {-p[7].log():.2f}; even shares: loss {math.log(15):.2f}")

# %% [markdown]
# The mean of $\ell$ over all $2n$ views is **NT-Xent**, "normalised temperature-scaled cross-entropy", the loss of
# SimCLR (Chen et al. 2020, eq. 1). It belongs to a family called **InfoNCE** (van den Oord et al. 2018): one right
# candidate among many, picked by a softmax. The members differ in who the candidates are; MoCo's come from a queue
# (lesson 04).
#
# **Quiz.** The table has the anchor itself in each row, and it must not be a candidate. Somebody multiplies the
# diagonal of the table by 0. Is the anchor then out?
#
# <details><summary>Answer</summary>
#
# No. Its logit is now 0, and exp(0) = 1 still stands in the sum: it counts like a view at a right angle. A logit of
# minus infinity takes it out, since exp(-inf) is exactly 0. (The number -9e15 does so too, but float16 cannot hold
# it.)
#
# </details>
#
# ### Exercise 4: NT-Xent (8 min, medium)
#
# Write the loss of a whole batch. You may use `my_similarities` and `my_partners`. From `z1` and `z2`, each $(n, d)$
# with rows of any length, to one number:
#
# 1. logits: all cosine similarities, divided by the temperature, $(2n, 2n)$;
# 2. no view is its own candidate;
# 3. the mean over all $2n$ views of the cross-entropy between a row of logits and its partner's index.
#
# The check tries batches and temperatures that you do not see. T = 0.01 is among them, so give *logits* to
# `F.cross_entropy` or `log_softmax`.


# %% tags=["exercise"]
def my_nt_xent(z1, z2, temperature):
    """z1, z2: (n, d), row i of both is image i -> NT-Xent, a scalar."""
    ### BEGIN SOLUTION
    n = len(z1)
    z = F.normalize(torch.cat([z1, z2]), dim=1)  # (2n, d)
    logits = z @ z.T / temperature  # (2n, 2n)
    itself = torch.eye(2 * n, dtype=torch.bool, device=z.device)
    logits = logits.masked_fill(itself, -torch.inf)
    partner = torch.arange(2 * n, device=z.device).roll(n)
    return F.cross_entropy(logits, partner)
    ### END SOLUTION


# %%
checks.nt_xent(my_nt_xent)

# %% [markdown] tags=["hints"]
# <details><summary>Hint 1</summary>
#
# Exercise 1 gives the table and exercise 2 the right column of each row. What is left: which cells may not count.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# `logits.masked_fill(mask, -torch.inf)` removes the cells where `mask` is True; `torch.eye(2 * n, dtype=torch.bool)`
# is True on the diagonal.
#
# </details>
#
# <details><summary>Hint 3</summary>
#
# `F.cross_entropy(logits, target)` takes one row of logits for each view and the index of the right column for each
# row, and returns the mean: `F.cross_entropy(logits, my_partners(len(z1)))`.
#
# </details>

# %% [markdown]
# From here on the lessons use `nt_xent` from the package, which is tested against plain loops, values known on paper
# and autograd. (In lesson 03 you can train a network with *your* `my_nt_xent` beside it, even if yours is wrong.) Three
# laws test any implementation that you meet:

# %%
order = torch.randperm(8, generator=Generator().manual_seed(2))
same = nt_xent(z1, z2, 0.2)
torch.testing.assert_close(nt_xent(9 * z1, 0.1 * z2, 0.2), same)  # lengths do not count
torch.testing.assert_close(nt_xent(z1[order], z2[order], 0.2), same)  # nor the order of the batch
torch.testing.assert_close(nt_xent(z2, z1, 0.2), same)  # nor which view comes first
print(f"loss {same:.3f}; with view 2 alone in another order {nt_xent(z1, z2[order], 0.2):.3f}")

# %% [markdown]
# ## The chance line
#
# **Predict.** A network gives every view of 128 images the *same* embedding. What is its loss, and how does
# it depend on the temperature?
#
# <details><summary>Answer</summary>
#
# All 255 candidates are equally similar, so each gets probability 1/255, whatever the temperature:
# the loss is ln 255 = 5.54. In general it is ln(2n - 1). The tempting answer ln 128 forgets that the
# candidates come from both views, less the anchor itself.
#
# </details>
#
# The value $\ln(2n - 1)$ is the loss of guessing: the **chance line**. The figure compares it with three kinds of
# embeddings that know nothing, three seeds each: random directions at two temperatures, and those of an untrained
# network that looks at real views. (Its *encoder* turns a view into features $h$, the embedding of lesson 00. Its
# *projector*, a small network, turns those into $z$. Lesson 03 builds both.)


# %% tags=["folded"]
# Losses of embeddings that know nothing, for four batch sizes
def untrained(n, seed):
    """NT-Xent at T = 0.5 of a network with random weights, on two views of n images."""
    torch.manual_seed(seed)
    encoder = small_resnet()
    views = two_views(to_float(many.images[:n]), AugmentConfig(), Generator().manual_seed(seed))
    with torch.no_grad():
        return SimCLR(encoder, projector(encoder.dim), temperature=0.5).loss(*views).item()


sizes, many = (8, 32, 128, 512), load(lesson.dataset, "train", limit=512)
noise = {
    (n, s): torch.randn(2, n, 128, generator=Generator().manual_seed(s))
    for n in sizes
    for s in range(3)
}
measured = {
    "random directions, T = 0.5": {
        n: [nt_xent(*noise[n, s], 0.5).item() for s in range(3)] for n in sizes
    },
    "random directions, T = 0.1": {
        n: [nt_xent(*noise[n, s], 0.1).item() for s in range(3)] for n in sizes
    },
    "untrained network, T = 0.5": {n: [untrained(n, s) for s in range(3)] for n in sizes},
}
show(
    chance_line(sizes, [chance_loss(n) for n in sizes], measured),
    alt="Loss against batch size. Random directions at T = 0.5 and an untrained network lie on "
    "ln(2n - 1) or close to it; random directions at T = 0.1 lie above it.",
)
above = [
    [
        name,
        *(
            mean_and_spread([loss - chance_loss(n) for loss in losses], 2)
            for n, losses in by_size.items()
        ),
    ]
    for name, by_size in measured.items()
]
show_table(
    above,
    ["", *(f"n = {n}" for n in sizes)],
    "Loss minus ln(2n - 1), mean ± standard deviation of 3 seeds",
)
print(
    "1 / (2 d T²) for d = 128:",
    ", ".join(f"{1 / (2 * 128 * t**2):.2f} at T = {t}" for t in (0.5, 0.1)),
)

# %% [markdown]
# - The line moves with the batch size. A loss of 4.5 is worse than guessing for 32 images (ln 63 = 4.14) and better
#   for 512 (ln 1023 = 6.93). Always give a loss with its chance line.
# - Under the full augmentations of lesson 01 the untrained network is about as bad as random directions. Two views of
#   one picture have much in common, but its weights do not look for it.
# - Random directions lie *above* the line on average, by about $1 / (2 d T^2)$ when there are many. By accident some
#   negative is more similar than the partner, and a low temperature gives such accidents a high weight.
#
# **Quiz.** You double the batch size of a run at temperature 0.5, and its loss rises by 0.6. Has it become worse?
#
# <details><summary>Answer</summary>
#
# Nothing says so. There are twice as many candidates: the chance line has risen by about ln 2 = 0.69, more than the
# loss. "The loss rose, so the larger batch harms" compares two different tasks.
#
# </details>
#
# There is also a **floor**, below which no loss can lie. Cosines lie between -1 and 1, so the logits lie between $-1/T$
# and $1/T$. Even perfect partners ($s = 1$) and $s = -1$ to all others would leave some probability to the negatives.
# (Three or more directions cannot all be opposite. At best, any two of $n$ images have $s = -1 / (n - 1)$, nearly a
# right angle.) For $n = 128$:

# %%
# NBVAL_CHECK_OUTPUT
for temperature in (1.0, 0.5, 0.1):
    floor = math.log(1 + 254 * math.exp(-2 / temperature))
    orthogonal = math.log(
        1 + 254 * math.exp(-1 / temperature)
    )  # partners alike, negatives at s = 0
    print(f"T = {temperature}: floor {floor:.2f}, at right angles {orthogonal:.2f}, chance 5.54")

# %% [markdown]
# **Quiz.** Run P, at temperature 0.1, ends with a loss of 1.5; run Q, at temperature 1, with 4.7. Same data,
# 128 images a batch. Which network is better?
#
# <details><summary>Answer</summary>
#
# You cannot tell. The same embeddings, partners alike and negatives at right angles, have three very different losses
# above. Compare runs at different temperatures by what the features are good for (lesson 06).
#
# </details>

# %% [markdown]
# ### Going deeper: what the loss says about information
#
# **Mutual information** $I$ is what one view tells about the other, in nats ($\ln 2$ nats are one bit): 0 when
# they are independent, large when one of them tells which image both came from. Van den Oord et al. (2018)
# showed that InfoNCE bounds it from below. For a batch of $n$ images
#
# $$I(\text{view 1};\, \text{view 2}) \;\ge\; \ln n - \text{loss}.$$
#
# In words: a network that finds the partner among $n$ more often than by guessing must use something that
# the two views share. The bound holds for the *expected* loss, on fresh and independent batches, of a score that
# looks at one pair at a time. One lucky batch may break it, and the loss on images that were trained on may, too.
# BatchNorm in training mode, where each view sees the whole batch, does not quite fit. (The theorem is for anchors in
# view 1 and the $n$ candidates in view 2. NT-Xent adds $n - 1$ candidates from the anchor's own side. A longer sum only
# raises the loss, so the bound holds for NT-Xent as well. With $\ln(2n-1)$ in place of $\ln n$ it is not proved.)
#
# Two Gaussian variables can stand for the views, since their $I$ is known: each pair of coordinates with
# correlation $\rho$ shares $-\tfrac12 \ln(1 - \rho^2)$ nats. The best possible score of a pair is known too,
# $\ln p(b \mid a) - \ln p(b)$: how much more likely view 2 is once view 1 is known. So the loss below is the least that
# *any* network could reach. **Predict**: where will $\ln n -$ loss end up as the true information grows to 10 nats, for
# 8, 64 and 512 candidates?


# %%
def least_loss(information, n, generator, d=8):
    """InfoNCE of two Gaussian views that share so many nats, with the best scores."""
    rho = math.sqrt(1 - math.exp(-2 * information / d))
    a, noise = torch.randn(2, n, d, generator=generator, dtype=torch.float64)
    b = rho * a + math.sqrt(1 - rho**2) * noise
    errors = ((b[None] - rho * a[:, None]) ** 2).sum(-1)  # (n, n)
    score = (b[None] ** 2).sum(-1) / 2 - errors / (2 * (1 - rho**2))
    return F.cross_entropy(score, torch.arange(n)).item()


# %% tags=["folded"]
# The bound for three numbers of candidates, three seeds each
true = list(range(11))
bounds = {}
for n, batches in ((8, 200), (64, 25), (512, 3)):  # as many anchors at each size
    means = []
    for s in range(3):
        generator = Generator().manual_seed(s)
        means.append(
            [
                sum(math.log(n) - least_loss(i, n, generator) for _ in range(batches)) / batches
                for i in true
            ]
        )
    bounds[n] = torch.tensor(means).numpy()
show(
    information_bound(true, bounds),
    alt="ln n minus the loss follows the true information while that is small, then bends and "
    "stays below ln n: 2.1, 4.2 and 6.2 nats for n = 8, 64 and 512.",
)

# %% [markdown]
# The bound is correct, but it has a ceiling: the loss cannot be negative, so the bound cannot exceed $\ln n$
# (Poole et al. 2019). To certify 10 nats one would need more than $e^{10}$ candidates, about 22,000. That is not
# a weakness of InfoNCE alone: no bound that holds with high confidence for every distribution can certify more
# than about $\ln n$ from $n$ samples (McAllester & Stratos 2020). Two more limits:
#
# - **More information is not better features.** An encoder that can be inverted keeps *all* of it. Tschannen
#   et al. (2020) trained such encoders: the information could not change, and the features still became better or worse.
#   What is kept, and in what form, is decided by the augmentations (lesson 01) and the network.
# - **NT-Xent cannot even reach the best scores**: they have no limits, but its logits lie within $\pm 1/T$. That is why it
#   has the floor of the last section.

# %% [markdown]
# ## Temperature
#
# The lab shows *one row* of a real table of similarities. It is of a SimCLR network trained on the flashcards at
# $T = 0.3$: one anchor, and three different batches of 16 images around it:
#
# - **easy**: 15 images of other classes;
# - **hard**: the 15 images of other classes that this network finds most similar to the anchor;
# - **false negative**: the easy ones, but three of them replaced by images of the anchor's *own class*. Without
#   labels nobody can know; to the loss they are negatives like all others.
#
# The lowest panel shows the **push** on each negative, $p / T$: how strongly the loss lowers its similarity to the
# anchor. (You will derive this in exercise 5.) The text gives the **effective number of negatives**, $e^H$. Here
# $H = -\sum_j q_j \ln q_j$ is the entropy of negative $j$'s share $q_j$ of the push: that many negatives with equal
# shares would have the same entropy.
#
# **Predict** before you move anything: from $T = 2$ down to 0.01, does the effective number rise or fall? Does the sum
# of all pushes? At which end are the false negatives pushed most? Then try three tasks:
#
# 1. *easy*: find the temperature at which about 15 of the 30 negatives count.
# 2. *hard*: move slowly from 2 to 0.01. Which candidate ends up with most of the probability: the partner?
# 3. *false negative*: at which temperature do the six views of the anchor's class get half of the push?

# %%
temperature_lab()

# %% tags=["folded"]
# Answers to the three tasks, and the three rows at six temperatures
def nearest(row, measure, wanted):
    """The temperature, in steps of 0.01, at which a measure of a row is nearest to `wanted`."""
    steps = (k / 100 for k in range(1, 201))
    return min(steps, key=lambda t: abs(getattr(shares(row, t), measure) - wanted))


rows = recorded_rows()
half = nearest(rows["easy"], "effective", 15)
bears = nearest(rows["false negative"], "same_class", 0.5)
coldest = shares(rows["hard"], 0.01).probabilities
first = rows["hard"].kinds[int(coldest.argmax())]
print(f"1. easy: {shares(rows['easy'], half).effective:.1f} of 30 negatives count at T = {half}.")
print(
    f"2. hard: at T = 0.01 the most similar candidate ({first}) gets p = {coldest.max():.2f}, ",
    end="",
)
print(f"the partner {coldest[rows['hard'].partner]:.2f}.")
on_class = shares(rows["false negative"], bears).same_class
print(f"3. false negative: the six views get {on_class:.0%} of the push at T = {bears}.")


def line(name, t):
    at = shares(rows[name], t)
    p = at.probabilities
    hardest = f"{at.pull.max() / at.pull.sum():.0%}"
    alike = f"{at.same_class:.0%}" if "same class" in rows[name].kinds else None
    push = f"{at.pull.sum():.2f}"
    return [
        name,
        f"{t:g}",
        f"{at.loss:.2f}",
        f"{at.effective:.1f}",
        f"{p[rows[name].partner]:.2f}",
        push,
        hardest,
        alike,
    ]


show_table(
    [line(name, t) for name in rows for t in (2, 0.5, 0.2, 0.1, 0.05, 0.01)],
    [
        "row",
        "T",
        "loss",
        "effective",
        "p of partner",
        "push, all",
        "of it: hardest",
        "of it: same class",
    ],
)

# %% [markdown]
# - At a **high** temperature all negatives count, none much, and the sum of all pushes is small.
# - At a **low** temperature almost only the hardest negative counts. Where the partner is far ahead (*easy*), the push
#   goes to 0: nothing is left to learn. Where a negative is ahead of the partner (*hard*), the push grows about
#   like $1/T$ and goes to that negative.
# - The **sum** of the pushes is $(1 - p_+) / T$, with $p_+$ the partner's probability. So your answer depends on the row:
#   in *easy* the sum first rises and then falls to 0, in the other two it keeps growing.
# - And the hardest negatives may be **no negatives at all**: what looks most like the anchor may be of its class. The
#   low end pushes these false negatives most.
#
# How often is that so? The figure shows means over all views of 512 validation images as anchors, in batches of 128,
# for three networks trained with different seeds (thin lines; the mean is thick).

# %% tags=["folded"]
# Effective number of negatives, and the push on the own class, at 17 temperatures
record = records.read("similarity_rows")
sweeps = [run["sweep"] for run in record["runs"] if "sweep" in run]
temperatures = [point["temperature"] for point in sweeps[0]]
counted = torch.tensor([[point["effective_negatives"] for point in sweep] for sweep in sweeps])
alike = torch.tensor([[point["share_same_class"] for point in sweep] for sweep in sweeps])
base = sweeps[0][0]["same_class_among_negatives"]
show(
    temperature_sweep(temperatures, counted.numpy(), alike.numpy(), total=254, share_alike=base),
    alt="With falling temperature the effective number of negatives falls from nearly all 254 to a "
    "few, and the share of the push on negatives of the same class rises.",
)
show_table(
    [
        [
            f"{temperatures[place]:.2f}",
            mean_and_spread(counted[:, place].tolist(), 1),
            mean_and_spread((100 * alike[:, place]).tolist(), 0),
        ]
        for place in (16, 10, 7, 4, 0)
    ],
    ["T", "effective number of 254", "% of the push on the same class"],
    f"Of the negatives {base:.0%} are of the anchor's class",
)

# %% [markdown]
# In these *trained* networks, with ten classes, most of the push at low $T$ goes to images of the anchor's own class.
# We expect less at the start of training, when the network cannot yet tell what is alike, and with 1,000 classes,
# where a batch holds few images of the same class.
#
# So the temperature is a compromise. Low: the loss works on the hard cases, where there is something to learn,
# and pushes apart what should stay together. High: it spares those, and spends its push on negatives that are far away
# already. Wang & Liu (2021) call it the uniformity-tolerance dilemma. Common values lie between: 0.07 in MoCo, 0.1
# to 0.5 in SimCLR; CLIP learns it.
#
# ## The gradient, by hand
#
# Where does the push $p / T$ come from? Take one anchor, with similarities $s_j$ and the partner's $s_+$. Its loss is
#
# $$\ell = -s_+ / T + \ln \textstyle\sum_k \exp(s_k / T).$$
#
# The derivative of the logarithm of a sum of exponentials is a softmax, and the chain rule brings $1/T$ in front.
#
# ### Exercise 5: the gradient (5 min, medium)
#
# Derive $\partial \ell / \partial s_j$, for a negative and for the partner, and return it for all candidates, without
# autograd. Arguments as in exercise 3.


# %% tags=["exercise"]
def my_gradient(similarities, partner, temperature):
    """Similarities (m,), the partner's index, T -> the loss's derivative by each of them, (m,)."""
    ### BEGIN SOLUTION
    gradient = (similarities / temperature).softmax(dim=0)  # p
    gradient[partner] -= 1
    return gradient / temperature
    ### END SOLUTION


# %%
checks.gradient(my_gradient)

# %% [markdown] tags=["hints"]
# <details><summary>Hint 1</summary>
#
# The second term gives the same expression for all candidates. The first one depends on the partner's similarity alone.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# The derivative of $\ln \sum_k \exp(s_k / T)$ by $s_j$ is $\frac{1}{T} \exp(s_j / T) / \sum_k \exp(s_k / T) = p_j / T$.
#
# </details>
#
# <details><summary>Hint 3</summary>
#
# A negative: $p_j / T$. The partner: $p_+ / T - 1 / T$. So compute $p$, subtract 1 at the index `partner`, and divide
# all by $T$.
#
# </details>

# %%
row, temperature = recorded_rows()["hard"], 0.1
s = torch.tensor(row.similarities, requires_grad=True)
F.cross_entropy(s / temperature, torch.tensor(row.partner)).backward()
for j in range(4):
    print(
        f"s = {row.similarities[j]:.2f}  {row.kinds[j]:<12} gradient by autograd {s.grad[j]:+.3f}"
    )
print(f"sum over all 31 candidates: {abs(s.grad.sum()):.6f}")

# %% [markdown]
# Gradient descent moves against the gradient. If the similarities were free to move, each negative's would fall in
# proportion to $p_j / T$. The partner's would rise in proportion to $(1 - p_+) / T$, which is the sum of all the others:
# the two always balance.
# (In NT-Xent every similarity stands in two rows, once for either end, and all is divided by $2n$.)
#
# **Quiz.** As $T$ grows without bound, which negatives does the loss still push, and how hard?
#
# <details><summary>Answer</summary>
#
# All of them alike: the softmax becomes even, p = 1/(2n - 1) for each, and the push p / T goes to 0 with 1/T. "None,
# because the gradient vanishes" is half right: an optimiser such as Adam, which divides the gradient by
# its own size, undoes the factor. What stays is that all negatives count the same, hard or not.
#
# </details>

# %% [markdown]
# ### Going deeper: from similarities to embeddings
#
# One more step of the chain rule. Let $z_+$ be the partner's embedding, let $j$ run over all candidates, the partner
# among them, and let all lengths be 1. Without normalisation, descent would move the anchor $z$ along
#
# $$\frac{1}{T} \Big( z_+ - \sum_j p_j z_j \Big):$$
#
# towards its partner, and away from the mean of all candidates, weighted by their probabilities. But NT-Xent divides
# $z$ by its length, so only the part at right angles to $z$ remains. The code compares this with autograd.

# %%
anchor, others = (
    z[0].clone().requires_grad_(),
    z[1:],
)  # A1 of the table; A2 is number 7 of the other 15
F.cross_entropy(others @ F.normalize(anchor, dim=0) / temperature, torch.tensor(7)).backward()
p = (others @ z[0] / temperature).softmax(dim=0)
free = (others[7] - p @ others) / temperature  # the way without normalisation
torch.testing.assert_close(
    -anchor.grad, free - (free @ z[0]) * z[0]
)  # what is at right angles to z

# %% [markdown]
# So a negative that lies exactly on the anchor does not move it, since nothing of it is at right angles: $p / T$ is the
# push on the *similarity*, not on the embedding.

# %% [markdown]
# ## Keeping it finite
#
# The formula as it stands in books, `-(exp(s+ / T) / sum(exp(s / T))).log()`, is right on paper. **Predict**:
# a float32 holds numbers up to $3.4 \cdot 10^{38}$, a float16 up to 65,504. Similarities reach nearly 1. Below
# which temperature does this formula break in each?
#
# <details><summary>Answer</summary>
#
# exp(x) passes the largest float32 at x = ln(3.4e38) = 88.7, so at T below about 1 / 88.7 = 0.011. For a float16 it is
# x = ln(65504) = 11.1, T below about 0.09: within the range that people use. (The sum of several
# exponentials overflows a little earlier, a row whose largest similarity is below 1 a little later.)
#
# </details>
#
# Overflow gives infinity over infinity, `nan`, and one `nan` spoils every weight at the next step. The remedy is
# simple: let $m$ be the largest of the logits $x_k$. Then
#
# $$\ln \sum_k e^{x_k} = m + \ln \sum_k e^{x_k - m}.$$
#
# On the right no exponent is above 0 and one of them is 0, so the sum lies between 1 and the number of candidates.
#
# ### Exercise 6: log-sum-exp (4 min, easy)
#
# Write $\ln \sum_k e^{x_k}$ of logits `x`, $(m,)$, without `torch.logsumexp`. It must hold for logits of any size.


# %% tags=["exercise"]
def my_log_sum_exp(x):
    """Logits (m,) of any size -> ln of the sum of exp(x)."""
    ### BEGIN SOLUTION
    m = x.max()
    return m + (x - m).exp().sum().log()
    ### END SOLUTION


# %%
checks.log_sum_exp(my_log_sum_exp)

# %% [markdown] tags=["hints"]
# <details><summary>Hint 1</summary>
#
# The right side of the formula, term by term.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# `x.max()` is the largest number. It is subtracted from every `x` before the exponential.
#
# </details>
#
# <details><summary>Hint 3</summary>
#
# `(x - m).exp().sum().log()`, and then `m` is added back, outside the logarithm.
#
# </details>


# %% tags=["folded"]
# The loss of row "easy" by the textbook formula and by log-sum-exp, in two precisions
def textbook(logits, partner):
    return -(logits[partner].exp() / logits.exp().sum()).log()


def stable(logits, partner):
    return logits.logsumexp(dim=0) - logits[partner]


row = recorded_rows()["easy"]
by_temperature = []
for temperature in (1.0, 0.2, 0.1, 0.07, 0.05, 0.02, 0.01, 0.005):
    by_temperature.append([f"{temperature:g}"])
    for dtype in (torch.float32, torch.float16):
        logits = (torch.tensor(row.similarities) / temperature).to(dtype)
        by_temperature[-1] += [
            f"{abs(loss(logits, row.partner)):.4f}" for loss in (textbook, stable)
        ]
show_table(
    by_temperature,
    [
        "T",
        *(
            f"{way}, {kind}"
            for kind in ("float32", "float16")
            for way in ("textbook", "log-sum-exp")
        ),
    ],
    "Loss of one anchor",
)

# %% [markdown]
# `torch.logsumexp`, `log_softmax` and `F.cross_entropy` do this for you. Give them **logits**, never exponentials or
# probabilities.
#
# Finite is not yet exact. Look at float16 and $T = 0.1$, where log-sum-exp gives 0.0000 instead of 0.0036: the loss is a
# small difference of two numbers near 9, where float16 has steps of 0.008. So compute the loss in float32, as PyTorch's
# mixed precision does in `F.cross_entropy`.
#
# ## What alignment and uniformity want
#
# The loss of one anchor has two terms, and they want different things (Wang & Isola 2020):
#
# $$\ell_i = \underbrace{-\,s_{i,+} / T}_{\textbf{alignment: partners together}} \;+\;
#   \underbrace{\ln \textstyle\sum_{k \ne i} \exp(s_{ik} / T)}_{\textbf{uniformity: all views apart}}$$
#
# Each has its measure, for embeddings of length 1. **Alignment** is the mean squared distance between partners: 0
# when they meet. **Uniformity** is $\ln$ of the mean of $\exp(-2 \cdot \text{distance}^2)$ over all pairs: 0 when
# all points are the same, and lower the more evenly they fill the sphere.
#
# The lab has two dimensions, so the sphere is a circle. Each letter is an image, the disc its view 1, the square its
# view 2. There is no network: the points themselves follow the gradient. **Predict** three endings: alignment alone;
# uniformity alone; both; each at $T = 0.5$. Then choose one under *Loss*, and press *Play* or *One step*. Does it
# matter for *both* whether $T$ is 0.05, 0.5 or 2?

# %%
circle_lab()

# %% [markdown]
# <details><summary>Answer</summary>
#
# - **Alignment alone** brings partners together; it does not matter to it where the pairs lie. Here each point is free, so
#   pairs meet half-way. A network has an easier way: map everything to one point. That is **collapse**, alignment 0
#   and uniformity 0, and the reason for the second term. (BYOL does without it; lesson 05.)
# - **Uniformity alone** spreads all 12 views evenly at 0.5. Partners are treated like any two views: nothing is learned.
# - **Both** at 0.5: partners meet, and the six images are spread evenly.
# - Over a wide range the temperature does not matter to *both* on the circle: from 0.1 to 2 every pair meets and the pairs
#   end evenly spread. At 0.05 they stay somewhat uneven: as soon as a negative is a few times $T$ less similar than the
#   partner, its push is near 0.
#
# </details>

# %% [markdown]
# ### Going deeper: the temperature, on the circle and in a network
#
# One start says little. Here are the ends from five starts, for three goals and four temperatures. (The lab multiplies
# each step by $T$, because the gradient has $1/T$ in it and high temperatures would otherwise move slowly. That
# is also why $T$ makes no difference to alignment alone.)

# %% tags=["folded"]
# The circle's ends from five starts
ends = {("the start", ""): [simulate(start(6, s), 1.0, steps=0) for s in range(5)]}
ends |= {("alignment", "any"): [simulate(start(6, s), 0.5, "alignment") for s in range(5)]}
for want in ("uniformity", "both"):
    for temperature in (0.05, 0.1, 0.5, 2.0):
        ends[want, f"{temperature:g}"] = [
            simulate(start(6, s), temperature, want) for s in range(5)
        ]
show_table(
    [
        [
            *key,
            *(
                mean_and_spread([float(getattr(path, name)[-1]) for path in paths], 2)
                for name in measures
            ),
        ]
        for measures in [("alignment", "uniformity")]
        for key, paths in ends.items()
    ],
    ["goal", "T", "alignment (0: partners meet)", "uniformity (lower: more even)"],
    "Mean ± standard deviation of five starts",
)

# %% [markdown]
# Uniformity alone spreads the points evenly at 0.5, and not at the other temperatures. Hotter, near points are pushed
# hardly more than far ones, and points that start close part very slowly. Colder, the points come to rest in clumps:
# only the nearest view pushes, and its push along the circle vanishes where two points meet.
#
# A circle with 12 free points is no network. Nine SimCLR runs on the shapes, at three training temperatures with three
# seeds each (dots; the line joins their means), show something else:

# %% tags=["folded"]
# Alignment, uniformity and kNN accuracy of nine SimCLR runs
runs = record["runs"]
show(
    trained_at(runs),
    alt="Alignment, uniformity and kNN accuracy of nine runs trained at T = 0.05, 0.3 and 1; the "
    "embeddings are most uniform at 0.3.",
)
show_table(
    [
        [
            f"{t:g}",
            *(
                mean_and_spread([run[name] for run in runs if run["temperature"] == t])
                for name in measures
            ),
        ]
        for measures in [("alignment", "uniformity", "knn")]
        for t in sorted({run["temperature"] for run in runs})
    ],
    ["trained at T", "alignment", "uniformity", "kNN accuracy (validation)"],
    "Mean ± standard deviation of three seeds",
)

# %% [markdown]
# - **Hot** (1.0): partners are closest, but the other views are closer too than at 0.3, and the nearest neighbours tell
#   the classes much worse.
# - **Cold** (0.05): the embeddings are less even than at 0.3. The nearest neighbours are about as good as at 0.3,
#   although a low temperature pushes images of the same class apart. We did not measure why.
#
# So do not conclude from the temperature how good the features will be: measure it. Lesson 03 varies it together with
# augmentation and batch size.

# %% [markdown]
# ## Debug this: a loss that will not move
#
# A learner wrote the loop below after lesson 01, with care: a loader for each view, so that the views are
# independent; weak augmentation, crops and flips alone, so that colour makes the task easy; NT-Xent from
# the package; the optimiser holds all the weights. It runs without a warning, and the loss does not move.
# Read the code, look at the number where it stays, and find the line.

# %%
pool = to_float(load(lesson.dataset, "train", limit=1280).images)
config = AugmentConfig(jitter=0, grey=0)  # crops and flips


def pairs(seed, n=32):
    generator = Generator().manual_seed(seed)
    loader1 = shuffled_batches(len(pool), n, generator)
    loader2 = shuffled_batches(len(pool), n, generator)
    for batch1, batch2 in zip(loader1, loader2):
        yield augment(pool[batch1], config, generator), augment(pool[batch2], config, generator)


def train(pairs, seed):
    torch.manual_seed(seed)
    encoder = small_resnet()
    method = SimCLR(encoder, projector(encoder.dim))
    optimizer = torch.optim.AdamW(method.parameters(), lr=3e-3)
    losses, spreads = [], []
    for view1, view2 in pairs(seed):
        z1, z2 = method.embeddings(view1, view2)
        loss = nt_xent(z1, z2, temperature=0.5)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        spreads.append(spread(torch.cat([z1, z2]).detach()))  # 0: all alike, 1: all over the sphere
    return losses, spreads


# %% tags=["folded"]
# Three runs as written
stuck, spreads = torch.tensor([train(pairs, s) for s in range(3)]).unbind(
    dim=1
)  # (seeds, steps) each
show(
    loss_curves({"as written, three seeds": stuck.numpy()}, chance_loss(32)),
    alt="Three losses that start on the chance line and stay there for 40 steps.",
)
print(f"last ten steps: {stuck[:, -10:].mean():.3f}; ln(2 · 32 - 1) = {chance_loss(32):.3f}")
start_spread, end_spread = (spreads[:, step].mean() for step in (0, -1))
print(
    f"spread of the embeddings: {start_spread:.2f} at the first step, {end_spread:.2f} at the last"
)

# %% [markdown]
# <details><summary>Answer 1: what the number tells</summary>
#
# The loss stays at ln 63: it sees no difference between the partner and the rest. Three suspects: all embeddings
# are the same; the partner is no more similar than others, because it is no partner; or the weights never change.
# The embeddings differ at the first step, where the loss is the same already. The spread falls, so the weights do
# change. The second suspect is left: look at what goes in.
#
# </details>
#
# <details><summary>Answer 2: the line, and why</summary>
#
# `loader2` shuffles again, so row i of `view1` and row i of `view2` come from different pictures. There is
# nothing to find. The best that a network can do is to guess with even shares, and it does so when its embeddings
# become alike: it *learns* to collapse. Two views need **one** order of the images and two draws of the
# augmentation, as in `two_views`.
#
# </details>
#
# A test before any training would have found it: draw a few rows of `view1` and `view2` side by side, as the figure after
# `my_two_views` in lesson 01 does. The next cell runs the corrected loader.


# %% tags=["folded"]
# The corrected loader, three runs
def mended_pairs(seed, n=32):
    generator = Generator().manual_seed(seed)
    for batch in shuffled_batches(len(pool), n, generator):
        yield two_views(pool[batch], config, generator)


mended, spreads = torch.tensor([train(mended_pairs, s) for s in range(3)]).unbind(dim=1)
curves = {"as written": stuck.numpy(), "corrected": mended.numpy()}
show(
    loss_curves(curves, chance_loss(32)),
    alt="As written the loss stays on the chance line; corrected, it falls away from it within 40 "
    "steps, for each of three seeds.",
)
ends_at = mended[:, -10:].mean(dim=1).tolist()
print(
    f"corrected: {mended[:, 0].mean():.3f} at the first step, {mean_and_spread(ends_at)} at the end"
)
print(f"spread at the last step {spreads[:, -1].mean():.2f}")

# %% [markdown]
# The corrected loss is below the chance line from its first step. Under weak augmentation partners stay so alike, colours
# included, that even random weights keep some of it. Under the full augmentations the untrained network had no such
# advantage.
#
# ## Quiz
#
# **1.** With $n = 128$ images a batch your loss reads 0.02 after the first epoch. Are you happy, at $T = 0.5$? At
# $T = 0.1$?
#
# <details><summary>Answer</summary>
#
# Look at the floor. At 0.5 it is 1.73, so 0.02 is impossible: there is a bug in the loss, for example another
# temperature than you think, embeddings that are not normalised, or negatives that are masked. At 0.1 it is possible,
# but so early it is suspicious: check whether the two views are equal (the same tensor twice, no augmentation). Then the
# partner is always at similarity 1 and the task is trivial.
#
# </details>
#
# **2.** A friend forgot to mask the diagonal. Will the loss fall during training?
#
# <details><summary>Answer</summary>
#
# It will, and so "the loss falls" is no test (lesson 03 lets you try it). The view itself, always at similarity 1, takes its share
# of the probability: even with partners at similarity 1 the loss cannot go below ln 2. Test the value, not the trend.
#
# </details>
#
# **3.** With 10 balanced classes and 128 images, how many false negatives does a view have, and which
# temperature gives them most weight?
#
# <details><summary>Answer</summary>
#
# About 25 of 254 are of its class, a tenth. In a trained network they are among the most similar, so a low temperature
# gives them most of the push. The tempting answer, "high, because then all of them count", overlooks that at a high
# temperature each gets only its even share.
#
# </details>
#
# ## The same thing in other letters
#
# | here | SimCLR | CPC | MoCo | Wang & Isola | CLIP |
# |---|---|---|---|---|---|
# | `z1`, `z2` | $z_i$, $z_j$ | $c_t$, $z_{t+k}$ | $q$, $k$ | $f(x)$, $f(y)$ | image, text |
# | anchor | $i$ | context $c_t$ | query $q$ | $x$ | either |
# | partner, positive | $j$ | $x_{t+k}$ | $k_+$ | $y$ | its caption |
# | candidates | $2N - 1$ | $N$ | $K + 1$ | $M + 1$ | $N$ |
# | `temperature` $T$ | $\tau$ | none, a bilinear score | $\tau$ | $\tau$ | $e^{-t}$, learned |
# | loss | NT-Xent | InfoNCE, $\mathcal{L}_N$ | InfoNCE, $\mathcal{L}_q$ | $\mathcal{L}_\text{contrastive}$ | symmetric cross-entropy |
# | $n$ images | $N$ | | $N$ | | $N$ pairs |
#
# ## Recap
#
# | a batch of n images | NT-Xent |
# |---|---|
# | all embeddings alike, or guessing | ln(2n - 1), at every temperature |
# | random directions in d dimensions | about ln(2n - 1) + 1 / (2dT²) |
# | partners alike, negatives at right angles | ln(1 + (2n - 2) exp(-1/T)) |
# | the floor: no loss is lower | ln(1 + (2n - 2) exp(-2/T)) |
#
# - NT-Xent is classification where the classes are the other views of the batch.
# - A loss means nothing without its chance line, ln(2n - 1), and cannot be compared across temperatures.
# - The push on a negative (on its similarity) is p / T. Cold: few, hard, often false negatives. Hot: all, weakly.
# - Logits into `F.cross_entropy`; the diagonal at minus infinity.
# - Alignment brings partners together, uniformity keeps the rest apart; the loss needs both.
#
# This lesson adds no row to the running results, since nothing was trained to keep. Here are the two rows that you know
# from lesson 01; lesson 03, where this loss trains an encoder (SimCLR), adds the next.

# %% tags=["folded"]
# Running results
results = records.read("results")["runs"]
show_table(
    [
        [row, *(mean_and_spread([r[m] for r in results if r["row"] == row]) for m in measures), 0]
        for measures in [("knn", "linear")]
        for row in ("pixels", "random encoder")
    ],
    ["row", "kNN", "linear probe", "labels used"],
    "Accuracy on test, mean ± standard deviation over seeds",
)

# %% [markdown]
# ## References
#
# - A. van den Oord, Y. Li, O. Vinyals. *Representation learning with contrastive predictive coding*. 2018, [arXiv:1807.03748](https://arxiv.org/abs/1807.03748). InfoNCE and its bound.
# - T. Chen, S. Kornblith, M. Norouzi, G. Hinton. *A simple framework for contrastive learning of visual representations* (SimCLR). 2020, [arXiv:2002.05709](https://arxiv.org/abs/2002.05709). NT-Xent, eq. 1; temperatures, tab. 5.
# - K. He, H. Fan, Y. Wu, S. Xie, R. Girshick. *Momentum contrast* (MoCo). 2020, [arXiv:1911.05722](https://arxiv.org/abs/1911.05722).
# - B. Poole, S. Ozair, A. van den Oord, A. Alemi, G. Tucker. *On variational bounds of mutual information*. 2019, [arXiv:1905.06922](https://arxiv.org/abs/1905.06922). The ceiling ln n.
# - D. McAllester, K. Stratos. *Formal limitations on the measurement of mutual information*. 2020, [arXiv:1811.04251](https://arxiv.org/abs/1811.04251).
# - M. Tschannen, J. Djolonga, P. Rubenstein, S. Gelly, M. Lucic. *On mutual information maximization for representation learning*. 2020, [arXiv:1907.13625](https://arxiv.org/abs/1907.13625).
# - T. Wang, P. Isola. *Understanding contrastive representation learning through alignment and uniformity on the hypersphere*. 2020, [arXiv:2005.10242](https://arxiv.org/abs/2005.10242).
# - F. Wang, H. Liu. *Understanding the behaviour of contrastive loss*. 2021, [arXiv:2012.09740](https://arxiv.org/abs/2012.09740).
# - A. Radford et al. *Learning transferable visual models from natural language supervision* (CLIP). 2021, [arXiv:2103.00020](https://arxiv.org/abs/2103.00020). A learned temperature.
