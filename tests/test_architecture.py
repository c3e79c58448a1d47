"""The layout's rules, read from the sources: one direction of imports, no clock and no environment in the library,
light doors, nothing unsafe, small files, one name in every place."""

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
CHAPTERS = ("core", "corpus", "tokens", "model", "alignment", "evaluation")
COMPOSING = ("pipelines/project.py", "pipelines/project_file.py", "pipelines/project_signals.py")
"""Modules beside the chapters: they join the chapters' settings, import all of them and are imported by none."""
HEAVY = ("torch", "fasttext", "transformers", "datasketch")
MAX_LINES = 450


@cache
def tracked() -> tuple[Path, ...]:
    """Files that are, or are about to be, in version control; without git, everything but hidden and built folders."""
    command = ["git", "-C", str(ROOT), "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    try:
        listed = subprocess.run(command, capture_output=True, check=True).stdout.decode().split("\0")
    except (OSError, subprocess.CalledProcessError):
        paths = [path.relative_to(ROOT) for path in ROOT.rglob("*")]
        listed = [
            str(path) for path in paths if not any(part.startswith(".") or "egg-info" in part for part in path.parts)
        ]
    return tuple(sorted(ROOT / name for name in listed if name and (ROOT / name).is_file()))


def modules(*tops: str) -> list[Path]:
    """Python files of the given top-level folders."""
    return [path for path in tracked() if path.suffix == ".py" and path.relative_to(ROOT).parts[0] in tops]


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"), filename=str(path))


def imports(path: Path, *, top_level: bool = False) -> Iterator[tuple[int, str]]:
    """(line, module) of every import; `top_level` leaves out those inside functions and for type checkers."""
    for node in at_import(tree_of(path)) if top_level else ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name_of(path)}:{node.lineno}: a relative import; name the module in full"
            assert node.module is not None
            yield node.lineno, node.module
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def at_import(node: ast.AST) -> Iterator[ast.AST]:
    """Nodes that run when the module is imported."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        yield child
        yield from at_import(child)


def dotted(node: ast.AST) -> str:
    """`a.b.c` of an attribute chain, or an empty text."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        before = dotted(node.value)
        return f"{before}.{node.attr}" if before else ""
    return ""


def uses(path: Path) -> Iterator[tuple[int, str]]:
    """(line, full name) of every attribute and imported name, with aliases of imports resolved."""
    aliases: dict[str, str] = {}
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            aliases |= {
                alias.asname or alias.name.split(".")[0]: alias.name if alias.asname else alias.name.split(".")[0]
                for alias in node.names
            }
        elif isinstance(node, ast.ImportFrom) and node.module:
            aliases |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Attribute | ast.Name):
            first, dot, rest = dotted(node).partition(".")
            if first in aliases:
                yield node.lineno, aliases[first] + dot + rest


def within(module: str, package: str) -> bool:
    return module == package or module.startswith(package + ".")


def offences(found: Iterator[tuple[Path, int, str]]) -> list[str]:
    return [f"{name_of(path)}:{line}: {what}" for path, line, what in found]


# imports -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("top", "forbidden"),
    [
        ("pipelines", ("dagster", "assets", "resources", "tests")),
        ("resources", ("assets", "tests")),
        ("assets", ("tests",)),
    ],
)
def test_imports_go_in_one_direction(top: str, forbidden: tuple[str, ...]) -> None:
    assert modules(top)
    assert (
        offences(
            (path, line, f"imports {module}")
            for path in modules(top)
            for line, module in imports(path)
            if any(within(module, package) for package in forbidden)
        )
        == []
    )


def test_resources_know_nothing_of_the_orchestrator() -> None:
    """A store, a lock and a trainer work without Dagster, or the command line could not explain a broken one."""
    assert (
        offences(
            (path, line, f"imports {module}")
            for path in modules("resources")
            for line, module in imports(path, top_level=True)
            if within(module, "dagster")
        )
        == []
    )


def test_a_chapter_imports_itself_and_earlier_ones() -> None:
    def found() -> Iterator[tuple[Path, int, str]]:
        for path in modules("pipelines"):
            if name_of(path) in (*COMPOSING, "pipelines/__init__.py"):
                continue
            chapter = path.relative_to(ROOT).parts[1]
            assert chapter in CHAPTERS, f"{name_of(path)} is in no chapter of {CHAPTERS}"
            allowed = CHAPTERS[: CHAPTERS.index(chapter) + 1]
            for line, module in imports(path):
                if within(module, "pipelines") and module != "pipelines" and module.split(".")[1] not in allowed:
                    yield path, line, f"imports {module}"

    assert offences(found()) == []


def test_only_models_and_alignment_import_torch_at_the_top() -> None:
    def found() -> Iterator[tuple[Path, int, str]]:
        for path in modules("pipelines", "resources", "assets"):
            may = name_of(path).startswith(("pipelines/model/", "pipelines/alignment/")) and path.name != "config.py"
            for line, module in imports(path, top_level=True):
                heavy = next((name for name in HEAVY if within(module, name)), None)
                if heavy and not (may and heavy == "torch"):
                    yield path, line, f"imports {module} at the top; import it inside the function that needs it"

    assert offences(found()) == []


def run_python(code: str, home: Path) -> str:
    environment = {**os.environ, "GRISTMILL_HOME": str(home), "DAGSTER_HOME": str(home / "dagster")}
    for name in ("GRISTMILL_STORE", "GRISTMILL_PROJECT"):
        environment.pop(name, None)
    (home / "dagster").mkdir(parents=True)
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


LOADED = "import sys; print(' '.join(sorted({name.split('.')[0] for name in sys.modules})))"


def test_importing_the_definitions_leaves_heavy_packages_out(tmp_path: Path) -> None:
    """Or every process of the UI would take seconds and gigabytes to start."""
    loaded = run_python("import assets.definitions; " + LOADED, tmp_path).split()
    assert "dagster" in loaded
    assert [name for name in HEAVY if name in loaded] == []


def test_settings_are_light(tmp_path: Path) -> None:
    """Every chapter's config, and the project file with all of them, without a numerical or a learning package."""
    configs = [name_of(path)[:-3].replace("/", ".") for path in modules("pipelines") if path.name == "config.py"]
    assert len(configs) > 5
    code = "; ".join(f"import {module}" for module in configs) + "; " + LOADED
    loaded = run_python(code, tmp_path).split()
    assert [name for name in (*HEAVY, "numba", "polars", "dagster", "tokenizers") if name in loaded] == []


# purity --------------------------------------------------------------------------------------------------------------

CLOCKS = {
    f"time.{name}" for name in ("time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns")
}
CLOCKS |= {f"time.{name}" for name in ("gmtime", "localtime", "ctime", "process_time", "thread_time", "sleep")}
CLOCKS |= {f"datetime.{kind}.{name}" for kind in ("datetime", "date") for name in ("now", "utcnow", "today")}
ENVIRONMENT = {
    "os.environ",
    "os.getenv",
    "os.environb",
    "os.putenv",
    "os.getcwd",
    "pathlib.Path.cwd",
    "pathlib.Path.home",
}
SHARED_RANDOMNESS = {
    f"random.{name}" for name in ("random", "choice", "shuffle", "seed", "randint", "sample", "uniform")
}
SHARED_RANDOMNESS |= {
    f"numpy.random.{name}" for name in ("seed", "rand", "randn", "randint", "shuffle", "choice", "permutation")
}


@pytest.mark.parametrize(
    ("forbidden", "instead"),
    [
        (CLOCKS, "take a clock as an argument"),
        (ENVIRONMENT, "take the value as an argument"),
        (SHARED_RANDOMNESS, "use pipelines.core.seeds.generator"),
    ],
    ids=["clock", "environment", "randomness"],
)
def test_the_library_has_no_clock_no_environment_and_no_shared_randomness(forbidden: set[str], instead: str) -> None:
    assert (
        offences(
            (path, line, f"{name}: {instead}")
            for path in modules("pipelines")
            for line, name in uses(path)
            if name in forbidden
        )
        == []
    )


def test_the_library_never_uses_pythons_salted_hash_or_global_statements() -> None:
    def found() -> Iterator[tuple[Path, int, str]]:
        for path in modules("pipelines"):
            for node in ast.walk(tree_of(path)):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "hash":
                    yield path, node.lineno, "hash() differs from process to process"
                if isinstance(node, ast.Global):
                    yield path, node.lineno, "global state"

    assert offences(found()) == []


# safety --------------------------------------------------------------------------------------------------------------

UNSAFE = {"pickle.load", "pickle.loads", "pickle.Unpickler", "dill.load", "dill.loads", "joblib.load", "marshal.loads"}
UNSAFE |= {"yaml.load", "yaml.load_all", "yaml.unsafe_load", "yaml.full_load", "yaml.UnsafeLoader", "yaml.FullLoader"}
BETWEEN_OWN_PROCESSES = {("resources/arena.py", "pickle.Unpickler")}
UNSAFE |= {"yaml.Loader", "os.system", "os.popen", "shelve.open", "torch.load", "tempfile.mktemp"}


def test_nothing_that_runs_code_from_data() -> None:
    def found() -> Iterator[tuple[Path, int, str]]:
        for path in modules("pipelines", "resources", "assets"):
            for line, name in uses(path):
                if name in UNSAFE and (path.relative_to(ROOT).as_posix(), name) not in BETWEEN_OWN_PROCESSES:
                    yield path, line, name
            for node in ast.walk(tree_of(path)):
                if not isinstance(node, ast.Call):
                    continue
                if isinstance(node.func, ast.Name) and node.func.id in ("eval", "exec", "__import__"):
                    yield path, node.lineno, f"{node.func.id}()"
                for keyword in node.keywords:
                    true = isinstance(keyword.value, ast.Constant) and keyword.value.value is True
                    if keyword.arg in ("allow_pickle", "trust_remote_code", "shell") and true:
                        yield path, node.lineno, f"{keyword.arg}=True"

    assert offences(found()) == []


# form ----------------------------------------------------------------------------------------------------------------


def test_files_are_small() -> None:
    long = {
        name_of(path): len(path.read_text("utf-8").splitlines())
        for path in modules("pipelines", "resources", "assets", "tests")
    }
    assert {name: lines for name, lines in long.items() if lines > MAX_LINES} == {}


def test_every_module_and_package_says_what_it_is() -> None:
    silent = [
        name_of(path)
        for path in modules("pipelines", "resources", "assets")
        if len(ast.get_docstring(tree_of(path)) or "") < 20
    ]
    assert silent == []


def test_every_folder_of_modules_is_a_package() -> None:
    folders = {path.parent for path in modules("pipelines", "resources", "assets", "tests")}
    assert [name_of(folder) for folder in sorted(folders) if not (folder / "__init__.py").exists()] == []


def test_no_module_is_called_utils() -> None:
    vague = {"utils", "util", "helpers", "helper", "common", "misc", "tools"}
    assert [name_of(path) for path in modules("pipelines", "resources", "assets", "tests") if path.stem in vague] == []


UNFINISHED = re.compile(r"\b(TO" r"DO|FIX" r"ME|X" r"XX|HA" r"CK)\b|\bNotImple" r"mentedError\b")
MACHINE_PATH = re.compile(r"(?<![\w./}-])/(work|root|home/\w+|Users/\w+|tmp/\w+|mnt/\w+)(?=[/\s\"'`),:]|$)")


def texts() -> Iterator[tuple[Path, int, str]]:
    """Every line of every tracked text file."""
    for path in tracked():
        try:
            lines = path.read_text("utf-8").splitlines()
        except UnicodeDecodeError:
            continue
        yield from ((path, number, line) for number, line in enumerate(lines, start=1))


def test_nothing_is_left_for_later() -> None:
    sources = {".py", ".yaml", ".toml", ".md", ""}
    assert (
        offences(
            (path, line, text.strip()[:100])
            for path, line, text in texts()
            if path.suffix in sources and UNFINISHED.search(text)
        )
        == []
    )


def test_no_file_names_a_machine() -> None:
    """A path of the machine that a line was written on; tests may name such paths as hostile or made-up input."""
    assert (
        offences(
            (path, line, text.strip()[:100])
            for path, line, text in texts()
            if path.relative_to(ROOT).parts[0] != "tests" and MACHINE_PATH.search(text)
        )
        == []
    )


def test_no_table_of_pyproject_hides_the_workspace() -> None:
    """With one of these tables in pyproject.toml `dagster dev` would ignore workspace.yaml."""
    text = (ROOT / "pyproject.toml").read_text("utf-8")
    assert "[tool.dagster]" not in text
    assert "[tool.dg]" not in text


# one name in every place ---------------------------------------------------------------------------------------------


@cache
def groups() -> dict[str, list[str]]:
    """Asset group -> where it is given, read from `group=` and `group_name=` arguments."""
    found: dict[str, list[str]] = {}
    for path in modules("assets"):
        for node in ast.walk(tree_of(path)):
            if (
                isinstance(node, ast.keyword)
                and node.arg in ("group", "group_name")
                and isinstance(node.value, ast.Constant)
            ):
                found.setdefault(str(node.value.value), []).append(f"{name_of(path)}:{node.value.lineno}")
    return found


def test_a_group_has_its_module_of_assets_and_its_library() -> None:
    """`corpus/dedup` = `assets/corpus/dedup.py` = `pipelines/corpus/dedup` (a package or a module)."""
    assert len(groups()) > 8
    missing = []
    for group, places in groups().items():
        assert re.fullmatch(r"(corpus|tokens|model|alignment|evaluation)/[a-z_]+", group), (
            f"{places[0]}: group {group!r}"
        )
        library = ROOT / "pipelines" / group
        wanted = {f"assets/{group}.py": ROOT / "assets" / f"{group}.py"}
        wanted[f"pipelines/{group}"] = library if library.is_dir() else library.with_suffix(".py")
        missing += [f"{places[0]}: group {group} has no {name}" for name, path in wanted.items() if not path.exists()]
    assert missing == []


def test_tests_mirror_what_they_test() -> None:
    """A test of a library module lies in the folder of the same name; tests of a whole chapter lie in its folder."""
    for path in modules("tests"):
        parts = path.relative_to(ROOT / "tests").parts
        if parts[0] in ("pipelines", "resources", "assets"):
            folder = ROOT.joinpath(*parts[:-1])
            assert folder.is_dir(), f"{name_of(path)} mirrors nothing: there is no folder {name_of(folder)}"


def test_every_library_module_has_a_reader() -> None:
    """A module that nothing imports, outside its own tests, is dead."""
    imported: set[str] = set()
    for path in modules("pipelines", "resources", "assets"):
        imported |= {module for _, module in imports(path)}
    text = (ROOT / "pyproject.toml").read_text("utf-8") + (ROOT / "workspace.yaml").read_text("utf-8")
    dead = []
    for path in modules("pipelines", "resources", "assets"):
        module = name_of(path)[:-3].replace("/", ".")
        launched = any(module in other.read_text("utf-8") for other in modules("resources", "assets") if other != path)
        if path.name != "__init__.py" and module not in imported and module not in text and not launched:
            dead.append(name_of(path))
    assert dead == []


def test_the_detectors_see_through_aliases(tmp_path: Path) -> None:
    """The rules above would pass on anything if these did not find what they look for."""
    path = tmp_path / "sample.py"
    path.write_text(
        "import time as t\nimport numpy as np\nfrom datetime import datetime\nfrom os import environ as e\n"
        "if TYPE_CHECKING:\n    import fasttext\n"
        "class A:\n    import transformers\n"
        "def f():\n    import torch.nn\n    return t.time(), datetime.now(), e['x'], np.random.seed(1)\n"
    )
    assert {"time.time", "datetime.datetime.now", "os.environ", "numpy.random.seed"} <= {name for _, name in uses(path)}
    assert {module for _, module in imports(path, top_level=True)} & {*HEAVY, "torch.nn"} == {"transformers"}
    assert (10, "torch.nn") in set(imports(path))
    for line in (
        "/{}/x".format("root"),
        '"/{}/main"'.format("work"),
        "cd /{}/w/x".format("tmp"),
        "/home/someone/.cache",
    ):
        assert MACHINE_PATH.search(line), line
    for line in ("https://example.org/work/x", "network/root", "{data}/work", "./work"):
        assert not MACHINE_PATH.search(line), line
    assert UNFINISHED.search("# {}{}: later".format("TO", "DO"))
