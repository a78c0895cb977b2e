/**
 * Limits how many connections, messages and failed logins one network may have, so that a flood from a few addresses
 * does not take the places of all others. A network is an IPv4 address or an IPv6 /64: the owner of one IPv6 address
 * has its whole /64.
 *
 * ```
 *  connection ─► anonymous ── trust() ─► trusted
 *                counted by network,     counted in the sum alone
 *                and in their own sum
 * ```
 * When four fifths of the anonymous places are taken, a network gets a tenth of its share (the stress profile of
 * Postfix): ten hostile addresses cannot hold every place against a provider that opens a few connections.
 */
import ipaddr from 'ipaddr.js';
import type { Clock } from '../time.ts';
import { WindowCounter } from '../window-counter.ts';

export interface ListenerLimits {
  /** Maximum number of connections, trusted ones included. */
  connections: number;
  /** Maximum number of connections of peers that have not logged in, in all and from one network. */
  anonymous: number;
  anonymousOfOne: number;
  /** Maximum messages from one network in a minute. */
  messagesOfOne: number;
}

/** The place of one connection. */
export interface Ticket {
  network: string;
  /** Marks the peer as logged in, so that it no longer counts against its network. */
  trust(): void;
  /** Ends the connection's place. Later calls have no effect. */
  release(): void;
}

const STRESS = 0.8;
const SHARE_UNDER_STRESS = 0.1;
const MESSAGE_WINDOW = 60_000;
const LOGIN_WINDOW = 600_000;
/** Delay of the reply to a failed login, multiplied by the failures of the network in `LOGIN_WINDOW`, ms. */
const LOGIN_DELAY = 1000;
const MAX_LOGIN_DELAY = 10_000;

/** The network of an address, which counts as one peer. Text that is not an address is a network of its own. */
export function networkOf(address: string): string {
  if (!ipaddr.isValid(address)) return address;
  const ip = ipaddr.process(address);
  if (ip.kind() === 'ipv4') return ip.toString();
  return `${(ip as ipaddr.IPv6).parts
    .slice(0, 4)
    .map((part) => part.toString(16))
    .join(':')}::/64`;
}

export class ConnectionLimiter {
  readonly #limits: ListenerLimits;
  #open = 0;
  #anonymous = 0;
  readonly #anonymousOf = new Map<string, number>();
  readonly #messages: WindowCounter;
  readonly #failures: WindowCounter;

  constructor(limits: ListenerLimits, clock: Clock) {
    this.#limits = limits;
    this.#messages = new WindowCounter(MESSAGE_WINDOW, clock);
    this.#failures = new WindowCounter(LOGIN_WINDOW, clock);
  }

  /** Claims a place for a connection. @returns the text of a temporary reply when there is none. */
  admit(address: string): Ticket | string {
    const { connections, anonymous, anonymousOfOne } = this.#limits;
    const network = networkOf(address);
    const held = this.#anonymousOf.get(network) ?? 0;
    const stressed = this.#anonymous >= anonymous * STRESS;
    const share = stressed ? Math.max(1, Math.floor(anonymousOfOne * SHARE_UNDER_STRESS)) : anonymousOfOne;
    if (held >= share) return '4.7.0 Too many connections from your network, try again later';
    if (this.#open >= connections || this.#anonymous >= anonymous) {
      return '4.7.0 Too many connections, try again later';
    }
    this.#open += 1;
    this.#anonymous += 1;
    this.#anonymousOf.set(network, held + 1);
    let state: 'anonymous' | 'trusted' | 'released' = 'anonymous';
    const named = (): void => {
      this.#anonymous -= 1;
      const left = this.#anonymousOf.get(network)! - 1;
      if (left > 0) this.#anonymousOf.set(network, left);
      else this.#anonymousOf.delete(network);
    };
    return {
      network,
      trust: () => {
        if (state !== 'anonymous') return;
        state = 'trusted';
        named();
      },
      release: () => {
        if (state === 'released') return;
        if (state === 'anonymous') named();
        state = 'released';
        this.#open -= 1;
      },
    };
  }

  /** Counts a message. @returns the text of a temporary reply when it exceeds the limit. */
  message(network: string): string | undefined {
    const { messagesOfOne } = this.#limits;
    if (messagesOfOne === Number.POSITIVE_INFINITY || this.#messages.add(network) <= messagesOfOne)
      return undefined;
    return '4.7.1 Too many messages from your network, try again later';
  }

  /** Counts a failed login. @returns the delay of its reply, ms. */
  failedLogin(network: string): number {
    return Math.min(MAX_LOGIN_DELAY, LOGIN_DELAY * this.#failures.add(network));
  }
}
