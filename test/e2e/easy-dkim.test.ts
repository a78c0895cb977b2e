/**
 * Easy DKIM with Postern as the name server of its zone: a resolver finds the keys through the domain's CNAMEs, and mail
 * that was signed before, during and after a turn of the keys verifies.
 */
import assert from 'node:assert/strict';
import { createSocket, type Socket } from 'node:dgram';
import { Resolver } from 'node:dns/promises';
import { once } from 'node:events';
import { after, before, test } from 'node:test';
import {
  CreateEmailIdentityCommand,
  GetEmailIdentityCommand,
  PutEmailIdentityDkimSigningAttributesCommand,
  SendEmailCommand,
} from '@aws-sdk/client-sesv2';
import { type Answer, AUTHENTIC_DATA, decode, encode, RECURSION_AVAILABLE } from 'dns-packet';
import { dkimVerify } from 'mailauth/lib/dkim/verify.js';
import type { Standalone } from '../../egress-node/standalone/standalone.ts';
import type { StoredIdentity } from '../../lib/control/identity-store.ts';
import { DAY } from '../../lib/time.ts';
import { StandaloneSite, sesClient } from '../support/standalone.ts';

const ZONE = 'dkim.mail.example.com';

/** A recursive resolver that has the CNAMEs of domains, and asks the name server of the zone for what they lead to. */
class Recursor {
  readonly #socket: Socket = createSocket('udp4');
  readonly aliases = new Map<string, string>();
  authority = '';

  async open(): Promise<string> {
    this.#socket.bind(0, '127.0.0.1');
    await once(this.#socket, 'listening');
    this.#socket.on('message', (message, { port, address }) => {
      void this.#answer(message).then((answer) => this.#socket.send(answer, port, address));
    });
    return `127.0.0.1:${this.#socket.address().port}`;
  }

  close(): void {
    this.#socket.close();
  }

  async #answer(message: Buffer): Promise<Buffer> {
    const query = decode(message);
    const [question] = query.questions!;
    const alias = this.aliases.get(question!.name.toLowerCase());
    const target = alias ?? question!.name;
    const found = target.endsWith(ZONE) ? await this.#ask(target) : { rcode: 3, answers: [] };
    const cname: Answer[] = alias ? [{ type: 'CNAME', name: question!.name, ttl: 300, data: alias }] : [];
    return encode({
      type: 'response',
      id: query.id,
      flags: found.rcode | RECURSION_AVAILABLE | (query.flags! & ~AUTHENTIC_DATA & 0x100),
      questions: query.questions,
      answers: [...cname, ...found.answers],
    });
  }

  async #ask(name: string): Promise<{ rcode: number; answers: Answer[] }> {
    const socket = createSocket('udp4');
    const [host, port] = this.authority.split(':');
    const opt = { type: 'OPT', name: '.', udpPayloadSize: 1_232, ednsVersion: 0, flags: 0, options: [] };
    const questions = [{ type: 'TXT' as const, name }];
    socket.send(encode({ type: 'query', id: 9, questions, additionals: [opt as never] }), Number(port), host);
    const [message] = (await once(socket, 'message')) as [Buffer];
    socket.close();
    const { flags = 0, answers = [] } = decode(message);
    return { rcode: flags & 15, answers };
  }
}

let site: StandaloneSite;
let recursor: Recursor;
let resolver: string;
let postern: Standalone;

before(async () => {
  [site, recursor] = [await StandaloneSite.open(), new Recursor()];
  resolver = await recursor.open();
  postern = await site.start({
    POSTERN_DNS: resolver,
    POSTERN_DKIM_ZONE: ZONE,
    POSTERN_DKIM_ZONE_DNS: '127.0.0.1:0',
    POSTERN_VERIFY_IDENTITIES: 'on',
  });
  recursor.authority = postern.listening.dkimZone!;
});
after(async () => {
  await postern.stop();
  recursor.close();
  await site.close();
});

/** The selectors whose signatures of a message verify, by what the world's resolver finds. */
async function verified(to: string): Promise<string[]> {
  const dns = new Resolver();
  dns.setServers([resolver]);
  const { raw } = await site.delivered(to);
  const { results } = await dkimVerify(raw, { resolver: (name: string) => dns.resolveTxt(name) });
  for (const { status } of results) assert.equal(status.result, 'pass', to);
  return results.map(({ selector }) => String(selector));
}

/** Lets days pass for the standby of an identity, in what is stored. */
async function pass(days: number): Promise<void> {
  const { config } = postern.engine;
  const { value, version } = (await config.get('identity', 'example.com'))!;
  const stored = value as StoredIdentity;
  const standby = stored.easy!.standby!;
  const earlier = (time: number | undefined) => time && time - days * DAY;
  const aged = { ...standby, seenAt: earlier(standby.seenAt), lookedAt: earlier(standby.lookedAt) };
  await config.put(
    'identity',
    'example.com',
    { ...stored, easy: { ...stored.easy, standby: aged } },
    version,
  );
}

test('three CNAMEs prove a domain, and its keys take turns while mail is on its way', async () => {
  const { key } = postern.firstKey!;
  const ses = sesClient(postern, key);
  const get = () => ses.send(new GetEmailIdentityCommand({ EmailIdentity: 'example.com' }));
  const sendTo = (to: string) =>
    ses.send(
      new SendEmailCommand({
        FromEmailAddress: 'ann@example.com',
        Destination: { ToAddresses: [to] },
        Content: { Simple: { Subject: { Data: 'Hello' }, Body: { Text: { Data: 'Hello' } } } },
      }),
    );

  const { DkimAttributes } = await ses.send(new CreateEmailIdentityCommand({ EmailIdentity: 'example.com' }));
  const tokens = DkimAttributes!.Tokens!;
  await assert.rejects(sendTo('early@example.net'), /not verified/);
  assert.equal((await get()).VerificationStatus, 'PENDING');
  for (const token of tokens) {
    recursor.aliases.set(`${token}._domainkey.example.com`, `${token}.${DkimAttributes!.SigningHostedZone}`);
  }
  assert.equal((await get()).VerificationStatus, 'SUCCESS');

  await sendTo('before@example.net');
  assert.deepEqual(await verified('before@example.net'), [tokens[0]]);

  // Another length is wanted: the next key is prepared, and published under the second token.
  await ses.send(
    new PutEmailIdentityDkimSigningAttributesCommand({
      EmailIdentity: 'example.com',
      SigningAttributesOrigin: 'AWS_SES',
      SigningAttributes: { NextSigningKeyLength: 'RSA_1024_BIT' },
    }),
  );
  const { identities } = postern.control;
  assert.deepEqual((await identities.recheck()).turned, [], 'seen, and not for a week yet');
  await sendTo('during@example.net');
  assert.deepEqual(await verified('during@example.net'), [tokens[0]]);

  await pass(7);
  assert.deepEqual((await identities.recheck()).turned, ['example.com']);
  await sendTo('after@example.net');
  assert.deepEqual(await verified('after@example.net'), [tokens[1]]);
  for (const to of ['before@example.net', 'during@example.net'])
    assert.deepEqual(await verified(to), [tokens[0]]);
  const shown = (await get()).DkimAttributes!;
  assert.deepEqual([shown.Tokens, shown.CurrentSigningKeyLength], [tokens, 'RSA_1024_BIT']);
  assert.equal((await identities.check('example.com')).verified, true);

  // The same as a file for another name server.
  const headers = { authorization: `Bearer ${key.id}.${key.secret}` };
  const file = await fetch(`http://${postern.listening.api}/v1/dkim-zone`, { headers });
  assert.match(file.headers.get('content-type')!, /^text\/dns/);
  const lines = (await file.text()).trim().split('\n');
  assert.equal(lines[0], `$ORIGIN ${ZONE}.`);
  assert.match(lines[2]!, /^@ IN SOA mail\.example\.com\. hostmaster\.dkim\.mail\.example\.com\. \( \d+ /);
  assert.deepEqual(
    lines.slice(4).map((line) => line.split(' ')[0]),
    tokens.toSorted(),
  );
});
