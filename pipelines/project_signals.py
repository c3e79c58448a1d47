"""Names of signals in the project file that nothing will compute: found when it loads, not when a batch is judged.

In: a project that is valid section by section. Steps: the columns of every source (`corpus/filters/columns.py`);
its rules, presets included, over them; models that need the languages of documents; ensembles and their members; names
that two families give; signals that reports compare, and those that split mixtures. Out: locations with what is wrong
and the names that exist.
"""

from collections.abc import Iterator
from itertools import chain

from pipelines.corpus.filters.bands.build import signal_names
from pipelines.corpus.filters.categories import NONE, family_of
from pipelines.corpus.filters.columns import Columns, faults, shared_names, signal_families, switched_off
from pipelines.corpus.filters.config import FilterConfig
from pipelines.corpus.filters.ngram_lm.perplexity import BUCKETS
from pipelines.corpus.filters.presets import PRESETS
from pipelines.project import Dangling, Location, Project
from pipelines.tokens.mixture.config import MixtureConfig


def dangling_signals(project: Project) -> Iterator[Dangling]:
    """Names of signals, and of the models behind them, that refer to nothing or to two things."""
    corpus = project.corpus
    yield from _models(project)
    common = signal_families(corpus.signals, corpus.models)
    twice = shared_names(common)
    for name, (one, other) in twice.items():
        yield ("corpus", "models"), f"the signal {name!r} would be of {one} and of {other}: rename the model", name, []
    known: dict[str, None] = {}
    for source, settings in corpus.sources.items():
        found = signal_families(corpus.signals, corpus.models, settings.metadata)
        known |= dict.fromkeys(name for columns in found.values() for name in columns)
        for name, (one, other) in shared_names(found).items():
            if name not in twice:
                place = ("corpus", "sources", source, "metadata", "columns")
                yield place, f"the signal {name!r} would be of {one} and of {other}: rename the column", name, []
        filter_place: Location = ("corpus", "sources", source, "filter")
        yield from _rules(filter_place, settings.filter, found)
        counted = corpus.signals.statistics
        wrong = settings.filter.wrong_words(counted.unspaced) if counted is not None else None
        if wrong is not None:
            yield (*filter_place, "presets"), wrong, "presets", []
    for index, name in enumerate(project.reports.drift_signals):
        if name not in known:
            message = f"there is no signal {name!r}: no source has it"
            yield ("reports", "drift_signals", index), message, name, list(known)
    yield from _ratios(project, common)
    yield from _splits(project, common)


def _ratios(project: Project, common: dict[str, Columns]) -> Iterator[Dangling]:
    """Ratios of signals that are not computed, in domains or sources that are not there, of topics nobody declared."""
    computed = {name for columns in common.values() for name in columns}
    scopes = {"domain": project.domains(), "source": list(project.corpus.sources)}
    topics = project.corpus.models.topics()
    for index, rule in enumerate(project.reports.ratios):
        place: Location = ("reports", "ratios", index)
        signal, values = rule.subject
        if signal not in computed:
            yield (*place, signal), f"{signal} is not computed: it needs {switched_off(common)[signal]}", signal, []
        for scope, known in scopes.items():
            name = getattr(rule, scope)
            if name is not None and name not in known:
                yield (*place, scope), f"there is no {scope} {name!r}", name, known
        possible = {"topic": topics, "perplexity_bucket": BUCKETS}.get(signal, ())
        for value in values:
            if possible and value not in (*possible, NONE):
                yield (*place, signal), f"there is no {signal} {value!r}", value, list(possible)


def _splits(project: Project, common: dict[str, Columns]) -> Iterator[Dangling]:
    """Mixtures split by signals that are not computed, of sources or domains that the lane has not, and weights and
    caps of groups that no split makes."""
    absent = switched_off(common)
    for lane, settings in project.lanes.items():
        stages = {"base": settings.base, "rounds": settings.rounds}
        for stage, mixture in ((name, item.mixture) for name, item in stages.items() if item is not None):
            place: Location = ("lanes", lane, stage, "mixture")
            sources = project.lane_sources(lane)
            known = sources if mixture.by == "source" else sorted({project.corpus.sources[s].domain for s in sources})
            for name, signal in mixture.split.items():
                if name not in known:
                    message = f"there is no {mixture.by} {name!r} in this lane: it has {', '.join(known)}"
                    yield (*place, "split", name), message, name, known
                if signal not in common.get(family_of(signal), {}):
                    message = f"{signal} is not computed: it needs {absent[signal]}"
                    yield (*place, "split", name), message, signal, []
            for field in ("weights", "group_max_epochs"):
                for name in getattr(mixture, field):
                    yield from _split_name(project, mixture, (*place, field, name), name)


def _split_name(project: Project, mixture: MixtureConfig, place: Location, name: str) -> Iterator[Dangling]:
    """`<group>:<value>` of a group that is not split, or of a value that its signal never has."""
    group, colon, value = name.partition(":")
    if colon and group not in mixture.split:
        message = f"{group!r} is not split: say by which signal, `split: {{{group}: topic}}`"
        yield place, message, group, list(mixture.split)
    elif colon:
        signal = mixture.split[group]
        possible = {"topic": project.corpus.models.topics(), "perplexity_bucket": BUCKETS}.get(signal, ())
        names = [f"{group}:{item}" for item in (*possible, NONE)]
        if possible and name not in names:
            yield place, f"there is no {signal} {value!r}: {group} is split into {', '.join(names)}", name, names


def _rules(place: Location, settings: FilterConfig, found: dict[str, Columns]) -> Iterator[Dangling]:
    """The rules of one source; a rule of a preset is told at the preset."""
    own = {rule.name: (*place, "extra", index, "signal") for index, rule in enumerate(settings.extra)}
    known = [name for columns in found.values() for name in columns]
    for fault in faults(found, settings.resolved()):
        where, message = own.get(fault.rule), fault.message
        if where is None:
            index = next(
                index
                for index, preset in enumerate(settings.presets)
                if fault.rule in (rule.name for rule in PRESETS[preset])
            )
            where, message = (*place, "presets", index), f"{settings.presets[index]}: {message}"
        yield where, message, fault.signal or "", known if fault.signal else []


def _models(project: Project) -> Iterator[Dangling]:
    models = project.corpus.models
    quality = [name for name, item in models.classifiers.items() if item.kind == "quality"]
    scores = signal_families(project.corpus.signals, models.model_copy(update={"ensembles": {}})).get("classifiers", {})
    for name, ensemble in models.ensembles.items():
        place: Location = ("corpus", "models", "ensembles", name)
        if name in scores:
            yield place, f"a classifier has a signal {name!r} already: rename the ensemble", name, []
        for index, member in enumerate(ensemble.members):
            if member not in quality:
                message = f"there is no quality classifier {member!r}"
                yield (*place, "members", index), message, member, quality
    yield from _bands(project)
    if project.corpus.signals.language is not None:
        return
    lack = "corpus.signals.language is null: the languages of documents are not identified"
    sections = (("classifiers", models.classifiers), ("language_models", models.language_models))
    for section, name, item in chain.from_iterable(((s, *pair) for pair in items.items()) for s, items in sections):
        if item.languages:
            yield ("corpus", "models", section, name, "languages"), lack, "", []
    for name in models.bands:
        yield ("corpus", "models", "bands", name), lack, "", []
    if models.language_calibration is not None:
        yield ("corpus", "models", "language_calibration"), lack, "", []


def _bands(project: Project) -> Iterator[Dangling]:
    """Signals of bands that are no numbers, or of a family that is not computed."""
    signals = project.corpus.signals
    known = signal_names(signals)
    for name, section in project.corpus.models.bands.items():
        for signal in section.signals:
            place: Location = ("corpus", "models", "bands", name, "signals", signal)
            if signal not in known:
                yield place, f"there is no number {signal!r} that bands may be on", signal, list(known)
            elif getattr(signals, known[signal]) is None:
                yield place, f"{signal!r} is not computed here: it needs corpus.signals.{known[signal]}", "", []
