"""What a run would only say again: keys whose artifacts stand in the store as the project asks for them, and in
Dagster's record with the same data version, under the same code version.

A re-emission costs Dagster a fifth of a second for each step, and a corpus has many. So the command line asks here
first: two queries for each asset, then the action of each key against the manifest behind its reference (1 ms a step).
In doubt the answer is no, and the step runs.
"""

from collections.abc import Mapping, Sequence

import dagster as dg
from dagster._core.definitions.data_version import DATA_VERSION_TAG

from assets.recipe import NotReadyError, Recipe
from resources.backends import StoreError
from resources.mill import Mill

Recorded = Mapping[str, Mapping[str, str]]
"""Asset -> partition -> data version of the newest materialization; nothing for an asset of another code version."""


def recorded(instance: dg.DagsterInstance, mill: Mill, recipes: Sequence[Recipe]) -> Recorded:
    """What Dagster has on record of assets by partition."""
    storage, kind = instance.event_log_storage, dg.DagsterEventType.ASSET_MATERIALIZATION
    codes = instance.get_latest_materialization_code_versions([recipe.key for recipe in recipes])
    found = {}
    for recipe in recipes:
        if codes.get(recipe.key) == recipe.code_version(mill.project):
            tags = storage.get_latest_tags_by_partition(recipe.key, kind, [DATA_VERSION_TAG])
            found[recipe.asset] = {key: versions.get(DATA_VERSION_TAG, "") for key, versions in tags.items()}
    return found


def stands(mill: Mill, recipe: Recipe, key: str, versions: Recorded) -> bool:
    """Whether one key of an asset is done, on record, and what the project asks for."""
    try:
        artifact = recipe.settled(mill, key)
        if artifact is None:
            artifact, wanted = mill.store.latest(recipe.asset, key), recipe.action(mill, key).digest
            if artifact is None or artifact.manifest.action != wanted:
                return False
    except (StoreError, NotReadyError):
        return False
    return versions.get(recipe.asset, {}).get(key) == artifact.content
