"""A mixture from a snapshot: streams, layouts, weights, specification.

In: the train arrays of a snapshot in its order, the configuration, the number of examples (steps x batch), for a
continued round the partitions that the parent saw, for best-fit packing the lengths of the documents, and for groups
that are split the pieces of their parts. 1. Parts, or pieces of them, are joined into streams. 2. Streams are cut
into units. 3. Weights are resolved under the caps. 4. Streams that give no example are left out of the specification,
so data that a lane does not use does not change its digest. Out: `Mixture`. Cost: milliseconds, plus packing and
splitting where they are asked for.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipelines.tokens.mixture.config import MixtureConfig
from pipelines.tokens.mixture.layout import Chunks, Layout
from pipelines.tokens.mixture.packing import RowTable, pack_stream
from pipelines.tokens.mixture.selection import Selection
from pipelines.tokens.mixture.spec import (
    MixtureSpec,
    PartTokens,
    Piece,
    Stream,
    StreamSpec,
    group_streams,
    parts_table,
)
from pipelines.tokens.mixture.split import joined
from pipelines.tokens.mixture.weights import WeightRow, resolve_weights, weights_table


class Mixture(NamedTuple):
    """The specification, its parts, the weights of all streams (also those left out), row tables, and the selections
    of streams of split groups."""

    spec: MixtureSpec
    parts: pa.Table
    weights: list[WeightRow]
    rows: dict[str, RowTable]
    selections: dict[str, Selection]

    def weights_table(self) -> pa.Table:
        """The weights as a table, one row per stream."""
        return weights_table(self.weights)


def build_mixture(
    parts: Sequence[PartTokens],
    config: MixtureConfig,
    examples: int,
    seen: frozenset[str] | None = None,
    document_lengths: Callable[[PartTokens], NDArray[np.int32]] | None = None,
    divide: Callable[[PartTokens], Sequence[Piece]] | None = None,
) -> Mixture:
    """Plan a mixture of exactly `examples` sequences. Raises MixtureError as `resolve_weights` does.

    `document_lengths` gives the `length` column of a part's index; best-fit packing cannot do without.
    `divide` gives the pieces of a part (`split.pieces_of`); a mixture with split groups cannot do without.
    """
    streams = [
        stream._replace(selection=joined(stream.pieces)) if stream.split else stream
        for stream in group_streams(parts, config, seen, divide)
    ]
    rows: dict[str, RowTable] = {}
    if config.packing == "best_fit":
        if document_lengths is None:
            raise ValueError("best-fit packing needs document_lengths, the lengths of each part's documents")
        for stream in streams:
            whole = (document_lengths(part) for part in stream.parts)
            lengths = (piece.lengths for piece in stream.pieces) if stream.split else whole
            rows[stream.name] = pack_stream(lengths, config.sequence_length, config.long_documents)
    units = {stream.name: _layout(stream, config, rows).units for stream in streams}
    weights = resolve_weights(streams, units, config, examples)
    drawn = {row.stream: row.examples for row in weights}
    used = [stream for stream in streams if drawn[stream.name]]
    specs = tuple(
        StreamSpec(
            stream.name,
            stream.group,
            stream.role,
            stream.digest,
            stream.tokens,
            stream.documents,
            units[stream.name],
            drawn[stream.name],
        )
        for stream in used
    )
    spec = MixtureSpec(
        config.seed, config.sequence_length, config.block_size, config.packing, config.long_documents, specs
    )
    kept = {stream.name: rows[stream.name] for stream in used if stream.name in rows}
    selections = {stream.name: stream.selection for stream in used if stream.selection is not None}
    return Mixture(spec, parts_table(used), weights, kept, selections)


def _layout(stream: Stream, config: MixtureConfig, rows: dict[str, RowTable]) -> Layout:
    return rows[stream.name] if stream.name in rows else Chunks(stream.tokens, config.sequence_length)


def layouts(spec: MixtureSpec, rows: dict[str, RowTable]) -> list[Layout]:
    """The layout of each stream of a specification; ValueError when a row table is missing or has other rows."""
    found: list[Layout] = []
    for stream in spec.streams:
        if spec.packing == "concat":
            layout: Layout = Chunks(stream.tokens, spec.sequence_length)
        elif stream.name in rows:
            layout = rows[stream.name]
        else:
            raise ValueError(f"stream {stream.name!r} is packed, but its row table is not here")
        if layout.units != stream.units:
            raise ValueError(f"stream {stream.name!r} has {layout.units} units, its specification says {stream.units}")
        found.append(layout)
    return found
