# requires: simplejson==4.3.0
from decimal import Decimal

import simplejson


def handler(params):
    text = simplejson.dumps({"d": Decimal("1.10"), "list": [1, None, 2.5, "ü</script>"], "t": (1, 2)}, indent=2, sort_keys=True, for_json=True)
    try:
        simplejson.loads('{"a": 1,}')
    except simplejson.JSONDecodeError as error:
        fault = [str(error), error.pos]
    return [text, str(simplejson.loads("1.10", use_decimal=True)), simplejson.dumps(float("nan"), ignore_nan=True), simplejson.dumps(params, ensure_ascii=True), simplejson.dumps(iter([1, 2]), iterable_as_array=True), fault]
