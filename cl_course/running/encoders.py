"""The encoder that a command is given: a checkpoint, one that comes with the course, or a published model by name.

A published model keeps its own preprocessing, so that every encoder takes float images in [0, 1] and gives features.
Its weights are read from safetensors (timm) or by torch with `weights_only` (torchvision): neither can run code.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cl_course.data import ImageSet
from cl_course.evaluate import embed
from cl_course.running import checkpoints
from cl_course.values import nearest, path_of

PIXELS = 500 * 32 * 32  # that are in the network at a time: 500 cards, 10 photos of 224 pixels a side
HEADS = ("fc", "classifier", "head", "heads")  # how torchvision calls the part that names classes


@dataclass(frozen=True, eq=False)
class Encoder:
    """An encoder with what is known about it.

    Attributes:
        name: as it was asked for.
        network: float images (n, 3, h, w) in [0, 1] -> features (n, d); in eval mode.
        untrained: the same architecture with random weights.
        about: how it was trained, in a few words.
        card: of a checkpoint; empty for a published model.
        side: pixels a side that the network scales every image to; None where it takes any size as it is.
    """

    name: str
    network: nn.Module
    untrained: nn.Module
    about: str
    card: dict[str, Any]
    side: int | None = None

    def features(self, images: ImageSet, *, untrained: bool = False) -> Tensor:
        """Features of unaugmented images, (n, d), on the CPU."""
        pixels = self.side**2 if self.side else images.images[0, 0].numel()
        network = self.untrained if untrained else self.network
        return embed(network, images, batch_size=max(1, min(500, PIXELS // pixels)))

    def to(self, device: torch.device) -> "Encoder":
        self.network.to(device), self.untrained.to(device)
        return self


class Prepared(nn.Module):
    """A published model behind its preprocessing: images become squares of its size and are normalised."""

    def __init__(self, model: nn.Module, side: int, mean: tuple[float, ...], std: tuple[float, ...]):
        super().__init__()
        self.model, self.side = model, side
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        square = F.interpolate(images, size=(self.side, self.side), mode="bilinear", antialias=True)
        return self.model((square - self.mean) / self.std)


def open_encoder(name: str | Path, seed: int = 0) -> Encoder:
    """The encoder called `name`.

    Args:
        name: a .safetensors file beside its card, a shipped name such as simclr_shapes, torchvision:NAME or timm:NAME.
        seed: of the untrained weights.

    Raises:
        ValueError: there is no such encoder, or its file is damaged or holds another architecture.
        OSError: the weights of a published model are not here and cannot be fetched.
    """
    library, _, model = str(name).partition(":")
    if library in PUBLISHED:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            trained, untrained = PUBLISHED[library](model)
        about = f"a published model of {library}, {trained.side} x {trained.side} pixels"
        return Encoder(str(name), _giving_features(name, trained), untrained.eval(), about, {}, trained.side)
    network, card = _checkpoint(path_of(name))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        untrained = checkpoints.build_encoder(card)
    about = f"{card.get('method', 'an encoder')} of {card.get('data', 'unknown data')}"
    return Encoder(str(name), network.eval(), untrained.eval(), about, card)


def _checkpoint(path: Path) -> tuple[nn.Module, dict]:
    if path.is_dir():
        raise ValueError(f"{path} is a folder; give the .safetensors file of a checkpoint")
    if path.suffix == ".safetensors":
        return checkpoints.restore(path)
    published = "; a published model is written timm:NAME or torchvision:NAME"
    if path.name == str(path) and not path.suffix and not path.exists():
        try:
            return checkpoints.shipped(path.name)
        except ValueError as error:
            raise ValueError(f"{error}{published}") from None
    beside = path.with_suffix(".safetensors")
    names = ", ".join(sorted(path.stem for path in checkpoints.SHIPPED.glob("*.safetensors")))
    raise ValueError(
        f"{path} is not the .safetensors file of a checkpoint; "
        f"give {beside if beside.is_file() else f'such a file, or one of {names}'}{published}"
    )


def _from_torchvision(name: str) -> tuple[Prepared, Prepared]:
    from torchvision import models

    known = models.list_models(module=models)
    if name not in known:
        raise ValueError(
            f"torchvision has no classification model {name!r}{nearest(name, known)}; give one of "
            "torchvision.models.list_models(), such as torchvision:resnet18"
        )
    weights = models.get_model_weights(name).DEFAULT
    how = weights.transforms()
    trained, untrained = models.get_model(name, weights=None), models.get_model(name, weights=None)
    try:
        trained.load_state_dict(weights.get_state_dict(progress=True, check_hash=True, weights_only=True))
    except (OSError, RuntimeError) as problem:
        raise _unfetched(f"torchvision:{name}", problem, "$TORCH_HOME/hub/checkpoints") from problem
    side = how.crop_size[0]
    return tuple(Prepared(_without_head(name, model), side, how.mean, how.std) for model in (trained, untrained))


def _without_head(name: str, model: nn.Module) -> nn.Module:
    """The model with its last linear layer, which names the classes, taken out."""
    heads = [(where, part) for where, part in model.named_modules() if where.partition(".")[0] in HEADS]
    linear = [where for where, part in heads if isinstance(part, nn.Linear)]
    if not linear:
        raise ValueError(
            f"torchvision:{name} does not end in a linear layer, so its features are not known; take "
            "another model, such as torchvision:resnet18"
        )
    model.set_submodule(linear[-1], nn.Identity())
    return model


def _from_timm(name: str) -> tuple[Prepared, Prepared]:
    try:
        import timm
    except ImportError:
        raise ValueError(
            f"timm:{name} needs the package timm, which is not installed; pip install 'cl-course[models]'"
        ) from None
    architecture = name.partition(".")[0]
    if not timm.is_model(architecture):
        raise ValueError(
            f"timm has no model {name!r}{nearest(architecture, tuple(timm.list_models()))}; give one of "
            "timm.list_models(), such as timm:resnet18"
        )
    config = timm.get_pretrained_cfg(name)
    if config is None or not config.hf_hub_id:
        raise ValueError(f"timm has no published weights for {name!r}; give one of timm.list_pretrained()")
    path = _fetched(f"timm:{name}", config.hf_hub_id)
    untrained = timm.create_model(name, pretrained=False, num_classes=0)
    trained = timm.create_model(name, pretrained=True, num_classes=0, pretrained_cfg_overlay={"file": str(path)})
    data = timm.data.resolve_model_data_config(trained)
    side = max(data["input_size"][1:])
    return tuple(Prepared(model, side, data["mean"], data["std"]) for model in (trained, untrained))


def _fetched(name: str, hub_id: str) -> Path:
    """The file with a timm model's weights, as safetensors, from the cache or the network."""
    from huggingface_hub import hf_hub_download

    try:
        return Path(hf_hub_download(hub_id, "model.safetensors"))
    except Exception as problem:  # of several network libraries, which share no class
        raise _unfetched(name, problem, "$HF_HOME/hub") from problem


def _unfetched(name: str, problem: Exception, folder: str) -> OSError:
    reason = str(problem).strip().partition("\n")[0][:120] or type(problem).__name__
    return OSError(
        f"the weights of {name} are not on this machine and cannot be fetched ({reason}); run the same "
        f"command once with a network connection, or copy {folder} from a machine where it worked"
    )


PUBLISHED = {"torchvision": _from_torchvision, "timm": _from_timm}


def _giving_features(name: str | Path, network: Prepared) -> Prepared:
    """The network in eval mode, if it gives one row of features for an image."""
    network.eval()
    with torch.no_grad():
        given = network(torch.zeros(1, 3, network.side, network.side))
    if not isinstance(given, Tensor) or given.ndim != 2:
        shape = tuple(given.shape) if isinstance(given, Tensor) else type(given).__name__
        raise ValueError(
            f"{name} does not give one row of features for an image but {shape}; take another model, "
            "such as torchvision:resnet18"
        )
    return network
