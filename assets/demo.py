"""The demo: the embedded project from nothing to a round's report, with progress and the memory it took."""

import sys
import threading
import time

import psutil

from assets.presentation import report_page
from assets.progress import Progress
from assets.running import Runner, instance_of_home
from assets.status import status_lines
from resources.home import UI_PORT
from resources.mill import Mill

SAMPLE_SECONDS = 0.5


class TreeMemory(threading.Thread):
    """Samples the resident memory of this process and all its descendants; shared pages count once a process."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.peak = 0
        self.done = threading.Event()

    def run(self) -> None:
        me = psutil.Process()
        while not self.done.wait(SAMPLE_SECONDS):
            total = 0
            for process in (me, *me.children(recursive=True)):
                try:
                    total += process.memory_info().rss
                except psutil.NoSuchProcess:
                    continue
            self.peak = max(self.peak, total)


def run_demo() -> int:
    """Run everything and say where the report is. Returns the exit code."""
    started = time.monotonic()
    memory = TreeMemory()
    memory.start()
    progress = Progress()
    with instance_of_home() as instance:
        runner = Runner.of_instance(instance, progress)
        progress.line(f"gristmill demo: {runner.mill.loaded.path.name}, store {runner.mill.home.store_url}")
        good = runner.run()
        runner.mill.close()
        memory.done.set()
        memory.join()
        progress.line("")
        for line in (*status_lines(runner.mill), "", *_closing(runner.mill, time.monotonic() - started, memory.peak)):
            print(line)
        for failure in runner.failures:
            print(f"gristmill: {failure}", file=sys.stderr)
    return 0 if good else 1


def _closing(mill: Mill, seconds: float, peak: int) -> list[str]:
    """Where to look next."""
    lines = [f"took {seconds:.0f} s; peak memory of all processes {peak / 1e9:.2f} GB"]
    wanted: list[tuple[str, str | None]] = [("corpus_report", None)]
    for lane in mill.project.lanes:
        wanted.append((f"{lane}/base_report", None))
        wanted += [(f"{lane}/continued_report", entry["round"]) for entry in mill.store.ledger(f"rounds/{lane}")]
    for asset, key in wanted:
        report = mill.store.latest(asset, key)
        page = report_page(report, mill.home.reports) if report is not None else None
        if page is not None:
            lines.append(f"report  {page.as_uri()}")
    return [*lines, f"UI      make ui, then http://127.0.0.1:{UI_PORT}"]
