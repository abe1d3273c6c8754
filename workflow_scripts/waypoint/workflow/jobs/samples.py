"""The samples of p(·|x_t) that an evaluation uses: a store may hold more steps and samples, for panels."""

from waypoint.store.zarr.reader import read


def chosen_steps(job, store):
    """[(row, step)] of a samples store at the steps that the job's section ``samples`` chooses for its target.

    Args:
        store: open, with ``target`` among its attributes.
    """
    steps = read(store["step"]).tolist()
    return [(steps.index(step), step) for step in job.settings["samples"]["chosen"][store.attrs["target"]]]
