"""Normalization: an ordered list of named operations on the text of each document, declared by corpus and source."""
