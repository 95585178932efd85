# requires: python-dateutil==4.0.0
from dateutil import easter, parser, relativedelta, rrule, tz


def handler(params):
    when = parser.isoparse(params["date"])
    rule = rrule.rrulestr("FREQ=MONTHLY;BYDAY=-1FR;COUNT=4", dtstart=when.replace(tzinfo=None))
    return [
        str(parser.parse("Thu, 25 Sep 2003 10:49:41 -0300")),
        str(parser.parse("3 de 11 2026", fuzzy=True, dayfirst=True)),
        str(when.astimezone(tz.gettz("Europe/Berlin"))),
        str(when + relativedelta.relativedelta(months=+3, weekday=relativedelta.MO(-1))),
        repr(relativedelta.relativedelta(when, parser.parse("1970-01-01T00:00Z"))),
        [str(each) for each in rule],
        str(easter.easter(2026)),
    ]
