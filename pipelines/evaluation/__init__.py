"""Evaluation: bits per byte per domain, multiple-choice tasks, intervals, comparisons of checkpoints, and reports."""
