import random
import re
from collections import Counter

import numpy as np
import pyarrow as pa
import pytest

from pipelines.core.fingerprint import rows_digest
from pipelines.corpus.decontamination.config import ContaminationConfig
from pipelines.corpus.decontamination.contamination import contamination_part
from pipelines.corpus.decontamination.ngrams import ITEM_SCHEMA, evaluation_ngrams
from tests.pipelines.corpus.cleaning.records import documents, records

CONFIG = ContaminationConfig()


def items_table(texts: list[str], name: str = "set") -> pa.Table:
    names = [str(position) for position in range(len(texts))]
    return pa.table({"set": [name] * len(texts), "item": names, "text": texts}, schema=ITEM_SCHEMA)


def shares(items: list[str], texts: list[str], config: ContaminationConfig = CONFIG) -> list[dict[str, float]]:
    """Per text: item name -> share."""
    tables = evaluation_ngrams(items_table(items), config).tables
    part = contamination_part({"documents": documents(texts), **tables}, config)
    return [{h["item"]: h["share"] for h in row} for row in part.tables["contamination"]["hits"].to_pylist()]


def ascii_ngrams(text: str, n: int) -> set[tuple[str, ...]]:
    words = re.findall(r"[a-z0-9]+", text.lower())
    return set(zip(*(words[start:] for start in range(n)), strict=False))


def one_word_in_ten_changed(text: str) -> str:
    words = text.split()
    return " ".join("changed" if position % 10 == 5 else word for position, word in enumerate(words))


def test_injection_table() -> None:
    """MMLU items put into real web pages, by kind of disguise and length of n-gram: what each rule sees.

    Verbatim: everything, whatever surrounds it. One word in ten changed: no 13-gram survives, and of ten consecutive
    8-grams two do. Options shuffled: the question survives, n-grams across options do not.
    """
    rows = [r for r in records("eval/mmlu_57x50_plus_dev.jsonl.zst") if 40 <= len(r["question"].split()) <= 120][:150]
    pages = [r["text"][:3000] for r in records("mixture/web_en.jsonl.zst", 150)]
    dice = random.Random(3)
    items = [row["question"] + "\n" + "\n".join(row["choices"]) for row in rows]
    disguises = {
        "verbatim": items,
        "re-typeset": [item.upper().replace(" ", "  ").replace(",", " , ") for item in items],
        "one word in ten": [one_word_in_ten_changed(item) for item in items],
        "shuffled": [row["question"] + "\n" + "\n".join(dice.sample(row["choices"], 4)) for row in rows],
        "absent": [""] * len(rows),
    }
    mean = {}
    for n in (13, 8):
        config = ContaminationConfig(ngram=n)
        for name, texts in disguises.items():
            pasted = [f"{page}\n\n{text}\n\n{page}" for page, text in zip(pages, texts, strict=True)]
            found = shares(items, pasted, config)
            mean[name, n] = float(np.mean([hits.get(str(row), 0.0) for row, hits in enumerate(found)]))
    assert mean["verbatim", 13] == mean["verbatim", 8] == 1.0
    assert mean["re-typeset", 13] == mean["re-typeset", 8] == 1.0
    assert mean["one word in ten", 13] < 0.01
    assert 0.12 < mean["one word in ten", 8] < 0.3
    assert 0.5 < mean["shuffled", 13] < mean["shuffled", 8] < 1.0
    assert mean["absent", 13] == mean["absent", 8] == 0.0


def test_shares_equal_a_brute_force_over_word_tuples() -> None:
    items = [r["question"] for r in records("eval/gsm8k_test.jsonl.zst", 200)]
    texts = [" ".join(items[at : at + 3])[7 * at % 50 : 900] for at in range(0, 200, 5)]
    items, texts = ([t.encode("ascii", "ignore").decode() for t in some] for some in (items, texts))
    counts = Counter(gram for item in items for gram in ascii_ngrams(item, 13))
    kept = [{g for g in ascii_ngrams(item, 13) if counts[g] <= 4} for item in items]
    for text, found in zip(texts, shares(items, texts), strict=True):
        own = ascii_ngrams(text, 13)
        expected = {str(row): len(own & grams) / len(grams) for row, grams in enumerate(kept) if own & grams}
        assert found == pytest.approx(expected)


def test_natural_contamination_of_gsm8k_is_found() -> None:
    """Two test questions share over a fifth of their 13-grams with the training set, and exactly those are found."""
    items = [r["question"] for r in records("eval/gsm8k_test.jsonl.zst")]
    train = [r["text"] for r in records("mixture/math_science.jsonl.zst") if r["id"].startswith("gsm8k-train")]
    seen = set().union(*(ascii_ngrams(text, 13) for text in train))
    expected = {
        str(row)
        for row, item in enumerate(items)
        if (grams := ascii_ngrams(item.replace("’", " ").replace("é", "e"), 13))
        and len(grams & seen) / len(grams) > 0.2
    }
    found = {name for hits in shares(items, train) for name, share in hits.items() if share > 0.2}
    assert found == expected and len(found) == 2


def test_rephrased_items_are_missed() -> None:
    """The known limit of n-grams: of 1,319 reworded GSM8K questions 13 words find none, 8 words a piece of a few."""
    rows = records("decontamination/gsm8k_test_rephrased.jsonl.zst")
    found = {}
    for n in (13, 8):
        hits = shares([r["original"] for r in rows], [r["rephrased"] for r in rows], ContaminationConfig(ngram=n))
        found[n] = [hit.get(str(row), 0.0) for row, hit in enumerate(hits)]
    assert max(found[13]) == 0.0
    assert 0 < sum(share > 0 for share in found[8]) < 0.2 * len(rows) and sum(share >= 0.5 for share in found[8]) < 10


def test_licences_and_boilerplate_match_nothing() -> None:
    """Real benchmarks against a real repository full of licence headers; then a preamble that every item repeats."""
    items = [r["prompt"] + r["canonical_solution"] for r in records("eval/human_eval.jsonl.zst")]
    items += [r["query"] + "\n".join(r["choices"]) for r in records("eval/arc_challenge.jsonl.zst")]
    code = [r["text"] for r in records("mixture/code.jsonl.zst") if "icense" in r["text"] and len(r["text"]) < 20_000]
    assert len(code) > 80 and sum("WITHOUT WARRANTIES" in text for text in code) > 50
    assert all(share < 0.5 for hits in shares(items, code) for share in hits.values())
    licence = next(text for text in code if "WITHOUT WARRANTIES" in text)
    header = licence[: licence.index("WITHOUT WARRANTIES") + 300]
    distinct = [f"{header} {item}" for item in items[:8]]
    assert shares(distinct, [licence, *code[:20]]) == [{}] * 21
    assert all(hits for hits in shares(distinct[:4], [licence]))


def test_short_items_match_whole_or_are_reported_as_uncheckable() -> None:
    ten = "which gas do plants take in from the air outside"
    repeated = [f"the same thirteen words stand in five items and so identify none of {x}" for x in "abcde"]
    items = [ten, "What is the capital of France?", *repeated, "植物从空气中吸收什么气体来进行光合作用"]
    result = evaluation_ngrams(items_table(items), ContaminationConfig(max_items_per_ngram=4))
    checks = result.tables["items"]["check"].to_pylist()
    assert checks[:2] == ["whole", "uncheckable"] and checks[7] == "ngrams"
    assert result.counts["dropped/uncheckable"] == checks.count("uncheckable")
    assert result.counts["rows_in"] == result.counts["kept"] + result.counts["dropped/uncheckable"] == 8
    texts = [
        f"Quiz: {ten}? Oxygen",
        "which gas do plants take in from the air inside",
        "请问植物从空气中吸收什么气体来进行光合作用？",
    ]
    assert shares(items, texts) == [{"0": 1.0}, {}, {"7": 1.0}]


def test_items_need_distinct_names() -> None:
    twice = pa.concat_tables([items_table(["a b c"]), items_table(["d e f"])])
    with pytest.raises(ValueError, match="item '0' of evaluation set 'set' is declared twice"):
        evaluation_ngrams(twice, CONFIG)


def test_rows_depend_on_themselves_alone() -> None:
    tables = evaluation_ngrams(
        items_table([r["question"] for r in records("eval/gsm8k_test.jsonl.zst", 300)]), CONFIG
    ).tables
    texts = [r["text"] for r in records("mixture/math_science.jsonl.zst", 400)]
    texts[7] = texts[7] + " " + records("eval/gsm8k_test.jsonl.zst", 5)[3]["question"]
    whole = contamination_part({"documents": documents(texts), **tables}, CONFIG)
    table = documents(texts)
    pieces = [
        contamination_part({"documents": table.slice(at, 150), **tables}, CONFIG).tables["contamination"]
        for at in range(0, 400, 150)
    ]
    assert rows_digest(pa.concat_tables(pieces)) == rows_digest(whole.tables["contamination"])
    assert whole.tables["contamination"]["max_share"][7].as_py() == 1.0 and whole.counts["documents_with_hits"] >= 1
    empty = contamination_part({"documents": documents([]), **tables}, CONFIG)
    assert len(empty.tables["contamination"]) == 0
    nothing = evaluation_ngrams(items_table([]), CONFIG).tables
    assert contamination_part({"documents": table, **nothing}, CONFIG).counts["hits"] == 0
