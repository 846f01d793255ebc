"""Each operation against torchvision's functional one, image by image, on the same parameters."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
import torchvision.transforms.v2.functional as tv

from cl_course import augment as ours
from cl_course.augment import AugmentConfig, augment, draw_parameters, two_views

N = 24
NOTHING = AugmentConfig(crop=(1, 1), flip=0, jitter=0, grey=0)


@pytest.fixture
def images():
    return torch.rand(N, 3, 32, 32, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def u():
    return torch.rand(N, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(3)


def image_by_image(operation, images, *parameters):
    return torch.stack([operation(image, *(p[i] for p in parameters)) for i, image in enumerate(images)])


def assert_alike(a, b, tolerance=1e-5):
    """Same up to rounding: images are in [0, 1], so 1e-5 is a 400th of the step between two bytes."""
    torch.testing.assert_close(a, b, rtol=0, atol=tolerance)


def test_resized_crop(images):
    box = draw_parameters(N, (32, 32), AugmentConfig(crop=(0.08, 1)), torch.Generator().manual_seed(2))["box"]
    assert len({tuple(b) for b in box.tolist()}) > N // 2
    expected = image_by_image(
        lambda image, b: tv.resized_crop(image, *b.tolist(), [32, 32], antialias=True), images, box
    )
    assert_alike(ours.resized_crop(images, box), expected)


def test_resized_crop_of_pictures_that_are_not_square(generator):
    images = torch.rand(N, 3, 20, 48, generator=generator)
    box = draw_parameters(N, (20, 48), AugmentConfig(crop=(0.08, 1)), generator)["box"]
    expected = image_by_image(
        lambda image, b: tv.resized_crop(image, *b.tolist(), [20, 48], antialias=True), images, box
    )
    assert_alike(ours.resized_crop(images, box), expected)


@pytest.mark.parametrize("size, ratio", [((48, 20), (2, 3)), ((20, 48), (1 / 3, 1 / 2)), ((32, 32), (2, 3))])
def test_a_crop_keeps_its_area_where_no_wanted_ratio_fits(generator, size, ratio):
    height, width = draw_parameters(5000, size, AugmentConfig(crop=(0.9, 1), ratio=ratio), generator)["box"][:, 2:].T
    assert (height * width).min() > 0.97 * 0.9 * size[0] * size[1]  # sides are whole pixels


def test_horizontal_flip(images, u):
    expected = image_by_image(lambda image, f: tv.horizontal_flip(image) if f else image, images, u < 0.5)
    assert torch.equal(ours.horizontal_flip(images, u < 0.5), expected)


@pytest.mark.parametrize("name", ["brightness", "contrast", "saturation"])
def test_colour_factors(images, u, name):
    factor = 2 * u
    expected = image_by_image(lambda image, f: getattr(tv, f"adjust_{name}")(image, float(f)), images, factor)
    assert_alike(getattr(ours, f"adjust_{name}")(images, factor), expected)


def test_hue(images, u):
    shift = u - 0.5
    images[0] = 0.5  # grey has no hue to turn
    images[1, :, :, :16] = torch.tensor([1.0, 0.0, 0.0])[:, None, None]
    images[1, :, :, 16:] = torch.tensor([1.0, 1.0, 0.0])[:, None, None]  # two channels are the largest
    expected = image_by_image(lambda image, s: tv.adjust_hue(image, float(s)), images, shift)
    assert_alike(ours.adjust_hue(images, shift), expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_hue_of_pure_colours_and_of_greys(dtype):
    wheel = torch.tensor([[1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 1, 1], [0, 0, 1], [1, 0, 1]], dtype=dtype)[
        :, :, None, None
    ]
    for sixths in range(-3, 4):
        assert_alike(ours.adjust_hue(wheel, torch.full((6,), sixths / 6, dtype=dtype)), wheel.roll(-sixths, 0))
    greys = torch.tensor([0, 0.3, 1], dtype=dtype)[:, None, None, None].expand(3, 3, 1, 1)
    for shift in (-0.5, 0.2, 0.5):
        assert_alike(ours.adjust_hue(greys, torch.full((3,), shift, dtype=dtype)), greys)


def test_greyscale(images, u):
    expected = image_by_image(
        lambda image, g: tv.rgb_to_grayscale(image, num_output_channels=3) if g else image, images, u < 0.5
    )
    assert_alike(ours.greyscale(images, u < 0.5), expected)


@pytest.mark.parametrize("size, taps", [(32, 3), (96, 9)])
def test_blur(u, size, taps):
    images, sigma = torch.rand(N, 3, size, size, generator=torch.Generator().manual_seed(10)), 0.1 + 1.9 * u
    expected = image_by_image(lambda image, s: tv.gaussian_blur(image, [taps, taps], [float(s)] * 2), images, sigma)
    assert_alike(ours.gaussian_blur(images, sigma), expected)


@pytest.mark.parametrize("size, taps", [((32, 1), 1), ((96, 3), 5), ((1, 1), 1)])
def test_blur_of_slips_of_pictures(u, size, taps):
    images = torch.rand(N, 3, *size, generator=torch.Generator().manual_seed(10))
    expected = image_by_image(lambda image, s: tv.gaussian_blur(image, [taps, taps], [float(s)] * 2), images, 0.1 + u)
    assert_alike(ours.gaussian_blur(images, 0.1 + u), expected)


def test_solarize(images, u):
    expected = image_by_image(lambda image, t: tv.solarize(image, float(t)), images, u)
    assert_alike(ours.solarize(images, u), expected)


def test_neutral_parameters_change_nothing(images):
    one, zero, never = torch.ones(N), torch.zeros(N), torch.zeros(N, dtype=torch.bool)
    whole = torch.tensor([0, 0, 32, 32]).expand(N, 4)
    assert_alike(ours.resized_crop(images, whole), images)
    for operation in (ours.adjust_brightness, ours.adjust_contrast, ours.adjust_saturation):
        assert_alike(operation(images, one), images)
    for operation in (ours.adjust_hue, ours.gaussian_blur):
        assert_alike(operation(images, zero), images)
    for operation in (ours.horizontal_flip, ours.greyscale):
        assert torch.equal(operation(images, never), images)
    assert torch.equal(ours.solarize(images, 2 * one), images)
    assert torch.equal(augment(images, NOTHING), images)


@pytest.mark.parametrize(
    "change",
    [
        {"crop": (0.2, 0.9)},
        {"flip": 0.5},
        {"jitter": 1.0, "contrast": 0.0, "saturation": 0.0, "hue": 0.0},
        {"jitter": 1.0, "brightness": 0.0, "saturation": 0.0, "hue": 0.0},
        {"jitter": 1.0, "brightness": 0.0, "contrast": 0.0, "hue": 0.0},
        {"jitter": 1.0, "brightness": 0.0, "contrast": 0.0, "saturation": 0.0},
        {"grey": 0.5},
        {"blur": 0.5},
        {"solarize": 0.5},
    ],
    ids=["crop", "flip", "brightness", "contrast", "saturation", "hue", "grey", "blur", "solarize"],
)
def test_each_image_has_its_own_randomness(images, change):
    """The same picture n times: a batch-wide coin or factor would treat all alike."""
    views = augment(images[:1].expand(N, 3, 32, 32), replace(NOTHING, **change), torch.Generator().manual_seed(3))
    distinct = {view.numpy().tobytes() for view in views}
    assert len(distinct) == 2 if set(change) in ({"flip"}, {"grey"}, {"solarize"}) else len(distinct) > N // 3


def test_probabilities_and_ranges_are_those_of_the_config():
    config = AugmentConfig(
        crop=(0.2, 0.6), flip=0.5, jitter=0.8, brightness=0.4, hue=0.1, grey=0.3, blur=0.5, solarize=0.2
    )
    n = 20_000
    drawn = draw_parameters(n, (200, 200), config, torch.Generator().manual_seed(4))

    def share(chosen):
        return pytest.approx(chosen.float().mean().item(), abs=4 * math.sqrt(0.25 / n))

    assert share(drawn["flipped"]) == 0.5 and share(drawn["greyed"]) == 0.3
    assert (
        share(drawn["brightness"] != 1) == 0.8
        and share(drawn["sigma"] > 0) == 0.5
        and share(drawn["threshold"] < 1) == 0.2
    )
    assert 0.6 <= drawn["brightness"].min() < 0.61 and 1.39 < drawn["brightness"].max() <= 1.4
    assert drawn["hue"].abs().max() <= 0.1
    top, left, height, width = drawn["box"].T
    area = height * width / 200**2
    assert 0.19 < area.min() < 0.21 and 0.59 < area.max() < 0.61  # sides are whole pixels
    assert (top >= 0).all() and (left >= 0).all() and (top + height <= 200).all() and (left + width <= 200).all()


def test_every_parameter_spans_its_range_by_itself(generator):
    config = AugmentConfig(
        crop=(0.2, 0.6),
        ratio=(1.2, 2),
        jitter=1,
        brightness=0.4,
        contrast=0.6,
        saturation=1.5,
        hue=0.1,
        blur=1,
        blur_sigma=(0.5, 1.5),
    )
    drawn = draw_parameters(20_000, (200, 200), config, generator)
    ranges = {
        "brightness": (0.6, 1.4),
        "contrast": (0.4, 1.6),
        "saturation": (0, 2.5),
        "hue": (-0.1, 0.1),
        "sigma": (0.5, 1.5),
    }
    for name, (low, high) in ranges.items():
        near = 0.01 * (high - low)
        assert low - 1e-6 <= drawn[name].min() < low + near and high - near < drawn[name].max() <= high + 1e-6, name
    top, left, height, width = drawn["box"].T
    assert 1.17 < (width / height).min() < 1.23 and 1.95 < (width / height).max() < 2.05
    assert (top == 0).any() and (left == 0).any() and (top + height == 200).any() and (left + width == 200).any()
    columns = torch.stack([*(drawn[name] for name in ranges), top / (201 - height), left / (201 - width)])
    assert (torch.corrcoef(columns) - torch.eye(7)).abs().max() < 0.04


def test_no_gradient_reaches_the_images(images):
    assert not augment(images.requires_grad_(), AugmentConfig()).requires_grad


def test_the_input_is_untouched(images):
    before = images.clone()
    augment(images, AugmentConfig(blur=0.5, solarize=0.5))
    view1, _ = two_views(images, NOTHING)
    view1.zero_()
    assert torch.equal(images, before)


def test_reproducible_from_a_generator_and_from_the_global_seed(images):
    config = AugmentConfig(blur=0.5, solarize=0.2)
    first, again = (two_views(images, config, torch.Generator().manual_seed(5)) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, again))
    other = two_views(images, config, torch.Generator().manual_seed(6))
    assert not torch.equal(first[0], other[0])
    torch.manual_seed(7)
    a = augment(images, config)
    torch.manual_seed(7)
    assert torch.equal(a, augment(images, config))


def test_two_views_differ_and_keep_their_rows(generator):
    images = torch.linspace(0.1, 0.9, N)[:, None, None, None].expand(
        N, 3, 32, 32
    )  # a flat grey tells the row, whatever the crop
    view1, view2 = two_views(images, replace(NOTHING, crop=(0.2, 1)), generator)
    assert_alike(view1, images)
    assert_alike(view2, images)
    view1, view2 = two_views(torch.rand(N, 3, 32, 32, generator=generator), AugmentConfig(), generator)
    assert (view1 - view2).abs().amax(dim=(1, 2, 3)).min() > 0


def test_values_stay_in_range_and_dtypes_survive(images, generator):
    strong = AugmentConfig(crop=(0.05, 1), jitter=1, brightness=2, contrast=2, saturation=2, blur=1, solarize=0.5)
    hue_last = replace(strong, grey=0, blur=0, solarize=0)  # whose rounding nothing else clamps
    assert augment(torch.rand(500, 3, 32, 32, generator=generator), hue_last, generator).max() <= 1
    for dtype in (torch.float32, torch.float64):
        views = augment(images.to(dtype), strong, generator)
        assert views.dtype == dtype and views.shape == images.shape
        assert views.min() >= 0 and views.max() <= 1


@pytest.mark.parametrize(
    "function",
    [lambda *given: augment(*given), lambda *given: torch.cat(two_views(*given))],
    ids=["augment", "two_views"],
)
def test_the_size_of_a_chunk_changes_nothing(images, monkeypatch, function):
    def views(of):
        return function(of, AugmentConfig(blur=0.5, solarize=0.2), torch.Generator().manual_seed(8))

    whole = views(images)
    monkeypatch.setattr(ours, "CHUNK", 7 * 32 * 32)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    assert_alike(views(images), whole)
    assert_alike(views(images.contiguous(memory_format=torch.channels_last)), whole)
    images[0, 0, 0, 0], images[-1, 0, 0, 0] = -3, 7
    with pytest.raises(ValueError, match="values from -3 to 7;"):
        views(images)
    images[0] = 0
    with pytest.raises(ValueError, match="to 7;"):
        views(images)


def test_augment_is_its_operations_one_after_the_other(images):
    config = AugmentConfig(crop=(0.2, 1), jitter=0.8, grey=0.3, blur=0.5, solarize=0.3)
    drawn = draw_parameters(N, (32, 32), config, torch.Generator().manual_seed(9))
    expected = []
    for i, image in enumerate(images):
        of = {name: values[i] for name, values in drawn.items()}
        view = tv.resized_crop(image, *of["box"].tolist(), [32, 32], antialias=True)
        view = tv.horizontal_flip(view) if of["flipped"] else view
        for name in ("brightness", "contrast", "saturation", "hue"):
            view = getattr(tv, f"adjust_{name}")(view, float(of[name]))
        view = tv.rgb_to_grayscale(view, num_output_channels=3) if of["greyed"] else view
        view = tv.gaussian_blur(view, [3, 3], [float(of["sigma"])] * 2) if of["sigma"] > 0 else view
        expected.append(tv.solarize(view, 0.5) if of["threshold"] < 1 else view)
    away = (torch.stack(expected) - augment(images, config, torch.Generator().manual_seed(9))).abs()
    # Where a value lies within rounding of the threshold, one of the two inverts it; nothing else may differ.
    off = away > 1e-5
    assert not off[drawn["threshold"] > 1].any() and off.float().mean() < 1e-3


def test_autocast_changes_nothing(images):
    config = AugmentConfig(blur=0.5)
    usual = augment(images, config, torch.Generator().manual_seed(8))
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(augment(images, config, torch.Generator().manual_seed(8)), usual)


def test_what_no_coin_chooses_stays_as_it_is(images):
    rare = replace(NOTHING, jitter=1e-9, grey=1e-9, blur=1e-9, solarize=1e-9)
    assert_alike(augment(images, rare), images)


def test_a_network_can_be_trained_on_views(images):
    layer = torch.nn.Conv2d(3, 2, 3)
    layer(augment(images, AugmentConfig(blur=0.5))).sum().backward()
    assert layer.weight.grad.abs().sum() > 0


@pytest.mark.parametrize(
    "spoil, error, words",
    [
        (lambda x: (x * 255).to(torch.uint8), TypeError, ["torch.uint8", "[0, 1]", "/ 255"]),
        (lambda x: x.bfloat16(), TypeError, ["bfloat16", "float32", "images.float()"]),
        (lambda x: x * 255, ValueError, ["255", "[0, 1]", "images / 255"]),
        (lambda x: x - 0.5, ValueError, ["-0.5", "undoes the normalisation"]),
        (lambda x: x * torch.nan, ValueError, ["nan"]),
        (lambda x: x[0], ValueError, ["(3, 32, 32)", "(n, 3, h, w)", "images[None]"]),
        (lambda x: x[:, :1], ValueError, ["(24, 1, 32, 32)"]),
        (lambda x: x[:0], ValueError, ["(0, 3, 32, 32)", "at least one"]),
        (lambda x: x.numpy(), TypeError, ["ndarray", "as_tensor"]),
    ],
)
@pytest.mark.parametrize("function", [augment, two_views])
def test_bad_images_are_named_with_the_remedy(images, function, spoil, error, words):
    with pytest.raises(error) as caught:
        function(spoil(images), AugmentConfig())
    message = str(caught.value)
    assert all(word in message for word in words) and "\n" not in message


@pytest.mark.parametrize(
    "spoil, remedies",
    [
        (lambda x: x[:, :1], ["images.expand(-1, 3, -1, -1)"]),
        (lambda x: x.permute(0, 2, 3, 1), ["images.permute(0, 3, 1, 2)"]),
        (lambda x: x[:, :1].permute(0, 2, 3, 1), ["images.permute(0, 3, 1, 2).expand(-1, 3, -1, -1)"]),
        (lambda x: torch.cat([x, x[:, :1]], dim=1), ["images[:, :3]"]),
        (lambda x: torch.cat([x, x[:, :1]], dim=1).permute(0, 2, 3, 1), ["images.permute(0, 3, 1, 2)[:, :3]"]),
        (lambda x: x[0], ["images[None]"]),
        (lambda x: x[0].permute(1, 2, 0), ["images.permute(2, 0, 1)[None]"]),
        (lambda x: x[:, 0], ["images[:, None].expand(-1, 3, -1, -1)"]),
        (lambda x: x[:1, 0], ["images[:, None].expand(-1, 3, -1, -1)"]),
        (lambda x: x[0, 0], ["images.expand(1, 3, -1, -1)"]),
        (lambda x: (x * 255).byte(), ["images.float() / 255"]),
        (lambda x: (x * 255).long(), ["images.float() / 255"]),
        (lambda x: x.half(), ["images.float()"]),
        (lambda x: x * 255, ["images / 255"]),
        (lambda x: x * 65535, ["images / images.max()"]),
        (lambda x: x * 2 - 1, ["(images + 1) / 2"]),
        (lambda x: x * 1.04 - 0.02, ["images.clamp(0, 1)"]),
        (lambda x: x.index_fill(0, torch.tensor([1]), math.nan), ["images.nan_to_num(0, 1, 0)"]),
        (lambda x: x.numpy(), ["torch.as_tensor(images)"]),
        (lambda x: (x * 255).byte().permute(0, 2, 3, 1), ["images.float() / 255", "images.permute(0, 3, 1, 2)"]),
        (lambda x: (x * 255).byte().numpy(), ["torch.as_tensor(images)", "images.float() / 255"]),
        (lambda x: (x * 255)[:, :1], ["images.expand(-1, 3, -1, -1)", "images / 255"]),
    ],
)
def test_following_the_message_works(images, spoil, remedies):
    """Each message names the next step, and behind the last one the images are taken."""
    images = spoil(images)
    for remedy in remedies:
        with pytest.raises((TypeError, ValueError)) as caught:
            augment(images, AugmentConfig())
        assert f"; {remedy} " in str(caught.value)
        images = eval(remedy, {"torch": torch, "images": images})
    assert augment(images, AugmentConfig()).shape == images.shape


def test_a_wide_picture_is_cropped_and_stretched_as_a_square_one(generator):
    """The ratio of a crop is measured against the picture's own, so that no view is stretched by more than 4 / 3."""
    boxes = draw_parameters(2000, (480, 1600), AugmentConfig(crop=(0.2, 0.5)), generator)["box"]
    stretched = (boxes[:, 3] / boxes[:, 2]) / (1600 / 480)
    assert 0.74 < stretched.min() < 0.76 and 1.32 < stretched.max() < 1.35
    views = augment(torch.rand(4, 3, 48, 160), AugmentConfig(blur=0.5, solarize=0.5), generator)
    assert views.shape == (4, 3, 48, 160) and views.min() >= 0 and views.max() <= 1


def test_settings_become_pythons_own_numbers():
    config = AugmentConfig(flip=np.float32(0.25), hue=np.int64(0), crop=[np.float64(0.5), 1])
    assert (type(config.flip), type(config.hue), type(config.crop)) == (float, float, tuple)
    assert config == AugmentConfig(flip=0.25, hue=0, crop=(0.5, 1.0)) and type(config.crop[0]) is float


@pytest.mark.parametrize(
    "setting",
    [
        {"crop": 0.5},
        {"crop": (0.1, 0.5, 1)},
        {"ratio": ("a", "b")},
        {"flip": "often"},
        {"flip": 1.5},
        {"grey": -0.1},
        {"brightness": -1},
        {"contrast": float("nan")},
        {"hue": 0.6},
        {"crop": (0, 1)},
        {"crop": (0.8, 0.2)},
        {"ratio": (0, 1)},
        {"blur_sigma": (2, 1)},
        {"blur_sigma": (1, math.inf)},
        {"brightness": math.inf},
    ],
    ids=str,
)
def test_bad_settings_are_named(setting):
    ((name, value),) = setting.items()
    with pytest.raises(ValueError) as caught:
        AugmentConfig(**setting)
    assert name in str(caught.value) and str(value) in str(caught.value)


def test_whole_numbers_are_fine_as_settings(images):
    config = AugmentConfig(
        brightness=1, contrast=1, saturation=1, hue=0, blur=1, blur_sigma=(1, 2), jitter=1, flip=0, grey=0
    )
    as_floats = AugmentConfig(
        brightness=1.0,
        contrast=1.0,
        saturation=1.0,
        hue=0.0,
        blur=1.0,
        blur_sigma=(1.0, 2.0),
        jitter=1.0,
        flip=0.0,
        grey=0.0,
    )
    made = [augment(images, c, torch.Generator().manual_seed(1)) for c in (config, as_floats)]
    assert torch.equal(*made)


@pytest.mark.parametrize(
    "lay_out",
    [lambda x: x.mT, lambda x: x.contiguous(memory_format=torch.channels_last), lambda x: x[:1].expand(N, -1, -1, -1)],
    ids=["turned", "channels_last", "expanded"],
)
def test_how_the_images_lie_in_memory_does_not_matter(images, lay_out):
    laid_out, plain = lay_out(images), lay_out(images).contiguous()
    for config in (AugmentConfig(), AugmentConfig(crop=(1, 1)), AugmentConfig(crop=(1, 1), grey=0, blur=0.5)):
        assert_alike(
            augment(laid_out, config, torch.Generator().manual_seed(2)),
            augment(plain, config, torch.Generator().manual_seed(2)),
        )
    assert_alike(
        ours.greyscale(laid_out, torch.ones(N, dtype=torch.bool)),
        ours.greyscale(plain, torch.ones(N, dtype=torch.bool)),
    )


def test_the_colours_alone_are_safe_under_autocast_and_can_be_differentiated(images):
    factor, greyed = torch.full((N,), 1.3), torch.arange(N) % 2 == 0
    for operation in (
        lambda x: ours.adjust_contrast(x, factor),
        lambda x: ours.adjust_saturation(x, factor),
        lambda x: ours.greyscale(x, greyed),
    ):
        expected = operation(images)
        with torch.autocast("cpu", torch.bfloat16):
            assert_alike(operation(images), expected)
        leaf = images.clone().requires_grad_()
        operation(leaf).sum().backward()
        assert leaf.grad.abs().sum() > 0


@pytest.mark.parametrize(
    "config, generator, sentence",
    [
        (None, None, "config must be of class AugmentConfig, got one of class NoneType; AugmentConfig"),
        (AugmentConfig(), 0, "generator must be of class Generator, got 0; torch.Generator"),
    ],
)
def test_what_is_no_config_or_no_generator_is_refused(images, config, generator, sentence):
    for call in (augment, two_views):
        with pytest.raises(TypeError, match=sentence):
            call(images, config, generator)
