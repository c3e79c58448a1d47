"""Where a declared path lies: `package:NAME/inner/path`, `stdlib:inner/path`, or a path beside the project file.

A package is found without importing it: by the import system's finders for a top-level name (which executes nothing),
or by the metadata of a distribution of that name. The result never leaves the package, or the standard library of the
Python that runs.
"""

import importlib.machinery
import importlib.metadata
import re
import sysconfig
from pathlib import Path, PurePosixPath
from typing import Final

from pipelines.core.errors import GristmillError

SCHEME: Final = "package:"
STANDARD_LIBRARY: Final = "stdlib:"
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?|[A-Za-z_][A-Za-z0-9_]*")


class UnresolvedPathError(GristmillError, ValueError):
    """A declared path that names nothing; the message says what to install or to change."""


def resolve_path(declared: str, folder: Path) -> Path:
    """The file or folder that `declared` names. `folder` is the project file's; variables are expanded already."""
    if declared.startswith(SCHEME):
        return _in_package(declared)
    if declared.startswith(STANDARD_LIBRARY):
        return _in_standard_library(declared)
    if "\0" in declared or not declared:
        raise UnresolvedPathError(f"the path {declared!r} is empty or holds a NUL")
    path = Path(declared).expanduser()
    path = path if path.is_absolute() else folder / path
    if not path.exists():
        raise UnresolvedPathError(
            f"{declared!r} is not there (looked at {path}); a path is relative to the project file's folder"
        )
    return path


def _in_standard_library(declared: str) -> Path:
    root = Path(sysconfig.get_path("stdlib"))
    path = root / declared.removeprefix(STANDARD_LIBRARY)
    if not path.exists() or not path.resolve().is_relative_to(root.resolve()):
        raise UnresolvedPathError(f"{declared!r} is not in the standard library at {root}")
    return path


def _in_package(declared: str) -> Path:
    name, _, inner = declared.removeprefix(SCHEME).partition("/")
    if not _NAME.fullmatch(name):
        raise UnresolvedPathError(f"{declared!r} names no package: write package:NAME/path/inside")
    parts = PurePosixPath(inner).parts
    if ".." in parts or inner.startswith("/") or "\0" in inner:
        raise UnresolvedPathError(f"{declared!r} leaves the package: write a path inside it")
    roots = _roots(name)
    if not roots:
        raise UnresolvedPathError(
            f"{declared!r} needs the package {name!r}, which is not installed: "
            f"`pip install --no-deps {_distribution(name)}`"
        )
    for root in roots:
        path = root.joinpath(*parts)
        if path.exists() and path.resolve().is_relative_to(root.resolve()):
            return path
    version = _version(name)
    raise UnresolvedPathError(f"{declared!r}: {name}{version} is installed, but has no {inner!r} below {roots[0]}")


def _roots(name: str) -> list[Path]:
    """The folders of the top-level package `name`, or of the packages that the distribution `name` installs."""
    names = [name]
    try:
        distribution = importlib.metadata.distribution(name)
        names += [line for line in (distribution.read_text("top_level.txt") or "").split() if line not in names]
    except (importlib.metadata.PackageNotFoundError, ValueError):
        pass
    roots: list[Path] = []
    for candidate in names:
        # PathFinder and not find_spec: a module in sys.modules may have no spec, and nothing is imported.
        spec = importlib.machinery.PathFinder.find_spec(candidate) if candidate.isidentifier() else None
        if spec is not None and spec.submodule_search_locations:
            roots += [Path(location) for location in spec.submodule_search_locations if Path(location) not in roots]
    return roots


def _distribution(name: str) -> str:
    """The name to give to pip: underscores and dashes are one to it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _version(name: str) -> str:
    try:
        return f" {importlib.metadata.version(name)}"
    except (importlib.metadata.PackageNotFoundError, ValueError):
        return ""
