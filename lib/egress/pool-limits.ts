/** The limits of a connection pool, followed as rules and directives change. */
import ipaddr from 'ipaddr.js';
import type { LimitBook } from '../shaping/limits/book.ts';
import type { Limits } from '../shaping/limits/limit.ts';
import type { ConnectionClass, Mail, MailBounds, PathKey, Resolved } from '../shaping/limits/terms.ts';
import type { Target, Targets } from './destination.ts';

interface Current {
  /** Limits of the (IP, site). */
  readonly own: Resolved;
  /** Limits of this pool's connections. */
  readonly limits: Limits;
  /** The connection class of mail with connection limits of its own; undefined: the limits of the (IP, site) hold. */
  readonly apart: ConnectionClass | undefined;
}

export class PoolLimits {
  readonly path: PathKey;
  readonly #book: LimitBook;
  /** Some mail of the pool: all that has connection limits of its own is of one kind. */
  readonly #mail: Mail;
  #version = -1;
  #current!: Current;
  #bounds: MailBounds | undefined;
  /** Targets as last filtered, and from what. */
  #from: Targets | undefined;
  #permitted: Targets | undefined;

  constructor(book: LimitBook, path: PathKey, mail: Mail) {
    this.#book = book;
    this.path = path;
    const { domain, tenant, campaign, class: messageClass } = mail;
    this.#mail = { domain, tenant, campaign, class: messageClass };
  }

  /** The limits as they stand now. */
  get current(): Current {
    if (this.#version === this.#book.version) return this.#current;
    this.#version = this.#book.version;
    const pathLimits = this.#book.at(this.path);
    const { connectionClass } = pathLimits.of(this.#mail, this.#bounds);
    const { limits, name } = connectionClass;
    this.#current = { own: pathLimits.own, limits, apart: name === '' ? undefined : connectionClass };
    this.#from = undefined;
    return this.#current;
  }

  /** Sets the bounds that came with the latest mail. */
  bound(bounds: MailBounds | undefined): void {
    if (bounds?.text === this.#bounds?.text) return;
    this.#bounds = bounds;
    this.#version = -1;
  }

  /** Those of the addresses that no rule prohibits; a fault when none is left. */
  permitted(targets: Targets): Targets {
    const { prohibitedMx } = this.current.limits;
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
