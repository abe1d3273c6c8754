"""A run whose networks do not fit stops before its first job: a process of its own looks at them."""

import os
import sys
from pathlib import Path

import pytest
from pipelines import makers, saved
from support import tiny_config, tiny_denoiser
from workspace import CONFIG, Workspace

from waypoint.errors import WaypointError
from waypoint.workflow.plan import networks
from waypoint.workflow.plan.plan import Plan


def test_a_run_stops_before_its_first_job(tmp_path, tiny_model):
    paths = [saved(tmp_path / name, tiny_denoiser(tiny_model, freq_shift=k)) for k, name in enumerate("ab")]
    config = {**CONFIG, "model": None, "checkpoints": {"paths": paths}}
    done = Workspace(tmp_path / "here", config).snakemake("features")
    assert done.returncode and "freq_shift: 1 against 0" in done.stderr
    assert not (tmp_path / "here/store").exists()


def test_a_process_of_its_own_says_the_same(tmp_path, tiny_model, monkeypatch):
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)
    paths = [saved(tmp_path / name, tiny_denoiser(tiny_model, freq_shift=k)) for k, name in enumerate("ab")]
    plan = Plan(tiny_config(None, checkpoints={"paths": paths}))
    networks.require_fit(plan, makers(plan)[:1], None)
    with pytest.raises(WaypointError, match=r"^checkpoint .*/b and .*/a have different unet configs"):
        networks.require_fit(plan, makers(plan), None)
