# requires: humanize==4.17.0
import datetime

import humanize


def handler(params):
    day = datetime.datetime.fromisoformat(params["date"])
    humanize.i18n.activate("de_DE")
    german = [humanize.intword(12_300_000), humanize.naturaldelta(datetime.timedelta(days=400)), humanize.ordinal(3)]
    humanize.i18n.deactivate()
    return [german, humanize.intcomma(1234567.891, 2), humanize.intword(10**9), humanize.naturalsize(3 * 2**20, binary=True), humanize.naturaldelta(datetime.timedelta(seconds=3700)), humanize.precisedelta(datetime.timedelta(hours=50, seconds=3)), humanize.naturaltime(day - datetime.timedelta(hours=3), when=day), humanize.apnumber(params["count"]), humanize.fractional(0.3), humanize.scientific(12345)]
