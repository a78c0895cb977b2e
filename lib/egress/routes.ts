import { domainToASCII } from 'node:url';

/** A static route: a destination that the operator sets by hand, over DNS. */
export interface Route {
  /** Recipient domain, or `*` for all that have no route of their own. */
  domain: string;
  /** IP address or name. */
  host: string;
  port: number;
}

/** Static routes by recipient domain (lower case A-label, as in the envelope). */
export class Routes {
  readonly #byDomain: ReadonlyMap<string, Route>;

  constructor(routes: readonly Route[]) {
    // What is no domain name (`*`, an address literal) stays as it is written.
    this.#byDomain = new Map(
      routes.map((route) => [domainToASCII(route.domain) || route.domain.toLowerCase(), route]),
    );
  }

  find(domain: string): Route | undefined {
    return this.#byDomain.get(domain) ?? this.#byDomain.get('*');
  }
}
