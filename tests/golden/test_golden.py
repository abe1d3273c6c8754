"""One golden output per stage: it may change only together with the stage's version.

Code triggers no rerun, so whoever changes what a stage computes must raise its number, where the stage is; then
`pytest tests/golden --write-golden` writes the file of the new version (and never replaces one). Every stage
gets fixed inputs of its own, so that another stage's change does not show here; only score_trak_sum and
counterfactual_without are given what the stage before them makes of its own fixed inputs.
"""

import json
import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from golden_adapters import GOLDEN as ADAPTERS
from golden_analyses import GOLDEN as ANALYSES
from golden_encoders import GOLDEN as ENCODERS
from golden_given_images import GOLDEN as GIVEN_IMAGES
from golden_latents import GOLDEN as LATENTS
from golden_lds import GOLDEN as LDS
from golden_likelihood import GOLDEN as LIKELIHOOD
from golden_removals import GOLDEN as REMOVALS
from golden_removals import restarts  # noqa: F401, a fixture
from inputs import STEPS, D, N, arrays_of, numbers, store
from PIL import Image
from safetensors.torch import load_file
from support import AUTOENCODER, EXACT, run_script

from waypoint.store.networks import checkpoints
from waypoint.store.zarr.curvature import read_curvature
from waypoint.store.zarr.reader import open_store
from waypoint.workflow.plan.stages import FIGURES, STAGES

HERE = Path(__file__).parent
CLASSES = ["nought", "one", "two"]


@pytest.fixture
def data(tmp_path):
    image = np.tanh(numbers(N, 1, 8, 8, seed=1))
    dims = ["train", "channel", "y", "x"]
    labels = ["train"], np.arange(N) % 3, {"class_names": CLASSES}
    files = ["train"], np.array([f"folder of images/{i:04d}.png" for i in range(N)])
    return store(tmp_path / "train.zarr", {"sha256": "fixed"}, image=(dims, image), label=labels, file=files)


@pytest.fixture
def near(tmp_path):
    """Near-duplicates: image 5 shows the same as image 2."""
    return store(tmp_path / "near.zarr", first=(["train"], np.where(np.arange(N) == 5, 2, np.arange(N))))


@pytest.fixture
def checkpoint(tmp_path, tiny_model):
    """Weights from a formula, not from the training stage."""
    denoiser = checkpoints.build(tiny_model, 0, "golden")
    with torch.no_grad():
        for k, q in enumerate(denoiser.unet.parameters()):
            q.copy_(torch.from_numpy(0.2 * numbers(*q.shape, seed=100 + k)))
    checkpoints.save(denoiser.unet, denoiser.scheduler, tmp_path / "model")
    (tmp_path / "model/waypoint.json").write_text(json.dumps({"spec": {}, "weights": "w"}))
    return tmp_path / "model"


@pytest.fixture
def trajectory(tmp_path):
    dims, steps = ["step", "channel", "y", "x"], np.array([500, 300, 100])
    arrays = {"x_t": (dims, numbers(3, 1, 8, 8, seed=2)), "x0_hat": (dims, np.tanh(numbers(3, 1, 8, 8, seed=3)))}
    image = (dims[1:], np.tanh(numbers(1, 8, 8, seed=4)))
    return store(tmp_path / "trajectory.zarr", {"weights": "w"}, step=(["step"], steps), image=image, **arrays)


@pytest.fixture
def score(tmp_path):
    arrays = {"score": (["step", "train"], numbers(2, N, seed=5)), "step": (["step"], np.array(STEPS))}
    return store(tmp_path / "score.zarr", {"method": "pixel", "target": "a"}, **arrays)


def prepare_data_stage(tmp_path):
    image = (np.arange(6 * 3 * 5 * 5) % 251).astype(np.uint8).reshape(6, 3, 5, 5)
    np.savez(tmp_path / "raw.npz", image=image, label=np.arange(6))
    section, raw = {"source": "npz", "size": 8, "subset": 4}, str(tmp_path / "raw.npz")
    folder = tmp_path / "folder"
    for k in range(4):
        (folder / str(k % 2)).mkdir(parents=True, exist_ok=True)
        wide = np.pad(image[k].transpose(1, 2, 0), [(0, 0), (0, 3), (0, 0)])
        Image.fromarray(wide).save(folder / f"{k % 2}/{k}.png")
    batch = {b"data": (np.arange(2 * 3072) % 253).astype(np.uint8).reshape(2, -1), b"labels": [3, 5]}
    (tmp_path / "cifar").mkdir()
    for k in range(1, 6):
        (tmp_path / f"cifar/data_batch_{k}").write_bytes(pickle.dumps(batch, protocol=2))
    found = {}
    for source, (path, changes) in {
        "npz": (raw, {}),
        "imagefolder": (str(folder), {"subset": None}),
        "digits": (None, {"size": None}),
        "cifar10": (str(tmp_path / "cifar"), {"subset": [1]}),
    }.items():
        spec, places = {"seed": 0, "data": {**section, "source": source, **changes}}, {"path": path, "captions": None}
        out = tmp_path / f"{source}.zarr"
        run_script("prepare_data", spec=spec, places=json.dumps(places), out=out)
        made = arrays_of(out, "image", "label", "source_index")
        found |= {f"{source}_{name}": values for name, values in made.items()}
    return found


def near_duplicates_stage(tmp_path):
    images = np.tanh(numbers(N, 1, 8, 8, seed=1))
    images[[5, 7]] = images[2] + np.array([[[[0.01]]], [[[-0.01]]]], np.float32)
    data = store(tmp_path / "train.zarr", {"sha256": "fixed"}, image=(["train", "channel", "y", "x"], images))
    run_script("near_duplicates", spec={"seed": 0, "data": {}}, data=data, out=tmp_path / "near.zarr")
    return arrays_of(tmp_path / "near.zarr", "first")


def train_vae_stage(tmp_path, data):
    recipe = {"autoencoder": AUTOENCODER, "epochs": 3, "batch_size": N, "learning_rate": 1e-3, "kl_weight": 0.1}
    common = {"images": data, "resume": tmp_path / "resume", "out": tmp_path / "out"}
    run_script("train_vae", spec={"seed": 0, "vae": {"train": recipe}}, **common)
    stored = load_file(tmp_path / "out/diffusion_pytorch_model.safetensors")
    flat = torch.cat([stored[name].reshape(-1) for name in sorted(stored)]).numpy()
    scale = json.loads((tmp_path / "out/config.json").read_text())["scaling_factor"]
    loss = pd.read_csv(tmp_path / "out/loss.csv").loss.to_numpy()
    return {"loss": loss, "weights": flat @ numbers(len(flat), 8, seed=7), "scaling_factor": np.array([scale])}


def train_stage(tmp_path, data, tiny_model):
    recipe = {"epochs": 3, "batch_size": N, "learning_rate": 1e-3, "weight_decay": 0.01, "ema": 0.9}
    spec = {"seed": 0, "model": tiny_model, "training": {**recipe, "gradient_clip": 1.0, "flip": True}}
    common = {"data": data, "name": ["full/0"], "resume": tmp_path / "resume", "out": [tmp_path / "out"]}
    run_script("train", spec=spec, **common)
    flat = torch.cat([q.detach().reshape(-1) for q in checkpoints.load(tmp_path / "out").unet.parameters()]).numpy()
    loss = pd.read_csv(tmp_path / "out/loss.csv").loss.to_numpy()
    return {"loss": loss, "weights": flat @ numbers(len(flat), 8, seed=6)}


def featurize_stage(tmp_path, data, checkpoint):
    found, factorised = {}, {"kind": "factorised", "precision": "float32", "rank": 4}
    kinds = {"independent": (EXACT, "gaussian"), "stratified": (factorised, "rademacher"), "shared": (EXACT, "sjlt")}
    for scheme, (gradients, projection) in kinds.items():
        settings = {"draw_scheme": scheme, "train_draws": 3, "flip": scheme == "shared", "keep_halves": False}
        settings["dtype"] = "float32"
        spec = {"seed": 0, "features": settings, "gradients": gradients, "projection": {"kind": projection, "dim": D}}
        common = {"data": data, "checkpoint": checkpoint, "name": "full/0"}
        run_script("featurize", spec=spec, **common, out=tmp_path / f"{scheme}.zarr")
        found[scheme] = arrays_of(tmp_path / f"{scheme}.zarr", "phi")["phi"]
    return found


def factor_kernel_stage(tmp_path):
    found = {}
    for form, d in (("primal", D), ("dual", 20)):
        phi = store(tmp_path / f"{form}-phi.zarr", {"weights": "w"}, phi=(["train", "feature"], numbers(N, d, seed=7)))
        run_script("factor_kernel", spec={"kernel": {"damping": 0.1}}, features=phi, out=tmp_path / f"{form}.zarr")
        made = arrays_of(tmp_path / f"{form}.zarr", "gram", "factor")
        found |= {f"{form}_{name}": values for name, values in made.items()}
    return found


def sample_trajectory_stage(tmp_path, checkpoint):
    spec = {"seed": 0, "generator": "full/0", "sampling": {"steps": 5}, "target": {"seed": 3}}
    spec["attribution"] = {"clip_x0_hat": "scheduler"}
    run_script("sample_trajectory", spec=spec, checkpoint=checkpoint, out=tmp_path / "out.zarr")
    return arrays_of(tmp_path / "out.zarr", "step", "x_t", "x0_hat", "image")


def target_gradients_stage(tmp_path, trajectory, checkpoint):
    found = {}
    for estimate, mask in (("per_checkpoint", None), ("generating", [0, 0, 4, 8])):
        attribution = {"target_draws": 3, "x0_hat": estimate, "clip_x0_hat": "scheduler", "keep_halves": False}
        spec = {"seed": 0, "checkpoints": ["full/0"], "generator": "full/0", "sampling": {"steps": 10}}
        spec |= {"attribution": attribution, "gradients": EXACT, "projection": {"kind": "gaussian", "dim": D}}
        spec["target"] = {"seed": 3, "steps": STEPS, "mask": mask}
        common = {"trajectory": trajectory, "checkpoints": [checkpoint], "generator": checkpoint}
        run_script("target_gradients", spec=spec, **common, out=tmp_path / f"{estimate}.zarr")
        found[estimate] = arrays_of(tmp_path / f"{estimate}.zarr", "g")["g"]
    return found


def features(tmp_path):
    """Train features of two checkpoints."""
    phi = [{"phi": (["train", "feature"], numbers(N, D, seed=9 + m))} for m in (0, 1)]
    return [store(tmp_path / f"phi{m}.zarr", {"weights": "w"}, **phi[m]) for m in (0, 1)]


def gradients(tmp_path):
    """Target gradients of two checkpoints at two steps."""
    dims = ["checkpoint", "step", "feature"]
    g = {"g": (dims, numbers(2, 2, D, seed=8)), "step": (["step"], np.array(STEPS))}
    g["checkpoint"] = (["checkpoint"], np.array(["full/0", "full/1"]))
    return store(tmp_path / "g.zarr", {"weights": ["w", "w"]}, **g)


def scored(tmp_path, method, **more):
    """Scores of a method that makes one pass over the features."""
    out = tmp_path / f"{method}.zarr"
    given = {"gradients": gradients(tmp_path), "features": features(tmp_path), "method": method, **more}
    to = {"targets": ["a"], "waiting": tmp_path / "resume/scores", "out": out}
    run_script(f"score_{method}", spec={"scores": {"keep_checkpoints": True}}, **given, target="a", **to)
    return out


@pytest.fixture
def trak_scores(tmp_path):
    """Scores made by the script."""
    kernels = []
    for m in (0, 1):
        lower = np.tril(numbers(D, D, seed=20 + m)).astype(np.float64) + 5 * np.eye(D)
        kernels.append(store(tmp_path / f"k{m}.zarr", {"weights": "w"}, factor=(["row", "column"], lower)))
    return scored(tmp_path, "trak", kernels=kernels)


def score_trak_stage(trak_scores):
    return arrays_of(trak_scores, "score", "score_se", "score_by_checkpoint")


def score_graddot_stage(tmp_path):
    return arrays_of(scored(tmp_path, "graddot"), "score", "score_se")


def score_gradcos_stage(tmp_path):
    return arrays_of(scored(tmp_path, "gradcos"), "score", "score_se")


def fisher_rows_stage(tmp_path, data, checkpoint):
    found = {}
    factorised = {"kind": "factorised", "precision": "float32", "rank": 4}
    for name, gradients, projection in (("plain", EXACT, "gaussian"), ("flipped", factorised, "sjlt")):
        spec = {"seed": 0, "kernel": {"rows": 2 * N + 3}, "data": {"flip": name == "flipped"}, "gradients": gradients}
        spec["projection"] = {"kind": projection, "dim": D}
        common = {"data": data, "checkpoint": checkpoint, "name": "full/0"}
        run_script("fisher_rows", spec=spec, **common, out=tmp_path / f"{name}.zarr")
        found[name] = arrays_of(tmp_path / f"{name}.zarr", "u")["u"]
    return found


def curvature_stage(tmp_path, data, checkpoint):
    """Sums of eigenvalues and norms of whitened gradients: near-equal eigenvectors may turn without changing them."""
    spec = {"seed": 0, "curvature": {"rows": 40, "bound": 20}, "data": {"flip": True}, "gradients": EXACT}
    given = {"data": data, "checkpoint": checkpoint, "name": "full/0", "resume": tmp_path / "resume"}
    run_script("curvature", spec=spec, **given, out=tmp_path / "curvature.zarr")
    store, unet = open_store(tmp_path / "curvature.zarr"), checkpoints.load(checkpoint).unet
    curvature = read_curvature(store, unet)
    gradients = torch.from_numpy(numbers(3, sum(q.numel() for q in unet.parameters()), seed=40))
    sums = [curvature.values[name].sum().item() for name in sorted(curvature.values)]
    return {"sums": np.array(sums), "norms": curvature.whitening(0.1).whiten(gradients).norm(dim=1).numpy()}


def diagonal_curvature_stage(tmp_path, data, checkpoint):
    spec = {"seed": 0, "curvature": {"rows": 40}, "data": {"flip": True}, "gradients": EXACT}
    given = {"data": data, "checkpoint": checkpoint, "name": "full/0", "resume": tmp_path / "resume"}
    run_script("diagonal_curvature", spec=spec, **given, out=tmp_path / "diagonal.zarr")
    return {"sums": np.array([array[:].sum() for _, array in sorted(open_store(tmp_path / "diagonal.zarr").arrays())])}


def score_diagonal_stage(tmp_path):
    return arrays_of(scored(tmp_path, "diagonal"), "score", "score_se")


def score_d_trak_stage(tmp_path):
    kernels = []
    for m in (0, 1):
        lower = np.tril(numbers(D, D, seed=50 + m)).astype(np.float64) + 5 * np.eye(D)
        kernels.append(store(tmp_path / f"k{m}.zarr", {"weights": "w"}, factor=(["row", "column"], lower)))
    return arrays_of(scored(tmp_path, "d_trak", kernels=kernels), "score", "score_se")


def score_ekfac_stage(tmp_path):
    return with_fisher_kernel(tmp_path, "ekfac")


def score_fisher_stage(tmp_path):
    return with_fisher_kernel(tmp_path, "fisher")


def with_fisher_kernel(tmp_path, method):
    """Scores with a primal kernel, of more Fisher rows than dimensions, and with a dual one, of fewer."""
    found = {}
    for form, rows in (("primal", 9), ("dual", 4)):
        kernels, fisher, size = [], [], min(rows, D)
        for m in (0, 1):
            lower = np.tril(numbers(size, size, seed=20 + m)).astype(np.float64) + 5 * np.eye(size)
            made = {"weights": "w", "damping_strength": 0.7}
            kernels.append(store(tmp_path / f"{form}-k{m}.zarr", made, factor=(["row", "column"], lower)))
            u = {"u": (["row", "feature"], numbers(rows, D, seed=30 + m))}
            fisher.append(store(tmp_path / f"{form}-u{m}.zarr", {"weights": "w"}, **u))
        (tmp_path / form).mkdir()
        out = scored(tmp_path / form, method, kernels=kernels, fisher=fisher)
        found |= {f"{form}_{name}": values for name, values in arrays_of(out, "score", "score_se").items()}
    return found


def score_trak_sum_stage(tmp_path, trak_scores):
    given, out = {"scores": trak_scores, "method": "trak_sum", "target": "a"}, tmp_path / "out.zarr"
    run_script("score_trak_sum", spec={}, **given, out=out)
    return arrays_of(out, "score", "score_by_checkpoint")


def score_pixel_stage(tmp_path, data, trajectory):
    found, given = {}, {"data": data, "trajectory": trajectory, "method": "pixel", "target": "a"}
    for against in ("image", "x0_hat"):
        spec = {"target": {"steps": STEPS}, "pixel": {"against": against}}
        run_script("score_pixel", spec=spec, **given, out=tmp_path / f"{against}.zarr")
        found[against] = arrays_of(tmp_path / f"{against}.zarr", "score")["score"]
    return found


def score_wiener_stage(tmp_path, data, trajectory, checkpoint):
    found, given = {}, {"data": data, "trajectory": trajectory, "generator": checkpoint, "method": "wiener"}
    for name, mask in (("whole", None), ("half", [0, 0, 4, 8])):
        spec, out = {"target": {"steps": STEPS, "mask": mask}}, tmp_path / f"{name}.zarr"
        run_script("score_wiener", spec=spec, **given, target="a", out=out)
        found[name] = arrays_of(out, "score")["score"]
    return found


def score_random_stage(tmp_path, data):
    spec, out = {"seed": 0, "target": {"steps": STEPS}}, tmp_path / "out.zarr"
    run_script("score_random", spec=spec, data=data, method="random", target="a", out=out)
    return arrays_of(out, "score")


def score_norm_stage(tmp_path):
    given, out = {"features": features(tmp_path), "method": "norm", "target": "a"}, tmp_path / "out.zarr"
    run_script("score_norm", spec={"target": {"steps": STEPS}}, **given, out=out)
    return arrays_of(out, "score", "score_se")


def judged_scores(tmp_path):
    """Scores of three checkpoints, by which lists are judged; image 2 is far out in all of them."""
    each = numbers(3, 2, N, seed=7)
    each[:, :, 2] += 9
    dims = ["checkpoint", "step", "train"]
    arrays = {
        "score": (dims[1:], each.mean(0)),
        "score_by_checkpoint": (dims, each),
        "step": (["step"], np.array(STEPS)),
    }
    spec = {"checkpoints": ["full/0", "full/1", "full/2"]}
    return store(tmp_path / "judged.zarr", {"method": "trak", "target": "a", "spec": spec}, **arrays)


def top_influences_stage(tmp_path, data, near, score):
    out, spec = tmp_path / "table.csv", {"seed": 0, "tables": {"top": 3}}
    given = {"data": data, "near": near, "scores": [score, judged_scores(tmp_path)]}
    run_script("top_influences", spec=spec, **given, out=out)
    table = pd.read_csv(out)
    names = ["step", "rank", "train", "score", "label", "rank_low", "rank_high", "alike"]
    numbers = np.nan_to_num(table[names].to_numpy(float), nan=-9)
    files = table["file"].str.extract(r"/(\d+)\.png")[0].astype(int)
    made = {"numbers": numbers, "plus": table.sign == "+", "files": files, "classes": table["class"].map(CLASSES.index)}
    return {**made, "found": pd.factorize(table["found"].astype(str))[0]}


def scores_of_images_stage(tmp_path, data, score):
    out = tmp_path / "table.csv"
    spec = {"tables": {"images": ["0007.png", 2, "*000[23].png"]}}
    run_script("scores_of_images", spec=spec, data=data, scores=[score], out=out)
    table = pd.read_csv(out)
    return {"numbers": table[["train", "step", "score", "rank"]].to_numpy(float)}


def trajectory_panel_stage(tmp_path, data, near, trajectory):
    dims = ["step", "number", "channel", "y", "x"]
    arrays = {"sample": (dims, np.tanh(numbers(2, 4, 1, 8, 8, seed=30))), "step": (["step"], np.array(STEPS))}
    samples = store(tmp_path / "samples.zarr", **arrays)
    common = {"data": data, "near": near, "trajectory": trajectory, "samples": samples, "target": "a"}
    common["scores"] = judged_scores(tmp_path)
    spec = {"seed": 0, "figures": {"top": 2}, "tables": {"top": 3}}
    run_script("trajectory_panel", spec=spec, **common, out=tmp_path / "panel.png")
    with Image.open(tmp_path / "panel.png") as image:
        small = image.convert("RGB").resize((20, 50), Image.Resampling.BOX)
    return {"picture": np.asarray(small, np.float64) / 255}


GOLDEN = {
    "prepare_data": prepare_data_stage,
    "near_duplicates": near_duplicates_stage,
    "train_vae": train_vae_stage,
    "train": train_stage,
    "featurize": featurize_stage,
    "factor_kernel": factor_kernel_stage,
    "sample_trajectory": sample_trajectory_stage,
    "target_gradients": target_gradients_stage,
    "score_trak": score_trak_stage,
    "curvature": curvature_stage,
    "diagonal_curvature": diagonal_curvature_stage,
    "score_diagonal": score_diagonal_stage,
    "score_d_trak": score_d_trak_stage,
    "fisher_rows": fisher_rows_stage,
    "score_ekfac": score_ekfac_stage,
    "score_fisher": score_fisher_stage,
    "score_graddot": score_graddot_stage,
    "score_gradcos": score_gradcos_stage,
    "score_trak_sum": score_trak_sum_stage,
    "score_pixel": score_pixel_stage,
    "score_wiener": score_wiener_stage,
    "score_random": score_random_stage,
    "score_norm": score_norm_stage,
    "top_influences": top_influences_stage,
    "scores_of_images": scores_of_images_stage,
    "trajectory_panel": trajectory_panel_stage,
    **ADAPTERS,
    **ANALYSES,
    **ENCODERS,
    **GIVEN_IMAGES,
    **LATENTS,
    **LDS,
    **LIKELIHOOD,
    **REMOVALS,
}
WITHOUT = {  # stages that have no golden output, and why
    **dict.fromkeys(("import_checkpoint", "import_base"), "it copies the model that it is given"),
    "import_adapter": "it copies the adapter that it is given",
    "list_subset_models": "it lists what others made",
    "import_scores": "it copies the scores that it is given",
    **dict.fromkeys(("train_subset", "train_without", "train_without_random"), "their recipe and script are train's"),
    **dict.fromkeys(("explorer", "packed_explorer"), "pages, which tests/workflow/explorer compares with their stores"),
    "contact_sheet": "a figure; that its samples are those of their seeds is tested with its script",
    **{name: "figures have one version, and trajectory_panel's output" for name in STAGES if name.startswith("plot_")},
}


def test_every_stage_has_a_golden_output_or_a_reason_to_have_none():
    assert sorted([*GOLDEN, *WITHOUT]) == sorted(STAGES)


def test_stages_that_share_a_golden_output_share_its_version():
    assert {row.version for row in STAGES.values() if row.entry == "train"} == {STAGES["train"].version}
    assert {row.version for name, row in STAGES.items() if name.startswith("plot_")} == {FIGURES}
    assert STAGES["trajectory_panel"].version == STAGES["contact_sheet"].version == FIGURES


@pytest.mark.parametrize("stage", GOLDEN)
def test_output_changes_only_with_the_version(stage, request):
    parameters = GOLDEN[stage].__code__.co_varnames[: GOLDEN[stage].__code__.co_argcount]
    found = GOLDEN[stage](*(request.getfixturevalue(name) for name in parameters))
    version = STAGES[stage].version
    file = HERE / f"{stage}-v{version}.npz"
    if request.config.getoption("--write-golden") and not file.exists():
        np.savez_compressed(file, **found)
    assert file.exists(), f"no golden output of {stage} version {version}: pytest tests/golden --write-golden"
    with np.load(file) as golden:
        assert golden.keys() == found.keys()
        for name, expected in golden.items():
            difference = np.abs(found[name].astype(float) - expected).max()
            # pictures: a 1 % grey step, for another build of the font renderer
            allowed = 0.01 if stage == "trajectory_panel" else 1e-4 * np.abs(expected.astype(float)).max()
            assert difference <= allowed, f"{stage}: {name} changed; raise the version of its stage"
