"""Hostile input through the graph: a clear error or a counted drop each, and the other batches go on.

One project has a source for every kind of damaged file, beside sound ones; `gristmill run` takes it to the base report.
"""

import gzip
import json
import os
import random
import re
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from resources.home import find_home
from resources.mill import Mill, open_mill
from tests.end_to_end.conftest import gristmill
from tests.end_to_end.small_project import environment, topics, write_documents, write_project

LINE_BYTES = 200_000_000
NESTED = 100_000
MAX_RESIDENT = 1_500_000_000
"""Of the largest process; the line of 200 MB or the bomb of 600 MB held whole, twice, would be far above it."""


def prose(count: int, seed: int) -> list[str]:
    """Sound documents of 400 to 600 words, different for each seed."""
    words = sorted({word for _, text in topics() for word in text.split() if word.isalpha()})
    generator = random.Random(seed)
    return [" ".join(generator.choices(words, k=generator.randint(400, 600))) + "." for _ in range(count)]


def lines(texts: list[str]) -> bytes:
    return b"".join(json.dumps({"text": text}).encode() + b"\n" for text in texts)


def record(body: bytes, length: int, number: int) -> bytes:
    """A WARC response whose Content-Length says `length`, whatever the body has."""
    head = (
        "WARC/1.1\r\nWARC-Type: response\r\nWARC-Target-URI: http://hostile.example/{0}\r\n"
        "WARC-Date: 2024-01-01T00:00:00Z\r\nWARC-Record-ID: <urn:uuid:00000000-0000-0000-0000-{0:012d}>\r\n"
        "Content-Type: application/http; msgtype=response\r\nContent-Length: {1}\r\n\r\n"
    )
    return head.format(number, length).encode() + body + b"\r\n\r\n"


def response(text: str) -> bytes:
    page = f"<html><body><article><h1>Page</h1><p>{text}</p></article></body></html>".encode()
    return b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n\r\n" + page


def truncated_gzip(folder: Path) -> None:
    """Text that does not compress to nothing, cut in the middle of its only member."""
    data = gzip.compress(lines(prose(60, 1)), mtime=0)
    (folder / "cut.jsonl.gz").write_bytes(data[: len(data) * 9 // 10])


def wrong_lengths(folder: Path) -> None:
    """Lengths below, above and far beyond the truth, negative and no number, among 127 sound records."""
    bodies = [response(text) for text in prose(130, 2)]
    lengths = [len(body) for body in bodies]
    lengths[10], lengths[20], lengths[30] = lengths[10] - 50, lengths[20] + 7, 10**15
    data = b"".join(record(*item, number) for number, item in enumerate(zip(bodies, lengths, strict=True)))
    data += record(bodies[0], -5, 90) + record(bodies[1], 0, 91).replace(b"Content-Length: 0", b"Content-Length: ten")
    (folder / "lengths.warc").write_bytes(data)


def broken_utf8(folder: Path) -> None:
    """Bytes that are no UTF-8 in the middle of one JSON line; a lone surrogate and a NUL as escapes in two others."""
    texts = prose(60, 3)
    data = lines(texts).splitlines(keepends=True)
    data[5] = data[5].replace(b" ", b" \xff\xfe\xc3( ", 1)
    data[6] = json.dumps({"text": "lone \ud800 surrogate " + texts[6]}).encode() + b"\n"
    data[7] = json.dumps({"text": "a NUL \x00 inside " + texts[7]}).encode() + b"\n"
    (folder / "broken.jsonl").write_bytes(b"".join(data))


def long_line(folder: Path) -> None:
    """200 MB without a line end between sound lines."""
    sound = lines(prose(60, 4))
    with (folder / "long.jsonl").open("wb") as stream:
        stream.write(sound)
        stream.write(b'{"text": "')
        for _ in range(LINE_BYTES // 1_000_000):
            stream.write(b"abcd efgh " * 100_000)
        stream.write(b'"}\n')
        stream.write(lines(prose(20, 5)))


def bomb(folder: Path) -> None:
    """600 MB of one letter in 0.6 MB of gzip, beside a sound file."""
    with gzip.GzipFile(filename="", fileobj=(folder / "bomb.jsonl.gz").open("wb"), mode="wb", mtime=0) as stream:
        stream.write(b'{"text": "')
        for _ in range(600):
            stream.write(b"a" * 1_000_000)
        stream.write(b'"}\n')
    (folder / "sound.jsonl").write_bytes(lines(prose(60, 6)))


def nested(folder: Path) -> None:
    """A page 100,000 elements deep among sound pages."""
    page = "<div>" * NESTED + "deep" + "</div>" * NESTED
    (folder / "deep.html").write_text(f"<html><body>{page}</body></html>")
    for number, text in enumerate(prose(30, 7)):
        (folder / f"{number:02}.html").write_text(f"<html><body><article><p>{text}</p></article></body></html>")


def empty(folder: Path) -> None:
    (folder / "nothing.jsonl").touch()


def unreadable(folder: Path) -> None:
    """More bad lines than the source allows: the batch is refused, with a message that names them."""
    (folder / "bad.jsonl").write_bytes(b'{"text": "no end\n' * 40 + lines(prose(10, 8)))


class Case:
    """A source, and what must have come of it."""

    def __init__(
        self, make: Callable[[Path], None], reader: dict[str, object], kept: int, drops: dict[str, int]
    ) -> None:
        self.make, self.reader, self.kept, self.drops = make, reader, kept, drops


JSONL: dict[str, object] = {"format": "jsonl"}
CASES = {
    # Ordinals follow this order: what cannot be published comes first, so that the dedup chain has to skip it.
    "unreadable": Case(unreadable, JSONL, 0, {}),
    "cut": Case(truncated_gzip, JSONL, 0, {}),
    "lengths": Case(wrong_lengths, {"format": "warc"}, 0, {}),
    "broken": Case(broken_utf8, JSONL, 59, {"broken_utf8": 1}),
    "long": Case(long_line, JSONL, 80, {"line_too_long": 1}),
    "bomb": Case(bomb, JSONL, 60, {"expansion_limit": 1}),
    "nested": Case(nested, {"format": "folder", "html_suffixes": [".html"]}, 30, {"html_too_deep": 1}),
    "empty": Case(empty, JSONL, 0, {}),
}


def hostile_project(folder: Path) -> Path:
    """The small project with a source for every case before its own."""
    path = write_project(folder, steps=10)
    project = yaml.safe_load(path.read_text())
    sources = {}
    for name, case in CASES.items():
        (folder / name).mkdir()
        case.make(folder / name)
        sources[name] = {"domain": "hostile", "licence": "CC0-1.0", "path": name, "reader": dict(case.reader)}
    project["corpus"]["sources"] = {**sources, **project["corpus"]["sources"]}
    path.write_text(yaml.safe_dump(project, sort_keys=False))
    return path
