/** The tables of Postfix that say where mail goes, and by which transport: transport(5), sender-dependent tables. */
import { domainToASCII } from 'node:url';
import type { ImportDraft } from '../draft.ts';
import { placeOfDomain } from '../draft.ts';
import type { SourcePlace } from '../finding.ts';
import { poolName } from '../names.ts';
import { SourceFault, type SourceFiles } from '../source-files.ts';
import { type MasterService, nextHopOf, readTable } from './main-cf.ts';
import { tlsOf } from './parameters.ts';

export interface PostfixTables {
  readonly draft: ImportDraft;
  readonly files: SourceFiles;
  readonly services: ReadonlyMap<string, MasterService>;
  /** Domains by the transport that carries their mail, filled from the tables. */
  readonly domainsOf: Map<string, Set<string>>;
  /** Pools by the transport that a sender's mail takes. */
  readonly pools: Set<string>;
}

type TableRow = (row: { key: string; value: string }, at: SourcePlace, tables: PostfixTables) => void;

/** Table types whose source is a text file beside the compiled one. */
const TEXT_TYPES = /^(hash|btree|lmdb|cdb|dbm|sdbm|texthash|fail)$/;

/** Reads every table of a parameter: `hash:/etc/postfix/transport, inline:{a=b}`. */
export function readTables(value: string, at: SourcePlace, tables: PostfixTables, row: TableRow): void {
  const { draft, files } = tables;
  for (const word of value.match(/[\w-]+:\{[^}]*\}|\{[^}]*\}|[^\s,]+/g) ?? []) {
    const [, type = '', rest = ''] = /^(?:proxy:)?([\w-]+):(.*)$/s.exec(word) ?? [];
    if (type === 'inline') {
      for (const pair of rest.replace(/^\{|\}$/g, '').split(/,(?![^{]*\})/)) {
        const [key = '', ...then] = pair.split('=');
        row(
          { key: key.replace(/[{}]/g, '').trim(), value: then.join('=').replace(/[{}]/g, '').trim() },
          at,
          tables,
        );
      }
    } else if (type === 'static') row({ key: '*', value: rest }, at, tables);
    else if (TEXT_TYPES.test(type)) {
      try {
        const { path, lines } = files.read(rest);
        for (const one of readTable(lines)) {
          row(one, { file: path, line: one.line, directive: one.key, value: one.value }, tables);
        }
      } catch (error) {
        if (!(error instanceof SourceFault)) throw error;
        draft.note(at, 'fault', `${rest} ${error.message}. Its rows were not taken.`);
      }
    } else {
      draft.note(
        at,
        'impossible',
        `a table of the type ${type || word} is not read. Export it as lines of key and value, and name it hash:FILE.`,
      );
    }
  }
}

/** A row of transport_maps: `example.com smtp:[relay]:25`. */
export const transportRow: TableRow = ({ key, value }, at, tables) => {
  const { draft, services, domainsOf } = tables;
  const [, transport = '', hop = ''] = /^([\w-]*):?(.*)$/s.exec(value) ?? [];
  if (transport === 'error' || transport === 'retry' || transport === 'discard') {
    const instead = transport === 'retry' ? 'pause' : 'bounce';
    return draft.note(
      at,
      'impossible',
      `${transport} is no route. Order it: postern ${instead} --domain ${key}, with the reason.`,
    );
  }
  const domain = domainOfKey(key);
  if (domain === undefined) {
    return draft.note(
      at,
      'impossible',
      `${key} is no domain. Routes and limits go by domain; for a single address use onRoute of postern.policy.ts.`,
    );
  }
  const service = services.get(transport);
  if (transport !== '' && service !== undefined && !/^(smtp|lmtp|relay)$/.test(service.command)) {
    return draft.note(
      at,
      'impossible',
      `transport ${transport} does not deliver by SMTP. Send the mail of ${key} elsewhere before it comes to Postern.`,
    );
  }
  if (transport !== '' && service === undefined && !/^(smtp|relay)$/.test(transport)) {
    return draft.note(at, 'impossible', `there is no transport ${transport} in master.cf.`);
  }
  if (transport !== '' && domain !== '*') {
    const domains = domainsOf.get(transport) ?? new Set();
    domainsOf.set(transport, domains.add(domain));
  }
  if (hop === '') {
    return draft.note(
      at,
      'taken',
      transport === '' || domain === '*'
        ? 'by MX, as any domain.'
        : `the limits of transport ${transport} hold for ${domain}.`,
    );
  }
  const next = nextHopOf(hop);
  if (next === undefined) return draft.note(at, 'fault', `${hop} is no host.`);
  draft.start.routes.push({ domain, host: next.host, port: next.port });
  const text = `route ${domain}=${next.host}:${next.port} of postern.config.ts.`;
  return draft.note(
    at,
    next.byMx ? 'changed' : 'taken',
    next.byMx ? `${text} The host itself is connected to, not its MX hosts.` : text,
  );
};

/** A row of smtp_tls_policy_maps: `example.com secure`. */
export const tlsRow: TableRow = ({ key, value }, at, { draft }) => {
  const domain = domainOfKey(key.replace(/^\[([^\]]+)\](:\d+)?$/, '$1'));
  const level = tlsOf(value);
  if (level === undefined) return draft.note(at, 'fault', `${value} is no level of TLS.`);
  if (domain === undefined || domain === '*') {
    return draft.note(at, 'impossible', `${key} is no domain. Set tls for the domains themselves.`);
  }
  draft.limit(at, placeOfDomain(domain), 'tls', level.tls);
  return draft.note(
    at,
    level.changed ? 'changed' : 'taken',
    `tls ${level.tls} for ${domain}.${level.changed ? ` ${level.changed}` : ''}`,
  );
};

/** A row of sender_dependent_default_transport_maps: mail of a sender takes a pool of its own. */
export const senderTransportRow: TableRow = ({ key, value }, at, tables) => {
  const [, transport = '', hop = ''] = /^([\w-]*):?(.*)$/s.exec(value) ?? [];
  if (/^(DUNNO|)$/.test(transport)) return tables.draft.note(at, 'already', 'the default.');
  if (!tables.services.has(transport))
    return tables.draft.note(at, 'impossible', `there is no transport ${transport} in master.cf.`);
  tables.pools.add(transport);
  const sender = bindSender(key, transport, at, tables);
  if (sender && hop !== '') smarthost(hop, transport, at, tables);
  return undefined;
};

/** A row of sender_dependent_relayhost_maps: mail of a sender goes to a relay. */
export const senderRelayRow: TableRow = ({ key, value }, at, tables) => {
  const pool = poolName(`relay-${value}`);
  if (bindSender(key, pool, at, tables)) smarthost(value, pool, at, tables);
};

/** A configuration set with the pool, and the identity whose mail has it. */
function bindSender(key: string, name: string, at: SourcePlace, { draft }: PostfixTables): boolean {
  const address = key.startsWith('@') ? key.slice(1) : key;
  if (!/^[^\s@]+(@[^\s@]+)?\.[^\s@]+$/.test(address)) {
    draft.note(
      at,
      'impossible',
      `${key} is no sender. Name the pool in a configuration set, and the set when you send.`,
    );
    return false;
  }
  draft.pool(name, []);
  draft.sets.set(name, { pool: name });
  const identity = draft.identity(address);
  identity.configurationSet = name;
  draft.note(
    at,
    'changed',
    `mail from ${address} has the configuration set ${name}, whose pool is ${name}. Mail that names another set takes that one's pool.`,
  );
  return true;
}

function smarthost(hop: string, pool: string, at: SourcePlace, { draft }: PostfixTables) {
  const next = nextHopOf(hop);
  if (next === undefined) return draft.note(at, 'fault', `${hop} is no host.`);
  const host = next.host.includes(':') ? `[${next.host}]` : next.host;
  draft.pool(pool, []);
  draft.pools[pool]!.smarthost = `${host}:${next.port}`;
  return draft.note(
    at,
    next.byMx ? 'changed' : 'taken',
    `mail of pool ${pool} goes to the smarthost ${host}:${next.port}.${next.byMx ? ' The host itself is connected to, not its MX hosts.' : ''}`,
  );
}

/** A domain of a table's key, `*` for all; undefined for an address, a subdomain pattern or anything else. */
function domainOfKey(key: string): string | undefined {
  if (key === '*') return '*';
  if (key.startsWith('.') || key.includes('@')) return undefined;
  return domainToASCII(key) || undefined;
}
