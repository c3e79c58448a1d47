"""What is due: an asset that daemon sensors keep current whose inputs are no longer those of its newest artifact.

Decided by content, so that a run of the command line, a run of the UI and a run of a sensor all count. An edit of the
project file makes nothing due: `apply_project` brings it.
"""

from assets.recipe import NotReadyError, Recipe
from pipelines.core.fingerprint import digest_json
from resources.backends import StoreError
from resources.mill import Mill


def due(mill: Mill, recipe: Recipe) -> str | None:
    """A name for what an unpartitioned asset is to be remade from, or None when it is current or cannot be made yet.

    The name counts the asset's versions: inputs that come back to an earlier state are asked for again.
    """
    if recipe.settled(mill, None) is not None:
        return None
    try:
        inputs = recipe.action(mill, None).inputs
    except (StoreError, NotReadyError):
        return None
    wanted = {name: artifact.content for name, artifact in inputs.items()}
    current = mill.store.latest(recipe.asset)
    if current is not None and {name: item.content for name, item in current.manifest.inputs.items()} == wanted:
        return None
    return f"{len(mill.store.references(recipe.asset, None))}-{digest_json(wanted)[:16]}"
