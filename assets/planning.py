"""What an edit of the project file would recompute, and what it would cost.

Each asset's key is asked for its action under the project as it is now; an action that differs from the one behind the
current artifact is stale. Below a stale step it is not yet known whether rows change: those steps are "if rows change".
Pinned things (sealed inventories, tokenizers, base plans) stand whatever the file says.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from assets.automation.arrivals import arrived
from assets.graph import Graph
from assets.recipe import NotReadyError, Recipe, Scope
from pipelines.core.manifest import Manifest
from resources.backends import StoreError
from resources.mill import Mill
from resources.stages import Action


@dataclass(frozen=True)
class Step:
    """One step that would run."""

    asset: str
    key: str | None
    reason: str
    certain: bool
    """False when it runs only if rows of a stale upstream change."""
    bytes_in: int


def keys_of(mill: Mill, recipe: Recipe) -> list[str | None]:
    """Every key that an asset has now."""
    if recipe.scope is Scope.BATCHES:
        return list(mill.sealed())
    if recipe.scope is Scope.ROUNDS:
        return [entry["round"] for entry in mill.store.ledger(f"rounds/{recipe.asset.split('/')[0]}")]
    return [None]


def stale_steps(mill: Mill, graph: Graph) -> list[Step]:
    """Steps that would run, in topological order, keys in ordinal order."""
    steps: list[Step] = []
    touched: set[tuple[str, str | None]] = set()
    for name, recipe in graph.recipes.items():
        for key in keys_of(mill, recipe):
            step = _step(mill, recipe, key, touched)
            if step is not None:
                steps.append(step)
                touched.add((name, key))
    return steps


def _step(mill: Mill, recipe: Recipe, key: str | None, touched: set[tuple[str, str | None]]) -> Step | None:
    current = mill.store.latest(recipe.asset, key)
    if recipe.settled(mill, key) is not None:
        return None
    if current is not None:
        size = sum(
            source.manifest.bytes
            for reference in current.manifest.inputs.values()
            if (source := mill.store.latest(reference.asset, reference.partition)) is not None
        )
        above = sorted(
            {
                f"{item.asset} {item.partition or ''}".strip()
                for item in current.manifest.inputs.values()
                if (item.asset, item.partition) in touched
            }
        )
        if above:
            return Step(recipe.asset, key, f"below {', '.join(above[:3])}", False, size)
    else:
        size = 0
    try:
        action = recipe.action(mill, key)
    except (StoreError, NotReadyError) as missing:
        return Step(recipe.asset, key, str(missing), False, size)
    if current is None:
        return Step(
            recipe.asset, key, "was never made", True, sum(item.manifest.bytes for item in action.inputs.values())
        )
    if current.manifest.action == action.digest:
        return None
    return Step(recipe.asset, key, _difference(current.manifest, action), True, size)


def _difference(manifest: Manifest, action: Action) -> str:
    """In words: which algorithm, which settings, which input."""
    reasons = []
    versions = {item.name: item.version for item in action.algorithms}
    if versions != manifest.algorithms:
        reasons.append(f"algorithm {_changed(manifest.algorithms, versions)}")
    if action.config != manifest.config:
        reasons.append(f"settings {_changed(manifest.config, action.config)}")
    before = {name: item.content for name, item in manifest.inputs.items()}
    after = {name: item.content for name, item in action.inputs.items()}
    if before != after:
        reasons.append(f"input {_changed(before, after)}")
    return "; ".join(reasons) or "recorded decisions changed"


def _changed(before: Mapping[str, Any], after: Mapping[str, Any], prefix: str = "") -> str:
    names = []
    for name in sorted(set(before) | set(after)):
        old, new = before.get(name), after.get(name)
        if old == new:
            continue
        if isinstance(old, dict) and isinstance(new, dict):
            names.append(_changed(old, new, f"{prefix}{name}."))
        elif len(str(old)) < 40 and len(str(new)) < 40:
            names.append(f"{prefix}{name} {old} -> {new}")
        else:
            names.append(f"{prefix}{name}")
    return ", ".join(names)


def describe(mill: Mill, steps: list[Step]) -> list[str]:
    """The plan for people: every step with its reason, and what it reads."""
    fresh = [key for key in arrived(mill) if key not in mill.sealed()]
    lines = []
    if fresh:
        lines.append(
            f"{len(fresh)} batches are there and not sealed yet, `gristmill run` makes them: {', '.join(fresh)}"
        )
    elif not steps:
        lines.append(f"{mill.loaded.path}: everything is as the project file says; nothing would be recomputed")
    if not steps:
        return lines
    for step in steps:
        made = mill.store.latest(step.asset, step.key) is not None
        state = "recompute" if step.certain else "if rows change" if made else "then"
        seconds = mill.remembered_seconds(step.asset, step.key)
        cost = f"{step.bytes_in / 1e6:,.1f} MB in" + (f", {seconds:.1f} s last time" if seconds is not None else "")
        lines.append(f"{state:<15}{f'{step.asset} {step.key or str()}':<48} {cost}; {step.reason}")
    certain = [step for step in steps if step.certain]
    times = [mill.remembered_seconds(step.asset, step.key) for step in steps]
    known = [seconds for seconds in times if seconds is not None]
    never = len(times) - len(known)
    lines.append(
        f"{len(certain)} steps would be recomputed, {len(steps) - len(certain)} more after them or if rows change; "
        f"together at most {sum(known):.0f} s by the times of their last runs"
        + (f", and {never} steps that never ran here" if never else "")
        + ". The job apply_project (or `gristmill run`) does it."
    )
    return lines
