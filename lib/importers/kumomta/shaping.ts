/** `shaping.toml`: limits by default, provider and domain, for all sources or one, and automation. */
import { PROVIDERS, providerOf } from '../../shaping/providers.ts';
import { type LimitPlace, placeOfDomain } from '../draft.ts';
import { takeAutomation } from './automation.ts';
import { PATH, PATH_MEANINGS, type PathTarget } from './egress-path.ts';
import type { KumoFile } from './file.ts';
import { isTable, type TomlTable } from './toml.ts';

export function takeShaping(kumo: KumoFile) {
  const { draft, file, toml } = kumo;
  for (const [name, table] of Object.entries(toml.table)) {
    if (!isTable(table))
      draft.note({ file, line: toml.lineOf([name]), directive: name }, 'unknown', 'is no block of a domain.');
    else if (name === 'provider') {
      for (const [provider, entry] of Object.entries(table)) {
        if (isTable(entry))
          takeBlock(kumo, ['provider', provider], provider, entry, placesOfProvider(kumo, provider, entry));
      }
    } else
      takeBlock(kumo, [name], name, table, [
        name === 'default' ? { layer: 'default' } : placeOfDomain(name.toLowerCase()),
      ]);
  }
}

/** The provider of Postern that has the MX suffixes, or the name. */
function placesOfProvider({ draft, file, toml }: KumoFile, name: string, entry: TomlTable): LimitPlace[] {
  const at = { file, line: toml.lineOf(['provider', name]), directive: `provider.${name}` };
  const rules = (Array.isArray(entry.match) ? entry.match : []).filter(isTable);
  const suffixes = rules
    .flatMap((rule) => [rule.MXSuffix, rule.HostName])
    .filter((one): one is string => typeof one === 'string');
  const providers = new Set(
    suffixes.map((suffix) => providerOf([suffix.replace(/^\./, '')])).filter((one) => one !== 'other'),
  );
  const domains = rules.flatMap(({ DomainSuffix: one }) =>
    typeof one === 'string' ? [one.replace(/^\./, '')] : [],
  );
  if (domains.length > 0)
    draft.note(
      at,
      'changed',
      `the limits hold for ${domains.join(', ')}, and not for subdomains: set those by their names.`,
    );
  if (providers.size === 0 && PROVIDERS.has(name)) providers.add(name);
  if (providers.size === 0 && domains.length === 0) {
    draft.note(
      at,
      'impossible',
      `no provider of Postern has ${suffixes.join(', ') || 'this name'} (lib/shaping/providers.ts). Set the limits in sites, by the name that explain shows.`,
    );
  } else draft.note(at, 'taken', `provider ${[...providers, ...domains].join(', ')}.`);
  return [
    ...Array.from(providers, (key) => ({ layer: 'providers' as const, key })),
    ...domains.map(placeOfDomain),
  ];
}

function takeBlock(
  kumo: KumoFile,
  path: readonly string[],
  name: string,
  entry: TomlTable,
  places: readonly LimitPlace[],
  ips?: readonly string[],
) {
  const { draft, file, toml, sources } = kumo;
  for (const [key, value] of Object.entries(entry)) {
    const at = {
      file,
      line: toml.lineOf([...path, key]),
      directive: [...path, key].join('.'),
      value: isTable(value) || Array.isArray(value) ? '' : String(value),
    };
    if (key === 'sources' && isTable(value)) {
      for (const [source, own] of Object.entries(value)) {
        const ip = sources.get(source);
        const where = [...path, 'sources', source];
        if (!isTable(own)) continue;
        if (ip !== undefined) takeBlock(kumo, where, `${name}-${source}`, own, places, [ip]);
        else
          draft.note(
            { ...at, line: toml.lineOf(where), directive: where.join('.') },
            'impossible',
            `there is no source ${source} with an address: its limits have nothing to hold for. Set them with the address in "for".`,
          );
      }
    } else if (key === 'automation' && Array.isArray(value)) {
      for (const [index, one] of value.entries()) {
        const line = toml.lineOf([...path, key, index]);
        if (isTable(one))
          takeAutomation(
            draft,
            one,
            { ...at, line, directive: `${at.directive}[${index}]`, value: String(one.regex).slice(0, 120) },
            { name, index, places, source: ips !== undefined },
          );
      }
    } else takeOption(key, value, at, { draft, places, name, ips });
  }
}

function takeOption(
  key: string,
  value: unknown,
  at: Parameters<PathTarget['draft']['note']>[0],
  target: PathTarget,
) {
  const handler = PATH.get(key);
  if (handler && target.places.length === 0)
    return target.draft.note(
      at,
      'impossible',
      'its block names nothing that Postern has; the limit is not taken.',
    );
  if (handler) return handler(value, at, target);
  const meaning = PATH_MEANINGS.get(key);
  if (meaning) return target.draft.note(at, meaning.state, meaning.text);
  return target.draft.note(
    at,
    'unknown',
    'is no option of a shaping file as far as is known. If it limits sending, set the limit by hand.',
  );
}
