# requires: deepdiff==9.1.0
import json

from deepdiff import DeepDiff, DeepHash, Delta, extract, grep


def handler(params):
    old, new = {"a": [1, 2, {"b": 3}], "n": 1.0, "t": "x"}, {"a": [1, {"b": 4}, 2], "n": 1.1, "u": params["name"]}
    diff = DeepDiff(old, new)
    return [json.loads(diff.to_json()), (old + Delta(diff)) == new, extract(old, "root['a'][2]['b']"), DeepDiff([1, 2], [2, 1], ignore_order=True) == {}, DeepHash(old)[old] == DeepHash(dict(old))[old], list(({"x": params["name"]} | grep(params["name"]))["matched_values"])]
