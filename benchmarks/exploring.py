"""How fast the explorer opens and slides in a real browser: docs/explorer.md.

python benchmarks/exploring.py FOLDER [--images 50000] [--targets 20] [--size 32]

Makes a finished experiment in FOLDER, once (a few GB and minutes), serves it, and reads it with Chromium behind a line
of 50 Mbit/s with 10 ms of latency. One line of JSON comes out.
"""

import argparse
import json
import os
import statistics
import sys
import time
from pathlib import Path

TESTS, SCRIPTS = Path(__file__).parents[1] / "tests", Path(__file__).parents[1] / "workflow_scripts"
sys.path[:0] = [str(TESTS), str(SCRIPTS)]
MEGABITS, LATENCY = 50, 10  # milliseconds
STEPS = (50, 150, 250, 350, 450, 550, 650, 750, 850)
METHODS = ("ekfac", "trak", "fisher", "wiener", "random")
SLIDES = 90  # frames that are measured
# moves the slider one step in every frame, back and forth, and counts how long frames take
SLIDE = """async (frames) => {
  const slider = document.querySelector("#step"), steps = Number(slider.max), times = [];
  const frame = () => new Promise(requestAnimationFrame);
  let before = await frame();
  for (let k = 0; k < frames; k++) {
    const at = k % (2 * steps);
    slider.value = at > steps ? 2 * steps - at : at;
    slider.dispatchEvent(new Event("input", { bubbles: true }));
    const now = await frame();
    times.push(now - before);
    before = now;
  }
  return times;
}"""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=int, default=50_000)
    parser.add_argument("--targets", type=int, default=20)
    parser.add_argument("--size", type=int, default=32, help="height and width of the images")
    args = parser.parse_args()
    root = args.folder / "large"
    seconds = None if (root / "explorer").exists() else made(root, args)
    from browser import chromium, served

    from waypoint.workflow.explorer import page as explorer

    explorer.place(root / "explorer")  # the page as it is now, beside what an earlier measurement made

    with chromium() as browser, served(root) as url:
        found = [measured(browser, url) for _ in range(5)]
    middle = {name: statistics.median(each[name] for each in found) for name in found[0]}
    size = sum(file.stat().st_size for file in (root / "explorer").rglob("*") if file.is_file())
    page = sum((root / "explorer" / name).stat().st_size for name in ("index.html", "explorer.js", "explorer.css"))
    made_of = {**vars(args), "folder": str(args.folder), "methods": len(METHODS), "steps": len(STEPS)}
    print(json.dumps({**made_of, "making_s": seconds, "explorer_mb": size / 1e6, "page_kb": page / 1e3, **middle}))


def made(root, args):
    """Make the experiment and its page; the seconds that the page took."""
    from explorer_store import FinishedStore

    from waypoint.store.zarr.writer import BROWSED_BYTES

    store = FinishedStore(
        root,
        n=args.images,
        shape=(3, args.size, args.size),
        targets=[f"t{k:02d}" for k in range(args.targets)],
        methods=METHODS,
        steps=STEPS,
        kept=False,
        chunk_bytes=BROWSED_BYTES,
    )
    began = time.monotonic()
    store.make()
    return round(time.monotonic() - began, 1)


def measured(browser, url):
    """One visit: seconds until lists, scores and pictures are drawn, MB that were read, frames a second of sliding."""
    from browser import Watched, drawn

    pictures = f"{drawn('.now canvas, .film canvas')}.every(Boolean)"

    watched = Watched(browser)
    throttle = watched.page.context.new_cdp_session(watched.page)
    throttle.send("Network.enable")
    line = MEGABITS * 1e6 / 8
    limits = {"offline": False, "latency": LATENCY, "downloadThroughput": line, "uploadThroughput": line}
    throttle.send("Network.emulateNetworkConditions", limits)
    sizes = []
    throttle.on("Network.loadingFinished", lambda event: sizes.append(event["encodedDataLength"]))
    began = time.monotonic()
    watched.open(url)
    watched.until(pictures)
    opened, read = time.monotonic() - began, sum(sizes) / 1e6
    throttle.send("Performance.enable", {"timeDomain": "threadTicks"})
    cpu = {}
    one = slid(watched, throttle, cpu, "one")
    watched.page.goto(url + "#methods=" + ",".join(METHODS))
    watched.settled()
    watched.page.wait_for_timeout(2000)  # pictures of all lists
    five = slid(watched, throttle, cpu, "side_by_side")
    watched.page.goto(url + "#file=1&class=1&sort=size")
    watched.settled()
    other = slid(watched, throttle, cpu, "filtered")
    began = time.monotonic()
    watched.page.goto(url + "#target=t01")
    watched.until("document.querySelector('#steps h2').textContent.startsWith('Target t01')")
    watched.settled()
    watched.until(pictures)
    switched = time.monotonic() - began
    watched.page.close()
    rate = {"one": one, "side_by_side": five, "filtered": other}
    frames = {f"fps_{name}": round(1000 / statistics.mean(times), 1) for name, times in rate.items()}
    slowest = {f"slowest_ms_{name}": round(max(times), 1) for name, times in rate.items()}
    return {
        "opens_s": round(opened, 2),
        "read_mb": round(read, 2),
        "switch_s": round(switched, 2),
        **frames,
        **slowest,
        **cpu,
    }


def slid(watched, session, cpu, name):
    """Milliseconds of every frame of sliding; into ``cpu`` those that the page's thread worked for a frame.

    The latter hardly depend on what else the machine does.
    """

    def worked():
        metrics = {each["name"]: each["value"] for each in session.send("Performance.getMetrics")["metrics"]}
        return metrics["TaskDuration"]

    before = worked()
    times = watched.page.evaluate(SLIDE, SLIDES)
    cpu[f"cpu_ms_{name}"] = round(1000 * (worked() - before) / SLIDES, 1)
    return times


if __name__ == "__main__":
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    main()
