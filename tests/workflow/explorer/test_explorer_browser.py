"""The explorer in a real Chromium: what a person does there."""

import numpy as np
import pytest
from browser import Watched, chromium, served
from explorer_store import FinishedStore


@pytest.fixture(scope="module")
def browser():
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    made = FinishedStore(tmp_path_factory.mktemp("explorer") / "digits", masks={"c": ("c", [0, 0, 4, 8])})
    made.make()
    return made


@pytest.fixture(scope="module")
def url(finished):
    with served(finished.root) as found:
        yield found


@pytest.fixture
def shown(browser, url):
    watched = Watched(browser).open(url)
    yield watched
    assert not watched.wrong and not watched.elsewhere()
    watched.page.close()


def ranked(score, first, k, largest=True):
    """The places of the k largest or smallest scores of images that are the first of their kind."""
    distinct = np.flatnonzero(first == np.arange(len(first)))
    order = np.argsort(-score[distinct] if largest else score[distinct], kind="stable")
    return distinct[order[:k]]


def test_lists_show_the_images_with_the_largest_and_smallest_scores(shown, finished):
    score = finished.score["ekfac", "a"][finished.steps.index(500)]
    for side, largest in (("towards", True), ("away", False)):
        expected = [finished.files[i].split("/")[1] for i in ranked(score, finished.first, 10, largest)]
        assert [text.split(" ×")[0] for text in shown.texts(f".side.{side} .tile .file")] == expected
