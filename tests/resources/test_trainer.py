"""The trainer's supervisor with real child processes: kills, cancels, locks, errors, orphans."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from pipelines.core.seeds import generator
from pipelines.model.config import OptimiserConfig, ShapeConfig, TrainConfig
from resources.locks import file_lock
from resources.train_process import LOCK, open_batches
from resources.trainer import (
    Event,
    TrainerBusyError,
    TrainerFailedError,
    TrainingJob,
    TrainingResult,
    TrainingStoppedError,
    run_training,
)

SHAPE = ShapeConfig(layers=2, hidden=32, intermediate=48, heads=4, kv_heads=2, max_positions=32)


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tokens") / "tokens.u16"
    steps = generator(0, "tokens").choice([1, 2, 5], size=5000, p=[0.7, 0.2, 0.1])
    (np.cumsum(steps) % 97).astype("<u2").tofile(path)
    return path


@pytest.fixture
def make_job(tokens: Path, tmp_path: Path) -> Callable[..., TrainingJob]:
    def make(name: str = "work", train: dict[str, Any] | None = None, **fields: Any) -> TrainingJob:
        length = {"sequence_length": 16, "batch_sequences": 4, "micro_batch_sequences": 2, "steps": 60, "threads": 1}
        values: dict[str, Any] = {
            "training_identity": "a" * 64,
            "architecture": SHAPE.with_vocabulary(97),
            "train": TrainConfig(**{**length, "checkpoint_every": 10, **(train or {})}),
            "optimiser": OptimiserConfig(learning_rate=3e-3),
            "batches": {"kind": "tokens", "path": str(tokens), "dtype": "uint16"},
            "work_dir": tmp_path / name,
        }
        return TrainingJob(**{**values, **fields})

    return make


def trained_bytes(result: TrainingResult) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in result.checkpoint.iterdir()}


def kill_at(step: int) -> Callable[[Event], None]:
    """A progress callback that sends SIGKILL to the child when it reports `step`."""
    child: list[int] = []

    def progress(event: Event) -> None:
        if event["event"] == "started":
            child.append(event["pid"])
        if event["event"] == "step" and event["step"] == step:
            os.kill(child[0], signal.SIGKILL)

    return progress


def test_kills_at_any_moment_end_in_the_same_weights_and_the_same_curve(
    make_job: Callable[..., TrainingJob], monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[Event] = []
    whole = run_training(make_job("whole"), progress=events.append)
    assert (whole.step, whole.resumed_from) == (60, 0)
    steps = [event for event in events if event["event"] == "step"]
    assert [event["step"] for event in steps] == list(range(1, 61))
    assert steps[-1]["loss"] < steps[0]["loss"] - 0.5
    assert all(event["tokens_per_second"] > 0 and event["learning_rate"] >= 0 for event in steps)
    assert 50 * 2**20 < whole.peak_bytes < 2 * 2**30

    job = make_job("killed")
    for place in ("checkpoint_write:3", "checkpoint_write:14", "train_step:5", "checkpoint_write:15"):
        monkeypatch.setenv("GRISTMILL_FAILPOINT", place)
        with pytest.raises(TrainerFailedError, match="SIGKILL"):
            run_training(job)
    monkeypatch.delenv("GRISTMILL_FAILPOINT")
    with pytest.raises(TrainerFailedError, match="SIGKILL"):
        run_training(job, progress=kill_at(47))
    resumed = run_training(job)
    assert resumed.resumed_from >= 20
    assert trained_bytes(resumed) == trained_bytes(whole)
    assert {path.name for path in (job.work_dir / "checkpoints").iterdir()} == {"step-00000050", "step-00000060"}

    again = run_training(job)
    assert again.resumed_from == again.step == 60
    assert trained_bytes(again) == trained_bytes(whole)


def test_a_cancel_saves_and_the_same_job_goes_on(make_job: Callable[..., TrainingJob]) -> None:
    job = make_job(train={"steps": 100_000, "checkpoint_every": 100_000})
    reached: list[int] = []

    def progress(event: Event) -> None:
        if event["event"] == "step":
            reached.append(event["step"])

    with pytest.raises(TrainingStoppedError, match="of 100000"):
        run_training(job, progress=progress, cancelled=lambda: len(reached) >= 15)
    assert not children()
    (checkpoint,) = (job.work_dir / "checkpoints").iterdir()
    stopped_at = int(checkpoint.name.removeprefix("step-"))
    assert stopped_at >= 15

    class UserError(Exception):
        pass

    def breaks(event: Event) -> None:
        if event["event"] == "started":
            assert event["step"] == stopped_at
        if event["event"] == "step":
            raise UserError

    with pytest.raises(UserError):
        run_training(job, progress=breaks)
    assert not children()
    assert max(int(path.name[5:]) for path in (job.work_dir / "checkpoints").iterdir()) > stopped_at


def children() -> list[psutil.Process]:
    return [
        child for child in psutil.Process().children(recursive=True) if "train_process" in " ".join(child.cmdline())
    ]


def test_a_child_that_ignores_sigterm_is_killed(make_job: Callable[..., TrainingJob], tmp_path: Path) -> None:
    """The training blocks in the middle of a batch: reading its token file waits on a pipe nobody writes."""
    fifo = tmp_path / "pipe"
    os.mkfifo(fifo)
    job = make_job(batches={"kind": "tokens", "path": str(fifo)})
    began = time.monotonic()
    with pytest.raises(TrainingStoppedError):
        run_training(job, cancelled=lambda: time.monotonic() > began + 4, grace_seconds=0.5)
    assert not children()


def test_one_trainer_for_one_work_folder(make_job: Callable[..., TrainingJob]) -> None:
    job = make_job()
    with file_lock(job.work_dir / LOCK, wait_seconds=0), pytest.raises(TrainerBusyError, match=str(os.getpid())):
        run_training(job, lock_wait_seconds=0.1)


def test_a_failure_carries_the_childs_last_words(make_job: Callable[..., TrainingJob], tmp_path: Path) -> None:
    with pytest.raises(TrainerFailedError, match=r"exit code 1 after step 0 of 60.*(?s:.)*no-such-file"):
        run_training(make_job(batches={"kind": "tokens", "path": str(tmp_path / "no-such-file")}))
    with pytest.raises(TrainerFailedError, match=r"vocabulary of 50"):
        run_training(make_job("small", architecture=SHAPE.with_vocabulary(50)))
    assert not (tmp_path / "small" / "checkpoints").exists()


def test_a_work_folder_of_another_identity_is_refused(make_job: Callable[..., TrainingJob]) -> None:
    run_training(make_job(train={"steps": 2}))
    with pytest.raises(TrainerFailedError, match="its own work folder"):
        run_training(make_job(train={"steps": 2}, training_identity="b" * 64))


def test_a_round_starts_from_its_parent(make_job: Callable[..., TrainingJob]) -> None:
    losses: list[list[float]] = []
    parent = run_training(make_job("base"))
    for name, folder in (("from parent", parent.checkpoint), ("fresh", None)):
        curve: list[float] = []
        losses.append(curve)
        run_training(
            make_job(name, parent=folder, train={"steps": 3}),
            progress=lambda event, curve=curve: curve.append(event["loss"]) if event["event"] == "step" else None,
        )
    assert losses[0][0] < losses[1][0] - 0.5


SUPERVISOR = """
import sys
from pathlib import Path
from resources.trainer import TrainingJob, run_training
job = TrainingJob.model_validate_json(Path(sys.argv[1]).read_text())
run_training(job, progress=lambda event: print(event.get("pid", ""), flush=True))
"""


def test_the_child_dies_with_a_killed_supervisor(make_job: Callable[..., TrainingJob], tmp_path: Path) -> None:
    job = make_job(train={"steps": 1_000_000})
    path = tmp_path / "given.json"
    path.write_text(job.model_dump_json())
    supervisor = subprocess.Popen([sys.executable, "-c", SUPERVISOR, str(path)], stdout=subprocess.PIPE, text=True)
    assert supervisor.stdout is not None
    child = psutil.Process(int(supervisor.stdout.readline()))
    supervisor.kill()
    supervisor.wait()
    supervisor.stdout.close()
    deadline = time.monotonic() + 10
    while child.is_running() and child.status() != psutil.STATUS_ZOMBIE and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE
    # The kernel frees the lock when the last thread is gone, a moment after the leader is a zombie.
    with file_lock(job.work_dir / LOCK, wait_seconds=5):
        pass


def test_token_windows_are_consecutive_and_wrap(make_job: Callable[..., TrainingJob], tokens: Path) -> None:
    stream = np.fromfile(tokens, "<u2").astype(np.int64)
    batch = open_batches(make_job())
    inputs, targets = batch(0)
    assert inputs.dtype == targets.dtype == np.int64
    assert inputs.ravel().tolist() == stream[:64].tolist()
    assert targets.ravel().tolist() == stream[1:65].tolist()
    windows = (len(stream) - 1) // 16
    wrapped = batch(windows // 4)[0]
    assert wrapped[windows % 4].tolist() == stream[:16].tolist()


@pytest.mark.parametrize(
    ("batches", "message"),
    [
        ({"kind": "module", "name": "os"}, "kind is 'module'"),
        ({"kind": "tokens", "path": "x", "dtype": "object"}, "dtype is 'object'"),
    ],
)
def test_other_batches_are_refused(make_job: Callable[..., TrainingJob], batches: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        open_batches(make_job(batches=batches))
