"""The explorer of the default experiment, with less training: in a browser, compared with the store that a run made."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr
import yaml
from browser import Watched, served
from support import SCRIPTS
from workspace import Workspace

METHODS = ["ekfac", "trak", "wiener", "random"]
STEPS = [900, 700, 500, 300, 100]


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """config.yaml as it is, but with models that learn little and few subsets, so that it takes a minute or two."""
    config = yaml.safe_load((SCRIPTS.parent / "config.yaml").read_text())
    config["training"]["epochs"], config["evaluation"]["lds"]["subsets"] = 4, 4
    config["sampling"]["steps"] = 20
    assert list(config["methods"]) == METHODS and sorted(STEPS) == config["attribution"]["steps"]
    workspace = Workspace(tmp_path_factory.mktemp("default") / "work", config, warm=True)
    done = workspace.snakemake("all", "explorer")
    assert done.returncode == 0, done.stdout + done.stderr
    return workspace


@pytest.fixture(scope="module")
def shown(browser, digits):
    with served(digits.store) as url:
        watched = Watched(browser).open(url)
        yield watched
        assert not watched.wrong and not watched.elsewhere()
        watched.page.close()


def go(watched, **words):
    """Change the address, as a link does."""
    words = "&".join(f"{key}={value}" for key, value in words.items())
    watched.page.evaluate("(hash) => { location.hash = hash; }", words)
    watched.page.wait_for_timeout(50)
    watched.settled()


def scores(digits, method, target):
    """A method's scores of a target, by step."""
    return xr.open_zarr(digits.store / f"scores/{method}/{target}.zarr")["score"].load()


def number(text):
    return float(text.split(" ±")[0].replace("−", "-"))


def test_every_target_and_step_shows_the_lists_of_the_table(shown, digits):
    table = pd.read_csv(digits.store / "tables/top_influences.csv")
    for target in ("digit-a", "digit-d"):
        for step in STEPS:
            go(shown, target=target, step=step, methods=",".join(METHODS))
            for column, method in enumerate(METHODS):
                for sign, side in (("+", "towards"), ("-", "away")):
                    of_list = f"method == '{method}' and target == '{target}' and step == {step} and sign == '{sign}'"
                    rows = table.query(of_list).head(10)
                    tiles = shown.page.locator(".method").nth(column).locator(f".side.{side} .tile")
                    names = [text.split(" ×")[0] for text in tiles.locator(".file").all_inner_texts()]
                    assert names == list(rows.file)
                    said = [number(text) for text in tiles.locator(".score").all_inner_texts()]
                    assert said == pytest.approx(list(rows.score), rel=0.06)


def test_steps_are_the_trajectorys_by_keyboard_too(shown, digits):
    trajectory = xr.open_zarr(digits.store / "targets/digit-b/trajectory.zarr")
    go(shown, target="digit-b", step=900)
    shown.page.locator("#step").focus()
    for step in STEPS:
        x0_hat = trajectory["x0_hat"].sel(step=step).values[0]
        cell = shown.page.locator("figure:nth-of-type(2) canvas").first
        levels = cell.evaluate("(c) => Array.from(c.getContext('2d').getImageData(0, 0, c.width, c.height).data)")
        assert np.array_equal(levels[::4], np.rint(np.clip((x0_hat + 1) / 2, 0, 1) * 255).ravel())
        assert f"step={step}" in shown.page.url
        shown.page.keyboard.press("ArrowRight")
        shown.settled()


def test_a_training_image_shows_its_scores_over_all_targets_and_steps(shown, digits):
    go(shown, target="digit-a", step=300, methods="ekfac")
    shown.page.locator(".side.towards .tile").first.click()
    shown.page.wait_for_selector("#detail table")
    shown.until("[...document.querySelectorAll('#detail table td')].every((cell) => cell.innerText.trim())")
    shown.until("!document.querySelector('#detail table').innerText.includes('…')")
    image = int(shown.texts("#detail h2")[0].split()[-1])
    rows = shown.page.locator("#detail table tbody tr")
    assert rows.count() == 4
    for row, target in enumerate(["digit-a", "digit-b", "digit-c", "digit-d"]):
        of_target = scores(digits, "ekfac", target)
        expected = [float(of_target.sel(step=step)[image]) for step in STEPS]
        said = [number(text) for text in rows.nth(row).locator("td span").all_inner_texts()]
        assert said == pytest.approx(expected, rel=0.06)
    shown.page.keyboard.press("Escape")


def test_a_class_is_filtered_and_ordered_by_size(shown, digits):
    labels = xr.open_zarr(digits.store / "data/train.zarr")["label"].values
    go(shown, target="digit-c", step=500, methods="trak", **{"class": 3, "sort": "size"})
    of_class = shown.page.locator(".side.both .tile .of").all_inner_texts()
    assert of_class and {text.removeprefix("class ") for text in of_class} == {"3"}
    size = np.abs(scores(digits, "trak", "digit-c").sel(step=500).values)
    said = [abs(number(text)) for text in shown.page.locator(".side.both .tile .score").all_inner_texts()]
    assert said == pytest.approx(np.sort(size[labels == 3])[::-1][: len(said)], rel=0.06)


def test_the_header_has_the_lds_of_the_step(shown, digits):
    go(shown, target="digit-a", step=500, methods="ekfac")
    row = pd.read_csv(digits.store / "tables/lds_summary.csv").query("method == 'ekfac' and step == 500").iloc[0]
    words = shown.page.locator(".trust").inner_text()
    assert f"at t = 500 is ekfac {row['mean']:.2f}".replace("-", "−") in words and "Controls:" in words
