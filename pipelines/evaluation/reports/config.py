"""What the project file says about the reports of the corpus."""

from typing import Annotated, Literal

from pydantic import Field, StrictStr, model_validator

from pipelines.core.config import Config

Names = StrictStr | Annotated[tuple[StrictStr, ...], Field(min_length=1)]


class RatioRule(Config):
    """A share that a topic, a language or a perplexity bucket may have of what is trained on."""

    topic: Names | None = Field(None, description="The topic, or several that count together.")
    language: Names | None = Field(None, description="The detected language, or several that count together.")
    perplexity_bucket: Names | None = Field(None, description="`head`, `middle` or `tail`, or several of them.")
    domain: str | None = Field(None, description="Look at this domain alone; none means the whole corpus.")
    source: str | None = Field(None, description="Look at this source alone; none means all.")
    by: Literal["tokens", "bytes", "documents"] = Field("tokens", description="What the share is a share of.")
    min_share: float | None = Field(None, ge=0, le=1, description="The smallest share, this one included.")
    max_share: float | None = Field(None, ge=0, le=1, description="The largest share, this one included.")
    blocking: bool = Field(
        False, description="A broken rule fails the corpus's report and its run, in the place of a warning."
    )

    @model_validator(mode="after")
    def _says_something(self) -> "RatioRule":
        given = [name for name in _SUBJECTS if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"a ratio is of exactly one of {', '.join(_SUBJECTS)}, not {', '.join(given) or 'none'}")
        if self.min_share is None and self.max_share is None:
            raise ValueError("a ratio has `min_share`, `max_share` or both")
        if (self.min_share or 0.0) > (1.0 if self.max_share is None else self.max_share):
            raise ValueError(f"min_share {self.min_share} is above max_share {self.max_share}")
        return self

    @property
    def subject(self) -> tuple[str, tuple[str, ...]]:
        """The signal and the values that count."""
        name = next(name for name in _SUBJECTS if getattr(self, name) is not None)
        value = getattr(self, name)
        return name, (value,) if isinstance(value, str) else tuple(value)


_SUBJECTS = ("topic", "language", "perplexity_bucket")


class CorpusReportConfig(Config):
    """Samples, distributions and drift in the report of each batch."""

    samples: int = Field(3, ge=0, le=50, description="Documents shown of those kept, and of those each rule dropped.")
    excerpt_characters: int = Field(700, ge=40, le=20_000, description="Characters shown of a sampled document.")
    seed: int = Field(0, description="Which documents the samples draw; another seed draws others.")
    drift_signals: tuple[str, ...] = Field(
        (),
        description="Signals whose distribution is compared with the previous batch of the source; none means the "
        "language, the length, and every signal that the source's rules look at.",
    )
    drift_index: float = Field(
        0.25,
        gt=0,
        description="Population stability index from which a signal has drifted; by custom 0.1 is a small and 0.25 a "
        "large shift.",
    )
    drift_documents: int = Field(
        30, ge=2, description="With fewer documents in either batch nothing is said about drift."
    )
    ratios: tuple[RatioRule, ...] = Field(
        (), description="Shares of topics, languages or perplexity buckets that the corpus keeps to, as checks."
    )
