# requires: tabulate==0.10.0
from tabulate import tabulate

ROWS = [["Ada", 1815, 1.5], ["Łukasz", 12, None], ["Grüße", -3, 22.123456]]


def handler(params):
    return [tabulate(ROWS, headers=["name", "year", "x"], tablefmt=form, floatfmt=".2f", missingval="-") for form in ("simple", "github", "grid", "html", "latex", "rst", "tsv")] + [tabulate([{"a": 1, "b": each} for each in params["values"]], headers="keys", showindex=True)]
