import math

import pyarrow as pa
import pytest
from pydantic import ValidationError

from pipelines.core.decisions import decide
from pipelines.corpus.filters.config import FilterConfig, SignalConfig, StatisticsConfig
from pipelines.corpus.filters.presets import PRESETS
from pipelines.corpus.filters.rules import Rule
from pipelines.corpus.filters.statistics import column_descriptions, statistics_part
from tests.pipelines.corpus.filters.corpus import documents, mixture

NUMERIC = [rule for rules in PRESETS.values() for rule in rules if rule.op != "in"]

# (rule, threshold, the side that is rejected); equality passes everywhere but at chinese_min_characters.
PUBLISHED = {
    "gopher_min_words": (50, "below"),
    "gopher_max_words": (100_000, "above"),
    "gopher_min_mean_word": (3, "below"),
    "gopher_max_mean_word": (10, "above"),
    "gopher_max_hashes": (0.1, "above"),
    "gopher_max_ellipses": (0.1, "above"),
    "gopher_max_bullet_lines": (0.9, "above"),
    "gopher_max_ellipsis_lines": (0.3, "above"),
    "gopher_min_letter_words": (0.8, "below"),
    "gopher_min_stop_words": (2, "below"),
    "gopher_max_duplicate_lines": (0.30, "above"),
    "gopher_max_duplicate_paragraphs": (0.30, "above"),
    "gopher_max_duplicate_line_characters": (0.20, "above"),
    "gopher_max_duplicate_paragraph_characters": (0.20, "above"),
    "gopher_max_top_2_gram": (0.20, "above"),
    "gopher_max_top_3_gram": (0.18, "above"),
    "gopher_max_top_4_gram": (0.16, "above"),
    "gopher_max_duplicate_5_gram": (0.15, "above"),
    "gopher_max_duplicate_6_gram": (0.14, "above"),
    "gopher_max_duplicate_7_gram": (0.13, "above"),
    "gopher_max_duplicate_8_gram": (0.12, "above"),
    "gopher_max_duplicate_9_gram": (0.11, "above"),
    "gopher_max_duplicate_10_gram": (0.10, "above"),
    "fineweb_min_punctuated_lines": (0.12, "below"),
    "fineweb_max_short_lines": (0.67, "above"),
    "fineweb_max_duplicate_line_characters": (0.01, "above"),
    "fineweb_max_newlines": (0.3, "above"),
    "c4_min_sentences": (5, "below"),
    "c4_no_curly_bracket": (0, "above"),
    "c4_no_lorem_ipsum": (0, "above"),
    "english_min_score": (0.65, "below"),
    "chinese_min_characters": (200, "below or equal"),
    "chinese_min_mean_line": (10, "below"),
    "chinese_min_han": (0.30, "below"),
    "chinese_max_repeated_13_grams": (0.5, "above"),
}

EXPECTED = {"below": [False, True, True], "above": [True, True, False], "below or equal": [False, False, True]}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_thresholds_and_which_side_equality_falls(name):
    limit, rejected = PUBLISHED[name]
    rule = next(rule for rule in NUMERIC if rule.name == name)
    values = [math.nextafter(limit, -math.inf), float(limit), math.nextafter(limit, math.inf)]
    ids = pa.array([bytes([n]) * 16 for n in range(3)], pa.binary(16))
    signals = pa.table({"id": ids, rule.signal: pa.array(values)})
    assert decide(signals, [rule]).column("kept").to_pylist() == EXPECTED[rejected]


def test_every_preset_rule_has_a_signal_and_one_name():
    known = {*column_descriptions(StatisticsConfig()), "language", "language_score"}
    assert {rule.signal for rules in PRESETS.values() for rule in rules} <= known
    for rules in PRESETS.values():
        assert len({rule.name for rule in rules}) == len(rules)


def judged(text, preset, language="en"):
    table = statistics_part({"documents": documents([text])}, StatisticsConfig()).tables["statistics"]
    signals = table.append_column("language", pa.array([language], pa.large_string()))
    [row] = decide(signals.append_column("language_score", pa.array([0.9])), PRESETS[preset]).to_pylist()
    return row["kept"], {failure["rule"] for failure in row["failed"]}


SENTENCES = [
    f"The {name} is kept with the other {name}s of this page." for name in ("cat", "dog", "bird", "fish", "horse")
]


def test_c4_sentences_at_the_boundary():
    assert judged("\n".join(SENTENCES), "c4") == (True, set())
    assert judged("\n".join(SENTENCES[:4]), "c4") == (False, {"c4_min_sentences"})
    assert judged("\n".join(SENTENCES[:4]) + "\nno mark at the end of this one", "c4") == (False, {"c4_min_sentences"})
    assert judged("\n".join(SENTENCES[:4]) + "\nno mark at the end of this one", "c4_any_ending") == (True, set())


@pytest.mark.parametrize(
    ("line", "preset", "failed"),
    [
        ("It says { here, and that is it.", "c4", {"c4_no_curly_bracket"}),
        ("a menu with { and no mark", "c4", set()),
        ("a menu with { and no mark", "c4_any_ending", {"c4_any_ending_no_curly_bracket"}),
        ("Your javascript { is off.", "c4", set()),
        ("This is Lorem Ipsum again.", "c4", {"c4_no_lorem_ipsum"}),
        ("Lorem ipsum.", "c4", set()),
    ],
)
def test_c4_condemns_by_lines_that_came_so_far(line, preset, failed):
    assert judged("\n".join([*SENTENCES, line]), preset)[1] == failed


def test_gopher_counts_plain_words_and_exact_stop_words():
    text = "the cat and dog " + " ".join(f"walked{number}" for number in range(46))
    assert "gopher_min_words" not in judged(text, "gopher_quality")[1]
    assert "gopher_min_words" in judged(text.rsplit(" ", 1)[0] + " ## !", "gopher_quality")[1]
    assert "gopher_min_stop_words" in judged(text.replace("the cat and", "The cat and and"), "gopher_quality")[1]


WIKI = (
    "水是地球上最常见的物质之一，也是生物体最重要的组成部分。"
    "它在常温常压下为无色无味的透明液体，覆盖了地表的大部分面积。"
)
MORE = (
    "人类很早就开始对水产生了认识，东西方古代朴素的物质观中都把水视为一种基本的组成元素。"
    "地球上的水有海水、河水、湖水和地下水，它们在太阳的作用下不断循环。"
    "水的比热容较大，因此沿海地区的气温变化比内陆小。许多城市建在河边，因为人们需要饮用和灌溉。"
    "随着工业的发展，有的河流受到了污染，各国在保护水资源方面做了大量的工作，年年都有新的法律。"
)


def test_chinese_text():
    assert judged(WIKI + MORE, "chinese", "zh") == (True, set())
    kept, failed = judged(WIKI + MORE, "gopher", "zh")
    assert not kept and {"gopher_min_stop_words", "gopher_min_mean_word"} <= failed
    assert {"chinese_min_mean_line", "chinese_max_duplicate_lines"} <= judged("首页 关于\n" * 20, "chinese", "zh")[1]
    repeated = judged(WIKI * 50, "chinese", "zh")[1]
    assert {"chinese_max_repeated_13_grams", "chinese_max_duplicate_10_gram"} <= repeated
    assert "chinese_language" in judged(WIKI + MORE, "chinese", "en")[1]


@pytest.mark.parametrize(("length", "short"), [(199, True), (200, True), (201, False)])
def test_chinese_length_at_the_boundary(length, short):
    assert ("chinese_min_characters" in judged((WIKI + MORE)[:length], "chinese", "zh")[1]) is short


@pytest.mark.parametrize(("han", "fails"), [(299, True), (300, False), (301, False)])
def test_chinese_share_at_the_boundary(han, fails):
    assert ("chinese_min_han" in judged("的" * han + "x" * (1000 - han), "chinese", "zh")[1]) is fails


def test_real_chinese_and_english_text_is_mostly_kept_by_its_own_preset():
    chinese = [judged(text, "chinese", "zh")[0] for text in mixture("zh_general", 60, 20)]
    english = [judged(text, "gopher", "en")[0] for text in mixture("books_en", 60, 11)]
    assert sum(chinese) >= 45 and sum(english) >= 45


def test_overrides_resolve_in_order():
    own = Rule(name="no_spam", signal="topic", op="in", value=("news", "science"))
    config = FilterConfig(
        presets=("gopher_quality", "gopher", "fineweb"),
        rules={"gopher_min_words": 30},
        disabled=("gopher_max_mean_word",),
        flagged=("fineweb_max_newlines",),
        extra=(own,),
    )
    rules = config.resolved()
    names = [rule.name for rule in rules]
    assert len(set(names)) == len(names) and names[0] == "gopher_min_words" and names[-1] == "no_spam"
    assert rules[0].value == 30 and "gopher_max_mean_word" not in names
    assert next(rule for rule in rules if rule.name == "fineweb_max_newlines").action == "flag"
    assert FilterConfig.model_validate(config.model_dump(mode="json")) == config


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"presets": ["gofer"]}, "no preset is called 'gofer'; did you mean 'gopher'"),
        (
            {"presets": ["gopher"], "rules": {"gopher_min_word": 1}},
            "no rule 'gopher_min_word'; did you mean 'gopher_min_words'",
        ),
        ({"presets": ["c4"], "disabled": ["gopher_min_words"]}, "disabled: the presets of this source have no rule"),
        ({"presets": ["c4"], "rules": {"c4_min_sentences": "five"}}, "`>=` takes a number"),
        ({"extra": [{"name": "a", "signal": "b", "op": "in", "value": 1}]}, "`in` takes a list of texts"),
        ({"extra": [{"name": "a", "signal": "b", "op": "~", "value": 1}]}, "op"),
        ({"extra": [{"name": "a b", "signal": "b", "op": "<", "value": 1}]}, "name"),
        (
            {"presets": ["c4"], "extra": [{"name": "c4_min_sentences", "signal": "b", "op": "<", "value": 1}]},
            "exists already",
        ),
        ({"extra": [{"name": "a", "signal": "b", "op": "<", "value": float("nan")}]}, "finite"),
    ],
)
def test_mistakes_name_the_field_and_the_nearest_name(settings, message):
    with pytest.raises(ValidationError, match=message):
        FilterConfig.model_validate(settings)


def test_signal_identity_is_the_models_digest_and_not_its_path():
    one = SignalConfig.model_validate({"language": {"model": "a"}})
    two = SignalConfig.model_validate({"language": {"model": "b"}})
    assert one.identity() == two.identity() and "model_digest" in one.identity()["language"]
