"""Calls that can be killed: a function over many items in a process of its own, where a bad item costs its own limit.

No signal and no thread stops a regular expression or a compiled kernel; only the end of its process does. So items go
in bundles to one child, which sets the kernel's limits anew before each of them: processor time (`ITIMER_PROF`, whose
signal ends the process) and address space (`RLIMIT_AS`, an allocation fails). The item whose time ran out is answered
with `Stopped`, and the rest of its bundle goes to a new child. A child that dies of anything else may have been brought
there by several items: its bundle is repeated item by item, and the item that dies again is `Stopped`. While the child
computes, the caller reads ahead one bundle.

Processor time, not time on the clock, so that a busy machine stops nobody; a child that neither computes nor answers
is killed after `STILL` times its limits. A bundle of 4 MB costs 3 ms (`arena`), a death the item's time and 1 s for a
new child.
The child ends when the pipe to its owner does: at once when idle, else when its item ends or meets its limits; and
after `IDLE_SECONDS` without work, so that its memory is there for the next stage.
"""

import contextlib
import multiprocessing
import os
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final, Generic, Literal, NamedTuple, TypeVar

import psutil

from resources.arena import Arena, new_arena

Item = TypeVar("Item")
Result = TypeVar("Result")
_Bundle = list[tuple[Item, int]]  # items with their sizes
SIZE_UNIT: Final = 1 << 20
"""For each MiB an item gets its time once more."""
STILL: Final = 30
STILL_SECONDS: Final = 0.1
"""A child that used less processor time than this while it was waited for is standing still."""
START_SECONDS: Final = 300.0
"""For the imports and the compilation of kernels in the child's first moments, on a machine that never ran them."""
IDLE_SECONDS: Final = 10.0
BUNDLE_ITEMS: Final = 64
BUNDLE_BYTES: Final = 4 << 20
_CHILD: Final = """
import sys
sys.path[:] = sys.argv[3:]
from resources.killable import serve
serve(int(sys.argv[1]), int(sys.argv[2]))
"""


class Limits(NamedTuple):
    """Of one item: processor seconds, and bytes of address space beyond what the process has before it."""

    seconds: float
    memory: int

    def time_of(self, size: int) -> float:
        """Processor seconds for an item of `size` bytes."""
        return self.seconds * (1 + size / SIZE_UNIT)


class Stopped(NamedTuple):
    """An item that was given up. `crash` is a process that died of anything but its limits."""

    reason: Literal["time", "memory", "crash"]
    detail: str


class _Death(NamedTuple):
    """How a child died, and the place in its bundle of the item whose time had run out, if that was it."""

    how: Stopped
    place: int | None


class KillableProcess(Generic[Item, Result]):
    """A child that applies `function` to items. `warm` runs once in each new child, without limits."""

    def __init__(self, function: Callable[[Item], Result], limits: Limits, warm: Callable[[], object]) -> None:
        self._function, self._limits, self._warm = function, limits, warm
        self._process: subprocess.Popen[bytes] | None = None
        self._pipe: Connection[Any, Any] | None = None
        self._arena: Arena | None = None

    def map(self, items: Iterable[Item], size: Callable[[Item], int]) -> Iterator[Result | Stopped]:
        """`function` of every item, in order, or why there is none; `size(item)` in bytes cuts bundles and adds time.

        An exception of `function` other than MemoryError is raised here.
        """
        finished = False
        try:
            bundles = _bundles(items, size)
            bundle = next(bundles, None)
            while bundle is not None:
                sent = self._send(bundle)
                following = next(bundles, None)
                yield from self._answers(bundle, sent)
                bundle = following
            finished = True
        finally:
            if not finished:  # answers that nobody waits for must not meet the next call
                self.close()

    def close(self) -> None:
        """End the child."""
        if self._pipe is not None:
            self._pipe.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        if self._arena is not None:
            self._arena.close()
        self._pipe = self._process = self._arena = None

    def _answers(self, bundle: "_Bundle[Item]", sent: bool) -> Iterator[Result | Stopped]:
        answers = self._receive(bundle) if sent else None
        if isinstance(answers, list):
            yield from answers
        elif isinstance(answers, _Death) and answers.place is not None:
            before, after = bundle[: answers.place], bundle[answers.place + 1 :]
            yield from self._answers(before, self._send(before)) if before else ()
            yield answers.how
            yield from self._answers(after, self._send(after)) if after else ()
        else:
            for one in bundle:
                answers = self._receive([one]) if self._send([one]) else None
                if isinstance(answers, list):
                    yield from answers
                else:
                    yield answers.how if answers else Stopped("crash", "the process died before it took the document")

    def _send(self, bundle: "_Bundle[Item]") -> bool:
        pipe, arena = self._started()
        try:
            pipe.send_bytes(arena.dumps(bundle))
        except OSError:
            self.close()
            return False
        return True

    def _receive(self, bundle: "_Bundle[Item]") -> list[Result | Stopped] | _Death:
        """The answers to a bundle, or how the child died over it."""
        pipe, process, arena = self._pipe, self._process, self._arena
        assert pipe is not None and process is not None and arena is not None
        try:
            if not self._answered(pipe, process.pid, bundle):
                self.close()
                return _Death(Stopped("time", f"no answer and no work for {STILL} times its time"), None)
            answers = pipe.recv()
        except (EOFError, OSError):
            code, place = process.wait(), arena.progress
            self.close()
            if code == -signal.SIGPROF:
                seconds = self._limits.time_of(bundle[place][1])
                return _Death(Stopped("time", f"more than {seconds:.3g} s of processor time"), place)
            if code == -signal.SIGKILL:
                return _Death(Stopped("memory", "killed from outside, most often for memory"), None)
            return _Death(Stopped("crash", f"the process ended with code {code}"), None)
        if isinstance(answers, BaseException):
            raise answers
        found: list[Result | Stopped] = answers
        return found

    def _answered(self, pipe: "Connection[Any, Any]", pid: int, bundle: "_Bundle[Item]") -> bool:
        """Wait for the answers to a bundle; False for a child that stands still, or takes longer than all its items."""
        with contextlib.suppress(psutil.Error):  # a child that is gone is seen by the read that follows
            used = _processor_seconds(pid)
            for _, size in bundle:
                if pipe.poll(STILL * self._limits.time_of(size)):
                    return True
                before, used = used, _processor_seconds(pid)
                if used - before < STILL_SECONDS:
                    return False
            return False
        return True

    def _started(self) -> "tuple[Connection[Any, Any], Arena]":
        if (
            self._pipe is not None
            and self._arena is not None
            and self._process is not None
            and self._process.poll() is None
        ):
            return self._pipe, self._arena
        self.close()
        ours, theirs = multiprocessing.Pipe()
        arena = new_arena()
        descriptors = [theirs.fileno(), arena.descriptor]
        # Not through `multiprocessing`: its children import the program that started them, which takes seconds.
        process = subprocess.Popen(
            [sys.executable, "-c", _CHILD, *map(str, descriptors), *sys.path], pass_fds=descriptors
        )
        theirs.close()
        self._pipe, self._process, self._arena = ours, process, arena
        with contextlib.suppress(OSError):  # a child that is gone already is seen by the read that follows
            ours.send((self._function, self._limits, self._warm))
        # A child that ends when nobody calls, idle or killed, is reaped by a thread that sleeps until then.
        threading.Thread(target=process.wait, name="reap", daemon=True).start()
        try:
            ready = ours.poll(START_SECONDS) and ours.recv()
        except (EOFError, OSError):
            ready = False
        if ready is not True:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(1.0)
            code = process.returncode
            self.close()
            raise (
                ready
                if isinstance(ready, BaseException)
                else RuntimeError(
                    f"a process for {self._function} did not start within {START_SECONDS:.0f} s (exit code {code})"
                )
            )
        return ours, arena


def _processor_seconds(pid: int) -> float:
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def _bundles(items: Iterable[Item], size: Callable[[Item], int]) -> "Iterator[_Bundle[Item]]":
    bundle: _Bundle[Item] = []
    weight = 0
    for item in items:
        bundle.append((item, size(item)))
        weight += bundle[-1][1]
        if weight >= BUNDLE_BYTES or len(bundle) >= BUNDLE_ITEMS:
            yield bundle
            bundle, weight = [], 0
    if bundle:
        yield bundle


def serve(descriptor: int, shared: int) -> None:
    """The child: function, limits and warm-up first, then bundles in, lists of answers out, until the pipe ends."""
    pipe: Connection[Any, Any] = Connection(descriptor)
    arena = Arena(shared)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        function, limits, warm = pipe.recv()
        warm()
    except BaseException as error:
        pipe.send(error)
        return
    pipe.send(True)
    with contextlib.suppress(EOFError, OSError):
        while pipe.poll(IDLE_SECONDS):
            bundle = arena.loads(pipe.recv_bytes())
            try:
                answers: Any = []
                for place, (item, size) in enumerate(bundle):
                    arena.progress = place
                    answers.append(_limited(function, item, limits.time_of(size), limits.memory))
            except Exception as error:
                answers = error
            _unlimited()
            pipe.send(answers)


def _limited(function: Callable[[Any], Any], item: Any, seconds: float, memory: int) -> Any:
    signal.setitimer(signal.ITIMER_PROF, seconds)
    if sys.platform == "linux":
        _limit_memory(_address_space() + memory)
    try:
        return function(item)
    except MemoryError:
        return Stopped("memory", f"more than {memory} bytes")


def _unlimited() -> None:
    signal.setitimer(signal.ITIMER_PROF, 0)
    _limit_memory(resource.RLIM_INFINITY)


def _limit_memory(soft: int) -> None:
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    if hard != resource.RLIM_INFINITY:
        soft = hard if soft == resource.RLIM_INFINITY else min(soft, hard)
    resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def _address_space() -> int:
    """Bytes of this process's address space now."""
    return int(Path("/proc/self/statm").read_bytes().split()[0]) * os.sysconf("SC_PAGE_SIZE")
