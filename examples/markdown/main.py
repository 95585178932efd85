"""A package from PyPI: Markdown made HTML."""

import markdown

EXTENSIONS = ["tables", "fenced_code"]


def handler(params):
    # Raw HTML passes through Markdown: show the result only where the text's author may do as much.
    return {"html": markdown.markdown(params["text"], extensions=EXTENSIONS)}
