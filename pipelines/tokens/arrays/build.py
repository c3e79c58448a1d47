"""One part of documents to token arrays.

In: the part's documents (sorted by id), their splits in the same row order, the tokenizer artifact. 1. Rows go to the
array of their split: `train` and `heldout`; any other split is a counted drop. 2. Texts are encoded, end-of-text
after each. 3. Counts are compared: tokens = sum of index lengths, end-of-text ids = documents. Out, per split: a flat
little-endian array (uint16 when the vocabulary allows, else uint32) and an index table `id, start, length, bytes`:
where the document's tokens start, how many they are with the end-of-text, and the UTF-8 bytes of its text (for bits
per byte). Cost: that of encoding; memory: the part's tokens.
"""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipelines.core.documents import ID_BYTES
from pipelines.core.fingerprint import Algorithm
from pipelines.tokens.arrays.config import ArraysConfig
from pipelines.tokens.tokenizer.bundle import TokenizerBundle
from pipelines.tokens.tokenizer.encode import Encoder

TOKEN_ARRAYS = Algorithm("token_arrays", 1)

SPLITS: Final = ("train", "heldout")

INDEX_SCHEMA: Final = pa.schema(
    [
        pa.field("id", pa.binary(ID_BYTES), nullable=False),
        pa.field("start", pa.int64(), nullable=False),
        pa.field("length", pa.int32(), nullable=False),
        pa.field("bytes", pa.int64(), nullable=False),
    ]
)


class ConservationError(RuntimeError):
    """Counts that must agree do not: a defect of ours, never of the input."""


class TokenArraysPart(NamedTuple):
    """Arrays and index tables by split (`train`, `heldout`), and the counts of the part."""

    arrays: dict[str, NDArray[Any]]
    tables: dict[str, pa.Table]
    counts: dict[str, int]


def token_arrays_part(
    tables: Mapping[str, pa.Table], tokenizer: TokenizerBundle | Encoder, config: ArraysConfig
) -> TokenArraysPart:
    """Encode `tables["documents"]` by the `split` column of `tables["splits"]`.

    Pass an `Encoder` to share one among the parts that a worker handles. Counts: `rows_in`, `kept`,
    `dropped/split_<name>`, and `<split>/documents`, `/tokens`, `/end_of_text`, `/bytes` for both splits. Raises
    ValueError when the two tables do not line up.
    """
    encoder = tokenizer if isinstance(tokenizer, Encoder) else Encoder.of(tokenizer)
    documents, splits = tables["documents"], tables["splits"]
    if len(documents) != len(splits) or not documents["id"].equals(splits["id"].cast(documents["id"].type)):
        raise ValueError(
            f"splits ({len(splits)} rows) do not line up with documents ({len(documents)} rows): same ids, same order"
        )
    result = TokenArraysPart({}, {}, {"rows_in": len(documents), "kept": 0})
    for split in SPLITS:
        rows = documents.select(["id", "text"]).filter(pc.fill_null(pc.equal(splits["split"], split), False))
        tokens, index = _encode_rows(rows, encoder, config.batch_documents)
        result.arrays[split] = tokens
        result.tables[split] = index
        ends = int(np.count_nonzero(tokens == encoder.facts.end_of_text_id))
        if ends != len(rows) or len(tokens) != (pc.sum(index["length"]).as_py() or 0):
            raise ConservationError(
                f"{split}: {len(rows)} documents, {ends} end-of-text, {len(tokens)} tokens do not agree"
            )
        size = pc.sum(index["bytes"]).as_py() or 0
        for name, count in (("documents", len(rows)), ("tokens", len(tokens)), ("end_of_text", ends), ("bytes", size)):
            result.counts[f"{split}/{name}"] = count
        result.counts["kept"] += len(rows)
    for entry in pc.value_counts(splits["split"]).to_pylist():
        if entry["values"] not in SPLITS:
            result.counts[f"dropped/split_{entry['values']}"] = entry["counts"]
    return result


def _encode_rows(rows: pa.Table, encoder: Encoder, batch_documents: int) -> tuple[NDArray[Any], pa.Table]:
    """Flat tokens of the rows and their index."""
    flat: list[NDArray[Any]] = [np.empty(0, dtype=encoder.dtype)]
    lengths: list[NDArray[np.int32]] = [np.empty(0, dtype=np.int32)]
    for batch in rows.to_batches(max_chunksize=batch_documents):
        tokens, counts = encoder.encode_documents(batch.column("text").to_pylist())
        flat.append(tokens)
        lengths.append(counts)
    length = np.concatenate(lengths)
    end = np.cumsum(length, dtype=np.int64)
    index = {
        "id": rows["id"].combine_chunks(),
        "start": end - length,
        "length": length,
        "bytes": pc.binary_length(rows["text"]).cast(pa.int64()).combine_chunks(),
    }
    return np.concatenate(flat), pa.table(index, schema=INDEX_SCHEMA)
