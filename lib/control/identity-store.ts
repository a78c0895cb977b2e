/** An identity as it is stored, its keys sealed, and the way from keys to what the identity shows of them. */
import type { SigningKey } from '../mail/types.ts';
import {
  type DkimKey,
  dkimRecord,
  type KeyLength,
  makeEd25519Key,
  makeRsaKey,
  readKey,
} from './dkim-keys.ts';
import type { Identity } from './types.ts';
import type { Vault } from './vault.ts';

export interface StoredSigningKey {
  selector: string;
  algorithm: SigningKey['algorithm'];
  publicKey: string;
  sealedPrivateKey: string;
  /** It was found in DNS. */
  proven: boolean;
  madeAt: number;
}

export interface StoredIdentity {
  /** `verified` is what DNS proved, whether this installation asks for proof or not. */
  identity: Identity;
  /** Signing keys of a domain: proven ones, and fresh ones that are to replace them. */
  keys: StoredSigningKey[];
  /** The last check of the proof, ms since the epoch, and clear answers in a row that it is gone; absent: none yet. */
  proof?: { checkedAt: number; missing: number };
}

/** Where an identity's keys come from. */
export type KeySource = { byo: { selector: string; privateKey: string } } | { keyLength: KeyLength };

/** Seals a private key into the document and place that it belongs to. */
export const sealContext = (identity: string, selector: string) => `identity ${identity} ${selector}`;

/**
 * Makes (or reads) the keys of a source, and what the identity shows of them.
 * @param ed25519 makes an Ed25519 key beside a made RSA key.
 * @throws `bad_request` for a key that is brought and is none.
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
 * Opens the keys that sign. Where proof is required they are the proven ones, so that replacing a key breaks
 * no signature; else the latest.
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
