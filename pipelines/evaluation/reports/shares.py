"""What is trained on by topic, language and perplexity, as parts of a page and as tables of a checkpoint's report."""

from collections.abc import Mapping, Sequence
from typing import Final

from pipelines.evaluation.reports import sections
from pipelines.evaluation.reports.corpus_data import RatioRow
from pipelines.evaluation.reports.data import SignalTable
from pipelines.evaluation.reports.markup import DASH, Markup, count, percent, section, table, tag
from pipelines.evaluation.shares import Share

TITLES: Final = {"topic": "Topics", "language": "Languages", "perplexity_bucket": "Perplexity"}
MAX_ROWS: Final = 20
MAX_COLUMNS: Final = 8
Cell = tuple[int, int, int]
"""Documents, bytes, tokens."""


def shares_section(rows: Sequence[Share], ratios: Sequence[RatioRow] = ()) -> Markup:
    """For each signal its values with documents, size and share, in all and by domain; nothing without shares."""
    parts: list[object] = []
    for signal, title in TITLES.items():
        mine = [row for row in rows if row.signal == signal]
        if mine:
            parts += [tag("h3", title), _table(mine)]
    if not parts:
        return Markup("")
    note = "Of the documents that are trained on: after every stage, held-out ones left out."
    return section("What is trained on", *_ratios(ratios), *parts, note=note)


def _table(rows: Sequence[Share]) -> Markup:
    tokens = all(row.tokens is not None for row in rows)
    domains = sorted({row.domain for row in rows})
    cells: dict[tuple[str, str], Cell] = {}
    for row in rows:
        for domain in (row.domain, ""):
            before = cells.get((row.value, domain), (0, 0, 0))
            cells[row.value, domain] = (
                before[0] + row.documents,
                before[1] + row.bytes,
                before[2] + (row.tokens or 0),
            )
    by = 2 if tokens else 1
    shown = domains[:MAX_COLUMNS] if len(domains) > 1 else []
    whole = {
        domain: max(sum(cell[by] for (_, of), cell in cells.items() if of == domain), 1) for domain in ("", *domains)
    }
    ranked = sorted({row.value for row in rows}, key=lambda value: (-cells[value, ""][by], value))
    groups = [(value, [value]) for value in ranked[:MAX_ROWS]]
    if ranked[MAX_ROWS:]:
        groups.append((f"{len(ranked) - MAX_ROWS} more", ranked[MAX_ROWS:]))
    body = []
    for label, values in groups:
        total = _sum(cells, values, "")
        body.append(
            (
                label,
                count(total[0]),
                count(total[by]),
                sections.share_bar(total[by] / whole[""]),
                *(
                    percent(amount / whole[domain]) if (amount := _sum(cells, values, domain)[by]) else ""
                    for domain in shown
                ),
            )
        )
    headers = ("", "Documents", "Tokens" if tokens else "Bytes", "Share", *shown)
    left = tag("p", f"{len(domains) - MAX_COLUMNS} more domains are in the data.", class_="note")
    drawn = table(headers, body, numeric=(1, 2, *range(4, len(headers))), class_="tight")
    return Markup(drawn + left) if len(domains) > MAX_COLUMNS else drawn


def _sum(cells: Mapping[tuple[str, str], Cell], values: Sequence[str], domain: str) -> Cell:
    found = [cells.get((value, domain), (0, 0, 0)) for value in values]
    return sum(cell[0] for cell in found), sum(cell[1] for cell in found), sum(cell[2] for cell in found)


def _ratios(rows: Sequence[RatioRow]) -> list[object]:
    """The declared ratios, broken ones first."""
    if not rows:
        return []
    body = [
        (
            tag("span", "kept" if item.passed else "broken", class_=f"badge {'quiet' if item.passed else 'forgot'}"),
            DASH if item.share is None else percent(item.share),
            item.told,
        )
        for item in sorted(rows, key=lambda item: item.passed)
    ]
    return [tag("h3", "Declared ratios"), table(("", "Share", "Rule"), body, numeric=(1,), class_="tight")]


def share_tables(rows: Sequence[Share], trained: Mapping[str, float]) -> tuple[SignalTable, ...]:
    """Shares of tokens by domain, and in all with each source as heavy as the tokens of it that were trained on."""
    domains = tuple(sorted({row.domain for row in rows}))
    found = []
    for signal, title in TITLES.items():
        mine = [row for row in rows if row.signal == signal]
        if not mine:
            continue
        whole: dict[str, int] = {}
        for row in mine:
            for name in (f"domain/{row.domain}", f"source/{row.source}"):
                whole[name] = whole.get(name, 0) + (row.tokens or 0)
        weight = {row.source: trained.get(row.source, 0.0) for row in mine}
        heavy = sum(weight.values())
        values: dict[str, list[float]] = {}
        for row in mine:
            cells = values.setdefault(row.value, [0.0] * (len(domains) + 1))
            tokens = row.tokens or 0
            if heavy and whole[f"source/{row.source}"]:
                cells[0] += weight[row.source] / heavy * tokens / whole[f"source/{row.source}"]
            if whole[f"domain/{row.domain}"]:
                cells[1 + domains.index(row.domain)] += tokens / whole[f"domain/{row.domain}"]
        ranked = sorted(values, key=lambda value: (-values[value][0], -sum(values[value]), value))
        body = [(value, tuple(values[value])) for value in ranked[:MAX_ROWS]]
        if ranked[MAX_ROWS:]:
            rest = zip(*(values[value] for value in ranked[MAX_ROWS:]), strict=True)
            body.append((f"{len(ranked) - MAX_ROWS} others", tuple(sum(column) for column in rest)))
        note = (
            "Share of the tokens; as trained: each source as heavy as the mixture made it, all passes and the "
            "checkpoints before this one counted."
        )
        found.append(SignalTable(f"{title} of what is trained on", note, ("as trained", *domains), tuple(body), True))
    return tuple(found)
