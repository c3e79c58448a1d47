"""Layouts of published data sets: format and fields as their files have them.

A preset fills the fields of a `reader` that the project file leaves open. The names are those of the data sets' own
cards; where a set exists in several forms, it is the one that its publisher gives out now.
"""

from collections.abc import Mapping
from typing import Any, Final, Literal, NamedTuple

PresetName = Literal[
    "refinedweb",
    "c4",
    "dolma",
    "dclm",
    "fineweb",
    "openwebtext",
    "pile",
    "redpajama",
    "wikipedia",
    "bookcorpus",
    "pg19",
    "gutenberg",
]


class Preset(NamedTuple):
    """`fields` of a reader, and where the files of the set lie in it, for `include`."""

    fields: Mapping[str, Any]
    files: str


_DCLM_SCORE: Final = "fasttext_openhermes_reddit_eli5_vs_rw_v2_bigram_200_train_prob"

PRESETS: Final[Mapping[str, Preset]] = {
    "refinedweb": Preset(
        {
            "format": "parquet",
            "text_field": "content",
            "url_field": "url",
            "date_field": "timestamp",
            "meta_fields": ("dump", "segment"),
        },
        "data/*.parquet",
    ),
    "c4": Preset({"format": "jsonl", "url_field": "url", "date_field": "timestamp"}, "en/c4-train.*.json.gz"),
    "dolma": Preset(
        {
            "format": "jsonl",
            "id_field": "id",
            "url_field": "metadata.url",
            "date_field": "created",
            "meta_fields": ("source", "added", "version"),
        },
        "**/*.json.gz",
    ),
    "dclm": Preset(
        {
            "format": "jsonl",
            "id_field": "metadata.WARC-Record-ID",
            "url_field": "url",
            "date_field": "metadata.WARC-Date",
            "meta_fields": (_DCLM_SCORE, "previous_word_count"),
        },
        "**/*.jsonl.zst",
    ),
    "fineweb": Preset(
        {
            "format": "parquet",
            "id_field": "id",
            "url_field": "url",
            "date_field": "date",
            "language_field": "language",
            "meta_fields": ("dump", "file_path", "language_score", "token_count"),
        },
        "data/**/*.parquet",
    ),
    "openwebtext": Preset({"format": "parquet"}, "plain_text/*.parquet"),
    "pile": Preset({"format": "jsonl", "meta_fields": ("meta.pile_set_name",)}, "**/*.jsonl.zst"),
    "redpajama": Preset(
        {
            "format": "jsonl",
            "url_field": "meta.url",
            "date_field": "meta.timestamp",
            "meta_fields": ("meta.source", "meta.title", "red_pajama_subset"),
        },
        "**/*.jsonl*",
    ),
    "wikipedia": Preset(
        {"format": "parquet", "id_field": "id", "url_field": "url", "meta_fields": ("title",)}, "*/train-*.parquet"
    ),
    "bookcorpus": Preset({"format": "parquet"}, "**/*.parquet"),
    "pg19": Preset(
        {"format": "parquet", "url_field": "url", "meta_fields": ("short_book_title", "publication_date")},
        "**/*.parquet",
    ),
    "gutenberg": Preset({"format": "parquet", "id_field": "id"}, "data/*.parquet"),
}
