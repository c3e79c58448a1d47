"""Schedules. Continued pretraining is proposed by the clock; they ship stopped, because a round costs hours."""

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from pipelines.project import Project

Job = dg.JobDefinition | UnresolvedAssetJobDefinition


def build_schedules(project: Project, jobs: dict[str, Job]) -> list[dg.ScheduleDefinition]:
    """One schedule a lane: propose a round when its `rounds.schedule_at` says, every night at two by default."""
    return [
        dg.ScheduleDefinition(
            name=f"{lane}_rounds",
            job=jobs[f"propose_{lane}_round"],
            cron_schedule=settings.rounds.schedule_at,
            default_status=dg.DefaultScheduleStatus.STOPPED,
            description=f"Proposes a round of {lane}; the sensor {lane}_launch starts it when the proposal says go.",
        )
        for lane, settings in project.lanes.items()
    ]
