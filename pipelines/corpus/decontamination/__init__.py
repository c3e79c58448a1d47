"""Contamination: which benchmark items a document contains, as n-gram hits by item; cleaning decides over them."""
