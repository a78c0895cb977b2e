/**
 * Holds a draft against the readers of Postern's documents before a person sees it, so that what is shown would be
 * stored. What a reader refuses is taken out and named, and the rest stays.
 */

import { checkRules } from '../automation/check.ts';
import { LIBRARY } from '../automation/library.ts';
import type { Rule } from '../automation/rule.ts';
import { PosternError } from '../errors.ts';
import { canonicalDomain } from '../mail/domain.ts';
import { HOST_ADDRESS } from '../routing/pools.ts';
import { readRouting } from '../routing/router.ts';
import { DEFAULT_LIMITS } from '../shaping/limits/defaults.ts';
import type { LimitEntry } from '../shaping/limits/document.ts';
import { limitTable } from '../shaping/limits/table.ts';
import { type EntryDraft, entryOf, type ImportDraft, type LimitPlace, stricter } from './draft.ts';
import { type SourcePlace, shownValue } from './finding.ts';

const WHOLE: SourcePlace = { file: '', line: 0, directive: 'documents' };
/** Limits for which a built-in layer above the default may be looser than what is imported as the default. */
const COUNTS = ['connections', 'messagesPerConnection', 'connectionRate', 'messageRate'] as const;

/** Checks and mends a draft; each change is a finding. */
export function check(draft: ImportDraft): void {
  fillPools(draft);
  tighten(draft);
  makeRoom(draft);
  checkLimits(draft);
  checkAutomation(draft);
  checkRouting(draft);
  checkIdentities(draft);
}

/** A pool without addresses sends nothing; there the host or the default transport chose the address. */
function fillPools(draft: ImportDraft): void {
  if (draft.poolsWait) return;
  const usual = draft.pools.default?.ips ?? [];
  for (const [name, pool] of Object.entries(draft.pools)) {
    if (pool.ips.length > 0) continue;
    pool.ips.push(...(usual.length > 0 ? usual : [HOST_ADDRESS]));
    const from = usual.length > 0 ? 'the addresses of the default pool' : 'the address that the host chooses';
    draft.note(
      { ...WHOLE, directive: `pool ${name}` },
      'changed',
      `has no address of its own, and sends from ${from}.`,
    );
  }
}

/**
 * A default of the other product held for every destination; here the built-in limits of a provider, and of routes,
 * override the default. Where they are looser, the import sets the stricter value there too.
 */
function tighten(draft: ImportDraft): void {
  const own = draft.limits.default;
  if (own === undefined) return;
  for (const name of COUNTS) {
    const value = own[name];
    if (value === undefined || value === 'unlimited') continue;
    const raised: string[] = [];
    const hold = (place: LimitPlace, builtIn: LimitEntry): void => {
      const entry = entryOf(draft.limits, place);
      const there = entry[name] ?? builtIn[name];
      if (there === undefined || stricter(name, there, value) === there) return;
      if (entry[name] !== undefined) return; // The other product set it for this destination itself.
      entry[name] = value;
      raised.push('key' in place ? place.key : place.layer);
    };
    for (const [key, builtIn] of Object.entries(DEFAULT_LIMITS.providers ?? {}))
      hold({ layer: 'providers', key }, builtIn);
    if (draft.start.routes.length > 0) hold({ layer: 'route' }, DEFAULT_LIMITS.route ?? {});
    if (raised.length === 0) continue;
    const at = draft.origins.get(`limits.default.${name}`) ?? WHOLE;
    draft.note(
      at,
      'changed',
      `${name} ${shownValue(value)} is set for ${raised.join(', ')} too, whose built-in value is looser.`,
    );
  }
  for (const [key, entry] of Object.entries(draft.limits.providers ?? {}))
    if (Object.keys(entry).length === 0) delete draft.limits.providers![key];
  if (draft.limits.route && Object.keys(draft.limits.route).length === 0) delete draft.limits.route;
}

/** More connections to a provider than its built-in cap: the imported number is what the operator has agreed with it. */
function makeRoom({ limits }: ImportDraft): void {
  for (const [key, entry] of Object.entries(limits.providers ?? {})) {
    const builtIn =
      DEFAULT_LIMITS.providers?.[key]?.providerConnections ?? DEFAULT_LIMITS.default?.providerConnections;
    const { connections } = entry;
    if (typeof connections !== 'number' || typeof builtIn !== 'number') continue;
    if (entry.providerConnections === undefined && connections > builtIn)
      entry.providerConnections = connections;
  }
}

/** Takes out one limit after the other that the reader refuses; each refusal names its path. */
function checkLimits(draft: ImportDraft): void {
  const { limits } = draft;
  for (const layer of ['domains', 'sites', 'providers'] as const) {
    for (const key of Object.keys(limits[layer] ?? {})) {
      const name = layer === 'domains' ? domainOf(key) : key;
      if (name === key) continue;
      const entry = limits[layer]![key]!;
      delete limits[layer]![key];
      if (name !== undefined) limits[layer]![name] = { ...limits[layer]![name], ...entry };
      else draft.note(WHOLE, 'impossible', `limits of ${key}: it is no domain. Its limits were not taken.`);
    }
  }
  for (let i = 0; i < 1_000; i += 1) {
    const refusal = refusalOf(() => limitTable(limits));
    if (refusal === undefined) return;
    const path = refusal.slice(0, refusal.indexOf(': '));
    const removed = removeAt(limits, path);
    const at = draft.origins.get(path) ?? { ...WHOLE, directive: path };
    draft.note(at, 'impossible', `not taken: ${refusal} Set the limit by hand.`);
    if (!removed)
      throw new PosternError('internal', `The limits of the import contradict each other: ${refusal}`);
  }
}

function domainOf(text: string): string | undefined {
  try {
    return canonicalDomain(text);
  } catch {
    return undefined;
  }
}

/** Removes what a path of a refusal names: `limits.domains.example.com.for[0].connections`. */
function removeAt(limits: object, path: string): boolean {
  let holder: unknown = limits;
  let rest = path.replace(/^limits\.?/, '');
  while (rest !== '' && typeof holder === 'object' && holder !== null) {
    const index = /^\[(\d+)\]\.?/.exec(rest);
    const members = holder as Record<string, unknown>;
    const key = index
      ? index[1]!
      : Object.keys(members).find(
          (one) => rest === one || rest.startsWith(`${one}.`) || rest.startsWith(`${one}[`),
        );
    if (key === undefined) return false;
    const next = index ? rest.slice(index[0].length) : rest.slice(key.length).replace(/^\./, '');
    if (next === '') {
      if (Array.isArray(holder)) holder.splice(Number(key), 1);
      else delete members[key];
      return true;
    }
    holder = members[key];
    rest = next;
  }
  return false;
}

function checkAutomation(draft: ImportDraft): void {
  const ids = new Set(LIBRARY.map(({ id }) => id));
  const good: Rule[] = [];
  for (const rule of draft.rules) {
    const refusal = refusalOf(() => checkRules([rule], 'rules'));
    const twice = ids.has(rule.id);
    if (refusal === undefined && !twice) {
      ids.add(rule.id);
      good.push(rule);
    } else {
      const at = draft.origins.get(`rule ${rule.id}`) ?? { ...WHOLE, directive: rule.id };
      const why = refusal ?? `there are two rules ${rule.id}.`;
      draft.note(at, 'impossible', `not taken: ${why} Write the rule by hand (lib/automation/README.md).`);
    }
  }
  draft.rules.splice(0, Infinity, ...good);
}

function checkRouting(draft: ImportDraft): void {
  for (;;) {
    const refusal = refusalOf(() => readRouting({ pools: draft.pools }, 'routing'));
    if (refusal === undefined) return;
    const name = /^routing\.pools\.([^.:[]+)/.exec(refusal)?.[1];
    if (name === undefined || draft.pools[name] === undefined) {
      throw new PosternError('internal', `The pools of the import contradict each other: ${refusal}`);
    }
    delete draft.pools[name];
    const at = draft.origins.get(`pool ${name}`) ?? { ...WHOLE, directive: name };
    draft.note(at, 'impossible', `pool ${name} was not taken: ${refusal}`);
  }
}

function checkIdentities(draft: ImportDraft): void {
  for (const [key, { name }] of draft.identities) {
    const domain = name.slice(name.lastIndexOf('@') + 1);
    if (domainOf(domain) !== undefined && domain.includes('.')) continue;
    draft.identities.delete(key);
    draft.note({ ...WHOLE, directive: name }, 'impossible', `${name} is no domain that can be an identity.`);
  }
}

function refusalOf(read: () => unknown): string | undefined {
  try {
    read();
    return undefined;
  } catch (error) {
    if (error instanceof PosternError) return error.message;
    throw error;
  }
}

/** Whether a draft has anything for a document. */
export function isEmpty(entry: EntryDraft | undefined): boolean {
  return entry === undefined || Object.keys(entry).length === 0;
}
