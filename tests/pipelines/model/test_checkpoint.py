"""Checkpoints: complete or not there, exact when resumed, bounded in number."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from pipelines.model.checkpoint import (
    FILES,
    MANIFEST,
    ForeignCheckpointError,
    checkpoints,
    is_complete,
    load_checkpoint,
    newest_checkpoint,
    read_losses,
    save_checkpoint,
    sweep,
)
from pipelines.model.estimates.memory import checkpoint_bytes
from pipelines.model.loop import TrainState, fresh_state
from tests.pipelines.model.tiny import OPTIMISER, architecture, run, run_config

CONFIG = run_config(steps=12, checkpoint_every=4)


def saver(
    root: Path, keep: int = 10, failpoint: Callable[[str], None] = lambda _: None
) -> Callable[[TrainState], Path]:
    return lambda state: save_checkpoint(root, state, identity="one", keep=keep, failpoint=failpoint)


def trained(root: Path, **options: int) -> TrainState:
    state = fresh_state(architecture(), OPTIMISER, 0)
    run(state, CONFIG, save=saver(root, **options))
    return state


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("finished")
    trained(root)
    return root


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def names(root: Path) -> list[str]:
    return sorted(path.name for path in root.iterdir())


def test_a_resumed_run_ends_in_the_same_bytes(finished: Path, tmp_path: Path) -> None:
    shutil.copytree(finished / "step-00000004", tmp_path / "step-00000004")
    state = load_checkpoint(tmp_path / "step-00000004", OPTIMISER, identity="one")
    assert state.step == 4
    run(state, CONFIG, save=saver(tmp_path))
    assert names(tmp_path) == names(finished) == ["step-00000004", "step-00000008", "step-00000012"]
    for name in names(finished):
        assert contents(tmp_path / name) == contents(finished / name)
    assert read_losses(tmp_path / "step-00000012").tolist() == state.losses.tolist()
    assert state.losses.shape == (12,)


def test_random_states_come_back(finished: Path, tmp_path: Path) -> None:
    state = load_checkpoint(finished / "step-00000008", OPTIMISER, identity="one")
    torch.manual_seed(123)
    torch.rand(7)
    folder = saver(tmp_path)(state)
    expected = torch.rand(5)
    torch.manual_seed(0)
    load_checkpoint(folder, OPTIMISER, identity="one")
    assert torch.equal(torch.rand(5), expected)


class KilledError(Exception):
    """Stands for a SIGKILL: nothing after it runs."""


@pytest.mark.parametrize("hit", range(1, 9))
def test_a_write_that_dies_anywhere_leaves_one_complete_checkpoint(finished: Path, tmp_path: Path, hit: int) -> None:
    first, second = finished / "step-00000004", finished / "step-00000008"
    shutil.copytree(first, tmp_path / first.name)
    passed: list[str] = []

    def dies(name: str) -> None:
        passed.append(name)
        if len(passed) == hit:
            raise KilledError

    with pytest.raises(KilledError):
        saver(tmp_path, keep=1, failpoint=dies)(load_checkpoint(second, OPTIMISER, identity="one"))
    assert passed == ["checkpoint_write"] * hit
    newest = newest_checkpoint(tmp_path)
    assert newest is not None
    assert newest.name == (second.name if hit >= 7 else first.name)
    sweep(tmp_path)
    saver(tmp_path, keep=1)(load_checkpoint(second, OPTIMISER, identity="one"))
    assert names(tmp_path) == [second.name]
    assert contents(tmp_path / second.name) == contents(second)


@pytest.mark.parametrize("file", [*FILES, MANIFEST])
@pytest.mark.parametrize("damage", ["flip", "truncate", "remove"])
def test_a_damaged_checkpoint_is_passed_over(finished: Path, tmp_path: Path, file: str, damage: str) -> None:
    root = tmp_path / "root"
    shutil.copytree(finished, root)
    victim = root / "step-00000012" / file
    data = bytearray(victim.read_bytes())
    if damage == "flip":
        data[len(data) // 2] ^= 1
        victim.write_bytes(data)
    elif damage == "truncate":
        victim.write_bytes(data[:-1] if file != MANIFEST else data[:-3])
    else:
        victim.unlink()
    assert not is_complete(root / "step-00000012")
    assert newest_checkpoint(root) == root / "step-00000008"
    saver(root)(load_checkpoint(finished / "step-00000012", OPTIMISER, identity="one"))
    assert newest_checkpoint(root) == root / "step-00000012"


@pytest.mark.parametrize("manifest", ["[]", "{}", "null", '{"state.json": {}}', "\x00"])
def test_a_manifest_of_anything_else_is_no_manifest(finished: Path, tmp_path: Path, manifest: str) -> None:
    folder = tmp_path / "step-00000004"
    shutil.copytree(finished / "step-00000004", folder)
    (folder / MANIFEST).write_text(manifest)
    assert newest_checkpoint(tmp_path) is None


def test_only_the_newest_stay_and_strange_names_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "step-latest").mkdir()
    trained(tmp_path, keep=2)
    assert names(tmp_path) == ["step-00000008", "step-00000012", "step-latest"]
    assert [path.name for path in checkpoints(tmp_path)] == ["step-00000012", "step-00000008"]
    assert checkpoints(tmp_path / "nowhere") == []


def test_a_checkpoint_of_another_training_is_refused(finished: Path) -> None:
    with pytest.raises(ForeignCheckpointError, match="its own work folder"):
        load_checkpoint(finished / "step-00000004", OPTIMISER, identity="two")


def test_files_are_plain_formats_of_the_estimated_size(finished: Path) -> None:
    folder = finished / "step-00000012"
    assert set(json.loads((folder / MANIFEST).read_text())) == set(FILES)
    assert set(contents(folder)) == {*FILES, MANIFEST}
    losses = np.fromfile(folder / "losses.f64", "<f8")
    assert losses.tolist() == read_losses(folder).tolist()
    # Headers, the random state (5 kB) and json weigh more in a model of 18,000 parameters than in a real one.
    total = sum(len(data) for data in contents(folder).values())
    assert 0 < total - checkpoint_bytes(architecture()) < 25_000
