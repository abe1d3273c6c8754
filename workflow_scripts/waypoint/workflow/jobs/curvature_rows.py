"""Resumable sums over Fisher rows, from which curvatures are computed."""

import contextlib
import os
import shutil
import time
from pathlib import Path

import torch

from waypoint.science import fisher
from waypoint.science.gradients.batching import rows_in_memory
from waypoint.science.projection import Identity
from waypoint.store.zarr.curvature import content_of, write_curvature
from waypoint.store.zarr.writer import create_store
from waypoint.workflow.jobs.fisher_examples import FisherExamples
from waypoint.workflow.jobs.gradients_from_spec import per_example_gradients
from waypoint.workflow.jobs.resuming import identity_of, read_state, sole_owner, write_state

SAVE_EVERY = 300  # seconds between two saved states, which are in float64 and larger than the final curvature


def make_curvature(job, work):
    """Open the inputs of a curvature, compute it by ``work(rows, shapes)``, store it, and remove its states.

    Args:
        work: (a ``RowsOfSums``, {parameter: shape}) → a ``Curvature``.
    """
    data, checkpoint = job.open(job.args.data), job.checkpoint(job.args.checkpoint, data=job.args.data)
    theta = checkpoint.load(job.device())
    shapes = {name: q.shape for name, q in theta.unet.named_parameters() if q.requires_grad}
    folder = Path(job.args.resume, job.stage, job.args.name)
    with sole_owner(folder, "making this curvature"):
        identity = identity_of(job.spec, checkpoint.weights, data.attrs["sha256"])
        rows = RowsOfSums(job, data, theta, folder, identity)
        curvature = work(rows, shapes)
        factored = sum(matrix.size for matrix in curvature.matrices if matrix.row_blocks or matrix.column_blocks)

        def attributes():
            values = {"checkpoint": job.args.name, "weights": checkpoint.weights, "parameters": rows.parameters}
            values |= {"factored": factored, "mean_eigenvalue": curvature.mean_eigenvalue()}
            return job.provenance(**values, sha256=content_of(curvature))

        with create_store(job.args.out, attributes) as store:
            write_curvature(store, curvature, job.args.name)
        shutil.rmtree(folder)
    for parent in list(folder.parents)[:3]:  # up to resume/
        with contextlib.suppress(OSError):  # other jobs may have states there
            os.rmdir(parent)
    job.say(f"{factored} of {rows.parameters} parameters are in factored tensors, the others in diagonal ones")


class RowsOfSums:
    """Sums over Fisher rows, saved from time to time so that a killed job can resume."""

    def __init__(self, job, data, theta, folder, identity):
        self.job, self.data, self.theta, self.folder, self.identity = job, data, theta, folder, identity
        self.device = theta.device
        self.parameters = sum(q.numel() for q in theta.unet.parameters() if q.requires_grad)
        self.grad, self.P = per_example_gradients(job.settings, job.args.name, theta.unet), Identity(self.parameters)

    def add_to(self, sums, purpose):
        """Add all rows of a purpose to ``sums``, resuming from a saved state, and return them."""
        count, name = self.job.settings["curvature"]["rows"], purpose.replace(" ", "-")
        if (state := self.saved(name)) is not None:
            sums.resume({key: value.numpy() for key, value in state.items()})
            self.job.say(f"{purpose}: resumes after row {sums.rows}")
        examples = FisherExamples(self.job.settings, self.data, self.theta, purpose, self.job.args.name, count)
        step, written = rows_in_memory(self.parameters, self.theta.device), time.monotonic()
        while sums.rows < count:
            batch = [examples[r] for r in range(sums.rows, min(sums.rows + step, count))]
            sums.add(fisher.fisher_rows(self.theta, self.P, batch, self.grad))
            # also at the end: the eigenvectors that follow may take as long as the rows
            if time.monotonic() - written > SAVE_EVERY or sums.rows == count:
                self.save(name, {key: torch.from_numpy(value) for key, value in sums.state().items()})
                written = time.monotonic()
            self.job.progress(sums.rows, count, "rows", purpose)
        return sums

    def save(self, name, tensors):
        """Save a state."""
        tensors = {key: tensor.cpu() for key, tensor in tensors.items()}
        write_state(self.folder / f"{name}.pt", {"identity": self.identity, "tensors": tensors})

    def forget(self, purpose):
        """Remove the saved sums of a purpose, which are larger than the result."""
        (self.folder / f"{purpose.replace(' ', '-')}.pt").unlink(missing_ok=True)

    def saved(self, name):
        """Return the tensors of a saved state of this curvature, or None."""
        path = self.folder / f"{name}.pt"
        state = read_state(path, "its curvature") if path.exists() else None
        return state["tensors"] if state is not None and state["identity"] == self.identity else None
