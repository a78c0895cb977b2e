/**
 * Whether the opens and clicks of a message are tracked, and by which domain. SES tracks when the configuration set has an
 * event destination for opens or clicks, or the call says so; here, where events of all messages are kept anyway, a
 * set's TrackingOptions are the switch, and a call's `ConfigurationOverrides.Tracking` goes over it.
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
 * Where the message's links will point; undefined when neither opens nor clicks are tracked.
 * @param url of this service's own tracking, as `https://track.example.com`; absent when there is none.
 * @throws PosternError `bad_request` when it is to be tracked and there is nothing to point to.
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

/** HttpsPolicy as SES has it: by default the image comes by HTTP, and links keep the scheme that they had. */
function ofDomain(domain: string, policy: string | undefined): Bases {
  const [plain, secure] = [`http://${domain}`, `https://${domain}`];
  return {
    open: policy === 'REQUIRE' || policy === 'REQUIRE_OPEN_ONLY' ? secure : plain,
    http: policy === 'REQUIRE' ? secure : plain,
    https: secure,
  };
}

/** One URL, with the scheme that it has. */
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
