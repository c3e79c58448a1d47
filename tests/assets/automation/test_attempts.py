"""What a failed run says about its batch, from runs of a real instance; and when a thing is asked for again."""

from collections.abc import Iterator

import dagster as dg
import pytest
from dagster._core.storage.tags import PARTITION_NAME_TAG, RUN_KEY_TAG

from assets.automation.attempts import Ending, Failures, ending, failures_of, next_attempt
from assets.recipe import NotReadyError

KEY = "manual.one"


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def end(instance: dg.DagsterInstance, error: Exception | None, tags: dict[str, str] | None = None) -> dg.DagsterRun:
    """A run of `KEY` that ended with `error`, or well."""

    @dg.op
    def step() -> None:
        if error is not None:
            raise dg.Failure(str(error), allow_retries=False) from error

    @dg.job
    def batch() -> None:
        step()

    tags = {PARTITION_NAME_TAG: KEY, **(tags or {})}
    result = batch.execute_in_process(instance=instance, tags=tags, raise_on_error=False)
    return result.dagster_run


def kill(instance: dg.DagsterInstance, tags: dict[str, str] | None = None) -> dg.DagsterRun:
    """A run of `KEY` that was killed and reaped: it failed, and no step of it did."""

    @dg.job
    def batch() -> None:
        pass

    run = instance.create_run_for_job(batch, tags={PARTITION_NAME_TAG: KEY, **(tags or {})})
    instance.report_run_failed(run, "its process is gone")
    return instance.get_run_by_id(run.run_id) or run


def test_how_a_run_ended_is_read_from_its_events(instance: dg.DagsterInstance) -> None:
    assert ending(instance, end(instance, ValueError("a bad page"))) is Ending.OWN
    assert ending(instance, end(instance, NotReadyError("an earlier batch"))) is Ending.OUTSIDE
    assert ending(instance, kill(instance)) is Ending.KILLED


def test_kills_and_waits_do_not_use_up_the_attempts_of_a_batch(instance: dg.DagsterInstance) -> None:
    for _ in range(4):
        kill(instance)
        end(instance, NotReadyError("an earlier batch"))
    end(instance, ValueError("a bad page"))
    assert failures_of(instance, KEY) == Failures(own=1, killed=4)
    assert not failures_of(instance, KEY).too_many
    end(instance, ValueError("a bad page"))
    end(instance, ValueError("a bad page"))
    assert failures_of(instance, KEY).too_many
    end(instance, None)
    assert failures_of(instance, KEY) == Failures(own=0, killed=0)


def test_a_batch_that_is_always_killed_is_too_much_in_the_end(instance: dg.DagsterInstance) -> None:
    for _ in range(9):
        kill(instance)
    assert not failures_of(instance, KEY).too_many
    kill(instance)
    assert failures_of(instance, KEY).too_many


def test_what_failed_is_asked_for_under_a_new_run_key(instance: dg.DagsterInstance) -> None:
    assert next_attempt(instance, "snapshot-x") == "snapshot-x-a1"
    end(instance, ValueError("no"), {RUN_KEY_TAG: "snapshot-x-a1"})
    assert next_attempt(instance, "snapshot-x") == "snapshot-x-a2"
    kill(instance, {RUN_KEY_TAG: "snapshot-x-a2"})
    assert next_attempt(instance, "snapshot-x") == "snapshot-x-a3"
    end(instance, None, {RUN_KEY_TAG: "snapshot-x-a3"})
    assert next_attempt(instance, "snapshot-x") is None
    assert next_attempt(instance, "snapshot-y") == "snapshot-y-a1"


def test_three_failures_are_enough_and_a_cancel_is_final(instance: dg.DagsterInstance) -> None:
    for number in (1, 2, 3):
        assert next_attempt(instance, "round") == f"round-a{number}"
        end(instance, ValueError("no"), {RUN_KEY_TAG: f"round-a{number}"})
    assert next_attempt(instance, "round") is None
    cancelled = kill(instance, {RUN_KEY_TAG: "other-a1"})
    instance.report_run_canceled(cancelled)
    assert next_attempt(instance, "other") is None
