import assert from 'node:assert/strict';
import { createAccept } from '../../lib/accept/accept.ts';
import type { AcceptDeps, AcceptPolicy } from '../../lib/accept/deps.ts';
import type { Accept, Caller, Submission, Submitted } from '../../lib/accept/types.ts';
import type { Control } from '../../lib/control/types.ts';
import type {
  Admission,
  AdmitResult,
  IdempotencyClaim,
  Queue,
  Records,
  Suppressions,
} from '../../lib/engine/ports.ts';
import { type Suppression, suppressionKey } from '../../lib/engine/suppression.ts';
import type { PosternError } from '../../lib/errors.ts';
import { createReturnPaths, type ReturnPaths } from '../../lib/mail/return-path.ts';
import { createSigner } from '../../lib/mail/signer.ts';
import type { Hooks } from '../../lib/policy/open.ts';
import { DAY } from '../../lib/time.ts';
import type { TestClock } from './clock.ts';
import { seededRandom } from './clock.ts';
import { openTestControl } from './control.ts';
import { BASE, LINKS } from './tracking.ts';

/** A queue that only admits, and shows what was admitted. */
class IntakeQueue implements Pick<Queue, 'admit'>, Pick<Records, 'claim'> {
  readonly admissions: Admission[] = [];
  claims: IdempotencyClaim[] = [];
  /** Answers or throws in place of admission. */
  next?: () => AdmitResult;

  async admit(messages: Admission[], claim?: IdempotencyClaim): Promise<AdmitResult> {
    if (this.next) return this.next();
    this.admissions.push(...messages);
    if (claim) this.claims.push(claim);
    return { kind: 'admitted' };
  }

  async claim(key: string): Promise<{ digest: string; response: string } | undefined> {
    return this.claims.find((claim) => claim.key === key);
  }
}

export const CALLER: Caller = { keyId: 'AKIATEST', tenant: 'default', admin: false, sourceIp: '192.0.2.9' };

/** Suppression lists that count their lookups, and may fail. */
class KnownSuppressions implements Pick<Suppressions, 'find'> {
  readonly entries: Suppression[] = [];
  asked: number[] = [];
  failure?: Error;

  async find(addresses: readonly Pick<Suppression, 'tenant' | 'address'>[]) {
    this.asked.push(addresses.length);
    if (this.failure) throw this.failure;
    return addresses.map(({ tenant, address }) =>
      this.entries.find(
        (entry) => entry.tenant === tenant && suppressionKey(entry.address) === suppressionKey(address),
      ),
    );
  }
}

export interface TestAccept {
  accept: Accept;
  suppressions: KnownSuppressions;
  queue: IntakeQueue;
  control: Control;
  clock: TestClock;
  returnPaths: ReturnPaths;
}

/** The real pipeline, signer and control over a queue that only admits; `example.com` may send. */
export async function openTestAccept(
  policy: Partial<AcceptPolicy> = {},
  hooks?: Hooks,
  tracking: AcceptDeps['tracking'] = { links: LINKS, url: BASE },
): Promise<TestAccept> {
  const { control, clock } = await openTestControl();
  await control.identities.create({ name: 'example.com', tenant: 'default' });
  const queue = new IntakeQueue();
  const suppressions = new KnownSuppressions();
  const returnPaths = createReturnPaths(Buffer.alloc(32, 3));
  const accept = createAccept({
    engine: { queue, records: queue, suppressions },
    control,
    signer: createSigner(),
    returnPaths,
    tracking,
    clock,
    random: seededRandom(1),
    region: 'us-east-1',
    hooks,
    policy: {
      maxMessageBytes: 1024 * 1024,
      maxRecipients: 50,
      maxAge: 4 * DAY,
      maxSchedule: 30 * DAY,
      hasPool: (name) => name === 'default' || name === 'vip',
      group: (domain) => (domain === 'gmail.com' ? 'google' : 'other'),
      returnPathDomain: (identity, fromDomain) => identity.mailFromDomain ?? fromDomain,
      ...policy,
    },
  });
  return { accept, suppressions, queue, control, clock, returnPaths };
}

/** A submission of simple content from example.com. */
export function simple(change: Partial<Submission> = {}): Submission {
  return {
    from: 'Ann <ann@example.com>',
    to: ['bob@gmail.com'],
    cc: [],
    bcc: [],
    replyTo: [],
    content: { kind: 'simple', subject: 'Hello', text: 'Hello Bob.\n' },
    ...change,
  };
}

/** A submission of raw content; lines are joined by CRLF. */
export function raw(lines: string[], change: Partial<Submission> = {}): Submission {
  return {
    to: ['bob@gmail.com'],
    cc: [],
    bcc: [],
    replyTo: [],
    content: { kind: 'raw', bytes: Buffer.from(lines.join('\r\n')) },
    ...change,
  };
}

/** The result of one submission. */
export async function one(t: TestAccept, submission: Submission): Promise<Submitted> {
  return (await t.accept.submit([submission], { door: 'ses-v2', caller: CALLER }))[0]!;
}

/** The error of a refused submission; asserts that nothing was admitted. */
export async function refusal(t: TestAccept, submission: Submission): Promise<PosternError> {
  const result = await one(t, submission);
  assert.ok('error' in result, 'should have been refused');
  assert.equal(t.queue.admissions.length, 0);
  return result.error;
}

/** The admission of an accepted submission. */
export async function accepted(t: TestAccept, submission: Submission) {
  const result = await one(t, submission);
  if ('error' in result) throw result.error;
  const admission = t.queue.admissions.at(-1)!;
  return { messageId: result.messageId, admission, text: Buffer.from(admission.body).toString('latin1') };
}
