/** DKIM keys in DNS (RFC 6376 §3.6.1, RFC 8301, RFC 8463). */
import { createPublicKey } from 'node:crypto';
import { finding, type HealthFinding, quoted, type RecordToPublish } from '../finding.ts';
import { readTags } from '../tag-list.ts';

export interface DkimKeyFacts {
  /** The record to publish: the key itself, or an alias of a name that has it. */
  record: RecordToPublish;
  /** TXT records found under its name. */
  found: readonly string[];
  /** Why DNS gave no answer. */
  unanswered?: string;
}

export interface DkimFacts {
  domain: string;
  /** Whether the identity's mail is signed. */
  signs: boolean;
  keys: readonly DkimKeyFacts[];
}

/** RFC 8301 §3.2: signers should use at least 2048 bits. */
const GOOD_BITS = 2048;

export function dkimFindings({ domain, signs, keys }: DkimFacts): HealthFinding[] {
  if (!signs) {
    return [
      finding(
        'dkim.off',
        domain,
        `Signing is switched off for ${domain}.`,
        'Switch it on: PutEmailIdentityDkimAttributes with SigningEnabled true.',
      ),
    ];
  }
  return keys.flatMap((key) => keyFindings(domain, key));
}

/** Whether a signature of the identity verifies now: some key is published as it should be. */
export function isVerifiable({ signs, keys }: DkimFacts): boolean {
  return (
    signs &&
    keys.some(
      (key) =>
        keyFindings('', key).every(({ severity }) => severity !== 'error') && key.unanswered === undefined,
    )
  );
}

function keyFindings(domain: string, { record, found, unanswered }: DkimKeyFacts): HealthFinding[] {
  const { name } = record;
  if (unanswered !== undefined) {
    return [
      finding(
        'dns.unanswered',
        domain,
        `DNS gives no answer about ${name}: ${unanswered}.`,
        'Check the name servers of the domain, then look again.',
      ),
    ];
  }
  const keys = found.map((text) => ({ text, tags: readTags(text) })).filter(({ tags }) => tags?.has('p'));
  if (keys.length === 0) {
    const seen = found.length > 0 ? ` There is ${quoted(found[0]!)}, which is no key.` : '';
    return [
      finding(
        'dkim.missing',
        domain,
        `No DKIM key is published under ${name}.${seen}`,
        'Publish the record.',
        { record },
      ),
    ];
  }
  const expected = record.type === 'TXT' ? keyOf(readTags(record.value)) : undefined;
  const own = expected === undefined ? keys[0]! : keys.find(({ tags }) => keyOf(tags) === expected);
  if (own === undefined) {
    const [{ text, tags }] = keys as [(typeof keys)[0]];
    if (keyOf(tags) === '') return [revoked(domain, record)];
    return [
      finding(
        'dkim.wrong',
        domain,
        `${name} has another key than the one that signs: ${quoted(text)}.`,
        'Replace the record. A value that was cut at 255 characters looks like this, too: publish it in several strings.',
        { record },
      ),
    ];
  }
  if (keyOf(own.tags) === '') return [revoked(domain, record)];
  return [...fitness(domain, record, own.tags!), ...strength(domain, record, own.tags!)];
}

function revoked(domain: string, record: RecordToPublish): HealthFinding {
  return finding(
    'dkim.revoked',
    domain,
    `The key under ${record.name} is revoked: its p= is empty.`,
    'Publish the record, or make a new key.',
    { record },
  );
}

function keyOf(tags: Map<string, string> | undefined): string | undefined {
  return tags?.get('p')?.replace(/\s+/g, '');
}

function fitness(domain: string, record: RecordToPublish, tags: Map<string, string>): HealthFinding[] {
  const unfit = (text: string): HealthFinding =>
    finding('dkim.unfit', domain, `${record.name}: ${text}.`, 'Publish the record as it is shown.', {
      record,
    });
  const found: HealthFinding[] = [];
  const version = tags.get('v');
  if (version !== undefined && version !== 'DKIM1') found.push(unfit(`v=${quoted(version)} is not DKIM1`));
  if (!among(tags.get('h'), 'sha256'))
    found.push(unfit('h= does not permit sha256, the only hash in use (RFC 8301 §3.1)'));
  if (!among(tags.get('s'), 'email')) found.push(unfit('s= does not permit the service email'));
  if (
    tags
      .get('t')
      ?.split(':')
      .some((flag) => flag.trim() === 'y')
  ) {
    found.push(
      finding(
        'dkim.testing',
        domain,
        `${record.name} is marked as a test (t=y).`,
        'Remove t=y from the record.',
        { record },
      ),
    );
  }
  return found;
}

/** Whether a colon-separated list permits a value; absent, all are. */
function among(list: string | undefined, value: string): boolean {
  if (list === undefined) return true;
  const values = list.split(':').map((one) => one.trim());
  return values.includes(value) || values.includes('*');
}

function strength(domain: string, record: RecordToPublish, tags: Map<string, string>): HealthFinding[] {
  if ((tags.get('k') ?? 'rsa') !== 'rsa') return [];
  const bits = rsaBits(keyOf(tags)!);
  if (bits === undefined)
    return [
      finding(
        'dkim.unfit',
        domain,
        `${record.name}: p= is not an RSA key.`,
        'Publish the record as it is shown.',
        { record },
      ),
    ];
  if (bits >= GOOD_BITS) return [];
  return [
    finding(
      'dkim.weak',
      domain,
      `The key under ${record.name} has ${bits} bits.`,
      `Make a key of ${GOOD_BITS} bits: PutEmailIdentityDkimSigningAttributes with NextSigningKeyLength RSA_2048_BIT.`,
    ),
  ];
}

function rsaBits(base64: string): number | undefined {
  const der = Buffer.from(base64, 'base64');
  for (const type of ['spki', 'pkcs1'] as const) {
    try {
      const key = createPublicKey({ key: der, format: 'der', type });
      if (key.asymmetricKeyType === 'rsa') return key.asymmetricKeyDetails?.modulusLength;
    } catch {
      // Not of this form.
    }
  }
  return undefined;
}
