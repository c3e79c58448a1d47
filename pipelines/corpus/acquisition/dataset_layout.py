"""Which files of a data set folder are one configuration and split, by the conventions of the Hugging Face Hub.

The card (`README.md`) and the names of the folder's files come in. Step 1: where the card's front matter has `configs`,
the patterns of the wanted configuration and split are taken from it. Step 2: without them, a folder of the
configuration's name is the configuration, and the split is read off the names: `data/train-00000-of-00008.parquet`, a
folder called `validation`, a file called `test.jsonl.gz`; where nothing names a split, all is `train`. Out goes a
`Layout`: the chosen names, the card's licence, and the shards that the names promise and the folder lacks.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import yaml
from pydantic import Field

from pipelines.core.config import Config
from pipelines.core.errors import GristmillError
from pipelines.corpus.acquisition.inventory import glob_matcher

CARD: Final = "README.md"
MAX_CARD_BYTES: Final = 4 << 20
_WORDS: Final = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "dev", "val"),
    "test": ("test", "testing", "eval", "evaluation"),
}
_DATA = re.compile(
    r"\.(?:parquet|jsonl?|ndjson|csv|tsv|txt|arrow)(?:\.(?:gz|zst|zstd|bz2|xz|lz4))?$|\.(?:jsonl?|csv|tsv|txt)$",
    re.IGNORECASE,
)
_SHARD = re.compile(r"(?:^|/)([^/]*?)-?(\d{5})-of-(\d{5})([^/]*)$")
_SPLIT_SHARD = re.compile(r"(?:^|/)(\w+(?:\.\w+)*)-\d{5}-of-\d{5}")
_MATTER = re.compile(r"\A\ufeff?---[ \t]*\r?\n(.*?)^---[ \t]*\r?$", re.DOTALL | re.MULTILINE)


class DatasetConfig(Config):
    """One configuration and split of a data set in the layout of the Hugging Face Hub."""

    config: str = Field("default", min_length=1, description="Name of the configuration (subset), e.g. `en`.")
    split: str = Field("train", min_length=1, description="Name of the split.")


class LayoutError(GristmillError, ValueError):
    """A configuration or split that the data set does not have; the message names those that it has."""


class Layout(NamedTuple):
    """The files of a split, the licence that the card states, and how many shards are missing."""

    names: list[str]
    licence: str
    missing_shards: int


def dataset_layout(card: bytes | None, names: Sequence[str], wanted: DatasetConfig) -> Layout:
    """The files among `names` that are the wanted split. Raises `LayoutError`."""
    matter = _front_matter(card)
    data = [name for name in names if _DATA.search(name) and not name.rpartition("/")[2].startswith(".")]
    configs = matter.get("configs")
    licence = matter.get("license")
    chosen = _declared(configs, data, wanted) if isinstance(configs, list) and configs else _inferred(data, wanted)
    if not chosen:
        raise LayoutError(
            f"the data set has no file of configuration {wanted.config!r}, split {wanted.split!r}: {_offer(data)}"
        )
    return Layout(sorted(chosen), licence if isinstance(licence, str) else "", _missing(chosen))


def _front_matter(card: bytes | None) -> Mapping[str, Any]:
    match = _MATTER.match((card or b"")[:MAX_CARD_BYTES].decode("utf-8", "replace"))
    if match is None:
        return {}
    try:
        matter = yaml.safe_load(match.group(1))
    except (yaml.YAMLError, RecursionError, ValueError):
        return {}
    return matter if isinstance(matter, dict) else {}


def _declared(configs: Sequence[Any], names: Sequence[str], wanted: DatasetConfig) -> list[str]:
    """Files by the card's own patterns."""
    known = [item for item in configs if isinstance(item, dict)]
    found = next((item for item in known if item.get("config_name", "default") == wanted.config), None)
    if found is None:
        offered = ", ".join(str(item.get("config_name", "default")) for item in known[:50])
        raise LayoutError(f"the data set has no configuration {wanted.config!r}; its card names: {offered or 'none'}")
    folder = str(found.get("data_dir") or "").strip("/")
    below = [name for name in names if not folder or name.startswith(f"{folder}/")]
    files = found.get("data_files")
    if files is None:
        return _of_split(below, wanted.split)
    entries = files if isinstance(files, list) else [files]
    patterns: list[str] = []
    splits: list[str] = []
    for entry in entries:
        split, path = (entry.get("split", "train"), entry.get("path")) if isinstance(entry, dict) else ("train", entry)
        splits.append(str(split))
        if split == wanted.split:
            patterns += [str(item) for item in (path if isinstance(path, list) else [path])]
    if not patterns:
        offered = ", ".join(dict.fromkeys(splits))
        raise LayoutError(f"configuration {wanted.config!r} has no split {wanted.split!r}; its card names: {offered}")
    prefix = f"{folder}/" if folder else ""
    matches = glob_matcher([prefix + pattern.removeprefix("./") for pattern in patterns])
    return [name for name in names if matches(name)]


def _inferred(names: Sequence[str], wanted: DatasetConfig) -> list[str]:
    """Files by folder and name."""
    if wanted.config != "default":
        names = [name for name in names if wanted.config in name.split("/")[:-1]]
    return _of_split(names, wanted.split)


def _of_split(names: Sequence[str], split: str) -> list[str]:
    splits = {name: _split_of(name) for name in names}
    if not any(splits.values()):
        return list(names) if split == "train" else []
    return [name for name, found in splits.items() if found == split]


def _split_of(name: str) -> str:
    """The split that a file's path names: by its shard, its folders, its words; empty if none does."""
    shard = _SPLIT_SHARD.search(name)
    if shard:
        return next((split for split, words in _WORDS.items() if shard.group(1) in words), shard.group(1))
    *folders, file = name.lower().split("/")
    for part in (*reversed(folders), file):
        words = re.split(r"[^a-z0-9]+", part)
        for split, known in _WORDS.items():
            if any(word in known for word in words):
                return split
    return ""


def _missing(names: Sequence[str]) -> int:
    """Shards that names of the form `train-00000-of-00008` promise and that are not there."""
    have: dict[tuple[str, str, int, str], set[int]] = {}
    for name in names:
        if match := _SHARD.search(name):
            stem, number, total, end = match.groups()
            key = (name.rpartition("/")[0], stem, int(total), end)
            have.setdefault(key, set()).add(int(number))
    return sum(max(0, total - len(numbers)) for (_, _, total, _), numbers in have.items())


def _offer(names: Sequence[str]) -> str:
    splits = sorted({_split_of(name) or "train" for name in names})
    folders = sorted({name.partition("/")[0] for name in names if "/" in name})
    where = f"in {', '.join(folders[:20]) or 'the root'}"
    return f"its {len(names)} data files are of the splits {', '.join(splits) or 'none'}, {where}"
