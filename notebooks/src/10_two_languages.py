# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # 10 From two views to two languages
#
# **What you will be able to do**
#
# - write CLIP's loss, and say in which three places it differs from NT-Xent;
# - train an image encoder and a text encoder together in under a minute, and classify by prompts, without one label;
# - search pictures by text and texts by picture, and say how good that is beside chance;
# - say what captions make a network keep and forget, and why no augmentation does the same;
# - measure the modality gap, and find two faults that raise no error.
#
# **Time**: {minutes} minutes, and {deeper_minutes} more for the section *Going deeper*. **Needs**: NT-Xent and its
# temperature (lesson 02) and SimCLR (lesson 03). It computes for about a minute on two cores.

# %% tags=["setup"]
# set-up cell: inserted by the build

# %% tags=["parameters"]
profile = "auto"  # "quick" (CPU) or "full" (GPU); "auto" looks what is there
dataset = "auto"  # this lesson takes the drawn cards whatever it says: captions need their factors
seed = 0  # any whole number from 0
device = "auto"  # "cpu", "cuda" or "mps"

# %% tags=["folded"]
# Imports
import copy
import math
import time
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Generator, nn

from cl_course import checks
from cl_course.augment import augment
from cl_course.captions import FACTORS, VALUES, captions, named_values, tokens
from cl_course.clip import CLIP, TextEncoder, modality_gap, recall_at_k, train_pairs, zero_shot
from cl_course.data import load, shuffled_batches, to_float
from cl_course.lessons.shared.pictures import channels_last
from cl_course.lessons.shared.show import show
from cl_course.lessons.shared.tables import mean_and_spread, show_table
from cl_course.lessons.two_languages import recipe
from cl_course.lessons.two_languages.figures import (
    captioned,
    floors_figure,
    gap_figure,
    kept_figure,
    pair_table,
    run_figure,
)
from cl_course.lessons.two_languages.lab_captions import caption_lab
from cl_course.losses import clip_loss, nt_xent, siglip_loss
from cl_course.models import small_resnet
from cl_course.running import records
from cl_course.running.reuse import load_or_train
from cl_course.running.settings import settings

lesson = settings(globals())
record = records.read("captions")["runs"]


def of(run, *path):
    """One number of each recorded seed of a run: of("CLIP", "recall", "text to image@1")."""
    found = [each for each in record if each["run"] == run]
    for name in path:
        found = [each[name] for each in found]
    return found


# %% [markdown]
# ## Predict first
#
# The shop of flashcards has an assistant now. On the back of each card there is a sentence on what the front shows. No
# list of classes was given out, and everybody wrote as much as they liked. Four cards and their captions:

# %% tags=["folded"]
# The cards, their captions, and four of both
train, val = load("shapes", "train"), load("shapes", "val")
texts = captions(train, share=recipe.SHARE, seed=lesson.seed)
show(
    captioned(channels_last(to_float(train.images[4:8])), texts[4:8]),
    alt="Four cards, each with its caption below: " + "; ".join(texts[4:8]) + ".",
)
counts = {text: texts.count(text) for text in set(texts)}
print(f"{len(texts):,} captions, {len(counts):,} of them different; the most frequent:")
for text in sorted(counts, key=counts.get, reverse=True)[:3]:
    print(f"  {counts[text]} times: {text}")

# %% [markdown]
# A caption always names the kind of object. Each of size, colour, place and background is named with a probability of
# 0.3. (The captions are made from the factors by which the cards were drawn. So we know what was said and what was
# not.)
#
# A network sees 8,000 cards with these captions for eight epochs. Write down what you expect:
#
# 1. Nobody tells it that there are ten classes. How often does it name the right one of ten: 10, 50 or 90 %?
# 2. It gets a full caption and 1,000 new cards. How often is the right card its first choice? (By chance: 0.1 %.)
# 3. Which of the four other factors will it know best, and which will it forget?
#
# ## From two views to two languages
#
# In SimCLR two views of one image are partners. Here the partners are an **image** and its **caption**. They are not
# of one kind, so there are two encoders: one for images, one for texts. A linear map brings the features of each into
# one space of 64 dimensions, as $z_\text{image}$ and $z_\text{text}$. This is CLIP (Radford et al. 2021). A batch of
# $n$ pairs gives a table of $n \times n$ similarities, and the right pairs lie on its diagonal. Below are five cards
# and their captions, before any training.

# %% tags=["folded"]
# Both encoders, untrained, and the table of five pairs
torch.manual_seed(lesson.seed)
method = CLIP(small_resnet(), TextEncoder()).to(lesson.device)
before = copy.deepcopy(method)
some = torch.tensor([0, 1, 2, 3, 4])


def table_of(trained):
    z_image = trained.embed_images(val.subset(some))
    return (z_image @ trained.embed_texts(captions(val)[:5]).T).numpy()


def show_pairs(trained, alt):
    pictures = channels_last(to_float(val.images[some]))
    show(pair_table(pictures, captions(val)[:5], table_of(trained)), alt=alt)


show_pairs(
    before,
    "Five cards against five captions, before training: within each row the similarities are "
    "nearly equal, and the framed right pairs are no larger than the rest.",
)

# %% [markdown]
# Each row is a question: which of these $n$ captions belongs to the image? Each column is one, too: which image belongs
# to the caption? Both are answered by a softmax, and the loss is the mean of the two directions:
#
# $$\mathcal{L} = \frac{1}{2n} \sum_i \Big( -\ln \frac{\exp(s_{ii} / T)}{\sum_j \exp(s_{ij} / T)}
#   \;-\; \ln \frac{\exp(s_{ii} / T)}{\sum_j \exp(s_{ji} / T)} \Big)$$
#
# | | NT-Xent (lesson 02) | CLIP |
# |---|---|---|
# | table | all $2n$ views against all, $2n \times 2n$ | images against texts, $n \times n$ |
# | the partner of row $i$ | $n$ places on | $i$: the diagonal |
# | the diagonal | the view itself: masked | the right pairs: **not** masked |
# | negatives of one kind | the other views of the own side count | images are never compared with images |
# | guessing costs | $\ln(2n - 1)$ | $\ln n$ |
#
# ### Exercise 1: CLIP's loss (7 min, medium)
#
# `z_image` and `z_text` are $(n, d)$ with rows of any length, and row $i$ of both is pair $i$. Return the loss, one
# number. The temperature will be learned, so it may be a tensor, and gradients must reach it.


# %% tags=["exercise"]
def my_clip_loss(z_image, z_text, temperature):
    """z_image, z_text: (n, d), row i of both is pair i -> the symmetric loss, a scalar."""
    ### BEGIN SOLUTION
    z_image, z_text = F.normalize(z_image, dim=1), F.normalize(z_text, dim=1)
    logits = z_image @ z_text.T / temperature  # (n, n)
    own = torch.arange(len(logits), device=logits.device)
    return (F.cross_entropy(logits, own) + F.cross_entropy(logits.T, own)) / 2
    ### END SOLUTION


# %%
checks.clip_loss(my_clip_loss)

# %% [markdown] tags=["hints"]
# <details><summary>Hint 1</summary>
#
# It is shorter than NT-Xent: nothing is joined and nothing is masked. Normalise, one matrix product, divide.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# The right column of row $i$ is $i$: `torch.arange(n)`. Cross-entropy of the rows answers the images' question.
#
# </details>
#
# <details><summary>Hint 3</summary>
#
# The captions' question is the same with `logits.T`. Half the sum of both is the loss.
#
# </details>

# %%
# NBVAL_CHECK_OUTPUT
generator = Generator().manual_seed(0)
a = torch.randn(128, 64, generator=generator)
b = a + 3 * torch.randn(128, 64, generator=generator)
print(f"noisy pairs: CLIP {clip_loss(a, b, 0.07):.2f}, NT-Xent {nt_xent(a, b, 0.07):.2f}")
print(f"all alike: CLIP {clip_loss(torch.ones(128, 64), torch.ones(128, 64)):.2f} = ln 128")

# %% [markdown]
# **Quiz.** NT-Xent is the larger of the two on the same embeddings. Must that be so?
#
# <details><summary>Answer</summary>
#
# Yes. Each row of NT-Xent has the same right candidate and $n - 1$ more negatives, those of its own side. A longer sum
# in the denominator can only raise the loss.
#
# </details>
#
# ## A temperature that is learned
#
# In SimCLR you chose $T$. CLIP learns it, together with the weights: the network has a parameter $t$, and
# $1/T = e^{t}$ is always positive. It starts at $T = 0.07$. After each step $1/T$ is clamped to at most 100, so that a
# few easy pairs cannot make it so cold that training becomes unstable (sec. 2.5).
#
# **Predict**: which way will $T$ move while the network learns, and why?
#
# ## Two encoders in twenty lines
#
# The image encoder is the small ResNet of lesson 03. The text encoder turns each word into a vector, adds a vector for
# its place in the sentence, and lets the words look at each other in one block of a **transformer**. The mean over the
# words is the feature of the text. (CLIP's has twelve blocks. If attention is new to you, read it as "each word takes a
# weighted mean of all words"; nothing below depends on more.)


# %%
class MyCLIP(nn.Module):
    def __init__(self, encoder, text_encoder, dim=64):
        super().__init__()
        self.encoder, self.text_encoder = encoder, text_encoder
        self.image_projection = nn.Linear(encoder.dim, dim, bias=False)
        self.text_projection = nn.Linear(text_encoder.dim, dim, bias=False)
        self.log_scale = nn.Parameter(torch.tensor(-math.log(0.07)))  # t

    def loss(self, images, words):
        z_image = self.image_projection(self.encoder(images))
        z_text = self.text_projection(self.text_encoder(words))
        return clip_loss(z_image, z_text, (-self.log_scale).exp())

    @torch.no_grad()
    def after_step(self):
        self.log_scale.clamp_(max=math.log(100))


words = tokens(["a red disc", "a small red disc"])
print("words as numbers, 0 where a text has ended:", words.tolist())

# %% [markdown]
# The package's `CLIP` computes the same, and `train_pairs` is the loop of lesson 03 with words in place of the second
# view. One thing is missing: augmentation. **Predict**: why does the recipe not flip, crop or recolour the cards?
#
# <details><summary>Answer</summary>
#
# A caption names colour, size and place. A card that is flipped while its caption still says "at the left" is a wrong
# pair. Two views needed augmentation since without it the task is trivial. A caption is so different from a picture
# that the task is hard enough. (CLIP crops a little, and nothing more.) The section *Debug this* shows what a flip
# does.
#
# </details>

# %%
config = replace(recipe.CONFIG, seed=lesson.seed)


def training():
    start = time.process_time()
    rows = train_pairs(method, train, texts, config)
    return {"rows": rows, "seconds": time.process_time() - start}


key = {"lesson": "10", "seed": lesson.seed, "device": lesson.device, "config": config}
run = load_or_train(key, training, method)
rows, chance = run["rows"], math.log(config.batch_size)
show(
    run_figure(rows, chance),
    alt=f"The loss falls from {rows[0]['loss']:.2f} in the first epoch to {rows[-1]['loss']:.2f}, "
    f"far below guessing at {chance:.2f}; the temperature ends at {rows[-1]['temperature']:.3f}.",
)
seconds = [run["seconds"], *of("CLIP", "seconds")]
print(f"{seconds[0]:.0f} s of one core; recorded: {mean_and_spread(seconds[1:], 0)}")

# %% [markdown]
# <details><summary>What to see in it</summary>
#
# The loss leaves the line of guessing at once. $T$ rises a little first, and then falls: as soon as the right pairs
# are ahead, a colder softmax makes the loss smaller. It ends far from the clamp at 0.01. The loss does not come near
# 0. Many captions fit more than one card of the batch ("a heart" fits all hearts), and nobody can guess which one was
# meant.
#
# </details>

# %% tags=["folded"]
# The same five pairs after training
show_pairs(
    method,
    "The same after training: the framed right pair is the largest of each row.",
)

# %% [markdown]
# ## Classes without labels: zero-shot
#
# The network can compare any picture with any text. So it classifies, though it was never trained to: write a
# **prompt** for each class, such as "a heart", and take the class whose prompt is nearest to the picture. This is
# called **zero-shot** classification, since not one labelled example of the task was used.
#
# One prompt is one wording. Radford et al. average the embeddings of many ("a red heart", "a blue heart", ...): an
# **ensemble** of prompts (sec. 3.1.4).
#
# ### Exercise 2: zero-shot (6 min, medium)
#
# `z_image` is $(n, d)$; `z_prompts` is (classes, prompts, $d$), with rows of any length. Bring each prompt to length
# 1, take the mean over the prompts of a class, bring the means to length 1, and return for each image the number of
# the class with the largest cosine similarity, $(n,)$.


# %% tags=["exercise"]
def my_zero_shot(z_image, z_prompts):
    """(n, d) and (classes, prompts, d) -> the class of each image, (n,) whole numbers."""
    ### BEGIN SOLUTION
    z_class = F.normalize(z_prompts, dim=2).mean(dim=1)  # (classes, d)
    z_class = F.normalize(z_class, dim=1)
    return (z_image @ z_class.T).argmax(dim=1)
    ### END SOLUTION


# %%
checks.zero_shot(my_zero_shot)

# %% [markdown] tags=["hints"]
# <details><summary>Hint 1</summary>
#
# Three dimensions: classes are 0, prompts 1, the numbers of an embedding 2. Which one does each step work along?
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# `F.normalize(z_prompts, dim=2).mean(dim=1)` is one vector for each class. Its length is below 1 where the prompts of
# a class differ, so normalise again, `dim=1`.
#
# </details>
#
# <details><summary>Hint 3</summary>
#
# `(z_image @ z_class.T)` is $(n, \text{classes})$; the lengths of the images do not change which class is the largest.
# `.argmax(dim=1)`.
#
# </details>

# %%
z_image, right = method.embed_images(val), named_values(val)
one = torch.stack([method.embed_texts([f"a {name}"]) for name in val.class_names])
many = torch.stack([method.embed_texts(wordings) for wordings in recipe.prompts("class")])
for name, z_prompts in (("one prompt a class", one), ("seven prompts a class", many)):
    found = zero_shot(z_image, z_prompts) == right["class"]
    print(f"{name}: zero-shot accuracy {found.float().mean():.3f} on validation, by chance 0.100")

# %% [markdown]
# That was your first prediction. (The ensemble gains nothing here: all captions were written in the same words.)
# Nothing but the prompts makes it a classifier of *kinds*. Other prompts make it one of colours or places: ask for "a
# red disc", "a red square", ... against "a yellow disc", ..., and you have a classifier of colours.

# %% tags=["folded"]
# Zero-shot accuracy of every factor: yours, and three recorded seeds on test
yours = {
    factor: (
        zero_shot(
            z_image, torch.stack([method.embed_texts(each) for each in recipe.prompts(factor)])
        )
        == right[factor]
    )
    .float()
    .mean()
    .item()
    for factor in FACTORS
}
show_table(
    [
        [
            {"scale": "size", "position": "place", "hue": "colour"}.get(factor, factor),
            len(VALUES[factor]),
            f"{1 / len(VALUES[factor]):.2f}",
            f"{yours[factor]:.2f}",
            mean_and_spread(of("CLIP", "zero_shot", factor), 2),
        ]
        for factor in FACTORS
    ],
    ["asked for", "values", "chance", "your run, validation", "recorded, test"],
    "Zero-shot accuracy; recorded: mean ± standard deviation of three seeds",
)

# %% [markdown]
# <details><summary>What to see in it</summary>
#
# The class is known best: every caption names it. The others are named in 30 % of the captions, and not equally hard
# to see. The background's colour covers most of the card. The colour of the object is the hardest: stripes darken it,
# and it covers little of the card. Size and place are cut into thirds, and a card near a border between two thirds is
# a guess.
#
# </details>
#
# **Quiz.** Somebody asks your network for "a purple heart". What happens?
#
# <details><summary>Answer</summary>
#
# `tokens` refuses: no caption has the word. A large model with a vocabulary of word parts would answer *something*,
# and just as surely. Zero-shot works for what captions have named, in words near to theirs. It is no knowledge from
# nothing.
#
# </details>
#
# ## Search, both ways
#
# ### Exercise 3: recall at k (5 min, medium)
#
# Searching is judged by **recall at k**: the share of queries for which the right answer is among the $k$ most similar.
# Here row $i$ of the gallery is the right answer to query $i$. Return the share, 0 to 1. By chance it is $k / n$.


# %% tags=["exercise"]
def my_recall(z_query, z_gallery, k):
    """(n, d) each, rows of any length; k at most n -> share of queries that find their own row."""
    ### BEGIN SOLUTION
    similarity = F.normalize(z_query, dim=1) @ F.normalize(z_gallery, dim=1).T  # (n, n)
    found = similarity.topk(k, dim=1).indices  # (n, k)
    own = torch.arange(len(found))[:, None]  # (n, 1)
    return (found == own).any(dim=1).float().mean()
    ### END SOLUTION


# %%
checks.recall(my_recall)

# %% [markdown] tags=["hints"]
# <details><summary>Hint 1</summary>
#
# Make the table of cosine similarities, a row for each query. Which $k$ columns of row $i$ are the largest, and is $i$
# one of them?
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# `similarity.topk(k, dim=1).indices` is $(n, k)$. Compare it with `torch.arange(n)[:, None]`, $(n, 1)$.
#
# </details>
#
# <details><summary>Hint 3</summary>
#
# `.any(dim=1)` says for each query whether its own row is there; `.float().mean()` is the share.
#
# </details>

# %% tags=["folded"]
# Recall of full captions among 1,000 cards, yours and recorded
z_text = method.embed_texts(captions(val))
ways = {"text to image": (z_text, z_image), "image to text": (z_image, z_text)}
lines = []
for way, (query, gallery) in ways.items():
    for k in (1, 10):
        mine = recall_at_k(query[: recipe.GALLERY], gallery[: recipe.GALLERY], k)
        recorded = mean_and_spread(of("CLIP", "recall", f"{way}@{k}"), 2)
        lines.append([way, k, f"{k / recipe.GALLERY:.3f}", f"{mine:.2f}", recorded])
show_table(
    lines,
    ["search", "k", "chance", "your run, validation", "recorded, test"],
    f"Recall at k among {recipe.GALLERY:,} cards; captions that name all five factors",
)
full = captions(val)[: recipe.GALLERY]
twins = sum(full.count(text) > 1 for text in full)
print(f"{twins} of {recipe.GALLERY:,} captions are the caption of another card as well")

# %% [markdown]
# The first choice is right in about half of the cases, hundreds of times as often as by chance. The training captions
# named only one or two factors beside the class. The network puts together what it has never seen in one sentence. And
# a part of the misses cannot be avoided, since some cards have the same caption word for word.
#
# ## Type a caption
#
# Below, your text encoder runs in the page itself. Type a caption, or try one of the examples. Press a card, and it is
# asked back: which word for each factor lies nearest to it? (Cards of validation, which were not trained on.)
#
# 1. "a heart", then "a red heart", then "a red heart on a blue background": which words are obeyed, which are not?
# 2. Exchange the two colours of "a red flower on a green background". Does the network notice the order of words?
# 3. Find a caption that it gets wrong. Which factor is it that fails?

# %%
caption_lab(method, val, texts)

# %% [markdown]
# <details><summary>What to expect</summary>
#
# In our run the class is obeyed almost always, and the background's colour mostly. The colour of the *object* is often
# ignored (the table above gives its accuracy). What changes with the exchanged colours is the background: the network
# knows which colour follows "on a". Large models often fail here: they read captions nearly as a bag of words
# (Yuksekgonul et al. 2023). In our captions the order of words decides often, so it pays to learn it.
#
# </details>
#
# ## What captions keep, and what they let go
#
# Augmentation says what a network may forget: what differs between two views. To forget the colour you have to be able
# to *change* the colour, in a way that leaves the rest. Captions say what it must keep: what is named. All the rest
# may go, whether you could have changed it in a picture or not.
#
# Five kinds of training, three seeds each. The four with captions differ in what is named, and in nothing else. We
# read from the features $h$ the class (kNN) and four factors (linear regression, $R^2$: 1 exact, 0 no better than the
# mean). **Predict** for captions that name only the class: which factors go? And for captions that name *all but* the
# class: is the class then lost?

# %% tags=["folded"]
# What can be read from h, by what the captions name
features = records.read("features")["runs"]
results = records.read("results")["runs"]
measured = ("object_hue", "background_hue", "position", "scale")
kinds = {
    "captions: class": "class alone",
    "captions: class, colour": "class and hue",
    "captions: all five": "CLIP",
    "captions: all but class": "all but the class",
}
names = dict(zip(measured, ("colour", "background", "place", "size")))
scores = {"class (kNN)": {kind: of(name, "knn") for kind, name in kinds.items()}}
scores["class (kNN)"]["SimCLR, no captions"] = [r["knn"] for r in results if r["row"] == "SimCLR"]
for factor in measured:
    scores[names[factor]] = {kind: of(name, "probes", factor) for kind, name in kinds.items()}
    scores[names[factor]]["SimCLR, no captions"] = [
        each[factor] for each in features if each["row"] == "SimCLR"
    ]
show(
    kept_figure(scores),
    alt="What can be read from h after five kinds of training. The numbers are in the table below.",
)
show_table(
    [
        [kind, *(mean_and_spread(scores[what][kind], 2) for what in scores)]
        for kind in scores["colour"]
    ],
    ["trained with", *scores],
    "Class: kNN accuracy; factors: R²; test, mean ± standard deviation of three seeds",
)

# %% [markdown]
# - **Class alone**: both colours go for the most part, although no augmentation ever touched them. Nothing in the loss
#   asks for them. Place and size can still be read in part: a network that finds the object knows something of where
#   it is.
# - **Class and colour**: the *object's* colour is kept, and better than by captions of all five. The background's,
#   which no caption names, fades (compare the rows). No augmentation says this: jitter turns both hues by the same
#   angle, and grey removes both. "Keep this colour and forget that one" can be said in words.
# - **All five**: the background's colour is kept in every run. The object's differs from seed to seed: with eight
#   epochs it is the last thing to be learned.
# - **All but the class**: the class is lost, although every card shows it. kNN comes near to that of a random encoder
#   (the last table of this lesson). The object's colour is now read well. What a network keeps is decided by what is
#   said, not by what can be seen.
# - **SimCLR** forgets both colours and keeps the class without one caption. Its augmentations say what the same
#   *thing* is; captions say what is worth *naming*.
#
# ## SigLIP: no softmax
#
# In CLIP the pairs of a row compete, so each row needs the whole batch. SigLIP (Zhai et al. 2023) asks of each of the
# $n \times n$ pairs alone: do these two belong together? With $y_{ij} = 1$ on the diagonal and $-1$ elsewhere:
#
# $$\mathcal{L} = -\frac{1}{n} \sum_i \sum_j \ln \sigma\big(y_{ij} (s_{ij} / T + b)\big), \qquad \sigma(x) = \frac{1}{1 + e^{-x}}$$
#
# Of $n^2$ pairs only $n$ belong together. The **bias** $b$, learned from -10, says so from the start.
#
# ### Exercise 4: SigLIP's loss (7 min, medium)
#
# Return the loss, one number. `bias` is a number, or a tensor that is learned.


# %% tags=["exercise"]
def my_siglip_loss(z_image, z_text, temperature, bias):
    """z_image, z_text: (n, d), row i of both is pair i -> the sigmoid loss, a scalar."""
    ### BEGIN SOLUTION
    z_image, z_text = F.normalize(z_image, dim=1), F.normalize(z_text, dim=1)
    logits = z_image @ z_text.T / temperature + bias  # (n, n)
    y = 2 * torch.eye(len(logits), device=logits.device) - 1
    return -F.logsigmoid(y * logits).sum() / len(logits)
    ### END SOLUTION


# %%
checks.siglip_loss(my_siglip_loss)

# %% [markdown] tags=["hints"]
# <details><summary>Hint 1</summary>
#
# The logits are those of exercise 1, with the bias added behind the division.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# `2 * torch.eye(n) - 1` is 1 on the diagonal and -1 elsewhere.
#
# </details>
#
# <details><summary>Hint 3</summary>
#
# `F.logsigmoid` is the logarithm of the sigmoid, safely. Add up all pairs, divide by $n$ (not $n^2$), change the sign.
#
# </details>

# %%
# NBVAL_CHECK_OUTPUT
for bias in (0.0, -10.0):
    start = siglip_loss(torch.eye(256)[:128], torch.eye(256)[128:], 0.1, bias)
    print(f"128 pairs, all at right angles, T = 0.1, bias {bias:g}: loss {start:.1f}")

# %% [markdown]
# Without the bias the first steps would go into one lesson, "most pairs do not belong together". Does the loss matter
# for the result? Three seeds each, all else equal:

# %% tags=["folded"]
# CLIP and SigLIP, recorded
show_table(
    [
        [
            name,
            mean_and_spread(of(name, "zero_shot", "class"), 3),
            mean_and_spread(of(name, "recall", "text to image@1"), 2),
            mean_and_spread(of(name, "recall", "image to text@1"), 2),
            mean_and_spread(of(name, "knn"), 3),
        ]
        for name in ("CLIP", "SigLIP")
    ],
    ["loss", "zero-shot, class", "text to image at 1", "image to text at 1", "kNN of h"],
    f"Test, mean ± standard deviation of three seeds; recall among {recipe.GALLERY:,} cards, "
    f"chance {1 / recipe.GALLERY:.3f}",
)

# %% [markdown]
# Three seeds cannot tell the two apart here. Zhai et al. find the sigmoid ahead at small batches and level with the
# softmax at large ones; their smallest batch has 512 pairs, ours 128 in both rows.
#
# **Quiz.** Which of the two losses can be computed in pieces, on several machines, without ever holding a whole row?
#
# <details><summary>Answer</summary>
#
# SigLIP's: it is a plain sum over pairs. CLIP's softmax needs the sum over a whole row and a whole column before one
# pair has its loss. (It can be done as well, as GradCache in lesson 07, but it takes two passes.)
#
# </details>
#
# ## The modality gap
#
# One space, two kinds of things in it: do images and texts lie among each other? Liang et al. (2022) measured in CLIP
# that they do not: all images lie in one narrow cone, all texts in another. They call the distance of the two means
# the **modality gap**.
#
# ### Exercise 5: the gap (4 min, easy)
#
# Bring every row to length 1. Return the distance between the mean of the images and the mean of the texts. The
# numbers of rows may differ.


# %% tags=["exercise"]
def my_modality_gap(z_image, z_text):
    """(n, d) and (m, d), rows of any length -> the distance of their means, 0 to 2."""
    ### BEGIN SOLUTION
    mean_image = F.normalize(z_image, dim=1).mean(dim=0)
    mean_text = F.normalize(z_text, dim=1).mean(dim=0)
    return (mean_image - mean_text).norm()
    ### END SOLUTION


# %%
checks.modality_gap(my_modality_gap)

# %% [markdown] tags=["hints"]
# <details><summary>Hint 1</summary>
#
# Two means, each a vector of $d$ numbers, and the length of their difference.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# The mean over rows is `.mean(dim=0)`; the length of a vector is `.norm()`. The means are not normalised again.
#
# </details>

# %% [markdown]
# **Predict**: is the gap larger before training or after it?

# %% tags=["folded"]
# Both clouds before and after training, and the recorded gaps
said = captions(val, share=recipe.SHARE, seed=lesson.seed)[:300]
clouds = {}
for name, each in (("before training", before), ("after training", method)):
    z_both = each.embed_images(val)[:300], each.embed_texts(said)
    clouds[f"{name}: gap {modality_gap(*z_both):.2f}"] = tuple(z.numpy() for z in z_both)
show(
    gap_figure(clouds),
    alt="Embeddings of 300 cards and their captions on a plane. "
    + "; ".join(clouds)
    + ". Before training images and texts lie in two clumps, after it in one region.",
)
show_table(
    [
        [name, mean_and_spread(of(name, "gap_before"), 2), mean_and_spread(of(name, "gap"), 2)]
        for name in ("CLIP", "SigLIP")
    ],
    ["loss", "gap before training", "gap after"],
    "Modality gap on test, mean ± standard deviation of three seeds; 0: one mean, 2: opposite",
)

# %% [markdown]
# - **Before training** the gap is large. Two networks with random weights send everything into two narrow cones, and
#   these point in two directions. (Liang et al. call this the cone effect. It is the *start* of the gap, not its cause
#   alone.)
# - **After training** it is much smaller here, and not 0. The loss compares within a row and within a column only. A
#   shift of all texts by one vector changes many similarities alike, and the softmax is blind to what all candidates
#   share.
# - In the published CLIP a large gap stays. There the temperature ends at the clamp, 0.01: so cold that only the
#   nearest candidates push. Ours ends warmer, and has far fewer things to tell apart. We did not measure which of
#   these matters.
#
# The gap has a consequence. Put 300 cards and their captions into *one* index, and search it with each caption (the
# caption itself left out). If the kind did not matter, half of what is found would be texts:

# %%
z_both = torch.cat([method.embed_images(val)[:300], method.embed_texts(said)])  # cards, then texts
similarity = z_both[300:] @ z_both.T  # (300, 600)
similarity[torch.arange(300), 300 + torch.arange(300)] = -torch.inf  # itself
share = (similarity.topk(10, dim=1).indices >= 300).float().mean()
print(f"of the ten nearest to a text, {share:.0%} are texts")

# %% [markdown]
# So search one kind at a time, and never compare an image-text similarity with a text-text one.
#
# ## Debug this: two runs without an error
#
# **Run 1.** A learner wants more data and adds the flip of SimCLR's recipe. There is no error, and the loss
# falls. But something is much worse. Look at what goes in, then at what comes out.

# %%
batch = torch.tensor([0, 1, 7, 9])
pixels = augment(to_float(val.images[batch]), recipe.FLIPPED.augment, Generator().manual_seed(1))
placed = captions(val.subset(batch), ("class", "position"))

# %% tags=["folded"]
# Four pairs of that run, and what it can name
show(
    captioned(channels_last(pixels), placed),
    alt="Four cards as the run sees them, each with its caption; on two of them the object is at "
    "the other side than the caption says.",
)
show_table(
    [
        [name, *(mean_and_spread(of(run, "zero_shot", f), 2) for f in FACTORS)]
        for name, run in (("as they are", "CLIP"), ("flipped, half of them", "flipped"))
    ],
    ["cards", "class", "colour", "size", "place (9)", "background"],
    "Zero-shot accuracy on test, mean ± standard deviation of three seeds",
)

# %% [markdown]
# <details><summary>Answer</summary>
#
# The place falls most, to less than half. In half of the steps the object of "at the left" stands at the right, so the
# best that the network can do is to give both words one meaning. Top and bottom are still known, so the accuracy stays
# above chance. The class is somewhat worse, too; we did not measure why. An
# augmentation must leave true what the caption says: exchange the words as well ("left" and "right"), or do not flip.
#
# </details>
#
# **Run 2.** The captions name the class alone: "a heart". The loss stays above 2, for guessing at 4.85, and a
# colleague wants to stop the run. **Predict**: is it broken?

# %%
labels = train.labels
floors = []
for batch in shuffled_batches(len(train), 128, Generator().manual_seed(0)):
    same_class = labels[batch][:, None] == labels[batch]  # and so the same caption, (128, 128)
    floors.append(same_class.sum(dim=1).log().mean().item())
floor = sum(floors) / len(floors)

# %% tags=["folded"]
# The two losses, and the least that the second could reach
first_of = {
    name: next(each for each in record if each["run"] == name) for name in ("class alone", "CLIP")
}
show(
    floors_figure(
        {
            "captions: class alone": first_of["class alone"]["rows"],
            "all five factors": first_of["CLIP"]["rows"],
        },
        {"guessing, ln 128": math.log(128), "the least for the class alone": floor},
    ),
    alt="The loss of captions that name the class alone ends at "
    f"{first_of['class alone']['rows'][-1]['loss']:.2f}, on the dashed line at {floor:.2f}; "
    "that of all five factors goes below it.",
)
print(f"the least possible: {floor:.2f}; recorded runs end at", end=" ")
print(mean_and_spread([rows[-1]["loss"] for rows in of("class alone", "rows")], 2))
print("zero-shot accuracy of the class:", mean_and_spread(of("class alone", "zero_shot", "class")))

# %% [markdown]
# <details><summary>Answer</summary>
#
# It is healthy. In a batch of 128 about 13 cards have the same caption, word for word. They are **false negatives**,
# and no network can tell which "a heart" belongs to which heart. The best it can do is to share the probability among
# them, which costs the logarithm of their number. The run ends close to that line, and it knows the class. A loss
# means nothing without its chance line (lesson 02) *and its floor*. With real captions, look for duplicates before you
# look at the loss.
#
# </details>
#
# ## Quiz
#
# **1.** Zero-shot used no label. So is CLIP unsupervised?
#
# <details><summary>Answer</summary>
#
# No. People wrote the captions, and "a heart" *is* a label, in other words. What was not needed is a list of classes
# fixed beforehand. The table of lesson 03 counts labels used; for CLIP it would have to count captions.
#
# </details>
#
# **2.** Your pictures are X-rays, and the captions say "normal" or "not normal". You train CLIP on them. Can you
# search for "fracture of the left wrist"?
#
# <details><summary>Answer</summary>
#
# Hardly. What no caption names, the features may forget. With two different captions in all, the pairs of a batch are
# mostly false negatives, too. Train SimCLR on the pictures instead, or get captions that say what you will ask for.
#
# </details>
#
# **3.** You mix 1,000 pictures and 1,000 texts in one index, and search it with a text. What comes back, and why?
#
# <details><summary>Answer</summary>
#
# More texts than pictures: the modality gap puts a text nearer to other texts, as the share above shows. Search one
# kind at a time.
#
# </details>
#
# ## Recap
#
# | | SimCLR | CLIP | SigLIP |
# |---|---|---|---|
# | partners | two views of an image | an image and its caption | the same |
# | what may be forgotten | what the augmentation changes | what no caption names | the same |
# | negatives | $2n - 2$, both sides | $n - 1$, the other side | the same, each judged alone |
# | guessing costs | $\ln(2n - 1)$ | $\ln n$ | depends on $b$ |
# | temperature | chosen | learned, clamped | learned, with a bias |
#
# - CLIP is InfoNCE across two encoders, in both directions; the diagonal is the answer and not masked.
# - A prompt makes a classifier. An ensemble is a mean of directions.
# - Recall needs its chance, $k/n$, and a look at duplicates.
# - Captions keep what they name. An augmentation must not make a caption false.
# - Images and texts share a space, not a place in it.
#
# A row for the running results, with captions counted where the other rows count labels:

# %% tags=["folded"]
# Running results, with CLIP
table = [
    [row, mean_and_spread([r["knn"] for r in results if r["row"] == row]), supervision]
    for row, supervision in (
        ("random encoder", "none"),
        ("SimCLR", "none"),
        ("supervised", "8,000 labels"),
    )
]
table.insert(2, ["CLIP", mean_and_spread(of("CLIP", "knn")), "8,000 captions"])
show_table(
    table, ["row", "kNN of h", "used"], "Accuracy on test, mean ± standard deviation of three seeds"
)

# %% [markdown]
# CLIP's row took eight epochs of one picture each, the others twenty epochs (SimCLR's of two views). Do not read a
# ranking of methods from it.

# %% [markdown]
# ## Going deeper: does the order of words count?
#
# Take captions that name both colours, exchange these two, and ask the network which of the two captions is nearer to
# the card. A bag of words holds the same words both times, so it must guess: 50 %. **Predict** what yours does.

# %%
pairs = captions(val, ("class", "hue", "background"))
exchanged = []
for text in pairs:
    a, hue, name, on, article, ground, background = text.split()
    exchanged.append(f"{a} {ground} {name} {on} {article} {hue} {background}")
z_right, z_wrong = method.embed_texts(pairs), method.embed_texts(exchanged)
ahead = (z_image * z_right).sum(dim=1) > (z_image * z_wrong).sum(dim=1)
print(f"{pairs[0]!r} against {exchanged[0]!r}:")
print(f"the right one is nearer for {ahead.float().mean():.1%} of the cards")

# %% [markdown]
# Yuksekgonul et al. (2023) ask the same of large models, with "the horse is eating the grass" and "the grass is eating
# the horse", and find many near chance. Their captions rarely differ in order alone, so the loss hardly rewards
# reading it. In ours the two colours exchange roles in every other batch.

# %% [markdown]
# ## References
#
# - A. Radford et al. *Learning transferable visual models from natural language supervision* (CLIP). 2021, [arXiv:2103.00020](https://arxiv.org/abs/2103.00020). The loss, fig. 3; temperature, sec. 2.5; prompts and ensembles, sec. 3.1.4.
# - X. Zhai, B. Mustafa, A. Kolesnikov, L. Beyer. *Sigmoid loss for language image pre-training* (SigLIP). 2023, [arXiv:2303.15343](https://arxiv.org/abs/2303.15343). Eq. 1; the bias, sec. 3.2.
# - V. W. Liang, Y. Zhang, Y. Kwon, S. Yeung, J. Zou. *Mind the gap: understanding the modality gap in multi-modal contrastive representation learning*. 2022, [arXiv:2203.02053](https://arxiv.org/abs/2203.02053).
# - M. Yuksekgonul, F. Bianchi, P. Kalluri, D. Jurafsky, J. Zou. *When and why vision-language models behave like bags-of-words, and what to do about it*. 2023, [arXiv:2210.01936](https://arxiv.org/abs/2210.01936).
# - C. Jia et al. *Scaling up visual and vision-language representation learning with noisy text supervision* (ALIGN). 2021, [arXiv:2102.05918](https://arxiv.org/abs/2102.05918).
# - Y. Zhang, H. Jiang, Y. Miura, C. Manning, C. Langlotz. *Contrastive learning of medical visual representations from paired images and text* (ConVIRT). 2020, [arXiv:2010.00747](https://arxiv.org/abs/2010.00747). The symmetric loss, before CLIP.
# - A. Vaswani et al. *Attention is all you need*. 2017, [arXiv:1706.03762](https://arxiv.org/abs/1706.03762). The transformer.
