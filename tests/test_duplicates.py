"""Near duplicates: copies that were saved anew are found, similar pictures are not, and plain loops agree."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from cl_course import duplicates
from cl_course.data import ImageSet, load
from cl_course.duplicates import near_duplicates


def saved_anew(image: torch.Tensor, side: int) -> torch.Tensor:
    """Resized to `side`, stored as JPEG, and brought back to its size."""
    file, picture = io.BytesIO(), Image.fromarray(image.permute(1, 2, 0).numpy())
    picture.resize((side, side)).save(file, "jpeg", quality=75)
    return torch.tensor(np.asarray(Image.open(file).resize(picture.size))).permute(2, 0, 1)


def smooth(n: int, seed: int = 0) -> torch.Tensor:
    """Pictures without fine detail, as photos are when small."""
    coarse = torch.rand(n, 3, 6, 6, generator=torch.Generator().manual_seed(seed))
    return (255 * torch.nn.functional.interpolate(coarse, (40, 40), mode="bicubic").clamp(0, 1)).byte()


def test_copies_are_found_and_other_pictures_are_not():
    images = smooth(60)
    copies = torch.stack([saved_anew(image, side=50) for image in images[:20]])
    assert len(near_duplicates(images)) == 0
    assert near_duplicates(torch.cat([images, copies])).tolist() == [[60 + i, i] for i in range(20)]
    assert len(near_duplicates(load("shapes", "test", limit=500).images)) == 0


def test_the_nearest_earlier_picture_is_that_of_a_plain_loop(monkeypatch):
    images = smooth(30)[torch.randint(0, 30, (80,), generator=torch.Generator().manual_seed(1))]
    expected = []
    for i in range(80):
        same = [j for j in range(i) if torch.equal(images[i], images[j])]
        expected += [[i, same[0]]] if same else []
    for cells in (1, 300, 1 << 24):  # however many rows are compared at a time
        monkeypatch.setattr(duplicates, "CELLS", cells)
        found = near_duplicates(images).tolist()
        assert [i for i, _ in found] == [i for i, _ in expected]
        assert all(j < i and torch.equal(images[i], images[j]) for i, j in found)


def test_plain_pictures_are_copies_only_of_their_own_colour():
    levels = torch.tensor([10, 200, 10, 90], dtype=torch.uint8)
    assert near_duplicates(levels[:, None, None, None].expand(-1, 3, 9, 30)).tolist() == [[2, 0]]


def test_no_and_one_picture_have_no_copies():
    for n in (0, 1):
        assert near_duplicates(torch.zeros(n, 3, 8, 8, dtype=torch.uint8)).shape == (0, 2)


def test_an_image_set_in_place_of_its_images_is_refused():
    images = ImageSet(torch.zeros(2, 3, 8, 8, dtype=torch.uint8))
    with pytest.raises(TypeError, match="images must be of class Tensor, got one of class ImageSet; an ImageSet has"):
        near_duplicates(images)
    assert len(near_duplicates(images.images)) == 1
