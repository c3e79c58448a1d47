"""Python's own documentation as a web site: `pydoc`'s server on loopback, for as long as a crawl needs it.

The server imports what it documents, so it runs as a stranger: isolated (`-I`), without site-packages (`-S`), with an
environment of its own, `BROWSER=true` (a GET of `/antigravity.html` opens a browser), home and working folder in a
scratch folder, standard input open (it stops at its end), on a free port that it chooses itself. It dies with us: by
its parent-death signal, by the end of its input, and as a process group when the context ends.

The pages worth having are `pydoc_pages()`: topics, keywords, and the modules that import without side effects here.
Every other path answers 200 with an error page (`/robots.txt` too) or imports something that it should not.
It serves 14 to 60 pages a second of 30 to 45 KB, one at a time.
"""

import contextlib
import functools
import importlib.util
import json
import os
import pkgutil
import pydoc
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from pipelines.core.errors import GristmillError
from pipelines.corpus.acquisition.crawl.config import LOOPBACK

START_SECONDS: Final = 30.0
PROBE_SECONDS: Final = 120.0

INDEX_PAGES: Final = ("/index.html", "/topics.html", "/keywords.html")

SIDE_EFFECTS: Final = frozenset(
    {
        "antigravity",  # opens a browser
        "this",  # prints
        "idlelib",  # a program, on tkinter
        "turtledemo",
        "turtle",
        "tkinter",
        "test",
        "lib2to3",  # writes grammar pickles, warns
        "pydoc_data",  # the topics again, as one literal
        "rlcompleter",  # binds the Tab key
        "site",
        "sitecustomize",
        "usercustomize",
    }
)
"""Top-level modules left out with everything below them; private ones (`_x`) are left out too."""

_NOT_MODULES: Final = frozenset({"test", "tests", "__main__", "idle_test", "_bundled", "command"})

_SERVE: Final = """
import os, signal, sys
if sys.platform == "linux":
    import ctypes
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    if os.getppid() != int(sys.argv[1]):
        os._exit(1)  # the parent died before the signal was set
import pydoc
pydoc.browse(0, open_browser=False, hostname=sys.argv[2])
"""

_PROBE: Final = """
import importlib, json, os, sys
report = os.dup(1)
os.dup2(2, 1)
good = []
for name in json.load(sys.stdin):
    try:
        importlib.import_module(name)
    except BaseException:
        continue
    good.append(name)
os.write(report, b"\\n" + json.dumps(good).encode())
os._exit(0)
"""


class SiteError(GristmillError, RuntimeError):
    """The documentation server did not start or answer."""


@contextlib.contextmanager
def pydoc_site(scratch: Path) -> Iterator[str]:
    """Run the server with its files in `scratch`; yields its base URL, e.g. `http://127.0.0.1:40123/`."""
    scratch.mkdir(parents=True, exist_ok=True)
    log = scratch / "pydoc-server.log"
    with log.open("wb") as output:
        server = subprocess.Popen(
            [*_isolated(), "-u", "-c", _SERVE, str(os.getpid()), LOOPBACK],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=scratch,
            env=_environment(scratch),
            start_new_session=True,
        )
    try:
        yield _wait_until_it_answers(server, log)
    finally:
        # The group, not the process: an imported module may have started children.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)
        server.wait()
        if server.stdin is not None:
            server.stdin.close()


@functools.cache
def pydoc_pages() -> tuple[str, ...]:
    """The paths that may be crawled, sorted: index pages, topics, keywords, and modules that import here.

    Which modules exist differs between builds (curses, dbm, sqlite3), and some fail only when imported, so each one is
    imported once, in a process of its own with the server's isolation. Takes about 1 s, then remembered.
    """
    topics = {f"/topic?key={name}" for name in (*pydoc.Helper.topics, *pydoc.Helper.keywords)}
    modules = {f"/{name}.html" for name in _importable(_candidates())}
    return tuple(sorted({*INDEX_PAGES, *topics, *modules}))


def _candidates() -> list[str]:
    """Public modules of the standard library, found without importing one."""
    names: list[str] = []
    for name in sorted(sys.stdlib_module_names):
        if name.startswith("_") or name in SIDE_EFFECTS:
            continue
        if name in sys.builtin_module_names:
            names.append(name)
            continue
        spec = importlib.util.find_spec(name)
        if spec is None:
            continue
        names.append(name)
        names.extend(_below(name, list(spec.submodule_search_locations or ())))
    return names


def _below(package: str, folders: list[str]) -> Iterator[str]:
    for module in sorted(pkgutil.iter_modules(folders), key=lambda module: module.name):
        if module.name.startswith("_") or module.name in _NOT_MODULES:
            continue
        name = f"{package}.{module.name}"
        yield name
        if module.ispkg:
            yield from _below(name, [str(Path(folder) / module.name) for folder in folders])


def _importable(names: list[str]) -> list[str]:
    with tempfile.TemporaryDirectory(prefix="gristmill-pydoc-") as scratch:
        try:
            probe = subprocess.run(
                [*_isolated(), "-W", "ignore", "-c", _PROBE],
                input=json.dumps(names).encode(),
                capture_output=True,
                cwd=scratch,
                env=_environment(Path(scratch)),
                start_new_session=True,
                timeout=PROBE_SECONDS,
                check=True,
            )
        except subprocess.SubprocessError as error:
            raise SiteError(f"cannot find out which standard-library modules import here: {error}") from error
    good: list[str] = json.loads(probe.stdout.splitlines()[-1])
    return good


def _isolated() -> list[str]:
    return [sys.executable, "-I", "-S", "-B"]


def _environment(scratch: Path) -> dict[str, str]:
    """Nothing of ours: no display, no proxies, no credentials."""
    return {
        "HOME": str(scratch),
        "TMPDIR": str(scratch),
        "BROWSER": "true",
        "PATH": os.defpath,
        "LC_ALL": "C.UTF-8",
        "TERM": "dumb",
    }


def _wait_until_it_answers(server: subprocess.Popen[bytes], log: Path) -> str:
    deadline = time.monotonic() + START_SECONDS
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    while time.monotonic() < deadline and server.poll() is None:
        ready = re.search(rb"Server ready at (http://[0-9.]+:[0-9]+/)", log.read_bytes())
        if ready is not None:
            base = ready[1].decode()
            with (
                contextlib.suppress(urllib.error.URLError, OSError),
                opener.open(f"{base}topics.html", timeout=10) as page,
            ):
                if page.status == 200:
                    return base
        time.sleep(0.05)
    state = "did not answer" if server.poll() is None else f"ended with code {server.returncode}"
    tail = log.read_bytes()[-500:].decode("utf-8", "replace").strip()
    raise SiteError(
        f"Python's documentation server {state} within {START_SECONDS:.0f} s; its output ({log}): {tail or 'none'}"
    )
