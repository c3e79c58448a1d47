"""Labels as people write them: JSONL or CSV files to checked rows, resolved to one label a document.

A row has `id` (32 hex digits), `text`, `label` and `annotator`; without `text` it is about the document of that id in
the section's batches, so that labels can be shared where texts cannot. `spans` may follow: a list of {start, end,
label} in characters of the text (in CSV the list as JSON). 1. Every row is checked; a mistake names file, line and
remedy, because labels are few and each counts. 2. One person labels a document once; a later row replaces an earlier
one. 3. `resolve`: the majority of a document's labels, or a unanimous one; the others are left out and counted. Out:
`LABELS`, `SPANS`, `RESOLVED` and the agreement of everybody who shares documents.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from contextlib import suppress
from itertools import combinations
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa

from pipelines.core.documents import text_hash
from pipelines.core.fingerprint import Algorithm
from pipelines.corpus.filters.annotation.agreement import (
    Span,
    cohen_kappa,
    fleiss_kappa,
    krippendorff_alpha,
    span_f1,
)
from pipelines.corpus.filters.annotation.config import AnnotationConfig
from pipelines.corpus.filters.labelled.examples import ExamplesError, read_rows

ANNOTATIONS: Final = Algorithm("annotations", 1)

_ID, _TEXT = ("id", pa.binary(16)), pa.large_string()
LABELS: Final = pa.schema([_ID, ("text_hash", pa.binary(16)), ("annotator", _TEXT), ("label", _TEXT)])
SPANS: Final = pa.schema([_ID, ("annotator", _TEXT), ("start", pa.int64()), ("stop", pa.int64()), ("label", _TEXT)])
RESOLVED: Final = pa.schema(
    [
        _ID,
        ("text_hash", pa.binary(16)),
        ("text", _TEXT),
        ("label", _TEXT),
        ("votes", pa.int64()),
        ("people", pa.int64()),
    ]
)


class Annotation(NamedTuple):
    """What one person said of one document."""

    id: bytes
    text: str
    annotator: str
    label: str
    spans: tuple[Span, ...]


class Annotations(NamedTuple):
    """Tables by role, and JSON-ready measures."""

    tables: dict[str, pa.Table]
    measures: dict[str, Any]


def documents_meant(paths: Iterable[Path]) -> set[bytes]:
    """Ids of the rows that have a label and no text; what is no id is left to `read_annotations`."""
    found = set()
    for path in paths:
        for _, row in read_rows(path):
            if row.get("label") and not row.get("text"):
                with suppress(ValueError):
                    found.add(bytes.fromhex(str(row.get("id"))))
    return found


def read_annotations(
    paths: Iterable[Path], config: AnnotationConfig, documents: Mapping[bytes, str] = MappingProxyType({})
) -> list[Annotation]:
    """The labels of all files, the last of each person and document, sorted; `documents` are texts of rows without one.

    Raises `ExamplesError`.
    """
    found: dict[tuple[bytes, str], Annotation] = {}
    texts: dict[bytes, str] = {}
    for path in paths:
        for number, row in read_rows(path):
            where = f"{path.name}, line {number}"
            if row.get("label") in (None, ""):  # a document that nobody got to
                continue
            item = _annotation(row, config, where, documents)
            if texts.setdefault(item.id, item.text) != item.text:
                raise ExamplesError(f"{where}: the text of {item.id.hex()} is not the one of an earlier row")
            found[item.id, item.annotator] = item
    return [found[key] for key in sorted(found)]


def _annotation(
    row: Mapping[str, Any], config: AnnotationConfig, where: str, documents: Mapping[bytes, str]
) -> Annotation:
    try:
        identity = bytes.fromhex(str(row["id"]))
        label, annotator = (str(row[name]) for name in ("label", "annotator"))
        text = str(row.get("text") or documents.get(identity, ""))
    except (KeyError, ValueError):
        raise ExamplesError(f"{where}: wants id (32 hex digits), text, label and annotator") from None
    if len(identity) == 16 and not text:
        raise ExamplesError(
            f"{where}: has no text, and {identity.hex()} is no document of the section's `batches` "
            f"({', '.join(config.batches) or 'there are none'})"
        )
    if len(identity) != 16 or not annotator:
        raise ExamplesError(f"{where}: wants an id of 32 hex digits, a text and an annotator")
    if label not in config.labels:
        raise ExamplesError(f"{where}: {label!r} is none of the labels {', '.join(config.labels)}")
    given = row.get("spans") or []
    try:
        given = json.loads(given) if isinstance(given, str) else given
        spans = tuple(sorted((int(span["start"]), int(span["end"]), str(span["label"])) for span in given))
    except (TypeError, KeyError, ValueError):
        raise ExamplesError(f"{where}: `spans` is a list of start, end and label") from None
    for start, stop, name in spans:
        if not 0 <= start < stop <= len(text) or name not in config.span_labels:
            raise ExamplesError(
                f"{where}: the span {start} to {stop}, {name!r}, is outside the {len(text)} characters, or its label "
                f"is none of {', '.join(config.span_labels) or 'those declared in span_labels'}"
            )
    return Annotation(identity, text, annotator, label, spans)


def build_annotations(items: list[Annotation], config: AnnotationConfig) -> Annotations:
    """Tables and measures of checked labels."""
    by_document: dict[bytes, list[Annotation]] = defaultdict(list)
    for item in items:
        by_document[item.id].append(item)
    resolved = []
    for identity, mine in by_document.items():
        counted = Counter(item.label for item in mine).most_common(2)
        tied = len(counted) > 1 and (config.resolve == "unanimous" or counted[0][1] == counted[1][1])
        if not tied:
            text = mine[0].text
            resolved.append((identity, text_hash(text), text, counted[0][0], counted[0][1], len(mine)))
    tables = {
        "labels": _table([(item.id, text_hash(item.text), item.annotator, item.label) for item in items], LABELS),
        "spans": _table([(item.id, item.annotator, *span) for item in items for span in item.spans], SPANS),
        "resolved": _table(resolved, RESOLVED),
    }
    measures = {
        "documents": len(by_document),
        "labels": len(items),
        "resolved": len(resolved),
        "unresolved": len(by_document) - len(resolved),
        "by_label": dict(sorted(Counter(row[3] for row in resolved).items())),
        **agreement_of(items, config),
    }
    return Annotations(tables, measures)


def agreement_of(items: list[Annotation], config: AnnotationConfig) -> dict[str, Any]:
    """Alpha of all, Fleiss' kappa over documents with the commonest number of labels, Cohen's kappa of pairs."""
    people = sorted({item.annotator for item in items})
    documents = sorted({item.id for item in items})
    rows, columns = ({name: place for place, name in enumerate(names)} for names in (people, documents))
    ratings = np.full((len(people), len(documents)), -1, np.int64)
    spans: dict[tuple[str, bytes], tuple[Span, ...]] = {}
    for item in items:
        ratings[rows[item.annotator], columns[item.id]] = config.labels.index(item.label)
        spans[item.annotator, item.id] = item.spans
    values = [float(label) for label in config.labels] if config.scale == "interval" else ()
    counts = np.array([np.bincount(item[item >= 0], minlength=len(config.labels)) for item in ratings.T], np.int64)
    several = counts[counts.sum(1) > 1] if len(counts) else counts
    usual = Counter(several.sum(1).tolist()).most_common(1) if len(several) else []
    pairs = []
    for one, two in combinations(people, 2):
        first, second = ratings[rows[one]], ratings[rows[two]]
        shared = int(((first >= 0) & (second >= 0)).sum())
        if shared:
            both = [
                span_f1(spans[one, identity], spans[two, identity])
                for identity in documents
                if (one, identity) in spans and (two, identity) in spans
            ]
            exact, characters = ([pair[side] for pair in both if pair[side] is not None] for side in (0, 1))
            pairs.append({
                "annotators": [one, two], "documents": shared, "cohen_kappa": _rounded(cohen_kappa(first, second)),
                "span_f1": _mean(exact), "span_character_f1": _mean(characters),
            })  # fmt: skip
    return {
        "annotators": {name: int((ratings[rows[name]] >= 0).sum()) for name in people},
        "krippendorff_alpha": _rounded(krippendorff_alpha(ratings, config.scale, values)),
        "fleiss_kappa": _rounded(fleiss_kappa(several[several.sum(1) == usual[0][0]])) if usual else None,
        "pairs": pairs,
    }


def _table(rows: list[Any], schema: pa.Schema) -> pa.Table:
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(schema)
    return pa.table([pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)], schema)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6)


def _mean(values: list[Any]) -> float | None:
    return _rounded(sum(values) / len(values)) if values else None
