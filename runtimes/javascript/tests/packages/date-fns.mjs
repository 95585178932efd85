import * as dates from 'date-fns';
import { de, pl } from 'date-fns/locale';

export default ({ date }) => {
  const now = new Date(date);
  const later = dates.add(now, { months: 3, days: 2, hours: 5 });
  return {
    formats: ['yyyy-MM-dd HH:mm:ss.SSS', "EEEE, do MMMM yyyy 'at' h:mm a", 'QQQ w I R', 'PPPPpppp'].map((form) => dates.format(now, form)),
    locales: [de, pl].map((locale) => [dates.format(now, 'PPPP', { locale }), dates.formatDistance(now, later, { locale, addSuffix: true })]),
    distance: [dates.formatDistance(now, later), dates.formatDistanceStrict(now, later), dates.formatDuration({ days: 2, minutes: 1 })],
    arithmetic: [dates.differenceInBusinessDays(later, now), dates.differenceInCalendarMonths(later, now), dates.lastDayOfMonth(now), dates.startOfISOWeek(now)],
    parsed: [dates.parse('29. Feb 2028', 'd. MMM yyyy', now), dates.parseISO('2026-W48-3'), dates.isValid(dates.parse('31.2.', 'd.M.', now))],
    interval: dates.intervalToDuration({ start: now, end: later }),
    days: dates.eachWeekOfInterval({ start: now, end: later }),
  };
};
