# requires: tomlkit==0.15.2
import tomlkit

TEXT = """# A comment
title = "T"  # kept
[owner]
name = 'Ada'
when = 1979-05-27T07:32:00-08:00
[[list]]
a = 0x1F
b = [1, 2.5, true]
"""


def handler(params):
    document = tomlkit.parse(TEXT)
    document["owner"]["name"] = params["name"]
    document["list"][0]["b"].append(params["count"])
    document.add("new", tomlkit.inline_table().append("x", 1))
    try:
        tomlkit.parse("a = \nb")
    except tomlkit.exceptions.ParseError as error:
        fault = str(error)
    return [tomlkit.dumps(document), str(document["owner"]["when"]), document["list"][0]["a"] + 1, fault]
