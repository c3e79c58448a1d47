"""Configuration of a mixture: how much of what, in which order, cut how."""

from typing import Any, Literal

from pydantic import Field, model_validator

from pipelines.core.config import Config

SplitSignal = Literal["topic", "language", "perplexity_bucket"]
"""Signals with few values, one for each document: those of `corpus/filters/categories.py`."""


class MixtureConfig(Config):
    """The mixture of one training run."""

    by: Literal["source", "domain"] = Field(
        default="source", description="What gets a weight: each source, or each domain with its sources joined."
    )
    split: dict[str, SplitSignal] = Field(
        default_factory=dict,
        exclude_if=lambda value: not value,
        description="Source or domain (as `by` says) -> the signal that splits it: `web: topic` makes groups "
        "`web:<topic>`, and `web:none` of documents without one, each weighted and capped as any other group.",
    )
    method: Literal["proportional", "temperature", "weights", "unimax"] = Field(
        default="proportional",
        description="Weights by size; by size to the power 1/temperature; as given; or as even as max_epochs allows.",
    )
    temperature: float = Field(
        default=1.0,
        gt=0,
        description="For method temperature: 1 is proportional, 3.33 mT5's choice, larger is more even.",
    )
    weights: dict[str, float] = Field(
        default_factory=dict,
        description="For method weights: group name to weight; groups not named are left out. The plain name of a "
        "split group has those of its groups that are not named, by their size.",
    )
    max_epochs: float = Field(
        default=4.0,
        gt=0,
        description="How often a group's data may be read; up to about 4 epochs repeats are nearly as good as new.",
    )
    group_max_epochs: dict[str, float] = Field(
        default_factory=dict,
        description="Caps that differ from max_epochs, by group name; the plain name of a split group is for those of "
        "its groups that are not named.",
    )
    on_cap: Literal["rescale", "error"] = Field(
        default="rescale", description="When a cap binds: give the rest to the other groups and report it, or stop."
    )
    replay: float = Field(
        default=0.1,
        ge=0,
        le=1,
        description="Continued rounds: share of sequences drawn from data that the parent saw, the rest from new data.",
    )
    sequence_length: int = Field(default=1024, ge=2, le=1 << 20, description="Tokens of one training sequence.")
    packing: Literal["concat", "best_fit"] = Field(
        default="concat",
        description="Join documents and cut every sequence_length tokens, or pack whole documents into rows.",
    )
    long_documents: Literal["split", "truncate"] = Field(
        default="split", description="With best_fit: documents longer than a sequence are split into rows, or cut off."
    )
    block_size: int = Field(
        default=1024,
        ge=1,
        le=1 << 20,
        description="Sequences of one block: each block holds the mixture's proportions and is shuffled in itself.",
    )
    seed: int = Field(default=0, ge=0, description="Decides the order of examples.")

    @model_validator(mode="after")
    def _consistent(self) -> "MixtureConfig":
        if (self.method == "weights") != bool(self.weights):
            raise ValueError(
                f"method {self.method!r} and weights {self.weights} do not go together: method 'weights' needs them"
            )
        if any(not 0 <= weight < float("inf") for weight in self.weights.values()) or (
            self.weights and sum(self.weights.values()) <= 0
        ):
            raise ValueError(f"weights {self.weights} must be finite, not negative and not all zero")
        bad = {name: cap for name, cap in self.group_max_epochs.items() if not cap > 0}
        if bad:
            raise ValueError(f"group_max_epochs {bad} must be above 0; to leave a group out give it weight 0")
        if self.method != "temperature" and self.temperature != 1.0:
            raise ValueError(f"temperature {self.temperature} has no effect with method {self.method!r}")
        return self

    def identity(self) -> dict[str, Any]:
        """A mixture without a split is what it was before there were any: the empty field is in no digest."""
        values = super().identity()
        return values if self.split else {name: value for name, value in values.items() if name != "split"}
