"""A folder of files in every encoding: each is a record or a counted drop, and each record becomes text."""

import zipfile
from collections import Counter
from pathlib import Path

from pipelines.corpus.acquisition.config import ReaderConfig
from pipelines.corpus.acquisition.inventory import file_path, take_inventory
from pipelines.corpus.acquisition.readers import read_records
from pipelines.corpus.acquisition.records import Drop, Record
from pipelines.corpus.extraction.config import ExtractionConfig
from pipelines.corpus.extraction.extract import DocumentContext, UnitFile, extract_unit
from tests.shared_data import shared

FOLDER = ReaderConfig(format="folder", html_suffixes=(".html", ".htm"))


def test_every_file_of_the_encodings_set_is_read_or_counted(tmp_path: Path) -> None:
    with zipfile.ZipFile(shared("encodings/chardet_tests.zip")) as archive:
        archive.extractall(tmp_path)
    inventory = take_inventory(tmp_path)
    assert inventory.found == len(inventory.files) == 423
    files = [UnitFile(file_path(tmp_path, name), name) for name in inventory.files["path"].to_pylist()]
    items = [item for file in files for item in read_records(file.path, file.name, FOLDER)]
    assert len({item.locator.partition("#")[0] for item in items}) == 423
    reasons = Counter(item.reason for item in items if isinstance(item, Drop))
    kept = sum(isinstance(item, Record) for item in items)
    assert kept + sum(reasons.values()) == len(items)
    assert set(reasons) <= {"binary_file", "empty_record"}, reasons
    context = DocumentContext("s", "b", "d")
    parts = list(extract_unit(files, "s.b", context, FOLDER, ExtractionConfig()))
    records = sum(part.counts["records"] for part in parts)
    dropped = sum(count for part in parts for name, count in part.counts.items() if name.startswith("dropped/"))
    assert records == len(items) == sum(part.counts["kept"] for part in parts) + dropped
    assert kept > 380
