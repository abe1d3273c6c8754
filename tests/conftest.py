"""Settings shared by all tests: one thread each, so that parallel test workers never need more cores than there are."""

import copy
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault(
    "WAYPOINT_LOGGER", "snakemake"
)  # most tests read Snakemake's own output; tests/workflow/terminal do not

import diffusers  # noqa: F401  the full library: Waypoint itself would import it without transformers
import pytest
import torch
from support import UNET

torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))


def pytest_addoption(parser):
    parser.addoption("--write-golden", action="store_true", help="write golden outputs of new stage versions")


@pytest.fixture
def tiny_model():
    """Return the section ``model`` of a UNet for 8 × 8 grey images with a few thousand parameters."""
    return {"unet": copy.deepcopy(UNET), "scheduler": {"num_train_timesteps": 1000}}
