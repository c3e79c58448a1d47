"""Failed keys: how often they were tried, and giving up.

Dagster never requests a failed key again by itself. A key counts as failed when its newest run failed (a cancel is the
user's decision and is left alone). After three attempts the batch is given up: a ledger entry names the reason, the
dedup chain skips it and the snapshot lists it as absent. A later success makes it present again.
"""

import dagster as dg
from dagster._core.storage.dagster_run import RunsFilter
from dagster._core.storage.tags import PARTITION_NAME_TAG

from assets.automation.settling import given_up
from assets.graph import Graph
from resources.mill import Mill

MAX_ATTEMPTS = 3


def _runs(instance: dg.DagsterInstance, key: str) -> list[dg.DagsterRun]:
    return list(instance.get_runs(RunsFilter(tags={PARTITION_NAME_TAG: key}), limit=20))


def attempts_of(instance: dg.DagsterInstance, key: str) -> int:
    """Failed runs of a key since its newest success."""
    count = 0
    for run in _runs(instance, key):
        if run.status is dg.DagsterRunStatus.SUCCESS:
            break
        count += run.status is dg.DagsterRunStatus.FAILURE
    return count


def failed_keys(mill: Mill, instance: dg.DagsterInstance, graph: Graph) -> list[str]:
    """Sealed keys whose newest run failed and whose last corpus asset is missing, in order."""
    last = graph.batch_assets()[-1]
    absent = given_up(mill)
    failed = []
    for key in mill.sealed():
        if key in absent or mill.store.latest(last, key) is not None:
            continue
        runs = _runs(instance, key)
        if runs and runs[0].status is dg.DagsterRunStatus.FAILURE:
            failed.append(key)
    return failed
