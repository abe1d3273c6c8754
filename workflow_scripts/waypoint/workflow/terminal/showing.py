"""Replacement of Snakemake's own handler when the Snakefile is read.

``--logger`` is no alternative: Snakemake looks for plugins before it reads the Snakefile and only among installed
packages, and a profile that names a missing one ends every run. This way a checkout is enough.
"""

import os

from snakemake.logging import logger

from waypoint.workflow.terminal.handler import LogHandler

CHOICE = "WAYPOINT_LOGGER"  # "snakemake" keeps Snakemake's own output
LOG_ONLY = "WAYPOINT_LOG_ONLY"  # set for jobs, whose messages are read from their logs


def show(workflow, logs_are_here):
    """Show a run in Waypoint's form, unless the user asked for another.

    Args:
        workflow: Snakemake's workflow. logs_are_here: whether jobs' logs can be read at their declared paths.

    Returns:
        The handler, or None if Snakemake's own output stays: with another logger or an option for more output, in a
        workflow that includes this one, or in a process that runs a single job.
    """
    settings = workflow.logger_manager.settings
    verbose = settings.verbose or settings.printshellcmds or settings.debug_dag or settings.show_failed_logs
    default = next((handler for handler in logger.handlers if handler.name == "DefaultStreamHandler"), None)
    nested = not workflow.is_main_process or workflow.modifier.namespace is not None
    if default is None or verbose or nested or os.environ.get(CHOICE) == "snakemake":
        return None
    handler = LogHandler(settings, None)
    logger.removeHandler(default)
    logger.addHandler(handler)
    if logs_are_here:
        os.environ[LOG_ONLY] = "1"
    return handler
