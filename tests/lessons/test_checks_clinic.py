"""The clinic's checks: right answers of any style pass, mistakes are named, other wrong answers get what was seen."""

import functools
import re
from pathlib import Path

import jupytext
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from cl_course import checks
from cl_course.lessons.pitfalls_and_clinic import check_optimizer
from cl_course.lessons.pitfalls_and_clinic.check_diagnosis import RIGHT, named
from cl_course.lessons.pitfalls_and_clinic.evidence import SENTENCES, against
from cl_course.lessons.pitfalls_and_clinic.patients import FAULTS, NUMBERS, OF_FAULT, PATIENTS, REPORTS
from cl_course.lessons.shared.exercise import ExerciseError
from cl_course.losses import byol_loss
from cl_course.momentum import ema_update
from cl_course.running import records

SOURCE = Path(__file__).parents[2] / "notebooks" / "src" / "07_pitfalls_and_clinic.py"
RUNS = records.read("clinic")["runs"]


@pytest.fixture(autouse=True)
def fresh_kernel(monkeypatch):
    monkeypatch.delenv("CL_COURSE_STRICT", raising=False)
    named.clear()
    yield
    named.clear()


# Patient C.
class Scale:
    def __call__(self, z):
        return z / torch.linalg.vector_norm(z, dim=-1, keepdim=True)


def by_rows(z):
    return torch.stack([row / row.norm() for row in z])


def with_einsum(z):
    return z * torch.einsum("nd,nd->n", z, z).rsqrt()[:, None]


def by_transpose(z):
    return (z.T / z.norm(dim=1)).T


RIGHT_UNITS = (
    functools.partial(F.normalize, dim=-1),
    Scale(),
    by_rows,
    with_einsum,
    by_transpose,
    lambda embeddings: F.normalize(embeddings.double()),
    lambda z: z / (z * z).sum(1, keepdim=True).sqrt(),
    lambda z: [row / row.norm() for row in z],
)
NAMED_UNITS = (
    (lambda z: F.normalize(z.flatten(), dim=0).view_as(z), "one length for the whole batch"),
    (lambda z: z / z.norm(dim=0), "each column"),
    (lambda z: z, "nothing is scaled"),
    (lambda z: z / (z**2).sum(1, keepdim=True), "its square"),
    (lambda z: z / z.sum(1, keepdim=True), "the sum of a row"),
    (lambda z: F.normalize(z, p=1, dim=1), "absolute values"),
    (lambda z: z / z.norm(dim=1), "keepdim=True"),
    (lambda z: F.normalize(z - z.mean(dim=0), dim=1), "the mean of all rows is subtracted"),
    (lambda z: z * z.norm(dim=1, keepdim=True), "you multiply"),
    (lambda z: z.norm(dim=1, keepdim=True), "the lengths came back"),
)
OTHER_UNITS = (
    (lambda z: 2 * F.normalize(z, dim=1), "the right one times 2"),
    (lambda z: F.normalize(z, dim=1) / 0.3, "the right one times 3.333"),
    (lambda z: z / z.norm(dim=1, keepdim=True).clamp(min=2), "lengths [1, 1, 0.5]"),
    (lambda z: z / (1 + z.norm(dim=1, keepdim=True)), "lengths"),
    (lambda z: F.normalize(z.abs(), dim=1), "points another way"),
    (lambda z: F.normalize(z, dim=1).relu(), "the lengths [1, 1, 0]"),
    (lambda z: F.normalize(z.flip(1), dim=1), "points another way"),
    (lambda z: F.normalize(z, dim=1).flip(0), "points another way"),
    (lambda z: F.normalize(F.normalize(z, dim=0), dim=1), "points another way"),
    (lambda z: F.normalize(z, dim=1).round(decimals=1), "differ from the right ones"),
    (lambda z: F.normalize(z, dim=1).T, "the shape (2, 3)"),
    (lambda z: F.normalize(z, dim=1)[0], "the shape (2,)"),
    (lambda z: z / z[0].norm(), "lengths"),
    (lambda z: z / z.norm(dim=1, keepdim=True).detach(), "its gradient"),
    (lambda z: F.normalize(z.detach(), dim=1), "no gradient reaches z"),
    (lambda z: torch.tanh(z), "lengths"),
    (lambda z: z.div_(z.norm(dim=1, keepdim=True)), "in place"),
    (lambda z: 0 * z, "0 on every input"),
)


# Patient B.
def one_pass(images, make_view):
    return make_view(torch.cat([images, images])).chunk(2)


def image_by_image(images, make_view):
    pairs = [(make_view(image), make_view(image)) for image in images]
    return torch.stack([a for a, _ in pairs]), torch.stack([b for _, b in pairs])


def second_first(images, make_view):
    view2 = make_view(images)
    return make_view(images), view2


def view_of_a_view(images, make_view):
    view1 = make_view(images)
    return view1, make_view(view1)


def unpacked(images, make_view):
    view1, view2 = make_view(images)
    return view1, view2


def reseeded(images, make_view):
    torch.manual_seed(0)
    view1 = make_view(images)
    torch.manual_seed(0)
    return view1, make_view(images)


def added(images, make_view):
    view1 = make_view(images)
    images += 1
    return view1, make_view(images)


def half_the_batch(images, make_view):
    view1, view2 = make_view(images), make_view(images)
    view2[0] = view1[0]
    return view1, view2


RIGHT_VIEWS = (
    lambda x, t: (t(x), t(x)),
    lambda x, t: [t(x) for _ in range(2)],
    lambda x, t: torch.stack([t(x), t(x)]),
    lambda x, t: tuple(view.double() for view in (t(x), t(x))),
    one_pass,
    image_by_image,
    second_first,
    lambda images, make_view: (make_view(images.clone()), make_view(images.clone())),
)
NAMED_VIEWS = (
    (lambda x, t: [t(x)] * 2, "still view1"),
    (lambda x, t: (t(x), x), "view2 is the image itself"),
    (lambda x, t: (x, t(x)), "view1 is the image itself"),
    (view_of_a_view, "a view of view1"),
    (lambda x, t: (x, x.clone()), "neither is disguised"),
    (unpacked, "takes the n rows of one view apart"),
    (lambda x, t: t(x), "one view came back"),
    (lambda x, t: torch.cat([t(x), t(x)]), "joined to one tensor"),
    (reseeded, "still view1"),
)
OTHER_VIEWS = (
    (lambda x, t: (t(x), t(x).flip(0)), "row 0 of view2 is made of image 3"),
    (lambda x, t: (t(x), t(x.roll(1, 0))), "row 0 of view2 is made of image 3"),
    (lambda x, t: (t(x).flip(0), t(x).flip(0)), "row 0 of view1 is made of image 3"),
    (lambda x, t: (t(x), t(x).flip(-1)), "row 0 of view2 is neither"),
    (lambda x, t: (t(x).clamp(0, 1), t(x)), "row 0 of view1 is neither"),
    (lambda x, t: (t(x), t(1 - x)), "row 0 of view2 is neither"),
    (lambda x, t: (t(x), (t(x) + t(x)) / 2), "row 0 of view2 is neither"),
    (lambda x, t: (t(x), t(t(x))), "went through make_view 2 times"),
    (lambda x, t: (t(t(x)), t(t(x))), "went through make_view 2 times"),
    (lambda x, t: (t(x), t(x), t(x)), "3 things came back"),
    (lambda x, t: (t(x)[:2], t(x)[:2]), "2 and 2 rows"),
    (lambda x, t: (t(x), t(x)[:1]), "4 and 1 rows"),
    (lambda x, t: (t(x)[:3], t(x)[:3]), "3 and 3 rows"),
    (lambda x, t: (t, t), "two batches"),
    (lambda x, t: {"view1": t(x), "view2": t(x)}, "two batches"),
    (half_the_batch, "same drawing in row 0"),
    (added, "in place"),
    (lambda x, t: t(x, x), "TypeError"),
)


# Patient D.
def drift(encoder=True, projector=True, enqueue=1, swap=False, momentum=lambda m: m):
    def step(method):
        pairs = [(method.key_encoder, method.encoder)] * encoder
        pairs += [(method.key_projector, method.projector)] * projector
        for key, query in pairs:
            ema_update(*((query, key) if swap else (key, query)), momentum(method.momentum))
        for _ in range(enqueue):
            method.enqueue(method.new_keys)

    return step


def other_order(method):
    method.enqueue(method.new_keys)
    ema_update(method.key_projector, method.projector, method.momentum)
    ema_update(method.key_encoder, method.encoder, method.momentum)


@torch.no_grad()
def weight_by_weight(method):
    for part in ("encoder", "projector"):
        for k, q in zip(getattr(method, f"key_{part}").parameters(), getattr(method, part).parameters()):
            k.mul_(method.momentum).add_(q, alpha=1 - method.momentum)
    method.enqueue(method.new_keys)


def by_state(method):
    for part in ("encoder", "projector"):
        slow, fast = getattr(method, f"key_{part}"), getattr(method, part).state_dict()
        share = method.momentum
        slow.load_state_dict({name: share * w + (1 - share) * fast[name] for name, w in slow.state_dict().items()})
    method.enqueue(method.new_keys)


def queue_by_hand(method):
    drift(enqueue=0)(method)
    for key in method.new_keys:
        method.queue[method.oldest] = key
        method.oldest.copy_((method.oldest + 1) % len(method.queue))


def one_key_at_a_time(method):
    drift(enqueue=0)(method)
    for key in method.new_keys:
        method.enqueue(key[None])


class Step:
    def __call__(self, method):
        return type(method).after_step(method)


RIGHT_STEPS = (
    drift(),
    other_order,
    weight_by_weight,
    by_state,
    queue_by_hand,
    one_key_at_a_time,
    Step(),
    lambda model: model.after_step(),
)
NAMED_STEPS = (
    (drift(encoder=False, projector=False), "where chance put it"),
    (drift(projector=False), "its projector does not"),
    (drift(encoder=False), "its encoder does not"),
    (drift(swap=True), "roles are swapped"),
    (drift(enqueue=0), "no key goes into the queue"),
    (drift(enqueue=2), "twice"),
    (drift(momentum=lambda m: 0.0), "becomes a copy"),
    (drift(momentum=lambda m: 1 - m), "exchanged"),
    (drift(momentum=lambda m: 0.99), "0.99 is typed in"),
    (drift(encoder=2), "the encoder drifts twice"),
)


def into_the_queue_as_they_lie(method):
    drift(enqueue=0)(method)
    method.queue[: len(method.new_keys)] = method.new_keys


def newest_first(method):
    drift(enqueue=0)(method)
    method.queue.copy_(torch.cat([method.new_keys, method.queue])[: len(method.queue)])


def copies_the_query(method):
    method.encoder.load_state_dict(method.key_encoder.state_dict())
    drift()(method)


def without_bias(method):
    before = method.key_encoder.bias.detach().clone()
    drift()(method)
    method.key_encoder.bias.data.copy_(before)


def mean_of_both(method):
    ema_update(method.key_encoder, method.encoder, 0.5 + method.momentum / 2)
    ema_update(method.key_projector, method.projector, method.momentum)
    method.enqueue(method.new_keys)


def crossed_parts(method):
    ema_update(method.key_encoder, method.projector, method.momentum)


def first_key_alone(method):
    drift(enqueue=0)(method)
    method.enqueue(method.new_keys[:1])


def halved_keys(method):
    drift(enqueue=0)(method)
    method.enqueue(method.new_keys / 2)


def only_once(method):
    if int(method.oldest) == 0:
        drift()(method)
    else:
        drift(encoder=False, projector=False)(method)


def grows(method):
    method.momentum = 1 - (1 - method.momentum) / 2
    drift()(method)


def recorded_by_autograd(method):
    for part in ("encoder", "projector"):
        for k, q in zip(getattr(method, f"key_{part}").parameters(), getattr(method, part).parameters()):
            k.copy_(method.momentum * k + (1 - method.momentum) * q)
    method.enqueue(method.new_keys)


def freezes_the_query(method):
    drift()(method)
    method.encoder.requires_grad_(False)


OTHER_STEPS = (
    (recorded_by_autograd, "the key encoder require a gradient, and they must not"),
    (freezes_the_query, "the query encoder no longer require a gradient, and they must"),
    (into_the_queue_as_they_lie, "method.oldest"),
    (newest_first, "these rows are not as they should be"),
    (copies_the_query, "One weight of the key encoder"),
    (without_bias, "One weight of the key encoder"),
    (mean_of_both, "One weight of the key encoder"),
    (crossed_parts, "ValueError"),
    (first_key_alone, "these rows are not as they should be: 1"),
    (halved_keys, "these rows are not as they should be: 0, 1"),
    (only_once, "not after the second"),
    (grows, "it must be"),
    (drift(momentum=lambda m: 2 - m), "ValueError"),
    (drift(momentum=lambda m: m**3), "One weight of the key encoder"),
    (drift(momentum=lambda m: 1.0), "where chance put it"),
    (lambda method: method.enqueue(method.keys), "AttributeError"),
    (drift(enqueue=3), "these rows are not as they should be"),
)

# Patient F.
OPTIM = torch.optim


class SignSGD:
    """No class of torch's."""

    def __init__(self, weights, lr):
        self.weights, self.lr = weights, lr

    def zero_grad(self):
        for weight in self.weights:
            weight.grad = None

    @torch.no_grad()
    def step(self):
        for weight in self.weights:
            weight -= self.lr * weight.grad.sign()


RIGHT_OPTIMIZERS = (
    lambda w: OPTIM.SGD(w, lr=0.05),
    lambda w: OPTIM.SGD(w, lr=0.05, momentum=0.9, nesterov=True),
    lambda w: OPTIM.Adam(w, lr=1e-3),
    lambda w: OPTIM.AdamW(w, lr=3e-3, weight_decay=0.01),
    functools.partial(OPTIM.RMSprop, lr=5e-4),
    lambda weights: OPTIM.Adam([{"params": weights, "lr": 2e-3}]),
    lambda w: OPTIM.NAdam(w, lr=np.float64(1e-3)),
    lambda w: SignSGD(w, 1e-3),
)
WRONG_OPTIMIZERS = (
    (lambda w: OPTIM.Adam(w, lr=0.2), "which is the rate itself"),
    (lambda w: OPTIM.Adam(w, lr=0.015), "by 17% of their own length"),
    (lambda w: OPTIM.Adam(w, lr=1e-6), "it must fall to half"),
    (lambda w: OPTIM.AdamW(w, lr=1e-5), "it must fall to half"),
    (lambda w: OPTIM.SGD(w, lr=20), "of their own length"),
    (lambda w: OPTIM.SGD(w, lr=10, momentum=0.99), "of their own length"),
    (lambda w: OPTIM.SGD(w, lr=1e-9), "never moved in 300 steps"),
    (lambda w: OPTIM.SGD(w, lr=0.0), "all of the 4 weight tensors never moved"),
    (lambda w: OPTIM.SGD(w, lr=1e-4), "it must fall to half"),
    (lambda w: OPTIM.SGD(w, lr=0.05, maximize=True), "it must fall to half"),
    (lambda w: OPTIM.SGD(w[:2], lr=0.05), "has 2 of the 4 weight tensors"),
    (lambda w: OPTIM.SGD(w, lr=0.05, weight_decay=100), "of their own length|infinite"),
    (lambda w: OPTIM.SGD(w, lr=1e30), "of their own length|infinite"),
    (lambda w: OPTIM.RMSprop(w, lr=0.2), "of their own length"),
    (lambda w: OPTIM.SGD([torch.zeros(3, requires_grad=True)], lr=0.05), "has 0 of the 4"),
    (lambda w: 3e-3, "a float came back"),
    (lambda w: OPTIM.Adam, "the class Adam came back"),
    (lambda w: OPTIM.Adam(w, lr=-1), "ValueError"),
    (lambda w: (OPTIM.Adam(w), None), "a tuple came back"),
)

EXERCISES = {
    "unit": (checks.unit_length, RIGHT_UNITS, NAMED_UNITS, OTHER_UNITS),
    "views": (checks.fresh_views, RIGHT_VIEWS, NAMED_VIEWS, OTHER_VIEWS),
    "step": (checks.after_step, RIGHT_STEPS, NAMED_STEPS, OTHER_STEPS),
    "optimizer": (checks.optimizer, RIGHT_OPTIMIZERS, (), WRONG_OPTIMIZERS),
}
RIGHT_ONES = [(f"{name}-{i}", of[0], code) for name, of in EXERCISES.items() for i, code in enumerate(of[1])]
WRONG_ONES = [
    (f"{name}-{i}", of[0], *case) for name, of in EXERCISES.items() for i, case in enumerate((*of[2], *of[3]))
]


@pytest.mark.parametrize("check, code", [case[1:] for case in RIGHT_ONES], ids=[case[0] for case in RIGHT_ONES])
def test_right_answers_of_any_style_pass(check, code):
    assert check.judge(code).passed, check.judge(code)


@pytest.mark.parametrize("check, code, words", [case[1:] for case in WRONG_ONES], ids=[case[0] for case in WRONG_ONES])
def test_what_is_wrong_is_named_or_what_was_seen_is_said(check, code, words):
    verdict = check.judge(code)
    patterns = words.split("|") if check is checks.optimizer else [words]
    assert not verdict.passed and any(pattern in verdict.sentence for pattern in patterns), verdict


@pytest.mark.parametrize("check", [of[0] for of in EXERCISES.values()], ids=list(EXERCISES))
def test_each_known_mistake_is_wrong_and_its_own_sentence_is_the_first(check):
    if check.make is None:
        return
    for mistake in check.mistakes:
        verdict = check.judge(check.make(**mistake.parts))
        assert not verdict.passed and verdict.sentence == mistake.sentence, mistake


def test_the_optimiser_may_need_a_closure():
    assert "TypeError" not in checks.optimizer.judge(lambda w: OPTIM.LBFGS(w, lr=0.01, max_iter=1)).sentence


def test_what_is_said_of_an_optimiser_was_observed():
    seen = check_optimizer.course_of(lambda w: OPTIM.SGD(w, lr=20))
    sentence = checks.optimizer.judge(lambda w: OPTIM.SGD(w, lr=20)).sentence
    assert "rate itself" not in sentence and f"{float(seen.changes.max()):.0%}" in sentence
    assert f"{seen.start:.2f} at the start, {seen.end:.2f} at the end" in sentence


# The diagnosis.
def test_the_right_diagnosis_passes_in_any_form(capsys):
    forms = (
        RIGHT,
        list(RIGHT.values()),
        torch.tensor(list(RIGHT.values())),
        {letter.lower(): float(number) for letter, number in RIGHT.items()},
        {letter: np.int64(number) for letter, number in RIGHT.items()},
        {letter: str(number) for letter, number in RIGHT.items()},
        dict(PATIENTS),
    )
    for form in forms:
        named.clear()
        checks.diagnosis(lambda form=form: form)
        assert capsys.readouterr().out == "✔ my_diagnosis: all six are named.\n"


@pytest.mark.parametrize("letter", PATIENTS)
def test_each_wrong_fault_of_each_patient_has_counter_evidence_of_its_own(letter):
    wrong = [fault for fault in FAULTS if fault != PATIENTS[letter]]
    assert list(SENTENCES[letter]) == wrong
    said = {against(RUNS, letter, fault) for fault in wrong}
    assert len(said) == len(wrong)
    assert all(re.search(r"\d", sentence) and "-0.00" not in sentence for sentence in said)
    for fault in wrong:
        verdict = checks.diagnosis.judge(lambda fault=fault: RIGHT | {letter: NUMBERS[fault]})
        assert not verdict.passed and "5 of 6" in verdict.sentence
        assert f"{letter} does not have fault {NUMBERS[fault]}: {against(RUNS, letter, fault)}" in verdict.sentence
        named.clear()


def test_no_evidence_gives_another_patient_away():
    for of_fault in SENTENCES.values():
        for sentence in of_fault.values():
            assert not re.search(r"\b(patient|[B-F]'s)\b", sentence)


def test_evidence_has_the_numbers_of_the_panel():
    patient = next(run for run in RUNS if run["run"] == "views" and run["seed"] == 0)
    assert f"the panel shows {patient['rows'][-1]['loss']:.2f}" in against(RUNS, "B", "diagonal")
    assert "1,024 keys" in against(RUNS, "D", "queue")


def test_a_wrong_later_try_does_not_undo_a_right_one():
    first = checks.diagnosis.judge(lambda: {"A": RIGHT["A"], "B": RIGHT["B"]})
    assert (
        not first.passed and "2 of 6 are named: A, B" in first.sentence and "Still open: C, D, E, F" in first.sentence
    )
    later = checks.diagnosis.judge(lambda: {"A": RIGHT["A"] % 8 + 1})
    assert not later.passed and "2 of 6" in later.sentence and "right diagnosis of before stays" in later.sentence
    rest = {letter: RIGHT[letter] for letter in "CDEF"}
    assert checks.diagnosis.judge(lambda: rest).passed


def test_a_right_diagnosis_is_not_known_before_it_is_given():
    checks.diagnosis.judge(lambda: {"A": RIGHT["B"]})
    assert not named


@pytest.mark.parametrize(
    "answer, words",
    [
        ({"A": 9}, "A has 9"),
        ({"A": 0}, "A has 0"),
        ({"A": True}, "A has True"),
        ({"A": 1.5}, "A has 1.5"),
        ({"A": "nothing"}, "A has 'nothing'"),
        ({"A": [4]}, "A has [4]"),
        ({"G": 1}, "no patient 'G'"),
        ([4, 2, 8], "a list came back"),
        ("428561", "a str came back"),
        (4, "an int came back"),
    ],
    ids=str,
)
def test_an_answer_of_another_form_is_sent_back(answer, words):
    verdict = checks.diagnosis.judge(lambda: answer)
    assert not verdict.passed and words in verdict.sentence and "a number from 1 to 8" in verdict.sentence


def test_every_patient_has_a_fault_of_its_own_and_a_report():
    faults = list(PATIENTS.values())
    assert len(set(faults)) == len(faults) < len(FAULTS)
    assert set(faults) == set(REPORTS) == set(OF_FAULT)


# Stubs, strict mode, and the lesson's own solutions.
@pytest.mark.parametrize("check", [checks.diagnosis, *(of[0] for of in EXERCISES.values())], ids=lambda c: c.name)
def test_stubs_are_not_attempted(check, monkeypatch):
    def stub(*arguments): ...

    def refuses(*arguments):
        raise NotImplementedError

    for attempt in (stub, refuses):
        assert "not attempted yet" in check.judge(attempt).sentence
    monkeypatch.setenv("CL_COURSE_STRICT", "1")
    with pytest.raises(ExerciseError, match="not attempted"):
        check(stub)


def test_the_lessons_solutions_pass(monkeypatch):
    monkeypatch.setenv("CL_COURSE_STRICT", "1")
    scope = {"torch": torch, "F": F, "byol_loss": byol_loss, "ema_update": ema_update, "checks": checks}
    cells = [cell for cell in jupytext.read(SOURCE, fmt="py:percent").cells if cell.cell_type == "code"]
    places = [i for i, cell in enumerate(cells) if "exercise" in cell.metadata.get("tags", [])]
    assert len(places) == 7
    for i in places:
        exec(cells[i].source, scope)  # noqa: S102 - the course's own cell
        exec(cells[i + 1].source, scope)  # noqa: S102 - its check
