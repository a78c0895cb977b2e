/** Messages and keys for the tests of signatures. */
import { generateKeyPairSync } from 'node:crypto';
import { dkimVerify } from 'mailauth/lib/dkim/verify.js';
import { parseMessage, serialise } from '../../lib/mail/message.ts';
import { relaxedBody } from '../../lib/mail/relaxed-body.ts';
import { sanitise } from '../../lib/mail/sanitise.ts';
import { createSigner } from '../../lib/mail/signer.ts';
import type { SigningKey } from '../../lib/mail/types.ts';
import type { Random } from '../../lib/time.ts';
import { seededRandom } from './clock.ts';

/** The relaxed form of a body as one text (latin1). */
export function relaxedText(body: Buffer): string {
  let text = '';
  relaxedBody(body, (piece) => {
    text += piece.toString('latin1');
  });
  return text;
}

/** A signing key with the TXT record that its public half needs. */
export interface PublishedKey {
  key: SigningKey;
  /** `selector._domainkey.domain`. */
  name: string;
  record: string;
}

/** Makes a key pair of the given algorithm (RSA: 2048 bits). */
export function publishedKey(
  domain: string,
  selector: string,
  algorithm: SigningKey['algorithm'],
): PublishedKey {
  const rsa = algorithm === 'rsa-sha256';
  const { privateKey, publicKey } = rsa
    ? generateKeyPairSync('rsa', { modulusLength: 2048 })
    : generateKeyPairSync('ed25519');
  const spki = publicKey.export({ type: 'spki', format: 'der' });
  // RFC 8463 §4: the bare 32 bytes, not the SubjectPublicKeyInfo around them.
  const p = (rsa ? spki : spki.subarray(-32)).toString('base64');
  return {
    key: {
      domain,
      selector,
      algorithm,
      privateKey: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    },
    name: `${selector}._domainkey.${domain}`,
    record: `v=DKIM1; k=${rsa ? 'rsa' : 'ed25519'}; p=${p}`,
  };
}

/** A resolver for mailauth with these keys. */
export function keyResolver(keys: PublishedKey[]): (name: string) => Promise<string[][]> {
  const records = new Map(keys.map(({ name, record }) => [name, record]));
  return async (name) => {
    const record = records.get(name);
    if (record) return [[record]];
    throw Object.assign(new Error(`No record ${name}`), { code: 'ENOTFOUND' });
  };
}

const NAMES =
  'To Cc Subject Date Message-ID Reply-To MIME-Version Content-Type List-Unsubscribe List-Unsubscribe-Post List-Id Received X-Mailer Feedback-ID X-Postern-Ref References'.split(
    ' ',
  );

/**
 * An unusual but sendable raw message: repeated fields, folding by blanks and
 * tabs, runs of blanks, 8-bit bytes, long lines, stray CR, LF and NUL, empty or blank bodies, no last CRLF.
 */
export function generateMessage(random: Random): Buffer {
  const pick = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)]!;
  const many = (max: number): number => Math.floor(random() * (max + 1));
  const blanks = (): string => pick([' ', ' ', ' ', '  ', '\t', ' \t ', '    ']);
  const word = (): string => {
    const letters = pick(['abcdef', 'XYZ09.=?;:', '\xc3\xa4\xe2\x82\xac\xa0\x85\xff', '<>@,"()\\', '-_']);
    let out = '';
    for (let n = 1 + many(11); n > 0; n--) out += pick(letters.split(''));
    return out;
  };
  const value = (): string => {
    let out = pick(['', ' ', ' ', '  ', '\t']);
    for (let n = many(12); n > 0; n--)
      out += word() + pick([blanks, blanks, (): string => `\r\n${blanks()}`])();
    return out + word() + pick(['', '', ' ', '\t ']);
  };
  const line = (): string => {
    let out = pick(['', '', ' ', '.', '..', '\t']);
    for (let n = many(10); n > 0; n--) out += word() + blanks();
    if (random() < 0.02) out += 'long'.repeat(many(800));
    return out + pick(['', word(), word(), ' ', ' \t']);
  };
  const eol = (): string => (random() < 0.03 ? pick(['\n', '\r', '\0\r\n', '\r\r\n', '\n\r']) : '\r\n');

  let text = `From: ${word().replaceAll('\r', '')} <sender@example.com>\r\n`;
  for (let n = many(14); n > 0; n--) text += `${pick(NAMES)}:${value()}\r\n`;
  if (random() < 0.02) text += `X-Long: ${'word '.repeat(300)}\r\n`;
  if (random() < 0.03) return Buffer.from(text, 'latin1');
  text += '\r\n';
  for (let n = random() < 0.1 ? 0 : many(25); n > 0; n--) text += line() + eol();
  text += pick(['', '', '\r\n\r\n', ' \r\n\t\r\n', 'no end', 'blank end ']);
  return Buffer.from(text, 'latin1');
}

/**
 * Generates, sanitises and signs messages, every fourth with both algorithms, every second for the operator's domain too, and has mailauth verify them.
 * @returns the failures, with their messages.
 */
export async function verifyGenerated(options: { seed: number; count: number }): Promise<string[]> {
  const random = seededRandom(options.seed);
  const own = publishedKey('example.com', 'r', 'rsa-sha256');
  const second = publishedKey('example.com', 'e', 'ed25519-sha256');
  const operator = publishedKey('fbl.example', 'o', 'rsa-sha256');
  const keys = [own, second, operator];
  const resolver = keyResolver(keys);
  const signer = createSigner();
  const failures: string[] = [];
  for (let i = 0; i < options.count; i++) {
    const using = [own, ...(i % 4 === 0 ? [second] : []), ...(i % 4 < 2 ? [operator] : [])];
    const { fields, body } = parseMessage(sanitise(generateMessage(random), 'normalise'));
    const prefix = await signer.sign(
      { fields, body },
      using.map((one) => one.key),
      Date.now(),
    );
    const message = serialise(fields, body, prefix);
    const { results } = await dkimVerify(message, { resolver, strict: true });
    const passed = results.filter((one) => one.status.result === 'pass').length;
    if (passed !== using.length) failures.push(`Message ${i}: ${JSON.stringify(message.toString('latin1'))}`);
  }
  await signer.close();
  return failures;
}
