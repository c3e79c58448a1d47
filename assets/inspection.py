"""A document's way through every stage: where it came from, every rule's value, who it duplicates, what was edited,
which split it is in and how many tokens it became.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from assets.corpus.filters import families
from pipelines.core.artifacts import Artifact
from pipelines.core.decisions import explain_row
from pipelines.core.documents import batch_prefix
from pipelines.core.errors import UnknownNameError
from pipelines.corpus.filters.filter import join_signals
from resources.mill import Mill

_ID = re.compile(r"[0-9a-f]{32}")


def explain(mill: Mill, wanted: str) -> Iterator[str]:
    """Lines about a document, by id or URL. Raises `UnknownNameError` when it is in no batch."""
    found = list(find_documents(mill, wanted))
    if not found:
        raise UnknownNameError(
            f"{wanted!r} is in no batch of {mill.project.project}: give 32 hex digits or the exact URL; a record that "
            "gave no document is in the table `drops` of its batch's crawled_text"
        )
    for number, (key, identity) in enumerate(found):
        if number:
            yield ""
        yield from _explain_one(mill, key, identity)


def find_documents(mill: Mill, wanted: str) -> Iterator[tuple[str, bytes]]:
    """(batch key, id) of the documents with this id or URL, in ordinal order; an id names its batch by its prefix."""
    by_id = bytes.fromhex(wanted) if _ID.fullmatch(wanted) else None
    for key in mill.sealed():
        if by_id is not None and not by_id.startswith(batch_prefix(key)):
            continue
        crawled = mill.store.latest("crawled_text", key)
        if crawled is None:
            continue
        column = "url" if by_id is None else "id"
        value = wanted if by_id is None else by_id
        for _, table in crawled.tables("documents", ["id", column] if column != "id" else ["id"]):
            mask = pc.equal(table[column], pa.scalar(value, table[column].type))
            yield from ((key, identity) for identity in table.filter(mask)["id"].to_pylist())


def row_of(artifact: Artifact | None, role: str, identity: bytes) -> tuple[str, dict[str, Any]] | None:
    """(part name, row) of a document in an artifact's role."""
    if artifact is None:
        return None
    parts = artifact.parts
    if parts and role == "documents" and "directory" in parts[-1].files:
        directory = artifact.table(parts[-1], "directory")
        place = pc.index(directory["id"], pa.scalar(identity, directory["id"].type)).as_py()
        if place < 0:
            return None
        where = directory.slice(place, 1).to_pylist()[0]
        part = parts[where["part"]]
        return part.name, artifact.table(part, role).slice(where["row"], 1).to_pylist()[0]
    for part in parts:
        if role not in part.files:
            continue
        ids = artifact.table(part, role, ["id"])["id"]
        row = pc.index(ids, pa.scalar(identity, ids.type)).as_py()
        if row >= 0:
            return part.name, artifact.table(part, role).slice(row, 1).to_pylist()[0]
    return None


def _explain_one(mill: Mill, key: str, identity: bytes) -> Iterator[str]:
    crawled = row_of(mill.get("crawled_text", key), "documents", identity)
    assert crawled is not None
    part, document = crawled
    yield f"document {identity.hex()}"
    yield f"  batch      {key}, part {part}"
    yield f"  url        {document['url'] or '-'}"
    yield f"  locator    {document['locator']}"
    yield f"  fetched    {document['fetched_at'] or '-'}"
    yield f"  text       {len(document['text']):,} characters, hash {document['text_hash'].hex()}"
    yield f"             {json.dumps(document['text'][:120], ensure_ascii=False)}"
    if document["meta"]:
        yield f"  meta       {document['meta'][:300]}"
    yield from _signals(mill, key, part, identity)
    yield from _duplicates(mill, key, identity)
    yield from _cleaning(mill, key, identity)
    for tokenizer in mill.project.tokenizers:
        arrays = mill.store.latest(f"{tokenizer}/token_arrays", key)
        for split in ("train", "heldout"):
            found = row_of(arrays, f"{split}_index", identity)
            if found is not None:
                start, length = found[1]["start"], found[1]["length"]
                yield f"  tokens     {tokenizer}: {length:,} at {start:,} of the {split} array, part {found[0]}"


def _signals(mill: Mill, key: str, part_name: str, identity: bytes) -> Iterator[str]:
    signals, crawled = mill.store.latest("quality_signals", key), mill.get("crawled_text", key)
    if signals is None:
        yield "  filter     not judged yet"
        return
    tables = {}
    for artifact, roles in ((crawled, ["documents"]), (signals, families(mill.project, key))):
        part = next(item for item in artifact.parts if item.name == part_name)
        for role in roles:
            table = artifact.table(part, role)
            tables[role] = table.filter(pc.equal(table["id"], pa.scalar(identity, table["id"].type)))
    row = join_signals(tables).to_pylist()[0]
    decision = row_of(mill.store.latest("filtered_documents", key), "decisions", identity)
    verdict = (
        "not judged yet" if decision is None else "kept" if decision[1]["kept"] else f"dropped: {decision[1]['reason']}"
    )
    yield f"  filter     {verdict}; language {row.get('language')} ({row.get('language_score') or 0:.3f})"
    rules = explain_row(row, mill.project.source_of(key).filter.resolved())
    width = max((len(rule.rule) for rule in rules), default=0)
    for rule in rules:
        value = f"{rule.value:.4g}" if isinstance(rule.value, float) else str(rule.value)
        state = "pass" if rule.passed else "FAIL"
        yield f"    {state}  {rule.rule:<{width}}  {rule.signal} = {value}, must be {rule.comparison} {rule.threshold}"


def _duplicates(mill: Mill, key: str, identity: bytes) -> Iterator[str]:
    matches = mill.store.latest("duplicate_matches", key)
    if matches is None:
        return
    found = row_of(matches, "matches", identity)
    if found is not None:
        row = found[1]
        yield f"  duplicate  {row['kind']} of {row['leader_id'].hex()}, similarity {row['similarity']:.4f}: dropped"
    elif row_of(mill.store.latest("deduplicated_documents", key), "documents", identity) is not None:
        yield "  duplicate  of none: kept"


def _cleaning(mill: Mill, key: str, identity: bytes) -> Iterator[str]:
    clean = mill.store.latest("clean_documents", key)
    decision = row_of(clean, "decisions", identity)
    if decision is None:
        return
    failures = ", ".join(f"{item['rule']} ({item['value']:.4g})" for item in decision[1]["failed"])
    verdict = "kept" if decision[1]["kept"] else f"dropped: {failures}"
    replaced = row_of(clean, "edits", identity)
    yield f"  cleaning   {verdict}; spans replaced: {'yes, see the edit list' if replaced else 'none'}"
    hits = row_of(mill.store.latest("contamination", key), "contamination", identity)
    for hit in (hits[1]["hits"] if hits else [])[:5]:
        yield f"    benchmark {hit['set']}/{hit['item']}: {hit['matched']} n-grams, {hit['share']:.0%} of the item"
    split = row_of(clean, "splits", identity)
    if split is not None:
        similarity = split[1]["similarity"]
        yield f"  split      {split[1]['split']} (similarity to the nearest held-out document {similarity:.3f})"
