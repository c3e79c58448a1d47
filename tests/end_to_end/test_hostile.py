"""Hostile input through the graph: a clear error or a counted drop each, and the other batches go on.

One project has a source for every kind of damaged file, beside sound ones; `gristmill run` takes it to the base report.
"""

import contextlib
import gzip
import json
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest
import yaml

from pipelines.project_file import ProjectError, load_project
from resources.home import ROOT
from resources.mill import Mill
from tests.end_to_end.conftest import FinishedRun, gristmill
from tests.end_to_end.small_project import environment, topics, write_documents, write_project

LINE_BYTES = 200_000_000
NESTED = 100_000
MAX_RESIDENT = 1_500_000_000
"""Of the largest process; the line of 200 MB or the bomb of 600 MB held whole, twice, would be far above it."""


def prose(count: int, seed: int) -> list[str]:
    """Sound documents of 400 to 600 words, different for each seed."""
    words = sorted({word for _, text in topics() for word in text.split() if word.isalpha()})
    generator = random.Random(seed)
    return [" ".join(generator.choices(words, k=generator.randint(400, 600))) + "." for _ in range(count)]


def lines(texts: list[str]) -> bytes:
    return b"".join(json.dumps({"text": text}).encode() + b"\n" for text in texts)


def record(body: bytes, length: int, number: int) -> bytes:
    """A WARC response whose Content-Length says `length`, whatever the body has."""
    head = (
        "WARC/1.1\r\nWARC-Type: response\r\nWARC-Target-URI: http://hostile.example/{0}\r\n"
        "WARC-Date: 2024-01-01T00:00:00Z\r\nWARC-Record-ID: <urn:uuid:00000000-0000-0000-0000-{0:012d}>\r\n"
        "Content-Type: application/http; msgtype=response\r\nContent-Length: {1}\r\n\r\n"
    )
    return head.format(number, length).encode() + body + b"\r\n\r\n"


def response(text: str) -> bytes:
    page = f"<html><body><article><h1>Page</h1><p>{text}</p></article></body></html>".encode()
    return b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n\r\n" + page


def truncated_gzip(folder: Path) -> None:
    """Text that does not compress to nothing, cut in the middle of its only member."""
    data = gzip.compress(lines(prose(60, 1)), mtime=0)
    (folder / "cut.jsonl.gz").write_bytes(data[: len(data) * 9 // 10])


def wrong_lengths(folder: Path) -> None:
    """Lengths below, above and far beyond the truth, negative and no number, among 127 sound records."""
    bodies = [response(text) for text in prose(130, 2)]
    lengths = [len(body) for body in bodies]
    lengths[10], lengths[20], lengths[30] = lengths[10] - 50, lengths[20] + 7, 10**15
    data = b"".join(record(*item, number) for number, item in enumerate(zip(bodies, lengths, strict=True)))
    data += record(bodies[0], -5, 90) + record(bodies[1], 0, 91).replace(b"Content-Length: 0", b"Content-Length: ten")
    (folder / "lengths.warc").write_bytes(data)


def broken_utf8(folder: Path) -> None:
    """Bytes that are no UTF-8 in the middle of one JSON line; a lone surrogate and a NUL as escapes in two others."""
    texts = prose(60, 3)
    data = lines(texts).splitlines(keepends=True)
    data[5] = data[5].replace(b" ", b" \xff\xfe\xc3( ", 1)
    data[6] = json.dumps({"text": "lone \ud800 surrogate " + texts[6]}).encode() + b"\n"
    data[7] = json.dumps({"text": "a NUL \x00 inside " + texts[7]}).encode() + b"\n"
    (folder / "broken.jsonl").write_bytes(b"".join(data))


def long_line(folder: Path) -> None:
    """200 MB without a line end between sound lines."""
    sound = lines(prose(60, 4))
    with (folder / "long.jsonl").open("wb") as stream:
        stream.write(sound)
        stream.write(b'{"text": "')
        for _ in range(LINE_BYTES // 1_000_000):
            stream.write(b"abcd efgh " * 100_000)
        stream.write(b'"}\n')
        stream.write(lines(prose(20, 5)))


def bomb(folder: Path) -> None:
    """600 MB of one letter in 0.6 MB of gzip, beside a sound file."""
    with gzip.GzipFile(filename="", fileobj=(folder / "bomb.jsonl.gz").open("wb"), mode="wb", mtime=0) as stream:
        stream.write(b'{"text": "')
        for _ in range(600):
            stream.write(b"a" * 1_000_000)
        stream.write(b'"}\n')
    (folder / "sound.jsonl").write_bytes(lines(prose(60, 6)))


def nested(folder: Path) -> None:
    """A page 100,000 elements deep among sound pages."""
    page = "<div>" * NESTED + "deep" + "</div>" * NESTED
    (folder / "deep.html").write_text(f"<html><body>{page}</body></html>")
    for number, text in enumerate(prose(30, 7)):
        (folder / f"{number:02}.html").write_text(f"<html><body><article><p>{text}</p></article></body></html>")


def empty(folder: Path) -> None:
    (folder / "nothing.jsonl").touch()


def unreadable(folder: Path) -> None:
    """More bad lines than the source allows: the batch is refused, with a message that names them."""
    (folder / "bad.jsonl").write_bytes(b'{"text": "no end\n' * 40 + lines(prose(10, 8)))


class Case(NamedTuple):
    """A damaged source, and what must have come of it: documents, and every drop of its extraction with its reason."""

    make: Callable[[Path], None]
    reader: dict[str, object]
    kept: int
    drops: dict[str, int]


CASES = {
    # Ordinals follow this order: the batch that cannot be published comes first, so the dedup chain has to skip it.
    "refused": Case(unreadable, {"format": "jsonl"}, 0, {}),
    "cut": Case(truncated_gzip, {"format": "jsonl"}, 53, {"torn_record": 1, "truncated_gzip": 1}),
    "lengths": Case(
        wrong_lengths, {"format": "warc"}, 127, {"wrong_length": 2, "truncated_record": 1, "bad_warc_header": 2}
    ),
    "broken": Case(broken_utf8, {"format": "jsonl"}, 59, {"broken_utf8": 1}),
    "long": Case(long_line, {"format": "jsonl"}, 80, {"line_too_long": 1}),
    "bomb": Case(bomb, {"format": "jsonl"}, 60, {"expansion_limit": 1, "torn_record": 1}),
    "nested": Case(nested, {"format": "folder", "html_suffixes": [".html"]}, 30, {"html_too_deep": 1}),
    "empty": Case(empty, {"format": "jsonl"}, 0, {"empty_record": 1}),
}
COUNTED = sorted(CASES.keys() - {"refused"})
BOTH = 'key:"source_files" or key:"crawled_text"'
FOLDERS = ("a b", "-rf", "Ünï", "line\nbreak", '"; drop table', ".hidden", "UPPER", "x" * 64)
"""Names in an inbox that cannot be partition keys."""


class HostileRun(NamedTuple):
    """The finished run, what it said, and the largest resident size of any of its processes in bytes."""

    run: FinishedRun
    code: int
    said: str
    resident: int

    @property
    def mill(self) -> Mill:
        return self.run.mill


def hostile_project(folder: Path) -> Path:
    """The small project with a source for every case before its own, and folders of hostile names in its inbox."""
    path = write_project(folder, steps=10)
    project = yaml.safe_load(path.read_text())
    sources = {}
    for name, case in CASES.items():
        (folder / name).mkdir()
        case.make(folder / name)
        sources[name] = {"domain": "hostile", "licence": "CC0-1.0", "path": name, "reader": dict(case.reader)}
    project["corpus"]["sources"] = {**sources, **project["corpus"]["sources"]}
    path.write_text(yaml.safe_dump(project, sort_keys=False))
    for name in FOLDERS:
        write_documents(folder / "inbox" / name, topics()[:2])
        (folder / "inbox" / name / "_SEALED").touch()
    return path


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> HostileRun:
    """`gristmill run`, with the resident sizes of its processes sampled."""
    folder = tmp_path_factory.mktemp("hostile")
    run = FinishedRun(folder, hostile_project(folder / "project"), folder / "home")
    log = folder / "said.txt"
    with log.open("w") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "assets.cli", "run"],
            env=environment(run.home, run.project),
            cwd=ROOT,
            stdout=stream,
            stderr=subprocess.STDOUT,
        )
    resident = 0
    while process.poll() is None:
        for member in (psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess):
                resident = max(resident, member.memory_info().rss)
        time.sleep(0.1)
    return HostileRun(run, process.returncode, log.read_text(), resident)


@pytest.mark.parametrize("name", COUNTED)
def test_damage_is_counted_with_its_reason_and_place(hostile: HostileRun, name: str) -> None:
    """What is sound is kept; every drop of the damage is a row with locator, reason and detail."""
    artifact = hostile.mill.get("crawled_text", f"{name}.first")
    counts = artifact.manifest.counts
    dropped = {key.removeprefix("dropped/"): n for key, n in counts.items() if key.startswith("dropped/") and n}
    assert (counts.get("kept", 0), dropped) == (CASES[name].kept, CASES[name].drops)
    rows = [row for _, table in artifact.tables("drops") for row in table.to_pylist()]
    assert len(rows) == sum(CASES[name].drops.values())
    files = {path.name for path in (hostile.run.project.parent / name).iterdir()}
    for row in rows:
        assert row["locator"].partition("#")[0] in files
        assert row["reason"]
        assert row["detail"]


@pytest.mark.parametrize("name", COUNTED)
def test_a_damaged_batch_reaches_the_token_arrays(hostile: HostileRun, name: str) -> None:
    arrays = hostile.mill.get("bpe/token_arrays", f"{name}.first").manifest.counts
    documents = arrays.get("train/documents", 0) + arrays.get("heldout/documents", 0)
    assert documents + arrays.get("near_heldout", 0) <= CASES[name].kept
    assert bool(documents) == bool(CASES[name].kept)


def test_what_is_refused_is_told_and_the_others_go_on(hostile: HostileRun) -> None:
    """The message names batch, file, line, reason and what to do; the report is there without that batch."""
    assert hostile.code == 1
    last = hostile.said.splitlines()[-1]
    assert last.startswith("gristmill: crawled_text refused.first: nothing published")
    for part in ("bad.jsonl#0 bad_json", "max_unreadable", "reader.format", "'unreadable': 40", "'kept': 10"):
        assert part in last
    assert "Traceback" not in hostile.said
    mill = hostile.mill
    assert mill.store.latest("crawled_text", "refused.first") is None
    snapshot = mill.get("corpus_snapshot").manifest.facts
    assert (snapshot["absent_batches"], snapshot["batches"]) == (1, len(mill.sealed()) - 1)
    assert mill.get("tiny/base_report").bytes_of("report").startswith(b"<!DOCTYPE html>")


def test_memory_stays_bounded(hostile: HostileRun) -> None:
    assert hostile.resident < MAX_RESIDENT


def test_folders_with_hostile_names_are_told_and_never_read(hostile: HostileRun) -> None:
    assert not [key for key in hostile.mill.sealed() if key.startswith("news.")]
    for name in FOLDERS:
        assert f"not read: the inbox folder news/{name!r}" in hostile.said


@pytest.mark.parametrize("key", ["../../../etc/passwd", "manual.one\n", "a" * 300])
def test_a_partition_key_that_is_none_goes_nowhere(hostile: HostileRun, key: str) -> None:
    before = sorted(hostile.run.home.rglob("*.json"))
    done = hostile.run.gristmill("run", "--select", "crawled_text", "--partition", key)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith(f"gristmill: --partition {key[:80]!r} is none of the ")
    assert sorted(hostile.run.home.rglob("*.json")) == before


def test_a_file_that_changed_after_it_was_sealed_is_refused(tmp_path: Path) -> None:
    """The first batch is sealed and inventoried; then its file changes. The other batch of its source goes on."""
    run = FinishedRun(tmp_path, write_project(tmp_path / "project", steps=4), tmp_path / "home")
    assert run.gristmill("run", "--select", "source_files").returncode == 0
    changed = tmp_path / "project" / "manual" / "one" / "part.jsonl"
    changed.write_bytes(changed.read_bytes().replace(b" the ", b" THE ", 1))
    done = run.gristmill("run", "--select", BOTH)
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    for part in ("crawled_text manual.one", "part.jsonl is not what was sealed", str(changed), "new batch"):
        assert part in last
    assert run.mill.store.latest("crawled_text", "manual.one") is None
    assert run.mill.get("crawled_text", "manual.two").manifest.rows("documents")


LIMITED = "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (2**21, 2**21));" + (
    "from assets.cli import main; sys.exit(main())"
)
"""The command line in a process whose files may have 2 MiB: a write beyond fails as on a full disk."""


def test_a_full_disk_is_told_once_and_a_rerun_goes_on(tmp_path: Path) -> None:
    """Parts of 6 MB of text that hardly compresses do not fit; nothing half-written is left; with room all is well."""
    path = write_project(tmp_path / "project", steps=4)
    project = yaml.safe_load(path.read_text())
    project["corpus"]["extraction"] = {"part_bytes": 64 << 20}
    (tmp_path / "project" / "large").mkdir()
    alphabet = random.Random(9)
    texts = ["".join(alphabet.choices("abcdefghijklmnopqrstuvwxyz0123456789 ", k=100_000)) for _ in range(60)]
    (tmp_path / "project" / "large" / "large.jsonl").write_bytes(lines(texts))
    source = {"domain": "large", "licence": "CC0-1.0", "path": "large", "reader": {"format": "jsonl"}}
    project["corpus"]["sources"] = {"large": source, **project["corpus"]["sources"]}
    path.write_text(yaml.safe_dump(project, sort_keys=False))
    run = FinishedRun(tmp_path, path, tmp_path / "home")
    select = ("run", "--select", BOTH)
    full = gristmill(run.home, run.project, *select, program=("-c", LIMITED))
    assert full.returncode == 1
    told = [line for line in full.stderr.splitlines() if line.startswith("gristmill: ")]
    assert len(told) == 1, "one message, not one for every batch"
    for part in ("crawled_text large.first", "no room to write", str(run.home / "store"), "GRISTMILL_STORE", "gc"):
        assert part in told[0]
    assert "Traceback" not in full.stderr
    assert not list((run.home / "store" / "tmp").iterdir()), "an unfinished file was left on the full disk"
    again = run.gristmill(*select)
    assert again.returncode == 0, again.stderr
    assert run.mill.get("crawled_text", "large.first").manifest.rows("documents") == 60
    assert run.gristmill("verify").returncode == 0


TYPOS = {
    "project": ("projct: small", "projct", "project"),
    "corpus": ("corpus: {extractoin: {}}", "corpus.extractoin", "extraction"),
    "source": ("corpus: {sources: {code: {domian: x}}}", "corpus.sources.code.domian", "domain"),
    "reader": ("corpus: {sources: {code: {reader: {format: jsnol}}}}", "corpus.sources.code.reader.format", "jsonl"),
    "filter": (
        "corpus: {sources: {code: {filter: {presets: [gohper]}}}}",
        "corpus.sources.code.filter",
        "gopher",
    ),
    "batch": (
        "corpus: {sources: {code: {batches: {one: {recrods: '0:1'}}}}}",
        "corpus.sources.code.batches.one.recrods",
        "records",
    ),
    "crawl": ("corpus: {sources: {code: {crawl: {max_pgaes: 1}}}}", "corpus.sources.code.crawl.max_pgaes", "max_pages"),
    "extraction": ("corpus: {extraction: {part_byts: 1}}", "corpus.extraction.part_byts", "part_bytes"),
    "signals": ("corpus: {signals: {langauge: null}}", "corpus.signals.langauge", "language"),
    "dedup": ("corpus: {dedup: {threshhold: 1}}", "corpus.dedup.threshhold", "threshold"),
    "privacy": ("corpus: {privacy: {kinnds: []}}", "corpus.privacy.kinnds", "kinds"),
    "contamination": ("corpus: {contamination: {ngarm: 3}}", "corpus.contamination.ngarm", "ngram"),
    "cleaning": ("corpus: {cleaning: {min_charcters: 3}}", "corpus.cleaning.min_charcters", "min_characters"),
    "splits": ("corpus: {splits: {max_docments: 3}}", "corpus.splits.max_docments", "max_documents"),
    "evaluation": ("evaluation: {confidnce: 0.9}", "evaluation.confidnce", "confidence"),
    "task": ("evaluation: {tasks: [{fiel: x}]}", "evaluation.tasks.0.fiel", "file"),
    "tokenizer": ("tokenizers: {bpe: {model: {kind: trianed}}}", "tokenizers.bpe.model.kind", "trained"),
    "lane": ("lanes: {tiny: {tokenzier: bpe}}", "lanes.tiny.tokenzier", "tokenizer"),
    "shape": ("lanes: {tiny: {shape: {hiden: 2}}}", "lanes.tiny.shape.hiden", "hidden"),
    "mixture": ("lanes: {tiny: {base: {mixture: {metod: x}}}}", "lanes.tiny.base.mixture.metod", "method"),
    "train": ("lanes: {tiny: {base: {train: {stpes: 3}}}}", "lanes.tiny.base.train.stpes", "steps"),
    "optimiser": (
        "lanes: {tiny: {base: {optimiser: {learning_rat: 1}}}}",
        "lanes.tiny.base.optimiser.learning_rat",
        "learning_rate",
    ),
    "schedule": ("lanes: {tiny: {base: {schedule: {kind: wds}}}}", "lanes.tiny.base.schedule.kind", "wsd"),
    "rounds": ("lanes: {tiny: {rounds: {min_new_tokns: 3}}}", "lanes.tiny.rounds.min_new_tokns", "min_new_tokens"),
    "gates": (
        "lanes: {tiny: {rounds: {gates: {max_forgeting: 3}}}}",
        "lanes.tiny.rounds.gates.max_forgeting",
        "max_forgetting",
    ),
}
"""Section -> (what is merged into a sound project file, the field that is named, the name that is proposed)."""


def merge(value: object, addition: object) -> object:
    if isinstance(value, dict) and isinstance(addition, dict):
        return {**value, **{name: merge(value.get(name), item) for name, item in addition.items()}}
    return addition


def test_a_typo_in_every_section_is_named_with_file_line_field_and_remedy(tmp_path: Path) -> None:
    """One by one, and all of them at once through the command line, which runs nothing."""
    path = write_project(tmp_path / "project")
    sound = yaml.safe_load(path.read_text())
    everything: object = sound
    for section, (addition, field, nearest) in TYPOS.items():
        added = yaml.safe_load(addition)
        everything = merge(everything, added)
        text = yaml.safe_dump(merge(sound, added), sort_keys=False)
        path.write_text(text)
        with pytest.raises(ProjectError) as found:
            load_project(path, {})
        mistakes = [mistake for mistake in found.value.mistakes if mistake.field == field]
        assert mistakes, f"{section}: {found.value}"
        word = next(iter(field.rsplit(".", 1)[-1:]))
        line = text.splitlines()[mistakes[0].line - 1]
        assert word in line, f"{section}: line {mistakes[0].line} is {line!r}"
        assert f"did you mean {nearest!r}?" in str(mistakes[0]), f"{section}: {mistakes[0]}"
    path.write_text(yaml.safe_dump(everything, sort_keys=False))
    done = gristmill(tmp_path / "home", path, "run")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    for section, (_, field, nearest) in TYPOS.items():
        assert f": {field}: " in done.stderr, section
        assert f"did you mean {nearest!r}?" in done.stderr, section
    assert not (tmp_path / "home" / "store" / "refs").exists()
