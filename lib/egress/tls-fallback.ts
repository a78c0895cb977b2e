/**
 * Which MX hosts are spoken to in clear, where TLS is only opportunistic. A handshake that never succeeds protects no
 * one, and would keep the mail; but one that fails once proves nothing, and an attacker on the path can make it fail.
 *
 * ```
 *  host    │ connects        │ handshake done │ TLS broke      │ third time, each a minute apart │ 530 in clear
 *  unknown │ TLS if offered  │ spoken         │ unknown        │ clear, for a day                │ spoken
 *  spoken  │ TLS or not      │ spoken         │ spoken         │ spoken                          │ spoken
 *          │ at all          │                │                │                                 │
 *  clear   │ in clear        │ –              │ –              │ –                               │ spoken
 * ```
 * "Broke" is an alert or a violation of the protocol: a reset, a timeout and a 421 are faults of a connection. Spoken
 * lapses three days after the last handshake: a host that gave TLS up gets its mail within the lifetime of a message.
 * A session that requires TLS never uses this.
 */
import { TtlCache } from '../cache.ts';
import type { SessionOptions } from '../smtp/types.ts';
import { DAY } from '../time.ts';

const SPOKEN = 3 * DAY;
const CLEAR = DAY;
/** Number of failures in a row that prove that a host does not support TLS, and the time between two that count, ms. */
const PROOFS = 3;
const APART = 60_000;

type Knowledge = { kind: 'spoken' } | { kind: 'clear' } | { kind: 'broke'; times: number; at: number };

export class TlsFallback {
  readonly #hosts = new TtlCache<Knowledge>(20_000);

  /** How to connect to a host. */
  mode(host: string, now: number): SessionOptions['tls'] {
    const kind = this.#hosts.get(host, now)?.kind;
    if (kind === 'spoken') return 'required';
    return kind === 'clear' ? 'off' : 'opportunistic';
  }

  /** Forgets a host. @returns whether anything was known of it. */
  forget(host: string, now: number): boolean {
    const known = this.#hosts.get(host, now) !== undefined;
    this.#hosts.delete(host);
    return known;
  }

  /** Records a completed handshake, or a host's demand for one by 530 (RFC 3207 §4). */
  spoke(host: string, now: number): void {
    this.#hosts.set(host, { kind: 'spoken' }, now + SPOKEN);
  }

  /** TLS itself failed. @returns whether the host is spoken to in clear from now on. */
  broke(host: string, now: number): boolean {
    const known = this.#hosts.get(host, now);
    if (known?.kind === 'spoken') return false;
    if (known?.kind === 'clear') return true;
    if (known !== undefined && now - known.at < APART) return false;
    const times = (known?.times ?? 0) + 1;
    const proven = times >= PROOFS;
    this.#hosts.set(host, proven ? { kind: 'clear' } : { kind: 'broke', times, at: now }, now + CLEAR);
    return proven;
  }
}
