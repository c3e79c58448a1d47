import base64
import math
import re
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.evaluation.reports.data import LossPoint
from pipelines.evaluation.reports.forest import WIDTH, mark, ruler, scale
from pipelines.evaluation.reports.markup import (
    Markup,
    count,
    interval,
    listing,
    number,
    percent,
    short_count,
    table,
    tag,
    text,
)
from pipelines.evaluation.reports.plots import POINTS, loss_curve

FINITE = st.floats(-1e6, 1e6)


@given(st.lists(FINITE | st.none(), max_size=8), st.booleans())
def test_a_scale_holds_every_value_on_round_ticks(values, zero):
    axis = scale(values, include_zero=zero)
    known = [value for value in values if value is not None] + ([0.0] if zero else [])
    step = axis.ticks[1] - axis.ticks[0]
    assert all(axis.low - 1e-6 * step <= value <= axis.high + 1e-6 * step for value in known)
    assert 2 <= len(axis.ticks) <= 7
    assert float(f"{step:.0e}"[0]) in (1, 2, 5)
    positions = [float(axis.at(tick)) for tick in axis.ticks]
    assert positions == sorted(positions)
    assert 0 < positions[0] < positions[-1] < WIDTH


def test_ticks_show_the_digits_they_need():
    axis = scale([0.013, 0.021])
    assert [number(tick, axis.digits) for tick in axis.ticks] == ["0.012", "0.014", "0.016", "0.018", "0.020", "0.022"]
    assert "−0.2" in ruler(scale([-0.2, 0.1]), signed=True)


def test_a_mark_draws_what_is_known():
    axis = scale([0, 1])
    assert "circle" not in mark(None, None, None, axis, "red")
    assert "rect" not in mark(0.5, None, None, axis, "red")
    whole = mark(0.5, 0.25, 0.75, axis, "red")
    ElementTree.fromstring(whole)
    bar = re.search(r'<rect x="([\d.]+)" y="14" width="([\d.]+)"', whole)
    middle = float(re.search(r'cx="([\d.]+)"', whole).group(1))
    assert float(bar.group(1)) + float(bar.group(2)) / 2 == pytest.approx(middle, abs=0.1)


def curve(points):
    picture = loss_curve(points)
    encoded = re.search(r'base64,([^"]+)"', picture).group(1)
    return base64.b64decode(encoded).decode()


def test_the_loss_curve_is_small_deterministic_xml():
    points = [LossPoint(i, 2 + math.sin(i), 1e-3 * i) for i in range(20_000)]
    svg = curve(points)
    ElementTree.fromstring(svg)
    assert svg == curve(points)
    assert len(svg) < 200_000
    assert "optimiser step" in svg
    assert not re.search(r"<dc:date>|Matplotlib v", svg)
    assert POINTS < 20_000


def test_the_loss_curve_leaves_gaps_out():
    assert loss_curve([]) is None
    assert loss_curve([LossPoint(1, 2.0), LossPoint(2, None)]) is None
    assert loss_curve([LossPoint(1, 2.0), LossPoint(2, float("nan"))]) is None
    assert "nan" not in curve([LossPoint(1, 2.0), LossPoint(2, float("inf")), LossPoint(3, 1.0)]).lower()


@given(st.text())
def test_text_never_opens_a_tag_and_comes_back_from_the_page(value):
    shown = text(value)
    assert not set("<>\"'") & set(shown)
    assert tag("p", value) == f"<p>{shown}</p>"
    assert text(Markup(shown)) == shown


def test_attributes_are_escaped_and_named_by_us():
    assert tag("i", class_='a" onload="x', stroke_width=2, hidden=None) == (
        '<i class="a&quot; onload=&quot;x" stroke-width="2"></i>'
    )
    with pytest.raises(ValueError, match="attribute name"):
        tag("i", **{"a b": 1})


def test_a_table_aligns_numbers():
    assert table(("a", "b"), [("x", 1)], numeric=(1,)) == (
        '<div class="scroll"><table><thead><tr><th>a</th><th class="n">b</th></tr></thead>'
        '<tbody><tr><td>x</td><td class="n">1</td></tr></tbody></table></div>'
    )


def test_numbers_as_people_read_them():
    assert [number(value, 2, signed=True) for value in (-0.5, 0.5, 0.001, -0.001, None, math.nan)] == [
        "−0.50", "+0.50", "0.00", "0.00", "–", "–",
    ]  # fmt: skip
    assert (percent(0.125), percent(None), count(1234567), count(None)) == ("12.5 %", "–", "1\u2009234\u2009567", "–")
    assert [short_count(value) for value in (7, 999, 1500, 2_500_000, 3_000_000_000, None)] == [
        "7", "999", "1.5 k", "2.5 M", "3 G", "–",
    ]  # fmt: skip
    assert (interval(None, 1.0), interval(1, 2, 1)) == ("–", "1.0 to 2.0")
    assert [listing(names) for names in ([], ["a"], ["a", "b"], ["a", "b", "c"])] == ["", "a", "a and b", "a, b and c"]
