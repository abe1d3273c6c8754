"""Train the base of experiments/emoji-lora.yaml anew: the model of experiments/emoji.yaml, smaller, on all other emoji.

    python benchmarks/emoji_base.py results/emoji-base-source     # about 25 minutes on one core
    python benchmarks/emoji_base.py results/emoji-base-source --keep experiments/emoji-base

The first writes a configuration and runs Snakemake; the second keeps what it made, in float16, with the scheduler and
the VAE, as it is in the repository.
"""

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

REPOSITORY = Path(__file__).parents[1]
sys.path.insert(0, str(REPOSITORY / "workflow_scripts"))

from waypoint.store.data.emoji import named_drawings, require_emoji  # noqa: E402


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("store", type=Path)
    parser.add_argument("--keep", type=Path, help="keep the finished base here instead of training it")
    args = parser.parse_args()
    if args.keep:
        keep(args.store / "emoji-base", args.keep)
        return
    args.store.mkdir(parents=True, exist_ok=True)
    file = args.store / "emoji-base.yaml"
    file.write_text(yaml.safe_dump(configuration(args.store)))
    wanted = str(args.store / "emoji-base/checkpoints/full/0")
    command = ["snakemake", "--cores", "1", "--configfile", str(file), "--", wanted]
    sys.exit(subprocess.call(command, cwd=REPOSITORY))


def configuration(store):
    """experiments/emoji.yaml with a smaller network, without the drawings of experiments/emoji-lora.yaml."""
    config, adapters = (
        yaml.safe_load((REPOSITORY / f"experiments/{name}.yaml").read_text()) for name in ("emoji", "emoji-lora")
    )
    drawings = len(named_drawings(*require_emoji({"path": None})))
    others = sorted(set(range(drawings)) - set(adapters["data"]["subset"]))
    config |= {"experiment": "emoji-base", "store": str(store), "methods": ["pixel"], "checkpoints": {"count": 1}}
    config["data"] = {"source": "emoji", "size": 32, "subset": others}
    config["model"]["unet"]["block_out_channels"] = [48, 64]
    config["training"]["epochs"], config["vae"]["train"]["epochs"] = 42, 14
    config["targets"] = config["targets"][:1]
    del config["evaluation"], config["image_encoders"]
    return config


def keep(root, out):
    """Copy the network and the VAE in float16, and the scheduler."""
    from diffusers import AutoencoderKL, UNet2DConditionModel

    source = root / "checkpoints/full/0"
    UNet2DConditionModel.from_pretrained(source / "unet").half().save_pretrained(out / "unet")
    AutoencoderKL.from_pretrained(root / "encoders/vae").half().save_pretrained(out / "vae")
    shutil.copytree(source / "scheduler", out / "scheduler", dirs_exist_ok=True)


if __name__ == "__main__":
    main()
