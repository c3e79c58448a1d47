"""A source or a domain split by a signal: which documents of a part have which value, and where their tokens lie.

In: a part's training index, and the attribute table of the signal, which has a row for every document that was read.
1. Labels are joined to the index by id; a document without a value, or a batch without the signal, is `none`. 2. The
documents of each value are taken in array order, and those that lie side by side become one run. Out: a piece for each
value; together they hold every document of the part once. No token is read, none is copied. Cost: a join of ids and a
sort, some 3 million documents a second; memory: 20 bytes a document.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from pipelines.core.fingerprint import Algorithm
from pipelines.corpus.filters.categories import NONE
from pipelines.tokens.mixture.selection import Selection
from pipelines.tokens.mixture.spec import MixtureError, PartTokens, Piece

SPLIT = Algorithm("mixture_split", 1)


class PartLabels(NamedTuple):
    """The documents of a part in array order: tokens of each (end-of-text included), and its label."""

    lengths: NDArray[np.int32]
    labels: pl.Series


def labels_of(index: pa.Table, signals: pa.Table | None, signal: str) -> PartLabels:
    """Labels of a training index (`id, length`) from an attribute table (`id` and the column `signal`), or none."""
    lengths = index["length"].to_numpy()
    if signals is None:
        return PartLabels(lengths, pl.repeat(NONE, len(index), dtype=pl.String, eager=True))
    columns = pl.DataFrame(pl.from_arrow(signals.select(["id", signal])))
    kept = pl.DataFrame(pl.from_arrow(index.select(["id"])))
    found = kept.join(columns, on="id", how="left", maintain_order="left")[signal].fill_null(NONE)
    if len(found) != len(lengths):
        raise MixtureError(f"the table of {signal!r} has a document twice: {len(found)} labels of {len(lengths)}")
    return PartLabels(lengths, found)


def pieces_of(part: PartTokens, found: PartLabels) -> list[Piece]:
    """The documents of each label, sorted by label. Raises MixtureError when the index is not that of the part."""
    lengths = found.lengths.astype(np.int64)
    if len(lengths) != part.documents or int(lengths.sum()) != part.tokens:
        raise MixtureError(
            f"part {part.part!r} of {part.partition!r}: its index has {len(lengths)} documents and "
            f"{int(lengths.sum())} tokens, the plan says {part.documents} and {part.tokens}"
        )
    if not len(lengths):
        return []
    names = found.labels.unique().sort().to_list()
    codes = found.labels.replace_strict(names, list(range(len(names))), return_dtype=pl.Int32).to_numpy()
    order = np.argsort(codes, kind="stable")
    ends = np.cumsum(np.bincount(codes, minlength=len(names)))
    places = np.cumsum(lengths) - lengths
    pieces = []
    for name, start, end in zip(names, [0, *ends[:-1].tolist()], ends.tolist(), strict=True):
        rows = order[start:end]
        begins = np.flatnonzero(np.diff(rows, prepend=-2) != 1)
        sizes = np.add.reduceat(lengths[rows], begins)
        mine = part._replace(tokens=int(sizes.sum()), documents=len(rows))
        pieces.append(Piece(name, mine, places[rows[begins]], sizes, found.lengths[rows]))
    return pieces


def joined(pieces: Iterable[Piece]) -> Selection:
    """The runs of a stream's pieces, in the order of its parts."""
    every = list(pieces)
    sizes = np.concatenate([np.empty(0, np.int64), *(piece.sizes for piece in every)])
    starts = np.concatenate([np.empty(0, np.int64), *(piece.starts for piece in every)])
    return Selection(np.cumsum(sizes) - sizes, starts)


def counted(batch: PartTokens, totals: Mapping[str, tuple[int, int]]) -> list[Piece]:
    """Pieces that have counts and no runs, for weights: label -> (tokens, documents)."""
    none = np.empty(0, np.int64)
    return [
        Piece(label, batch._replace(tokens=tokens, documents=documents), none, none, none.astype(np.int32))
        for label, (tokens, documents) in sorted(totals.items())
    ]
