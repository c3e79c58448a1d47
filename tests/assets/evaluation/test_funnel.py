"""The funnel's first line: what may be a document, with the records that are none by their kind beside it."""

from assets.evaluation.facts import funnel_rows
from pipelines.evaluation.reports.sections import ASIDE, funnel


def test_records_that_are_no_documents_stand_beside_the_funnel() -> None:
    counts = {
        "records": 100,
        "kept": 40,
        "dropped/record_type_request": 41,
        "dropped/namespace": 9,
        "dropped/content_type": 7,
        "dropped/record_type_conversion": 3,
    }
    (row,) = funnel_rows({"extraction": counts})
    assert (row.documents_in, row.kept) == (50, 40)
    assert row.dropped == {"content_type": 7, "record_type_conversion": 3}
    assert row.aside == {"record_type_request": 41, "namespace": 9}
    assert row.documents_in == row.kept + sum(row.dropped.values())
    assert row.documents_in + sum(row.aside.values()) == counts["records"]
    page = funnel([row])
    assert "Beside them, no documents: requests 41 · pages of other namespaces 9" in page
    assert "unaccounted" not in page


def test_what_is_beside_is_what_a_reader_calls_another_kind() -> None:
    assert all(
        reason.startswith("record_type_") or reason in ("namespace", "post_type", "included_file") for reason in ASIDE
    )
    (row,) = funnel_rows({"quality rules": {"rows_in": 9, "kept": 8, "dropped/short": 1}})
    assert row.aside == {} and "Beside them" not in funnel([row])
