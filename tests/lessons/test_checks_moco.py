"""The checks of lesson 04: they pass every right form, and name every planted mistake."""

from importlib import import_module
from pathlib import Path

import jupytext
import pytest
import torch
import torch.nn.functional as F

from cl_course import checks
from cl_course.lessons.shared.exercise import ExerciseError
from cl_course.losses import info_nce
from cl_course.momentum import ema_update

step_module, ema_module = (
    import_module(f"cl_course.lessons.moco.check_{name}") for name in ("queue_step", "ema_update")
)  # as attributes they are the functions
SOURCE = step_module.__file__.replace("cl_course/lessons/moco/check_queue_step.py", "notebooks/src/04_moco.py")


# The queue's step: right, in different ways.
def by_places(q, k, queue, oldest, temperature):
    k = F.normalize(k.detach(), dim=1)
    loss = info_nce(q, k, queue, temperature)
    queue[(oldest + torch.arange(len(k))) % len(queue)] = k
    return loss, (oldest + len(k)) % len(queue)


@torch.no_grad()
def written_in(queue, oldest, k):
    for key in k:
        queue[oldest] = key / key.norm()
        oldest = 0 if oldest == len(queue) - 1 else oldest + 1
    return oldest


def by_loop(q, k, queue, oldest, temperature):
    q = F.normalize(q, dim=1)
    k = F.normalize(k, dim=1).detach()
    logits = torch.cat([(q * k).sum(dim=1, keepdim=True), q @ queue.clone().T], dim=1) / temperature
    loss = F.cross_entropy(logits, torch.zeros(len(q), dtype=torch.long))
    return [loss, torch.tensor(written_in(queue, oldest, k))]


def in_two_pieces(q, k, queue, oldest, temperature):
    with torch.no_grad():
        k = F.normalize(k)
    loss = info_nce(q, k, queue, temperature)
    room = len(queue) - oldest
    queue.data[oldest : oldest + len(k)] = k[:room]
    if len(k) > room:
        queue.data[: len(k) - room] = k[room:]
    return loss, (oldest + len(k)) % len(queue)


@pytest.mark.parametrize("solution", [by_places, by_loop, in_two_pieces])
def test_right_queue_steps_pass(solution, capsys, monkeypatch):
    monkeypatch.setenv("CL_COURSE_STRICT", "1")
    checks.queue_step(solution)
    assert capsys.readouterr().out.startswith("✔ my_queue_step")


# Wrong, written out by hand: no code shared with the check's own mistakes. A row says which lines a learner changes.
TEMPLATE = """
def attempt(q, k, queue, oldest, temperature):
    n, K = len(k), len(queue)
    {keys}
    {before}
    {loss}
    {write}
    {advance}
    return {answer}
"""
RIGHT = {
    "keys": "k = F.normalize(k.detach(), dim=1)",
    "before": "pass",
    "loss": "loss = info_nce(q, k, queue, temperature)",
    "write": "queue[(oldest + torch.arange(n)) % K] = k",
    "advance": "oldest = (oldest + n) % K",
    "answer": "loss, oldest",
}


def write(**lines):
    scope = {"info_nce": info_nce, "F": F, "torch": torch}
    exec(TEMPLATE.format(**RIGHT | lines), scope)  # noqa: S102 - lines of this file
    return scope["attempt"]


OWN_LOGITS = "q = F.normalize(q, dim=1); loss = F.cross_entropy(torch.cat([(q * k).sum(1, keepdim=True), q @ queue.T], 1) / temperature, torch.zeros(n).long())"
WRONG_STEPS = [
    ({"before": RIGHT["write"], "write": "pass"}, "enqueued before the loss"),
    ({"write": "queue[(oldest - 1 - torch.arange(n)) % K] = k.flip(0)"}, "newest keys are overwritten"),
    ({"write": "queue[K - n:] = k"}, "`oldest` is not used"),
    ({"write": "queue[:n] = k"}, "`oldest` is not used"),
    ({"write": "queue[oldest:oldest + n] = k[:K - oldest]"}, "loses keys at its end"),
    (
        {
            "write": "queue[oldest:oldest + n] = k[:K - oldest]",
            "advance": "oldest = 0 if oldest + n >= K else oldest + n",
        },
        "loses keys at its end",
    ),
    ({"write": "queue[oldest:oldest + n] = k"}, "runs over the queue's end: "),
    ({"write": "queue[oldest + torch.arange(n)] = k"}, "runs over the queue's end: "),
    (
        {
            "before": "oldest = 0 if oldest + n > K else oldest",
            "write": "queue[oldest:oldest + n] = k",
            "advance": "oldest = oldest + n",
        },
        "passed over",
    ),
    ({"write": "queue[:] = torch.vstack([queue[n:], k])"}, "shift the whole queue"),
    ({"write": "queue = torch.cat([queue[n:], k])"}, "no key has gone into the queue"),
    ({"write": "queue = queue.clone(); " + RIGHT["write"]}, "no key has gone into the queue"),
    (
        {"write": "queue[(oldest + torch.arange(n)) % K] = F.normalize(q, dim=1).detach()"},
        "queries have gone into the queue",
    ),
    ({"keys": "k = k.detach()"}, "at the length they came with"),
    ({"loss": "loss = info_nce(k, q, queue, temperature)"}, "keys ask"),
    ({"loss": "loss = info_nce(q, k, queue)"}, "temperature is not handed on"),
    (
        {"loss": "loss = F.cross_entropy(F.normalize(q, dim=1) @ k.T / temperature, torch.arange(n))"},
        "no negatives from the queue",
    ),
    ({"advance": "pass"}, "You return it unchanged"),
    ({"advance": "oldest = (oldest + 1) % K"}, "go on by one place"),
    ({"advance": "oldest = oldest + n"}, "leave out the modulo"),
    ({"advance": "oldest = oldest + n; oldest = oldest if oldest < K else 0"}, "start again at 0"),
    ({"keys": "k = F.normalize(k, dim=1)"}, "queue keeps gradients"),
    (
        {"keys": "k = F.normalize(k, dim=1)", "write": "queue[(oldest + torch.arange(n)) % K] = k.detach()"},
        "flows into the keys",
    ),
    ({"keys": "k = F.normalize(k.detach(), dim=1); q = q.detach()"}, "no gradient reaches the queries"),
    ({"answer": "loss.item(), oldest"}, "no gradient reaches the queries"),
    ({"loss": OWN_LOGITS}, "backward() needs the queue as it was"),
    ({"answer": "loss"}, "two things are to be returned"),
    ({"answer": "None"}, "two things are to be returned"),
    ({"answer": "oldest, loss"}, "two things are to be returned"),
    ({"loss": "loss = q @ k"}, "your code stopped with"),
    ({"loss": "loss = -info_nce(q, k, queue, temperature)"}, "none of the mistakes known"),
    ({"before": RIGHT["write"], "write": "pass", "advance": "pass"}, "two things at once.*before the loss.*unchanged"),
]


@pytest.mark.parametrize(
    "lines, named", WRONG_STEPS, ids=lambda x: x if isinstance(x, str) else " ".join(x.values())[:60]
)
def test_planted_queue_steps_are_named(lines, named, capsys, monkeypatch):
    assert_named(checks.queue_step, write(**lines), named, capsys, monkeypatch)


def assert_named(check, attempt, named, capsys, monkeypatch):
    """`named`: what must be said, in parts separated by `.*`."""
    monkeypatch.delenv("CL_COURSE_STRICT", raising=False)
    check(attempt)
    said = capsys.readouterr().out
    assert said.startswith("✘ my_") and said.count("\n") == 1
    assert all(part in said for part in named.split(".*")), said
    assert ("two things at once" in said) == ("two things at once" in named)
    monkeypatch.setenv("CL_COURSE_STRICT", "1")
    with pytest.raises(ExerciseError):
        check(attempt)


# The key network's drift: right, in different ways.
@torch.no_grad()
def by_lerp(key_network, query_network, momentum):
    for slow, fast in zip(key_network.parameters(), query_network.parameters()):
        slow.lerp_(fast, 1 - momentum)
    for slow, fast in zip(key_network.buffers(), query_network.buffers()):
        slow.copy_(fast)


def by_data(key_network, query_network, momentum):
    for slow, fast in zip(key_network.parameters(), query_network.parameters()):
        slow.data = slow.data * momentum + fast.data * (1 - momentum)
    for slow, fast in zip(key_network.buffers(), query_network.buffers()):
        slow.data.copy_(fast)


def by_state(key_network, query_network, momentum):
    weights = dict(query_network.named_parameters())
    slow, fast = key_network.state_dict(), query_network.state_dict()
    key_network.load_state_dict(
        {name: momentum * slow[name] + (1 - momentum) * fast[name] if name in weights else fast[name] for name in fast}
    )
    return key_network


@pytest.mark.parametrize("solution", [by_lerp, by_data, by_state, ema_update])
def test_right_updates_pass(solution, capsys, monkeypatch):
    monkeypatch.setenv("CL_COURSE_STRICT", "1")
    checks.ema_update(solution)
    assert capsys.readouterr().out.startswith("✔ my_ema_update")


UPDATE = """
{first}
def attempt(key, query, m):
    for slow, fast in zip({pair}):
        {weights}
    for slow, fast in zip(key.buffers(), query.buffers()):
        {buffers}
    {last}
"""
RIGHT_UPDATE = {
    "first": "@torch.no_grad()",
    "pair": "key.parameters(), query.parameters()",
    "weights": "slow.mul_(m).add_(fast, alpha=1 - m)",
    "buffers": "slow.copy_(fast)",
    "last": "pass",
}


def write_update(**lines):
    scope = {"torch": torch}
    exec(UPDATE.format(**RIGHT_UPDATE | lines), scope)  # noqa: S102 - lines of this file
    return scope["attempt"]


SWAPPED = {"pair": "query.parameters(), key.parameters()"}
WRONG_UPDATES = [
    (SWAPPED | {"buffers": "fast.copy_(slow)"}, "roles are swapped"),
    ({"weights": "slow.mul_(1 - m).add_(fast, alpha=m)"}, "momentum and its rest are exchanged"),
    ({"weights": "slow.lerp_(fast, m)"}, "momentum and its rest are exchanged"),
    ({"buffers": "pass"}, "buffers are forgotten"),
    ({"buffers": "slow.copy_(m * slow + (1 - m) * fast)"}, "buffers are averaged too"),
    ({"buffers": "slow.copy_(m * slow + (1 - m) * fast if slow.ndim else fast)"}, "buffers are averaged too"),
    ({"weights": "slow.copy_(fast)"}, "not a slow one"),
    ({"weights": "pass"}, "weights are forgotten"),
    ({"weights": "slow = m * slow + (1 - m) * fast"}, "weights are forgotten"),
    ({"weights": "slow = m * slow + (1 - m) * fast", "buffers": "slow = fast"}, "key network stays as it was"),
    ({"weights": "slow.add_(fast, alpha=1 - m)"}, "do not add up to 1"),
    ({"weights": "slow.mul_(m).add_(fast)"}, "do not add up to 1"),
    ({"first": ""}, "carry a gradient"),
    ({"first": "", "weights": "slow.copy_(m * slow + (1 - m) * fast)"}, "carry a gradient"),
    ({"last": "key[0].weight = torch.nn.Parameter(key[0].weight.clone())"}, "other tensors than before"),
    ({"weights": "slow.lerp_(fast, m)", "buffers": "pass"}, "two things at once.*exchanged.*buffers are forgotten"),
    (SWAPPED | {"buffers": "pass"}, "two things at once.*roles are swapped.*buffers are forgotten"),
    ({"weights": "slow.matmul(fast, m)"}, "your code stopped with TypeError"),
    ({"weights": "slow.mul_(m).sub_(fast, alpha=1 - m)"}, "none of the mistakes known"),
]


@pytest.mark.parametrize(
    "lines, named", WRONG_UPDATES, ids=lambda x: x if isinstance(x, str) else " ".join(x.values())[:60]
)
def test_planted_updates_are_named(lines, named, capsys, monkeypatch):
    assert_named(checks.ema_update, write_update(**lines), named, capsys, monkeypatch)


@pytest.mark.parametrize(
    "module, make",
    [(step_module, step_module._step), (ema_module, ema_module._update)],
    ids=["queue_step", "ema_update"],
)
def test_every_mistake_leaves_something_of_its_own(module, make):
    """Otherwise one would be named as another."""
    runs = [module._run(make(**parts)).left for _, parts in module.MISTAKES]
    right = module._run(make()).left
    for (sentence, _), run in zip(module.MISTAKES, runs):
        assert not module.same(run, right), sentence
        assert all(other == sentence for (other, _), r in zip(module.MISTAKES, runs) if module.same(run, r)), sentence


def test_the_courses_own_update_is_the_checks():
    assert ema_module.same(ema_module._run(ema_update).left, ema_module._run(ema_module._update()).left)


def test_stubs_are_not_attempted(capsys, monkeypatch):
    def stub(*arguments): ...

    def refuses(*arguments):
        raise NotImplementedError

    for check in (checks.queue_step, checks.ema_update):
        for attempt in (stub, refuses):
            monkeypatch.delenv("CL_COURSE_STRICT", raising=False)
            check(attempt)
            assert "not attempted yet" in capsys.readouterr().out
            monkeypatch.setenv("CL_COURSE_STRICT", "1")
            with pytest.raises(ExerciseError, match="not attempted"):
                check(attempt)


def test_the_checks_leave_torchs_own_random_numbers_alone():
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    checks.queue_step(by_places)
    checks.ema_update(by_lerp)
    assert torch.equal(torch.rand(4), expected)


@pytest.mark.skipif(not Path(SOURCE).exists(), reason="lesson 04 is not written yet")
@pytest.mark.parametrize("name", ["queue_step", "ema_update"])
def test_the_lessons_solutions_pass(name, capsys, monkeypatch):
    cell = next(cell for cell in jupytext.read(SOURCE, fmt="py:percent").cells if f"def my_{name}" in cell.source)
    scope = {"info_nce": info_nce, "torch": torch, "F": F}
    exec(cell.source, scope)  # noqa: S102 - the course's own cell
    monkeypatch.setenv("CL_COURSE_STRICT", "1")
    getattr(checks, name)(scope[f"my_{name}"])
    assert "✔" in capsys.readouterr().out
