"""What is done: the library of Gristmill. Imports neither dagster nor resources; clocks and paths are arguments."""
