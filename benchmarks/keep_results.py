"""Keep a finished evaluation small enough for the repository.

Copies the tables and the figures over all targets; with --panels the figures of every target too; with --arrays also
what its LDS can be computed from again: the ensemble's weights, and packed subsets, their outputs and scores.

    python benchmarks/keep_results.py --arrays results/digits-lds experiments/digits-lds.yaml docs/results/digits-lds
    python benchmarks/keep_results.py --panels results/emoji experiments/emoji.yaml docs/results/emoji
"""

import argparse
import json
import shutil
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow_scripts"))

import numpy as np

from waypoint.store.artifacts.provenance import read_attributes
from waypoint.store.zarr.reader import open_store


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("root", type=Path)
    parser.add_argument("config", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--panels", action="store_true")
    parser.add_argument("--arrays", action="store_true")
    args = parser.parse_args()
    root, out = args.root, args.out
    shutil.rmtree(out, ignore_errors=True)
    (out / "tables").mkdir(parents=True)
    long = root / "tables/top_influences.csv"  # and nothing in it that the scores do not say
    for table in sorted(set((root / "tables").glob("*.csv")) - {long}):
        shutil.copyfile(table, out / "tables" / table.name)
    for figure in sorted((root / "figures").glob("**/*.png" if args.panels else "*.png")):
        kept = out / figure.relative_to(root)
        kept.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(figure, kept)
    shutil.copyfile(args.config, out / "config.yaml")
    if args.arrays:
        keep_arrays(root, out)
    made = read_attributes(root / "tables/lds.csv")
    record = {key: made[key] for key in ("commit", "packages", "device", "images", "subsets", "models_per_subset")}
    (out / "made.json").write_text(json.dumps(record, indent=2) + "\n")


def keep_arrays(root, out):
    """Everything that the LDS follows from."""
    included = open_store(root / "evaluation/subsets.zarr")["included"][:]
    np.savez_compressed(out / "subsets.npz", included=np.packbits(included, axis=1))
    outputs = {path.stem: open_store(path) for path in sorted((root / "evaluation/outputs").iterdir())}
    steps = next(iter(outputs.values()))["step"][:]
    np.savez_compressed(
        out / "outputs.npz", step=steps, **{name: store["output"][:] for name, store in outputs.items()}
    )
    for method in sorted((root / "scores").iterdir()):
        scores = {path.stem: open_store(path)["score"][:] for path in sorted(method.iterdir())}
        np.savez_compressed(out / f"scores-{method.name}.npz", step=steps, **scores)
    for folder in sorted((root / "checkpoints/full").iterdir()):
        shutil.copytree(folder, out / "checkpoints/full" / folder.name)


if __name__ == "__main__":
    main()
