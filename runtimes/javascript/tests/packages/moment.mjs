import moment from 'moment';
import 'moment/locale/fr.js';

export default ({ date }) => {
  moment.locale('en');
  const day = moment.utc(date);
  return {
    formats: [day.format(), day.format('dddd, MMMM Do YYYY, h:mm:ss a'), day.format('L LTS LLLL'), day.clone().locale('fr').format('LLLL'), day.toString()],
    moved: [day.clone().add(1, 'month').endOf('month').toISOString(), day.clone().subtract(3, 'quarters').format('YYYY-[Q]Q'), day.clone().startOf('isoWeek').valueOf()],
    relative: [day.from(moment.utc('2026-12-25')), day.clone().locale('fr').to(moment.utc('2020-01-01')), day.calendar(moment.utc('2026-11-30'))],
    durations: [moment.duration(1e8).humanize(), moment.duration('P1Y2M3DT4H').asHours(), moment.duration({ minutes: 61 }).toISOString()],
    parsed: [moment.utc('29.11.2026 08:15', 'DD.MM.YYYY HH:mm').toISOString(), moment.utc('31-02-2026', 'DD-MM-YYYY', true).isValid(), moment.utc('2026-W48-3').format('YYYY-MM-DD')],
    zone: [moment.parseZone('2026-11-29T10:00:00+05:30').format(), day.clone().utcOffset(-300).format()],
    compared: [day.isBetween('2026-01-01', '2027-01-01'), day.diff('2026-01-01', 'weeks', true), day.weekYear(), day.dayOfYear(), day.daysInMonth()],
  };
};
