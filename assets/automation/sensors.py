"""Sensors. The corpus keeps itself current; training waits for a person.

`arrivals` seals batches and adds their keys. `corpus` is the declarative automation of everything by batch.
`snapshots` is the debounce: it takes a snapshot once every sealed batch is settled (done, or given up), so a burst of
arrivals gives one snapshot and one bad batch delays it by three attempts at most. `releases` names the checkpoint that
the next round starts from, `proposals` decides on that round. `retry_failed` asks again for failed keys. `reap` fails
runs whose process is gone. `<lane>_launch` spends training time and ships stopped.
"""

from collections.abc import Iterator

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from assets.automation import partitions
from assets.automation.arrivals import seal_arrivals, unusable_folders
from assets.automation.attempts import failed_keys, failures_of, next_attempt, reason_of, trains
from assets.automation.due import due
from assets.automation.jobs import TRAINING_TAG
from assets.automation.reaping import reap_dead_runs
from assets.automation.settling import bound_rounds, give_up, snapshot_due, waits_for
from assets.graph import Graph
from pipelines.project import Project
from resources.mill import current_home, open_mill

Job = dg.JobDefinition | UnresolvedAssetJobDefinition
RUNNING, STOPPED = dg.DefaultSensorStatus.RUNNING, dg.DefaultSensorStatus.STOPPED

EDITED = dg.SkipReason("the project file was edited: reload the code location, then what is due is asked for")


def build_sensors(project: Project, graph: Graph, jobs: dict[str, Job]) -> list[dg.SensorDefinition]:
    """Every sensor of a project."""
    batches = partitions.batches(project)

    @dg.sensor(
        name="arrivals",
        default_status=RUNNING,
        minimum_interval_seconds=15,
        description="Seals what has arrived, in its order, and adds its key. `corpus` does the rest.",
    )
    def arrivals(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        """Seal what has arrived and add its key; the corpus sensor does the rest."""
        mill = open_mill(current_home())
        for folder in unusable_folders(mill):
            context.log.warning(f"inbox folder {folder} cannot name a batch and is never read; rename it")
        for key, reason in seal_arrivals(mill).refused.items():
            context.log.warning(f"{key} is not sealed: {reason}")
        present = set(context.instance.get_dynamic_partitions(batches.name or ""))
        fresh = [key for key in mill.sealed() if key not in present]
        return dg.SensorResult(dynamic_partitions_requests=[batches.build_add_request(fresh)] if fresh else [])

    corpus = dg.AutomationConditionSensorDefinition(
        "corpus",
        target=graph.named(*graph.batch_assets()),
        default_status=RUNNING,
        minimum_interval_seconds=15,
        emit_backfills=False,
        description="One run for each key whose inputs are new, with everything by batch in it.",
    )

    @dg.sensor(
        name="snapshots",
        jobs=[jobs["take_snapshot"]],
        default_status=RUNNING,
        minimum_interval_seconds=30,
        description="Takes a snapshot, with the lanes' weights, once every sealed batch is there or given up.",
    )
    def snapshots(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        """One snapshot for a burst of arrivals; a snapshot whose report or weights were not made is taken up again."""
        mill = open_mill(current_home())
        if mill.loaded.changed_on_disk():
            return EDITED
        wanted, reason = snapshot_due(mill)
        if wanted is None and mill.store.latest("corpus_snapshot") is not None:
            after = [graph.recipes["corpus_report"], *(graph.weights_of(lane) for lane in project.lanes)]
            wanted = next((name for recipe in after if (name := due(mill, recipe))), None)
        run_key = next_attempt(context.instance, f"snapshot-{wanted}") if wanted else None
        if run_key is not None:
            return dg.RunRequest(run_key=run_key, job_name="take_snapshot")
        return dg.SkipReason("the snapshot was asked for; see its run" if wanted else reason)

    @dg.sensor(
        name="releases",
        jobs=[jobs[f"release_{lane}"] for lane in project.lanes],
        default_status=RUNNING,
        minimum_interval_seconds=30,
        description="Names the newest checkpoint that passed its gates, when a lane has a new report.",
    )
    def releases(context: dg.SensorEvaluationContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
        """A lane in training releases at the end of its own run, or here when that run has ended."""
        mill = open_mill(current_home())
        if mill.loaded.changed_on_disk():
            yield EDITED
            return
        for lane in project.lanes:
            wanted = due(mill, graph.release_of(lane))
            if wanted is None or trains(context.instance, lane):
                continue
            run_key = next_attempt(context.instance, f"release-{lane}-{wanted}")
            if run_key is not None:
                yield dg.RunRequest(run_key=run_key, job_name=f"release_{lane}")

    @dg.sensor(
        name="proposals",
        jobs=[jobs[f"propose_{lane}_round"] for lane in project.lanes],
        default_status=RUNNING,
        minimum_interval_seconds=30,
        description="Go or hold for the next round, whenever a lane has new weights or a new release; costs seconds.",
    )
    def proposals(context: dg.SensorEvaluationContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
        """Waits for what a proposal is made from: weights of the newest snapshot, the newest release."""
        mill = open_mill(current_home())
        if mill.loaded.changed_on_disk():
            yield EDITED
            return
        for lane in project.lanes:
            wanted = due(mill, graph.proposal_of(lane))
            if wanted is None or due(mill, graph.weights_of(lane)) or due(mill, graph.release_of(lane)):
                continue
            run_key = next_attempt(context.instance, f"propose-{lane}-{wanted}")
            if run_key is not None:
                yield dg.RunRequest(run_key=run_key, job_name=f"propose_{lane}_round")

    @dg.sensor(
        name="retry_failed",
        jobs=[jobs[name] for name in ("ingest_batch", "tokenize_batch") if name in jobs],
        default_status=RUNNING,
        minimum_interval_seconds=30,
        description="Asks again for failed batches. After three failures it gives up, and the snapshot names them.",
    )
    def retry_failed(context: dg.SensorEvaluationContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
        """A batch that waits for an earlier one is asked for when that one is there or given up."""
        mill = open_mill(current_home())
        if mill.loaded.changed_on_disk():
            yield EDITED
            return
        for key, failed_run in failed_keys(mill, context.instance, graph).items():
            failures = failures_of(context.instance, key)
            if failures.too_many:
                give_up(mill, key, reason_of(context.instance, key))
                continue
            if waits_for(mill, key) is not None:
                continue
            # What was requested once is not requested again by its condition: ask for what is missing.
            ingested = mill.store.latest("clean_documents", key) is not None
            yield dg.RunRequest(
                run_key=f"retry-{key}-{failed_run}",
                job_name="tokenize_batch" if ingested else "ingest_batch",
                partition_key=key,
                tags={"gristmill/batch": key},
            )

    @dg.sensor(
        name="reap",
        default_status=RUNNING,
        minimum_interval_seconds=30,
        description="Fails runs whose process is gone (a kill, a reboot) and frees what they held.",
    )
    def reap(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        """Fail runs whose process is gone and free what they held."""
        reaped = reap_dead_runs(context.instance)
        return dg.SkipReason(f"reaped {', '.join(reaped)}" if reaped else "every running run is alive")

    return [
        arrivals,
        corpus,
        snapshots,
        releases,
        proposals,
        retry_failed,
        reap,
        *(_launcher(project, lane, jobs) for lane in project.lanes),
    ]


def _launcher(project: Project, lane: str, jobs: dict[str, Job]) -> dg.SensorDefinition:
    rounds = partitions.rounds(project, lane)

    @dg.sensor(
        name=f"{lane}_launch",
        jobs=[jobs[f"train_{lane}_round"]],
        default_status=STOPPED,
        minimum_interval_seconds=30,
        description=f"Launches every round of {lane} that a proposal bound. Spends training time: starts when you do.",
    )
    def launch(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        """Add the key of the round that a proposal bound, and launch it. A user's cancel is not retried."""
        mill = open_mill(current_home())
        if mill.loaded.changed_on_disk():
            return EDITED
        waiting = bound_rounds(mill, lane)
        if not waiting:
            return dg.SkipReason("no bound round waits")
        attempts = {key: next_attempt(context.instance, f"{lane}-{key}") for key in waiting}
        return dg.SensorResult(
            run_requests=[
                dg.RunRequest(run_key=run_key, partition_key=key, tags=TRAINING_TAG)
                for key, run_key in attempts.items()
                if run_key is not None
            ],
            dynamic_partitions_requests=[rounds.build_add_request(waiting)],
        )

    return launch
