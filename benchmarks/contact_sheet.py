"""One picture of what an experiment generates: every target's image at 8 × zoom under its prompt, and the loss curves.

python benchmarks/contact_sheet.py results/emoji docs/results/emoji/figures/generated.png
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow_scripts"))

import pandas as pd

from waypoint.store.artifacts.provenance import read_attributes
from waypoint.store.zarr.reader import open_store, read
from waypoint.workflow.figures.style import plt, show
from waypoint.workflow.plan.specs import settings_of

ZOOM, COLUMNS, DPI = 8, 4, 100


def main(root, out):
    root = Path(root)
    images = [path for path in sorted(root.glob("targets/*/trajectory.zarr")) if (path / "zarr.json").exists()]
    images = [path for path in images if "-" not in path.parent.name]  # an image's masks share its trajectory
    side = read(open_store(images[0])["image"]).shape[-1] * ZOOM / DPI
    rows = -(-len(images) // COLUMNS)
    figure, axes = plt.subplots(rows + 1, COLUMNS, figsize=(COLUMNS * side * 1.08, (rows + 1) * side * 1.18))
    for axis in axes.flat:
        axis.axis("off")
    for axis, path in zip(axes.flat, images):
        show(axis, read(open_store(path)["image"]))
        axis.set_title(settings_of(read_attributes(path)["spec"])["target"].get("prompt", path.parent.name), size=11)
    curve = figure.add_subplot(rows + 1, 1, rows + 1)
    for folder in sorted((root / "checkpoints/full").iterdir()):
        loss = pd.read_csv(folder / "loss.csv")
        curve.plot(
            loss["epoch"], loss["loss"], label=f"model {folder.name}", color=["black", "tab:blue"][int(folder.name) % 2]
        )
    curve.set(xlabel="epoch", ylabel="mean training loss", yscale="log")
    curve.yaxis.set_major_formatter("{x:g}")
    curve.yaxis.set_minor_formatter("{x:g}")
    curve.legend(frameon=False)
    figure.tight_layout()
    Path(out).parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out, dpi=DPI)


if __name__ == "__main__":
    main(*sys.argv[1:])
