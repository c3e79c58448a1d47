"""What the corpus's reports are drawn from: plain frozen data. Texts come from crawled pages; the pages escape them."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from pydantic import TypeAdapter

from pipelines.core.decisions import Explanation
from pipelines.evaluation.reports.data import Digest, FunnelRow, SignalTable
from pipelines.evaluation.reports.drift import Drift
from pipelines.evaluation.shares import Share

NEAR: Final = 0.1
"""A value within a tenth of its threshold is near it."""


@dataclass(frozen=True)
class Verdict:
    """One rule met by one document: `pass`, `FAIL` (dropped), `flag` (failed, only recorded) or `n/a` (not judged)."""

    rule: str
    signal: str
    value: str
    comparison: str
    threshold: str
    verdict: str
    near: bool


@dataclass(frozen=True)
class SampledDocument:
    """A document of a sample: where it is from, its first characters and every rule's verdict."""

    id: str
    url: str | None
    locator: str
    characters: int
    excerpt: str
    verdicts: tuple[Verdict, ...]


@dataclass(frozen=True)
class SampleGroup:
    """Documents drawn from those that were kept (`rule` is None) or that one rule dropped first or flagged."""

    rule: str | None
    population: int
    documents: tuple[SampledDocument, ...]
    flagged: bool = False


@dataclass(frozen=True)
class RuleRow:
    """One rule over a batch: documents that fail it, that it drops first, that fail no other, that are near it."""

    rule: str
    condition: str
    action: str
    failed: int
    first: int
    alone: int
    near: int


@dataclass(frozen=True)
class Histogram:
    """A signal over a batch: counts of kept and dropped documents between edges; outliers are in the end bins."""

    signal: str
    edges: tuple[float, ...]
    kept: tuple[int, ...]
    dropped: tuple[int, ...]
    logarithmic: bool
    thresholds: tuple[tuple[str, str, float], ...] = ()
    """(rule, comparison, value) drawn in."""
    missing: int = 0
    quartiles: tuple[float, ...] = ()


@dataclass(frozen=True)
class LanguageRow:
    """Documents of one detected (else declared) language, and how many the rules kept."""

    language: str
    documents: int
    kept: int


@dataclass(frozen=True)
class TokenRow:
    """Tokens of one tokenizer: trained on, held out, and characters a token."""

    tokenizer: str
    train: int
    heldout: int
    bytes_per_token: float | None


@dataclass(frozen=True)
class BatchReport:
    """Everything on the page of one batch."""

    key: str
    source: str
    domain: str
    licence: str
    origin: str
    funnel: tuple[FunnelRow, ...]
    rules: tuple[RuleRow, ...]
    histograms: tuple[Histogram, ...]
    languages: tuple[LanguageRow, ...]
    tokens: tuple[TokenRow, ...]
    previous: str | None
    drifts: tuple[Drift, ...]
    samples: tuple[SampleGroup, ...]
    digests: tuple[Digest, ...]
    notes: tuple[str, ...] = ()
    shares: tuple[Share, ...] = ()
    signals: tuple[SignalTable, ...] = ()
    encodings: Mapping[str, int] = field(default_factory=dict)
    """Codec -> documents that were read with it."""
    replaced: int = 0
    """Characters that no codec could read, U+FFFD in the text."""
    warnings: tuple[str, ...] = ()
    """Checks of the batch's stages that did not pass."""


@dataclass(frozen=True)
class SourceRow:
    """One source over all its batches: documents after each stage and the reasons of what went."""

    source: str
    domain: str
    licence: str
    batches: int
    stages: Mapping[str, int]
    """Stage -> documents that are left after it."""
    reasons: Mapping[str, int]
    """`stage: reason` -> documents."""
    tokens: int


@dataclass(frozen=True)
class BatchRow:
    """One batch in the corpus's report; `page` is the file name of its own."""

    key: str
    page: str | None
    documents: int
    trained: int
    tokens: int
    absent: str | None = None


@dataclass(frozen=True)
class RatioRow:
    """A declared ratio met by the corpus; `share` is None where there was nothing to judge."""

    told: str
    share: float | None
    passed: bool
    blocking: bool


@dataclass(frozen=True)
class CorpusReport:
    """Everything on the page of one snapshot."""

    project: str
    tokenizer: str | None
    funnel: tuple[FunnelRow, ...]
    sources: tuple[SourceRow, ...]
    batches: tuple[BatchRow, ...]
    digests: tuple[Digest, ...] = ()
    notes: tuple[str, ...] = field(default=())
    shares: tuple[Share, ...] = ()
    ratios: tuple[RatioRow, ...] = ()
    signals: tuple[SignalTable, ...] = ()


def verdict_of(found: Explanation) -> Verdict:
    """A rule's verdict on a document, in words."""
    state = "n/a" if not found.applies else "pass" if found.passed else "flag" if found.action == "flag" else "FAIL"
    return Verdict(
        rule=found.rule,
        signal=found.signal,
        value=worded(found.value),
        comparison=found.comparison,
        threshold=worded(found.threshold),
        verdict=state,
        near=found.applies and is_near(found.value, found.threshold),
    )


def is_near(value: Any, threshold: Any) -> bool:
    """Whether a number is within a tenth of a threshold that is not zero; a threshold of zero has no neighbourhood."""
    numbers = [item for item in (value, threshold) if isinstance(item, int | float) and not isinstance(item, bool)]
    if len(numbers) < 2 or not all(math.isfinite(item) for item in numbers) or not threshold:
        return False
    return bool(abs(value - threshold) <= NEAR * abs(threshold))


def worded(value: Any) -> str:
    """A value or threshold for people."""
    if value is None:
        return "missing"
    if isinstance(value, float):
        return f"{value:.0f}" if value == int(value) and abs(value) < 1e15 else f"{value:.4g}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(str(item) for item in value)
    return str(value)


def report_json(report: BatchReport | CorpusReport) -> str:
    """The report's data as JSON with sorted keys; `ValueError` for a number that is not finite."""
    return json.dumps(asdict(report), sort_keys=True, ensure_ascii=False, allow_nan=False)


def batch_report_of(text: str | bytes) -> BatchReport:
    """The data that `report_json` wrote of a batch, validated."""
    return TypeAdapter(BatchReport).validate_json(text)


def corpus_report_of(text: str | bytes) -> CorpusReport:
    """The data that `report_json` wrote of a snapshot, validated."""
    return TypeAdapter(CorpusReport).validate_json(text)
