/**
 * Types of the operations of SES v2, taken from the AWS SDK: what a handler is given and what it answers. Only types
 * come from the SDK; nothing of it is loaded.
 */
import type * as Sdk from '@aws-sdk/client-sesv2';

type SdkExports = typeof Sdk;

/** Name of an operation, as `CreateEmailIdentity`. */
export type SesOperationName = {
  [K in keyof SdkExports]: K extends `${infer N}Command` ? (N extends '$' ? never : N) : never;
}[keyof SdkExports];

type CommandOf<N extends SesOperationName> = SdkExports[`${N}Command`] extends abstract new (
  ...args: never[]
) => infer C
  ? C
  : never;

/**
 * A value as the input reader makes it: required members are there (the SDK lets a caller write `undefined` for
 * them), and bytes are a Buffer.
 */
export type AsRead<T> = T extends string | number | boolean | Date
  ? T
  : T extends Uint8Array
    ? Buffer
    : T extends (infer E)[]
      ? AsRead<E>[]
      : T extends object
        ? { [K in keyof T]: AsRead<Exclude<T[K], undefined>> }
        : T;

/** An answer as a handler gives it: its lists are only read. */
export type AsGiven<T> = T extends string | number | boolean | Date | Uint8Array | undefined
  ? T
  : T extends (infer E)[]
    ? readonly AsGiven<E>[]
    : T extends object
      ? { [K in keyof T]: AsGiven<T[K]> }
      : T;

/** Input of an operation, read and held against the model. */
export type InputOf<N extends SesOperationName> =
  CommandOf<N> extends { readonly input: infer I extends object } ? AsRead<I> : never;

/** Output of an operation. */
export type OutputOf<N extends SesOperationName> =
  CommandOf<N> extends {
    resolveMiddleware(...args: never[]): (...args: never[]) => Promise<{ output: infer O }>;
  }
    ? AsGiven<Omit<O, '$metadata'>>
    : never;
