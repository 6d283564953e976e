"""A small document that can be written as Markdown and as one HTML page."""

import html
import re
from dataclasses import dataclass, field
from typing import Sequence

STYLE = """
:root { color-scheme: light dark; --fg: #1b1f24; --bg: #fff; --soft: #5b6570; --line: #d8dee4; --mark: #9a6700;
  --bad: #b42318; --good: #18794e; --c0: #2a5caa; --c1: #c1121f; --c2: #0b6e4f; --c3: #a15c00; --c4: #7a3fa0; }
@media (prefers-color-scheme: dark) { :root { --fg: #e6e9ed; --bg: #14171a; --soft: #9aa5b1; --line: #333a42;
  --mark: #d9a441; --bad: #ff7b72; --good: #56d397; --c0: #6ea8fe; --c1: #ff8088; --c2: #4fd1a5; --c3: #f0b35a;
  --c4: #c9a0f0; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--fg); background: var(--bg); max-width: 60rem;
  margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2rem; }
.table { overflow-x: auto; } table { border-collapse: collapse; font-size: .87rem; }
th, td { border-bottom: 1px solid var(--line); padding: .25rem .7rem .25rem 0; text-align: left; vertical-align: top;
  font-variant-numeric: tabular-nums; }
th { color: var(--soft); font-weight: 600; }
.bad { color: var(--bad); font-weight: 600; } .good { color: var(--good); }
figure { margin: 1.2rem 0; } figcaption { font-size: .9rem; font-weight: 600; }
figcaption span { font-weight: 400; color: var(--soft); margin-left: .9rem; white-space: nowrap; }
figcaption i { display: inline-block; width: 1.1rem; height: 3px; margin-right: .35rem; vertical-align: middle; }
svg { width: 100%; height: auto; } svg text { font: 11px system-ui, sans-serif; fill: var(--soft); }
.grid { stroke: var(--line); } .mark { stroke: var(--mark); stroke-dasharray: 4 3; }
.curve { fill: none; stroke-width: 1.5; }
pre { overflow-x: auto; font-size: .82rem; border: 1px solid var(--line); padding: .6rem; }
code { font-size: .9em; }
""" + "".join(f".c{i} {{ stroke: var(--c{i}); }} i.c{i} {{ background: var(--c{i}); }}\n" for i in range(5))

BAD = re.compile(r"^(FAILED|leak)\b")
GOOD = re.compile(r"^passed\b")


@dataclass
class Document:
    """Blocks in their order, each in both forms."""

    title: str
    markdown: list[str] = field(default_factory=list)
    page: list[str] = field(default_factory=list)

    def heading(self, text: str) -> None:
        self.markdown.append(f"## {text}")
        self.page.append(f"<h2>{inline(text)}</h2>")

    def paragraph(self, text: str) -> None:
        self.markdown.append(text)
        self.page.append(f"<p{colour(text)}>{inline(text)}</p>")

    def items(self, texts: Sequence[str]) -> None:
        if texts:
            self.markdown.append("\n".join(f"- {text}" for text in texts))
            self.page.append("<ul>" + "".join(f"<li>{inline(text)}</li>" for text in texts) + "</ul>")

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        cells = [columns, ["---"] * len(columns), *rows]
        self.markdown.append("\n".join("| " + " | ".join(escape(cell) for cell in row) + " |" for row in cells))
        head = "".join(f"<th>{inline(cell)}</th>" for cell in columns)
        body = "".join(
            "<tr>" + "".join(f"<td{colour(cell)}>{inline(cell)}</td>" for cell in row) + "</tr>" for row in rows
        )
        self.page.append(f'<div class="table"><table><tr>{head}</tr>{body}</table></div>')

    def preformatted(self, lines: Sequence[str]) -> None:
        text = "\n".join(lines)
        self.markdown.append(f"```\n{text}\n```")
        self.page.append(f"<pre>{html.escape(text)}</pre>")

    def figure(self, svg: str) -> None:
        """In the page only."""
        self.page.append(svg)

    def as_markdown(self) -> str:
        return f"# {self.title}\n\n" + "\n\n".join(self.markdown) + "\n"

    def as_html(self) -> str:
        title = html.escape(self.title)
        return (
            f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>\n'
            f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<style>{STYLE}</style></head>\n'
            f"<body>\n<h1>{title}</h1>\n" + "\n".join(self.page) + "\n</body></html>\n"
        )


def escape(cell: str) -> str:
    return cell.replace("|", "\\|").replace("\n", " ")


def inline(text: str) -> str:
    """Markdown's code, bold and italics in HTML; nothing else of it is used."""
    text = html.escape(text)
    text = re.sub(r"`([^`]*)`", r"<code>\1</code>", text)
    text = re.sub(r"\*\*([^*]*)\*\*", r"<strong>\1</strong>", text)
    return re.sub(r"\*([^*]+)\*", r"<em>\1</em>", text)


def colour(text: str) -> str:
    plain = text.replace("*", "")
    if BAD.match(plain):
        return ' class="bad"'
    return ' class="good"' if GOOD.match(plain) else ""
