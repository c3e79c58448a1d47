"""The two kinds of partitions: batches of the corpus, and rounds of each lane. Keys are added as they come to be."""

import dagster as dg

from pipelines.project import Project


def batches(project: Project) -> dg.DynamicPartitionsDefinition:
    """`<source>.<batch>` keys of every corpus asset."""
    return dg.DynamicPartitionsDefinition(name=f"{project.project}.batches")


def rounds(project: Project, lane: str) -> dg.DynamicPartitionsDefinition:
    """`r0001`, `r0002`, ... of one lane."""
    return dg.DynamicPartitionsDefinition(name=f"{project.project}.{lane}.rounds")
