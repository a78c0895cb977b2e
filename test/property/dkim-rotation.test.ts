/**
 * A year and a half of a domain whose keys take turns, with crashes between any two writes, a zone that is late, caches, and DNS
 * that does not answer: whenever mail arrives, its signature verifies.
 */
import assert from 'node:assert/strict';
import { createPublicKey } from 'node:crypto';
import { test } from 'node:test';
import { MAX_SCHEDULE } from '../../lib/accept/open.ts';
import { openControl } from '../../lib/control/control.ts';
import { publishedKey } from '../../lib/control/dkim-keys.ts';
import { KEPT } from '../../lib/control/dkim-rotation.ts';
import type { Control } from '../../lib/control/types.ts';
import { LIFETIME } from '../../lib/mail/dkim.ts';
import { type Clock, DAY, HOUR } from '../../lib/time.ts';
import { seededRandom } from '../support/clock.ts';
import { MASTER_KEY } from '../support/control.ts';
import { TestConfig } from '../support/engine.ts';

const ZONE = 'dkim.mail.example.net';
const NAME = 'example.com';
const STEP = 12 * HOUR;
const SPAN = 560 * DAY;
const START = Date.UTC(2026, 0, 1);
/** The longest that a resolver keeps what a name had before. */
const TTL = 6 * DAY;

/** Mail on its way: with which key it was signed, and when it is verified. */
interface Signed {
  selector: string;
  publicKey: string;
  signedAt: number;
  arrivesAt: number;
}

/** A store that fails before or after some of its writes, as where a process dies. */
class CrashingConfig extends TestConfig {
  crash: () => boolean = () => false;

  override async put(...call: Parameters<TestConfig['put']>): Promise<number> {
    if (this.crash()) throw new Error('died before a write');
    const version = await super.put(...call);
    if (this.crash()) throw new Error('died after a write');
    return version;
  }
}

class World {
  at = START;
  /** Without timers: those of other rooms would run a million times. */
  readonly clock: Clock = { now: () => this.at, after: () => () => {} };
  readonly config = new CrashingConfig();
  readonly random: () => number;
  /** What the world sees of the zone, which may be late. */
  readonly seen = new Map<string, { value: string; at: number }>();
  /** Until when the zone is not written. */
  lateUntil = 0;
  aliases = true;
  answers = true;
  readonly mail: Signed[] = [];
  verified = 0;
  control!: Control;

  constructor(seed: number) {
    this.random = seededRandom(seed);
  }

  async start(): Promise<void> {
    this.control = await this.open();
    await this.control.identities.create({ name: NAME, tenant: 'a', keyLength: 'RSA_1024_BIT' });
    await this.publish();
    await this.control.identities.check(NAME);
  }

  /** A process: what it holds in memory ends with it. */
  open(): Promise<Control> {
    return openControl({
      config: this.config,
      masterKey: MASTER_KEY,
      clock: this.clock,
      verifyIdentities: true,
      dkimZone: { name: ZONE, elsewhere: false },
      resolveTxt: (name) => this.resolve(name),
    });
  }

  async resolve(name: string): Promise<string[][]> {
    if (!this.answers) throw Object.assign(new Error('SERVFAIL'), { code: 'ESERVFAIL' });
    const found = this.aliases ? this.seen.get(name.split('.')[0]!) : undefined;
    if (!found) throw Object.assign(new Error('none'), { code: 'ENOTFOUND' });
    return [[found.value]];
  }

  /** The zone as it is in the store, after its time. */
  async publish(): Promise<void> {
    if (this.at < this.lateUntil) return;
    const records = await this.control.dkimZone!.list();
    const tokens = new Set(records.map(({ token }) => token));
    for (const { token, value } of records)
      if (this.seen.get(token)?.value !== value) this.seen.set(token, { value, at: this.at });
    for (const token of this.seen.keys()) if (!tokens.has(token)) this.seen.delete(token);
  }

  async sign(): Promise<void> {
    const identity = (await this.control.identities.find(NAME))!;
    assert.equal(identity.verified, true, 'mail is taken all the time');
    for (const { selector, privateKey } of await this.control.identities.signingKeys(identity)) {
      const publicKey = publicKeyOf(privateKey);
      // Scheduled for later, or queued for days: as late as a signature may be verified.
      const late = this.random() < 0.5 ? this.random() * 14 * DAY : MAX_SCHEDULE + LIFETIME * 1000;
      const now = this.at;
      this.mail.push({ selector, publicKey, signedAt: now, arrivesAt: now + late });
    }
  }

  /** Verifies what has arrived, by an answer that may be from a cache. */
  verify(): void {
    const now = this.at;
    for (const [at, one] of [...this.mail.entries()].reverse()) {
      if (one.arrivesAt > now) continue;
      this.mail.splice(at, 1);
      this.verified += 1;
      const found = this.seen.get(one.selector);
      const age = (time: number) => ((time - one.signedAt) / DAY).toFixed(1);
      assert.equal(found && publishedKey(found.value), one.publicKey, `mail of ${age(now)} days ago`);
      // What was there before may still be in a cache.
      assert.ok(
        found!.at <= one.signedAt - TTL || found!.at === START,
        `signed ${age(found!.at)} days before`,
      );
    }
  }

  async step(hostile: boolean): Promise<void> {
    this.at += STEP;
    const now = this.at;
    const { random } = this;
    const works: (() => Promise<unknown>)[] = [
      () => this.control.identities.recheck(),
      () => this.control.identities.turnKeys(),
    ];
    if (hostile) {
      this.answers = random() > 0.1;
      if (random() < 0.01) this.lateUntil = now + random() * 12 * DAY;
      this.config.crash = () => random() < 0.2;
      // An operator who wants another key before its time.
      if (random() < 0.02) works.push(() => this.control.identities.setSigning(NAME, { anew: true }));
    }
    for (const work of works) {
      try {
        await work();
      } catch (error) {
        if (!(error instanceof Error && /died/.test(error.message))) throw error;
        this.config.crash = () => false;
        this.control = await this.open();
      }
    }
    this.config.crash = () => false;
    await this.publish();
    await this.sign();
    this.verify();
  }
}

const publicKeys = new Map<string, string>();

function publicKeyOf(privateKey: string): string {
  let known = publicKeys.get(privateKey);
  if (known === undefined) {
    known = createPublicKey(privateKey).export({ format: 'der', type: 'spki' }).toString('base64');
    publicKeys.set(privateKey, known);
  }
  return known;
}

test('a key is published for as long as what it signed may be verified', () => {
  assert.ok(KEPT >= MAX_SCHEDULE + LIFETIME * 1000 + DAY);
});

test('keys take turns by themselves every 90 days or so, and no signature fails', async () => {
  const world = new World(1);
  await world.start();
  const turns: number[] = [];
  let signing = world.mail.at(-1)?.selector;
  for (let time = 0; time < SPAN; time += STEP) {
    await world.step(false);
    const now = world.mail.at(-1)!.selector;
    if (signing !== undefined && now !== signing) turns.push(Math.round((world.at - START) / DAY));
    signing = now;
  }
  assert.equal(turns.length, 6, turns.join());
  for (const [at, day] of turns.entries()) {
    const before = turns[at - 1] ?? 0;
    assert.ok(day - before >= 90 && day - before <= 92, turns.join());
  }
  assert.equal(new Set(world.seen.keys()).size, 3, 'under the three tokens that the domain published once');
  assert.ok(world.verified > 1_000);
});

for (const seed of [2, 3])
  test(`no signature fails, whatever dies, is late or does not answer: ${seed}`, async () => {
    const world = new World(seed);
    await world.start();
    const keys = new Set<string>();
    for (let time = 0; time < SPAN; time += STEP) {
      await world.step(true);
      keys.add(world.mail.at(-1)!.publicKey);
    }
    assert.ok(keys.size >= 4, `and keys take turns: ${keys.size}`);
    assert.ok(world.verified > 1_000);
  });

test('a standby that the world never sees takes no turn', async () => {
  const world = new World(5);
  await world.start();
  world.lateUntil = Number.POSITIVE_INFINITY;
  const overdue: string[] = [];
  for (let time = 0; time < 130 * DAY; time += STEP) {
    await world.step(false);
    overdue.push(...(await world.control.identities.turnKeys()).overdue);
  }
  assert.equal(new Set(world.mail.map(({ selector }) => selector)).size, 1);
  assert.ok(overdue.length > 0, 'the operator is told');
  // The zone is written again: it goes on.
  world.lateUntil = 0;
  for (let time = 0; time < 12 * DAY; time += STEP) await world.step(false);
  assert.equal(new Set(world.mail.slice(-4).map(({ selector }) => selector)).size, 1);
  assert.notEqual(world.mail.at(-1)!.selector, world.mail[0]!.selector);
});
