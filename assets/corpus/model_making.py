"""Making the models that judge documents: declared texts to a trained thing, its measures and its page.

Each function takes the action of one section of `corpus.models` and gives the files, checks and facts of its artifact.
"""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from assets.corpus.estimators import chosen_estimator
from assets.recipe import Made
from pipelines.core.artifacts import Artifact
from pipelines.core.manifest import CheckRecord, Part
from pipelines.corpus.acquisition.packages import resolve_path
from pipelines.corpus.filters.annotation.config import AnnotationConfig
from pipelines.corpus.filters.annotation.labels import build_annotations, documents_meant, read_annotations
from pipelines.corpus.filters.bands.build import build_bands, text_signals
from pipelines.corpus.filters.calibration import calibrate
from pipelines.corpus.filters.classifier.build import build_classifier
from pipelines.corpus.filters.config import LanguageConfig
from pipelines.corpus.filters.labelled.config import ExamplesConfig
from pipelines.corpus.filters.labelled.examples import (
    ExampleSet,
    Labelled,
    TextColumn,
    file_texts,
    gather,
    table_texts,
)
from pipelines.corpus.filters.ngram_lm.arpa import arpa_bytes
from pipelines.corpus.filters.ngram_lm.build import build_language_model, measure
from pipelines.corpus.filters.ngram_lm.model import ARRAYS
from pipelines.corpus.filters.topics.subset import build_subset, most_relevant
from pipelines.evaluation.reports.bands import bands_html
from pipelines.evaluation.reports.models import annotation_html, calibration_html, classifier_html, language_model_html
from pipelines.evaluation.reports.subset import subset_html
from resources.mill import Mill
from resources.stages import Action, store_array, store_bytes, store_raw, store_table

QUERIED_CHARACTERS = 20_000
"""How much of a document a query is held against, as `SubsetConfig.max_characters` has it by default."""
Sets = list[tuple[str | None, ExamplesConfig]]
MADE = {
    "conserved": "every text that was offered became an example or was left out for a named reason",
    "better_than_chance": "on held-out examples the classifier is better than always the same answer",
    "in_files": "the declared folder has files with labels",
    "agreement": "annotators agree at least as much as declared",
    "fits": "held-out text is likelier than a uniform choice among the words",
    "finds_terms": "the subset has terms to look for",
    "bounds": "most documents of the reference are inside all bands of their language",
    "calibrated": "calibrated scores are at least as close to the truth as the model's own",
}


def annotation_files(mill: Mill, section: AnnotationConfig) -> list[Path]:
    """The files of labels of a section, in the order of their names; none where the folder is not there yet."""
    folder = mill.loaded.path.parent / section.folder
    return sorted(path for path in folder.iterdir() if path.suffix in (".jsonl", ".csv")) if folder.is_dir() else []


def labelled_texts(files: list[Path], documents: Iterable[Artifact]) -> dict[bytes, str]:
    """Texts, by id, of the documents that rows of labels are about and do not bring themselves."""
    wanted = documents_meant(files)
    asked = pa.array(sorted(wanted), pa.binary(16))
    found: dict[bytes, str] = {}
    for artifact in documents if wanted else ():
        for _, table in artifact.tables("documents", ["id", "text"]):
            mine = table.filter(pc.is_in(table["id"], asked))
            found |= dict(zip(mine["id"].to_pylist(), mine["text"].to_pylist(), strict=True))
    return found


def texts_of(mill: Mill, action: Action, item: ExamplesConfig, label: str | None) -> Iterator[Labelled]:
    """The texts of one declared set, with the label that the section gives or with their own."""
    if item.path is not None:
        found = file_texts(resolve_path(item.path, mill.loaded.path.parent), item)
        yield from (Labelled(text, label or own) for text, own in found)
    elif item.annotations is not None:
        rows = action.inputs[f"annotations/{item.annotations}"].whole("resolved", ["text", "label"]).to_pylist()
        for row in rows:
            own = item.labels.get(row["label"]) if item.labels else row["label"]
            if own is not None:
                yield Labelled(row["text"], label or own)
    elif item.query is not None:
        tables = (action.inputs[f"documents/{batch}"].tables("documents", ["text"]) for batch in item.batches)
        texts = [text for found in tables for _, table in found for text, _ in table_texts([table], "")]
        for place in most_relevant(texts, item.query, item.max_documents, QUERIED_CHARACTERS):
            yield Labelled(texts[place], label or "")
    else:
        for batch in item.batches:
            tables = (table for _, table in action.inputs[f"documents/{batch}"].tables("documents", ["text"]))
            yield from table_texts(tables, label or "")


def _examples(mill: Mill, action: Action, sets: Sets, **settings: Any) -> Any:
    def origin(item: ExamplesConfig) -> str:
        return item.annotations or ", ".join(item.batches) or (item.path or "").rpartition("/")[2]

    wanted = (
        ExampleSet(origin(item), item.max_documents, texts_of(mill, action, item, label), item.held_out)
        for label, item in sets
    )
    return gather(wanted, **settings)


def _texts(mill: Mill, action: Action, sets: tuple[ExamplesConfig, ...], held_out: float, limit: int, seed: int) -> Any:
    table = _examples(mill, action, [("", s) for s in sets], max_characters=limit, held_out=held_out, seed=seed).table
    held = table["held_out"]
    return TextColumn(table.filter(pc.invert(held))["text"]), table.filter(held)["text"].to_pylist()


def make_classifier(mill: Mill, action: Action, name: str) -> Made:
    section = mill.project.corpus.models.classifiers[name]
    settings = {"max_characters": section.max_characters, "held_out": section.held_out, "seed": section.seed}
    examples = _examples(mill, action, section.sets(), **settings)
    pool: Iterator[str] = iter(())
    if section.pseudo_labels is not None:
        sets = ExamplesConfig(batches=section.pseudo_labels.batches)
        pool = (text for text, _ in texts_of(mill, action, sets, ""))
    mill.home.cache.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=mill.home.cache, prefix="classifier-") as folder:
        trained = build_classifier(examples, section, Path(folder), pool)
        files = {"model": store_raw(mill.store, trained.model)}
    measures = {**trained.measures, "labels": trained.labels}
    files |= _measures(mill, measures, classifier_html(name, measures))
    files["examples"] = store_table(mill.store, trained.examples)
    headline, counts = measures["headline"], examples.counts
    better = headline["roc_auc"] > 0.5 if section.kind == "quality" else headline["accuracy"] > headline["majority"]
    offered = counts["rows_in"] - sum(number for reason, number in counts.items() if reason.startswith("dropped/"))
    checks = [_check("conserved", offered == counts["kept"], counts), _check("better_than_chance", better, headline)]
    return [Part(name="00000", files=files, counts=counts)], checks, {**headline, "labels": ", ".join(trained.labels)}


def make_annotations(mill: Mill, action: Action, name: str) -> Made:
    section = mill.project.corpus.models.annotations[name]
    files = annotation_files(mill, section)
    documents = [action.inputs[f"documents/{batch}"] for batch in section.batches]
    found = build_annotations(read_annotations(files, section, labelled_texts(files, documents)), section)
    made = {role: store_table(mill.store, table) for role, table in found.tables.items()}
    made |= _measures(mill, found.measures, annotation_html(name, found.measures))
    alpha = found.measures["krippendorff_alpha"]
    checks = [
        _check("in_files", found.measures["labels"] > 0, {"labels": found.measures["labels"]}),
        _check(
            "agreement",
            alpha is None or alpha >= section.min_alpha,
            {"alpha": "none" if alpha is None else alpha},
            False,
        ),
    ]
    facts = {key: value for key, value in found.measures.items() if isinstance(value, int | float)}
    return [Part(name="00000", files=made)], checks, facts


def make_subset(mill: Mill, action: Action, name: str) -> Made:
    section = mill.project.corpus.models.subsets[name]
    background, _ = _texts(mill, action, section.background, 0.0, section.max_characters, section.seed)
    seeds, _ = _texts(mill, action, section.seeds, 0.0, section.max_characters, section.seed)
    built = build_subset([section.query] if section.query else list(seeds), list(background), section)
    measures, terms = built.measures, built.measures["terms"]
    files = _measures(mill, measures, subset_html(name, measures))
    files["weights"] = store_bytes(mill.store, built.weights.model_dump_json().encode())
    checks = [_check("finds_terms", bool(terms), {"terms": len(terms)})]
    first = ", ".join(item["term"] for item in terms[:12])
    sizes = {key: measures[key] for key in ("background", "matched")}
    return [Part(name="00000", files=files)], checks, {"terms": len(terms), "heaviest": first, **sizes}


def make_language_model(mill: Mill, action: Action, name: str) -> Made:
    section = mill.project.corpus.models.language_models[name]
    train, held_out = _texts(mill, action, section.texts, section.held_out, section.train_characters, section.seed)
    reference, _ = _texts(mill, action, section.reference, 0.0, section.max_characters, section.seed)
    if section.checkpoint is not None:
        return _checkpoint_model(mill, action, name, list(reference))
    arpa = resolve_path(section.arpa, mill.loaded.path.parent) if section.arpa else None
    with chosen_estimator(mill, action, name) as (estimator, made_by):
        built = build_language_model(train, held_out, list(reference), section, arpa, estimator)
    files = {array: store_array(mill.store, getattr(built.model, array)) for array in ARRAYS}
    files["arpa.gz"] = store_bytes(mill.store, arpa_bytes(built.model, built.words))
    measures = {**built.measures, **made_by}
    files |= _measures(mill, measures, language_model_html(name, measures))
    headline = measures["headline"]
    reached = headline["held_out_perplexity"]
    words = measures["counts"]["vocabulary"] + measures["unknown_words"]
    checks = [_check("fits", reached is None or reached < words, {"perplexity": reached or 0.0, "words": words})]
    facts = {key: value for key, value in {**headline, **measures["counts"], **made_by}.items() if value is not None}
    return [Part(name="00000", files=files)], checks, facts


def _checkpoint_model(mill: Mill, action: Action, name: str, reference: list[str]) -> Made:
    """A checkpoint as a language model: its files and its tokenizer's, held by this artifact, and the cuts."""
    from assets.model.lineage import plan_of
    from pipelines.evaluation.checkpoint_perplexity import TOKENIZER_FILES, score_checkpoint

    section = mill.project.corpus.models.language_models[name]
    checkpoint = action.inputs["checkpoint"]
    plan = plan_of(checkpoint)
    tokenizer = mill.store.open(plan.tokenizer.manifest).parts[0].files
    files = {role: item for role, item in checkpoint.parts[0].files.items() if role.endswith((".safetensors", ".json"))}
    files |= {role: tokenizer[role] for role in TOKENIZER_FILES}
    paths = tuple(sorted((role, str(mill.store.path_of(item.object))) for role, item in files.items()))
    texts = [text[: section.max_characters] for text in reference]
    found = measure(lambda mine: score_checkpoint(paths, plan.end_of_text_id, mine), [], texts, section)
    held = {"order": 0, "unknown_words": 1, "end_of_text": plan.end_of_text_id, "files": sorted(files)}
    files["measures"] = store_bytes(mill.store, json.dumps({**found, **held}, sort_keys=True).encode())
    cuts = {key: found["headline"][key] for key in ("head_below", "middle_below")}
    return [Part(name="00000", files=files)], [_check("fits", True, cuts)], {**cuts, "checkpoint": checkpoint.content}


def make_bands(mill: Mill, action: Action, name: str) -> Made:
    section = mill.project.corpus.models.bands[name]
    signals = mill.project.corpus.signals.model_copy(update={"language": language_config(mill)})
    names = list(section.signals)
    clean, pool = (
        text_signals(list(_texts(mill, action, sets, 0.0, section.max_characters, section.seed)[0]), names, signals)
        for sets in (section.reference, section.pool)
    )
    built = build_bands(clean, pool, section)
    files = _measures(mill, built.measures, bands_html(name, built.measures))
    files["bands"] = store_bytes(mill.store, json.dumps(built.bands, sort_keys=True).encode())
    languages = built.measures["languages"]
    worst = max(item["any_outside"] for item in languages.values())
    facts = {f"{code}/{key}": item[key] for code, item in languages.items() for key in ("documents", "any_outside")}
    outside = {f"{code}/pool_any_outside": item["pool_any_outside"] for code, item in languages.items()}
    facts |= {key: value for key, value in outside.items() if value is not None}
    return [Part(name="00000", files=files)], [_check("bounds", worst < 0.5, {"outside": worst}, False)], facts


def make_calibration(mill: Mill, action: Action, name: str) -> Made:
    section = mill.project.corpus.models.language_calibration
    assert section is not None
    sets: Sets = [(item.label, item) for item in section.examples]
    settings = {"max_characters": section.max_characters, "held_out": 0.5, "seed": section.seed}
    points, measures = calibrate(_examples(mill, action, sets, **settings).table, language_config(mill))
    files = _measures(mill, measures, calibration_html(measures))
    files["breakpoints"] = store_bytes(mill.store, json.dumps(points).encode())
    before, after = measures["before"]["brier"], measures["after"]["brier"]
    checks = [_check("calibrated", after <= before + 0.002, {"before": before, "after": after})]
    return [Part(name="00000", files=files)], checks, {"accuracy": measures["accuracy"], "brier": after}


def language_config(mill: Mill) -> LanguageConfig:
    """The settings of the language identification, with the model's path on this machine."""
    language = mill.project.corpus.signals.language or LanguageConfig()
    path = resolve_path(language.model, mill.loaded.path.parent)
    return language.model_copy(update={"model": str(path)})


def _measures(mill: Mill, measures: dict[str, Any], page: str) -> dict[str, Any]:
    data = json.dumps(measures, ensure_ascii=False, indent=1, sort_keys=True, allow_nan=False).encode()
    return {"measures": store_bytes(mill.store, data), "report": store_bytes(mill.store, page.encode())}


def _check(name: str, passed: bool, values: dict[str, Any], blocking: bool = True) -> CheckRecord:
    return CheckRecord(name=name, passed=passed, blocking=blocking, description=MADE[name], values=values)
