"""Hooks of MkDocs: pages made from what they describe, notebooks as they run, and links out of docs/.

The command line is the help of the parser, the keys are those of the structs, and a source file that a page links to
becomes a page.
"""

from __future__ import annotations

import io
import os
import re
from contextlib import redirect_stdout, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import nbclient
import nbformat
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from nbconvert import MarkdownExporter

from tlm.cli.commands import COMMANDS, parser
from tlm.results.result_json import RunRecord
from tlm.scenario.json_schema import scenario_schema

ROOT = Path(__file__).resolve().parents[2]
OUTSIDE = re.compile(r"(?<=\]\()((?:\.\./|tools/|examples/)[\w./-]+)")
"""A link from a page to a file that is none."""
NOTEBOOK = re.compile(r"(?<=\]\()notebooks/(\w+)\.ipynb")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what is not a page of docs/."""

    pages = {
        "command-line.md": _command_line(),
        "scenario-keys.md": _keys("Scenario keys", "`tlm schema` prints the same for editors.", scenario_schema()),
        "result-schema.md": _keys(
            "Result schema", "Keys of result.json; [result.md](result.md) says what they mean.", _result_schema()
        ),
        "changelog.md": (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"),
    }
    for name in {name for page in files.documentation_pages() for name in OUTSIDE.findall(page.content_string)}:
        pages[_source_page(name)] = _source((ROOT / "docs" / name).resolve())
    for notebook in sorted((ROOT / "docs" / "notebooks").glob("*.ipynb")):
        text, pictures = _run_notebook(notebook)
        pages[f"{notebook.stem}.md"] = text
        for name, data in pictures.items():
            files.append(File.generated(config, f"images/{name}", content=data))
    for name, text in pages.items():
        files.append(File.generated(config, name, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Lead links to source files and notebooks to their pages."""
    return NOTEBOOK.sub(r"\1.md", OUTSIDE.sub(lambda found: _source_page(found[1]), markdown))


def on_post_build(config: MkDocsConfig) -> None:
    """Remove the site map, which holds the date."""
    for name in ("sitemap.xml", "sitemap.xml.gz"):
        with suppress(FileNotFoundError):
            (Path(config.site_dir) / name).unlink()


def _source_page(name: str) -> str:
    return f"source/{name.removeprefix('../').strip('/').replace('/', '-')}.md"


def _source(path: Path) -> str:
    """A page that shows a file, or the names in a folder."""
    name = path.relative_to(ROOT).as_posix()
    hidden = {"search": {"exclude": True}, "hide": ["navigation"]}
    head = f"---\n{msgspec.yaml.encode(hidden).decode()}---\n\n# `{name}`\n\n"
    if path.suffix == ".md":
        return path.read_text(encoding="utf-8")
    if path.is_dir():
        return head + "\n".join(f"- `{child.name}`" for child in sorted(path.iterdir()) if child.name[0] not in "_.")
    return f"{head}````{path.suffix[1:]}\n{path.read_text(encoding='utf-8')}\n````\n"


def _command_line() -> str:
    os.environ["COLUMNS"] = "80"
    text = f"# Command line\n\n{_fenced(parser().format_help())}"
    for name in COMMANDS:
        with redirect_stdout(io.StringIO()) as printed, suppress(SystemExit):
            parser().parse_args([name, "--help"])
        text += f"\n## tlm {name}\n\n{_fenced(printed.getvalue())}"
    return text


def _fenced(text: str) -> str:
    return f"```text\n{text.rstrip()}\n```\n"


def _result_schema() -> dict[str, Any]:
    return msgspec.json.schema(RunRecord)


def _keys(title: str, introduction: str, schema: dict[str, Any]) -> str:
    """A table for each struct of a JSON Schema."""
    text = f"# {title}\n\n{introduction}\n"
    for name, definition in schema["$defs"].items():
        described = definition.get("description", "")
        text += f"\n## {name}\n\n{definition.get('title', '')} {described}\n\n| key | type | meaning |\n|---|---|---|\n"
        for key, node in definition["properties"].items():
            meaning = node.get("description", "").replace("|", "\\|")
            text += f"| `{key}` | {_type(node)} | {meaning} |\n"
    return text


def _type(node: dict[str, Any]) -> str:
    """A node's type in words; another struct as a link."""
    if "discriminator" in node:
        return " or ".join(_type({"$ref": target}) for target in node["discriminator"]["mapping"].values())
    if "anyOf" in node:
        return " or ".join(map(_type, node["anyOf"]))
    if "$ref" in node:
        name = node["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if isinstance(node.get("items"), dict):
        return f"array of {_type(node['items'])}"
    if isinstance(node.get("additionalProperties"), dict):
        return f"table of {_type(node['additionalProperties'])}"
    return str(node.get("type", "one of " + ", ".join(f"`{value}`" for value in node.get("enum", []))))


def _run_notebook(path: Path) -> tuple[str, dict[str, bytes]]:
    """Execute a notebook; its text with its outputs, and its pictures by name."""
    notebook = nbformat.read(path, as_version=4)
    with TemporaryDirectory() as here:
        where = {"metadata": {"path": here}}
        nbclient.NotebookClient(notebook, resources=where).execute()
    resources = {"unique_key": path.stem, "output_files_dir": "images"}
    text, found = MarkdownExporter().from_notebook_node(notebook, resources)
    text = text.replace('<table border="1" class="dataframe">', "<table>")  # the site's own style
    return text, {Path(name).name: data for name, data in found["outputs"].items()}
