# requires: ujson==6.1.0
import ujson


def handler(params):
    return ujson.loads(ujson.dumps(params))
