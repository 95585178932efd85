# requires: babel==2.18.0
from datetime import datetime
from decimal import Decimal

from babel import Locale, numbers
from babel.dates import format_datetime, format_timedelta, get_timezone


def handler(params):
    when = datetime.fromisoformat(params["date"])
    return [[locale, format_datetime(when, "long", tzinfo=get_timezone("Europe/Berlin"), locale=locale), numbers.format_currency(Decimal("1234567.891"), "EUR", locale=locale), numbers.format_percent(0.256, locale=locale, decimal_quantization=False), Locale(locale).languages["fr"], Locale(locale).plural_form(3), format_timedelta(when - datetime.fromisoformat("2026-11-20T00:00Z"), locale=locale)] for locale in ("en", "de", "ru", "ar", "ja")] + [str(numbers.parse_decimal("1.234,5", locale="de"))]
