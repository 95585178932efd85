# requires: pyyaml==6.0.3
import yaml

TEXT = """
base: &base {a: 1, b: [x, 'y', 2.5, null, true]}
derived:
  <<: *base
  c: 2026-11-29
folded: >
  one
  two
literal: |
  line
   indented
hex: 0x1F
"""


def handler(params):
    document = yaml.safe_load(TEXT)
    try:
        yaml.safe_load("a: [1, 2")
    except yaml.YAMLError as error:
        fault = str(error)
    document["derived"]["c"] = str(document["derived"]["c"])
    return [document, yaml.safe_dump(params, allow_unicode=True, sort_keys=False), yaml.dump(document), list(yaml.safe_load_all("--- 1\n--- [a]\n")), fault, [type(each).__name__ for each in yaml.parse("a: 1")]]
