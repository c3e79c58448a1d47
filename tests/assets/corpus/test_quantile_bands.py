"""Bands and bad words in a project: made once, pinned, judged after the signals that they read, explained."""

import json
from pathlib import Path
from typing import Any

import pytest

from assets.automation.arrivals import seal_arrivals
from assets.inspection import explain
from assets.recipe import ImmutableError
from pipelines.project_file import ProjectError, load_project
from resources.mill import Mill
from tests.assets.corpus.band_project import MENU, project, write
from tests.assets.corpus.test_models import make, open_project
from tests.pipelines.corpus.filters.corpus import mixture
from tests.shared_data import shared

BANNED = "这里提到赌博，也提到网上赌场。" + "".join(mixture("zh_general", 1))


def declared(**changes: object) -> dict[str, Any]:
    return project(str(shared("models/lid176/lid.176.ftz")), **changes)


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Mill:
    folder = tmp_path_factory.mktemp("bands")
    texts = [text[:2000] for text in mixture("zh_general", 400) if len(text) > 300]
    for name, rows in {"wiki": texts[:150], "web": [*texts[150:170], MENU, BANNED]}.items():
        (folder / name).mkdir()
        lines = [json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in rows]
        (folder / name / "part.jsonl").write_text("".join(lines), "utf-8")
    (folder / "bad").mkdir()
    (folder / "bad" / "zh").write_text("性\n赌博\n", "utf-8")
    write(folder, declared())
    mill = open_project(folder)
    seal_arrivals(mill)
    for key in mill.sealed():
        for asset in ("source_files", "crawled_text"):
            make(mill, asset, key)
    make(mill, "clean/quantile_bands")
    for asset in ("quality_signals", "filtered_documents"):
        make(mill, asset, "web.first")
    return mill


def test_signals_of_the_second_pass_stand_beside_the_first(made: Mill) -> None:
    signals = made.get("quality_signals", "web.first")
    assert {"statistics", "language", "keywords", "bands", "bad_words"} <= set(signals.parts[0].files)
    assert signals.manifest.inputs["model/clean"].content == made.get("clean/quantile_bands").content
    assert signals.manifest.counts["rows_in"] == signals.manifest.rows("bands") == 22
    assert len(signals.manifest.facts["bad_words.zh"]) == 64
    words = signals.whole("statistics")
    assert all(1.2 < value < 3 for value in words["mean_word_characters"].to_pylist())


def test_rules_use_them_and_a_document_is_explained(made: Mill) -> None:
    texts = made.get("crawled_text", "web.first").whole("documents", ["id", "text"]).to_pylist()
    decisions = made.get("filtered_documents", "web.first").whole("decisions").to_pylist()
    failed = {row["id"]: {item["rule"] for item in row["failed"]} for row in decisions}
    ids = {row["text"][:12]: row["id"] for row in texts}
    menu, banned = ids[MENU[:12]], ids[BANNED[:12]]
    assert "usual" in failed[menu] and "c4_bad_words" in failed[banned]
    assert sum("usual" in rules for rules in failed.values()) < 6
    told = "\n".join(explain(made, menu.hex()))
    assert "punctuation_character_share 0" in told and "clean has" in told and "clean_outside" in told


def test_the_page_and_the_measures(made: Mill) -> None:
    artifact = made.get("clean/quantile_bands")
    page = artifact.bytes_of("report").decode()
    assert "max_sentence_characters" in page and "<svg" in page
    zh = artifact.json("measures")["languages"]["zh"]
    assert zh["documents"] == 150 and zh["pool_documents"] == 22 and zh["pool_any_outside"] > zh["any_outside"] / 2
    assert make(made, "clean/quantile_bands")[1] is False


def test_another_quantile_is_another_name_and_computes_its_family_alone(made: Mill) -> None:
    folder = made.loaded.path.parent
    write(folder, declared(signals={"max_sentence_characters": {"upper": 0.9}}))
    with pytest.raises(ImmutableError, match="give the section of the project file a new name"):
        make(open_project(folder), "clean/quantile_bands")
    content = declared()
    models = content["corpus"]["models"]["bands"]
    models["strict"] = {**models["clean"], "signals": {"max_sentence_characters": {"upper": 0.9}}}
    write(folder, content)
    mill = open_project(folder)
    make(mill, "strict/quantile_bands")
    try:
        remembered = memo_keys(mill)
        _, computed, _ = make(mill, "quality_signals", "web.first")
        assert computed and len(memo_keys(mill) - remembered) == 1  # of one part, the bands
    finally:
        write(folder, declared())
    names = mill.get("quality_signals", "web.first").whole("bands").schema.names
    assert "strict_outside" in names and "clean_outside" in names


def memo_keys(mill: Mill) -> set[str]:
    return {path.name for path in (Path(mill.home.store_url) / "memo" / "parts").rglob("*.json")}


def mistakes(folder: Path, content: dict) -> str:
    write(folder, content)
    with pytest.raises(ProjectError) as caught:
        load_project(folder / "project.yaml", {})
    return str(caught.value)


def test_what_does_not_fit_is_told_when_the_project_loads(tmp_path: Path) -> None:
    content = declared()
    content["corpus"]["signals"]["statistics"]["unspaced"] = "characters"
    told = mistakes(tmp_path, content)
    assert "corpus.sources.web.filter.presets" in told and "unspaced: words" in told
    content = declared(signals={"n_word": {"upper": 0.9}, "html_tags": {"upper": 0.9}})
    told = mistakes(tmp_path, content)
    assert "there is no number 'n_word'" in told and "n_words" in told
    assert "'html_tags' is not computed here: it needs corpus.signals.surface" in told
    content = declared()
    content["corpus"]["signals"]["language"] = None
    assert "bad_words has a list for each language" in mistakes(tmp_path, content)
    content["corpus"]["signals"]["bad_words"] = None
    assert "corpus.models.bands.clean: corpus.signals.language is null" in mistakes(tmp_path, content)
