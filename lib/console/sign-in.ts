/** Sign-in with an access key. Wrong keys are counted by network, so that nobody can try many. */
import { html } from 'hono/html';
import { networkOf } from '../ip.ts';
import { type Clock, MINUTE } from '../time.ts';
import { WindowCounter } from '../window-counter.ts';
import type { Assets } from './assets.ts';
import type { Form } from './form.ts';
import { bare } from './layout.ts';
import type { Markup } from './page.ts';
import { BASE, field, problem } from './parts.ts';
import { ApiFailure, queryText } from './v1.ts';

/** Wrong keys of one network in a window. */
const TRIES = 10;
const WINDOW = 10 * MINUTE;
/** Longest path that is gone back to. */
const MAX_PATH = 1_000;

export interface SignInOptions {
  assets: Assets;
  clock: Clock;
}

export class SignIn {
  readonly #assets: Assets;
  readonly #failures: WindowCounter;

  constructor({ assets, clock }: SignInOptions) {
    this.#assets = assets;
    this.#failures = new WindowCounter(WINDOW, clock);
  }

  path(here?: string): string {
    const text = queryText({ to: here === undefined || here === BASE ? undefined : safe(here) });
    return `${BASE}/sign-in${text && `?${text}`}`;
  }

  /** Asks the API for the key. @returns where to go on, or why not. */
  async attempt(
    form: Form,
    address: string,
    ask: () => Promise<unknown>,
  ): Promise<{ to: string; refused?: ApiFailure }> {
    const to = safe(form.text('to'));
    const network = networkOf(address);
    if (this.#failures.of(network) >= TRIES) return { to, refused: tooMany() };
    try {
      await ask();
      return { to };
    } catch (error) {
      if (!(error instanceof ApiFailure) || error.status !== 401) throw error;
      this.#failures.add(network);
      return {
        to,
        refused: new ApiFailure(
          401,
          error.code,
          'The access key is unknown, or its secret is another one.',
          'Enter both as they were shown when the key was made.',
        ),
      };
    }
  }

  shown({ to, id, refused }: { to?: string; id?: string; refused?: ApiFailure }): Markup {
    return bare(
      this.#assets,
      'Sign in',
      html`<h1>Sign in</h1>${problem(refused)}
<form method="post" action="${BASE}/sign-in"><input type="hidden" name="to" value="${safe(to)}">
${field({ label: 'Access key id', name: 'id', value: id, required: true })}
<p class="field"><label>Secret access key<input type="password" name="secret" required autocomplete="current-password" spellcheck="false"></label></p>
<button type="submit">Sign in</button></form>
<p class="quiet">The key that sends mail opens the console: an administrator's sees everything, another its own tenant. The first one was shown when this service started.</p>`,
    );
  }

  /** Leads a reader who came from another site to the same page, from this one. */
  again(here: string): Markup {
    return html`<meta http-equiv="refresh" content="0"><p><a href="${safe(here)}">Go on</a></p>`;
  }
}

/** A path of the console: what anybody may write into a link must not lead elsewhere. */
function safe(path: string | undefined): string {
  const own = path !== undefined && path.length <= MAX_PATH && /^\/console(?:[/?][\x21-\x7e]*)?$/.test(path);
  return own && !/[\\]|\/\//.test(path) ? path : BASE;
}

function tooMany(): ApiFailure {
  return new ApiFailure(429, 'throttled', 'Too many wrong keys came from your network.', 'Wait ten minutes.');
}
