"""run-package.py FOLDER HANDLER PARAMS: calls a handler in CPython for this machine, and writes the result as the runtime does."""

import asyncio
import importlib
import inspect
import json
import sys

folder, name, params = sys.argv[1:]
sys.path.insert(0, folder)
# What handlers print is no result.
out, sys.stdout = sys.stdout, sys.stderr
result = importlib.import_module(name).handler(json.loads(params))
if inspect.isawaitable(result):
    async def wait():
        return await result

    result = asyncio.run(wait())
out.write(json.dumps(result, allow_nan=False, ensure_ascii=False, separators=(",", ":")))
