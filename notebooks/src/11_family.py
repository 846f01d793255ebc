# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # 11 The family on five cards
#
# **What you will be able to do**
#
# - say of SupCon, SimSiam, Barlow Twins, VICReg and DINO what each one's loss asks for, and write it in a few lines;
# - name what keeps each from collapse, and recognise the collapse that follows where it is missing;
# - put the right thing on the right side: mean, stop-gradient, standard deviation, temperature, centre;
# - say for eight methods what one point for all costs, and what a table of accuracies does not show.
#
# **Time**: {minutes} minutes. **Needs**: NT-Xent (lesson 02) and BYOL (lesson 05). It computes for under a minute on
# two cores.

# %% tags=["setup"]
# set-up cell: inserted by the build

# %% tags=["parameters"]
profile = "auto"  # "quick" (CPU) or "full" (GPU); "auto" looks what is there
dataset = "auto"  # this lesson takes the drawn cards whatever it says, as its records do
seed = 0  # any whole number from 0
device = "auto"  # "cpu", "cuda" or "mps"

# %% tags=["folded"]
# Imports
import math

import torch
import torch.nn.functional as F
from torch import Generator
from torch.testing import assert_close

from cl_course import checks
from cl_course.lessons.family import small_runs
from cl_course.lessons.family.figures import (
    correlations_figure,
    entropies_figure,
    hinge_figure,
    masks_figure,
    parts_figure,
)
from cl_course.lessons.family.lab_targets import target_lab
from cl_course.lessons.shared.show import show
from cl_course.lessons.shared.tables import mean_and_spread, show_table
from cl_course.losses import (
    barlow_twins_loss,
    byol_loss,
    cross_correlation,
    dino_loss,
    nt_xent,
    supcon_loss,
    vicreg_loss,
    vicreg_terms,
)
from cl_course.running import records
from cl_course.running.recipes import PUBLISHED_KNN
from cl_course.running.settings import settings

lesson = settings(globals())
parts = records.read("family_collapse")["runs"]


def ends(row, without, measure):
    """The last value of each recorded seed's curve."""
    return [
        run["curves"][measure][-1]
        for run in parts
        if run["row"] == row and run["without"] == without
    ]


generator = Generator().manual_seed(0)
z1 = torch.randn(256, 8, generator=generator)
z2 = z1 + 0.5 * torch.randn(256, 8, generator=generator)

# %% [markdown]
# ## Predict first
#
# "Make two views of an image alike" has a perfect answer that is worth nothing: one point for all images. Every method
# of this field is a way to make that answer cost something. You know two ways. NT-Xent has **negatives**: one point for
# all gives every candidate the same share. BYOL has a **predictor, a stop-gradient and a slow target**.
#
# Here are five more methods, a card each. Before you read them, write down what you expect:
#
# 1. SimSiam is BYOL without the slow target. What else can be taken away before it collapses: the predictor, the
#    stop-gradient, both, or neither?
# 2. Barlow Twins and VICReg have no negatives, no predictor, no stop-gradient and no slow copy. How can a loss of z1 and
#    z2 alone forbid one point for all?
# 3. DINO can collapse in *two* opposite ways. Which ones?
#
# | card | what stops the collapse |
# |---|---|
# | 1 SupCon | negatives, chosen by labels |
# | 2 SimSiam | a predictor on one side, a stop-gradient on the other |
# | 3 Barlow Twins | each dimension is standardised, and no two may say the same |
# | 4 VICReg | a floor under each dimension's standard deviation |
# | 5 DINO | a centre and a low temperature, each against one collapse |
#
# ## Card 1: SupCon
#
# **Idea.** NT-Xent calls each other image a negative, also one of the same class. If labels are at hand, this can be
# put right: all views of one class are each other's **positives** (Khosla et al. 2020). The two pictures show which
# views (columns) each view (row) has for positives, for four images of which the first two are discs.

# %% tags=["folded"]
# Positives of four images, with and without labels
classes = torch.tensor([0, 0, 1, 2]).repeat(2)
views = ["disc a", "disc b", "heart", "star"]
same_class = classes[:, None] == classes
partners = torch.eye(8, dtype=torch.bool).roll(4, dims=1)
show(
    masks_figure(
        {
            "NT-Xent: the partner": partners.numpy(),
            "SupCon: the whole class": (same_class & ~torch.eye(8, dtype=torch.bool)).numpy(),
        },
        [f"{name}, {side}" for side in (1, 2) for name in views],
    ),
    alt="Two 8 by 8 tables of views. In the left one each row has one positive, its partner. "
    "In the right one the rows of the two discs have three positives each, the others one; "
    "the diagonal is grey in both.",
)

# %% [markdown]
# With $P(i)$ the positives of view $i$ and $p_{ij}$ the share of candidate $j$ in the softmax of row $i$, without the
# view itself:
#
# $$\mathcal{L} = \frac{1}{2n} \sum_i \frac{1}{|P(i)|} \sum_{j \in P(i)} -\ln p_{ij}$$
#
# The mean over the positives stands **outside** the logarithm: each positive has to be found. With the mean inside,
# one positive that is found is almost enough. (The paper tries both, and finds outside clearly better.)
#
# ### Exercise 1: the mean outside the logarithm (7 min, medium)
#
# `z1`, `z2` are $(n, d)$ with rows of any length, `labels` is $(n,)$. Return the loss, one number.


# %% tags=["exercise"]
def my_supcon_loss(z1, z2, labels, temperature):
    """z1, z2: (n, d), row i of both is image i; labels: (n,) -> SupCon's loss, a scalar."""
    ### BEGIN SOLUTION
    z, classes = F.normalize(torch.cat([z1, z2]), dim=1), labels.repeat(2)
    itself = torch.eye(len(z), dtype=torch.bool)
    positive = (classes[:, None] == classes) & ~itself
    logits = (z @ z.T / temperature).masked_fill(itself, -torch.inf)
    log_shares = torch.where(positive, logits.log_softmax(dim=1), 0)
    return -(log_shares.sum(dim=1) / positive.sum(dim=1)).mean()
    ### END SOLUTION


# %%
checks.supcon_loss(my_supcon_loss)

# %% [markdown] tags=["hints"]
# <details><summary>Hint 1</summary>
#
# As NT-Xent: join, normalise, one product, divide by $T$, mask the diagonal with `-torch.inf`. Then `log_softmax(dim=1)`
# gives $\ln p_{ij}$ of all pairs at once.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# `labels.repeat(2)` are the classes of all $2n$ views, and `classes[:, None] == classes` is True where two are equal.
# A view is no positive of its own.
#
# </details>
#
# <details><summary>Hint 3</summary>
#
# `torch.where(positive, log_shares, 0)`, the sum of each row, divided by `positive.sum(dim=1)`; minus, and the mean over
# the rows. (A product with the mask would give nan: 0 times -inf.)
#
# </details>

# %%
# NBVAL_CHECK_OUTPUT
all_different, ten_classes = torch.arange(256), torch.arange(256) % 10
assert_close(supcon_loss(z1, z2, all_different, 0.3), nt_xent(z1, z2, 0.3))
print(f"one image a class: {supcon_loss(z1, z2, all_different, 0.3):.3f}, NT-Xent itself")
print(f"ten classes at random: {supcon_loss(z1, z2, ten_classes, 0.3):.3f}")

# %% [markdown]
# **Quiz.** All images of a batch are of one class. What does SupCon ask for?
#
# <details><summary>Answer</summary>
#
# One point for all. Every other view is a positive, none is a negative, and the loss is least, $\ln(2n - 1)$, where
# all shares are equal: with fewer than $2n - 1$ dimensions, only at one point. So training refuses a data set of one
# class. The other end is harmless: with one image a class,
# SupCon *is* NT-Xent.
#
# </details>
#
# ## Card 2: SimSiam
#
# **Idea.** Take BYOL and leave out the slow target (Chen & He 2021). One network makes $z_1$ and $z_2$, a predictor
# makes $p_1$ and $p_2$ of them, and each prediction is compared with the *other view's z, taken as a constant*:
#
# $$\mathcal{L} = -\tfrac{1}{2} \cos(p_1, \mathrm{stopgrad}(z_2)) - \tfrac{1}{2} \cos(p_2, \mathrm{stopgrad}(z_1))$$
#
# Nothing in the *value* of this loss forbids a collapse: one point for all gives $-1$, the best there is. What forbids
# it is the path that training takes. In each term the gradient moves the prediction, never the target. In the paper
# both parts are needed: without the stop-gradient (fig. 2) or the predictor (tab. 1) accuracy on ImageNet is 0.1 %. Why
# the two together are enough is still disputed (lesson 05 has one explanation: the predictor must stay near its best).
#
# ### Exercise 2: the side of the stop-gradient (4 min, easy)
#
# Return SimSiam's loss, from $-1$ to $1$. `predictor` is a function of z. The check looks at the gradients too.


# %% tags=["exercise"]
def my_simsiam_loss(z1, z2, predictor):
    """z1, z2: (n, d), row i of both is image i; predictor: z -> p, (n, d) -> the loss, a scalar."""
    ### BEGIN SOLUTION
    p1, p2 = predictor(z1), predictor(z2)
    first = F.cosine_similarity(p1, z2.detach(), dim=1).mean()
    second = F.cosine_similarity(p2, z1.detach(), dim=1).mean()
    return -(first + second) / 2
    ### END SOLUTION


# %%
checks.simsiam_loss(my_simsiam_loss)

# %% [markdown] tags=["hints"]
# <details><summary>Hint 1</summary>
#
# `F.cosine_similarity(p, z, dim=1)` is one number for each image.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# `.detach()` gives the same numbers without a way back for the gradient. It belongs on what does *not* learn in this
# term: the target.
#
# </details>
#
# <details><summary>Hint 3</summary>
#
# `F.cosine_similarity(predictor(z1), z2.detach(), dim=1).mean()`, the same with 1 and 2 exchanged, and minus half of
# their sum.
#
# </details>

# %%
# NBVAL_CHECK_OUTPUT
paper = -(F.cosine_similarity(2 * z1, z2).mean() + F.cosine_similarity(2 * z2, z1).mean()) / 2
assert_close(byol_loss(2 * z1, z2) + byol_loss(2 * z2, z1), 4 + 4 * paper)
print(f"SimSiam's loss {paper:.3f}; BYOL's is 4 + 4 times it, {4 + 4 * paper:.3f}")

# %% [markdown]
# The package's `SimSiam` uses `byol_loss`, four times as steep. With SGD and without weight decay, a quarter of the
# paper's learning rate makes the same steps.
#
# ## Card 3: Barlow Twins
#
# **Idea.** Look at columns in the place of rows (Zbontar et al. 2021). Bring each dimension of z1 and of z2 to mean 0
# and standard deviation 1 *over the batch*, and correlate every dimension of one view with every dimension of the
# other: the **cross-correlation matrix** $C = z_1^\top z_2 / n$, $(d, d)$. It should be the identity:
#
# $$\mathcal{L} = \sum_i (1 - C_{ii})^2 + \lambda \sum_{i \ne j} C_{ij}^2$$
#
# - The **diagonal**: dimension $i$ says the same of both views. A dimension that is constant has no correlation, so one
#   point for all costs $d$.
# - The **rest**: two dimensions do not repeat each other. This is called **redundancy reduction**.
#
# ### Exercise 3: a matrix that should be the identity (6 min, medium)
#
# Return the loss, one number. Take the standard deviation with `correction=0`, so that $C_{ii}$ can reach 1.


# %% tags=["exercise"]
def my_barlow_loss(z1, z2, weight):
    """z1, z2: (n, d), row i of both is image i; weight: lambda -> Barlow Twins' loss, a scalar."""
    ### BEGIN SOLUTION
    z1 = (z1 - z1.mean(dim=0)) / z1.std(dim=0, correction=0)
    z2 = (z2 - z2.mean(dim=0)) / z2.std(dim=0, correction=0)
    c = z1.T @ z2 / len(z1)  # (d, d)
    off = c - c.diagonal().diag()
    return (1 - c.diagonal()).square().sum() + weight * off.square().sum()
    ### END SOLUTION


# %%
checks.barlow_loss(my_barlow_loss)

# %% [markdown] tags=["hints"]
# <details><summary>Hint 1</summary>
#
# Rows are images, columns are dimensions. The mean and the standard deviation are taken over the images, `dim=0`.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# `z1.T @ z2 / n` is $(d, d)$. `c.diagonal()` is its diagonal, and `c - c.diagonal().diag()` is the rest.
#
# </details>
#
# <details><summary>Hint 3</summary>
#
# `(1 - c.diagonal()).square().sum()`, plus the weight times `.square().sum()` of the rest. Sums, no means.
#
# </details>

# %%
by_torch = torch.corrcoef(torch.cat([z1.T, z2.T]))[:8, 8:]  # rows are variables there
assert_close(cross_correlation(z1, z2), by_torch)
off = by_torch - by_torch.diagonal().diag()
by_hand = (1 - by_torch.diagonal()).square().sum() + 0.05 * off.square().sum()
assert_close(barlow_twins_loss(z1, z2, 0.05), by_hand)

# %% tags=["folded"]
# Three matrices: related views, repeated dimensions, one point for all
copied = z1[:, :1] + 0.1 * torch.randn(256, 8, generator=Generator().manual_seed(1))
cases = {
    "two views": (z1, z2),
    "all dimensions repeat one": (copied, copied.roll(1, dims=1)),
    "one point for all": (torch.ones(256, 8), torch.ones(256, 8)),
}
matrices = {
    f"{name}: loss {barlow_twins_loss(*pair, 0.05):.2f}": cross_correlation(*pair).numpy()
    for name, pair in cases.items()
}
show(
    correlations_figure(matrices),
    alt="Three 8 by 8 matrices. Two views: a bright diagonal, all else near 0. All dimensions "
    "repeat one: bright everywhere. One point for all: 0 everywhere. " + "; ".join(matrices) + ".",
)

# %% [markdown]
# **Quiz.** Without the second term, can Barlow Twins collapse to one point?
#
# <details><summary>Answer</summary>
#
# No: the correlation of a constant dimension counts as 0, and the first term is then 1 for it. But all dimensions may
# repeat *one*. That is the milder, **dimensional** collapse, the middle matrix above: the spread can stay high, and the
# rank falls.
#
# </details>
#
# ## Card 4: VICReg
#
# **Idea.** Say the same three wishes one by one, without standardising (Bardes et al. 2022):
#
# | term | asks for | written |
# |---|---|---|
# | **invariance** | views agree | the mean of $(z_1 - z_2)^2$ over images and dimensions |
# | **variance** | each dimension spreads | the mean over dimensions of $\max(0, 1 - S_j)$, $S_j = \sqrt{\mathrm{Var}_j + 10^{-4}}$, of both views, added |
# | **covariance** | no two dimensions repeat | $\frac{1}{d} \sum_{i \ne j} \mathrm{Cov}_{ij}^2$, of both views, added |
#
# The weights are 25, 25 and 1. The hinge works on the **standard deviation**, not on the variance: the variance has no
# slope at 0, just where the push is needed.

# %% tags=["folded"]
# The hinge
show(
    hinge_figure(),
    alt="The variance term against the standard deviation of a dimension. On the standard "
    "deviation it falls in a straight line from 1 at 0 to 0 at 1. On the variance it starts flat "
    "at 0.",
)

# %% [markdown]
# ### Exercise 4: three wishes (6 min, medium)
#
# Return the three terms, not weighted, in the order of the table. Variances and covariances divide by $n - 1$.


# %% tags=["exercise"]
def my_vicreg_terms(z1, z2):
    """z1, z2: (n, d), row i of both is image i -> invariance, variance, covariance."""
    ### BEGIN SOLUTION
    variance, covariance = 0, 0
    for z in (z1, z2):
        z = z - z.mean(dim=0)
        variance = variance + (1 - (z.var(dim=0) + 1e-4).sqrt()).relu().mean()
        c = z.T @ z / (len(z) - 1)
        covariance = covariance + (c - c.diagonal().diag()).square().sum() / len(c)
    return (z1 - z2).square().mean(), variance, covariance
    ### END SOLUTION


# %%
checks.vicreg_terms(my_vicreg_terms)

# %% [markdown] tags=["hints"]
# <details><summary>Hint 1</summary>
#
# `z.var(dim=0)` divides by $n - 1$ by itself. `.relu()` is $\max(0, \cdot)$.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# `(1 - (z.var(dim=0) + 1e-4).sqrt()).relu().mean()` for each view, and the two added.
#
# </details>
#
# <details><summary>Hint 3</summary>
#
# For the covariance take the mean of each column away, then `z.T @ z / (len(z) - 1)`; set the diagonal to 0 as in
# exercise 3, add up the squares and divide by $d$.
#
# </details>

# %%
# NBVAL_CHECK_OUTPUT
alike = torch.ones(256, 8)
for name, pair in {"two views": (z1, z2), "one point for all": (alike, alike)}.items():
    terms = vicreg_terms(*pair)
    said = ", ".join(f"{term:.2f}" for term in terms)
    print(f"{name}: invariance, variance, covariance {said}; loss {vicreg_loss(*pair):.2f}")

# %% [markdown]
# ## Card 5: DINO
#
# **Idea.** Treat the network's output as a guess among $K$ **prototypes**, though nobody says what they stand for (Caron
# et al. 2021). A slow **teacher**, as in BYOL, makes a distribution of one view, and the **student** should make the
# same of the other view. With student scores $s$ and teacher scores $t$:
#
# $$\mathcal{L} = - \sum_j P_j \ln \, \mathrm{softmax}(s / T_s)_j, \qquad P = \mathrm{softmax}\big((t - c) / T_t\big)$$
#
# There are two ways to be constant, and so there are two safeguards:
#
# - **One prototype for all.** Against it, **centring**: $c$ is a moving mean of the teacher's scores,
#   $c \leftarrow m c + (1 - m) \, \bar t$. A score that all images share is taken away.
# - **The uniform distribution for all.** Against it, **sharpening**: the teacher's temperature is lower than the
#   student's, $T_t = 0.04$ against $T_s = 0.1$.
#
# Each safeguard by itself drives towards the *other* collapse. Together they balance. The lab below has real scores of
# a small teacher, recorded during training, and two sliders. (So small a run needs sharper targets: it was trained at
# $T_t = 0.02$.)

# %%
target_lab()

# %% [markdown]
# Try, and say before each what you expect:
#
# 1. The centre's momentum to 1, which is no centre, at the last step. Then back.
# 2. The temperature from 0.02 up to 1, with the centre at 0.9.
# 3. Momentum 1 *and* temperature 1. Do the targets collapse, and if so, which collapse is it?
#
# <details><summary>What to see in it</summary>
#
# The sliders change the targets, not the training: this teacher was trained *with* both safeguards. So without a centre
# it does not collapse at once. The dashed line falls and the orange bars become less even, since a few prototypes get a
# larger share, but the cards still differ. The collapse to one prototype comes when a run is *trained* without a
# centre: see the recorded runs below. At temperature 1 both lines lie at $\ln K$, with or without a centre: the targets
# are uniform, and the distance between the lines, what a target tells of its card, is near 0.
#
# </details>
#
# ### Exercise 5: who is centred, who is sharpened (6 min, medium)
#
# Return the loss, and the centre for the next step. `student` holds the student's scores of one view and `teacher` the
# teacher's of the other, both $(n, K)$. The loss uses the *old* centre. No gradient reaches the teacher.


# %% tags=["exercise"]
def my_dino_step(student, teacher, center, student_temperature, teacher_temperature, momentum):
    """student, teacher: (n, K); center: (K,) -> the loss, a scalar, and the new centre, (K,)."""
    ### BEGIN SOLUTION
    teacher = teacher.detach()
    targets = ((teacher - center) / teacher_temperature).softmax(dim=1)
    log_shares = (student / student_temperature).log_softmax(dim=1)
    loss = -(targets * log_shares).sum(dim=1).mean()
    return loss, momentum * center + (1 - momentum) * teacher.mean(dim=0)
    ### END SOLUTION


# %%
checks.dino_step(my_dino_step)

# %% [markdown] tags=["hints"]
# <details><summary>Hint 1</summary>
#
# The targets are a softmax of the teacher's scores: centre, divide by the low temperature, softmax over `dim=1`.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# The student is not centred: `(student / student_temperature).log_softmax(dim=1)`. The cross-entropy of an image is minus
# the sum of targets times these; then the mean over images.
#
# </details>
#
# <details><summary>Hint 3</summary>
#
# The new centre is `momentum * center + (1 - momentum) * teacher.mean(dim=0)`: of scores, over the batch. `.detach()`
# the teacher in the first line.
#
# </details>

# %%
# NBVAL_CHECK_OUTPUT
student, teacher, center = z1, z2, z2.mean(dim=0)
targets = ((teacher - center) / 0.04).softmax(dim=1)
assert_close(dino_loss(student, teacher, center), F.cross_entropy(student / 0.1, targets))
scores, no_center = torch.tensor([[1.0, 0.0]]).repeat(4, 1), torch.zeros(2)
print(f"all alike, no centre: {dino_loss(scores, scores, no_center):.4f}: nothing left to learn")
print(f"all alike, centred:   {dino_loss(scores, scores, scores[0]):.4f}: targets are uniform now")

# %% [markdown]
# ## What happens without the safeguard
#
# A run so small that it takes seconds (512 drawn images, a thin encoder, z of 32 dimensions), whole and with one part
# taken out. Not as in the papers are $\lambda = 0.05$ in Barlow Twins and $T_t = 0.02$ in DINO, among others. First one
# run live, VICReg without its variance term. **Predict**: where do spread and loss end?

# %%
(broken,) = [part for part in small_runs.PARTS if part.without == "variance term"]
run = small_runs.small_run(broken, seed=lesson.seed)
print(f"loss    {run['loss'][0]:.2f} -> {run['loss'][-1]:.3f}")
print(f"spread  {run['spread'][0]:.2f} -> {run['spread'][-1]:.2f} of 1")

# %% tags=["folded"]
# Recorded: three methods, whole and without a part, three seeds each
of_z = [run for run in parts if run["row"] != "DINO"]
ended = []
for row in dict.fromkeys(run["row"] for run in of_z):
    for without in dict.fromkeys(run["without"] for run in of_z if run["row"] == row):
        spread, rank = (
            sum(found) / len(found) for found in (ends(row, without, m) for m in ("spread", "rank"))
        )
        ended.append(f"{row}{' without ' + without if without else ''} {spread:.2f} and {rank:.1f}")
show(
    parts_figure(of_z, small_runs.EVERY),
    alt="Spread and effective rank of z by step, three seeds each. Ends of spread and rank: "
    f"{'; '.join(ended)}.",
)
show_table(
    [
        [
            row,
            without or "nothing",
            mean_and_spread(ends(row, without, "loss"), 2),
            mean_and_spread(ends(row, without, "spread"), 2),
            mean_and_spread(ends(row, without, "rank"), 1),
        ]
        for row, without in dict.fromkeys((run["row"], run["without"]) for run in parts)
    ],
    ["method", "without", "loss", "spread of z", "effective rank of z"],
    "At the end of the run, mean ± standard deviation of three seeds",
)

# %% [markdown]
# <details><summary>What to see in it</summary>
#
# - **VICReg** without the variance term is on the way to one point: the spread falls towards 0. Its loss is far *lower*
#   than that of the whole, also because it has one term less.
# - **SimSiam** without stop-gradient collapses in another way: the spread falls to about half of the whole's and stays
#   above 0, and the effective rank falls to 2. The projector ends in a BatchNorm here, which keeps each dimension from
#   being constant, so that nearly all become copies of two (lesson 05). The loss is the same function in both runs, and
#   it is far lower in the collapsed one: a low loss is no sign of health.
# - **Barlow Twins** without the redundancy term keeps its spread, as card 3 said: no collapse to one point. It may lose
#   rank, but these runs do *not* show it: the ranks of both settings are alike. They are too short to tell. A batch of
#   32 is a noisy estimate of 32 x 32 correlations, and in one of three seeds the loss ends above $d = 32$, the value at
#   no correlation, with the redundancy term and without it.
# - **DINO** cannot be judged by the spread of z here: the collapse is in the targets. See below.
#
# </details>

# %% tags=["folded"]
# Recorded: DINO's targets
of_dino = [run for run in parts if run["row"] == "DINO"]
said = [
    f"{'without ' + without if without else 'whole'} "
    f"{sum(own) / len(own):.2f} and {sum(everyone) / len(everyone):.2f}"
    for without in dict.fromkeys(run["without"] for run in of_dino)
    for own, everyone in [(ends("DINO", without, "own"), ends("DINO", without, "all"))]
]
show(
    entropies_figure(of_dino, small_runs.EVERY, math.log(small_runs.PROTOTYPES)),
    alt="Entropy of a target and of the mean target by step, three seeds each, with the line ln "
    f"{small_runs.PROTOTYPES} of the uniform distribution. Ends: {'; '.join(said)}.",
)

# %% [markdown]
# Without centring both entropies go to 0: one prototype for all. Without sharpening both go to $\ln 16$: uniform. Only
# the whole keeps a gap between them. So the same loss has two collapses, and a single number, such as "the entropy is
# high", would praise one of them.
#
# ## One table
#
# This is the table of lesson 03, on the drawn images: one encoder, the same images, two views of each, twenty epochs.
# Each method has its own optimiser, rate and head, printed below. The last line is a published benchmark with a larger
# network, photos and 200 epochs: it has six of the recap's eight methods. **Predict**: which of the five cards comes
# first, and which has the least to show after so short a training?

# %% tags=["folded"]
# The running results, and a published range
recorded = [records.read(name) for name in ("results", "family")]
runs = [run for record in recorded for run in record["runs"]]


def column(row, measure):
    return [run[measure] for run in runs if run["row"] == row and measure in run]


show_table(
    [
        [
            row,
            mean_and_spread(column(row, "knn")),
            mean_and_spread(column(row, "linear")),
            f"{sum(column(row, 'cpu_minutes')) / len(column(row, 'cpu_minutes')):.1f}",
            max(column(row, "labels"), default=0),
            len(column(row, "knn")),
        ]
        for row in dict.fromkeys(run["row"] for run in runs)
    ],
    ["row", "kNN", "linear probe", "core minutes", "labels", "seeds"],
    "Accuracy on test, mean ± standard deviation over seeds",
)
for name, how in (recorded[0]["config"] | recorded[1]["config"]).items():
    if isinstance(how, dict) and "optimizer" in how:
        said = [f"{how['optimizer']} at {how['learning_rate']:g}"]
        said.append(f"batches of {how['batch_size']}")
        if "head" in how:
            head = {"hidden_dim": 128, "out_dim": 128} | how["head"]
            said.append(f"head of {head['hidden_dim']} and {head['out_dim']}")
            if "norm_output" in head:
                said.append("BatchNorm at its end")
            if "prototypes" in head:
                said.append(f"{head['prototypes']} prototypes")
        print(f"{name}: {', '.join(said)}")
published = [knn for of_both_years in PUBLISHED_KNN.values() for knn in of_both_years]
print(
    f"lightly's tables, CIFAR-10, ResNet-18, 200 epochs: kNN {min(published):.2f} to "
    f"{max(published):.2f}\nfor {', '.join(PUBLISHED_KNN)}"
)

# %% [markdown]
# kNN asks for the class alone. What else did each encoder keep? A linear read-out of $h$ for each factor of the drawing,
# as in lesson 06: $R^2$ is 1 where the factor can be read off exactly, and 0 where guessing its mean is as good.

# %% tags=["folded"]
# What can be read from h
factors = {
    "position": "place",
    "scale": "size",
    "object_hue": "object's hue",
    "background_hue": "background's hue",
}
of_z = {"spread": "spread of z", "rank_z": "effective rank of z"}
of_each = records.read("features")["runs"]
of_each += [run | run["probes"] for run in recorded[1]["runs"]]


def measured(row, measure, digits=2):
    values = [run[measure] for run in of_each if run["row"] == row and measure in run]
    return mean_and_spread(values, digits) if values else "–"


show_table(
    [
        [
            row,
            *(measured(row, factor) for factor in factors),
            measured(row, "spread"),
            measured(row, "rank_z", 1),
        ]
        for row in dict.fromkeys(run["row"] for run in of_each)
    ],
    ["row", *factors.values(), *of_z.values()],
    "R² of a linear read-out of h on test; spread and rank on validation; "
    "mean ± standard deviation of three seeds",
)
for row in dict.fromkeys(run["row"] for run in recorded[1]["runs"]):
    losses = [run["loss"] for run in recorded[1]["runs"] if run["row"] == row]
    first, last = (sum(one[epoch] for one in losses) / len(losses) for epoch in (0, -1))
    print(f"{row}: mean loss of the first epoch {first:.2f}, of the last one {last:.2f}")

# %% [markdown]
# <details><summary>What to see in it</summary>
#
# - **SupCon and VICReg** are at the top. VICReg had no labels, and stands beside SimCLR.
# - **Barlow Twins and SimSiam** are on their way: well above the random encoder, with seeds far from each other. Look at
#   the background's hue. The augmentation changes it at random, so nothing is left of it in an encoder that has learned
#   what its views share: see SimCLR, VICReg and SupCon. In these two a good part is still there after twenty epochs.
# - **DINO** did not get going. Its $h$ tells less of place, size and class than a random encoder's, and of the hues
#   nearly as much. And yet its loss falls by far! What falls with it is the rank of z: fewer than three of 32 dimensions
#   are in use, and most of the spread is gone. The targets of two views agree, but they say little of their card. Some
#   fifteen settings were tried; those at $T_t = 0.04$ ended in the other collapse, with uniform targets. The two
#   safeguards have to balance, and in these runs they do not.
#
# </details>
#
# <details><summary>What the table does not show</summary>
#
# - **A ranking of methods.** SimCLR's, MoCo's and BYOL's settings were studied for whole lessons. Those of the five were
#   chosen in an afternoon, from one to fifteen settings each, with one seed, by kNN on validation. "DINO is worse" does
#   not follow, only "not with these settings, in twenty epochs": look at the published range in the last line, where all
#   six methods are close together.
# - **What the methods of this lesson were made for.** Barlow Twins and VICReg gain from thousands of dimensions of z,
#   DINO from vision transformers, many small crops and hundreds of epochs. Here z is short, and twenty epochs take
#   minutes.
# - **Who has seen labels.** "supervised" was trained with all of them, as the column says. SupCon needs them too: it
#   would have to be compared with this row, not with SimCLR.
# - **The cost of tuning**: core minutes are those of the last run alone.
#
# </details>
#
# ## Debug this: a floor that cannot be reached
#
# A learner has used NT-Xent for weeks and writes VICReg in the same habit: "bring z to length 1 first". The loss falls
# a little, then it stands, with the variance term far above 0, whatever the learning rate. Compute before you read on:
# what is the largest standard deviation that all dimensions can have at once, if every z has length 1?

# %%
d = 32
spread_out = torch.randn(4096, d, generator=Generator().manual_seed(2))
for name, z in {"as it is": spread_out, "length 1": F.normalize(spread_out, dim=1)}.items():
    _, variance, _ = vicreg_terms(z, z)
    print(f"{name}: standard deviation {z.std(dim=0).mean():.3f}, variance term {variance:.3f}")
print(f"1 / sqrt(d) = {1 / math.sqrt(d):.3f}; 2 (1 - 1 / sqrt(d)) = {2 - 2 / math.sqrt(d):.3f}")

# %% [markdown]
# <details><summary>Answer</summary>
#
# With length 1 the squares of the $d$ coordinates add up to 1, so no more than $1/\sqrt d$ is left for each dimension.
# The floor of 1 cannot be reached. The variance term stands at $2(1 - 1/\sqrt d)$ at best, and its push never ends. VICReg
# takes z as it is. (Or put the floor at $1/\sqrt d$: that is the spread of lesson 03 as a loss.)
#
# </details>
#
# ## Quiz
#
# **1.** Which of the five need a large batch, and which do not?
#
# <details><summary>Answer</summary>
#
# SupCon compares images with each other, so it gains from many. Barlow Twins and VICReg estimate a $d \times d$ matrix
# from $n$ images: with fewer images it is noisier, but there are no negatives that could become too few. SimSiam and
# DINO compare the two views of one image only; the batch serves BatchNorm and the centre.
#
# </details>
#
# **2.** On two GPUs each has half of a batch. Of which losses is the mean of both halves *not* the loss of the whole?
#
# <details><summary>Answer</summary>
#
# SupCon, Barlow Twins, VICReg: they compare images, or estimate over the batch. The package gathers the embeddings of all
# processes first. SimSiam's is a mean over images, and DINO's too, once the centre is the mean of all processes.
#
# </details>
#
# **3.** The loss of a run is the lowest that you have ever seen. Which two numbers do you look at before you celebrate?
#
# <details><summary>Answer</summary>
#
# The spread and the effective rank (lesson 05). For DINO the two entropies: a low loss is the *sign* of the collapse to one
# prototype.
#
# </details>
#
# ## Recap
#
# | | positives | what stops collapse | networks | one point for all costs |
# |---|---|---|---|---|
# | SimCLR | the partner | negatives | one | $\ln(2n - 1)$ |
# | MoCo | the key | negatives in a queue of $m$ keys | two | $\ln(1 + m)$ |
# | BYOL | the target | predictor, stop-gradient, slow target | two | 0, the best |
# | SupCon | the class | negatives | one | $\ln(2n - 1)$ |
# | SimSiam | the other view | predictor, stop-gradient | one | $-1$, the best |
# | Barlow Twins | the same dimension | standardised dimensions; redundancy term | one | $d$ |
# | VICReg | the other view | variance and covariance terms | one | about $2 \cdot 25$ |
# | DINO | the teacher's distribution | centring and sharpening | two | 0, the best, or $\ln K$ |
#
# - Where one point for all is *costly*, the loss itself forbids it. Where it is the best, the path of training does.
# - Every safeguard has its own sign of failure: watch that one.
#
# ## References
#
# - P. Khosla et al. *Supervised contrastive learning* (SupCon). 2020, [arXiv:2004.11362](https://arxiv.org/abs/2004.11362). Eq. 2 and 3, sec. 3.2.2.
# - X. Chen, K. He. *Exploring simple Siamese representation learning* (SimSiam). 2021, [arXiv:2011.10566](https://arxiv.org/abs/2011.10566). Algorithm 1.
# - J. Zbontar, L. Jing, I. Misra, Y. LeCun, S. Deny. *Barlow Twins: self-supervised learning via redundancy reduction*. 2021, [arXiv:2103.03230](https://arxiv.org/abs/2103.03230). Eq. 1 and 2.
# - A. Bardes, J. Ponce, Y. LeCun. *VICReg: variance-invariance-covariance regularization for self-supervised learning*. 2022, [arXiv:2105.04906](https://arxiv.org/abs/2105.04906). Eq. 1 to 6.
# - M. Caron et al. *Emerging properties in self-supervised vision transformers* (DINO). 2021, [arXiv:2104.14294](https://arxiv.org/abs/2104.14294). Eq. 1 to 4, algorithm 1; the two collapses, sec. 5.3.
