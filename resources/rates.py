"""Training speed of this machine, for estimates: declared, remembered from the last run, or measured for seconds.

Kept in the home, never in the store: a rate belongs to a machine, not to an artifact.
"""

import json
import time
from pathlib import Path

from pipelines.core.fingerprint import digest_json
from pipelines.model.config import ArchitectureConfig, TrainConfig
from pipelines.project import LaneConfig
from resources.home import Home


def _file(home: Home) -> Path:
    return home.cache / "training_rates.json"


def _key(train: TrainConfig, architecture: ArchitectureConfig) -> str:
    length_free = {name: value for name, value in train.identity().items() if name not in ("steps", "tokens", "seed")}
    return digest_json({"train": length_free, "architecture": architecture.identity()})


def training_rate(home: Home, lane: LaneConfig, train: TrainConfig, architecture: ArchitectureConfig) -> float:
    """Tokens a second of a run of this shape on this machine."""
    if lane.tokens_per_second is not None:
        return lane.tokens_per_second
    known = _load(home).get(_key(train, architecture))
    if known is not None:
        return known
    from pipelines.model.estimates.cost import measure_rate

    rate = measure_rate(train, architecture, time.perf_counter)
    remember_rate(home, train, architecture, rate)
    return rate


def remember_rate(home: Home, train: TrainConfig, architecture: ArchitectureConfig, tokens_per_second: float) -> None:
    """Keep the rate of a finished run for the next estimate."""
    rates = _load(home)
    rates[_key(train, architecture)] = round(tokens_per_second, 2)
    target = _file(home)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_suffix(".tmp")
    temporary.write_text(json.dumps(rates, sort_keys=True, indent=1))
    temporary.replace(target)


def _load(home: Home) -> dict[str, float]:
    try:
        rates = json.loads(_file(home).read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return rates if isinstance(rates, dict) else {}
