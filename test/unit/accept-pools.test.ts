/** Pools are a boundary between tenants: accept refuses mail that names one dedicated to others. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { poolsWithLanes } from '../../lib/control/ip-inventory.ts';
import { type PoolUser, poolDocument } from '../../lib/routing/pools.ts';
import { readRouting } from '../../lib/routing/router.ts';
import { accepted, openTestAccept, refusal, simple, type TestAccept } from '../support/accept.ts';
import { addressesOfAll, TestEgress } from '../support/egress.ts';

const ROUTING = {
  pools: poolDocument({
    default: ['192.0.2.1'],
    theirs: { ips: ['192.0.2.2'], dedicatedTo: { tenants: ['acme'] } },
    invoices: {
      ips: ['192.0.2.3'],
      dedicatedTo: { configurationSets: [{ tenant: 'default', set: 'invoices' }] },
    },
  }),
};
const LANES = ['default', 'theirs', 'invoices'];

type HasPool = (name: string, sender: PoolUser) => boolean;

/** What accept asks in each kind of installation. */
const INSTALLATIONS: [
  string,
  (t: TestAccept) => Promise<{ hasPool: HasPool; stop?: () => Promise<void> }>,
][] = [
  [
    'with lanes and a stored document',
    async (t) => {
      await t.control.documents.put('routing', 'default', ROUTING, { by: 'test' });
      return { hasPool: poolsWithLanes(t.control.documents, LANES) };
    },
  ],
  [
    'whose own egress answers, with pools of its settings',
    async () => {
      const node = new TestEgress(addressesOfAll(['8.8.8.1']));
      node.start({ routing: readRouting(ROUTING, 'pools') });
      return { hasPool: (name, sender) => node.egress.hasPool(name, sender), stop: () => node.stop() };
    },
  ],
];

for (const [what, open] of INSTALLATIONS) {
  describe(`an installation ${what}`, () => {
    it('refuses a pool that is dedicated to another tenant as one that does not exist', async () => {
      let hasPool: HasPool = () => true;
      const t = await openTestAccept({ hasPool: (name, sender) => hasPool(name, sender) });
      const { hasPool: opened, stop } = await open(t);
      hasPool = opened;
      for (const name of ['invoices', 'other']) {
        await t.control.configurationSets.create({
          name,
          tenant: 'default',
          delivery: { tlsPolicy: 'OPTIONAL', pool: name === 'other' ? 'theirs' : 'invoices' },
          sendingEnabled: true,
          reputationMetricsEnabled: false,
          createdAt: t.clock.now(),
        });
      }
      const said = async (pool: string) =>
        (await refusal(t, simple({ pool }))).message.replace(`<${pool}>`, '<…>');
      assert.equal(await said('theirs'), await said('nowhere'));
      assert.equal((await refusal(t, simple({ configurationSet: 'other' }))).code, 'pool_missing');
      assert.equal((await refusal(t, simple({ pool: 'invoices' }))).code, 'pool_missing', 'of no set');
      const { admission } = await accepted(t, simple({ configurationSet: 'invoices' }));
      assert.match(admission.deliveries[0]!.lane, /^invoices:/);
      await stop?.();
    });
  });
}
