"""Captions say what was drawn, leave out what they are told to, and their words become numbers and back."""

import math
from dataclasses import replace

import pytest
import torch

from cl_course.captions import FACTORS, LONGEST, VALUES, WORDS, captions, named_values, sentence, tokens
from cl_course.data import ImageSet, load


@pytest.fixture(scope="module")
def cards():
    return load("shapes", "val", limit=200)


def drawn(label=0, object_hue=0.0, background_hue=0.5, scale=0.65, position=(0.0, 0.0)) -> ImageSet:
    """One card with factors of our own; its pixels do not matter."""
    factors = {"object_hue": object_hue, "background_hue": background_hue, "scale": scale, "position": position}
    blank = torch.zeros(1, 3, 32, 32, dtype=torch.uint8)
    return ImageSet(blank, torch.tensor([label]), VALUES["class"], {k: torch.tensor([v]) for k, v in factors.items()})


def test_a_caption_known_on_paper():
    card = drawn(label=8, object_hue=1 / 3, background_hue=2 / 3, scale=0.46, position=(-0.3, -0.3))
    assert captions(card) == ["a small green heart at the top left on a blue background"]
    assert captions(card, ("class",)) == ["a heart"]
    assert captions(card, ("hue", "position")) == ["a green shape at the top left"]
    assert captions(card, ()) == ["a shape"]


@pytest.mark.parametrize(
    "hue, word",
    [(0.0, "red"), (0.07, "red"), (0.95, "red"), (0.09, "yellow"), (1 / 3, "green"), (0.5, "cyan"), (0.9, "magenta")],
)
def test_hues_lie_on_a_circle(hue, word):
    assert captions(drawn(object_hue=hue), ("hue",)) == [f"a {word} shape"]


@pytest.mark.parametrize("x, column", [(-0.39, "left"), (0.0, ""), (0.39, "right")])
@pytest.mark.parametrize("y, row", [(-0.39, "top"), (0.0, ""), (0.39, "bottom")])
def test_places_are_those_on_the_screen(x, column, y, row):
    place = f"{row} {column}".strip() or "centre"
    assert captions(drawn(position=(x, y)), ("position",)) == [f"a shape at the {place}"]


def test_the_ends_of_every_range_have_a_word():
    for scale, word in ((0.45, "small"), (0.85, "large"), (0.65, "medium")):
        assert captions(drawn(scale=scale), ("scale",)) == [f"a {word} shape"]
    assert captions(drawn(position=(0.4, 0.4)), ("position",)) == ["a shape at the bottom right"]


def test_colours_of_object_and_ground_never_share_a_word():
    values = named_values(load("shapes", "train"))
    assert (values["hue"] != values["background"]).all()
    assert all(0 <= v.min() and v.max() < len(VALUES[factor]) for factor, v in values.items())


def test_the_place_of_the_object_is_where_its_mask_is(cards):
    """Against the pixels, so that x and y, or top and bottom, cannot be exchanged unseen."""
    ticks = torch.arange(32.0)
    across = (cards.masks.sum(1) * ticks).sum(1) / cards.masks.sum((1, 2))
    down = (cards.masks.sum(2) * ticks).sum(1) / cards.masks.sum((1, 2))
    texts = captions(cards, ("position",))
    for where, side, low in (
        (across, "left", True),
        (across, "right", False),
        (down, "top", True),
        (down, "bottom", False),
    ):
        named = torch.tensor([side in text for text in texts])
        assert (where[named].mean() < 14) if low else (where[named].mean() > 17), side


def test_share_is_the_probability_and_the_class_always_said(cards):
    many = load("shapes", "train", limit=4000)
    texts = captions(many, share=0.3, seed=1)
    assert all(name in text for text, name in zip(texts, [VALUES["class"][i] for i in many.labels]))
    for word, expected in (("background", 0.3), ("at the", 0.3)):
        share = sum(word in text for text in texts) / len(texts)
        assert share == pytest.approx(expected, abs=4 * math.sqrt(0.21 / 4000))
    assert captions(cards, share=0.3, seed=1) == captions(cards, share=0.3, seed=1)
    assert captions(cards, share=0.3, seed=1) != captions(cards, share=0.3, seed=2)


def test_words_become_numbers_and_back(cards):
    texts = captions(cards, share=0.5)
    words = tokens(texts)
    assert words.dtype == torch.int64 and words.shape[1] == max(len(text.split()) for text in texts)
    back = [" ".join(WORDS[number - 1] for number in row if number) for row in words.tolist()]
    assert back == texts
    assert len(set(WORDS)) == len(WORDS)
    assert tokens(["A heart, at the TOP."]).tolist() == tokens(["a heart at the top"]).tolist()
    assert tokens([]).shape[0] == 0


@pytest.mark.parametrize(
    "texts, error, said",
    [
        (["a purple heart"], ValueError, "no caption has the word 'purple'"),
        (["a hart"], ValueError, "did you mean 'heart'"),
        ([""], ValueError, "1 to 16 words, got 0"),
        (["a " * (LONGEST + 1)], ValueError, "got 17"),
        ("a heart", TypeError, r"put it into a list: \[text\]"),
    ],
)
def test_what_has_no_number_is_said(texts, error, said):
    with pytest.raises(error, match=said):
        tokens(texts)


def test_what_has_no_caption_is_said(cards):
    photos = ImageSet(cards.images, cards.labels, cards.class_names)
    with pytest.raises(ValueError, match="captions need the factors that images were drawn from"):
        captions(photos)
    with pytest.raises(ValueError, match="mention must be .* got 'colour'"):
        captions(cards, ("colour",))
    with pytest.raises(ValueError, match="share must be a finite number"):
        captions(cards, share=1.5)


def test_a_sentence_holds_what_it_is_given():
    full = {factor: VALUES[factor][1] for factor in FACTORS}
    assert sentence(**full) == "a medium yellow square at the top on a yellow background"
    assert (
        len(sentence(**{factor: max(VALUES[factor], key=lambda word: len(word.split())) for factor in FACTORS}).split())
        < LONGEST
    )


@pytest.mark.parametrize("missing", [None, math.nan, 5, b"a disc", ["a", "disc"]])
def test_a_caption_that_is_no_text(missing):
    with pytest.raises(TypeError, match="a caption must be of class str, got .*; give each image a caption"):
        tokens(["a disc", missing])


def test_factors_and_seeds_that_there_are_not():
    with pytest.raises(ValueError, match="a factor must be .* got 'colour'"):
        sentence(colour="red")
    with pytest.raises(ValueError, match="seed must be a whole number of at least 0, got 1.5"):
        captions(load("shapes", "val", limit=2), seed=1.5)


def test_images_with_other_classes_are_refused(cards):
    turned = replace(cards, class_names=cards.class_names[::-1])
    with pytest.raises(ValueError, match="captions name the classes of load.*, got images with class_names .*; give"):
        captions(turned)
    assert captions(replace(cards, class_names=())) == captions(cards)
