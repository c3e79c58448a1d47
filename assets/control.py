"""The control: a round trained once more without replay, to show the forgetting that replay reduces.

Same plan, parent, budget and seed; only the replay share is 0. It is made by a command and kept in the store under
`<lane>/control_*`, beside the round, and is no asset of the graph: nobody trains it by accident.
"""

from collections.abc import Iterator

from assets.evaluation import reports
from assets.graph import all_recipes
from assets.model import checkpoint
from assets.model.lineage import plan_of
from assets.model.plans import publish_plan
from assets.recipe import Made, Recipe, Scope, joined, produce
from assets.tokens import mixture
from pipelines.core.errors import UnknownNameError
from pipelines.evaluation.reports.data import ComparisonReport, from_json
from pipelines.model.plans.plan import PLAN
from resources.mill import Mill
from resources.stages import Action


def _control_plan(lane: str) -> Recipe:
    def make(mill: Mill, action: Action) -> Made:
        plan = plan_of(action.inputs["plan"])
        return publish_plan(mill, plan.model_copy(update={"mixture": plan.mixture.model_copy(update={"replay": 0.0})}))

    return Recipe(
        asset=f"{lane}/control_plan",
        group="model/plans",
        description="A round's plan without replay.",
        kinds=frozenset({"json"}),
        scope=Scope.ROUNDS,
        inputs={"plan": f"{lane}/continued_plan"},
        algorithms=(PLAN,),
        make=make,
    )


def run_control(mill: Mill, lane: str, key: str) -> Iterator[str]:
    """Train and evaluate the control of a round; lines that compare it with the round."""
    if lane not in mill.project.lanes:
        raise UnknownNameError(f"there is no lane {lane!r}; lanes: {', '.join(mill.project.lanes)}")
    round_report = mill.get(f"{lane}/continued_report", key)
    recipes = [
        _control_plan(lane),
        *mixture.recipes(mill.project, lane, "control"),
        *checkpoint.recipes(mill.project, lane, "control"),
        *reports.recipes(mill.project, lane, "control"),
    ]
    for recipe in joined(recipes, beside=all_recipes(mill.project)).values():
        artifact, _, _ = produce(mill, recipe, key)
    control = from_json(ComparisonReport, artifact.bytes_of("data"))
    with_replay = {item.domain: item for item in from_json(ComparisonReport, round_report.bytes_of("data")).domains}
    yield f"{lane} {key}: change of bits per byte against its parent (negative is better)"
    yield f"{'domain':<16}{'role':<6}{'with replay':>14}{'without':>12}   verdicts"
    for item in control.domains:
        mine = with_replay[item.domain]
        yield (
            f"{item.domain:<16}{item.role or '-':<6}{_number(mine.delta.value):>14}{_number(item.delta.value):>12}   "
            f"{mine.verdict} / {item.verdict}"
        )
    before = _mean([with_replay[item.domain].delta.value for item in control.domains if item.role == "old"])
    after = _mean([item.delta.value for item in control.domains if item.role == "old"])
    if before is not None and after is not None:
        yield f"old domains, mean: {before:+.4f} with replay, {after:+.4f} without: replay saves {after - before:.4f}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:+.4f}"


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
