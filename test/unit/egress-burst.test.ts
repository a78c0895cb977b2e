/** A burst of mail to a site that had little before: it is sent at the rate of the limit, not of the past demand. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { SessionOptions } from '../../lib/smtp/types.ts';
import { EXAMPLE, limits, TestEgress, zoneResolver } from '../support/egress.ts';
import { FakeSession } from '../support/egress-fakes.ts';

const BURST = 3_000;
const TRICKLE = 30;
/** Time to open a connection, and time to deliver a message, ms. */
const OPENING = 100;
const TAKING = 50;

/** A peer that accepts each message after a delay. */
class PromptSession extends FakeSession {
  readonly #after: (ms: number, call: () => void) => void;
  #finishing = 0;

  constructor(options: SessionOptions, node: TestEgress, opening: number) {
    super(options, node.clock);
    this.#after = (ms, call) => void node.clock.after(ms, call);
    this.#after(opening, () => this.opened());
  }

  override wake(): void {
    super.wake();
    for (; this.#finishing < this.taken.length; this.#finishing += 1) {
      this.#after(TAKING, () => {
        this.#finishing -= 1;
        if (this.state !== 'closed') this.finish();
      });
    }
  }
}

/** Sends a trickle, then a burst. @returns seconds from the burst to its last delivery. */
async function burstAfterTrickle(messageRate: string, opening: number, bulk: boolean): Promise<number> {
  const node = new TestEgress(zoneResolver(EXAMPLE));
  const { clock, engine } = node;
  const lane = `default:${bulk ? 'bulk' : 'transactional'}:other`;
  node.start({
    limits: limits({ messageRate }),
    open: (session) => new PromptSession(session, node, opening),
  });
  let seen = 0;
  let delivered = 0;
  const count = (): void => {
    for (; seen < engine.settlements.length; seen += 1)
      if (engine.settlements[seen]!.kind === 'end') delivered += 1;
  };
  const pass = async (ms: number): Promise<void> => {
    for (let left = ms; left > 0; left -= 50) {
      await node.pass(50, 50);
      count();
    }
  };
  try {
    for (let i = 0; i < TRICKLE; i += 1) {
      node.enqueue({ lane });
      await pass(1000);
    }
    assert.equal(delivered, TRICKLE);
    const begun = clock.now();
    for (let i = 0; i < BURST; i += 1) node.enqueue({ lane });
    while (delivered < TRICKLE + BURST && clock.now() - begun < 600_000) await pass(50);
    assert.equal(delivered, TRICKLE + BURST);
    return (clock.now() - begun) / 1000;
  } finally {
    await node.stop();
  }
}

describe('a burst of 3,000 after a trickle', () => {
  for (const bulk of [true, false]) {
    it(`is delivered at a limit of 100/s without delay (${bulk ? 'bulk' : 'transactional'} mail)`, async () => {
      const seconds = await burstAfterTrickle('100/s', OPENING, bulk);
      assert.ok(seconds <= 35, `${seconds} s`);
    });
  }

  it('is delivered within 60 s when greetings take 6 s', async () => {
    // Each connection waits 6 s, and then carries 100 messages in 5 s.
    const seconds = await burstAfterTrickle('100/s', 6_000, true);
    assert.ok(seconds <= 60, `${seconds} s`);
  });

  it('is delivered at the speed of its connections without a rate limit', async () => {
    // Ten connections, each a message in 50 ms.
    const seconds = await burstAfterTrickle('unlimited', OPENING, true);
    assert.ok(seconds <= 25, `${seconds} s`);
  });
});
