"""Weights on disk: safetensors beside a JSON card that says what they are and how they were made.

Every file is written under a temporary name and then renamed, so a full disk or a killed
process never costs the last good one.
"""

import json
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from cl_course.files import write_atomically
from cl_course.models import ENCODERS, ResNet

SHIPPED = Path(__file__).parent / "shipped"


def save(path: str | Path, encoder: nn.Module, card: dict) -> None:
    """Save an encoder's weights to `path` (.safetensors) and its card to the same name with .json.

    Args:
        card: plain data, such as method, data, config, seed, minutes, accuracies. For `shipped` and the
            command line to rebuild the encoder it holds {"encoder": {"name": ..., arguments}}.
    """
    path = Path(path)
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in encoder.state_dict().items()}
    text = json.dumps(card, indent=2) + "\n"  # before anything is written: a TypeError here is the card's

    def both(card_file: Path) -> None:  # the card is on disk before the weights are replaced, and renamed after: a full disk costs neither
        card_file.write_text(text)
        write_atomically(path, lambda temporary: save_file(tensors, temporary))

    write_atomically(path.with_suffix(".json"), both)


def read_card(path: str | Path) -> dict:
    """The card of a checkpoint."""
    card = Path(path).with_suffix(".json")
    if not card.exists():
        raise FileNotFoundError(f"no card {card.name} beside {path}; a checkpoint is a .safetensors file and a .json file of the same name")
    try:
        return dict(json.loads(card.read_text()))
    except (ValueError, TypeError) as error:
        raise ValueError(f"{card} is damaged or no card ({error}); make the checkpoint again") from error


def load(path: str | Path, encoder: nn.Module) -> dict:
    """Load weights into `encoder`, in place, and return the card.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the file is truncated, or holds another architecture; the encoder is as it was.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no checkpoint at {path}")
    try:
        tensors = load_file(path)
    except SafetensorError as error:
        raise ValueError(f"{path} is truncated or no safetensors file ({error}); delete it and make it again") from error
    wanted = encoder.state_dict()
    for name in [*wanted, *tensors]:
        here, there = (tuple(d[name].shape) if name in d else None for d in (wanted, tensors))
        if here != there:
            raise ValueError(f"{path} holds another architecture: {name} is {'missing' if there is None else there} there and {'missing' if here is None else here} here; build the encoder its card names")
    card = read_card(path)  # before the weights: a missing card must leave the encoder as it was
    encoder.load_state_dict(tensors)
    return card


def build_encoder(card: dict) -> ResNet:
    """The encoder that a card describes, with fresh weights.

    Raises:
        ValueError: the card names no known encoder, or arguments that it does not have.
    """
    described = card.get("encoder")
    name = described.get("name") if isinstance(described, dict) else None
    if name is None:
        raise ValueError(f"""a card describes its encoder as in {{"name": "small", "width": 16}}, this one with {described!r}""")
    if name not in ENCODERS:
        raise ValueError(f"unknown encoder {name!r} in the card; there are {', '.join(ENCODERS)}")
    arguments = {key: value for key, value in described.items() if key != "name"}
    try:
        return ENCODERS[name](**arguments)
    except TypeError as error:
        raise ValueError(f"the card gives its encoder {arguments}, which {name} does not take") from error


def restore(path: str | Path) -> tuple[ResNet, dict]:
    """Build the encoder that the card at `path` describes and load its weights: (encoder, card)."""
    encoder = build_encoder(read_card(path))
    return encoder, load(path, encoder)


def shipped(name: str) -> tuple[ResNet, dict]:
    """An encoder that comes with the course, trained, in eval mode: (encoder, card).

    Raises:
        ValueError: none of that name; the sentence lists those there are.
    """
    there = sorted(path.stem for path in SHIPPED.glob("*.safetensors"))
    if name not in there:
        raise ValueError(f"no shipped checkpoint {name!r}; there are {', '.join(there) or 'none'}")
    encoder, card = restore(SHIPPED / f"{name}.safetensors")
    return encoder.eval(), card
