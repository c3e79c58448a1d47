"""Links of real and hostile HTML."""

import time
from html.parser import HTMLParser
from urllib.parse import urldefrag, urljoin
from zipfile import ZipFile

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from resiliparse.parse.html import HTMLTree

from pipelines.corpus.acquisition.crawl.links import PageLinks, page_links
from tests.shared_data import shared

URL = "http://h/dir/page.html"


def links(html: str | bytes, limit: int = 10_000, nofollow: bool = True, **changes: str) -> PageLinks:
    body = html.encode() if isinstance(html, str) else html
    values = {"charset": "utf-8", "robots_tag": "", **changes}
    return page_links(body, URL, limit=limit, respect_nofollow=nofollow, **values)


def test_kinds_of_links() -> None:
    html = """<base href='/base/'><base href='/second/'><a href='a'>1</a><A HREF=' b c '>2</A><area href=d>
    <iframe src=e></iframe><link href=style.css><img src=i.png><a name=x>n</a><a href='#here'>h</a>
    <a href='a#there'>again</a>    <!-- <a href=comment></a> --><script>"<a href=script>"</script>
    <a href='mailto:x@y'>m</a>
    <a href='q?a=1&amp;b=2'>q</a>"""
    assert links(html).links == [f"http://h/base/{name}" for name in ("a", "b c", "d", "e")] + [
        "mailto:x@y",
        "http://h/base/q?a=1&b=2",
    ]


def test_nofollow() -> None:
    assert links("<a rel='x NoFollow' href=a></a><a href=b></a>").links == ["http://h/dir/b"]
    assert links("<meta name=Robots content='noindex, NOFOLLOW'><a href=a></a>").links == []
    assert links("<a href=a></a>", robots_tag="none").links == []
    assert len(links("<meta name=robots content=nofollow><a rel=nofollow href=a></a>", nofollow=False).links) == 1


def test_the_limit_counts_what_it_cuts() -> None:
    assert links("".join(f"<a href={n}></a>" for n in range(10)), limit=4).cut == 6


def test_a_deep_page_has_its_links() -> None:
    assert links("<div>" * 100_000 + "<a href=deep>").links == ["http://h/dir/deep"]


HOSTILE = {
    "attributes of one tag": lambda n: "<a " + "".join(f"x{i}=1 " for i in range(n)) + "href=y>",
    "attributes of the page": lambda n: "".join(f"<body x{i}=1>" for i in range(n)) + "<a href=y>",
    "end tags of nothing": lambda n: "<i></b>" * n + "<a href=y>",
    "links in links": lambda n: "<span>" * n + "<a>" * n + "<a href=y>",
    "names": lambda n: "".join(f"<x{i}>" for i in range(n)) + "<a href=y>",
    "links under a long base": lambda n: f"<base href='{'x' * n}/'>" + "<a href=y>" * n,
    "open tags": lambda n: "<a href=y>" + "<" * n,
    "open quotes": lambda n: "<a href=y>" + "<a href='" * n + '"',
    "open comments": lambda n: "<a href=y>" + "<!--" * n,
    "open scripts": lambda n: "<a href=y>" + "<script><!--" * n,
    "open texts": lambda n: "<a href=y>" + "<title></titl" * n,
    "white space": lambda n: "<a href=y>" + "<a" + " \n" * n,
    "equals signs": lambda n: "<a href=y>" + "<a " + "x =" * n,
    "references": lambda n: f"<a href=y><a href='#{'&a' * n}&#{'1' * n};'>",
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("shape", HOSTILE)
def test_hostile_html_costs_by_its_size(shape: str) -> None:
    """A tree builder needs 6 minutes for 4 MB of one tag's attributes, and 25 seconds for 1 MB of `<i></b>`."""
    page = HOSTILE[shape](80_000)
    began = time.process_time()
    assert links(page).links == ["http://h/dir/y"]
    assert time.process_time() - began < 6


def test_a_base_is_no_longer_than_a_url() -> None:
    assert links(f"<base href='{'x' * 4095}/'><a href=y>").links == [f"http://h/dir/{'x' * 4095}/y"]
    assert links(f"<base href='{'x' * 4096}/'><a href=y>").links == ["http://h/dir/y"]


@pytest.mark.timeout(30)
def test_a_charset_of_host_names_is_none() -> None:
    assert links(b"<a href=y>-" + b"a" * 2_000_000, charset="punycode").links == ["http://h/dir/y"]


PIECES = (
    "<a href=1>", '<a href="2>3" >', "</a>", "<!-- ", "-->", "<!-->", "--!>", "<p>", "<script>", "</script>", "<style>",
    "</style >", "<title>", "</title>", "<svg>", "</svg>", "<![CDATA[", "]]>", "<textarea>", "</textarea>",
    "<A HREF = '4&amp;x&copy=1&copy;&notit;&lt'>", "<a href=5/6/>", "<a x href=7>", "<a href href=8>", "<a/href=9>",
    "<a\nhref\n=\n10\n>", "<a =href=11>", "<a href=>", "<a href='' x>", "<area href=12>", "<iframe src=13></iframe>",
    "<iframe src=14>", "</iframe>", "<base href=/b/>", "<base href=/c/>", "<link rel=canonical href=15>", "<noscript>",
    "</noscript>", "<div>", "</div>", '<a "href=16>', '<a href="17', ">", '"', "'", "<", "</", "<?x>", "<!x>", "</ x>",
    "text", "&", '<img alt="<a href=18>">', "<xmp>", "</xmp>", "<b>", "</b>", "<table>", "<td>", "</table>",
    "<a rel=nofollow href=19>", "<meta name=robots content=nofollow>", "<a href='&#x41;&#0;&#150;&#99999999;'>",
    "<a href=x\0y>", "<template>", "</template>", "<a href=20 href=21>", "<a href=\x0b22>", "<script><!--<script>",
)  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=12), st.booleans())
def test_tag_soup_equals_a_tree_builder(pieces: list[str], nofollow: bool) -> None:
    """Against lexbor, which builds the tree: its links in the tree's order are ours in the source's."""
    html = "<body>" + "".join(pieces)
    # What stands in the text of an SVG title or style is HTML again or not, as the elements around it say.
    assume("<svg>" not in pieces or not {"<title>", "<style>", "<textarea>", "<xmp>", "<iframe src=14>"} & {*pieces})
    document = HTMLTree.parse_from_bytes(html.encode(), "utf-8").document
    base = document.query_selector("base[href]")
    base_url = urljoin(URL, base.getattr("href")) if base is not None else URL
    robots = document.query_selector("meta")
    found: dict[str, None] = {}
    for element in document.query_selector_all("a[href], area[href], iframe[src]")[:]:
        reference = element.getattr("src" if element.tag == "iframe" else "href")
        if not (reference.startswith("#") or (nofollow and element.getattr("rel") == "nofollow")):
            found[urldefrag(urljoin(base_url, reference.strip(" \n\x0b")))[0]] = None
    assert set(links(html, nofollow=nofollow).links) == (set() if nofollow and robots is not None else set(found))


@given(st.binary(max_size=200), st.sampled_from(["utf-8", "rot13", "no-such", "utf-16", "base64", "\x00", "gb18030"]))
def test_any_bytes_in_any_charset(body: bytes, charset: str) -> None:
    links(b"<a href='" + body, charset=charset)


class _Oracle(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: dict[str, None] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        href = dict(attrs).get("href")
        if tag in ("a", "area") and href is not None and not href.startswith("#"):
            self.found[urldefrag(urljoin(URL, href))[0]] = None


def test_real_pages_equal_the_standard_parser() -> None:
    with ZipFile(shared("crawl_site/python_docs_en.zip")) as archive:
        for name in sorted(archive.namelist())[:12]:
            body = archive.read(name)
            oracle = _Oracle()
            oracle.feed(body.decode())
            assert links(body, nofollow=False).links == list(oracle.found)


@pytest.mark.parametrize(
    ("head", "header", "canonical"),
    [
        ('<link rel="canonical" href="/b?x=1#part">', "", "http://h/b?x=1"),
        ('<base href="http://h/dir/"><LINK REL="nofollow Canonical" HREF="b">', "", "http://h/dir/b"),
        ('<link rel="alternate" href="/c"><link rel="canonical" href="//Other/%7Eb">', "", "http://other/~b"),
        ("", '<http://h/c>; rel="preload", </b>; type="text/html"; rel="canonical"', "http://h/b"),
        ("", "</b>; rel=canonical", "http://h/b"),
        ('<link rel="canonical" href="/b">', '</c>; rel="canonical"', "http://h/b"),
        ('<meta name="robots" content="nofollow"><link rel="canonical" href="/b">', "", "http://h/b"),
        ('<link rel="canonical" href="javascript:x">', "", None),
        ('<link rel="canonical" href="http://[">', '<mailto:a@b>; rel="canonical"', None),
        ("", "</b>; rel=alternate", None),
    ],
)
def test_the_canonical_url_is_noted(head: str, header: str, canonical: str | None) -> None:
    body = f"<html><head>{head}</head><body><a href='/x'>x</a></body></html>".encode()
    found = page_links(body, "http://h/a", charset=None, limit=10, respect_nofollow=True, link_header=header)
    assert found.canonical == canonical
