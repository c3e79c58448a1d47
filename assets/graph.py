"""The graph: recipes of every chapter, with their partitions, edges and conditions, as Dagster assets."""

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

import dagster as dg

from assets.automation import partitions
from assets.automation.conditions import corpus_condition
from assets.corpus import (
    acquisition,
    cleaning,
    decontamination,
    dedup,
    extraction,
    filters,
    models,
    privacy,
    source_cards,
)
from assets.evaluation import batch_report, corpus_report, reports
from assets.model import checkpoint, plans
from assets.recipe import Recipe, Scope, asset_of, joined
from assets.tokens import arrays, mixture, snapshot, tokenizer
from pipelines.project import Project

SLOW = ("evaluation_sets", "removal_requests")


@dataclass(frozen=True)
class Graph:
    """Recipes by asset name, in topological order, and the Dagster assets made of them."""

    recipes: dict[str, Recipe]
    assets: Sequence[dg.AssetsDefinition]
    external: Sequence[dg.AssetSpec]
    models: frozenset[str] = frozenset()

    def named(self, *names: str) -> dg.AssetSelection:
        return dg.AssetSelection.assets(*(self.recipes[name].key for name in names))

    def lineage_page(self) -> str:
        """Path of the UI's lineage with every group open; by itself the page opens with all of them closed."""
        leaves = {recipe.group for recipe in self.recipes.values()}
        groups = sorted(leaves | {group.partition("/")[0] for group in leaves})
        return "asset-groups?expanded=" + ",".join(quote(f"global@global:{group}", safe="") for group in groups)

    def batch_assets(self) -> list[str]:
        return [name for name, recipe in self.recipes.items() if recipe.scope is Scope.BATCHES]

    def model_assets(self) -> list[str]:
        """What is trained on the corpus to judge it, in an order that it can be made in."""
        return [name for name in self.recipes if name in self.models]

    def weights_of(self, lane: str) -> Recipe:
        return self.recipes[f"{lane}/mixture_weights"]

    def release_of(self, lane: str) -> Recipe:
        return self.recipes[f"{lane}/released_checkpoint"]

    def proposal_of(self, lane: str) -> Recipe:
        return self.recipes[f"{lane}/round_proposal"]


def all_recipes(project: Project) -> dict[str, Recipe]:
    """Every recipe of a project, in topological order."""
    recipes = [
        *decontamination.set_recipes(project),
        *privacy.request_recipes(project),
        *source_cards.recipes(project),
        *acquisition.recipes(project),
        *extraction.recipes(project),
        *models.recipes(project),
        *filters.recipes(project),
        *dedup.recipes(project),
        *privacy.recipes(project),
        *decontamination.recipes(project),
        *cleaning.recipes(project),
        *tokenizer.recipes(project),
        *arrays.recipes(project),
        *batch_report.recipes(project),
        *snapshot.recipes(project),
        *corpus_report.recipes(project),
    ]
    for lane in project.lanes:
        recipes += [
            *mixture.weights_recipes(project, lane),
            *plans.base_recipes(project, lane),
            *([] if project.lanes[lane].imported else mixture.recipes(project, lane, "base")),
            *checkpoint.recipes(project, lane, "base"),
            *reports.recipes(project, lane, "base"),
            *checkpoint.release_recipes(project, lane),
            *plans.proposal_recipes(project, lane),
            *plans.round_recipes(project, lane),
            *mixture.recipes(project, lane, "continued"),
            *checkpoint.recipes(project, lane, "continued"),
            *reports.recipes(project, lane, "continued"),
        ]
    return joined(recipes)


def build_graph(project: Project) -> Graph:
    """Assets of every recipe; partitions by scope, mappings where an edge crosses scopes."""
    recipes = all_recipes(project)
    batches = partitions.batches(project)
    trained = (*project.corpus.models.assets(), *(f"{name}/tokenizer" for name in project.tokenizers))
    slow = [recipes[name].key for name in (*SLOW, *trained)]
    assets = []
    for recipe in recipes.values():
        lane = recipe.asset.split("/")[0]
        definition: dg.PartitionsDefinition | None = None
        condition: dg.AutomationCondition[dg.AssetKey | dg.AssetCheckKey] | None = None
        if recipe.scope is Scope.BATCHES:
            definition, condition = batches, corpus_condition(slow)
        elif recipe.scope is Scope.ROUNDS:
            definition = partitions.rounds(project, lane)
        mappings = {asset: _mapping(project, recipe, recipes[asset]) for asset in recipe.inputs.values()}
        assets.append(asset_of(recipe, project, definition, mappings, condition))
    external = [
        dg.AssetSpec(
            dg.AssetKey([lane, "training_progress"]),
            group_name="model/checkpoint",
            kinds={"pytorch"},
            owners=project.owners,
            description="Live curve of the running training: loss, learning rate and tokens a second, every 15 s.",
        )
        for lane in project.lanes
    ]
    return Graph(recipes, assets, external, frozenset(project.corpus.models.assets()))


def _mapping(project: Project, recipe: Recipe, upstream: Recipe) -> dg.PartitionMapping | None:
    """How an edge maps partitions; None where both ends have the same."""
    if upstream.scope is recipe.scope or upstream.scope is Scope.ONCE:
        return None
    if recipe.batches:
        return dg.SpecificPartitionsPartitionMapping(list(recipe.batches))
    if upstream.scope is Scope.ROUNDS:
        return dg.LastPartitionMapping()
    return dg.AllPartitionMapping()
