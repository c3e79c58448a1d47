"""Checkpoints: a folder that is complete or does not count.

    step-00000120/  model.safetensors, config.json   the model in the Hugging Face layout
                    optimiser.safetensors            AdamW moments and step counts, the random state of PyTorch
                    losses.f64                       the loss of every step so far, little-endian float64
                    state.json                       step, identity of the training, format
                    checkpoint_manifest.json         size and SHA-256 of each file above, written last

Written under a temporary name, every file and the folder fsynced, then renamed. A reader believes a folder only if its
manifest fits every byte, so a kill at any moment leaves the former checkpoint in force. Nothing is pickled. One save of
a model with 4.2 M parameters is 51 MB and took 0.19 to 0.28 s (seven saves, a local disk).
"""

import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from pipelines.core.fingerprint import digest_file
from pipelines.model.config import OptimiserConfig
from pipelines.model.hf_layout import CONFIG, WEIGHTS, load_model, save_model
from pipelines.model.loop import TrainState
from pipelines.model.optimisers import build_optimiser, load_optimiser_tensors, optimiser_tensors

FORMAT: Final = 1
OPTIMISER: Final = "optimiser.safetensors"
LOSSES: Final = "losses.f64"
STATE: Final = "state.json"
MANIFEST: Final = "checkpoint_manifest.json"
FILES: Final = (WEIGHTS, CONFIG, OPTIMISER, LOSSES, STATE)
RANDOM_STATE: Final = "random_state.torch"
FAILPOINT: Final = "checkpoint_write"
_NAME: Final = re.compile(r"step-(\d{8,})")
_LEFTOVER: Final = re.compile(r"\.(writing|removed)-.*")


class ForeignCheckpointError(RuntimeError):
    """A checkpoint of another training lies in this work folder."""


def checkpoint_name(step: int) -> str:
    return f"step-{step:08d}"


def step_of(folder: Path) -> int:
    """The step that a checkpoint's name says, -1 for any other name."""
    match = _NAME.fullmatch(folder.name)
    return int(match[1]) if match else -1


def save_checkpoint(
    root: Path,
    state: TrainState,
    *,
    identity: str,
    keep: int,
    failpoint: Callable[[str], None],
    bos_token_id: int | None = None,
    eos_token_id: int | None = None,
) -> Path:
    """Write `root/step-<n>`, then keep the newest `keep` folders only.

    `failpoint("checkpoint_write")` is passed after each file, before the rename and after it (8 times a save).
    """
    root.mkdir(parents=True, exist_ok=True)
    name = checkpoint_name(state.step)
    target, writing = root / name, root / f".writing-{name}"
    _remove(writing)
    writing.mkdir()
    save_model(writing, state.model, bos_token_id=bos_token_id, eos_token_id=eos_token_id)
    failpoint(FAILPOINT)
    tensors = {name: tensor.contiguous() for name, tensor in optimiser_tensors(state.optimiser, state.model).items()}
    save_file({**tensors, RANDOM_STATE: torch.get_rng_state()}, writing / OPTIMISER)
    failpoint(FAILPOINT)
    (writing / LOSSES).write_bytes(state.losses.astype("<f8").tobytes())
    failpoint(FAILPOINT)
    _write_json(writing / STATE, {"format": FORMAT, "identity": identity, "step": state.step})
    failpoint(FAILPOINT)
    for file in FILES:
        _sync(writing / file)
    _write_json(writing / MANIFEST, {file: _entry(writing / file) for file in FILES})
    failpoint(FAILPOINT)
    _sync(writing / MANIFEST)
    _sync(writing)
    failpoint(FAILPOINT)
    if target.exists():  # an earlier, corrupted write of the same step
        _remove(target)
    writing.rename(target)
    failpoint(FAILPOINT)
    _sync(root)
    for old in checkpoints(root)[keep:]:
        _remove(old)
    failpoint(FAILPOINT)
    return target


def checkpoints(root: Path) -> list[Path]:
    """Every folder named like a checkpoint, newest step first, complete or not."""
    if not root.is_dir():
        return []
    return sorted((path for path in root.iterdir() if step_of(path) >= 0), key=step_of, reverse=True)


def is_complete(folder: Path) -> bool:
    """Whether the manifest is there and every file has the size and digest that it says."""
    try:
        manifest = json.loads((folder / MANIFEST).read_bytes())
        return set(manifest) == set(FILES) and all(_entry(folder / file) == manifest[file] for file in FILES)
    except (OSError, ValueError, TypeError):
        return False


def newest_checkpoint(root: Path) -> Path | None:
    """The newest complete checkpoint. Damaged ones are passed over."""
    return next((path for path in checkpoints(root) if is_complete(path)), None)


def sweep(root: Path) -> None:
    """Remove what a killed write or removal left. Only for the one process that trains in `root`."""
    if root.is_dir():
        for path in root.iterdir():
            if _LEFTOVER.fullmatch(path.name):
                shutil.rmtree(path)


def load_checkpoint(folder: Path, optimiser: OptimiserConfig, *, identity: str) -> TrainState:
    """The state in a complete checkpoint; also sets PyTorch's random state.

    Raises `ForeignCheckpointError` if it belongs to a training of another identity.
    """
    saved = json.loads((folder / STATE).read_bytes())
    if saved["format"] != FORMAT or saved["identity"] != identity:
        raise ForeignCheckpointError(
            f"{folder} is of training {saved['identity'][:16]} (format {saved['format']}), this is {identity[:16]}; "
            "give each training its own work folder"
        )
    model = load_model(folder)
    tensors = load_file(folder / OPTIMISER)
    random_state = tensors.pop(RANDOM_STATE)
    state = TrainState(model, build_optimiser(model, optimiser), saved["step"], read_losses(folder))
    load_optimiser_tensors(state.optimiser, model, tensors)
    if len(state.losses) != state.step:
        raise ValueError(f"{folder / LOSSES} holds {len(state.losses)} losses, state.json says step {state.step}")
    torch.set_rng_state(random_state)
    return state


def read_losses(folder: Path) -> np.ndarray[Any, np.dtype[np.float64]]:
    """The exact loss curve of a checkpoint, one value a step."""
    return np.frombuffer((folder / LOSSES).read_bytes(), "<f8").astype(np.float64)


def _entry(path: Path) -> dict[str, Any]:
    return {"bytes": path.stat().st_size, "sha256": digest_file(path)}


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _remove(path: Path) -> None:
    """Take a folder out of sight in one move, then delete it."""
    if path.exists():
        gone = path.with_name(f".removed-{path.name.lstrip('.')}")
        if gone.exists():
            shutil.rmtree(gone)
        path.rename(gone)
        shutil.rmtree(gone)
