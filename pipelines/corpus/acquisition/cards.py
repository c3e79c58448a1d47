"""Source cards: the rights and the origin of a source, declared once and read by people, lanes and reports.

A card decides nothing about the text: no field of it enters the identity of a corpus asset, so an edit recomputes the
cards, the proposals and the reports that print them, and not one document.
"""

from datetime import date, datetime
from typing import Annotated, Any

import pyarrow as pa
from pydantic import BeforeValidator, Field, field_validator

from pipelines.core.config import Config, operational
from pipelines.core.fingerprint import Algorithm
from pipelines.corpus.acquisition.licences import UNKNOWN, parse_licence

SOURCE_CARDS = Algorithm("source-cards", 1)

CARD_SCHEMA = pa.schema(
    [
        pa.field("source", pa.large_string(), nullable=False),
        *(
            pa.field(name, pa.large_string())
            for name in ("licence", "terms", "origin", "revision", "collected", "domain", "language")
        ),
    ]
)
Day = Annotated[str, BeforeValidator(lambda value: value.isoformat() if isinstance(value, date | datetime) else value)]


class SourceCard(Config):
    """What is known of the rights and the origin of a source."""

    licence: str = Field(
        min_length=1,
        description="Licence of the texts as an SPDX expression (`CC-BY-4.0`, `MIT AND CC0-1.0`), `LicenseRef-NAME` "
        "with its words in `terms`, or `unknown`, which a lane has to permit by name.",
        json_schema_extra={"operational": True},
    )
    terms: str = operational("", "Terms beside the licence: conditions of use, attribution, a link to their words.")
    origin: str = operational("", "Where the texts come from: a link or a sentence, for source cards and reports.")
    revision: str = operational("", "The pinned state of the origin: a commit, a release, a crawl id, a dump's date.")
    collected: Day = operational("", "Day on which the files were collected (ISO 8601), or `from/to`.")

    @field_validator("licence")
    @classmethod
    def _licence(cls, value: str) -> str:
        return str(parse_licence(value))

    @field_validator("collected")
    @classmethod
    def _collected(cls, value: str) -> str:
        for day in value.split("/") if value else ():
            try:
                datetime.fromisoformat(day)
            except ValueError:
                raise ValueError(
                    f"{value!r} is no day: write it as 2026-11-22, or 2026-11-01/2026-11-22 for a span"
                ) from None
        return value

    def missing(self) -> list[str]:
        """The fields that a complete card has and this one lacks; a revision or a day pins the state of the origin."""
        gaps = {
            "licence": self.licence == UNKNOWN,
            "terms": "LicenseRef-" in self.licence and not self.terms,
            "origin": not self.origin,
            "revision": not (self.revision or self.collected),
        }
        return [name for name, gap in gaps.items() if gap]

    def values(self) -> dict[str, Any]:
        """The card's own fields by name."""
        return {name: getattr(self, name) for name in SourceCard.model_fields}
