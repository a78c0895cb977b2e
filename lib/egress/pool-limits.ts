/** The limits of a path, followed as rules and directives change. */
import ipaddr from 'ipaddr.js';
import type { LimitBook } from '../shaping/limits/book.ts';
import type { Limits } from '../shaping/limits/limit.ts';
import type { PlaceLimits } from '../shaping/limits/place-limits.ts';
import type { ConnectionClass, Mail, MailBounds, PathKey } from '../shaping/limits/terms.ts';
import type { Target, Targets } from './destination.ts';

export class PoolLimits {
  readonly place: PathKey;
  readonly #book: LimitBook;
  /** Some mail of the path: what has connections of its own is of one kind. */
  readonly #mail: Mail;
  #version = -1;
  #placeLimits: PlaceLimits | undefined;
  #connectionClass: ConnectionClass | undefined;
  #bounds: MailBounds | undefined;
  /** Targets as last filtered, and from what. */
  #from: Targets | undefined;
  #permitted: Targets | undefined;

  constructor(book: LimitBook, place: PathKey, mail: Mail) {
    this.#book = book;
    this.place = place;
    const { domain, tenant, campaign, class: messageClass } = mail;
    this.#mail = { domain, tenant, campaign, class: messageClass };
  }

  /** The limits of the (IP, site). */
  get own(): PlaceLimits['own'] {
    this.#follow();
    return this.#placeLimits!.own;
  }

  /** The limits of this path's connections. */
  get limits(): Limits {
    this.#follow();
    return this.#connectionClass!.limits;
  }

  /** The limits of this path's connections when they are its own; undefined: those of the (IP, site). */
  get apart(): ConnectionClass | undefined {
    this.#follow();
    return this.#connectionClass!.name === '' ? undefined : this.#connectionClass;
  }

  /** Sets the bounds that came with the latest mail. */
  bound(bounds: MailBounds | undefined): void {
    if (bounds?.text === this.#bounds?.text) return;
    this.#bounds = bounds;
    this.#version = -1;
  }

  #follow(): void {
    if (this.#version === this.#book.version) return;
    this.#version = this.#book.version;
    this.#placeLimits = this.#book.at(this.place);
    this.#connectionClass = this.#placeLimits.of(this.#mail, this.#bounds).connectionClass;
    this.#from = undefined;
  }

  /** What of the addresses no rule prohibits; a fault when that is nothing. */
  permitted(targets: Targets): Targets {
    const { prohibitedMx } = this.limits;
    if (prohibitedMx.length === 0 || targets.kind === 'fault') return targets;
    if (this.#from !== targets) {
      this.#from = targets;
      this.#permitted = withoutProhibited(targets, prohibitedMx);
    }
    return this.#permitted!;
  }
}

function withoutProhibited(
  targets: Extract<Targets, { kind: 'targets' }>,
  rules: readonly string[],
): Targets {
  const left = targets.targets.filter((target) => !rules.some((rule) => prohibits(rule, target)));
  if (left.length > 0) return { ...targets, targets: left };
  const hosts = [...new Set(targets.targets.map(({ host }) => host))].slice(0, 5).join(', ');
  return {
    kind: 'fault',
    code: 'mx_prohibited',
    text: `Limits prohibit every MX host of the destination: ${hosts}.`,
    expiresAt: targets.expiresAt,
  };
}

/** A host name by whole labels, an address, or a network. */
function prohibits(rule: string, { host, address }: Target): boolean {
  const name = host.toLowerCase();
  if (name === rule || name.endsWith(`.${rule}`) || address === rule) return true;
  if (!rule.includes('/')) return false;
  const [network, bits] = ipaddr.parseCIDR(rule);
  const parsed = ipaddr.process(address);
  return parsed.kind() === network.kind() && parsed.match(network, bits);
}
