"""Multiple-choice items out of JSONL files (plain, .gz, .zst), by declared fields.

Every item ends in one shape: for each choice a context and a continuation. An evaluation file is small and trusted to
be complete, so the first bad line stops the reading with an error that names file, line, field and remedy; nothing is
skipped silently. Memory: one line of at most 4 MiB, and the items.
"""

import gzip
import heapq
import io
import json
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

import pyarrow as pa
import zstandard

from pipelines.core.errors import GristmillError
from pipelines.core.seeds import derive
from pipelines.evaluation.config import PLACEHOLDER, TaskConfig

LINE_BYTES: Final = 4 << 20
CHOICES: Final = 26
"""Choices an item may have: as many as there are letters."""


ITEM_TEXTS: Final = pa.schema([pa.field(name, pa.large_string(), nullable=False) for name in ("set", "item", "text")])


class ItemError(GristmillError, ValueError):
    """A task file that cannot be read as declared."""


@dataclass(frozen=True)
class Item:
    """One question: choice i is `continuations[i]` after `contexts[i]`, normalized by the length of `choices[i]`.

    `question` identifies the item (its question, or its first context): the text that decontamination looks for.
    """

    id: str
    group: str | None
    question: str
    contexts: tuple[str, ...]
    continuations: tuple[str, ...]
    choices: tuple[str, ...]
    gold: int


def read_items(path: Path, task: TaskConfig, seed: int = 0) -> list[Item]:
    """The task's items in file order; at most `task.max_items`, those with the lowest seeded hash of their id.

    Raises `ItemError` for an unreadable file, a line that is not an object, a missing or mistyped field, fewer than two
    choices, an empty or repeated id, a gold that is no choice, and for a file without a single item of the task.
    """
    items: list[Item] = []
    seen: dict[str, int] = {}
    for number, record in _records(path):
        if any(record.get(field) != value for field, value in task.where.items()):
            continue
        item = _item(_Line(path, number, record), task)
        if item.id in seen:
            raise ItemError(f"{path.name}, line {number}: id {item.id!r} was already used on line {seen[item.id]}")
        seen[item.id] = number
        items.append(item)
    if not items:
        condition = f" where {task.where}" if task.where else ""
        raise ItemError(f"{path.name}: no item for task {task.name!r}{condition}; check `file` and `where`")
    if task.max_items is not None and len(items) > task.max_items:
        rank = [derive(seed, "items", task.name, item.id) for item in items]
        kept = heapq.nsmallest(task.max_items, range(len(items)), key=lambda index: (rank[index], index))
        items = [items[index] for index in sorted(kept)]
    return items


def item_texts(name: str, items: Sequence[Item]) -> pa.Table:
    """`set, item, text` of one evaluation set: the questions, as decontamination takes them."""
    return pa.table(
        {"set": [name] * len(items), "item": [item.id for item in items], "text": [item.question for item in items]},
        schema=ITEM_TEXTS,
    )


def _records(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    number = 0
    try:
        with _open(path) as stream:
            while line := stream.readline(LINE_BYTES + 1):
                number += 1
                if len(line) > LINE_BYTES:
                    raise ItemError(f"{path.name}, line {number}: longer than {LINE_BYTES} bytes; is it JSONL?")
                if line.strip():
                    yield number, _object(path, number, line)
    except (OSError, EOFError, zlib.error, zstandard.ZstdError) as error:
        raise ItemError(f"{path.name}: cannot be read after line {number}: {error}") from error


@contextmanager
def _open(path: Path) -> Iterator[BinaryIO]:
    with path.open("rb") as raw:
        magic = raw.read(4)
        raw.seek(0)
        if magic[:2] == b"\x1f\x8b":
            with gzip.open(raw) as stream:
                yield cast(BinaryIO, stream)
        elif magic == b"\x28\xb5\x2f\xfd":
            with zstandard.ZstdDecompressor().stream_reader(raw, read_across_frames=True) as stream:
                yield cast(BinaryIO, io.BufferedReader(stream))
        else:
            yield raw


def _object(path: Path, number: int, line: bytes) -> dict[str, Any]:
    try:
        record = json.loads(line.decode("utf-8-sig" if number == 1 else "utf-8"))
    except (ValueError, RecursionError) as error:
        raise ItemError(f"{path.name}, line {number}: not a JSON object in UTF-8: {error}") from error
    if not isinstance(record, dict):
        raise ItemError(f"{path.name}, line {number}: {type(record).__name__} where a JSON object is expected")
    return record


@dataclass(frozen=True)
class _Line:
    """A record and where it stands, for messages."""

    path: Path
    number: int
    record: dict[str, Any]

    def error(self, field: str, problem: str) -> ItemError:
        return ItemError(f"{self.path.name}, line {self.number}, field {field!r}: {problem}")

    def value(self, field: str) -> Any:
        if field not in self.record:
            raise self.error(field, f"missing; the record has {sorted(self.record)[:20]}")
        return self.record[field]

    def text(self, field: str) -> str:
        value = self.value(field)
        if not isinstance(value, str):
            raise self.error(field, f"{type(value).__name__} where text is expected")
        return self.sound(field, value)

    def texts(self, field: str) -> tuple[str, ...]:
        value = self.value(field)
        if not isinstance(value, list) or not all(isinstance(choice, str) for choice in value):
            raise self.error(field, "a list of texts is expected")
        if not 2 <= len(value) <= CHOICES:
            raise self.error(field, f"{len(value)} entries where 2 to {CHOICES} are expected")
        if empty := [index for index, choice in enumerate(value) if not choice]:
            raise self.error(field, f"entry {empty[0]} is empty")
        return tuple(self.sound(field, choice) for choice in value)

    def sound(self, field: str, value: str) -> str:
        """JSON may escape half of a surrogate pair, which is no text that a tokenizer could encode."""
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise self.error(field, f"not valid Unicode at character {error.start}") from error
        return value

    def label(self, field: str) -> str:
        value = self.value(field)
        if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
            raise self.error(field, "text or a whole number is expected")
        return self.sound(field, str(value))


def _item(line: _Line, task: TaskConfig) -> Item:
    identifier = line.label(task.id) if task.id is not None else str(line.number)
    group = line.label(task.group) if task.group is not None else None
    if task.contexts is not None and task.continuation is not None:
        contexts = line.texts(task.contexts)
        continuation = line.text(task.continuation)
        if not continuation:
            raise line.error(task.continuation, "empty")
        gold = _gold(line, task, contexts)
        same = (continuation,) * len(contexts)
        return Item(identifier, group, contexts[0], contexts, same, same, gold)
    if task.question is None or task.choices is None:
        raise ValueError(f"task {task.name!r} declares neither choices nor contexts")
    question, choices = line.text(task.question), line.texts(task.choices)
    context = question if task.template is None else _render(line, task.template)
    return Item(identifier, group, question, (context,) * len(choices), choices, choices, _gold(line, task, choices))


def _render(line: _Line, template: str) -> str:
    """The template with `{field}` replaced; braces inside the field's own text stay as they are."""
    return PLACEHOLDER.sub(lambda match: line.text(match.group(1)), template)


def _gold(line: _Line, task: TaskConfig, choices: tuple[str, ...]) -> int:
    value = line.value(task.gold)
    if task.gold_as == "text":
        if not isinstance(value, str) or choices.count(value) != 1:
            raise line.error(task.gold, "the text of exactly one choice is expected")
        return choices.index(value)
    if task.gold_as == "letter":
        if not isinstance(value, str) or len(value) != 1 or not "A" <= value.upper() <= "Z":
            raise line.error(task.gold, f"one letter from A is expected, not {str(value)[:40]!r}")
        index = ord(value.upper()) - ord("A")
    else:
        if isinstance(value, bool) or not isinstance(value, int):
            raise line.error(task.gold, f"an index from 0 is expected, not {str(value)[:40]!r}")
        index = value
    if not 0 <= index < len(choices):
        raise line.error(task.gold, f"{str(value)[:40]!r} names none of the {len(choices)} choices")
    return index
