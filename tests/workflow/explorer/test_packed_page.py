"""One target in a single file."""

import base64
import json
import re

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from browser import Watched, drawn
from explorer_store import HOSTILE, FinishedStore

from waypoint.workflow.explorer import page


@pytest.fixture(scope="module")
def packed(finished):
    return finished.pack("a")


def body(watched):
    return tuple(watched.page.inner_text(part) for part in ("#lists", "#steps", ".trust"))


def test_a_packed_page_shows_what_the_served_one_shows(browser, packed, url):
    """Opened as a file, without a server, and without asking for anything."""
    for words in ("#step=300&methods=ekfac,trak,random", "#step=900&methods=trak"):
        alone, whole = Watched(browser).open(packed.as_uri() + words), Watched(browser).open(url + words)
        found, expected = body(alone), body(whole)
        more = "\nShow more"  # of images that are in no list there is nothing in the file
        assert found[0].removesuffix(more) == expected[0].removesuffix(more)
        assert found[1:] == expected[1:]
        assert [address.split("#")[0] for address in alone.asked if not address.startswith("data:")] == [
            packed.as_uri()
        ]
        assert not alone.wrong and not whole.wrong
        alone.page.close()
        whole.page.close()


def test_a_packed_page_shows_the_same_pictures(browser, packed, url):
    for step in (100, 500, 900):
        alone, whole = (Watched(browser).open(f"{page}#target=a&step={step}") for page in (packed.as_uri(), url))
        for part in (".now canvas", ".film canvas"):
            for found, expected in zip(alone.colours(part), whole.colours(part), strict=True):
                assert np.abs(found - expected).max() <= 1  # rounded once more
        alone.page.close()
        whole.page.close()


def test_pictures_of_large_images_are_packed_smaller(browser, tmp_path):
    large = FinishedStore(
        tmp_path / "large", n=12, shape=(3, 300, 200), targets=("a",), methods=("trak",), groups=False
    )
    alone = Watched(browser).open(large.pack("a").as_uri() + "#step=500")
    process = xr.open_zarr(large.root / "targets/a/trajectory.zarr").sel(step=500)
    alone.until(f"{drawn('.now canvas')}.every(Boolean)")
    sizes = alone.page.evaluate(
        "[...document.querySelectorAll('.now canvas')].map(({ height, width }) => [height, width])"
    )
    assert sizes == [[256, 171]] * 2 + [[128, 85]] * 4
    for name, found in zip(("x_t", "x0_hat"), alone.colours(".now canvas")):
        image = process[name].values
        expected = 127.5 * (image / (max(1, np.abs(image).max() / 2) if name == "x_t" else 1) + 1)
        assert found.mean() == pytest.approx(np.clip(expected, 0, 255).mean(), abs=1)
    assert not alone.wrong
    alone.page.close()


def test_a_packed_page_filters_opens_images_and_keeps_its_address(browser, packed, finished):
    alone = Watched(browser).open(packed.as_uri() + "#class=2&sort=swing")
    assert set(alone.texts(".tile .of")) == {"class two"}
    assert set(alone.texts(".tile .place")) == {"no rank in this file"}
    alone.page.locator(".tile").first.click()
    alone.until("document.querySelector('#detail td') && !document.querySelector('#detail').innerText.includes('…')")
    assert re.search(r"image=\d+", alone.page.url) and alone.page.locator("#detail tbody tr").count() == 1
    alone.page.get_by_role("button", name="two", exact=True).click()
    alone.until("document.querySelector('#detail svg')")
    assert alone.texts("#targets .name") == ["a"] and not alone.wrong
    assert alone.page.title() == "a of digits"
    alone.page.close()


def test_a_packed_page_says_no_rank_that_it_cannot_know(browser, packed, finished):
    """Ranks are those among all training images, also where most of them are not in the file."""
    alone = Watched(browser).open(packed.as_uri() + "#class=2&step=500")
    score = finished.score["ekfac", "a"][finished.steps.index(500)]
    distinct = score[finished.first == np.arange(finished.n)]
    names = alone.texts(".side.towards .tile .file")
    for name, place in zip(names, alone.texts(".side.towards .tile .place"), strict=True):
        rank = 1 + int((distinct > score[int(name[:5])]).sum())
        assert place.split(" (")[0] == (f"rank {rank}" if rank <= 10 else "no rank in this file")
    assert "images of this file fit" in alone.texts(".method .said")[0] and len(names) > 2 and not alone.wrong
    alone.page.close()


def test_a_packed_page_holds_only_the_images_of_its_lists(packed, finished):
    table = pd.read_csv(finished.root / "tables/top_influences.csv").query("target == 'a'")
    files = json.loads(re.search(r'id="packed">(.*?)</script>', packed.read_text(), re.S)[1])
    index = json.loads(base64.b64decode(files["index.json"]))
    assert index["images"]["ids"] == sorted(set(table.train)) and index["images"]["count"] == finished.n
    assert not any("/b" in name for name in files)


def test_a_packed_page_has_a_policy_of_its_own(packed):
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', packed.read_text())[1]
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in policy and "http" not in policy


def test_hostile_names_stay_data_in_a_packed_page(browser, captioned):
    alone = Watched(browser).open(captioned.pack("b").as_uri() + "#caption=onerror")
    assert set(alone.texts(".tile .caption")) <= {HOSTILE}
    assert alone.page.title() == "b of drawings" and alone.page.locator("img").count() == 0 and not alone.wrong
    assert HOSTILE in alone.page.inner_text("#steps h2")
    alone.page.close()


def test_the_title_of_a_packed_page_is_no_markup(tmp_path):
    (tmp_path / "index.json").write_text('{"a": "</script><script>"}')
    html = page.packed(tmp_path, "</title><script>&")
    assert "<title>&lt;/title>&lt;script>&amp;</title>" in html
    assert html.count("</script>") == 2  # of the data and of the code
