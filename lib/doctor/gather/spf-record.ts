/** Parses an SPF record (RFC 7208 §4.6, §5, §6, §12). A record with any error is one as a whole. Pure. */
import { isIPv4, isIPv6 } from 'node:net';
import type { SpfResult } from '../rules/spf.ts';

type Mechanism = 'all' | 'include' | 'a' | 'mx' | 'ptr' | 'ip4' | 'ip6' | 'exists';

export interface SpfDirective {
  /** What it means when it matches. */
  result: SpfResult;
  mechanism: Mechanism;
  /** Its domain-spec with macros; absent: the domain of the record. */
  spec?: string;
  /** Of ip4 and ip6. */
  network?: string;
  /** Lengths of prefixes. */
  prefix4: number;
  prefix6: number;
}

export interface SpfRecord {
  directives: SpfDirective[];
  /** Domain-spec; absent where `all` or nothing follows. */
  redirect?: string;
}

const QUALIFIERS: Readonly<Record<string, SpfResult>> = {
  '+': 'pass',
  '-': 'fail',
  '~': 'softfail',
  '?': 'neutral',
};
const MECHANISM = /^([+\-~?]?)(all|include|a|mx|ptr|ip4|ip6|exists)(?=[:/]|$)(.*)$/i;
const MODIFIER = /^([a-z][a-z0-9\-_.]*)=(.*)$/i;
const MACRO_LITERAL = /^(?:[\x21-\x24\x26-\x7e]|%\{[slodiphv](?:[1-9]\d*)?r?[.\-+,/_=]*\}|%[%_-])*$/i;
const MACRO_END = /%\{[slodiphv](?:[1-9]\d*)?r?[.\-+,/_=]*\}$/i;
const PREFIXES = /^(.*?)(?:\/(0|[1-9]\d?))?(?:\/\/(0|[1-9]\d{0,2}))?$/;

/** @returns the record, or what is wrong with it. */
export function parseSpf(text: string): SpfRecord | string {
  if (/[^\x20-\x7e]/.test(text)) return 'a character that is not printable ASCII';
  const directives: SpfDirective[] = [];
  const modifiers = new Map<string, string>();
  for (const term of text.split(' ').slice(1)) {
    if (term === '') continue;
    const directive = MECHANISM.exec(term);
    if (directive) {
      const read = readDirective(directive);
      if (typeof read === 'string') return read;
      directives.push(read);
      continue;
    }
    const [, name, value] = MODIFIER.exec(term) ?? [];
    if (name === undefined) return `the unknown term "${term.slice(0, 60)}"`;
    const lower = name.toLowerCase();
    const known = lower === 'redirect' || lower === 'exp';
    if (known && modifiers.has(lower)) return `${lower}= twice`;
    if (known ? !isDomainSpec(value!) : !isMacroString(value!)) return `a wrong ${lower}=`;
    modifiers.set(lower, value!);
  }
  const redirect = directives.some(({ mechanism }) => mechanism === 'all')
    ? undefined
    : modifiers.get('redirect');
  return { directives, ...(redirect !== undefined && { redirect }) };
}

function readDirective([term, sign, name, rest]: RegExpExecArray): SpfDirective | string {
  const wrong = `the wrong term "${term.slice(0, 60)}"`;
  const mechanism = name!.toLowerCase() as Mechanism;
  const result = QUALIFIERS[sign || '+']!;
  const plain = { result, mechanism, prefix4: 32, prefix6: 128 };
  if (mechanism === 'all') return rest === '' ? plain : wrong;
  if (mechanism === 'ip4' || mechanism === 'ip6') return readNetwork(plain, rest!, mechanism) ?? wrong;
  if (mechanism === 'include' || mechanism === 'exists' || mechanism === 'ptr') {
    if (rest === '' && mechanism === 'ptr') return plain;
    return rest!.startsWith(':') && isDomainSpec(rest!.slice(1)) ? { ...plain, spec: rest!.slice(1) } : wrong;
  }
  const [, spec = '', four, six] = PREFIXES.exec(rest!) ?? [];
  const [prefix4, prefix6] = [Number(four ?? 32), Number(six ?? 128)];
  if (prefix4 > 32 || prefix6 > 128) return wrong;
  if (spec === '') return { ...plain, prefix4, prefix6 };
  return spec.startsWith(':') && isDomainSpec(spec.slice(1))
    ? { ...plain, prefix4, prefix6, spec: spec.slice(1) }
    : wrong;
}

function readNetwork(plain: SpfDirective, rest: string, mechanism: 'ip4' | 'ip6'): SpfDirective | undefined {
  const most = mechanism === 'ip4' ? 32 : 128;
  const [, network, length] = /^:([0-9a-fA-F:.]+)(?:\/(0|[1-9]\d{0,2}))?$/.exec(rest) ?? [];
  if (network === undefined || !(mechanism === 'ip4' ? isIPv4(network) : isIPv6(network))) return undefined;
  const prefix = Number(length ?? most);
  if (prefix > most) return undefined;
  return {
    ...plain,
    network,
    [mechanism === 'ip4' ? 'prefix4' : 'prefix6']: prefix,
  };
}

function isMacroString(text: string): boolean {
  return MACRO_LITERAL.test(text);
}

/** §7.1: macro-string, then a dot and a top label, or a macro. */
function isDomainSpec(text: string): boolean {
  if (text === '' || !isMacroString(text)) return false;
  if (MACRO_END.test(text)) return true;
  const name = text.endsWith('.') ? text.slice(0, -1) : text;
  const dot = name.lastIndexOf('.');
  return dot >= 0 && isTopLabel(name.slice(dot + 1));
}

/** Whether a text can be a top-level domain: letters, digits and inner hyphens, not digits alone. */
export function isTopLabel(text: string): boolean {
  return /^[a-z0-9-]+$/i.test(text) && !/^-|-$/.test(text) && /[a-z-]/i.test(text);
}
