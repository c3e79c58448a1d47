"""What the signals say of a corpus, domain by domain: languages, topics, perplexity, classifiers.

In: the counts that `quality_signals` keeps, summed by domain. Out: tables for a report. No look at any document.
"""

from collections.abc import Mapping, Sequence

from pipelines.corpus.filters.classifier.ensemble import Agreement
from pipelines.evaluation.reports.data import SignalTable
from pipelines.evaluation.reports.markup import Markup, number, percent, section, table, tag

Counts = Mapping[str, Mapping[str, int]]
"""Domain -> name of a count -> documents."""
MAX_ROWS = 16


def signal_tables(counts: Counts) -> tuple[SignalTable, ...]:
    """The tables that the counts give; a family that was not computed gives none."""
    domains = tuple(sorted(counts))
    names = {name for of_domain in counts.values() for name in of_domain}
    found = [
        _shares(
            "Languages", "Share of the documents that were read, by detected language.", "language/", domains, counts
        ),
        _shares("Topics", "Share of the documents that were read, by topic.", "topic/", domains, counts),
        _shares(
            "Perplexity", "Share of the scored documents in head, middle and tail.", "perplexity/", domains, counts
        ),
    ]
    judges = [
        (kind, name.removesuffix("/scored"))
        for kind in ("classifier", "ensemble")
        for name in sorted(names)
        if name.startswith(f"{kind}/") and name.endswith("/scored")
    ]
    kept = []
    for kind, name in judges:
        cells = ((counts[d].get(f"{name}/{cell}", 0) for cell in ("kept", "scored")) for d in domains)
        label = name.removeprefix(f"{kind}/") + (", ensemble" if kind == "ensemble" else "")
        kept.append((label, tuple(_ratio(*cell) for cell in cells)))
    note = "Share of the scored documents that it would keep at its threshold; a low one shows what it is blind to."
    found.append(SignalTable("Classifiers", note, domains, tuple(kept), True))
    pairs = sorted({tuple(name.split("/")[1:3]) for name in names if name.startswith("agreement/")})
    agreed = [(f"{one} and {two}", tuple(_kappa(counts[d], one, two) for d in domains)) for one, two in pairs]
    found.append(
        SignalTable("Agreement of classifiers", "Cohen's kappa of their verdicts.", domains, tuple(agreed), False)
    )
    return tuple(item for item in found if item.rows)


def signals_section(tables: Sequence[SignalTable]) -> Markup:
    """The tables as a part of a page; nothing without one."""
    parts: list[object] = []
    for item in tables:
        cells = [
            (name, *((percent(value) if item.share else number(value, 2)) for value in values))
            for name, values in item.rows
        ]
        parts += [tag("h3", item.title), tag("p", item.note, class_="note")]
        parts.append(table(("", *item.domains), cells, range(1, len(item.domains) + 1)))
    return section("Signals", *parts) if parts else Markup("")


def _shares(title: str, note: str, prefix: str, domains: Sequence[str], counts: Counts) -> SignalTable:
    """Rows by documents, most first; what is beyond `MAX_ROWS` is summed up."""
    totals: dict[str, int] = {}
    for domain in domains:
        for name, documents in counts[domain].items():
            if name.startswith(prefix):
                totals[name] = totals.get(name, 0) + documents
    ordered = sorted(totals, key=lambda name: (-totals[name], name))
    shown, rest = ordered[:MAX_ROWS], ordered[MAX_ROWS:]
    whole = {domain: sum(counts[domain].get(name, 0) for name in ordered) for domain in domains}

    def row(label: str, names: Sequence[str]) -> tuple[str, tuple[float | None, ...]]:
        return label, tuple(_ratio(sum(counts[d].get(name, 0) for name in names), whole[d]) for d in domains)

    rows = [row(name.removeprefix(prefix).replace("/", " "), [name]) for name in shown]
    rows += [row(f"{len(rest)} others", rest)] if rest else []
    return SignalTable(title, note, tuple(domains), tuple(rows), True)


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _kappa(counts: Mapping[str, int], one: str, two: str) -> float | None:
    cells = (counts.get(f"agreement/{one}/{two}/{cell}", 0) for cell in Agreement._fields)
    return Agreement(*cells).kappa
