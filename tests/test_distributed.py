"""Two processes on the CPU: the numbers of one process on the whole batch, whole or resumed; all end when one does."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import ranks
import torch
from torch import nn
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure

from cl_course import distributed, train
from cl_course.augment import AugmentConfig, two_views
from cl_course.data import ImageSet
from cl_course.distributed import CpuSyncBatchNorm, Lost, share
from cl_course.methods import SimCLR
from cl_course.models import projector, small_resnet
from cl_course.running import cli
from cl_course.train import TrainConfig, pretrain

ROOT = Path(__file__).parents[1]
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> list[dict]:
    """What the two processes of ranks.py found, started by torchrun itself."""
    folder = tmp_path_factory.mktemp("ranks")
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2"]
    subprocess.run([*torchrun, ROOT / "tests" / "ranks.py", folder], env=ENVIRONMENT, check=True)
    return [torch.load(folder / f"{rank}.pt") for rank in (0, 1)]


def differing(a: dict, b: dict, **tolerance) -> list[str]:
    assert a.keys() == b.keys()
    return [name for name in a if not torch.allclose(a[name].double(), b[name].double(), **tolerance)]


@pytest.mark.parametrize("case", ranks.CASES)
def test_two_processes_learn_what_one_learns_from_the_whole_batch(results, case):
    one, tolerance = ranks.exact(case), {"rtol": 0, "atol": 1e-6}
    for two in results:
        assert len(one["losses"]) == 5
        torch.testing.assert_close(two[case]["losses"], one["losses"], **tolerance)
        wrong = differing(one["weights"], two[case]["weights"], **tolerance)
        if "shuffled" in case:  # each process normalises groups of its own, and averages over these
            wrong = [name for name in wrong if not name.endswith(("running_mean", "running_var", "batches_tracked"))]
        assert not wrong


def test_two_processes_that_compute_activations_again_have_the_same_numbers(results):
    for two in results:
        plain, again = two["simclr"], two["checkpointed"]
        torch.testing.assert_close(again["losses"], plain["losses"], rtol=0, atol=1e-6)
        assert not differing(again["weights"], plain["weights"], rtol=0, atol=1e-6)


@pytest.mark.parametrize("case", ["moco", "moco, shuffled", "byol", "dino"])
def test_queue_and_slow_networks_are_the_same_in_both_processes(results, case):
    weights, others = (two[case]["weights"] for two in results)
    assert not [name for name in weights if "running" not in name and not torch.equal(weights[name], others[name])]


@pytest.mark.parametrize("case", ranks.RESUMED)
def test_a_resumed_run_ends_with_the_numbers_of_an_unbroken_one(results, case):
    for rank, two in enumerate(results):
        resumed, unbroken = two["resumed"][case], two["unbroken"][case]
        assert len(resumed["losses"]) == 3 and resumed["losses"] == unbroken["losses"]
        wrong = differing(resumed["weights"], unbroken["weights"], rtol=0, atol=0)
        if rank and "shuffled" in case:  # goes on with the running statistics of process 0, which writes
            wrong = [name for name in wrong if "running" not in name]
        assert not wrong


@pytest.mark.parametrize(
    "what, sentence",
    [
        ("torch", "differ in torch: 2.6.0 in process 0 and 2.7.0 in process 1; start all of them with the same"),
        ("batch sizes", "differ in batch_size: 16 in process 0 and 32 in process 1; start all"),
        ("checkpointing", "differ in checkpointing: False in process 0 and True in process 1; start all"),
        ("images", "differ in pixels: "),
        ("images of an estimate", "differ in pixels: "),
        ("a checkpoint", "differ in epochs in the checkpoint: 3 in process 0 and 0 in process 1"),
        ("no equal shares", "2 processes cannot share batch_size 15 equally; take 14 or 16"),
        ("chunks", "chunk_size is for one process, and these are 2"),
        ("networks", "differ in network: "),
        ("networks of an estimate", "differ in network: "),
        ("what is trained", "differ in network: "),
        ("groups", "cannot cut 16 keys into 3 groups of one size and share them; take norm_groups=2 and a batch"),
    ],
)
def test_processes_that_do_not_fit_together_are_refused_in_each_of_them(results, what, sentence):
    for two in results:
        assert sentence in two["refused"][what]


def test_rows_come_together_in_the_order_of_the_batch_and_one_process_speaks(results):
    for two in results:
        assert two["gathered"].tolist() == list(range(12)) and two["seconds"] > 0
    assert sorted(two["first to fail"] for two in results) == [False, True]


def test_process_0_alone_writes(results):
    assert [two["written"] for two in results] == [3, 0]


def test_a_killed_process_ends_all_with_one_sentence(tmp_path):
    arguments = ["pretrain", "shapes", "--limit", "128", "--epochs", "10000", "--device", "cpu", "--processes", "2"]
    with subprocess.Popen(
        [sys.executable, "-m", "cl_course", *arguments, "--out", "x.safetensors"], cwd=tmp_path, env=ENVIRONMENT,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as torchrun:  # fmt: skip
        printed = [next(torchrun.stdout)]
        while not printed[-1].startswith("epoch    2"):
            printed.append(next(torchrun.stdout))
        children = subprocess.check_output(["pgrep", "-P", str(torchrun.pid)], text=True).split()
        os.kill(int(children[-1]), signal.SIGKILL)
        _, error = torchrun.communicate()
    assert torchrun.returncode == 1 and len(children) == 2
    assert error.startswith("cl-course: ") and error.count("\n") == 1
    assert "another process of this run has ended" in error or "stopped; the same command with --resume" in error
    assert "x.run" in error and (tmp_path / "x.run").exists()
    assert sum(line.startswith("epoch    1") for line in printed) == 1, "one process speaks"
    for child in children:
        with pytest.raises(ProcessLookupError):
            os.kill(int(child), 0)


# One process, which stands for one of several.
def in_place_of(monkeypatch, rank: int, processes: int) -> None:
    monkeypatch.setattr(distributed, "rank", lambda: rank)
    monkeypatch.setattr(distributed, "processes", lambda: processes)


def test_the_shares_of_a_batch_are_all_of_it_without_overlap(monkeypatch):
    rows = []
    for rank in range(3):
        in_place_of(monkeypatch, rank, 3)
        rows.append(share(torch.arange(12)))
    assert sorted(torch.cat(rows).tolist()) == list(range(12)) and {len(part) for part in rows} == {4}


def test_an_image_gets_the_same_views_in_its_share_as_in_the_batch():
    images = torch.rand(12, 3, 16, 16)
    whole = two_views(images, AugmentConfig(), torch.Generator().manual_seed(3))
    for rank in range(3):
        generator = torch.Generator().manual_seed(3)
        part = two_views(images[rank::3], AugmentConfig(), generator, (rank, 3))
        assert all(torch.equal(view, of_all[rank::3]) for view, of_all in zip(part, whole))
        after = torch.Generator().manual_seed(3)
        two_views(images, AugmentConfig(), after)
        assert torch.equal(generator.get_state(), after.get_state()), "the next batch has the same draws, too"


@pytest.mark.parametrize("norm, shape", [(nn.BatchNorm2d(5), (6, 5, 4, 3)), (nn.BatchNorm1d(5, affine=False), (6, 5))])
@pytest.mark.parametrize("momentum", [0.1, None])
def test_batch_norm_over_all_processes_is_torchs_where_there_is_one(norm, shape, momentum):
    norm.momentum = momentum
    norm.train().reset_running_stats()
    ours = CpuSyncBatchNorm(5, affine=norm.affine, momentum=momentum)
    for _ in range(3):
        x = 3 + torch.randn(shape)
        inputs = [x.clone().requires_grad_() for _ in range(2)]
        outs = [layer(given) for layer, given in zip((norm, ours), inputs)]
        torch.testing.assert_close(*outs)
        grads = [torch.autograd.grad(out.pow(3).sum(), given)[0] for out, given in zip(outs, inputs)]
        torch.testing.assert_close(*grads, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(ours.state_dict(), norm.state_dict())
    torch.testing.assert_close(ours.eval()(x), norm.eval()(x))
    assert ours.train()(x.bfloat16()).dtype == torch.bfloat16


def simclr() -> SimCLR:
    encoder = small_resnet(4)
    return SimCLR(encoder, projector(encoder.dim, 16, 16))


def test_one_process_keeps_its_batch_norm_and_its_loss():
    method = simclr()
    with distributed.as_one(method):
        assert type(method.projector[1]) is nn.BatchNorm1d and "loss" not in vars(method)


class Loses(SimCLR):
    """What torch raises when a GPU fails, at the fourth step."""

    error, steps = RuntimeError("CUDA error: unspecified launch failure\nCUDA kernel errors might be ..."), 0

    def loss(self, view1, view2):
        self.steps += 1
        if self.steps == 4:
            raise self.error
        return super().loss(view1, view2)


CONFIG = TrainConfig(epochs=3, batch_size=16)


@pytest.mark.parametrize("kept", [True, False])
def test_a_gpu_that_fails_is_one_sentence_that_names_the_last_checkpoint(tmp_path, kept):
    base, file = simclr(), tmp_path / "run.pt" if kept else None
    with pytest.raises(Lost, match=r"the GPU failed during the run \(CUDA error: unspecified.*\); .*--resume") as error:
        pretrain(Loses(base.encoder, base.projector), ranks.images().subset(torch.arange(48)), CONFIG, resume=file)
    told = f"the last good checkpoint is {file}" if kept else train.NO_CHECKPOINT
    assert str(error.value).endswith(told) and "\n" not in str(error.value)


SHORT = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of ..."),
    RuntimeError("MPS backend out of memory (MPS allocated: 8.8 GB)"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:121] data. DefaultCPUAllocator: can't allocate memory: you tried ..."),
]


@pytest.mark.parametrize("error", SHORT)
def test_a_step_without_enough_memory_is_one_sentence_that_names_the_checkpoint(tmp_path, monkeypatch, error):
    base, file = simclr(), tmp_path / "run.pt"
    method = Loses(base.encoder, base.projector)
    method.error = error
    with pytest.raises(Lost, match="a step needs more memory than there is; take checkpointing=True"):
        train.estimate(method, ranks.images(), CONFIG)
    with pytest.raises(Lost) as found:
        pretrain(method, ranks.images().subset(torch.arange(48)), CONFIG, resume=file)
    assert str(found.value).endswith(f"the last good checkpoint is {file}") and "\n" not in str(found.value)
    monkeypatch.setattr(Loses, "steps", 4)  # past the step that fails
    config = replace(CONFIG, checkpointing=True)  # as the sentence advises
    again = Loses(base.encoder, base.projector)
    assert len(pretrain(again, ranks.images().subset(torch.arange(48)), config, resume=file).rows) == 3


def test_a_part_of_the_gpus_library_that_fails_is_a_lost_gpu():
    said = distributed.lost(RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"))
    assert said.startswith("the GPU failed during the run (cuDNN error") and "nvidia-smi" in said


def test_any_other_error_stays_what_it_is():
    base = simclr()
    method = Loses(base.encoder, base.projector)
    method.error = RuntimeError("mat1 and mat2 shapes cannot be multiplied")
    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        pretrain(method, ranks.images(), CONFIG)


@pytest.mark.parametrize("text", ["[pair.cc:553] Connection closed by peer [127.0.0.1]:1", "[gloo] Timed out"])
def test_a_process_that_was_lost_is_told_from_an_error_of_ones_own(monkeypatch, text):
    assert distributed.lost(RuntimeError(text)) is None
    in_place_of(monkeypatch, 0, 2)
    assert "another process of this run has ended" in distributed.lost(RuntimeError(text))
    assert "another process" in distributed.lost(torch.distributed.DistBackendError("NCCL error: unhandled"))
    assert distributed.lost(RuntimeError("expected scalar type Float")) is None


@pytest.mark.parametrize("short", SHORT)
def test_images_that_do_not_fit_on_the_device_are_told_with_a_remedy(monkeypatch, capsys, tmp_path, short):
    def full(tensor, *place, to=torch.Tensor.to, **how):
        if tensor.dtype == torch.uint8 and len(tensor) == 256:
            raise short
        return to(tensor, *place, **how)

    monkeypatch.setattr(torch.Tensor, "to", full)
    arguments = ["pretrain", "shapes", "--limit", "256", "--batch-size", "16", "--device", "cpu"]
    assert cli.main([*arguments, "--out", str(tmp_path / "x.safetensors")]) == 1
    error = capsys.readouterr().err
    assert error.startswith("cl-course: the images take 1 MB, and cpu has no room for them; load fewer with limit=")
    assert "--limit" in error and error.count("\n") == 1


@pytest.fixture
def torchrun(monkeypatch):
    """The variables that torchrun sets for the second of four processes."""
    for name, value in {"TORCHELASTIC_RUN_ID": "x", "RANK": "1", "LOCAL_RANK": "1"}.items():
        monkeypatch.setenv(name, value)
    for name in ("WORLD_SIZE", "LOCAL_WORLD_SIZE"):
        monkeypatch.setenv(name, "4")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)


@pytest.mark.parametrize(
    "device, sentence",
    [
        ("cuda:1", "4 processes take one GPU each, and device cuda:1 is one for all; pass 'cuda'"),
        ("mps", "several processes train on CUDA GPUs or on the CPU, got device mps; pass 'cpu'"),
        ("cuda", "4 processes need a GPU each and torch sees 2; start 2 of them with --nproc-per-node=2, or pass"),
    ],
)
def test_processes_without_a_gpu_each_are_refused(torchrun, device, sentence):
    with pytest.raises(ValueError, match=sentence):
        distributed.join(torch.device(device))


def test_torchrun_and_processes_must_not_name_two_numbers(torchrun):
    with pytest.raises(ValueError, match="torchrun started 4 processes, and --processes says 2; leave out one"):
        distributed.join(torch.device("cpu"), wanted=2)


def test_of_several_processes_only_the_first_says_what_is_wrong_with_the_options(torchrun, monkeypatch, capsys):
    for rank, printed in (("1", ""), ("0", "cl-course: --out must end in .safetensors, got x\n")):
        monkeypatch.setenv("RANK", rank)
        assert cli.main(["pretrain", "shapes", "--out", "x"]) == 1
        assert capsys.readouterr() == ("", printed)


@pytest.mark.parametrize("number", ["0", "-1"])
def test_an_impossible_number_of_processes_is_refused(capsys, number):
    assert cli.main(["pretrain", "shapes", "--processes", number]) == 1
    assert f"processes must be a whole number of at least 1, got {number}" in capsys.readouterr().err


def test_one_process_has_nothing_to_agree_on_or_to_leave():
    assert distributed.join(torch.device("cpu")) == torch.device("cpu")
    distributed.agree({"torch": "2.6.0"})
    distributed.leave()
    assert distributed.processes() == 1 and isinstance(ranks.images(), ImageSet)


def test_two_runs_on_a_machine_do_not_share_a_port(monkeypatch):
    given = []
    monkeypatch.setattr("torch.distributed.run.main", given.extend)
    assert distributed.launch(2, ["doctor"], 16) == 0 and "--standalone" in given


def test_what_must_be_alike_is_compared_before_processes_connect(torchrun, monkeypatch):
    happened = []
    monkeypatch.setattr(distributed, "_store", lambda: None)
    monkeypatch.setattr(distributed.dist, "init_process_group", lambda *how, **more: happened.append("connected"))
    monkeypatch.setattr(distributed, "agree", lambda facts, *where: happened.append((facts, where)))
    distributed.join(torch.device("cpu"))
    assert happened == [({"torch": torch.__version__, "device": "cpu"}, (1, 4)), "connected"]


def test_processes_of_two_kinds_of_device_are_told_so(monkeypatch):
    class Store(dict):
        set = dict.__setitem__
        get = dict.__getitem__

    store = Store()
    monkeypatch.setattr(distributed, "_store", lambda: store)
    monkeypatch.setattr(distributed, "_comparisons", iter([0, 0]))
    store["0 1"] = json.dumps({"device": "cpu"})
    with pytest.raises(ValueError, match="differ in device: cuda in process 0 and cpu in process 1; start all of them"):
        distributed.agree({"device": "cuda"}, 0, 2)
    distributed.agree({"device": "cpu"}, 0, 2)


def test_processes_that_were_killed_before_they_could_speak_are_told(monkeypatch, capsys):
    def killed(arguments):
        for _ in range(speaks):
            assert distributed.first_to_fail()  # in a process of the run
        raise ChildFailedError("cl_course", {0: ProcessFailure(0, 1, -9, "none"), 1: ProcessFailure(1, 2, -15, "none")})

    monkeypatch.setattr("torch.distributed.run.main", killed)
    speaks = 0
    assert cli.main(["pretrain", "shapes", "--device", "cpu", "--processes", "2"]) == 1
    error = capsys.readouterr().err
    assert error.startswith("cl-course: a process of this run was killed (signal 9)") and error.count("\n") == 1
    speaks = 1
    assert cli.main(["pretrain", "shapes", "--device", "cpu", "--processes", "2"]) == 1
    assert capsys.readouterr().err == ""


def test_processes_that_cannot_connect_are_told_in_one_sentence(torchrun, monkeypatch, capsys, tmp_path):
    def unreachable(*how, **more):
        raise torch.distributed.DistNetworkError("The client socket has failed to connect to 10.0.0.2:29500")

    monkeypatch.setenv("RANK", "0")
    monkeypatch.setattr(distributed, "agree", unreachable)
    monkeypatch.setattr(distributed, "first_to_fail", lambda: True)
    assert cli.main(["pretrain", "shapes", "--device", "cpu", "--out", str(tmp_path / "x.safetensors")]) == 1
    error = capsys.readouterr().err
    assert error.startswith("cl-course: this process cannot connect with the others") and error.count("\n") == 1


@pytest.mark.parametrize("kind", ["Triton Error [CUDA]", "HIP error", "CUDA driver error", "CUDA error"])
def test_a_gpu_that_is_lost_in_a_compiled_step_is_told(kind):
    said = distributed.lost(RuntimeError(f"{kind}: unspecified launch failure"))
    assert said.startswith(f"the GPU failed during the run ({kind}")


@pytest.mark.parametrize("command", ["evaluate", "report"])
def test_a_full_gpu_is_not_answered_with_options_of_another_command(capsys, monkeypatch, command):
    expected = {
        "--device cpu, or a smaller --limit": torch.OutOfMemoryError("CUDA out of memory"),
        "and start again\n": RuntimeError("CUDA error: unspecified"),
        "memory is too small for that: Unable to allocate": MemoryError("Unable to allocate 3 GiB"),
        "memory is too small for that: it gives no more": MemoryError(),
    }
    for words, error in expected.items():

        def fails(chosen, error=error):
            raise error

        monkeypatch.setattr(f"cl_course.running.encoder_commands.{command}", fails)
        assert cli.main([command, "x.safetensors", "shapes"]) == 1
        said = capsys.readouterr().err
        assert words in said and "--checkpointing" not in said and "--resume" not in said and said.count("\n") == 1
