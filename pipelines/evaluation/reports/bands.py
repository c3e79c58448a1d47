"""The page of bands of signals: each signal's distribution in clean texts and in the pool, with the band drawn in.

It takes the measures that the artifact stores, so it can be drawn again without computing a signal.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pipelines.evaluation.reports.corpus_data import Histogram
from pipelines.evaluation.reports.corpus_parts import STYLE
from pipelines.evaluation.reports.histogram import histogram_svg
from pipelines.evaluation.reports.markup import DASH, Markup, count, number, percent, section, table, tag
from pipelines.evaluation.reports.page import page

Measures = Mapping[str, Any]
_WORDS: Final = (
    ("band", "From one quantile of the reference to the other, both ends included."),
    ("outside", "Blue bars are documents inside the band, orange ones outside; heights are square roots of counts."),
)


def bands_html(name: str, measures: Measures) -> str:
    """The page of one section of bands, a chapter for each language."""
    languages = measures["languages"]
    clean = sum(item["documents"] for item in languages.values())
    pool = sum(item["pool_documents"] for item in languages.values())
    words = (
        f"Bands of {len(next(iter(languages.values()))['signals'])} signals for {', '.join(languages)}, from "
        f"{count(clean)} clean documents"
        + (f"; {count(pool)} documents of the pool are held against them." if pool else ".")
    )
    first = next(iter(languages))
    tiles = [(count(languages[first]["documents"]), f"reference documents in {first}")]
    tiles.append((percent(languages[first]["any_outside"]), "of them outside some band"))
    if languages[first]["pool_any_outside"] is not None:
        tiles.append((percent(languages[first]["pool_any_outside"]), "of the pool outside some band"))
    chapters = [_language(code, item) for code, item in languages.items()]
    left = measures["without_band"]
    if left:
        rows = [(code, count(documents)) for code, documents in left.items()]
        chapters.append(section("Languages without bands", table(("language", "reference documents"), rows, (1,))))
    return page(name, "Bands of signals", words, tiles, chapters, _WORDS, STYLE)


def _language(code: str, item: Measures) -> Markup:
    headers = ("signal", "from", "to", "quantiles", "reference outside", "pool outside")
    rows = [_row(signal, found) for signal, found in item["signals"].items()]
    parts = ("reference", "pool") if item["pool_documents"] else ("reference",)
    drawings = [
        tag(
            "figure",
            histogram_svg(_histogram(signal, found, part)),
            tag("figcaption", signal, tag("span", f", {part}")),
        )
        for signal, found in item["signals"].items()
        for part in parts
    ]
    note = f"{count(item['documents'])} documents of the reference, {percent(item['any_outside'])} outside some band."
    if item["pool_documents"]:
        note += (
            f" {count(item['pool_documents'])} documents of the pool, {percent(item['pool_any_outside'])} outside some."
        )
    return section(
        code, tag("div", table(headers, rows, (1, 2, 4, 5)), tag("div", *drawings, class_="plots")), note=note
    )


def _row(signal: str, found: Measures) -> Sequence[str]:
    ends = [DASH if end is None else number(end) for end in found["band"]]
    levels = ", ".join("none" if level is None else f"{level:g}" for level in found["quantiles"])
    shares = [found[part]["outside_share"] for part in ("reference", "pool")]
    return (signal, *ends, levels, *(DASH if share is None else percent(share) for share in shares))


def _histogram(signal: str, found: Measures, part: str) -> Histogram:
    lower, upper = found["band"]
    ends = [("lower end", ">=", lower)] * (lower is not None) + [("upper end", "<=", upper)] * (upper is not None)
    return Histogram(
        signal=signal,
        edges=tuple(found["edges"]),
        kept=tuple(found[part]["inside"]),
        dropped=tuple(found[part]["outside"]),
        logarithmic=found["logarithmic"],
        thresholds=tuple(ends),
        missing=found[part]["missing"],
    )
