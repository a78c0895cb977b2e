/**
 * Decides whether the opens and clicks of a message are tracked, and by which domain. SES tracks when the
 * configuration set has an event destination for opens or clicks, or the call asks for it. Postern keeps events of
 * all messages, so a set's TrackingOptions are the switch, and a call's `ConfigurationOverrides.Tracking` overrides
 * them.
 */
import type { ConfigurationSet } from '../control/types.ts';
import { PosternError } from '../errors.ts';
import type { TrackingTargets } from '../tracking/tracking.ts';

/** The tracking settings of one call, which override those of its configuration set. */
export interface TrackingOverride {
  opens?: boolean;
  clicks?: boolean;
}

/**
 * The targets of the message's links; undefined when neither opens nor clicks are tracked.
 * @param url of this service's own tracking endpoint, as `https://track.example.com`; absent when there is none.
 * @throws PosternError `bad_request` when tracking is requested and there is no domain for its links.
 */
export function trackingTargets(
  set: Pick<ConfigurationSet, 'tracking'> | undefined,
  override: TrackingOverride | undefined,
  url: string | undefined,
): TrackingTargets | undefined {
  const options = set?.tracking;
  const opens = override?.opens ?? options !== undefined;
  const clicks = override?.clicks ?? options !== undefined;
  if (!opens && !clicks) return undefined;
  const { open, ...click } = options?.customRedirectDomain
    ? ofDomain(options.customRedirectDomain, options.httpsPolicy)
    : ofService(url, options?.httpsPolicy);
  return { open: opens ? open : undefined, click: clicks ? click : undefined };
}

interface Bases {
  open: string;
  http: string;
  https: string;
}

/** HttpsPolicy as in SES: by default the image uses HTTP, and links keep their scheme. */
function ofDomain(domain: string, policy: string | undefined): Bases {
  const [plain, secure] = [`http://${domain}`, `https://${domain}`];
  return {
    open: policy === 'REQUIRE' || policy === 'REQUIRE_OPEN_ONLY' ? secure : plain,
    http: policy === 'REQUIRE' ? secure : plain,
    https: secure,
  };
}

/** The tracking URL of the service, with its own scheme. */
function ofService(url: string | undefined, policy: string | undefined): Bases {
  if (url === undefined) {
    throw new PosternError(
      'bad_request',
      'Opens and clicks cannot be tracked: this service has no tracking URL of its own. Set one (POSTERN_TRACKING_URL, or `tracking` of the stage), or give the configuration set a CustomRedirectDomain.',
    );
  }
  if (policy !== undefined && policy !== 'OPTIONAL' && !url.startsWith('https:')) {
    throw new PosternError(
      'bad_request',
      `HttpsPolicy ${policy} cannot be kept: the tracking URL of this service is ${url}. Give the configuration set a CustomRedirectDomain with HTTPS.`,
    );
  }
  return { open: url, http: url, https: url };
}
