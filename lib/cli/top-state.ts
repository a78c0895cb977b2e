/** The state of `top`: what is shown of the queues, and what each key changes. Pure. */
import type { CallQuery } from './client.ts';

const ORDERS = ['depth', 'oldest', 'rate'];
const BY_KEY: Readonly<Record<string, string>> = {
  p: 'provider',
  o: 'pool',
  i: 'ip',
  t: 'tenant',
  s: 'site',
  c: 'class',
};
/** The dimension that a row is looked into by, in the order in which they narrow. */
const INTO = ['provider', 'pool', 'ip', 'site', 'tenant'];

interface View {
  by: readonly string[];
  filter: Readonly<Record<string, string>>;
}

export interface TopState extends View {
  sort: string;
  /** Place of the marked row. */
  at: number;
  /** It is not renewed. */
  held: boolean;
  /** Filter that is being typed. */
  typed: string | undefined;
  /** Views that led to this one. */
  before: readonly View[];
  /** Why the last key did nothing. */
  fault: string | undefined;
}

export function topState({ by, filter, sort }: View & { sort: string }): TopState {
  return { by, filter, sort, at: 0, held: false, typed: undefined, before: [], fault: undefined };
}

export function topQuery({ by, filter, sort }: TopState, max: number): CallQuery {
  return { by: by.join(','), sort, max, ...filter };
}

/** @param key as Node's readline names it, or a character. @param rows that are shown. @returns undefined: leave. */
export function pressed(
  state: TopState,
  key: string,
  rows: readonly Readonly<Record<string, unknown>>[],
): TopState | undefined {
  if (key === 'ctrl-c') return undefined;
  const calm = { ...state, fault: undefined };
  if (state.typed !== undefined) return typing(calm, key);
  const last = Math.max(0, rows.length - 1);
  switch (key) {
    case 'q':
      return undefined;
    case 'up':
      return { ...calm, at: Math.max(0, state.at - 1) };
    case 'down':
      return { ...calm, at: Math.min(last, state.at + 1) };
    case 'space':
      return { ...calm, held: !state.held };
    case 'r':
      return { ...calm, sort: ORDERS[(ORDERS.indexOf(state.sort) + 1) % ORDERS.length]!, at: 0 };
    case '/':
      return { ...calm, typed: '' };
    case 'return':
      return into(calm, rows[Math.min(state.at, last)]);
    case 'backspace':
    case 'escape':
      return outOf(calm);
    default: {
      const dimension = BY_KEY[key];
      if (dimension === undefined) return calm;
      const by = state.by.includes(dimension)
        ? state.by.filter((one) => one !== dimension)
        : [...state.by, dimension];
      return { ...calm, by: by.length === 0 ? [dimension] : by, at: 0 };
    }
  }
}

function typing(state: TopState, key: string): TopState {
  const typed = state.typed!;
  if (key === 'escape') return { ...state, typed: undefined };
  if (key === 'backspace') return { ...state, typed: typed.slice(0, -1) };
  if (key === 'space') return { ...state, typed: `${typed} ` };
  if (key !== 'return') return /^.$/u.test(key) ? { ...state, typed: typed + key } : state;
  const filter: Record<string, string> = {};
  for (const word of typed.trim().split(/\s+/).filter(Boolean)) {
    const [, name, value] = /^([a-z]+)=(.+)$/.exec(word) ?? [];
    if (name === undefined || !Object.values(BY_KEY).includes(name)) {
      return {
        ...state,
        typed: undefined,
        fault: `"${word}" is no filter: write tenant=shop provider=google`,
      };
    }
    filter[name] = value!;
  }
  return { ...state, typed: undefined, at: 0, filter, before: [...state.before, viewOf(state)] };
}

function into(state: TopState, row: Readonly<Record<string, unknown>> | undefined): TopState {
  if (row === undefined) return state;
  const filter: Record<string, string> = { ...state.filter };
  for (const one of state.by) if (typeof row[one] === 'string') filter[one] = row[one];
  const next = INTO.find((one) => filter[one] === undefined);
  if (next === undefined) return { ...state, fault: 'There is nothing below this row.' };
  return { ...state, by: [next], filter, at: 0, before: [...state.before, viewOf(state)] };
}

function outOf(state: TopState): TopState {
  const before = state.before.at(-1);
  return before === undefined ? state : { ...state, ...before, at: 0, before: state.before.slice(0, -1) };
}

function viewOf({ by, filter }: TopState): View {
  return { by, filter };
}
