"""A page of HTML that needs nothing but itself: escaped text, tables that sort, pictures inside, one to select from many."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape
from typing import Any, NamedTuple

import numpy as np

__all__ = ["Cell", "Picture", "page", "paragraph", "picture", "section", "selector", "table"]


class Cell(NamedTuple):
    """What a cell of a table shows, what it is sorted by (infinity where it is unknown), a class of the style sheet, and a
    place on the page it leads to."""

    shown: Any
    key: float | None = None
    style: str = ""
    leads_to: str = ""


class Picture(NamedTuple):
    """A PNG file's contents, what it shows in words, and a caption."""

    png: bytes
    alt: str
    caption: str


def paragraph(text: Any, style: str = "") -> str:
    """Text, escaped."""
    return f"<p{_class(style)}>{escape(str(text))}</p>\n"


def section(heading: str, name: str, *parts: str) -> str:
    """Parts, which are HTML, under a heading; `name` is what links to it say."""
    inner = "".join(parts)
    return f'<section id="{escape(name)}" aria-labelledby="{escape(name)}-title">\n' + (
        f'<h2 id="{escape(name)}-title">{escape(heading)}</h2>\n{inner}</section>\n'
    )


def table(caption: str, columns: Sequence[str], rows: Sequence[Sequence[Cell]], sorts: bool = True) -> str:
    """A table; each row's first cell is its heading. With `sorts`, a click on a column's name sorts by it.

    Raises ValueError where a row has more or fewer cells than there are columns.
    """
    for row in rows:
        if len(row) != len(columns):
            raise ValueError(f"table: {len(columns)} columns, but a row of {len(row)} cells.")
    styles = (
        [cell.style if cell.style == "number" else "" for cell in rows[0]] if rows else [""] * len(columns)
    )
    head = "".join(
        f'<th scope="col"{_class(style)}>{escape(column)}</th>'
        for column, style in zip(columns, styles, strict=True)
    )
    body = ""
    for first, *others in rows:
        heading = _cell(first, "th", ' scope="row"')
        body += f"<tr>{heading}{''.join(_cell(cell, 'td') for cell in others)}</tr>\n"
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(caption)}">'
        f"<table{_class('sorts' if sorts else '')}>\n"
        f"<caption>{escape(caption)}</caption>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody></table></div>\n"
    )


def picture(image: Picture, name: str = "") -> str:
    """A figure with its caption."""
    data = base64.b64encode(image.png).decode("ascii")
    where = f' id="{escape(name)}"' if name else ""
    return (
        f'<figure{where}><img src="data:image/png;base64,{data}" alt="{escape(image.alt)}">'
        f"<figcaption>{escape(image.caption)}</figcaption></figure>\n"
    )


def selector(label: str, name: str, images: Sequence[Picture]) -> str:
    """Many pictures, of which a slider shows one; all of them where scripts do not run. Picture i is the place `name`-i."""
    inner = "".join(picture(image, f"{name}-{i}") for i, image in enumerate(images))
    slider = escape(f"{name}-slider")
    return (
        f'<div class="selector" data-name="{escape(name)}">\n<div class="controls" hidden>'
        '<button type="button" data-step="-1" aria-label="previous">◀</button>'
        f'<label for="{slider}">{escape(label)}</label>'
        f'<input type="range" id="{slider}" min="0" max="{max(len(images) - 1, 0)}" value="0" step="1">'
        f'<output for="{slider}">0</output>'
        '<button type="button" data-step="1" aria-label="next">▶</button></div>\n'
        f'<div class="chosen" aria-live="polite">\n{inner}</div></div>\n'
    )


def page(title: str, body: str) -> str:
    """The whole page. It forbids its reader to load anything from anywhere; `body` is HTML."""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<link rel="icon" href="data:,">\n<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n'
        f"<body>\n<main>\n{body}</main>\n<script>{_SCRIPT}</script>\n</body>\n</html>\n"
    )


def _class(style: str) -> str:
    return f' class="{escape(style)}"' if style else ""


def _cell(cell: Cell, tag: str, scope: str = "") -> str:
    key = "" if cell.key is None else f' data-key="{cell.key if np.isfinite(cell.key) else "Infinity"}"'
    text = escape(str(cell.shown))
    inner = f'<a href="#{escape(cell.leads_to)}">{text}</a>' if cell.leads_to else text
    return f"<{tag}{scope}{key}{_class(cell.style)}>{inner}</{tag}>"


_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"

_STYLE = """
:root { color-scheme: light; --ink: #1b1f24; --faint: #59636e; --line: #d1d9e0;
  --blue: #0b5394; --red: #a3200d; --green: #1a6b38 }
* { box-sizing: border-box }
body { margin: 0; background: #fff; color: var(--ink); font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif }
main { max-width: 64rem; margin: 0 auto; padding: 1.5rem 1.2rem 4rem }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .2rem }
h2 { font-size: 1.2rem; margin: 2.4rem 0 .7rem; padding-bottom: .25rem; border-bottom: 1px solid var(--line) }
p { margin: .4rem 0 }
.faint, figcaption, caption { color: var(--faint); font-size: .9rem }
.verdict { padding: .55rem .8rem; border-left: 5px solid var(--green); background: #eef7f0 }
.verdict.bad { border-left-color: var(--red); background: #fdf0ee; font-weight: 600 }
.scroll { overflow-x: auto }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums }
caption { text-align: left; padding-bottom: .35rem }
th, td { padding: .22rem .8rem .22rem 0; border-bottom: 1px solid var(--line); text-align: left; white-space: nowrap;
  vertical-align: top }
thead th { border-bottom: 2px solid var(--faint) }
td.wide { white-space: normal; overflow-wrap: anywhere }
td.number, th.number { text-align: right }
td.good { color: var(--green) }
td.bad { color: var(--red); font-weight: 700 }
a { color: var(--blue) }
thead button { all: unset; cursor: pointer; font-weight: 600 }
thead button::after { content: " ↕"; color: var(--line) }
[aria-sort=ascending] button::after { content: " ↑"; color: inherit }
[aria-sort=descending] button::after { content: " ↓"; color: inherit }
:focus-visible, thead button:focus-visible { outline: 3px solid #56b4e9; outline-offset: 2px }
figure { margin: 1rem 0 }
img { display: block; max-width: 100%; height: auto }
.controls { display: flex; gap: .7rem; align-items: center; margin: .4rem 0 }
.controls[hidden] { display: none }
.controls input { flex: 1; max-width: 26rem }
.controls button { font: inherit; padding: .15rem .6rem }
.controls output { min-width: 2.5ch; font-weight: 600; font-variant-numeric: tabular-nums }
@media print {
  body { font-size: 10.5pt } main { max-width: none; padding: 0 }
  .controls, thead button::after { display: none !important }
  figure, tr { break-inside: avoid } h2 { break-after: avoid } a { color: inherit; text-decoration: none }
  .scroll { overflow: visible } img { max-height: 13cm }
}
"""

_SCRIPT = """
"use strict";
for (const table of document.querySelectorAll("table.sorts")) {
  const heads = [...table.tHead.rows[0].cells], body = table.tBodies[0];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      heads.forEach(other => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const value = row => {
        const cell = row.cells[column];
        return "key" in cell.dataset ? Number(cell.dataset.key) : cell.textContent;
      };
      const order = (a, b) => typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b));
      const rows = [...body.rows].sort((a, b) => (down ? -1 : 1) * order(value(a), value(b)));
      body.append(...rows);
    });
  });
}
for (const part of document.querySelectorAll(".selector")) {
  const figures = [...part.querySelectorAll("figure")], slider = part.querySelector("input"),
    output = part.querySelector("output");
  const show = i => {
    const n = Math.min(Math.max(Number(i) || 0, 0), figures.length - 1);
    figures.forEach((figure, k) => { figure.hidden = k !== n; });
    slider.value = n;
    output.textContent = n;
  };
  part.querySelector(".controls").hidden = figures.length < 2;
  slider.addEventListener("input", () => show(slider.value));
  for (const button of part.querySelectorAll("button[data-step]"))
    button.addEventListener("click", () => show(Number(slider.value) + Number(button.dataset.step)));
  for (const link of document.querySelectorAll(`a[href^="#${part.dataset.name}-"]`))
    link.addEventListener("click", event => {
      event.preventDefault();
      show(link.hash.slice(part.dataset.name.length + 2));
      part.scrollIntoView({ block: "start" });
      slider.focus({ preventScroll: true });
    });
  const asked = location.hash.startsWith(`#${part.dataset.name}-`);
  show(asked ? location.hash.slice(part.dataset.name.length + 2) : 0);
}
document.body.dataset.ready = "yes";
"""
