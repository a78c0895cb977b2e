/**
 * A site is a set of MX hosts seen as one destination: all domains that share the set share its connections,
 * limits and back-off.
 */

/** The hosts of a site, from its name. */
export function hostsOf(site: string): string[] {
  const [, heads, tail = ''] = /^\(([^()]*)\)(.*)$/.exec(site) ?? [];
  // A static route is named by its host and port.
  if (heads === undefined) return [site.replace(/:\d+$/, '')];
  return heads.split(',').map((head) => head + tail);
}

/**
 * The canonical name of a set of MX hosts: the same in any order, case or repetition. Labels that all hosts end in
 * are written once: `(alt1.aspmx,aspmx).l.google.com`.
 * @param hosts names without trailing dot; at least one.
 */
export function siteName(hosts: readonly string[]): string {
  const names = [...new Set(hosts.map((host) => host.toLowerCase()))].sort();
  if (names.length === 1) return names[0]!;
  const labels = names.map((name) => name.split('.'));
  const shortest = Math.min(...labels.map((parts) => parts.length));
  let shared = 0;
  // The first label of each name stays inside the brackets, so that none is empty.
  while (shared < shortest - 1) {
    const label = labels[0]!.at(-1 - shared);
    if (!labels.every((parts) => parts.at(-1 - shared) === label)) break;
    shared += 1;
  }
  const heads = labels.map((parts) => parts.slice(0, parts.length - shared).join('.'));
  const tail = shared === 0 ? '' : `.${labels[0]!.slice(-shared).join('.')}`;
  return `(${heads.join(',')})${tail}`;
}
