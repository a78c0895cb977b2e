/**
 * The tables of the AWS engine in virtual time, as far as leases use them: conditional writes of single items,
 * consistent reads. Answers take a round trip; requests and answers may be lost or come late.
 */
import type { Item, Key } from '../../lib/engine/aws/attributes.ts';
import type { KeyRange, Tables, Update } from '../../lib/engine/aws/tables.ts';
import { PosternError } from '../../lib/errors.ts';
import type { VirtualProcess, VirtualTime } from './virtual-time.ts';

/** After this time without an answer a caller gives up, ms. */
const PATIENCE = 2_000;
/** A lost request may still arrive within this time, ms. */
const LATEST = 9_000;

export interface VirtualTablesOptions {
  time: VirtualTime;
  random: () => number;
  /** Round trip, ms. */
  trip: number;
  /** Share of the requests that are lost, on their way or on their way back, or come late. */
  lost?: number;
}

/** The stored items, with what was asked of them. */
export class VirtualTables {
  readonly #items = new Map<string, Item>();
  readonly #options: VirtualTablesOptions;
  lost: number;
  writes = 0;
  /** Units of capacity. */
  writeUnits = 0;
  readUnits = 0;
  /** Writes by item. */
  readonly writesOf = new Map<string, number>();

  constructor(options: VirtualTablesOptions) {
    this.#options = options;
    this.lost = options.lost ?? 0;
  }

  /** The tables, as a process reaches them. */
  of(process: VirtualProcess): Tables {
    const tables = {
      get: (_: string, key: Key) => this.#call(process, () => this.#read([this.#items.get(nameOf(key))])[0]),
      query: (_: string, pk: string, range: KeyRange) =>
        this.#call(process, () =>
          this.#read(
            [...this.#items.values()].filter(
              (item) => item.pk!.S === pk && item.sk!.S! >= range.from && item.sk!.S! <= range.to,
            ),
          ),
        ),
      update: (_: string, key: Key, change: Update) => this.#call(process, () => this.#update(key, change)),
      remove: (_: string, key: Key, condition?: Omit<Update, 'update'>) =>
        this.#call(process, () => {
          const item = this.#items.get(nameOf(key));
          this.#wrote(key, item);
          if (item === undefined || !holds(item, condition?.condition, condition?.values)) return undefined;
          this.#items.delete(nameOf(key));
          return item;
        }),
    };
    return tables as unknown as Tables;
  }

  #call<T>(process: VirtualProcess, work: () => T): Promise<T> {
    const { time, random, trip } = this.#options;
    const fate = random() < this.lost ? random() : 1;
    return new Promise((resolve, reject) => {
      const answer = (how: () => void) => () =>
        process.run(() => {
          how();
          time.answered();
        });
      const fail = (): void =>
        time.after(
          PATIENCE,
          answer(() => reject(new PosternError('storage_unavailable', 'no answer'))),
        );
      if (fate < 1 / 3) fail();
      else if (fate < 2 / 3) {
        fail();
        time.after(random() * LATEST, work);
      } else {
        time.after(trip / 2, () => {
          const result = structuredClone(work());
          if (fate < 1) fail();
          else
            time.after(
              trip / 2,
              answer(() => resolve(result)),
            );
        });
      }
    });
  }

  #read<T extends Item | undefined>(items: T[]): T[] {
    const size = items.reduce((sum, item) => sum + sizeOf(item), 0);
    this.readUnits += Math.max(1, Math.ceil(size / 4096));
    return items;
  }

  #wrote(key: Key, item: Item | undefined): void {
    this.writes += 1;
    this.writesOf.set(nameOf(key), (this.writesOf.get(nameOf(key)) ?? 0) + 1);
    this.writeUnits += Math.max(1, Math.ceil(sizeOf(item) / 1024));
  }

  #update(key: Key, change: Update): { done: boolean; item?: Item } {
    const item = this.#items.get(nameOf(key)) ?? {};
    if (!holds(item, change.condition, change.values)) {
      this.#wrote(key, item);
      return { done: false, item: this.#items.get(nameOf(key)) };
    }
    const next: Item = { ...item, pk: { S: key.pk }, sk: { S: key.sk } };
    const [verb, rest] = [change.update.slice(0, 3), change.update.slice(4)];
    if (change.update.startsWith('REMOVE ')) delete next[change.update.slice(7)];
    else if (verb === 'SET') {
      for (const part of rest.split(/, (?=[#\w]+ =)/)) {
        const [name, value] = part.split(' = ') as [string, string];
        next[change.names?.[name] ?? name] = valueIn(item, value, change.values ?? {});
      }
    } else throw new Error(`not simulated: ${change.update}`);
    this.#items.set(nameOf(key), next);
    this.#wrote(key, next);
    return { done: true, ...(change.returns && { item: next }) };
  }
}

function nameOf({ pk, sk }: Key): string {
  return `${pk}\0${sk}`;
}

function sizeOf(item: Item | undefined): number {
  return item === undefined ? 0 : JSON.stringify(item).length;
}

function valueIn(item: Item, text: string, values: Item): Item[string] {
  const sum = /^if_not_exists\((\w+), (:\w+)\) \+ (:\w+)$/.exec(text);
  if (sum === null) return values[text]!;
  const base = item[sum[1]!] ?? values[sum[2]!]!;
  return { N: String(Number(base.N) + Number(values[sum[3]!]!.N)) };
}

function holds(item: Item, condition: string | undefined, values: Item = {}): boolean {
  if (condition === undefined) return true;
  return condition.split(' OR ').some((part) => {
    const missing = /^attribute_not_exists\((\w+)\)$/.exec(part);
    if (missing !== null) return item[missing[1]!] === undefined;
    const [name, operator, value] = part.split(' ') as [string, string, string];
    const [has, with_] = [item[name], values[value]!];
    if (has === undefined) return false;
    if (operator === '=') return has.S === with_.S && has.N === with_.N;
    return operator === '<=' ? Number(has.N) <= Number(with_.N) : Number(has.N) < Number(with_.N);
  });
}
