"""Personal data as spans, and takedowns as requests."""

from typing import Any

import pyarrow as pa

from assets.recipe import Made, Recipe, Scope
from pipelines.core.fingerprint import Algorithm, digest_file
from pipelines.core.manifest import CheckRecord, Part
from pipelines.corpus.acquisition.packages import resolve_path
from pipelines.corpus.cleaning import removals
from pipelines.corpus.privacy import spans
from pipelines.project import Project
from resources.mill import Mill
from resources.stages import Action, Family, store_table

REQUESTS = Algorithm("removal-requests", 1)


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
            facts=_requests_digest,
            make=_make_requests,
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


def _make_requests(mill: Mill, action: Action) -> Made:
    import json

    location = mill.project.corpus.removals
    rows: list[dict[str, str]] = []
    if location is not None:
        path = resolve_path(location, mill.loaded.path.parent)
        for number, line in enumerate(path.read_text("utf-8").splitlines(), start=1):
            if line.strip():
                request = json.loads(line)
                if not isinstance(request, dict) or not {"kind", "value"} <= set(request):
                    raise removals.BadRemovalError(f"{path}:{number}: a request is an object with kind and value")
                rows.append({"kind": str(request["kind"]), "value": str(request["value"])})
    table = pa.Table.from_pylist(rows, schema=removals.REMOVAL_SCHEMA)
    removals.check_removals(table)
    return [Part(name="00000", files={"rows": store_table(mill.store, table)})], [], {"requests": len(rows)}
