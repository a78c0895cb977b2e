/** The addresses that a node sends from. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { PosternError } from '../../lib/errors.ts';
import { EXAMPLE, TestEgress, zoneResolver } from '../support/egress.ts';
import { settled } from '../support/engine.ts';

let node: TestEgress;

beforeEach(() => {
  node = new TestEgress(zoneResolver(EXAMPLE));
});

afterEach(() => node.stop());

describe('source addresses', () => {
  it('are used in turn, by pool, with their EHLO names', async () => {
    node.start({
      ips: ['127.0.0.1', '127.0.0.2', '127.0.0.3'],
      pools: { marketing: ['127.0.0.3'] },
      ehloNames: { '127.0.0.3': 'm.sender.test' },
    });
    await node.bound();
    node.enqueue();
    node.enqueue();
    node.enqueue({ lane: 'marketing:bulk:other' });
    await settled();
    assert.deepEqual(
      node.sessions.map(({ options }) => `${options.localAddress} ${options.ehloName}`).sort(),
      ['127.0.0.1 out.sender.test', '127.0.0.2 out.sender.test', '127.0.0.3 m.sender.test'],
    );
  });

  it('owned by another node leave the mail to that node', async () => {
    await node.engine.others.leases.acquire('egress-ip:127.0.0.1', 'node-2', 60_000);
    node.start({ ips: ['127.0.0.1', '192.0.2.9'] });
    await node.bound();
    node.enqueue();
    await node.pass(5_000);
    assert.equal(await node.engine.queued(), 1);
    assert.match(node.egress.sources()[0]!.trouble, /Another node holds the lease of 127\.0\.0\.1\./);
  });

  it('whose leases the role of the node may not hold, as those of another node, send nothing and say why', async () => {
    const engine = node.engine.engine();
    const denied =
      'The table leases cannot be used: node-1 is not authorized to perform dynamodb:UpdateItem.';
    node.start({
      ips: ['127.0.0.1'],
      engine: {
        ...engine,
        leases: {
          ...engine.leases,
          acquire: () => Promise.reject(new PosternError('storage_unavailable', denied)),
        },
      },
    });
    await node.bound();
    node.enqueue();
    await node.pass(5_000);
    assert.equal(node.sessions.length, 0);
    assert.equal(await node.engine.queued(), 1);
    assert.deepEqual(node.egress.sources()[0], {
      ...node.egress.sources()[0]!,
      usable: false,
      trouble: `127.0.0.1: ${denied}`,
    });
  });

  it('that this host does not have send nothing, and the mail shows why it waits', async () => {
    node.start({ ips: ['192.0.2.9'] });
    await node.bound();
    node.enqueue();
    await settled();
    assert.equal(node.sessions.length, 0);
    const [release] = node.engine.of('release');
    assert.equal(release!.reason.code, 'no_source_ip');
    assert.match(release!.reason.text, /192\.0\.2\.9: this host does not/);
  });
});
