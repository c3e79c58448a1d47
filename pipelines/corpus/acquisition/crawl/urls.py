"""URLs: one spelling for requests, one key for "seen before", and the shapes of endless sites.

*Normalized* (what is requested): RFC 3986 section 6.2.2 and 6.2.3, which change no meaning: lower-case scheme and host,
IDNA host, no default port, no user information, no fragment, no dot segments, upper-case percent escapes, unreserved
characters unescaped, everything else that is illegal escaped as UTF-8.
*Canonical* (what is remembered): normalized, without session and campaign parameters, with the query sorted by name
(stable: equal names keep their order). Two links with one canonical URL are one page.
Both are idempotent. About 15 microseconds a URL.
"""

import re
from typing import Final
from urllib.parse import urljoin, urlsplit

DEFAULT_PORTS: Final = {"http": 80, "https": 443}
UNRESOLVED: Final = "unresolved"

SESSION_PARAMS: Final = frozenset(
    {"phpsessid", "jsessionid", "sessionid", "session_id", "sessid", "sid", "aspsessionid", "cfid", "cftoken", "zenid"}
    | {"oscsid", "osssid", "xtc_sid", "fbclid", "gclid", "dclid", "msclkid", "yclid", "mc_cid", "mc_eid", "_ga"}
)
"""Parameters that name the visitor or the campaign, never the page; `utm_*` and `aspsessionid*` go too."""

_ESCAPE_PATH = re.compile(r"%([0-9A-Fa-f]{2})|[^A-Za-z0-9\-._~!$&'()*+,;=:@/]")
_ESCAPE_QUERY = re.compile(r"%([0-9A-Fa-f]{2})|[^A-Za-z0-9\-._~!$&'()*+,;=:@/?]")
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_EDGES = "".join(map(chr, range(0x21)))
_INNER = str.maketrans("", "", "\t\r\n")
_SESSION_PATH = re.compile(
    r";(?:jsessionid|phpsessid|sid|sessionid)=[^/;?]*|/\((?:[A-Z]\([A-Za-z0-9_-]*\))+\)(?=/)", re.IGNORECASE
)

_MONTH = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?"
    r"|nov(?:ember)?|dec(?:ember)?)(?![a-z])"
)
_DATE_PATH = re.compile(
    rf"(?<!\d)(?:1\d|2\d)\d\d[-/_.](?:(?:0?[1-9]|1[0-2])(?!\d)|{_MONTH})(?:[-/_.](?:[0-2]?\d|3[01]))?(?!\d)"
    rf"|(?<![a-z0-9])(?:(?:[0-2]?\d|3[01])[-/_.])?{_MONTH}[-/_.](?:1\d|2\d)\d\d(?!\d)",
    re.IGNORECASE,
)
_DATE_QUERY = re.compile(
    r"(?<![^&])(?:((?:[a-z_-]*date|year|yr|month|mon|day|week)(?:[_-][^=&]*)?)=[\d\-/%.T:+Z]*\d[^&]*"
    r"|([^=&]*)=[12]\d{3}[-/.]\d{1,2}(?:[-/.]\d{1,2})?(?:T[^&]*)?(?![^&]))",
    re.IGNORECASE,
)
_DIGITS = re.compile(rf"\d+|{_MONTH}", re.IGNORECASE)
_TOKEN = re.compile(
    r"(?<=/)(?:[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}|(?=[^/]{0,80}?\d[^/]{0,80}?\d[^/]{0,80}?\d)"
    r"(?=[^/]{0,80}?[a-z])(?:[0-9a-f]{16,256}|[0-9a-z]{20,256}))(?=/)",
    re.IGNORECASE,
)
"""A path segment that no person wrote, before the last: a UUID, or 16 hexadecimal digits and more, or 20 characters,
with letters and at least three digits."""


class UrlError(ValueError):
    """A link that is no fetchable URL; `reason` is `not_http` or `malformed`."""

    def __init__(self, reason: str, url: str) -> None:
        super().__init__(f"{reason}: {url[:200]!r}")
        self.reason = reason


def resolve(base: str, reference: str) -> str:
    """The absolute URL that a link means on page `base`, not yet normalized; a hopeless one behind `unresolved:`."""
    reference = reference.strip(_EDGES).translate(_INNER)
    try:
        return urljoin(base, reference)
    except ValueError:
        return f"{UNRESOLVED}:{reference}"


def normalize(url: str) -> str:
    """The RFC 3986 normal form of an absolute http(s) URL; raises `UrlError`."""
    url = url.strip(_EDGES).translate(_INNER)
    try:
        parts = urlsplit(url)
        port = parts.port
        host = parts.hostname
    except ValueError as error:
        raise UrlError("malformed", url) from error
    scheme = parts.scheme.lower()
    if scheme not in DEFAULT_PORTS:
        raise UrlError("malformed" if scheme == UNRESOLVED else "not_http", url)
    authority = _host(host, url)
    if port is not None and port != DEFAULT_PORTS[scheme]:
        if port == 0:
            raise UrlError("malformed", url)
        authority = f"{authority}:{port}"
    path = _remove_dot_segments(_escape(_ESCAPE_PATH, parts.path.replace("\\", "/")))
    query = f"?{_escape(_ESCAPE_QUERY, parts.query)}" if parts.query else ""
    return f"{scheme}://{authority}{path}{query}"


def canonical(url: str) -> str:
    """The key of a page: `normalize` plus session removal and a sorted query; raises `UrlError`."""
    current = normalize(url)
    while True:
        # Removing `;jsessionid` can leave a new dot segment, so both run until nothing changes; each round is shorter.
        parts = urlsplit(current)
        path = _SESSION_PATH.sub("", parts.path)
        pieces = [piece for piece in parts.query.split("&") if piece and not _is_session(piece)]
        pieces.sort(key=lambda piece: piece.partition("=")[0])
        query = f"?{'&'.join(pieces)}" if pieces else ""
        following = normalize(f"{parts.scheme}://{parts.netloc}{path}{query}")
        if following == current:
            return current
        current = following


def host_of(url: str) -> str:
    """The host name of a normalized URL, without port or brackets: the unit of politeness."""
    return urlsplit(url).hostname or ""


def origin_of(url: str) -> str:
    """`scheme://host[:port]` of a normalized URL: the unit of robots.txt and of connections."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def site_of(url: str) -> str:
    """The unit of scope: the host on its scheme's default port (so http and https are one), else `host:port`."""
    return urlsplit(url).netloc


def path_and_query(url: str) -> str:
    """What `allow` and `deny` look at, and what a request line names."""
    parts = urlsplit(url)
    return f"{parts.path}?{parts.query}" if parts.query else parts.path


def path_shape(url: str, *, max_length: int, max_segments: int, max_repeats: int, max_params: int) -> str | None:
    """The trap in the URL's own shape (`long_url`, `deep_path`, `repeated_segments`, `many_params`), or None."""
    if len(url) > max_length:
        return "long_url"
    parts = urlsplit(url)
    segments = parts.path.split("/")[1:]
    if len(segments) > max_segments:
        return "deep_path"
    if _repeats(segments, max_repeats):
        return "repeated_segments"
    if parts.query.count("&") >= max_params:
        return "many_params"
    return None


def calendar_template(url: str) -> str | None:
    """The URL with its date's digits replaced by `#`, or None without a date.

    Only the date is replaced: `/2019/05/12/a-title` and `/2019/05/13/b-title` stay two templates, the pages of one
    calendar share one.
    """
    parts = urlsplit(url)
    path, in_path = _DATE_PATH.subn(_hide_digits, parts.path)
    query, in_query = _DATE_QUERY.subn(lambda match: f"{match[1] or match[2]}=#", parts.query)
    return f"{parts.netloc}{path}?{query}" if in_path or in_query else None


def token_template(url: str) -> str | None:
    """The URL with the random segments of its path replaced by `#`, or None without one.

    A session in the path gives every visit of a page another URL; pages below `/user/<uuid>/` look the same, so this is
    for a budget and no verdict.
    """
    parts = urlsplit(url)
    path, found = _TOKEN.subn("#", parts.path)
    return f"{parts.netloc}{path}" if found else None


def _hide_digits(match: re.Match[str]) -> str:
    return _DIGITS.sub("#", match[0])


def _repeats(segments: list[str], limit: int) -> bool:
    """True when a run of 1 to 4 segments occurs more than `limit` times in a row."""
    for width in range(1, 5):
        same = 0
        for index in range(width, len(segments)):
            same = same + 1 if segments[index] == segments[index - width] else 0
            if same >= width * limit:
                return True
    return False


def _is_session(piece: str) -> bool:
    name = piece.partition("=")[0].lower()
    return name in SESSION_PARAMS or name.startswith(("utm_", "aspsessionid"))


def _host(host: str | None, url: str) -> str:
    """The lower-case ASCII host; IPv6 in brackets."""
    if not host:
        raise UrlError("malformed", url)
    if ":" in host:
        if not re.fullmatch(r"[0-9a-f:.]+", host.lower()):
            raise UrlError("malformed", url)
        return f"[{host.lower()}]"
    try:
        name = host.encode("idna").decode("ascii").lower().removesuffix(".")
    except UnicodeError as error:
        raise UrlError("malformed", url) from error
    if not re.fullmatch(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*", name):
        raise UrlError("malformed", url)
    return name


def _escape(illegal: re.Pattern[str], text: str) -> str:
    return illegal.sub(_escape_one, text)


def _escape_one(match: re.Match[str]) -> str:
    if match[1]:
        character = chr(int(match[1], 16))
        return character if character in _UNRESERVED else f"%{match[1].upper()}"
    return "".join(f"%{byte:02X}" for byte in match[0].encode("utf-8", "replace"))


def _remove_dot_segments(path: str) -> str:
    """RFC 3986 section 5.2.4 on an absolute path; the empty path is `/`."""
    kept: list[str] = []
    segments = path.split("/")[1:] or [""]
    for segment in segments:
        if segment == "..":
            if kept:
                kept.pop()
        elif segment != ".":
            kept.append(segment)
    if segments[-1] in (".", ".."):
        kept.append("")
    return "/" + "/".join(kept)


def split_origin(origin: str) -> tuple[str, str, int]:
    """Scheme, host name and port of an origin."""
    parts = urlsplit(origin)
    return parts.scheme, parts.hostname or "", parts.port or DEFAULT_PORTS[parts.scheme]
