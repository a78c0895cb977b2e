/**
 * Events for receivers that fetch them: a page behind a cursor, or a stream of server-sent events (WHATWG HTML §9.2).
 */
import * as z from 'zod/mini';
import { EVENT_TYPE_NAMES, type EventType } from '../control/event-destination.ts';
import { PosternError } from '../errors.ts';
import { eventTypeOf } from '../events/destination.ts';
import type { EventFilter, EventPull, PulledEvent } from '../events/pull.ts';
import { headerOf } from '../http/raw-request.ts';
import { authenticate } from './authenticate.ts';
import { openStream } from './event-stream.ts';
import { type ApiCall, iso, operation, query } from './operation.ts';
import { refuseQuery, sizeOf, tenantOf, timeOf } from './query.ts';
import { about, anyObject, flag, named, text, time } from './schema.ts';

const PAGE = 100;
const MAX_PAGE = 500;
const MAX_TEXT = 512;

const PulledEvents = named(
  'PulledEvents',
  z.strictObject({
    events: z
      .array(
        z.strictObject({
          cursor: text('`after` of what follows this event.'),
          id: text('Stable: the same event has it wherever it is sent.'),
          type: z.enum(EVENT_TYPE_NAMES),
          at: time('When it happened.'),
          tenant: text(),
          configurationSet: z.optional(text()),
          messageId: text(),
          event: anyObject('As Amazon SES publishes it.'),
        }),
      )
      .check(about('Oldest first.')),
    cursor: text('`after` of the next call: everything up to here was looked at.'),
    more: flag('Whether there was more behind the cursor. A call looks at a bounded number of outcomes.'),
  }),
);

const ID = '010001a2b3c4d5e6-0f8fad5b-d9cb-469f-a165-70867728950e-000000';
const example = {
  events: [
    {
      cursor: '4711',
      id: '010001a2b3c4d6f1-5e0c4f63-0d56-4f2e-9c6a-3f1f8f0f8a11-000000',
      type: 'SEND',
      at: '2026-01-01T00:00:00.000Z',
      tenant: 'default',
      messageId: ID,
      event: { eventType: 'Send', mail: { messageId: ID }, send: {} },
    },
  ],
  cursor: '4711',
  more: false,
};

const listEvents = operation({
  method: 'get',
  path: '/events',
  operationId: 'listEvents',
  summary: 'Events behind a cursor, or a stream of them',
  description:
    'Begin without `after`, then pass the `cursor` of each answer, as soon as the one before has `more`, else after ' +
    'a pause. With `Accept: text/event-stream` events come as they happen, from now on or behind `Last-Event-ID`.',
  parameters: [
    query('after', 'Cursor of an answer or an event; `latest`: only what happens from now on.'),
    query('type', `Only of these types, with commas between: ${EVENT_TYPE_NAMES.join(', ')}.`),
    query('tenant', "Only of this tenant. A key that is not an administrator's sees its own tenant."),
    query('tag', 'Only of messages with this tag, as `campaign=spring`.'),
    query('recipient', 'Only about this address.'),
    query('message', 'Only of the message with this id.'),
    query('from', 'Only what happened at this time or later.'),
    query('to', 'Only what happened before this time.'),
    query('max', 'Maximum events returned: 1 to 500, else 100.'),
  ],
  answer: {
    status: 200,
    description: 'Events, oldest first.',
    schema: PulledEvents,
    example,
    stream: 'One event each: `id` is its cursor, `event` its type, `data` as in `events`.',
  },
  async handle(call) {
    const pull = pullOf(call);
    const filter = filterOf(call);
    const accept = headerOf(call.head, 'accept') ?? '';
    if (/\btext\/event-stream\b/i.test(accept)) return { stream: await streamOf(call, pull, filter) };
    const after = call.query.after === 'latest' ? await pull.end() : call.query.after;
    const { events, cursor, more } = await pull.page(filter, after, sizeOf(call.query.max, PAGE, MAX_PAGE));
    return { body: { events: events.map(shown), cursor, more } };
  },
});

export const EVENTS = [listEvents];

async function streamOf(call: ApiCall, pull: EventPull, filter: EventFilter) {
  const { head, deps, caller } = call;
  if (!pull.beyond) {
    throw new PosternError(
      'unsupported_operation',
      'This installation streams no events, because its functions live for one call. ' +
        'Ask without Accept: text/event-stream, and again with the cursor of each answer.',
    );
  }
  const given = headerOf(head, 'last-event-id') || call.query.after;
  return openStream({
    pull: pull as Required<EventPull>,
    filter,
    after: given === undefined || given === 'latest' ? await pull.end() : given,
    show: (event) => ({ type: eventTypeOf(event.message.event), data: JSON.stringify(shown(event)) }),
    owner: caller.keyId,
    // A key that was revoked, or now belongs elsewhere, ends its streams.
    holds: async () => {
      const now = await authenticate(deps.control, head, deps.clock.now());
      return now.admin === caller.admin && now.tenant === caller.tenant;
    },
    clock: deps.clock,
    closing: deps.closing,
    log: deps.log,
  });
}

function pullOf({ deps }: ApiCall): EventPull {
  if (deps.pull) return deps.pull;
  throw new PosternError(
    'unsupported_operation',
    'This installation keeps no index of events. Send them to an event destination.',
  );
}

function shown({ cursor, message }: PulledEvent): object {
  const { id, at, tenant, configurationSet, messageId, event } = message;
  return { cursor, id, type: eventTypeOf(event), at: iso(at), tenant, configurationSet, messageId, event };
}

/** @throws PosternError `bad_request`, `access_denied` */
function filterOf(call: ApiCall): EventFilter {
  const { type, tag, recipient, message, from, to } = call.query;
  for (const [name, value] of Object.entries(call.query)) {
    if (value.length > MAX_TEXT) refuseQuery(name, `has more than ${MAX_TEXT} characters`);
  }
  return {
    tenant: tenantOf(call, 'events'),
    types: type === undefined ? undefined : typesOf(type),
    tag: tag === undefined ? undefined : tagOf(tag),
    recipient,
    messageId: message,
    from: timeOf('from', from),
    to: timeOf('to', to),
  };
}

function typesOf(text: string): EventType[] {
  const types = text.split(',');
  for (const one of types) {
    if (!(EVENT_TYPE_NAMES as string[]).includes(one)) {
      refuseQuery('type', `must be of ${EVENT_TYPE_NAMES.join(', ')}, with commas between`);
    }
  }
  return types as EventType[];
}

function tagOf(text: string): { name: string; value: string } {
  const at = text.indexOf('=');
  if (at < 1) refuseQuery('tag', 'is written name=value');
  return { name: text.slice(0, at), value: text.slice(at + 1) };
}
