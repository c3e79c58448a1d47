"""Licences of a lane: what its plans, proposals and trainings refuse."""

from types import SimpleNamespace
from typing import Any

import pytest

from assets.model.plans import _round_identity
from assets.model.rights import LicenceRefusedError, licensed_check, refuse_unlicensed
from pipelines.project import Project

STAGE = {"train": {"sequence_length": 64, "batch_sequences": 16, "steps": 10}}


def project(licences: list[str], **sources: str) -> Project:
    return Project.model_validate(
        {
            "project": "p",
            "corpus": {
                "sources": {
                    name: {"domain": "d", "licence": licence, "path": "x", "reader": {"format": "folder"}}
                    for name, licence in sources.items()
                }
            },
            "tokenizers": {"t": {"model": {"kind": "trained", "vocab_size": 1024}}},
            "lanes": {"l": {"tokenizer": "t", "licences": licences, "base": STAGE, "rounds": STAGE}},
        }
    )


def plan(*sources: str) -> Any:
    return SimpleNamespace(lane="l", parts=[SimpleNamespace(source=name) for name in sources])


@pytest.mark.parametrize(
    ("licences", "refused"),
    [
        ([], {"c"}),
        (["MIT"], {"b", "c"}),
        (["mit", "cc-by-nc-4.0"], {"c"}),
        (["MIT", "CC-BY-NC-4.0", "unknown"], set()),
        (["unknown"], {"a", "b"}),
    ],
)
def test_a_plan_is_held_to_the_lanes_list(licences: list[str], refused: set[str]) -> None:
    found = project(licences, a="MIT", b="MIT AND CC-BY-NC-4.0", c="unknown")
    check = licensed_check(found, plan("a", "b", "c", "a"))
    assert check.passed is not bool(refused)
    assert check.blocking
    assert check.values == {"sources": 3, "refused": len(refused)}
    for name in "abc":
        assert (f"{name} (" in check.description) is (name in refused)
    if refused:
        with pytest.raises(LicenceRefusedError, match="not permitted"):
            refuse_unlicensed(found, plan("a", "b", "c"), "l/base_checkpoint")
    else:
        refuse_unlicensed(found, plan("a", "b", "c"), "l/base_checkpoint")


def test_a_source_that_is_gone_counts_as_unknown_and_one_that_is_not_used_as_nothing() -> None:
    assert licensed_check(project([], a="MIT", b="unknown"), plan("a")).passed
    assert not licensed_check(project([], a="MIT"), plan("gone")).passed
    assert licensed_check(project([], a="unknown"), plan()).passed


def test_an_edit_of_rights_remakes_the_proposal_and_no_plan() -> None:
    one, other = project([], a="MIT"), project(["MIT"], a="Apache-2.0")
    assert _round_identity(one, "l") != _round_identity(other, "l")
    assert one.lanes["l"].identity() == other.lanes["l"].identity()


@pytest.mark.parametrize(("value", "words"), [("MITT", "MIT"), ("MIT OR GPL-3.0-only", "one licence an entry")])
def test_a_lanes_list_is_checked(value: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        project([value], a="MIT")
