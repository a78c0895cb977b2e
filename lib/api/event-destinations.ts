/**
 * Event destinations: webhooks, AMQP exchanges, files and what AWS offers, for a tenant, a configuration set, or the
 * whole account. An administrator's key keeps any; another key keeps webhooks of its own tenant.
 */
import { randomBytes } from 'node:crypto';
import * as z from 'zod/mini';
import { EVENT_TYPE_NAMES, type EventDestination, type EventTarget } from '../control/event-destination.ts';
import { PosternError } from '../errors.ts';
import type { DestinationHealth } from '../events/followed.ts';
import { type ApiCall, iso, label, mayRead, operation, query } from './operation.ts';
import { about, flag, integer, map, name, named, type SchemaValue, text, time } from './schema.ts';

const type = z.enum(EVENT_TYPE_NAMES);
const types = z.array(type).check(z.minLength(1), about('Types of events, in the words of the SES API.'));

const webhook = z.strictObject({
  kind: z.literal('webhook'),
  url: text('Where each event is posted to, signed as Standard Webhooks has it.', z.maxLength(2000)),
  secret: z.optional(
    text('`whsec_` and 24 to 64 bytes in base64; absent: one is made, and shown in this answer only.'),
  ),
  headers: z.optional(map(20, text(), text(), 'Headers of each request, as an API key of the receiver.')),
});
const amqp = z.strictObject({
  kind: z.literal('amqp'),
  url: text('`amqps://user:password@host/vhost`.', z.maxLength(2000)),
  exchange: text('Exchange that events are published to.', z.maxLength(255)),
  routingKey: text('Their routing key.', z.maxLength(255)),
});
const file = z.strictObject({
  kind: z.literal('file'),
  path: text(
    'File that a line of JSON is appended to for each event; `-` for standard output.',
    z.maxLength(4096),
  ),
});
const sns = z.strictObject({ kind: z.literal('sns'), topicArn: text() });
const eventbridge = z.strictObject({ kind: z.literal('eventbridge'), busArn: text() });
const firehose = z.strictObject({ kind: z.literal('firehose'), streamArn: text(), roleArn: text() });
const cloudwatch = z.strictObject({
  kind: z.literal('cloudwatch'),
  dimensions: z.array(
    z.strictObject({
      name: text(),
      source: z.enum(['MESSAGE_TAG', 'EMAIL_HEADER', 'LINK_TAG']),
      fallback: text('Value where the message has none.'),
    }),
  ),
});
const target = z.discriminatedUnion('kind', [webhook, amqp, file, sns, eventbridge, firehose, cloudwatch]);

const EventDestinationRequest = named(
  'EventDestinationRequest',
  z.strictObject({
    name: name('Unique beside the others of the tenant or set.'),
    tenant: z.optional(
      name("Whose events; absent: the key's tenant. Needs an administrator's key where it is another."),
    ),
    allTenants: z.optional(flag("Events of every tenant; needs an administrator's key.")),
    configurationSet: z.optional(name('Only of mail sent with this configuration set.')),
    enabled: z.optional(flag('Absent: true.')),
    types,
    target,
  }),
);
const EventDestinationChange = named(
  'EventDestinationChange',
  z.strictObject({
    name: z.optional(name('Unique beside the others of the tenant or set.')),
    enabled: z.optional(flag('False: what happens meanwhile is not sent, unless a replay sends it later.')),
    types: z.optional(types),
    target: z.optional(target),
  }),
);
const health = z.strictObject({
  waiting: integer('Events that were read for it and not taken yet.'),
  taken: integer('Since the process started; on AWS, since it was made.'),
  dropped: integer('Given up after a day, or refused for good, since it was made.'),
  failures: integer('Failed tries since the last success.'),
  lastError: z.optional(text('The words of the last failure.')),
  oldest: z.optional(time('When the oldest event that waits happened.')),
  replaying: flag('Whether a replay is under way.'),
});
const Shown = named(
  'EventDestination',
  z.strictObject({
    id: text(),
    name: text(),
    tenant: z.optional(text('Absent: of every tenant.')),
    configurationSet: z.optional(text()),
    enabled: flag('Whether events are sent to it.'),
    disabledBecause: z.optional(text('Why Postern disabled it.')),
    types: z.array(type),
    target: z.looseObject({ kind: text() }),
    createdAt: time('When it was made.'),
    health: z.optional(health),
  }),
);
const EventDestinations = named('EventDestinations', z.strictObject({ eventDestinations: z.array(Shown) }));
const Attempts = named(
  'EventDestinationAttempts',
  z.strictObject({
    attempts: z.array(
      z.strictObject({
        at: time('When it was tried.'),
        eventId: text('`webhook-id` of the request.'),
        eventType: text(),
        messageId: text(),
        result: z.enum(['taken', 'retry', 'refused', 'gone']),
        text: z.optional(text('What was answered, the first kilobyte, or the fault.')),
      }),
    ),
  }),
);
const ReplayRequest = named(
  'ReplayRequest',
  z.strictObject({ from: time('The first event.'), to: z.optional(time('Before this time; absent: now.')) }),
);
const TestAnswer = named(
  'EventDestinationTest',
  z.strictObject({
    result: z.enum(['taken', 'retry', 'refused', 'gone']),
    text: z.optional(text('What was answered, or the fault.')),
  }),
);

const example = {
  id: 'ed-0123456789abcdef0123',
  name: 'crm',
  tenant: 'default',
  enabled: true,
  types: ['BOUNCE', 'COMPLAINT'],
  target: { kind: 'webhook', url: 'https://crm.example.com/postern' },
  createdAt: '2026-01-01T00:00:00.000Z',
};
const id = label('id', 'Id of the event destination.');
const PATH = '/event-destinations/{id}';

const listAll = operation({
  method: 'get',
  path: '/event-destinations',
  operationId: 'listEventDestinations',
  summary: 'Event destinations, and how each stands',
  parameters: [query('tenant', 'Only of this tenant.')],
  answer: {
    status: 200,
    description: 'Without secrets.',
    schema: EventDestinations,
    example: { eventDestinations: [example] },
  },
  async handle(call) {
    const { tenant } = call.query;
    const { admin } = call.caller;
    const all = await call.deps.control.eventDestinations.list(
      tenant ?? (admin ? undefined : call.caller.tenant),
    );
    const found = all.filter((one) => isOwn(call, one));
    return { body: { eventDestinations: await allShown(call, found) } };
  },
});

const create = operation({
  method: 'post',
  path: '/event-destinations',
  operationId: 'createEventDestination',
  summary: 'Send events somewhere',
  description:
    'Events that happen from now on. At least once each, with a stable id; those of one message in order.',
  request: {
    schema: EventDestinationRequest,
    required: true,
    examples: {
      webhook: { name: 'crm', types: example.types, target: { kind: 'webhook', url: example.target.url } },
    },
  },
  answer: { status: 201, description: 'It is in force.', schema: Shown, example },
  async handle(call) {
    requireKind(call, call.body.target.kind);
    const { allTenants = false, tenant = call.caller.tenant, enabled = true, ...given } = call.body;
    requireRight(call, allTenants ? undefined : tenant, given.target.kind);
    const made = await call.deps.control.eventDestinations.create({
      ...given,
      ...(!allTenants && { tenant }),
      enabled,
      target: targetOf(given.target),
    });
    const { target: shownTarget, ...rest } = await shown(call, made);
    return { body: { ...rest, target: made.target.kind === 'webhook' ? made.target : shownTarget } };
  },
});

const get = operation({
  method: 'get',
  path: PATH,
  operationId: 'getEventDestination',
  summary: 'One event destination, and how it stands',
  parameters: [id],
  answer: { status: 200, description: 'Without its secret.', schema: Shown, example },
  handle: async (call) => ({ body: await shown(call, await find(call)) }),
});

const change = operation({
  method: 'put',
  path: PATH,
  operationId: 'changeEventDestination',
  summary: 'Change an event destination: members that are given replace what was there',
  parameters: [id],
  request: { schema: EventDestinationChange, required: true, examples: { pause: { enabled: false } } },
  answer: { status: 200, description: 'As it is now.', schema: Shown, example },
  async handle(call) {
    const before = await find(call);
    const { target: given, ...rest } = call.body;
    if (given) {
      requireRight(call, before.tenant, given.kind);
      requireKind(call, given.kind);
    }
    const changed = await call.deps.control.eventDestinations.update(before.id, {
      ...rest,
      ...(given && { target: targetOf(given, before.target) }),
    });
    return { body: await shown(call, changed) };
  },
});

const remove = operation({
  method: 'delete',
  path: PATH,
  operationId: 'deleteEventDestination',
  summary: 'Send no more events there',
  parameters: [id],
  answer: { status: 204, description: 'It is gone, with what waited for it.' },
  async handle(call) {
    await call.deps.control.eventDestinations.delete((await find(call)).id);
    return {};
  },
});

const attempts = operation({
  method: 'get',
  path: `${PATH}/attempts`,
  operationId: 'listEventDestinationAttempts',
  summary: 'The last hundred tries, newest last',
  parameters: [id],
  answer: { status: 200, description: 'Tries.', schema: Attempts, example: { attempts: [] } },
  async handle(call) {
    const tries = await eventsOf(call).attempts((await find(call)).id);
    return { body: { attempts: tries.map(({ at, ...rest }) => ({ at: iso(at), ...rest })) } };
  },
});

const replay = operation({
  method: 'post',
  path: `${PATH}/replay`,
  operationId: 'replayEvents',
  summary: 'Send the events of a time once more',
  description: 'With the ids that they had, as far as their messages are kept.',
  parameters: [id],
  request: {
    schema: ReplayRequest,
    required: true,
    examples: { outage: { from: '2026-01-01T10:00:00Z', to: '2026-01-01T12:00:00Z' } },
  },
  answer: { status: 202, description: 'It has begun.', schema: Shown, example },
  async handle(call) {
    const destination = await find(call);
    const from = Date.parse(call.body.from);
    const to = call.body.to === undefined ? call.deps.clock.now() : Date.parse(call.body.to);
    if (to <= from) throw new PosternError('bad_request', '/to must be later than /from.');
    if (!(await eventsOf(call).replay(destination, from, to))) throw notFollowed(destination.id);
    return { body: await shown(call, destination) };
  },
});

const test = operation({
  method: 'post',
  path: `${PATH}/test`,
  operationId: 'testEventDestination',
  summary: 'Send a made-up Delivery event there, once, and answer what came of it',
  parameters: [id],
  answer: {
    status: 200,
    description: 'What the destination answered.',
    schema: TestAnswer,
    example: { result: 'taken' },
  },
  async handle(call) {
    const { kind, ...rest } = await eventsOf(call).test(await find(call));
    return { body: { result: kind, text: 'text' in rest ? rest.text : undefined } };
  },
});

export const EVENT_DESTINATIONS = [listAll, create, get, change, remove, attempts, replay, test];

function isOwn(call: ApiCall, { tenant }: EventDestination): boolean {
  return tenant === undefined ? call.caller.admin : mayRead(call, tenant);
}

/** @throws PosternError `not_found`, also for what is another tenant's. */
async function find(call: ApiCall): Promise<EventDestination> {
  const found = await call.deps.control.eventDestinations.find(call.params.id!);
  if (found && isOwn(call, found)) return found;
  throw new PosternError(
    'not_found',
    `There is no event destination ${JSON.stringify(call.params.id!.slice(0, 64))}.`,
  );
}

/** @throws PosternError `access_denied`: files, brokers and AWS are reached with the rights of the service itself. */
function requireRight({ caller }: ApiCall, tenant: string | undefined, kind: EventTarget['kind']): void {
  if (caller.admin || (tenant === caller.tenant && kind === 'webhook')) return;
  throw new PosternError(
    'access_denied',
    `The key ${caller.keyId} may send events of its own tenant to webhooks; this needs an administrator's key.`,
  );
}

function eventsOf({ deps }: ApiCall): NonNullable<ApiCall['deps']['events']> {
  if (deps.events) return deps.events;
  throw new PosternError('unsupported_operation', 'This process sends no events.');
}

/** @throws PosternError `unsupported_operation` for a kind of destination that this installation cannot send to. */
function requireKind(call: ApiCall, kind: EventTarget['kind']): void {
  const { kinds } = eventsOf(call);
  if (kinds.has(kind)) return;
  throw new PosternError(
    'unsupported_operation',
    `This installation cannot send events to a ${kind}. It sends to ${[...kinds].join(', ')}.`,
  );
}

function notFollowed(id: string): PosternError {
  return new PosternError(
    'config_conflict',
    `The event destination ${id} is not followed yet. Try again in a second.`,
  );
}

/** @param before where no secret is given, that of the same webhook stays. */
function targetOf(given: SchemaValue<typeof target>, before?: EventTarget): EventTarget {
  if (given.kind !== 'webhook') return given;
  const kept = before?.kind === 'webhook' && before.url === given.url ? before.secret : undefined;
  const secret = given.secret ?? kept ?? `whsec_${randomBytes(32).toString('base64')}`;
  return { ...given, secret };
}

async function allShown({ deps }: ApiCall, destinations: readonly EventDestination[]) {
  const states = await deps.events?.health(destinations.map(({ id }) => id));
  return destinations.map((one) => withHealth(one, states?.get(one.id)));
}

async function shown(call: ApiCall, destination: EventDestination) {
  const [one] = await allShown(call, [destination]);
  return one!;
}

function withHealth(destination: EventDestination, state: DestinationHealth | undefined) {
  const { target: whole, createdAt, ...rest } = destination;
  return {
    ...rest,
    target: withoutSecret(whole),
    createdAt: iso(createdAt),
    health: state && {
      waiting: state.held,
      taken: state.taken,
      dropped: state.dropped,
      failures: state.failures,
      lastError: state.lastError,
      oldest: iso(state.oldest),
      replaying: state.replaying,
    },
  };
}

function withoutSecret(whole: EventTarget): object {
  if (whole.kind === 'webhook') {
    const { kind, url, headers } = whole;
    return {
      kind,
      url,
      ...(headers && { headers: Object.fromEntries(Object.keys(headers).map((one) => [one, '…'])) }),
    };
  }
  if (whole.kind !== 'amqp') return whole;
  const url = new URL(whole.url);
  url.password = '';
  return { ...whole, url: url.href };
}
