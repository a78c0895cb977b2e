/** `queues.toml`: what tenants and their campaigns may send, from which pool, and for how long. */
import type { Qualifier } from '../../shaping/limits/limit.ts';
import { DAY, MINUTE, SECOND } from '../../time.ts';
import { clamped, rateOf, spanOf } from '../amounts.ts';
import { type ImportDraft, type LimitPlace, placeOfDomain } from '../draft.ts';
import { type SourcePlace, shownValue } from '../finding.ts';
import { poolName } from '../names.ts';
import type { KumoFile } from './file.ts';
import { isTable, type TomlTable } from './toml.ts';
import { durationOf, throttleOf } from './values.ts';

type QueueMail = Partial<Record<Qualifier, string>>;

export function takeQueues({ draft, file, toml }: KumoFile) {
  const at = (path: readonly string[], value?: unknown): SourcePlace => ({
    file,
    line: toml.lineOf(path),
    directive: path.join('.'),
    ...(value !== undefined && { value: shownValue(value) }),
  });
  for (const [key, table] of Object.entries(toml.table)) {
    if (key === 'tenant' && isTable(table)) {
      for (const [name, entry] of Object.entries(table)) {
        if (isTable(entry))
          takeEntry(
            ['tenant', name],
            entry,
            { layer: 'default' },
            name === 'default' ? undefined : { tenant: name },
          );
      }
    } else if (key === 'queue' && isTable(table)) {
      for (const [domain, entry] of Object.entries(table)) {
        const place: LimitPlace =
          domain === 'default' ? { layer: 'default' } : placeOfDomain(domain.toLowerCase());
        if (isTable(entry)) takeEntry(['queue', domain], entry, place, undefined);
      }
    } else if (/^(scheduling|tenant|campaign)_header$/.test(key)) {
      draft.note(at([key], table), 'impossible', headers(key));
    } else if (/^(remove_|default_tenant|allow_routing)/.test(key))
      draft.note(
        at([key], table),
        'already',
        'The access key tells the tenant; headers of Postern are not sent on.',
      );
    else draft.note(at([key]), 'unknown', 'is no table of a queues file as far as is known.');
  }

  function takeEntry(
    path: readonly string[],
    entry: TomlTable,
    place: LimitPlace,
    mail: QueueMail | undefined,
  ) {
    for (const [key, value] of Object.entries(entry)) {
      if (key === 'campaigns' && isTable(value)) {
        for (const [name, own] of Object.entries(value))
          if (isTable(own)) takeEntry([...path, key, name], own, place, { ...mail, campaign: name });
      } else if (isTable(value) && key !== 'protocol') {
        // `[queue."example.com"."tenant"]`, and below it a campaign.
        takeEntry(
          [...path, key],
          value,
          place,
          mail?.tenant === undefined ? { ...mail, tenant: key } : { ...mail, campaign: key },
        );
      } else takeOption(draft, key, value, at([...path, key], value), { place, mail, entry });
    }
  }
}

function headers(key: string): string {
  if (key === 'scheduling_header') return 'A later time is sendAt of POST /v1/messages.';
  if (key === 'tenant_header') return 'The tenant follows from the access key: give each tenant its own.';
  return 'The campaign is the tag "campaign" of a message.';
}

function takeOption(
  draft: ImportDraft,
  key: string,
  value: unknown,
  at: SourcePlace,
  { place, mail, entry }: { place: LimitPlace; mail: QueueMail | undefined; entry: TomlTable },
) {
  const set = (name: 'maxAge' | 'retry' | 'messageRate', limit: unknown, text: string, changed = false) => {
    draft.limit(at, place, name, limit, mail);
    draft.note(at, changed ? 'changed' : 'taken', `${name} ${text}.`);
  };
  switch (key) {
    case 'egress_pool':
      return takePool(draft, String(value), at, place, mail);
    case 'max_age': {
      const ms = durationOf(value);
      if (ms === undefined) return draft.note(at, 'fault', 'is no time; the limit is not taken.');
      const { ms: within, moved } = clamped(ms, MINUTE, 14 * DAY);
      return set('maxAge', spanOf(within), spanOf(within), moved);
    }
    case 'retry_interval':
    case 'max_retry_interval': {
      const least = durationOf(entry.retry_interval ?? '20m');
      const most = entry.max_retry_interval === undefined ? 7 * DAY : durationOf(entry.max_retry_interval);
      if (least === undefined || most === undefined || least <= 0)
        return draft.note(at, 'fault', 'is no time; the limit is not taken.');
      const delays: string[] = [];
      for (let ms = least; delays.length < 12; ms *= 2) {
        delays.push(spanOf(clamped(Math.min(ms, most), SECOND, 7 * DAY).ms));
        if (ms >= most) break;
      }
      return set('retry', { delays }, `${delays.join(', ')}, each spread by a tenth`, true);
    }
    case 'max_message_rate': {
      const found = throttleOf(value);
      if (found === undefined) return draft.note(at, 'fault', 'is no rate; the limit is not taken.');
      const { text } = rateOf(found.count, found.per);
      return set('messageRate', text, text);
    }
    case 'overall_max_message_rate': {
      const found = throttleOf(value);
      if (found === undefined) return draft.note(at, 'fault', 'is no rate; the limit is not taken.');
      const name = ['rate', mail?.tenant, mail?.campaign].filter(Boolean).join('-');
      draft.limits.shared ??= {};
      draft.limits.shared[name] = { match: { ...mail }, rate: rateOf(found.count, found.per).text };
      return draft.note(at, 'taken', `shared limit ${name} over all addresses.`);
    }
    case 'protocol':
    case 'routing_domain':
      return draft.note(
        at,
        'impossible',
        'Mail of a domain goes elsewhere by a route of postern.config.ts, and by SMTP alone.',
      );
    case 'require_authz':
      return draft.note(at, 'already', 'The access key tells the tenant.');
    case 'strategy':
    case 'timerwheel_tick_interval':
    case 'reap_interval':
    case 'refresh_interval':
    case 'refresh_strategy':
    case 'shrink_policy':
    case 'provider_name':
      return draft.note(at, 'already', 'What is due is found by its time; memory is bounded by itself.');
    default:
      return draft.note(
        at,
        'unknown',
        'is no option of a queue as far as is known. If it limits sending, set the limit by hand.',
      );
  }
}

function takePool(
  draft: ImportDraft,
  name: string,
  at: SourcePlace,
  place: LimitPlace,
  mail: QueueMail | undefined,
) {
  const pool = poolName(name);
  if (place.layer !== 'default')
    return draft.note(
      at,
      'impossible',
      `a pool by recipient domain is an answer { pool: '${pool}' } in onRoute of postern.policy.ts.`,
    );
  if (mail?.campaign)
    return draft.note(
      at,
      'impossible',
      `a pool of a campaign is that of its configuration set: make one with the pool ${pool}.`,
    );
  if (mail?.tenant === undefined) {
    draft.sets.set(pool, { pool });
    return draft.note(
      at,
      'changed',
      `configuration set ${pool}: name it when you send, or rename the pool to default.`,
    );
  }
  draft.pool(pool, []);
  const owned = draft.pools[pool]!;
  owned.dedicatedTo ??= { tenants: [] };
  owned.dedicatedTo.tenants.push(mail.tenant);
  // Other pools of the file may have its addresses too.
  owned.exclusive = false;
  return draft.note(
    at,
    'taken',
    `all mail of tenant ${mail.tenant} leaves by pool ${pool}, and no other's does.`,
  );
}
