"""What a reader yields: a record of the source, or the account of one that could not be read.

Every place of the input becomes one or the other, so `records + drops` is the whole source. A locator is the file's
name in the inventory, `#`, and the place in it: a record offset (`1023`, or `0+758` for the byte 758 of the compressed
frame at 0), a line or row number, or `page@revision`.
"""

from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple


class Record(NamedTuple):
    """One document of the source before extraction; `body` is bytes where the encoding is still to be found."""

    locator: str
    url: str | None
    body: bytes | str
    content_type: str | None
    charset: str | None
    fetched_at: datetime | None
    meta: dict[str, Any]
    kind: Literal["html", "text"]
    language: str | None = None


class Drop(NamedTuple):
    """One record, or one span of bytes, that gave no document. `reason` is from a small fixed set; `detail` is free."""

    locator: str
    reason: str
    detail: str


DETAIL_CHARACTERS = 200
"""A drop's detail may quote hostile input: it is cut here and made printable."""


def detail(text: object) -> str:
    """`text` cut to one printable line for a drop's detail."""
    line = str(text)[: DETAIL_CHARACTERS + 1]
    if not line.isprintable():
        line = line.encode("unicode_escape").decode("ascii")
    return line if len(line) <= DETAIL_CHARACTERS else line[: DETAIL_CHARACTERS - 3] + "..."


_LAST_SECOND = 253402300799  # 9999-12-31T23:59:59Z, the end of datetime's range


def moment(value: object) -> datetime | None:
    """An aware UTC datetime from ISO 8601 text, 14 digits, seconds since 1970 or a datetime; anything else is None."""
    if isinstance(value, bool):
        return None
    try:
        if isinstance(value, datetime):
            found = value
        elif isinstance(value, int | float):
            if not 0 <= value <= _LAST_SECOND:
                return None
            found = datetime.fromtimestamp(value, UTC)
        elif isinstance(value, str):
            text = value.strip()
            digits = len(text) == 14 and text.isascii() and text.isdigit()  # of archives: `YYYYMMDDhhmmss`
            found = datetime.strptime(text, "%Y%m%d%H%M%S") if digits else datetime.fromisoformat(text)
        else:
            return None
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
