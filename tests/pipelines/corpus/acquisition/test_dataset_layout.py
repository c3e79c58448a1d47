"""Data set folders of the Hub: configurations and splits by card and by name."""

import pytest

from pipelines.corpus.acquisition.dataset_layout import DatasetConfig, LayoutError, dataset_layout

SHARDS = [f"data/train-{n:05d}-of-00003.parquet" for n in range(3)]
CARD = b"""---
license: odc-by
configs:
- config_name: default
  data_files:
  - split: train
    path: data/train-*
  - split: validation
    path: ["dev/*.parquet", "more/*.parquet"]
- config_name: zh
  data_dir: zh
- config_name: all
  data_files: "**/*.parquet"
---
# A data set
"""


def names(card: bytes | None, files: list[str], config: str = "default", split: str = "train") -> list[str]:
    return dataset_layout(card, files, DatasetConfig(config=config, split=split)).names


def test_a_card_names_the_files() -> None:
    files = [*SHARDS, "dev/a.parquet", "more/b.parquet", "zh/train.parquet", "zh/test.parquet", "README.md"]
    assert names(CARD, files) == SHARDS
    assert names(CARD, files, split="validation") == ["dev/a.parquet", "more/b.parquet"]
    assert names(CARD, files, "zh") == ["zh/train.parquet"]
    assert names(CARD, files, "zh", "test") == ["zh/test.parquet"]
    assert len(names(CARD, files, "all")) == 7
    assert dataset_layout(CARD, files, DatasetConfig()).licence == "odc-by"


@pytest.mark.parametrize(
    ("files", "config", "split", "expected"),
    [
        ([*SHARDS, "data/test-00000-of-00001.parquet", ".gitattributes"], "default", "train", SHARDS),
        (["a.parquet", "b.parquet"], "default", "train", ["a.parquet", "b.parquet"]),
        (["my-dev-set.jsonl.gz", "my_train_1.jsonl.gz"], "default", "validation", ["my-dev-set.jsonl.gz"]),
        (["training/1.csv", "evaluation/1.csv"], "default", "test", ["evaluation/1.csv"]),
        (["restrained.json", "train.json"], "default", "train", ["train.json"]),
        (["en/train-00000-of-00001.parquet", "de/train-00000-of-00001.parquet"], "de", "train",
         ["de/train-00000-of-00001.parquet"]),
        (["data/extra-00000-of-00001.parquet", *SHARDS], "default", "extra", ["data/extra-00000-of-00001.parquet"]),
    ],
)  # fmt: skip
def test_names_say_it_without_a_card(files: list[str], config: str, split: str, expected: list[str]) -> None:
    assert names(None, files, config, split) == expected


def test_missing_shards_are_counted() -> None:
    assert dataset_layout(None, SHARDS, DatasetConfig()).missing_shards == 0
    assert dataset_layout(None, SHARDS[1:2], DatasetConfig()).missing_shards == 2


@pytest.mark.parametrize(
    ("card", "config", "split", "words"),
    [
        (CARD, "fr", "train", "its card names: default, zh, all"),
        (CARD, "default", "test", "its card names: train, validation"),
        (None, "default", "test", "of the splits train"),
        (None, "fr", "train", "no file of configuration 'fr'"),
    ],
)
def test_what_is_not_there_is_told_with_what_is(card: bytes | None, config: str, split: str, words: str) -> None:
    with pytest.raises(LayoutError) as error:
        names(card, SHARDS, config, split)
    assert words in str(error.value)


@pytest.mark.parametrize(
    "card",
    [
        b"---\n[[[[\n---\n",
        b"---\n" + b"[" * 5000 + b"\n---\n",
        b"---\njust text\n---\n",
        b"",
        b"---\nconfigs: 5\n---\n",
    ],
)
def test_a_broken_card_is_no_card(card: bytes) -> None:
    assert names(card, SHARDS) == SHARDS
