/**
 * Diagnoses a refusal: its cause, how SES would report it, and whether the address is at fault. The rules are data
 * (cause-rules.ts), the properties of a cause are a table (causes.ts).
 *
 * Up to MAIL the peer has not seen a recipient, so no reply up to then is about one.
 */
import {
  ABOUT_RECIPIENT,
  ABOUT_US,
  BLOCKLIST_NAMES,
  type CauseRule,
  CODES_ABOUT_RECIPIENT,
  CODES_ABOUT_US,
  OF_PROVIDERS,
} from './cause-rules.ts';
import { type BounceType, CAUSES, type Category, type Cause } from './causes.ts';

export interface Diagnosis {
  cause: Cause;
  category: Category;
  bounce: BounceType;
  /** A hard bounce: the address or its domain does not exist or is closed for good. */
  hard: boolean;
  /** Name of the blocklist in the reply. */
  blocklist?: string;
}

/** The facts of a refusal. `text` is without the codes. */
export interface Refusal {
  code?: number;
  enhanced?: string;
  text: string;
  /** The refused command; absent for a report that came later. */
  phase?: string;
}

/** Maximum length of the text that the patterns match, characters. */
const MAX_TEXT = 1000;
const BEFORE_RECIPIENT: ReadonlySet<string> = new Set([
  'connect',
  'greeting',
  'ehlo',
  'starttls',
  'tls',
  'mail',
]);
/** IronPort and others quote the reply of the host behind them, which decides. */
const QUOTED_REPLY = /unknown address error ([45][0-9]{2})[- ]'([45]\.[0-9]{1,3}\.[0-9]{1,3})? ?(.{0,600})/;
const URL = /\bhttps?:\/\/\S{1,300}/g;
const ADDRESS = /(?:"[^"]{0,64}"|[^\s<>()[\]"',;:@]{1,100})@[\p{L}\p{N}.[\]:_-]{1,255}/gu;
const IP =
  /\[?(?:\d{1,3}\.){3}\d{1,3}(?:\/\d{1,2})?(?: \d{1,3})?\]?|\[?(?:[0-9a-f]{1,4}:){3,7}[0-9a-f:]{1,39}\]?/g;
/** Words that name the sending side. */
const OURS =
  /\b(?:ip|ips|sender(?:'s|s)?|sending|from|your|source|client|envelope|header|mail from|originat\w+|author|submitter|helo|ehlo|smtp|return|bounce)(?:,| or| and|\/)?(?: (?:e-?mail|from|header|ip|or|and|mail|the)){0,3} (?:address|account|user|mailbox|domain|host(?:name)?|name)(?:es|s)?\b/g;

/**
 * Maximum number of cached diagnoses: one refusal is judged for its end, its warm-up, its event, its suppression and
 * its metric.
 */
const MAX_KEPT = 256;
const kept = new Map<string, Diagnosis>();

/**
 * Diagnoses a refusal: cause, SES bounce type and hardness. The same refusal gives the same diagnosis; never throws.
 */
export function diagnose(refusal: Refusal): Diagnosis {
  const { code, enhanced, phase, text } = refusal;
  const key = `${code} ${enhanced} ${phase} ${text.slice(0, MAX_TEXT)}`;
  const known = kept.get(key);
  if (known) return known;
  const found = judge(refusal);
  if (kept.size >= MAX_KEPT) kept.delete(kept.keys().next().value!);
  kept.set(key, found);
  return found;
}

function judge(refusal: Refusal): Diagnosis {
  const raw = refusal.text.slice(0, MAX_TEXT).toLowerCase();
  const quoted = QUOTED_REPLY.exec(raw);
  if (quoted) {
    const [, code, enhanced, text] = quoted;
    return diagnose({ code: Number(code), enhanced, text: text!, phase: refusal.phase });
  }
  const words = raw.includes('@') ? raw.replace(ADDRESS, '…') : raw;
  let cause = causeOf(refusal, words, plain(words));
  if (CAUSES[cause].suppresses && BEFORE_RECIPIENT.has(refusal.phase ?? '')) {
    cause = refusal.phase === 'mail' ? 'sender_rejected' : 'other';
  }
  const { category, bounce, suppresses } = CAUSES[cause];
  const hard = suppresses && !isTemporary(refusal);
  const blocklist = BLOCKLIST_NAMES.find(([, pattern]) => pattern.test(words))?.[0];
  return {
    cause,
    category,
    bounce: suppresses && !hard ? { type: 'Transient', subType: 'General' } : bounce,
    hard,
    ...(blocklist !== undefined && CAUSES[cause].category === 'spam-related' && { blocklist }),
  };
}

/** Whether either code is temporary (a contradiction is no proof). */
function isTemporary({ code, enhanced }: Refusal): boolean {
  return (code !== undefined && code < 500) || enhanced?.startsWith('4.') === true;
}

/** Replaces URLs and IPs as addresses are replaced, and names of the sending side by `ours`. */
function plain(text: string): string {
  return text
    .replace(URL, '…')
    .replace(IP, 'ourip')
    .replace(OURS, 'ours')
    .replace(/<…>/g, '…')
    .replace(/ {2,}/g, ' ');
}

function causeOf(refusal: Refusal, raw: string, text: string): Cause {
  const detail = refusal.enhanced?.slice(2) ?? '';
  const aboutUs = Object.hasOwn(CODES_ABOUT_US, detail) ? CODES_ABOUT_US[detail] : undefined;
  if (aboutUs) return aboutUs;
  const first = match(OF_PROVIDERS, raw, refusal) ?? matchBoth(ABOUT_US, raw, text, refusal);
  if (first) return first;
  const aboutRecipient = Object.hasOwn(CODES_ABOUT_RECIPIENT, detail)
    ? CODES_ABOUT_RECIPIENT[detail]
    : undefined;
  if (aboutRecipient) return aboutRecipient;
  return match(ABOUT_RECIPIENT, text, refusal) ?? byCode(refusal, detail);
}

function match(rules: readonly CauseRule[], text: string, refusal: Refusal): Cause | undefined {
  const detail = refusal.enhanced?.slice(2);
  for (const { cause, words, enhanced, code, phase, unless } of rules) {
    if ((enhanced !== undefined && detail !== enhanced) || (unless !== undefined && detail === unless))
      continue;
    if (code !== undefined && refusal.code !== code) continue;
    if (phase !== undefined && refusal.phase !== phase) continue;
    if (words.test(text)) return cause;
  }
  return undefined;
}

/** Matches the text with its URLs too, because names of blocklists stand in URLs, which the plain text lacks. */
function matchBoth(
  rules: readonly CauseRule[],
  raw: string,
  text: string,
  refusal: Refusal,
): Cause | undefined {
  const found = match(rules, text, refusal);
  const listed = BLOCKLIST_NAMES.some(([, pattern]) => pattern.test(raw));
  return listed && (found === undefined || found === 'policy' || found === 'busy' || found === 'spam_content')
    ? 'ip_blocked'
    : found;
}

/** The cause by the codes alone: RFC 3463 §3 for the subject, RFC 7504 §4 for 556. */
function byCode({ code }: Refusal, detail: string): Cause {
  if (code === 556) return 'bad_domain';
  switch (detail[0]) {
    case '4':
      return 'connection';
    case '5':
      return 'protocol';
    case '6':
      return 'content';
    case '7':
      return 'policy';
    default:
      return 'other';
  }
}
