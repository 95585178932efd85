# requires: icalendar==7.3.0
from datetime import datetime
from zoneinfo import ZoneInfo

from icalendar import Calendar, Event, vRecur


def handler(params):
    calendar = Calendar()
    calendar.add("prodid", "-//test//")
    calendar.add("version", "2.0")
    event = Event()
    event.add("summary", params["text"] + ", with; signs " * 5)
    event.add("dtstart", datetime(2026, 11, 29, 10, 30, tzinfo=ZoneInfo("Europe/Berlin")))
    event.add("rrule", vRecur(FREQ="WEEKLY", COUNT=3))
    calendar.add_component(event)
    text = calendar.to_ical().decode()
    read = Calendar.from_ical(text).walk("VEVENT")[0]
    return [text, str(read["summary"]), read.decoded("dtstart").isoformat(), read["rrule"]["COUNT"]]
