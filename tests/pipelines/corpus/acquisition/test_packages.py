"""`package:` URLs and plain paths: found without an import, closed to paths that leave, clear when absent."""

import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.corpus.acquisition.packages import UnresolvedPathError, resolve_path


def test_a_file_in_a_package_is_found_without_importing_it() -> None:
    program = (
        "import sys; from pathlib import Path; from pipelines.corpus.acquisition.packages import resolve_path;"
        "print(resolve_path('package:hypothesis/vendor/tlds-alpha-by-domain.txt', Path()), 'hypothesis' in sys.modules)"
    )
    root = Path(__file__).resolve().parents[4]
    out = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=root).stdout
    path, imported = out.split()
    assert Path(path).name == "tlds-alpha-by-domain.txt"
    assert Path(path).is_file()
    assert imported == "False"


def test_a_distribution_is_found_under_its_own_name() -> None:
    """`pyyaml` installs the package `yaml`."""
    assert resolve_path("package:pyyaml/loader.py", Path()).name == "loader.py"
    assert resolve_path("package:yaml/loader.py", Path()) == resolve_path("package:pyyaml/loader.py", Path())


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ("package:no_such_package/x.json", "pip install --no-deps no-such-package"),
        ("package:hypothesis/no/such.txt", r"hypothesis \d.* is installed, but has no 'no/such.txt'"),
        ("package:hypothesis/../yaml/loader.py", "leaves the package"),
        ("package:hypothesis//etc/passwd", "leaves the package"),
        ("package:", "names no package"),
        ("package:../x/y", "names no package"),
        ("package:a b/x", "names no package"),
        ("nowhere/x.txt", "relative to the project file's folder"),
        ("", "empty"),
        ("a\0b", "NUL"),
    ],
)
def test_what_is_not_there_says_what_to_do(tmp_path: Path, declared: str, message: str) -> None:
    with pytest.raises(UnresolvedPathError, match=message):
        resolve_path(declared, tmp_path)


def test_plain_paths_start_at_the_project_file(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    assert resolve_path("data", tmp_path) == tmp_path / "data"
    assert resolve_path(str(tmp_path / "data"), Path("/")) == tmp_path / "data"
