# requires: pendulum==3.3.0
import pendulum


def handler(params):
    return pendulum.parse(params["date"]).add(days=1).isoformat()
