/** JSON values of what operators do while Postern runs: directives, configuration documents, the policy. */

import { DIRECTIVE_ACTIONS } from '../directives/check.ts';
import { DIMENSIONS } from '../directives/directive.ts';
import { SIGNALS } from '../warmup/verdict.ts';
import type { Schema } from './schema.ts';
import { flag, integer, list, name, object, ref, text, time } from './schema-words.ts';

const positive = (description: string): Schema => ({ type: 'number', minimum: 0, description });

const MEANINGS: Record<(typeof DIMENSIONS)[number], string> = {
  tenant: 'Tenant that sends.',
  campaign: 'Campaign, as named by the sender.',
  domain: 'Domain of the recipient.',
  provider: 'Mailbox provider behind the MX hosts, as `google`.',
  pool: 'Pool that the mail is sent from.',
  ip: 'Source address.',
  site: 'Set of MX hosts, as named in the reasons of messages.',
};

const match = object(
  Object.fromEntries(
    DIMENSIONS.map((one) => [
      one,
      { type: 'string', minLength: 1, maxLength: 255, description: MEANINGS[one] } as const,
    ]),
  ),
  [],
  'Mail that agrees in every member that is given; all mail when none is.',
);

const action = object(
  {
    kind: { type: 'string', enum: DIRECTIVE_ACTIONS },
    pool: name('For `reroute`: the pool that it goes by instead.'),
    limits: object(
      {
        connections: integer('Open at once, from an IP to a site.'),
        connectionsPerMinute: positive('Begun, from an IP to a site.'),
        messagesPerSecond: positive('From an IP to a site.'),
        messagesPerConnection: integer('Then the connection is closed.'),
      },
      [],
      'For `limit`: upper bounds over whatever limits else hold.',
    ),
  },
  ['kind'],
  'suspend: mail waits. bounce: mail ends as bounced. reroute: it goes by another pool. limit: it goes slower.',
);

const reason = { type: 'string', minLength: 1, maxLength: 255, description: 'Why, for a person.' } as const;

const version = {
  kind: text(),
  name: text(),
  version: integer('Grows by one with each change; also the ETag.'),
  at: time('When it was stored.'),
  by: text('Access key that stored it.'),
  removed: flag('The document was removed with this version.'),
};
const versioned = ['kind', 'name', 'version', 'at', 'by', 'removed'];
const value: Schema = { type: 'object', additionalProperties: true, description: 'The document.' };

const happened = object({ at: time('When.'), message: text('What.') }, ['at', 'message']);

const limitLine = object(
  {
    limit: text('Name of the limit; `of tenant=…` when it is counted for some mail alone.'),
    value: text('Its effective value.'),
    origin: text('The rule that set it; `learnt` for what replies and faults have shown.'),
    used: text('How far it is used.'),
    waitMs: integer('For so long it lets no further message go.'),
  },
  ['limit', 'value', 'origin'],
);

const warmingProvider = object(
  {
    provider: text('Mailbox provider.'),
    warm: flag('Only the limits of the provider hold.'),
    day: integer('Day of its schedule, from 1.'),
    days: integer('Days that the schedule has.'),
    budget: integer('Messages a day; absent when it is warm.'),
    sent: integer('Messages of today, at most: what may have been sent counts.'),
    counts: object(
      Object.fromEntries(SIGNALS.map((signal) => [signal, integer('Messages of today.')])),
      [...SIGNALS],
      'What became of messages, as far as it says something about the address.',
    ),
    steppedBack: flag('It went back a step today.'),
    cause: text('Why it was last held or stepped back.'),
  },
  ['provider', 'warm', 'day', 'days', 'sent', 'counts', 'steppedBack'],
);

export const OPERATE_SCHEMAS: Record<string, Schema> = {
  Warmup: object(
    {
      ips: list(
        object(
          {
            ip: text('Source address.'),
            pools: list(text(), 'Pools that list it.'),
            warm: flag('At every provider.'),
            percentage: integer('Of its schedule, the mean over the providers.'),
            providers: list(warmingProvider, 'Those that had mail from it.'),
            problem: text('Why its state cannot be read; nothing is sent from it.'),
          },
          ['ip', 'pools', 'warm', 'percentage', 'providers'],
        ),
      ),
    },
    ['ips'],
  ),
  Explanations: object(
    {
      explanations: list(
        object(
          {
            recipient: text('Of a message: whose delivery.'),
            site: text('Set of MX hosts.'),
            provider: text('Mailbox provider behind it.'),
            ip: text("Source address; absent: the host's default."),
            waiting: integer('Deliveries in hand here that wait for a connection.'),
            nextAt: time('When the next message may go, as things stand.'),
            binding: limitLine,
            limits: list(limitLine),
          },
          ['site', 'provider', 'waiting', 'nextAt', 'limits'],
        ),
      ),
    },
    ['explanations'],
  ),
  DirectiveRequest: object(
    { match, action, reason, until: time('When it ends by itself; absent: it is removed by hand.') },
    ['match', 'action', 'reason'],
  ),
  Directive: object(
    {
      id: text(),
      match,
      action,
      reason,
      at: time('When it was first given.'),
      until: time('When it ends.'),
      origin: object(
        {
          rule: text('Automation rule that raised it.'),
          reply: text('The reply that made the rule do so.'),
          operator: text(
            "Access key that gave it, or `administrator` where that is not the caller's to know.",
          ),
          tenant: text("Tenant of that key, when it is not an administrator's."),
        },
        [],
      ),
      raised: integer('How often its rule raised it.'),
    },
    ['id', 'match', 'action', 'reason', 'at', 'origin'],
  ),
  Directives: object({ directives: list(ref('Directive')) }, ['directives']),
  ConfigValue: value,
  ConfigDocument: object(
    {
      ...version,
      value,
      problems: list(text(), 'It is stored, but not in force: the version before goes on running.'),
    },
    versioned,
  ),
  ConfigDocuments: object({ documents: list(object(version, versioned)) }, ['documents']),
  ConfigHistory: object({ versions: list(object({ ...version, value }, versioned), 'Newest first.') }, [
    'versions',
  ]),
  RollBackRequest: object(
    { version: { type: 'integer', minimum: 1, description: 'Version to restore; absent: the one before.' } },
    [],
  ),
  PolicyState: object(
    {
      file: text('The file that is watched, or that was deployed; absent: this process has none.'),
      loadedAt: time('When the policy that runs was loaded; absent: none runs.'),
      loads: integer('Policies that have run since the start.'),
      refused: object(
        { at: time('When.'), message: text('Why.') },
        ['at', 'message'],
        'What was saved last is refused; the policy before it goes on running.',
      ),
      disabled: text('Why the whole policy is not asked any more.'),
      restarts: integer('How often its thread had to be stopped or died.'),
      skipped: integer(
        'Calls that were not made because too many waited, or not waited for; mail went on without.',
      ),
      hooks: list(
        object(
          {
            name: text(),
            calls: integer('Calls that ended.'),
            reused: integer('Calls that were answered from memory.'),
            failures: integer('Calls that threw, or answered what is no answer or cannot be done.'),
            overruns: integer('Calls that took more than their time.'),
            meanMicroseconds: positive('Of a call.'),
            disabled: text('Why it is not called any more, until the file is saved again.'),
            lastFailure: happened,
          },
          ['name', 'calls', 'reused', 'failures', 'overruns', 'meanMicroseconds'],
        ),
      ),
    },
    ['loads', 'restarts', 'skipped', 'hooks'],
  ),
};
