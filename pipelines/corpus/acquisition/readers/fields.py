"""JSON values and table rows to records: which field is the text, and what is said of the others.

Shared by the JSON lines, JSON array, CSV and Parquet readers, so that a source declares its fields once whatever its
format. A field is a name, or `outer.inner` for one inside an object; a name with a dot in it goes before.
"""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from pipelines.corpus.acquisition.config import ReaderConfig
from pipelines.corpus.acquisition.readers.dialogue import NoDialogue, dialogue_text
from pipelines.corpus.acquisition.records import Drop, Record, detail, moment

MAX_META_CHARACTERS = 10_000
"""A kept field longer than this is text that was declared as metadata; it is cut."""


class Parsed(NamedTuple):
    """A parsed JSON value, wrapped because the value itself may be anything."""

    content: Any


def parse_json(data: bytes, locator: str) -> Parsed | Drop:
    """The JSON value in `data` (UTF-8), or the drop that says why there is none."""
    try:
        return Parsed(json.loads(data.decode("utf-8")))
    except UnicodeDecodeError as error:
        return Drop(locator, "broken_utf8", f"byte {error.start}: {error.reason}")
    except RecursionError:
        return Drop(locator, "bad_json", "nested too deeply")
    except ValueError as error:
        return Drop(locator, "bad_json", detail(error))


def record_of(value: Any, locator: str, config: ReaderConfig) -> Record | Drop:
    """The record in a JSON object or row (or in a bare string), by the configured fields."""
    if isinstance(value, str):
        value = {config.text_field: value}
    if not isinstance(value, Mapping):
        return Drop(locator, "not_an_object", f"expected an object or a string, found {type(value).__name__}")
    if config.dialogue is not None:
        text = dialogue_text(value, config.dialogue)
        if isinstance(text, NoDialogue):
            return Drop(locator, text.reason, detail(text.detail))
    else:
        text = lookup(value, config.text_field)
    if not isinstance(text, str | bytes):
        if text is None:
            found = ", ".join(sorted(str(key) for key in value)) or "none"
            return Drop(locator, "no_text", detail(f"no field {config.text_field!r}; the fields are: {found}"))
        return Drop(locator, "no_text", f"the field {config.text_field!r} is a {type(text).__name__}, not text")
    # UTF-8 takes 1 to 4 bytes a character: most records are judged by their length alone.
    size = len(text) if isinstance(text, bytes) or len(text) * 4 <= config.max_record_bytes else _utf8_size(text)
    if size > config.max_record_bytes:
        return Drop(locator, "record_too_large", f"{size} bytes of text, the limit is {config.max_record_bytes}")
    meta = {field: _plain(kept) for field in config.meta_fields if (kept := lookup(value, field)) is not None}
    if config.id_field is not None and (identifier := lookup(value, config.id_field)) is not None:
        meta["record_id"] = _plain(identifier)
    return Record(
        locator=locator,
        url=_text(value, config.url_field),
        body=text,
        content_type=None,
        charset=None if config.encoding == "detect" else config.encoding,
        fetched_at=moment(lookup(value, config.date_field)) if config.date_field is not None else None,
        meta=meta,
        kind="text",
        language=_text(value, config.language_field),
    )


def lookup(value: Mapping[str, Any], field: str) -> Any:
    """The value of a field, `outer.inner` included; None where there is none."""
    found = value.get(field)
    if found is not None or "." not in field:
        return found
    outer, _, inner = field.partition(".")
    below = value.get(outer)
    return lookup(below, inner) if isinstance(below, Mapping) else None


def _utf8_size(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))


def _text(value: Mapping[str, Any], field: str | None) -> str | None:
    found = lookup(value, field) if field is not None else None
    return found if isinstance(found, str) and found else None


def _plain(value: Any) -> Any:
    """A value that JSON can write, cut to a size that metadata may have."""
    if isinstance(value, bool | int | float):
        return value
    if isinstance(value, datetime):
        return value.isoformat()
    if not isinstance(value, str):
        value = json.dumps(value, ensure_ascii=False, default=str)
    return value[:MAX_META_CHARACTERS]
