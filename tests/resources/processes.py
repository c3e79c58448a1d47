"""Processes for the tests that kill and race."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def start(*arguments: str, failpoint: str | None = None, module: str = "tests.resources.toys") -> subprocess.Popen[str]:
    """A process that runs `main(arguments)` of `module` under its own name, and dies at a failpoint if one is named."""
    environment = {name: value for name, value in os.environ.items() if name != "GRISTMILL_FAILPOINT"}
    if failpoint is not None:
        environment["GRISTMILL_FAILPOINT"] = failpoint
    return subprocess.Popen(
        [sys.executable, "-c", f"import sys, {module} as module; module.main(sys.argv[1:])", *arguments],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> str:
    """The standard output of a process that must end well."""
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return out


def finish_killed(process: subprocess.Popen[str]) -> None:
    _, err = process.communicate(timeout=120)
    assert process.returncode == -signal.SIGKILL, (process.returncode, err)


def wait_until(
    condition: Callable[[], bool], seconds: float = 60.0, doing: Callable[[], str] = lambda: "no more is known"
) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds:.0f} s in vain: {doing()}"
        time.sleep(0.02)
