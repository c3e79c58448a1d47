"""Small stages for the tests of the store and the runner: real part functions, importable by worker processes."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipelines.core.artifacts import Artifact
from pipelines.core.documents import document_id, text_hash
from pipelines.core.fingerprint import Algorithm
from pipelines.core.manifest import CheckRecord, Manifest, Part, conservation, content_of, total_counts
from pipelines.core.parts import PartResult
from resources.compute import ComputeEngine
from resources.stages import Action, Family, StageRunner, store_table
from resources.store import ArtifactStore

LENGTHS, KEEP = Algorithm("lengths", 1), Algorithm("keep", 1)
DOCUMENTS = Algorithm("documents", 1)
TOY_SCHEMA = pa.schema(
    [pa.field("id", pa.binary(16)), pa.field("text_hash", pa.binary(16)), pa.field("text", pa.large_string())]
)


def open_store(root: Path, project: str = "toy") -> ArtifactStore:
    return ArtifactStore(str(root / "store"), project, root / "cache")


def documents_of(texts: Sequence[str], key: str = "a.b", first: int = 0) -> pa.Table:
    """Documents with ids by position, sorted by id."""
    rows = [(document_id(key, str(first + number)), text_hash(text), text) for number, text in enumerate(texts)]
    columns = list(zip(*sorted(rows), strict=True)) or [[], [], []]
    return pa.table(
        [pa.array(column, field.type) for column, field in zip(columns, TOY_SCHEMA, strict=True)], schema=TOY_SCHEMA
    )


def mark(folder: str | None, name: str) -> None:
    """Leave a trace that survives processes: one file for each call."""
    if folder:
        (Path(folder) / f"{name}-{os.getpid()}-{os.urandom(4).hex()}").touch()


def lengths_part(tables: Mapping[str, pa.Table], config: dict[str, Any]) -> PartResult:
    """An attribute family: the length of a text, its vowels as a list of structs, and a count of the long ones."""
    documents = tables["documents"]
    mark(config.get("marks"), f"lengths-{len(documents)}")
    texts = documents["text"].to_pylist()
    kind = pa.list_(pa.struct([pa.field("letter", pa.string()), pa.field("at", pa.int32())]))
    vowels = [[{"letter": c, "at": i} for i, c in enumerate(text) if c in "aeiou"] or None for text in texts]
    table = pa.table(
        {
            "id": documents["id"],
            "text_hash": documents["text_hash"],
            "length": pa.array([len(text) for text in texts], pa.int32()),
            "vowels": pa.array(vowels, kind),
        }
    )
    return PartResult({"lengths": table}, {"rows_in": len(texts), "kept": len(texts), **tally(table, config)})


def tally(table: pa.Table, config: dict[str, Any]) -> dict[str, int]:
    return {"long": sum(length > config["limit"] for length in table["length"].to_pylist())}


def keep_part(tables: Mapping[str, pa.Table], config: dict[str, Any]) -> PartResult:
    """A judging stage: documents up to `limit` characters are kept."""
    documents = tables["documents"]
    mark(config.get("marks"), f"keep-{len(documents)}")
    if "poison" in documents["text"].to_pylist():
        raise ValueError("a poisoned document")
    short = pa.array([length <= config["limit"] for length in tables["lengths"]["length"].to_pylist()], pa.bool_())
    kept = documents.filter(short)
    dropped = len(documents) - len(kept)
    return PartResult({"documents": kept}, {"rows_in": len(documents), "kept": len(kept), "dropped/long": dropped})


class Mill:
    """Three stages over toy documents: `documents` -> `lengths` -> `short`."""

    def __init__(
        self, store: ArtifactStore, *, workers: int = 1, marks: Path | None = None, compute: ComputeEngine | None = None
    ) -> None:
        self.store, self.marks = store, marks
        self.runner = StageRunner(store, compute or ComputeEngine(workers))

    def calls(self, name: str) -> list[int]:
        """Row counts of the calls of a part function so far, sorted; then forgets them."""
        assert self.marks is not None
        found = sorted(path for path in self.marks.iterdir() if path.name.startswith(name + "-"))
        for path in found:
            path.unlink()
        return sorted(int(path.name.split("-")[1]) for path in found)

    def _config(self, **fields: Any) -> dict[str, Any]:
        return {**fields, "marks": str(self.marks) if self.marks else None}

    def documents(self, parts: Sequence[Sequence[str]], key: str = "a.b") -> Artifact:
        action = Action("documents", key, (DOCUMENTS,), {"texts": [list(texts) for texts in parts]})

        def make() -> tuple[list[Part], list[CheckRecord], dict[str, Any]]:
            made = [
                Part(
                    name=f"{number:05d}",
                    files={"documents": store_table(self.store, documents_of(texts, key, 1000 * number))},
                    counts={"rows_in": len(texts), "kept": len(texts)},
                )
                for number, texts in enumerate(parts)
            ]
            return made, [conservation(total_counts(tuple(made)))], {}

        return self.runner.produce(action, make)

    def lengths(self, documents: Artifact, limit: int = 5, *, with_tally: bool = True) -> Artifact:
        key = documents.manifest.partition
        action = Action("lengths", key, (LENGTHS,), {"limit": limit}, {"documents": documents})
        family = Family(
            function=lengths_part,
            config=self._config(limit=limit),
            algorithms=(LENGTHS,),
            identity={"limit": limit},
            roles=(("documents", "documents", "documents"),),
            attribute_role="lengths",
            tally=tally if with_tally else None,
        )

        def make() -> tuple[list[Part], list[CheckRecord], dict[str, Any]]:
            return self.runner.run_parts(action, "documents", [family]), [], {}

        return self.runner.produce(action, make)

    def short(self, documents: Artifact, lengths: Artifact, limit: int = 3) -> Artifact:
        key = documents.manifest.partition
        inputs = {"documents": documents, "lengths": lengths}
        action = Action("short", key, (KEEP,), {"limit": limit}, inputs)
        family = Family(
            function=keep_part,
            config=self._config(limit=limit),
            algorithms=(KEEP,),
            identity={"limit": limit},
            roles=(("documents", "documents", "documents"), ("lengths", "lengths", "lengths")),
        )

        def make() -> tuple[list[Part], list[CheckRecord], dict[str, Any]]:
            parts = self.runner.run_parts(action, "documents", [family])
            return parts, [conservation(total_counts(tuple(parts)))], {}

        return self.runner.produce(action, make)

    def all(self, parts: Sequence[Sequence[str]], key: str = "a.b") -> list[Artifact]:
        documents = self.documents(parts, key)
        lengths = self.lengths(documents)
        return [documents, lengths, self.short(documents, lengths)]


def note(store: ArtifactStore, asset: str, key: str | None = None, text: str = "x", **facts: Any) -> Manifest:
    """A manifest of one small table, its file stored."""
    part = Part(name="00000", files={"rows": store_table(store, pa.table({"text": [text]}))})
    inputs = facts.pop("inputs", {})
    action = f"{hash_of(asset, key, text)}"
    return Manifest(
        asset=asset, partition=key, artifact_class="pure", action=action, content=content_of("pure", action, (part,)),
        algorithms={}, config={}, inputs={name: item.reference() for name, item in inputs.items()}, parts=(part,),
        counts={}, checks=(), facts=facts,
    )  # fmt: skip


def hash_of(*names: str | None) -> str:
    return text_hash(json.dumps(names)).hex() * 2


def files_of(store_root: Path, *, tops: Sequence[str] = ("objects", "memo", "refs", "ledger")) -> dict[str, bytes]:
    """Every file of a store with its bytes."""
    return {
        path.relative_to(store_root).as_posix(): path.read_bytes()
        for top in tops
        for path in sorted((store_root / top).rglob("*"))
        if path.is_file()
    }


TEXTS = [["a", "bb", "ccc", "iouaeiou"], ["dddd", "ee"], ["f", "ggggggg", "h"]]


def main(arguments: list[str]) -> None:
    """What the tests run as processes of their own."""
    command, root, *rest = arguments
    store = open_store(Path(root))
    if command == "all":
        mill = Mill(store, workers=int(rest[0]), marks=Path(rest[1]) if len(rest) > 1 else None)
        print(json.dumps([artifact.content for artifact in mill.all(TEXTS)]))
    elif command == "refer":
        go = Path(rest[1])
        store.publish(note(store, "race", text="first"))
        (Path(root) / f"ready-{rest[0]}").touch()
        while not go.exists():
            pass
        for number in range(int(rest[2])):
            store.publish(note(store, "race", text=f"{rest[0]}-{number}"))
    elif command == "append":
        go = Path(rest[1])
        (Path(root) / f"ready-{rest[0]}").touch()
        while not go.exists():
            pass
        numbers = {}
        for number in range(int(rest[2])):
            shared = f"shared.{number}"
            numbers[shared] = store.append("batches", {"key": shared, "by": rest[0]}, unique="key")
            own = f"{rest[0]}.{number}"
            numbers[own] = store.append("batches", {"key": own, "by": rest[0]}, unique="key")
        print(json.dumps(numbers))
