import io
import json

import pytest
import zstandard

from pipelines.corpus.filters.config import LanguageConfig
from pipelines.corpus.filters.language import LANGUAGE_DESCRIPTIONS, language_part, load_language_model
from tests.pipelines.corpus.filters.corpus import documents
from tests.shared_data import shared


def model() -> LanguageConfig:
    return LanguageConfig(model=str(shared("models/lid176/lid.176.ftz")))


def rows(texts, config):
    return language_part({"documents": documents(texts)}, config).tables["language"].to_pylist()


def test_real_documents_of_many_languages():
    with shared("lid/opensource_guide_docs.jsonl.zst").open("rb") as raw:
        stream = io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(raw), "utf-8")
        records = [json.loads(line) for line in stream]
    found = rows([record["text"] for record in records], model())
    right = [
        row["language"] == record["lang"].split("-")[0].lower() for row, record in zip(found, records, strict=True)
    ]
    assert sum(right) / len(right) > 0.9
    assert all(0 < row["language_score"] <= 1 for row in found)
    assert all((row["second_language_score"] or 0) <= row["language_score"] for row in found)


def test_lines_after_the_first_count():
    text = "Hello\n" + "Das ist ein deutscher Text, der nach der ersten Zeile kommt und viel länger ist.\n" * 5
    [row] = rows([text], model())
    assert row["language"] == "de"


def test_only_the_first_characters_are_looked_at():
    text = "This is an English sentence about the weather. " * 10 + "这是一个中文句子。" * 500
    config = model().model_copy(update={"max_characters": 400})
    assert rows([text], config)[0]["language"] == "en"
    assert rows([text], model().model_copy(update={"max_characters": 10_000}))[0]["language"] == "zh"


def test_score_is_clipped_and_agrees_with_the_package():
    text = "The quick brown fox jumps over the lazy dog and runs away from the hunters in the forest."
    [row] = rows([text], model())
    loaded = load_language_model(model().model, model().model_digest)
    [[label], [score]] = (column[0] for column in loaded.predict([text]))
    assert label == "__label__" + row["language"]
    assert row["language_score"] == pytest.approx(min(float(score), 1.0), abs=1e-6)


def test_blank_text_has_no_language():
    result = language_part({"documents": documents(["", " \n ", "Good morning to all of you."])}, model())
    table = result.tables["language"]
    assert table.column("language").to_pylist() == [None, None, "en"]
    assert table.column("language_score").null_count == 2
    assert table.column_names == ["id", "text_hash", *LANGUAGE_DESCRIPTIONS]
    assert len(language_part({"documents": documents([])}, model()).tables["language"]) == 0


def test_second_language_threshold():
    config = model().model_copy(update={"second_threshold": 1.0})
    assert rows(["Good morning, how are you today?"], config)[0]["second_language"] is None


def test_another_model_file_is_refused(tmp_path):
    file = tmp_path / "lid.bin"
    file.write_bytes(b"not a model")
    with pytest.raises(ValueError, match="has SHA-256"):
        load_language_model(str(file), "0" * 64)
    with pytest.raises(FileNotFoundError, match=r"set `language\.model`"):
        load_language_model(str(tmp_path / "absent"), "0" * 64)


def test_a_cut_fasttext_package_is_refused(monkeypatch):
    import fasttext

    load_language_model.cache_clear()
    monkeypatch.delattr(fasttext, "train_supervised")
    with pytest.raises(ImportError, match="fasttext-predict"):
        load_language_model(model().model, model().model_digest)
