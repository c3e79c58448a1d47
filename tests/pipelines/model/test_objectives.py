"""Losses against their definitions."""

import numpy as np
import torch
from scipy.special import log_softmax, logsumexp

from pipelines.model.objectives import CausalLanguageModelling, loss_of, token_losses
from pipelines.model.transformer import build_model
from tests.pipelines.model.tiny import architecture, noisy_cycle, run_config


def test_token_losses_and_z_loss_are_their_formulas() -> None:
    logits = torch.randn(2, 5, 11, generator=torch.Generator().manual_seed(0)) * 4
    targets = torch.randint(11, (2, 5), generator=torch.Generator().manual_seed(1))
    targets[0, 3] = targets[1, 0] = -100
    exact = -np.take_along_axis(log_softmax(logits.double().numpy(), -1), targets.clamp(min=0).numpy()[..., None], -1)
    exact = np.where(targets.numpy() == -100, 0.0, exact[..., 0])
    np.testing.assert_allclose(token_losses(logits, targets).numpy(), exact, atol=1e-5)
    objective = CausalLanguageModelling(z_loss=1e-2)
    sums = objective.sums(lambda _: logits, (targets, targets))
    penalty = (logsumexp(logits.double().numpy(), -1) ** 2 * (targets.numpy() != -100)).sum()
    assert abs(float(sums.recorded) - exact.sum()) < 1e-4
    assert abs(float(sums.optimised) - exact.sum() - 1e-2 * penalty) < 1e-4
    assert objective.weight((targets.numpy(), targets.numpy())) == 8


def test_mean_loss_of_a_batch_leaves_ignored_targets_out() -> None:
    model = build_model(architecture(init_std=0.2), 0)
    inputs, targets = noisy_cycle(run_config())(0)
    masked = targets.copy()
    masked[1:] = -100
    first_row = loss_of(model, CausalLanguageModelling(), (inputs[:1], targets[:1]))
    assert abs(loss_of(model, CausalLanguageModelling(), (inputs, masked)) - first_row) < 1e-6
