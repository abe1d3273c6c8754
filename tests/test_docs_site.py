"""The site builds without a warning; configurations in README and docs are planned; their commands exist."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from diffusers import DDPMScheduler, UNet2DModel
from PIL import Image
from safetensors.numpy import save_file
from support import UNET, store
from workspace import REPOSITORY

from waypoint.store.networks.adapter_files import FILE
from waypoint.workflow.config.complete import complete
from waypoint.workflow.plan.plan import Plan

PAGES = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))]
TESTED_ELSEWHERE = {"sources.md"}  # test_docs_sources.py


def blocks(language):
    """(page, text) of every fenced block of a language."""
    for page in PAGES:
        for found, text in re.findall(r"^```(\w*)\n(.*?)^```", page.read_text(), flags=re.M | re.S):
            if found == language and page.name not in TESTED_ELSEWHERE:
                yield page.name, text


CONFIGURATIONS = list(blocks("yaml"))
COMMANDS = [
    (page, line.split("   #")[0].strip())
    for page, text in blocks("")
    for line in text.splitlines()
    if line.startswith(("make", "snakemake", "pip"))
]


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    """Files of every name that the pages use, in the working directory."""
    monkeypatch.chdir(tmp_path)
    for folder in ("photos/cat", "photos/dog", "my-scores", "models"):
        Path(folder).mkdir(parents=True)
    for file in ("photos/cat/a.png", "photos/dog/b.png", "made.png", "made.jpg"):
        Image.new("RGB", (32, 32)).save(file)
    Image.new("L", (32, 32), 255).save("house.png")
    Path("captions.csv").write_text("file,caption\ncat/a.png,a cat\ndog/b.png,a dog\n")
    Path("names.txt").write_text("a.png\n")
    scores = {"score": (["step", "train"], np.zeros((5, 2))), "step": (["step"], [100, 300, 500, 700, 900])}
    for target in ("first", "b"):
        store(Path(f"my-scores/{target}.zarr"), **scores, train=(["train"], [0, 1]))
    np.savez("mine.npz", x_t=np.zeros((2, 3, 32, 32), np.float32), step=np.array([400, 100]))
    unet = UNET | {"sample_size": 32, "in_channels": 3, "out_channels": 3}
    monkeypatch.setenv("HOME", str(tmp_path))
    for model in ("models/a", "models/b", "runs/a/checkpoint-5000"):
        for part in ("unet", "unet_ema"):
            network = UNet2DModel(**unet)
            if part == "unet" or model.startswith("runs"):
                network.save_pretrained(Path(model, part))
        DDPMScheduler().save_pretrained(Path(model, "scheduler"))
    for file in ("style-a.safetensors", f"style-b/{FILE}", f"run/checkpoint-500/{FILE}"):
        Path(file).parent.mkdir(parents=True, exist_ok=True)
        save_file({f"unet.to_q.lora_{side}.weight": np.ones((2, 2), np.float32) for side in "AB"}, file)
    return tmp_path


SMALL = {"unet": UNET | {"sample_size": 32, "in_channels": 3, "out_channels": 3}}
LABELLED = {"data": {"source": "imagefolder", "path": "photos/", "size": 32}}
BASE = {
    "experiment": "test",
    **LABELLED,
    "model": SMALL,
    "checkpoints": {"count": 3},
    "targets": [{"id": "first", "seed": 1}, {"id": "b", "seed": 2}],
}


def whole(text):
    """A configuration of a page, with what it leaves out for another page."""
    given = yaml.safe_load(text)
    config = BASE | given
    if "paths" in given.get("checkpoints", {}):
        del config["model"]
    if "data" not in given and "sampler" in given.get("checkpoints", {}):  # given models alone
        del config["data"]
    return config


@pytest.mark.parametrize(
    ("page", "text"), CONFIGURATIONS, ids=[f"{page}-{k}" for k, (page, _) in enumerate(CONFIGURATIONS)]
)
def test_every_configuration_is_planned(workplace, page, text):
    Plan(complete(whole(text), missing=()))


def test_the_pages_have_configurations_and_commands():
    assert len(CONFIGURATIONS) > 8 and len(COMMANDS) > 8


@pytest.mark.parametrize("command", sorted({command for _, command in COMMANDS}))
def test_every_command_is_one_that_exists(command):
    first, *words = shlex.split(command)
    if first == "make":
        done = subprocess.run(["make", "--dry-run", *words], cwd=REPOSITORY, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    elif first == "pip":
        files = [REPOSITORY / word for flag, word in zip(words, words[1:]) if flag in ("-r", "-c")]
        assert files and all(file.exists() for file in files)
    else:
        known = subprocess.run([sys.executable, "-m", "snakemake", "--help"], capture_output=True, text=True).stdout
        flags = [word for word in words if word.startswith("--") and not word.startswith("--storage-s3")]
        assert all(re.search(rf"^\s+{flag}\b|, {flag}\b", known, flags=re.M) for flag in flags), flags


def test_the_site_builds_without_a_warning(tmp_path):
    pytest.importorskip("mkdocs")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")]
    env = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "kernel.damping" in (tmp_path / "site/config/index.html").read_text()


def test_readme_is_short():
    assert len((REPOSITORY / "README.md").read_bytes()) <= 7_000


def test_links_of_readme_lead_somewhere():
    text = (REPOSITORY / "README.md").read_text()
    links = re.findall(r'\]\(([^)#\s]+)|src="([^"]+)"', text)
    places = [a or b for a, b in links if "://" not in (a or b)]
    assert places and all((REPOSITORY / place).exists() for place in places)
