"""What a difference weighs and why it is there: tokens from the arrays, reasons from the stages that decided."""

from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from assets.model.lineage import upstream
from assets.versions import Side
from pipelines.core.artifacts import Artifact
from pipelines.core.manifest import Part
from pipelines.corpus.changes import Kind
from resources.mill import Mill


class Sizes(NamedTuple):
    """Of each document: UTF-8 bytes, tokens, and whether the tokens were counted."""

    bytes: npt.NDArray[np.float64]
    tokens: npt.NDArray[np.float64]
    counted: npt.NDArray[np.bool_]


class Tokens:
    """Tokens of rows: counted where the newest arrays have the document with as many bytes, else estimated by the
    bytes a token has in its source."""

    def __init__(self, mill: Mill) -> None:
        self.tokenizer = next(iter(mill.project.tokenizers), None)
        self.texts = self.counted = 0
        self._arrays: dict[str, Artifact] = {}
        self._ratio: dict[str, float] = {}
        if self.tokenizer is None:
            return
        sums: dict[str, list[int]] = defaultdict(lambda: [0, 0])
        for key in mill.sealed():
            arrays = mill.store.latest(f"{self.tokenizer}/token_arrays", key)
            if arrays is not None:
                self._arrays[key] = arrays
                for source in (key.partition(".")[0], ""):
                    for slot, name in enumerate(("bytes", "tokens")):
                        sums[source][slot] += arrays.manifest.counts.get(f"train/{name}", 0)
        self._ratio = {source: size / tokens for source, (size, tokens) in sums.items() if tokens}

    def of(self, key: str, part: str, table: pa.Table) -> Sizes:
        """Sizes of each row of `id, text`."""
        size = pc.binary_length(table["text"]).to_numpy().astype(np.float64)
        ratio = self._ratio.get(key.partition(".")[0], self._ratio.get(""))
        tokens = np.zeros(len(size)) if ratio is None else size / ratio
        exact = np.zeros(len(size), bool)
        arrays = self._arrays.get(key)
        for item in arrays.parts if arrays is not None else ():
            for role in ("train_index", "heldout_index") if item.name == part else ():
                index = arrays.table(item, role, ["id", "length", "bytes"])  # type: ignore[union-attr]
                place = pc.index_in(table["id"], value_set=index["id"].combine_chunks())
                taken = index.take(place.combine_chunks() if isinstance(place, pa.ChunkedArray) else place)
                here = pc.fill_null(taken["bytes"], -1).to_numpy() == size
                tokens[here] = pc.fill_null(taken["length"], 0).to_numpy()[here]
                exact |= here
        return Sizes(size, tokens, exact)

    def notes(self) -> list[str]:
        if self.tokenizer is None or not self._ratio:
            return ["Nothing is tokenized: tokens are not known and shown as 0."]
        if not self.texts:
            return []
        return [
            f"Tokens of {self.tokenizer}: counted in its newest arrays for {self.counted:,} of the {self.texts:,} "
            "texts above; estimated for the others, by the bytes a token has in the document's other version or in its "
            "source."
        ]


class Reasons:
    """Which stage made the difference, and why, as it was recorded."""

    def __init__(self, mill: Mill, before: Side, after: Side) -> None:
        self._mill, self._before, self._after = mill, before, after
        self._drops: tuple[str, str, list[tuple[str, pa.Table]]] | None = None

    def of(
        self,
        kind: Kind,
        key: str,
        part: Part,
        ids: pa.ChunkedArray,
        places: npt.NDArray[np.int32],
        before: npt.NDArray[np.int32],
        after: npt.NDArray[np.int32],
    ) -> list[tuple[str, str]]:
        """(stage, reason) of each document."""
        if kind == "moved":
            return [self._moved(int(left), int(right)) for left, right in zip(before[:, 0], after[:, 0], strict=True)]
        if kind == "changed":
            return self._changed(key, part, ids)
        return self._dropped("after" if kind == "removed" else "before", key, ids)

    def _moved(self, left: int, right: int) -> tuple[str, str]:
        (old, one), (new, two) = self._before.parts[left], self._after.parts[right]
        if old != new:
            return "source_files", f"the same text came with {new}, before with {old}"
        return "crawled_text", "another part" if one.name != two.name else "another record of the same batch"

    def _changed(self, key: str, part: Part, ids: pa.ChunkedArray) -> list[tuple[str, str]]:
        old, new = self._before.artifacts.get(key), self._after.artifacts[key]
        said = ("crawled_text", "read or extracted differently")
        if old is not None:
            roots = [upstream(self._mill.store, item, "crawled_text") for item in (old, new)]
            if roots[0] is not None and roots[1] is not None and roots[0].content == roots[1].content:
                said = ("clean_documents", "spans edited")
        kinds: dict[bytes, set[str]] = defaultdict(set)
        if "edits" in part.files:
            for row in new.table(part, "edits", ["id", "kind"]).to_pylist():
                kinds[row["id"]].add(row["kind"])
        edited = {identity: ("clean_documents", f"edited: {', '.join(sorted(of))}") for identity, of in kinds.items()}
        return [edited.get(identity, said) for identity in ids.to_pylist()]

    def _dropped(self, side: str, key: str, ids: pa.ChunkedArray) -> list[tuple[str, str]]:
        """Where the side that lacks a document dropped it."""
        if self._drops is None or self._drops[:2] != (side, key):
            artifact = (self._after if side == "after" else self._before).artifacts.get(key)
            self._drops = (side, key, [] if artifact is None else list(_drops(self._mill, artifact)))
            if artifact is None:
                return [("", f"the batch {key} is on one side alone")] * len(ids)
        elif not self._drops[2]:
            return [("", f"the batch {key} is on one side alone")] * len(ids)
        said = [("crawled_text", "not among its documents")] * len(ids)
        for stage, table in self._drops[2]:
            place = pc.index_in(ids, value_set=table["id"].combine_chunks())
            for row, reason in enumerate(table["reason"].take(place.combine_chunks()).to_pylist()):
                if reason is not None:
                    said[row] = (stage, reason)
        return said


def _drops(mill: Mill, artifact: Artifact) -> Iterator[tuple[str, pa.Table]]:
    """(stage, `id, reason`) of what was dropped on the way to an artifact."""
    for stage in ("filtered_documents", "duplicate_matches", "clean_documents"):
        made = upstream(mill.store, artifact, stage)
        if made is None:
            continue
        role, column = ("matches", "kind") if stage == "duplicate_matches" else ("decisions", "reason")
        tables = [
            pa.table({"id": table["id"], "reason": table[column].cast(pa.large_string())}).filter(
                pc.is_valid(table[column])
            )
            for _, table in made.tables(role, ["id", column])
        ]
        if tables:
            yield stage, pa.concat_tables(tables)
