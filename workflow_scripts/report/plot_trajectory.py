"""A target's trajectory without scores: x_t, x̂0_t and samples of p(·|x_t) by step (the upper rows of Fig. 1 and 2)."""

from waypoint.store.zarr.reader import read
from waypoint.workflow.figures.style import save
from waypoint.workflow.figures.trajectory import ROWS, columns, header, name_row, show_step, titled
from waypoint.workflow.jobs.job import run
from waypoint.workflow.plan.specs import settings_of


def main(job):
    trajectory, samples = job.open(job.args.trajectory), job.open(job.args.samples)
    steps, spec = sorted(read(samples["step"]).tolist(), reverse=True), settings_of(samples.attrs["spec"])
    figure, axes = columns([0] * len(ROWS), len(steps))
    for axis, name in zip(axes[:, 0], ROWS):
        name_row(axis, name)
    for column, t in enumerate(steps, 1):  # from noise on the left to the image on the right
        show_step(axes[:, column], trajectory, samples, t)
    settings_line = f"{spec['generator']}, {spec['sampling']['steps']} sampling steps"
    if guidance := spec["sampling"].get("guidance"):
        settings_line += f", guidance {guidance:g}"
    lines = [(titled(job.args.target, spec), {"size": 11, "weight": "bold"}), (settings_line, {"size": 8})]
    header(figure, read(trajectory["image"]), lines)
    save(figure, job)


if __name__ == "__main__":
    run(main, ["trajectory", "samples", "target", "out"])
