/** DynamoDB's expressions, as far as the engine writes them: conditions and updates of one item. */
import type { AttributeValue } from '@aws-sdk/client-dynamodb';

export type DynamoRow = Record<string, AttributeValue>;
type Names = Record<string, string> | undefined;

const TOKEN = /\s*(<=|>=|<>|[=<>(),+-]|[#:]?[A-Za-z_][A-Za-z0-9_]*)/gy;
const compiled = new Map<string, readonly string[]>();

function tokensOf(text: string): readonly string[] {
  let found = compiled.get(text);
  if (!found) {
    found = Array.from(text.matchAll(TOKEN), ([, token]) => token!);
    if (found.join('') !== text.replaceAll(/\s/g, '')) throw new Error(`An expression is not read: ${text}`);
    compiled.set(text, found);
  }
  return found;
}

/** A reader of one expression over one item. */
class Reader {
  readonly #tokens: readonly string[];
  readonly #names: Names;
  readonly #values: DynamoRow;
  readonly row: DynamoRow;
  #at = 0;

  constructor(text: string, row: DynamoRow, names: Names, values: DynamoRow = {}) {
    this.#tokens = tokensOf(text);
    this.row = row;
    this.#names = names;
    this.#values = values;
  }

  get token(): string | undefined {
    return this.#tokens[this.#at];
  }

  take(): string {
    return this.#tokens[this.#at++]!;
  }

  is(token: string): boolean {
    if (this.token?.toUpperCase() !== token) return false;
    this.#at += 1;
    return true;
  }

  path(): string {
    const name = this.take();
    return name.startsWith('#') ? this.#names![name]! : name;
  }

  /** A path, a value, `if_not_exists`, `list_append`, a sum. */
  operand(): AttributeValue | undefined {
    let left = this.#single();
    while (this.token === '+' || this.token === '-') {
      const sign = this.take() === '+' ? 1 : -1;
      left = { N: String(Number(left?.N ?? 0) + sign * Number(this.#single()!.N)) };
    }
    return left;
  }

  #single(): AttributeValue | undefined {
    const token = this.token!;
    if (token.startsWith(':')) return this.#values[this.take()];
    if (token === 'if_not_exists') {
      this.take();
      this.take();
      const found = this.row[this.path()];
      this.take();
      const other = this.operand();
      this.take();
      return found ?? other;
    }
    if (token === 'list_append') {
      this.take();
      this.take();
      const first = this.operand();
      this.take();
      const second = this.operand();
      this.take();
      return { L: [...(first?.L ?? []), ...(second?.L ?? [])] };
    }
    return this.row[this.path()];
  }

  either(): boolean {
    let holds = this.#both();
    while (this.is('OR')) holds = this.#both() || holds;
    return holds;
  }

  #both(): boolean {
    let holds = this.#one();
    while (this.is('AND')) holds = this.#one() && holds;
    return holds;
  }

  #one(): boolean {
    if (this.is('NOT')) return !this.#one();
    if (this.is('(')) {
      const holds = this.either();
      this.take();
      return holds;
    }
    for (const [name, wanted] of [
      ['ATTRIBUTE_NOT_EXISTS', false],
      ['ATTRIBUTE_EXISTS', true],
    ] as const) {
      if (!this.is(name)) continue;
      this.take();
      const exists = this.row[this.path()] !== undefined;
      this.take();
      return exists === wanted;
    }
    const left = this.operand();
    const how = this.take().toUpperCase();
    if (how === 'IN') {
      this.take();
      let found = false;
      do found = equal(left, this.operand()) || found;
      while (this.take() === ',');
      return found;
    }
    if (how === 'BETWEEN') {
      const from = this.operand();
      this.take();
      return compare(left, from) >= 0 && compare(left, this.operand()) <= 0;
    }
    return holds(how, left, this.operand());
  }
}

function holds(how: string, left: AttributeValue | undefined, right: AttributeValue | undefined): boolean {
  if (left === undefined || right === undefined) return false;
  if (how === '=') return equal(left, right);
  if (how === '<>') return !equal(left, right);
  const order = compare(left, right);
  return how === '<' ? order < 0 : how === '<=' ? order <= 0 : how === '>' ? order > 0 : order >= 0;
}

function equal(left: AttributeValue | undefined, right: AttributeValue | undefined): boolean {
  if (left?.B && right?.B) return Buffer.compare(left.B, right.B) === 0;
  return left !== undefined && left.S === right?.S && left.N === right?.N;
}

function compare(left: AttributeValue | undefined, right: AttributeValue | undefined): number {
  if (left?.N !== undefined) return Number(left.N) - Number(right?.N);
  return (left?.S ?? '') < (right?.S ?? '') ? -1 : left?.S === right?.S ? 0 : 1;
}

/** Whether a condition holds for an item; one that is not there has no attributes. */
export function meets(
  condition: string | undefined,
  row: DynamoRow | undefined,
  names: Names,
  values?: DynamoRow,
): boolean {
  return condition === undefined || new Reader(condition, row ?? {}, names, values).either();
}

/** The item after an update. */
export function updated(update: string, row: DynamoRow, names: Names, values?: DynamoRow): DynamoRow {
  const reader = new Reader(update, row, names, values);
  const after = { ...row };
  while (reader.token !== undefined) {
    if (reader.is('SET') || reader.is('REMOVE')) continue;
    const path = reader.path();
    if (reader.is('=')) after[path] = reader.operand()!;
    else delete after[path];
    reader.is(',');
  }
  return after;
}
