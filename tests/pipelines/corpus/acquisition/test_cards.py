"""Source cards: what they accept, what they lack, and that they enter no identity."""

from datetime import date

import pytest
from pydantic import ValidationError

from pipelines.corpus.acquisition.cards import SourceCard
from pipelines.evaluation.reports.source_cards import source_cards_html

FULL = {"licence": "cc-by-4.0", "origin": "https://a.example", "revision": "v1", "collected": date(2026, 11, 1)}


def test_a_card_says_what_it_lacks() -> None:
    assert SourceCard.model_validate(FULL).missing() == []
    assert SourceCard(licence="unknown").missing() == ["licence", "origin", "revision"]
    assert SourceCard.model_validate({**FULL, "licence": "LicenseRef-mine"}).missing() == ["terms"]


def test_a_card_enters_no_identity() -> None:
    card = SourceCard.model_validate(FULL)
    assert card.identity() == {}
    assert (card.licence, card.collected) == ("CC-BY-4.0", "2026-11-01")


@pytest.mark.parametrize("day", ["yesterday", "2026-13-01", "2026-11-01/soon"])
def test_a_day_is_a_day(day: str) -> None:
    with pytest.raises(ValidationError, match="is no day"):
        SourceCard.model_validate({**FULL, "collected": day})
    assert SourceCard.model_validate({**FULL, "collected": "2026-11-01/2026-11-22"}).collected.endswith("22")


def test_the_page_shows_every_card_and_every_gap_and_escapes_what_it_is_told() -> None:
    cards = {"news": SourceCard(licence="unknown", terms="<script>x</script>"), "web": SourceCard.model_validate(FULL)}
    html = source_cards_html("p", cards, {"small": ["news"], "large": []})
    assert "<script>x" not in html
    assert "&lt;script&gt;x" in html
    assert html.count("not declared") == 2
    for word in ("CC-BY-4.0", "unknown", "https://a.example", "small", "nothing of the project is refused"):
        assert word in html
