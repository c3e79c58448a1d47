"""A step of ours in a process of its own, with limits on time, memory and what it may write.

Engines for hostile binary formats (PDF, 7z) are C code or large parsers: a crash, a hang or a flood of memory in one of
them must cost one file. Step 1: the module runs as `python -m`, with its limits set before it reads a byte: processor
seconds, address space, size of a written file. Step 2: its standard output is the answer; another exit is a reason. A
start costs 0.1 to 0.2 s.
"""

import resource
import signal
import subprocess
import sys
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).resolve().parents[4]
WALL_FACTOR: Final = 10
"""Wall seconds per processor second that are waited for: a busy machine is no hostile file."""
REFUSED: Final = 3
"""Exit status of a step that found a reason in the file, which ends its standard error: a word, a colon, a sentence."""


class Limits(NamedTuple):
    """Processor seconds, address space in bytes, and the size of a file that may be written."""

    seconds: int
    memory: int
    written: int


class Answer(NamedTuple):
    """The step's output, or why there is none (`reason` set, `detail` for people)."""

    output: bytes
    reason: str = ""
    detail: str = ""


def run_guarded(module: str, arguments: list[str], limits: Limits) -> Answer:
    """Run `module` on `arguments`, which get the limits in front."""
    command = [sys.executable, "-m", module, ",".join(map(str, limits)), *arguments]
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            cwd=ROOT,
            timeout=limits.seconds * WALL_FACTOR,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired:
        return Answer(b"", "time_limit", f"not done after {limits.seconds * WALL_FACTOR} s")
    if done.returncode == 0:
        return Answer(done.stdout)
    lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
    if done.returncode == REFUSED and lines and ":" in lines[-1]:
        reason, _, words = lines[-1].partition(":")
        return Answer(b"", reason, words.strip())
    if done.returncode in (-signal.SIGXCPU, -signal.SIGKILL):
        return Answer(b"", "time_limit", f"more than {limits.seconds} s of processor time")
    if done.returncode < 0:
        return Answer(b"", "unreadable_file", f"its reader crashed: {signal.Signals(-done.returncode).name}")
    if any("MemoryError" in line for line in lines[-1:]):
        return Answer(b"", "memory_limit", f"more than {limits.memory >> 20} MiB")
    return Answer(b"", "unreadable_file", lines[-1] if lines else f"its reader ended with status {done.returncode}")


def guard(words: str) -> None:
    """Inside the child: set the limits that `run_guarded` passed."""
    seconds, memory, written = (int(word) for word in words.split(","))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 5))
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_FSIZE, (written, written))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # a write beyond the limit is an OSError then


def refuse(reason: str, words: str) -> None:
    """Inside the child: answer with a reason and end."""
    sys.stderr.write(f"\n{reason}: {' '.join(words.split())}\n")
    raise SystemExit(REFUSED)
