# requires: click==8.5.1
import click
from click.testing import CliRunner


@click.group()
@click.version_option("1.2")
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


def handler(params):
    runs = (["greet", params["name"], "-c", "2", "--kind", "a"], ["--help"], ["greet", "--help"], ["greet", "x", "-c", "10"], ["gret"], ["--version"])
    runner = CliRunner()
    return [[result.exit_code, result.output] for result in (runner.invoke(tool, each) for each in runs)]
