"""What is learned from the corpus to judge it: annotations, classifiers, topical subsets, language models, bands of
signals, calibration.

Each is an asset without partitions. Annotations follow their files, version by version; the others are immutable under
their name and stand whatever arrives, so no signal of any batch changes by itself. Batches that a section names are
edges that automation ignores; what was used is pinned by digest.
"""

from collections.abc import Callable, Iterator
from typing import Any

from assets.corpus.estimators import estimator_algorithms, estimator_facts
from assets.corpus.model_making import (
    MADE,
    annotation_files,
    make_annotations,
    make_bands,
    make_calibration,
    make_classifier,
    make_language_model,
    make_subset,
)
from assets.recipe import ImmutableError, Made, Recipe, Scope
from pipelines.core.artifacts import Artifact
from pipelines.core.fingerprint import Algorithm, digest_file
from pipelines.corpus.acquisition.packages import UnresolvedPathError, resolve_path
from pipelines.corpus.filters import statistics, surface
from pipelines.corpus.filters.annotation.agreement import AGREEMENT
from pipelines.corpus.filters.annotation.labels import ANNOTATIONS
from pipelines.corpus.filters.bands.build import QUANTILE_BANDS
from pipelines.corpus.filters.calibration import CALIBRATION
from pipelines.corpus.filters.classifier.build import MEASURES, PSEUDO_LABELS
from pipelines.corpus.filters.classifier.text import FASTTEXT_LINE
from pipelines.corpus.filters.classifier.train import TRAIN
from pipelines.corpus.filters.labelled.examples import (
    EXAMPLE_SETS,
)
from pipelines.corpus.filters.language import LANGUAGE
from pipelines.corpus.filters.ngram_lm.arpa import ARPA
from pipelines.corpus.filters.ngram_lm.build import PERCENTILES
from pipelines.corpus.filters.ngram_lm.estimate import KNESER_NEY
from pipelines.corpus.filters.ngram_lm.model import BACKOFF_SCORES
from pipelines.corpus.filters.ngram_lm.train import NGRAM_TRAINING
from pipelines.corpus.filters.ngram_lm.words import ALGORITHMS as WORDS
from pipelines.corpus.filters.paragraphs import PARAGRAPHS
from pipelines.corpus.filters.topics.subset import SUBSET
from pipelines.corpus.filters.topics.terms import ALGORITHMS as TERMS
from pipelines.evaluation.checkpoint_perplexity import CHECKPOINT_PERPLEXITY
from pipelines.project import Project
from resources.mill import Mill
from resources.stages import Action

GROUP = "corpus/filters"
WARNINGS = ("agreement", "bounds")


def recipes(project: Project) -> list[Recipe]:
    """A recipe for every section of `corpus.models`."""
    return [_recipe(project, asset, name) for asset, name in project.corpus.models.assets().items()]


def _recipe(project: Project, asset: str, name: str) -> Recipe:
    kind = asset.rpartition("/")[2]
    description, algorithms, checks, make = _KINDS[kind]
    models = project.corpus.models
    batches = models.batches_of(name)
    counted = project.corpus.signals.statistics
    if kind == "quantile_bands" and counted is not None:
        algorithms = tuple(dict.fromkeys((*algorithms, *statistics.algorithms_of(counted))))
    if kind == "language_model":
        algorithms += estimator_algorithms(models.language_models[name])
    if any(item.query is not None for owner, item in models.sets() if owner == name):
        algorithms += (SUBSET, *TERMS)
    labels = sorted({item.annotations for owner, item in models.sets() if owner == name and item.annotations})
    inputs = {f"annotations/{label}": f"{label}/annotations" for label in labels}

    def pinned(mill: Mill, key: str | None) -> dict[str, Artifact]:
        found = {f"documents/{batch}": mill.get("crawled_text", batch) for batch in batches}
        checkpoint = getattr(_section(mill.project, name), "checkpoint", None)
        return found | ({"checkpoint": mill.get(checkpoint)} if checkpoint else {})

    def settled(mill: Mill, key: str | None) -> Artifact | None:
        standing = mill.store.latest(asset)
        if standing is None or kind == "annotations":
            return None
        recorded = standing.manifest.facts.get("files", {})
        for where, digest in _digests(mill, name).items():
            if recorded.get(where, digest) != digest:
                raise ImmutableError(
                    f"{asset} stands under its name and was made from another {where}: put the file back, or give the "
                    "section of the project file a new name"
                )
        return standing

    def config(project: Project, key: str | None) -> dict[str, Any]:
        identity: dict[str, Any] = _section(project, name).identity()
        signals = project.corpus.signals
        used = {"language_calibration": ("language",), "quantile_bands": ("statistics", "surface", "language")}
        families = {family: getattr(signals, family) for family in used.get(kind, ())}
        return identity | {family: item.identity() for family, item in families.items() if item is not None}

    return Recipe(
        asset=asset,
        group=GROUP,
        description=description,
        kinds=frozenset({"fasttext" if "classifier" in kind else "numba" if "model" in kind else "arrow"}),
        scope=Scope.ONCE,
        inputs=inputs | ({"documents": "crawled_text"} if batches else {}),
        algorithms=algorithms,
        config=config,
        pinned=pinned,
        facts=(lambda mill, key: {"files": _digests(mill, name)} | estimator_facts(mill, name)),
        settled=settled,
        make=lambda mill, action: make(mill, action, name),
        artifact_class="recorded",
        checks={check: MADE[check] for check in checks if check not in WARNINGS},
        warnings={check: MADE[check] for check in checks if check in WARNINGS},
        immutable=kind != "annotations",
        batches=batches,
    )


def _section(project: Project, name: str) -> Any:
    models = project.corpus.models
    for section in (models.annotations, models.classifiers, models.subsets, models.language_models, models.bands):
        if name in section:
            return section[name]
    return models.language_calibration


def _paths(mill: Mill, name: str) -> Iterator[str]:
    models = mill.project.corpus.models
    yield from (item.path for owner, item in models.sets() if owner == name and item.path)
    if name in models.annotations:
        yield from (str(path) for path in annotation_files(mill, models.annotations[name]))
    if name in models.language_models and models.language_models[name].arpa:
        yield str(models.language_models[name].arpa)


def _digests(mill: Mill, name: str) -> dict[str, str]:
    """`file <n>` -> SHA-256 of the declared files that are there, in the project file's order."""
    found = {}
    for number, declared in enumerate(_paths(mill, name)):
        try:
            found[f"file {number}"] = digest_file(resolve_path(declared, mill.loaded.path.parent))
        except UnresolvedPathError:  # what stands needs its files no more; what is made says so itself
            continue
    return found


_Make = Callable[[Mill, Action, str], Made]
_TRAINED = (EXAMPLE_SETS, FASTTEXT_LINE, TRAIN, MEASURES, PSEUDO_LABELS)
_KINDS: dict[str, tuple[str, tuple[Algorithm, ...], tuple[str, ...], _Make]] = {
    "annotations": (
        "Labels and spans that people gave, one label a document, and how far the people agree; a version a change.",
        (ANNOTATIONS, AGREEMENT),
        ("in_files", "agreement"),
        make_annotations,
    ),
    "quality_classifier": (
        "A fastText classifier of wanted documents with precision, recall and calibration on held-out examples.",
        _TRAINED,
        ("conserved", "better_than_chance"),
        make_classifier,
    ),
    "topic_classifier": (
        "A fastText classifier of topics with its confusion matrix and calibration on held-out examples.",
        _TRAINED,
        ("conserved", "better_than_chance"),
        make_classifier,
    ),
    "topical_subset": (
        "The words that a topical subset looks for, with their weights, from a query or from seed documents.",
        (EXAMPLE_SETS, SUBSET, *TERMS),
        ("finds_terms",),
        make_subset,
    ),
    "language_model": (
        "A modified Kneser-Ney n-gram model and the perplexities between head, middle and tail of the pool.",
        (EXAMPLE_SETS, NGRAM_TRAINING, KNESER_NEY, ARPA, PERCENTILES, BACKOFF_SCORES, CHECKPOINT_PERPLEXITY, *WORDS),
        ("fits",),
        make_language_model,
    ),
    "quantile_bands": (
        "Where signals of clean texts lie, language by language, and what share of the pool lies outside.",
        (EXAMPLE_SETS, QUANTILE_BANDS, *statistics.ALGORITHMS, surface.SURFACE, LANGUAGE, PARAGRAPHS),
        ("bounds",),
        make_bands,
    ),
    "language_calibration": (
        "How often the language identification is right at each score, on labelled texts, language by language.",
        (EXAMPLE_SETS, CALIBRATION, LANGUAGE),
        ("calibrated",),
        make_calibration,
    ),
}
