"""Surface signals against a plain-Python account written from the published rules."""

import html
import math
import re
from collections import Counter

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.corpus.filters.characters import han_variants
from pipelines.corpus.filters.config import SurfaceConfig
from pipelines.corpus.filters.surface import column_descriptions, surface_part
from tests.pipelines.corpus.filters.corpus import DOMAINS, documents, mixture, words_of_texts

CONFIG = SurfaceConfig()
COUNTER = re.compile(
    r"^\W*\d(?:,|\.|\d)*(?:k|m|b)?\s+(?:likes|shares|comments|retweets|reposts|quotes|bookmarks|upvotes|downvotes|downloads"
    r"|views|followers)\W*$"
)


def rows(texts, config=CONFIG):
    return surface_part({"documents": documents(texts)}, config).tables["surface"].to_pylist()


def repetition(text, n):
    counts = sorted(Counter(text[i : i + n] for i in range(len(text) - n + 1)).values(), reverse=True)
    several = [count for count in counts if count > 1][: math.isqrt(len(counts))]
    return sum(several) / sum(counts) if counts else None


def kind_of_line(line):
    """The line-wise correction that an English line meets; the phrases and Chinese counters are tested by example."""
    if not line:
        return None
    if sum(c.isupper() or c.istitle() for c in line) / len(line) > 0.5:
        return "uppercase"
    if sum(c.isdecimal() for c in line) == len(line):
        return "numeric"
    if COUNTER.search(line.lower()):
        return "counter"
    return "single_word" if len(line.split()) == 1 else None


def compare(texts):
    for text, words, row in zip(texts, words_of_texts(texts), rows(texts), strict=True):
        kinds = Counter(kind_of_line(line) for line in text.split("\n"))
        for name in ("uppercase", "numeric", "counter", "single_word"):
            assert row[f"refinedweb_{name}_lines"] == kinds[name], (name, text[:200])
        for n in CONFIG.character_grams:
            assert row[f"character_{n}_gram_repetition_share"] == repetition(text, n)
        grams = Counter(tuple(words[i : i + 5]) for i in range(len(words) - 4))
        repeated = sum(count for count in grams.values() if count > 1)
        assert row["repeated_word_5_gram_share"] == (repeated / grams.total() if grams else None)
        assert row["long_lines"] == sum(len(line) >= 200 for line in text.split("\n"))


@pytest.mark.parametrize("domain", sorted(set(DOMAINS) - {"zh_general"}))
def test_real_documents_equal_the_reference(domain):
    ascii_texts = [text[:20_000].encode("ascii", "ignore").decode() for text in mixture(domain, 60, 3)]
    compare(ascii_texts)


LINES = st.sampled_from(
    ["", "Hello there.", "ALL CAPS", "HALF half", "12", "12 3", "3 likes", "(1.2K  views)", "1,2 k likes", "likes 3",
     "one", " x ", "a b c d", "12 followers!", "12 followers of", "the cat and the cat and the cat and the cat"]
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.lists(st.lists(LINES, max_size=8).map("\n".join), min_size=1, max_size=3))
def test_made_documents_equal_the_reference(texts):
    compare(texts)


@pytest.mark.parametrize(
    "line", ["评论(12)", "阅读 1.2万", "3个赞", "12 条评论", "赞 3", "1.5万次播放", "【收藏 20】", "关注：1,024"]
)
def test_chinese_counters(line):
    assert rows([line])[0]["refinedweb_counter_lines"] == 1


@pytest.mark.parametrize("line", ["评论区有12个人在说话", "他读了3本书", "喜欢的人有两个", "3月的阅读计划是什么", "12"])
def test_chinese_lines_that_only_look_like_counters(line):
    assert rows([line])[0]["refinedweb_counter_lines"] == 0


@pytest.mark.parametrize(
    ("text", "lines", "share"),
    [
        ("there are 3 items in cart now", 1, 3 / 7),
        ("so this is how it goes Read more...", 1, 2 / 8),
        ("Read more... is not at the end", 0, 0),
        ("Sign-in to see this", 1, 2 / 5),
        ("one two three four five six seven eight nine items in cart", 0, 0),
        ("one two three four five six seven items in cart", 1, 3 / 10),
        ("这件商品已加入购物车 请看", 1, 5 / 12),
    ],
)
def test_phrases_are_taken_out_of_short_lines(text, lines, share):
    row = rows([text])[0]
    assert row["refinedweb_phrase_lines"] == lines
    assert row["refinedweb_removed_word_share"] == pytest.approx(share)


def test_a_chinese_line_is_no_single_word():
    menu, character = rows(["首页\n关于我们", "的\n的"])
    assert menu["refinedweb_single_word_lines"] == 0 and character["refinedweb_single_word_lines"] == 2


@pytest.mark.parametrize(("upper", "removed"), [(4, 0), (5, 0), (6, 1)])
def test_more_than_half_upper_case_at_the_boundary(upper, removed):
    assert rows(["A" * upper + " " + "a" * (9 - upper)])[0]["refinedweb_uppercase_lines"] == removed


@pytest.mark.parametrize(
    ("text", "tags", "characters"),
    [
        ("<p>x</p>", 2, 7),
        ("<DIV class='a'>x", 1, 15),
        ("<br/>", 1, 5),
        ("List<String> a < b > c", 0, 0),
        ("<p <b>", 1, 3),
        ("<p", 0, 0),
        ("<paragraph>", 0, 0),
        ("< p>", 0, 0),
        ("<a " + "x" * 3000 + ">", 0, 0),
    ],
)
def test_tags(text, tags, characters):
    row = rows([text])[0]
    assert row["html_tags"] == tags and row["html_tag_character_share"] == characters / len(text)


def test_entities_are_those_that_html_knows():
    for name in ("amp", "nbsp", "CounterClockwiseContourIntegral", "#65", "#x41", "#X1F600"):
        assert rows([f"a &{name}; b"])[0]["html_entities"] == 1 and html.unescape(f"&{name};") != f"&{name};"
    for text in ("&amp", "&nothing;", "&#xZZ;", "&#;", "AT&T; x", "& amp;", "&#12a;"):
        assert rows([text])[0]["html_entities"] == 0, text


ORDINARY = st.sampled_from(
    [
        "naïve",
        "café",
        "–",
        "“quoted”",
        "—",
        "don’t",
        "…",
        "100",
        "€",
        "Straße",
        "Ünal",
        "ÉCOLE",
        "ÃO",
        "ÎLE",
        "中文",
        "русский",
        "°C",
        "©2020",
        "«été»",
        "ÀÉÎÕÜ",
    ]
)


@given(st.lists(ORDINARY, max_size=10).map(" ".join))
def test_ordinary_text_has_no_mojibake(text):
    assert rows([text])[0]["mojibake_sequences"] == 0


@pytest.mark.parametrize("character", "é’“—€中文🙂ñ…")
@pytest.mark.parametrize("encoding", ["latin-1", "cp1252"])
def test_utf8_read_as_another_encoding_is_mojibake(character, encoding):
    try:
        broken = character.encode().decode(encoding)
    except UnicodeDecodeError:
        broken = character.encode().decode("latin-1")
    assert rows([f"a{broken}b{broken}"])[0]["mojibake_sequences"] == 2


def test_known_runs_of_broken_chinese():
    assert rows(["锟斤拷锟斤拷 烫烫烫"])[0]["mojibake_sequences"] == 3


def test_broken_and_invisible_characters():
    row = rows(["a\x00b\x1fc\td\r\n\x7f\x9f\u200b\u200d\ufeff\u00ad"])[0]
    assert row["control_characters"] == 4 and row["zero_width_characters"] == 3


def test_traditional_and_simplified_are_told_apart():
    variants = han_variants()
    assert [variants[ord(c)] for c in "資资對对的体a"] == [1, 2, 1, 2, 0, 0, 0]
    row = rows(["資訊的对话"])[0]
    assert row["traditional_character_share"] == 2 / 5 and row["simplified_character_share"] == 2 / 5


def test_columns_order_nulls_and_rows():
    texts = ["", *(text for domain in DOMAINS for text in mixture(domain, 6))]
    table = surface_part({"documents": documents(texts)}, CONFIG).tables["surface"]
    assert table.column_names == ["id", "text_hash", *column_descriptions(CONFIG)]
    order = list(range(len(texts)))[::-1]
    turned = surface_part({"documents": documents(texts).take(order)}, CONFIG).tables["surface"]
    assert turned.equals(table.take(pa.array(order)))
    empty = table.slice(0, 1).to_pylist()[0]
    assert empty["letter_character_share"] is None and empty["character_10_gram_repetition_share"] is None
    nothing = surface_part({"documents": documents([])}, CONFIG)
    assert nothing.tables["surface"].schema == table.schema and nothing.counts == {"rows_in": 0, "kept": 0}
