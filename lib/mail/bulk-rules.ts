/**
 * What Gmail, Yahoo and Microsoft require of bulk mail: one-click unsubscribe (RFC 8058), a DMARC record of the From
 * domain, and DKIM or SPF aligned with it; and the document that orders what becomes of mail without. Pure.
 */
import { readChoice, readMap, readObject, refuse } from '../document.ts';

export type BulkFault = 'no_one_click' | 'no_dmarc' | 'unaligned';

export const BULK_MODES = ['off', 'warn', 'refuse'] as const;
export type BulkMode = (typeof BULK_MODES)[number];

/** The document `bulk`: what becomes of bulk mail with a fault. A set's mode counts before its tenant's. */
export interface BulkRules {
  mode(tenant: string, set: string | undefined): BulkMode;
}

/** @throws PosternError with path and reason. */
export function readBulkRules(value: unknown, path: string): BulkRules {
  const document = readObject(value, path, ['default', 'tenants', 'sets']);
  const modes = (member: 'tenants' | 'sets'): ReadonlyMap<string, BulkMode> =>
    document[member] === undefined
      ? new Map()
      : readMap(document[member], `${path}.${member}`, (one, at) => readChoice(one, at, BULK_MODES));
  const tenants = modes('tenants');
  const sets = modes('sets');
  for (const name of sets.keys()) {
    if (!/^[^/]+\/[^/]+$/.test(name))
      refuse(`${path}.sets`, `"${name.slice(0, 80)}" is not written tenant/set.`);
  }
  const usual =
    document.default === undefined ? 'off' : readChoice(document.default, `${path}.default`, BULK_MODES);
  return {
    mode: (tenant, set) =>
      (set !== undefined ? sets.get(`${tenant}/${set}`) : undefined) ?? tenants.get(tenant) ?? usual,
  };
}

/** A header field as far as it is looked at. */
interface LookedAt {
  name: string;
  value: string;
}

/** Whether fields let a reader unsubscribe by one click: an https address, and the field of RFC 8058 §3.1. */
export function isOneClick(fields: Iterable<LookedAt>): boolean {
  let address = false;
  let post = false;
  for (const { name, value } of fields) {
    const lower = name.toLowerCase();
    if (lower === 'list-unsubscribe') address ||= /<\s*https:\/\/[^>]+>/i.test(value);
    else if (lower === 'list-unsubscribe-post') post ||= /^\s*list-unsubscribe=one-click\s*$/i.test(value);
  }
  return address && post;
}

/** What a fault means, and what to do: for the caller who is refused. */
export const BULK_FAULTS: Readonly<Record<BulkFault, string>> = {
  no_one_click:
    'it has no one-click unsubscribe (RFC 8058): let Postern add it (`unsubscribe`, or a contact list), or send List-Unsubscribe with an https address and List-Unsubscribe-Post: List-Unsubscribe=One-Click',
  no_dmarc: 'its From domain has no DMARC record: publish _dmarc TXT "v=DMARC1; p=none"',
  unaligned: 'neither its DKIM signature nor its return path is of the organization of its From domain',
};
