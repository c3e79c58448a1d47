"""The parts that both reports share: training curve, mixture, funnel, licences, samples, provenance."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from pipelines.core.series import moving_average
from pipelines.evaluation.reports.data import Digest, FunnelRow, Generation, LicenceRow, LossPoint, MixtureRow
from pipelines.evaluation.reports.markup import DASH, Markup, count, listing, number, percent, section, table, tag
from pipelines.evaluation.reports.plots import loss_curve

REASONS: Final = 8
"""Reasons named in a row of the funnel; the rest is summed up."""
LAST_STEPS: Final = 9
"""Steps before the last one whose losses are averaged with it: the loss of a single step is noise."""
ASIDE: Final = {
    "record_type_request": "requests",
    "record_type_metadata": "metadata records",
    "record_type_warcinfo": "notes on the crawl",
    "record_type_arc_header": "archive headers",
    "record_type_revisit": "revisits without a body",
    "namespace": "pages of other namespaces",
    "post_type": "posts that are neither question nor answer",
    "included_file": "files that others include",
}
"""Reasons of records that are no documents by their kind, in words: they are counted beside the funnel, not in it."""
CHARACTERS: Final = 3000
"""Characters of a sample on the page."""

GLOSSARY: Final = (
    (
        "Bits per byte",
        "How many bits the model needs for a byte of text that it was never trained on; lower is better. A model that "
        "knows nothing needs 8. Unlike perplexity it compares models with different tokenizers.",
    ),
    (
        "Interval",
        "Percentile bootstrap over whole documents (or items), at the confidence named in the table: how far the "
        "figure could move had other documents of the same kind been held out.",
    ),
)


def training(points: Sequence[LossPoint]) -> Markup:
    """The loss curve; nothing for a checkpoint that was trained elsewhere."""
    note = None
    if not points:
        return Markup("")
    known = [point for point in points if point.loss is not None]
    if known:
        losses = np.array([point.loss for point in known], np.float64)
        mean = float(moving_average(losses, 2 * LAST_STEPS + 1)[-1])
        note = (
            f"{count(len(known))} steps recorded; the last loss is {number(known[-1].loss)} nats per token, the "
            f"mean of the last {count(min(LAST_STEPS + 1, len(known)))} steps {number(mean)}."
        )
    return section("Training", loss_curve(points), note=note)


def mixture(rows: Sequence[MixtureRow]) -> Markup:
    if not rows:
        return Markup("")
    body = [(row.domain, share_bar(row.share), count(row.tokens), number(row.epochs, 2)) for row in rows]
    total = ("All", "", count(sum(row.tokens for row in rows)), "")
    return section(
        "Mixture",
        table(("Source or domain", "Share", "Tokens trained on", "Epochs"), [*body, total], numeric=(2, 3)),
        note="What the training examples were made of. An epoch is one pass over the tokens of the source or domain.",
    )


def funnel(rows: Sequence[FunnelRow]) -> Markup:
    if not rows:
        return Markup("")
    body = []
    for row in rows:
        dropped = sum(row.dropped.values())
        lost = row.documents_in - row.kept - dropped
        share = row.kept / row.documents_in if row.documents_in else None
        reasons: list[object] = [_reasons(row)]
        if lost:
            reasons.append(tag("span", f" {count(lost)} documents unaccounted for", class_="warn"))
        if row.aside:
            beside = " · ".join(f"{ASIDE.get(name, name)} {count(number)}" for name, number in row.aside.items())
            reasons.append(tag("span", tag("br") if dropped else None, f"Beside them, no documents: {beside}"))
        kept = DASH if share is None else share_bar(share)
        body.append(
            (
                row.stage,
                count(row.documents_in),
                count(row.kept),
                count(dropped),
                kept,
                tag("span", *reasons, class_="reasons"),
            )
        )
    return section(
        "Data funnel",
        table(("Stage", "Documents in", "Kept", "Dropped", "Share kept", "Why dropped"), body, numeric=(1, 2, 3)),
        note="Every document that came into a stage was kept or dropped for a recorded reason.",
    )


def _reasons(row: FunnelRow) -> str:
    ranked = sorted(row.dropped.items(), key=lambda pair: (-pair[1], pair[0]))
    named = [f"{reason} {count(documents)}" for reason, documents in ranked[:REASONS] if documents]
    rest = ranked[REASONS:]
    if rest:
        named.append(f"{len(rest)} more reasons {count(sum(documents for _, documents in rest))}")
    return " · ".join(named)


def licences(rows: Sequence[LicenceRow]) -> Markup:
    """Rights of what the model was trained on, source by source and summed by licence."""
    if not rows:
        return Markup("")
    by_licence: dict[str | None, list[LicenceRow]] = {}
    for row in rows:
        by_licence.setdefault(row.licence, []).append(row)
    grouped = sorted(by_licence.items(), key=lambda item: (-_sum(item[1], "share"), item[0] or ""))
    sums = []
    for licence, members in grouped:
        whole = LicenceRow(
            source=listing([row.source for row in members]),
            licence=licence,
            documents=_total(members, "documents"),
            tokens=_total(members, "tokens"),
            trained=_total(members, "trained"),
            share=None if members[0].share is None else _sum(members, "share"),
        )
        sums.append((_licence(licence), whole.source, *_amounts(whole)))
    body = [(row.source, _licence(row.licence), *_amounts(row)) for row in rows]
    amounts = ("Documents", "Tokens", "Tokens trained on", "Share")
    return section(
        "Licences",
        table(("Licence", "Sources", *amounts), sums, numeric=(2, 3, 4, 5)),
        tag("h3", "By source"),
        table(("Source", "Licence", *amounts), body, numeric=(2, 3, 4, 5)),
        note="Of the checkpoint and all that it was continued from, as the source cards say. A token that was read "
        "twice is trained on twice.",
    )


def _licence(licence: str | None) -> object:
    return licence if licence else tag("span", "not declared", class_="warn")


def _amounts(row: LicenceRow) -> tuple[str, ...]:
    return count(row.documents), count(row.tokens), count(row.trained), percent(row.share)


def _sum(rows: Sequence[LicenceRow], name: str) -> float:
    return sum(getattr(row, name) or 0 for row in rows)


def _total(rows: Sequence[LicenceRow], name: str) -> int | None:
    known = [value for row in rows if (value := getattr(row, name)) is not None]
    return sum(known) if known else None


def samples(rows: Sequence[Generation], base: str, model: str) -> Markup:
    """Prompts and continuations; two columns where there is a base to compare with."""
    if not rows:
        return Markup("")
    blocks = []
    for row in rows:
        prompt = tag("p", _cut(row.prompt), class_="prose prompt", dir="auto")
        if row.base_text is None:
            answer = tag("p", _cut(row.text), class_="prose", dir="auto")
        else:
            answer = tag("div", _answer(base, row.base_text), _answer(model, row.text), class_="pair")
        blocks.append(tag("div", prompt, answer, class_="sample"))
    return section(
        "Samples",
        *blocks,
        note="The prompt in bold and what the model wrote after it, drawn with one seed; nothing was picked or mended.",
    )


def _answer(title: str, words: str) -> Markup:
    return tag("div", tag("h3", title), tag("p", _cut(words), class_="prose", dir="auto"))


def _cut(words: str) -> str:
    left = len(words) - CHARACTERS
    return words if left <= 0 else f"{words[:CHARACTERS]} … ({count(left)} more characters)"


def provenance(rows: Sequence[Digest], notes: Sequence[str]) -> Markup:
    body = [(row.name, tag("code", row.digest)) for row in rows]
    return section(
        "Provenance",
        table(("What", "Digest"), body) if body else None,
        tag("ul", *(tag("li", note) for note in notes)) if notes else None,
        note="Equal digests name equal contents; gristmill verify checks them, and gristmill trace walks from a "
        "training step to its documents.",
    )


def share_bar(share: float) -> Markup:
    """A share from 0 to 1 as a bar and a figure."""
    filled = tag("i", style=f"width: {min(max(share, 0.0), 1.0) * 100:.1f}%")
    return tag("span", tag("span", filled, class_="bar"), percent(share), class_="share")
