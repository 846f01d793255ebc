"""Lesson 09's exercises: right forms pass, known mistakes are named, others get a sentence that leads on."""

import math

import numpy as np
import torch
import torch.nn.functional as F
from right_and_wrong import RightAndWrong

from cl_course.lessons.own_pictures.check_copies import BATCHES
from cl_course.lessons.own_pictures.check_replay import journal


def unit(h):
    return F.normalize(h, dim=1)


def alike(h, t):
    return unit(h) @ unit(h).T >= t


# copies(h, threshold)
def copies_by_loops(h, t):
    found = []
    for i, row in enumerate(h):
        cosines = [float(row @ other / row.norm() / other.norm()) for other in h[:i]]
        found.append(any(c >= t for c in cosines))
    return found


RIGHT_COPIES = [
    copies_by_loops,
    lambda h, t: alike(h, t).tril(-1).any(1),
    lambda h, t: alike(h, t).triu(1).any(0),
    lambda h, t: (alike(h, t) & (torch.arange(len(h))[:, None] > torch.arange(len(h)))).any(1),
    lambda h, t: (F.cosine_similarity(h[:, None], h[None], dim=2) >= t).tril(-1).sum(1) > 0,
    lambda h, t: (unit(h) @ unit(h).T).tril(-1).amax(1) >= t,
    lambda h, t: np.tril((unit(h) @ unit(h).T).numpy() >= t, -1).any(1),
    lambda h, t: alike(h, t).tril(-1).any(1).int(),
]
WRONG_COPIES = [
    (lambda h, t: alike(h, t).any(1), "every picture is a copy of itself"),
    (lambda h, t: alike(h, t).sum(1) > 1, "both pictures of a pair are marked"),
    (lambda h, t: alike(h, t).triu(1).any(1), "the earlier picture of a pair is marked"),
    (lambda h, t: alike(h, 0.5).tril(-1).any(1), "for h = [[1, 0], [-1, 0], [0.6, 0.8]], threshold = 0.9"),
    (lambda h, t: alike(h, t).tril(-2).any(1), "[3, 0]"),
    (lambda h, t: (h @ h.T >= t).tril(-1).any(1), "the lengths count"),
    (lambda h, t: (torch.cdist(unit(h), unit(h)) <= 1 - t).tril(-1).any(1), "threshold = 0.75"),
    (lambda h, t: torch.unique(alike(h, t).tril(-1).nonzero()[:, 0]), "the positions came back"),
    (lambda h, t: alike(h, t).tril(-1).any(), "has the shape ()"),
    (lambda h, t: (alike(h, t).tril(-1).any(1), h), "a tuple of 2 things"),
    (lambda h, t: h.div_(2) @ h.T, "changed an argument in place"),
]


# first_to_label(h, centres)
RIGHT_FIRST = [
    lambda h, c: torch.cdist(c, h).argmin(1),
    lambda h, c: torch.cdist(h, c).argmin(0),
    lambda h, c: [min(range(len(h)), key=lambda i, centre=centre: float((h[i] - centre).norm())) for centre in c],
    lambda h, c: ((h[None] - c[:, None]) ** 2).sum(2).argmin(1),
    lambda h, c: torch.stack([(h - centre).norm(dim=1).argmin() for centre in c]),
    lambda h, c: torch.cdist(c, h).topk(1, largest=False).indices.squeeze(1),
    lambda h, c: (c @ h.T - h.square().sum(1) / 2).argmax(1),
    lambda h, c: np.argmin(torch.cdist(c, h).numpy(), axis=1),
]
WRONG_FIRST = [
    (lambda h, c: torch.cdist(h, c).argmin(1), "one for each of n"),
    (lambda h, c: torch.cdist(c, h).argmax(1), "the *farthest*"),
    (lambda h, c: (c @ h.T).argmax(1), "the largest *product* decides"),
    (lambda h, c: torch.cdist(c, h).argmin(1).float(), "but of the type torch.float32"),
    (lambda h, c: torch.cdist(c, h).argmin(1)[:-1], "your answer has the shape (3,)"),
    (lambda h, c: torch.cdist(c, h).min(1), "your answer has the shape (2, 4)"),
    (lambda h, c: torch.zeros(len(c), dtype=torch.long), "distances 1, 3, 3.16 and 3, 1, 4.24"),
    (lambda h, c: (h - c).norm(dim=1).argmin(), "RuntimeError"),
    (lambda h, c: torch.cdist(c, h).argsort(1)[:, 1], "distances 1, 3"),
]


# replay(journal)
def replay_by_recursion(lines):
    kept = []
    for line in lines:
        kept = kept[:-1] if line[0] == "undo" else [*kept, line[1:]]
    return dict(kept)


def replay_from_the_end(lines):
    skipped, found = 0, {}
    for action, picture, label in reversed(lines):
        if action == "undo":
            skipped += 1
        elif skipped:
            skipped -= 1
        else:
            found.setdefault(picture, label)
    return found


def replay_in_a_dict(lines):
    found = {}
    for action, picture, label in lines:
        if action == "undo":
            found.pop(picture, None)
        else:
            found[picture] = label
    return found


def replay_that_raises(lines):
    kept = []
    for line in lines:
        kept.pop() if line[0] == "undo" else kept.append(line[1:])
    return dict(kept)


RIGHT_REPLAY = [
    replay_from_the_end,
    replay_by_recursion,
    lambda lines: dict(sorted(replay_by_recursion(lines).items())),
    lambda lines: {picture: replay_by_recursion(lines)[picture] for picture in replay_by_recursion(lines)},
]
WRONG_REPLAY = [
    (replay_in_a_dict, "an undo takes away *all* labels of its picture"),
    (replay_that_raises, "where nothing is left to take back, an undo does nothing"),
    (lambda lines: {line[1]: line[2] for line in lines if line[0] == "label"}, "undo has no effect"),
    (lambda lines: list(replay_by_recursion(lines).items()), "a dict is expected, picture -> class; a list"),
    (lambda lines: {}, "for two labels"),
    (lambda lines: lines.clear() or {}, "you changed the journal"),
    (lambda lines: {line[1]: line[2].upper() for line in lines}, "for two labels, your answer is a.png: CAT"),
    (lambda lines: lines[0].label, "AttributeError"),
]


# interval(right, n)
def wilson(k, n, z=1.96):
    p = k / n
    centre, reach = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return (centre - reach) / (1 + z * z / n), (centre + reach) / (1 + z * z / n)


def wilson_by_its_roots(k, n):
    """The two p0 at which |p - p0| is z standard deviations of p0: a quadratic equation."""
    p, z2 = k / n, 1.96**2
    return np.sort(np.roots([1 + z2 / n, -(2 * p + z2 / n), p * p]).real)


RIGHT_INTERVAL = [
    wilson,
    wilson_by_its_roots,
    lambda k, n: torch.tensor(wilson(k, n)),
    lambda k, n: list(wilson(k, n)),
    lambda k, n: tuple(1 - x for x in reversed(wilson(n - k, n))),
]
WRONG_INTERVAL = [
    (lambda k, n: (k / n - 1.96 * (k / n * (1 - k / n) / n) ** 0.5, k / n + 1.96 * (k / n * (1 - k / n) / n) ** 0.5),
     "the textbook interval"),
    (lambda k, n: wilson(k, n, 1.645), "covers 90 %"),
    (lambda k, n: wilson(k + 2, n + 4), "your interval is"),
    (lambda k, n: wilson(k, n)[::-1], "the higher bound comes first"),
    (lambda k, n: k / n, "two numbers are expected"),
    (lambda k, n: (0.0, 1.0), "is 1.000, 1.000, 1.000 wide"),
    (lambda k, n: (0.2, 0.3), "must lie inside; yours is 0.2 to 0.3"),
    (lambda k, n: wilson(k, n) if 0 < k < n else (0.0, 1.0), "correct for other counts, but with 30 of 30 right"),
    (lambda k, n: (math.nan, 1.0), "not finite"),
    (lambda k, n: {"low": 0.1}, "a dict came back"),
]  # fmt: skip

RIGHT = {"copies": RIGHT_COPIES, "first_to_label": RIGHT_FIRST, "replay": RIGHT_REPLAY, "interval": RIGHT_INTERVAL}
WRONG = {"copies": WRONG_COPIES, "first_to_label": WRONG_FIRST, "replay": WRONG_REPLAY, "interval": WRONG_INTERVAL}


class TestChecks(RightAndWrong):
    lesson = "09_own_pictures"
    right, wrong = RIGHT, WRONG


def test_no_similarity_lies_so_near_the_threshold_that_rounding_decides():
    for h, t in BATCHES:
        n = len(h)
        off_diagonal = (unit(h) @ unit(h).T)[~torch.eye(n, dtype=torch.bool)]
        assert (off_diagonal - t).abs().min() > 1e-4


def test_journals_have_undos_that_bring_an_earlier_label_back():
    for seed in (1, 2, 3):
        lines = journal(seed)
        assert replay_in_a_dict(lines) != replay_by_recursion(lines)
