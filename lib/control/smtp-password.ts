/** The SMTP password that belongs to an access key. */
import { createHmac } from 'node:crypto';

/** The steps of the derivation; the date is fixed, so the password never changes. */
const STEPS = (region: string) => ['11111111', region, 'ses', 'aws4_request', 'SendRawEmail'];
const VERSION = 0x04;

/**
 * Derives the SMTP password from a secret access key, as Amazon SES does ("Obtaining Amazon SES SMTP
 * credentials"): a SigV4 signing key over a fixed date, version byte 4 before it, base64.
 */
export function smtpPassword(secret: string, region: string): string {
  let key: Buffer = Buffer.from(`AWS4${secret}`, 'utf8');
  for (const step of STEPS(region)) key = createHmac('sha256', key).update(step, 'utf8').digest();
  return Buffer.concat([Buffer.of(VERSION), key]).toString('base64');
}
