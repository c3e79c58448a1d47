"""A function over items in a process that can be killed: bad items cost their own limit, all others are answered."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from resources.killable import KillableProcess, Limits, Stopped

LIMITS = Limits(seconds=1, memory=256 << 20)


def behave(item: str) -> str:
    if item == "spin":
        while True:
            pass
    if item.startswith("busy "):  # seconds of processor time, and a file that says so
        started = time.process_time()
        with Path(item.split()[2]).open("a") as file:
            file.write("tried\n")
        while time.process_time() < started + float(item.split()[1]):
            pass
    if item == "eat":
        return str(len(bytearray(4 << 30)))
    if item == "sleep":
        time.sleep(60)
    if item == "die":
        os.kill(os.getpid(), signal.SIGSEGV)
    if item == "raise":
        raise ValueError("a defect of ours")
    return item.upper()


def ready() -> None:
    """Nothing to load."""


def refuse() -> None:
    raise RuntimeError("cannot start")


@pytest.fixture
def process() -> Iterator[KillableProcess[str, str]]:
    process: KillableProcess[str, str] = KillableProcess(behave, LIMITS, ready)
    yield process
    process.close()


def test_every_item_is_answered_in_order(process: KillableProcess[str, str]) -> None:
    items = [f"item {number}" for number in range(300)]
    assert list(process.map(items, len)) == [item.upper() for item in items]


def test_bad_items_cost_their_own_limit(process: KillableProcess[str, str]) -> None:
    items = ["a", "spin", "b", "eat", "c", "die", "d"]
    started = time.monotonic()
    answers = list(process.map(items, len))
    reasons = [answer.reason if isinstance(answer, Stopped) else answer for answer in answers]
    assert reasons == ["A", "time", "B", "memory", "C", "crash", "D"]
    assert time.monotonic() - started < 120
    assert answers[1] == Stopped("time", "more than 1 s of processor time")
    assert list(process.map(["e"], len)) == ["E"]


def test_a_bad_item_costs_its_time_once(process: KillableProcess[str, str], tmp_path: Path) -> None:
    """All others of its bundle are answered; what stood before it is done again, what comes after it is not."""
    bad, good = (f"busy {seconds} {tmp_path / name}" for seconds, name in ((9, "bad"), (0, "good")))
    answers = list(process.map([good, bad, good, bad], len))
    assert [isinstance(answer, Stopped) for answer in answers] == [False, True, False, True]
    assert (tmp_path / "bad").read_text().count("tried") == 2
    assert (tmp_path / "good").read_text().count("tried") == 4


def test_size_earns_time(process: KillableProcess[str, str], tmp_path: Path) -> None:
    busy = f"busy 1.5 {tmp_path / 'tries'}"
    small, large = (list(process.map([busy], lambda _, size=size: size)) for size in (0, 2 << 20))
    assert (small, large) == ([Stopped("time", "more than 1 s of processor time")], [busy.upper()])


def test_a_child_that_stands_still_is_not_waited_for(
    process: KillableProcess[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert list(process.map(["a"], len)) == ["A"]
    monkeypatch.setattr("resources.killable.STILL", 1)
    started = time.monotonic()
    answers = list(process.map(["a", "sleep", *"bcdefgh"], len))
    assert answers[1] == Stopped("time", "no answer and no work for 1 times its time")
    assert [*answers[:1], *answers[2:]] == [item.upper() for item in "abcdefgh"]
    assert time.monotonic() - started < 40


def test_a_defect_is_raised_here(process: KillableProcess[str, str]) -> None:
    with pytest.raises(ValueError, match="a defect of ours"):
        list(process.map(["a", "raise"], len))
    assert list(process.map(["b"], len)) == ["B"]


def test_a_process_that_cannot_start_says_why() -> None:
    process: KillableProcess[str, str] = KillableProcess(behave, LIMITS, refuse)
    with pytest.raises(RuntimeError, match="cannot start"):
        list(process.map(["a"], len))


def test_answers_nobody_waited_for_do_not_meet_the_next_call(process: KillableProcess[str, str]) -> None:
    answers = process.map([f"item {number}" for number in range(300)], len)
    assert next(answers) == "ITEM 0"
    answers.close()
    assert list(process.map(["a"], len)) == ["A"]


def test_the_child_ends_with_close(process: KillableProcess[str, str]) -> None:
    assert list(process.map(["a"], len)) == ["A"]
    child = process._process
    assert child is not None and child.poll() is None
    process.close()
    with pytest.raises(ProcessLookupError):
        os.kill(child.pid, 0)


@pytest.mark.skipif(not Path("/proc").exists(), reason="needs /proc")
def test_a_child_that_ends_idle_is_reaped_without_a_call(process: KillableProcess[str, str]) -> None:
    before = set(psutil.Process().children())
    assert list(process.map(["a"], len)) == ["A"]
    (child,) = set(psutil.Process().children()) - before
    os.kill(child.pid, signal.SIGTERM)
    deadline = time.monotonic() + 30
    while psutil.pid_exists(child.pid):
        assert time.monotonic() < deadline, psutil.Process(child.pid).status()
        time.sleep(0.05)
    assert list(process.map(["b"], len)) == ["B"]
