/** An action of SES v1: its name, who may call it, and what it means in terms of the same objects as SES v2. */
import type { Access, Call } from '../operation.ts';
import type { ActionInput, ActionOutput, SesActionName } from '../types.ts';

type HandleAction<N extends SesActionName> = (
  input: ActionInput<N>,
  call: Call,
) => ActionOutput<N> | Promise<ActionOutput<N>>;

/** An action, as `action` makes it. */
export class Action<N extends SesActionName = SesActionName> {
  readonly name: N;
  readonly access: Access;
  readonly handle: HandleAction<N>;

  constructor(name: N, access: Access, handle: HandleAction<N>) {
    this.name = name;
    this.access = access;
    this.handle = handle;
  }
}

/** An action of SES v1, typed by the AWS SDK as `operation` is. */
export function action<const N extends SesActionName>(
  name: N,
  access: Access,
  handle: HandleAction<N>,
): Action<N> {
  return new Action(name, access, handle);
}
