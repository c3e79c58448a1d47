"""Scores with their uncertainty: bootstrap intervals over documents and items, seeded and vectorized.

The unit that is resampled is the document (or the item), not the token: tokens of one document are not independent.
Bits per byte is a ratio of sums, so both sums are resampled together. Intervals are percentile intervals. Nothing here
returns NaN: what cannot be computed is None. Cost: `bootstrap_samples` * documents additions, 2 * 10^8 a second.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.core.fingerprint import Algorithm
from pipelines.core.seeds import generator
from pipelines.evaluation.config import EvaluationConfig
from pipelines.evaluation.scoring import FloatArray

SCORES: Final = Algorithm("evaluation/scores", 1)
_CHUNK: Final = 2_000_000
"""Resampled values held at once: 32 MB of indices and values."""

METRICS: Final = ("acc", "acc_norm", "acc_bytes")


@dataclass(frozen=True)
class Estimate:
    """A value with its interval at the configured confidence and its standard error, all in the value's unit."""

    value: float | None
    low: float | None = None
    high: float | None = None
    stderr: float | None = None


@dataclass(frozen=True)
class DomainScore:
    """Bits per byte on one domain's held-out documents; `reason` says why it is missing."""

    domain: str
    documents: int
    bytes: int
    tokens: int
    bits_per_byte: Estimate
    token_perplexity: float | None
    """exp(nats per token): comparable only between models of one tokenizer."""
    reason: str | None = None


@dataclass(frozen=True)
class TaskScore:
    """One task, or one of its groups. `random` is the accuracy of guessing, `majority` of always naming the most
    frequent index; `ties` counts items whose best score was shared, `truncated` those whose context was cut."""

    task: str
    group: str | None
    items: int
    acc: Estimate
    acc_norm: Estimate
    acc_bytes: Estimate
    random: float | None
    majority: float | None
    ties: int
    truncated: int
    above_random: bool | None
    """Whether the whole interval of `acc` lies above guessing; None without an interval."""
    reason: str | None = None


def finite(value: float) -> float | None:
    """`value`, or None in the place of NaN and infinities."""
    return float(value) if math.isfinite(value) else None


def mean_stderr(values: npt.ArrayLike) -> float | None:
    """Standard error of a mean: sample standard deviation (n - 1) / sqrt(n), as lm-eval has it; None below 2 values."""
    array = np.asarray(values, np.float64)
    if len(array) < 2:
        return None
    return finite(float(array.std(ddof=1) / math.sqrt(len(array))))


def ratio_stderr(numerators: npt.ArrayLike, denominators: npt.ArrayLike) -> float | None:
    """Standard error of sum(numerators) / sum(denominators), linearized: sqrt(n/(n-1) * sum((y - R x)^2)) / sum(x)."""
    y, x = np.asarray(numerators, np.float64), np.asarray(denominators, np.float64)
    if len(y) < 2 or not x.sum():
        return None
    residual = y - y.sum() / x.sum() * x
    return finite(float(math.sqrt(len(y) / (len(y) - 1) * float(residual @ residual)) / x.sum()))


def bootstrap_ratios(
    numerators: npt.ArrayLike, denominators: npt.ArrayLike, rng: np.random.Generator, samples: int
) -> FloatArray:
    """sum(numerators) / sum(denominators) of `samples` resamples of the n units with replacement, float64 [samples].

    The draws do not depend on how they are chunked. Resamples whose denominators sum to zero are left out.
    """
    y, x = np.asarray(numerators, np.float64), np.asarray(denominators, np.float64)
    if not len(y):
        return np.zeros(0)
    parts = []
    for rows in _chunks(samples, max(1, _CHUNK // len(y))):
        index = rng.integers(0, len(y), (rows, len(y)))
        below = x[index].sum(axis=1)
        parts.append(np.divide(y[index].sum(axis=1), below, out=np.full(rows, np.nan), where=below != 0))
    ratios: FloatArray = np.concatenate(parts)
    finite_ratios: FloatArray = ratios[np.isfinite(ratios)]
    return finite_ratios


def percentile_interval(draws: FloatArray, confidence: float) -> tuple[float | None, float | None]:
    """The central interval of bootstrap draws; (None, None) without draws."""
    if not len(draws):
        return None, None
    low, high = np.quantile(draws, [(1 - confidence) / 2, (1 + confidence) / 2])
    return finite(float(low)), finite(float(high))


def ratio_estimate(
    numerators: npt.ArrayLike, denominators: npt.ArrayLike, config: EvaluationConfig, *stream: str
) -> Estimate:
    """sum(numerators) / sum(denominators) with interval and standard error; `stream` names its random draws.

    One unit gives a value without an interval; none, or a zero denominator, gives nothing.
    """
    y, x = np.asarray(numerators, np.float64), np.asarray(denominators, np.float64)
    if not len(y) or not x.sum() or not np.isfinite(y).all():
        return Estimate(None)
    value = finite(float(y.sum() / x.sum()))
    if len(y) < 2:
        return Estimate(value)
    draws = bootstrap_ratios(y, x, generator(config.seed, "bootstrap", *stream), config.bootstrap_samples)
    low, high = percentile_interval(draws, config.confidence)
    return Estimate(value, low, high, ratio_stderr(y, x))


def domain_scores(rows: pa.Table, config: EvaluationConfig) -> tuple[DomainScore, ...]:
    """Bits per byte of every domain in a table of `perplexity.DOCUMENT_SCORES`, in order of the domains' names."""
    return tuple(_domain_score(domain, part, config) for domain, part in by_value(rows, "domain"))


def _domain_score(domain: str, rows: pa.Table, config: EvaluationConfig) -> DomainScore:
    rows = rows.filter(pc.greater(rows["bytes"], 0))
    size, tokens, nll = (column(rows, name) for name in ("bytes", "tokens", "nll"))
    estimate = ratio_estimate(nll, size * math.log(2), config, "bits_per_byte", domain)
    reason = None
    if not len(rows):
        reason = "no held-out text"
    elif not np.isfinite(nll).all():
        reason = f"{int((~np.isfinite(nll)).sum())} documents without a finite log-likelihood"
    elif estimate.low is None:
        reason = "one document: no interval"
    perplexity = None
    if estimate.value is not None and tokens.sum() and nll.sum() / tokens.sum() < 700:  # exp(709) is the last finite
        perplexity = math.exp(float(nll.sum() / tokens.sum()))
    return DomainScore(domain, len(rows), int(size.sum()), int(tokens.sum()), estimate, perplexity, reason)


def task_scores(rows: pa.Table, config: EvaluationConfig) -> tuple[TaskScore, ...]:
    """Scores of a table of `tasks.ITEM_SCORES`: each task in order of appearance, then its groups by name."""
    scores: list[TaskScore] = []
    for task in dict.fromkeys(rows["task"].to_pylist()):
        part = rows.filter(pc.equal(rows["task"], task))
        scores.append(_task_score(task, None, part, config))
        grouped = part.filter(pc.is_valid(part["group"]))
        scores += [_task_score(task, group, items, config) for group, items in by_value(grouped, "group")]
    return tuple(scores)


def _task_score(task: str, group: str | None, rows: pa.Table, config: EvaluationConfig) -> TaskScore:
    ones = np.ones(len(rows))
    estimates = {
        metric: ratio_estimate(column(rows, metric), ones, config, metric, task, group or "") for metric in METRICS
    }
    acc = estimates["acc"]
    counts = np.array([len(values) for values in rows["log_likelihoods"].to_pylist()], np.float64)
    guess = finite(float((1 / counts).mean())) if len(rows) else None
    gold = np.bincount(column(rows, "gold").astype(np.int64)) if len(rows) else np.zeros(1)
    missing = int(rows["acc"].null_count)
    return TaskScore(
        task,
        group,
        len(rows),
        acc,
        estimates["acc_norm"],
        estimates["acc_bytes"],
        random=guess,
        majority=float(gold.max() / len(rows)) if len(rows) else None,
        ties=int(pc.sum(rows["tied"]).as_py() or 0),
        truncated=int(pc.sum(pc.greater(rows["truncated"], 0)).as_py() or 0),
        above_random=None if acc.low is None or guess is None else acc.low > guess,
        reason=f"{missing} items without a finite log-likelihood" if missing else None,
    )


def by_value(rows: pa.Table, name: str) -> Iterator[tuple[str, pa.Table]]:
    """The rows of each value of a string column, in order of the values."""
    for value in sorted(set(rows[name].to_pylist())):
        yield value, rows.filter(pc.equal(rows[name], value))


def column(rows: pa.Table, name: str) -> npt.NDArray[Any]:
    """A numeric column as float64, NaN where it is null."""
    return np.asarray(rows[name].cast(pa.float64()).to_numpy(), np.float64)


def _chunks(total: int, size: int) -> Iterator[int]:
    for start in range(0, total, size):
        yield min(size, total - start)
