"""The page of source cards: rights and origin of every source, and what a card still lacks."""

from collections.abc import Mapping, Sequence

from pipelines.corpus.acquisition.cards import SourceCard
from pipelines.evaluation.reports.markup import Markup, count, join, listing, section, table, tag
from pipelines.evaluation.reports.page import page

_WORDS = {
    "licence": "Licence",
    "terms": "Terms",
    "origin": "Origin",
    "revision": "Revision",
    "collected": "Collected",
}


def source_cards_html(project: str, cards: Mapping[str, SourceCard], refused: Mapping[str, Sequence[str]]) -> str:
    """One self-contained page. `refused` names for each lane the sources that it may not train on."""
    licences: dict[str, list[str]] = {}
    for name, card in cards.items():
        licences.setdefault(card.licence, []).append(name)
    incomplete = [name for name, card in cards.items() if card.missing()]
    headline = f"{count(len(cards))} sources under {count(len(licences))} licences. " + (
        f"The cards of {listing(incomplete)} are not complete." if incomplete else "Every card is complete."
    )
    return page(
        title=f"Source cards of {project}",
        eyebrow="Rights and origins",
        headline=headline,
        tiles=[(count(len(cards)), "sources"), (count(len(licences)), "licences"), (count(len(incomplete)), "gaps")],
        sections=[
            section(
                "By licence", table(("Licence", "Sources"), [(k, listing(v)) for k, v in sorted(licences.items())])
            ),
            section("Lanes", table(("Lane", "May not train on"), [(k, _refused(v)) for k, v in refused.items()]))
            if refused
            else Markup(""),
            *(section(name, _card(card)) for name, card in cards.items()),
        ],
        glossary=[
            ("Licence", "An SPDX expression; LicenseRef-NAME stands for the terms below it, unknown for none known."),
            ("Revision", "The pinned state of the origin: a commit, a release, a crawl, the date of a dump."),
        ],
    )


def _listed(groups: Mapping[str, Sequence[str]]) -> list[tuple[str, str]]:
    return [(name, listing(members)) for name, members in sorted(groups.items())]


def _refused(sources: Sequence[str]) -> object:
    return tag("span", listing(sources), class_="warn") if sources else "nothing of the project is refused"


def _card(card: SourceCard) -> Markup:
    missing = card.missing()
    rows = []
    for name, word in _WORDS.items():
        value = getattr(card, name)
        gap = tag("span", "not declared", class_="warn") if name in missing and not value else ""
        rows.append((word, join((value, gap))))
    return table(("", ""), rows)
