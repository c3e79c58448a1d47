"""Token arrays: splits, conservation, the index, memory maps."""

import pickle
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from pipelines.core.fingerprint import rows_digest
from pipelines.tokens.arrays.build import INDEX_SCHEMA, ConservationError, TokenArraysPart, token_arrays_part
from pipelines.tokens.arrays.config import ArraysConfig
from pipelines.tokens.arrays.reader import DocumentIndex, TokenArray
from pipelines.tokens.tokenizer.bundle import TokenizerBundle
from pipelines.tokens.tokenizer.encode import Encoder
from pipelines.tokens.tokenizer.sample import SampleDocument

CONFIG = ArraysConfig(batch_documents=7)


def _tables(documents: list[SampleDocument]) -> dict[str, pa.Table]:
    rows = sorted(documents)
    ids = pa.array([row.id for row in rows], pa.binary(16))
    kinds = ["heldout" if row.id[0] % 5 == 0 else "excluded" if row.id[0] % 7 == 0 else "train" for row in rows]
    texts = [f"{row.text}<|endoftext|>" if number % 3 != 1 else "" for number, row in enumerate(rows)]
    return {
        "documents": pa.table({"id": ids, "text": pa.array(texts, pa.large_string())}),
        "splits": pa.table({"id": ids, "split": kinds}),
    }


@pytest.fixture(scope="module")
def tables(documents: list[SampleDocument]) -> dict[str, pa.Table]:
    return _tables(documents[::6])


@pytest.fixture(scope="module")
def part(tables: dict[str, pa.Table], trained: TokenizerBundle) -> TokenArraysPart:
    return token_arrays_part(tables, trained, CONFIG)


def test_arrays_hold_the_documents_of_their_split(
    tables: dict[str, pa.Table], part: TokenArraysPart, trained: TokenizerBundle
) -> None:
    encoder = Encoder.of(trained)
    for split in ("train", "heldout"):
        tokens, index = part.arrays[split], part.tables[split]
        chosen = [
            (key, text)
            for key, text, kind in zip(
                tables["documents"]["id"].to_pylist(),
                tables["documents"]["text"].to_pylist(),
                tables["splits"]["split"].to_pylist(),
                strict=True,
            )
            if kind == split
        ]
        assert index["id"].to_pylist() == [key for key, _ in chosen]
        assert index.schema.equals(INDEX_SCHEMA)
        for row, (_, text) in zip(index.to_pylist(), chosen, strict=True):
            ids = tokens[row["start"] : row["start"] + row["length"]]
            assert ids[-1] == 0 and 0 not in ids[:-1]
            assert encoder.decode(ids[:-1]) == text
            assert row["bytes"] == len(text.encode())
        assert tokens.dtype == "<u2"


def test_counts_are_conserved(tables: dict[str, pa.Table], part: TokenArraysPart) -> None:
    counts = part.counts
    assert counts["rows_in"] == len(tables["documents"]) == counts["kept"] + counts["dropped/split_excluded"]
    assert counts["dropped/split_excluded"] > 0
    assert counts["kept"] == counts["train/documents"] + counts["heldout/documents"]
    for split in ("train", "heldout"):
        assert counts[f"{split}/tokens"] == len(part.arrays[split]) == sum(part.tables[split]["length"].to_pylist())
        assert counts[f"{split}/end_of_text"] == counts[f"{split}/documents"] > 0


def test_same_result_for_other_batches_chunks_and_a_shared_encoder(
    tables: dict[str, pa.Table], part: TokenArraysPart, trained: TokenizerBundle
) -> None:
    documents = tables["documents"]
    rechunked = pa.concat_tables([documents.slice(0, 11), documents.slice(11)])
    other = token_arrays_part(
        {"documents": rechunked, "splits": tables["splits"]}, Encoder.of(trained), ArraysConfig(batch_documents=1000)
    )
    assert other.counts == part.counts and ArraysConfig().identity() == {}
    for split in ("train", "heldout"):
        assert other.arrays[split].tobytes() == part.arrays[split].tobytes()
        assert rows_digest(other.tables[split]) == rows_digest(part.tables[split])


def test_large_vocabularies_take_four_bytes(trained: TokenizerBundle) -> None:
    assert trained.facts._replace(vocab_size=65536).dtype == "<u2"
    assert trained.facts._replace(vocab_size=65537).dtype == "<u4"


def test_rows_that_do_not_line_up_are_refused(tables: dict[str, pa.Table], trained: TokenizerBundle) -> None:
    moved = tables["splits"].take([*range(1, len(tables["splits"])), 0])
    with pytest.raises(ValueError, match="do not line up"):
        token_arrays_part({**tables, "splits": moved}, trained, CONFIG)


def test_a_wrong_count_stops_the_part(
    tables: dict[str, pa.Table], trained: TokenizerBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = Encoder.of(trained)
    real = encoder.encode_documents

    def forged(texts: list[str]) -> object:
        tokens, lengths = real(texts)
        tokens[0] = 0
        return tokens, lengths

    monkeypatch.setattr(encoder, "encode_documents", forged)
    with pytest.raises(ConservationError, match="do not agree"):
        token_arrays_part(tables, encoder, ArraysConfig())


def test_empty_part(trained: TokenizerBundle, tables: dict[str, pa.Table]) -> None:
    empty = {name: table.slice(0, 0) for name, table in tables.items()}
    result = token_arrays_part(empty, trained, CONFIG)
    assert result.counts["rows_in"] == result.counts["train/tokens"] == 0
    assert len(DocumentIndex(result.tables["train"])) == 0


def test_token_array_reads_the_file(part: TokenArraysPart, tmp_path: Path) -> None:
    path = tmp_path / "train.bin"
    path.write_bytes(part.arrays["train"].tobytes())
    array = TokenArray(path, "<u2")
    assert len(array) == len(part.arrays["train"])
    assert np.array_equal(array.read(5, 900), part.arrays["train"][5:900])
    array.close()
    assert np.array_equal(pickle.loads(pickle.dumps(array)).read(0, len(array)), part.arrays["train"])
    for start, stop in ((-1, 2), (0, len(array) + 1), (3, 2)):
        with pytest.raises(IndexError, match=r"train\.bin"):
            array.read(start, stop)
    path.write_bytes(b"\0\0\0")
    with pytest.raises(ValueError, match="damaged"):
        TokenArray(path, "<u2")
    path.write_bytes(b"")
    assert len(TokenArray(path, "<u4").read(0, 0)) == 0


def test_index_look_ups_equal_a_scan(part: TokenArraysPart) -> None:
    table = part.tables["train"]
    index = DocumentIndex(table)
    owner = np.repeat(np.arange(len(table)), table["length"].to_numpy())
    assert index.tokens == len(owner)
    for position in (*range(50), *range(0, len(owner), 997), len(owner) - 1):
        assert index.at(position) == index.span(owner[position])
    for start, stop in ((0, 1), (3, 700), (0, len(owner)), (5, 5)):
        rows = sorted(set(owner[start:stop].tolist()))
        assert index.overlapping(start, stop) == [index.span(row) for row in rows]
    for row in range(len(table)):
        assert index.find(table["id"][row].as_py()) == index.span(row)
    assert index.find(b"\xff" * 16) is None and index.find(b"\0" * 16) is None
    with pytest.raises(IndexError):
        index.at(len(owner))
    with pytest.raises(ValueError, match="16 bytes"):
        index.find(b"abc")
    with pytest.raises(ValueError, match="contiguous"):
        DocumentIndex(table.slice(1))
