/**
 * Types of the operations of SES, taken from the AWS SDKs: what a handler is given and what it answers. Only types
 * come from the SDKs; nothing of them is loaded.
 */
import type * as SdkV1 from '@aws-sdk/client-ses';
import type * as SdkV2 from '@aws-sdk/client-sesv2';

type NamesIn<Sdk> = {
  [K in keyof Sdk]: K extends `${infer N}Command` ? (N extends '$' ? never : N) : never;
}[keyof Sdk];

/** Name of an operation of SES v2, as `CreateEmailIdentity`. */
export type SesOperationName = NamesIn<typeof SdkV2>;
/** Name of an action of SES v1, as `VerifyDomainIdentity`. */
export type SesActionName = NamesIn<typeof SdkV1>;

type CommandIn<Sdk, N extends string> = `${N}Command` extends keyof Sdk
  ? Sdk[`${N}Command`] extends abstract new (
      ...args: never[]
    ) => infer C
    ? C
    : never
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

type CommandInput<C> = C extends { readonly input: infer I extends object } ? AsRead<I> : never;
type CommandOutput<C> = C extends {
  resolveMiddleware(...args: never[]): (...args: never[]) => Promise<{ output: infer O }>;
}
  ? AsGiven<Omit<O, '$metadata'>>
  : never;

/** Input of an operation of SES v2, read and held against the model. */
export type InputOf<N extends SesOperationName> = CommandInput<CommandIn<typeof SdkV2, N>>;
/** Output of an operation of SES v2. */
export type OutputOf<N extends SesOperationName> = CommandOutput<CommandIn<typeof SdkV2, N>>;
/** Input of an action of SES v1, read and held against the model. */
export type ActionInput<N extends SesActionName> = CommandInput<CommandIn<typeof SdkV1, N>>;
/** Output of an action of SES v1. */
export type ActionOutput<N extends SesActionName> = CommandOutput<CommandIn<typeof SdkV1, N>>;
