"""curvature.py against explicit sums of autograd's rows, killed and resumed; what is whitened by it, against P W ∇."""

import json

import numpy as np
import pytest
import torch
from support import EXACT, UNET, images, one_by_one, run_script, store, tiny_denoiser

from waypoint.science import fisher
from waypoint.science.algorithm1 import train_loss
from waypoint.science.curvature import Curvature, estimate, factored_matrices
from waypoint.science.draws import train_draws
from waypoint.science.gradients.examples import Example
from waypoint.science.gradients.hooks import trainable
from waypoint.science.projection import Gaussian
from waypoint.store.networks import checkpoints
from waypoint.store.zarr.reader import open_store

N, D, ROWS, BOUND, DAMPING = 4, 12, 60, 40, 1e-2
DIMS = ["train", "channel", "y", "x"]
SPEC = {"seed": 0, "curvature": {"rows": ROWS, "bound": BOUND}, "data": {"flip": False}, "gradients": EXACT}


@pytest.fixture(scope="module")
def denoiser():
    """With random weights: a new one's last layer is nearly zero."""
    made = tiny_denoiser({"unet": UNET, "scheduler": {}})
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(1)
        for q in made.unet.parameters():
            q.copy_(torch.randn(q.shape) / 4)
    return made


@pytest.fixture
def given(tmp_path, denoiser):
    """The arguments of every job here, with the model and the data in place."""
    checkpoints.save(denoiser.unet, denoiser.scheduler, tmp_path / "model")
    (tmp_path / "model/waypoint.json").write_text(json.dumps({"spec": {}, "weights": "w"}))
    data = store(tmp_path / "data.zarr", {"sha256": "x"}, image=(DIMS, images(N)))
    return {"data": data, "checkpoint": tmp_path / "model", "name": "full/0"}


def made(tmp_path, given, name="curvature", spec=SPEC):
    run_script("curvature", spec=spec, **given, resume=tmp_path / "resume", out=tmp_path / f"{name}.zarr")
    return tmp_path / f"{name}.zarr"


def rows_of(denoiser, purpose, count):
    """Explicit rows, by autograd through each by itself."""
    key, z = (0, purpose, "full/0"), images(N)
    seen, steps, found = fisher.row_images(*key, count, N), fisher.row_steps(*key, count, 1000), []
    for r in range(count):
        epsilon, v = fisher.row_noise(*key, r, z[0].shape)
        x_t = denoiser.add_noise(z[[seen[r]]], epsilon[None], torch.tensor([steps[r]]))
        value = (denoiser.unet(x_t, torch.tensor([steps[r]])).sample[0] * v).sum() / z[0].numel() ** 0.5
        gradients = torch.autograd.grad(value, trainable(denoiser.unet), allow_unused=True, materialize_grads=True)
        found.append(torch.cat([g.flatten() for g in gradients]))
    return torch.stack(found)


@pytest.fixture(scope="module")
def explicit(denoiser):
    """The curvature of explicit rows."""
    shapes = {name: q.shape for name, q in denoiser.unet.named_parameters()}
    first, second = (rows_of(denoiser, purpose, ROWS) for purpose in (fisher.EIGENVECTORS, fisher.EIGENVALUES))
    return estimate(factored_matrices(shapes, ROWS, BOUND), [first], [second])


def stored(path, unet):
    arrays = {name: array[:] for name, array in open_store(path).arrays()}
    return Curvature.from_arrays({name: q.shape for name, q in unet.named_parameters()}, arrays)


def close(found, expected, tolerance=1e-3):
    return (found - expected).norm() <= tolerance * expected.norm()


def test_the_curvature_is_that_of_explicit_rows(tmp_path, given, denoiser, explicit):
    path = made(tmp_path, given)
    found, fresh = stored(path, denoiser.unet), rows_of(denoiser, fisher.KERNEL, 3)
    assert [matrix.column_blocks for matrix in found.matrices] == [m.column_blocks for m in explicit.matrices]
    assert any(m.row_blocks for m in found.matrices) and not all(m.row_blocks for m in found.matrices)
    # eigenvectors of near-equal eigenvalues may turn into each other: what is whitened by them may not
    for damping in (1e-3, 1.0):
        ours, theirs = (made.whitening(damping).whiten(fresh) for made in (found, explicit))
        assert close(ours @ ours.T, theirs @ theirs.T)
    attributes = open_store(path).attrs
    assert attributes["parameters"] == fresh.shape[1] and attributes["weights"] == "w"
    assert attributes["mean_eigenvalue"] == pytest.approx(explicit.mean_eigenvalue(), rel=1e-4)
    assert not (tmp_path / "resume").exists()


def test_the_diagonal_is_that_of_explicit_rows(tmp_path, given, denoiser):
    spec = {**SPEC, "curvature": {"rows": ROWS}}
    run_script("diagonal_curvature", spec=spec, **given, resume=tmp_path / "resume", out=tmp_path / "diagonal.zarr")
    found, expected = stored(tmp_path / "diagonal.zarr", denoiser.unet), rows_of(denoiser, fisher.EIGENVALUES, ROWS)
    assert not found.vectors and not any(m.row_blocks or m.column_blocks for m in found.matrices)
    values = torch.cat([found.values[name].flatten() for name, _ in denoiser.unet.named_parameters()])
    assert close(values, expected.square().mean(0), 1e-4)


def test_rows_in_other_batches_give_the_same(tmp_path, given, denoiser, monkeypatch):
    together = stored(made(tmp_path, given), denoiser.unet)
    monkeypatch.setattr("waypoint.workflow.jobs.curvature_rows.rows_in_memory", lambda p, device: 7)
    apart, fresh = stored(made(tmp_path, given, "apart"), denoiser.unet), rows_of(denoiser, fisher.KERNEL, 3)
    one, other = (each.whitening(1e-2).whiten(fresh) for each in (together, apart))
    assert close(one @ one.T, other @ other.T, 1e-4)


@pytest.mark.parametrize("killed_at", [15, 75], ids=["among the eigenvectors' rows", "among the eigenvalues' rows"])
def test_a_job_that_was_killed_goes_on_where_it_was(tmp_path, given, denoiser, monkeypatch, killed_at):
    whole = stored(made(tmp_path, given), denoiser.unet)
    monkeypatch.setattr("waypoint.workflow.jobs.curvature_rows.rows_in_memory", lambda p, device: 5)
    made_rows, real = [], fisher.fisher_rows

    def counted(theta, P, examples, grad):
        if len(made_rows) >= killed_at:
            raise KeyboardInterrupt
        made_rows.extend(examples)
        return real(theta, P, examples, grad)

    monkeypatch.setattr("time.monotonic", iter(range(0, 10**9, 1000)).__next__)  # a state is kept after every batch
    monkeypatch.setattr(fisher, "fisher_rows", counted)
    with pytest.raises(SystemExit):
        made(tmp_path, given, "resumed")
    assert not (tmp_path / "resumed.zarr").exists() and list((tmp_path / "resume/curvature/full/0").glob("*.pt"))
    killed_at = 10**9
    made_rows.clear()
    resumed = stored(made(tmp_path, given, "resumed"), denoiser.unet)
    assert len(made_rows) < 2 * ROWS
    fresh = rows_of(denoiser, fisher.KERNEL, 3)
    one, other = (each.whitening(1e-2).whiten(fresh) for each in (whole, resumed))
    assert close(one @ one.T, other @ other.T, 1e-4)
    assert not (tmp_path / "resume").exists()


def test_a_state_of_another_curvature_is_not_used(tmp_path, given, denoiser, capsys):
    folder = tmp_path / "resume/curvature/full/0"
    folder.mkdir(parents=True)
    torch.save({"identity": "another", "tensors": {}}, folder / "eigenvectors.pt")
    (folder / "fisher-eigenvalues.pt").write_bytes(b"damaged")
    stored(made(tmp_path, given), denoiser.unet)
    assert "fisher-eigenvalues.pt is damaged (UnpicklingError); its curvature starts anew" in capsys.readouterr().err


@pytest.fixture
def whitened(tmp_path, given, denoiser):
    """The curvature's store, and explicit Pᵀ W ∇ of flat gradients."""
    path = made(tmp_path, given)
    W, P = stored(path, denoiser.unet).whitening(DAMPING), Gaussian(0, "full/0", D)
    return path, lambda gradients: P.project(W.whiten(gradients))


GRADIENTS = {"gradients": EXACT, "projection": {"kind": "gaussian", "dim": D}}
EKFAC = {"seed": 0, "curvature": {**SPEC["curvature"], "damping": DAMPING}, "basis": "ekfac", **GRADIENTS}


def test_features_are_whitened_before_they_are_projected(tmp_path, given, denoiser, whitened):
    path, explicitly = whitened
    settings = {"draw_scheme": "stratified", "train_draws": 3, "flip": False, "keep_halves": False, "dtype": "float32"}
    run_script("featurize", spec={**EKFAC, "features": settings}, **given, curvature=path, out=tmp_path / "phi.zarr")
    gradients = []
    for i, x0 in enumerate(images(N)):
        t, epsilon = train_draws(0, "full/0", i, "stratified", 3, 1000, x0.shape)
        example = Example(x0.expand(epsilon.shape), t, epsilon)
        rows = one_by_one(denoiser.unet, lambda z: train_loss(denoiser, z), example)
        gradients.append(torch.cat([g.flatten() for g in rows]))
    found = torch.from_numpy(open_store(tmp_path / "phi.zarr")["phi"][:])
    assert close(found, explicitly(torch.stack(gradients)))
    assert not close(found, Gaussian(0, "full/0", D).project(torch.stack(gradients)), 0.5)


def test_fisher_rows_are_whitened_too(tmp_path, given, denoiser, whitened):
    path, explicitly = whitened
    spec = {**EKFAC, "kernel": {"rows": 5}, "data": {"flip": False}}
    run_script("fisher_rows", spec=spec, **given, curvature=path, out=tmp_path / "u.zarr")
    found = torch.from_numpy(open_store(tmp_path / "u.zarr")["u"][:])
    assert close(found, explicitly(rows_of(denoiser, fisher.KERNEL, 5)))


def test_without_a_projection_gradients_are_kept_as_they_are(tmp_path, given, denoiser):
    spec = {"seed": 0, "basis": "plain", "gradients": EXACT, "projection": {"kind": "none", "dim": D}}
    spec |= {"kernel": {"rows": 5}, "data": {"flip": False}}
    run_script("fisher_rows", spec=spec, **given, out=tmp_path / "u.zarr")
    found = torch.from_numpy(open_store(tmp_path / "u.zarr")["u"][:])
    assert close(found, rows_of(denoiser, fisher.KERNEL, 5), 1e-5)


def test_a_curvature_of_other_weights_is_refused(tmp_path, given, whitened, capsys):
    (tmp_path / "model/waypoint.json").write_text(json.dumps({"spec": {}, "weights": "others"}))
    spec = {**EKFAC, "kernel": {"rows": 5}, "data": {"flip": False}}
    with pytest.raises(SystemExit):
        run_script("fisher_rows", spec=spec, **given, curvature=whitened[0], out=tmp_path / "u.zarr")
    assert "comes from other weights" in capsys.readouterr().err


def test_gradients_of_another_basis_are_refused_by_name(tmp_path, capsys):
    """Scores of basis ekfac are never made of features of basis plain."""
    arrays = {"phi": (["train", "feature"], np.ones((N, D), np.float32))}
    plain, ekfac = ({"featurize": {"version": 2, "basis": basis}} for basis in ("plain", "ekfac"))
    phi = store(tmp_path / "phi.zarr", {"weights": "w", "spec": plain}, **arrays)
    spec = {**ekfac, "factor_kernel": {"version": 1, "kernel": {"damping": 1.0}}}
    with pytest.raises(SystemExit):
        run_script("factor_kernel", spec=spec, features=phi, out=tmp_path / "kernel.zarr")
    assert "basis" in (message := capsys.readouterr().err) and "plain" in message and "ekfac" in message
