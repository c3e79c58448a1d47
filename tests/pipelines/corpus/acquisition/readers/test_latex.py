"""LaTeX: included files in their places, comments and preamble gone, text and maths as they were."""

import time
from collections import Counter
from pathlib import Path

import pytest

from pipelines.corpus.acquisition.config import ReaderConfig
from pipelines.corpus.acquisition.readers import folder, read_records
from pipelines.corpus.acquisition.readers.latex import Siblings, without_comments
from pipelines.corpus.acquisition.records import Drop, Record
from tests.shared_data import shared_records

LATEX = ReaderConfig(format="latex")


def read(tmp_path: Path, files: dict[str, str], config: ReaderConfig = LATEX) -> dict[str, Record | Drop]:
    """What each file of a folder gives, all of them siblings."""
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    siblings = Siblings({name: tmp_path / name for name in files}, config)
    return {name: item for name in files for item in read_records(tmp_path / name, name, config, siblings)}


def test_a_document_is_its_body_with_what_it_includes(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        {
            "p/main.tex": "\\documentclass{article}\n\\title{On \\emph{Tests}}\n\\newcommand{\\R}{\\mathbb{R}}\n"
            "\\def\\RR{\\R^2}\n\\DeclareMathOperator{\\tr}{tr}\n\\newcommand{\\two}[1]{#1#1}\n\\begin{document}\n"
            "\\section{One} % a remark\nIn $\\RR$ with $\\tr x = 5\\%$ and \\two{a}.\n\\input{sec/two}\n"
            "\\bibliography{refs}\n\\end{document}\nafter",
            "p/sec/two.tex": "Two. \\include{sec/three}",
            "p/sec/three.tex": "% only a remark\nThree.\n\\begin{thebibliography}{9}\\bibitem{a}\\end{thebibliography}",
            "q/alone.tex": "\\chapter{A fragment} that nobody includes.",
        },
    )
    main, alone = found["p/main.tex"], found["q/alone.tex"]
    assert isinstance(main, Record)
    assert main.body == (
        "\\section{One} \nIn $\\mathbb{R}^2$ with $\\operatorname{tr} x = 5\\%$ and \\two{a}.\nTwo. Three."
    ).replace("} \n", "}\n")
    assert main.meta == {"title": "On \\emph{Tests}"}
    assert [found[name].reason for name in ("p/sec/two.tex", "p/sec/three.tex")] == ["included_file"] * 2  # type: ignore[union-attr]
    assert isinstance(alone, Record)
    assert alone.body == "\\chapter{A fragment} that nobody includes."


def test_nothing_outside_of_the_batch_is_read(tmp_path: Path) -> None:
    (tmp_path / "secret.tex").write_text("SECRET")
    (tmp_path / "in").mkdir()
    inputs = f"\\input{{../secret}}\\input{{/etc/passwd}}\\input{{{tmp_path}/secret.tex}}"
    body = f"\\begin{{document}}words {inputs}\\end{{document}}"
    path = tmp_path / "in" / "main.tex"
    path.write_text(body)
    (found,) = read_records(path, "main.tex", LATEX, Siblings({"main.tex": path}, LATEX))
    assert isinstance(found, Record)
    assert found.body == "words"
    assert len(found.meta["missing_inputs"]) == 3


def test_files_that_include_themselves_and_too_much_end(tmp_path: Path) -> None:
    loop = "\\begin{document}x\\input{a}\\input{a}\\end{document}"
    config = LATEX.model_copy(update={"max_record_bytes": 4096})
    assert read(tmp_path, {"a.tex": loop}, config)["a.tex"].reason == "record_too_large"  # type: ignore[union-attr]
    assert read(tmp_path, {"a.tex": "\\begin{document}x\\input{a}\\end{document}"})["a.tex"]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("a % b\nc", "a \nc"),
        ("a\n  % b\nc", "a\n  c"),
        ("5\\% of \\\\% gone", "5\\% of \\\\"),
        ("\\begin{verbatim}% kept\n\\end{verbatim}%gone", "\\begin{verbatim}% kept\n\\end{verbatim}"),
        ("\\verb|%| % gone", "\\verb|%| "),
        ("a\\begin{comment}b\\end{comment}c", "ac"),
        ("a\\iffalse b \\ifx c\\fi d\\fi e", "a e"),
        ("\\begin{comment} never closed % x", "\\begin{comment} never closed "),
    ],
)
def test_comments_go_and_percent_signs_stay(source: str, expected: str) -> None:
    assert without_comments(source) == expected


def test_hostile_openers_cost_linear_time() -> None:
    for opener in ("\\begin{verbatim}", "\\begin{comment}", "\\iffalse ", "\\verb|", "\\begin{lstlisting}"):
        source = opener * 50_000
        assert without_comments(source) == source


@pytest.mark.parametrize("line", ["a{}b", "a{}", "\\title{}b", "\\title[a]{}b", "\\title{}{{T}}", "\\input{}\\par"])
def test_runs_of_blanks_are_read_once(tmp_path: Path, line: str) -> None:
    """Half a megabyte, which some minutes did not suffice for."""
    source = line.format(" " * 500_000)
    started = time.process_time()
    (found,) = read(tmp_path, {"a.tex": f"\\begin{{document}}\n{source}\n\\end{{document}}"}).values()
    assert isinstance(found, Record)
    assert found.body == source.strip()
    assert time.process_time() - started < 5


def test_verbs_without_an_end_cost_linear_time() -> None:
    """Each with a mark of its own, so that none ends another, on one line."""
    source = "".join(f"\\verb{chr(0x2190 + number % 6000)}a" for number in range(60_000))
    started = time.process_time()
    assert without_comments(source) == source
    assert time.process_time() - started < 5


def test_files_that_include_all_others_are_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = "".join(f"\\input{{{number}}}" for number in range(60))
    files = {f"{number}.tex": f"\\begin{{document}}{number},\\end{{document}}{inputs}" for number in range(60)}
    files["main.tex"] = f"\\begin{{document}}{inputs}\\end{{document}}"
    files["other.tex"] = files["main.tex"]
    opened: Counter[str] = Counter()
    whole = folder.read_records
    counted = lambda path, *rest: opened.update([path.name]) or whole(path, *rest)  # noqa: E731
    monkeypatch.setattr(folder, "read_records", counted)
    found = read(tmp_path, files)
    for name in ("main.tex", "other.tex"):
        assert found[name].body == "".join(f"{number}," for number in range(60))  # type: ignore[union-attr]
    assert max(opened.values()) <= 3  # as a document, for who includes whom, for its text


def test_real_sources_keep_their_text_and_lose_their_comments(tmp_path: Path) -> None:
    """The TeX of a logic text book, a file a record: as many words as before but for comments."""
    every = shared_records("mixture/math_science.jsonl.zst")
    records = [r for r in every if "\\begin{" in r["text"] and "\\documentclass" not in r["text"]]
    for number, record in enumerate(records):
        (found,) = read(tmp_path, {f"{number}.tex": record["text"]}).values()
        if isinstance(found, Drop):
            assert found.reason == "empty_record"
            continue
        kept, before = str(found.body).split(), record["text"].split()
        comments = sum(len(line.partition("%")[2].split()) for line in record["text"].splitlines() if "%" in line)
        assert len(before) - len(kept) <= comments + 2 * record["text"].count("%") + record["text"].count("bib") * 40
    assert len(records) > 90
