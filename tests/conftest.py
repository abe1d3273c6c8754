"""What every test shares: one thread, so that parallel test workers never outnumber the cores."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import pytest
import torch

torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))


def pytest_addoption(parser):
    parser.addoption("--write-golden", action="store_true", help="write golden outputs of new stage versions")


@pytest.fixture
def tiny_model():
    """The config section ``model`` of a UNet with 8 × 8 grey images and a few thousand parameters."""
    return {
        "unet": {
            "sample_size": 8,
            "in_channels": 1,
            "out_channels": 1,
            "block_out_channels": [8, 8],
            "down_block_types": ["DownBlock2D", "DownBlock2D"],
            "up_block_types": ["UpBlock2D", "UpBlock2D"],
            "layers_per_block": 1,
            "norm_num_groups": 4,
        },
        "scheduler": {"num_train_timesteps": 1000},
    }
