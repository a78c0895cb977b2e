/** Every event beside the JSON that Amazon SES documents: every member, and no other. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Attempt, Outcome } from '../../lib/engine/items.ts';
import { sampleEvent } from '../../lib/events/sample.ts';
import { sesEvents } from '../../lib/outcome/events.ts';
import { attempt, messageRecord, outcome } from '../support/outcomes.ts';
import { SES_EVENTS } from '../support/ses-event-schema.ts';

const CONTEXT = { region: 'us-east-1', accountId: '123456789012', hostname: 'mta1.example.org' };
const tried = (change: Partial<Attempt>): Outcome => outcome('attempt', { attempt: attempt(change) });
const reader = { ipAddress: '192.0.2.7', userAgent: 'Reader/1.0' };
const topics = {
  unsubscribeAll: false,
  topicSubscriptionStatus: [{ topicName: 'news', subscriptionStatus: 'OptOut' }],
};
const BOUNCED = {
  action: 'failed',
  status: '5.1.1',
  diagnosticCode: 'smtp; 550 5.1.1 no',
  text: 'x',
  category: 'bad-mailbox',
  bounce: { type: 'Permanent', subType: 'General' },
  hard: true,
};

const CASES: Record<keyof typeof SES_EVENTS, Outcome[]> = {
  Send: [outcome('accepted', { n: undefined })],
  Delivery: [tried({}), tried({ mx: undefined, ip: undefined })],
  Bounce: [
    ...[
      '550 5.1.1 user unknown',
      '552 5.2.2 mailbox full',
      '554 Virus found',
      '550 no',
      '550 Mail content denied',
    ].map((text) => tried({ state: 'bounced', reason: 'peer_permanent', text })),
    tried({ state: 'bounced', reason: 'over_peer_size', text: '552 5.3.4 too big' }),
    tried({ state: 'expired', reason: 'expired', text: '451 4.7.1 greylisted' }),
    tried({ state: 'suppressed', reason: 'suppressed', text: 'On the list.', ip: undefined, mx: undefined }),
    outcome('bounce', { detail: BOUNCED }),
    outcome('bounce', {
      detail: { ...BOUNCED, reportingMta: 'dns; mx.example.com', diagnosticCode: undefined },
    }),
  ],
  Complaint: [
    outcome('complaint', { detail: { feedbackType: 'abuse', userAgent: 'x', arrivalDate: 0 } }),
    outcome('complaint', { detail: { feedbackType: 'not-spam' } }),
  ],
  DeliveryDelay: [
    ['connect_failed', 'no answer'],
    ['peer_temporary', '452 4.2.2 mailbox full'],
    ['peer_temporary', '421 4.7.0 blocked using spamhaus'],
    ['peer_temporary', '450 4.2.0 Greylisted'],
    ['uncertain', 'reset'],
    ['no_source_ip', 'none'],
  ].map(([reason, text]) => tried({ state: 'deferred', reason, text })),
  Reject: [outcome('reject', { detail: { reason: 'Bad content' } })],
  'Rendering Failure': [
    outcome('rendering-failure', {
      detail: { templateName: 'T', errorMessage: "Attribute 'name' is missing." },
    }),
    outcome('rendering-failure', { detail: { errorMessage: 'x' } }),
  ],
  Open: [outcome('open', { detail: reader }), outcome('open', { n: undefined, detail: reader })],
  Click: [
    outcome('click', { detail: { ...reader, link: 'https://a.example/', place: 0, linkTags: { k: ['v'] } } }),
    outcome('click', { detail: { ...reader, link: 'https://a.example/', place: 0, linkTags: null } }),
  ],
  Subscription: [
    outcome('subscription', {
      detail: { address: 'user@example.com', contactList: 'l', before: topics, after: topics },
    }),
    outcome('subscription', { detail: { address: 'user@example.com' } }),
  ],
};

/** Records as accept makes them, with and without what is optional. */
const RECORDS = [
  messageRecord(),
  messageRecord({
    configurationSet: undefined,
    tags: {},
    headers: { fields: [['Subject', 'Hi']], truncated: false },
    commonHeaders: {
      from: ['a@example.org'],
      cc: ['c@example.net'],
      replyTo: ['r@example.org'],
      date: 'x',
      messageId: '<m>',
    },
  }),
];

describe('events are SES’s, by schema:', () => {
  for (const [type, outcomes] of Object.entries(CASES)) {
    test(type, () => {
      for (const record of RECORDS) {
        for (const one of outcomes) {
          const [event, ...others] = sesEvents(record, one, CONTEXT);
          assert.deepEqual(others, []);
          const json = JSON.parse(JSON.stringify(event));
          assert.equal(json.eventType, type);
          const result = SES_EVENTS[type as keyof typeof SES_EVENTS].safeParse(json);
          assert.ok(result.success, `${JSON.stringify(result.error?.issues)} in ${JSON.stringify(json)}`);
        }
      }
    });
  }

  test('the made-up one of a test', () => {
    const { json } = sampleEvent({}, 0, CONTEXT);
    const result = SES_EVENTS.Delivery.safeParse(JSON.parse(json));
    assert.ok(result.success, JSON.stringify(result.error?.issues));
  });
});
