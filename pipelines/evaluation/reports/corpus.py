"""The report of the whole corpus as one snapshot names it: the funnel, by source and by reason, and every batch."""

from collections.abc import Mapping
from typing import Final

from pipelines.evaluation.reports import sections
from pipelines.evaluation.reports.corpus_data import BatchRow, CorpusReport, SourceRow
from pipelines.evaluation.reports.corpus_parts import STYLE
from pipelines.evaluation.reports.markup import DASH, Markup, count, listing, percent, section, short_count, table, tag
from pipelines.evaluation.reports.page import page
from pipelines.evaluation.reports.shares import shares_section
from pipelines.evaluation.reports.signals import signals_section

REASONS: Final = 30
BATCHES: Final = 500
GLOSSARY: Final = (
    (
        "Left after a stage",
        "Documents that went on from it. Extraction takes in what may be a document: records of an archive that are "
        "none by their kind (requests, notes on the crawl, talk pages of a wiki) stand beside the funnel. Quality "
        "rules, duplicates and cleaning take in what the stage before kept; the last column is what models train on.",
    ),
)


def corpus_report_html(data: CorpusReport) -> str:
    """One self-contained page; the same data gives the same bytes."""
    return page(
        title=f"The corpus of {data.project}",
        eyebrow="Corpus report",
        headline=headline(data),
        tiles=_tiles(data),
        sections=[
            sections.funnel(data.funnel),
            _sources(data),
            shares_section(data.shares, data.ratios),
            signals_section(data.signals),
            _reasons(data),
            _batches(data),
            sections.provenance(data.digests, data.notes),
        ],
        glossary=GLOSSARY,
        style=STYLE,
    )


def headline(data: CorpusReport) -> str:
    """What the page says, in two sentences."""
    if not data.funnel or not data.funnel[0].documents_in:
        return "The corpus has no document yet."
    first, last = data.funnel[0], data.funnel[-1]
    words = f"Of {count(first.documents_in)} documents that were found, {count(last.kept)} are trained on"
    words += f" ({percent(last.kept / first.documents_in)})."
    largest = sorted((row for row in data.sources if row.tokens), key=lambda row: -row.tokens)[:3]
    total = sum(row.tokens for row in data.sources)
    if largest:
        shares = [f"{row.source} ({percent(row.tokens / total, 0)})" for row in largest]
        words += f" Most tokens are of {listing(shares)}."
    absent = sum(row.absent is not None for row in data.batches)
    if absent:
        words += f" {absent} batch{'es are' if absent > 1 else ' is'} absent."
    return words


def _tiles(data: CorpusReport) -> list[tuple[str, str]]:
    tiles = [(str(len(data.sources)), "sources"), (count(len(data.batches)), "batches")]
    if data.funnel:
        tiles.append((short_count(data.funnel[-1].kept), "documents to train on"))
    if data.tokenizer is not None:
        tiles.append((short_count(sum(row.tokens for row in data.sources)), f"tokens of {data.tokenizer}"))
    return tiles


def _sources(data: CorpusReport) -> Markup:
    stages = [row.stage for row in data.funnel]
    total = sum(row.tokens for row in data.sources)
    body = []
    for row in data.sources:
        card = tag("span", f"{row.domain} · {row.licence}", class_="reasons")
        cells: list[object] = [tag("span", row.source, tag("br"), card), row.batches]
        cells += [count(row.stages[stage]) if stage in row.stages else DASH for stage in ("found", *stages)]
        cells += [count(row.tokens), sections.share_bar(row.tokens / total if total else 0.0)]
        body.append(cells)
    headers = ("Source", "Batches", "Found", *stages, "Tokens", "Share")
    return section(
        "By source",
        table(headers, body, numeric=range(1, len(stages) + 4), class_="tight"),
        note="Documents that were found, those left after each stage, and the tokens that they became.",
    )


def _reasons(data: CorpusReport) -> Markup:
    """Reasons by source, as a table with one column a source; the commonest reasons of the whole corpus first."""
    totals: dict[str, int] = {}
    for row in data.sources:
        for reason, documents in row.reasons.items():
            totals[reason] = totals.get(reason, 0) + documents
    ranked = sorted(totals.items(), key=lambda item: (-item[1], item[0]))
    if not ranked:
        return Markup("")
    columns = [row for row in data.sources if row.reasons]
    body = [
        (reason, count(documents), *(_cell(row, reason) for row in columns)) for reason, documents in ranked[:REASONS]
    ]
    rest = ranked[REASONS:]
    if rest:
        left = {name for name, _ in rest}
        cells = [_blank_zero(_total(row.reasons, left)) for row in columns]
        body.append((f"{len(rest)} more reasons", count(sum(documents for _, documents in rest)), *cells))
    headers = ("Stage and reason", "All", *(row.source for row in columns))
    return section(
        "Why documents went",
        table(headers, body, numeric=range(1, len(headers)), class_="tight"),
        note="By the first reason of each document; the reports of the batches count every rule that it fails.",
    )


def _cell(row: SourceRow, reason: str) -> str:
    return _blank_zero(row.reasons.get(reason, 0))


def _blank_zero(documents: int) -> str:
    return count(documents) if documents else ""


def _total(reasons: Mapping[str, int], names: set[str]) -> int:
    return sum(documents for reason, documents in reasons.items() if reason in names)


def _batches(data: CorpusReport) -> Markup:
    body = [_batch(row) for row in data.batches[:BATCHES]]
    rest = len(data.batches) - len(body)
    return section(
        "Batches",
        table(("Batch", "Documents read", "Trained on", "Tokens", ""), body, numeric=(1, 2, 3), class_="tight"),
        tag("p", f"and {count(rest)} more", class_="note") if rest > 0 else None,
        note="In the order of their arrival. Each has a report of its own beside this page once its batch_report is "
        "materialized here.",
    )


def _batch(row: BatchRow) -> tuple[object, ...]:
    name = tag("a", row.key, href=row.page) if row.page else row.key
    note = tag("span", row.absent, class_="warn") if row.absent else None
    return name, count(row.documents), count(row.trained), count(row.tokens), note
