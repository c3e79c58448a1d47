"""What a person meets in the UI: nothing that starts by itself, a mistake told in full, pages with facts."""

import shutil
import time
import unicodedata
from pathlib import Path

import dagster as dg
import pytest

from tests.end_to_end.conftest import FinishedRun
from tests.end_to_end.served import serve
from tests.end_to_end.small_project import write_project

PAGE = """query($key: AssetKeyInput!) { assetNodeOrError(assetKey: $key) { ... on AssetNode {
  description groupName kinds owners { ... on TeamAssetOwner { team } }
  assetMaterializations(limit: 1) { metadataEntries { __typename label
    ... on IntMetadataEntry { intValue } ... on FloatMetadataEntry { floatValue } ... on UrlMetadataEntry { url }
    ... on TableMetadataEntry { table { records } } } } } } }"""


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_two_minutes_of_an_idle_ui_launch_no_run(small_run: FinishedRun, tmp_path: Path) -> None:
    shutil.copytree(small_run.home, tmp_path / "home", symlinks=True)
    shutil.copytree(small_run.project.parent, tmp_path / "project")
    with serve(tmp_path / "home", tmp_path / "project" / small_run.project.name) as served:
        before = [run.id for run in served.runs()]
        assert before
        time.sleep(120)
        assert [run.id for run in served.runs()] == before
        log = served.log.read_text(errors="replace")
        for sensor in ("arrivals", "snapshots", "releases", "proposals", "retry_failed", "reap"):
            assert log.count(f"Checking for new runs for sensor: {sensor}") >= 3, f"{sensor} did look"
        assert "Launching run" not in log
        assert "Traceback" not in log


def test_a_typo_in_the_project_file_is_the_error_of_the_code_location(tmp_path: Path) -> None:
    project = write_project(tmp_path / "project")
    project.write_text(project.read_text().replace("min_new_tokens", "min_new_tokenz", 1))
    line = next(n for n, text in enumerate(project.read_text().splitlines(), start=1) if "min_new_tokenz" in text)
    with serve(tmp_path / "home", project, loaded=False) as served:
        shown = served.location()["locationOrLoadError"]
    assert shown["__typename"] == "PythonError"
    told = "".join(link["error"]["message"] for link in shown["errorChain"])
    assert f"{project}:{line}: " in told
    assert "min_new_tokenz" in told and "did you mean 'min_new_tokens'?" in told


def test_pages_show_numbers_that_plot_samples_and_links(small_run: FinishedRun) -> None:
    with dg.DagsterInstance.from_config(str(small_run.home / "dagster")) as instance:
        shown = {}
        for key in instance.all_asset_keys():
            records = instance.fetch_materializations(key, limit=1).records
            if key.path[-1] == "training_progress":
                assert not records, "an external asset: it is observed, never materialized"
                continue
            assert records[0].asset_materialization is not None
            shown["/".join(key.path)] = records[0].asset_materialization.metadata
    for asset, metadata in shown.items():
        for name in ("computed", "seconds", "parts", "dagster/size_bytes"):
            assert isinstance(metadata[name], dg.IntMetadataValue | dg.FloatMetadataValue), f"{asset}: {name}"
        numbers = [value.value for value in metadata.values() if isinstance(value, dg.FloatMetadataValue)]
        assert all(number == number for number in numbers), f"{asset}: a NaN does not plot"
        texts = [value.value or "" for value in metadata.values() if isinstance(value, dg.TextMetadataValue)]
        assert all(len(text) < 1000 for text in texts), asset
    for asset in ("crawled_text", "quality_signals", "clean_documents", "corpus_snapshot", "tiny/base_checkpoint"):
        sample = shown[asset]["sample"]
        assert isinstance(sample, dg.TableMetadataValue), asset
        assert sample.records, asset
        for record in sample.records:
            for value in record.data.values():
                wide = sum(2 if unicodedata.east_asian_width(letter) in "FW" else 1 for letter in str(value))
                assert wide <= 162, f"{asset}: a table that is wider than the page squeezes its columns"
                assert not isinstance(value, float) or value == float(f"{value:.6g}"), "digits that nobody reads"
    assert set(shown["clean_documents"]["sample"].records[0].data) == {"id", "language", "text"}
    for asset in ("tiny/base_report", "tiny/continued_report"):
        page = shown[asset]["report"]
        assert isinstance(page, dg.PathMetadataValue)
        assert page.path is not None and "<html" in Path(page.path).read_text("utf-8")
