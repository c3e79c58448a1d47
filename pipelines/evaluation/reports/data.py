"""What a report is drawn from: plain frozen data, so that a page can be drawn again without computing anything.

Every number that could not be computed is None. Texts may come from crawled pages: the page escapes all of them.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TypeVar

from pydantic import TypeAdapter

from pipelines.evaluation.compare import DomainComparison, RoleSummary, TaskComparison
from pipelines.evaluation.scores import DomainScore, TaskScore


@dataclass(frozen=True)
class ModelFacts:
    """A checkpoint: its name for people, parameters (a count), steps and tokens trained so far, context in tokens."""

    name: str
    parameters: int | None = None
    steps: int | None = None
    tokens: int | None = None
    context_length: int | None = None
    vocabulary: int | None = None


@dataclass(frozen=True)
class LossPoint:
    """One optimiser step: loss in nats per token, the learning rate at it."""

    step: int
    loss: float | None
    learning_rate: float | None = None


@dataclass(frozen=True)
class MixtureRow:
    """One domain of the mixture: its share of the examples (0 to 1), tokens trained on, passes over its text."""

    domain: str
    share: float
    tokens: int
    epochs: float | None = None


@dataclass(frozen=True)
class SplitRow:
    """One group of a source or domain that the mixture split: its part (0 to 1) of the tokens, and of the examples.

    `role` is `all`, or in a round `new` or `replay`; the shares are of the split group in that role.
    """

    split: str
    signal: str
    role: str
    value: str
    documents: int
    tokens: int
    natural_share: float
    planned_share: float
    epochs: float
    note: str = ""


@dataclass(frozen=True)
class FunnelRow:
    """Documents that came into a stage, those kept, and those dropped by reason.

    `aside` are records that lay beside the documents and are none by their kind, by reason; not part of the others.
    """

    stage: str
    documents_in: int
    kept: int
    dropped: Mapping[str, int] = field(default_factory=dict)
    aside: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class LicenceRow:
    """A source, its declared licence, what of it was there, and what of that the model was trained on.

    `trained` counts a token once an epoch; `share` is its part of all trained tokens, None where nobody can know.
    """

    source: str
    licence: str | None
    documents: int | None = None
    tokens: int | None = None
    trained: int | None = None
    share: float | None = None


@dataclass(frozen=True)
class SignalTable:
    """One signal by domain: rows of (name, a value for each domain), shares (0 to 1) or other numbers."""

    title: str
    note: str
    domains: tuple[str, ...]
    rows: tuple[tuple[str, tuple[float | None, ...]], ...]
    share: bool


@dataclass(frozen=True)
class Generation:
    """A prompt and what a model continued it with; in a comparison `text` is the round's and `base_text` the base's."""

    prompt: str
    text: str
    base_text: str | None = None


@dataclass(frozen=True)
class Digest:
    """The name of an artifact or identity and its digest."""

    name: str
    digest: str


@dataclass(frozen=True)
class BaseReport:
    """Everything on the page of one checkpoint. `confidence` is that of every interval; `notes` are sentences."""

    lane: str
    model: ModelFacts
    domains: tuple[DomainScore, ...]
    tasks: tuple[TaskScore, ...] = ()
    losses: tuple[LossPoint, ...] = ()
    mixture: tuple[MixtureRow, ...] = ()
    splits: tuple[SplitRow, ...] = ()
    funnel: tuple[FunnelRow, ...] = ()
    signals: tuple[SignalTable, ...] = ()
    licences: tuple[LicenceRow, ...] = ()
    generations: tuple[Generation, ...] = ()
    digests: tuple[Digest, ...] = ()
    notes: tuple[str, ...] = ()
    confidence: float = 0.95


@dataclass(frozen=True)
class ComparisonReport:
    """Everything on the page of one round against its base.

    `control` is the same comparison for a round without replay, `control_summaries` its means; both may be empty.
    """

    lane: str
    round: str
    base_model: ModelFacts
    round_model: ModelFacts
    domains: tuple[DomainComparison, ...]
    summaries: tuple[RoleSummary, ...] = ()
    tasks: tuple[TaskComparison, ...] = ()
    control: tuple[DomainComparison, ...] = ()
    control_summaries: tuple[RoleSummary, ...] = ()
    losses: tuple[LossPoint, ...] = ()
    mixture: tuple[MixtureRow, ...] = ()
    splits: tuple[SplitRow, ...] = ()
    funnel: tuple[FunnelRow, ...] = ()
    signals: tuple[SignalTable, ...] = ()
    licences: tuple[LicenceRow, ...] = ()
    generations: tuple[Generation, ...] = ()
    digests: tuple[Digest, ...] = ()
    notes: tuple[str, ...] = ()
    confidence: float = 0.95


Report = TypeVar("Report", BaseReport, ComparisonReport)


def to_json(report: BaseReport | ComparisonReport) -> str:
    """The report's data as JSON with sorted keys; `ValueError` for a number that is not finite."""
    values = asdict(report)
    if not report.splits:
        del values["splits"]  # the data of a mixture without a split is what it was before there were any
    return json.dumps(values, sort_keys=True, ensure_ascii=False, allow_nan=False)


def from_json(kind: type[Report], text: str | bytes) -> Report:
    """The data that `to_json` wrote, validated."""
    adapter: TypeAdapter[Report] = TypeAdapter(kind)
    return adapter.validate_json(text)
