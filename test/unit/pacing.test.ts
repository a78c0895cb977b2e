import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { seeded } from '../../bench/simulate/random.ts';
import { Concurrency } from '../../lib/shaping/feedback/concurrency.ts';
import { type HeldRate, MessageRate } from '../../lib/shaping/feedback/message-rate.ts';
import { throttles } from '../../lib/shaping/feedback/throttling.ts';
import { type Pace, Pacer, paceOf, perSecond, readRate } from '../../lib/shaping/rate.ts';

/** Times of events when one is always waiting and timers are `late` ms late. */
function times(pace: Pace, count: number, start: number, late: (n: number) => number = () => 0): number[] {
  const pacer = new Pacer();
  const taken: number[] = [];
  let now = start;
  for (let i = 0; i < count; i += 1) {
    const wait = pacer.wait(now, pace);
    if (wait > 0) now = Math.ceil(now + wait) + late(i);
    pacer.take(now, pace);
    taken.push(now - start);
  }
  return taken;
}

describe('pacing', () => {
  it('reads rates as they are written', () => {
    assert.deepEqual(readRate('100/s'), { count: 100, per: 1000, text: '100/s' });
    assert.deepEqual(readRate('1/min'), { count: 1, per: 60_000, text: '1/min' });
    assert.equal(readRate('10000/d')!.per, 86_400_000);
    for (const wrong of ['0/s', '-1/s', '1/week', '1.5/s', '', 5, undefined])
      assert.equal(readRate(wrong), undefined);
    assert.equal(perSecond(0.01).text, '36/h');
  });

  it('spaces events evenly, below a second', () => {
    const spaces = times(paceOf(readRate('10/s')), 50, 1e12).map((at, i, all) => at - (all[i - 1] ?? -100));
    assert.ok(
      spaces.every((space) => Math.abs(space - 100) <= 5),
      spaces.join(),
    );
  });

  it('compensates for late timers, so that a backlog uses the whole rate', () => {
    const taken = times(paceOf(readRate('100/s')), 10_001, 1e12, (n) => n % 4);
    assert.ok(10_000 / (taken.at(-1)! / 1000) >= 98, `${taken.at(-1)}`);
  });

  it('allows no burst after an idle hour', () => {
    const pacer = new Pacer();
    const pace = paceOf(readRate('10/s'));
    pacer.take(1e12, pace);
    pacer.take(1e12 + 3_600_000, pace);
    assert.ok(pacer.wait(1e12 + 3_600_000, pace) > 90);
  });

  it('applies a higher rate from the last event on, and a lower one from the next event', () => {
    const [slow, fast] = [paceOf(readRate('36/h')), paceOf(readRate('10/s'))];
    const pacer = new Pacer();
    pacer.take(1e12, slow);
    assert.ok(pacer.wait(1e12 + 1000, slow) > 98_000);
    assert.equal(pacer.wait(1e12 + 1000, fast), 0, 'a removed limit holds nothing back');
    pacer.take(1e12 + 1000, fast);
    assert.ok(pacer.wait(1e12 + 1010, fast) > 80, 'the new limit holds');
    assert.ok(pacer.wait(1e12 + 1010, slow) < 100);
    pacer.take(1e12 + 1101, slow);
    assert.ok(pacer.wait(1e12 + 1101, slow) > 99_000);
  });

  it('never exceeds the current pace while the pace changes', () => {
    const paces = ['10/s', '2/s', '50/s', '1/min', '20/s'].map((text) => paceOf(readRate(text)));
    const pacer = new Pacer();
    let now = 1e12;
    let before: number | undefined;
    for (let i = 0; i < 2_000; i += 1) {
      const pace = paces[Math.floor(i / 7) % paces.length]!;
      now += pacer.wait(now, pace);
      const space = now - (before ?? 0);
      // Within a stretch of one pace. The first event after a change may use the earlier pace, if that is faster.
      if (i % 7 > 1) assert.ok(space >= pace.interval - 2 * pace.tolerance, `${space} at ${pace.interval}`);
      pacer.take(now, pace);
      before = now;
    }
  });

  it('lets a tenth of a minute of connections open at once, and no more', () => {
    const taken = times(paceOf(readRate('100/min'), true), 200, 1e12);
    assert.equal(taken.filter((at) => at === 0).length, 8);
    for (let i = 0; i + 100 < taken.length; i += 1) assert.ok(taken[i + 100]! - taken[i]! >= 60_000);
  });
});

describe('connections by feedback', () => {
  it('open by one with each successful cohort, up to the limit', () => {
    const feedback = new Concurrency();
    assert.equal(feedback.window(20), 5);
    assert.equal(feedback.window(2), 2);
    for (let i = 0; i < 5; i += 1) feedback.good(20);
    assert.equal(feedback.window(20), 6);
    for (let i = 0; i < 1000; i += 1) feedback.good(20);
    assert.equal(feedback.window(20), 20);
  });

  it('close by one at the first fault, and by another only after a cohort of faults', () => {
    const feedback = new Concurrency();
    feedback.fault(5, 20);
    assert.equal(feedback.window(20), 4);
    for (let i = 0; i < 3; i += 1) feedback.fault(5, 20);
    assert.equal(feedback.window(20), 4, 'attempts under way already are no new fault');
    feedback.fault(5, 20);
    assert.equal(feedback.window(20), 3);
  });

  it('never fall below one', () => {
    const feedback = new Concurrency();
    for (let i = 0; i < 100; i += 1) feedback.fault(1, 20);
    assert.equal(feedback.window(20), 1);
  });

  it('mark a site dead after the given number of fault cohorts in a row, and grow slowly when it is back', () => {
    const feedback = new Concurrency();
    for (let i = 0; i < 4; i += 1) feedback.fault(5, 20);
    assert.equal(feedback.dead(1), false);
    feedback.good(20);
    for (let i = 0; i < 2; i += 1) feedback.fault(5, 20);
    assert.equal(feedback.dead(1), false, 'a success was between them');
    for (let i = 0; i < 3; i += 1) feedback.fault(5, 20);
    assert.equal(feedback.dead(1), true);
    assert.equal(feedback.dead(3), false);
    feedback.revive();
    assert.equal(feedback.dead(1), false);
    assert.equal(feedback.window(20), 1);
  });
});

/** A provider that accepts `limit(now)` messages/s, with a burst of `burst` seconds. */
function feed(options: {
  seconds: number;
  limit: (now: number) => number;
  rtt: number;
  most: number;
  burst?: number;
}) {
  const { seconds, limit, rtt, most, burst = 1 } = options;
  const learnt = new MessageRate();
  const pacer = new Pacer();
  const replies: { at: number; startedAt: number; taken: boolean }[] = [];
  let head = 0;
  let tokens = 0;
  let sent = 0;
  let deferred = 0;
  let possible = 0;
  for (let now = 0; now < seconds * 1000; now += 1) {
    const allowed = limit(now);
    possible += Math.min(allowed, most) / 1000;
    tokens = Math.min(Math.max(2, allowed * burst), tokens + allowed / 1000);
    for (; head < replies.length && replies[head]!.at <= now; head += 1) {
      const { taken, startedAt } = replies[head]!;
      if (taken) learnt.taken(now);
      else learnt.throttled(now, startedAt, most);
    }
    for (;;) {
      const pace = paceOf(perSecond(Math.min(most, learnt.rate(now))));
      if (now < learnt.pausedUntil || pacer.wait(now, pace) > 0) break;
      pacer.take(now, pace);
      const taken = tokens >= 1;
      if (taken) tokens -= 1;
      else deferred += 1;
      sent += 1;
      replies.push({ at: now + rtt, startedAt: now, taken });
    }
  }
  return { use: (sent - deferred) / possible, deferred: deferred / sent, learnt };
}

describe('the message rate by replies', () => {
  const step =
    (base: number, period: number) =>
    (now: number): number =>
      base * [1, 0.5, 1, 1.5, 0.75, 1.25][Math.floor(now / period) % 6]!;

  for (const [base, rtt] of [
    [1, 100],
    [10, 100],
    [50, 100],
    [50, 300],
    [200, 100],
  ] as const) {
    it(`finds a hidden limit about ${base} a second that moves by half: ≥ 90 % of it, ≤ 3 % deferred`, () => {
      const { use, deferred } = feed({
        // A slow limit takes longer to show as much.
        seconds: base === 1 ? 7200 : 1800,
        limit: step(base, base === 1 ? 600_000 : 300_000),
        rtt,
        most: base * 5,
      });
      assert.ok(use >= 0.9, `use ${use}`);
      assert.ok(deferred <= 0.03, `deferred ${deferred}`);
    });
  }

  it('follows a limit that rises and falls all the time', () => {
    const limit = (now: number): number => 50 * (1 + 0.5 * Math.sin((now / 600_000) * 2 * Math.PI));
    const { use, deferred } = feed({ seconds: 1800, limit, rtt: 200, most: 1000 });
    assert.ok(use >= 0.9 && deferred <= 0.03, `${use} ${deferred}`);
  });

  it('backs off from a provider that accepts nothing, longer each time, and probes with one message', () => {
    const { deferred, learnt } = feed({
      seconds: 1200,
      limit: (now) => (now > 300_000 && now < 900_000 ? 0 : 20),
      rtt: 100,
      most: 100,
    });
    assert.ok(deferred < 0.05, `${deferred}`);
    assert.equal(learnt.held, true);
  });

  for (const share of [0.1, 0.5]) {
    it(`recovers within minutes after half an hour at ${share * 100} % accepted and a restart`, () => {
      const STORM = 1_800_000;
      const random = seeded(7);
      let rate = new MessageRate();
      let now = 0;
      /** One message at a time, each as soon as the rate and the pause allow. @returns whether it was accepted. */
      const send = (): boolean => {
        const slot = now + 1000 / Math.min(200, rate.rate(now));
        const started = Math.max(now, slot, rate.pausedUntil);
        now = started + 80;
        const taken = started >= STORM || random() < share;
        if (taken) rate.taken(now);
        else rate.throttled(now, started, Number.POSITIVE_INFINITY);
        return taken;
      };
      while (now < STORM) send();
      const state = JSON.parse(JSON.stringify(rate.state)) as HeldRate;
      rate = new MessageRate();
      rate.resume(state);
      const end = now;
      for (let i = 0; i < 10; i += 1) assert.ok(send());
      assert.ok(now - end < 120_000, `10 messages: ${now - end} ms`);
      for (let i = 0; i < 90; i += 1) assert.ok(send());
      assert.ok(now - end < 180_000, `100 messages: ${now - end} ms`);
    });
  }

  it('sets no rate before a throttling reply, and ends it in time', () => {
    const rate = new MessageRate();
    rate.taken(1000);
    assert.equal(rate.rate(1000), Number.POSITIVE_INFINITY);
    for (let now = 1000; now < 11_000; now += 100) rate.taken(now);
    rate.throttled(11_000, 10_900, 100);
    assert.ok(rate.rate(11_000) < 10 && rate.rate(11_000) > 9, `${rate.rate(11_000)}`);
    const held = rate.rate(11_000);
    rate.throttled(11_050, 10_950, 100);
    assert.equal(rate.rate(11_000), held, 'that attempt began before');
    rate.rate(11_000 + 86_400_000);
    assert.equal(rate.held, false);
  });
});

describe('a throttling reply', () => {
  const cases: [number, string | undefined, string, 'rate' | 'connections' | undefined][] = [
    [421, '4.7.28', 'Our system has detected an unusual rate of unsolicited mail', 'rate'],
    [421, '4.7.0', '[TSS04] Messages from 192.0.2.1 temporarily deferred due to unexpected volume', 'rate'],
    [451, '4.7.500', 'Server busy. Please try again later from [192.0.2.1].', 'rate'],
    [450, undefined, 'rate limited, slow down', 'rate'],
    [421, '4.3.2', 'Too many messages from your host', 'rate'],
    [421, '4.7.0', 'Too many concurrent SMTP connections from this IP', 'connections'],
    [421, undefined, 'Trop de connexions, veuillez verifier', 'connections'],
    [450, '4.2.1', 'The user you are trying to contact is receiving mail at a rate that prevents', undefined],
    [452, '4.2.2', 'The email account is over quota', undefined],
    [451, '4.7.1', 'Greylisted, too many messages, try again later', undefined],
    [450, '4.1.1', 'rate limited address lookup', undefined],
    [550, '5.7.1', 'rate limit exceeded', undefined],
    [451, undefined, 'try again later', undefined],
  ];
  for (const [code, enhanced, text, less] of cases) {
    it(`${code} ${text.slice(0, 40)}: ${less ?? 'nothing'}`, () => {
      assert.equal(throttles({ code, enhanced, lines: [text] }), less);
    });
  }
});
