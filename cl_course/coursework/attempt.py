"""A student's function, seen from the grader: it looks like a function, and runs in another process.

The checks of the course call what they are given, with tensors, networks, optimisers, generators and functions. An
`Attempt` takes such a call to the process that runs the notebook (see `process` here and `runner` there) and brings
back the answer, what was changed in place, and gradients. So a check runs here, unchanged, in a process in which no
line of a student ever runs.
"""

import builtins
import types
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from cl_course.coursework.process import Process, Stopped
from cl_course.coursework.wire import Decoder

RNG = torch.default_generator


class Attempt:
    """A function of the notebook, to be given to a check.

    Attributes:
        called: names of the course's functions that it has called.
        line: the student's own line at which it stopped last.
    """

    def __init__(self, process: Process, name: str):
        self.process, self.__name__ = process, name
        self.called: set[str] = set()
        self.replaced: str | None = None

    def __call__(self, *given: Any, **keywords: Any) -> Any:
        nodes = list(_objects([given, keywords, RNG]))
        hooks = [(number, hook) for number, node in enumerate(nodes) if isinstance(node, Tensor)
                 for hook in (node._backward_hooks or {}).values()]  # fmt: skip
        request = {"do": "call", "name": self.__name__, "given": given, "keywords": keywords, "nodes": nodes}
        request |= {"hooks": hooks, "grads": _gradients(nodes), "grad": torch.is_grad_enabled()}
        inputs = [node for node in nodes if isinstance(node, Tensor) and node.requires_grad]
        message, result, decoder = self.process.ask(request, Decoder(nodes, []))
        graph, self.process.calls = self.process.calls, self.process.calls + 1
        self.called |= {str(name) for name in message["called"]}
        self.replaced = self.replaced or message["replaced"]
        if message["error"] is not None:
            raise _error(message["error"])
        made = decoder.with_grad
        if made and inputs:
            wrapped = Remote.apply(self.process, graph, len(inputs), *inputs, *made)
            result = _exchanged(result, {id(old): new for old, new in zip(made, wrapped)})
        else:
            for tensor in made:
                tensor.requires_grad_()
        return result


class Remote(torch.autograd.Function):
    """The way back from an answer to the arguments, through the other process."""

    @staticmethod
    def forward(ctx: Any, process: Process, graph: int, count: int, *tensors: Tensor) -> tuple[Tensor, ...]:
        ctx.process, ctx.graph, ctx.count = process, graph, count
        return tuple(tensor.clone() for tensor in tensors[count:])

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple:
        request = {"do": "backward", "graph": ctx.graph, "sent": list(gradients)}
        message, found, _ = ctx.process.ask(request)
        if message["error"] is not None:
            raise RuntimeError(message["error"]["message"])
        return (None, None, None, *found[: ctx.count], *(None for _ in gradients))


def _objects(value: Any, seen: set[int] | None = None) -> Iterator[Any]:
    """Every object of the arguments that a call may change, once, however deep it lies."""
    seen = set() if seen is None else seen
    if isinstance(value, types.FunctionType | type | str | int | float | None) or id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, Tensor | torch.Generator):
        yield value
        return
    if isinstance(value, list | dict):
        yield value
        parts = value if isinstance(value, list) else value.values()
    elif isinstance(value, tuple):
        parts = value
    elif hasattr(value, "func") and hasattr(value, "args"):  # a partial
        parts = [value.func, *value.args]
    elif type(value).__module__.startswith(("cl_course.", "torch.")) and hasattr(value, "__dict__"):
        yield value
        parts = vars(value).values()
    else:
        return
    for part in list(parts):
        yield from _objects(part, seen)


def _gradients(nodes: list[Any]) -> dict[int, Tensor]:
    """Number -> gradient; pickling a tensor leaves it out."""
    leaves = ((number, node) for number, node in enumerate(nodes) if isinstance(node, Tensor) and node.is_leaf)
    return {number: leaf.grad for number, leaf in leaves if leaf.grad is not None}


def _exchanged(value: Any, new: dict[int, Tensor]) -> Any:
    if id(value) in new:
        return new[id(value)]
    if isinstance(value, list | tuple):
        return type(value)(_exchanged(part, new) for part in value)
    return {key: _exchanged(part, new) for key, part in value.items()} if isinstance(value, dict) else value


def _error(about: dict) -> BaseException:
    """The attempt's error as one of the same name here; a Stopped where it would have ended the program."""
    if about["kinds"][0] == "WireError":
        raise Stopped(f"what your function gives cannot be judged: {str(about['message'])[:200]}.")
    if about["ends"]:
        raise Stopped(f"your code raises {str(about['kinds'][0])[:80]}, which ends the program: leave it out.")
    for name in about["kinds"]:
        kind = getattr(builtins, str(name), None)
        if isinstance(kind, type) and issubclass(kind, Exception):
            break
    name = str(about["kinds"][0])[:80]
    made = kind if kind.__name__ == name else type(name, (kind,), {})
    try:
        return made(str(about["message"]))
    except TypeError:  # as UnicodeDecodeError, which takes more
        return type(name, (Exception,), {})(str(about["message"]))
