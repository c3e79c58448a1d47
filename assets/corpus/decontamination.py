"""Contamination: the declared benchmarks, and their n-grams in each document."""

import json
from dataclasses import asdict
from typing import Any

import pyarrow as pa

from assets.corpus.privacy import complete_check
from assets.recipe import Made, Recipe, Scope
from pipelines.core.fingerprint import Algorithm, digest_file
from pipelines.core.manifest import CheckRecord, Part
from pipelines.corpus.acquisition.packages import resolve_path
from pipelines.corpus.decontamination import contamination
from pipelines.corpus.decontamination.ngrams import EVALUATION_NGRAMS_ALGORITHMS, ITEM_SCHEMA, evaluation_ngrams
from pipelines.evaluation.items import item_texts, read_items
from pipelines.project import Project
from resources.mill import Mill
from resources.stages import Action, Family, store_bytes, store_table

SETS = Algorithm("evaluation-sets", 1)
SET_CHECKS = {"not_empty": "every declared benchmark has items to ask"}


def set_recipes(project: Project) -> list[Recipe]:
    """`evaluation_sets`: in the corpus, because documents are held against them; reports ask the same items."""
    return [
        Recipe(
            asset="evaluation_sets",
            group="corpus/decontamination",
            description="The declared benchmarks: items as they are asked, and the n-grams that give copies away.",
            kinds=frozenset({"arrow"}),
            scope=Scope.ONCE,
            inputs={},
            algorithms=(SETS, *EVALUATION_NGRAMS_ALGORITHMS),
            config=lambda project, key: {
                "tasks": [task.identity() for task in project.evaluation.tasks],
                "contamination": project.corpus.contamination.identity(),
                "seed": project.evaluation.seed,
            },
            facts=_task_files,
            make=_make_sets,
            checks=SET_CHECKS,
        )
    ]


def recipes(project: Project) -> list[Recipe]:
    """`contamination`."""
    return [
        Recipe(
            asset="contamination",
            group="corpus/decontamination",
            description="Which benchmark items each document holds, and what share of their n-grams.",
            kinds=frozenset({"numba"}),
            scope=Scope.BATCHES,
            inputs={"documents": "deduplicated_documents", "evaluation_sets": "evaluation_sets"},
            algorithms=contamination.CONTAMINATION_ALGORITHMS,
            config=lambda project, key: project.corpus.contamination.identity(),
            make=_make,
            checks={"complete": "every document has a row"},
        )
    ]


def _make(mill: Mill, action: Action) -> Made:
    sets = action.inputs["evaluation_sets"]
    family = Family(
        function=contamination.contamination_part,
        config=mill.project.corpus.contamination,
        algorithms=action.algorithms,
        identity=action.config,
        roles=(("documents", "documents", "documents"),),
        shared={role: sets.table(sets.parts[0], role) for role in ("ngrams", "items")},
        attribute_role="contamination",
        tally=contamination.count_hits,
    )
    parts = mill.runner.run_parts(action, "documents", [family])
    return parts, [complete_check(action, parts, "contamination")], {}


def _task_files(mill: Mill, key: str | None) -> dict[str, Any]:
    folder = mill.loaded.path.parent
    return {
        "files": {task.name: digest_file(resolve_path(task.file, folder)) for task in mill.project.evaluation.tasks}
    }


def _make_sets(mill: Mill, action: Action) -> Made:
    folder, evaluation = mill.loaded.path.parent, mill.project.evaluation
    files = {}
    texts = [ITEM_SCHEMA.empty_table()]
    for task in evaluation.tasks:
        items = read_items(resolve_path(task.file, folder), task, evaluation.seed)
        texts.append(item_texts(task.name, items))
        lines = [json.dumps(asdict(item), ensure_ascii=False, sort_keys=True) + "\n" for item in items]
        files[f"items/{task.name}"] = store_bytes(mill.store, "".join(lines).encode())
    ngrams = evaluation_ngrams(pa.concat_tables(texts), mill.project.corpus.contamination)
    files |= {role: store_table(mill.store, table) for role, table in ngrams.tables.items()}
    sizes = {f"items/{task.name}": len(table) for task, table in zip(evaluation.tasks, texts[1:], strict=True)}
    check = CheckRecord(
        name="not_empty", passed=all(sizes.values()), description=SET_CHECKS["not_empty"], values={**sizes}
    )
    uncheckable = sum(value == "uncheckable" for value in ngrams.tables["items"]["check"].to_pylist())
    return [Part(name="00000", files=files)], [check], {**sizes, "uncheckable_items": uncheckable}
