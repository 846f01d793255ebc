"""The exercises of lesson 01: every right form passes, every planted mistake is named."""

from dataclasses import replace

import pytest
import torch

from cl_course import checks
from cl_course.augment import AugmentConfig
from cl_course.lessons.shared.exercise import ExerciseError
from cl_course.lessons.two_views.check_choose_augmentation import NOTHING, label_kept


@pytest.fixture(autouse=True)
def strict(monkeypatch):
    monkeypatch.setenv("CL_COURSE_STRICT", "1")


def verdict(check, attempt) -> str:
    with pytest.raises(ExerciseError) as caught:
        check(attempt)
    return str(caught.value)


def coins(n, generator, *shape):
    return torch.rand(n, *shape, generator=generator)


# my_random_flip
def flip_where(images, p, generator):
    return torch.where((coins(len(images), generator) < p)[:, None, None, None], images.flip(-1), images)


def flip_by_loop(images, p, generator):
    return torch.stack([image.flip(-1) if torch.rand(1, generator=generator) < p else image for image in images])


def flip_by_index(images, p, generator):
    out = images.clone()
    chosen = coins(len(images), generator) < p
    out[chosen] = out[chosen].flip(3)
    return out


def flip_by_blend(images, p, generator):
    m = (coins(len(images), generator, 1, 1, 1) < p).float()
    return m * images.flip(-1) + (1 - m) * images


def flip_by_bernoulli(images, p, generator):
    chosen = torch.bernoulli(torch.full((len(images),), float(p)), generator=generator).bool()
    return torch.where(chosen.view(-1, 1, 1, 1), torch.flip(images, dims=[-1]), images)


@pytest.mark.parametrize("attempt", [flip_where, flip_by_loop, flip_by_index, flip_by_blend, flip_by_bernoulli])
def test_every_right_flip_passes(attempt, capsys):
    checks.random_flip(attempt)
    assert capsys.readouterr().out.startswith("✔ my_random_flip")


def flip_in_place(images, p, generator):
    chosen = coins(len(images), generator) < p
    images[chosen] = images[chosen].flip(-1)
    return images


def flip_reseeded(images, p, generator):
    generator.manual_seed(0)
    return flip_where(images, p, generator)


def flip_along(dim):
    return lambda images, p, generator: torch.where(
        (coins(len(images), generator) < p)[:, None, None, None], images.flip(dim), images
    )


FLIP_MISTAKES = {
    "one coin for the batch": (
        lambda x, p, g: x.flip(-1) if torch.rand(1, generator=g) < p else x,
        "one coin for the whole batch",
    ),
    "one coin, as a mask": (
        lambda x, p, g: torch.where(torch.rand(1, 1, 1, 1, generator=g) < p, x.flip(-1), x),
        "one coin for the whole batch",
    ),
    "in place": (flip_in_place, "in place"),
    "upside down": (flip_along(-2), "upside down"),
    "channels": (flip_along(1), "colour channels"),
    "batch turned": (flip_along(0), "changed places"),
    "all of them": (lambda x, p, g: x.flip(-1), "all images are ever mirrored"),
    "none of them": (lambda x, p, g: x.clone(), "no image is ever mirrored"),
    "wrong way round": (lambda x, p, g: flip_where(x, 1 - p, g), "wrong way round"),
    "p not used": (lambda x, p, g: flip_where(x, 0.5, g), "`probability` is not used"),
    "no generator": (lambda x, p, g: flip_where(x, p, None), "do not come from `generator`"),
    "reseeded": (flip_reseeded, "seeded again inside"),
    "per channel": (lambda x, p, g: torch.where(coins(len(x), g, 3, 1, 1) < p, x.flip(-1), x), "each colour channel"),
    "per pixel": (lambda x, p, g: torch.where(coins(len(x), g, 3, *x.shape[-2:]) < p, x.flip(-1), x), "each pixel"),
    "too often": (lambda x, p, g: flip_where(x, 0.5 + p / 2, g), "too often or too seldom"),
    "values changed": (lambda x, p, g: flip_where(x, p, g) * 0.9, "neither the image nor its mirror"),
    "shape": (lambda x, p, g: x.flatten(1), "the shape must stay"),
    "list": (lambda x, p, g: list(x), "is a list"),
    "error": (lambda x, p, g: x.flip(-1)[:, 7], "stopped with IndexError"),
    "stub": (lambda x, p, g: ..., "not attempted"),
    "nothing returned": (lambda x, p, g: None, "not attempted"),
}


@pytest.mark.parametrize("attempt, words", FLIP_MISTAKES.values(), ids=FLIP_MISTAKES)
def test_every_wrong_flip_is_named(attempt, words):
    assert words in verdict(checks.random_flip, attempt)


# my_two_views
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


@pytest.mark.parametrize("attempt", [views_plain, views_from_one_draw, views_by_loop, views_as_one_batch])
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


VIEW_MISTAKES = {
    "one coin": (one_coin, "one coin for the whole batch"),
    "one coin, expanded": (one_coin_expanded, "one coin for the whole batch"),
    "one coin for view2": (one_coin_for_view2, "one coin for the whole batch"),
    "same amounts": (same_amounts, "the same view twice"),
    "same object": (same_object, "the same view twice"),
    "reseeded between": (reseeded_between, "the same view twice"),
    "in place": (in_place, "in place"),
    "in place by copy": (in_place_by_copy, "in place"),
    "view1 shuffled": (shuffled(0), "rows of view1 are in another order"),
    "view2 shuffled": (shuffled(1), "rows of view2 are in another order"),
    "two loaders": (two_loaders, "rows of view1 are in another order"),
    "both in one order": (both_in_one_order, "rows of view1 are in another order"),
    "view1 undisguised": (lambda x, d, g: (x, d(x, coins(len(x), g))), "view1 is the picture itself"),
    "view2 undisguised": (lambda x, d, g: (d(x, coins(len(x), g)), x.clone()), "view2 is the picture itself"),
    "chained": (chained, "a disguise of view1"),
    "no generator": (lambda x, d, g: views_plain(x, d, None), "do not come from `generator`"),
    "reseeded": (reseeded, "seeded again inside"),
    "follows": (mirrored_amounts, "follow from the first's"),
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
    "stub": (lambda x, d, g: ..., "not attempted"),
}


@pytest.mark.parametrize("attempt, words", VIEW_MISTAKES.values(), ids=VIEW_MISTAKES)
def test_every_wrong_pair_of_views_is_named(attempt, words):
    assert words in verdict(checks.two_views, attempt)


# my_choice
SAFE = AugmentConfig(hue=0, grey=0)


@pytest.mark.parametrize(
    "config",
    [SAFE, replace(SAFE, hue=0.05), replace(SAFE, crop=(0.2, 1), blur=0.5), replace(SAFE, solarize=0.1)],
    ids=str,
)
def test_choices_that_keep_the_colour_pass(config, capsys):
    checks.choose_augmentation(lambda: config)
    assert capsys.readouterr().out.startswith("✔ my_choice")


CHOICE_MISTAKES = {
    "the usual recipe": (AugmentConfig(), ["hue = 0.5 destroys", "grey = 0.3 destroys"]),
    "hue": (replace(SAFE, hue=0.2), ["hue = 0.2 destroys"]),
    "grey": (replace(SAFE, grey=0.3), ["grey = 0.3 destroys"]),
    "solarize": (replace(SAFE, solarize=0.5), ["solarize = 0.5 destroys"]),
    "bleached": (replace(SAFE, saturation=1.0, jitter=1), ["saturation = 1.0 destroys"]),
    "darkened": (replace(SAFE, brightness=1.0, jitter=1), ["brightness = 1.0 destroys"]),
    "flattened": (replace(SAFE, contrast=1.0, jitter=1), ["contrast = 1.0 destroys"]),
    "object cut away": (replace(SAFE, crop=(0.03, 0.15)), ["crop = (0.03, 0.15) destroys"]),
    "nothing at all": (NOTHING, ["raw pixels find the partner of 100 %", "light and dark alone"]),
    "no crop": (replace(SAFE, crop=(1, 1), flip=0), ["raw pixels"]),
    "crop and flip only": (replace(SAFE, jitter=0), ["light and dark alone"]),
    "no config": ({"hue": 0}, ["a dict came back"]),
    "stub": (..., ["not attempted"]),
}


@pytest.mark.parametrize("config, words", CHOICE_MISTAKES.values(), ids=CHOICE_MISTAKES)
def test_choices_that_fail_are_named(config, words):
    said = verdict(checks.choose_augmentation, lambda: config)
    assert all(word in said for word in words)
    if isinstance(config, AugmentConfig):  # and nothing else is blamed
        assert said.count("destroys") == sum("destroys" in word for word in words)


def test_a_setting_that_does_not_exist_is_explained():
    assert "grey is a probability" in verdict(checks.choose_augmentation, lambda: AugmentConfig(grey=2))


def test_without_augmentation_the_colour_always_stays():
    assert label_kept(NOTHING) == 1


def test_outside_strict_mode_the_lesson_goes_on(monkeypatch, capsys):
    monkeypatch.delenv("CL_COURSE_STRICT")
    checks.random_flip(lambda *_: ...)
    checks.two_views(lambda *_: 1 / 0)
    checks.choose_augmentation(lambda: AugmentConfig())
    said = capsys.readouterr().out
    assert said.count("✘") == 3 and "ZeroDivisionError" in said
