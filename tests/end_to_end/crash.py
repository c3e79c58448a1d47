"""The crash project: `kill -9`, again and again on one store; in the end nothing tells it from an undisturbed one.

    python -m tests.end_to_end.crash --kills 30 --seed 1

1. The reference: the small project is run, a batch arrives, it is run again. Nobody disturbs it.
2. The recorded roots (`source_files` and the ordinals of the batches) are copied into a second home, whose project lies
   in another folder. From them everything is made again, by `gristmill run` and by the daemon with its sensors on.
   Processes are killed at failpoints and at random moments; after each kill no process may be left over, and the
   next launch goes on from what it finds.
3. One undisturbed run ends it. Then every reference, ledger entry, loss curve and file of the two stores is compared,
   after `verify` and `gc --delete` in both; in Dagster no run may be left open and no slot taken.

What is killed: the command, a worker of its pool, the trainer, the daemon, a code server, a run worker. The seed
decides what comes when; how far a process has got at a random moment is the machine's affair.
"""

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final, NamedTuple

import psutil

from pipelines.core.fingerprint import digest_file
from resources.failpoints import NAMES
from resources.home import ROOT, library_digest
from resources.housekeeping import collect, verify
from tests.end_to_end.blows import ANY_MOMENT, Blow, Launch, launches
from tests.end_to_end.crash_home import PROJECT, CrashError, Home
from tests.end_to_end.small_project import STEPS, arrive

BASE_BATCHES: Final = ("manual.one", "manual.two", "code.first")
LATE: Final = "late"
ORPHAN_GRACE_SECONDS: Final = 20.0
"""How long a process may outlive its owner; a code server looks twice a second, all others are told by the kernel."""
WAIT_SECONDS: Final = 240.0
"""For a command to reach a failpoint or to end; nothing in the small project takes as long."""
TARGET_SECONDS: Final = 90.0
"""For the daemon to start a run; beyond it the blow falls on the daemon."""
MAX_MISSES: Final = 2
"""Launches in a row that end undisturbed, because a phase has nothing left to do; then any moment will do."""
COMMAND: Final = ("-m", "assets.cli", "run")
DAEMON: Final = ("-m", "dagster._daemon", "run", "-w", str(ROOT / "workspace.yaml"))
ROUND_STEPS: Final = 160
"""More than the small project's, so that a training of the round can be killed several times on its way."""
SHARES: Final = {"base corpus": 0.34, "base training": 0.26, "round corpus": 0.17, "round training": 0.23}
"""Of the kills, by phase."""


class MissedError(RuntimeError):
    """A launch ended by itself before the blow fell."""


class Killed(NamedTuple):
    """One line of the log."""

    target: str
    pid: int
    phase: str
    doing: str
    how: str
    seconds: float


def record_roots(reference: Home, other: Home, keys: Iterable[str]) -> None:
    """Copy what was recorded of these batches: ordinals, inventories with their memo and reference."""
    for key in keys:
        artifact = reference.store.latest("source_files", key)
        if artifact is None:
            raise CrashError(f"the reference has no source_files of {key}")
        action = artifact.manifest.action
        objects = [artifact.digest, *(file.object for part in artifact.parts for file in part.files.values())]
        paths = [f"objects/{digest[:2]}/{digest}" for digest in objects]
        paths.append(f"memo/actions/{action[:2]}/{action}.json")
        paths += [
            f"refs/{PROJECT}/source_files/{key}/{number}.json"
            for number in range(1, len(reference.store.references("source_files", key)) + 1)
        ]
        ordinals = [entry["key"] for entry in reference.store.ledger("batches")]
        paths.append(f"ledger/{PROJECT}/batches/{ordinals.index(key) + 1}.json")
        for path in paths:
            target = other.root / path
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(reference.root / path, target)


class Crashes:
    """The home that is crashed, and the log of it."""

    def __init__(self, home: Home, folder: Path, tell: Callable[[str], None]) -> None:
        self.home, self.folder, self.tell = home, folder, tell
        self.killed: list[Killed] = []
        self.doing = ""
        """What was last seen being made in this launch."""

    def phase(self, phase: str, until: int, wanted: int, chance: random.Random) -> None:
        """Launch and strike until there were `until` kills; what a phase that is over leaves, the next one takes."""
        misses = 0
        for launch in launches(phase, chance):
            if len(self.killed) >= until or self._over(phase):
                return
            if misses >= MAX_MISSES:
                launch = Launch(phase, "run", (Blow("command" + ANY_MOMENT, delay=chance.uniform(0.0, 10.0)),))
            try:
                self.launch(launch, wanted)
                misses = 0
            except MissedError as missed:
                self.tell(f"missed: {missed}")
                misses += 1

    def launch(self, launch: Launch, wanted: int) -> None:
        """Start, strike, and see that nothing is left."""
        log = self.folder / "crashes.log"
        marker = self.folder / f"marker-{len(self.killed)}"
        failpoint = launch.blows[0].failpoint
        words = COMMAND if launch.actor == "run" else DAEMON
        self.doing = ""
        process = self.home.start(words, log, f"{failpoint}:{marker}" if failpoint else "")
        try:
            for blow in launch.blows:
                started = time.monotonic()
                target, pid, how = self._strike(launch, blow, process, marker)
                doing = self.home.doing([pid]) or self.doing or "starting up"
                killed = Killed(target, pid, launch.phase, doing, how, time.monotonic() - started)
                self.killed.append(killed)
                self.tell(
                    f"kill {len(self.killed):>2}/{wanted}  {killed.target:<12} pid {killed.pid:<8}{killed.phase:<15}"
                    f"{killed.doing:<36}{killed.how:<32}{killed.seconds:6.1f} s"
                )
                if pid == process.pid:
                    process.wait()
                    break
            self._end(launch, process)
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()
            left = self._orphans()
        if left:
            raise CrashError(f"after {self.killed[-1:]} these outlived their owner: {left}; see {log}")

    def _strike(
        self, launch: Launch, blow: Blow, process: "subprocess.Popen[bytes]", marker: Path
    ) -> tuple[str, int, str]:
        """(what was killed, its process id, how). A phase that ended before the blow fell is ended by force."""
        deadline = time.monotonic() + (TARGET_SECONDS if launch.actor == "daemon" else WAIT_SECONDS)
        strike_at = None
        while True:
            alive = self.home.processes()
            self.doing = self.home.doing(alive) or self.doing
            if blow.failpoint and marker.exists() and (text := marker.read_text()):
                pid = int(text)
                return self.home.known.get(pid, "?"), pid, str(blow)
            candidates = self._candidates(blow.target, alive) if blow.target else []
            if candidates and strike_at is None:
                strike_at = time.monotonic() + blow.delay
            if candidates and strike_at is not None and time.monotonic() >= strike_at:
                pid = random.Random(blow.delay).choice(candidates)
                os.kill(pid, signal.SIGKILL)
                return self.home.known[pid], pid, str(blow)
            if process.poll() is not None:
                raise MissedError(f"{launch.actor} ended with {process.returncode} before {blow} {blow.target}")
            if self._over(launch.phase) or time.monotonic() > deadline:
                os.kill(process.pid, signal.SIGKILL)
                why = "phase over" if self._over(launch.phase) else "waited in vain"
                return alive.get(process.pid, "?"), process.pid, f"{why}, {blow.failpoint or blow.target}"
            time.sleep(0.05)

    def _candidates(self, target: str, alive: dict[int, str]) -> list[int]:
        """Processes to strike. The owner of a run is struck while it works, not while it starts up."""
        kinds = set(alive.values())
        if target.endswith(ANY_MOMENT):
            target, busy = target.removesuffix(ANY_MOMENT), True
        elif target == "command":
            busy = "worker" in kinds
        elif target == "command while training":
            target, busy = "command", "trainer" in kinds
        elif target in ("daemon", "code server"):
            busy = "run worker" in kinds
        else:
            busy = True
        return sorted(pid for pid, kind in alive.items() if kind == target) if busy else []

    def _over(self, phase: str) -> bool:
        """Whether a phase has nothing left to be killed in."""
        home = self.home
        return {
            "base corpus": lambda: home.has("tiny/base_plan"),
            "base training": lambda: home.has("tiny/round_proposal"),
            "round corpus": lambda: home.has("bpe/token_arrays", f"news.{LATE}"),
            "round training": lambda: False,
        }[phase]()

    def _end(self, launch: Launch, process: "subprocess.Popen[bytes]") -> None:
        """A command whose worker or trainer died ends by itself; a daemon that lost a child is told to stop."""
        if process.poll() is None and launch.actor == "daemon":
            process.terminate()
        try:
            process.wait(WAIT_SECONDS)
        except subprocess.TimeoutExpired:
            raise CrashError(f"{launch}: process {process.pid} did not end; see crashes.log") from None

    def _orphans(self) -> dict[int, str]:
        """Processes that are still there after the grace; they are ended here, by their ids."""
        deadline = time.monotonic() + ORPHAN_GRACE_SECONDS
        while (left := self.home.processes()) and time.monotonic() < deadline:
            time.sleep(0.1)
        for pid in left:
            psutil.Process(pid).kill()
        return left


def crash(
    folder: Path, kills: int, seed: int, steps: int, round_steps: int, tell: Callable[[str], None]
) -> list[Killed]:
    """All of it. Raises `CrashError` at the first difference."""
    reference = Home.create(folder / "reference", steps, round_steps)
    seconds = reference.run("run")
    arrive(reference.project.parent, LATE)
    seconds += reference.run("run")
    tell(f"reference: undisturbed in {seconds:.1f} s, {steps} + {round_steps} training steps")
    return crash_beside(reference, folder, kills, seed, steps, round_steps, tell)


def crash_beside(
    reference: Home, folder: Path, kills: int, seed: int, steps: int, round_steps: int, tell: Callable[[str], None]
) -> list[Killed]:
    """Crash a second home and compare it with a finished one (whose store is collected)."""
    home = Home.create(folder / "crashed", steps, round_steps)
    record_roots(reference, home, BASE_BATCHES)
    crashes = Crashes(home, folder, tell)
    chance = random.Random(seed)
    started = time.monotonic()
    due = 0.0
    for phase, share in SHARES.items():
        if phase == "round corpus":
            home.run("run")
            record_roots(reference, home, [f"news.{LATE}"])
            arrive(home.project.parent, LATE)
        due += share * kills
        crashes.phase(phase, round(due), kills, chance)
    home.run("run")
    tell(f"{len(crashes.killed)} kills and the undisturbed end in {time.monotonic() - started:.0f} s")
    for line in compare(reference, home):
        tell(line)
    return crashes.killed


def compare(reference: Home, home: Home) -> Iterable[str]:
    """What was compared, line by line. Raises `CrashError` where the two differ."""
    expected, found = dict(reference.store.referenced()), dict(home.store.referenced())
    _equal("references", expected, found)
    assets = {path.rsplit("/", 2)[0] for path in expected}
    yield f"equal: {len(expected)} references of {len(assets)} assets: action, content and manifest of every version"
    for asset, key in (("tiny/base_checkpoint", None), ("tiny/continued_checkpoint", "r0001")):
        curves = [side.store.get(asset, key).whole("losses")["loss"].to_pylist() for side in (reference, home)]
        _equal(f"loss curve of {asset}", dict(enumerate(curves[0], 1)), dict(enumerate(curves[1], 1)))
        yield f"equal: loss curve of {asset}, {len(curves[0])} steps, bit for bit, the last {curves[0][-1]:.6f}"
    yield _dagster_is_at_rest(home)
    for side in (reference, home):
        errors = verify(side.store).errors
        if errors:
            raise CrashError(f"{side.root} does not verify: {errors[:10]}")
        collect(side.store, history=None, grace_seconds=0, now=time.time(), delete=True)
    files = [files_of(side.root) for side in (reference, home)]
    _equal("files of the store after gc --delete", *files)
    size = sum(path.stat().st_size for path in reference.root.rglob("*") if path.is_file())
    yield f"equal: {len(files[0])} files of the store after gc --delete, {size / 1e6:.1f} MB, byte for byte"


def files_of(root: Path) -> dict[str, str]:
    """Every file below a folder, whatever it is: relative path -> digest of its bytes."""
    return {path.relative_to(root).as_posix(): digest_file(path) for path in root.rglob("*") if path.is_file()}


def _equal(what: str, expected: dict, found: dict) -> None:
    lines = [
        f"  {key}: {expected.get(key, 'absent')} undisturbed, {found.get(key, 'absent')} crashed"
        for key in sorted(expected.keys() | found.keys())
        if expected.get(key) != found.get(key)
    ]
    if lines:
        raise CrashError(f"{what}: {len(lines)} differ\n" + "\n".join(lines[:40]))


def _dagster_is_at_rest(home: Home) -> str:
    """No run open, no slot taken."""
    import dagster as dg

    from assets.automation.reaping import ACTIVE

    with dg.DagsterInstance.from_config(str(home.folder / "dagster")) as instance:
        runs = instance.get_runs()
        open_runs = [(run.run_id, run.job_name, run.status.value) for run in runs if run.status in ACTIVE]
        storage = instance.event_log_storage
        taken = {
            key: info.active_slot_count
            for key in storage.get_concurrency_keys()
            if (info := storage.get_concurrency_info(key)).active_slot_count
        }
    if open_runs or taken:
        raise CrashError(f"Dagster is not at rest: open runs {open_runs}, slots {taken}")
    states = [run.status.value for run in runs]
    counts = ", ".join(f"{states.count(state)} {state.lower()}" for state in sorted(set(states)))
    return f"at rest: {len(runs)} runs of Dagster ({counts}), none open, no slot taken"


def covered(killed: Iterable[Killed]) -> dict[str, set[str]]:
    """Failpoints that were hit, and kinds of processes that were killed."""
    killed = list(killed)
    hit = {name for name in NAMES if any(item.how.startswith(f"failpoint {name}:") for item in killed)}
    return {"failpoints": hit, "targets": {item.target for item in killed}}


def main(arguments: list[str] | None = None) -> int:
    """Entry point; gives the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.end_to_end.crash", description="kill -9 and compare.")
    parser.add_argument("--kills", type=int, default=30, metavar="N")
    parser.add_argument("--seed", type=int, default=1, metavar="N")
    parser.add_argument("--folder", type=Path, help="where to work; kept (default: a temporary folder, removed)")
    options = parser.parse_args(arguments)
    os.environ.setdefault("NUMBA_CACHE_DIR", str(ROOT / ".gristmill" / "cache" / "numba" / library_digest()))
    folder = options.folder or Path(tempfile.mkdtemp(prefix="gristmill-crash-"))
    started = time.monotonic()

    def tell(line: str) -> None:
        print(f"{time.monotonic() - started:7.1f}  {line}", flush=True)

    try:
        crash(folder.resolve(), options.kills, options.seed, STEPS, ROUND_STEPS, tell)
    except CrashError as error:
        print(f"FAILED: {error}\nleft for inspection: {folder}", file=sys.stderr)
        return 1
    if options.folder is None:
        shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
