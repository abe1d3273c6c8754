"""Existing models and trajectories instead of trained and sampled ones, checked by value."""

import copy
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, DDPMPipeline
from PIL import Image
from support import images, run_script, tiny_config, tiny_denoiser

from waypoint.errors import WaypointError
from waypoint.science.algorithm1 import one_step_estimate
from waypoint.store.artifacts.provenance import read_attributes
from waypoint.store.networks import checkpoints
from waypoint.store.zarr.reader import open_store
from waypoint.workflow.plan.plan import Plan

STAGES_OF_TARGETS = ("sample_trajectory", "target_gradients", "score_trak")


def saved(folder, denoiser):
    DDPMPipeline(denoiser.unet, denoiser.scheduler).save_pretrained(folder)
    return str(folder)


@pytest.fixture
def data(tmp_path, tiny_model):
    plan, out = Plan(tiny_config(tiny_model)), tmp_path / "train.zarr"
    run_script("prepare_data", spec=plan.asked("prepare_data"), places=json.dumps(plan.data_places), out=out)
    return tmp_path / "train.zarr"


def imported(tmp_path, data, paths, model, checkpoint="full/0", **sections):
    plan = Plan(tiny_config(model, checkpoints={"paths": paths}, **sections))
    out = tmp_path / checkpoint
    spec = plan.asked("import_checkpoint", checkpoint=checkpoint)
    run_script("import_checkpoint", spec=spec, data=data, name=checkpoint, out=out)
    return checkpoints.load(out)


@pytest.mark.parametrize("given", [True, False], ids=["against the config", "on its own"])
def test_an_existing_folder_becomes_a_checkpoint(tmp_path, data, tiny_model, given):
    theirs = tiny_denoiser(tiny_model)
    mine = imported(tmp_path, data, [saved(tmp_path / "a", theirs)], tiny_model if given else None)
    x = torch.randn(2, 1, 8, 8)
    with torch.no_grad():
        assert torch.equal(mine.output(x, 500), theirs.output(x, 500))


def test_what_was_chosen_is_kept_with_the_model(tmp_path, data, tiny_model, capsys):
    path = Path(saved(tmp_path / "run/checkpoint-5", tiny_denoiser(tiny_model)))
    averaged = tiny_denoiser(tiny_model, "another")
    averaged.unet.save_pretrained(path / "unet_ema")
    (path / "scheduler").rename(tmp_path / "run/scheduler")
    sections = {"checkpoints": {"paths": [str(path)], "weights": "ema"}}
    plan = Plan(tiny_config(None, **sections))
    spec = plan.asked("import_checkpoint", checkpoint="full/0")
    run_script("import_checkpoint", spec=spec, data=data, name="full/0", out=tmp_path / "full/0")
    x = torch.randn(2, 1, 8, 8)
    with torch.no_grad():
        assert torch.equal(checkpoints.load(tmp_path / "full/0").output(x, 500), averaged.output(x, 500))
    made = read_attributes(tmp_path / "full/0")
    assert ["unet_ema" in made["taken"][0], "noise schedule" in made["taken"][1]] == [True, True]
    assert "its network is unet_ema" in capsys.readouterr().out
    # a change of the schedule above is noticed
    assert made["source"]["paths"] == [str(path), str(tmp_path / "run/scheduler/scheduler_config.json")]
    assert plan.sources("import_checkpoint", checkpoint="full/0") == made["source"]["paths"]


def test_equal_shapes_with_other_values_are_refused(tmp_path, data, tiny_model, capsys):
    """The weights would load without an error and give other outputs."""
    path = saved(tmp_path / "a", tiny_denoiser(tiny_model, flip_sin_to_cos=False, norm_eps=1e-6))
    with pytest.raises(SystemExit):
        imported(tmp_path, data, [path], tiny_model)
    message = capsys.readouterr().err
    assert "flip_sin_to_cos: False against True" in message and "norm_eps: 1e-06 against 1e-05" in message


def test_another_schedule_is_refused(tmp_path, data, tiny_model, capsys):
    other = {**tiny_model, "scheduler": {"beta_schedule": "squaredcos_cap_v2"}}
    with pytest.raises(SystemExit):
        imported(tmp_path, data, [saved(tmp_path / "a", tiny_denoiser(other))], tiny_model)
    assert "beta_schedule: 'squaredcos_cap_v2' against 'linear'" in capsys.readouterr().err


def test_models_must_agree_with_the_first_one(tmp_path, data, tiny_model, capsys):
    paths = [
        saved(tmp_path / "a", tiny_denoiser(tiny_model)),
        saved(tmp_path / "b", tiny_denoiser(tiny_model, freq_shift=1)),
    ]
    with pytest.raises(SystemExit):
        imported(tmp_path, data, paths, None, "full/1")
    assert "freq_shift: 1 against 0" in capsys.readouterr().err


def test_models_of_another_image_shape_are_refused(tmp_path, data, tiny_model, capsys):
    path = saved(tmp_path / "a", tiny_denoiser(tiny_model, sample_size=16))
    with pytest.raises(SystemExit):
        imported(tmp_path, data, [path], None)
    assert "takes 1 channels of [16, 16] pixels" in capsys.readouterr().err


def test_a_model_of_another_number_of_classes_is_refused(tmp_path, data, tiny_model, capsys):
    with pytest.raises(SystemExit):
        paths = [saved(tmp_path / "a", tiny_denoiser(tiny_model, num_class_embeds=5))]
        imported(tmp_path, data, paths, None, targets=[{"id": "a", "seed": 1, "label": 0}])
    assert "num_class_embeds 5), but the data has labels 0 to 9" in capsys.readouterr().err


def test_deterministic_samplers_are_refused(tmp_path, tiny_model):
    path = saved(tmp_path / "a", tiny_denoiser(tiny_model))
    DDIMScheduler().save_pretrained(tmp_path / "a/scheduler")
    with pytest.raises(WaypointError, match="scheduler DDIMScheduler is not supported"):
        tiny_config(None, checkpoints={"paths": [path]})


def test_missing_folder_is_named(tmp_path, tiny_model):
    with pytest.raises(WaypointError, match=r"checkpoints\.paths\[0\]: no folder ./nowhere"):
        tiny_config(tiny_model, checkpoints={"paths": ["./nowhere"]})


@pytest.fixture
def checkpoint(tmp_path, data, tiny_model):
    imported(tmp_path, data, [saved(tmp_path / "a", tiny_denoiser(tiny_model))], None)
    return tmp_path / "full/0"


def own_trajectory(tmp_path, checkpoint, **arrays):
    file = tmp_path / "mine.npz"
    np.savez(file, **arrays)
    paths = {"checkpoints": {"paths": [str(tmp_path / "a")]}}
    row = {"id": "a", "trajectory": str(file), "steps": [100, 437]}
    plan = Plan(tiny_config(None, targets=[row], **paths))
    out = tmp_path / "trajectory.zarr"
    spec = plan.asked("sample_trajectory", target="a")
    run_script("sample_trajectory", spec=spec, checkpoint=checkpoint, trajectory=file, out=out)
    return plan, out


def gradients_spec(plan, **target):
    """The spec of gradients of target ``a``, with changes of its section ``target``."""
    spec = copy.deepcopy(plan.spec("target_gradients", basis="plain", target="a"))
    spec["target_gradients"]["target"] |= target
    return spec


def test_a_trajectory_of_ones_own_goes_through_to_gradients_and_samples(tmp_path, checkpoint):
    """Its steps need not be on the sampling grid; x̂0 is the model's."""
    x_t = torch.randn(3, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    image = images(1)[0].numpy()
    plan, out = own_trajectory(tmp_path, checkpoint, x_t=x_t.numpy(), step=[100, 437, 20], image=image)
    stored, theta = open_store(out), checkpoints.load(checkpoint)
    assert stored["step"][:].tolist() == [437, 100, 20] and np.array_equal(stored["x_t"][:], x_t[[1, 0, 2]].numpy())
    with torch.no_grad():
        expected = one_step_estimate(theta, x_t[1], 437, None, "scheduler").numpy()
    assert np.allclose(stored["x0_hat"][0], expected, atol=1e-6) and np.array_equal(stored["image"][:], image)
    common, g, samples = {"trajectory": out, "generator": checkpoint}, tmp_path / "g.zarr", tmp_path / "samples.zarr"
    run_script("target_gradients", spec=gradients_spec(plan), **common, checkpoints=[checkpoint], out=g)
    assert open_store(g)["g"].shape == (1, 2, 16)
    run_script("sample_from_x_t", spec=plan.asked("sample_from_x_t", target="a"), **common, target="a", out=samples)
    assert open_store(samples)["sample"].shape == (2, 4, 1, 8, 8)


def test_a_png_mask_is_the_box_it_paints(tmp_path, checkpoint):
    x_t = torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(0)).numpy()
    plan, out = own_trajectory(tmp_path, checkpoint, x_t=x_t, step=[100, 437])
    white = np.zeros((8, 8), np.uint8)
    white[2:5, 1:7] = 255
    Image.fromarray(white).save(tmp_path / "mask.png")
    common = {"trajectory": out, "checkpoints": [checkpoint], "generator": checkpoint}
    found = {}
    for name, mask in (("box", [1, 2, 7, 5]), ("png", {"file": "hash"}), ("none", None)):
        extra, place = {"mask": tmp_path / "mask.png"} if name == "png" else {}, tmp_path / f"{name}.zarr"
        run_script("target_gradients", spec=gradients_spec(plan, mask=mask), **common, **extra, out=place)
        found[name] = open_store(place)["g"][:]
    assert np.array_equal(found["box"], found["png"]) and not np.allclose(found["box"], found["none"])


@pytest.mark.parametrize(
    "arrays,message",
    [
        ({"x_t": np.zeros((2, 1, 9, 9)), "step": [100, 437]}, "x_t has shape (2, 1, 9, 9)"),
        (
            {"x_t": np.zeros((3, 1, 8, 8)), "step": [100, 437]},
            "must be (steps, channel, y, x) with the 2 steps of step",
        ),
        ({"x_t": np.zeros((3, 1, 8, 8)), "step": [100, 437, 1000]}, "distinct training-time steps 0..999"),
        (
            {"x_t": np.zeros((2, 1, 8, 8)), "step": [100, 437], "image": np.zeros((3, 8, 8))},
            "image has shape (3, 8, 8)",
        ),
    ],
    ids=["shape", "length", "time axis", "image"],
)
def test_trajectories_that_do_not_fit_the_model_are_refused(tmp_path, checkpoint, capsys, arrays, message):
    """Shapes already when planning, where the model's folder is at hand."""
    with pytest.raises((SystemExit, WaypointError)) as stopped:
        own_trajectory(tmp_path, checkpoint, **arrays)
    assert message in f"{stopped.value} {capsys.readouterr().err}"
    assert not (tmp_path / "trajectory.zarr").exists()


def test_a_step_off_the_grid_that_planning_could_not_know_lists_the_nearest(tmp_path, checkpoint, capsys):
    plan, out = own_trajectory(tmp_path, checkpoint, x_t=np.zeros((2, 1, 8, 8)), step=[100, 437])
    spec = gradients_spec(plan, steps=[120])
    common = {"trajectory": out, "checkpoints": [checkpoint], "generator": checkpoint}
    with pytest.raises(SystemExit):
        run_script("target_gradients", spec=spec, **common, out=tmp_path / "g.zarr")
    assert "step 120 is not on the sampling grid of 2 steps (nearest: 100 and 437)" in capsys.readouterr().err


def test_a_trajectory_of_other_weights_is_refused(tmp_path, checkpoint, capsys):
    plan, out = own_trajectory(tmp_path, checkpoint, x_t=np.zeros((2, 1, 8, 8)), step=[100, 437])
    marker = checkpoint / "waypoint.json"
    marker.write_text(json.dumps({**json.loads(marker.read_text()), "weights": "others"}))
    common = {"trajectory": out, "checkpoints": [checkpoint], "generator": checkpoint}
    with pytest.raises(SystemExit):
        run_script("target_gradients", spec=gradients_spec(plan), **common, out=tmp_path / "g.zarr")
    assert "was sampled from other weights" in capsys.readouterr().err


def test_class_conditional_models_go_through_every_stage(tmp_path, data, tiny_model):
    model = {**tiny_model, "unet": {**tiny_model["unet"], "num_class_embeds": 10}}
    rows = [{"id": "three", "seed": 1, "label": 3}, {"id": "four", "seed": 1, "label": 4}]
    plan = Plan(tiny_config(model, targets=rows, checkpoints={"count": 1}))
    checkpoint, phi, kernel = tmp_path / "model", tmp_path / "phi.zarr", tmp_path / "kernel.zarr"
    named, which = {"data": data, "name": "full/0"}, {"basis": "plain", "method": "trak", "checkpoint": "full/0"}
    run_script("train", spec=plan.asked("train", **which), **named, resume=tmp_path / "resume", out=checkpoint)
    run_script("featurize", spec=plan.asked("featurize", **which), **named, checkpoint=checkpoint, out=phi)
    run_script("factor_kernel", spec=plan.asked("factor_kernel", **which), features=phi, out=kernel)
    found = {}
    for target in ("three", "four"):
        place = {part: tmp_path / f"{target}-{part}.zarr" for part in ("x", "g", "score")}
        spec = {stage: plan.asked(stage, **which, target=target) for stage in STAGES_OF_TARGETS}
        run_script("sample_trajectory", spec=spec["sample_trajectory"], checkpoint=checkpoint, out=place["x"])
        given = {"trajectory": place["x"], "checkpoints": checkpoint, "generator": checkpoint, "out": place["g"]}
        run_script("target_gradients", spec=spec["target_gradients"], **given)
        inputs = {"gradients": place["g"], "features": phi, "kernels": kernel, "waiting": tmp_path / "resume/scores"}
        named = {"method": "trak", "target": target, "targets": target}
        run_script("score_trak", spec=spec["score_trak"], **inputs, **named, out=place["score"])
        found[target] = open_store(place["score"])["score"][:]
    assert found["three"].shape == (2, 30) and not np.allclose(found["three"], found["four"])


def test_a_damaged_model_config_is_named_when_planning(tmp_path, tiny_model):
    path = saved(tmp_path / "a", tiny_denoiser(tiny_model))
    (tmp_path / "a/unet/config.json").write_text("{")
    with pytest.raises(WaypointError, match=r"checkpoints\.paths\[0\]: .*unet/config.json is damaged"):
        tiny_config(None, checkpoints={"paths": [path]})


def test_training_on_labels_that_the_model_lacks_is_refused(tmp_path, data, tiny_model, capsys):
    model = {**tiny_model, "unet": {**tiny_model["unet"], "num_class_embeds": 5}}
    plan = Plan(tiny_config(model, targets=[{"id": "a", "seed": 1, "label": 0}]))
    with pytest.raises(SystemExit):
        places = {"resume": tmp_path / "resume", "out": tmp_path / "model"}
        run_script("train", spec=plan.asked("train", checkpoint="full/0"), data=data, name="full/0", **places)
    assert "num_class_embeds 5), but the data has labels 0 to 9" in capsys.readouterr().err


def test_a_step_without_gradient_is_refused_by_its_job_too(tiny_model):
    """Planning does not see the schedules of hub models."""
    dark = {"prediction_type": "v_prediction", "rescale_betas_zero_snr": True}
    theta = tiny_denoiser({**tiny_model, "scheduler": dark})
    assert [theta.has_gradient(t) for t in (0, 998, 999)] == [True, True, False]
    x, t = images(2), torch.tensor([999, 999])
    loss = theta.noise_loss(x, t, images(2, seed=1)).sum()
    found = torch.autograd.grad(loss, list(theta.unet.parameters()))
    assert all((g == 0).all() for g in found)
    assert tiny_denoiser(tiny_model).has_gradient(999)
