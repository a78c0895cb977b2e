import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { DirectiveKind } from '../../lib/control/directive-store.ts';
import { type DirectiveBounds, type Directives, openDirectives } from '../../lib/control/directives.ts';
import type { Directive } from '../../lib/directives/directive.ts';
import { MINUTE } from '../../lib/time.ts';
import { TestClock } from '../support/clock.ts';
import { failure } from '../support/control.ts';
import { settled, TestConfig } from '../support/engine.ts';

const ADMIN = { operator: 'AKIAADMIN' };

interface Node {
  config: TestConfig;
  clock: TestClock;
  directives: Directives;
}

async function open(
  given: Partial<Node> & { bounds?: Partial<DirectiveBounds>; sweeps?: DirectiveKind[] } = {},
): Promise<Node> {
  const { config = new TestConfig(), clock = new TestClock(), bounds, sweeps } = given;
  return { config, clock, directives: await openDirectives({ config, clock, bounds, sweeps }) };
}

/** Lets the clock pass and every write end. */
async function pass(clock: TestClock, ms: number): Promise<void> {
  clock.advance(ms);
  for (let i = 0; i < 5; i += 1) await settled();
}

const order = (match: object, more: object = {}) => ({
  match,
  action: { kind: 'suspend' },
  reason: 'A test',
  ...more,
});

function raised(
  clock: TestClock,
  more: Partial<Directive> & { site?: string; rule?: string } = {},
): Directive {
  const { site = 'mx.example.net', rule = 'other.rate', ...rest } = more;
  return {
    id: `${rule}/suspend/192.0.2.1 ${site}`,
    match: { ip: '192.0.2.1', site },
    action: { kind: 'suspend' },
    reason: 'Too much mail',
    until: clock.now() + 8 * MINUTE,
    origin: { rule, reply: '421 Slow down' },
    ...rest,
  };
}

const facts = { ip: '192.0.2.1', site: 'mx.example.net', tenant: 'acme' };

describe("an operator's order", () => {
  test('is in force here and on every other node, and after a restart', async () => {
    const { config, clock, directives } = await open();
    const other = await open({ config, clock });
    const given = await directives.order(order({ tenant: 'acme' }), ADMIN);
    assert.deepEqual(directives.match(facts, clock.now()).by, given);
    await settled();
    for (const node of [other, await open({ config, clock })]) {
      assert.deepEqual(node.directives.match(facts, clock.now()).by, given);
      assert.deepEqual(node.directives.list(), [
        { ...order({ tenant: 'acme' }), id: given.id, origin: ADMIN, at: clock.now() },
      ]);
    }
    assert.equal(await other.directives.remove(given.id), true);
    await settled();
    assert.equal(directives.match(facts, clock.now()).action, 'none');
    assert.equal(await directives.remove(given.id), false);
  });

  test('given again replaces itself; the same of a tenant is another one', async () => {
    const { clock, directives } = await open();
    const first = await directives.order(order({ tenant: 'acme' }), ADMIN);
    clock.advance(MINUTE);
    const second = await directives.order(order({ tenant: 'acme' }, { reason: 'Still' }), ADMIN);
    assert.deepEqual([second.id, second.reason, second.at], [first.id, 'Still', first.at]);
    const theirs = { operator: 'AKIAUSER', tenant: 'acme' };
    const third = await directives.order(order({ tenant: 'acme' }, { until: clock.now() + 1 }), theirs);
    assert.notEqual(third.id, first.id);
    assert.equal(directives.list().length, 2);
    assert.equal(directives.match(facts, clock.now()).by?.id, first.id);
  });

  test('ends at its expiry, and is deleted from the store later', async () => {
    const { config, clock, directives } = await open();
    const { id } = await directives.order(order({ tenant: 'acme' }, { until: clock.now() + MINUTE }), ADMIN);
    await pass(clock, MINUTE - 1);
    assert.equal(directives.list().length, 1);
    await pass(clock, 1);
    assert.deepEqual([directives.list(), directives.find(id)], [[], undefined]);
    assert.match(await config.dump(), new RegExp(id));
    for (let i = 0; i < 12; i += 1) await pass(clock, MINUTE);
    assert.equal(await config.dump(), '');
  });

  test('that is invalid changes nothing', async () => {
    const { config, clock, directives } = await open();
    await assert.rejects(
      directives.order(order({ tenantt: 'acme' }), ADMIN),
      failure('bad_request', /^match\.tenantt/),
    );
    await assert.rejects(
      directives.order(order({}, { until: clock.now() }), ADMIN),
      failure('bad_request', /^until/),
    );
    assert.deepEqual([await config.dump(), directives.list()], ['', []]);
  });

  test('is refused above the limit, and not at it', async () => {
    const { clock, directives } = await open({ bounds: { orders: 2 } });
    const tenant = (name: string) => ({ operator: 'AKIAUSER', tenant: name });
    await directives.order(order({ tenant: 'a' }), tenant('a'));
    const until = clock.now() + MINUTE;
    await directives.order(order({ tenant: 'a', campaign: 'x' }, { until }), tenant('a'));
    const third = () => directives.order(order({ tenant: 'a', campaign: 'y' }), tenant('a'));
    await assert.rejects(third(), failure('limit_exceeded', /has 2 directives/));
    await directives.order(order({ tenant: 'a', campaign: 'x' }, { reason: 'Again' }), tenant('a'));
    await directives.order(order({ tenant: 'b' }), tenant('b'));
    await directives.order(order({ tenant: 'a' }), ADMIN);
  });
});

describe('a directive that a rule raises', () => {
  test('is in force at once, stored within a second, and then on every node', async () => {
    const { config, clock, directives } = await open();
    const other = await open({ config, clock });
    directives.raise([raised(clock)]);
    assert.deepEqual(directives.match(facts, clock.now()).by?.origin, {
      rule: 'other.rate',
      reply: '421 Slow down',
    });
    assert.equal(config.writes, 0);
    await pass(clock, 1_000);
    assert.equal(config.writes, 1);
    assert.deepEqual(other.directives.list(), directives.list());
    const later = await open({ config, clock });
    assert.equal(later.directives.match(facts, clock.now()).action, 'suspend');
  });

  test('lasts longer when it is raised again, and a storm costs few writes', async () => {
    const { config, clock, directives } = await open();
    const other = await open({ config, clock });
    for (let i = 0; i < 16 * 60; i += 1) {
      directives.raise(Array.from({ length: 20 }, () => raised(clock)));
      await pass(clock, 1_000);
      // The store always has at least seven eighths of the remaining time.
      const stored = other.directives.list()[0]!;
      assert.ok(stored.until! - clock.now() >= 7 * MINUTE - 2_000, String(stored.until! - clock.now()));
    }
    assert.ok(config.writes <= 17, `${config.writes} writes in two times its time`);
    assert.equal(directives.list()[0]!.raised, 16 * 60 * 20);
    await pass(clock, 8 * MINUTE);
    assert.equal(directives.match(facts, clock.now()).action, 'none');
  });

  test('is never shortened by a node with an earlier end', async () => {
    const { config, clock, directives } = await open();
    const other = await open({ config, clock });
    directives.raise([raised(clock)]);
    other.directives.raise([raised(clock, { until: clock.now() + MINUTE })]);
    await pass(clock, 1_000);
    await pass(clock, 1_000);
    for (const node of [directives, other.directives, (await open({ config, clock })).directives]) {
      assert.equal(node.list()[0]!.until, clock.now() + 8 * MINUTE - 2_000);
    }
  });

  test('can be lifted, also before it was stored', async () => {
    const { config, clock, directives } = await open();
    const other = await open({ config, clock });
    const directive = raised(clock);
    directives.raise([directive]);
    directives.lift([directive.id]);
    await pass(clock, 1_000);
    assert.deepEqual([config.writes, directives.list()], [0, []]);
    directives.raise([directive]);
    await pass(clock, 1_000);
    directives.lift([directive.id]);
    assert.equal(directives.match(facts, clock.now()).action, 'none');
    await pass(clock, 1_000);
    assert.deepEqual([await config.dump(), other.directives.list()], ['', []]);
    directives.lift(['nothing']);
  });

  test('can be removed by an operator on another node, while it is being prolonged', async () => {
    const { config, clock, directives } = await open();
    const other = await open({ config, clock });
    directives.raise([raised(clock)]);
    await pass(clock, 1_000);
    directives.raise([raised(clock, { until: clock.now() + 60 * MINUTE })]);
    await other.directives.remove(raised(clock).id);
    await pass(clock, 1_000);
    assert.deepEqual([await config.dump(), directives.list(), other.directives.list()], ['', [], []]);
    directives.raise([raised(clock)]);
    await pass(clock, 1_000);
    assert.equal(other.directives.list().length, 1, 'but the next reply raises it anew');
  });

  test('outlives an unavailable store', async () => {
    const { config, clock, directives } = await open();
    config.failing = true;
    directives.raise([raised(clock)]);
    await pass(clock, 1_000);
    await pass(clock, 1_000);
    assert.equal(directives.match(facts, clock.now()).action, 'suspend');
    config.failing = false;
    await pass(clock, 1_000);
    assert.equal((await open({ config, clock })).directives.list().length, 1);
  });

  test('is stored when the node stops', async () => {
    const { config, clock, directives } = await open();
    directives.raise([raised(clock)]);
    await directives.close();
    assert.deepEqual([config.watchers, clock.pending], [0, 0]);
    assert.equal((await open({ config, clock })).directives.list().length, 1);
  });

  test('is bounded per rule, so that a hostile host cannot push out those of other rules', async () => {
    const { config, clock, directives } = await open({ bounds: { perRule: 10, automatic: 1_000 } });
    directives.raise([raised(clock, { rule: 'google.rate' })]);
    for (let n = 0; n < 100; n += 1) {
      directives.raise([raised(clock, { site: `mx${n}.example`, until: clock.now() + MINUTE + n })]);
    }
    assert.deepEqual(directives.figures(), { operator: 0, automatic: 11, dropped: 90 });
    const kept = directives.list().map(({ match }) => match.site);
    assert.ok(
      kept.includes('mx.example.net') && kept.includes('mx99.example') && !kept.includes('mx89.example'),
    );
    await pass(clock, 1_000);
    assert.equal(config.writes, 11);
  });

  test('is bounded in total: the rule with the most directives loses one', async () => {
    const { clock, directives } = await open({ bounds: { perRule: 10, automatic: 12 } });
    for (let n = 0; n < 10; n += 1) directives.raise([raised(clock, { site: `mx${n}.example` })]);
    for (let n = 0; n < 5; n += 1) directives.raise([raised(clock, { rule: `rule-${n}` })]);
    assert.deepEqual(directives.figures(), { operator: 0, automatic: 12, dropped: 3 });
    assert.equal(directives.list().filter((one) => one.id.startsWith('rule-')).length, 5);
  });

  test('may be for a site of many hosts', async () => {
    const { config, clock, directives } = await open();
    const site = `(${Array.from({ length: 50 }, (_, n) => `host${n}.long-name`).join(',')}).example.net`;
    const directive = raised(clock, { site });
    directives.raise([directive, directive, raised(clock, { site: `${site}x` })]);
    await pass(clock, 1_000);
    const listed = directives.list();
    assert.equal(listed.length, 2);
    for (const { id } of listed) assert.ok(id.length <= 255);
    assert.equal(directives.find(directive.id)?.match.site, site);
    directives.lift([directive.id]);
    await pass(clock, 1_000);
    assert.equal((await open({ config, clock })).directives.list().length, 1);
  });

  test('names its rule and its end', async () => {
    const { clock, directives } = await open();
    for (const wrong of [{ until: undefined }, { origin: ADMIN }]) {
      assert.throws(
        () => directives.raise([raised(clock, wrong)]),
        failure('internal', /names its rule and its end/),
      );
    }
  });
});

describe('the kinds of stored directives', () => {
  test('what a rule raises is stored apart from orders, is shown with them, and is removed like them', async () => {
    const { config, clock, directives } = await open();
    const given = await directives.order(order({ tenant: 'acme' }), ADMIN);
    const imposed = await directives.impose(raised(clock, { rule: 'reputation' }));
    directives.raise([raised(clock)]);
    await pass(clock, 1_000);
    const kinds = async (kind: string) => (await config.list(kind)).map(({ key }) => key).sort();
    assert.deepEqual(await kinds('directive'), [imposed.id, given.id].sort());
    assert.deepEqual(await kinds('rule-directive'), [raised(clock).id]);
    const other = await open({ config, clock });
    assert.equal(other.directives.list().length, 3);
    assert.equal(await other.directives.remove(raised(clock).id), true);
    await settled();
    assert.equal(directives.list().length, 2);
  });

  test('no rule lifts an order', async () => {
    const { config, clock, directives } = await open();
    const given = await directives.order(order({ tenant: 'acme' }), ADMIN);
    directives.lift([given.id]);
    await pass(clock, 2_000);
    assert.deepEqual(directives.find(given.id), given);
    assert.ok(await config.get('directive', given.id));
  });

  test('a process sweeps the kinds that it may write', async () => {
    const { config, clock, directives } = await open({ sweeps: ['rules'] });
    await directives.order(order({ tenant: 'acme' }, { until: clock.now() + MINUTE }), ADMIN);
    directives.raise([raised(clock)]);
    await pass(clock, 1_000);
    for (let minute = 0; minute < 20; minute += 1) await pass(clock, MINUTE);
    assert.deepEqual(directives.list(), []);
    assert.equal((await config.list('directive')).length, 1);
    assert.equal((await config.list('rule-directive')).length, 0);
    await open({ config, clock, sweeps: ['orders'] });
    await pass(clock, MINUTE);
    assert.equal((await config.list('directive')).length, 0);
  });
});
