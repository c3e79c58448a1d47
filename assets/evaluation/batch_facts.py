"""What the report of a batch shows, gathered from its artifacts a part or a column at a time."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines.core.artifacts import Artifact
from pipelines.core.decisions import explain_row
from pipelines.core.manifest import Part
from pipelines.core.sampling import Sample
from pipelines.corpus.filters.filter import join_signals
from pipelines.corpus.filters.whatif import named_in
from pipelines.evaluation.reports import profile
from pipelines.evaluation.reports.batch import LENGTH
from pipelines.evaluation.reports.config import CorpusReportConfig
from pipelines.evaluation.reports.corpus_data import Histogram, SampledDocument, SampleGroup, verdict_of
from pipelines.evaluation.reports.drift import Drift, number_drift, text_drift

Rules = Sequence[Any]
KEPT = "kept"


class Batch:
    """Columns of one batch by role, part by part in line with the documents."""

    def __init__(self, signals: Artifact, families: list[str]) -> None:
        self.signals, self.families = signals, families
        self.roles: dict[str, str] = {}
        self.text: set[str] = set()
        for part in signals.parts[:1]:
            for family in self.families:
                for field in pq.read_schema(signals.path(part, family)):
                    if field.name in ("id", "text_hash"):
                        continue
                    if pa.types.is_large_string(field.type) or pa.types.is_string(field.type):
                        self.text.add(field.name)
                    elif not _is_number(field.type):
                        continue
                    self.roles[field.name] = family

    def read(self, columns: Sequence[str]) -> Iterator[pa.Table]:
        """Tables with columns of one family; none for a batch without documents, which has no families."""
        for _, table in self.signals.tables(self.roles.get(columns[0], ""), columns):
            yield table


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind))


def languages_of(crawled: Artifact, batch: Batch) -> pa.Array:
    """The detected language of each document, else the declared one."""
    if "language" in batch.roles:
        return profile.text_column(batch.read, "language")
    return profile.text_column(lambda columns: (table for _, table in crawled.tables("documents", columns)), "language")


def _looked_at(batch: Batch, rules: Rules) -> list[str]:
    """Signals that the rules name, after the length."""
    named = named_in(rules)
    return [name for name in batch.roles if name == LENGTH or name in named]


def histograms_of(batch: Batch, kept: npt.NDArray[np.bool_], rules: Rules) -> tuple[Histogram, ...]:
    thresholds = profile.thresholds_of(rules)
    found = (
        profile.histogram(name, profile.number_column(batch.read, name), kept, thresholds.get(name, ()))
        for name in _looked_at(batch, rules)
        if name not in batch.text
    )
    return tuple(item for item in found if item is not None)


def drifts_of(batch: Batch, before: Batch, rules: Rules, config: CorpusReportConfig) -> Iterator[Drift]:
    rows = [side.signals.manifest.rows(side.families[0]) if side.families else 0 for side in (before, batch)]
    if min(rows) < config.drift_documents:
        return
    wanted = config.drift_signals or ["language", *_looked_at(batch, rules)]
    for name in dict.fromkeys(wanted):
        if name not in batch.roles or name not in before.roles:
            continue
        if name in batch.text:
            sides = [profile.text_column(side.read, name).to_pylist() for side in (before, batch)]
            yield text_drift(name, sides[0], sides[1], config.drift_index)
        else:
            numbers = [profile.number_column(side.read, name) for side in (before, batch)]
            yield number_drift(name, numbers[0], numbers[1], config.drift_index)


def samples_of(
    crawled: Artifact,
    signals: Artifact,
    filtered: Artifact,
    names: list[str],
    rules: Rules,
    config: CorpusReportConfig,
) -> tuple[SampleGroup, ...]:
    """Kept documents, then those of each rule in rule order: dropped by it first, or flagged by it."""
    sample: Sample[SampledDocument] = Sample(config.samples, config.seed)
    population: dict[str, int] = {}
    named = {part.name: part for part in signals.parts}
    for part, decisions in filtered.tables("decisions"):
        groups = dict(_groups(decisions))
        for group, rows in groups.items():
            population[group] = population.get(group, 0) + len(rows)
        upstream = next(item for item in crawled.parts if item.name == part.name)
        tables: dict[str, pa.Table] = {}

        def row_of(row: int, part: Part = upstream, tables: dict[str, pa.Table] = tables) -> SampledDocument:
            if not tables:  # most parts of a large batch have no document of the sample
                tables["documents"] = crawled.table(part, "documents")
                tables |= {family: signals.table(named[part.name], family) for family in names}
            one = {role: table.slice(row, 1) for role, table in tables.items()}
            document = one["documents"].to_pylist()[0]
            found = explain_row(join_signals(one).to_pylist()[0], rules)
            return SampledDocument(
                id=document["id"].hex(),
                url=document["url"],
                locator=document["locator"],
                characters=len(document["text"]),
                excerpt=document["text"][: config.excerpt_characters],
                verdicts=tuple(verdict_of(item) for item in found),
            )

        for group, rows in groups.items():
            sample.offer(group, decisions["id"].take(pa.array(rows)), _at(rows, row_of))
    actions = {rule.name: rule.action for rule in rules}
    return tuple(
        SampleGroup(
            rule=None if group == KEPT else group.partition("/")[2],
            population=population[group],
            documents=tuple(sample.rows(group)),
            flagged=group.startswith("flag/"),
        )
        for group in [KEPT, *(f"{'flag' if action == 'flag' else 'drop'}/{name}" for name, action in actions.items())]
        if population.get(group) and config.samples
    )


def _at(rows: npt.NDArray[np.int64], row_of: Callable[[int], SampledDocument]) -> Callable[[int], SampledDocument]:
    return lambda position: row_of(int(rows[position]))


def _groups(decisions: pa.Table) -> Iterator[tuple[str, npt.NDArray[np.int64]]]:
    """(group, rows) of one part: kept, `drop/<first rule>`, `flag/<rule>`."""
    yield KEPT, np.flatnonzero(decisions["kept"].to_numpy())
    reasons = decisions["reason"]
    for name in pc.unique(pc.drop_null(reasons)).to_pylist():
        yield f"drop/{name}", np.flatnonzero(pc.fill_null(pc.equal(reasons, name), False).to_numpy())
    lists = decisions["failed"].combine_chunks()
    lists = lists if isinstance(lists, pa.Array) else pa.concat_arrays(lists.chunks)
    flat, rows = lists.flatten(), pc.list_parent_indices(lists).to_numpy()
    flags = pc.equal(pc.struct_field(flat, "action"), "flag").to_numpy(zero_copy_only=False)
    names = pc.struct_field(flat, "rule")
    for name in pc.unique(names.filter(pa.array(flags))).to_pylist():
        yield f"flag/{name}", rows[flags & pc.equal(names, name).to_numpy(zero_copy_only=False)]
