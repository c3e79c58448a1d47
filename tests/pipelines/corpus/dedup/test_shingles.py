import numpy as np
import pyarrow as pa
import pytest
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.corpus.dedup import shingles as module
from pipelines.corpus.dedup.config import DedupConfig
from pipelines.corpus.dedup.shingles import blocks, shingle_hash, shingle_hash32, shingle_sets
from tests.pipelines.corpus.dedup import reference
from tests.pipelines.corpus.dedup.samples import texts

DEFAULT = DedupConfig()


def expected(text: str, config: DedupConfig) -> list[int]:
    return sorted({shingle_hash(shingle) for shingle in reference.shingles(text, config)})


def sets_of(column: list[str], config: DedupConfig) -> list[list[int]]:
    sets = shingle_sets(column, config)
    return [sets.values[a:b].tolist() for a, b in zip(sets.offsets[:-1], sets.offsets[1:], strict=True)]


@pytest.mark.parametrize("name", ["web_en", "zh_general", "code", "math_science"])
def test_real_documents_against_plain_python(name: str) -> None:
    column = texts(f"mixture/{name}", 25)
    assert sets_of(column, DEFAULT) == [expected(text, DEFAULT) for text in column]


@settings(max_examples=150, deadline=None)
@given(
    column=st.lists(st.text(st.sampled_from("aB é\n。中ไ\u0301\u200b\u200dß7，𠀀Å한ｶ_'"), max_size=60), max_size=6),
    ngram=st.integers(1, 6),
    ngram_unspaced=st.integers(1, 9),
)
def test_any_text_against_plain_python(column: list[str], ngram: int, ngram_unspaced: int) -> None:
    config = DedupConfig(ngram=ngram, ngram_unspaced=ngram_unspaced)
    assert sets_of(column, config) == [expected(text, config) for text in column]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text(st.characters(max_codepoint=0x0DFF, exclude_categories=("Cn",)), max_size=40), max_size=5))
def test_normalized_text_words_and_lines(column: list[str]) -> None:
    for block in blocks(column, DEFAULT):
        start = line_start = word_start = 0
        ends = zip(column, block.normalized_ends, block.word_ends, block.line_ends, strict=True)
        for text, end, word_end, line_end in ends:
            normalized = " ".join(word for word, _ in reference.words(text))
            assert bytes(block.normalized[start:end]).decode() == normalized
            assert word_end - word_start == len(reference.words(text))
            lines = [" ".join(word for word, _ in reference.words(line)) for line in text.split("\n")]
            hashes = [xxhash.xxh64_intdigest(line.encode()) for line in lines if line]
            assert block.lines[line_start:line_end].tolist() == hashes
            start, word_start, line_start = end, word_end, line_end


def test_short_and_empty_texts() -> None:
    assert sets_of(["", "!?", "Two words", "two, WORDS!"], DEFAULT) == [
        [],
        [],
        [shingle_hash(["two", "words"])],
        [shingle_hash(["two", "words"])],
    ]


def test_the_named_hash_of_one_shingle() -> None:
    """Pinned: the high half of sum xxh64(w_j) * PRIME64_1^(k-j); a change of it must raise the algorithm's version."""
    assert shingle_hash32(b"to be or not to") == shingle_hash(["to", "be", "or", "not", "to"]) >> 32
    total = sum(
        xxhash.xxh64_intdigest(word.encode()) * 0x9E3779B185EBCA87 ** (4 - place)
        for place, word in enumerate(["to", "be", "or", "not", "to"])
    )
    assert shingle_hash(["to", "be", "or", "not", "to"]) == total % 2**64 == 0x48A44EF251D1BC9D


def test_blocks_and_chunks_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    column = [*texts("mixture/zh_general", 6), "", "x", *texts("mixture/code", 6)]
    whole = shingle_sets(column, DEFAULT)
    monkeypatch.setattr(module, "BLOCK_BYTES", 1000)
    chunked = pa.chunked_array([pa.array(column[:3]), pa.array([], pa.string()), pa.array(["?", *column[3:]])[1:]])
    for other in (shingle_sets(column, DEFAULT), shingle_sets(chunked, DEFAULT)):
        assert np.array_equal(whole.values, other.values)
        assert np.array_equal(whole.offsets, other.offsets)


def test_broken_utf8_neither_crashes_nor_reads_outside() -> None:
    """Crawled parts are hostile: bytes that are no UTF-8 separate words."""
    raw = [b"caf\xc3", b"\xff\xfe a \x80\x80", b"\xf4\xbf\xbf\xbf", b"ok \xe4\xb8", b"\xed\xa0\x80 z"]
    column = pa.array(raw, pa.large_binary())
    column = pa.Array.from_buffers(pa.large_string(), len(raw), column.buffers())
    block = next(blocks(column, DEFAULT))
    assert np.diff(block.word_ends, prepend=0).tolist() == [1, 1, 0, 1, 1]
    assert bytes(block.normalized) == b"cafaokz"


def test_null_text_is_an_error() -> None:
    with pytest.raises(ValueError, match="null"):
        shingle_sets(pa.array(["a", None]), DEFAULT)
