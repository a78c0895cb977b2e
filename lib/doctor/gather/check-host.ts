/**
 * `check_host()` of RFC 7208: whether a domain lets an address send for it. mailauth has one too, which the tests hold
 * this one against; in the bundle of the API it would bring a megabyte of character sets, which every cold start reads.
 */
import ipaddr from 'ipaddr.js';
import { canonicalIp, familyOf } from '../../ip.ts';
import type { SpfEvaluation, SpfResult } from '../rules/spf.ts';
import { reversed, reverseName } from './addresses.ts';
import type { LookUps } from './look-ups.ts';
import { isTopLabel, parseSpf, type SpfDirective, type SpfRecord } from './spf-record.ts';

/** RFC 7208 §4.6.4: terms that look names up, void look-ups, and names of one `mx` or `ptr`. */
const MAX_TERMS = 10;
const MAX_VOIDS = 2;
const MAX_NAMES = 10;

/** An evaluation that ends before its record does. */
class SpfError extends Error {
  readonly result: 'permerror' | 'temperror' | 'none';

  constructor(result: SpfError['result'], message: string) {
    super(message);
    this.result = result;
  }
}

export interface SpfLimits {
  /** Terms that look names up. */
  terms: number;
  /** Look-ups of names without such records. */
  voids: number;
}

/** @param limits those of the RFC, unless a record is to be walked to its end. */
export async function checkHost(
  domain: string,
  ip: string,
  lookUps: LookUps,
  limits: SpfLimits = { terms: MAX_TERMS, voids: MAX_VOIDS },
): Promise<SpfEvaluation> {
  const host = new HostCheck(canonicalIp(ip), `postmaster@${domain}`, lookUps, limits);
  return host.evaluate(domain);
}

class HostCheck {
  readonly #ip: string;
  readonly #type: 'A' | 'AAAA';
  readonly #sender: string;
  readonly #lookUps: LookUps;
  readonly #limits: SpfLimits;
  #terms = 0;
  #voids = 0;

  constructor(ip: string, sender: string, lookUps: LookUps, limits: SpfLimits) {
    this.#ip = ip;
    this.#type = familyOf(ip) === 6 ? 'AAAA' : 'A';
    this.#sender = sender;
    this.#lookUps = lookUps;
    this.#limits = limits;
  }

  async evaluate(domain: string): Promise<SpfEvaluation> {
    let result: SpfResult;
    let text = '';
    try {
      result = await this.#check(domain);
    } catch (error) {
      if (!(error instanceof SpfError)) throw error;
      result = error.result;
      text = error.message;
    }
    return { result, text, lookups: this.#terms, voids: this.#voids };
  }

  /** §4. @throws SpfError */
  async #check(domain: string): Promise<SpfResult> {
    const record = await this.#record(domain);
    for (const directive of record.directives) {
      if (await this.#matches(directive, domain)) return directive.result;
    }
    if (record.redirect === undefined) return 'neutral';
    this.#count();
    const target = await this.#expanded(record.redirect, domain);
    try {
      if (target === undefined) throw new SpfError('none', '');
      return await this.#check(target);
    } catch (error) {
      // §6.1: a redirect to a domain without a record is an error.
      if (error instanceof SpfError && error.result === 'none')
        throw new SpfError('permerror', `redirect=${record.redirect} leads to no SPF record`);
      throw error;
    }
  }

  async #record(domain: string): Promise<SpfRecord> {
    const found = await this.#lookUps.find(domain, 'TXT');
    if ('unanswered' in found) throw new SpfError('temperror', found.unanswered);
    const records = found.records.filter((text) => /^v=spf1(?: |$)/i.test(text));
    if (records.length === 0) throw new SpfError('none', `no SPF record at ${domain}`);
    if (records.length > 1) throw new SpfError('permerror', `${records.length} SPF records at ${domain}`);
    const record = parseSpf(records[0]!);
    if (typeof record === 'string') throw new SpfError('permerror', `${record} in the record of ${domain}`);
    return record;
  }

  async #matches(
    { mechanism, spec, network, prefix4, prefix6 }: SpfDirective,
    domain: string,
  ): Promise<boolean> {
    switch (mechanism) {
      case 'all':
        return true;
      case 'ip4':
      case 'ip6':
        return within(this.#ip, network!, mechanism === 'ip4' ? prefix4 : prefix6);
      default:
    }
    this.#count();
    const target = spec === undefined ? domain : await this.#expanded(spec, domain);
    if (target === undefined) {
      // §4.3: a malformed domain has the result none, which §5.2 makes an error; other mechanisms do not match.
      if (mechanism === 'include') throw new SpfError('permerror', `include:${spec} is no domain`);
      return false;
    }
    switch (mechanism) {
      case 'include':
        return this.#included(target);
      case 'exists':
        // §5.7: always by an A record, also for IPv6.
        return (await this.#find(target, 'A')).length > 0;
      case 'a':
        return this.#covers(await this.#find(target, this.#type), prefix4, prefix6);
      case 'mx': {
        const hosts = await this.#find(target, 'MX');
        if (hosts.length > MAX_NAMES)
          throw new SpfError('permerror', `${target} has more than ${MAX_NAMES} MX records`);
        for (const { exchange } of hosts.toSorted((a, b) => a.preference - b.preference)) {
          if (
            exchange !== '' &&
            this.#covers(await this.#find(exchange, this.#type, false), prefix4, prefix6)
          )
            return true;
        }
        return false;
      }
      case 'ptr':
        return (await this.#validatedNames()).some((name) => name === target || name.endsWith(`.${target}`));
    }
  }

  /** §5.2: what the included domain's result means here. */
  async #included(target: string): Promise<boolean> {
    try {
      return (await this.#check(target)) === 'pass';
    } catch (error) {
      if (error instanceof SpfError && error.result === 'none')
        throw new SpfError('permerror', `include:${target} leads to no SPF record`);
      throw error;
    }
  }

  #covers(addresses: readonly string[], prefix4: number, prefix6: number): boolean {
    return addresses.some((address) => within(this.#ip, address, this.#type === 'A' ? prefix4 : prefix6));
  }

  #count(): void {
    this.#terms += 1;
    if (this.#terms > this.#limits.terms)
      throw new SpfError('permerror', `more than ${this.#limits.terms} terms look names up`);
  }

  /** @param counted whether "there is none" counts as a void look-up. @throws SpfError without an answer. */
  async #find<T extends 'A' | 'AAAA' | 'MX'>(name: string, type: T, counted = true) {
    const found = await this.#lookUps.find(name, type);
    if ('unanswered' in found) throw new SpfError('temperror', found.unanswered);
    if (found.records.length === 0 && counted) {
      this.#voids += 1;
      if (this.#voids > this.#limits.voids)
        throw new SpfError('permerror', `more than ${this.#limits.voids} void look-ups`);
    }
    return found.records;
  }

  /** §5.5. An answer that fails makes no match. */
  async #validatedNames(): Promise<string[]> {
    const found = await this.#lookUps.find(reverseName(this.#ip), 'PTR');
    if ('unanswered' in found) return [];
    if (found.records.length === 0) this.#voids += 1;
    if (this.#voids > this.#limits.voids)
      throw new SpfError('permerror', `more than ${this.#limits.voids} void look-ups`);
    const names: string[] = [];
    for (const name of found.records.slice(0, MAX_NAMES)) {
      const back = await this.#lookUps.find(name, this.#type);
      if (!('unanswered' in back) && back.records.some((one) => canonicalIp(one) === this.#ip))
        names.push(name);
    }
    return names;
  }

  /** §7. @returns undefined for a name that cannot be looked up: its term does not match. */
  async #expanded(spec: string, domain: string): Promise<string | undefined> {
    const pointer = /%\{p/i.test(spec.replaceAll('%%', '')) ? await this.#pointerName(domain) : '';
    const text = spec.replace(
      /%(?:\{([a-z])(\d*)(r?)([.\-+,/_=]*)\}|([%_-]))/gi,
      (_, letter, digits, reverse, delimiters, sign) => {
        if (sign !== undefined) return sign === '_' ? ' ' : sign === '-' ? '%20' : '%';
        const value = this.#macro(letter.toLowerCase(), domain, pointer);
        let parts = value.split(
          delimiters === '' ? '.' : new RegExp(`[${delimiters.replace(/[-\]\\^]/g, '\\$&')}]`),
        );
        if (reverse !== '') parts = parts.reverse();
        if (digits !== '') parts = parts.slice(-Number(digits));
        const joined = parts.join('.');
        return letter === letter.toUpperCase() ? encodeURIComponent(joined) : joined;
      },
    );
    let name = text.replace(/\.$/, '').toLowerCase();
    while (name.length > 253 && name.includes('.')) name = name.slice(name.indexOf('.') + 1);
    const labels = name.split('.');
    const isName = labels.length > 1 && labels.every((label) => label.length > 0 && label.length <= 63);
    return isName && isTopLabel(labels.at(-1)!) ? name : undefined;
  }

  #macro(letter: string, domain: string, pointer: string): string {
    const at = this.#sender.lastIndexOf('@');
    switch (letter) {
      case 's':
        return this.#sender;
      case 'l':
        return this.#sender.slice(0, at);
      case 'o':
      case 'h':
        return this.#sender.slice(at + 1);
      case 'd':
        return domain;
      case 'i':
        return reversed(this.#ip).split('.').reverse().join('.');
      case 'v':
        return this.#type === 'A' ? 'in-addr' : 'ip6';
      default:
        return pointer;
    }
  }

  /** §7.3 `p`: discouraged, and counted as a term. */
  async #pointerName(domain: string): Promise<string> {
    this.#count();
    const names = await this.#validatedNames();
    return (
      names.find((name) => name === domain) ??
      names.find((name) => name.endsWith(`.${domain}`)) ??
      names[0] ??
      'unknown'
    );
  }
}

function within(ip: string, network: string, prefix: number): boolean {
  const [address, other] = [ipaddr.parse(ip), ipaddr.parse(network)];
  if (address.kind() !== other.kind()) return false;
  return (address as ipaddr.IPv4).match(other as ipaddr.IPv4, prefix);
}
