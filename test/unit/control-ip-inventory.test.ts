import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type Installed, IpInventory } from '../../lib/control/ip-inventory.ts';
import { failure, openTestControl } from '../support/control.ts';

const [A, B, C] = ['203.0.113.1', '203.0.113.2', '203.0.113.3'];
const by = 'AKIAADMIN';

async function open(installed: Installed) {
  const { documents } = (await openTestControl()).control;
  return {
    documents,
    put: (ips: unknown[], expect?: number) =>
      new IpInventory(documents, installed).putRouting({ pools: { news: { ips } } }, { by, expect }),
    plans: () => Object.keys((documents.get('warmup', 'default')?.value ?? {}) as object),
  };
}

describe('an address that a routing document adds', () => {
  test('is cold: it gets a warm-up plan with the document', async () => {
    const { documents, put, plans } = await open({ ips: [A] });
    const order: string[] = [];
    for (const kind of ['routing', 'warmup']) documents.watch(kind, () => order.push(kind));
    await put([A, B]);
    assert.deepEqual(plans(), [B], 'the installation had the other');
    assert.deepEqual(order, ['warmup', 'routing'], 'it never sends without a plan');
    await put([A, B, C]);
    assert.deepEqual(plans(), [B, C]);
    await put([A, B, C]);
    assert.equal(documents.get('warmup', 'default')!.version, 2);
  });

  test('sends at once where the account has automatic warm-up switched off', async () => {
    const { documents, plans } = await open({ ips: [A] });
    const value = { pools: { news: { ips: [A, B] } } };
    await new IpInventory(documents, { ips: [A] }).putRouting(value, { by }, false);
    assert.deepEqual(plans(), []);
  });

  test('is warm when the document declares it', async () => {
    const { put, plans } = await open({ ips: [A] });
    await put([A, { ip: B, warm: true }, { ip: C, warm: false }]);
    assert.deepEqual(plans(), [C]);
  });

  test('does not count as new in the first document of an installation with unknown addresses', async () => {
    const { put, plans, documents } = await open({ ips: [], lanes: ['news'] });
    await documents.put('warmup', 'default', { [C]: {} }, { by });
    await put([A, B]);
    assert.deepEqual(plans(), [C]);
  });

  test('gets no plan from a document that is refused', async () => {
    const { put, plans } = await open({ ips: [A] });
    await assert.rejects(put([B], 7), failure('config_conflict'));
    await assert.rejects(put([B, { ip: B }]), failure('bad_request', /is in this pool twice/));
    assert.deepEqual(plans(), []);
  });
});
