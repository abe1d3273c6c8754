"""A browser and finished experiments that all tests of the explorer share."""

import pytest
from browser import chromium, served
from explorer_store import CLASSES, HOSTILE, FinishedStore


@pytest.fixture(scope="module")  # Playwright runs an event loop as long as it is open, in the way of later tests' own
def browser():
    with chromium() as found:
        yield found


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    masks = {"c": ("c", [0, 0, 4, 8]), "d-left": ("d", [0, 0, 4, 8]), "d-right": ("d", [4, 0, 8, 8])}
    made = FinishedStore(
        tmp_path_factory.mktemp("explorer") / "digits", targets=("a", "b", "c", "d-left", "d-right"), masks=masks
    )
    made.make()
    return made


@pytest.fixture(scope="session")
def url(finished):
    with served(finished.root) as found:
        yield found


@pytest.fixture(scope="session")
def captioned(tmp_path_factory):
    """A text experiment, some of whose texts would be markup if anything took them for it."""
    captions = [f"a drawing of {['a cat', 'a dog', 'a red car'][i % 3]}, number {i}" for i in range(60)]
    captions[3] = captions[14] = HOSTILE
    files = [f"{CLASSES[i % 4]}/{i:05d}.png" for i in range(60)]
    files[14] = HOSTILE
    made = FinishedStore(
        tmp_path_factory.mktemp("captions") / "drawings",
        shape=(3, 8, 8),
        targets=("a", "b"),
        captions=captions,
        files=files,
        prompts={"a": "a cat in the rain", "b": HOSTILE},
        latent=True,
        lds=False,
        groups=False,
    )
    made.captions = captions
    made.make()
    return made


@pytest.fixture(scope="session")
def captioned_url(captioned):
    with served(captioned.root) as found:
        yield found
