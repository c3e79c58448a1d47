"""Places of terms against a plain search, whatever the pieces; floods of nested terms stay small."""

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.corpus.filters import term_hits
from pipelines.corpus.filters.config import KeywordConfig, KeywordList
from pipelines.corpus.filters.keywords import keywords_part
from pipelines.corpus.filters.term_hits import leftmost_longest, occurrences, sheltered
from tests.pipelines.corpus.filters.corpus import documents

TEXTS = st.text("ab性é 𠀀", max_size=30)
TERMS = st.sets(st.text("ab性é𠀀", min_size=1, max_size=4), min_size=1, max_size=5)


def plain(text: str, terms: set[str]) -> list[tuple[int, int]]:
    found = [(at, at + len(term)) for term in terms for at in range(len(text)) if text.startswith(term, at)]
    return sorted(found, key=lambda place: (place[0], -place[1]))


def pairs(places: term_hits.Places | None) -> list[tuple[int, int]]:
    return [] if places is None else list(zip(places.starts.tolist(), places.stops.tolist(), strict=True))


@pytest.mark.parametrize("piece", [1, 3, 1 << 18])
@settings(deadline=None, max_examples=150)
@given(texts=st.lists(TEXTS, max_size=4), terms=TERMS, allowed=TERMS)
def test_places_are_those_of_a_plain_search(piece: int, texts: list[str], terms: set[str], allowed: set[str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(term_hits, "PIECE", piece)
        patch.setattr(term_hits, "GROUP", 4 * piece)
        found, shelters = (
            occurrences(pl.Series(texts, dtype=pl.String), tuple(sorted(each))) for each in (terms, allowed)
        )
    for text, places, shelter in zip(texts, found, shelters, strict=True):
        expected = plain(text, terms)
        assert pairs(places) == expected
        if places is None:
            continue
        chosen, end = [], 0
        for start, stop in expected:
            if start >= end:
                chosen.append((start, stop))
                end = stop
        assert pairs(leftmost_longest(places)) == chosen
        if shelter is not None:
            inside = [any(a <= start and stop <= b for a, b in pairs(shelter)) for start, stop in expected]
            assert sheltered(places, shelter).tolist() == inside


def test_a_flood_of_nested_terms_counts_the_longest() -> None:
    """As objects the 2.4 million places of this document took 400 MB and half a minute a megabyte."""
    terms = tuple("哈" * size for size in range(1, 9))
    table = documents(["哈" * 300_001])
    row = keywords_part({"documents": table}, KeywordConfig(lists={"x": KeywordList(terms=terms)})).tables["keywords"]
    assert row.column("keyword_x_hits").to_pylist() == [37_501]
    assert row.column("keyword_x_terms").to_pylist() == ['{"' + "哈" * 8 + '": 37500, "哈": 1}']
