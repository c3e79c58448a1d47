"""From places (ordinal, part, row) to shingle sets: texts are asked for part by part and become shingles at once."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipelines.corpus.dedup.config import DedupConfig
from pipelines.corpus.dedup.shingles import ShingleSets, shingle_sets

TextReader = Callable[[int, int, list[int]], list[str] | pa.Array | pa.ChunkedArray]
"""`read_texts(ordinal, part, rows)`: the texts of ascending rows of one part, in that order. Arrow saves a copy."""


class Places(NamedTuple):
    """Where texts are and how many distinct shingles their signatures counted, one element a text."""

    ordinal: npt.NDArray[np.int64]
    part: npt.NDArray[np.int64]
    row: npt.NDArray[np.int64]
    n_shingles: npt.NDArray[np.int64]

    def take(self, index: npt.NDArray[np.int64]) -> "Places":
        return Places(*(column[index] for column in self))


class StaleTextError(ValueError):
    """A text that is not the one its signature was computed from."""


def fetch_sets(places: Places, read_texts: TextReader, config: DedupConfig) -> ShingleSets:
    """The shingle set of every place, in the order of `places`; raises StaleTextError where a count differs."""
    offsets = np.concatenate([[0], np.cumsum(places.n_shingles)]).astype(np.int64)
    values = np.empty(int(offsets[-1]), np.uint64)
    order = np.lexsort((places.row, places.part, places.ordinal))
    ordinal, part = places.ordinal[order], places.part[order]
    new = (np.diff(ordinal, prepend=-1) != 0) | (np.diff(part, prepend=-1) != 0)
    for members in np.split(order, np.flatnonzero(new)[1:]) if len(order) else []:
        where = int(places.ordinal[members[0]]), int(places.part[members[0]])
        rows = places.row[members].tolist()
        texts = read_texts(*where, rows)
        if len(texts) != len(rows):
            raise StaleTextError(f"batch {where[0]}, part {where[1]}: asked for {len(rows)} texts, got {len(texts)}")
        sets = shingle_sets(texts, config)
        for index, member in enumerate(members.tolist()):
            found = sets.values[sets.offsets[index] : sets.offsets[index + 1]]
            target = values[offsets[member] : offsets[member + 1]]
            if len(found) != len(target):
                raise StaleTextError(
                    f"batch {where[0]}, part {where[1]}, row {rows[index]}: the text has {len(found)} shingles, its "
                    f"signature says {len(target)}; recompute the signatures of this batch"
                )
            target[:] = found
    return ShingleSets(values, offsets)
