/** The former path of `lib/policy/policy.ts`, which policies in use still import. */
export { definePolicy } from '../policy/policy.ts';
