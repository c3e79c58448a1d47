"""Bands: quantiles against numpy's definition by hand, distances at the ends, languages, real texts and the page."""

import json
import math

import numpy as np
import pyarrow as pa
import pytest
from pydantic import ValidationError

from pipelines.core.decisions import decide
from pipelines.corpus.filters.bands.build import beyond, build_bands, signal_names, text_signals
from pipelines.corpus.filters.bands.config import BandConfig, BandsConfig
from pipelines.corpus.filters.bands.score import BandScoring, PinnedBands, band_columns, bands_part
from pipelines.corpus.filters.config import SignalConfig
from pipelines.corpus.filters.labelled.config import ExamplesConfig
from pipelines.corpus.filters.labelled.examples import ExamplesError
from pipelines.corpus.filters.rules import Rule
from pipelines.corpus.filters.statistics import statistics_part
from pipelines.evaluation.reports.bands import bands_html
from tests.pipelines.corpus.filters.corpus import documents, mixture
from tests.pipelines.corpus.filters.test_calibration import model

TEXTS = (ExamplesConfig(path="texts.jsonl"),)
EMPTY = {"language": pa.array([], pa.large_string())}


def config(**changes) -> BandsConfig:
    return BandsConfig.model_validate({"reference": TEXTS, "min_documents": 20, **changes})


def table(signal: str, values: list[float | None], language: str = "zh") -> pa.Table:
    return pa.table({"language": pa.array([language] * len(values), pa.large_string()), signal: pa.array(values)})


def nothing(signal: str) -> pa.Table:
    return table(signal, []).cast(pa.schema([("language", pa.large_string()), (signal, pa.float64())]))


def test_ends_are_quantiles_between_order_statistics() -> None:
    values = [float(n) for n in range(101)]
    wanted = config(signals={"n_words": {"lower": 0.015, "upper": 0.9}})
    built = build_bands(table("n_words", [*values, None]), nothing("n_words"), wanted)
    assert built.bands == {"zh": {"n_words": (1.5, 90.0)}}
    found = built.measures["languages"]["zh"]["signals"]["n_words"]
    assert found["reference"]["outside_share"] == 13 / 102  # 0, 1, 91 to 100 and the missing one
    assert sum(found["reference"]["inside"]) == 89 and found["reference"]["missing"] == 1
    assert found["pool"]["outside_share"] is None and built.measures["languages"]["zh"]["any_outside"] == 13 / 102


@pytest.mark.parametrize(
    ("value", "distance"),
    [(1.5, 0.0), (math.nextafter(1.5, 0), math.nextafter(1.5, 0) - 1.5), (90.0, 0.0),
     (math.nextafter(90, 91), math.nextafter(90, 91) - 90), (50.0, 0.0), (-1.0, -2.5), (100.0, 10.0)],
)  # fmt: skip
def test_ends_are_inside_and_the_next_number_is_not(value: float, distance: float) -> None:
    assert beyond(np.array([value]), (1.5, 90.0))[0] == distance
    assert (distance != 0) == (not 1.5 <= value <= 90.0)


def test_a_band_may_have_one_end() -> None:
    values = np.array([-9.0, 0.0, 9.0, np.nan])
    assert beyond(values, (None, 0.0)).tolist()[:3] == [0, 0, 9]
    assert beyond(values, (0.0, None)).tolist()[:3] == [-9, 0, 0] and np.isnan(beyond(values, (0.0, None))[3])


def test_languages_without_enough_documents() -> None:
    signals = pa.concat_tables([table("n_words", [1.0] * 30), table("n_words", [2.0] * 25, "en"),
                                table("n_words", [3.0] * 19, "de")])  # fmt: skip
    wanted = {"signals": {"n_words": {"upper": 0.99}}}
    built = build_bands(signals, nothing("n_words"), config(**wanted))
    assert set(built.bands) == {"zh", "en"} and built.measures["without_band"] == {"de": 19}
    assert set(build_bands(signals, nothing("n_words"), config(languages=["zh"], **wanted)).bands) == {"zh"}
    with pytest.raises(ExamplesError, match="19 documents in 'de', min_documents is 20"):
        build_bands(signals, nothing("n_words"), config(languages=["de"], **wanted))
    with pytest.raises(ExamplesError, match="no language of the reference has 40 documents"):
        build_bands(signals, nothing("n_words"), config(min_documents=40, **wanted))
    with pytest.raises(ExamplesError, match="no reference text in 'zh' has the signal"):
        build_bands(table("n_words", [None] * 30).cast(nothing("n_words").schema), nothing("n_words"), config(**wanted))


def scored(bands, texts: list[str], languages: list[str | None]) -> pa.Table:
    tables = {"documents": documents(texts)}
    tables |= statistics_part(tables, SignalConfig().statistics).tables
    keys = tables["documents"].select(["id", "text_hash"])
    tables["language"] = keys.append_column("language", pa.array(languages, pa.large_string()))
    return bands_part(tables, BandScoring(models={"clean": PinnedBands(bands=bands)})).tables["bands"]


def test_columns_of_documents_inside_outside_and_of_no_band() -> None:
    bands = {"zh": {"n_characters": (5.0, 8.0), "mean_sentence_characters": (None, 4.0)}}
    found = scored(
        bands, ["四个字。啊", "这里有一句很长很长的话", "", "五个字吗？", "none"], ["zh", "zh", "zh", "en", None]
    )
    assert found.schema.names[2:] == list(band_columns("clean", bands["zh"]))
    assert {name: found.schema.field(name).type for name in found.schema.names[2:]} == band_columns(
        "clean", bands["zh"]
    )
    assert found["clean_outside"].to_pylist() == [0, 2, 2, None, None]  # an empty text has no sentences: outside
    assert found["clean_n_characters_beyond"].to_pylist() == [0, 3, -5, None, None]
    assert found["clean_mean_sentence_characters_beyond"].to_pylist() == [0, 7, None, None, None]
    shown = [item and json.loads(item) for item in found["clean_violations"].to_pylist()]
    assert shown[1] == {"n_characters": [11, 5, 8], "mean_sentence_characters": [11, None, 4]}
    assert shown[2] == {"n_characters": [0, 5, 8], "mean_sentence_characters": [None, None, 4]} and shown[0] is None
    rule = Rule(name="clean", signal="clean_outside", op="<=", value=0, missing="pass")
    assert decide(found, [rule])["kept"].to_pylist() == [True, False, False, True, True]


def test_bands_of_real_texts_separate_prose_from_lists() -> None:
    signals = SignalConfig(language=model())
    clean = [text for text in mixture("zh_general", 700, 1) if len(text) > 400][:400]
    wanted = config(reference=TEXTS, min_documents=200)
    names = list(wanted.signals)
    reference = text_signals(clean[:300], names, signals)
    menus = ["首页 关于我们 联系方式 登录 注册\n" * 20, "苹果,香蕉,橙子,葡萄,西瓜,桃子,梨子,草莓,蓝莓,樱桃,芒果," * 30]
    built = build_bands(reference, text_signals(clean[300:] + menus, names, signals), wanted)
    [(code, item)] = built.measures["languages"].items()
    assert code == "zh" and item["any_outside"] < 0.08 and item["pool_any_outside"] < 0.2
    for name, band in built.bands["zh"].items():
        known = np.array([value for value in reference[name].to_pylist() if value is not None])
        for end, level in zip(band, (wanted.signals[name].lower, wanted.signals[name].upper), strict=True):
            assert (end is None) == (level is None)
            if end is not None:
                assert abs((known < end).mean() - level) <= 2 / len(known) or (known == end).any()
    outside = scored(built.bands, menus, ["zh", "zh"])["clean_outside"].to_pylist()
    assert min(outside) >= 1

    page = bands_html("clean", built.measures)
    for wanted_text in ("punctuation_character_share", "zh", "Bands of signals", "reference outside", "<svg"):
        assert wanted_text in page
    again = build_bands(reference, text_signals([], names, signals), wanted)
    assert again.bands == built.bands and "pool outside" in bands_html("<b>", again.measures)


def test_a_constant_signal_has_a_band_of_one_value() -> None:
    built = build_bands(
        table("n_words", [0.0] * 30), table("n_words", [0.0, 1.0]), config(signals={"n_words": {"lower": 0.01}})
    )
    assert built.bands["zh"]["n_words"] == (0.0, None) and "<svg" in bands_html("x", built.measures)


def test_signals_that_a_band_may_be_on() -> None:
    names = signal_names(SignalConfig())
    assert names["punctuation_character_share"] == "statistics" and names["html_tags"] == "surface"
    assert names["language_score"] == "language" and "language" not in names


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"signals": {"n_words": {}}}, "`lower`, `upper` or both"),
        ({"signals": {"n_words": {"lower": 0.5, "upper": 0.5}}}, "not below"),
        ({"signals": {"n_words": {"lower": -0.1}}}, "greater than or equal"),
        ({"signals": {}}, "at least 1"),
        ({"reference": [{"path": "a.jsonl", "label": "zh"}]}, "no labels"),
    ],
)
def test_mistakes_are_told(settings: dict, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        config(**settings)
    BandConfig(lower=0, upper=1)
