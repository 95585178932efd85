// Writes world.txt: what CLDR says of regions. Weeks, calendars, hours and time zones.
//
//   npm install cldr-core@48.0.0 cldr-bcp47@48.2.0, in some folder; then
//   node make-world.mjs FOLDER/node_modules > world.txt
//
// Each line is a kind, a value and the regions that have it; what a region does not have stands at 001. A zone's line is a region and
// its zones.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

const folder = process.argv[2];
const read = (name) => JSON.parse(readFileSync(join(folder, name), 'utf8'));
const supplemental = (name) => read(`cldr-core/supplemental/${name}.json`).supplemental;

const DAYS = { mon: 1, tue: 2, wed: 3, thu: 4, fri: 5, sat: 6, sun: 7 };
const HOURS = { h: 'h12', H: 'h23', K: 'h11', k: 'h24' };
const CALENDARS = { gregorian: 'gregory', 'ethiopic-amete-alem': 'ethioaa' };

// Regions by the values that they have.
function lines(kind, entries) {
  const byValue = new Map();
  for (const [region, value] of entries) {
    if (!byValue.has(value)) byValue.set(value, []);
    byValue.get(value).push(region);
  }
  const sorted = [...byValue].sort(([a], [b]) => (a < b ? -1 : 1));
  return sorted.map(([value, regions]) => `${kind} ${value} ${regions.sort().join(' ')}`);
}

const isRegion = ([region]) => /^(?:[A-Z]{2}|\d{3})$/.test(region);
const { firstDay, minDays, weekendStart, weekendEnd } = supplemental('weekData').weekData;

function weekend(region) {
  const start = DAYS[weekendStart[region] ?? weekendStart['001']];
  const end = DAYS[weekendEnd[region] ?? weekendEnd['001']];
  const days = [];
  for (let day = start; ; day = (day % 7) + 1) {
    days.push(day);
    if (day === end) return days.sort().join(',');
  }
}

const calendars = (list) => list.map((name) => CALENDARS[name] ?? name).join(',');

// 'ar' and 'en-001' stand for languages, 'ES' for a region.
const { timeData } = supplemental('timeData');
const { calendarPreferenceData } = supplemental('calendarPreferenceData');
const zones = new Map();
for (const [id, zone] of Object.entries(read('cldr-bcp47/bcp47/timezone.json').keyword.u.tz)) {
  if (typeof zone !== 'object' || zone._deprecated) continue;
  const region = zone._region ?? id.slice(0, 2).toUpperCase();
  const [name] = zone._alias.split(' ');
  if (!name.includes('/') || name.startsWith('Etc/')) continue;
  if (!zones.has(region)) zones.set(region, []);
  zones.get(region).push(name);
}

const all = [
  ...lines(
    'first',
    Object.entries(firstDay)
      .filter(isRegion)
      .map(([region, day]) => [region, DAYS[day]]),
  ),
  ...lines('minimal', Object.entries(minDays).filter(isRegion)),
  ...lines(
    'weekend',
    Object.keys({ ...weekendStart, ...weekendEnd })
      .map((region) => [region, weekend(region)])
      .filter(isRegion),
  ),
  ...lines(
    'calendars',
    Object.entries(calendarPreferenceData).map(([region, list]) => [region, calendars(list)]),
  ),
  ...lines(
    'hours',
    Object.entries(timeData).map(([region, { _preferred: hour }]) => [region.replace('_', '-'), HOURS[hour]]),
  ),
  ...[...zones]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([region, names]) => `zones ${region} ${names.sort().join(' ')}`),
];
process.stdout.write(`${all.join('\n')}\n`);
