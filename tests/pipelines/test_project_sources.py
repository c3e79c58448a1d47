"""Kinds of sources in a project file, beyond those of the example."""

from pathlib import Path

from tests.pipelines.test_project_file import load, mistakes

SELECTED = """project: p
corpus:
  sources:
    web:
      domain: web
      licence: CC0-1.0
      commoncrawl: {crawls: [CC-MAIN-2024-22], hosts: [example.org]}
      batches:
        may: {}
        june: {commoncrawl: {crawls: [CC-MAIN-2024-26], fetched_from: 2024-06-12}}
      reader: {format: warc}
"""


def test_a_source_that_selects_from_common_crawl(tmp_path: Path) -> None:
    project = load(tmp_path, SELECTED)
    assert project.corpus.sources["web"].commoncrawl is not None
    told = {
        "hosts: [example.org]": ("hosts: ['']", "names no host"),
        "fetched_from: 2024-06-12": ("fetched_form: 2024-06-12", "fetched_from"),
        "[CC-MAIN-2024-26]": ("[]", "at least 1 item"),
        "format: warc": ("format: jsonl", "reader.format is warc"),
        "      reader:": ("      path: x\n      reader:", "this one has commoncrawl, path"),
    }
    for old, (new, message) in told.items():
        (mistake,) = mistakes(tmp_path, SELECTED.replace(old, new))
        assert message in str(mistake)
