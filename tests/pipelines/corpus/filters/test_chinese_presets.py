"""Chinese presets: published numbers and the side of equality, datatrove's own verdicts, and pages of every kind."""

import json
import math
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pydantic import ValidationError

from pipelines.core.decisions import decide
from pipelines.corpus.filters.config import FilterConfig, KeywordConfig, KeywordList, StatisticsConfig, SurfaceConfig
from pipelines.corpus.filters.filter import join_signals
from pipelines.corpus.filters.keywords import keywords_part
from pipelines.corpus.filters.language import language_part
from pipelines.corpus.filters.presets import PRESETS, WORDS_OF
from pipelines.corpus.filters.statistics import statistics_part
from pipelines.corpus.filters.surface import surface_part
from tests.pipelines.corpus.filters.corpus import documents, mixture
from tests.pipelines.corpus.filters.test_calibration import model

RECORDED = json.loads((Path(__file__).parent / "datatrove_chinese.json").read_text())
RULES = {rule.name: rule for rules in PRESETS.values() for rule in rules}
CHINESE = ("chinese", "evalweb", "fineweb2_chinese", "roots_chinese", "multilingual")

# (rule, threshold, the side that is rejected): FineWeb-2's configs/cmn_Hani.yml and the defaults of the filters that it
# runs; ROOTS' parameters for zh.
PUBLISHED = {
    "fineweb2_chinese_min_score": (0.692, "below"),
    "fineweb2_chinese_max_duplicate_lines": (0.287, "above"),
    "fineweb2_chinese_max_top_2_gram": (0.256, "above"),
    "fineweb2_chinese_max_top_3_gram": (0.201, "above"),
    "fineweb2_chinese_max_top_4_gram": (0.171, "above"),
    "fineweb2_chinese_max_duplicate_5_gram": (0.198, "above"),
    "fineweb2_chinese_max_duplicate_6_gram": (0.182, "above"),
    "fineweb2_chinese_max_duplicate_7_gram": (0.167, "above"),
    "fineweb2_chinese_max_duplicate_8_gram": (0.154, "above"),
    "fineweb2_chinese_max_duplicate_9_gram": (0.14, "above"),
    "fineweb2_chinese_max_duplicate_10_gram": (0.127, "above"),
    "fineweb2_chinese_min_punctuated_lines": (0.106, "below"),
    "fineweb2_chinese_max_duplicate_line_characters": (0.1, "above"),
    "fineweb2_chinese_max_newlines": (0.178, "above"),
    "fineweb2_chinese_min_words": (50, "below"),
    "fineweb2_chinese_max_words": (100_000, "above"),
    "fineweb2_chinese_min_mean_word": (1, "below"),
    "fineweb2_chinese_max_mean_word": (5, "above"),
    "fineweb2_chinese_max_hashes": (0.1, "above"),
    "fineweb2_chinese_max_ellipses": (0.1, "above"),
    "fineweb2_chinese_max_bullet_lines": (0.9, "above"),
    "fineweb2_chinese_max_ellipsis_lines": (0.3, "above"),
    "fineweb2_chinese_min_letter_words": (0.735, "below"),
    "fineweb2_chinese_min_stop_words": (2, "below"),
    "roots_chinese_min_score": (0.85, "below"),
    "roots_chinese_min_words": (1, "below"),
    "roots_chinese_max_words": (1_000_000, "above"),
    "roots_chinese_max_repeated_characters": (0.2, "above"),
    "roots_chinese_max_repeated_words": (0.96, "above"),
    "roots_chinese_min_letters": (0.7, "below"),  # special characters <= 0.3
}


def judged(text: str, preset: str, language: str | None = "zh", score: float = 0.99) -> tuple[bool, set[str]]:
    tables = {"documents": documents([text])}
    unspaced = WORDS_OF.get(preset, "characters")
    tables |= statistics_part(tables, StatisticsConfig.model_validate({"unspaced": unspaced})).tables
    tables |= surface_part(tables, SurfaceConfig()).tables
    if language is None:
        tables |= language_part(tables, model()).tables
        signals = join_signals(tables)
    else:
        signals = join_signals(tables).append_column("language", pa.array([language], pa.large_string()))
        signals = signals.append_column("language_score", pa.array([score]))
    [row] = decide(signals, PRESETS[preset]).to_pylist()
    return row["kept"], {failure["rule"] for failure in row["failed"] if failure["action"] == "drop"}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_thresholds_and_which_side_equality_falls(name: str) -> None:
    limit, rejected = PUBLISHED[name]
    values = [math.nextafter(limit, -math.inf), float(limit), math.nextafter(limit, math.inf)]
    ids = pa.array([bytes([number]) * 16 for number in range(3)], pa.binary(16))
    kept = decide(pa.table({"id": ids, RULES[name].signal: pa.array(values)}), [RULES[name]])["kept"].to_pylist()
    assert kept == {"below": [False, True, True], "above": [True, True, False]}[rejected]


def test_every_number_of_the_presets_is_held_to_its_source() -> None:
    numbers = {rule.name for name in ("fineweb2_chinese", "roots_chinese") for rule in PRESETS[name] if rule.op != "in"}
    assert numbers == set(PUBLISHED)


# datatrove's reason -> our rule, in the order in which each of its filters asks
ASKED = {
    "gopher_repetition": {
        "dup_line_frac": "max_duplicate_lines",
        **{f"top_{n}_gram": f"max_top_{n}_gram" for n in (2, 3, 4)},
        **{f"duplicated_{n}_n_grams": f"max_duplicate_{n}_gram" for n in range(5, 11)},
    },
    "fineweb_quality": {
        "line_punct_ratio": "min_punctuated_lines",
        "char_dup_ratio": "max_duplicate_line_characters",
        "list_ratio": "max_newlines",
    },
    "gopher_quality": {
        "gopher_short_doc": "min_words",
        "gopher_above_avg_threshold": "max_mean_word",
        "gopher_below_avg_threshold": "min_mean_word",
        "gopher_too_many_ellipsis": "max_ellipses",
        "gopher_below_alpha_threshold": "min_letter_words",
        "gopher_enough_stop_words": "min_stop_words",
    },
}


@pytest.fixture(scope="module")
def general() -> pa.Table:
    """Words statistics of all Chinese documents of the mixture."""
    texts = mixture("zh_general", 5000)
    return statistics_part({"documents": documents(texts)}, StatisticsConfig(unspaced="words")).tables["statistics"]


@pytest.mark.parametrize("name", ASKED)
def test_verdicts_are_those_of_fineweb2s_own_filters(name: str, general: pa.Table) -> None:
    """Every document, by the first rule that rejects it: recorded from datatrove with FineWeb-2's configuration."""
    assert len(general) == RECORDED["documents"]
    reasons = ASKED[name]
    wanted = {row: reasons[reason] for reason, rows in RECORDED[name].items() for row in rows}
    rules = [RULES[f"fineweb2_chinese_{rule}"] for rule in reasons.values()]
    found = decide(general, rules)["reason"].to_pylist()
    ours = {row: rule.removeprefix("fineweb2_chinese_") for row, rule in enumerate(found) if rule is not None}
    assert ours == wanted and len(wanted) > 100


# The pages that the handbook asks for ---------------------------------------------------------------------------------

WIKI = (
    "水是地球上最常见的物质之一，也是生物体最重要的组成部分。它在常温常压下为无色无味的透明液体，覆盖了地表的大部分面积。",
    "人类很早就开始对水产生了认识，东西方古代朴素的物质观中都把水视为一种基本的组成元素，它是中国古代五行之一。",
    "地球上的水有海水、河水、湖水和地下水，它们在太阳的作用下不断循环，而大气中的水汽遇冷凝结，又以雨雪的形式落回地面。",
    "水的比热容较大，因此沿海地区的气温变化比内陆小。许多城市建在河边，因为人们每天都需要饮用和灌溉。",
    "随着工业的发展，有的河流受到了污染，各国在保护水资源方面做了大量的工作，年年都有新的法律公布，也有更多的人参加。",
)
DIALOGUE = "\n".join(
    [
        "「你昨天去了學校，是真的嗎？」她問我。",
        "「是的，那裡的人都很好。」我想了想才回答。",
        "「那麼，今天晚上呢？」",
        "我沒有說話，只是看著窗外的雨。他們已經走遠了，路上一個人也沒有。",
        "「你在想什麼？」她又問了一次，聲音比剛才更小。",
        "「我在想，為什麼他被留在那裡，而我們卻回來了。」",
        "她慢慢地坐下，把信放在桌上，信紙由於雨水已經濕了一半。那是三月二十日寫的信，字跡是他父親的。",
        "「這封信我看過了，他在信裡說，他和你的哥哥也認識。」",
    ]
)
TRADITIONAL = "\n".join(
    [
        "資訊是指任何會影響系統的狀態的事件，它可以減少不確定性，是現代社會最重要的資源之一，也是科學研究的對象。",
        "人類很早就開始對水產生了認識，東西方古代樸素的物質觀中都把水視為一種基本的組成元素，與火、土並列。",
        "許多城市建在河邊，因為人們需要飲用和灌溉。隨著工業的發展，有的河流受到了污染，各國都在保護水資源。",
        "這些法律對於工廠和農業的用水作出了規定，並且要求企業在每年三月公開自己的數據，而政府也會定期檢查。",
    ]
)


@pytest.mark.parametrize("preset", CHINESE)
def test_a_clean_article_passes_every_chinese_preset(preset: str) -> None:
    assert judged("\n".join(WIKI), preset) == (True, set())


@pytest.mark.parametrize("preset", ["gopher", "gopher_quality", "c4", "fineweb"])
def test_an_article_against_english_presets(preset: str) -> None:
    """Of these only FineWeb's own rules can read Chinese."""
    kept, failed = judged("\n".join(WIKI), preset)
    assert kept is (preset == "fineweb")
    if "gopher" in preset:
        assert {"gopher_min_mean_word", "gopher_min_stop_words"} <= failed


def test_real_wikipedia_passes_chinese_presets_and_no_english_one() -> None:
    texts = [text for text in mixture("zh_general", 700, 7) if len(text) > 600][:60]
    kept = {name: sum(judged(text, name)[0] for text in texts) for name in ("gopher", "chinese", "fineweb2_chinese")}
    assert kept["gopher"] == 0 and kept["chinese"] > 50 and kept["fineweb2_chinese"] > 40


def test_a_navigation_bar_fails_short_lines_and_punctuation() -> None:
    page = "首页 关于我们 联系方式 登录 注册\n" * 20
    assert {"chinese_min_punctuated_lines", "chinese_has_punctuation"} <= judged(page, "chinese")[1]
    assert "fineweb2_chinese_min_punctuated_lines" in judged(page, "fineweb2_chinese")[1]
    assert "chinese_min_mean_line" in judged(page.replace(" ", "\n"), "evalweb")[1]


def test_one_sentence_fifty_times_fails_lines_and_13_grams() -> None:
    page = (WIKI[1] + "\n") * 50
    assert {"chinese_max_duplicate_lines", "chinese_max_repeated_13_grams"} <= judged(page, "chinese")[1]
    failed = judged(page, "fineweb2_chinese")[1]
    assert {f"fineweb2_chinese_max_duplicate_{n}_gram" for n in range(5, 11)} <= failed
    assert "roots_chinese_max_repeated_words" in judged(page, "roots_chinese")[1]


def test_traditional_text_fails_evalweb_alone() -> None:
    assert judged(TRADITIONAL, "evalweb") == (False, {"evalweb_no_traditional"})
    for preset in ("chinese", "fineweb2_chinese", "roots_chinese"):
        assert judged(TRADITIONAL, preset) == (True, set())


def test_names_in_simplified_text_are_not_traditional() -> None:
    """惇, 彧, 珪 and 祐 have one form in both writings; 發 has two."""
    page = "\n".join(WIKI) + "夏侯惇、荀彧、陈珪和朱祐都在场。"
    assert judged(page, "evalweb") == (True, set())
    assert judged(page + "發", "evalweb") == (False, {"evalweb_no_traditional"})


@pytest.mark.parametrize(("length", "short"), [(199, True), (200, True), (201, False)])
def test_evalwebs_length_at_the_boundary(length: int, short: bool) -> None:
    failed = judged("".join(WIKI)[:length], "evalweb")[1]
    assert ("chinese_min_characters" in failed) is short


@pytest.mark.parametrize(("han", "fails"), [(299, True), (300, False), (301, False)])
def test_evalwebs_share_of_chinese_at_the_boundary(han: int, fails: bool) -> None:
    text = ("".join(WIKI) * 3).translate({ord(mark): None for mark in "，。、"})[:han] + "x" * (1000 - han)
    assert ("chinese_min_han" in judged(text, "evalweb")[1]) is fails


def test_dialogue_of_a_novel_is_kept_but_where_marks_are_words() -> None:
    """Short lines full of 「」 are no menu. FineWeb-2 drops the densest: every mark is a word without a letter."""
    for preset in ("chinese", "fineweb2_chinese", "roots_chinese", "multilingual"):
        assert judged(DIALOGUE, preset) == (True, set())
    bare = "".join(WIKI).translate({ord(mark): None for mark in "，。、"})
    said = "\n".join(f"「{bare[place : place + 8]}」他說。" for place in range(0, 160, 8))
    assert judged(said + "\n" + TRADITIONAL[:60], "chinese") == (True, set())
    assert "fineweb2_chinese_min_letter_words" in judged(said + "\n" + TRADITIONAL[:60], "fineweb2_chinese")[1]


@pytest.mark.parametrize("preset", ["chinese", "evalweb", "fineweb2_chinese", "roots_chinese"])
@pytest.mark.parametrize("kind", ["pinyin", "mojibake"])
def test_pinyin_and_broken_text_fail_the_language(preset: str, kind: str) -> None:
    pinyin = "shui shi di qiu shang zui chang jian de wu zhi zhi yi, ye shi sheng wu ti zui zhong yao de zu cheng. " * 4
    broken = "".join(WIKI).encode().decode("latin-1")
    assert (
        f"{'chinese' if preset == 'evalweb' else preset}_language"
        in judged(pinyin if kind == "pinyin" else broken, preset, None)[1]
    )


def test_a_page_without_any_mark_is_dropped() -> None:
    bare = "".join(WIKI).translate({ord(mark): None for mark in "，。、；"})
    assert "chinese_has_punctuation" in judged(bare, "chinese")[1]
    assert "chinese_has_punctuation" not in judged(bare[:150] + "。" + bare[150:], "chinese")[1]


# Presets and words that do not belong together ------------------------------------------------------------------------


def test_thresholds_for_other_words_are_told() -> None:
    assert FilterConfig(presets=("gopher", "evalweb", "multilingual")).wrong_words("words") is None
    assert FilterConfig(presets=("chinese",)).wrong_words("characters") is None
    wrong = FilterConfig(presets=("evalweb", "fineweb2_chinese")).wrong_words("characters")
    assert wrong is not None and "unspaced: words" in wrong and "chinese" in wrong
    for unspaced in ("words", "runs"):
        told = FilterConfig(presets=("chinese",)).wrong_words(unspaced)
        assert told is not None and "unspaced: characters" in told and f"has `{unspaced}`" in told


# ROOTS' lists ---------------------------------------------------------------------------------------------------------


def list_signals(text: str, **lists: Any) -> dict[str, Any]:
    tables = {"documents": documents([text])}
    tables |= statistics_part(tables, StatisticsConfig(unspaced="words")).tables
    config = KeywordConfig(lists={name: KeywordList(**settings) for name, settings in lists.items()})
    signals = join_signals({**tables, **keywords_part(tables, config).tables})
    [row] = decide(signals, PRESETS["roots_chinese_lists"]).to_pylist()
    return {"failed": {item["rule"] for item in row["failed"]}, **signals.to_pylist()[0]}


def test_roots_shares_of_stop_and_flagged_words() -> None:
    text = "这是我的书，也是他的书。目的很清楚。"
    stop = {"terms": ("的", "是", "也"), "boundaries": "words"}
    found = list_signals(text, stop_words=stop, flagged_words={"terms": ("赌博",), "boundaries": "words"})
    assert found["keyword_stop_words_hits"] == 5 and found["n_words"] == 16  # not the one in 目的
    assert found["failed"] == set()
    flagged = list_signals(text, stop_words={"terms": ("了",)}, flagged_words={"terms": ("清楚",)})
    assert flagged["failed"] == {"roots_chinese_min_stop_words", "roots_chinese_max_flagged_words"}


@pytest.mark.parametrize(
    ("rule", "hits", "words", "kept"),
    [("min_stop_words", 1691, 10_000, True), ("min_stop_words", 1690, 10_000, False),
     ("max_flagged_words", 1, 1000, True), ("max_flagged_words", 1, 999, False)],
)  # fmt: skip
def test_roots_shares_at_their_boundaries(rule: str, hits: int, words: int, kept: bool) -> None:
    signals = {"id": [b"x" * 16], f"keyword_{rule[4:]}_hits": [hits], "n_words": [words]}
    assert decide(pa.table(signals), [RULES[f"roots_chinese_{rule}"]])["kept"].to_pylist() == [kept]


@pytest.mark.parametrize(
    ("text", "terms", "whole", "anywhere"),
    [
        ("这台机器的性能很好，没有性别。", ("性",), 0, 2),
        ("中国科学院在北京大学旁边开会。", ("科学院", "北京大学"), 1, 2),
        ("他们在网上赌博，赌博害人。", ("赌博", "网上赌博"), 2, 2),
        ("The class has passed 中文。", ("ass", "class"), 1, 1),
    ],
)
def test_terms_at_the_ends_of_words(text: str, terms: tuple[str, ...], whole: int, anywhere: int) -> None:
    for boundaries, hits in (("words", whole), ("characters", anywhere)):
        config = KeywordConfig(lists={"own": KeywordList.model_validate({"terms": terms, "boundaries": boundaries})})
        assert (
            keywords_part({"documents": documents([text])}, config).tables["keywords"]["keyword_own_hits"][0].as_py()
            == hits
        )


def test_word_boundaries_are_for_terms() -> None:
    with pytest.raises(ValidationError, match="is for terms of the text"):
        KeywordList(kind="domains", terms=("a.b",), boundaries="words")
