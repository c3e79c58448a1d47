"""The language model: architecture, optimiser, schedule, one training loop, checkpoints, generation, estimates."""
