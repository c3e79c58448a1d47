"""What the door opens on: every asset described and checked, no edge to a stub, nothing costly that starts itself."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from assets.automation import jobs, schedules, sensors
from assets.graph import Graph, build_graph
from assets.recipe import Scope
from pipelines.project_file import load_project
from resources.home import DEFAULT_PROJECT, ROOT
from tests.assets.corpus.band_project import project, write
from tests.assets.corpus.model_project import write_project


@pytest.fixture(scope="module")
def graph() -> Graph:
    return build_graph(load_project(DEFAULT_PROJECT, os.environ).project)


@pytest.fixture(scope="module")
def definitions(graph: Graph) -> dg.Definitions:
    project = load_project(DEFAULT_PROJECT, os.environ).project
    named = jobs.build_jobs(project, graph)
    return dg.Definitions(
        assets=[*graph.assets, *graph.external],
        jobs=list(named.values()),
        sensors=sensors.build_sensors(project, graph, named),
        schedules=schedules.build_schedules(project, named),
    )


def specs(graph: Graph) -> Iterator[dg.AssetSpec]:
    for asset in graph.assets:
        yield from asset.specs


def test_only_declared_external_assets_exist(definitions: dg.Definitions, graph: Graph) -> None:
    """A mistyped upstream name would silently become a stub."""
    nodes = definitions.resolve_asset_graph()
    declared = {spec.key for spec in graph.external}
    assert {key for key in nodes.get_all_asset_keys() if nodes.get(key).is_external} == declared
    assert {recipe.key for recipe in graph.recipes.values()} == nodes.materializable_asset_keys
    known = nodes.materializable_asset_keys | declared
    assert {parent for key in known for parent in nodes.get(key).parent_keys} <= known


def test_every_asset_says_what_it_is(graph: Graph) -> None:
    for spec in [*specs(graph), *graph.external]:
        name = spec.key.to_user_string()
        assert spec.description and len(spec.description) > 30, name
        assert spec.group_name and spec.group_name.count("/") == 1, f"{name}: groups are `chapter/stage`"
        assert spec.kinds, name
        assert spec.owners, name
    for spec in specs(graph):
        assert spec.code_version, spec.key


def test_no_later_chapter_leads_back_into_the_corpus(graph: Graph) -> None:
    """Or the lineage page, which opens with its groups collapsed, would show a ring."""
    for name, recipe in graph.recipes.items():
        if recipe.group.startswith("corpus/"):
            assert all(graph.recipes[asset].group.startswith("corpus/") for asset in recipe.inputs.values()), name


def test_every_asset_has_checks_and_the_laws_block(graph: Graph) -> None:
    for name, recipe in graph.recipes.items():
        assert recipe.checks or recipe.warnings, f"{name} has no check"
    for asset in graph.assets:
        recipe = next(item for item in graph.recipes.values() if item.key == asset.key)
        blocking = {spec.name: spec.blocking for spec in asset.check_specs}
        assert blocking == dict.fromkeys(recipe.checks, True) | dict.fromkeys(recipe.warnings, False)
    for name in ("crawled_text", "filtered_documents", "deduplicated_documents", "clean_documents"):
        assert "conserved" in graph.recipes[name].checks


def test_partitions_follow_the_scope(graph: Graph) -> None:
    names = {Scope.BATCHES: {"spine.batches"}, Scope.ROUNDS: {"spine.nano.rounds"}}
    for asset in graph.assets:
        recipe = next(item for item in graph.recipes.values() if item.key == asset.key)
        definition = asset.partitions_def
        if recipe.scope is Scope.ONCE:
            assert definition is None
        else:
            assert isinstance(definition, dg.DynamicPartitionsDefinition)
            assert definition.name in names[recipe.scope]


def test_only_what_is_made_by_batch_is_made_by_itself(graph: Graph) -> None:
    conditions = {
        spec.key.to_user_string(): spec.automation_condition is not None for spec in [*specs(graph), *graph.external]
    }
    batches = set(graph.batch_assets())
    assert {name for name, has in conditions.items() if has} == batches


def test_no_asset_waits_in_a_pool(graph: Graph) -> None:
    """A killed step would keep its slot: exclusion is a lock of the store."""
    for asset in graph.assets:
        assert asset.op.pool is None
        assert not any("concurrency" in tag for tag in asset.op.tags)


def test_what_costs_training_time_ships_stopped(definitions: dg.Definitions) -> None:
    repository = definitions.get_repository_def()
    status = {sensor.name: sensor.default_status for sensor in repository.sensor_defs}
    stopped = {name for name, value in status.items() if value is dg.DefaultSensorStatus.STOPPED}
    assert stopped == {"nano_launch"}
    assert set(status) - stopped == {
        "arrivals", "corpus", "snapshots", "releases", "proposals", "retry_failed", "reap",
    }  # fmt: skip
    assert {schedule.name for schedule in repository.schedule_defs} == {"nano_rounds"}
    assert all(item.default_status is dg.DefaultScheduleStatus.STOPPED for item in repository.schedule_defs)
    trainers = {
        sensor.name for sensor in repository.sensor_defs for job in _targets(sensor) if job.startswith("train_")
    }
    assert trainers == {"nano_launch"}


def _targets(sensor: dg.SensorDefinition) -> list[str]:
    return [
        target.job_name for target in sensor.targets if not isinstance(sensor, dg.AutomationConditionSensorDefinition)
    ]


def test_every_sensor_schedule_and_job_has_a_description(definitions: dg.Definitions) -> None:
    repository = definitions.get_repository_def()
    for item in (*repository.sensor_defs, *repository.schedule_defs):
        assert item.description, item.name
    for name in repository.job_names:
        if not name.startswith("__"):
            assert repository.get_job(name).description, name


def test_jobs_are_named_by_intent(definitions: dg.Definitions) -> None:
    names = {name for name in definitions.get_repository_def().job_names if not name.startswith("__")}
    assert names == {
        "prepare_requests", "ingest_batch", "train_tokenizers", "tokenize_batch", "take_snapshot", "apply_project",
        "train_nano_base", "propose_nano_round", "train_nano_round", "release_nano",
    }  # fmt: skip


def test_the_door_names_a_mistake_of_the_project_file(tmp_path: Path) -> None:
    """Dagster shows this error when the code location does not load."""
    broken = tmp_path / "project.yaml"
    broken.write_text(DEFAULT_PROJECT.read_text().replace("min_new_tokens", "min_new_tokenz", 1))
    line = next(n for n, text in enumerate(broken.read_text().splitlines(), start=1) if "min_new_tokenz" in text)
    loaded = subprocess.run(
        [sys.executable, "-c", "import assets.definitions"],
        env={**os.environ, "GRISTMILL_HOME": str(tmp_path / "home"), "GRISTMILL_PROJECT": str(broken)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    last = loaded.stderr.strip().splitlines()[-1]
    assert f"{broken}:{line}: " in last
    assert "min_new_tokenz" in last and "did you mean 'min_new_tokens'?" in last


def test_every_algorithm_of_the_library_is_part_of_an_identity(graph: Graph, tmp_path: Path) -> None:
    """A version that no action names could be raised without anything being recomputed."""
    shared = Path(ROOT / "assets" / "projects" / "shared.yaml")
    imported = build_graph(load_project(shared, {"GRISTMILL_SHARED_DATA": "/nowhere"}).project)
    models = build_graph(load_project(write_project(tmp_path), {}).project)
    bands = build_graph(load_project(write(tmp_path, project()), {}).project)
    recipes = [recipe for each in (graph, imported, models, bands) for recipe in each.recipes.values()]
    named = {algorithm.name for recipe in recipes for algorithm in recipe.algorithms}
    declared = {
        found[1]
        for path in sorted((ROOT / "pipelines").rglob("*.py"))
        for found in re.finditer(r'^[A-Z_]+(?:: Final)? = Algorithm\("([^"]+)"', path.read_text("utf-8"), re.M)
    }
    assert len(declared) > 20
    # A crawl is recorded, and its files name their writer themselves; metadata's version is in the settings of the
    # sources that declare it (tests/assets/corpus), as those of normalization's operations are.
    assert declared - named == {"warc_writer", "metadata_columns"}
