"""The attribute family `sensitive_spans`: where, and of which kind; never what.

In: documents. Steps: one compiled scan of the text column marks candidate windows; the precise patterns read those
windows only; overlaps are resolved by precedence of the kind; the text is searched again with the found spans closed,
until nothing new appears. Out: one row per document with its spans, and counts by kind.

Offsets are UTF-8 byte offsets into the document's text, half-open, sorted, disjoint, on character borders: the same
unit as the edit list, so a byte of the clean text leads to a byte of the original.

Cost: the scan reads the column once (about 500 MB/s); a document that holds a span is scanned once more.
"""

import bisect
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipelines.core.documents import ATTRIBUTE_KEYS
from pipelines.core.fingerprint import Algorithm
from pipelines.core.parts import PartResult
from pipelines.corpus.privacy.candidates import KIND_CODES, candidate_windows
from pipelines.corpus.privacy.config import SensitiveSpansConfig
from pipelines.corpus.privacy.patterns import FINDERS

SENSITIVE_SPANS: Final = Algorithm("sensitive_spans", 2)

SPAN_TYPE: Final = pa.struct(
    [
        pa.field("kind", pa.string(), nullable=False),
        pa.field("start", pa.int32(), nullable=False),
        pa.field("end", pa.int32(), nullable=False),
    ]
)
SPANS_SCHEMA: Final = pa.schema([*ATTRIBUTE_KEYS, pa.field("spans", pa.list_(SPAN_TYPE), nullable=False)])

_CLOSED: Final = b"<>"
"""Stands for any placeholder while the rest of a text is searched again: no pattern reads across a bracket."""


class Span(NamedTuple):
    """A half-open range of UTF-8 bytes."""

    kind: str
    start: int
    end: int


def spans_part(tables: Mapping[str, pa.Table], config: SensitiveSpansConfig) -> PartResult:
    """`tables["documents"]` -> `sensitive_spans` (id, text_hash, spans) and the counts `spans/<kind>`."""
    documents = tables["documents"]
    data, offsets = text_bytes(documents["text"])
    kinds = [kind for kind in FINDERS if kind in config.kinds]
    rows: list[list[Span]] = [[] for _ in range(len(documents))]
    windows = candidate_windows(data, offsets)
    windows = windows[np.argsort(windows[:, 0], kind="stable")]
    for row, first, count in zip(*np.unique(windows[:, 0], return_index=True, return_counts=True), strict=True):
        text = data[offsets[row] : offsets[row + 1]].tobytes()
        rows[row] = find_spans(text, kinds, windows[first : first + count])
    table = pa.table([documents["id"], documents["text_hash"], spans_column(rows)], schema=SPANS_SCHEMA)
    counts = {"rows_in": len(documents), "kept": len(documents), **count_spans(table, config)}
    return PartResult({"sensitive_spans": table}, counts)


def count_spans(table: pa.Table, config: SensitiveSpansConfig) -> dict[str, int]:
    """`spans/<kind>` over a `sensitive_spans` table, 0 for a kind that was looked for and not found."""
    found = pc.struct_field(pc.list_flatten(table["spans"].combine_chunks()), "kind").to_pylist()
    return {f"spans/{kind}": found.count(kind) for kind in FINDERS if kind in config.kinds}


def find_spans(text: bytes, kinds: Sequence[str], windows: NDArray[np.int64] | None = None) -> list[Span]:
    """All sensitive spans of one UTF-8 text, disjoint and sorted; searching the edited text again finds none.

    An edit can uncover a span that an overlap had hidden, so the search is repeated on the text with the found spans
    closed. A new span lies between closed ones; a third round is already rare. `windows`: the candidate windows of
    this text, if the caller has them.
    """
    closed: list[Span] = []
    edited, edges = text, np.zeros((2, 1), np.int64)
    while found := _resolve(edited, kinds, _windows_of(edited) if windows is None else windows):
        pieces = np.searchsorted(edges[0], [span.start for span in found], side="right") - 1
        shifts = (edges[1] - edges[0])[pieces].tolist()
        for span, shift in zip(found, shifts, strict=True):
            closed.append(Span(span.kind, span.start + shift, span.end + shift))
        closed.sort(key=lambda span: span.start)
        edited, edges = _close(text, closed)
        windows = None
    return closed


def _close(text: bytes, spans: Sequence[Span]) -> tuple[bytes, NDArray[np.int64]]:
    """The text with every span replaced, and of each remaining piece (offsets there, offsets in `text`)."""
    pieces, edges, cursor, length = [], [], 0, 0
    for span in spans:
        edges.append((length, cursor))
        pieces += [text[cursor : span.start], _CLOSED]
        length += span.start - cursor + len(_CLOSED)
        cursor = span.end
    edges.append((length, cursor))
    return b"".join([*pieces, text[cursor:]]), np.array(edges, np.int64).T.copy()


def _windows_of(text: bytes) -> NDArray[np.int64]:
    return candidate_windows(np.frombuffer(text, np.uint8), np.array([0, len(text)], np.int64))


def _resolve(text: bytes, kinds: Sequence[str], windows: NDArray[np.int64]) -> list[Span]:
    """Disjoint spans: a kind earlier in `FINDERS` wins, within a kind the format that was tried first."""
    taken: list[Span] = []
    starts: list[int] = []
    for kind in (kind for kind in FINDERS if kind in kinds):
        for start, end in windows[windows[:, 1] == KIND_CODES[kind], 2:].tolist():
            for first, last in FINDERS[kind](text, start, end):
                place = bisect.bisect_left(starts, last)
                if place == 0 or taken[place - 1].end <= first:
                    taken.insert(place, Span(kind, first, last))
                    starts.insert(place, first)
    return taken


def text_bytes(column: pa.ChunkedArray) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The UTF-8 bytes of a text column and the offsets of its rows, without a copy when it is one chunk."""
    array = column.cast(pa.large_string()).combine_chunks()
    if isinstance(array, pa.ChunkedArray):
        array = array.chunk(0) if array.num_chunks else pa.array([], pa.large_string())
    _, offsets, data = array.buffers()
    bounds = np.zeros(1, np.int64)
    if len(array):
        bounds = np.frombuffer(offsets, np.int64)[array.offset : array.offset + len(array) + 1]
    return np.frombuffer(data, np.uint8) if data is not None and data.size else np.zeros(0, np.uint8), bounds


def spans_column(rows: Sequence[Sequence[Span]]) -> pa.Array:
    """One list of structs per row."""
    flat = [span for spans in rows for span in spans]
    offsets = np.cumsum([0, *map(len, rows)]).astype(np.int32)
    values = pa.StructArray.from_arrays(
        [
            pa.array([span.kind for span in flat], pa.string()),
            pa.array([span.start for span in flat], pa.int32()),
            pa.array([span.end for span in flat], pa.int32()),
        ],
        fields=list(SPAN_TYPE),
    )
    return pa.ListArray.from_arrays(pa.array(offsets), values, type=pa.list_(SPAN_TYPE))
