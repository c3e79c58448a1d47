"""Progress on the terminal: the stage, parts done, the rate, the time left.

On a terminal one line is rewritten; in a log a line is written every five seconds and at each stage's end.
"""

import sys
import time
from dataclasses import dataclass, field
from typing import TextIO

EVERY_SECONDS = 5.0
SHORTEST_SECONDS = 0.5
"""A rate over less than this is noise; a stage is first heard of when its first part is done."""


@dataclass
class Progress:
    """Callable as a stage runner's `tell`."""

    out: TextIO = field(default_factory=lambda: sys.stderr)
    _stage: str = ""
    _started: float = 0.0
    _told: float = 0.0
    _open: bool = False

    def __call__(self, stage: str, done: int, total: int, rows: int, note: str = "") -> None:
        now = time.monotonic()
        if stage != self._stage:
            self.line("")
            self._stage, self._started, self._told = stage, now, 0.0
        last = done >= total
        if not last and now - self._told < (0.2 if self.out.isatty() else EVERY_SECONDS):
            return
        self._told = now
        seconds = now - self._started
        text = f"  {stage}: {done}/{total}, {rows:,} rows"
        if seconds >= SHORTEST_SECONDS and done:
            text += f", {rows / seconds:,.0f}/s, {seconds / done * (total - done):.0f} s left"
        text += f", {note}" if note else ""
        self._write(text, keep=last)

    def line(self, text: str) -> None:
        """A line of its own."""
        if self._open:
            self.out.write("\n")
            self._open = False
        if text:
            self.out.write(text + "\n")
        self.out.flush()

    def _write(self, text: str, *, keep: bool) -> None:
        if self.out.isatty():
            self.out.write("\r\033[K" + text + ("\n" if keep else ""))
            self._open = not keep
        else:
            self.out.write(text + "\n")
        self.out.flush()
