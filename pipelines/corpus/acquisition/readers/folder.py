"""A folder of files to records: one file, one document.

One text, code or HTML file, plain or compressed, comes in. Step 1: its bytes up to `max_record_bytes`. Step 2: a file
with NUL bytes and no UTF-16 or UTF-32 mark is binary, a drop. The bytes go on as they are; extraction finds the
encoding. Locator: `name#0`.
"""

import codecs
from collections.abc import Iterator
from pathlib import Path

from pipelines.corpus.acquisition.config import ReaderConfig
from pipelines.corpus.acquisition.records import Drop, Record
from pipelines.corpus.acquisition.streams import Problem, decompressed

_WIDE_BOMS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_BE)


def read_records(path: Path, name: str, config: ReaderConfig) -> Iterator[Record | Drop]:
    """The one record of the file at `path`, or the drop that says why it is none; `name` as in the inventory."""
    locator = f"{name}#0"
    pieces, size = [], 0
    for event in decompressed(path, config):
        if isinstance(event, Problem):
            yield Drop(f"{name}#{event.place}", event.reason, event.detail)
            return
        size += len(event.data)
        if size > config.max_record_bytes:
            yield Drop(locator, "record_too_large", f"more than the limit of {config.max_record_bytes} bytes")
            return
        pieces.append(event.data)
    body = b"".join(pieces)
    if not body:
        yield Drop(locator, "empty_record", "the file is empty")
        return
    wide = body.startswith(_WIDE_BOMS) or config.encoding.startswith(("utf-16", "utf-32"))
    if not wide and (nul := body.find(b"\0")) >= 0:
        yield Drop(locator, "binary_file", f"a NUL byte at {nul}")
        return
    yield Record(
        locator=locator,
        url=None,
        body=body,
        content_type=None,
        charset=None if config.encoding == "detect" else config.encoding,
        fetched_at=None,
        meta={},
        kind="html" if config.html_suffixes and name.lower().endswith(config.html_suffixes) else "text",
    )
