"""Jobs of warm.py against the same scripts started by Python: nothing but the loaded libraries may differ."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import warm

ALIKE = {
    "given": "import os, sys\n"
    "print(sys.argv, sys.path[0], os.getcwd(), os.environ['WORD'], __name__, __file__, sys.stdin.read())\n"
    "print(sys.modules['__main__'].__doc__, file=sys.stderr)",
    "ends": "pass",
    "leaves": "import sys\nsys.exit()",
    "status": "import sys\nsys.exit(3)",
    "message": "import sys\nsys.exit('what is wrong')",
    "children": "import subprocess\nsubprocess.run(['sh', '-c', 'echo from a child; echo $WORD >&2'], check=True)",
}


def ran(python, folder, text):
    """A script of this text, run in a folder by a python."""
    (folder / "script.py").write_text(f'"""What it is."""\n{text}\n')
    command = [python, folder / "script.py", "a word", "it's ü\n", ""]
    variables = {**os.environ, "WORD": "of this shell's"}
    return subprocess.run(command, cwd=folder, env=variables, input="read", capture_output=True, text=True)


@pytest.fixture(scope="module")
def python():
    return str(Path(warm.folder(), "python"))


@pytest.mark.parametrize("name", ALIKE)
def test_a_job_is_given_and_gives_the_same(python, tmp_path, name):
    ours, theirs = (ran(each, tmp_path, ALIKE[name]) for each in (python, sys.executable))
    assert (ours.returncode, ours.stdout, ours.stderr) == (theirs.returncode, theirs.stdout, theirs.stderr)


def test_an_error_that_nobody_caught_fails_with_its_traceback(python, tmp_path):
    done = ran(python, tmp_path, "raise ValueError('unforeseen')")
    assert done.returncode == 1 and done.stderr.endswith("ValueError: unforeseen\n") and "script.py" in done.stderr


def test_a_killed_job_fails(python, tmp_path):
    assert ran(python, tmp_path, "import os\nos.kill(os.getpid(), 9)").returncode == 1


def test_a_job_loads_its_own_code_and_leaves_nothing_to_the_next(python, tmp_path):
    listed = "import sys\nprint([name for name in sys.modules if name.split('.')[0] in ('waypoint', 'transformers')])"
    assert ran(python, tmp_path, listed).stdout == "[]\n"
    (tmp_path / "waypoint.py").write_text("print('from this folder')")
    assert ran(python, tmp_path, "import waypoint").stdout == "from this folder\n"
    assert ran(python, tmp_path, listed).stdout == "[]\n"


def test_the_server_ends_with_the_process_that_started_it():
    code = f"import sys; sys.path.insert(0, {str(Path(warm.__file__).parent)!r}); import warm; print(warm.folder())"
    place = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
    assert Path(place).name.startswith("warm-")
    end = time.monotonic() + 60
    while Path(place).exists():
        assert time.monotonic() < end
        time.sleep(0.1)
