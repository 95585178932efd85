# requires: arrow==1.4.0
import arrow


def handler(params):
    when = arrow.get(params["date"])
    return [when.isoformat(), when.to("America/New_York").format("dddd, D MMMM YYYY HH:mm ZZ"), when.shift(months=3, weekday=0).isoformat(), when.humanize(arrow.get("2026-12-25")), when.humanize(arrow.get("2026-11-29T13:30Z"), locale="de"), [str(each.date()) for each in arrow.Arrow.range("week", when, limit=3)], when.floor("quarter").isoformat(), arrow.get("29.11.2026 7:05", "DD.MM.YYYY H:mm").isoformat(), when.dehumanize("in 2 days").isoformat()]
