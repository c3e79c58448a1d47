"""What the project file says about text classifiers and ensembles of them."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from pipelines.core.config import Config
from pipelines.corpus.filters.labelled.config import ExamplesConfig, LabelName
from pipelines.corpus.filters.topics.taxonomies import TAXONOMIES


class PseudoLabelConfig(Config):
    """A second training on documents that the first one was sure of."""

    batches: tuple[str, ...] = Field(min_length=1, description="Batches of the corpus that are labelled by the model.")
    confidence: float = Field(
        0.95, gt=0.5, lt=1, description="A document is taken when the model gives its likeliest label this probability."
    )
    max_documents: int = Field(5_000, ge=1, description="At most this many documents of each label, by hash.")


class _Trained(Config):
    """The settings that every fastText classifier has."""

    languages: tuple[str, ...] = Field(
        (), description="Score only documents detected as one of these languages, others get no score; empty: all."
    )
    held_out: float = Field(0.2, gt=0, lt=0.9, description="Share of the examples that measures and never trains.")
    max_characters: int = Field(4_000, ge=1, description="Only this much of the start of a text is looked at.")
    dimension: int = Field(32, ge=1, le=1024, description="Width of the embeddings (DCLM: 100).")
    word_ngrams: int = Field(2, ge=1, le=6, description="Longest word n-gram that is a feature (DCLM: 2).")
    buckets: int = Field(
        200_000,
        ge=0,
        description="Hash buckets of the n-grams; the model's size is (words + buckets) x dimension x 4 bytes.",
    )
    epochs: int | None = Field(
        None, ge=1, le=1000,
        description="Passes over the examples; null: 5 as DCLM, more for small sets, so that 50,000 examples are seen.",
    )  # fmt: skip
    learning_rate: float = Field(
        0.5, gt=0, description="Learning rate at the start, falling to 0 (DCLM: 0.1, for its 400,000 examples)."
    )
    min_count: int = Field(1, ge=1, description="Rarer words are no features of their own (DCLM: 1).")
    balance: bool = Field(
        True, description="Repeat the examples of the smaller classes until each has as many as the largest."
    )
    pseudo_labels: PseudoLabelConfig | None = Field(
        None, description="Train once more on documents the model is sure of."
    )
    seed: int = Field(0, ge=0, description="Chooses examples, what is held out, their order, and the first weights.")


class QualityClassifier(_Trained):
    """Documents that are wanted against documents of the pool; the score is the probability of the first."""

    kind: Literal["quality"] = Field(description="Two classes.")
    positive: tuple[ExamplesConfig, ...] = Field(min_length=1, description="Texts to find more of.")
    negative: tuple[ExamplesConfig, ...] = Field(min_length=1, description="Texts of the pool that is filtered.")
    keep: float = Field(
        0.1, gt=0, le=1,
        description="Share of the held-out negatives at or above the threshold (DCLM keeps a tenth of its pool).",
    )  # fmt: skip
    threshold: float | None = Field(None, ge=0, le=1, description="The threshold itself, in the place of `keep`.")

    @model_validator(mode="after")
    def _labels_are_ours(self) -> "QualityClassifier":
        for name in ("positive", "negative"):
            for index, item in enumerate(getattr(self, name)):
                if item.label is not None:
                    raise ValueError(f"{name}.{index}: leave `label` out, the list says what its texts are")
                if item.label_field is not None and not item.labels:
                    raise ValueError(f"{name}.{index}: `labels` says which values of {item.label_field!r} are {name}")
        return self

    def sets(self) -> list[tuple[str | None, ExamplesConfig]]:
        """(label, set) of every declared set; None where the set brings its labels."""
        named = (("positive", self.positive), ("negative", self.negative))
        return [(label, item) for label, items in named for item in items]


class TopicClassifier(_Trained):
    """Texts of several topics, from declared labels."""

    kind: Literal["topics"] = Field(description="Any number of classes.")
    taxonomy: Literal["llama3_syne_en", "llama3_syne_zh"] | None = Field(
        None, description="The labels are topics of this published list; None: whatever the examples say."
    )
    examples: tuple[ExamplesConfig, ...] = Field(min_length=1, description="Sets of labelled texts.")
    min_score: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="A document whose likeliest topic has a lower probability is of the topic `uncertain`.",
    )

    @model_validator(mode="after")
    def _labels_known(self) -> "TopicClassifier":
        known = TAXONOMIES[self.taxonomy] if self.taxonomy else ()
        for index, item in enumerate(self.examples):
            if item.label is None and item.label_field is None and item.annotations is None:
                raise ValueError(
                    f"examples.{index}: give `label`, or `label_field` with the field that holds the topics"
                )
            for label in (*item.labels.values(), *([item.label] if item.label else ())):
                if known and label not in known:
                    raise ValueError(f"examples.{index}: {label!r} is no topic of {self.taxonomy}: {', '.join(known)}")
        return self

    def sets(self) -> list[tuple[str | None, ExamplesConfig]]:
        """(label, set) of every declared set; None where the set brings its labels."""
        return [(item.label, item) for item in self.examples]


ClassifierConfig = Annotated[QualityClassifier | TopicClassifier, Field(discriminator="kind")]


class EnsembleConfig(Config):
    """One signal out of several quality classifiers."""

    members: tuple[LabelName, ...] = Field(min_length=2, description="Quality classifiers, by name.")
    method: Literal["max_bucket", "mean_rank", "majority"] = Field(
        description="Highest quantile bucket of any member; mean quantile; share of the members that vote to keep."
    )
    buckets: int = Field(20, ge=2, le=1000, description="Equal quantile buckets of each member's reference scores.")
    threshold: float | None = Field(
        None,
        description="From this value on reports count a document as kept (rules have their own); none: more than half "
        "of the votes, and the upper half of ranks and buckets.",
    )
