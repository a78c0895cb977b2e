/**
 * The accept pipeline, behind every door:
 *
 * ```
 * tenant → sender's identity → configuration set → recipients → policy ─┬─ content → sign ─┬─ admit → answer
 *                                                                       └─ suppressed? ────┘
 * ```
 * Everything that depends on content is done here, once. What is stored is the exact bytes that will travel.
 */
import { isAscii } from 'node:buffer';
import type { Hooks } from '../control/policy/open.ts';
import type { Control, Identity } from '../control/types.ts';
import type { Admission, Queue, Records, Suppressions } from '../engine/ports.ts';
import { asPosternError, type ErrorCode, PosternError } from '../errors.ts';
import { parseEnvelopeAddress } from '../mail/address.ts';
import { rfc5322Date } from '../mail/date.ts';
import { serialise } from '../mail/message.ts';
import { baseId, messageIdOf, newMessageId } from '../mail/message-id.ts';
import type { ReturnPaths } from '../mail/return-path.ts';
import type { Signer } from '../mail/signer.ts';
import { createTracker, type Tracker, type TrackingTargets } from '../mail/tracking.ts';
import type { TrackingLinks } from '../mail/tracking-links.ts';
import { trackMessage } from '../mail/tracking-mime.ts';
import type { Address, HeaderField, ParsedMessage } from '../mail/types.ts';
import type { Clock, Random } from '../time.ts';
import { commonHeaders, completeRaw, composeContent, openRaw, type RawContent, senderOf } from './content.ts';
import { recipientsOf } from './envelope.ts';
import { askPolicy, subjectOf } from './hook.ts';
import { admission, type ItemRules, type Origin, type Prepared, renderingFailure } from './records.ts';
import { configurationSetOf, identityOf, tenantOf } from './sender.ts';
import { type Suppressed, suppressedOf } from './suppressed.ts';
import { trackingTargets } from './tracking.ts';
import type { Accept, Submission, SubmitOptions, Submitted } from './types.ts';

/** Bounds and defaults of what is accepted. */
export interface AcceptPolicy {
  /** Bytes of a message as it travels (SES v2: 40 MB). */
  maxMessageBytes: number;
  /** Recipients of one message (SES: 50). */
  maxRecipients: number;
  /** How long a delivery is tried, in ms, unless its configuration set says otherwise. */
  maxAge: number;
  /** How far ahead `sendAt` may be, in ms. */
  maxSchedule: number;
  /** Pools that exist. */
  hasPool(name: string): boolean;
  /** Provider group of a destination domain: the last part of a lane. */
  group(domain: string): string;
  /** Domain of the return path for an identity: its own MAIL FROM domain, else that of the service. */
  returnPathDomain(identity: Identity, fromDomain: string): string;
}

export interface AcceptDeps {
  engine: {
    queue: Pick<Queue, 'admit'>;
    records: Pick<Records, 'claim'>;
    suppressions: Pick<Suppressions, 'find'>;
  };
  control: Control;
  signer: Signer;
  returnPaths: ReturnPaths;
  /** Opens and clicks. `url` is where this service is reached for them; without it, only custom domains are. */
  tracking: { links: TrackingLinks; url?: string };
  clock: Clock;
  random: Random;
  /** Named in SES's error messages. */
  region: string;
  policy: AcceptPolicy;
  /** The policy in TypeScript; absent: this process runs none. */
  hooks?: Hooks;
  /** Told of each submission: `accepted`, or the code of the error. For metrics; must not throw. */
  onResult?: (door: SubmitOptions['door'], result: 'accepted' | ErrorCode) => void;
}

/** A submission that may be sent. */
interface Checked {
  submission: Submission;
  raw: RawContent | undefined;
  prepared: Prepared;
  identity: Identity;
  /** Absent: opens and clicks are not tracked. */
  tracking?: TrackingTargets;
}

/** A message ready to be signed. */
interface Draft {
  prepared: Prepared;
  identity: Identity;
  message: ParsedMessage;
}

/** A message as it will travel. */
interface Signed {
  prepared: Prepared;
  identity: Identity;
  bytes: Buffer;
}

/** Grace after the last attempt in which a bounce may still come back (RFC 5321 §4.5.4.1: days). */
const RETURN_PATH_GRACE = 7 * 24 * 3600 * 1000;

export function createAccept(deps: AcceptDeps): Accept {
  const { control, policy, hooks, clock, random, returnPaths, signer, region } = deps;

  /** Everything that does not depend on content. Refusals are thrown. */
  function check(submission: Submission, options: SubmitOptions): Checked {
    const now = clock.now();
    const raw = submission.content.kind === 'raw' ? openRaw(submission.content.bytes) : undefined;
    const tenant = tenantOf(
      raw?.tenant && !submission.tenant ? { ...submission, tenant: raw.tenant } : submission,
      options.caller,
    );
    const from = submission.from !== undefined || !raw ? senderOf(submission) : raw.from;
    const identity = identityOf(control, from, tenant, region);
    // The header From is what a reader sees: it needs an identity too when the envelope names another.
    if (raw && raw.from.address !== from.address) identityOf(control, raw.from, tenant, region);
    if (submission.mailFrom) identityOf(control, parseEnvelopeAddress(submission.mailFrom), tenant, region);
    const set = configurationSetOf(
      control,
      submission.configurationSet ?? raw?.configurationSet,
      identity,
      tenant,
    );
    const tracking = trackingTargets(set, submission.tracking, deps.tracking.url);
    const recipients = recipientsOf(submission, policy.maxRecipients, raw?.recipients ?? []);
    const pool = submission.pool ?? set?.delivery.pool ?? 'default';
    if (!policy.hasPool(pool)) {
      throw new PosternError(
        'bad_request',
        `Sending pool <${pool}> does not exist. Name a pool of this service, or none.`,
      );
    }
    const due = dueTime(submission.sendAt, now, policy.maxSchedule);
    const age = set?.delivery.maxDeliverySeconds ? set.delivery.maxDeliverySeconds * 1000 : policy.maxAge;
    const header = raw?.from ?? from;
    const messageId = newMessageId(now, header.domain);
    const prepared: Prepared = {
      id: baseId(messageId),
      messageId,
      tenant,
      from: header,
      source: header.address,
      recipients,
      commonHeaders: { from: [], messageId: `<${messageId}>` },
      configurationSet: set?.name,
      tags: tagsOf(submission, raw, set?.name, header, options),
      class: submission.class ?? 'transactional',
      pool,
      campaign: submission.campaign,
      requireTls: set?.delivery.tlsPolicy === 'REQUIRE',
      suppressedReasons: set?.suppressedReasons ?? control.account.suppressedReasons(tenant),
      acceptedAt: now,
      due,
      expiresAt: due + age,
    };
    return { submission, raw, prepared, identity, tracking };
  }

  /** One body goes to all recipients: of several, nobody can say who opened it. */
  function trackerOf({ prepared, tracking }: Checked): Tracker | undefined {
    if (!tracking) return undefined;
    const n = prepared.recipients.length === 1 ? 0 : undefined;
    return createTracker(deps.tracking.links, { messageId: prepared.id, n }, tracking);
  }

  /** Everything up to the signature. Refusals are thrown; a rendering failure is an admission of its own. */
  function draft(checked: Checked, origin: Origin): Draft | Admission {
    const { submission, raw, prepared, identity } = checked;
    const { messageId, acceptedAt: now } = prepared;
    const tracker = trackerOf(checked);
    let message: ParsedMessage;
    if (raw) {
      const content = tracker ? trackMessage(raw.message, tracker) : raw.message;
      message = completeRaw(content, messageId, rfc5322Date(now), traceOf(submission));
    } else {
      const content = submission.content as Exclude<Submission['content'], { kind: 'raw' }>;
      try {
        message = composeContent(content, submission, { messageId, date: now, random }, tracker);
      } catch (error) {
        if (!(error instanceof PosternError) || error.code !== 'rendering_failed') throw error;
        const name = content.kind === 'template' ? (content.name ?? '') : '';
        return renderingFailure(prepared, origin, name, error.message);
      }
    }
    prepared.commonHeaders = commonHeaders(message, messageId);
    prepared.source = prepared.commonHeaders.from[0] ?? prepared.source;
    return { prepared, identity, message };
  }

  async function sign({ prepared, identity, message }: Draft): Promise<Signed> {
    const prefix = await signer.sign(message, control.identities.signingKeys(identity), prepared.due);
    const bytes = serialise(message.fields, message.body, prefix);
    if (bytes.length > policy.maxMessageBytes) {
      throw new PosternError(
        'message_rejected',
        `Message length is more than ${policy.maxMessageBytes} bytes long: '${bytes.length}'.`,
      );
    }
    return { prepared, identity, bytes };
  }

  function finish({ prepared, identity, bytes }: Signed, origin: Origin, suppressed: Suppressed): Admission {
    const domain = policy.returnPathDomain(identity, prepared.from.domain);
    const rules: ItemRules = {
      group: policy.group,
      returnPath: (id, n, expiresAt) => returnPaths.make(id, n, domain, expiresAt + RETURN_PATH_GRACE),
    };
    return admission(prepared, origin, bytes, !isAscii(bytes), rules, suppressed);
  }

  async function checked(submission: Submission, options: SubmitOptions, origin: Origin): Promise<Checked> {
    const result = check(submission, options);
    if (hooks?.has('onAccept')) {
      const subject = subjectOf(submission.content, result.raw);
      await askPolicy(hooks, result.prepared, subject, origin, policy);
    }
    return result;
  }

  async function signed(message: Checked, origin: Origin): Promise<Signed | Admission> {
    const made = draft(message, origin);
    return 'identity' in made ? sign(made) : made;
  }

  /** What becomes of each submission. @throws PosternError when it cannot be known who is suppressed. */
  async function prepareAll(
    submissions: readonly Submission[],
    options: SubmitOptions,
    origin: Origin,
  ): Promise<(Admission | PosternError)[]> {
    const all = await Promise.all(
      submissions.map((submission) => checked(submission, options, origin).catch(asPosternError)),
    );
    const good = all.flatMap((one) => (one instanceof PosternError ? [] : [one.prepared]));
    const [made, suppressed] = await Promise.all([
      Promise.all(
        all.map(async (one) =>
          one instanceof PosternError ? one : signed(one, origin).catch(asPosternError),
        ),
      ),
      suppressedOf(good, deps.engine.suppressions),
    ]);
    return made.map((one) => {
      if (one instanceof PosternError || !('bytes' in one)) return one;
      return finish(one, origin, suppressed.get(one.prepared) ?? []);
    });
  }

  return {
    async submit(submissions, options) {
      const claim = options.idempotency && {
        key: `${options.caller.keyId}/${options.idempotency.key}`,
        digest: options.idempotency.digest,
      };
      // Before all else: the template or the identity of the first call may be gone by now, its answer is not.
      const earlier = claim && (await deps.engine.records.claim(claim.key));
      if (earlier && earlier.digest !== claim.digest) throw conflict();
      if (earlier) return readAnswer(earlier.response);

      const origin: Origin = {
        door: options.door,
        keyId: options.caller.keyId,
        sourceIp: options.caller.sourceIp,
      };
      const failed = (error: unknown): never => {
        for (const _ of submissions) deps.onResult?.(options.door, asPosternError(error).code);
        throw error;
      };
      const made = await prepareAll(submissions, options, origin).catch(failed);
      const admissions: Admission[] = [];
      const answer: Submitted[] = made.map((result) => {
        if (result instanceof PosternError) return { error: result };
        admissions.push(result);
        return { messageId: messageIdOf(result.record) };
      });
      if (admissions.length > 0) {
        const result = await deps.engine.queue
          .admit(
            admissions,
            claim && {
              ...claim,
              expiresAt: clock.now() + options.idempotency!.ttl,
              response: storeAnswer(answer),
            },
          )
          .catch(failed);
        // The same call, taken in at the same time by another request.
        if (result.kind === 'repeated') return readAnswer(result.response);
        if (result.kind === 'conflict') throw conflict();
      }
      for (const result of answer) {
        deps.onResult?.(options.door, 'error' in result ? result.error.code : 'accepted');
      }
      return answer;
    },
  };
}

function conflict(): PosternError {
  return new PosternError(
    'idempotency_conflict',
    'The idempotency key was used before with another request. Use a new key for a new request.',
  );
}

/** When a delivery may first be tried. @throws bad_request when it is further ahead than allowed. */
function dueTime(sendAt: number | undefined, now: number, limit: number): number {
  if (sendAt === undefined || sendAt <= now) return now;
  if (sendAt - now > limit) {
    throw new PosternError(
      'bad_request',
      `sendAt is more than ${Math.floor(limit / 86_400_000)} days ahead.`,
    );
  }
  return sendAt;
}

/** Trace fields that the door adds on top. */
function traceOf(submission: Submission): HeaderField[] {
  return submission.trace ? [{ name: 'received', raw: submission.trace }] : [];
}

/** The message's tags and SES's automatic ones. Tags of the call replace those of the headers (SES). */
function tagsOf(
  submission: Submission,
  raw: RawContent | undefined,
  set: string | undefined,
  from: Address,
  options: SubmitOptions,
): Record<string, string[]> {
  const tags: Record<string, string[]> = {
    'ses:from-domain': [from.domain],
    'ses:source-ip': [options.caller.sourceIp],
    'ses:caller-identity': [options.caller.keyId],
  };
  if (set !== undefined) tags['ses:configuration-set'] = [set];
  for (const { name, value } of submission.tags?.length ? submission.tags : (raw?.tags ?? [])) {
    (tags[name] ??= []).push(value);
  }
  return tags;
}

/** An answer as the idempotency record keeps it. */
function storeAnswer(answer: Submitted[]): string {
  return JSON.stringify(
    answer.map((one) => ('error' in one ? { code: one.error.code, message: one.error.message } : one)),
  );
}

function readAnswer(text: string): Submitted[] {
  const stored = JSON.parse(text) as ({ messageId: string } | { code: ErrorCode; message: string })[];
  return stored.map((one) => ('code' in one ? { error: new PosternError(one.code, one.message) } : one));
}
