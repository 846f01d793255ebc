"""A student's process, seen from the grader: it is started, asked, and ended when it takes too long.

Requests go out pickled, as one graph in which every object is numbered. Answers come back as plain data, in which
those objects are named by their numbers: an encoder that was given and is returned is the grader's own encoder.
"""

import copyreg
import io
import json
import os
import pickle
import signal
import subprocess
import sys
import time
import types
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from socket import socket, socketpair
from typing import Any

import torch
from torch import Tensor

from cl_course.coursework.wire import Decoder, WireError, non_leaf, receive, send

COURSE = Path(__file__).parents[1]
START_SECONDS = 120  # to import torch on a machine that is busy


class Stopped(BaseException):
    """The attempt gave no answer that could be judged; the sentence says why. No check can catch it by chance."""


class Pickler(pickle.Pickler):
    """Functions without a name of their own stay here; so do modules' pieces that only this process can have."""

    def __init__(self, file: io.BytesIO, kept: list[Callable]):
        super().__init__(file)
        self.kept = kept

    def persistent_id(self, value: Any) -> int | None:
        if isinstance(value, types.FunctionType) and ("<" in value.__qualname__ or value.__module__ == "__main__"):
            self.kept.append(value)
            return len(self.kept) - 1
        return None

    def reducer_override(self, value: Any) -> Any:
        if isinstance(value, Tensor) and value.requires_grad and not value.is_leaf:
            return non_leaf, (value.detach(),)
        if isinstance(value, torch.optim.Optimizer):  # its own way leaves out what a subclass keeps
            return copyreg.__newobj__, (type(value),), dict(vars(value))
        return NotImplemented


class Process:
    """The process of one notebook. It is started anew after it has ended, without what it held.

    Args:
        folder: where it may write; it is its working directory too.
        memory: bytes that it may hold.
        seconds: that one cell may take.
    """

    def __init__(self, folder: Path, memory: int, seconds: float):
        self.folder, self.memory, self.seconds = folder, memory, seconds
        self.deadline = self.allowed = 0.0
        self.process: subprocess.Popen | None = None
        self.channel: socket | None = None
        self.walls: list[str] = []
        self.calls = 0  # of functions, since it was started

    def start(self) -> None:
        """Raises Stopped where it does not come up."""
        if sys.platform == "win32":
            raise Stopped("notebooks can be judged on Linux and macOS; on Windows, use WSL.")
        course = self.folder / "course"
        course.mkdir(parents=True, exist_ok=True)
        if not (course / "cl_course").exists():
            (course / "cl_course").symlink_to(COURSE)
        ours, theirs = socketpair()
        number = str(theirs.fileno())
        readable = {sys.prefix, sys.base_prefix, str(COURSE), *(path for path in sys.path if "-packages" in path)}
        command = [sys.executable, "-m", "cl_course.coursework.runner", number, str(self.folder), str(self.memory)]
        environment = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL") if name in os.environ}
        environment |= {
            "PYTHONPATH": str(course),
            "HOME": str(self.folder),
            "OMP_NUM_THREADS": "1",
            "MPLBACKEND": "agg",
        }
        environment |= {"IPYTHONDIR": str(self.folder), "TMPDIR": str(self.folder), "PYTHONDONTWRITEBYTECODE": "1"}
        self.process = subprocess.Popen(
            [*command, *sorted(readable)], cwd=self.folder, env=environment, pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        theirs.close()
        self.channel, self.calls = ours, 0
        self.allow(START_SECONDS)
        self.walls = self._answer()[0]["walls"]

    def end(self) -> None:
        if self.process is not None:
            self.channel.close()  # one that waits for a request ends by itself
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(timeout=0.5)
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.process = self.channel = None

    def allow(self, seconds: float | None = None) -> None:
        """From now on it may take so many seconds, all answers together."""
        self.allowed = seconds or self.seconds
        self.deadline = time.monotonic() + self.allowed

    def cell(self, source: str) -> dict:
        self.allow()
        return self.ask({"do": "cell", "source": source})

    def ask(self, request: dict, decoder: Decoder | None = None) -> Any:
        """The answer, as plain data.

        Raises:
            Stopped: the process has ended, takes too long, or answers something else.
        """
        if self.process is None:
            raise Stopped("the notebook's process is not there any more.")
        kept: list[Callable] = []
        self._send(request, kept)
        while True:
            head, blobs = self._receive()
            decoder = Decoder(decoder.known if decoder else [], blobs)
            try:
                message = _dict(json.loads(head))
                if "ask" in message:
                    self._send(self._called_back(message, kept, decoder), [])
                    continue
                if request["do"] not in ("call", "backward"):
                    return _dict(decoder.message(head))
                result = decoder.decode(message["result"]["encoded"][0])
                self._apply(message, decoder)
                return message, result, decoder
            except (WireError, ValueError, TypeError, KeyError, IndexError, AttributeError, RuntimeError) as error:
                self.end()
                raise Stopped(f"what your function gives cannot be judged: {_shortly(error)}.") from None

    def _called_back(self, message: dict, kept: list[Callable], decoder: Decoder) -> dict:
        given, keywords = decoder.decode(message["given"])
        self._apply(message, decoder)
        try:
            return {"result": kept[message["ask"]](*given, **keywords)}
        except Exception as error:
            return {"error": _portable(error)}

    def _apply(self, message: dict, decoder: Decoder) -> None:
        for number, content in message.get("changes", ()):
            _take_over(decoder.known[number], decoder.decode(content))
        for later, earlier in message.get("shared", ()):
            a, b = decoder.known[later], decoder.known[earlier]
            if a.shape == b.shape and a.untyped_storage().data_ptr() != b.untyped_storage().data_ptr():
                a.data = b.data

    def _send(self, request: Any, kept: list[Callable]) -> None:
        file = io.BytesIO()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # hooks of tensors are sent apart
            Pickler(file, kept).dump(request)
        try:
            self.channel.settimeout(max(0.001, self.deadline - time.monotonic()))
            send(self.channel, file.getvalue(), [])
        except OSError:
            self._ended()

    def _receive(self) -> tuple[bytes, list[bytes]]:
        try:
            self.channel.settimeout(max(0.001, self.deadline - time.monotonic()))
            return receive(self.channel)
        except TimeoutError:
            self.end()
            raise Stopped(f"it was stopped after {self.allowed:g} seconds: look for a loop that never ends.") from None
        except (EOFError, OSError):
            self._ended()
        except WireError as error:
            self.end()
            raise Stopped(f"what came back cannot be judged: {_shortly(error)}.") from None

    def _answer(self) -> tuple[Any, None]:
        head, blobs = self._receive()
        return Decoder([], blobs).message(head), None

    def _ended(self) -> None:
        code = 0
        with suppress(subprocess.TimeoutExpired):  # the channel is broken, and the process may still be there
            code = self.process.wait(timeout=10)
        self.end()
        why = f"killed by signal {code - 128}, as when memory runs out" if code > 128 else f"exit code {code}"
        raise Stopped(f"it ended the whole Python process ({why}): leave out exit calls, and take less memory.")


def _take_over(node: Any, content: Any) -> None:
    """Give an object of the grader's what the attempt has put into it."""
    if isinstance(node, torch.Generator):
        node.set_state(content)
    elif isinstance(node, Tensor):
        data, wants_grad, grad = content
        with torch.no_grad():
            if data.shape == node.shape and data.dtype == node.dtype:
                if not torch.equal(data, node):
                    node.detach().copy_(data)
            else:
                node.data = data
        if wants_grad != node.requires_grad and node.is_leaf:
            node.requires_grad_(bool(wants_grad))
        if node.is_leaf:
            node.grad = grad
    elif isinstance(node, list):
        node[:] = content
    else:
        here = node if isinstance(node, dict) else vars(node)
        for name in [name for name in here if name not in content]:
            del here[name]
        here.update(content)


def _dict(message: Any) -> dict:
    if not isinstance(message, dict):
        raise WireError("an answer of no known form")
    return message


def _portable(error: Exception) -> Exception:
    try:
        pickle.loads(pickle.dumps(error))
        return error
    except Exception:
        return RuntimeError(str(error))


def _shortly(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
