"""Lesson 10's exercises: right forms pass, known mistakes are named, others get a sentence that leads on."""

import math

import numpy as np
import torch
import torch.nn.functional as F
from right_and_wrong import RightAndWrong


def unit(z, dim=1):
    return F.normalize(z, dim=dim)


def cosines(a, b):
    return unit(a) @ unit(b).T


def own(a):
    return torch.arange(len(a))


# clip_loss(z_image, z_text, temperature)
def clip_by_loops(a, b, t):
    n, total = len(a), 0.0
    s = [[float(x @ y / x.norm() / y.norm()) / t for y in b] for x in a]
    for i in range(n):
        total += math.log(sum(math.exp(s[i][j] - s[i][i]) for j in range(n)))
        total += math.log(sum(math.exp(s[j][i] - s[i][i]) for j in range(n)))
    return torch.tensor(total / (2 * n))


def clip(a, b, t, loss=F.cross_entropy, **options):
    logits = cosines(a, b) / t
    return (loss(logits, own(a), **options) + loss(logits.T, own(a), **options)) / 2


def clip_by_log_softmax(a, b, t):
    logits = cosines(a, b) / t
    return -(logits.log_softmax(0) + logits.log_softmax(1)).diagonal().mean() / 2


def clip_by_logsumexp(a, b, t):
    logits = torch.einsum("id,jd->ij", unit(a), unit(b)) / t
    return ((logits.logsumexp(0) + logits.logsumexp(1)) / 2 - logits.diagonal()).mean()


def clip_of_both(a, b, t):
    logits = cosines(a, b) / t
    return F.cross_entropy(torch.cat([logits, logits.T]), own(a).repeat(2))


def clip_in_place(a, b, t):
    a /= a.norm(dim=1, keepdim=True)
    return clip(a, b, t)


RIGHT_CLIP = [
    clip,
    clip_by_log_softmax,
    clip_by_logsumexp,
    clip_of_both,
    lambda a, b, t: clip(a.double(), b.double(), t),
    lambda a, b, t: F.cross_entropy(torch.stack([cosines(a, b), cosines(b, a)], -1) / t, own(a)[:, None].repeat(1, 2)),
    lambda a, b, t: sum(F.nll_loss((s / t).log_softmax(1), own(a)) for s in (cosines(a, b), cosines(b, a))) / 2,
    lambda a, b, t: clip(a / a.norm(dim=1)[:, None], b / b.norm(dim=1)[:, None], t).reshape(1).squeeze(),
]
WRONG_CLIP = [
    (lambda a, b, t: clip(a, b, t, label_smoothing=0.1), "for z_image = [[1, 0], [0, 1]]"),
    (lambda a, b, t: clip(a, b, t).detach(), "no gradient reaches all of them"),
    (lambda a, b, t: clip(a, b, t).item(), "no gradient reaches all of them"),
    (lambda a, b, t: clip(a, b, t) + 1, "the right one plus 1.0000"),
    (lambda a, b, t: clip(a, b, t) / math.log(2), "1 / ln 2"),
    (lambda a, b, t: t * clip(a, b, t), "a factor in front that goes as T"),
    (lambda a, b, t: clip(a, b, t**0.5), "the right loss at the root of T"),
    (
        lambda a, b, t: clip(unit(a) - unit(a).mean(0), unit(b) - unit(b).mean(0), t),
        "your answer is 0.02224, expected 0.2987",
    ),
    (lambda a, b, t: checks_nt_xent(a, b, t), "this is NT-Xent of all 2n embeddings"),
    (lambda a, b, t: clip(a, b, t)[None, None].repeat(2, 2), "has the shape (2, 2)"),
    (lambda a, b, t: F.cross_entropy((cosines(a, b) / t).fill_diagonal_(-torch.inf), own(a)), "it is not masked"),
    (clip_in_place, "changed an argument in place"),
    (lambda a, b, t: torch.maximum(*clip_each(a, b, t)), "your answer is 0.32, expected 0.2987"),
    (
        lambda a, b, t: 0.7 * clip_each(a, b, t)[0] + 0.3 * clip_each(a, b, t)[1],
        "your loss depends on which side is called the image: 0.487",
    ),
    (lambda a, b, t: clip((a > 0).float(), b, t), "your loss depends on which side is called the image: 0.870"),
    (lambda a, b, t: -(cosines(a, b) / t).softmax(1).diagonal().log().mean(), "one direction only: every image"),
    (lambda a, b, t: (clip(a, b, t), cosines(a, b)), "a tuple of 2 things"),
]


def clip_each(a, b, t):
    logits = cosines(a, b) / t
    return F.cross_entropy(logits, own(a)), F.cross_entropy(logits.T, own(a))


def checks_nt_xent(a, b, t):
    z = unit(torch.cat([a, b]))
    logits = (z @ z.T / t).masked_fill(torch.eye(len(z), dtype=torch.bool), -torch.inf)
    return F.cross_entropy(logits, torch.arange(len(z)).roll(len(a)))


# siglip_loss(z_image, z_text, temperature, bias)
def logits_of(a, b, t, c):
    return cosines(a, b) / t + c


def sign(a):
    return 2 * torch.eye(len(a)) - 1


def siglip(a, b, t, c):
    return -F.logsigmoid(sign(a) * logits_of(a, b, t, c)).sum() / len(a)


def siglip_by_loops(a, b, t, c):
    total = 0
    for i, x in enumerate(a):
        for j, y in enumerate(b):
            total = total + F.softplus((-1 if i == j else 1) * (x @ y / (x.norm() * y.norm()) / t + c))
    return total / len(a)


def siglip_by_parts(a, b, t, c):
    logits = logits_of(a, b, t, c)
    return (F.softplus(logits).sum() - logits.trace()) / len(a)


RIGHT_SIGLIP = [
    siglip,
    siglip_by_loops,
    siglip_by_parts,
    lambda a, b, t, c: F.softplus(-sign(a) * logits_of(a, b, t, c)).sum(1).mean(),
    lambda a, b, t, c: len(a) * F.binary_cross_entropy_with_logits(logits_of(a, b, t, c), torch.eye(len(a))),
    lambda a, b, t, c: (
        F.binary_cross_entropy_with_logits(logits_of(a, b, t, c), torch.eye(len(a)), reduction="sum") / len(a)
    ),
    lambda a, b, t, c: torch.logaddexp(torch.zeros(()), -sign(a) * logits_of(a, b, t, c)).mean() * len(a),
    lambda a, b, t, c: siglip(b.double(), a.double(), t, c),
]
WRONG_SIGLIP = [
    (lambda a, b, t, c: siglip(a, b, t, -c), "the bias is subtracted"),
    (lambda a, b, t, c: siglip(a, b, t, c).detach(), "no gradient reaches all of them"),
    (lambda a, b, t, c: siglip(a, b, t, torch.as_tensor(c).item()), "no gradient reaches all of them"),
    (lambda a, b, t, c: siglip(a, b, t, 0.5 * c), "your loss is right at bias 0 and wrong elsewhere: 1.2760 a"),
    (lambda a, b, t, c: siglip(a, b, t, -10), "the bias has no effect on your loss: it is 8.2921 at the b"),
    (lambda a, b, t, c: siglip(a, b, 0.1, c), "the temperature has no effect on your loss: it is 2.7780 a"),
    (lambda a, b, t, c: siglip(a, b, t**0.5, c), "your loss at T is the right loss at the root of T: so it i"),
    (lambda a, b, t, c: siglip(a, b, t, c) / math.log(2), "1 / ln 2"),
    (lambda a, b, t, c: F.softplus(-sign(a) * logits_of(a, b, t, c)).sum(1), "one value for each image"),
    (
        lambda a, b, t, c: -(sign(a) * logits_of(a, b, t, c)).sigmoid().log().sum() / len(a),
        "right at ordinary temperatures",
    ),
    (lambda a, b, t, c: siglip(a, b, t, c) + 0.1, "plus 0.1000"),
    (lambda a, b, t, c: 2 * siglip(a, b, t, c), "the right one times 2"),
    (lambda a, b, t, c: -F.logsigmoid(sign(a) * logits_of(a, b, t, c)).triu().sum() / len(a), "yours is 1.3863"),
    (lambda a, b, t, c: siglip(a, b, t, c) - F.logsigmoid(logits_of(a, b, t, c)).trace() / len(a), "yours is 2.7726"),
    (
        lambda a, b, t, c: -F.logsigmoid(sign(a) * logits_of(a, b, t, c)).mean(1),
        "for 3 pairs your answer has the shape (3,); a loss is one ",
    ),
    (lambda a, b, t, c: siglip(unit(a, 0), unit(b, 0), t, c), "your answer is 0.5073, expected 0.5981"),
]


# zero_shot(z_image, z_prompts)
def centres(prompts):
    return unit(unit(prompts, 2).mean(1))


def zero_shot_by_loops(images, prompts):
    found = []
    for image in images:
        scores = []
        for each in prompts:
            centre = sum(p / p.norm() for p in each)
            scores.append(float(image @ centre / centre.norm()))
        found.append(scores.index(max(scores)))
    return found


RIGHT_ZERO_SHOT = [
    lambda z, p: (z @ centres(p).T).argmax(1),
    zero_shot_by_loops,
    lambda z, p: F.cosine_similarity(z[:, None], unit(p, 2).sum(1)[None], dim=2).argmax(1),
    lambda z, p: torch.cdist(unit(z), centres(p)).argmin(1),
    lambda z, p: (unit(z) @ centres(p).T).softmax(1).max(1).indices,
    lambda z, p: (unit(z) @ centres(p).T).topk(1, dim=1).indices.squeeze(1),
    lambda z, p: np.argmax((z @ centres(p).T).numpy(), axis=1),
    lambda z, p: (centres(p) @ z.T).argmax(0),
    lambda z, p: torch.cdist(z, centres(p)).argmin(1),
    lambda z, p: (z @ (centres(p) - centres(p).mean(0)).T).argmax(1),
]
WRONG_ZERO_SHOT = [
    (lambda z, p: (z @ centres(p).T).argmax(1).float(), "but of the type float32"),
    (lambda z, p: F.one_hot((z @ centres(p).T).argmax(1)), "has the shape (60, 4)"),
    (
        lambda z, p: torch.einsum("nd,cpd->ncp", z, unit(p, 2)).amax(2).argmax(1),
        "each class's *most similar* prompt decides. That works,",
    ),
    (
        lambda z, p: torch.einsum("nd,cpd->ncp", z, unit(p, 2)).flatten(1).argmax(1),
        "with the prompts of each class in another order 39 of 60 c",
    ),
    (
        lambda z, p: torch.cdist(unit(z), unit(p, 2).mean(1)).argmin(1),
        "on a batch tried 10 of 60 classes are wrong. One image has",
    ),
    (
        lambda z, p: (z @ unit(p, 2).amin(1).T).argmax(1),
        "yours is 1, and 1 with the second prompt of class 0 made 20 times as long",
    ),
    (lambda z, p: (unit(z, 0) @ centres(p).T).argmax(1), "on a batch tried 1 of 60 classes are wrong. One image has "),
    (
        lambda z, p: ((z - z.mean(0)) @ centres(p).T).argmax(1),
        "on a batch tried 3 of 60 classes are wrong. One image has ",
    ),
    (
        lambda z, p: (z @ unit(p[:, :2].mean(1)).T).argmax(1),
        "yours is 0, and 1 with the second prompt of class 0 made 20 times as long",
    ),
    (lambda z, p: torch.zeros(len(z), dtype=torch.long), "yours are [0, 0, 0]"),
    (lambda z, p: len(p) - 1 - (z @ centres(p).T).argmax(1), "yours are [2, 1, 0]"),
    (lambda z, p: (z @ centres(p)).argmax(1), "your code stopped with RuntimeError"),
    (lambda z, p: (z @ centres(p).T).max(1), "x.max(dim=1) gives values and places: return the places, ."),
    (lambda z, p: z.div_(2) @ centres(p).T, "changed an argument in place"),
]


# recall(z_query, z_gallery, k, same)
def recall_by_loops(q, g, k, same):
    hits = 0
    for row, right in zip(cosines(q, g).tolist(), same.tolist()):
        nearest = sorted(range(len(row)), key=row.__getitem__, reverse=True)[:k]
        hits += any(right[j] for j in nearest)
    return hits / len(q)


def ranks(q, g, same):
    """How many rows of the gallery are nearer to each query than its nearest right one."""
    s = cosines(q, g)
    best = s.masked_fill(~same, -torch.inf).amax(dim=1)
    return (s > best[:, None]).sum(1)


def hits(q, g, k, same):
    return same.gather(1, cosines(q, g).topk(k).indices)


RIGHT_RECALL = [
    recall_by_loops,
    lambda q, g, k, same: (ranks(q, g, same) < k).float().mean(),
    lambda q, g, k, same: hits(q, g, k, same).any(1).float().mean(),
    lambda q, g, k, same: hits(q, g, k, same).sum(1).clamp(max=1).sum() / len(q),
    lambda q, g, k, same: hits(q, g, k, same.T).float().amax(1).mean(),
    lambda q, g, k, same: np.mean(
        [same[i, row[:k].copy()].any() for i, row in enumerate(cosines(q, g).numpy().argsort(1)[:, ::-1])]
    ),
    lambda q, g, k, same: (
        (same.gather(1, torch.cdist(unit(q), unit(g)).topk(k, largest=False).indices)).any(1).double().mean()
    ),
    lambda q, g, k, same: float((ranks(q, g, same) < k).sum() / len(q)),
]
WRONG_RECALL = [
    (lambda q, g, k, same: (ranks(q, g, same) <= k).float().mean(), "k + 1 rows are taken"),
    (
        lambda q, g, k, same: (cosines(q, g).topk(k).indices == own(q)[:, None]).any(1).float().mean(),
        "only the own row counts as right, and `same` has no effect",
    ),
    (lambda q, g, k, same: (ranks(q, g, same) < 5).float().mean(), "your answer is 1, expected 0.3333"),
    (lambda q, g, k, same: ranks(q, g, same).float().mean(), "yours is 0.0000"),
    (lambda q, g, k, same: (1 / (1 + ranks(q, g, same))).mean(), "your answer is 0.6667, expected 0.3333"),
    (lambda q, g, k, same: (ranks(g, q, same) < k).float().mean(), "the other direction"),
    (lambda q, g, k, same: k / len(q), "yours is 0.0435"),
    (lambda q, g, k, same: hits(q, g, k, same).all(1).float().mean(), "all of the first k must be right"),
    (lambda q, g, k, same: hits(q, g, k, same).float().mean(), "this is precision"),
    (
        lambda q, g, k, same: (cosines(q, g).topk(k).indices == own(q)).float().mean(),
        "your code stopped with RuntimeError",
    ),
    (lambda q, g, k, same: (ranks(q, g, same) < k).float().std(), "yours is 0.0000"),
    (
        lambda q, g, k, same: ((ranks(q, g, same) < k).float().mean() + (ranks(g, q, same) < k).float().mean()) / 2,
        "your answer is 0.8333, expected 1",
    ),
    (lambda q, g, k, same: cosines(q, g).diagonal().mean(), "your answer is 0.8667, expected 1"),
    (lambda q, g, k, same: (cosines(q, g).diagonal() > 0.5).float().mean(), "your answer is 1, expected 0.3333"),
    (lambda q, g, k, same: (ranks(q, g, same) < k).float(), "True or False for each query"),
    (lambda q, g, k, same: (ranks(q, g, same) < k).float().mean() * 2, "yours is 2.0000"),
    (
        lambda q, g, k, same: (ranks(unit(q, 0), unit(g, 0), same) < k).float().mean(),
        "with one row of the gallery 50 times as long your recall g",
    ),
    (lambda q, g, k, same: hits(q, g, k + 3, same).any(1).float().mean(), "your answer is"),
    (lambda q, g, k, same: same.logical_and_(hits(q, g, k, same).any(1)).float().mean(), "changed an argument in pla"),
]


# without_gap(z_image, z_text)
def centred_by_loops(a, b):
    answer = []
    for side in (a, b):
        rows = [z / z.norm() for z in side]
        mean = sum(rows) / len(rows)
        answer.append([[float(x) for x in (row - mean) / (row - mean).norm()] for row in rows])
    return answer


def centred(z):
    return unit(unit(z) - unit(z).mean(0))


def both(side):
    return lambda a, b: (side(a), side(b))


RIGHT_WITHOUT_GAP = [
    centred_by_loops,
    both(centred),
    both(lambda z: unit(unit(z) - unit(z).mean(0, keepdim=True))),
    both(lambda z: unit(unit(z) - unit(z).sum(0) / len(z))),
    both(lambda z: unit((torch.eye(len(z)) - 1 / len(z)) @ unit(z))),
    both(lambda z: centred(7 * z.double())),
    both(lambda z: unit(len(z) * unit(z) - unit(z).sum(0))),
    lambda a, b: [centred(a), centred(b)],
    lambda a, b: torch.cat([centred(a), centred(b)]).split([len(a), len(b)]),
    both(lambda z: centred(z).numpy()),
]
WRONG_WITHOUT_GAP = [
    (both(lambda z: unit(z - z.mean(0))), "the mean is taken of rows of any length"),
    (both(lambda z: unit(z) - unit(z).mean(0)), "centred rows are shorter or longer than 1"),
    (lambda a, b: (unit(unit(a) - unit(torch.cat([a, b])).mean(0)), centred(b)), "with other texts what you return"),
    (lambda a, b: torch.stack([centred(a)[:6], centred(b)[:6]]), "z_image has the shape (9, 4), and what you return"),
    (lambda a, b: (centred(a), centred(b), 0.0), "3 values came back: return two tensors"),
    (both(lambda z: 2 * centred(z)), "have the lengths [2, 2, 2, 2, 2, 2]; each must be 1"),
    (both(lambda z: unit(centred(z).abs())), "for z_image = [[2, 0], [0, 1]] you return [[0.7071, 0.7071], "),
    (both(lambda z: unit(unit(z) - unit(z)[0])), "for z_image have the lengths [0, 1, 1, 1, 1, 1]; each"),
    (both(lambda z: centred(z) / 0), "is not finite"),
    (both(lambda z: z.sub_(z.mean(0))), "changed an argument in place"),
    (lambda a, b: (centred(a), "b"), "a tuple came back: return two tensors"),
    (both(lambda z: unit(unit(z) - 0.9 * unit(z).mean(0))), "for z_image = [[2, 0], [0, 1]] you return"),
    (lambda a, b: centred(a).mean(), "one tensor of shape () came back"),
    (both(lambda z: centred(z - 1)), "with the first image five times as long"),
    (both(lambda z: z @ z), "your code stopped with RuntimeError"),
    (lambda a, b: (centred(a), centred(b).flip(0)), "for z_text = [[0, 3], [0, -1], [1, 0]] you return"),
]

RIGHT = {
    "clip_loss": RIGHT_CLIP,
    "siglip_loss": RIGHT_SIGLIP,
    "zero_shot": RIGHT_ZERO_SHOT,
    "recall": RIGHT_RECALL,
    "without_gap": RIGHT_WITHOUT_GAP,
}
WRONG = {
    "clip_loss": WRONG_CLIP,
    "siglip_loss": WRONG_SIGLIP,
    "zero_shot": WRONG_ZERO_SHOT,
    "recall": WRONG_RECALL,
    "without_gap": WRONG_WITHOUT_GAP,
}


class TestChecks(RightAndWrong):
    lesson = "10_two_languages"
    right, wrong = RIGHT, WRONG
