import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Attempt, MessageRecord, Outcome } from '../../lib/engine/items.ts';
import { feedbackId, sesEvents } from '../../lib/outcome/events.ts';
import { mayChangeSuppression, suppressionChange } from '../../lib/outcome/suppression.ts';
import { ACCEPTED_AT, attempt, MESSAGE_ID, messageRecord, outcome } from '../support/outcomes.ts';

const CONTEXT = { region: 'us-east-1', accountId: '123456789012', hostname: 'mta1.example.org' };
const AT = '2026-01-01T00:00:01.000Z';
const FEEDBACK_ID = /^0100[0-9a-f]{12}-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}-000000$/;

const MAIL = {
  timestamp: '2026-01-01T00:00:00.000Z',
  source: 'Sender <s@example.org>',
  sourceArn: 'arn:aws:ses:us-east-1:123456789012:identity/example.org',
  sendingAccountId: '123456789012',
  messageId: MESSAGE_ID,
  destination: ['user@example.com'],
  headersTruncated: true,
  headers: [
    { name: 'From', value: 'Sender <s@example.org>' },
    { name: 'To', value: 'user@example.com' },
    { name: 'Subject', value: 'Hi' },
    { name: 'Message-ID', value: `<${MESSAGE_ID}@example.org>` },
  ],
  commonHeaders: { ...messageRecord().commonHeaders, messageId: MESSAGE_ID },
  tags: { 'ses:configuration-set': ['cs'], 'ses:source-ip': ['192.0.2.1'], campaign: ['x'] },
};
const ATTEMPT_MAIL = { ...MAIL, tags: { ...MAIL.tags, 'ses:outgoing-ip': ['192.0.2.25'] } };

/** An event as its consumer reads it. */
interface EventJson {
  eventType: string;
  mail: unknown;
  bounce: {
    bounceType: string;
    bounceSubType: string;
    bouncedRecipients: { status: string; diagnosticCode: string }[];
    feedbackId?: string;
  };
  complaint: { feedbackId?: string };
  deliveryDelay: { delayType: string };
}

/** The one event of an outcome, as it leaves in JSON; feedback ids are checked and taken out. */
function event(of: Outcome, record = messageRecord()): EventJson {
  const events = sesEvents(record, of, CONTEXT);
  assert.equal(events.length, 1);
  const json = JSON.parse(JSON.stringify(events[0])) as EventJson;
  for (const part of [json.bounce, json.complaint] as (EventJson['complaint'] | undefined)[]) {
    if (!part) continue;
    assert.match(part.feedbackId ?? '', FEEDBACK_ID);
    delete part.feedbackId;
  }
  return json;
}

function tried(change: Partial<Attempt>): Outcome {
  return outcome('attempt', { attempt: attempt(change) });
}

function refused(text: string, change: Partial<Attempt> = {}): Outcome {
  return tried({ state: 'bounced', reason: 'peer_permanent', text, ...change });
}

describe('SES events', () => {
  it('Send', () => {
    assert.deepEqual(event(outcome('accepted', { n: undefined })), {
      eventType: 'Send',
      mail: MAIL,
      send: {},
    });
  });

  it('Delivery', () => {
    assert.deepEqual(event(tried({})), {
      eventType: 'Delivery',
      mail: ATTEMPT_MAIL,
      delivery: {
        timestamp: AT,
        processingTimeMillis: 546,
        recipients: ['user@example.com'],
        smtpResponse: '250 2.0.0 OK gsmtp',
        reportingMTA: 'mta1.example.org',
        remoteMtaIp: '198.51.100.9',
      },
    });
  });

  it('Bounce', () => {
    assert.deepEqual(event(refused('550 5.1.1 user unknown')), {
      eventType: 'Bounce',
      mail: ATTEMPT_MAIL,
      bounce: {
        bounceType: 'Permanent',
        bounceSubType: 'General',
        bouncedRecipients: [
          {
            emailAddress: 'user@example.com',
            action: 'failed',
            status: '5.1.1',
            diagnosticCode: 'smtp; 550 5.1.1 user unknown',
          },
        ],
        timestamp: AT,
        reportingMTA: 'dns; mta1.example.org',
        remoteMtaIp: '198.51.100.9',
      },
    });
  });

  it('Bounce, by its cause', () => {
    const rows: [Outcome, string, string, RegExp][] = [
      [
        refused('552 5.2.2 mailbox full'),
        'Transient/MailboxFull',
        '5.2.2',
        /^smtp; 552 5\.2\.2 mailbox full$/,
      ],
      [
        refused('552 5.3.4 too big', { reason: 'over_peer_size' }),
        'Transient/MessageTooLarge',
        '5.3.4',
        /too big/,
      ],
      [
        refused('550 Mail content denied'),
        'Transient/ContentRejected',
        '5.0.0',
        /^smtp; 550 Mail content denied$/,
      ],
      [refused('554 Virus found'), 'Transient/AttachmentRejected', '5.0.0', /Virus/],
      [refused('550 no'), 'Undetermined/Undetermined', '5.0.0', /^smtp; 550 no$/],
      [
        refused('No such domain', { reason: 'dns_no_domain', ip: undefined, mx: undefined }),
        'Permanent/General',
        '5.1.2',
        /^smtp; 550 5\.1\.2 No such domain$/,
      ],
      [
        tried({ state: 'expired', reason: 'expired', text: '451 4.7.1 greylisted' }),
        'Transient/General',
        '4.4.7',
        /^smtp; 554 4\.4\.7 Message expired: unable to deliver in 840 minutes\.<451 4\.7\.1 greylisted>$/,
      ],
      [
        tried({ state: 'suppressed', reason: 'suppressed', text: 'On the list.' }),
        'Permanent/OnTenantSuppressionList',
        '5.1.1',
        /^On the list\.$/,
      ],
    ];
    for (const [of, type, status, diagnosticCode] of rows) {
      const { bounce } = event(of);
      assert.equal(`${bounce.bounceType}/${bounce.bounceSubType}`, type);
      assert.equal(bounce.bouncedRecipients[0]!.status, status);
      assert.match(bounce.bouncedRecipients[0]!.diagnosticCode, diagnosticCode);
    }
    const listed = tried({ state: 'suppressed', reason: 'suppressed', text: 'On the list.' });
    for (const change of [{ tenant: 'default' }, { tenant: 'shop', suppressionList: 'default' }]) {
      const { bounce } = event(listed, messageRecord(change));
      assert.equal(bounce.bounceSubType, 'OnAccountSuppressionList');
    }
    const simulator = messageRecord({ recipients: ['suppressionlist@simulator.amazonses.com'] });
    const of = tried({ state: 'bounced', reason: 'suppressed', text: 'Amazon SES has suppressed …' });
    assert.equal(event(of, simulator).bounce.bounceSubType, 'Suppressed');
  });

  it('Bounce of a later report', () => {
    const detail = {
      recipient: 'user@example.com',
      action: 'failed',
      status: '5.1.1',
      diagnosticCode: 'smtp; 550 5.1.1 user unknown',
      reportingMta: 'dns; mx.example.com',
      text: 'x',
      category: 'bad-mailbox',
      bounce: { type: 'Permanent', subType: 'General' },
      hard: true,
    };
    assert.deepEqual(event(outcome('bounce', { detail })).bounce, {
      bounceType: 'Permanent',
      bounceSubType: 'General',
      bouncedRecipients: [
        {
          emailAddress: 'user@example.com',
          action: 'failed',
          status: '5.1.1',
          diagnosticCode: 'smtp; 550 5.1.1 user unknown',
        },
      ],
      timestamp: AT,
      reportingMTA: 'dns; mx.example.com',
    });
  });

  it('Complaint', () => {
    const detail = { feedbackType: 'abuse', userAgent: 'Yahoo!-Mail-Feedback/2.0', arrivalDate: ACCEPTED_AT };
    assert.deepEqual(event(outcome('complaint', { detail })), {
      eventType: 'Complaint',
      mail: MAIL,
      complaint: {
        complainedRecipients: [{ emailAddress: 'user@example.com' }],
        timestamp: AT,
        complaintSubType: null,
        userAgent: 'Yahoo!-Mail-Feedback/2.0',
        complaintFeedbackType: 'abuse',
        arrivalDate: '2026-01-01T00:00:00.000Z',
      },
    });
  });

  it('Open and Click, of one recipient or of several', () => {
    const by = { ipAddress: '192.0.2.7', userAgent: 'Reader/1.0' };
    for (const n of [0, undefined]) {
      assert.deepEqual(event(outcome('open', { n, detail: by })), {
        eventType: 'Open',
        mail: MAIL,
        open: { ...by, timestamp: AT, isBotEvent: 'Unlikely' },
      });
      const click = { ...by, link: 'https://a.example/', linkTags: { k: ['v'] } };
      assert.deepEqual(event(outcome('click', { n, detail: { ...click, place: 0 } })), {
        eventType: 'Click',
        mail: MAIL,
        click: { ...click, timestamp: AT, isBotEvent: 'Likely' },
      });
      const opened = outcome('open', { n, detail: by });
      assert.equal(suppressionChange(messageRecord(), opened), undefined);
    }
  });

  it('Reject and Rendering Failure', () => {
    assert.deepEqual(event(outcome('reject', { detail: { reason: 'Bad content' } })), {
      eventType: 'Reject',
      mail: MAIL,
      reject: { reason: 'Bad content' },
    });
    const failure = {
      templateName: 'T',
      errorMessage: "Attribute 'name' is not present in the rendering data.",
    };
    assert.deepEqual(event(outcome('rendering-failure', { detail: failure })), {
      eventType: 'Rendering Failure',
      mail: MAIL,
      failure,
    });
  });

  it('DeliveryDelay', () => {
    const of = tried({
      state: 'deferred',
      reason: 'connect_failed',
      text: 'mx.example.com did not answer',
      ip: undefined,
    });
    assert.deepEqual(event(of), {
      eventType: 'DeliveryDelay',
      mail: MAIL,
      deliveryDelay: {
        timestamp: AT,
        delayType: 'TransientCommunicationFailure',
        expirationTime: '2026-01-01T14:00:00.000Z',
        reportingMTA: 'mta1.example.org',
        delayedRecipients: [
          {
            emailAddress: 'user@example.com',
            status: '4.4.1',
            diagnosticCode: 'smtp; 451 4.4.1 mx.example.com did not answer',
          },
        ],
      },
    });
  });

  it('DeliveryDelay, by its cause', () => {
    const greeting = [{ phase: 'greeting', code: 421, text: '' }];
    const rows: [Partial<Attempt>, string][] = [
      [{ reason: 'peer_temporary', text: '452 4.2.2 mailbox full' }, 'MailboxFull'],
      [{ reason: 'peer_temporary', text: '421 4.7.0 blocked using spamhaus' }, 'SpamDetected'],
      [{ reason: 'peer_temporary', text: '421 4.7.0 too many connections', replies: greeting }, 'IPFailure'],
      [{ reason: 'peer_temporary', text: '450 4.2.0 Greylisted' }, 'General'],
      [{ reason: 'peer_temporary', text: '451 4.3.0 internal error' }, 'RecipientServerError'],
      [{ reason: 'peer_protocol', text: '999 what' }, 'RecipientServerError'],
      [{ reason: 'connection_lost', text: 'reset' }, 'TransientCommunicationFailure'],
      [{ reason: 'dns_failure', text: 'SERVFAIL' }, 'TransientCommunicationFailure'],
      [{ reason: 'uncertain', text: 'reset' }, 'Undetermined'],
      [{ reason: 'no_source_ip', text: 'none' }, 'InternalFailure'],
    ];
    for (const [change, type] of rows) {
      assert.equal(event(tried({ state: 'deferred', ...change })).deliveryDelay.delayType, type, change.text);
    }
  });

  it('gives no event for a cancellation, and one for a repeated rendering failure', () => {
    assert.deepEqual(sesEvents(messageRecord(), outcome('cancelled'), CONTEXT), []);
    assert.deepEqual(sesEvents(messageRecord(), outcome('rendering-failure', { n: 1 }), CONTEXT), []);
  });

  it('gives equal ids to equal outcomes only', () => {
    const id = (of: Outcome): string => {
      const [bounce] = sesEvents(messageRecord(), of, CONTEXT);
      assert.ok(bounce?.eventType === 'Bounce');
      return bounce.bounce.feedbackId;
    };
    const of = refused('550 5.1.1 x');
    assert.equal(id(of), id(structuredClone(of)));
    assert.notEqual(id(of), id({ ...of, n: 1 }));
    assert.notEqual(id(of), id({ ...of, at: of.at + 1 }));
  });
});

const bounceDetail = (hard: boolean, recipient?: string) => ({ hard, recipient });

describe('suppression', () => {
  const rows: [string, Outcome, string | undefined][] = [
    ['a refused mailbox', refused('550 5.1.1 user unknown'), 'add BOUNCE'],
    ['a domain that does not exist', refused('x', { reason: 'dns_no_domain' }), 'add BOUNCE'],
    ['a disabled mailbox', refused('550 5.2.1 mailbox disabled'), 'add BOUNCE'],
    ['a full mailbox', refused('552 5.2.2 over quota'), undefined],
    ['a blocklist', refused('554 5.7.1 blocked using zen.spamhaus.org'), undefined],
    [
      'a deferral',
      tried({ state: 'deferred', reason: 'peer_temporary', text: '450 5.1.1 user unknown' }),
      undefined,
    ],
    ['an expiry', tried({ state: 'expired', reason: 'expired', text: '550 5.1.1 user unknown' }), undefined],
    ['an address suppressed already', refused('x', { reason: 'suppressed' }), undefined],
    ['a hard report', outcome('bounce', { detail: bounceDetail(true, 'USER@example.com') }), 'add BOUNCE'],
    ['a hard report without a name', outcome('bounce', { detail: bounceDetail(true) }), 'add BOUNCE'],
    ['a soft report', outcome('bounce', { detail: bounceDetail(false) }), undefined],
    ['a report about another', outcome('bounce', { detail: bounceDetail(true, 'o@example.net') }), undefined],
    ['a complaint', outcome('complaint', { detail: { feedbackType: 'abuse' } }), 'add COMPLAINT'],
    ['not spam', outcome('complaint', { detail: { feedbackType: 'not-spam' } }), 'remove COMPLAINT'],
    ['a signature report', outcome('complaint', { detail: { feedbackType: 'auth-failure' } }), undefined],
    ['an acceptance', outcome('accepted'), undefined],
    ['a delivery', tried({}), undefined],
  ];
  for (const [name, of, expected] of rows) {
    it(name, () => {
      const change = suppressionChange(messageRecord(), of);
      assert.equal(change && `${change.action} ${change.entry.reason}`, expected);
      if (change || of.kind === 'bounce') assert.equal(mayChangeSuppression(of), true);
      if (change) {
        const { tenant, address, at, messageId } = change.entry;
        assert.deepEqual(
          [tenant, address, at, messageId],
          ['tenant-1', 'user@example.com', of.at, MESSAGE_ID],
        );
        assert.equal(change.entry.feedbackId, feedbackId(of));
      }
      const simulator = messageRecord({ recipients: ['bounce+1@simulator.amazonses.com'] });
      assert.equal(suppressionChange(simulator, of), undefined);
    });
  }

  it('adds for the reasons of the message only, and removes for any reason', () => {
    const bounce = refused('550 5.1.1 user unknown');
    const complaint = outcome('complaint', { detail: { feedbackType: 'abuse' } });
    const regret = outcome('complaint', { detail: { feedbackType: 'not-spam' } });
    const asked = (suppressedReasons: MessageRecord['suppressedReasons']) =>
      [bounce, complaint, regret].map(
        (of) => suppressionChange(messageRecord({ suppressedReasons }), of)?.action,
      );
    assert.deepEqual(asked(undefined), ['add', 'add', 'remove']);
    assert.deepEqual(asked(['COMPLAINT']), ['none', 'add', 'remove']);
    assert.deepEqual(asked([]), ['none', 'none', 'remove']);
  });

  it('changes the list that applied to the message, and tells why', () => {
    const entryOf = (of: Outcome) =>
      suppressionChange(messageRecord({ suppressionList: 'default' }), of)!.entry;
    const refusedBy = entryOf(refused('550 5.1.1 user unknown'));
    assert.deepEqual([refusedBy.tenant, refusedBy.why], ['default', '550 5.1.1 user unknown']);
    const detail = { feedbackType: 'abuse', userAgent: 'A'.repeat(500) };
    const complained = entryOf(outcome('complaint', { detail }));
    assert.match(complained.why!, /^Complaint \(abuse\) reported by A+$/);
    assert.equal(complained.why!.length, 300);
    const diagnosticCode = 'smtp; 550 5.1.1 no such user';
    const reported = entryOf(outcome('bounce', { detail: { ...bounceDetail(true), diagnosticCode } }));
    assert.equal(reported.why, diagnosticCode);
  });
});
