"""Which tokens of its parts a stream reads, when it reads some of their documents and not all.

Documents that lie side by side in an array make one *run*. A selection holds, for every run of a stream, where it
begins in the stream and where in the array of its part: 16 bytes a run, and never more runs than documents. Both arrays
may be memory maps, so a stream of any size is opened in constant memory and a place is found by bisection.
"""

import hashlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

I64 = NDArray[np.int64]


class Selection(NamedTuple):
    """Run r is the tokens from position `positions[r]` of the stream to that of the next run (or to the stream's end);
    in the array of its part they begin at `starts[r]`. Positions ascend from 0; no run crosses parts."""

    positions: I64
    starts: I64

    @property
    def digest(self) -> str:
        """SHA-256 over both arrays, little-endian."""
        found = hashlib.sha256(len(self.positions).to_bytes(8, "little"))
        for array in self:
            found.update(np.ascontiguousarray(array, "<i8").data)
        return found.hexdigest()

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Role -> little-endian array, to be written as flat files."""
        return {name: array.astype("<i8") for name, array in self._asdict().items()}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> "Selection":
        return cls(**{name: np.asarray(arrays[name]) for name in cls._fields})
