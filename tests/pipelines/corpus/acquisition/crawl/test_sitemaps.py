"""Sitemaps: the protocol's forms, hostile XML, and crawls that start from them."""

import gzip
import tracemalloc
from pathlib import Path

import pytest

from pipelines.corpus.acquisition.crawl.sitemaps import Sitemap, parse_sitemap
from tests.pipelines.corpus.acquisition.crawl.crawls import archived, begin, run
from tests.pipelines.corpus.acquisition.crawl.loopback import FakeClock, Reply, page, serve

NAMESPACE = 'xmlns="http://www.sitemaps.org/schemas/sitemap/0.9"'


def parse(body: bytes, limit: int = 100, max_bytes: int = 1 << 20) -> Sitemap:
    return parse_sitemap(body, "http://h/maps/sitemap.xml", limit=limit, max_bytes=max_bytes)


def urlset(*places: str) -> bytes:
    return f"<urlset {NAMESPACE}>{''.join(f'<url><loc>{place}</loc></url>' for place in places)}</urlset>".encode()


def index(*places: str) -> bytes:
    inner = "".join(f"<sitemap><loc>{place}</loc></sitemap>" for place in places)
    return f"<?xml version='1.0' encoding='UTF-8'?><sitemapindex {NAMESPACE}>{inner}</sitemapindex>".encode()


FORMS = {
    "urlset": urlset("http://h/a", " http://h/b?x=1&amp;y=2\n"),
    "prefixed": b'<sm:urlset xmlns:sm="http://www.sitemaps.org/schemas/sitemap/0.9" xmlns:image="i">'
    b"<sm:url><sm:loc>http://h/a</sm:loc><image:image><image:loc>http://h/a.png</image:loc></image:image></sm:url>"
    b"<sm:url><sm:loc><![CDATA[http://h/b?x=1&y=2]]></sm:loc></sm:url></sm:urlset>",
    "hreflang": b'<urlset xmlns:xhtml="x"><url><loc>http://h/a</loc><xhtml:link rel="alternate" href="http://h/de"/>'
    b"</url><url><loc>http://h/b?x=1&amp;y=2</loc></url></urlset>",
    "gzip": gzip.compress(urlset("http://h/a", "http://h/b?x=1&amp;y=2")),
    "utf-16": urlset("http://h/a", "http://h/b?x=1&amp;y=2").decode().encode("utf-16"),
    "bom and space": b"\xef\xbb\xbf\n" + urlset("http://h/a", "/b?x=1&amp;y=2"),
    "text": b"\xef\xbb\xbfhttp://h/a\r\n\r\nnot a url\nhttp://h/b?x=1&y=2\nhttp://h/a\n",
    "rss": b"<rss><channel><link>http://h/</link><item><link>http://h/a</link></item>"
    b"<item><title>b</title><link>http://h/b?x=1&amp;y=2</link></item></channel></rss>",
    "atom": b'<feed xmlns="http://www.w3.org/2005/Atom"><link href="http://h/self"/><entry><link href="http://h/a"/>'
    b'</entry><entry><link rel="alternate" href="/b?x=1&amp;y=2"/><link rel="edit" href="/e"/></entry></feed>',
}


@pytest.mark.parametrize("name", FORMS)
def test_forms(name: str) -> None:
    assert parse(FORMS[name]) == Sitemap(["http://h/a", "http://h/b?x=1&y=2"], [], 0, "")


def test_an_index_and_its_limit() -> None:
    assert parse(index("http://h/1.xml", "2.xml.gz", "http://h/1.xml"), limit=1) == Sitemap(
        [], ["http://h/1.xml"], 1, ""
    )
    assert parse(urlset(*(f"http://h/{n}" for n in range(7))), limit=5).cut == 2


OUTSIDE = b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><urlset><url><loc>&e;</loc></url></urlset>'
LAUGHS = (
    b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">'
    + b"".join(b'<!ENTITY %c "%s">' % (98 + n, b"&%c;" % (97 + n) * 10) for n in range(9))
    + b"]><urlset><url><loc>http://h/&j;</loc></url></urlset>"
)


DEFAULTS = b'<!DOCTYPE a [<!ATTLIST a x0 CDATA "y" x1 CDATA "y">]><a>' + b"<a/>" * 9 + b"</a>"
"""Each element would have all declared attributes: the square of the file's size."""


@pytest.mark.parametrize(
    ("body", "pages", "note"),
    [
        (LAUGHS, [], "declares_entities"),
        (OUTSIDE, [], "declares_entities"),
        (DEFAULTS, [], "declares_entities"),
        (urlset("http://h/a", "http://h/b")[:-30], ["http://h/a"], "broken_xml: no element found"),
        (b"<html><body>not found", [], "broken_xml: no element found"),
        (b"<?xml version='1.0' encoding='klingon'?><urlset/>", [], "broken_xml: unknown encoding: klingon"),
        (gzip.compress(urlset("http://h/a"))[:-9], [], "broken_gzip"),
        (gzip.compress(b" " * 3_000_000), [], "bomb"),
        (b"<a>" * 300_000, [], "broken_xml: no element found"),
        (b"<urlset><url><loc>" + b"x" * 900_000 + b"</loc></url></urlset>", [], ""),
        (b"", [], ""),
    ],
)  # fmt: skip
def test_hostile_files_end_with_a_reason(body: bytes, pages: list[str], note: str) -> None:
    assert parse(body) == Sitemap(pages, [], 0, note)


def test_a_crawl_from_declared_sitemaps(tmp_path: Path) -> None:
    """Their pages are as near as seeds; sitemaps are counted, and never a document."""
    routes = {
        "/": page("/linked"),
        "/index.xml": Reply(index("/one.xml.gz", "/two.txt", "/broken.xml", "/gone.xml", "/index.xml")),
        "/one.xml.gz": Reply(gzip.compress(urlset("/a", "/b", "http://other/c", "javascript:x"))),
        "/two.txt": Reply(status=301, headers={"Location": "/real.txt"}),
        "/real.txt": lambda path: Reply(f"{site.base}/c\n{site.base}/a".encode()),
        "/broken.xml": Reply(urlset("/d", "/e")[:-12]),
        **{f"/{name}": page(f"/{name}/deep") for name in "abcde"},
    }
    with serve(routes) as site:
        summary = run(site, tmp_path, sitemaps=["/index.xml"], seeds=["/"], max_depth=0)
    assert archived(tmp_path) == ["/", "/a", "/b", "/d", "/e", "/c"]
    assert summary.outcomes == {
        "error:http_404": 1,
        "fetched": 6,
        "not_http": 1,
        "off_site": 1,
        "sitemap": 3,
        "sitemap:broken_xml": 1,
        "sitemap:redirected": 1,
        "too_deep": 6,
    }
    assert set(site.requests.values()) == {1}
    rows = {row["url"]: row for row in summary.log.to_pylist()}
    assert rows["/one.xml.gz"]["outcome"] == "sitemap" and rows["/one.xml.gz"]["stored_in"] is None
    assert rows["/two.txt"]["location"] == "/real.txt"


def test_sitemaps_of_robots_are_followed_when_asked_for(tmp_path: Path) -> None:
    def text(path: str) -> Reply:
        body = f"Sitemap: {site.base}/map.xml\nSitemap: {site.base}/secret/map.xml\nSitemap: http://other/map.xml\n"
        return Reply(f"{body}User-agent: *\nDisallow: /secret\n".encode(), headers={"Content-Type": "text/plain"})

    routes = {"/": page(), "/robots.txt": text, "/map.xml": Reply(urlset("/a", "/secret/b")), "/a": page("/")}
    with serve(routes) as site:
        plain = run(site, tmp_path / "plain")
        assert plain.outcomes == {"fetched": 1}
        summary = run(site, tmp_path / "robots", sitemaps=["robots"])
        assert summary.outcomes == {"fetched": 2, "off_site": 1, "robots:disallowed": 2, "sitemap": 1}
        # A finished crawl is replayed from its journal alone.
        again = run(site, tmp_path / "robots", sitemaps=["robots"])
    assert again == summary


def test_endless_sitemaps_end(tmp_path: Path) -> None:
    def endless(path: str) -> Reply:
        return Reply(index(*(f"{path}{n}" for n in range(5))))

    with serve({"/": page()}, endless) as site:
        summary = run(site, tmp_path, sitemaps=["/map"], max_sitemaps=20)
    assert site.requests["/map"] == 1 and len(site.requests) == 1 + 20
    assert summary.outcomes["sitemap"] == 20 and summary.outcomes["bound:sitemaps"] > 0
    with serve({"/": page()}, endless) as site:
        summary = run(site, tmp_path / "deep", sitemaps=["/map"], max_sitemaps=1000)
    assert summary.outcomes["sitemap"] == 1 + 5 + 25
    with serve({"/big.xml": Reply(urlset("/a") + b" " * 5000)}) as site:
        summary = run(site, tmp_path / "big", seeds=[], sitemaps=["/big.xml"], max_sitemap_bytes=1000)
    assert summary.outcomes == {"too_big": 1}


def test_a_crawl_with_sitemaps_goes_on_after_any_stop(tmp_path: Path) -> None:
    class InterruptError(BaseException):
        pass

    routes = {"/map.xml": Reply(index("/one.xml")), "/one.xml": Reply(urlset("/a", "/b")), "/a": page(), "/b": page()}
    clock = FakeClock()
    with serve(routes) as site:
        for stop in range(1, 4):
            count = 0

            def interrupt(_: object, stop: int = stop) -> None:
                nonlocal count
                count += 1
                if count == stop:
                    raise InterruptError

            site.requests.clear()
            folder = tmp_path / str(stop)
            with pytest.raises(InterruptError):
                begin(site, folder, clock, interrupt, sitemaps=["/map.xml"])
            summary = run(site, folder, clock, sitemaps=["/map.xml"])
            assert summary.outcomes == {"fetched": 2, "sitemap": 2}
            assert set(site.requests.values()) == {1}


def test_short_locations_do_not_multiply_a_long_url() -> None:
    """50 MB of `<url><loc>1</loc></url>` below a URL of 2,000 characters would be 4 GB of URLs."""
    body = urlset(*(str(number) for number in range(100_000)), *(str(number) for number in range(50_000)))
    tracemalloc.start()
    try:
        found = parse_sitemap(body, f"http://h/{'x' * 2000}/", limit=10, max_bytes=50 << 20)
        assert tracemalloc.get_traced_memory()[1] < 50 << 20
    finally:
        tracemalloc.stop()
    assert (len(found.pages), found.cut, found.note) == (10, 99_990, "")
