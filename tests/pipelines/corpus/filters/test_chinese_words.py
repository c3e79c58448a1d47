"""Words of Chinese against jieba itself, on real documents of every kind and on made-up ones."""

import importlib.metadata
import importlib.util
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from pipelines.corpus import chinese_dictionary
from pipelines.corpus.filters import chinese_words, statistics
from pipelines.corpus.filters.blocks import TextBlock, text_blocks
from pipelines.corpus.filters.characters import SPACE, character_flags
from pipelines.corpus.filters.config import StatisticsConfig
from pipelines.corpus.filters.statistics import statistics_part, statistics_table
from pipelines.corpus.filters.words import Words, given_words, segment_words
from pipelines.corpus.normalization import config as normalization_config
from tests.pipelines.corpus.filters.corpus import documents, mixture
from tests.pipelines.corpus.jieba_peer import jieba_words

WORDS = StatisticsConfig(unspaced="words")
KINDS = "中文测试的一是了人我在有他这为之大来以个国上们到说时要就出会也你对生能而子那得于着下自之年过发后作里"
OTHERS = "abcXYZ019+#&._%- \n，。！？、：…—·「」（）テカかなＡ１é😀"


def words_of(texts: list[str]) -> list[list[str]]:
    found = []
    for block in text_blocks(pa.array(texts, pa.large_string())):
        words = chinese_words.chinese_words(block, segment_words(block, character_flags()))
        text = block.characters.tobytes().decode("utf-32-le")
        for first, last in zip(words.offsets[:-1], words.offsets[1:], strict=True):
            found.append([text[words.starts[word] : words.stops[word]] for word in range(first, last)])
    return found


def test_white_space_is_that_of_the_signals() -> None:
    blank = chinese_dictionary.character_classes() == chinese_dictionary.BLANK_CLASS
    assert np.array_equal(blank, character_flags() & SPACE > 0)


def test_words_are_jiebas_on_real_documents() -> None:
    texts = [text[:4000] for text in mixture("zh_general", 120, 11)]
    assert words_of(texts) == [jieba_words(text) for text in texts]


@settings(max_examples=150, deadline=None)
@given(st.lists(st.one_of(st.sampled_from(KINDS + OTHERS), st.characters(min_codepoint=0x4E00, max_codepoint=0x9FFF))))
def test_words_are_jiebas_on_any_text(characters: list[str]) -> None:
    text = "这是中文，写在前面。" * 10 + "".join(characters)  # enough of it to be Chinese
    assert words_of([text]) == [jieba_words(text)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("他来到了网易杭研大厦", ["他", "来到", "了", "网易", "杭研", "大厦"]),  # 杭研 by the model alone
        ("小明硕士毕业于中国科学院计算所", ["小明", "硕士", "毕业", "于", "中国科学院", "计算所"]),
        ("用C++写3.5%的代码……", ["用", "C++", "写", "3.5%", "的", "代码", "…", "…"]),
        ("T恤和AT&T", ["T恤", "和", "AT&T"]),
        ("〇和㐀不在词典里", ["〇", "和", "㐀", "不", "在", "词典", "里"]),
    ],
)
def test_words_by_the_dictionary_and_by_the_model(text: str, words: list[str]) -> None:
    assert words_of([text]) == [words] == [jieba_words(text)]


@pytest.mark.parametrize(
    ("text", "chinese"),
    [
        ("中文" + "x" * 38, True),  # 2 of 40 characters are 5 %
        ("中文" + "x" * 39, False),
        ("中文" * 10 + "か", True),  # kana are 5 % of the Han characters
        ("中文" * 10 + "かな", False),
        ("東京都は日本の首都で、人口が最も多い都市である。", False),
        ("x" * 10, False),
        ("", False),
    ],
)
def test_which_documents_are_chinese(text: str, chinese: bool) -> None:
    [block] = text_blocks(pa.array([text], pa.large_string()))
    before = segment_words(block, character_flags())
    after = chinese_words.chinese_words(block, before)
    if chinese:
        assert words_of([text]) == [jieba_words(text)] and len(after.starts) < len(before.starts)
    else:
        assert all(np.array_equal(old, new) for old, new in zip(before, after, strict=True))


def test_other_languages_count_as_without_the_dictionary() -> None:
    tables = {"documents": documents([*mixture("web_en", 20, 5), *mixture("code", 20, 9), "", " \n "])}
    plain = statistics_part(tables, StatisticsConfig()).tables["statistics"]
    assert statistics_part(tables, WORDS).tables["statistics"].equals(plain)


def test_statistics_count_these_words() -> None:
    texts = [text[:3000] for text in mixture("zh_general", 12, 100)]
    lists = [jieba_words(text) for text in texts]

    def theirs(block: TextBlock) -> Words:
        mine = lists[block.first : block.first + len(block.offsets) - 1]
        return given_words(block, mine, character_flags())

    table = statistics_part({"documents": documents(texts)}, WORDS).tables["statistics"]
    assert table.equals(statistics_table(documents(texts), WORDS, theirs))
    assert table["n_words"].to_pylist() == [len(words) for words in lists]


def test_a_document_counts_the_same_in_any_company() -> None:
    texts = [text[:1500] for text in mixture("zh_general", 8, 150)]
    assert words_of(texts) == [words for text in texts for words in words_of([text])]


def test_a_stop_word_of_two_characters_is_a_word_of_the_dictionary() -> None:
    settings_ = StatisticsConfig(unspaced="words", stop_words={"own": ("我们", "可以")})
    tables = {"documents": documents(["我们可以走了，我们都可以。", "大家都走了，没有人说话。"])}
    assert statistics_part(tables, settings_).tables["statistics"]["distinct_stop_words_own"].to_pylist() == [2, 0]
    with pytest.raises(ValueError, match="'我们' is not one word"):
        statistics_part(tables, settings_.model_copy(update={"unspaced": "characters"}))


def test_the_package_is_part_of_the_identity_and_its_absence_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    names = {item.name: item.version for item in statistics.algorithms_of(WORDS)}
    assert importlib.metadata.version("jieba") == "0.42.1" and names["jieba_dictionary"] == 4201
    assert statistics.algorithms_of(StatisticsConfig()) == statistics.ALGORITHMS
    found = importlib.util.find_spec
    monkeypatch.setattr(normalization_config, "find_spec", lambda wanted: None if wanted == "jieba" else found(wanted))
    with pytest.raises(ValidationError, match=r"`unspaced: words` needs the package jieba.*\[chinese\]"):
        StatisticsConfig(unspaced="words")
    StatisticsConfig(unspaced="characters")


@pytest.mark.parametrize(
    "text", ["", "no numbers here\n", "词 1 n\n" * 3 + "".join(f"词{n} {n} n\n" for n in range(70_000))]
)
def test_another_dictionary_is_refused(text: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "jieba").mkdir()
    (tmp_path / "jieba" / "dict.txt").write_text(text, "utf-8")

    class Spec:
        submodule_search_locations = (str(tmp_path / "jieba"),)

    monkeypatch.setattr(chinese_dictionary, "find_spec", lambda name: Spec)
    with pytest.raises(chinese_dictionary.DictionaryError, match="install the pinned jieba"):
        cache(chinese_dictionary.dictionary.__wrapped__)()
