# requires: croniter==7.0.0
from datetime import datetime

from croniter import CroniterBadCronError, croniter


def handler(params):
    start = datetime.fromisoformat(params["date"])
    try:
        croniter("61 * * * *")
    except CroniterBadCronError as error:
        fault = str(error)
    return [[[text, [croniter(text, start).get_next(datetime).isoformat()], croniter(text, start).get_prev(datetime).isoformat()] for text in ("*/15 9-17 * * mon-fri", "0 0 29 2 *", "@weekly", "0 12 * * 5#2", "0 0 L * *")], croniter.match("30 10 * * *", start), fault]
