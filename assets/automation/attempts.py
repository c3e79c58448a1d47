"""Failed runs: what they say about a batch, how often to ask again, and giving up.

Dagster never requests a failed key again by itself, and a sensor's run key dedupes for ever, failed runs included. A
key counts as failed when its newest run failed (a cancel is the user's decision and is left alone). A run that was
killed, or ended for a reason outside its batch (an earlier batch is missing, the disk is full), says nothing about it.
After three failures of its own the batch is given up: a ledger entry names the reason, the dedup chain skips it and the
snapshot lists it as absent. A later success makes it present again. A batch whose runs are killed time and again (for
memory, most often) is given up too, after ten.
"""

import re
from enum import Enum
from typing import NamedTuple

import dagster as dg
from dagster._core.storage.dagster_run import FINISHED_STATUSES, RunsFilter
from dagster._core.storage.tags import PARTITION_NAME_TAG, RUN_KEY_TAG
from dagster_shared.error import SerializableErrorInfo

from assets.automation.settling import given_up
from assets.graph import Graph
from resources.mill import Mill

MAX_ATTEMPTS = 3
MAX_KILLS = 10
RUNS_LOOKED_AT = 50
INTERRUPTED = "DagsterExecutionInterruptedError"
"""What Dagster makes of Ctrl-C and of SIGTERM; it has no message."""
OUR_NAME = re.compile(r"^(?:pipelines|resources|assets)(?:\.\w+)+: ")
"""What Dagster puts before the message of one of our own errors."""
STOPPING = frozenset({"StoreFullError", "ReloadNeededError", INTERRUPTED})
"""Names of errors that are no fault of a batch and that every other step would meet too."""
OUTSIDE = STOPPING | {"NotReadyError"}
"""Names of errors that are no fault of the batch whose run ended with them."""


class Ending(Enum):
    """How a failed run came to its end."""

    OWN = "a step failed"
    OUTSIDE = "what stopped it has nothing to do with its batch"
    KILLED = "it was killed"


class Failures(NamedTuple):
    """Failed runs of a key since its newest success."""

    own: int
    killed: int

    @property
    def too_many(self) -> bool:
        return self.own >= MAX_ATTEMPTS or self.killed >= MAX_KILLS


def ending(instance: dg.DagsterInstance, run: dg.DagsterRun) -> Ending:
    """How a run that Dagster calls failed really ended, from its own events."""
    errors = [event.step_failure_data.error for event in _step_failures(instance, run)]
    if not errors:
        return Ending.KILLED
    return Ending.OUTSIDE if all(_is_outside(error) for error in errors) else Ending.OWN


def _is_outside(error: SerializableErrorInfo | None) -> bool:
    while error is not None:
        if error.cls_name in OUTSIDE:
            return True
        error = error.cause
    return False


def failures_of(instance: dg.DagsterInstance, key: str) -> Failures:
    """Failed runs of a key since its newest success, by what they say."""
    endings = []
    for run in _runs(instance, key):
        if run.status is dg.DagsterRunStatus.SUCCESS:
            break
        if run.status is dg.DagsterRunStatus.FAILURE:
            endings.append(ending(instance, run))
    return Failures(endings.count(Ending.OWN), endings.count(Ending.KILLED))


def reason_of(instance: dg.DagsterInstance, key: str) -> str:
    """Why a batch is given up, for the ledger, the snapshot and people: how often it failed, and its last words."""
    own, killed = failures_of(instance, key)
    counted = f"failed {own} times" + (f" and was killed {killed} times" if killed else "")
    for run in _runs(instance, key):
        for event in _step_failures(instance, run):
            message, _ = failure_of(event)
            return f"{counted}; the last time: {event.step_key}: {message}"[:900]
    return counted


def failure_of(event: dg.DagsterEvent) -> tuple[str, set[str]]:
    """The message of a step's failure without the stack, and the names of its exceptions from the outside in.

    Of our own errors the outermost speaks, because it was written for people; of others the innermost.
    """
    data = event.step_failure_data
    if data.user_failure_data is not None and data.user_failure_data.description:
        return data.user_failure_data.description, set()
    error, kinds = data.error, set[str]()
    while error is not None:
        kinds.add(error.cls_name or "")
        if error.cls_name == INTERRUPTED:
            return "stopped by a signal; what is finished is kept, the same command goes on from there", kinds
        if error.cause is None or (error.cls_name or "") in STOPPING:
            return OUR_NAME.sub("", error.message.strip()), kinds
        error = error.cause
    return "no message; see the run in the UI", kinds


def _step_failures(instance: dg.DagsterInstance, run: dg.DagsterRun) -> list[dg.DagsterEvent]:
    records = instance.get_records_for_run(run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE).records
    events = [record.event_log_entry.dagster_event for record in records]
    return [event for event in events if event is not None]


def _runs(instance: dg.DagsterInstance, key: str) -> list[dg.DagsterRun]:
    return list(instance.get_runs(RunsFilter(tags={PARTITION_NAME_TAG: key}), limit=RUNS_LOOKED_AT))


def failed_keys(mill: Mill, instance: dg.DagsterInstance, graph: Graph) -> dict[str, str]:
    """Sealed keys whose newest run failed and whose last asset is missing, in order -> the id of that run."""
    last = graph.batch_assets()[-1]
    absent = given_up(mill)
    failed = {}
    for key in mill.sealed():
        if key in absent or mill.store.latest(last, key) is not None:
            continue
        runs = _runs(instance, key)
        if runs and runs[0].status is dg.DagsterRunStatus.FAILURE:
            failed[key] = runs[0].run_id
    return failed


def next_attempt(instance: dg.DagsterInstance, what: str) -> str | None:
    """The run key under which `what` is to be asked for now, `<what>-a<n>`.

    None while its newest attempt runs, after it succeeded or was cancelled, and after too many failures.
    """
    own = killed = number = 0
    while True:
        number += 1
        key = f"{what}-a{number}"
        runs = instance.get_runs(RunsFilter(tags={RUN_KEY_TAG: key}), limit=1)
        if not runs:
            return None if Failures(own, killed).too_many else key
        if runs[0].status is not dg.DagsterRunStatus.FAILURE:
            return None
        how = ending(instance, runs[0])
        own += how is Ending.OWN
        killed += how is Ending.KILLED


def trains(instance: dg.DagsterInstance, lane: str) -> bool:
    """Whether a training run of a lane is under way or queued."""
    waiting = [status for status in dg.DagsterRunStatus if status not in FINISHED_STATUSES]
    names = (f"train_{lane}_base", f"train_{lane}_round")
    return any(instance.get_runs(RunsFilter(job_name=name, statuses=waiting), limit=1) for name in names)
