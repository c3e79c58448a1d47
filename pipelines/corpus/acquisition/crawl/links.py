"""Links of a page: the bytes of an HTML document in, absolute URLs out, each once, in document order.

Read from `a`, `area`, `frame` and `iframe`, against the first `base`. The page is decoded and its start tags are read
as they stand in the source (`tags`): links are attributes, and no tree, whose building takes the square of a hostile
page, is made for them. A 45 KB page costs about 2 ms.
"""

import codecs
import re
from typing import Final, NamedTuple

from pipelines.corpus.acquisition.crawl import urls
from pipelines.corpus.acquisition.crawl.limited import Limited
from pipelines.corpus.acquisition.crawl.tags import start_tags

_CANONICAL_HEADER = re.compile(r"<([^<>]{1,4096})>[^<>,]{0,200}?;\s*rel\s*=\s*\"?canonical\b", re.IGNORECASE)
_LINK_ATTRIBUTES: Final = {"a": "href", "area": "href", "frame": "src", "iframe": "src"}
_TAGS: Final = frozenset((*_LINK_ATTRIBUTES, "base", "link", "meta"))
MAX_BASE_CHARACTERS: Final = 4096
_HOST_CODECS: Final = frozenset(("punycode", "idna"))
"""Codecs that take the square of a text's length."""


class PageLinks(NamedTuple):
    """The links looked at, how many more the page had, and the URL that the page calls its canonical one.

    Of a sitemap, `links` are its pages and `sitemaps` the further ones.
    """

    links: list[str]
    cut: int
    canonical: str | None = None
    sitemaps: tuple[str, ...] = ()


def page_links(
    body: bytes,
    url: str,
    *,
    charset: str | None,
    limit: int,
    respect_nofollow: bool,
    robots_tag: str = "",
    link_header: str = "",
) -> PageLinks:
    """Links of the decoded HTML `body` fetched from `url`; `robots_tag` is the X-Robots-Tag header.

    The canonical URL is the page's own or that of the `Link` header (RFC 6596). It is noted, never obeyed: a page may
    name any other one.
    """
    from resiliparse.parse.encoding import bytes_to_str, detect_encoding

    in_header = _CANONICAL_HEADER.search(link_header)
    canonical = _absolute(url, in_header[1]) if in_header else None
    text = bytes_to_str(body, _known(charset) or detect_encoding(body) or "utf-8", errors="replace")
    base: str | None = None
    named: str | None = None
    closed = respect_nofollow and _says_nofollow(robots_tag)
    references: dict[str, None] = {}
    for tag, attributes in start_tags(text, _TAGS):
        rel = attributes.get("rel", "").lower().split()
        reference = attributes.get(_LINK_ATTRIBUTES.get(tag, "href"))
        if tag == "meta":
            says = attributes.get("name", "").lower() == "robots" and _says_nofollow(attributes.get("content", ""))
            closed = closed or (respect_nofollow and says)
        elif reference is None:
            continue
        elif tag == "base":
            base = reference if base is None else base
        elif tag == "link":
            named = reference if named is None and "canonical" in rel else named
        elif not (reference.startswith("#") or (respect_nofollow and "nofollow" in rel)):
            references[reference] = None
    # A base that no URL can be as long as is none: each link would be as long.
    resolved = urls.resolve(url, base) if base is not None and len(base) <= MAX_BASE_CHARACTERS else url
    if named is not None:
        canonical = _absolute(resolved, named) or canonical
    if closed:
        return PageLinks([], 0, canonical)
    links = Limited(limit)
    for reference in references:
        links.add(urls.resolve(resolved, reference).partition("#")[0])
    return PageLinks(links.kept, links.cut, canonical)


def _absolute(base: str, reference: str) -> str | None:
    """The normalized URL that a reference means, or None for one that is no http(s) URL."""
    try:
        return urls.normalize(urls.resolve(base, reference))
    except urls.UrlError:
        return None


def _says_nofollow(directives: str) -> bool:
    return not {"nofollow", "none"}.isdisjoint(part.strip() for part in directives.lower().split(","))


def _known(charset: str | None) -> str | None:
    """The declared charset when Python knows it: a server may declare anything, names of host labels too."""
    try:
        if charset and codecs.lookup(charset).name in _HOST_CODECS:
            return None
        return "".encode(charset).decode(charset) or charset if charset else None
    except (LookupError, ValueError):
        return None
