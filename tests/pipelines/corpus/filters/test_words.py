import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.corpus.filters.blocks import hash_words, text_blocks
from pipelines.corpus.filters.characters import character_flags
from pipelines.corpus.filters.spans import lines, sentences
from pipelines.corpus.filters.words import segment_words
from tests.pipelines.corpus.filters.corpus import DOMAINS, mixture, words_of_texts

TEXT = st.text(
    st.one_of(
        st.sampled_from(list("aAbBtns.,'’-—:/!?…\"()[]{}#%$+1 2\n\r\t中文。，かก่😀️\u2028é")),
        st.characters(codec="utf-8"),
    )
)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("It's Mr. Smith's (old) dog.", "It 's Mr. Smith 's ( old ) dog ."),
        ("We don't, they'll; you've", "We do n't , they 'll ; you 've"),
        ("wait... what?!", "wait ... what ? !"),
        ("e.g. the U.S. at 3.14% of 1,000", "e.g. the U.S. at 3.14 % of 1,000"),
        ("well-known end.Next a,b 1-2", "well - known end . Next a , b 1 - 2"),
        ("https://a.b/c-d (www.x.com/a-b).", "https://a.b/c-d ( www.x.com/a-b ) ."),
        ("[text](https://a.b/c-d)", "[ text](https://a.b / c - d )"),
        ("我们是中国人。OK!", "我 们 是 中 国 人 。 OK !"),
        ("ภาษา 한국어 かな", "ภ า ษ า 한국어 か な"),
        ("“quoted.” «x»", "“ quoted . ” « x »"),
        ("(etc.). 1.3.", "( etc . ) . 1.3 ."),
        (" 's 'tis", "'s ' tis"),
        ("$5 5$ C++ x=y", "$ 5 5 $ C++ x = y"),
        ("", ""),
        (" \n\t", ""),
    ],
)
def test_segmentation_rule(text, words):
    assert words_of_texts([text]) == [words.split()]


@settings(max_examples=300, deadline=None)
@given(st.lists(TEXT, max_size=5))
def test_words_are_the_text_without_its_white_space(texts):
    for text, words in zip(texts, words_of_texts(texts), strict=True):
        assert "".join(words) == "".join(text.split())
        assert not any(c.isspace() for word in words for c in word)


def test_real_text_is_covered_whole():
    for domain in DOMAINS:
        texts = mixture(domain, 40)
        for text, words in zip(texts, words_of_texts(texts), strict=True):
            assert "".join(words) == "".join(text.split())


@settings(max_examples=100, deadline=None)
@given(st.lists(TEXT, min_size=1, max_size=6), st.integers(1, 40))
def test_blocks_and_neighbours_change_nothing(texts, limit):
    together = words_of_texts(texts, limit)
    assert together == [words_of_texts([text])[0] for text in texts]


def test_equal_words_have_equal_hashes_and_different_ones_do_not():
    texts = [text for domain in DOMAINS for text in mixture(domain, 40)]
    seen: dict[int, str] = {}
    for block in text_blocks(pa.array(texts, pa.large_string())):
        words = segment_words(block, character_flags())
        text = block.characters.tobytes().decode("utf-32-le")
        for start, stop, value in zip(words.starts, words.stops, words.hashes.tolist(), strict=True):
            word = text[start:stop]
            assert seen.setdefault(value, word) == word
    assert len(set(seen.values())) == len(seen) > 20_000
    words = sorted(set(seen.values()))[:500]
    assert [seen[value] for value in hash_words(words).tolist()] == words


@settings(max_examples=200, deadline=None)
@given(st.lists(TEXT, max_size=4))
def test_lines_are_those_of_splitlines(texts):
    found = []
    for block in text_blocks(pa.array(texts, pa.large_string())):
        spans = lines(block)
        text = block.characters.tobytes().decode("utf-32-le")
        found += [
            [text[spans.starts[line] : spans.stops[line]] for line in range(first, last)]
            for first, last in zip(spans.offsets[:-1], spans.offsets[1:], strict=True)
        ]
    assert found == [text.splitlines() for text in texts]


def test_sentences_end_at_marks_and_lines():
    text = "Mr. Smith left. “Why?” she asked… no one\nNext line! 好。真的？\n\nEnd"
    [block] = text_blocks(pa.array([text], pa.large_string()))
    spans = sentences(block, segment_words(block, character_flags()))
    found = [text[start:stop] for start, stop in zip(spans.starts, spans.stops, strict=True)]
    assert found == ["Mr. Smith left. “", "Why?”", "she asked… no one", "Next line!", "好。", "真的？", "End"]


def test_slices_chunks_and_nulls():
    column = pa.chunked_array([pa.array(["drop", "a b", None]).slice(1), pa.array(["é c d"])])
    counts = [np.diff(segment_words(block, character_flags()).offsets).tolist() for block in text_blocks(column)]
    assert [block.first for block in text_blocks(column)] == [0, 2]
    assert counts == [[2, 0], [3]]


def test_bytes_that_are_not_utf8_are_refused_with_the_rows():
    broken = pa.Array.from_buffers(
        pa.large_string(), 1, [None, pa.py_buffer(np.array([0, 2], "<i8")), pa.py_buffer(b"\xff\xfe")]
    )
    with pytest.raises(ValueError, match="rows 0 to 0 of the text column are not UTF-8"):
        list(text_blocks(broken))
