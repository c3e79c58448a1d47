"""The report of each batch: funnel, rules, distributions, drift and samples, from what the stages recorded."""

from typing import Any

import numpy as np
import pyarrow as pa

from assets.corpus.filters import families, filter_config
from assets.evaluation.batch_facts import Batch, drifts_of, histograms_of, languages_of, samples_of
from assets.evaluation.facts import batch_funnel, tables_of
from assets.evaluation.shares import batch_shares
from assets.recipe import Made, Recipe, Scope
from pipelines.core.artifacts import Artifact
from pipelines.core.fingerprint import Algorithm
from pipelines.core.manifest import CheckRecord, Part
from pipelines.evaluation.reports import profile
from pipelines.evaluation.reports.batch import batch_report_html
from pipelines.evaluation.reports.corpus_data import (
    BatchReport,
    TokenRow,
    report_json,
)
from pipelines.evaluation.reports.data import Digest
from pipelines.evaluation.reports.drift import Drift
from pipelines.evaluation.reports.profile import CORPUS_PROFILE
from pipelines.evaluation.shares import SHARES, shares_table
from pipelines.project import Project
from resources.mill import Mill
from resources.stages import Action, store_bytes, store_table

BATCH_PAGE = Algorithm("batch-report-page", 3)
CHECKS = {"funnel_closed": "every stage took in what the one before it kept"}
WARNINGS = {"no_drift": "no signal left the distribution of the source's previous batch beyond the declared index"}


def recipes(project: Project) -> list[Recipe]:
    """`batch_report`."""
    arrays = {f"arrays_{name}": f"{name}/token_arrays" for name in project.tokenizers}
    return [
        Recipe(
            asset="batch_report",
            group="evaluation/reports",
            description="What became of a batch: funnel by reason, every rule's toll, distributions with thresholds, "
            "drift against the source's previous batch, kept and dropped samples explained.",
            kinds=frozenset({"html"}),
            scope=Scope.BATCHES,
            inputs={
                "documents": "crawled_text",
                "signals": "quality_signals",
                "filtered": "filtered_documents",
                "matches": "duplicate_matches",
                "clean": "clean_documents",
                **arrays,
            },
            algorithms=(CORPUS_PROFILE, BATCH_PAGE, SHARES),
            config=_config,
            pinned=_previous,
            make=_make,
            checks=CHECKS,
            warnings=WARNINGS,
        )
    ]


def _config(project: Project, key: str | None) -> dict[str, Any]:
    names = project.corpus.sources if key is None else [key.partition(".")[0]]
    cards = {name: project.corpus.sources[name] for name in names}
    return {
        "report": {name: value for name, value in project.reports.identity().items() if name != "ratios"},
        "filter": filter_config(project, key),
        "sources": {name: [card.domain, card.licence, card.origin] for name, card in cards.items()},
    }


def _previous(mill: Mill, key: str | None) -> dict[str, Artifact]:
    """Signals of the source's batch before this one, the newest of those that have any."""
    source = (key or "").partition(".")[0]
    sealed = mill.sealed()
    for earlier in reversed([name for name in sealed if sealed[name] < sealed.get(key or "", 0)]):
        if earlier.partition(".")[0] == source:
            signals = mill.store.latest("quality_signals", earlier)
            if signals is not None:
                return {"previous": signals}
    return {}


def _make(mill: Mill, action: Action) -> Made:
    key, config = action.partition or "", mill.project.reports
    source = mill.project.source_of(key)
    rules = source.filter.resolved()
    crawled, filtered = action.inputs["documents"], action.inputs["filtered"]
    names = families(mill.project, key)
    batch = Batch(action.inputs["signals"], names)
    decisions = [table["kept"] for _, table in filtered.tables("decisions", ["kept"])]
    kept = np.concatenate([column.to_numpy() for column in decisions]) if decisions else np.zeros(0, bool)
    languages = languages_of(crawled, batch)
    previous = action.inputs.get("previous")
    made = {item.manifest.asset.rpartition("/")[2]: item for item in action.inputs.values()}
    tokenized = [item for name, item in action.inputs.items() if name.startswith("arrays_")]
    shares = batch_shares(mill, action.asset, [*tokenized, action.inputs["clean"]][0], action.inputs["signals"])
    report = BatchReport(
        key=key,
        source=key.partition(".")[0],
        domain=source.domain,
        licence=source.licence,
        origin=source.origin,
        funnel=batch_funnel(made),
        rules=profile.rule_rows(rules, lambda: (table for _, table in filtered.tables("decisions")), batch.read),
        histograms=histograms_of(batch, kept, rules),
        languages=profile.language_rows(languages, kept),
        tokens=_tokens(action),
        previous=previous.manifest.partition if previous is not None else None,
        drifts=tuple(drifts_of(batch, Batch(previous, names), rules, config)) if previous is not None else (),
        samples=samples_of(crawled, action.inputs["signals"], filtered, names, rules, config),
        digests=tuple(
            Digest(f"{item.manifest.asset} {item.manifest.partition or ''}".strip(), item.content)
            for item in action.inputs.values()
        ),
        shares=tuple(shares),
        signals=tables_of(mill, [action.inputs["signals"]]),
        encodings=_encodings(crawled),
        replaced=crawled.manifest.counts.get("replaced_characters", 0),
        warnings=_warnings(action),
    )
    files = {
        "report": store_bytes(mill.store, batch_report_html(report).encode()),
        "data": store_bytes(mill.store, report_json(report).encode()),
        "shares": store_table(mill.store, shares_table(shares)),
    }
    if any(group.documents for group in report.samples):
        files["rows"] = store_table(mill.store, _sampled(report))
    drifted = [drift for drift in report.drifts if drift.drifted]
    facts: dict[str, Any] = {"documents": len(kept), "kept_share": float(kept.mean()) if len(kept) else 0.0}
    facts |= {"drifted_signals": len(drifted)}
    facts |= {"largest_drift": max(drift.index for drift in report.drifts)} if report.drifts else {}
    return [Part(name="00000", files=files)], [_closed(report), _no_drift(report, drifted)], facts


def _encodings(crawled: Artifact) -> dict[str, int]:
    counts = crawled.manifest.counts.items()
    return {name.removeprefix("encoding/"): documents for name, documents in counts if name.startswith("encoding/")}


def _warnings(action: Action) -> tuple[str, ...]:
    """What checks of the batch's stages complain of; those that blocked let no report be made."""
    made = [item.manifest for name, item in action.inputs.items() if name != "previous"]
    return tuple(f"{item.asset}: {check.description}" for item in made for check in item.checks if not check.passed)


def _sampled(report: BatchReport) -> pa.Table:
    """The sampled documents, for the table on the asset's page; `page` leads to the document's place in the report."""
    rows = [
        {
            "sample": "kept" if group.rule is None else f"{'flagged' if group.flagged else 'dropped'}: {group.rule}",
            "id": document.id,
            "url": document.url,
            "text": document.excerpt,
            "page": f"batch_report_{report.key}.html#d{document.id}",
        }
        for group in sorted(report.samples, key=lambda group: group.rule is None)
        for document in group.documents
    ]
    return pa.Table.from_pylist(rows, pa.schema([(name, pa.large_string()) for name in rows[0]]))


def _closed(report: BatchReport) -> CheckRecord:
    gaps = [
        f"{after.stage} took in {after.documents_in} of {before.kept}"
        for before, after in zip(report.funnel, report.funnel[1:], strict=False)
        if before.kept != after.documents_in
    ]
    lost = [row.stage for row in report.funnel if row.documents_in != row.kept + sum(row.dropped.values())]
    return CheckRecord(
        name="funnel_closed",
        passed=not gaps and not lost,
        description=CHECKS["funnel_closed"] + "".join(f"; {gap}" for gap in gaps),
        values={"stages": len(report.funnel), "gaps": len(gaps), "unaccounted_stages": len(lost)},
    )


def _no_drift(report: BatchReport, drifted: list[Drift]) -> CheckRecord:
    shown = "; ".join(f"{item.signal}: {item.before} -> {item.now} ({item.index:.2f})" for item in drifted[:5])
    return CheckRecord(
        name="no_drift",
        passed=not drifted,
        blocking=False,
        description=WARNINGS["no_drift"] + (f"; against {report.previous}: {shown}" if shown else ""),
        values={
            "signals": len(report.drifts),
            "drifted": len(drifted),
            **{f"index/{item.signal}": round(item.index, 4) for item in drifted[:20]},
        },
    )


def _tokens(action: Action) -> tuple[TokenRow, ...]:
    rows = []
    for name, artifact in action.inputs.items():
        if name.startswith("arrays_"):
            counts = artifact.manifest.counts
            train, size = counts.get("train/tokens", 0), counts.get("train/bytes", 0)
            ratio = size / train if train else None
            rows.append(TokenRow(name.removeprefix("arrays_"), train, counts.get("heldout/tokens", 0), ratio))
    return tuple(rows)
