"""What the project file says about bands of signals."""

from typing import Annotated

from pydantic import Field, model_validator

from pipelines.core.config import Config
from pipelines.corpus.filters.labelled.config import ExamplesConfig

Quantile = Annotated[float, Field(ge=0, le=1)]


class BandConfig(Config):
    """Which part of the reference lies inside the band of one signal."""

    lower: Quantile | None = Field(None, description="The band begins at this quantile; none: it has no lower end.")
    upper: Quantile | None = Field(None, description="The band ends at this quantile; none: it has no upper end.")

    @model_validator(mode="after")
    def _in_order(self) -> "BandConfig":
        if self.lower is None and self.upper is None:
            raise ValueError("a band has `lower`, `upper` or both")
        if self.lower is not None and self.upper is not None and self.lower >= self.upper:
            raise ValueError(f"lower {self.lower} is not below upper {self.upper}")
        return self


_BOTH = BandConfig(lower=0.01, upper=0.99)
DEFAULT_SIGNALS = {
    "punctuated_line_share": BandConfig(lower=0.01),
    "punctuation_character_share": _BOTH,
    "mean_sentence_characters": _BOTH,
    "max_sentence_characters": BandConfig(upper=0.99),
}
"""Distribution of punctuation and length of sentences: no published value, so their bands are calibrated."""


class BandsConfig(Config):
    """Signals of clean texts: where they lie, language by language, and how far any document is from there."""

    reference: tuple[ExamplesConfig, ...] = Field(
        min_length=1, description="Clean texts whose quantiles are the bands (FineWeb-2: Wikipedia)."
    )
    pool: tuple[ExamplesConfig, ...] = Field(
        (), description="Texts of the pool: the page says what share of them would lie outside; they change no band."
    )
    languages: tuple[str, ...] = Field(
        (), description="Detected languages that get bands; empty: each with enough documents in the reference."
    )
    signals: dict[str, BandConfig] = Field(
        DEFAULT_SIGNALS,
        min_length=1,
        description="Numbers of the families statistics, surface and language, each with the quantiles of its band.",
    )
    min_documents: int = Field(
        200, ge=20, description="Documents of a language that the reference must have; fewer give no band."
    )
    max_characters: int = Field(1_000_000, ge=1, description="At most this much of a reference text.")
    seed: int = Field(0, ge=0, description="Chooses the texts of large sets.")

    @model_validator(mode="after")
    def _without_labels(self) -> "BandsConfig":
        for index, item in enumerate((*self.reference, *self.pool)):
            if item.label or item.label_field:
                raise ValueError(f"text {index}: texts of bands have no labels")
        return self
