"""Attribute families that need nothing but the documents, their language and declared lists: surface, keywords, bad
words."""

from pathlib import Path
from typing import Any

from pipelines.core.config import Config
from pipelines.core.fingerprint import Algorithm
from pipelines.corpus.acquisition.packages import resolve_path
from pipelines.corpus.filters import bad_words, keywords, surface
from pipelines.corpus.filters.config import BadWordsConfig, KeywordConfig
from pipelines.project import Project
from resources.mill import Mill
from resources.stages import Family, PartFunction

FAMILIES: dict[str, tuple[PartFunction, tuple[Algorithm, ...]]] = {
    "surface": (surface.surface_part, surface.ALGORITHMS),
    "keywords": (keywords.keywords_part, keywords.ALGORITHMS),
    "bad_words": (bad_words.bad_words_part, bad_words.ALGORITHMS),
}
ROLES = (("documents", "documents", "documents"),)
READS = {"bad_words": (("language", "signals", "language"),)}
"""What a family reads of the families that were computed before it."""


def text_families(project: Project) -> list[str]:
    """Names of these families that the project computes."""
    return [name for name in FAMILIES if getattr(project.corpus.signals, name) is not None]


def text_algorithms(project: Project) -> tuple[Algorithm, ...]:
    return tuple(item for name in text_families(project) for item in _algorithms(name, project))


def _algorithms(name: str, project: Project) -> tuple[Algorithm, ...]:
    listed = project.corpus.signals.keywords
    return keywords.algorithms_of(listed) if name == "keywords" and listed is not None else FAMILIES[name][1]


def list_digests(mill: Mill, key: str | None) -> dict[str, Any]:
    """The digests of the files of keyword lists: they decide the hits, so they enter the identity of the signals."""
    config, condemned = mill.project.corpus.signals.keywords, mill.project.corpus.signals.bad_words
    folder = mill.loaded.path.parent
    lists = {} if config is None else _resolved(config, folder).lists
    found = {f"keywords.{name}": item.digest for name, item in lists.items() if item.digest}
    digests = {} if condemned is None else _found(condemned, folder).digests
    return found | {f"bad_words.{language}": digest for language, digest in digests.items()}


def text_parts(mill: Mill) -> list[Family]:
    """What the worker pool runs for these families."""
    wanted = []
    for name in text_families(mill.project):
        config: Config = getattr(mill.project.corpus.signals, name)
        if isinstance(config, KeywordConfig):
            config = _resolved(config, mill.loaded.path.parent)
        if isinstance(config, BadWordsConfig):
            config = _found(config, mill.loaded.path.parent)
        wanted.append(
            Family(
                function=FAMILIES[name][0],
                config=config,
                algorithms=_algorithms(name, mill.project),
                identity=config.identity(),
                roles=ROLES + READS.get(name, ()),
                attribute_role=None if name in READS else name,
            )
        )
    return wanted


def _found(config: BadWordsConfig, folder: Path) -> BadWordsConfig:
    return bad_words.declared(config, resolve_path(config.folder, folder))


def _resolved(config: KeywordConfig, folder: Path) -> KeywordConfig:
    lists = {
        name: item if item.path is None else keywords.declared(item, resolve_path(item.path, folder))
        for name, item in config.lists.items()
    }
    return config.model_copy(update={"lists": lists})
