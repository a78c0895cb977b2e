/** Writes the output of operations as restJson1 has it: times in seconds, bytes in base64, known members only. */
import { type ModelShape, type ServiceModel, shapeName, shapeOf } from './form.ts';

/** The answer that a value of a shape is written as. */
export type WriteOutput = (value: unknown) => unknown;

type Writer = (value: unknown, at: string) => unknown;

export interface OutputOptions {
  /**
   * Whether each answer is held against its shape, so that a member that is unknown, of another type or missing
   * fails the call: for tests. Otherwise such a member is left out or written as it is.
   */
  check: boolean;
}

/** Writers of a model's shapes, each made when it is first used. */
export class OutputWriters {
  readonly #model: ServiceModel;
  readonly #check: boolean;
  readonly #known = new Map<string, Writer>();

  constructor(model: ServiceModel, { check }: OutputOptions) {
    this.#model = model;
    this.#check = check;
  }

  /** The writer of an operation's output; without a shape the answer is empty. */
  output(shape: string | undefined): WriteOutput {
    if (shape === undefined) return () => ({});
    const write = this.#writer(shape);
    return (value) => write(value, shape);
  }

  #writer(name: string): Writer {
    const before = this.#known.get(name);
    if (before) return before;
    const made = this.#make(shapeOf(this.#model, name));
    this.#known.set(name, made);
    return made;
  }

  #make(shape: ModelShape): Writer {
    if (shape.type === 'structure') return this.#structure(shape);
    if (shape.type === 'list') {
      return (value, at) => {
        if (!Array.isArray(value)) return this.#wrong(value, at, 'a list');
        const write = this.#writer(shape.member!);
        return value.map((one, i) => write(one, `${at}[${i}]`));
      };
    }
    if (shape.type === 'map') {
      return (value, at) => {
        if (typeof value !== 'object' || value === null) return this.#wrong(value, at, 'a map');
        const write = this.#writer(shape.value!);
        return Object.fromEntries(
          Object.entries(value).map(([key, one]) => [key, write(one, `${at}.${key}`)]),
        );
      };
    }
    return this.#scalar(shape);
  }

  #structure({ members = {}, required = [] }: ModelShape): Writer {
    const names = Object.keys(members);
    return (value, at) => {
      if (typeof value !== 'object' || value === null) return this.#wrong(value, at, 'a structure');
      const out: Record<string, unknown> = {};
      for (const name of names) {
        const member = (value as Record<string, unknown>)[name];
        if (member !== undefined)
          out[name] = this.#writer(shapeName(members[name]!))(member, `${at}.${name}`);
        else if (this.#check && required.includes(name)) this.#wrong(undefined, `${at}.${name}`, 'there');
      }
      if (this.#check) {
        for (const name of Object.keys(value))
          if (!(name in members) && name !== '$metadata')
            this.#wrong(undefined, `${at}.${name}`, 'in the model');
      }
      return out;
    };
  }

  #scalar({ type, enum: words }: ModelShape): Writer {
    return (value, at) => {
      if (value instanceof Date) {
        return type === 'timestamp' ? value.getTime() / 1000 : this.#wrong(value, at, type);
      }
      if (value instanceof Uint8Array) {
        return type === 'blob' ? Buffer.from(value).toString('base64') : this.#wrong(value, at, type);
      }
      if (this.#check) {
        const expected = type === 'integer' || type === 'long' || type === 'double' ? 'number' : type;
        if (typeof value !== expected) return this.#wrong(value, at, type);
        if (words && !words.includes(value as string)) return this.#wrong(value, at, words.join(' or '));
      }
      return value;
    };
  }

  /** A value that is not the model's: a fault in this program, and not in the request. */
  #wrong(value: unknown, at: string, expected: string): unknown {
    if (this.#check) throw new TypeError(`The answer's ${at} is not ${expected}.`);
    return value;
  }
}
