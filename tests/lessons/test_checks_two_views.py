"""Lesson 01's two views: every right form passes; wrong ones are shown with what was observed."""

import pytest
import torch
from test_checks_flip import after, coins, strict, verdict  # noqa: F401  (strict: a fixture)
from torch import Generator

from cl_course import checks


def views_plain(images, disguise, generator):
    n = len(images)
    return disguise(images, coins(n, generator)), disguise(images, coins(n, generator))


def views_from_one_draw(images, disguise, generator):
    first, second = torch.rand(2, len(images), generator=generator)
    return [disguise(images, first), disguise(images, second)]


def views_by_loop(images, disguise, generator):
    pairs = [[disguise(image[None], torch.rand(1, generator=generator))[0] for _ in range(2)] for image in images]
    return torch.stack([a for a, _ in pairs]), torch.stack([b for _, b in pairs])


def views_as_one_batch(images, disguise, generator):
    both = torch.cat([images, images])
    return disguise(both, coins(len(both), generator)).chunk(2)


def views_stacked(images, disguise, generator):
    return torch.stack(views_plain(images, disguise, generator))


def views_in_double(pictures, change, rng):
    return [change(pictures.double(), torch.rand(len(pictures), dtype=torch.double, generator=rng)) for _ in range(2)]


def views_second_first(images, disguise, generator):
    second, first = (1 - coins(len(images), generator) for _ in range(2))
    return disguise(images, first), disguise(images, second)


def views_by_uniform(images, disguise, generator):
    return tuple(disguise(images, torch.empty(len(images)).uniform_(generator=generator)) for _ in range(2))


RIGHT_VIEWS = [views_plain, views_from_one_draw, views_by_loop, views_as_one_batch, views_stacked, views_in_double]
RIGHT_VIEWS += [views_second_first, views_by_uniform]


@pytest.mark.parametrize("attempt", RIGHT_VIEWS)
def test_every_right_pair_of_views_passes(attempt, capsys):
    checks.two_views(attempt)
    assert capsys.readouterr().out.startswith("✔ my_two_views")


def one_coin(images, disguise, generator):
    return tuple(disguise(images, torch.rand(1, generator=generator)) for _ in range(2))


def one_coin_expanded(images, disguise, generator):
    return tuple(disguise(images, torch.rand((), generator=generator).expand(len(images))) for _ in range(2))


def one_coin_for_view2(images, disguise, generator):
    return disguise(images, coins(len(images), generator)), disguise(images, torch.rand(1, generator=generator))


def same_amounts(images, disguise, generator):
    amount = coins(len(images), generator)
    return disguise(images, amount), disguise(images, amount)


def same_object(images, disguise, generator):
    view = disguise(images, coins(len(images), generator))
    return view, view


def in_place(images, disguise, generator):
    view1 = disguise(images, coins(len(images), generator))
    images.mul_(0.5)
    return view1, disguise(images, coins(len(images), generator))


def in_place_by_copy(images, disguise, generator):
    view1 = disguise(images, coins(len(images), generator))
    images[:] = disguise(images, coins(len(images), generator))
    return view1, images


def shuffled(which):
    def attempt(images, disguise, generator):
        views = list(views_plain(images, disguise, generator))
        views[which] = views[which][torch.randperm(len(images), generator=generator)]
        return tuple(views)

    return attempt


def two_loaders(images, disguise, generator):
    """Both views in their own random order, as two loaders that are shuffled apart give them."""
    a, b = (torch.randperm(len(images), generator=generator) for _ in range(2))
    return disguise(images[a], coins(len(images), generator)), disguise(images[b], coins(len(images), generator))


def both_in_one_order(images, disguise, generator):
    return views_plain(images[torch.randperm(len(images), generator=generator)], disguise, generator)


def chained(images, disguise, generator):
    view1 = disguise(images, coins(len(images), generator))
    return view1, disguise(view1, coins(len(images), generator))


def reseeded(images, disguise, generator):
    return views_plain(images, disguise, generator.manual_seed(1))


def reseeded_between(images, disguise, generator):
    view1 = disguise(images, coins(len(images), generator.manual_seed(1)))
    return view1, disguise(images, coins(len(images), generator.manual_seed(1)))


def mirrored_amounts(images, disguise, generator):
    amount = coins(len(images), generator)
    return disguise(images, amount), disguise(images, 1 - amount)


def views_with(first, second):
    def views(x, disguise, g):
        a = first(len(x), g)
        return disguise(x, a), disguise(x, second(a, g))

    return views


def anew(a, g):
    return coins(len(a), g)


VIEW_MISTAKES = {
    "one coin": (one_coin, "all images of view1 get the same amount"),
    "one coin, expanded": (one_coin_expanded, "all images of view1 get the same amount"),
    "one coin for view2": (one_coin_for_view2, "all images of view2 get the same amount"),
    "same amounts": (same_amounts, "the same view twice"),
    "same object": (same_object, "the same view twice"),
    "reseeded between": (reseeded_between, "the same view twice"),
    "in place": (in_place, "in place"),
    "in place by copy": (in_place_by_copy, "in place"),
    "view1 shuffled": (shuffled(0), "rows of view1 are not in the order"),
    "view2 shuffled": (shuffled(1), "rows of view2 are not in the order"),
    "two loaders": (two_loaders, "rows of view1 are not in the order"),
    "both in one order": (both_in_one_order, "rows of view1 are not in the order"),
    "view1 undisguised": (lambda x, d, g: (x, d(x, coins(len(x), g))), "view1 is the picture itself"),
    "view2 undisguised": (lambda x, d, g: (d(x, coins(len(x), g)), x.clone()), "view2 is the picture itself"),
    "chained": (chained, "a disguise of view1"),
    "no generator": (lambda x, d, g: views_plain(x, d, None), "two generators with the same seed gave different views"),
    "reseeded": (reseeded, "the same amounts in view1 and view2"),
    "follows": (mirrored_amounts, "follow from those of view1"),
    "one tensor": (lambda x, d, g: torch.cat(views_plain(x, d, g)), "two views are expected"),
    "one view": (lambda x, d, g: d(x, coins(len(x), g)), "two views are expected"),
    "none of its own": (
        lambda x, d, g: (d(x, coins(len(x), g)) ** 2, d(x, coins(len(x), g))),
        "view1 is not `disguise(images, amount)`",
    ),
    "randn": (lambda x, d, g: tuple(d(x, torch.randn(len(x), generator=g)) for _ in range(2)), "torch.randn does not"),
    "amount per pixel": (
        lambda x, d, g: tuple(d(x, torch.rand(x.shape, generator=g)) for _ in range(2)),
        "one amount for each image",
    ),
    "linspace": (views_with(lambda n, g: torch.linspace(0, 1, n), anew), "the same amounts in view1: each batch"),
    "clamped randn": (
        views_with(lambda n, g: torch.randn(n, generator=g).clamp(0, 1), anew),
        "have an amount that another image has too, such as 0.00",
    ),
    "coins": (
        views_with(lambda n, g: (coins(n, g) < 0.5).float(), anew),
        "48 of 48 images have an amount that another image has too",
    ),
    "hundredths": (views_with(coins, lambda a, g: (100 * anew(a, g)).round() / 100), "in view2 "),
    "hardly any": (views_with(lambda n, g: 0.01 * coins(n, g), anew), "view1 reach only from 0.00 to 0.01"),
    "two halves": (
        views_with(lambda n, g: coins(n, g) / 2, lambda a, g: 0.5 + anew(a, g) / 2),
        "from the whole range from 0 to 1",
    ),
    "to 0.8 only": (views_with(lambda n, g: 0.8 * coins(n, g), anew), "99 % of the amounts are below 0.79"),
    "squared": (views_with(lambda n, g: coins(n, g) ** 2, anew), "50 % of the amounts are below 0.2"),
    "half a turn": (views_with(coins, lambda a, g: (a + 0.5) % 1), "follow from those of view1"),
    "rolled": (views_with(coins, lambda a, g: a.roll(1)), "the same numbers in another order"),
    "permuted": (views_with(coins, lambda a, g: a[torch.randperm(len(a), generator=g)]), "in another order"),
    "with noise": (
        views_with(coins, lambda a, g: (a + 0.1 * torch.randn(len(a), generator=g)).clamp(0.001, 0.999) + 1e-5 * a),
        "rise with those of view1",
    ),
    "a bit smaller": (views_with(coins, lambda a, g: 0.9 * a + 0.05), "follow from those of view1"),
    "sorted": (views_with(lambda n, g: coins(n, g).sort().values, anew), "rise or fall steadily"),
    "stairs": (views_with(lambda n, g: (coins(1, g) + torch.arange(n) / n) % 1, anew), "rise or fall steadily"),
    "pairs": (views_with(lambda n, g: coins((n + 1) // 2, g).repeat_interleave(2)[:n], anew), "another image has too"),
    "for 48 images": (views_with(lambda n, g: coins(48, g), anew), "shape (1,), got (48,)"),
    "seeded by chance": (after(Generator.seed, views_plain), "two generators with the same seed"),
    "view2 of its own": (
        lambda x, d, g: (d(x, coins(len(x), g)), d(x, coins(len(x), Generator().manual_seed(4)))),
        "the same amounts in view2: each batch",
    ),
    "backwards": (
        lambda x, d, g: (d(x, coins(len(x), g)), d(x.flip(0), coins(len(x), g))),
        "row 0 is made from image 47",
    ),
    "interleaved": (
        lambda x, d, g: d(x.repeat_interleave(2, dim=0), coins(2 * len(x), g)).chunk(2),
        "row 1 is made from image 0",
    ),
    "chained back": (lambda x, d, g: chained(x, d, g)[::-1], "view1 is a disguise of view2"),
    "three": (lambda x, d, g: (*views_plain(x, d, g), x), "a tuple of 3 came back"),
    "pair by pair": (lambda x, d, g: list(zip(*views_plain(x, d, g))), "a list of 48 came back"),
    "a float": (lambda x, d, g: (d(x, 0.3), d(x, 0.6)), "got a float"),
    "mirrored": (lambda x, d, g: (d(x, coins(len(x), g)), d(x, coins(len(x), g)).flip(-1)), "view2 is not `disguise"),
    "stub": (lambda x, d, g: ..., "not attempted"),
}


@pytest.mark.parametrize("attempt, words", VIEW_MISTAKES.values(), ids=VIEW_MISTAKES)
def test_every_wrong_pair_of_views_is_named(attempt, words):
    assert words in verdict(checks.two_views, attempt)
