/** One limit in a document of limits: found, set, taken out. Pure. The API checks what comes of it. */

export interface LimitEdit {
  layer: string;
  /** Name of the provider, site or domain. */
  place: string | undefined;
  /** The mail that it is for; empty: all. */
  mail: Record<string, string>;
  limit: string;
  /** As written; undefined: taken out. */
  value: string | undefined;
}

/** A limit that is stored. */
export interface LimitChange extends LimitEdit {
  /** As JSON has it. */
  text: string;
}

/** The layers of a document, from the most general to the most particular. */
export const LAYERS: Readonly<Record<string, { word: string; named?: string }>> = {
  default: { word: 'Everywhere' },
  route: { word: 'Your own relays (static routes)' },
  providers: { word: 'A provider', named: 'provider' },
  sites: { word: 'A site (set of MX hosts)', named: 'site' },
  domains: { word: 'A recipient domain', named: 'domain' },
};

export const LIMIT_NAMES: Readonly<Record<string, string>> = {
  messageRate: 'Message rate',
  connections: 'Connections to a site',
  providerConnections: 'Connections to a provider',
  ipConnections: 'Connections of an IP',
  connectionRate: 'Connection rate',
  concurrency: 'Messages under way',
  messagesPerConnection: 'Messages over a connection',
  recipientsPerConnection: 'Recipients over a connection',
  idle: 'Idle time of a connection',
  tls: 'TLS',
  addressFamilies: 'Address families',
  maxAge: 'Age at which mail expires',
  bulkReserve: 'Share that bulk mail keeps',
  deadAfter: 'Faults after which a site is left alone',
};

type LimitDocumentEntry = Record<string, unknown> & { for?: Record<string, unknown>[] };

const QUALIFIED = ['pool', 'ip', 'class', 'tenant', 'campaign'];

/** The document with the change, and what stood in its place. */
export function changed(
  document: object | undefined,
  { layer, place, mail, limit, value }: LimitEdit,
): { value: object; was: string | undefined } {
  const next = structuredClone(document ?? {}) as Record<string, unknown>;
  const layers = place === undefined ? next : member(next, layer);
  const entry = member(layers, place ?? layer) as LimitDocumentEntry;
  const target = Object.keys(mail).length === 0 ? entry : ruleFor(entry, mail);
  const was = target[limit];
  if (value === undefined) delete target[limit];
  else target[limit] = /^\d+(\.\d+)?$/.test(value) ? Number(value) : value;
  prune(next, layers, entry, { layer, place });
  return { value: next, was: was === undefined ? undefined : textOf(was) };
}

function member(of: Record<string, unknown>, name: string): Record<string, unknown> {
  if (typeof of[name] !== 'object' || of[name] === null || !Object.hasOwn(of, name)) of[name] = {};
  return of[name] as Record<string, unknown>;
}

function isFor(rule: Record<string, unknown>, mail: Record<string, string>): boolean {
  return QUALIFIED.every((name) => rule[name] === mail[name]);
}

function ruleFor(entry: LimitDocumentEntry, mail: Record<string, string>): Record<string, unknown> {
  entry.for ??= [];
  const found = entry.for.find((rule) => isFor(rule, mail));
  if (found) return found;
  const made = { ...mail };
  entry.for.push(made);
  return made;
}

/** Takes out what says nothing any more. */
function prune(
  document: Record<string, unknown>,
  layers: Record<string, unknown>,
  entry: LimitDocumentEntry,
  { layer, place }: Pick<LimitEdit, 'layer' | 'place'>,
): void {
  if (entry.for) {
    entry.for = entry.for.filter((rule) => Object.keys(rule).some((name) => !QUALIFIED.includes(name)));
    if (entry.for.length === 0) delete entry.for;
  }
  if (Object.keys(entry).length === 0) delete layers[place ?? layer];
  if (place !== undefined && Object.keys(layers).length === 0) delete document[layer];
}

/** Every limit of a document. */
export function entriesOf(document: object | undefined): LimitChange[] {
  const found: LimitChange[] = [];
  const read = (layer: string, place: string | undefined, entry: unknown): void => {
    const { for: rules = [], ...limits } = entry as LimitDocumentEntry;
    const all: [Record<string, string>, Record<string, unknown>][] = [[{}, limits]];
    for (const rule of rules) {
      const mail = Object.fromEntries(
        Object.entries(rule).filter(([name]) => QUALIFIED.includes(name)),
      ) as Record<string, string>;
      const own = Object.fromEntries(Object.entries(rule).filter(([name]) => !QUALIFIED.includes(name)));
      all.push([mail, own]);
    }
    for (const [mail, own] of all)
      for (const [limit, value] of Object.entries(own))
        found.push({ layer, place, mail, limit, value: textOf(value), text: textOf(value) });
  };
  for (const [layer, { named }] of Object.entries(LAYERS)) {
    const entry = (document as Record<string, unknown> | undefined)?.[layer];
    if (entry === undefined) continue;
    if (named === undefined) read(layer, undefined, entry);
    else for (const [place, one] of Object.entries(entry as object)) read(layer, place, one);
  }
  return found;
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}
