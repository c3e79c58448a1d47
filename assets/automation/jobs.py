"""Jobs named by intent. The UI launches them; `gristmill run`, sensors and schedules use the same ones."""

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from assets.automation.reaping import claim
from assets.graph import Graph
from pipelines.project import Project

TRAINING_TAG = {"gristmill/training": "yes"}
ROUND_ASSETS = ("continued_plan", "continued_mixture", "continued_checkpoint", "continued_report")
BASE_ASSETS = ("base_plan", "base_mixture", "base_checkpoint", "base_report", "released_checkpoint")


def build_jobs(project: Project, graph: Graph) -> dict[str, dg.JobDefinition | UnresolvedAssetJobDefinition]:
    """Every job by name."""
    reports = ["batch_report"]
    arrays = [f"{name}/token_arrays" for name in project.tokenizers]
    corpus = [name for name in graph.batch_assets() if name not in (arrays and [*arrays, *reports])]
    weights = [f"{lane}/mixture_weights" for lane in project.lanes]
    jobs: dict[str, dg.JobDefinition | UnresolvedAssetJobDefinition] = {}

    def add(name: str, assets: list[str], description: str, **settings: object) -> None:
        jobs[name] = dg.define_asset_job(
            name,
            selection=graph.named(*assets),
            description=description,
            executor_def=dg.in_process_executor,
            **settings,  # type: ignore[arg-type]
        )

    declared = ["source_cards", "evaluation_sets", "removal_requests"]
    add("prepare_requests", declared, "Read the declared source cards, benchmarks and takedowns.")
    if graph.models:
        add("train_models", graph.model_assets(), "Train what judges documents: classifiers, topics, language models.")
    add("ingest_batch", corpus, "Take one batch from its source to clean documents.")
    if arrays:
        add("train_tokenizers", [f"{name}/tokenizer" for name in project.tokenizers], "Train or import the tokenizers.")
        add("tokenize_batch", [*arrays, *reports], "Token arrays of one batch, and the report of what became of it.")
    add(
        "take_snapshot",
        ["corpus_snapshot", "corpus_report", *weights],
        "Name and report the corpus, and weigh the lanes' mixtures.",
    )
    for lane in project.lanes:
        add(
            f"train_{lane}_base",
            [name for part in BASE_ASSETS if (name := f"{lane}/{part}") in graph.recipes],
            f"Pretrain the base of {lane} on the newest complete snapshot, evaluate and release it.",
            tags=TRAINING_TAG,
        )
        add(
            f"propose_{lane}_round",
            [f"{lane}/round_proposal"],
            f"Go or hold for the next round of {lane}, with the estimate.",
        )
        add(
            f"train_{lane}_round",
            [f"{lane}/{name}" for name in ROUND_ASSETS],
            f"Run one bound round of {lane}: plan, mixture, checkpoint, report.",
            tags=TRAINING_TAG,
        )
        add(
            f"release_{lane}",
            [f"{lane}/released_checkpoint"],
            f"Name the newest checkpoint of {lane} that passed every gate.",
        )
    jobs["apply_project"] = apply_project
    return jobs


@dg.op
def apply_edit(context: dg.OpExecutionContext) -> None:
    """Recompute exactly the keys that the edit of the project file touches."""
    from assets.running import Runner

    claim(context.instance, context.run)
    runner = Runner.of_instance(context.instance)
    keys = runner.apply_project(tell=context.log.info)
    context.log.info(f"applied the project file: {len(keys)} steps materialized")
    if runner.failures:
        raise dg.Failure(description="; ".join(runner.failures), allow_retries=False)


@dg.job(
    description="After an edit of the project file and a reload: recompute what it changes, oldest batch first. "
    "`gristmill plan` shows the list and its cost beforehand.",
    executor_def=dg.in_process_executor,
)
def apply_project() -> None:
    apply_edit()
