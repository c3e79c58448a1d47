"""Neither worker counts nor the order in which parts are done nor the place of home and data change a digest."""

import random
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from assets.graph import all_recipes
from resources.compute import ComputeEngine
from resources.store import Reference
from tests.end_to_end.conftest import FinishedRun, finish

SHUFFLED = ("-m", "tests.end_to_end.test_determinism")
"""This module as a program: the command line with a compute engine that does parts in a seeded random order."""


class ShuffledEngine(ComputeEngine):
    """Does the tasks of a map one by one in a random order; counts the maps whose order was really another."""

    generator = random.Random(20)
    reordered = 0

    def map(
        self,
        function: Callable[[Any], Any],
        tasks: Iterable[Any],
        done: Callable[[int, Any], Any] | None = None,
    ) -> list[Any]:
        items = list(tasks)
        order = list(range(len(items)))
        self.generator.shuffle(order)
        ShuffledEngine.reordered += order != sorted(order)
        results: dict[int, Any] = {}
        for index in order:
            results[index] = function(items[index])
            if done:
                done(index, results[index])
        return [results[index] for index in range(len(items))]


def references(run: FinishedRun) -> dict[str, Reference]:
    """Every reference of a home's store by its path, which names asset, key and version."""
    return dict(run.mill.store.referenced())


@pytest.mark.parametrize(("workers", "program"), [(1, ("-m", "assets.cli")), (2, SHUFFLED)], ids=["one", "shuffled"])
def test_worker_count_part_order_and_place_change_no_digest(
    small_run: FinishedRun, tmp_path: Path, workers: int, program: tuple[str, ...]
) -> None:
    """Action, content and manifest of every artifact: pure, recorded, and trained on the same number of threads."""
    other, said = finish(tmp_path, workers=workers, program=program)
    if program is SHUFFLED:
        reordered = sum(int(command.stdout.rpartition("reordered maps: ")[2]) for command in said)
        assert reordered > 20, "the project has too few parts for their order to mean anything"
    expected, found = references(small_run), references(other)
    assert {path for path in expected.keys() | found.keys() if expected.get(path) != found.get(path)} == set()
    manifests = [other.mill.store.open(reference.manifest).manifest for reference in found.values()]
    assert {manifest.asset for manifest in manifests} == set(all_recipes(other.mill.project)), "an asset is missing"


if __name__ == "__main__":
    import resources.mill

    resources.mill.ComputeEngine = ShuffledEngine  # type: ignore[misc]
    from assets.cli import main

    code = main()
    print(f"reordered maps: {ShuffledEngine.reordered}")
    sys.exit(code)
