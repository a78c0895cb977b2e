/** The certificate of the listeners: the operator's, or one made at first start so that STARTTLS always works. */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createSecureContext } from 'node:tls';
import { generate } from 'selfsigned';
import { PosternError } from './errors.ts';
import { DAY } from './time.ts';

export interface Certificate {
  /** PEM. */
  key: string;
  cert: string;
  selfSigned: boolean;
}

/**
 * Reads the operator's certificate from the files that the settings name.
 * @throws PosternError `bad_request` that names the unreadable file, or the two files when they do not belong
 * together: after a renewal that was copied half-way, the current certificate must stay in use.
 */
export function readCertificate(files: { key: string; cert: string }): Certificate {
  const [key, cert] = [files.key, files.cert].map((file) => {
    try {
      return readFileSync(file, 'utf8');
    } catch (cause) {
      throw new PosternError(
        'bad_request',
        `The TLS file ${file} cannot be read: ${(cause as Error).message}.`,
        {
          cause,
        },
      );
    }
  }) as [string, string];
  try {
    createSecureContext({ key, cert });
  } catch (cause) {
    const { message } = cause as Error;
    throw new PosternError(
      'bad_request',
      `${files.key} and ${files.cert} cannot be used for TLS: ${message}.`,
      {
        cause,
      },
    );
  }
  return { key, cert, selfSigned: false };
}

const KEY = /-----BEGIN (?:EC |RSA )?PRIVATE KEY-----[^-]+-----END (?:EC |RSA )?PRIVATE KEY-----/;
const CERTIFICATES = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

/**
 * Parses a key and its certificates from one PEM text, the certificate of the key first.
 * @returns also when it expires, since the epoch, ms. @throws PosternError `bad_request` that states what is wrong.
 */
export function readPem(text: string): Certificate & { expires: number } {
  const key = KEY.exec(text)?.[0];
  const certificates = text.match(CERTIFICATES);
  if (!key || !certificates) {
    const missing = key ? 'certificate' : 'private key (without passphrase)';
    throw new PosternError('bad_request', `The PEM text has no ${missing}.`);
  }
  let leaf: X509Certificate;
  let own: boolean;
  try {
    leaf = new X509Certificate(certificates[0]);
    own = leaf.checkPrivateKey(createPrivateKey(key));
  } catch (cause) {
    throw new PosternError('bad_request', `The PEM text cannot be read: ${(cause as Error).message}.`, {
      cause,
    });
  }
  if (!own)
    throw new PosternError('bad_request', 'The first certificate of the PEM text is not that of its key.');
  const expires = leaf.validToDate.getTime();
  return { key, cert: `${certificates.join('\n')}\n`, selfSigned: false, expires };
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
    notAfterDate: new Date(Date.now() + 10 * 365 * DAY),
  });
  const text = `${made.private.trim()}\n${made.cert.trim()}\n`;
  // A crash half-way must not leave half a key, on which every later start would fail.
  await writeFile(`${path}.new`, text, { mode: 0o600 });
  await rename(`${path}.new`, path);
  return split(text);
}

function split(text: string): Certificate {
  const at = text.indexOf('-----BEGIN CERTIFICATE-----');
  return { key: text.slice(0, at), cert: text.slice(at), selfSigned: true };
}
