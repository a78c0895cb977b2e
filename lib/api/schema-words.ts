/** The words in which schemas are written. */
import type { ArraySchema, ObjectSchema, Schema, StringSchema } from './schema.ts';

export const ref = (name: string): Schema => ({ $ref: `#/components/schemas/${name}` });
export const text = (description?: string): StringSchema => ({ type: 'string', description });
export const time = (description: string): StringSchema => ({
  type: 'string',
  format: 'date-time',
  description,
});
export const flag = (description: string): Schema => ({ type: 'boolean', description });
export const integer = (description: string): Schema => ({ type: 'integer', minimum: 0, description });
export const list = (items: Schema, description?: string): ArraySchema => ({
  type: 'array',
  items,
  description,
});
export const name = (description: string): StringSchema => ({
  type: 'string',
  pattern: '^[A-Za-z0-9_-]{1,64}$',
  description,
});

/** An object whose members are all known. */
export function object(
  properties: Record<string, Schema>,
  required: string[],
  description?: string,
): ObjectSchema {
  return { type: 'object', properties, required, additionalProperties: false, description };
}
