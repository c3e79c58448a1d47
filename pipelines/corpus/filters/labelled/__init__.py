"""Labelled texts: declared example sets, their split, and the measures of what is trained on them."""
