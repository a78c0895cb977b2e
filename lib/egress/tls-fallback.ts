/**
 * MX hosts whose TLS handshake failed. They are spoken to in clear for three days, where TLS is only
 * opportunistic: encryption that cannot be had protects nobody, and each attempt would cost a connection.
 * A session for which TLS is required never asks here.
 */
import { TtlCache } from '../cache.ts';

const REMEMBERED = 3 * 86_400_000;

export class TlsFallback {
  readonly #broken = new TtlCache<true>(10_000);

  isBroken(host: string, now: number): boolean {
    return this.#broken.get(host, now) !== undefined;
  }

  remember(host: string, now: number): void {
    this.#broken.set(host, true, now + REMEMBERED);
  }
}
