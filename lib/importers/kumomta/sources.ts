/** `sources.toml`: addresses, and pools of them. */

import { shownValue } from '../finding.ts';
import { poolName } from '../names.ts';
import { ipOf, type KumoFile } from './file.ts';
import { isTable, type TomlTable } from './toml.ts';

export function takeSources({ draft, file, toml, sources }: KumoFile): void {
  const at = (path: readonly string[], value?: unknown) => ({
    file,
    line: toml.lineOf(path),
    directive: path.join('.'),
    ...(value !== undefined && { value: shownValue(value) }),
  });
  for (const [kind, table] of Object.entries(toml.table)) {
    if (!isTable(table) || (kind !== 'source' && kind !== 'pool')) {
      draft.note(at([kind]), 'unknown', 'is neither source nor pool.');
      continue;
    }
    for (const [name, entry] of Object.entries(table)) {
      if (!isTable(entry)) draft.note(at([kind, name]), 'fault', 'is no table.');
      else if (kind === 'source') takeSource(name, entry);
      else takePool(name, entry);
    }
  }

  function takeSource(name: string, entry: TomlTable): void {
    const ip = ipOf(entry.source_address);
    if (ip === undefined)
      draft.note(
        at(['source', name]),
        'impossible',
        'has no source_address: the host chooses, as a pool without addresses does here.',
      );
    else {
      sources.set(name, ip);
      if (!draft.start.egressIps.includes(ip)) draft.start.egressIps.push(ip);
    }
    for (const [key, value] of Object.entries(entry)) {
      const place = at(['source', name, key], value);
      if (key === 'source_address')
        draft.note(
          place,
          ip ? 'taken' : 'fault',
          ip ? 'egressIps of postern.config.ts.' : 'is no IP address.',
        );
      else if (key === 'ehlo_domain' && ip) {
        draft.start.ehloNames[ip] = String(value);
        draft.note(place, 'taken', 'ehloNames of postern.config.ts.');
      } else if (/^(ttl|name)$/.test(key))
        draft.note(place, 'already', 'Documents are in force about a second after they are stored.');
      else if (key.startsWith('suspend_when'))
        draft.note(
          place,
          'already',
          'An address that cannot be bound sends nothing, and the reason shows it.',
        );
      else if (key === 'remote_port')
        draft.note(
          place,
          'impossible',
          'The port is one for all (smtpPort of postern.config.ts), or part of a route.',
        );
      else if (/proxy/.test(key))
        draft.note(
          place,
          'impossible',
          'A proxy is not used. Run an egress node where the address is (egress-node/README.md).',
        );
      else draft.note(place, 'unknown', 'is no option of a source as far as is known.');
    }
  }

  function takePool(name: string, entry: TomlTable): void {
    const pool = poolName(name);
    draft.pool(pool, []);
    draft.note(at(['pool', name]), 'taken', `pool ${pool}.`);
    for (const [source, options] of Object.entries(entry)) {
      const place = at(['pool', name, source]);
      const ip = sources.get(source);
      const weight = isTable(options) && typeof options.weight === 'number' ? options.weight : undefined;
      if (ip === undefined) draft.note(place, 'impossible', `there is no source ${source} with an address.`);
      else {
        draft.pool(pool, [ip], weight);
        draft.note(place, 'taken', `${ip}, as warm${weight === undefined ? '' : `, weight ${weight}`}.`);
      }
      for (const key of isTable(options) ? Object.keys(options) : []) {
        if (key !== 'weight')
          draft.note(
            at(['pool', name, source, key]),
            'unknown',
            'is no option of a member as far as is known.',
          );
      }
    }
  }
}
