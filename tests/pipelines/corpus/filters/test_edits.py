import pytest

from pipelines.corpus.filters.config import FilterConfig
from pipelines.corpus.filters.edits import BadEditError, edited, parse_edit

SIGNALS = ["n_plain_words", "n_characters", "language", "letter_word_share"]
FILTERS = {
    "web": FilterConfig(presets=("english", "gopher"), disabled=("gopher_max_hashes",), flagged=("gopher_min_words",)),
    "zh": FilterConfig(presets=("chinese",)),
    "code": FilterConfig.model_validate(
        {"extra": [{"name": "min_words", "signal": "n_plain_words", "op": ">=", "value": 20}]}
    ),
}


def after(*lines):
    return edited(FILTERS, [parse_edit(line, FILTERS) for line in lines], SIGNALS)


def rules(config):
    return {rule.name: rule for rule in config.resolved()}


def test_a_threshold_changes_wherever_the_rule_is():
    changed = after("gopher_max_words=1_000")
    assert rules(changed["web"])["gopher_max_words"].value == 1000
    assert changed["zh"] == FILTERS["zh"] and changed["code"] == FILTERS["code"]


def test_what_the_edit_gives_is_what_the_project_file_would_say():
    assert after("web:gopher_max_words=9")["web"] == FilterConfig.model_validate(
        {**FILTERS["web"].model_dump(), "rules": {"gopher_max_words": 9.0}}
    )
    assert after("min_words = 5")["code"].extra[0].value == 5


@pytest.mark.parametrize(
    ("line", "name", "there", "action"),
    [
        ("gopher_max_words=disabled", "gopher_max_words", False, None),
        ("gopher_max_hashes=enabled", "gopher_max_hashes", True, "drop"),
        ("gopher_max_hashes=0.2", "gopher_max_hashes", True, "drop"),
        ("gopher_min_words=drop", "gopher_min_words", True, "drop"),
        ("gopher_min_words=enabled", "gopher_min_words", True, "flag"),
        ("gopher_max_words=flag", "gopher_max_words", True, "flag"),
        ("min_words=flag", "min_words", True, "flag"),
        ("min_words=disabled", "min_words", False, None),
    ],
)
def test_states(line, name, there, action):
    """A threshold is asked of a rule that applies, so it switches one on that was off."""
    changed = after(line)
    found = rules(changed["code" if name == "min_words" else "web"])
    assert (name in found) == there
    if there:
        assert found[name].action == action


def test_lists_new_rules_presets_and_several_edits_in_their_order():
    changed = after("web:presets=english", "english_language=en, de", "n_characters>=200", "web:letter_word_share<0.5")
    names = rules(changed["web"])
    assert names["english_language"].value == ("en", "de")
    assert names["what_if_n_characters"].value == 200 and "what_if_n_characters" in rules(changed["zh"])
    assert names["what_if_letter_word_share"].op == "<"
    assert not any(name.startswith("gopher") for name in names)
    assert rules(after("web:language in en,fr")["web"])["what_if_language"].value == ("en", "fr")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("gopher_max_word=5", "did you mean 'gopher_max_words'?"),
        ("zh:gopher_max_words=5", "no rule of the source zh"),
        ("wib:gopher_max_words=5", "did you mean 'web'?"),
        ("n_charactrs>=5", "did you mean 'n_characters'?"),
        ("code:letter_word_share=5", "a new rule over it is written letter_word_share>=VALUE"),
        ("gopher_max_words=many", "takes a number"),
        ("n_characters>=many", "takes a number"),
        ("web:presets=gofer", "did you mean 'gopher'?"),
        ("chinese_max_sentence=drop", "max_sentence_characters<=VALUE"),
        ("what", "write RULE=VALUE"),
        ("=5", "write RULE=VALUE"),
        ("gopher_max_words=nan", "finite number"),
    ],
)
def test_mistakes_name_what_is_near(line, said):
    with pytest.raises(BadEditError) as found:
        after(line)
    assert said in str(found.value)
