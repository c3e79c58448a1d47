"""C4's bad words against the regular expression that defines the rule, the draw, and the lists of a folder."""

import re
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.core.decisions import decide
from pipelines.corpus.filters.bad_words import BAD_WORDS_TYPES, bad_words_part, declared, entries
from pipelines.corpus.filters.config import BadWordsConfig, FilterConfig, SignalConfig
from pipelines.corpus.filters.filter import join_signals
from pipelines.corpus.filters.keywords import KeywordListError
from tests.pipelines.corpus.filters.corpus import documents

LISTS = {
    "en": "ass\nbad word\nF.o.o\n\n  spaced \n",
    "zh": "性\n色情\n赌博\n",
    "ja": "グロ\n女の子\nエロ\n",
    "th.txt": "หี\n",
    "README.md": "ass\n",
}


@pytest.fixture
def config(tmp_path: Path) -> BadWordsConfig:
    for name, text in LISTS.items():
        (tmp_path / name).write_text(text, "utf-8")
    return declared(BadWordsConfig(folder="lists"), tmp_path)


def judged(config: BadWordsConfig, pages: list[tuple[str | None, str]]) -> pa.Table:
    tables = {"documents": documents([text for _, text in pages])}
    keys = tables["documents"].select(["id", "text_hash"])
    tables["language"] = keys.append_column("language", pa.array([code for code, _ in pages], pa.large_string()))
    return join_signals({**tables, **bad_words_part(tables, config).tables})


@pytest.mark.parametrize(
    ("language", "text", "hits"),
    [
        ("en", "What an ASS.", 1),
        ("en", "a class, passing by, ass_ _ass", 0),
        ("en", "ass", 1),
        ("en", "(ass) bad word; bad words", 2),
        ("en", "f.o.o and fXo.o", 1),
        ("zh", "性能和性别", 0),  # allowed, as in C4
        ("zh", "他们赌博成性，赌博场", 2),  # anywhere in a word
        ("yue", "賭博不是赌博", 1),
        ("ja", "グローバルなエロス", 1),
        ("th", "หีบ", 1),
        ("de", "ass", None),
        (None, "ass", None),
    ],
)
def test_hits_by_language(config: BadWordsConfig, language: str | None, text: str, hits: int | None) -> None:
    assert judged(config, [(language, text)])["bad_words_hits"].to_pylist() == [hits]


@settings(max_examples=100, deadline=None)
@given(
    text=st.text(st.sampled_from("as bdworfo.性色情赌博_é\n1ASS"), max_size=30), language=st.sampled_from(["en", "zh"])
)
def test_a_page_is_hit_when_the_regular_expression_finds_it(text: str, language: str) -> None:
    words = {"en": ["ass", "bad word", "f.o.o", "spaced"], "zh": ["色情", "赌博"]}[language]
    joined = "|".join(map(re.escape, words))
    pattern = joined if language == "zh" else rf"(?:\W|^)({joined})(?:\W|$)"
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("pipelines.corpus.filters.bad_words.entries", lambda code, config: tuple(words))
        found = judged(BadWordsConfig(folder="x", files={"en": "", "zh": ""}), [(language, text)])
    assert (found["bad_words_hits"].to_pylist()[0] > 0) is bool(re.search(pattern, text.lower()))


def test_columns_and_what_is_shown(config: BadWordsConfig) -> None:
    table = judged(config, [("en", "ass, ass and a bad word"), ("zh", "干净的一页")])
    assert {name: table.schema.field(name).type for name in BAD_WORDS_TYPES} == BAD_WORDS_TYPES
    assert table["bad_words_terms"].to_pylist() == ['{"ass": 2, "bad word": 1}', None]
    assert table["bad_words_list"].to_pylist() == ["en", "zh"]
    assert entries("zh", config) == ("色情", "赌博") and entries("en", config) == ("ass", "bad word", "f.o.o", "spaced")


def test_a_share_of_condemned_pages_is_kept_by_a_seeded_draw(config: BadWordsConfig) -> None:
    pages = [("en", f"ass number {number}") for number in range(4000)] + [("en", "clean"), ("de", "ass")]
    table = judged(config, pages)
    draws = table["bad_words_draw"].to_pylist()
    assert all(0 <= draw < 1 for draw in draws) and len(set(draws)) == len(draws)
    kept = {}
    for share in (0, 0.1, 0.5, 1):
        rules = FilterConfig(presets=("c4_bad_words",), rules={"c4_bad_words": share}).resolved()
        verdicts = decide(table, rules)["kept"].to_pylist()
        assert verdicts[-2:] == [True, True]  # no hit, and no list for the language
        kept[share] = {row for row, verdict in enumerate(verdicts[:4000]) if verdict}
        assert kept[share] == {row for row, draw in enumerate(draws[:4000]) if draw < share}  # equality drops
    assert len(kept[0]) == 0 and len(kept[1]) == 4000 and kept[0.1] < kept[0.5] and 330 < len(kept[0.1]) < 470
    again = judged(config.model_copy(update={"seed": 1}), pages)["bad_words_draw"].to_pylist()
    assert judged(config, pages[5:9])["bad_words_draw"].to_pylist() != draws[5:9]  # ids decide, here by position
    assert judged(config, pages)["bad_words_draw"].to_pylist() == draws and again != draws


def test_lists_are_found_pinned_and_refused(config: BadWordsConfig, tmp_path: Path) -> None:
    assert set(config.files) == {"en", "zh", "ja", "th"} == set(config.digests)
    assert declared(BadWordsConfig(folder="other"), tmp_path).identity() == config.identity()
    with pytest.raises(KeywordListError, match="the project file says"):
        declared(BadWordsConfig(folder="x", digests={"en": "0" * 64}), tmp_path)
    with pytest.raises(KeywordListError, match="no file"):
        declared(BadWordsConfig(folder="x", digests={"fr": "0" * 64}), tmp_path)
    (tmp_path / "zh").write_text("另一个\n", "utf-8")
    with pytest.raises(KeywordListError, match="changed while"):
        judged(config, [("zh", "赌博")])
    (tmp_path / "empty").mkdir()
    with pytest.raises(KeywordListError, match="has no list"):
        declared(BadWordsConfig(folder="x"), tmp_path / "empty")
    with pytest.raises(KeywordListError, match="no folder"):
        declared(BadWordsConfig(folder="x"), tmp_path / "gone")


def test_an_empty_list_hits_nothing(config: BadWordsConfig, tmp_path: Path) -> None:
    (tmp_path / "zh").write_text("性\n\n", "utf-8")
    assert judged(declared(BadWordsConfig(folder="x"), tmp_path), [("zh", "性")])["bad_words_hits"].to_pylist() == [0]


def test_it_needs_the_language() -> None:
    with pytest.raises(ValueError, match="`language` must be computed"):
        SignalConfig.model_validate({"language": None, "bad_words": {"folder": "x"}})
