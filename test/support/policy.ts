/** The policy in TypeScript in tests: hooks in memory, and real files. */
import { EventEmitter, once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Hooks } from '../../lib/policy/open.ts';
import type { Facts, HookAnswer, HookName, PolicyHooks } from '../../lib/policy/policy.ts';

const TYPES = join(import.meta.dirname, '../../lib/policy/policy.ts');

/** The text of a policy with these hooks. */
export function policySource(hooks: string): string {
  return `import { definePolicy } from ${JSON.stringify(TYPES)};\nexport default definePolicy({ ${hooks} });\n`;
}

/** Hooks without a thread: answers come at once, or for hooks in `later` as promises. */
export class ScriptedHooks implements Hooks {
  hooks: Partial<PolicyHooks>;
  /** Hooks whose answers wait for `release`. */
  later: readonly HookName[] = [];
  readonly asked: { hook: HookName; facts: unknown }[] = [];
  readonly failures: string[] = [];
  readonly #listeners = new Set<() => void>();
  readonly #held: (() => void)[] = [];

  constructor(hooks: Partial<PolicyHooks>) {
    this.hooks = hooks;
  }

  has(hook: HookName): boolean {
    return this.hooks[hook] !== undefined;
  }

  ask<H extends HookName>(hook: H, facts: Facts<H>): HookAnswer<H> | Promise<HookAnswer<H>> {
    this.asked.push({ hook, facts });
    const answer = (this.hooks[hook] as (facts: Facts<H>) => HookAnswer<H>)(facts);
    if (!this.later.includes(hook)) return answer;
    return new Promise((resolve) => this.#held.push(() => resolve(answer)));
  }

  /** Releases the answers that wait. */
  release(): void {
    for (const go of this.#held.splice(0)) go();
  }

  failed(_hook: HookName, reason: string): void {
    this.failures.push(reason);
  }

  watch(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Replaces the hooks. */
  replace(hooks: Partial<PolicyHooks>): void {
    this.hooks = hooks;
    for (const listener of this.#listeners) listener();
  }
}

/** A policy file in a folder of its own, and the log of its loads. */
export class PolicyFile {
  readonly path: string;
  readonly #events = new EventEmitter();
  readonly #folder: string;

  private constructor(folder: string) {
    this.#folder = folder;
    this.path = join(folder, 'postern.policy.ts');
  }

  static async make(): Promise<PolicyFile> {
    return new PolicyFile(await mkdtemp(join(tmpdir(), 'postern-policy-')));
  }

  /** Called for every event of the log. */
  note(event: string, fields?: unknown): void {
    this.#events.emit(event, fields);
  }

  /** The fields of the next event of this name. */
  async next(event: string): Promise<Record<string, unknown>> {
    const [fields] = (await once(this.#events, event)) as [Record<string, unknown>];
    return fields;
  }

  /** Saves a text, and waits for the log line. */
  async save(text: string, expected: 'policy.loaded' | 'policy.refused'): Promise<Record<string, unknown>> {
    const logged = this.next(expected);
    await writeFile(this.path, text);
    return logged;
  }

  async remove(): Promise<void> {
    await rm(this.#folder, { recursive: true });
  }
}
