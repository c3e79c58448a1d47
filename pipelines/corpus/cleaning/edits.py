"""Span edits: replace byte ranges of many texts once, and keep the list that leads back.

In: a text column and, per row, disjoint sorted spans (kind, start, end) in UTF-8 bytes. Steps: check the spans; one
compiled pass copies the pieces between them and the placeholders into a new column. Out: the new column and the edit
list (id, start, end, kind, replacement_length), sorted by row and start, with offsets of the *original* text.

Offsets map both ways through the list of one document (`OffsetMap`): outside of edits exactly, inside an edit to the
border of the whole edited range, because its bytes have no counterpart one by one.

Editing an edited text changes nothing: placeholders are names in brackets, which no span pattern reads across.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numba import njit
from numpy.typing import NDArray

from pipelines.core.documents import DOCUMENT_SCHEMA
from pipelines.core.fingerprint import Algorithm
from pipelines.corpus.privacy.spans import text_bytes

EDITS: Final = Algorithm("span_edits", 1)

EDIT_SCHEMA: Final = pa.schema(
    [
        DOCUMENT_SCHEMA.field("id"),
        pa.field("start", pa.int32(), nullable=False),
        pa.field("end", pa.int32(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),
        pa.field("replacement_length", pa.int32(), nullable=False),
    ]
)
"""One row per edit: the original bytes `start:end` became `replacement_length` bytes."""


class SpecialTokenError(ValueError):
    """A placeholder that a tokenizer would read as one of its special tokens."""


def check_placeholders(placeholders: Mapping[str, str], special_tokens: Sequence[str]) -> None:
    """Raise when a placeholder holds, or is part of, the text of a special token (all tokenizers of a project)."""
    for kind, text in placeholders.items():
        for token in special_tokens:
            if token.strip() and (token in text or text in token):
                raise SpecialTokenError(
                    f"the placeholder {text!r} of {kind} collides with the special token {token!r}; "
                    "choose another text under corpus.cleaning.edits.placeholders"
                )


def apply_edits(
    ids: pa.ChunkedArray, text: pa.ChunkedArray, spans: pa.ChunkedArray, placeholders: Mapping[str, str]
) -> tuple[pa.Array, pa.Table]:
    """The edited text column (large_string, same rows) and the edit list.

    `spans` is a list<struct<kind, start, end>> column. Raises ValueError for a kind without a placeholder, and
    for spans that overlap, are unsorted, leave the text or cut a character: they belong to another text.
    """
    data, offsets = text_bytes(text)
    column = spans.combine_chunks()
    if isinstance(column, pa.ChunkedArray):
        column = column.chunk(0)
    flat = column.flatten()
    lengths = np.asarray(pc.list_value_length(column)).astype(np.int64)
    rows = np.repeat(np.arange(len(lengths)), lengths)
    starts = np.asarray(pc.struct_field(flat, "start")).astype(np.int64)
    ends = np.asarray(pc.struct_field(flat, "end")).astype(np.int64)
    kinds = pc.struct_field(flat, "kind")
    names = sorted(placeholders)
    codes = pc.index_in(kinds, pa.array(names, pa.string()))
    if codes.null_count:
        unknown = kinds.filter(pc.is_null(codes))[0].as_py()
        raise ValueError(f"no placeholder for spans of kind {unknown!r}; add one under cleaning.edits.placeholders")
    _check_spans(data, offsets, rows, starts, ends)
    replacements = [placeholders[name].encode() for name in names]
    pool = np.frombuffer(b"".join(replacements) or b"\0", np.uint8)
    bounds = np.cumsum([0, *map(len, replacements)]).astype(np.int64)
    choice = np.asarray(codes).astype(np.int64)
    added = (bounds[choice + 1] - bounds[choice]) - (ends - starts)
    sizes = np.diff(offsets) + np.bincount(rows, weights=added, minlength=len(lengths)).astype(np.int64)
    edited_offsets = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(sizes, out=edited_offsets[1:])
    edited = np.empty(int(edited_offsets[-1]), np.uint8)
    _splice(data, offsets, rows, starts, ends, pool, bounds, choice, edited, edited_offsets)
    array = pa.LargeStringArray.from_buffers(len(lengths), pa.py_buffer(edited_offsets), pa.py_buffer(edited))
    table = pa.table(
        [
            ids.take(pa.array(rows)),
            pa.array(starts, pa.int32()),
            pa.array(ends, pa.int32()),
            kinds,
            pa.array(bounds[choice + 1] - bounds[choice], pa.int32()),
        ],
        schema=EDIT_SCHEMA,
    )
    return array, table


def _check_spans(
    data: NDArray[np.uint8],
    offsets: NDArray[np.int64],
    rows: NDArray[np.int64],
    starts: NDArray[np.int64],
    ends: NDArray[np.int64],
) -> None:
    sizes = np.diff(offsets)[rows]
    wrong = (starts < 0) | (ends <= starts) | (ends > sizes)
    wrong[1:] |= (rows[1:] == rows[:-1]) & (starts[1:] < ends[:-1])
    inside = np.flatnonzero(~wrong)
    for edge in (starts, ends):
        within = inside[edge[inside] < sizes[inside]]
        wrong[within[data[offsets[rows[within]] + edge[within]] & 0xC0 == 0x80]] = True
    if wrong.any():
        at = int(np.flatnonzero(wrong)[0])
        raise ValueError(
            f"span {starts[at]}:{ends[at]} of row {rows[at]} overlaps its neighbour, leaves the text of "
            f"{sizes[at]} bytes or cuts a character; spans and text do not belong together"
        )


@njit(cache=True, nogil=True)
def _splice(
    data: Any,
    offsets: Any,
    rows: Any,
    starts: Any,
    ends: Any,
    pool: Any,
    bounds: Any,
    choice: Any,
    edited: Any,
    edited_offsets: Any,
) -> None:
    """Copy each text with its spans replaced to `edited[edited_offsets[row]:]`."""
    edit = 0
    for row in range(len(offsets) - 1):
        cursor, at = offsets[row], edited_offsets[row]
        while edit < len(rows) and rows[edit] == row:
            stop = offsets[row] + starts[edit]
            edited[at : at + stop - cursor] = data[cursor:stop]
            at += stop - cursor
            first, last = bounds[choice[edit]], bounds[choice[edit] + 1]
            edited[at : at + last - first] = pool[first:last]
            at += last - first
            cursor = offsets[row] + ends[edit]
            edit += 1
        edited[at : at + offsets[row + 1] - cursor] = data[cursor : offsets[row + 1]]


class OffsetMap(NamedTuple):
    """The edits of one document as arrays: original `starts`, `ends`, and `lengths` of the replacements."""

    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    lengths: NDArray[np.int64]

    @classmethod
    def of(cls, edits: pa.Table, document: bytes) -> "OffsetMap":
        """The map of one document out of an edit list."""
        own = edits.filter(pc.equal(edits["id"], pa.scalar(document, edits["id"].type)))
        return cls(*(np.asarray(own[name]).astype(np.int64) for name in ("start", "end", "replacement_length")))

    @property
    def clean_starts(self) -> NDArray[np.int64]:
        """Where each replacement begins in the clean text."""
        grown = np.cumsum(self.lengths - (self.ends - self.starts))
        shifts = np.zeros(len(self.starts), np.int64)
        shifts[1:] = grown[:-1]
        starts: NDArray[np.int64] = self.starts + shifts
        return starts

    def to_original(self, start: int, end: int) -> tuple[int, int]:
        """The original bytes behind the clean bytes `start:end`; an edit that is touched counts whole."""
        first = self.clean_starts
        return _map(start, end, first, first + self.lengths, self.starts, self.ends)

    def to_clean(self, start: int, end: int) -> tuple[int, int]:
        """The clean bytes that stand for the original bytes `start:end`; an edit that is touched counts whole."""
        first = self.clean_starts
        return _map(start, end, self.starts, self.ends, first, first + self.lengths)


def _map(
    start: int,
    end: int,
    from_starts: NDArray[np.int64],
    from_ends: NDArray[np.int64],
    to_starts: NDArray[np.int64],
    to_ends: NDArray[np.int64],
) -> tuple[int, int]:
    """Carry a half-open range across; borders inside an edited range move outwards to its borders."""

    def carry(position: int, outwards: NDArray[np.int64]) -> int:
        edit = int(np.searchsorted(from_starts, position, side="right")) - 1
        if edit >= 0 and from_starts[edit] < position < from_ends[edit]:
            return int(outwards[edit])
        before = int(np.searchsorted(from_ends, position, side="right"))
        return position if before == 0 else position + int(to_ends[before - 1] - from_ends[before - 1])

    return carry(start, to_starts), carry(end, to_ends)
