/** Decisions before the message is composed: sender, configuration set, recipients, pool and time. */
import type { EventDestination } from '../control/event-destination.ts';
import { mailFromDomainOf } from '../control/mail-from.ts';
import { type LimitedSubject, leastOf } from '../control/sending-limits.ts';
import type { ConfigurationSet, Identity } from '../control/types.ts';
import { ACCOUNT_TENANT } from '../engine/suppression.ts';
import { PosternError } from '../errors.ts';
import { parseAddress, parseEnvelopeAddress, parseEnvelopeSender } from '../mail/address.ts';
import { newMessageId, qualifiedId } from '../mail/message-id.ts';
import type { Address } from '../mail/types.ts';
import { DAY } from '../time.ts';
import type { TrackingTargets } from '../tracking/tracking.ts';
import { openRaw, otherSendersOf, type RawContent, senderOf } from './content.ts';
import type { AcceptDeps } from './deps.ts';
import { recipientsOf } from './envelope.ts';
import type { KnownSender, KnownSenders } from './known-senders.ts';
import { actionsOf, contextOf } from './permission.ts';
import type { Prepared } from './records.ts';
import { configurationSetOf, identityOf, requireSending, type Sender, tenantOf } from './sender.ts';
import { trackingTargets } from './tracking.ts';
import type { Submission, SubmitOptions } from './types.ts';
import { unsubscribeBase as baseOf } from './unsubscribe.ts';

/** SES: recipients of one message, To, Cc and Bcc together. */
const SES_RECIPIENTS = 50;
/** Form of a campaign name. */
const CAMPAIGN = /^[A-Za-z0-9_-]{1,64}$/;

type CheckDeps = Pick<AcceptDeps, 'control' | 'policy' | 'tracking' | 'clock' | 'region' | 'accountId'> & {
  senders: KnownSenders;
};

/** A submission that may be sent. */
export interface Checked {
  submission: Submission;
  raw: RawContent | undefined;
  prepared: Prepared;
  identity: Identity;
  known: KnownSender;
  /** Base URL of the link by which the reader unsubscribes; absent: the message has none. */
  unsubscribeBase?: string;
  /** Absent: opens and clicks are not tracked. */
  tracking?: TrackingTargets;
  /** Who limits how much is sent. */
  limited: readonly LimitedSubject[];
  /** Event destinations that take events of this mail. */
  takers: readonly EventDestination[];
}

/**
 * Checks whether a submission may be sent, and prepares all parts that do not depend on its composed bytes.
 * @param uuid of its id.
 * @throws PosternError that refuses it: its sender, its configuration set, its recipients, its pool or its time.
 */
export async function check(
  deps: CheckDeps,
  submission: Submission,
  options: SubmitOptions,
  uuid?: string,
): Promise<Checked> {
  const { control, policy } = deps;
  const now = deps.clock.now();
  const raw = rawOf(submission);
  const tenant = tenantOf(
    raw?.tenant && !submission.tenant ? { ...submission, tenant: raw.tenant } : submission,
    options.caller,
  );
  const known = deps.senders.of(tenant, options.caller.keyId, now);
  // What is at hand is not waited for: each turn of promises costs, and a message would take a dozen.
  const start = known.ground();
  const ground = start instanceof Promise ? await start : start;
  requireSending(control, tenant, ground);
  const from = submission.from !== undefined || !raw ? senderOf(submission) : raw.from;
  const { limited } = ground;
  const most = Math.min(
    policy.maxRecipients,
    leastOf(limited, 'recipients') ?? Number.POSITIVE_INFINITY,
    options.door === 'smtp' || options.door === 'postern' ? Number.POSITIVE_INFINITY : SES_RECIPIENTS,
  );
  const recipients = recipientsOf(submission, most, raw?.recipients ?? []);
  const arns = { ...raw?.arns, ...submission.arns };
  const sender: Sender = {
    tenant,
    caller: options.caller,
    actions: actionsOf(submission, options),
    context: () => contextOf({ submission, raw, from: raw?.from ?? from, recipients, tenant, now, options }),
    known,
  };
  const own = identityOf(deps, from, sender, arns.source);
  const identity = own instanceof Promise ? await own : own;
  // Readers see the header From, so it needs an identity too when the envelope names another.
  if (raw && (raw.from.address !== from.address || arns.from !== undefined))
    await identityOf(deps, raw.from, sender, arns.from);
  for (const other of otherSendersOf(submission, raw)) await identityOf(deps, other, sender);
  if (submission.mailFrom) {
    const used = identityOf(deps, parseEnvelopeSender(submission.mailFrom), sender);
    if (used instanceof Promise) await used;
  }
  const header = raw?.from ?? from;
  const mailFromDomain = mailFromDomainOf(identity);
  const named = submission.configurationSet ?? raw?.configurationSet;
  const usedSet = configurationSetOf(deps, named, identity, sender, ground);
  const set = usedSet instanceof Promise ? await usedSet : usedSet;
  const tracking = trackingTargets(set, submission.tracking, deps.tracking.url);
  const feedbackTo = feedbackTarget(submission, raw, header, policy.forwardsFeedback);
  if (feedbackTo && (submission.feedbackTo || arns.returnPath !== undefined))
    await identityOf(deps, feedbackTo, sender, arns.returnPath);
  const unsubscribe = submission.unsubscribe ?? raw?.unsubscribe;
  const unsubscribeBase = baseOf(
    unsubscribe,
    set?.tracking?.customRedirectDomain,
    deps.tracking.url,
    recipients.length,
  );
  const pool = poolOf(submission, set, tenant, policy);
  const due = dueTime(submission.sendAt, now, policy.maxSchedule);
  const age = set?.delivery.maxDeliverySeconds ? set.delivery.maxDeliverySeconds * 1000 : policy.maxAge;
  const id = newMessageId(now, uuid);
  const tags = tagsOf(submission, raw, { set: set?.name, tenant, from: header }, options);
  const handled = known.handling(set);
  const { suppression, takers } = handled instanceof Promise ? await handled : handled;
  const prepared: Prepared = {
    id,
    tenant,
    from: header,
    source: header.address,
    returnPathDomain: mailFromDomain ?? policy.returnPathDomain(header.domain),
    recipients,
    commonHeaders: { from: [], messageId: `<${qualifiedId(id, header.domain)}>` },
    configurationSet: set?.name,
    setOwner: set?.tenant,
    tags,
    class: submission.class ?? 'transactional',
    pool,
    campaign: submission.campaign ?? campaignOf(tags),
    requireTls: set?.delivery.tlsPolicy === 'REQUIRE',
    feedbackTo: feedbackTo?.address,
    nullReturnPath: submission.nullReturnPath,
    unsubscribe,
    suppressedReasons: suppression.reasons,
    suppressionList: suppression.list,
    acceptedAt: now,
    due,
    expiresAt: due + age,
  };
  return { submission, raw, prepared, identity, known, tracking, unsubscribeBase, takers, limited };
}

function rawOf({ content, to, cc, bcc }: Submission): RawContent | undefined {
  if (content.kind !== 'raw') return undefined;
  return openRaw(content.bytes, to.length + cc.length + bcc.length > 0);
}

/** @throws pool_missing */
function poolOf(
  submission: Submission,
  set: ConfigurationSet | undefined,
  tenant: string,
  policy: CheckDeps['policy'],
): string {
  const pool = submission.pool ?? set?.delivery.pool ?? 'default';
  if (policy.hasPool(pool, { tenant, configurationSet: set?.name })) return pool;
  throw new PosternError(
    'pool_missing',
    `Sending pool <${pool}> does not exist. Name a pool of this service, or none.`,
  );
}

/**
 * Where feedback is forwarded, if not to the From: the first of what the call, the Return-Path field and MAIL FROM name.
 * @throws bad_request where it is asked for and nothing is forwarded.
 */
function feedbackTarget(
  { feedbackTo, mailFrom }: Submission,
  raw: RawContent | undefined,
  from: Address,
  forwards: boolean,
): Address | undefined {
  const named = feedbackTo ? parseAddress(feedbackTo) : raw?.returnPath;
  const target = named ?? (mailFrom ? parseEnvelopeAddress(mailFrom) : undefined);
  if (!target || target.address === from.address) return undefined;
  if (forwards) return target;
  if (!named) return undefined;
  throw new PosternError(
    'bad_request',
    'Bounces and complaints are not forwarded by mail by this service (FeedbackForwardingEmailAddress, Return-Path): make an event destination for them.',
  );
}

/** When a delivery may first be tried. @throws bad_request when it is further ahead than allowed. */
function dueTime(sendAt: number | undefined, now: number, limit: number): number {
  if (sendAt === undefined || sendAt <= now) return now;
  if (sendAt - now > limit) {
    throw new PosternError('bad_request', `sendAt is more than ${Math.floor(limit / DAY)} days ahead.`);
  }
  return sendAt;
}

/** The campaign of a message from SES or SMTP, where only a tag can name it. Longer values count as none. */
function campaignOf({ campaign }: Record<string, string[]>): string | undefined {
  return campaign?.find((name) => CAMPAIGN.test(name));
}

/** The operation that SES names for the message, the same for every version of its API. */
function operationOf({ content }: Submission, { door }: SubmitOptions): string {
  if (door === 'smtp') return 'SendSmtpEmail';
  if (content.kind === 'raw') return 'SendRawEmail';
  return content.kind === 'template' ? 'SendTemplatedEmail' : 'SendEmail';
}

/** Merges the message's tags with SES's automatic ones. Tags of the call replace those of the headers (SES). */
function tagsOf(
  submission: Submission,
  raw: RawContent | undefined,
  { set, tenant, from }: { set: string | undefined; tenant: string; from: Address },
  options: SubmitOptions,
): Record<string, string[]> {
  const tags: Record<string, string[]> = {
    'ses:operation': [operationOf(submission, options)],
    'ses:from-domain': [from.domain],
    'ses:source-ip': [options.caller.sourceIp],
    'ses:caller-identity': [options.caller.keyId],
  };
  if (set !== undefined) tags['ses:configuration-set'] = [set];
  if (tenant !== ACCOUNT_TENANT) tags['ses:tenant-name'] = [tenant];
  const given = submission.tags?.length ? submission.tags : (raw?.tags ?? []);
  if (given.length === 0) return tags;
  // A map, because callers choose the names: `constructor` and `__proto__` are tags like any other.
  const own = new Map<string, string[]>();
  for (const { name, value } of given) {
    const values = own.get(name) ?? (Object.hasOwn(tags, name) ? tags[name]! : []);
    own.set(name, [...values, value]);
  }
  return { ...tags, ...Object.fromEntries(own) };
}
