"""Run a script and die by SIGKILL at a chosen moment: killed.py MOMENT COUNT SCRIPT [arguments].

MOMENT is epoch (before the COUNT-th), save (half way through the COUNT-th state), model (weights written, the
rest not) or put (after the COUNT-th block of a store); "never" runs to the end, with the same small
blocks.
"""

import os
import runpy
import signal
import sys

import torch

from waypoint.science import training
from waypoint.science.gradients import batching
from waypoint.store.networks import checkpoints
from waypoint.store.zarr.writer import StoreWriter

moment, count, script = sys.argv[1], int(sys.argv[2]), sys.argv[3]
calls = 0
batching.rows_in_memory = lambda p, device: 8


def dies(function, act=lambda *arguments: None):
    def counted(*arguments, **named):
        global calls
        calls += 1
        if calls == count:
            act(*arguments)
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*arguments, **named)

    return counted


if moment == "epoch":
    training.Trainer.run_epoch = dies(training.Trainer.run_epoch)
elif moment == "save":
    save = torch.save
    half = lambda state, file: (save(state, file), file.truncate(file.tell() // 2))  # noqa: E731
    torch.save = dies(save, half)
elif moment == "model":
    checkpoints.save = dies(checkpoints.save, lambda unet, scheduler, folder: unet.save_pretrained(folder / "unet"))
elif moment == "put":
    put = StoreWriter.put
    StoreWriter.put = dies(put, put)
sys.argv = sys.argv[3:]
runpy.run_path(script, run_name="__main__")
