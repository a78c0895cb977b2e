/**
 * What a refusal is about: its category, how SES would report it, and whether the address is at fault.
 *
 * Evidence is weighed in this order, because providers put the generic codes (5.7.1, 5.0.0, 550) on
 * everything and a wrong "no such user" would suppress a living address:
 *
 *  1. words that exonerate the address (blocklists, reputation, rates, authentication, a full mailbox);
 *  2. enhanced codes that mean one thing (RFC 3463, RFC 7505, RFC 7372);
 *  3. words that speak of the mailbox, the domain, the content;
 *  4. the subject of the enhanced code (`x.2.z` is the mailbox, `x.4.z` the network, …).
 */

/** Bounce categories, by the names that PowerMTA gave the field. */
export type Category =
  | 'bad-mailbox'
  | 'bad-domain'
  | 'inactive-mailbox'
  | 'quota-issues'
  | 'no-answer-from-host'
  | 'relaying-issues'
  | 'routing-errors'
  | 'bad-connection'
  | 'content-related'
  | 'invalid-sender'
  | 'message-expired'
  | 'policy-related'
  | 'protocol-errors'
  | 'spam-related'
  | 'virus-related'
  | 'other';

/** `bounceType` and `bounceSubType` of an SES Bounce event. */
export interface BounceType {
  type: 'Undetermined' | 'Permanent' | 'Transient';
  subType:
    | 'Undetermined'
    | 'General'
    | 'Suppressed'
    | 'OnAccountSuppressionList'
    | 'MailboxFull'
    | 'MessageTooLarge'
    | 'ContentRejected'
    | 'AttachmentRejected';
}

export interface Diagnosis {
  category: Category;
  bounce: BounceType;
  /** A hard bounce: the address or its domain does not exist or is closed for good. */
  hard: boolean;
}

/** What is known of a refusal. `text` is without the codes. */
export interface Refusal {
  code?: number;
  enhanced?: string;
  text: string;
  /** Command that was refused; absent for a report that came later. */
  phase?: string;
}

type SubType = BounceType['subType'];
type TextRule = [category: Category, pattern: RegExp, subType?: SubType];

/** Characters of the text that the patterns see. */
const MAX_TEXT = 1000;

/** Words about the host, its reputation, rate or authentication, or about a mailbox that is only full. */
const EXONERATING: readonly TextRule[] = [
  [
    'quota-issues',
    /(?:over|exceed\w*|out of) (?:\w+ ){0,2}(?:quota|storage)|quota (?:is )?exceeded|overquota|(?:mailbox|inbox) (?:\S+ )?(?:is )?(?:full|over)|boite du destinataire pleine|storage allocation|insufficient (?:system )?storage/,
    'MailboxFull',
  ],
  ['virus-related', /\bvirus|malware|phishing|infected|executable file/, 'AttachmentRejected'],
  [
    'content-related',
    /potential security issue|attachment (?:type )?(?:is )?(?:not allowed|blocked|rejected)|banned attachment|blocked attachment/,
    'AttachmentRejected',
  ],
  [
    'policy-related',
    /too (?:many|much|fast|quickly)|at a rate|rate[ -]?limit|throttl|unusual rate|frequency limited|(?:sending|message|connection) (?:limit|rate|quota)|trop de connexions|slow down|server busy|unexpected volume/,
  ],
  ['policy-related', /gr[ea]y-?list|try (?:again )?later|try again in|temporar|essayer plus tard/],
  [
    'spam-related',
    /spamhaus|spamcop|barracuda(?:central|networks)|abuseat|sorbs|senderscore|dnsbl|rbl\b|(?:block|black|deny)[ -]?list|block for spam|reputation|blocked using|banned (?:sending|sender)|unsolicited|junk mail|spammy|(?:suspected|likely|detected as|considered|rejected as|looks like|classified as|due to) spam|spam (?:content|message|detected|score|filter)|is spam|bulk mail|cloudmark|suspected bounce attack|blocked - see|user complaints/,
  ],
  [
    'policy-related',
    /\bspf\b|dkim|dmarc|unauthenticated|authentication (?:information|level|checks|required)|reverse dns|\bptr\b|rdns|starttls|tls (?:connection|required)|anti-spoofing|local policy|policy (?:reasons|restriction|violation)|security polic|administrative prohibition|against (?:the )?policy|not rfc 532[12]/,
  ],
  [
    'relaying-issues',
    /relay(?:ing)? (?:access )?(?:is )?(?:denied|not (?:permitted|allowed)|prohibited)|unable to relay|not permitted to relay|we do not relay|relaying/,
  ],
  [
    'invalid-sender',
    /sender (?:address )?(?:is )?(?:rejected|invalid|unknown|verify failed)|(?:bad|invalid|unknown) sender|sender domain|domain of sender|(?:envelope|return) (?:from|path)|mail from .{0,60}domain/,
  ],
];

/** Enhanced codes without class (`x.1.1` as `1.1`) that mean one thing. */
const EXACT: Readonly<Record<string, [Category, SubType?]>> = {
  '1.0': ['other'],
  '1.1': ['bad-mailbox'],
  '1.2': ['bad-domain'],
  '1.3': ['bad-mailbox'],
  '1.6': ['inactive-mailbox'],
  '1.7': ['invalid-sender'],
  '1.8': ['invalid-sender'],
  '1.10': ['bad-mailbox'],
  '2.1': ['inactive-mailbox'],
  '2.2': ['quota-issues', 'MailboxFull'],
  '2.3': ['content-related', 'MessageTooLarge'],
  '3.4': ['content-related', 'MessageTooLarge'],
  '4.3': ['routing-errors'],
  '4.4': ['routing-errors'],
  '4.6': ['routing-errors'],
  '4.7': ['message-expired'],
  '7.8': ['policy-related'],
};

/** Words about the mailbox, its domain, or the content. */
const ABOUT_MESSAGE: readonly TextRule[] = [
  [
    'content-related',
    /(?:message|mail|size) (?:\S+ ){0,3}(?:too (?:large|big)|exceed)|(?:exceed\w*|over) (?:\S+ ){0,3}(?:message )?size|size limit/,
    'MessageTooLarge',
  ],
  [
    'inactive-mailbox',
    /(?:account|mailbox|user|recipient|address) (?:\S+ ){0,4}(?:disabled|inactive|suspended|deactivated|closed|expired|locked|blocked|archived)|(?:disabled|inactive|suspended|archived|closed) (?:account|mailbox|user|recipient)|no longer (?:\w+ ){0,2}(?:active|available|valid|in use|works?|accept)/,
  ],
  [
    'bad-mailbox',
    /(?:user|recipient|mailbox|account|address|addressee|alias)(?: \S+)?(?: is)? (?:unknown|not (?:found|known|exist\w*|local|listed|valid)|invalid|does(?: not|n['’]?t) exist)|(?:unknown|invalid|no such|not a valid|nonexistent|non-existent) (?:local )?(?:user|recipient|mailbox|account|address|alias|person|local[ -]part)|does(?: not|n['’]?t) (?:exist|have an? \S+ account)|no (?:mailbox|account) (?:here|by that)|not our customer|recipientnotfound|user not found|no longer exists|destinataire invalide|recipient address rejected: access denied/,
  ],
  [
    'bad-domain',
    /(?:host or )?domain(?: name)?(?: \S+)? (?:not found|(?:is )?unknown|does(?: not|n['’]?t) exist|not (?:local|hosted|handled|exist\w*))|unrouteable (?:address|mail domain)|no such domain|not accept(?:ing)? mail for/,
  ],
  [
    'message-expired',
    /(?:message|delivery time) expired|retry time(?:out)? (?:not reached|exceeded)|delivery timeout/,
  ],
  ['routing-errors', /hop count|too many hops|(?:mail|routing) loop|loops back|routing error|no route to/],
  ['spam-related', /\bspam\b|listed (?:at|by|in|on)\b|mail rejet|access denied|\bbanned\b/],
  [
    'content-related',
    /content (?:is )?(?:denied|rejected|refused)|message (?:content )?(?:was )?(?:rejected|refused|denied)|(?:missing|invalid|duplicate|malformed|multiple) (?:\S+ )?header|message format|non-compliant/,
    'ContentRejected',
  ],
  ['no-answer-from-host', /(?:no answer|connection (?:refused|timed out)|host (?:is )?unreachable) ?/],
  ['bad-connection', /connection (?:lost|reset|dropped|closed)|lost connection|network error/],
  [
    'protocol-errors',
    /bad sequence|command (?:not |un)(?:recogni[sz]ed|implemented)|syntax error|no valid recipients|pipelining/,
  ],
];

/** By subject and, at its end, detail of the enhanced code (RFC 3463 §3). */
const SUBJECT: Readonly<Record<string, Category>> = {
  '4': 'no-answer-from-host',
  '5': 'protocol-errors',
  '6': 'content-related',
  '7': 'policy-related',
};

const HARD: ReadonlySet<Category> = new Set<Category>(['bad-mailbox', 'bad-domain', 'inactive-mailbox']);

/** Whether the codes say "temporary" (either of them: a contradiction is no proof). */
function temporary({ code, enhanced }: Refusal): boolean {
  return (code !== undefined && code < 500) || enhanced?.startsWith('4.') === true;
}

/** Bounce type of a category when no rule named a more exact one. */
function bounceType(category: Category, subType: SubType | undefined, hard: boolean): BounceType {
  if (hard) return { type: 'Permanent', subType: 'General' };
  if (subType) return { type: 'Transient', subType };
  if (category === 'other') return { type: 'Undetermined', subType: 'Undetermined' };
  if (category === 'content-related') return { type: 'Transient', subType: 'ContentRejected' };
  return { type: 'Transient', subType: 'General' };
}

function byText(rules: readonly TextRule[], text: string): TextRule | undefined {
  for (const rule of rules) if (rule[1].test(text)) return rule;
  return undefined;
}

function categorise(refusal: Refusal): [Category, SubType?] {
  const text = refusal.text.slice(0, MAX_TEXT).toLowerCase();
  const exonerating = byText(EXONERATING, text);
  if (exonerating) return [exonerating[0], exonerating[2]];
  const detail = refusal.enhanced?.slice(2);
  const exact = detail === undefined ? undefined : EXACT[detail];
  // An unspecific x.1.0 is only a fallback: the words may know more.
  if (exact && exact[0] !== 'other') return exact;
  const message = byText(ABOUT_MESSAGE, text);
  if (message) return [message[0], message[2]];
  // RFC 5321 §4.2.3 gives these words to 550 whatever the reason; only in answer to RCPT do the providers
  // that use them (outlook.com, gmx) mean "no such user".
  if (refusal.phase === 'rcpt' && refusal.code === 550 && text.includes('mailbox unavailable')) {
    return ['bad-mailbox'];
  }
  // RFC 7504 §4: 556 says that the domain takes no mail at all.
  if (refusal.code === 556) return ['bad-domain'];
  return [(detail && SUBJECT[detail[0]!]) || 'other'];
}

/** Category, SES bounce type and hardness of a refusal. Pure; never throws. */
export function diagnose(refusal: Refusal): Diagnosis {
  const [category, subType] = categorise(refusal);
  const hard = HARD.has(category) && !temporary(refusal);
  return { category, bounce: bounceType(category, subType, hard), hard };
}
