/** Forgetting what was learnt of a site. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { compileRules } from '../../lib/automation/compile.ts';
import { type Directives, openDirectives } from '../../lib/control/directives.ts';
import {
  type ForgottenSites,
  openForgottenSites,
  orderForgotten,
} from '../../lib/control/forgotten-sites.ts';
import type { EgressOptions } from '../../lib/egress/types.ts';
import { LEARNT_TTL } from '../../lib/shaping/site-memory.ts';
import { hostsOf, siteName } from '../../lib/shaping/sites.ts';
import { createSmtpClient } from '../../lib/smtp/client.ts';
import { addressesOfAll, limits, refused, TestEgress } from '../support/egress.ts';
import { settled, TestConfig } from '../support/engine.ts';

const SITE = 'mx.example.test';
const RULES = compileRules([
  {
    id: 'test.slow',
    reason: 'The site asks for less.',
    match: { text: 'slow down' },
    action: { limit: { messageRate: '1/min' } },
    duration: '30m',
    samples: [],
  },
]);

let node: TestEgress;
let config: TestConfig;
let directives: Directives;
let forgotten: ForgottenSites;

async function start(options: Partial<EgressOptions> = {}): Promise<void> {
  node.start({ directives, forgotten, ips: ['127.0.0.1'], limits: limits({ connections: 1 }), ...options });
  await node.bound();
}

const order = () => orderForgotten(config, { site: SITE, at: node.clock.now(), by: 'AKIAOPS' });
/** Lets the peer accept all messages, and a second pass. */
const take = async () => {
  while (node.sessions[0]!.taken.length > 0) node.sessions[0]!.finish();
  await node.pass(1000, 50);
  while (node.sessions[0]!.taken.length > 0) node.sessions[0]!.finish();
};
const open = () => node.sessions.at(-1)!.opened();
const learnt = async () =>
  (await node.egress.explain({ domain: 'example.test' }))[0]!.lines
    .filter(({ origin }) => origin !== 'built-in.default')
    .map(({ limit, origin }) => `${limit} ${origin}`);

beforeEach(async () => {
  node = new TestEgress(addressesOfAll(['8.8.8.1']));
  config = new TestConfig();
  directives = await openDirectives({ config, clock: node.clock });
  forgotten = await openForgottenSites(config, node.clock);
});

afterEach(async () => {
  await node.stop();
  await directives.close();
  forgotten.close();
});

describe('a site that is forgotten', () => {
  it('gets mail at its configured limits again, after a throttling reply', async () => {
    await start({ rules: RULES });
    for (let i = 0; i < 20; i += 1) node.enqueue();
    await settled();
    open();
    node.sessions[0]!.finish();
    node.sessions[0]!.finish(refused(451, 'Too many messages, slow down', '4.7.0'));
    await take();
    await take();
    assert.ok(node.sessions[0]!.seen.length < 6, 'held to a lower rate');
    assert.equal(directives.list().length, 1);
    assert.ok((await learnt()).includes('messageRate learnt'));
    await order();
    await settled();
    assert.deepEqual(directives.list(), [], 'what the rule raised has ended');
    const before = node.sessions[0]!.seen.length;
    for (let i = 0; i < 20; i += 1) node.enqueue();
    await take();
    assert.ok(node.sessions[0]!.seen.length >= before + 20);
    assert.ok(!(await learnt()).includes('messageRate learnt'));
  });

  it('is connected to at once, after a back-off', async () => {
    await start();
    node.enqueue();
    await settled();
    for (let i = 0; i < 5; i += 1) {
      node.sessions.at(-1)!.end('connect_failed', 'connect');
      await node.pass(1000);
    }
    const [failing] = node.egress.sites();
    assert.ok(failing!.failures > 0 && failing!.reason!.until > node.clock.now());
    const before = node.sessions.length;
    node.enqueue();
    await settled();
    assert.equal(node.sessions.length, before);
    assert.deepEqual(node.egress.forget(SITE).sources, [
      { ip: '127.0.0.1', lessons: ['connections', 'backOff'] },
    ]);
    node.enqueue();
    await settled();
    assert.equal(node.sessions.length, before + 1);
    assert.equal(node.egress.sites()[0]!.failures, 0);
  });

  it('keeps the counts of its limits', async () => {
    await start({ limits: limits({ messageRate: '1/min' }) });
    for (let i = 0; i < 2; i += 1) node.enqueue();
    await settled();
    open();
    node.sessions[0]!.finish();
    node.egress.forget(SITE);
    await node.pass(59_000);
    assert.equal(node.sessions[0]!.seen.length, 1);
    await node.pass(2_000);
    assert.equal(node.sessions[0]!.seen.length, 2);
  });

  it('is removed from the checkpoints of its IPs, and other sites stay', async () => {
    await start();
    for (const domain of ['example.test', 'other.test']) node.enqueue({ domain });
    await settled();
    for (let i = 0; i < 5; i += 1) {
      for (const session of [...node.sessions]) session.end('connect_failed', 'connect');
      await node.pass(1000);
    }
    const stored = async () => {
      const checkpoint = await node.engine.others.leases.checkpoint('shaping:127.0.0.1');
      return (checkpoint as { sites: { site: string }[] }).sites.map(({ site }) => site);
    };
    await node.pass(6_000);
    assert.deepEqual((await stored()).sort(), [SITE, 'mx.other.test']);
    await order();
    await node.pass(6_000);
    assert.deepEqual(await stored(), ['mx.other.test']);
  });

  it('has its hosts treated as new', async () => {
    const client = createSmtpClient(node.clock);
    await start({ forgetHost: client.forget });
    node.enqueue();
    await settled();
    for (let i = 0; i < 3; i += 1) {
      node.sessions.at(-1)!.end('tls_failed', 'starttls', undefined, true);
      await node.pass(61_000);
      node.enqueue();
      await settled();
    }
    assert.equal(node.sessions.at(-1)!.options.tls, 'off');
    assert.deepEqual(node.egress.forget(SITE).hosts, [SITE]);
    node.sessions.at(-1)!.end('connect_failed', 'connect');
    await node.pass(1000);
    node.egress.forget(SITE);
    node.enqueue();
    await settled();
    assert.equal(node.sessions.at(-1)!.options.tls, 'opportunistic');
  });
});

describe('stored orders to forget', () => {
  it('are kept for the lifetime of learnt values, and older ones are deleted with the next', async () => {
    await order();
    node.clock.advance(LEARNT_TTL + 700_000);
    assert.ok(forgotten.at(SITE) > 0);
    await orderForgotten(config, { site: 'mx.other.test', at: node.clock.now(), by: 'AKIAOPS' });
    await settled();
    assert.equal(forgotten.at(SITE), 0);
    assert.equal(forgotten.at('mx.other.test'), node.clock.now());
    node.start();
  });
});

describe('the hosts of a site', () => {
  it('are those of its name', () => {
    for (const hosts of [
      ['mx.example'],
      ['a.x.example', 'b.x.example'],
      ['a.example', 'b.test'],
      ['a.b.c', 'b.c'],
    ])
      assert.deepEqual(hostsOf(siteName(hosts)), hosts);
    assert.deepEqual(hostsOf('relay.example:2525'), ['relay.example']);
  });
});
