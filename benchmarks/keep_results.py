"""Keep a finished evaluation small enough for the repository, and complete enough to compute its LDS again.

Copies the tables, the figures over all targets and the ensemble's weights, and packs masks, subset outputs and scores
into compressed files.

    python benchmarks/keep_results.py results/digits-lds experiments/digits-lds.yaml docs/results/digits-lds
"""

import json
import shutil
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow_scripts"))

import numpy as np

from waypoint.store.arrays import open_store
from waypoint.store.provenance import read_attributes


def main(root, config, out):
    root, out = Path(root), Path(out)
    shutil.rmtree(out, ignore_errors=True)
    (out / "tables").mkdir(parents=True)
    long = root / "tables/top_influences.csv"  # and nothing in it that the scores do not say
    for table in sorted(set((root / "tables").glob("*.csv")) - {long}):
        shutil.copyfile(table, out / "tables" / table.name)
    (out / "figures").mkdir()
    for figure in sorted((root / "figures").glob("*.png")):
        shutil.copyfile(figure, out / "figures" / figure.name)
    shutil.copyfile(config, out / "config.yaml")
    np.savez_compressed(
        out / "masks.npz", mask=np.packbits(open_store(root / "evaluation/masks.zarr")["mask"][:], axis=1)
    )
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
    made = read_attributes(root / "tables/lds.csv")
    record = {key: made[key] for key in ("commit", "packages", "device", "images", "subsets", "models_per_subset")}
    (out / "made.json").write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
