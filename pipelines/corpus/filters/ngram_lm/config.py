"""What the project file says about n-gram language models."""

from typing import Any, Literal

from pydantic import Field, model_validator

from pipelines.core.config import Config, operational
from pipelines.corpus.filters.labelled.config import ExamplesConfig


class LanguageModelConfig(Config):
    """A model of good text; documents are held against it."""

    languages: tuple[str, ...] = Field(
        (),
        description="Score only documents detected as one of these languages; empty: all that no other model is for.",
    )
    texts: tuple[ExamplesConfig, ...] = Field((), description="Texts that it is trained on (CCNet: Wikipedia).")
    arpa: str | None = operational(
        None,
        "An ARPA file (also .gz) of a model that exists, over words as we cut them, in the place of `texts`. KenLM's "
        "binary files are not read: they hold no words, and KenLM writes every model as ARPA too.",
    )
    checkpoint: str | None = Field(
        None, description="A checkpoint that stands already, e.g. `nano/released_checkpoint`, in the place of `texts`."
    )
    reference: tuple[ExamplesConfig, ...] = Field(
        (), description="Texts of the pool whose perplexities set the percentiles; none: the held-out training texts."
    )
    estimator: Literal["gristmill", "kenlm", "auto"] = Field(
        "gristmill",
        description="What estimates the model: our own modified Kneser-Ney, in memory; KenLM's `lmplz`, on disk; auto: "
        "KenLM where its tool is at hand when the model is made, which is recorded and never made again elsewhere.",
    )
    lmplz: str | None = operational(
        None, "KenLM's `lmplz`, beside the project file or on PATH; none: GRISTMILL_LMPLZ, or `lmplz` on PATH."
    )
    lmplz_memory: str = operational(
        "1G", "What `lmplz` may sort in, as GNU sort writes sizes: 500M, 4G, 50%.", pattern=r"^[1-9]\d{0,5}[KMGT%]$"
    )
    lmplz_seconds: float = operational(14_400.0, "Seconds after which `lmplz` is stopped.", gt=0)
    order: int = Field(5, ge=1, le=6, description="Longest n-gram (CCNet: 5).")
    min_count: int = Field(2, ge=1, description="Rarer words of the training texts are unknown words.")
    prune: tuple[int, ...] = Field(
        (0, 0, 1), min_length=1,
        description="N-grams seen this often or less are dropped, by order; the last number holds for higher orders.",
    )  # fmt: skip
    held_out: float = Field(0.05, gt=0, lt=0.9, description="Share of the texts that measures and never trains.")
    head_percentile: float = Field(
        30, gt=0, lt=100, description="Documents below this percentile are the head (CCNet: 30)."
    )
    middle_percentile: float = Field(
        60, gt=0, lt=100, description="Documents below this one are the middle, the rest the tail."
    )
    train_characters: int = Field(100_000, ge=1, description="At most this much of a training text.")
    max_characters: int = Field(20_000, ge=1, description="Only this much of the start of a document is scored.")
    seed: int = Field(0, ge=0, description="Chooses texts and what is held out.")

    @model_validator(mode="after")
    def _in_order(self) -> "LanguageModelConfig":
        if [bool(self.texts), self.arpa is not None, self.checkpoint is not None].count(True) != 1:
            raise ValueError("give one of `texts` to train on, `arpa`, the file of a model, and `checkpoint`")
        if not self.texts and self.estimator != "gristmill":
            raise ValueError("`estimator` is for a model that is made of `texts`; leave it out of one that exists")
        if not self.texts and not self.reference:
            raise ValueError("a model that exists needs `reference` texts, whose perplexities set the percentiles")
        if self.head_percentile >= self.middle_percentile:
            raise ValueError("head_percentile is not below middle_percentile: head, middle and tail are in this order")
        if list(self.prune) != sorted(self.prune) or min(self.prune) < 0 or self.prune[0] > 0:
            raise ValueError("prune starts with 0 (words are dropped by min_count) and never falls")
        for index, item in enumerate((*self.texts, *self.reference)):
            if item.label or item.label_field:
                raise ValueError(f"text {index}: texts of a language model have no labels")
        return self

    def identity(self) -> dict[str, Any]:
        """All fields that decide the model; our own estimator is left out, as models older than the choice have it."""
        found = super().identity()
        if self.estimator == "gristmill":
            del found["estimator"]
        return found

    def thresholds(self) -> tuple[int, ...]:
        """The pruning threshold of every order."""
        return tuple(self.prune[min(order, len(self.prune) - 1)] for order in range(self.order))
