"""Sitemaps (https://www.sitemaps.org/protocol.html): the bytes of one in, the URLs that it lists out.

Read are `urlset` and `sitemapindex`, RSS and Atom feeds, and plain text with a URL a line, each also in gzip. XML is
hostile input: the parser is expat's streaming one, entities or attributes that a document declares end the reading,
and names are compared without their prefix, because real files use several. A file that breaks off gives what came
before; the protocol's limits (50,000 URLs, 50 MiB) are settings. About 15 MB/s.
"""

import re
from typing import Final, NamedTuple
from xml.parsers import expat

from pipelines.corpus.acquisition.crawl import urls
from pipelines.corpus.acquisition.crawl.fetch import gunzip
from pipelines.corpus.acquisition.crawl.limited import Limited

MAX_SITEMAP_DEPTH: Final = 3
"""Indexes within indexes; the protocol allows none, a loop of them is cut by the seen set."""
MAX_URL_CHARACTERS: Final = 4096
_GZIP: Final = b"\x1f\x8b"
_PAGE_LOCATIONS: Final = frozenset({("url", "loc"), ("item", "link"), ("entry", "link")})
_SITEMAP_LOCATIONS: Final = frozenset({("sitemap", "loc")})
_ABSOLUTE = re.compile(r"https?://\S+", re.IGNORECASE)


class Sitemap(NamedTuple):
    """`pages` and further `sitemaps`, absolute and each once; `cut` counts those beyond the limit."""

    pages: list[str]
    sitemaps: list[str]
    cut: int
    note: str


def parse_sitemap(body: bytes, url: str, *, limit: int, max_bytes: int) -> Sitemap:
    """What the sitemap fetched from `url` lists; `note` says what was wrong with it, if anything."""
    if body.startswith(_GZIP):
        unpacked = gunzip(body, max_bytes)
        if unpacked is None:
            return Sitemap([], [], 0, "broken_gzip")
        body = unpacked
    if len(body) > max_bytes:
        return Sitemap([], [], 0, "bomb")
    if not body.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<") and b"\0" not in body[:64]:
        listed = Limited(limit)
        for line in body.decode("utf-8-sig", "replace").splitlines():
            if _ABSOLUTE.fullmatch(line.strip()):
                listed.add(line.strip())
        return Sitemap(listed.kept, [], listed.cut, "")
    reader = _Reader(url, limit)
    note = reader.read(body)
    return Sitemap(reader.pages.kept, reader.sitemaps.kept, reader.pages.cut + reader.sitemaps.cut, note)


class _Reader:
    """The handlers of one document."""

    def __init__(self, url: str, limit: int) -> None:
        self._url = url
        self._path: list[str] = []
        self._text: list[str] | None = None
        self.pages, self.sitemaps = Limited(limit), Limited(limit)

    def read(self, body: bytes) -> str:
        parser = expat.ParserCreate()
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._characters
        parser.EntityDeclHandler = self._declared
        parser.AttlistDeclHandler = self._declared
        try:
            parser.Parse(body, True)
        except expat.ExpatError as error:
            return f"broken_xml: {expat.ErrorString(error.code)}"
        except _DeclaredEntityError:
            return "declares_entities"
        except (ValueError, LookupError) as error:  # an encoding that Python does not know
            return f"broken_xml: {str(error)[:80]}"
        return ""

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._path.append(name.rpartition(":")[2].lower())
        ends = tuple(self._path[-2:])
        if ends == ("entry", "link"):
            if attributes.get("href") and attributes.get("rel", "alternate") == "alternate":
                self._take(attributes["href"], ends)
        elif ends in _PAGE_LOCATIONS or ends in _SITEMAP_LOCATIONS:
            # `<sm:url><sm:loc>` is the protocol under a prefix; `<image:image><image:loc>` has another parent.
            self._text = []

    def _end(self, name: str) -> None:
        if self._text is not None:
            self._take("".join(self._text), tuple(self._path[-2:]))
            self._text = None
        self._path.pop()

    def _characters(self, text: str) -> None:
        if self._text is not None and len(self._text) < MAX_URL_CHARACTERS:
            self._text.append(text)

    def _declared(self, *_: object) -> None:
        raise _DeclaredEntityError

    def _take(self, location: str, ends: tuple[str, ...]) -> None:
        location = location.strip()
        if location and len(location) <= MAX_URL_CHARACTERS:
            (self.sitemaps if ends in _SITEMAP_LOCATIONS else self.pages).add(urls.resolve(self._url, location))


class _DeclaredEntityError(Exception):
    """The document declares entities, or attributes that each element would have, which no sitemap needs and every
    expansion bomb does."""
