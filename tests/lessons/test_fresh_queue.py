"""The loss against a queue made now: equal where the queue is made now, higher where a query tells its key by age."""

import pytest
import torch
from torch import Generator, nn

from cl_course.augment import AugmentConfig
from cl_course.data import ImageSet
from cl_course.lessons.moco.figures import lottery_figure
from cl_course.lessons.moco.fresh_queue import fresh_keys, own_and_fresh
from cl_course.methods import MoCo

SIZE = 8


def images(n: int) -> ImageSet:
    pixels = torch.randint(0, 256, (n, 3, 8, 8), dtype=torch.uint8, generator=Generator().manual_seed(n))
    return ImageSet(pixels, torch.zeros(n, dtype=torch.long), ["thing"])


@pytest.fixture(params=[True, False], ids=["symmetric", "one way"])
def method(request) -> MoCo:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        encoder = nn.Sequential(nn.Flatten(), nn.Linear(192, 16), nn.BatchNorm1d(16))
        return MoCo(encoder, nn.Linear(16, 12), queue_size=50, dim=12, symmetric=request.param)


def test_as_many_keys_as_the_queue_holds_of_length_one(method):
    for n in (SIZE, 30):  # as few images as a batch has are used again and again
        keys = fresh_keys(method.train(), images(n), SIZE, AugmentConfig(), Generator().manual_seed(0))
        assert keys.shape == method.queue.shape and torch.allclose(keys.norm(dim=1), torch.ones(50))


def test_a_queue_made_now_changes_nothing_and_the_method_stays(method):
    method.queue.copy_(fresh_keys(method.train(), images(30), SIZE, AugmentConfig(), Generator().manual_seed(5)))
    before = {name: value.clone() for name, value in method.state_dict().items()}
    # BatchNorm's batch statistics are used, so the same views give the same keys.
    own, fresh = own_and_fresh(method, images(30), images(20), SIZE, AugmentConfig(), seed=5)
    assert own == pytest.approx(fresh, abs=1e-6)
    assert all(torch.equal(value, before[name]) for name, value in method.state_dict().items())


def test_keys_that_no_query_is_near_are_told_from_fresh_ones(method):
    """What age does in the extreme: the old keys lie where no key lies now."""
    fresh_ones = fresh_keys(method.train(), images(30), SIZE, AugmentConfig(), Generator().manual_seed(5))
    method.queue.copy_(nn.functional.normalize(-fresh_ones.mean(dim=0, keepdim=True).expand(50, -1), dim=1))
    own, fresh = own_and_fresh(method, images(30), images(20), SIZE, AugmentConfig())
    assert own < fresh - 0.3


def test_few_queries_are_one_short_batch(method):
    own, fresh = own_and_fresh(method, images(30), images(5), SIZE, AugmentConfig())
    assert own > 0 and fresh > 0


def test_the_lottery_shows_every_seed_and_every_line():
    figure = lottery_figure({"momentum": {"0": [0.1, 0.2], "0.9": [0.3, 0.8]}, "keys": {"256": [0.5]}}, {"chance": 0.1})
    (axes,) = figure.axes
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["0", "0.9", "256"]
    assert sum(len(dots.get_offsets()) for dots in axes.collections) == 5
    assert [line.get_xdata()[0] for line in axes.lines] == pytest.approx([0.15, 0.55, 0.5, 0.1])
