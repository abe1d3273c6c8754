"""The pass at every start: which of the planned jobs run, beside those whose output is missing.

It sees Snakemake's jobs but writes nothing to the store, except links to what other stores have, and those only before a
run that is not dry.
"""

import json
import os
import sys

from waypoint.errors import WaypointError
from waypoint.store.artifacts.remote import RemoteStore
from waypoint.workflow.config.shared_stores import link, other_copy
from waypoint.workflow.plan.reruns import LocalStore, artifacts_of, dear, replacing, stale_outputs, summary


class Start:
    """Decides what runs at one start of Snakemake.

    Args:
        plan: a ``Plan``. remote: whether the store is behind a storage plugin.
        dry: () → whether nothing may be written. forced: job → whether the command line forces it.
    """

    def __init__(self, plan, remote, dry, forced):
        self.plan, self.dry, self.forced = plan, dry, forced
        self.store = RemoteStore(plan.root) if remote else LocalStore(plan.root)
        self.linked = {}  # output: an artifact in another store that stands for it

    def decide(self, jobs):
        """{job: why} of the jobs among ``jobs`` whose outputs are there but not what the plan asks for.

        Raises:
            WaypointError: trained models, features or stored images would be replaced, or something else's files.
        """
        self.store.fetch([path for job in jobs for path in artifacts_of(job)])
        found = {job: stale for job in jobs if (stale := self._stale(job))}
        everything = [stale for job, outputs in found.items() if not self.forced(job) for stale in outputs]
        if (lost := dear(everything)) and not self.plan.config["replace"]:
            if not self.dry():
                raise WaypointError(replacing(lost, self.plan.root))
            print(f"Waypoint: warning: {replacing(lost, self.plan.root)}", file=sys.stderr)
        for line in summary(everything):
            print(f"Waypoint: {line}", file=sys.stderr)
        return {job: "; ".join(stale.why for stale in outputs) for job, outputs in found.items()}

    def _stale(self, job):
        if self.plan.other_stores:
            self._link(job)
        asked = json.loads(job.params.spec)
        return stale_outputs(self.store, job, self.plan.sources(asked["stage"], **job.wildcards_dict))

    def _link(self, job):
        """Take what is missing from the stores to read from."""
        identity = json.loads(job.params.spec)["identity"]
        for path in artifacts_of(job):
            if os.path.exists(path):
                continue
            artifact = other_copy(self.store.name(path), identity, self.plan.other_stores)
            if artifact is not None:
                self.linked[path] = artifact
                if not self.dry():
                    link(path, artifact)
