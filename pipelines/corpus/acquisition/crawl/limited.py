"""The first texts of many, each once, and how many more there were, in memory that their length does not multiply."""

from hashlib import blake2b


class Limited:
    """Takes texts; keeps the first `limit` different ones in their order, and of the others digests of 16 bytes.

    A page or a sitemap has up to millions of short relative references, and each resolves to a URL as long as its base.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._kept: dict[str, None] = {}
        self._beyond: set[bytes] = set()

    def add(self, text: str) -> None:
        if len(self._kept) < self._limit:
            self._kept[text] = None
        elif text not in self._kept:
            self._beyond.add(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest())

    @property
    def kept(self) -> list[str]:
        return list(self._kept)

    @property
    def cut(self) -> int:
        """Different texts that were not kept."""
        return len(self._beyond)
