"""EPUB to records: one book, one document.

A file comes in. Step 1: the zip and its XML are opened as hostile input (`packed_xml`). Step 2: the container names the
package, the package its spine, the order in which a book is read; what stands outside of it (navigation, notes to the
side) is left out. Step 3: each chapter's XHTML becomes text without main-content judgement: a book has no frame around
it. A chapter that cannot be read is a drop of its own, and the book says how many it lacks. Title, creator, language,
rights and identifier go into `meta`. Locator: `name#0`, of a chapter `name#chapter-N`. Cost: 25 MB/s of XHTML.
"""

import posixpath
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import unquote

from pipelines.corpus.acquisition.config import ReaderConfig
from pipelines.corpus.acquisition.readers.markup import markup_text
from pipelines.corpus.acquisition.readers.packed_xml import Element, Pack, UnreadableError, walk_xml
from pipelines.corpus.acquisition.records import Drop, Record, detail, moment
from pipelines.corpus.extraction.encoding import decode

CONTAINER: Final = "META-INF/container.xml"
_PAGES: Final = frozenset(("application/xhtml+xml", "text/html", "text/x-oeb1-document"))
_DESCRIBED: Final = ("title", "creator", "language", "rights", "identifier", "publisher", "date")


class _Book(NamedTuple):
    chapters: list[str]
    properties: dict[str, Any]


def read_records(path: Path, name: str, config: ReaderConfig) -> Iterator[Record | Drop]:
    """The one book at `path`, after a drop for each chapter of it that cannot be read."""
    locator = f"{name}#0"
    texts: list[str] = []
    missing = size = 0
    try:
        with Pack(path, config) as pack:
            book = _open_book(pack)
            for number, member in enumerate(book.chapters, start=1):
                try:
                    text = markup_text(decode(pack.read(member), None, markup=True).text)
                except UnreadableError as error:
                    if error.reason == "expansion_limit":
                        raise
                    missing += 1
                    yield Drop(f"{name}#chapter-{number}", "unreadable_chapter", detail(f"{error.reason}: {error}"))
                    continue
                size += len(text.encode("utf-8", "replace"))
                if size > config.max_record_bytes:
                    limit = f"more than the limit of {config.max_record_bytes} bytes"
                    raise UnreadableError("record_too_large", f"{limit}, in chapter {number} of {len(book.chapters)}")
                texts.append(text)
    except UnreadableError as error:
        yield Drop(locator, error.reason, detail(error))
        return
    body = "\n\n".join(text for text in texts if text.strip())
    if not body:
        yield Drop(locator, "no_text", f"none of {len(book.chapters)} chapters has text")
        return
    meta = {**book.properties, **({"missing_chapters": missing} if missing else {})}
    yield Record(
        locator=locator,
        url=None,
        body=body,
        content_type=None,
        charset=None,
        fetched_at=moment(book.properties.get("date")),
        meta=meta,
        kind="text",
        language=book.properties.get("language"),
    )


def _open_book(pack: Pack) -> _Book:
    packages: list[str] = []

    def root(element: Element) -> None:
        if element.name == "rootfile":
            packages.append(element.attributes.get("full-path", ""))

    walk_xml(pack.read(CONTAINER), root)
    if not packages:
        raise UnreadableError("missing_member", f"{CONTAINER} names no package")
    return _read_package(pack.read(packages[0]), posixpath.dirname(packages[0]))


def _read_package(data: bytes, folder: str) -> _Book:
    files: dict[str, str] = {}
    spine: list[str] = []
    properties: dict[str, Any] = {}
    inside: list[str] = []

    def start(element: Element) -> None:
        inside.append(element.name)
        values = element.attributes
        is_page = values.get("media-type") in _PAGES and "nav" not in values.get("properties", "").split()
        if element.name == "item" and is_page:
            target = unquote(values.get("href", "").partition("#")[0])
            files[values.get("id", "")] = posixpath.normpath(posixpath.join(folder, target))
        elif element.name == "itemref" and values.get("linear") != "no":
            spine.append(values.get("idref", ""))

    def text(words: str) -> None:
        if inside and inside[-1] in _DESCRIBED and "metadata" in inside and words.strip():
            before = properties.get(inside[-1])
            properties[inside[-1]] = (f"{before}; {words.strip()}" if before else words.strip())[:1000]

    walk_xml(data, start, lambda _: inside.__delitem__(-1), text)
    chapters = list(dict.fromkeys(files[name] for name in spine if name in files))
    if not chapters:
        raise UnreadableError("no_text", "the book's spine names no page")
    return _Book(chapters, properties)
