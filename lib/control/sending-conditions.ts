/**
 * Conditions of sending authorisation policies, as IAM evaluates them (IAM user guide, "IAM JSON policy elements:
 * Condition operators" and "Multivalued context keys"). Pure.
 *
 * - The values of a key are alternatives; keys and operators must all hold. Of a negated operator no value may match.
 * - A key that a message does not have fails an operator, and meets a negated one or one with `IfExists`.
 * - `ses:Recipients` has several values, so it needs `ForAllValues:` or `ForAnyValue:`.
 */
import { type IpNetwork, isInNetwork, parseNetwork } from '../ip.ts';
import { matchesPattern, readMembers, refuse, textsOf } from './sending-policy-form.ts';

/** What a message has of each key; absent: nothing. */
export type SendingContext = Readonly<Partial<Record<ConditionKey, readonly string[]>>>;

type ValueType = 'text' | 'date' | 'number' | 'address';

/** The keys that are known of a message, and the operators that fit them. */
const KEYS = {
  'ses:FromAddress': 'text',
  'ses:FromDisplayName': 'text',
  'ses:FeedbackAddress': 'text',
  'ses:Recipients': 'text',
  'ses:ApiVersion': 'text',
  'ses:TenantName': 'text',
  'aws:SourceIp': 'address',
  'aws:CurrentTime': 'date',
  'aws:EpochTime': 'number',
} as const satisfies Record<string, ValueType>;
export type ConditionKey = keyof typeof KEYS;

const MULTIVALUED: ReadonlySet<ConditionKey> = new Set(['ses:Recipients']);
const SETS = ['ForAllValues', 'ForAnyValue'] as const;

/** A test of one value of the context against the values of a policy: whether any of these matches. */
type ValueTest = (value: string) => boolean;

export interface SendingCondition {
  key: ConditionKey;
  set?: (typeof SETS)[number];
  /** No value may match. */
  isNegated: boolean;
  /** A message without the key meets it. */
  ifExists: boolean;
  /** `Null`: whether the key must be absent, in place of a test. */
  mustBeAbsent?: boolean;
  test: ValueTest;
}

interface Operator {
  type: ValueType;
  isNegated?: true;
  /** Makes the test of one value of a policy; undefined: it has no such value. */
  test(value: string): ValueTest | undefined;
}

const equals =
  (value: string): ValueTest =>
  (given) =>
    given === value;
const equalsIgnoringCase = (value: string): ValueTest => {
  const lower = value.toLowerCase();
  return (given) => given.toLowerCase() === lower;
};
const like =
  (value: string): ValueTest =>
  (given) =>
    matchesPattern(value, given);
const within = (value: string): ValueTest | undefined => {
  const network: IpNetwork | undefined = parseNetwork(value);
  return network && ((given) => isInNetwork(given, network));
};

const comparisons: Record<string, { isNegated?: true; holds(given: number, value: number): boolean }> = {
  Equals: { holds: (given, value) => given === value },
  NotEquals: { isNegated: true, holds: (given, value) => given === value },
  LessThan: { holds: (given, value) => given < value },
  LessThanEquals: { holds: (given, value) => given <= value },
  GreaterThan: { holds: (given, value) => given > value },
  GreaterThanEquals: { holds: (given, value) => given >= value },
};

function comparing(type: 'date' | 'number', read: (text: string) => number): [string, Operator][] {
  return Object.entries(comparisons).map(([name, { isNegated, holds: compare }]) => [
    `${type === 'date' ? 'Date' : 'Numeric'}${name}`,
    {
      type,
      isNegated,
      test(value) {
        const limit = read(value);
        return Number.isFinite(limit) ? (given) => compare(Number(given), limit) : undefined;
      },
    },
  ]);
}

/** ISO 8601, or seconds since the epoch. The context has milliseconds. */
const DATE = /^\d{4}-\d\d-\d\d(T\d\d:\d\d:\d\d(\.\d{1,3})?(Z|[+-]\d\d:\d\d))?$/;
const readDate = (text: string): number =>
  DATE.test(text) ? Date.parse(text) : /^\d{1,12}$/.test(text) ? 1000 * Number(text) : Number.NaN;
const readNumber = (text: string): number =>
  /^-?\d{1,15}(\.\d{1,9})?$/.test(text) ? Number(text) : Number.NaN;

const OPERATORS: ReadonlyMap<string, Operator> = new Map<string, Operator>([
  ['StringEquals', { type: 'text', test: equals }],
  ['StringNotEquals', { type: 'text', isNegated: true, test: equals }],
  ['StringEqualsIgnoreCase', { type: 'text', test: equalsIgnoringCase }],
  ['StringNotEqualsIgnoreCase', { type: 'text', isNegated: true, test: equalsIgnoringCase }],
  ['StringLike', { type: 'text', test: like }],
  ['StringNotLike', { type: 'text', isNegated: true, test: like }],
  ['IpAddress', { type: 'address', test: within }],
  ['NotIpAddress', { type: 'address', isNegated: true, test: within }],
  ...comparing('date', readDate),
  ...comparing('number', readNumber),
]);

/** `Condition` of a statement. @throws PosternError that says which operator, key or value is not supported. */
export function readConditions(value: unknown, at: string): SendingCondition[] {
  return Object.entries(readMembers(value, at)).flatMap(([operator, keys]) =>
    Object.entries(readMembers(keys, `${at}/${operator}`)).map(([key, values]) =>
      readCondition(operator, key, values, `${at}/${operator}`),
    ),
  );
}

function readCondition(written: string, name: string, values: unknown, at: string): SendingCondition {
  const [, set, operator = '', exists] = /^(?:(\w+):)?(\w+?)(IfExists)?$/.exec(written) ?? [];
  const key = (Object.keys(KEYS) as ConditionKey[]).find((one) => one.toLowerCase() === name.toLowerCase());
  if (!key)
    refuse(`${at}/${name.slice(0, 64)}`, `is not supported; these are: ${Object.keys(KEYS).join(', ')}`);
  const place = `${at}/${key}`;
  if (operator === 'Null' && set === undefined && exists === undefined) {
    const texts = textsOf(typeof values === 'boolean' ? String(values) : values, place);
    const [text] = texts[0]!;
    if (texts.length > 1 || (text !== 'true' && text !== 'false')) refuse(place, 'must be "true" or "false"');
    return { key, isNegated: false, ifExists: false, mustBeAbsent: text === 'true', test: () => false };
  }
  const known = OPERATORS.get(operator);
  if (!known) refuse(at, `is not supported; these are: ${[...OPERATORS.keys(), 'Null'].join(', ')}`);
  if (known.type !== KEYS[key]) refuse(place, `cannot be compared by ${operator}`);
  if (set !== undefined && !SETS.includes(set as never)) refuse(at, `must begin with ${SETS.join(': or ')}:`);
  if (MULTIVALUED.has(key) !== (set !== undefined))
    refuse(
      place,
      MULTIVALUED.has(key)
        ? `needs ${SETS.join(': or ')}:, because it has several values`
        : 'has one value, and needs no set operator',
    );
  const tests = textsOf(values, place).map(
    ([text, where]) => known.test(text) ?? refuse(where, `is no value for ${operator}`),
  );
  return {
    key,
    set: set as SendingCondition['set'],
    isNegated: known.isNegated ?? false,
    ifExists: exists !== undefined,
    test: (given) => tests.some((test) => test(given)),
  };
}

/** Whether a message meets a condition. */
export function holds(condition: SendingCondition, context: SendingContext): boolean {
  const { key, set, isNegated, ifExists, mustBeAbsent, test } = condition;
  const values = context[key] ?? [];
  if (mustBeAbsent !== undefined) return mustBeAbsent === (values.length === 0);
  const meets = (value: string): boolean => test(value) !== isNegated;
  if (set === 'ForAllValues') return values.every(meets);
  if (values.length === 0) return set === undefined ? isNegated || ifExists : ifExists;
  return set === 'ForAnyValue' ? values.some(meets) : meets(values[0]!);
}
