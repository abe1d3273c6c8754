"""figures/counterfactual_fid.png: how far each method's removals move samples of p(·|x_t) (Fig. 5)."""

from waypoint.workflow.figures.caveats import with_caveats
from waypoint.workflow.figures.style import method_bars, plt, save
from waypoint.workflow.jobs.job import run


def main(job):
    table, attributes = job.table(job.args.table)
    figure, axes = plt.subplots(figsize=(7.2, 4.8), layout="constrained")
    method_bars(axes, table, "fid_increase", attributes["train_images"], job.settings.get("looks"))
    axes.set_ylabel(f"increase of the {distance(table['features'][0])}")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=6)
    figure.suptitle(title(table, attributes), x=0.01, ha="left", fontsize=9.5)
    save(figure, job)


def distance(features):
    """Return the name of the distance; only that of the published Inception's 2048 features is called FID."""
    if features == "inception":
        return "FID"
    return f"Fréchet distance\nof {'classifier' if features == 'classifier' else features} features"


def title(table, attributes):
    """Return the figure's title, which describes the run in numbers."""
    first, targets = table.iloc[0], table["target"].nunique()
    random = table.loc[table["method"] == "random", "note"].iloc[0]
    text = (
        f"Retrained without each method's top images (of {attributes['train_images']}) at step t = {first['step']}; "
        f"{targets} target{'s' * (targets > 1)}\n"
        f"{first['images']} samples of $p(\\cdot|x_t)$ each; retrained models make the calls in (t − Δ, t], "
        f"Δ = {first['delta']}\n"
        f"zero: mean of {attributes['baselines']} models of the full set; random: {random}\n"
        "bars: mean ± SE over targets; dots: targets"
    )
    return with_caveats(text, targets=targets)


if __name__ == "__main__":
    run(main, ["table", "out"])
