"""Files to decompressed bytes, in bounded memory, whatever the file holds.

A file comes in. Step 1: its first bytes say whether it is gzip, zstd, bzip2, xz, lz4 or plain; its name says nothing.
Step 2: it is decompressed frame by frame (a gzip member, a zstd or lz4 frame, a bzip2 or xz stream) into chunks that
carry their place: the frame's offset in the file and the chunk's offset inside the frame. Step 3: what cannot be read
becomes a `Problem` (a truncated or corrupt frame, bytes that belong to no frame, an expansion beyond the limit);
reading goes on at the next frame. A problem breaks the stream: the bytes before and after it are not neighbours.

Cost: one core decompresses at the codec's own speed (igzip 1.0, zstd 0.8, lz4 1.5, xz 0.1, bz2 0.03 GB/s of output);
memory is one read buffer and one output chunk, at most 32 MiB for a hostile zstd file (a zstd block of 4 bytes can say
128 KiB).
"""

import bz2
import lzma
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple, Protocol

import lz4.frame
import zstandard
from isal import isal_zlib

from pipelines.corpus.acquisition.config import ReaderConfig

READ_BYTES = 256 << 10
CHUNK_BYTES = 1 << 20
EXPANSION_FLOOR = 16 << 20
"""Expansion is judged above this size only: a small frame of blank lines is not a bomb."""
FILE_EXPANSION_FLOOR = 16 * EXPANSION_FLOOR
"""The same for a whole file, so that it outlives a few bombs but not a thousand."""
ZSTD_FEED_BYTES = 1 << 10
"""zstd has no output limit per call; 1 KiB in is at most 256 blocks of 128 KiB out = 32 MiB."""
ZSTD_WINDOW_BYTES = 128 << 20
"""What `zstd -d` accepts without --long; a larger window is memory that a hostile file asks for."""
XZ_MEMORY_BYTES = 256 << 20
"""Of the decoder, for its dictionary; `xz -9` needs 65 MiB."""
_GZIP_FLAGS = b"\x1f"
"""All flags of a gzip header that RFC 1952 defines."""
MAX_RESUMES = 1000
"""Searches for a next frame per file; every search decodes at most one buffer again, so hostile input stays linear."""


class Chunk(NamedTuple):
    """`data` starts `position` bytes into the decompressed frame that starts at byte `frame` of the file.

    A plain file has no frames (None), and the position is the file's.
    """

    data: bytes
    frame: int | None
    position: int


class Problem(NamedTuple):
    """A span of the file that gave no bytes, from `place` on; the stream is broken here."""

    place: str
    reason: str
    detail: str


def place(frame: int | None, position: int) -> str:
    """A byte's place as locators write it: `1023` in a plain file or at a frame's start, `0+758` inside a frame."""
    if frame is None:
        return str(position)
    return f"{frame}+{position}" if position else str(frame)


class _Frame(Protocol):
    """A decoder of one frame with a bounded output per step."""

    def step(self, data: bytes) -> tuple[bytes, bytes]:
        """Decode some of `data`: (output, what was not used)."""
        ...

    @property
    def eof(self) -> bool: ...

    @property
    def hungry(self) -> bool:
        """False while the decoder can give output without more input."""
        ...


class _Gzip:
    def __init__(self) -> None:
        self._decoder = isal_zlib.decompressobj(31)
        self._begun = False

    def step(self, data: bytes) -> tuple[bytes, bytes]:
        if not self._begun and data[3:4] > _GZIP_FLAGS:  # igzip would take what follows for a name without an end
            raise ValueError("reserved bits of the header are set")
        self._begun = True
        output = self._decoder.decompress(data, CHUNK_BYTES)
        return output, self._decoder.unused_data if self._decoder.eof else self._decoder.unconsumed_tail

    hungry = True

    @property
    def eof(self) -> bool:
        return self._decoder.eof


class _Limited:
    """A decoder with the interface of bz2, lzma and lz4.frame."""

    def __init__(self, decoder: bz2.BZ2Decompressor | lzma.LZMADecompressor | lz4.frame.LZ4FrameDecompressor) -> None:
        self._decoder = decoder

    def step(self, data: bytes) -> tuple[bytes, bytes]:
        output = self._decoder.decompress(data, CHUNK_BYTES)
        return output, (self._decoder.unused_data or b"") if self._decoder.eof else b""

    @property
    def eof(self) -> bool:
        return bool(self._decoder.eof)

    @property
    def hungry(self) -> bool:
        return bool(self._decoder.needs_input)


def _bzip2() -> _Limited:
    return _Limited(bz2.BZ2Decompressor())


def _xz() -> _Limited:
    return _Limited(lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=XZ_MEMORY_BYTES))


def _lz4() -> _Limited:
    return _Limited(lz4.frame.LZ4FrameDecompressor())


class _Zstd:
    def __init__(self) -> None:
        self._decoder = zstandard.ZstdDecompressor(max_window_size=ZSTD_WINDOW_BYTES).decompressobj()

    def step(self, data: bytes) -> tuple[bytes, bytes]:
        output, size, at = [], 0, 0
        while at < len(data) and size < READ_BYTES and not self._decoder.eof:
            output.append(self._decoder.decompress(data[at : at + ZSTD_FEED_BYTES]))
            size += len(output[-1])
            at += ZSTD_FEED_BYTES
        return b"".join(output), (self._decoder.unused_data if self._decoder.eof else b"") + data[at:]

    hungry = True

    @property
    def eof(self) -> bool:
        return self._decoder.eof


class _Codec(NamedTuple):
    name: str
    magic: bytes
    decoder: Callable[[], _Frame]


_CODECS = (
    _Codec("gzip", b"\x1f\x8b\x08", _Gzip),
    _Codec("zstd", b"\x28\xb5\x2f\xfd", _Zstd),
    _Codec("bzip2", b"BZh", _bzip2),
    _Codec("xz", b"\xfd7zXZ\x00", _xz),
    _Codec("lz4", b"\x04\x22\x4d\x18", _lz4),
)
_SKIPPING = frozenset(("zstd", "lz4"))
_MAX_SKIPPED_HEADS = 64
_FRAME_HEAD_BYTES = 8
_SKIPPABLE = b"\x2a\x4d\x18"
"""Bytes 1 to 3 of a zstd or lz4 frame without data (the first is 0x50 to 0x5f), then its length in 4 bytes."""
_ERRORS: tuple[type[Exception], ...] = (
    isal_zlib.error,  # type: ignore[assignment]  # its stub has an instance
    zstandard.ZstdError,
    lzma.LZMAError,
    RuntimeError,  # lz4
    OSError,
    EOFError,
    ValueError,
    MemoryError,
)


def decompressed(path: Path, config: ReaderConfig) -> Iterator[Chunk | Problem]:
    """The bytes of `path` as chunks in order, with problems where they are. Raises only if `path` cannot be opened."""
    with path.open("rb") as stream:
        codec = _codec_of(stream)
        if codec is None:
            yield from _plain(stream)
        else:
            yield from _Frames(stream, codec, config.max_expansion).chunks()


def is_compressed(path: Path) -> bool:
    """Whether the file's first bytes are those of a codec that `decompressed` undoes."""
    with path.open("rb") as stream:
        return _codec_of(stream) is not None


def _codec_of(stream: BinaryIO) -> _Codec | None:
    """The codec of the first frame that holds data; None for a plain file."""
    skipped = 0
    while True:
        head = stream.read(_FRAME_HEAD_BYTES)
        codec = next((codec for codec in _CODECS if head.startswith(codec.magic)), None)
        if codec is not None or not _is_skippable(head) or len(head) < _FRAME_HEAD_BYTES:
            return codec or (_CODECS[1] if skipped else None)
        skipped += 1
        if skipped > _MAX_SKIPPED_HEADS:
            return _CODECS[1]
        stream.seek(int.from_bytes(head[4:8], "little"), 1)


def _is_skippable(data: bytes) -> bool:
    return len(data) > 3 and data[1:4] == _SKIPPABLE and data[0] >> 4 == 5


def _plain(stream: BinaryIO) -> Iterator[Chunk | Problem]:
    stream.seek(0)
    position = 0
    while True:
        try:
            data = stream.read(READ_BYTES)
        except OSError as error:
            yield Problem(str(position), "unreadable_file", f"reading failed here: {error.strerror}")
            return
        if not data:
            return
        yield Chunk(data, None, position)
        position += len(data)


class _Frames:
    """The frames of one compressed file, one after another, with `self._data` the bytes from `self._offset` on."""

    def __init__(self, stream: BinaryIO, codec: _Codec, max_expansion: int) -> None:
        self._stream, self._codec, self._max_expansion = stream, codec, max_expansion
        stream.seek(0)
        self._data, self._offset = b"", 0
        self._fed = 0  # where the decoder's last input began; it may hold bytes from behind its frame
        self._produced, self._resumes = 0, 0

    def chunks(self) -> Iterator[Chunk | Problem]:
        while self._at_frame():
            if self._codec.name in _SKIPPING and len(self._data) >= 8 and _is_skippable(self._data):
                self._jump(8 + int.from_bytes(self._data[4:8], "little"))
                continue
            if not self._data.startswith(self._codec.magic):
                start = self._offset
                yield from self._resume(start, f"no_{self._codec.name}_frame", "bytes between or after the frames")
                continue
            yield from self._frame()
            if self._produced > FILE_EXPANSION_FLOOR + self._max_expansion * max(self._offset, 1):
                yield Problem(
                    str(self._offset), "expansion_limit", f"the file expands more than {self._max_expansion}:1"
                )
                return

    def _frame(self) -> Iterator[Chunk | Problem]:
        start, position, decoder = self._offset, 0, self._codec.decoder()
        while not decoder.eof:
            if not self._data and decoder.hungry and not self._fill():
                yield Problem(place(start, position), f"truncated_{self._codec.name}", "the file ends inside a frame")
                return
            if self._data:
                self._fed = self._offset
            try:
                output, rest = decoder.step(self._data)
            except _ERRORS as error:
                yield from self._resume(
                    start, f"corrupt_{self._codec.name}", f"{error} at byte {position} of the frame"
                )
                return
            self._offset += len(self._data) - len(rest)
            self._data = rest
            if output:
                yield Chunk(output, start, position)
                position += len(output)
                self._produced += len(output)
            if position > EXPANSION_FLOOR + self._max_expansion * (self._offset - start):
                limit = f"{position} bytes from {self._offset - start}: more than {self._max_expansion}:1"
                yield from self._resume(start, "expansion_limit", limit)
                return

    def _resume(self, start: int, reason: str, detail: str) -> Iterator[Problem]:
        """Go to the next place that looks like a frame; yields the one problem that covers the bytes until there."""
        self._resumes += 1
        if self._resumes > MAX_RESUMES:
            self._data = b""
            self._stream.seek(0, 2)
            yield Problem(str(start), reason, f"{detail}; the {MAX_RESUMES}th break, the rest of the file is not read")
            return
        magic, overlap = self._codec.magic, len(self._codec.magic) - 1
        self._data, self._offset = b"", max(start, self._fed) + 1
        self._stream.seek(self._offset)
        while (found := self._data.find(magic)) < 0:
            self._skip(max(0, len(self._data) - overlap))
            if not self._fill():
                self._skip(len(self._data))
                yield Problem(str(start), reason, f"{detail}; nothing readable follows")
                return
        self._skip(found)
        yield Problem(str(start), reason, f"{detail}; reading goes on at byte {self._offset}")

    def _at_frame(self) -> bool:
        """Bring the first bytes of the next frame into the buffer, past padding; False at the end of the file."""
        while True:
            if self._data.startswith(b"\0"):  # tape blocks and `gzip` itself pad with zeros
                self._skip(len(self._data) - len(self._data.lstrip(b"\0")))
            if len(self._data) >= _FRAME_HEAD_BYTES:
                return True
            if not self._fill():
                return bool(self._data)

    def _skip(self, count: int) -> None:
        self._offset += min(count, len(self._data))
        self._data = self._data[count:]

    def _jump(self, count: int) -> None:
        """Pass over `count` bytes, read or not."""
        while count and (self._data or self._fill()):
            step = min(count, len(self._data))
            self._skip(step)
            count -= step

    def _fill(self) -> bool:
        try:
            more = self._stream.read(READ_BYTES)
        except OSError:
            more = b""  # reported as a truncated frame by the caller
        self._data += more
        return bool(more)
