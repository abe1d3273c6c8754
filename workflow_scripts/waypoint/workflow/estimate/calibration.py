"""Measurement of a machine's rates for an experiment's model: a little of every kind of work, done as its jobs do it.

Images are noise and the weights are random, since neither affects how long the work takes.
"""

import copy
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from waypoint.science.algorithm1 import one_step_estimate, target_gradients, train_features, train_loss
from waypoint.science.fisher import fisher_rows
from waypoint.science.gradients.examples import Example
from waypoint.science.kernel import gram, one_block, scores
from waypoint.science.networks.lora import factors, has_adapter
from waypoint.science.processes.ddpm import repeated
from waypoint.science.processes.guidance import guided
from waypoint.science.training import DenoiserTrainer
from waypoint.store.networks import adapters, checkpoints
from waypoint.store.networks.adapter_files import base_of
from waypoint.workflow.bases import BASES
from waypoint.workflow.estimate.costs import Rates
from waypoint.workflow.jobs.gradients_from_spec import per_example_gradients, projection
from waypoint.workflow.methods import METHODS

NAME = "full/0"


class Calibration:
    """The timed work of one experiment on one device.

    Args:
        config: a complete configuration. denoiser: its model, on the device. caption: (token, width) or None.
        patience: seconds that one kind of work may take, approximately; large models do less of it at a time.
    """

    def __init__(self, config, denoiser, caption, patience=3.0):
        self.config, self.denoiser, self.caption, self.patience = config, denoiser, caption, patience
        self.device = denoiser.device
        self.spec = {"seed": config["seed"], "gradients": config["gradients"], "projection": config["projection"]}

    def rates(self, start, light_start):
        """Return all rates of the machine.

        Args:
            start, light_start: seconds before a job's work begins, with and without a model.
        """
        self.denoiser.unet.eval()
        single = self.single()
        call = self.call(min(64, self._rows(single)))
        # rows of a gradient pass: in a batch, a row of a small model takes less time than alone
        self.rows = self._rows(call)
        measured = {
            "load": self.load(),
            "call": call,
            "single": single,
            "product": self.product(),
        }
        if self.config["data"] is None:
            return Rates(start, light_start, **measured, train=0.0, feature=0.0, row=0.0, gradient=0.0, score=0.0)
        measured |= {"feature": self.feature(), "gradient": self.gradient(), "score": self.score()}
        rows = [METHODS[settings["method"]] for settings in self.config["methods"].values()]
        uses_rows = any(row.kernel == "fisher" or (row.basis and BASES[row.basis].map) for row in rows)
        measured["row"] = self.row() if uses_rows else 0.0
        # last, because it changes the weights
        measured["train"] = self.train() if "count" in self.config["checkpoints"] else 0.0
        return Rates(start, light_start, **measured)

    def _rows(self, seconds):
        """Return the number of rows whose gradients, about three calls each, take a third of the patience."""
        return max(1, min(512, int(self.patience / (9 * seconds))))

    def memory(self):
        """Return the bytes that autograd keeps of one row, and the columns of a gradient before its projection."""
        grad, example = per_example_gradients(self.spec, NAME, self.denoiser.unet), self._example(1)
        columns = grad(lambda z: train_loss(self.denoiser, z), [example]).shape[1]
        return grad.row_bytes, columns

    def load(self):
        """Return the seconds to load the model from a folder; for an adapter, its base and the adapter itself."""
        with tempfile.TemporaryDirectory() as folder:
            if has_adapter(self.denoiser.unet):
                return self._load_adapter(Path(folder, "full/0"))
            checkpoints.save(self.denoiser.unet, self.denoiser.scheduler, folder)
            return self.seconds(lambda: checkpoints.load(folder, self.device))

    def _load_adapter(self, folder):
        plain = type(self.denoiser.unet).from_config(self.denoiser.unet.config)
        checkpoints.save(plain, self.denoiser.scheduler, base_of(folder))
        folder.mkdir(parents=True)
        trained = copy.deepcopy(self.denoiser.unet)
        for factor in factors(trained).values():
            torch.nn.init.ones_(factor.B)  # 0 in a new adapter, which loading would refuse
        adapters.save(trained, folder)
        return self.seconds(lambda: adapters.load(folder, self.device))

    def call(self, rows):
        """Return the seconds per row of a call on several rows, as when samples are generated."""
        return self._call(rows) / rows

    def single(self):
        """Return the seconds of a call on one row, as when a trajectory is generated."""
        return self._call(1)

    def _call(self, rows):
        theta = self._sampling()
        x = torch.randn(rows, *theta.shape, device=self.device)
        condition = repeated(self._condition(), rows)
        return self.seconds(lambda: theta.prediction(x, theta.T // 2, condition))

    def train(self):
        """Return the seconds per image of a training step: loss, gradient, optimiser and moving average."""
        recipe = {**self.config["training"], "flip": self.config["data"]["flip"]}
        rows = min(recipe["batch_size"], self.rows)
        images, null = torch.randn(rows, *self.denoiser.shape), self.caption
        condition = repeated(self._condition(), rows)
        condition = None if condition is None else condition.cpu()
        denoiser = checkpoints.Denoiser(self.denoiser.unet.train(), self.denoiser.scheduler)
        trainer = DenoiserTrainer(denoiser, images, condition, {**recipe, "epochs": 1 << 20}, 0, NAME, null)
        return self.seconds(trainer.run_epoch) / rows

    def feature(self):
        """Return the seconds of one image's feature, extrapolated from fewer draws."""
        draws = self.config["attribution"]["train_draws"] * (2 if self.config["data"]["flip"] else 1)
        timed_draws, images = min(draws, self.rows), max(1, self.rows // draws)
        examples = [self._example(timed_draws) for _ in range(images)]
        grad, P = self._gradients()
        halves = 2 if self.config["features"]["keep_halves"] else 1
        seconds = self.seconds(lambda: train_features(self.denoiser, P, examples, grad)) / images
        return seconds * draws / timed_draws * halves

    def row(self):
        """Return the seconds of a Fisher row."""
        examples = [replace(self._example(1), v=torch.randn(1, *self.denoiser.shape, device=self.device))] * self.rows
        grad, P = self._gradients()
        return self.seconds(lambda: fisher_rows(self.denoiser, P, examples, grad)) / self.rows

    def _gradients(self):
        """Return the per-example gradients and the projection."""
        unet = self.denoiser.unet
        return per_example_gradients(self.spec, NAME, unet), projection(self.spec, NAME, unet)

    def gradient(self):
        """Return the seconds of g_t at one step, x̂0_t included, extrapolated as in ``feature``."""
        settings, theta = self.config["attribution"], self._sampling()
        draws, timed_draws = settings["target_draws"], min(settings["target_draws"], self.rows)
        example = self._example(timed_draws)
        grad, P = self._gradients()

        def step():
            one_step_estimate(theta, example.x0[0], self.denoiser.T // 2, self._condition(), settings["clip_x0_hat"])
            target_gradients(self.denoiser, P, [example], grad)

        return self.seconds(step) * draws / timed_draws

    def product(self, n=2048, d=1024):
        """Return the seconds of one multiply-add in float64, as when a kernel is made."""
        phi = np.random.default_rng(0).standard_normal((n, d), np.float32)
        return self.seconds(lambda: gram(one_block(phi), n, d)) / (n * d * d / 2)

    def score(self, n=4096):
        """Return the seconds of one value of Φ in one target's scores, without reading it, which is as fast."""
        # no more columns than rows: a value costs the same
        d = min(n, projection(self.spec, NAME, self.denoiser.unet).d)
        steps = len(self.config["attribution"]["steps"] or [0])
        random = np.random.default_rng(0)
        phi, g = random.standard_normal((n, d), np.float32), random.standard_normal((steps, d), np.float32)
        eye = one_block(np.eye(min(n, d)))
        total = self.seconds(lambda: [tau for _, tau in scores(one_block(phi), n, d, eye, g)])
        solving = self.seconds(lambda: [tau for _, tau in scores(one_block(phi[:1]), n, d, eye, g)])
        return max(total - solving, total / 10) / (n * d)

    def seconds(self, work):
        """Return the median seconds of ``work`` after one untimed run."""
        # on a CPU the time of this process alone, whatever else the machine does
        clock = time.perf_counter if self.device.type == "cuda" else time.process_time
        work()
        times, end = [], time.perf_counter() + self.patience
        while not times or (time.perf_counter() < end and len(times) < 20):
            self._wait()
            start = clock()
            work()
            self._wait()
            times.append(clock() - start)
        return float(np.median(times))

    def _wait(self):
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def _sampling(self):
        guidance = self.config["sampling"]["guidance"]
        return guided(self.denoiser, self.caption, guidance)

    def _condition(self):
        """Return the condition of one row, on the device, or None."""
        if self.denoiser.conditioned_by == "encoder_hidden_states":
            return self.caption[None].to(self.device)
        if self.denoiser.conditioned_by == "class_labels":
            return torch.zeros(1, dtype=torch.int64, device=self.device)
        return None

    def _example(self, draws):
        shape = self.denoiser.shape
        t = torch.randint(self.denoiser.T, (draws,), device=self.device)
        x0, epsilon = torch.randn(shape, device=self.device), torch.randn(draws, *shape, device=self.device)
        return Example(x0.expand(epsilon.shape), t, epsilon, repeated(self._condition(), draws))
