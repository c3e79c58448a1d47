"""Links of real and hostile HTML."""

import time
from html.parser import HTMLParser
from urllib.parse import urldefrag, urljoin
from zipfile import ZipFile

import pytest
from hypothesis import given
from hypothesis import strategies as st

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


def test_hostile_html_is_quick() -> None:
    started = time.monotonic()
    assert links("<div>" * 100_000 + "<a href=deep>").links == ["http://h/dir/deep"]
    # A live collection walked one by one needs 35 s for 3,000 links; a slice is linear.
    assert len(links("<p>".join(f"<a href={n}>x</a>" for n in range(30_000)), limit=5000).links) == 5000
    assert time.monotonic() - started < 10


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
