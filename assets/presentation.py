"""What a person sees on an asset's page: numbers that plot, a sample table, links to files.

Numbers keep one stable key each and are never strings or NaN, or the UI cannot plot them over partitions.
"""

import math
from typing import Any

import dagster as dg

from pipelines.core.artifacts import Artifact

SAMPLE_ROWS = 5
SAMPLE_CHARACTERS = 160
MAIN_ROLES = ("documents", "matches", "statistics", "signatures", "spans", "contamination", "files", "index", "rows")
"""The role whose rows count as the artifact's rows, first that exists."""


def metadata_of(artifact: Artifact, *, computed: bool, seconds: float) -> dict[str, Any]:
    """Metadata of a materialization; `computed` is 1 for new work and 0 for a re-emitted artifact."""
    manifest = artifact.manifest
    values: dict[str, Any] = {
        "computed": int(computed),
        "seconds": round(seconds, 3),
        "parts": len(manifest.parts),
        "dagster/size_bytes": manifest.bytes,
        "action": manifest.action,
        "manifest": artifact.digest,
        "dagster/uri": artifact.objects.path_of(artifact.digest).as_uri(),
    }
    role = main_role(artifact)
    if role:
        values["dagster/row_count"] = manifest.rows(role)
        sample = sample_table(artifact, role)
        if sample:
            values["sample"] = sample
    values |= manifest.counts
    for name, fact in manifest.facts.items():
        if isinstance(fact, bool):
            values[name] = int(fact)
        elif (isinstance(fact, int | float) and math.isfinite(fact)) or (isinstance(fact, str) and len(fact) < 1000):
            values[name] = fact
    if manifest.parts and "report" in manifest.parts[0].files:
        path = artifact.path(manifest.parts[0], "report")
        values["report"] = dg.MetadataValue.url(path.as_uri())
    return values


def main_role(artifact: Artifact) -> str | None:
    roles = {role for part in artifact.parts for role, file in part.files.items() if file.rows is not None}
    return next((role for role in MAIN_ROLES if role in roles), None)


def sample_table(artifact: Artifact, role: str) -> dg.TableMetadataValue | None:
    """The first rows of a role, bytes as hex, long text cut."""
    for part in artifact.parts:
        file = part.files.get(role)
        if file is None or not file.rows:
            continue
        table = artifact.table(part, role).slice(0, SAMPLE_ROWS)
        columns = table.column_names[:12]
        rows = table.select(columns).to_pylist()
        return dg.MetadataValue.table(
            records=[dg.TableRecord({name: _cell(row[name]) for name in columns}) for row in rows],
            schema=dg.TableSchema([dg.TableColumn(name, str(table.schema.field(name).type)) for name in columns]),
        )
    return None


def _cell(value: Any) -> str | int | float | bool | None:
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, bytes):
        return value.hex()
    text = str(value)
    return text if len(text) <= SAMPLE_CHARACTERS else text[: SAMPLE_CHARACTERS - 1] + "…"
