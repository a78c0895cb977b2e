/** MAIL FROM domains: used while their DNS leads bounces here, and never before. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { mailFromDomainOf, newMailFrom } from '../../lib/control/mail-from.ts';
import type { Control, MailFromProof } from '../../lib/control/types.ts';
import { DAY, HOUR } from '../../lib/time.ts';
import { failure, openTestControl } from '../support/control.ts';
import { FakeTxt } from '../support/fake-txt.ts';

const NAME = 'example.com';
const DOMAIN = 'bounce.example.com';
const HOST = 'mail.postern.example';
const SPF = [['v=spf1 include:postern.example ~all']];

async function opened(
  onMxFailure: MailFromProof['onMxFailure'] = 'USE_DEFAULT_VALUE',
  verifyIdentities = true,
) {
  const dns = new FakeTxt();
  const { control, clock } = await openTestControl({
    verifyIdentities,
    resolveTxt: dns.resolve,
    resolveMx: dns.resolveMx,
    bounces: { host: HOST, domain: 'bounces.postern.example' },
  });
  const { identities } = control;
  dns.publish(await identities.create({ name: NAME, tenant: 'a', keyLength: 'RSA_1024_BIT' }));
  await identities.update(NAME, (identity) => ({
    ...identity,
    mailFromDomain: DOMAIN,
    mailFrom: newMailFrom(onMxFailure, clock.now()),
  }));
  return { dns, identities, clock };
}

function publish(dns: FakeTxt, exchange = HOST): void {
  dns.exchanges.set(DOMAIN, [exchange]);
  dns.records.set(DOMAIN, SPF);
}

const status = async (identities: Control['identities']) => (await identities.find(NAME))?.mailFrom?.status;
const used = async (identities: Control['identities']) => mailFromDomainOf((await identities.find(NAME))!);

describe('a MAIL FROM domain', () => {
  test('is used from the look-up on that sees its MX and SPF', async () => {
    const { dns, identities } = await opened();
    await identities.check(NAME);
    assert.equal(await status(identities), 'PENDING');
    assert.equal(await used(identities), undefined);
    dns.exchanges.set(DOMAIN, [HOST]);
    await identities.check(NAME);
    assert.equal(await status(identities), 'PENDING', 'without SPF');
    publish(dns, 'MAIL.Postern.example.');
    await identities.check(NAME);
    assert.equal(await status(identities), 'SUCCESS');
    assert.equal(await used(identities), DOMAIN);
  });

  test('may lead to the hosts of the domain of return paths, and to no other', async () => {
    const { dns, identities } = await opened();
    dns.exchanges.set('bounces.postern.example', ['in.postern.example']);
    publish(dns, 'in.postern.example');
    await identities.check(NAME);
    assert.equal(await status(identities), 'SUCCESS');
    publish(dns, 'mx.elsewhere.example');
    await identities.check(NAME);
    assert.equal(await status(identities), 'FAILED');
    assert.equal(await used(identities), undefined);
  });

  test('fails when it is not seen within 72 hours, and is used when it is seen later', async () => {
    const { dns, identities, clock } = await opened();
    clock.advance(3 * DAY);
    await identities.check(NAME);
    assert.equal(await status(identities), 'PENDING');
    clock.advance(1);
    await identities.check(NAME);
    assert.equal(await status(identities), 'FAILED');
    publish(dns);
    clock.advance(DAY);
    await identities.recheck();
    assert.equal(await status(identities), 'SUCCESS');
  });

  test('that was seen is lost by three clear answers in a row, and by no silence of DNS', async () => {
    const { dns, identities, clock } = await opened();
    publish(dns);
    await identities.check(NAME);
    dns.failing = 'ETIMEOUT';
    clock.advance(DAY);
    await identities.recheck();
    assert.equal(await status(identities), 'TEMPORARY_FAILURE');
    assert.equal(await used(identities), DOMAIN);
    dns.failing = undefined;
    dns.exchanges.delete(DOMAIN);
    clock.advance(DAY);
    for (const expected of ['SUCCESS', 'SUCCESS', 'FAILED']) {
      await identities.recheck();
      assert.equal(await status(identities), expected);
      clock.advance(HOUR);
    }
  });

  test('of REJECT_MESSAGE holds mail back until it is seen', async () => {
    const { dns, identities } = await opened('REJECT_MESSAGE');
    await assert.rejects(used(identities), failure('mail_from_not_verified', /bounce\.example\.com/));
    publish(dns);
    await identities.check(NAME);
    assert.equal(await used(identities), DOMAIN);
  });

  test('is used at once where no proof is required', async () => {
    const { identities } = await opened('REJECT_MESSAGE', false);
    assert.equal(await used(identities), DOMAIN);
    assert.equal(await status(identities), 'SUCCESS');
  });
});
