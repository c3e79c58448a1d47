"""Run workers end with their code server, code servers with the Dagster process above them; others go on."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from resources.lifeline import end_with_owner, start_guard
from tests.resources.processes import ROOT, wait_until

OWNER = f"""
import subprocess, sys
sys.path.insert(0, {str(ROOT)!r})
from tests.resources import test_lifeline
if __name__ == "__main__":
    test_lifeline.own(sys.argv[1:])
"""


def sleep_tied(ready: str) -> None:
    """A run worker: tied to its owner, it would sleep for ever."""
    end_with_owner()
    Path(ready).write_text(str(os.getpid()))
    time.sleep(600)


def own(arguments: list[str]) -> None:
    """An owner that waits for its child: a `multiprocessing` one, or another program with the words given."""
    kind, ready, *words = arguments
    if kind == "worker":
        child = multiprocessing.get_context("spawn").Process(target=sleep_tied, args=(ready,))
        child.start()
        child.join()
    else:
        code = f"import sys; from tests.resources.test_lifeline import sleep_tied; sleep_tied({ready!r})"
        subprocess.run([sys.executable, "-c", code, *words], cwd=ROOT, check=False)


def child_of_killed_owner(tmp_path: Path, name: str, *arguments: str) -> psutil.Process:
    """Start an owner under the given program name, wait for its child, kill the owner; gives the child."""
    program, ready = tmp_path / name, tmp_path / "ready"
    program.write_text(OWNER)
    owner = subprocess.Popen([sys.executable, str(program), arguments[0], str(ready), *arguments[1:]], cwd=ROOT)
    try:
        wait_until(lambda: ready.exists() and bool(ready.read_text()))
        child = psutil.Process(int(ready.read_text()))
    finally:
        owner.kill()
        owner.wait()
    return child


def is_alive(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


@pytest.mark.parametrize(
    ("name", "arguments"),
    [("server.py", ("worker",)), ("dagster-daemon", ("server", "--heartbeat"))],
    ids=["run worker", "code server"],
)
def test_what_dagster_started_ends_with_its_owner(tmp_path: Path, name: str, arguments: tuple[str, ...]) -> None:
    child = child_of_killed_owner(tmp_path, name, *arguments)
    wait_until(lambda: not is_alive(child), seconds=15)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [("shell", ("server", "--heartbeat")), ("dagster-daemon", ("server",))],
    ids=["a shell's code server", "a code server of its own"],
)
def test_what_somebody_else_started_goes_on(tmp_path: Path, name: str, arguments: tuple[str, ...]) -> None:
    child = child_of_killed_owner(tmp_path, name, *arguments)
    try:
        time.sleep(2)
        assert is_alive(child)
    finally:
        child.kill()


def heed_sigterm() -> None:
    """In a child: a whole session of tests may leave SIGTERM ignored or blocked, and programs inherit that."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])


def guarded(ready: str) -> None:
    """What `gristmill ui` does: a guard, then another program that starts a third one, and sleeps."""
    start_guard()
    code = (
        "import subprocess, sys, time; child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])"
    )
    code += f"; open({ready!r}, 'w').write(str(child.pid)); time.sleep(600)"
    os.execv(sys.executable, [sys.executable, "-c", code])


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_guarded_program_leaves_nothing_behind(tmp_path: Path, number: signal.Signals) -> None:
    ready = tmp_path / "ready"
    code = f"from tests.resources.test_lifeline import guarded; guarded({str(ready)!r})"
    owner = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, preexec_fn=heed_sigterm)
    wait_until(lambda: ready.exists() and bool(ready.read_text()))
    child = psutil.Process(int(ready.read_text()))
    guards = [process for process in psutil.Process(owner.pid).children() if process != child]
    assert len(guards) == 1
    time.sleep(1)
    assert is_alive(child)
    owner.send_signal(number)
    status = Path(f"/proc/{owner.pid}/status")
    wait_until(lambda: owner.poll() is not None, seconds=30, doing=status.read_text)
    wait_until(lambda: not is_alive(child) and not is_alive(guards[0]), seconds=15)
