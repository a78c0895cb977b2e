/** Operations for operators: directives, configuration documents, the policy. */
import { DIMENSIONS } from '../directives/directive.ts';
import type { Operation } from './openapi.ts';

type Parameter = NonNullable<Operation['parameters']>[number];

const string = { type: 'string' } as const;
const query = (name: string, description: string): Parameter => ({
  name,
  in: 'query',
  description,
  schema: string,
});
const path = (name: string, description: string): Parameter => ({
  name,
  in: 'path',
  required: true,
  description,
  schema: string,
});
const kind = path('kind', 'Kind of document.');
const name = path('name', 'Name of the document.');
const ifMatch: Parameter = {
  name: 'If-Match',
  in: 'header',
  description:
    'The version that must be current, as `"3"`; `"0"`: it must not exist yet. When it is another, 409, and nothing is changed.',
  schema: string,
};

const directive = {
  match: { tenant: 'shop', provider: 'google' },
  action: { kind: 'suspend' },
  reason: 'Complaints over the spring campaign',
  until: '2026-03-01T09:00:00.000Z',
};
const given = {
  ...directive,
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
const version = {
  kind: 'automation',
  name: 'default',
  version: 3,
  at: '2026-01-01T00:00:00.000Z',
  by: 'AKIAEXAMPLEEXAMPLE22',
  removed: false,
};
const messageRate = {
  limit: 'messageRate',
  value: '100/s',
  origin: 'built-in.default',
  waitMs: 8,
};
const explanation = {
  site: '(alt1.gmail-smtp-in,gmail-smtp-in).l.google.com',
  provider: 'google',
  ip: '192.0.2.1',
  waiting: 12,
  nextAt: '2026-01-01T00:00:00.008Z',
  binding: messageRate,
  limits: [
    { limit: 'connections', value: '10', origin: 'built-in.default', used: '3 of 10 open' },
    messageRate,
    { limit: 'tls', value: 'required', origin: 'built-in.providers.google' },
  ],
};
const warming = {
  ip: '192.0.2.1',
  pools: ['news'],
  warm: false,
  percentage: 14,
  providers: [
    {
      provider: 'google',
      warm: false,
      day: 8,
      days: 49,
      budget: 200,
      sent: 120,
      counts: { delivered: 117, bounced: 1, complained: 0, deferred: 2, blocked: 0 },
      steppedBack: false,
      cause: '2.4 % bounced',
    },
  ],
};
const value = { off: ['google.rate'] };

export const OPERATE_PATHS: Readonly<
  Record<string, Partial<Record<'get' | 'post' | 'put' | 'delete', Operation>>>
> = {
  '/directives': {
    get: {
      operationId: 'listDirectives',
      summary: 'What holds mail back, moves it or slows it, whoever ordered it',
      description: "A key that is not an administrator's sees those that name its own tenant.",
      parameters: [
        ...DIMENSIONS.map((one) => query(one, `Only those that name this ${one}.`)),
        query('action', 'Only of this kind: suspend, bounce, reroute or limit.'),
        query('rule', 'Only those that this automation rule raised.'),
      ],
      answer: {
        status: 200,
        description: 'Directives in force, in the order of ids.',
        schema: 'Directives',
        example: { directives: [raised, given] },
      },
    },
    post: {
      operationId: 'createDirective',
      summary: 'Suspend, bounce, reroute or limit mail',
      description:
        'In force on every node within two seconds. The same match and kind of action, given again, replaces what ' +
        'was given before. Of several that hold for a delivery, what stops the mail is over what moves it, that over ' +
        "what closes an IP or a pool to it; an administrator's order is over a tenant's, that over a rule's; then the " +
        'one that names more, then suspend over bounce. The least of all limits holds beside them. A key that is not ' +
        "an administrator's names its own tenant, and cannot reroute.",
      request: { schema: 'DirectiveRequest', required: true, examples: { pause: directive } },
      answer: { status: 201, description: 'In force.', schema: 'Directive', example: given },
    },
  },
  '/directives/{id}': {
    delete: {
      operationId: 'removeDirective',
      summary: 'End a directive now',
      description:
        "A key that is not an administrator's ends what keys of its own tenant ordered, and no other.",
      parameters: [path('id', 'Id of the directive.')],
      answer: { status: 204, description: 'Over, on every node within two seconds.' },
    },
  },
  '/shaping/explain': {
    get: {
      operationId: 'explainShaping',
      summary: 'Why mail waits: every limit, the rule that set it, and the one that is binding now',
      description:
        'For a message, for mail to a domain, or for a site, from each source address of the node that answers. ' +
        "A key that is not an administrator's asks about its own tenant's mail.",
      parameters: [
        query('message', 'Message id: its deliveries that are not over.'),
        query('domain', 'Recipient domain.'),
        query('site', 'Set of MX hosts, as named in the reasons of messages.'),
        query('ip', 'Only from this source address.'),
        query('pool', 'As for mail of this pool.'),
        query('tenant', 'As for mail of this tenant.'),
        query('campaign', 'As for mail of this campaign.'),
        query('class', 'As for mail of this class: transactional or bulk.'),
      ],
      answer: {
        status: 200,
        description: 'One explanation for each source address, and of a message for each of its deliveries.',
        schema: 'Explanations',
        example: { explanations: [explanation] },
      },
    },
  },
  '/warmup': {
    get: {
      operationId: 'listWarmup',
      summary: "Where the warm-up of each source address stands (administrator's key)",
      description:
        'As of storage, which follows the node that sends within five seconds. Plans are the configuration document ' +
        '`warmup`. An address without a plan is warm.',
      parameters: [query('ip', 'Only this address.')],
      answer: {
        status: 200,
        description: 'Every address that is known here.',
        schema: 'Warmup',
        example: { ips: [warming] },
      },
    },
  },
  '/config/{kind}': {
    get: {
      operationId: 'listDocuments',
      summary: "List configuration documents of a kind (administrator's key)",
      parameters: [kind],
      answer: {
        status: 200,
        description: 'The latest version of each.',
        schema: 'ConfigDocuments',
        example: { documents: [version] },
      },
    },
  },
  '/config/{kind}/{name}': {
    get: {
      operationId: 'getDocument',
      summary: "A configuration document (administrator's key)",
      parameters: [kind, name],
      answer: {
        status: 200,
        description: 'Its latest version.',
        schema: 'ConfigDocument',
        example: { ...version, value },
      },
    },
    put: {
      operationId: 'putDocument',
      summary: "Change a configuration document while Postern runs (administrator's key)",
      description:
        'Checked as a whole before anything changes: what is wrong is told with its path, and what ran goes on running.',
      parameters: [kind, name, ifMatch],
      request: { schema: 'ConfigValue', required: true, examples: { rules: value } },
      answer: {
        status: 200,
        description: 'In force here, and everywhere within about a second.',
        schema: 'ConfigDocument',
        example: { ...version, value },
      },
    },
    delete: {
      operationId: 'removeDocument',
      summary: "Remove a configuration document (administrator's key)",
      description: 'Removing it is a version too, and can be rolled back.',
      parameters: [kind, name, ifMatch],
      answer: {
        status: 200,
        description: 'The version that says so.',
        schema: 'ConfigDocument',
        example: { ...version, removed: true },
      },
    },
  },
  '/config/{kind}/{name}/history': {
    get: {
      operationId: 'documentHistory',
      summary: "The last versions of a configuration document (administrator's key)",
      parameters: [kind, name],
      answer: {
        status: 200,
        description: 'The current version and up to fifty before it.',
        schema: 'ConfigHistory',
        example: { versions: [{ ...version, value }] },
      },
    },
  },
  '/config/{kind}/{name}/rollback': {
    post: {
      operationId: 'rollBackDocument',
      summary: "Bring an earlier version back (administrator's key)",
      description: 'It becomes the newest version, checked as any other.',
      parameters: [kind, name, ifMatch],
      request: {
        schema: 'RollBackRequest',
        required: false,
        examples: { before: {}, named: { version: 2 } },
      },
      answer: {
        status: 200,
        description: 'In force.',
        schema: 'ConfigDocument',
        example: { ...version, version: 4, value },
      },
    },
  },
  '/policy': {
    get: {
      operationId: 'getPolicy',
      summary: "How the policy in TypeScript fares (administrator's key)",
      answer: {
        status: 200,
        description: 'What runs, what was refused, and what each hook does.',
        schema: 'PolicyState',
        example: {
          file: 'postern.policy.ts',
          loadedAt: '2026-01-01T00:00:00.000Z',
          loads: 1,
          restarts: 0,
          skipped: 0,
          hooks: [
            { name: 'onRoute', calls: 12, reused: 480, failures: 0, overruns: 0, meanMicroseconds: 3.4 },
          ],
        },
      },
    },
  },
};
