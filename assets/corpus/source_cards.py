"""Rights and origins of every source, as the project file declares them: beside the corpus, never part of it."""

from typing import Any

import pyarrow as pa

from assets.recipe import Made, Recipe, Scope
from pipelines.core.manifest import CheckRecord, Part
from pipelines.corpus.acquisition.cards import CARD_SCHEMA, SOURCE_CARDS, SourceCard
from pipelines.evaluation.reports.source_cards import source_cards_html
from pipelines.project import Project
from resources.mill import Mill
from resources.stages import Action, store_bytes, store_table

CARD_WARNINGS = {"complete": "every card says licence, origin, and the revision or the day that pins it"}


def recipes(project: Project) -> list[Recipe]:
    """`source_cards`: rights and origins, beside the corpus and never part of it."""
    return [
        Recipe(
            asset="source_cards",
            group="corpus/acquisition",
            description="Licence, terms, origin, revision and day of every source, as the project file declares them.",
            kinds=frozenset({"html"}),
            scope=Scope.ONCE,
            inputs={},
            algorithms=(SOURCE_CARDS,),
            config=lambda project, key: _cards_config(project),
            make=_make_cards,
            warnings=CARD_WARNINGS,
        )
    ]


def _cards_config(project: Project) -> dict[str, Any]:
    rows = {
        name: {**source.values(), "domain": source.domain, "language": source.language}
        for name, source in project.corpus.sources.items()
    }
    return {"sources": rows, "refused": _refused(project)}


def _refused(project: Project) -> dict[str, list[str]]:
    return {lane: list(project.unlicensed_sources(lane, project.lane_sources(lane))) for lane in project.lanes}


def _make_cards(mill: Mill, action: Action) -> Made:
    sources = mill.project.corpus.sources
    rows = [{"source": name, **values} for name, values in action.config["sources"].items()]
    table = pa.Table.from_pylist(rows, schema=CARD_SCHEMA)
    cards = {name: SourceCard.model_validate(source.values()) for name, source in sources.items()}
    page = source_cards_html(mill.project.project, cards, _refused(mill.project))
    gaps = {name: card.missing() for name, card in cards.items() if card.missing()}
    words = "; ".join(f"{name} lacks {', '.join(missing)}" for name, missing in gaps.items())
    complete = CheckRecord(
        name="complete",
        passed=not gaps,
        blocking=False,
        description=CARD_WARNINGS["complete"] + (f"; {words}"[:900] if gaps else ""),
        values={"cards": len(cards), "incomplete": len(gaps)},
    )
    files = {"rows": store_table(mill.store, table), "report": store_bytes(mill.store, page.encode())}
    facts = {f"licence/{name}": source.licence for name, source in sources.items()}
    return [Part(name="00000", files=files)], [complete], facts
