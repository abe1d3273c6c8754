"""Checks at every start of Snakemake: which planned jobs run besides those whose output is missing.

They read Snakemake's jobs and write nothing to the store except links to artifacts in other stores, and those only if
the run is not dry.
"""

import os
import sys
from collections import Counter

from waypoint.errors import WaypointError
from waypoint.store.artifacts.permissions import require_writable
from waypoint.store.artifacts.remote import RemoteStore
from waypoint.store.artifacts.replaced import FOLDER
from waypoint.store.zarr.hierarchy import mark_groups
from waypoint.workflow.config.shared_stores import folders, is_dangling, link, other_copy
from waypoint.workflow.estimate.trainings import trainings
from waypoint.workflow.evaluations.lds import interval
from waypoint.workflow.plan.networks import require_fit, to_examine
from waypoint.workflow.plan.requested import require_known
from waypoint.workflow.plan.reruns import (
    LocalStore,
    artifacts_of,
    dangling_message,
    dear,
    replacement_message,
    requests_of,
    stage_of,
    stale_outputs,
    stale_readers,
    summary,
)
from waypoint.workflow.plan.stages import STAGES


class Start:
    """The decision on what runs at one start of Snakemake.

    Args:
        plan: a ``Plan``. remote: whether the store is behind a storage plugin.
        dry: () → whether nothing may be written. forced: job → whether the command line forces it.
        downstream: job → the jobs that depend on its outputs, directly or indirectly.
    """

    def __init__(self, plan, remote, dry, forced, downstream):
        self.plan, self.dry, self.forced, self.downstream = plan, dry, forced, downstream
        self.kind = RemoteStore if remote else LocalStore
        self.linked = {}  # {output: the artifact in another store that it is linked to}
        self.gone = []  # outputs that are dangling links
        self.jobs = []
        self.reported = False  # whether the number of trainings and the LDS's interval were printed
        self.remade = set()  # names of the artifacts that are made again

    def requested(self, paths):
        """Refuse requested paths of targets and methods that the configuration does not name.

        Raises:
            WaypointError: suggests the most similar names.
        """
        require_known(self.plan, paths)

    def decide(self, jobs):
        """Return {job: reason} of the jobs whose existing outputs do not agree with the plan.

        Raises:
            WaypointError: trained models, features or stored images would be replaced, or files not made by Waypoint.
        """
        self.jobs = jobs
        outdated = self._stale()
        paths = (path for job in jobs for path in artifacts_of(job)) if self.kind is LocalStore else ()
        self.gone = [path for path in paths if is_dangling(path) and path not in self.linked]
        self.remade = {stale.name for outputs in outdated.values() for stale in outputs}
        unforced = [stale for job, outputs in outdated.items() if not self.forced(job) for stale in outputs]
        if (costly := dear(unforced)) and not self.plan.config["replace"]:
            if not self.dry():
                raise WaypointError(replacement_message(costly, self._root()))
            print(f"Waypoint: warning: {replacement_message(costly, self._root())}", file=sys.stderr)
        for line in summary(unforced):
            print(f"Waypoint: {line}", file=sys.stderr)
        return {job: "; ".join(stale.why for stale in outputs) for job, outputs in outdated.items()}

    def examine(self, jobs):
        """Refuse early what a planned job would refuse; print how many models evaluations will train.

        Raises:
            WaypointError: a network that does not fit, a folder that cannot be written, or dangling links.
        """
        stages = [(stage_of(job), job) for job in jobs]
        if self.kind is LocalStore and jobs:
            self._require_places(jobs)
        if networks := to_examine(self.plan, [(stage, job.wildcards_dict) for stage, job in stages]):
            require_fit(self.plan, networks, self._data(jobs))
        if not self.reported and (message := trainings(self.plan, self._models(stages), self._finished_models())):
            print(f"Waypoint: {message}", file=sys.stderr)
            if any(stage == "train_subset" for stage, _ in stages):
                print(f"Waypoint: {interval(self.plan)}", file=sys.stderr)
            self.reported = True

    def _require_places(self, jobs):
        """Refuse outputs that cannot be written, and links into a store that has moved."""
        planned = {path for job in jobs if not self.forced(job) for path in artifacts_of(job)}
        broken = [path for path in self.gone if path in planned]
        if broken and not self.plan.config["replace"]:
            message = dangling_message(broken)
            if not self.dry():
                raise WaypointError(message)
            print(f"Waypoint: warning: {message}", file=sys.stderr)
        if not self.dry():
            paths = [path for job in jobs for path in (*artifacts_of(job), *job.log)]
            paths += [f"{self._root()}/{FOLDER}/1"] * bool(self.remade)
            require_writable(paths, folders(self.plan.config["store"])[0], len(jobs))

    def _root(self):
        """Return the experiment's folder as in the paths of jobs, which may begin with a module's prefix."""
        path = next((str(path) for job in self.jobs for path in job.output), "")
        return f"{path.partition(self.plan.root)[0]}{self.plan.root}"

    def _models(self, stages):
        """Return {stage: number of models that its jobs will train}; existing models of a job do not count."""
        numbers = Counter()
        for stage, job in stages:
            if STAGES[stage].trained:
                missing = [path for path in artifacts_of(job) if self._will_be_made(path)]
                numbers[stage] += len(missing)
        return numbers

    def _will_be_made(self, path):
        """Return whether an output is missing, damaged, or made again."""
        try:
            return self.store.name(path) in self.remade or self.store.attributes(path) is None
        except WaypointError:  # damaged
            return True

    def _finished_models(self):
        """Iterate over the attributes of the finished models of the full set."""
        for job in self.jobs:
            for path in artifacts_of(job) if stage_of(job) == "train" else ():
                if not self._will_be_made(path):
                    yield self.store.attributes(path)

    def _data(self, jobs):
        """Return the path of data/train.zarr in jobs if it exists and is kept; None in a remote store."""
        outputs = {str(path) for job in jobs for path in job.output}
        inputs = {str(path) for job in jobs for path in job.input if str(path).endswith("data/train.zarr")}
        if self.kind is not LocalStore or not inputs or inputs & outputs:
            return None
        path = min(inputs)
        return path if os.path.exists(path) else None

    def afterwards(self):
        """Return a warning after a run, or "": a model that was lost and retrained may differ from the lost one."""
        remade = [stale for outputs in self._stale().values() for stale in outputs if stale.spreads]
        if not remade:
            return ""
        return (
            f"{len(remade)} results were made from images or models that are others now ({remade[0].name}: "
            f"{remade[0].why}). Run the same command again to make them anew"
        )

    def _stale(self):
        """Return {job: its ``Stale`` outputs} for the current state of the store."""
        self.store = self.kind(self.plan.root)
        self.store.fetch([path for job in self.jobs for path in artifacts_of(job)])
        stale_of = {}
        for job in self.jobs:
            requests = requests_of(job)
            if self.plan.other_stores:
                self._link(requests)
            if stale := stale_outputs(self.store, requests, self.plan.sources(stage_of(job), **job.wildcards_dict)):
                stale_of[job] = stale
        # if a setting was changed and undone, an input that is made again becomes what its readers once read
        remade = {stale.name for outputs in stale_of.values() for stale in outputs if not stale.spreads}
        remaining = {job: [stale for stale in outputs if stale.read not in remade] for job, outputs in stale_of.items()}
        stale_of = {job: outputs for job, outputs in remaining.items() if outputs}
        roots = [(job, stale) for job, outputs in stale_of.items() for stale in outputs if stale.spreads]
        for job, root in roots:
            for reader in self.downstream(job):
                if reader not in stale_of and (outputs := stale_readers(self.store, reader, root)):
                    stale_of[reader] = outputs
        return stale_of

    def _link(self, requests):
        """Link missing artifacts to those in the stores to read from.

        Args:
            requests: the ``requests_of`` of a job.
        """
        for path, request in requests.items():
            if os.path.exists(path):
                continue
            name = self.store.name(path)
            artifact = None if name is None else other_copy(name, request["identity"], self.plan.other_stores)
            if name is not None and artifact is not None:
                self.linked[path] = artifact
                if not self.dry():
                    link(path, artifact)
                    if path.endswith(".zarr"):
                        mark_groups(self._root(), name)
