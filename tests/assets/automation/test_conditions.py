"""The condition of a corpus asset, evaluated tick by tick on a chain of three assets by batch."""

from collections.abc import Iterator

import dagster as dg
import pytest

from assets.automation.conditions import corpus_condition

BATCHES = dg.DynamicPartitionsDefinition(name="toy.batches")
SLOW = dg.AssetKey("benchmarks")
CHAIN = ("files", "text", "tokens")
VERSIONS: dict[str, str] = {}
"""Asset -> the data version that it gives when it is materialized."""


def link(name: str, upstream: tuple[str, ...]) -> dg.AssetsDefinition:
    @dg.asset(name=name, deps=list(upstream), partitions_def=BATCHES, automation_condition=corpus_condition([SLOW]))
    def body() -> dg.MaterializeResult:
        return dg.MaterializeResult(data_version=dg.DataVersion(VERSIONS.get(name, "1")))

    return body


@dg.asset(key=SLOW)
def benchmarks() -> dg.MaterializeResult:
    return dg.MaterializeResult(data_version=dg.DataVersion(VERSIONS.get("benchmarks", "1")))


DEFINITIONS = dg.Definitions(
    [benchmarks, link("files", ()), link("text", ("files", "benchmarks")), link("tokens", ("text",))]
)


class Corpus:
    """An instance and a cursor: what one tick after the other would ask for."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self.instance, self.cursor = instance, None

    def arrive(self, key: str) -> None:
        self.instance.add_dynamic_partitions(BATCHES.name or "", [key])

    def tick(self) -> set[tuple[str, str]]:
        result = dg.evaluate_automation_conditions(DEFINITIONS, self.instance, cursor=self.cursor)
        self.cursor = result.cursor
        return {
            (asset, key)
            for asset in CHAIN
            for key in result.get_requested_partitions(dg.AssetKey(asset))
            if key is not None
        }

    def run(self, *assets: str, key: str | None = None) -> None:
        job = DEFINITIONS.resolve_implicit_global_asset_job_def()
        selection = [dg.AssetKey(asset) for asset in assets]
        assert job.execute_in_process(instance=self.instance, partition_key=key, asset_selection=selection).success


@pytest.fixture
def corpus() -> Iterator[Corpus]:
    VERSIONS.clear()
    with dg.DagsterInstance.ephemeral() as instance:
        corpus = Corpus(instance)
        corpus.run("benchmarks")
        for key in ("a.1", "a.2"):
            corpus.arrive(key)
            corpus.run(*CHAIN, key=key)
        assert corpus.tick() == set(), "a finished corpus asks for nothing at the first tick of a daemon"
        yield corpus


def test_a_new_key_is_asked_for_once_and_alone(corpus: Corpus) -> None:
    corpus.arrive("a.3")
    assert corpus.tick() == {(asset, "a.3") for asset in CHAIN}
    assert corpus.tick() == set(), "what was asked for is not asked for again, run or not"
    corpus.run(*CHAIN, key="a.3")
    assert corpus.tick() == set()
    assert corpus.tick() == set()


def test_a_key_that_is_there_before_the_first_tick_of_a_daemon_is_asked_for(corpus: Corpus) -> None:
    """A batch may be sealed while no daemon runs, or in the same seconds in which one starts."""
    corpus.arrive("a.3")
    corpus.cursor = None
    assert corpus.tick() == {(asset, "a.3") for asset in CHAIN}
    assert corpus.tick() == set()


def test_equal_rows_upstream_ask_for_nothing(corpus: Corpus) -> None:
    corpus.run("files", key="a.1")
    assert corpus.tick() == set()


def test_changed_rows_ask_for_what_is_below_them_for_their_key(corpus: Corpus) -> None:
    VERSIONS["text"] = "2"
    corpus.run("text", key="a.2")
    assert corpus.tick() == {("tokens", "a.2")}
    assert corpus.tick() == set()


def test_what_changed_in_a_run_with_everything_below_is_no_news(corpus: Corpus) -> None:
    """The daemon may see the change of `text` one tick before that of `tokens`, with the run ended between."""
    VERSIONS["text"] = "2"
    corpus.run("text", "tokens", key="a.2")
    assert corpus.tick() == set()


def test_slow_inputs_ask_for_nothing(corpus: Corpus) -> None:
    VERSIONS["benchmarks"] = "2"
    corpus.run("benchmarks")
    assert corpus.tick() == set()


def test_a_key_waits_for_missing_inputs(corpus: Corpus) -> None:
    corpus.instance.wipe_assets([SLOW])
    corpus.arrive("a.3")
    assert corpus.tick() == {("files", "a.3")}
    corpus.run("files", key="a.3")
    assert corpus.tick() == set()
    corpus.run("benchmarks")
    assert corpus.tick() == {("text", "a.3"), ("tokens", "a.3")}
