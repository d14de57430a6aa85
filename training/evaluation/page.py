"""A report as one HTML file that needs nothing else: styles and pictures stand inside."""

import base64
from html import escape

from training.evaluation.document import Picture, Report, Section, Table, figure_table

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1c2430; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.25rem; margin-top: 2.2rem; border-bottom: 1px solid #d5dbe3; }
table { border-collapse: collapse; margin: .8rem 0; font-size: .9rem; } caption { text-align: left; font-weight: 600; }
th, td { padding: .25rem .7rem; border-bottom: 1px solid #e3e7ed; text-align: left; vertical-align: top; }
th { background: #f3f5f8; } td { font-variant-numeric: tabular-nums; }
.note { color: #586575; font-size: .85rem; }
.verdict { background: #eef4fb; border-left: 4px solid #2a6db0; padding: .6rem 1rem; }
figure { display: inline-block; margin: .5rem 1rem .5rem 0; vertical-align: top; max-width: 100%; }
figure img { max-width: 100%; } figcaption { font-size: .85rem; color: #586575; max-width: 36rem; }
"""


def render(report: Report) -> str:
    """The page as text."""
    identity = Table("", ("Model", ""), tuple(report.identity.items()))
    parts = [
        f"<h1>{escape(report.title)}</h1>",
        f'<p class="verdict">{escape(report.verdict)}</p>' if report.verdict else "",
        _table(identity),
        "<h2>Data</h2>",
        *(f"<p>{escape(sentence)}</p>" for sentence in report.data),
        *(_section(section) for section in report.sections),
    ]
    head = f'<meta charset="utf-8"><title>{escape(report.title)}</title><style>{_STYLE}</style>'
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head>{head}</head><body>\n' + "\n".join(filter(None, parts)) + "\n</body></html>\n"
    )


def _section(section: Section) -> str:
    parts = [f"<h2>{escape(section.title)}</h2>", *(f"<p>{escape(text)}</p>" for text in section.text)]
    if section.figures:
        parts.append(_table(figure_table(section.figures)))
    parts += [_table(table) for table in section.tables]
    parts += [_picture(picture) for picture in section.pictures]
    return "\n".join(parts)


def _table(table: Table) -> str:
    caption = f"<caption>{escape(table.title)}</caption>" if table.title else ""
    head = "".join(f"<th>{escape(column)}</th>" for column in table.columns)
    rows = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>\n" for row in table.rows)
    note = f'<p class="note">{escape(table.note)}</p>' if table.note else ""
    return f"<table>{caption}<tr>{head}</tr>\n{rows}</table>{note}"


def _picture(picture: Picture) -> str:
    source = "data:image/png;base64," + base64.b64encode(picture.png).decode("ascii")
    caption = escape(picture.caption)
    return f'<figure><img alt="{caption}" src="{source}"><figcaption>{caption}</figcaption></figure>'
