"""DOCX to records: one file, one document.

A file comes in. Step 1: the zip and its XML are opened as hostile input (`packed_xml`). Step 2: the main part is read
as events: runs become text, tabs and breaks their characters, paragraphs lines, list items begin with a dash, the cells
of a table's row stand on one line. What was deleted under revision marks, field codes and the second copy of drawn text
boxes are left out; formulas keep their characters. Step 3: foot- and endnotes follow at the end. Title, author,
language and date come from the core properties. Locator: `name#0`. Cost: 15 MB/s of XML.
"""

import posixpath
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from pipelines.corpus.acquisition.config import ReaderConfig
from pipelines.corpus.acquisition.readers.packed_xml import Element, Pack, UnreadableError, walk_xml
from pipelines.corpus.acquisition.records import Drop, Record, detail, moment

_SKIPPED: Final = frozenset(("del", "moveFrom", "Fallback", "instrText", "delText"))
_CHARACTERS: Final = {"tab": "\t", "br": "\n", "cr": "\n", "noBreakHyphen": "-"}
_PROPERTIES: Final = {"title": "title", "creator": "creator", "language": "language", "created": "created"}
_NOTES: Final = ("footnotes", "endnotes")


def read_records(path: Path, name: str, config: ReaderConfig) -> Iterator[Record | Drop]:
    """The one document of the file at `path`, or the drop that says why it is none."""
    locator = f"{name}#0"
    try:
        with Pack(path, config) as pack:
            main = _main_part(pack)
            pieces = [_text(pack.read(main))]
            for notes in _NOTES:
                part = posixpath.join(posixpath.dirname(main), f"{notes}.xml")
                if part in pack:
                    pieces.append(_text(pack.read(part)))
            properties = _core_properties(pack)
    except UnreadableError as error:
        yield Drop(locator, error.reason, detail(error))
        return
    text = "\n\n".join(piece for piece in pieces if piece)
    if not text:
        yield Drop(locator, "no_text", "the document has no paragraph with text")
    elif len(text.encode("utf-8", "replace")) > config.max_record_bytes:
        yield Drop(locator, "record_too_large", f"more than the limit of {config.max_record_bytes} bytes")
    else:
        yield Record(
            locator=locator,
            url=None,
            body=text,
            content_type=None,
            charset=None,
            fetched_at=moment(properties.pop("created", None)),
            meta=properties,
            kind="text",
            language=properties.get("language"),
        )


def _main_part(pack: Pack) -> str:
    """The part that the package's relations call the document."""
    found: list[str] = []

    def start(element: Element) -> None:
        if element.attributes.get("Type", "").endswith("/officeDocument"):
            found.append(element.attributes.get("Target", "").lstrip("/"))

    walk_xml(pack.read("_rels/.rels"), start)
    if not found or not found[0].endswith(".xml") or found[0] not in pack:
        raise UnreadableError("missing_member", "no main document is named in _rels/.rels")
    return found[0]


def _core_properties(pack: Pack) -> dict[str, Any]:
    if "docProps/core.xml" not in pack:
        return {}
    values: dict[str, Any] = {}
    inside: list[str] = []

    def text(data: str) -> None:
        if inside and inside[-1] in _PROPERTIES and data.strip():
            values[_PROPERTIES[inside[-1]]] = (values.get(_PROPERTIES[inside[-1]], "") + data)[:1000]

    try:
        walk_xml(
            pack.read("docProps/core.xml"),
            lambda element: inside.append(element.name),
            lambda _: inside.__delitem__(-1),
            text,
        )
    except UnreadableError:  # properties are a courtesy: a document without them is one
        return {}
    return values


def _text(data: bytes) -> str:
    body = _Body()
    walk_xml(data, body.start, body.end, body.characters)
    return body.text()


class _Body:
    """Events of WordprocessingML to lines."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._run: list[str] = []  # pieces of the paragraph in hand
        self._cells: list[list[list[str]]] = []  # rows in hand, outermost first: cells, and the paragraphs of each
        self._skipped = self._note = 0
        self._in_text = self._item = False

    def text(self) -> str:
        return "\n\n".join(self._lines).replace("\n\n- ", "\n- ").strip()

    def start(self, element: Element) -> None:
        name = element.name
        # Word keeps two notes that are only the line between text and notes.
        separator = name in ("footnote", "endnote") and "eparator" in element.attributes.get("type", "")
        if self._skipped or name in _SKIPPED or separator:
            self._skipped += 1
        elif name == "t":
            self._in_text = True
        elif name == "p":
            self._run, self._item = [], False
        elif name == "numPr":
            self._item = True
        elif name == "tr":
            self._cells.append([])
        elif name == "tc" and self._cells:
            self._cells[-1].append([])
        elif name in _CHARACTERS and not (name == "tab" and "val" in element.attributes):  # `val`: a tab stop
            self._run.append(_CHARACTERS[name])

    def end(self, name: str) -> None:
        if self._skipped:
            self._skipped -= 1
        elif name == "t":
            self._in_text = False
        elif name == "p":
            self._paragraph("".join(self._run).strip())
            self._run = []
        elif name == "tr" and self._cells:
            row = " | ".join(" ".join(cell) for cell in self._cells.pop())
            if row.strip(" |"):
                self._paragraph(row)

    def characters(self, data: str) -> None:
        if self._in_text and not self._skipped:
            self._run.append(data)

    def _paragraph(self, text: str) -> None:
        if not text:
            return
        if self._cells and self._cells[-1]:
            self._cells[-1][-1].append(text)
        else:
            self._lines.append(f"- {text}" if self._item else text)
