"""Which signals a source has, before any is computed: the columns of every attribute family out of its settings.

In: the settings of the families, of the models, and of a source's metadata. Out: family -> column -> Arrow type, as
the families write them; a test compares both after a real run. Rules judged over an empty table of these columns
(`faults`) fail at once for what would fail in the batch: a signal that is not there, a text compared with a number,
a condition where a number is needed. No look at any document.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple

import pyarrow as pa

from pipelines.core.decisions import DecisionRule, decide, signals_of
from pipelines.core.documents import ATTRIBUTE_KEYS
from pipelines.corpus.filters import keywords, statistics, surface
from pipelines.corpus.filters.bad_words import BAD_WORDS_TYPES
from pipelines.corpus.filters.bands.score import band_columns
from pipelines.corpus.filters.classifier.score import classifier_columns
from pipelines.corpus.filters.config import KeywordConfig, LanguageConfig, SignalConfig
from pipelines.corpus.filters.language import LANGUAGE_TYPES
from pipelines.corpus.filters.ngram_lm.perplexity import PERPLEXITY_TYPES
from pipelines.corpus.filters.sections import ModelsConfig
from pipelines.corpus.filters.topics.score import TOPIC_TYPES
from pipelines.corpus.filters.topics.subset import subset_columns
from pipelines.corpus.metadata.config import MetadataConfig
from pipelines.corpus.metadata.metadata import MARKS

Columns = dict[str, pa.DataType]


class Fault(NamedTuple):
    """A rule that cannot be judged: the signal that is not there, if that is it, and what to tell."""

    rule: str
    signal: str | None
    message: str


NUMBER: Final = pa.float64()
TEXT: Final = pa.large_string()
MARK: Final = pa.bool_()
SWITCHES: Final = {
    "statistics": "corpus.signals.statistics",
    "language": "corpus.signals.language",
    "surface": "corpus.signals.surface",
    "keywords": "corpus.signals.keywords",
    "bad_words": "corpus.signals.bad_words",
    "topics": "a classifier of kind topics in corpus.models.classifiers",
    "perplexity": "corpus.models.language_models",
}
"""Families whose columns have fixed names, with what turns them on."""


def signal_families(
    signals: SignalConfig, models: ModelsConfig, metadata: MetadataConfig | None = None
) -> dict[str, Columns]:
    """Family -> its columns of every family that is computed. Whole numbers count as NUMBER: rules know one kind."""
    found: dict[str, Columns] = {}
    if signals.statistics is not None:
        found["statistics"] = dict.fromkeys(statistics.column_descriptions(signals.statistics), NUMBER)
    if signals.language is not None:
        found["language"] = dict(LANGUAGE_TYPES)
    if signals.surface is not None:
        found["surface"] = dict.fromkeys(surface.column_descriptions(signals.surface), NUMBER)
    if signals.keywords is not None:
        listed = keywords.column_descriptions(signals.keywords)
        found["keywords"] = {name: TEXT if name.endswith("_terms") else NUMBER for name in listed}
    if signals.bad_words is not None:
        found["bad_words"] = _kinds(BAD_WORDS_TYPES)
    if metadata is not None:
        found["metadata"] = {name: MARK if kind in MARKS else NUMBER for name, kind in metadata.signals()}
    kinds = {name: item.kind for name, item in models.classifiers.items()}
    quality = [column for name, kind in kinds.items() if kind == "quality" for column in classifier_columns(name)]
    if quality:
        found["classifiers"] = dict.fromkeys((*quality, *models.ensembles), NUMBER)
    if "topics" in kinds.values():
        found["topics"] = dict(TOPIC_TYPES)
    if models.subsets:
        names = [column for name in models.subsets for column in subset_columns(name)]
        found["subsets"] = dict.fromkeys(names, NUMBER)
    if models.language_models:
        found["perplexity"] = dict(PERPLEXITY_TYPES)
    if models.bands:
        found["bands"] = {}
        for name, section in models.bands.items():
            found["bands"] |= _kinds(band_columns(name, section.signals))
    return found


def _kinds(types: Mapping[str, pa.DataType]) -> Columns:
    return {name: TEXT if kind == pa.large_string() else NUMBER for name, kind in types.items()}


def switched_off(found: Mapping[str, Columns]) -> dict[str, str]:
    """Column -> what would have to be declared for it, of families with fixed names that are not computed."""
    whole = SignalConfig(language=LanguageConfig(), keywords=KeywordConfig())
    possible = signal_families(whole, ModelsConfig()) | {
        "bad_words": _kinds(BAD_WORDS_TYPES),
        "topics": dict(TOPIC_TYPES),
        "perplexity": dict(PERPLEXITY_TYPES),
    }
    return {
        column: SWITCHES[family] for family, columns in possible.items() if family not in found for column in columns
    }


def shared_names(found: Mapping[str, Columns]) -> dict[str, tuple[str, str]]:
    """Column -> the two families that both have it: their tables cannot stand side by side."""
    owner: dict[str, str] = dict.fromkeys((item.name for item in ATTRIBUTE_KEYS), "documents")
    twice = {}
    for family, columns in found.items():
        for name in columns:
            if owner.setdefault(name, family) != family:
                twice[name] = (owner[name], family)
    return twice


def faults(found: Mapping[str, Columns], rules: Iterable[DecisionRule]) -> Iterator[Fault]:
    """What is wrong with rules over these columns, each signal that is not there, or kinds that do not fit.

    The judge itself decides, over no rows, so that a rule without a fault cannot fail for its names or kinds later.
    """
    types = {name: kind for columns in found.values() for name, kind in columns.items()}
    names, absent = list(types), switched_off(found)
    empty = pa.schema([pa.field("id", pa.binary(16)), *(pa.field(*item) for item in types.items())]).empty_table()
    for rule in rules:
        missing = [name for name in signals_of(rule, names) if name not in types]
        for name in missing:
            told = f"no family of this source has ({', '.join(found) or 'none is computed'})"
            if name in absent:
                told = f"is not computed here: it needs {absent[name]}"
            elif name.startswith("meta_") and "metadata" not in found:
                told = "is not computed here: this source has no section `metadata` that reads it"
            yield Fault(rule.name, name, f"rule {rule.name!r} needs the signal {name!r}, which {told}")
        if not missing:
            try:
                decide(empty, [rule])
            except ValueError as error:
                yield Fault(rule.name, None, str(error))
