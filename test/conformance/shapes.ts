/** What the model says of an operation: whether an answer has its shape, and inputs that it refuses. */
import { type ModelShape, shapeName, shapeOf } from '../../lib/ses/model/form.ts';
import { SES_V2 } from '../../lib/ses/model/models.ts';
import type { Input } from './service.ts';

/** Where a JSON answer parts from a shape, in words; empty when it does not. */
export function departures(value: unknown, name: string, at: string): string[] {
  const shape = shapeOf(SES_V2, name);
  switch (shape.type) {
    case 'structure':
      return structureDepartures(value, shape, at);
    case 'list':
      if (!Array.isArray(value)) return [`${at}: no list`];
      return value.flatMap((one, i) => departures(one, shape.member!, `${at}[${i}]`));
    case 'map':
      if (!isObject(value)) return [`${at}: no map`];
      return Object.entries(value).flatMap(([key, one]) => departures(one, shape.value!, `${at}.${key}`));
    default:
      return scalarDepartures(value, shape, at);
  }
}

function structureDepartures(value: unknown, shape: ModelShape, at: string): string[] {
  if (!isObject(value)) return [`${at}: no structure`];
  const { members = {}, required = [] } = shape;
  return [
    ...required.filter((name) => value[name] === undefined).map((name) => `${at}.${name}: required, missing`),
    ...Object.entries(value).flatMap(([name, one]) =>
      members[name] === undefined
        ? [`${at}.${name}: not in the model`]
        : departures(one, shapeName(members[name]), `${at}.${name}`),
    ),
  ];
}

function scalarDepartures(value: unknown, { type, enum: words }: ModelShape, at: string): string[] {
  const expected =
    type === 'boolean' ? 'boolean' : type === 'string' || type === 'blob' ? 'string' : 'number';
  if (typeof value !== expected) return [`${at}: no ${type}`];
  if (words && !words.includes(value as string))
    return [`${at}: ${String(value)} is none of ${words.join()}`];
  return [];
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** An input that the model refuses, and what is wrong with it. */
export interface RefusedInput {
  what: string;
  input: Input;
}

/**
 * Inputs that the model refuses, made from a valid one: each member missing, too long, too short, of another type, of
 * no word, by its pattern; members inside structures too.
 */
export function refusedInputs(operation: string, valid: Input): RefusedInput[] {
  const { input } = SES_V2.operations[operation]!;
  const shape = shapeOf(SES_V2, input);
  return structureMutations(shape, valid, '').filter(({ place }) => place !== 'path');
}

interface Mutation extends RefusedInput {
  place?: 'path' | 'query' | 'header';
}

function structureMutations(shape: ModelShape, valid: Input, at: string): Mutation[] {
  return Object.entries(shape.members ?? {}).flatMap(([name, member]) => {
    const place = typeof member === 'string' ? undefined : member.in;
    const path = at === '' ? name : `${at}.${name}`;
    const inner = valueMutations(shapeOf(SES_V2, shapeName(member)), valid[name], path, place !== undefined);
    const changed: Mutation[] = inner.map(({ what, value }) => ({
      what,
      input: { ...valid, [name]: value },
      // A label that is empty or has another type is another path.
      place: place === 'path' && value === '' ? 'path' : undefined,
    }));
    if (shape.required?.includes(name)) {
      const { [name]: _, ...without } = valid;
      changed.push({ what: `${path} missing`, input: without, place });
    }
    return changed;
  });
}

/** Values in place of a valid one. */
function valueMutations(
  shape: ModelShape,
  valid: unknown,
  at: string,
  isText: boolean,
): { what: string; value: unknown }[] {
  const found: { what: string; value: unknown }[] = [];
  const add = (what: string, value: unknown): number => found.push({ what: `${at} ${what}`, value });
  const { type, min, max, pattern, enum: words } = shape;
  switch (type) {
    case 'structure':
      if (!isText) add('a string', 'x');
      if (isObject(valid))
        for (const { what, input } of structureMutations(shape, valid, at))
          found.push({ what, value: input });
      return found;
    case 'list': {
      if (!isText) add('a string', 'x');
      const [first] = Array.isArray(valid) ? (valid as unknown[]) : [];
      if (first === undefined) return found;
      if (max !== undefined && max <= 1000)
        add(
          'too many',
          Array.from({ length: max + 1 }, () => first),
        );
      if (min !== undefined && min > 0 && !isText) add('too few', []);
      for (const { what, value } of valueMutations(shapeOf(SES_V2, shape.member!), first, `${at}[0]`, isText))
        found.push({ what, value: [value] });
      return found;
    }
    case 'map':
      if (!isText) add('a string', 'x');
      return found;
    case 'string':
      if (!isText) add('a structure', {});
      if (max !== undefined) add('too long', 'a'.repeat(max + 1));
      if (min !== undefined && min > 0) add('empty', '');
      if (pattern !== undefined && !new RegExp(`^(?:${pattern})$`, 's').test('\u0001'))
        add('malformed', '\u0001');
      if (words) add('no word', 'NO_SUCH_WORD');
      return found;
    case 'blob':
      if (!isText) add('a number', 5);
      return found;
    case 'boolean':
      add(isText ? 'no boolean' : 'a structure', isText ? 'perhaps' : {});
      return found;
    default:
      add('a word', 'soon');
      if (max !== undefined) add('too large', max + 1);
      if (min !== undefined) add('too small', min - 1);
      return found;
  }
}
