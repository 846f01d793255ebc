"""What speaks against a wrong diagnosis: for each patient and each fault that it does not have, a sentence.

Each says what the fault would have shown and what the panel shows instead, with the numbers of the recorded run.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from cl_course.lessons.pitfalls_and_clinic.patients import sheet

TEMPERATURE, CANDIDATES = 0.3, 254  # of the SimCLR patients: strangers among a view's candidates at batch 128
CARDS = 8000  # that the patients train on

# {name} stands for a number of the panel, see `numbers`; h... is the healthy run's.
SENTENCES = {
    "A": {
        "rate": "a rate that is far too high usually takes directions from the features, and one that is far too low "
        "lets nothing move. Here the features use {rank:.0f} of {dim} directions (healthy {hrank:.0f}), and the "
        "spread still moved, from {spread1:.2f} after epoch 1 to {spread:.2f}. "
        'Order the test "weight norm" to see the steps themselves.',
        "views": "with the same picture twice, partners are found at once, and the loss falls far below the healthy "
        "run's {hloss:.2f}. Here it stays at {loss:.2f}; chance is {chance:.2f}.",
        "diagonal": "with itself among the candidates a view is still pulled to its partner, so partners become more "
        "alike than strangers. Here they do not: {pos:.2f} and {neg:.2f}, a gap of {gap:.2f}.",
        "drift": "SimCLR has no key encoder: both views go through one network. And this network did change: its "
        "spread went from {spread1:.2f} to {spread:.2f}.",
        "own view": "SimCLR has no predictions and no targets. And with nothing to see through, a loss falls far; this "
        "one was {loss1:.2f} after epoch 1 and is {loss:.2f} now.",
        "queue": "SimCLR has no queue. Chance in the panel, {chance:.2f}, is ln(2 · 128 - 1): the candidates are those "
        "of one batch.",
        "norm": "with one common length the loss stays at chance too, but the gradient still draws partners together. "
        "Here the gap is {gap:.2f}, and all embeddings point nearly the same way: spread {spread:.2f}.",
    },
    "B": {
        "rate": "with a rate that does not fit, the task is learned worse, and the loss ends above the healthy run's "
        "{hloss:.2f}. Here it is {loss:.2f}, below it.",
        "diagonal": "one more candidate, of similarity 1, can only raise the loss. With the similarities in this panel "
        "it would be about {with_itself:.1f}; the panel shows {loss:.2f}.",
        "partners": "when a stranger is to be found, a view can only guess, and the loss stays at {chance:.2f}. Here "
        "it fell to {loss:.2f}.",
        "drift": "SimCLR has no key encoder. And keys of a network that stays random would hold the loss near chance, "
        "{chance:.2f}; here it is {loss:.2f}.",
        "own view": "you are right that the task is too easy: the loss is {loss:.2f}, the healthy run's {hloss:.2f}. "
        "But SimCLR has no predictions and no targets; look for the fault that it can have.",
        "queue": "SimCLR has no queue. And a card's own earlier keys among the negatives would make the task harder; "
        "here the loss is {loss:.2f}, below the healthy run's {hloss:.2f}.",
        "norm": "with one common length all logits are nearly equal, and the loss stays within a few hundredths of "
        "chance, {chance:.2f}. Here it fell to {loss:.2f}.",
    },
    "C": {
        "rate": "a rate that is far too low changes nothing, and one that is far too high usually costs the features "
        "more and more directions. Here partners became more alike than strangers, by {gap:.2f}, and the features "
        "went from {rank1:.0f} directions after epoch 1 to {rank:.0f}. "
        'Order the test "weight norm" to see the steps themselves.',
        "views": "with the same picture twice the loss falls far below the healthy run's {hloss:.2f}, and honest "
        "partners are no more alike than strangers. Here the loss is {loss:.2f} and the gap {gap:.2f}.",
        "diagonal": "at the temperature of the recipe, 0.3, the similarities in this panel would give a loss of about "
        "{with_itself:.1f} with the view itself among the candidates. The panel shows {loss:.2f}.",
        "partners": "when a stranger is to be found, partners become no more alike than strangers. Here they are: "
        "{pos:.2f} against {neg:.2f}.",
        "drift": "SimCLR has no key encoder. And agreeing with a network that stays random makes partners hardly more "
        "alike than strangers; here the gap is {gap:.2f}.",
        "own view": "SimCLR has no predictions and no targets. And with nothing to see through, a loss falls fast; "
        "this one went from {loss1:.3f} after epoch 1 to {loss:.3f}.",
        "queue": "SimCLR has no queue. And a card's own earlier keys among the negatives push its views apart; here "
        "they came together: partners {pos:.2f}, strangers {neg:.2f}.",
    },
    "D": {
        "rate": "a rate that is far too high usually takes directions from the features, and one that is far too low "
        "lets nothing move. Here they use {rank:.0f} of {dim} directions, after epoch 1 it was {rank1:.0f} "
        "(healthy {hrank:.0f}): the network moves, and it is not wrecked. "
        'Order the test "weight norm" to see the steps themselves.',
        "views": "a query finds the key of the same picture at once, since both networks start with the same weights: "
        "the loss would lie far below chance. Here it is {loss:.2f}, and chance is {chance:.2f}.",
        "diagonal": "a query meets its own key and the keys of the queue, never itself. Chance in the panel is "
        "{chance:.2f}, ln(1 + {keys:,}): one key and {keys:,} in the queue, and no place for the query itself.",
        "partners": "when a query is to find a stranger's key, the least loss is to make all embeddings alike, and the "
        "spread falls. Here it is {spread:.2f}, after epoch 1 it was {spread1:.2f}.",
        "own view": "MoCo has no predictor and no targets. And the key of the very same view is easily found: the loss "
        "would lie far below {chance:.2f}; here it is {loss:.2f}.",
        "queue": "chance in the panel is {chance:.2f}, ln(1 + {keys:,}): the queue holds {keys:,} keys, and the "
        "training set {cards:,} cards.",
        "norm": "with one common length the loss stays near chance too, but the gradient still draws a query to its "
        "key. Here queries are hardly nearer to their own keys than to others: a gap of {gap:.2f}, healthy "
        "{hgap:.2f}.",
    },
    "E": {
        "rate": "a step that is far too large usually leaves the features few directions. Here they use {rank:.0f} of "
        "{dim} (healthy {hrank:.0f}), and the loss fell in every epoch, from {loss1:.2f} to {loss:.3f}.",
        "views": "the panel cannot tell these two apart: in both, prediction and target see the same picture, the loss "
        "falls to almost 0 ({loss:.3f}) and honest partners stay strangers (gap {gap:.2f}). Order the test "
        '"two views".',
        "diagonal": "BYOL has no candidates: each prediction is compared with one target. Chance in the panel is "
        "{chance:.0f}, two squared distances of 2, and no logarithm of a number of candidates.",
        "partners": "a stranger's target cannot be predicted this well while the embeddings lie as far apart as here: "
        "loss {loss:.3f}, spread {spread:.2f}.",
        "drift": "BYOL's slow copy is the target network. If it stood still, a prediction would still have to see "
        "through another view, and the loss could not be as low as {loss:.3f} (healthy {hloss:.2f}).",
        "queue": "BYOL has no queue and no negatives. Nothing pushes a card away from itself here: the loss, "
        "{loss:.3f}, is only the distance of predictions from targets.",
        "norm": "BYOL's loss compares directions, so a common length changes nothing in it. Here the loss is "
        "{loss:.3f}, the healthy run's {hloss:.2f}.",
    },
    "F": {
        "views": "the same picture is easily predicted, and nothing takes directions from the features. Here they use "
        "{rank:.0f} of {dim}, the healthy run's {hrank:.0f}.",
        "diagonal": "BYOL has no candidates: each prediction is compared with one target. And a candidate more would "
        "push embeddings apart; here two strangers have a similarity of {neg:.2f}, healthy {hneg:.2f}.",
        "partners": "a stranger as target draws all embeddings together, and the features may keep their directions. "
        "Here the features themselves have lost theirs: {rank:.0f} of {dim}, healthy {hrank:.0f}. Order the test "
        '"weight norm".',
        "drift": "a target that stands still keeps its embeddings apart, and one and the same prediction for all of "
        "them would cost much. Here two strangers have a similarity of {neg:.2f}, and yet the loss is {loss:.2f}.",
        "own view": "without another view to see through, the loss falls to almost 0, and the embeddings stay apart. "
        "Here the loss is {loss:.2f}, and the spread {spread:.2f} (healthy {hspread:.2f}).",
        "queue": "BYOL has no queue and no negatives. Earlier keys as negatives would push embeddings apart; here "
        "they gather: most pairs of strangers are nearly alike, {neg:.2f} on average.",
        "norm": "BYOL's loss compares directions, so a common length changes nothing in it. Here the directions "
        "themselves gather: spread {spread:.2f}, healthy {hspread:.2f}.",
    },
}


def against(runs: Sequence[Mapping], letter: str, fault: str) -> str:
    """Why the patient does not have `fault`, by its panel.

    Args:
        runs: of the record `clinic`.
        letter: of the patient.
        fault: a key of FAULTS, another than the patient's own.
    """
    return SENTENCES[letter][fault].format(**numbers(*sheet(runs, letter)))


def numbers(patient: Mapping, healthy: Mapping) -> dict[str, float]:
    """The panel in numbers: after the last epoch, after the first (loss1 ...), and of the healthy run (hloss ...)."""
    found = _last(patient) | {f"h{name}": value for name, value in _last(healthy).items()}
    first = patient["rows"][0]
    return found | {
        "loss1": first["loss"],
        "spread1": first["spread"],
        "rank1": first["effective_rank"],
        "chance": patient["chance"],
        "dim": patient["dim"],
        "keys": round(math.exp(patient["chance"])) - 1,
        "cards": CARDS,
        "with_itself": loss_with_itself(patient["positive"], patient["negative"]),
    }


def loss_with_itself(positive: Sequence[float], negative: Sequence[float]) -> float:
    """About what NT-Xent would be at these similarities, with the view itself (similarity 1) among the candidates."""
    positive, negative = np.array(positive) / TEMPERATURE, np.array(negative) / TEMPERATURE
    others = CANDIDATES * np.exp(negative).mean() + math.exp(1 / TEMPERATURE)
    return float(np.mean(np.log(np.exp(positive) + others) - positive))


def _last(run: Mapping) -> dict[str, float]:
    pos, neg = (round(float(np.mean(run[pairs])), 2) + 0.0 for pairs in ("positive", "negative"))  # -0.00 would puzzle
    last = run["rows"][-1]
    measured = {"loss": last["loss"], "spread": last["spread"], "rank": last["effective_rank"], "knn": last["knn"]}
    gap = float(np.mean(run["positive"]) - np.mean(run["negative"]))
    return measured | {"pos": pos, "neg": neg, "gap": round(gap, 2) + 0.0}
