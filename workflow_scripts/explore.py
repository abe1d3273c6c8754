"""The explorer: makes an experiment's page and opens it in a browser, or packs one target into a single file.

    make explore [CONFIG=mine.yaml] [TARGET=a]

The page is served to this machine alone, until Ctrl-C. A packed target is a file to send to somebody.
"""

import argparse
import os
import subprocess
import sys
import webbrowser
from pathlib import Path

from waypoint.errors import WaypointError
from waypoint.workflow.config.complete import complete
from waypoint.workflow.config.read_config import read_config
from waypoint.workflow.explorer.serve import address, server
from waypoint.workflow.plan.plan import Plan
from waypoint.workflow.plan.requested import nearest

REPOSITORY = Path(__file__).parents[1]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--configfile", default="config.yaml", help="the experiment's configuration")
    parser.add_argument("--cores", default="1")
    parser.add_argument("--target", help="pack this target into one file, and serve nothing")
    parser.add_argument("--no-browser", action="store_true", help="serve the page, but open no browser")
    args = parser.parse_args()
    try:
        plan = Plan(complete(read_config(args.configfile)))
        require_scores(plan, args.target)
        if args.target:
            pack(plan, args)
        else:
            make_page(args, f"{plan.root}/explorer")
            serve(plan.root, not args.no_browser)
    except (OSError, WaypointError) as error:
        sys.exit(f"Waypoint: {error}")


def require_scores(plan, target=None):
    """Refuse an experiment without scores, and a target that it does not have.

    Raises:
        WaypointError: there are no scores, or no such target.
    """
    if not plan.attributed:
        name = plan.config["experiment"]
        raise WaypointError(f"{name} has no training images (section data), so that there are no scores to explore")
    if target and target not in plan.targets:
        raise WaypointError(
            f"TARGET={target}: the configuration has no such target; {nearest(target, [*plan.targets])}"
        )


def pack(plan, args):
    """Make one target's file, and warn of what it contains."""
    path = f"{plan.root}/figures/{args.target}/explorer.html"
    print("Waypoint: the file will contain training pictures: send it only to people who may see them.", flush=True)
    make_page(args, path)
    print(f"{path}, {os.path.getsize(path) / 1e6:.1f} MB, opens in any browser; `make report` includes it")


def make_page(args, path):
    """Make a page with Snakemake, and exit with its status if it fails."""
    command = [sys.executable, "-m", "snakemake", "-s", str(REPOSITORY / "Snakefile"), "--cores", args.cores]
    env_path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    result = subprocess.run(
        [*command, "--configfile", args.configfile, "--", path], env={**os.environ, "PATH": env_path}
    )
    if result.returncode:
        sys.exit(result.returncode)


def serve(root, browser):
    """Serve an experiment's folder until Ctrl-C.

    Args:
        browser: whether to open the page.
    """
    with server(root) as http_server:
        print(f"\n{address(http_server)}\nserved to this machine alone; Ctrl-C ends it", flush=True)
        if browser:
            webbrowser.open(address(http_server))
        try:
            http_server.serve_forever()
        except KeyboardInterrupt:
            print()


if __name__ == "__main__":
    main()
