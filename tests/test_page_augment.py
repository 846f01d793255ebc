"""The augmentations that a page computes are the package's: operation by operation, whole views, and the meter on them.

Skipped where there is no Chromium.
"""

import base64
import dataclasses

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from lab_examples import augmentation, cards
from lab_pages import LabPage, in_browser
from torch import Generator, Tensor

from cl_course import augment as ops
from cl_course import shortcut
from cl_course.augment import AugmentConfig
from cl_course.lessons.two_views.lab_augmentation import LARGE, PRESETS, photos

pytestmark = in_browser
BOUND = 2 / 255  # two steps of a picture's bytes
BUSY = AugmentConfig(crop=(0.05, 1), grey=0.2, blur=0.5, blur_sigma=(0.1, 4), solarize=0.5)
STEPS = {  # as in augment.js
    "crop": lambda x, p: ops.resized_crop(x, p["box"], p["flipped"]),
    "brightness": lambda x, p: ops.adjust_brightness(x, p["brightness"]),
    "contrast": lambda x, p: ops.adjust_contrast(x, p["contrast"]),
    "saturation": lambda x, p: ops.adjust_saturation(x, p["saturation"]),
    "hue": lambda x, p: ops.adjust_hue(x, p["hue"]),
    "grey": lambda x, p: ops.greyscale(x, p["greyed"]),
    "blur": lambda x, p: ops.gaussian_blur(x, p["sigma"]),
    "solarize": lambda x, p: ops.solarize(x, p["threshold"]),
}
# Images cross as the bytes of their float32 values: as numbers in text they would take seconds.
TOOLS = """() => {
    window.packed = ({ data }) => {
        const bytes = new Uint8Array(data.buffer)
        let text = ""
        for (let i = 0; i < bytes.length; i += 8192) text += String.fromCharCode(...bytes.subarray(i, i + 8192))
        return btoa(text)
    }
    window.image = ([width, height, packed]) => {
        const bytes = Uint8Array.from(atob(packed), character => character.charCodeAt(0))
        return { width, height, data: new Float32Array(bytes.buffer) }
    }
    window.copied = ({ width, height, data }) => ({ width, height, data: data.slice() })
}"""


@pytest.fixture(scope="module")
def maths(browser):
    """A page whose lab nobody touches."""
    page = LabPage(browser, augmentation())
    page.rest()
    page.page.evaluate(TOOLS)
    yield page.page
    page.close("augmentation")


def pack(image: Tensor) -> list:
    height, width = image.shape[1:]
    return [width, height, base64.b64encode(image.contiguous().numpy().tobytes()).decode()]


def unpack(texts: list[str], like: Tensor) -> Tensor:
    """Images from a page, (n, 3, h, w)."""
    values = np.frombuffer(b"".join(map(base64.b64decode, texts)), dtype=np.float32).copy()
    return torch.from_numpy(values).view(len(texts), *like.shape[-3:])


@pytest.fixture(scope="module", params=["flower", "card"])
def picture(request, maths):
    """A picture as the page has decoded it, (3, h, w)."""
    number = [picture["name"] for picture in augmentation().data["pictures"]].index(request.param)
    width, height, packed = maths.evaluate(
        """async ([data, number]) => {
            const { image } = (await lab.readPictures(data)).shelf[number]
            return [image.width, image.height, packed(image)]
        }""",
        [augmentation().data, number],
    )
    return unpack([packed], torch.empty(3, height, width))[0]


def test_a_picture_is_decoded_and_halved_as_python_does(picture):
    if picture.shape[-1] == 32:  # PNG: without loss
        assert torch.allclose(picture, cards()[4], atol=1e-6)
    else:  # JPEG: another decoder may round otherwise
        large = photos(LARGE)["flower"]
        assert picture.shape == (3, LARGE // 2, LARGE // 2)
        assert (picture - F.avg_pool2d(large[None], 2)[0]).abs().mean() < 3 / 255


def drawn(n: int, picture: Tensor, seed: int = 1) -> dict[str, Tensor]:
    """Parameters far over the whole range of each operation, all of them in use."""
    g = Generator().manual_seed(seed)
    everything = AugmentConfig(crop=(0.001, 1), jitter=1, brightness=1, contrast=1, saturation=1, blur=1, grey=0.5)
    wide = dataclasses.replace(everything, blur_sigma=(0.05, 4))
    return ops.draw_parameters(n, picture.shape[1:], wide, g) | {"threshold": torch.rand(n, generator=g)}


def rows(parameters: dict[str, Tensor]) -> list[dict]:
    lists = {name: values.tolist() for name, values in parameters.items()}
    return [dict(zip(lists, row)) for row in zip(*lists.values())]


@pytest.mark.parametrize("step", STEPS)
def test_each_operation_gives_the_package_s_pixels(maths, picture, step):
    n = 40 if picture.shape[-1] == 32 else 8
    parameters = drawn(n, picture)
    found = maths.evaluate(
        "([given, step, rows]) => rows.map(p => packed(lab.STEPS[step](copied(image(given)), p)))",
        [pack(picture), step, rows(parameters)],
    )
    expected = STEPS[step](picture.expand(n, -1, -1, -1), parameters)
    assert (expected != picture).any() and (unpack(found, picture) - expected).abs().max() < BOUND / 100


def test_values_at_the_very_threshold_turn_as_in_the_package(maths):
    image = (torch.arange(48).float() / 47).view(3, 4, 4)
    for value in image.flatten()[::5]:
        threshold = round(float(value), 12)  # as a slider gives it: not exactly a float32
        found = maths.evaluate("([given, at]) => packed(lab.solarize(image(given), at))", [pack(image), threshold])
        assert torch.equal(unpack([found], image), ops.solarize(image[None], value[None]))


@pytest.mark.parametrize("name", ["crop and flip", "the recipe", "too strong", "busy"])
def test_whole_views_from_the_same_random_numbers_are_the_package_s(maths, picture, name):
    n, config = (60 if picture.shape[-1] == 32 else 12), {**PRESETS, "busy": BUSY}[name]
    u = torch.rand(14, n, generator=Generator().manual_seed(5))
    found = maths.evaluate(
        """([given, config, rows]) => {
            const picture = image(given)
            return rows.map(u => packed(lab.augment(picture, lab.drawParameters(u, picture, config))))
        }""",
        [pack(picture), dataclasses.asdict(config), u.T.tolist()],
    )
    images = picture.expand(n, -1, -1, -1)
    expected = ops.augment(images, config, Generator().manual_seed(5))
    before = ops.augment(images, dataclasses.replace(config, solarize=0), Generator().manual_seed(5))
    # A value that lies at the threshold up to rounding may turn in one and stay in the other.
    clear = ((before - 0.5).abs() > 1e-4) | (u[4] >= config.solarize)[:, None, None, None]
    assert (unpack(found, picture) - expected).abs()[clear].max() < BOUND
    assert clear.float().mean() > 0.998


@pytest.mark.parametrize("size", [(32, 32), (96, 128), (5, 40)])
def test_parameters_from_the_same_random_numbers_are_the_package_s(maths, size):
    n, (h, w) = 500, size
    u = torch.rand(14, n, generator=Generator().manual_seed(2))
    expected = ops.draw_parameters(n, size, BUSY, Generator().manual_seed(2))
    found = maths.evaluate(
        "([rows, width, height, config]) => rows.map(u => lab.drawParameters(u, { width, height }, config))",
        [u.T.tolist(), w, h, dataclasses.asdict(BUSY)],
    )
    for name, values in expected.items():
        assert torch.allclose(torch.tensor([p[name] for p in found]).to(values), values, atol=1e-5), name


def test_the_meter_is_the_package_s(maths):
    views = ops.two_views(cards()[:64], PRESETS["crop and flip"], Generator().manual_seed(0))
    found = maths.evaluate(
        """([view1, view2]) => {
            const task = lab.shortcutRates(view1.map(image), view2.map(image))
            for (;;) { const { done, value } = task.next(); if (done) return value }
        }""",
        [[pack(view) for view in both] for both in views],
    )
    expected = {name: shortcut.shortcut_rate(*views, feature) for name, feature in shortcut.FEATURES.items()}
    assert found == pytest.approx(expected) and len(set(expected.values())) == 3
    for name, feature in shortcut.FEATURES.items():
        values = maths.evaluate("([name, given]) => [...lab.FEATURES[name](image(given))]", [name, pack(cards()[0])])
        assert torch.allclose(torch.tensor(values), feature(cards()[:1])[0], atol=1e-5)
