"""Training speed: declared, remembered, measured, in that order."""

from pathlib import Path

import pytest

from pipelines.model.config import ArchitectureConfig, OptimiserConfig, ScheduleConfig, ShapeConfig, TrainConfig
from pipelines.project import LaneConfig, RoundConfig, StageConfig
from resources.home import Home, find_home
from resources.rates import remember_rate, training_rate

TRAIN = TrainConfig(sequence_length=16, batch_sequences=4, micro_batch_sequences=2, steps=60)
SHAPE = ShapeConfig(layers=2, hidden=32, intermediate=48, heads=4, kv_heads=2, max_positions=32)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return find_home({"GRISTMILL_HOME": str(tmp_path)})


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Notes each measurement instead of making it."""
    calls: list[str] = []

    def measure(*_: object) -> float:
        calls.append("measured")
        return 111.0

    monkeypatch.setattr("pipelines.model.estimates.cost.measure_rate", measure)
    return calls


def lane(rate: float | None = None) -> LaneConfig:
    stage = {"train": TRAIN, "optimiser": OptimiserConfig(), "schedule": ScheduleConfig()}
    return LaneConfig(
        tokenizer="bpe", shape=SHAPE, base=StageConfig(**stage), rounds=RoundConfig(**stage), tokens_per_second=rate
    )


def architecture(layers: int = 2) -> ArchitectureConfig:
    return SHAPE.model_copy(update={"layers": layers}).with_vocabulary(97)


def test_a_declared_rate_is_taken(home: Home, measured: list[str]) -> None:
    remember_rate(home, TRAIN, architecture(), 222.0)
    assert training_rate(home, lane(333.0), TRAIN, architecture()) == 333.0
    assert measured == []


def test_a_remembered_rate_belongs_to_a_shape_not_to_a_length_or_seed(home: Home, measured: list[str]) -> None:
    remember_rate(home, TRAIN, architecture(), 222.004)
    other_run = TRAIN.model_copy(update={"steps": 7, "seed": 9})
    assert training_rate(home, lane(), other_run, architecture()) == 222.0
    assert measured == []
    wider = TRAIN.model_copy(update={"batch_sequences": 8})
    assert training_rate(home, lane(), wider, architecture()) == 111.0
    assert training_rate(home, lane(), TRAIN, architecture(layers=3)) == 111.0
    assert measured == ["measured"] * 2


def test_the_newest_rate_of_a_shape_is_kept_beside_others(home: Home, measured: list[str]) -> None:
    for rate in (1.0, 2.0):
        remember_rate(home, TRAIN, architecture(), rate)
    remember_rate(home, TRAIN, architecture(layers=3), 3.0)
    assert training_rate(home, lane(), TRAIN, architecture()) == 2.0
    assert training_rate(home, lane(), TRAIN, architecture(layers=3)) == 3.0


@pytest.mark.parametrize("damage", ["", "{", "[]", "null", '{"x": "y"}'])
def test_a_damaged_file_is_measured_again(home: Home, measured: list[str], damage: str) -> None:
    remember_rate(home, TRAIN, architecture(), 222.0)
    (home.cache / "training_rates.json").write_text(damage)
    assert training_rate(home, lane(), TRAIN, architecture()) == 111.0
    remember_rate(home, TRAIN, architecture(), 222.0)
    assert training_rate(home, lane(), TRAIN, architecture()) == 222.0
