/** Why mail waits: every limit, its origin, and the one that is binding. */
import * as z from 'zod/mini';
import { FINAL_STATES } from '../engine/states.ts';
import { PosternError } from '../errors.ts';
import { canonicalDomain } from '../mail/domain.ts';
import type { ExplainQuery, LimitLine, MailExplanation } from '../shaping/explain.ts';
import { recordOf } from './messages.ts';
import { type ApiCall, iso, operation, query } from './operation.ts';
import { integer, named, text, time } from './schema.ts';

/** Most deliveries of one message that are explained; the rest of a large one wait for the same. */
const MAX_DELIVERIES = 20;

const limitLine = z.strictObject({
  limit: text('Name of the limit; `of tenant=…` when it is counted for some mail alone.'),
  value: text('Its effective value.'),
  origin: text('The rule that set it; `learnt` for what replies and faults have shown.'),
  used: z.optional(text("How far it is used, by the mail of all tenants (administrator's key).")),
  waitMs: z.optional(integer('How long it lets no further message go, ms.')),
});

const Explanations = named(
  'Explanations',
  z.strictObject({
    explanations: z.array(
      z.strictObject({
        recipient: z.optional(text('Recipient of the delivery, where a message is explained.')),
        site: text('Set of MX hosts.'),
        provider: text('Mailbox provider behind it.'),
        ip: z.optional(text("Source address; absent: the host's default.")),
        waiting: z.optional(
          integer("Deliveries held by this node that wait for a connection (administrator's key)."),
        ),
        nextAt: time('When the next message may go, as things stand.'),
        binding: z.optional(limitLine),
        limits: z.array(limitLine),
      }),
    ),
  }),
);

const messageRate = { limit: 'messageRate', value: '100/s', origin: 'built-in.default', waitMs: 8 };

const explainShaping = operation({
  method: 'get',
  path: '/shaping/explain',
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
    schema: Explanations,
    example: {
      explanations: [
        {
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
        },
      ],
    },
  },
  async handle(call) {
    const { explain } = call.deps;
    if (explain === undefined) {
      throw new PosternError(
        'unsupported_operation',
        'This process sends no mail, so it cannot say why mail waits. Ask the egress node that holds the source address.',
      );
    }
    const { message } = call.query;
    const explanations =
      message === undefined
        ? (await explain(queryOf(call))).map((one) => shown(call, one))
        : await ofMessage(call, message, explain);
    return { body: { explanations } };
  },
});

export const EXPLAIN = [explainShaping];

type Explain = NonNullable<ApiCall['deps']['explain']>;

async function ofMessage(call: ApiCall, id: string, explain: Explain): Promise<object[]> {
  const record = await recordOf(call, id);
  const { tenant, pool, campaign, class: messageClass } = record;
  const deliveries = await call.deps.engine.records.deliveries(record.id);
  const waiting = deliveries.filter(({ state }) => !FINAL_STATES.has(state)).slice(0, MAX_DELIVERIES);
  const found = await Promise.all(
    waiting.map(async ({ recipient }) => {
      const domain = domainOf(recipient.slice(recipient.lastIndexOf('@') + 1), 'recipient');
      const asked = {
        domain,
        ip: call.query.ip,
        tenant,
        pool,
        campaign,
        class: messageClass,
      };
      return (await explain(asked)).map((one) => shown(call, one, recipient));
    }),
  );
  return found.flat();
}

/** @throws `bad_request`, and `access_denied` for another tenant's mail. */
function queryOf({ query: asked, caller }: ApiCall): ExplainQuery {
  const { domain, site, ip, pool, campaign, tenant = caller.tenant, class: messageClass } = asked;
  if (!caller.admin && tenant !== caller.tenant) {
    throw new PosternError(
      'access_denied',
      `The key ${caller.keyId} may ask about mail of its own tenant only.`,
    );
  }
  if ((domain === undefined) === (site === undefined)) {
    throw new PosternError('bad_request', 'Name a message, a domain or a site, and one of them only.');
  }
  if (messageClass !== undefined && messageClass !== 'transactional' && messageClass !== 'bulk') {
    throw new PosternError('bad_request', 'class is neither transactional nor bulk.');
  }
  const canonical = domain === undefined ? undefined : domainOf(domain, 'domain');
  return { domain: canonical, site, ip, pool, campaign, tenant, class: messageClass };
}

function domainOf(text: string, name: string): string {
  try {
    return canonicalDomain(text);
  } catch (error) {
    throw new PosternError('bad_request', `${name}: ${(error as Error).message}`, { cause: error });
  }
}

/** Counts of the mail of all tenants are for administrators. */
function shown({ caller }: ApiCall, explanation: MailExplanation, recipient?: string): object {
  const { lines, binding, nextAt, site, provider, ip, waiting } = explanation;
  const line = ({ wait, used, ...rest }: LimitLine): object => ({
    ...rest,
    used: caller.admin ? used : undefined,
    waitMs: wait === undefined ? undefined : Math.ceil(wait),
  });
  return {
    recipient,
    site,
    provider,
    ip,
    waiting: caller.admin ? waiting : undefined,
    nextAt: iso(nextAt),
    binding: binding && line(binding),
    limits: lines.map(line),
  };
}
