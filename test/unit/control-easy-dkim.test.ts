/** Easy DKIM with a zone of the operator's: tokens, CNAMEs, and whose they are; dkim-rotation.test.ts has the turns. */
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { describe, test } from 'node:test';
import { CHANGE_KIND } from '../../lib/control/dkim-records.ts';
import { turnDkimKeys } from '../../lib/control/easy-dkim.ts';
import type { Identity } from '../../lib/control/types.ts';
import { DAY, HOUR } from '../../lib/time.ts';
import { failure, MASTER_KEY, openTestControl } from '../support/control.ts';
import { FakeTxt } from '../support/fake-txt.ts';

const ZONE = 'dkim.mail.example.net';
const NAME = 'example.com';
const SHORT = { keyLength: 'RSA_1024_BIT' } as const;
const BYO = {
  selector: 'mine',
  privateKey: generateKeyPairSync('rsa', { modulusLength: 1024 })
    .privateKey.export({ format: 'der', type: 'pkcs8' })
    .toString('base64'),
};

async function opened(options: Parameters<typeof openTestControl>[0] = {}) {
  const dns = new FakeTxt();
  const made = await openTestControl({
    verifyIdentities: true,
    resolveTxt: dns.resolve,
    dkimZone: { name: ZONE, elsewhere: false },
    ...options,
  });
  const { control } = made;
  dns.zone = control.dkimZone;
  const { identities } = control;
  return { ...made, dns, identities, zone: control.dkimZone! };
}

async function selectors({ identities }: Awaited<ReturnType<typeof opened>>): Promise<string[]> {
  const identity = (await identities.find(NAME))!;
  return (await identities.signingKeys(identity)).map(({ selector }) => selector);
}

describe('a domain', () => {
  test('gets three tokens, a CNAME for each, and one key that is published under all', async () => {
    const { identities, zone, clock } = await opened();
    const { dkim } = await identities.create({ name: NAME, tenant: 'a', ...SHORT });
    assert.equal(new Set(dkim.tokens).size, 3);
    for (const token of dkim.tokens) assert.match(token, /^[a-z2-7]{32}$/);
    assert.deepEqual(
      dkim.records,
      dkim.tokens.map((token) => ({
        name: `${token}._domainkey.${NAME}`,
        type: 'CNAME',
        value: `${token}.${ZONE}`,
      })),
    );
    const { hostedZone, keyLength, nextKeyLength, keyMadeAt, origin, status } = dkim;
    assert.deepEqual([hostedZone, keyLength, nextKeyLength], [ZONE, 'RSA_1024_BIT', 'RSA_1024_BIT']);
    assert.deepEqual([keyMadeAt, origin, status], [clock.now(), 'AWS_SES', 'PENDING']);
    const values = await Promise.all(dkim.tokens.map((token) => zone.find(token)));
    assert.match(values[0]!, /^v=DKIM1; k=rsa; p=[A-Za-z0-9+/]{200,}={0,2}$/);
    assert.deepEqual(new Set(values).size, 1);
    assert.deepEqual(
      (await zone.list()).map(({ token }) => token),
      dkim.tokens.toSorted(),
    );
  });

  test('has a key of 2,048 bits unless another length is asked for', async () => {
    const { identities } = await opened();
    assert.equal((await identities.create({ name: NAME, tenant: 'a' })).dkim.keyLength, 'RSA_2048_BIT');
  });

  test('is proven by all three CNAMEs, and signs with the first', async () => {
    const it = await opened();
    const { identities, dns } = it;
    const { dkim } = await identities.create({ name: NAME, tenant: 'a', ...SHORT });
    const [first, second, third] = dkim.records;
    for (const { name, value } of [first!, third!]) dns.aliases.set(name, value);
    assert.deepEqual(shown(await identities.check(NAME)), [false, 'PENDING']);
    assert.deepEqual(await selectors(it), []);
    dns.aliases.set(second!.name, second!.value);
    assert.deepEqual(shown(await identities.check(NAME)), [true, 'SUCCESS']);
    assert.deepEqual(await selectors(it), [dkim.tokens[0]]);
    // What stands is proven by the key that signs: the others are for its turns.
    dns.aliases.delete(third!.name);
    assert.deepEqual(shown(await identities.check(NAME)), [true, 'SUCCESS']);
    dns.aliases.delete(first!.name);
    assert.deepEqual(shown(await identities.check(NAME)), [false, 'FAILED']);
    assert.deepEqual(shown(await identities.setSigning(NAME, {})), [false, 'PENDING'], 'asked for again');
  });

  test('with CNAMEs into a zone of another service stays PENDING, and FAILED after 72 hours', async () => {
    const { identities, dns, clock } = await opened();
    const { dkim } = await identities.create({ name: NAME, tenant: 'a', ...SHORT });
    for (const { name } of dkim.records) dns.aliases.set(name, `${name.split('.')[0]}.dkim.amazonses.com`);
    clock.advance(72 * HOUR);
    assert.deepEqual(shown(await identities.check(NAME)), [false, 'PENDING']);
    clock.advance(1);
    assert.deepEqual(shown(await identities.check(NAME)), [false, 'FAILED']);
    // Asked for again, the search begins again, for the same tokens.
    const again = await identities.setSigning(NAME, {});
    assert.deepEqual(again.dkim.tokens, dkim.tokens);
    assert.deepEqual(shown(again), [false, 'PENDING']);
    assert.deepEqual(shown(await identities.check(NAME)), [false, 'PENDING']);
    dns.publish(again);
    clock.advance(HOUR);
    await identities.recheck();
    assert.deepEqual(shown((await identities.find(NAME))!), [true, 'SUCCESS'], 'without a call');
  });

  test('with a key in our zone that is not the one that is looked for yet is PENDING, not FAILED', async () => {
    const { identities, dns } = await opened();
    const made = await identities.create({ name: NAME, tenant: 'a', ...SHORT });
    dns.zone = { name: ZONE, find: async () => 'v=DKIM1; k=rsa; p=AAAA' };
    dns.publish(made);
    assert.deepEqual(shown(await identities.check(NAME)), [false, 'PENDING']);
  });

  test('keeps tokens and key when the same is asked for again; another length is for the next key', async () => {
    const it = await opened();
    const { identities, clock, dns, zone } = it;
    const made = await identities.create({ name: NAME, tenant: 'a', ...SHORT });
    dns.publish(made);
    await identities.check(NAME);
    const records = await zone.list();
    for (const source of [{}, SHORT]) {
      const { dkim } = await identities.setSigning(NAME, source);
      assert.deepEqual(dkim, { ...made.dkim, status: 'SUCCESS' });
    }
    assert.deepEqual(await zone.list(), records);
    const { dkim } = await identities.setSigning(NAME, { keyLength: 'RSA_2048_BIT' });
    assert.deepEqual([dkim.keyLength, dkim.nextKeyLength], ['RSA_1024_BIT', 'RSA_2048_BIT']);
    assert.deepEqual([dkim.tokens, dkim.status], [made.dkim.tokens, 'SUCCESS']);
    assert.notDeepEqual(await zone.list(), records, 'the next key is prepared at once');
    assert.deepEqual(await selectors(it), [made.dkim.tokens[0]]);
    clock.advance(DAY - 1);
    await assert.rejects(identities.setSigning(NAME, SHORT), failure('bad_request', /less than a day ago/));
    await identities.setSigning(NAME, { keyLength: 'RSA_2048_BIT' });
    clock.advance(1);
    assert.equal((await identities.setSigning(NAME, SHORT)).dkim.nextKeyLength, 'RSA_1024_BIT');
  });

  test('that is made again after its end has other tokens', async () => {
    const { identities } = await opened();
    const first = await identities.create({ name: NAME, tenant: 'a', ...SHORT });
    await identities.delete(NAME);
    const second = await identities.create({ name: NAME, tenant: 'b', ...SHORT });
    for (const token of second.dkim.tokens) assert.ok(!first.dkim.tokens.includes(token));
  });
});

describe('a change of the source of keys', () => {
  test('from a record of its own to the zone breaks no signature', async () => {
    const { config, clock, dns } = await opened();
    const without = await opened({ config, clock, resolveTxt: dns.resolve, dkimZone: undefined });
    const old = await without.identities.create({ name: NAME, tenant: 'a', ...SHORT });
    assert.equal(old.dkim.hostedZone, undefined);
    dns.publish(old);
    await without.identities.check(NAME);
    const it = await opened({ config, clock, resolveTxt: dns.resolve });
    dns.zone = it.zone;
    assert.deepEqual(await selectors(it), old.dkim.tokens, 'an identity of before goes on');
    const moved = await it.identities.setSigning(NAME, SHORT);
    assert.deepEqual([moved.verified, moved.dkim.status, moved.dkim.hostedZone], [true, 'PENDING', ZONE]);
    await it.identities.check(NAME);
    assert.deepEqual(await selectors(it), old.dkim.tokens);
    dns.publish(moved);
    await it.identities.check(NAME);
    assert.deepEqual(await selectors(it), [moved.dkim.tokens[0]]);
  });

  test('to a key that is brought can be taken back until that key is found', async () => {
    const it = await opened();
    const { identities, dns } = it;
    const made = await identities.create({ name: NAME, tenant: 'a', ...SHORT });
    dns.publish(made);
    await identities.check(NAME);
    const brought = await identities.setSigning(NAME, { byo: BYO });
    assert.deepEqual([brought.dkim.tokens, brought.dkim.hostedZone], [['mine'], undefined]);
    assert.deepEqual(await selectors(it), [made.dkim.tokens[0]]);
    const back = await identities.setSigning(NAME, {});
    assert.deepEqual(shown(back), [true, 'SUCCESS']);
    assert.deepEqual(back.dkim, { ...made.dkim, status: 'SUCCESS' });
    dns.publish(await identities.setSigning(NAME, { byo: BYO }));
    await identities.check(NAME);
    assert.deepEqual(await selectors(it), ['mine']);
    const anew = await identities.setSigning(NAME, {});
    assert.equal(
      anew.dkim.tokens.some((token) => made.dkim.tokens.includes(token)),
      false,
    );
  });

  test('without a zone keeps the key that was made, unless another is asked for', async () => {
    const { identities } = await opened({ dkimZone: undefined });
    const made = await identities.create({ name: NAME, tenant: 'a', ...SHORT });
    assert.deepEqual((await identities.setSigning(NAME, {})).dkim, made.dkim);
    assert.deepEqual((await identities.setSigning(NAME, SHORT)).dkim, made.dkim);
    const longer = await identities.setSigning(NAME, { keyLength: 'RSA_2048_BIT' });
    assert.notDeepEqual(longer.dkim.tokens, made.dkim.tokens);
    const anew = await identities.setSigning(NAME, { anew: true });
    assert.notDeepEqual(anew.dkim.tokens, longer.dkim.tokens);
  });
});

test('keys are made until a time, and the rest are due at the next call', async () => {
  const { config, clock, dns, identities } = await opened();
  for (const name of ['a.example', 'b.example']) {
    dns.publish(await identities.create({ name, tenant: 'a', ...SHORT }));
    await identities.check(name);
  }
  clock.advance(83 * DAY);
  const options = { config, clock, masterKey: MASTER_KEY, dkimZone: { name: ZONE, elsewhere: false } };
  assert.deepEqual((await turnDkimKeys({ ...options, until: clock.now() })).prepared, []);
  assert.deepEqual((await turnDkimKeys(options)).prepared, ['a.example', 'b.example']);
  assert.deepEqual((await turnDkimKeys(options)).prepared, []);
});

describe('what is published', () => {
  test('stays for 38 days when its identity is gone, and is removed then', async () => {
    const { identities, zone, clock, config } = await opened({ dkimZone: { name: ZONE, elsewhere: true } });
    const kept = await identities.create({ name: 'kept.example', tenant: 'a', ...SHORT });
    await identities.create({ name: NAME, tenant: 'a', ...SHORT });
    for (const { key } of await config.list(CHANGE_KIND)) await config.delete(CHANGE_KIND, key);
    await identities.turnKeys();
    await identities.delete(NAME);
    assert.equal((await identities.turnKeys()).collected, 0);
    clock.advance(38 * DAY - 1);
    assert.equal((await identities.turnKeys()).collected, 0);
    assert.equal((await zone.list()).length, 6);
    clock.advance(1);
    assert.equal((await identities.turnKeys()).collected, 3);
    assert.deepEqual(
      (await zone.list()).map(({ token }) => token),
      kept.dkim.tokens.toSorted(),
    );
    assert.equal((await config.list(CHANGE_KIND)).length, 3, 'the zone elsewhere is told');
  });

  test('is told to a zone elsewhere, each write by a note of its own', async () => {
    const { identities, config } = await opened({ dkimZone: { name: ZONE, elsewhere: true } });
    const { dkim } = await identities.create({ name: NAME, tenant: 'a', ...SHORT });
    const notes = await config.list(CHANGE_KIND);
    assert.deepEqual(
      notes.map(({ value }) => (value as { token: string }).token),
      dkim.tokens.toSorted(),
    );
    const here = await opened();
    await here.identities.create({ name: NAME, tenant: 'a', ...SHORT });
    assert.equal((await here.config.list(CHANGE_KIND)).length, 0);
  });

  test('by a call that did not end is for nobody, and is collected', async () => {
    const { identities, config, zone, clock } = await opened();
    const { put } = config;
    config.put = (kind, ...rest) =>
      kind === 'identity' ? Promise.reject(new Error('crash')) : put.call(config, kind, ...rest);
    await assert.rejects(identities.create({ name: NAME, tenant: 'a', ...SHORT }), /crash/);
    config.put = put;
    assert.equal(await identities.find(NAME), undefined);
    assert.equal((await zone.list()).length, 3);
    await identities.create({ name: NAME, tenant: 'a', ...SHORT });
    await identities.turnKeys();
    clock.advance(38 * DAY);
    assert.equal((await identities.turnKeys()).collected, 3);
    assert.equal((await zone.list()).length, 3);
  });
});

function shown({ verified, dkim }: Identity): [boolean, string] {
  return [verified, dkim.status];
}
