/** Dates as mail writes them. */

const DAYS = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat'];
const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

const two = (value: number): string => (value < 10 ? `0${value}` : String(value));

/** The last second that was formatted: under load many messages share it. */
let last = { second: Number.NaN, text: '' };

/** Formats a date-time of RFC 5322 §3.3 in UTC, as `Sat, 21 Nov 2026 09:05:00 +0000`. @param at since the epoch, ms. */
export function rfc5322Date(at: number): string {
  const second = Math.floor(at / 1000);
  if (second === last.second) return last.text;
  const date = new Date(at);
  const text =
    `${DAYS[date.getUTCDay()]}, ${date.getUTCDate()} ${MONTHS[date.getUTCMonth()]} ${date.getUTCFullYear()} ` +
    `${two(date.getUTCHours())}:${two(date.getUTCMinutes())}:${two(date.getUTCSeconds())} +0000`;
  last = { second, text };
  return text;
}
