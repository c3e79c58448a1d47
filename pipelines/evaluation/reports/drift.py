"""Drift: how far a batch's signals are from those of the batch before.

The population stability index of bins with shares p (before) and q (now) is the sum of (q - p) ln(q / p): a symmetric
Kullback-Leibler divergence. Numbers are binned at the deciles of the batch before, so each bin held a tenth of it; a
value that many documents share is a bin of its own, and texts (languages) are bins themselves. Two samples of one
population have an index too: (1/n + 1/m) times a chi-squared of bins - 1 degrees of freedom (Yurdakul, 2018). A signal
has drifted when its index is above the declared limit and above the 99.9 % point of that noise, so small batches raise
no alarm.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

BINS: Final = 10
EMPTY: Final = 0.5
"""Documents that an empty bin counts as, or one new value would make the index infinite."""
HEAVY: Final = 0.05
"""Share of the documents from which one value is a bin of its own."""
NOISE_Z: Final = 3.0902
"""Standard normal quantile of 0.999."""


@dataclass(frozen=True)
class Drift:
    """One signal in two batches; `noise` is what two samples of one population exceed once in a thousand times."""

    signal: str
    index: float
    noise: float
    limit: float
    before: str
    now: str
    """What is typical in either batch: the quartiles of a number, or its value and whose it is where they are one; the
    commonest values of a text."""

    @property
    def drifted(self) -> bool:
        return self.index > max(self.limit, self.noise)


def stability_index(before: npt.NDArray[Any], now: npt.NDArray[Any]) -> float:
    """The index of two vectors of counts over the same bins."""
    p, q = (np.maximum(np.asarray(counts, np.float64), EMPTY) for counts in (before, now))
    p, q = p / p.sum(), q / q.sum()
    return float(np.sum((q - p) * np.log(q / p)))


def noise_of(bins: int, before: int, now: int) -> float:
    """The 99.9 % point of the index of two samples of one population; Wilson and Hilferty's chi-squared quantile."""
    degrees = bins - 1
    if degrees < 1:
        return 0.0
    chi = degrees * (1 - 2 / (9 * degrees) + NOISE_Z * math.sqrt(2 / (9 * degrees))) ** 3
    return chi * (1 / before + 1 / now)


def number_drift(signal: str, before: npt.NDArray[np.float64], now: npt.NDArray[np.float64], limit: float) -> Drift:
    """Of a numeric signal; missing values (NaN) are a bin of their own."""
    inner = _inner_edges(before[~np.isnan(before)])
    counts = [_binned(values, inner) for values in (before, now)]
    used = (counts[0] + counts[1]) > 0
    index = stability_index(counts[0][used], counts[1][used])
    return Drift(
        signal, index, noise_of(int(used.sum()), len(before), len(now)), limit, _quartiles(before), _quartiles(now)
    )


def text_drift(signal: str, before: Sequence[str | None], now: Sequence[str | None], limit: float) -> Drift:
    """Of a signal of texts; the nine commonest over both batches are bins, the rest is one."""
    values = [np.array([str(item) for item in side]) for side in (before, now)]
    names, counted = np.unique(np.concatenate(values), return_counts=True)
    chosen = names[np.argsort(-counted, kind="stable")][: BINS - 1]
    counts = []
    for side in values:
        mine = [int((side == name).sum()) for name in chosen]
        counts.append(np.array([*mine, len(side) - sum(mine)]))
    used = (counts[0] + counts[1]) > 0
    index = stability_index(counts[0][used], counts[1][used])
    shown = [
        ", ".join(
            f"{name} {share:.0%}"
            for name, share in sorted(
                zip(chosen.tolist(), (side[:-1] / max(side.sum(), 1)).tolist(), strict=True), key=lambda item: -item[1]
            )[:3]
            if share
        )
        for side in counts
    ]
    return Drift(signal, index, noise_of(int(used.sum()), len(before), len(now)), limit, shown[0], shown[1])


def _inner_edges(known: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The deciles; a value that a twentieth of the documents share (0 and 1 of many shares) is a bin of its own."""
    if not len(known):
        return np.zeros(0)
    deciles = np.unique(np.quantile(known, np.linspace(0, 1, BINS + 1)))
    common = [value for value in deciles if (known == value).mean() > HEAVY]
    return np.unique([*deciles[1:-1], *common, *(np.nextafter(value, -np.inf) for value in common)])


def _binned(values: npt.NDArray[np.float64], inner: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Counts in the bins that the inner edges cut, an edge belonging to the bin below it, and of missing values."""
    missing = np.isnan(values)
    counts = np.bincount(np.searchsorted(inner, values[~missing], side="left"), minlength=len(inner) + 1)
    return np.append(counts, missing.sum())


def _quartiles(values: npt.NDArray[np.float64]) -> str:
    known = values[~np.isnan(values)]
    if not len(known):
        return "none"
    low, middle, high = np.quantile(known, (0.25, 0.5, 0.75)).tolist()
    if low == high:  # three times the same says nothing: how many documents are so does
        return f"{_short(low)} for {np.mean(known == low):.1%}"
    return f"{_short(low)} · {_short(middle)} · {_short(high)}"


def _short(value: float) -> str:
    return f"{value:,.0f}".replace(",", "\u2009") if abs(value) >= 100 else f"{value:.3g}"
