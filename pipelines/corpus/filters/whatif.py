"""What other rules would keep: signals and decisions in, no text, no score computed again.

In, part by part: the documents' columns without their text, the attribute families, the decisions as they are stored
(`id, kept, reason`) and the tokens of the documents that have any (`id, tokens`). Steps: the filter itself judges the
part by the other rules, so that the answer is what a run would decide; each document is kept or dropped now and then.
Out, summed over parts: documents and tokens by (source, language), drops and gains by rule, and a sample of documents
that would change sides. Tokens are exact where the arrays have the document; elsewhere its characters divided by the
characters a token has in that source, or in all sources where it has none.

What comes after the filter (duplicates, removals, what is held out) is not claimed: a document that is kept may still
be dropped there, and a leader that goes may bring its duplicate back.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.core.config import Config
from pipelines.core.decisions import explain_row
from pipelines.core.documents import ATTRIBUTE_KEYS
from pipelines.core.sampling import Sample
from pipelines.corpus.filters.config import FilterConfig
from pipelines.corpus.filters.filter import DOCUMENTS, filter_part, join_signals

SIDES: Final = ("gained", "lost")
NO_LANGUAGE: Final = "-"
CHARACTERS_SIGNAL: Final = "n_characters"


class JudgedPart(NamedTuple):
    """One part, ready to be judged; `filters` is None where the rules are those behind `decisions`."""

    key: str
    name: str
    source: str
    tables: Mapping[str, pa.Table]
    """`documents` (without text) and the attribute families, whole or the columns that the rules look at."""
    decisions: pa.Table
    failures: Callable[[], pa.Table]
    """The whole decisions table: asked for where a document of the sample is kept then and dropped now."""
    tokens: pa.Table
    characters: pa.Array
    """Of each document, in order; int64."""
    filter: FilterConfig | None


class Mover(NamedTuple):
    """A document that would change sides: the rule that decides, and what it found."""

    side: str
    id: bytes
    key: str
    part: str
    source: str
    url: str | None
    rule: str
    signal: str
    value: Any
    threshold: Any


@dataclass
class Tally:
    """Documents, tokens known and characters of documents whose tokens are not."""

    documents: int = 0
    tokens: int = 0
    counted: int = 0
    uncounted_characters: int = 0

    def add(self, documents: int, tokens: int, counted: int, uncounted_characters: int) -> None:
        self.documents += documents
        self.tokens += tokens
        self.counted += counted
        self.uncounted_characters += uncounted_characters


@dataclass
class WhatIf:
    """The answer, filled part by part by `judge`."""

    samples: Sample[Mover]
    cells: dict[tuple[str, str, bool, bool], Tally] = field(default_factory=dict)
    """(source, language, kept now, kept then) -> what is there."""
    by_rule: dict[tuple[str, str, str], int] = field(default_factory=dict)
    """(side, source, rule) -> documents: the first rule that drops a lost one then, and a gained one now."""
    characters: dict[str, list[int]] = field(default_factory=dict)
    """Source -> [characters, tokens] of the documents that have tokens."""

    def judge(self, part: JudgedPart) -> pa.Table:
        """Judge one part; returns `id, kept_now, kept_then`, a row for each document."""
        ids = part.tables[DOCUMENTS]["id"]
        before = part.decisions
        after = before if part.filter is None else filter_part(part.tables, part.filter).tables["decisions"]
        now = before["kept"].to_numpy()
        then = after["kept"].to_numpy()
        place = pc.index_in(ids, value_set=_flat(part.tokens["id"]))
        tokens = _flat(part.tokens["tokens"]).take(place.combine_chunks() if hasattr(place, "chunks") else place)
        self._count(part, now, then, tokens)
        self._changes(part, before, after, now, then)
        return pa.table({"id": ids, "kept_now": pa.array(now), "kept_then": pa.array(then)})

    def _count(self, part: JudgedPart, now: np.ndarray[Any, Any], then: np.ndarray[Any, Any], tokens: pa.Array) -> None:
        known = pc.is_valid(tokens).to_numpy(zero_copy_only=False)
        characters = np.asarray(part.characters, np.int64)
        frame = pl.DataFrame(
            {
                "language": _languages(part),
                "now": now,
                "then": then,
                "tokens": pc.fill_null(tokens, 0).to_numpy(),
                "known": known,
                "uncounted": np.where(known, 0, characters),
            }
        )
        grouped = frame.group_by("language", "now", "then").agg(
            pl.len(), pl.col("tokens").sum(), pl.col("known").sum(), pl.col("uncounted").sum()
        )
        for language, was, becomes, *sums in grouped.rows():
            cell = self.cells.setdefault((part.source, language, was, becomes), Tally())
            cell.add(*(int(value) for value in sums))
        measured = self.characters.setdefault(part.source, [0, 0])
        measured[0] += int(characters[known].sum())
        measured[1] += int(pc.sum(tokens).as_py() or 0)

    def _changes(
        self,
        part: JudgedPart,
        before: pa.Table,
        after: pa.Table,
        now: np.ndarray[Any, Any],
        then: np.ndarray[Any, Any],
    ) -> None:
        if part.filter is None:
            return
        signals = join_signals(part.tables)
        rules = part.filter.resolved()
        documents = part.tables[DOCUMENTS]
        sides = (("lost", now & ~then, after, lambda: after), ("gained", then & ~now, before, part.failures))
        for side, mask, deciding, recorded in sides:
            rows = np.flatnonzero(mask)
            if not len(rows):
                continue
            for entry in pc.value_counts(deciding["reason"].take(pa.array(rows))).to_pylist():
                name = (side, part.source, str(entry["values"]))
                self.by_rule[name] = self.by_rule.get(name, 0) + int(entry["counts"])

            def mover(
                position: int,
                rows: Any = rows,
                side: str = side,
                deciding: pa.Table = deciding,
                recorded: Callable[[], pa.Table] = recorded,
            ) -> Mover:
                row = int(rows[position])
                reason = deciding["reason"][row].as_py()
                one = signals.slice(row, 1).to_pylist()[0]
                met = explain_row(one, [rule for rule in rules if rule.name == reason])
                value, threshold = _recorded(recorded(), row, reason)
                if side == "lost" and met:
                    value, threshold = met[0].value, met[0].threshold
                document = documents.slice(row, 1).to_pylist()[0]
                return Mover(
                    side=side,
                    id=document["id"],
                    key=part.key,
                    part=part.name,
                    source=part.source,
                    url=document.get("url"),
                    rule=reason,
                    signal=met[0].signal if met else "",
                    value=value,
                    threshold=threshold,
                )

            self.samples.offer(side, documents["id"].take(pa.array(rows)), mover)

    def characters_per_token(self, source: str) -> float | None:
        """Of a source, or of all sources together where none of its documents has tokens; None without any."""
        characters, tokens = self.characters.get(source, (0, 0))
        if not tokens or not characters:
            characters, tokens = (sum(pair[slot] for pair in self.characters.values()) for slot in (0, 1))
        return characters / tokens if tokens and characters else None

    def tokens_of(self, source: str, tally: Tally) -> float | None:
        """Tokens of a cell of a source, estimates included; None where nothing has been tokenized yet."""
        ratio = self.characters_per_token(source)
        if not tally.uncounted_characters:
            return float(tally.tokens)
        return None if ratio is None else tally.tokens + tally.uncounted_characters / ratio

    def totals(self, by: str) -> Iterator[tuple[str, int, int, float | None, float | None]]:
        """(name, documents now, then, tokens now, then) by `source` or by `language`, then of `all`."""
        slot = 0 if by == "source" else 1
        names = sorted({str(cell[slot]) for cell in self.cells})
        for name in [*names, ""]:
            mine = {cell: tally for cell, tally in self.cells.items() if not name or cell[slot] == name}
            documents = [sum(tally.documents for cell, tally in mine.items() if cell[when]) for when in (2, 3)]
            tokens = [
                _sum(self.tokens_of(cell[0], tally) for cell, tally in mine.items() if cell[when]) for when in (2, 3)
            ]
            yield name or "all", documents[0], documents[1], tokens[0], tokens[1]

    def estimated_share(self) -> float:
        """Share of the documents kept now or then whose tokens are estimated."""
        kept = [tally for cell, tally in self.cells.items() if cell[2] or cell[3]]
        documents = sum(tally.documents for tally in kept)
        return 1 - sum(tally.counted for tally in kept) / documents if documents else 0.0


def columns_of_rules(config: FilterConfig, columns: list[str]) -> list[str]:
    """The columns of an attribute family that a filter may look at, with the keys: those that its rules name."""
    wanted = {*named_in(config.resolved()), *(item.name for item in ATTRIBUTE_KEYS), "language", CHARACTERS_SIGNAL}
    return [name for name in columns if name in wanted]


def named_in(rules: Iterable[Config]) -> set[str]:
    """Every word in the definitions of rules: the signals that they look at are among them, whatever their kind."""
    return {word for rule in rules for word in re.findall(r"[A-Za-z_]\w*", str(rule.identity()))}


def _sum(values: Iterator[float | None]) -> float | None:
    found = list(values)
    return None if any(value is None for value in found) else float(sum(value for value in found if value is not None))


def _languages(part: JudgedPart) -> pl.Series:
    """The detected language, else the declared one."""
    tables = [table for role, table in part.tables.items() if role != DOCUMENTS and "language" in table.column_names]
    column = (tables or [part.tables[DOCUMENTS]])[0]["language"]
    return pl.Series("language", pc.fill_null(column.cast(pa.large_string()), NO_LANGUAGE))


def _recorded(decisions: pa.Table, row: int, reason: str) -> tuple[Any, Any]:
    """Value and threshold of the deciding rule as a decisions table has them; a threshold of text is not recorded."""
    for item in decisions["failed"][row].as_py():
        if item["rule"] == reason:
            return item["value"] if item["text"] is None else item["text"], item["threshold"]
    return None, None


def _flat(column: pa.ChunkedArray) -> pa.Array:
    flat = column.combine_chunks()
    if isinstance(flat, pa.ChunkedArray):
        return pa.concat_arrays(flat.chunks) if flat.num_chunks else pa.array([], column.type)
    return flat
