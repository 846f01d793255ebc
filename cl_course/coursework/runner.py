"""The process that runs a student's notebook: untrusted, in a sandbox, without any say in the marks.

    python -m cl_course.coursework.runner CHANNEL FOLDER MEMORY READABLE...

It answers the grader's requests on the channel: run a cell, call a function of the notebook on these arguments. What
it sends back is data (see `wire`). It knows neither the right answers nor what a check looks at: the checks run in the
grader (see `attempt`). So nothing that a notebook can do here, not even to this file's own code, makes a wrong answer
right; all that it can do is to give answers, or none.

It also notes which functions of the course an attempt calls, and whether the notebook replaces something of the course
or of torch. These two are honest as far as the notebook is: they tell what students do openly. A student who takes
pains to deceive them gains no more than one who copies the solution by hand.
"""

import os
import sys
from pathlib import Path

from cl_course.coursework import sandbox

if __name__ == "__main__":
    sandbox.end_with_parent()
    WALLS = sandbox.enter(Path(sys.argv[2]), [Path(path) for path in sys.argv[4:]], int(sys.argv[3]))

import io
import json
import pickle
import traceback
import types
from collections.abc import Callable, Iterator
from socket import socket
from typing import Any

import numpy as np
import torch
from IPython.core.interactiveshell import InteractiveShell
from torch import Tensor, nn
from traitlets.config import Config

from cl_course import checks
from cl_course.coursework.wire import Encoder, receive, send

COURSE = str(Path(checks.__file__).parent) + os.sep
OURS = os.path.join(COURSE, "coursework") + os.sep
NUMBERS = int | float | str | Tensor | np.number | np.ndarray | None | types.EllipsisType  # of a student's own number
WATCHED = (torch, torch.nn.functional, torch.linalg, torch.optim, torch.autograd, torch.testing)
WRAPPERS = "cl_course.tensor_types"  # its functions stand around others


class Unpickler(pickle.Unpickler):
    """Functions that cannot be sent stay with the grader, and are called there."""

    def __init__(self, content: bytes, runner: "Runner"):
        super().__init__(io.BytesIO(content))
        self.runner = runner

    def persistent_load(self, number: int) -> Callable:
        return lambda *arguments, **keywords: self.runner.ask_back(number, arguments, keywords)


class Runner:
    """One notebook's process, from its first cell to its last check."""

    def __init__(self, channel: socket):
        self.channel = channel
        settings = Config()
        settings.HistoryManager.enabled = False
        self.shell = InteractiveShell.instance(config=settings, colors="NoColor")
        self.shell.display_pub.publish = lambda *arguments, **keywords: None
        self.shell.showtraceback = lambda *arguments, **keywords: None  # no one reads it, and it can be slow
        self.graphs: list[tuple[list[Tensor], list[Tensor]]] = []
        self.nodes: list[Any] = []
        self.before: list[Any] = []
        self.pristine = dict(watched())

    def serve(self) -> None:
        while True:
            head, _ = receive(self.channel)
            request = Unpickler(head, self).load()
            answer = getattr(self, request.pop("do"))(**request)
            send(self.channel, *(answer if isinstance(answer, tuple) else Encoder({}).message(answer)))

    def cell(self, source: str) -> dict:
        """Run one cell; how it ended, and what it replaced."""
        done = self.shell.run_cell(source, store_history=False)
        error = done.error_before_exec or done.error_in_exec
        return {"error": type(error).__name__ if error is not None else None, "replaced": self.replaced()}

    def find(self, name: str) -> dict:
        """Whether the notebook has this name, whether it can be called, and what it is if it is no function."""
        there = self.shell.user_ns.get(name, self)
        if there is self:
            return {"kind": "missing", "value": None}
        if callable(there):
            return {"kind": "function", "value": None}
        try:
            return {"kind": "value", "value": [there] if isinstance(there, NUMBERS) else []}
        except Exception:
            return {"kind": "value", "value": []}

    def replaced(self) -> str | None:
        """The name of something in the course, torch or Python's builtins that is not what it was; None if all is."""
        now = dict(watched())
        changed = [name for name, what in self.pristine.items() if not is_same(now.get(name), what)]
        changed = [name for name in changed if name not in now or not by_torch(now[name][0])]
        self.pristine = now | self.pristine  # modules that have been imported meanwhile
        return changed[0] if changed else None

    def call(self, name: str, given: tuple, keywords: dict, nodes: list, hooks: list, grads: dict, grad: bool) -> tuple:
        """Call a function of the notebook: its answer or error, what it changed, which of the course's it called."""
        self.nodes = nodes
        for number, hook in hooks:
            nodes[number].register_hook(hook)
        for number, gradient in grads.items():
            nodes[number].grad = gradient
        self.before = self.contents()
        called: set[str] = set()
        own = {id(node) for node in nodes}
        inputs = [getattr(node, "leaf", node) for node in nodes if isinstance(node, Tensor) and node.requires_grad]
        function, result, error = self.shell.user_ns.get(name), None, None
        sys.setprofile(lambda frame, event, _: note_call(frame, event, called, own))
        try:
            with torch.set_grad_enabled(grad):
                result = function(*given, **keywords)
        except BaseException as caught:
            error = caught
        finally:
            sys.setprofile(None)
        return self.answer(result, error, called, inputs)

    def answer(self, result: Any, error: BaseException | None, called: set[str], inputs: list[Tensor]) -> tuple:
        encoder = self.encoder()
        try:
            encoded = encoder.encode(result)
        except Exception as strange:  # also what an object of the student's own raises when it is looked at
            error, encoded = strange, None
        gradients = list(encoder.with_grad)
        self.graphs.append((gradients, inputs))
        message = {
            "result": {"encoded": [encoded]},
            "changes": self.changes(encoder),
            "shared": [list(pair) for pair in self.shared()],
            "gradients": len(gradients),
            "error": None if error is None else described(error),
            "called": sorted(called),
            "replaced": self.replaced(),
        }
        return raw(message), encoder.blobs

    def ask_back(self, number: int, given: tuple, keywords: dict) -> Any:
        """Call a function that stayed with the grader."""
        encoder = self.encoder()
        message = {"ask": number, "given": encoder.encode([list(given), dict(keywords)])}
        watching = sys.getprofile()
        sys.setprofile(None)
        message["changes"] = self.changes(encoder)
        send(self.channel, raw(message), encoder.blobs)
        head, _ = receive(self.channel)
        answer = Unpickler(head, self).load()
        sys.setprofile(watching)
        if "error" in answer:
            raise answer["error"]
        return answer["result"]

    def backward(self, graph: int, sent: list[Tensor | None]) -> tuple:
        """The gradients of an earlier answer, a vector-Jacobian product."""
        outputs, inputs = self.graphs[graph]
        used = [(output, g) for output, g in zip(outputs, sent) if g is not None and output.requires_grad]
        found, error = [None] * len(inputs), None
        try:
            found = torch.autograd.grad(
                [output for output, _ in used], inputs, [g for _, g in used], retain_graph=True, allow_unused=True
            )
        except Exception as caught:
            error = described(caught)
        encoder = Encoder({})
        return raw({"result": {"encoded": [encoder.encode(list(found))]}, "error": error}), encoder.blobs

    def encoder(self) -> Encoder:
        return Encoder({id(node): number for number, node in enumerate(self.nodes)})

    def contents(self) -> list[Any]:
        """What every object of the arguments holds now, by copy."""
        return [content_of(node) for node in self.nodes]

    def changes(self, encoder: Encoder) -> list:
        """[number, content] of each object of the arguments that is not as it came."""
        now, changed = self.contents(), []
        for number, (old, new) in enumerate(zip(self.before, now)):
            if not alike(old, new):
                changed.append([number, encoder.encode(new, depth=1)])
        self.before = now
        return changed

    def shared(self) -> Iterator[tuple[int, int]]:
        """Tensors of the arguments that hold the same memory: (a later one, an earlier one)."""
        first: dict[int, int] = {}
        for number, node in enumerate(self.nodes):
            if isinstance(node, Tensor) and node.numel():
                place = node.untyped_storage().data_ptr()
                if place in first:
                    yield number, first[place]
                first.setdefault(place, number)


def content_of(node: Any) -> Any:
    if isinstance(node, Tensor):
        grad = None if node.grad is None or not node.is_leaf else node.grad.detach().clone()
        return [node.detach().clone(), node.requires_grad, grad]
    if isinstance(node, torch.Generator):
        return node.get_state()
    return list(node) if isinstance(node, list) else dict(node if isinstance(node, dict) else vars(node))


def alike(a: Any, b: Any) -> bool:
    """Whether two contents are the same; objects are when they are the same object."""
    if a is b:
        return True
    if type(a) is not type(b):
        return False
    if isinstance(a, Tensor):
        return a.shape == b.shape and a.dtype == b.dtype and torch.equal(a.nan_to_num(), b.nan_to_num())
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(alike, a, b))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(alike(a[key], b[key]) for key in a)
    return isinstance(a, int | float | str) and a == b


def raw(message: dict) -> bytes:
    """`message` as JSON; what stands in it is encoded already, but for plain strings, numbers and lists."""
    return json.dumps(message).encode()


def described(error: BaseException) -> dict:
    """An error's kind and message, whether it ends the program, and the student's own line where it came up."""
    lines = [frame.line for frame in traceback.extract_tb(error.__traceback__) if "site-packages" not in frame.filename
             and not frame.filename.startswith(COURSE)]  # fmt: skip
    try:
        message = str(error)[:500]
    except Exception:
        message = ""
    kinds = [kind.__name__ for kind in type(error).__mro__]
    return {"kinds": kinds, "message": message, "ends": not isinstance(error, Exception), "line": (lines or [""])[-1]}


def note_call(frame: types.FrameType, event: str, called: set[str], own: set[int]) -> None:
    """Note a function of the course that is called from outside of it, unless it is a method of an argument."""
    code = frame.f_code
    if frame.f_globals.get("__name__") == WRAPPERS:
        return
    if event != "call" or not code.co_filename.startswith(COURSE) or code.co_filename.startswith(OURS):
        return
    above = frame.f_back
    while above is not None and not above.f_code.co_filename.startswith(OURS):
        module = above.f_globals.get("__name__")
        if above.f_code.co_filename.startswith(COURSE) and module != WRAPPERS:
            return  # the course calls itself
        above = above.f_back
    module = frame.f_globals.get("__name__", "")
    first = frame.f_locals.get(code.co_varnames[0]) if code.co_varnames else None
    methods = (method for kind in type(first).__mro__ for method in vars(kind).values()) if id(first) in own else ()
    is_method = any(getattr(method, "__code__", None) is code for method in methods)
    if code.co_name != "<module>" and not (is_method and module.startswith("cl_course.lessons.")):
        called.add(f"{module}.{code.co_qualname}")


def is_same(a: tuple | None, b: tuple) -> bool:
    return a is not None and a[0] is b[0] and a[1] is b[1]


def by_torch(what: Any) -> bool:
    """Torch puts wrappers of its own around some of its functions when it first needs them."""
    return getattr(getattr(what, "__code__", None), "co_filename", "").startswith(os.path.dirname(torch.__file__))


def watched() -> Iterator[tuple[str, tuple]]:
    """(name, identity) of every function and class of the course, of torch and of Python that a check may rely on."""
    ours = [module for name, module in list(sys.modules.items()) if name.startswith("cl_course.") and module]
    for module in (*ours, *WATCHED, sys.modules["builtins"]):
        for name, what in list(vars(module).items()):
            if callable(what) and not name.startswith("_"):
                yield f"{module.__name__}.{name}", (what, getattr(what, "__code__", None))
                if isinstance(what, type) and what.__module__.startswith("cl_course."):
                    yield from ((f"{module.__name__}.{name}.{key}", (part, getattr(part, "__code__", None)))
                                for key, part in list(vars(what).items()) if callable(part))  # fmt: skip
    for kind in (Tensor, nn.Module):
        for name, part in list(vars(kind).items()):
            if callable(part):
                yield f"{kind.__name__}.{name}", (part, getattr(part, "__code__", None))


def main() -> None:
    channel = socket(fileno=int(sys.argv[1]))
    torch.set_num_threads(1)
    sys.argv = ["notebook"]
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(nowhere, stream)
    runner = Runner(channel)
    send(channel, *Encoder({}).message({"walls": WALLS}))
    try:
        runner.serve()
    except EOFError:  # the grader has all that it needs
        os._exit(0)


if __name__ == "__main__":
    main()
