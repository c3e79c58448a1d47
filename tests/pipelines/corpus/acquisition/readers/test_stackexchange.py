"""Stack Exchange dumps: threads joined whatever their order, hostile XML and archives counted."""

import random
from pathlib import Path
from xml.sax.saxutils import quoteattr

import py7zr
import pytest

from pipelines.corpus.acquisition.config import ReaderConfig
from pipelines.corpus.acquisition.readers import read_records
from pipelines.corpus.acquisition.records import Drop, Record

POSTS = ReaderConfig(format="stackexchange")


def row(**values: object) -> str:
    return "  <row " + " ".join(f"{name}={quoteattr(str(value))}" for name, value in values.items()) + " />"


def question(number: int, **more: object) -> str:
    fixed = {"Title": f"Title {number}", "Body": f"<p>Question <b>{number}</b></p>", "Tags": "<c++><a-b>"}
    return row(Id=number, PostTypeId=1, Score=3, CreationDate="2010-07-19T19:12:12.510", **{**fixed, **more})


def answer(number: int, parent: int, score: int = 0) -> str:
    return row(Id=number, PostTypeId=2, ParentId=parent, Score=score, Body=f"<p>Answer {number}</p>")


def dump(*rows: str) -> bytes:
    return ('<?xml version="1.0" encoding="utf-8"?>\r\n<posts>\r\n' + "\r\n".join(rows) + "\r\n</posts>").encode()


def read(path: Path, data: bytes, config: ReaderConfig = POSTS) -> list[Record | Drop]:
    path.write_bytes(data)
    return list(read_records(path, "Posts.xml", config))


def test_a_question_with_its_answers_is_one_document(tmp_path: Path) -> None:
    rows = [
        answer(9, 4, 1),
        question(4, AcceptedAnswerId=8, ViewCount=70, ContentLicense="CC BY-SA 4.0"),
        answer(5, 4, 1),
        answer(6, 4, 12),
        answer(8, 4, -1),
        question(7, Tags="|x|y z|"),
    ]
    first, second = read(tmp_path / "p", dump(*rows))
    assert isinstance(first, Record)
    assert isinstance(second, Record)
    assert first.body == "Title 4\n\nQuestion 4\n\nAnswer 8\n\nAnswer 6\n\nAnswer 5\n\nAnswer 9"
    assert first.meta == {
        "title": "Title 4",
        "tags": ["c++", "a-b"],
        "score": 3,
        "views": 70,
        "answers": 4,
        "answer_scores": [-1, 12, 1, 1],
        "accepted": True,
        "licence": "CC BY-SA 4.0",
    }
    assert first.locator == "Posts.xml#4"
    assert first.fetched_at is not None
    assert second.meta["tags"] == ["x", "y z"]


def test_threads_do_not_depend_on_the_order_of_rows(tmp_path: Path) -> None:
    rows = [question(number) for number in range(1, 40)]
    rows += [answer(100 + number, number % 39 + 1, number) for number in range(100)]
    expected = read(tmp_path / "p", dump(*rows))
    random.Random(3).shuffle(rows)
    assert read(tmp_path / "p", dump(*rows)) == expected
    assert len(expected) == 39


def test_a_7z_archive_gives_what_its_member_gives(tmp_path: Path) -> None:
    data = dump(question(1), answer(2, 1))
    with py7zr.SevenZipFile(tmp_path / "site.7z", "w") as archive:
        archive.writestr(b"<users/>", "Users.xml")
        archive.writestr(data, "Posts.xml")
    assert read(tmp_path / "q", (tmp_path / "site.7z").read_bytes()) == read(tmp_path / "p", data)


def test_archives_that_are_none_or_bombs_are_drops(tmp_path: Path) -> None:
    with py7zr.SevenZipFile(tmp_path / "a.7z", "w") as archive:
        archive.writestr(b"<users/>", "Users.xml")
    with py7zr.SevenZipFile(tmp_path / "locked.7z", "w", password="x") as archive:
        archive.writestr(dump(question(1)), "Posts.xml")
    with py7zr.SevenZipFile(tmp_path / "bomb.7z", "w") as archive:
        archive.writestr(b" " * (300 << 20), "Posts.xml")
    small = POSTS.model_copy(update={"max_expansion": 2})
    found = [list(read_records(tmp_path / name, "x", small)) for name in ("a.7z", "locked.7z", "bomb.7z")]
    assert [[item.reason for item in items if isinstance(item, Drop)] for items in found] == [
        ["no_text"],
        ["encrypted"],
        ["expansion_limit"],
    ]
    data = (tmp_path / "a.7z").read_bytes()
    (drop,) = read(tmp_path / "b", data[:40] + b"\xff\xff" + data[42:])
    assert isinstance(drop, Drop)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('<row Id="2" PostTypeId="1" Body="&bomb;" />', "bad_xml"),
        ('<!DOCTYPE posts [<!ENTITY bomb "x">]>', "bad_xml"),
        ('<!DOCTYPE r [<!ENTITY a "x">]><row Id="2" PostTypeId="1" Body="&a;&a;"/>', "bad_xml"),
        ('<row Id="2" PostTypeId="1"', "bad_xml"),
        ("<row/><row/>", "bad_xml"),
        ('<row Id="two" PostTypeId="1"/>', "bad_row"),
        ('<row Id="99999999999999999999" PostTypeId="1"/>', "bad_row"),
        (row(Id=2, PostTypeId=1, Score="9" * 30, Body="x"), "bad_row"),
        (row(Id=2, PostTypeId=5, Body="about a tag"), "post_type"),
        (answer(2, 77), "orphan_answer"),
        (question(2, Title="", Body=""), "no_text"),
        (question(2, Body="<div>" * 20_000), "html_too_deep"),
        (question(2, Body="x" * 9000), "record_too_large"),
        (question(2, Body="x" * 900_000), "line_too_long"),
    ],
)
def test_one_bad_row_is_one_drop(tmp_path: Path, line: str, reason: str) -> None:
    limit = 8192 if reason == "record_too_large" else 300_000
    config = POSTS.model_copy(update={"max_record_bytes": limit, "max_line_bytes": 300_000})
    found = read(tmp_path / "p", dump(question(1), line, answer(3, 1)), config)
    assert [item.reason for item in found if isinstance(item, Drop)] == [reason]
    assert ["Answer 3" in str(item.body) for item in found if isinstance(item, Record)] == [True]
