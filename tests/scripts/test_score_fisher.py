"""factor_kernel.py of Fisher rows and score_fisher.py, against explicit matrices."""

import numpy as np
import pytest
from support import run_script, store

from waypoint.store.zarr.reader import open_store

STEPS, IMAGES, D, NAMES, DAMPING = [100, 500], 13, 6, ["full/0", "full/1", "full/2"], 0.2
RANDOM = np.random.default_rng(0)
PHI, G = RANDOM.standard_normal((3, IMAGES, D), np.float32), RANDOM.standard_normal((3, 2, D), np.float32)
BASIS = {"featurize": "plain", "fisher_rows": "plain", "target_gradients": "plain"}


def spec_of(bases, *stages):
    return {"seed": 0} | {stage: {"version": 1, "basis": bases[stage]} for stage in stages}


class Experiment:
    """Features, Fisher rows and gradients of three checkpoints."""

    def __init__(self, root, rows, of_rows=BASIS, weights="w0"):
        self.root, self.u = root, np.random.default_rng(1).standard_normal((3, rows, D)).astype(np.float32)
        self.own = {"kernel": {"damping": DAMPING}, "scores": {"keep_checkpoints": True}}
        self.spec = spec_of(BASIS, *BASIS) | {"score_fisher": {"version": 1, "checkpoints": NAMES, **self.own}}
        arrays = {"checkpoint": (["checkpoint"], NAMES), "step": (["step"], STEPS)}
        arrays["g"] = (["checkpoint", "step", "feature"], G)
        made = {"spec": spec_of(BASIS, "target_gradients"), "weights": [weights, "w1", "w2"]}
        self.gradients = store(root / "targets/a/gradients/plain.zarr", made, **arrays)
        self.features, self.fisher = [], []
        for m in range(3):
            made = {"spec": spec_of(BASIS, "featurize"), "weights": f"w{m}"}
            self.features.append(store(root / f"phi{m}.zarr", made, phi=(["train", "feature"], PHI[m])))
            made = {"spec": spec_of(of_rows, "fisher_rows"), "weights": f"w{m}"}
            self.fisher.append(store(root / f"u{m}.zarr", made, u=(["row", "feature"], self.u[m])))

    def kernels(self, bases=BASIS):
        spec = spec_of(bases, "fisher_rows") | {"factor_kernel": {"version": 1, "kernel": {"damping": DAMPING}}}
        found = [self.root / f"k{m}.zarr" for m in range(3)]
        for rows, out in zip(self.fisher, found):
            run_script("factor_kernel", spec=spec, fisher=rows, out=out)
        return found

    def score(self, kernels):
        out = self.root / "scores/fisher/a.zarr"
        given = {"gradients": self.gradients, "features": self.features, "fisher": self.fisher, "kernels": kernels}
        run_script(
            "score_fisher",
            spec=self.spec,
            **given,
            method="fisher",
            target="a",
            targets=["a"],
            waiting=self.root / "resume/scores/fisher",
            out=out,
        )
        return open_store(out)


@pytest.mark.parametrize("rows", [20, 6, 4], ids=["primal", "square", "dual"])
def test_scores_are_those_of_explicit_matrices(tmp_path, rows):
    """K = UᵀU/R + δ (trace/d) I, whatever form it is factored in."""
    experiment = Experiment(tmp_path, rows)
    kernels = experiment.kernels()
    assert open_store(kernels[0]).attrs["form"] == ("primal" if rows >= D else "dual")
    each = []
    for m in range(3):
        u = experiment.u[m].astype(float)
        kernel = u.T @ u / rows
        kernel += DAMPING * np.trace(kernel) / D * np.eye(D)
        each.append(G[m] @ np.linalg.inv(kernel) @ PHI[m].T)
    each = np.array(each)
    found = experiment.score(kernels)
    np.testing.assert_allclose(found["score_by_checkpoint"][:], each, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found["score"][:], each.mean(0), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found["score_se"][:], each.std(0, ddof=1) / 3**0.5, rtol=1e-4, atol=1e-5)


def test_rows_of_another_basis_are_refused_by_name(tmp_path, capsys):
    other = {**BASIS, "fisher_rows": "ekfac"}
    experiment = Experiment(tmp_path, 20, of_rows=other)
    with pytest.raises(SystemExit):
        experiment.kernels()
    words = "was made when basis was 'ekfac'; here it is 'plain'"
    message = capsys.readouterr().err
    assert words in message and "u0.zarr" in message
    with pytest.raises(SystemExit):
        experiment.score(experiment.kernels(other))
    assert words in capsys.readouterr().err


def test_rows_of_other_weights_than_the_gradients_are_refused(tmp_path, capsys):
    experiment = Experiment(tmp_path, 20, weights="others")
    with pytest.raises(SystemExit):
        experiment.score(experiment.kernels())
    assert "come from different weights of checkpoint full/0" in capsys.readouterr().err
