"""Finished experiments for tests and benchmarks of the explorer: arrays as jobs leave them, without any training."""

import csv

import numpy as np
from support import run_script, staged, store

from waypoint.store.artifacts.atomic import atomic_file
from waypoint.store.zarr.writer import create_store

SAMPLES = 6  # of p(·|x_t) per step, of which the page shows four
CLASSES = ["zero", "one", "two", "three"]
HOSTILE = "<img src=x onerror=\"document.title='broken'\"><script>document.title='broken'</script>&amp;"


def smooth(rng, shape):
    """Return images (…, C, H, W) in [-1, 1] that look a little like pictures: a wave and some noise."""
    *many, channels, height, width = shape
    y, x = np.mgrid[0:height, 0:width].astype(np.float32) / max(height, width)
    fy, fx, phase = (rng.uniform(-4, 4, (*many, channels, 1, 1)).astype(np.float32) for _ in range(3))
    waves = np.sin(fy * y * 3 + fx * x * 3 + phase)
    return np.clip(0.8 * waves + 0.1 * rng.standard_normal(shape, np.float32), -1, 1)


class FinishedStore:
    """An experiment's folder with everything that the page reads.

    Attributes:
        root: the folder. targets, methods: names. steps: numbers. score: {(method, target): (S, N)}.
        first: (N,), the first near-duplicate of each image.

    Args:
        n: number of training images. shape: (C, H, W).
        kept: whether scores are stored by checkpoint, so that lists are judged.
        captions: (N) texts. prompts: {target: prompt}. masks: {target: (whole, box)}.
        groups: whether there are groups, by class. lds: whether there is a table of LDS. files: names of the images.
        sampling: number of sampling steps. blocks: number of images generated at a time.
        latent: whether the process runs in latents, so that samples hold the decoded x_t and x̂0_t.
        chunk_bytes: size of the chunks of the process's pictures; by default a few rows, and fewer than all samples.
    """

    def __init__(
        self,
        root,
        n=60,
        shape=(1, 8, 8),
        targets=("a", "b", "c"),
        methods=("ekfac", "trak", "random"),
        steps=(100, 300, 500, 700, 900),
        kept=True,
        captions=None,
        prompts=None,
        masks=None,
        groups=True,
        lds=True,
        files=None,
        sampling=20,
        latent=False,
        blocks=2000,
        chunk_bytes=800,
    ):
        self.root, self.targets, self.methods, self.steps = root, list(targets), list(methods), list(steps)
        self.n, self.shape, self.masks, self.prompts, self.groups = n, shape, masks or {}, prompts or {}, groups
        self.rng, self.latent, self.chunk_bytes = np.random.default_rng(0), latent, chunk_bytes
        self.files = files or [f"{CLASSES[i % 4]}/{i:05d}.png" for i in range(n)]
        self.labels = np.arange(n) % 4
        self._data(captions, blocks)
        for target in self.targets:
            self._trajectory(target, sampling)
        self.score = {}
        for method in self.methods:
            for target in self.targets:
                self._scores(method, target, kept)
        self._lists()
        if groups:
            self._groups()
        if lds:
            self._lds()

    # ---- outputs of jobs

    def _data(self, captions, blocks):
        image = np.concatenate(
            [smooth(self.rng, (min(blocks, self.n - k), *self.shape)) for k in range(0, self.n, blocks)]
        )
        self.first = np.arange(self.n)
        self.first[5] = self.first[9] = 1  # three images that show the same
        image[5] = image[9] = image[1]
        arrays = {
            "image": (["train", "channel", "y", "x"], image),
            "file": (["train"], np.array(self.files)),
            "label": (["train"], self.labels, {"class_names": CLASSES}),
        }
        if captions:
            arrays["caption"] = (["train"], np.array(captions))
        store(self.root / "data/train.zarr", self._attributes("prepare_data", sha256="0"), **arrays)
        first = (["train"], self.first)
        store(self.root / "data/near_duplicates.zarr", self._attributes("near_duplicates"), first=first)

    def _trajectory(self, target, sampling):
        grid = sorted({*self.steps, *range(0, 1000, 1000 // sampling)})
        dims = ["step", "channel", "y", "x"]
        x0 = smooth(self.rng, self.shape)
        noise = np.array(grid, np.float32)[:, None, None, None] / 1000
        x_t = ((1 - noise) * x0 + noise * self.rng.standard_normal((len(grid), *self.shape))).astype(np.float32)
        x0_hat = np.clip((1 - noise / 2) * x0, -1, 1).astype(np.float32)
        settings = {"seed": 1, "label": 2} | ({"prompt": self.prompts[target]} if target in self.prompts else {})
        spec = {"sample_trajectory": {"version": 1, "target": settings}}
        rows = [grid.index(t) for t in self.steps]
        decoded = {}
        if self.latent:
            decoded = {"x_t_image": x_t[rows], "x0_hat_image": x0_hat[rows]}
            x_t, latents = (self.rng.standard_normal((len(grid), 4, 2, 2), np.float32) for _ in range(2))
        attributes = self._attributes("sample_trajectory", spec)
        with create_store(self.root / f"targets/{target}/trajectory.zarr", lambda: attributes) as writer:
            writer.write("step", ["step"], np.array(grid))
            for name, values in (("x_t", x_t), ("x0_hat", latents if self.latent else x0_hat)):
                writer.write(name, dims, values, chunk_bytes=self.chunk_bytes)
            writer.write("image", dims[1:], x0)
        self._samples(target, x0_hat[rows], decoded)

    def _samples(self, target, x0_hat, decoded):
        sample = np.repeat(x0_hat[:, None], SAMPLES, 1)
        sample = np.clip(sample + 0.1 * self.rng.standard_normal(sample.shape, np.float32), -1, 1)
        attributes = self._attributes("sample_from_x_t", {"sample_from_x_t": {"version": 1}})
        together = min(SAMPLES, max(1, self.chunk_bytes // (4 * x0_hat[0].size)))
        with create_store(self.root / f"targets/{target}/samples.zarr", lambda: attributes) as writer:
            writer.write("step", ["step"], np.array(self.steps))
            dims = ["step", "sample", "channel", "y", "x"]
            writer.create("sample", dims, sample.shape, chunks=(1, together, *self.shape))
            writer.put("sample", ..., sample, "step", self.steps)
            for name, values in decoded.items():
                writer.write(name, [dims[0], *dims[2:]], values, chunk_bytes=self.chunk_bytes)

    def _scores(self, method, target, kept):
        size = (2, len(self.steps), self.n)
        parts = 0.02 * self.rng.standard_normal(size).astype(np.float32)
        if method != "random":  # both checkpoints agree on some images, and some change their sign half-way
            parts[:, :, ::7] += np.linspace(-0.3, 0.3, len(parts[0, 0, ::7]), dtype=np.float32)
            parts[:, : len(self.steps) // 2, 3::7] += 0.2
            parts[:, len(self.steps) // 2 :, 3::7] -= 0.2
        score = self.score[method, target] = parts.mean(0)
        arrays = {"score": (["step", "train"], score), "step": (["step"], np.array(self.steps))}
        spec = {f"score_{method}": {"version": 1, "checkpoints": ["full/0", "full/1"]}}
        if method == "random":
            spec = {"score_random": {"version": 1}}
        else:
            arrays["score_se"] = (["step", "train"], np.abs(parts[0] - parts[1]) / 2)
            if kept:
                arrays["score_by_checkpoint"] = (["checkpoint", "step", "train"], parts)
        attributes = self._attributes(f"score_{method}", spec) | {"method": method, "target": target}
        store(self.root / f"scores/{method}/{target}.zarr", attributes, **arrays)

    def _attributes(self, stage, spec=None, **more):
        spec = spec or {stage: {"version": 1}}
        return {"stage": stage, "spec": spec, "identity": f"{stage}-1", "reads": {}, **more}

    # ---- tables

    def _lists(self):
        (self.root / "tables").mkdir()
        run_script(
            "top_influences",
            spec={"tables": {"top": 10}, "seed": 0},
            **self._data_paths(),
            scores=self._all("scores/{method}/{target}.zarr"),
            out=self.root / "tables/top_influences.csv",
        )

    def _groups(self):
        columns = "method target step group size score se percentile random_mean random_sd z null p p_kind q found"
        rows = []
        for (method, target), score in self.score.items():
            for s, t in enumerate(self.steps):
                for k, name in enumerate(CLASSES):
                    total = float(score[s, self.labels == k].sum())
                    for null, sd in (("random", 0.1), ("neighbourhoods", 0.2)):
                        z, found = total / sd, abs(total) > 0.4
                        row = [method, target, t, name, int((self.labels == k).sum()), total, 0.05, 50, 0.0, sd]
                        rows.append([*row, z, null, 0.04, "permutation", 0.08, found])
        self._table("group_influences", columns.split(), rows)

    def _lds(self):
        rows = []
        for k, method in enumerate([*self.methods, "ceiling"]):
            for t in self.steps:
                mean = {"ceiling": 0.7, "random": 0.01}.get(method, 0.5 - 0.1 * k + t / 10000)
                models = "" if method in ("random", "ceiling") else 2
                rows.append([method, t, mean, 0.05, mean - 0.1, mean + 0.1, 3, models, mean / 0.7])
        self._table("lds_summary", "method step mean se low high targets checkpoints of_ceiling".split(), rows)

    def _table(self, name, columns, rows):
        with atomic_file(self.root / f"tables/{name}.csv", lambda: {"spec": staged({}), "stage": name}) as tmp:
            with open(tmp, "w", newline="", encoding="utf-8") as handle:
                csv.writer(handle).writerows([columns, *rows])

    # ---- the page

    def settings(self, targets=None):
        """Return the spec of the page, for some targets or all."""
        rows = {}
        for name in targets or self.targets:
            whole, box = self.masks.get(name, (name, None))
            rows[name] = {"whole": whole, "mask": box}
        controls = {name: name == "random" for name in self.methods}
        sections = {"explorer": {"targets": rows, "controls": controls}}
        return {"seed": 0, **sections, **({"groups": {"by": "label", "files": {}}} if self.groups else {})}

    def inputs(self, targets=None):
        """Return the arguments of the page's scripts, for some targets or all."""
        tables = {name: self.root / f"tables/{file}.csv" for name, file in self.tables().items()}
        return {
            **self._data_paths(),
            "trajectories": self._all("targets/{target}/trajectory.zarr", targets, ["-"]),
            "samples": self._all("targets/{target}/samples.zarr", targets, ["-"]),
            "scores": self._all("scores/{method}/{target}.zarr", targets),
            **tables,
            "lists": [],
            "pngs": [],
            "compared": [],
            "experiment": self.root.name,
        }

    def tables(self):
        """Return {option: table} of the existing tables."""
        options = {"top": "top_influences", "groups": "group_influences", "lds": "lds_summary"}
        return {name: file for name, file in options.items() if (self.root / f"tables/{file}.csv").exists()}

    def make(self):
        """Make the page and return its folder."""
        run_script("explorer", spec=self.settings(), **self.inputs(), out=self.root / "explorer")
        return self.root / "explorer"

    def pack(self, target):
        """Pack a target into one file and return its path."""
        out = self.root / f"figures/{target}/explorer.html"
        run_script("packed_explorer", spec=self.settings([target]), **self.inputs([target]), target=target, out=out)
        return out

    def _data_paths(self):
        return {"data": self.root / "data/train.zarr", "near": self.root / "data/near_duplicates.zarr"}

    def _all(self, path, targets=None, methods=None):
        targets, methods = targets or self.targets, methods or self.methods
        return [self.root / path.format(method=method, target=target) for method in methods for target in targets]
