"""The training loop: accumulation, clipping, determinism, hooks, refusals."""

import shutil

import numpy as np
import pytest
import torch

from pipelines.model.config import ScheduleConfig
from pipelines.model.loop import DivergedError, TrainState, accumulate, deterministic, fresh_state
from pipelines.model.objectives import Batch, CausalLanguageModelling
from pipelines.model.transformer import build_model
from tests.pipelines.model.tiny import OPTIMISER, architecture, noisy_cycle, run, run_config

FLAT = ScheduleConfig(kind="constant", warmup_share=0)


def fresh(seed: int = 0) -> TrainState:
    return fresh_state(architecture(), OPTIMISER, seed)


def masked(batch: Batch) -> Batch:
    """Very uneven masks: rows with 16, 1, 8 and 2 targets, where a mean of means is far off."""
    targets = batch[1].copy()
    for row, kept in enumerate((16, 1, 8, 2)):
        targets[row, kept:] = -100
    return batch[0], targets


def gradients(micro: int) -> tuple[float, torch.Tensor]:
    model, config = build_model(architecture(init_std=0.1), 0), run_config(micro_batch_sequences=micro)
    loss = accumulate(model, CausalLanguageModelling(1e-4), masked(noisy_cycle(config)(0)), config, 97)
    return loss, torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])


@pytest.mark.parametrize("micro", [1, 2])
def test_accumulated_gradients_equal_those_of_the_whole_batch(micro: int) -> None:
    whole, cut = gradients(4), gradients(micro)
    assert cut[0] == pytest.approx(whole[0], abs=1e-6)
    assert (cut[1] - whole[1]).abs().max() < 1e-6
    assert whole[1].abs().max() > 1e-2


def test_a_run_learns_and_records_every_loss_exactly() -> None:
    state = fresh()
    done, lines = run(state, run_config(steps=80), schedule=FLAT)
    assert done
    assert state.step == len(lines) == len(state.losses) == 80
    assert state.losses.dtype == np.float64
    assert state.losses.tolist() == [line["loss"] for line in lines]
    assert state.losses[0] == pytest.approx(np.log(97), abs=0.1)
    assert state.losses[-10:].mean() < 3.0
    assert lines[-1]["tokens"] == 80 * 64


@pytest.mark.parametrize("threads", [1, 2])
def test_two_runs_are_equal_bit_for_bit(threads: int) -> None:
    def weights() -> tuple[list[float], list[bytes]]:
        state = fresh()
        run(state, run_config(threads=threads, micro_batch_sequences=2, steps=6))
        return state.losses.tolist(), [p.detach().numpy().tobytes() for p in state.model.parameters()]

    assert weights() == weights()


def test_learning_rates_come_from_the_schedule() -> None:
    _, lines = run(fresh(), run_config(steps=10), schedule=ScheduleConfig(warmup_share=0.2, decay_share=0.5))
    rates = [line["learning_rate"] / OPTIMISER.learning_rate for line in lines]
    assert rates[:5] == [0.5, 1.0, 1.0, 1.0, 1.0]
    assert rates[5:] == pytest.approx([1 - (i / 5) ** 0.5 for i in range(1, 6)], abs=1e-12)


def test_clipping_bounds_the_update_norm_and_reports_the_norm_before() -> None:
    captured: list[float] = []

    def norm_after(state: TrainState) -> None:
        moments = [state.optimiser.state[p]["exp_avg"] for p in state.model.parameters()]
        captured.append(torch.cat([m.flatten() for m in moments]).norm().item() / 0.1)

    _, lines = run(fresh(), run_config(steps=1, grad_clip=0.05), save=norm_after)
    assert lines[0]["gradient_norm"] > 0.1
    assert captured[0] == pytest.approx(0.05, rel=1e-3)
    run(fresh(), run_config(steps=1, grad_clip=0.0), save=norm_after)
    assert captured[1] == pytest.approx(lines[0]["gradient_norm"], rel=1e-4)


def test_saves_on_the_interval_at_the_end_and_on_a_stop() -> None:
    saved: list[int] = []
    done, _ = run(fresh(), run_config(steps=7, checkpoint_every=3), save=lambda state: saved.append(state.step))
    assert (done, saved) == (True, [3, 6, 7])
    state = fresh()
    saved.clear()
    done, _ = run(
        state,
        run_config(steps=7),
        save=lambda state: saved.append(state.step),
        stop=lambda: state.step == 5,
    )
    assert (done, saved, state.step, len(state.losses)) == (False, [5], 5, 5)
    done, lines = run(state, run_config(steps=7))
    assert (done, [line["step"] for line in lines]) == (True, [6, 7])


def test_divergence_is_named_before_it_reaches_the_weights() -> None:
    state = fresh()
    with torch.no_grad():
        state.model.model.norm.weight[3] = torch.inf
    before = [p.clone() for p in state.model.parameters()]
    with pytest.raises(DivergedError, match="step 1: loss nan"):
        run(state, run_config())
    assert all(torch.equal(a, b) for a, b in zip(before, state.model.parameters(), strict=True))


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        ((np.zeros((3, 16), np.int64),) * 2, "4 rows"),
        ((np.zeros((4, 16), np.int32),) * 2, "int64"),
        ((np.full((4, 16), 97, np.int64),) * 2, "vocabulary of 97"),
        ((np.zeros((4, 16), np.int64), np.full((4, 16), -100, np.int64)), "no loss"),
    ],
)
def test_a_batch_that_is_not_the_plans_is_refused(batch: Batch, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        run(fresh(), run_config(), batches=lambda _: batch)


def test_continued_training_starts_from_the_parents_weights_with_a_new_optimiser() -> None:
    parent = fresh()
    run(parent, run_config())
    weights = [p.detach().clone() for p in parent.model.parameters()]
    child = fresh_state(architecture(), OPTIMISER, 5, parent.model)
    assert all(torch.equal(a, b) for a, b in zip(weights, child.model.parameters(), strict=True))
    assert child.step == 0
    assert not child.optimiser.state
    with pytest.raises(ValueError, match="num_hidden_layers 2 instead of 3"):
        fresh_state(architecture(layers=3), OPTIMISER, 5, parent.model)
    # A default that was resolved when the parent was written is the same architecture.
    assert fresh_state(architecture(head_dim=8, init_std=0.5), OPTIMISER, 5, parent.model).model is parent.model


def test_bfloat16_products_train_float32_weights() -> None:
    state = fresh()
    run(state, run_config(steps=60, dtype="bfloat16"), schedule=FLAT)
    assert {p.dtype for p in state.model.parameters()} == {torch.float32}
    assert state.losses[-10:].mean() < 3.2


def test_settings_of_the_process_are_given_back() -> None:
    before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    with deterministic(before[0] + 1):
        assert torch.get_num_threads() == before[0] + 1
        assert torch.are_deterministic_algorithms_enabled()
    assert (torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()) == before


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile wants a C++ compiler")
def test_compiled_kernels_give_the_same_run_and_nearly_the_eager_losses() -> None:
    def losses(kernel_mode: str) -> list[float]:
        state = fresh()
        run(state, run_config(kernel_mode=kernel_mode, steps=8))
        torch.compiler.reset()
        return state.losses.tolist()

    compiled = losses("compiled")
    assert losses("compiled") == compiled
    assert losses("eager") == pytest.approx(compiled, abs=1e-4)
