/** From a service model as Amazon publishes it (`service-2.json` of botocore) to the compact form. */
import { type ModelMember, type ModelShape, NOTHING, SCALARS, type ServiceModel } from './form.ts';

interface PublishedMember {
  shape: string;
  location?: 'uri' | 'querystring' | 'header';
  locationName?: string;
}

interface PublishedShape {
  type: string;
  members?: Record<string, PublishedMember>;
  required?: string[];
  member?: { shape: string };
  key?: { shape: string };
  value?: { shape: string };
  min?: number;
  max?: number;
  pattern?: string;
  enum?: string[];
  exception?: boolean;
  fault?: boolean;
  error?: { code?: string; httpStatusCode: number };
}

/** A service model as Amazon publishes it. */
export interface PublishedModel {
  metadata: { apiVersion: string; protocol: string };
  operations: Record<
    string,
    {
      http: { method: string; requestUri: string };
      input?: { shape: string };
      output?: { shape: string };
      errors?: { shape: string }[];
    }
  >;
  shapes: Record<string, PublishedShape>;
}

const LOCATIONS = { uri: 'path', querystring: 'query', header: 'header' } as const;

/** The compact form of a published model. Shapes that no operation reaches are left out. */
export function compact(published: PublishedModel): ServiceModel {
  const shapes: ServiceModel['shapes'] = {};
  const reach = (name: string): string => {
    const shape = published.shapes[name];
    if (!shape) throw new Error(`The service model names a shape ${name} that it does not have.`);
    const own = compactShape(name, shape);
    if (isBare(own)) return own.type;
    if (!shapes[name]) {
      shapes[name] = own;
      Object.assign(own, inner(shape, reach));
    }
    return name;
  };
  const errors: ServiceModel['errors'] = {};
  const operations: ServiceModel['operations'] = {};
  for (const [name, { http, input, output, errors: thrown = [] }] of sorted(published.operations)) {
    operations[name] = {
      method: http.method,
      path: http.requestUri,
      input: input ? reach(input.shape) : NOTHING,
      ...(output && { output: reach(output.shape) }),
      errors: thrown.map((one) => one.shape).sort(),
    };
    if (!input) shapes[NOTHING] ??= { type: 'structure', members: {} };
    for (const one of thrown) errors[one.shape] = errorOf(one.shape, published.shapes[one.shape]);
  }
  return {
    version: published.metadata.apiVersion,
    operations,
    errors: Object.fromEntries(sorted(errors)),
    shapes: Object.fromEntries(sorted(shapes)),
  };
}

function errorOf(name: string, shape: PublishedShape | undefined): { status: number; code?: string } {
  if (!shape?.error) throw new Error(`The service model has no status for ${name}.`);
  const { httpStatusCode: status, code } = shape.error;
  return code === undefined || code === name ? { status } : { status, code };
}

/** A shape without the shapes inside it. */
function compactShape(name: string, shape: PublishedShape): ModelShape {
  const { type, min, max, pattern } = shape;
  const own: ModelShape = { type: type as ModelShape['type'] };
  // A pattern or a bound of 0 forbids nothing.
  if (min) own.min = min;
  if (max !== undefined) own.max = max;
  if (pattern !== undefined) own.pattern = pattern;
  if (shape.enum) own.enum = shape.enum.toSorted();
  if (type === 'boolean' && !name.endsWith('Wrapper')) own.primitive = true;
  return own;
}

function isBare(shape: ModelShape): boolean {
  return SCALARS.has(shape.type) && Object.keys(shape).length === 1;
}

function inner(shape: PublishedShape, reach: (name: string) => string): Partial<ModelShape> {
  if (shape.member) return { member: reach(shape.member.shape) };
  if (shape.key && shape.value) return { key: reach(shape.key.shape), value: reach(shape.value.shape) };
  if (!shape.members) return {};
  const members: Record<string, string | ModelMember> = {};
  for (const [name, { shape: of, location, locationName }] of Object.entries(shape.members)) {
    members[name] = location
      ? {
          shape: reach(of),
          in: LOCATIONS[location],
          ...(locationName !== undefined && locationName !== name && { name: locationName }),
        }
      : reach(of);
  }
  return shape.required?.length ? { members, required: shape.required } : { members };
}

function sorted<T>(record: Record<string, T>): [string, T][] {
  return Object.entries(record).sort(([a], [b]) => (a < b ? -1 : 1));
}
