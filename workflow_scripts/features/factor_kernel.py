"""The kernel of one method and checkpoint: Gram matrix and Cholesky factor, of train features or of Fisher rows."""

from functools import partial

from waypoint.science import fisher_kernel, kernel
from waypoint.store.zarr.quantised import blocks
from waypoint.store.zarr.writer import create_store
from waypoint.workflow.jobs.job import run

FACTOR_CHUNKS = 32


def main(job):
    if job.args.fisher:
        science, rows, name = fisher_kernel, job.open(job.args.fisher), "u"
    else:
        science, rows, name = kernel, job.open(job.args.features), "phi"
    n, d = rows[name].shape
    matrix = science.gram(partial(blocks, rows, name), n, d)
    lower, strength = science.factor(matrix, n, d, job.settings["kernel"]["damping"])
    form = "primal" if n >= d else "dual"
    dims = ["row", "column"]

    def attributes():
        return job.provenance(form=form, damping_strength=strength, weights=rows.attrs["weights"])

    with create_store(job.args.out, attributes) as store:
        store.write("gram", dims, matrix)
        # few chunks: scoring has all of them open at once
        store.create("factor", dims, lower.shape, lower.dtype, rows=max(1, -(-len(lower) // FACTOR_CHUNKS)))
        store.put("factor", slice(None), lower, "row", range(len(lower)))


if __name__ == "__main__":
    run(main, ["features?", "fisher?", "out"])
