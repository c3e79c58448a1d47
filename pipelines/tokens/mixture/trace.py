"""From a training step to the documents in it, and from a document to the steps that trained on it.

Forward: step -> examples -> units -> spans of streams -> slices of parts -> documents, by arithmetic and one bisection
in each part's index. Backward: a document's span in its part -> positions in the stream -> units -> examples -> steps,
by the inverses. Both cost about a millisecond per example, at any size of the mixture, and read no token.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import pyarrow as pa

from pipelines.tokens.arrays.reader import DocumentIndex
from pipelines.tokens.mixture.build import layouts
from pipelines.tokens.mixture.order import MixtureOrder
from pipelines.tokens.mixture.packing import RowTable
from pipelines.tokens.mixture.places import StreamPlaces
from pipelines.tokens.mixture.selection import Selection
from pipelines.tokens.mixture.spec import MixtureSpec, PartTokens, streams_of_table


class Slice(NamedTuple):
    """Tokens [start, start + length) of a part's array, read by example `example` of the mixture."""

    example: int
    stream: str
    epoch: int
    unit: int
    partition: str
    part: str
    start: int
    length: int


class DocumentUse(NamedTuple):
    """Example `example` reads the tokens [start, start + length) of a document (counted inside the document)."""

    example: int
    stream: str
    epoch: int
    unit: int
    partition: str
    part: str
    document: bytes
    start: int
    length: int


class MixtureTrace:
    """Walks a mixture both ways."""

    def __init__(
        self,
        spec: MixtureSpec,
        parts: pa.Table,
        index_of: Callable[[PartTokens], DocumentIndex],
        rows: dict[str, RowTable] | None = None,
        selections: Mapping[str, Selection] | None = None,
    ) -> None:
        """`index_of` loads the index of a part's train array."""
        self.order = MixtureOrder(spec)
        self._index_of = index_of
        self._layouts = layouts(spec, rows or {})
        self._places = [StreamPlaces(stream) for stream in streams_of_table(spec, parts, selections)]
        self._holders: dict[tuple[str, str], list[tuple[int, int]]] = {}
        """The streams that read a part, each with the part's number there; more than one when its group is split."""
        for stream, places in enumerate(self._places):
            for number, part in enumerate(places.parts):
                self._holders.setdefault((part.partition, part.part), []).append((stream, number))

    def slices(self, step: int, batch_size: int) -> list[Slice]:
        """What step `step` reads, in order of its rows."""
        return [found for found, _ in self._slices(step * batch_size, (step + 1) * batch_size)]

    def documents(self, step: int, batch_size: int) -> list[DocumentUse]:
        """The documents of step `step`, in order of its rows and of their tokens."""
        found: list[DocumentUse] = []
        indices: dict[tuple[str, str], DocumentIndex] = {}
        for item, part in self._slices(step * batch_size, (step + 1) * batch_size):
            key = (part.partition, part.part)
            if key not in indices:
                indices[key] = self._index_of(part)
            index = indices[key]
            for span in index.overlapping(item.start, item.start + item.length):
                first = max(span.start, item.start)
                last = min(span.start + span.length, item.start + item.length)
                found.append(DocumentUse(*item[:6], span.id, first - span.start, last - first))
        return found

    def uses(self, partition: str, part: str, document: bytes) -> list[DocumentUse]:
        """Every example that reads a document of a part, in training order; [] when the mixture never reaches it.

        `example // batch_size` is the step. Raises KeyError when the part is not in the mixture, or the document not
        in the part.
        """
        if (partition, part) not in self._holders:
            raise KeyError(f"part {part!r} of {partition!r} is not in this mixture")
        holders = self._holders[partition, part]
        span = self._index_of(self._places[holders[0][0]].parts[holders[0][1]]).find(document)
        if span is None:
            raise KeyError(f"document {document.hex()} is not in part {part!r} of {partition!r}")
        for stream, number in holders:
            first = self._places[stream].position(number, span.start)
            if first is not None:
                break
        else:
            return []
        name = self.order.spec.streams[stream].name
        last = first + span.length
        found: list[DocumentUse] = []
        for unit in self._layouts[stream].units_of(first, last):
            for epoch, example in enumerate(self.order.positions(stream, unit)):
                for start, length in self._layouts[stream].spans(unit):
                    low, high = max(start, first), min(start + length, last)
                    if low < high:
                        found.append(
                            DocumentUse(example, name, epoch, unit, partition, part, document, low - first, high - low)
                        )
        return sorted(found)

    def _slices(self, start: int, stop: int) -> Iterator[tuple[Slice, PartTokens]]:
        examples = self.order.examples(start, stop)
        for index, stream, epoch, unit in zip(*(column.tolist() for column in examples), strict=True):
            name = self.order.spec.streams[stream].name
            for position, length in self._layouts[stream].spans(unit):
                places = self._places[stream]
                for number, first, size in places.cut(position, position + length):
                    part = places.parts[number]
                    yield Slice(index, name, epoch, unit, part.partition, part.part, first, size), part
