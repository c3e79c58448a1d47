"""The training process: `python -m resources.train_process job.json`, started and watched by `resources.trainer`.

Ties itself to its parent's life, takes the work folder's lock, finds the newest complete checkpoint (or starts from the
parent model, or from fresh weights), and runs the loop. Events go to standard output, one JSON object a line. SIGTERM
asks for a checkpoint and a clean end with exit code 75; a second trainer in the same folder ends with 73.
"""

import argparse
import json
import os
import resource
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from pipelines.core.seeds import derive
from resources.compute import die_with_parent
from resources.failpoints import failpoint
from resources.locks import BusyError, file_lock
from resources.trainer import EXIT_BUSY, EXIT_STOPPED, TrainingJob

if TYPE_CHECKING:
    from pipelines.model.loop import TrainState
    from pipelines.model.objectives import Batch

CHECKPOINTS: Final = "checkpoints"
LOCK: Final = "train.lock"
RATE_WINDOW: Final = 20
"""Steps over which the reported rate is taken."""
TOKEN_FORMATS: Final = ("uint16", "uint32")


def emit(event: str, **values: Any) -> None:
    """One event on standard output."""
    sys.stdout.write(json.dumps({"event": event, **values}) + "\n")
    sys.stdout.flush()


def tie_to(parent: int) -> None:
    """Have the kernel kill this process when `parent` ends (Linux), or watch for it (elsewhere)."""
    die_with_parent()
    if sys.platform != "linux":
        threading.Thread(target=_watch, args=(parent,), daemon=True).start()
    if os.getppid() != parent:  # it ended before this process could ask
        os.kill(os.getpid(), signal.SIGKILL)


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1.0)
    os.kill(os.getpid(), signal.SIGKILL)


def open_batches(job: TrainingJob) -> "Callable[[int], Batch]":
    """The batches of a job as a function of the step, by the `kind` of its section.

    `{"kind": "mixture", ...}`: the sequences of a mixture, step by step; `assets/model/checkpoint.py` writes it.
    `{"kind": "tokens", "path": FILE, "dtype": "uint16"}`: consecutive windows of one little-endian token file, from the
    start again when they are used up.
    """
    kind = job.batches.get("kind")
    if kind == "tokens":
        return _token_windows(job)
    if kind == "mixture":
        return _mixture(job)
    raise ValueError(f"batches.kind is {kind!r}; this process opens: tokens, mixture")


def _mixture(job: TrainingJob) -> "Callable[[int], Batch]":
    """The batches of a mixture: its specification, its parts and the token arrays, by paths of this machine."""
    from pipelines.core.artifacts import read_table
    from pipelines.tokens.arrays.reader import TokenArray
    from pipelines.tokens.mixture.dataset import MixtureDataset
    from pipelines.tokens.mixture.packing import RowTable
    from pipelines.tokens.mixture.selection import Selection
    from pipelines.tokens.mixture.spec import MixtureSpec
    from pipelines.tokens.mixture.stored import stored_arrays

    section = job.batches

    def stored(name: str) -> dict[str, dict[str, Any]]:
        return stored_arrays({role: Path(path) for role, path in section[name].items()})

    dataset = MixtureDataset(
        MixtureSpec.from_json(Path(section["specification"]).read_bytes()),
        read_table(Path(section["parts"])),
        lambda part: TokenArray(Path(section["arrays"][part.digest]), section["dtype"]),
        int(section["end_of_text_id"]),
        {stream: RowTable.from_arrays(arrays) for stream, arrays in stored("rows").items()},
        {stream: Selection.from_arrays(arrays) for stream, arrays in stored("selections").items()},
    )

    def batch(step: int) -> "Batch":
        rows = dataset.batch(step, job.train.batch_sequences)
        return rows.inputs, rows.targets

    return batch


def _token_windows(job: TrainingJob) -> "Callable[[int], Batch]":
    path, dtype = Path(job.batches["path"]), job.batches.get("dtype", "uint16")
    if dtype not in TOKEN_FORMATS:
        raise ValueError(f"batches.dtype is {dtype!r}; token files are {' or '.join(TOKEN_FORMATS)}")
    tokens = np.memmap(path, np.dtype(dtype).newbyteorder("<"), "r")
    rows, length = job.train.batch_sequences, job.train.sequence_length
    windows = (len(tokens) - 1) // length
    if windows < 1:
        raise ValueError(f"{path} holds {len(tokens)} tokens, fewer than one sequence of {length} and its next token")

    def batch(step: int) -> "Batch":
        starts = (step * rows + np.arange(rows, dtype=np.int64)) % windows * length
        window = tokens[starts[:, None] + np.arange(length + 1)].astype(np.int64)
        return np.ascontiguousarray(window[:, :-1]), np.ascontiguousarray(window[:, 1:])

    return batch


def start_state(job: TrainingJob, root: Path) -> "TrainState":
    """The newest complete checkpoint of this training, else the parent's weights, else fresh ones."""
    import torch

    from pipelines.model.checkpoint import load_checkpoint, newest_checkpoint, sweep
    from pipelines.model.hf_layout import load_model
    from pipelines.model.loop import fresh_state

    sweep(root)
    newest = newest_checkpoint(root)
    if newest is not None:
        return load_checkpoint(newest, job.optimiser, identity=job.training_identity)
    torch.manual_seed(derive(job.train.seed, "training") >> 1)
    parent = load_model(job.parent) if job.parent else None
    return fresh_state(job.architecture, job.optimiser, job.train.seed, parent)


def run(job: TrainingJob, stop: Callable[[], bool]) -> int:
    """Train to the end of the plan or to `stop()`; gives the exit code."""
    import torch

    from pipelines.model.checkpoint import checkpoint_name, save_checkpoint
    from pipelines.model.estimates.parameters import parameter_count
    from pipelines.model.loop import train
    from pipelines.model.objectives import CausalLanguageModelling
    from pipelines.model.schedules import Schedule

    torch.set_num_interop_threads(1)
    began = time.monotonic()
    root = job.work_dir / CHECKPOINTS
    batches = open_batches(job)
    state = start_state(job, root)
    steps = job.train.total_steps
    emit("started", step=state.step, steps=steps, parameters=parameter_count(job.architecture), pid=os.getpid())
    moments = deque([time.monotonic()], maxlen=RATE_WINDOW + 1)

    def progress(values: dict[str, float | int]) -> None:
        moments.append(time.monotonic())
        elapsed = moments[-1] - moments[0]
        rate = (len(moments) - 1) * job.train.tokens_per_step / elapsed if elapsed > 0 else 0.0
        emit("step", **values, tokens_per_second=rate)

    def save(state: "TrainState") -> None:
        folder = save_checkpoint(
            root,
            state,
            identity=job.training_identity,
            keep=job.train.keep,
            failpoint=failpoint,
            bos_token_id=job.bos_token_id,
            eos_token_id=job.eos_token_id,
        )
        emit("checkpoint", step=state.step, path=str(folder))

    finished = train(
        state,
        CausalLanguageModelling(job.train.z_loss),
        job.train,
        Schedule(job.schedule, steps),
        job.optimiser.learning_rate,
        batches=batches,
        save=save,
        progress=progress,
        stop=stop,
        failpoint=failpoint,
    )
    if not finished:
        emit("stopped", step=state.step)
        return EXIT_STOPPED
    emit(
        "finished",
        step=state.step,
        checkpoint=str(root / checkpoint_name(state.step)),
        peak_bytes=_peak_bytes(),
        seconds=time.monotonic() - began,
    )
    return 0


def _peak_bytes() -> int:
    """Largest resident size of this process. Linux counts it anew from `exec` in `VmHWM`; its `ru_maxrss` starts with
    the peak of the process that forked this one."""
    if sys.platform == "linux":
        status = Path("/proc/self/status").read_text()
        return int(status.split("VmHWM:", 1)[1].split(None, 1)[0]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def main(arguments: list[str] | None = None) -> int:
    """Entry point; gives the exit code."""
    parser = argparse.ArgumentParser(prog="python -m resources.train_process", description="Run one training job.")
    parser.add_argument("job", type=Path, help="job.json, as resources.trainer writes it")
    parser.add_argument("--parent", type=int, help="process id whose end ends this process")
    parser.add_argument("--lock-wait", type=float, default=0.0, help="seconds to wait for the work folder's lock")
    options = parser.parse_args(arguments)
    if options.parent is not None:
        tie_to(options.parent)
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    job = TrainingJob.model_validate_json(options.job.read_bytes())
    os.environ["OMP_NUM_THREADS"] = str(job.train.threads)
    try:
        with file_lock(job.work_dir / LOCK, wait_seconds=options.lock_wait):
            return run(job, stopping.is_set)
    except BusyError as error:
        print(error, file=sys.stderr)
        return EXIT_BUSY


if __name__ == "__main__":
    sys.exit(main())
