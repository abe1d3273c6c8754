"""docs/benchmarks.md, from what the benchmarks print: all of them, or only those that are named.

    OMP_NUM_THREADS=2 python benchmarks/report.py [featurizing] [scoring] [quality] [compiled_kernels]

Sections of benchmarks that are not named stay as they are.
"""

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs/benchmarks.md"
SECTIONS = {
    "featurizing": "Featurizing",
    "scoring": "Scoring",
    "quality": "Quality",
    "compiled_kernels": "Compiled kernels",
}
INTRODUCTION = """# Benchmarks

Every figure below was measured by the scripts of `make bench` on the machine that its section names; nothing is timed
in tests. Ratios compare what ran side by side in one process. A bound beside a figure is what was asked of it; MISSED
means missed.
"""


def main(*names):
    found = stored()
    for name in names or SECTIONS:
        done = subprocess.run([sys.executable, HERE / f"{name}.py"], stdout=subprocess.PIPE, text=True, check=True)
        found[SECTIONS[name]] = done.stdout.strip()
        PAGE.write_text(
            "\n\n".join([INTRODUCTION.strip(), *(found[title] for title in SECTIONS.values() if title in found)]) + "\n"
        )


def stored():
    """{title: section} of the page as it is."""
    if not PAGE.exists():
        return {}
    sections = PAGE.read_text().split("\n## ")[1:]
    return {section.split("\n", 1)[0]: f"## {section.strip()}" for section in sections}


if __name__ == "__main__":
    main(*sys.argv[1:])
