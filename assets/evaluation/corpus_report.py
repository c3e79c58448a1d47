"""The report of the corpus: its funnel by source and reason, from the manifests that a snapshot leads to."""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from assets.evaluation.facts import STAGES, funnel_rows, tables_of
from assets.evaluation.shares import batch_shares, current_signals
from assets.model.lineage import upstream
from assets.recipe import Made, Recipe, Scope
from pipelines.core.artifacts import Artifact
from pipelines.core.fingerprint import Algorithm
from pipelines.core.manifest import CheckRecord, Part
from pipelines.evaluation.reports.corpus import corpus_report_html
from pipelines.evaluation.reports.corpus_data import BatchRow, CorpusReport, RatioRow, SourceRow, report_json
from pipelines.evaluation.reports.data import Digest
from pipelines.evaluation.shares import SHARES, Share, Verdict, judge, shares_table, summed
from pipelines.project import Project
from resources.mill import Mill
from resources.stages import Action, store_bytes, store_table

CORPUS_PAGE = Algorithm("corpus-report-page", 3)
CHECKS = {
    "accounted": "every record of every batch was kept or dropped by a named stage for a named reason",
    "required_ratios": "the corpus keeps to every ratio of `reports.ratios` that is declared as blocking",
}
WARNINGS = {"ratios": "the corpus keeps to every other ratio of `reports.ratios`"}
Counts = dict[str, dict[str, int]]


def recipes(project: Project) -> list[Recipe]:
    """`corpus_report`."""
    return [
        Recipe(
            asset="corpus_report",
            group="evaluation/reports",
            description="The whole corpus as the newest snapshot names it: what every stage kept and why it dropped, "
            "by source.",
            kinds=frozenset({"html"}),
            scope=Scope.ONCE,
            inputs={"snapshot": "corpus_snapshot"},
            algorithms=(CORPUS_PAGE, SHARES),
            config=lambda project, key: {
                "sources": {name: [item.domain, item.licence] for name, item in project.corpus.sources.items()},
                "ratios": [item.identity() for item in project.reports.ratios],
            },
            pinned=_signals,
            make=_make,
            checks=CHECKS,
            warnings=WARNINGS,
        )
    ]


def _batches(mill: Mill, snapshot: Artifact) -> Iterator[tuple[dict[str, Any], Artifact | None]]:
    """(row, token arrays) of each batch of a snapshot, by its first tokenizer; None for a batch that is absent."""
    rows = snapshot.whole("rows").to_pylist()
    for row in rows:
        if row["tokenizer"] == rows[0]["tokenizer"]:
            yield row, None if row["manifest"] is None else mill.store.open(row["manifest"])


def _signals(mill: Mill, key: str | None) -> dict[str, Artifact]:
    """The signals that shares are taken by, batch by batch: newer than the arrays where a model came later."""
    found = {}
    for row, arrays in _batches(mill, mill.get("corpus_snapshot")):
        signals = None if arrays is None else current_signals(mill, arrays)
        if signals is not None:
            found[f"signals/{row['key']}"] = signals
    return found


def _counts(mill: Mill, made: Artifact) -> Counts:
    """Counts of each stage of one batch, by the funnel's labels."""
    found: Counts = {}
    for asset, label, _ in STAGES:
        artifact = made if made.manifest.asset.endswith(f"/{asset}") else upstream(mill.store, made, asset)
        if artifact is not None:
            found[label] = artifact.manifest.counts
    return found


def _make(mill: Mill, action: Action) -> Made:
    snapshot = action.inputs["snapshot"]
    rows = snapshot.whole("rows").to_pylist()
    tokenizer = rows[0]["tokenizer"] if rows else None
    whole: Counts = defaultdict(lambda: defaultdict(int))
    by_source: dict[str, Counts] = defaultdict(lambda: defaultdict(lambda: defaultdict(int)))
    batches: list[BatchRow] = []
    tokens: dict[str, int] = defaultdict(int)
    parts: list[Share] = []
    for row, arrays in _batches(mill, snapshot):
        key, documents = row["key"], 0
        if arrays is not None:
            parts += batch_shares(mill, action.asset, arrays, action.inputs.get(f"signals/{key}"))
            counts = _counts(mill, arrays)
            documents = counts.get("extraction", {}).get("kept", 0)
            for label, names in counts.items():
                for name, value in names.items():
                    whole[label][name] += value
                    by_source[row["source"]][label][name] += value
        tokens[row["source"]] += row["tokens"]
        batches.append(
            BatchRow(key, f"batch_report_{key}.html", documents, row["documents"], row["tokens"], row["absent"])
        )
    sources = tuple(
        _source_row(
            mill, name, by_source.get(name, {}), [item for item in rows if item["source"] == name], tokens[name]
        )
        for name in dict.fromkeys(row["source"] for row in rows)
    )
    shares = summed(parts)
    verdicts = [judge(rule, shares) for rule in mill.project.reports.ratios]
    report = CorpusReport(
        project=mill.project.project,
        tokenizer=tokenizer,
        funnel=funnel_rows(whole),
        sources=sources,
        batches=tuple(batches),
        digests=(Digest("corpus_snapshot", snapshot.content),),
        shares=tuple(shares),
        signals=tables_of(mill, (item for name, item in action.inputs.items() if name.startswith("signals/"))),
        ratios=tuple(RatioRow(item.told, item.share, item.passed, item.rule.blocking) for item in verdicts),
    )
    files = {
        "report": store_bytes(mill.store, corpus_report_html(report).encode()),
        "data": store_bytes(mill.store, report_json(report).encode()),
        "shares": store_table(mill.store, shares_table(shares)),
    }
    checks = [_accounted(report), _kept_to(verdicts, blocking=True), _kept_to(verdicts, blocking=False)]
    return [Part(name="00000", files=files)], checks, _facts(report)


def _kept_to(verdicts: list[Verdict], blocking: bool) -> CheckRecord:
    name = "required_ratios" if blocking else "ratios"
    mine = [item for item in verdicts if item.rule.blocking == blocking]
    broken = [item for item in mine if not item.passed]
    return CheckRecord(
        name=name,
        passed=not broken,
        blocking=blocking,
        description="; ".join([(CHECKS | WARNINGS)[name], *(item.told for item in broken or mine)]),
        values={"ratios": len(mine), "broken": len(broken)},
    )


def _source_row(mill: Mill, name: str, counts: Counts, rows: list[dict[str, Any]], tokens: int) -> SourceRow:
    source = mill.project.corpus.sources[name]
    funnel = funnel_rows(counts)
    stages = {row.stage: row.kept for row in funnel}
    return SourceRow(
        source=name,
        domain=source.domain,
        licence=source.licence,
        batches=len({row["key"] for row in rows}),
        stages={"found": funnel[0].documents_in, **stages} if funnel else {},
        reasons={f"{row.stage}: {reason}": n for row in funnel for reason, n in row.dropped.items() if n},
        tokens=tokens,
    )


def _accounted(report: CorpusReport) -> CheckRecord:
    lost = {
        row.stage: row.documents_in - row.kept - sum(row.dropped.values())
        for row in report.funnel
        if row.documents_in != row.kept + sum(row.dropped.values())
    }
    gaps = sum(
        before.kept != after.documents_in for before, after in zip(report.funnel, report.funnel[1:], strict=False)
    )
    return CheckRecord(
        name="accounted",
        passed=not lost and not gaps,
        description=CHECKS["accounted"] + "".join(f"; {stage} lost {number}" for stage, number in lost.items()),
        values={"stages": len(report.funnel), "unaccounted": sum(lost.values()), "gaps": gaps},
    )


def _facts(report: CorpusReport) -> dict[str, Any]:
    kept = {f"kept/{row.stage}": row.kept for row in report.funnel}
    return {"batches": len(report.batches), "tokens": sum(row.tokens for row in report.sources), **kept}
