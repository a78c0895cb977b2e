import { createUnsubscribeAddresses } from '../../lib/mail/unsubscribe-address.ts';
import { createTrackingLinks, type TrackedClick } from '../../lib/tracking/links.ts';
import { createTracker, type Tracker, type TrackingTargets } from '../../lib/tracking/tracking.ts';
import { createUnsubscribeLinks } from '../../lib/tracking/unsubscribe-links.ts';

export const HOST = 'click.example.com';
export const BASE = `https://${HOST}`;
export const TRACKING_KEY = Buffer.alloc(32, 5);
export const LINKS = createTrackingLinks(TRACKING_KEY);
export const UNSUBSCRIBE = {
  links: createUnsubscribeLinks(TRACKING_KEY),
  addresses: createUnsubscribeAddresses(Buffer.alloc(32, 3)),
};
export const MESSAGE = { messageId: '0100019b76da7c00-3c0f6f9e-5d3a-4a57-9d1f-0b7a3f1c2d4e-000000', n: 0 };
export const CLICKS: TrackingTargets = { click: { http: BASE, https: BASE } };
export const ALL: TrackingTargets = { ...CLICKS, open: BASE };

/** A tracker, of clicks by default. */
export function tracker(targets: TrackingTargets = CLICKS): Tracker {
  return createTracker(LINKS, MESSAGE, targets);
}

const TRACKED = /https:\/\/click\.example\.com(\/t\/c\/[\w/-]+)/g;
const IMAGE = /<img alt="" src="https:\/\/click\.example\.com(\/t\/o\/[\w-]+)"[^>]*>/g;

/** Every tracked link, read. */
export function clicksIn(text: string): TrackedClick[] {
  return [...text.matchAll(TRACKED)].map(([, path]) => LINKS.read(HOST, path!) as TrackedClick);
}

/** The paths of the images. */
export function imagesIn(text: string): string[] {
  return [...text.matchAll(IMAGE)].map(([, path]) => path!);
}

/** Undoes tracking of a text, but for `ses:` attributes, placeholders, and references in links. */
export function untracked(text: string): string {
  return text
    .replace(TRACKED, (_, path: string) => (LINKS.read(HOST, path) as TrackedClick).target)
    .replace(IMAGE, '');
}
