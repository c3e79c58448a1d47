"""The corpus snapshot: the barrier between a corpus that grows and trainings that need it to stand still."""
