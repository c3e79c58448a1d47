"""The report of one batch: what came of its documents, by which rules, what they look like, and whether it drifted."""

from collections.abc import Sequence
from typing import Final

from pipelines.evaluation.reports import sections
from pipelines.evaluation.reports.corpus_data import BatchReport, Histogram, LanguageRow, RuleRow, SampleGroup
from pipelines.evaluation.reports.corpus_parts import STYLE, sampled_document
from pipelines.evaluation.reports.drift import Drift
from pipelines.evaluation.reports.histogram import DROPPED, KEPT, histogram_svg, tick
from pipelines.evaluation.reports.markup import (
    Markup,
    count,
    listing,
    number,
    percent,
    section,
    short_count,
    table,
    tag,
)
from pipelines.evaluation.reports.page import page
from pipelines.evaluation.reports.shares import shares_section
from pipelines.evaluation.reports.signals import signals_section

LANGUAGES: Final = 15
LENGTH: Final = "n_characters"
GLOSSARY: Final = (
    (
        "First and only",
        "A document may fail several rules. First counts those that a rule drops before any other did, so the column "
        "adds up to what was dropped. Only counts those that no other rule would have dropped: what is won by giving "
        "the rule up.",
    ),
    (
        "Near",
        "The value is within a tenth of its threshold, on either side. Many near documents mean that the threshold "
        "cuts through the middle of a kind of text.",
    ),
    (
        "Stability index",
        "How far the distribution of a signal is from the previous batch of the source, in bins that each held a tenth "
        "of that batch: the sum of (q - p) ln(q / p). By custom 0.1 is a small and 0.25 a large shift. Noise is what "
        "two samples of one population of these sizes exceed once in a thousand times.",
    ),
)


def batch_report_html(data: BatchReport) -> str:
    """One self-contained page; the same data gives the same bytes."""
    return page(
        title=data.key,
        eyebrow=f"Batch report · {data.domain}",
        headline=headline(data),
        tiles=_tiles(data),
        sections=[
            sections.funnel(data.funnel),
            _warnings(data.warnings),
            _rules(data.rules, _documents(data)),
            _drift(data),
            _distributions(data.histograms),
            _languages(data.languages),
            shares_section(data.shares),
            signals_section(data.signals),
            _encodings(data),
            *(_samples(group) for group in data.samples),
            _origin(data),
            sections.provenance(data.digests, data.notes),
        ],
        glossary=GLOSSARY,
        style=STYLE,
    )


def _documents(data: BatchReport) -> int:
    return sum(row.documents for row in data.languages)


def headline(data: BatchReport) -> str:
    """What the page says, in two or three sentences."""
    documents = _documents(data)
    if not documents:
        return "No document came of this batch; the funnel says what became of its records."
    kept = sum(row.kept for row in data.languages)
    words = f"The rules of {data.source} keep {count(kept)} of {count(documents)} documents"
    worst = sorted((row for row in data.rules if row.first), key=lambda row: -row.first)[:2]
    if worst:
        words += f"; most are dropped by {listing([f'{row.rule} ({count(row.first)})' for row in worst])}"
    words += "."
    drifted = [drift.signal for drift in data.drifts if drift.drifted]
    if drifted:
        more = f" and {len(drifted) - 3} more" if len(drifted) > 3 else ""
        verb = "differ" if len(drifted) > 1 else "differs"
        words += f" Unlike {data.previous}, the batch before: {listing(drifted[:3])}{more} {verb}."
    elif data.drifts:
        words += f" Its signals are distributed as in {data.previous}, the batch before."
    return words


def _tiles(data: BatchReport) -> list[tuple[str, str]]:
    documents, kept = _documents(data), sum(row.kept for row in data.languages)
    tiles = [
        (short_count(documents), "documents read"),
        (percent(kept / documents if documents else None), "kept by the rules"),
    ]
    if len(data.funnel) > 1:
        tiles.append((short_count(data.funnel[-1].kept), "documents to train on"))
    for row in data.tokens[:1]:
        tiles.append((short_count(row.train), f"tokens of {row.tokenizer}"))
        if row.bytes_per_token is not None:
            tiles.append((number(row.bytes_per_token, 2), "bytes a token"))
    tiles.append((str(sum(drift.drifted for drift in data.drifts)) if data.drifts else "–", "signals drifted"))
    return tiles


def _warnings(warnings: Sequence[str]) -> Markup:
    """What checks of the batch's stages complain of; nothing where none does."""
    return section("Warnings", tag("ul", *(tag("li", text) for text in warnings)) if warnings else None)


def _encodings(data: BatchReport) -> Markup:
    """Documents by the encoding they were read with; nothing where all came as text."""
    if not data.encodings:
        return Markup("")
    total = sum(data.encodings.values())
    ordered = sorted(data.encodings.items(), key=lambda item: (-item[1], item[0]))
    rows = [(codec, count(documents), percent(documents / total)) for codec, documents in ordered]
    lost = f"{count(data.replaced)} characters could not be read and stand as U+FFFD."
    return section("Encodings", table(("encoding", "documents", "share"), rows, (1, 2)), note=lost)


def _rules(rows: Sequence[RuleRow], documents: int) -> Markup:
    if not rows:
        return section("Rules", tag("p", "No rules are declared for this source: every document passes."))
    body = [
        (
            row.rule,
            tag("span", row.condition, tag("span", " only flags", class_="flag") if row.action == "flag" else None),
            count(row.failed),
            percent(row.failed / documents if documents else None),
            count(row.first),
            count(row.alone),
            count(row.near),
        )
        for row in rows
    ]
    headers = ("Rule", "A kept document has", "Fail", "Share", "First", "Only", "Near")
    return section(
        "Rules",
        table(headers, body, numeric=(2, 3, 4, 5, 6), class_="tight"),
        note="Every rule judges every document, whatever the others say. gristmill what-if shows what another value "
        "would keep.",
    )


def _drift(data: BatchReport) -> Markup:
    if data.previous is None:
        return section("Drift", tag("p", "This is the first batch of its source: there is nothing to compare with."))
    if not data.drifts:
        return section("Drift", tag("p", f"Too few documents here or in {data.previous} to say anything."))
    ranked = sorted(data.drifts, key=lambda drift: (-drift.index, drift.signal))
    body = [_drift_row(drift) for drift in ranked]
    return section(
        "Drift",
        table(("Signal", "Index", "Noise", "Verdict", "Before", "Now"), body, numeric=(1, 2), class_="tight"),
        note=f"Against {data.previous}, the batch before; quartiles, or the commonest values. A signal has drifted "
        f"when its stability index is above {number(ranked[0].limit, 2)} and above the noise.",
    )


def _drift_row(drift: Drift) -> tuple[object, ...]:
    badge = tag("span", "drifted" if drift.drifted else "as before", class_="badge " + _shade(drift.drifted))
    return drift.signal, number(drift.index), number(drift.noise), badge, drift.before, drift.now


def _shade(drifted: bool) -> str:
    return "forgot" if drifted else "quiet"


def _distributions(histograms: Sequence[Histogram]) -> Markup:
    if not histograms:
        return Markup("")
    legend = tag(
        "p",
        tag("span", class_="key", style=f"background: {KEPT}"), "kept by the rules",
        tag("span", class_="key", style=f"background: {DROPPED}"), "dropped",
        tag("span", class_="key", style="background: #c2410c"), "threshold, its failing side shaded",
        class_="note",
    )  # fmt: skip
    ranked = sorted(histograms, key=lambda item: (item.signal != LENGTH, not item.thresholds))
    figures = [tag("figure", histogram_svg(item), tag("figcaption", *_caption(item))) for item in ranked]
    return section(
        "Distributions",
        legend,
        tag("div", *figures, class_="plots"),
        note="Heights are square roots of counts, so that few documents show beside many; the outermost half per cent "
        "on either side is in the end bars.",
    )


def _caption(item: Histogram) -> list[object]:
    words: list[object] = [tag("b", item.signal)]
    if item.quartiles:
        words.append(tag("span", f" median {tick(item.quartiles[1])}"))
    if item.logarithmic:
        words.append(tag("span", ", logarithmic"))
    if item.missing:
        words.append(tag("span", f", {count(item.missing)} missing"))
    for rule, comparison, value in item.thresholds:
        words.append(join_line(f"{rule}: {comparison} {tick(value)}"))
    return words


def join_line(words: str) -> Markup:
    """A soft line of a caption."""
    return tag("span", tag("br"), words)


def _languages(rows: Sequence[LanguageRow]) -> Markup:
    if not rows:
        return Markup("")
    documents = sum(row.documents for row in rows)
    shown = list(rows[:LANGUAGES])
    rest = rows[LANGUAGES:]
    if rest:
        left = LanguageRow(
            f"{len(rest)} more", sum(row.documents for row in rest), sum(row.kept for row in rest)
        )  # fmt: skip
        shown.append(left)
    body = [
        (row.language, count(row.documents), sections.share_bar(row.documents / documents), count(row.kept),
         sections.share_bar(row.kept / row.documents if row.documents else 0.0))
        for row in shown
    ]  # fmt: skip
    headers = ("Language", "Documents", "Share of the batch", "Kept", "Share kept")
    return section("Languages", table(headers, body, numeric=(1, 3), class_="tight"))


def _samples(group: SampleGroup) -> Markup:
    if group.rule is None:
        title, note = "Kept", f"{_drawn(group)} no rule drops."
    elif group.flagged:
        title, note = f"Flagged by {group.rule}", f"{_drawn(group)} it flags, and does not drop."
    else:
        title = f"Dropped by {group.rule}"
        note = f"{_drawn(group)} it drops before any other rule."
    return section(title, *(sampled_document(document) for document in group.documents), note=note)


def _drawn(group: SampleGroup) -> str:
    if group.population == 1:
        return "The one document that"
    drawn = "All" if len(group.documents) == group.population else f"{len(group.documents)}, drawn at random, of"
    return f"{drawn} {count(group.population)} documents that"


def _origin(data: BatchReport) -> Markup:
    body = [("Source", data.source), ("Licence", data.licence), ("Origin", data.origin or "–")]
    body += [
        (f"Tokens of {row.tokenizer}", f"{count(row.train)} to train on, {count(row.heldout)} held out")
        for row in data.tokens
    ]
    return section("Source", table(("What", "Value"), body))
