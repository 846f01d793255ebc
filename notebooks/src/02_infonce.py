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
# - turn the question "which of these is my partner?" into a loss, and write it in ten lines: NT-Xent;
# - say which loss a network that knows nothing must have, and read a stuck run from that number;
# - foretell what a temperature does to the gradient: who is pushed, how hard, and who should not be;
# - keep the loss finite where exponentials overflow.
#
# **Time**: 60 minutes. **Needs**: the flashcards of lesson 00 and the two views of lesson 01; PyTorch tensors, softmax and cross-entropy
# as you know them from classification. It computes for less than a minute on two cores.

# %% tags=["setup"]
# set-up cell: inserted by the build

# %% tags=["parameters"]
profile = "auto"  # "quick" (CPU) or "full" (GPU); "auto" looks what is there
dataset = "auto"  # "shapes", "cifar10", "stl10" or the path of a folder of images
seed = 0  # any whole number from 0
device = "auto"  # "cpu", "cuda" or "mps"

# %%
import math

import torch
import torch.nn.functional as F
from torch import Generator

from cl_course import checks
from cl_course.augment import AugmentConfig, augment, two_views
from cl_course.data import load, shuffled_batches, to_float
from cl_course.diagnose import spread
from cl_course.lessons.infonce.figures import chance_line, information_bound, lineup, loss_curves, similarity_matrix
from cl_course.lessons.infonce.lab_temperature import recorded_rows, shares, temperature_figure, temperature_lab
from cl_course.lessons.infonce.temperature_figure import temperature_sweep, trained_at
from cl_course.lessons.shared.lab_circle import circle_figure, circle_lab, simulate, start
from cl_course.lessons.shared.show import show
from cl_course.losses import chance_loss, nt_xent
from cl_course.methods import SimCLR
from cl_course.models import projector, small_resnet
from cl_course.running import records
from cl_course.running.settings import settings

lesson = settings(globals())

# %% [markdown]
# ## Predict first: which one is my partner?
#
# Our shop of flashcards has no names on its cards. Below are two views each of eight cards, made by the
# augmentations of lesson 01. One view is the **anchor**: the one that asks. Among the 15 others, its
# **candidates**, exactly one was made from the same card: its **partner**, also called the **positive**. The
# other 14 are the **negatives**.
#
# Which is the partner? Give every candidate a number of points, 100 in all: many where you are sure, spread
# out where you are not. Write your points down.

# %%
cards = load(lesson.dataset, "val", limit=8)
view1, view2 = two_views(to_float(cards.images), AugmentConfig(), Generator().manual_seed(lesson.seed))
places = torch.randperm(15, generator=Generator().manual_seed(lesson.seed))
candidates = torch.cat([view2, view1[1:]])[places]  # every view but the anchor, view1[0]
pictures = lineup(view1[0].permute(1, 2, 0).numpy(), candidates.permute(0, 2, 3, 1).numpy())
show(pictures, alt="One anchor view at the left and 15 numbered candidate views; one of them shows the same card as the anchor.")

# %% [markdown]
# You have just done what the loss of this lesson asks of a network, points and all. It is graded like this:
# **only the share of points on the partner counts, and the grade is minus its logarithm**. All 100 on the
# partner cost nothing. Even shares, 6.7 each, cost $\ln 15$. All 100 on a wrong card cost infinitely much, so
# be sure only where you have reason to be. (If another card shows the same kind of object you may well have
# given it some points. Remember that; it comes back as the *false negative*.)

# %%
partner = int((places == 0).nonzero())
print(f"The partner is candidate {partner}.")
for points in (100, 60, 20, 100 / 15, 1):
    print(f"{points:5.1f} points on it: grade {math.log(100 / points):.2f}")

# %% [markdown]
# ## From the question to a loss
#
# A network turns each view into an **embedding** $z$: $d$ numbers, a direction in $d$ dimensions. Two
# directions are compared by their **cosine similarity**, which is 1 where they agree, 0 at a right angle, -1
# where they are opposite:
#
# $$s(a, b) = \frac{a \cdot b}{|a|\,|b|}$$
#
# A batch of $n$ images has $2n$ views, so all similarities form a table of $2n \times 2n$. Here are made-up
# embeddings of $n = 8$ images, A to H: view 2 is view 1 with some noise, as a half-trained network would have it.

# %%
generator = Generator().manual_seed(0)
z1 = torch.randn(8, 16, generator=generator)  # (n, d)
z2 = z1 + 0.8 * torch.randn(8, 16, generator=generator)
z = F.normalize(torch.cat([z1, z2]), dim=1)  # every row at length 1, so that a product is a cosine
similarity = z @ z.T  # (2n, 2n)
show(
    similarity_matrix(similarity.numpy()),
    alt="Table of 16 by 16 similarities. The diagonal is crossed out; each row's partner, n places from the diagonal, is framed and the most similar of its row.",
)

# %% [markdown]
# Read one row: an anchor and what it sees. The crossed-out cell is the anchor itself and no candidate: it
# would always win. The framed cell is its partner. In the order A1 ... H1 A2 ... H2 the partner of row $i$ is
# $n$ places on, counted round the end: at $(i + n) \bmod 2n$.
#
# Now the points. Divide the row by a positive number $T$, the **temperature**, and take the softmax: the
# candidates get probabilities $p$ that add up to 1. The loss of this anchor is minus the logarithm of its
# partner's, which is the cross-entropy of a classifier with $2n - 1$ classes. Only, these classes are no
# names: they are the other views of this very batch.
#
# $$p_{ij} = \frac{\exp(s_{ij} / T)}{\sum_{k \ne i} \exp(s_{ik} / T)}, \qquad \ell_i = -\ln p_{i,\,\mathrm{partner}(i)}$$

# %%
# NBVAL_CHECK_OUTPUT
is_candidate = torch.arange(16) != 0  # the anchor is A1, row 0; everyone else is a candidate
p = (similarity[0, is_candidate] / 0.5).softmax(dim=0)  # T = 0.5
print("B1 ... H1, A2 ... H2:", [round(float(x), 2) for x in p])
print(f"the partner, A2, gets {p[7]:.2f}: loss {-p[7].log():.2f}; even shares would cost {math.log(15):.2f}")

# %% [markdown]
# The mean of $\ell_i$ over all $2n$ views is **NT-Xent**, "normalised temperature-scaled cross-entropy", the
# loss of SimCLR (Chen et al. 2020, eq. 1). It belongs to a family called **InfoNCE** (van den Oord et al.
# 2018): one right candidate among many, picked by a softmax. The members differ in who the candidates are;
# MoCo's come from a queue (`info_nce`, lesson 04). You will write NT-Xent below, after we know what to expect of it.
#
# ## The chance line
#
# **Predict.** A network gives every view of 128 images the *same* embedding. What is its loss, and how does
# it depend on the temperature?
#
# <details><summary>Answer</summary>
#
# Every candidate is equally similar, so each of the 255 gets probability 1/255, whatever the temperature:
# the loss is ln 255 = 5.54. In general it is ln(2n - 1). The tempting answer ln 128 forgets that a view's
# candidates come from both sides, less the view itself.
#
# </details>
#
# The line ln(2n - 1) is what guessing costs: the **chance line**. On it, or near it, stand three kinds of networks that
# have learnt nothing, three seeds each: random directions at two temperatures, and an untrained network
# that looks at real views. The code calls it `SimCLR(encoder, projector)`: the encoder turns a view into features
# $h$, and the projector, a small network, turns those into the embedding $z$. Lesson 03 builds both.

# %%
def untrained(n, seed):
    """NT-Xent at T = 0.5 of a network with random weights, on two views of n images."""
    torch.manual_seed(seed)
    encoder = small_resnet()
    views = two_views(to_float(many.images[:n]), AugmentConfig(), Generator().manual_seed(seed))
    with torch.no_grad():
        return SimCLR(encoder, projector(encoder.dim), temperature=0.5).loss(*views).item()


sizes, many = (8, 32, 128, 512), load(lesson.dataset, "train", limit=512)
noise = {(n, s): torch.randn(2, n, 128, generator=Generator().manual_seed(s)) for n in sizes for s in range(3)}
measured = {
    "random directions, T = 0.5": {n: [nt_xent(*noise[n, s], 0.5).item() for s in range(3)] for n in sizes},
    "random directions, T = 0.1": {n: [nt_xent(*noise[n, s], 0.1).item() for s in range(3)] for n in sizes},
    "untrained network, T = 0.5": {n: [untrained(n, s) for s in range(3)] for n in sizes},
}
figure = chance_line(sizes, [chance_loss(n) for n in sizes], measured)
show(figure, alt="Loss against batch size. Random directions at T = 0.5 and an untrained network lie on ln(2n - 1) or close to it; random directions at T = 0.1 lie above it.")
for name, by_size in measured.items():
    above = torch.tensor([[loss - chance_loss(n) for loss in losses] for n, losses in by_size.items()])
    print(f"{name}: above the line by", ", ".join(f"{row.mean():+.2f} ± {row.std():.2f} (n = {n})" for n, row in zip(sizes, above)))
print(f"1 / (2 d T²) for d = 128: {1 / (2 * 128 * 0.5**2):.2f} at T = 0.5, {1 / (2 * 128 * 0.1**2):.2f} at T = 0.1")

# %% [markdown]
# Three things to take from it.
#
# - Random directions lie *above* the line, by about $1 / (2 d T^2)$ when they are many. They are not alike, so some
#   wrong candidate always looks a little better, and a low temperature takes such accidents seriously.
#   (Similarities of random directions have mean 0 and variance $1/d$; put a normal variable with that
#   variance into the mean of $\exp(s/T)$.) A loss that comes to rest **exactly on the line** says that the
#   candidates have become all alike.
# - Under this full recipe of augmentations the untrained network is no better than random: two views of one
#   picture have much in common, but its weights do not look for it. (Under a weaker recipe they have a head start;
#   see the last figure.)
# - The line moves with the batch size. A loss of 4.5 is worse than guessing for 32 images and good for 512:
#   a loss without its chance line tells nothing.
#
# **Quiz.** You double the batch size of a run at temperature 0.5, and its loss rises by 0.6. Has it become worse?
#
# <details><summary>Answer</summary>
#
# No. There are twice as many candidates, and ln 2 = 0.69: the chance line has risen by that, more than the
# loss. "The loss rose, so the larger batch harms" compares two different tests.
#
# </details>
#
# The line has a counterpart below, the **floor**. Cosines end at -1 and 1, so the logits of NT-Xent end at
# $\pm 1/T$. A network with perfect partners ($s = 1$) and even the impossible $s = -1$ to all the rest would still
# lose as much as the next cell prints, for $n = 128$.

# %%
# NBVAL_CHECK_OUTPUT
for temperature in (1.0, 0.5, 0.1):
    floor = math.log(1 + 254 * math.exp(-2 / temperature))
    orthogonal = math.log(1 + 254 * math.exp(-1 / temperature))
    print(f"T = {temperature}: no network below {floor:.2f}; partners alike, negatives at right angles: {orthogonal:.2f}; chance {chance_loss(128):.2f}")

# %% [markdown]
# **Quiz.** Run P, at temperature 0.1, ends with a loss of 1.5; run Q, at temperature 1, with 4.7. Same data,
# 128 images a batch. Which network is better?
#
# <details><summary>Answer</summary>
#
# One cannot tell. One and the same set of embeddings, partners alike and negatives at right angles, has three very
# different losses in the table: losses at different temperatures are different units. Compare such runs by what the
# features are good for (lesson 06), not by the loss. The tempting "P, its loss is lower" would let you win by
# turning a knob.
#
# </details>

# %% [markdown]
# ## What the loss says about information (optional)
#
# At a first reading skip to *Temperature*; nothing later needs this section.
#
# **Mutual information** $I$ is what one view tells of the other, in nats ($\ln 2$ nats are one bit): 0 when
# they are independent, large when one of them tells which image both came from. Van den Oord et al. (2018)
# showed that InfoNCE bounds it from below. For a batch of $n$ images
#
# $$I(\text{view 1};\, \text{view 2}) \;\ge\; \ln n - \text{loss}.$$
#
# In words: whoever finds the partner among $n$ more surely than by guessing must have used something that
# the two views share. The bound holds for the *expected* loss, on fresh and independent batches, of a score that
# looks at one pair at a time. One lucky batch may break it, so may the loss on images trained on, and BatchNorm in
# training mode, where each view sees the whole batch, does not quite fit. (The theorem is for anchors in view 1 and the $n$ candidates in view 2. NT-Xent adds
# $n - 1$ candidates from the anchor's own side; a longer sum only raises the loss, so the bound holds with
# NT-Xent in it as well. With $\ln(2n-1)$ in place of $\ln n$ it would not be proved.)
#
# Two Gaussian variables can play the views, since their $I$ is known: each pair of coordinates with
# correlation $\rho$ shares $-\tfrac12 \ln(1 - \rho^2)$ nats. The best possible score of a pair is known too,
# $\ln p(b \mid a) - \ln p(b)$: how much likelier view 2 is once view 1 is known. So the loss below is the least that *any* network could reach. **Predict**: where will $\ln n -$ loss end up as the
# true information grows to 10 nats, for 8, 64 and 512 candidates?

# %%
def least_loss(information, n, generator, d=8):
    """InfoNCE of two Gaussian views that share so many nats, with the best scores: ln p(b | a) - ln p(b)."""
    rho = math.sqrt(1 - math.exp(-2 * information / d))
    a, noise = torch.randn(2, n, d, generator=generator, dtype=torch.float64)
    b = rho * a + math.sqrt(1 - rho**2) * noise
    score = (b[None] ** 2).sum(-1) / 2 - ((b[None] - rho * a[:, None]) ** 2).sum(-1) / (2 * (1 - rho**2))  # (n, n)
    return F.cross_entropy(score, torch.arange(n)).item()


true = list(range(11))
bounds = {}
for n, batches in ((8, 200), (64, 25), (512, 3)):  # as many anchors at each size
    means = []
    for s in range(3):
        generator = Generator().manual_seed(s)
        means.append([sum(math.log(n) - least_loss(i, n, generator) for _ in range(batches)) / batches for i in true])
    bounds[n] = torch.tensor(means).numpy()
figure = information_bound(true, bounds)
show(figure, alt="ln n minus the loss follows the true information while that is small, then bends and stays below ln n: 2.1, 4.2 and 6.2 nats for n = 8, 64 and 512.")

# %% [markdown]
# The bound is honest, but it has a ceiling: the loss cannot be negative, so the bound cannot exceed $\ln n$
# (Poole et al. 2019). To certify 10 nats one would need more than $e^{10}$ candidates, about 22,000. Nor is that
# a flaw of InfoNCE alone: no bound that holds with high confidence for every distribution can certify more
# than about $\ln n$ from $n$ samples (McAllester & Stratos 2020). Two more limits:
#
# - **More information is not better features.** An encoder that can be inverted keeps *all* of it. Tschannen
#   et al. (2020) trained such encoders: the information never changed, the worth of the features did. What is
#   kept, and in what form, is decided by the augmentations (lesson 01) and the network.
# - **NT-Xent cannot even reach the best scores**: they have no limits, but its logits end at $\pm 1/T$. Hence the floor
#   in the chance-line section.
#
# ## Temperature
#
# The lab shows *one row* of a real table of similarities. It is of a SimCLR network trained on the embedded
# shapes: one anchor, three different batches of 16 images around it:
#
# - **easy**: 15 images of other classes;
# - **hard**: the 15 images of other classes that this network finds most similar to the anchor;
# - **false negative**: the easy ones, but three of them replaced by images of the anchor's *own class*. Without
#   labels nobody can know; to the loss they are negatives like any other.
#
# The last row of bars is the **push** on each negative: how strongly the loss drives its similarity to the
# anchor down, $p / T$. The gradient section will show that it is just that. Beside the picture stand two numbers: the **entropy** of how
# the push is shared among the negatives, $H = -\sum_j q_j \ln q_j$ where $q_j$ is negative $j$'s share of it,
# and the **effective number of negatives** $e^H$: so many negatives with equal shares would have the same
# entropy.
#
# **Predict** before you move anything: going from $T = 2$ down to 0.01, does the effective number rise or
# fall? Does the sum of all pushes? And at which end do the false negatives suffer?

# %%
temperature_lab()
show(
    temperature_figure("false negative", 0.1),
    alt="Row 'false negative' at T = 0.1: " + shares(recorded_rows()["false negative"], 0.1).sentence,
)

# %% [markdown]
# Try this, and check yourself against the table below.
#
# 1. *easy*: find the temperature at which about 15 of the 30 negatives count.
# 2. *hard*: move slowly from 2 to 0.01. Who ends up with all the probability, and is it the partner?
# 3. *false negative*: at which temperature do the six views of the same class bear half of the push?

# %%
print(f"{'row':<16}{'T':>5}{'loss':>8}{'effective':>11}{'push, all':>11}{'on hardest':>12}{'on same class':>15}")
for name, row in recorded_rows().items():
    for temperature in (2.0, 0.5, 0.2, 0.05, 0.01):
        at = shares(row, temperature)
        hardest = at.pull.max() / at.pull.sum()
        print(f"{name:<16}{temperature:>5}{at.loss:>8.2f}{at.effective:>11.1f}{at.pull.sum():>11.2f}{hardest:>12.0%}{at.same_class:>15.0%}")

# %% [markdown]
# - A **high** temperature is fair: all negatives count, none much, and the sum of all pushes is small.
# - A **low** temperature looks at the hardest alone. Where the partner wins easily the push dies: nothing is
#   left to learn. Where a negative stands before the partner, the push grows like $1/T$ and lands on
#   that one.
# - The **sum** of the pushes is $(1 - p_+) / T$, so your answer depends on the row: in *easy* it rises at first
#   and then dies, in the other two it keeps growing.
# - And the hardest negatives may be **no negatives at all**: what looks most like the anchor may be of its class,
#   as in the third row.
#
# How often is it? The record holds that for all anchors of 512 validation images, in batches of 128, and three
# networks trained with different seeds (thin lines; the mean is thick).

# %%
record = records.read("similarity_rows")
sweeps = [run["sweep"] for run in record["runs"] if "sweep" in run]
temperatures = [point["temperature"] for point in sweeps[0]]
counted = torch.tensor([[point["effective_negatives"] for point in sweep] for sweep in sweeps])
alike = torch.tensor([[point["share_same_class"] for point in sweep] for sweep in sweeps])
base = sweeps[0][0]["same_class_among_negatives"]
figure = temperature_sweep(temperatures, counted.numpy(), alike.numpy(), total=254, share_alike=base)
show(figure, alt="With falling temperature the effective number of negatives falls from nearly all 254 to a few, and the share of the push on negatives of the same class rises.")
for place in (4, 10, 16):
    print(f"T = {temperatures[place]:.2f}: {counted[:, place].mean():5.1f} ± {counted[:, place].std():.1f} negatives count; ", end="")
    print(f"{alike[:, place].mean():.0%} ± {alike[:, place].std():.0%} of the push is on the {base:.0%} of the same class")

# %% [markdown]
# In this *trained* network, with ten classes, about three quarters of the push at low $T$ falls on images of the
# anchor's own class. Expect far less at the start of training, when the network cannot yet tell what is alike, or
# with 1,000 classes, where a batch holds hardly any of them.
#
# So the temperature is a bargain. Low: the loss works on the hard cases, where there is something to learn,
# and pushes apart what we would like to keep together. High: it spares them, and wastes its push on
# negatives that were settled long ago. Wang & Liu (2021) call it the
# uniformity-tolerance dilemma: *uniformity*, which gets its measure below, is how evenly everybody is spread out,
# *tolerance* that what is alike may stay together.
# Between lies what people use: 0.07 in MoCo, 0.1 to 0.5 in SimCLR; CLIP lets the network learn it.
#
# ## The gradient, by hand
#
# Where does "push $p / T$" come from? Take one anchor and call its similarities $s_j$, the partner's $s_+$.
# Its loss is $\ell = -s_+ / T + \ln \sum_k \exp(s_k / T)$, and the derivative of the logarithm of a sum of
# exponentials is a softmax:
#
# $$\frac{\partial \ell}{\partial s_j} = \frac{p_j}{T} \;\text{ for a negative}, \qquad
#   \frac{\partial \ell}{\partial s_+} = \frac{p_+ - 1}{T} \;\text{ for the partner.}$$
#
# Gradient descent moves against it: each negative's similarity falls in proportion to $p_j / T$, the
# partner's rises in proportion to the sum of all those. What drives the negatives off and what draws the partner in
# always balance. (In NT-Xent every similarity stands in two rows, once for either end, and all is divided by $2n$.)

# %%
row, temperature = recorded_rows()["hard"], 0.1
s = torch.tensor(row.similarities, requires_grad=True)
loss = F.cross_entropy(s / temperature, torch.tensor(row.partner))
loss.backward()

by_hand = (s.detach() / temperature).softmax(dim=0) / temperature  # p / T
by_hand[row.partner] -= 1 / temperature  # (p - 1) / T
torch.testing.assert_close(by_hand, s.grad)
for j in range(4):
    print(f"s = {row.similarities[j]:.2f}  {row.kinds[j]:<12}  by hand {by_hand[j]:+.3f}   autograd {s.grad[j]:+.3f}")
print(f"sum over all 31 candidates: {abs(by_hand.sum()):.6f}")

anchor, others = z[0].clone().requires_grad_(), z[1:]  # A1 of the table above; A2 is number 7 of the other 15
F.cross_entropy(others @ F.normalize(anchor, dim=0) / temperature, torch.tensor(7)).backward()
p = (others @ z[0] / temperature).softmax(dim=0)
free = (others[7] - p @ others) / temperature  # where z would go if it were free
torch.testing.assert_close(-anchor.grad, free - (free @ z[0]) * z[0])  # only what is at right angles to z remains

# %% [markdown]
# The last lines take one more step of the chain rule, from similarities to embeddings. Let
# $z_+$ be the partner's embedding, let $j$ run over all candidates, the partner among them, and all lengths be 1.
# As if it were free, the anchor $z$ would move along
#
# $$\frac{1}{T} \Big( z_+ - \sum_j p_j z_j \Big):$$
#
# towards its partner, away from the mean of all candidates weighed by their probabilities. But NT-Xent divides
# $z$ by its length, so only the part of this at right angles to $z$ remains. A negative that already coincides with
# the anchor therefore hardly moves it: $p / T$ is the push on the *similarity*, not on the embedding.
#
# **Quiz.** As $T$ grows without bound, which negatives does the loss still push, and how hard?
#
# <details><summary>Answer</summary>
#
# All alike: the softmax becomes even, p = 1/(2n - 1) for each, and the push p / T goes to 0 with 1/T. "None,
# because the gradient vanishes" is half right: an optimiser such as Adam, which divides the gradient by
# its own size, undoes the factor, and what stays is that all negatives count the same, hard or not.
#
# </details>
#
# ## Keeping it finite
#
# The formula as it stands in the book, `-(exp(s+ / T) / sum(exp(s / T))).log()`, is right on paper. **Predict**:
# a float32 holds numbers up to $3.4 \cdot 10^{38}$, a float16 up to 65,504. Similarities reach nearly 1. Below
# which temperature does the book's formula break in each?
#
# <details><summary>Answer</summary>
#
# exp(x) passes the largest float32 at x = ln(3.4e38) = 88.7, so at T below about 1 / 88.7 = 0.011. For a float16 it is
# x = ln(65504) = 11.1, T below about 0.09: well inside the range people use. (A row whose largest similarity
# is a little below 1 holds out a little longer.)
#
# </details>

# %%
def textbook(logits, partner):
    return -(logits[partner].exp() / logits.exp().sum()).log()


def log_sum_exp(logits, partner):
    return logits.logsumexp(dim=0) - logits[partner]


row = recorded_rows()["easy"]
print(f"{'':>8}{'float32':^26}{'float16':^26}\n{'T':>8}" + f"{'textbook':>12}{'log-sum-exp':>14}" * 2)
for temperature in (1.0, 0.2, 0.1, 0.07, 0.05, 0.02, 0.01, 0.005):
    line = f"{temperature:>8}"
    for dtype in (torch.float32, torch.float16):
        logits = (torch.tensor(row.similarities) / temperature).to(dtype)
        line += f"{abs(textbook(logits, row.partner)):>12.4f}{log_sum_exp(logits, row.partner):>14.4f}"
    print(line)

# %% [markdown]
# Overflow gives infinity over infinity, `nan`, and one `nan` ruins every weight at the next step. The remedy
# costs nothing: with $m$ the largest logit,
#
# $$\ln \sum_k e^{x_k} = m + \ln \sum_k e^{x_k - m},$$
#
# where no exponent is above 0 and one of them is 0, so that the sum lies between 1 and the number of
# candidates. `torch.logsumexp` and `F.cross_entropy` do this for you. Give them **logits**, never exponentials or
# probabilities.
#
# Finite is not yet exact. Look at float16 and $T = 0.1$: log-sum-exp prints 0.0000 where the truth is 0.0036. The loss
# is a small difference of two logits near 9, and there neighbouring float16 numbers are 0.008 apart. So compute the
# loss in float32, as PyTorch's mixed precision does with the cross-entropy.
#
# The same care for the diagonal: a view must not be its own candidate, and the clean way to say so is a logit
# of $-\infty$, since $e^{-\infty} = 0$ exactly. A large number such as -9e15 does not fit into a float16, and
# multiplying the diagonal by 0 gives it a logit of 0, hence $e^0 = 1$ in the sum: a candidate after all, as likely as a view at
# a right angle.
#
# ## Exercise: NT-Xent
#
# Write it. From `z1` and `z2`, each $(n, d)$ and of any length, to one number:
#
# 1. all $2n$ views in one tensor, each at length 1;
# 2. logits: all cosine similarities, divided by the temperature;
# 3. no view its own candidate;
# 4. the partner of view $i$ is $n$ places on, modulo $2n$;
# 5. the mean cross-entropy over all $2n$ views.
#
# The check tries batches and temperatures that you do not see, and names the mistake if it knows it.

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
# The cell that drew the table of similarities has steps 1 and most of 2. Everything else is: which cells may
# not count, and which cell of each row is right.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# `F.cross_entropy(logits, target)` wants one row of logits for each view and one *index* of the right column
# for each row. With n = 3 the indices are 3, 4, 5, 0, 1, 2. `logits.masked_fill(mask, -torch.inf)` takes cells
# out of the race.
#
# </details>
#
# <details><summary>Hint 3</summary>
#
# `z = F.normalize(torch.cat([z1, z2]), dim=1)`, then `logits = z @ z.T / temperature`. The mask is
# `torch.eye(2 * n, dtype=torch.bool)`, the indices are `torch.arange(2 * n).roll(n)`.
#
# </details>

# %% [markdown]
# From here on the lessons use `nt_xent` from the package: the same in the same order, tested against plain
# loops, values known on paper and autograd. Its laws are worth knowing by heart, because they test any
# implementation that you meet:

# %%
order = torch.randperm(8, generator=Generator().manual_seed(2))
same = nt_xent(z1, z2, 0.2)  # the made-up embeddings of the table
torch.testing.assert_close(nt_xent(9 * z1, 0.1 * z2, 0.2), same)  # lengths do not count
torch.testing.assert_close(nt_xent(z1[order], z2[order], 0.2), same)  # nor does the order of the batch
torch.testing.assert_close(nt_xent(z2, z1, 0.2), same)  # nor which view comes first
print(f"loss {same:.3f}; shuffle one view alone and it is another: {nt_xent(z1, z2[order], 0.2):.3f}")

# %% [markdown]
# ## What alignment and uniformity want
#
# The loss of one anchor has two halves, and they want different things (Wang & Isola 2020):
#
# $$\ell_i = \underbrace{-\,s_{i,+} / T}_{\textbf{alignment: partners together}} \;+\;
#   \underbrace{\ln \textstyle\sum_{k \ne i} \exp(s_{ik} / T)}_{\textbf{uniformity: everybody apart}}$$
#
# Each has its measure, of embeddings at length 1. **Alignment** is the mean squared distance between partners: 0
# when they meet. **Uniformity** is $\ln$ of the mean of $\exp(-2 \cdot \text{distance}^2)$ over all pairs: 0 when
# all points have collapsed onto one, the lower the more evenly they fill the sphere.
#
# In the lab two dimensions are enough, so the sphere is a circle. Each letter is an image, the disc its view 1,
# the square its view 2. No network: the points themselves follow the gradient. **Predict** three endings:
# alignment alone; uniformity alone; both, at $T = 0.5$. Then choose the goal, and press play or move *step*.

# %%
circle_lab()
show(
    circle_figure(temperature=0.5, want="both", step=100),
    alt="Circle after 100 steps of both halves at T = 0.5: each image's two views have met, and the six images are spread about evenly round the circle.",
)

# %% [markdown]
# One start is an anecdote. The same 100 steps from five starts, three goals, three temperatures:

# %%
ends = {("the start", ""): [simulate(start(6, s), 1.0, steps=0) for s in range(5)]}
for want in ("alignment", "uniformity", "both"):
    for temperature in (0.05, 0.5, 2.0):
        ends[want, temperature] = [simulate(start(6, s), temperature, want) for s in range(5)]
print(f"{'goal':<12}{'T':>5}{'alignment':>16}{'uniformity':>18}")
for (goal, temperature), paths in ends.items():
    a, u = (torch.stack([getattr(path, name)[-1] for path in paths]) for name in ("alignment", "uniformity"))
    print(f"{goal:<12}{temperature:>5}{a.mean():>9.2f} ± {a.std():.2f}{u.mean():>11.2f} ± {u.std():.2f}")

# %% [markdown]
# The lab multiplies every step by $T$, or the hot runs would crawl merely because the gradient has $1/T$ in it. That is
# also why $T$ makes no difference to alignment alone, $-s_{i,+} / T$: there it is nothing but that factor.
#
# - **Alignment alone** brings partners together and is content; where the pairs lie it does not care. Here
#   each point is free, so pairs meet half-way. A network has an easier way: map everything to one point. That
#   is **collapse**, alignment 0 and uniformity 0, and the reason why the second half exists. (BYOL does without
#   it; lesson 05.)
# - **Uniformity alone**, at 0.5 and 2, spreads all views and treats partners as strangers: nothing is learnt. At 0.05
#   it does not even spread them: after 100 steps they are no more even than at the start.
# - **Both** at 0.5: partners meet, images spread.
# - **Both, but hot** (2): everybody pushes from all sides, and most of it cancels; after the same 100
#   steps images are spread less.
# - **Both, but cold** (0.05): partners meet, but images stay bunched. Only the nearest negative is pushed, and once it is
#   a few times $T$ less similar than the partner the loss is near 0 and nobody pushes any more.
#
# Does that carry over to a network? Nine SimCLR runs on the shapes, three training temperatures with three seeds each
# (dots; the line joins their means):

# %%
runs = record["runs"]
show(trained_at(runs), alt="Alignment, uniformity and kNN accuracy of nine runs trained at T = 0.05, 0.3 and 1; the embeddings are most uniform at 0.3.")
for temperature in sorted({run["temperature"] for run in runs}):
    line = f"trained at {temperature:<5}"
    for name in ("alignment", "uniformity", "knn"):
        values = torch.tensor([run[name] for run in runs if run["temperature"] == temperature])
        line += f"  {name} {values.mean():.3f} ± {values.std():.3f}"
    print(line)

# %% [markdown]
# - **Hot** (1.0): partners are closest, but so is everybody else, and the neighbours tell the classes far worse.
# - **Cold** (0.05): less even than at 0.3, as on the circle and perhaps for the same reason: who has won stops
#   pushing. The nearest neighbours are about as good as at 0.3, whatever the false negatives suffered. Wang
#   & Liu (2021) relate uniformity to the temperature and hold that a good one compromises between the two sides
#   of their dilemma; how that goes in *your* run do not reason from the temperature, measure it. Lesson 03 varies it together with augmentation and batch size.
#
# ## Debug this: a loss that will not move
#
# A learner wrote the loop below after lesson 01, with care: a loader for each view, so that the views are
# independent; weak augmentation, crops and flips alone, so that colour makes the task easy (lesson 01); NT-Xent from
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
        view1 = augment(pool[batch1], config, generator)
        view2 = augment(pool[batch2], config, generator)
        yield view1, view2


# %%
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


stuck, spreads = torch.tensor([train(pairs, s) for s in range(3)]).unbind(dim=1)  # (seeds, steps) each
show(loss_curves({"as written, three seeds": stuck.numpy()}, chance_loss(32)), alt="Three losses that start on the chance line and stay there for 40 steps.")
print(f"mean of the last ten steps: {stuck[:, -10:].mean():.3f}; ln(2 · 32 - 1) = {chance_loss(32):.3f}")
print(f"spread of the embeddings: {spreads[:, 0].mean():.2f} at the first step, {spreads[:, -1].mean():.2f} at the last")

# %% [markdown]
# <details><summary>What the number tells</summary>
#
# The loss sits at ln 63: it sees no difference between the partner and the rest. Three suspects: all embeddings
# are the same; the partner is no more similar than others, because it is no partner; or the weights never change.
# The spread speaks against the last, for it falls. So look at what goes in.
#
# </details>
#
# <details><summary>The line, and why</summary>
#
# `loader2` shuffles anew, so row i of `view1` and row i of `view2` come from different pictures. There is
# nothing to find. The best a network can do is not to guess with confidence: it makes embeddings ever more
# alike, and all alike costs exactly ln(2n - 1). It *learns* to collapse; the spread printed above shows it. Two
# views need **one** order of the images and two draws of the augmentation, as in `two_views`.
#
# </details>
#
# The next cell has it mended. The test that would have found it before any training: draw a few rows of `view1` and
# `view2` side by side, as the figure after `my_two_views` in lesson 01 does.

# %%
def mended_pairs(seed, n=32):
    generator = Generator().manual_seed(seed)
    for batch in shuffled_batches(len(pool), n, generator):
        yield two_views(pool[batch], config, generator)


mended, spreads = torch.tensor([train(mended_pairs, s) for s in range(3)]).unbind(dim=1)
curves = {"as written": stuck.numpy(), "mended": mended.numpy()}
show(loss_curves(curves, chance_loss(32)), alt="As written the loss stays on the chance line; mended, it falls away from it within 40 steps, for each of three seeds.")
print(f"mean of the last ten steps: {mended[:, -10:].mean():.3f} ± {mended[:, -10:].mean(dim=1).std():.3f}; spread at the last {spreads[:, -1].mean():.2f}")

# %% [markdown]
# The mended loss is below the chance line from its first steps. Under weak augmentation partners keep their colours,
# and even random weights pass colour on; hence the head start that the untrained network did not have under the full
# recipe.
#
# ## Quiz
#
# **1.** With $n = 128$ images a batch your loss reads 0.02 after the first epoch. Delighted, at $T = 0.5$? At
# $T = 0.1$?
#
# <details><summary>Answer</summary>
#
# Look at the floor table. At 0.5 it is impossible, no network gets below 1.73, so there is a bug in the loss: another
# temperature than you think, embeddings not normalised, or each view its own partner. At 0.1 it is possible, but
# so early be suspicious: check whether the two views are equal (the same tensor twice, no augmentation), for then the
# partner is always at similarity 1 and the task trivial. "The network is just good" would show in kNN accuracy.
#
# </details>
#
# **2.** A friend forgot to mask the diagonal. Will the loss fall during training?
#
# <details><summary>Answer</summary>
#
# It will fall, which is why "the loss falls" is no test. The view itself, always at similarity 1, takes its share
# of the probability: even with partners at similarity 1 the loss cannot go below ln 2. Test the value, not the trend.
#
# </details>
#
# **3.** With 10 balanced classes and 128 images, how many false negatives does a view have, and which
# temperature makes them matter most?
#
# <details><summary>Answer</summary>
#
# About 25 of 254 are of its class, a tenth. Low temperatures make them matter most, because they are among the most
# similar. The tempting answer, "high, because then all of them count", overlooks that at a high temperature
# each bears only its even share.
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
# | collapsed, or guessing | ln(2n - 1), at every temperature |
# | random directions in d dimensions | about ln(2n - 1) + 1 / (2dT²) |
# | partners alike, negatives at right angles | ln(1 + (2n - 2) exp(-1/T)) |
# | no network at all gets below | ln(1 + (2n - 2) exp(-2/T)) |
#
# This lesson adds no row to the running results, since nothing was trained to keep. Here are again two that you know from
# lesson 01, pixels and the random encoder; lesson 03 will add to them.

# %%
print(f"{'running results':<18}{'kNN':>8}{'linear':>8}   labels used: none")
for name in ("pixels", "random encoder"):
    known = [run for run in records.read("results")["runs"] if run["row"] == name]
    knn, linear = (sum(run[measure] for run in known) / len(known) for measure in ("knn", "linear"))
    print(f"{name:<18}{knn:>8.3f}{linear:>8.3f}")

# %% [markdown]
# **What to keep**
#
# - Contrastive learning is classification where the classes are the other views of the batch.
# - Guessing costs ln(2n - 1); a loss means nothing without it, nor across temperatures.
# - The push on a negative (on its similarity) is p / T. Cold: few, hard, often false negatives. Hot: all, weakly.
# - Logits into `F.cross_entropy`; the diagonal at minus infinity.
# - Alignment brings partners together, uniformity keeps the rest apart; the loss needs both.
#
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
