import pyarrow as pa
import pytest

from pipelines.core.decisions import UnknownSignalError, explain_row
from pipelines.corpus.filters.config import FilterConfig, LanguageConfig, StatisticsConfig
from pipelines.corpus.filters.filter import filter_part, join_signals
from pipelines.corpus.filters.language import language_part
from pipelines.corpus.filters.statistics import statistics_part
from tests.pipelines.corpus.filters.corpus import documents, mixture
from tests.shared_data import shared

CONFIG = FilterConfig(presets=("english", "gopher", "c4_any_ending", "fineweb"), flagged=("gopher_min_letter_words",))


@pytest.fixture(scope="module")
def tables():
    texts = [*mixture("web_en", 80, 5), *mixture("zh_general", 20, 9), *mixture("code", 20, 9), ""]
    inputs = {"documents": documents(texts)}
    language = LanguageConfig(model=str(shared("models/lid176/lid.176.ftz")))
    return inputs | statistics_part(inputs, StatisticsConfig()).tables | language_part(inputs, language).tables


def test_counts_are_conserved_and_order_is_kept(tables):
    result = filter_part(tables, CONFIG)
    counts = result.counts
    assert counts["rows_in"] == 121
    assert counts["rows_in"] == counts["kept"] + sum(n for name, n in counts.items() if name.startswith("dropped/"))
    decisions = result.tables["decisions"]
    assert decisions.column("id").equals(tables["documents"].column("id"))
    assert result.tables["documents"].equals(tables["documents"].filter(decisions.column("kept")))
    assert 20 < counts["kept"] < 100
    assert counts["failed/gopher_min_letter_words"] > 0 and "dropped/gopher_min_letter_words" not in counts


def test_every_decision_is_explained(tables):
    rules = CONFIG.resolved()
    signals = join_signals(tables).to_pylist()
    for row, decision in zip(signals, filter_part(tables, CONFIG).tables["decisions"].to_pylist(), strict=True):
        explained = explain_row(row, rules)
        assert [item.rule for item in explained] == [rule.name for rule in rules]
        failed = [item for item in explained if not item.passed]
        assert [item.rule for item in failed] == [failure["rule"] for failure in decision["failed"]]
        drops = [item.rule for item in failed if item.action == "drop"]
        assert decision["reason"] == (drops[0] if drops else None) and decision["kept"] == (not drops)


def test_no_rules_keep_everything(tables):
    result = filter_part(tables, FilterConfig())
    assert result.tables["documents"].equals(tables["documents"])
    assert result.counts == {"rows_in": 121, "kept": 121}


def test_attributes_of_other_rows_are_refused(tables):
    swapped = dict(tables, statistics=tables["statistics"].take([1, 0, *range(2, 121)]))
    with pytest.raises(ValueError, match=r"'statistics'.* does not line up with the documents"):
        filter_part(swapped, CONFIG)
    edited = tables["documents"].set_column(1, "text_hash", pa.array([b"x" * 16] * 121, pa.binary(16)))
    with pytest.raises(ValueError, match="column 'text_hash' differs"):
        filter_part(dict(tables, documents=edited), CONFIG)
    with pytest.raises(ValueError, match="'language' is in 'language' and in 'other'"):
        filter_part(dict(tables, other=tables["language"]), CONFIG)


def test_a_rule_over_an_absent_signal_is_refused(tables):
    config = FilterConfig.model_validate({"extra": [{"name": "a", "signal": "n_word", "op": ">", "value": 1}]})
    with pytest.raises(UnknownSignalError, match=r"'a' needs the signal 'n_word'.*did you mean 'n_words'"):
        filter_part(tables, config)
