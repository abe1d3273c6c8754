"""One target's groups: each beside random groups and neighbourhoods of its size, by method and step."""

import textwrap
from collections.abc import Hashable, Mapping

import numpy as np
import pandas as pd
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from waypoint.science.evaluation.groups import LEVEL, errors_to_exclude
from waypoint.store.zarr.reader import read
from waypoint.workflow.figures.captions import plain, shortened
from waypoint.workflow.figures.style import CONTROLS, GREEN, RED, plt, save, styles, time_axis
from waypoint.workflow.figures.trajectory import HEADER, header, titled
from waypoint.workflow.jobs.job import run
from waypoint.workflow.plan.specs import settings_of

METHODS, GROUPS, TICKS = 4, 10, 5  # shown, at most
PHRASES = 3  # on groups beyond random groups only, at most
FEW = 5  # models, of which the words explain how sure an error is
NAMES, WIDTH, HEIGHT, GAP = 1.25, 2.1, 0.92, 0.16  # inches
LINE = 0.165  # inches per line of text below
CHARACTERS = 15.5  # per inch of that text
GREY, BAND, HATCH = "#777777", "#DDDDDD", "#999999"
EDGES = {"facecolor": "none", "edgecolor": HATCH, "hatch": "////", "linewidth": 0.6}
HOW = (
    "How to read it. Each mark adds up the scores of all images of a group at one step. Its unit is how much the sums "
    "of random groups of the same size vary (their standard deviation). Up: the group pushed the process towards this "
    "image; down: away from it. 95 of 100 random groups lie in the grey band; 95 of 100 groups whose images resemble "
    "each other lie in the hatched one, often the wider, for images that look alike act alike. Vertical bars: ± the "
    "standard error of the sum{bars}.{few} A triangle is found: neither kind of group explains it, more than chance "
    "would have it among so many groups and steps (q ≤ 0.05), and neither does its own error. A grey dot lies beyond "
    "random groups, but groups that look alike reach as far, or its error is too large. A circle cannot be told from "
    "chance{unknown}. No height is a share of the image: nobody can say that some percentage of it comes from "
    "somebody. More: docs/reading.md"
)


def main(job):
    table = read_table(job)
    looks = styles(table["method"].unique(), job.settings.get("looks"))
    methods, groups = shown_methods(table, list(looks)), shown_groups(table)
    width = max(NAMES + WIDTH * len(methods) + 0.15, 6.2)
    answers, words = wrapped(verdicts(table, methods, groups), width), wrapped([how_to_read(table, methods)], width)
    top = HEADER + LINE * len(answers) + 0.6
    height = top + (HEIGHT + GAP) * len(groups) + 0.5 + LINE * len(words) + 0.1
    figure = plt.figure(figsize=(width, height))
    for column, method in enumerate(methods):
        of_method = table.loc[table["method"] == method]
        limit = axis_limit(of_method[of_method["group"].isin(groups)])
        for row, group in enumerate(groups):
            above = top + (HEIGHT + GAP) * row
            place = (
                (NAMES + WIDTH * column) / width,
                1 - (above + HEIGHT) / height,
                (WIDTH - 0.3) / width,
                HEIGHT / height,
            )
            axes = figure.add_axes(place)
            draw(axes, of_method[of_method["group"] == group])
            axes.set_ylim(-limit, limit)
            if row == 0:
                axes.set_title(f"{method} (control)" if method in CONTROLS else method)
            if row < len(groups) - 1:
                axes.set(xticklabels=[], xlabel="")
            if column == 0:
                size = of_method.loc[of_method["group"] == group, "size"].iloc[0]
                label = f"{plain(shortened(group, NAMES - 0.45, 9))}\n{counted(size)}"
                figure.text(0.1 / width, 1 - (above + HEIGHT / 2) / height, label, va="center", size=8.5)
    write(figure, answers, HEADER)
    legend(figure, HEADER + LINE * len(answers))
    write(figure, words, height - 0.1 - LINE * len(words))
    trajectory = job.open(job.args.trajectory)
    spec = settings_of(trajectory.attrs["spec"])
    lines = [("Groups · " + titled(job.args.target, spec), {"size": 11, "weight": "bold"})]
    lines += [(text, {"size": 8}) for text in run_lines(table, methods, groups)]
    header(figure, read(trajectory["image"]), lines)
    save(figure, job)


def read_table(job) -> pd.DataFrame:
    """Read the table; names of groups stay texts even if they look like numbers."""
    dtypes: Mapping[Hashable, type[str]] = {"group": str, "found": str}
    na_values = {name: [""] for name in ("se", "z", "q", "checkpoints")}
    return pd.read_csv(job.folder(job.args.table), dtype=dtypes, keep_default_na=False, na_values=na_values)


def shown_methods(table, methods):
    """Return the methods to show: first those that can tell found groups from noise, and one control if there is any.

    Args:
        methods: in the order of figures, controls last.
    """
    has_answers = table.groupby("method")["found"].agg(lambda answers: (answers != "").any())
    methods = sorted(methods, key=lambda name: not has_answers[name])
    if len(methods) <= METHODS:
        return methods
    others, controls = ([name for name in methods if (name in CONTROLS) == last] for last in (False, True))
    return (others[: METHODS - 1] + controls + others[METHODS - 1 :])[:METHODS]


def shown_groups(table):
    """Return the groups that are found most often, then those with the smallest q, in the table's order."""
    worst = table.groupby(["group", "method", "step"], sort=False)["q"].max()
    by_group = pd.DataFrame({"found": is_found(table).groupby(table["group"]).sum(), "q": worst.groupby("group").min()})
    chosen = set(by_group.sort_values(["found", "q"], ascending=[False, True], kind="stable").index[:GROUPS])
    return [group for group in table["group"].unique() if group in chosen]


def is_found(table):
    """Return whether each row is found; a row without an answer is not."""
    return table["found"] == "True"


def write(figure, lines, above):
    """Write lines of text, the first of them ``above`` inches below the figure's upper edge."""
    width, height = figure.get_size_inches()
    for line, text in enumerate(lines):
        figure.text(0.1 / width, 1 - (above + LINE * (line + 0.5)) / height, text, size=8, va="center")


def legend(figure, above):
    """Add the legend of marks and bands, ``above`` inches below the figure's upper edge."""
    width, height = figure.get_size_inches()
    bands = [Patch(facecolor=BAND, label="random groups"), Patch(**EDGES, label="groups that look alike")]
    circle = {"marker": "o", "color": GREY, "markersize": 4.5}
    triangle = {"marker": "^", "color": GREY, "markeredgecolor": "black", "markersize": 7, "linestyle": ""}
    marks = [
        Line2D([], [], **triangle, label="found"),
        Line2D([], [], **circle, label="beyond random groups only"),
        Line2D([], [], **circle, markerfacecolor="white", label="not told from chance"),
    ]
    figure.legend(
        handles=[*marks, *bands],
        loc="upper left",
        bbox_to_anchor=(0.05 / width, 1 - above / height),
        ncols=3 if width < 8 else 5,
        fontsize=8,
        frameon=False,
        borderpad=0.2,
        columnspacing=1.2,
    )


def is_beyond_random(table):
    """Whether each row is of a sum that random groups do not explain, but that is not found."""
    return (table["null"] == "random") & (table["q"] <= LEVEL) & ~is_found(table) & (table["found"] != "")


def axis_limit(rows):
    """Return the limit of the vertical axis: all marks with their errors are shown; a band may be wider."""
    rows = rows[rows["null"] == "random"]
    unit = rows["random_sd"].where(rows["random_sd"] > 0, 1)
    return 1.12 * max(2.6, (rows["z"].abs() + rows["se"].fillna(0) / unit).max())


def draw(axes, rows):
    """Draw one group by one method: its sums by step and both nulls, in standard deviations of random groups."""
    rows = rows.sort_values("step")
    random, near = (rows[rows["null"] == null].reset_index(drop=True) for null in ("random", "neighbourhoods"))
    unit = random["random_sd"].where(random["random_sd"] > 0, 1)
    t, z, confirmed = random["step"], random["z"], is_found(random)
    axes.axhspan(-1.96, 1.96, color=BAND, linewidth=0)
    low, high = ((near[bound] - random["random_mean"]) / unit for bound in ("null_low", "null_high"))
    if len(t) > 1:
        axes.fill_between(t, low, high, **EDGES)
    axes.axhline(0, color="black", linewidth=0.6)
    axes.plot(t, z, color=GREY, linewidth=0.8)
    if random["se"].notna().any():
        axes.errorbar(t, z, random["se"] / unit, fmt="none", ecolor="black", elinewidth=0.9)
    beyond = is_beyond_random(random)
    for chosen, fill in ((~confirmed & ~beyond, "white"), (beyond, GREY)):
        axes.plot(t[chosen], z[chosen], "o", color=GREY, markerfacecolor=fill, markersize=4.5)
    for marker, color, side in (("^", GREEN, confirmed & (z > 0)), ("v", RED, confirmed & (z < 0))):
        axes.plot(t[side], z[side], marker, color=color, markersize=7, markeredgecolor="black", markeredgewidth=0.6)
    time_axis(axes, t.tolist())
    axes.set_xticks(t.iloc[:: -(-len(t) // TICKS)])
    axes.set_xlabel("step t (noise → image)", labelpad=1)
    axes.tick_params(labelsize=7)


def counted(size, thing="image"):
    """Return a number of things in words."""
    return f"{size:,} {thing}{'' if size == 1 else 's'}"


def run_lines(table, methods, groups):
    """Return the lines of the header that describe the run."""
    models = table["checkpoints"].dropna().astype(int)
    group_count = table["group"].nunique()
    lines = [f"{counted(group_count, 'group')} of training images, {counted(table['step'].nunique(), 'step')}"]
    lines[0] += f", {counted(models.max(), 'model')}" if len(models) else ""
    lines.append("up: pushed towards this image; down: pushed away from it")
    shown = [f"the {len(groups)} groups that stand out most"] if group_count > len(groups) else []
    shown += (
        [f"{len(methods)} of {table['method'].nunique()} methods"] if table["method"].nunique() > len(methods) else []
    )
    return [*lines, f"shown: {', '.join(shown)}; all are in tables/group_influences.csv"] if shown else lines


def verdicts(table, methods, groups):
    """Return a sentence for each method: which groups it finds."""
    return [f"Found by {method}: {found_in_words(table[table['method'] == method], groups)}" for method in methods]


def how_to_read(table, methods):
    """Return the words that explain the figure."""
    shown = table[table["method"].isin(methods)]
    without = [name for name in methods if shown.loc[shown["method"] == name, "se"].isna().all()]
    unknown = [name for name in without if (shown.loc[shown["method"] == name, "found"] == "").all()]
    bars = f" ({' and '.join(without)} {'has' if len(without) == 1 else 'have'} none)" if without else ""
    why = f"; of {' and '.join(unknown)} no error is kept, so nothing can be called found" if unknown else ""
    return HOW.format(bars=bars, few=how_sure(shown), unknown=why)


def how_sure(rows):
    """Say how many errors a sum must lie off if there are so few models that the number is surprising."""
    models = rows.loc[rows["se"].notna(), "checkpoints"]
    if models.empty or models.max() > FEW:
        return ""
    parts, by = max(int(models.max()), 2), counted(int(models.max()), "model")
    return (
        f" With {by} the error itself is uncertain: a sum must lie {errors_to_exclude(parts):.2g} errors away from "
        "what it is compared with."
    )


def wrapped(texts, width):
    """Break texts into lines that fit a figure of ``width`` inches."""
    return [plain(line) for text in texts for line in textwrap.wrap(text, int(CHARACTERS * (width - 0.2)))]


def found_in_words(rows, groups):
    """Say in one sentence which groups are found at which steps, or lie beyond random groups only."""
    rows = rows[rows["null"] == "random"].sort_values("step", ascending=False)
    found = pushes(rows[is_found(rows)], groups)
    beyond = pushes(rows[is_beyond_random(rows)], groups)
    beyond = beyond if len(beyond) <= PHRASES else ["the grey dots"]
    return f"{'; '.join(found) or 'nothing'}." + (f" Beyond random groups only: {'; '.join(beyond)}." if beyond else "")


def pushes(rows, groups):
    """Return a phrase for each group and direction of rows, with the steps."""
    phrases = []
    for group in (group for group in groups if (rows["group"] == group).any()):
        for side, word in ((1, "towards"), (-1, "away")):
            steps = rows.loc[(rows["group"] == group) & (np.sign(rows["z"]) == side), "step"]
            if len(steps):
                phrases.append(f"“{group}” pushed {word} at t = {', '.join(map(str, steps))}")
    return phrases


if __name__ == "__main__":
    run(main, ["table", "trajectory", "target", "out"])
