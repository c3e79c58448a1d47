"""robots.txt: RFC 9309 states, the HTML trap, 600 real files."""

import base64
import io
import json
import re

import pytest
import zstandard

from pipelines.corpus.acquisition.crawl import urls
from pipelines.corpus.acquisition.crawl.robots import Robots, product_token
from tests.pipelines.corpus.acquisition.crawl.rfc9309 import Reference
from tests.shared_data import shared

RULES = b"User-agent: *\nDisallow: /private\nAllow: /private/open\nCrawl-delay: 3\n"
RULES += b"\nUser-agent: gristmill\nDisallow: /mill\n"


def judge(body: bytes = b"", status: int | None = 200, media: str = "text/plain", error: str | None = None) -> Robots:
    return Robots.judge(status=status, error=error, content_type=media, body=body, fetched=0.0)


@pytest.mark.parametrize(
    ("robots", "state", "reason"),
    [
        (judge(RULES), "rules", "http_200"),
        (judge(b"<!DOCTYPE html><html>Error</html>", media="text/html"), "open", "html_page"),
        (judge(b"\xef\xbb\xbf\n <!-- x --><HTML><body>User-agent: *\nDisallow: /</body>"), "open", "html_page"),
        (judge(b"hello", media="application/json"), "open", "content_type application/json"),
        (judge(RULES, media="text/html"), "rules", "http_200"),  # rules under a wrong type still bind a polite crawler
        (judge(status=404), "open", "http_404"),
        (judge(status=403), "open", "http_403"),
        (judge(status=500), "closed", "http_500"),
        (judge(status=429), "closed", "http_429"),
        (judge(status=None, error="timeout"), "closed", "unreachable: timeout"),
        (judge(status=302, error="redirected"), "open", "redirects: redirected"),
    ],
)
def test_states(robots: Robots, state: str, reason: str) -> None:
    assert (robots.state, robots.reason) == (state, reason)
    assert robots.allows("http://h/anything", "other") is (state != "closed")
    assert Robots.from_json(json.loads(json.dumps(robots.to_json()))) == robots


def test_longest_match_and_groups() -> None:
    """RFC 9309 sections 2.2.1 and 2.2.2: the most specific group alone, in it the longest match."""
    robots = judge(RULES)
    assert not robots.allows("http://h/private/x", "other")
    assert robots.allows("http://h/private/open/x", "other")
    assert robots.crawl_delay("other") == 3
    assert robots.allows("http://h/private/x", "Gristmill")
    assert not robots.allows("http://h/mill", "Gristmill")
    assert robots.crawl_delay("Gristmill") is None


def test_rfc_example() -> None:
    """The example of RFC 9309 section 5.1."""
    text = b"""User-Agent: *\nDisallow: *.gif$\nDisallow: /example/\nAllow: /publications/\n
User-Agent: foobot\nDisallow:/\nAllow:/example/page.html\nAllow:/example/allowed.gif\n
User-Agent: barbot\nUser-Agent: bazbot\nDisallow: /example/page.html\n\nUser-Agent: quxbot\n"""
    robots = judge(text)
    allowed = {
        (bot, path)
        for bot in ("foobot", "barbot", "bazbot", "quxbot", "other")
        for path in ("/example/page.html", "/example/allowed.gif", "/example/x", "/a.gif", "/publications/")
        if robots.allows(f"http://h{path}", bot)
    }
    everything = {"/example/page.html", "/example/allowed.gif", "/example/x", "/a.gif", "/publications/"}
    assert {path for bot, path in allowed if bot == "foobot"} == {"/example/page.html", "/example/allowed.gif"}
    for bot in ("barbot", "bazbot"):
        assert {path for name, path in allowed if name == bot} == everything - {"/example/page.html"}
    assert {path for bot, path in allowed if bot == "quxbot"} == everything
    assert {path for bot, path in allowed if bot == "other"} == {"/publications/"}


def real_files() -> list[bytes]:
    path = shared("robots/protego_600.jsonl.zst")
    with path.open("rb") as raw, zstandard.ZstdDecompressor().stream_reader(raw) as stream:
        rows = [json.loads(line) for line in io.TextIOWrapper(stream, "utf-8")]
    assert len(rows) == 600
    return [row["text"].encode() if "text" in row else base64.b64decode(row["b64"]) for row in rows]


def test_six_hundred_real_files() -> None:
    shut = 0
    named = 0
    for body in real_files():
        robots = judge(body)
        assert robots.state == ("open" if robots.reason == "html_page" else "rules")
        if robots.reason == "html_page":
            assert re.search(rb"<(html|head|body|!doctype|title|\?xml)", body, re.IGNORECASE)
        shut += not robots.allows("http://h/", "Gristmill")
        delay = robots.crawl_delay("Gristmill")
        assert delay is None or delay >= 0
        named += bool(robots.sitemaps())
        lines = re.findall(rb"(?im)^\s*sitemap:[ \t]*(http\S+)", body)
        assert robots.state == "open" or {line.decode("utf-8", "replace") for line in lines} <= set(robots.sitemaps())
    assert 0 < shut < 60
    assert named > 100


def test_six_hundred_real_files_against_a_second_reading() -> None:
    """About 30,000 verdicts on URLs made of the files' own patterns, for a named, a famous and an unknown crawler."""
    compared, different = 0, set()
    for number, body in enumerate(real_files()):
        robots = judge(body)
        if robots.state != "rules":
            continue
        oracle = Reference(body.decode("utf-8-sig", "replace"))
        paths = {"/", "/index.html", "/a/b?c=d", "/robots.txt"}
        for pattern in oracle.patterns[:15]:
            filled = pattern.replace("*", "x").rstrip("$")
            paths |= {filled, f"{filled}/y.html"} if filled.startswith("/") else set()
        for path in sorted(paths):
            url = urls.normalize(f"http://h{path}")
            for agent in ("Gristmill", "Googlebot", "bingbot"):
                compared += 1
                if robots.allows(url, agent) != oracle.allows(urls.path_and_query(url), agent):
                    different.add((number, agent))
    assert compared > 25_000
    # Its group is `User-agent: bing`, which the parser takes for a prefix of the name and the RFC for another name.
    assert different == {(174, "bingbot")}


@pytest.mark.timeout(30)
@pytest.mark.parametrize(
    "rule",
    [
        "/" + "*a" * 200 + "*b$",
        "*" * 100_000 + "b",
        "/" + "*?" * 5000,
        "/" + "a*" * 100_000 + "$",
        "\n".join(f"Disallow: /*{number}*x*y*z$" for number in range(20_000)),
    ],
)
def test_hostile_patterns_do_not_hang(rule: str) -> None:
    """Backtracking would take longer than the universe is old; 500 KiB of patterns take under a second."""
    robots = judge(f"User-agent: *\nDisallow: {rule}\n".encode())
    assert robots.allows("http://h/" + "a" * 2000, "Gristmill")


@pytest.mark.timeout(30)
@pytest.mark.parametrize("piece", [b"<!---->", b"<!-- -->\n", b"<!--", b"<!-- --> --", b"\n", b"\t \r\n"])
def test_comments_before_the_rules_do_not_hang(piece: bytes) -> None:
    """Backtracking doubled the time with every comment: 24 of them took 5 seconds."""
    rules = b"\nUser-agent: *\nDisallow: /private\n"
    robots = judge(piece * (400 * 1024 // len(piece)) + rules)
    assert robots.state == "rules" and not robots.allows("http://h/private", "Gristmill")
    page = judge(b"<!-- <html> --> \n" * 20_000 + b"<html>" + rules)
    assert (page.state, page.reason) == ("open", "html_page")
    assert judge(b"<!-- a --> <html> -->" + rules).reason == "html_page"
    assert judge(b"<!-- a --> b --> <html>" + rules).reason == "http_200"


def test_only_the_first_500_kib_count() -> None:
    """RFC 9309 section 2.5: what lies behind the limit is not read, a rule before it holds."""
    filler = b"#" * 499 * 1024 + b"\n"
    robots = judge(b"User-agent: *\nDisallow: /a\n" + filler + b"#" * 2000 + b"\nDisallow: /b\n")
    assert not robots.allows("http://h/a", "Gristmill") and robots.allows("http://h/b", "Gristmill")


def test_product_token() -> None:
    assert product_token("Gristmill/0.1 (+https://example.org/bot)") == "Gristmill"
