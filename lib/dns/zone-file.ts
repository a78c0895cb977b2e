/** A zone of TXT records as a master file (RFC 1035 §5), to be imported by a name server or a provider of DNS. */
import { characterStrings, RECORD_TTL, SOA_TIMES, type Zone } from './zone.ts';

/** The lines before the records. @param server host name of the zone's server; absent: the importer has its own. */
export function zoneHead({
  name,
  server,
  serial,
}: Pick<Zone, 'name'> & { server?: string; serial: number }): string {
  const lines = [`$ORIGIN ${name}.`, `$TTL ${RECORD_TTL}`];
  if (server !== undefined) {
    const { refresh, retry, expire, minimum } = SOA_TIMES;
    const times = [serial, refresh, retry, expire, minimum].join(' ');
    lines.push(`@ IN SOA ${server}. hostmaster.${name}. ( ${times} )`, `@ IN NS ${server}.`);
  }
  return `${lines.join('\n')}\n`;
}

/** The line of a record. */
export function zoneLine(label: string, text: string): string {
  const strings = characterStrings(text).map((one) => `"${one.replace(/["\\]/g, '\\$&')}"`);
  return `${label} IN TXT ${strings.join(' ')}\n`;
}
