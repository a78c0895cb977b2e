import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { firstWaiting } from '../../lib/shaping/constraint.ts';
import { learn } from '../../lib/shaping/feedback/learn.ts';
import { LimitBook } from '../../lib/shaping/limits/book.ts';
import { limitTable } from '../../lib/shaping/limits/table.ts';
import { PathLimiter } from '../../lib/shaping/path-limiter.ts';
import { SharedBucket } from '../../lib/shaping/shared-bucket.ts';
import { SharedPermits } from '../../lib/shaping/shared-permits.ts';
import { grantingHost } from '../support/shares.ts';

const SETTINGS = { seed: 20261129, numRuns: 300 };
const START = Date.UTC(2026, 0, 1);
const PATH = { provider: 'other', site: 'mx', routed: false, ip: '203.0.113.1', pool: 'default' };
const MAIL = { domain: 'example.test', tenant: 'acme', class: 'bulk' } as const;
const SLOW_DOWN = { kind: 'refused', reply: { code: 451, lines: ['Too many messages, slow down'] } } as const;
const TAKEN = { kind: 'accepted', reply: { code: 250, lines: ['OK'] } } as const;

const rates = fc.constantFrom('unlimited', '1000/s', '20/s', '100/min', '24/d');
const concurrencies = fc.constantFrom(1, 3, 1000);
const rules = fc.record({
  messageRate: rates,
  concurrency: concurrencies,
  ownRate: rates,
  ownConcurrency: concurrencies,
  shared: fc.constantFrom({ rate: '10/s' }, { quota: '3/d' }, { concurrency: 2 }),
});
type Step = 'send' | 'end' | 'throttle' | 'limits' | number;
const steps = fc.array(
  fc.oneof(
    fc.constantFrom<Step>('send', 'send', 'send', 'end', 'end', 'throttle', 'limits'),
    fc.constantFrom<Step>(0.25, 1, 7, 50, 999, 60_000),
  ),
  { minLength: 1, maxLength: 80 },
);

test('a message may begin when, and only when, no constraint waits', () => {
  fc.assert(
    fc.property(rules, rules, steps, (first, second, list) => {
      const table = ({ messageRate, concurrency, ownRate, ownConcurrency, shared }: typeof first) =>
        limitTable({
          default: {
            messageRate,
            concurrency,
            for: [{ tenant: '*', messageRate: ownRate, concurrency: ownConcurrency }],
          },
          shared: { some: { match: { tenant: 'acme' }, ...shared } },
        });
      const book = new LimitBook(table(first));
      const limiter = new PathLimiter();
      let now = START;
      const host = grantingHost(
        () => now,
        (want) => Math.min(2, want),
      );
      const streamNow = () =>
        limiter.stream(book.at(PATH).of(MAIL).mailLimits!, ({ shared }) => ({
          buckets: shared
            .filter(({ limit }) => limit.concurrency === undefined)
            .map(({ key, limit }) => new SharedBucket(key, limit, host, now)),
          permits: shared
            .filter(({ limit }) => limit.concurrency !== undefined)
            .map(({ key, limit }) => new SharedPermits(key, limit, host, now)),
        }));
      const running: { stream: ReturnType<typeof streamNow>; at: number }[] = [];
      const end = (reply: typeof TAKEN | typeof SLOW_DOWN): void => {
        const one = running.shift();
        if (one === undefined) return;
        limiter.running -= 1;
        one.stream.ended(now);
        learn(limiter, book.at(PATH).own.limits, reply, one.at, now);
      };
      for (const step of list) {
        const { own } = book.at(PATH);
        const stream = streamNow();
        const waits = firstWaiting(limiter.messageConstraints(now, own));
        assert.equal(limiter.messageWait(now, own) <= 0, waits === undefined, waits?.text);
        // `wait` requests missing tokens; both checks after it see the result.
        stream.wait(now);
        const own2 = firstWaiting(stream.constraints(now));
        assert.equal(stream.wait(now) <= 0, own2 === undefined, own2?.text);
        if (step === 'send') {
          if (waits !== undefined || own2 !== undefined) continue;
          limiter.messageStarted(now, own);
          stream.started(now);
          running.push({ stream, at: now });
        } else if (step === 'end') end(TAKEN);
        else if (step === 'throttle') end(SLOW_DOWN);
        else if (step === 'limits') book.replace(table(second));
        else now += step;
      }
    }),
    SETTINGS,
  );
});
