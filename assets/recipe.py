"""A recipe: one asset of the graph as data. What it is called, what it is made from, which algorithms and settings
decide it, and the function that makes it.

Everything else is derived here, once: the Dagster asset (edges, checks, code version, metadata), the action whose
digest says "has this been done?", and what `gristmill plan` compares.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from types import MappingProxyType
from typing import Any

import dagster as dg

from assets.automation.reaping import claim
from assets.presentation import metadata_of, report_page
from pipelines.core.artifacts import Artifact
from pipelines.core.documents import split_key
from pipelines.core.errors import GristmillError
from pipelines.core.fingerprint import Algorithm, digest_json
from pipelines.core.manifest import ArtifactClass, CheckRecord, Part
from pipelines.project import Project
from resources.mill import Mill, current_home, open_mill
from resources.stages import Action
from resources.store import CheckFailedError

Made = tuple[Sequence[Part], Sequence[CheckRecord], dict[str, Any]]
IN_ORDER = {"gristmill/order": "in order"}
"""Tag of a run whose launcher takes batches in their order: what is missing then did fail, and will not come."""
WAITS, WAIT_SECONDS = 12, 5
"""How long a run of the daemon waits for an earlier batch that is being made beside it: a minute. Longer, and waiting
runs would hold the queue against the very run they wait for; `retry_failed` asks for them again."""


class Scope(Enum):
    """What an asset is partitioned by."""

    BATCHES = "batches"
    ROUNDS = "rounds"
    ONCE = "once"


class NotReadyError(GristmillError, RuntimeError):
    """An earlier batch or step has to be finished first; the step is tried again later, never out of order."""


class ImmutableError(GristmillError, RuntimeError):
    """Settings of something immutable were edited."""


@dataclass(frozen=True)
class Recipe:
    """One asset. `inputs` are edges of the graph: name -> asset; `pinned` are backward references, never edges."""

    asset: str
    group: str
    description: str
    kinds: frozenset[str]
    scope: Scope
    inputs: Mapping[str, str]
    algorithms: tuple[Algorithm, ...]
    make: Callable[[Mill, Action], Made]
    config: Callable[[Project, str | None], dict[str, Any]] = lambda project, key: {}
    """The resolved identity configuration of one key (None: of the whole asset, for the code version)."""
    pinned: Callable[[Mill, str | None], dict[str, Artifact]] = lambda mill, key: {}
    facts: Callable[[Mill, str | None], dict[str, Any]] = lambda mill, key: {}
    settled: Callable[[Mill, str | None], Artifact | None] = lambda mill, key: None
    """An artifact that stands whatever the configuration says now: recorded and pinned things."""
    artifact_class: ArtifactClass = "pure"
    checks: Mapping[str, str] = field(default_factory=dict)
    """Check name -> what it proves. These block: a failure publishes nothing."""
    warnings: Mapping[str, str] = field(default_factory=dict)
    """Checks whose failure is shown and recorded, and blocks nothing."""
    immutable: bool = False
    """True for what stands under its name: changed settings are refused, a new one needs a new name."""
    tags: Mapping[str, str] = field(default_factory=dict)
    input_scopes: Mapping[str, Scope] = field(default_factory=dict)
    """What each input is partitioned by: `joined` fills it in from the inputs' own recipes."""
    batches: tuple[str, ...] = ()
    """For what is not partitioned: the batches that it reads of its partitioned inputs; none means all."""

    @property
    def key(self) -> dg.AssetKey:
        return dg.AssetKey(self.asset.split("/"))

    def action(self, mill: Mill, key: str | None) -> Action:
        """What this asset's partition asks for now. Raises `StoreError` when an input is missing."""
        inputs = {
            name: mill.get(asset, None if self.input_scopes[name] is Scope.ONCE else key)
            for name, asset in self.inputs.items()
            if self.scope is not Scope.ONCE or self.input_scopes[name] is Scope.ONCE
        }
        inputs |= self.pinned(mill, key)
        return Action(
            asset=self.asset,
            partition=key,
            algorithms=self.algorithms,
            config=self.config(mill.project, key),
            inputs=inputs,
            facts=self.facts(mill, key),
            artifact_class=self.artifact_class,
        )

    def code_version(self, project: Project) -> str:
        """Algorithm versions and the digest of the resolved configuration of every key."""
        versions = "-".join(f"{item.name}{item.version}" for item in self.algorithms)
        return f"{versions}-{digest_json(self.config(project, None))[:12]}"


def joined(recipes: Sequence[Recipe], beside: Mapping[str, Recipe] = MappingProxyType({})) -> dict[str, Recipe]:
    """Recipes by asset name, each told how its inputs are partitioned; `beside` are further ones that they may read."""
    scopes = {recipe.asset: recipe.scope for recipe in (*beside.values(), *recipes)}
    return {
        recipe.asset: replace(recipe, input_scopes={name: scopes[asset] for name, asset in recipe.inputs.items()})
        for recipe in recipes
    }


def produce(mill: Mill, recipe: Recipe, key: str | None) -> tuple[Artifact, bool, float]:
    """The artifact of one key: (artifact, computed now?, seconds)."""
    mill.refuse_stale_project()
    mill.runner.notes.clear()
    if key is not None and recipe.scope is Scope.BATCHES:
        split_key(key)
    standing = recipe.settled(mill, key)
    if standing is not None:
        if recipe.immutable and standing.manifest.config != recipe.config(mill.project, key):
            raise ImmutableError(
                f"{recipe.asset} stands under its name and was made with other settings: put them back, or give the "
                "section of the project file a new name"
            )
        return standing, False, 0.0
    action = recipe.action(mill, key)
    artifact = mill.runner.produce(action, lambda: recipe.make(mill, action))
    computed = mill.runner.computed.pop(action.digest, False)
    seconds = mill.runner.seconds.pop(action.digest, 0.0)
    if computed:
        mill.remember_seconds(recipe.asset, key, seconds)
    return artifact, computed, seconds


def asset_of(
    recipe: Recipe,
    project: Project,
    partitions: dg.PartitionsDefinition | None,
    mappings: Mapping[str, dg.PartitionMapping | None],
    condition: dg.AutomationCondition[dg.AssetKey | dg.AssetCheckKey] | None,
) -> dg.AssetsDefinition:
    """The Dagster asset of a recipe."""

    @dg.asset(
        key=recipe.key,
        deps=[
            dg.AssetDep(dg.AssetKey(asset.split("/")), partition_mapping=mappings.get(asset))
            for asset in recipe.inputs.values()
        ],
        partitions_def=partitions,
        group_name=recipe.group,
        kinds=set(recipe.kinds),
        owners=project.owners,
        description=recipe.description,
        code_version=recipe.code_version(project),
        automation_condition=condition,
        check_specs=[
            dg.AssetCheckSpec(name, asset=recipe.key, description=description, blocking=name in recipe.checks)
            for name, description in {**recipe.checks, **recipe.warnings}.items()
        ],
        op_tags=dict(recipe.tags),
        retry_policy=None,
    )
    def body(context: dg.AssetExecutionContext) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult[None]]:
        claim(context.instance, context.run)
        mill = open_mill(current_home())
        mill.runner.observe = lambda asset, values: context.log_event(
            dg.AssetObservation(asset_key=asset.split("/"), metadata=dict(values))
        )
        key = context.partition_key if context.has_partition_key else None
        try:
            artifact, computed, seconds = produce(mill, recipe, key)
        except CheckFailedError as failure:
            yield from _check_results(recipe, failure.checks)
            raise dg.Failure(description=str(failure), allow_retries=False) from failure
        except NotReadyError as wait:
            if IN_ORDER.items() <= context.run.tags.items():
                raise dg.Failure(description=str(wait), allow_retries=False) from wait
            raise dg.RetryRequested(max_retries=WAITS, seconds_to_wait=WAIT_SECONDS) from wait
        yield from _check_results(recipe, artifact.manifest.checks)
        yield dg.MaterializeResult(
            asset_key=recipe.key,
            metadata=metadata_of(
                artifact,
                computed=computed,
                seconds=seconds,
                notes=mill.runner.notes,
                report=report_page(artifact, mill.home.reports),
            ),
            data_version=dg.DataVersion(artifact.content),
        )

    return body


def _check_results(recipe: Recipe, checks: Sequence[CheckRecord]) -> Iterator[dg.AssetCheckResult]:
    """Verdicts as they were recorded. An artifact that is older than a check has none for it: that is shown as a
    warning, because an artifact is not made again for a new check, and an error would stop whatever rests on it."""
    verdicts = {check.name: check for check in checks}
    for name, description in {**recipe.checks, **recipe.warnings}.items():
        check = verdicts.get(name)
        blocking = check is not None and name in recipe.checks
        yield dg.AssetCheckResult(
            asset_key=recipe.key,
            check_name=name,
            passed=bool(check and check.passed),
            severity=dg.AssetCheckSeverity.ERROR if blocking else dg.AssetCheckSeverity.WARN,
            description=check.description if check else f"not recorded, the artifact is older than it: {description}",
            metadata=dict(check.values) if check else {},
        )
