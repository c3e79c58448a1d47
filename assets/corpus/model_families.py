"""Signals by the project's models: each family with its models pinned by the digests in the artifacts they stand in."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from assets.corpus.model_making import language_config
from pipelines.core.artifacts import Artifact
from pipelines.core.config import Config
from pipelines.core.fingerprint import Algorithm
from pipelines.corpus.filters.bands import score as bands
from pipelines.corpus.filters.classifier import score as classifiers
from pipelines.corpus.filters.config import LanguageConfig
from pipelines.corpus.filters.ngram_lm import perplexity
from pipelines.corpus.filters.ngram_lm.model import ARRAYS
from pipelines.corpus.filters.topics import score as topics
from pipelines.corpus.filters.topics import subset as subsets
from pipelines.evaluation.checkpoint_perplexity import checkpoint_perplexity_part
from pipelines.project import Project
from resources.mill import Mill
from resources.stages import Action, Family, PartFunction, Tally

ROLES = (("documents", "documents", "documents"),)


@dataclass(frozen=True)
class ModelFamily:
    """One family: its function, its algorithms, which assets it uses, and its settings out of their artifacts."""

    function: PartFunction
    algorithms: tuple[Algorithm, ...]
    asset: str
    config: Callable[[Mill, dict[str, Artifact]], Config]
    tally: Tally | None
    reads: tuple[str, ...] = ()
    """Families that it looks at beside the documents, of those that the project computes."""


def model_inputs(project: Project) -> dict[str, str]:
    """Input name -> asset of every model that signals are computed with."""
    assets = project.corpus.models.assets()
    return {f"model/{name}": asset for asset, name in assets.items() if not asset.endswith("/annotations")}


def model_families(project: Project) -> list[str]:
    """Names of the families that the project's models give, in a fixed order."""
    kinds = {asset.rpartition("/")[2] for asset in model_inputs(project).values()}
    return [name for name, family in FAMILIES.items() if family.asset in kinds]


def signal_families(mill: Mill, action: Action) -> list[Family]:
    """The families of all models of an action's inputs."""
    wanted = []
    for name in model_families(mill.project):
        family = FAMILIES[name]
        models = {
            key.removeprefix("model/"): artifact
            for key, artifact in action.inputs.items()
            if artifact.manifest.asset.rpartition("/")[2] == family.asset
        }
        ordered = {key: models[key] for key in mill.project.corpus.models.names() if key in models}
        config, function = family.config(mill, ordered), family.function
        if isinstance(config, perplexity.PerplexityScoring) and not all(item.order for item in config.models.values()):
            function = checkpoint_perplexity_part
        wanted.append(
            Family(
                function=function,
                config=config,
                algorithms=family.algorithms,
                identity=config.identity(),
                roles=ROLES + _reads(mill.project, family),
                attribute_role=None if family.reads else name,
                tally=family.tally,
            )
        )
    return wanted


def _reads(project: Project, family: ModelFamily) -> tuple[tuple[str, str, str], ...]:
    computed = [name for name in family.reads if getattr(project.corpus.signals, name) is not None]
    return tuple((name, "signals", name) for name in computed)


def calibrated(mill: Mill, action: Action) -> LanguageConfig:
    """The settings of the language family: with the model's path, and the project's calibration if it has one."""
    config = language_config(mill)
    found = action.inputs.get("model/language_calibration")
    return config.model_copy(update={"calibration": found.json("breakpoints")}) if found else config


def _language(mill: Mill, models: list[Any]) -> LanguageConfig | None:
    if mill.project.corpus.signals.language is None or not any(model.languages for model in models):
        return None
    return language_config(mill)


def _classifier(mill: Mill, name: str, artifact: Artifact) -> classifiers.PinnedClassifier:
    section, measures = mill.project.corpus.models.classifiers[name], artifact.json("measures")
    part = artifact.parts[0]
    return classifiers.PinnedClassifier(
        model=str(artifact.path(part, "model")),
        model_digest=part.files["model"].object,
        labels=tuple(measures["labels"]),
        languages=section.languages,
        max_characters=section.max_characters,
        threshold=section.min_score if section.kind == "topics" else measures["headline"]["threshold"],
        reference=tuple(measures.get("reference", ())),
    )


def _classifier_scoring(mill: Mill, models: dict[str, Artifact]) -> Config:
    pinned = {name: _classifier(mill, name, artifact) for name, artifact in models.items()}
    ensembles = mill.project.corpus.models.ensembles
    language = _language(mill, list(pinned.values()))
    return classifiers.ClassifierScoring(models=pinned, ensembles=ensembles, language=language)


def _topic_scoring(mill: Mill, models: dict[str, Artifact]) -> Config:
    pinned = {name: _classifier(mill, name, artifact) for name, artifact in models.items()}
    return topics.TopicScoring(models=pinned, language=_language(mill, list(pinned.values())))


def _subset_scoring(mill: Mill, models: dict[str, Artifact]) -> Config:
    weights = {name: subsets.TermWeights.model_validate(item.json("weights")) for name, item in models.items()}
    return subsets.SubsetScoring(subsets=weights)


def _perplexity_scoring(mill: Mill, models: dict[str, Artifact]) -> Config:
    pinned = {}
    for name, artifact in models.items():
        section, measures = mill.project.corpus.models.language_models[name], artifact.json("measures")
        part = artifact.parts[0]
        pinned[name] = perplexity.PinnedLanguageModel(
            paths={role: str(artifact.path(part, role)) for role in measures.get("files", ARRAYS)},
            digests={role: part.files[role].object for role in measures.get("files", ARRAYS)},
            order=measures["order"],
            end_of_text=measures.get("end_of_text", 0),
            unknown_words=measures["unknown_words"],
            languages=section.languages,
            max_characters=section.max_characters,
            head_below=measures["headline"]["head_below"],
            middle_below=measures["headline"]["middle_below"],
            reference=tuple(measures["reference"]),
        )
    return perplexity.PerplexityScoring(models=pinned, language=_language(mill, list(pinned.values())))


def _band_scoring(mill: Mill, models: dict[str, Artifact]) -> Config:
    pinned = {name: bands.PinnedBands.model_validate({"bands": item.json("bands")}) for name, item in models.items()}
    return bands.BandScoring(models=pinned)


FAMILIES = {
    "classifiers": ModelFamily(
        classifiers.classifiers_part,
        classifiers.ALGORITHMS,
        "quality_classifier",
        _classifier_scoring,
        classifiers.count_verdicts,
    ),
    "topics": ModelFamily(
        topics.topics_part, topics.ALGORITHMS, "topic_classifier", _topic_scoring, topics.count_topics
    ),
    "subsets": ModelFamily(subsets.subsets_part, subsets.ALGORITHMS, "topical_subset", _subset_scoring, None),
    "perplexity": ModelFamily(
        perplexity.perplexity_part,
        perplexity.ALGORITHMS,
        "language_model",
        _perplexity_scoring,
        perplexity.count_buckets,
    ),
    "bands": ModelFamily(
        bands.bands_part,
        bands.ALGORITHMS,
        "quantile_bands",
        _band_scoring,
        None,
        reads=("statistics", "surface", "language"),
    ),
}
