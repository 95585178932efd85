import { DateTime, Duration, Info, Interval, Settings } from 'luxon';

export default ({ date }) => {
  Settings.defaultZone = 'utc';
  const utc = DateTime.fromISO(date, { zone: 'utc' });
  const berlin = utc.setZone('Europe/Berlin');
  return {
    iso: [utc.toISO(), berlin.toISO(), berlin.toRFC2822(), utc.toSQL(), utc.toISOWeekDate(), berlin.toHTTP()],
    formats: [berlin.toFormat('dd LLLL yyyy HH:mm ZZZZ'), berlin.setLocale('de').toFormat('cccc, d. MMMM'), utc.toLocaleString(DateTime.DATETIME_FULL), utc.setLocale('fr').toLocaleString(DateTime.DATE_HUGE)],
    zones: ['America/New_York', 'Asia/Kolkata', 'Pacific/Chatham', 'UTC+3'].map((zone) => [utc.setZone(zone).offset, utc.setZone(zone).offsetNameShort, utc.setZone(zone).toISO()]),
    summer: [DateTime.fromISO('2026-03-29T02:30', { zone: 'Europe/Berlin' }).toISO(), DateTime.fromISO('2026-10-25T02:30', { zone: 'Europe/Berlin' }).plus({ hours: 1 }).toISO()],
    arithmetic: [utc.plus({ months: 1, days: 3 }).toISODate(), utc.diff(DateTime.fromISO('2025-01-01'), ['years', 'months', 'days']).toObject(), utc.startOf('week').toISODate(), utc.endOf('quarter').toISODate()],
    durations: [Duration.fromISO('P1DT2H30M').toFormat("d 'd' hh:mm"), Duration.fromMillis(1e7).rescale().toObject(), Duration.fromObject({ hours: 2, minutes: 5 }).toHuman()],
    relative: [utc.toRelative({ base: utc.plus({ days: 3 }) }), utc.setLocale('es').toRelativeCalendar({ base: utc.plus({ days: 1 }) })],
    parsed: [DateTime.fromFormat('29 November 2026', 'd MMMM yyyy').toISODate(), DateTime.fromFormat('xx', 'd').invalidExplanation, DateTime.fromObject({ month: 13 }).invalidReason],
    info: [Info.months('short', { locale: 'it' }), Info.weekdays('long', { locale: 'ja' }), Info.meridiems()],
    interval: Interval.after(utc, { hours: 5 }).splitBy({ hours: 2 }).map(String),
  };
};
