"""The site builds without a warning: every link, heading and page of it exists."""

import os
import re
import shlex
import subprocess
import sys

import pytest
from workspace import REPOSITORY

pytest.importorskip("mkdocs")
OPTIONS = shlex.split(re.search(r"^\t.*\bmkdocs build (.*)$", (REPOSITORY / "Makefile").read_text(), re.M)[1])


def built(folder, site):
    """Build the site of a folder as `make docs` does."""
    command = [sys.executable, "-m", "mkdocs", "build", *OPTIONS, "--site-dir", str(site)]
    env = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, env=env)


def test_the_site_builds_without_a_warning(tmp_path):
    done = built(REPOSITORY, tmp_path / "site")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "kernel.damping" in (tmp_path / "site/config/index.html").read_text()


@pytest.mark.parametrize("link", ["nowhere.md", "other.md#no-such-heading"])
def test_a_wrong_link_ends_the_build(tmp_path, link):
    """MkDocs counts no warnings where it is told to be quiet."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/other.md").write_text("# Other\n")
    (tmp_path / "docs/index.md").write_text(f"# Page\n\n[words]({link})\n")
    (tmp_path / "mkdocs.yml").write_text("site_name: a\nvalidation: { links: { anchors: warn } }\n")
    done = built(tmp_path, tmp_path / "site")
    assert done.returncode != 0 and link in done.stdout + done.stderr
