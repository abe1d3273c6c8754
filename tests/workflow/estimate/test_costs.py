"""An estimate against a small run: jobs, bytes, and formulas against counts by hand."""

import copy
import subprocess
import sys

import pytest
import torch
from support import SCRIPTS
from workspace import CONFIG, Workspace

from waypoint.workflow.config.complete import complete
from waypoint.workflow.estimate.costs import Costs, Rates, Sizes, storage
from waypoint.workflow.estimate.memory import Memory
from waypoint.workflow.plan.plan import Plan

CPU = torch.device("cpu")
ONE = Rates(*[1.0] * 11)
SIZES = Sizes(images=40, parameters=1000, pixels=64, inputs=64, caption=0, latent=False, T=1000)


def costs(rates=ONE, **sections):
    config = complete({**copy.deepcopy(CONFIG), **sections})
    return Costs(Plan(config), SIZES, rates, {"train", "featurize"})


def only(**rates):
    """Rates of which all but some are 0."""
    return Rates(**{name: rates.get(name, 0.0) for name in Rates.__dataclass_fields__})


def test_a_model_sees_every_image_in_every_epoch():
    assert costs(only(train=0.5)).seconds("train") == 2 * 40 * 0.5
    lds = {"lds": {"subsets": 3, "models_per_subset": 2, "fraction": 0.25}}
    assert costs(only(train=0.5), evaluation=lds).seconds("train_subset") == 2 * (2 * 10 * 0.5)


def test_features_take_every_image_once_and_shards_share_them():
    assert costs(only(feature=3.0)).seconds("featurize") == 120
    assert costs(only(feature=3.0), features={"shards": 4}).seconds("featurize_shard") == 30


def test_calls_of_the_model_are_counted_on_the_sampling_grid():
    made = costs(only(call=1.0))
    assert made.grid[0] == 950 and made.calls(100) == 3 and made.calls(500) == 11  # 100, 50, 0; 500, 450 … 0
    assert costs(only(single=2.0)).seconds("sample_trajectory") == 40
    assert made.seconds("sample_from_x_t") == 4 * (3 + 11)  # four for the panel
    samples = {"samples": {"number": 7, "steps": [100]}}
    assert costs(only(call=1.0), evaluation=samples).seconds("sample_from_x_t") == 7 * (3 + 11)
    assert made.seconds("target_gradients") == 0
    assert made.seconds("contact_sheet") == 36 * 20
    lds = {"lds": {"subsets": 3, "models_per_subset": 2, "draws": 5}}
    assert costs(only(call=1.0), evaluation=lds).seconds("subset_outputs") == 3 * 2 * 2 * 5


def test_removals_continue_every_image_once_per_model():
    own = {"targets": ["a"], "step": 500, "n_remove": [4, 0.2], "images": 100, "methods": ["pixel"]}
    evaluation = {"counterfactual": own, "fid": {"features": "classifier"}}
    made = costs(only(call=1.0), evaluation=evaluation, checkpoints={"count": 3})
    assert made.seconds("counterfactual_original") == (1 + 2) * 100 * 11
    # pixel has 1 model for each n_remove, random has 3: two jobs of 2 and 6 models
    assert made.seconds("counterfactual_without") == (2 + 6) / 2 * 100 * 11
    made = costs(only(train=1.0), evaluation=evaluation, checkpoints={"count": 3})
    assert made.seconds("train_without") == 2 * (40 - 6)


def memory(**sections):
    config = complete({**copy.deepcopy(CONFIG), **sections})
    return Memory(Plan(config), SIZES, row=10, columns=1000, device=CPU, start=7, light_start=5)


def test_memory_of_a_training_is_weights_images_and_a_pass():
    made, images, both_ways = memory(), 4 * 40 * 64, 2 * 20 * 10
    assert made.bytes("train") == 7 + 16 * 1000 + images + both_ways
    recipe = {**CONFIG["training"], "ema": 0.9}
    assert memory(training=recipe).bytes("train") == 7 + 20 * 1000 + images + both_ways


def test_memory_of_gradients_is_bounded_by_what_a_pass_and_a_batch_may_hold():
    # 40 images, 3 draws: all of them in one pass
    assert memory().bytes("featurize") == 7 + 4 * 40 * 64 + 4 * 1000 + (40 + 40) * 4 * 1000 + 2 * 40 * 3 * 10
    assert memory().bytes("target_gradients") == 7 + 4 * 1000 + (2 + 2) * 4 * 1000 + 2 * 2 * 3 * 10
    large = memory()
    large.row = 1 << 30  # 2 GiB is two rows: then three draws of one image go together
    assert large._gradients(40, 3) == 4 * 1000 + (40 + 1) * 4 * 1000 + 2 * 3 * (1 << 30)


def test_a_gaussian_costs_by_the_numbers_of_what_the_model_sees():
    made = costs(only(product=1.0), methods=["wiener"])
    assert made.seconds("score_wiener") == 40 * 64**2 * 3 / 2 + 3 * 64**3 + 2 * 40 * 64 * 200
    assert costs(only(start=5.0, light_start=1.0), methods=["wiener"]).seconds("score_wiener") == 5
    assert memory().bytes("score_wiener") == 7 + 32 * 64**2


def test_fisher_rows_take_a_gradient_each_and_their_kernel_does_not_grow_with_the_images():
    listed = {"trak": {}, "fisher": {"kernel": {"rows": 12}}}
    made = costs(only(row=2.0), methods=listed)
    assert made.seconds("fisher_rows") == 24
    trak, fisher = 40 * 16**2 / 2 + 16**3 / 6, 12 * 12 * 16 + 12**3 / 6  # 40 images and d = 16, 12 rows: the dual form
    assert costs(only(product=1.0), methods=listed).seconds("factor_kernel") == pytest.approx((trak + fisher) / 2)
    scoring = costs(only(product=1.0), methods=listed).seconds("score_fisher")
    assert scoring == 2 * (12**2 + 2 * 12 * 16) * 2
    assert memory(methods=listed).bytes("factor_kernel") == 5 + 32 * 16**2
    assert memory(methods=listed).bytes("fisher_rows") == 7 + 4 * 1000 + (12 + 12) * 4 * 1000 + 2 * 12 * 10
    stored = storage(made.plan, SIZES)
    assert stored["fisher"] == 4 * 2 * 12 * 16 and stored["kernels"] == 2 * 16 * (16**2 + 12**2)


def test_memory_of_a_kernel_does_not_grow_with_the_images():
    assert memory().bytes("factor_kernel") == 5 + 32 * 16**2
    assert memory(projection={"dim": 64}).bytes("factor_kernel") == 5 + 32 * 40**2 + 16 * 40 * 64
    assert memory().bytes("plot_lds") is None


def test_a_rule_without_a_formula_takes_its_start():
    made = costs(only(start=5.0, light_start=1.0))
    assert made.seconds("plot_lds") == 1 and made.seconds("train") == 5


def test_storage_is_what_a_run_leaves(tmp_path):
    """Every array's bytes, its metadata and checksums aside; of models their weights."""
    config = {**copy.deepcopy(CONFIG), "data": {"source": "digits", "subset": 300}, "projection": {"dim": 64}}
    config["scores"] = {"keep_checkpoints": True}
    config["evaluation"] = {"samples": {"number": 20}}
    workspace = Workspace(tmp_path / "work", config, warm=True)
    done = workspace.snakemake()
    assert done.returncode == 0, done.stdout + done.stderr
    weights = next(workspace.store.glob("checkpoints/full/0/unet/*.safetensors")).stat().st_size
    sizes = Sizes(images=300, parameters=weights // 4, pixels=64, inputs=64, caption=0, latent=False, T=1000)
    for stage, expected in storage(Plan(complete(config)), sizes).items():
        chunks = [
            file for file in (workspace.store / stage).rglob("*") if "c" in file.relative_to(workspace.store).parts
        ]
        found = sum(
            file.stat().st_size
            for file in [*chunks, *(workspace.store / stage).rglob("*.safetensors")]
            if file.is_file()
        )
        assert found == pytest.approx(expected, rel=0.2), stage


def test_an_estimate_names_jobs_hours_and_storage(tmp_path):
    workspace = Workspace(tmp_path / "work", {**copy.deepcopy(CONFIG), "evaluation": {"lds": {"subsets": 8}}})
    workspace.snakemake("--version")  # writes the configuration
    command = [sys.executable, str(SCRIPTS / "estimate.py"), "--configfile", "experiment.yaml", "--cores", "3"]
    done = subprocess.run(command, cwd=workspace.folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "\nLDS: 8 subsets with " in done.stdout and "give an interval of about ±0." in done.stdout
    assert "tiny: 46 jobs to run" in done.stdout and "40 images" in done.stdout
    assert "wall time, --cores 3      at least " in done.stdout
    for word in ("train ", "trajectory_panel", "one holds", "core hours", "features", "in all"):
        assert word in done.stdout
    assert not (workspace.folder / "store").exists()


def test_a_mistake_in_the_configuration_is_one_message(tmp_path):
    workspace = Workspace(tmp_path / "work", {**copy.deepcopy(CONFIG), "sed": 1})
    workspace.snakemake("--version")
    command = [sys.executable, str(SCRIPTS / "estimate.py"), "--configfile", "experiment.yaml"]
    done = subprocess.run(command, cwd=workspace.folder, capture_output=True, text=True)
    assert done.returncode == 1 and done.stderr.startswith("Waypoint: config: unknown key 'sed'")
