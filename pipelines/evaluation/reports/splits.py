"""Sources and domains that a mixture split by a signal: what each group is of the text, and what was made of it."""

from collections.abc import Sequence

from pipelines.evaluation.reports.data import SplitRow
from pipelines.evaluation.reports.markup import DASH, Markup, count, number, percent, section, table, tag
from pipelines.evaluation.reports.sections import share_bar

NOTE = (
    "By nature: of the tokens that are there. As planned: of the examples that were drawn from it. The factor is the "
    "second over the first: above 1 a group is read more than its size asks for, below 1 less."
)


def splits_section(rows: Sequence[SplitRow]) -> Markup:
    """A table for each split group and role, largest group first; nothing without a split."""
    parts: list[object] = []
    for split, signal, role in dict.fromkeys((row.split, row.signal, row.role) for row in rows):
        mine = [row for row in rows if (row.split, row.role) == (split, role)]
        of = "" if role == "all" else f", {role}"
        parts += [tag("h3", f"{split} by {signal}{of}"), _table(mine)]
    return section("Inside sources and domains", *parts, note=NOTE) if parts else Markup("")


def _table(rows: Sequence[SplitRow]) -> Markup:
    body = [
        (
            row.value,
            count(row.documents),
            count(row.tokens),
            percent(row.natural_share),
            share_bar(row.planned_share),
            f"{number(row.planned_share / row.natural_share, 2)} ×" if row.natural_share else DASH,
            number(row.epochs, 2),
            row.note,
        )
        for row in sorted(rows, key=lambda row: (-row.tokens, row.value))
    ]
    headers = ("", "Documents", "Tokens", "By nature", "As planned", "Factor", "Epochs", "")
    return table(headers, body, numeric=(1, 2, 3, 5, 6), class_="tight")
