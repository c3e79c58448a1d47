"""Personal data as spans, and takedowns as requests."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa

from assets.recipe import Made, Recipe, Scope
from pipelines.core.artifacts import Artifact
from pipelines.core.fingerprint import Algorithm, digest_file
from pipelines.core.manifest import CheckRecord, Part
from pipelines.corpus.acquisition.packages import resolve_path
from pipelines.corpus.cleaning import removals
from pipelines.corpus.privacy import spans
from pipelines.project import Project
from resources.mill import Mill
from resources.stages import Action, Family, store_table

REQUESTS = Algorithm("removal-requests", 1)
REQUEST_CHECKS = {"complete": "every request of the file is in the table, with the copies of what it names"}


def recipes(project: Project) -> list[Recipe]:
    """`sensitive_spans`."""
    return [
        Recipe(
            asset="sensitive_spans",
            group="corpus/privacy",
            description="E-mail and public IP addresses and phone numbers as byte ranges; values are never stored.",
            kinds=frozenset({"numba"}),
            scope=Scope.BATCHES,
            inputs={"documents": "deduplicated_documents"},
            algorithms=(spans.SENSITIVE_SPANS,),
            config=lambda project, key: project.corpus.privacy.identity(),
            make=_make_spans,
            checks={"complete": "every document has a row"},
        )
    ]


def request_recipes(project: Project) -> list[Recipe]:
    """`removal_requests`."""
    return [
        Recipe(
            asset="removal_requests",
            group="corpus/privacy",
            description="Takedowns: documents that have to go, by id, URL, URL prefix or source.",
            kinds=frozenset({"arrow"}),
            scope=Scope.ONCE,
            inputs={},
            algorithms=(REQUESTS, removals.REMOVALS),
            pinned=_copies,
            facts=_requests_digest,
            make=_make_requests,
            checks=REQUEST_CHECKS,
        )
    ]


def _make_spans(mill: Mill, action: Action) -> Made:
    family = Family(
        function=spans.spans_part,
        config=mill.project.corpus.privacy,
        algorithms=action.algorithms,
        identity=action.config,
        roles=(("documents", "documents", "documents"),),
        attribute_role="sensitive_spans",
        tally=spans.count_spans,
    )
    parts = mill.runner.run_parts(action, "documents", [family])
    return parts, [complete_check(action, parts, "sensitive_spans")], {}


def complete_check(action: Action, parts: list[Part], role: str) -> CheckRecord:
    """Every input document has a row in an attribute family."""
    expected = action.inputs["documents"].manifest.rows("documents")
    rows = sum(part.files[role].rows or 0 for part in parts)
    return CheckRecord(
        name="complete",
        passed=rows == expected,
        description="every document has a row",
        values={"documents": expected, "rows": rows},
    )


def _requests_digest(mill: Mill, key: str | None) -> dict[str, Any]:
    location = mill.project.corpus.removals
    return {"file": digest_file(resolve_path(location, mill.loaded.path.parent)) if location else None}


def _copies(mill: Mill, key: str | None) -> dict[str, Artifact]:
    """Documents and matches of every batch, where there are requests: a removed copy takes its whole group along."""
    if mill.project.corpus.removals is None:
        return {}
    found: dict[str, Artifact] = {}
    for batch in mill.sealed():
        crawled, matches = mill.store.latest("crawled_text", batch), mill.store.latest("duplicate_matches", batch)
        if crawled is not None and matches is not None:
            found |= {f"documents/{batch}": crawled, f"matches/{batch}": matches}
    return found


def _make_requests(mill: Mill, action: Action) -> Made:
    location = mill.project.corpus.removals
    rows = [] if location is None else _read_requests(resolve_path(location, mill.loaded.path.parent))
    table = pa.Table.from_pylist(rows, schema=removals.REMOVAL_SCHEMA)
    removals.check_removals(table)
    if rows:
        documents = _tables(action, "documents/", "documents", ["id", "url", "source"])
        groups = _tables(action, "matches/", "matches", ["id", "leader_id"])
        table = removals.expand_removals(table, documents, groups)
    facts = {"requests": len(rows), "rows": len(table)}
    wanted = {(row["kind"], row["value"]) for row in rows}
    kept = wanted & {(row["kind"], row["value"]) for row in table.to_pylist()}
    check = CheckRecord(
        name="complete",
        passed=kept == wanted,
        description=REQUEST_CHECKS["complete"],
        values={"requests": len(wanted), "kept": len(kept)},
    )
    return [Part(name="00000", files={"rows": store_table(mill.store, table)})], [check], facts


def _tables(action: Action, prefix: str, role: str, columns: list[str]) -> list[pa.Table]:
    inputs = (artifact for name, artifact in action.inputs.items() if name.startswith(prefix))
    return [table for artifact in inputs for _, table in artifact.tables(role, columns)]


def _read_requests(path: Path) -> list[dict[str, str]]:
    """The requests of a JSONL file; a line that is none is an error, because an ignored takedown would be worse."""
    rows = []
    for number, line in enumerate(path.read_text("utf-8").splitlines(), start=1):
        if not line.strip():
            continue
        try:
            request = json.loads(line)
            rows.append({"kind": str(request["kind"]), "value": str(request["value"])})
        except (ValueError, KeyError, TypeError):
            raise removals.BadRemovalError(f"{path}:{number}: a request is an object with kind and value") from None
    return rows
