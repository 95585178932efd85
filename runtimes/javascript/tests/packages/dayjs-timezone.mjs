import dayjs from 'dayjs';
import timezone from 'dayjs/plugin/timezone.js';
import utc from 'dayjs/plugin/utc.js';

dayjs.extend(utc);
dayjs.extend(timezone);

export default ({ date }) => {
  const day = dayjs.utc(date);
  return {
    zones: ['Europe/Berlin', 'America/New_York', 'Asia/Kolkata', 'Pacific/Auckland', 'UTC'].map((zone) => [day.tz(zone).format(), day.tz(zone).utcOffset(), day.tz(zone).startOf('day').toISOString()]),
    parsed: [dayjs.tz('2026-07-01 12:00', 'Europe/Paris').toISOString(), dayjs.tz('2026-03-29 02:30', 'Europe/Berlin').format(), dayjs.tz('2026-10-25 02:30', 'Europe/Berlin').format()],
    names: [day.tz('America/New_York').offsetName(), day.tz('America/New_York').offsetName('long')],
    kept: day.tz('Asia/Tokyo', true).format(),
    guess: dayjs.tz.guess(),
  };
};
