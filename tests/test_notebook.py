"""docs/notebooks: the code cells run in order, and what is stored beside them is small and complete."""

import base64
import json
import re

import matplotlib
import numpy as np
import pytest
from support import SCRIPTS

FOLDER = SCRIPTS.parent / "docs/notebooks"
CELLS = json.loads((FOLDER / "attribute.ipynb").read_text())["cells"]
CODE = [cell for cell in CELLS if cell["cell_type"] == "code"]


@pytest.fixture(scope="module")
def names():
    """The variables that the notebook's cells leave behind."""
    found, before = {}, matplotlib.get_backend()
    matplotlib.use("Agg")
    for cell in CODE:
        exec(compile("".join(cell["source"]), "attribute.ipynb", "exec"), found)
    found["plt"].close("all")
    matplotlib.use(before)
    return found


def test_it_scores_every_image_at_every_step(names):
    tau = names["tau"]
    assert tau.shape == (len(names["x"]), len(names["S"])) and np.isfinite(tau).all()
    assert all(np.ptp(row) > 0 for row in tau) and not np.array_equal(*(row.argsort() for row in tau[:2]))


def test_the_cells_are_numbered_and_a_table_and_a_small_picture_are_stored():
    assert [cell["execution_count"] for cell in CODE] == list(range(1, len(CODE) + 1))
    outputs = [output["data"] for cell in CODE for output in cell["outputs"]]
    assert [("text/html" in data, "image/png" in data) for data in outputs] == [(True, False), (False, True)]
    assert len(base64.b64decode(outputs[1]["image/png"])) < 30_000


def test_links_lead_somewhere():
    text = "".join("".join(cell["source"]) for cell in CELLS if cell["cell_type"] == "markdown")
    links = [link for link in re.findall(r"\]\(([^)]+)\)", text) if "://" not in link]
    assert links and all((FOLDER / link).exists() for link in links)
