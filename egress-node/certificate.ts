/** The certificate of the listeners: the operator's, or one made at first start so that STARTTLS always works. */
import { readFileSync } from 'node:fs';
import { readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { generate } from 'selfsigned';

export interface Certificate {
  /** PEM. */
  key: string;
  cert: string;
  selfSigned: boolean;
}

/** Reads the operator's certificate. Its files are named in the settings. */
export function readCertificate(files: { key: string; cert: string }): Certificate {
  return { key: readFileSync(files.key, 'utf8'), cert: readFileSync(files.cert, 'utf8'), selfSigned: false };
}

/** The self-signed certificate of a data directory, made at first use and kept (ten years, RSA-2048). */
export async function ownCertificate(directory: string, hostname: string): Promise<Certificate> {
  const path = join(directory, 'tls.pem');
  try {
    return split(await readFile(path, 'utf8'));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
  const made = await generate([{ name: 'commonName', value: hostname }], {
    keySize: 2048,
    algorithm: 'sha256',
    notAfterDate: new Date(Date.now() + 10 * 365 * 86_400_000),
  });
  const text = `${made.private.trim()}\n${made.cert.trim()}\n`;
  // A crash half-way must not leave half a key that every later start would trip over.
  await writeFile(`${path}.new`, text, { mode: 0o600 });
  await rename(`${path}.new`, path);
  return split(text);
}

function split(text: string): Certificate {
  const at = text.indexOf('-----BEGIN CERTIFICATE-----');
  return { key: text.slice(0, at), cert: text.slice(at), selfSigned: true };
}
