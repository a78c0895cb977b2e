/**
 * MAIL FROM domains: a return path of the sender's own, used only while its DNS leads bounces here.
 *
 * ```
 *                      MX and SPF seen
 *   PENDING ─────────────────────────────► SUCCESS ── gone, three clear answers in a row ──► FAILED
 *      └── not seen within 72 h ─► FAILED      ▲ │ no answer                                  │
 *                                              │ └──► TEMPORARY_FAILURE ── answered ──► …     │
 *                                              └───────────── seen again ─────────────────────┘
 * ```
 * A TEMPORARY_FAILURE goes on being used: DNS that gives no answer changes nothing.
 */
import { PosternError } from '../errors.ts';
import { DAY } from '../time.ts';
import type { ResolveTxt } from './proof.ts';
import type { DnsRecord, Identity, MailFromProof } from './types.ts';

/** Resolves the hosts of a name's MX records; it fails as `node:dns/promises` does. */
export type ResolveMx = (name: string) => Promise<{ exchange: string }[]>;

/** SES: "if the MX record isn't found within 72 hours, the status is FAILED". */
const PATIENCE = 3 * DAY;
/** Clear negative answers in a row after which a domain that was seen is used no more. */
const CLEAR_ANSWERS = 3;

export function newMailFrom(onMxFailure: MailFromProof['onMxFailure'], now: number): MailFromProof {
  return { status: 'PENDING', onMxFailure, since: now, missing: 0 };
}

/** The MAIL FROM domain of an identity, while its DNS leads here. */
export function provenMailFrom({ mailFromDomain, mailFrom }: Identity): string | undefined {
  return mailFrom?.status === 'SUCCESS' || mailFrom?.status === 'TEMPORARY_FAILURE'
    ? mailFromDomain
    : undefined;
}

/**
 * The domain of return paths for an identity's mail; undefined: the service's own.
 * @throws PosternError `mail_from_not_verified` when the identity would rather not send than use another.
 */
export function mailFromDomainOf(identity: Identity): string | undefined {
  const { name, mailFromDomain, mailFrom } = identity;
  const proven = provenMailFrom(identity);
  if (proven !== undefined || mailFromDomain === undefined) return proven;
  if (mailFrom?.onMxFailure !== 'REJECT_MESSAGE') return undefined;
  throw new PosternError(
    'mail_from_not_verified',
    `The MAIL FROM domain ${mailFromDomain} of ${name} does not lead here: publish its MX and SPF records, or choose USE_DEFAULT_VALUE.`,
  );
}

/** Where bounces are taken in: the domain of return paths, whose MX and SPF stand already, and the host itself. */
export interface BounceTarget {
  domain?: string;
  host?: string;
}

/** The records that lead a MAIL FROM domain here. An alias of the service's domain stands for its MX and its SPF. */
export function mailFromRecords(name: string, { domain, host }: BounceTarget): DnsRecord[] {
  if (domain !== undefined) return [{ name, type: 'CNAME', value: domain }];
  if (host === undefined) return [];
  return [
    { name, type: 'MX', value: `10 ${host}` },
    { name, type: 'TXT', value: `v=spf1 a:${host} ~all` },
  ];
}

export type MailFromFinding = 'seen' | 'absent' | 'unanswered';

/**
 * Looks for the MX record that leads here, and for an SPF record. Whether the latter covers the egress addresses is the
 * receivers' to judge: `include:` may stand for them.
 */
export async function lookUpMailFrom(
  domain: string,
  target: BounceTarget,
  dns: { resolveMx: ResolveMx; resolveTxt: ResolveTxt },
): Promise<MailFromFinding> {
  try {
    const [exchanges, texts] = await Promise.all([
      exchangesOf(domain, dns.resolveMx),
      orNone(dns.resolveTxt(domain)),
    ]);
    const isSpf = texts.some((strings) => /^v=spf1(?: |$)/i.test(strings.join('')));
    if (!isSpf || exchanges.length === 0) return 'absent';
    const ours = new Set(target.domain === undefined ? [] : await exchangesOf(target.domain, dns.resolveMx));
    if (target.host !== undefined) ours.add(target.host.toLowerCase());
    return exchanges.some((exchange) => ours.has(exchange)) ? 'seen' : 'absent';
  } catch {
    return 'unanswered';
  }
}

async function exchangesOf(name: string, resolveMx: ResolveMx): Promise<string[]> {
  const records = await orNone(resolveMx(name));
  return records
    .map(({ exchange }) => exchange.toLowerCase().replace(/\.$/, ''))
    .filter((host) => host !== '');
}

/** Nothing where DNS says that there is nothing. */
async function orNone<T>(records: Promise<T[]>): Promise<T[]> {
  try {
    return await records;
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code === 'ENOTFOUND' || code === 'ENODATA') return [];
    throw cause;
  }
}

/** The state after a look-up. @param patience clear negative answers in a row after which the proof is lost. */
export function concludeMailFrom(
  before: MailFromProof,
  finding: MailFromFinding,
  now: number,
  patience: number = CLEAR_ANSWERS,
): MailFromProof {
  const after = { ...before, checkedAt: now };
  if (finding === 'seen') return { ...after, status: 'SUCCESS', missing: 0 };
  const isUsed = before.status === 'SUCCESS' || before.status === 'TEMPORARY_FAILURE';
  if (finding === 'unanswered') return { ...after, status: isUsed ? 'TEMPORARY_FAILURE' : before.status };
  const missing = before.missing + 1;
  if (isUsed) return { ...after, missing, status: missing < patience ? 'SUCCESS' : 'FAILED' };
  return { ...after, missing, status: now - before.since > PATIENCE ? 'FAILED' : 'PENDING' };
}
