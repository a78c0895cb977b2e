/**
 * From a recipient domain to the hosts that take its mail (RFC 5321 §5.1), and from hosts to addresses that
 * may be connected to. The address that was checked is the one that is connected to: no later lookup of the
 * name can put another in its place.
 */

import { TtlCache } from '../cache.ts';
import type { Answer, MxRecord, Resolver } from '../dns/resolver.ts';
import { familyOf } from '../ip.ts';
import type { ReasonCode } from '../outcome/reasons.ts';
import { isPublicAddress } from '../public-address.ts';
import { type Provider, providerOf } from '../shaping/providers.ts';
import { siteName } from '../shaping/sites.ts';
import { type Clock, DAY } from '../time.ts';
import type { Route, Routes } from './routes.ts';

/** A host that takes mail. Lower preference first; equal ones share the load. */
export interface MailHost {
  name: string;
  preference: number;
}

/** Why a destination cannot be used. Whether that is permanent stands in the error table. */
export interface DnsFault {
  kind: 'fault';
  code: ReasonCode;
  text: string;
  expiresAt: number;
}

/** Where a domain's mail goes. */
export interface SiteAddress {
  kind: 'site';
  site: string;
  provider: Provider;
  hosts: MailHost[];
  port: number;
  /** Set by a static route: exempt from the filter of private addresses. */
  routed: boolean;
  expiresAt: number;
}

export type Destination = SiteAddress | DnsFault;

/** An address to connect to. */
export interface Target {
  host: string;
  preference: number;
  address: string;
  port: number;
  family: 4 | 6;
}

export type Targets = { kind: 'targets'; targets: Target[]; expiresAt: number } | DnsFault;

/** MX hosts and addresses of a host that are used; the rest of a huge set is an attack or a mistake. */
const MAX_HOSTS = 20;
const MAX_ADDRESSES = 16;
/** Answers with a TTL of 0 are used this long: one lookup a second, not one a message. */
const SHORTEST = 1_000;
/** Letters, digits, hyphens and underscores; anything else in an MX record is no host. */
const HOST_NAME = /^(?!-)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*$/;
const IPV6_LITERAL = /^\[ipv6:([0-9a-f:.]+)\]$/i;
const IPV4_LITERAL = /^\[([0-9.]+)\]$/;

/** How long a domain that "does not exist" is not resolved again, ms: one wrong answer may be repeated for a moment. */
const DOUBT = 60_000;
/** How long it is remembered that a domain was gone, ms. */
const DOUBT_KEPT = DAY;

export class Destinations {
  readonly #resolver: Resolver;
  readonly #clock: Clock;
  readonly #routes: Routes;
  readonly #port: number;
  readonly #cache = new TtlCache<Destination>(100_000);
  /** When DNS first reported a domain as gone, since the epoch, ms. */
  readonly #gone = new TtlCache<number>(100_000);

  constructor(options: { resolver: Resolver; clock: Clock; routes: Routes; port: number }) {
    this.#resolver = options.resolver;
    this.#clock = options.clock;
    this.#routes = options.routes;
    this.#port = options.port;
  }

  /** What is known of a domain now, without a lookup. */
  known(domain: string, now: number): Destination | undefined {
    return this.#cache.get(domain, now);
  }

  /** Finds where mail of a domain goes. Never rejects. */
  async find(domain: string): Promise<Destination> {
    const destination = await this.#find(domain);
    const now = this.#clock.now();
    destination.expiresAt = Math.max(destination.expiresAt, now + SHORTEST);
    this.#cache.set(domain, destination, destination.expiresAt);
    return destination;
  }

  async #find(domain: string): Promise<Destination> {
    const route = this.#routes.find(domain);
    if (route !== undefined) return routed(route);
    const literal = IPV4_LITERAL.exec(domain) ?? IPV6_LITERAL.exec(domain);
    if (literal !== null) return this.#site([{ name: literal[1]!, preference: 0 }], Number.POSITIVE_INFINITY);

    const now = this.#clock.now();
    const goneSince = this.#gone.get(domain, now);
    const anew = goneSince !== undefined && now - goneSince >= DOUBT;
    const found = await this.#lookup(domain, anew);
    if (found.kind === 'site' || found.code !== 'dns_no_domain') {
      if (found.kind === 'site' || found.code !== 'dns_failure') this.#gone.delete(domain);
      return found;
    }
    if (goneSince === undefined) this.#gone.set(domain, now, now + DOUBT_KEPT);
    if (anew) return found;
    const text = `${found.text} DNS is asked once more before that ends a delivery.`;
    return fault('dns_unconfirmed', text, Math.min(found.expiresAt, (goneSince ?? now) + DOUBT));
  }

  /** @param anew queries every name server again, bypassing the cache. */
  async #lookup(domain: string, anew: boolean): Promise<Destination> {
    const answer = await this.#resolver.resolve(domain, 'MX', anew);
    switch (answer.kind) {
      case 'failed':
        return fault('dns_failure', answer.text, answer.expiresAt);
      case 'no_domain':
        return fault('dns_no_domain', `The domain ${domain} does not exist.`, answer.expiresAt);
      case 'empty':
        return this.#implicit(domain, answer.expiresAt, anew);
      case 'found':
        return this.#explicit(domain, answer.records, answer.expiresAt);
    }
  }

  #explicit(domain: string, records: MxRecord[], expiresAt: number): Destination {
    // RFC 7505 §3: a null MX stands alone; beside others it means nothing.
    if (records.every((record) => record.exchange === '')) {
      return fault('dns_null_mx', `The domain ${domain} accepts no mail (null MX).`, expiresAt);
    }
    const best = new Map<string, number>();
    for (const { exchange, preference } of records) {
      if (!HOST_NAME.test(exchange)) continue;
      best.set(exchange, Math.min(preference, best.get(exchange) ?? preference));
    }
    const hosts = Array.from(best, ([name, preference]) => ({ name, preference }))
      .sort((a, b) => a.preference - b.preference || (a.name < b.name ? -1 : 1))
      .slice(0, MAX_HOSTS);
    if (hosts.length === 0) {
      return fault('dns_failure', `The MX records of ${domain} name no host.`, expiresAt);
    }
    return this.#site(hosts, expiresAt);
  }

  /** RFC 5321 §5.1: a domain without MX records takes mail at its own address, if it has one. */
  async #implicit(domain: string, expiresAt: number, anew: boolean): Promise<Destination> {
    const answers = await this.#addresses(domain, anew);
    if (answers.every((answer) => answer.kind === 'empty' || answer.kind === 'no_domain')) {
      const until = Math.min(expiresAt, ...answers.map((answer) => answer.expiresAt));
      return fault('dns_no_domain', `The domain ${domain} has neither MX nor address records.`, until);
    }
    return this.#site([{ name: domain, preference: 0 }], expiresAt);
  }

  #site(hosts: MailHost[], expiresAt: number): SiteAddress {
    const names = hosts.map((host) => host.name);
    return {
      kind: 'site',
      site: siteName(names),
      provider: providerOf(names),
      hosts,
      port: this.#port,
      routed: false,
      expiresAt,
    };
  }

  #addresses(host: string, anew = false): Promise<[Answer<string>, Answer<string>]> {
    return Promise.all([this.#resolver.resolve(host, 'A', anew), this.#resolver.resolve(host, 'AAAA', anew)]);
  }

  /** The addresses of a site's hosts that may be connected to. Never rejects. */
  async targets(site: SiteAddress): Promise<Targets> {
    const found = await this.#targets(site, false);
    // Before the domain counts as unreachable, every name server is queried.
    return found.kind === 'fault' && found.code === 'dns_no_mx_host' ? this.#targets(site, true) : found;
  }

  async #targets(site: SiteAddress, anew: boolean): Promise<Targets> {
    const targets: Target[] = [];
    const prohibited: string[] = [];
    const failures: string[] = [];
    let expiresAt = Number.POSITIVE_INFINITY;
    const add = (host: MailHost, address: string): void => {
      const family = familyOf(address);
      if (family === 0 || (!site.routed && !isPublicAddress(address)))
        prohibited.push(`${host.name} [${address}]`);
      else targets.push({ host: host.name, preference: host.preference, address, port: site.port, family });
    };
    await Promise.all(
      site.hosts.map(async (host) => {
        const literal = site.routed && host.name === 'localhost' ? '127.0.0.1' : host.name;
        if (familyOf(literal) !== 0) return add(host, literal);
        for (const answer of await this.#addresses(host.name, anew)) {
          expiresAt = Math.min(expiresAt, answer.expiresAt);
          if (answer.kind === 'failed') failures.push(answer.text);
          if (answer.kind !== 'found') continue;
          for (const address of answer.records.slice(0, MAX_ADDRESSES)) add(host, address);
        }
      }),
    );
    expiresAt = Math.max(expiresAt, this.#clock.now() + SHORTEST);
    if (targets.length > 0) return { kind: 'targets', targets, expiresAt };
    if (failures.length > 0) return fault('dns_failure', failures[0]!, expiresAt);
    if (prohibited.length > 0) {
      return fault('mx_prohibited', `Not a public address: ${prohibited.slice(0, 5).join(', ')}.`, expiresAt);
    }
    const names = site.hosts.map((host) => host.name).slice(0, 5);
    const text = `No mail host has an address: ${names.join(', ')}.`;
    // A route or smarthost is the operator's own: its name is corrected, and the mail goes.
    return fault(site.routed ? 'dns_failure' : 'dns_no_mx_host', text, expiresAt);
  }
}

function fault(code: ReasonCode, text: string, expiresAt: number): DnsFault {
  return { kind: 'fault', code, text, expiresAt };
}

/** A host of the operator's own choice: a static route, or the smarthost of a split. */
export function routed({ host, port }: Pick<Route, 'host' | 'port'>): SiteAddress {
  return {
    kind: 'site',
    site: `${host}:${port}`,
    provider: providerOf([host]),
    hosts: [{ name: host, preference: 0 }],
    port,
    routed: true,
    expiresAt: Number.POSITIVE_INFINITY,
  };
}
