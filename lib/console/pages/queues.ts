/** What waits: by provider, pool and IP, how fast it goes and what binds; and orders for a row of it. */
import { html } from 'hono/html';
import type { ApiQueueRow, ApiQueues } from '../answers.ts';
import type { ConsolePage, Markup, PageCall } from '../page.ts';
import { badge, choice, count, field, link, pager, pathTo, table, when } from '../parts.ts';
import type { Query } from '../v1.ts';
import { sought } from './refused-query.ts';

const GROUPINGS = [
  ['provider,pool,ip', 'provider, pool and IP'],
  ['provider', 'provider'],
  ['pool', 'pool'],
  ['ip', 'IP'],
  ['tenant', 'tenant'],
  ['tenant,provider', 'tenant and provider'],
  ['site', 'site'],
  ['class', 'class'],
] as const;
const SORTS = [
  ['depth', 'depth'],
  ['oldest', 'the oldest'],
] as const;
const FILTERS = ['provider', 'pool', 'ip', 'tenant', 'site'] as const;
/** Dimensions of a row, in the order of its columns. */
const DIMENSIONS = ['provider', 'pool', 'ip', 'tenant', 'site', 'class'] as const;
/** What a directive can name of a row. */
const ORDERED = ['provider', 'pool', 'ip', 'tenant', 'site'] as const;

export const queuesPage: ConsolePage = {
  path: '/queues',
  nav: '/queues',
  async show(call) {
    const { query, me } = call;
    const given = (name: string): string | undefined => query.get(name)?.trim() || undefined;
    const by = GROUPINGS.find(([one]) => one === given('by'))?.[0] ?? 'provider,pool,ip';
    const asked: Query = { by, sort: given('sort'), after: given('after') };
    for (const name of FILTERS) asked[name] = given(name);
    const { found, refused } = await sought(() => call.v1.get<ApiQueues>('/queues', asked));
    const columns = DIMENSIONS.filter((one) => by.split(',').includes(one));
    const body = html`<h1>Queues</h1>${refused}
<form method="get" action="${pathTo('/queues')}" class="filters">${choice({ label: 'By', name: 'by', options: GROUPINGS, value: by })}
${choice({ label: 'First', name: 'sort', options: SORTS, value: given('sort') })}
${FILTERS.filter((one) => one !== 'tenant' || me.admin).map((one) => field({ label: one === 'ip' ? 'IP' : one[0]!.toUpperCase() + one.slice(1), name: one, value: given(one) }))}
<p class="field"><button type="submit">Show</button></p></form>
<div id="queues" data-live>${found ? shown(found, columns, call) : ''}</div>
${pager(call, '/queues', found?.next)}<p>${link('/directives', 'All directives in force')}</p>`;
    return { title: 'Queues', body, live: true };
  },
};

function shown(
  { rows, total, ledger, notes }: ApiQueues,
  columns: readonly (typeof DIMENSIONS)[number][],
  call: PageCall,
): Markup {
  const all = total.ready + total.inHand + total.later;
  return html`<ul class="tiles"><li><span class="word">Waiting</span><strong class="figure">${count(all)}</strong></li>
<li><span class="word">Ready</span><strong class="figure">${count(total.ready)}</strong><span class="quiet">in a lane</span></li>
<li><span class="word">In hand</span><strong class="figure">${count(total.inHand)}</strong><span class="quiet">at a sending process</span></li>
<li><span class="word">Later</span><strong class="figure">${count(total.later)}</strong><span class="quiet">deferred or scheduled${ledger?.next ? html`; the first ${when(ledger.next, call.now)}` : ''}</span></li></ul>
${notes.map((note) => html`<p class="quiet">${note}</p>`)}
${table(
  'Queues',
  [
    ...columns.map((one) => (one === 'ip' ? 'IP' : one[0]!.toUpperCase() + one.slice(1))),
    '#Ready',
    '#In hand',
    '#Later',
    'Oldest',
    '#Rate of limit',
    'What binds',
    'Next',
    '',
  ],
  rows.map((one) => row(one, columns, call)),
)}`;
}

function row(one: ApiQueueRow, columns: readonly (typeof DIMENSIONS)[number][], { now }: PageCall): Markup {
  const { ready, inHand, later, oldest, ratePerSecond, limitPerSecond, binding, nextAt } = one;
  const match: Query = {};
  for (const name of ORDERED) if (columns.includes(name as never)) match[name] = one[name];
  const bound = binding
    ? html`${badge(`${binding.limit}${binding.value ? ` ${binding.value}` : ''}`, 'warn')} <small>${binding.text}</small>`
    : '';
  return html`<tr>${columns.map((name) => html`<td class="${name === 'site' ? 'text' : 'tight'}">${one[name] ?? html`<span class="quiet">${name === 'ip' ? 'not chosen yet' : '–'}</span>`}</td>`)}
<td class="n">${count(ready)}</td><td class="n">${count(inHand)}</td><td class="n">${count(later)}</td><td class="tight">${when(oldest, now)}</td>
<td class="n">${ratePerSecond === undefined ? '–' : `${ratePerSecond}/s`} <small>${limitPerSecond === undefined ? '' : `of ${limitPerSecond}/s`}</small></td>
<td class="text">${bound}</td><td class="tight">${nextAt ? when(nextAt, now) : ''}</td><td class="tight">${link('/directives/new', 'Pause', { ...match, kind: 'suspend' })} <a href="${pathTo('/directives', match)}#new">More</a></td></tr>`;
}
