/**
 * Links that an operator has switched off: a click on one shows a page and leads nowhere, for mail that was sent
 * already cannot be called back. The document of kind `links`:
 *
 *     { "blocked": [ { "domain": "shop.example", "reason": "Phishing was reported.", "until": "2026-03-01" },
 *                    { "url": "https://a.example/offer?id=7", "reason": "The offer is wrong." } ] }
 *
 * A domain stands for its subdomains too. Pure.
 */
import { readDate, readList, readObject, readText, refuse } from '../document.ts';

/** Name of the kind of document, and of its one document. */
export const LINKS_KIND = 'links';
export const LINKS_DOCUMENT = 'default';

/** Bound of the document: each click looks at all of them. */
const MAX_BLOCKED = 1_000;
const DOMAIN = /^[a-z0-9_-]+(?:\.[a-z0-9_-]+)*$/;

export interface BlockedLink {
  /** The target's host, or a domain above it; or else the target itself. */
  domain?: string;
  url?: string;
  /** Shown to the reader who clicks. */
  reason: string;
  /** Absent: until it is removed from the document. ms. */
  until?: number;
}

/** The link switched off that a click is on, if it is on any. @param now ms. */
export type FindBlocked = (target: string, now: number) => BlockedLink | undefined;

/** Reads the document. @throws PosternError `bad_request`: `links.blocked[0]: what is wrong`. */
export function readBlockedLinks(value: unknown, path: string): FindBlocked {
  const { blocked = [] } = readObject(value, path, ['blocked']);
  const list = readList(blocked, `${path}.blocked`, readBlocked);
  if (list.length > MAX_BLOCKED) refuse(`${path}.blocked`, `there are more than ${MAX_BLOCKED} links.`);
  return (target, now) => {
    if (list.length === 0 || !URL.canParse(target)) return undefined;
    const { hostname, href } = new URL(target);
    const host = hostname.toLowerCase().replace(/\.$/, '');
    return list.find(({ domain, url, until }) => {
      if (until !== undefined && now >= until) return false;
      return domain === undefined ? url === href : host === domain || host.endsWith(`.${domain}`);
    });
  };
}

function readBlocked(value: unknown, path: string): BlockedLink {
  const { domain, url, reason, until } = readObject(value, path, ['domain', 'url', 'reason', 'until']);
  if ((domain === undefined) === (url === undefined)) refuse(path, 'name either a domain or a url.');
  const about = {
    reason: readText(reason, `${path}.reason`),
    ...(until !== undefined && { until: readDate(until, `${path}.until`) }),
  };
  if (domain !== undefined) {
    if (typeof domain !== 'string' || !DOMAIN.test(domain.toLowerCase())) {
      refuse(`${path}.domain`, 'it is not a domain; write its A-label, as shop.example.');
    }
    return { domain: domain.toLowerCase(), ...about };
  }
  if (typeof url !== 'string' || !/^https?:/i.test(url) || !URL.canParse(url)) {
    refuse(`${path}.url`, 'it is not the target of a link; write https://….');
  }
  return { url: new URL(url).href, ...about };
}
