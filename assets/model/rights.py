"""What a lane may train on: the licences of a plan's sources against those that the lane permits.

The cards are read from the project file at the moment of the question, three times: when a plan is published (a check
that blocks), when a round is proposed (a hold), and last before training starts, because a plan stands under its name
while the cards and the lane's list may have been edited since.
"""

from pipelines.core.errors import GristmillError
from pipelines.core.manifest import CheckRecord
from pipelines.model.plans.plan import Plan
from pipelines.project import Project

LICENSED = {"licensed": "every source of the plan has a licence that the lane permits"}


class LicenceRefusedError(GristmillError, PermissionError):
    """A training run would read a source whose licence its lane does not permit."""


def licensed_check(project: Project, plan: Plan) -> CheckRecord:
    """Whether the lane may train on every source of the plan; an imported checkpoint's plan has none."""
    refused = project.unlicensed_sources(plan.lane, (part.source for part in plan.parts))
    return CheckRecord(
        name="licensed",
        passed=not refused,
        description=LICENSED["licensed"] + (f"; {refusal(plan.lane, refused)}" if refused else ""),
        values={"sources": len({part.source for part in plan.parts}), "refused": len(refused)},
    )


def refusal(lane: str, refused: dict[str, str]) -> str:
    """Which sources a lane may not train on, and what to do."""
    named = ", ".join(f"{name} ({licence})" for name, licence in refused.items())
    return (
        f"not permitted: {named}: add the licence to `licences` of the lane {lane}, leave the source out with "
        "`exclude`, or correct its card"
    )


def refuse_unlicensed(project: Project, plan: Plan, asset: str) -> None:
    """Raise `LicenceRefusedError` for a plan that the lane may not train on as the project file is now."""
    check = licensed_check(project, plan)
    if not check.passed:
        raise LicenceRefusedError(f"{asset}: {check.description}")
