"""What differs between two versions of a set of documents: added, removed, changed, moved, and why.

In: units, one for each part of either side, that give `id, text_hash` and on demand the text of some rows. Steps:
1. units that pair (same batch, same part name): equal row digests are equal documents and are not read; otherwise ids
   are compared, equal ids with another text hash are *changed*.
2. What found no partner goes to spill files by the last byte of its id: the same id in another part is *moved*, or
   changed as well where its text differs.
3. The rest goes to spill files by the last byte of its text hash: the same text under another id is *moved* (each
   document pairs once, in order of ids); what is left was *removed* or *added*.
Out: `Difference` rows, streamed in those three steps. Memory: two parts, or one spill file of each side (a 64th of what
found no partner), whatever the corpus has.
"""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipelines.core.sampling import id_bytes

Kind = Literal["added", "removed", "changed", "moved"]
KINDS: Final[tuple[Kind, ...]] = ("added", "removed", "changed", "moved")
BUCKETS: Final = 64
RECORD: Final = np.dtype([("id", "S16"), ("hash", "S16"), ("unit", "<i4"), ("row", "<i4")])
"""Zero bytes at the end of 16 compare as padding: still one to one."""


@dataclass(frozen=True)
class Unit:
    """One part of one side: its batch key, its name, its rows digest and how its `id, text_hash` are read."""

    key: str
    name: str
    digest: str
    rows: int
    read: Callable[[], pa.Table]


class Difference(NamedTuple):
    """Documents of one kind as places, (unit, row) on either side: int32 of shape (documents, 2); -1 where a side has
    none."""

    kind: Kind
    before: npt.NDArray[np.int32]
    after: npt.NDArray[np.int32]


@dataclass
class Unchanged:
    """Documents that are the same on both sides, in the same part."""

    documents: int = 0


def differences(before: Sequence[Unit], after: Sequence[Unit], same: Unchanged) -> Iterator[Difference]:
    """Every difference between two sides; `same` counts what is equal."""
    partners = {(unit.key, unit.name): number for number, unit in enumerate(after)}
    with tempfile.TemporaryDirectory(prefix="gristmill-diff-") as folder:
        by_id = _Spill(Path(folder) / "id", "id")
        paired = set()
        for number, unit in enumerate(before):
            other = partners.get((unit.key, unit.name))
            if other is None:
                by_id.add(0, _records(unit, number))
                continue
            paired.add(other)
            if unit.digest == after[other].digest:
                same.documents += unit.rows
                continue
            left, right = _records(unit, number), _records(after[other], other)
            mine, theirs = _matches(left["id"], right["id"])
            equal = left["hash"][mine] == right["hash"][theirs]
            same.documents += int(equal.sum())
            if not equal.all():
                yield _difference("changed", left[mine[~equal]], right[theirs[~equal]])
            by_id.add(0, np.delete(left, mine))
            by_id.add(1, np.delete(right, theirs))
        for number, unit in enumerate(after):
            if number not in paired:
                by_id.add(1, _records(unit, number))
        by_text = _Spill(Path(folder) / "text", "hash")
        for left, right in by_id.buckets():
            mine, theirs = _matches(left["id"], right["id"])
            equal = left["hash"][mine] == right["hash"][theirs]
            if equal.any():
                yield _difference("moved", left[mine[equal]], right[theirs[equal]])
            if not equal.all():
                yield _difference("changed", left[mine[~equal]], right[theirs[~equal]])
            by_text.add(0, np.delete(left, mine))
            by_text.add(1, np.delete(right, theirs))
        for left, right in by_text.buckets():
            left, right = np.sort(left, order="id"), np.sort(right, order="id")
            mine, theirs = _matches(left["hash"], right["hash"])
            if len(mine):
                yield _difference("moved", left[mine], right[theirs])
            if len(gone := np.delete(left, mine)):
                yield _difference("removed", gone, None)
            if len(fresh := np.delete(right, theirs)):
                yield _difference("added", None, fresh)


def _records(unit: Unit, number: int) -> npt.NDArray[Any]:
    table = unit.read()
    records = np.zeros(len(table), RECORD)
    records["id"] = np.ascontiguousarray(id_bytes(table["id"])).view("S16")[:, 0]
    records["hash"] = np.ascontiguousarray(id_bytes(table["text_hash"])).view("S16")[:, 0]
    records["unit"], records["row"] = number, np.arange(len(table))
    return records


def _matches(left: npt.NDArray[Any], right: npt.NDArray[Any]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Positions of equal values, each used once, the n-th occurrence on one side with the n-th on the other."""
    _, group = np.unique(np.concatenate([left, right]), return_inverse=True)
    sides = [_numbered(group[: len(left)]), _numbered(group[len(left) :])]
    wide = np.int64(max(len(left), len(right)) + 1)
    keys = [side[0].astype(np.int64) * wide + side[1] for side in sides]
    _, mine, theirs = np.intersect1d(keys[0], keys[1], assume_unique=True, return_indices=True)
    order = np.argsort(mine, kind="stable")
    return mine[order], theirs[order]


def _numbered(group: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], npt.NDArray[np.int64]]:
    """Each value with the number of times that it occurred before."""
    order = np.argsort(group, kind="stable")
    ordered = group[order]
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]])) if len(group) else np.zeros(0, int)
    occurrence = np.empty(len(group), np.int64)
    occurrence[order] = np.arange(len(group)) - np.repeat(starts, np.diff([*starts, len(group)]))
    return group, occurrence


def _difference(kind: Kind, before: npt.NDArray[Any] | None, after: npt.NDArray[Any] | None) -> Difference:
    there = after if after is not None else before
    assert there is not None
    nowhere = np.full((len(there), 2), -1, np.int32)
    places = [nowhere if side is None else np.stack([side["unit"], side["row"]], axis=1) for side in (before, after)]
    return Difference(kind, *places)


class _Spill:
    """Records of two sides in files by the last byte of one field, read back one pair of files at a time."""

    def __init__(self, folder: Path, field: str) -> None:
        folder.mkdir()
        self._folder, self._field = folder, field

    def add(self, side: int, records: npt.NDArray[Any]) -> None:
        if not len(records):
            return
        # The last byte: the first four of an id are its batch's.
        bucket = np.ascontiguousarray(records[self._field]).view(np.uint8).reshape(-1, 16)[:, 15] % BUCKETS
        for number in np.unique(bucket).tolist():
            with (self._folder / f"{side}-{number}").open("ab") as stream:
                stream.write(records[bucket == number].tobytes())

    def buckets(self) -> Iterator[tuple[npt.NDArray[Any], npt.NDArray[Any]]]:
        for number in range(BUCKETS):
            paths = [self._folder / f"{side}-{number}" for side in (0, 1)]
            if any(path.exists() for path in paths):
                left, right = (np.fromfile(path, RECORD) if path.exists() else np.zeros(0, RECORD) for path in paths)
                yield left, right
