# requires: jsonschema==3.2.0 setuptools==80.9.0
from jsonschema import Draft7Validator, ValidationError, validate

SCHEMA = {"type": "object", "required": ["name", "age"], "properties": {"name": {"type": "string", "minLength": 2}, "age": {"type": "integer", "minimum": 0}, "tags": {"type": "array", "items": {"$ref": "#/definitions/tag"}, "uniqueItems": True}}, "definitions": {"tag": {"enum": ["a", "b"]}}, "additionalProperties": False}


def handler(params):
    validate({"name": params["name"], "age": 36, "tags": ["a"]}, SCHEMA)
    try:
        validate({"name": "A", "age": 1}, SCHEMA)
    except ValidationError as error:
        message = error.message
    errors = Draft7Validator(SCHEMA).iter_errors({"name": 1, "age": -1, "tags": ["c", "c"], "more": 1})
    return [message, sorted([list(map(str, error.path)), error.message] for error in errors)]
