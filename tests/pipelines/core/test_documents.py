"""Ids, hashes and partition keys, with hostile input."""

import hashlib
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.core.documents import (
    ATTRIBUTE_KEYS,
    DOCUMENT_SCHEMA,
    KEY_LENGTH,
    BadKeyError,
    batch_prefix,
    document_id,
    split_key,
    text_hash,
)


def test_ids_are_pinned() -> None:
    """Ids are stored for ever: a change of these values is a change of every artifact."""
    assert document_id("wiki.first", "a.warc.gz:120").hex() == "74fcedb44cf191f44585f34728f3aea6"
    assert batch_prefix("wiki.first").hex() == "74fcedb4"
    assert text_hash("text").hex() == "d732c6be860e019351f99173fa6ae612"


def test_an_id_is_the_two_hashes_that_it_says() -> None:
    key, locator = "a.b", "folder/file.html:0"
    wanted = hashlib.blake2b(key.encode(), digest_size=4, person=b"batch").digest()
    wanted += hashlib.blake2b(locator.encode(), digest_size=12, person=b"locator").digest()
    assert document_id(key, locator) == wanted


@given(st.lists(st.text(max_size=6), min_size=2, max_size=20, unique=True))
def test_ids_lead_to_their_batch_and_are_distinct(locators: list[str]) -> None:
    ids = {document_id(key, locator) for key in ("a.b", "a.c") for locator in locators}
    assert len(ids) == 2 * len(locators)
    assert {identity[:4] for identity in ids} == {batch_prefix("a.b"), batch_prefix("a.c")}


def test_file_names_that_are_no_unicode_have_ids() -> None:
    assert document_id("a.b", "bad\udc80name:0") != document_id("a.b", "bad\udc81name:0")


@pytest.mark.parametrize(
    ("key", "parts"),
    [
        ("wiki.first", ("wiki", "first")),
        ("python-docs.2024.06.01", ("python-docs", "2024.06.01")),
        ("0_a-b.0_a-b.c", ("0_a-b", "0_a-b.c")),
        ("a." + "b" * (KEY_LENGTH - 2), ("a", "b" * (KEY_LENGTH - 2))),
    ],
)
def test_good_keys_split_at_the_first_dot(key: str, parts: tuple[str, str]) -> None:
    assert split_key(key) == parts


@pytest.mark.parametrize(
    "key",
    [
        "",
        ".",
        "wiki",
        "wiki.",
        ".first",
        "..",
        "../etc.passwd",
        "a/b.c",
        "a.b/c",
        "a.../../c",
        "a.b\\c",
        "a.b\n",
        "a.b\0",
        "\na.b",
        "A.b",
        "a.B",
        "-a.b",
        "_a.b",
        "a.-b",
        "a._",
        "é.b",
        "a.b c",
        "٣.b",
        "ａ.b",
        "a.b" + "c" * KEY_LENGTH,
        "a" * 10**6 + ".b",
    ],
)
def test_hostile_keys_are_refused_with_the_rule(key: str) -> None:
    with pytest.raises(BadKeyError, match=r"is not <source>\.<batch>") as caught:
        split_key(key)
    assert len(str(caught.value)) < 400
    assert "\0" not in str(caught.value)


@given(st.text(string.ascii_letters + string.digits + "._-/ \n\0é", max_size=KEY_LENGTH + 2))
def test_a_key_is_split_or_refused_by_its_characters_alone(key: str) -> None:
    """Brute force beside the two expressions."""
    source, dot, batch = key.partition(".")
    start, more = set(string.ascii_lowercase + string.digits), set("_-")
    good = (
        (
            len(key) <= KEY_LENGTH
            and dot == "."
            and source[:1] in start
            and set(source) <= start | more
            and batch[:1] in start
            and set(batch) <= start | more | {"."}
        )
        if source and batch
        else False
    )
    if good:
        assert split_key(key) == (source, batch)
    else:
        with pytest.raises(BadKeyError):
            split_key(key)


def test_attribute_tables_start_with_the_documents_keys() -> None:
    assert [field.name for field in ATTRIBUTE_KEYS] == ["id", "text_hash"]
    assert DOCUMENT_SCHEMA.names == [
        "id", "text", "text_hash", "url", "url_hash", "source", "batch", "domain", "language", "fetched_at", "locator",
        "meta",
    ]  # fmt: skip
