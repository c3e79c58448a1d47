"""Tests of the evaluation chapter."""
