"""MoCo against Algorithm 1 written as loops, and what must never be written or learned."""

import math
import warnings

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from cl_course.data import ImageSet
from cl_course.losses import info_nce
from cl_course.methods import MoCo, build
from cl_course.methods.norm_groups import in_groups
from cl_course.models import projector, small_resnet
from cl_course.train import TrainConfig, pretrain


class Flat(nn.Module):
    """The smallest encoder: one linear layer over the pixels."""

    def __init__(self, dim: int = 6):
        super().__init__()
        self.dim, self.linear = dim, nn.Linear(12, dim)

    def forward(self, x):
        return self.linear(x.flatten(1))


def moco(**settings) -> MoCo:
    torch.manual_seed(0)
    encoder = Flat()
    return MoCo(encoder, nn.Linear(6, 4), **{"queue_size": 8, "dim": 4} | settings)


def views(n: int, seed: int = 1):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(n, 3, 2, 2, generator=generator), torch.rand(n, 3, 2, 2, generator=generator)


def step(method: MoCo, n: int, seed: int, rate: float = 0.1) -> float:
    optimizer = torch.optim.SGD([p for p in method.parameters() if p.requires_grad], lr=rate)
    loss = method.loss(*views(n, seed))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    method.after_step()
    return float(loss.detach())


@pytest.mark.parametrize("sizes", [(4, 4, 4), (3, 3, 3, 3), (8, 5), (1, 7, 6)])
def test_the_queue_is_a_list_that_drops_its_oldest(sizes):
    """Any batch size: after each step the queue holds the newest keys; order is compared from oldest to newest."""
    method = moco()
    by_hand = [row.clone() for row in method.queue]
    for seed, n in enumerate(sizes):
        _, view2 = views(n, seed)
        with torch.no_grad():
            keys = F.normalize(method.key_projector(method.key_encoder(view2)), dim=1)
        by_hand = (by_hand + list(keys))[-8:]
        step(method, n, seed)
        oldest_first = method.queue.roll(-int(method.oldest), dims=0)
        assert torch.allclose(oldest_first, torch.stack(by_hand), atol=1e-6)


def test_the_loss_is_algorithm_1_by_hand():
    method, (view1, view2) = moco(temperature=0.3), views(3)
    total = 0.0
    for x1, x2 in zip(view1, view2, strict=True):
        q = method.projector(method.encoder(x1[None]))[0]
        k = method.key_projector(method.key_encoder(x2[None]))[0]
        q, k = q / q.norm(), k / k.norm()
        scores = [math.exp(float((q @ other).detach()) / 0.3) for other in [k, *method.queue]]
        total -= math.log(scores[0] / sum(scores))
    assert float(method.loss(view1, view2)) == pytest.approx(total / 3, rel=1e-5)


def test_the_key_encoder_drifts_as_equation_2_says():
    method = moco(momentum=0.7)
    slow = method.key_encoder.linear.weight.clone()
    step(method, 4, 0)
    expected = 0.7 * slow + 0.3 * method.encoder.linear.weight
    assert torch.allclose(method.key_encoder.linear.weight, expected, atol=1e-6)


def test_only_the_query_network_gets_gradients():
    method = moco()
    method.loss(*views(4)).backward()
    assert all(p.grad is not None for network in (method.encoder, method.projector) for p in network.parameters())
    assert all(p.grad is None for network in (method.key_encoder, method.key_projector) for p in network.parameters())
    assert not method.queue.requires_grad and not method.new_keys.requires_grad


def test_loss_never_writes_the_queue_so_no_key_is_its_own_negative():
    method, (view1, view2) = moco(), views(4)
    before = method.queue.clone()
    first = float(method.loss(view1, view2))
    assert torch.equal(method.queue, before)
    assert float(method.loss(view1, view2)) == first
    method.after_step()
    assert float(method.loss(view1, view2)) > first  # now the keys are in the queue, as false negatives


def normed(**settings) -> MoCo:
    torch.manual_seed(0)
    return MoCo(nn.Sequential(Flat(), nn.BatchNorm1d(6)), nn.Linear(6, 4), **{"queue_size": 32, "dim": 4} | settings)


@pytest.mark.parametrize(
    "n, groups, key_norm, together",
    [
        (8, 2, "batch", [[0, 1, 2, 3], [4, 5, 6, 7]]),
        (8, 2, "shuffled", [[0, 2, 5, 7], [1, 3, 4, 6]]),
        (9, 3, "shuffled", [[0, 5, 7], [1, 3, 8], [2, 4, 6]]),
        (7, 2, "batch", [[0, 1, 2, 3], [4, 5, 6]]),
        (7, 2, "shuffled", [[0, 1, 2, 5], [3, 4, 6]]),
    ],
)
def test_every_group_is_normalised_by_itself_and_the_order_is_kept(n, groups, key_norm, together):
    """By hand: queries in stretches, keys in the same or dealt out, and every row back in its place."""
    method, (view1, view2) = normed(norm_groups=groups, key_norm=key_norm), views(n)
    q, k = method.embeddings(view1, view2)
    for rows in torch.arange(n).tensor_split(groups):
        torch.testing.assert_close(q[rows], method.projector(method.encoder(view1[rows])))
    for rows in together:
        torch.testing.assert_close(k[rows], F.normalize(method.key_projector(method.key_encoder(view2[rows])), dim=1))


@pytest.mark.parametrize("groups", [2, 4, 8])
def test_dealt_keys_share_as_much_with_every_group_of_queries_and_no_image_meets_itself(groups):
    """Which views move a key? By changing them one at a time; views i and i + 16 are of one image."""
    method, (view1, view2) = normed(norm_groups=groups, key_norm="shuffled"), views(32)
    key = method.embeddings(view1, view2)[1][5]
    moving = []
    for i in range(32):
        changed = view2.clone()
        changed[i] = 1 - changed[i]
        if not torch.allclose(key, method.embeddings(view1, changed)[1][5], atol=1e-5):
            moving.append(i)
    assert len(moving) == 32 // groups and 5 in moving and 21 not in moving
    in_stretch = torch.bincount(torch.tensor(moving) * groups // 32, minlength=groups)
    assert in_stretch.max() - in_stretch.min() <= 1


def test_one_group_is_the_whole_batch():
    for a, b in zip(normed().embeddings(*views(6)), normed(norm_groups=1).embeddings(*views(6))):
        assert torch.equal(a, b)


def test_groups_too_small_for_batchnorm_are_named_before_anything_is_trained():
    with pytest.raises(ValueError, match="8 groups of 15 keys leave BatchNorm fewer than 2 in a group"):
        normed(norm_groups=8).check_data(images=100, batch_size=15)
    normed(norm_groups=8, symmetric=True).check_data(images=100, batch_size=8)


def test_a_run_with_shuffled_keys_that_was_cut_off_ends_as_an_unbroken_one(tmp_path):
    images = ImageSet(torch.randint(256, (24, 3, 2, 2), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)))
    config = TrainConfig(epochs=2, batch_size=8)

    def shuffled() -> MoCo:
        return normed(queue_size=16, norm_groups=2, key_norm="shuffled")

    whole, cut = shuffled(), shuffled()
    pretrain(whole, images, config)

    def cut_off(row, method):
        if row["epoch"] == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pretrain(cut, images, config, on_epoch=cut_off, resume=tmp_path / "run.pt")
    again = shuffled()
    pretrain(again, images, config, resume=tmp_path / "run.pt")
    for name, value in whole.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name


def test_matches_lightlys_loss_with_its_memory_bank():
    loss = pytest.importorskip("lightly.loss")
    criterion = loss.NTXentLoss(temperature=0.2, memory_bank_size=(8, 4))
    q, k = torch.randn(3, 4), torch.randn(3, 4)
    bank = F.normalize(torch.randn(8, 4), dim=1)
    criterion.memory_bank.bank, criterion.memory_bank.bank_ptr = bank, torch.zeros(1, dtype=torch.long)
    assert float(info_nce(q, k, bank, 0.2)) == pytest.approx(float(criterion(q, k)), rel=1e-5)


@pytest.mark.parametrize(
    "settings, sentence",
    [
        ({"momentum": 1.1}, "momentum must be a finite number at least 0 and at most 1, got 1.1"),
        ({"momentum": -0.1}, "momentum must be a finite number at least 0 and at most 1, got -0.1"),
        ({"momentum": math.nan}, "momentum must be a finite number at least 0 and at most 1, got nan"),
        ({"temperature": 0}, "temperature must be a finite number above 0, got 0"),
        ({"queue_size": 8.0}, "queue_size must be a whole number from 1 to 4194304, got 8.0"),
        ({"dim": "4"}, "dim must be a whole number of at least 1, got '4'"),
        ({"queue_size": 0}, "queue_size must be a whole number from 1 to 4194304, got 0"),
        ({"key_norm": "running"}, "key_norm must be 'batch' or 'shuffled', got 'running'"),
        ({"norm_groups": 0}, "norm_groups must be a whole number of at least 1, got 0"),
        ({"key_norm": "shuffled"}, "norm_groups must be a whole number of at least 2, got 1; key_norm 'shuffled'"),
    ],
)
def test_bad_settings_are_named(settings, sentence):
    with pytest.raises(ValueError, match=sentence):
        moco(**settings)


def test_a_batch_larger_than_the_queue_is_named():
    with pytest.raises(ValueError, match="a batch of 9 keys does not fit into a queue of 8"):
        step(moco(), 9, 0)


def test_a_queue_longer_than_the_data_is_allowed_with_a_warning():
    with pytest.warns(UserWarning, match="own earlier keys as negatives"):
        moco(queue_size=8).check_data(images=7, batch_size=4)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        moco(queue_size=8).check_data(images=8, batch_size=8)


@pytest.mark.parametrize("settings, keys", [({}, 9), ({"symmetric": True}, 18)])
def test_a_queue_shorter_than_a_batch_is_named_before_anything_is_trained(settings, keys):
    method = moco(**settings)
    before = [p.clone() for p in method.parameters()]
    with pytest.raises(
        ValueError,
        match=f"a batch of {keys} keys does not fit into a queue of 8; take a larger queue_size or a smaller batch",
    ):
        pretrain(method, ImageSet(torch.zeros(20, 3, 2, 2, dtype=torch.uint8)), TrainConfig(batch_size=9))
    assert all(torch.equal(a, b) for a, b in zip(before, method.parameters()))


def test_the_symmetric_loss_is_the_mean_of_both_directions_and_queues_both_views_keys():
    """Without BatchNorm, where no view sees another."""
    both, (view1, view2) = moco(symmetric=True), views(3)
    one, other = float(moco().loss(view1, view2)), float(moco().loss(view2, view1))
    assert one != other
    assert float(both.loss(view1, view2)) == pytest.approx((one + other) / 2, rel=1e-5)
    with torch.no_grad():
        keys = F.normalize(both.key_projector(both.key_encoder(torch.cat([view2, view1]))), dim=1)
    both.after_step()
    torch.testing.assert_close(both.queue[:6], keys)
    assert int(both.oldest) == 6


def test_built_by_name_the_queue_has_the_projectors_width():
    assert build("moco", Flat(), {"out_dim": 32}).queue.shape == (4096, 32)


@pytest.mark.parametrize("n, groups", [(6, 4), (5, 2), (100, 8), (64, 3), (128, 8)])
def test_the_two_views_of_an_image_are_never_dealt_into_one_group(n, groups):
    row, seen = torch.arange(2.0 * n)[:, None], []
    in_groups(lambda part: (seen.append(part[:, 0].int()), part)[1], row, groups, dealt=True)
    assert not any(set(part.tolist()) & set((part + n).tolist()) for part in seen)


def test_moco_names_a_wrong_dim():
    with pytest.raises(ValueError, match="got 3, but the projector makes vectors of 4"):
        moco(dim=3)


def test_dealing_a_large_batch_keeps_the_order_within_groups():
    x, seen = torch.arange(200.0)[:, None], []
    in_groups(lambda part: (seen.append(part[:, 0]), part)[1], x, 2, dealt=True)
    assert all(torch.equal(part, part.sort().values) for part in seen)


def test_chance_counts_the_own_key():
    assert moco().chance(3) == pytest.approx(math.log(9))


def test_keys_of_another_precision_fit_the_queue():
    method = moco()
    method.enqueue(torch.ones(2, 4, dtype=torch.bfloat16))
    assert torch.equal(method.queue[:2], torch.ones(2, 4)) and method.queue.dtype == torch.float32


def test_a_queue_that_no_memory_holds_is_refused_before_it_is_made():
    with pytest.raises(ValueError, match="queue_size must be a whole number from 1 to 4194304, got 1000000000; the"):
        MoCo(nn.Flatten(), nn.Linear(4, 8), queue_size=10**9, dim=8)


def test_symmetric_is_true_or_false():
    encoder = small_resnet(4)
    with pytest.raises(TypeError, match="symmetric must be True or False, got 'no'"):
        MoCo(encoder, projector(encoder.dim), symmetric="no")
