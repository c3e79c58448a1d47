"""The list of operations: what it refuses, what it counts, what enters the identity, and that defaults are harmless."""

import importlib.util
from collections import Counter
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from pipelines.corpus.normalization import config, normalize
from pipelines.corpus.normalization.config import DEFAULT_OPERATIONS, Operations

OPERATIONS: TypeAdapter[Any] = TypeAdapter(Operations)
SETTINGS: dict[str, dict[str, Any]] = {
    "spelling": {"variant": "american"},
    "word_segmentation": {"chinese": "characters"},
}
STABLE = sorted(set(normalize.STEPS) - {"stemming", "lemmatization"})
FRAGMENTS = (
    *("the", "e.g.", "etc.", "colour ", "Don't", "well-\nknown ", "self-", "exam-\nple ", "\n\n\n\n", "  ", "\t"),
    *("!!!!!", "。。。。。", "學習", "の", "Ã©", "â€™", "ſß", "İI", "a\u0301", "\u3000", "\u00a0", "，", "-", "\n"),
)
text_like = st.lists(
    st.text(st.characters(codec="utf-8"), max_size=8) | st.sampled_from(FRAGMENTS),
    max_size=30,
).map("".join)


def operation(name: str) -> config.AnyOperation:
    return OPERATIONS.validate_python([{"operation": name, **SETTINGS.get(name, {})}])[0]


@pytest.mark.parametrize("name", STABLE)
@given(text=text_like, language=st.sampled_from([None, "en", "de", "zh", "ja", "tr"]))
@settings(max_examples=150, deadline=None)
def test_a_second_pass_changes_nothing(name: str, text: str, language: str | None) -> None:
    chosen = [operation(name)]
    once = normalize.normalize(text, chosen, language).text
    assert normalize.normalize(once, chosen, language) == (once, {})


@pytest.mark.parametrize("name", sorted(normalize.STEPS))
@pytest.mark.parametrize("short", [0, 10_000])
@given(text=text_like)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_characters_are_conserved_in_the_counts(
    short: int, name: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(normalize, "SHORT", short)
    after, counts = normalize.normalize(text, [operation(name)], "en")
    assert len(after) - len(text) == counts.get(f"{name}/added", 0) - counts.get(f"{name}/removed", 0)
    assert (after != text) == (counts != {})
    assert (Counter(after) - Counter(text)).total() == counts.get(f"{name}/added", 0)


def test_every_operation_of_the_project_file_has_a_function() -> None:
    names = {model.model_fields["operation"].default for model in config.AnyOperation.__args__}
    assert names == set(normalize.STEPS) == set(config.OperationName.__args__)
    assert all(normalize.STEPS[name].algorithm.name == name for name in names)


def test_a_name_is_short_for_a_section_with_its_defaults() -> None:
    assert OPERATIONS.validate_python(["line_ends", {"operation": "controls"}, "nfc"]) == DEFAULT_OPERATIONS
    schema = OPERATIONS.json_schema()
    assert "line_ends" in str(schema["items"]["anyOf"][0])


@pytest.mark.parametrize(
    ("listed", "message"),
    [
        (["nfc", "nfc"], "listed twice"),
        (["controls", "mojibake"], "put mojibake before controls"),
        (["nfc", "controls"], "put controls before nfc"),
        (["nfkc"], "nfkc"),
        ([{"operation": "abbreviations", "table": {"i.e.": "i.e. that"}}], "holds 'i.e.'"),
        ([{"operation": "spelling"}], "give `variant` or a `table`"),
        ([{"operation": "spelling", "table": {"Colour": "color"}}], "lower case"),
    ],
)
def test_a_list_that_cannot_be_meant_is_refused(listed: list[Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        OPERATIONS.validate_python(listed)


@pytest.mark.parametrize(
    ("name", "package", "extra"),
    [
        ("chinese_script", "opencc", "chinese"),
        ("word_segmentation", "jieba", "chinese"),
        ("stop_words", "stopwordsiso", "classical"),
        ("stemming", "snowballstemmer", "classical"),
        ("lemmatization", "simplemma", "classical"),
    ],
)
def test_a_missing_extra_is_named_when_the_file_is_read(
    name: str, package: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(config, "find_spec", lambda wanted: None if wanted == package else found(wanted))
    with pytest.raises(ValidationError, match=rf"{name} needs the package {package}.*\[{extra}\]"):
        OPERATIONS.validate_python([name])
    if name == "word_segmentation":
        OPERATIONS.validate_python([{"operation": name, "chinese": "characters"}])


def test_a_version_is_felt_by_those_who_list_the_operation(monkeypatch: pytest.MonkeyPatch) -> None:
    plain, with_jieba = DEFAULT_OPERATIONS, OPERATIONS.validate_python(["word_segmentation"])
    before = [normalize.identity_of(plain), normalize.identity_of(with_jieba)]
    assert before[1][0]["jieba"] == importlib.metadata.version("jieba")
    step = normalize.STEPS["word_segmentation"]
    bumped = step._replace(algorithm=step.algorithm._replace(version=step.algorithm.version + 1))
    monkeypatch.setitem(normalize.STEPS, "word_segmentation", bumped)
    assert [normalize.identity_of(plain) == before[0], normalize.identity_of(with_jieba) == before[1]] == [True, False]


def test_a_language_tag_is_read_by_its_first_part() -> None:
    chosen = OPERATIONS.validate_python([{"operation": "chinese_script", "conversion": "t2s"}])
    for tag in ("zh", "zh-Hant", "zh_TW", "ZH", None):
        assert normalize.normalize("頭髮發財", chosen, tag).text == "头发发财"
    assert normalize.normalize("頭髮發財", chosen, "ja").text == "頭髮發財"


def test_code_formulas_and_tables_pass_the_defaults() -> None:
    text = (
        "def f(x):\n\tif x:\n\t    return  x  # !!\n\n\n\n$\\sum_{i} x_i' \\quad ﬁ ①$\n| a   | b |\n|-----|---|\n"
        "~~~~\n……——「。。。」　　段落\n"
    )
    assert normalize.normalize(text, DEFAULT_OPERATIONS, None) == (text, {})
