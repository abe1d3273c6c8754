"""Rates of a machine for an experiment's model, by doing a little of every kind of work as its jobs do it.

Images are noise and the weights are random: neither changes what the work takes.
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
    """Work of one experiment on one device.

    Args:
        config: a complete configuration. denoiser: its model, on the device. caption: (token, width) or None.
        patience: seconds, about, that one kind of work may take: large models do less of it at a time.
    """

    def __init__(self, config, denoiser, caption, patience=3.0):
        self.config, self.denoiser, self.caption, self.patience = config, denoiser, caption, patience
        self.device = denoiser.device
        self.spec = {"seed": config["seed"], "gradients": config["gradients"], "projection": config["projection"]}

    def rates(self, start, light_start):
        """All rates of the machine; both starts are seconds before a job's work, with and without a model."""
        self.denoiser.unet.eval()
        single = self.single()
        call = self.call(min(64, self._rows(single)))
        # of the gradients' passes, in which a row of a small model takes less than alone
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
        needed = any(row.kernel == "fisher" or (row.basis and BASES[row.basis].map) for row in rows)
        measured["row"] = self.row() if needed else 0.0
        # last: it changes the weights
        measured["train"] = self.train() if "count" in self.config["checkpoints"] else 0.0
        return Rates(start, light_start, **measured)

    def _rows(self, seconds):
        """Rows whose gradient, about three calls of the model, takes a third of the patience."""
        return max(1, min(512, int(self.patience / (9 * seconds))))

    def memory(self):
        """Bytes that autograd keeps of one row, and columns of a gradient before its projection."""
        grad, example = per_example_gradients(self.spec, NAME, self.denoiser.unet), self._example(1)
        columns = grad(lambda z: train_loss(self.denoiser, z), [example]).shape[1]
        return grad.row_bytes, columns

    def load(self):
        """Seconds to load the model from a folder; of an adapter its base and the adapter itself."""
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
        for each in factors(trained).values():
            torch.nn.init.ones_(each.B)  # a new one's is 0, which is refused
        adapters.save(trained, folder)
        return self.seconds(lambda: adapters.load(folder, self.device))

    def call(self, rows):
        """Seconds per row of a call on several rows, as samples are made."""
        return self._call(rows) / rows

    def single(self):
        """Seconds of a call on one row, as a trajectory is made."""
        return self._call(1)

    def _call(self, rows):
        theta = self._sampling()
        x = torch.randn(rows, *theta.shape, device=self.device)
        condition = repeated(self._condition(), rows)
        return self.seconds(lambda: theta.prediction(x, theta.T // 2, condition))

    def train(self):
        """Seconds per image of a training step: loss, gradient, optimiser, average."""
        recipe = {**self.config["training"], "flip": self.config["data"]["flip"]}
        rows = min(recipe["batch_size"], self.rows)
        images, null = torch.randn(rows, *self.denoiser.shape), self.caption
        condition = repeated(self._condition(), rows)
        condition = None if condition is None else condition.cpu()
        denoiser = checkpoints.Denoiser(self.denoiser.unet.train(), self.denoiser.scheduler)
        trainer = DenoiserTrainer(denoiser, images, condition, {**recipe, "epochs": 1 << 20}, 0, NAME, null)
        return self.seconds(trainer.run_epoch) / rows

    def feature(self):
        """Seconds of one image's feature, extrapolated from fewer draws."""
        draws = self.config["attribution"]["train_draws"] * (2 if self.config["data"]["flip"] else 1)
        done, images = min(draws, self.rows), max(1, self.rows // draws)
        examples = [self._example(done) for _ in range(images)]
        grad, P = self._gradients()
        halves = 2 if self.config["features"]["keep_halves"] else 1
        each = self.seconds(lambda: train_features(self.denoiser, P, examples, grad)) / images
        return each * draws / done * halves

    def row(self):
        """Seconds of a Fisher row."""
        examples = [replace(self._example(1), v=torch.randn(1, *self.denoiser.shape, device=self.device))] * self.rows
        grad, P = self._gradients()
        return self.seconds(lambda: fisher_rows(self.denoiser, P, examples, grad)) / self.rows

    def _gradients(self):
        """Per-example gradients and the projection."""
        unet = self.denoiser.unet
        return per_example_gradients(self.spec, NAME, unet), projection(self.spec, NAME, unet)

    def gradient(self):
        """Seconds of g_t at one step, x̂0_t included; as ``feature``."""
        settings, theta = self.config["attribution"], self._sampling()
        draws, done = settings["target_draws"], min(settings["target_draws"], self.rows)
        example = self._example(done)
        grad, P = self._gradients()

        def step():
            one_step_estimate(theta, example.x0[0], self.denoiser.T // 2, self._condition(), settings["clip_x0_hat"])
            target_gradients(self.denoiser, P, [example], grad)

        return self.seconds(step) * draws / done

    def product(self, n=2048, d=1024):
        """Seconds of one multiply-add in float64, as a kernel is made."""
        phi = np.random.default_rng(0).standard_normal((n, d), np.float32)
        return self.seconds(lambda: gram(one_block(phi), n, d)) / (n * d * d / 2)

    def score(self, n=4096):
        """Seconds of one value of Φ in one target's scores, without reading the features, which is as fast."""
        d = min(n, projection(self.spec, NAME, self.denoiser.unet).d)  # as many rows: a value costs the same
        steps = len(self.config["attribution"]["steps"] or [0])
        random = np.random.default_rng(0)
        phi, g = random.standard_normal((n, d), np.float32), random.standard_normal((steps, d), np.float32)
        eye = one_block(np.eye(min(n, d)))
        every = self.seconds(lambda: [tau for _, tau in scores(one_block(phi), n, d, eye, g)])
        solving = self.seconds(lambda: [tau for _, tau in scores(one_block(phi[:1]), n, d, eye, g)])
        return max(every - solving, every / 10) / (n * d)

    def seconds(self, work):
        """Median seconds of ``work`` after a first time."""
        # of this one thread on a CPU, whatever else the machine does
        clock = time.perf_counter if self.device.type == "cuda" else time.process_time
        work()
        taken, end = [], time.perf_counter() + self.patience
        while not taken or (time.perf_counter() < end and len(taken) < 20):
            self._wait()
            start = clock()
            work()
            self._wait()
            taken.append(clock() - start)
        return float(np.median(taken))

    def _wait(self):
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def _sampling(self):
        guidance = self.config["sampling"]["guidance"]
        return guided(self.denoiser, self.caption, guidance)

    def _condition(self):
        """One row's condition, on the device."""
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
