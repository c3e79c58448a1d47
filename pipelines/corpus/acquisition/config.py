"""Configuration of the readers: which format a source has, where its fields are, and the limits on hostile input."""

import codecs
import re
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from pipelines.core.config import Config

SourceFormat = Literal["warc", "wet", "jsonl", "json_array", "parquet", "folder", "mediawiki"]

_SLICE = re.compile(r"(\d*):(\d*)")


class ReaderConfig(Config):
    """How the files of one source are read into records."""

    format: SourceFormat = Field(description="The format of the source's files; compression is found by magic bytes.")
    text_field: str = Field(
        default="text",
        min_length=1,
        description="The field that holds the text in JSON objects or Parquet rows; ignored for arrays of strings.",
    )
    url_field: str | None = Field(
        default=None, description="The field that holds the URL of a record, if there is one."
    )
    id_field: str | None = Field(
        default=None, description="The field with the source's own id of a record, kept as `record_id` in `meta`."
    )
    language_field: str | None = Field(
        default=None, description="The field with the language of a record; without it the source's language holds."
    )
    date_field: str | None = Field(
        default=None, description="The field with the record's date (ISO 8601, or seconds since 1970), if there is one."
    )
    meta_fields: tuple[str, ...] = Field(
        default=(), description="Further fields of JSON objects or Parquet rows that are kept in `meta`."
    )
    records: str | None = Field(
        default=None,
        description="A slice `start:stop` of the lines, array elements or rows of each file; the rest is not read.",
    )
    encoding: str = Field(
        default="detect",
        description="The character encoding of text files and JSON, or `detect`; JSON without a BOM is UTF-8 then.",
    )
    html_suffixes: tuple[str, ...] = Field(
        default=(),
        description="File name endings (`.html`) that mark a page in a folder source; other files are plain text.",
    )
    max_record_bytes: int = Field(
        default=16 << 20, ge=1 << 10, description="The largest record in bytes; a larger one is a counted drop."
    )
    max_line_bytes: int = Field(
        default=32 << 20,
        ge=1 << 10,
        description="The longest line, JSON element or XML token in bytes; a longer one is skipped and counted.",
    )
    max_expansion: int = Field(
        default=200,
        ge=2,
        description="Decompressed bytes per compressed byte, above 16 MiB, beyond which a file counts as a bomb.",
    )

    @field_validator("records")
    @classmethod
    def _check_slice(cls, value: str | None) -> str | None:
        if value is not None:
            start, stop = _bounds(value)
            if stop is not None and stop <= start:
                raise ValueError(f"the slice {value!r} is empty: write start:stop with stop above start, such as 0:40")
        return value

    @field_validator("encoding")
    @classmethod
    def _check_encoding(cls, value: str) -> str:
        if value == "detect":
            return value
        try:
            found = codecs.lookup(value)
            "".encode(value)  # LookupError for codecs that are not text encodings, such as zlib or rot13
        except (LookupError, ValueError):
            raise ValueError(f"unknown encoding {value!r}: write `detect` or a name such as utf-8 or gb18030") from None
        return found.name

    @model_validator(mode="after")
    def _check_limits(self) -> Self:
        if self.max_line_bytes < self.max_record_bytes:
            raise ValueError(
                f"max_line_bytes ({self.max_line_bytes}) is below max_record_bytes ({self.max_record_bytes}): "
                "a record of the permitted size would not fit on a line"
            )
        return self

    def bounds(self) -> tuple[int, int | None]:
        """The half-open range of record numbers that `records` names; (0, None) reads everything."""
        return (0, None) if self.records is None else _bounds(self.records)


def _bounds(value: str) -> tuple[int, int | None]:
    match = _SLICE.fullmatch(value)
    if match is None:
        raise ValueError(f"the slice {value!r} is not start:stop with two non-negative numbers, such as 0:40")
    start, stop = match.groups()
    return int(start or 0), int(stop) if stop else None
