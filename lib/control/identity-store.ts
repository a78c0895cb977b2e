/** The stored form of an identity, its keys sealed, and the public facts that are derived from the keys. */
import type { Config } from '../engine/ports.ts';
import type { SigningKey } from '../mail/types.ts';
import type { Clock } from '../time.ts';
import {
  type DkimKey,
  dkimRecord,
  type KeyLength,
  makeEd25519Key,
  makeRsaKey,
  readKey,
} from './dkim-keys.ts';
import { DocumentCache } from './document-cache.ts';
import type { Identity } from './types.ts';
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

export interface StoredIdentity {
  /** `verified` is the proof in DNS, of an address its confirmation, whether this installation requires proof or not. */
  identity: Identity;
  /** Signing keys of a domain: proven ones, and new ones that are to replace them. */
  keys: StoredSigningKey[];
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

/** The source of an identity's keys. */
export type KeySource = { byo: { selector: string; privateKey: string } } | { keyLength: KeyLength };

/** Binds a sealed private key to its document and its place in it. */
export const sealContext = (identity: string, selector: string) => `identity ${identity} ${selector}`;

/**
 * Makes (or reads) the keys of a source, and the facts of them that the identity shows.
 * @param ed25519 makes an Ed25519 key beside a generated RSA key.
 * @throws `bad_request` for a supplied key that is invalid.
 */
export async function newKeys(
  domain: string,
  source: KeySource,
  options: { vault: Vault; ed25519: boolean; verifyIdentities: boolean; now: number },
): Promise<Pick<StoredIdentity, 'keys'> & { dkim: Omit<Identity['dkim'], 'signingEnabled'> }> {
  const brought = 'byo' in source;
  const rsa = brought ? readKey(source.byo) : await makeRsaKey(source.keyLength);
  const made: DkimKey[] = !brought && options.ed25519 ? [rsa, await makeEd25519Key()] : [rsa];
  const keys = made.map(({ selector, algorithm, publicKey, privateKey }) => ({
    selector,
    algorithm,
    publicKey,
    sealedPrivateKey: options.vault.seal(privateKey, sealContext(domain, selector)),
    proven: false,
    madeAt: options.now,
  }));
  return {
    keys,
    dkim: {
      origin: brought ? 'EXTERNAL' : 'AWS_SES',
      tokens: keys.map((key) => key.selector),
      keyLength: rsa.bits === 1024 ? 'RSA_1024_BIT' : rsa.bits === 2048 ? 'RSA_2048_BIT' : undefined,
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
