/** Exim's retry rules: `*  *  F,2h,15m; G,16h,1h,1.5; F,4d,6h` (specification, chapter 32). */
import { DAY, HOUR, MINUTE, SECOND } from '../../time.ts';
import { clamped, spanOf } from '../amounts.ts';
import { type ImportDraft, type LimitPlace, placeOfDomain } from '../draft.ts';
import type { EximOption } from './config.ts';

const UNITS: Readonly<Record<string, number>> = { s: SECOND, m: MINUTE, h: HOUR, d: DAY, w: 7 * DAY };
const MOST_DELAYS = 50;

/** `2h30m`; ms. */
export function eximTimeOf(text: string): number | undefined {
  if (!/^(\d{1,9}[smhdw])+$/i.test(text.trim())) return undefined;
  let sum = 0;
  for (const [, count, unit] of text.matchAll(/(\d+)([smhdw])/gi))
    sum += Number(count) * UNITS[unit!.toLowerCase()]!;
  return sum;
}

export function takeRetry(draft: ImportDraft, { value, at }: EximOption) {
  const parts = /^(\S+)\s+(\S+)(?:\s+senders=\S+)?\s+(\S.*)$/s.exec(value);
  if (parts === null) return draft.note(at, 'fault', 'is no rule of address, error and times.');
  const [, address, error, times] = parts;
  if (error !== '*')
    return draft.note(
      at,
      'impossible',
      `delays for the error ${error} alone: use onReply of postern.policy.ts (retryAfterSeconds).`,
    );
  const schedule = scheduleOf(times!);
  if (schedule === undefined) return draft.note(at, 'fault', `${times} are no times.`);
  const place: LimitPlace | undefined =
    address === '*'
      ? { layer: 'default' }
      : /^[\w.-]+\.[a-z0-9-]+$/i.test(address!)
        ? placeOfDomain(address!.toLowerCase())
        : undefined;
  if (place === undefined)
    return draft.note(at, 'impossible', `${address} is no domain. Set retry for the domains themselves.`);
  const delays = schedule.delays.map((ms) => spanOf(clamped(ms, SECOND, 7 * DAY).ms));
  const maxAge = clamped(schedule.end, MINUTE, 14 * DAY);
  draft.limit(at, place, 'retry', { delays });
  draft.limit(at, place, 'maxAge', spanOf(maxAge.ms));
  return draft.note(
    at,
    'changed',
    `retry ${delays.join(', ')}, each spread by a tenth, the last one repeats; maxAge ${spanOf(maxAge.ms)}. Counted for the message, not for the host.`,
  );
}

/** The delays from the first failure on, and when to give up. */
function scheduleOf(text: string): { delays: number[]; end: number } | undefined {
  const delays: number[] = [];
  let now = 0;
  for (const rule of text
    .split(';')
    .map((one) => one.trim())
    .filter(Boolean)) {
    const [kind = '', until = '', every = '', factor = '1'] = rule.split(',').map((one) => one.trim());
    const [end, interval] = [eximTimeOf(until), eximTimeOf(every)];
    const growth = Number(factor);
    if (!/^[FGH]$/.test(kind) || end === undefined || !interval || !(growth >= 1 && growth <= 100))
      return undefined;
    for (
      let delay = interval;
      now < end;
      delay = kind === 'F' ? delay : Math.max(delay + SECOND, delay * growth)
    ) {
      // A fixed interval is written once where it is the last one.
      if (delays.length < MOST_DELAYS) delays.push(Math.round(Math.min(delay, end)));
      now += delay;
      if (delays.length >= MOST_DELAYS) now = end;
    }
  }
  if (delays.length === 0) return undefined;
  while (delays.length > 1 && delays.at(-1) === delays.at(-2)) delays.pop();
  return { delays, end: now };
}
