"""When the corpus is at rest, and which rounds wait for a launch."""

from typing import NamedTuple

from pipelines.core.artifacts import Artifact
from pipelines.core.fingerprint import digest_json
from resources.mill import Mill


class Due(NamedTuple):
    """A name for the snapshot to take, or None; and why."""

    wanted: str | None
    reason: str


def is_current(mill: Mill, artifact: Artifact) -> bool:
    """True when every direct input of an artifact is what that input is now."""
    for reference in artifact.manifest.inputs.values():
        now = mill.store.latest(reference.asset, reference.partition)
        if now is None or now.content != reference.content:
            return False
    return True


def given_up(mill: Mill) -> dict[str, str]:
    """Key -> reason of batches that were given up."""
    return {entry["key"]: entry["reason"] for entry in mill.store.ledger("given_up")}


def give_up(mill: Mill, key: str, reason: str) -> None:
    """Skip a batch in the dedup chain and list it as absent, until it succeeds after all."""
    mill.store.append("given_up", {"key": key, "reason": reason}, unique="key")


def absent_batches(mill: Mill) -> dict[str, str]:
    """Key -> reason of sealed batches without token arrays."""
    reasons: dict[str, str] = {}
    given = given_up(mill)
    for key in mill.sealed():
        for tokenizer in mill.project.tokenizers:
            arrays = mill.store.latest(f"{tokenizer}/token_arrays", key)
            if arrays is None:
                reasons[key] = given.get(key, f"{tokenizer}/token_arrays is not there yet")
    return reasons


def waits_for(mill: Mill, key: str) -> str | None:
    """The earlier batch that the dedup chain of a sealed batch waits for: neither matched nor given up."""
    given, ordinals = given_up(mill), mill.sealed()
    for earlier, ordinal in ordinals.items():
        if ordinal < ordinals[key] and earlier not in given and not mill.store.references("duplicate_matches", earlier):
            return earlier
    return None


def unsettled_batches(mill: Mill) -> list[str]:
    """Sealed batches that are neither there nor given up: a snapshot waits for them."""
    return sorted(set(absent_batches(mill)) - set(given_up(mill)))


def snapshot_fingerprint(mill: Mill, absent: dict[str, str]) -> str:
    """What a snapshot taken now would be of: the arrays of every batch that is there, and who is absent."""
    contents = {
        f"{tokenizer}/{key}": mill.get(f"{tokenizer}/token_arrays", key).content
        for tokenizer in mill.project.tokenizers
        for key in mill.sealed()
        if key not in absent
    }
    return digest_json({"contents": contents, "absent": sorted(absent)})


def snapshot_due(mill: Mill) -> Due:
    """A snapshot is due when every sealed batch is there or given up, and the newest snapshot is of something else."""
    if not mill.sealed():
        return Due(None, "no batch is sealed yet")
    waiting = unsettled_batches(mill)
    if waiting:
        return Due(None, f"{len(waiting)} sealed batches are not settled: {', '.join(waiting[:5])}")
    fingerprint = snapshot_fingerprint(mill, absent_batches(mill))
    newest = mill.store.latest("corpus_snapshot")
    if newest is not None and newest.manifest.facts.get("of") == fingerprint:
        return Due(None, "the newest snapshot is of these batches")
    taken = len(mill.store.references("corpus_snapshot", None))
    return Due(f"{taken}-{fingerprint[:16]}", "every sealed batch is settled")


def bound_rounds(mill: Mill, lane: str) -> list[str]:
    """Keys of rounds that a proposal bound and whose checkpoint is not there yet, oldest first."""
    return [
        entry["round"]
        for entry in mill.store.ledger(f"rounds/{lane}")
        if mill.store.latest(f"{lane}/continued_report", entry["round"]) is None
    ]
