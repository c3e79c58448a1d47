"""Files inside files: tar and zip archives whose members are documents, and single files that were compressed.

A file of a source comes in. Step 1: its first bytes say whether it is a tar (plain or compressed), a zip, or a
compressed EPUB, DOCX or PDF; anything else is read as it is. Step 2: members that match `members` are copied to a
scratch file one by one and read by the source's own reader; the others are counted. LaTeX sources (arXiv packs a paper
as one tar) are unpacked together, so that they find what they include. Names inside only name: they go into locators,
`papers.tar.gz#2401/main.tex#0`, never to the disk; of members of one name the first is read, the others are counted.
What an archive may expand to is bounded as for any other file. Memory: 100 bytes a member that is read, for its name.
"""

import tempfile
import zipfile
from collections.abc import Callable, Iterator
from hashlib import blake2b
from pathlib import Path
from typing import Final

from pipelines.corpus.acquisition.config import ReaderConfig, SourceFormat
from pipelines.corpus.acquisition.inventory import escape_path, glob_matcher
from pipelines.corpus.acquisition.readers import latex
from pipelines.corpus.acquisition.readers.packed_xml import MAX_MEMBERS, READ_ERRORS, UnreadableError, open_zip
from pipelines.corpus.acquisition.readers.tar import BLOCK, Member, is_tar, tar_members
from pipelines.corpus.acquisition.records import Drop, Record, detail
from pipelines.corpus.acquisition.streams import (
    FILE_EXPANSION_FLOOR,
    Problem,
    decompressed,
    is_compressed,
)

ARCHIVED: Final = frozenset[SourceFormat](
    ("folder", "markdown", "latex", "epub", "docx", "pdf", "jsonl", "json_array", "csv", "tsv", "parquet")
)
"""Formats of which a file may lie in an archive."""
_WHOLE: Final = frozenset[SourceFormat](("epub", "docx", "pdf", "parquet"))
"""Formats whose readers need the whole file, and do not undo compression themselves."""
_ONE_FILE_MARKS: Final = (
    "META-INF/container.xml",
    "META-INF/MANIFEST.MF",
    "[Content_Types].xml",
    "_rels/.rels",
)
_MIMETYPES: Final = (b"application/epub+zip", b"application/vnd.oasis.opendocument", b"application/vnd.sun.xml")
"""How the member `mimetype` begins in a book and in an office document; other archives may have a file of that name."""
_ZIP: Final = (b"PK\x03\x04", b"PK\x05\x06")
_COPY_BYTES: Final = 1 << 20
_MIMETYPE_BYTES: Final = 64
_DIGEST_BYTES: Final = 16
MAX_LATEX_MEMBERS: Final = 10_000

Read = Callable[[Path, str], Iterator[Record | Drop]]
"""A format's reader with its configuration: a file, and its name."""


def read_packed(path: Path, name: str, config: ReaderConfig, read: Read) -> Iterator[Record | Drop] | None:
    """The records of a file that is an archive or compressed; None for one that its reader takes as it is."""
    with path.open("rb") as stream:
        head = stream.read(BLOCK)
    if head.startswith(_ZIP):
        return _from_archive(path, name, config, read, _zip_members) if _is_archive(path, config) else None
    if is_tar(head):
        return _from_archive(path, name, config, read, _tar_members)
    if is_compressed(path):
        if is_tar(_first_bytes(path, config)):
            return _from_archive(path, name, config, read, _tar_members)
        if config.format in _WHOLE:
            return _decompressed_first(path, name, config, read)
    return None


def _is_archive(path: Path, config: ReaderConfig) -> bool:
    """Whether a zip holds files; an EPUB, an office document or a program is a zip itself."""
    itself = config.format in ("epub", "docx")
    try:
        with open_zip(path) as archive:
            names = archive.NameToInfo
            if itself and not any(name.lower().endswith(f".{config.format}") for name in names):
                return False
            return not any(mark in names for mark in _ONE_FILE_MARKS) and not _says_document(archive)
    except (UnreadableError, *READ_ERRORS):
        return not itself  # who reads it says what is wrong


def _says_document(archive: zipfile.ZipFile) -> bool:
    info = archive.NameToInfo.get("mimetype")
    if info is None or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return False
    with archive.open(info) as stream:
        return stream.read(_MIMETYPE_BYTES).startswith(_MIMETYPES)


def _first_bytes(path: Path, config: ReaderConfig) -> bytes:
    data = b""
    for event in decompressed(path, config):
        if isinstance(event, Problem):
            break
        data += event.data[:BLOCK]
        if len(data) >= BLOCK:
            break
    return data


def _decompressed_first(path: Path, name: str, config: ReaderConfig, read: Read) -> Iterator[Record | Drop]:
    """Read a compressed file of a format that is read whole."""
    with tempfile.TemporaryDirectory(prefix="gristmill-file-") as folder:
        copy = Path(folder) / "file"
        with copy.open("wb") as stream:
            for event in decompressed(path, config):
                if isinstance(event, Problem):
                    yield Drop(f"{name}#{event.place}", event.reason, event.detail)
                    return
                stream.write(event.data)
        yield from read(copy, name)


Members = Callable[[Path, str, ReaderConfig, Path], Iterator[Member | Drop]]


def _from_archive(path: Path, name: str, config: ReaderConfig, read: Read, members: Members) -> Iterator[Record | Drop]:
    matches = glob_matcher(config.members)
    with tempfile.TemporaryDirectory(prefix="gristmill-members-") as folder:
        scratch = Path(folder) / "member"
        kept: dict[str, Path] = {}
        names: set[bytes] = set()
        for number, item in enumerate(members(path, name, config, scratch)):
            if isinstance(item, Drop):
                yield item
                continue
            locator = f"{name}#{item.name}"
            digest = blake2b(item.name.encode(), digest_size=_DIGEST_BYTES).digest()
            if not matches(item.name):
                yield Drop(locator, "member_left_out", "`members` does not ask for it")
            elif digest in names:
                yield Drop(f"{locator}#entry-{number}", "duplicate_member", "an earlier member has this name")
            elif config.format != "latex":
                names.add(digest)
                yield from _below(name, read(item.path, item.name))
            elif len(kept) < MAX_LATEX_MEMBERS:
                names.add(digest)
                kept[item.name] = item.path.rename(Path(folder) / f"{len(kept):06d}")
            else:
                yield Drop(locator, "member_limit", f"more than {MAX_LATEX_MEMBERS} files")
        siblings = latex.Siblings(kept, config)
        for inner, place in kept.items():
            yield from _below(name, latex.read_records(place, inner, config, siblings))


def _below(name: str, items: Iterator[Record | Drop]) -> Iterator[Record | Drop]:
    for item in items:
        yield item._replace(locator=f"{name}#{item.locator}")


def _tar_members(path: Path, name: str, config: ReaderConfig, scratch: Path) -> Iterator[Member | Drop]:
    return tar_members(decompressed(path, config), name, scratch)


def _zip_members(path: Path, name: str, config: ReaderConfig, scratch: Path) -> Iterator[Member | Drop]:
    """Regular files of a zip, in the order of its directory, until they expand beyond the file's limit."""
    left = FILE_EXPANSION_FLOOR + config.max_expansion * path.stat().st_size
    try:
        archive = open_zip(path)
    except UnreadableError as error:
        yield Drop(f"{name}#0", error.reason, detail(error))
        return
    with archive:
        entries = archive.infolist()
        for info in entries[:MAX_MEMBERS]:
            if info.filename.endswith("/"):
                continue
            inner = escape_path(info.filename.encode("utf-8", "surrogateescape").lstrip(b"/"))
            locator = f"{name}#{inner}"
            if info.external_attr >> 28 not in (0, 8):  # the Unix type of what is no regular file; 0 where none is said
                yield Drop(locator, "not_a_file", "a link or device")
            elif info.flag_bits & 1:
                yield Drop(locator, "encrypted", "the member is encrypted")
            else:
                try:
                    size = _copy(archive, info, scratch, left)
                except (*READ_ERRORS, MemoryError) as error:
                    yield Drop(locator, "corrupt_member", detail(f"{type(error).__name__}: {error}"))
                    continue
                left -= size
                if left < 0:
                    limit = f"the archive expands more than {config.max_expansion}:1; the rest is not read"
                    yield Drop(locator, "expansion_limit", limit)
                    return
                yield Member(inner, scratch)
        if len(entries) > MAX_MEMBERS:
            yield Drop(f"{name}#member-{MAX_MEMBERS}", "member_limit", f"{len(entries)} members; the rest is not read")


def _copy(archive: zipfile.ZipFile, info: zipfile.ZipInfo, scratch: Path, left: int) -> int:
    """Write a member to the scratch file, `left + 1` bytes at most; the bytes written."""
    size = 0
    with archive.open(info) as stream, scratch.open("wb") as copy:
        while size <= left and (block := stream.read(min(_COPY_BYTES, left + 1 - size))):
            copy.write(block)
            size += len(block)
    return size
