"""Puts the handler in the place of Snakemake's own, when the Snakefile is read.

Why not by ``--logger``: Snakemake looks for plugins before it reads the Snakefile, among installed packages alone, and
a profile that names one which is not installed ends every run. Here whoever has a checkout has the display.
"""

import os

from snakemake.logging import logger

from waypoint.workflow.terminal.handler import LogHandler

CHOICE = "WAYPOINT_LOGGER"  # "snakemake": its own output
LOG_ONLY = "WAYPOINT_LOG_ONLY"  # set for jobs: what they say is read from their logs


def show(workflow, logs_are_here):
    """Show a run in Waypoint's form, unless the user asked for another.

    Args:
        workflow: Snakemake's. logs_are_here: whether jobs' logs can be read where they are declared.

    Returns:
        The handler; None where Snakemake's own output stays: another logger, one of the options that ask for more of
        it, a workflow that includes this one, or a process that runs a single job.
    """
    settings = workflow.logger_manager.settings
    verbose = settings.verbose or settings.printshellcmds or settings.debug_dag or settings.show_failed_logs
    default = next((handler for handler in logger.handlers if handler.name == "DefaultStreamHandler"), None)
    outer = not workflow.is_main_process or workflow.modifier.namespace is not None
    if default is None or verbose or outer or os.environ.get(CHOICE) == "snakemake":
        return None
    handler = LogHandler(settings, None)
    logger.removeHandler(default)
    logger.addHandler(handler)
    if logs_are_here:
        os.environ[LOG_ONLY] = "1"
    return handler
