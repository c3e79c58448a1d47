"""When an asset is requested by itself.

`eager()` ignores data versions, so an upstream that was recomputed to equal rows would recompute everything below. The
condition of a corpus asset: its key is new, or an upstream's data version changed or will be requested in this tick;
every upstream is there and none is running. One new batch then gives one run of its key and none of any other.
Slow-changing inputs (tokenizer, benchmarks, removals) are edges that automation ignores: `apply_project` brings their
change to exactly the keys that it touches.
"""

import dagster as dg


def corpus_condition(slow: list[dg.AssetKey]) -> dg.AutomationCondition[dg.AssetKey | dg.AssetCheckKey]:
    """The condition of an asset that is partitioned by batches; `slow` edges must exist and trigger nothing."""
    # A tick reads the newest materializations first and who is in progress last. A run that ends between the two looks
    # like a change of its own upstream: what changed in a run that had this asset in it is no news.
    elsewhere = dg.AutomationCondition.data_version_changed() & ~dg.AutomationCondition.executed_with_root_target()
    changed = dg.AutomationCondition.any_deps_match(elsewhere | dg.AutomationCondition.will_be_requested())
    if slow:
        changed = changed.ignore(dg.AssetSelection.assets(*slow))
    # `since_last_handled` also forgets at a daemon's first tick: a key that was sealed before it would never be made.
    handled = dg.AutomationCondition.newly_requested() | dg.AutomationCondition.newly_updated()
    return (
        (dg.AutomationCondition.newly_missing() | changed).since(handled)
        & ~dg.AutomationCondition.any_deps_missing()
        & ~dg.AutomationCondition.any_deps_in_progress()
        & ~dg.AutomationCondition.in_progress()
    )
