/** `dkim_data.toml`: which key signs for which domain. */

import { takeKey } from '../dkim-key.ts';
import { shownValue } from '../finding.ts';
import type { KumoFile } from './file.ts';
import { isTable, type TomlTable } from './toml.ts';

/** Where KumoMTA looks for a key that has no filename. */
const KEYS = '/opt/kumomta/etc/dkim';
const SIGNED = 'Signed are the headers of RFC 6376, From twice, with relaxed canonicalization and SHA-256.';

export function takeDkim({ draft, files, file, path: from, toml }: KumoFile): void {
  const base = isTable(toml.table.base) ? toml.table.base : {};
  for (const [key, table] of Object.entries(toml.table)) {
    if (key === 'base' && isTable(table)) takeOptions(['base'], table);
    else if (key === 'domain' && isTable(table)) {
      for (const [domain, entry] of Object.entries(table)) if (isTable(entry)) takeDomain(domain, entry);
    } else if (key === 'signature') {
      draft.note(
        place(['signature']),
        'impossible',
        'a further signature for other domains is cosignDomain of postern.config.ts: one, for all mail.',
      );
    } else draft.note(place([key]), 'unknown', 'is no table of DKIM data as far as is known.');
  }

  function place(path: readonly (string | number)[], value?: unknown) {
    return {
      file,
      line: toml.lineOf(path),
      directive: path.join('.'),
      ...(value !== undefined && { value: shownValue(value) }),
    };
  }

  function takeDomain(domain: string, entry: TomlTable) {
    takeOptions(['domain', domain], entry);
    const policies = Array.isArray(entry.policy) ? entry.policy.filter(isTable) : [];
    for (const [i, policy] of policies.entries()) {
      draft.note(
        place(['domain', domain, 'policy', i]),
        'impossible',
        `a further signature of ${domain} is not made by its own policy${typeof policy.selector === 'string' ? ` (${policy.selector})` : ''}; one key signs.`,
      );
    }
    const selector = entry.selector ?? base.selector;
    const at = place(['domain', domain]);
    if (typeof selector !== 'string') return draft.note(at, 'fault', 'has no selector.');
    if (typeof (entry.vault_path ?? base.vault_path ?? base.vault_mount) === 'string') {
      return draft.note(
        at,
        'impossible',
        'its key is in a vault. Export it, and create the identity with it (PutEmailIdentityDkimSigningAttributes).',
      );
    }
    const given = entry.filename ?? base.filename;
    const path = typeof given === 'string' ? given : `${KEYS}/${domain}/${selector}.key`;
    return takeKey(draft, files, at, { domain, selector, path, from });
  }

  function takeOptions(path: readonly string[], table: TomlTable): void {
    for (const [key, value] of Object.entries(table)) {
      const at = place([...path, key], value);
      if (/^(selector|filename)$/.test(key)) draft.note(at, 'taken', 'for the key of the identity.');
      else if (
        /^(headers|over_sign|header_canonicalization|body_canonicalization|algo|body_length|additional_signatures)$/.test(
          key,
        )
      )
        draft.note(at, 'already', SIGNED);
      else if (key === 'expiration')
        draft.note(at, 'impossible', 'Signatures do not expire. Rotate the key instead.');
      else if (/^(atps|atpsh|agent_user_identifier|reporting)$/.test(key))
        draft.note(at, 'impossible', 'is not written into signatures; hardly any verifier reads it.');
      else if (key.startsWith('vault_'))
        draft.note(at, 'impossible', 'keys are not fetched from a vault. Export them.');
      else if (key !== 'policy') draft.note(at, 'unknown', 'is no option of DKIM data as far as is known.');
    }
  }
}
