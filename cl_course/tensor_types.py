"""Shapes in signatures, checked at run time, and float32 wherever embeddings are compared."""

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor

Embeddings = Float[Tensor, "n d"]  # one vector a row
Images = Float[Tensor, "n 3 h w"]  # RGB, values in [0, 1]
Labels = Int64[Tensor, " n"]
PerImage = Float[Tensor, " n"]  # one number for each image
Scalar = Float[Tensor, ""]

CONVERSIONS = {"float": "float", "int64": "long", "bool": "bool"}

# What makes a batch (n, 3, h, w) of another shape, whose sizes are given here; None is any. The first that fits counts.
SHAPE_REMEDIES = {
    (None, 1, None, None): "images.expand(-1, 3, -1, -1)",
    (None, 4, None, None): "images[:, :3]",
    (None, None, None, 3): "images.permute(0, 3, 1, 2)",
    (None, None, None, 4): "images.permute(0, 3, 1, 2)[:, :3]",
    (None, None, None, 1): "images.permute(0, 3, 1, 2).expand(-1, 3, -1, -1)",
    (3, None, None): "images[None]",
    (None, None, 3): "images.permute(2, 0, 1)[None]",
    (None, None, 4): "images.permute(2, 0, 1)[None, :3]",
    (None, None, None): "images[:, None].expand(-1, 3, -1, -1)",
    (None, None): "images.expand(1, 3, -1, -1)",
}


def checked(function: Callable) -> Callable:
    """Check the tensors of every call against the shapes in the signature, and compute `in_float32`.

    One letter is one size in all of them. A TypeError says in one sentence which tensor has another type or shape, what
    was given and what is allowed. Numbers are not looked at: `values` checks those.
    """
    signature = inspect.signature(function)
    hints = {name: p.annotation for name, p in signature.parameters.items() if hasattr(p.annotation, "dim_str")}

    @wraps(function)
    def safe(*args, **kwargs):
        given, sizes = signature.bind(*args, **kwargs).arguments, {}
        for name in [name for name in hints if name in given]:
            if wrong := _misfit(name, given[name], hints[name], sizes):
                raise TypeError(f"{function.__name__}: {wrong}")
            if hints[name].dim_str.startswith("n ") and not len(given[name]):  # a batch, whose mean would be NaN
                raise ValueError(f"{function.__name__}: {name} is empty, of shape {tuple(given[name].shape)}; give it "
                                 "at least one row")
        return function(*args, **kwargs)

    return in_float32(safe)


def _misfit(name: str, value: Any, hint: Any, sizes: dict[str, tuple[int, str]]) -> str | None:
    """What is wrong with a tensor, in one sentence; `sizes`, letter -> (size, name of a tensor), is added to."""
    letters, kind, is_tensor = hint.dim_str.split(), hint.dtype.__name__.lower(), isinstance(value, Tensor)
    dtype, shape = (str(value.dtype).removeprefix("torch."), tuple(value.shape)) if is_tensor else ("", ())
    known = {letter: sizes[letter] for letter in letters if letter in sizes and not letter.isdigit()}
    sizes.update((letter, (size, name)) for letter, size in zip(letters, shape) if letter not in sizes)
    sizes.update((letter, (int(letter), name)) for letter in letters if letter.isdigit())
    if dtype in hint.dtypes and len(shape) == len(letters) and shape == tuple(sizes[x][0] for x in letters):
        return None
    found, advice = f"a {type(value).__name__}", f"torch.as_tensor({name}) makes a tensor of an array or a list"
    if is_tensor:
        found, advice = f"{_with_article(dtype)} tensor of shape {shape}", f"{name}.{CONVERSIONS[kind]}() converts it"
    if dtype in hint.dtypes:
        advice = " and ".join(dict.fromkeys([*(f"{other}.shape" for _, other in known.values()), f"{name}.shape"]))
        advice = f"print {advice} before the call"
    allowed = f"{_with_article(kind)} tensor of shape ({', '.join(letters)}{',' * (len(letters) == 1)})"
    allowed += "".join(f", {letter} = {size} as in {other}" for letter, (size, other) in known.items())
    return f"{name} must be {allowed}, got {found}; {advice}"


def _with_article(kind: str) -> str:
    return f"an {kind}" if kind.startswith("int") else f"a {kind}"


def in_float32(function: Callable) -> Callable:
    """Let `function` compute in float32 from half precision, however tensors are passed, and under autocast.

    bfloat16 rounds a similarity to 1/256, and a temperature divides what is left. float64 stays, and gradients come
    back in the precision of the input.
    """

    @wraps(function)
    def safe(*args, **kwargs):
        args, kwargs = _widened(args), _widened(kwargs)
        device = next((z.device.type for z in (*args, *kwargs.values()) if isinstance(z, Tensor)), "cpu")
        if not torch.is_autocast_enabled(device):
            return function(*args, **kwargs)
        with torch.autocast(device, enabled=False):
            return function(*args, **kwargs)

    return safe


def _widened(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _widened(part) for name, part in value.items()}
    if type(value) is tuple:
        return tuple(map(_widened, value))
    return value.float() if isinstance(value, Tensor) and value.dtype in (torch.float16, torch.bfloat16) else value


def check_finite(name: str, *parts: Tensor) -> None:
    """Raise a ValueError where a number that an encoder made is NaN or infinite."""
    if not all(part.isfinite().all() for part in parts):
        raise ValueError(f"{name} must be finite, got infinite ones or NaN; the run that made the encoder has "
                         "diverged, train it again at a lower learning rate")


def check_images(images: Tensor) -> None:
    """Raise unless `images` are floats (n, 3, h, w); the sentence has the expression that makes them so."""
    if not isinstance(images, Tensor):
        raise TypeError(f"images must be a tensor, got a {type(images).__name__}; torch.as_tensor(images) makes one")
    if not images.is_floating_point():
        raise TypeError(f"images must be floats in [0, 1], got {images.dtype}; images.float() / 255 converts bytes")
    if images.dtype not in (torch.float32, torch.float64):
        raise TypeError(f"images must be float32 or float64, got {images.dtype}, too coarse for positions and hues; "
                        "images.float() converts them")
    if images.ndim != 4 or images.shape[1] != 3 or 0 in images.shape:
        shape = tuple(images.shape)
        raise ValueError(f"images must be a batch (n, 3, h, w), got {shape}; {_shape_remedy(shape)}")


def _shape_remedy(shape: tuple[int, ...]) -> str:
    if 0 in shape:
        return "take at least one image"
    for known, remedy in SHAPE_REMEDIES.items():
        if len(known) == len(shape) and all(size in (None, given) for size, given in zip(known, shape)):
            return f"{remedy} makes one"
    return "the second size is the number of channels, 3"
