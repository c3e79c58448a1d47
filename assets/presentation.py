"""What a person sees on an asset's page: what it is and how much, what it was made from, and links to files.

Numbers keep one stable key each and are never strings or NaN, or the UI cannot plot them over partitions. The page
lists them in this order: the report, sizes and counts, facts, a sample, the inputs, and last what machines read.
"""

import math
import os
import re
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines.core.artifacts import Artifact

SAMPLE_ROWS = 5
CURVE_ROWS = 12
SAMPLE_COLUMNS = 12
SAMPLE_WIDTH = 160
"""Of a text, in columns of a terminal: a Chinese character takes two."""
DOCUMENT_COLUMNS = ("id", "language", "text")
"""What a document shows of itself: a table that is wider than the page squeezes its text to one character a line."""
UNSHOWN_COLUMNS = ("text_hash", "url_hash")
SHOWN_INPUTS = 12
MAIN_ROLES = (
    "documents",
    "matches",
    "statistics",
    "signatures",
    "sensitive_spans",
    "contamination",
    "files",
    "train_index",
    "items",
    "rows",
)
"""The role whose rows count as the artifact's rows, first that exists."""
CURVE = "losses"
DIGEST = re.compile(r"[0-9a-f]{64}")


def metadata_of(
    artifact: Artifact,
    *,
    computed: bool,
    seconds: float,
    notes: Mapping[str, float | str],
    report: Path | None = None,
) -> dict[str, Any]:
    """Metadata of a materialization; `computed` is 1 for new work and 0 for a re-emitted artifact.

    `notes` is what depends on machine and moment, `report` the page that `report_page` wrote.
    """
    manifest = artifact.manifest
    facts = {name: value for name, fact in manifest.facts.items() if (value := _fact(fact)) is not None}
    values: dict[str, Any] = {} if report is None else {"report": dg.MetadataValue.path(report)}
    role = main_role(artifact)
    if role:
        values["dagster/row_count"] = manifest.rows(role)
    values["dagster/size_bytes"] = manifest.bytes
    values |= manifest.counts
    values |= {name: fact for name, fact in facts.items() if not _is_digest(fact)}
    values |= notes
    sample = sample_table(artifact, role or CURVE, SAMPLE_ROWS if role else CURVE_ROWS, spread=role is None)
    if sample:
        values["sample"] = sample
    dropped = dropped_table(artifact)
    if dropped:
        values["dropped"] = dropped
    values["made_from"] = _inputs(artifact)
    values |= {"parts": len(manifest.parts), "computed": int(computed), "seconds": round(seconds, 3)}
    values |= {name: fact for name, fact in facts.items() if _is_digest(fact)}
    uri = artifact.objects.path_of(artifact.digest).as_uri()
    return values | {"action": manifest.action, "manifest": artifact.digest, "dagster/uri": uri}


def report_page(artifact: Artifact, folder: Path) -> Path | None:
    """The report of an artifact as a file for a browser, `<asset>_<key>.html` in `folder`; None if it has none."""
    manifest = artifact.manifest
    if not manifest.parts or "report" not in manifest.parts[0].files:
        return None
    name = "_".join([*manifest.asset.split("/"), *([manifest.partition] if manifest.partition else [])])
    folder.mkdir(parents=True, exist_ok=True)
    page, unfinished = folder / f"{name}.html", folder / f".{name}.{os.getpid()}"
    unfinished.write_bytes(artifact.bytes_of("report"))
    unfinished.replace(page)
    return page


def _fact(fact: Any) -> Any:
    """A fact as the UI shows it, or None for one that is too long or no number."""
    if isinstance(fact, bool):
        return int(fact)
    if isinstance(fact, int | float):
        return fact if math.isfinite(fact) else None
    if isinstance(fact, str):
        return fact if 0 < len(fact) < 1000 else None
    if isinstance(fact, dict) and fact and len(str(fact)) < 1000:
        return dg.MetadataValue.json(fact)
    return None


def _is_digest(fact: Any) -> bool:
    return isinstance(fact, str) and DIGEST.fullmatch(fact) is not None


def _inputs(artifact: Artifact) -> dg.TableMetadataValue:
    """What the artifact was made from, edges and pinned references alike."""
    columns = ("input", "asset", "partition", "content")
    records = [
        {"input": name, "asset": item.asset, "partition": item.partition or "", "content": item.content[:16]}
        for name, item in list(artifact.manifest.inputs.items())[:SHOWN_INPUTS]
    ]
    hidden = len(artifact.manifest.inputs) - len(records)
    if hidden:
        records.append({"input": f"and {hidden} more", "asset": "", "partition": "", "content": ""})
    return dg.MetadataValue.table(
        records=[dg.TableRecord(record) for record in records],
        schema=dg.TableSchema([dg.TableColumn(name) for name in columns]),
    )


def main_role(artifact: Artifact) -> str | None:
    roles = {role for part in artifact.parts for role, file in part.files.items() if file.rows is not None}
    return next((role for role in MAIN_ROLES if role in roles), None)


def sample_table(artifact: Artifact, role: str, rows: int, *, spread: bool = False) -> dg.TableMetadataValue | None:
    """The first rows of a role (`spread`: evenly over its first part), bytes as hex, long text cut, six digits."""
    found: list[dict[str, Any]] = []
    columns: dict[str, str] = {}
    for part in artifact.parts:
        file = part.files.get(role)
        if file is None or not file.rows or len(found) == rows:
            continue
        with pq.ParquetFile(artifact.path(part, role)) as stored:
            names = _sample_columns(stored.schema_arrow.names)
            size = stored.metadata.num_rows if spread else min(rows - len(found), stored.metadata.num_rows)
            table = pa.Table.from_batches([next(stored.iter_batches(batch_size=size, columns=names))])
        columns = {name: str(table.schema.field(name).type) for name in names}
        wanted = min(rows - len(found), len(table))
        step = (len(table) - 1) / max(wanted - 1, 1)
        found += table.take([round(index * step) for index in range(wanted)]).to_pylist()
    if not found:
        return None
    return dg.MetadataValue.table(
        records=[dg.TableRecord({name: _cell(row[name]) for name in columns}) for row in found],
        schema=dg.TableSchema([dg.TableColumn(name, kind) for name, kind in columns.items()]),
    )


def dropped_table(artifact: Artifact) -> dg.TableMetadataValue | None:
    """The first documents that a stage dropped, with the values that failed; `gristmill explain ID` tells the rest."""
    found: list[dict[str, Any]] = []
    for part in artifact.parts:
        if "decisions" in part.files and len(found) < SAMPLE_ROWS:
            table = artifact.table(part, "decisions")
            found += table.filter(pc.invert(table["kept"])).slice(0, SAMPLE_ROWS - len(found)).to_pylist()
    if not found:
        return None
    return dg.MetadataValue.table(
        records=[
            dg.TableRecord(
                {
                    "id": row["id"].hex(),
                    "reason": row["reason"],
                    "failed": _cell(
                        ", ".join(
                            f"{item['rule']} {item['text'] if item['value'] is None else format(item['value'], '.4g')}"
                            for item in row["failed"]
                        )
                    ),
                }
            )
            for row in found
        ],
        schema=dg.TableSchema([dg.TableColumn(name) for name in ("id", "reason", "failed")]),
    )


def _sample_columns(names: list[str]) -> list[str]:
    if set(DOCUMENT_COLUMNS) <= set(names):
        return list(DOCUMENT_COLUMNS)
    return [name for name in names if name not in UNSHOWN_COLUMNS][:SAMPLE_COLUMNS]


def _cell(value: Any) -> str | int | float | bool | None:
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    if isinstance(value, bytes):
        return value.hex()
    text, width = str(value), 0
    for position, character in enumerate(text[:SAMPLE_WIDTH]):
        width += 2 if unicodedata.east_asian_width(character) in "FW" else 1
        if width > SAMPLE_WIDTH:
            return text[:position] + "…"
    return text if len(text) <= SAMPLE_WIDTH else text[:SAMPLE_WIDTH] + "…"
