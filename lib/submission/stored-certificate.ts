/** Keeps the certificate of the submission service up to date: an object that the operator renews, read every hour. */

import { type Certificate, readPem } from '../certificate.ts';
import { readCertificateObject } from '../engine/aws/secrets.ts';
import type { Log } from '../log.ts';
import { type Clock, HOUR } from '../time.ts';

const LOOK = HOUR;

export interface CertificateOptions {
  /** Bucket of the secrets. */
  bucket: string;
  clock: Clock;
  log: Log;
}

export interface FollowedCertificate {
  current(): Certificate & { expires: number };
  /** Calls `renewed` with each new certificate. An invalid one changes nothing. */
  follow(renewed: (certificate: Certificate) => void): void;
  stop(): void;
}

/**
 * Opens the stored certificate. @throws PosternError `not_found`, `storage_unavailable`; `bad_request` when it is
 * invalid.
 */
export async function openCertificate({
  bucket,
  clock,
  log,
}: CertificateOptions): Promise<FollowedCertificate> {
  let current = readPem(await readCertificateObject({ bucket }));
  let cancel = (): void => undefined;
  let stopped = false;

  async function look(renewed: (certificate: Certificate) => void): Promise<void> {
    try {
      const found = readPem(await readCertificateObject({ bucket }));
      if (found.cert !== current.cert || found.key !== current.key) {
        renewed(found);
        current = found;
        log.info('certificate renewed', { expires: new Date(found.expires).toISOString() });
      }
    } catch (error) {
      log.error('certificate not renewed; what ran before goes on', { error });
    }
  }

  return {
    current: () => current,
    follow(renewed) {
      const again = (): void => {
        if (!stopped) cancel = clock.after(LOOK, () => void look(renewed).then(again));
      };
      again();
    },
    stop() {
      stopped = true;
      cancel();
    },
  };
}
