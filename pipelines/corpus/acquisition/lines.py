"""Chunks to lines, in bounded memory: a line above the limit is measured, not kept.

Chunks and problems of one file come in (`streams.decompressed`). Step 1: text in another encoding than UTF-8 is turned
into UTF-8. Step 2: the bytes are cut at `\\n`; a `\\r` before it goes with it. A problem ends the line before it as
torn. Cost: 1 GB/s for lines of a kilobyte; memory is one chunk and one line.
"""

import codecs
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from pipelines.corpus.acquisition.streams import Chunk, Problem

_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
"""Longest first where one begins with another: FF FE is UTF-16, FF FE 00 00 is UTF-32."""


class Line(NamedTuple):
    """Line `number` (from 0) without its end. `size` counts its bytes; above the limit `data` is empty."""

    number: int
    data: bytes
    size: int
    torn: bool


def utf8_chunks(events: Iterable[Chunk | Problem], encoding: str) -> Iterator[Chunk | Problem]:
    """The same events with the bytes as UTF-8, without a BOM.

    `encoding` is a Python codec, or `detect`: the BOM's encoding, UTF-8 without one. UTF-8 passes through unchecked, so
    that a broken line stays a broken line; another encoding's bad bytes become U+FFFD.
    """
    decoder: codecs.IncrementalDecoder | None = None
    first = True
    for event in events:
        if isinstance(event, Problem):
            if decoder is not None:
                decoder.reset()
            yield event
            continue
        data = event.data
        if first:
            first = False
            name = encoding
            if encoding == "detect":
                name = next((name for bom, name in _BOMS if data.startswith(bom)), "utf-8")
            if name in ("utf-8", "utf-8-sig"):
                data = data.removeprefix(codecs.BOM_UTF8)
            else:
                decoder = codecs.getincrementaldecoder(name)("replace")
        if decoder is not None:
            data = decoder.decode(data).encode("utf-8", "replace")
        yield event._replace(data=data)
    if decoder is not None and (rest := decoder.decode(b"", final=True)):
        yield Chunk(rest.encode("utf-8", "replace"), None, 0)


def split_lines(events: Iterable[Chunk | Problem], max_bytes: int) -> Iterator[Line | Problem]:
    """Lines of at most `max_bytes` bytes with their numbers, longer ones by their size alone, and the problems."""
    number, size = 0, 0
    held: list[bytes] = []
    for event in events:
        if isinstance(event, Problem):
            if size:
                yield Line(number, b"", size, torn=True)
                number, held, size = number + 1, [], 0
            yield event
            continue
        *complete, last = event.data.split(b"\n")
        for piece in complete:
            size += len(piece)
            if size <= max_bytes:
                held.append(piece)
                yield Line(number, b"".join(held).removesuffix(b"\r"), size, torn=False)
            else:
                yield Line(number, b"", size, torn=False)
            number, held, size = number + 1, [], 0
        size += len(last)
        if size > max_bytes:
            held = []
        elif last:
            held.append(last)
    if size:
        yield Line(number, b"".join(held).removesuffix(b"\r") if size <= max_bytes else b"", size, torn=False)
