"""Batches from a mixture: step -> inputs and targets, read from memory-mapped token arrays.

In: the specification, the parts' table, row tables and selections, and a way to open a part. 1. Step N of batch B is
examples [N * B, (N + 1) * B); a rank of a data-parallel world takes its contiguous share of those rows. 2. The order
turns examples into units, the layout units into spans of a stream, the stream spans into slices of its parts. Out:
int64 arrays [rows, T]. Targets are inputs shifted by one. With packed rows a target is IGNORE after a document's end
and in the padding. `documents` numbers the documents inside a row (padding is -1) for attention that stays inside a
document: every end-of-text in the arrays is one that we wrote, so counting them finds the borders without an index.
Cost: 1 to 5 milliseconds for 32 rows of 512, of split groups a quarter more; at most OPEN_PARTS files are mapped at a
time.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipelines.tokens.arrays.reader import TokenArray
from pipelines.tokens.mixture.build import layouts
from pipelines.tokens.mixture.order import MixtureOrder
from pipelines.tokens.mixture.packing import RowTable
from pipelines.tokens.mixture.places import StreamPlaces
from pipelines.tokens.mixture.selection import Selection
from pipelines.tokens.mixture.spec import MixtureSpec, PartTokens, Stream, streams_of_table

IGNORE: Final = -100
"""The target that no loss counts; the default `ignore_index` of the field."""

OPEN_PARTS: Final = 128
"""A memory map holds a file descriptor; 1,024 are commonly allowed."""

I64 = NDArray[np.int64]


class Batch(NamedTuple):
    """[rows, T] each; `documents` counts from 0 in every row, -1 is padding."""

    inputs: I64
    targets: I64
    documents: I64


class StreamReader:
    """One stream's tokens across its parts."""

    def __init__(self, stream: Stream, open_part: Callable[[PartTokens], TokenArray]) -> None:
        self._places = StreamPlaces(stream)
        self._whole = stream.selection is None
        self._open_part = open_part

    def __len__(self) -> int:
        return len(self._places)

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Tokens [start, stop) of the stream; ends early at the end of the stream."""
        found: list[NDArray[Any]] = []
        opened, array = -1, None
        for number, first, count in self._places.cut(start, min(stop, len(self))):
            if array is None or number != opened:
                opened, array = number, self._open(self._places.parts[number])
            found.append(array.read(first, first + count))
        if len(found) == 1:
            return found[0]
        return np.concatenate(found) if found else np.empty(0, np.uint16)

    def _open(self, part: PartTokens) -> TokenArray:
        array = self._open_part(part)
        if self._whole and len(array) != part.tokens:
            raise ValueError(f"{array.path}: {len(array)} tokens, the mixture's table says {part.tokens}")
        return array


class MixtureDataset:
    """Batches of a mixture by step number."""

    def __init__(
        self,
        spec: MixtureSpec,
        parts: pa.Table,
        open_part: Callable[[PartTokens], TokenArray],
        end_of_text_id: int,
        rows: dict[str, RowTable] | None = None,
        selections: Mapping[str, Selection] | None = None,
    ) -> None:
        """`open_part` gives the token array of a part; it is called again after a part was closed."""
        self.order = MixtureOrder(spec)
        self.end_of_text_id = end_of_text_id
        self._open_part = open_part
        self._opened: OrderedDict[tuple[str, str], TokenArray] = OrderedDict()
        self._layouts = layouts(spec, rows or {})
        self._readers = [StreamReader(item, self._opening) for item in streams_of_table(spec, parts, selections)]

    def steps(self, batch_size: int) -> int:
        """Whole batches in the mixture."""
        return len(self.order) // batch_size

    def batch(self, step: int, batch_size: int, rank: int = 0, world_size: int = 1) -> Batch:
        """Rank `rank`'s rows of step `step`, counted from 0, of `batch_size` rows in all."""
        if batch_size % world_size or not 0 <= rank < world_size:
            raise ValueError(f"batch of {batch_size} rows for rank {rank} of {world_size}: rows must divide evenly")
        share = batch_size // world_size
        start = step * batch_size + rank * share
        return self.rows(start, start + share)

    def rows(self, start: int, stop: int) -> Batch:
        """Examples [start, stop) of the mixture."""
        length = self.order.spec.sequence_length
        shape = (stop - start, length)
        batch = Batch(
            np.full(shape, self.end_of_text_id, dtype=np.int64),
            np.full(shape, IGNORE, dtype=np.int64),
            np.full(shape, -1, dtype=np.int64),
        )
        examples = self.order.examples(start, stop)
        fill = self._fill_chunk if self.order.spec.packing == "concat" else self._fill_row
        for row, (stream, unit) in enumerate(zip(examples.stream.tolist(), examples.unit.tolist(), strict=True)):
            fill(Batch(*(array[row] for array in batch)), stream, unit)
        return batch

    def _fill_chunk(self, row: Batch, stream: int, unit: int) -> None:
        ((start, length),) = self._layouts[stream].spans(unit)
        tokens = self._readers[stream].read(start, start + length)
        row.inputs[:] = tokens[:-1]
        row.targets[:] = tokens[1:]
        row.documents[0] = 0
        row.documents[1:] = np.cumsum(tokens[:-2] == self.end_of_text_id)

    def _fill_row(self, row: Batch, stream: int, unit: int) -> None:
        place = 0
        for number, (start, length) in enumerate(self._layouts[stream].spans(unit)):
            tokens = self._readers[stream].read(start, start + length + 1).astype(np.int64)
            here = slice(place, place + length)
            row.inputs[here] = tokens[:length]
            # Every piece but a document's last goes on with a token of the same document.
            ends = tokens[length - 1] == self.end_of_text_id
            row.targets[place : place + length - ends] = tokens[1 : length + 1 - ends]
            row.documents[here] = number
            place += length

    def _opening(self, part: PartTokens) -> TokenArray:
        key = (part.partition, part.part)
        array = self._opened.pop(key, None)
        if array is None:
            array = self._open_part(part)
            if len(self._opened) >= OPEN_PARTS:
                self._opened.popitem(last=False)[1].close()
        self._opened[key] = array
        return array
