/**
 * Rules that find the cause of a refusal, as data. They are tried in this order; the first match decides. Providers
 * use the generic codes (5.7.1, 5.0.0, 550) for everything, and a wrong "no such user" suppresses a living address.
 * So rules that clear the address come before rules that accuse it.
 *
 * ```
 *  1 enhanced codes that mean one thing, and are about us     CODES_ABOUT_US
 *  2 wording of one provider                                  OF_PROVIDERS
 *  3 words about us, our content, the moment                  ABOUT_US
 *  4 enhanced codes about the recipient                       CODES_ABOUT_RECIPIENT
 *  5 words about the recipient                                ABOUT_RECIPIENT
 *  6 the subject of the enhanced code, the plain code         diagnosis.ts
 * ```
 * Patterns match lower case text of bounded length, in which addresses and URLs are `…`, names of our side (`sender
 * address`, `your account`, `ip address`) are `ours` and an IP is `ourip` (diagnosis.ts): "ip address blocked" cannot
 * be read as "address blocked".
 */
import type { Cause } from './causes.ts';

export interface CauseRule {
  cause: Cause;
  words: RegExp;
  /** Without class, `4.1` for `5.4.1`. */
  enhanced?: string;
  code?: number;
  phase?: string;
  /** Enhanced code, without class, at which the rule does not apply. */
  unless?: string;
}

function rule(cause: Cause, words: RegExp, only: Omit<CauseRule, 'cause' | 'words'> = {}): CauseRule {
  return { cause, words, ...only };
}

/** Keyed by subject and detail, `7.25` for `5.7.25` (RFC 7372, Google's and Microsoft's lists of codes). */
export const CODES_ABOUT_US: Readonly<Record<string, Cause>> = {
  '1.7': 'sender_rejected',
  '1.8': 'sender_rejected',
  '2.2': 'mailbox_full',
  '2.3': 'too_large',
  '3.4': 'too_large',
  '4.6': 'routing',
  '7.20': 'authentication',
  '7.21': 'authentication',
  '7.22': 'authentication',
  '7.24': 'authentication',
  '7.25': 'ptr_required',
  '7.26': 'authentication',
  '7.28': 'rate_limited',
  '7.32': 'authentication',
  '7.40': 'authentication',
  '7.500': 'busy',
  '7.509': 'authentication',
  '7.511': 'ip_blocked',
  '7.512': 'authentication',
  '7.515': 'authentication',
  '7.606': 'ip_blocked',
  '7.650': 'rate_limited',
  '7.651': 'rate_limited',
  '7.652': 'rate_limited',
  '7.708': 'ip_blocked',
};

export const OF_PROVIDERS: readonly CauseRule[] = [
  // Microsoft 365, for an address that its directory lacks; Postfix sends the same words for a plain REJECT.
  rule('unknown_user', /recipient address rejected: access denied/, { enhanced: '4.1' }),
  rule('unknown_user', /resolver\.adr\.(?:ex)?recipientnotfound|resolver\.adr\.recipnotfound/),
  // Outlook.com, GMX and web.de use RFC 5321's words for any 550; only at RCPT do they mean "no such user".
  rule('unknown_user', /requested action not taken: mailbox unavailable(?!.*(?:[?&]c=(?!rcpt)|polic))/, {
    code: 550,
    phase: 'rcpt',
  }),
  // Orange, by its own numbers.
  rule('unknown_user', /ofr[_ ]?416/),
  rule('mailbox_full', /ofr[_ ]?417/),
  rule('inactive_user', /ofr[_ ]?418/),
  rule('spam_content', /ofr[_ ]?506/),
  // NetEase, Cox and Spectrum, by their own codes.
  rule('rate_limited', /\b(?:hl:(?:icc|ifc|mep|rep)|(?:mi|rp):[a-z]{3})\b/),
  rule('ip_blocked', /\b(?:hl:(?:ihu|itc)|wm:bli)\b|aup#(?:cxbl|ipbl\d*|cdrbl|in-1000)|ipbl1000/),
  rule('spam_content', /\bdt:spm\b/),
  rule('content', /\bdt:sum\b/),
  rule('ptr_required', /aup#(?:cxdns|in-1130)/),
  rule('rate_limited', /aup#(?:in-(?:1310|1430|1580|1590)|cxcnct|cxmxrt)/),
  // Postfix and Google name our address or host, which the plain text would hide.
  rule('ptr_required', /cannot find your (?:reverse )?hostname/),
  rule('domain_blocked', /reputation of the sending domain/),
  rule('spam_content', /spam or virus/),
  rule('content', /missing a valid address in from: header/),
  // Google: `?p=` names the reason behind the words.
  rule('mailbox_full', /overquota(?:temp|perm)/),
  rule('rate_limited', /receivingrate/),
];

const BLOCKLISTS =
  /spamhaus|spamcop|barracudacentral|barracuda reputation|barracudanetworks|abuseat|sorbs|senderscore|sender score|uceprotect|cloudmark|csi\.|abusix|mailspike|invaluement|spfbl|psbl|nixspam|backscatterer|trend micro|truncate\.gbudb|ipcheck\.proofpoint|proofpoint\.com\/dnsbl|dnsbl|\brbl\b|rbl\+|\bhbl\b|symantec zodiac/;

export const ABOUT_US: readonly CauseRule[] = [
  rule(
    'mailbox_full',
    /(?:over|exceed\w*|out of) (?:\w+ ){0,2}(?:quota|storage)|quota (?:is )?(?:exceeded|full)|overquota|quotaexceeded|(?:mailbox|inbox|mail box|maildir|user) (?:\S+ )?(?:is )?(?:full|over)\b|boite (?:du destinataire )?pleine|bo[iî]te aux lettres pleine|postfach (?:ist )?(?:voll|überfüllt)|casella (?:di posta )?piena|buz[oó]n (?:est[aá] )?lleno|caixa (?:postal |de correio )?cheia|邮箱已满|邮箱空间不足|storage allocation|full mailbox|not enough (?:storage|space)|exceeded storage|disk quota/,
  ),
  rule('busy', /insufficient (?:system |disk )?(?:storage|space|resources)|out of (?:memory|disk)/),
  rule('greylisted', /gr[ea]y-?\s?list|postgrey|please come back later/),
  rule(
    'too_large',
    /(?:message|mail|size|letter)(?: \S+){0,3} too (?:large|big|long)|(?:exceed\w*|over|larger than) (?:\S+ ){0,4}(?:message |mail )?size|(?:message |mail )?size (?:\S+ ){0,3}exceed|size limit|too large|nachricht zu groß|message trop (?:gros|volumineux)|taille maximale/,
  ),
  rule(
    'ptr_required',
    /reverse[ -](?:dns|lookup|name|hostname)|\bptr\b|\brdns\b|\bfcrdns\b|cannot find your (?:reverse )?hostname|does not resolve to (?:a |the )?(?:hostname|ip)/,
  ),
  rule(
    'authentication',
    /\bspf\b|sender policy framework|dkim|domainkeys|dmarc|unauthenticated|authentication (?:information|level|checks?|results|failed|requirements)|lacks authentication|anti-?spoof|isn't aligned|not aligned|not rfc 532[12]|sender id/,
  ),
  rule(
    'rate_limited',
    /too (?:many|much|fast|quickly|frequent)(?! (?:unwanted|hops|headers))|at a rate|(?:sending|message|connection|recipient|hourly|transaction|session)s?[- ](?:limit|rate|quota)|rate[ -]?limit|limit exceeded|exceeded (?:the |its |a )?(?:\S+ ){0,2}(?:limit|quota for|maximum number)|throttl|(?:temporarily|permanently) deferred|unusual rate|threshold exceeded|vs98-ip|frequency limited|trop de (?:connexions|messages)|slow down|unexpected volume|excessive volume|exceeds? (?:the )?max(?:imum)?|max(?:imum)? (?:number of )?(?:messages?|connections?|recipients?)|mails-per-session|messages per|per hour|this hour|zu viele|demasiad|troppi|demais|频率|次数/,
  ),
  rule(
    'domain_blocked',
    /\bdbl\b|\burl domains? (?:not found|\S+ listed)|\buribl\b|\bsurbl\b|(?:url|link|domain|dom\.)s?\b(?: \S+){0,4} (?:listed|blocklist|blacklist|block list|banned)|(?:black|block)-?listed (?:url|domain|link)|reputation of (?:the sending|a|your) domain|domain(?:'s)? (?:\S+ )?reputation/,
  ),
  rule(
    'ip_blocked',
    new RegExp(
      `${BLOCKLISTS.source}|(?:block|black|deny)[ -]?list|block for spam|\\breputation\\b|blocked using|banned (?:sending|sender|ip)|\\bours (?:\\S+ ){0,4}(?:block|listed|banned|denied|refused|rejected|not allowed|blacklist)|ourip (?:\\S+ ){0,4}(?:block|listed|banned|denied|refused|rejected|blacklist|dynamic)|residential ip|host network not allowed|blocked for abuse|connection denied|\\bip[:=]ourip|compromised|(?:client|your) (?:host|network|server|ip|machine)\\b|(?:connect\\w*|mail|messages?) (?:\\S+ )?from ourip|\\bip\\b(?: \\S+){0,5} (?:block|listed|banned|denied|refused|rejected|blacklist|not (?:allowed|permitted|authorized|in whitelist))|(?:blocked|banned|refused|denied)(?: \\S+){0,3} ip\\b|blocked - see|open (?:proxy|relay)|dynamic ip|namespace mining|not (?:allowed|permitted) to connect|connections? (?:from \\S+ )?(?:are|is|was|were|has been) (?:refused|denied|rejected|blocked)|connection rejected|access to (?:this|submit)|directly to our|bounce attack|user complaints|unwanted messages`,
    ),
  ),
  rule('virus', /\bvirus|malware|trojan|\bworm\b|infected|executable file|schadsoftware/),
  rule(
    'attachment',
    /potential security issue|(?:attachment|file)s?(?: \S+){0,3} (?:not allowed|blocked|rejected|forbidden|prohibited|banned)|(?:banned|blocked|forbidden|illegal) (?:attachment|file)/,
  ),
  rule(
    'spam_content',
    /unsolicited|junk ?mail|spammy|\bspam\b|phish|bulk mail|mail rejet|looks like|content (?:\S+ )?judged|suspicious|message filtered|content filter|antispam|anti-spam|\buce\b|\bube\b|垃圾/,
  ),
  rule(
    'tls',
    /must issue a starttls|starttls (?:command )?(?:first|required)|(?:tls|encryption) (?:\S+ )?(?:connection|required|needed)|require(?:s|d)? (?:\S+ )?tls|over a tls/,
  ),
  rule(
    'relay_denied',
    /\brelaying\b|\brelay (?:access )?(?:is )?(?:not|denied|prohibited|refused|disabled)|(?:unable to|permitted to|do not|cannot|won't|will not) relay|authentication (?:is )?required|must (?:be )?authenticat|not a gateway/,
  ),
  rule(
    'sender_rejected',
    /sender(?: address)?(?: \S+)?:? (?:is |was |has been )?(?:rejected|invalid|unknown|verify failed|denied|not (?:found|valid|allowed)|disabled|suspended)|(?:bad|invalid|unknown|unresolvable) sender|sender domain|domain of sender|sender verif|envelope from|(?:return|reply)[ -]path|mail from .{0,60}domain|mail from command|\bours (?:\S+ ){0,5}(?:disabled|suspended|closed|expired|inactive|unknown|invalid|rejected|denied|not (?:found|valid|exist\w*|allowed)|does(?: not|n['’]?t) exist|do(?: not|n['’]?t) exist|must)|mail sending denied|from domain|null sender|empty envelope/,
  ),
  // The words leave open whose domain is meant; in a reply to RCPT it is almost always the sender's.
  rule(
    'sender_rejected',
    /(?<!recipient |destination |host or |no such |routeable |mail )\bdomain(?: (?:name|\S+\.\S+))? (?:may not exist|not found|unknown|does(?: not|n['’]?t) exist)/,
    { unless: '1.2' },
  ),
  rule(
    'connection',
    /un(?:deliverable|verified) address: (?:connect|conversation|lost|network|operation|delivery temporarily|host \S+ said: 4)|unverified address/,
  ),
  rule(
    'policy',
    /not (?:allowed|permitted|authori[sz]ed|able) to (?:send|post|mail|deliver|access|submit|use)|(?:local|security|site|anti\S*|administrative) polic|polic(?:y|ies) (?:reasons?|restrictions?|violations?|rejection|prohibit)|(?:violat\w+|against|by|due to|for) (?:\S+ )?polic|administrative(?:ly)? prohibit|(?:only|restricted) (?:\S+ )?(?:members|internal|authenticated|authori[sz]ed) (?:senders|users)?|prohibited|access denied(?!.*no such)|administrator|moderat|closed list|not on (?:bypass|whitelist|allow)|challenge|whitelist/,
  ),
  rule(
    'busy',
    /try (?:it )?(?:again|later)|again (?:later|in)|later\b|retry (?:after|in)|not accepting connections|\bdeferred\b|temporar|essayer plus tard|später|mas tarde|más tarde|più tardi|server busy|too busy|service (?:is )?(?:temporarily )?(?:not available|unavailable)|system (?:problem|error|not accepting)|shutting down|not currently accepting|ports are busy|稍后/,
  ),
];

/** Keyed by subject and detail. Tried only after `ABOUT_US` has found nothing that clears the recipient. */
export const CODES_ABOUT_RECIPIENT: Readonly<Record<string, Cause>> = {
  '1.1': 'unknown_user',
  '1.2': 'bad_domain',
  '1.3': 'unknown_user',
  '1.6': 'inactive_user',
  '1.10': 'unknown_user',
  '2.1': 'inactive_user',
  '4.3': 'dns',
  '4.4': 'dns',
  '4.7': 'expired',
  '7.8': 'policy',
};

const PERSON =
  '(?:user|recipient|mailbox|mail box|account|address|addressee|alias|customer|person|destinat(?:aire|ario|ion address))';
const GONE =
  "(?:unknown|not (?:found|known|exist\\w*|local|listed|recogni[sz]ed|valid|registered|available here)|invalid|does(?: not|n['’]?t) exist|do(?: not|n['’]?t) exist|undefined|inconnu\\w*|invalide|inexistente|desconocido|sconosciuto|unbekannt|existiert nicht|n['’]existe pas|no existe|não existe|non esiste)";
const CLOSED =
  '(?:disabled|inactive|deactivated|closed|expired|archived|suspended|terminated|cancelled|canceled|discontinued|archivee|désactivé\\w*|gesperrt|deaktiviert)';

export const ABOUT_RECIPIENT: readonly CauseRule[] = [
  rule(
    'inactive_user',
    new RegExp(
      `\\b${PERSON}(?:'s)?(?: …)? (?:(?:is|was|has|been|not|available:|currently|permanently|mailbox|account) ){0,4}(?:${CLOSED}|locked)\\b|\\b${CLOSED} (?:mail )?${PERSON}|no longer (?:\\w+ ){0,2}(?:active|available|valid|in use|works?|accept)|mailbox has been (?:closed|disabled)|left the company|account closed`,
    ),
  ),
  rule(
    'unknown_user',
    new RegExp(
      `\\b${PERSON}(?:'s)?(?: (?:…|name|is|was|has|does|rejected:|email|e-mail|account|address))*:? ${GONE}|(?:unknown|invalid|no such|not a valid|nonexistent|non-existent|bad|undeliverable|unrecognized) (?:local |e-?mail |destination )?(?:user|recipient|mailbox|account|address|alias|person|local[ -]part|customer)|does(?: not|n['’]?t) (?:exist|have an? \\S+ account)|no (?:mailbox|account|user|one)(?: \\S+)? (?:here|by that|with that|in)|not our customer|recipient ?not ?found|user not found|no longer exists|destinataire invalide|adresse d au moins un destinataire invalide|empfänger(?:adresse)? (?:ist )?(?:unbekannt|ungültig|existiert nicht)|destinatario (?:non|no) |usuario (?:desconocido|no existe)|utente sconosciuto|usu[aá]rio (?:inexistente|desconhecido)|utilisateur inconnu|пользователь не найден|нет такого|收件人(?:不存在|地址不存在)|用户不存在|不存在|address could not be found|couldn['’]?t be found|name not found|mailbox not found|no such (?:user|recipient|mailbox|address|person)`,
    ),
  ),
  rule(
    'bad_domain',
    /unrouteable (?:address|mail domain)|unroutable (?:address|mail domain)|no such domain|host or domain name not found|(?:recipient|destination) domain(?: \S+)? (?:not found|unknown|does(?: not|n['’]?t) exist|not exist)|bad destination (?:host|system|domain)|(?:domain|host) (?:\S+ )?(?:not (?:local|hosted|handled)|isn't hosted)|not accept(?:ing)? mail for|unknown (?:recipient )?domain|host unknown/,
  ),
  rule(
    'expired',
    /(?:message|delivery time) expired|retry time(?:out)? (?:not reached|exceeded)|retry timeout|delivery timeout|message timeout|too old/,
  ),
  rule('routing', /hop count|too many hops|(?:mail|routing) loop|loops back|routing error|no route to/),
  rule(
    'content',
    /content (?:is |was )?(?:denied|rejected|refused)|message (?:content )?(?:was )?(?:rejected|refused|denied)|(?:missing|invalid|duplicate|malformed|multiple) (?:\S+ )?(?:header|address in from)|message format|non-compliant|missing from header/,
  ),
  rule('dns', /name server|dns (?:query|lookup|error|failure)|nxdomain|servfail/),
  rule(
    'connection',
    /no answer|connection (?:refused|timed out)|host (?:is )?(?:unreachable|not reachable)|network (?:is )?unreachable|no route/,
  ),
  rule('timeout', /connection (?:lost|reset|dropped|closed)|lost connection|network error|timed out|timeout/),
  rule(
    'protocol',
    /bad sequence|command (?:not |un)(?:recogni[sz]ed|implemented)|syntax error|no valid recipients|pipelining|need (?:mail|rcpt)|nested mail/,
  ),
];

/** Names of blocklists as replies spell them. */
export const BLOCKLIST_NAMES: readonly [name: string, pattern: RegExp][] = [
  ['Spamhaus DBL', /spamhaus (?:dbl|domain)|dbl\.spamhaus/],
  ['Spamhaus XBL', /spamhaus xbl|xbl\.spamhaus|exploits block list|spamhaus\.org\/xbl/],
  ['Spamhaus PBL', /spamhaus pbl|pbl\.spamhaus/],
  ['Spamhaus SBL', /spamhaus sbl|sbl\.spamhaus/],
  ['Spamhaus', /spamhaus/],
  ['SpamCop', /spamcop/],
  ['Barracuda', /barracuda/],
  ['SORBS', /sorbs/],
  ['UCEPROTECT', /uceprotect/],
  ['Cloudmark', /cloudmark|csi\.cloudmark/],
  ['Abusix', /abusix/],
  ['Mailspike', /mailspike/],
  ['Invaluement', /invaluement/],
  ['PSBL', /psbl/],
  ['SURBL', /surbl/],
  ['URIBL', /uribl/],
  ['Proofpoint', /proofpoint/],
  ['Trend Micro', /trend micro/],
  ['Validity', /senderscore|sender score/],
  ['NiX Spam', /nixspam|ix\.dnsbl/],
];
