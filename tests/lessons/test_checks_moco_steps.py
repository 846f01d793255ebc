"""Lesson 04's checks of the queue's step and of the moving average: right answers pass in any style, wrong ones get a
sentence that is true of them, whether anyone has listed them or not."""

import functools

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from cl_course import checks
from cl_course.lessons.shared.exercise import ExerciseError
from cl_course.losses import info_nce
from cl_course.momentum import ema_update

ALL = {"queue_step": checks.queue_step, "ema_update": checks.ema_update}


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


def by_turning(q, k, queue, oldest, temperature):
    k = F.normalize(k.detach(), dim=1)
    loss = info_nce(q, k, queue, temperature)
    turned = torch.roll(queue, -oldest, dims=0)
    turned[: len(k)] = k
    queue.copy_(torch.roll(turned, oldest, dims=0))
    return loss.reshape(1), torch.tensor([(oldest + len(k)) % len(queue)])


def by_index_copy(queries, keys, ring, first, t):
    keys = F.normalize(keys, dim=1).detach()
    loss = info_nce(queries, keys, ring, t)
    ring.index_copy_(0, torch.tensor([(first + i) % len(ring) for i in range(len(keys))]), keys)
    return loss, float((first + len(keys)) % len(ring))


class InDouble:
    def __call__(self, q, k, queue, oldest, temperature):
        k = F.normalize(k.detach().double(), dim=1)
        loss = info_nce(q.double(), k, queue.double(), temperature)
        queue[(oldest + torch.arange(len(k))) % len(queue)] = k.float()
        return loss, (oldest + len(k)) % len(queue)


RIGHT_STEPS = [
    by_places, by_loop, in_two_pieces, by_turning, by_index_copy, InDouble(), functools.partial(by_places)
]  # fmt: skip


@pytest.mark.parametrize("solution", RIGHT_STEPS)
def test_right_queue_steps_pass(solution):
    assert checks.queue_step.judge(solution).passed, checks.queue_step.judge(solution)


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
    scope = {"info_nce": info_nce, "F": F, "torch": torch, "seen": []}
    exec(TEMPLATE.format(**RIGHT | lines), scope)  # noqa: S102 - lines of this file
    return scope["attempt"]


OWN_LOGITS = (
    "q = F.normalize(q, dim=1); loss = F.cross_entropy(torch.cat([(q * k).sum(1, keepdim=True), q @ queue.T], 1) "
    "/ temperature, torch.zeros(n).long())"
)
SLICE = "queue[oldest:oldest + n] = k"
STEPS = {
    "queue first": ({"before": RIGHT["write"], "write": "pass"}, "enqueued before the loss"),
    "the newest": ({"write": "queue[(oldest - 1 - torch.arange(n)) % K] = k"}, "newest keys are overwritten"),
    "the last rows": ({"write": "queue[K - n:] = k"}, "`oldest` is not used"),
    "cut off": ({"write": "queue[oldest:oldest + n] = k[:K - oldest]"}, "loses keys at its end"),
    "a slice": ({"write": SLICE}, "runs over the queue's end. "),
    "no modulo": ({"write": "queue[oldest + torch.arange(n)] = k"}, "runs over the queue's end. "),
    "start again": (
        {"before": "oldest = 0 if oldest + n > K else oldest", "write": SLICE, "advance": "oldest = oldest + n"},
        "passed over"),
    "vstack": ({"write": "queue[:] = torch.vstack([queue[n:], k])"}, "you move all rows"),
    "cat": ({"write": "queue = torch.cat([queue[n:], k])"}, "no key has gone into the caller's queue"),
    "a clone": ({"write": "queue = queue.clone(); " + RIGHT["write"]}, "no key has gone into the caller's queue"),
    "queries": (
        {"write": "queue[(oldest + torch.arange(n)) % K] = F.normalize(q, dim=1).detach()"}, "queries have gone into"),
    "lengths": ({"keys": "k = k.detach()"}, "at the length that they came with"),
    "roles": ({"loss": "loss = info_nce(k, q, queue, temperature)"}, "keys ask"),
    "no T": ({"loss": "loss = info_nce(q, k, queue)"}, "temperature is not handed on"),
    "no queue": (
        {"loss": "loss = F.cross_entropy(F.normalize(q, dim=1) @ k.T / temperature, torch.arange(n))"},
        "not the queue"),
    "not moved": ({"advance": "pass"}, "You return it unchanged"),
    "by one": ({"advance": "oldest = (oldest + 1) % K"}, "go on by one place"),
    "beyond": ({"advance": "oldest = oldest + n"}, "leave out the modulo"),
    "0 at the end": ({"advance": "oldest = oldest + n; oldest = oldest if oldest < K else 0"}, "start again at 0"),
    "the last written": ({"advance": "oldest = (oldest + n - 1) % K"}, "last key that you wrote"),
    "graph kept": ({"keys": "k = F.normalize(k, dim=1)"}, "queue keeps gradients"),
    "into the keys": (
        {"keys": "k = F.normalize(k, dim=1)", "write": RIGHT["write"] + ".detach()"}, "flows into the keys"),
    "q detached": ({"before": "q = q.detach()"}, "no gradient reaches the queries"),
    "item": ({"answer": "loss.item(), oldest"}, "no gradient reaches the queries"),
    "no clone": ({"loss": OWN_LOGITS}, "backward() needs the queue as it was"),
    "loss alone": ({"answer": "loss"}, "two things are to be returned"),
    "None": ({"answer": "None"}, "two things are to be returned"),
    "exchanged": ({"answer": "oldest, loss"}, "the second is no whole number"),
    "shapes": ({"loss": "loss = q @ k"}, "your code stopped with"),
    "two at once": ({"before": RIGHT["write"], "write": "pass", "advance": "pass"}, "two things at once"),
    "* every second row": ({"write": "queue[(oldest + 2 * torch.arange(n)) % K] = k"}, "rows that change are [0, 2"),
    "* a mix of old and new": (
        {"write": "at = (oldest + torch.arange(n)) % K; queue[at] = F.normalize(k + queue[at], dim=1)"},
        "are not the keys"),
    "* other order": ({"write": RIGHT["write"] + "[[1, 0, 2][:n]]" }, "the keys of images [1, 0, 2], expected"),
    "* a half": ({"write": RIGHT["write"] + " / 2"}, "have the lengths [0.5, 0.5, 0.5]"),
    "* noise": (
        {"write": RIGHT["write"] + " + 0.5 * torch.linspace(-1, 1, k.shape[1])"}, "are not the keys"),
    "* whole queue": ({"write": RIGHT["write"] + "; queue.mul_(0.9)"}, "rows that change are [0, 1, 2, 3"),
    "* one key a step": ({"write": "queue[oldest] = k[0]"}, "rows that change are [6]"),
    "* modulo one less": ({"advance": "oldest = (oldest + n) % (K - 1)"}, "the place that you return is 1"),
    "* twice n": ({"advance": "oldest = (oldest + 2 * n) % K"}, "the place that you return is 6"),
    "* T squared": ({"loss": "loss = info_nce(q, k, queue, temperature ** 2)"}, "the right loss at T squared"),
    "* T typed in": ({"loss": "loss = info_nce(q, k, queue, 0.07)"}, "temperature has no effect"),
    "* in base 2": ({"loss": RIGHT["loss"] + " / 0.6931472"}, "base 2"),
    "* own key left out": (
        {"loss": "q = F.normalize(q, dim=1); others = q @ queue.clone().T / temperature; "
                 "loss = (others.logsumexp(1) - (q * k).sum(1) / temperature).mean()"}, "queue and place are right"),
    "* half of the queue": ({"loss": "loss = info_nce(q, k, queue[:4], temperature)"}, "queue and place are right"),
    "* pulled together alone": (
        {"loss": "loss = 1 - F.cosine_similarity(q, k).mean()"}, "temperature has no effect"),
    "* an empty queue": ({"loss": "loss = info_nce(q, k, queue[:0], temperature) + 0 * q.sum()"}, "your loss"),
    "* waits a step": (
        {"write": "seen.append(k)\n    if len(seen) > 1: queue[(oldest + torch.arange(n)) % K] = seen[-2]"},
        "in step 2, of 3 keys into 8 places, the queue is wrong"),
    "* only this size": (
        {"write": "queue[[(oldest + i) % 8 for i in range(n)]] = k" , "advance": "oldest = (oldest + 3) % 8"},
        "right with 3 keys a step and 8 places, but with 4 and 4 your code stopped with IndexError"),
    "* gradient halved": ({"before": "q = (q + q.detach()) / 2"}, "is not that of the loss"),
    "* queue resized": ({"write": "queue.resize_(K + n, queue.shape[1])"}, "another shape"),
    "* three things": ({"answer": "loss, oldest, queue"}, "two things are to be returned"),
    "* a place in between": ({"answer": "loss, oldest + 0.5"}, "no whole number"),
}  # fmt: skip


# The moving average: right, in different ways.
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


@torch.no_grad()
def by_vectors(a, b, m):
    flat = nn.utils.parameters_to_vector
    nn.utils.vector_to_parameters(m * flat(a.parameters()) + (1 - m) * flat(b.parameters()), a.parameters())
    torch._foreach_copy_(list(a.buffers()), list(b.buffers()))


@torch.no_grad()
def module_by_module(key_network, query_network, momentum):
    for slow, fast in zip(key_network.modules(), query_network.modules()):
        for name, weight in slow.named_parameters(recurse=False):
            weight.mul_(momentum).add_(getattr(fast, name), alpha=1 - momentum)
        for name, buffer in slow.named_buffers(recurse=False):
            setattr(slow, name, getattr(fast, name).clone())


class Drift:
    @torch.no_grad()
    def __call__(self, key, query, momentum):
        for slow, fast in zip(key.parameters(), query.parameters()):
            slow += (1 - momentum) * (fast - slow)
        for slow, fast in zip(key.buffers(), query.buffers()):
            slow[...] = fast


RIGHT_UPDATES = [
    by_lerp, by_data, by_state, by_vectors, module_by_module, Drift(), ema_update, functools.partial(by_lerp)
]  # fmt: skip


@pytest.mark.parametrize("solution", RIGHT_UPDATES)
def test_right_updates_pass(solution):
    assert checks.ema_update.judge(solution).passed, checks.ema_update.judge(solution)


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
    scope = {"torch": torch, "seen": [], "old": {}}
    exec(UPDATE.format(**RIGHT_UPDATE | lines), scope)  # noqa: S102 - lines of this file
    return scope["attempt"]


SWAPPED = {"pair": "query.parameters(), key.parameters()"}
NAMED = "for (name, slow), fast in zip(key.named_parameters(), query.parameters()): "
UPDATES = {
    "swapped": (SWAPPED | {"buffers": "fast.copy_(slow)"}, "roles are swapped"),
    "exchanged": ({"weights": "slow.mul_(1 - m).add_(fast, alpha=m)"}, "momentum and its rest are exchanged"),
    "lerp": ({"weights": "slow.lerp_(fast, m)"}, "momentum and its rest are exchanged"),
    "no buffers": ({"buffers": "pass"}, "buffers are left as they were"),
    "buffers averaged": ({"buffers": "slow.copy_(m * slow + (1 - m) * fast)"}, "buffers are averaged too"),
    "but the count": (
        {"buffers": "slow.copy_(m * slow + (1 - m) * fast if slow.ndim else fast)"}, "buffers are averaged too"),
    "a copy": ({"weights": "slow.copy_(fast)"}, "not a slow one"),
    "no weights": ({"weights": "pass"}, "weights stay as they were"),
    "a new name": ({"weights": "slow = m * slow + (1 - m) * fast"}, "weights stay as they were"),
    "new names": (
        {"weights": "slow = m * slow + (1 - m) * fast", "buffers": "slow = fast"}, "key network stays as it was"),
    "all of its own": ({"weights": "slow.add_(fast, alpha=1 - m)"}, "do not add up to 1"),
    "all of the other": ({"weights": "slow.mul_(m).add_(fast)"}, "do not add up to 1"),
    "minus": ({"weights": "slow.mul_(m).sub_(fast, alpha=1 - m)"}, "subtracted"),
    "away": ({"weights": "slow.add_(slow - fast, alpha=1 - m)"}, "moves away"),
    "with a graph": ({"first": "", "weights": "slow.copy_(m * slow + (1 - m) * fast)"}, "now require a gradient"),
    "replaced": ({"last": "key[0].weight = torch.nn.Parameter(key[0].weight.clone())"}, "other objects than before"),
    "shared buffers": ({"buffers": "slow.data = fast.data"}, "1.running_var and 1.num_batches_tracked: when"),
    "two at once": ({"weights": "slow.lerp_(fast, m)", "buffers": "pass"}, "two things at once"),
    "swapped, no buffers": (SWAPPED | {"buffers": "pass"}, "two things at once"),
    "* the sum halved": ({"weights": "slow.mul_(m).add_(fast, alpha=1 - m).mul_(0.5)"}, "0.75 * 1 + 0.25 * 3"),
    "* share of the step squared": ({"weights": "slow.lerp_(fast, (1 - m) ** 2)"}, "becomes 1.125, expected"),
    "* root of momentum": ({"weights": "slow.lerp_(fast, 1 - m ** 0.5)"}, "becomes 1.2679, expected"),
    "* the query too": ({"weights": RIGHT_UPDATE["weights"] + "; fast.lerp_(slow, 0.1)"}, "the query network moves"),
    "* the query's buffers": ({"buffers": "slow.copy_(fast); fast.zero_()"}, "1.running_mean"),
    "* first layer alone": (
        {"weights": "pass", "last": "key[0].weight.lerp_(query[0].weight, 1 - m)"}, "0.bias, 1.weight"),
    "* the last parameter is missed": (
        {"pair": "list(key.parameters())[:-1], query.parameters()"}, "2.bias"),
    "* shifted by a layer": (
        {"pair": "*([p for p in x.parameters() if p.shape == (4,)][i:] for i, x in ((1, key), (0, query)))"},
        "0.weight"),
    "* mean buffer alone": ({"buffers": "slow.copy_(fast) if slow.ndim and slow.min() < 0.5 else slow"}, "running_"),
    "* buffers zeroed": ({"buffers": "slow.zero_()"}, "running_mean becomes 0"),
    "* buffers summed": ({"buffers": "slow.add_(fast)"}, "running_mean becomes 4"),
    "* buffers by 0.9": ({"buffers": "slow.copy_(0.9 * slow + 0.1 * fast)"}, "running_mean becomes 1.2"),
    "* momentum typed in": ({"weights": "slow.lerp_(fast, 1 - 0.95)"}, "becomes 1.1, expected"),
    "* after some waiting": ({"weights": "slow.lerp_(fast, 1 - m) if len(seen) >= 6 else seen.append(1)"}, "differ"),
    "* works once": (
        {"weights": "slow.lerp_(fast, 1 - m) if len(seen) < 6 else slow; seen.append(1)"}, "every parameter"),
    "* the momentum is rounded": ({"weights": "slow.lerp_(fast, 1 - round(m))"}, "becomes 1, expected"),
    "* the difference alone": ({"weights": "slow.copy_((1 - m) * (fast - slow))"}, "becomes 0.5, expected"),
    "* clamped": ({"weights": "slow.lerp_(fast, 1 - max(m, 0.9))"}, "becomes 1.2, expected"),
}  # fmt: skip
KINDS = [
    ("queue_step", {what: (write(**lines), words) for what, (lines, words) in STEPS.items()}),
    ("ema_update", {what: (write_update(**lines), words) for what, (lines, words) in UPDATES.items()}),
]


@pytest.mark.parametrize("name, what", [(name, what) for name, wrong in KINDS for what in wrong])
def test_wrong_answers_get_a_true_sentence(name, what):
    attempt, words = dict(KINDS)[name][what]
    verdict = ALL[name].judge(attempt)
    assert not verdict.passed and words in verdict.sentence, verdict
    listed = any(m.sentence in verdict.sentence for m in ALL[name].mistakes)
    assert not (what.startswith("*") and listed), verdict  # then it is no test of the ladder


def test_strict_mode_raises(capsys, monkeypatch):
    monkeypatch.setenv("CL_COURSE_STRICT", "1")
    checks.queue_step(by_places)
    checks.ema_update(by_lerp)
    assert capsys.readouterr().out.count("✔") == 2
    for check, attempt in (
        (checks.queue_step, write(advance="pass")),
        (checks.ema_update, write_update(buffers="pass")),
    ):
        with pytest.raises(ExerciseError, match=check.name):
            check(attempt)
