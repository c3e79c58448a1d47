"""Attribute families that need nothing but the documents and declared lists: surface, keywords, metadata."""

from pathlib import Path
from typing import Any

from pipelines.core.config import Config
from pipelines.core.fingerprint import Algorithm
from pipelines.corpus.acquisition.packages import resolve_path
from pipelines.corpus.filters import keywords, metadata, surface
from pipelines.corpus.filters.config import KeywordConfig
from pipelines.project import Project
from resources.mill import Mill
from resources.stages import Family, PartFunction

FAMILIES: dict[str, tuple[PartFunction, tuple[Algorithm, ...]]] = {
    "surface": (surface.surface_part, surface.ALGORITHMS),
    "keywords": (keywords.keywords_part, keywords.ALGORITHMS),
    "metadata": (metadata.metadata_part, metadata.ALGORITHMS),
}


def text_families(project: Project) -> list[str]:
    """Names of these families that the project computes."""
    return [name for name in FAMILIES if getattr(project.corpus.signals, name) is not None]


TEXT_ALGORITHMS = tuple(dict.fromkeys(item for _, algorithms in FAMILIES.values() for item in algorithms))


def list_digests(mill: Mill, key: str | None) -> dict[str, Any]:
    """The digests of the files of keyword lists: they decide the hits, so they enter the identity of the signals."""
    config = mill.project.corpus.signals.keywords
    lists = {} if config is None else _resolved(config, mill.loaded.path.parent).lists
    return {f"keywords.{name}": item.digest for name, item in lists.items() if item.digest}


def text_parts(mill: Mill) -> list[Family]:
    """What the worker pool runs for these families."""
    wanted = []
    for name in text_families(mill.project):
        config: Config = getattr(mill.project.corpus.signals, name)
        if isinstance(config, KeywordConfig):
            config = _resolved(config, mill.loaded.path.parent)
        function, algorithms = FAMILIES[name]
        wanted.append(
            Family(
                function=function,
                config=config,
                algorithms=algorithms,
                identity=config.identity(),
                roles=(("documents", "documents", "documents"),),
                attribute_role=name,
            )
        )
    return wanted


def _resolved(config: KeywordConfig, folder: Path) -> KeywordConfig:
    lists = {
        name: item if item.path is None else keywords.declared(item, resolve_path(item.path, folder))
        for name, item in config.lists.items()
    }
    return config.model_copy(update={"lists": lists})
