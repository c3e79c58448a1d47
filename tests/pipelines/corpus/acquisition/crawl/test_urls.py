"""URLs: RFC 3986 examples, idempotence on anything, the shapes of traps."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.corpus.acquisition.crawl import urls

LIMITS = {"max_length": 2048, "max_segments": 16, "max_repeats": 2, "max_params": 8}


@pytest.mark.parametrize(
    ("raw", "normal"),
    [
        ("HTTP://www.EXAMPLE.com:80", "http://www.example.com/"),
        ("https://example.com:443/a/./b/../c#frag", "https://example.com/a/c"),
        ("http://example.com:8080/%7euser/%c3%a9?q=%2f", "http://example.com:8080/~user/%C3%A9?q=%2F"),
        ("http://user:secret@example.com/", "http://example.com/"),
        ("http://bücher.example/ü", "http://xn--bcher-kva.example/%C3%BC"),
        ("http://example.com/%2e%2e/a\\b", "http://example.com/a/b"),
        ("http://example.com./a b", "http://example.com/a%20b"),
        ("http://[2001:DB8::1]:80/", "http://[2001:db8::1]/"),
        ("  http://example.com/a\n\tb ", "http://example.com/ab"),
        ("http://example.com/100%", "http://example.com/100%25"),
        ("http://example.com/%2541", "http://example.com/%2541"),
        ("http://example.com/\ud800", "http://example.com/%3F"),
    ],
)
def test_normal_form(raw: str, normal: str) -> None:
    assert urls.normalize(raw) == normal


@pytest.mark.parametrize(
    ("raw", "key"),
    [
        ("http://h/a?b=2&a=1&PHPSESSID=x&utm_source=y", "http://h/a?a=1&b=2"),
        ("http://h/a;jsessionid=1AF?x=1", "http://h/a?x=1"),
        ("http://h/(S(abc123))/page", "http://h/page"),
        ("http://h/a?x=2&x=1", "http://h/a?x=2&x=1"),  # equal names keep their order: it can mean something
        ("http://h/a?&&", "http://h/a"),
        ("http://h/a/..;sid=1/b", "http://h/b"),
    ],
)
def test_canonical_key(raw: str, key: str) -> None:
    assert urls.canonical(raw) == key


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("mailto:a@b", "not_http"),
        ("javascript:void(0)", "not_http"),
        ("file:///etc/passwd", "not_http"),
        ("ftp://h/x", "not_http"),
        ("http://", "malformed"),
        ("http://[::1", "malformed"),
        ("http://h:99999/", "malformed"),
        ("http://h:0/", "malformed"),
        ("http://a b/", "malformed"),
        ("http://exa\x00mple/", "malformed"),
        (urls.resolve("http://h/", "//[bad"), "malformed"),
    ],
)
def test_no_fetchable_url(raw: str, reason: str) -> None:
    with pytest.raises(urls.UrlError) as caught:
        urls.normalize(raw)
    assert caught.value.reason == reason


_pieces = st.sampled_from(
    [
        "/",
        "..",
        ".",
        "a",
        "B",
        "%7e",
        "%",
        "%zz",
        "é",
        "?",
        "&",
        "=",
        "#",
        ";jsessionid=1",
        "(S(x))",
        "sid=1",
        "utm_a=b",
        "\\",
        " ",
    ]
)
_urls = st.one_of(
    st.lists(_pieces, max_size=14).map(lambda pieces: "http://Host.example:80/" + "".join(pieces)),
    st.text(max_size=40).map(lambda text: "https://h/" + text),
    st.text(max_size=40),
)


@settings(max_examples=400)
@given(_urls)
def test_both_forms_are_idempotent(raw: str) -> None:
    try:
        normal = urls.normalize(raw)
    except urls.UrlError:
        return
    assert normal.isascii()
    assert urls.normalize(normal) == normal
    assert urls.canonical(urls.canonical(raw)) == urls.canonical(raw) == urls.canonical(normal)
    assert "/../" not in normal.partition("?")[0]


@settings(max_examples=200)
@given(st.text(max_size=60))
def test_any_link_resolves_or_is_named_bad(reference: str) -> None:
    absolute = urls.resolve("http://h/dir/page.html", reference)
    try:
        assert urls.normalize(absolute).startswith(("http://", "https://"))
    except urls.UrlError as error:
        assert error.reason in ("not_http", "malformed")


@pytest.mark.parametrize(
    ("path", "trap"),
    [
        ("/" + "x" * 3000, "long_url"),
        ("/" + "/".join(map(str, range(20))), "deep_path"),
        ("/a/a/a", "repeated_segments"),
        ("/x/a/b/a/b/a/b", "repeated_segments"),
        ("/x/a/b/c/d/a/b/c/d/a/b/c/d", "repeated_segments"),
        ("/a/b/a/b", None),
        ("/2001/01/01/title", None),
        ("/?" + "&".join(f"p{n}=1" for n in range(9)), "many_params"),
        ("/?" + "&".join(f"p{n}=1" for n in range(8)), None),
    ],
)
def test_shapes_of_traps(path: str, trap: str | None) -> None:
    assert urls.path_shape(f"http://h{path}", **LIMITS) == trap


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("/calendar/2024/05", "/calendar/2031/12", True),
        ("/cal?year=2024&month=5", "/cal?year=2099&month=11", True),
        ("/events?date=2024-05-01", "/events?date=1999-12-31", True),
        ("/x?from=2024-05-01&to=2024-06-01", "/x?from=2024-06-01&to=2024-07-01", True),
        ("/x?start_date=20240501", "/x?start_date=20240601", True),
        ("/events/2024/may", "/events/2031/December", True),
        ("/events/2024-Jan-05/", "/events/1999-feb-28/", True),
        ("/events/january-2024/list", "/events/december-2025/list", True),
        ("/events/3-jan-2024", "/events/14-feb-2024", True),
        ("/2024/may/12/a-title", "/2024/may/12/b-title", False),
        ("/blog/2024/05/a-title", "/blog/2024/05/b-title", False),
        ("/news/2024/05/12/811.html", "/news/2024/05/12/812.html", False),
    ],
)
def test_one_calendar_has_one_template(first: str, second: str, same: bool) -> None:
    templates = [urls.calendar_template(f"http://h{path}") for path in (first, second)]
    assert None not in templates
    assert (templates[0] == templates[1]) is same


@pytest.mark.parametrize(
    "path",
    [
        "/library/os.html",
        "/post/201905",
        "/v/3.11/x",
        "/topic?key=and",
        "/list?token=1&from=20&monkey=3",
        "/a-1234-5678",
        "/1984/maybe-not/x",
        "/people/augustus",
        "/2024/marketing/plan",
    ],
)
def test_no_date_no_calendar(path: str) -> None:
    assert urls.calendar_template(f"http://h{path}") is None


@pytest.mark.parametrize(
    ("path", "template"),
    [
        ("/s/8f14e45fceea167a5a36dedd4bea2543/page", "h/s/#/page"),
        ("/s/8f14e45f-ceea-467a-9a36-dedd4bea2543/page", "h/s/#/page"),
        ("/(X)/AbC1dEf2GhI3jKl4MnO5/a?q=1", "h/(X)/#/a"),
        ("/post/8f14e45fceea167a5a36dedd4bea2543", None),  # the last segment says which page it is
        ("/a/internationalizations2/b", None),
        ("/a/1234567890123456789012/b", None),
        ("/the-10-best-things-of-2024-to-do-in-3-days/x", None),
    ],
)
def test_a_random_segment_is_seen(path: str, template: str | None) -> None:
    assert urls.token_template(f"http://h{path}") == template
