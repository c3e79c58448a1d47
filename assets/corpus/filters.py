"""Quality signals, one attribute family each, and the decision over them."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pyarrow as pa

from assets.corpus.model_families import FAMILIES, calibrated, model_families, model_inputs, signal_families
from assets.corpus.text_families import list_digests, text_algorithms, text_families, text_parts
from assets.recipe import Made, Recipe, Scope
from pipelines.core.documents import split_key
from pipelines.core.fingerprint import Algorithm
from pipelines.core.manifest import CheckRecord, Part, conservation, total_counts
from pipelines.corpus.filters import filter as filtering
from pipelines.corpus.filters import language, statistics
from pipelines.corpus.metadata import metadata
from pipelines.project import Project
from resources.mill import Mill
from resources.stages import Action, Family, written

FILTER_CHECKS = {
    "conserved": "every document was kept or dropped by a named rule",
    "kept_some": "the rules left at least one document in a thousand, or the batch is empty",
}

SIGNAL_WARNINGS = {"metadata_learned": "the batch was large and varied enough for every operation on metadata"}


def recipes(project: Project) -> list[Recipe]:
    """`quality_signals` and `filtered_documents`."""
    return [
        Recipe(
            asset="quality_signals",
            group="corpus/filters",
            description="What later decisions look at: text, language, surface, keywords, metadata of documents.",
            kinds=frozenset({"numba", "fasttext"}),
            scope=Scope.BATCHES,
            facts=list_digests,
            inputs={"documents": "crawled_text", **model_inputs(project)},
            algorithms=_algorithms(project),
            config=_signal_config,
            make=_make_signals,
            checks={"complete": "every document has a row in every family"},
            warnings=SIGNAL_WARNINGS,
        ),
        Recipe(
            asset="filtered_documents",
            group="corpus/filters",
            description="Documents that pass their source's rules; `decisions` has every failing rule of every one.",
            kinds=frozenset({"polars"}),
            scope=Scope.BATCHES,
            inputs={"documents": "crawled_text", "signals": "quality_signals"},
            algorithms=filtering.ALGORITHMS,
            config=filter_config,
            make=_make_filtered,
            checks=FILTER_CHECKS,
        ),
    ]


def families(project: Project, key: str) -> list[str]:
    """Names of the attribute families that the project computes for a batch."""
    signals = project.corpus.signals
    own = [name for name in ("statistics", "language") if getattr(signals, name) is not None]
    declared = ["metadata"] if project.source_of(key).metadata is not None else []
    return [*own, *text_families(project), *declared, *model_families(project)]


def _signal_config(project: Project, key: str | None) -> dict[str, Any]:
    """The families' settings; a source's own metadata, with its version, and ensembles, where there are any."""
    config = project.corpus.signals.identity()
    names = list(project.corpus.sources) if key is None else [split_key(key)[0]]
    declared = {name: project.corpus.sources[name].metadata for name in names}
    version = metadata.METADATA.version
    own = {name: {**item.identity(), "version": version} for name, item in declared.items() if item is not None}
    ensembles = {name: item.identity() for name, item in project.corpus.models.ensembles.items()}
    return config | ({"metadata": own} if own else {}) | ({"ensembles": ensembles} if ensembles else {})


def _algorithms(project: Project) -> tuple[Algorithm, ...]:
    """Those of the families that are computed; a project without a model keeps what it has when models change."""
    counted = project.corpus.signals.statistics
    words = statistics.algorithms_of(counted) if counted is not None else statistics.ALGORITHMS
    used = dict.fromkeys((*words, *language.ALGORITHMS, *text_algorithms(project)))
    for name in model_families(project):
        used |= dict.fromkeys(FAMILIES[name].algorithms)
    return tuple(used)


def _make_signals(mill: Mill, action: Action) -> Made:
    key = action.partition or ""
    signals = mill.project.corpus.signals
    roles = (("documents", "documents", "documents"),)
    wanted: list[Family] = []
    if signals.statistics is not None:
        wanted.append(
            Family(
                function=statistics.statistics_part,
                config=signals.statistics,
                algorithms=statistics.algorithms_of(signals.statistics),
                identity=signals.statistics.identity(),
                roles=roles,
                attribute_role="statistics",
            )
        )
    if signals.language is not None:
        settings = calibrated(mill, action)
        wanted.append(
            Family(
                function=language.language_part,
                config=settings,
                algorithms=language.ALGORITHMS,
                identity=settings.identity(),
                roles=roles,
                attribute_role="language",
                tally=language.count_languages,
            )
        )
    wanted += text_parts(mill)
    wanted += signal_families(mill, action)
    declared = mill.project.source_of(key).metadata
    fit = metadata.fit_metadata(_meta(action), declared) if declared is not None else None
    if fit is not None:
        # No attribute role: its rows depend on the batch through the fit, so old rows are never kept beside new ones.
        wanted.append(
            Family(
                function=metadata.metadata_part,
                config=declared,
                algorithms=metadata.ALGORITHMS,
                identity=action.config["metadata"],
                roles=roles,
                shared={metadata.FIT: fit},
            )
        )
    first = [family for family in wanted if all(given != "signals" for _, given, _ in family.roles)]
    parts = mill.runner.run_parts(action, "documents", first)
    if len(first) < len(wanted):
        parts = _second_pass(mill, action, parts, [family for family in wanted if family not in first])
    counts = total_counts(tuple(parts))
    expected = action.inputs["documents"].manifest.rows("documents")
    rows = {name: sum(part.files[name].rows or 0 for part in parts) for name in families(mill.project, key)}
    complete = CheckRecord(
        name="complete",
        passed=all(count == expected for count in rows.values()) and counts.get("rows_in", 0) == expected,
        description="every document has a row in every family",
        values={"documents": expected, **rows},
    )
    refused = [] if fit is None else metadata.refusals(fit)
    for name in declared.columns if declared is not None and expected else ():
        if counts.get(f"metadata/{name}/missing") == expected:
            refused.append(f"no document has a number for {name}: see its `field` and what the reader keeps of `meta`")
    learned = CheckRecord(
        name="metadata_learned",
        passed=not refused,
        blocking=False,
        description="; ".join([SIGNAL_WARNINGS["metadata_learned"], *refused]),
        values={"refused": len(refused)},
    )
    if fit is not None:
        parts.append(written(mill.store, {metadata.FIT: fit}, name=metadata.FIT))
    return parts, [complete, learned], {}


def _second_pass(mill: Mill, action: Action, parts: list[Part], families: list[Family]) -> list[Part]:
    """`parts` with the families that look at signals of the first pass."""
    given = replace(action, inputs={**action.inputs, "signals": mill.runner.provisional(action, parts)})
    more = mill.runner.run_parts(given, "documents", families, step="of signals")
    return [
        part.model_copy(update={"files": {**part.files, **own.files}, "counts": {**part.counts, **own.counts}})
        for part, own in zip(parts, more, strict=True)
    ]


def _meta(action: Action) -> Iterator[pa.ChunkedArray]:
    return (table.column("meta") for _, table in action.inputs["documents"].tables("documents", ["meta"]))


def filter_config(project: Project, key: str | None) -> dict[str, Any]:
    """What the decisions of a batch rest on: the resolved rules of its source; of every source for the asset."""
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
            *((name, "signals", name) for name in families(mill.project, action.partition or "")),
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
