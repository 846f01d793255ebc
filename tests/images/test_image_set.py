"""An image set: its rows belong together, and whatever it refuses comes with a remedy that works."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from cl_course.data import ImageSet, to_float


def numbered(n: int) -> ImageSet:
    """Image i holds the value i everywhere."""
    values = torch.arange(n)
    images = values.to(torch.uint8)[:, None, None, None].expand(n, 3, 4, 5).contiguous()
    return ImageSet(
        images,
        values,
        tuple(map(str, range(n))),
        {"one": values.float(), "two": values[:, None].repeat(1, 2).float()},
        images[:, 0] > 2,
    )


def test_a_subset_takes_the_same_rows_of_everything():
    whole = numbered(6)
    for index in (torch.tensor([5, 0, 5]), torch.tensor([True, False, False, True, False, False])):
        part = whole.subset(index)
        expected = torch.arange(6)[index]
        assert len(part) == len(expected)
        assert torch.equal(part.labels, expected) and torch.equal(part.images[:, 1, 2, 3].long(), expected)
        assert torch.equal(part.factors["one"].long(), expected) and torch.equal(
            part.factors["two"][:, 1].long(), expected
        )
        assert torch.equal(part.masks[:, 0, 0], expected > 2) and part.class_names == whole.class_names


def test_a_subset_of_what_is_unknown_stays_unknown():
    part = ImageSet(numbered(6).images).subset(torch.tensor([1]))
    assert len(part) == 1 and part.labels is None and part.masks is None and part.factors == {}


def remedy(error) -> str:
    return str(error.value).rpartition("; pass ")[2]


RGB = torch.randint(256, (5, 3, 12, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
GREY = RGB[:, :1].expand(-1, 3, -1, -1)
ALPHA = torch.cat([RGB, RGB[:, :1]], dim=1)
# What users have, and the images that it stands for.
REFUSED = {
    "channels last": (RGB.permute(0, 2, 3, 1), RGB),
    "grey": (RGB[:, :1], GREY),
    "grey, channels last": (RGB[:, :1].permute(0, 2, 3, 1), GREY),
    "grey, no channels": (RGB[:, 0], GREY),
    "one grey, no channels": (RGB[0, 0], GREY[:1]),
    "one": (RGB[0], RGB[:1]),
    "one, channels last": (RGB[0].permute(1, 2, 0), RGB[:1]),
    "alpha": (ALPHA, RGB),
    "alpha, channels last": (ALPHA.permute(0, 2, 3, 1), RGB),
    "one, alpha, channels last": (ALPHA[0].permute(1, 2, 0), RGB[:1]),
    "floats": (RGB / 255, RGB),
    "half": ((RGB / 255).bfloat16(), (RGB / 255).bfloat16().mul(255).round().byte()),
    "floats to 255": (RGB.float() - 0.4 * (RGB > 0), RGB),
    "whole numbers": (RGB.long(), RGB),
    "uint16": (RGB.to(torch.uint16), RGB),
    "black and white": (RGB > 100, 255 * (RGB > 100).byte()),
    "floats, channels last": (to_float(RGB).permute(0, 2, 3, 1), RGB),
    "grey floats, no channels": (to_float(RGB)[:, 0], GREY),
    "numpy": (RGB.numpy(), RGB),
    "numpy, channels last": (RGB.permute(0, 2, 3, 1).numpy(), RGB),
    "a list of tensors": (list(RGB), RGB),
    "a list of grey arrays": ([image[0].numpy() for image in RGB], GREY),
    "MNIST": (torch.arange(28 * 28).reshape(1, 28, 28).expand(4, 28, 28).byte(),) * 2,
}


@pytest.mark.parametrize("images, meant", REFUSED.values(), ids=REFUSED)
def test_following_the_refusal_of_images_works(images, meant):
    meant = meant if meant.ndim == 4 else meant[:, None].expand(-1, 3, -1, -1)
    for _ in range(2):  # an array becomes a tensor first
        with pytest.raises(ValueError, match=r"^images must be a uint8 tensor \(n, 3, h, w\), got .*; pass ") as error:
            ImageSet(images)
        images = eval(remedy(error), {"torch": torch, "np": np, "images": images})
        if isinstance(images, torch.Tensor) and images.dtype == torch.uint8 and images.shape[1:2] == (3,):
            break
    assert torch.equal(ImageSet(images).images, meant)
    assert torch.equal(to_float(ImageSet(images).images), meant / 255)


def test_the_refusal_of_images_names_what_was_given():
    with pytest.raises(ValueError, match=r"got a Tensor of shape \(2, 1, 4, 4\) and type torch.float32; pass \(255"):
        ImageSet(torch.rand(2, 1, 4, 4))
    with pytest.raises(ValueError, match=r"got a ndarray of shape \(2, 4, 4\) and type float64; pass torch.as_tensor"):
        ImageSet(np.zeros((2, 4, 4)))
    with pytest.raises(ValueError, match="got a str; pass"):
        ImageSet("photos")


def test_normalised_images_are_not_taken_for_pixels():
    x, mean, std = to_float(RGB), 0.5, 0.2
    for images in ((x - mean) / std, 300 * x, torch.full_like(x, torch.nan)):
        with pytest.raises(ValueError, match="bring the values to the range from 0 to 1 first .*x \\* std \\+ mean"):
            ImageSet(images)
    with pytest.raises(ValueError) as error:
        ImageSet((x - mean) / std * std + mean)
    assert "pass (255 * images).round()" in str(error.value)


def test_what_is_no_set_of_images_is_refused():
    for shape in ((0,), (0, 1, 4, 4), (2, 3, 4, 4, 4), (), (6,), (2, 5, 6, 6), (2, 2, 6, 6)):
        with pytest.raises(ValueError, match="the sizes are the number of images, 3 channels, height and width, each"):
            ImageSet(torch.zeros(shape))
    assert len(ImageSet(RGB[:0])) == 0  # what no image of a subset is left of


@pytest.mark.parametrize(
    "labels",
    [
        torch.tensor([0, 1, 2, 0, 1], dtype=torch.int32),
        torch.tensor([0, 1, 2, 0, 1], dtype=torch.uint8),
        torch.tensor([0.0, 1, 2, 0, 1]),
        torch.tensor([[0], [1], [2], [0], [1]]),
        np.array([0, 1, 2, 0, 1]),
        [0, 1, 2, 0, 1],
    ],
    ids=["int32", "uint8", "floats", "a column", "numpy", "list"],
)
def test_following_the_refusal_of_labels_works(labels):
    with pytest.raises(ValueError, match=r"^labels must be an int64 tensor \(n,\), got .*; pass ") as error:
        ImageSet(RGB, labels, ("a", "b", "c"))
    labels = eval(remedy(error), {"torch": torch, "labels": labels})
    assert ImageSet(RGB, labels, ("a", "b", "c")).labels.tolist() == [0, 1, 2, 0, 1]


@pytest.mark.parametrize("class_names", [(), ("a", "b", "c")])
def test_labels_below_zero_are_refused(class_names):
    labels = torch.tensor([0, -1, 2, -1, 1])
    with pytest.raises(
        ValueError, match="^labels must not be negative, got -1; .* a set of their own, with labels=None$"
    ):
        ImageSet(RGB, labels, class_names)
    assert len(ImageSet(RGB[labels >= 0], labels[labels >= 0], class_names)) == 3
    assert len(ImageSet(RGB[labels < 0], None, class_names)) == 2


def test_labels_without_a_name_are_refused():
    labels = torch.tensor([1, 2, 3, 1, 2])
    with pytest.raises(
        ValueError, match="^labels must be below 3, the number of class_names, got 3; count .* from 0, "
    ):
        ImageSet(RGB, labels, ("a", "b", "c"))
    for images in (
        ImageSet(RGB, labels - 1, ("a", "b", "c")),
        ImageSet(RGB, labels, ("0", "a", "b", "c")),
        ImageSet(RGB, labels),  # no names are given
        ImageSet(RGB, None, ("a", "b", "c")),
    ):
        assert len(images.subset(torch.tensor([0, 4]))) == 2


@pytest.mark.parametrize(
    "what",
    [
        {"labels": torch.zeros(5).long()},
        {"masks": torch.zeros(5, 4, 5).bool()},
        {"factors": {"labels of": torch.zeros(5)}},
    ],
)
def test_everything_has_a_row_for_each_image(what):
    with pytest.raises(ValueError, match="has 5 rows for 6 images"):
        ImageSet(numbered(6).images, **what)


def test_to_float_reaches_both_ends_and_leaves_its_input():
    images = torch.tensor([0, 51, 255], dtype=torch.uint8)
    floats = to_float(images)
    assert floats.dtype == torch.float32 and floats.tolist() == pytest.approx([0, 0.2, 1])
    assert images.tolist() == [0, 51, 255]
    with pytest.raises(TypeError, match=r"takes a uint8 tensor, got a Tensor .* type torch.float32; floats .* need no"):
        to_float(floats)


@pytest.mark.parametrize("x", [RGB.numpy(), RGB.long(), RGB.tolist()], ids=["numpy", "long", "list"])
def test_following_the_refusal_of_to_float_works(x):
    with pytest.raises(TypeError, match=r"others need torch.as_tensor\(x\).to\(torch.uint8\) first$"):
        to_float(x)
    assert torch.equal(to_float(torch.as_tensor(x).to(torch.uint8)), RGB / 255)
    with pytest.raises(TypeError, match=r"pass its .images$"):
        to_float(ImageSet(RGB))


@pytest.mark.parametrize("turn", [lambda m: 255 * m.to(torch.uint8), lambda m: m.float(), lambda m: m[:, None]])
def test_following_the_refusal_of_masks_works(turn):
    whole = numbered(3)
    with pytest.raises(ValueError, match=r"masks must be a bool tensor \(n, h, w\), got .*; pass ") as error:
        replace(whole, masks=turn(whole.masks))
    masks = eval(str(error.value).partition("; pass ")[2], {"torch": torch, "masks": turn(whole.masks)})
    assert torch.equal(masks, whole.masks)
