"""Sealing: a batch that has arrived gets its ordinal, once, in the store's ledger.

A declared batch has arrived when the asset that it comes `after` exists; a subfolder of an inbox when it holds a file
named `_SEALED`. The ordinal is the order of dedup and of held-out choices, so it is recorded and never changes.
"""

from pathlib import Path

from pipelines.core.documents import BadKeyError, split_key
from pipelines.project import SourceConfig
from resources.mill import Mill

SEAL = "_SEALED"
FOLDER_NAMES = (
    "Its name becomes a partition key: rename it to lower-case letters, digits, _ . and -, 63 with the source's"
)


def seal_arrivals(mill: Mill) -> list[str]:
    """Seal what has arrived; returns the keys that were sealed now, in order."""
    known = mill.sealed()
    fresh = [key for key in arrived(mill) if key not in known]
    for key in fresh:
        mill.store.append("batches", {"key": key}, unique="key")
    return fresh


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
