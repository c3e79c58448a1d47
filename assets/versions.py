"""Versions of the documents by name: `asset`, `asset:key`, `asset:key@n`, `corpus_snapshot@n`.

The n-th version of a key counts from 1; `@-1` is the one before the newest. Without a key, every sealed batch; where
only one of two references names a key, it is the key of both.
"""

import re
from typing import NamedTuple

from assets.model.lineage import upstream
from pipelines.core.artifacts import Artifact
from pipelines.core.errors import RefusedRequestError, UnknownNameError
from pipelines.core.manifest import Part
from pipelines.corpus.changes import Unit
from pipelines.corpus.filters.edits import nearest
from resources.mill import Mill

REFERENCE = re.compile(r"(?P<asset>[a-z0-9_/]+)(?::(?P<key>[^@:]+))?(?:@(?P<number>-?\d+))?")
DOCUMENTS = ("crawled_text", "filtered_documents", "deduplicated_documents", "clean_documents")
SNAPSHOT = "corpus_snapshot"


class Side(NamedTuple):
    """One side: what it was called, its artifacts by batch key, and their parts as units."""

    name: str
    artifacts: dict[str, Artifact]
    parts: list[tuple[str, Part]]
    units: list[Unit]


def two_sides(mill: Mill, first: str, second: str) -> tuple[Side, Side]:
    """Both sides of a comparison. Raises `UnknownNameError` and `RefusedRequestError` with the nearest name."""
    parsed = [_parsed(mill, text) for text in (first, second)]
    keys = {key for _, key, _ in parsed if key is not None}
    sides = []
    for text, (asset, key, number) in zip((first, second), parsed, strict=True):
        wanted = key if key is not None or len(keys) != 1 else next(iter(keys))
        sides.append(_side(mill, text, asset, wanted, number))
    return sides[0], sides[1]


def _parsed(mill: Mill, text: str) -> tuple[str, str | None, int | None]:
    found = REFERENCE.fullmatch(text)
    if found is None:
        raise RefusedRequestError(
            f"{text[:120]!r} is no reference: write asset, asset:key or asset:key@n, such as "
            "filtered_documents:wiki.first@1 or corpus_snapshot@2"
        )
    asset, key = found["asset"], found["key"]
    known = [*DOCUMENTS, SNAPSHOT]
    if asset not in known:
        raise UnknownNameError(
            f"{asset!r} has no documents to compare{nearest(asset, known)}; there are {', '.join(known)}"
        )
    if asset == SNAPSHOT and key is not None:
        raise RefusedRequestError(f"{text!r}: {SNAPSHOT} has no keys; compare clean_documents:{key} instead")
    sealed = list(mill.sealed())
    if key is not None and key not in sealed:
        raise UnknownNameError(f"{text[:120]!r}: no sealed batch is called {key[:80]!r}{nearest(key, sealed)}")
    if found["number"] is not None and key is None and asset != SNAPSHOT:
        raise RefusedRequestError(f"{text!r}: versions are counted by key; write {asset}:KEY@{found['number']}")
    return asset, key, int(found["number"]) if found["number"] is not None else None


def _side(mill: Mill, text: str, asset: str, key: str | None, number: int | None) -> Side:
    artifacts: dict[str, Artifact] = {}
    if asset == SNAPSHOT:
        snapshot = _version(mill, asset, None, number)
        for row in snapshot.whole("rows").to_pylist():
            if row["manifest"] is not None and key in (None, row["key"]):
                clean = upstream(mill.store, mill.store.open(row["manifest"]), "clean_documents")
                if clean is not None:
                    artifacts[row["key"]] = clean
    else:
        for batch in [key] if key is not None else mill.sealed():
            if key is not None or mill.store.references(asset, batch):
                artifacts[batch] = _version(mill, asset, batch, number)
    parts = [(name, part) for name, item in artifacts.items() for part in item.parts if "documents" in part.files]

    def unit(name: str, part: Part) -> Unit:
        file = part.files["documents"]
        read = lambda: artifacts[name].table(part, "documents", ["id", "text_hash"])  # noqa: E731
        return Unit(name, part.name, file.rows_digest, file.rows or 0, read)

    return Side(text, artifacts, parts, [unit(*item) for item in parts])


def _version(mill: Mill, asset: str, key: str | None, number: int | None) -> Artifact:
    history = mill.store.references(asset, key)
    where = asset if key is None else f"{asset}:{key}"
    if not history:
        raise UnknownNameError(f"{where} was never made")
    place = len(history) if number is None else number if number > 0 else len(history) + number
    if not 1 <= place <= len(history):
        raise UnknownNameError(
            f"{where}@{number}: there are {len(history)} versions, {where}@1 to {where}@{len(history)}"
        )
    return mill.store.open(history[place - 1].manifest)
