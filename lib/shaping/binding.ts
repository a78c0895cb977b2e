/** What keeps mail of a site from going at this moment: in a word, for figures, and in a sentence, for its reason. */

import type { Binding, Resolved } from './limits/terms.ts';
import type { PathLimiter } from './path-limiter.ts';

/** Why no further message goes from an IP to a site; undefined when one may. */
export function bindingOf(limiter: PathLimiter, own: Resolved, now: number): Binding | undefined {
  const { limits, origins } = own;
  const { pausedUntil } = limiter.messageRate;
  if (pausedUntil > now) {
    const next = new Date(pausedUntil).toISOString();
    return { limit: 'learnt', text: `It answers that it takes nothing for now; the next try is ${next}.` };
  }
  if (limiter.heldRate !== undefined) {
    const rate = limiter.heldRate.toPrecision(3);
    return { limit: 'learnt', text: `It asked for less: held at ${rate} messages a second, and regaining.` };
  }
  if (limiter.running >= limits.concurrency) {
    const text = `${limiter.running} messages are under way (concurrency, ${origins.concurrency}).`;
    return { limit: 'concurrency', text };
  }
  if (limiter.messageWait(now, own) > 0) {
    const text = `The limit is ${limits.messageRate?.text} (messageRate, ${origins.messageRate}).`;
    return { limit: 'messageRate', text };
  }
  if (limiter.connections < limiter.concurrency.window(limits.connections)) return undefined;
  if (limiter.connections < limits.connections) {
    return {
      limit: 'learnt',
      text: `It bears ${limiter.connections} connections, as its faults have shown.`,
    };
  }
  const text = `All ${limits.connections} connections are in use (connections, ${origins.connections}).`;
  return { limit: 'connections', text };
}
