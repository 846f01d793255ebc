"""Messages between the grader and the process that runs a student's code.

What the grader sends is pickled, since it is trusted. What comes back is not: it is plain data (numbers, strings,
tensors, sequences, dicts) that cannot run code, and it is taken apart with care. Anything else arrives as a stand-in
that knows no more than the name of its class.

A message is a length, a JSON head, and the bytes of its tensors.
"""

import json
import math
import struct
from dataclasses import asdict
from socket import socket
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from cl_course.augment import AugmentConfig

MOST_BYTES = 64_000_000
MOST_DEPTH = 40
DTYPES = {
    str(dtype): dtype
    for dtype in (torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16)
    + (torch.int8, torch.uint8, torch.bool, torch.complex64, torch.complex128)
}
OPTIMIZERS = {name: kind for name, kind in vars(torch.optim).items() if isinstance(kind, type)}
CLASSES = {**OPTIMIZERS, "AugmentConfig": AugmentConfig, "Tensor": Tensor}


class WireError(Exception):
    """A message that is too long, or not of the form in which honest ones come."""


class StandIn:
    """What cannot cross, such as an object of a student's own class; its class has the same name."""

    def __init__(self, name: str, text: str = ""):
        self.__class__ = type(str(name)[:80], (CallableStandIn if isinstance(self, CallableStandIn) else StandIn,), {})
        self.text = text

    def __repr__(self) -> str:
        return self.text


class CallableStandIn(StandIn):
    def __call__(self, *_: Any) -> Any:
        raise TypeError(f"a {type(self).__name__} came back")


def send(channel: socket, head: bytes, blobs: list[bytes]) -> None:
    lengths = struct.pack(f"<II{len(blobs)}I", len(head), len(blobs), *map(len, blobs))
    channel.sendall(b"".join([lengths, head, *blobs]))


def receive(channel: socket) -> tuple[bytes, list[bytes]]:
    """The next message, or a WireError; EOFError where the other side has ended, TimeoutError as the channel has it."""
    head, count = struct.unpack("<II", _exactly(channel, 8))
    if count > 100_000:
        raise WireError("a message of too many parts")
    lengths = struct.unpack(f"<{count}I", _exactly(channel, 4 * count))
    if head + sum(lengths) > MOST_BYTES:
        raise WireError(f"an answer of more than {MOST_BYTES / 1e6:.0f} MB")
    return _exactly(channel, head), [_exactly(channel, length) for length in lengths]


def _exactly(channel: socket, length: int) -> bytes:
    parts = bytearray()
    while len(parts) < length:
        part = channel.recv(min(length - len(parts), 1 << 20))
        if not part:
            raise EOFError
        parts += part
    return bytes(parts)


def non_leaf(tensor: Tensor) -> Tensor:
    """A tensor with a gradient that may be changed in place, as one made by a network is."""
    leaf = tensor.requires_grad_()
    made = leaf * 1
    made.leaf = leaf
    return made


class Encoder:
    """Values as JSON, tensors beside them.

    Args:
        known: objects that both sides have, by id -> number; they cross as their number.
    """

    def __init__(self, known: dict[int, int]):
        self.known, self.blobs, self.with_grad = known, [], []

    def message(self, value: Any) -> tuple[bytes, list[bytes]]:
        return json.dumps(self.encode(value)).encode(), self.blobs

    def encode(self, value: Any, depth: int = 0) -> Any:
        """Raises a WireError where `value` is nested too deeply, as one that holds itself."""
        if depth > MOST_DEPTH:
            raise WireError("the answer is nested too deeply")
        if value is None or isinstance(value, bool | str):
            return value
        if id(value) in self.known:
            return {"known": self.known[id(value)]}
        if isinstance(value, int | np.integer):
            return {"int": str(int(value))}
        if isinstance(value, float | np.floating):
            return {"float": repr(float(value))}
        if isinstance(value, Tensor):
            return self.tensor(value)
        if isinstance(value, np.ndarray | np.bool_):
            return self.array(np.asarray(value))
        for kind in (tuple, list, set, range):
            if isinstance(value, kind):
                return {kind.__name__: [self.encode(part, depth + 1) for part in list(value)[:1_000_000]]}
        if isinstance(value, dict):
            return {"dict": [[self.encode(k, depth + 1), self.encode(v, depth + 1)] for k, v in value.items()]}
        if value is ...:
            return {"ellipsis": 0}
        if isinstance(value, AugmentConfig):
            return {"config": self.encode(asdict(value), depth + 1)}
        if isinstance(value, torch.optim.Optimizer) and type(value) is OPTIMIZERS.get(type(value).__name__):
            groups = [{k: v for k, v in group.items() if not callable(v)} for group in value.param_groups]
            return {"optimizer": [type(value).__name__, self.encode(groups, depth + 1)]}
        if isinstance(value, type):
            return {"class": value.__name__}
        return self.other(value)

    def array(self, value: np.ndarray) -> Any:
        try:  # a copy runs forwards: torch takes no other
            return {"array": self.tensor(torch.as_tensor(value.copy()))}
        except TypeError:  # nor words or objects
            return self.other(value)

    def tensor(self, value: Tensor) -> Any:
        dense = (value.to_dense() if value.layout != torch.strided else value).detach().cpu().resolve_conj()
        dense = dense.resolve_neg().contiguous()
        if str(dense.dtype) not in DTYPES:
            return self.other(value)
        self.blobs.append(dense.reshape(-1).view(torch.uint8).numpy().tobytes() if dense.numel() else b"")
        about = {"shape": list(dense.shape), "dtype": str(dense.dtype), "blob": len(self.blobs) - 1}
        about |= {"grad": value.requires_grad, "parameter": isinstance(value, nn.Parameter)}
        if about["grad"] and not about["parameter"]:
            self.with_grad.append(value)
        return {"tensor": about}

    def other(self, value: Any) -> Any:
        try:
            text = repr(value)[:200]
        except Exception:
            text = ""
        return {"other": [type(value).__name__, callable(value), text]}


class Decoder:
    """The reverse of `Encoder`, for what an untrusted process has sent.

    Args:
        known: number -> object.
    """

    def __init__(self, known: list[Any], blobs: list[bytes]):
        self.known, self.blobs, self.with_grad = known, blobs, []

    def message(self, head: bytes) -> Any:
        try:
            return self.decode(json.loads(head))
        except (ValueError, TypeError, KeyError, IndexError, RecursionError, RuntimeError, OverflowError) as error:
            raise WireError(f"an answer of no known form ({type(error).__name__})") from None

    def decode(self, value: Any) -> Any:
        if value is None or isinstance(value, bool | str):
            return value
        ((kind, content),) = value.items()
        if kind == "known":
            return self.known[content]
        if kind == "int":
            return int(content[:4000])
        if kind == "float":
            return float(content)
        if kind == "tensor":
            return self.tensor(content)
        if kind == "array":
            return self.tensor(content["tensor"]).numpy()
        if kind in ("tuple", "list", "set", "range"):
            parts = [self.decode(part) for part in content]
            return tuple(parts) if kind == "tuple" else set(parts) if kind == "set" else parts
        if kind == "dict":
            return {self.decode(k): self.decode(v) for k, v in content}
        if kind == "ellipsis":
            return ...
        if kind == "config":
            return AugmentConfig(**self.decode(content))
        if kind == "optimizer":
            return self.optimizer(*content)
        if kind == "class":
            return CLASSES.get(content) or type(str(content)[:80], (StandIn,), {})
        name, can_be_called, text = content
        return (CallableStandIn if can_be_called else StandIn)(name, str(text))

    def tensor(self, about: dict) -> Tensor:
        dtype, shape = DTYPES[about["dtype"]], [int(side) for side in about["shape"]]
        data = bytearray(self.blobs[about["blob"]])
        if min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize != len(data):
            raise ValueError("the tensor's size and its bytes differ")
        raw = torch.frombuffer(data, dtype=torch.uint8) if data else torch.empty(0, dtype=torch.uint8)
        made = (raw != 0 if dtype == torch.bool else raw.view(dtype)).reshape(shape)
        if about["parameter"]:
            return nn.Parameter(made, requires_grad=bool(about["grad"]))
        if about["grad"]:
            self.with_grad.append(made)
        return made

    def optimizer(self, name: str, groups: Any) -> torch.optim.Optimizer:
        """One of torch's own, made anew over the grader's weights with the same settings."""
        groups = self.decode(groups)
        shared = {key: value for key, value in groups[0].items() if key not in ("params", "initial_lr")}
        made = OPTIMIZERS[name]([{"params": group["params"]} for group in groups])
        for group, given in zip(made.param_groups, groups):
            group.update({key: value for key, value in (shared | given).items() if key in group and key != "params"})
        return made
