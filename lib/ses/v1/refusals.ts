/** Actions of SES v1 that this service refuses, and why; what is not here and has no handler is not offered yet. */
import { PosternError } from '../../errors.ts';
import type { SesActionName } from '../types.ts';

const RECEIVING =
  'this service sends mail, and receives bounces and complaints only. Receive other mail with a server of your own.';

const REASONS: Partial<Record<SesActionName, string>> = {
  CloneReceiptRuleSet: RECEIVING,
  CreateReceiptFilter: RECEIVING,
  CreateReceiptRule: RECEIVING,
  CreateReceiptRuleSet: RECEIVING,
  DeleteReceiptFilter: RECEIVING,
  DeleteReceiptRule: RECEIVING,
  DeleteReceiptRuleSet: RECEIVING,
  DescribeActiveReceiptRuleSet: RECEIVING,
  DescribeReceiptRule: RECEIVING,
  DescribeReceiptRuleSet: RECEIVING,
  ListReceiptFilters: RECEIVING,
  ListReceiptRuleSets: RECEIVING,
  ReorderReceiptRuleSet: RECEIVING,
  SendBounce: RECEIVING,
  SetActiveReceiptRuleSet: RECEIVING,
  SetReceiptRulePosition: RECEIVING,
  UpdateReceiptRule: RECEIVING,
};

/** Actions that are refused for good. */
export const REFUSED_ACTIONS: ReadonlySet<string> = new Set(Object.keys(REASONS));

/** Why an action is refused for good, as the end of a sentence; undefined when it is not. */
export function actionReason(action: SesActionName): string | undefined {
  return REASONS[action];
}

/** The refusal of an action that has no handler: a 400, which SDKs do not repeat. */
export function actionRefusal(action: string): PosternError {
  const reason = actionReason(action as SesActionName);
  return new PosternError(
    'unsupported_operation',
    `${action} is not supported by this service${reason === undefined ? '.' : `: ${reason}`}`,
  );
}
