import type { Identity } from '../../lib/control/types.ts';

/** TXT records in place of `node:dns/promises`. */
export class FakeTxt {
  readonly records = new Map<string, string[][]>();
  /** Code of the failure that every query gets. */
  failing: string | undefined;

  readonly resolve = async (name: string): Promise<string[][]> => {
    const found = this.records.get(name);
    const code = this.failing ?? (found ? undefined : 'ENOTFOUND');
    if (code !== undefined) throw Object.assign(new Error(`queryTxt ${code} ${name}`), { code });
    return found!;
  };

  /** Publishes every record that the identity shows, in strings of 255 as a name server does. */
  publish(identity: Identity): void {
    for (const { name, value } of identity.dkim.records) {
      this.records.set(name, [value.match(/.{1,255}/g)!]);
    }
  }
}
