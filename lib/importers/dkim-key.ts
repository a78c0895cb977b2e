/** DKIM keys in files, for SES's BYODKIM form. */
import { createPrivateKey } from 'node:crypto';
import { readKey } from '../control/dkim-keys.ts';
import { PosternError } from '../errors.ts';
import type { ImportDraft } from './draft.ts';
import type { SourcePlace } from './finding.ts';
import { SourceFault, type SourceFiles } from './source-files.ts';

/** Takes the key in a file for a domain. Each failure is a finding, without a part of the key. */
export function takeKey(
  draft: ImportDraft,
  files: SourceFiles,
  at: SourcePlace,
  key: { domain: string; selector: string; path: string; from?: string },
): void {
  const { domain, selector, path, from } = key;
  let text: string;
  try {
    text = files.read(path, from).lines.join('\n');
  } catch (error) {
    if (!(error instanceof SourceFault)) throw error;
    draft.note(
      at,
      'impossible',
      `the key of ${domain} was not read: ${path} ${error.message}. Without it Postern makes a new key: publish its record.`,
    );
    return;
  }
  takeKeyText(draft, at, { domain, selector, text });
}

/** As `takeKey`, with the key itself. */
export function takeKeyText(
  draft: ImportDraft,
  at: SourcePlace,
  { domain, selector, text }: { domain: string; selector: string; text: string },
): void {
  const identity = draft.identity(domain);
  const refuse = (why: string): void =>
    draft.note(
      at,
      'impossible',
      `the key of ${domain} was not taken: ${why} The identity gets a new key: publish its record.`,
    );
  let privateKey: string;
  try {
    const pem = text.includes('-----BEGIN');
    const parsed = createPrivateKey(
      pem ? text : { key: Buffer.from(text.replace(/\s+/g, ''), 'base64'), format: 'der', type: 'pkcs8' },
    );
    if (parsed.asymmetricKeyType !== 'rsa') {
      refuse(`it is an ${parsed.asymmetricKeyType} key, and a key that is brought must be RSA.`);
      return;
    }
    privateKey = parsed.export({ format: 'der', type: 'pkcs8' }).toString('base64');
    readKey({ selector, privateKey });
  } catch (error) {
    refuse(error instanceof PosternError ? error.message : 'it is damaged, or needs a passphrase.');
    return;
  }
  if (identity.key && (identity.key.selector !== selector || identity.key.privateKey !== privateKey)) {
    draft.note(
      at,
      'changed',
      `${domain} has several keys; ${identity.key.selector} signs, ${selector} does not.`,
    );
    return;
  }
  identity.key = { selector, privateKey };
  draft.note(at, 'taken', `${domain} is signed with this key, selector ${selector}.`);
}
