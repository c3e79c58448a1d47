"""Bands of signals, calibrated on clean texts, language by language."""
