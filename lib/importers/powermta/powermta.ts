/**
 * PowerMTA: its configuration with what it includes, and files of addresses beside it.
 *
 * ```
 *  <virtual-mta> ─► a pool with its addresses         <virtual-mta-pool> ─► a pool with those of its members
 *  <domain>      ─► limits of a provider or a domain, for all addresses or those of one virtual MTA
 *  <smtp-pattern-list> + backoff-… of the domains that name it ─► rules of automation
 *  domain-key ─► identities with their keys           *.csv ─► suppression lists
 * ```
 */

import { isIP } from 'node:net';
import { basename } from 'node:path';
import ipaddr from 'ipaddr.js';
import { PROVIDERS, providerOf } from '../../shaping/providers.ts';
import { takeKey } from '../dkim-key.ts';
import { ImportDraft, type LimitPlace, placeOfDomain } from '../draft.ts';
import { poolName } from '../names.ts';
import { SourceFault, type SourceFiles } from '../source-files.ts';
import { BACKOFF, type BackoffSettings, type Binding, takeBackoff, takeCategory } from './backoff.ts';
import { type Block, readStatements, type Statement } from './config.ts';
import { LIMITS } from './limits.ts';
import { ASIDE_BLOCKS, isAside, MEANINGS } from './meanings.ts';
import { takeRoute } from './routes.ts';

/** What the blocks say of each other, read before the directives. */
interface PmtaNames {
  /** Addresses by virtual MTA. */
  readonly addresses: Map<string, string[]>;
  /** Addresses by pool of virtual MTAs. */
  readonly pools: Map<string, string[]>;
  /** Lists of domains by macro. */
  readonly macros: Map<string, string[]>;
  /** Place by the name of an MX roll-up. */
  readonly rollups: Map<string, LimitPlace>;
  share: number;
}

/** Reads a configuration. @throws SourceFault when there is none. */
export function readPowerMta(files: SourceFiles): ImportDraft {
  const draft = new ImportDraft();
  const all = files.all();
  const path =
    all.find((one) =>
      /^(config|config\.(default|txt|cfg)|pmta\.conf|config-?defaults?)$/i.test(basename(one)),
    ) ?? all.find((one) => !/\.(csv|pem|key|txt)$/i.test(one));
  if (path === undefined) throw new SourceFault('has no file named config');
  const { statements, blocks } = readStatements(draft, files, path);
  const names = namesOf(draft, statements, blocks);
  const bindings = new Map<Block, BackoffSettings>();
  const lists = new Map<string, Statement[]>();
  for (const block of blocks) takeBlock(draft, block, lists);
  for (const statement of statements) takeStatement(draft, files, statement, names, bindings, lists);
  takeBackoff(draft, lists, bound(draft, bindings, names));
  for (const csv of all.filter((one) => /\.csv$/i.test(one))) takeAddresses(draft, files, csv);
  return draft;
}

function namesOf(draft: ImportDraft, statements: readonly Statement[], blocks: readonly Block[]): PmtaNames {
  const names: PmtaNames = {
    addresses: new Map(),
    pools: new Map(),
    macros: new Map(),
    rollups: new Map(),
    share: 1,
  };
  const members: Statement[] = [];
  for (const { kind, name } of blocks)
    if (kind === 'virtual-mta') names.addresses.set(name.toLowerCase(), []);
  for (const statement of statements) {
    const { name, value, blocks: around } = statement;
    const inner = around.at(-1);
    const mta = around.find(({ kind }) => kind === 'virtual-mta')?.name.toLowerCase();
    if (/^smtp-source-(host|ip)$/.test(name) && inner?.kind !== 'domain') {
      const ips = addressesOf(value);
      if (mta === undefined) draft.pool('default', ips);
      else names.addresses.set(mta, [...(names.addresses.get(mta) ?? []), ...ips]);
    } else if (inner?.kind === 'virtual-mta-pool' && name === 'virtual-mta') members.push(statement);
    else if (name === 'domain-macro') {
      const [macro = '', ...rest] = value.split(/[\s,]+/);
      names.macros.set(macro.toLowerCase(), rest);
    } else if (name === 'mx') takeRollup(names, value);
  }
  for (const [mta, ips] of names.addresses) {
    draft.pool(poolName(mta), ips);
    names.share = Math.max(names.share, ips.length);
  }
  for (const { value, blocks: around, at } of members) {
    const pool = around.at(-1)!.name.toLowerCase();
    for (const mta of value.toLowerCase().split(/[\s,]+/)) {
      const ips = names.addresses.get(mta);
      if (ips === undefined) draft.note(at, 'fault', `there is no virtual MTA ${mta}.`);
      else names.pools.set(pool, [...(names.pools.get(pool) ?? []), ...ips]);
    }
  }
  for (const [pool, ips] of names.pools) draft.pool(poolName(pool), ips);
  return names;
}

/** `192.0.2.1,2001:db8::1 mail.example.com` */
function addressesOf(value: string): string[] {
  const words = value.split(/\s+/)[0]!.split(',');
  return words.filter((word) => isIP(word) !== 0).map((word) => ipaddr.process(word).toString());
}

/** `mx *.google.com gmail.rollup` */
function takeRollup(names: PmtaNames, value: string): void {
  const [pattern = '', rollup = ''] = value.split(/\s+/);
  const provider = providerOf([pattern.replace(/^[*.]+/, '').replace(/^\/|\/[a-z]*$/g, '')]);
  if (provider !== 'other') names.rollups.set(rollup.toLowerCase(), { layer: 'providers', key: provider });
}

function takeBlock(draft: ImportDraft, { kind, name, at }: Block, lists: Map<string, Statement[]>) {
  switch (kind) {
    case 'virtual-mta':
      return draft.note(
        at,
        'taken',
        `pool ${poolName(name)}: name it in a configuration set, and the set when you send.`,
      );
    case 'virtual-mta-pool':
      return draft.note(at, 'taken', `pool ${poolName(name)}.`);
    case 'domain':
      return draft.note(at, 'taken', 'its directives follow.');
    case 'smtp-pattern-list':
      if (!lists.has(name.toLowerCase())) lists.set(name.toLowerCase(), []);
      return draft.note(at, 'taken', 'its patterns follow.');
    case 'bounce-category-patterns':
    case 'mx-rollup-list':
      return draft.note(at, 'taken', 'its rows follow.');
    default:
      if (ASIDE_BLOCKS.has(kind)) return draft.note(at, 'aside', 'It does not concern sending.');
      return draft.note(at, 'unknown', 'is no block of PowerMTA as far as is known.');
  }
}

/** Places of a `<domain …>`; undefined with a finding when it names none. */
function placesOf(draft: ImportDraft, { name, at }: Block, names: PmtaNames): LimitPlace[] {
  const words = name
    .replace(/^"|"$/g, '')
    .toLowerCase()
    .split(/[\s,]+/)
    .filter(Boolean);
  const domains = words.flatMap((word) =>
    word.startsWith('$') ? (names.macros.get(word.slice(1)) ?? []) : [word],
  );
  const places: LimitPlace[] = [];
  for (const domain of domains) {
    const rollup = names.rollups.get(domain);
    const bare = domain
      .replace(/^(\[?\*\.?\]?\.?)/, '')
      .replace(/^\./, '')
      .replace(/\/.*$/, '');
    if (domain === '*') places.push({ layer: 'default' });
    else if (rollup) places.push(rollup);
    else if (/\.?rollup$/.test(domain) || !bare.includes('.')) {
      const provider = domain.replace(/\.?rollup$/, '').replace(/^gmail$/, 'google');
      if (PROVIDERS.has(provider)) places.push({ layer: 'providers', key: provider });
      else
        draft.note(
          at,
          'impossible',
          `${domain} is no domain. Set the limits of its hosts by provider or site.`,
        );
    } else places.push(placeOfDomain(bare));
  }
  return places;
}

function takeStatement(
  draft: ImportDraft,
  files: SourceFiles,
  statement: Statement,
  names: PmtaNames,
  bindings: Map<Block, BackoffSettings>,
  lists: Map<string, Statement[]>,
) {
  const { name, value, at, blocks } = statement;
  const inner = blocks.at(-1);
  if (blocks.some(({ kind }) => ASIDE_BLOCKS.has(kind)))
    return draft.note(at, 'aside', 'It does not concern sending.');
  if (inner?.kind === 'smtp-pattern-list') {
    lists.get(inner.name.toLowerCase())?.push(statement);
    return undefined;
  }
  if (inner?.kind === 'bounce-category-patterns') return takeCategory(draft, statement);
  if (takeName(draft, files, statement, names)) return undefined;
  const limit = LIMITS.get(name);
  const queueOf = (): Parameters<NonNullable<typeof limit>>[2] => {
    const domain = blocks.findLast(({ kind }) => kind === 'domain');
    const mta = blocks.find(({ kind }) => kind === 'virtual-mta' || kind === 'virtual-mta-pool');
    const ips =
      mta && (names.addresses.get(mta.name.toLowerCase()) ?? names.pools.get(mta.name.toLowerCase()));
    return {
      draft,
      places: domain ? placesOf(draft, domain, names) : [{ layer: 'default' }],
      ips: ips?.length ? [...new Set(ips)] : undefined,
      share: names.share,
    };
  };
  if (limit) return limit(value, at, queueOf());
  if (BACKOFF.has(name) || name === 'smtp-pattern-list') {
    const domain = blocks.findLast(({ kind }) => kind === 'domain') ?? GLOBAL;
    const settings = bindings.get(domain) ?? new Map<string, Statement>();
    bindings.set(domain, settings.set(name, statement));
    return draft.note(at, 'taken', 'for the rules of its smtp-pattern-list.');
  }
  if (takeRoute(draft, statement, () => queueOf().places)) return undefined;
  const meaning = MEANINGS.get(name);
  if (meaning) return draft.note(at, meaning.state, meaning.text);
  if (isAside(name)) return draft.note(at, 'aside', 'It does not concern sending.');
  return draft.note(
    at,
    'unknown',
    'is no directive of PowerMTA as far as is known. If it limits sending, set the limit by hand.',
  );
}

const GLOBAL: Block = { kind: 'domain', name: '*', at: { file: '', line: 0, directive: 'domain' } };

/** Directives that name addresses, hosts and keys. @returns whether it was one. */
function takeName(
  draft: ImportDraft,
  files: SourceFiles,
  { name, value, at, blocks }: Statement,
  names: PmtaNames,
): boolean {
  const mta = blocks.find(({ kind }) => kind === 'virtual-mta')?.name.toLowerCase();
  switch (name) {
    case 'smtp-source-host':
    case 'smtp-source-ip': {
      const ips = addressesOf(value);
      const host = value.split(/\s+/)[1];
      for (const ip of host === undefined ? [] : ips) draft.start.ehloNames[ip] = host!;
      if (ips.length === 0) draft.note(at, 'fault', 'names no IP address.');
      else
        draft.note(
          at,
          'taken',
          `${ips.join(', ')} in pool ${poolName(mta ?? 'default')}, as warm${host ? `, with the EHLO name ${host}` : ''}; both in postern.config.ts.`,
        );
      return true;
    }
    case 'host-name':
      if (mta === undefined) draft.start.hostname = value;
      for (const ip of (mta && names.addresses.get(mta)) || []) draft.start.ehloNames[ip] ??= value;
      draft.note(
        at,
        'taken',
        mta === undefined ? 'hostname of postern.config.ts.' : 'the EHLO name of its addresses.',
      );
      return true;
    case 'auto-cold-virtual-mta':
    case 'max-cold-virtual-mta-msg':
      draft.note(
        at,
        'changed',
        'addresses that warm up have a plan by day and provider: leave warm out of the entry of the pool, and set the plan in the document warmup.',
      );
      return true;
    case 'virtual-mta':
      draft.note(at, 'taken', `its addresses are in pool ${poolName(blocks.at(-1)?.name ?? 'default')}.`);
      return true;
    case 'domain-key': {
      const [selector = '', domain = '', path = ''] = value.split(/\s*,\s*/);
      if (path === '') draft.note(at, 'fault', 'is not selector,domain,file.');
      else if (domain.includes('*'))
        draft.note(
          at,
          'impossible',
          `a key for ${domain} is a key for each of its domains. Create an identity for each, with this key.`,
        );
      else takeKey(draft, files, at, { selector, domain, path, from: at.file });
      return true;
    }
    case 'domain-macro':
      draft.note(at, 'taken', 'where a domain names it.');
      return true;
    default:
      return false;
  }
}

function bound(
  draft: ImportDraft,
  bindings: ReadonlyMap<Block, BackoffSettings>,
  names: PmtaNames,
): Binding[] {
  const whole = new Map(
    [...bindings].filter(([{ name }]) => name === '*').flatMap(([, settings]) => [...settings]),
  );
  return [...bindings].flatMap(([block, own]) => {
    const settings = new Map([...whole, ...own]);
    const list = own.get('smtp-pattern-list')?.value.toLowerCase();
    if (list === undefined) return [];
    return [
      {
        list,
        places: block === GLOBAL ? [{ layer: 'default' as const }] : placesOf(draft, block, names),
        settings,
      },
    ];
  });
}

/** A file of addresses, which the service reads itself: addresses a line, `address,reason`, or an accounting file. */
function takeAddresses(draft: ImportDraft, files: SourceFiles, path: string): void {
  const at = { file: basename(path), line: 0, directive: 'addresses' };
  try {
    const { lines } = files.read(path);
    draft.suppressions.push({ file: basename(path), text: `${lines.join('\n')}\n` });
    draft.note(
      at,
      'taken',
      `${lines.length} lines for the suppression list; rows of an accounting file count if they are hard bounces or complaints.`,
    );
  } catch (error) {
    if (!(error instanceof SourceFault)) throw error;
    draft.note(at, 'fault', `${error.message}. Its addresses were not taken.`);
  }
}
