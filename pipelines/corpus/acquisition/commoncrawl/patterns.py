"""URL patterns of a selection: what they match, and how the CDX server is asked for them.

Indexes are sorted by SURT, which drops the scheme, a leading `www.` and user information, and lower-cases the host: a
pattern means the same. A path is compared as it is written in the URL, with its query.
"""

import re
from collections.abc import Iterable
from typing import Literal, NamedTuple, Self
from urllib.parse import urlsplit

Kind = Literal["exact", "prefix", "host", "domain", "tld"]
_WWW = re.compile(r"^www\d*\.")
_HOST = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*")


class PatternError(ValueError):
    """A pattern that names no URL or host."""


class UrlPattern(NamedTuple):
    """One pattern: `host` without `www.`; `path` with its query, for `exact` and `prefix` alone."""

    kind: Kind
    host: str
    path: str = ""

    @classmethod
    def of_url(cls, text: str) -> Self:
        """`example.org/a?b` exactly, or `example.org/a*` and everything that begins so."""
        bare = re.sub(r"^https?://", "", text.strip(), flags=re.IGNORECASE)
        body, star = bare.removesuffix("*"), bare.endswith("*")
        if "*" in body or "#" in body:
            raise PatternError(f"{text!r}: a `*` stands at the end alone; whole domains go into `domains`")
        name, slash, rest = body.partition("/")
        if star and not slash:
            raise PatternError(f"{text!r}: write {name}/* for the pages of a host")
        if star and not rest:
            return cls("host", host_key(name, text))
        return cls("prefix" if star else "exact", host_key(name, text), f"/{rest}")

    @classmethod
    def of_host(cls, kind: str, text: str) -> Self:
        """A host, a domain with its hosts, or a top level domain."""
        name = host_key(text.strip().removeprefix("*.").removeprefix("."), text)
        if kind == "tld" and "." in name:
            raise PatternError(f"{text!r} is no top level domain; {name} goes into `domains`")
        if kind == "tld":
            return cls("tld", name)
        return cls("domain" if kind == "domain" else "host", name)

    def matches(self, host: str, path: str) -> bool:
        """Whether a URL of `host` (as `host_key` gives it) and `path` with query is meant."""
        if self.kind in ("domain", "tld"):
            return host == self.host or host.endswith(f".{self.host}")
        if host != self.host:
            return False
        if self.kind == "host":
            return True
        return path.startswith(self.path) if self.kind == "prefix" else path == self.path

    def query(self) -> dict[str, str]:
        """Parameters of the CDX server (https://github.com/webrecorder/pywb/wiki/CDX-Server-API)."""
        kind = "domain" if self.kind == "tld" else self.kind
        return {"url": self.host + self.path, "matchType": kind}


class PatternSet:
    """Patterns by host, so that a URL is compared only with those of its host and the domains above it."""

    def __init__(self, patterns: Iterable[UrlPattern]) -> None:
        self._by_host: dict[str, list[UrlPattern]] = {}
        for pattern in patterns:
            self._by_host.setdefault(pattern.host, []).append(pattern)

    def __bool__(self) -> bool:
        return bool(self._by_host)

    def matches(self, url: str) -> bool:
        """Whether one of the patterns means the URL."""
        host, path = split_url(url)
        name = host
        while name:
            if any(pattern.matches(host, path) for pattern in self._by_host.get(name, ())):
                return True
            name = name.partition(".")[2]
        return False


def split_url(url: str) -> tuple[str, str]:
    """Host key, and path with query, of a URL of an index row; the host is empty when it is no URL."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        return "", ""
    path = parts.path or "/"
    return _WWW.sub("", host.rstrip(".")), f"{path}?{parts.query}" if parts.query else path


def host_key(name: str, text: str) -> str:
    """A host without port and `www.`, in lower-case ASCII; raises `PatternError` about `text`."""
    try:
        host = name.encode("idna").decode("ascii").lower()
    except UnicodeError as error:
        raise PatternError(f"{text!r} names no host") from error
    host = host.partition(":")[0]
    if not _HOST.fullmatch(host):
        raise PatternError(f"{text!r} names no host")
    return _WWW.sub("", host)
