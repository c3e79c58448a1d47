"""What the project file says about topical subsets."""

from pydantic import Field, model_validator

from pipelines.core.config import Config
from pipelines.corpus.filters.labelled.config import ExamplesConfig


class SubsetConfig(Config):
    """Documents about something, by the words of a query or of seed documents."""

    query: str | None = Field(None, min_length=1, description="Words to look for, in any language.")
    seeds: tuple[ExamplesConfig, ...] = Field((), description="Documents to find more of, in the place of a query.")
    background: tuple[ExamplesConfig, ...] = Field(
        min_length=1, description="Texts of the pool: how frequent words are, and the scores that ranks refer to."
    )
    terms: int = Field(60, ge=1, le=5000, description="How many terms of the seed documents are looked for.")
    k1: float = Field(1.2, gt=0, description="BM25: how soon more of the same word says no more.")
    b: float = Field(0.75, ge=0, le=1, description="BM25: how much longer documents are held to more.")
    max_characters: int = Field(20_000, ge=1, description="Only this much of the start of a text is looked at.")
    seed: int = Field(0, ge=0, description="Chooses the texts of large sets.")

    @model_validator(mode="after")
    def _one_origin(self) -> "SubsetConfig":
        if (self.query is None) == (not self.seeds):
            raise ValueError("give `query`, or `seeds`, not both")
        for index, item in enumerate((*self.seeds, *self.background)):
            if item.label or item.label_field:
                raise ValueError(f"text {index}: texts of a subset have no labels")
        return self
