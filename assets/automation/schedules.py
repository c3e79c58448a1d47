"""Schedules. Continued pretraining is proposed nightly; the schedule ships stopped, because a round costs hours."""

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from pipelines.project import Project

Job = dg.JobDefinition | UnresolvedAssetJobDefinition


def build_schedules(project: Project, jobs: dict[str, Job]) -> list[dg.ScheduleDefinition]:
    """One schedule a lane: propose a round every night at two."""
    return [
        dg.ScheduleDefinition(
            name=f"{lane}_rounds",
            job=jobs[f"propose_{lane}_round"],
            cron_schedule="0 2 * * *",
            default_status=dg.DefaultScheduleStatus.STOPPED,
            description=f"Nightly: propose a round of {lane}; `{lane}_launch` starts it when the proposal says go.",
        )
        for lane in project.lanes
    ]
