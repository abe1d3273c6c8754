"""Settings that all tests share: one thread, so that parallel test workers never outnumber the cores."""

import copy
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("WAYPOINT_LOGGER", "snakemake")  # its own words, which tests read; tests/workflow/terminal do not

import diffusers  # noqa: F401  all of it: waypoint alone would leave transformers out
import pytest
import torch
from support import UNET

torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))


def pytest_addoption(parser):
    parser.addoption("--write-golden", action="store_true", help="write golden outputs of new stage versions")


@pytest.fixture
def tiny_model():
    """The config section ``model`` of a UNet with 8 × 8 grey images and a few thousand parameters."""
    return {"unet": copy.deepcopy(UNET), "scheduler": {"num_train_timesteps": 1000}}
