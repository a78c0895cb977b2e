/** A new directive: its form, and a look at how much mail it touches before it is given. */
import { html } from 'hono/html';
import { MINUTE } from '../../time.ts';
import type { ApiDirective, ApiWaiting } from '../answers.ts';
import type { ConsolePage, Markup, PageCall } from '../page.ts';
import { button, choice, count, field, form, pathTo, problem, time } from '../parts.ts';
import { ApiFailure } from '../v1.ts';
import { sought } from './refused-query.ts';

const MEMBERS = ['tenant', 'campaign', 'domain', 'provider', 'pool', 'ip', 'site'] as const;
const ACTIONS = [
  ['suspend', 'Pause: it waits'],
  ['bounce', 'Bounce: it ends as bounced'],
  ['reroute', 'Reroute: it goes by another pool'],
  ['limit', 'Limit: it goes slower'],
] as const;
const LIMITS = [
  ['messagesPerSecond', 'Messages a second'],
  ['connections', 'Connections'],
  ['connectionsPerMinute', 'Connections a minute'],
  ['messagesPerConnection', 'Messages a connection'],
] as const;
const SPANS = [
  ['', 'When somebody ends it'],
  ['15', 'In 15 minutes'],
  ['60', 'In an hour'],
  ['1440', 'In a day'],
  ['10080', 'In a week'],
] as const;
const FIELDS = [...MEMBERS, 'kind', 'to', 'reason', 'span', 'all', ...LIMITS.map(([name]) => name)];
/** Reason of an order for which none was written. */
const BY_HAND = 'Ordered in the console';

type Values = (name: string) => string | undefined;

/** What a form sent, or the link that led here. */
function valuesOf({ form: given, query }: PageCall): Values {
  return (name) => given.text(name) ?? (query.get(name)?.trim() || undefined);
}

export function matchText(match: Record<string, string>): string {
  const members = Object.entries(match).map(([name, value]) => `${name} ${value}`);
  return members.length === 0 ? 'all mail' : members.join(', ');
}

interface ConsoleOrder {
  match: Record<string, string>;
  action: { kind: string; pool?: string; limits?: Record<string, number> };
  reason: string;
  until?: string;
  all?: true;
}

/** @throws ApiFailure for what is not a number; the rest the API checks. */
function orderOf(values: Values, now: number): ConsoleOrder {
  const match: Record<string, string> = {};
  for (const name of MEMBERS) {
    const value = values(name);
    if (value !== undefined) match[name] = value;
  }
  const kind = values('kind') ?? 'suspend';
  const minutes = Number(values('span') ?? 0);
  return {
    match,
    action: {
      kind,
      ...(kind === 'reroute' && { pool: values('to') ?? '' }),
      ...(kind === 'limit' && { limits: limitsOf(values) }),
    },
    reason: values('reason') ?? BY_HAND,
    ...(minutes > 0 && { until: new Date(now + minutes * MINUTE).toISOString() }),
    ...(values('all') && { all: true as const }),
  };
}

function limitsOf(values: Values): Record<string, number> {
  const limits: Record<string, number> = {};
  for (const [name, label] of LIMITS) {
    const value = values(name);
    if (value === undefined) continue;
    limits[name] = Number(value);
    if (!Number.isFinite(limits[name]))
      throw new ApiFailure(
        400,
        'bad_request',
        `${label}: ${value} is not a number.`,
        'Write a number, as 10.',
      );
  }
  return limits;
}

/** The form of an order; what is known of it stands in it already. */
export function orderForm(call: PageCall): Markup {
  const values = valuesOf(call);
  const { me } = call;
  const value = (name: string): string => values(name) ?? '';
  const members = MEMBERS.map((name) =>
    field({
      label: name === 'ip' ? 'IP' : name[0]!.toUpperCase() + name.slice(1),
      name,
      value: value(name) || (name === 'tenant' && !me.admin ? me.tenant : ''),
    }),
  );
  const actions = me.admin ? ACTIONS : ACTIONS.filter(([kind]) => kind !== 'reroute');
  return html`<form method="get" action="${pathTo('/directives/new')}">
${choice({ label: 'What becomes of it', name: 'kind', options: actions, value: value('kind') })}
<fieldset><legend>Mail that agrees in all of these</legend><div class="filters">${members}</div>
${me.admin ? html`<p><label><input type="checkbox" name="all" value="1" ${values('all') ? 'checked' : ''}> All mail of every tenant: nothing above is filled in</label></p>` : ''}</fieldset>
${me.admin ? field({ label: 'To reroute: the pool that it goes by instead', name: 'to', value: value('to') }) : ''}
<fieldset><legend>To limit: upper bounds, from an IP to a site</legend><div class="filters">${LIMITS.map(([name, label]) => field({ label, name, value: value(name) }))}</div></fieldset>
${field({ label: 'Reason', name: 'reason', value: value('reason'), hint: 'It is shown with every message that it stops.' })}
${choice({ label: 'It ends', name: 'span', options: SPANS, value: value('span') })}
${button('Count what it touches')}</form>`;
}

export const newDirectivePage: ConsolePage = {
  path: '/directives/new',
  nav: '/directives',
  async show(call) {
    const { v1, now } = call;
    const { found, refused } = await sought(async () => {
      const order = orderOf(valuesOf(call), now);
      const { match, all } = order;
      return { order, waiting: await v1.send<ApiWaiting>('POST', '/deliveries/count', { match, all }) };
    }, [403]);
    const look = found && !call.problem ? previewed(call, found.order, found.waiting) : orderForm(call);
    const body = html`<p class="quiet"><a href="${pathTo('/directives')}">Directives</a></p><h1>${found ? 'Before it is given' : 'New directive'}</h1>${problem(call.problem)}${refused}${look}`;
    return { title: 'New directive', body };
  },
  acts: {
    async give(call) {
      const order = orderOf(valuesOf(call), call.now);
      const { waiting } = await call.v1.send<ApiDirective>('POST', '/directives', order);
      return { to: '/directives', notice: `It is in force.${waiting ? ` ${waitingText(waiting)}` : ''}` };
    },
  },
};

function waitingText({ deferred, queued, complete, hastened, note }: ApiWaiting): string {
  const total = deferred + (queued ?? 0);
  return [
    `${complete ? '' : 'At least '}${count(total)} ${total === 1 ? 'delivery that waits agrees' : 'deliveries that wait agree'}: ${count(deferred)} deferred${queued === undefined ? '' : `, ${count(queued)} queued`}.`,
    hastened ? `${count(hastened)} were made due.` : '',
    note ?? '',
  ]
    .filter(Boolean)
    .join(' ');
}

function previewed(call: PageCall, order: ConsoleOrder, waiting: ApiWaiting): Markup {
  const values = valuesOf(call);
  const { kind, pool, limits } = order.action;
  const action = ACTIONS.find(([one]) => one === kind)?.[1] ?? kind;
  const bounds = Object.entries(limits ?? {}).map(([name, value]) => `${name} ${value}`);
  const kept = FIELDS.flatMap((name) => {
    const value = values(name);
    return value === undefined ? [] : [html`<input type="hidden" name="${name}" value="${value}">`];
  });
  const back = pathTo('/directives', Object.fromEntries(FIELDS.map((name) => [name, values(name)])));
  return html`<div class="note ${kind === 'bounce' ? 'bad' : 'warn'}"><p><strong>${action}${pool ? `, ${pool}` : ''}${bounds.length > 0 ? `, ${bounds.join(', ')}` : ''}</strong></p><p class="text">${matchText(order.match)}</p></div>
<p class="big">${waitingText(waiting)}</p><p class="text">${order.reason}.</p>
<p>${order.until ? html`It ends at ${time(order.until)} UTC.` : 'It holds until somebody ends it.'}</p>
${form(call, 'give', html`${kept}${button('Give the order', kind === 'bounce' ? 'danger' : '')} <a class="button second" href="${back}#new">Change it</a>`)}`;
}
