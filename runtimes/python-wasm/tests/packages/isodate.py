# requires: isodate==0.7.2
import isodate


def handler(params):
    return [str(isodate.parse_duration("P1Y2M3DT4H5M6.7S")), isodate.duration_isoformat(isodate.parse_duration("P3DT30H")), str(isodate.parse_datetime("2026-11-29T10:30:00,25+05:30")), str(isodate.parse_date("2026-W48-7")), str(isodate.parse_time("10:30:15.5Z")), str(isodate.parse_datetime("2026-01-31T00:00:00") + isodate.parse_duration("P1M")), isodate.datetime_isoformat(isodate.parse_datetime(params["date"]))]
