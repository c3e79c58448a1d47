import pyarrow as pa
import pytest

from pipelines.core.documents import DOCUMENT_SCHEMA, text_hash
from pipelines.core.fingerprint import rows_digest
from pipelines.corpus.cleaning.clean import clean_part
from pipelines.corpus.cleaning.config import CleaningConfig, ContaminationRule
from pipelines.corpus.cleaning.edits import OffsetMap
from pipelines.corpus.cleaning.removals import REMOVAL_SCHEMA
from pipelines.corpus.decontamination.config import ContaminationConfig
from pipelines.corpus.decontamination.contamination import contamination_part
from pipelines.corpus.decontamination.ngrams import ITEM_SCHEMA, evaluation_ngrams
from pipelines.corpus.privacy.config import SensitiveSpansConfig
from pipelines.corpus.privacy.spans import spans_part
from tests.pipelines.corpus.cleaning.records import documents, records

ITEM = "Janet's ducks lay 16 eggs per day. She eats three for breakfast every morning and bakes muffins for her friends"


def stage_inputs(table: pa.Table, *removals: tuple[str, str]) -> dict[str, pa.Table]:
    items = pa.table({"set": ["gsm8k"], "item": ["0"], "text": [ITEM]}, schema=ITEM_SCHEMA)
    config = ContaminationConfig()
    benchmark = evaluation_ngrams(items, config).tables
    return {
        "documents": table,
        "sensitive_spans": spans_part({"documents": table}, SensitiveSpansConfig()).tables["sensitive_spans"],
        "contamination": contamination_part({"documents": table, **benchmark}, config).tables["contamination"],
        "removals": pa.table(
            {"kind": [r[0] for r in removals], "value": [r[1] for r in removals]}, schema=REMOVAL_SCHEMA
        ),
    }


def test_every_failing_rule_is_recorded_and_rows_are_conserved() -> None:
    table = documents(
        ["fine text a@b.com here", ITEM, "unrelated", f"{ITEM} once more", "  \n\u3000 "], urls=list("abcde")
    )
    part = clean_part(stage_inputs(table, ("url", "c"), ("url", "d")), CleaningConfig())
    assert part.counts == {
        "rows_in": 5, "kept": 1, "dropped/removed": 2, "dropped/contaminated": 1, "dropped/contaminated_in_total": 0,
        "dropped/emptied": 1, "edits/email": 1, "edits/ip_address": 0, "edits/phone_number": 0,
    }  # fmt: skip
    decisions = part.tables["decisions"].to_pylist()
    failed = [[failure["rule"] for failure in row["failed"]] for row in decisions]
    assert failed == [[], ["contaminated"], ["removed"], ["removed", "contaminated"], ["emptied"]]
    assert decisions[3]["failed"][1]["value"] == 1.0 and decisions[3]["failed"][1]["threshold"] == 0.5
    kept = part.tables["documents"]
    assert kept.schema == DOCUMENT_SCHEMA and kept["text"].to_pylist() == ["fine text <EMAIL> here"]
    assert kept["text_hash"].to_pylist() == [text_hash("fine text <EMAIL> here")] and kept["id"][0] == table["id"][0]
    edits = OffsetMap.of(part.tables["edits"], kept["id"][0].as_py())
    assert edits.to_original(0, 17) == (0, 17) and edits.to_original(18, 22) == (18, 22)


def test_thresholds_are_switches() -> None:
    table = documents([ITEM, "unrelated words"])
    for rule, kept in (
        (ContaminationRule(max_item_share=None, max_matched=None), 2),
        (ContaminationRule(max_item_share=None, max_matched=5), 1),
        (ContaminationRule(max_item_share=1.0, max_matched=None), 1),
    ):
        assert clean_part(stage_inputs(table), CleaningConfig(contamination=rule)).counts["kept"] == kept


def test_a_second_cleaning_of_real_text_changes_nothing() -> None:
    table = documents([r["text"] for r in records("mixture/web_en.jsonl.zst")] + [ITEM])
    first = clean_part(stage_inputs(table), CleaningConfig())
    assert first.counts["dropped/contaminated"] == 1 and first.counts["edits/email"] > 200
    second = clean_part(stage_inputs(first.tables["documents"]), CleaningConfig())
    assert rows_digest(second.tables["documents"]) == rows_digest(first.tables["documents"])
    assert len(second.tables["edits"]) == 0


def test_attributes_of_other_documents_are_refused() -> None:
    inputs = stage_inputs(documents(["one", "two"]))
    inputs["sensitive_spans"] = inputs["sensitive_spans"].take([1, 0])
    with pytest.raises(ValueError, match="id column of sensitive_spans is not that of the documents"):
        clean_part(inputs, CleaningConfig())


def test_chunks_and_slices_of_a_table_do_not_matter() -> None:
    table = documents([f"中 {r['text']} a{n}@b.com" for n, r in enumerate(records("mixture/web_en.jsonl.zst", 60))])
    whole = clean_part(stage_inputs(table), CleaningConfig())
    inputs = stage_inputs(table)
    for role in ("documents", "sensitive_spans", "contamination"):
        inputs[role] = pa.concat_tables([inputs[role].slice(0, 13), inputs[role].slice(13, 30), inputs[role].slice(43)])
    chunked = clean_part(inputs, CleaningConfig())
    assert {r: rows_digest(t) for r, t in chunked.tables.items()} == {
        r: rows_digest(t) for r, t in whole.tables.items()
    }
    part = clean_part({**inputs, **{r: t.slice(20, 9) for r, t in inputs.items() if r != "removals"}}, CleaningConfig())
    assert rows_digest(part.tables["documents"]) == rows_digest(whole.tables["documents"].slice(20, 9))
    assert part.counts["edits/email"] >= 9


def test_an_empty_part() -> None:
    part = clean_part(stage_inputs(documents([])), CleaningConfig())
    assert part.counts["rows_in"] == part.counts["kept"] == 0 and part.tables["documents"].schema == DOCUMENT_SCHEMA
