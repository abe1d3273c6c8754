"""The pass at every start: which of the planned jobs run, beside those whose output is missing.

It sees Snakemake's jobs but writes nothing to the store, except links to what other stores have, and those only before
a run that is not dry.
"""

import json
import os
import sys

from waypoint.errors import WaypointError
from waypoint.store.artifacts.remote import RemoteStore
from waypoint.workflow.config.shared_stores import link, other_copy
from waypoint.workflow.plan.networks import require_fit, to_examine
from waypoint.workflow.plan.reruns import LocalStore, artifacts_of, dear, following, replacing, stale_outputs, summary


class Start:
    """Decides what runs at one start of Snakemake.

    Args:
        plan: a ``Plan``. remote: whether the store is behind a storage plugin.
        dry: () → whether nothing may be written. forced: job → whether the command line forces it.
        downstream: job → the jobs that read what it makes, directly or not.
    """

    def __init__(self, plan, remote, dry, forced, downstream):
        self.plan, self.dry, self.forced, self.downstream = plan, dry, forced, downstream
        self.kind = RemoteStore if remote else LocalStore
        self.linked = {}  # output: an artifact in another store that stands for it
        self.jobs = []
        self.told = False  # what the LDS will be able to say

    def decide(self, jobs):
        """{job: why} of the jobs among ``jobs`` whose outputs are there but not what the plan asks for.

        Raises:
            WaypointError: trained models, features or stored images would be replaced, or something else's files.
        """
        self.jobs = jobs
        found = self._stale()
        everything = [stale for job, outputs in found.items() if not self.forced(job) for stale in outputs]
        if (lost := dear(everything)) and not self.plan.config["replace"]:
            if not self.dry():
                raise WaypointError(replacing(lost, self.plan.root))
            print(f"Waypoint: warning: {replacing(lost, self.plan.root)}", file=sys.stderr)
        for line in summary(everything):
            print(f"Waypoint: {line}", file=sys.stderr)
        return {job: "; ".join(stale.why for stale in outputs) for job, outputs in found.items()}

    def examine(self, jobs):
        """Refuse networks that one of the jobs that will run would refuse; say what trainings of subset models are for.

        Raises:
            WaypointError: names the folder or key, and what about it does not fit.
        """
        asked = [(json.loads(job.params.spec)["stage"], job.wildcards_dict) for job in jobs]
        if found := to_examine(self.plan, asked):
            require_fit(self.plan, found, self._data(jobs))
        if not self.told and any(stage == "train_subset" for stage, _ in asked):
            print(f"Waypoint: {self.plan.lds_interval()}", file=sys.stderr)
            self.told = True

    def _data(self, jobs):
        """The place of data/train.zarr as jobs have it, where it is there and stays; None in a remote store."""
        made = {str(path) for job in jobs for path in job.output}
        read = {str(path) for job in jobs for path in job.input if str(path).endswith("data/train.zarr")}
        if self.kind is not LocalStore or not read or read & made:
            return None
        path = min(read)
        return path if os.path.exists(path) else None

    def afterwards(self):
        """What to tell after a run: a model that was lost and made again may have come out otherwise than before."""
        found = [stale for outputs in self._stale().values() for stale in outputs if stale.spreads]
        if not found:
            return ""
        return (
            f"{len(found)} results were made from images or models that are others now ({found[0].name}: "
            f"{found[0].why}). Run the same command again to make them anew"
        )

    def _stale(self):
        """{job: its ``Stale`` outputs} as the store is now."""
        self.store = self.kind(self.plan.root)
        self.store.fetch([path for job in self.jobs for path in artifacts_of(job)])
        found = {}
        for job in self.jobs:
            asked = json.loads(job.params.spec)
            if self.plan.other_stores:
                self._link(job, asked["identity"])
            if stale := stale_outputs(self.store, job, asked, self.plan.sources(asked["stage"], **job.wildcards_dict)):
                found[job] = stale
        # what is made again for a reason of its own becomes what its readers read: a setting was changed and undone
        again = {stale.name for outputs in found.values() for stale in outputs if not stale.spreads}
        left = {job: [stale for stale in outputs if stale.read not in again] for job, outputs in found.items()}
        found = {job: outputs for job, outputs in left.items() if outputs}
        roots = [(job, stale) for job, outputs in found.items() for stale in outputs if stale.spreads]
        for job, root in roots:
            for reader in self.downstream(job):
                if reader not in found and (outputs := following(self.store, reader, root)):
                    found[reader] = outputs
        return found

    def _link(self, job, identity):
        """Take what is missing from the stores to read from."""
        for path in artifacts_of(job):
            if os.path.exists(path):
                continue
            artifact = other_copy(self.store.name(path), identity, self.plan.other_stores)
            if artifact is not None:
                self.linked[path] = artifact
                if not self.dry():
                    link(path, artifact)
