/**
 * Checks a node outside AWS before it requests anything: its certificate, its name and its clock. A host that does
 * not match its certificate holds no lease and accepts no mail.
 */
import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { PosternError } from '../../lib/errors.ts';

/**
 * Variable with the file of the node's certificate. Absent: the node is in AWS, whose instances have roles of their
 * own.
 */
const CERTIFICATE = 'POSTERN_CERTIFICATE';
/**
 * Maximum deviation of the clock, ms: AWS refuses signatures that are more than five minutes off (SigV4); a lease
 * tolerates far less.
 */
const MAX_SKEW = 60_000;
const ANSWER = 5_000;

export interface PreflightOptions {
  environment: NodeJS.ProcessEnv;
  /** Name of the node. */
  node: string;
  /** An address of AWS, whose answers contain the time. */
  url: string;
  now: () => number;
}

/** @throws PosternError `bad_request` that states the fault and the remedy. */
export async function preflight({ environment, node, url, now }: PreflightOptions): Promise<void> {
  const file = environment[CERTIFICATE];
  if (!file) return;
  checkCertificate(file, node, now());
  await checkClock(url, now);
}

function checkCertificate(file: string, node: string, now: number): void {
  let certificate: X509Certificate;
  try {
    certificate = new X509Certificate(readFileSync(file));
  } catch (error) {
    throw wrong(`${file} cannot be read as a certificate: ${(error as Error).message}.`);
  }
  const name = /^CN=(.*)$/m.exec(certificate.subject)?.[1];
  if (name !== node)
    throw wrong(
      `${file} is the certificate of "${name ?? ''}", but POSTERN_NODE is "${node}". Use the files that were made for this node.`,
    );
  if (certificate.ca)
    throw wrong(`${file} is the certificate of an authority. Use the node's own, with CA:FALSE.`);
  const [from, to] = [certificate.validFromDate.getTime(), certificate.validToDate.getTime()];
  if (now < from)
    throw wrong(
      `${file} is valid from ${certificate.validFrom} on. Set the clock, or make another certificate.`,
    );
  if (now > to) throw wrong(`${file} expired on ${certificate.validTo}. Make another certificate.`);
}

async function checkClock(url: string, now: () => number): Promise<void> {
  let date: string | null;
  try {
    const response = await fetch(new URL(url).origin, {
      method: 'HEAD',
      redirect: 'manual',
      signal: AbortSignal.timeout(ANSWER),
    });
    date = response.headers.get('date');
  } catch {
    // When AWS cannot be reached, the first request that needs it reports that in more detail.
    return;
  }
  const skew = date === null ? 0 : now() - Date.parse(date);
  if (Math.abs(skew) > MAX_SKEW)
    throw wrong(
      `The clock is ${Math.round(Math.abs(skew) / 1_000)} s ${skew > 0 ? 'ahead of' : 'behind'} AWS. Let the host follow a time server (systemd-timesyncd, chrony).`,
    );
}

function wrong(message: string): PosternError {
  return new PosternError('bad_request', message);
}
