"""The learning rate as a function of the step: a factor of the peak in [0, 1], nothing remembered.

`Schedule(config, total_steps)(step)` counts finished steps: 0 before the first, `total_steps` after the last. The loop
asks for `step + 1`, so the first update already moves and the last one has the final ratio.

* linear warmup: s / W for s <= W
* cosine: r + (1 - r) * (1 + cos(pi * (s - W) / (T - W))) / 2
* warmup-stable-decay (MiniCPM): 1 until the decay starts, then from 1 down to r over its share of the steps, with x in
  [0, 1] the place in the decay: 1 - sqrt(x) (YuLan-Mini), 1 - x, (1 + cos(pi x)) / 2, or r^x. About 10 % of the tokens
  suffice for the decay, 2.5 % do not (MiniCPM).
"""

import math

from pipelines.model.config import DecayShape, ScheduleConfig


def warmup(step: int, warmup_steps: int) -> float:
    """Linear from 0 to 1 at `warmup_steps`, 1 from then on."""
    return 1.0 if step >= warmup_steps else step / warmup_steps


def decay(progress: float, shape: DecayShape, final_ratio: float) -> float:
    """From 1 at progress 0 to `final_ratio` at progress 1; held outside [0, 1]."""
    x = min(max(progress, 0.0), 1.0)
    if shape == "exponential":
        return float(final_ratio**x)
    if shape == "1-sqrt":
        fallen = math.sqrt(x)
    elif shape == "linear":
        fallen = x
    else:
        fallen = (1 - math.cos(math.pi * x)) / 2
    return 1 - (1 - final_ratio) * fallen


class Schedule:
    """A configured schedule over a run of `total_steps`."""

    def __init__(self, config: ScheduleConfig, total_steps: int) -> None:
        self.config = config
        self.total_steps = total_steps
        self.warmup_steps = round(config.warmup_share * total_steps)
        self.decay_steps = round(config.decay_share * total_steps) if config.kind == "wsd" else 0
        if config.kind == "cosine":
            self.decay_steps = total_steps - self.warmup_steps

    def __call__(self, step: int) -> float:
        """The factor of the peak rate after `step` finished steps."""
        if step < self.warmup_steps:
            return warmup(step, self.warmup_steps)
        if self.decay_steps == 0:
            return 1.0
        shape = "cosine" if self.config.kind == "cosine" else self.config.decay_shape
        return decay((step - (self.total_steps - self.decay_steps)) / self.decay_steps, shape, self.config.final_ratio)
