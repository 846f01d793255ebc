"""Captions of the drawn images, from the factors they were drawn from, and their words as numbers.

A caption is "a small green heart at the top left on a blue background", or less of it: what a caption leaves out is a
setting, so that a lesson can measure what a network does with what nobody says.
"""

from collections.abc import Sequence

import torch
from torch import Generator, Tensor

from cl_course.data import ImageSet
from cl_course.images.shapes import CLASS_NAMES, Style
from cl_course.values import instance, nearest, one_of, real, shown, whole

HUES = ("red", "yellow", "green", "cyan", "blue", "magenta")  # each a sixth of the colour circle, red around 0
SIZES = ("small", "medium", "large")  # each a third of the scales that are drawn
PLACES = ("top left", "top", "top right", "left", "centre", "right", "bottom left", "bottom", "bottom right")
# What a caption can name, and in which words.
VALUES = {"class": CLASS_NAMES, "hue": HUES, "scale": SIZES, "position": PLACES, "background": HUES}
FACTORS = tuple(VALUES)
UNNAMED = "shape"  # what an object is called where the caption leaves its class out
WORDS = ("a", "at", "the", "on", "background", UNNAMED, *HUES, *SIZES, "top", "bottom", "left", "right", "centre")
WORDS += CLASS_NAMES
LONGEST = 16  # words in a caption
_NUMBERS = {word: number for number, word in enumerate(WORDS, start=1)}  # 0 is padding


def named_values(images: ImageSet) -> dict[str, Tensor]:
    """Factor -> int64 (n,): which of `VALUES` each image has.

    Raises:
        ValueError: images without labels or without the factors they were drawn from, such as photos.
    """
    needed = {"object_hue", "background_hue", "scale", "position"}
    if images.labels is None or not needed <= images.factors.keys():
        raise ValueError("captions need the factors that images were drawn from; load('shapes', ...) has them")
    if tuple(images.class_names) not in ((), CLASS_NAMES):
        raise ValueError("captions name the classes of load('shapes', ...), got images with class_names "
                         f"{shown(images.class_names)}; give these the labels and class_names they were drawn with")
    drawn = images.factors
    x, y = _thirds(drawn["position"], -Style.position, Style.position).unbind(dim=1)
    return {
        "class": images.labels,
        "hue": _sixths(drawn["object_hue"]),
        "scale": _thirds(drawn["scale"], *Style.scale),
        "position": 3 * y + x,
        "background": _sixths(drawn["background_hue"]),
    }


def captions(images: ImageSet, mention: Sequence[str] = FACTORS, share: float = 1.0, seed: int = 0) -> list[str]:
    """One caption for each image of the drawn set.

    Args:
        images: with labels and the factors object_hue, background_hue, scale and position.
        mention: the factors that captions may name, out of `FACTORS`, in any order.
        share: the probability, in [0, 1], that a caption names such a factor; the class, if mentioned, always is.
        seed: of the draw for `share`.

    Raises:
        ValueError: images without labels or factors, such as photos; a factor that no caption names.
    """
    named = [one_of("mention", factor, FACTORS) for factor in mention]
    share = real("share", share, least=0, most=1, advice="it is a probability")
    said = torch.rand(len(images), len(FACTORS), generator=Generator().manual_seed(whole("seed", seed, 0))) < share
    said[:, FACTORS.index("class")] = True
    said &= torch.tensor([factor in named for factor in FACTORS])
    values = torch.stack(list(named_values(images).values()), dim=1)  # (n, factors)
    return [
        sentence(**{factor: VALUES[factor][value] for factor, value, says in zip(FACTORS, row, spoken) if says})
        for row, spoken in zip(values.tolist(), said.tolist())
    ]


def sentence(**words: str) -> str:
    """A caption of the words given for some of `FACTORS`: `sentence(**{"class": "heart", "hue": "green"})`."""
    for factor in words:
        one_of("a factor", factor, FACTORS)
    place, background = words.get("position"), words.get("background")
    parts = ["a", words.get("scale"), words.get("hue"), words.get("class", UNNAMED)]
    parts += [place and f"at the {place}", background and f"on a {background} background"]
    return " ".join(part for part in parts if part)


def tokens(texts: Sequence[str]) -> Tensor:
    """Texts -> int64 (n, length of the longest), each word's place in `WORDS` from 1 on; 0 fills up the shorter ones.

    Raises:
        TypeError: one string came in place of a list; ValueError: a text without words, with more than `LONGEST`, or
            with a word that is not in `WORDS`.
    """
    if isinstance(texts, str):
        raise TypeError(f"texts must be a list of strings, got {shown(texts)}; put it into a list: [text]")
    rows = [_numbers(text) for text in texts]
    longest = max(map(len, rows), default=1)
    return torch.tensor([row + [0] * (longest - len(row)) for row in rows], dtype=torch.int64).view(-1, longest)


def _numbers(text: str) -> list[int]:
    instance("a caption", text, str, "give each image a caption, or leave images without one out")
    words = text.lower().replace(",", " ").replace(".", " ").split()
    if not 1 <= len(words) <= LONGEST:
        raise ValueError(f"a caption has 1 to {LONGEST} words, got {len(words)} in {shown(text)}")
    for word in words:
        if word not in _NUMBERS:
            raise ValueError(f"no caption has the word {word!r}{nearest(word, WORDS)}; captions.WORDS lists all words")
    return [_NUMBERS[word] for word in words]


def _sixths(hues: Tensor) -> Tensor:
    return (hues * 6).round().long() % 6


def _thirds(values: Tensor, low: float, high: float) -> Tensor:
    return ((values - low) / (high - low) * 3).long().clamp(0, 2)
