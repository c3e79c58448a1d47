"""Clean documents: edits, removals, contaminated documents dropped, and the split that evaluation rests on."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from assets.automation.settling import given_up
from assets.corpus.dedup import earlier_keys
from assets.recipe import Made, NotReadyError, Recipe, Scope
from pipelines.core.artifacts import Artifact, read_table
from pipelines.core.documents import batch_prefix
from pipelines.core.manifest import CheckRecord, Part, conservation, total_counts
from pipelines.corpus.cleaning import clean, holdout
from pipelines.corpus.cleaning.config import SplitConfig
from pipelines.corpus.cleaning.verify_splits import VERIFY_SPLITS, Violation, check_splits
from pipelines.project import Project
from resources.mill import Mill
from resources.stages import Action, Family, written

HELD_OUT = "held_out"
"""Name of the part with the batch-wide tables: documents that were held out here, and their shingles."""
CHECKS = {
    "conserved": "every document was kept or dropped for a named reason",
    "split_proved": "no training document is similar to a held-out one, by a check with no code of the matcher",
}


def recipes(project: Project) -> list[Recipe]:
    """`clean_documents`."""
    return [
        Recipe(
            asset="clean_documents",
            group="corpus/cleaning",
            description="Text after edits, removals and takedowns; each document is train, heldout or near_heldout.",
            kinds=frozenset({"arrow", "numba"}),
            scope=Scope.BATCHES,
            inputs={
                "documents": "deduplicated_documents",
                "sensitive_spans": "sensitive_spans",
                "contamination": "contamination",
                "removals": "removal_requests",
            },
            algorithms=(*clean.CLEAN_ALGORITHMS, *holdout.HELDOUT_ALGORITHMS, *holdout.SPLIT_ALGORITHMS, VERIFY_SPLITS),
            config=lambda project, key: {
                "cleaning": project.corpus.cleaning.identity(),
                "splits": project.corpus.splits.identity(),
            },
            pinned=_earlier,
            facts=_held_out_sets,
            make=_make,
            checks=CHECKS,
        )
    ]


def first_batches(mill: Mill) -> dict[str, str]:
    """Domain -> the sealed batch that its held-out documents are chosen from: the first that was not given up."""
    skipped = given_up(mill)
    firsts: dict[str, str] = {}
    for key in mill.sealed():
        if key not in skipped or mill.store.latest("clean_documents", key) is not None:
            firsts.setdefault(mill.project.source_of(key).domain, key)
    return firsts


def held_out_table(artifact: Artifact, role: str) -> pa.Table | None:
    """`heldout_documents` or `heldout_shingles` of a batch, None where nothing was held out."""
    for part in artifact.parts:
        if part.name == HELD_OUT:
            return artifact.table(part, role)
    return None


def _is_first(mill: Mill, key: str) -> bool:
    return first_batches(mill).get(mill.project.source_of(key).domain) == key


def _earlier(mill: Mill, key: str | None) -> dict[str, Artifact]:
    """For the first batch of a domain: clean documents of every earlier batch, whose splits have been published."""
    if not _is_first(mill, key or ""):
        return {}
    found = {}
    skipped = given_up(mill)
    for earlier in earlier_keys(mill, key or ""):
        artifact = mill.store.latest("clean_documents", earlier)
        if artifact is None and earlier not in skipped:
            raise NotReadyError(f"{key}: its held-out choice waits for clean_documents of {earlier}, an earlier batch")
        if artifact is not None:
            found[f"earlier/{earlier}"] = artifact
    return found


def _held_out_sets(mill: Mill, key: str | None) -> dict[str, Any]:
    """The held-out sets of domains that began before this batch, by object: they decide its splits."""
    sets: dict[str, Any] = {}
    before = set(earlier_keys(mill, key or ""))
    for domain, first in first_batches(mill).items():
        if first not in before:
            continue
        artifact = mill.store.latest("clean_documents", first)
        if artifact is None:
            raise NotReadyError(
                f"{key}: its split waits for clean_documents of {first}, the first batch of domain {domain}"
            )
        part = next((item for item in artifact.parts if item.name == HELD_OUT), None)
        if part is not None:
            sets[first] = {role: part.files[role].object for role in ("heldout_documents", "heldout_shingles")}
    return {"held_out_sets": sets, "first_of_domain": _is_first(mill, key or "")}


class _Chosen(NamedTuple):
    documents: pa.Table
    shingles: pa.Table


def _make(mill: Mill, action: Action) -> Made:
    key, config = action.partition or "", mill.project.corpus.splits
    cleaned = mill.runner.run_parts(action, "documents", [_clean_family(mill, action)])
    provisional = mill.runner.provisional(action, cleaned)
    chosen = _choose(mill, action, provisional) if action.facts["first_of_domain"] else None
    sets = [read_table(mill.store.path_of(item["heldout_shingles"])) for item in action.facts["held_out_sets"].values()]
    shingles = [*sets, *([chosen.shingles] if chosen else [])]
    family = Family(
        function=holdout.split_part,
        config=config,
        algorithms=holdout.SPLIT_ALGORITHMS,
        identity=config.identity(),
        roles=(("documents", "documents", "documents"),),
        shared={"heldout_shingles": pa.concat_tables(shingles) if shingles else holdout.SHINGLE_SCHEMA.empty_table()},
    )
    edited = replace(action, inputs={"documents": provisional})
    split = mill.runner.run_parts(edited, "documents", [family], step="split")
    parts = [
        Part(name=one.name, files={**one.files, **two.files}, counts={**two.counts, **one.counts})
        for one, two in zip(cleaned, split, strict=True)
    ]
    if chosen is not None and len(chosen.documents):
        tables = {"heldout_documents": chosen.documents, "heldout_shingles": chosen.shingles}
        parts.append(written(mill.store, tables, name=HELD_OUT))
    counts = total_counts(tuple(parts))
    return parts, [conservation(counts), _prove(mill, action, parts, chosen)], {"batch": key}


def _clean_family(mill: Mill, action: Action) -> Family:
    removals = action.inputs["removals"].whole("rows")
    mine = batch_prefix(action.partition or "").hex()
    elsewhere = pc.and_(pc.equal(removals["kind"], "id"), pc.invert(pc.starts_with(removals["value"], mine)))
    return Family(
        function=clean.clean_part,
        config=mill.project.corpus.cleaning,
        algorithms=clean.CLEAN_ALGORITHMS,
        identity=mill.project.corpus.cleaning.identity(),
        roles=(
            ("documents", "documents", "documents"),
            ("sensitive_spans", "sensitive_spans", "sensitive_spans"),
            ("contamination", "contamination", "contamination"),
        ),
        shared={"removals": removals.filter(pc.invert(elsewhere))},
    )


def _choose(mill: Mill, action: Action, cleaned: Artifact) -> _Chosen:
    """The held-out documents of this batch's domain, in rank order, and their shingles."""
    config, domain = mill.project.corpus.splits, mill.project.source_of(action.partition or "").domain
    columns = ["id", "text_hash", "domain", "text"]
    candidates = [holdout.candidates_of(table) for _, table in cleaned.tables("documents", columns)]
    if not candidates:
        return _Chosen(pa.table({"id": [], "domain": [], "text": []}), holdout.SHINGLE_SCHEMA.empty_table())
    everything = pa.concat_tables(candidates)
    pool = holdout.heldout_pool(everything, domain, config)
    documents = _rows_of(cleaned, pool["id"])
    earlier = (
        table
        for name, artifact in action.inputs.items()
        if name.startswith("earlier/")
        for table in train_tables(artifact)
    )
    chosen = holdout.choose_heldout(pool, holdout.shingle_table(documents, config), earlier, everything, domain, config)
    kept = _rows_of(cleaned, chosen["id"])
    return _Chosen(kept, holdout.shingle_table(kept, config))


def _rows_of(cleaned: Artifact, ids: pa.ChunkedArray) -> pa.Table:
    """id, domain, text of the named documents, in the order of `ids`."""
    wanted = ids.combine_chunks() if isinstance(ids, pa.ChunkedArray) else ids
    found = []
    for _, table in cleaned.tables("documents", ["id", "domain", "text"]):
        found.append(table.filter(pc.is_in(table["id"], value_set=wanted)))
    table = pa.concat_tables(found)
    place = {key: row for row, key in enumerate(table["id"].to_pylist())}
    return table.take(pa.array([place[key] for key in wanted.to_pylist()], pa.int64()))


def train_tables(artifact: Artifact) -> Iterator[pa.Table]:
    """id and text of the training documents of a batch, a part at a time."""
    for part in artifact.parts:
        if "splits" in part.files:
            mask = pc.equal(artifact.table(part, "splits", ["split"])["split"], holdout.TRAIN)
            yield artifact.table(part, "documents", ["id", "text"]).filter(mask)


class ProofTask(NamedTuple):
    """One part's training documents against held-out documents, for a worker."""

    documents: Path
    splits: Path
    held_out: tuple[Path, ...]
    config: SplitConfig


def prove_part(task: ProofTask) -> list[Violation]:
    """Violations of one part; runs in a worker."""
    mask = pc.equal(read_table(task.splits, ["split"])["split"], holdout.TRAIN)
    train = read_table(task.documents, ["id", "text"]).filter(mask)
    held_out = pa.concat_tables([read_table(path, ["id", "text"]) for path in task.held_out])
    config = task.config
    return check_splits([train], held_out, config.threshold, config.ngram, config.ngram_unspaced)


def _prove(mill: Mill, action: Action, parts: list[Part], chosen: _Chosen | None) -> CheckRecord:
    """This batch against every set so far; earlier batches against the set that was chosen now."""
    config, store = mill.project.corpus.splits, mill.store
    sets = [store.path_of(item["heldout_documents"]) for item in action.facts["held_out_sets"].values()]
    mine = [store.path_of(part.files["heldout_documents"].object) for part in parts if part.name == HELD_OUT]
    tasks = []
    if sets or mine:
        for part in parts:
            if "splits" in part.files:
                paths = store.path_of(part.files["documents"].object), store.path_of(part.files["splits"].object)
                tasks.append(ProofTask(*paths, (*sets, *mine), config))
    if mine:
        for name, artifact in action.inputs.items():
            if name.startswith("earlier/"):
                tasks += [
                    ProofTask(artifact.path(part, "documents"), artifact.path(part, "splits"), tuple(mine), config)
                    for part in artifact.parts
                    if "splits" in part.files
                ]
    violations = [item for found in mill.compute.map(prove_part, tasks) for item in found]
    shown = "; ".join(
        f"{item.train.hex()} is {item.similarity:.3f} similar to {item.heldout.hex()}" for item in violations[:3]
    )
    return CheckRecord(
        name="split_proved",
        passed=not violations,
        description=CHECKS["split_proved"] + (f"; {shown}" if shown else ""),
        values={
            "violations": len(violations),
            "parts_checked": len(tasks),
            "held_out_here": len(chosen.documents) if chosen else 0,
        },
    )
