/** Rows of `/v1/queues` as a table. Pure. */
import type { AnswerValue } from './client.ts';
import type { Column } from './table.ts';
import { away, short, span } from './text.ts';

/** Which columns go first where there is no room. */
const DROPS: Readonly<Record<string, number>> = { site: 6, class: 4 };

/** @param by dimensions of the rows. */
export function rowColumns(by: readonly string[], now: number): Column<AnswerValue>[] {
  return [
    ...by.map(
      (one): Column<AnswerValue> => ({
        title: one.toUpperCase(),
        cell: (row) => row[one] ?? '-',
        ...(DROPS[one] !== undefined && { drop: DROPS[one] }),
      }),
    ),
    { title: 'READY', cell: ({ ready }) => short(ready), right: true },
    { title: 'HAND', cell: ({ inHand }) => short(inHand), right: true, drop: 5 },
    { title: 'LATER', cell: ({ later }) => short(later), right: true, drop: 5 },
    { title: 'OLDEST', cell: ({ oldest }) => oldest && span(now - Date.parse(oldest)), right: true, drop: 3 },
    { title: 'CONN', cell: ({ connections }) => short(connections), right: true, drop: 2 },
    { title: 'RATE/S', cell: ({ ratePerSecond }) => short(ratePerSecond), right: true, drop: 4 },
    { title: 'LIMIT/S', cell: ({ limitPerSecond }) => short(limitPerSecond), right: true, drop: 2 },
    { title: 'BINDS', cell: ({ binding }) => binding && bindingText(binding) },
    { title: 'NEXT', cell: ({ nextAt }) => nextAt && away(nextAt, now), right: true, drop: 1 },
  ];
}

function bindingText({ limit, value, origin, text }: AnswerValue): string {
  if (value === undefined) return text;
  return origin === undefined ? `${limit} ${value}` : `${limit} ${value} (${origin})`;
}

/** The sum below a table. */
export function totalLine({ total, ledger }: AnswerValue, now: number): string {
  const { ready, inHand, later } = total;
  const first = ledger?.next === undefined ? undefined : Date.parse(ledger.next) - now;
  const due = first === undefined ? '' : `, the first of them due ${first > 0 ? `in ${span(first)}` : 'now'}`;
  return `${ready + inHand + later} wait: ${ready} ready, ${inHand} in hand, ${later} for a time${due}.`;
}
