"""Quality signals, one attribute family each, and the decision over them."""

from typing import Any

from assets.corpus.text_families import TEXT_ALGORITHMS, list_digests, text_families, text_parts
from assets.recipe import Made, Recipe, Scope
from pipelines.core.manifest import CheckRecord, conservation, total_counts
from pipelines.corpus.acquisition.packages import resolve_path
from pipelines.corpus.filters import filter as filtering
from pipelines.corpus.filters import language, statistics
from pipelines.project import Project
from resources.mill import Mill
from resources.stages import Action, Family

FILTER_CHECKS = {
    "conserved": "every document was kept or dropped by a named rule",
    "kept_some": "the rules left at least one document in a thousand, or the batch is empty",
}


def recipes(project: Project) -> list[Recipe]:
    """`quality_signals` and `filtered_documents`."""
    return [
        Recipe(
            asset="quality_signals",
            group="corpus/filters",
            description="What later decisions look at: text, language, surface, keywords, metadata of documents.",
            kinds=frozenset({"numba", "fasttext"}),
            scope=Scope.BATCHES,
            inputs={"documents": "crawled_text"},
            algorithms=tuple(dict.fromkeys((*statistics.ALGORITHMS, *language.ALGORITHMS, *TEXT_ALGORITHMS))),
            config=lambda project, key: project.corpus.signals.identity(),
            facts=list_digests,
            make=_make_signals,
            checks={"complete": "every document has a row in every family"},
        ),
        Recipe(
            asset="filtered_documents",
            group="corpus/filters",
            description="Documents that pass their source's rules; `decisions` has every failing rule of every one.",
            kinds=frozenset({"polars"}),
            scope=Scope.BATCHES,
            inputs={"documents": "crawled_text", "signals": "quality_signals"},
            algorithms=filtering.ALGORITHMS,
            config=_filter_config,
            make=_make_filtered,
            checks=FILTER_CHECKS,
        ),
    ]


def families(project: Project) -> list[str]:
    """Names of the attribute families that the project computes."""
    signals = project.corpus.signals
    return [name for name in ("statistics", "language") if getattr(signals, name) is not None] + text_families(project)


def _make_signals(mill: Mill, action: Action) -> Made:
    signals = mill.project.corpus.signals
    roles = (("documents", "documents", "documents"),)
    wanted: list[Family] = []
    if signals.statistics is not None:
        wanted.append(
            Family(
                function=statistics.statistics_part,
                config=signals.statistics,
                algorithms=statistics.ALGORITHMS,
                identity=signals.statistics.identity(),
                roles=roles,
                attribute_role="statistics",
            )
        )
    if signals.language is not None:
        path = resolve_path(signals.language.model, mill.loaded.path.parent)
        wanted.append(
            Family(
                function=language.language_part,
                config=signals.language.model_copy(update={"model": str(path)}),
                algorithms=language.ALGORITHMS,
                identity=signals.language.identity(),
                roles=roles,
                attribute_role="language",
            )
        )
    wanted += text_parts(mill)
    parts = mill.runner.run_parts(action, "documents", wanted)
    counts = total_counts(tuple(parts))
    expected = action.inputs["documents"].manifest.rows("documents")
    rows = {name: sum(part.files[name].rows or 0 for part in parts) for name in families(mill.project)}
    complete = CheckRecord(
        name="complete",
        passed=all(count == expected for count in rows.values()) and counts.get("rows_in", 0) == expected,
        description="every document has a row in every family",
        values={"documents": expected, **rows},
    )
    return parts, [complete], {}


def _filter_config(project: Project, key: str | None) -> dict[str, Any]:
    if key is not None:
        return {"rules": [rule.identity() for rule in project.source_of(key).filter.resolved()]}
    return {
        name: [rule.identity() for rule in source.filter.resolved()] for name, source in project.corpus.sources.items()
    }


def _make_filtered(mill: Mill, action: Action) -> Made:
    config = mill.project.source_of(action.partition or "").filter
    family = Family(
        function=filtering.filter_part,
        config=config,
        algorithms=action.algorithms,
        identity=action.config,
        roles=(
            ("documents", "documents", "documents"),
            *((name, "signals", name) for name in families(mill.project)),
        ),
    )
    parts = mill.runner.run_parts(action, "documents", [family])
    counts = total_counts(tuple(parts))
    rows_in, kept = counts.get("rows_in", 0), counts.get("kept", 0)
    some = CheckRecord(
        name="kept_some",
        passed=rows_in == 0 or kept * 1000 >= rows_in,
        description=FILTER_CHECKS["kept_some"] + "; otherwise see the decisions table and the source's filter",
        values={"rows_in": rows_in, "kept": kept},
    )
    return parts, [conservation(counts), some], {}
