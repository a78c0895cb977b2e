/**
 * Sending authorisation policies: by them the owner of an identity lets others send with it, or forbids it. Pure.
 *
 * The language is that of IAM as SES uses it (SES developer guide, "Sending authorization policies"). Everything in a
 * policy is understood or refused when it is stored, so that no part of it is ignored when mail is sent.
 *
 * ```
 *  who: Principal   what: Action   with which identity: Resource   when: Condition
 *  some statement matches with Deny ──► denied        else some with Allow ──► allowed        else ──► not allowed
 * ```
 */
import { holds, readConditions, type SendingCondition, type SendingContext } from './sending-conditions.ts';
import { boundedText, matchesPattern, readMembers, refuse, textsOf } from './sending-policy-form.ts';

/** Actions of both versions of SES's API that send. */
const ACTIONS = [
  'ses:SendEmail',
  'ses:SendRawEmail',
  'ses:SendTemplatedEmail',
  'ses:SendBulkEmail',
  'ses:SendBulkTemplatedEmail',
] as const;
export type SendingAction = (typeof ACTIONS)[number];

/** SES: 4 KB of a policy. */
export const MAX_POLICY = 4096;
const MAX_STATEMENTS = 50;

/** Whom a statement is about; absent members match all. */
interface SendingPrincipal {
  tenant?: string;
  key?: string;
}

interface SendingStatement {
  allows: boolean;
  principals: readonly SendingPrincipal[];
  actions: readonly SendingAction[];
  conditions: readonly SendingCondition[];
}

export interface SendingPolicy {
  statements: readonly SendingStatement[];
}

/** A message that is to be sent with an identity. */
export interface SendingRequest {
  tenant: string;
  key: string;
  /** The actions that it counts as: one suffices. */
  actions: readonly SendingAction[];
  context: SendingContext;
}

/** @returns `deny`, whatever else allows it; `allow`; undefined: nothing is said about it. */
export function rule(
  policies: readonly SendingPolicy[],
  request: SendingRequest,
): 'allow' | 'deny' | undefined {
  let isAllowed = false;
  for (const { statements } of policies) {
    for (const statement of statements) {
      if (!applies(statement, request)) continue;
      if (!statement.allows) return 'deny';
      isAllowed = true;
    }
  }
  return isAllowed ? 'allow' : undefined;
}

function applies({ principals, actions, conditions }: SendingStatement, request: SendingRequest): boolean {
  return (
    principals.some(
      ({ tenant, key }) =>
        (tenant === undefined || tenant === request.tenant) && (key === undefined || key === request.key),
    ) &&
    request.actions.some((action) => actions.includes(action)) &&
    conditions.every((condition) => holds(condition, request.context))
  );
}

/**
 * Reads a policy of an identity.
 * @param identity its name. @param account twelve digits. @throws PosternError `bad_request` that says what and where.
 */
export function readSendingPolicy(text: string, identity: string, account: string): SendingPolicy {
  if (Buffer.byteLength(text) > MAX_POLICY)
    refuse('/', `the policy has ${Buffer.byteLength(text)} bytes; ${MAX_POLICY} are the most`);
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch {
    refuse('/', 'the policy is not valid JSON');
  }
  const { Version, Id, Statement } = readMembers(document, '', ['Version', 'Id', 'Statement']);
  if (Version !== undefined && Version !== '2012-10-17' && Version !== '2008-10-17')
    refuse('/Version', 'must be "2012-10-17" or "2008-10-17"');
  if (Id !== undefined) boundedText(Id, '/Id');
  const list = Array.isArray(Statement) ? Statement : [Statement];
  if (list.length === 0 || list.length > MAX_STATEMENTS)
    refuse('/Statement', `must have 1 to ${MAX_STATEMENTS} statements`);
  return { statements: list.map((one, i) => readStatement(one, `/Statement/${i}`, identity, account)) };
}

function readStatement(value: unknown, at: string, identity: string, account: string): SendingStatement {
  const names = ['Sid', 'Effect', 'Principal', 'Action', 'Resource', 'Condition'];
  const { Sid, Effect, Principal, Action, Resource, Condition } = readMembers(value, at, names);
  if (Sid !== undefined) boundedText(Sid, `${at}/Sid`);
  if (Effect !== 'Allow' && Effect !== 'Deny') refuse(`${at}/Effect`, 'must be "Allow" or "Deny"');
  readResources(Resource, `${at}/Resource`, identity, account);
  return {
    allows: Effect === 'Allow',
    principals: readPrincipals(Principal, `${at}/Principal`, account),
    actions: readActions(Action, `${at}/Action`),
    conditions: Condition === undefined ? [] : readConditions(Condition, `${at}/Condition`),
  };
}

const KEY = /^\w{4,128}$/;
const ROOT = /^arn:aws[a-z-]*:iam::(\d{12}):root$/;
const USER = /^arn:aws[a-z-]*:iam::(\d{12}):user\/(\w{4,128})$/;
const TENANT = /^arn:aws[a-z-]*:ses:[a-z0-9-]*:(\d{12}):tenant\/([\w-]{1,64})(?:\/tn-[0-9a-f]+)?$/;

/**
 * `*`, this account (its id, or the ARN of its root), a tenant (its ARN) or an access key (its id, or the ARN of a user
 * of that name).
 */
function readPrincipals(value: unknown, at: string, account: string): SendingPrincipal[] {
  const given = value === '*' ? '*' : readMembers(value, at, ['AWS']).AWS;
  return textsOf(given, `${at}${value === '*' ? '' : '/AWS'}`).map(([text, place]) => {
    if (text === '*' || text === account) return {};
    const [, owner, name] = ROOT.exec(text) ?? USER.exec(text) ?? TENANT.exec(text) ?? [];
    if (owner !== undefined && owner !== account) refuse(place, `is of another account than ${account}`);
    if (name !== undefined) return TENANT.test(text) ? { tenant: name } : { key: name };
    if (owner !== undefined) return {};
    if (KEY.test(text) && !/^\d+$/.test(text)) return { key: text };
    return refuse(
      place,
      `must be "*", ${account}, arn:aws:ses:REGION:${account}:tenant/NAME, arn:aws:iam::${account}:user/KEY or the id of an access key`,
    );
  });
}

function readActions(value: unknown, at: string): SendingAction[] {
  const found = textsOf(value, at).flatMap(([text, place]) => {
    // IAM: actions have no case.
    const actions = ACTIONS.filter((action) => matchesPattern(text.toLowerCase(), action.toLowerCase()));
    return actions.length > 0
      ? actions
      : refuse(place, `must be of ${ACTIONS.join(', ')}, or a pattern of these`);
  });
  return [...new Set(found)];
}

/** Each must be the identity's own ARN, or a pattern of it: no other identity can have this policy. */
function readResources(value: unknown, at: string, identity: string, account: string): void {
  for (const [text, place] of textsOf(value, at)) {
    // Of whichever region the policy was written for.
    const [, region = '*'] = /^arn:aws:ses:([a-z0-9-]*):/.exec(text) ?? [];
    const arn = `arn:aws:ses:${region}:${account}:identity/${identity}`;
    if (!matchesPattern(text, arn))
      refuse(place, `must be the ARN of this identity: arn:aws:ses:REGION:${account}:identity/${identity}`);
  }
}
