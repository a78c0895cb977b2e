/** A page of the console: what it shows, and what its forms do. */
import type { html } from 'hono/html';
import type { Form } from './form.ts';
import type { ApiFailure, Query, V1 } from './v1.ts';

/** HTML in which every value is escaped. */
export type Markup = ReturnType<typeof html>;

/** The key of a session, as `GET /v1/keys/self` has it. */
export interface SignedInKey {
  id: string;
  tenant: string;
  admin: boolean;
  name?: string;
  /** What restricts it; absent: nothing. */
  scopes?: readonly string[];
  identities?: readonly string[];
  networks?: readonly string[];
  expiresAt?: string;
}

export interface PageCall {
  v1: V1;
  /** As `v1.get`, of an answer that is `age` ms old at most, shared with all who may see the same. @throws ApiFailure */
  recent<T>(age: number, path: string, query?: Query): Promise<T>;
  me: SignedInKey;
  /** Labels of the path, decoded. */
  params: Record<string, string>;
  query: URLSearchParams;
  /** What was submitted; empty where a page is opened. */
  form: Form;
  /** Why what was submitted is refused. */
  problem?: ApiFailure;
  /** What every form carries. */
  token: string;
  now: number;
  /** What is there soon; undefined for what takes longer than a page may wait. */
  soon<T>(found: Promise<T>): Promise<T | undefined>;
  /** Path and query of the page. */
  here: string;
  /** Whether answers may be of any length: the transport of a function holds them whole. */
  unbounded: boolean;
}

export interface ShownPage {
  title: string;
  body: Markup;
  /** Elements with an id and `data-live` follow what happens. */
  live?: boolean;
  charts?: boolean;
}

/** What a form did: where to go on, with a word on it; or a page, as for a secret that is shown once; or a file. */
export type Acted = { to: string; notice: string } | ShownPage | Response;

export interface ConsolePage {
  /** `/messages/:id` */
  path: string;
  /** Entry of the navigation that it belongs to. */
  nav: string;
  /** Needs an administrator's key. */
  admin?: boolean;
  /** Shows the same to all who may see the same, and so has no form: it is made once for them, each two seconds at most. */
  shared?: boolean;
  show(call: PageCall): Promise<ShownPage | Response>;
  /** By the value of the button. */
  acts?: Readonly<Record<string, (call: PageCall) => Promise<Acted>>>;
}
