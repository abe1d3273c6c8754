"""Do the digits that the default experiment's models generate look like digits?

Samples many images from every checkpoint of a finished run and measures, against independent classifiers
and held-out real digits that no model has seen:
  sure      share that a classifier is sure of (probability > 0.9), generated against held-out real
  classes   how often each of the ten digits appears
  nearest   median distance to the nearest training image: memorised images would lie nearer than real ones

    python benchmarks/digits_quality.py [STORE/EXPERIMENT] [SAMPLES]
"""

import copy
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow_scripts"))

import numpy as np
import torch
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.svm import SVC

from waypoint.science.random_streams import torch_stream
from waypoint.store.networks import checkpoints
from waypoint.store.zarr.reader import open_store
from waypoint.workflow.plan.specs import settings_of

CLASSIFIERS = {
    "support vectors": CalibratedClassifierCV(SVC(gamma=0.02, C=10, random_state=0), ensemble=False),
    "network": MLPClassifier((128, 64), max_iter=300, random_state=0),
    "logistic": LogisticRegression(max_iter=1000),
}


def sample(theta, steps, n, seed):
    """n images by ancestral sampling, in one batch."""
    stream = torch_stream(seed, "quality")
    scheduler = copy.deepcopy(theta.scheduler)
    scheduler.set_timesteps(steps)
    x = torch.randn(n, 1, 8, 8, generator=stream)
    with torch.no_grad():
        for t in scheduler.timesteps:
            x = scheduler.step(theta.output(x, t), t, x, generator=stream).prev_sample
    return x.numpy()


def nearest(images, train):
    """Distance of each image to its nearest training image."""
    return torch.cdist(torch.from_numpy(images).flatten(1), torch.from_numpy(train).flatten(1)).min(1).values.numpy()


def main(root="results/digits", samples=500):
    store = open_store(f"{root}/data/train.zarr")
    train, rows = store["image"][:], store["source_index"][:]
    real = load_digits()
    every, labels = (real.images[:, None] / 8 - 1).astype(np.float32), real.target
    # the real digits of the comparison are new to the models and to the classifiers
    compared = np.setdiff1d(np.arange(len(every)), rows)[::2]
    seen = np.setdiff1d(np.arange(len(every)), compared)
    for classifier in CLASSIFIERS.values():
        classifier.fit(every[seen].reshape(len(seen), -1), labels[seen])
    near = np.median(nearest(every[compared], train))
    print(f"held-out real digits: {len(compared)}, nearest training image {near:.3f}")
    for folder in sorted(Path(root, "checkpoints/full").iterdir()):
        images = sample(checkpoints.load(folder), store_steps(root), samples, 1)
        print(f"full/{folder.name}: {samples} samples, nearest training image {np.median(nearest(images, train)):.3f}")
        for name, classifier in CLASSIFIERS.items():
            made, real = (classifier.predict_proba(x.reshape(len(x), -1)) for x in (images, every[compared]))
            ratio = (made.max(1) > 0.9).mean() / (real.max(1) > 0.9).mean()
            counts = np.bincount(made.argmax(1), minlength=10)
            print(f"  {name}: sure of {ratio:.0%} as many as of real digits; classes {counts.tolist()}")


def store_steps(root):
    """Sampling steps of the run."""
    first = next(Path(root, "targets").iterdir())
    return settings_of(open_store(first / "trajectory.zarr").attrs["spec"])["sampling"]["steps"]


if __name__ == "__main__":
    main(*sys.argv[1:2], *map(int, sys.argv[2:3]))
