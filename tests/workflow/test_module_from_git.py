"""Waypoint as a module from a repository elsewhere, which Snakemake fetches only in part.

What would be github.com is a folder of this machine: git is told so by its own configuration, and all else is as it is.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import types
from pathlib import Path

import git
import pytest
import warm
import yaml
from snakemake.exceptions import WorkflowError
from snakemake.sourcecache import GenericSourceFile, GithubFile, LocalGitFile, LocalSourceFile
from workspace import CONFIG, REPOSITORY

SMALL = {**CONFIG, "methods": ["random"], "targets": [{"id": "a", "seed": 1}]}
MODULE = """
configfile: "experiment.yaml"
module waypoint:
    snakefile: {snakefile}
    config: config
    prefix: "attribution"
use rule * from waypoint as waypoint_*
"""
# the second job begins when the branch has moved and that was fetched; it is a process of its own, for it runs Python
OWN_RULES = """
rule move_the_branch:
    input: "attribution/store/tiny/data/near_duplicates.zarr"
    output: touch("moved")
    shell: "bash move.sh"

rule which:
    input: "moved"
    output: "which.txt"
    run:
        with open(output[0], "w") as file:
            print(waypoint.REPOSITORY, file=file)
"""


def committed(folder):
    subprocess.run(["git", "add", "--all"], cwd=folder, check=True)
    person = ["-c", "user.name=Test", "-c", "user.email=test@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *person, "commit", "--quiet", "--allow-empty", "-m", "test"], cwd=folder, check=True)
    return commit(folder, "HEAD")


def commit(folder, ref):
    return subprocess.check_output(["git", "rev-parse", ref], cwd=folder, text=True).strip()


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    """A folder with the repository owner/waypoint, whose only commit is this working tree."""
    hub_folder = tmp_path_factory.mktemp("hub")
    folder = hub_folder / "owner/waypoint"
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    for name in subprocess.check_output(listed, cwd=REPOSITORY, text=True).split("\0"):
        if name and (REPOSITORY / name).exists() and not name.startswith(("docs/results/", "experiments/emoji")):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(REPOSITORY / name, folder / name, follow_symlinks=False)
    subprocess.run(["git", "init", "--quiet", "-b", "main"], cwd=folder, check=True)
    committed(folder)
    subprocess.run(["git", "tag", "v1.0"], cwd=folder, check=True)
    return hub_folder


@pytest.fixture(scope="module")
def environment(hub, tmp_path_factory):
    """Variables by which git takes the folder for github.com, and Snakemake's cache is a new one."""
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith(("GIT", "XDG"))},
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.{hub.as_uri()}/.insteadOf",
        "GIT_CONFIG_VALUE_0": "https://github.com/",
        "XDG_CACHE_HOME": str(tmp_path_factory.mktemp("cache")),
        "PATH": f"{warm.folder()}{os.pathsep}{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }


def clones(environment):
    """The folders of clones, finished or not."""
    return list(Path(environment["XDG_CACHE_HOME"]).glob("snakemake/**/source-cache/waypoint/*"))


def snakemake(folder, environment, *arguments):
    command = [sys.executable, "-m", "snakemake", "--cores", "1", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def users(folder, snakefile, more=""):
    (folder / "Snakefile").write_text(MODULE.format(snakefile=snakefile) + more)
    (folder / "experiment.yaml").write_text(yaml.safe_dump(SMALL))


def counted(text):
    return dict(re.findall(r"^(\w+) +(\d+)$", text, re.M))


@pytest.fixture(scope="module")
def local(environment, tmp_path_factory):
    """The jobs by rule that a module by its path plans."""
    folder = tmp_path_factory.mktemp("local")
    users(folder, f'"{REPOSITORY / "Snakefile"}"')
    jobs = counted(snakemake(folder, environment, "-n"))
    assert jobs["waypoint_train"] == "2"
    return jobs


@pytest.mark.parametrize(
    "snakefile",
    [
        'github("owner/waypoint", path="workflow/Snakefile", tag="v1.0")',
        'github("owner/waypoint", path="Snakefile", tag="v1.0")',
        '"git+file://{hub}/owner/waypoint/workflow/Snakefile@v1.0"',
    ],
)
def test_a_module_from_elsewhere_plans_the_same_jobs(local, hub, environment, tmp_path, snakefile):
    users(tmp_path, snakefile.format(hub=hub))
    text = snakemake(tmp_path, environment, "-n")
    assert counted(text) == local and "attribution/store/tiny/data/train.zarr" in text
    (clone,) = [clone for clone in clones(environment) if clone.name == commit(hub / "owner/waypoint", "v1.0")]
    assert (clone / "workflow_scripts/waypoint").is_dir()


def test_a_run_keeps_the_commit_that_it_began_with(hub, environment, tmp_path):
    began = commit(hub / "owner/waypoint", "main")
    person = "-c user.name=Test -c user.email=test@example.org"
    bare = "$XDG_CACHE_HOME/snakemake/*/source-cache/snakemake-git-cache/github.com/owner/waypoint"
    (tmp_path / "move.sh").write_text(
        f"git -C {hub}/owner/waypoint {person} commit --quiet --allow-empty -m moved\n"
        f"git -C {bare} fetch --quiet origin '+refs/heads/*:refs/heads/*'\n"
    )
    branch = 'github("owner/waypoint", path="workflow/Snakefile", branch="main")'
    users(tmp_path, branch, OWN_RULES)
    snakemake(tmp_path, environment, "which.txt")
    attributes = json.loads((tmp_path / "attribution/store/tiny/data/train.zarr/zarr.json").read_text())["attributes"]
    assert attributes["commit"] == began
    assert Path((tmp_path / "which.txt").read_text().strip()).name == began
    # the next run has the branch as it is
    assert "Nothing to be done" in snakemake(tmp_path, environment, "-n", "attribution/store/tiny/data/train.zarr")
    assert {began, commit(hub / "owner/waypoint", "main")} <= {clone.name for clone in clones(environment)}


def test_what_snakedeploy_writes_plans_the_default_experiment(hub, environment, tmp_path):
    shutil.copytree(hub / "owner/waypoint/config", tmp_path / "config")  # as it does
    assert (tmp_path / "config/config.yaml").read_text() == (REPOSITORY / "config.yaml").read_text()
    (tmp_path / "workflow").mkdir()
    (tmp_path / "workflow/Snakefile").write_text(
        'configfile: "config/config.yaml"\n'
        "module waypoint:\n"
        '    snakefile: github("owner/waypoint", path="workflow/Snakefile", tag="v1.0")\n'
        "    config: config\n"
        "use rule * from waypoint\n"
    )
    text = snakemake(tmp_path, environment, "-n")
    assert "results/digits/data/train.zarr" in text and counted(text)["all"] == "1"


# ---- the rule file alone, with what Snakemake would give it


def repository_of(source, cache, main=True):
    """Return REPOSITORY as rules/repository.smk of a source has it."""
    workflow = types.SimpleNamespace(
        included_stack=[source],
        current_basedir=source.get_basedir(),
        is_main_process=main,
        sourcecache=types.SimpleNamespace(cache_path=cache),
    )
    if isinstance(source, GithubFile):
        source.cache_path = cache
    names = {"workflow": workflow, "WorkflowError": WorkflowError}
    exec((REPOSITORY / "rules/repository.smk").read_text(), names)
    return names["REPOSITORY"]


@pytest.fixture
def small(tmp_path, monkeypatch):
    """A repository with one rule file, and no clones yet."""
    monkeypatch.delenv("WAYPOINT_CLONES", raising=False)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    folder = tmp_path / "small"
    (folder / "rules").mkdir(parents=True)
    (folder / "rules/repository.smk").write_text("first")
    subprocess.run(["git", "init", "--quiet", "-b", "main"], cwd=folder, check=True)
    committed(folder)
    return folder


def of_branch(folder):
    return LocalGitFile(str(folder), "rules/repository.smk", ref="main")


def test_the_repository_of_a_local_file_is_above_it_without_git(tmp_path, monkeypatch):
    monkeypatch.setattr(git.Repo, "__init__", None)
    here = LocalSourceFile(str(tmp_path / "rules/repository.smk"))
    assert repository_of(here, tmp_path / "cache") == tmp_path
    assert list(tmp_path.iterdir()) == []


def test_jobs_have_the_clone_of_their_run(small, tmp_path):
    first = repository_of(of_branch(small), tmp_path / "cache")
    (small / "rules/repository.smk").write_text("second")
    moved = committed(small)
    assert repository_of(of_branch(small), tmp_path / "cache", main=False) == first
    shutil.rmtree(first)  # a job on a machine with another cache
    assert repository_of(of_branch(small), tmp_path / "cache", main=False).name == moved
    assert (tmp_path / "cache/waypoint" / moved / "rules/repository.smk").read_text() == "second"


def test_a_clone_appears_only_when_it_is_complete(small, tmp_path, monkeypatch):
    def interrupted(*arguments):
        raise OSError("no space left")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", interrupted)
        with pytest.raises(WorkflowError, match=r"could not be cloned \(no space left\)"):
            repository_of(of_branch(small), tmp_path / "cache")
    assert list((tmp_path / "cache/waypoint").iterdir()) == []

    rename = Path.rename

    def second(part, folder):
        shutil.copytree(part, folder)  # another run was faster
        return rename(part, folder)

    monkeypatch.setattr(Path, "rename", second)
    clone = repository_of(of_branch(small), tmp_path / "cache")
    assert list((tmp_path / "cache/waypoint").iterdir()) == [clone]
    assert (clone / "rules/repository.smk").read_text() == "first"


def test_without_the_repository_one_sentence_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("GITHUB_TOKEN", "secret")
    for name, value in {"COUNT": "1", "KEY_0": f"url.file://{tmp_path}/.insteadOf", "VALUE_0": "https://"}.items():
        monkeypatch.setenv(f"GIT_CONFIG_{name}", value)
    hosted = GithubFile("owner/none", path="rules/repository.smk", tag="v1.0")
    with pytest.raises(WorkflowError) as refused:
        repository_of(hosted, tmp_path / "cache")
    assert "that of github.com/owner/none/rules/repository.smk@v1.0 could not be cloned" in str(refused.value)
    assert "clone it yourself and name the path of its Snakefile" in str(refused.value)
    assert "secret" not in str(refused.value)


def test_the_address_of_a_single_file_is_refused(tmp_path):
    with pytest.raises(WorkflowError, match=r"address of a single file: name the repository, as in github\("):
        repository_of(GenericSourceFile("https://example.org/rules/repository.smk"), tmp_path)


# ---- the catalog


def test_the_repository_has_what_the_catalog_asks_for():
    shown = yaml.safe_load((REPOSITORY / ".snakemake-workflow-catalog.yml").read_text())["usage"]
    assert shown["report"] and shown["software-stack-deployment"]["conda"]
    text = (REPOSITORY / "config/README.md").read_text()
    for link in re.findall(r"\]\(([^)#]+)", text):
        assert (REPOSITORY / "config" / link).exists(), link
    readme = (REPOSITORY / "README.md").read_text().lower()
    assert "snakemake" in readme and "workflow" in readme
    assert list((REPOSITORY / "rules").glob("*.smk"))
