"""Caption lab: type a caption and see the nearest cards, press a card and read its words; the page runs the encoder."""

import base64
from collections.abc import Sequence
from typing import Any

import torch
from IPython.display import display
from torch import Tensor

from cl_course.captions import FACTORS, LONGEST, VALUES, WORDS, captions, named_values, tokens
from cl_course.clip import CLIP
from cl_course.data import ImageSet, to_float
from cl_course.lessons.shared.lab_page import page_lab
from cl_course.lessons.shared.pictures import sprite
from cl_course.lessons.two_languages.recipe import prompts

CARDS, SHOWN = 240, 8  # cards in the page, and how many of them are shown for a caption
EXAMPLES = (
    "a heart",
    "a large red disc",
    "a star at the bottom right",
    "a red flower on a green background",
    "a green flower on a red background",
)


def caption_lab(method: CLIP, images: ImageSet, texts: Sequence[str], caption: str = EXAMPLES[0]) -> None:
    """A text box over the cards it finds; the page computes and draws, see lab_captions.js.

    Args:
        method: trained; its text encoder goes into the page, in whole numbers of 8 bits.
        images: the drawn set; the first CARDS are searched.
        texts: all captions it has read, whose words are the ones it knows.
        caption: what stands in the box at first.

    Raises:
        ValueError: images without the factors that captions name; a word in `caption` that no caption can have.
    """
    tokens([caption])
    display(page_lab(__file__, "lab_captions", **captions_data(method, images, texts), caption=caption))


def captions_data(method: CLIP, images: ImageSet, texts: Sequence[str]) -> dict[str, Any]:
    """What the page needs: the text encoder, the cards with embeddings and words, and a direction for each value."""
    cards = images.subset(torch.arange(min(CARDS, len(images))))
    read = {word for text in texts for word in text.split()}
    values = named_values(cards)
    return {
        **sprite(to_float(cards.images)),
        "words": [word if word in read else None for word in WORDS],
        "longest": LONGEST,
        "heads": method.text_encoder.heads,
        "weights": {name: packed(weights) for name, weights in text_weights(method).items()},
        "z": packed(method.embed_images(cards)),
        "captions": captions(cards),
        "factors": [
            {
                "name": factor,
                "values": list(VALUES[factor]),
                "of": values[factor].tolist(),
                "z": packed(torch.stack([method.embed_texts(each).mean(dim=0) for each in prompts(factor)])),
            }
            for factor in FACTORS
        ],
        "shown": SHOWN,
        "examples": list(EXAMPLES),
    }


def text_weights(method: CLIP) -> dict[str, Tensor]:
    """All that the text's way through the network needs, by its name in the method."""
    encoder = method.text_encoder.state_dict(prefix="text_encoder.")
    return {**encoder, "text_projection.weight": method.text_projection.weight.detach()}


def packed(values: Tensor) -> dict[str, Any]:
    """A tensor as whole numbers of one step, from -127 to 127: `shape`, `step`, and `codes` in base64."""
    step = float(values.abs().max()) / 127 or 1.0
    codes = (values.double().cpu() / step).round().to(torch.int8).numpy()
    return {"shape": list(values.shape), "step": step, "codes": base64.b64encode(codes.tobytes()).decode()}


def unpacked(values: dict[str, Any]) -> Tensor:
    """What `packed` made, as the page reads it."""
    codes = torch.frombuffer(bytearray(base64.b64decode(values["codes"])), dtype=torch.int8)
    return codes.double().view(values["shape"]) * values["step"]
