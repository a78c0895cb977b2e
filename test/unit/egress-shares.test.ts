/** The share of an IP's connections that one tenant, and silent peers, may hold. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import type { Resolver } from '../../lib/dns/resolver.ts';
import { DEFAULT_DEADLINES } from '../../lib/smtp/deadlines.ts';
import { limits, TestEgress } from '../support/egress.ts';
import type { FakeSession } from '../support/egress-fakes.ts';
import { settled } from '../support/engine.ts';

const IP_LIMIT = 50;
/** A fifth of the limit; three quarters of that; three quarters of the limit. */
const UNPROVEN = 10;
const UNPROVEN_OF_ONE = 7;
const OF_ONE = 37;

let node: TestEgress;
/** Address of the hosts of a domain, where it is not in a network of its own. */
let addresses: Record<string, string>;

/** `mx.<n>.test` is in a network of its own. */
const resolver = {
  resolve: async (name: string, type: string) => {
    const expiresAt = Number.POSITIVE_INFINITY;
    if (type === 'MX')
      return { kind: 'found', records: [{ preference: 10, exchange: `mx.${name}` }], expiresAt };
    const domain = name.slice('mx.'.length);
    const address = addresses[domain] ?? `8.8.${/\d+/.exec(domain)?.[0] ?? 255}.1`;
    const family = address.includes(':') ? 'AAAA' : 'A';
    return type === family ? { kind: 'found', records: [address], expiresAt } : { kind: 'empty', expiresAt };
  },
} as unknown as Resolver;

beforeEach(() => {
  addresses = {};
  node = new TestEgress(resolver);
});

afterEach(() => node.stop());

function start(ipConnections = IP_LIMIT): void {
  node.start({ limits: limits({ ipConnections, connectionRate: 'unlimited' }) });
}

/** Enqueues mail of a tenant to a number of sites, some for each. */
function send(tenant: string, sites: number, { each = 10, from = 0 } = {}): void {
  for (let n = from; n < from + sites; n += 1)
    for (let i = 0; i < each; i += 1) node.enqueue({ tenant, domain: `s${n}.test` });
}

const open = (): FakeSession[] => node.sessions.filter(({ state }) => state !== 'closed');
const of = (tenant: string): FakeSession[] =>
  open().filter(({ taken }) => (taken[0] as unknown as { tenant: string } | undefined)?.tenant === tenant);

/** The peers accept all connections. */
async function letIn(seconds = 3): Promise<void> {
  for (let i = 0; i < seconds; i += 1) {
    await settled();
    for (const session of node.sessions) if (session.state === 'opening') session.opened();
    await node.pass(1000);
  }
}

/** Each site answers one message over each connection. */
async function prove(sites: number, tenant = 'prover'): Promise<void> {
  send(tenant, sites, { each: 1 });
  await settled();
  for (let round = 0; round < sites; round += 1) {
    for (const session of node.sessions) {
      if (session.state === 'opening') session.opened();
      while (session.taken.length > 0) session.finish();
    }
    await settled();
  }
  for (const session of open()) session.end('quit', 'quit');
  assert.equal(open().length, 0);
}

const reasons = (): string[] => node.egress.sites().map(({ reason }) => reason?.text ?? '');

describe('sites that have not answered a message', () => {
  it('have a fifth of the connections of an IP, and three quarters of those for one tenant', async () => {
    start();
    send('beta', 30);
    await letIn();
    assert.equal(open().length, UNPROVEN_OF_ONE);
    send('gamma', 30, { from: 100 });
    await letIn();
    assert.deepEqual([of('beta').length, of('gamma').length], [UNPROVEN_OF_ONE, 3]);
    assert.equal(open().length, UNPROVEN);
  });

  it('are named as the cause in explain and in metrics', async () => {
    start();
    send('beta', 30);
    send('gamma', 30, { from: 100 });
    await letIn();
    const text =
      /^All 10 connections are in use that sites that have not answered a message may have \(ipConnections, /;
    assert.ok(reasons().some((reason) => text.test(reason)));
    assert.ok(node.egress.waiting().some(({ limit }) => limit === 'unproven sites'));
    const [explained] = await node.egress.explain({ domain: 's29.test', tenant: 'beta' });
    assert.equal(explained!.binding?.limit, 'connections to unproven sites');
    assert.equal(explained!.binding?.used, '10 of 10 open');
  });

  it('no longer count once they have answered, so that the next site is tried', async () => {
    start();
    send('beta', 30, { each: 2 });
    await letIn();
    const before = node.sessions.length;
    for (const session of open()) session.finish();
    await settled();
    assert.equal(node.sessions.length, before + UNPROVEN_OF_ONE, 'at once');
    assert.equal(open().length, 2 * UNPROVEN_OF_ONE);
  });

  it('leave the rest of the connections to sites that answer', async () => {
    start();
    await prove(8);
    send('beta', 30, { from: 100 });
    send('gamma', 30, { from: 140 });
    await letIn();
    assert.equal(open().length, UNPROVEN);
    send('alpha', 8, { each: 20 });
    await letIn();
    assert.ok(of('alpha').length > UNPROVEN, `${of('alpha').length}`);
  });

  it('count again after a timeout', async () => {
    start();
    await prove(20);
    send('beta', 20, { each: 1 });
    await letIn();
    assert.equal(open().length, 20, 'all of them have answered before');
    for (const session of open()) {
      session.finish({ kind: 'unsent', phase: 'mail', code: 'peer_timeout' });
      session.end('peer_timeout', 'mail');
    }
    send('beta', 20, { each: 1 });
    await letIn();
    assert.equal(open().length, UNPROVEN_OF_ONE);
  });

  it('count as one site when they are in one network', async () => {
    for (let n = 0; n < 30; n += 1) addresses[`s${n}.test`] = `9.9.9.${n + 1}`;
    for (let n = 30; n < 60; n += 1) addresses[`s${n}.test`] = `2a00:1:2:${n}::1`;
    node.start({ limits: limits({ connections: 3, connectionRate: 'unlimited' }) });
    send('beta', 60, { each: 1 });
    await letIn();
    const at = (start: string) => open().filter(({ options }) => options.address.startsWith(start)).length;
    assert.deepEqual([at('9.9.9.'), at('2a00:1:2:')], [3, 3]);
    assert.ok(reasons().some((text) => text.includes('at 9.9.9.0/24 (connections, ')));
    assert.ok(reasons().some((text) => text.includes('at 2a00:1:2::/48 (connections, ')));
  });

  it('get shorter deadlines, but for the body, once half of their connections are in use', async () => {
    start();
    send('beta', 30, { each: 1 });
    await letIn();
    const deadlines = node.sessions.map(({ options }) => options.deadlines);
    assert.deepEqual(
      deadlines.map(({ mail }) => mail / 1000),
      [300, 300, 300, 300, 300, 60, 60],
    );
    const { dataBlock, dataEnd, quit } = DEFAULT_DEADLINES;
    assert.deepEqual(deadlines.at(-1), {
      ...{ connect: 15_000, greeting: 60_000, ehlo: 60_000, starttls: 60_000 },
      ...{ mail: 60_000, rcpt: 60_000, dataInit: 60_000, dataBlock, dataEnd, quit },
    });
  });

  it('have at least two connections', async () => {
    start(4);
    send('beta', 30);
    await letIn();
    assert.equal(open().length, 2);
  });
});

describe('one tenant', () => {
  it('has all connections of an IP without other tenants', async () => {
    start();
    await prove(20, 'beta');
    send('beta', 20, { each: 100 });
    await letIn(6);
    assert.equal(open().length, IP_LIMIT);
  });

  it('has three quarters of the connections of an IP with other tenants', async () => {
    start();
    await prove(20);
    send('beta', 20, { each: 100 });
    await letIn(6);
    assert.equal(open().length, OF_ONE);
    send('alpha', 1, { from: 50, each: 1 });
    send('beta', 1, { from: 60, each: 1 });
    await letIn(1);
    const at = (site: string) => open().filter(({ options }) => options.host === `mx.${site}.test`).length;
    assert.deepEqual([at('s50'), at('s60')], [1, 0]);
    const text = /^Tenant beta has all 37 connections in use that one tenant may have \(ipConnections, /;
    assert.ok(reasons().some((reason) => text.test(reason)));
    assert.ok(node.egress.waiting().some(({ limit }) => limit === 'tenant share'));
    const [explained] = await node.egress.explain({ domain: 's60.test', tenant: 'beta' });
    assert.equal(explained!.binding?.limit, 'connections of tenant=beta');
  });

  it('whose share is used up does not block another at the same site', async () => {
    start();
    await prove(21);
    send('beta', 20, { each: 100 });
    await letIn(6);
    assert.equal(open().length, OF_ONE);
    send('beta', 1, { from: 20, each: 3 });
    await letIn(1);
    const met = () => open().some(({ options }) => options.host === 'mx.s20.test');
    assert.equal(met(), false);
    send('alpha', 1, { from: 20, each: 1 });
    await letIn(1);
    assert.equal(met(), true);
  });
});
