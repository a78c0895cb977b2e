/**
 * Finds the time that a reply names for the next try: "try again in 30 minutes", "retry after 3600 seconds",
 * "greylisted for 300 seconds", "come back in 00:04:56". One pass over the words; no backtracking.
 *
 * A number with a unit is a hint only right behind a word about trying again, with nothing but words like "in",
 * "after", "at least" between: "100 messages in 60 minutes, try again later" names a limit.
 */
import { DAY, HOUR } from '../time.ts';

/** Words after which a time is the time to wait. */
const ARMING: ReadonlySet<string> = new Set(
  (
    'retry retrying again wait back resend come greylisted graylisted greylisting graylisting greylist graylist ' +
    'deferred delayed suspended blocked'
  ).split(' '),
);

/** Words that may stand between such a word and the time. */
const FILLERS: ReadonlySet<string> = new Set(
  (
    'in after for about at least another within the next approximately minimum of please a an later it your this ' +
    'message mail email delivery sending connection connecting temporarily action and try is period time only'
  ).split(' '),
);

const UNITS: ReadonlyMap<string, number> = new Map([
  ...['s', 'sec', 'secs', 'second', 'seconds'].map((unit) => [unit, 1000] as const),
  ...['m', 'min', 'mins', 'minute', 'minutes'].map((unit) => [unit, 60_000] as const),
  ...['h', 'hr', 'hrs', 'hour', 'hours'].map((unit) => [unit, HOUR] as const),
  ...['d', 'day', 'days'].map((unit) => [unit, DAY] as const),
]);

const NUMBER_WORDS: ReadonlyMap<string, number> = new Map([
  ['a', 1],
  ['an', 1],
  ['one', 1],
  ['two', 2],
  ['five', 5],
  ['ten', 10],
  ['fifteen', 15],
  ['thirty', 30],
]);

/** A word, a number, or a time of day as hours, minutes and seconds. */
const TOKEN = /[0-9]{1,2}:[0-9]{2}(?::[0-9]{2})?|[0-9]{1,7}|[a-z]+/g;
/** Maximum length of the text that is examined, characters. */
const MAX_TEXT = 500;
const MENTIONS = /again|retry|wait|gr[ae]ylist|back|resend|deferred|delayed|suspended|blocked/;

/** The wait that the text requests, ms; undefined when it names no time. */
export function retryHint(text: string): number | undefined {
  const lower = text.slice(0, MAX_TEXT).toLowerCase();
  if (!MENTIONS.test(lower)) return undefined;
  let armed = false;
  let count: number | undefined;
  for (const [token] of lower.matchAll(TOKEN)) {
    const unit = count === undefined ? undefined : UNITS.get(token);
    if (armed && unit !== undefined) return count! * unit || undefined;
    count = undefined;
    if (ARMING.has(token)) armed = true;
    else if (armed && token.includes(':')) return clock(token);
    else if (armed) {
      const first = token.charCodeAt(0);
      count = first <= 57 ? Number(token) : NUMBER_WORDS.get(token);
      armed = count !== undefined || FILLERS.has(token);
    }
  }
  return undefined;
}

/** Parses `mm:ss` or `hh:mm:ss` to ms. */
function clock(token: string): number | undefined {
  const seconds = token.split(':').reduce((sum, part) => sum * 60 + Number(part), 0);
  return seconds * 1000 || undefined;
}

/** Limits a hint, if there is one, to bounds (ms), so that a peer can neither hurry nor stall us. */
export function boundedHint(text: string, least: number, most: number): number | undefined {
  const hint = retryHint(text);
  return hint === undefined ? undefined : Math.min(most, Math.max(least, hint));
}
