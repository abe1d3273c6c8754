"""The results that are kept: the tables follow from the subsets, outputs and scores beside them, by other code."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

RESULTS = Path(__file__).parents[1] / "docs/results"


@pytest.mark.parametrize("experiment", ["digits-lds"])
def test_lds_is_what_the_kept_arrays_give(experiment):
    kept = RESULTS / experiment
    table = pd.read_csv(kept / "tables/lds.csv")
    outputs = np.load(kept / "outputs.npz")
    steps = outputs["step"].tolist()
    for method in table["method"].unique():
        file = kept / f"scores-{method}.npz"
        if not file.exists():
            assert method in ("retrain", "ceiling")
            continue
        scores = np.load(file)
        rows = table[table["method"] == method]
        rows = rows[rows["checkpoints"].isna() | (rows["checkpoints"] == rows["checkpoints"].max())]
        subsets = np.unpackbits(
            np.load(kept / "subsets.npz")["included"], axis=1, count=scores[rows["target"].iloc[0]].shape[1]
        )
        for row in rows.itertuples():
            s = steps.index(row.step)
            mean = outputs[row.target][:, :, s].astype(float).mean(1)
            expected = spearmanr(subsets @ scores[row.target][s].astype(float), mean)[0]
            assert np.isclose(row.lds, expected, atol=1e-5)


@pytest.mark.parametrize("experiment", ["digits-lds"])
def test_summary_is_the_mean_over_targets(experiment):
    tables = RESULTS / experiment / "tables"
    table, summary = (pd.read_csv(tables / name).fillna({"checkpoints": 0}) for name in ("lds.csv", "lds_summary.csv"))
    keys = ["method", "step", "checkpoints"]
    means = table[~table["method"].isin(["retrain", "ceiling"])].groupby(keys)["lds"].mean()
    kept = summary.set_index(keys)["mean"]
    assert np.allclose(means, kept.reindex(means.index), atol=1e-5)
