"""Wrong NT-Xents that no list of mistakes holds: what is said of each is true of it and leads to the fault."""

import math

import pytest
import torch
import torch.nn.functional as F
from test_checks_nt_xent import by_cross_entropy as right
from test_checks_nt_xent import joined, masked, targets

from cl_course.lessons.infonce.check_nt_xent import nt_xent


def logits(a, b, t):
    return joined(a, b) @ joined(a, b).T / t


def parts(a, b, t):
    """Partner's logits (2n,), and all logits with view and partner at -inf (2n, 2n)."""
    x, rows = masked(logits(a, b, t)), torch.arange(2 * len(a))
    negatives = x.clone()
    negatives[rows, targets(a)] = -torch.inf
    return x[rows, targets(a)], negatives


def probabilities(a, b, t):
    return masked(logits(a, b, t)).softmax(dim=1)[torch.arange(2 * len(a)), targets(a)]


def loss_of(x, a):
    return F.cross_entropy(x, targets(a))


def hide(x, mask, value=-torch.inf):
    return x.masked_fill(mask.bool(), value)


def of_embeddings(change):
    """NT-Xent of embeddings that are changed in some way and then not normalised again."""

    def attempt(a, b, t):
        z = change(torch.cat([a, b]))
        return loss_of(masked(z @ z.T / t), a)

    return attempt


def of_similarities(change):
    return lambda a, b, t: loss_of(masked(change(joined(a, b) @ joined(a, b).T) / t), a)


def partners_mask(a):
    return torch.eye(2 * len(a)).roll(len(a), dims=1)


def own_side_only(a, b, t):
    def side(own, other):
        n = len(own)
        own, other = F.normalize(own, dim=1), F.normalize(other, dim=1)
        along = (own @ own.T / t)[~torch.eye(n, dtype=torch.bool)].view(n, n - 1)
        x = torch.cat([(own * other).sum(dim=1, keepdim=True) / t, along], dim=1)
        return F.cross_entropy(x, torch.zeros(n, dtype=torch.long))

    return (side(a, b) + side(b, a)) / 2


def subtracts_the_largest_below_alone(a, b, t):
    x = masked(logits(a, b, t))
    below = (x - x.amax(dim=1, keepdim=True)).exp().sum(dim=1).log()
    return (below - x[torch.arange(len(x)), targets(a)]).mean()


def triplet(a, b, t):
    positive, negatives = parts(a, b, 1.0)
    return (negatives.amax(dim=1) - positive + t).relu().mean()


def partner_counted_twice(a, b, t):
    positive, _ = parts(a, b, t)
    return ((masked(logits(a, b, t)).exp().sum(dim=1) + positive.exp()).log() - positive).mean()


def entropy_of_the_row(a, b, t):
    p = masked(logits(a, b, t)).softmax(dim=1)
    return -(p * (p + 1e-9).log()).sum(dim=1).mean()


def numerator_detached(a, b, t):
    x = masked(logits(a, b, t))
    return (x.logsumexp(dim=1) - x[torch.arange(len(x)), targets(a)].detach()).mean()


ALONE, ALIKE, INF = "with a single image", "when all embeddings of 3 images are alike", "your loss is inf"
COMPARED = "which belongs to a difference of"
UNLISTED = {
    "tril masked": (
        lambda a, b, t: loss_of(hide(logits(a, b, t), torch.ones(2 * len(a), 2 * len(a)).tril()), a),
        "nan",
    ),
    "triu at -1e9": (
        lambda a, b, t: loss_of(hide(logits(a, b, t), torch.ones(2 * len(a), 2 * len(a)).triu(1), -1e9), a),
        "your loss is 5e+08",
    ),
    "tril kept, rest 0": (lambda a, b, t: loss_of(logits(a, b, t).tril(-1), a), ALONE),
    "partners masked": (lambda a, b, t: loss_of(hide(logits(a, b, t), partners_mask(a)), a), INF),
    "partners masked, itself the target": (
        lambda a, b, t: F.cross_entropy(hide(logits(a, b, t), partners_mask(a)), torch.arange(2 * len(a))),
        "of the two views of image 1 (partners) rises from 0.2 to 0.4 your loss stays",
    ),
    "1 / T in front alone": (
        lambda a, b, t: right(a, b, 1.0) / t,
        "the right loss at T = 1, multiplied by 1 / T",
    ),
    "T in front as well": (lambda a, b, t: right(a, b, t) * t, "a factor in front that goes as T"),
    "log base 2": (lambda a, b, t: right(a, b, t) / math.log(2), "as if the logarithm had base 2"),
    "log base 10": (lambda a, b, t: right(a, b, t) / math.log(10), "as if the logarithm had base 10"),
    "a constant added": (lambda a, b, t: right(a, b, t) + 0.1, "the right one plus 0.1000"),
    "the hardest candidate alone": (
        lambda a, b, t: (masked(logits(a, b, t)).amax(dim=1) - parts(a, b, t)[0]).mean(),
        ALIKE,
    ),
    "one softmax down the columns of a z1 @ z2.T": (
        lambda a, b, t: -(F.normalize(a, dim=1) @ F.normalize(b, dim=1).T / t).log_softmax(dim=0).diagonal().mean(),
        "one direction only: the views in z2",
    ),
    "T added": (lambda a, b, t: loss_of(masked(logits(a, b, 1) + t), a), "no effect"),
    "logits clamped": (lambda a, b, t: loss_of(masked(logits(a, b, t).clamp(-1, 1)), a), "wrong at T = 0.1"),
    "negative similarities at 0": (of_similarities(torch.relu), "Your loss is 0.3392, which belongs"),
    "tanh of the similarity": (of_similarities(torch.tanh), COMPARED),
    "angles": (of_similarities(lambda s: -s.clamp(-0.9999, 0.9999).acos()), COMPARED),
    "eps in the log": (
        lambda a, b, t: -(probabilities(a, b, t) + 1e-6).log().mean(),
        "A number added for safety, a clamp or a mask that is not -inf can do that",
    ),
    "a large eps in the log": (lambda a, b, t: -(probabilities(a, b, t) + 1e-2).log().mean(), ALONE),
    "the largest logit subtracted below alone": (subtracts_the_largest_below_alone, ALONE),
    "label smoothing": (
        lambda a, b, t: F.cross_entropy(masked(logits(a, b, t)), targets(a), label_smoothing=0.1),
        INF,
    ),
    "z1 + z2": (
        lambda a, b, t: right(a + b, a + b, t),
        "lengths count in your loss",
    ),
    "numerator detached": (numerator_detached, "not the gradient of the whole loss"),
    "a new tensor": (lambda a, b, t: torch.tensor(float(right(a, b, t)), requires_grad=True), "no gradient reaches"),
    "NumPy": (lambda a, b, t: right(a.detach(), b.detach(), t).numpy(), "no gradient reaches them"),
    "the similarities normalised": (
        lambda a, b, t: loss_of(masked(F.normalize(torch.cat([a, b]) @ torch.cat([a, b]).T, dim=1) / t), a),
        "lengths count in your loss",
    ),
    "centred over the batch": (
        of_embeddings(lambda z: F.normalize(z - z.mean(dim=0), dim=1)),
        "lengths count in your loss",
    ),
    "softmax of the embeddings": (of_embeddings(lambda z: z.softmax(dim=1)), "lengths count in your loss"),
    "T clamped": (lambda a, b, t: right(a, b, min(t, 1.0)), "wrong at T = 2"),
    "right for 3 images": (
        lambda a, b, t: right(a, b, t) + (len(a) != 3),
        "right for 3 images, and wrong for 2 images",
    ),
    "the first view alone": (
        lambda a, b, t: F.cross_entropy(masked(logits(a, b, t))[:1], targets(a)[:1]),
        "both in z2, rises from 0.2 to 0.4 your loss stays",
    ),
    "triplet": (triplet, ALIKE),
    "alignment alone": (lambda a, b, t: -F.cosine_similarity(a, b, dim=1).mean() / t, ALONE),
    "candidates of the own side alone": (own_side_only, "as for 3 candidates"),
    "partner counted twice": (partner_counted_twice, ALONE),
    "p log p": (lambda a, b, t: -(probabilities(a, b, t) * probabilities(a, b, t).log()).mean(), ALIKE),
    "entropy of the row": (entropy_of_the_row, "both in z1, rises from 0.2 to 0.4 your loss falls"),
    "focal": (
        lambda a, b, t: -((1 - probabilities(a, b, t)) ** 2 * probabilities(a, b, t).log()).mean(),
        ALIKE,
    ),
    "itself at -9": (lambda a, b, t: loss_of(logits(a, b, t) - 9 * torch.eye(2 * len(a)), a), "near the right one"),
    "half precision": (lambda a, b, t: right(a.half(), b.half(), t), "Half precision, rounding"),
    "the worst image": (
        lambda a, b, t: (
            F.cross_entropy(masked(logits(a, b, t)), targets(a), reduction="none").view(2, -1).mean(0).max()
        ),
        "of the two views of image 1 (partners) rises from 0.2 to 0.4 your loss stays",
    ),
    "half of each view's loss and half of the largest": (
        lambda a, b, t: (
            right(a, b, t) / 2 + F.cross_entropy(masked(logits(a, b, t)), targets(a), reduction="none").max() / 2
        ),
        "the four views' own losses are",
    ),
    "root": (lambda a, b, t: right(a, b, t).sqrt(), "the root of the right one"),
    "dropout": (lambda a, b, t: right(F.dropout(a, 0.5), b, t), "draws nothing at random"),
    "the better of the two views": (
        lambda a, b, t: (
            F.cross_entropy(masked(logits(a, b, t)), targets(a), reduction="none").view(2, -1).amin(dim=0).mean()
        ),
        "both in z1, rises from 0.2 to 0.4 your loss stays",
    ),
    "accuracy": (
        lambda a, b, t: (masked(logits(a, b, t)).argmax(dim=1) == targets(a)).float().mean(),
        "the temperature has no effect on your loss",
    ),
    "embeddings joined side by side": (
        lambda a, b, t: F.cross_entropy(
            (F.normalize(torch.cat([a, b], dim=1), dim=1) @ F.normalize(torch.cat([a, b], dim=1), dim=1).T) / t,
            torch.arange(len(a)),
        ),
        ALIKE,
    ),
}


@pytest.mark.parametrize("name", UNLISTED)
def test_what_is_said_of_a_mistake_that_nobody_listed(name):
    wrong, said = UNLISTED[name]
    torch.manual_seed(0)
    verdict = nt_xent.judge(wrong)
    assert not verdict.passed
    assert said in verdict.sentence and "\n" not in verdict.sentence
