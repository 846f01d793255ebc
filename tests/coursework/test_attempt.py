"""A student's function in another process: calls, gradients, changes in place and networks cross; nothing else does."""

import json
import os
import subprocess
import sys
import time
import types

import numpy as np
import pytest
import torch
from torch import nn

from cl_course.coursework.attempt import Attempt
from cl_course.coursework.process import Process, Stopped
from cl_course.coursework.runner import Runner
from cl_course.coursework.wire import Decoder, Encoder

MEMORY = 4 << 30


@pytest.fixture(scope="module")
def started(tmp_path_factory):
    process = Process(tmp_path_factory.mktemp("notebook"), MEMORY, 60.0)
    process.start()
    yield process
    process.end()


@pytest.fixture
def define(started):
    """define(code, name): the attempt of this name, after a cell with this code."""

    def made(code: str, name: str = "f") -> Attempt:
        if started.process is None:
            started.start()
        assert started.cell(f"import torch\n{code}")["error"] is None
        started.allow()
        return Attempt(started, name)

    return made


def test_values_of_every_kind_come_back_as_they_are(define):
    echo = define("def f(*given):\n    return given")
    given = (1, -2.5, float("inf"), "ä", None, True, ..., [1, (2, {"a": 3})], {1: "b"}, 10**30)
    assert echo(*given) == given
    for tensor in (torch.ones(2, 3), torch.empty(0, 4), torch.tensor(3), torch.tensor([True, False])):
        (back,) = echo(tensor)
        assert back is tensor, "an argument that is returned is the caller's own"
    copy = define("def f(x):\n    return x.clone(), x.bool(), x.half(), x.to_sparse(), x.numpy()")
    x = torch.tensor([[1.5, 0.0], [0.0, -2.0]])
    a, b, c, d, e = copy(x)
    assert torch.equal(a, x) and torch.equal(b, x.bool()) and c.dtype == torch.half
    assert torch.equal(d, x) and type(e).__name__ == "ndarray" and e.tolist() == x.tolist()
    assert type(define("class Odd:\n    pass\ndef f():\n    return Odd()")()).__name__ == "Odd"


def test_gradients_pass_as_they_do_in_one_process(define):
    far = define("def f(x, y):\n    return (x * y).sin().sum(), x.detach() * 2")
    x, y = (torch.randn(4, generator=torch.Generator().manual_seed(s)).requires_grad_() for s in (0, 1))
    loss, cut = far(x * 1, y)
    assert not cut.requires_grad
    near = (x * y).sin().sum()
    assert loss.item() == pytest.approx(near.item())
    for a, b in zip(torch.autograd.grad(loss, (x, y)), torch.autograd.grad(near, (x, y))):
        torch.testing.assert_close(a, b)
    with pytest.raises(RuntimeError, match="does not require grad"):
        define("def f(x):\n    return x.detach().sum()")(x).backward()


def test_what_is_changed_in_place_is_changed_here(define):
    x, held, state = torch.zeros(3), [1, 2], {"a": torch.ones(2)}
    generator = torch.Generator().manual_seed(5)
    code = "def f(x, held, state, generator):\n    x += 1; held.append(3); state['a'] *= 4; state['b'] = 'new'\n"
    drawn = define(f"{code}    return torch.rand(2, generator=generator)")(x, held, state, generator)
    assert x.tolist() == [1, 1, 1] and held == [1, 2, 3] and state["a"].tolist() == [4, 4] and state["b"] == "new"
    expected = torch.Generator().manual_seed(5)
    assert torch.equal(drawn, torch.rand(2, generator=expected))
    assert torch.equal(generator.get_state(), expected.get_state()), "it goes on where the attempt has left it"


def test_networks_optimizers_and_functions_cross(define):
    code = """def f(network, optimizer, view, images):
    network.train(False)
    loss = network(view(images)).sum()
    optimizer.zero_grad(); loss.backward(); optimizer.step()
    return loss, network[0], network"""
    torch.manual_seed(0)
    network, seen = nn.Sequential(nn.Linear(3, 2), nn.Tanh()), []
    optimizer = torch.optim.Adam(network.parameters(), lr=0.1)
    before = network[0].weight.detach().clone()
    view = lambda images: seen.append(images.shape) or images * 2
    _, first, whole = define(code)(network, optimizer, view, torch.ones(4, 3))
    assert first is network[0] and whole is network and not network.training
    assert seen == [(4, 3)], "the function was called here"
    assert not torch.equal(before, network[0].weight) and network[0].weight.grad is not None
    assert len(optimizer.state) == 2
    made = define("def f(weights):\n    return torch.optim.SGD(weights, lr=0.3, momentum=0.5)")([network[0].weight])
    assert isinstance(made, torch.optim.SGD) and made.param_groups[0]["momentum"] == 0.5
    assert made.param_groups[0]["params"][0] is network[0].weight


def test_tensors_that_share_memory_there_share_it_here(define):
    a, b = nn.Linear(2, 2), nn.Linear(2, 2)
    define("def f(a, b):\n    a.weight.data = b.weight.data")(a, b)
    with torch.no_grad():
        b.weight.fill_(7)
    assert a.weight.unique().tolist() == [7]


def test_errors_keep_their_name_and_message(define):
    for name, kind in (("ValueError", ValueError), ("NotImplementedError", NotImplementedError)):
        with pytest.raises(kind, match="so it is"):
            define(f"def f():\n    raise {name}('so it is')")()
    with pytest.raises(Exception) as caught:
        define("class Mine(KeyError):\n    pass\ndef f():\n    raise Mine('x')")()
    assert type(caught.value).__name__ == "Mine" and isinstance(caught.value, KeyError)


@pytest.mark.parametrize(
    "body",
    [
        "import os; os._exit(3)",
        "raise SystemExit",
        "raise KeyboardInterrupt",
        "x = []; x.append(x); return x",
        "return torch.zeros(30_000_000)",
        "import os\n    for n in range(3, 64):\n        try: os.write(n, b'x' * 999)\n        except OSError: pass",
    ],
)
def test_what_cannot_be_judged_stops_and_no_check_can_catch_it(body, define):
    assert not issubclass(Stopped, Exception)
    with pytest.raises(Stopped):
        define(f"def f():\n    {body}")()


def test_what_never_ends_is_stopped(define):
    never = define("def f():\n    while True: pass")
    never.process.allow(2.0)
    with pytest.raises(Stopped, match="stopped after 2 seconds"):
        never()
    assert never.process.process is None


def test_called_functions_of_the_course_are_noted(define):
    own = define("def f(x):\n    return x.sum()")
    own(torch.ones(2, 3))
    assert own.called == set()
    borrowed = define("from cl_course.losses import nt_xent\ndef f(a, b):\n    return nt_xent(a, b)")
    borrowed(torch.eye(3), torch.eye(3))
    assert borrowed.called == {"cl_course.losses.nt_xent"}


def test_what_is_replaced_is_named(define, started):
    assert define("def f():\n    return 1")() == 1
    assert started.cell("import torch.nn.functional as F\nF.normalize = print")["replaced"].endswith("normalize")
    started.end()


@pytest.mark.skipif(not os.path.exists("/sys/kernel/security"), reason="needs Linux")
def test_the_walls_hold(define, started, tmp_path):
    if started.process is None:
        started.start()
    if started.walls:
        pytest.skip(f"this machine has not all walls: {started.walls[0]}")
    secret = tmp_path / "marks.csv"
    secret.write_text("secret")
    tried = {
        "read": f"open({str(secret)!r}).read()",
        "write": f"open({str(secret)!r}, 'w')",
        "course": "open(__import__('cl_course').checks.__file__, 'a')",
        "network": "__import__('socket').create_connection(('127.0.0.1', 9), 1)",
        "grader": f"__import__('os').kill({os.getpid()}, 0)",
        "seed": f"open('/proc/{os.getpid()}/cmdline').read()",
    }
    code = "from cl_course import checks\ndef f(what):\n    try:\n        eval(what)\n    except OSError as error:\n"
    attempt = define(f"{code}        return type(error).__name__\n    return 'done'")
    assert attempt("open('mine.txt', 'w')") == "done", "its own folder is open"
    assert {name: attempt(what) for name, what in tried.items() if attempt(what) == "done"} == {}
    assert secret.read_text() == "secret"


def test_ending_the_grader_s_side_leaves_no_process(tmp_path):
    process = Process(tmp_path, MEMORY, 60.0)
    process.start()
    process.cell("import subprocess\nsleeper = subprocess.Popen(['sleep', '321'], start_new_session=True)")
    process.end()
    for _ in range(100):
        if not any(b"\x00321\x00" in _command(pid) for pid in os.listdir("/proc") if pid.isdigit()):
            return
        time.sleep(0.1)
    pytest.fail("a process that the notebook started is still there")


STARTS_A_LOOP = """
from pathlib import Path
from cl_course.coursework.process import Process
process = Process(Path({folder!r}), {memory}, 600.0)
process.start()
print("started", flush=True)
process.cell("while True: pass")"""


@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux")
def test_a_loop_ends_with_the_grader_that_is_killed(tmp_path):
    code = STARTS_A_LOOP.format(folder=str(tmp_path), memory=MEMORY)
    grader = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert grader.stdout.readline() == b"started\n"
    grader.kill()
    grader.wait()
    for _ in range(100):
        if not any(str(tmp_path).encode() in _command(pid) for pid in os.listdir("/proc") if pid.isdigit()):
            return
        time.sleep(0.1)
    pytest.fail("the notebook's process is still there")


def _command(pid: str) -> bytes:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read()
    except OSError:
        return b""


@pytest.mark.parametrize("given", [np.int64(4), np.float32(4), np.array(4.0), np.array([4.0])[::-1], 4, "4", None, ...])
def test_what_may_be_a_number_of_ones_own_crosses(given):
    runner = object.__new__(Runner)
    runner.shell = types.SimpleNamespace(user_ns={"my_number": given})
    assert runner.find("my_number")["value"] == [given]


@pytest.mark.parametrize(
    "value, there",
    [
        (np.arange(3.0)[::-1], [2.0, 1.0, 0.0]),
        (np.flip(np.arange(4.0).reshape(2, 2)), [[3.0, 2.0], [1.0, 0.0]]),
        (np.array(2.5), 2.5),
        (np.bool_(True), True),
    ],
)
def test_arrays_of_every_kind_cross(value, there):
    encoder = Encoder({})
    encoded, blobs = encoder.message(value)
    back = Decoder([], blobs).decode(json.loads(encoded))
    assert np.asarray(back).tolist() == there


def test_an_array_of_words_is_something_else():
    assert Encoder({}).encode(np.array(["a", "b"]))["other"][0] == "ndarray"
