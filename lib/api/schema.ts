/**
 * The vocabulary of the API's JSON values, written with zod, and the check of a request against them. The served
 * document is generated from the same schemas, so that it cannot differ from the check.
 */
import * as z from 'zod/mini';
import { PosternError } from '../errors.ts';

export type Schema = z.ZodMiniType;
/** Type of the values that a schema accepts. */
export type SchemaValue<S extends Schema> = z.infer<S>;

/** A longer list would not help, and must not make an answer larger than its request. */
const MAX_PROBLEMS = 20;
const MAX_SHOWN_NAME = 60;
/** Message of an issue whose schema has none of its own: zod/mini loads no language. */
const NO_MESSAGE = 'Invalid input';
/** RFC 3339 §5.6. */
const DATE_TIME = /^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)$/;

const NAMED = z.registry<{ id: string }>();

/** Gives a schema its name under `#/components/schemas/`. */
export function named<S extends Schema>(id: string, schema: S): S {
  NAMED.add(schema, { id });
  return schema;
}

/** Description of a schema. */
export const about = z.describe;

/** Where the document has a named schema. */
export function referenceOf(schema: Schema): string {
  return `#/components/schemas/${NAMED.get(schema)!.id}`;
}

export const text = (description = '', ...checks: z.core.$ZodCheck<string>[]) =>
  z.string().check(...checks, ...(description === '' ? [] : [z.describe(description)]));
export const name = (description: string) => text(description, z.regex(/^[A-Za-z0-9_-]{1,64}$/u));
export const flag = (description: string) => z.boolean().check(z.describe(description));
export const integer = (description: string, minimum = 0) =>
  z.int('must be an integer').check(z.minimum(minimum), z.describe(description));
export const positive = (description: string) => z.number().check(z.minimum(0), z.describe(description));
export const time = (description: string) =>
  z
    .string()
    .check(
      z.refine(isTime, { error: 'must be a time as 2026-01-31T12:00:00Z (RFC 3339, with its offset)' }),
      z.meta({ format: 'date-time', description }),
    );
/** Any JSON object. */
export const anyObject = (description = '') =>
  z.record(z.string(), z.unknown()).check(...(description === '' ? [] : [z.describe(description)]));

/** Texts by name, at most `max`; refused before the members are checked: a body may bring 100,000 of them. */
export function map(
  max: number,
  key: z.ZodMiniString<string>,
  value: z.ZodMiniString<string>,
  description: string,
) {
  const bound = z.transform((given: unknown, context) => {
    const count = typeof given === 'object' && given !== null ? Object.keys(given).length : 0;
    if (count > max) {
      const message = `has ${count} members; it may have at most ${max}`;
      context.issues.push({ code: 'custom', message, input: given });
    }
    return given as Record<string, string>;
  });
  return z.pipe(bound, z.record(key, value).check(z.meta({ maxProperties: max, description })));
}

/** Whether a text is a time as RFC 3339 has it. */
export function isTime(text: string): boolean {
  return DATE_TIME.test(text) && Number.isFinite(Date.parse(text));
}

/** Every named schema as JSON Schema 2020-12. */
export function jsonSchemas(): Record<string, object> {
  const { schemas } = z.toJSONSchema(NAMED, {
    uri: (id) => `#/components/schemas/${id}`,
    // The range of a number type is no rule of the API, and a member may have any name unless a rule restricts it.
    override: ({ jsonSchema }) => {
      if (jsonSchema.maximum === Number.MAX_SAFE_INTEGER) delete jsonSchema.maximum;
      if (Object.keys(jsonSchema.propertyNames ?? {}).join() === 'type') delete jsonSchema.propertyNames;
      if (Object.keys(jsonSchema.additionalProperties ?? { is: 'absent' }).length === 0) {
        if (jsonSchema.additionalProperties !== false) jsonSchema.additionalProperties = true;
      }
    },
  });
  for (const schema of Object.values(schemas)) {
    delete schema.$schema;
    delete schema.$id;
  }
  return schemas;
}

/** The problems of a value, at most 20, each with the JSON pointer (RFC 6901) of its place. */
export function problemsOf(schema: Schema, value: unknown): string[] {
  const result = z.safeParse(schema, value, { reportInput: true });
  if (result.success) return [];
  const problems: string[] = [];
  for (const issue of result.error.issues) {
    note(issue, '', problems);
    if (problems.length >= MAX_PROBLEMS) break;
  }
  return problems.slice(0, MAX_PROBLEMS);
}

/** @throws `bad_request` that names every problem. */
export function requireValid(schema: Schema, value: unknown): void {
  const problems = problemsOf(schema, value);
  if (problems.length > 0) throw new PosternError('bad_request', `${problems.join('; ')}.`);
}

type Issue = z.core.$ZodIssue;

const TYPES: Readonly<Record<string, string>> = {
  string: 'a string',
  number: 'a number',
  boolean: 'true or false',
  array: 'an array',
  object: 'an object',
  record: 'an object',
};

function note(issue: Issue, parent: string, problems: string[]): void {
  const at = issue.path.reduce<string>((place, part) => pointer(place, String(part)), parent);
  if (issue.code === 'unrecognized_keys') {
    for (const key of issue.keys.slice(0, MAX_PROBLEMS)) {
      problems.push(`${pointer(at, key)} is not a member of this request`);
    }
  } else if (issue.code === 'invalid_key') {
    problems.push(`${at}: the name ${ruleOf(issue.issues[0]!)}`);
  } else if (issue.input === undefined && at !== '' && issue.code !== 'custom') {
    problems.push(`${at} is missing`);
  } else if (issue.code === 'invalid_union') {
    // The alternative whose type fits is the one that was meant: its problems are the useful ones.
    const meant = issue.errors.find((errors) => !errors.some(isWrongType));
    if (meant) for (const inner of meant) note(inner, at, problems);
    else problems.push(`${at || '/'} must be ${issue.errors.map(([first]) => typeOf(first)).join(' or ')}`);
  } else {
    problems.push(`${at || '/'} ${ruleOf(issue)}`);
  }
}

function isWrongType(issue: Issue): boolean {
  return issue.path.length === 0 && issue.code === 'invalid_type';
}

function typeOf(issue: Issue | undefined): string {
  return issue?.code === 'invalid_type' ? (TYPES[issue.expected] ?? issue.expected) : 'another value';
}

/** The rule that a value breaks. */
function ruleOf(issue: Issue): string {
  switch (issue.code) {
    case 'invalid_type':
      return issue.message === NO_MESSAGE ? `must be ${typeOf(issue)}` : issue.message;
    case 'invalid_value':
      return typeof issue.input === 'string'
        ? `must be one of ${issue.values.join(', ')}`
        : 'must be a string';
    case 'invalid_format':
      return `must match ${(issue.pattern ?? '').replace(/^\/|\/[a-z]*$/g, '')}`;
    case 'too_small':
      if (issue.origin === 'string') return `must have at least ${count(Number(issue.minimum), 'character')}`;
      if (issue.origin === 'array') return `must have at least ${count(Number(issue.minimum), 'item')}`;
      return `must be ${issue.inclusive ? 'at least' : 'more than'} ${issue.minimum}`;
    case 'too_big': {
      const { length = 0 } = issue.input as { length?: number };
      if (issue.origin === 'string') return `has ${length} characters; it may have at most ${issue.maximum}`;
      if (issue.origin === 'array') return `has ${length} items; it may have at most ${issue.maximum}`;
      return `must be at most ${issue.maximum}`;
    }
    default:
      return issue.message;
  }
}

function pointer(at: string, member: string): string {
  const short = member.length > MAX_SHOWN_NAME ? `${member.slice(0, MAX_SHOWN_NAME)}…` : member;
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
