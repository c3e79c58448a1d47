import pytest

from pipelines.evaluation.forgetting import transfer


def test_a_hand_computed_matrix():
    result = transfer([[0.8, 0.1, 0.2], [0.6, 0.9, 0.3], [0.5, 0.95, 0.7]])
    assert result.average == pytest.approx((0.5 + 0.95 + 0.7) / 3)
    assert result.backward == pytest.approx(((0.5 - 0.8) + (0.95 - 0.9)) / 2)
    assert result.per_task == pytest.approx((0.8 - 0.5, 0.9 - 0.95))
    assert result.forgetting == pytest.approx((0.3 - 0.05) / 2)


def test_one_stage_has_nothing_to_forget():
    assert transfer([[0.4]]) == transfer([[0.4]])
    assert transfer([[0.4]]).forgetting is None


@pytest.mark.parametrize("bad", [[[1.0, 2.0]], [], [[float("nan")]]])
def test_what_is_no_matrix_of_scores_is_refused(bad):
    with pytest.raises(ValueError, match="square matrix"):
        transfer(bad)
