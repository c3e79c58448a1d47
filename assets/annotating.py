"""`gristmill annotate`: documents for people, their labels back, and how far they agree.

`sample` writes a file to fill in, `import` checks a filled-in file and puts it beside the others of its section (the
asset `<name>/annotations` is then made anew, as another version), `agreement` measures what is there and makes nothing.
"""

from collections.abc import Iterator
from pathlib import Path
from shutil import copyfile

import pyarrow as pa

from assets.corpus.filters import families
from assets.corpus.model_making import annotation_files, labelled_texts
from assets.graph import all_recipes
from assets.recipe import produce
from pipelines.core.errors import RefusedRequestError, UnknownNameError
from pipelines.corpus.filters.annotation.config import AnnotationConfig
from pipelines.corpus.filters.annotation.labels import Annotation, agreement_of, read_annotations
from pipelines.corpus.filters.annotation.sample import Choice, sample, to_lines
from pipelines.corpus.filters.filter import join_signals
from resources.mill import Mill


def write_sample(mill: Mill, choice: Choice, count: int, seed: int, batches: list[str], target: Path) -> str:
    """Write a file of documents to label; returns what was done. Never overwrites a file: it may hold labels."""
    known = list(mill.sealed())
    for key in batches:
        if key not in known:
            raise UnknownNameError(f"{key[:80]!r} is no sealed batch; there are {', '.join(known)}")
    rules = {rule.name for key in batches or known for rule in mill.project.source_of(key).filter.resolved()}
    if choice.rule is not None and choice.rule not in rules:
        raise UnknownNameError(
            f"no rule of these sources is called {choice.rule[:80]!r}; there are {', '.join(sorted(rules))}"
        )
    if target.exists():
        raise RefusedRequestError(f"{target} exists, and may hold labels: give another name")
    chosen = sample(_parts(mill, batches or known), choice, count, seed)
    if not chosen:
        raise RefusedRequestError("no document is like that: widen the band, or name other batches")
    target.write_text(to_lines(chosen, ".csv" in target.suffixes), "utf-8")
    then = f"`gristmill annotate import NAME {target}`"
    return f"{len(chosen)} documents in {target}: fill in label and annotator, then {then}"


def import_labels(mill: Mill, name: str, file: Path) -> Iterator[str]:
    """Check a file of labels, put it into the section's folder, and make the asset of it."""
    section = _section(mill, name)
    items = _labels(mill, section, [file])
    folder = mill.loaded.path.parent / section.folder
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / file.name
    if target.resolve() != file.resolve():
        if target.exists():
            raise RefusedRequestError(f"{target} exists already: give the file another name")
        copyfile(file, target)
    artifact, computed, _ = produce(mill, all_recipes(mill.project)[f"{name}/annotations"], None)
    yield f"{len(items)} labels from {file.name} are in {folder}"
    yield f"{name}/annotations: {'a new version' if computed else 'as before'}, {artifact.content[:16]}"
    yield from agreement_lines(mill, name)


def agreement_lines(mill: Mill, name: str) -> Iterator[str]:
    """What the labels of a section say of the people who gave them."""
    section = _section(mill, name)
    items = _labels(mill, section, annotation_files(mill, section))
    found = agreement_of(items, section)
    people = ", ".join(f"{person} {count}" for person, count in found["annotators"].items())
    yield f"{len(items)} labels of {len({item.id for item in items})} documents: {people or 'nobody yet'}"
    for label, value in (("Krippendorff's alpha", "krippendorff_alpha"), ("Fleiss' kappa", "fleiss_kappa")):
        yield f"  {label:<22}{_shown(found[value])}"
    for pair in found["pairs"]:
        names = " and ".join(pair["annotators"])
        spans = "" if pair["span_f1"] is None else f", spans F1 {pair['span_f1']:.3f}"
        yield f"  {names}: Cohen's kappa {_shown(pair['cohen_kappa'])} on {pair['documents']} documents{spans}"


def _labels(mill: Mill, section: AnnotationConfig, files: list[Path]) -> list[Annotation]:
    texts = labelled_texts(files, [mill.get("crawled_text", batch) for batch in section.batches])
    return read_annotations(files, section, texts)


def _shown(value: float | None) -> str:
    return "not defined" if value is None else f"{value:.3f}"


def _section(mill: Mill, name: str) -> AnnotationConfig:
    sections = mill.project.corpus.models.annotations
    if name not in sections:
        raise UnknownNameError(
            f"{mill.loaded.path}: corpus.models.annotations has no section {name[:80]!r}; "
            f"there are {', '.join(sections) or 'none'}"
        )
    return sections[name]


def _parts(mill: Mill, batches: list[str]) -> Iterator[tuple[pa.Table, pa.Table, pa.Table]]:
    """(documents, signals, decisions) of every part that was judged."""
    for key in batches:
        crawled, signals = mill.store.latest("crawled_text", key), mill.store.latest("quality_signals", key)
        judged = mill.store.latest("filtered_documents", key)
        if crawled is None or signals is None or judged is None:
            continue
        for part in crawled.parts:
            if "documents" not in part.files:
                continue
            documents = crawled.table(part, "documents")
            scored = next(item for item in signals.parts if item.name == part.name)
            decided = next(item for item in judged.parts if item.name == part.name)
            tables = {role: signals.table(scored, role) for role in families(mill.project, key)}
            yield documents, join_signals({"documents": documents, **tables}), judged.table(decided, "decisions")
