import type { DkimZone, Identity } from '../../lib/control/types.ts';

/** TXT and MX records in place of `node:dns/promises`. */
export class FakeTxt {
  readonly records = new Map<string, string[][]>();
  /** Hosts of MX records by name. */
  readonly exchanges = new Map<string, string[]>();
  /** Targets of CNAME records by name. */
  readonly aliases = new Map<string, string>();
  /** The zone to which they lead. */
  zone: Pick<DkimZone, 'name' | 'find'> | undefined;
  /** Code of the failure that every query gets. */
  failing: string | undefined;

  readonly resolve = async (name: string): Promise<string[][]> => {
    const [token = '', zone = ''] = split(this.aliases.get(name));
    const value = zone !== '' && zone === this.zone?.name ? await this.zone.find(token) : undefined;
    if (value !== undefined && this.failing === undefined) return [[value]];
    return this.#found(this.records, name);
  };

  readonly resolveMx = async (name: string): Promise<{ exchange: string }[]> =>
    this.#found(this.exchanges, name).map((exchange) => ({ exchange }));

  #found<T>(records: ReadonlyMap<string, T>, name: string): T {
    const found = records.get(name);
    const code = this.failing ?? (found ? undefined : 'ENOTFOUND');
    if (code !== undefined) throw Object.assign(new Error(`query ${code} ${name}`), { code });
    return found!;
  }

  /** Publishes every record that the identity shows, in strings of 255 as a name server does. */
  publish(identity: Identity): void {
    for (const { name, type, value } of identity.dkim.records) {
      if (type === 'CNAME') this.aliases.set(name, value);
      else this.records.set(name, [value.match(/.{1,255}/g)!]);
    }
  }
}

/** The first label of a name, and the rest. */
function split(name = ''): string[] {
  const dot = name.indexOf('.');
  return [name.slice(0, dot), name.slice(dot + 1)];
}
