"""The corpus snapshot: the barrier before training."""

from typing import Any

from assets.automation.settling import absent_batches, given_up, is_current, snapshot_fingerprint
from assets.recipe import Made, NotReadyError, Recipe, Scope
from pipelines.core.artifacts import Artifact
from pipelines.core.manifest import CheckRecord, Part
from pipelines.project import Project
from pipelines.tokens.snapshot.snapshot import SNAPSHOT, BatchState, snapshot_table
from resources.mill import Mill
from resources.stages import Action, store_table

CHECKS = {
    "current": "no batch was matched against a past that has changed since; `apply_project` recomputes such batches",
}


def recipes(project: Project) -> list[Recipe]:
    """`corpus_snapshot`, over the token arrays of every tokenizer."""
    inputs = {name: f"{name}/token_arrays" for name in project.tokenizers}
    return [
        Recipe(
            asset="corpus_snapshot",
            group="tokens/snapshot",
            description="Which batches the corpus has, at which digests and counts, and which are absent and why.",
            kinds=frozenset({"arrow"}),
            scope=Scope.ONCE,
            inputs=inputs or {"documents": "clean_documents"},
            algorithms=(SNAPSHOT,),
            config=lambda project, key: {
                "domains": {name: item.domain for name, item in project.corpus.sources.items()}
            },
            pinned=_arrays,
            facts=_facts,
            make=_make,
            checks=CHECKS,
        )
    ]


def _arrays(mill: Mill, key: str | None) -> dict[str, Artifact]:
    found = {}
    for batch in mill.sealed():
        for tokenizer in mill.project.tokenizers:
            arrays = mill.store.latest(f"{tokenizer}/token_arrays", batch)
            if arrays is not None:
                found[f"{tokenizer}/{batch}"] = arrays
    if not found:
        raise NotReadyError("corpus_snapshot: no batch has token arrays yet")
    return found


def _facts(mill: Mill, key: str | None) -> dict[str, Any]:
    absent = absent_batches(mill)
    return {"of": snapshot_fingerprint(mill, absent), "ordinals": mill.sealed(), "absent": absent}


def _make(mill: Mill, action: Action) -> Made:
    absent = action.facts["absent"]
    states = [
        BatchState(
            ordinal=ordinal,
            key=key,
            source=key.partition(".")[0],
            domain=mill.project.source_of(key).domain,
            tokenizer=tokenizer,
            arrays=action.inputs.get(f"{tokenizer}/{key}"),
            absent=absent.get(key),
        )
        for key, ordinal in action.facts["ordinals"].items()
        for tokenizer in mill.project.tokenizers
    ]
    table = snapshot_table(states)
    stale = sorted({key for key in action.facts["ordinals"] if key not in absent and not _chain_current(mill, key)})
    current = CheckRecord(
        name="current",
        passed=not stale,
        description=CHECKS["current"] + (f"; stale: {', '.join(stale[:5])}" if stale else ""),
        values={"batches": len(action.facts["ordinals"]), "stale": len(stale)},
    )
    facts = {
        "complete": set(absent) <= set(given_up(mill)),
        "batches": len(action.facts["ordinals"]) - len(absent),
        "absent_batches": len(absent),
        "tokens": sum(table["tokens"].to_pylist()),
    }
    return [Part(name="00000", files={"rows": store_table(mill.store, table)})], [current], facts


def _chain_current(mill: Mill, key: str) -> bool:
    """True when matches and clean documents of a batch rest on what their inputs are now."""
    for asset in ("duplicate_matches", "deduplicated_documents", "clean_documents"):
        artifact = mill.store.latest(asset, key)
        if artifact is None or not is_current(mill, artifact):
            return False
    return True
