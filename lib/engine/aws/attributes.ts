/** Items of the tables, and the values that their attributes have on the wire. */
import type { AttributeValue } from '@aws-sdk/client-dynamodb';

export type Item = Record<string, AttributeValue>;

export interface Key {
  pk: string;
  sk: string;
}

export const text = (value: string): AttributeValue => ({ S: value });
export const number = (value: number): AttributeValue => ({ N: String(value) });
export const bytes = (value: Uint8Array): AttributeValue => ({ B: value });
export const keyOf = ({ pk, sk }: Key): Item => ({ pk: text(pk), sk: text(sk) });
/** The number of an attribute, 0 when it is absent. */
export const numberOf = (value: AttributeValue | undefined): number => Number(value?.N ?? 0);
/** Converts ms to the seconds of TTL. */
export const ttlOf = (at: number): AttributeValue => number(Math.ceil(at / 1000));
