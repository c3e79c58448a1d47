"""One streaming reader per format, each `read_records(path, name, config)`: records and drops in the file's order."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from pipelines.corpus.acquisition.config import ReaderConfig, SourceFormat
from pipelines.corpus.acquisition.readers import (
    arc,
    csv_rows,
    docx,
    epub,
    folder,
    json_array,
    jsonl,
    latex,
    markdown,
    mediawiki,
    packed_files,
    parquet,
    pdf,
    stackexchange,
    warc,
)
from pipelines.corpus.acquisition.records import Drop, Record

LINKED: Final = frozenset[SourceFormat](("latex",))
"""Formats whose files name one another: a unit of them has to know its siblings."""
_READERS: Final[dict[SourceFormat, Callable[[Path, str, ReaderConfig], Iterator[Record | Drop]]]] = {
    "warc": warc.read_records,
    "arc": arc.read_records,
    "wet": warc.read_records,
    "jsonl": jsonl.read_records,
    "json_array": json_array.read_records,
    "csv": csv_rows.read_records,
    "tsv": csv_rows.read_records,
    "parquet": parquet.read_records,
    "folder": folder.read_records,
    "markdown": markdown.read_records,
    "epub": epub.read_records,
    "docx": docx.read_records,
    "pdf": pdf.read_records,
    "mediawiki": mediawiki.read_records,
    "stackexchange": stackexchange.read_records,
}


def read_records(
    path: Path, name: str, config: ReaderConfig, siblings: latex.Siblings | None = None
) -> Iterator[Record | Drop]:
    """Everything in one file of a source, as records and drops; bounded memory, no exception from the file's content.

    `name` is the file's path in the inventory and the first half of every locator. A file that cannot be opened, or
    that has no record, is a drop; one that is a tar or zip of such files gives those of its members. `siblings` are the
    files that a linked format may include, by their inventory paths.
    """
    try:
        if not path.stat().st_size:
            yield Drop(f"{name}#0", "empty_record", "the file is empty")
            return

        def read(file: Path, called: str) -> Iterator[Record | Drop]:
            if config.format == "latex":
                return latex.read_records(file, called, config, siblings or latex.Siblings({called: file}, config))
            return _READERS[config.format](file, called, config)

        packed = None
        if config.format in packed_files.ARCHIVED:
            packed = packed_files.read_packed(path, name, config, read)
        anything = False
        for item in read(path, name) if packed is None else packed:
            anything = True
            yield item
        if not anything and config.records is None:
            yield Drop(f"{name}#0", "empty_record", "the file holds no record")
    except OSError as error:
        yield Drop(f"{name}#0", "unreadable_file", f"{type(error).__name__}: {error.strerror or 'no reason given'}")
