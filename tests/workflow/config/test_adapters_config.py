"""Adapters at planning: every mistake is told before the first job, in the words of what it is."""

import json
import re

import pytest
import torch
from diffusers import DDPMScheduler
from safetensors.torch import save_file
from support import UNET, tiny_config, tiny_denoiser

from waypoint.errors import WaypointError
from waypoint.store.networks import checkpoints
from waypoint.store.networks.adapter_files import FILE
from waypoint.workflow.closing import idle_in_words
from waypoint.workflow.config.complete import complete
from waypoint.workflow.plan import networks
from waypoint.workflow.plan.plan import Plan

LAYER = "mid_block.attentions.0.to_q"  # 8 × 8: UNet2DModel has attention in its middle


@pytest.fixture(autouse=True)
def base(tmp_path, monkeypatch, tiny_model):
    """The folder of a base."""
    monkeypatch.chdir(tmp_path)
    denoiser = tiny_denoiser(tiny_model, attention_head_dim=4)
    checkpoints.save(denoiser.unet, DDPMScheduler(), tmp_path / "base")


def adapter(place="a.safetensors", layer=LAYER, side=8, **more):
    save_file(
        {
            f"unet.{layer}.lora_A.weight": torch.ones(2, side),
            f"unet.{layer}.lora_B.weight": torch.ones(side, 2),
            **more,
        },
        place,
    )
    return str(place)


def config(model=None, **sections):
    given = {"checkpoints": {"base": "base", "count": 2}, "adapter": {"rank": 2}, **sections}
    return tiny_config(model, **{key: value for key, value in given.items() if value is not None})


def planned(**sections):
    """The words of the process that builds networks before the first job."""
    plan = Plan(config(**sections))
    jobs = [*plan.models(), *plan.base]
    return networks.answer(**json.loads(json.dumps(networks.question(plan, jobs, None))))


def refused(words, **sections):
    with pytest.raises(WaypointError, match=words):
        planned(**sections)


def existing(*places, **more):
    return {"checkpoints": {"base": "base", "adapters": list(places)}, "adapter": None, **more}


def test_adapters_are_planned_to_be_trained_or_taken():
    assert planned() == [] == planned(**existing(adapter()))


@pytest.mark.parametrize("words, sections", [
    ("adapter needs checkpoints.base", {"checkpoints": {"count": 2}, "model": {"unet": UNET}}),
    ("checkpoints.adapters needs checkpoints.base", {"checkpoints": {"adapters": ["a"]}, "adapter": None}),
    ("checkpoints.base: the base itself is not trained; add the section adapter", {"adapter": None}),
    ("checkpoints needs either count .* of adapters of a base either count or adapters",
     {"checkpoints": {"base": "base", "count": 1, "adapters": ["a"]}, "adapter": None}),
    ("checkpoints needs either count", {"checkpoints": {"base": "base"}}),
    ("checkpoints.base is for adapters .*; checkpoints.paths are whole",
     {"checkpoints": {"base": "base", "paths": ["base"]}}),
    ("checkpoints.base: no folder nowhere, and it is not a hub id", {"checkpoints": {"base": "nowhere", "count": 1}}),
    (r"checkpoints.adapters\[0\]: nowhere: there is no such file or folder", existing("nowhere")),
    (r"checkpoints.adapters\[0\]: x\* matches nothing", existing("x*")),
    ("adapter.rank: ", {"adapter": {"rank": 0}}),
    ("adapter.alpha: ", {"adapter": {"alpha": 0}}),
    ("adapter.targets: to_queue is not the end of a Linear layer's name", {"adapter": {"targets": ["to_queue"]}}),
])  # fmt: skip
def test_what_does_not_go_together_is_refused(words, sections):
    refused(words, **sections)


@pytest.mark.parametrize("key, value", [("rank", 4), ("targets", ["to_q"])])
def test_keys_of_a_training_mean_nothing_to_existing_adapters(key, value):
    refused(f"adapter.{key} is for adapters that are trained", **{**existing(adapter()), "adapter": {key: value}})


def test_retraining_needs_a_recipe():
    refused(
        "evaluation.lds retrains models .* needs checkpoints.count instead of checkpoints.adapters",
        **existing(adapter(), evaluation={"lds": {"subsets": 2}}),
    )


def test_files_are_named_by_their_place_and_compared_with_the_base():
    adapter("first.safetensors")
    refused(
        r"checkpoints.adapters\[1\]: other.safetensors: other.safetensors holds unet.elsewhere.to_q.lora_A.weight",
        **existing("first.safetensors", adapter("other.safetensors", "elsewhere.to_q")),
    )
    refused(r"adapters\[0\]: .* the base wants \(2, 8\)", **existing(adapter("wide.safetensors", side=16)))


def test_never_trained_and_wrong_alpha_are_told_before_any_network_is_built():
    save_file({f"unet.{LAYER}.lora_{side}.weight": torch.zeros(2, 2) for side in "AB"}, "zero.safetensors")
    with pytest.raises(
        WaypointError, match=r"^config: checkpoints.adapters\[0\]: zero.safetensors: .* was never trained"
    ):
        config(**existing("zero.safetensors"))
    called = f"lora_unet_{LAYER.replace('.', '_')}"
    state = {f"{called}.lora_{side}.weight": torch.ones(2, 2) for side in ("down", "up")}
    save_file({**state, f"{called}.alpha": torch.tensor(1.0)}, "kohya.safetensors")
    with pytest.raises(WaypointError, match="adapter.alpha: 3, but kohya.safetensors states alpha = 1"):
        config(**{**existing("kohya.safetensors"), "adapter": {"alpha": 3}})


def test_patterns_stand_for_adapters_in_the_order_of_their_numbers(tmp_path):
    for step in (9, 20):
        (tmp_path / f"run/checkpoint-{step}").mkdir(parents=True)
        adapter(tmp_path / f"run/checkpoint-{step}" / FILE)
    made = config(**existing("run/checkpoint-*"))
    assert made["checkpoints"]["adapters"] == ["run/checkpoint-9", "run/checkpoint-20"]
    assert Plan(made).checkpoints == ["full/0", "full/1"]


def test_keys_of_existing_models_hold_for_the_base():
    DDPMScheduler(num_train_timesteps=1000, timestep_spacing="leading").save_pretrained("base/scheduler")
    given = {"base": "base", "count": 1, "timestep_spacing": "trailing"}
    plan = Plan(config(checkpoints=given, attribution={"steps": [99, 499]}))
    assert plan.recipe("import_base").sections["checkpoint"] == {"timestep_spacing": "trailing"}


def test_without_data_adapters_may_be_sampled_from():
    made = {"experiment": "x", "checkpoints": {"base": "base", "adapters": [adapter()]}}
    plan = Plan(complete({**made, "targets": [{"id": "a", "seed": 1}]}))
    assert not plan.attributed and plan.model("full/0")[0] == "import_adapter"
    with pytest.raises(WaypointError, match="data is missing: only checkpoints.paths and checkpoints.adapters"):
        complete({**made, "checkpoints": {"base": "base", "count": 1}, "targets": [{"id": "a", "seed": 1}]})


def effects(tmp_path, rows, idle=()):
    """Write tables/adapter_effect.csv with rows (target, checkpoint, step, standard_errors)."""
    (tmp_path / "tables").mkdir()
    lines = ["target,checkpoint,step,standard_errors", *(",".join(map(str, row)) for row in rows)]
    (tmp_path / "tables/adapter_effect.csv").write_text("\n".join(lines) + "\n")
    marker = {"stage": "adapter_effect", "spec": {"seed": 0}, "idle": list(idle), "files": {}}
    (tmp_path / "tables/.adapter_effect.csv.json").write_text(json.dumps(marker))


@pytest.mark.parametrize("idle, words", [
    ([], None),
    (["full/1"], "^adapter full/1 does nothing: f_t differs from that of the base alone by less than ten"),
    (["full/0", "full/2"], "^2 adapters, full/0 first, do nothing: .*tables/adapter_effect.csv"),
])  # fmt: skip
def test_the_run_says_which_adapters_do_nothing(tmp_path, idle, words):
    assert idle_in_words(tmp_path) is None  # no table yet
    effects(tmp_path, [], idle)
    said = idle_in_words(tmp_path)
    assert said is None if words is None else re.search(words, said)


NOISE = "that can be told apart from noise for"


@pytest.mark.parametrize("largest, idle, words", [
    # {adapter: {target: standard errors at two steps}}
    ({"full/0": {"cat": (1, 10), "mouse": (9.9, 2)}}, [], f"^the adapter changes nothing {NOISE} mouse, .* this"),
    ({"full/0": {"cat": (12, 1), "mouse": (1, 2), "tiger": (3, 4)}}, [], f"nothing {NOISE} mouse and tiger, .* these"),
    # of two adapters one is enough
    ({"full/0": {"cat": (1, 12), "mouse": (1, 2)}, "full/1": {"cat": (1, 2), "mouse": (11, 2)}}, [], None),
    ({"full/0": {"cat": (1, 12), "mouse": (1, 2)}, "full/1": {"cat": (1, 20), "mouse": (8, 2)}}, [],
     f"^none of 2 adapters changes anything {NOISE} mouse,"),
    ({"full/0": {"cat": (1, 2), "mouse": (1, 2)}, "full/1": {"cat": (1, 20), "mouse": (8, 2)}}, ["full/0"],
     f"^adapter full/0 does nothing: .*; no other adapter changes anything {NOISE} mouse,"),
    ({"full/0": {"cat": (1, 2), "mouse": (1, 2)}}, ["full/0"], "^adapter full/0 does nothing: [^;]*$"),
    ({"full/0": {"cat": (50, 2), **{f"x{k}": (0, "inf" if k == 3 else 1) for k in range(9)}}}, [],
     f"{NOISE} x0, x1, x2, x4, x5, x6 and 2 more,"),
])  # fmt: skip
def test_the_run_says_for_which_targets_no_adapter_does_anything(tmp_path, largest, idle, words):
    steps = (100, 500)
    effects(tmp_path, [
        (target, adapter, t, errors)
        for adapter, targets in largest.items() for target, both in targets.items() for t, errors in zip(steps, both)
    ], idle)  # fmt: skip
    said = idle_in_words(tmp_path)
    assert said is None if words is None else re.search(words, said)
