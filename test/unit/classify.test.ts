import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { ErrorCode } from '../../lib/errors.ts';
import { ERRORS } from '../../lib/errors.ts';
import { classify } from '../../lib/outcome/classify.ts';
import type { Category } from '../../lib/outcome/diagnosis.ts';
import { diagnose } from '../../lib/outcome/diagnosis.ts';
import { MAX_REPLY_TEXT, readReply, replyText } from '../../lib/outcome/reply.ts';

type Row = [
  peer: string,
  phase: string,
  reply: string,
  state: 'bounced' | 'deferred',
  category: Category,
  subType: string,
  hard?: 'hard',
];

/** Replies as the providers word them, with addresses of the documentation ranges. */
const REPLIES: Row[] = [
  // Gmail
  [
    'gmail',
    'rcpt',
    "550 5.1.1 The email account that you tried to reach does not exist. Please try double-checking the recipient's email address for typos or unnecessary spaces. For more information, go to https://support.google.com/mail/?p=NoSuchUser a1-20020 - gsmtp",
    'bounced',
    'bad-mailbox',
    'General',
    'hard',
  ],
  [
    'gmail',
    'rcpt',
    '550 5.2.1 The email account that you tried to reach is disabled. For more information, go to https://support.google.com/mail/?p=DisabledUser a1 - gsmtp',
    'bounced',
    'inactive-mailbox',
    'General',
    'hard',
  ],
  [
    'gmail',
    'rcpt',
    '550 5.2.1 The user you are trying to contact is receiving mail at a rate that prevents additional messages from being delivered. For more information, please visit https://support.google.com/mail/?p=ReceivingRatePerm a1 - gsmtp',
    'bounced',
    'policy-related',
    'General',
  ],
  [
    'gmail',
    'rcpt',
    '450 4.2.1 The user you are trying to contact is receiving mail at a rate that prevents additional messages from being delivered. Please resend your message at a later time. https://support.google.com/mail/?p=ReceivingRate a1 - gsmtp',
    'deferred',
    'policy-related',
    'General',
  ],
  [
    'gmail',
    'rcpt',
    "452 4.2.2 The recipient's inbox is out of storage space. Please direct the recipient to https://support.google.com/mail/?p=OverQuotaTemp a1 - gsmtp",
    'deferred',
    'quota-issues',
    'MailboxFull',
  ],
  [
    'gmail',
    'rcpt',
    "552 5.2.2 The recipient's inbox is out of storage space and inactive. Please direct the recipient to https://support.google.com/mail/?p=OverQuotaPerm a1 - gsmtp",
    'deferred',
    'quota-issues',
    'MailboxFull',
  ],
  [
    'gmail',
    'body',
    '550 5.7.26 Your email has been blocked because the sender is unauthenticated. Gmail requires all senders to authenticate with either SPF or DKIM. Authentication results: DKIM = did not pass SPF [example.com] with ip: [192.0.2.1] = did not pass a1 - gsmtp',
    'bounced',
    'policy-related',
    'General',
  ],
  [
    'gmail',
    'body',
    '421 4.7.28 Gmail has detected an unusual rate of unsolicited mail originating from your IP address. To protect our users from spam, mail sent from your IP address has been temporarily rate limited. a1 - gsmtp',
    'deferred',
    'policy-related',
    'General',
  ],
  [
    'gmail',
    'body',
    '550 5.7.1 [192.0.2.1] Our system has detected that this message is likely unsolicited mail. To reduce the amount of spam sent to Gmail, this message has been blocked. a1 - gsmtp',
    'bounced',
    'spam-related',
    'General',
  ],
  [
    'gmail',
    'body',
    '550 5.7.25 The IP address sending this message does not have a PTR record setup, or the corresponding forward DNS entry does not match the sending IP. a1 - gsmtp',
    'bounced',
    'policy-related',
    'General',
  ],
  [
    'gmail',
    'body',
    "552 5.3.4 Your message exceeded Google's message size limits. To view our message size guidelines, go to https://support.google.com/mail/?p=MaxSizeError a1 - gsmtp",
    'bounced',
    'content-related',
    'MessageTooLarge',
  ],
  [
    'gmail',
    'body',
    '552 5.7.0 This message was blocked because its content presents a potential security issue. To review our message content and attachment content guidelines, go to https://support.google.com/mail/?p=BlockedMessage a1 - gsmtp',
    'bounced',
    'content-related',
    'AttachmentRejected',
  ],
  [
    'gmail',
    'greeting',
    '421 4.7.0 Temporary System Problem. Try again later (TS1). a1 - gsmtp',
    'deferred',
    'policy-related',
    'General',
  ],
  [
    'gmail',
    'mail',
    '450 4.7.29 This message was not sent over a TLS connection. Please review https://support.google.com/mail/answer/81126 a1 - gsmtp',
    'deferred',
    'policy-related',
    'General',
  ],
  ['gmail', 'mail', '555 5.5.2 Syntax error, goodbye. a1 - gsmtp', 'deferred', 'protocol-errors', 'General'],
  [
    'gmail',
    'body',
    '550 5.7.1 Messages missing a valid address in From: header, or having no From: header, are not accepted. Missing From header. a1 - gsmtp',
    'bounced',
    'content-related',
    'ContentRejected',
  ],
  // Outlook and Microsoft 365
  [
    'outlook',
    'rcpt',
    '550 5.5.0 Requested action not taken: mailbox unavailable (S2017062302). [AM7EUR06FT042.eop-eur06.prod.protection.outlook.com]',
    'bounced',
    'bad-mailbox',
    'General',
    'hard',
  ],
  [
    'outlook',
    'mail',
    "550 5.7.1 Unfortunately, messages from [192.0.2.1] weren't sent. Please contact your Internet service provider since part of their network is on our block list (S3150). You can also refer your provider to http://mail.live.com/mail/troubleshooting.aspx#errors.",
    'deferred',
    'spam-related',
    'General',
  ],
  [
    'outlook',
    'mail',
    '451 4.7.650 The mail server [192.0.2.1] has been temporarily rate limited due to IP reputation. For e-mail delivery information, see https://postmaster.live.com (S775)',
    'deferred',
    'policy-related',
    'General',
  ],
  [
    'outlook',
    'mail',
    '451 4.7.500 Server busy. Please try again later from [192.0.2.1]. (S77719)',
    'deferred',
    'policy-related',
    'General',
  ],
  [
    'outlook',
    'body',
    "550 5.7.515 Access denied, sending domain EXAMPLE.COM doesn't meet the required authentication level. The sender's domain in the 5322.From address doesn't meet the authentication requirements defined for the sender.",
    'bounced',
    'policy-related',
    'General',
  ],
  [
    'outlook',
    'rcpt',
    '550 5.7.606 Access denied, banned sending IP [192.0.2.1]. To request removal from this list please visit https://sender.office.com/ and follow the directions.',
    'bounced',
    'spam-related',
    'General',
  ],
  [
    'outlook',
    'greeting',
    '421 4.3.2 The maximum number of concurrent server connections has exceeded a limit, closing transmission channel',
    'deferred',
    'other',
    'Undetermined',
  ],
  [
    'm365',
    'rcpt',
    '550 5.4.1 Recipient address rejected: Access denied. For more information see https://aka.ms/EXOSmtpErrors [DB8EUR05FT010.eop-eur05.prod.protection.outlook.com]',
    'bounced',
    'bad-mailbox',
    'General',
    'hard',
  ],
  [
    'm365',
    'body',
    '550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup',
    'bounced',
    'bad-mailbox',
    'General',
    'hard',
  ],
  [
    'm365',
    'body',
    '554 5.2.2 mailbox full; STOREDRV.Deliver.Exception:QuotaExceededException.MapiExceptionShutoffQuotaExceeded',
    'bounced',
    'quota-issues',
    'MailboxFull',
  ],
  [
    'm365',
    'rcpt',
    '550 5.7.64 TenantAttribution; Relay Access Denied [VE1EUR01FT033.eop-EUR01.prod.protection.outlook.com]',
    'bounced',
    'relaying-issues',
    'General',
  ],
  [
    'm365',
    'body',
    '550 5.7.509 Access denied, sending domain example.com does not pass DMARC verification and has a DMARC policy of reject.',
    'bounced',
    'policy-related',
    'General',
  ],
  [
    'm365',
    'body',
    '550 5.4.6 Hop count exceeded - possible mail loop',
    'bounced',
    'routing-errors',
    'General',
  ],
  ['m365', 'rcpt', '450 4.4.312 DNS query failed', 'deferred', 'no-answer-from-host', 'General'],
  // Yahoo and AOL
  [
    'yahoo',
    'body',
    "554 delivery error: dd This user doesn't have a yahoo.com account (r@yahoo.com) [0] - mta4212.mail.bf1.yahoo.com",
    'bounced',
    'bad-mailbox',
    'General',
    'hard',
  ],
  [
    'yahoo',
    'body',
    '554 30 Sorry, your message to r@yahoo.com cannot be delivered. This mailbox is disabled (554.30).',
    'bounced',
    'inactive-mailbox',
    'General',
    'hard',
  ],
  [
    'yahoo',
    'rcpt',
    '552 1 Requested mail action aborted, mailbox not found',
    'deferred',
    'bad-mailbox',
    'General',
    'hard',
  ],
  [
    'yahoo',
    'greeting',
    '421 4.7.0 [TSS04] Messages from 192.0.2.1 temporarily deferred due to unexpected volume or user complaints - 4.16.55.1; see https://postmaster.yahooinc.com/error-codes',
    'deferred',
    'policy-related',
    'General',
  ],
  [
    'yahoo',
    'mail',
    '421 4.7.1 [TS03] All messages from 192.0.2.1 will be permanently deferred; Retrying will NOT succeed. See https://postmaster.yahooinc.com/error-codes',
    'deferred',
    'policy-related',
    'General',
  ],
  [
    'yahoo',
    'greeting',
    "553 5.7.1 [BL21] Connections will not be accepted from 192.0.2.1, because the ip is in Spamhaus's list; see https://postmaster.yahooinc.com/error-codes",
    'deferred',
    'spam-related',
    'General',
  ],
  [
    'yahoo',
    'body',
    '554 5.7.9 Message not accepted for policy reasons. See https://postmaster.yahooinc.com/error-codes',
    'bounced',
    'policy-related',
    'General',
  ],
  ['yahoo', 'body', '451 4.3.2 Internal error reading data', 'deferred', 'other', 'Undetermined'],
  // Apple
  [
    'apple',
    'rcpt',
    '550 5.1.1 <r@icloud.com>: user does not exist',
    'bounced',
    'bad-mailbox',
    'General',
    'hard',
  ],
  [
    'apple',
    'rcpt',
    '552 5.2.2 <r@icloud.com>: user is over quota',
    'deferred',
    'quota-issues',
    'MailboxFull',
  ],
  [
    'apple',
    'body',
    '550 5.7.1 [CS01] Message rejected due to local policy. Please visit https://support.apple.com/en-us/HT204137',
    'bounced',
    'policy-related',
    'General',
  ],
  [
    'apple',
    'greeting',
    '450 4.7.1 Service unavailable; try again later (BS02)',
    'deferred',
    'policy-related',
    'General',
  ],
  [
    'apple',
    'body',
    '554 5.7.1 [HM08] Message rejected due to local policy. Please visit https://support.apple.com/en-us/HT204137',
    'bounced',
    'policy-related',
    'General',
  ],
  // Orange
  [
    'orange',
    'greeting',
    '421 opmta1mti02nd1 smtp.orange.fr ME Trop de connexions, veuillez verifier votre configuration. Too many connections, slow down. OFR004_104 [104]',
    'deferred',
    'policy-related',
    'General',
  ],
  [
    'orange',
    'rcpt',
    '550 5.1.1 Adresse d au moins un destinataire invalide. Invalid recipient. OFR_416 [416]',
    'bounced',
    'bad-mailbox',
    'General',
    'hard',
  ],
  [
    'orange',
    'body',
    '550 5.2.0 Mail rejete. Mail rejected. ofr_506 [506]',
    'bounced',
    'spam-related',
    'General',
  ],
  [
    'orange',
    'rcpt',
    '552 5.1.1 Boite du destinataire pleine. Recipient overquota. OFR_417 [417]',
    'deferred',
    'quota-issues',
    'MailboxFull',
  ],
  [
    'orange',
    'rcpt',
    '550 5.5.0 Boite du destinataire archivee. Archived recipient. OFR_418 [418]',
    'bounced',
    'inactive-mailbox',
    'General',
    'hard',
  ],
  [
    'orange',
    'greeting',
    '554 Service refuse. Veuillez essayer plus tard. service refused, please try later. OFR005_100 [100]',
    'deferred',
    'policy-related',
    'General',
  ],
  // GMX and web.de
  [
    'gmx',
    'rcpt',
    '550 Requested action not taken: mailbox unavailable For explanation visit https://postmaster.gmx.net/en/error-messages?ip=192.0.2.1&c=rcpt',
    'bounced',
    'bad-mailbox',
    'General',
    'hard',
  ],
  [
    'gmx',
    'body',
    '550 Requested action not taken: mailbox unavailable For explanation visit https://postmaster.gmx.net/en/error-messages?ip=192.0.2.1&c=hi',
    'bounced',
    'other',
    'Undetermined',
  ],
  [
    'gmx',
    'greeting',
    '554 gmx.net (mxgmx016) Nemesis ESMTP Service not available No SMTP service IP address is black listed. For explanation visit https://postmaster.gmx.net/',
    'deferred',
    'spam-related',
    'General',
  ],
  [
    'gmx',
    'greeting',
    '421 gmx.net (mxgmx116) Nemesis ESMTP Service not available Too many connections',
    'deferred',
    'policy-related',
    'General',
  ],
  [
    'gmx',
    'body',
    '554 Transaction failed Reject due to policy restrictions. For explanation visit https://postmaster.gmx.net/',
    'bounced',
    'policy-related',
    'General',
  ],
  [
    'gmx',
    'body',
    '552 Requested mail action aborted: exceeded storage allocation Quota exceeded',
    'bounced',
    'quota-issues',
    'MailboxFull',
  ],
  // QQ
  [
    'qq',
    'rcpt',
    '550 Mailbox not found. http://service.mail.qq.com/cgi-bin/help?subtype=1&&id=20022&&no=1000728',
    'bounced',
    'bad-mailbox',
    'General',
    'hard',
  ],
  [
    'qq',
    'greeting',
    '550 Ip frequency limited. http://service.mail.qq.com/cgi-bin/help?subtype=1&&id=20022&&no=1000725',
    'deferred',
    'policy-related',
    'General',
  ],
  [
    'qq',
    'mail',
    '550 Domain frequency limited. http://service.mail.qq.com/cgi-bin/help?subtype=1&&id=20022&&no=1000722',
    'deferred',
    'policy-related',
    'General',
  ],
  [
    'qq',
    'body',
    '550 Mail content denied. http://service.mail.qq.com/cgi-bin/help?subtype=1&&id=20022&&no=1000726',
    'bounced',
    'content-related',
    'ContentRejected',
  ],
  [
    'qq',
    'mail',
    '550 Suspected bounce attacks. http://service.mail.qq.com/cgi-bin/help?subtype=1&&no=1000729',
    'deferred',
    'spam-related',
    'General',
  ],
  // Comcast
  ['comcast', 'rcpt', '550 5.1.1 Not our Customer', 'bounced', 'bad-mailbox', 'General', 'hard'],
  [
    'comcast',
    'greeting',
    '554 resimta-h1p-036 comcast 192.0.2.1 Comcast block for spam. Please see https://postmaster.comcast.net/smtp-error-codes.php#BL000000',
    'deferred',
    'spam-related',
    'General',
  ],
  [
    'comcast',
    'mail',
    '421 4.1.0 192.0.2.1 Throttled - try again later. Please see https://postmaster.comcast.net/smtp-error-codes.php#RL000003',
    'deferred',
    'policy-related',
    'General',
  ],
  [
    'comcast',
    'body',
    '552 5.2.0 4nQq1 Message rejected due to suspected spam content',
    'bounced',
    'spam-related',
    'General',
  ],
  [
    'comcast',
    'rcpt',
    '550 5.2.1 <r@comcast.net> Account not available: mailbox is disabled',
    'bounced',
    'inactive-mailbox',
    'General',
    'hard',
  ],
  // Mimecast
  [
    'mimecast',
    'rcpt',
    '550 Invalid Recipient - https://community.mimecast.com/docs/DOC-1369#550 [p3Zr1]',
    'bounced',
    'bad-mailbox',
    'General',
    'hard',
  ],
  [
    'mimecast',
    'rcpt',
    '550 Administrative prohibition - envelope blocked - https://community.mimecast.com/docs/DOC-1369#550 [p3Zr1]',
    'bounced',
    'policy-related',
    'General',
  ],
  [
    'mimecast',
    'rcpt',
    '550 Local CT IP Reputation - (reject) - https://community.mimecast.com/docs/DOC-1369#550',
    'bounced',
    'spam-related',
    'General',
  ],
  [
    'mimecast',
    'body',
    '554 Email rejected due to security policies - https://community.mimecast.com/docs/DOC-1369#554',
    'bounced',
    'policy-related',
    'General',
  ],
  [
    'mimecast',
    'rcpt',
    '451 Internal resources are temporarily unavailable - https://community.mimecast.com/docs/DOC-1369#451',
    'deferred',
    'policy-related',
    'General',
  ],
  ['mimecast', 'body', '554 Virus Signature Detected', 'bounced', 'virus-related', 'AttachmentRejected'],
  // Proofpoint
  [
    'proofpoint',
    'greeting',
    '554 Blocked - see https://ipcheck.proofpoint.com/?ip=192.0.2.1',
    'deferred',
    'spam-related',
    'General',
  ],
  [
    'proofpoint',
    'rcpt',
    '550 5.1.1 <r@example.com>... User unknown',
    'bounced',
    'bad-mailbox',
    'General',
    'hard',
  ],
  ['proofpoint', 'body', '550 5.7.0 Local Policy Violation', 'bounced', 'policy-related', 'General'],
  [
    'proofpoint',
    'greeting',
    '421 Too many concurrent SMTP connections from 192.0.2.1',
    'deferred',
    'policy-related',
    'General',
  ],
  // Servers run by everybody: Postfix, Exim, Exchange, Sendmail
  [
    'postfix',
    'rcpt',
    '550 5.1.1 <r@example.com>: Recipient address rejected: User unknown in virtual mailbox table',
    'bounced',
    'bad-mailbox',
    'General',
    'hard',
  ],
  [
    'postfix',
    'rcpt',
    '554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.org; https://www.spamhaus.org/query/ip/192.0.2.1',
    'bounced',
    'spam-related',
    'General',
  ],
  [
    'postfix',
    'rcpt',
    '550 5.1.1 <r@example.com>: Recipient address rejected: Greylisted, see http://postgrey.example/',
    'bounced',
    'policy-related',
    'General',
  ],
  [
    'postfix',
    'rcpt',
    '450 4.2.0 <r@example.com>: Recipient address rejected: Greylisted',
    'deferred',
    'policy-related',
    'General',
  ],
  [
    'postfix',
    'rcpt',
    '454 4.7.1 <r@example.com>: Relay access denied',
    'deferred',
    'relaying-issues',
    'General',
  ],
  [
    'postfix',
    'rcpt',
    '550 5.1.8 <s@example.org>: Sender address rejected: Domain not found',
    'bounced',
    'invalid-sender',
    'General',
  ],
  [
    'postfix',
    'mail',
    '552 5.3.4 Message size exceeds fixed limit',
    'bounced',
    'content-related',
    'MessageTooLarge',
  ],
  ['postfix', 'data', '554 5.5.1 Error: no valid recipients', 'deferred', 'protocol-errors', 'General'],
  ['exim', 'rcpt', '550 Unrouteable address', 'bounced', 'bad-domain', 'General', 'hard'],
  ['exim', 'rcpt', '550 No such user here', 'bounced', 'bad-mailbox', 'General', 'hard'],
  ['exim', 'rcpt', '503 sender not yet given', 'deferred', 'other', 'Undetermined'],
  [
    'sendmail',
    'rcpt',
    '553 5.3.0 <r@example.com>... No such user here',
    'bounced',
    'bad-mailbox',
    'General',
    'hard',
  ],
  ['anyone', 'rcpt', '556 5.1.10 Domain accepts no mail', 'bounced', 'bad-mailbox', 'General', 'hard'],
  ['anyone', 'rcpt', '556 Go away', 'bounced', 'bad-domain', 'General', 'hard'],
  ['anyone', 'rcpt', '521 example.com does not accept mail', 'deferred', 'other', 'Undetermined'],
  [
    'anyone',
    'mail',
    '530 5.7.0 Must issue a STARTTLS command first',
    'deferred',
    'policy-related',
    'General',
  ],
  ['anyone', 'ehlo', '550 5.1.1 user unknown', 'deferred', 'bad-mailbox', 'General', 'hard'],
  ['anyone', 'rcpt', '550 4.2.1 mailbox busy', 'deferred', 'inactive-mailbox', 'General'],
  ['anyone', 'body', '554 4.4.7 message expired', 'deferred', 'message-expired', 'General'],
  ['anyone', 'rcpt', '450 5.1.1 user unknown', 'deferred', 'bad-mailbox', 'General'],
  ['anyone', 'rcpt', '550', 'bounced', 'other', 'Undetermined'],
  ['anyone', 'rcpt', '501 5.1.3 Bad recipient address syntax', 'bounced', 'bad-mailbox', 'General', 'hard'],
  ['anyone', 'rcpt', '550 5.5.3 Too many recipients', 'bounced', 'policy-related', 'General'],
];

function reply(text: string) {
  const parsed = readReply(text);
  assert.ok(parsed, text);
  return parsed;
}

describe('classify', () => {
  for (const [peer, phase, text, state, category, subType, hard] of REPLIES) {
    it(`${peer}, ${phase}: ${text.slice(0, 70)}`, () => {
      const parsed = reply(text);
      const verdict = classify({ kind: 'refused', phase, reply: parsed });
      assert.equal(verdict.state, state);
      assert.equal(verdict.text, text.slice(0, MAX_REPLY_TEXT));
      const diagnosis = diagnose({ ...parsed, text: parsed.lines.join(' '), phase });
      assert.deepEqual(
        [diagnosis.category, diagnosis.bounce.subType, diagnosis.hard],
        [category, subType, hard === 'hard'],
      );
    });
  }

  it('takes only the phases that name the recipient or carry the content as final', () => {
    for (const phase of ['connect', 'greeting', 'ehlo', 'starttls', 'tls']) {
      const verdict = classify({ kind: 'refused', phase, reply: reply('554 5.7.1 no') });
      assert.equal(verdict.state, 'deferred', phase);
    }
  });

  it('defers what no SMTP reply may say', () => {
    for (const code of [0, -1, 99, 199, 250, 354, 600, 999, 5500, Number.NaN]) {
      const verdict = classify({ kind: 'refused', phase: 'rcpt', reply: { code, lines: ['user unknown'] } });
      assert.deepEqual([verdict.state, verdict.reason], ['deferred', 'peer_protocol'], String(code));
    }
    assert.equal(classify({ kind: 'refused', phase: 'rcpt' }).state, 'deferred');
  });

  it('names the reason', () => {
    const reason = (phase: string, text: string) =>
      classify({ kind: 'refused', phase, reply: reply(text) }).reason;
    assert.equal(reason('rcpt', '550 5.1.1 user unknown'), 'peer_permanent');
    assert.equal(reason('body', '552 5.3.4 too big'), 'over_peer_size');
    assert.equal(reason('rcpt', '451 4.3.0 later'), 'peer_temporary');
    assert.equal(reason('rcpt', '503 5.5.1 bad sequence of commands'), 'peer_protocol');
  });

  it('marks a delivery whose final reply was lost, and tries it again', () => {
    const verdict = classify({ kind: 'uncertain', phase: 'body', code: 'connection_lost', text: 'reset' });
    assert.deepEqual(verdict, { state: 'deferred', reason: 'uncertain', text: 'reset', uncertain: true });
  });

  it('lets the table of errors decide what was never sent', () => {
    for (const code of Object.keys(ERRORS) as ErrorCode[]) {
      const verdict = classify({ kind: 'unsent', phase: 'connect', code, text: 'why' });
      assert.equal(verdict.state, ERRORS[code].temporary ? 'deferred' : 'bounced', code);
      assert.equal(verdict.reason, code);
    }
    assert.equal(classify({ kind: 'unsent', phase: 'mail' }).state, 'deferred');
  });

  it('keeps the reply of a delivery', () => {
    const verdict = classify({ kind: 'accepted', phase: 'body', reply: reply('250 2.0.0 OK gsmtp') });
    assert.deepEqual(verdict, { state: 'delivered', reason: 'delivered', text: '250 2.0.0 OK gsmtp' });
  });

  it('does not slow down on long replies', () => {
    for (const word of ['a ', 'mailbox ', 'over ', 'message ', 'mail from ', 'x']) {
      const lines = [word.repeat(100_000)];
      for (let i = 0; i < 20; i++) classify({ kind: 'refused', phase: 'rcpt', reply: { code: 550, lines } });
    }
  });
});

describe('reply text', () => {
  it('joins lines and reads itself back', () => {
    const text = replyText({ code: 550, enhanced: '5.1.1', lines: ['no such', 'user'] });
    assert.equal(text, '550 5.1.1 no such user');
    assert.deepEqual(readReply(text), { code: 550, enhanced: '5.1.1', lines: ['no such user'] });
    assert.equal(replyText({ code: 421, lines: [''] }), '421');
    assert.deepEqual(readReply('421'), { code: 421, enhanced: undefined, lines: [''] });
  });

  it('is capped, and refuses what is no reply', () => {
    assert.equal(replyText({ code: 550, lines: ['x'.repeat(5000)] }).length, MAX_REPLY_TEXT);
    for (const text of ['', 'user unknown', '55 x', '5501 x', '150 x'])
      assert.equal(readReply(text), undefined);
  });
});
