"""Configurations in README and docs are planned, and their commands exist."""

import re
import shlex
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import yaml
from diffusers import DDPMScheduler, UNet2DModel
from PIL import Image
from safetensors.numpy import save_file
from support import UNET, store
from workspace import REPOSITORY, Workspace

from waypoint.store.networks.adapter_files import FILE
from waypoint.workflow.config.complete import complete
from waypoint.workflow.plan.plan import Plan

DOCS = REPOSITORY / "docs"
PAGES = [REPOSITORY / "README.md", *sorted(DOCS.rglob("*.md"))]
TESTED_ELSEWHERE = ("docs/sources.md", "docs/evaluations/")  # test_docs_sources.py, test_docs_evaluations.py
SHELL = ("", "bash", "sh", "shell", "console")
PROGRAMS = ("make", "snakemake", "pip")
FENCE = re.compile(r"^( *)```([\w-]*)[^\n`]*\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)  # at any depth of a list


def blocks(page, *languages):
    """Texts of the fenced blocks of a page that are of one of the languages, without the page's indentation."""
    return [textwrap.dedent(text) for _, found, text in FENCE.findall(page.read_text()) if found in languages]


def name_of(page):
    return page.relative_to(REPOSITORY).as_posix()


def commands(page):
    """Command lines of a page: those of its blocks, and those between backticks in its text."""
    for text in blocks(page, *SHELL):
        for line in text.replace("\\\n", " ").splitlines():
            yield re.split(r" +#", line)[0].strip().removeprefix("$ ")
    yield from re.findall(r"`([^`\n]+)`", FENCE.sub("", page.read_text()))


CONFIGURATIONS = [
    (name_of(page), text)
    for page in PAGES
    if not name_of(page).startswith(TESTED_ELSEWHERE)
    for text in blocks(page, "yaml", "yml")
]
COMMANDS = [
    (name_of(page), line) for page in PAGES for line in commands(page) if line.startswith(PROGRAMS) and " " in line
]


def stands_alone(text):
    """Whether a configuration is a whole one: it has targets, and images or finished models."""
    given = yaml.safe_load(text)
    return "targets" in given and ("data" in given or "paths" in given.get("checkpoints", {}))


def by_page(configurations):
    return pytest.mark.parametrize(
        ("page", "text"), configurations, ids=[f"{page}-{k}" for k, (page, _) in enumerate(configurations)]
    )


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


@by_page(CONFIGURATIONS)
def test_every_configuration_is_planned(workplace, page, text):
    """Fragments are merged into a small configuration first."""
    Plan(complete(whole(text), missing=()))


@by_page([(page, text) for page, text in CONFIGURATIONS if stands_alone(text)])
def test_every_whole_configuration_is_planned_by_snakemake_as_it_stands(workplace, page, text):
    given = yaml.safe_load(text)
    done = Workspace(workplace, {"experiment": "mine"} | given).snakemake("--dry-run", "--quiet", "rules")
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^total +\d+$", done.stdout + done.stderr, re.M)


def test_the_pages_have_configurations_and_commands():
    pages = {page for page, _ in CONFIGURATIONS}
    assert {"README.md", "docs/own-data.md", "docs/methods/ekfac.md"} <= pages and len(CONFIGURATIONS) > 25
    assert sum(stands_alone(text) for _, text in CONFIGURATIONS) > 4
    lines = {line.split()[0] for _, line in COMMANDS}
    assert lines == set(PROGRAMS) and len(COMMANDS) > 25


def test_blocks_and_commands_are_found_however_they_are_written(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        '- in a list\n\n  ```yaml title="a"\n  data:\n    size: 8\n  ```\n\n'
        "```bash\n$ make run \\\n  CONFIG=a.yaml   # said\n```\n\nand `make test` too\n"
    )
    assert blocks(page, "yaml") == ["data:\n  size: 8\n"]
    assert [line.split() for line in commands(page)] == [["make", "run", "CONFIG=a.yaml"], ["make", "test"]]


@pytest.fixture(scope="module")
def flags_of():
    """The help texts of the programs that pages call."""
    helped = [sys.executable, "-m", "snakemake", "--help"]
    return subprocess.run(helped, capture_output=True, text=True).stdout


@pytest.mark.parametrize("command", sorted({command for _, command in COMMANDS}))
def test_every_command_is_one_that_exists(flags_of, command):
    first, *words = shlex.split(command)
    if first == "make":
        goals = [word for word in words if "=" not in word]
        done = subprocess.run(["make", "--dry-run", *words], cwd=REPOSITORY, capture_output=True, text=True)
        assert goals and done.returncode == 0, done.stderr
        known = (REPOSITORY / "Makefile").read_text()
        variables = [word.split("=")[0] for word in words if "=" in word]
        read = [name for name in variables if re.search(rf"\$\({name}\)|\$\$\{{?{name}\b", known)]
        assert read == variables, "the Makefile reads no such variable"
    elif first == "pip":
        files = [REPOSITORY / word for flag, word in zip(words, words[1:]) if flag in ("-r", "-c")]
        assert all(file.exists() for file in files) and (files or words == ["install", "."])
    else:
        flags = [word for word in words if word.startswith("-") and not word.startswith("--storage-s3")]
        assert flags and all(re.search(rf"(^ +|, ){flag}\b", flags_of, flags=re.M) for flag in flags), flags


def test_readme_is_short():
    assert len((REPOSITORY / "README.md").read_bytes()) <= 7_000


def test_links_of_readme_lead_somewhere():
    text = (REPOSITORY / "README.md").read_text()
    links = re.findall(r'\]\(([^)#\s]+)|src="([^"]+)"', text)
    places = [a or b for a, b in links if "://" not in (a or b)]
    assert places and all((REPOSITORY / place).exists() for place in places)
