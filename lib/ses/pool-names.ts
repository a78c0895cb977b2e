/** Names of pools in SES's words: `ses-default-dedicated-pool` is the pool `default`. */
import { DEFAULT_POOL } from '../routing/pools.ts';

const SES_DEFAULT_POOL = 'ses-default-dedicated-pool';

/** The pool that a caller of SES means. */
export function poolOf(name: string): string {
  return name === SES_DEFAULT_POOL ? DEFAULT_POOL : name;
}

export function shownPool(name: string): string {
  return name === DEFAULT_POOL ? SES_DEFAULT_POOL : name;
}
