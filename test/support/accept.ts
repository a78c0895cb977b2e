import assert from 'node:assert/strict';
import { createAccept } from '../../lib/accept/accept.ts';
import type { AcceptDeps, AcceptPolicy } from '../../lib/accept/deps.ts';
import { SendingMeter } from '../../lib/accept/limits.ts';
import type { Accept, Caller, Submission, Submitted } from '../../lib/accept/types.ts';
import { ContactLists } from '../../lib/contacts/contact-lists.ts';
import { Contacts } from '../../lib/contacts/contacts.ts';
import type { Control } from '../../lib/control/types.ts';
import { openMemory } from '../../lib/engine/memory/open.ts';
import type {
  Admission,
  AdmitResult,
  Engine,
  IdempotencyClaim,
  Queue,
  Suppressions,
} from '../../lib/engine/ports.ts';
import type { Suppression } from '../../lib/engine/suppression.ts';
import type { PosternError } from '../../lib/errors.ts';
import { createReferences, type MessageReferences } from '../../lib/mail/message-reference.ts';
import { createReturnPaths, type ReturnPaths } from '../../lib/mail/return-path.ts';
import { createSigner } from '../../lib/mail/signer.ts';
import type { Hooks } from '../../lib/policy/open.ts';
import { DAY } from '../../lib/time.ts';
import type { TestClock } from './clock.ts';
import { seededRandom } from './clock.ts';
import { openTestControl } from './control.ts';
import { BASE, LINKS, UNSUBSCRIBE } from './tracking.ts';

/** The queue of a memory engine, with a record of what it took in. */
class IntakeQueue implements Pick<Queue, 'admit'> {
  readonly admissions: Admission[] = [];
  readonly claims: IdempotencyClaim[] = [];
  /** Answers or throws in place of the engine. */
  next?: () => AdmitResult;
  readonly #queue: Queue;

  constructor({ queue }: Engine) {
    this.#queue = queue;
  }

  async admit(messages: Admission[], claim?: IdempotencyClaim): Promise<AdmitResult> {
    if (this.next) return this.next();
    const result = await this.#queue.admit(messages, claim);
    if (result.kind !== 'admitted') return result;
    this.admissions.push(...messages);
    if (claim) this.claims.push(claim);
    return result;
  }
}

export const CALLER: Caller = { keyId: 'AKIATEST', tenant: 'default', admin: false, sourceIp: '192.0.2.9' };

/** The suppression lists of a memory engine, which may fail, and count the addresses of each lookup. */
class KnownSuppressions implements Pick<Suppressions, 'find' | 'put'> {
  readonly asked: number[] = [];
  failure?: Error;
  readonly #lists: Suppressions;

  constructor({ suppressions }: Engine) {
    this.#lists = suppressions;
  }

  put(entry: Suppression): Promise<boolean> {
    return this.#lists.put(entry);
  }

  async find(addresses: readonly Pick<Suppression, 'tenant' | 'address'>[]) {
    this.asked.push(addresses.length);
    if (this.failure) throw this.failure;
    return this.#lists.find(addresses);
  }
}

export interface TestAccept {
  accept: Accept;
  suppressions: KnownSuppressions;
  contacts: Contacts;
  lists: ContactLists;
  queue: IntakeQueue;
  control: Control;
  clock: TestClock;
  returnPaths: ReturnPaths;
  references: MessageReferences;
}

/** The real pipeline, signer and control over a memory engine; `example.com` may send. */
export async function openTestAccept(
  policy: Partial<AcceptPolicy> = {},
  hooks?: Hooks,
  tracking: AcceptDeps['tracking'] = { links: LINKS, url: BASE },
  bulk?: AcceptDeps['bulk'],
): Promise<TestAccept> {
  const { control, clock } = await openTestControl();
  await control.identities.create({ name: 'example.com', tenant: 'default' });
  const engine = openMemory({ clock });
  const queue = new IntakeQueue(engine);
  const suppressions = new KnownSuppressions(engine);
  const contacts = new Contacts(engine.rows, clock);
  const lists = new ContactLists(engine.rows, clock);
  const returnPaths = createReturnPaths(Buffer.alloc(32, 3));
  const references = createReferences(Buffer.alloc(32, 3));
  const accept = createAccept({
    engine: { queue, records: engine.records, suppressions },
    control,
    contacts,
    signer: createSigner(),
    returnPaths,
    references,
    tracking,
    unsubscribe: UNSUBSCRIBE,
    meter: new SendingMeter({ rows: engine.rows, clock, alone: true }),
    clock,
    random: seededRandom(1),
    region: 'us-east-1',
    accountId: '123456789012',
    hooks,
    bulk,
    policy: {
      maxMessageBytes: 1024 * 1024,
      maxRecipients: 50,
      maxAge: 4 * DAY,
      maxSchedule: 30 * DAY,
      hasPool: (name) => name === 'default' || name === 'vip',
      group: (domain) => (domain === 'gmail.com' ? 'google' : 'other'),
      forwardsFeedback: true,
      returnPathDomain: (fromDomain) => fromDomain,
      ...policy,
    },
  });
  return { accept, suppressions, contacts, lists, queue, control, clock, returnPaths, references };
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
