"""The container of EPUB and DOCX: a zip of XML, opened as hostile input.

Members are read one by one with limits on each and on all of them together, so that a bomb costs its limit; the
directory's own numbers are not believed. XML is read by expat as events: a document that declares an entity is refused
(expat fetches nothing from outside), and so is one that nests deeper than `MAX_DEPTH`.
"""

import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Final, NamedTuple, Self
from xml.parsers import expat

from pipelines.corpus.acquisition.config import ReaderConfig
from pipelines.corpus.acquisition.streams import EXPANSION_FLOOR

MAX_MEMBERS: Final = 100_000
MAX_DIRECTORY_BYTES: Final = 32 << 20
"""Of a zip's directory, of which `zipfile` makes objects all at once: 500 bytes an entry of at least 46, so 350 MB."""
MAX_DEPTH: Final = 512
_END: Final = struct.Struct("<4s6xHL6x")
_END64: Final = struct.Struct("<4s28xQQ8x")
_END64_PLACE: Final = struct.Struct("<4s4xQ4x")
_MAX_COMMENT: Final = 0xFFFF
_IN_ZIP64: Final = 0xFFFFFFFF  # a size that only the zip64 record states
READ_ERRORS: Final = (
    zipfile.BadZipFile,
    zlib.error,
    OSError,
    EOFError,
    ValueError,
    KeyError,
    RuntimeError,
)
"""What `zipfile` raises on damaged archives; RuntimeError is an encrypted member or an unknown method."""


class UnreadableError(Exception):
    """The file gives no text; `reason` is a drop's."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


def open_zip(path: Path) -> zipfile.ZipFile:
    """The zip at `path`; UnreadableError for none, and for one whose directory is beyond the limits."""
    try:
        entries, size = _directory(path)
        if entries > MAX_MEMBERS or size > MAX_DIRECTORY_BYTES:
            found = f"a directory of {entries} members in {size} bytes"
            raise UnreadableError("member_limit", f"{found}; the limits are {MAX_MEMBERS} and {MAX_DIRECTORY_BYTES}")
        return zipfile.ZipFile(path)
    except READ_ERRORS as error:
        raise UnreadableError("not_a_zip", f"{type(error).__name__}: {error}") from error


def _directory(path: Path) -> tuple[int, int]:
    """Members and bytes of a zip's directory as its end records say, the larger of both; zeros where there is none.

    PKWARE's APPNOTE 4.3.14 to 4.3.16. The number may lie, but `zipfile` reads no more bytes than the record states.
    """
    with path.open("rb") as stream:
        length = stream.seek(0, 2)
        start = stream.seek(max(0, length - _END64.size - _END64_PLACE.size - _END.size - _MAX_COMMENT))
        tail = stream.read()
        at = len(tail) - _END.size  # as `zipfile`: at the end, or the last one before a comment
        if at < 0 or not (tail.startswith(b"PK\5\6", at) and tail.endswith(b"\0\0")):
            at = tail.rfind(b"PK\5\6")
        if at < 0 or len(tail) - at < _END.size:
            return 0, 0
        _, entries, size = _END.unpack_from(tail, at)
        place = at - _END64_PLACE.size
        if place >= 0 and tail.startswith(b"PK\6\7", place):
            for offset in (
                start + place - _END64.size,
                _END64_PLACE.unpack_from(tail, place)[1],
            ):  # before it, or there
                stream.seek(min(max(offset, 0), length))
                record = stream.read(_END64.size)
                if len(record) == _END64.size and record.startswith(b"PK\6\6"):
                    _, entries64, size64 = _END64.unpack(record)
                    entries, size = max(entries, entries64), max(size if size != _IN_ZIP64 else 0, size64)
    return entries, size


class Pack:
    """An open zip whose members are read within limits."""

    def __init__(self, path: Path, config: ReaderConfig) -> None:
        with path.open("rb") as stream:
            magic = stream.read(8)
        if magic.startswith(b"\xd0\xcf\x11\xe0"):
            raise UnreadableError("not_a_zip", "a file of the older binary format, or one with a password")
        self._zip = open_zip(path)
        self._members = {info.filename: info for info in self._zip.infolist()[:MAX_MEMBERS]}
        self._left = EXPANSION_FLOOR + config.max_expansion * path.stat().st_size

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._zip.close()

    def __contains__(self, member: str) -> bool:
        return member in self._members

    def read(self, member: str) -> bytes:
        """The bytes of a member; UnreadableError if it is missing, damaged, encrypted or beyond the limits."""
        info = self._members.get(member)
        if info is None:
            raise UnreadableError("missing_member", f"the archive has no {member}")
        if info.flag_bits & 1:
            raise UnreadableError("encrypted", f"{member} is encrypted")
        try:
            with self._zip.open(info) as stream:
                data = stream.read(self._left + 1)
        except (*READ_ERRORS, MemoryError) as error:
            raise UnreadableError("corrupt_member", f"{member}: {type(error).__name__}: {error}") from error
        self._left -= len(data)
        if self._left < 0:
            raise UnreadableError("expansion_limit", f"{member} expands the archive beyond its limit")
        return data


class Element(NamedTuple):
    """The local name of an element, without its namespace, and its attributes by local name."""

    name: str
    attributes: dict[str, str]


def walk_xml(
    data: bytes,
    start: Callable[[Element], None],
    end: Callable[[str], None] = lambda name: None,
    text: Callable[[str], None] = lambda data: None,
) -> None:
    """Call back for every event of the document; UnreadableError for XML that is broken or not to be trusted."""
    depth = 0
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True

    def opened(name: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > MAX_DEPTH:
            raise UnreadableError("bad_xml", f"elements nested more than {MAX_DEPTH} deep")
        local = {key.rpartition(" ")[2]: value for key, value in attributes.items()}
        start(Element(name.rpartition(" ")[2], local))

    def closed(name: str) -> None:
        nonlocal depth
        depth -= 1
        end(name.rpartition(" ")[2])

    def entity(*_: object) -> None:
        raise UnreadableError("bad_xml", "it declares an entity, which no such file needs")

    parser.StartElementHandler, parser.EndElementHandler = opened, closed
    parser.CharacterDataHandler, parser.EntityDeclHandler = text, entity
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        raise UnreadableError("bad_xml", str(error)) from error
