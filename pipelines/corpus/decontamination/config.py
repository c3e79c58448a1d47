"""Configuration of the attribute family `contamination`; the decision over it belongs to cleaning."""

from pydantic import Field, model_validator

from pipelines.core.config import Config


class ContaminationConfig(Config):
    """How benchmark items are cut into n-grams, and which of them count."""

    ngram: int = Field(
        default=13,
        ge=2,
        le=64,
        description=(
            "Words in an n-gram (13 as in GPT-3); a character of a script that writes no spaces is a word, "
            "so 13 Chinese characters, about 8 words."
        ),
    )
    short_ngram: int = Field(
        default=8,
        ge=2,
        le=64,
        description=(
            "Items too short for one n-gram are matched whole, through n-grams of this many words; "
            "items shorter than this cannot be checked and are reported."
        ),
    )
    max_items_per_ngram: int = Field(
        default=4,
        ge=1,
        description="An n-gram that occurs in more items than this is boilerplate and matches nothing (YuLan-Mini: 4).",
    )

    @model_validator(mode="after")
    def _ordered(self) -> "ContaminationConfig":
        if self.short_ngram > self.ngram:
            raise ValueError(f"short_ngram is {self.short_ngram}, above ngram {self.ngram}; lower it")
        return self
