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
# - tell by a score table whether a player recognises a thing or falls for a shortcut;
# - say what pulls and what pushes in a contrastive loss;
# - know what this course needs on your machine, and where it leads.
#
# **Time** 15 minutes, of which the computer needs less than one. **Needs** Python and a little PyTorch; nothing
# about the subject.

# %% tags=["setup"]
# set-up cell: inserted by the build

# %% tags=["parameters"]
profile = "auto"  # "quick", "full", or "auto": full where there is a GPU
dataset = "auto"  # this lesson always plays with the cards that come with the course
seed = 0  # 0, 1, 2, ...: other rounds, other random numbers
device = "auto"  # "cpu", "cuda", "mps", or "auto"

# %%
import torch
import torch.nn.functional as F
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits
from torch import Generator

from cl_course.augment import two_views
from cl_course.data import load, to_float
from cl_course.evaluate import embed, knn_accuracy
from cl_course.lessons.shared.cards import card_grid, labels_per_class_figure, roles_figure, score_figure
from cl_course.lessons.shared.lab_circle import circle_figure, circle_lab
from cl_course.lessons.shared.show import show
from cl_course.lessons.shared.tables import show_table
from cl_course.lessons.start_here.lab_game import (
    LEVELS,
    SCORE_COLUMNS,
    card_game,
    looks_at,
    score_rows,
    share,
    simple_players,
    static_rounds,
    tournament,
)
from cl_course.models import small_resnet
from cl_course.running import checkpoints
from cl_course.running.doctor import report
from cl_course.running.settings import settings

lesson = settings(globals())

# %% [markdown]
# ## A shop of flashcards without names
#
# You have inherited a shop. In it lie thousands of flashcards with a picture on the front, and on the back, where
# the name should be, nothing. Naming them all by hand would take weeks. Here are some of them.

# %%
cards = load("shapes", "val")


def pictures(images):
    """Images as matplotlib wants them: height, width, channels."""
    return images.movedim(-3, -1).numpy()


show(
    card_grid(pictures(to_float(cards.images[:24])), columns=12),
    alt="24 small cards: discs, squares, triangles, stars, hearts and other shapes with stripes, each in a "
    "colour of its own on a background of another colour.",
)

# %%
# NBVAL_CHECK_OUTPUT
train = load("shapes", "train")
print(f"{len(train):,} cards to learn from, {len(cards):,} to try things on, drawn by a program from a seed")
print(f"what the backs would say, if they said anything: {', '.join(train.class_names)}")

# %% [markdown]
# The course knows the names, because it drew the cards; it uses them to *judge* what was learned, never to teach.
#
# How can a network learn anything from cards without names? By a game. Take one card and make two copies.
# **Disguise** each copy: cut a piece out, mirror it, change its colours. A disguised copy is called a **view**. Shuffle
# one view among views of other cards and ask: *which of these is the same card?* You know the answer, since
# you made the copies. So the game costs nothing, and it can be played millions of times.
#
# - The view you start from is the **anchor**.
# - The other view of the same card is its **positive**, or *partner*.
# - Views of other cards are the **negatives**.

# %%
disguise = LEVELS["and dyed"]
of_one, of_others = two_views(to_float(cards.images[[24, 1, 2, 3, 4]]), disguise, Generator().manual_seed(2))
show(
    roles_figure(pictures(of_one[0]), pictures(of_others[0]), pictures(of_others[1:])),
    alt="In the middle a card, the anchor; on the left the same card in other colours and another crop, the "
    "positive, pulled towards it; "
    "on the right four views of other cards, the negatives, pushed away.",
)

# %% [markdown]
# This is **contrastive learning**: a network is trained to bring the anchor and its positive near to each other and
# to keep the negatives away. It is *self-supervised*: the question and its answer are both made from the data.
#
# ## Play it yourself
#
# Ten rounds, two for each disguise, each disguise added to those before it. Among the six candidates lie two
# impostors, chosen to fool a player who looks at one thing alone:
# the **colour twin** has nearly the anchor's average colour, the **layout twin** is light and dark in nearly the same
# places. Both show another kind of object.
#
# **Predict before you play.** Up to which disguise would you win every round? And a program that
# knows nothing of objects and takes the card with the most similar average colour: up to which?

# %%
game = card_game(cards, seed=lesson.seed)

# %%
players = simple_players(lesson.seed)
show(
    static_rounds(cards, players, seed=lesson.seed + 3),
    alt="Five rounds, one for each disguise. Left the anchor, then six candidates; the same card is framed in "
    "green, and under each card stands "
    "which simple player took it. Without disguise all but the guesser take the right one; under the last "
    "disguises mostly none of them does.",
)

# %% [markdown]
# ## What did you rely on?
#
# Three simple players have played too. One looks at the **mean colour** of a card, one at its **colour
# histogram** (how many pixels are how red, how green, how blue), one compares the **raw pixels** place by place. Each takes
# the candidate that is nearest in what it looks at. A fourth only guesses.
# They play the same 90 rounds, 30 with each of three seeds, at every disguise.

# %%
seeds = [lesson.seed, lesson.seed + 1, lesson.seed + 2]
taken = tournament(cards, players, rounds=30, seeds=seeds)
colourful = list(LEVELS)[:2]
disguised = list(LEVELS)[2:]
show_table(score_rows(taken, colourful), SCORE_COLUMNS, f"colours as they are ({'; '.join(colourful)})")
show_table(score_rows(taken | {"you": game.taken}, disguised), SCORE_COLUMNS, f"colours changed ({'; '.join(disguised)})")

# %%
scores = {player: share(by_level) for player, by_level in taken.items()}
show(
    score_figure(list(LEVELS), scores, chance=1 / 6),
    alt="Share of rounds won by each simple player against the strength of the disguise, three seeds. Mean "
    "colour, histogram and raw pixels win every round without "
    "disguise, few once the light has changed, and fewer than a guesser once the colours have.",
)

# %% [markdown]
# Read the table by its columns. Whoever takes the *colour twin* relies on colour, whoever takes the *layout twin* on where
# things lie, whoever takes *other* cards guesses. While the disguise leaves the colours alone, the histogram player wins nearly every
# round - and has recognised nothing. It found a **shortcut**: something cheap that solves
# the game and is not what you wanted. Change the colours and it falls to guessing and below it, because the impostors
# were made for it. If you played, your own row stands below the others (run that cell again).
#
# This is the central thought of the course: **a player learns what the game forces it to learn, and nothing else.** The
# disguises decide. Lesson 01 is about them.
#
# ## A player that was trained by the game alone
#
# Now a player whose skill comes from this very game. A small network has played it with the training cards
# for a short while and has never been told a name; lesson 03 trains it before your eyes. It turns each image
# into a list of numbers, its **embedding** `h`, and takes the candidate whose embedding points most nearly in the same direction. The
# network that does so is called the **encoder**.
#
# **Predict.** How many rounds does it win under the strongest disguise, where raw pixels won so few?

# %%
encoder, card = checkpoints.shipped("simclr_shapes")
network = looks_at(lambda images: F.normalize(encoder(images), dim=1))  # of length 1: only the direction counts
taken |= tournament(cards, {"trained network": network}, rounds=30, seeds=seeds)
scores["trained network"] = share(taken["trained network"])
print(
    f"under the strongest disguise the network wins {scores['trained network'][-1].mean():.0%} of the rounds, raw pixels {scores['raw pixels'][-1].mean():.0%}"
)
print(f"it was made by {card['method']} in {card['cpu_minutes']:.1f} minutes of processor time, from {card['data']}")

# %%
show(
    score_figure(list(LEVELS), scores, chance=1 / 6),
    alt="The same figure with one more line, the trained network, which stays far above all simple players under every disguise.",
)

# %% [markdown]
# ## Pull and push
#
# How does a game become something to optimise? Put every embedding on a circle: same direction, same place.
# Then ask of every point two things at once. **Pull**: lie near your partner. **Push**: lie away from
# everyone else. A formula that grows when either is neglected is called a **loss**, and training moves the points so
# that it falls. A number called the **temperature** says how much the *nearest* strangers matter: when it is small, almost only
# they push.
#
# The lab moves twelve points, two views of six cards, without any network. Two numbers sum up where they are: **alignment**, how far partners lie apart (0 when they meet), and **uniformity**, how evenly all points use the circle (the lower, the more evenly); the loss, called NT-Xent, is lesson 02's. Drag one, choose what is wanted, press
# play. **Predict first:** where do the points end when there is only pull? When there is only push?

# %%
circle_lab(temperature=0.5)

# %%
show(
    circle_figure(temperature=0.5),
    alt="Left: after 100 steps the two views of each of six cards lie on each other, and the six pairs lie "
    "spread round the circle. "
    "Right: alignment falls towards 0 while uniformity falls towards that of evenly spread points.",
)

# %% [markdown]
# With both wishes every pair meets and the pairs spread out: similar things together, different things apart, and
# the whole circle in use. With pull alone each pair meets wherever it happens to be, and nothing keeps the pairs apart; a
# network would then choose the cheapest way out and send *everything* to one point, which is called **collapse**
# (lesson 05). With push alone the points spread out and nobody cares where the partner is.
#
# ## Your machine
#
# What the course finds here. All lessons run without a GPU and, with the cards it brings along, without a network
# connection; the larger data sets are for lesson 08.

# %%
print(report())

# %% [markdown]
# ## Why it matters
#
# Names are expensive: somebody has to write each one. Pictures are cheap. So one **pre-trains** an encoder on many pictures
# without names, and then needs only a few names for the task at hand: *classification* (what is it?), *detection* (where is
# it?), *segmentation* (which pixels are it?). All three start from the same encoder.
#
# Here is the first of them. We pretend that somebody has named 1, 2, 5, 10 or 50 cards of each kind (a kind is what the field calls a *class*, and a name a *label*), fit the simplest of all
# classifiers (logistic regression, one weight for each feature and class) to what three descriptions say of those cards, and
# try it on 1,000 cards never seen.
#
# **Predict.** How many names per kind do raw pixels need to match the trained network with *one*?

# %%
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
    chosen = torch.cat([order[train.labels[order] == kind][:labels_per_class] for kind in range(len(train.class_names))])
    mean, std = train_h.mean(dim=0), train_h.std(dim=0) + 1e-6  # of all cards: needs no names
    with threadpool_limits(1):  # quicker on one core, being so small
        classifier = LogisticRegression(C=0.1, max_iter=300).fit((train_h[chosen] - mean) / std, train.labels[chosen])
    return classifier.score((test_h - mean) / std, unseen.labels)


# %%
accuracies = {}
for name, describe in descriptions.items():
    train_h, test_h = describe(train), describe(unseen)
    accuracies[name] = torch.tensor([[accuracy_with(k, train_h, test_h, s) for s in seeds] for k in few]).numpy()
    print(f"{name:18}" + "".join(f"{k:4} names: {a.mean():.2f}" for k, a in zip(few, accuracies[name])))
show(
    labels_per_class_figure(few, accuracies, chance=0.1),
    alt="Accuracy against the number of named cards per kind, for three descriptions, three seeds. The trained "
    "network is far above the other two at every number.",
)

# %% [markdown]
# One name for each kind is enough for the trained network to do what raw pixels do not reach with fifty. The names did not teach it to see;
# they only told it what we call what it had already sorted. Lesson 06 measures this with care (also fine-tuning, and
# segmentation against the cards' known outlines), lesson 08 on photographs.
#
# ## Map of the course
#
# | lesson | question it answers | what you do |
# |---|---|---|
# | **00 Start here** | What is learning by comparing? | play |
# | **01 Two views of one picture** | What makes the game worth playing? | build the disguises, close the shortcuts |
# | **02 InfoNCE and temperature** | How is "which is my partner?" written as a loss? | derive and write NT-Xent, turn the temperature |
# | **03 SimCLR** | Does it learn? | train an encoder in about a minute and watch its health |
# | **04 MoCo** | Where do negatives come from when batches are small? | a queue, and a slow second encoder |
# | **05 BYOL** | Does it work with no negatives at all? | make it collapse, and see what prevents that |
# | **06 What did it learn?** | How is a representation judged fairly? | probes, fine-tuning, retrieval, segmentation |
# | **07 Four pitfalls, and a clinic** | What goes wrong in practice? | break it, read the symptoms, repair it |
# | **08 Full scale** | What changes with real data and a GPU? | CIFAR-10 and STL-10, several GPUs, resuming |
# | **09 Your own pictures** | Does it work on mine? | a folder of images in, a report card out |
#
# Each lesson stands alone and takes at most an hour. Everything is measured: where a lesson says that one thing is better than another, it shows
# at least three runs of each, and their spread.

# %% [markdown]
# ## Quiz
#
# **1.** Somebody proposes to make the game easier by not disguising the anchor's partner at all. What would a network learn?
#
# <details><summary>Answer</summary>
#
# To compare pixels, and nothing about objects: the first column of the score figure shows that every simple player then wins all
# rounds. It is tempting to say "easier games are learned faster, and one can make them harder later" - but a game
# that is already won gives no reason to change, so nothing is learned at all.
#
# </details>
#
# **2.** Two *different* cards both show a green heart. In the game, is one a positive or a negative of the other?
#
# <details><summary>Answer</summary>
#
# A negative: positives are views of the *same card*, and nobody knows that both are hearts. It is tempting to call them positives
# because they belong to one class, but that would need the names. Such pairs are called **false negatives**. They cost something,
# less than one would fear; lesson 02 shows how the temperature decides how much. (In the card game above we took care that there are
# none, which only somebody who knows the names can do.)
#
# </details>
#
# **3.** The mean-colour player does *worse* than guessing under the strong disguises. How can looking at something be worse than
# looking at nothing?
#
# <details><summary>Answer</summary>
#
# Because one impostor was chosen by its very measure: the colour twin is nearer in mean colour than the partner as soon as the partner's colour
# has changed. It is tempting to think that a bad clue can only be useless. Against *hard negatives*, those
# that look similar for the wrong reason, a bad clue leads astray; that is why they teach the most.
#
# </details>

# %% [markdown]
# ## Recap: the running results table
#
# Every lesson adds a row to one table: a way of describing a card, and how often the 20 nearest named neighbours in that description vote for the right
# name (**kNN accuracy**; no training, so it judges the description alone). The thread of the course starts with the
# first two rows, and with ten kinds guessing gives 0.10.

# %%
test = load("shapes", "test")
rows = {"raw pixels": descriptions["raw pixels"], "random encoder": descriptions["untrained network"]}
print("| description | kNN accuracy on test | names used in learning |\n|---|---|---|")
for name, describe in rows.items():
    accuracy = knn_accuracy(describe(train), train.labels, describe(test), test.labels)
    print(f"| {name} | {accuracy:.3f} | 0 |")

# %% [markdown]
# **In one sentence:** show a network two disguises of one thing among disguises of other things, ask which belong together, and what
# it must notice to win is what it learns.
#
# Next: **01 Two views of one picture**, where you build the disguises and find out which ones matter.
#
# ## References
#
# - R. Hadsell, S. Chopra, Y. LeCun, *Dimensionality reduction by learning an invariant mapping*, CVPR 2006 (pull and push as a loss).
# - A. Dosovitskiy et al., *Discriminative unsupervised feature learning with exemplar convolutional neural networks*, 2014, arXiv:1406.6909 (every image its own class, told apart under disguises).
# - Z. Wu et al., *Unsupervised feature learning via non-parametric instance discrimination*, CVPR 2018, arXiv:1805.01978.
# - T. Chen et al., *A simple framework for contrastive learning of visual representations* (SimCLR), ICML 2020, arXiv:2002.05709.
# - K. He et al., *Momentum contrast for unsupervised visual representation learning* (MoCo), CVPR 2020, arXiv:1911.05722 (encoders trained without names, then used for detection and segmentation).
# - R. Geirhos et al., *Shortcut learning in deep neural networks*, 2020, arXiv:2004.07780.
