/**
 * Whether mail can leave: DNS answers, and connections to other hosts succeed. Both are judged from the mail itself.
 *
 * A failure here leaves `/healthz` at 200: mail is accepted and waits, and neither a restart nor another process
 * behind a load balancer would help. Alarms watch `delivery.ok` and the metric `postern_delivery_ok`.
 */
import type { Resolver } from '../../lib/dns/resolver.ts';
import type { SmtpClient } from '../../lib/smtp/client.ts';

export interface DeliveryHealth {
  ok: boolean;
  /** The failure of DNS, and of connections. */
  dns?: string;
  smtp?: string;
}

export function deliveryHealth(
  resolver: Pick<Resolver, 'health'>,
  client: Pick<SmtpClient, 'health'>,
): DeliveryHealth {
  const dns = resolver.health();
  const smtp = client.health();
  return { ok: dns.ok && smtp.ok, dns: dns.text, smtp: smtp.text };
}
