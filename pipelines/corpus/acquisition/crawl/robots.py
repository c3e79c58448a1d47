"""robots.txt by RFC 9309: what an origin allows, how slowly, and why we think so.

A response is judged in this order: unreachable or 5xx (or 429) closes the origin; any other 4xx opens it; a body that
is HTML opens it (sites that answer every path with 200 and a page are common, Python's own documentation server is
one); a body of another media type counts only if it holds a robots directive; the rest is parsed by Protego, the parser
of Scrapy. At most 500 KiB are read (RFC 9309 section 2.5), and an answer is used for 24 hours (section 2.4).
"""

import re
from dataclasses import dataclass, field
from typing import Any, Final, Self

from protego import Protego

MAX_ROBOTS_BYTES: Final = 500 * 1024
MAX_ROBOTS_AGE_SECONDS: Final = 24 * 3600.0
MAX_ROBOTS_REDIRECTS: Final = 5

# A comment ends at its first `-->`, for good: given back, n comments have 2**n ways to be told apart.
_HTML = re.compile(r"\s*+(?:<!--.*?-->\s*+)*+<(?:!doctype|html|head|body|title|\?xml)\b", re.IGNORECASE | re.DOTALL)
_DIRECTIVE = re.compile(
    r"^[ \t]*(?:user-?agent|disallow|allow|sitemap|crawl-?delay)[ \t]*:", re.IGNORECASE | re.MULTILINE
)


@dataclass(frozen=True, slots=True)
class Robots:
    """The rules of one origin. `state` is `rules`, `open` or `closed`; `reason` says by what evidence."""

    state: str
    reason: str
    text: str = ""
    fetched: float = 0.0
    _parsed: Protego | None = field(default=None, repr=False, compare=False)

    @classmethod
    def judge(cls, *, status: int | None, error: str | None, content_type: str, body: bytes, fetched: float) -> Self:
        """From the last response of the redirect chain (`status`, `body`) or the failure (`error`)."""
        if status is None:
            return cls("closed", f"unreachable: {error}", fetched=fetched)
        if status >= 500 or status == 429:
            return cls("closed", f"http_{status}", fetched=fetched)
        if 400 <= status < 500:
            return cls("open", f"http_{status}", fetched=fetched)
        if not 200 <= status < 300:
            return cls("open", f"redirects: {error or status}", fetched=fetched)
        text = body[:MAX_ROBOTS_BYTES].decode("utf-8-sig", "replace")
        if _HTML.match(text):
            return cls("open", "html_page", fetched=fetched)
        if content_type != "text/plain" and not _DIRECTIVE.search(text):
            return cls("open", f"content_type {content_type[:40] or 'none'}", fetched=fetched)
        return cls("rules", f"http_{status}", text, fetched, Protego.parse(text))

    def allows(self, url: str, product: str) -> bool:
        """Whether the crawler named `product` may fetch the URL."""
        if self._parsed is not None:
            return bool(self._parsed.can_fetch(url, product))
        return self.state != "closed"

    @property
    def refusal(self) -> str:
        """The outcome of a URL that is not allowed."""
        if self.state == "rules":
            return "robots:disallowed"
        return "error:private_address" if self.reason == "unreachable: private_address" else "robots:unreachable"

    def crawl_delay(self, product: str) -> float | None:
        """Seconds asked for between requests, or None."""
        return None if self._parsed is None else self._parsed.crawl_delay(product)

    def sitemaps(self) -> tuple[str, ...]:
        """The sitemaps that the file names, in its order, each once."""
        return () if self._parsed is None else tuple(dict.fromkeys(self._parsed.sitemaps))

    def to_json(self) -> dict[str, Any]:
        return {"state": self.state, "reason": self.reason, "text": self.text, "fetched": self.fetched}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Self:
        parsed = Protego.parse(value["text"]) if value["state"] == "rules" else None
        return cls(value["state"], value["reason"], value["text"], value["fetched"], parsed)


def product_token(user_agent: str) -> str:
    """`Gristmill` of `Gristmill/0.1 (+https://...)`: what robots.txt names (RFC 9309 section 2.2.1)."""
    match = re.match(r"[A-Za-z_-]+", user_agent)
    return match[0] if match else user_agent
