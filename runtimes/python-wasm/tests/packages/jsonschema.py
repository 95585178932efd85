# requires: jsonschema==4.17.3 pyrsistent==0.20.0
from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.exceptions import best_match

SCHEMA = {"$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object", "properties": {"when": {"format": "date"}, "n": {"oneOf": [{"type": "string"}, {"multipleOf": 3}]}, "list": {"prefixItems": [{"const": 1}], "items": False}}, "dependentRequired": {"n": ["when"]}, "patternProperties": {"^x-": {"type": "null"}}}


def handler(params):
    Draft202012Validator.check_schema(SCHEMA)
    validator = Draft202012Validator(SCHEMA, format_checker=FormatChecker())
    errors = list(validator.iter_errors({"n": 4, "list": [2, 3], "x-a": params["count"]}))
    return [validator.is_valid({"when": "2026-11-29", "n": 9}), sorted([error.json_path, error.message, error.validator] for error in errors), best_match(validator.iter_errors({"when": "soon"})).message]
