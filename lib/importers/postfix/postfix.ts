/**
 * Postfix: main.cf, master.cf, the tables that they name, and OpenDKIM beside it.
 *
 * ```
 *  main.cf ─► parameters ─► default limits, settings of the start
 *  master.cf ─► transports ─┬─ named by transport_maps ─► limits of those domains
 *                           └─ named by a sender ─► a pool, a configuration set, an identity
 *  opendkim.conf ─► identities with their keys
 * ```
 */

import { isIP } from 'node:net';
import { basename } from 'node:path';
import { ImportDraft, type LimitPlace, placeOfDomain } from '../draft.ts';
import type { SourcePlace } from '../finding.ts';
import { SourceFault, type SourceFiles } from '../source-files.ts';
import { expand, type MasterService, type PostfixParameter, readMainCf, readMasterCf } from './main-cf.ts';
import { meaningOf } from './meanings.ts';
import { readOpenDkim } from './opendkim.ts';
import { GLOBAL, type PostfixTarget, QUEUE, TRANSPORT } from './parameters.ts';
import {
  type PostfixTables,
  readTables,
  senderRelayRow,
  senderTransportRow,
  tlsRow,
  transportRow,
} from './transports.ts';

const TABLES = {
  transport_maps: transportRow,
  smtp_tls_policy_maps: tlsRow,
  sender_dependent_default_transport_maps: senderTransportRow,
  sender_dependent_relayhost_maps: senderRelayRow,
} as const;

const DEFAULT: LimitPlace = { layer: 'default' };
const BY_TRANSPORT =
  /^([\w-]+?)_((?:destination_|transport_|initial_destination_|delivery_slot_|minimum_delivery|recipient_|extra_recipient|time_limit)\w*)$/;

/** Reads the configuration of Postfix. @throws SourceFault when there is no main.cf. */
export function readPostfix(files: SourceFiles): ImportDraft {
  const draft = new ImportDraft();
  const all = files.all();
  const named = (name: string): string | undefined => all.find((path) => basename(path) === name);
  const mainPath = named('main.cf') ?? (all.length === 1 ? all[0] : undefined);
  if (mainPath === undefined) throw new SourceFault('has no main.cf');
  const main = files.read(mainPath);
  const { parameters, wrong } = readMainCf(main.lines);
  const at = ({ name, value, line }: PostfixParameter): SourcePlace => ({
    file: main.path,
    line,
    directive: name,
    value,
  });
  if (main.encoding)
    draft.note({ file: main.path, line: 0, directive: 'encoding' }, 'changed', `read as ${main.encoding}.`);
  for (const { text, line } of wrong) {
    draft.note({ file: main.path, line, directive: text.slice(0, 80) }, 'fault', 'is no "name = value".');
  }
  const services = readServices(draft, files, named('master.cf'));
  const tables: PostfixTables = { draft, files, services, domainsOf: new Map(), pools: new Set() };
  const settingOf = (name: string): string | undefined => parameters.get(name)?.value;
  const whole: PostfixTarget = {
    draft,
    place: DEFAULT,
    settingOf: (name) => (settingOf(name) === undefined ? undefined : expand(settingOf(name)!, settingOf)),
  };

  for (const parameter of parameters.values()) {
    if (!Object.hasOwn(TABLES, parameter.name)) continue;
    readTables(
      whole.settingOf(parameter.name)!,
      at(parameter),
      tables,
      TABLES[parameter.name as keyof typeof TABLES],
    );
  }
  const used = new Set<string>();
  for (const { value } of [...parameters.values(), ...[...services.values()].flatMap((one) => one.overrides)])
    for (const [, name] of value.matchAll(/\$\{?\(?([A-Za-z0-9_]+)/g)) used.add(name!);
  for (const parameter of parameters.values()) {
    const value = expand(parameter.value, settingOf);
    takeParameter(parameter.name, value, at(parameter), whole, tables, used);
  }
  for (const service of services.values()) takeService(service, tables, whole, parameters, main.path);
  const dkim = named('opendkim.conf');
  if (dkim !== undefined) readOpenDkim(draft, files, dkim);
  return draft;
}

function readServices(
  draft: ImportDraft,
  files: SourceFiles,
  path: string | undefined,
): Map<string, MasterService> {
  if (path === undefined) return new Map();
  const { lines, path: shown } = files.read(path);
  const { services, wrong } = readMasterCf(lines);
  for (const { text, line } of wrong) {
    draft.note(
      { file: shown, line, directive: text.slice(0, 80) },
      'fault',
      'is no service of eight columns.',
    );
  }
  return new Map(services.filter(({ type }) => type !== 'inet').map((service) => [service.name, service]));
}

function takeParameter(
  name: string,
  value: string,
  at: SourcePlace,
  whole: PostfixTarget,
  tables: PostfixTables,
  used: ReadonlySet<string>,
) {
  const { draft } = tables;
  if (Object.hasOwn(TABLES, name)) {
    if (value === '') draft.note(at, 'already', 'empty.');
    else draft.note(at, 'taken', 'its rows follow.');
    return;
  }
  const handler = GLOBAL.get(name) ?? TRANSPORT.get(name);
  if (handler) return handler(value, at, whole);
  const [, transport, end] = BY_TRANSPORT.exec(name) ?? [];
  if (transport !== undefined && QUEUE.has(end!)) {
    // Those of the transport override the default ones; for `smtp` they are the default's here.
    if (transport === 'default' && overridden(name, whole))
      return draft.note(at, 'already', 'smtp_… sets it.');
    for (const target of targetsOf(transport, tables, whole)) QUEUE.get(end!)!(value, at, target);
    return undefined;
  }
  const meaning = meaningOf(name) ?? (transport !== undefined ? meaningOf(`transport_${end}`) : undefined);
  if (meaning) return draft.note(at, meaning.state, meaning.text);
  if (used.has(name)) return draft.note(at, 'taken', 'a name for other parameters; its value is in theirs.');
  return draft.note(
    at,
    'unknown',
    'is no parameter of Postfix 3.7 as far as is known. If it limits sending, set the limit by hand.',
  );
}

function overridden(name: string, { settingOf }: PostfixTarget): boolean {
  return settingOf(name.replace(/^default_/, 'smtp_')) !== undefined;
}

/** Where the limits of a transport hold. */
function targetsOf(
  transport: string,
  { draft, domainsOf, pools, services }: PostfixTables,
  whole: PostfixTarget,
): PostfixTarget[] {
  if (/^(default|smtp|relay)$/.test(transport)) return [whole];
  const targets: PostfixTarget[] = Array.from(domainsOf.get(transport) ?? [], (domain) => ({
    ...whole,
    place: placeOfDomain(domain),
  }));
  if (pools.has(transport)) targets.push({ ...whole, mail: { pool: transport } });
  // Without mail, as far as the tables show: its limits still must not be lost.
  if (targets.length === 0 && services.has(transport)) {
    draft.pool(transport, []);
    targets.push({ ...whole, mail: { pool: transport } });
  }
  return targets.length > 0 ? targets : [whole];
}

/** The processes of a transport and what master.cf overrides for it. */
function takeService(
  service: MasterService,
  tables: PostfixTables,
  whole: PostfixTarget,
  parameters: ReadonlyMap<string, PostfixParameter>,
  file: string,
): void {
  if (!/^(smtp|relay)$/.test(service.command)) return;
  const isDefault = /^(smtp|relay)$/.test(service.name);
  const own = new Map(service.overrides.map((one) => [one.name, one.value]));
  const settingOf = (name: string): string | undefined => own.get(name) ?? parameters.get(name)?.value;
  const master = file.replace(/main\.cf$/, 'master.cf');
  const isUsed = isDefault || tables.domainsOf.has(service.name) || tables.pools.has(service.name);
  for (const base of isUsed ? targetsOf(service.name, tables, whole) : []) {
    const target: PostfixTarget = {
      ...base,
      settingOf: (name) => (settingOf(name) === undefined ? undefined : expand(settingOf(name)!, settingOf)),
    };
    if (service.processes !== undefined && service.processes > 0) {
      const at = {
        file: master,
        line: service.line,
        directive: `${service.name} maxproc`,
        value: String(service.processes),
      };
      takeProcesses(service, at, target);
    }
    for (const { name, value, line } of service.overrides) {
      const at = { file: master, line, directive: `${service.name} -o ${name}`, value };
      const handler = TRANSPORT.get(name);
      const meaning = meaningOf(name);
      if (/^smtp_bind_address6?$/.test(name) && !target.mail && !isDefault)
        bindForDomains(service, value, at, tables);
      else if (handler) handler(expand(value, settingOf), at, target);
      else if (meaning) tables.draft.note(at, meaning.state, meaning.text);
      else
        tables.draft.note(
          at,
          'unknown',
          'is not translated for a single transport. If it limits sending, set the limit by hand.',
        );
    }
  }
}

/** So many processes are so many connections of the transport at once. */
function takeProcesses(
  { name, processes }: MasterService,
  at: SourcePlace,
  { draft, place, mail }: PostfixTarget,
) {
  if (place.layer === 'default' && mail === undefined) {
    draft.limit(at, place, 'ipConnections', processes);
    draft.note(at, 'changed', `ipConnections ${processes}, for each source address.`);
    return;
  }
  draft.limits.shared ??= {};
  const match = mail?.pool
    ? { pool: mail.pool }
    : 'key' in place
      ? { [place.layer === 'providers' ? 'provider' : 'domain']: place.key }
      : {};
  const key = `${name}${mail?.pool ? '' : `-${'key' in place ? place.key : ''}`}`;
  draft.limits.shared[key] = { match, concurrency: processes };
  draft.note(at, 'taken', `shared limit ${key}: ${processes} messages under way.`);
}

/** An address for the mail of some domains: a pool, and the policy that leads them there. */
function bindForDomains(
  service: MasterService,
  ip: string,
  at: SourcePlace,
  { draft, domainsOf }: PostfixTables,
) {
  if (isIP(ip) === 0) return draft.note(at, 'fault', `${ip} is no IP address.`);
  draft.pool(service.name, [ip]);
  const domains = [...(domainsOf.get(service.name) ?? [])].join(', ');
  return draft.note(
    at,
    'impossible',
    `pool ${service.name} has ${ip}, and no setting sends by recipient domain to a pool. Add to onRoute of postern.policy.ts: for ${domains} answer { pool: '${service.name}' }.`,
  );
}
