/**
 * The compact form of a service model of Amazon's: what an operation takes and gives, without its documentation.
 * `npm run ses-model` writes it.
 */

export type ScalarType = 'string' | 'boolean' | 'integer' | 'long' | 'double' | 'timestamp' | 'blob';

/** Where a member travels, if not in the body. */
export interface ModelMember {
  shape: string;
  in: 'path' | 'query' | 'header';
  /** Its name there; absent: the member's. */
  name?: string;
}

/** Bounds count characters of a string, members of a list or map, or are those of a number's value. */
export interface ModelShape {
  type: ScalarType | 'structure' | 'list' | 'map';
  /** Of a structure: the shape of each member. */
  members?: Record<string, string | ModelMember>;
  required?: string[];
  /** Of a list. */
  member?: string;
  /** Of a map. */
  key?: string;
  value?: string;
  min?: number;
  max?: number;
  pattern?: string;
  /** Words that a string may be, sorted. */
  enum?: string[];
  /** Of a boolean: JSON's null is no value of it. */
  primitive?: true;
}

export interface ModelOperation {
  method: string;
  path: string;
  input: string;
  /** Absent: the operation answers with nothing. */
  output?: string;
  errors: string[];
}

export interface ServiceModel {
  /** Version of the API, as `2019-09-27`. */
  version: string;
  operations: Record<string, ModelOperation>;
  /** By name of the exception: its HTTP status, and the code on the wire where that is another word. */
  errors: Record<string, { status: number; code?: string }>;
  /** Scalars without bounds stand under the name of their type and are not in here. */
  shapes: Record<string, ModelShape>;
}

/** The shape of the input of an operation that takes nothing. */
export const NOTHING = 'Nothing';

export const SCALARS: ReadonlySet<string> = new Set<ScalarType>([
  'string',
  'boolean',
  'integer',
  'long',
  'double',
  'timestamp',
  'blob',
]);

/** The shape under a name; scalars without bounds have their type's. */
export function shapeOf(model: ServiceModel, name: string): ModelShape {
  const found = model.shapes[name];
  if (found) return found;
  if (SCALARS.has(name)) return { type: name as ScalarType };
  throw new Error(`The model of ${model.version} has no shape ${name}.`);
}

/** Name of a member's shape. */
export function shapeName(member: string | ModelMember): string {
  return typeof member === 'string' ? member : member.shape;
}
