/** The stored form of an identity, its keys sealed, and the public facts that are derived from the keys. */
import type { Config } from '../engine/ports.ts';
import type { SigningKey } from '../mail/types.ts';
import type { Clock } from '../time.ts';
import { type DkimKey, dkimRecord, makeEd25519Key, makeRsaKey, readKey } from './dkim-keys.ts';
import { DocumentCache } from './document-cache.ts';
import type { Identity, KeyLength, KeySource } from './types.ts';
import type { Vault } from './vault.ts';

export interface StoredSigningKey {
  selector: string;
  algorithm: SigningKey['algorithm'];
  publicKey: string;
  sealedPrivateKey: string;
  /** Whether the key was found in DNS. */
  proven: boolean;
  madeAt: number;
}

/** Easy DKIM: keys in the operator's zone that take turns under the tokens of a domain (dkim-rotation.ts). */
export interface EasyDkim {
  tokens: readonly string[];
  /** Place of the token whose key signs; that key is among the identity's `keys`. */
  slot: number;
  /** When the key was made, or began to sign in the turn of the one before it, and when that one did; ms. */
  since: number;
  before?: number;
  /** Of the key that signs, and of the next one. */
  length: KeyLength;
  nextLength: KeyLength;
  /** When `nextLength` was last changed, ms. */
  lengthSetAt?: number;
  /** Whether the next key is wanted before its time. */
  unwanted?: true;
  /** The next key, published under the next token: when it was first seen there without a break, and last looked for. */
  standby?: { key: StoredSigningKey; length: KeyLength; seenAt?: number; lookedAt?: number };
}

export interface StoredIdentity {
  /** `verified` is the proof in DNS, of an address its confirmation, whether this installation requires proof or not. */
  identity: Identity;
  /** Signing keys of a domain: proven ones, and new ones that are to replace them. */
  keys: StoredSigningKey[];
  easy?: EasyDkim;
  /** When the records were last asked for; absent: when the keys were made. */
  askedAt?: number;
  /**
   * Time of the last check of the proof, since the epoch, ms, and number of clear negative answers in a row; absent:
   * none yet.
   */
  proof?: { checkedAt: number; missing: number };
}

/** Identities in memory, characters of JSON: some four thousand with a key of 2,048 bits each. */
const CAPACITY = 16 << 20;

export function openIdentityCache(config: Config, clock: Clock): DocumentCache<StoredIdentity> {
  return new DocumentCache(config, 'identity', clock, CAPACITY);
}

/** Binds a sealed private key to its document and its place in it. */
export const sealContext = (identity: string, selector: string) => `identity ${identity} ${selector}`;

/** Keys, and the facts of them that an identity shows. */
export interface NewKeys extends Pick<StoredIdentity, 'keys' | 'easy'> {
  dkim: Omit<Identity['dkim'], 'signingEnabled'>;
}

export const DEFAULT_LENGTH: KeyLength = 'RSA_2048_BIT';

/** Seals a key as an identity stores it. */
export function sealedKey(domain: string, key: DkimKey, vault: Vault, now: number): StoredSigningKey {
  const { selector, algorithm, publicKey, privateKey } = key;
  const sealedPrivateKey = vault.seal(privateKey, sealContext(domain, selector));
  return { selector, algorithm, publicKey, sealedPrivateKey, proven: false, madeAt: now };
}

/**
 * Makes (or reads) keys whose records the operator of the domain publishes.
 * @param ed25519 makes an Ed25519 key beside a generated RSA key.
 * @throws `bad_request` for a supplied key that is invalid.
 */
export async function newKeys(
  domain: string,
  source: KeySource,
  options: { vault: Vault; ed25519: boolean; verifyIdentities: boolean; now: number },
): Promise<NewKeys> {
  const brought = 'byo' in source;
  const { vault, now } = options;
  const rsa = brought ? readKey(source.byo) : await makeRsaKey(source.keyLength ?? DEFAULT_LENGTH);
  const made: DkimKey[] = !brought && options.ed25519 ? [rsa, await makeEd25519Key()] : [rsa];
  const keys = made.map((key) => sealedKey(domain, key, vault, now));
  const keyLength = rsa.bits === 1024 ? 'RSA_1024_BIT' : rsa.bits === 2048 ? 'RSA_2048_BIT' : undefined;
  return {
    keys,
    dkim: {
      origin: brought ? 'EXTERNAL' : 'AWS_SES',
      tokens: keys.map((key) => key.selector),
      keyLength,
      ...(!brought && { nextKeyLength: keyLength, keyMadeAt: now }),
      status: options.verifyIdentities ? 'PENDING' : 'SUCCESS',
      records: keys.map((key) => dkimRecord(domain, key)),
    },
  };
}

/**
 * Opens the keys that sign. Where proof is required they are the proven ones, so that replacing a key breaks no
 * signature; else the latest.
 */
export function openSigningKeys(
  stored: StoredIdentity,
  vault: Vault,
  verifyIdentities: boolean,
): SigningKey[] {
  const { name } = stored.identity;
  const fresh = stored.keys.filter((key) => !key.proven);
  const proven = stored.keys.filter((key) => key.proven);
  return (verifyIdentities || fresh.length === 0 ? proven : fresh).map((key) => ({
    domain: name,
    selector: key.selector,
    algorithm: key.algorithm,
    privateKey: vault.open(key.sealedPrivateKey, sealContext(name, key.selector)),
  }));
}
