"""The inventory to units of work: what one worker reads as one run of records.

Consecutive small files are packed together up to `part_bytes` on disk; a file at or above that is a unit of its own. A
unit gives one part or more; units are numbered in the inventory's order, so (unit, position) orders a batch's records.
"""

from typing import NamedTuple

import pyarrow as pa

from pipelines.corpus.extraction.config import ExtractionConfig


class Unit(NamedTuple):
    """Files by their inventory paths, in order, with their size on disk."""

    number: int
    files: tuple[str, ...]
    bytes: int


def plan_units(inventory: pa.Table, config: ExtractionConfig) -> list[Unit]:
    """Units of an inventory (`acquisition.inventory.INVENTORY_SCHEMA`, sorted by path)."""
    units: list[Unit] = []
    files: list[str] = []
    total = 0

    def close() -> None:
        nonlocal files, total
        if files:
            units.append(Unit(len(units), tuple(files), total))
            files, total = [], 0

    for path, size in zip(inventory["path"].to_pylist(), inventory["bytes"].to_pylist(), strict=True):
        if total + size > config.part_bytes:
            close()
        files.append(path)
        total += size
    close()
    return units
