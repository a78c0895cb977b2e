/** `listener_domains.toml`: which networks may relay, and which domains take bounces. */
import ipaddr from 'ipaddr.js';
import type { KumoFile } from './file.ts';
import { isTable } from './toml.ts';

export function takeListenerDomains({ draft, file, toml }: KumoFile): void {
  for (const [domain, entry] of Object.entries(toml.table)) {
    for (const [key, value] of isTable(entry) ? Object.entries(entry) : []) {
      const at = {
        file,
        line: toml.lineOf([domain, key]),
        directive: `${domain}.${key}`,
        value: String(value),
      };
      if (key === 'relay_from' && Array.isArray(value)) {
        const networks = value.filter(
          (one): one is string => typeof one === 'string' && ipaddr.isValidCIDR(one),
        );
        draft.start.relayFrom.push(...networks.filter((one) => !draft.start.relayFrom.includes(one)));
        draft.note(
          at,
          networks.length === value.length ? 'changed' : 'fault',
          `${networks.join(', ')} may submit without login, for any identity of the default tenant (relayFrom of postern.config.ts).`,
        );
      } else if (/^(log_oob|log_arf)$/.test(key))
        draft.note(
          at,
          'already',
          'Bounces and complaints are read by the inbound listener: point the MX of the return path there.',
        );
      else if (key === 'relay_to' && value === false)
        draft.note(at, 'already', 'Mail is taken of those who may send alone.');
      else if (key === 'relay_to')
        draft.note(
          at,
          'impossible',
          'Postern relays for nobody who may not send. Give such a sender an access key.',
        );
      else if (/^(relay_from_authz|ttl|rebind_host)$/.test(key))
        draft.note(at, 'already', 'An access key decides who may send.');
      else draft.note(at, 'unknown', 'is no option of a listener domain as far as is known.');
    }
  }
}
