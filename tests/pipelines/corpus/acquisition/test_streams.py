"""Decompression: by magic bytes, frame by frame, with every unreadable span accounted for."""

import bz2
import gzip
import lzma
import random
import struct
from collections.abc import Callable
from pathlib import Path

import lz4.frame
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.corpus.acquisition.config import ReaderConfig
from pipelines.corpus.acquisition.records import detail, moment
from pipelines.corpus.acquisition.streams import Chunk, Problem, decompressed, place

CONFIG = ReaderConfig(format="jsonl")
CODECS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "zstd": zstandard.ZstdCompressor(write_checksum=True).compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "lz4": lambda data: lz4.frame.compress(data, content_checksum=True, block_checksum=True),
}


def read(tmp_path: Path, data: bytes) -> list[Chunk | Problem]:
    path = tmp_path / "data.txt"
    path.write_bytes(data)
    return list(decompressed(path, CONFIG))


def text_of(events: list[Chunk | Problem]) -> bytes:
    return b"".join(event.data for event in events if isinstance(event, Chunk))


def problems(events: list[Chunk | Problem]) -> list[str]:
    return [event.reason for event in events if isinstance(event, Problem)]


@pytest.mark.parametrize("name", CODECS)
def test_frames_are_read_whatever_the_file_is_called(tmp_path: Path, name: str) -> None:
    noise = random.Random(1).randbytes(3_000_000)
    frames = [b"one", noise, b"", b"three"]
    data = b"".join(CODECS[name](frame) for frame in frames)
    events = read(tmp_path, data)
    assert problems(events) == []
    assert text_of(events) == b"".join(frames)
    for start in {event.frame for event in events if isinstance(event, Chunk)}:
        alone = text_of(read(tmp_path, data[start:]))
        for event in events:
            assert isinstance(event, Chunk)
            if event.frame == start:
                assert alone[event.position : event.position + len(event.data)] == event.data


@given(st.binary(max_size=2000))
@settings(max_examples=60, deadline=None)
def test_plain_bytes_come_back(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    plain = b"x" + data
    events = read(tmp_path_factory.mktemp("plain"), plain)
    assert text_of(events) == plain
    assert [event.frame for event in events if isinstance(event, Chunk)] == [None] * len(events)


@pytest.mark.parametrize("name", CODECS)
def test_every_cut_of_a_file_is_a_problem_or_whole(tmp_path: Path, name: str) -> None:
    frames = [CODECS[name](bytes([65 + n]) * 50) for n in range(3)]
    data = b"".join(frames)
    ends = {sum(map(len, frames[: n + 1])) for n in range(3)}
    for cut in range(len(frames[0]), len(data) + 1):
        events = read(tmp_path, data[:cut])
        if cut in ends:
            assert problems(events) == [], cut
        else:
            assert len(problems(events)) == 1, cut
        assert (b"A" * 50 + b"B" * 50 + b"C" * 50).startswith(text_of(events))


@pytest.mark.parametrize("name", CODECS)
def test_a_corrupt_frame_and_bytes_between_frames_do_not_stop_the_file(tmp_path: Path, name: str) -> None:
    seeded = random.Random(3)
    a, b, c = (CODECS[name]("".join(seeded.choices("abcdefgh", k=9000)).encode()) for _ in range(3))
    good = text_of(read(tmp_path, c))
    broken = b[:200] + bytes(255 - byte for byte in b[200:400]) + b[400:]
    events = read(tmp_path, a + broken + c)
    assert text_of(events).endswith(good)
    assert f"corrupt_{name}" in problems(events)
    events = read(tmp_path, a + b"garbage between" + c + b"\0" * 1000)
    assert problems(events) == [f"no_{name}_frame"]
    assert text_of(events).endswith(good)


def test_skippable_zstd_frames_hold_nothing(tmp_path: Path) -> None:
    skippable = b"\x5a\x2a\x4d\x18" + struct.pack("<I", 70_000) + b"x" * 70_000
    events = read(tmp_path, skippable + zstandard.compress(b"one") + skippable + zstandard.compress(b"two"))
    assert (text_of(events), problems(events)) == (b"onetwo", [])


def test_a_thousand_fake_frames_end_the_search(tmp_path: Path) -> None:
    events = read(tmp_path, gzip.compress(b"x") + b"\x1f\x8b\x08\x00junk" * 5000)
    assert len(events) < 1100
    assert "rest of the file is not read" in events[-1].detail  # type: ignore[union-attr]


def test_places_and_details() -> None:
    assert (place(None, 12), place(7, 0), place(7, 12), place(0, 0)) == ("12", "7", "7+12", "0")
    assert detail("a\nb\ud800") == "a\\nb\\ud800"
    assert len(detail("x" * 1000)) == 200


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2024-05-18T01:58:10Z", "2024-05-18T01:58:10+00:00"),
        ("2024-05-18", "2024-05-18T00:00:00+00:00"),
        (0, "1970-01-01T00:00:00+00:00"),
        (1716000000.5, "2024-05-18T02:40:00.500000+00:00"),
        (float("nan"), None),
        (1e300, None),
        (10**400, None),
        (-5, None),
        (True, None),
        ("yesterday", None),
        ("99999-01-01", None),
        (None, None),
        ([], None),
        ("0001-01-01T00:00:00+14:00", None),
    ],
)
def test_moments(value: object, expected: str | None) -> None:
    found = moment(value)
    assert (None if found is None else found.isoformat()) == expected
