"""Presets: rows as the published sets have them, read without a field declared."""

import gzip
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.corpus.acquisition.config import ReaderConfig
from pipelines.corpus.acquisition.presets import PRESETS, PresetName
from pipelines.corpus.acquisition.readers import read_records
from pipelines.corpus.acquisition.records import Record

MOMENT = datetime(2019, 4, 25, 12, 57, 54, tzinfo=UTC)
ROWS: dict[str, tuple[dict[str, Any], str | None, datetime | None, set[str]]] = {
    "refinedweb": (
        {"content": "T", "url": "u", "timestamp": MOMENT, "dump": "d", "segment": "s", "image_urls": [["a", "b"]]},
        "u", MOMENT, {"dump", "segment"},
    ),
    "c4": ({"text": "T", "timestamp": "2019-04-25T12:57:54Z", "url": "u"}, "u", MOMENT, set()),
    "dolma": (
        {"id": "i", "text": "T", "source": "cc", "created": "2019-04-25T12:57:54.000Z", "added": "a", "version": "v",
         "metadata": {"url": "u", "length": 5}},
        "u", MOMENT, {"source", "added", "version", "record_id"},
    ),
    "dclm": (
        {"text": "T", "url": "u", "previous_word_count": 9, "language_id_whole_page_fasttext": {"en": 0.9},
         "fasttext_openhermes_reddit_eli5_vs_rw_v2_bigram_200_train_prob": 0.02, "warcinfo": "w",
         "metadata": {"WARC-Date": "2019-04-25T12:57:54Z", "WARC-Record-ID": "<urn:uuid:1>"}},
        "u", MOMENT,
        {"record_id", "previous_word_count", "fasttext_openhermes_reddit_eli5_vs_rw_v2_bigram_200_train_prob"},
    ),
    "fineweb": (
        {"text": "T", "id": "i", "dump": "d", "url": "u", "date": "2019-04-25T12:57:54Z", "file_path": "f",
         "language": "en", "language_score": 0.9, "token_count": 3},
        "u", MOMENT, {"record_id", "dump", "file_path", "language_score", "token_count"},
    ),
    "openwebtext": ({"text": "T"}, None, None, set()),
    "pile": ({"text": "T", "meta": {"pile_set_name": "Books3"}}, None, None, {"meta.pile_set_name"}),
    "redpajama": (
        {"text": "T", "meta": {"url": "u", "timestamp": "2019-04-25T12:57:54", "source": "s"}}, "u", MOMENT,
        {"meta.source"},
    ),
    "wikipedia": ({"id": "1", "url": "u", "title": "t", "text": "T"}, "u", None, {"record_id", "title"}),
    "bookcorpus": ({"text": "T"}, None, None, set()),
    "pg19": (
        {"short_book_title": "b", "publication_date": 1850, "url": "u", "text": "T"}, "u", None,
        {"short_book_title", "publication_date"},
    ),
    "gutenberg": ({"id": "7", "text": "T"}, None, None, {"record_id"}),
}  # fmt: skip


def test_every_preset_has_its_row() -> None:
    assert set(ROWS) == set(PRESETS) == set(get_args(PresetName))


@pytest.mark.parametrize("name", ROWS)
def test_a_row_is_read_as_published(tmp_path: Path, name: str) -> None:
    row, url, moment, meta = ROWS[name]
    config = ReaderConfig.model_validate({"preset": name})
    path = tmp_path / "part"
    if config.format == "parquet":
        table = pa.Table.from_pylist([row])
        if "timestamp" in row:
            table = table.set_column(2, "timestamp", table["timestamp"].cast(pa.timestamp("ns", "UTC")))
        pq.write_table(table, path)
    else:
        path.write_bytes(gzip.compress(json.dumps(row).encode() + b"\n"))
    (found,) = read_records(path, "x", config)
    assert isinstance(found, Record)
    assert (found.body, found.url, found.fetched_at, set(found.meta)) == ("T", url, moment, meta)


def test_what_is_written_beside_a_preset_goes_before_and_the_preset_is_no_identity() -> None:
    spelled = {"format": "jsonl", "url_field": "link", "date_field": "timestamp"}
    config = ReaderConfig.model_validate({"preset": "c4", "url_field": "link"})
    assert config.identity() == ReaderConfig.model_validate(spelled).identity()
    with pytest.raises(ValueError, match="refinedweb"):
        ReaderConfig.model_validate({"preset": "c5"})
