import math

import pyarrow as pa
import pytest
from pydantic import ValidationError

from pipelines.core.decisions import decide
from pipelines.core.expressions import check_names, parse_expression
from pipelines.corpus.filters import keywords, statistics, surface
from pipelines.corpus.filters.bad_words import BAD_WORDS_TYPES
from pipelines.corpus.filters.config import FilterConfig, SignalConfig
from pipelines.corpus.filters.filter import join_signals
from pipelines.corpus.filters.keywords import keywords_part
from pipelines.corpus.filters.language import LANGUAGE_DESCRIPTIONS
from pipelines.corpus.filters.presets import PRESETS
from pipelines.corpus.filters.rules import Rule
from pipelines.corpus.filters.statistics import statistics_part
from pipelines.corpus.filters.surface import surface_part
from tests.pipelines.corpus.filters.corpus import documents, mixture

SIGNALS = SignalConfig()
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
    "chinese_max_duplicate_lines": (0.287, "above"),
    "chinese_max_duplicate_line_characters": (0.1, "above"),
    "chinese_min_punctuated_lines": (0.106, "below"),
    "chinese_min_letter_words": (0.735, "below"),
    "chinese_max_newlines": (0.178, "above"),
    "chinese_min_stop_words": (2, "below"),
    "evalweb_no_traditional": (0, "above"),
    "refinedweb_max_removed_words": (0.05, "above"),
    "mc4_min_long_lines": (3, "below"),
    "c4_page_no_lorem_ipsum": (0, "above"),
    "c4_page_no_curly_bracket": (0, "above"),
    "multilingual_min_score": (0.5, "below"),
    "multilingual_min_words": (10, "below"),
    "multilingual_max_words": (100_000, "above"),
    "multilingual_min_letters": (0.6, "below"),
    "multilingual_max_repeated_characters": (0.2, "above"),
    "multilingual_max_duplicate_line_characters": (0.1, "above"),
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
    families = ((statistics, SIGNALS.statistics), (surface, SIGNALS.surface), (keywords, SIGNALS.keywords))
    known = {
        *LANGUAGE_DESCRIPTIONS,
        *BAD_WORDS_TYPES,
        *("keyword_stop_words_hits", "keyword_flagged_words_hits"),  # lists that the user brings
        *(name for family, config in families for name in family.column_descriptions(config)),
    }
    for rules in PRESETS.values():
        for rule in rules:
            check_names(parse_expression(rule.signal), known)
    for rules in PRESETS.values():
        assert len({rule.name for rule in rules}) == len(rules)


def judged(text, preset, language="en"):
    tables = {"documents": documents([text])}
    tables |= statistics_part(tables, SIGNALS.statistics).tables | surface_part(tables, SIGNALS.surface).tables
    tables |= keywords_part(tables, SIGNALS.keywords).tables
    signals = join_signals(tables).append_column("language", pa.array([language], pa.large_string()))
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


TRADITIONAL = (
    "資訊是指任何會影響系統的狀態的事件，它可以減少不確定性。人類很早就開始對水產生了認識，東西方古代樸素的物質觀中都把水視為一種基本的"
    "組成元素。地球上的水有海水、河水、湖水和地下水，它們在太陽的作用下不斷循環。水的比熱容較大，因此沿海地區的氣溫變化比內陸小。"
    "許多城市建在河邊，因為人們需要飲用和灌溉。隨著工業的發展，有的河流受到了污染，各國在保護水資源方面做了大量的工作，年年都有新的法律。"
    "這些法律對於工廠和農業的用水作出了規定，並且要求企業公開自己的數據。"
)


def test_traditional_text_fails_evalweb_alone():
    assert judged(TRADITIONAL, "evalweb", "zh") == (False, {"evalweb_no_traditional"})
    assert judged(TRADITIONAL, "chinese", "zh") == (True, set())
    assert judged(WIKI + MORE, "evalweb", "zh") == (True, set())


def test_dialogue_with_corner_brackets_is_kept():
    lines = [
        "「你昨天去了學校，是真的嗎？」她問我。",
        "「是的，那裡的人都很好。」我想了想才回答。",
        "「那麼，今天晚上呢？」",
    ]
    assert judged("\n".join([*lines, TRADITIONAL]), "chinese", "zh") == (True, set())


@pytest.mark.parametrize(("capitals", "removed"), [(4, True), (5, True), (6, True)])
def test_refinedweb_share_of_removed_words_at_the_boundary(capitals, removed):
    """100 words of which `capitals` stand in an upper-case line: 5 of 100 pass, 6 do not."""
    text = " ".join(f"word{letter}" for letter in "abcdefghij" * 10)[: 6 * (100 - capitals) - 1]
    line = " ".join(["SHOUT"] * capitals)
    failed = judged(text + "\n" + line, "refinedweb")[1]
    assert ("refinedweb_max_removed_words" in failed) is (capitals > 5)


@pytest.mark.parametrize(("lines", "fails"), [(2, True), (3, False), (4, False)])
def test_mc4_wants_three_long_lines(lines, fails):
    text = "\n".join(["x" * 200] * lines + ["y" * 199] * 3)
    assert ("mc4_min_long_lines" in judged(text, "mc4")[1]) is fails


def test_c4_page_condemns_by_any_line():
    text = "\n".join([*SENTENCES, "a menu with { and no mark"])
    assert judged(text, "c4") == (True, set()) and judged(text, "c4_page") == (False, {"c4_page_no_curly_bracket"})


GREEK = (
    "Η Αθήνα είναι η πρωτεύουσα της Ελλάδας και η μεγαλύτερη πόλη της χώρας.\nΒρίσκεται στην περιοχή της Αττικής, "
    "κοντά στη θάλασσα.\nΠολλοί άνθρωποι επισκέπτονται κάθε χρόνο τα αρχαία μνημεία της πόλης."
)
PROSE = (
    "Rivers carry sand down to the sea, where the waves sort it by size.\nCoarse grains stay close to the shore.\n"
    "The finest drift far out, and it may take them years to settle on the floor of the ocean."
)
THAI = "กรุงเทพมหานครเป็นเมืองหลวงและนครที่มีประชากรมากที่สุดของประเทศไทย เป็นศูนย์กลางการปกครอง การศึกษา และการคมนาคมขนส่ง"


@pytest.mark.parametrize(("text", "language"), [(GREEK, "el"), (WIKI + MORE, "zh"), (PROSE, "en")])
def test_multilingual_keeps_prose_of_every_script(text, language):
    assert judged(text, "multilingual", language) == (True, set())


def test_multilingual_drops_repetition_and_lists():
    assert judged(THAI, "multilingual", "th")[1] == {"fineweb_min_punctuated_lines"}
    repeated = judged("χα " * 200, "multilingual", "el")[1]
    assert {"multilingual_max_repeated_characters", "multilingual_max_repeated_words"} <= repeated
    assert "multilingual_min_letters" in judged("12 34, 56; 78 % 90 + 11 = 23\n" * 3, "multilingual", "en")[1]


def test_residue_flags_and_never_drops():
    text = "<div class='menu'>Home</div> &nbsp;&amp; Itâ€™s\x01 \ufffd "
    text += "We use cookies. Accept all cookies. Click here to buy now"
    kept, failed = judged(text, "residue")
    assert kept and failed == {
        "residue_max_tags", "residue_max_entities", "residue_max_controls", "residue_max_mojibake",
        "residue_max_replacements", "residue_max_notices", "residue_max_spam",
    }  # fmt: skip
    assert judged("\n".join(SENTENCES), "residue") == (True, set())


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
