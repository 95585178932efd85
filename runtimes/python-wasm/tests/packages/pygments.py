# requires: pygments==2.21.0
from pygments import highlight
from pygments.formatters import HtmlFormatter, TerminalFormatter
from pygments.lexers import PythonLexer, get_lexer_by_name, guess_lexer

CODE = 'def f(x: int = 1) -> str:\n    """Doc."""\n    return f"{x!r}" if x else None  # note\n'


def handler(params):
    return [highlight(CODE, PythonLexer(), HtmlFormatter(linenos=True)), highlight('{"a": [1, true]}', get_lexer_by_name("json"), TerminalFormatter()), guess_lexer("#!/bin/sh\necho $HOME").name, HtmlFormatter(style="monokai").get_style_defs(".c")[:300]]
