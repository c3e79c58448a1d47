"""Duplicates: signatures in any order, matches along a chain in the order of ordinals, one document a group."""

from typing import Any

import numpy as np
import pyarrow as pa

from assets.automation.settling import given_up
from assets.recipe import Made, NotReadyError, Recipe, Scope
from pipelines.core.artifacts import Artifact
from pipelines.core.manifest import CheckRecord, Part, conservation, total_counts
from pipelines.corpus.dedup import index, matching, minhash, select
from pipelines.corpus.dedup.rows import BatchSignatures
from pipelines.project import Project
from resources.failpoints import failpoint
from resources.mill import Mill
from resources.stages import Action, Family, store_table

CONSERVED = {"conserved": "every document was kept or names the document that it duplicates"}


def recipes(project: Project) -> list[Recipe]:
    """`duplicate_signatures`, `duplicate_matches`, `deduplicated_documents`."""
    return [
        Recipe(
            asset="duplicate_signatures",
            group="corpus/dedup",
            description="Exact hash, MinHash bands and paragraph hashes of each document.",
            kinds=frozenset({"numba"}),
            scope=Scope.BATCHES,
            inputs={"documents": "filtered_documents"},
            algorithms=minhash.SIGNATURE_ALGORITHMS,
            config=_config,
            make=_make_signatures,
            checks={"complete": "every document has a signature"},
        ),
        Recipe(
            asset="duplicate_matches",
            group="corpus/dedup",
            description="This batch against itself and all earlier ones: who duplicates whom, at which verified "
            "similarity; and the batch's entry of the dedup index.",
            kinds=frozenset({"numba"}),
            scope=Scope.BATCHES,
            inputs={
                "documents": "filtered_documents",
                "signatures": "duplicate_signatures",
                "positions": "crawled_text",
            },
            algorithms=(matching.MATCHING, index.INDEX),
            config=_config,
            pinned=_predecessors,
            facts=_chain_facts,
            make=_make_matches,
            checks=CONSERVED,
        ),
        Recipe(
            asset="deduplicated_documents",
            group="corpus/dedup",
            description="One document for each duplicate group.",
            kinds=frozenset({"arrow"}),
            scope=Scope.BATCHES,
            inputs={"documents": "filtered_documents", "matches": "duplicate_matches"},
            algorithms=(select.SELECTION,),
            make=_make_deduplicated,
            checks=CONSERVED,
        ),
    ]


def _config(project: Project, key: str | None) -> dict[str, Any]:
    return project.corpus.dedup.identity()


def _make_signatures(mill: Mill, action: Action) -> Made:
    config = mill.project.corpus.dedup
    family = Family(
        function=minhash.signatures_part,
        config=config,
        algorithms=action.algorithms,
        identity=action.config,
        roles=(("documents", "documents", "documents"),),
        attribute_role="signatures",
        tally=minhash.count_wordless,
    )
    parts = mill.runner.run_parts(action, "documents", [family])
    expected = action.inputs["documents"].manifest.rows("documents")
    rows = sum(part.files["signatures"].rows or 0 for part in parts)
    check = CheckRecord(
        name="complete",
        passed=rows == expected,
        description="every document has a signature",
        values={"documents": expected, "rows": rows},
    )
    return parts, [check], {}


def earlier_keys(mill: Mill, key: str) -> list[str]:
    """Sealed batches before `key` in the chain, in ordinal order."""
    sealed = mill.sealed()
    if key not in sealed:
        raise NotReadyError(f"{key} is not sealed: the arrivals sensor or `gristmill run` seals batches")
    return [name for name, ordinal in sealed.items() if ordinal < sealed[key]]


def _predecessors(mill: Mill, key: str | None) -> dict[str, Artifact]:
    """Every earlier entry and the texts that it leads to. A given-up batch is skipped, a missing one waited for."""
    found: dict[str, Artifact] = {}
    skipped = given_up(mill)
    for earlier in earlier_keys(mill, key or ""):
        matches = mill.store.latest("duplicate_matches", earlier)
        if matches is None and earlier in skipped:
            continue
        if matches is None:
            raise NotReadyError(
                f"{key}: the dedup chain waits for {earlier}, an earlier batch whose matches are not there yet"
            )
        found[f"entry/{earlier}"] = matches
        found[f"texts/{earlier}"] = mill.get("filtered_documents", earlier)
    return found


def _chain_facts(mill: Mill, key: str | None) -> dict[str, Any]:
    sealed = mill.sealed()
    return {"ordinal": sealed[key or ""]}


def _make_matches(mill: Mill, action: Action) -> Made:
    config = mill.project.corpus.dedup
    key = action.partition or ""
    sealed = mill.sealed()
    texts = {sealed[key]: action.inputs["documents"]}
    entries = []
    for earlier in earlier_keys(mill, key):
        artifact = action.inputs.get(f"entry/{earlier}")
        if artifact is None:
            continue
        texts[sealed[earlier]] = action.inputs[f"texts/{earlier}"]
        entries.append(index.IndexEntry(sealed[earlier], artifact.content, _role_reader(artifact)))
    documents, signatures = action.inputs["documents"], action.inputs["signatures"]
    batch = BatchSignatures(
        ordinal=sealed[key],
        parts=[table for _, table in signatures.tables("signatures")],
        positions=[_positions(documents, action.inputs["positions"], number) for number in range(len(documents.parts))],
    )

    def read_texts(ordinal: int, part: int, rows: list[int]) -> pa.ChunkedArray:
        artifact = texts[ordinal]
        return artifact.table(artifact.parts[part], "documents", ["text"])["text"].take(pa.array(rows, pa.int64()))

    result = matching.match_batch(batch, entries, read_texts, config)
    mill.runner.tell(action.asset, 1, 1, result.counts["rows_in"])
    failpoint("index_commit")
    files = {"matches": store_table(mill.store, result.matches)}
    files |= {role: store_table(mill.store, table) for role, table in result.entry.items()}
    part = Part(name="00000", files=files, counts=result.counts)
    return [part], [conservation(result.counts)], {}


def _role_reader(artifact: Artifact) -> Any:
    return lambda role: artifact.table(artifact.parts[0], role)


def _positions(documents: Artifact, crawled: Artifact, number: int) -> np.ndarray[Any, Any]:
    """(part number, record number) of each filtered row, in the rows' order; int64 of shape (rows, 2)."""
    part = documents.parts[number]
    ids = documents.table(part, "documents", ["id"])["id"]
    upstream = next(item for item in crawled.parts if item.name == part.name)
    positions = crawled.table(upstream, "positions")
    place = {key: row for row, key in enumerate(positions["id"].to_pylist())}
    rows = [place[key] for key in ids.to_pylist()]
    record = positions["position"].to_numpy()[rows].astype(np.int64)
    return np.column_stack([np.full(len(rows), number, np.int64), record])


def _make_deduplicated(mill: Mill, action: Action) -> Made:
    matches = action.inputs["matches"]
    table = matches.table(matches.parts[0], "matches")
    family = Family(
        function=select.deduplicated_part,
        config=mill.project.corpus.dedup,
        algorithms=action.algorithms,
        identity={},
        roles=(("documents", "documents", "documents"),),
        shared={"matches": table.select(["id", "kind"])},
    )
    parts = mill.runner.run_parts(action, "documents", [family])
    return parts, [conservation(total_counts(tuple(parts)))], {}
