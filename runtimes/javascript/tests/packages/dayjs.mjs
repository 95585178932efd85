import dayjs from 'dayjs';
import 'dayjs/locale/de.js';
import advancedFormat from 'dayjs/plugin/advancedFormat.js';
import customParseFormat from 'dayjs/plugin/customParseFormat.js';
import duration from 'dayjs/plugin/duration.js';
import isoWeek from 'dayjs/plugin/isoWeek.js';
import relativeTime from 'dayjs/plugin/relativeTime.js';
import utc from 'dayjs/plugin/utc.js';

for (const plugin of [advancedFormat, customParseFormat, duration, isoWeek, relativeTime, utc]) dayjs.extend(plugin);

export default ({ date }) => {
  const day = dayjs.utc(date);
  return {
    formats: [day.format(), day.format('dddd, MMMM Do YYYY, h:mm:ss a [Q]Q'), day.locale('de').format('dddd, D. MMMM YYYY')],
    moved: [day.add(1, 'month').endOf('month').toISOString(), day.subtract(90, 'minute').toJSON(), day.startOf('week').valueOf()],
    weeks: [day.isoWeek(), day.isoWeekday(), day.daysInMonth(), day.isLeapYear?.()],
    relative: [day.from(dayjs.utc('2026-12-25')), day.locale('de').to(dayjs.utc('2020-01-01'))],
    duration: [dayjs.duration(1e8).format('D[d] HH:mm:ss'), dayjs.duration({ hours: 49 }).humanize(), dayjs.duration('P1Y2M3DT4H').asDays()],
    parsed: [dayjs('29-11-2026', 'DD-MM-YYYY', true).isValid(), dayjs('31-02-2026', 'DD-MM-YYYY', true).isValid()],
    compared: [day.isBefore('2027-01-01'), day.diff('2026-01-01', 'week', true)],
  };
};
