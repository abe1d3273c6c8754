"""Chromium for tests, and pages whose requests and errors are recorded."""

import contextlib
import os
import shutil
import threading
import time
from urllib.parse import urlsplit

import numpy as np
import pytest

from waypoint.workflow.explorer.serve import ADDRESS, address, server

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or "/usr/bin/chromium"


@contextlib.contextmanager
def served(root):
    """Serve an experiment's folder; yields the address of its page."""
    with server(root) as running:
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        yield address(running)
        running.shutdown()
        thread.join()


@contextlib.contextmanager
def chromium():
    """Run a browser without a window; yields it."""
    from playwright.sync_api import sync_playwright

    if not os.path.exists(CHROMIUM):
        pytest.fail("Chromium is not installed: tests/install_chromium.sh, or name it by CHROMIUM")
    with sync_playwright() as playwright:
        # without a sandbox, which containers often do not allow
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


def canvases(selector):
    """Return an expression for the pixels of canvases, four bytes each."""
    pixels = "canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data"
    return f"[...document.querySelectorAll('{selector}')].map((canvas) => {pixels})"


def drawn(selector):
    """Return an expression for whether each of some canvases has been drawn."""
    return f"{canvases(selector)}.map((pixels) => pixels.some(Boolean))"


class Watched:
    """A page with its requests and errors.

    Attributes:
        page: Playwright's page. asked: requested addresses. wrong: errors, failed requests and errors on the console.
    """

    def __init__(self, browser, width=1280, height=900, scheme="light"):
        self.page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
        self.asked, self.wrong = [], []
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("console", lambda message: message.type == "error" and self.wrong.append(message.text))
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("requestfailed", lambda request: self.wrong.append(request.url))

    def open(self, url):
        """Open an address and wait until its lists have scores."""
        self.page.goto(url)
        self.settled()
        return self

    def settled(self):
        """Wait until everything has been read and drawn."""
        ready = "['#lists .tile', '#lists .none:not([hidden])', '#messages .message']"
        self.until(f"{ready}.some((one) => document.querySelector(one))")
        waiting = "[...document.querySelectorAll('#lists .score, #lists .file, #lists .said')]"
        self.until(f"!{waiting}.some((one) => ['…', 'Reading …'].includes(one.textContent))")
        self.until("!document.querySelector('#lists .tile[data-late]')")
        self.page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def until(self, expression, seconds=30):
        """Wait until an expression is true; the page's policy blocks Playwright's own waiting."""
        end = time.monotonic() + seconds
        while not self.page.evaluate(expression):
            assert time.monotonic() < end, f"never true: {expression}"
            self.page.wait_for_timeout(10)

    def colours(self, selector):
        """Return the colours of canvases once all are drawn, each (3, H · W) in 0..255."""
        self.until(f"{drawn(selector)}.every(Boolean)")
        levels = self.page.evaluate(f"{canvases(selector)}.map((pixels) => Array.from(pixels))")
        return [np.array(each).reshape(-1, 4).T[:3] for each in levels]

    def elsewhere(self):
        """Return the requested addresses that are not on the page's own server."""
        urls = [urlsplit(url) for url in self.asked]
        return [url.geturl() for url in urls if url.scheme in ("http", "https") and url.hostname != ADDRESS]

    def texts(self, selector):
        """Return the visible, non-empty texts of elements."""
        return [text for text in self.page.locator(selector).all_inner_texts() if text]
