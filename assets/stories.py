"""One document through every stage, as the store has it: the data behind `gristmill explain` and its page."""

import json
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from assets.corpus.acquisition import inventory_of
from assets.corpus.filters import families, filter_config
from pipelines.core.artifacts import Artifact
from pipelines.core.decisions import explain_row
from pipelines.core.manifest import Part
from pipelines.corpus.filters.filter import join_signals
from pipelines.evaluation.reports.corpus_data import Verdict, verdict_of, worded
from pipelines.evaluation.reports.document import TEXT, DocumentStory, Stage
from resources.mill import Mill

SHOWN = 12
"""Hits, spans and followers that are listed."""
UNJUDGED = "not judged yet"


def row_of(
    artifact: Artifact | None, role: str, identity: bytes, hint: str | None = None
) -> tuple[str, dict[str, Any]] | None:
    """(part name, row) of a document in an artifact's role; `hint` is the part that it is in, if it is in any."""
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
        if role in part.files and (hint is None or part.name == hint):
            row = _row(artifact, part, role, identity)
            if row is not None:
                return part.name, row
    return None


def _row(artifact: Artifact, part: Part, role: str, identity: bytes) -> dict[str, Any] | None:
    ids = artifact.table(part, role, ["id"])["id"]
    row = pc.index(ids, pa.scalar(identity, ids.type)).as_py()
    return None if row < 0 else artifact.table(part, role).slice(row, 1).to_pylist()[0]


def story_of_document(mill: Mill, key: str, identity: bytes) -> DocumentStory:
    """Everything that the store knows of a document that `crawled_text` of `key` has."""
    crawled = mill.get("crawled_text", key)
    found = row_of(crawled, "documents", identity)
    assert found is not None
    part, document = found
    signals = mill.store.latest("quality_signals", key)
    one = _signal_rows(mill, key, crawled, signals, part, identity)
    verdicts: tuple[Verdict, ...] = ()
    if one:
        joined = join_signals(one).to_pylist()[0]
        rules = mill.project.source_of(key).filter.resolved()
        verdicts = tuple(verdict_of(item) for item in explain_row(joined, rules))
    stages = (
        _origin(mill, key, document["locator"]),
        Stage("crawled_text", f"a document of {len(document['text']):,} characters", True),
        _filtered(mill, key, part, identity, one),
        *_duplicates(mill, key, part, identity),
        *_spans(mill, key, part, identity),
        *_cleaning(mill, key, part, identity),
        *_tokens(mill, key, part, identity),
    )
    return DocumentStory(
        id=identity.hex(),
        key=key,
        part=part,
        url=document["url"],
        locator=document["locator"],
        fetched_at=str(document["fetched_at"]) if document["fetched_at"] else None,
        declared_language=document["language"],
        characters=len(document["text"]),
        text_hash=document["text_hash"].hex(),
        text=document["text"][:TEXT],
        meta=document["meta"],
        stages=stages,
        verdicts=verdicts,
        signals=tuple(_signal_values(one)),
        notes=tuple(_notes(mill, key)),
    )


def _signal_rows(
    mill: Mill, key: str, crawled: Artifact, signals: Artifact | None, part_name: str, identity: bytes
) -> dict[str, pa.Table]:
    """One row of the documents and of each family; empty where nothing is scored."""
    tables: dict[str, pa.Table] = {}
    if signals is None:
        return tables
    for artifact, roles in ((crawled, ["documents"]), (signals, families(mill.project, key))):
        part = next((item for item in artifact.parts if item.name == part_name), None)
        for role in roles if part is not None else ():
            assert part is not None
            table = artifact.table(part, role)
            tables[role] = table.filter(pc.equal(table["id"], pa.scalar(identity, table["id"].type)))
    return tables if all(len(table) for table in tables.values()) else {}


def _signal_values(tables: dict[str, pa.Table]) -> Iterator[tuple[str, str, str]]:
    for family, table in tables.items():
        if family != "documents":
            for name, value in table.to_pylist()[0].items():
                if name not in ("id", "text_hash"):
                    yield family, name, worded(value)


def _origin(mill: Mill, key: str, locator: str) -> Stage:
    """The file that the record is in, with its digest."""
    source = mill.project.source_of(key)
    details = [("licence", source.licence), *([("origin", source.origin)] if source.origin else [])]
    files = mill.store.latest("source_files", key)
    rows = inventory_of(files).to_pylist() if files is not None and files.parts else []
    for row in rows:
        if locator == row["path"] or locator.startswith(f"{row['path']}#"):
            details += [("file", f"{row['path']}, {row['bytes']:,} bytes"), ("SHA-256", row["digest"])]
            break
    return Stage("source_files", f"record {locator} of {key}", None, tuple(details))


def _filtered(mill: Mill, key: str, part: str, identity: bytes, tables: dict[str, pa.Table]) -> Stage:
    found = row_of(mill.store.latest("filtered_documents", key), "decisions", identity, part)
    language = next((table for table in tables.values() if "language_score" in table.column_names), None)
    details = []
    if language is not None:
        row = language.to_pylist()[0]
        details.append(("language", f"{row['language']} ({row['language_score'] or 0:.3f})"))
    details += [("outside", told) for told in _violations(tables.get("bands"))]
    if found is None:
        return Stage("filtered_documents", UNJUDGED, None, tuple(details))
    decision = found[1]
    failed = [item["rule"] for item in decision["failed"]]
    if failed:
        details.append(("failed", ", ".join(failed)))
    verdict = "kept" if decision["kept"] else f"dropped: {decision['reason']}"
    return Stage("filtered_documents", verdict, decision["kept"], tuple(details))


def _violations(bands: pa.Table | None) -> Iterator[str]:
    """Signals outside the bands of their language: value and ends."""
    row = bands.to_pylist()[0] if bands is not None else {}
    told = {name.removesuffix("_violations"): text for name, text in row.items() if name.endswith("_violations")}
    for name, text in told.items():
        for signal, (value, lower, upper) in json.loads(text or "{}").items():
            ends = " to ".join("any" if end is None else f"{end:.4g}" for end in (lower, upper))
            yield f"{signal} {'missing' if value is None else f'{value:.4g}'}, {name} has {ends}"


def _duplicates(mill: Mill, key: str, part: str, identity: bytes) -> Iterator[Stage]:
    matches = mill.store.latest("duplicate_matches", key)
    if matches is None:
        return
    found = row_of(matches, "matches", identity)
    if found is not None:
        row = found[1]
        said = f"dropped: {row['kind']} duplicate of {row['leader_id'].hex()}, similarity {row['similarity']:.4f}"
        yield Stage("duplicate_matches", said, False)
    elif row_of(mill.store.latest("deduplicated_documents", key), "documents", identity, part) is not None:
        followers = list(_followers(mill, identity))
        details = []
        if followers:
            more = f" and {len(followers) - SHOWN} more" if len(followers) > SHOWN else ""
            details.append(("stands for", ", ".join(followers[:SHOWN]) + more))
        yield Stage("duplicate_matches", "of none: kept", True, tuple(details))


def _followers(mill: Mill, identity: bytes) -> Iterator[str]:
    """Documents of any batch that were dropped as duplicates of this one."""
    for key in mill.sealed():
        matches = mill.store.latest("duplicate_matches", key)
        for _, table in matches.tables("matches", ["id", "leader_id"]) if matches is not None else ():
            mine = table.filter(pc.equal(table["leader_id"], pa.scalar(identity, table["leader_id"].type)))
            yield from (f"{value.hex()} ({key})" for value in mine["id"].to_pylist())


def _spans(mill: Mill, key: str, part: str, identity: bytes) -> Iterator[Stage]:
    found = row_of(mill.store.latest("sensitive_spans", key), "sensitive_spans", identity, part)
    if found is not None:
        spans = found[1]["spans"]
        shown = [f"{item['kind']} at bytes {item['start']}-{item['end']}" for item in spans[:SHOWN]]
        details = (("spans", ", ".join(shown)),) if shown else ()
        yield Stage("sensitive_spans", f"{len(spans)} spans" if spans else "none found", None, details)
    hits = row_of(mill.store.latest("contamination", key), "contamination", identity, part)
    if hits is not None:
        shown = [
            f"{hit['set']}/{hit['item']}: {hit['matched']} n-grams, {hit['share']:.0%} of the item"
            for hit in hits[1]["hits"][:SHOWN]
        ]
        said = f"{len(hits[1]['hits'])} benchmark items" if shown else "no benchmark item"
        yield Stage("contamination", said, None, tuple(("benchmark", item) for item in shown))


def _cleaning(mill: Mill, key: str, part: str, identity: bytes) -> Iterator[Stage]:
    clean = mill.store.latest("clean_documents", key)
    decision = row_of(clean, "decisions", identity, part)
    if clean is None or decision is None:
        return
    failures = ", ".join(f"{item['rule']} ({item['value']:.4g})" for item in decision[1]["failed"])
    details = [("edited", item) for item in _edits(clean, part, identity)]
    split = row_of(clean, "splits", identity, part)
    if split is not None:
        similarity = split[1]["similarity"]
        near = f"{split[1]['split']} (similarity to the nearest held-out document {similarity:.3f})"
        details.append(("split", near))
    kept = bool(decision[1]["kept"])
    yield Stage("clean_documents", "kept" if kept else f"dropped: {failures}", kept, tuple(details))


def _edits(clean: Artifact, part_name: str, identity: bytes) -> list[str]:
    part = next((item for item in clean.parts if item.name == part_name and "edits" in item.files), None)
    if part is None:
        return []
    table = clean.table(part, "edits")
    rows = table.filter(pc.equal(table["id"], pa.scalar(identity, table["id"].type))).to_pylist()
    return [
        f"{row['kind']} at bytes {row['start']}-{row['end']}, now {row['replacement_length']} bytes"
        for row in rows[:SHOWN]
    ]


def _tokens(mill: Mill, key: str, part: str, identity: bytes) -> Iterator[Stage]:
    for tokenizer in mill.project.tokenizers:
        arrays = mill.store.latest(f"{tokenizer}/token_arrays", key)
        for split in ("train", "heldout"):
            found = row_of(arrays, f"{split}_index", identity, part)
            if found is not None:
                start, length = found[1]["start"], found[1]["length"]
                said = f"{length:,} tokens at {start:,} of the {split} array, part {found[0]}"
                yield Stage(f"{tokenizer}/token_arrays", said, True)


def _notes(mill: Mill, key: str) -> Iterator[str]:
    filtered = mill.store.latest("filtered_documents", key)
    if filtered is not None and filtered.manifest.config != filter_config(mill.project, key):
        yield (
            "The rules are those of the project file as it is now; the decision was made by others and stands until "
            "the next run."
        )
