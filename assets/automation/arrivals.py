"""Sealing: a batch that has arrived gets its ordinal, once, in the store's ledger.

A declared batch has arrived when its path is there and the asset that it comes `after` exists; a subfolder of an inbox
when it holds a file named `_SEALED`. The ordinal is the order of dedup and of held-out choices, so it is recorded and
never changes.
"""

from pathlib import Path
from typing import NamedTuple

from pipelines.core.documents import BadKeyError, split_key
from pipelines.corpus.acquisition.packages import UnresolvedPathError, resolve_path
from pipelines.corpus.acquisition.remote import Remote, is_url, why_unreachable
from pipelines.project import SourceConfig
from resources.mill import Mill

SEAL = "_SEALED"
FOLDER_NAMES = (
    "Its name becomes a partition key: rename it to lower-case letters, digits, _ . and -, 63 with the source's"
)


class Arrivals(NamedTuple):
    """What one look found: keys that were sealed now, in order, and declared ones that cannot be, with the reason."""

    sealed: list[str]
    refused: dict[str, str]


def seal_arrivals(mill: Mill) -> Arrivals:
    """Seal what has arrived. A batch whose declared path names nothing keeps no place in the order: once it is there,
    or the project file is mended, it is sealed as the others are."""
    known = mill.sealed()
    fresh, refused = [key for key in arrived(mill) if key not in known], {}
    for key in fresh:
        reason = _unreachable(mill, key)
        if reason:
            refused[key] = reason
        else:
            mill.store.append("batches", {"key": key}, unique="key")
    return Arrivals([key for key in fresh if key not in refused], refused)


def _unreachable(mill: Mill, key: str) -> str:
    source, batch = mill.project.source_of(key), mill.project.batch_of(key)
    declared = (batch.path if batch else None) or source.path
    if declared is None:
        return ""
    if is_url(declared):
        return why_unreachable(Remote(declared, source.storage))
    try:
        resolve_path(declared, mill.loaded.path.parent)
    except UnresolvedPathError as error:
        return str(error)
    return ""


def arrived(mill: Mill) -> list[str]:
    """Keys of every batch that is here, declared ones in the file's order, then inboxes by name."""
    keys: list[str] = []
    for name, source in mill.project.corpus.sources.items():
        keys += [
            f"{name}.{batch}"
            for batch, settings in source.declared_batches().items()
            if settings.after is None or mill.store.latest(settings.after) is not None
        ]
    for name, source in mill.project.corpus.sources.items():
        keys += [f"{name}.{folder.name}" for folder in inbox_folders(mill, source) if _valid(f"{name}.{folder.name}")]
    return keys


def inbox_folders(mill: Mill, source: SourceConfig) -> list[Path]:
    """Sealed subfolders of a source's inbox."""
    if source.inbox is None:
        return []
    inbox = mill.loaded.path.parent / source.inbox
    if not inbox.is_dir():
        return []
    return sorted(path for path in inbox.iterdir() if path.is_dir() and (path / SEAL).is_file())


def unusable_folders(mill: Mill) -> list[str]:
    """Inbox folders whose names cannot be partition keys, for the sensor's log: they are never read."""
    return [
        f"{name}/{folder.name!r}"
        for name, source in mill.project.corpus.sources.items()
        for folder in inbox_folders(mill, source)
        if not _valid(f"{name}.{folder.name}")
    ]


def _valid(key: str) -> bool:
    try:
        split_key(key)
    except BadKeyError:
        return False
    return True
