"""The page itself: files in explorer/dist, built from explorer/src, that are the same for every experiment."""

import base64
import hashlib
import json
import shutil
from pathlib import Path

DIST = Path(__file__).parents[4] / "explorer" / "dist"
FILES = ("index.html", "explorer.js", "explorer.css", "LICENSES.txt")
POLICY = "__POLICY__"
STYLE, CODE = '<link rel="stylesheet" href="explorer.css">', '<script src="explorer.js" defer></script>'
# nothing from other origins, no code but the page's own, no forms; pictures are drawn from fetched data
SERVED = (
    "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "object-src 'none'; base-uri 'none'; form-action 'none'"
)


def place(folder: Path) -> None:
    """Copy the page into a folder."""
    for name in FILES:
        shutil.copyfile(DIST / name, folder / name)
    html = (DIST / "index.html").read_text(encoding="utf-8")
    (folder / "index.html").write_text(html.replace(POLICY, SERVED), encoding="utf-8")


def packed(folder: Path, title: str) -> str:
    """Return the page with every file of a folder embedded, as one HTML document that loads nothing else.

    Args:
        folder: contains ``index.json`` and the files it refers to. title: title of the document.
    """
    style = (DIST / "explorer.css").read_text(encoding="utf-8")
    code = (DIST / "explorer.js").read_text(encoding="utf-8").replace("</script", "<\\/script")
    files = {
        str(file.relative_to(folder)): base64.b64encode(file.read_bytes()).decode()
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }
    data = json.dumps(files).replace("<", "\\u003c")
    policy = (
        f"default-src 'none'; script-src '{_hash(code)}'; style-src '{_hash(style)}'; img-src blob: data:; "
        "base-uri 'none'; form-action 'none'"
    )
    html = (DIST / "index.html").read_text(encoding="utf-8").replace(POLICY, policy)
    html = html.replace(STYLE, f"<style>{style}</style>")
    licences = (DIST / "LICENSES.txt").read_text(encoding="utf-8").replace("--", "- -")
    embedded = f'<script type="application/json" id="packed">{data}</script>\n<script>{code}</script>'
    embedded += f"\n<!--\n{licences}-->"
    title = title.replace("&", "&amp;").replace("<", "&lt;")
    # the code last, as it may contain text that is replaced above
    return html.replace("<title>Waypoint</title>", f"<title>{title}</title>").replace(CODE, embedded)


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
