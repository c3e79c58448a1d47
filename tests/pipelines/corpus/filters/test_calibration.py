import numpy as np
import pytest

from pipelines.corpus.filters.calibration import calibrate
from pipelines.corpus.filters.config import LanguageConfig
from pipelines.corpus.filters.labelled.config import ExamplesConfig
from pipelines.corpus.filters.labelled.examples import ExamplesError, ExampleSet, Labelled, file_texts, gather
from pipelines.corpus.filters.language import language_part
from tests.pipelines.corpus.filters.corpus import documents
from tests.shared_data import shared


def model(**changes):
    return LanguageConfig(model=str(shared("models/lid176/lid.176.ftz")), paragraphs=None, **changes)


def examples(limit=20_000):
    config = ExamplesConfig(path="x", label_field="lang")
    texts = file_texts(shared("lid/lingua_sentences.jsonl.zst"), config)
    return gather([ExampleSet("lingua", limit, texts)], max_characters=4000, held_out=0.5, seed=0)


def test_calibration_brings_scores_to_the_share_that_is_right():
    points, measures = calibrate(examples().table, model())
    assert measures["after"]["expected_error"] < 0.6 * measures["before"]["expected_error"]
    assert measures["after"]["brier"] < measures["before"]["brier"]
    assert 0.75 < measures["accuracy"] < 0.85  # 75 languages, ten of them unknown to the model
    right = {row["language"]: row["right"] for row in measures["languages"]}
    assert len(right) == 75 and right["zh"] > 0.9 and right["en"] > 0.9 and right["zu"] == 0
    rising = np.array(points)
    assert np.all(np.diff(rising[:, 0]) > 0) and np.all(np.diff(rising[:, 1]) >= 0)

    row = language_part(
        {"documents": documents(["This is a plain English sentence about the weather.", ""])}, model(calibration=points)
    )
    table = row.tables["language"]
    expected = np.interp(table["language_score"][0].as_py(), rising[:, 0], rising[:, 1])
    assert table["language_probability"].to_pylist() == [pytest.approx(expected), None]


def test_few_texts_are_refused():
    few = gather([ExampleSet("x", 9, [Labelled("Guten Tag", "de")])], max_characters=99, held_out=0.5, seed=0)
    with pytest.raises(ExamplesError, match="too few"):
        calibrate(few.table, model())
