"""An interpreter that has loaded torch and diffusers, of which a workflow's jobs are copies: they start at once.

    Job              in Snakemake's shell            in the server
    python /x.py …   the `python` written here   →   a fork that runs /x.py as `__main__`, with that
                     waits and exits as /x.py does   shell's arguments, folder, variables and streams

Nothing of Waypoint's is loaded beforehand: every job still imports its own code, from the checkout that its path names.
That every script also starts by itself is seen elsewhere: tests/faults runs nearly every rule with Python as it is, and
the whole runs of default, masked, encoding and given models do for the others.
"""

import functools
import json
import os
import runpy
import socket
import socketserver
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path

LEAN = Path(__file__).parents[1] / "workflow_scripts/waypoint/patches/lean_diffusers.py"
PYTHON = """#!{python} -IS
import json, os, socket, sys

server = socket.socket(socket.AF_UNIX)
server.connect({address!r})
socket.send_fds(server, [b"."], [0, 1, 2])
server.sendall(json.dumps([sys.argv[1:], os.getcwd(), dict(os.environ)]).encode() + b"\\n")
sys.exit(int(server.makefile().read() or 1))  # a job that was killed says nothing
"""


@functools.cache
def folder():
    """The folder to put first in PATH; the server behind its `python` ends with this process."""
    variables = {
        "OMP_NUM_THREADS": "1",  # torch reads it when it is loaded; Snakemake gives every job as many
        "PYTORCH_NVML_BASED_CUDA_CHECK": "1",  # diffusers looks for GPUs: after CUDA's own check no fork could use one
    }
    server = subprocess.Popen(
        [sys.executable, __file__], env={**os.environ, **variables}, stdout=subprocess.PIPE, text=True
    )
    place = server.stdout.readline().strip()
    assert place, "the server did not start"
    return place


class Job(socketserver.StreamRequestHandler):
    """In a process of its own."""

    def handle(self):
        _, streams, _, _ = socket.recv_fds(self.request, 1, 3)
        sys.argv, place, variables = json.loads(self.rfile.readline())
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
            os.close(stream)
        os.chdir(place)
        os.environ.clear()
        os.environ.update(variables)
        named = variables.get("PYTHONPATH", "").split(os.pathsep)
        sys.path[:1] = [os.path.dirname(os.path.realpath(sys.argv[0])), *filter(None, named)]
        status = run(sys.argv[0])
        sys.stdout.flush()
        sys.stderr.flush()
        self.wfile.write(str(status).encode())


def run(script):
    """Run a script as Python does; its exit status."""
    try:
        runpy.run_path(script, run_name="__main__")
    except SystemExit as ended:
        if ended.code is None or isinstance(ended.code, int):
            return ended.code or 0
        print(ended.code, file=sys.stderr)
        return 1
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


class Server(socketserver.ForkingMixIn, socketserver.UnixStreamServer):
    started_by = os.getppid()

    def service_actions(self):
        super().service_actions()
        if os.getppid() != self.started_by:
            sys.exit()


def main():
    import matplotlib.pyplot  # noqa: F401
    import pandas  # noqa: F401
    import scipy.stats  # noqa: F401
    import torch  # noqa: F401
    import xarray  # noqa: F401
    import zarr  # noqa: F401

    runpy.run_path(str(LEAN))  # diffusers, the way jobs load it

    with tempfile.TemporaryDirectory(prefix="warm-") as place:
        address, python = f"{place}/socket", Path(place, "python")
        python.write_text(PYTHON.format(python=sys.executable, address=address))
        python.chmod(0o755)
        with Server(address, Job) as server:
            print(place, flush=True)
            server.serve_forever()


if __name__ == "__main__":
    main()
