/** The search on AWS when a tenant's partitions hold more than one step reads of each. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Admission } from '../../lib/engine/ports.ts';
import { awsNodes, SKIP } from './aws-nodes.ts';
import { admit, mail, newLane, newTenant } from './harness.ts';

describe('aws: search', { skip: SKIP }, () => {
  const { open } = awsNodes();

  test('lists a long history newest first, each message once, and one address of it', async () => {
    const { engine } = await open();
    const [tenant, lane] = [newTenant(), newLane()];
    const now = Date.now();
    const all: Admission[] = [];
    for (let call = 0; call < 20; call += 1) {
      const key = newLane();
      const messages = Array.from({ length: 50 }, (_, place) => {
        const n = call * 50 + place;
        return mail(now + n, { tenant, lane, key, place, recipients: [`user${n % 90}@example.net`] });
      });
      await admit(engine, ...messages);
      all.push(...messages);
    }
    const list = async (max: number, recipient?: string): Promise<string[]> => {
      const ids: string[] = [];
      for (let after: string | undefined; ; ) {
        const page = await engine.records.search({ tenant, recipient, after, max });
        ids.push(...page.messages.map(({ id }) => id));
        after = page.next;
        if (after === undefined) return ids;
      }
    };
    const newest = all.map(({ record }) => record.id).reverse();
    assert.deepEqual(await list(1_000), newest);
    assert.deepEqual(await list(300), newest);
    const own = all.filter(({ record }) => record.recipients[0] === 'user7@example.net');
    assert.deepEqual(await list(5, 'user7@example.net'), own.map(({ record }) => record.id).reverse());
  });
});
