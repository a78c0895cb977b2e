/**
 * Whether a program, not the reader, opened a message or followed a link: SES's `isBotEvent`. Rules as data, in their
 * order; the first that applies decides. The answer is derived when an event is made, so a better rule serves old
 * outcomes too. Pure.
 *
 * Proxies that fetch an image because a reader looks (Gmail's, Yahoo's) are readers. A proxy that fetches all images
 * ahead (Apple's Mail Privacy Protection) is not.
 */
import ipaddr from 'ipaddr.js';

/** SES's words. */
export type BotLikelihood = 'Likely' | 'Unlikely';

export interface BotRule {
  /** What is recognised, for the person who reads the rules. */
  name: string;
  /** The client's name; absent: any. */
  agent?: RegExp;
  /** The client's network, CIDR; absent: any. */
  networks?: readonly string[];
  /** Since the message was accepted, ms: nobody reads faster. */
  within?: number;
  /** Only for this kind. */
  kind?: 'open' | 'click';
  likelihood: BotLikelihood;
}

export interface Engagement {
  kind: 'open' | 'click';
  userAgent: string;
  ipAddress: string;
  /** Since the message was accepted, ms. */
  age: number;
}

export const BOT_RULES: readonly BotRule[] = [
  {
    name: 'image proxies that act for a reader',
    agent: /GoogleImageProxy|YahooMailProxy/,
    likelihood: 'Unlikely',
  },
  { name: 'no name at all', agent: /^\s*$/, likelihood: 'Likely' },
  {
    name: 'Apple Mail Privacy Protection fetches all images ahead, under this bare name',
    agent: /^Mozilla\/5\.0$/,
    kind: 'open',
    likelihood: 'Likely',
  },
  {
    name: 'link previews of messengers and social networks',
    agent:
      /facebookexternalhit|Slackbot|Slack-ImgProxy|WhatsApp|TelegramBot|Twitterbot|LinkedInBot|Discordbot|SkypeUriPreview/i,
    likelihood: 'Likely',
  },
  {
    name: 'scanners of mail that say so',
    agent:
      /Barracuda|Mimecast|Proofpoint|FireEye|Symantec|Sophos|TrendMicro|Forcepoint|IronPort|BingPreview|SafeLinks|urlscan|VirusTotal|ZScaler/i,
    likelihood: 'Likely',
  },
  {
    name: 'libraries and command lines',
    agent:
      /^(?:curl|Wget|Go-http-client|python-requests|Python-urllib|aiohttp|axios|node-fetch|okhttp|Apache-HttpClient|Java|libwww-perl|Ruby|PHP|GuzzleHttp|HTTPie)\b/i,
    likelihood: 'Likely',
  },
  {
    name: 'browsers without a window',
    agent: /HeadlessChrome|PhantomJS|Puppeteer|Playwright/i,
    likelihood: 'Likely',
  },
  {
    name: 'robots that say so',
    agent: /\b\w*(?:bot|crawler|spider|scanner|preview|monitor)\b/i,
    likelihood: 'Likely',
  },
  {
    name: 'networks from which filters fetch links, published by their makers for allow lists',
    networks: [
      // Barracuda Email Security
      '209.222.80.0/21',
      '64.235.144.0/20',
      // Proofpoint
      '67.231.144.0/20',
      '148.163.128.0/19',
      // Mimecast
      '207.211.30.0/23',
      '205.139.110.0/23',
    ],
    likelihood: 'Likely',
  },
  { name: 'a click sooner than a message can be read', kind: 'click', within: 3_000, likelihood: 'Likely' },
  { name: 'an open before a message can be seen', kind: 'open', within: 1_000, likelihood: 'Likely' },
];

const NETWORKS = new Map(
  BOT_RULES.flatMap(({ networks = [] }) => networks).map((text) => [text, ipaddr.parseCIDR(text)]),
);

/** How likely a program caused an event. */
export function botLikelihood(event: Engagement): BotLikelihood {
  return BOT_RULES.find((rule) => applies(rule, event))?.likelihood ?? 'Unlikely';
}

function applies({ kind, agent, within, networks }: BotRule, event: Engagement): boolean {
  if (kind !== undefined && kind !== event.kind) return false;
  if (agent !== undefined && !agent.test(event.userAgent)) return false;
  if (within !== undefined && event.age >= within) return false;
  return networks === undefined || networks.some((network) => isIn(event.ipAddress, network));
}

function isIn(address: string, network: string): boolean {
  if (!ipaddr.isValid(address)) return false;
  const ip = ipaddr.process(address);
  const [base, bits] = NETWORKS.get(network)!;
  return ip.kind() === base.kind() && ip.match(base, bits);
}
