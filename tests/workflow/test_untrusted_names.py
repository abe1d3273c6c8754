"""Names in configs and tables become file names and words of a command line: none leaves its place in either."""

import copy
import csv
import json
import re

import numpy as np
import pytest
from PIL import Image
from support import SCRIPTS, UNET, tiny_bert
from workspace import CONFIG, Workspace

from waypoint.errors import WaypointError
from waypoint.store.data.sources import SOURCES
from waypoint.workflow.config.complete import complete

HOSTILE = [
    "../out",
    "a/b",
    "/etc/x",
    "..",
    "a b",
    "a;touch x",
    "$(touch x)",
    "`touch x`",
    "a'b",
    'a"b',
    "a\n",
    "{output}",
    "-x",
]
NAMES = {  # where a name is given, and what begins with a dash there is refused too or cannot be taken for an option
    "experiment": lambda name: {"experiment": name},
    "targets[0].id": lambda name: {"targets": [{"id": name, "seed": 1}]},
    "targets[0].mask": lambda name: {
        "targets": [{"id": "a", "seed": 1, "mask": [{"name": name, "mask": [0, 0, 2, 2]}]}]
    },
    "image_encoders": lambda name: {
        "image_encoders": {name: {"kind": "timm", "name": "resnet18", "weights": "w.pth"}},
        "methods": ["random", name],
    },
}


@pytest.mark.parametrize("name", [name for name in HOSTILE if name != "-x"])
@pytest.mark.parametrize("key", NAMES)
def test_a_name_that_is_more_than_a_name_is_refused_by_key(key, name):
    with pytest.raises(WaypointError) as refused:
        complete({**copy.deepcopy(CONFIG), **NAMES[key](name)})
    assert key in str(refused.value)


def test_a_targets_table_is_held_to_the_same(tmp_path):
    with open(tmp_path / "targets.csv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["id", "seed"], ["../../a", 1]])
    with pytest.raises(WaypointError, match=r"targets\[0\].id"):
        complete({**copy.deepcopy(CONFIG), "targets": str(tmp_path / "targets.csv")})


@pytest.mark.parametrize("name", ["../secret.png", "a/../../secret.png", "{root}/../secret.png"])
def test_a_table_of_images_names_none_outside_its_folder(tmp_path, name):
    root = tmp_path / "images"
    root.mkdir()
    name = name.format(root=root)
    Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(tmp_path / "secret.png")
    (tmp_path / "captions.csv").write_text(f"file,caption\n{name},a\n")
    section = {"path": str(root), "size": 4, "captions": str(tmp_path / "captions.csv")}
    with pytest.raises(WaypointError, match="line 2: .* leads out of the folder data.path"):
        SOURCES["imagefolder"]({"source": "imagefolder", **section})
    made = {"images": [{"id": 1, "file_name": name}], "annotations": [{"image_id": 1, "caption": "a"}]}
    (tmp_path / "captions.csv").write_text(json.dumps(made))
    with pytest.raises(WaypointError, match="leads out of the folder data.path"):
        SOURCES["coco"]({"source": "coco", **section})


def test_shell_lines_quote_all_but_constrained_wildcards():
    quoted = ("params.options", "params.places")  # of scores: by shlex.join, and a variable's name
    for file in (SCRIPTS.parent / "rules").glob("*.smk"):
        shells = re.findall(r"^ +shell:\n((?: +.*\n)+)", file.read_text(), re.M)
        assert file.name in ("collect.smk", "common.smk", "repository.smk") or shells
        for shell in shells:
            for field in re.findall(r"\{([^{}]+)\}", shell):
                safe = field.endswith(":q") or field.startswith("wildcards.") or field in quoted
                assert safe, (file.name, field)


def test_commands_of_rules_quote_inputs_and_outputs():
    """``call`` in rules/common.smk quotes every name."""
    text = (SCRIPTS.parent / "rules/common.smk").read_text()
    made = {}
    exec(re.search(r"^def call\(.*?^    return [^\n]+\n", text, re.M | re.S)[0], made)
    command = made["call"]("lds/lds_tables", "subsets scores", "--target {wildcards.target}", outputs="lds cross")
    assert command == (
        'python "$WAYPOINT_SCRIPTS"/lds/lds_tables.py --spec {params.spec:q} --subsets {input.subsets:q}'
        " --scores {input.scores:q} --target {wildcards.target} --lds {output.lds:q} --cross {output.cross:q}"
        " --log {log:q}"
    )
    assert made["call"]("a/b").endswith(" --out {output:q} --log {log:q}")
    both = made["call"]("a/b", out="store", outputs="table")
    assert both.endswith(" --out {output.store:q} --table {output.table:q} --log {log:q}")


def test_every_wildcard_of_a_shell_line_is_constrained():
    text = "".join(file.read_text() for file in (SCRIPTS.parent / "rules").glob("*.smk"))
    used = set(re.findall(r"\{wildcards\.(\w+)\}", text))
    constrained = set(re.findall(r"^ +(\w+)=r?\".*\",$|^ +(\w+)=\"\|\".join", text, re.M))
    names = {name for pair in constrained for name in pair if name}
    assert used <= names, used - names


def test_a_hostile_prompt_and_place_are_only_words(tmp_path):
    """Through every shell line of a whole run: a store, a folder and a prompt full of the shell's own characters."""
    words = "it's $(touch pwned) `touch pwned`; touch pwned \"&& {output} \\"
    folder = tmp_path / "a 'quoted' $(touch pwned) place"
    folder.mkdir()
    tiny_bert(folder / "it's text")
    pixels = np.random.default_rng(0).integers(0, 255, (12, 1, 8, 8), np.uint8)
    np.savez(folder / "images.npz", image=pixels, caption=[words] * 12)
    unet = {
        **UNET,
        "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D"],
        "up_block_types": ["CrossAttnUpBlock2D", "UpBlock2D"],
        "cross_attention_dim": 8,
        "attention_head_dim": 4,
    }
    config = copy.deepcopy(CONFIG) | {
        "store": "the store; touch pwned",
        "data": {"source": "npz", "path": "images.npz"},
        "text_encoder": {"path": "it's text"},
        "model": {"unet": unet},
        "training": {"epochs": 1, "batch_size": 6, "learning_rate": 1e-3},
        "checkpoints": {"count": 1},
        "methods": ["trak", "random"],
        "targets": [{"id": "a", "seed": 1, "prompt": words}],
    }
    workspace = Workspace(folder, config)
    done = workspace.snakemake()
    assert done.returncode == 0, done.stdout + done.stderr
    assert (workspace.store / "figures/a/trak.png").exists()
    assert not list(tmp_path.rglob("pwned"))
