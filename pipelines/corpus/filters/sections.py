"""`corpus.models` of the project file: what is trained on the corpus to judge it, section by section.

Every entry is an asset of its own, immutable under its name, and gives signals: a quality classifier `<name>_score` and
`<name>_rank`, an ensemble a column of its name, the topic classifiers `topic`, a subset `<name>_relevance` and
`<name>_rank`, the language models `perplexity` and its bucket, bands `<name>_outside` and distances. Rules use them as
any signal.
"""

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field, StringConstraints, model_validator

from pipelines.core.config import Config
from pipelines.corpus.filters.annotation.config import AnnotationConfig
from pipelines.corpus.filters.bands.config import BandsConfig
from pipelines.corpus.filters.classifier.config import ClassifierConfig, EnsembleConfig
from pipelines.corpus.filters.labelled.config import ExamplesConfig
from pipelines.corpus.filters.ngram_lm.config import LanguageModelConfig
from pipelines.corpus.filters.topics.config import SubsetConfig
from pipelines.corpus.filters.topics.taxonomies import TAXONOMIES, UNCERTAIN

ModelName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$", max_length=40)]


class CalibrationConfig(Config):
    """Labelled texts that say how often the language identification is right."""

    examples: tuple[ExamplesConfig, ...] = Field(min_length=1, description="Sets of texts with their languages.")
    max_characters: int = Field(4_000, ge=1, description="Only this much of the start of a text is looked at.")
    seed: int = Field(0, ge=0, description="Chooses which half fits and which half measures.")

    @model_validator(mode="after")
    def _labelled(self) -> "CalibrationConfig":
        for index, item in enumerate(self.examples):
            if item.label is None and item.label_field is None:
                raise ValueError(
                    f"examples.{index}: give `label`, or `label_field` with the field that holds the language"
                )
        return self


class ModelsConfig(Config):
    """Models that judge documents, trained in the graph, and the labels that they learn from."""

    annotations: dict[ModelName, AnnotationConfig] = Field({}, description="Labels that people gave, by name.")
    classifiers: dict[ModelName, ClassifierConfig] = Field({}, description="fastText classifiers by name.")
    ensembles: dict[ModelName, EnsembleConfig] = Field({}, description="Ensembles of quality classifiers, by name.")
    subsets: dict[ModelName, SubsetConfig] = Field({}, description="Topical subsets by name.")
    language_models: dict[ModelName, LanguageModelConfig] = Field({}, description="N-gram language models by name.")
    bands: dict[ModelName, BandsConfig] = Field({}, description="Bands of signals from clean texts, by name.")
    language_calibration: CalibrationConfig | None = Field(
        None, description="Calibrate the scores of the language identification on labelled texts."
    )

    @model_validator(mode="after")
    def _names(self) -> "ModelsConfig":
        names = list(self.names())
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"{', '.join(twice)} names two things: every name here is an asset or a signal of its own")
        for name, item in self.sets():
            if item.annotations is not None and item.annotations not in self.annotations:
                raise ValueError(
                    f"{name}: there is no section annotations.{item.annotations}; there are {sorted(self.annotations)}"
                )
            classifier = self.classifiers.get(name)
            taxonomy = getattr(classifier, "taxonomy", None)
            strange = set(self._labels_of(item)) - set(TAXONOMIES[taxonomy]) if taxonomy else set()
            if strange:
                raise ValueError(f"{name}: {', '.join(sorted(strange))} of its labels are no topics of {taxonomy}")
        return self

    def names(self) -> Iterator[str]:
        """Every name that is given here."""
        sections = (self.annotations, self.classifiers, self.ensembles, self.subsets, self.language_models, self.bands)
        for section in sections:
            yield from section

    def topics(self) -> tuple[str, ...]:
        """Every value that the signal `topic` can have, beside null; nothing when the examples' own labels decide."""
        found: dict[str, None] = {}
        for item in self.classifiers.values():
            if item.kind == "topics":
                for example in item.examples:
                    given = self._labels_of(example)
                    if not given:
                        return ()
                    found |= dict.fromkeys(given)
                found |= dict.fromkeys([UNCERTAIN] if item.min_score else [])
        return tuple(found)

    def _labels_of(self, example: ExamplesConfig) -> tuple[str, ...]:
        """The labels that a set can have; none where its file decides."""
        if example.label is not None:
            return (example.label,)
        annotations = self.annotations[example.annotations].labels if example.annotations is not None else ()
        return tuple(example.labels.values()) or annotations

    def sets(self) -> Iterator[tuple[str, ExamplesConfig]]:
        """(the name of the section that declares it, set) of every set of examples."""
        for name, classifier in self.classifiers.items():
            yield from ((name, item) for _, item in classifier.sets())
        for name, subset in self.subsets.items():
            yield from ((name, item) for item in (*subset.seeds, *subset.background))
        for name, model in self.language_models.items():
            yield from ((name, item) for item in (*model.texts, *model.reference))
        for name, band in self.bands.items():
            yield from ((name, item) for item in (*band.reference, *band.pool))
        if self.language_calibration is not None:
            yield from (("language_calibration", item) for item in self.language_calibration.examples)

    def batches_of(self, wanted: str) -> tuple[str, ...]:
        """The batches that a section names, each once."""
        found = [key for name, item in self.sets() if name == wanted for key in item.batches]
        found += self.annotations[wanted].batches if wanted in self.annotations else ()
        classifier = self.classifiers.get(wanted)
        if classifier is not None and classifier.pseudo_labels is not None:
            found += classifier.pseudo_labels.batches
        return tuple(dict.fromkeys(found))

    def batches(self) -> tuple[str, ...]:
        """Batches that must be read before anything here can be trained."""
        owners = dict.fromkeys((*self.annotations, *(name for name, _ in self.sets())))
        return tuple(dict.fromkeys(key for name in owners for key in self.batches_of(name)))

    def assets(self) -> dict[str, str]:
        """Asset -> the section's name, of everything here that is an asset, in an order that it can be made in."""
        kinds = {"quality": "quality_classifier", "topics": "topic_classifier"}
        found = {f"{name}/annotations": name for name in self.annotations}
        found |= {f"{name}/{kinds[item.kind]}": name for name, item in self.classifiers.items()}
        found |= {f"{name}/topical_subset": name for name in self.subsets}
        found |= {f"{name}/language_model": name for name in self.language_models}
        found |= {f"{name}/quantile_bands": name for name in self.bands}
        return found | ({"language_calibration": "language_calibration"} if self.language_calibration else {})
