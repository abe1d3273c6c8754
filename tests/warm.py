"""An interpreter with torch and diffusers loaded, from which a workflow's jobs are forked so that they start at once.

    Job              in Snakemake's shell            in the server
    python /x.py …   the `python` written here   →   a fork that runs /x.py as `__main__`, with that
                     waits and exits as /x.py does   shell's arguments, folder, variables and streams

None of Waypoint's code is loaded beforehand: every job still imports it from the checkout that its path names. Other
tests cover that every script starts on its own: tests/faults runs nearly every rule with plain Python, and the whole
runs of default, masked, encoding and given models run the others.
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
    """Return the folder to put first in PATH; the server behind its `python` ends with this process."""
    variables = {
        "OMP_NUM_THREADS": "1",  # read by torch when it is loaded; the same as Snakemake gives every job
        "PYTORCH_NVML_BASED_CUDA_CHECK": "1",  # diffusers looks for GPUs; after CUDA's own check no fork could use one
    }
    server = subprocess.Popen(
        [sys.executable, __file__], env={**os.environ, **variables}, stdout=subprocess.PIPE, text=True
    )
    folder_path = server.stdout.readline().strip()
    assert folder_path, "the server did not start"
    return folder_path


class Job(socketserver.StreamRequestHandler):
    """A job, which runs in its own process."""

    def handle(self):
        _, streams, _, _ = socket.recv_fds(self.request, 1, 3)
        sys.argv, directory, variables = json.loads(self.rfile.readline())
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
            os.close(stream)
        os.chdir(directory)
        os.environ.clear()
        os.environ.update(variables)
        python_path = variables.get("PYTHONPATH", "").split(os.pathsep)
        sys.path[:1] = [os.path.dirname(os.path.realpath(sys.argv[0])), *filter(None, python_path)]
        status = run(sys.argv[0])
        sys.stdout.flush()
        sys.stderr.flush()
        self.wfile.write(str(status).encode())


def run(script):
    """Run a script as Python does and return its exit status."""
    try:
        runpy.run_path(script, run_name="__main__")
    except SystemExit as error:
        if error.code is None or isinstance(error.code, int):
            return error.code or 0
        print(error.code, file=sys.stderr)
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

    with tempfile.TemporaryDirectory(prefix="warm-") as directory:
        address, python = f"{directory}/socket", Path(directory, "python")
        python.write_text(PYTHON.format(python=sys.executable, address=address))
        python.chmod(0o755)
        with Server(address, Job) as server:
            print(directory, flush=True)
            server.serve_forever()


if __name__ == "__main__":
    main()
