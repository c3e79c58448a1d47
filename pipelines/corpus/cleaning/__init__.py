"""Cleaning: span edits with an offset map, removals and contaminated documents out, held-out split and its proof."""
