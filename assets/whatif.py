"""`gristmill what-if`: how many documents and tokens other rules would keep, and which documents would change sides.

It reads decisions, signals and token indexes of every batch, a part at a time, and writes nothing.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from assets.corpus.filters import families, filter_config
from assets.wording import shown
from pipelines.core.artifacts import Artifact
from pipelines.core.errors import UnknownNameError
from pipelines.core.manifest import Part
from pipelines.core.sampling import Sample
from pipelines.corpus.filters.config import FilterConfig
from pipelines.corpus.filters.edits import edited, nearest, parse_edit
from pipelines.corpus.filters.whatif import CHARACTERS_SIGNAL, JudgedPart, WhatIf, columns_of_rules
from resources.mill import Mill

INDEXES = ("train_index", "heldout_index")
UNREAD = ("text", "meta")
"""Columns of documents that no rule looks at and that are large."""


@dataclass
class Answer:
    """What was asked, what came out, and what could not be asked."""

    tokenizer: str | None
    filters: dict[str, FilterConfig]
    changed: dict[str, list[str]]
    """Source -> its rules that differ from the project file's, in words."""
    result: WhatIf
    batches: int = 0
    left_out: list[str] = field(default_factory=list)
    edited_since: list[str] = field(default_factory=list)
    """Batches whose stored decisions rest on other rules than the project file has now."""
    seconds: float = 0.0


Collect = Callable[[str, pa.Table], None]


def what_if(
    mill: Mill,
    edits: list[str],
    *,
    tokenizer: str | None = None,
    samples: int = 5,
    seed: int = 0,
    collect: Collect = lambda source, sides: None,
) -> Answer:
    """Judge every document by the edited rules.

    `collect(source, table)` is given every part's `id, kept_now, kept_then`. Raises `BadEditError` and
    `UnknownNameError` for what names nothing.
    """
    started = time.monotonic()
    sources = mill.project.corpus.sources
    known = list(mill.project.tokenizers)
    if tokenizer is not None and tokenizer not in known:
        raise UnknownNameError(f"there is no tokenizer {tokenizer!r}{nearest(tokenizer, known)}")
    chosen = tokenizer or next(iter(known), None)
    before = {name: source.filter for name, source in sources.items()}
    parsed = [parse_edit(edit, sources) for edit in edits]
    filters = edited(before, parsed, _signal_names(mill))
    answer = Answer(
        tokenizer=chosen,
        filters=filters,
        changed={name: found for name in sources if (found := _differences(before[name], filters[name]))},
        result=WhatIf(Sample(samples, seed)),
    )
    for key in mill.sealed():
        reason = _judge_batch(mill, key, answer, collect)
        if reason:
            answer.left_out.append(f"{key}: {reason}")
        else:
            answer.batches += 1
    answer.seconds = time.monotonic() - started
    return answer


def _judge_batch(mill: Mill, key: str, answer: Answer, collect: Collect) -> str | None:
    """Every part of a batch; or why it cannot be judged."""
    crawled, signals = mill.store.latest("crawled_text", key), mill.store.latest("quality_signals", key)
    filtered = mill.store.latest("filtered_documents", key)
    if crawled is None or signals is None or filtered is None:
        return "its rules have decided nothing yet"
    inputs = filtered.manifest.inputs
    if inputs["documents"].content != crawled.content or inputs["signals"].content != signals.content:
        return "its decisions rest on older text or signals: `gristmill run` brings them up to date"
    source = key.partition(".")[0]
    stale = filtered.manifest.config != filter_config(mill.project, key)
    if stale:
        answer.edited_since.append(key)
    judged = answer.filters[source] if stale or source in answer.changed else None
    arrays = mill.store.latest(f"{answer.tokenizer}/token_arrays", key) if answer.tokenizer else None
    for part in crawled.parts:
        if "documents" in part.files:
            tables = _tables(mill, key, crawled, signals, part, judged)
            decided = named_part(filtered, part.name)
            piece = JudgedPart(
                key=key,
                name=part.name,
                source=source,
                tables=tables,
                decisions=filtered.table(decided, "decisions", ["id", "kept", "reason"]),
                failures=partial(filtered.table, decided, "decisions"),
                tokens=_tokens(arrays, part.name),
                characters=_characters(crawled, part, tables),
                filter=judged,
            )
            collect(source, answer.result.judge(piece))
    return None


def _tables(
    mill: Mill, key: str, crawled: Artifact, signals: Artifact, part: Part, judged: FilterConfig | None
) -> dict[str, pa.Table]:
    """The documents without text, and the columns of the families that the rules look at."""
    names = [name for name in _columns(crawled, part, "documents") if name not in UNREAD]
    tables = {"documents": crawled.table(part, "documents", names)}
    mine = named_part(signals, part.name)
    for family in families(mill.project, key):
        columns = columns_of_rules(judged or FilterConfig(), _columns(signals, mine, family))
        tables[family] = signals.table(mine, family, columns)
    return tables


def _characters(crawled: Artifact, part: Part, tables: dict[str, pa.Table]) -> pa.Array:
    for table in tables.values():
        if CHARACTERS_SIGNAL in table.column_names:
            return table[CHARACTERS_SIGNAL].combine_chunks()
    return pc.utf8_length(crawled.table(part, "documents", ["text"])["text"]).combine_chunks()


def _tokens(arrays: Artifact | None, name: str) -> pa.Table:
    """`id, tokens` of the documents of a part that are in the arrays, training and held out alike."""
    table = pa.schema([("id", pa.binary(16)), ("length", pa.int32())]).empty_table()
    if arrays is not None:
        mine = [part for part in arrays.parts if part.name == name]
        found = [arrays.table(part, role, ["id", "length"]) for part in mine for role in INDEXES]
        table = pa.concat_tables([table, *(item.cast(table.schema) for item in found)])
    return pa.table({"id": table["id"], "tokens": table["length"].cast(pa.int64())})


def named_part(artifact: Artifact, name: str) -> Part:
    """The part of that name, in line with the parts of the same name upstream and downstream."""
    return next(part for part in artifact.parts if part.name == name)


def _columns(artifact: Artifact, part: Part, role: str) -> list[str]:
    return list(pq.read_schema(artifact.path(part, role)).names)


def _signal_names(mill: Mill) -> list[str]:
    """Columns of every family, from the first batch that has signals."""
    for key in mill.sealed():
        signals = mill.store.latest("quality_signals", key)
        if signals is None or not signals.parts:
            continue
        for part in signals.parts[:1]:
            names = [name for family in families(mill.project, key) for name in _columns(signals, part, family)]
            return [name for name in dict.fromkeys(names) if name not in ("id", "text_hash")]
    return []


def _differences(before: FilterConfig, after: FilterConfig) -> list[str]:
    """Rules that differ, in words."""
    old = {rule.name: rule for rule in before.resolved()}
    new = {rule.name: rule for rule in after.resolved()}
    said = [f"{name}: no longer applied" for name in old if name not in new]
    for name, rule in new.items():
        if name not in old:
            said.append(f"{_spoken(rule)} (new)")
        elif old[name] != rule:
            said.append(f"{_spoken(rule)} (was {_spoken(old[name], brief=True)})")
    return said


def _spoken(rule: Any, brief: bool = False) -> str:
    values = rule.identity()
    words = f"{values.get('op', '')} {shown(values.get('value'))}".strip()
    tail = ", only flagged" if values.get("action") == "flag" else ""
    return f"{words}{tail}" if brief else f"{rule.name}: {values.get('signal', '')} {words}{tail}"


@contextmanager
def listed(path: Path | None) -> Iterator[Collect]:
    """A `collect` that writes the documents that change sides to a TSV file, or that forgets them."""
    if path is None:
        yield lambda source, sides: None
        return
    with path.open("w", encoding="utf-8") as stream:
        stream.write("id\tsource\tside\n")

        def collect(source: str, sides: pa.Table) -> None:
            moved = sides.filter(pc.not_equal(sides["kept_now"], sides["kept_then"]))
            for row in moved.to_pylist():
                stream.write(f"{row['id'].hex()}\t{source}\t{'gained' if row['kept_then'] else 'lost'}\n")

        yield collect
