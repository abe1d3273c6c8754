"""Golden outputs of adapters: one that is trained for three steps, by the stage ``train``, and what it does."""

import shutil

import numpy as np
import pandas as pd
from inputs import STEPS, N, numbers
from safetensors.torch import load_file
from support import run_script

from waypoint.store.networks.adapter_files import FILE


def adapter_effect_stage(tmp_path, data, checkpoint, trajectory):
    base, full = tmp_path / "checkpoints/base/0", tmp_path / "checkpoints/full/0"
    shutil.copytree(checkpoint, base)
    recipe = {"epochs": 3, "batch_size": N, "learning_rate": 1e-2, "weight_decay": 0.01, "ema": 0.9}
    spec = {"seed": 0, "training": {**recipe, "gradient_clip": 1.0, "flip": False}}
    spec["adapter"] = {"rank": 2, "alpha": 4, "targets": ["to_q", "to_out.0"]}
    run_script("train", spec=spec, data=data, base=base, name=["full/0"], resume=tmp_path / "resume", out=[full])
    spec = {"seed": 0, "targets": {"a": {"steps": STEPS, "origin": {"seed": 1}}}, "attribution": {}}
    common = {"models": [full], "trajectories": [trajectory], "out": tmp_path / "effect.csv"}
    run_script("adapter_effect", spec={**spec, "checkpoints": ["full/0"]}, **common)
    weights = np.concatenate([tensor.flatten().numpy() for _, tensor in sorted(load_file(full / FILE).items())])
    table = pd.read_csv(tmp_path / "effect.csv")
    return {
        "loss": pd.read_csv(full / "loss.csv").loss.to_numpy(),
        "weights": weights @ numbers(len(weights), 8, seed=6),
        "effect": table[["with_adapter", "without"]].to_numpy(),
    }


GOLDEN = {"adapter_effect": adapter_effect_stage}
