import json
import re

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from pipelines.corpus.filters.config import KeywordConfig, KeywordList
from pipelines.corpus.filters.keywords import (
    KeywordListError,
    column_descriptions,
    declared,
    entries,
    keywords_part,
)
from tests.pipelines.corpus.filters.corpus import documents


def rows(texts, urls=None, **lists):
    table = documents(texts).append_column("url", pa.array(urls or [None] * len(texts), pa.large_string()))
    config = KeywordConfig(lists=lists)
    result = keywords_part({"documents": table}, config).tables["keywords"]
    assert result.column_names == ["id", "text_hash", *column_descriptions(config)]
    return result.to_pylist()


def hits(text, *terms, allow=()):
    row = rows([text], x=KeywordList(terms=terms, allow=allow))[0]
    return json.loads(row["keyword_x_terms"] or "{}")


@pytest.mark.parametrize(
    ("text", "term", "found"),
    [
        ("class", "ass", 0),
        ("ass", "ass", 1),
        ("An ASS, an ass.", "ass", 2),
        ("ass_hole ass1", "ass", 0),
        ("(ass)", "ass", 1),
        ("Buy  now", "buy now", 0),
        ("Buy now!", "buy now", 1),
        ("在线博彩平台", "博彩", 1),
        ("性能很好", "性", 1),
        ("加VX了解", "加vx", 1),
        ("加VXA了解", "加vx", 0),
        ("加ＶＸ了解", "加vx", 1),
        ("看AV女优", "av女优", 1),
        ("JAVA女优", "av女优", 0),
        ("グローバル", "グロ", 0),
        ("これはグロい", "グロ", 1),
        ("グロ画像", "グロ", 1),
        ("온라인도박을 하다", "도박", 0),
        ("온라인 도박을 하다", "도박", 1),
        ("sns에서", "sns", 1),
        ("พนันออนไลน์", "พนัน", 1),
        ("เกม", "เก", 1),
        ("กี่", "ก", 0),
        ("порно", "порн", 0),
        ("cafe\u0301", "cafe", 0),
        ("naïve", "naïve", 1),
        ("ass中文ass", "ass", 2),
    ],
)
def test_word_boundaries_of_every_script(text, term, found):
    assert hits(text, term).get(term, 0) == found


def test_allowed_terms_shelter_their_hits():
    assert hits("性能和性别，以及性。", "性", allow=("性能", "性别")) == {"性": 1}
    assert hits("性能性能", "性", "能性", allow=("性能",)) == {"能性": 1}


def test_of_overlapping_hits_the_leftmost_longest_counts():
    assert hits("online casino bonus", "casino", "casino bonus", "online casino") == {"online casino": 1}
    assert hits("博彩博彩彩票", "博彩", "博彩彩票", "彩票") == {"博彩": 1, "博彩彩票": 1}


def test_counts_and_shares():
    text = "Casino here.\n\n  \nNo hit, 博彩 and CASINO 博彩"
    row = rows([text, "", "nothing"], x=KeywordList(terms=("casino", "博彩")))
    assert row[0]["keyword_x_hits"] == 4 and row[0]["keyword_x_distinct"] == 2
    assert row[0]["keyword_x_per_line"] == 2 and row[0]["keyword_x_character_share"] == 16 / len(text)
    assert json.loads(row[0]["keyword_x_terms"]) == {"casino": 2, "博彩": 2}
    assert row[1]["keyword_x_hits"] == 0 and row[1]["keyword_x_per_line"] is None and row[1]["keyword_x_terms"] is None
    assert row[2]["keyword_x_per_line"] == 0


ALPHABET = st.text(st.sampled_from("abç é_-9.\n"), max_size=25)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(ALPHABET, min_size=1, max_size=3),
    st.sets(st.text(st.sampled_from("abç é-"), min_size=1, max_size=4), min_size=1),
)
def test_spaced_scripts_equal_a_regular_expression(texts, terms):
    """Leftmost-longest with word boundaries is an alternation, longest first, between look-arounds."""
    wanted = sorted({term.strip() for term in terms} - {""}, key=lambda term: (-len(term), term))
    if not wanted:
        return
    edges = [
        ("(?<!\\w)" if term[0].isalnum() else "") + re.escape(term) + ("(?!\\w)" if term[-1].isalnum() else "")
        for term in wanted
    ]
    pattern = re.compile("|".join(edges))
    for text, row in zip(texts, rows(texts, x=KeywordList(terms=tuple(wanted))), strict=True):
        assert row["keyword_x_hits"] == len(pattern.findall(text))


URLS = {
    "https://Casino.example.com/a/b-c?x=1": ({"domains": ("example.com",)}, 1),
    "http://example.com.evil.net/": ({"domains": ("example.com",)}, 0),
    "https://notexample.com": ({"domains": ("example.com",)}, 0),
    "https://www.example.com:8080/": ({"domains": ("www.example.com",)}, 1),
    "https://bücher.example/": ({"domains": ("xn--bcher-kva.example",)}, 1),
    "https://a.org/blog/post": ({"urls": ("https://a.org/blog/",)}, 1),
    "https://a.org/blogs": ({"urls": ("a.org/blog",)}, 0),
    "http://a.org/free-Casino/slots": ({"url_words": ("casino", "slots", "slot")}, 2),
    "http://a.org/casinos": ({"url_words": ("casino",)}, 0),
    "http://hot-ca.sino.org/": ({"url_substrings": ("casino",)}, 1),
    "http://[::1": ({"domains": ("example.com",)}, 0),
    "http://x.org/%E5%8D%9A%E5%BD%A9": ({"url_words": ("博彩",)}, 1),
}


@pytest.mark.parametrize("url", URLS)
def test_url_lists(url):
    [(kind, terms)], found = URLS[url][0].items(), URLS[url][1]
    assert rows([""], [url], x=KeywordList(kind=kind, terms=terms))[0]["url_x_hits"] == found


def test_no_url_is_null_and_entries_are_shown():
    lists = {"bad": KeywordList(kind="domains", terms=("example.com", "com"))}
    none, some = rows(["", ""], [None, "http://example.com"], **lists)
    assert none["url_bad_hits"] is None and none["url_bad_terms"] is None
    assert some["url_bad_hits"] == 2 and json.loads(some["url_bad_terms"]) == ["com", "example.com"]


def test_files_are_read_and_pinned(tmp_path):
    path = tmp_path / "words.txt"
    path.write_text("# a comment\nCasino\n\n 博彩 \ncasino\n", "utf-8")
    wanted = declared(KeywordList(path="words.txt"), path)
    assert entries(wanted) == ("casino", "博彩") and wanted.digest in json.dumps(wanted.identity())
    assert KeywordList(path="a").identity() == KeywordList(path="b").identity()
    with pytest.raises(KeywordListError, match="the project file says"):
        declared(KeywordList(path="words.txt", digest="0" * 64), path)
    path.write_bytes(b"caf\xe9\n")
    with pytest.raises(KeywordListError, match="not UTF-8 at byte 3"):
        entries(declared(KeywordList(path="words.txt"), path))
    with pytest.raises(KeywordListError, match="no keyword list"):
        declared(KeywordList(path="words.txt"), tmp_path / "absent.txt")
    with pytest.raises(KeywordListError, match="is empty"):
        entries(KeywordList())


def test_built_in_lists():
    row = rows(
        ["Please enable JavaScript. We use cookies! 点击购买"],
        spam=KeywordList(builtin="spam"),
        n=KeywordList(builtin="notices"),
    )[0]
    assert row["keyword_spam_hits"] == 1 and row["keyword_n_hits"] == 2


def test_a_hostile_document_takes_time_in_proportion():
    row = rows(["性" * 200_000 + " casino" * 20_000], x=KeywordList(terms=("性", "casino"), allow=("性能",)))[0]
    assert row["keyword_x_hits"] == 220_000


def test_bad_settings_are_named():
    with pytest.raises(ValidationError, match="kind"):
        KeywordList.model_validate({"kind": "regex"})
    with pytest.raises(ValidationError, match="lists"):
        KeywordConfig.model_validate({"lists": {"bad name": {}}})
