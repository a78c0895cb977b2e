/**
 * Directives. An administrator's key orders and ends any. Another key orders its own tenant's mail, and ends only
 * what keys of its tenant ordered: not what stops the tenant itself.
 */
import * as z from 'zod/mini';
import type { StoredDirective } from '../control/directives.ts';
import { IpInventory } from '../control/ip-inventory.ts';
import { DIRECTIVE_ACTIONS } from '../directives/check.ts';
import { DIMENSIONS, type Dimension, type Directive as Order } from '../directives/directive.ts';
import { PosternError } from '../errors.ts';
import { DEFAULT_POOL } from '../routing/pools.ts';
import { type ApiCall, iso, label, operation, query } from './operation.ts';
import { about, flag, integer, name, named, positive, type SchemaValue, text, time } from './schema.ts';
import { requireOwnMail, requireScope, WaitingMail, waitingMail } from './waiting-mail.ts';

const word = (description: string) => text(description, z.minLength(1), z.maxLength(255));

/** Members of a match. */
export const matchMembers = z.strictObject({
  tenant: z.optional(word('Tenant that sends.')),
  campaign: z.optional(word('Campaign, as named by the sender.')),
  domain: z.optional(word('Domain of the recipient.')),
  provider: z.optional(word('Mailbox provider behind the MX hosts, as `google`.')),
  pool: z.optional(word('Pool that the mail is sent from.')),
  ip: z.optional(word('Source address.')),
  site: z.optional(word('Set of MX hosts, as named in the reasons of messages.')),
} satisfies Record<Dimension, unknown>);
const match = matchMembers.check(about('Mail that agrees in every member that is given.'));

const action = z
  .strictObject({
    kind: z.enum(DIRECTIVE_ACTIONS),
    pool: z.optional(name('For `reroute`: the pool that it goes by instead.')),
    limits: z.optional(
      z
        .strictObject({
          connections: z.optional(integer('Open at once, from an IP to a site.')),
          connectionsPerMinute: z.optional(positive('Begun, from an IP to a site.')),
          messagesPerSecond: z.optional(positive('From an IP to a site.')),
          messagesPerConnection: z.optional(integer('Then the connection is closed.')),
        })
        .check(about('For `limit`: upper bounds over all other limits.')),
    ),
  })
  .check(
    about(
      'suspend: mail waits. bounce: mail ends as bounced. reroute: it goes by another pool. limit: it goes slower.',
    ),
  );

const reason = word('Why, for a person.');

const DirectiveRequest = named(
  'DirectiveRequest',
  z.strictObject({
    match,
    action,
    reason,
    until: z.optional(time('When it ends by itself; absent: it is removed by hand.')),
    all: z.optional(flag('Required, and true, for a match without members, which is all mail.')),
  }),
);
type DirectiveRequest = SchemaValue<typeof DirectiveRequest>;

const Directive = named(
  'Directive',
  z.strictObject({
    id: text(),
    match,
    action,
    reason,
    at: time('When it was first given.'),
    until: z.optional(time('When it ends.')),
    origin: z.strictObject({
      rule: z.optional(text('Automation rule that raised it.')),
      reply: z.optional(text('The reply that made the rule do so.')),
      operator: z.optional(text('Access key that gave it; `administrator` where the key is not shown.')),
      tenant: z.optional(text("Tenant of that key, when it is not an administrator's.")),
    }),
    raised: z.optional(integer('How often its rule raised it.')),
    waiting: z.optional(WaitingMail),
  }),
);
const Directives = named('Directives', z.strictObject({ directives: z.array(Directive) }));

const pause = {
  match: { tenant: 'shop', provider: 'google' },
  action: { kind: 'suspend' },
  reason: 'Complaints over the spring campaign',
  until: '2026-03-01T09:00:00.000Z',
};
const given = {
  ...pause,
  id: 'suspend-0a1b2c3d4e5f60718293',
  at: '2026-02-28T09:00:00.000Z',
  origin: { operator: 'AKIAEXAMPLEEXAMPLE22' },
};
const raised = {
  id: 'google.rate/limit/192.0.2.1 gmail-smtp-in.l.google.com',
  match: { ip: '192.0.2.1', site: 'gmail-smtp-in.l.google.com' },
  action: { kind: 'limit', limits: { messagesPerSecond: 0.5 } },
  reason: 'Google asks for a lower rate',
  at: '2026-02-28T09:00:00.000Z',
  until: '2026-02-28T09:30:00.000Z',
  origin: { rule: 'google.rate', reply: '421 4.7.28 Gmail has detected an unusual rate of unsolicited mail' },
  raised: 12,
};

const listDirectives = operation({
  method: 'get',
  path: '/directives',
  operationId: 'listDirectives',
  summary: 'Every order that holds mail back, moves it or slows it, from operators and from rules',
  description: "A key that is not an administrator's sees those that name its own tenant.",
  parameters: [
    ...DIMENSIONS.map((one) => query(one, `Only those that name this ${one}.`)),
    query('action', 'Only of this kind: suspend, bounce, reroute or limit.'),
    query('rule', 'Only those that this automation rule raised.'),
  ],
  answer: {
    status: 200,
    description: 'Directives in force, in the order of ids.',
    schema: Directives,
    example: { directives: [raised, given] },
  },
  handle(call) {
    const { action: kind, rule, ...rest } = call.query;
    const wanted = DIMENSIONS.filter((dimension) => rest[dimension] !== undefined);
    const directives = call.deps.control.directives
      .list()
      .filter((one) => concerns(call, one))
      .filter((one) => wanted.every((dimension) => one.match[dimension] === rest[dimension]))
      .filter((one) => kind === undefined || one.action.kind === kind)
      .filter((one) => rule === undefined || ('rule' in one.origin && one.origin.rule === rule));
    return { body: { directives: directives.map((one) => shown(call, one)) } };
  },
});

const createDirective = operation({
  method: 'post',
  path: '/directives',
  operationId: 'createDirective',
  summary: 'Suspend, bounce, reroute or limit mail',
  description:
    'In force on every node within two seconds. The same match and kind of action, given again, replaces what ' +
    'was given before. Of several that hold for a delivery, what stops the mail is over what moves it, that over ' +
    "what closes an IP or a pool to it; an administrator's order is over a tenant's, that over a rule's; then the " +
    'one that names more, then suspend over bounce. The least of all limits holds beside them. A key that is not ' +
    "an administrator's names its own tenant, and cannot reroute.",
  request: { schema: DirectiveRequest, required: true, examples: { pause } },
  answer: { status: 201, description: 'In force.', schema: Directive, example: given },
  async handle(call) {
    const { caller, deps } = call;
    const { until, all, ...order } = call.body;
    requireOwn(call, order);
    requireScope(order.match, all);
    requirePool(call, order);
    const origin = caller.admin
      ? { operator: caller.keyId }
      : { operator: caller.keyId, tenant: caller.tenant };
    const end = until === undefined ? undefined : Date.parse(until);
    const directive = await deps.control.directives.order({ ...order, until: end }, origin);
    deps.log.info('directive.ordered', { id: directive.id, key: caller.keyId, reason: directive.reason });
    // What is to bounce or to go by another pool is made due: the directive acts on it now, not at its next attempt.
    const acts = order.action.kind === 'bounce' || order.action.kind === 'reroute';
    const waiting = await waitingMail(call, directive.match, acts);
    return { body: { ...shown(call, directive), waiting } };
  },
});

const removeDirective = operation({
  method: 'delete',
  path: '/directives/{id}',
  operationId: 'removeDirective',
  summary: 'End a directive now',
  description: "A key that is not an administrator's ends what keys of its own tenant ordered, and no other.",
  parameters: [label('id', 'Id of the directive.')],
  answer: { status: 204, description: 'Over, on every node within two seconds.' },
  async handle(call) {
    const { caller, deps } = call;
    const id = call.params.id!;
    const directive = deps.control.directives.find(id);
    if (directive === undefined || !concerns(call, directive)) throw missing(id);
    if (!caller.admin && !('operator' in directive.origin && directive.origin.tenant === caller.tenant)) {
      throw new PosternError(
        'access_denied',
        `The key ${caller.keyId} may not end what keys of its tenant did not order: that needs an administrator's key.`,
      );
    }
    if (!(await deps.control.directives.remove(id))) throw missing(id);
    deps.log.info('directive.removed', { id, key: caller.keyId });
    return {};
  },
});

export const DIRECTIVES = [listDirectives, createDirective, removeDirective];

/** @throws `access_denied` when a tenant would order more than its own mail, or send by another's IPs. */
function requireOwn(call: ApiCall, order: Pick<DirectiveRequest, 'match' | 'action'>): void {
  const { caller } = call;
  requireOwnMail(call, order.match);
  if (caller.admin || order.action.kind !== 'reroute') return;
  throw new PosternError(
    'access_denied',
    `The key ${caller.keyId} may not reroute mail: that needs an administrator's key.`,
  );
}

/** @throws `bad_request` for a pool that does not exist: mail that is sent on to it would wait there. */
function requirePool({ deps }: ApiCall, order: Pick<DirectiveRequest, 'match' | 'action'>): void {
  const { kind, pool } = order.action;
  if (kind !== 'reroute' || pool === undefined || pool === DEFAULT_POOL || pool === order.match.pool) return;
  const { pools } = new IpInventory(deps.control.documents, deps.installed);
  if (pools.includes(pool)) return;
  const known = [DEFAULT_POOL, ...pools.filter((one) => one !== DEFAULT_POOL)].join(', ');
  throw new PosternError('bad_request', `action.pool: there is no pool "${pool}"; there are ${known}.`);
}

/** Whether the caller may see a directive. */
function concerns({ caller }: ApiCall, order: Order): boolean {
  return caller.admin || order.match.tenant === caller.tenant;
}

function missing(id: string): PosternError {
  return new PosternError('not_found', `There is no directive ${JSON.stringify(id.slice(0, 255))}.`);
}

function shown({ caller }: ApiCall, directive: StoredDirective) {
  const { id, at, until, origin, raised: times } = directive;
  const foreign = !caller.admin && 'operator' in origin && origin.tenant !== caller.tenant;
  return {
    id,
    match: directive.match,
    action: directive.action,
    reason: directive.reason,
    at: iso(at),
    until: iso(until),
    origin: foreign ? { operator: 'administrator' } : origin,
    raised: times,
  };
}
