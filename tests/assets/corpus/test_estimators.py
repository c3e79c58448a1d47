"""Who makes a language model: declared, or chosen where the tool is, recorded, and never made again elsewhere."""

import json
import shutil

import pytest

from assets.corpus.estimators import KENLM
from pipelines.core.fingerprint import digest_file
from pipelines.corpus.filters.ngram_lm.kenlm import KenlmError
from resources.backends import StoreFullError
from resources.lmplz import LMPLZ, find_lmplz
from tests.assets.corpus.test_models import make, open_project
from tests.pipelines.corpus.filters.ngram_lm.lmplz_tool import RELATIVE, stand_in

ASSET = "plain/language_model"


@pytest.fixture
def declared(tmp_path, monkeypatch):
    """A function that opens a project whose one language model has the given settings."""
    monkeypatch.delenv(LMPLZ, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    (tmp_path / "bin").mkdir()
    words = ["mill", "river", "grain", "stone", "wheel", "flour", "water", "miller"]
    texts = [f"the {one} the {two} the mill" for one in words for two in words]
    (tmp_path / "texts.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), "utf-8")

    def project(**settings):
        here = [{"path": "texts.jsonl"}]
        model = {"texts": here, "reference": here, "order": 2, "min_count": 1, **settings}
        wiki = {"language": "en", "domain": "wiki", "licence": "CC0-1.0", "path": "wiki", "reader": {"format": "jsonl"}}
        corpus = {"sources": {"wiki": wiki}, "models": {"language_models": {"plain": model}}}
        content = {"project": "estimators", "corpus": corpus}
        (tmp_path / "project.yaml").write_text(json.dumps(content), "utf-8")
        return open_project(tmp_path)

    return project


def test_ours_is_the_default_and_says_so(declared, tmp_path):
    stand_in(tmp_path / "bin", RELATIVE)
    manifest = make(declared(), ASSET)[0].manifest
    assert manifest.facts["estimator"] == "gristmill" and KENLM.name not in manifest.algorithms
    assert "estimator" not in manifest.config


def test_declared_kenlm_is_used_and_recorded(declared, tmp_path):
    program = stand_in(tmp_path, RELATIVE)
    mill = declared(estimator="kenlm", lmplz="lmplz")
    artifact = make(mill, ASSET)[0]
    measures = artifact.json("measures")
    assert measures["estimator"] == artifact.manifest.facts["estimator"] == "kenlm"
    assert measures["lmplz"] == artifact.manifest.facts["lmplz"] == digest_file(program)
    assert artifact.manifest.algorithms[KENLM.name] == KENLM.version
    assert artifact.manifest.config["estimator"] == "kenlm" and "lmplz" not in artifact.manifest.config
    page = artifact.path(artifact.parts[0], "report").read_text("utf-8")
    assert "Estimated by KenLM&#x27;s lmplz" in page or "Estimated by KenLM's lmplz" in page
    assert list(mill.store.backend.scratch.iterdir()) == []


def test_without_the_tool_the_error_says_what_to_do(declared):
    mill = declared(estimator="kenlm")
    with pytest.raises(KenlmError, match=rf"language_models\.plain: .* put it on PATH, name it in {LMPLZ}"):
        make(mill, ASSET)
    assert mill.store.latest(ASSET) is None


def test_auto_takes_what_is_there_and_stands_by_it(declared, tmp_path):
    """The machine that has the tool makes KenLM's model; the one without it keeps that model and makes none."""
    program = stand_in(tmp_path / "bin", RELATIVE)
    made = make(declared(estimator="auto"), ASSET)[0]
    assert made.manifest.facts["estimator"] == "kenlm"
    program.unlink()
    again, computed, _ = make(declared(estimator="auto"), ASSET)
    assert not computed and again.content == made.content

    shutil.rmtree(tmp_path / "home" / "store" / "refs")  # another machine that shares nothing but the objects
    other, computed, _ = make(declared(estimator="auto"), ASSET)
    assert computed and other.manifest.facts["estimator"] == "gristmill"
    assert other.manifest.action != made.manifest.action


def test_a_full_disk_names_the_store(declared, tmp_path):
    program = stand_in(tmp_path, "sys.stderr.write(os.strerror(28))\nos.abort()")
    mill = declared(estimator="kenlm", lmplz=str(program))
    with pytest.raises(StoreFullError, match="no room to write"):
        make(mill, ASSET)
    assert mill.store.latest(ASSET) is None and list(mill.store.backend.scratch.iterdir()) == []


def test_where_the_tool_is_looked_for(tmp_path, monkeypatch):
    monkeypatch.delenv(LMPLZ, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    places = {name: tmp_path / name for name in ("project", "bin", "other")}
    for folder in places.values():
        folder.mkdir()
    assert find_lmplz(None, places["project"]) is None
    on_path = stand_in(places["bin"], "")
    assert find_lmplz(None, places["project"]) == find_lmplz("lmplz", places["project"]) == on_path
    beside = stand_in(places["project"], "")
    assert find_lmplz(None, places["project"]) == on_path  # nothing declared: nothing beside the project file is run
    assert find_lmplz("lmplz", places["project"]) == beside
    named = stand_in(places["other"], "")
    monkeypatch.setenv(LMPLZ, str(named))
    assert find_lmplz(None, places["project"]) == named
    assert find_lmplz("../bin/lmplz", places["project"]) == on_path
    assert find_lmplz("gone", places["project"]) is None
    named.chmod(0o644)
    assert find_lmplz(None, places["project"]) is None
