"""Real archives, damaged at random: nothing hangs, nothing raises, and nothing is lost without a count.

What must hold of any file: every item has the file's name and a place inside of it; every record of the whole archive
whose bytes the damage did not touch is found again at its place, or lies in a span that a drop names; memory and time
stay those of the file.
"""

import bz2
import gzip
import json
import lzma
import time
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import lz4.frame
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines.corpus.acquisition.config import ReaderConfig
from pipelines.corpus.acquisition.readers import read_records
from pipelines.corpus.acquisition.records import Drop, Record
from tests.pipelines.corpus.acquisition.archives import read_limited, warc_record
from tests.shared_data import shared

KINDS = {"warc": ReaderConfig(format="warc"), "arc": ReaderConfig(format="arc"), "wet": ReaderConfig(format="wet")}
SMALL = 40_000
"""Bytes of an archive up to which it is damaged here, so that hundreds of examples stay quick."""


@cache
def archives() -> list[tuple[str, str, bytes]]:
    """(name, format, bytes) of every real archive that is small, and the heads of two large ones."""
    found = []
    for entry in json.loads(shared("warc/expected.json").read_text()):
        name = entry["file"]
        data = shared(f"warc/{name}").read_bytes()
        kind = "arc" if ".arc" in name else "wet" if ".wet." in name else "warc"
        if len(data) <= SMALL or name.startswith(("dolma", "jwat")):
            found.append((name, kind, data[:SMALL]))
    return found


@cache
def repacked() -> list[tuple[str, str, bytes]]:
    """A real archive's bytes in every packing: one frame for all, many frames, none."""
    plain = gzip.decompress(shared("warc/warcio/example.warc.gz").read_bytes())
    half = len(plain) // 2
    packers: list[Callable[[bytes], bytes]] = [
        gzip.compress,
        zstandard.compress,
        lz4.frame.compress,
        bz2.compress,
        lzma.compress,
        bytes,
    ]
    return [
        (f"{pack.__module__}-{parts}", "warc", b"".join(pack(plain[at : at + half * 2 // parts]) for at in starts))
        for pack in packers
        for parts, starts in ((1, [0]), (2, [0, half]))
    ]


def read(path: Path, data: bytes, kind: str) -> list[Record | Drop]:
    """Everything in the file, in a time that grows with its size."""
    path.write_bytes(data)
    began = time.process_time()
    items = list(read_records(path, "x", KINDS[kind]))
    assert time.process_time() - began < 5
    return items


def check(items: list[Record | Drop], size: int) -> None:
    """Each item says where it is, inside the file, and each drop why."""
    assert items
    for item in items:
        name, _, place = item.locator.partition("#")
        start, _, inside = place.partition("+")
        assert name == "x"
        assert 0 <= int(start) <= size
        assert int(inside or 0) >= 0
        assert isinstance(item, Record) or (item.reason and item.detail)
    assert len({item.locator for item in items if isinstance(item, Record)}) == sum(
        isinstance(item, Record) for item in items
    )


@st.composite
def damages(draw: st.DrawFn) -> tuple[str, str, bytes]:
    """(name, format, bytes) of an archive after one to three injuries."""
    name, kind, data = draw(st.sampled_from([*archives(), *repacked()]))
    out = bytearray(data)
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, max(len(out) - 1, 0)))
        injury = draw(st.sampled_from(["flip", "cut", "insert", "remove", "zero", "again", "other", "magic"]))
        if injury == "flip" and out:
            out[at] ^= 1 << draw(st.integers(0, 7))
        elif injury == "cut":
            del out[at:]
        elif injury == "insert":
            out[at:at] = draw(st.binary(min_size=1, max_size=300))
        elif injury == "remove":
            del out[at : at + draw(st.integers(1, 2000))]
        elif injury == "zero":
            length = min(draw(st.integers(1, 2000)), len(out) - at)
            out[at : at + length] = bytes(length)
        elif injury == "again":
            out += data[: draw(st.integers(1, len(data)))]
        elif injury == "other":
            out += draw(st.sampled_from(archives()))[2]
        else:
            out[at:at] = draw(st.sampled_from([b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd", b"WARC/1.0\r\n", b"\r\n\r\n"]))
    return name, kind, bytes(out)


@pytest.mark.timeout(120)
@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(damages())
def test_damaged_archives_are_read_or_counted(tmp_path: Path, damaged: tuple[str, str, bytes]) -> None:
    _, kind, data = damaged
    check(read(tmp_path / "a", data, kind), len(data))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_records_that_the_damage_did_not_touch_are_found_again(tmp_path: Path, data: st.DataObject) -> None:
    """In archives with a frame for each record: what lies in other frames than the damage has the same body."""
    name, kind, whole = data.draw(st.sampled_from([item for item in archives() if item[0].endswith(".gz")]))
    before = {item.locator: item for item in read(tmp_path / "a", whole, kind)}
    starts = sorted({int(place.partition("#")[2].partition("+")[0]) for place in before})
    at = data.draw(st.integers(0, len(whole) - 1))
    hurt = bytearray(whole)
    hurt[at] ^= data.draw(st.integers(1, 255))
    items = read(tmp_path / "a", bytes(hurt), kind)
    check(items, len(whole))
    after = {item.locator: item for item in items}
    mine = max((start for start in starts if start <= at), default=0)
    following = min((start for start in starts if start > at), default=len(whole))
    behind = [start for start in starts if start > following]
    for place, item in before.items():
        start = int(place.partition("#")[2].partition("+")[0])
        touched = start in (mine, following)  # a member without its magic takes the search to the one behind it
        if not touched and at > 3 and isinstance(item, Record):
            assert after.get(place) == item, (name, at, place, behind)


def test_concatenated_archives_have_the_records_of_both(tmp_path: Path) -> None:
    for name, kind, data in archives():
        if name.endswith("clipped.warc.gz") or len(data) == SMALL:
            continue  # its last frame is cut, and takes a part of the next one with it
        one = read(tmp_path / "a", data, kind)
        two = read(tmp_path / "a", data + data, kind)
        kept = [item.body for item in one if isinstance(item, Record)]
        assert [item.body for item in two if isinstance(item, Record)] == kept + kept, name


@pytest.mark.parametrize("kind", ["gzip", "zstd", "xz"])
def test_frames_that_inflate_to_gigabytes_cost_their_limit(tmp_path: Path, kind: str) -> None:
    """A response that says 2 GiB, and a member of hundreds of MiB: a drop with its place, in bounded memory."""
    head = warc_record(b"").replace(b"Content-Length: 59", b"Content-Length: %d" % ((2 << 30) + 59))[:-4]
    packers: dict[str, Any] = {
        "gzip": zlib.compressobj(1, zlib.DEFLATED, 31),
        "zstd": zstandard.ZstdCompressor(level=1).compressobj(),
        "xz": lzma.LZMACompressor(preset=0),
    }
    size = 512 << 20 if kind != "xz" else 200 << 20
    packer, block = packers[kind], b" " * (8 << 20)
    with (tmp_path / "a").open("wb") as stream:
        stream.write(packer.compress(head))
        for _ in range(size // len(block)):
            stream.write(packer.compress(block))
        stream.write(packer.flush())
    added, counts = read_limited(tmp_path / "a", KINDS["warc"].model_dump_json())
    assert "kept" not in counts
    assert {"expansion_limit", "truncated_record", "record_too_large", f"truncated_{kind}"} & set(counts), counts
    assert added < 150


def test_a_zstd_window_that_asks_for_gigabytes_is_refused(tmp_path: Path) -> None:
    parameters = zstandard.ZstdCompressionParameters.from_level(1, window_log=30, write_content_size=False)
    body = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    data = body.compress(warc_record(b"a" * 500)) + body.flush()
    items = read(tmp_path / "a", data + zstandard.compress(warc_record(b"b" * 500)), "warc")
    assert [item.reason if isinstance(item, Drop) else bytes(item.body[:1]) for item in items][-1] == b"b"
    assert any(isinstance(item, Drop) and item.reason == "corrupt_zstd" for item in items)
