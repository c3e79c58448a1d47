"""Tests of the evaluation reports."""
