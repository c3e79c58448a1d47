"""How a stream is cut into units: chunks of the joined documents, or packed rows (`packing.RowTable`).

A chunk c of length T reads the T + 1 tokens from c * T: T inputs, and the same shifted by one as targets. Neighbours
share one token, last target of one and first input of the next, so in an epoch every token but the stream's first is
a target exactly once. The tail, at most T - 1 targets that fill no chunk, is left out; it moves into a chunk when the
stream grows.
"""

from typing import NamedTuple, Protocol


class Layout(Protocol):
    """Units of one stream."""

    @property
    def units(self) -> int:
        """Sequences in one epoch."""

    def spans(self, unit: int) -> list[tuple[int, int]]:
        """(stream position, length) of the tokens that the unit reads."""

    def units_of(self, start: int, stop: int) -> list[int]:
        """The units that read a token of [start, stop), ascending."""


class Chunks(NamedTuple):
    """Concat-and-chunk of a stream of `tokens` tokens."""

    tokens: int
    length: int

    @property
    def units(self) -> int:
        return max(self.tokens - 1, 0) // self.length

    def spans(self, unit: int) -> list[tuple[int, int]]:
        return [(unit * self.length, self.length + 1)]

    def units_of(self, start: int, stop: int) -> list[int]:
        # c * T < stop and c * T + T + 1 > start
        first = max(-(-(start - self.length) // self.length), 0)
        last = min((stop - 1) // self.length, self.units - 1)
        return list(range(first, last + 1)) if start < stop else []
