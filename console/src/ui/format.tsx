/** Durations, sizes and times as people read them. */
import type { JSX } from 'preact';
import { useEffect, useState } from 'preact/hooks';

const LOCALE = 'en-GB';
const whole = new Intl.NumberFormat(LOCALE);
const time = new Intl.DateTimeFormat(LOCALE, { hour: '2-digit', minute: '2-digit', second: '2-digit' });
const date = new Intl.DateTimeFormat(LOCALE, {
  year: 'numeric', month: 'short', day: 'numeric', hour: '2-digit', minute: '2-digit', second: '2-digit',
});

/** 1234567 → 1,234,567. */
export function formatNumber(value: number): string {
  return whole.format(value);
}

/** Three digits: 0.12, 4.2, 87, 1,204. */
export function formatFigure(value: number): string {
  if (value === 0 || !Number.isFinite(value)) return String(value);
  const size = Math.abs(value);
  if (size >= 100) return whole.format(Math.round(value));
  return value.toFixed(size >= 10 ? 1 : 2).replace(/\.?0+$/, '');
}

/** Microseconds in words: 84 µs, 4.2 ms, 1.53 s, 3 min 07 s, 2 h 05 min, 3 d 4 h. */
export function formatDuration(us: number): string {
  if (us < 1000) return `${Math.round(us)} µs`;
  if (us < 1_000_000) return `${formatFigure(us / 1000)} ms`;
  const seconds = us / 1_000_000;
  if (seconds < 60) return `${formatFigure(seconds)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${pad(seconds % 60)} s`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return `${hours} h ${pad(minutes % 60)} min`;
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

function pad(value: number): string {
  return String(Math.floor(value)).padStart(2, '0');
}

/** 812 B, 4.2 kB, 1.5 MB. */
export function formatBytes(bytes: number): string {
  let value = bytes;
  for (const unit of ['B', 'kB', 'MB', 'GB']) {
    if (value < 1000) return `${unit === 'B' ? value : formatFigure(value)} ${unit}`;
    value /= 1000;
  }
  return `${formatFigure(value)} TB`;
}

/** 512 MiB, 1.5 GiB. */
export function formatMib(mib: number): string {
  return mib < 1024 ? `${formatFigure(mib)} MiB` : `${formatFigure(mib / 1024)} GiB`;
}

/** The time of day if it is of today, else with the date. */
export function formatTime(unixMs: number): string {
  const then = new Date(unixMs);
  return then.toDateString() === new Date().toDateString() ? time.format(then) : date.format(then);
}

/** 4 s ago, 3 min ago, in 2 h. */
export function formatAgo(unixMs: number, now = Date.now()): string {
  const seconds = Math.round((now - unixMs) / 1000);
  const size = Math.abs(seconds);
  if (size < 2) return 'now';
  const steps: [number, string][] = [[60, 's'], [60, 'min'], [24, 'h'], [365, 'd'], [Infinity, 'y']];
  let value = size;
  for (const [length, unit] of steps) {
    if (value < length) return seconds > 0 ? `${Math.floor(value)} ${unit} ago` : `in ${Math.floor(value)} ${unit}`;
    value /= length;
  }
  return '';
}

/** The beginning of a digest or the end of an id, which differ there. */
export function shortDigest(digest: string): string {
  return digest.slice(0, 12);
}

export function shortId(id: string): string {
  return id.slice(-12);
}

export function Duration({ us }: { readonly us: number | undefined }): JSX.Element {
  return us === undefined ? <span class="muted">–</span> : <span class="figure">{formatDuration(us)}</span>;
}

export function Bytes({ n }: { readonly n: number }): JSX.Element {
  return <span class="figure" title={`${formatNumber(n)} bytes`}>{formatBytes(n)}</span>;
}

/** A time; with `ago` as a distance that grows. The title has the whole of it. */
export function Time({ ms, ago = false }: { readonly ms: number | undefined; readonly ago?: boolean }): JSX.Element {
  const [, setTick] = useState(0);
  useEffect(() => {
    if (!ago) return undefined;
    const timer = setInterval(() => !document.hidden && setTick((tick) => tick + 1), 10_000);
    return () => clearInterval(timer);
  }, [ago]);
  if (ms === undefined || ms === 0) return <span class="muted">–</span>;
  const whole = new Date(ms).toISOString();
  return <time class="figure" dateTime={whole} title={whole}>{ago ? formatAgo(ms) : formatTime(ms)}</time>;
}
