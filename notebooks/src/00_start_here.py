# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # 00 Start here
#
# **What you will be able to do**
# - say what *learning by comparing* is, and what the words view, anchor, positive and negative mean;
# - read from a score table whether a player recognises an object or uses a shortcut;
# - say what pulls and what pushes in a contrastive loss;
# - know what this course needs on your machine, and what comes in which lesson.
#
# **Time**: {minutes} minutes, of which the computer needs less than one. **Needs**: Python and a little PyTorch;
# nothing about the subject.

# %% tags=["setup"]
# set-up cell: inserted by the build

# %% tags=["parameters"]
profile = "auto"  # "quick", "full", or "auto": full where there is a GPU
dataset = "auto"  # this lesson always plays with the cards that come with the course
seed = 0  # 0, 1, 2, ...: other rounds, other random numbers
device = "auto"  # "cpu", "cuda", "mps", or "auto"

# %% tags=["folded"]
# Imports
import torch
import torch.nn.functional as F
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits
from torch import Generator

from cl_course import checks
from cl_course.augment import two_views
from cl_course.data import load, to_float
from cl_course.evaluate import embed, knn_accuracy
from cl_course.lessons.shared.cards import (
    card_grid,
    labels_per_class_figure,
    roles_figure,
    score_figure,
)
from cl_course.lessons.shared.lab_circle import circle_lab
from cl_course.lessons.shared.pictures import channels_last
from cl_course.lessons.shared.show import show
from cl_course.lessons.shared.tables import mean_and_spread, show_table
from cl_course.lessons.start_here.lab_game import (
    LEVELS,
    SCORE_COLUMNS,
    card_game,
    looks_at,
    score_rows,
    share,
    simple_players,
    tournament,
)
from cl_course.lessons.start_here.lab_playground import playground
from cl_course.models import small_resnet
from cl_course.running import checkpoints
from cl_course.running.doctor import report
from cl_course.running.settings import settings

lesson = settings(globals())

# %% [markdown]
# ## Watch a network learn
#
# A small network learns here, in this page, from drawings of four kinds, and nobody tells it which is which. It sees
# each drawing twice, disguised in two ways: these are two *views* of it (the columns on the right). It learns to put
# both on one place of the sphere and other drawings elsewhere. Each point is a drawing that it never trains on; its
# shape and colour show the kind. Press *Train*. All that the page shows comes back later in the course. To read what
# its words mean, open *What the words mean, and what is measured* at the end of the lab.
#
# **Predict first.** A disguise cuts, mirrors and changes colours. Suppose that it leaves the colours as they are, so that
# the two views are *easier* to match. Will the points gather by kind sooner, later, or not at all? Try
# *Colours unchanged*, and then show the points as drawings.

# %%
playground(seed=lesson.seed)

# %% [markdown]
# <details><summary>Answer</summary>
#
# Hardly at all: the loss falls, and the kinds stay mixed. Drawings with similar colours lie together, because colours
# are enough to tell which two views belong together, and the shape is not needed. The other buttons show two more
# methods, and what else can go wrong.
#
# </details>
#
# ## A shop of flashcards without names
#
# You have a shop with thousands of flashcards. Each has a picture on the front, and nothing on the back, where the
# name should be. To name them all by hand would take days.

# %%
train, cards = load("shapes", "train"), load("shapes", "val")
show(
    card_grid(channels_last(to_float(cards.images[:24])), columns=12),
    alt="24 small cards: discs, squares, triangles, stars, hearts and other shapes with "
    "stripes, each in a colour of its own on a background of another colour.",
)

# %%
# NBVAL_CHECK_OUTPUT
print(f"{len(train):,} cards to learn from, {len(cards):,} to try things on, drawn from a seed")
print(f"ten kinds of object: {', '.join(train.class_names)}")

# %% [markdown]
# The course knows the names, because its program drew the cards. It uses them to *judge* what was learned, never to
# teach. (The field calls a kind a **class** and a name a **label**.)
#
# How can a network learn anything from cards without names? By a game. Take one card and make two copies.
# **Disguise** each copy: cut a piece out, mirror it, change its colours. A disguised copy is called a **view**. Mix
# one view with views of other cards and ask: *which of these is the same card?* You know the answer, since you made
# the copies. So nobody has to write a name, and the game can be played millions of times.
#
# - The view that you start from is the **anchor**.
# - The other view of the same card is its **positive**, also called its *partner*.
# - Views of other cards are its **negatives**.

# %% tags=["folded"]
# Figure: anchor, positive, negatives
disguise = LEVELS["and dyed"]
chosen = to_float(cards.images[[24, 1, 2, 3, 4]])
of_one, of_others = two_views(chosen, disguise, Generator().manual_seed(2))
show(
    roles_figure(
        channels_last(of_one[0]), channels_last(of_others[0]), channels_last(of_others[1:])
    ),
    alt="In the middle a card, the anchor; on the left the same card in other colours and "
    "another crop, the positive, pulled towards it; on the right four views of other cards, "
    "the negatives, pushed away.",
)

# %% [markdown]
# This is **contrastive learning**: a network is trained to bring the anchor and its positive near to each other and
# to keep the negatives away. It is *self-supervised*: question and answer are both made from the data.
#
# ### Exercise 1: who is positive, who is negative? (3 min, easy)
#
# A batch has `n` cards, and each gives two views. All views look for their partner at the same time: each is once the
# anchor, and all other views are its candidates. How many views are there? And how many positives and how many
# negatives does *each* view have? Return the three numbers, in this order.


# %% tags=["exercise"]
def my_counts(n):
    """views in the batch, positives of each view, negatives of each view"""
    ### BEGIN SOLUTION
    return 2 * n, 1, 2 * n - 2
    ### END SOLUTION


# %%
checks.counts(my_counts)

# %% [markdown] tags=["hints"]
# <details><summary>Hint 1</summary>
#
# Write the views of two cards down: A1, A2, B1, B2. Take A1 as the anchor.
#
# </details>
# <details><summary>Hint 2</summary>
#
# A view is never its own candidate.
#
# </details>
# <details><summary>Hint 3</summary>
#
# Each view has one positive. Each of the `n - 1` other cards gives two negatives.
#
# </details>

# %% [markdown]
# ## Play it yourself
#
# Ten rounds for each disguise; each disguise is added to those before it. Play two of each, or more. Two of the six
# candidates are chosen to fool a player who looks at one thing alone: the **colour twin** has nearly the anchor's mean
# colour, the **layout twin** is light and dark in nearly the same places. Both show another kind of object. Once you
# have chosen, each card says who else took it: three simple programs, which the next section describes, and one that
# only guesses.
#
# **Predict before you play.** Up to which disguise will you win every round? And a program that knows nothing of
# objects and takes the card with the most similar mean colour: up to which?

# %%
card_game(cards, seed=lesson.seed)

# %% [markdown]
# <details><summary>Answer</summary>
#
# Yours stands in your score. The program's stands in the figure below, mean colour: it wins every round without a
# disguise, most when the cards are only cut and mirrored, and few once the light changes.
#
# </details>

# %% [markdown]
# ## What did you rely on?
#
# Three simple programs have played too. One looks at the **mean colour** of a card, one at its **colour histogram**
# (how many pixels are how red, how green, how blue), one compares the **raw pixels** place by place. Each takes the
# candidate that is nearest in what it looks at. A fourth only guesses. They play 90 rounds at every disguise, 30 with
# each of three seeds.

# %%
seeds = [lesson.seed, lesson.seed + 1, lesson.seed + 2]
taken = tournament(cards, simple_players(lesson.seed), rounds=30, seeds=seeds)

# %% tags=["folded"]
# Tables and figure: who took which card
as_they_are, changed = list(LEVELS)[:2], list(LEVELS)[2:]
caption = "colours as they are ({})".format("; ".join(as_they_are))
show_table(score_rows(taken, as_they_are), SCORE_COLUMNS, caption)
caption = "colours changed ({})".format("; ".join(changed))
show_table(score_rows(taken, changed), SCORE_COLUMNS, caption)
scores = {player: share(by_level) for player, by_level in taken.items()}


def percents(won):
    """Mean over seeds at every disguise, for the figure's alternative text."""
    return ", ".join(f"{share_won:.0%}" for share_won in won.mean(axis=1))


show(
    score_figure(list(LEVELS), scores, chance=1 / 6),
    alt="Share of rounds won by each simple player, from no disguise to the strongest. "
    + " ".join(f"{name}: {percents(won)}." for name, won in scores.items()),
)

# %% [markdown]
# Read the tables by their columns. A player who takes the *colour twin* relies on colour. One who takes the
# *layout twin* relies on where things lie. A guesser takes *other* cards half of the time: they are three of six.
# While the colours stay as they are, the histogram wins nearly every round, and it has recognised nothing. It uses a
# **shortcut**: something cheap that solves the game and is not what you wanted. Under the strongest disguises it does
# worse than a guess, because the twins were chosen to fool it. The game above says which kinds of card *you* took when
# you were wrong.
#
# This is the central thought of the course: **a player learns what the game forces it to learn, and nothing else.**
# The disguises decide. Lesson 01 is about them.
#
# ## A player that was trained by the game alone
#
# Now a player that has learned by such a game. A small network has played it with the training cards, against all
# other views of a batch, and has never seen a name (lesson 03 trains it). It turns each image into a list of numbers,
# its **embedding** `h`. The network that does this is called the **encoder**. In a round it takes the candidate whose
# embedding has the direction most like the anchor's.
#
# ### Exercise 2: pick a card (5 min, easy)
#
# The likeness of two directions is their **cosine similarity**: the product of two vectors after each is divided by
# its length; 1 for the same direction, 0 for a right angle, -1 for opposite. Write the pick: which row of
# `candidates_h` is most similar to `anchor_h`? Only the direction may count, not the length.


# %% tags=["exercise"]
def my_pick(anchor_h, candidates_h):
    """anchor_h (d,), candidates_h (6, d) -> the row of the candidate most similar to the anchor"""
    ### BEGIN SOLUTION
    anchor_h = F.normalize(anchor_h, dim=0)
    candidates_h = F.normalize(candidates_h, dim=1)
    similarity = candidates_h @ anchor_h  # (6,)
    return similarity.argmax()
    ### END SOLUTION


# %%
checks.pick(my_pick)

# %% [markdown] tags=["hints"]
# <details><summary>Hint 1</summary>
#
# `F.normalize(h, dim=-1)` divides each vector by its length.
#
# </details>
# <details><summary>Hint 2</summary>
#
# A matrix `(6, d)` times a vector `(d,)` gives all six similarities at once.
#
# </details>
# <details><summary>Hint 3</summary>
#
# Return the *row* of the largest similarity, not the similarity.
#
# </details>

# %% [markdown]
# **Predict.** How many rounds does the trained network win under the strongest disguise, where raw pixels won so few?

# %%
encoder, card = checkpoints.shipped("simclr_shapes")
# `looks_at` picks the nearest; among vectors of length 1 that is the most similar direction.
network = looks_at(lambda images: F.normalize(encoder(images), dim=1))
taken |= tournament(cards, {"trained network": network}, rounds=30, seeds=seeds)

# %% tags=["folded"]
# Figure: the trained network beside the simple players
scores["trained network"] = share(taken["trained network"])
for name in ("trained network", "raw pixels"):
    won = mean_and_spread(scores[name][-1])
    print(f"under the strongest disguise, {name}: {won} of the rounds won (three draws of rounds)")
print(f"one network, made by {card['method']} from {card['data']},")
print(f"in {card['cpu_minutes']:.1f} minutes of one processor core")
show(
    score_figure(list(LEVELS), scores, chance=1 / 6),
    alt="The same figure with one more line, the trained network: "
    + f"{percents(scores['trained network'])} of the rounds won, by disguise.",
)

# %% [markdown]
# ## Pull and push
#
# How does a game become something that a computer can optimise? Put every embedding on a circle: same direction, same
# place. Then ask two things of every point. **Pull**: be near your partner. **Push**: be away from everyone else. A
# formula that grows when either is neglected is called a **loss**. Training moves the points so that it falls. A
# number called the **temperature** says how much the *nearest* negatives count: when it is small, almost only they
# push.
#
# The lab moves twelve points, two views of six cards, without any network. Two numbers say where they are:
# **alignment**, how far partners are apart (0 when they meet), and **uniformity**, how evenly all points use the
# circle (the lower, the more evenly). The loss, called NT-Xent, is the subject of lesson 02. Move a point. Then
# choose under *Loss*: *alignment alone* is only pull, *uniformity alone* only push. Press *Play*.
#
# **Predict first:** where do the points end when there is only pull? And when there is only push?

# %%
circle_lab(temperature=0.5)

# %% [markdown]
# <details><summary>Answer</summary>
#
# Pull alone: each pair meets wherever it is, and nothing keeps the pairs apart. A network would then take the cheapest
# way and send *everything* to one point, which is called **collapse** (lesson 05). Push alone: at T = 0.5 all twelve
# points spread evenly, and a point's partner may be anywhere. Both: every pair meets and the six pairs end evenly
# spread. Similar things are together, different things apart, and the whole circle is in use.
#
# </details>
#
# ## Your machine
#
# What the course finds here. All lessons run without a GPU and, with the cards that come with the course, without a
# network connection.

# %%
print(report())

# %% [markdown]
# ## Why it matters
#
# Names are expensive, since somebody has to write each one. Pictures are cheap. So one **pre-trains** an encoder on many
# pictures without names, and then needs only a few names for the task: *classification* (what is it?), *detection*
# (where is it?) or *segmentation* (which pixels are it?). All three start from the same encoder.
#
# Here is the first of them. Suppose that somebody has named 1, 2, 5, 10 or 50 cards of each kind. We give these to the
# simplest of all classifiers, logistic regression (one weight for each feature and class), with three descriptions of
# a card (the field calls them **representations**), and try it on 1,000 cards that were never seen.
#
# **Predict.** How many names per kind do raw pixels need to match the trained network with *one*?

# %% tags=["folded"]
# Three descriptions of a card, and a classifier that sees few names
torch.manual_seed(lesson.seed)
fresh = small_resnet()  # random weights
unseen = load("shapes", "test", limit=1000)
descriptions = {
    "trained network": lambda images: embed(encoder, images),
    "untrained network": lambda images: embed(fresh, images),
    "raw pixels": lambda images: to_float(images.images).flatten(1),
}
few = [1, 2, 5, 10, 50]


def accuracy_with(labels_per_class, train_h, test_h, seed):
    """Fit to so many labelled cards of each kind; the share of unseen cards named right."""
    order = torch.randperm(len(train), generator=Generator().manual_seed(seed))
    of_kind = [order[train.labels[order] == kind] for kind in range(len(train.class_names))]
    chosen = torch.cat([cards_of[:labels_per_class] for cards_of in of_kind])
    mean, std = train_h.mean(dim=0), train_h.std(dim=0) + 1e-6  # of all cards: needs no names
    with threadpool_limits(1):  # quicker on one core, because it is so small
        classifier = LogisticRegression(C=0.1, max_iter=300)
        classifier.fit((train_h[chosen] - mean) / std, train.labels[chosen])
    return classifier.score((test_h - mean) / std, unseen.labels)


# %% tags=["folded"]
# Figure and table: accuracy by the number of names
accuracies = {}
for name, describe in descriptions.items():
    train_h, test_h = describe(train), describe(unseen)
    of_seeds = [[accuracy_with(k, train_h, test_h, s) for s in seeds] for k in few]
    accuracies[name] = torch.tensor(of_seeds).numpy()
show_table(
    [[name, *map(mean_and_spread, of_names)] for name, of_names in accuracies.items()],
    ("description", *(f"{k} name{'s' if k > 1 else ''} per kind" for k in few)),
    "accuracy on 1,000 unseen cards, mean ± standard deviation of three draws of the named cards",
)
show(
    labels_per_class_figure(few, accuracies, chance=0.1),
    alt="Accuracy against the number of named cards per kind, for three descriptions, three "
    "draws of the cards. The trained network is far above the other two at every number.",
)

# %% [markdown]
# <details><summary>Answer</summary>
#
# More than fifty: the first column of the trained network is above the last column of raw pixels.
#
# </details>
#
# The names did not teach the network to see: they only named what it had already separated. Lesson 06 measures this
# with care, with fine-tuning and segmentation too.
#
# ## Map of the course
#
# | lesson | question it answers | what you do |
# |---|---|---|
# | **00 Start here** | What is learning by comparing? | play, pick a card |
# | **01 Two views of one picture** | What makes the game worth playing? | build the disguises, close the shortcuts |
# | **02 InfoNCE and temperature** | How is "which is my partner?" written as a loss? | build NT-Xent, turn the temperature |
# | **03 SimCLR** | Does it learn? | train an encoder in about a minute and watch its health |
# | **04 MoCo** | Where do negatives come from when batches are small? | build a queue and a slow second encoder |
# | **05 BYOL** | Does it work with no negatives at all? | make it collapse, and see what prevents that |
# | **06 What did it learn?** | How is a representation judged fairly? | probes, fine-tuning, retrieval, segmentation |
# | **07 Four pitfalls, and a clinic** | What goes wrong in practice? | break it, read the symptoms, repair it |
# | **10 From two views to two languages** | What if the second view is a sentence? | build CLIP, search cards by text |
#
# Each lesson runs by itself, and its core takes at most an hour. Everything is measured: where a lesson says that one
# thing is better than another, it shows at least three runs of each and their spread, or says what ran once.

# %% [markdown]
# ## Quiz
#
# **1.** Somebody proposes to make the game easier and not to disguise the positive at all. What would a network learn?
#
# <details><summary>Answer</summary>
#
# To compare pixels, and nothing about objects: the first column of the score figure shows that all three simple
# programs win every round then. It is tempting to say that easy games are learned faster. But a game
# that pixels win gives no reason to learn about objects.
#
# </details>
#
# **2.** Two *different* cards both show a green heart. In the game, is one a positive or a negative of the other?
#
# <details><summary>Answer</summary>
#
# A negative: positives are views of the *same card*, and nobody knows that both are hearts. It is tempting to call them
# positives because they are of one class, but that would need the names. Such pairs are called **false negatives**.
# Lesson 02 shows how the temperature decides how much they harm. (The card game above has none, because the course
# knows the names.)
#
# </details>
#
# **3.** The mean-colour program does *worse* than guessing under the strong disguises. How can looking at something be
# worse than looking at nothing?
#
# <details><summary>Answer</summary>
#
# One candidate was chosen by its very measure: the colour twin is nearly always nearer in mean colour than the
# positive, once the positive's colour has changed. It is tempting to think that a bad clue can only be useless. Against
# **hard negatives**, those that look similar for the wrong reason, a bad clue leads to the wrong card.
#
# </details>

# %% [markdown]
# ## Recap: the running results table
#
# Most lessons add rows to one table: a description of the cards, and how often the 20 nearest named cards in that
# description vote for the right name (**kNN accuracy**; nothing is trained, so it judges the description alone). It
# starts with two rows. With ten kinds, guessing gives 0.10.

# %%
test = load("shapes", "test")
rows = []
for name, describe in list(descriptions.items())[1:]:
    accuracy = knn_accuracy(describe(train), train.labels, describe(test), test.labels)
    rows.append([name, accuracy, 0])
show_table(rows, ("description", "kNN accuracy on test", "names used in learning"))

# %% [markdown]
# **In one sentence:** show a network two disguises of one thing among disguises of other things, ask which belong
# together, and what it must notice to win is what it learns.
#
# Next: **01 Two views of one picture**, where you build the disguises and find out which ones matter.
#
# ## References
#
# - R. Hadsell, S. Chopra, Y. LeCun, *Dimensionality reduction by learning an invariant mapping*, CVPR 2006
#   (pull and push as a loss).
# - A. Dosovitskiy et al., *Discriminative unsupervised feature learning with exemplar convolutional neural networks*,
#   2014, arXiv:1406.6909 (every image its own class, told apart under transformations).
# - Z. Wu et al., *Unsupervised feature learning via non-parametric instance discrimination*, CVPR 2018,
#   arXiv:1805.01978.
# - T. Chen et al., *A simple framework for contrastive learning of visual representations* (SimCLR), ICML 2020,
#   arXiv:2002.05709.
# - K. He et al., *Momentum contrast for unsupervised visual representation learning* (MoCo), CVPR 2020,
#   arXiv:1911.05722 (encoders trained without names, then used for detection and segmentation).
# - R. Geirhos et al., *Shortcut learning in deep neural networks*, 2020, arXiv:2004.07780.
