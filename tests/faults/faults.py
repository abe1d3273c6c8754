"""Accidents of every kind to every kind of job, and whether a rerun repairs them.

    PYTHONPATH=workflow_scripts:tests python tests/faults/faults.py SEEDS     for example 0:200; resumes and adds up

A finished experiment is copied, one job's output is taken away, the job runs again while something happens to it, and
after what the message asks for a last run must give the arrays of the undisturbed experiment. A seed decides job,
accident and moment. docs/reliability.md has the figures.
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
from pathlib import Path

import numpy as np
import yaml
import zarr
from support import AUTOENCODER, UNET

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

    def write_config(self, store=None):
        config = copy.deepcopy(CONFIG) | ({"store": store} if store else {})
        (self.folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))

    def start(self, *arguments):
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
            [*command, "--cores", "1", "--rerun-incomplete", *map(str, arguments)],
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "PATH": path, "OMP_NUM_THREADS": "1"},
            start_new_session=True,
        )

    def finish(self, *arguments):
        """A whole run: (exit status, what it said)."""
        process = self.start(*arguments)
        said, _ = process.communicate(timeout=900)
        return process.returncode, said


class Jobs:
    """The jobs of the experiment: their rule, inputs, outputs, and the bytes that these take on a disk."""

    def __init__(self, run):
        _, text = run.finish("--forceall", "--dry-run")
        self.jobs = []
        for rule, body in re.findall(r"^rule (\w+):\n((?:    .*\n)*)", text, re.M):
            paths = {key: _listed(body, key) for key in ("input", "output")}
            if paths["output"]:
                made = sum(_bytes(run.folder / path) for path in paths["output"])
                self.jobs.append({"rule": rule, "bytes": made, **paths})
        self.rules = sorted({job["rule"] for job in self.jobs})

    def drawn(self, rng):
        """A job: every rule as often as any other."""
        rule = rng.choice(self.rules)
        return rng.choice([job for job in self.jobs if job["rule"] == rule])


def _listed(body, key):
    found = re.search(rf"^    {key}: (.*)$", body, re.M)
    return [re.sub(r" \(\w+\)$", "", path) for path in found[1].split(", ")] if found else []


def _bytes(path):
    """What an artifact takes on a disk whose blocks have 4096 bytes."""
    files = [file for file in path.rglob("*") if file.is_file()] if path.is_dir() else [path]
    return sum(4096 * -(-file.stat().st_size // 4096) for file in files)


# ---- accidents: each lets the job run while something happens, and returns what was said and what to do then


def kill_job(run, job, rng):
    """SIGKILL to the job's own process at a random moment."""
    process = run.start(*job["output"])
    if found := _script(process, job):
        time.sleep(rng.uniform(0, 6))
        _kill(found)
    said, _ = process.communicate(timeout=900)
    return process.returncode, said, []


def kill_everything(run, job, rng):
    """SIGKILL to Snakemake and all its jobs, as when a machine goes down."""
    process = run.start(*job["output"])
    _script(process, job)
    time.sleep(rng.uniform(0, 6))
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    code, said = run.finish(*job["output"])
    repairs = ["--unlock"] if "--unlock" in said else []
    return code, said, repairs


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
    if _script(process, job):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    said, _ = process.communicate(timeout=900)
    return process.returncode, said, []


def two_runs(run, job, rng):
    """Two working directories run the same job on one store at once."""
    other = Run(run.folder.with_name("other"))
    other.folder.mkdir()
    for one in (run, other):
        one.write_config(str(run.folder / "store"))
    outputs = [run.folder / path for path in job["output"]]
    processes = [one.start(*outputs) for one in (run, other)]
    ended = [(process.communicate(timeout=900)[0], process.returncode) for process in processes]
    failed = [said for said, code in ended if code]
    return (1 if failed else 0), "\n".join(failed), []


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
    return code, said, []


ACCIDENTS = [kill_job, kill_everything, corrupt, truncate, remove, two_runs, fill_disk]


def _script(process, job):
    """Process id of the job's Python, once there is one; None if the run ends without."""
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
    return code, said, [artifact] if code else []


# ---- one fault


def one_fault(base, jobs, seed, folder):
    """Do one accident and repair it: a record of what happened.

    Raises:
        AssertionError: an unclear message, a rerun that fails, or results that differ from the undisturbed run's.
    """
    rng = random.Random(seed)
    accident = ACCIDENTS[seed % len(ACCIDENTS)]
    while True:
        job = jobs.drawn(rng)
        with copied(base, folder) as run:
            for path in job["output"]:
                _delete(run.folder / path)
            outcome = accident(run, job, rng)
            if outcome is None:  # not an accident that can befall this job
                continue
            code, said, repairs = outcome
            if code:
                require_clear(said, accident)
            for repair in repairs:
                if repair == "--unlock":
                    run.finish("--unlock")
                else:
                    _delete(repair)
            code_after, said_after = run.finish(
                *(run.folder / path if accident is two_runs else path for path in job["output"])
            )
            assert code_after == 0, f"the rerun failed:\n{said_after[-3000:]}"
            require_same(base, run, job["output"])
            left = [path for path in run.store.rglob("*.tmp-*") if "resume" not in path.parts]
            assert not left, f"left behind: {left}"
            return {"seed": seed, "accident": accident.__name__, "rule": job["rule"], "failed": bool(code)}


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
    }.get(accident.__name__, ["Waypoint:", "Missing input files", "Missing files after"])
    assert any(words in said for words in clear), f"no clear message:\n{said[-3000:]}"
    assert "failed unexpectedly" not in said, f"not foreseen:\n{said[-3000:]}"


def require_same(base, run, outputs):
    """The outputs hold what those of the undisturbed experiment hold."""
    for path in outputs:
        expected, found = base.folder / path, run.folder / path
        if expected.suffix == ".zarr":
            ours, theirs = (zarr.open_group(place, mode="r") for place in (expected, found))
            assert sorted(ours.array_keys()) == sorted(theirs.array_keys()), path
            for name, array in ours.arrays():
                assert np.array_equal(array[:], theirs[name][:]), (path, name)
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
    rules = Counter(record["rule"] for record in records)
    introduction = f"""{len(records)} accidents to the jobs of a small experiment with nearly every rule
(`make test-faults SEEDS=0:200`; it resumes and adds up, and the tests run the first fifteen). Each takes away one job's
output, lets the job run while something happens to it, does what the message asks for, and runs Snakemake once more.
Every rerun gave the undisturbed run's results, byte for byte in arrays, models and tables.

On the way they brought to light, all mended since: a full disk that torch and safetensors report as something else; a
log on that disk that swallowed the message; metadata of an array in which one bit was another, and a damaged chunk that
was handed on when arrays are linked instead of copied."""
    lines = [
        "# Reliability",
        "",
        introduction,
        "",
        "| accident | times | the run failed, with a clear message |",
        "| --- | --- | --- |",
        *(f"| {what[name]} | {counts[name]} | {noticed[name]} |" for name in names if counts[name]),
        "",
        "Where the run did not fail, the accident came too late, hit what the job does not read, or found room enough.",
        "",
        f"{len(rules)} rules were struck: {', '.join(f'{rule} {count}' for rule, count in sorted(rules.items()))}.",
    ]
    PAGE.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
