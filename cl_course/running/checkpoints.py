"""Weights on disk: safetensors beside a JSON card that says what they are and how they were made.

The card holds the sha256 of the weights' file and of its own text, so that no changed byte goes unnoticed. A full disk
or a killed process never costs the last good pair.
"""

import hashlib
import json
import os
from contextlib import suppress
from pathlib import Path

from safetensors.torch import load as from_bytes
from safetensors.torch import save as to_bytes
from torch import nn

from cl_course.files import digest_of, write_atomically
from cl_course.models import ENCODERS, ResNet
from cl_course.values import path_of

SHIPPED = Path(__file__).parent / "shipped"
OF_WEIGHTS, OF_CARD = "sha256 of the weights", "sha256 of this card"
BLANK = "0" * 64  # stands for the card's own digest while that is computed


def save(path: str | Path, encoder: nn.Module, card: dict) -> None:
    """Save an encoder's weights to `path` (.safetensors) and its card to the same name with .json.

    Names of weights are the encoder's own, also where it or a part of it is wrapped by torch.compile or DataParallel.

    Args:
        card: plain data, such as method, data, config, seed, minutes, accuracies. For `shipped` and the
            command line to rebuild the encoder it holds {"encoder": {"name": ..., arguments}}.

    Raises:
        ValueError: the path is that of the card, or there is a file of another kind where the card goes.
        OSError: the files cannot be written.
    """
    path = path_of(path)
    check_card_file(path)
    card_file, fresh = path.with_suffix(".json"), path.with_suffix(".new.json")
    if fresh.is_file() and path.is_file():  # what a killed save has left is ended first
        with suppress(ValueError):
            if _read_card(fresh).get(OF_WEIGHTS) == digest_of(path):
                os.replace(fresh, card_file)
    state = encoder.state_dict()
    weights = to_bytes({plain: state[own].detach().cpu().contiguous() for plain, own in _plain_names(encoder).items()})
    card = {name: value for name, value in card.items() if name not in (OF_WEIGHTS, OF_CARD)}
    text = json.dumps(card | {OF_WEIGHTS: _sha256(weights), OF_CARD: BLANK}, indent=2) + "\n"
    before, _, behind = text.rpartition(BLANK)
    text = f"{before}{_sha256(text.encode())}{behind}"
    # Killed at any point, the weights on disk have a card with their sha256: the old one, or the fresh one beside it.
    write_atomically(fresh, lambda temporary: temporary.write_bytes(text.encode()))
    try:
        write_atomically(path, lambda temporary: temporary.write_bytes(weights))
    except OSError:
        fresh.unlink(missing_ok=True)
        raise
    os.replace(fresh, card_file)


def check_card_file(path: Path) -> None:
    """Raise unless the card of the weights at `path` can go beside them without a loss of other files.

    Where there are weights already, the .json beside them counts as their card: a damaged or old one may be replaced.
    """
    if path.suffix == ".json":
        raise ValueError(f"the weights cannot be written to {path}, where the card goes; name a file that ends in "
                         ".safetensors")
    for file in map(path.with_suffix, (".json", ".new.json")):
        if file.is_dir():
            raise OSError(f"the card {file} cannot be written: there is a folder of this name; choose another file")
        if file.is_file() and not path.exists() and OF_CARD.encode() not in file.read_bytes():
            raise ValueError(f"{file} is not the card of an encoder, and the new card would be written over it; name "
                             "another file, or move it")


def read_card(path: str | Path) -> dict:
    """The card of a checkpoint; raises what `load` raises for damaged or missing files."""
    return _read(path_of(path))[1]


def load(path: str | Path, encoder: nn.Module) -> dict:
    """Load weights into `encoder`, in place, and return the card.

    Raises:
        FileNotFoundError: no such file, or no card beside it.
        ValueError: a file is damaged or was changed, or holds another architecture; the encoder is as it was.
    """
    weights, card = _read(path_of(path))
    tensors, names, state = from_bytes(weights), _plain_names(encoder), encoder.state_dict()
    for name in [*names, *tensors]:
        here = tuple(state[names[name]].shape) if name in names else "missing"
        there = tuple(tensors[name].shape) if name in tensors else "missing"
        if here != there:
            raise ValueError(f"{path} holds another architecture: {name} is {there} there and {here} here; "
                             "build the encoder its card names")
    encoder.load_state_dict({names[name]: tensor for name, tensor in tensors.items()})
    return card


def build_encoder(card: dict) -> ResNet:
    """The encoder that a card describes, with fresh weights; a ValueError if there is no such encoder."""
    described = card.get("encoder")
    name = described.get("name") if isinstance(described, dict) else None
    if name is None:
        example = '{"name": "small", "width": 16}'
        raise ValueError(f"a card describes its encoder as in {example}, this one with {described!r}")
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
    """An encoder that comes with the course, trained, in eval mode: (encoder, card); a ValueError lists the names."""
    there = sorted(path.stem for path in SHIPPED.glob("*.safetensors"))
    if name not in there:
        raise ValueError(f"no shipped checkpoint {name!r}; there are {', '.join(there) or 'none'}")
    encoder, card = restore(SHIPPED / f"{name}.safetensors")
    return encoder.eval(), card


def _read(path: Path) -> tuple[bytes, dict]:
    """The bytes of the weights, and the card that holds their sha256."""
    if not path.is_file():
        raise FileNotFoundError(f"no checkpoint at {path}")
    weights = path.read_bytes()
    cards = [card for card in map(path.with_suffix, (".json", ".new.json")) if card.is_file()]
    if not cards:
        raise FileNotFoundError(f"no card {path.stem}.json beside {path}; copy it there too")
    for card in map(_read_card, cards):
        if card.pop(OF_WEIGHTS, None) == _sha256(weights):
            return weights, card
    raise ValueError(f"{path} is damaged, or not the weights that its card describes; copy both again, or save again")


def _read_card(file: Path) -> dict:
    try:
        text = file.read_text(encoding="utf-8")
        card = dict(json.loads(text))
    except (ValueError, TypeError) as error:
        raise ValueError(f"{file} is damaged or no card ({error}); make the checkpoint again") from error
    if OF_CARD not in card:
        raise ValueError(f"{file} has no {OF_CARD!r}, so it is damaged or older than this rule; load the weights with "
                         "safetensors.torch.load_file and save encoder and card again with checkpoints.save")
    digest = str(card.pop(OF_CARD))
    before, found, behind = text.rpartition(digest or BLANK)
    if not found or _sha256(f"{before}{BLANK}{behind}".encode()) != digest:
        raise ValueError(f"the card {file} was changed or damaged after it was saved (its sha256 differs); "
                         "copy it again, or save the encoder and its card again with checkpoints.save")
    return card


def _plain_names(encoder: nn.Module) -> dict[str, str]:
    """{name without those of wrappers (torch.compile, DataParallel): name in the encoder's state}."""
    inner, names = {}, {}  # inner: the prefix that a wrapper gives to its content -> the wrapper's own prefix
    parallel = nn.DataParallel | nn.parallel.DistributedDataParallel
    for name, part in encoder.named_modules(remove_duplicate=False):
        outer = f"{name}." if name else ""
        for child, _ in part.named_children():
            if child == "_orig_mod" or child == "module" and isinstance(part, parallel):
                inner[f"{outer}{child}."] = outer
    for own in encoder.state_dict():
        plain = own
        for prefix in sorted(inner, key=len, reverse=True):  # from the inside out
            if plain.startswith(prefix):
                plain = inner[prefix] + plain.removeprefix(prefix)
        names[plain] = own
    return names


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
