# requires: click==8.5.1
import contextlib
import io

import click


@click.group()
@click.version_option("1.2", prog_name="tool")
def tool():
    """A tool."""


@tool.command()
@click.argument("name")
@click.option("--count", "-c", default=1, show_default=True, type=click.IntRange(1, 9), help="How often.")
@click.option("--kind", type=click.Choice(["a", "b"]))
def greet(name, count, kind):
    """Greets somebody."""
    for _ in range(count):
        click.echo(click.style(f"Hello {name}", fg="green") + f" {kind}")


def run(*words):
    with contextlib.redirect_stdout(io.StringIO()) as out:
        try:
            code = tool.main(words, prog_name="tool", standalone_mode=False)
        except click.ClickException as error:
            code = [error.exit_code, error.format_message()]
    return [code, out.getvalue()]


def handler(params):
    return [run("greet", params["name"], "-c", "2", "--kind", "a"), run("--help"), run("greet", "--help"), run("greet", "x", "-c", "10"), run("gret"), run("--version")]
