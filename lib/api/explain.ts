/** Why mail waits, over the API. */
import { FINAL_STATES } from '../engine/states.ts';
import { PosternError } from '../errors.ts';
import { canonicalDomain } from '../mail/domain.ts';
import type { ExplainQuery, LimitLine, MailExplanation } from '../shaping/explain.ts';
import { recordOf } from './messages.ts';
import { type Call, type Handler, iso } from './operation.ts';

/** Deliveries of one message that are explained; the rest of a large one wait for the same. */
const MAX_DELIVERIES = 20;

export const explainShaping: Handler = async (call) => {
  const { explain } = call.deps;
  if (explain === undefined) {
    throw new PosternError(
      'unsupported_operation',
      'This process sends no mail, so it cannot say why mail waits. Ask the egress node that holds the source address.',
    );
  }
  const explanations =
    call.query.message === undefined
      ? (await explain(queryOf(call))).map((one) => shown(one))
      : await ofMessage({ ...call, params: { id: call.query.message } }, explain);
  return { status: 200, body: { explanations } };
};

async function ofMessage(call: Call, explain: NonNullable<Call['deps']['explain']>): Promise<object[]> {
  const record = await recordOf(call);
  const { tenant, pool, campaign, class: messageClass } = record;
  const deliveries = await call.deps.engine.records.deliveries(record.id);
  const waiting = deliveries.filter(({ state }) => !FINAL_STATES.has(state)).slice(0, MAX_DELIVERIES);
  const found = await Promise.all(
    waiting.map(async ({ recipient }) => {
      const domain = domainOf(recipient.slice(recipient.lastIndexOf('@') + 1), 'recipient');
      const query = {
        domain,
        ip: call.query.ip,
        tenant,
        pool,
        campaign,
        class: messageClass,
      };
      return (await explain(query)).map((one) => shown(one, recipient));
    }),
  );
  return found.flat();
}

/** @throws `bad_request`, and `access_denied` for another tenant's mail. */
function queryOf({ query, caller }: Call): ExplainQuery {
  const { domain, site, ip, pool, campaign, tenant = caller.tenant, class: messageClass } = query;
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

function shown(
  { lines, binding, nextAt, site, provider, ip, waiting }: MailExplanation,
  recipient?: string,
): object {
  return {
    recipient,
    site,
    provider,
    ip,
    waiting,
    nextAt: iso(nextAt),
    binding: binding && shownLine(binding),
    limits: lines.map(shownLine),
  };
}

function shownLine({ wait, ...line }: LimitLine): object {
  return { ...line, waitMs: wait === undefined ? undefined : Math.ceil(wait) };
}
