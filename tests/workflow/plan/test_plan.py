"""Specs and identities hold exactly what a result depends on: what changes them, what does not, and how they agree."""

import copy
import functools
import itertools
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from support import AUTOENCODER, TEXT_UNET, UNET

from waypoint.workflow.config import complete as completing
from waypoint.workflow.evaluations.lds import interval, subset_models
from waypoint.workflow.evaluations.removals import methods_of, other_models, share_or_count, without_models
from waypoint.workflow.methods import METHODS
from waypoint.workflow.plan.plan import Plan
from waypoint.workflow.plan.specs import as_read, differences
from waypoint.workflow.plan.stages import STAGES

# the hub's encoders that are named here cannot be looked for
complete = functools.partial(completing.complete, missing=())

BASE = {
    "experiment": "test",
    "store": "store",
    "data": {"source": "digits", "subset": 60},
    "model": {"unet": UNET},
    "training": {"epochs": 2},
    "checkpoints": {"count": 4},
    "attribution": {"steps": [100, 300, 400]},
    "scores": {"keep_checkpoints": True},
    "groups": {"by": "label"},
    "methods": ["trak", "trak-sum", "pixel", "clip", "norm", "wiener", "random"],
    "image_encoders": {name: {"kind": "clip", "path": f"somebody/{name}"} for name in ("clip", "other")},
    "targets": [{"id": "a", "seed": 1}, {"id": "b", "seed": 2, "checkpoint": "full/1"}],
}
REMOVALS = {"targets": 2, "n_remove": [5, 0.1]}
EVALUATION = {
    "lds": {"subsets": 2, "models_per_subset": 2},
    "counterfactual": {**REMOVALS, "images": 2100},
    "forgetting": REMOVALS,
    **{name: {} for name in ("samples", "likelihood", "seed_consistency", "step_correlation")},
    "caption_likelihood": {"encoder": "clip", "captions": {"a": ["a dog", "a cat"]}},
    "sign_overlap": {"top_k": [5]},
    "top_overlap": {"top_k": [5]},
    "split_half": {},
}
# What every stage's script opens, by stage. Of targets, checkpoints, methods and removals it opens its own where it has
# one, and else all.
SCORES = ["score_trak", "score_trak_sum", "score_norm", "score_pixel", "score_wiener", "score_random", "score_encoder"]
PER_STEP = ["score_trak", "score_pixel", "score_wiener", "score_random"]
SHOWN = ["near_duplicates", "top_influences", "sample_from_x_t", "sample_trajectory", "lds_tables", "group_table"]
OPENS = {
    "prepare_data": [],
    "import_vae": [],
    "import_text_encoder": [],
    "train_vae": ["prepare_data"],
    "encode_data": ["prepare_data", "import_vae", "train_vae", "import_text_encoder"],
    "train": ["data", "import_base"],
    "import_checkpoint": ["data"],
    "import_base": ["data"],
    "import_adapter": ["import_base"],
    "train_subset": ["data", "import_base"],
    "train_without": ["data", "import_base", *SCORES],
    "train_without_random": ["data", "import_base"],
    "adapter_effect": ["model", "import_base", "sample_trajectory"],
    "list_subset_models": ["train_subset"],
    "featurize": ["data", "model"],
    "factor_kernel": ["featurize"],
    "sample_trajectory": ["generator"],
    "target_gradients": ["sample_trajectory", "model"],
    "sample_from_x_t": ["sample_trajectory", "generator"],
    "score_trak": ["target_gradients", "featurize", "factor_kernel"],
    "score_trak_sum": ["score_trak"],
    "score_norm": ["featurize"],
    "score_pixel": ["data", "sample_trajectory"],
    "score_wiener": ["data", "sample_trajectory", "generator"],
    "score_random": ["data"],
    "embed_images": ["data"],
    "score_encoder": ["embed_images", "sample_trajectory"],
    "draw_subsets": ["data"],
    "subset_outputs": ["sample_trajectory", "generator", "draw_subsets", "list_subset_models"],
    "lds_tables": ["draw_subsets", "subset_outputs", *SCORES],
    "plot_lds": ["lds_tables"],
    "plot_lds_cross": ["lds_tables"],
    "plot_lds_panels": ["lds_tables", "trajectory_panel"],
    "counterfactual_original": ["sample_trajectory", "generator", "baseline"],
    "counterfactual_without": ["counterfactual_original", "train_without", "train_without_random", *SCORES],
    "counterfactual_table": ["data", "counterfactual_original", "counterfactual_without"],
    "plot_counterfactual": ["counterfactual_table"],
    "forgetting": ["sample_trajectory", "generator", "train_without", "train_without_random", *SCORES],
    "forgetting_table": ["data", "forgetting"],
    "plot_forgetting": ["forgetting_table"],
    "compare_removals": ["counterfactual_table", "forgetting_table"],
    "contact_sheet": ["data", "model", "near_duplicates"],
    "one_step_error": ["data", "sample_from_x_t", "sample_trajectory"],
    "plot_one_step_error": ["one_step_error"],
    "seed_consistency": ["compared"],
    "plot_seed_consistency": ["seed_consistency"],
    "train_classifier": ["data"],
    "feature_likelihood": ["data", "sample_from_x_t", "sample_trajectory", "train_classifier"],
    "plot_likelihood": ["feature_likelihood", "near_duplicates", "sample_from_x_t", "score_trak"],
    "step_correlation": ["data", *PER_STEP],
    "plot_step_correlation": ["step_correlation"],
    "sign_overlap": ["data", *PER_STEP],
    "plot_sign_overlap": ["sign_overlap"],
    "plot_sign_flips": ["sign_overlap", "sample_trajectory"],
    "top_overlap": ["data", *SCORES],
    "plot_top_overlap": ["top_overlap"],
    "split_half": ["featurize", "factor_kernel", "score_trak"],
    "plot_split_half": ["split_half"],
    "group_influences": ["data", *SCORES],
    "group_table": ["data", "group_influences"],
    "plot_groups": ["group_influences", "sample_trajectory"],
    "near_duplicates": ["data"],
    "top_influences": ["data", "near_duplicates", *SCORES],
    "scores_of_images": ["data", *SCORES],
    "trajectory_panel": ["near_duplicates", "sample_from_x_t", *SCORES],
    "plot_trajectory": ["sample_from_x_t"],
    "plot_regions": ["data", "near_duplicates", "sample_trajectory", "score_trak"],
    "explorer": ["data", *SHOWN, *SCORES],
    "packed_explorer": ["data", *SHOWN, *SCORES],
}
JUDGING = ("trajectory_panel", "plot_regions", "plot_likelihood")  # figures with the verdicts of the table
OF_SECTIONS = {  # stages that are there only with a section of the evaluation
    "lds": {
        "train_subset",
        "list_subset_models",
        "draw_subsets",
        "subset_outputs",
        "lds_tables",
        "plot_lds",
        "plot_lds_cross",
        "plot_lds_panels",
    },
    "counterfactual": {
        "counterfactual_original",
        "counterfactual_without",
        "counterfactual_table",
        "plot_counterfactual",
    },
    "forgetting": {"train_without", "train_without_random", "forgetting", "forgetting_table", "plot_forgetting"},
    "samples": {"one_step_error", "plot_one_step_error", "feature_likelihood", "plot_likelihood"},
    "likelihood": {"train_classifier"},
}
METHOD_OF = {"score_trak": "trak", "score_trak_sum": "trak-sum", "score_norm": "norm", "score_pixel": "pixel"}
METHOD_OF |= {"score_wiener": "wiener", "score_random": "random", "score_encoder": "clip", "factor_kernel": "trak"}

NEED_COMMON_STEPS = [
    "lds",
    "counterfactual",
    "forgetting",
    "samples",
    "likelihood",
    "caption_likelihood",
    "sign_overlap",
]
NEED_COMMON_STEPS += ["step_correlation"]
TARGETS = {"a": "full/0", "b": "full/1"}  # and the models that make them


def config(change=lambda c: None):
    """BASE with every evaluation, after ``change``, not yet complete."""
    made = copy.deepcopy({**BASE, "evaluation": EVALUATION})
    change(made)
    return made


def plan(change=None):
    return base() if change is None else Plan(complete(config(change)))


@functools.cache
def base():
    """The plan of BASE, for tests that only ask it."""
    return Plan(complete(config()))


def artifacts(of):
    """Every artifact of a plan: {(stage, *wildcards): wildcards by name}."""
    encoded = of.encoded
    absent = {"train", "import_checkpoint", "import_adapter"} - {of.model("full/0")[0]}
    absent |= set() if of.base else {"import_base", "adapter_effect"}
    absent |= set() if encoded else {"encode_data"}
    absent |= {"import_vae", "train_vae"} - {stage for stage, _ in of.encoders_of_data()}
    absent |= set() if of.config["text_encoder"] else {"import_text_encoder"}
    for section, its in OF_SECTIONS.items():
        absent |= set() if of.evaluation[section] is not None else its
    values = {
        "checkpoint": of.checkpoints,
        "target": list(TARGETS),
        "basis": ["plain"],
        "encoder": ["clip"],
        "subset": ["0", "1"],
        "removal": ["0", "1"],
        "step": ["300", "400"],
        "n_remove": ["5", "0.1"],
        "kind": ["standard", "robust"],
        "evaluation": [
            name
            for name in ("counterfactual_fid", "forgetting")
            if of.evaluation[name.removesuffix("_fid")] is not None
        ],
    }
    methods = {stage: [method] * (method in of.instances) for stage, method in METHOD_OF.items()}
    methods["train_without"] = [
        name for name in ("trak", "trak-sum", "pixel", "clip", "norm", "wiener") if name in of.instances
    ]
    methods["counterfactual_without"] = [*methods["train_without"], "random"]
    methods["trajectory_panel"] = [name for name in methods["counterfactual_without"] if name in of.instances]
    methods["forgetting"] = [*methods["counterfactual_without"], "none"]
    found = {}
    for stage in OPENS.keys() - absent:
        names = STAGES[stage].wildcards
        for chosen in itertools.product(*(methods[stage] if n == "method" else values[n] for n in names)):
            found[stage, *chosen] = dict(zip(names, chosen))
    return found


@functools.cache
def identities(of):
    return {key: of.identity(key[0], **wildcards) for key, wildcards in artifacts(of).items()}


def opens(reader, wildcards, other, theirs):
    """Whether a job opens an artifact, as OPENS has it."""
    stage, named = other[0], set(OPENS[reader[0]])
    target, method = wildcards.get("target"), wildcards.get("method")
    if stage in ("train", "import_checkpoint", "import_adapter"):
        checkpoint = theirs["checkpoint"]
        baseline = [name for name in ("full/0", "full/1", "full/2") if name != TARGETS.get(target)][:2]
        asked = {"generator": checkpoint == TARGETS.get(target), "compared": checkpoint in ("full/0", "full/1")}
        asked["baseline"] = checkpoint in baseline
        asked["model"] = wildcards.get("checkpoint", checkpoint) == checkpoint
        named |= {"baseline"} if method == "none" else set()
        return any(asked[name] for name in named & asked.keys())
    if stage in ("prepare_data", "encode_data") and "data" in named:
        return True
    if stage not in named or method == "none" and stage != "sample_trajectory":
        return False
    if reader[0] == "compare_removals":
        return stage == {"counterfactual_fid": "counterfactual_table"}.get(reader[1], "forgetting_table")
    if reader[0] in ("counterfactual_without", "forgetting"):
        if stage == "train_without_random":
            return method == "random"
        if method == "random" and stage in (*SCORES, "train_without"):
            return False
        if stage == "train_without" and theirs["step"] != {"forgetting": "300"}.get(reader[0], "400"):
            return False
    same = {"target", "checkpoint", "basis", "step" if reader[0] == "train_without" else "target"}
    if any(wildcards.get(name, theirs[name]) != theirs[name] for name in same & theirs.keys()):
        return False
    own = theirs.get("method", theirs.get("encoder"))
    compared = reader[0] in ("train_without", "counterfactual_without", "forgetting", "trajectory_panel")
    return not compared or own is None or own == method


@functools.cache
def edges(of):
    """{artifact: those that its job opens}, by OPENS."""
    found = artifacts(of)
    return {
        key: {other for other, theirs in found.items() if opens(key, wildcards, other, theirs)}
        for key, wildcards in found.items()
    }


def following(of, changed):
    """The artifacts ``changed``, and everything that is made from them."""
    opened, found, more = edges(of), set(), set(changed)
    while more:
        found |= more
        more = {key for key, inputs in opened.items() if inputs & found} - found
    return found


def every(*stages_, among=lambda key: True):
    return {key for key in artifacts(plan()) if key[0] in stages_ and among(key)}


def changed(change, before=None):
    """Artifacts of both configurations whose identity differs."""
    old, new = identities(plan(before)), identities(plan(change))
    return {key for key in old.keys() & new.keys() if old[key] != new[key]}


def after(*changes):
    def change(c):
        for one in changes:
            one(c)

    return change


def set_key(section, **values):
    return lambda c: c.setdefault(section, {}).update(values)


def evaluation(section, **values):
    return lambda c: c["evaluation"].setdefault(section, {}).update(values)


def existing(*paths):
    """Given models; evaluations that retrain are left out."""

    def change(c):
        c["checkpoints"] = {"paths": list(paths)}
        del c["model"]
        for section in ("lds", "counterfactual", "forgetting"):
            c["evaluation"][section] = None

    return change


def adapters(c):
    """Adapters that are trained on a base."""
    c["checkpoints"] = {"base": "m0", "count": 4}
    c["adapter"] = {"rank": 2}
    del c["model"]


def existing_adapters(c):
    existing()(c)
    c["checkpoints"] = {"base": "m0", "adapters": ["a0.safetensors", "a1", "a2", "a3"]}


def with_everything(c):
    c["model"]["unet"]["num_class_embeds"] = 10
    c["features"] = {"shards": 3}
    c["targets"] = [
        {"id": "a", "seed": 1, "label": 3, "mask": [0, 0, 4, 4], "steps": [900, 100]},
        {"id": "b", "trajectory": "own.npz", "label": 4, "mask": "mask.png", "steps": [100], "checkpoint": "full/1"},
    ]
    for section in NEED_COMMON_STEPS:
        c["evaluation"][section] = None


def latent(c):
    c["vae"] = {"train": {"autoencoder": copy.deepcopy(AUTOENCODER)}}
    c["text_encoder"] = {"path": "somebody/text"}
    c["data"] = {"source": "imagefolder", "path": "images", "captions": "captions.csv", "size": 8}
    c["model"]["unet"] = copy.deepcopy(TEXT_UNET) | {"sample_size": 4, "in_channels": 2, "out_channels": 2}
    c["model"]["scheduler"] = {"clip_sample": False}
    for row in c["targets"]:
        row["prompt"] = "a thing"


def given_vae(c):
    latent(c)
    c["vae"] = {"path": "somebody/vae"}


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """A working directory with images, five existing models, a mask and a trajectory."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "images").mkdir()
    for name in ("m0", "m1", "m2", "m3", "m4"):
        for part, file in (("unet", "config.json"), ("scheduler", "scheduler_config.json")):
            (tmp_path / name / part).mkdir(parents=True)
            (tmp_path / name / part / file).write_text("{}")
    for name in ("a0.safetensors", *(f"a{i}/pytorch_lora_weights.safetensors" for i in (1, 2, 3))):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        save_file({f"unet.to_q.lora_{side}.weight": torch.ones(2, 2) for side in "AB"}, tmp_path / name)
    (tmp_path / "captions.csv").write_text("file,caption\na.png,a dog\n")
    for name in ("images/a.png", "mask.png"):
        Image.new("L", (8, 8), "white").save(name)
    np.savez("own.npz", x_t=np.zeros((2, 1, 8, 8)), step=np.array([500, 100]))
    return tmp_path


VARIANTS = {
    "plain": lambda c: None,
    "with everything": with_everything,
    "existing models": existing("m0", "m1", "m2", "m3"),
    "adapters": adapters,
    "existing adapters": existing_adapters,
    "latent": latent,
    "existing vae": given_vae,
}
IN_EVERY_VARIANT = pytest.mark.parametrize("change", VARIANTS.values(), ids=VARIANTS)


# ---- all stages


def test_every_stage_is_looked_at_here(folders):
    other_methods = {row.stage for row in METHODS.values()} - set(SCORES)  # they read what one of these reads
    # test_methods.py looks at Fisher rows and curvatures, which none of these reads
    elsewhere = {"fisher_rows", "curvature", "diagonal_curvature", "invert_image", "compare_image", "given_images"}
    assert OPENS.keys() == STAGES.keys() - other_methods - elsewhere
    assert {key[0] for change in VARIANTS.values() for key in artifacts(plan(change))} == OPENS.keys()


@IN_EVERY_VARIANT
def test_every_spec_agrees_with_those_of_what_its_job_opens(folders, change):
    """As jobs compare them when they open something: wherever both have a stage, its entries are equal."""
    made, pairs = plan(change), 0
    found = artifacts(made)
    spec = {key: made.spec(key[0], **wildcards) for key, wildcards in found.items()}
    for key, inputs in edges(made).items():
        for other in inputs:
            common = spec[key].keys() & spec[other].keys() - {"item"}
            assert common, (key, other)
            own, theirs = (as_read({stage: spec[of][stage] for stage in common}) for of in (key, other))
            assert differences(theirs, own) == [], (key, other)
            pairs += 1
    assert pairs > 150


@IN_EVERY_VARIANT
def test_an_identity_follows_from_everything_that_its_job_opens(folders, change):
    made = plan(change)
    found, names = artifacts(made), {}

    def read(stage, **wildcards):
        """All artifacts that one is made from, at however many removes."""
        key = stage, *(str(wildcards[name]) for name in STAGES[stage].wildcards)
        if key not in names:
            recipe = made.recipe(stage, **wildcards)
            direct = [*recipe.inherits, *recipe.reads]
            names[key] = {key}.union(*(read(other, **of) for other, of in direct))
        return names[key]

    for key, inputs in edges(made).items():
        assert inputs <= read(key[0], **found[key]), key


@IN_EVERY_VARIANT
def test_specs_are_json_of_the_stages_own_section_and_name_it(folders, change):
    made = plan(change)
    for key, wildcards in artifacts(made).items():
        spec = made.spec(key[0], **wildcards)
        assert json.loads(json.dumps(spec)) == spec
        assert spec["seed"] == 0 and spec[STAGES[key[0]].entry]["version"] == STAGES[key[0]].version
        assert spec.keys() - {"seed", "item"} <= STAGES.keys()
        asked = json.loads(made.asked(key[0], **wildcards, others="are left alone"))
        assert asked == {"stage": key[0], "spec": spec, "identity": made.identity(key[0], **wildcards)}


@IN_EVERY_VARIANT
def test_identities_are_the_same_every_time_and_differ_between_artifacts(folders, change):
    first, second = identities(plan(change)), identities(plan(change))
    assert first == second and len(set(first.values())) == len(first)
    assert all(len(sha256) == 64 for sha256 in first.values())


@IN_EVERY_VARIANT
def test_neither_places_nor_numbers_of_jobs_are_in_a_spec(folders, change):
    made = plan(change)
    text = json.dumps([made.spec(key[0], **wildcards) for key, wildcards in artifacts(made).items()])
    assert "shards" not in text and "images/" not in text and "captions.csv" not in text and "store" not in text


@pytest.mark.parametrize("variant", ["plain", "latent", "existing vae", "existing models"])
def test_a_stages_version_changes_it_and_what_follows(folders, monkeypatch, variant):
    before = plan(VARIANTS[variant])
    first = identities(before)
    for name, row in STAGES.items():
        together = {other for other in STAGES if STAGES[other].entry == row.entry}
        with monkeypatch.context() as raised:
            for other in together:
                raised.setitem(STAGES, other, replace(STAGES[other], version=99, read_as=None))
            second = identities(Plan(before.config))
        expected = following(before, {key for key in first if key[0] in together})
        assert {key for key in first if first[key] != second[key]} == expected, name


def test_what_a_version_only_stores_beside_what_is_read_makes_nothing_else_stale(folders, monkeypatch):
    for variant in ("plain", "latent"):
        before = plan(VARIANTS[variant])
        first = identities(before)
        for name in ("prepare_data", "encode_data"):
            with monkeypatch.context() as raised:
                raised.setitem(STAGES, name, replace(STAGES[name], version=99))
                second = identities(Plan(before.config))
            assert {key for key in first if first[key] != second[key]} == {key for key in first if key[0] == name}


def test_all_trainings_have_one_version():
    """A subset's model is opened beside one of the full set: were their versions others, they would not agree."""
    entries = {}
    for row in STAGES.values():
        entries.setdefault(row.entry, set()).add(row.version)
    assert all(len(versions) == 1 for versions in entries.values())


def test_specs_do_not_share_what_they_hold_with_the_configuration():
    made = plan()
    before = copy.deepcopy(made.config)
    for key, wildcards in artifacts(made).items():
        made.spec(key[0], **wildcards)
    assert made.config == before


# ---- what a change reruns

TRAININGS = ["train", "train_subset", "train_without", "train_without_random"]
ALL_SCORES_READ = ["lds_tables", "top_influences", "top_overlap", "scores_of_images", "group_table"]
PER_STEP_READ = ["step_correlation", "sign_overlap"]


def of_a(*stages_):
    return every(*stages_, among=lambda key: "a" in key[1:])


def with_method(method, *stages_):
    return every(*stages_, among=lambda key: method in key[1:])


CHANGES = {  # what changes by itself; what is made from it follows
    "damping": (set_key("kernel", damping=9), every("factor_kernel")),
    "draw scheme": (set_key("features", draw_scheme="shared"), every("featurize")),
    "train draws": (set_key("attribution", train_draws=9), every("featurize")),
    "target draws": (set_key("attribution", target_draws=9), every("target_gradients")),
    "x0_hat": (set_key("attribution", x0_hat="generating"), every("target_gradients")),
    "clip": (set_key("attribution", clip_x0_hat="none"), every("sample_trajectory")),
    "kind of gradients": (set_key("gradients", kind="factorised"), every("featurize", "target_gradients")),
    "rank of exact gradients": (set_key("gradients", rank=3), set()),
    "storage type": (set_key("features", dtype="int8"), every("featurize")),
    "keep halves": (set_key("features", keep_halves=True), every("featurize", "target_gradients")),
    "d": (set_key("projection", dim=64), every("featurize", "target_gradients")),
    "sampling steps": (set_key("sampling", steps=10), every("sample_trajectory", "seed_consistency", "contact_sheet")),
    "pixel": (set_key("pixel", against="x0_hat"), every("score_pixel")),
    "figure": (set_key("figures", top=2), every("trajectory_panel")),
    "table": (set_key("tables", top=2), every("top_influences", *JUDGING)),
    "groups": (set_key("groups", by="label", neighbours="clip"), every("group_influences")),
    "listed images": (set_key("tables", images=[3]), every("scores_of_images")),
    "epochs": (set_key("training", epochs=3), every(*TRAININGS)),
    "scheduler": (set_key("model", scheduler={"beta_schedule": "squaredcos_cap_v2"}), every(*TRAININGS)),
    "unet": (lambda c: c["model"]["unet"].update(dropout=0.1), every(*TRAININGS)),
    "flip": (set_key("data", flip=True), every(*TRAININGS, "featurize")),
    "image subset": (set_key("data", subset=50), every("prepare_data")),
    "size": (set_key("data", size=8), every("prepare_data")),
    "near-duplicates": (set_key("data", near_duplicates=0.03), every("prepare_data")),
    "seed": (lambda c: c.update(seed=1), every(*OPENS)),
    "target's seed": (
        lambda c: c["targets"][0].update(seed=9),
        of_a("sample_trajectory") | every("seed_consistency"),
    ),
    "target's model": (
        lambda c: c["targets"][0].update(checkpoint="full/2"),
        of_a("sample_trajectory", "counterfactual_original") | {("forgetting", "a", "none")},
    ),
    "target's mask": (
        lambda c: c["targets"][0].update(mask=[0, 0, 4, 4]),
        of_a("target_gradients", "subset_outputs", "plot_regions", "score_wiener"),
    ),
    "a step more of a target": (
        lambda c: c["targets"][0].update(steps=[100, 300, 400, 500]),
        of_a("target_gradients", "score_norm", "score_pixel", "score_random", "score_encoder", "sample_from_x_t")
        | of_a("subset_outputs", "trajectory_panel", "score_wiener")
        | every("one_step_error", "feature_likelihood"),
    ),
    "the order of steps": (lambda c: c["attribution"].update(steps=[400, 100, 300]), set()),
    "a target more": (
        lambda c: c["targets"].append({"id": "c", "seed": 3}),
        every(*ALL_SCORES_READ, *PER_STEP_READ, "plot_sign_flips", "split_half", "one_step_error")
        | every("feature_likelihood", "seed_consistency"),
    ),
    "a checkpoint more": (
        lambda c: c["checkpoints"].update(count=5),
        every("target_gradients", "score_trak", "score_norm", "split_half"),
    ),
    "methods less": (
        lambda c: c.update(methods=["trak", "pixel"]),
        every(*ALL_SCORES_READ, *PER_STEP_READ, "group_influences", "counterfactual_table", "forgetting_table"),
    ),
    "the order of methods": (lambda c: c["methods"].reverse(), set()),
    "shards": (set_key("features", shards=4), set()),
    "store": (lambda c: c.update(store=["elsewhere", "and there"]), set()),
    "experiment": (lambda c: c.update(experiment="other"), set()),
    "what becomes of what is replaced": (lambda c: c.update(replace=True), set()),
    # evaluations
    "subsets": (evaluation("lds", subsets=3), every("draw_subsets", "list_subset_models")),
    "models per subset": (
        evaluation("lds", models_per_subset=5),
        every("list_subset_models", "subset_outputs", "lds_tables"),
    ),
    "fraction": (evaluation("lds", fraction=0.4), every("train_subset", "draw_subsets", "list_subset_models")),
    "output draws": (evaluation("lds", draws=9), every("subset_outputs", "lds_tables")),
    "lds steps": (evaluation("lds", steps=[100]), every("subset_outputs")),
    "bootstrap": (evaluation("lds", bootstrap=200), every("lds_tables")),
    "smaller ensembles": (evaluation("lds", checkpoints=[1]), every("lds_tables")),
    "counterfactual images": (evaluation("counterfactual", images=2200), every("counterfactual_original")),
    "delta": (evaluation("counterfactual", delta=50), every("counterfactual_original")),
    "counterfactual step": (evaluation("counterfactual", step=300), every("counterfactual_original")),
    "counterfactual n_remove": (evaluation("counterfactual", n_remove=[7]), every("counterfactual_without")),
    "counterfactual methods": (evaluation("counterfactual", methods=["trak"]), every("counterfactual_table")),
    "counterfactual targets": (evaluation("counterfactual", targets=["b"]), every("counterfactual_table")),
    "forgetting step": (evaluation("forgetting", step=400), every("forgetting")),
    "forgetting n_remove": (
        evaluation("forgetting", n_remove=[7]),
        every("forgetting", among=lambda key: "none" not in key),
    ),
    "forgetting methods": (evaluation("forgetting", methods=["trak"]), every("forgetting_table")),
    "forgetting targets": (evaluation("forgetting", targets=["b"]), every("forgetting_table")),
    "random removals": (
        evaluation("controls", random_removals=4),
        with_method("random", "counterfactual_without", "forgetting"),
    ),
    "full models": (
        evaluation("controls", full_models=3),
        every("counterfactual_original") | with_method("none", "forgetting"),
    ),
    "dims": (evaluation("fid", dims=64), every("counterfactual_original")),
    "weights' hash": (evaluation("fid", sha256="12345678"), every("counterfactual_original")),
    "weights' place": (evaluation("fid", weights="elsewhere.pth"), set()),
    "features of distances": (evaluation("fid", features="classifier"), every("counterfactual_original")),
    "classifier": (evaluation("classifier", width=8), every("train_classifier")),
    "radius": (evaluation("classifier", radius=0.2), {("train_classifier", "robust")}),
    "number of samples": (
        evaluation("samples", number=9),
        every("sample_from_x_t", "one_step_error", "feature_likelihood"),
    ),
    "samples' steps": (evaluation("samples", steps=[100]), every("one_step_error", "feature_likelihood")),
    "samples' targets": (
        evaluation("samples", targets=["a"]),
        {("sample_from_x_t", "b")} | every("one_step_error", "feature_likelihood"),
    ),
    "classes": (evaluation("likelihood", features={"a": 1}), every("feature_likelihood")),
    "captions": (
        evaluation("caption_likelihood", captions={"a": ["a dog", "a cow"]}),
        every("feature_likelihood"),
    ),
    "compared models": (evaluation("seed_consistency", models=["full/0", "full/3"]), every("seed_consistency")),
    "top k": (evaluation("sign_overlap", top_k=[7]), every("sign_overlap")),
    "top lists": (evaluation("top_overlap", top_k=[7]), every("top_overlap")),
    "an evaluation less": (lambda c: c["evaluation"].update(step_correlation=None), set()),
}


@pytest.mark.parametrize("change, by_itself", CHANGES.values(), ids=CHANGES)
def test_a_setting_changes_what_depends_on_it_and_nothing_else(change, by_itself):
    assert changed(change) == following(plan(), by_itself) & artifacts(plan(change)).keys()


def test_the_default_steps_are_those_of_targets_without_their_own():
    def own(c):
        c["targets"][0]["steps"] = [100, 300, 400]

    def default(c):
        own(c)
        c["attribution"]["steps"] = [100, 300, 400, 500]

    assert changed(own) == set()
    found = changed(default, before=own)
    assert ("target_gradients", "plain", "b") in found and ("target_gradients", "plain", "a") not in found


def test_the_order_of_targets_matters_only_to_what_lists_them():
    found = {key[0] for key in changed(lambda c: c["targets"].reverse())}
    assert not found & {"target_gradients", "sample_trajectory", "subset_outputs", *SCORES}


def test_keeping_scores_by_checkpoint_changes_them_alone():
    def alone(c):
        c["evaluation"] |= {"split_half": None}

    def less(c):
        alone(c)
        c["scores"]["keep_checkpoints"] = False

    assert changed(less, before=alone) == following(plan(alone), every("score_trak"))


def test_factorised_gradients_depend_on_their_rank():
    factorised = set_key("gradients", kind="factorised")
    found = changed(after(factorised, set_key("gradients", rank=3)), factorised)
    assert found == following(plan(), every("featurize", "target_gradients"))


def test_the_classifiers_settings_matter_to_distances_where_it_gives_the_features():
    before = evaluation("fid", features="classifier")
    found = changed(after(before, evaluation("classifier", width=8)), before)
    reads = every("counterfactual_original", "counterfactual_table", "plot_counterfactual", "counterfactual_without")
    reads |= {("compare_removals", "counterfactual_fid")}
    assert found == following(plan(before), every("train_classifier")) | reads


def test_no_training_depends_on_an_evaluations_settings_but_for_the_images_it_sees():
    """A subset's model is retrained for its recipe, its images and nothing else."""
    trained = every("train", "train_subset", "train_without_random")
    for name in [*list(CHANGES)[list(CHANGES).index("subsets") :], "damping", "d", "sampling steps", "a target more"]:
        if name != "fraction":
            assert not changed(CHANGES[name][0]) & trained, name


# ---- given models, masks and trajectories


def test_another_existing_checkpoint_changes_only_what_reads_them_all(folders):
    before, more = existing("m0", "m1", "m2", "m3"), existing("m0", "m1", "m2", "m3", "m4")
    expected = {key for key in artifacts(plan(before)) if key[0] in ("target_gradients", "score_trak", "score_norm")}
    assert changed(more, before) == following(plan(before), expected | {("split_half",)})


def test_a_replaced_existing_checkpoint_is_noticed(folders):
    before = existing("m0", "m1", "m2", "m3")
    found = changed(existing("m0", "m4", "m2", "m3"), before)
    read_all = {key for key in artifacts(plan(before)) if key[0] in ("target_gradients", "score_trak", "score_norm")}
    expected = following(plan(before), read_all | {("import_checkpoint", "full/1"), ("split_half",)})
    assert found == expected and ("sample_trajectory", "b") in found and ("sample_trajectory", "a") not in found


def test_flips_change_only_the_features_of_existing_checkpoints(folders):
    before = existing("m0", "m1", "m2", "m3")
    made = {key for key in artifacts(plan(before)) if key[0] == "featurize"}
    assert changed(after(before, set_key("data", flip=True)), before) == following(plan(before), made)


def test_masks_and_trajectories_enter_by_content(folders):
    def own(trajectory, mask):
        row = {"id": "a", "trajectory": trajectory, "steps": [100], "mask": mask}

        def change(c):
            c["targets"][0] = row
            for section in NEED_COMMON_STEPS:
                c["evaluation"][section] = None

        return change

    before = own("own.npz", "mask.png")
    shutil.copy("own.npz", "moved.npz")
    shutil.copy("mask.png", "moved.png")
    assert changed_of(own("moved.npz", "moved.png"), before) == set()
    other = Image.new("L", (8, 8), "white")
    other.putpixel((0, 0), 0)
    other.save("other.png")
    assert changed_of(own("own.npz", "other.png"), before) == {"target_gradients", "score_trak", "plot_regions"}
    np.savez("other.npz", x_t=np.ones((2, 1, 8, 8)), step=np.array([500, 100]))
    expected = {"sample_trajectory", "target_gradients", "score_trak", "score_pixel", "plot_regions"}
    assert changed_of(own("other.npz", "mask.png"), before) == expected


def changed_of(change, before):
    """Stages of target a whose identity differs, among these."""
    old, new = plan(before), plan(change)
    stages_ = ["sample_trajectory", "target_gradients", "score_trak", "score_pixel", "score_random", "plot_regions"]
    key = {"basis": "plain", "target": "a"}
    return {
        s
        for s in stages_
        if old.identity(s, **key, method=METHOD_OF.get(s)) != new.identity(s, **key, method=METHOD_OF.get(s))
    }


def test_raw_data_is_watched_where_it_still_is(folders, monkeypatch):
    images, annotations = [{"id": 1, "file_name": "a.png"}], [{"image_id": 1, "caption": "a dog"}]
    (folders / "captions.json").write_text(json.dumps({"images": images, "annotations": annotations}))
    coco = {"source": "coco", "path": "images", "captions": "captions.json", "size": 8}
    made = plan(lambda c: c.update(data=coco))
    assert made.data_sources == made.sources("prepare_data") == ["images", "captions.json"]
    (folders / "captions.json").unlink()
    assert made.data_sources == []
    assert plan().data_sources == []
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    made.config["data"] |= {"source": "emoji", "captions": None}
    assert made.data_sources == []  # its names are not installed


def test_the_place_of_the_data_is_no_setting(folders):
    shutil.copytree("images", "elsewhere")
    shutil.copy("captions.csv", "elsewhere.csv")
    moved = {"source": "imagefolder", "path": "elsewhere", "captions": "elsewhere.csv", "size": 8}
    assert changed(after(latent, lambda c: c.update(data=moved)), latent) == set()
    assert json.dumps(plan(latent).data_places) == '{"path": "images", "captions": "captions.csv"}'


def test_given_models_and_encoders_are_watched_where_they_are_folders(folders):
    made = plan(existing("m0", "m1", "somebody/on-the-hub", "m3"))
    assert made.sources("import_checkpoint", checkpoint="full/1") == ["m1"]
    assert made.sources("import_checkpoint", checkpoint="full/2") == [] == made.sources("featurize")
    (folders / "own vae").mkdir()
    made = plan(after(given_vae, lambda c: c["vae"].update(path="own vae")))
    assert made.sources("import_vae") == ["own vae"] and made.sources("import_text_encoder") == []


def test_every_setting_of_adapters_changes_their_models(folders):
    def models(**adapter):
        made = plan(after(adapters, set_key("adapter", **adapter)))
        stages = {"train": {"checkpoint": "full/0"}, "train_subset": {"subset": "0"}, "import_base": {}}
        return [made.identity(stage, **wildcards) for stage, wildcards in stages.items()]

    before = models(alpha=None)
    assert models(alpha=2) == before  # the rank is the default
    for other in ({"rank": 3}, {"alpha": 4}, {"targets": ["to_q"]}):
        train, subset, base = models(**other)
        assert train != before[0] and subset != before[1] and base == before[2]


def test_alpha_is_a_setting_of_existing_adapters_where_it_is_given(folders):
    def first(alpha=None):
        c = config(existing_adapters)
        made = Plan(complete(c | ({"adapter": {"alpha": alpha}} if alpha else {})))
        return made.identity("import_adapter", checkpoint="full/0")

    assert len({first(), first(4), first(8)}) == 3


def test_an_adapter_file_is_a_source_of_its_artifact(folders):
    made = plan(existing_adapters)
    assert made.sources("import_adapter", checkpoint="full/0") == ["a0.safetensors"]
    assert made.sources("import_adapter", checkpoint="full/1") == ["a1/pytorch_lora_weights.safetensors"]
    assert made.sources("import_base") == ["m0"]
    shutil.rmtree("a1")
    assert made.sources("import_adapter", checkpoint="full/1") == []


# ---- no setting is forgotten

# where results lie, which are made, in how many jobs; a rank that exact gradients have no use for
FREE = {"experiment", "store", "replace", "features.shards", "gradients.rank", "data.path"}
FREE |= {"sampling.size"}  # of existing models alone: tests/workflow/config/test_given_models.py
FREE |= {"curvature.rows", "curvature.damping", "curvature.bound"}  # no method here has one: test_methods.py
FREE |= {"adapter"}  # of a base alone: test_every_setting_of_adapters_changes_their_models
# which targets and methods, in how many jobs, and where a file lies that its hash stands for
FREE_IN_EVALUATIONS = {"fid.weights"}


def settings():
    """(section, key) of every setting; key None where the section itself is one. Targets, checkpoints, methods and
    encoders are tried above, evaluations below."""
    for section, value in complete(config()).items():
        if section not in ("targets", "checkpoints", "methods", "image_encoders", "evaluation", "vae"):
            yield from ((section, key) for key in value) if isinstance(value, dict) else [(section, None)]


@pytest.mark.parametrize("section, key", list(settings()))
def test_no_setting_is_forgotten_in_the_identities(section, key, tmp_path, monkeypatch):
    done = complete(config())
    (done if key is None else done[section])[section if key is None else key] = [7]
    if (section, key) == ("text_encoder", None):
        done["text_encoder"] = {"path": "somebody/text"}
        for row in done["targets"]:
            row["prompt"] = "a thing"
    if section == "groups":
        monkeypatch.chdir(tmp_path)
        Path("list.txt").write_text("3")
        done["groups"] |= {"files": {"few": "list.txt"}} if key == "files" else {"by": None}
        done["groups"]["neighbours"] = "clip" if key == "neighbours" else "pixels"
    same = identities(Plan(done)).items() >= identities(plan()).items()
    assert same == ((section if key is None else f"{section}.{key}") in FREE)


def evaluation_settings():
    done = complete(config())["evaluation"]
    return [(section, key) for section, settings in done.items() for key in settings or {}]


@pytest.mark.parametrize("section, key", evaluation_settings())
def test_no_setting_of_an_evaluation_is_forgotten_in_the_identities(section, key):
    value = complete(config())["evaluation"][section][key]
    another = {
        "targets": ["a"],
        "methods": ["pixel"],
        "steps": [300],
        "spans": [[300, 500]],
        "step": 300 if section == "counterfactual" else 400,
        "models": ["full/1", "full/2"],
        "features": "classifier" if section == "fid" else {"a": 1},
        "weights": "x.pth",
        "sha256": "0" * 8,
        "dims": 64,
        "fraction": 0.25,
        "holdout": 0.25,
        "encoder": "other",
        "captions": {"a": ["a dog", "a cow"]},
    }
    new = another.get(key, [3] if isinstance(value, list) else value + 1 if isinstance(value, int) else 0.5)
    assert new != value
    assert (changed(evaluation(section, **{key: new})) == set()) == (f"{section}.{key}" in FREE_IN_EVALUATIONS)


# ---- the VAE, text and what is left out


def vae_identity(change=lambda c: None):
    return plan(after(latent, change)).identity("train_vae")


def test_a_vaes_spec_holds_its_training_and_its_data(folders):
    found = plan(latent).spec("train_vae")
    recipe = {"autoencoder": AUTOENCODER, "epochs": 100, "batch_size": 32, "learning_rate": 1e-3, "kl_weight": 1e-6}
    assert found["train_vae"] == {"version": 1, "vae": {"train": recipe}}
    assert found.keys() == {"seed", "prepare_data", "train_vae"}


@pytest.mark.parametrize(
    "change, same",
    [
        (set_key("training", epochs=3), True),
        (lambda c: c["model"]["unet"].update(dropout=0.1), True),
        (lambda c: c["vae"].update(latent="sample"), True),
        (lambda c: c["vae"]["train"].update(kl_weight=0.1), False),
        (set_key("data", fit="pad"), False),
        (lambda c: c.update(seed=1), False),
    ],
)
def test_a_vae_is_trained_again_only_for_what_it_depends_on(folders, change, same):
    assert (vae_identity(change) == vae_identity()) == same


def test_without_a_vae_no_spec_names_one():
    made = plan()
    assert "vae" not in json.dumps([made.spec(key[0], **w) for key, w in artifacts(made).items()])


def test_dropped_captions_are_in_the_spec_only_where_there_are_any(folders):
    done = complete(config(latent))
    assert "caption_dropout" not in Plan(done).spec("train", checkpoint="full/0")["train"]["training"]
    done["training"]["caption_dropout"] = 0.1
    assert Plan(done).spec("train", checkpoint="full/0")["train"]["training"]["caption_dropout"] == 0.1


@pytest.mark.parametrize("unet", [{"dropout": 0.1}, {"norm_eps": 1e-6}, {"act_fn": "gelu"}])
def test_a_key_of_the_model_that_one_side_leaves_out_is_a_difference(unet):
    """Left out, it has diffusers' default; features must not be computed from a model with another."""
    key = {"basis": "plain", "method": "trak", "checkpoint": "full/0"}
    given, left_out = (plan(change).spec("factor_kernel", **key) for change in (with_unet(unet), lambda c: None))
    (name,) = unet
    for stored, wanted in ((left_out, given), (given, left_out)):
        assert [difference.key for difference in differences(stored, wanted)] == [f"model.unet.{name}"]


def with_unet(keys):
    return lambda c: c["model"]["unet"].update(keys)


# ---- names


def test_names_follow_from_the_configuration(folders):
    made = plan()
    assert made.root == "store/test" and list(made.targets) == ["a", "b"]
    assert made.checkpoints == ["full/0", "full/1", "full/2", "full/3"]
    assert plan(existing("m2", "m0", "m1")).checkpoints == ["full/0", "full/1", "full/2"]
    masked = plan(with_everything)
    assert masked.mask_file("b") == "mask.png" and masked.mask_file("a") == made.mask_file("a") == []
    assert masked.steps("a") == [100, 900] and made.steps("a") == [100, 300, 400]


def test_names_of_retrained_models():
    made = plan()
    assert subset_models(made) == ["subset/0-0", "subset/0-1", "subset/1-0", "subset/1-1"]
    assert without_models(made, "counterfactual", "a", "trak") == ["without/trak_a_t400_n5", "without/trak_a_t400_n0.1"]
    random = [f"without/random_{r}_n{n}" for n in ("5", "0.1") for r in (0, 1, 2)]
    assert without_models(made, "forgetting", "b", "random") == random
    names = made.retrained_models()
    assert len(names) == len(set(names)) and set(subset_models(made)) | set(random) <= set(names)
    # 6 methods beside random, 2 targets, 2 numbers, at steps 400 and 300
    assert len(names) == 4 + 6 + 2 * 6 * 2 * 2


def test_counterfactual_and_forgetting_share_models_of_the_same_step():
    assert len(plan(evaluation("forgetting", step=400)).retrained_models()) == 4 + 6 + 6 * 2 * 2


def test_random_is_always_among_the_methods():
    for given in (["trak"], ["random", "trak"], ["trak", "random"]):
        assert methods_of(plan(evaluation("forgetting", methods=given)), "forgetting") == ["trak", "random"]
    assert methods_of(plan(), "counterfactual")[-1] == "random"


def test_the_baseline_is_never_the_generating_model():
    assert other_models(plan(), "a") == ["full/1", "full/2"]
    assert other_models(plan(), "b") == ["full/0", "full/2"]  # it is made by full/1


@pytest.mark.parametrize("n_remove", [1, 200, 0.5, 0.05, 1e-05, 0.1])
def test_a_models_name_tells_n_remove(n_remove):
    """An integer stays one, and a share a share: 1 image is not all of them."""
    found = share_or_count(str(n_remove))
    assert found == n_remove and type(found) is type(n_remove)
    spec = plan().spec("train_without_random", removal="0", n_remove=str(n_remove))
    assert spec["item"] == {"images": {"random": 0, "remove": n_remove}}


# ---- what an LDS will be able to say


def said(lds, targets=BASE["targets"]):
    """The sentence for a section ``lds`` and targets."""
    return interval(plan(lambda c: c.update(evaluation={"lds": lds}, targets=targets)))


@pytest.mark.parametrize(
    "subsets,models,words",
    [
        (16, 1, "LDS: 16 subsets with 1 model each and 2 targets give an interval of about ±0."),
        (5000, 2, "LDS: 5000 subsets with 2 models each and 2 targets give an interval of about ±0."),
        (3, 1, "LDS: 3 subsets with 1 model each and 2 targets are too few for an interval; use more subsets"),
    ],
)
def test_the_width_of_its_interval_is_one_sentence(subsets, models, words):
    told = said({"subsets": subsets, "models_per_subset": models})
    assert told.startswith(words) and "\n" not in told


def test_wide_intervals_come_with_advice_that_helps():
    wide = said({"subsets": 16})
    assert "use more subsets (evaluation.lds.subsets): 64 would give ±0." in wide and "or more targets: 8 would" in wide
    numbers = [float(number) for number in re.findall(r"±(\S+?)[;, ]", f"{wide} ")]
    assert len(numbers) == 3 and numbers[0] > max(numbers[1:])
    many = {"subsets": 400, "models_per_subset": 2}
    narrow = said(many, [{"id": f"t{k}", "seed": k} for k in range(40)])
    assert "at a step" in narrow and "use more" not in narrow
    # one target has no spread: more of them would speak of more, but not be narrower
    one = said({"subsets": 300}, BASE["targets"][:1])
    assert "use more subsets" in one and "more targets" not in one
