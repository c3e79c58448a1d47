"""The specification of a mixture: small JSON that decides the order, and a table that says where the tokens lie.

A *stream* is the concatenation of the token arrays of one group (a source or a domain) in snapshot order; of a group
that is split by a signal there is a stream for each value, of those documents of the arrays that have it. A continued
round has two streams per group, what the parent saw and what is new. A *unit* is one training sequence of a stream: a
chunk, or a packed row. The order depends on the JSON alone; the table is needed to read tokens and to trace them.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import accumulate
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipelines.core.errors import GristmillError
from pipelines.core.fingerprint import digest_json
from pipelines.tokens.mixture.config import MixtureConfig
from pipelines.tokens.mixture.selection import Selection

ALL, NEW, REPLAY = "all", "new", "replay"


class MixtureError(GristmillError, ValueError):
    """A mixture that cannot be made as configured; the message says what would."""


class PartTokens(NamedTuple):
    """One token array (split `train`) of the snapshot: where it is, what it is, and how much."""

    partition: str
    part: str
    digest: str
    source: str
    domain: str
    tokens: int
    documents: int


class Piece(NamedTuple):
    """The documents of a part that have one label: `part` with their tokens and documents, their runs in its array
    (first token and how many), and the tokens of each document."""

    label: str
    part: PartTokens
    starts: NDArray[np.int64]
    sizes: NDArray[np.int64]
    lengths: NDArray[np.int32]


class Stream(NamedTuple):
    """The joined arrays of one group; of a split group `parts` count the selected documents alone."""

    name: str
    group: str
    role: str
    parts: tuple[PartTokens, ...]
    split: str | None = None
    """The source or domain that was split."""
    pieces: tuple[Piece, ...] = ()
    """Of a split group, one for each part, while the mixture is made."""
    selection: Selection | None = None
    """Of a split group, when its tokens are read."""

    @property
    def tokens(self) -> int:
        return sum(part.tokens for part in self.parts)

    @property
    def documents(self) -> int:
        return sum(part.documents for part in self.parts)

    @property
    def digest(self) -> str:
        parts: list[object] = [[part.partition, part.part, part.digest, part.tokens] for part in self.parts]
        return digest_json(parts if self.selection is None else [*parts, ["selection", self.selection.digest]])


class StreamSpec(NamedTuple):
    """`units` sequences exist per epoch, `examples` of them (with repeats) are drawn."""

    name: str
    group: str
    role: str
    digest: str
    tokens: int
    documents: int
    units: int
    examples: int


class MixtureSpec(NamedTuple):
    """Everything that decides which tokens example i holds."""

    seed: int
    sequence_length: int
    block_size: int
    packing: str
    long_documents: str
    streams: tuple[StreamSpec, ...]

    @property
    def examples(self) -> int:
        return sum(stream.examples for stream in self.streams)

    def to_json(self) -> bytes:
        """Canonical UTF-8 JSON."""
        value = self._asdict() | {"streams": [stream._asdict() for stream in self.streams]}
        return (json.dumps(value, sort_keys=True, indent=1) + "\n").encode()

    @classmethod
    def from_json(cls, data: bytes) -> "MixtureSpec":
        """Read back `to_json`. Raises MixtureError for anything else."""
        try:
            value = json.loads(data)
            streams = tuple(StreamSpec(**stream) for stream in value.pop("streams"))
            return cls(**value, streams=streams)
        except (TypeError, ValueError, KeyError, AttributeError) as error:
            raise MixtureError(f"not a mixture specification: {error}") from error


PARTS_SCHEMA: Final = pa.schema(
    [
        pa.field("stream", pa.large_string(), nullable=False),
        pa.field("partition", pa.large_string(), nullable=False),
        pa.field("part", pa.large_string(), nullable=False),
        pa.field("digest", pa.large_string(), nullable=False),
        pa.field("source", pa.large_string(), nullable=False),
        pa.field("domain", pa.large_string(), nullable=False),
        pa.field("tokens", pa.int64(), nullable=False),
        pa.field("documents", pa.int64(), nullable=False),
        pa.field("stream_start", pa.int64(), nullable=False),
    ]
)
"""`stream_start` is the position of the part's first token in its stream."""


def parts_table(streams: Iterable[Stream]) -> pa.Table:
    """The table of parts by stream, in stream order."""
    rows: list[dict[str, object]] = []
    for stream in streams:
        starts = accumulate((part.tokens for part in stream.parts), initial=0)
        for part, start in zip(stream.parts, starts, strict=False):
            rows.append({"stream": stream.name, **part._asdict(), "stream_start": start})
    return pa.Table.from_pylist(rows, schema=PARTS_SCHEMA)


def streams_of_table(
    spec: MixtureSpec, table: pa.Table, selections: Mapping[str, Selection] | None = None
) -> list[Stream]:
    """The streams of `spec`, in its order, from the table and, for split groups, the selections by stream.

    Raises MixtureError when their digests differ from the specification's.
    """
    by_name: dict[str, list[PartTokens]] = {stream.name: [] for stream in spec.streams}
    for row in table.to_pylist():
        if row["stream"] in by_name:
            by_name[row["stream"]].append(PartTokens(**{name: row[name] for name in PartTokens._fields}))
    found = [
        Stream(
            stream.name,
            stream.group,
            stream.role,
            tuple(by_name[stream.name]),
            selection=(selections or {}).get(stream.name),
        )
        for stream in spec.streams
    ]
    for stream, expected in zip(found, spec.streams, strict=True):
        if stream.digest != expected.digest:
            raise MixtureError(
                f"stream {stream.name!r}: the parts of the table, or what is selected from them, are not those of its "
                "specification"
            )
    return found


def group_streams(
    parts: Sequence[PartTokens],
    config: MixtureConfig,
    seen: frozenset[str] | None = None,
    divide: Callable[[PartTokens], Sequence[Piece]] | None = None,
) -> list[Stream]:
    """Join parts, given in snapshot order, into streams sorted by name.

    `seen` are the partitions that the parent was trained on; None means a base mixture, with one stream per group.
    `divide` gives the pieces of a part whose group is split; ValueError when a group is and nothing can divide it.
    """
    grouped: dict[tuple[str, str, str | None], list[PartTokens]] = {}
    pieces: dict[tuple[str, str, str | None], list[Piece]] = {}
    for part in parts:
        role = ALL if seen is None else REPLAY if part.partition in seen else NEW
        group = part.source if config.by == "source" else part.domain
        if group not in config.split:
            grouped.setdefault((role, group, None), []).append(part)
            continue
        if divide is None:
            raise ValueError(f"{group!r} is split by {config.split[group]}, which needs the labels of its documents")
        for piece in divide(part):
            key = (role, f"{group}:{piece.label}", group)
            grouped.setdefault(key, []).append(piece.part)
            pieces.setdefault(key, []).append(piece)
    streams = [
        Stream(
            group if role == ALL else f"{role}/{group}", group, role, tuple(members), split, tuple(pieces.get(key, ()))
        )
        for key, members in grouped.items()
        for role, group, split in [key]
    ]
    return sorted(streams, key=lambda stream: stream.name)
