"""What exists and from what: the asset graph, its automation and the command line. `definitions.py` is the door."""
