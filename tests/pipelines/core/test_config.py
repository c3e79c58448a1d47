"""What of a configuration enters an identity."""

from typing import Literal

import pytest
from pydantic import Field, ValidationError

from pipelines.core.config import Config, operational
from pipelines.core.fingerprint import digest_json


class Inner(Config):
    """A nested section."""

    threshold: float = Field(0.5, description="Decides.")
    path: str = operational("/somewhere", "Place.")


class Outer(Config):
    """Every container that a section may hold."""

    workers: int = operational(2, "Speed.", ge=1)
    kind: Literal["a", "b"] = Field("a", description="Decides.")
    one: Inner = Field(default_factory=Inner, description="Nested.")
    many: tuple[Inner, ...] = Field((), description="Nested in a sequence.")
    named: dict[str, Inner] = Field(default_factory=dict, description="Nested by name.")
    tags: frozenset[str] = Field(frozenset(), description="A set has no order.")
    words: list[str] = Field([], description="A list has one.")


def test_identity_leaves_out_operational_fields_at_every_depth() -> None:
    fast = Outer(
        workers=8,
        one=Inner(path="/a"),
        many=(Inner(path="/b"),),
        named={"x": Inner(path="/c")},
    )
    slow = Outer(workers=1, many=(Inner(),), named={"x": Inner()})
    assert fast.identity() == slow.identity()
    assert fast.identity() == {
        "kind": "a",
        "one": {"threshold": 0.5},
        "many": [{"threshold": 0.5}],
        "named": {"x": {"threshold": 0.5}},
        "tags": [],
        "words": [],
    }


def test_everything_else_decides() -> None:
    base = Outer().identity()
    changes = [
        Outer(kind="b"),
        Outer(one=Inner(threshold=0.6)),
        Outer(many=(Inner(),)),
        Outer(named={"x": Inner()}),
        Outer(tags=frozenset("x")),
        Outer(words=["x"]),
    ]
    digests = {digest_json(item) for item in [base, *(change.identity() for change in changes)]}
    assert len(digests) == 7


def test_sets_have_no_order_and_lists_have_one() -> None:
    assert Outer(tags=frozenset(["a", "b", "c"])).identity() == Outer(tags=frozenset(["c", "b", "a"])).identity()
    assert Outer(words=["a", "b"]).identity() != Outer(words=["b", "a"]).identity()


def test_configurations_are_frozen_checked_and_closed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Outer().kind = "b"  # type: ignore[misc]
    with pytest.raises(ValidationError, match="wrokers"):
        Outer(wrokers=3)  # type: ignore[call-arg]
    with pytest.raises(ValidationError, match="greater than or equal to 1"):
        Outer(workers=0)


def test_operational_fields_are_described_in_the_schema() -> None:
    assert Outer.model_json_schema()["properties"]["workers"]["description"] == "Speed."
