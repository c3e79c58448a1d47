"""Two checkpoints on the same held-out documents and items: what was learned, what was forgotten, what is noise.

In: the per-document (or per-item) rows of both. Step 1: pair them by id; rows that differ in what was scored are an
error. Step 2: bootstrap the paired differences, one seeded stream per domain. Step 3: a verdict per domain by whether
the interval of the difference lies on one side of zero. Pairing removes what documents have in common, so the interval
of a difference is much narrower than the difference of two intervals.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.core.fingerprint import Algorithm
from pipelines.core.seeds import generator
from pipelines.evaluation.config import EvaluationConfig
from pipelines.evaluation.scores import (
    METRICS,
    Estimate,
    bootstrap_ratios,
    by_value,
    column,
    finite,
    percentile_interval,
    ratio_estimate,
)
from pipelines.evaluation.scoring import FloatArray

COMPARE: Final = Algorithm("evaluation/compare", 1)

Verdict = Literal["learned", "forgot", "within noise", "too few documents", "too few items", "undefined"]
Role = Literal["new", "old"]


class PairingError(ValueError):
    """Rows of two checkpoints that were not scored on the same documents or items."""


@dataclass(frozen=True)
class DomainComparison:
    """One domain, bits per byte; `delta` = round - base, so negative is better.

    `role`: "new" for a domain that the round was made for, "old" for one that it must not forget, None if undeclared.
    `relative` = delta / base. `perplexity_ratio` = exp(change of nats per token), for equal tokenizers.
    """

    domain: str
    role: Role | None
    documents: int
    bytes: int
    base: float | None
    round: float | None
    delta: Estimate
    relative: float | None
    perplexity_ratio: float | None
    verdict: Verdict


@dataclass(frozen=True)
class RoleSummary:
    """The unweighted mean of the domains' changes in bits per byte: of the new ones, or of the old ones."""

    role: Role
    domains: int
    delta: Estimate
    verdict: Verdict


@dataclass(frozen=True)
class TaskComparison:
    """One metric of one task (or of a group of it); `delta` = round - base, so positive is better."""

    task: str
    group: str | None
    metric: str
    items: int
    base: float | None
    round: float | None
    delta: Estimate
    random: float | None
    verdict: Verdict


def compare_domains(
    base: pa.Table,
    round_: pa.Table,
    config: EvaluationConfig,
    new_domains: Iterable[str] | None = None,
) -> tuple[tuple[DomainComparison, ...], tuple[RoleSummary, ...]]:
    """Every domain of two tables of `perplexity.DOCUMENT_SCORES`, and the means of the new and of the old domains.

    `new_domains` are those that the round was made for; without it no domain has a role and there is no mean.
    """
    _check_pairs(base, round_, ["domain", "id"], ["bytes"])
    new = None if new_domains is None else frozenset(new_domains)
    comparisons: list[DomainComparison] = []
    draws: dict[Role, list[tuple[float, FloatArray]]] = {"new": [], "old": []}
    for domain, before in by_value(base, "domain"):
        role: Role | None = None if new is None else ("new" if domain in new else "old")
        after = round_.filter(pc.equal(round_["domain"], domain))
        comparison, drawn = _compare_domain(domain, role, before, after, config)
        comparisons.append(comparison)
        if role is not None and comparison.delta.value is not None and comparison.verdict != "too few documents":
            draws[role].append((comparison.delta.value, drawn))
    summaries = [_summary(role, parts, config) for role, parts in draws.items() if parts]
    return tuple(comparisons), tuple(summaries)


def _compare_domain(
    domain: str, role: Role | None, base: pa.Table, round_: pa.Table, config: EvaluationConfig
) -> tuple[DomainComparison, FloatArray]:
    base, round_ = (rows.filter(pc.greater(rows["bytes"], 0)).sort_by("id") for rows in (base, round_))
    bits = column(base, "bytes") * math.log(2)
    before, after = column(base, "nll"), column(round_, "nll")
    value = ratio_estimate(before, bits, config).value, ratio_estimate(after, bits, config).value
    stream = ("paired", "bits_per_byte", domain)
    delta = ratio_estimate(after - before, bits, config, *stream)
    drawn = bootstrap_ratios(
        after - before, bits, generator(config.seed, "bootstrap", *stream), config.bootstrap_samples
    )
    ratio = None
    tokens = column(base, "tokens")
    if delta.value is not None and tokens.sum() and np.array_equal(tokens, column(round_, "tokens")):
        change = float((after - before).sum() / tokens.sum())
        ratio = math.exp(change) if change < 700 else None
    comparison = DomainComparison(
        domain,
        role,
        len(base),
        int(column(base, "bytes").sum()),
        value[0],
        value[1],
        delta,
        relative=finite(delta.value / value[0]) if delta.value is not None and value[0] else None,
        perplexity_ratio=ratio,
        verdict=_verdict(delta, len(base), config, lower_is_better=True, few="too few documents"),
    )
    return comparison, drawn


def _summary(role: Role, parts: Sequence[tuple[float, FloatArray]], config: EvaluationConfig) -> RoleSummary:
    """Domains are fixed, documents are resampled: the draws of independent domains are averaged index by index."""
    shortest = min(len(drawn) for _, drawn in parts)
    means = np.mean([drawn[:shortest] for _, drawn in parts], axis=0)
    low, high = percentile_interval(means, config.confidence)
    value = finite(float(np.mean([delta for delta, _ in parts])))
    delta = Estimate(value, low, high, finite(float(means.std(ddof=1))) if len(means) > 1 else None)
    verdict = _verdict(delta, config.min_documents, config, lower_is_better=True, few="too few documents")
    return RoleSummary(role, len(parts), delta, verdict)


def compare_tasks(base: pa.Table, round_: pa.Table, config: EvaluationConfig) -> tuple[TaskComparison, ...]:
    """Every metric of every task of two tables of `tasks.ITEM_SCORES`, then of its groups, items paired by id."""
    _check_pairs(base, round_, ["task", "item"], ["gold", "group"])
    keys = [("task", "ascending"), ("item", "ascending")]
    order = dict.fromkeys(base["task"].to_pylist())
    base, round_ = base.sort_by(keys), round_.sort_by(keys)
    comparisons: list[TaskComparison] = []
    for task in order:
        before, after = (rows.filter(pc.equal(rows["task"], task)) for rows in (base, round_))
        groups: list[str | None] = [None, *sorted(set(before["group"].drop_null().to_pylist()))]
        for group in groups:
            pair = [rows if group is None else rows.filter(pc.equal(rows["group"], group)) for rows in (before, after)]
            comparisons += [_compare_metric(task, group, metric, pair[0], pair[1], config) for metric in METRICS]
    return tuple(comparisons)


def _compare_metric(
    task: str, group: str | None, metric: str, base: pa.Table, round_: pa.Table, config: EvaluationConfig
) -> TaskComparison:
    ones = np.ones(len(base))
    before, after = column(base, metric), column(round_, metric)
    delta = ratio_estimate(after - before, ones, config, "paired", metric, task, group or "")
    guesses = [1 / len(values) for values in base["log_likelihoods"].to_pylist()]
    return TaskComparison(
        task,
        group,
        metric,
        len(base),
        finite(float(before.mean())) if len(base) else None,
        finite(float(after.mean())) if len(base) else None,
        delta,
        random=float(np.mean(guesses)) if guesses else None,
        verdict=_verdict(delta, len(base), config, lower_is_better=False, few="too few items"),
    )


def _verdict(
    delta: Estimate,
    units: int,
    config: EvaluationConfig,
    lower_is_better: bool,
    few: Literal["too few documents", "too few items"],
) -> Verdict:
    if units < config.min_documents:
        return few
    if delta.value is None or delta.low is None or delta.high is None:
        return "undefined"
    if delta.high < 0:
        return "learned" if lower_is_better else "forgot"
    if delta.low > 0:
        return "forgot" if lower_is_better else "learned"
    return "within noise"


def _check_pairs(base: pa.Table, round_: pa.Table, keys: Sequence[str], equal: Sequence[str]) -> None:
    """Both tables have the same keys, once each, and equal values in `equal`."""
    sides = []
    for name, rows in (("base", base), ("round", round_)):
        columns = [rows[column_name].to_pylist() for column_name in (*keys, *equal)]
        side = {row[: len(keys)]: row[len(keys) :] for row in zip(*columns, strict=True)}
        if len(side) != len(rows):
            raise PairingError(f"the {name}'s rows repeat a {'/'.join(keys)}: {len(rows)} rows, {len(side)} distinct")
        sides.append(side)
    before, after = sides
    if before.keys() != after.keys():
        lone = sorted(map(_shown, before.keys() ^ after.keys()))
        raise PairingError(
            f"base and round were scored on different rows: {len(lone)} are in one only, e.g. {lone[0]}; "
            "evaluate both on the same pinned evaluation sets"
        )
    for key, values in before.items():
        if values != after[key]:
            raise PairingError(f"{_shown(key)}: {', '.join(equal)} are {values} in the base, {after[key]} in the round")


def _shown(key: tuple[object, ...]) -> str:
    return "/".join(part.hex() if isinstance(part, bytes) else str(part) for part in key)
