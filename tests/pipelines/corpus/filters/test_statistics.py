from functools import cache

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.corpus.filters.blocks import text_blocks
from pipelines.corpus.filters.c4 import count_sentences
from pipelines.corpus.filters.characters import SENTENCE_END, character_flags
from pipelines.corpus.filters.config import StatisticsConfig
from pipelines.corpus.filters.statistics import column_descriptions, statistics_part
from pipelines.corpus.filters.words import segment_words
from tests.pipelines.corpus.filters.corpus import DOMAINS, documents, mixture, words_of_texts
from tests.pipelines.corpus.filters.reference import statistics

CONFIG = StatisticsConfig()
LINES = [
    "", "  ", "the end", "the end.", "Lorem ipsum dolor sit.", "Enable JavaScript now please.", "{ x } is it.",
    "- item one", "• item two", "and so on...", "to be continued…", "We use cookies on this page.",
    "A fact.[1] Another fact.[22]",
    "the cat sat on the mat and the cat sat on the mat",
    "中文句子。", "重复的一句话，重复的一句话。",
    "java[3]script is \"on\"",
    "Tail with space. ", "# head ## x", "x" * 1001 + " word end.", "PRIVACY POLICY of us!", "a b", "1 2 3.",
    "\ufffd\ufffd",
]  # fmt: skip
DOCUMENT = st.lists(
    st.tuples(st.sampled_from(LINES), st.sampled_from(["\n", "\n\n", "\r\n", "\n\n\n", "\u2028", " "])), max_size=12
).map(lambda pieces: "".join(line + end for line, end in pieces))


def sentence_count(line: str) -> int:
    [block] = text_blocks(pa.array([line], pa.large_string()))
    kinds = segment_words(block, character_flags()).flags
    return count_sentences(kinds, 0, len(kinds))


@cache
def ends() -> frozenset[str]:
    return frozenset(chr(code) for code in range(0x110000) if character_flags()[code] & SENTENCE_END)


def compare(texts):
    rows = statistics_part({"documents": documents(texts)}, CONFIG).tables["statistics"].to_pylist()
    for text, words, row in zip(texts, words_of_texts(texts), rows, strict=True):
        for name, value in statistics(text, words, ends(), sentence_count).items():
            assert row[name] == value, (name, text[:200])


@pytest.mark.parametrize("domain", DOMAINS)
def test_real_documents_equal_the_reference(domain):
    texts = mixture(domain, 60, 3)
    compare([text[:30_000] for text in texts])


@settings(max_examples=150, deadline=None)
@given(st.lists(DOCUMENT, min_size=1, max_size=3))
def test_made_documents_equal_the_reference(texts):
    compare(texts)


def test_duplicate_n_grams_skip_what_they_counted():
    text = " ".join("abcde" * 3)
    row = statistics_part({"documents": documents([text])}, CONFIG).tables["statistics"].to_pylist()[0]
    assert row["duplicate_5_gram_character_share"] == 10 / 29
    assert row["duplicate_6_gram_character_share"] == 6 / 29
    assert row["top_2_gram_character_share"] == 9 / 29
    assert row["top_4_gram_character_share"] == 21 / 29


def test_a_row_depends_on_its_text_alone():
    texts = [text for domain in DOMAINS for text in mixture(domain, 8)]
    whole = statistics_part({"documents": documents(texts)}, CONFIG).tables["statistics"]
    table = documents(texts)
    order = list(range(len(texts)))[::-1]
    turned = statistics_part({"documents": table.take(order)}, CONFIG).tables["statistics"]
    assert turned.equals(whole.take(order))
    chunked = pa.concat_tables([table.slice(0, 5), table.slice(5, 20), table.slice(25)])
    assert statistics_part({"documents": chunked}, CONFIG).tables["statistics"].equals(whole)


def test_columns_are_described_and_in_order():
    result = statistics_part({"documents": documents([])}, CONFIG)
    table = result.tables["statistics"]
    assert table.column_names == ["id", "text_hash", *column_descriptions(CONFIG)]
    assert len(table) == 0 and result.counts == {"rows_in": 0, "kept": 0}
    full = statistics_part({"documents": documents(["One text."])}, CONFIG).tables["statistics"]
    assert full.schema == table.schema


def test_nothing_to_divide_by_is_null():
    empty, blank = statistics_part({"documents": documents(["", "\n\n"])}, CONFIG).tables["statistics"].to_pylist()
    assert empty["letter_word_share"] is None and empty["duplicate_line_share"] is None and empty["n_words"] == 0
    assert blank["punctuated_line_share"] is None and blank["duplicate_nonblank_line_character_share"] is None
    assert blank["n_lines"] == 2 and blank["duplicate_line_share"] == 0.5


def test_stop_word_lists():
    config = StatisticsConfig(stop_words={"chinese": ("的", "是"), "german": ("und", "der", "die")})
    table = statistics_part({"documents": documents(["der und und Die", "我的是的"])}, config).tables["statistics"]
    assert table.column("distinct_stop_words_german").to_pylist() == [2, 0]
    assert table.column("distinct_stop_words_chinese").to_pylist() == [0, 2]
    with pytest.raises(ValueError, match=r"stop_words\.chinese: '我们' is not one word"):
        statistics_part({"documents": documents(["x"])}, StatisticsConfig(stop_words={"chinese": ("我们",)}))
    with pytest.raises(ValueError, match="give 1 to 64 different ones"):
        StatisticsConfig(stop_words={"english": ("the", "the")})


def test_a_long_document_without_spaces_stays_linear():
    row = (
        statistics_part({"documents": documents(["a." * 500_000 + "\n" + "中" * 300_000])}, CONFIG)
        .tables["statistics"]
        .to_pylist()[0]
    )
    assert row["n_characters"] == 1_300_001 and row["c4_dropped_long_word"] == 2
