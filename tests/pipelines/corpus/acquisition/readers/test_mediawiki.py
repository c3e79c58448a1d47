"""MediaWiki dumps: a real head of Wikipedia, broken XML, and wikitext that a parser alone would not survive."""

import bz2
import re
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.corpus.acquisition.config import ReaderConfig
from pipelines.corpus.acquisition.readers import read_records
from pipelines.corpus.acquisition.readers.wikitext import headings, plain_text
from pipelines.corpus.acquisition.records import Drop, Record
from tests.pipelines.corpus.acquisition.archives import package_file

WIKI = ReaderConfig(format="mediawiki")
HEAD = """<mediawiki xml:lang="de"><siteinfo><base>https://de.example.org/wiki/Start</base>
<namespaces><namespace key="0"/><namespace key="6">Datei</namespace></namespaces></siteinfo>"""
HIDDEN = frozenset(("file", "category"))


def page(number: int, text: str, extra: str = "", ns: int = 0) -> str:
    return (
        f"<page><title>T {number}</title><ns>{ns}</ns><id>{number}</id>{extra}<revision><id>{number}0</id>"
        f"<timestamp>2016-04-22T10:19:33Z</timestamp><contributor><id>99</id></contributor>"
        f"<model>wikitext</model><text>{text}</text></revision></page>"
    )


def read(tmp_path: Path, data: str | bytes, config: ReaderConfig = WIKI) -> list[Record | Drop]:
    path = tmp_path / "dump.xml"
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return list(read_records(path, "d", config))


def summary(items: list[Record | Drop]) -> list[str]:
    return [str(item.body) if isinstance(item, Record) else item.reason for item in items]


def gensim_dump(name: str) -> Path:
    return package_file(f"package:gensim/test/test_data/{name}")


def test_the_head_of_a_real_dump() -> None:
    path = gensim_dump("enwiki-latest-pages-articles1.xml-p000000010p000030302-shortened.bz2")
    items = list(read_records(path, "enwiki.bz2", WIKI))
    records = [item for item in items if isinstance(item, Record)]
    with bz2.open(path) as stream:
        data = stream.read()
    assert len(items) == data.count(b"<page>") == 206
    assert len(records) == 106
    # One of the 100 redirects is outside namespace 0 and counted as such.
    assert summary(items).count("redirect") + summary(items).count("namespace") == data.count(b"<redirect ") == 100
    first = records[0]
    assert first.locator == "enwiki.bz2#12@716551092"
    assert first.url == "https://en.wikipedia.org/wiki/Anarchism"
    assert first.meta == {"title": "Anarchism"}
    assert str(first.body).startswith("Anarchism is a political philosophy that advocates self-governed societies")
    text = "\n".join(str(record.body) for record in records)
    assert len(text) > 2_500_000
    for markup in ("[[", "]]", "'''", "{|", "<ref", "<div", "Category:"):
        assert markup not in text, markup


def test_a_dump_in_utf16() -> None:
    items = list(read_records(gensim_dump("bgwiki-latest-pages-articles-shortened.xml.bz2"), "b", WIKI))
    (record,) = [item for item in items if isinstance(item, Record)]
    assert str(record.body).startswith("Григорианският календар")
    assert len(items) == 3


def test_pages_and_what_is_dropped_of_them(tmp_path: Path) -> None:
    dump = HEAD + "".join(
        [
            page(1, "one [[Datei:x.png|thumb|caption]] ''two''"),
            page(2, "x", '<redirect title="One"/>'),
            page(3, "x", ns=4),
            page(4, ""),
            page(5, "css").replace("<model>wikitext", "<model>css"),
            page(6, "x").replace("<id>6</id>", "<id>six</id>"),
            page(7, "last"),
        ]
    )
    items = read(tmp_path, dump + "</mediawiki>")
    assert summary(items) == ["one  two", "redirect", "namespace", "no_text", "not_wikitext", "bad_xml", "last"]
    assert items[0].locator == "d#1@10"
    assert items[0].url == "https://de.example.org/wiki/T_1"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("middle", "expected"),
    [
        (page(2, "a < b"), ["one", "bad_xml", "three"]),
        (page(2, "x").replace("</revision>", ""), ["one", "bad_xml", "three"]),
        ("\0", ["one", "bad_xml", "three"]),
        ("<a>" * 50_000, ["one", "bad_xml", "three"]),
        ("<page><page>" * 20, ["one", *["bad_xml"] * 20]),
    ],
)
def test_reading_goes_on_after_broken_xml(tmp_path: Path, middle: str, expected: list[str]) -> None:
    found = summary(read(tmp_path, HEAD + page(1, "one") + middle + page(3, "three") + "</mediawiki>"))
    if len(expected) == 3:
        assert [text for text in found if text != "bad_xml"] == ["one", "three"]
        assert "bad_xml" in found
    else:
        assert "bad_xml" in found
        assert found[0] == "one"


def test_a_torn_dump_names_the_page(tmp_path: Path) -> None:
    whole = HEAD + page(1, "one") + page(2, "two")
    torn = read(tmp_path, whole[:-40])
    assert summary(torn) == ["one", "torn_record"]
    assert torn[1].locator == "d#2@20"
    assert summary(read(tmp_path, bz2.compress(whole.encode())[:-20]))[-1] == "truncated_bzip2"
    assert summary(read(tmp_path, whole)) == ["one", "two", "torn_record"]


def test_entity_bombs_are_refused(tmp_path: Path) -> None:
    entities = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10 if n else "ha" * 100}">' for n in range(12))
    bomb = f"<?xml version='1.0'?><!DOCTYPE x [{entities}]>" + HEAD + page(1, "&a11;") + page(2, "two") + "</mediawiki>"
    started = time.perf_counter()
    found = summary(read(tmp_path, bomb))
    assert time.perf_counter() - started < 40
    assert found[0] == "bad_xml"
    assert "two" in found
    assert not any("haha" in text for text in found)


def test_a_text_above_the_limit_and_an_endless_tag(tmp_path: Path) -> None:
    small = ReaderConfig(format="mediawiki", max_record_bytes=2000, max_line_bytes=300_000)
    dump = HEAD + page(1, "x" * 5000) + page(2, "two") + "</mediawiki>"
    assert summary(read(tmp_path, dump, small)) == ["record_too_large", "two"]
    endless = HEAD + page(1, "one") + "<tag a='" + "x" * 2_000_000 + "'/>" + page(2, "two") + "</mediawiki>"
    found = summary(read(tmp_path, endless, small))
    assert [text for text in found if text != "bad_xml"] == ["one", "two"]
    assert "bad_xml" in found


@pytest.mark.parametrize(
    ("wikitext", "expected"),
    [
        ("'''Bold''' and ''it'' [[a|b]]s [http://x y]", "Bold and it bs y"),
        ("a{{t|{{u|[[v]]}}|x}}b", "ab"),
        ("{| class=x\n|-\n| cell {{t}}\n|}\nafter", "after"),
        ("a<ref name=x>note {{cite}}</ref>b<ref name=x />c", "abc"),
        ("a<!-- hid\nden -->b", "ab"),
        ("[[File:a.png|thumb|cap [[link]] tion]]x[[Category:y]]", "x"),
        ("[[:Category:y]] shown", ":Category:y shown"),
        ("== H ==\n\n== I ==\ntext\n=== J ===\n", "I\n\ntext"),
        ("* one\n* two\n# three", "- one\n- two\n- three"),
        ("from the Greek {{lang|grc|ἀναρχία}}, {{convert|5|km|mi}}", "from the Greek ἀναρχία, 5 km"),
        ("<math>{{a} \\over {b}}</math> is", "{{a} \\over {b}} is"),
        ("<nowiki>[[x]] {{y}}</nowiki>", "[[x]] {{y}}"),
        ("if (a &lt; b) &amp;&amp; c", "if (a < b) && c"),
        ("\x020\x02<pre>code</pre>", "0code"),
    ],
)
def test_wikitext_to_text(wikitext: str, expected: str) -> None:
    assert plain_text(wikitext, HIDDEN) == expected


PATHOLOGICAL = (
    "{{ }} [[ ]] '' '''''a_ <ref> <b>x {|\n| {{{a| {{a| [[a| [http://a_ <a_b= &amp; <!-- {{a|b=[[ [[<b>'' "
    ": [[File:a|'' <pre> </ref> ==a==\n *'''a\n {{lang|a| <nowiki>{{"
)


UNCLOSED = ("{{nowrap|_a", "{{lang|de|_a", "{{convert|1|_a", "{{cvt|_a|", "=x_ ", "= x_ =", "__A", "<ref_ ", "[[a|_b")


@pytest.mark.parametrize("start", UNCLOSED)
def test_a_construct_without_an_end_is_read_once(start: str) -> None:
    """A quarter of a megabyte; a pattern that looks for the end from each of its places would take some minutes."""
    opener, unit = start.split("_", 1) if not start.startswith("__") else ("__", "A")
    text = f"before\n{opener}{unit * (250_000 // len(unit))} y"
    started = time.process_time()
    found = plain_text(text, HIDDEN)
    assert found.startswith("before")
    assert time.process_time() - started < 10, start


PARAGRAPHS = (
    "<b>", "''a'''b", "<span>''a</span>", "''<b>''</b>", "'''<li>", "<a b=", "<br>{|", "<b ''>", "[http://a ",
    "\n*<b>", "''a'''b''c'''d",
)  # fmt: skip


@pytest.mark.parametrize("unit", PARAGRAPHS)
def test_paragraphs_of_markup_without_partners_cost_no_more_than_long_ones(unit: str) -> None:
    """The parser takes up to 300 s/MB of these."""
    text = ((unit * (6000 // len(unit))) + "word\n\n") * 10
    started = time.process_time()
    assert plain_text(text, HIDDEN).count("word") == 10
    assert time.process_time() - started < 4, unit


@given(st.lists(st.sampled_from(["=", "==", " ", "\t", "\n", "a", "\r", "\u00a0"]), max_size=14))
@settings(max_examples=300, deadline=None)
def test_headings_are_those_of_the_pattern(pieces: list[str]) -> None:
    """MediaWiki's heading as one pattern, which is quadratic on blanks."""
    text = "".join(pieces)
    pattern = re.compile(r"^(={1,6})[ \t]*(.+?)[ \t]*\1[ \t]*$", re.MULTILINE)
    expected = [(m.start(), m.end(), len(m[1]), m[2].strip(" \t")) for m in pattern.finditer(text)]
    assert [tuple(heading) for heading in headings(text)] == expected


@pytest.mark.parametrize("unit", PATHOLOGICAL.split(" "))
def test_pathological_wikitext_takes_linear_time(unit: str) -> None:
    text = unit.replace("_", " ") * (300_000 // len(unit))
    started = time.perf_counter()
    plain_text(text, HIDDEN)
    assert time.perf_counter() - started < 40, unit
