/**
 * The part of JSON Schema (2020-12, as OpenAPI 3.1 uses it) that this API is written in, and its validator.
 * The document that is served and the check of every request are the same data, so they cannot differ.
 */
import { PosternError } from '../errors.ts';

interface Described {
  description?: string;
}

export interface StringSchema extends Described {
  type: 'string';
  /** In UTF-16 units. */
  minLength?: number;
  maxLength?: number;
  /** Of the whole string: write ^ and $. */
  pattern?: string;
  enum?: readonly string[];
  /** RFC 3339, with its offset. */
  format?: 'date-time';
  /** Told to the reader; bytes are checked where they are decoded. */
  contentEncoding?: 'base64';
}

export interface ObjectSchema extends Described {
  type: 'object';
  properties?: Readonly<Record<string, Schema>>;
  required?: readonly string[];
  /** `false`: unknown members are refused; a schema: what each further member must be. */
  additionalProperties: boolean | Schema;
  maxProperties?: number;
  /** Of the names of members. */
  propertyNames?: StringSchema;
}

export interface ArraySchema extends Described {
  type: 'array';
  items: Schema;
  minItems?: number;
  maxItems?: number;
}

export type Schema =
  | StringSchema
  | ObjectSchema
  | ArraySchema
  | ({ type: 'integer' | 'number'; minimum?: number; maximum?: number } & Described)
  | ({ type: 'boolean' } & Described)
  /** The first whose type fits decides, so that messages speak of what was meant. */
  | ({ anyOf: readonly Schema[] } & Described)
  | { $ref: string };

/** More would not help, and must not make an answer larger than its request. */
const MAX_PROBLEMS = 20;
const MAX_SHOWN_NAME = 60;
/** RFC 3339 §5.6. */
const DATE_TIME = /^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)$/;

/** Whether a text is a time as RFC 3339 has it. */
export function isTime(text: string): boolean {
  return DATE_TIME.test(text) && Number.isFinite(Date.parse(text));
}

/** @param schemas what `#/components/schemas/<name>` refers to. */
export function createValidator(schemas: Readonly<Record<string, Schema>>) {
  const patterns = new Map<string, RegExp>();

  function resolve(schema: Schema): Exclude<Schema, { $ref: string }> {
    if (!('$ref' in schema)) return schema;
    const name = schema.$ref.slice(schema.$ref.lastIndexOf('/') + 1);
    return resolve(schemas[name]!);
  }

  function matches(pattern: string, text: string): boolean {
    let compiled = patterns.get(pattern);
    if (!compiled) {
      compiled = new RegExp(pattern, 'u');
      patterns.set(pattern, compiled);
    }
    return compiled.test(text);
  }

  function checkString(schema: StringSchema, text: string): string | undefined {
    const { minLength = 0, maxLength = Number.POSITIVE_INFINITY } = schema;
    if (schema.enum && !schema.enum.includes(text)) return `must be one of ${schema.enum.join(', ')}`;
    if (text.length < minLength) return `must have at least ${count(minLength, 'character')}`;
    if (text.length > maxLength) return `has ${text.length} characters; it may have at most ${maxLength}`;
    if (schema.pattern !== undefined && !matches(schema.pattern, text)) return `must match ${schema.pattern}`;
    if (schema.format === 'date-time' && !isTime(text)) {
      return 'must be a time as 2026-01-31T12:00:00Z (RFC 3339, with its offset)';
    }
    return undefined;
  }

  function checkObject(schema: ObjectSchema, value: object, at: string, problems: string[]): void {
    const { properties = {}, additionalProperties, propertyNames } = schema;
    for (const name of schema.required ?? []) {
      if (!Object.hasOwn(value, name)) problems.push(`${pointer(at, name)} is missing`);
    }
    const members = Object.entries(value);
    const { maxProperties = Number.POSITIVE_INFINITY } = schema;
    if (members.length > maxProperties) {
      problems.push(`${at || '/'} has ${members.length} members; it may have at most ${maxProperties}`);
      return;
    }
    for (const [name, member] of members) {
      if (problems.length >= MAX_PROBLEMS) return;
      const place = pointer(at, name);
      const known = Object.hasOwn(properties, name) ? properties[name] : undefined;
      const wrongName = !known && propertyNames && checkString(propertyNames, name);
      if (wrongName) problems.push(`${place}: the name ${wrongName}`);
      else if (known) check(known, member, place, problems);
      else if (typeof additionalProperties === 'object') check(additionalProperties, member, place, problems);
      else if (!additionalProperties) problems.push(`${place} is not a member of this request`);
    }
  }

  function check(given: Schema, value: unknown, at: string, problems: string[]): void {
    if (problems.length >= MAX_PROBLEMS) return;
    const schema = resolve(given);
    if ('anyOf' in schema) {
      const meant = schema.anyOf.find((one) => fits(resolve(one), value));
      if (meant) check(meant, value, at, problems);
      else
        problems.push(
          `${at || '/'} must be ${schema.anyOf.map((one) => typeName(resolve(one))).join(' or ')}`,
        );
      return;
    }
    if (!fits(schema, value)) {
      problems.push(`${at || '/'} must be ${typeName(schema)}`);
      return;
    }
    switch (schema.type) {
      case 'string': {
        const problem = checkString(schema, value as string);
        if (problem) problems.push(`${at} ${problem}`);
        break;
      }
      case 'integer':
      case 'number': {
        const { minimum = Number.NEGATIVE_INFINITY, maximum = Number.POSITIVE_INFINITY } = schema;
        if ((value as number) < minimum) problems.push(`${at} must be at least ${minimum}`);
        if ((value as number) > maximum) problems.push(`${at} must be at most ${maximum}`);
        break;
      }
      case 'array': {
        const list = value as unknown[];
        const { minItems = 0, maxItems = Number.POSITIVE_INFINITY } = schema;
        if (list.length < minItems) problems.push(`${at} must have at least ${count(minItems, 'item')}`);
        if (list.length > maxItems)
          problems.push(`${at} has ${list.length} items; it may have at most ${maxItems}`);
        else
          for (const [place, item] of list.entries()) check(schema.items, item, `${at}/${place}`, problems);
        break;
      }
      case 'object':
        checkObject(schema, value as object, at, problems);
        break;
      default:
    }
  }

  return {
    /** What is wrong with a value, each with the JSON pointer (RFC 6901) of where; at most 20. */
    problems(schema: Schema, value: unknown): string[] {
      const problems: string[] = [];
      check(schema, value, '', problems);
      return problems;
    },

    /** @throws `bad_request` that tells every problem. */
    require(schema: Schema, value: unknown): void {
      const problems = this.problems(schema, value);
      if (problems.length > 0) throw new PosternError('bad_request', `${problems.join('; ')}.`);
    },
  };
}

function fits(schema: Exclude<Schema, { $ref: string }>, value: unknown): boolean {
  if ('anyOf' in schema) return true;
  switch (schema.type) {
    case 'array':
      return Array.isArray(value);
    case 'object':
      return typeof value === 'object' && value !== null && !Array.isArray(value);
    case 'integer':
      return Number.isSafeInteger(value);
    case 'number':
      return Number.isFinite(value);
    default:
      return typeof value === schema.type;
  }
}

function typeName(schema: Exclude<Schema, { $ref: string }>): string {
  if ('anyOf' in schema) return schema.anyOf.map((one) => ('type' in one ? one.type : '')).join(' or ');
  if (schema.type === 'boolean') return 'true or false';
  return `${/^[aio]/.test(schema.type) ? 'an' : 'a'} ${schema.type}`;
}

function pointer(at: string, name: string): string {
  const short = name.length > MAX_SHOWN_NAME ? `${name.slice(0, MAX_SHOWN_NAME)}…` : name;
  // Names of members are the caller's: control characters do not belong in a message or a log.
  const shown = short
    .replaceAll('~', '~0')
    .replaceAll('/', '~1')
    .replace(/\p{Cc}/gu, '?');
  return `${at}/${shown}`;
}

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`;
}
