/** Whether mail can leave: a connection to a well-known MX from each source address, and what the mail itself shows. */
import { finding, type HealthFinding } from '../finding.ts';

export interface OutwardFacts {
  /** `host:port` of the probe. */
  target: string;
  /** By source address; `default`: the host's own choice. `problem` absent: the server greeted. */
  probes: readonly { ip: string; problem?: string }[];
}

export function outwardFindings({ target, probes }: OutwardFacts): HealthFinding[] {
  return probes.flatMap(({ ip, problem }) =>
    problem === undefined
      ? []
      : [
          finding(
            'outward.blocked',
            ip,
            `From ${ip}, ${target} is not reached: ${problem}.`,
            'Have the provider open port 25 outwards (clouds close it until you ask), and check the firewall.',
            {
              command: `nc -vz ${ip === 'default' ? '' : `-s ${ip} `}${target.replace(/:(\d+)$/, ' $1')}`,
            },
          ),
        ],
  );
}

/** What deliveries of the last minutes showed. */
export function deliveryFindings(health: { dns?: string; smtp?: string }): HealthFinding[] {
  return [
    ...(health.dns === undefined
      ? []
      : [
          finding('resolver.down', 'dns', health.dns, 'Check the resolver and the network.', {
            command: 'dig @127.0.0.1 a.root-servers.net',
          }),
        ]),
    ...(health.smtp === undefined
      ? []
      : [
          finding(
            'outward.delivery-down',
            'smtp',
            health.smtp,
            'Check port 25, the routes and the firewall; the finding outward.blocked has a command.',
          ),
        ]),
  ];
}
