/** Source addresses and their warm-up: the plan, and what came of it. */
import { html } from 'hono/html';
import { DAY } from '../../time.ts';
import type { ApiCounts, ApiSourceIp, ApiStatistics, ApiWarmingIp, ApiWarmupProvider } from '../answers.ts';
import type { ConsolePage, Markup } from '../page.ts';
import { badge, chart, count, field, link, pager, pathTo, percent, some, table, when } from '../parts.ts';
import { labelText } from '../v1.ts';
import { sought } from './refused-query.ts';

const PAGE = 100;
const DAYS = 30;
/** Days of a plan that are drawn ahead: plans double, and later days would leave the past a flat line. */
const NEAR = 4;

export const ipsPage: ConsolePage = {
  path: '/ips',
  nav: '/ips',
  admin: true,
  async show(call) {
    const { query, now } = call;
    const given = (name: string): string | undefined => query.get(name)?.trim() || undefined;
    const asked = { pool: given('pool'), after: given('after'), max: PAGE };
    const { found, refused } = await sought(
      () => call.v1.get<{ ips: ApiSourceIp[]; next?: string }>('/ips', asked),
      [404],
    );
    const rows = (found?.ips ?? []).map((one) => row(one, now));
    const heads = [
      'IP',
      'Pools',
      'State',
      '#Connections',
      '#Warm-up',
      '#Today',
      '#Delivered',
      '#Deferred',
      '#Bounced',
      'Sent by',
      '',
    ];
    const body = html`<h1>IPs and warm-up</h1><p class="lead">An address without a plan is warm: only the limits of the providers hold. Plans are in ${link('/configuration/warmup', 'the warm-up document')}, pools in ${link('/configuration/routing', 'the routing document')}.</p>
<form method="get" action="${pathTo('/ips')}" class="inline">${field({ label: 'Pool', name: 'pool', type: 'search', value: given('pool') })}<button class="second" type="submit">Show</button></form>${refused}
<div id="ips" data-live>${table('Source addresses', heads, rows)}</div>${pager(call, '/ips', found?.next)}`;
    return { title: 'IPs and warm-up', body, live: true };
  },
};

function row(
  { ip, pools, node, ehloName, connections, trouble, paused, warm, percentage, today }: ApiSourceIp,
  now: number,
): Markup {
  const bounced = (today.permanentBounces ?? 0) + (today.transientBounces ?? 0);
  const stands = trouble
    ? badge('stopped', 'bad')
    : paused.length > 0
      ? badge('paused', 'warn')
      : warm
        ? badge('warm', 'good')
        : badge('warming up', 'warn');
  const why = [trouble, ...paused.map(({ reason }) => reason)].filter(Boolean).join('; ');
  const until = paused[0]?.until ? html` until ${when(paused[0].until, now)}` : '';
  return html`<tr><th scope="row" class="tight">${link(`/ips/${labelText(ip)}`, ip)}</th><td>${some(pools)}</td><td>${stands} <small>${why}${until}</small></td>
<td class="n">${count(connections)}</td><td class="n">${percentage} %</td><td class="n">${count(today.sent ?? 0)}</td><td class="n">${count(today.delivered ?? 0)}</td>
<td class="n">${count(today.deferred ?? 0)}</td><td class="n">${count(bounced)}</td><td class="text"><small>${node ?? 'no node'}${ehloName && ehloName !== node ? ` as ${ehloName}` : ''}</small></td>
<td class="tight">${ip === 'default' ? '' : link('/directives/new', 'Pause', { ip, kind: 'suspend' })}</td></tr>`;
}

/** The address that the host chooses has no plan. */
const UNKNOWN: ApiWarmingIp = { ip: 'default', pools: [], warm: true, percentage: 100, providers: [] };

export const ipPage: ConsolePage = {
  path: '/ips/:ip',
  nav: '/ips',
  admin: true,
  async show(call) {
    const ip = call.params.ip!;
    const today = Math.floor(call.now / DAY) * DAY;
    const first = today - (DAYS - 1) * DAY;
    const [{ ips }, sent] = await Promise.all([
      ip === 'default' ? { ips: [UNKNOWN] } : call.v1.get<{ ips: ApiWarmingIp[] }>('/warmup', { ip }),
      call.v1.get<ApiStatistics>('/stats', {
        ip: ip === 'default' ? undefined : ip,
        granularity: 'day',
        from: new Date(first).toISOString(),
      }),
    ]);
    const [state] = ips as [ApiWarmingIp];
    const days = Array.from({ length: DAYS }, (_, i) => first + i * DAY);
    const of = (day: number): ApiCounts => sent.points.find(({ at }) => Date.parse(at) === day) ?? {};
    const body = html`<p class="quiet">${link('/ips', 'IPs and warm-up')}</p><h1>${ip}</h1>
<p>${state.pools.length > 0 ? html`In ${some(state.pools)}.` : 'In no pool.'} ${state.problem ? badge(state.problem, 'bad') : state.warm ? badge('warm', 'good') : badge(`${state.percentage} % of its schedule`, 'warn')}</p>
${chart(
  `Sent from ${ip} in ${DAYS} days`,
  days,
  [
    { label: 'Delivered', tone: 'good', values: days.map((day) => of(day).delivered ?? 0) },
    { label: 'Deferred', tone: 'warn', values: days.map((day) => of(day).deferred ?? 0), line: true },
    {
      label: 'Bounced',
      tone: 'bad',
      values: days.map((day) => (of(day).permanentBounces ?? 0) + (of(day).transientBounces ?? 0)),
      line: true,
    },
  ],
  'day',
)}
<h2>Plan and fact, by provider, today</h2><div id="ip" data-live>${byProvider(state.providers)}</div>
${state.providers.map((one) => planAndFact(one, today))}`;
    return { title: ip, body, live: true, charts: true };
  },
};

const VERDICTS: Readonly<Record<string, 'good' | 'warn' | 'bad' | 'calm'>> = {
  promoted: 'good',
  held: 'warn',
  'stepped-back': 'bad',
};

/** The plan of a provider, behind and ahead, and what was sent of it. */
function planAndFact(state: ApiWarmupProvider, today: number): Markup | string {
  const { provider, past = [], ahead = [], sent } = state;
  if (past.length === 0 && ahead.length === 0) return '';
  const before = past.map(({ at, budget, sent: of }) => ({ at: Date.parse(at), plan: budget, fact: of }));
  const after = ahead
    .slice(0, NEAR)
    .map((plan, i) => ({ at: today + i * DAY, plan, fact: i === 0 ? sent : null }));
  const days = [...before.filter(({ at }) => at < today), ...after];
  const rows = past.toReversed().map(
    ({
      at,
      budget,
      sent: of,
      counts,
      verdict,
      cause,
    }) => html`<tr><th scope="row" class="tight">${at.slice(0, 10)}</th><td class="n">${count(budget)}</td><td class="n">${count(of)}</td>
${['bounced', 'complained', 'deferred', 'blocked'].map((name) => html`<td class="n">${count(counts[name])}</td>`)}<td>${badge(verdict, VERDICTS[verdict])}</td><td class="text">${cause ?? ''}</td></tr>`,
  );
  return html`${chart(
    `${provider}: plan and fact`,
    days.map(({ at }) => at),
    [
      { label: 'Plan', tone: 'plan', values: days.map(({ plan }) => plan), line: true },
      { label: 'Sent', tone: 'good', values: days.map(({ fact }) => fact) },
    ],
    'day',
  )}${rows.length === 0 ? '' : table(`${provider}: days that are over`, ['Day', '#Plan', '#Sent', '#Bounced', '#Complained', '#Deferred', '#Blocked', 'What became of it', 'Why'], rows)}`;
}

function byProvider(providers: readonly ApiWarmupProvider[]): Markup {
  return table(
    'Warm-up by provider',
    [
      'Provider',
      'Day',
      '#Plan',
      '#Sent',
      'Used',
      '#Bounced',
      '#Complained',
      '#Deferred',
      '#Blocked',
      'What held it',
    ],
    providers.map(({ provider, warm, day, days, budget, sent, counts, steppedBack, cause }) => {
      const rated = (name: string): Markup =>
        html`<td class="n">${count(counts[name])} <small>${percent(counts[name] ?? 0, sent)}</small></td>`;
      return html`<tr><th scope="row">${provider}</th><td class="tight">${warm ? badge('warm', 'good') : `${day} of ${days}`} ${steppedBack ? badge('a step back', 'bad') : ''}</td>
<td class="n">${budget === undefined ? 'no bound' : count(budget)}</td><td class="n">${count(sent)}</td>
<td>${budget ? html`<meter min="0" max="${budget}" value="${Math.min(budget, sent)}" aria-label="${provider}: used of the plan">${percent(sent, budget)}</meter>` : ''}</td>
${['bounced', 'complained', 'deferred', 'blocked'].map(rated)}<td class="text">${cause ?? ''}</td></tr>`;
    }),
  );
}
