"""The parts that both reports share: training curve, mixture, funnel, licences, samples, provenance."""

from collections.abc import Sequence
from typing import Final

from pipelines.evaluation.reports.data import Digest, FunnelRow, Generation, LicenceRow, LossPoint, MixtureRow
from pipelines.evaluation.reports.markup import DASH, Markup, count, number, percent, section, table, tag
from pipelines.evaluation.reports.plots import loss_curve

REASONS: Final = 8
"""Reasons named in a row of the funnel; the rest is summed up."""
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
        note = f"{count(len(known))} steps recorded; the last loss is {number(known[-1].loss)} nats per token."
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
    if not rows:
        return Markup("")
    body = [
        (
            row.source,
            row.licence if row.licence else tag("span", "not declared", class_="warn"),
            count(row.documents),
            count(row.tokens),
        )
        for row in rows
    ]
    return section("Licences", table(("Source", "Licence", "Documents", "Tokens"), body, numeric=(2, 3)))


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
