"""The explorer in a real Chromium: what a person does there."""

import json

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from browser import Watched, served
from explorer_store import CLASSES, HOSTILE, FinishedStore

from waypoint.store.zarr.reader import open_store, read

BOX = [0, 0, 4, 8]


@pytest.fixture
def shown(browser, url):
    watched = Watched(browser).open(url)
    yield watched
    assert not watched.wrong and not watched.elsewhere()
    watched.page.close()


def go(watched, **words):
    """Change the address, as a link does."""
    watched.page.evaluate(
        "(hash) => { location.hash = hash; }", "&".join(f"{key}={value}" for key, value in words.items())
    )
    watched.page.wait_for_timeout(50)
    watched.settled()
    return watched


def distinct(made):
    return np.flatnonzero(made.first == np.arange(made.n))


def best(values, among, k, largest=True):
    """The k images with the largest or smallest values, the smaller index first where they tie."""
    order = np.argsort(-values[among] if largest else values[among], kind="stable")
    return among[order[:k]].tolist()


def images(watched, side="towards", column=0):
    """Indices of the images of a list: their names hold them."""
    names = watched.page.locator(".method").nth(column).locator(f".side.{side} .tile .file").all_inner_texts()
    return [int(name.split(".png")[0][-5:]) for name in names]


def at(made, method, target, step):
    return made.score[method, target][made.steps.index(step)]


# ---- targets and steps


def test_targets_are_chosen_by_their_pictures(shown, finished):
    assert shown.texts("#targets .name") == finished.targets
    shown.page.get_by_role("button", name="b", exact=False).first.click()
    shown.settled()
    assert "target=b" in shown.page.url and "Target b" in shown.texts("#steps h2")[0]
    assert images(shown) == best(at(finished, "ekfac", "b", 500), distinct(finished), 10)


def levels(image):
    """The colours of an image (C, H, W) in [-1, 1], as ``Watched.colours`` has them."""
    rounded = np.rint(127.5 * (np.clip(image.astype(float), -1, 1) + 1)).reshape(len(image), -1)
    return np.broadcast_to(rounded, (3, rounded.shape[1]))


def process_pictures(made, target, step):
    """What the store holds of a target's process at a step: x_t, x̂0_t and the first four samples."""
    samples = xr.open_zarr(made.root / f"targets/{target}/samples.zarr").sel(step=step)
    process = samples if made.latent else xr.open_zarr(made.root / f"targets/{target}/trajectory.zarr").sel(step=step)
    x_t, x0_hat = (process[f"{name}_image" if made.latent else name].values for name in ("x_t", "x0_hat"))
    return [x_t / max(1, np.abs(x_t).max() / 2), x0_hat, *samples["sample"].values[:4]]


def test_every_step_shows_what_the_store_holds(shown, finished):
    """Pixel by pixel, at every place of the slider; also where a chunk holds several steps, or not all samples."""
    for step in finished.steps:
        go(shown, target="a", step=step)
        for found, expected in zip(shown.colours(".now canvas"), process_pictures(finished, "a", step), strict=True):
            assert np.array_equal(found, levels(expected))
        assert shown.texts("#steps output") == [f"t = {step}"]
        assert images(shown) == best(at(finished, "ekfac", "a", step), distinct(finished), 10)


def test_the_steps_of_latents_are_shown_decoded(browser, captioned, captioned_url):
    watched = Watched(browser).open(captioned_url + "#target=b&step=300")
    for found, expected in zip(watched.colours(".now canvas"), process_pictures(captioned, "b", 300), strict=True):
        assert np.array_equal(found, levels(expected))
    assert not watched.wrong
    watched.page.close()


def test_the_strip_shows_every_estimate(shown, finished):
    go(shown, target="b", step=100)
    for found, step in zip(shown.colours(".film canvas"), sorted(finished.steps, reverse=True), strict=True):
        assert np.abs(found - levels(process_pictures(finished, "b", step)[1])).max() <= 1


def test_steps_slide_by_keyboard(shown, finished):
    press = shown.page.keyboard.press
    shown.page.locator("#step").focus()
    for key, step in (("ArrowRight", 300), ("ArrowRight", 100), ("ArrowRight", 100), ("Home", 900)):
        press(key)
        shown.settled()
        assert f"step={step}" in shown.page.url
    shown.page.locator("#lists").focus()  # arrows slide from elsewhere too
    press("ArrowRight")
    press("]")
    shown.settled()
    assert "step=700" in shown.page.url and "target=b" in shown.page.url
    slider = shown.page.locator("#step")
    assert slider.get_attribute("aria-valuetext") == "t = 700, step 2 of 5 from noise to image"


def test_regions_are_drawn_on_the_image(shown):
    go(shown, target="c")
    assert shown.page.locator(".regions path.region").count() == 4  # twice on x_t and on x̂0_t
    drawn = shown.page.locator(".regions path.region").first.evaluate(
        "(path) => { const b = path.getBBox(); return [b.x, b.y, b.width, b.height]; }"
    )
    assert drawn == BOX
    go(shown, target="d-left")
    assert shown.page.locator(".regions path.region.other").count() == 4
    shown.page.get_by_role("button", name="d-right").last.click()
    assert "target=d-right" in shown.page.url


# ---- lists


def test_a_tile_says_score_error_ranks_name_and_class(shown, finished):
    table = pd.read_csv(finished.root / "tables/top_influences.csv", dtype={"class": str})
    for method in ("ekfac", "random"):
        go(shown, target="a", step=300, methods=method)
        for sign, side in (("+", "towards"), ("-", "away")):
            rows = table.query(f"method == '{method}' and target == 'a' and step == 300 and sign == '{sign}'")
            tiles = shown.page.locator(f".side.{side} .tile")
            assert tiles.count() == len(rows) == 10
            for k, row in enumerate(rows.itertuples()):
                tile = tiles.nth(k)
                said = {name: tile.locator(f".{name}").inner_text() for name in ("score", "place", "mark", "file")}
                assert float(said["score"].replace("−", "-")) == pytest.approx(row.score, rel=0.06)
                ranks = f"rank {row.rank}"
                if method == "random":  # it knows no model
                    assert said["mark"] == "not judged" and said["place"] == ranks
                    assert not tile.locator(".error").is_visible()
                else:
                    error = float(tile.locator(".error").inner_text().removeprefix("± "))
                    assert error == pytest.approx(row.score_se, rel=0.51)
                    assert said["mark"] == ("✓ found" if row.found else "not found")
                    low, high = int(row.rank_low), int(row.rank_high)
                    assert said["place"] == (ranks if low == high == row.rank else f"{ranks} ({low} to {high})")
                grey = tile.locator("canvas").evaluate("(canvas) => getComputedStyle(canvas).filter")
                assert (grey == "grayscale(1)") == (said["mark"] == "not found")
                assert said["file"] == row.file.split("/")[1] + (f" ×{row.alike}" if row.alike > 1 else "")
                assert (
                    tile.locator(".of").inner_text()
                    == f"class {finished.labels[row.train] and CLASSES[row.label] or CLASSES[0]}"
                )


def test_methods_stand_side_by_side(shown, finished):
    for name in ("trak", "random (control)"):
        shown.page.get_by_label(name, exact=True).check()
    shown.settled()
    assert "methods=ekfac%2Ctrak%2Crandom" in shown.page.url
    for column, method in enumerate(finished.methods):
        for side in ("towards", "away"):
            expected = best(at(finished, method, "a", 500), distinct(finished), 10, side == "towards")
            assert images(shown, side, column) == expected
    lefts = [shown.page.locator(".method").nth(k).bounding_box()["x"] for k in range(3)]
    assert lefts == sorted(set(lefts))
    shown.page.get_by_label("ekfac", exact=True).uncheck()
    shown.settled()
    assert shown.page.locator(".method").count() == 2


def test_more_images_are_shown_on_request(shown, finished):
    shown.page.get_by_role("button", name="Show more").click()
    shown.settled()
    assert images(shown) == best(at(finished, "ekfac", "a", 500), distinct(finished), 20)
    assert shown.texts(".side.towards .tile .mark")[10:] == ["not judged"] * 10  # the table has no more


FILTERS = {
    "Class": ("class", lambda made: made.labels == 2),
    "File name": ("file", lambda made: np.array(["002" in file for file in made.files])),
    "Group": ("within", lambda made: made.labels == 1),
}


@pytest.mark.parametrize("name", FILTERS)
def test_filters_leave_what_fits(shown, finished, name):
    key, fits = FILTERS[name]
    field = shown.page.get_by_label(name, exact=True)
    if key == "file":
        field.fill("002")
        shown.page.wait_for_timeout(400)
    else:
        field.select_option(label={"class": "two", "within": "one"}[key])
    shown.settled()
    among = np.intersect1d(distinct(finished), np.flatnonzero(fits(finished)))
    score = at(finished, "ekfac", "a", 500)
    for side in ("towards", "away"):
        expected = best(score, among, 10, side == "towards")
        assert images(shown, side) == expected
        sign = 1 if side == "towards" else -1
        ranks = [1 + int((sign * score[distinct(finished)] > sign * score[i]).sum()) for i in expected]
        assert [text.split(" (")[0] for text in shown.texts(f".side.{side} .place")] == [f"rank {k}" for k in ranks]
    assert f"{len(among)} images fit" in shown.texts(".method .said")[0] and f"{key}=" in shown.page.url
    shown.page.get_by_role("button", name="Clear").click()
    shown.settled()
    assert images(shown) == best(score, distinct(finished), 10)


def test_a_filter_that_nothing_fits_says_so(shown):
    go(shown, file="nowhere")
    assert "No training image fits the filter." in shown.texts(".none")


def test_order_by_size_and_by_change_of_sign(shown, finished):
    score = finished.score["ekfac", "a"]
    go(shown, sort="size")
    among = distinct(finished)
    assert images(shown, "both") == best(np.abs(at(finished, "ekfac", "a", 500)), among, 20)
    go(shown, sort="swing")
    scaled = score / np.sqrt((score.astype(float) ** 2).mean(1, keepdims=True))
    swing = np.minimum(scaled.max(0), -scaled.min(0))
    among = among[swing[among] > 0]
    assert images(shown, "both") == best(swing, among, 20)
    signs = np.sign(score[:, images(shown, "both")])
    assert (signs.min(0) < 0).all() and (signs.max(0) > 0).all()


# ---- a training image, a group


def test_a_training_image_says_what_it_shaped(shown, finished):
    go(shown, target="a", step=100, methods="ekfac", image=1)
    shown.page.wait_for_selector("#detail td:not(:empty)")
    shown.until("!document.querySelector('#detail').innerText.includes('…')")
    # what the image shaped, and what resembles it, are read apart
    shown.until("[...document.querySelectorAll('#detail table td')].every((cell) => cell.innerText.trim())")
    shown.until("document.querySelectorAll('#detail .alike button[aria-label$=\".png\"]').length === 2")
    rows = shown.page.locator("#detail table tbody tr")
    assert rows.count() == len(finished.targets)
    for r, target in enumerate(finished.targets):
        for c, step in enumerate(sorted(finished.steps, reverse=True)):
            score = at(finished, "ekfac", target, step)
            cell = rows.nth(r).locator("td").nth(c)
            value, rank = cell.locator("span").inner_text(), cell.locator("small").inner_text()
            assert float(value.split(" ±")[0].replace("−", "-")) == pytest.approx(score[1], rel=0.06)
            assert rank == f"rank {1 + int((score > score[1]).sum())}"
    text = shown.page.locator("#detail").inner_text()
    assert "one/00001.png" in text and "class one" in text and "2 show the same" in text
    alike = shown.page.locator("#detail .alike button")
    assert [alike.nth(k).get_attribute("aria-label") for k in range(2)] == [
        "Near-duplicate: one/00005.png",
        "Near-duplicate: one/00009.png",
    ]
    shown.page.locator("#detail").get_by_label("By method").select_option("trak")
    shown.until("document.querySelector('#detail').innerText.includes('by trak')")
    alike.first.click()
    assert "image=5" in shown.page.url


def test_clicking_a_tile_opens_its_image_and_escape_closes_it(shown, finished):
    first = shown.page.locator(".side.towards .tile").first
    first.focus()
    shown.page.keyboard.press("Enter")
    shown.page.wait_for_selector("#detail h2")
    (image,) = best(at(finished, "ekfac", "a", 500), distinct(finished), 1)
    assert shown.texts("#detail h2") == [f"Training image {image}"] and f"image={image}" in shown.page.url
    assert shown.page.evaluate("document.activeElement.id") == "detail"
    shown.page.keyboard.press("Escape")
    shown.settled()
    assert "image=" not in shown.page.url and not shown.page.locator("#detail").is_visible()
    assert first.evaluate("(tile) => tile === document.activeElement")


def test_a_group_shows_its_sums_beside_both_nulls(shown, finished):
    go(shown, target="a", step=700, image=2)
    shown.page.get_by_role("button", name="two", exact=True).click()
    shown.page.wait_for_selector("#detail table")
    assert "group=two" in shown.page.url
    table = pd.read_csv(finished.root / "tables/group_influences.csv")
    rows = table.query("method == 'ekfac' and target == 'a' and group == 'two'").sort_values(
        "step", ascending=False, kind="stable"
    )
    lines = shown.page.locator("#detail tbody tr")
    assert lines.count() == len(rows) == 10
    for k, row in enumerate(rows.itertuples()):
        step, total, null, chance, z, p, q, found = lines.nth(k).locator("th, td").all_inner_texts()
        assert step == f"t = {row.step}" and null == row.null and found == ("✓ found" if row.found else "not found")
        assert float(total.split(" ±")[0].replace("−", "-")) == pytest.approx(row.score, rel=0.06)
        assert float(z.replace("−", "-")) == pytest.approx(row.z, rel=0.06)
        assert (p, q, chance.split("± ")[1]) == ("0.04", "0.08", f"{row.random_sd:g}")
    assert shown.page.locator("#detail svg circle").count() == 5 and shown.page.locator("#detail svg path").count() == 5
    shown.page.get_by_role("button", name="Only this group in the lists").click()
    shown.settled()
    assert all(finished.labels[i] == 2 for i in images(shown))


# ---- trust, addresses, looks


def test_the_header_says_how_far_to_trust_scores(shown):
    go(shown, step=300)
    words = shown.page.locator(".trust").inner_text()
    assert "at t = 300 is ekfac 0.53 (0.43 to 0.63), 76 % of the best possible. The best possible is 0.70." in words
    assert "Controls: random 0.01." in words
    go(shown, step=300, methods="random")
    assert "random 0.01 (−0.09 to 0.11), not shown to be above zero" in shown.page.locator(".trust").inner_text()
    shown.page.get_by_text("LDS by step, with ceiling and controls").click()
    shown.until("document.querySelector('#head table')")
    cells = shown.page.locator("#head table tr").filter(has_text="the best possible").locator("td").all_inner_texts()
    assert cells == ["0.70 (0.60 to 0.80)"] * 5
    assert shown.page.locator("#head svg path").count() == 2  # the method that is shown, and the ceiling


def scores_shown(watched):
    """The scores in the table of a training image, once all are read."""
    watched.until("[...document.querySelectorAll('#detail table td')].every((cell) => cell.innerText.trim())")
    watched.until("!document.querySelector('#detail').innerText.includes('…')")
    return [float(text.split(" ±")[0].replace("−", "-")) for text in watched.texts("#detail table td span")]


def test_an_address_holds_the_method_of_an_image_and_the_opened_chart(browser, shown, finished):
    go(shown, target="a", step=300, methods="ekfac", image=7)
    shown.page.locator("#detail").get_by_label("By method").select_option("trak")
    shown.page.get_by_text("LDS by step, with ceiling and controls").click()
    shown.until("document.querySelector('#head table')")
    other = Watched(browser).open(shown.page.url)
    other.until("document.querySelector('#head table')")
    for watched in (shown, other):
        expected = [at(finished, "trak", t, step)[7] for t in finished.targets for step in finished.steps[::-1]]
        assert scores_shown(watched) == pytest.approx(expected, rel=0.06)
    assert other.page.inner_text("body") == shown.page.inner_text("body") and other.page.url == shown.page.url
    go(other, target="a", group="two", by="trak")
    other.until("document.querySelector('#detail table')")
    assert "by trak" in other.page.inner_text("#detail")
    other.page.get_by_role("button", name="Close").click()
    other.settled()
    assert "by=" not in other.page.url
    other.page.close()


def test_a_training_image_in_full_size(browser, tmp_path):
    large = FinishedStore(tmp_path / "large", n=12, shape=(3, 80, 70), targets=("a",), methods=("trak",), groups=False)
    large.make()
    with served(large.root) as url:
        watched = Watched(browser).open(url + "#image=3")
        watched.page.get_by_role("button", name="Full size, 70 × 80").click()
        watched.until("document.querySelector('#detail canvas.full')")
        other = Watched(browser).open(watched.page.url)
        other.until("document.querySelector('#detail canvas.full')")
        image = read(open_store(large.root / "data/train.zarr")["image"])[3]
        for each in (watched, other):
            assert np.array_equal(each.colours("#detail canvas.full")[0], levels(image))
            assert not each.wrong
        go(other, image=4)
        assert (
            other.page.get_by_role("button", name="Full size, 70 × 80").is_visible() and "full=" not in other.page.url
        )
        for each in (watched, other):
            each.page.close()


def test_an_address_shows_what_its_sender_saw(browser, shown, url):
    words = {"target": "b", "step": 300, "methods": "ekfac,trak", "image": 7, "class": 1, "sort": "size", "show": 20}
    go(shown, **words)
    shown.until("!document.querySelector('#detail').innerText.includes('…')")
    other = Watched(browser).open(shown.page.url)
    other.until("!document.querySelector('#detail').innerText.includes('…')")
    assert other.page.inner_text("body") == shown.page.inner_text("body")
    assert other.page.url == shown.page.url
    broken = Watched(browser).open(
        url + "#target=constructor&step=12&methods=x&image=999999&group=toString&show=1e9&sort=y"
    )
    assert "target=a&step=100&methods=ekfac" in broken.page.evaluate("location.hash") or not broken.wrong
    assert images(broken) and not broken.wrong
    for page in (other, broken):
        page.page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280, 2560])
def test_axe_finds_nothing_and_nothing_is_cut_off(browser, url, captioned_url, scheme, width):
    from axe_playwright_python.sync_playwright import Axe

    watched = Watched(browser, width, 900, scheme)
    for address in (
        url + "#target=c&methods=ekfac,trak,random&image=1",
        url + "#group=two&sort=size",
        url + "#file=nowhere",
        captioned_url,
    ):
        watched.page.goto("about:blank")
        watched.open(address)
        for summary in watched.page.locator("summary").all():
            summary.click()
        watched.page.wait_for_timeout(400)  # messages appear slowly
        found = Axe().run(watched.page).response["violations"]
        assert not found, json.dumps([(one["id"], [node["html"] for node in one["nodes"]][:3]) for one in found])
        wide = watched.page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        assert wide[0] <= wide[1], address
    light = watched.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (light == "rgb(251, 251, 249)") == (scheme == "light")
    watched.page.close()


def test_everything_is_reached_by_tab(shown):
    """From the address bar on, in the order of the page."""
    seen, parts = [], "#head, #targets, #steps, #filters, #lists"
    for _ in range(60):
        shown.page.keyboard.press("Tab")
        focused = f"document.activeElement.closest('{parts}')?.id + ' ' + document.activeElement.tagName"
        seen.append(shown.page.evaluate(focused))
    order = list(dict.fromkeys(seen))
    for place in (
        "head SUMMARY",
        "targets BUTTON",
        "steps INPUT",
        "steps BUTTON",
        "filters INPUT",
        "filters SELECT",
        "lists BUTTON",
    ):
        assert place in order, order
    assert order.index("targets BUTTON") < order.index("steps INPUT") < order.index("lists BUTTON")


# ---- captions


def test_captions_and_prompts_are_shown_and_searched(browser, captioned, captioned_url):
    watched = Watched(browser).open(captioned_url)
    assert "“a cat in the rain”" in watched.texts("#steps h2")[0]
    assert all(text in captioned.captions for text in watched.texts(".tile .caption"))
    watched.page.get_by_label("Caption", exact=True).fill("RED car")
    watched.page.wait_for_timeout(400)
    watched.settled()
    assert watched.texts(".tile .caption") and all("a red car" in text for text in watched.texts(".tile .caption"))
    assert "not measured in this experiment" in watched.page.locator(".trust").inner_text()
    assert not watched.wrong and not watched.elsewhere()
    watched.page.close()


def test_a_hostile_caption_is_text(browser, captioned_url):
    watched = Watched(browser).open(captioned_url + "#target=b&caption=onerror&show=20")
    assert set(watched.texts(".tile .caption")) == {HOSTILE}
    watched.page.locator(".tile").first.click()
    watched.page.wait_for_selector("#detail .words")
    go(watched, target="b", image=14)
    watched.until("document.querySelector('#detail h2').innerText.endsWith('14')")
    assert HOSTILE in watched.page.locator("#detail .words").inner_text()
    assert HOSTILE in watched.page.locator("#steps h2").inner_text()
    assert watched.page.title() == "drawings · Waypoint"
    assert watched.page.locator("body script").count() == 1 and watched.page.locator("img").count() == 0
    assert not watched.wrong and not watched.elsewhere()
    watched.page.close()


def test_the_policy_of_the_page_lets_nothing_out(browser, url):
    watched = Watched(browser).open(url)
    assert watched.page.evaluate("fetch('http://127.0.0.2:9/').then(() => 'asked', () => 'refused')") == "refused"
    assert any("Content Security Policy" in words for words in watched.wrong)
    watched.page.close()
