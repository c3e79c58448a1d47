"""Duplicates: shingles, MinHash signatures, the index chain, the greedy leader rule and the choice of what is kept."""
