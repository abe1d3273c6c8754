"""The TRAK kernel of one checkpoint: Gram matrix and Cholesky factor."""

from functools import partial

from waypoint.science.kernel import factor, gram
from waypoint.store.zarr.quantised import blocks
from waypoint.store.zarr.writer import create_store
from waypoint.workflow.jobs.job import run

FACTOR_CHUNKS = 32


def main(job):
    features = job.open(job.args.features)
    n, d = features["phi"].shape
    matrix = gram(partial(blocks, features), n, d)
    lower, strength = factor(matrix, n, d, job.spec["kernel"]["damping"])
    form = "primal" if n >= d else "dual"
    dims = ["row", "column"]

    def attributes():
        return job.provenance(form=form, damping_strength=strength, weights=features.attrs["weights"])

    with create_store(job.args.out, attributes) as store:
        store.write("gram", dims, matrix)
        # few chunks: scoring has all of them open at once
        store.create("factor", dims, lower.shape, lower.dtype, rows=max(1, -(-len(lower) // FACTOR_CHUNKS)))
        store.put("factor", slice(None), lower, "row", range(len(lower)))


if __name__ == "__main__":
    run(main, "kernel", ["features", "out"])
