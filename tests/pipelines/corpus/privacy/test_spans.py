import re
import time
from collections import Counter

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.core.fingerprint import rows_digest
from pipelines.corpus.privacy.config import SensitiveSpansConfig
from pipelines.corpus.privacy.patterns import FINDERS
from pipelines.corpus.privacy.spans import find_spans, spans_part
from tests.pipelines.corpus.cleaning.records import documents, records

KINDS = tuple(FINDERS)
GOLD_KINDS = {"EMAIL_ADDRESS": "email", "PHONE_NUMBER": "phone_number", "IP_ADDRESS": "ip_address"}


def found(text: str) -> list[tuple[str, str]]:
    data = text.encode()
    return [(span.kind, data[span.start : span.end].decode()) for span in find_spans(data, KINDS)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("write to a.b+c@example.co.uk.", [("email", "a.b+c@example.co.uk")]),
        ("'ann@host.org'", [("email", "ann@host.org")]),
        ("邮箱test_1@qq.com，谢谢", [("email", "test_1@qq.com")]),
        ("13812345678@163.com", [("email", "13812345678@163.com")]),
        ("logo@2x.png a @ b.com a@b user@host", []),
        ("server 8.8.8.8:53, 8.8.4.4.", [("ip_address", "8.8.8.8"), ("ip_address", "8.8.4.4")]),
        ("8.8.8.8-8.8.8.9", [("ip_address", "8.8.8.8"), ("ip_address", "8.8.8.9")]),
        ("地址是8.8.8.8的", [("ip_address", "8.8.8.8")]),
        ("10.0.0.1 192.168.1.1 127.0.0.1 172.16.5.4 169.254.1.1 203.0.113.7 100.64.0.1 0.0.0.0 224.0.0.1", []),
        ("1.2.3.4.5 v8.8.8.8 version 8.8.8.8 Section 4.2.1.3 8.8.8.8-beta 256.8.8.8 08.8.8.8 lib-8.8.8.8.so", []),
        ("2606:4700:4700::1111 up", [("ip_address", "2606:4700:4700::1111")]),
        ("fe80::1 ::1 2001:db8::1 std::abs a::b 12:34:56 00:11:22:33:44:55:66:77 dead::beef", []),
        ("+44 20 7946 0958", [("phone_number", "+44 20 7946 0958")]),
        ("+41 (0)96 471 07 95,", [("phone_number", "+41 (0)96 471 07 95")]),
        ("001-518-640-0854", [("phone_number", "001-518-640-0854")]),
        (
            "(231) 232-2334 or 201-948-1927 x123",
            [("phone_number", "(231) 232-2334"), ("phone_number", "201-948-1927 x123")],
        ),
        ("我的手机是13812345678。", [("phone_number", "13812345678")]),
        ("+86 138-1234-5678", [("phone_number", "+86 138-1234-5678")]),
        ("电话：01082345678", [("phone_number", "01082345678")]),
        ("（0571）88888888", [("phone_number", "（0571）88888888")]),
        ("010-12345678 打", []),
        ("010-82345678 打", [("phone_number", "010-82345678")]),
        ("时间戳 1500000000000，订单 13812345678，ISBN 978-7-302-12345-6，138123456789", []),
        ("order 13812345678 ISBN 212-555-1234 +20231231 GMT+0800 3.13812345678 id-13812345678", []),
        ("timeout=15000000000 毫秒 100 200 3000 212 555 1234 5", []),
    ],
)
def test_hits_and_near_misses(text: str, expected: list[tuple[str, str]]) -> None:
    assert found(text) == expected


def test_presidio_precision_is_one_and_recall_is_that_of_the_formats_in_scope() -> None:
    """1,500 labelled sentences: nothing that is not labelled is found; all e-mail and IP addresses are.

    Phone numbers: 32 of the 92 are written with `+`, `00` or as North American numbers with separators,
    the formats that need no context; national formats of other countries are out of scope.
    """
    true, missed, wrong = Counter[str](), Counter[str](), []
    for record in records("pii/presidio_synth_v2.jsonl.zst"):
        text = record["text"]
        gold = {
            (GOLD_KINDS[s["type"]], len(text[: s["start"]].encode()), len(text[: s["end"]].encode()))
            for s in record["spans"]
            if s["type"] in GOLD_KINDS
        }
        spans = find_spans(text.encode(), KINDS)
        wrong += [s for s in spans if not any(s.kind == k and s.start < e and b < s.end for k, b, e in gold)]
        for kind, start, end in gold:
            (true if any(s.kind == kind and s.start <= start and s.end >= end for s in spans) else missed)[kind] += 1
    assert wrong == []
    assert true["email"] == 49 and true["ip_address"] == 14 and not missed["email"] and not missed["ip_address"]
    assert (true["phone_number"], missed["phone_number"]) == (32, 60)


def test_nemo_curator_examples() -> None:
    """Gold tags stripped; private addresses must stay, the bare ten digits without any separator are out of scope."""
    tag = re.compile(r"</?(email|phone_number|ip_address)>")
    texts = {r["file"]: tag.sub("", r["text"]) for r in records("pii/nemo_curator_pii_tests.jsonl.zst")}
    assert found(texts["ip_address.txt"]) == []
    emails = ["johndoe@openai.com", "testbotaccount@nvidia.com", "testbotaccount@gmail.com"]
    assert found(texts["emails.txt"]) == [("email", value) for value in emails]
    numbers = ["(814) 360 8593", "+1-212-456-7890", "+12312322334", "(231) 232-2334"]
    assert found(texts["phone_numbers.txt"]) == [("phone_number", value) for value in numbers]
    assert not [hit for hit in found(texts["card_no.txt"]) + found(texts["ssn.txt"]) if hit]


def test_part_is_row_wise_sorted_disjoint_and_holds_no_value() -> None:
    texts = [r["text"] for name in ("web_en", "zh_general") for r in records(f"mixture/{name}.jsonl.zst")[-300:]]
    config = SensitiveSpansConfig()
    part = spans_part({"documents": documents(texts)}, config)
    rows = part.tables["sensitive_spans"].to_pylist()
    assert part.counts["spans/email"] > 20
    for text, row in zip(texts, rows, strict=True):
        data, end = text.encode(), 0
        for span in row["spans"]:
            assert set(span) == {"kind", "start", "end"} and end <= span["start"] < span["end"] <= len(data)
            end = span["end"]
            data[span["start"] : end].decode()
        assert [(s["kind"], s["start"], s["end"]) for s in row["spans"]] == find_spans(data, KINDS)
    table = documents(texts)
    pieces = [
        spans_part({"documents": table.slice(at, 97)}, config).tables["sensitive_spans"] for at in range(0, 600, 97)
    ]
    assert rows_digest(pa.concat_tables(pieces)) == rows_digest(part.tables["sensitive_spans"])


def test_kinds_left_out_are_not_searched() -> None:
    part = spans_part({"documents": documents(["a@b.com 8.8.8.8"])}, SensitiveSpansConfig(kinds=("ip_address",)))
    assert [s["kind"] for s in part.tables["sensitive_spans"]["spans"][0].as_py()] == ["ip_address"]
    assert part.counts == {"rows_in": 1, "kept": 1, "spans/ip_address": 1}
    assert len(spans_part({"documents": documents([])}, SensitiveSpansConfig()).tables["sensitive_spans"]) == 0


NEAR_MISSES = ["@a.", "a@", "1.", "8.8.8.", "+1 ", "+86138", "212-555-", "(212)", "2001:", "::1", "0", "138", "010-",
               "电话", "订单 ", "a.b-", "86-", "(0", " ", "1 ", "a@b.", "((", "1::"]  # fmt: skip
HITS = ["8.8.8.8 ", "<8.8.8.8>", "13812345678 中", "a@b.co,", "+12125551234;", "2606:4700::1111 "]


@pytest.mark.parametrize(("unit", "size"), [*((u, 2**20) for u in NEAR_MISSES), *((u, 2**17) for u in HITS)])
def test_hostile_text_costs_linear_time(unit: str, size: int) -> None:
    """Four times the text takes about four times as long (quadratic would be sixteen), 1 MB of near misses seconds."""
    data = (unit * (size // len(unit.encode()) + 1)).encode()[:size]
    find_spans(b"warm a@b.com", KINDS)
    times = []
    for text in (data[: size // 4], data):
        start = time.process_time()
        find_spans(text, KINDS)
        times.append(time.process_time() - start)
    assert times[1] < max(12 * times[0], 5.0), times


PIECES = st.sampled_from(
    ["a@b.com", "13812345678", "8.8.8.8", "212-555-1234", "+1 212 555 1234", "+4420794609", "电话", "010", "-", ".",
     " ", "@", "1", "86", "ISBN ", "2606:4700::1", ":", "(0571)", "88888888", "x", ",", "订单号", "(", ")", "v", "_",
     "<", ">", "中", "\n", "0", "c.io", "00", "+"]
)  # fmt: skip


@settings(max_examples=600, deadline=None)
@given(st.lists(PIECES, max_size=14))
def test_a_second_search_of_the_edited_text_finds_nothing(pieces: list[str]) -> None:
    text = "".join(pieces).encode()
    for placeholder in (b"<EMAIL>", b"[IP ADDRESS]", b"|x|"):
        edited, cursor = b"", 0
        for span in find_spans(text, KINDS):
            edited += text[cursor : span.start] + placeholder
            cursor = span.end
        edited += text[cursor:]
        assert find_spans(edited, KINDS) == []
