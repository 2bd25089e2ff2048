"""Builds the site: `build.py pages FROM TO` makes a page of each text, `build.py index FROM TO` a list."""

import sys
from html import escape
from pathlib import Path

PAGE = "<!doctype html><meta charset=utf-8><title>{title}</title><h1>{title}</h1>\n{body}\n"


def pages(source: Path, target: Path) -> None:
    for text in sorted(source.glob("*.txt")):
        title, _, body = text.read_text().partition("\n")
        paragraphs = "\n".join(
            f"<p>{escape(part.strip())}</p>" for part in body.split("\n\n") if part.strip()
        )
        write(target / f"{text.stem}.html", escape(title), paragraphs)


def index(source: Path, target: Path) -> None:
    links = (
        f'<li><a href="{text.stem}.html">{escape(text.stem)}</a></li>'
        for text in sorted(source.glob("*.txt"))
    )
    write(target / "index.html", "Notes", "<ul>" + "".join(links) + "</ul>")


def write(path: Path, title: str, body: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(PAGE.format(title=title, body=body))
    print(f"wrote {path}")


if __name__ == "__main__":
    step, source, target = sys.argv[1:]
    {"pages": pages, "index": index}[step](Path(source), Path(target))
