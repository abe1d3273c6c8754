"""Hooks of the site: a page of all configuration keys, made from the schema, and links to files that the site lacks."""

import json
import posixpath
import re
from pathlib import Path

from mkdocs.structure.files import File

ROOT = Path(__file__).parents[2]
LINK = re.compile(r"(?<!!)\[([^\]]*)\]\(([^)#\s]+)(#[^)\s]*)?\)")
SERVED = (".md", ".png", ".jpg")  # what the site has of this folder


def on_files(files, config):
    """Add the page of configuration keys."""
    schema = json.loads((ROOT / "schemas/config.schema.json").read_text(encoding="utf-8"))
    files.append(File.generated(config, "config.md", content=keys_page(schema)))
    return files


def on_page_markdown(markdown, page, config, files):
    """Keep the words of links that lead out of the site, to source files and folders: people have the repository."""
    folder = posixpath.dirname(page.file.src_uri)

    def kept(match):
        words, target, _ = match.groups()
        inside = not posixpath.normpath(posixpath.join(folder, target)).startswith("..")
        served = "://" in target or (inside and target.endswith(SERVED))
        return match[0] if served else words

    return LINK.sub(kept, markdown)


def keys_page(schema):
    """Markdown of all keys: a section for every section of the configuration, a row for every key."""
    lines = [
        "# Configuration",
        "",
        "Every key, its default, and what it does. A file replaces `config.yaml` whole.",
        "",
    ]
    plain = {key: node for key, node in schema["properties"].items() if "properties" not in node}
    lines += ["## Keys without a section", "", *_table("", plain)]
    for key, node in schema["properties"].items():
        if "properties" in node:
            lines += ["", f"## {key}", "", node.get("description", ""), "", *_table(f"{key}.", _flat(node))]
    return "\n".join(lines) + "\n"


def _flat(node, prefix=""):
    """{dotted key: schema} of the leaves below a section."""
    found = {}
    for key, child in node.get("properties", {}).items():
        if child.get("properties") and "default" not in child:
            found |= _flat(child, f"{prefix}{key}.")
        else:
            found[prefix + key] = child
            found |= _flat(child, f"{prefix}{key}.")
    return found


def _table(prefix, nodes):
    rows = ["| key | default | |", "|---|---|---|"]
    for key, node in nodes.items():
        default = f"`{json.dumps(node['default'], ensure_ascii=False)}`" if "default" in node else ""
        words = node.get("description", "").replace("|", "\\|").replace("\n", " ")
        if values := node.get("enum"):
            named = [value if isinstance(value, str) else json.dumps(value) for value in values]
            words += f" One of {', '.join(f'`{name}`' for name in named)}."
        rows.append(f"| `{prefix}{key}` | {default} | {words} |")
    return rows
