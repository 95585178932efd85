# requires: rich==15.0.0
import io

from rich.console import Console
from rich.markdown import Markdown
from rich.table import Table
from rich.tree import Tree


def handler(params):
    out = io.StringIO()
    console = Console(file=out, width=60, force_terminal=True, color_system="truecolor", legacy_windows=False)
    table = Table("name", "[b]value[/b]", title="Table")
    for value in params["values"]:
        table.add_row(params["name"], f"[red]{value}[/red]")
    tree = Tree("root")
    tree.add("leaf").add("日本語")
    for each in (table, tree, Markdown("# Title\n\n* one\n* `two`"), {"a": [1, 2.5, None]}):
        console.print(each)
    return out.getvalue()
