/**
 * The schemas that the AWS SDK for JavaScript carries at run time, in the compact form. They have operations,
 * members, types and places, and neither bounds nor patterns; the words of an enumeration are in its type
 * declarations. So a newer SDK completes a model until its publisher's is at hand.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  type ModelMember,
  type ModelOperation,
  type ModelShape,
  NOTHING,
  SCALARS,
  type ServiceModel,
  shapeName,
  shapeOf,
} from './form.ts';

/**
 * `[kind, namespace, name, traits, …]`; simple schemas are numbers, `unit` is none, `[schema, traits]` adds traits to
 * one.
 */
type SdkSchema = number | 'unit' | (() => SdkSchema) | readonly [number | (() => SdkSchema), ...unknown[]];

const STRUCTURE = 3;
const OPERATION = 9;
const LIST_OF = 64;
const MAP_OF = 128;
const SIMPLE: Record<number, ModelShape['type']> = {
  0: 'string',
  1: 'double',
  2: 'boolean',
  4: 'timestamp',
  5: 'timestamp',
  6: 'timestamp',
  7: 'timestamp',
  21: 'blob',
};

interface Traits {
  http?: [method: string, path: string, status: number];
  httpLabel?: 1;
  httpQuery?: string;
  httpHeader?: string;
  httpError?: number;
  awsQueryError?: [code: string, status: number];
}

/** An installed SDK. */
export interface SdkSource {
  /** The module's exports. */
  exports: Record<string, unknown>;
  /** Folder of its type declarations. */
  types: string;
  version: string;
}

/** The model of an SDK, without bounds and patterns. */
export function modelOfSdk({ exports, types, version }: SdkSource): ServiceModel {
  const declared = readDeclarations(types, exports);
  const shapes: ServiceModel['shapes'] = {};
  const operations: ServiceModel['operations'] = {};
  const errors: ServiceModel['errors'] = {};
  const reach = (schema: SdkSchema): string => {
    const [kind, , name, , ...rest] = plain(schema);
    if (typeof name !== 'string') return simpleName(kind as number, shapes);
    if (kind === 0) return simpleName(rest[0] as number, shapes);
    if (shapes[name]) return name;
    if (kind === 1) {
      shapes[name] = { type: 'list', member: reach(memberSchema(rest[0] as SdkSchema)) };
    } else if (kind === 2) {
      const [key, value] = rest.map((one) => reach(memberSchema(one as SdkSchema)));
      shapes[name] = { type: 'map', key, value };
    } else {
      const [names, schemas, required = 0] = rest as [string[], SdkSchema[], number?];
      const members: Record<string, string | ModelMember> = {};
      shapes[name] = { type: 'structure', members };
      if (required > 0) shapes[name].required = names.slice(0, required);
      for (const [i, member] of names.entries()) {
        const words = declared.enumOf(name, member);
        members[member] = placed(
          member,
          words ? enumShape(words, shapes) : reach(memberSchema(schemas[i]!)),
          traitsOf(schemas[i]!),
        );
      }
    }
    return name;
  };
  shapes[NOTHING] = { type: 'structure', members: {} };
  for (const one of Object.values(exports)) {
    if (!Array.isArray(one)) continue;
    const [kind, , name, traits, input, output] = one as unknown[];
    if (kind === -STRUCTURE && typeof name === 'string' && traits) {
      const { httpError: status, awsQueryError: query } = traits as Traits;
      if (status !== undefined) {
        const code = query?.[0];
        errors[name] = code === undefined || code === name ? { status } : { status, code };
      }
    }
    if (kind !== OPERATION) continue;
    const { http: [method, path] = ['POST', '/'] } = (traits || {}) as Traits;
    operations[name as string] = {
      method,
      path,
      input: isUnit(input as SdkSchema) ? NOTHING : reach(input as SdkSchema),
      ...(!isUnit(output as SdkSchema) && { output: reach(output as SdkSchema) }),
      errors: declared.errorsOf(name as string),
    };
  }
  return { version, operations, errors, shapes };
}

/** Follows functions to the schema itself. */
function plain(schema: SdkSchema): readonly unknown[] {
  let found = schema;
  while (typeof found === 'function') found = found();
  if (typeof found === 'number' || found === 'unit') return [found];
  return typeof found[0] === 'function' ? plain(found[0]) : found;
}

function isUnit(schema: SdkSchema): boolean {
  return plain(schema)[0] === 'unit';
}

/** A member's schema without the traits of the member. */
function memberSchema(schema: SdkSchema): SdkSchema {
  return Array.isArray(schema) && schema.length === 2 ? (schema[0] as SdkSchema) : schema;
}

function traitsOf(schema: SdkSchema): Traits {
  if (!Array.isArray(schema) || schema.length !== 2) return {};
  return typeof schema[1] === 'object' && schema[1] !== null
    ? (schema[1] as Traits)
    : // The one trait that is written as a bit.
      (schema[1] as number) & 1
      ? { httpLabel: 1 }
      : {};
}

function placed(member: string, shape: string, traits: Traits): string | ModelMember {
  if (traits.httpLabel) return { shape, in: 'path' };
  const name = traits.httpQuery ?? traits.httpHeader;
  if (name === undefined) return shape;
  return { shape, in: traits.httpQuery ? 'query' : 'header', ...(name !== member && { name }) };
}

function simpleName(schema: number, shapes: ServiceModel['shapes']): string {
  if (schema >= MAP_OF) {
    shapes[`MapOf${SIMPLE[schema - MAP_OF]}`] = {
      type: 'map',
      key: 'string',
      value: SIMPLE[schema - MAP_OF]!,
    };
    return `MapOf${SIMPLE[schema - MAP_OF]}`;
  }
  if (schema >= LIST_OF) {
    shapes[`ListOf${SIMPLE[schema - LIST_OF]}`] = { type: 'list', member: SIMPLE[schema - LIST_OF]! };
    return `ListOf${SIMPLE[schema - LIST_OF]}`;
  }
  const type = SIMPLE[schema];
  if (type === undefined) throw new Error(`The SDK has a schema ${schema} that is not known here.`);
  return type;
}

function enumShape(
  { name, words }: { name: string; words: string[] },
  shapes: ServiceModel['shapes'],
): string {
  shapes[name] ??= { type: 'string', enum: words };
  return name;
}

/** What the type declarations have beyond the schemas: the words of enumerations, the errors of operations. */
function readDeclarations(folder: string, exports: Record<string, unknown>) {
  const read = (...path: string[]): string => readFileSync(join(folder, ...path), 'utf8');
  const models = readdirSync(join(folder, 'models')).filter((name) => name.startsWith('models_'));
  const types = new Map<string, string>();
  for (const file of models) {
    for (const [, structure, body] of read('models', file).matchAll(
      /^export interface (\w+)(?: extends \w+)? \{\n([\s\S]*?)^\}/gm,
    )) {
      for (const [, member, type] of body!.matchAll(/^ {4}(\w+)\??: (\w+) \| undefined;/gm))
        types.set(`${structure}.${member}`, type!);
    }
  }
  return {
    enumOf(structure: string, member: string): { name: string; words: string[] } | undefined {
      const name = types.get(`${structure}.${member}`);
      const words = name === undefined ? undefined : exports[name];
      if (typeof words !== 'object' || words === null || Array.isArray(words)) return undefined;
      return { name: name!, words: Object.values(words as Record<string, string>).sort() };
    },
    errorsOf(operation: string): string[] {
      const text = read('commands', `${operation}Command.d.ts`);
      const thrown = new Set(Array.from(text.matchAll(/@throws \{@link (\w+)\} \(/g), ([, name]) => name!));
      return [...thrown].sort();
    },
  };
}

/** Operations, members, types and places in which a model and an SDK part; each as a line for a person. */
export function differences(model: ServiceModel, sdk: ServiceModel): string[] {
  const lines: string[] = [];
  const seen = new Set<string>();
  const compare = (ours: string, theirs: string, at: string): void => {
    if (seen.has(`${ours} ${theirs}`)) return;
    seen.add(`${ours} ${theirs}`);
    const [own, other] = [shapeOf(model, ours), shapeOf(sdk, theirs)];
    if (kindOf(own) !== kindOf(other)) {
      lines.push(`${at}: ${own.type} in the model, ${other.type} in the SDK`);
      return;
    }
    const words = newWords(own, other);
    if (words.length > 0) lines.push(`${at}: the word ${words.join(', ')} is not in the model`);
    if (own.member && other.member) compare(own.member, other.member, `${at}[]`);
    if (own.value && other.value) compare(own.value, other.value, `${at}{}`);
    const [members, others] = [own.members ?? {}, other.members ?? {}];
    const [must, theirMust] = [own, other].map(({ required = [] }) => required.toSorted().join(', '));
    if (must !== theirMust)
      lines.push(`${at}: [${must}] are required in the model, [${theirMust}] in the SDK`);
    for (const name of new Set([...Object.keys(members), ...Object.keys(others)])) {
      const [one, two] = [members[name], others[name]];
      if (one === undefined) lines.push(`${at}.${name}: not in the model`);
      else if (two === undefined) lines.push(`${at}.${name}: not in the SDK`);
      else {
        if (placeOf(one) !== placeOf(two))
          lines.push(`${at}.${name}: ${placeOf(one)}, ${placeOf(two)} in the SDK`);
        compare(shapeName(one), shapeName(two), `${at}.${name}`);
      }
    }
  };
  for (const name of new Set([...Object.keys(model.operations), ...Object.keys(sdk.operations)])) {
    const [own, other] = [model.operations[name], sdk.operations[name]];
    if (!own) lines.push(`${name}: not in the model`);
    else if (!other) lines.push(`${name}: not in the SDK`);
    else {
      if (lineOf(own) !== lineOf(other))
        lines.push(`${name}: ${lineOf(own)} in the model, ${lineOf(other)} in the SDK`);
      compare(own.input, other.input, `${name} input`);
      if (own.output && other.output) compare(own.output, other.output, `${name} output`);
    }
  }
  return lines;
}

/** Words of an enumeration that only the SDK has. */
function newWords(own: ModelShape, other: ModelShape | undefined): string[] {
  return own.enum && other?.enum ? other.enum.filter((word) => !own.enum!.includes(word)) : [];
}

/** The SDK has one schema for all numbers. */
function kindOf({ type }: ModelShape): string {
  return type === 'integer' || type === 'long' ? 'double' : type;
}

/** The SDK drops the names of labels and the last slash. */
function lineOf({ method, path }: ModelOperation): string {
  return `${method} ${path.replace(/\{\w+\}/g, '{}').replace(/(?<=.)\/$/, '')}`;
}

function placeOf(member: string | ModelMember): string {
  if (typeof member === 'string') return 'body';
  return member.in === 'path' ? 'path' : `${member.in} ${member.name ?? ''}`;
}

/** The model with what only the SDK has: operations, their shapes, members and words of known shapes. */
export function complete(model: ServiceModel, sdk: ServiceModel): ServiceModel {
  const shapes = { ...model.shapes };
  const bring = (name: string): string => {
    if (SCALARS.has(name) || shapes[name]) return name;
    const shape = sdk.shapes[name]!;
    shapes[name] = shape;
    for (const inside of [shape.member, shape.key, shape.value, ...Object.values(shape.members ?? {})])
      if (inside !== undefined) bring(shapeName(inside));
    return name;
  };
  for (const [name, shape] of Object.entries(model.shapes)) {
    const words = newWords(shape, sdk.shapes[name]);
    if (words.length > 0) shapes[name] = { ...shape, enum: [...shape.enum!, ...words].sort() };
    const others = Object.entries(sdk.shapes[name]?.members ?? {});
    const added = others.filter(([member]) => shape.members && !(member in shape.members));
    if (added.length === 0) continue;
    for (const [, member] of added) bring(shapeName(member));
    shapes[name] = { ...shape, members: { ...shape.members, ...Object.fromEntries(added) } };
  }
  const operations = { ...model.operations };
  for (const [name, operation] of Object.entries(sdk.operations)) {
    if (operations[name]) continue;
    operations[name] = operation;
    bring(operation.input);
    if (operation.output) bring(operation.output);
  }
  const byName = <T>(record: Record<string, T>): Record<string, T> =>
    Object.fromEntries(Object.entries(record).sort(([a], [b]) => (a < b ? -1 : 1)));
  return { ...model, operations: byName(operations), shapes: byName(shapes) };
}
