"""Contamination: n-grams of the declared benchmarks in each document."""

from assets.corpus.privacy import complete_check
from assets.recipe import Made, Recipe, Scope
from pipelines.corpus.decontamination import contamination
from pipelines.project import Project
from resources.mill import Mill
from resources.stages import Action, Family


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
    )
    parts = mill.runner.run_parts(action, "documents", [family])
    return parts, [complete_check(action, parts, "contamination")], {}
