"""figures/one_step_error.png: is x̂0_t a fair stand-in for samples of p(·|x_t), at every t (§2.2)?"""

from waypoint.workflow.figures.caveats import with_caveats
from waypoint.workflow.figures.style import plt, save, time_axis
from waypoint.workflow.jobs.job import run


def main(job):
    table, _ = job.table(job.args.table)
    figure, axes = plt.subplots(figsize=(6.4, 4), layout="constrained")
    for _, rows in table.groupby("target"):
        rows = rows.sort_values("step")
        axes.plot(rows["step"], rows["l2"], color="#0072B2", linewidth=0.6, alpha=0.4)
    mean = table.groupby("step")[["l2", "l2_noise", "spread"]].mean()
    axes.plot(
        mean.index,
        mean["l2"],
        color="#0072B2",
        marker="o",
        label="$\\|\\hat{x}_0^t -$ mean of the samples$\\|$ (thin: each target)",
    )
    axes.plot(
        mean.index,
        mean["spread"],
        color="#D55E00",
        linestyle="--",
        marker="s",
        label="distance of a sample from their mean",
    )
    axes.plot(
        mean.index,
        mean["l2_noise"],
        color="black",
        linestyle=":",
        marker="x",
        label="expected from the number of samples alone",
    )
    time_axis(axes, sorted(table["step"].unique()))
    axes.set(ylabel="ℓ2 (pixels in [−1, 1])", ylim=(0, None))
    axes.legend(loc="upper right")
    targets = table["target"].nunique()
    ran = f"{targets} target{'s' * (targets > 1)}, {table['samples'].max()} samples per step"
    title = f"$\\hat{{x}}_0^t$ against the samples of $p(\\cdot|x_t)$ that it stands for: {ran}"
    axes.set_title(with_caveats(title, targets=targets), fontsize=9)
    save(figure, job)


if __name__ == "__main__":
    run(main, ["table", "out"])
