"""VAEs and text encoders from folders, pipelines and installed packages into the store."""

import json
import os
import shutil
from pathlib import Path

import diffusers
import numpy as np
import pytest
import torch
from support import AUTOENCODER, UNET, asked, images, run_script, tiny_bert

from waypoint.errors import WaypointError
from waypoint.store.artifacts.fingerprint import weights_hash
from waypoint.store.networks.packages import package_path
from waypoint.store.networks.text_encoder import TextEncoder
from waypoint.store.networks.vae import load_vae
from waypoint.workflow.config.complete import complete
from waypoint.workflow.plan.plan import Plan
from waypoint.workflow.plan.reruns import LocalStore, examine

CAPTIONS = ["a red thing", ""]
OF_KIND = {"vae": "encoders/vae", "text_encoder": "encoders/text"}


def vae(folder, seed=0):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        diffusers.AutoencoderKL(**AUTOENCODER, in_channels=1, out_channels=1).save_pretrained(folder)


MAKERS = {"vae": vae, "text_encoder": tiny_bert}


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """A working directory with a folder, a pipeline's folder and a package, each with both kinds in it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "site").mkdir()  # a folder that is not there when Python looks is not looked for again
    monkeypatch.syspath_prepend(tmp_path / "site")
    vae("vae")
    tiny_bert("text_encoder")
    package = Path("site/tiny_waypoint_package")
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('the package must not be imported')\n")
    shutil.copytree("vae", "pipeline/vae")
    for name in ("text_encoder", "tokenizer"):
        shutil.copytree("text_encoder", f"pipeline/{name}")
    for name in ("vae", "text_encoder"):
        shutil.copytree(name, package / name)


def imported(kind, path, out="out"):
    given = {"path": path} | ({"max_length": 6} if kind == "text_encoder" else {})
    run_script("import_encoder", spec=asked(f"import_{kind}", {kind: given}), out=out)
    return Path(out)


def made_with(kind, folder):
    if kind == "vae":
        return load_vae(folder).encode(images(3))
    return TextEncoder(folder)(CAPTIONS)


every_kind = pytest.mark.parametrize("kind", OF_KIND)


@every_kind
@pytest.mark.parametrize("place", ["{kind}", "pipeline", "package:tiny_waypoint_package/{kind}"])
def test_what_is_imported_computes_the_same(kind, place):
    out = imported(kind, place.format(kind=kind))
    assert torch.equal(made_with(kind, out), made_with(kind, kind))
    marker = json.loads((out / "waypoint.json").read_text())
    assert marker["stage"] == f"import_{kind}" and marker["weights"] == weights_hash(out) and marker["source"]
    assert not list(out.rglob("*.bin")) and not list(Path().glob("*.tmp-*"))


@every_kind
@pytest.mark.parametrize(
    "path, expected",
    [
        ("./nowhere", "./nowhere: no such folder"),
        ("nowhere", "nowhere: no such folder"),
        ("package:no_such_package_here/x", "the Python package no_such_package_here is not installed; install it"),
        ("package:no.such.package/x", "the Python package no.such.package is not installed"),
        ("package:tiny_waypoint_package/x", "the Python package tiny_waypoint_package has no x"),
        ("empty", "empty"),
    ],
)
def test_what_cannot_be_imported_is_named(kind, path, expected, capsys):
    Path("empty").mkdir()
    with pytest.raises(SystemExit):
        imported(kind, path)
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("Waypoint: ")]
    assert kind in line and expected in line and not Path("out").exists()


def test_another_kind_of_vae_is_named(capsys):
    config = Path("vae/config.json")
    config.write_text(json.dumps({**json.loads(config.read_text()), "_class_name": "VQModel"}))
    with pytest.raises(SystemExit):
        imported("vae", "vae")
    assert "vae vae: VQModel is not supported; AutoencoderKL is" in capsys.readouterr().err


def test_a_path_without_the_prefix_stays_as_it_is():
    assert package_path("some/where", "vae") == "some/where"
    with pytest.raises(WaypointError, match="vae: the Python package  is not installed"):
        package_path("package:/x", "vae")


def configured(path, kind):
    unet = {**UNET, "sample_size": 4, "in_channels": 2, "out_channels": 2}
    section = {"vae": {"path": path}}
    if kind == "text_encoder":
        section = {"text_encoder": {"path": path, "max_length": 6}}
        blocks = {"down_block_types": ["DownBlock2D"] * 2, "up_block_types": ["UpBlock2D"] * 2}
        unet = {**UNET, **blocks, "cross_attention_dim": 8}
    target = {"id": "a", "seed": 1} | ({"prompt": "a thing"} if kind == "text_encoder" else {})
    image = np.arange(3 * 64, dtype=np.uint8).reshape(3, 1, 8, 8)
    np.savez("captioned.npz", image=image, caption=["a thing"] * 3)
    data = {"source": "npz", "path": "captioned.npz"}
    base = {"experiment": "test", "data": data, "checkpoints": {"count": 1}, "targets": [target]}
    return Plan(complete({**base, "model": {"unet": unet, "scheduler": {"clip_sample": False}}, **section}))


@every_kind
@pytest.mark.parametrize("place", ["{kind}", "pipeline", "package:tiny_waypoint_package/{kind}"])
def test_a_changed_source_is_noticed(kind, place):
    plan = configured(place.format(kind=kind), kind)
    out, spec = f"{plan.root}/{OF_KIND[kind]}", plan.asked(f"import_{kind}")
    run_script("import_encoder", spec=spec, out=out)
    sources = plan.sources(f"import_{kind}")

    def stale():
        return examine(LocalStore(plan.root), out, json.loads(spec), sources)

    assert stale() is None
    for file in Path(sources[0]).rglob("*"):
        os.utime(file)
    assert stale() is None  # touched, not changed
    MAKERS[kind](Path(sources[0], "vae" if kind == "vae" else "text_encoder") if place == "pipeline" else sources[0], 1)
    assert stale().name == OF_KIND[kind] and stale().why == f"{sources[0]} changed since it was read"


@every_kind
def test_a_package_that_is_gone_is_no_source_to_watch(kind, monkeypatch):
    """The store has its own copy, and needs the package no more."""
    plan = configured(f"package:tiny_waypoint_package/{kind}", kind)
    shutil.rmtree("site/tiny_waypoint_package")
    assert plan.encoder_sources(kind) == []


@every_kind
def test_a_hub_id_has_no_source_to_watch(kind):
    assert configured("somebody/model", kind).encoder_sources(kind) == []


@pytest.mark.parametrize("mask", [0o022, 0o027, 0o077])
def test_others_may_read_what_the_umask_allows(mask):
    before = os.umask(mask)
    try:
        made = [imported(kind, kind, f"out-{kind}") for kind in OF_KIND]
    finally:
        os.umask(before)
    for file in (file for folder in made for file in folder.rglob("*") if file.is_file()):
        assert file.stat().st_mode & 0o777 == 0o666 & ~mask, file
