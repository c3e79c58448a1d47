"""The page of a topical subset: what it looks for, and what it finds in the background.

It takes the measures that the artifact stores, so it can be drawn again without reading a text.
"""

from collections.abc import Mapping
from typing import Any, Final

from pipelines.evaluation.reports.markup import count, number, percent, section, table
from pipelines.evaluation.reports.page import page

SHOWN_TERMS: Final = 60
_WORDS: Final = (
    ("weight", "Share of the seeds that have the term (1 for a query), times ln(1 + (N - n + 0.5) / (n + 0.5))."),
    ("relevance", "BM25: the terms' weights by how often they stand in a text of its length; 0 without any of them."),
)


def subset_html(name: str, measures: Mapping[str, Any]) -> str:
    """The page of one subset."""
    terms, background, matched = measures["terms"], measures["background"], measures["matched"]
    words = (
        f"It looks for {count(len(terms))} terms; {count(matched)} of {count(background)} background documents "
        "have one of them."
    )
    tiles = [(count(len(terms)), "terms"), (percent(matched / background), "of the background has one")]
    rows = [(item["term"], number(item["weight"]), count(item["background"])) for item in terms[:SHOWN_TERMS]]
    heading = "Terms" if len(terms) <= SHOWN_TERMS else f"The heaviest {SHOWN_TERMS} terms"
    samples = [(count(item["place"]), number(item["score"]), item["text"]) for item in measures["samples"]]
    note = "From the most relevant to the least that has a term: where it stops being the topic is where to cut."
    sections = [
        section(heading, table(("term", "weight", "background documents"), rows, (1, 2))),
        section("Background by relevance", table(("place", "relevance", "begins"), samples, (0, 1)), note=note),
    ]
    return page(name, "Topical subset", words, tiles, sections, _WORDS)
