/**
 * DKIM key pairs, made here or supplied by the caller, and the DNS record that publishes one (RFC 6376 §3.6.1, RFC
 * 8463).
 */
import {
  createPrivateKey,
  createPublicKey,
  generateKeyPair,
  type KeyObject,
  randomBytes,
  sign,
  verify,
} from 'node:crypto';
import { promisify } from 'node:util';
import { PosternError } from '../errors.ts';
import type { SigningKey } from '../mail/types.ts';
import { quote } from './names.ts';
import type { KeyLength } from './types.ts';

const generate = promisify(generateKeyPair);

/** A private key with its public properties. */
export interface DkimKey {
  selector: string;
  algorithm: SigningKey['algorithm'];
  /** PKCS#8, PEM. */
  privateKey: string;
  /** Base64 for `p=`: SubjectPublicKeyInfo of RSA, the bare 32 bytes of Ed25519 (RFC 8463 §4). */
  publicKey: string;
  /** Modulus in bits, for RSA. */
  bits?: number;
}

/** Bits of a supplied RSA key: RFC 8301 §3.2 requires at least 1024; verifiers must accept up to 4096. */
const MIN_BITS = 1024;
const MAX_BITS = 4096;
/** SES: `DomainSigningSelector`, `DomainSigningPrivateKey`. */
const SELECTOR = /^[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?$/;
const BASE64 = /^[a-zA-Z0-9+/]{1,20480}={0,2}$/;
const BASE32 = 'abcdefghijklmnopqrstuvwxyz234567';
const TOKEN_LENGTH = 32;
const TOKEN = /^[a-z2-7]{32}$/;

/** Makes an RSA key off the event loop. @param selector absent: a random one, which was not used before. */
export async function makeRsaKey(length: KeyLength, selector = newToken()): Promise<DkimKey> {
  const bits = length === 'RSA_1024_BIT' ? 1024 : 2048;
  const { privateKey } = await generate('rsa', { modulusLength: bits, publicExponent: 0x10001 });
  return rsaKey(selector, privateKey);
}

/** Makes an Ed25519 key, to sign beside RSA for the verifiers that support it. */
export async function makeEd25519Key(): Promise<DkimKey> {
  const { privateKey, publicKey } = await generate('ed25519');
  const { x } = publicKey.export({ format: 'jwk' });
  return {
    selector: newToken(),
    algorithm: 'ed25519-sha256',
    privateKey: pem(privateKey),
    publicKey: Buffer.from(x!, 'base64url').toString('base64'),
  };
}

/**
 * Reads a key that the caller supplies, in the form of SES: base64 of PKCS#1 or PKCS#8 DER, without PEM lines.
 * @throws `bad_request` that states what is wrong with it; never with a part of the key.
 */
export function readKey(brought: { selector: string; privateKey: string }): DkimKey {
  if (!SELECTOR.test(brought.selector)) {
    throw new PosternError(
      'bad_request',
      `A DKIM selector has 1 to 63 letters, digits and inner hyphens: ${quote(brought.selector)}.`,
    );
  }
  if (!BASE64.test(brought.privateKey)) {
    throw new PosternError(
      'bad_request',
      'The private key is not base64 on one line. Leave out the BEGIN and END lines and every line break.',
    );
  }
  const der = Buffer.from(brought.privateKey, 'base64');
  const key = parse(der, 'pkcs8') ?? parse(der, 'pkcs1');
  if (key?.asymmetricKeyType !== 'rsa') {
    throw new PosternError('bad_request', 'The private key is not an RSA key in PKCS#1 or PKCS#8 form.');
  }
  const bits = key.asymmetricKeyDetails?.modulusLength ?? 0;
  if (bits < MIN_BITS || bits > MAX_BITS) {
    throw new PosternError(
      'bad_request',
      `The private key has ${bits} bits; it needs ${MIN_BITS} to ${MAX_BITS}.`,
    );
  }
  if (!works(key)) {
    throw new PosternError('bad_request', 'The private key is damaged: what it signs does not verify.');
  }
  return rsaKey(brought.selector, key);
}

/** The TXT record of a key. One string: a zone file splits it into pieces of 255 (RFC 6376 §3.6.2.2). */
export function dkimRecord(domain: string, key: Pick<DkimKey, 'selector' | 'algorithm' | 'publicKey'>) {
  const kind = key.algorithm === 'rsa-sha256' ? 'rsa' : 'ed25519';
  return {
    name: keyName(key.selector, domain),
    type: 'TXT' as const,
    value: `v=DKIM1; k=${kind}; p=${key.publicKey}`,
  };
}

/** The name at which a verifier looks for a key (RFC 6376 §3.6.2.1). */
export function keyName(selector: string, domain: string): string {
  return `${selector}._domainkey.${domain}`;
}

/** The `p=` of a published record, without white space; undefined when it is no DKIM key record. */
export function publishedKey(text: string): string | undefined {
  for (const tag of text.split(';')) {
    const equals = tag.indexOf('=');
    if (equals > 0 && tag.slice(0, equals).trim() === 'p') return tag.slice(equals + 1).replace(/\s+/g, '');
  }
  return undefined;
}

function parse(der: Buffer, type: 'pkcs1' | 'pkcs8'): KeyObject | undefined {
  try {
    return createPrivateKey({ key: der, format: 'der', type });
  } catch {
    return undefined;
  }
}

/**
 * Whether the key signs. Parsing proves little: the numbers of a key may not belong together, and every message would
 * fail DKIM.
 */
function works(key: KeyObject): boolean {
  try {
    const probe = Buffer.from('postern');
    return verify('sha256', probe, createPublicKey(key), sign('sha256', probe, key));
  } catch {
    return false;
  }
}

function rsaKey(selector: string, key: KeyObject): DkimKey {
  return {
    selector,
    algorithm: 'rsa-sha256',
    privateKey: pem(key),
    publicKey: createPublicKey(key).export({ format: 'der', type: 'spki' }).toString('base64'),
    bits: key.asymmetricKeyDetails?.modulusLength,
  };
}

function pem(key: KeyObject): string {
  return key.export({ format: 'pem', type: 'pkcs8' }).toString();
}

/** Whether a text can be a token of ours: what cannot is not looked up. */
export function isToken(text: string): boolean {
  return TOKEN.test(text);
}

/** A random token of 160 bits: a lapsed record of another owner of the domain never passes for ours. */
export function newToken(): string {
  let token = '';
  for (const byte of randomBytes(TOKEN_LENGTH)) token += BASE32[byte & 31];
  return token;
}
