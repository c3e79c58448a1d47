"""From positions of a stream to places in the arrays of its parts, and back.

A stream joins whole arrays, or, when its group is split, the runs of its documents in them (`selection.py`). Both cost
a bisection over the parts, the second one more over the runs.
"""

from bisect import bisect_right
from itertools import accumulate

import numpy as np

from pipelines.tokens.mixture.spec import PartTokens, Stream

Place = tuple[int, int, int]
"""(number of the part, first token in its array, how many)."""


class StreamPlaces:
    """Where the tokens of one stream lie."""

    def __init__(self, stream: Stream) -> None:
        self.parts: list[PartTokens] = [part for part in stream.parts if part.tokens]
        self._starts = list(accumulate((part.tokens for part in self.parts), initial=0))
        self._selection = stream.selection

    def __len__(self) -> int:
        return self._starts[-1]

    def cut(self, start: int, stop: int) -> list[Place]:
        """What makes up [start, stop) of the stream, in order; both lie in the stream."""
        if start >= stop:
            return []
        if self._selection is None:
            borders, firsts = self._starts, None
            run = bisect_right(borders, start) - 1
        else:
            positions = self._selection.positions
            run = int(np.searchsorted(positions, start, side="right")) - 1
            last = int(np.searchsorted(positions, stop, side="left"))
            borders = [*positions[run:last].tolist(), stop]
            firsts = self._selection.starts[run:last].tolist()
            run = 0
        number = bisect_right(self._starts, start) - 1
        found: list[Place] = []
        while start < stop:
            while self._starts[number + 1] <= start:
                number += 1
            end = min(stop, borders[run + 1])
            first = start - borders[run] + (0 if firsts is None else firsts[run])
            found.append((number, first, end - start))
            start = end
            run += 1
        return found

    def position(self, number: int, place: int) -> int | None:
        """Where token `place` of the array of part `number` is in the stream; None when the stream does not read it."""
        begin, end = self._starts[number], self._starts[number + 1]
        if self._selection is None:
            return begin + place
        positions, starts = self._selection
        first, last = (int(np.searchsorted(positions, border, side="left")) for border in (begin, end))
        run = first + int(np.searchsorted(starts[first:last], place, side="right")) - 1
        if run < first:
            return None
        found = int(positions[run]) + place - int(starts[run])
        return found if found < (int(positions[run + 1]) if run + 1 < last else end) else None
