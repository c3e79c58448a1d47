"""Configuration of the readers: which format a source has, where its fields are, and the limits on hostile input."""

import codecs
import re
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from pipelines.core.config import Config, operational
from pipelines.corpus.acquisition.presets import PRESETS, PresetName

SourceFormat = Literal[
    "warc",
    "arc",
    "wet",
    "jsonl",
    "json_array",
    "csv",
    "tsv",
    "parquet",
    "folder",
    "markdown",
    "latex",
    "epub",
    "docx",
    "pdf",
    "mediawiki",
    "stackexchange",
]
TABULAR: frozenset[SourceFormat] = frozenset(("jsonl", "json_array", "csv", "tsv", "parquet"))
"""Formats whose records have named fields."""

_SLICE = re.compile(r"(\d*):(\d*)")


class DialogueConfig(Config):
    """How the turns of a dialogue become one document."""

    layout: Literal["messages", "sharegpt", "alpaca", "prompt_response"] = Field(
        description="`messages`: a list of role and content; `sharegpt`: a list of from and value; `alpaca`: "
        "instruction, input, output, history; `prompt_response`: two fields."
    )
    turns_field: str | None = Field(
        default=None, description="The field with the list of turns; by default `messages` or `conversations`."
    )
    prompt_field: str = Field(default="prompt", description="The field with the prompt of the layout prompt_response.")
    response_field: str = Field(default="response", description="The field with the response of that layout.")
    system_field: str | None = Field(
        default="system", description="The field with a system prompt outside of the turns; none ignores it."
    )
    roles: dict[str, str] = Field(
        default_factory=dict,
        description="The words for roles, by the name in the data (`gpt: Answer`); those not named here are System, "
        "User, Assistant, Call (a tool is called) and Tool (it answers). An empty word leaves the turn out.",
    )
    turn: str = Field(
        default="{role}: {content}", description="The template of one turn, with `{role}` and `{content}`."
    )
    separator: str = Field(default="\n\n", description="What stands between two turns.")

    @field_validator("turn")
    @classmethod
    def _check_turn(cls, value: str) -> str:
        if "{content}" not in value:
            raise ValueError(f"the template {value!r} has no {{content}}: write for example {{role}}: {{content}}")
        return value


class ReaderConfig(Config):
    """How the files of one source are read into records."""

    preset: PresetName | None = operational(
        None, "A published data set's layout, which sets format and fields; what is written beside it goes before."
    )
    format: SourceFormat = Field(
        description="The format of the source's files; compression (gzip, zstd, lz4, bzip2, xz) is found by magic "
        "bytes. The README has a line on each."
    )
    text_field: str = Field(
        default="text",
        min_length=1,
        description="The field that holds the text in JSON objects or rows, `outer.inner` for one inside an object; "
        "ignored for arrays of strings.",
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
        default=(), description="Further fields of JSON objects or rows that are kept in `meta`."
    )
    dialogue: DialogueConfig | None = Field(
        default=None, description="How turns become the text, for records that are dialogues; `text_field` is unused."
    )
    columns: tuple[str, ...] = Field(
        default=(), description="Names of the columns of CSV and TSV files without a header row; none reads the header."
    )
    delimiter: str | None = Field(
        default=None, description="The byte between columns of CSV and TSV files; by default a comma or a tab."
    )
    quoting: Literal["rfc4180", "none"] = Field(
        default="rfc4180",
        description="Whether columns of CSV and TSV files may stand in double quotes, with line ends inside, or quotes "
        "are characters like others.",
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
    members: tuple[str, ...] = Field(
        default=("**",),
        description="Globs of the files that are read inside tar and zip archives; the others are counted.",
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

    @model_validator(mode="before")
    @classmethod
    def _fill_preset(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("preset") in PRESETS:
            return {**PRESETS[values["preset"]].fields, **values}
        return values

    @field_validator("delimiter")
    @classmethod
    def _check_delimiter(cls, value: str | None) -> str | None:
        if value is not None and (len(value) != 1 or not value.isascii() or value in '"\r\n'):
            raise ValueError(f"the delimiter {value!r} is not one ASCII character such as ; or a tab")
        return value

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
        if self.dialogue is not None and self.format not in TABULAR:
            raise ValueError(f"the format {self.format} has no fields with turns; dialogues are {sorted(TABULAR)}")
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
