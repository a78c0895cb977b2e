import assert from 'node:assert/strict';
import { createPublicKey, generateKeyPairSync, sign, verify } from 'node:crypto';
import { describe, test } from 'node:test';
import { startProofTimer } from '../../egress-node/standalone/proof-timer.ts';
import { HOUR } from '../../lib/time.ts';
import { failure, openTestControl } from '../support/control.ts';
import { settled } from '../support/engine.ts';
import { FakeTxt } from '../support/fake-txt.ts';

const SHORT = { keyLength: 'RSA_1024_BIT' } as const;

function der(bits: number, type: 'pkcs1' | 'pkcs8'): string {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: bits });
  return privateKey.export({ format: 'der', type }).toString('base64');
}

describe('names', () => {
  test('are stored in one form and found in every form', async () => {
    const { control } = await openTestControl();
    const made = await control.identities.create({ name: 'Bücher.Example', tenant: 'a', ...SHORT });
    assert.equal(made.name, 'xn--bcher-kva.example');
    assert.equal(made.type, 'DOMAIN');
    assert.deepEqual(await control.identities.find('BÜCHER.example'), made);
    assert.deepEqual(await control.identities.find('xn--bcher-kva.example'), made);
    const address = await control.identities.create({ name: 'Ann@Example.COM', tenant: 'a' });
    assert.equal(address.name, 'Ann@example.com');
    assert.equal(address.type, 'EMAIL_ADDRESS');
    assert.equal(await control.identities.find('ann@example.com'), undefined, 'a local part keeps its case');
  });

  test('that are neither a domain nor an address are refused', async () => {
    const { control } = await openTestControl();
    const domains = ['', 'localhost', '127.0.0.1', '-a.example', 'a..example', `${'x'.repeat(64)}.example`];
    domains.push('a.example/x', 'a%41.example', 'a.example\n', `${'a.'.repeat(124)}example`);
    const addresses = ['@a.example', 'a@', 'a b@c.example', 'a\n@c.example', '<a@c.example>', 'a@localhost'];
    addresses.push(`${'x'.repeat(65)}@c.example`, 'a@[192.0.2.1]');
    const bad = [...domains, ...addresses];
    for (const name of bad) {
      await assert.rejects(
        control.identities.create({ name, tenant: 'a' }),
        failure('invalid_address'),
        name,
      );
      assert.equal(await control.identities.find(name), undefined);
    }
  });

  test('belong to one tenant', async () => {
    const { control } = await openTestControl();
    await control.identities.create({ name: 'a.example', tenant: 'a', ...SHORT });
    const again = control.identities.create({ name: 'A.example', tenant: 'b', ...SHORT });
    await assert.rejects(again, failure('already_exists', /a\.example/));
    assert.equal((await control.identities.list('b')).length, 0);
    assert.equal((await control.identities.list('a')).length, 1);
    assert.equal(await control.identities.delete('A.example'), true);
    assert.equal(await control.identities.delete('A.example'), false);
    await control.identities.create({ name: 'a.example', tenant: 'b', ...SHORT });
  });
});

describe('the identity of a sender', () => {
  test('is its address, else its domain, else a parent domain', async () => {
    const { identities } = (await openTestControl()).control;
    await identities.create({ name: 'example.com', tenant: 'a', ...SHORT });
    await identities.create({ name: 'ann@example.com', tenant: 'a' });
    await identities.create({ name: 'deep.news.example.com', tenant: 'a', ...SHORT });
    const of = async (address: string) => (await identities.forSender(address, 'a'))?.name;
    assert.equal(await of('ann@example.com'), 'ann@example.com');
    assert.equal(await of('bob@example.com'), 'example.com');
    assert.equal(await of('bob@EXAMPLE.com'), 'example.com');
    assert.equal(await of('bob@news.example.com'), 'example.com');
    assert.equal(await of('bob@deep.news.example.com'), 'deep.news.example.com');
    assert.equal(await of('"a@b"@example.com'), 'example.com');
    for (const no of [
      'bob@badexample.com',
      'bob@com',
      'bob@example.com.evil.example',
      'example.com@x.example',
      '',
      'bob@',
      '@',
    ]) {
      assert.equal(await of(no), undefined, no);
    }
    assert.equal(await of('example.com'), 'example.com', 'what follows the last @, or everything');
  });

  test('is never one of another tenant, not even by a parent domain', async () => {
    const { identities } = (await openTestControl()).control;
    await identities.create({ name: 'example.com', tenant: 'a', ...SHORT });
    await identities.create({ name: 'ann@other.example', tenant: 'a' });
    for (const address of ['x@example.com', 'x@sub.example.com', 'ann@other.example']) {
      assert.equal(await identities.forSender(address, 'b'), undefined);
    }
  });

  test('is never a parent domain above a domain of another tenant', async () => {
    const { identities } = (await openTestControl()).control;
    await identities.create({ name: 'example.com', tenant: 'a', ...SHORT });
    await identities.create({ name: 'b.example.com', tenant: 'b', ...SHORT });
    assert.equal(await identities.forSender('x@b.example.com', 'a'), undefined);
    assert.equal(await identities.forSender('x@sub.b.example.com', 'a'), undefined);
    assert.equal((await identities.forSender('x@b.example.com', 'b'))?.name, 'b.example.com');
  });

  test('is missing while its domain is unproven; an address is verified with its domain', async () => {
    const dns = new FakeTxt();
    const { identities } = (await openTestControl({ verifyIdentities: true, resolveTxt: dns.resolve }))
      .control;
    const domain = await identities.create({ name: 'example.com', tenant: 'a', ...SHORT });
    await identities.create({ name: 'ann@example.com', tenant: 'a' });
    await identities.create({ name: 'ann@elsewhere.example', tenant: 'a' });
    assert.equal(await identities.forSender('ann@example.com', 'a'), undefined);
    assert.equal((await identities.find('ann@example.com'))?.verified, false);
    dns.publish(domain);
    assert.equal((await identities.check('ann@example.com')).verified, true);
    assert.equal((await identities.forSender('ann@example.com', 'a'))?.name, 'ann@example.com');
    assert.equal((await identities.check('ann@elsewhere.example')).verified, false);
    // An unproven subdomain of another tenant does not count.
    await identities.create({ name: 'sub.example.com', tenant: 'b', ...SHORT });
    assert.equal((await identities.forSender('x@sub.example.com', 'a'))?.name, 'example.com');
  });
});

describe('proof', () => {
  async function pending() {
    const dns = new FakeTxt();
    const opened = await openTestControl({ verifyIdentities: true, resolveTxt: dns.resolve });
    const identity = await opened.control.identities.create({ name: 'example.com', tenant: 'a', ...SHORT });
    return { dns, identity, ...opened, identities: opened.control.identities };
  }

  test('is the DKIM record in DNS, in any number of strings', async () => {
    const { dns, identity, identities } = await pending();
    assert.equal(identity.verified, false);
    assert.equal(identity.dkim.status, 'PENDING');
    assert.deepEqual(await identities.signingKeys(identity), []);
    assert.equal((await identities.check('example.com')).dkim.status, 'PENDING');
    const { name, value } = identity.dkim.records[0]!;
    assert.equal(name, `${identity.dkim.tokens[0]}._domainkey.example.com`);
    dns.records.set(name, [['unrelated'], [`${value.slice(0, 100)} `, value.slice(100)]]);
    const proven = await identities.check('Example.com');
    assert.deepEqual([proven.verified, proven.dkim.status], [true, 'SUCCESS']);
    assert.equal((await identities.signingKeys(proven))[0]?.selector, identity.dkim.tokens[0]);
  });

  test('fails at once on another key', async () => {
    const { dns, identity, identities } = await pending();
    dns.records.set(identity.dkim.records[0]!.name, [['v=DKIM1; k=rsa; p=AAAA']]);
    assert.equal((await identities.check('example.com')).dkim.status, 'FAILED');
    dns.publish(identity);
    assert.equal((await identities.check('example.com')).dkim.status, 'SUCCESS', 'a corrected key is found');
  });

  test('fails when nothing was published for 72 hours', async () => {
    const { clock, identities } = await pending();
    clock.advance(72 * HOUR);
    assert.equal((await identities.check('example.com')).dkim.status, 'PENDING');
    clock.advance(1);
    assert.equal((await identities.check('example.com')).dkim.status, 'FAILED');
  });

  test('is lost within 29 hours of the record, and comes back with it, without a call', async () => {
    const { clock, dns, identity, identities } = await pending();
    const timer = startProofTimer({ identities, clock, log: { info: () => {}, warn: () => {} } });
    const status = async () => {
      const { verified, dkim } = (await identities.find('example.com'))!;
      return [verified, dkim.status, (await identities.forSender('x@example.com', 'a'))?.name];
    };
    /** Lets the timer of the service run. */
    const pass = async (hours: number): Promise<void> => {
      for (let i = 0; i < hours * 6; i += 1) {
        clock.advance(600_000);
        await settled();
        await settled();
      }
    };
    dns.publish(identity);
    await pass(2);
    assert.deepEqual(await status(), [true, 'SUCCESS', 'example.com'], 'the timer checked it');
    dns.failing = 'ESERVFAIL';
    await pass(48);
    assert.deepEqual(
      await status(),
      [true, 'TEMPORARY_FAILURE', 'example.com'],
      'a failed lookup stops nothing',
    );
    dns.failing = undefined;
    dns.records.clear();
    await pass(1);
    assert.equal((await status())[0], true, 'one negative answer is not enough');
    await pass(28);
    assert.deepEqual(await status(), [false, 'FAILED', undefined]);
    dns.publish(identity);
    await pass(2);
    assert.deepEqual(await status(), [true, 'SUCCESS', 'example.com']);
    await timer.stop();
  });

  test('is checked once a day while it holds', async () => {
    const { clock, dns, identity, identities } = await pending();
    dns.publish(identity);
    const checked: number[] = [];
    for (let hour = 0; hour < 49; hour += 1) {
      checked.push((await identities.recheck()).checked);
      clock.advance(HOUR);
    }
    assert.equal(
      checked.reduce((a, b) => a + b),
      3,
    );
  });

  test('is decided by one answer in an explicit check', async () => {
    const { dns, identity, identities } = await pending();
    dns.publish(identity);
    await identities.check('example.com');
    dns.failing = 'ESERVFAIL';
    await assert.rejects(identities.check('example.com'), failure('dns_failure', /ESERVFAIL/));
    assert.equal((await identities.find('example.com'))?.verified, true);
    dns.failing = undefined;
    dns.records.clear();
    assert.equal((await identities.check('example.com')).verified, false);
  });

  test('granted while checks are off does not count once they are on', async () => {
    const dns = new FakeTxt();
    const { control, config } = await openTestControl({ resolveTxt: dns.resolve });
    const made = await control.identities.create({ name: 'example.com', tenant: 'a', ...SHORT });
    assert.deepEqual([made.verified, made.dkim.status], [true, 'SUCCESS']);
    assert.equal(
      (await control.identities.check('example.com')).dkim.status,
      'PENDING',
      'the check shows the state of DNS',
    );
    assert.equal((await control.identities.find('example.com'))?.verified, true);
    const strict = (await openTestControl({ config, verifyIdentities: true, resolveTxt: dns.resolve }))
      .control;
    assert.equal((await strict.identities.find('example.com'))?.verified, false);
    assert.equal(await strict.identities.forSender('x@example.com', 'a'), undefined);
  });

  test('keeps the old key signing until the new one is published', async () => {
    const { dns, identity, identities } = await pending();
    dns.publish(identity);
    await identities.check('example.com');
    const turned = await identities.setSigning('example.com', { ...SHORT, anew: true });
    const [oldToken] = identity.dkim.tokens;
    const [newToken] = turned.dkim.tokens;
    assert.notEqual(newToken, oldToken);
    assert.deepEqual([turned.verified, turned.dkim.status], [true, 'PENDING']);
    assert.deepEqual(
      (await identities.signingKeys(turned)).map((key) => key.selector),
      [oldToken],
    );
    assert.equal((await identities.check('example.com')).verified, true);
    dns.publish(turned);
    const done = await identities.check('example.com');
    assert.equal(done.dkim.status, 'SUCCESS');
    assert.deepEqual(
      (await identities.signingKeys(done)).map((key) => key.selector),
      [newToken],
    );
    dns.records.delete(identity.dkim.records[0]!.name);
    assert.equal((await identities.check('example.com')).verified, true, 'the old record may go');
  });
});

describe('signing keys', () => {
  test('sign what the published record verifies', async () => {
    const { identities } = (await openTestControl({ ed25519: true })).control;
    const identity = await identities.create({ name: 'example.com', tenant: 'a' });
    assert.equal(identity.dkim.keyLength, 'RSA_2048_BIT');
    const [rsa, ed] = await identities.signingKeys(identity);
    assert.deepEqual([rsa!.algorithm, ed!.algorithm], ['rsa-sha256', 'ed25519-sha256']);
    assert.deepEqual([rsa!.selector, ed!.selector], identity.dkim.tokens);
    const [rsaPublic, edPublic] = identity.dkim.records.map((record) =>
      Buffer.from(record.value.split('p=')[1]!, 'base64'),
    );
    const data = Buffer.from('data');
    const spki = { key: rsaPublic!, format: 'der', type: 'spki' } as const;
    assert.ok(verify('sha256', data, createPublicKey(spki), sign('sha256', data, rsa!.privateKey)));
    assert.equal(edPublic!.length, 32);
    const jwk = { kty: 'OKP', crv: 'Ed25519', x: edPublic!.toString('base64url') };
    assert.ok(
      verify(null, data, createPublicKey({ key: jwk, format: 'jwk' }), sign(null, data, ed!.privateKey)),
    );
    assert.equal(
      await identities.signingKeys(identity),
      await identities.signingKeys(identity),
      'opened once',
    );
  });

  test('of an address are those of its domain, of the same tenant only', async () => {
    const { identities } = (await openTestControl()).control;
    const domain = await identities.create({ name: 'example.com', tenant: 'a', ...SHORT });
    const own = await identities.create({ name: 'ann@example.com', tenant: 'a' });
    const foreign = await identities.create({ name: 'bob@example.com', tenant: 'b' });
    assert.deepEqual(await identities.signingKeys(own), await identities.signingKeys(domain));
    assert.deepEqual(await identities.signingKeys(foreign), []);
    await assert.rejects(
      identities.setSigning('ann@example.com', SHORT),
      failure('bad_request', /identity example\.com/),
    );
  });

  test('are unused while signing is off, and an update changes no other DKIM setting', async () => {
    const { identities } = (await openTestControl()).control;
    const made = await identities.create({ name: 'example.com', tenant: 'a', ...SHORT });
    const off = await identities.update('example.com', (one) => ({
      ...one,
      name: 'evil.example',
      tenant: 'b',
      configurationSet: 'news',
      dkim: { ...one.dkim, signingEnabled: false, tokens: [], status: 'FAILED' },
    }));
    assert.deepEqual(off, {
      ...made,
      configurationSet: 'news',
      dkim: { ...made.dkim, signingEnabled: false },
    });
    assert.deepEqual(await identities.signingKeys(off), []);
    await assert.rejects(
      identities.update('none.example', (one) => one),
      failure('not_found', /none\.example/),
    );
  });

  test('may be imported in PKCS#1 or PKCS#8', async () => {
    const { identities } = (await openTestControl()).control;
    for (const [type, bits] of [
      ['pkcs1', 1024],
      ['pkcs8', 2048],
      ['pkcs8', 3072],
    ] as const) {
      const privateKey = der(bits, type);
      const name = `${type}-${bits}.example`;
      const made = await identities.create({ name, tenant: 'a', byo: { selector: 'mine', privateKey } });
      assert.equal(made.dkim.origin, 'EXTERNAL');
      assert.deepEqual(made.dkim.tokens, ['mine']);
      assert.equal(made.dkim.records[0]?.name, `mine._domainkey.${name}`);
      assert.equal(
        made.dkim.keyLength,
        { 1024: 'RSA_1024_BIT', 2048: 'RSA_2048_BIT', 3072: undefined }[bits],
      );
    }
    const turned = await identities.setSigning('pkcs1-1024.example', SHORT);
    assert.equal(turned.dkim.origin, 'AWS_SES');
  });

  test('that are invalid are refused without a word of the key', async () => {
    const { identities } = (await openTestControl()).control;
    const good = der(1024, 'pkcs8');
    const ed = generateKeyPairSync('ed25519')
      .privateKey.export({ format: 'der', type: 'pkcs8' })
      .toString('base64');
    const damaged = Buffer.from(good, 'base64');
    damaged[100]! ^= 0xff; // in the modulus
    const bad: [string, string, RegExp][] = [
      ['s', '', /base64/],
      ['s', `-----BEGIN RSA PRIVATE KEY-----\n${good}`, /BEGIN and END/],
      ['s', good.slice(0, 100), /not an RSA key/],
      ['s', ed, /not an RSA key/],
      ['s', der(512, 'pkcs8'), /512 bits/],
      ['s', damaged.toString('base64'), /damaged|not an RSA key/],
      ['', good, /selector/],
      ['-s', good, /selector/],
      ['a.b', good, /selector/],
      ['x'.repeat(64), good, /selector/],
    ];
    for (const [selector, privateKey, message] of bad) {
      const making = identities.create({ name: 'example.com', tenant: 'a', byo: { selector, privateKey } });
      await assert.rejects(making, (error: Error) => {
        assert.ok(failure('bad_request', message)(error));
        return privateKey === '' || !error.message.includes(privateKey.slice(0, 20));
      });
    }
    assert.equal(await identities.find('example.com'), undefined);
    await identities.create({
      name: 'example.com',
      tenant: 'a',
      byo: { selector: 'x'.repeat(63), privateKey: good },
    });
  });

  test('are sealed in the store, and there after a restart', async () => {
    const { control, config } = await openTestControl({ ed25519: true });
    const made = await control.identities.create({ name: 'example.com', tenant: 'a', ...SHORT });
    const keys = await control.identities.signingKeys(made);
    for (const { privateKey } of keys) {
      const lines = privateKey.split('\n').filter((line) => line !== '' && !line.startsWith('-'));
      for (const line of lines) assert.ok(!(await config.dump()).includes(line));
    }
    assert.ok(!(await config.dump()).includes('PRIVATE KEY'));
    await settled();
    const again = (await openTestControl({ config })).control;
    assert.deepEqual(await again.identities.find('example.com'), made);
    assert.deepEqual(await again.identities.signingKeys(made), keys);
  });
});
