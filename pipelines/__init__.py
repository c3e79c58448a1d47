"""What is done: the library of Gristmill. Imports neither dagster nor resources; takes clocks, paths and workers as arguments."""
