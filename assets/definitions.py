"""The door: the project file becomes the asset graph with its jobs, sensors and schedules.

Read at load time: the project file that `GRISTMILL_PROJECT` names. A mistake in it stops the load with file, line,
field and remedy. Importing this module imports neither torch nor fasttext, transformers or datasketch.
"""

import os

import dagster as dg

from assets.automation import jobs, schedules, sensors
from assets.graph import build_graph
from resources.lifeline import end_with_owner, serves_code
from resources.mill import SERVED_PROJECT, current_home, open_mill


def load() -> dg.Definitions:
    """Definitions of the current home's project."""
    end_with_owner()
    loaded = open_mill(current_home()).loaded
    if serves_code():
        os.environ[SERVED_PROJECT] = loaded.digest
    project = loaded.project
    graph = build_graph(project)
    named = jobs.build_jobs(project, graph)
    return dg.Definitions(
        assets=[*graph.assets, *graph.external],
        jobs=list(named.values()),
        sensors=sensors.build_sensors(project, graph, named),
        schedules=schedules.build_schedules(project, named),
        executor=dg.in_process_executor,
    )


definitions = load()
