# requires: pytz==2026.6
from datetime import datetime

import pytz


def handler(params):
    berlin = pytz.timezone("Europe/Berlin")
    when = datetime.fromisoformat(params["date"])
    try:
        berlin.localize(datetime(2026, 10, 25, 2, 30), is_dst=None)
    except pytz.AmbiguousTimeError as error:
        twice = str(error)
    try:
        pytz.timezone("Moon/Base")
    except pytz.UnknownTimeZoneError as error:
        unknown = str(error)
    return [str(when.astimezone(berlin)), str(berlin.localize(datetime(2026, 7, 1))), str(berlin.normalize(berlin.localize(datetime(2026, 3, 29, 1, 59)))), len(pytz.all_timezones), pytz.country_timezones["ch"], twice, unknown]
