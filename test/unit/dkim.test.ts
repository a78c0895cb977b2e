import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, describe, it } from 'node:test';
import { dkimVerify } from 'mailauth/lib/dkim/verify.js';
import { bodyHash, LIFETIME, relaxedField, signedHeader } from '../../lib/mail/dkim.ts';
import { parseMessage, serialise } from '../../lib/mail/message.ts';
import { WINDOW } from '../../lib/mail/octets.ts';
import { relaxedBody } from '../../lib/mail/relaxed-body.ts';
import { createSigner } from '../../lib/mail/signer.ts';
import type { SigningKey } from '../../lib/mail/types.ts';
import { seededRandom } from '../support/clock.ts';
import { keyResolver, publishedKey, relaxedText } from '../support/messages.ts';

const NOW = Date.UTC(2026, 10, 21, 9, 5);
const rsa = publishedKey('example.com', 'r1', 'rsa-sha256');
const ed = publishedKey('example.com', 'e1', 'ed25519-sha256');
const resolver = keyResolver([rsa, ed]);
const signer = createSigner();
after(() => signer.close());

const HEADER = [
  'From: Alice <a@example.com>',
  'To: b@example.net',
  'Subject: Hello',
  'Date: Sat, 21 Nov 2026 09:05:00 +0000',
  'List-Unsubscribe: <https://example.com/u>',
  'List-Unsubscribe-Post: List-Unsubscribe=One-Click',
  'X-Own: 1',
];

async function sign(raw: string, keys: SigningKey[] = [rsa.key]): Promise<string> {
  const { fields, body } = parseMessage(Buffer.from(raw, 'latin1'));
  return serialise(fields, body, await signer.sign({ fields, body }, keys, NOW)).toString('latin1');
}

async function results(message: string, at = NOW): Promise<string[]> {
  const verified = await dkimVerify(Buffer.from(message, 'latin1'), {
    resolver,
    curTime: new Date(at),
    strict: true,
  });
  return verified.results.map((one) => one.status.result);
}

const relaxed = (text: string): string => relaxedText(Buffer.from(text, 'latin1'));

describe('the relaxed form', () => {
  it('of a field is the one of RFC 6376 §3.4.5', () => {
    assert.equal(relaxedField({ name: 'a', raw: 'A: X' }), 'a:X\r\n');
    assert.equal(relaxedField({ name: 'b', raw: 'B: Y\t\r\n\tZ  ' }), 'b:Y Z\r\n');
    assert.equal(relaxedField({ name: 'c', raw: 'C:' }), 'c:\r\n');
    assert.equal(relaxedField({ name: 'c', raw: 'C: ' }), 'c:\r\n');
    assert.equal(relaxedField({ name: 'c', raw: 'C:x ' }), 'c:x\r\n');
    assert.equal(relaxedField({ name: 'c', raw: 'C: \xa0x\xa0\x0b' }), 'c:\xa0x\xa0\x0b\r\n');
  });

  const bodies: [string, string][] = [
    [' C \r\nD \t E\r\n\r\n\r\n', ' C\r\nD E\r\n'],
    ['', ''],
    ['\r\n', ''],
    ['\r\n\r\n', ''],
    [' ', ''],
    [' \r\n\t\r\n', ''],
    ['a', 'a\r\n'],
    ['a ', 'a\r\n'],
    ['a\r\n', 'a\r\n'],
    ['a \r\n', 'a\r\n'],
    ['ab \r\n', 'ab\r\n'],
    ['a\r\n b\r\n', 'a\r\n b\r\n'],
    ['a\r\n  b\r\n', 'a\r\n b\r\n'],
    ['a  b', 'a b\r\n'],
    ['ab  c', 'ab c\r\n'],
    ['a\tb', 'a b\r\n'],
    ['\t', ''],
    ['\ta', ' a\r\n'],
    ['  a', ' a\r\n'],
    ['\r\n\r\na\r\n\r\n', '\r\n\r\na\r\n'],
    ['a\r\n\r\n \r\nb', 'a\r\n\r\n\r\nb\r\n'],
    ['\xa0 \xa0\r\n', '\xa0 \xa0\r\n'],
  ];
  for (const [body, form] of bodies) {
    it(`of the body ${JSON.stringify(body)} is ${JSON.stringify(form)}`, () => {
      assert.equal(relaxed(body), form);
      const digest = createHash('sha256').update(form, 'latin1').digest('base64');
      assert.equal(bodyHash(Buffer.from(body, 'latin1')), digest);
    });
  }

  /** The relaxed form by the words of RFC 6376 §3.4.4. */
  const byTheWord = (text: string): string => {
    const lines = text.replace(/[ \t]+/g, ' ').replace(/ (?=\r\n|$)/g, '');
    const ended = lines.replace(/(?:\r\n)+$/, '');
    return ended === '' ? '' : `${ended}\r\n`;
  };
  /** A text as part of other memory, `offset` octets from its beginning, between blanks. */
  const relaxedAt = (text: string, offset: number): string => {
    const memory = Buffer.from(`${' '.repeat(offset)}${text}\t `, 'latin1');
    return relaxedText(memory.subarray(offset, memory.length - 2));
  };

  it('is that of the RFC for any body, wherever it stands in memory', () => {
    const random = seededRandom(7);
    const pieces = ['a', 'b', '!', ' ', ' a', 'x y', '\r\n', '\r\n\r\n', '\t', '\xa0', '\x1f', '\x0c'];
    for (let i = 0; i < 20_000; i++) {
      let text = '';
      for (let n = Math.floor(random() * 30); n > 0; n--)
        text += pieces[Math.floor(random() * (i % 2 ? 8 : pieces.length))]!;
      const offset = i % 5;
      assert.equal(relaxedAt(text, offset), byTheWord(text), JSON.stringify(text));
    }
  });

  it('is found wherever the one blank too many is in a body of more than one window', () => {
    const length = 2 * WINDOW + 9;
    const near = (place: number): number[] => [place - 2, place - 1, place, place + 1];
    const places = [0, 1, 15, 16, 17, ...near(WINDOW), ...near(2 * WINDOW), length - 1, length];
    for (const blanks of ['  ', ' \r\n', '\t', ' \t', '\r\n\r\n', '\t \t \r\n \t', ' '.repeat(70)])
      for (const place of places) {
        const text = `${'a'.repeat(place)}${blanks}${'a'.repeat(length - place)}`;
        assert.ok(relaxedAt(text, 0) === byTheWord(text), `${JSON.stringify(blanks)} at ${place}`);
        const digest = createHash('sha256').update(byTheWord(text), 'latin1').digest('base64');
        assert.equal(bodyHash(Buffer.from(text, 'latin1')), digest);
      }
  });

  it('of a body as long as a window is one piece, and of a longer one as many as it has windows', () => {
    const pieces = (length: number): number => {
      let count = 0;
      relaxedBody(Buffer.alloc(length, 'a'), () => count++);
      return count;
    };
    assert.deepEqual([0, 1, WINDOW, WINDOW + 1, 3 * WINDOW].map(pieces), [0, 1, 1, 2, 3]);
  });

  it('of a body of blanks alone is empty, however long it is', () => {
    assert.equal(relaxed(' \t\r\n'.repeat(WINDOW)), '');
  });
});

describe('the signed header', () => {
  const names = (...raw: string[]): string[] =>
    signedHeader(raw.map((r) => ({ name: r.split(':')[0]!.toLowerCase(), raw: r })))
      .names.folded.replaceAll('\r\n ', '')
      .split(':');
  const count = (list: string[], name: string): number => list.filter((one) => one === name).length;

  it('names each protected field once more than it occurs', () => {
    const list = names('From: a', 'To: b', 'To: c', 'X-Own: d', 'Feedback-ID: e');
    const expected = {
      from: 2,
      to: 3,
      cc: 1,
      subject: 1,
      date: 1,
      'reply-to': 1,
      'message-id': 1,
      'mime-version': 1,
      'content-type': 1,
      'list-unsubscribe': 1,
      'list-unsubscribe-post': 1,
      'list-id': 1,
      'feedback-id': 1,
      'x-own': 0,
      received: 0,
      'return-path': 0,
    };
    for (const [name, n] of Object.entries(expected)) assert.equal(count(list, name), n, name);
  });

  it('lists repeated fields from the bottom up', () => {
    const fields = ['To: 1', 'From: x', 'To: 2'].map((raw) => ({
      name: raw.split(':')[0]!.toLowerCase(),
      raw,
    }));
    assert.equal(signedHeader(fields).data, 'from:x\r\nto:2\r\nto:1\r\n');
  });

  it('is right for more header shapes than the cache holds', () => {
    for (let i = 0; i < 1200; i++) {
      const list = names(...Array<string>(i).fill('To: x'));
      assert.equal(count(list, 'to'), i + 1);
    }
  });
});

describe('a signature', () => {
  it('is the same for the same message, to the octet', async () => {
    const key: SigningKey = {
      domain: 'example.com',
      selector: 'e1',
      algorithm: 'ed25519-sha256',
      privateKey:
        '-----BEGIN PRIVATE KEY-----\n' +
        'MC4CAQAwBQYDK2VwBCIEIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f\n' +
        '-----END PRIVATE KEY-----\n',
    };
    const lines = [
      'Received: by mx.example',
      'From: Alice <a@example.com>',
      'To: b@example.net,',
      '\tc@example.net',
      'To: d@example.net',
      'Subject:  Two   blanks ',
      'Date: Sat, 21 Nov 2026 09:05:00 +0000',
      'Message-ID: <1@example.com>',
      'List-Unsubscribe: <https://example.com/u>,',
      ' <mailto:u@example.com>',
      'X-Postern-Ref: mabc',
      'Feedback-ID: mabc:a:b:c:Postern',
      'X-Own: 1',
      '',
      'Body  with blanks \t',
      '',
      '\tand tabs',
      '',
      '',
    ];
    const prefixOf = (of: string[]): Promise<string> =>
      signer.sign(parseMessage(Buffer.from(of.join('\r\n'), 'latin1')), [key], NOW);
    assert.deepEqual((await prefixOf(lines)).split('\r\n'), [
      'DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed;',
      ' d=example.com;',
      ' s=e1; t=1795251900; x=1795856700;',
      ' h=from:from:sender:reply-to:to:to:to:cc:subject:subject:date:date:',
      ' message-id:message-id:in-reply-to:references:mime-version:content-type:',
      ' content-transfer-encoding:content-disposition:list-id:list-unsubscribe:',
      ' list-unsubscribe:list-unsubscribe-post:list-subscribe:list-post:list-owner:',
      ' list-archive:list-help:feedback-id:x-postern-ref;',
      ' bh=Ya2/Dh7d/e3x0NCGwItSiMlfuo4mIiXhKwOtl24NVzU=;',
      ' b=SX1+Ppa0zNY6T0OVFB1WHgVTsy/PdKxqmFjtvJdQZYrHNxpKShH4p8ghodfel5zFlzJZWutf',
      ' 23M/I+46bZn4CQ==',
      '',
    ]);
    // Of a header in which nothing that is signed occurs twice.
    assert.deepEqual((await prefixOf(lines.filter((line) => !line.startsWith('To: d')))).split('\r\n'), [
      'DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed;',
      ' d=example.com;',
      ' s=e1; t=1795251900; x=1795856700;',
      ' h=from:from:sender:reply-to:to:to:cc:subject:subject:date:date:message-id:',
      ' message-id:in-reply-to:references:mime-version:content-type:',
      ' content-transfer-encoding:content-disposition:list-id:list-unsubscribe:',
      ' list-unsubscribe:list-unsubscribe-post:list-subscribe:list-post:list-owner:',
      ' list-archive:list-help:feedback-id:x-postern-ref;',
      ' bh=Ya2/Dh7d/e3x0NCGwItSiMlfuo4mIiXhKwOtl24NVzU=;',
      ' b=0L4Rbepj1EeKN2n+gn1fntXdNE0C/wGtBDtASh8OJNTgwTILlIUI6na9Wrvj5GtMycGQZxzL',
      ' UkKpK/lgPYrrDg==',
      '',
    ]);
  });

  it('is accepted by other verifiers, one for each key', async () => {
    const message = await sign(`${HEADER.join('\r\n')}\r\n\r\nhi\r\n`, [rsa.key, ed.key]);
    assert.deepEqual(await results(message), ['pass', 'pass']);
    assert.deepEqual(
      [...message.matchAll(/ a=(.*?);/g)].map((m) => m[1]),
      ['rsa-sha256', 'ed25519-sha256'],
    );
  });

  it('is a folded field without l=, and expires after a week', async () => {
    const message = await sign(`${HEADER.join('\r\n')}\r\n\r\nhi\r\n`);
    const field = message.slice(0, message.indexOf('From: '));
    for (const line of field.split('\r\n')) assert.ok(line.length <= 78, line);
    assert.doesNotMatch(field, /[\s;]l=/);
    assert.match(field, new RegExp(` t=${NOW / 1000}; x=${NOW / 1000 + LIFETIME};`));
    assert.equal(LIFETIME, 604_800);
    assert.deepEqual(await results(message, NOW + (LIFETIME - 60) * 1000), ['pass']);
    assert.notDeepEqual(await results(message, NOW + (LIFETIME + 3600) * 1000), ['pass']);
  });

  const kept: [string, (message: string) => string][] = [
    ['a trace field on top', (m) => `Received: from x\r\n${m}`],
    ['another X field', (m) => m.replace('X-Own: 1', 'X-Own: 1\r\nX-Other: 2')],
    ['other folding', (m) => m.replace('Subject: Hello', 'subject:\r\n\tHello ')],
    ['empty lines at the end', (m) => `${m}\r\n\r\n`],
  ];
  for (const [what, change] of kept) {
    it(`survives ${what}`, async () => {
      assert.deepEqual(await results(change(await sign(`${HEADER.join('\r\n')}\r\n\r\nhi\r\n`))), ['pass']);
    });
  }

  const broken: [string, (message: string) => string][] = [
    ['a second From on top', (m) => `From: ceo@bank.example\r\n${m}`],
    ['a second From below', (m) => m.replace('X-Own', 'From: ceo@bank.example\r\nX-Own')],
    ['a second Subject', (m) => `Subject: Other\r\n${m}`],
    ['a second To', (m) => `To: victim@example.org\r\n${m}`],
    ['a Cc', (m) => `Cc: victim@example.org\r\n${m}`],
    ['a Reply-To', (m) => `Reply-To: thief@evil.example\r\n${m}`],
    ['another way to unsubscribe', (m) => `List-Unsubscribe: <https://evil.example>\r\n${m}`],
    ['another one-click', (m) => m.replace('One-Click', 'Two-Click')],
    ['a Content-Type', (m) => `Content-Type: text/html\r\n${m}`],
    ['text behind the end', (m) => `${m}more\r\n`],
    ['text within', (m) => m.replace('\r\nhi', '\r\nho')],
  ];
  for (const [what, change] of broken) {
    it(`does not survive ${what}`, async () => {
      const message = await sign(`${HEADER.join('\r\n')}\r\n\r\nhi\r\n`);
      assert.notDeepEqual(await results(change(message)), ['pass']);
    });
  }
});

describe('the signer', () => {
  const message = parseMessage(Buffer.from(`${HEADER.join('\r\n')}\r\n\r\nhi\r\n`));

  it('adds no signature without a key', async () => {
    assert.equal(await signer.sign(message, [], NOW), '');
  });

  it('signs queued messages too, each its own', async () => {
    const narrow = createSigner({ threads: 1 });
    const texts = Array.from(
      { length: 20 },
      (_, i) => `From: a@example.com\r\nSubject: ${i}\r\n\r\n${i}\r\n`,
    );
    const parsed = texts.map((text) => parseMessage(Buffer.from(text)));
    const prefixes = await Promise.all(parsed.map((one) => narrow.sign(one, [rsa.key, ed.key], NOW)));
    for (const [i, text] of texts.entries())
      assert.deepEqual(await results(prefixes[i]! + text), ['pass', 'pass']);
    await narrow.close();
  });

  it('takes turns between calls, so that a message does not stand behind a call of many', async () => {
    const narrow = createSigner({ threads: 1 });
    const order: string[] = [];
    const call = {};
    const bulk = Array.from({ length: 6 }, (_, i) =>
      narrow.sign(message, [rsa.key], NOW, call).then(() => order.push(`bulk ${i}`)),
    );
    const single = narrow.sign(message, [rsa.key], NOW).then(() => order.push('single'));
    const another = narrow.sign({ ...message }, [rsa.key], NOW).then(() => order.push('another'));
    await Promise.all([...bulk, single, another]);
    const expected = ['bulk 0', 'bulk 1', 'single', 'another', 'bulk 2', 'bulk 3', 'bulk 4', 'bulk 5'];
    assert.deepEqual(order, expected);
    await narrow.close();
  });

  const unusable: [string, Partial<SigningKey>][] = [
    ['no PEM', { privateKey: 'x' }],
    ['another algorithm', { algorithm: 'ed25519-sha256' }],
    ['a domain that is none', { domain: 'example.com; l=0' }],
    ['a selector with a line break', { selector: 'a\r\nX: y' }],
    ['no selector', { selector: '' }],
  ];
  for (const [what, change] of unusable) {
    it(`refuses a key with ${what}`, async () => {
      const key = { ...rsa.key, ...change };
      await assert.rejects(signer.sign(message, [rsa.key, key], NOW), {
        code: 'internal',
        message: /cannot be used/,
      });
    });
  }

  it('finishes its work on close, and accepts no more', async () => {
    const one = createSigner();
    const pending = one.sign(message, [rsa.key], NOW);
    const closed = one.close();
    await assert.rejects(one.sign(message, [rsa.key], NOW), { code: 'shutting_down' });
    assert.match(await pending, /^DKIM-Signature: /);
    await closed;
    await one.close();
  });
});
