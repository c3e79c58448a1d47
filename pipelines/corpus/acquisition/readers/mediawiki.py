"""MediaWiki XML dumps to records: one per article revision, as plain text.

One dump comes in, plain, bz2, gz or zst. Step 1: expat reads it as a stream; only the fields of the page in hand are
held, and document types and entities are refused. Step 2: namespace 0 and wikitext stay, redirects go. Step 3: wikitext
becomes text (`wikitext.plain_text`). After broken XML, reading goes on at the next `<page>`.
Locator: `name#page@revision`. Cost: 4 MB/s of XML on one core; wikitext is the limit.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import quote
from xml.parsers import expat

from pipelines.corpus.acquisition.config import ReaderConfig
from pipelines.corpus.acquisition.lines import utf8_chunks
from pipelines.corpus.acquisition.readers.wikitext import plain_text
from pipelines.corpus.acquisition.records import Drop, Record, detail, moment
from pipelines.corpus.acquisition.streams import MAX_RESUMES, Problem, decompressed

MAX_DEPTH: Final = 32
"""Elements inside one another; the export format uses 5."""
MAX_FIELD_CHARACTERS: Final = 10_000
FEED_BYTES: Final = 64 << 10
_HIDDEN: Final = frozenset(("file", "image", "category", "media"))
_HIDDEN_KEYS: Final = frozenset(("-2", "6", "14"))  # Media, File, Category in every language's siteinfo
_PAGE: Final = b"<page>"
_FIELDS: Final = {
    ("siteinfo", "base"): "base",
    ("namespaces", "namespace"): "namespace",
    ("page", "title"): "title",
    ("page", "ns"): "ns",
    ("page", "id"): "page",
    ("revision", "id"): "revision",
    ("revision", "timestamp"): "timestamp",
    ("revision", "model"): "model",
    ("revision", "text"): "text",
}


class _RefusedError(Exception):
    """The XML holds what no dump holds."""


def read_records(path: Path, name: str, config: ReaderConfig) -> Iterator[Record | Drop]:
    """Articles of the dump at `path`; `name` is its path in the inventory."""
    reader = _Dump(name, config)
    for event in utf8_chunks(decompressed(path, config), config.encoding):
        if isinstance(event, Problem):
            yield from reader.torn("the dump cannot be read further")
            yield Drop(f"{name}#{event.place}", event.reason, event.detail)
            reader.lose()
            continue
        view = memoryview(event.data)
        for start in range(0, len(view), FEED_BYTES):
            yield from reader.feed(bytes(view[start : start + FEED_BYTES]))
        if reader.given_up:
            return
    yield from reader.end()


class _Dump:
    """Parser state over one dump. Between a break and the next `<page>` there is no parser."""

    def __init__(self, name: str, config: ReaderConfig) -> None:
        self.given_up = False
        self._name, self._config = name, config
        self._base: str | None = None
        self._hidden = _HIDDEN
        self._resumes = 0
        self._offset = 0  # decompressed bytes fed or passed over
        self._tail = b""  # the last bytes before a `<page>` was found
        self._done: list[Record | Drop] = []
        self._complete = False
        self._parser: expat.XMLParserType | None = None
        self._start(b"")

    def feed(self, data: bytes) -> Iterator[Record | Drop]:
        while data and not self.given_up:
            if self._parser is None:
                data = self._find_page(data)
                continue
            try:
                self._parser.Parse(data, False)
                lag = self._fed + len(data) - self._parser.CurrentByteIndex
                if lag > self._config.max_line_bytes:
                    raise _RefusedError(f"{lag} bytes without an end of tag or text")
            except (expat.ExpatError, _RefusedError) as error:
                yield from self._drain()
                consumed = max(0, min(len(data), self._parser.CurrentByteIndex - self._fed))
                yield from self._broken(error, self._offset + consumed)
                self._offset += consumed
                data = data[consumed:]
                # The bytes at the error may be the `<page>` at which the last resume began: go past its first one.
                self._offset += min(1, len(data))
                data = data[1:]
                continue
            self._fed += len(data)
            self._offset += len(data)
            data = b""
            yield from self._drain()

    def end(self) -> Iterator[Record | Drop]:
        if self.given_up or self._parser is None:
            return
        try:
            self._parser.Parse(b"", True)
        except expat.ExpatError as error:
            yield from self._drain()
            if not self._complete:
                if self._in_page:
                    yield from self.torn("the dump ends inside the page")
                else:
                    yield Drop(f"{self._name}#+{self._offset}", "torn_record", detail(f"the dump has no end: {error}"))
        yield from self._drain()

    def torn(self, why: str) -> Iterator[Drop]:
        if self._parser is not None and self._in_page:
            yield Drop(self._locator(), "torn_record", why)

    def lose(self) -> None:
        """Forget the parser: the next bytes are no neighbours of the last ones."""
        self._parser, self._tail = None, b""

    def _broken(self, error: Exception, offset: int) -> Iterator[Drop]:
        if self._complete:
            yield Drop(f"{self._name}#+{offset}", "trailing_data", detail(error))
            self.given_up = True
            return
        locator = self._locator() if self._in_page else f"{self._name}#+{offset}"
        self._resumes += 1
        self.given_up = self._resumes > MAX_RESUMES
        rest = f"; the {self._resumes}th break, the rest of the dump is not read" if self.given_up else ""
        yield Drop(locator, "bad_xml", detail(f"{error} (byte {offset}){rest}"))
        self.lose()

    def _find_page(self, data: bytes) -> bytes:
        """Skip to the next `<page>`; returns what comes behind the tag, with a new parser, or nothing."""
        joined = self._tail + data
        found = joined.find(_PAGE)
        if found < 0:
            self._tail = joined[-(len(_PAGE) - 1) :]
            self._offset += len(data)
            return b""
        self._offset += found + len(_PAGE) - len(self._tail)
        self._tail = b""
        self._start(b"<mediawiki><page>")
        return joined[found + len(_PAGE) :]

    def _start(self, prefix: bytes) -> None:
        parser = expat.ParserCreate("utf-8")
        parser.buffer_text = True
        parser.StartElementHandler = self._start_element
        parser.EndElementHandler = self._end_element
        parser.CharacterDataHandler = self._characters
        parser.StartDoctypeDeclHandler = self._refuse_doctype
        self._parser = parser
        self._stack: list[str] = []
        self._field: str | None = None
        self._pieces: list[str] = []
        self._size = 0
        self._values: dict[str, str] = {}
        self._redirect: str | None = None
        self._namespace_key = ""
        self._too_large = self._in_page = False
        if prefix:
            parser.Parse(prefix, False)
        self._fed = len(prefix)

    def _refuse_doctype(self, *_: object) -> None:
        raise _RefusedError("a document type declaration, which may define entities; no MediaWiki dump has one")

    def _start_element(self, tag: str, attributes: dict[str, str]) -> None:
        if len(self._stack) >= MAX_DEPTH:
            raise _RefusedError(f"elements nested more than {MAX_DEPTH} deep")
        parent = self._stack[-1] if self._stack else ""
        self._stack.append(tag)
        if tag == "page":
            self._in_page, self._values, self._redirect = True, {}, None
        elif tag == "redirect" and parent == "page":
            self._redirect = attributes.get("title", "")
        elif tag == "namespace":
            self._namespace_key = attributes.get("key", "")
        self._field = _FIELDS.get((parent, tag))
        self._pieces, self._size = [], 0

    def _characters(self, data: str) -> None:
        if self._field is None:
            return
        self._size += len(data)
        limit = self._config.max_record_bytes if self._field == "text" else MAX_FIELD_CHARACTERS
        if self._size > limit:
            self._pieces.clear()
            self._too_large = self._too_large or self._field == "text"
        else:
            self._pieces.append(data)

    def _end_element(self, tag: str) -> None:
        self._stack.pop()
        if self._field is not None:
            self._values[self._field] = "".join(self._pieces)
        if self._field == "base":
            self._base = self._values["base"]
        elif self._field == "namespace" and self._namespace_key in _HIDDEN_KEYS:
            self._hidden |= {self._values["namespace"].strip().lower()}
        self._field = None
        if tag == "revision" and self._in_page:
            self._done.append(self._record())
            self._too_large = False
            for field in ("revision", "timestamp", "model", "text"):
                self._values.pop(field, None)
        elif tag == "page":
            self._in_page = False
        elif tag == "mediawiki" and not self._stack:
            self._complete = True

    def _drain(self) -> Iterator[Record | Drop]:
        done, self._done = self._done, []
        for item in done:
            # Wikitext is parsed here and not in the handler, so that an error in it is not taken for one of the XML.
            yield item._replace(body=plain_text(str(item.body), self._hidden)) if isinstance(item, Record) else item

    def _locator(self) -> str:
        page, revision = self._values.get("page", ""), self._values.get("revision", "")
        known = page.isascii() and page.isdigit() and len(page) <= 18
        if not known:
            return f"{self._name}#+{self._offset}"
        return f"{self._name}#{page}@{revision if revision.isascii() and revision.isdigit() else '?'}"

    def _record(self) -> Record | Drop:
        locator, values = self._locator(), self._values
        if "@" not in locator.removeprefix(self._name) or locator.endswith("?"):
            return Drop(locator, "bad_xml", "a page without a number or a revision without one")
        if values.get("ns", "0").strip() != "0":
            return Drop(locator, "namespace", detail(values["ns"]))
        if self._redirect is not None:
            return Drop(locator, "redirect", detail(self._redirect))
        if self._too_large:
            return Drop(locator, "record_too_large", f"more than {self._config.max_record_bytes} characters of text")
        if values.get("model", "wikitext") != "wikitext":
            return Drop(locator, "not_wikitext", detail(values["model"]))
        if not values.get("text"):
            return Drop(locator, "no_text", "the revision has no text")
        title = values.get("title", "")
        return Record(
            locator=locator,
            url=self._url(title),
            body=values["text"],
            content_type=None,
            charset=None,
            fetched_at=moment(values.get("timestamp")),
            meta={"title": title} if title else {},
            kind="text",
        )

    def _url(self, title: str) -> str | None:
        if not title or self._base is None or "/" not in self._base:
            return None
        return f"{self._base.rpartition('/')[0]}/{quote(title.replace(' ', '_'), safe='/:(),!*')}"
