/**
 * Reads the input of operations as the model has it: types, bounds, required members, in the words of SES.
 *
 * There are two kinds of failure: a value of the wrong JSON type cannot be read at all (`malformed_request`, thrown
 * at once); values that break a constraint are collected and reported together (`bad_request`). Unknown members are
 * dropped, as SES does.
 */
import { PosternError } from '../../errors.ts';
import { type ModelMember, type ModelShape, type ServiceModel, shapeName, shapeOf } from './form.ts';
import { JSON_SCALARS, type ReadScalar, type ScalarReaders, TEXT_SCALARS } from './scalars.ts';

/** What a request holds, by place. */
export interface GivenInput {
  body: Record<string, unknown>;
  /** A member that is repeated is a list. */
  query: Record<string, string | string[]>;
  /** Labels of the path, decoded. */
  labels: Record<string, string>;
}

/** Constraints that do not hold, so far, in SES's words. */
type BrokenConstraints = string[];

/** Enough to help; a list of a million bad members must not make an answer of 100 MB. */
const MAX_PROBLEMS = 20;
/** A pattern without a maximum beside it is tried on no longer text: some take the square of its length. */
const MAX_PATTERN_LENGTH = 4096;

/** @param at dotted path of the value, for messages. @throws PosternError `malformed_request`. */
type ShapeReader = (value: unknown, at: string, problems: BrokenConstraints) => unknown;

/** Reads whole inputs. @throws PosternError `malformed_request`, `bad_request`. */
export type ReadInput = (given: GivenInput) => unknown;

/** Readers of a model's shapes, each made when it is first used: a process calls few of the operations. */
export class InputReaders {
  readonly #model: ServiceModel;
  readonly #json = new Map<string, ShapeReader>();
  readonly #text = new Map<string, ShapeReader>();

  constructor(model: ServiceModel) {
    this.#model = model;
  }

  /** The reader of an operation's input. */
  input(shape: string): ReadInput {
    const { members = {}, required = [] } = shapeOf(this.#model, shape);
    const readers = Object.entries(members).map(([name, member]) => ({
      ...placed(name, member, required),
      read: this.#memberReader(member),
    }));
    return (given) =>
      collect((problems) => {
        const out: Record<string, unknown> = {};
        for (const { name, place, placeName, path, isRequired, read } of readers) {
          const member = ownValue(given[place], placeName);
          if (member !== undefined || isRequired)
            readMember(out, name, member, path, isRequired, read, problems);
        }
        return out;
      });
  }

  /** The reader of an input that is text throughout, as a form or a query has it. */
  textInput(shape: string): (members: Record<string, unknown>) => unknown {
    const read = this.#reader(shape, TEXT_SCALARS, this.#text);
    return (members) => collect((problems) => read(members, '', problems));
  }

  #memberReader(member: string | ModelMember): ShapeReader {
    if (typeof member === 'string') return this.#reader(member, JSON_SCALARS, this.#json);
    const read = this.#reader(member.shape, TEXT_SCALARS, this.#text);
    if (shapeOf(this.#model, member.shape).type !== 'list') return read;
    // A member that is given once is no list in a query.
    return (value, at, problems) => read(Array.isArray(value) ? value : [value], at, problems);
  }

  #reader(name: string, scalars: ScalarReaders, known: Map<string, ShapeReader>): ShapeReader {
    const before = known.get(name);
    if (before) return before;
    const made = this.#make(shapeOf(this.#model, name), scalars, (inner) =>
      this.#reader(inner, scalars, known),
    );
    known.set(name, made);
    return made;
  }

  #make(shape: ModelShape, scalars: ScalarReaders, reader: (name: string) => ShapeReader): ShapeReader {
    switch (shape.type) {
      case 'structure':
        return structureReader(shape, reader);
      case 'list': {
        const member = shapeOf(this.#model, shape.member!);
        const isScalar = member.type !== 'structure' && member.type !== 'list' && member.type !== 'map';
        return isScalar
          ? scalarListReader(shape, member, scalars[member.type as keyof ScalarReaders])
          : listReader(shape, reader(shape.member!));
      }
      case 'map':
        return mapReader(shape, shapeOf(this.#model, shape.key!), reader(shape.value!));
      default:
        return scalarReader(shape, scalars[shape.type]);
    }
  }
}

function collect<T>(read: (problems: BrokenConstraints) => T): T {
  const problems: BrokenConstraints = [];
  const input = read(problems);
  if (problems.length === 0) return input;
  throw new PosternError(
    'bad_request',
    `${problems.length} validation error${problems.length > 1 ? 's' : ''} detected: ${problems.join('; ')}`,
  );
}

function placed(name: string, member: string | ModelMember, required: readonly string[]) {
  const at = typeof member === 'string' ? undefined : member;
  const place: keyof GivenInput = at === undefined ? 'body' : at.in === 'path' ? 'labels' : 'query';
  return {
    name,
    place,
    placeName: at?.name ?? name,
    path: lowerFirst(name),
    isRequired: required.includes(name),
  };
}

function lowerFirst(name: string): string {
  return name.charAt(0).toLowerCase() + name.slice(1);
}

/** A member that is in the request itself: a body may name `constructor`. */
function ownValue(members: Record<string, unknown>, name: string): unknown {
  return Object.hasOwn(members, name) ? members[name] : undefined;
}

function readMember(
  out: Record<string, unknown>,
  name: string,
  value: unknown,
  at: string,
  isRequired: boolean,
  read: ShapeReader,
  problems: BrokenConstraints,
): void {
  // JSON's null is the same as absent, except where a primitive stands.
  const found =
    value === undefined || value === null ? nullOf(value, read, at, problems) : read(value, at, problems);
  if (found !== undefined) out[name] = found;
  else if (isRequired) note(problems, at, 'not be null');
}

/** Readers of primitives: null is no value of theirs. */
const primitives = new WeakSet<ShapeReader>();

function nullOf(
  value: undefined | null,
  read: ShapeReader,
  at: string,
  problems: BrokenConstraints,
): unknown {
  return value === null && primitives.has(read) ? read(value, at, problems) : undefined;
}

function note(problems: BrokenConstraints, at: string, constraint: string): void {
  if (problems.length < MAX_PROBLEMS)
    problems.push(`Value at '${at}' failed to satisfy constraint: Member must ${constraint}`);
}

function scalarReader(shape: ModelShape, scalar: ReadScalar): ShapeReader {
  const broken = constraintsOf(shape);
  const read: ShapeReader = (value, at, problems) => {
    const found = scalar(value, at);
    for (const constraint of broken) if (constraint.breaks(found)) note(problems, at, constraint.text);
    return found;
  };
  if (shape.primitive) primitives.add(read);
  return read;
}

interface ScalarConstraint {
  text: string;
  breaks(value: unknown): boolean;
}

/** Constraints of a scalar, in the order of SES. */
function constraintsOf({ type, min, max, pattern, enum: words }: ModelShape): ScalarConstraint[] {
  const constraints: ScalarConstraint[] = [];
  const add = (text: string, breaks: (value: never) => boolean): void => {
    constraints.push({ text, breaks: breaks as (value: unknown) => boolean });
  };
  if (type === 'string' || type === 'blob') {
    if (max !== undefined)
      add(`have length less than or equal to ${max}`, ({ length }: string) => length > max);
    if (min !== undefined)
      add(`have length greater than or equal to ${min}`, ({ length }: string) => length < min);
  } else {
    if (max !== undefined) add(`have value less than or equal to ${max}`, (value: number) => value > max);
    if (min !== undefined) add(`have value greater than or equal to ${min}`, (value: number) => value < min);
  }
  if (pattern !== undefined) {
    const whole = new RegExp(`^(?:${pattern})$`, 's');
    const longest = max ?? MAX_PATTERN_LENGTH;
    add(
      `satisfy regular expression pattern: ${pattern}`,
      // What is longer than the maximum is reported for that.
      (value: string) => (value.length > longest ? max === undefined : !whole.test(value)),
    );
  }
  if (words) add(`satisfy enum value set: [${words.join(', ')}]`, (value: string) => !words.includes(value));
  return constraints;
}

/** A structure: known members only. */
function structureReader(
  { members = {}, required = [] }: ModelShape,
  reader: (name: string) => ShapeReader,
): ShapeReader {
  let readers: { name: string; path: string; isRequired: boolean; read: ShapeReader }[] | undefined;
  return (value, at, problems) => {
    if (Array.isArray(value)) throw unexpectedList();
    if (typeof value !== 'object' || value === null) throw malformed('Expected null');
    // Made late: a shape may hold itself.
    readers ??= Object.entries(members).map(([name, member]) => ({
      name,
      path: lowerFirst(name),
      isRequired: required.includes(name),
      read: reader(shapeName(member)),
    }));
    const out: Record<string, unknown> = {};
    for (const { name, path, isRequired, read } of readers) {
      const member = ownValue(value as Record<string, unknown>, name);
      // Most members are absent: the place of one that is not read is not spelt.
      if (member === undefined && !isRequired) continue;
      readMember(out, name, member, at === '' ? path : `${at}.${path}`, isRequired, read, problems);
    }
    return out;
  };
}

/** A list of structures. They are counted from 1 in messages (`tags.1.member.key`), as SES counts them. */
function listReader(shape: ModelShape, read: ShapeReader): ShapeReader {
  return (value, at, problems) => {
    const found = listOf(value);
    if (!fits(shape, found.length, at, problems)) return [];
    return found.map((item, i) => {
      const place = `${at}.${i + 1}.member`;
      if (item !== null) return read(item, place, problems);
      note(problems, place, 'not be null');
      return item;
    });
  };
}

/** A list of scalars, whose constraints SES reports on the list. */
function scalarListReader(shape: ModelShape, member: ModelShape, scalar: ReadScalar): ShapeReader {
  const constraints = constraintsOf(member);
  const text = `satisfy constraint: [${constraints.map((one) => `Member must ${one.text}`).join(', ')}]`;
  return (value, at, problems) => {
    const found = listOf(value);
    if (!fits(shape, found.length, at, problems)) return [];
    let broken = false;
    const items = found.map((item) => {
      if (item === null) {
        broken = true;
        return item;
      }
      const one = scalar(item, at);
      broken ||= constraints.some((constraint) => constraint.breaks(one));
      return one;
    });
    if (broken)
      note(problems, at, constraints.length > 0 ? text : 'satisfy constraint: [Member must not be null]');
    return items;
  };
}

function listOf(value: unknown): unknown[] {
  if (Array.isArray(value)) return value;
  if (typeof value === 'object') throw unexpectedStructure();
  throw malformed('Expected list or null');
}

function mapReader(shape: ModelShape, key: ModelShape, read: ShapeReader): ShapeReader {
  const ofKey = constraintsOf(key);
  const text = `satisfy constraint: [${ofKey.map((one) => `Member must ${one.text}`).join(', ')}]`;
  return (value, at, problems) => {
    if (Array.isArray(value)) throw unexpectedList();
    if (typeof value !== 'object' || value === null) throw malformed('Expected map or null');
    const entries = Object.entries(value).filter(([, one]) => one !== null);
    if (!fits(shape, entries.length, at, problems)) return {};
    if (entries.some(([name]) => ofKey.some((one) => one.breaks(name)))) note(problems, at, text);
    // fromEntries defines own members, `__proto__` too.
    return Object.fromEntries(
      entries.map(([name, one]) => [name, read(one, `${at}.${name.slice(0, 64)}.member`, problems)]),
    );
  };
}

/** Whether a list or map may be read: what is longer than the most is not looked into. */
function fits({ min, max }: ModelShape, length: number, at: string, problems: BrokenConstraints): boolean {
  if (min !== undefined && length < min) note(problems, at, `have length greater than or equal to ${min}`);
  if (max === undefined || length <= max) return true;
  note(problems, at, `have length less than or equal to ${max}`);
  return false;
}

function malformed(text: string): PosternError {
  return new PosternError('malformed_request', text);
}

function unexpectedList(): PosternError {
  return malformed('Start of list found where not expected');
}

function unexpectedStructure(): PosternError {
  return malformed('Start of structure or map found where not expected.');
}
