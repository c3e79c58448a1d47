"""What the crash project starts in each phase, and what it strikes: data with a seed, no process yet."""

import random
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

ANY_MOMENT: Final = " at any moment"
"""After a target's name: it is struck whether or not it has work in hand."""


class Blow(NamedTuple):
    """One `kill -9`: of the process that passes a failpoint, or of a target after a delay."""

    target: str = ""
    failpoint: str = ""
    delay: float = 0.0

    def __str__(self) -> str:
        return f"failpoint {self.failpoint}" if self.failpoint else f"random +{self.delay:.2f} s"


class Launch(NamedTuple):
    """One start of the command or the daemon, and the blows that end it."""

    phase: str
    actor: str
    blows: tuple[Blow, ...]


def launches(phase: str, chance: random.Random) -> Iterator[Launch]:
    """What is started and struck in a phase, without end. Failpoints come first: they need work still to be done."""

    def at(name: str, low: int, high: int, *then: Blow) -> Launch:
        return Launch(phase, "run", (Blow(failpoint=f"{name}:{chance.randint(low, high)}"), *then))

    def blow(target: str, within: float = 3.0) -> Blow:
        return Blow(target, delay=chance.uniform(0.0, within))

    def command(*targets: str) -> Launch:
        return Launch(phase, "run", tuple(blow(target) for target in targets))

    def daemon(*targets: str, within: float = 5.0) -> Launch:
        return Launch(phase, "daemon", tuple(blow(target, within) for target in targets))

    # A command goes on without the worker that it lost, and would end the phase: a second blow stops it.
    makers: dict[str, list[Callable[[], Launch]]] = {
        "base corpus": [
            lambda: at("part_write", 1, 6, blow("command" + ANY_MOMENT)),
            lambda: at("index_commit", 1, 1),
            lambda: at("manifest", 1, 3),
            lambda: daemon("run worker", "daemon" + ANY_MOMENT, within=15.0),
            lambda: at("reference", 1, 3),
            lambda: command("worker", "command" + ANY_MOMENT),
            lambda: daemon("code server", within=15.0),
            lambda: command("command"),
            lambda: daemon("worker", "daemon" + ANY_MOMENT),
        ],
        "base training": [
            lambda: at("checkpoint_write", 1, 3),
            lambda: at("train_step", 5, 40),
            lambda: command("trainer"),
            lambda: command("command while training"),
        ],
        "round corpus": [
            lambda: daemon("daemon"),
            lambda: at("part_write", 1, 6, blow("command" + ANY_MOMENT)),
            lambda: at("index_commit", 1, 1),
            lambda: command("worker", "command" + ANY_MOMENT),
            lambda: daemon("run worker", "code server" + ANY_MOMENT),
        ],
        "round training": [
            lambda: at("proposal_binding", 1, 1),
            lambda: at("checkpoint_write", 1, 1),
            lambda: at("train_step", 5, 30),
            lambda: command("trainer"),
            lambda: command("command while training"),
            lambda: at("manifest", 1, 1),
            lambda: at("reference", 1, 1),
        ],
    }
    while True:
        yield from (make() for make in makers[phase])
