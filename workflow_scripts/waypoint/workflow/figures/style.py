"""Colours, framed images and the saving of figures, shared by all figures."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TypeAlias, TypedDict

import matplotlib

matplotlib.use("Agg")
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.figure import Figure, SubFigure
from matplotlib.typing import LineStyleType

from waypoint.store.artifacts.atomic import atomic_file
from waypoint.workflow.methods import LOOKS, ROWS

Dashes: TypeAlias = LineStyleType  # a style of lines


class LineLook(TypedDict):
    """The part of a method's look that applies to a line."""

    color: str
    marker: str


GREEN, RED = "#009E73", "#CC3311"  # distinguishable for colour-blind readers, and also by + and − and the frame's style
NONE = {"color": "#BBBBBB", "marker": ".", "hatch": ""}  # models of the full set, in forgetting
# Okabe and Ito's colours, then Tol's, each with a marker and a hatch, so that no method is shown by colour alone
METHODS = {name: asdict(look) for name, look in LOOKS.items()} | {"none": NONE}
CONTROLS = (*(row.name for row in ROWS if row.control), "none")
# methods under other names take these in turn
OTHERS = [
    {"color": "#882255", "marker": "P", "hatch": "\\\\"},
    {"color": "#332288", "marker": "<", "hatch": "oo"},
    {"color": "#999933", "marker": ">", "hatch": "||"},
    {"color": "#44AA99", "marker": "*", "hatch": "**"},
    {"color": "#661100", "marker": "h", "hatch": "OO"},
]
# an image's masks differ in colour and line style
DASHES: list[Dashes] = ["-", (0, (4, 2.2)), (0, (1, 2.2)), (0, (5, 2.2, 1, 2.2))]
REGIONS: list[tuple[str, Dashes]] = [
    (color, DASHES[k % len(DASHES)])
    for k, color in enumerate(["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00"])
]

plt.rcParams.update(
    {
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.titlesize": 10,
        "axes.titlelocation": "left",
        "axes.labelsize": 9,
        "xtick.labelsize": 8,
        "ytick.labelsize": 8,
        "legend.fontsize": 8,
        "legend.frameon": False,
        "figure.dpi": 140,
    }
)


def picture(image):
    """Return a (C, H, W) image in [-1, 1] as an array for matplotlib."""
    pixels = np.clip((image + 1) / 2, 0, 1).transpose(1, 2, 0)
    return pixels[..., 0] if pixels.shape[2] == 1 else pixels[..., :3]


def mosaic(images):
    """Return four (C, H, W) images as one 2 × 2 picture with a light gap."""
    c, h, w = images[0].shape
    gap = max(1, h // 16)
    out = np.ones((c, 2 * h + gap, 2 * w + gap), np.float32)
    for k, image in enumerate(images[:4]):
        y, x = (k // 2) * (h + gap), (k % 2) * (w + gap)
        out[:, y : y + h, x : x + w] = image
    return out


def show(axes, image, edge="#888888", width=0.6, style: Dashes = "-"):
    """Draw one (C, H, W) image with a frame."""
    axes.imshow(picture(image), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set(visible=True, edgecolor=edge, linewidth=width, linestyle=style)


def styles(methods, turns: Mapping[str, int] | None = None):
    """Return {method: {"color", "marker", "hatch"}} of a figure's methods, in the order of all figures, controls last.

    Args:
        turns: {method: number} of the methods without a look of their own, the same in all figures of an experiment:
            the section ``looks`` of a figure's spec. Default: their order in ``methods``.
    """
    others = [method for method in dict.fromkeys(methods) if method not in METHODS]
    places = {method: k for k, method in enumerate(others)} | dict(turns or {})
    others.sort(key=lambda method: places[method])
    looks = {method: OTHERS[places[method] % len(OTHERS)] for method in others}
    attributing = [method for method in METHODS if method not in CONTROLS]
    order = [method for method in [*attributing, *others, *CONTROLS] if method in set(methods)]
    return {method: METHODS.get(method) or looks[method] for method in order}


def line_style(style: Mapping[str, str]) -> LineLook:
    """Return the part of a method's style that applies to a line."""
    return {"color": style["color"], "marker": style["marker"]}


def side_by_side(figure: Figure, widths: Sequence[float]) -> list[SubFigure]:
    """Split a figure into parts from left to right, with these ratios of widths."""
    return np.ravel(np.asarray(figure.subfigures(1, len(widths), width_ratios=widths), object)).tolist()


def one_above_another(figure: Figure, heights: Sequence[float]) -> list[SubFigure]:
    """Split a figure into parts from top to bottom, with these ratios of heights."""
    return np.ravel(np.asarray(figure.subfigures(len(heights), 1, height_ratios=heights), object)).tolist()


def outline(axes, mask, color, style):
    """Draw the border of a mask (H, W) on its image, just inside its edge, so that borders of neighbours both show."""
    fine = 8  # subdivisions of a pixel's side
    inset = max(1, round(fine * max(mask.shape) / 60))
    inside = np.pad(np.kron(mask > 0, np.ones((fine, fine), bool)), inset + 1)
    for axis in (0, 1):
        inside = np.logical_and.reduce([np.roll(inside, shift, axis) for shift in range(-inset, inset + 1)])
    y, x = ((np.arange(n) - inset - 0.5) / fine - 0.5 for n in inside.shape)
    limits = axes.get_xlim(), axes.get_ylim()
    for shade, width, dashes in (("white", 4.0, "-"), (color, 2.2, style)):  # visible on dark and on light
        axes.contour(x, y, inside, [0.5], colors=[shade], linewidths=width, linestyles=[dashes])
    axes.set(xlim=limits[0], ylim=limits[1])


def method_bars(axes, table, column, images, turns=None):
    """Draw bars of a table's column, methods side by side in groups of n_remove, with the values behind each bar.

    Bars are means over targets with their standard errors; dots are the targets, in the same order everywhere.

    Args:
        table: has the columns method, target, n_remove and ``column``. images: number of training images, for shares.
        turns: as for ``styles``.
    """
    counts, labelled = sorted(table["n_remove"].unique()), set()
    targets, ticks, left = list(table["target"].unique()), [], 0.0
    looks = styles(table["method"].unique(), turns)
    for count in counts:
        present = set(table.loc[table["n_remove"] == count, "method"])
        methods = [method for method in looks if method in present]
        for k, method in enumerate(methods):
            rows = table[(table["n_remove"] == count) & (table["method"] == method)]
            values, x = rows[column].to_numpy(), left + k
            style = {"color": looks[method]["color"], "hatch": looks[method]["hatch"], "edgecolor": "white"}
            axes.bar(x, values.mean(), 0.85, label=None if method in labelled else method, **style)
            spread = [(targets.index(t) + 0.5) / len(targets) - 0.5 for t in rows["target"]]
            axes.plot(x + 0.6 * np.array(spread), values, ".", color="black", markersize=5, zorder=3)
            if len(values) > 1:
                error = values.std(ddof=1) / len(values) ** 0.5
                axes.errorbar(x, values.mean(), error, color="black", capsize=5, linewidth=1.4, zorder=2)
            labelled.add(method)
        ticks.append(left + (len(methods) - 1) / 2)
        left += len(methods) + 0.7
    axes.axhline(0, color="black", linewidth=0.8)
    axes.set_xticks(ticks, [f"{count} ({100 * count / images:.3g} %)" if count else "0" for count in counts])
    axes.set_xlabel("training images removed")


def time_axis(axes, steps):
    """Let t run from left to right as the image is made: from noise (large t) to image."""
    axes.set_xlim(max(steps) + 30, min(steps) - 30)
    axes.set_xticks(steps)
    axes.set_xlabel("step t (noise on the left, image on the right)")


def reading(figure):
    """Write into the lower left corner where to read how a figure is interpreted."""
    width, height = figure.get_size_inches()
    words = (
        "what scores say and do not: docs/reading.md; how well they predict retraining, if measured: figures/lds.png"
    )
    figure.text(0.1 / width, 0.06 / height, words, va="bottom", size=6.5, color="#767676")


def save(figure, job, **attributes):
    """Save a figure atomically at the job's ``out``, with attributes besides the usual ones, and close it."""
    with atomic_file(job.args.out, lambda: job.provenance(**attributes)) as tmp:
        figure.savefig(tmp)
    plt.close(figure)
