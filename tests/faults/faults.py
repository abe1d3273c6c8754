"""Accidents of every kind to every kind of job, and whether a rerun repairs them.

    PYTHONPATH=workflow_scripts:tests python tests/faults/faults.py SEEDS     for example 0:200; resumes and adds up

A finished experiment is copied, something happens to one of its jobs or to all of it, and after what the message asks
for a last run must give the arrays of the undisturbed experiment. A seed decides job, accident and moment.
docs/reliability.md has the figures.

Most accidents befall a job whose output was taken away. Those of ``WHOLE`` meet the finished experiment; after them
nothing may be left to do, and every artifact must be that of the undisturbed one.
"""

import copy
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import yaml
import zarr
from support import AUTOENCODER, UNET

from waypoint.store.artifacts.inventory import artifacts
from waypoint.store.artifacts.provenance import marker_path

REPOSITORY = Path(__file__).parents[2]
RECORDS = REPOSITORY / "docs/results/faults.jsonl"
PAGE = REPOSITORY / "docs/reliability.md"
ROOT = "store/faults"
CONFIG = {  # nearly every rule, each with as little work as it can have
    "experiment": "faults",
    "store": "store",
    "data": {"source": "digits", "subset": 60},
    "vae": {"train": {"autoencoder": AUTOENCODER, "epochs": 2, "batch_size": 20, "learning_rate": 1e-3}},
    "model": {
        "unet": {**UNET, "sample_size": 4, "in_channels": 2, "out_channels": 2},
        "scheduler": {"clip_sample": False},
    },
    "training": {"epochs": 3, "batch_size": 20, "learning_rate": 1e-3},
    "checkpoints": {"count": 3},
    "sampling": {"steps": 10},
    "attribution": {"steps": [100, 500], "train_draws": 2, "target_draws": 2},
    "projection": {"dim": 16},
    "methods": ["trak", "trak-sum", "norm", "pixel", "random"],
    "targets": [{"id": "a", "seed": 1, "mask": [0, 0, 4, 8]}],
    "evaluation": {
        "lds": {"subsets": 2, "models_per_subset": 2, "draws": 2, "bootstrap": 100},
        "fid": {"features": "classifier"},
        "classifier": {"width": 2, "epochs": 1},
        "counterfactual": {"targets": ["a"], "step": 500, "n_remove": [6], "methods": ["trak"], "images": 20},
        "forgetting": {"targets": ["a"], "step": 500, "n_remove": [6], "methods": ["trak"]},
        "samples": {"number": 6},
        "likelihood": {},
        "seed_consistency": {"images": 2},
        "step_correlation": {},
        "sign_overlap": {"top_k": [5]},
    },
}


class Run:
    """A working directory with the experiment, in which Snakemake runs."""

    def __init__(self, folder):
        self.folder = Path(folder)

    @property
    def store(self):
        return self.folder / ROOT

    def write_config(self, edit=lambda config: None):
        """The experiment's configuration, after ``edit`` has changed it in place."""
        config = copy.deepcopy(CONFIG)
        edit(config)
        (self.folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))

    def start(self, *targets, options=()):
        """A run of Snakemake as a process group of its own; standard output holds everything it says."""
        command = [
            sys.executable,
            "-m",
            "snakemake",
            "-s",
            str(REPOSITORY / "Snakefile"),
            "--configfile",
            "config.yaml",
        ]
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        return subprocess.Popen(
            [*command, *options, "--cores", "1", *map(str, targets)],
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "PATH": path, "OMP_NUM_THREADS": "1"},
            start_new_session=True,
        )

    def finish(self, *targets, options=()):
        """A whole run: (exit status, what it said)."""
        process = self.start(*targets, options=options)
        said, _ = process.communicate(timeout=900)
        return process.returncode, said


class Jobs:
    """The jobs of the experiment: their rule, inputs, outputs, and the bytes that these take on a disk."""

    def __init__(self, run):
        _, text = run.finish(options=["--forceall", "--dry-run"])
        self.jobs = jobs_in(text)
        for job in self.jobs:
            job["bytes"] = sum(_bytes(run.folder / path) for path in job["output"])
        self.rules = sorted({job["rule"] for job in self.jobs})

    @property
    def outputs(self):
        return [path for job in self.jobs for path in job["output"]]

    def drawn(self, rng, rule=None):
        """A job of a rule, or every rule as often as any other; None for "all"."""
        if rule == "all":
            return None
        rule = rule or rng.choice(self.rules)
        return rng.choice([job for job in self.jobs if job["rule"] == rule])


def jobs_in(said):
    """Rule, inputs and outputs of the jobs that Snakemake announces."""
    found = re.findall(r"^(?:local)?rule (\w+):\n((?:    .*\n)*)", said, re.M)
    jobs = [{"rule": rule, "input": _listed(body, "input"), "output": _listed(body, "output")} for rule, body in found]
    return [job for job in jobs if job["output"]]


def _listed(body, key):
    found = re.search(rf"^    {key}: (.*)$", body, re.M)
    return found[1].split(", ") if found else []


def _bytes(path):
    """Bytes that an artifact takes on a disk whose blocks have 4096 bytes."""
    files = [file for file in path.rglob("*") if file.is_file()] if path.is_dir() else [path]
    return sum(4096 * -(-file.stat().st_size // 4096) for file in files)


# ---- accidents: each lets the job run while something happens, and returns how that ended


@dataclass
class Ending:
    """How an accident ended: the exit status, what was said, and what the message asks for before the last run.

    Attributes:
        unlock: whether a lock is left. delete: artifacts that the message names. options: of the last run.
        check: () → None, looks at the store afterwards.
    """

    code: int
    said: str
    unlock: bool = False
    delete: list = field(default_factory=list)
    options: tuple = ()
    check: object = lambda: None


def kill_job(run, job, rng):
    """SIGKILL to the job's own process at a random moment."""
    process = run.start(*job["output"])
    if found := _script(process):
        time.sleep(rng.uniform(0, 6))
        _kill(found)
    said, _ = process.communicate(timeout=900)
    return Ending(process.returncode, said)


def kill_everything(run, job, rng):
    """SIGKILL to Snakemake and all its jobs, as when a machine goes down."""
    _killed(run, rng, *job["output"])
    code, said = run.finish(*job["output"])
    return Ending(code, said, unlock="--unlock" in said)


def corrupt(run, job, rng):
    """One bit of a file that the job may read is another."""
    file = _input_file(run, job, rng, "*")
    if file is None:
        return None
    raw = bytearray(file.read_bytes())
    raw[rng.randrange(len(raw))] ^= 1 << rng.randrange(8)
    _keep_times(file, lambda: file.write_bytes(raw))
    return _told(run, job, file)


def truncate(run, job, rng):
    """A checkpoint, or whatever else the job reads, is cut off."""
    file = _input_file(run, job, rng, "*.safetensors") or _input_file(run, job, rng, "*")
    if file is None:
        return None
    _keep_times(file, lambda: os.truncate(file, rng.randrange(file.stat().st_size)))
    return _told(run, job, file)


def remove(run, job, rng):
    """Something that the job reads is gone when it starts, though it was there when Snakemake planned."""
    inputs = [path for path in job["input"] if (run.folder / path).exists()]
    if not inputs:
        return None
    path = run.folder / rng.choice(inputs)
    process = run.start(*job["output"])
    if _script(process):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    said, _ = process.communicate(timeout=900)
    return Ending(process.returncode, said)


def two_runs(run, job, rng):
    """Two working directories run the same job on one store at once."""
    other = Run(run.folder.with_name("other"))
    other.folder.mkdir()
    for one in (run, other):
        one.write_config(lambda config: config.update(store=str(run.folder / "store")))
    outputs = [run.folder / path for path in job["output"]]
    processes = [one.start(*outputs) for one in (run, other)]
    ended = [(process.communicate(timeout=900)[0], process.returncode) for process in processes]
    failed = [said for said, code in ended if code]
    return Ending(1 if failed else 0, "\n".join(failed))


def fill_disk(run, job, rng):
    """The store lies on a disk of its own that has room for a part of what the job writes; afterwards there is more."""
    store, moved = run.folder / "store", run.folder / "moved"
    store.rename(moved)
    store.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2g", "tmpfs", str(store)], check=True)
    shutil.copytree(moved, store, symlinks=True, dirs_exist_ok=True, copy_function=shutil.copy2)
    disk = os.statvfs(store)
    size = (disk.f_blocks - disk.f_bfree) * disk.f_frsize + int(rng.uniform(0, 1.2) * job["bytes"])
    subprocess.run(["mount", "-o", f"remount,size={size}", str(store)], check=True)
    code, said = run.finish(*job["output"])
    subprocess.run(["mount", "-o", "remount,size=2g", str(store)], check=True)
    return Ending(code, said)


def skew_clock(run, job, rng):
    """Date the job's inputs an hour ahead, as a machine with a wrong clock would write them."""
    for path in job["input"]:
        for file in [run.folder / path, *(run.folder / path).rglob("*")]:
            ahead = time.time() + 3600 + rng.uniform(-60, 60)
            os.utime(file, (ahead, ahead))
    code, said = run.finish(*job["output"])
    return Ending(code, said, check=partial(require_nothing_to_do, run))


def copy_undated(run, job, rng):
    """The store is copied without the dates of its files, and Snakemake's records stay behind."""
    store, old = run.folder / "store", run.folder / "old"
    store.rename(old)
    for file in rng.sample(files := sorted(old.rglob("*")), len(files)):
        place = store / file.relative_to(old)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.mkdir(exist_ok=True) if file.is_dir() else shutil.copyfile(file, place)
    shutil.rmtree(old)
    shutil.rmtree(run.folder / ".snakemake")
    code, said = run.finish(*job["output"])
    return Ending(code, said, check=partial(require_nothing_to_do, run))


def move_store(run, job, rng):
    """The store moves and the configuration follows, or a store that had links into it."""
    (run.folder / "store").rename(run.folder / "moved")
    if rng.random() < 0.5:
        run.write_config(lambda config: config.update(store="moved"))
        code, said = run.finish(*(path.replace("store/", "moved/", 1) for path in job["output"]))
        require_nothing_to_do(run)
        (run.folder / "moved").rename(run.folder / "store")
        run.write_config()
        return Ending(code, said, check=partial(require_nothing_to_do, run))
    run.write_config(lambda config: config.update(store=["store", "moved"]))
    code, said = run.finish(*job["output"])
    (run.folder / "moved").rename(run.folder / "moved-again")
    run.write_config(lambda config: config.update(store=["store", "moved-again"]))
    return Ending(code, said, check=partial(require_nothing_to_do, run))


# ---- accidents to the finished experiment


def kill_over_stale(run, job, rng):
    """SIGKILL to a job, or to everything, whose result is there and made anew: the old one stays until then."""
    for path in job["output"]:
        marker = marker_path(run.folder / path)
        marker.write_text(re.sub(r'("(?:identity|training)": ")\w+', rf"\g<1>{STALE}", marker.read_text()))
    everything = rng.random() < 0.5
    if everything:
        _killed(run, rng, *job["output"])
    else:
        ending = kill_job(run, job, rng)
    for path in job["output"]:
        place = run.folder / path
        aside = [found for found in run.store.glob(f"replaced/*/{Path(path).relative_to(ROOT)}")]
        assert any(STALE in marker_path(found).read_text() for found in [place, *aside]), f"{path} is lost"
    if everything:
        code, said = run.finish(*job["output"])
        return Ending(code, said, unlock="--unlock" in said)
    return ending


def grow(run, job, rng):
    """SIGKILL to everything while models or subsets are added: the models that were there stay as they are."""
    models = {path: tree(path) for path in run.store.glob("checkpoints/subset/*-*")}
    more = rng.choice([{"models_per_subset": 3}, {"subsets": 3}, {"models_per_subset": 3, "subsets": 3}])
    run.write_config(lambda config: config["evaluation"]["lds"].update(more))
    _killed(run, rng, "lds")
    code, said = run.finish("lds")
    if "--unlock" in said:
        run.finish(options=["--unlock"])
        after, said_after = run.finish("lds")
        assert after == 0, f"the rerun failed:\n{said_after[-3000:]}"
    found = list(run.store.glob("checkpoints/subset/*-*"))
    assert len(found) == (6 if len(more) == 1 else 9), found
    assert all(tree(path) == files for path, files in models.items()), "models were trained again"
    run.write_config()
    return Ending(code, said)


def mistype(run, job, rng):
    """A mistyped setting of what is dear: the run stops before its first job, and nothing changes."""
    before = tree(run.store)
    where, value = rng.choice(MISTYPED)
    run.write_config(lambda config: set_key(config, where, value))
    code, said = run.finish()
    assert code and "replace=true" in said, f"nothing stopped it:\n{said[-3000:]}"
    assert where.rpartition(".")[2] in said, f"no clear message:\n{said[-3000:]}"
    assert tree(run.store) == before, "the store has changed"
    run.write_config()
    return Ending(code, said)


def undo(run, job, rng):
    """A changed setting, with replace=true: SIGKILL to everything at its first job, and the setting is undone."""
    where, value = rng.choice(MISTYPED)
    run.write_config(lambda config: set_key(config, where, value))
    before = {path.relative_to(run.store): tree(path) for path in artifacts(run.store)}
    _killed(run, rng, options=REPLACE)
    run.write_config()
    aside = run.store / "replaced/1"
    replaced = {path for path in before if (aside / path).exists()}
    for path, files in before.items():
        assert tree((aside if path in replaced else run.store) / path) == files, f"{path} is lost"
    code, said = run.finish()
    if unlock := "--unlock" in said:
        run.finish(options=["--unlock"])
    _, planned = run.finish(options=[*REPLACE, "--dry-run"])
    again = {Path(path).relative_to(ROOT) for job in jobs_in(planned) for path in job["output"]}
    assert again <= replaced, f"more would be made again than was replaced: {again - replaced}"
    return Ending(code, said, unlock, options=REPLACE)


REPLACE = ("--config", "replace=true")
STALE = "0" * 64  # the identity of nothing
MISTYPED = [
    ("data.subset", 59),
    ("vae.train.epochs", 3),
    ("training.epochs", 4),
    ("training.learning_rate", 2e-3),
    ("projection.dim", 8),
    ("attribution.train_draws", 3),
]
ACCIDENTS = [
    kill_job,
    kill_everything,
    corrupt,
    truncate,
    remove,
    two_runs,
    fill_disk,
    skew_clock,
    copy_undated,
    move_store,
    kill_over_stale,
    grow,
    mistype,
    undo,
]
WHOLE = {kill_over_stale: None, grow: "train_subset", mistype: "all", undo: "all"}  # rules that they can befall


def set_key(config, where, value):
    """Set a key of a configuration, written with dots."""
    *sections, key = where.split(".")
    for section in sections:
        config = config[section]
    config[key] = value


def tree(path):
    """{name: content} of a file or of all files below a folder, logs aside."""
    if path.is_file():
        return {"": path.read_bytes()}
    files = (file for file in path.rglob("*") if file.is_file() and "logs" not in file.relative_to(path).parts)
    return {str(file.relative_to(path)): file.read_bytes() for file in files}


def _killed(run, rng, *targets, options=()):
    """A run that ends by SIGKILL to all of it, soon after its first job has begun."""
    process = run.start(*targets, options=options)
    _script(process)
    time.sleep(rng.uniform(0, 6))
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def _script(process):
    """Process id of the first job's Python, once there is one; None if the run ends without."""
    while process.poll() is None:
        listed = subprocess.run(["ps", "-eo", "pid,sess,args"], capture_output=True, text=True).stdout
        for line in listed.splitlines()[1:]:
            pid, session, args = line.split(None, 2)
            if session == str(process.pid) and args.startswith("python") and "workflow_scripts" in args:
                return int(pid)
        time.sleep(0.05)
    return None


def _kill(pid):
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass  # it was faster


def _input_file(run, job, rng, pattern):
    """A file of the job's inputs, with something in it."""
    places = [run.folder / path for path in job["input"] if (run.folder / path).exists()]
    files = [file for place in places for file in ([place] if place.is_file() else place.rglob(pattern))]
    files = sorted(file for file in files if file.is_file() and file.stat().st_size and not file.name.startswith("."))
    files = [file for file in files if pattern == "*" or file.suffix == Path(pattern).suffix]
    return rng.choice(files) if files else None


def _keep_times(file, change):
    """Change a file's content and not its times, as a failing disk does."""
    times = file.stat()
    change()
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))


def _told(run, job, file):
    """The job over a damaged file: what it said, and the artifact that it asks to delete."""
    code, said = run.finish(*job["output"])
    artifact = next(run.folder / path for path in job["input"] if file.is_relative_to(run.folder / path))
    if code and artifact.name not in said:
        raise AssertionError(f"the message does not name {artifact.name}:\n{said[-3000:]}")
    return Ending(code, said, delete=[artifact] if code else [])


# ---- one fault


def one_fault(base, jobs, seed, folder):
    """Do one accident and repair it: a record of what happened.

    Raises:
        AssertionError: an unclear message, a rerun that fails, or results that differ from the undisturbed run's.
    """
    rng = random.Random(seed)
    accident = ACCIDENTS[seed % len(ACCIDENTS)]
    while True:
        job = jobs.drawn(rng, WHOLE.get(accident))
        with copied(base, folder) as run:
            if accident not in WHOLE:
                for path in job["output"]:
                    _delete(run.folder / path)
            ending = accident(run, job, rng)
            if ending is None:  # not an accident that can befall this job
                continue
            if ending.code:
                require_clear(ending.said, accident)
            if ending.unlock:
                run.finish(options=["--unlock"])
            for artifact in ending.delete:
                _delete(artifact)
            everything = accident in WHOLE and accident is not kill_over_stale
            targets = [] if everything else job["output"]
            targets = [run.folder / path for path in targets] if accident is two_runs else targets
            code, said = run.finish(*targets, options=ending.options)
            assert code == 0, f"the rerun failed:\n{said[-3000:]}"
            require_same(base, run, jobs.outputs if accident in WHOLE else job["output"])
            ending.check()
            if accident in WHOLE:
                require_nothing_to_do(run)
            left = [path for path in run.store.rglob("*.tmp-*") if "resume" not in path.parts]
            assert not left, f"left behind: {left}"
            rule = job["rule"] if job else "everything"
            return {"seed": seed, "accident": accident.__name__, "rule": rule, "failed": bool(ending.code)}


def _delete(path):
    marker = path.with_name(f".{path.name}.json")
    marker.unlink(missing_ok=True)
    shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


@contextmanager
def copied(base, folder):
    """A copy of the finished experiment with Snakemake's records."""
    shutil.copytree(base.folder, folder / "run", symlinks=True, copy_function=shutil.copy2)
    try:
        yield Run(folder / "run")
    finally:
        subprocess.run(["umount", "-q", str(folder / "run/store")], capture_output=True)
        for name in ("run", "other"):
            shutil.rmtree(folder / name, ignore_errors=True)


def require_clear(said, accident):
    """A failure names what failed in words for people, without a traceback."""
    clear = {
        "kill_job": ["Error in rule"],
        "kill_everything": ["--unlock", "Waypoint:"],
        "fill_disk": ["disk is full", "No space left on device"],
        "kill_over_stale": ["Error in rule", "--unlock"],
        "grow": ["--unlock"],
        "undo": ["--unlock", "Waypoint:"],
    }.get(accident.__name__, ["Waypoint:", "Missing input files", "Missing files after"])
    assert any(words in said for words in clear), f"no clear message:\n{said[-3000:]}"
    assert "failed unexpectedly" not in said, f"not foreseen:\n{said[-3000:]}"


def require_nothing_to_do(run):
    """The experiment is finished, for Snakemake too."""
    code, said = run.finish(options=["--dry-run"])
    assert code == 0 and "Nothing to be done" in said, f"there is something to do:\n{said[-3000:]}"


def require_same(base, run, outputs):
    """The outputs hold what those of the undisturbed experiment hold."""
    for path in outputs:
        expected, found = base.folder / path, run.folder / path
        if expected.suffix == ".zarr":
            ours, theirs = (zarr.open_group(place, mode="r") for place in (expected, found))
            assert sorted(ours.array_keys()) == sorted(theirs.array_keys()), path
            for name, array in ours.arrays():
                assert np.array_equal(array[...], theirs[name][...]), (path, name)
        elif expected.is_dir():
            for file in (
                file
                for file in expected.rglob("*")
                if file.is_file() and file.name[0] != "." and file.name != "waypoint.json"
            ):
                assert file.read_bytes() == (found / file.relative_to(expected)).read_bytes(), file
        elif expected.suffix != ".png":  # which holds its own time
            assert expected.read_bytes() == found.read_bytes(), path
        else:
            assert found.stat().st_size > 1000, path


def undisturbed(folder):
    """The finished experiment that all faults start from, made once per folder."""
    run = Run(folder)
    if not (run.folder / "finished").exists():
        shutil.rmtree(run.folder, ignore_errors=True)
        run.folder.mkdir(parents=True)
        run.write_config()
        code, said = run.finish()
        assert code == 0, said
        (run.folder / "finished").touch()
    return run


# ---- many of them


def main(seeds, folder="results/faults"):
    first, last = map(int, seeds.split(":"))
    done = {record["seed"] for record in read_records()}
    base = undisturbed(Path(folder, "base").resolve())
    jobs = Jobs(base)
    failures = 0
    for seed in (seed for seed in range(first, last) if seed not in done):
        place = Path(folder, f"seed-{seed}").resolve()
        place.mkdir(parents=True, exist_ok=True)
        try:
            record = one_fault(base, jobs, seed, place)
        except Exception as error:
            failures += 1
            print(f"seed {seed}, {ACCIDENTS[seed % len(ACCIDENTS)].__name__}: {error!r}", flush=True)
            continue
        shutil.rmtree(place)
        print(json.dumps(record), flush=True)
        RECORDS.parent.mkdir(parents=True, exist_ok=True)
        with open(RECORDS, "a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")
        write_page()
    if failures:
        sys.exit(f"{failures} accidents were not repaired, or not told clearly")


def read_records():
    return [json.loads(line) for line in RECORDS.read_text().splitlines()] if RECORDS.exists() else []


def write_page():
    """docs/reliability.md, from all records."""
    records = read_records()
    names = [accident.__name__ for accident in ACCIDENTS]
    what = {accident.__name__: accident.__doc__.partition("\n")[0] for accident in ACCIDENTS}
    counts, noticed = (Counter(r["accident"] for r in records if r["failed"] or every) for every in (True, False))
    rules = Counter(record["rule"] for record in records if record["rule"] != "everything")
    introduction = f"""{len(records)} accidents to a small experiment with nearly every rule
(`make test-faults SEEDS=0:200`; it resumes and adds up, and the tests run one of each kind). The upper ten kinds take
away one job's output and let the job run while something happens to it; the lower four befall the finished experiment.
Then comes what the message asks for, at most `--unlock` or the removal of a damaged result, and one more plain run,
with `replace=true` where a changed setting was undone. Every last run gave the undisturbed run's results, byte for byte
in arrays, models and tables, and after the lower seven kinds Snakemake had nothing left to do.

Such accidents, 200 of them to stores of the version before, brought to light, all mended since: a full disk that torch
and safetensors report as something else; a log on that disk that swallowed the message; metadata of an array in which
one bit was another; a damaged chunk that was handed on when arrays are linked instead of copied. Those that are counted
here: models that are added were refused, since their list was taken for a model; `--config replace=true` was not
understood."""
    lines = [
        "# Reliability",
        "",
        introduction,
        "",
        "| accident | times | the run failed, with a clear message |",
        "| --- | --- | --- |",
        *(f"| {what[name]} | {counts[name]} | {noticed[name]} |" for name in names if counts[name]),
        "",
        "Where the run did not fail, the accident came too late, hit what the job does not read, was noticed at the",
        "start and repaired at once, found room enough, or is none any more: dates, copies and moves.",
        "",
        f"{len(rules)} rules were struck: {', '.join(f'{rule} {count}' for rule, count in sorted(rules.items()))}.",
    ]
    PAGE.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
