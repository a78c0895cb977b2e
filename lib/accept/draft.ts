/**
 * Turns a submission that may be sent into the exact bytes that will travel: composed or completed, tracked, signed.
 */
import { hash } from 'node:crypto';
import { Cache } from '../cache.ts';
import type { Control, Identity } from '../control/types.ts';
import { discard } from '../discard.ts';
import type { Admission } from '../engine/ports.ts';
import { PosternError } from '../errors.ts';
import { rfc5322Date } from '../mail/date.ts';
import { serialise } from '../mail/message.ts';
import { qualifiedId } from '../mail/message-id.ts';
import { feedbackFields } from '../mail/message-reference.ts';
import type { HeaderField, ParsedMessage, SigningKey } from '../mail/types.ts';
import type { RenderBudget } from '../template/types.ts';
import { DAY } from '../time.ts';
import type { TrackingLinks } from '../tracking/links.ts';
import { trackMessage } from '../tracking/mime.ts';
import { createTracker, type Tracker } from '../tracking/tracking.ts';
import type { Checked } from './check.ts';
import { allHeaders, commonHeaders, completeRaw, composeContent } from './content.ts';
import type { AcceptDeps } from './deps.ts';
import { requireSize } from './limits.ts';
import { type Origin, type Prepared, renderingFailure } from './records.ts';
import type { Submission } from './types.ts';
import { fillUnsubscribeUrl, UNSUBSCRIBE_FIELDS, unsubscribeFields, unsubscribeUrl } from './unsubscribe.ts';

type DraftDeps = Pick<AcceptDeps, 'tracking' | 'random' | 'references' | 'region' | 'unsubscribe' | 'policy'>;
type SignDeps = Pick<AcceptDeps, 'signer' | 'control' | 'policy'>;

/** A message ready to be signed. */
export interface Draft {
  prepared: Prepared;
  identity: Identity;
  known: Checked['known'];
  takers: Checked['takers'];
  limited: Checked['limited'];
  message: ParsedMessage;
  /** Whether the body was made here, so that nothing else refers to it. */
  composed: boolean;
}

/** A message as it will travel. */
export interface Signed {
  prepared: Prepared;
  takers: Checked['takers'];
  bytes: Buffer;
}

/**
 * Composes or completes the message, up to its signature. A template that cannot be rendered is accepted, as with
 * SES: it becomes an admission that only reports the failure.
 * @throws PosternError that refuses the content.
 */
export function draft(
  deps: DraftDeps,
  checked: Checked,
  origin: Origin,
  budget: RenderBudget,
): Draft | Admission {
  const { submission, raw, prepared, identity, known, takers, limited } = checked;
  const { acceptedAt: now } = prepared;
  const messageId = qualifiedId(prepared.id, prepared.from.domain);
  const tracker = trackerOf(deps.tracking.links, checked);
  const url = checked.unsubscribeBase && urlOf(deps, prepared, checked.unsubscribeBase);
  let message: ParsedMessage;
  if (raw) {
    const fill = url ? (text: string) => fillUnsubscribeUrl(text, url) : undefined;
    const content = tracker || fill ? trackMessage(raw.message, tracker, fill) : raw.message;
    message = completeRaw(content, messageId, rfc5322Date(now), traceOf(submission));
  } else {
    const content = submission.content as Exclude<Submission['content'], { kind: 'raw' }>;
    try {
      const ids = { messageId, date: now, random: deps.random };
      message = composeContent(content, submission, ids, tracker, url, budget);
    } catch (error) {
      if (!(error instanceof PosternError) || error.code !== 'rendering_failed') throw error;
      const name = content.kind === 'template' ? (content.name ?? '') : '';
      return renderingFailure(prepared, origin, name, error.message);
    }
  }
  if (url) message = withUnsubscribe(deps, message, checked, url);
  prepared.commonHeaders = commonHeaders(message, messageId);
  prepared.source = prepared.commonHeaders.from[0] ?? prepared.source;
  if (takers.length > 0) prepared.headers = allHeaders(message);
  message.fields.push(...feedbackFieldsOf(deps, prepared));
  return { prepared, identity, known, takers, limited, message, composed: !raw };
}

function urlOf({ unsubscribe }: DraftDeps, prepared: Prepared, base: string): string {
  const { id: messageId, tenant, recipients } = prepared;
  const { address } = recipients[0]!;
  return unsubscribeUrl(unsubscribe.links, base, { messageId, tenant, address, ...prepared.unsubscribe });
}

/** The message with the fields by which its reader unsubscribes, in place of the sender's own. */
function withUnsubscribe(
  { unsubscribe }: DraftDeps,
  { fields, body }: ParsedMessage,
  { prepared }: Checked,
  url: string,
): ParsedMessage {
  const { id, returnPathDomain, expiresAt } = prepared;
  const mailbox = unsubscribe.addresses.make(id, returnPathDomain, expiresAt + REFERENCE_LIFE);
  const others = fields.filter(({ name }) => !UNSUBSCRIBE_FIELDS.has(name));
  return { fields: [...others, ...unsubscribeFields(url, mailbox)], body };
}

/**
 * How long after its last attempt a message is matched to a complaint by its reference, ms: readers report old mail,
 * too, and records are kept for weeks.
 */
const REFERENCE_LIFE = 60 * DAY;

/** Stand for the names of tenants, which readers are not shown. */
const digests = new Cache<string, string>(1000);

/** The fields by which complaints are matched and grouped. */
function feedbackFieldsOf({ references, region }: DraftDeps, prepared: Prepared): HeaderField[] {
  const { id, tenant, tags, campaign = '', expiresAt } = prepared;
  let digest = digests.get(tenant);
  if (digest === undefined) digests.set(tenant, (digest = hash('sha256', tenant, 'hex').slice(0, 16)));
  return feedbackFields(references.make(id, expiresAt + REFERENCE_LIFE), {
    a: tags['ses:feedback-id-a']?.[0] ?? campaign,
    b: tags['ses:feedback-id-b']?.[0] ?? '',
    customer: `1.${region}.${digest}`,
  });
}

/**
 * Signs a message.
 * @param call stands for the call that it is a message of.
 * @throws PosternError `message_rejected` when the signed message is too long.
 */
export async function sign(deps: SignDeps, draft: Draft, call: object): Promise<Signed> {
  const { prepared, identity, known, takers, limited, message, composed } = draft;
  const { signer, control, policy } = deps;
  const found = known.keys(identity, () => keysOf(control, identity, policy.cosignDomain));
  const keys = found instanceof Promise ? await found : found;
  const prefix = await signer.sign(message, keys, prepared.due, call);
  const bytes = serialise(message.fields, message.body, prefix);
  if (composed) discard(message.body);
  if (bytes.length > policy.maxMessageBytes) {
    throw new PosternError(
      'message_rejected',
      `Message length is more than ${policy.maxMessageBytes} bytes long: '${bytes.length}'.`,
    );
  }
  requireSize(limited, bytes.length);
  return { prepared, takers, bytes };
}

/** The sender's keys, and the operator's, unless they are of one domain. */
async function keysOf(
  { identities }: Control,
  identity: Identity,
  cosignDomain: string | undefined,
): Promise<SigningKey[]> {
  const keys = await identities.signingKeys(identity);
  const operator = cosignDomain === undefined ? undefined : await identities.find(cosignDomain);
  if (!operator || keys.some(({ domain }) => domain === operator.name)) return keys;
  // Yahoo's loop, for one, does not read Ed25519.
  const own = await identities.signingKeys(operator);
  return [...keys, ...own.filter(({ algorithm }) => algorithm === 'rsa-sha256')];
}

/** The tracker of a message. One body goes to all recipients: of several, it is unknown which one opened it. */
function trackerOf(links: TrackingLinks, { prepared, tracking }: Checked): Tracker | undefined {
  if (!tracking) return undefined;
  const n = prepared.recipients.length === 1 ? 0 : undefined;
  return createTracker(links, { messageId: prepared.id, n }, tracking);
}

/** Trace fields that the protocol adds on top. */
function traceOf(submission: Submission): HeaderField[] {
  return submission.trace ? [{ name: 'received', raw: submission.trace }] : [];
}
