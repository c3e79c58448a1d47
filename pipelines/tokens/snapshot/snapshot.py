"""A snapshot names manifests, never parts: which batches are in it, at which digests and counts, and which are absent.

In: for every sealed batch the token arrays of every tokenizer, or the reason why there are none. Out: one row for each
(batch, tokenizer), in ordinal order. Costs nothing: no data is read.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import pyarrow as pa

from pipelines.core.artifacts import Artifact
from pipelines.core.fingerprint import Algorithm

SNAPSHOT: Final = Algorithm("corpus-snapshot", 1)

SNAPSHOT_SCHEMA: Final = pa.schema(
    [
        pa.field("ordinal", pa.int32(), nullable=False),
        pa.field("key", pa.large_string(), nullable=False),
        pa.field("source", pa.large_string(), nullable=False),
        pa.field("domain", pa.large_string(), nullable=False),
        pa.field("tokenizer", pa.large_string(), nullable=False),
        pa.field("manifest", pa.large_string()),
        pa.field("content", pa.large_string()),
        pa.field("documents", pa.int64(), nullable=False),
        pa.field("tokens", pa.int64(), nullable=False),
        pa.field("heldout_documents", pa.int64(), nullable=False),
        pa.field("absent", pa.large_string()),
    ]
)
"""`manifest` and `content` are those of the token arrays; `absent` is the reason where there are none."""


@dataclass(frozen=True)
class BatchState:
    """One sealed batch as one tokenizer sees it."""

    ordinal: int
    key: str
    source: str
    domain: str
    tokenizer: str
    arrays: Artifact | None
    absent: str | None


def snapshot_table(states: Iterable[BatchState]) -> pa.Table:
    """Rows in order of (ordinal, tokenizer)."""
    rows = []
    for state in sorted(states, key=lambda state: (state.ordinal, state.tokenizer)):
        counts = state.arrays.manifest.counts if state.arrays else {}
        rows.append(
            {
                "ordinal": state.ordinal,
                "key": state.key,
                "source": state.source,
                "domain": state.domain,
                "tokenizer": state.tokenizer,
                "manifest": state.arrays.digest if state.arrays else None,
                "content": state.arrays.content if state.arrays else None,
                "documents": counts.get("train/documents", 0),
                "tokens": counts.get("train/tokens", 0),
                "heldout_documents": counts.get("heldout/documents", 0),
                "absent": state.absent,
            }
        )
    return pa.Table.from_pylist(rows, schema=SNAPSHOT_SCHEMA)
