/** A browser without a screen: keeps cookies, sends forms as pages have them, follows nothing by itself. */
import { KEYS } from './postern-server.ts';

export interface Visited {
  status: number;
  headers: Headers;
  text: string;
}

export class ConsoleVisitor {
  readonly #url: string;
  readonly #cookies = new Map<string, string>();

  constructor(url: string) {
    this.#url = url;
  }

  get cookies(): ReadonlyMap<string, string> {
    return this.#cookies;
  }

  async visit(path: string, init: RequestInit = {}): Promise<Visited> {
    const response = await this.open(path, init);
    return { status: response.status, headers: response.headers, text: await response.text() };
  }

  /** A request whose answer is not read yet. */
  async open(path: string, init: RequestInit = {}): Promise<Response> {
    const cookie = [...this.#cookies].map(([name, value]) => `${name}=${value}`).join('; ');
    const headers = { ...(cookie !== '' && { cookie }), ...(init.headers as Record<string, string>) };
    const response = await fetch(`${this.#url}/console${path}`, { redirect: 'manual', ...init, headers });
    for (const line of response.headers.getSetCookie()) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(line)!;
      if (value === '') this.#cookies.delete(name!);
      else this.#cookies.set(name!, value!);
    }
    return response;
  }

  /** Sends a form, with the token of the page that it is on. */
  async submit(
    path: string,
    fields: Record<string, string>,
    headers: Record<string, string> = {},
  ): Promise<Visited> {
    const token = /name="token" value="([^"]+)"/.exec((await this.visit('')).text)?.[1] ?? '';
    return this.post(path, { token, ...fields }, headers);
  }

  post(path: string, fields: Record<string, string>, headers: Record<string, string> = {}): Promise<Visited> {
    const body = new URLSearchParams(fields);
    return this.visit(path, { method: 'POST', body, headers: { origin: this.#url, ...headers } });
  }

  signIn(key: { id: string; secret: string }, headers: Record<string, string> = {}): Promise<Visited> {
    return this.post('/sign-in', { id: key.id, secret: key.secret }, headers);
  }

  static async of(url: string, key: keyof typeof KEYS): Promise<ConsoleVisitor> {
    const visitor = new ConsoleVisitor(url);
    await visitor.signIn(KEYS[key]);
    return visitor;
  }
}
