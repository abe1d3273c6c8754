"""The samples of p(·|x_t) that an evaluation uses; a store may hold more steps and samples for panels."""

from waypoint.store.zarr.reader import read


def chosen_steps(job, store):
    """Return [(row, step)] of a store of samples at the steps in the job's section ``samples`` for its target.

    Args:
        store: an open store with the attribute ``target``.
    """
    steps = read(store["step"]).tolist()
    return [(steps.index(step), step) for step in job.settings["samples"]["chosen"][store.attrs["target"]]]
