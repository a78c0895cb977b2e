import type { Identity } from '../../lib/control/types.ts';

/** TXT and MX records in place of `node:dns/promises`. */
export class FakeTxt {
  readonly records = new Map<string, string[][]>();
  /** Hosts of MX records by name. */
  readonly exchanges = new Map<string, string[]>();
  /** Code of the failure that every query gets. */
  failing: string | undefined;

  readonly resolve = async (name: string): Promise<string[][]> => this.#found(this.records, name);

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
    for (const { name, value } of identity.dkim.records) {
      this.records.set(name, [value.match(/.{1,255}/g)!]);
    }
  }
}
