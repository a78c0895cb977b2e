/** The first page: what is wrong, what became of mail, and where. */
import { html } from 'hono/html';
import { DAY, HOUR, MINUTE, SECOND } from '../../time.ts';
import type { ApiCounts, ApiQueues, ApiStatistics } from '../answers.ts';
import type { ConsolePage, Markup, PageCall } from '../page.ts';
import { chart, count, link, percent, table } from '../parts.ts';
import { troubles } from './troubles.ts';

const QUARTER = 15 * MINUTE;
/** Age at which statistics are read again, ms: they follow what happens by some seconds anyway. */
const STATISTICS_AGE = 10 * SECOND;

export const overviewPage: ConsolePage = {
  path: '/',
  nav: '/',
  shared: true,
  async show(call) {
    // To the hour, as it is answered: the calls of an hour are one.
    const from = new Date(call.now - DAY - (call.now % HOUR)).toISOString();
    const [quarters, providers, queues, found] = await Promise.all([
      call.recent<ApiStatistics>(STATISTICS_AGE, '/stats', { granularity: 'quarter', from }),
      call.recent<ApiStatistics>(STATISTICS_AGE, '/stats', { by: 'provider', from }),
      call.v1.get<ApiQueues>('/queues', { by: 'provider', max: 1 }),
      troubles(call),
    ]);
    const day = quarters.points.filter(({ at }) => Date.parse(at) > call.now - DAY);
    const hour = day.filter(({ at }) => Date.parse(at) > call.now - HOUR - QUARTER);
    const body = html`<h1>Overview</h1><div id="overview" data-live>${found}
${tiles(sum(day), sum(hour), queues, call)}
${hourly(day, call)}
${byProvider(providers.points)}</div>`;
    return { title: 'Overview', body, live: true, charts: true };
  },
};

function sum(points: readonly ApiCounts[]): Required<ApiCounts> & { bounced: number } {
  const total = {
    accepted: 0,
    sent: 0,
    delivered: 0,
    deferred: 0,
    permanentBounces: 0,
    transientBounces: 0,
    complaints: 0,
    opens: 0,
    clicks: 0,
    suppressed: 0,
  };
  for (const point of points)
    for (const name of Object.keys(total) as (keyof typeof total)[]) total[name] += point[name] ?? 0;
  return { ...total, bounced: total.permanentBounces + total.transientBounces };
}

type Total = ReturnType<typeof sum>;

function tiles(day: Total, hour: Total, { total }: ApiQueues, { unbounded }: PageCall): Markup {
  const all: [string, keyof Total, string, string?][] = [
    ['Sent', 'sent', 'deliveries that ended'],
    ['Delivered', 'delivered', percent(day.delivered, day.sent)],
    ['Deferred', 'deferred', 'attempts put off'],
    ['Bounced', 'bounced', percent(day.bounced, day.sent), 'bounced'],
    ['Complained', 'complaints', percent(day.complaints, day.delivered)],
  ];
  // Functions count it as a metric alone.
  if (unbounded) all.unshift(['Accepted', 'accepted', 'recipients of mail taken in']);
  return html`<ul class="tiles" aria-label="Waiting now, and of the last 24 hours">
<li><span class="word">${link('/queues', 'Waiting now')}</span><strong class="figure">${count(total.ready + total.inHand + total.later)}</strong>
<span class="quiet">${count(total.later)} for a later time</span><span class="now">${count(total.inHand)} in hand</span></li>${all.map(
    ([
      word,
      name,
      about,
      state,
    ]) => html`<li><span class="word">${state ? link('/messages', word, { state }) : word}</span>
<strong class="figure">${count(day[name])}</strong><span class="quiet">${about}</span><span class="now">${count(hour[name])} in the last hour</span></li>`,
  )}</ul>`;
}

function hourly(points: ApiStatistics['points'], { now }: PageCall): Markup {
  const first = Math.floor((now - DAY) / HOUR) * HOUR + HOUR;
  const hours = Array.from({ length: 24 }, (_, i) => first + i * HOUR);
  const of = hours.map((hour) =>
    sum(points.filter(({ at }) => Math.floor(Date.parse(at) / HOUR) * HOUR === hour)),
  );
  return chart(
    'The last 24 hours, by hour',
    hours,
    [
      { label: 'Delivered', tone: 'good', values: of.map(({ delivered }) => delivered) },
      { label: 'Deferred', tone: 'warn', values: of.map(({ deferred }) => deferred), line: true },
      { label: 'Bounced', tone: 'bad', values: of.map(({ bounced }) => bounced), line: true },
    ],
    'hour',
  );
}

function byProvider(points: ApiStatistics['points']): Markup {
  const providers = Map.groupBy(points, ({ value }) => value ?? 'other');
  const rows = [...providers]
    .map(([provider, of]) => ({ provider, ...sum(of) }))
    .sort((a, b) => b.sent - a.sent)
    .slice(0, 20)
    .map(
      (
        one,
      ) => html`<tr><th scope="row">${link('/messages', one.provider, { provider: one.provider })}</th><td class="n">${count(one.sent)}</td>
<td class="n">${count(one.delivered)}</td><td class="n">${percent(one.delivered, one.sent)}</td><td class="n">${count(one.deferred)}</td>
<td class="n">${count(one.bounced)}</td><td class="n">${percent(one.bounced, one.sent)}</td><td class="n">${count(one.complaints)}</td></tr>`,
    );
  return html`<h2>By provider, 24 hours</h2>${table('Mail by provider', ['Provider', '#Sent', '#Delivered', '#of sent', '#Deferred', '#Bounced', '#of sent', '#Complained'], rows)}`;
}
