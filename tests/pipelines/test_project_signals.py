"""Rules, models and reports that name a signal which nothing computes: told when the project file loads."""

import json
from pathlib import Path
from typing import Any

import pytest

from pipelines.corpus.filters.bad_words import BAD_WORDS_TYPES
from pipelines.corpus.filters.columns import faults, signal_families, switched_off
from pipelines.corpus.filters.config import FilterConfig, SignalConfig
from pipelines.corpus.filters.ngram_lm.perplexity import PERPLEXITY_TYPES
from pipelines.corpus.filters.presets import PRESETS, WORDS_OF
from pipelines.corpus.filters.rules import Rule
from pipelines.corpus.filters.sections import ModelsConfig
from pipelines.corpus.filters.topics.score import TOPIC_TYPES
from pipelines.project_file import Mistake, ProjectError, load_project

POOL = [{"batches": ["web.first"]}]
QUALITY = {"kind": "quality", "positive": POOL, "negative": POOL}
MODELS = {
    "classifiers": {"good": QUALITY, "better": QUALITY, "subjects": {"kind": "topics", "examples": [
        {"batches": ["web.first"], "label": "web"}]}},
    "ensembles": {"best": {"members": ["good", "better"], "method": "mean_rank"}},
    "subsets": {"buying": {"query": "price", "background": POOL}},
    "language_models": {"plain": {"texts": POOL, "reference": POOL}},
}  # fmt: skip


def written(folder: Path, filter: dict[str, Any] | None = None, **sections: Any) -> Path:
    """A project file of one source; `sections` are `signals`, `models`, `metadata` and `reports`."""
    source = {"domain": "web", "licence": "CC0-1.0", "path": "web", "reader": {"format": "jsonl"}}
    source |= {"metadata": sections["metadata"]} if "metadata" in sections else {}
    source |= {"filter": filter} if filter is not None else {}
    corpus = {
        "sources": {"web": source},
        **{name: sections[name] for name in ("signals", "models") if name in sections},
    }
    project = {"project": "names", "corpus": corpus, "reports": sections.get("reports", {})}
    path = folder / "project.yaml"
    path.write_text(json.dumps(project, indent=1), "utf-8")  # JSON is YAML
    return path


def mistakes(path: Path) -> list[Mistake]:
    with pytest.raises(ProjectError) as caught:
        load_project(path, {})
    for mistake in caught.value.mistakes:
        assert path.read_text().splitlines()[mistake.line - 1], mistake
    return caught.value.mistakes


def rule(signal: str, **settings: Any) -> dict[str, Any]:
    return {"name": "mine", "signal": signal, **({"op": ">=", "value": 1} | settings)}


def test_a_misspelt_signal_is_told_with_its_line_and_the_nearest_name(tmp_path: Path) -> None:
    path = written(tmp_path, {"extra": [rule("n_words"), rule("n_wrods", name="other")]})
    (found,) = mistakes(path)
    text = path.read_text()
    assert found.line == text[: text.index("n_wrods")].count("\n") + 1
    assert found.nearest == "n_words"
    assert str(found) == (
        f"{path}:{found.line}: corpus.sources.web.filter.extra.1.signal: rule 'other' needs the signal 'n_wrods', "
        "which no family of this source has (statistics, language, surface, keywords); did you mean 'n_words'?"
    )


@pytest.mark.parametrize(
    ("signal", "nearest"),
    [
        ("log(n_wordz) * letter_word_share", "n_words"),
        ("n_words >= 3 and langage == 'en'", "language"),
        ("1000 * html_entitys / n_characters", "html_entities"),
        ("keyword_spam_hitz", "keyword_spam_hits"),
        ("url_spam_hits", "keyword_spam_hits"),  # the list is of terms, not of domains
        ("good_scor", "good_score"),
        ("bestt", "best"),
        ("topik", "topic"),
        ("buying_rnk", "buying_rank"),
        ("perplexity_buckett", "perplexity_bucket"),
        ("meta_like", "meta_likes"),
    ],
)
def test_every_family_has_its_names(signal: str, nearest: str, tmp_path: Path) -> None:
    kind = {} if ">=" in signal else {"op": ">=", "value": 1}
    extra = {"name": "mine", "signal": signal, **kind}
    (found,) = mistakes(written(tmp_path, {"extra": [extra]}, models=MODELS, metadata={"columns": {"likes": {}}}))
    assert found.nearest == nearest


NEEDS_MORE = {
    "c4_bad_words": {"bad_words_hits", "bad_words_draw"},
    "roots_chinese_lists": {"keyword_stop_words_hits", "keyword_flagged_words_hits"},
}


def test_names_that_are_computed_pass(tmp_path: Path) -> None:
    names = (
        "good_score", "better_rank", "best", "topic_score", "buying_relevance", "perplexity", "meta_likes", "n_words",
        "language_score", "html_tags", "keyword_spam_hits", "meta_likes_mad", "meta_likes_mad_outlier",
    )  # fmt: skip
    extra = [rule(signal, name=f"rule_{number}") for number, signal in enumerate(names)]
    extra.append({"name": "texts", "signal": "perplexity_bucket", "op": "in", "value": ["head", "middle"]})
    operations = [{"operation": "outliers", "column": "likes", "method": "mad"}]
    metadata = {"columns": {"likes": {}}, "operations": operations}
    reports = {"drift_signals": ["topic", "meta_likes"]}
    fitting = [name for name in PRESETS if name not in NEEDS_MORE and WORDS_OF.get(name) != "words"]
    path = written(tmp_path, {"presets": fitting, "extra": extra}, models=MODELS, metadata=metadata, reports=reports)
    assert load_project(path, {}).project.project == "names"


def test_a_family_that_is_off_is_named(tmp_path: Path) -> None:
    path = written(
        tmp_path, {"presets": ["gopher", "english"], "flagged": ["english_min_score"]}, signals={"language": None}
    )
    found = mistakes(path)
    assert {item.field for item in found} == {"corpus.sources.web.filter.presets.1"}
    text = path.read_text()
    assert {item.line for item in found} == {text[: text.index('"english"')].count("\n") + 1}
    assert all("english: rule" in item.message and "needs corpus.signals.language" in item.message for item in found)
    switched = {"presets": ["gopher", "english"], "disabled": ["english_language", "english_min_score"]}
    assert load_project(written(tmp_path, switched, signals={"language": None}), {})

    # A rule for some languages only needs the languages, whatever its signal.
    (found,) = mistakes(written(tmp_path, {"extra": [rule("n_words", languages=["en"])]}, signals={"language": None}))
    assert "'language'" in found.message and "corpus.signals.language" in found.message
    (found,) = mistakes(written(tmp_path, {"extra": [rule("topic_score")]}))
    assert "a classifier of kind topics" in found.message
    (found,) = mistakes(written(tmp_path, {"extra": [rule("meta_score")]}))
    assert "no section `metadata`" in found.message
    lists = {"keywords": {"lists": {"mine": {"terms": ["x"]}}}}
    found = mistakes(written(tmp_path, {"presets": ["residue"]}, signals=lists))
    assert [item.message.partition("needs the signal ")[2].split("'")[1] for item in found] == [
        "keyword_notices_per_line",
        "keyword_spam_per_line",
    ]


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"signal": "language", "op": ">=", "value": 1}, "text columns take"),
        ({"signal": "n_words", "op": "in", "value": ["en"]}, "text columns take"),
        ({"signal": "language + 1", "op": ">=", "value": 1}, "is a text, where a number is needed"),
        ({"signal": "n_words and mixed_language"}, "compare it with something"),
        ({"signal": "id", "op": "==", "value": "x"}, "no family of this source has"),
    ],
)
def test_kinds_that_do_not_fit_are_told(settings: dict[str, Any], told: str, tmp_path: Path) -> None:
    (found,) = mistakes(written(tmp_path, {"extra": [{"name": "mine", **settings}]}))
    assert found.field == "corpus.sources.web.filter.extra.0.signal"
    assert told in found.message


def test_models_need_what_they_are_made_of(tmp_path: Path) -> None:
    models = json.loads(json.dumps(MODELS))
    models["ensembles"]["best"]["members"] = ["good", "bettr", "subjects"]
    found = mistakes(written(tmp_path, models=models))
    assert [(item.field, item.nearest) for item in found] == [
        ("corpus.models.ensembles.best.members.1", "better"),
        ("corpus.models.ensembles.best.members.2", None),
    ]

    models = json.loads(json.dumps(MODELS))
    for section, name in (("classifiers", "good"), ("classifiers", "subjects"), ("language_models", "plain")):
        models[section][name]["languages"] = ["en"]
    models["language_calibration"] = {"examples": [{"path": "x.jsonl", "label_field": "lang"}]}
    assert load_project(written(tmp_path, models=models), {})
    found = mistakes(written(tmp_path, models=models, signals={"language": None}))
    assert [item.field for item in found] == [
        "corpus.models.classifiers.good.languages",
        "corpus.models.classifiers.subjects.languages",
        "corpus.models.language_models.plain.languages",
        "corpus.models.language_calibration",
    ]
    assert all("corpus.signals.language is null" in item.message for item in found)


def test_two_things_of_one_name_are_told(tmp_path: Path) -> None:
    for section, name in (("classifiers", "language"), ("ensembles", "topic")):
        models = json.loads(json.dumps(MODELS))
        models[section][name] = models[section].popitem()[1] if section == "ensembles" else QUALITY
        found = mistakes(written(tmp_path, models=models))
        assert [item.field for item in found] == ["corpus.models"]
        assert "rename the model" in found[0].message
    models = json.loads(json.dumps(MODELS))
    models["ensembles"] = {"good_rank": MODELS["ensembles"]["best"]}
    (mistake,) = mistakes(written(tmp_path, models=models))
    assert mistake.field == "corpus.models.ensembles.good_rank"
    models = {"subsets": {"meta_stars": MODELS["subsets"]["buying"]}}
    (mistake,) = mistakes(written(tmp_path, models=models, metadata={"columns": {"stars_rank": {}}}))
    assert mistake.field == "corpus.sources.web.metadata.columns"


def test_signals_that_reports_compare_are_known(tmp_path: Path) -> None:
    (found,) = mistakes(written(tmp_path, reports={"drift_signals": ["n_words", "n_caracters"]}))
    assert (found.field, found.nearest) == ("reports.drift_signals.1", "n_characters")


def test_each_preset_needs_only_what_the_default_signals_have_or_lists_of_the_user() -> None:
    found = signal_families(SignalConfig(), ModelsConfig())
    for preset in PRESETS:
        missing = {fault.signal for fault in faults(found, FilterConfig(presets=(preset,)).resolved())}
        assert missing == NEEDS_MORE.get(preset, set()), preset
    assert set(switched_off(found)) == {*TOPIC_TYPES, *PERPLEXITY_TYPES, *BAD_WORDS_TYPES}
    assert [item.signal for item in faults({}, [Rule(name="mine", signal="n_words", op=">=", value=1.0)])] == [
        "n_words"
    ]


def test_ratios_are_of_what_is_computed_and_declared(tmp_path: Path) -> None:
    good = [
        {"topic": "web", "max_share": 0.3},
        {"topic": "none", "max_share": 0.3},
        {"language": "en", "min_share": 0.1},
        {"perplexity_bucket": ["head", "tail"], "domain": "web", "source": "web", "max_share": 0.9},
    ]
    assert load_project(written(tmp_path, models=MODELS, reports={"ratios": good}), {})
    wrong = [
        {"topic": ["web", "wep"], "max_share": 0.3},
        {"perplexity_bucket": "tale", "max_share": 0.3},
        {"topic": "web", "domain": "webb", "max_share": 0.3},
        {"topic": "web", "source": "wob", "max_share": 0.3},
    ]
    found = mistakes(written(tmp_path, models=MODELS, reports={"ratios": wrong}))
    assert [(item.field, item.nearest) for item in found] == [
        ("reports.ratios.0.topic", "web"),
        ("reports.ratios.1.perplexity_bucket", "tail"),
        ("reports.ratios.2.domain", "web"),
        ("reports.ratios.3.source", "web"),
    ]
    found = mistakes(written(tmp_path, reports={"ratios": good}, signals={"language": None}))
    assert [item.field.rpartition(".")[2] for item in found] == ["topic", "topic", "language", "perplexity_bucket"]
    assert "corpus.signals.language" in found[2].message
    # Labels that only the examples know cannot be checked before they are read.
    models = json.loads(json.dumps(MODELS))
    models["classifiers"]["subjects"]["examples"] = [{"path": "x.jsonl", "label_field": "topic"}]
    assert load_project(written(tmp_path, models=models, reports={"ratios": [{"topic": "any", "max_share": 0.3}]}), {})


STAGE = {"train": {"sequence_length": 64, "batch_sequences": 16, "steps": 10}}


def lane_written(folder: Path, mixture: dict[str, Any], models: dict[str, Any] | None = None) -> Path:
    """The same project with a lane whose rounds are mixed as told."""
    path = written(folder, models=models or {}, signals={"language": None})
    project = json.loads(path.read_text())
    project["tokenizers"] = {"bpe": {"model": {"kind": "trained", "vocab_size": 1024}}}
    project["lanes"] = {"tiny": {"tokenizer": "bpe", "base": STAGE, "rounds": {**STAGE, "mixture": mixture}}}
    path.write_text(json.dumps(project, indent=1), "utf-8")
    return path


TOPICS = {"classifiers": MODELS["classifiers"], "language_models": MODELS["language_models"]}
WEIGHTED = {"split": {"web": "topic"}, "method": "weights"}


@pytest.mark.parametrize(
    ("mixture", "models", "place", "words", "nearest"),
    [
        ({"split": {"wb": "topic"}}, TOPICS, "split.wb", "there is no source 'wb' in this lane: it has web", "web"),
        ({"by": "domain", "split": {"web": "topic"}}, {}, "split.web", "needs a classifier of kind topics", None),
        ({"split": {"web": "perplexity_bucket"}}, {}, "split.web", "needs corpus.models.language_models", None),
        ({"split": {"web": "language"}}, TOPICS, "split.web", "needs corpus.signals.language", None),
        ({"split": {"web": "topik"}}, TOPICS, "split.web", "'topik' is not one of topic, language", "topic"),
        ({**WEIGHTED, "weights": {"web:wbe": 1}}, TOPICS, "weights.web:wbe", "there is no topic 'wbe'", "web:web"),
        ({"group_max_epochs": {"web:web": 2}}, TOPICS, "group_max_epochs.web:web", "'web' is not split", None),
        (
            {"split": {"web": "perplexity_bucket"}, "group_max_epochs": {"web:haed": 2}},
            TOPICS, "group_max_epochs.web:haed", "split into web:head, web:middle, web:tail, web:none", "web:head",
        ),
    ],
)  # fmt: skip
def test_a_mixture_is_split_by_what_is_computed(
    mixture: dict[str, Any], models: dict[str, Any], place: str, words: str, nearest: str | None, tmp_path: Path
) -> None:
    path = lane_written(tmp_path, mixture, models)
    (found,) = mistakes(path)
    name = place.partition(".")[2]
    assert found.field == f"lanes.tiny.rounds.mixture.{place}"
    assert f'"{name}":' in path.read_text().splitlines()[found.line - 1]
    assert words in found.message and found.nearest == nearest


def test_a_split_that_is_computed_loads(tmp_path: Path) -> None:
    weights = {"web:web": 2, "web": 1, "web:none": 0.5}
    path = lane_written(tmp_path, {**WEIGHTED, "weights": weights}, TOPICS)
    mixture = load_project(path, {}).project.lanes["tiny"].rounds.mixture
    assert mixture.split == {"web": "topic"} and mixture.weights == weights
