"""The README's first Python runs, on a small store of the default experiment's names."""

import ast
import re

import numpy as np
import pytest
from support import run_script, store
from workspace import REPOSITORY

SNIPPETS = re.findall(r"^```python\n(.*?)^```", (REPOSITORY / "README.md").read_text(), re.M | re.S)
N, STEPS, TARGETS = 40, [100, 300], ["digit-a", "digit-b"]
NAMES = [f"images/{k:02d}.png" for k in range(N)]


@pytest.fixture
def digits(tmp_path, monkeypatch):
    """Scores of two targets, and the table of the top images by its script; {target: scores (step, train)}."""
    root, rng, made = tmp_path / "results/digits", np.random.default_rng(0), {}
    for part in ("data", "scores/ekfac", "tables"):
        (root / part).mkdir(parents=True)
    image = ["train", "channel", "y", "x"], rng.uniform(-1, 1, (N, 1, 8, 8)).astype(np.float32)
    labels = ["train"], np.arange(N) % 10, {"class_names": list("0123456789")}
    store(root / "data/train.zarr", image=image, label=labels, file=(["train"], np.array(NAMES)))
    for target in TARGETS:
        made[target] = rng.normal(size=(2, N)).astype(np.float32)
        arrays = {"score": made[target], "score_se": np.abs(made[target]) / 9}
        arrays = {name: (["step", "train"], values) for name, values in arrays.items()}
        arrays |= {"step": (["step"], np.array(STEPS)), "train": (["train"], np.arange(N))}
        store(root / f"scores/ekfac/{target}.zarr", {"method": "ekfac", "target": target}, **arrays)
    scores = [root / f"scores/ekfac/{target}.zarr" for target in TARGETS]
    near = store(root / "data/near_duplicates.zarr", first=(["train"], np.arange(N)))
    given = {"spec": {"tables": {"top": 20}}, "data": root / "data/train.zarr", "near": near, "scores": scores}
    run_script("top_influences", **given, out=root / "tables/top_influences.csv")
    monkeypatch.chdir(tmp_path)
    return made


def results(snippet):
    """Run a snippet; what each of its expressions gives."""
    names, found = {}, []
    for line in ast.parse(snippet).body:
        if isinstance(line, ast.Expr):
            found.append(eval(compile(ast.Expression(line.value), "README.md", "eval"), names))
        else:
            exec(compile(ast.Module([line], []), "README.md", "exec"), names)
    return found


def test_the_snippet_opens_what_there_is(digits):
    top, every, error, image = results(SNIPPETS[0])
    score = digits["digit-a"][STEPS.index(300)]
    assert top.tolist() == [NAMES[i] for i in np.argsort(-score)[:10]]
    assert every.index.names == ["step", "train"] and len(every) == len(STEPS) * N
    assert error.dims == ("step", "train") and image.dims == ("channel", "y", "x")
